/* Learning a tokenizer: merges known by hand, what does not matter (threads, order, pieces), files, what is refused.
 * tests/oracle/bpe_oracle.py holds merges against Hugging Face's trainer. */
#include "unit.h"

#include "base/json.h"
#include "text/bpe_train.h"

typedef struct learned {
    buf tokenizer, config;
    uint32_t tokens;
} learned;

static void dispose(learned *l) {
    buf_free(&l->tokenizer);
    buf_free(&l->config);
}

static tola_status learn(const bpe_train_options *o, const char *const *texts, size_t count, learned *l,
                         tola_error *err) {
    bpe_trainer *t = NULL;
    buf_init(&l->tokenizer, 0);
    buf_init(&l->config, 0);
    tola_status status = bpe_train_create(o, &t, err);
    for (size_t i = 0; i < count && status == TOLA_OK; i++) status = bpe_train_add(t, texts[i], strlen(texts[i]), err);
    if (status == TOLA_OK) status = bpe_train_finish(t, &l->tokenizer, &l->config, &l->tokens, err);
    bpe_train_free(t);
    return status;
}

static void assert_learns(const bpe_train_options *o, const char *const *texts, size_t count, learned *l) {
    tola_error err = TOLA_ERROR_INIT;
    if (learn(o, texts, count, l, &err) != TOLA_OK) fail_msg("%s", err.message);
}

static void test_merges(void **state) {
    (void)state;
    /* arXiv 1508.07909's example: e s (9), es t (9), l o (7), lo w (7), then ties by id: " w"? no spaces here */
    static const char *const texts[] = {
        "low",    "low",    "low",    "low",    "low",    "lower",  "lower",  "newest",
        "newest", "newest", "newest", "newest", "newest", "widest", "widest", "widest"
    };
    bpe_train_options o = { .vocabulary = 256 + 1 + 6, .specials = (const char *const[]){ "<s>" }, .special_count = 1 };
    learned l;
    assert_learns(&o, texts, sizeof texts / sizeof *texts, &l);
    assert_int_equal(l.tokens, 263);
    arena a;
    tola_value v;
    arena_init(&a, 0);
    assert_int_equal(json_parse((const char *)l.tokenizer.data, l.tokenizer.length, &a, &v, NULL), TOLA_OK);
    const tola_value *merges = tola_value_get(tola_value_get(&v, "model"), "merges");
    static const char *const want[][2] = { { "e", "s" },  { "es", "t" }, { "l", "o" },
                                           { "lo", "w" }, { "e", "w" },  { "n", "ew" } };
    assert_int_equal(merges->as.array.count, 6);
    for (size_t i = 0; i < 6; i++) {
        tola_value pair = tola_value_at(merges, i), left = tola_value_at(&pair, 0), right = tola_value_at(&pair, 1);
        assert_string_equal(left.as.string.data, want[i][0]);
        assert_string_equal(right.as.string.data, want[i][1]);
    }
    arena_free(&a);
    dispose(&l);
}

static void assert_same(const learned *a, const learned *b) {
    assert_int_equal(a->tokenizer.length, b->tokenizer.length);
    assert_memory_equal(a->tokenizer.data, b->tokenizer.data, a->tokenizer.length);
}

static void test_same(void **state) {
    (void)state;
    size_t n = 1200000;
    char *text = malloc(n + 1);
    assert_non_null(text);
    uint32_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = "abcdefgh the of\n\n\r.123 \xc3"[(seed >> 16) % 24];
    }
    text[n] = 0;
    for (int words = 0; words < 2; words++) {
        bpe_train_options o = { .vocabulary = 600, .words = (bpe_words)words, .threads = 1 };
        learned one, three;
        const char *texts[] = { text, "some more", text + n - 1000 },
                   *turned[] = { text + n - 1000, "some more", text };
        assert_learns(&o, texts, 3, &one);
        o.threads = 3;
        assert_learns(&o, turned, 3, &three);
        assert_int_equal(one.tokens, 600);
        assert_same(&one, &three);
        dispose(&one);
        dispose(&three);
    }
    free(text);
}

static void test_files(void **state) {
    (void)state;
    static const char *const specials[] = { "<|start|>", "<|end \"\xc3\xa4\"|>" };
    static const char *const texts[] = { "the theme of the thesis\n" };
    bpe_train_options o = { .vocabulary = 300,
                            .words = BPE_WORDS_LLAMA3,
                            .specials = specials,
                            .special_count = 2,
                            .begin = specials[0],
                            .end = specials[1],
                            .context = 64 };
    learned l;
    assert_learns(&o, texts, 1, &l);
    assert_true(l.tokens > 258 && l.tokens < 300); /* no more pairs */
    unit_write(unit_path("tokenizer.json"), l.tokenizer.data, l.tokenizer.length);
    unit_write(unit_path("tokenizer_config.json"), l.config.data, l.config.length);
    tola_tokenizer *t;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_tokenizer_open(unit_here(), &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(tola_tokenizer_size(t), l.tokens);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_BOS), 0);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_EOS), 1);
    uint32_t *ids;
    size_t count;
    const char *text = "the the\xff<|end \"\xc3\xa4\"|>";
    assert_int_equal(tola_tokenize(t, text, strlen(text), 0, &ids, &count, &err), TOLA_OK);
    assert_true(count < 8 && ids[count - 1] == 1);
    char *back;
    size_t length;
    assert_int_equal(tola_detokenize(t, ids, count, 0, &back, &length, &err), TOLA_OK);
    assert_string_equal(back, "the the\xef\xbf\xbd<|end \"\xc3\xa4\"|>");
    tola_free(ids);
    tola_free(back);
    tola_tokenizer_free(t);
    dispose(&l);
}

static void test_least(void **state) {
    (void)state;
    static const char *const texts[] = { "ab ab ab cd cd" };
    bpe_train_options o = { .vocabulary = 300, .least = 3 };
    learned l;
    assert_learns(&o, texts, 1, &l);
    assert_int_equal(l.tokens, 257); /* a b; " ab" and " cd" occur twice */
    dispose(&l);
}

static void assert_refused(const bpe_train_options *o, const char *text, tola_status want, const char *message) {
    learned l;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = learn(o, &text, 1, &l, &err);
    if (status != want || !strstr(err.message, message)) fail_msg("%s: %d %s", message, status, err.message);
    dispose(&l);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const twice[] = { "<s>", "<s>" }, *const empty[] = { "" }, *const bad[] = { "\xff" };
    assert_refused(&(bpe_train_options){ .vocabulary = 300 }, "", TOLA_E_FORMAT, "there is no text to learn");
    assert_refused(&(bpe_train_options){ .vocabulary = 255 }, "a", TOLA_E_ARG, "a vocabulary of 255 has no room");
    assert_refused(&(bpe_train_options){ .vocabulary = 1u << 30 }, "a", TOLA_E_LIMIT, "more than");
    assert_refused(&(bpe_train_options){ .vocabulary = 300, .specials = twice, .special_count = 2 }, "a", TOLA_E_ARG,
                   "'<s>' is empty, no UTF-8, or there twice");
    assert_refused(&(bpe_train_options){ .vocabulary = 300, .specials = empty, .special_count = 1 }, "a", TOLA_E_ARG,
                   "''");
    assert_refused(&(bpe_train_options){ .vocabulary = 300, .specials = bad, .special_count = 1 }, "a", TOLA_E_ARG,
                   "\\xff");
    assert_refused(&(bpe_train_options){ .vocabulary = 300, .specials = twice, .special_count = 1, .end = "</s>" }, "a",
                   TOLA_E_ARG, "'</s>' is none of the special tokens");
}

/* A text whose every allocation fails in turn. */
static void test_memory(void **state) {
    (void)state;
    static const char *const texts[] = { "the theme of the thesis\n" };
    bpe_train_options o = { .vocabulary = 270, .threads = 1 };
    for (uint64_t n = 0;; n++) {
        learned l;
        fault_arm(FAULT_ALLOC, n, false);
        tola_status status = learn(&o, texts, 1, &l, NULL);
        bool hit = fault_count(FAULT_ALLOC) > n;
        fault_disarm();
        dispose(&l);
        if (status != TOLA_OK && !(hit && status == TOLA_E_NOMEM)) fail_msg("allocation %d: %d", (int)n, status);
        if (!hit) break;
        if (n > 20000) fail_msg("too many allocations");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_same),
        cmocka_unit_test_setup_teardown(test_files, unit_set_up, unit_tear_down),
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
