/* YAML as a tree with places: what words mean, what is refused and where, values, tables of keys. */
#include "unit.h"

#include "base/yaml.h"

static yaml *parse(const char *text) {
    yaml *y = NULL;
    tola_error err = TOLA_ERROR_INIT;
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1); /* exactly as long as the text, so that the sanitizer sees reads beyond it */
    assert_non_null(copy);
    memcpy(copy, text, n);
    if (yaml_parse("r.yaml", copy, n, &y, &err) != TOLA_OK) fail_msg("%s: %s", text, err.message);
    free(copy);
    return y;
}

static void assert_refused_bytes(const char *text, size_t length, tola_status want, const char *message) {
    yaml *y = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = yaml_parse("r.yaml", text, length, &y, &err);
    if (status != want || !strstr(err.message, message)) fail_msg("%.80s: status %d \"%s\"", text, status, err.message);
    if (strncmp(err.message, "r.yaml: ", 8) != 0) fail_msg("no file: %s", err.message);
    assert_null(y);
}

static void assert_refused(const char *text, tola_status want, const char *message) {
    assert_refused_bytes(text, strlen(text), want, message);
}

/* ---- the tree ---- */

static void test_tree(void **state) {
    (void)state;
    yaml *y = parse("# a recipe\nmodel:\n  layers: 4\n  names: [a, 'b c', \"d\\n\"]\nlr: 3e-4\nnote: |\n  two\n"
                    "  lines\n");
    const yaml_node *root = yaml_root(y);
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 3);
    const yaml_node *names = yaml_get(yaml_get(root, "model"), "names");
    assert_int_equal(names->kind, YAML_LIST);
    assert_int_equal(names->line, 4);
    assert_int_equal(names->column, 10);
    assert_int_equal(names->key_line, 4);
    assert_int_equal(names->key_column, 3);
    assert_string_equal(names->items[1]->text, "b c");
    assert_string_equal(names->items[2]->text, "d\n");
    char path[64];
    assert_string_equal(yaml_path(names->items[2], path, sizeof path), "model.names[2]");
    assert_string_equal(yaml_path(root, path, sizeof path), "");
    assert_string_equal(yaml_get(root, "note")->text, "two\nlines\n");
    assert_null(yaml_get(root, "absent"));
    assert_null(yaml_get(NULL, "absent"));
    assert_null(yaml_get(names, "absent"));
    yaml_free(y);
    yaml_free(NULL);
}

static void test_empty(void **state) {
    (void)state;
    static const char *const texts[] = { "", "# nothing\n", "---\n", "~" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        yaml *y = parse(texts[i]);
        assert_int_equal(yaml_root(y)->kind, YAML_NULL);
        yaml_free(y);
    }
}

static void test_words(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int kind;
        double number;
    } words[] = {
        { "~", YAML_NULL, 0 },          { "null", YAML_NULL, 0 },      { "true", YAML_BOOL, 0 },
        { "FALSE", YAML_BOOL, 0 },      { "yes", YAML_STRING, 0 },     { "tRue", YAML_STRING, 0 },
        { "0", YAML_INT, 0 },           { "-12", YAML_INT, -12 },      { "+7", YAML_INT, 7 },
        { "010", YAML_INT, 10 },        { "0x1F", YAML_INT, 31 },      { "0o17", YAML_INT, 15 },
        { "0b11", YAML_STRING, 0 },     { "0x", YAML_STRING, 0 },      { "-0x1", YAML_STRING, 0 },
        { "1_000", YAML_STRING, 0 },    { "12:30", YAML_STRING, 0 },   { "1.5", YAML_FLOAT, 1.5 },
        { ".5", YAML_FLOAT, 0.5 },      { "5.", YAML_FLOAT, 5 },       { "1e-4", YAML_FLOAT, 1e-4 },
        { "-1.5E+3", YAML_FLOAT, -1500 }, { ".", YAML_STRING, 0 },     { "1e", YAML_STRING, 0 },
        { "e5", YAML_STRING, 0 },       { "1.2.3", YAML_STRING, 0 },   { "-.inf", YAML_FLOAT, -__builtin_inf() },
        { "inf", YAML_STRING, 0 },      { "'12'", YAML_STRING, 0 },    { "!!str 12", YAML_STRING, 0 },
        { "! 12", YAML_STRING, 0 },     { "!!float 3", YAML_FLOAT, 3 }, { "!!int '3'", YAML_INT, 3 },
        { "18446744073709551615", YAML_INT, 18446744073709551615.0 },
        { "18446744073709551616", YAML_FLOAT, 18446744073709551616.0 },
        { "-", YAML_LIST, 0 },          { "+", YAML_STRING, 0 },       { "", YAML_NULL, 0 },
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char text[64];
        snprintf(text, sizeof text, "k:\n  %s\n", words[i].text);
        yaml *y = parse(text);
        const yaml_node *n = yaml_root(y)->items[0];
        if (n->kind != words[i].kind || n->number != words[i].number)
            fail_msg("%s: kind %d, %g", words[i].text, n->kind, n->number);
        yaml_free(y);
    }
}

static void test_aliases(void **state) {
    (void)state;
    yaml *y = parse("base: &b {lr: 1, list: [x, y]}\nother: *b\n");
    const yaml_node *other = yaml_get(yaml_root(y), "other");
    assert_int_equal(other->line, 2);
    assert_string_equal(yaml_get(other, "list")->items[1]->text, "y");
    assert_int_equal(yaml_root(y)->total, 11);
    yaml_free(y);
    assert_refused("a: *b\n", TOLA_E_FORMAT, "no anchor 'b'");
    assert_refused("a: &a [*a]\n", TOLA_E_FORMAT, "would hold itself");
    assert_refused("&a k: 1\n", TOLA_E_FORMAT, "line 1, column 1: an anchor at a key");
    /* a billion laughs */
    char text[4096] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 10; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s*a%d", k ? ", " : "", i - 1);
        snprintf(text + strlen(text), sizeof text - strlen(text), "]\n");
    }
    assert_refused(text, TOLA_E_LIMIT, "line 5, column");
    /* depth through aliases */
    snprintf(text, sizeof text, "a: &a [[[[[[[[[[1]]]]]]]]]]\n");
    for (int i = 1; i < 10; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "b%d: &%c [[[[[[[[[[*%c]]]]]]]]]]\n", i, 'a' + i,
                 'a' + i - 1);
    assert_refused(text, TOLA_E_LIMIT, "line 7, column 18: nested deeper than 64 levels");
}

static void test_refused(void **state) {
    (void)state;
    assert_refused("a: 1\nb: 2\na: 3\n", TOLA_E_FORMAT, "line 3, column 1: the key 'a' was there already, on line 1");
    assert_refused("x:\n  a: 1\n  'a': 2\n", TOLA_E_FORMAT, "line 3, column 3: x: the key 'a' was there");
    assert_refused("a: !!python/object:os.system x\n", TOLA_E_FORMAT, "line 1, column 4: the tag");
    assert_refused("a: !lambda {}\n", TOLA_E_FORMAT, "none of YAML's core schema");
    assert_refused("a: !!int abc\n", TOLA_E_FORMAT, "of another kind");
    assert_refused("a: !!seq {}\n", TOLA_E_FORMAT, "of another kind");
    assert_refused("a: 1\n---\nb: 2\n", TOLA_E_FORMAT, "line 2, column 1: a second document");
    assert_refused("? [1]\n: 2\n", TOLA_E_FORMAT, "must be text");
    assert_refused("a: \"x\\0y\"\n", TOLA_E_FORMAT, "NUL");
    assert_refused("a: [1, 2\nb: 3\n", TOLA_E_FORMAT, "line 2");
    assert_refused("a:\n\t- b\n", TOLA_E_FORMAT, "line 2, column 1: found character that cannot start any token");
    assert_refused("a: \xff\n", TOLA_E_FORMAT, "offset 3: ");
    assert_refused("a: {b: c\n", TOLA_E_FORMAT, "line 2, column 1");
    assert_refused_bytes("a: b\0c", 6, TOLA_E_FORMAT, "offset 4");
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    assert_refused_bytes(deep, sizeof deep, TOLA_E_LIMIT, "line 1, column 65: nested deeper than 64 levels");
    size_t large = YAML_MAX_BYTES + 1;
    char *spaces = malloc(large);
    assert_non_null(spaces);
    memset(spaces, ' ', large);
    assert_refused_bytes(spaces, large, TOLA_E_LIMIT, "1048577 bytes");
    for (size_t i = 0; i + 3 < large; i += 3) memcpy(spaces + i, "- \n", 3);
    assert_refused_bytes(spaces, large - 1, TOLA_E_LIMIT, "more than 100000 values");
    free(spaces);
}

static void test_files(void **state) {
    (void)state;
    unit_write(unit_path("a.yaml"), "a: 1\n", 5);
    yaml *y;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(yaml_open(unit_path("a.yaml"), &y, &err), TOLA_OK);
    assert_string_equal(yaml_name(y), unit_path("a.yaml"));
    assert_int_equal(yaml_get(yaml_root(y), "a")->magnitude, 1);
    yaml_free(y);
    assert_int_equal(yaml_open(unit_path("none.yaml"), &y, &err), TOLA_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "none.yaml"));
    FILE *f = fopen(unit_path("large.yaml"), "wb");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), 1 << 30), 0);
    fclose(f);
    assert_int_equal(yaml_open(unit_path("large.yaml"), &y, &err), TOLA_E_LIMIT);
    assert_non_null(strstr(err.message, "large.yaml: 1073741824 bytes"));
}

/* ---- values ---- */

static const char *const colours[] = { "red", "green", "none", NULL };

typedef struct settings {
    const char *name;
    bool on;
    uint32_t small;
    uint64_t seed;
    float rate;
    double share;
    uint32_t colour;
    const yaml_node *list, *map, *any;
} settings;

#define AT(member) offsetof(settings, member)
static const yaml_field fields[] = {
    { .key = "name", .type = YAML_TO_STRING, .offset = AT(name), .required = true },
    { .key = "on", .type = YAML_TO_BOOL, .offset = AT(on) },
    { .key = "small", .type = YAML_TO_U32, .offset = AT(small), .low = 1, .high = 100 },
    { .key = "seed", .type = YAML_TO_U64, .offset = AT(seed) },
    { .key = "rate", .type = YAML_TO_F32, .offset = AT(rate), .low = 0, .high = 10 },
    { .key = "share", .type = YAML_TO_F64, .offset = AT(share) },
    { .key = "colour", .type = YAML_TO_CHOICE, .offset = AT(colour), .choices = colours },
    { .key = "list", .type = YAML_TO_LIST, .offset = AT(list) },
    { .key = "map", .type = YAML_TO_MAP, .offset = AT(map) },
    { .key = "any", .type = YAML_TO_NODE, .offset = AT(any) },
};

static tola_status read_settings(const char *text, settings *s, tola_error *err) {
    yaml *y = parse(text);
    tola_status status = yaml_read(yaml_root(y), fields, sizeof fields / sizeof *fields, s, err);
    yaml_free(y);
    return status;
}

static void test_read(void **state) {
    (void)state;
    settings s = { .small = 9, .share = 0.5 };
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(read_settings("name: x\nsmall: 1e2\nseed: 18446744073709551615\nrate: 3e-4\ncolour: green\n"
                                   "share:\non: true\nlist: []\nmap: {}\nany: 3\n", &s, &err), TOLA_OK);
    assert_int_equal(s.small, 100);
    assert_true(s.seed == UINT64_MAX);
    assert_true(s.rate == 3e-4f);
    assert_true(s.share == 0.5);
    assert_int_equal(s.colour, 1);
    assert_true(s.on && s.list && s.map && s.any);
    static const char *const wrong[][2] = {
        { "name: x\nsmal: 3\n", "r.yaml: line 2, column 1: unknown key 'smal'; did you mean 'small'?" },
        { "name: x\nzzzzzzz: 3\n", "line 2, column 1: unknown key 'zzzzzzz'" },
        { "small: 3\n", "line 1, column 1: the key 'name' is missing" },
        { "name: 12\n", "line 1, column 7: name: text is wanted, not the number 12; in quotes it is text" },
        { "name: [x]\n", "name: text is wanted, not a list" },
        { "name:\n", "name: there is no value" },
        { "name: x\non: yes\n", "on: true or false is wanted, not the text 'yes'" },
        { "name: x\nsmall: 0\n", "small: 0 is not in 1 .. 100" },
        { "name: x\nsmall: 2.5\n", "small: a whole number is wanted, not the number 2.5" },
        { "name: x\nsmall: two\n", "small: a whole number is wanted, not the text 'two'" },
        { "name: x\nseed: -1\n", "seed: -1 is not in 0 .. 18446744073709551615" },
        { "name: x\nrate: 11\n", "rate: 11 is not in 0 .. 10" },
        { "name: x\nrate: .nan\n", "rate: .nan is no finite number" },
        { "name: x\nrate: fast\n", "rate: a number is wanted, not the text 'fast'" },
        { "name: x\ncolour: gren\n", "colour: 'gren' is not one of red, green, none; did you mean 'green'?" },
        { "name: x\nlist: 3\n", "list: a list is wanted, not the number 3" },
        { "name: x\nmap: [a]\n", "map: a map is wanted, not a list" },
        { "[name]\n", "line 1, column 1: a map is wanted, not a list" },
        { "", "line 1, column 1: a map is wanted, not nothing" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_settings(wrong[i][0], &s, &err), TOLA_E_FORMAT);
        if (!strstr(err.message, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], err.message);
    }
}

static void test_values(void **state) {
    (void)state;
    yaml *y = parse("[-9223372036854775808, 9223372036854775808, -0, 3.0, 1e300]");
    const yaml_node *root = yaml_root(y), *out;
    int64_t i = 7;
    uint64_t u = 7;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(yaml_i64(root->items[0], INT64_MIN, INT64_MAX, &i, &err), TOLA_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(yaml_i64(root->items[1], INT64_MIN, INT64_MAX, &i, &err), TOLA_E_FORMAT);
    assert_int_equal(yaml_u64(root->items[2], 0, 0, &u, &err), TOLA_OK);
    assert_true(u == 0);
    assert_int_equal(yaml_u64(root->items[3], 0, 5, &u, &err), TOLA_OK);
    assert_true(u == 3);
    assert_int_equal(yaml_u64(root->items[4], 0, UINT64_MAX, &u, &err), TOLA_E_FORMAT);
    assert_true(u == 3);
    assert_non_null(strstr(err.message, "[4]: a whole number is wanted"));
    assert_int_equal(yaml_need(root, "x", &out, &err), TOLA_E_FORMAT);
    yaml_free(y);
    y = parse("a: 1\nbeta: 2\n");
    assert_int_equal(yaml_keys(yaml_root(y), (const char *const[]){ "a", "beta", NULL }, &err), TOLA_OK);
    assert_int_equal(yaml_keys(yaml_root(y), (const char *const[]){ "a", "bets", NULL }, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "line 2, column 1: unknown key 'beta'; did you mean 'bets'?"));
    yaml_free(y);
}

static void assert_differ(const char *one, const char *two, const char *path_a, const char *path_b) {
    yaml *a = parse(one), *b = parse(two);
    const yaml_node *x, *y;
    char path[64];
    bool differ = yaml_differ(yaml_root(a), yaml_root(b), &x, &y);
    assert_int_equal(differ, path_a || path_b);
    if (differ) {
        assert_int_equal(x != NULL, path_a != NULL);
        assert_int_equal(y != NULL, path_b != NULL);
        if (x) assert_string_equal(yaml_path(x, path, sizeof path), path_a);
        if (y) assert_string_equal(yaml_path(y, path, sizeof path), path_b);
    }
    yaml_free(a);
    yaml_free(b);
}

static void test_differ(void **state) {
    (void)state;
    assert_differ("a: 1\nb: [x, 2.0]\n", "b:\n- 'x'\n- 2\na: 1\n", NULL, NULL);
    assert_differ("a: 1\nb: {c: 3}\n", "a: 1\nb: {c: 4}\n", "b.c", "b.c");
    assert_differ("a: 1\n", "{}", "a", NULL);
    assert_differ("a: 1\n", "a: 1\nb: 2\n", NULL, "b");
    assert_differ("[1, 2]", "[1]", "[1]", NULL);
    assert_differ("[1]", "[1, 2]", NULL, "[1]");
    assert_differ("a: '1'\n", "a: 1\n", "a", "a");
    assert_differ("a: []\n", "a: {}\n", "a", "a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),    cmocka_unit_test(test_empty),   cmocka_unit_test(test_words),
        cmocka_unit_test(test_aliases), cmocka_unit_test(test_refused), cmocka_unit_test(test_read),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_differ),
        cmocka_unit_test_setup_teardown(test_files, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
