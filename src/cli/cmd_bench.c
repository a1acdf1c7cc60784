/* tola bench: how fast a model reads and writes here, beside what the machine gives at best. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

enum { ROUNDS_MOST = 1001, COUNTS_MOST = 16 };
#define READ_MOST ((uint64_t)2 << 30)
#define TOKENS_MOST 10000000u

typedef struct settings {
    uint64_t prompt, generate, depth, rounds;
    const char *thread_counts;
    tola_dtype kv_type;
    cli_list adapter;
} settings;

static const cli_option options[] = {
    { "prompt", 0, CLI_UINT, "N", "Read N tokens at once (512); 0: leave that out", offsetof(settings, prompt), NULL,
      NULL },
    { "generate", 0, CLI_UINT, "N", "Then N tokens one by one (64); 0: leave that out", offsetof(settings, generate),
      NULL, NULL },
    { "depth", 0, CLI_UINT, "N", "Those stand behind N others (0)", offsetof(settings, depth), NULL, NULL },
    { "rounds", 0, CLI_UINT, "N", "Measure everything N times (5)", offsetof(settings, rounds), NULL, NULL },
    { "thread-counts", 0, CLI_STRING, "N,...", "Measure with each of these numbers of threads (--threads)",
      offsetof(settings, thread_counts), NULL, NULL },
    { "kv-type", 0, CLI_DTYPE, "TYPE", "Keep keys and values as f32, f16, bf16, q8_0 or q4_0 (f16)",
      offsetof(settings, kv_type), NULL, "dtype" },
    { "adapter", 0, CLI_LIST, "A[:SCALE]", "Add the LoRA adapter A, a folder or a GGUF file",
      offsetof(settings, adapter), NULL, "file" },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};
static const settings defaults = { .prompt = 512, .generate = 64, .rounds = 5 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- series of measurements ---- */

typedef struct series {
    double values[ROUNDS_MOST];
} series;

typedef struct spread {
    double median, min, max;
} spread;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static spread spread_of(const series *s, size_t n) {
    double sorted[ROUNDS_MOST];
    if (n == 0) return (spread){ NAN, NAN, NAN };
    memcpy(sorted, s->values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    return (spread){ (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0], sorted[n - 1] };
}

/* ---- what is measured ---- */

/* With one number of threads. */
typedef struct subject {
    unsigned threads;
    tola_session *session;
    series prefill, decode;                                    /* tokens a second */
    series limits[TOLA_LIMIT_COUNT], shares[TOLA_LIMIT_COUNT]; /* shares: decode of reading, prefill of the others */
} subject;

typedef struct bench {
    const settings *set;
    const tola_model *model;
    const tola_model_info *info;
    tola_machine *machine;
    subject *subjects;
    size_t count, rounds; /* rounds: done */
    double operations;    /* of reading the prompt; NaN where the model's shape is not known */
    tola_step_token *tokens;
    uint64_t random;
} bench;

enum { PROMPT = 0, BEHIND, SEQUENCES };

/* Any ids do: the arithmetic is the same (xorshift64, Marsaglia 2003). */
static void fill_tokens(bench *b, size_t count, uint32_t sequence, bool output) {
    for (size_t i = 0; i < count; i++) {
        b->random ^= b->random << 13;
        b->random ^= b->random >> 7;
        b->random ^= b->random << 17;
        b->tokens[i] = (tola_step_token){ (uint32_t)(b->random % b->info->vocabulary), sequence, false };
    }
    if (count) b->tokens[count - 1].output = output;
}

static bool go_on(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return !cli_interrupted();
}

static tola_status measure_prefill(bench *b, const subject *s, double *speed, tola_error *err) {
    const size_t n = (size_t)b->set->prompt;
    fill_tokens(b, n, PROMPT, true);
    tola_status status = tola_session_truncate(s->session, PROMPT, 0, err);
    double start = now();
    if (status == TOLA_OK) status = tola_session_step(s->session, b->tokens, n, go_on, NULL, err);
    *speed = (double)n / (now() - start);
    return status;
}

/* Back to the tokens that generation stands behind; a window that moved on has to be read again. */
static tola_status rewind_to_depth(bench *b, const subject *s, tola_error *err) {
    const size_t depth = (size_t)b->set->depth;
    if (tola_session_length(s->session, BEHIND) >= depth &&
        tola_session_truncate(s->session, BEHIND, depth, NULL) == TOLA_OK)
        return TOLA_OK;
    tola_status status = tola_session_truncate(s->session, BEHIND, 0, err);
    fill_tokens(b, depth, BEHIND, false);
    return status == TOLA_OK ? tola_session_step(s->session, b->tokens, depth, go_on, NULL, err) : status;
}

static tola_status measure_decode(bench *b, const subject *s, double *speed, tola_error *err) {
    tola_status status = rewind_to_depth(b, s, err);
    double start = now();
    for (uint64_t i = 0; status == TOLA_OK && i < b->set->generate; i++) {
        fill_tokens(b, 1, BEHIND, true);
        status = tola_session_step(s->session, b->tokens, 1, go_on, NULL, err);
    }
    *speed = (double)b->set->generate / (now() - start);
    return status;
}

/* A limit of decode; the others are of prefill. */
static bool is_reading(int limit) { return limit == TOLA_LIMIT_READ || limit == TOLA_LIMIT_READ_PLAIN; }

static tola_status measure_subject(bench *b, subject *s, size_t round, tola_error *err) {
    double limits[TOLA_LIMIT_COUNT], prefill = NAN, decode = NAN;
    tola_status status = tola_machine_measure(b->machine, s->threads, limits, err);
    if (status == TOLA_OK && b->set->prompt) status = measure_prefill(b, s, &prefill, err);
    if (status == TOLA_OK && b->set->generate) status = measure_decode(b, s, &decode, err);
    if (status != TOLA_OK) return status;
    s->prefill.values[round] = prefill;
    s->decode.values[round] = decode;
    for (int i = 0; i < TOLA_LIMIT_COUNT; i++) {
        double used = is_reading(i) ? decode * (double)b->info->active_bytes
                                    : prefill / (double)b->set->prompt * b->operations;
        s->limits[i].values[round] = limits[i];
        s->shares[i].values[round] = limits[i] > 0 ? used / limits[i] : NAN;
    }
    return TOLA_OK;
}

/* One round that is not counted (pages are touched, clocks speed up), then those that are. */
static tola_status measure_all(bench *b, tola_error *err) {
    for (size_t round = 0; round <= b->set->rounds; round++) {
        cli_status("round %zu of %zu", round, (size_t)b->set->rounds);
        for (size_t i = 0; i < b->count; i++) {
            tola_status status = measure_subject(b, &b->subjects[i], round ? round - 1 : 0, err);
            if (status != TOLA_OK) return status;
            if (cli_interrupted()) return TOLA_E_CANCELLED;
        }
        b->rounds = round;
    }
    return TOLA_OK;
}

/* ---- the arithmetic of a prompt ---- */

static double operations_of(const tola_model *model, uint64_t prompt) {
    double operations;
    return tola_fit_prompt(tola_model_checkpoint(model), prompt, &operations, NULL) == TOLA_OK ? operations : NAN;
}

/* ---- output ---- */

static void json_spread(tola_json *j, const char *key, spread s) {
    tola_json_key(j, key);
    tola_json_begin_object(j);
    out_json_f64(j, "median", s.median);
    out_json_f64(j, "min", s.min);
    out_json_f64(j, "max", s.max);
    tola_json_end_object(j);
}

static void json_subject(tola_json *j, const bench *b, const subject *s) {
    tola_json_begin_object(j);
    out_json_u64(j, "threads", s->threads);
    if (b->set->prompt) json_spread(j, "prefill_tokens_per_s", spread_of(&s->prefill, b->rounds));
    if (b->set->generate) json_spread(j, "decode_tokens_per_s", spread_of(&s->decode, b->rounds));
    out_json_u64(j, "session_bytes", tola_session_bytes(s->session));
    tola_json_key(j, "limits");
    tola_json_begin_object(j);
    for (int i = 0; i < TOLA_LIMIT_COUNT; i++) {
        spread limit = spread_of(&s->limits[i], b->rounds);
        if (!(limit.median > 0)) continue;
        tola_json_key(j, tola_limit_name((tola_limit)i));
        tola_json_begin_object(j);
        json_spread(j, is_reading(i) ? "bytes_per_s" : "operations_per_s", limit);
        if (is_reading(i) ? b->set->generate : b->set->prompt)
            json_spread(j, is_reading(i) ? "decode_share" : "prefill_share", spread_of(&s->shares[i], b->rounds));
        tola_json_end_object(j);
    }
    tola_json_end_object(j);
    tola_json_end_object(j);
}

static void write_json(const bench *b) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.bench/1");
    out_json_string(&j, "family", b->info->family);
    out_json_u64(&j, "weight_bytes", b->info->weight_bytes);
    out_json_u64(&j, "active_bytes", b->info->active_bytes);
    out_json_u64(&j, "made_bytes", b->info->made_bytes);
    out_json_u64(&j, "prompt", b->set->prompt);
    out_json_f64(&j, "prompt_operations", b->operations);
    out_json_u64(&j, "generate", b->set->generate);
    out_json_u64(&j, "depth", b->set->depth);
    out_json_u64(&j, "rounds", b->rounds);
    out_json_bool(&j, "complete", b->rounds == b->set->rounds);
    tola_json_key(&j, "results");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < b->count; i++) json_subject(&j, b, &b->subjects[i]);
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void row(out_table *t, unsigned threads, const char *what, spread s, double unit, const char *unit_name,
                const char *share) {
    char text[48];
    out_table_cell(t, OUT_PLAIN, "%u", threads);
    out_table_cell(t, OUT_PLAIN, "%s", what);
    out_table_cell(t, OUT_BOLD, "%s", measure_number(text, sizeof text, s.median / unit, 2));
    out_table_cell(t, OUT_DIM, "%s", measure_number(text, sizeof text, s.min / unit, 2));
    out_table_cell(t, OUT_DIM, "%s", measure_number(text, sizeof text, s.max / unit, 2));
    out_table_cell(t, OUT_PLAIN, "%s", unit_name);
    out_table_cell(t, OUT_PLAIN, "%s", share);
}

static void table_subject(out_table *t, const bench *b, const subject *s) {
    char what[64], share[64];
    if (b->set->prompt) {
        snprintf(what, sizeof what, "prefill %llu", (unsigned long long)b->set->prompt);
        row(t, s->threads, what, spread_of(&s->prefill, b->rounds), 1, "tokens/s", "");
    }
    if (b->set->generate) {
        snprintf(what, sizeof what, "decode %llu", (unsigned long long)b->set->generate);
        row(t, s->threads, what, spread_of(&s->decode, b->rounds), 1, "tokens/s", "");
    }
    for (int i = 0; i < TOLA_LIMIT_COUNT; i++) {
        spread limit = spread_of(&s->limits[i], b->rounds), used = spread_of(&s->shares[i], b->rounds);
        const bool read = is_reading(i);
        if (!(limit.median > 0)) continue;
        share[0] = 0;
        if (!isnan(used.median))
            snprintf(share, sizeof share, "%s: %.1f %%", read ? "decode" : "prefill", 100 * used.median);
        snprintf(what, sizeof what, "limit: %s", tola_limit_name((tola_limit)i));
        row(t, s->threads, what, limit, read ? 1e9 : 1e12, read ? "GB/s" : "TOP/s", share);
    }
}

static void write_table(const bench *b, const char *path) {
    static const char *const headings[] = { "threads", "what", "median", "min", "max", "", "share of the limit" };
    char weights[48], active[48];
    out_styled(OUT_BOLD, "%s", path);
    out_printf(": %s, %s of weights, %s read for a token", b->info->family,
               text_bytes(weights, sizeof weights, b->info->weight_bytes),
               text_bytes(active, sizeof active, b->info->active_bytes));
    if (b->set->depth) out_printf(", decode behind %llu tokens", (unsigned long long)b->set->depth);
    out_printf("; %zu round%s\n\n", b->rounds, b->rounds == 1 ? "" : "s");
    out_table *t = out_table_new(7, "rlrrrll", headings);
    for (size_t i = 0; i < b->count; i++) table_subject(t, b, &b->subjects[i]);
    out_table_print(t);
}

/* ---- setting up ---- */

/* "1,2,4" */
static int parse_counts(const settings *s, unsigned counts[COUNTS_MOST], size_t *count) {
    const char *p = s->thread_counts;
    *count = 0;
    if (!p) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        counts[(*count)++] = cli.threads ? cli.threads : online > 0 ? (unsigned)online : 1;
        return CLI_YES;
    }
    for (;;) {
        char *end;
        unsigned long n = *p >= '0' && *p <= '9' ? strtoul(p, &end, 10) : 0;
        if (n == 0 || n > 1024 || (*end && *end != ',') || *count == COUNTS_MOST)
            return cli_fail("--thread-counts: '%s' is no list of up to %d numbers from 1 to 1024", s->thread_counts,
                            COUNTS_MOST);
        counts[(*count)++] = (unsigned)n;
        if (!*end) return CLI_YES;
        p = end + 1;
    }
}

static int check(const settings *s) {
    if (s->prompt > TOKENS_MOST || s->generate > TOKENS_MOST || s->depth > TOKENS_MOST)
        return cli_fail("more than %u tokens", TOKENS_MOST);
    if (!s->prompt && !s->generate) return cli_fail("--prompt 0 and --generate 0 leave nothing to measure");
    if (s->rounds < 1 || s->rounds > ROUNDS_MOST) return cli_fail("--rounds: 1 to %d", ROUNDS_MOST);
    return CLI_YES;
}

static int open_subjects(bench *b, const unsigned *counts) {
    tola_error err = TOLA_ERROR_INIT;
    const settings *s = b->set;
    const uint64_t behind = s->depth + s->generate, context = behind > s->prompt ? behind : s->prompt;
    b->subjects = calloc(b->count, sizeof *b->subjects);
    b->tokens = calloc((size_t)context + 1, sizeof *b->tokens);
    if (!b->subjects || !b->tokens) return cli_fail("out of memory");
    for (size_t i = 0; i < b->count; i++) {
        tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
        o.context = (uint32_t)context;
        o.sequences = SEQUENCES;
        o.key_type = o.value_type = s->kv_type;
        o.threads = b->subjects[i].threads = counts[i];
        if (tola_session_create(b->model, &o, &b->subjects[i].session, &err) != TOLA_OK) return cli_fail_error(&err);
    }
    return CLI_YES;
}

/* As many bytes as a token reads, so that caches serve both alike; less where memory is short. */
static int open_machine(bench *b) {
    tola_error err = TOLA_ERROR_INIT;
    uint64_t bytes = b->info->active_bytes < READ_MOST ? b->info->active_bytes : READ_MOST;
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0 && bytes > (uint64_t)pages * (uint64_t)page / 2)
        bytes = (uint64_t)pages * (uint64_t)page / 2;
    return tola_machine_open(bytes, &b->machine, &err) == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

static int measure(bench *b, const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    cli_catch_interrupts();
    tola_status status = measure_all(b, &err);
    cli_progress_end();
    if (status != TOLA_OK && status != TOLA_E_CANCELLED) return cli_fail_error(&err);
    if (b->rounds > 0 && cli.json)
        write_json(b);
    else if (b->rounds > 0)
        write_table(b, path);
    if (status == TOLA_OK) return CLI_YES;
    return cli_fail("interrupted after %zu of %zu rounds", b->rounds, (size_t)b->set->rounds);
}

static int run(const void *parsed, char **args, int n_args) {
    bench b = { .set = parsed, .random = 88172645463325252u };
    unsigned counts[COUNTS_MOST];
    tola_model *model = NULL;
    (void)n_args;
    int code = check(b.set);
    if (code == CLI_YES) code = parse_counts(b.set, counts, &b.count);
    if (code == CLI_YES) code = measure_open(args[0], &b.set->adapter, false, 0, &model);
    if (code == CLI_YES) {
        b.model = model;
        b.info = tola_model_about(model);
        b.operations = b.set->prompt ? operations_of(model, b.set->prompt) : NAN;
        if (b.info->hidden) code = cli_fail("%s: an encoder; tokens are read, not generated", args[0]);
    }
    if (code == CLI_YES) code = open_subjects(&b, counts);
    if (code == CLI_YES) code = open_machine(&b);
    if (code == CLI_YES) code = measure(&b, args[0]);
    for (size_t i = 0; b.subjects && i < b.count; i++) tola_session_free(b.subjects[i].session);
    free(b.subjects);
    free(b.tokens);
    tola_machine_close(b.machine);
    tola_model_free(model);
    return code;
}

const cli_verb cmd_bench = {
    .name = "bench",
    .summary = "Measure how fast a model runs here, beside the machine's limits",
    .usage = "tola bench MODEL [options]",
    .description =
        "Reads a prompt of random tokens at once (prefill) and then further tokens one by one (decode), in rounds, "
        "and prints medians and extremes of tokens per second. In the same rounds and with the same threads it "
        "measures what the machine gives: the speed of reading memory (the best of several ways, and a plain loop, "
        "over as many bytes as a token reads), and multiplications and additions per second in f32, bf16 and int8, "
        "where there are tiles in those, too.\n"
        "\n"
        "Decode is held against reading: tokens per second times the bytes of weights that a token reads. Prefill "
        "is held against each arithmetic limit: its multiplications and additions, those of attention included; in "
        "the last layer all but keys and values is computed, and counted, for the last token alone. Shares are "
        "medians over the rounds. Other work on the machine slows model and limits alike; the shares suffer less.",
    .examples = "tola bench model.gguf\tprefill of 512 tokens, decode of 64\n"
                "tola bench model/ --thread-counts 1,2,4 --rounds 9\thow it scales\n"
                "tola bench model.gguf --prompt 0 --depth 8192 --json\tdecode behind a long text",
    .exits = "0\tdone\n2\tMODEL cannot be run, or it was interrupted",
    .options = options,
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .run = run,
};
