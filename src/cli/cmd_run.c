/* tola run: words from a model. One prompt, a pipe, or a chat on a terminal (run_chat.c). */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

#define MAX_PROMPT (1u << 30)  /* bytes; no context takes as much */
#define MAX_GRAMMAR (16u << 20)
#define MAX_DRAFT_TOKENS 65535 /* with the one before them, as many as a session gives rows for */

/* ---- options ---- */

static const run_settings defaults = {
    .temp = 0.8,
    .top_k = 40,
    .top_p = 0.95,
    .min_p = 0.05,
    .typical = 1,
    .repeat_penalty = 1,
    .repeat_window = 64,
};

static const cli_option options[] = {
    { "prompt", 'p', CLI_STRING, "TEXT", "Answer TEXT and end; - takes it from stdin", offsetof(run_settings, prompt),
      NULL, NULL },
    { "max-tokens", 'n', CLI_UINT, "N", "End after N tokens; 0, the default, lets the model end",
      offsetof(run_settings, max_tokens), NULL, NULL },
    { "raw", 0, CLI_FLAG, NULL, "Go on with the prompt as it is, without the model's chat template",
      offsetof(run_settings, raw), NULL, NULL },
    { "system", 0, CLI_STRING, "TEXT", "Tell the model how to behave", offsetof(run_settings, system), NULL, NULL },
    { "temp", 't', CLI_DOUBLE, "T", "Temperature: 0 takes the likeliest token (0.8)", offsetof(run_settings, temp),
      NULL, NULL },
    { "top-k", 0, CLI_UINT, "K", "Draw from the K likeliest tokens; 0: all (40)", offsetof(run_settings, top_k), NULL,
      NULL },
    { "top-p", 0, CLI_DOUBLE, "P", "Draw from the likeliest that together have P; 1: all (0.95)",
      offsetof(run_settings, top_p), NULL, NULL },
    { "min-p", 0, CLI_DOUBLE, "P", "Draw from those at least P times as likely as the likeliest; 0: all (0.05)",
      offsetof(run_settings, min_p), NULL, NULL },
    { "typical", 0, CLI_DOUBLE, "P", "Draw from the most typical that together have P; 1: all (1)",
      offsetof(run_settings, typical), NULL, NULL },
    { "repeat-penalty", 0, CLI_DOUBLE, "X", "Divide the logits of recent tokens by X (1: don't)",
      offsetof(run_settings, repeat_penalty), NULL, NULL },
    { "frequency-penalty", 0, CLI_DOUBLE, "X", "Take X from a logit for each recent occurrence (0)",
      offsetof(run_settings, frequency_penalty), NULL, NULL },
    { "presence-penalty", 0, CLI_DOUBLE, "X", "Take X from the logit of each recent token (0)",
      offsetof(run_settings, presence_penalty), NULL, NULL },
    { "repeat-window", 0, CLI_UINT, "N", "How many tokens are recent (64)", offsetof(run_settings, repeat_window), NULL,
      NULL },
    { "logit-bias", 0, CLI_LIST, "ID=X", "Add X to the logit of token ID; -inf forbids it",
      offsetof(run_settings, logit_bias), NULL, NULL },
    { "seed", 's', CLI_GIVEN, "S", "Draw the same again; without it each run is new", offsetof(run_settings, seed),
      NULL, NULL },
    { "stop", 0, CLI_LIST, "TEXT", "End where the answer would contain TEXT", offsetof(run_settings, stop), NULL,
      NULL },
    { "ignore-end", 0, CLI_FLAG, NULL, "Go on where the model would end", offsetof(run_settings, ignore_end), NULL,
      NULL },
    { "special", 0, CLI_FLAG, NULL, "Show special tokens in the answer", offsetof(run_settings, special), NULL, NULL },
    { "grammar", 0, CLI_STRING, "FILE", "The answer follows this GBNF grammar", offsetof(run_settings, grammar), NULL,
      "file" },
    { "json-schema", 0, CLI_STRING, "FILE", "The answer is JSON that this schema allows",
      offsetof(run_settings, json_schema), NULL, "file" },
    { "session", 0, CLI_STRING, "FILE", "Go on with the conversation in FILE, and keep it there",
      offsetof(run_settings, session), NULL, "file" },
    { "context", 'c', CLI_UINT, "N", "Room for N tokens; the model says how many it was made for",
      offsetof(run_settings, context), NULL, NULL },
    { "kv-type", 0, CLI_DTYPE, "TYPE", "Keep keys and values as f32, f16, bf16, q8_0 or q4_0 (f16)",
      offsetof(run_settings, kv_type), NULL, "dtype" },
    { "batch", 0, CLI_UINT, "N", "Read N tokens at once (512)", offsetof(run_settings, batch), NULL, NULL },
    { "adapter", 0, CLI_LIST, "A[:SCALE]", "Add the LoRA adapter A, a folder or a GGUF file",
      offsetof(run_settings, adapter), NULL, "file" },
    { "draft", 0, CLI_STRING, "MODEL", "Guess with this smaller model of the same vocabulary; changes only the speed",
      offsetof(run_settings, draft), NULL, "model" },
    { "lookup", 0, CLI_UINT, "N", "Guess what followed the last N tokens before; changes only the speed",
      offsetof(run_settings, lookup), NULL, NULL },
    { "draft-tokens", 0, CLI_UINT, "N", "Guess at most N tokens at once (8)", offsetof(run_settings, draft_tokens),
      NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

static int check_range(const char *name, uint64_t value) {
    return value <= UINT32_MAX ? CLI_YES : cli_fail("--%s: %llu is too large", name, (unsigned long long)value);
}

/* Whether a session can be kept there is asked before minutes of answering, not after: a file that is there is replaced
 * by a new one, which needs its folder, too. */
static int check_session_place(const char *path) {
    struct stat st;
    bool there = lstat(path, &st) == 0, link = there && S_ISLNK(st.st_mode);
    if (!there && errno == ENAMETOOLONG) return cli_fail("--session '%.40s...': %s", path, strerror(errno));
    char *file = link ? realpath(path, NULL) : NULL;
    if (link && !file) return cli_fail("--session '%s': a link that leads nowhere", path);
    const char *at = file ? file : path, *slash = strrchr(at, '/');
    char *folder = frame_alloc(strlen(at) + 2);
    strcpy(folder, slash ? at : ".");
    if (slash) folder[slash == at ? 1 : slash - at] = '\0';
    int cause = path[0] == '\0' ? ENOENT : access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    free(folder);
    free(file);
    return cause == 0 ? CLI_YES : cli_fail("--session '%s': %s", path, strerror(cause));
}

int run_check_counts(const run_settings *s) {
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = { { "top-k", s->top_k },   { "context", s->context },           { "batch", s->batch },
                   { "lookup", s->lookup }, { "draft-tokens", s->draft_tokens } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (check_range(counts[i].name, counts[i].value) != CLI_YES) return CLI_ERROR;
    if (s->draft_tokens > MAX_DRAFT_TOKENS)
        return cli_fail("--draft-tokens: %llu is too large, the largest is %d", (unsigned long long)s->draft_tokens,
                        MAX_DRAFT_TOKENS);
    return CLI_YES;
}

static int check_settings(const run_settings *s) {
    if (run_check_counts(s) != CLI_YES) return CLI_ERROR;
    if (s->grammar && s->json_schema) return cli_fail("--grammar and --json-schema: one of them");
    if (s->raw && s->system) return cli_fail("--raw writes no system message; put it into the prompt");
    return s->session ? check_session_place(s->session) : CLI_YES;
}

/* ---- opening ---- */

static int open_model(run *r) {
    tola_model_options o = TOLA_MODEL_OPTIONS_INIT;
    o.context = (uint32_t)r->set.context;
    int code = cli_open_model(r->path, &r->set.adapter, &o, &r->model);
    if (code != CLI_YES) return code;
    if (tola_model_about(r->model)->hidden)
        return cli_fail("%s: an encoder, which writes no text; 'tola embed' is for it", r->path);
    if (!tola_model_tokenizer(r->model))
        return cli_fail("%s: no tokenizer: %s", r->path, tola_model_no_tokenizer(r->model));
    return CLI_YES;
}

static int open_template(run *r) {
    tola_error err = TOLA_ERROR_INIT;
    if (r->set.raw) return CLI_YES;
    tola_status status = tola_chat_template_of(tola_model_checkpoint(r->model), NULL, &r->chat_template, &err);
    if (status == TOLA_E_NOT_FOUND)
        return cli_fail("%s: no chat template; with --raw the model goes on with the text as it is", r->path);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

static tola_status create_session(const run *r, const tola_model *model, tola_dtype kv_type, tola_session **out,
                                  tola_error *err) {
    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    o.context = (uint32_t)r->set.context;
    o.batch = (uint32_t)r->set.batch;
    o.key_type = o.value_type = kv_type;
    o.threads = cli.threads;
    if (r->set.draft_tokens > 31) o.outputs = (uint32_t)r->set.draft_tokens + 1;
    return tola_session_create(model, &o, out, err);
}

static int open_session(run *r) {
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = create_session(r, r->model, r->set.kv_type, &r->session, &err);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

/* Positions that no training has seen are allowed, but not in silence. */
static void warn_of_context(const run *r) {
    uint32_t made_for = tola_model_about(r->model)->context;
    if (made_for && r->set.context > made_for)
        cli_warn("the model was made for %u tokens; what is beyond them it may not follow", (unsigned)made_for);
}

/* Blocks may fit the model's heads and not the draft's, whose cache changes only the speed: f16 serves then. */
static int open_draft(run *r) {
    tola_error err = TOLA_ERROR_INIT, first = TOLA_ERROR_INIT;
    tola_model_options o = TOLA_MODEL_OPTIONS_INIT;
    if (!r->set.draft) return CLI_YES;
    o.context = (uint32_t)r->set.context;
    int code = cli_open_model(r->set.draft, NULL, &o, &r->draft_model);
    if (code != CLI_YES) return code;
    if (create_session(r, r->draft_model, r->set.kv_type, &r->draft, &first) == TOLA_OK) return CLI_YES;
    tola_status status = create_session(r, r->draft_model, TOLA_DTYPE_F16, &r->draft, &err);
    return status == TOLA_OK ? CLI_YES : cli_fail_error(&err);
}

static int read_file(const char *path, char **out) {
    size_t length;
    if (!path) return CLI_YES;
    *out = cli_read_all(path, MAX_GRAMMAR, &length);
    if (!*out) return CLI_ERROR;
    return strlen(*out) == length ? CLI_YES : cli_fail("%s: a text with zero bytes", path);
}

static int parse_bias(run *r) {
    size_t count = r->set.logit_bias.count;
    r->bias = frame_alloc((count + 1) * sizeof *r->bias);
    for (size_t i = 0; i < count; i++) {
        const char *text = r->set.logit_bias.items[i];
        char *end, *last = NULL;
        unsigned long long id = strtoull(text, &end, 10);
        double bias = *end == '=' ? strtod(end + 1, &last) : 0;
        if (*text < '0' || *text > '9' || id >= UINT32_MAX || !last || last == end + 1 || *last || isnan(bias))
            return cli_fail("--logit-bias: '%s' is not ID=X", text);
        r->bias[i] = (tola_logit_bias){ (uint32_t)id, (float)bias };
    }
    return CLI_YES;
}

static int open_all(run *r) {
    int code = parse_bias(r);
    if (code == CLI_YES) code = read_file(r->set.grammar, &r->grammar);
    if (code == CLI_YES) code = read_file(r->set.json_schema, &r->schema);
    if (code == CLI_YES) code = open_model(r);
    if (code == CLI_YES) code = run_check_sampling(r);
    if (code == CLI_YES) code = open_template(r);
    if (code == CLI_YES) code = open_session(r);
    if (code == CLI_YES) code = open_draft(r);
    if (code == CLI_YES) warn_of_context(r);
    if (code == CLI_YES && r->set.session && tola_encrypted(r->path))
        cli_warn("%s is encrypted, the conversation in %s is not", r->path, r->set.session);
    if (code == CLI_YES && r->set.session && access(r->set.session, F_OK) == 0) {
        code = run_load(r, r->set.session);
        r->resumed = true;
    }
    if (code == CLI_YES && r->set.system) talk_system(&r->talk, r->set.system);
    return code;
}

static void close_all(run *r) {
    tola_session_free(r->draft);
    tola_model_free(r->draft_model);
    tola_session_free(r->session);
    tola_chat_template_close(r->chat_template);
    tola_model_free(r->model);
    talk_free(&r->talk);
    free(r->grammar);
    free(r->schema);
    free(r->bias);
    free(r->own_session);
}

/* ---- one prompt ---- */

static void write_json(const run *r, const tola_generated *g) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema"), tola_json_string(&j, "tola.run/1");
    tola_json_key(&j, "text"), tola_json_string_n(&j, g->text, g->length);
    tola_json_key(&j, "tokens");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < g->count; i++) tola_json_u64(&j, g->ids[i]);
    tola_json_end_array(&j);
    tola_json_key(&j, "ending"), tola_json_string(&j, tola_ending_name(g->ending));
    tola_json_key(&j, "seed"), tola_json_u64(&j, r->seed);
    tola_json_key(&j, "timings");
    tola_json_begin_object(&j);
    tola_json_key(&j, "prompt_tokens"), tola_json_u64(&j, g->prompt_tokens);
    tola_json_key(&j, "reused_tokens"), tola_json_u64(&j, g->reused);
    tola_json_key(&j, "prompt_ms"), tola_json_f64(&j, g->prompt_ms);
    tola_json_key(&j, "generated_tokens"), tola_json_u64(&j, g->count);
    tola_json_key(&j, "generated_ms"), tola_json_f64(&j, g->generated_ms);
    tola_json_key(&j, "guessed_tokens"), tola_json_u64(&j, g->drafted);
    tola_json_key(&j, "accepted_tokens"), tola_json_u64(&j, g->accepted);
    tola_json_end_object(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}

/* What was said is remembered for the session's file: the answer, or all ids of a raw text. */
static void remember(run *r, const uint32_t *ids, size_t count, const tola_generated *g) {
    if (!r->talk.raw) {
        talk_add(&r->talk, "assistant", g->text, g->length);
        return;
    }
    uint32_t *all = frame_alloc((count + g->count + 1) * sizeof *all);
    memcpy(all, ids, count * sizeof *all);
    if (g->count) memcpy(all + count, g->ids, g->count * sizeof *all);
    talk_set_ids(&r->talk, all, count + g->count);
    free(all);
}

static int finish(run *r, const tola_generated *g) {
    char text[160];
    if (cli.json) write_json(r, g);
    run_report(g);
    int code = r->set.session ? run_save(r, r->set.session, cli.force) : CLI_YES;
    if (code != CLI_YES) return code;
    if (g->ending == TOLA_ENDING_CANCELLED) return cli_interrupted() ? cli_fail("interrupted") : CLI_YES;
    if (g->ending != TOLA_ENDING_CONTEXT) return CLI_YES;
    run_context_message(r, g, text, sizeof text);
    return cli_fail("%s; --context makes it larger, -n ends sooner", text);
}

static int answer_once(run *r, const char *prompt, size_t length) {
    tola_error err = TOLA_ERROR_INIT;
    tola_generated g;
    uint32_t *ids;
    size_t count;
    if (!r->talk.raw) talk_add(&r->talk, "user", prompt, length);
    if (run_prompt(r, prompt, length, &ids, &count, &err) != TOLA_OK) return cli_fail_error(&err);
    tola_status status = run_answer(r, ids, count, &g, &err);
    if (status == TOLA_OK) remember(r, ids, count, &g);
    free(ids);
    if (status != TOLA_OK) return cli_fail_error(&err);
    int code = finish(r, &g);
    tola_generated_dispose(&g);
    return code;
}

static int answer_input(run *r) {
    size_t length = 0;
    if (r->set.prompt && strcmp(r->set.prompt, "-") != 0)
        return answer_once(r, r->set.prompt, strlen(r->set.prompt));
    char *text = cli_read_all("-", MAX_PROMPT, &length);
    if (!text) return CLI_ERROR;
    if (!r->talk.raw) /* the line end that echo adds is no part of a message */
        while (length && text[length - 1] == '\n') length--;
    int code = answer_once(r, text, length);
    free(text);
    return code;
}

/* ---- the verb ---- */

static uint64_t random_seed(void) {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) seed = (uint64_t)getpid();
    return seed >> 11; /* a whole number that JSON's readers keep exactly */
}

static int run_run(const void *parsed, char **args, int n_args) {
    run r = { .set = *(const run_settings *)parsed, .path = args[0] };
    (void)n_args;
    bool talks = !r.set.prompt && isatty(STDIN_FILENO);
    if (check_settings(&r.set) != CLI_YES) return CLI_ERROR;
    if (talks && (cli.json || r.set.raw || !isatty(STDOUT_FILENO)))
        return cli_fail("a prompt is missing: -p TEXT, or text on stdin; a chat is without --json, --raw and pipes");
    r.talk.raw = r.set.raw;
    r.seed = r.set.seed.given ? r.set.seed.value : random_seed();
    int code = open_all(&r);
    if (code == CLI_YES) code = talks ? run_chat(&r) : answer_input(&r);
    close_all(&r);
    return code;
}

const cli_verb cmd_run = {
    .name = "run",
    .summary = "Have a language model write: an answer, or a chat",
    .usage = "tola run MODEL [options]",
    .description =
        "Runs MODEL, a Hugging Face folder or a GGUF file, without conversion: weights are mapped from the file where "
        "it holds them as they are needed. With -p, or text on stdin, it answers once; on a terminal it chats.\n"
        "\n"
        "The message goes through the model's own chat template; --raw leaves that out, and the model goes on with "
        "the text as it is, which is what models want that were not trained to chat. What looks like a special token "
        "in a message is only text; in a --raw text it is that token.\n"
        "\n"
        "In a chat, Ctrl-C stops the answer, Ctrl-D leaves, Alt-Enter begins a new line, and /help lists commands: "
        "/system, /reset, /undo, /regenerate, /set, /tokens, /save, /load, /quit.\n"
        "\n"
        "The same seed gives the same text, whatever the threads, the batch, and the guesses of --draft and --lookup, "
        "which only save time. A context that is full is an error that says so; nothing is left out in silence.\n"
        "\n"
        "--session keeps the conversation, and what the model has computed of it, in a file that belongs to this "
        "model, its adapters and --kv-type.",
    .examples = "tola run model.gguf\tchat\n"
                "tola run model/ -p 'Why is the sky blue?' -n 200\tone answer\n"
                "tola run base.gguf --raw -p 'Once upon a time' --seed 1\tgo on with a text\n"
                "git diff | tola run model.gguf --system 'Review this patch.'\ta pipe\n"
                "tola run model.gguf -p 'Three cities, please' --json-schema cities.json\tan answer for a program\n"
                "tola run model/ --adapter lora/:0.5\twith an adapter at half its strength\n"
                "tola run model.gguf -p 'And then?' --session story.tola\tgo on where the last one ended\n",
    .exits = "0\tdone\n2\terror, or the context is full\n130\tinterrupted by Ctrl-C\n",
    .options = options,
    .settings_size = sizeof(run_settings),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .model = true,
    .run = run_run,
};
