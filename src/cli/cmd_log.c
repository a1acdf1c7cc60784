/* tola log: what the access log says, whether it is intact, proofs of it, and how long weights take to leave. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tola/log.h>

#include "frame.h"
#include "log_show.h"

typedef struct settings {
    const char *log;
    const char *since, *digest, *verb, *user;    /* show */
    const char *checkpoint, *proof, *public_key; /* verify */
    const char *from;                            /* prove */
    const char *key;                             /* checkpoint */
    const char *rate;                            /* exposure */
    double compression, bytes_per_token;
    uint64_t bytes;
} settings;

static const settings defaults = { .compression = 1, .bytes_per_token = 2 };

/* ---- verify ---- */

static void report_json(const tola_log_report *r, bool proof) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.log.verify/1");
    out_json_bool(&j, "valid", r->valid);
    out_json_string(&j, "origin", r->origin);
    out_json_u64(&j, "size", r->size);
    out_json_string(&j, "root", r->root);
    out_json_string(&j, "key", r->key);
    if (proof && r->entry != TOLA_LOG_NO_ENTRY) {
        out_json_u64(&j, "entry", r->entry);
        out_json_string(&j, "text", r->text);
    }
    if (!proof) out_json_u64(&j, "unfinished", r->unfinished);
    tola_json_key(&j, "problems");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < r->n_problems; i++) {
        const tola_log_problem *p = &r->problems[i];
        tola_json_begin_object(&j);
        out_json_string(&j, "kind", p->kind);
        tola_json_key(&j, "entry");
        if (p->entry == TOLA_LOG_NO_ENTRY)
            tola_json_null(&j);
        else
            tola_json_u64(&j, p->entry);
        out_json_string(&j, "what", p->what);
        tola_json_end_object(&j);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static void report_text(const char *path, const tola_log_report *r, bool proof) {
    char count[32];
    out_text(path);
    out_printf(": ");
    out_styled(r->valid ? OUT_GREEN : OUT_RED, r->valid ? "valid" : "not valid");
    if (proof && r->entry != TOLA_LOG_NO_ENTRY)
        out_printf(", entry %" PRIu64 " of", r->entry);
    else
        out_printf(",");
    out_printf(" %s %s of ", text_grouped(count, sizeof count, r->size), r->size == 1 ? "entry" : "entries");
    out_text(r->origin);
    out_printf("\n");
    if (proof && r->valid && r->text) {
        out_printf("  ");
        out_text(r->text);
        out_printf("\n");
    }
    if (!proof && r->unfinished)
        out_printf("  %" PRIu64 " %s no end: killed, or still running\n", r->unfinished,
                   r->unfinished == 1 ? "run has" : "runs have");
    for (size_t i = 0; i < r->n_problems; i++) {
        out_printf("  ");
        out_styled(OUT_RED, "%s", r->problems[i].kind);
        out_printf(": ");
        out_text(r->problems[i].what);
        out_printf("\n");
    }
}

/* FILE.pub of the log, freed with free; NULL without a log. */
static char *public_of(const char *log) {
    if (!log) return NULL;
    size_t n = strlen(log);
    char *path = frame_alloc(n + 5);
    memcpy(path, log, n);
    memcpy(path + n, ".pub", 5);
    return path;
}

static int run_verify(const settings *s, const char *log) {
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    tola_log_report *r;
    char *public = s->public_key ? NULL : public_of(log);
    o.public_key = s->public_key ? s->public_key : public;
    o.checkpoint = s->checkpoint;
    int code = CLI_YES;
    if (s->proof && !o.public_key)
        code = cli_fail("a proof is verified with the log's public key: --public-key FILE, or TOLA_LOG");
    tola_status status = TOLA_OK;
    if (code == CLI_YES)
        status = s->proof ? tola_log_verify_proof(s->proof, &o, &r, &err) : tola_log_verify(log, &o, &r, &err);
    free(public);
    if (code != CLI_YES) return code;
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        report_json(r, s->proof);
    else if (!cli.quiet)
        report_text(s->proof ? s->proof : log, r, s->proof);
    code = r->valid ? CLI_YES : CLI_NO;
    tola_log_report_free(r);
    return code;
}

/* ---- prove, checkpoint ---- */

static void list_member(tola_json *j, const char *key, const char *const *list, size_t n) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (size_t i = 0; i < n; i++) tola_json_string(j, list[i]);
    tola_json_end_array(j);
}

static void proof_json(const tola_log_proof *p) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.log.proof/1");
    out_json_string(&j, "origin", p->origin);
    out_json_u64(&j, "size", p->size);
    out_json_string(&j, "root", p->root);
    if (p->entry != TOLA_LOG_NO_ENTRY) {
        out_json_u64(&j, "entry", p->entry);
        out_json_string(&j, "text", p->text);
        list_member(&j, "path", p->path, p->n_path);
    }
    if (p->consistency) {
        out_json_u64(&j, "old_size", p->old_size);
        list_member(&j, "steps", p->steps, p->n_steps);
    }
    out_json_string(&j, "checkpoint", p->checkpoint);
    tola_json_end_object(&j);
    out_json_end(&j);
}

static int run_prove(const settings *s, const char *log, const char *entry) {
    tola_error err = TOLA_ERROR_INIT;
    tola_log_proof *p;
    uint64_t number = TOLA_LOG_NO_ENTRY;
    if (!entry && !s->from)
        return cli_fail("prove takes the number of an entry, as 'tola log show' prints it, or --from");
    if (entry) {
        char *end;
        number = strtoull(entry, &end, 10);
        if (entry[0] < '0' || entry[0] > '9' || *end || strlen(entry) > 19)
            return cli_fail("'%s' is no number of an entry; 'tola log show' prints them", entry);
    }
    tola_status status = tola_log_prove(log, number, s->from, &p, &err);
    if (status != TOLA_OK) return cli_fail_error(&err);
    if (cli.json)
        proof_json(p);
    else
        out_printf("%s", p->document);
    tola_log_proof_free(p);
    return CLI_YES;
}

static int run_checkpoint(const settings *s, const char *log) {
    tola_error err = TOLA_ERROR_INIT;
    tola_log_checkpoint c;
    if (tola_log_newest(log, s->key, &c, &err) != TOLA_OK) return cli_fail_error(&err);
    if (cli.json) {
        tola_json j;
        out_json_begin(&j);
        tola_json_begin_object(&j);
        out_json_string(&j, "schema", "tola.log.checkpoint/1");
        out_json_string(&j, "origin", c.origin);
        out_json_u64(&j, "size", c.size);
        out_json_string(&j, "root", c.root);
        out_json_string(&j, "note", c.note);
        tola_json_end_object(&j);
        out_json_end(&j);
    } else {
        out_printf("%s", c.note);
    }
    tola_log_checkpoint_dispose(&c);
    return CLI_YES;
}

/* ---- exposure ---- */

/* Where no rate is given: what weights have left, or could leave, through. */
static const struct cap {
    const char *rate, *what;
} caps[] = {
    { "50tokens/s", "one answer of an API" },
    { "10000tokens/s", "an API under many accounts" },
    { "1GB/day", "a strict cap on what leaves" },
    { "50GB/month", "a mobile contract" },
    { "1MB/s", "a throttled link" },
    { "100Mbit/s", "an office line" },
    { "1Gbit/s", "one server's port" },
    { "10Gbit/s", "a data centre's port" },
    { "100Gbit/s", "a rack's uplink" },
};

static const char *duration(char *buf, size_t n, double seconds) {
    static const struct {
        double seconds;
        const char *name;
    } units[] = { { 31536000, "years" }, { 86400, "days" }, { 3600, "hours" }, { 60, "minutes" }, { 1, "seconds" } };
    size_t i = 0;
    while (i < 4 && seconds < 2 * units[i].seconds) i++;
    snprintf(buf, n, "%.3g %s", seconds / units[i].seconds, units[i].name);
    return buf;
}

static int model_bytes(const settings *s, const char *model, uint64_t *bytes) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck;
    tola_summary summary;
    if (!model) {
        *bytes = s->bytes;
        return s->bytes ? CLI_YES : cli_fail("exposure takes a MODEL, or --bytes SIZE");
    }
    if (s->bytes) return cli_fail("give a MODEL or --bytes, not both");
    if (cli_open_values(model, true, &ck) != CLI_YES) return CLI_ERROR;
    summary.size = sizeof summary;
    tola_status status = tola_summarize(ck, &summary, NULL, &err);
    if (status == TOLA_OK) {
        *bytes = summary.bytes_tensors;
        tola_summary_dispose(&summary);
    }
    tola_checkpoint_close(ck);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

static void rate_json(tola_json *j, const char *rate, double per_second, double seconds) {
    out_json_string(j, "rate", rate);
    out_json_f64(j, "bytes_per_second", per_second);
    out_json_f64(j, "seconds", seconds);
    out_json_f64(j, "days", seconds / 86400);
}

static int exposure_json(const settings *s, uint64_t bytes, const char *const *rates, size_t n) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.log.exposure/1");
    out_json_u64(&j, "bytes", bytes);
    out_json_f64(&j, "compression", s->compression);
    out_json_f64(&j, "bytes_per_token", s->bytes_per_token);
    double per_second = 0;
    if (!s->rate) {
        tola_json_key(&j, "rates");
        tola_json_begin_array(&j);
    }
    for (size_t i = 0; i < n; i++) {
        if (tola_rate_parse(rates[i], s->bytes_per_token, &per_second, NULL) != TOLA_OK) continue;
        double seconds = tola_exposure_seconds(bytes, s->compression, per_second);
        if (s->rate) {
            rate_json(&j, rates[i], per_second, seconds);
            continue;
        }
        tola_json_begin_object(&j);
        rate_json(&j, rates[i], per_second, seconds);
        tola_json_end_object(&j);
    }
    if (!s->rate) tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
    return CLI_YES;
}

static int exposure_text(const settings *s, const char *model, uint64_t bytes, const char *const *rates, size_t n) {
    char size[32], time[64];
    double per_second = 0;
    if (model) {
        out_text(model);
        out_printf(": ");
    }
    out_printf("%s of weights", text_bytes(size, sizeof size, bytes));
    if (s->compression != 1) out_printf(", made %.4g times smaller on the way", s->compression);
    out_printf("\n");
    static const char *const headings[] = { "rate", "leaves in", "days", "" };
    out_table *t = out_table_new(4, "lrrl", headings);
    for (size_t i = 0; i < n; i++) {
        if (tola_rate_parse(rates[i], s->bytes_per_token, &per_second, NULL) != TOLA_OK) continue;
        double seconds = tola_exposure_seconds(bytes, s->compression, per_second);
        out_table_cell(t, OUT_PLAIN, "%s", rates[i]);
        out_table_cell(t, OUT_BOLD, "%s", duration(time, sizeof time, seconds));
        out_table_cell(t, OUT_PLAIN, "%.6g", seconds / 86400);
        out_table_cell(t, OUT_DIM, "%s", s->rate ? "" : caps[i].what);
    }
    out_table_print(t);
    out_printf("days = bytes / (compression x rate); compression %.4g", s->compression);
    bool tokens = false;
    for (size_t i = 0; i < n; i++) tokens |= strstr(rates[i], "tok") != NULL;
    if (tokens) out_printf("; a token carries %.4g bytes", s->bytes_per_token);
    out_printf("\n");
    return CLI_YES;
}

static int run_exposure(const settings *s, const char *model) {
    tola_error err = TOLA_ERROR_INIT;
    uint64_t bytes;
    double per_second;
    const char *rates[sizeof caps / sizeof *caps];
    size_t n = 0;
    if (!(s->compression > 0)) return cli_fail("--compression: %g is not above 0", s->compression);
    if (!(s->bytes_per_token > 0)) return cli_fail("--bytes-per-token: %g is not above 0", s->bytes_per_token);
    if (s->rate && tola_rate_parse(s->rate, s->bytes_per_token, &per_second, &err) != TOLA_OK)
        return cli_fail("--rate: %s", err.message);
    if (model_bytes(s, model, &bytes) != CLI_YES) return CLI_ERROR;
    if (s->rate) rates[n++] = s->rate;
    for (size_t i = 0; !s->rate && i < sizeof caps / sizeof *caps; i++) rates[n++] = caps[i].rate;
    return cli.json ? exposure_json(s, bytes, rates, n) : exposure_text(s, model, bytes, rates, n);
}

/* ---- the verb ---- */

typedef enum task { SHOW, VERIFY, PROVE, CHECKPOINT, EXPOSURE, TASKS } task;
static const char *const task_names[TASKS] = { "show", "verify", "prove", "checkpoint", "exposure" };

static task find_task(const char *name) {
    int i = 0;
    while (i < TASKS && strcmp(task_names[i], name) != 0) i++;
    return (task)i;
}

/* Reading the log is no access to weights; asking how large some are is. */
static bool unlogged(char **args) { return find_task(args[0]) != EXPOSURE; }

/* Options of another task would be lost in silence. */
static int check(const settings *s, task t) {
    const struct {
        bool given;
        task of;
        const char *name;
    } options[] = {
        { s->since, SHOW, "since" },
        { s->digest, SHOW, "digest" },
        { s->verb, SHOW, "verb" },
        { s->user, SHOW, "user" },
        { s->checkpoint, VERIFY, "checkpoint" },
        { s->proof, VERIFY, "proof" },
        { s->public_key, VERIFY, "public-key" },
        { s->from, PROVE, "from" },
        { s->key, CHECKPOINT, "key" },
        { s->rate, EXPOSURE, "rate" },
        { s->compression != 1, EXPOSURE, "compression" },
        { s->bytes_per_token != defaults.bytes_per_token, EXPOSURE, "bytes-per-token" },
        { s->bytes > 0, EXPOSURE, "bytes" },
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].given && options[i].of != t)
            return cli_fail("--%s is of 'tola log %s'", options[i].name, task_names[options[i].of]);
    return CLI_YES;
}

static int run(const void *parsed, char **args, int n_args) {
    const settings *s = parsed;
    const char *second = n_args > 1 ? args[1] : NULL, *log = s->log ? s->log : getenv("TOLA_LOG");
    task t = find_task(args[0]);
    if (t == TASKS) {
        tola_nearest nearest;
        tola_nearest_init(&nearest, args[0]);
        for (int i = 0; i < TASKS; i++) tola_nearest_try(&nearest, task_names[i]);
        if (nearest.best) return cli_fail("log: there is no '%s'; did you mean '%s'?", args[0], nearest.best);
        return cli_fail("log: there is no '%s'; show, verify, prove, checkpoint and exposure are", args[0]);
    }
    if (check(s, t) != CLI_YES) return CLI_ERROR;
    if (second && t != PROVE && t != EXPOSURE)
        return cli_fail("log: '%s' is one argument too many: tola log %s", second, task_names[t]);
    if (t == EXPOSURE) return run_exposure(s, second);
    if (log && !*log) log = NULL;
    if (t == VERIFY && s->proof) return run_verify(s, log);
    if (!log) return cli_fail("which log? TOLA_LOG names it, or --log FILE");
    const log_filter filter = { s->since, s->digest, s->verb, s->user };
    switch (t) {
    case SHOW: return log_show(log, &filter);
    case VERIFY: return run_verify(s, log);
    case PROVE: return run_prove(s, log, second);
    default: return run_checkpoint(s, log);
    }
}

#define ROW(name, kind, argument, help, member, complete)                                                              \
    { name, 0, kind, argument, help, offsetof(settings, member), NULL, complete }

static const cli_option options[] = {
    ROW("log", CLI_STRING, "FILE", "The log, instead of the one that TOLA_LOG names", log, "file"),
    ROW("since", CLI_STRING, "T", "show: from then on: 2026-11-22, 2026-11-22T08:30, 24h, 7d", since, NULL),
    ROW("digest", CLI_STRING, "HEX", "show: what read or wrote weights of this SHA-256, or one that begins so", digest,
        NULL),
    ROW("verb", CLI_STRING, "VERB", "show: one verb only", verb, NULL),
    ROW("user", CLI_STRING, "NAME", "show: one user only", user, NULL),
    ROW("checkpoint", CLI_STRING, "F", "verify: the log must begin with what this checkpoint, saved earlier, speaks of",
        checkpoint, "file"),
    ROW("proof", CLI_STRING, "F", "verify: a proof that was printed, without its log", proof, "file"),
    ROW("public-key", CLI_STRING, "F", "verify: the log's public key, instead of the one beside it", public_key,
        "file"),
    ROW("from", CLI_STRING, "F", "prove: that the log begins with this older checkpoint", from, "file"),
    ROW("key", CLI_STRING, "F", "checkpoint: sign it with this private key (Ed25519), too", key, "file"),
    ROW("rate", CLI_STRING, "R", "exposure: 10MB/s, 100Mbit/s, 1GB/day, 50GB/month, 200tokens/s", rate, NULL),
    ROW("compression", CLI_DOUBLE, "X", "exposure: how many times smaller the weights get on the way; 1", compression,
        NULL),
    ROW("bytes-per-token", CLI_DOUBLE, "X", "exposure: what a token carries; 2, as of a vocabulary of 65,536",
        bytes_per_token, NULL),
    ROW("bytes", CLI_SIZE, "SIZE", "exposure: of weights of this size, instead of a MODEL", bytes, NULL),
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

const cli_verb cmd_log = {
    .name = "log",
    .summary = "Read, verify and prove the log of who touched which weights",
    .usage = "tola log show [--since T] [options]\n"
             "       tola log verify [--checkpoint F] [options]\n"
             "       tola log prove ENTRY [options]\n"
             "       tola log checkpoint [options]\n"
             "       tola log exposure MODEL [--rate R] [--compression X] [options]",
    .description =
        "Where TOLA_LOG names a file, every verb writes into it, an SQLite database, when it begins and when it ends: "
        "who, when, which weights by SHA-256, which verb, where the output went, how it ended. If the entry cannot be "
        "written, the verb does not run. The log and its key are made by the first verb; TOLA_LOG_KEY names another "
        "place for the key.\n"
        "\n"
        "show lists runs; verify makes the Merkle tree (RFC 6962) from all entries again, holds it against every head "
        "that was signed, and names each entry that was edited, dropped or moved. checkpoint prints the newest signed "
        "head: kept elsewhere, it tells later (verify --checkpoint) whether the log was rolled back or written anew by "
        "somebody who has its key. prove prints a proof that an entry is in the log, and with --from that the log "
        "begins with an older checkpoint; verify --proof checks it without the log.\n"
        "\n"
        "exposure tells how long the weights of MODEL would take to leave through a link or a cap: days = bytes / "
        "(compression x rate).",
    .examples = "TOLA_LOG=access.log tola convert in.gguf out.safetensors\tlogged\n"
                "tola log show --since 7d --verb convert\twhat was converted in the last week\n"
                "tola log checkpoint > monday.ckpt\tto be kept on another machine\n"
                "tola log verify --checkpoint monday.ckpt\tintact, and grown from what it was on Monday\n"
                "tola log prove 12 > 12.tlog-proof\tfor somebody who does not get the log\n"
                "tola log exposure model.gguf --rate 10MB/s --compression 2\tdays to leave",
    .exits = "0\tdone; valid\n1\tverify: not valid\n2\terror: no log, no key, nothing that can be read",
    .options = options,
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 2,
    .model = true,
    .run = run,
    .unlogged = unlogged,
};
