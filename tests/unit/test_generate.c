/* From prompts to text: the same text by every way to be faster, stop strings, endings, characters, grammars. */
#include "generate/draft.h"
#include "generate/flow.h"

#include <pthread.h>

#include "base/text.h"
#include "unit.h"
#include "tiny_model.h"

static const char *folder;
static char model_path[300], other_path[300], window_path[300];
static tola_model *model, *other_model, *window_model;

static tola_model *open_model(const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    tola_model *m = NULL;
    if (tola_model_open(path, NULL, &m, &err) != TOLA_OK) fail_msg("%s", err.message);
    return m;
}

static int set_up(void **state) {
    (void)state;
    folder = unit_folder();
    snprintf(model_path, sizeof model_path, "%s/tiny.gguf", folder);
    snprintf(other_path, sizeof other_path, "%s/other.gguf", folder);
    snprintf(window_path, sizeof window_path, "%s/window", folder);
    tiny_gguf(model_path, 1);
    tiny_gguf(other_path, 2);
    tiny_mistral(window_path, 3, 40);
    model = open_model(model_path);
    other_model = open_model(other_path);
    window_model = open_model(window_path);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tola_model_free(model);
    tola_model_free(other_model);
    tola_model_free(window_model);
    unit_remove(folder);
    return 0;
}

static tola_session *open_session(const tola_model *m, uint32_t context, unsigned threads) {
    tola_error err = TOLA_ERROR_INIT;
    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    tola_session *s;
    o.context = context;
    o.threads = threads;
    if (tola_session_create(m, &o, &s, &err) != TOLA_OK) fail_msg("%s", err.message);
    return s;
}

static const uint32_t prompt[] = { 1, 260, 270, 271, 272, 260, 273, 275, 260, 270 };
#define PROMPT (sizeof prompt / sizeof *prompt)

static tola_generated generate(tola_session *s, const tola_generate_options *o, const uint32_t *ids, size_t count) {
    tola_error err = TOLA_ERROR_INIT;
    tola_generated g;
    if (tola_generate(s, 0, ids, count, o, &g, &err) != TOLA_OK) fail_msg("%s", err.message);
    return g;
}

static tola_generated generate_fresh(const tola_model *m, const tola_generate_options *o, unsigned threads) {
    tola_session *s = open_session(m, 0, threads);
    tola_generated g = generate(s, o, prompt, PROMPT);
    tola_session_free(s);
    return g;
}

static void same_text(const tola_generated *a, const tola_generated *b) {
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->ids, b->ids, a->count * sizeof *a->ids);
    assert_int_equal(a->length, b->length);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->ending, b->ending);
}

/* ---- speed changes nothing ---- */

static void guesses(const tola_model *m, double temperature) {
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    sampling.temperature = temperature;
    sampling.seed = 7;
    o.sampling = &sampling;
    o.max_tokens = 150;
    o.ignore_end = true;
    tola_generated plain = generate_fresh(m, &o, 1);
    assert_int_equal(plain.count, 150);
    assert_int_equal(plain.ending, TOLA_ENDING_LIMIT);
    assert_int_equal(plain.drafted, 0);
    for (uint32_t lookup = 0; lookup <= 3; lookup++)
        for (uint32_t at_once = 1; at_once <= 31; at_once += 10) {
            o.lookup = lookup;
            o.draft_tokens = at_once;
            tola_generated g = generate_fresh(m, &o, 1 + lookup);
            same_text(&plain, &g);
            assert_true(g.accepted <= g.drafted);
            tola_generated_dispose(&g);
        }
    tola_generated_dispose(&plain);
}

static void lookup(void **state) {
    (void)state;
    guesses(model, 0);
    guesses(model, 0.9);
    guesses(window_model, 0);
    guesses(window_model, 0.9);
}

static void draft_models(void **state) {
    (void)state;
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    sampling.seed = 3;
    o.sampling = &sampling;
    o.max_tokens = 80;
    o.ignore_end = true;
    tola_generated plain = generate_fresh(model, &o, 1);
    const tola_model *drafts[] = { model, other_model };
    for (int i = 0; i < 2; i++) {
        o.draft = open_session(drafts[i], i ? 60 : 0, 2); /* the second runs out of context: no guesses from there */
        tola_generated g = generate_fresh(model, &o, 2);
        same_text(&plain, &g);
        assert_true(g.drafted > 0);
        if (i == 0) assert_int_equal(g.accepted, g.drafted); /* it draws the same */
        tola_generated_dispose(&g);
        tola_session_free(o.draft);
    }
    tola_generated_dispose(&plain);

    tola_error err = TOLA_ERROR_INIT;
    tola_session *s = open_session(model, 0, 1);
    tola_generated g;
    o.draft = s;
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_ARG);
    o.draft = open_session(window_model, 0, 1); /* has no tokenizer */
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_ARG);
    tola_session_free(o.draft);
    tola_session_free(s);
}

static void looking_up(void **state) {
    (void)state;
    static const uint32_t ids[] = { 5, 6, 7, 8, 5, 6 }, same[] = { 4, 4, 4 };
    uint32_t got[5];
    assert_int_equal(draft_lookup(ids, 6, 2, 5, got), 5);
    assert_memory_equal(got, ((uint32_t[]){ 7, 8, 5, 6, 7 }), sizeof got); /* goes round */
    assert_int_equal(draft_lookup(ids, 6, 3, 5, got), 0);
    assert_int_equal(draft_lookup(ids, 6, 0, 5, got), 0);
    assert_int_equal(draft_lookup(ids, 6, 6, 5, got), 0);
    assert_int_equal(draft_lookup(ids, 6, UINT32_MAX, 5, got), 0);
    assert_int_equal(draft_lookup(same, 3, 1, 4, got), 4);
    assert_int_equal(got[3], 4);
}

static void reuse(void **state) {
    (void)state;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    const tola_model *models[] = { model, window_model };
    o.max_tokens = 100;
    for (int i = 0; i < 2; i++) {
        tola_session *s = open_session(models[i], 0, 1);
        tola_generated first = generate(s, &o, prompt, PROMPT), again, more;
        assert_int_equal(first.prompt_tokens, PROMPT);
        assert_int_equal(first.reused, 0);
        again = generate(s, &o, prompt, PROMPT); /* back to the prompt; only its last token is read again */
        same_text(&first, &again);
        if (i == 0) assert_int_equal(again.reused, PROMPT - 1);

        uint32_t longer[PROMPT + 60];
        memcpy(longer, prompt, sizeof prompt);
        memcpy(longer + PROMPT, first.ids, 60 * sizeof *longer);
        longer[PROMPT + 59] = (longer[PROMPT + 59] + 1) % TINY_VOCABULARY; /* goes on, then elsewhere */
        more = generate(s, &o, longer, PROMPT + 60);
        if (i == 0) assert_int_equal(more.reused, PROMPT + 59);
        tola_session *fresh = open_session(models[i], 0, 3);
        tola_generated other = generate(fresh, &o, longer, PROMPT + 60);
        same_text(&more, &other);
        tola_session_free(fresh);
        tola_generated_dispose(&other);
        tola_generated_dispose(&more);
        tola_generated_dispose(&again);
        tola_generated_dispose(&first);
        tola_session_free(s);
    }
}

/* ---- text while it comes ---- */

typedef struct heard {
    char text[8192];
    size_t length, calls, ids;
    size_t stop_after; /* calls; 0: never */
} heard;

static bool hear(void *user, uint32_t id, const char *text, size_t length) {
    heard *h = user;
    assert_true(utf8_valid(text, length));
    assert_true(h->length + length < sizeof h->text);
    if (length) memcpy(h->text + h->length, text, length);
    h->length += length;
    h->text[h->length] = 0;
    h->ids += id != TOLA_NO_TOKEN;
    return ++h->calls != h->stop_after;
}

/* The model's weights are at random, so its bytes are, too: most are no UTF-8. */
static void characters(void **state) {
    (void)state;
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    o.sampling = &sampling;
    o.token = hear;
    o.max_tokens = 60;
    tola_session *s = open_session(model, 0, 1);
    sampling.temperature = 3;
    sampling.top_k = 0;
    for (sampling.seed = 0; sampling.seed < 40; sampling.seed++) {
        heard h = { .length = 0 };
        o.token_user = &h;
        tola_generated g = generate(s, &o, prompt, PROMPT);
        assert_true(utf8_valid(g.text, g.length));
        assert_int_equal(h.length, g.length);
        assert_memory_equal(h.text, g.text, g.length);
        assert_int_equal(h.ids, g.count);
        tola_generated_dispose(&g);
    }
    tola_session_free(s);
}

static void flow(const char *const *stop, const uint32_t *ids, size_t count, const char *steps, size_t stopped_by) {
    tola_error err = TOLA_ERROR_INIT;
    text_flow f;
    char all[512] = "";
    const char *text;
    size_t n, used = 0;
    assert_int_equal(flow_open(&f, tola_model_tokenizer(model), false, false, stop, prompt, PROMPT, &err), TOLA_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(flow_push(&f, ids[i], &text, &n, &err), TOLA_OK);
        used += (size_t)snprintf(all + used, sizeof all - used, "%.*s|", (int)n, text);
    }
    assert_int_equal(flow_finish(&f, &text, &n, &err), TOLA_OK);
    snprintf(all + used, sizeof all - used, "%.*s", (int)n, text);
    assert_string_equal(all, steps);
    assert_int_equal(f.stopped_by, stopped_by);
    flow_close(&f);
}

#define FLOW(stop, steps, by, ...) \
    flow(stop, (const uint32_t[]){ __VA_ARGS__ }, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, steps, by)

static void stops(void **state) {
    (void)state;
    enum { THE = 260, CAT = 270, SAT, S = 274, DOT, STOP = 277, ST, OP, UMLAUT, END = 2 };
    static const char *const one[] = { "stop", NULL }, *const two[] = { "xx", "ststop", "st", NULL };
    static const char *const umlaut[] = { "\xc3\xa4.", NULL }, *const byte[] = { " the cat", NULL };
    FLOW(NULL, " the| cat||", SIZE_MAX, THE, CAT, END);
    FLOW(one, " the||", 0, THE, STOP);
    FLOW(one, " the|||", 0, THE, ST, OP);
    FLOW(one, " the||st cat|", SIZE_MAX, THE, ST, CAT);
    FLOW(one, " the||st", SIZE_MAX, THE, ST);   /* held back, and given at the end */
    FLOW(one, " the||st||", 0, THE, ST, ST, OP); /* what was held back begins anew */
    FLOW(two, "|", 2, ST);                        /* the one that is there first */
    FLOW(umlaut, "|\xc3\xa4 cat|", SIZE_MAX, UMLAUT, CAT);
    FLOW(umlaut, "|||", 0, 3 + 0xc3, 3 + 0xa4, DOT);
    FLOW(byte, "|||", 0, THE, CAT, END);
    FLOW(one, "||\xe6\x97\xa5||\xef\xbf\xbd", SIZE_MAX, 3 + 0xe6, 3 + 0x97, 3 + 0xa5, 3 + 0xe6);
}

static void stopping(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    tola_session *s = open_session(model, 0, 1);
    tola_generated g, whole;
    o.max_tokens = 60;
    whole = generate(s, &o, prompt, PROMPT);
    assert_true(whole.length > 20);
    char middle[4] = { 0 };
    size_t at = whole.length / 2;
    while (((uint8_t)whole.text[at] & 0xc0) == 0x80) at--; /* a whole character begins the stop string */
    size_t n = (uint8_t)whole.text[at] < 0x80 ? 1 : (uint8_t)whole.text[at] < 0xe0 ? 2 : 3;
    memcpy(middle, whole.text + at, n);
    const char *stop[] = { "no such text", middle, NULL };
    heard h = { .length = 0 };
    o.stop = stop;
    o.token = hear;
    o.token_user = &h;
    g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(g.ending, TOLA_ENDING_STOP);
    assert_int_equal(g.stopped_by, 1);
    assert_null(strstr(g.text, middle));
    assert_memory_equal(g.text, whole.text, g.length);
    assert_string_equal(h.text, g.text);
    assert_int_equal(tola_session_length(s, 0), PROMPT + g.count - 1);
    tola_generated_dispose(&g);
    const char *empty[] = { "", NULL }, *broken[] = { "a\xff", NULL };
    o.stop = empty;
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_ARG);
    o.stop = broken;
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_ARG);
    tola_generated_dispose(&whole);
    tola_session_free(s);
}

/* ---- endings ---- */

static bool no_more(void *user, size_t done, size_t total) {
    (void)user;
    (void)done;
    (void)total;
    return false;
}

/* The next end of a batch of four; on a slow machine it may also be asked within one. */
static bool in_fours(void *user, size_t done, size_t total) {
    size_t *next = user;
    assert_int_equal(total, PROMPT);
    assert_true(done <= *next);
    if (done == *next) *next = done + 4 < total ? done + 4 : total;
    return true;
}

static void endings(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    tola_session *s = open_session(model, 40, 1);
    tola_generated g;
    o.ignore_end = true;
    g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(g.ending, TOLA_ENDING_CONTEXT);
    assert_int_equal(g.count, 40 - PROMPT + 1);
    assert_int_equal(tola_session_length(s, 0), 40);
    assert_string_equal(tola_ending_name(g.ending), "context");
    tola_generated_dispose(&g);

    heard h = { .stop_after = 5 };
    o.token = hear;
    o.token_user = &h;
    o.lookup = 1;
    g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(g.ending, TOLA_ENDING_CANCELLED);
    assert_int_equal(g.count, 5);
    assert_int_equal(tola_session_length(s, 0), PROMPT + 4);
    assert_memory_equal(tola_session_ids(s, 0) + PROMPT, g.ids, 4 * sizeof *g.ids);
    tola_generated_dispose(&g);
    o.token = NULL;
    o.lookup = 0;

    uint32_t many[41];
    for (size_t i = 0; i < 41; i++) many[i] = 5;
    assert_int_equal(tola_generate(s, 0, many, 41, &o, &g, &err), TOLA_E_LIMIT);
    assert_non_null(strstr(err.message, "prompt of 41 tokens does not fit into the context of 40"));
    assert_int_equal(tola_session_length(s, 0), PROMPT + 4);
    g = generate(s, &o, many, 40); /* one token can still be chosen */
    assert_int_equal(g.count, 1);
    assert_int_equal(g.ending, TOLA_ENDING_CONTEXT);
    tola_generated_dispose(&g);
    assert_int_equal(tola_generate(s, 0, many, 0, &o, &g, &err), TOLA_E_ARG);
    assert_int_equal(tola_generate(s, 1, many, 1, &o, &g, &err), TOLA_E_ARG);
    many[0] = TINY_VOCABULARY;
    assert_int_equal(tola_generate(s, 0, many, 2, &o, &g, &err), TOLA_E_ARG);
    tola_session_free(s);

    tola_session_options so = TOLA_SESSION_OPTIONS_INIT;
    so.batch = 4;
    assert_int_equal(tola_session_create(model, &so, &s, &err), TOLA_OK);
    o.progress = no_more;
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_CANCELLED);
    assert_int_equal(tola_session_length(s, 0), 0);
    size_t next = 4;
    o.progress = in_fours;
    o.progress_user = &next;
    g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(next, PROMPT);
    tola_generated_dispose(&g);
    tola_session_free(s);
}

/* The end token is made likely by a bias. */
static void end_tokens(void **state) {
    (void)state;
    static const tola_logit_bias likely = { 2, 1000 };
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    tola_session *s = open_session(model, 0, 1);
    sampling.bias = &likely;
    sampling.bias_count = 1;
    o.sampling = &sampling;
    o.max_tokens = 10;
    tola_generated g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(g.ending, TOLA_ENDING_MODEL);
    assert_int_equal(g.end_id, 2);
    assert_int_equal(g.count, 0);
    assert_string_equal(g.text, "");
    tola_generated_dispose(&g);
    o.ignore_end = true;
    g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(g.ending, TOLA_ENDING_LIMIT);
    assert_int_equal(g.end_id, TOLA_NO_TOKEN);
    for (size_t i = 0; i < g.count; i++) assert_int_not_equal(g.ids[i], 2);
    tola_generated_dispose(&g);
    tola_session_free(s);
}

/* ---- grammars ---- */

static void grammars(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    tola_session *s = open_session(model, 0, 1);
    tola_generated g;
    o.sampling = &sampling;
    o.grammar = "root ::= \" the cat \" [12]+ (\"stop\" | \"\xc3\xa4\") \"!\"";
    o.max_tokens = 200;
    for (sampling.seed = 0; sampling.seed < 8; sampling.seed++) {
        o.lookup = sampling.seed % 3;
        g = generate(s, &o, prompt, PROMPT);
        if (g.ending == TOLA_ENDING_MODEL) assert_int_equal(g.text[g.length - 1], '!');
        assert_memory_equal(g.text, " the cat ", 9);
        size_t digits = strspn(g.text + 9, "12");
        assert_true(digits > 0);
        if (g.ending == TOLA_ENDING_MODEL)
            assert_true(strcmp(g.text + 9 + digits, "stop!") == 0 || strcmp(g.text + 9 + digits, "\xc3\xa4!") == 0);
        tola_generated_dispose(&g);
    }
    o.grammar = "root ::= nothing";
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_FORMAT);
    o.json_schema = "{}";
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_ARG);
    o.grammar = NULL;
    o.json_schema = "{\"type\": \"object\", \"properties\": {\"a\": {\"enum\": [1, 2, 12]}}, \"required\": [\"a\"], "
                    "\"additionalProperties\": false}";
    o.max_tokens = 500;
    g = generate(s, &o, prompt, PROMPT);
    assert_int_equal(g.ending, TOLA_ENDING_MODEL);
    assert_int_equal(g.text[0], '{');
    assert_int_equal(g.text[g.length - 1], '}');
    tola_generated_dispose(&g);
    o.json_schema = "{\"type\": \"object\", \"nonsense\": 1}";
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_UNSUPPORTED);
    o.json_schema = "{\"const\": 1}";
    tola_session_free(s);
    s = open_session(window_model, 0, 1);
    assert_int_equal(tola_generate(s, 0, prompt, PROMPT, &o, &g, &err), TOLA_E_ARG); /* no tokenizer */
    tola_session_free(s);
}

/* ---- one model, several sessions at once ---- */

static void *generate_beside(void *out) {
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    tola_sampling sampling = TOLA_SAMPLING_INIT;
    sampling.seed = 11;
    o.sampling = &sampling;
    o.max_tokens = 40;
    o.grammar = "root ::= [a-z \\x80-\\uffff]+";
    *(tola_generated *)out = generate_fresh(model, &o, 2);
    return NULL;
}

static void threads_share_a_model(void **state) {
    (void)state;
    tola_generated results[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, generate_beside, &results[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 1; i < 4; i++) same_text(&results[0], &results[i]);
    for (int i = 0; i < 4; i++) tola_generated_dispose(&results[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup),
        cmocka_unit_test(draft_models),
        cmocka_unit_test(looking_up),
        cmocka_unit_test(reuse),
        cmocka_unit_test(characters),
        cmocka_unit_test(stops),
        cmocka_unit_test(stopping),
        cmocka_unit_test(endings),
        cmocka_unit_test(end_tokens),
        cmocka_unit_test(grammars),
        cmocka_unit_test(threads_share_a_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
