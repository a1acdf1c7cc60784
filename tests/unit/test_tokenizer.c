/* Tokenizers through the public interface: both directions, streams, special tokens, what is refused. */
#include "unit.h"

#include "text/tokenizer.h"

/* "é" is Ã and © in GPT-2's spelling of its two bytes. */
#define BYTES_MODEL                                                                                                    \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\u0120\":3,\"\u0120ab\":4,\"\u00c3\":5,"        \
    "\"\u00a9\":6,\"<\":7,\"s\":8,\">\":9},\"merges\":[\"a b\",[\"\u0120\",\"ab\"]]}"
#define BYTES_STEPS                                                                                                    \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"                        \
    "\"decoder\":{\"type\":\"ByteLevel\"}"
#define BYTES_ADDED                                                                                                    \
    "\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"special\":true,\"normalized\":false},"                         \
    "{\"id\":11,\"content\":\"<|im_end|>\",\"special\":true,\"normalized\":false}]"
#define BYTES_POST                                                                                                     \
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"             \
    "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[10],\"tokens\":[\"<s>\"]}}}"
#define BYTES_JSON "{" BYTES_STEPS "," BYTES_ADDED "," BYTES_POST "," BYTES_MODEL "}"

static char folder[256];

static const char *in_folder(const char *name) {
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const char *text) { unit_write(in_folder(name), text, strlen(text)); }

static tola_tokenizer *open_json(const char *json) {
    tola_error err = TOLA_ERROR_INIT;
    tola_tokenizer *t = NULL;
    put_file("tokenizer.json", json);
    if (tola_tokenizer_open(in_folder("tokenizer.json"), &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    return t;
}

static void expect_ids(const tola_tokenizer *t, const char *text, unsigned flags, size_t count, const uint32_t *ids) {
    tola_error err = TOLA_ERROR_INIT;
    uint32_t *got;
    size_t n;
    assert_int_equal(tola_tokenize(t, text, strlen(text), flags, &got, &n, &err), TOLA_OK);
    assert_int_equal(n, count);
    if (count) assert_memory_equal(got, ids, count * sizeof *ids);
    tola_free(got);
}

#define EXPECT_IDS(t, text, flags, ...)                                                                                \
    do {                                                                                                               \
        const uint32_t wanted[] = { __VA_ARGS__ };                                                                     \
        expect_ids(t, text, flags, sizeof wanted / 4, wanted);                                                         \
    } while (0)

static void expect_text(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags,
                        const char *wanted) {
    tola_error err = TOLA_ERROR_INIT;
    char *text;
    size_t n;
    assert_int_equal(tola_detokenize(t, ids, count, flags, &text, &n, &err), TOLA_OK);
    assert_string_equal(text, wanted);
    assert_int_equal(n, strlen(wanted));
    tola_free(text);
}

/* What each push gives, and the end, joined by '|'. */
static void expect_stream(const tola_tokenizer *t, const uint32_t *ids, size_t count, unsigned flags,
                          const char *wanted) {
    tola_error err = TOLA_ERROR_INIT;
    tola_detokenizer *d;
    char all[1000] = "";
    const char *text;
    size_t n, used = 0;
    assert_int_equal(tola_detokenizer_create(t, flags, &d, &err), TOLA_OK);
    for (int round = 0; round < 2; round++) { /* finish makes it as new */
        used = 0;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(tola_detokenizer_push(d, ids[i], &text, &n, &err), TOLA_OK);
            used += (size_t)snprintf(all + used, sizeof all - used, "%.*s|", (int)n, text);
        }
        assert_int_equal(tola_detokenizer_finish(d, &text, &n, &err), TOLA_OK);
        snprintf(all + used, sizeof all - used, "%.*s", (int)n, text);
        assert_string_equal(all, wanted);
    }
    tola_detokenizer_free(d);
}

static void test_bytes(void **state) {
    (void)state;
    tola_tokenizer *t = open_json(BYTES_JSON);
    assert_int_equal(tola_tokenizer_size(t), 12);
    EXPECT_IDS(t, "ab ab", 0, 2, 4);
    EXPECT_IDS(t, "\u00e9a", 0, 5, 6, 0);
    EXPECT_IDS(t, "a<s>b", 0, 0, 10, 1);
    EXPECT_IDS(t, "a<s>b", TOLA_TOKENIZE_PLAIN, 0, 7, 8, 9, 1);
    EXPECT_IDS(t, "a", TOLA_TOKENIZE_SPECIAL, 10, 0);
    EXPECT_IDS(t, "", TOLA_TOKENIZE_SPECIAL, 10);
    expect_ids(t, "", 0, 0, NULL);
    const uint32_t ids[] = { 10, 2, 4, 5, 6, 5, 11 };
    expect_text(t, ids, 7, 0, "<s>ab ab\u00e9\ufffd<|im_end|>");
    expect_text(t, ids, 7, TOLA_DETOKENIZE_SKIP_SPECIAL, "ab ab\u00e9\ufffd");
    expect_stream(t, ids, 7, TOLA_DETOKENIZE_SKIP_SPECIAL, "|ab| ab||\u00e9|||\ufffd");
    expect_stream(t, ids, 5, 0, "<s>|ab| ab||\u00e9|");
    tola_tokenizer_free(t);
}

static void test_tokens(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_tokenizer *t = open_json(BYTES_JSON);
    size_t n;
    unsigned flags;
    char bytes[8] = "";
    assert_string_equal(tola_token_text(t, 4, &n, &flags), "\u0120ab");
    assert_int_equal(flags, 0);
    assert_null(tola_token_text(t, 12, &n, &flags));
    assert_non_null(tola_token_text(t, 10, &n, &flags));
    assert_int_equal(flags, TOLA_TOKEN_SPECIAL | TOLA_TOKEN_ADDED);
    assert_int_equal(tola_token_find(t, "\u0120ab", 4), 4);
    assert_int_equal(tola_token_find(t, "nothing", 7), TOLA_NO_TOKEN);
    assert_int_equal(tola_token_bytes(t, 4, bytes, sizeof bytes, &n, &err), TOLA_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(bytes, " ab", 3);
    assert_int_equal(tola_token_bytes(t, 5, bytes, sizeof bytes, &n, &err), TOLA_OK);
    assert_int_equal(n, 1);
    assert_int_equal((uint8_t)bytes[0], 0xc3);
    assert_int_equal(tola_token_bytes(t, 10, bytes, sizeof bytes, &n, &err), TOLA_OK);
    assert_int_equal(n, 0);
    assert_int_equal(tola_token_bytes(t, 4, bytes, 1, &n, &err), TOLA_OK);
    assert_int_equal(n, 3); /* more than there was room for */
    assert_int_equal(tola_token_bytes(t, 12, bytes, sizeof bytes, &n, &err), TOLA_E_ARG);
    tola_tokenizer_free(t);
}

static void test_broken_text(void **state) {
    (void)state;
    tola_tokenizer *t = open_json("{" BYTES_STEPS ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\u00ef\":1,"
                                  "\"\u00bf\":2,\"\u00bd\":3},\"merges\":[]}}");
    EXPECT_IDS(t,
               "a\xff"
               "a\xe2\x82"
               "a",
               0, 0, 1, 2, 3, 0, 1, 2, 3, 0);
    tola_tokenizer_free(t);
}

/* Llama 2's steps: U+2581 before, bytes of what no piece spells. */
static void test_byte_fallback(void **state) {
    (void)state;
    tola_tokenizer *t = open_json(
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]},"
        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},"
        "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
        "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"\u2581\":"
        "1,"
        "\"a\":2,\"\u2581a\":3,\"<0xE2>\":4,\"<0x82>\":5,\"<0xAC>\":6},\"merges\":[\"\u2581 a\"]}}");
    EXPECT_IDS(t, "a a\u20ac", 0, 3, 3, 4, 5, 6);
    const uint32_t ids[] = { 3, 3, 4, 5, 6, 2 };
    expect_text(t, ids, 6, 0, "a a\u20aca");
    expect_stream(t, ids, 6, 0, "a| a|||\u20ac|a|");
    const uint32_t broken[] = { 1, 1, 4, 5, 2 };
    expect_text(t, broken, 5, 0, " \ufffd\ufffda");
    expect_stream(t, broken, 5, 0, "| |||\ufffd\ufffda|");
    tola_tokenizer_free(t);
}

/* What looks at the last token can not stream, and says all at the end. */
static void test_not_local(void **state) {
    (void)state;
    tola_tokenizer *t = open_json(
        "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"},"
        "\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0,\"a</w>\":1},\"merges\":[]}}");
    EXPECT_IDS(t, "aa a", 0, 0, 1, 1);
    const uint32_t ids[] = { 0, 1, 1 };
    expect_text(t, ids, 3, 0, "aa a");
    expect_stream(t, ids, 3, 0, "|||aa a");
    tola_tokenizer_free(t);
}

static void test_specials(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_tokenizer *t;
    const uint32_t *ends;
    put_file("tokenizer.json", BYTES_JSON);
    put_file("tokenizer_config.json", "{\"bos_token\":{\"content\":\"<s>\"},\"pad_token\":\"b\",\"eos_token\":null}");
    put_file("generation_config.json", "{\"eos_token_id\":[2,99,4294967295],\"bos_token_id\":0}");
    if (tola_tokenizer_open(folder, &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_BOS), 10);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_EOS), 2);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_EOT), 11);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_PAD), 1);
    assert_int_equal(tola_tokenizer_special(t, TOLA_SPECIAL_UNK), TOLA_NO_TOKEN);
    assert_int_equal(tola_tokenizer_ends(t, &ends), 2);
    assert_int_equal(ends[0], 2);
    assert_int_equal(ends[1], 11);
    tola_tokenizer_free(t);
    unlink(in_folder("tokenizer_config.json"));
    unlink(in_folder("generation_config.json"));
}

/* ---- what is refused, and what the message names ---- */

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } rows[] = {
        { "{", "tokenizer.json" },
        { "{}", "no model" },
        { "{\"model\":{\"type\":\"BPE\"}}", "no vocabulary" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "id 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "'a'" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4294967295},\"merges\":[]}}", "4294967295" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "merge 0" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "merge 0" },
        { "{\"model\":{\"type\":\"Magic\",\"vocab\":{\"a\":0}}}", "Magic" },
        { "{\"normalizer\":{\"type\":\"Magic\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", "Magic" },
        { "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"},"
          "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "pattern" },
        { "{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",5],\"cls\":[\"y\",0]},"
          "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "5" },
        { "{\"added_tokens\":[{\"id\":1}],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", "added token 0" },
        { "{\"added_tokens\":[{\"id\":0,\"content\":\"<x>\"}],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "added token 0: id 0 is that of 'a' and of '<x>'" },
        { "{\"added_tokens\":[{\"id\":1,\"content\":\"<x>\"},{\"id\":1,\"content\":\"<y>\"}],"
          "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "added token 1: id 1 is that of '<x>' and of '<y>'" },
        { "{\"added_tokens\":[{\"id\":\"0\",\"content\":\"a\"}],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "the id of added token 0 is no whole number" },
        /* words of another kind than theirs, which would else count as absent */
        { "{\"added_tokens\":{\"a\":0},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "added_tokens is of the wrong kind" },
        { "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":\"NFC\"},"
          "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "normalizers is of the wrong kind" },
        { "{\"normalizer\":{\"type\":\"Prepend\",\"prepend\":1},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "prepend is of the wrong kind" },
        { "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"a\":1},\"content\":\"\"},"
          "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "a Replace has no pattern" },
        { "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"byte_fallback\":\"yes\"}}",
          "byte_fallback is of the wrong kind" },
        { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],"
          "\"special_tokens\":{}},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "token '<s>' has no ids" },
        { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":\"<s> $A\"},"
          "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          "single is of the wrong kind" },
        { "{\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",0]]}}", "unk_id 7" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tola_error err = TOLA_ERROR_INIT;
        tola_tokenizer *t = NULL;
        put_file("tokenizer.json", rows[i].json);
        if (tola_tokenizer_open(in_folder("tokenizer.json"), &t, &err) == TOLA_OK) fail_msg("taken: %s", rows[i].json);
        assert_null(t);
        if (!strstr(err.message, rows[i].says) || !strstr(err.message, "tokenizer.json"))
            fail_msg("%s: '%s' lacks '%s'", rows[i].json, err.message, rows[i].says);
    }
}

static void test_ids_without_text(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_tokenizer *t = open_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":2},\"merges\":[]}}");
    char *text;
    size_t n;
    for (uint32_t id = 1; id <= 3; id += 2)
        assert_int_equal(tola_detokenize(t, &id, 1, 0, &text, &n, &err), TOLA_E_ARG);
    unsigned flags = 0;
    assert_non_null(tola_token_text(t, 1, &n, &flags));
    assert_int_equal(flags, TOLA_TOKEN_UNUSED);
    tola_tokenizer_free(t);
}

/* A damaged charsmap that cuts characters in two, or whose texts do: what comes out is text, nothing is read behind it. */
static void test_damaged_charsmap(void **state) {
    (void)state;
    static uint32_t data[1 + 256 + 1];
    arena a;
    buf out;
    data[0] = 256 * 4;
    data[1 + 0xc3] = 0xc3 | 1u << 8 | 1u << 10; /* the first byte of U+00E9 has a text, */
    data[1 + 0xc2] = 0;                         /* the one at 0 */
    data[1 + 'b'] = 'b' | 1u << 8 | 1u << 10;   /* b's */
    data[1 + ('b' ^ 1)] = 2;                    /* begins within a character */
    memcpy(&data[1 + 256], "x\xc3\xa9", 4);
    arena_init(&a, 0);
    const charsmap *map = charsmap_parse(data, sizeof data, &a);
    assert_non_null(map);
    static const struct {
        const char *text, *wanted;
    } rows[] = { { "a\xc3\xa9", "a\xc3\xa9" }, { "\xc3\xa9z", "\xc3\xa9z" }, { "ab", "a\xef\xbf\xbd" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t length = strlen(rows[i].text);
        char *text = malloc(length); /* no byte more */
        assert_non_null(text);
        memcpy(text, rows[i].text, length);
        buf_init(&out, 0);
        for (int clusters = 0; clusters < 2; clusters++) {
            buf_init(&out, 0);
            if (clusters) charsmap_apply_clusters(map, text, length, &out);
            else charsmap_apply(map, text, length, &out);
            assert_false(out.failed);
            assert_int_equal(out.length, strlen(rows[i].wanted));
            assert_memory_equal(out.data, rows[i].wanted, out.length);
            buf_free(&out);
        }
        free(text);
    }
    arena_free(&a);
}

/* Precompiled of tokenizers 0.23.3, asked with this map (a becomes X): clusters of fewer than 6 bytes are replaced whole. */
static void test_clusters(void **state) {
    (void)state;
    static uint32_t data[1 + 512 + 1];
    arena a;
    data[0] = 512 * 4;
    data[1] = 256u << 10;
    data[1 + (256 ^ 'a')] = 'a' | 1u << 8 | 1u << 10;
    data[1 + (256 ^ 'a' ^ 1)] = 1u << 31;
    memcpy(&data[1 + 512], "X", 2);
    arena_init(&a, 0);
    const charsmap *map = charsmap_parse(data, sizeof data, &a);
    assert_non_null(map);
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        { "ab", "Xb" },
        { "a\u0301b", "Xb" },                                 /* the accent goes with its letter */
        { "a\u0301\u0302b", "Xb" },
        { "a\u0301\u0302\u0303b", "X\u0301\u0302\u0303b" },    /* 7 bytes */
        { "\u0600a", "\u0600X" },                             /* a mark that belongs to what follows: nothing begins so */
        { "\u0600a\u0301", "\u0600X\u0301" },
        { "\r\na", "\r\nX" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf out;
        buf_init(&out, 0);
        charsmap_apply_clusters(map, rows[i].text, strlen(rows[i].text), &out);
        assert_false(out.failed);
        assert_int_equal(out.length, strlen(rows[i].wanted));
        assert_memory_equal(out.data, rows[i].wanted, out.length);
        buf_free(&out);
    }
    arena_free(&a);
}

/* Tokens of GGUF are any bytes: one that ends within a character is not read beyond its end. */
static void test_broken_token(void **state) {
    (void)state;
    const tk_decode bytes = { .kind = TK_DECODE_BYTES };
    static const char *const rows[] = { "\xf0", "a\xe2\x96", "\xa9", "\xc4\xa0\xc3" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t length = strlen(rows[i]);
        char *text = malloc(length); /* no byte more */
        buf out;
        assert_non_null(text);
        memcpy(text, rows[i], length);
        buf_init(&out, 0);
        assert_int_equal(tk_decode_one(&bytes, false, false, text, length, &out, NULL), TOLA_OK);
        assert_int_equal(out.length, length);
        assert_memory_equal(out.data, text, length);
        buf_free(&out);
        free(text);
    }
}

/* A pattern behind the decoder of bytes sees text, as in Hugging Face's tokenizers, where that decoder repairs it. */
static void test_pattern_behind_bytes(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_tokenizer *t = open_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\u00f0\":1},\"merges\":[]},"
                                  "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"},"
                                  "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a.\"},\"content\":\"b\"}]}}");
    static const uint32_t ids[] = { 0, 0, 0, 1, 0, 1 };
    char *text;
    size_t n;
    assert_int_equal(tola_detokenize(t, ids, 6, 0, &text, &n, &err), TOLA_OK);
    assert_string_equal(text, "bbb");
    tola_free(text);
    tola_tokenizer_free(t);
}

/* An added token of GGUF that is no UTF-8 is found in no text: it would cut a character in two. */
static void test_broken_added(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    static const tola_string tokens[] = { { "<unk>", 5 }, { "\xc3", 1 }, { "\xc3\xa9", 2 } };
    static const float scores[] = { 0, 0, -1 };
    static const int32_t types[] = { 2, 3, 1 }; /* unknown, control, normal */
    static const char *const models[] = { "llama", "t5" };
    for (size_t i = 0; i < 2; i++) {
        tola_member members[] = {
            { { "general.architecture", 20 }, { .kind = TOLA_VALUE_STRING, .as.string = { "llama", 5 } } },
            { { "tokenizer.ggml.model", 20 },
              { .kind = TOLA_VALUE_STRING, .as.string = { models[i], strlen(models[i]) } } },
            { { "tokenizer.ggml.tokens", 21 },
              { .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_STRING, .as.array = { tokens, 3 } } },
            { { "tokenizer.ggml.scores", 21 },
              { .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F32,
                .as.array = { scores, 3 } } },
            { { "tokenizer.ggml.token_type", 25 },
              { .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_INT, .dtype = TOLA_DTYPE_I32,
                .as.array = { types, 3 } } },
        };
        tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { members, sizeof members / sizeof *members } };
        tola_write_options o = TOLA_WRITE_OPTIONS_INIT;
        tola_writer *w;
        tola_tokenizer *t;
        uint32_t *ids;
        size_t n;
        o.metadata = &metadata;
        o.overwrite = true;
        o.format = "gguf";
        if (tola_writer_open(in_folder("broken.gguf"), NULL, 0, &o, &w, &err) != TOLA_OK) fail_msg("%s", err.message);
        if (tola_writer_finish(w, &err) != TOLA_OK) fail_msg("%s", err.message);
        if (tola_tokenizer_open(in_folder("broken.gguf"), &t, &err) != TOLA_OK) fail_msg("%s", err.message);
        char *text = malloc(2); /* no byte more */
        assert_non_null(text);
        memcpy(text, "\xc3\xa9", 2);
        assert_int_equal(tola_tokenize(t, text, 2, 0, &ids, &n, &err), TOLA_OK);
        assert_true(n > 0 && ids[n - 1] == 2);
        tola_free(ids);
        free(text);
        tola_tokenizer_free(t);
    }
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", unit_folder());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unit_remove(folder);
    return 0;
}

/* Special tokens where no byte of theirs is only text; other tokens do not notice the runs. */
static void test_runs(void **state) {
    (void)state;
    static const struct {
        const char *text;
        tola_text_run runs[2];
        size_t run_count, count;
        uint32_t ids[8];
    } cases[] = {
        { "<s>a<s>b", { { 4, 3 } }, 1, 6, { 10, 0, 7, 8, 9, 1 } },
        { "<s>a<s>b", { { 0, 4 } }, 1, 6, { 7, 8, 9, 0, 10, 1 } },
        { "<s>a<s>b", { { 3, 1 }, { 7, 1 } }, 2, 4, { 10, 0, 10, 1 } },
        { "<s>a<s>b", { { 0, 1 }, { 6, 2 } }, 2, 8, { 7, 8, 9, 0, 7, 8, 9, 1 } }, /* one byte of each is enough */
        { "ab ab", { { 1, 3 } }, 1, 2, { 2, 4 } },
        { "a<s>", { { 4, 0 } }, 1, 2, { 0, 10 } },
    };
    static const struct {
        const char *text;
        tola_text_run runs[2];
        size_t run_count;
    } refused[] = {
        { "ab", { { 0, 3 } }, 1 },           { "ab", { { 3, 0 } }, 1 },    { "ab", { { 1, 1 }, { 0, 1 } }, 2 },
        { "ab", { { 0, 2 }, { 1, 1 } }, 2 }, { "a\xff", { { 0, 1 } }, 1 },
    };
    tola_tokenizer *t = open_json(BYTES_JSON);
    tola_error err = TOLA_ERROR_INIT;
    uint32_t *ids;
    size_t n;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(tola_tokenize_runs(t, cases[i].text, strlen(cases[i].text), 0, cases[i].runs,
                                            cases[i].run_count, &ids, &n, &err),
                         TOLA_OK);
        assert_int_equal(n, cases[i].count);
        assert_memory_equal(ids, cases[i].ids, n * sizeof *ids);
        tola_free(ids);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(tola_tokenize_runs(t, refused[i].text, strlen(refused[i].text), 0, refused[i].runs,
                                            refused[i].run_count, &ids, &n, &err),
                         TOLA_E_ARG);
    tola_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),         cmocka_unit_test(test_tokens),    cmocka_unit_test(test_broken_text),
        cmocka_unit_test(test_byte_fallback), cmocka_unit_test(test_not_local), cmocka_unit_test(test_specials),
        cmocka_unit_test(test_damaged_charsmap), cmocka_unit_test(test_clusters), cmocka_unit_test(test_broken_token),
        cmocka_unit_test(test_pattern_behind_bytes), cmocka_unit_test(test_broken_added),
        cmocka_unit_test(test_runs),          cmocka_unit_test(test_refused),   cmocka_unit_test(test_ids_without_text),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
