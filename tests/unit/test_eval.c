/* Evaluation without a model: windows of a text, statistics of scores, lines of questions, what folders say of pooling.
 */
#include "unit.h"

#include <math.h>
#include <sys/stat.h>

#include "generate/embed_modules.h"
#include "insight/choice.h"
#include "insight/eval.h"

/* ---- windows ---- */

static eval_plan plan_of(tola_protocol protocol, uint64_t tokens, uint32_t context, uint32_t stride) {
    eval_plan plan;
    assert_int_equal(eval_plan_make(protocol, tokens, context, stride, 0, &plan, NULL), TOLA_OK);
    return plan;
}

/* Chunks as llama.cpp's: disjoint, the second half scored, the rest of the text left out. */
static void test_chunks(void **state) {
    (void)state;
    eval_plan plan = plan_of(TOLA_PROTOCOL_CHUNK, 1100, 512, 0);
    assert_int_equal(plan.windows, 2);
    for (uint64_t i = 0; i < 2; i++) {
        eval_window w = eval_plan_window(&plan, i);
        assert_int_equal(w.begin, 512 * i);
        assert_int_equal(w.end, 512 * (i + 1));
        assert_int_equal(w.score, w.begin + 257);
    }
    assert_int_equal(eval_plan_scored(&plan), 2 * 255);
}

/* Whatever the stride, the windows read everything and score each token but the first once. */
static void test_windows_score_each_once(void **state) {
    (void)state;
    for (uint64_t tokens = 2; tokens < 60; tokens++)
        for (uint32_t context = 2; context < 20; context++)
            for (uint32_t stride = 1; stride < context; stride++) {
                eval_plan plan = plan_of(TOLA_PROTOCOL_WINDOW, tokens, context, stride);
                uint64_t scored = 1;
                for (uint64_t i = 0; i < plan.windows; i++) {
                    eval_window w = eval_plan_window(&plan, i);
                    assert_int_equal(w.begin, i * stride);
                    assert_int_equal(w.score, scored);
                    assert_true(w.score > w.begin && w.end > w.score && w.end - w.begin <= context);
                    scored = w.end;
                }
                assert_int_equal(scored, tokens);
                assert_int_equal(eval_plan_scored(&plan), tokens - 1);
            }
}

/* Windows without overlap have nothing before their first tokens. */
static void test_windows_apart(void **state) {
    (void)state;
    eval_plan plan = plan_of(TOLA_PROTOCOL_WINDOW, 21, 10, 10);
    assert_int_equal(plan.windows, 3);
    assert_int_equal(eval_plan_window(&plan, 1).score, 11);
    assert_int_equal(eval_plan_window(&plan, 2).score, 21); /* one token alone: none is scored */
    assert_int_equal(eval_plan_scored(&plan), 9 + 9 + 0);
}

static void refused(tola_protocol protocol, uint64_t tokens, uint32_t context, uint32_t stride, tola_status status,
                    const char *part) {
    eval_plan plan;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(eval_plan_make(protocol, tokens, context, stride, 0, &plan, &err), status);
    assert_non_null(strstr(err.message, part));
}

static void test_plans_refused(void **state) {
    (void)state;
    refused(TOLA_PROTOCOL_CHUNK, 1023, 512, 0, TOLA_E_LIMIT, "1023 tokens; two chunks of 512");
    refused(TOLA_PROTOCOL_CHUNK, 1024, 3, 0, TOLA_E_ARG, "at least 4");
    refused(TOLA_PROTOCOL_CHUNK, 1024, 512, 9, TOLA_E_ARG, "no stride");
    refused(TOLA_PROTOCOL_WINDOW, 1, 512, 0, TOLA_E_LIMIT, "1 tokens");
    refused(TOLA_PROTOCOL_WINDOW, 100, 10, 11, TOLA_E_ARG, "passes over");
    refused((tola_protocol)7, 100, 10, 0, TOLA_E_ARG, "no protocol 7");
    eval_plan plan;
    assert_int_equal(eval_plan_make(TOLA_PROTOCOL_CHUNK, 1u << 20, 512, 0, 3, &plan, NULL), TOLA_OK);
    assert_int_equal(plan.windows, 3);
}

/* ---- rows and statistics ---- */

static void near(double got, double expected) {
    if (!(fabs(got - expected) <= 1e-12 * (1 + fabs(expected)))) fail_msg("%.17g is not %.17g", got, expected);
}

static void test_rows(void **state) {
    (void)state;
    const float x[] = { 1, 3, 2, 3 }, y[] = { 1001, 1003, 1002, 1003 }, z[] = { 0, 0, 0, 0 };
    double exps[4], sum = exp(-2) + 1 + exp(-1) + 1;
    eval_row row = eval_row_of(x, 4, exps), far = eval_row_of(y, 4, NULL), flat = eval_row_of(z, 4, NULL);
    assert_int_equal(row.top, 1); /* the first of equals */
    near(eval_row_log(&row, x, 2), -1 - log(sum));
    near(eval_row_log(&far, y, 2), eval_row_log(&row, x, 2)); /* a shift changes nothing */
    near(eval_kl(&row, x, exps, &far, y, 4), 0);
    double kl = 0;
    for (uint32_t i = 0; i < 4; i++) {
        double p = exp(eval_row_log(&row, x, i));
        kl += p * log(p / 0.25);
    }
    near(eval_kl(&row, x, exps, &flat, z, 4), kl);
    /* what is impossible for both adds nothing, not NaN */
    const float edge[] = { 0, -3e38f };
    eval_row e = eval_row_of(edge, 2, exps);
    near(eval_kl(&e, edge, exps, &e, edge, 2), 0);
    near(eval_row_log(&e, edge, 0), 0);
}

static void test_statistics(void **state) {
    (void)state;
    const double x[] = { 1, 2, 4, 9 };
    tola_estimate mean = eval_mean(x, 4);
    near(mean.value, 4);
    near(mean.error, sqrt((9 + 4 + 0 + 25) / 3.0 / 4));
    tola_estimate e = eval_exp(mean);
    near(e.value, exp(4));
    near(e.error, exp(4) * mean.error);
    assert_true(isnan(eval_mean(x, 0).value) && isnan(eval_mean(x, 1).error));
    near(eval_mean(x, 1).value, 1);
    near(eval_share(3, 4).value, 0.75);
    near(eval_share(3, 4).error, 0.25);
    assert_true(isnan(eval_share(0, 0).value));
    near(eval_quantile(x, 4, 0.5), 3);
    near(eval_quantile(x, 4, 0), 1);
    near(eval_quantile(x, 4, 1), 9);
    near(eval_quantile(x, 4, 0.9), 4 + 0.7 * 5);
}

/* ---- questions ---- */

static tola_status parse(const char *line, choice_question *q, tola_error *err) {
    static arena a;
    arena_free(&a);
    arena_init(&a, 0);
    tola_status status = choice_parse(line, strlen(line), &a, q, err);
    if (status != TOLA_OK) arena_free(&a);
    return status;
}

static void test_questions(void **state) {
    (void)state;
    choice_question q;
    assert_int_equal(parse("{\"question\":\"Q\",\"choices\":[\"a\",\"bb\"],\"answer\":1}", &q, NULL), TOLA_OK);
    assert_int_equal(q.count, 2);
    assert_int_equal(q.answer, 1);
    assert_string_equal(q.question.data, "Q");
    assert_int_equal(parse("{\"context\":\"\",\"choices\":[\"a\",\"bb\"],\"answer\":\"A\"}", &q, NULL), TOLA_OK);
    assert_int_equal(q.answer, 0);
    assert_int_equal(parse("{\"prompt\":\"x\",\"choices\":[\"a\",\"bb\"],\"answer\":\"bb\",\"id\":[{}]}", &q, NULL),
                     TOLA_OK);
    assert_int_equal(q.answer, 1);
    assert_int_equal(parse("{\"prompt\":\"x\",\"choices\":[\"A\",\"B\"],\"answer\":\"B\"}", &q, NULL), TOLA_OK);
    assert_int_equal(q.answer, 1);
}

static void test_bad_questions(void **state) {
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        { "[1]", "no JSON object" },
        { "{\"question\":\"Q\"", "" },
        { "{\"choices\":[\"a\",\"b\"],\"answer\":0}", "\"question\", \"context\" or \"prompt\"" },
        { "{\"question\":7,\"choices\":[\"a\",\"b\"],\"answer\":0}", "no text called" },
        { "{\"question\":\"Q\",\"prompt\":\"P\",\"choices\":[\"a\",\"b\"],\"answer\":0}", "more than one" },
        { "{\"question\":\"Q\",\"answer\":0}", "\"choices\"" },
        { "{\"question\":\"Q\",\"choices\":[\"a\"],\"answer\":0}", "1 choices" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",\"\"],\"answer\":0}", "choice 1" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",2],\"answer\":0}", "choice 1" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"]}", "no \"answer\"" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"],\"answer\":2}", "beyond the 2 choices" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"],\"answer\":-1}", "beyond the 2 choices" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"],\"answer\":\"C\"}", "no letter" },
        { "{\"question\":\"Q\",\"choices\":[\"a\",\"b\"],\"answer\":1.5}", "neither" },
        { "{\"question\":\"Q\",\"choices\":[\"B\",\"A\"],\"answer\":\"A\"}", "the text of another" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        choice_question q;
        tola_error err = TOLA_ERROR_INIT;
        assert_int_equal(parse(cases[i].line, &q, &err), TOLA_E_FORMAT);
        if (!strstr(err.message, cases[i].part)) fail_msg("%s: %s", cases[i].line, err.message);
    }
}

static void test_lines(void **state) {
    (void)state;
    static const char text[] = "one\n\n \t\r\ntwo\nthree";
    size_t at = 0, bytes;
    uint64_t number = 0;
    const char *line;
    const struct {
        uint64_t number;
        const char *text;
    } expected[] = { { 1, "one" }, { 4, "two" }, { 5, "three" } };
    for (size_t i = 0; i < 3; i++) {
        assert_true(choice_next_line(text, sizeof text - 1, &at, &number, &line, &bytes));
        assert_int_equal(number, expected[i].number);
        assert_int_equal(bytes, strlen(expected[i].text));
        assert_memory_equal(line, expected[i].text, bytes);
    }
    assert_false(choice_next_line(text, sizeof text - 1, &at, &number, &line, &bytes));
}

/* A delimiter stands between two words only, and spaces at a question's end are the choice's. */
static void test_texts(void **state) {
    (void)state;
    static const struct {
        const char *question, *choice, *text;
        size_t own; /* bytes of the question */
    } cases[] = { { "Q:", "a", "Q: a", 2 },  { "Q: ", "a", "Q: a", 2 }, { "Q:\n", "a", "Q:\na", 2 },
                  { "Q:", " a", "Q: a", 2 }, { "", "a", "a", 0 },       { "  ", "a", "  a", 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tola_string choices[] = { { cases[i].choice, strlen(cases[i].choice) } };
        choice_question q = { { cases[i].question, strlen(cases[i].question) }, choices, 1, 0 };
        buf out;
        buf_init(&out, 0);
        assert_int_equal(choice_text(&q, 0, " ", &out), cases[i].own);
        assert_int_equal(out.length, strlen(cases[i].text));
        assert_memory_equal(out.data, cases[i].text, out.length);
        buf_free(&out);
    }
}

static void test_pick(void **state) {
    (void)state;
    const tola_string choices[] = { { "ab", 2 }, { "\xc3\xa4\xc3\xa4\xc3\xa4", 6 }, { "abcd", 4 } };
    const choice_question q = { { "", 0 }, choices, 3, 2 };
    const double scores[] = { -2.5, -3.6, -4.2 }; /* by character -1.25 -1.2 -1.05, by byte -1.25 -0.6 -1.05 */
    tola_choice_item item = { 0 };
    choice_pick(&q, scores, &item);
    assert_int_equal(item.by_sum, 0);
    assert_int_equal(item.by_characters, 2);
    assert_int_equal(item.by_bytes, 1);
    assert_int_equal(item.answer, 2);
    const double equal[] = { -1, -1, -1 };
    choice_pick(&q, equal, &item);
    assert_int_equal(item.by_sum, 0);
}

/* ---- what folders say of pooling ---- */

static void put(const char *folder, const char *name, const char *text) {
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unit_write(path, text, strlen(text));
}

static tola_status modules_of(const char *folder, embed_modules *out, tola_error *err) {
    tola_checkpoint *ck;
    assert_int_equal(tola_checkpoint_open(folder, NULL, &ck, err), TOLA_OK);
    tola_status status = embed_modules_read(ck, NULL, out, err);
    tola_checkpoint_close(ck);
    return status;
}

static const char one_tensor[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}    ";

/* A folder with a model and one for its pooling. */
static const char *folder_of_modules(void) {
    const char *folder = unit_folder();
    char path[400];
    uint8_t file[8 + sizeof one_tensor - 1 + 4] = { sizeof one_tensor - 1 };
    memcpy(file + 8, one_tensor, sizeof one_tensor - 1);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unit_write(path, file, sizeof file);
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    return folder;
}

static void test_modules(void **state) {
    (void)state;
    const char *folder = folder_of_modules();
    embed_modules m;
    tola_error err = TOLA_ERROR_INIT;

    assert_int_equal(modules_of(folder, &m, &err), TOLA_OK); /* nothing is said */
    assert_int_equal(m.pooling, TOLA_POOLING_MODEL);
    assert_false(m.normalize || m.context || m.refused[0]);

    static const char list[] =
        "[{\"path\":\"\",\"type\":\"x.Transformer\"},{\"path\":\"1_Pooling\",\"type\":\"x.Pooling\"}%s]";
    char modules[400];
    snprintf(modules, sizeof modules, list, ",{\"path\":\"2_Normalize\",\"type\":\"x.Normalize\"}");
    put(folder, "modules.json", modules);
    put(folder, "1_Pooling/config.json", "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
    put(folder, "sentence_bert_config.json", "{\"max_seq_length\":256}");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_OK);
    assert_int_equal(m.pooling, TOLA_POOLING_CLS);
    assert_true(m.normalize && m.context == 256 && !m.refused[0]);

    put(folder, "1_Pooling/config.json", "{\"pooling_mode_max_tokens\":true}");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_OK);
    assert_non_null(strstr(m.refused, "pooling_mode_max_tokens"));
    put(folder, "1_Pooling/config.json", "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_OK);
    assert_non_null(strstr(m.refused, "two ways"));

    snprintf(modules, sizeof modules, list, ",{\"path\":\"2_Dense\",\"type\":\"x.models.Dense\"}");
    put(folder, "modules.json", modules);
    put(folder, "1_Pooling/config.json", "{\"pooling_mode_lasttoken\":true}");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_OK);
    assert_int_equal(m.pooling, TOLA_POOLING_LAST);
    assert_non_null(strstr(m.refused, "x.models.Dense"));

    put(folder, "1_Pooling/config.json", "{");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "1_Pooling/config.json"));
    /* a path out of the folder leads nowhere */
    put(folder, "modules.json", "[{\"path\":\"../../etc\",\"type\":\"x.Pooling\"}]");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_E_FORMAT);
    put(folder, "modules.json", "[{\"path\":\"/etc\",\"type\":\"x.Pooling\"}]");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_E_FORMAT);
    unit_remove(folder);
}

/* What sentence-transformers writes since 5.4: one word, or a list of words; lengths in the tokenizer's file. */
static void test_modules_now(void **state) {
    (void)state;
    const char *folder = folder_of_modules();
    embed_modules m;
    tola_error err = TOLA_ERROR_INIT;
    put(folder, "modules.json",
        "[{\"path\":\"\",\"type\":\"x.Transformer\"},{\"path\":\"1_Pooling\",\"type\":\"x.Pooling\"},"
        "{\"path\":\"2_Dropout\",\"type\":\"x.Dropout\"}]");
    put(folder, "sentence_bert_config.json", "{\"max_seq_length\":null}");
    put(folder, "tokenizer_config.json", "{\"model_max_length\":77}");
    static const struct {
        const char *config;
        tola_pooling pooling;
        const char *refused;
    } cases[] = { { "{\"pooling_mode\":\"cls\",\"embedding_dimension\":8}", TOLA_POOLING_CLS, NULL },
                  { "{\"pooling_mode\":\"mean\"}", TOLA_POOLING_MEAN, NULL },
                  { "{\"pooling_mode\":[\"lasttoken\"]}", TOLA_POOLING_LAST, NULL },
                  { "{}", TOLA_POOLING_MEAN, NULL },
                  { "{\"pooling_mode\":\"weightedmean\"}", TOLA_POOLING_MODEL, "weightedmean" },
                  { "{\"pooling_mode\":[\"cls\",\"mean\"]}", TOLA_POOLING_MEAN, "two ways" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(folder, "1_Pooling/config.json", cases[i].config);
        assert_int_equal(modules_of(folder, &m, &err), TOLA_OK);
        assert_int_equal(m.pooling, cases[i].pooling);
        assert_int_equal(m.context, 77);
        assert_int_equal(m.refused[0] != 0, cases[i].refused != NULL);
        if (cases[i].refused) assert_non_null(strstr(m.refused, cases[i].refused));
    }

    put(folder, "1_Pooling/config.json", "{\"include_prompt\":false}");
    put(folder, "config_sentence_transformers.json",
        "{\"prompts\":{\"query\":\"query: \",\"none\":\"\"},\"default_prompt_name\":\"query\"}");
    assert_int_equal(modules_of(folder, &m, &err), TOLA_OK);
    assert_true(m.without_prompt);
    assert_string_equal(m.prompt, "query: ");
    embed_modules_clear(&m);

    static const struct {
        const char *file, *text;
    } bad[] = { { "1_Pooling/config.json", "{\"pooling_mode\":3}" },
                { "1_Pooling/config.json", "[]" },
                { "sentence_bert_config.json", "{\"max_seq_length\":-1}" },
                { "sentence_bert_config.json", "{\"max_seq_length\":\"x\"}" },
                { "config_sentence_transformers.json", "{\"prompts\":{},\"default_prompt_name\":\"query\"}" },
                { "config_sentence_transformers.json", "{\"default_prompt_name\":1}" },
                { "modules.json", "{}" },
                { "modules.json", "[]" },
                { "modules.json", "[{\"path\":\"\"}]" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(folder, bad[i].file, bad[i].text);
        assert_int_equal(modules_of(folder, &m, &err), TOLA_E_FORMAT);
        assert_non_null(strstr(err.message, bad[i].file));
        if (i + 1 < sizeof bad / sizeof *bad && strcmp(bad[i].file, bad[i + 1].file) != 0) {
            if (i < 2) put(folder, bad[i].file, "{}");
            else put(folder, bad[i].file, "{\"max_seq_length\":9}");
        }
    }
    unit_remove(folder);
}

/* GGUF keeps one number. */
static void test_gguf_pooling(void **state) {
    (void)state;
    const char *folder = unit_folder();
    static const struct {
        uint64_t type;
        tola_pooling pooling;
        bool refused;
    } cases[] = { { 0, TOLA_POOLING_MODEL, false },
                  { 1, TOLA_POOLING_MEAN, false },
                  { 2, TOLA_POOLING_CLS, false },
                  { 3, TOLA_POOLING_LAST, false },
                  { 4, TOLA_POOLING_MODEL, true } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const uint64_t shape[] = { 8 };
        static const float zeros[8];
        const tola_tensor_spec spec = { "w", shape, 1, TOLA_DTYPE_F32, 0 };
        const tola_member members[] = {
            { { "general.architecture", 20 }, { .kind = TOLA_VALUE_STRING, .as.string = { "bert", 4 } } },
            { { "bert.pooling_type", 17 },
              { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U32, .as.u64 = cases[i].type } },
        };
        const tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { members, 2 } };
        tola_write_options o = TOLA_WRITE_OPTIONS_INIT;
        tola_error err = TOLA_ERROR_INIT;
        tola_writer *w;
        embed_modules m;
        char path[400];
        snprintf(path, sizeof path, "%s/%zu.gguf", folder, i);
        o.metadata = &metadata;
        if (tola_writer_open(path, &spec, 1, &o, &w, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_int_equal(tola_writer_write(w, 0, 0, zeros, sizeof zeros, &err), TOLA_OK);
        assert_int_equal(tola_writer_finish(w, &err), TOLA_OK);
        assert_int_equal(modules_of(path, &m, &err), TOLA_OK);
        assert_int_equal(m.pooling, cases[i].pooling);
        assert_int_equal(m.refused[0] != 0, cases[i].refused);
    }
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),        cmocka_unit_test(test_windows_score_each_once),
        cmocka_unit_test(test_windows_apart), cmocka_unit_test(test_plans_refused),
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_questions),     cmocka_unit_test(test_bad_questions),
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_texts),
        cmocka_unit_test(test_pick),          cmocka_unit_test(test_modules), cmocka_unit_test(test_modules_now),
        cmocka_unit_test(test_gguf_pooling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
