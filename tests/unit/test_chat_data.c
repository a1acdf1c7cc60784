/* Examples for fine-tuning: which tokens are answers, rows, and what is refused. The verb's messages are in
 * tests/cli/finetune.t. */
#include "unit.h"

#include "base/mem.h"
#include "learn/chat_data.h"
#include "text/tokenizer.h"

#define TEMPLATE                                                                                                       \
    "{% for m in messages %}{{ '[' + m.role + ']' + m.content + '\n' }}{% endfor %}"                                   \
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"

/* Bytes with two merges, cutting words as GPT-2 does; id 0 is <end>. */
static tola_tokenizer *tokenizer(void) {
    buf b;
    buf_init(&b, 0);
    buf_printf(&b, "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"<end>\",\"special\":true,"
                   "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}],"
                   "\"normalizer\":null,\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
                   "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                   "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"vocab\":{\"<end>\":0");
    for (int i = 0; i < 256; i++) {
        char c[3] = "";
        tk_char_of_byte((uint8_t)i, c);
        buf_printf(&b, ",\"%s%s\":%d", c[0] == '"' || c[0] == '\\' ? "\\" : "", c, i + 1);
    }
    buf_printf(&b, ",\"th\":257,\"the\":258},\"merges\":[\"t h\",\"th e\"]}}");
    const char *path = unit_path("t.json");
    unit_write(path, b.data, b.length);
    buf_free(&b);
    tola_tokenizer *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_tokenizer_open(path, &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    return t;
}

typedef struct opened {
    tola_tokenizer *tokenizer;
    tola_chat_template *chat_template;
    chat_data *data;
} opened;

static tola_status open_data(const char *lines, const char *source, chat_data_options o, opened *out, tola_error *err) {
    const char *path = unit_path("d.jsonl");
    *out = (opened){ .tokenizer = tokenizer() };
    unit_write(path, lines, strlen(lines));
    if (source && tola_chat_template_open(source, strlen(source), &out->chat_template, err) != TOLA_OK)
        fail_msg("%s", err->message);
    o.tokenizer = out->tokenizer;
    o.chat_template = out->chat_template;
    if (o.context == 0) o.context = 1000;
    o.vocabulary = 259;
    return chat_data_open(&path, 1, &o, &out->data, err);
}

static void close_data(opened *o) {
    chat_data_close(o->data);
    tola_chat_template_close(o->chat_template);
    tola_tokenizer_free(o->tokenizer);
}

/* The text of an example's answers. */
static void expect_answers(const opened *o, uint64_t example, const char *expected) {
    const uint32_t *ids;
    const uint8_t *wanted;
    uint32_t answers[1000];
    size_t count = chat_data_example(o->data, example, &ids, &wanted), n = 0, length;
    char *text;
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 0; i < count; i++)
        if (wanted[i]) answers[n++] = ids[i];
    assert_int_equal(tola_detokenize(o->tokenizer, answers, n, 0, &text, &length, &err), TOLA_OK);
    assert_string_equal(text, expected);
    tola_free(text);
}

static void test_answers(void **state) {
    (void)state;
    static const char talk[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Hello\"},"
        "{\"role\":\"user\",\"content\":\"Bye <end>\"},{\"role\":\"assistant\",\"content\":\"Well\"}]}\n\n"
        "{\"prompt\":\"a\",\"completion\":\"b\"}\n"
        "{\"instruction\":\"Do\",\"input\":\"this\",\"output\":\"done\"}\n{\"text\":\"all of it\"}\n";
    opened o;
    tola_error err = TOLA_ERROR_INIT;
    if (open_data(talk, TEMPLATE, (chat_data_options){ 0 }, &o, &err) != TOLA_OK) fail_msg("%s", err.message);
    expect_answers(&o, 0, "Hello\nWell\n");
    expect_answers(&o, 1, "b\n");
    expect_answers(&o, 2, "done\n");
    expect_answers(&o, 3, "all of it");
    const uint32_t *ids;
    const uint8_t *wanted;
    size_t n = chat_data_example(o.data, 0, &ids, &wanted);
    for (size_t i = 0; i < n; i++) assert_int_not_equal(ids[i], 0); /* what people type is no special token */
    assert_int_equal(chat_data_counted(o.data)->examples, 4);
    assert_int_equal(chat_data_counted(o.data)->rows, 4);
    close_data(&o);
}

/* The template says itself what an assistant wrote. */
static void test_generation(void **state) {
    (void)state;
    opened o;
    tola_error err = TOLA_ERROR_INIT;
    static const char source[] =
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'A:' }}{% generation %}"
        "{{ m.content }}{% endgeneration %}{% else %}{{ 'Q:' + m.content }}{% endif %}{% endfor %}";
    if (open_data("{\"prompt\":\"one\",\"completion\":\"two\"}\n", source, (chat_data_options){ 0 }, &o, &err) !=
        TOLA_OK)
        fail_msg("%s", err.message);
    expect_answers(&o, 0, "two");
    close_data(&o);
}

/* Without a template; a token that reaches over the border is the answer's. */
static void test_border(void **state) {
    (void)state;
    opened o;
    tola_error err = TOLA_ERROR_INIT;
    if (open_data("{\"prompt\":\"x t\",\"completion\":\"he\"}\n", NULL, (chat_data_options){ 0 }, &o, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    const uint32_t *ids;
    const uint8_t *wanted;
    assert_int_equal(chat_data_example(o.data, 0, &ids, &wanted), 3);
    assert_int_equal(ids[2], 258);
    assert_memory_equal(wanted, ((uint8_t[]){ 0, 0, 1 }), 3);
    close_data(&o);
}

static void test_rows(void **state) {
    (void)state;
    static const char lines[] = "{\"text\":\"abcd\"}\n{\"text\":\"efg\"}\n{\"text\":\"hijkl\"}\n{\"text\":\"mn\"}\n";
    opened o;
    tola_error err = TOLA_ERROR_INIT;
    uint64_t first, end;
    uint8_t a[32], b[32];
    assert_int_equal(open_data(lines, NULL, (chat_data_options){ .context = 8, .pack = true }, &o, &err), TOLA_OK);
    const chat_data_counts *c = chat_data_counted(o.data);
    assert_true(c->examples == 4 && c->rows == 2 && c->tokens == 14 && c->answers == 10);
    assert_true(c->row_tokens == 7 && c->row_answers == 5);
    chat_data_row(o.data, 1, &first, &end);
    assert_true(first == 2 && end == 4);
    assert_int_equal(chat_data_digest(o.data, a, &err), TOLA_OK);
    close_data(&o);
    assert_int_equal(open_data(lines, NULL, (chat_data_options){ .context = 8 }, &o, &err), TOLA_OK);
    assert_int_equal(chat_data_counted(o.data)->rows, 4);
    assert_int_equal(chat_data_digest(o.data, b, &err), TOLA_OK);
    assert_memory_not_equal(a, b, sizeof a);
    close_data(&o);
    assert_int_equal(open_data(lines, NULL, (chat_data_options){ .context = 4 }, &o, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "line 3: 5 tokens, but the context is 4"));
    close_data(&o);
    assert_int_equal(open_data(lines, NULL, (chat_data_options){ .context = 4, .too_long = CHAT_LONG_CUT }, &o, &err),
                     TOLA_OK);
    assert_true(chat_data_counted(o.data)->cut == 1 && chat_data_counted(o.data)->tokens == 13);
    close_data(&o);
    assert_int_equal(open_data(lines, NULL, (chat_data_options){ .context = 4, .too_long = CHAT_LONG_DROP }, &o, &err),
                     TOLA_OK);
    assert_true(chat_data_counted(o.data)->dropped == 1 && chat_data_counted(o.data)->examples == 3);
    close_data(&o);
}

static void test_memory(void **state) {
    (void)state;
    bool done = false;
    for (uint64_t n = 0; !done; n++) {
        tola_error err = TOLA_ERROR_INIT;
        const char *path = unit_path("m.jsonl"), *line = "{\"prompt\":\"a\",\"completion\":\"b c\"}\n";
        tola_tokenizer *t = tokenizer();
        tola_chat_template *chat;
        chat_data *data = NULL;
        unit_write(path, line, strlen(line));
        assert_int_equal(tola_chat_template_open(TEMPLATE, strlen(TEMPLATE), &chat, &err), TOLA_OK);
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = chat_data_open(
            &path, 1, &(chat_data_options){ .tokenizer = t, .chat_template = chat, .context = 100, .vocabulary = 259 },
            &data, &err);
        fault_disarm();
        done = status == TOLA_OK;
        assert_true(n < 2000);
        chat_data_close(data);
        tola_chat_template_close(chat);
        tola_tokenizer_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_generation, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_border, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_rows, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_memory, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
