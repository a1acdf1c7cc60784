/* Documents as a stream of tokens: what is kept on disk and when it is made again, pieces and threads, rows. */
#include "unit.h"

#include "learn/data_tokens.h"
#include "text/tokenizer.h"

/* A tokenizer of bytes with a few merges, cutting words as GPT-2 does; id 0 is <end>. */
static tola_tokenizer *tokenizer(const char *name, bool gpt2) {
    buf b;
    buf_init(&b, 0);
    buf_printf(&b,
               "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"<end>\",\"special\":true,"
               "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}],"
               "\"normalizer\":null,\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
               "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,"
               "\"use_regex\":%s},\"model\":{\"type\":\"BPE\",\"vocab\":{\"<end>\":0",
               gpt2 ? "false" : "true", gpt2 ? "true" : "false");
    for (int i = 0; i < 256; i++) {
        char c[3] = "";
        tk_char_of_byte((uint8_t)i, c);
        buf_printf(&b, ",\"%s%s\":%d", c[0] == '"' || c[0] == '\\' ? "\\" : "", c, i + 1);
    }
    buf_printf(&b, ",\"th\":257,\"the\":258,\"\\u010aa\":259},\"merges\":[\"t h\",\"th e\",\"\\u010a a\"]}}");
    const char *path = unit_path(name);
    unit_write(path, b.data, b.length);
    buf_free(&b);
    tola_tokenizer *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_tokenizer_open(path, &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    return t;
}

static data_text *text(const char *name, const char *content, size_t bytes, const char *separator) {
    data_text *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    const char *path = unit_path(name);
    unit_write(path, content, bytes);
    if (data_text_open(&path, 1, &(data_text_options){ .separator = separator }, &t, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    return t;
}

static void test_rows(void **state) {
    (void)state;
    tola_tokenizer *k = tokenizer("t.json", true);
    data_text *x = text("x.txt", "abcde|f|the", 11, "|"); /* a b c d e <end>, f <end>, the <end> */
    data_tokens *t;
    data_tokens_options o = DATA_TOKENS_OPTIONS_INIT;
    o.after = 0;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_tokens_open(x, k, &o, &t, &err), TOLA_OK);
    assert_true(data_tokens_count(t) == 10 && data_tokens_documents(t) == 3 && !data_tokens_from_cache(t));
    uint32_t ids[4], targets[4], first[4], wanted;
    float weights[4];
    data_rows *r;
    assert_int_equal(data_rows_open(t, 4, DATA_ROWS_STREAM, &r, &err), TOLA_OK);
    assert_true(data_rows_count(r) == 3);
    assert_int_equal(data_rows_read(r, 1, ids, targets, weights, first, &wanted, &err), TOLA_OK);
    assert_memory_equal(ids, ((uint32_t[]){ 'e' + 1, 0, 'f' + 1, 0 }), sizeof ids);
    assert_memory_equal(targets, ((uint32_t[]){ 0, 'f' + 1, 0, 258 }), sizeof targets);
    assert_memory_equal(weights, ((float[]){ 1, 1, 1, 1 }), sizeof weights);
    assert_memory_equal(first, ((uint32_t[]){ 0, 0, 0, 0 }), sizeof first);
    assert_int_equal(wanted, 4);
    assert_int_equal(data_rows_read(r, 2, ids, targets, weights, first, &wanted, &err), TOLA_OK);
    assert_memory_equal(ids, ((uint32_t[]){ 258, 0, 0, 0 }), sizeof ids);
    assert_memory_equal(weights, ((float[]){ 1, 0, 0, 0 }), sizeof weights);
    assert_memory_equal(first, ((uint32_t[]){ 0, 1, 2, 3 }), sizeof first);
    assert_int_equal(data_rows_read(r, 3, ids, targets, weights, first, &wanted, &err), TOLA_E_ARG);
    data_rows_close(r);
    assert_int_equal(data_rows_open(t, 4, DATA_ROWS_PACKED, &r, &err), TOLA_OK);
    assert_int_equal(data_rows_read(r, 1, ids, targets, weights, first, &wanted, &err), TOLA_OK);
    assert_memory_equal(weights, ((float[]){ 1, 0, 1, 0 }), sizeof weights);
    assert_memory_equal(first, ((uint32_t[]){ 0, 0, 2, 2 }), sizeof first);
    assert_int_equal(wanted, 2);
    data_rows_close(r);
    assert_int_equal(data_rows_open(t, 4, DATA_ROWS_SEPARATE, &r, &err), TOLA_OK);
    assert_true(data_rows_count(r) == 4);
    assert_int_equal(data_rows_read(r, 1, ids, targets, weights, first, &wanted, &err), TOLA_OK);
    assert_memory_equal(ids, ((uint32_t[]){ 'e' + 1, 0, 0, 0 }), sizeof ids);
    assert_memory_equal(weights, ((float[]){ 1, 0, 0, 0 }), sizeof weights);
    assert_int_equal(data_rows_read(r, 3, ids, NULL, NULL, NULL, NULL, &err), TOLA_OK);
    assert_memory_equal(ids, ((uint32_t[]){ 258, 0, 0, 0 }), sizeof ids);
    data_rows_close(r);
    data_rows_close(NULL);
    assert_int_equal(data_rows_open(t, 0, DATA_ROWS_STREAM, &r, &err), TOLA_E_ARG);
    data_tokens_close(t);
    data_tokens_close(NULL);
    data_text_close(x);
    /* documents of one token each */
    x = text("x.txt", "a|b", 3, "|");
    assert_int_equal(data_tokens_open(x, k, NULL, &t, &err), TOLA_OK);
    assert_int_equal(data_rows_open(t, 4, DATA_ROWS_SEPARATE, &r, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "none of 2 documents has two tokens"));
    data_tokens_close(t);
    data_text_close(x);
    tola_tokenizer_free(k);
}

static void test_refused(void **state) {
    (void)state;
    tola_tokenizer *k = tokenizer("t.json", true);
    data_tokens *t;
    tola_error err = TOLA_ERROR_INIT;
    data_text *x = text("x.txt", "a", 1, NULL);
    assert_int_equal(data_tokens_open(x, k, NULL, &t, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "x.txt: one token is there, and two are the least"));
    data_text_close(x);
    x = text("x.jsonl", "{\"text\": \"\"}\n{\"text\": \"\"}\n", 26, NULL);
    assert_int_equal(data_tokens_open(x, k, NULL, &t, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "x.jsonl: line 1: no token is there"));
    data_text_close(x);
    x = text("x.jsonl", "{\"text\": \"ab\"}\n{\"text\": 3}\n", 27, NULL);
    assert_int_equal(data_tokens_open(x, k, NULL, &t, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "x.jsonl: line 2: the field 'text' is no text"));
    data_text_close(x);
    x = text("x.txt", "|a|the", 6, "|");
    data_tokens_options o = DATA_TOKENS_OPTIONS_INIT;
    o.vocabulary = 258;
    assert_int_equal(data_tokens_open(x, k, &o, &t, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message,
                           "x.txt: the document at byte 3: the tokenizer gives token 258, and the model has "
                           "258 tokens"));
    o.vocabulary = 0;
    o.before = 260;
    assert_int_equal(data_tokens_open(x, k, &o, &t, &err), TOLA_E_ARG);
    data_text_close(x);
    tola_tokenizer_free(k);
}

static data_tokens *open_kept(const data_text *x, const tola_tokenizer *k, bool want_cached) {
    data_tokens *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    data_tokens_options o = DATA_TOKENS_OPTIONS_INIT;
    o.cache = unit_path("tokens");
    if (data_tokens_open(x, k, &o, &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(data_tokens_from_cache(t), want_cached);
    return t;
}

static void test_cache(void **state) {
    (void)state;
    tola_tokenizer *k = tokenizer("t.json", true), *other = tokenizer("o.json", false);
    data_text *x = text("x.txt", "to be the one", 13, NULL);
    data_tokens_close(open_kept(x, k, false));
    data_tokens *t = open_kept(x, k, true);
    assert_true(data_tokens_count(t) == 11 && data_tokens_documents(t) == 1);
    data_tokens_close(t);
    data_tokens_close(open_kept(x, other, false)); /* another tokenizer with the same vocabulary */
    data_tokens_close(open_kept(x, other, true));
    data_tokens_close(open_kept(x, k, false));
    data_text_close(x);
    x = text("x.txt", "to be the owe", 13, NULL); /* another text */
    data_tokens_close(open_kept(x, k, false));
    assert_int_equal(truncate(unit_path("tokens"), 90), 0); /* a damaged file */
    data_tokens_close(open_kept(x, k, false));
    FILE *f = fopen(unit_path("tokens"), "r+b"); /* a token beyond all */
    assert_true(f && fseek(f, 64 + 3, SEEK_SET) == 0 && fputc(0x7f, f) != EOF && fclose(f) == 0);
    t = open_kept(x, k, true);
    data_rows *r;
    uint32_t ids[8];
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_rows_open(t, 8, DATA_ROWS_STREAM, &r, &err), TOLA_OK);
    assert_int_equal(data_rows_read(r, 0, ids, NULL, NULL, NULL, NULL, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "the file is damaged"));
    data_rows_close(r);
    data_tokens_close(t);
    unit_write(unit_path("tokens"), "my diary", 8); /* somebody's file */
    data_tokens_options o = DATA_TOKENS_OPTIONS_INIT;
    o.cache = unit_path("tokens");
    assert_int_equal(data_tokens_open(x, k, &o, &t, &err), TOLA_E_EXISTS);
    o.cache = "/proc/no such folder/tokens";
    assert_int_not_equal(data_tokens_open(x, k, &o, &t, &err), TOLA_OK);
    data_text_close(x);
    tola_tokenizer_free(k);
    tola_tokenizer_free(other);
}

/* A document of some pieces is what the tokenizer makes of it as a whole, by one thread or by three. */
static void check_pieces(tola_tokenizer *k, const char *content, size_t n) {
    data_text *x = text("long.txt", content, n, NULL);
    uint32_t *want;
    size_t count;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_tokenize(k, content, n, TOLA_TOKENIZE_PLAIN, &want, &count, &err), TOLA_OK);
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        data_tokens *t;
        data_rows *r;
        data_tokens_options o = DATA_TOKENS_OPTIONS_INIT;
        o.threads = threads;
        assert_int_equal(data_tokens_open(x, k, &o, &t, &err), TOLA_OK);
        assert_true(data_tokens_count(t) == count);
        uint32_t *ids = malloc(count * sizeof *ids);
        assert_non_null(ids);
        assert_int_equal(data_rows_open(t, (uint32_t)count, DATA_ROWS_STREAM, &r, &err), TOLA_OK);
        assert_int_equal(data_rows_read(r, 0, ids, NULL, NULL, NULL, NULL, &err), TOLA_OK);
        assert_memory_equal(ids, want, (count - 1) * sizeof *ids);
        free(ids);
        data_rows_close(r);
        data_tokens_close(t);
    }
    tola_free(want);
    data_text_close(x);
}

static void test_pieces(void **state) {
    (void)state;
    size_t n = 900000;
    char *content = malloc(n);
    assert_non_null(content);
    for (size_t i = 0; i < n; i++) content[i] = "the \nab\n\na. \r\nlast\nword"[(i * 7919 + i / 22) % 23];
    tola_tokenizer *k = tokenizer("t.json", true), *whole = tokenizer("o.json", false);
    check_pieces(k, content, n);
    check_pieces(whole, content, n / 2); /* begins every text with a space, and so must not be cut */
    memset(content, 'a', n);
    check_pieces(k, content, n / 2); /* nowhere to cut */
    free(content);
    tola_tokenizer_free(k);
    tola_tokenizer_free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_cache, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
