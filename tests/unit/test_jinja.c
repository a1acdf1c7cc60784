/* Chat templates: what jinja2 makes of small ones, what is trusted, limits, errors, where a checkpoint keeps them. */
#include "unit.h"

#include "base/mem.h"
#include "gguf_build.h"
#include "jinja_golden.h"

/* ---- helpers ---- */

static tola_chat_value json(const char *text) { return (tola_chat_value){ text, text ? strlen(text) : 0, NULL }; }

/* Renders `program`; false and a message in err where that fails. */
static bool render(const char *program, const char *messages, const char *variables, tola_chat_text *out,
                   tola_error *err) {
    tola_chat_template *t;
    if (tola_chat_template_open(program, strlen(program), &t, err) != TOLA_OK) return false;
    tola_status status = tola_chat_template_set(t, "bos_token", "<|bos|>", 7, err);
    if (status == TOLA_OK) status = tola_chat_template_set(t, "eos_token", "<|eos|>", 7, err);
    if (status == TOLA_OK) status = tola_chat_template_set(t, "pad_token", "<|pad|>", 7, err);
    if (status == TOLA_OK) status = tola_chat_template_set(t, "unk_token", "<unk>", 5, err);
    tola_chat_options options = TOLA_CHAT_OPTIONS_INIT;
    options.variables = json(variables);
    options.now = 1753368307;
    if (status == TOLA_OK) status = tola_chat_render(t, json(messages), &options, out, err);
    tola_chat_template_close(t);
    return status == TOLA_OK;
}

static void assert_text(const char *program, const char *messages, const char *want) {
    tola_chat_text text;
    tola_error err = TOLA_ERROR_INIT;
    if (!render(program, messages, NULL, &text, &err)) fail_msg("%s: %s", program, err.message);
    assert_string_equal(text.text, want);
    tola_chat_text_dispose(&text);
}

/* `want`: the trusted bytes of the text, everything else as a dot a byte. */
static void assert_trusted(const char *program, const char *messages, const char *want) {
    tola_chat_text text;
    tola_error err = TOLA_ERROR_INIT;
    if (!render(program, messages, NULL, &text, &err)) fail_msg("%s: %s", program, err.message);
    size_t at = 0;
    for (size_t i = 0; i < text.span_count; i++) {
        const tola_chat_span *s = &text.spans[i];
        assert_int_equal(s->offset, at);
        assert_true(s->length > 0);
        if (!s->trusted) memset(text.text + at, '.', s->length);
        at += s->length;
    }
    assert_int_equal(at, text.length);
    assert_string_equal(text.text, want);
    tola_chat_text_dispose(&text);
}

static void assert_refused(const char *program, const char *messages, tola_status status, const char *cause) {
    tola_chat_text text;
    tola_error err = TOLA_ERROR_INIT;
    if (render(program, messages, NULL, &text, &err)) fail_msg("%s gives \"%s\"", program, text.text);
    if (err.status != status || !strstr(err.message, cause))
        fail_msg("%s: status %d \"%s\", not \"%s\"", program, err.status, err.message, cause);
}

/* ---- the language ---- */

static void test_golden(void **state) {
    (void)state;
    size_t n = sizeof golden / sizeof *golden, refused = 0;
    for (size_t i = 0; i < n; i++) {
        tola_chat_text text;
        tola_error err = TOLA_ERROR_INIT;
        bool good = render(golden[i].source, golden_messages, golden_variables, &text, &err);
        if (!good && golden[i].text) {
            /* docs/chat.md names what is an error here and not there */
            refused++;
            if (!strstr(err.message, "beyond 64 bits") && !strstr(err.message, "complex numbers") &&
                !strstr(err.message, "not supported") && !strstr(err.message, "which has no text"))
                fail_msg("%s: %s", golden[i].source, err.message);
        } else if (good && !golden[i].text) {
            fail_msg("%s gives \"%s\", jinja2 an error", golden[i].source, text.text);
        } else if (good && strcmp(text.text, golden[i].text) != 0) {
            fail_msg("%s gives \"%s\", not \"%s\"", golden[i].source, text.text, golden[i].text);
        }
        if (good) tola_chat_text_dispose(&text);
    }
    assert_true(n > 200 && refused < 10);
}

static void test_values(void **state) {
    (void)state;
    /* the same conversation as a value */
    arena a;
    arena_init(&a, 0);
    const tola_member members[] = {
        { { "role", 4 }, { .kind = TOLA_VALUE_STRING, .as.string = { "user", 4 } } },
        { { "n", 1 }, { .kind = TOLA_VALUE_UINT, .as.u64 = UINT64_MAX } },
        { { "f", 1 }, { .kind = TOLA_VALUE_FLOAT, .as.f64 = 0.5 } },
    };
    tola_value message = { .kind = TOLA_VALUE_MAP, .as.map = { members, 3 } };
    tola_value list = { .kind = TOLA_VALUE_ARRAY, .as.array = { &message, 1 } };
    const char *program = "{{ messages[0] }}";
    tola_chat_template *t;
    tola_chat_text text;
    assert_int_equal(tola_chat_template_open(program, strlen(program), &t, NULL), TOLA_OK);
    assert_int_equal(tola_chat_render(t, (tola_chat_value){ NULL, 0, &list }, NULL, &text, NULL), TOLA_OK);
    assert_string_equal(text.text, "{'role': 'user', 'n': 18446744073709551615, 'f': 0.5}");
    tola_chat_text_dispose(&text);
    size_t length;
    assert_string_equal(tola_chat_template_source(t, &length), program);
    assert_int_equal(length, strlen(program));
    tola_chat_template_close(t);
    arena_free(&a);
}

static void test_reasoning(void **state) {
    (void)state;
    assert_text("{{ messages[0].reasoning_content }}{{ messages[0].thinking }}", "[{\"reasoning\":\"r\"}]", "rr");
    assert_text("{{ messages[0] }}", "[{\"role\":\"x\",\"thinking\":\"t\"}]",
                "{'thinking': 't', 'role': 'x', 'reasoning_content': 't'}");
    assert_text("{{ messages[0] }}", "[{\"reasoning\":null}]", "{'reasoning': None}");
}

static void test_always_there(void **state) {
    (void)state;
    assert_text("{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ nothing is defined }}", "[]",
                "NoneNoneFalseFalse");
}

/* ---- what is trusted ---- */

#define HI "[{\"role\":\"user\",\"content\":\"</s> hi </think>x\",\"n\":12}]"

static void test_trust(void **state) {
    (void)state;
    assert_trusted("<|im_start|>{{ messages[0].content }}<|im_end|>{{ bos_token }}", HI,
                   "<|im_start|>.................<|im_end|><|bos|>");
    assert_trusted("{{ '[' + messages[0].content + ']' }}", HI, "[.................]");
    assert_trusted("{% set c = messages[0].content.split('</think>')[-1] %}[{{ c }}]", HI, "[.]");
    assert_trusted("[{{ messages[0].content.replace('hi', '<|x|>') }}]", HI, "[.....<|x|>....<|x|>....]");
    assert_trusted("[{{ messages[0].content | upper | trim }}]", HI, "[.................]");
    assert_trusted("[{{ messages[0].content[::-1][2:6] }}]", HI, "[....]");
    assert_trusted("[{{ messages | tojson }}]", HI,
                   "[..........\"user\"...........................................]");
    assert_trusted("[{{ {'a': messages[0].content} | tojson }}]", HI, "[{\"a\": ...................}]");
    assert_trusted("[{{ [messages[0].content, 'x'] | join('|') }}]", HI, "[.................|x]");
    assert_trusted("[{{ '%s-%d' % (messages[0].content, messages[0].n + 1) }}]", HI, "[.................-..]");
    assert_trusted("[{{ '{}-{}'.format(messages[0].content, 5) }}]", HI, "[.................-5]");
    assert_trusted("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].n) }}", HI, "<..>");
    assert_trusted("{% set x %}<{{ messages[0].n }}>{% endset %}{{ x }}", HI, "<..>");
    assert_trusted("{% for c in messages[0].content[:2] %}{{ c }}|{% endfor %}", HI, ".|.|");
    assert_trusted("{{ messages[0].content | e }}", HI, ".............................");
    assert_trusted("{{ '<' ~ messages[0].content | list | first ~ '>' }}", HI, "<.>");
    assert_trusted("{{ messages[0].content | length }}", HI, "17");
    assert_trusted("{% for k in messages[0] %}{{ k }},{% endfor %}", HI, "....,.......,.,");
}

/* Long texts that are lengthened in place, from several sides: none sees what is added behind another. */
static void test_lengthening(void **state) {
    (void)state;
    const char *program = "{% set c = 'k' * 260 %}{% set a = c ~ '' %}{% set b = a ~ messages[0].n %}"
                          "{% set d = a ~ 'dd' %}{% set f = b ~ (b ~ 'ff') %}{{ a[258:] }} {{ b[258:] }} "
                          "{{ d[258:] }} {{ f[258:264] }} {{ f[522:] }}";
    for (int i = 0; i < 2; i++) assert_trusted(program, HI, "kk kk.. kkdd kk..kk ..ff");
}

static void test_roles(void **state) {
    (void)state;
    const char *program = "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% endfor %}";
    assert_trusted(program, "[{\"role\":\"user\"},{\"role\":\"assistant\"},{\"role\":\"tool\"}]",
                   "<|user|><|assistant|><|tool|>");
    assert_trusted(program, "[{\"role\":\"im_end\"},{\"role\":\"end_of_text\"}]", "<|......|><|...........|>");
    /* nor does a role elsewhere count */
    assert_trusted("{{ messages[0].content.role }}", "[{\"content\":{\"role\":\"user\"}}]", "....");
}

static void test_generation(void **state) {
    (void)state;
    tola_chat_text text;
    tola_error err = TOLA_ERROR_INIT;
    const char *program = "a{% generation %}b{{ messages[0].x }}{% endgeneration %}d";
    assert_true(render(program, "[{\"x\":\"c\"}]", NULL, &text, &err));
    static const tola_chat_span want[] = { { 0, 1, true, false }, { 1, 1, true, true }, { 2, 1, false, true },
                                           { 3, 1, true, false } };
    assert_int_equal(text.span_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(text.spans[i].offset, want[i].offset);
        assert_int_equal(text.spans[i].length, want[i].length);
        assert_int_equal(text.spans[i].trusted, want[i].trusted);
        assert_int_equal(text.spans[i].generated, want[i].generated);
    }
    tola_chat_text_dispose(&text);
}

/* ---- errors and limits ---- */

static void test_errors(void **state) {
    (void)state;
    assert_refused("a\n\n{{ x.y }}", "[]", TOLA_E_FORMAT, "line 3: 'x' is undefined");
    assert_refused("{% if 1 %}\n{{ messages[0].a.b }}\n{% endif %}", "[{}]", TOLA_E_FORMAT,
                   "line 2: 'dict object' has no attribute 'a'");
    assert_refused("\n{{ raise_exception('no\nway') }}", "[]", TOLA_E_ARG, "line 2: the template refuses: no\\x0away");
    assert_refused("{{ ''.__class__.__mro__ }}", "[]", TOLA_E_UNSAFE, "__class__");
    assert_refused("{{ [].append(1) }}", "[]", TOLA_E_UNSAFE, "append");
    assert_refused("x\n{% if %}", "[]", TOLA_E_FORMAT, "line 2: expected an expression");
    assert_refused("\n{% for x in y %}\n\n", "[]", TOLA_E_FORMAT, "line 2: the block that begins here lacks");
    assert_refused("{% include 'x' %}", "[]", TOLA_E_UNSUPPORTED, "'include' needs another template");
    assert_refused("{% block x %}{% endblock %}", "[]", TOLA_E_UNSUPPORTED, "'block' is not supported");
    assert_refused("{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}", "[]", TOLA_E_LIMIT, "deeper than 200");
    assert_refused("{{ 9223372036854775807 + 1 }}", "[]", TOLA_E_FORMAT, "beyond 64 bits");
    assert_refused("\xff", "[]", TOLA_E_FORMAT, "no UTF-8");
    assert_refused("x", "{}", TOLA_E_FORMAT, "messages: the messages are no list");
    assert_refused("x", "[1]", TOLA_E_FORMAT, "messages: message 0 is no object");
    assert_refused("x", "[", TOLA_E_FORMAT, "messages: ");
    assert_refused("x", "[{\"a\":1,\"a\":2}]", TOLA_E_FORMAT, "a key appears twice");
    tola_chat_text text;
    tola_error err = TOLA_ERROR_INIT;
    assert_false(render("x", "[]", "{\"messages\":[]}", &text, &err));
    assert_int_equal(err.status, TOLA_E_ARG);
    assert_non_null(strstr(err.message, "'messages' cannot be a variable"));
}

static void test_limits(void **state) {
    (void)state;
    assert_refused("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "[]", TOLA_E_LIMIT,
                   "too many steps");
    assert_refused("{{ 'x' * 9999999999 }}", "[]", TOLA_E_LIMIT, "longer than");
    assert_refused("{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
                   "[]", TOLA_E_LIMIT, "");
    assert_refused("{% set n = namespace(x=[]) %}{% for i in range(5000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
                   "[]", TOLA_E_LIMIT, "nested deeper");
    assert_refused("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "[]", TOLA_E_LIMIT, "nested deeper");
    assert_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "[]", TOLA_E_LIMIT, "deeper than");
    assert_refused("{{ range(1000000) }}", "[]", TOLA_E_LIMIT, "range of more than");
    assert_refused("{{ '{:>9999999999}'.format('x') }}", "[]", TOLA_E_LIMIT, "");
    assert_refused("{% set n = namespace(x=[1]) %}{% for i in range(5000) %}{% set n.x = n.x | map('abs') %}"
                   "{% endfor %}{{ n.x | list }}", "[]", TOLA_E_LIMIT, "nested deeper");
    char deep[5000];
    memset(deep, '(', sizeof deep);
    memcpy(deep, "{{", 2);
    deep[sizeof deep - 1] = 0;
    assert_refused(deep, "[]", TOLA_E_LIMIT, "");
    for (size_t i = 2; i + 5 < sizeof deep; i += 4) memcpy(deep + i, "not ", 4);
    memcpy(deep + sizeof deep - 5, "1 }}", 4);
    assert_refused(deep, "[]", TOLA_E_LIMIT, "nested deeper");
    char *chain = malloc(40000);
    assert_non_null(chain);
    strcpy(chain, "{{ 1");
    for (int i = 0; i < 8000; i++) memcpy(chain + 4 + i * 4, "+1  ", 4);
    memcpy(chain + 4 + 8000 * 4, "}}", 3);
    assert_refused(chain, "[]", TOLA_E_LIMIT, "nested deeper");
    free(chain);
}

/* Every allocation that fails is TOLA_E_NOMEM, and nothing leaks. */
static void test_out_of_memory(void **state) {
    (void)state;
    const char *program = "{% macro m(x) %}{{ x | tojson }}{% endmacro %}{% for x in messages %}{{ m(x) }}{% endfor %}";
    for (uint64_t n = 0;; n++) {
        tola_chat_text text = { 0 };
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(FAULT_ALLOC, n, true);
        bool good = render(program, HI, "{\"a\":1}", &text, &err);
        fault_disarm();
        tola_chat_text_dispose(&text);
        if (good) {
            assert_true(n > 10);
            break;
        }
        assert_int_equal(err.status, TOLA_E_NOMEM);
        assert_true(n < 200);
    }
}

/* ---- of a checkpoint ---- */

static char folder[256];

static void write_file(const char *name, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unit_write(path, text, strlen(text));
}

static void begin_folder(void) {
    snprintf(folder, sizeof folder, "%s", unit_folder());
    static const char weights[] = "{}      ";
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    uint8_t data[16] = { 8 };
    memcpy(data + 8, weights, 8);
    unit_write(path, data, sizeof data);
}

/* Renders an empty conversation with template `name` of the folder; the error's message where that fails. */
static void assert_of(const char *path, const char *name, const char *want) {
    tola_checkpoint *ck;
    tola_chat_template *t;
    tola_chat_text text;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open(path, NULL, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    tola_status status = tola_chat_template_of(ck, name, &t, &err);
    tola_checkpoint_close(ck);
    if (status != TOLA_OK) {
        if (!strstr(err.message, want)) fail_msg("\"%s\", not \"%s\"", err.message, want);
        return;
    }
    assert_int_equal(tola_chat_render(t, json("[]"), NULL, &text, &err), TOLA_OK);
    assert_string_equal(text.text, want);
    tola_chat_text_dispose(&text);
    tola_chat_template_close(t);
}

static void test_folder(void **state) {
    (void)state;
    begin_folder();
    assert_of(folder, NULL, "no chat template");
    write_file("chat_template.json", "{\"chat_template\":\"legacy\"}");
    assert_of(folder, NULL, "legacy");
    write_file("tokenizer_config.json", "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\",\"lstrip\":false},"
                                        "\"pad_token\":null,\"chat_template\":\"{{ bos_token }}{{ eos_token }}"
                                        "{{ pad_token is defined }}{{ cls_token }}\"}");
    assert_of(folder, NULL, "<s></s>False");
    write_file("special_tokens_map.json", "{\"bos_token\":\"no\",\"cls_token\":\"[CLS]\"}");
    assert_of(folder, NULL, "<s></s>False[CLS]");
    assert_of(folder, "tool_use", "no chat template 'tool_use'");
    write_file("tokenizer_config.json", "{\"chat_template\":[{\"name\":\"default\",\"template\":\"d\"},"
                                        "{\"name\":\"tool_use\",\"template\":\"t{{ eos_token }}\"}],"
                                        "\"extra_special_tokens\":{\"image_token\":\"<i>\"}}");
    assert_of(folder, NULL, "d");
    assert_of(folder, "tool_use", "t");
    write_file("chat_template.jinja", "file {{ image_token }}\n");
    assert_of(folder, NULL, "file <i>");
    char path[600];
    snprintf(path, sizeof path, "%s/additional_chat_templates", folder);
    char command[700];
    snprintf(command, sizeof command, "mkdir '%s'", path);
    assert_int_equal(system(command), 0);
    write_file("additional_chat_templates/tool_use.jinja", "additional");
    assert_of(folder, "tool_use", "additional");
    assert_of(folder, "../chat_template", "no chat template");
    write_file("chat_template.jinja", "\n{% if %}");
    assert_of(folder, NULL, "chat template: line 2: expected an expression");
    unit_remove(folder);
}

static void put_text(file *f, const char *name, const char *value) {
    key(f, name, 8);
    text(f, value);
}

static void test_gguf(void **state) {
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        file *f = fresh();
        begin(f, 0, 6);
        put_text(f, "general.architecture", "llama");
        put_text(f, "tokenizer.chat_template", "{{ bos_token }}{{ eos_token }}!");
        put_text(f, "tokenizer.chat_template.tool_use", "tools");
        key(f, "tokenizer.ggml.tokens", 9);
        u32(f, 8);
        u64(f, 2);
        text(f, "<s>");
        text(f, "</s>");
        key(f, "tokenizer.ggml.bos_token_id", 4);
        u32(f, bad ? 7 : 0);
        key(f, "tokenizer.ggml.eos_token_id", 4);
        u32(f, bad ? 1 : UINT32_MAX);
        snprintf(folder, sizeof folder, "%s", unit_folder());
        char path[600];
        snprintf(path, sizeof path, "%s/m.gguf", folder);
        unit_write(path, f->data, f->length);
        free(f);
        assert_of(path, NULL, bad ? "tokenizer.ggml.bos_token_id is 7, and there are 2 tokens" : "<s>!");
        if (!bad) assert_of(path, "tool_use", "tools");
        unit_remove(folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_values),     cmocka_unit_test(test_reasoning),
        cmocka_unit_test(test_always_there), cmocka_unit_test(test_trust),    cmocka_unit_test(test_roles),
        cmocka_unit_test(test_lengthening),
        cmocka_unit_test(test_generation), cmocka_unit_test(test_errors),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_folder),  cmocka_unit_test(test_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
