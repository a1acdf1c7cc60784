/* Judging claims, and the public face of the check. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/options.h"
#include "base/path.h"
#include "base/text.h"
#include "families/families.h"
#include "policy/bom.h"
#include "policy/check.h"
#include "trust/digest.h"
#include "trust/whole.h"

/* ---- numbers ---- */

static double word_factor(const char **text) {
    static const struct {
        const char *word;
        double factor;
    } words[] = { { "thousand", 1e3 }, { "million", 1e6 }, { "billion", 1e9 }, { "trillion", 1e12 } };
    const char *p = *text;
    while (*p == ' ') p++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncasecmp(p, words[i].word, strlen(words[i].word)) == 0) {
            *text = p + strlen(words[i].word);
            return words[i].factor;
        }
    double letter = *p == 'K' || *p == 'k' ? 1e3 : *p == 'M' ? 1e6 : *p == 'B' ? 1e9 : *p == 'T' ? 1e12 : 0;
    if (letter > 0 && !isalpha((unsigned char)p[1])) {
        *text = p + 1;
        return letter;
    }
    return 1;
}

/* "*10^9", "x 10^9", "e9" behind a mantissa. */
static double power_factor(const char **text) {
    const char *p = *text;
    int power, used = 0;
    if ((*p == 'e' || *p == 'E') && sscanf(p + 1, "%3d%n", &power, &used) == 1) {
        *text = p + 1 + used;
        return pow(10, power);
    }
    while (*p == ' ') p++;
    if (strncmp(p, "\xc3\x97", 2) == 0)
        p++; /* the multiplication sign, of two bytes */
    else if (*p != '*' && *p != 'x')
        return 1;
    p++;
    while (*p == ' ') p++;
    if (strncmp(p, "10^", 3) != 0 || sscanf(p + 3, "%3d%n", &power, &used) != 1) return 1;
    *text = p + 3 + used;
    return pow(10, power);
}

bool check_number(const char **text, double *value, double *step) {
    const char *p = *text;
    for (; *p; p++)
        if (isdigit((unsigned char)*p) &&
            (p == *text || (!isalnum((unsigned char)p[-1]) && p[-1] != '_' && p[-1] != '.')))
            break;
    if (!*p) return false;
    char digits[64];
    size_t n = 0, zeros = 0, decimals = 0;
    bool point = false;
    for (; *p && n + 1 < sizeof digits; p++) {
        bool group = (*p == ',' || *p == '_' || *p == '\'') && isdigit((unsigned char)p[1]) &&
                     isdigit((unsigned char)p[2]) && isdigit((unsigned char)p[3]) && !point;
        if (group) continue;
        if (*p == '.' && !point && isdigit((unsigned char)p[1])) {
            point = true;
            digits[n++] = '.';
            continue;
        }
        if (!isdigit((unsigned char)*p)) break;
        digits[n++] = *p;
        decimals += point;
        zeros = *p == '0' && !point ? zeros + 1 : 0;
    }
    digits[n] = 0;
    if (!json_decimal(digits, value)) {
        *text = *p ? p + 1 : p;
        return false;
    }
    double factor = power_factor(&p);
    if (factor == 1) factor = word_factor(&p);
    *step = factor * (point ? pow(10, -(double)decimals) : pow(10, (double)zeros));
    *value *= factor;
    *text = p;
    return true;
}

static bool near(double says, double step, double is) {
    return fabs(says - is) <= (step > 1 ? step * 0.75 : 0.5); /* rounded, or nearly: 7.2 of 7.24, not of 7.3 */
}

/* ---- kinds ---- */

static check_answer judge_count(const char *says, uint64_t is, bool before, arena *a) {
    check_answer out = { false, true, is ? record_text(a, "%" PRIu64, is) : NULL };
    const char *active = strstr(says, "of which"), *p = before || !active ? says : active;
    double value, step;
    if (!is) return out;
    while (*p && !(before && active && p >= active)) {
        const char *from = p;
        bool number = check_number(&p, &value, &step);
        if (!number && (p == from || !*p)) break;
        if (!number || value < 1000 || (before && active && p > active)) continue;
        out.checkable = true;
        out.agrees = out.agrees && near(value, step, (double)is);
    }
    if (!out.checkable && isdigit((unsigned char)*says)) { /* small models */
        p = says;
        out.checkable = check_number(&p, &value, &step);
        out.agrees = out.checkable && near(value, step, (double)is);
    }
    return out;
}

static check_answer judge_range(const char *says, record *r) {
    const char *is = record_range(r->summary.parameters);
    return (check_answer){ is != NULL, is && strcmp(says, is) == 0, is };
}

static check_answer judge_context(const char *says, record *r, arena *a) {
    uint64_t is = r->summary.context;
    check_answer out = { false, true, is ? record_text(a, "%" PRIu64 " tokens", is) : NULL };
    double value, step;
    const char *p = says;
    if (!is || !check_number(&p, &value, &step) || value < 2) return out;
    out.checkable = true;
    bool kibi = fmod(value, 1000) == 0 && value / 1000 * 1024 == (double)is; /* 128K of 131072 */
    out.agrees = value == (double)is || kibi;
    return out;
}

static size_t hex_run(const char *p) {
    size_t n = 0;
    while (isxdigit((unsigned char)p[n])) n++;
    return n;
}

/* Every run of 64 digits: of the tensors where "digest" stands before it, of a file where its name stands behind it. */
static check_answer judge_digest(const char *says, record *r, arena *a) {
    check_answer out = { false, true, NULL };
    for (const char *p = says; *p;) {
        size_t n = hex_run(p);
        if (n != 64) {
            p += n ? n : 1;
            continue;
        }
        uint8_t digest[32];
        char hex[65];
        snprintf(hex, sizeof hex, "%.64s", p);
        for (char *q = hex; *q; q++) *q = (char)tolower((unsigned char)*q);
        bool good = digest_from_hex(p, 64, digest, 32), found = strcmp(hex, r->digest) == 0, named = false;
        const char *is = r->digest[0] ? record_text(a, "tola digest %s", r->digest) : NULL, *name = p + 64;
        while (*name == ' ') name++;
        size_t length = strcspn(name, "\n");
        for (size_t i = 0; good && i < r->file_count; i++) {
            const record_file *f = &r->files[i];
            bool same = f->hashed && memcmp(f->sha256, digest, 32) == 0;
            if (strlen(f->name) == length && memcmp(f->name, name, length) == 0) {
                named = true;
                found = same;
                digest_to_hex(f->sha256, 32, hex);
                is = record_text(a, "sha256 %s %s", hex, f->name);
                break;
            }
            found = found || same;
        }
        if (!named && length && strncmp(p > says + 7 ? p - 7 : says, "sha256", 6) == 0 && !found)
            is = record_text(a, "no file %.*s", (int)(length < 200 ? length : 200), name);
        if (r->digest[0]) {
            out.checkable = true;
            if (!found && out.agrees) {
                out.agrees = false;
                out.is = is;
            }
        }
        p += n;
    }
    if (!out.is && r->digest[0]) out.is = record_text(a, "tola digest %s", r->digest);
    return out;
}

static tola_dtype dtype_of(const char *word) {
    static const char *const others[][2] = {
        { "float32", "f32" }, { "float16", "f16" }, { "bfloat16", "bf16" }, { "half", "f16" }, { "float64", "f64" }
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(word, others[i][0]) == 0) word = others[i][1];
    return tola_dtype_parse(word);
}

static check_answer judge_dtype(const char *says, record *r) {
    check_answer out = { false, true, record_dtypes(r) };
    const tola_summary *s = &r->summary;
    int most = -1;
    bool has_most = false;
    for (int d = 0; d < TOLA_DTYPE_COUNT; d++)
        if (s->dtypes[d].tensors && (most < 0 || s->dtypes[d].bytes > s->dtypes[most].bytes)) most = d;
    for (const char *p = says; *p;) {
        char word[32];
        size_t n = 0;
        while (p[n] && (isalnum((unsigned char)p[n]) || p[n] == '_')) n++;
        if (n > 0 && n < sizeof word) {
            for (size_t i = 0; i < n; i++) word[i] = (char)tolower((unsigned char)p[i]);
            word[n] = 0;
            tola_dtype d = dtype_of(word);
            if (d != TOLA_DTYPE_NONE && (unsigned)d < TOLA_SUMMARY_DTYPES) {
                out.checkable = most >= 0;
                if (!s->dtypes[d].tensors) out.agrees = false;
                if ((int)d == most) has_most = true;
            }
        }
        p += n ? n : 1;
    }
    if (out.checkable && !has_most) out.agrees = false;
    return out;
}

/* The family that a word names, by any of the names it has. */
static const family *family_of(const char *word) {
    const family *f = families_by_model_type(word);
    if (!f) f = families_by_gguf(word);
    return f ? f : families_by_class(word);
}

static check_answer judge_architecture(const char *says, record *r) {
    const tola_summary *s = &r->summary;
    check_answer out = { false, true, s->architecture ? s->architecture : s->model_class };
    bool own = false, other = false;
    if (!out.is) return out;
    for (const char *p = says; *p;) {
        char word[80], lower[80];
        size_t n = 0;
        while (p[n] && (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == '-' || p[n] == '.')) n++;
        if (n > 0 && n < sizeof word) {
            memcpy(word, p, n);
            word[n] = 0;
            for (size_t i = 0; i <= n; i++) lower[i] = (char)tolower((unsigned char)word[i]);
            const family *f = family_of(word);
            if (!f) f = family_of(lower);
            if ((s->architecture && strcasecmp(word, s->architecture) == 0) ||
                (s->model_class && strcasecmp(word, s->model_class) == 0) ||
                (f && s->architecture && strcmp(f->name, s->architecture) == 0))
                own = true;
            else if (f && s->architecture)
                other = true;
        }
        p += n ? n : 1;
    }
    const char *layers = strstr(says, " layers");
    if (layers && s->layers) { /* "22 layers" */
        const char *p = layers;
        while (p > says && isdigit((unsigned char)p[-1])) p--;
        unsigned long long n = 0;
        if (p < layers && sscanf(p, "%20llu", &n) == 1) {
            own = true;
            other = other || n != s->layers;
        }
    }
    out.checkable = own || other;
    out.agrees = own && !other;
    return out;
}

static bool same_licence(const char *a, const char *b) {
    const char *x = bom_spdx_licence(a), *y = bom_spdx_licence(b);
    return strcasecmp(a, b) == 0 || (x && y && strcmp(x, y) == 0);
}

static check_answer judge_licence(const char *says, record *r) {
    check_answer out = { r->licence != NULL, true, r->licence };
    char word[128];
    if (!r->licence) return out;
    size_t n = strcspn(says, " \n,;:(");
    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), says);
    out.agrees = same_licence(says, r->licence) || same_licence(word, r->licence);
    /* a category in words names no licence */
    if (!out.agrees && strchr(says, ' ') && !bom_spdx_licence(word)) out.checkable = false;
    return out;
}

static check_answer judge_file(const check_claim *c, record *r, arena *a) {
    check_answer out = { false, false, NULL };
    for (size_t i = 0; i < r->file_count; i++) {
        char hex[65];
        const record_file *f = &r->files[i];
        if (strcmp(f->name, c->name) != 0) continue;
        if (!f->hashed) return out;
        digest_to_hex(f->sha256, 32, hex);
        return (check_answer){ true, strcasecmp(hex, c->says) == 0, record_text(a, "%s", hex) };
    }
    return (check_answer){ true, false, "no such file" };
}

check_answer check_judge(const check_claim *c, record *r, arena *a) {
    switch (c->kind) {
    case CHECK_PARAMETERS: return judge_count(c->says, r->summary.parameters, true, a);
    case CHECK_ACTIVE: return judge_count(c->says, r->summary.active, false, a);
    case CHECK_RANGE: return judge_range(c->says, r);
    case CHECK_DIGEST: return judge_digest(c->says, r, a);
    case CHECK_DTYPE: return judge_dtype(c->says, r);
    case CHECK_ARCHITECTURE: return judge_architecture(c->says, r);
    case CHECK_CONTEXT: return judge_context(c->says, r, a);
    case CHECK_LICENCE: return judge_licence(c->says, r);
    case CHECK_FILE: return judge_file(c, r, a);
    case CHECK_KINDS: break;
    }
    return (check_answer){ false, true, NULL };
}

const char *check_name(const check_claim *c, arena *a) {
    static const char *const names[CHECK_KINDS] = { "parameters",
                                                    "active parameters",
                                                    "range of parameters",
                                                    "digest",
                                                    "dtype",
                                                    "architecture",
                                                    "context",
                                                    "licence",
                                                    "sha256" };
    return c->kind == CHECK_FILE ? record_text(a, "sha256 of %s", c->name) : names[c->kind];
}

/* ---- the public face ---- */

typedef struct verdict_owner {
    check_claims claims;
    record r;
    tola_paper_claim *items;
    size_t count, cap;
} verdict_owner;

static void free_owner(verdict_owner *v) {
    if (!v) return;
    check_free(&v->claims);
    record_dispose(&v->r);
    mem_free(v->items);
    mem_free(v);
}

static tola_status add(verdict_owner *v, tola_paper_verdict *out, const tola_paper_claim *claim, tola_error *err) {
    if (!mem_grow(&v->items, &v->cap, v->count + 1, sizeof *v->items) || !claim->what)
        return err_nomem(err, "checking a document");
    v->items[v->count++] = *claim;
    out->checked++;
    out->agrees = out->agrees && claim->agrees;
    return TOLA_OK;
}

/* Two claims of active parameters are in one line of text where they differ from all of them. */
static tola_status judge_all(verdict_owner *v, tola_paper_verdict *out, tola_error *err) {
    arena *a = &v->claims.a;
    for (size_t i = 0; i < v->claims.count; i++) {
        check_claim *c = &v->claims.items[i];
        check_answer answer = check_judge(c, &v->r, a);
        tola_paper_claim claim = { check_name(c, a), c->says, answer.is, c->line, answer.agrees };
        if (answer.checkable) TRY(add(v, out, &claim, err));
        if (c->kind != CHECK_PARAMETERS || !strstr(c->says, "of which")) continue;
        check_claim active = { CHECK_ACTIVE, NULL, c->says, c->line };
        answer = check_judge(&active, &v->r, a);
        claim = (tola_paper_claim){ check_name(&active, a), c->says, answer.is, c->line, answer.agrees };
        if (answer.checkable) TRY(add(v, out, &claim, err));
    }
    return TOLA_OK;
}

/* Weights that a bill does not list. */
static tola_status find_unlisted(verdict_owner *v, tola_paper_verdict *out, tola_error *err) {
    size_t files = tola_checkpoint_file_count(v->r.checkpoint);
    if (!v->claims.lists_files) return TOLA_OK;
    for (size_t i = 0; i < files; i++) {
        const char *name = path_last(tola_checkpoint_file(v->r.checkpoint, i)->path);
        bool listed = files == 1 && v->r.file_count == 1; /* a single file may be listed by the model's own name */
        for (size_t k = 0; k < v->claims.count && !listed; k++) {
            const check_claim *c = &v->claims.items[k];
            listed = c->kind == CHECK_FILE && strcmp(path_last(c->name), name) == 0;
        }
        tola_paper_claim claim = { record_text(&v->claims.a, "sha256 of %s", name), "nothing", "it is there", 0,
                                   false };
        if (!listed) TRY(add(v, out, &claim, err));
    }
    return TOLA_OK;
}

static tola_status check_file(const char *path, const char *model, const tola_paper_options *o, verdict_owner *v,
                              tola_paper_verdict *out, tola_error *err) {
    const char *ignore[] = { path, NULL };
    record_options how = { o->no_digest, NULL, ignore, o->threads, o->progress, o->progress_user };
    buf text;
    TRY(whole_read(path, CHECK_MOST_BYTES, &text, err));
    tola_status status = check_read((const char *)text.data, text.length, &v->claims, err);
    whole_wipe(&text);
    if (status != TOLA_OK) return err_in_file(err, status, path);
    TRY(record_open(model, &how, &v->r, err));
    out->agrees = true;
    TRY(judge_all(v, out, err));
    TRY(find_unlisted(v, out, err));
    if (record_failed(&v->claims.a) || record_failed(&v->r.a)) return err_nomem(err, "checking a document");
    if (out->checked == 0) {
        err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "says nothing of the weights that can be checked");
        return err_in_file(err, TOLA_E_FORMAT, path);
    }
    out->claims = v->items;
    out->count = v->count;
    return TOLA_OK;
}

tola_status tola_paper_check(const char *paper, const char *model, const tola_paper_options *options,
                             tola_paper_verdict *out, tola_error *err) {
    tola_paper_options o = TOLA_PAPER_OPTIONS_INIT;
    tola_paper_verdict verdict = { .size = sizeof verdict };
    TRY(options_take(&o, sizeof o, options, err));
    verdict_owner *v = mem_calloc(1, sizeof *v);
    if (!v) return err_nomem(err, "checking a document");
    tola_status status = check_file(paper, model, &o, v, &verdict, err);
    if (status != TOLA_OK) {
        free_owner(v);
        return status;
    }
    verdict.owner = v;
    *out = verdict;
    return TOLA_OK;
}

void tola_paper_verdict_dispose(tola_paper_verdict *verdict) {
    if (!verdict) return;
    free_owner(verdict->owner);
    memset(verdict, 0, sizeof *verdict);
}
