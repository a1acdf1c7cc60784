/* Gathering a record: files and hashes, summary, card, and the small files that Tola's verbs leave beside weights. */
#define _GNU_SOURCE 1 /* memmem */
#include "policy/record.h"

#include <stdlib.h>

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "trust/provenance.h"
#include "trust/sign_name.h"
#include "trust/whole.h"
#include <tola/encrypt.h>
#include <tola/learn.h>
#include <tola/sign.h>

/* ---- words ---- */

const char *record_text(arena *a, const char *pattern, ...) {
    va_list args, again;
    va_start(args, pattern);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, pattern, args);
    va_end(args);
    char *text = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (text)
        vsnprintf(text, (size_t)n + 1, pattern, again);
    else
        a->limit = 1; /* record_failed: what could not be written must not look like what is unknown */
    va_end(again);
    return text;
}

bool record_failed(const arena *a) { return a->limit == 1; }

const char *record_figures(arena *a, double value, int figures) {
    if (!(value > 0) || !isfinite(value)) return record_text(a, "%g", value);
    int power = (int)floor(log10(value));
    double lead = value / pow(10, power), scale = pow(10, figures - 1);
    lead = round(lead * scale) / scale;
    if (lead >= 10) {
        lead /= 10;
        power++;
    }
    if (power >= 0 && power < 4)
        return record_text(a, "%.*f", power >= figures ? 0 : figures - 1 - power, lead * pow(10, power));
    return record_text(a, "%.*f*10^%d", figures - 1, lead, power);
}

static const char *grouped(arena *a, uint64_t value) {
    char digits[32], text[48];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, value), used = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) text[used++] = ',';
        text[used++] = digits[i];
    }
    return arena_strndup(a, text, (size_t)used);
}

const char *record_parameters(record *r) {
    const tola_summary *s = &r->summary;
    if (s->parameters == 0) return NULL;
    const char *all = record_figures(&r->a, (double)s->parameters, 2), *exact = grouped(&r->a, s->parameters);
    if (!all || !exact) return NULL;
    if (s->active == 0 || s->active == s->parameters) return record_text(&r->a, "%s parameters (%s)", all, exact);
    const char *active = record_figures(&r->a, (double)s->active, 2), *exactly = grouped(&r->a, s->active);
    if (!active || !exactly) return NULL;
    return record_text(&r->a, "%s parameters (%s), of which %s (%s) are active for a token", all, exact, active,
                       exactly);
}

const char *record_range(uint64_t parameters) {
    static const struct {
        uint64_t below;
        const char *name;
    } ranges[] = { { 500000000u, "1-500M" },     { 5000000000u, "500M-5B" },    { 15000000000u, "5B-15B" },
                   { 50000000000u, "15B-50B" },  { 100000000000u, "50B-100B" }, { 500000000000u, "100B-500B" },
                   { 1000000000000u, "500B-1T" } };
    if (parameters == 0) return NULL;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (parameters < ranges[i].below) return ranges[i].name;
    return ">1T";
}

const char *record_dtypes(record *r) {
    const tola_summary *s = &r->summary;
    bool used[TOLA_SUMMARY_DTYPES] = { false };
    const char *text = NULL;
    for (int rank = 0; rank < 4; rank++) {
        int best = -1;
        for (int d = 0; d < TOLA_DTYPE_COUNT; d++) {
            if (used[d] || s->dtypes[d].tensors == 0) continue;
            if (best < 0 || s->dtypes[d].bytes > s->dtypes[best].bytes) best = d;
        }
        if (best < 0) break;
        used[best] = true;
        const char *name = tola_dtype_name((tola_dtype)best);
        text = text ? record_text(&r->a, "%s, %s", text, name) : name;
    }
    return text;
}

static tola_status warn(record *r, tola_error *err, const char *pattern, ...) __attribute__((format(printf, 3, 4)));
static tola_status warn(record *r, tola_error *err, const char *pattern, ...) {
    char text[1024];
    va_list args;
    va_start(args, pattern);
    int n = vsnprintf(text, sizeof text, pattern, args);
    va_end(args);
    if (n < 0) return TOLA_OK;
    char *copy = arena_strndup(&r->a, text, strlen(text));
    if (!copy || !mem_grow(&r->warnings, &r->warning_cap, r->warning_count + 1, sizeof *r->warnings))
        return err_nomem(err, "reading what lies beside the weights");
    r->warnings[r->warning_count++] = copy;
    return TOLA_OK;
}

static const char *copy(record *r, const char *text) { return text ? arena_strndup(&r->a, text, strlen(text)) : NULL; }

/* A path on somebody's disk tells more than it should: its last component is kept. "org/name" stays. */
static const char *name_only(record *r, const char *text) {
    size_t length = strlen(text);
    const char *slash = strchr(text, '/');
    bool local = text[0] == '/' || text[0] == '.' || text[0] == '~' || strchr(text, '\\') || strstr(text, "file:") ||
                 (slash && strchr(slash + 1, '/') && !strstr(text, "://"));
    while (length > 1 && (text[length - 1] == '/' || text[length - 1] == '\\')) length--;
    size_t begin = 0;
    for (size_t i = 0; local && i < length; i++)
        if (text[i] == '/' || text[i] == '\\') begin = i + 1;
    return arena_strndup(&r->a, text + begin, length - begin);
}

/* ---- the card ---- */

bool record_front_matter(const char *text, size_t length, const char **begin, size_t *bytes) {
    if (length < 4 || memcmp(text, "---", 3) != 0 || (text[3] != '\n' && text[3] != '\r')) return false;
    const char *end = text + length, *line = memchr(text, '\n', length);
    if (!line) return false;
    *begin = ++line;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        while (n && (line[n - 1] == '\r' || line[n - 1] == ' ')) n--;
        if (n == 3 && memcmp(line, "---", 3) == 0) {
            *bytes = (size_t)(line - *begin);
            return true;
        }
        if (!stop) return false;
        line = stop + 1;
    }
    return false;
}

static tola_status read_card(record *r, tola_error *err) {
    void *data;
    size_t bytes, length;
    const char *text;
    tola_error detail = TOLA_ERROR_INIT;
    if (tola_checkpoint_companion(r->checkpoint, "README.md", &data, &bytes, &detail) != TOLA_OK) return TOLA_OK;
    tola_status status = TOLA_OK;
    if (bytes <= RECORD_CARD_BYTES && record_front_matter(data, bytes, &text, &length)) {
        status = yaml_parse("README.md", text, length, &r->card, &detail);
        if (status != TOLA_OK && status != TOLA_E_NOMEM)
            status = warn(r, err, "its front matter is passed over: %s", detail.message);
        else if (status != TOLA_OK)
            err_nomem(err, "reading README.md");
    }
    tola_free(data);
    return status;
}

const char *record_card(record *r, const char *key) {
    const yaml_node *n = r->card ? yaml_get(yaml_root(r->card), key) : NULL;
    if (!n || n->kind == YAML_MAP) return NULL;
    if (n->kind != YAML_LIST) return n->text && *n->text ? n->text : NULL;
    const char *text = NULL;
    for (size_t i = 0; i < n->count && i < 200; i++) {
        const yaml_node *item = n->items[i];
        if (item->kind == YAML_MAP || item->kind == YAML_LIST) continue;
        text = text ? record_text(&r->a, "%s, %s", text, item->text) : item->text;
    }
    return text;
}

/* ---- bases ---- */

static tola_status add_base(record *r, const char *name, const char *relation, const char *where, tola_error *err) {
    if (!name || !*name) return TOLA_OK;
    const char *own = name_only(r, name);
    if (!own) return err_nomem(err, "reading a model's bases");
    for (size_t i = 0; i < r->base_count; i++)
        if (strcmp(r->bases[i].name, own) == 0) return TOLA_OK;
    if (!mem_grow(&r->bases, &r->base_cap, r->base_count + 1, sizeof *r->bases))
        return err_nomem(err, "reading a model's bases");
    r->bases[r->base_count++] = (record_base){ own, copy(r, relation), where };
    return TOLA_OK;
}

static tola_status bases_of_gguf(record *r, tola_error *err) {
    const tola_value *m = tola_checkpoint_metadata(r->checkpoint);
    uint64_t count = tola_value_u64(tola_value_get(m, "general.base_model.count"), 0);
    const char *relation = r->summary.adapter ? "adapter" : NULL;
    for (uint64_t i = 0; i < count && i < 64; i++) {
        char key[80];
        snprintf(key, sizeof key, "general.base_model.%" PRIu64 ".name", i);
        const char *name = tola_value_str(tola_value_get(m, key), NULL);
        snprintf(key, sizeof key, "general.base_model.%" PRIu64 ".organization", i);
        const char *org = tola_value_str(tola_value_get(m, key), NULL);
        const char *both = name && org && !strchr(name, '/') ? record_text(&r->a, "%s/%s", org, name) : name;
        TRY(add_base(r, both, relation, "GGUF metadata", err));
    }
    return TOLA_OK;
}

static tola_status find_bases(record *r, tola_error *err) {
    const char *relation = record_card(r, "base_model_relation");
    const yaml_node *n = r->card ? yaml_get(yaml_root(r->card), "base_model") : NULL;
    if (n && n->kind == YAML_LIST) {
        for (size_t i = 0; i < n->count && i < 64; i++)
            if (n->items[i]->kind == YAML_STRING) TRY(add_base(r, n->items[i]->text, relation, "README.md", err));
    } else if (n && n->kind == YAML_STRING) {
        TRY(add_base(r, n->text, relation, "README.md", err));
    }
    const tola_value *config = tola_checkpoint_config(r->checkpoint);
    TRY(add_base(r, tola_value_str(tola_value_get(config, "base_model_name_or_path"), NULL), "adapter",
                 "adapter_config.json", err));
    return bases_of_gguf(r, err);
}

/* ---- what Tola's verbs left ---- */

static double number_of(const tola_value *map, const char *key) {
    return tola_value_f64(tola_value_get(map, key), NAN);
}

/* An estimate is a number, or {"value", "error"}, or has its error beside it as KEY_error. */
static double estimate_of(const tola_value *map, const char *key, double *error) {
    const tola_value *v = tola_value_get(map, key);
    char other[80];
    snprintf(other, sizeof other, "%s_error", key);
    *error = number_of(map, other);
    if (v && v->kind == TOLA_VALUE_MAP) {
        *error = number_of(v, "error");
        return number_of(v, "value");
    }
    return tola_value_f64(v, NAN);
}

static tola_status add_evaluation(record *r, const tola_value *v, const char *file, tola_error *err) {
    static const char *const names[] = { "perplexity",    "kl", "top1_agreement", "accuracy", "accuracy_characters",
                                         "accuracy_bytes" };
    const char *task = tola_value_str(tola_value_get(v, "task"), "perplexity");
    const char *protocol = tola_value_str(tola_value_get(v, "protocol"), NULL);
    uint64_t context = tola_value_u64(tola_value_get(v, "context"), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double error, value = estimate_of(v, names[i], &error);
        if (isnan(value)) continue;
        if (!mem_grow(&r->metrics, &r->metric_cap, r->metric_count + 1, sizeof *r->metrics))
            return err_nomem(err, "reading evaluations");
        record_metric m = { copy(r, task), names[i], NULL, copy(r, file), value, error };
        if (protocol)
            m.protocol = context ? record_text(&r->a, "%s, context %" PRIu64, protocol, context) : copy(r, protocol);
        r->metrics[r->metric_count++] = m;
    }
    return TOLA_OK;
}

static tola_status add_quantization(record *r, const tola_value *v, const char *file, tola_error *err) {
    if (!mem_grow(&r->quantizations, &r->quantization_cap, r->quantization_count + 1, sizeof *r->quantizations))
        return err_nomem(err, "reading reports");
    r->quantizations[r->quantization_count++] =
        (record_quantization){ copy(r, file),
                               copy(r, tola_value_str(tola_value_get(v, "format"), NULL)),
                               copy(r, tola_value_str(tola_value_get(v, "recipe"), NULL)),
                               number_of(v, "bits_per_weight"),
                               number_of(v, "rmse"),
                               number_of(v, "snr_db") };
    return TOLA_OK;
}

static tola_status add_provenance(record *r, const tola_value *v, const char *file, tola_error *err) {
    const tola_value *definition = tola_value_get(tola_value_get(v, "predicate"), "buildDefinition");
    const char *type = tola_value_str(tola_value_get(definition, "buildType"), "");
    arena a;
    provenance_file *inputs;
    size_t count = 0;
    tola_error detail = TOLA_ERROR_INIT;
    arena_init(&a, 0);
    tola_status status = provenance_inputs(v, &a, &inputs, &count, &detail);
    if (status == TOLA_OK && strncmp(type, "urn:tola:", 9) == 0) {
        size_t n = strcspn(type + 9, ":");
        r->made_by = arena_strndup(&r->a, type + 9, n < 40 ? n : 40);
        const char *relation = !r->made_by                           ? NULL
                               : strcmp(r->made_by, "quantize") == 0 ? "quantized"
                               : strcmp(r->made_by, "merge") == 0    ? "merge"
                                                                     : NULL;
        for (size_t i = 0; status == TOLA_OK && i < count && i < 10000; i++)
            status = add_base(r, inputs[i].model, relation, copy(r, file), err);
    } else if (status != TOLA_OK) {
        status = warn(r, err, "%s: %s", file, detail.message);
    }
    arena_free(&a);
    return status;
}

/* A JSON file: is it one of ours? `must` names a file that the caller vouches for. */
static tola_status read_report(record *r, const char *path, const char *name, bool must, tola_error *err) {
    buf text;
    arena a;
    tola_value v;
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = whole_read(path, RECORD_REPORT_BYTES, &text, &detail);
    if (status != TOLA_OK) {
        if (must && err) *err = detail;
        return must ? status : TOLA_OK;
    }
    arena_init(&a, (size_t)1 << 30);
    bool ours = must || memmem(text.data, text.length < 4096 ? text.length : 4096, "\"tola.", 6) ||
                memmem(text.data, text.length < 4096 ? text.length : 4096, "in-toto.io/Statement", 20);
    status = TOLA_OK;
    if (ours) status = json_parse((const char *)text.data, text.length, &a, &v, &detail);
    if (ours && status == TOLA_OK) {
        const char *schema = tola_value_str(tola_value_get(&v, "schema"), ""),
                   *type = tola_value_str(tola_value_get(&v, "_type"), "");
        if (strcmp(schema, "tola.eval/1") == 0)
            status = add_evaluation(r, &v, name, err);
        else if (strcmp(schema, "tola.quantize/1") == 0)
            status = add_quantization(r, &v, name, err);
        else if (strncmp(type, "https://in-toto.io/Statement/", 29) == 0)
            status = add_provenance(r, &v, name, err);
        else if (must)
            status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s: is no result of tola eval --json", path);
    } else if (ours && must) {
        if (err) *err = detail;
        err_in_file(err, status, path);
    } else if (ours) {
        status = warn(r, err, "%s: %s", name, detail.message);
    }
    arena_free(&a);
    whole_wipe(&text);
    return status;
}

static double last_of(const tola_learn_series *s) { return s->count ? s->values[s->count - 1] : NAN; }

static double sum_of(const tola_learn_series *s) {
    double sum = 0;
    for (size_t i = 0; i < s->count; i++) sum += s->values[i];
    return sum;
}

static tola_status read_log(record *r, const char *folder, tola_error *err) {
    record_training *t = &r->training;
    tola_learn_log *log;
    tola_error detail = TOLA_ERROR_INIT;
    char *path = path_join(folder, "log.jsonl");
    if (!path) return err_nomem(err, "reading the log");
    bool there = access(path, F_OK) == 0;
    mem_free(path);
    if (!there) return TOLA_OK;
    if (tola_learn_log_open(folder, &log, &detail) != TOLA_OK) return warn(r, err, "log.jsonl: is passed over");
    t->loss = t->validation_loss = t->seconds = t->energy_j = NAN;
    tola_learn_series s;
    size_t runs = 0;
    for (size_t i = 0; tola_learn_log_get(log, i, &s); i++) {
        if (strcmp(s.name, "loss") == 0) t->loss = last_of(&s);
        if (strcmp(s.name, "validation.loss") == 0) t->validation_loss = last_of(&s);
        if (strcmp(s.name, "run.seconds") == 0) {
            t->seconds = sum_of(&s);
            runs = s.count;
        }
        double last = last_of(&s);
        if (strcmp(s.name, "tokens") == 0 && last >= 0 && last < 0x1p63) t->tokens = (uint64_t)last;
        if (s.count && s.steps[s.count - 1] > (double)t->steps && s.steps[s.count - 1] < 0x1p63)
            t->steps = (uint64_t)s.steps[s.count - 1];
    }
    for (size_t i = 0; tola_learn_log_get(log, i, &s); i++)
        if (strcmp(s.name, "run.energy_j") == 0 && s.count == runs) t->energy_j = sum_of(&s);
    t->known = t->steps > 0;
    tola_learn_log_close(log);
    return TOLA_OK;
}

static bool reads_like_report(const char *name) {
    static const char *const others[] = { "config.json",
                                          "tokenizer.json",
                                          "tokenizer_config.json",
                                          "generation_config.json",
                                          "special_tokens_map.json",
                                          "vocab.json",
                                          "added_tokens.json",
                                          "preprocessor_config.json" };
    if (!text_ends_with(name, ".json") || text_ends_with(name, ".index.json")) return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0) return false;
    return true;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Beside a single file only what begins with its name (without its ending) is its own. */
static tola_status read_beside(record *r, const char *folder, const char *stem, tola_error *err) {
    DIR *dir = opendir(folder);
    char **names = NULL;
    size_t count = 0, cap = 0;
    tola_status status = TOLA_OK;
    if (!dir) return TOLA_OK;
    for (const struct dirent *e; status == TOLA_OK && (e = readdir(dir)) && count < RECORD_MOST_REPORTS;) {
        if (!reads_like_report(e->d_name) || (stem && strncmp(e->d_name, stem, strlen(stem)) != 0)) continue;
        char *own = arena_strndup(&r->a, e->d_name, strlen(e->d_name));
        if (!own || !mem_grow(&names, &cap, count + 1, sizeof *names))
            status = err_nomem(err, "reading reports");
        else
            names[count++] = own;
    }
    closedir(dir);
    if (count) qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; status == TOLA_OK && i < count; i++) {
        char *path = path_join(folder, names[i]);
        status = path ? read_report(r, path, names[i], false, err) : err_nomem(err, "reading reports");
        mem_free(path);
    }
    mem_free(names);
    return status;
}

/* ---- files ---- */

static tola_status hash_files(record *r, manifest_files *files, const record_options *o, tola_error *err) {
    manifest m;
    manifest_work work = { o->threads, o->progress, o->progress_user, 0 };
    manifest_init(&m);
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < files->count; i++)
        status = manifest_add_file(&m, &files->items[i], err);
    if (status == TOLA_OK) status = manifest_hash(files, DIGEST_SHA256, m.items, m.count, &work, err);
    for (size_t i = 0; status == TOLA_OK && i < m.count; i++) {
        memcpy(r->files[i].sha256, m.items[i].digest, sizeof r->files[i].sha256);
        r->files[i].hashed = true;
    }
    manifest_free(&m);
    return status;
}

static tola_status take_files(record *r, manifest_files *files, const record_options *o, tola_error *err) {
    size_t kept = 0;
    for (size_t i = 0; i < files->count; i++) /* what is no file cannot be hashed */
        if (files->items[i].kind == MANIFEST_FILE && utf8_valid(files->items[i].path, strlen(files->items[i].path)))
            files->items[kept++] = files->items[i];
    files->count = kept;
    if (kept > RECORD_MOST_FILES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s: more than %d files", r->name, RECORD_MOST_FILES);
    r->files = arena_alloc_array(&r->a, kept + 1, sizeof *r->files);
    if (!r->files) return err_nomem(err, "listing files");
    for (size_t i = 0; i < kept; i++) {
        const char *name = strcmp(files->items[i].path, ".") == 0 ? r->name : copy(r, files->items[i].path);
        r->files[i] = (record_file){ name, files->items[i].bytes, false, { 0 } };
        if (!name) return err_nomem(err, "listing files");
        r->bytes += files->items[i].bytes;
    }
    r->file_count = kept;
    return o->no_digest ? TOLA_OK : hash_files(r, files, o, err);
}

/* A folder's files, all but the signature and what is ignored. */
static tola_status folder_files(record *r, const char *model, const record_options *o, tola_error *err) {
    static const char *const never[] = { ".git", ".gitattributes", ".github", ".gitignore", ".cache", "model.sig" };
    manifest m;
    manifest_files files = { 0 };
    manifest_init(&m);
    m.rules.allow_symlinks = true;
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < sizeof never / sizeof *never; i++)
        status = manifest_ignore(&m, model, never[i], err);
    for (size_t i = 0; status == TOLA_OK && o->ignore && o->ignore[i]; i++)
        status = sign_ignore_file(&m, model, o->ignore[i], err);
    if (status == TOLA_OK) status = manifest_walk(model, &m.rules, &files, err);
    if (status == TOLA_OK) status = take_files(r, &files, o, err);
    manifest_files_free(&files);
    manifest_free(&m);
    return status;
}

/* Of a reference only names and sizes are known without reading all of it. */
static tola_status remote_files(record *r, tola_error *err) {
    size_t count = tola_checkpoint_file_count(r->checkpoint);
    r->files = arena_alloc_array(&r->a, count + 1, sizeof *r->files);
    if (!r->files) return err_nomem(err, "listing files");
    for (size_t i = 0; i < count; i++) {
        const tola_file_info *f = tola_checkpoint_file(r->checkpoint, i);
        const char *name = copy(r, path_last(f->path));
        if (!name) return err_nomem(err, "listing files");
        r->files[r->file_count++] = (record_file){ name, f->bytes, false, { 0 } };
        r->bytes += f->bytes;
    }
    return TOLA_OK;
}

/* Keeps those that the checkpoint reads. */
static void keep_weights(const record *r, const char *folder, manifest_files *files) {
    size_t kept = 0, count = tola_checkpoint_file_count(r->checkpoint), prefix = strlen(folder);
    for (size_t i = 0; i < files->count; i++) {
        bool own = false;
        for (size_t k = 0; k < count && !own; k++) {
            const char *path = tola_checkpoint_file(r->checkpoint, k)->path;
            if (strncmp(path, folder, prefix) == 0 && path[prefix] == '/') path += prefix + 1;
            own = strcmp(path, files->items[i].path) == 0;
        }
        if (own) files->items[kept++] = files->items[i];
    }
    files->count = kept;
}

/* The checkpoint's own files: of a single file, or of an index that names several. */
static tola_status weight_files(record *r, const char *model, const char *folder, const record_options *o,
                                tola_error *err) {
    manifest_rules rules = { .allow_symlinks = true };
    manifest_files files = { 0 };
    if (r->remote) return remote_files(r, err);
    bool encrypted = tola_encrypted(model), /* the files inside are not what is handed on */
        one = encrypted ||
              (tola_checkpoint_file_count(r->checkpoint) == 1 && !text_ends_with(model, ".index.json"));
    TRY(manifest_walk(encrypted ? model
                      : one     ? tola_checkpoint_file(r->checkpoint, 0)->path
                                : folder,
                      &rules, &files, err));
    if (!one) keep_weights(r, folder, &files);
    tola_status status = take_files(r, &files, o, err);
    manifest_files_free(&files);
    return status;
}

/* ---- all of it ---- */

static const char *stem_of(arena *a, const char *name) {
    const char *dot = strrchr(name, '.');
    return arena_strndup(a, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return mem_strdup(".");
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    char *out = mem_alloc(length + 1);
    if (!out) return NULL;
    memcpy(out, path, length);
    out[length] = 0;
    return out;
}

static tola_status find_licence(record *r, tola_error *err) {
    const char *id = record_card(r, "license"), *found = r->summary.licence;
    if (id && strcasecmp(id, "other") != 0) {
        r->licence = id;
        r->licence_where = "README.md";
    } else if (found) {
        const char *tail = strstr(found, " (LICENSE)");
        r->licence = arena_strndup(&r->a, found, tail ? (size_t)(tail - found) : strlen(found));
        if (!r->licence) return err_nomem(err, "reading the licence");
        r->licence_where = tail ? "LICENSE" : id ? "README.md" : "metadata";
    }
    return TOLA_OK;
}

static tola_status digest(record *r, const record_options *o, tola_error *err) {
    tola_job_options job = TOLA_JOB_OPTIONS_INIT;
    if (o->no_digest || r->remote) return TOLA_OK;
    job.threads = o->threads;
    job.progress = o->progress;
    job.progress_user = o->progress_user;
    return tola_digest(r->checkpoint, &job, r->digest, err);
}

static tola_status gather(record *r, const char *model, const record_options *o, tola_error *err) {
    tola_open_options open = TOLA_OPEN_OPTIONS_INIT;
    struct stat st;
    open.threads = o->threads;
    TRY(tola_checkpoint_open(model, &open, &r->checkpoint, err));
    TRY(tola_summarize(r->checkpoint, &r->summary, NULL, err));
    r->remote = strstr(model, "://") != NULL;
    bool folder = !r->remote && stat(model, &st) == 0 && S_ISDIR(st.st_mode);
    char *name = r->remote ? mem_strdup(path_last(model)) : sign_model_name(model), *beside = NULL;
    r->name = name ? copy(r, name) : NULL;
    mem_free(name);
    if (!r->name) return err_nomem(err, "reading a model");
    TRY(read_card(r, err));
    TRY(find_licence(r, err));
    tola_status status = find_bases(r, err);
    if (!r->remote) {
        beside = folder ? mem_strdup(model) : folder_of(model);
        if (!beside && status == TOLA_OK) status = err_nomem(err, "reading a model");
        if (status == TOLA_OK) status = read_beside(r, beside, folder ? NULL : stem_of(&r->a, r->name), err);
        if (status == TOLA_OK && folder) status = read_log(r, beside, err);
        char *signature = tola_signature_path(model);
        r->is_signed = signature && access(signature, F_OK) == 0;
        tola_free(signature);
    }
    for (size_t i = 0; status == TOLA_OK && o->evaluations && o->evaluations[i]; i++)
        status = read_report(r, o->evaluations[i], path_last(o->evaluations[i]), true, err);
    if (status == TOLA_OK) status = folder ? folder_files(r, model, o, err) : weight_files(r, model, beside, o, err);
    mem_free(beside);
    if (status == TOLA_OK) status = digest(r, o, err);
    return status;
}

tola_status record_open(const char *model, const record_options *options, record *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    arena_init(&out->a, 0);
    tola_status status = gather(out, model, options, err);
    if (status != TOLA_OK) record_dispose(out);
    return status;
}

void record_dispose(record *r) {
    if (!r) return;
    yaml_free(r->card);
    tola_summary_dispose(&r->summary);
    tola_checkpoint_close(r->checkpoint);
    mem_free(r->bases);
    mem_free(r->metrics);
    mem_free(r->quantizations);
    mem_free(r->warnings);
    arena_free(&r->a);
    memset(r, 0, sizeof *r);
}
