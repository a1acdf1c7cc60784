/* tola log show: entries put together into runs, as text, or as they are, as JSON. */
#include "log_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tola/log.h>

#include "frame.h"

typedef struct run {
    uint64_t begin;
    bool shown;
    bool ended;
    int64_t exit_code;
    uint64_t signal;
    double seconds;
    bool recent, match; /* passed --since, --digest */
    char time[32], user[64], verb[32];
    char *lines; /* "in ..." and "out ..." */
    size_t length;
} run;

typedef struct showing {
    const log_filter *filter;
    char since[32]; /* as entries write times; "" = any */
    run *runs;
    size_t count, cap;
    uint64_t entries;
    tola_json json;
} showing;

/* ---- --since ---- */

static void format_time(int64_t seconds, char out[32]) {
    const time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
}

/* "24h": before now. */
static bool parse_duration(const char *text, int64_t *out) {
    static const struct {
        char unit;
        long seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 9 || !text[n] || text[n + 1]) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].unit == text[n]) {
            *out = time(NULL) - strtoll(text, NULL, 10) * units[i].seconds;
            return true;
        }
    return false;
}

static int parse_since(const char *text, char out[32]) {
    int64_t t;
    if (!parse_duration(text, &t) && !cli_parse_time(text, &t))
        return cli_fail("--since: '%s' is no time; 2026-11-22, 2026-11-22T08:30, 24h and 7d are", text);
    format_time(t, out);
    return CLI_YES;
}

/* ---- collecting ---- */

static void append(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(run *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = frame_format(format, args);
    va_end(args);
    size_t n = strlen(text);
    r->lines = frame_realloc(r->lines, r->length + n + 1);
    memcpy(r->lines + r->length, text, n + 1);
    r->length += n;
    free(text);
}

static const char *text_of(const tola_value *v, const char *key, const char *otherwise) {
    return tola_value_str(tola_value_get(v, key), otherwise);
}

static uint64_t number_of(const tola_value *v, const char *key) {
    const tola_value *n = tola_value_get(v, key);
    return n && n->kind == TOLA_VALUE_UINT ? n->as.u64 : UINT64_MAX;
}

/* Is `digest` ("sha256:...") the one that is asked for, or does it begin so? */
static bool same_digest(const char *digest, const char *wanted) {
    if (strncmp(wanted, "sha256:", 7) == 0) wanted += 7;
    if (strncmp(digest, "sha256:", 7) == 0) digest += 7;
    return strncasecmp(digest, wanted, strlen(wanted)) == 0;
}

static void take_things(showing *s, run *r, const tola_value *list, const char *way) {
    if (!list || list->kind != TOLA_VALUE_ARRAY) return;
    for (uint64_t i = 0; i < list->as.array.count; i++) {
        tola_value v = tola_value_at(list, i);
        const char *path = text_of(&v, "path", "?"), *digest = text_of(&v, "digest", NULL);
        const char *why = text_of(&v, "why", NULL), *kind = text_of(&v, "kind", "?");
        uint64_t bytes = number_of(&v, "bytes");
        char size[32];
        if (digest && s->filter->digest) r->match |= same_digest(digest, s->filter->digest);
        append(r, "    %-3s  %s", way, path);
        if (bytes != UINT64_MAX) append(r, "  (%s, %s)", kind, text_bytes(size, sizeof size, bytes));
        if (bytes == UINT64_MAX) append(r, "  (%s)", kind);
        if (digest) append(r, "\n         %s", digest);
        if (why) append(r, "\n         no digest: %s", why);
        append(r, "\n");
    }
}

/* Where the output will go, as far as the beginning knows. */
static void take_paths(run *r, const tola_value *list) {
    if (!list || list->kind != TOLA_VALUE_ARRAY) return;
    for (uint64_t i = 0; i < list->as.array.count; i++) {
        tola_value v = tola_value_at(list, i);
        append(r, "    to   %s\n", tola_value_str(&v, "?"));
    }
}

static run *find(showing *s, uint64_t begin) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->runs[middle].begin < begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->count && s->runs[low].begin == begin ? &s->runs[low] : NULL;
}

static run *add_run(showing *s, const tola_log_entry *e) {
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->runs = frame_realloc(s->runs, s->cap * sizeof *s->runs);
    }
    run *r = &s->runs[s->count++];
    *r = (run){ .begin = e->number };
    const char *user = text_of(e->value, "user", NULL);
    snprintf(r->time, sizeof r->time, "%s", text_of(e->value, "time", "?"));
    snprintf(r->verb, sizeof r->verb, "%s", text_of(e->value, "verb", "?"));
    if (user)
        snprintf(r->user, sizeof r->user, "%s", user);
    else
        snprintf(r->user, sizeof r->user, "uid %" PRIu64, number_of(e->value, "uid"));
    return r;
}

static tola_status collect(void *user, const tola_log_entry *e, tola_error *err) {
    showing *s = user;
    (void)err;
    s->entries++;
    const char *event = text_of(e->value, "event", "");
    run *r = strcmp(event, "begin") == 0 ? add_run(s, e) : find(s, number_of(e->value, "begin"));
    if (!r) return TOLA_OK;
    r->recent |= !s->since[0] || strcmp(text_of(e->value, "time", ""), s->since) >= 0;
    take_things(s, r, tola_value_get(e->value, "inputs"), "in");
    if (strcmp(event, "begin") == 0) {
        const char *out = text_of(e->value, "stdout", "terminal");
        take_paths(r, tola_value_get(e->value, "outputs"));
        if (out[0] == '/') append(r, "    to   %s (stdout)\n", out);
    }
    if (strcmp(event, "end") == 0) {
        const tola_value *code = tola_value_get(e->value, "exit"), *took = tola_value_get(e->value, "seconds");
        r->ended = true;
        r->exit_code = code && (code->kind == TOLA_VALUE_UINT || code->kind == TOLA_VALUE_INT) ? code->as.i64 : -1;
        r->signal = number_of(e->value, "signal");
        if (took && took->kind == TOLA_VALUE_FLOAT) r->seconds = took->as.f64;
        if (took && took->kind == TOLA_VALUE_UINT) r->seconds = (double)took->as.u64;
        take_things(s, r, tola_value_get(e->value, "outputs"), "out");
    }
    return TOLA_OK;
}

static void choose(showing *s) {
    const log_filter *f = s->filter;
    for (size_t i = 0; i < s->count; i++) {
        run *r = &s->runs[i];
        r->shown = r->recent && (!f->digest || r->match) && (!f->verb || strcmp(f->verb, r->verb) == 0) &&
                   (!f->user || strcmp(f->user, r->user) == 0 ||
                    (strncmp(r->user, "uid ", 4) == 0 && strcmp(r->user + 4, f->user) == 0));
    }
}

/* ---- text ---- */

static void print_run(const run *r) {
    char count[32];
    out_styled(OUT_BOLD, "%s", text_grouped(count, sizeof count, r->begin));
    out_printf("  %.19sZ  ", r->time);
    out_text(r->user);
    out_printf("  ");
    out_styled(OUT_BOLD, "%s", r->verb);
    if (!r->ended)
        out_styled(OUT_YELLOW, "  no end: killed, or still running");
    else if (r->signal != UINT64_MAX)
        out_styled(OUT_YELLOW, "  interrupted (signal %" PRIu64 ") after %.1f s", r->signal, r->seconds);
    else
        out_styled(r->exit_code == 0 ? OUT_GREEN : OUT_PLAIN, "  exit %" PRId64 ", %.1f s", r->exit_code, r->seconds);
    out_printf("\n%s", r->lines ? r->lines : "");
}

static int print_text(showing *s) {
    size_t shown = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->runs[i].shown) continue;
        print_run(&s->runs[i]);
        shown++;
    }
    if (!cli.quiet)
        out_printf("%zu of %zu runs, %" PRIu64 " entries; 'tola log verify' tells whether they are what was written\n",
                   shown, s->count, s->entries);
    return CLI_YES;
}

/* ---- JSON ---- */

static tola_status write_entry(void *user, const tola_log_entry *e, tola_error *err) {
    showing *s = user;
    (void)err;
    const log_filter *f = s->filter;
    const char *event = text_of(e->value, "event", "");
    const run *r = find(s, strcmp(event, "begin") == 0 ? e->number : number_of(e->value, "begin"));
    bool all = !f->digest && !f->verb && !f->user && !s->since[0]; /* then what belongs to no run, too */
    if (r ? !r->shown : !all) return TOLA_OK;
    if (e->value)
        tola_json_value(&s->json, e->value);
    else
        tola_json_string_n(&s->json, e->text, e->length);
    return TOLA_OK;
}

static int print_json(showing *s, const char *log) {
    tola_error err = TOLA_ERROR_INIT;
    out_json_begin(&s->json);
    tola_json_begin_object(&s->json);
    tola_json_key(&s->json, "schema");
    tola_json_string(&s->json, "tola.log/1");
    tola_json_key(&s->json, "size");
    tola_json_u64(&s->json, s->entries);
    tola_json_key(&s->json, "entries");
    tola_json_begin_array(&s->json);
    tola_status status = tola_log_read(log, write_entry, s, &err);
    tola_json_end_array(&s->json);
    tola_json_end_object(&s->json);
    out_json_end(&s->json);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

int log_show(const char *log, const log_filter *filter) {
    showing s = { .filter = filter };
    tola_error err = TOLA_ERROR_INIT;
    if (filter->since && parse_since(filter->since, s.since) != CLI_YES) return CLI_ERROR;
    tola_status status = tola_log_read(log, collect, &s, &err);
    int code = status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
    choose(&s);
    if (code == CLI_YES) code = cli.json ? print_json(&s, log) : print_text(&s);
    for (size_t i = 0; i < s.count; i++) free(s.runs[i].lines);
    free(s.runs);
    return code;
}
