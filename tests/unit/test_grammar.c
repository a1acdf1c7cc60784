/* Grammars: notation and its errors, what texts fit, masks beside trying each token, states and memory. */
#include "text/grammar.h"
#include "base/mem.h"
#include "grammar_vocabulary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- helpers ---- */

static grammar_vocabulary *vocabulary;
static grammar_token tokens[TEST_COUNT];
static uint8_t token_bytes[256];

static int set_up(void **state) {
    (void)state;
    test_tokens(tokens, token_bytes);
    return grammar_vocabulary_create(tokens, TEST_COUNT, &(uint32_t){ TEST_END }, 1, &vocabulary, NULL) != TOLA_OK;
}

static int tear_down(void **state) {
    (void)state;
    grammar_vocabulary_free(vocabulary);
    return 0;
}

static grammar *parse(const char *text) {
    grammar *g = NULL;
    tola_error err;
    if (grammar_parse(text, strlen(text), NULL, &g, &err) != TOLA_OK) fail_msg("%s: %s", text, err.message);
    return g;
}

static bool fits(const grammar *g, const char *text, size_t length) {
    grammar_matcher *m;
    grammar_state *s;
    bool accepted;
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, NULL), TOLA_OK);
    assert_int_equal(grammar_state_create(m, &s, NULL), TOLA_OK);
    assert_int_equal(grammar_state_bytes(s, text, length, &accepted, NULL), TOLA_OK);
    bool whole = accepted && grammar_state_can_end(s);
    grammar_state_free(s);
    grammar_matcher_free(m);
    return whole;
}

static void check_texts(const char *text, const char *const *good, const char *const *bad) {
    grammar *g = parse(text);
    for (; *good; good++)
        if (!fits(g, *good, strlen(*good))) fail_msg("%s: refused %s", text, *good);
    for (; *bad; bad++)
        if (fits(g, *bad, strlen(*bad))) fail_msg("%s: took %s", text, *bad);
    grammar_free(g);
}
#define TEXTS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void check_refused(const char *text, tola_status want, const char *cause, uint64_t offset) {
    grammar *g = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = grammar_parse(text, strlen(text), NULL, &g, &err);
    if (status != want || !strstr(err.message, cause) || err.offset != offset)
        fail_msg("%s: status %d offset %llu \"%s\"", text, status, (unsigned long long)err.offset, err.message);
}

/* ---- notation ---- */

static void test_notation(void **state) {
    (void)state;
    check_texts("root ::= \"a\" | \"bc\" # a comment\n", TEXTS("a", "bc"), TEXTS("", "b", "abc", "ab"));
    check_texts("root::=x y\nx ::= [a-cx\\]-]+\ny ::= ( \"1\"\n | \"2\" # in here\n )?\n",
                TEXTS("a", "c-]x", "b2", "--1"), TEXTS("", "1", "d", "a12"));
    check_texts("root ::= \"\\x41\\u00e9\\U0001F600\" \"\\n\\t\\r\\\\\\\"\\[\\]\"",
                TEXTS("A\xc3\xa9\xf0\x9f\x98\x80\n\t\r\\\"[]"), TEXTS("A"));
    check_texts("root ::= [^a-z\\n]*", TEXTS("", "A9\xe2\x82\xac", "\xf0\x9f\x98\x80"),
                TEXTS("a", "\n", "\xe2\x82", "\xed\xa0\x80", "\xc0\x80", "\xff"));
    check_texts("root ::= .", TEXTS("a", "\n", "\xe2\x82\xac"), TEXTS("", "ab", "\xe2"));
}

static void test_repetition(void **state) {
    (void)state;
    check_texts("root ::= \"ab\"{2}", TEXTS("abab"), TEXTS("ab", "ababab"));
    check_texts("root ::= \"ab\"{2,}", TEXTS("abab", "abababab"), TEXTS("ab", ""));
    check_texts("root ::= [0-9]{1, 3}", TEXTS("1", "12", "123"), TEXTS("", "1234"));
    check_texts("root ::= \"a\"{0} \"b\"?", TEXTS("", "b"), TEXTS("a"));
    check_texts("root ::= (\"a\"*)* \"b\"", TEXTS("b", "aaab"), TEXTS("a", ""));
    check_texts("root ::= ((\"a\"?)+ (\"b\"*){0,5})* | \"c\"", TEXTS("", "abba", "c"), TEXTS("ac"));
    check_texts("root ::= (\"a\"){2}{2}", TEXTS("aaaa"), TEXTS("aa", "aaa"));
    check_texts("root ::= \"a\" |\n \"b\" | \n\n \"c\"\nx ::= \"d\"", TEXTS("a", "b", "c"), TEXTS("d"));
    check_texts("root ::= ()\n", TEXTS(""), TEXTS("a"));
    check_texts("root ::= \"\" | \"a\" | ", TEXTS("", "a"), TEXTS("b"));
}

static void test_recursion(void **state) {
    (void)state;
    check_texts("root ::= \"(\" root \")\" | \"\"", TEXTS("", "()", "((((()))))"), TEXTS("(", "())", ")("));
    check_texts("root ::= term ([-+*] term)*\nterm ::= \"(\" root \")\" | [0-9]+",
                TEXTS("1", "1+2*(3-4)", "((1))", "(1)*(2)"), TEXTS("", "1+", "(1", "1)", "()"));
    check_texts("root ::= list\nlist ::= \"a\" list | \"a\"", TEXTS("a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                TEXTS("", "b"));
    check_texts("root ::= e \"$\"\ne ::= \"a\" e \"b\" e | \"\"", TEXTS("$", "ab$", "aabb$", "abab$", "aababb$"),
                TEXTS("a$", "ba$", "aab$"));
    check_texts("root ::= s s\ns ::= \"x\" t?\nt ::= s s?", TEXTS("xx", "xxx", "xxxxxxx"), TEXTS("", "x"));
    char deep[20001];
    memset(deep, '(', 10000);
    memset(deep + 10000, ')', 10000);
    grammar *g = parse("root ::= \"(\" root? \")\"");
    assert_true(fits(g, deep, 20000));
    assert_false(fits(g, deep, 19999));
    grammar_free(g);
}

static void test_errors(void **state) {
    (void)state;
    check_refused("", TOLA_E_FORMAT, "there is no rule 'root'", TOLA_NO_OFFSET);
    check_refused("a ::= \"x\"", TOLA_E_FORMAT, "there is no rule 'root'", TOLA_NO_OFFSET);
    check_refused("root ::= a b\na ::= \"x\"\n", TOLA_E_FORMAT, "rule 'b' is used and never defined", 11);
    check_refused("root ::= \"x\"\nroot ::= \"y\"", TOLA_E_FORMAT, "defined twice", 13);
    check_refused("root ::= root \"x\" | \"x\"", TOLA_E_FORMAT, "left recursion): root -> root", 0);
    check_refused("root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= a \"y\" | \"z\"", TOLA_E_FORMAT, "a -> c -> a", 11);
    check_refused("root ::= (\"x\"* root)? \"y\"", TOLA_E_FORMAT, "left recursion", 0);
    check_refused("root ::= \"a\" root", TOLA_E_FORMAT, "'root' can never end", 0);
    check_refused("root ::= \"a\" | \"b\" c\nc ::= \"c\" c", TOLA_E_FORMAT, "'c' can never end", 21);
    check_refused("root ::= []", TOLA_E_FORMAT, "empty class", 9);
    check_refused("root ::= [^\\x00-\\U0010ffff]", TOLA_E_FORMAT, "a class of characters that has none", 9);
    check_refused("root ::= [z-a]", TOLA_E_FORMAT, "backwards", 11);
    check_refused("root ::= \"abc", TOLA_E_FORMAT, "expected a character, found the end", 13);
    check_refused("root ::= \"\\q\"", TOLA_E_FORMAT, "unknown escape", 10);
    check_refused("root ::= \"\\ud800\"", TOLA_E_FORMAT, "U+D800 is no character", 10);
    check_refused("root ::= \"\\U00110000\"", TOLA_E_FORMAT, "U+110000 is no character", 10);
    check_refused("root ::= \"\\x4\"", TOLA_E_FORMAT, "expected a hexadecimal digit", 13);
    check_refused("root = \"a\"", TOLA_E_FORMAT, "expected '::=', found '='", 5);
    check_refused("root ::= (\"a\"", TOLA_E_FORMAT, "expected ')', found the end", 13);
    check_refused("root ::= \"a\")", TOLA_E_FORMAT, "expected the end of the line, found ')'", 12);
    check_refused("root ::= * \"a\"", TOLA_E_FORMAT, "nothing here to repeat", 10);
    check_refused("root ::= \"a\"{3,1}", TOLA_E_FORMAT, "{3,1} is backwards", 12);
    check_refused("root ::= \"a\"{x}", TOLA_E_FORMAT, "expected a number, found 'x'", 13);
    check_refused("root ::= \"a\"{1000000000}", TOLA_E_LIMIT, "more than nine digits", 13);
    check_refused("root ::= [a-z]{1,100000000}", TOLA_E_LIMIT, "multiply out to more than", TOLA_NO_OFFSET);
    check_refused("root ::= (((\"a\"{1000}){1000}){1000}){1000}", TOLA_E_LIMIT, "multiply out", TOLA_NO_OFFSET);
    check_refused("root ::= <[1>", TOLA_E_FORMAT, "expected ']>', found '>'", 12);
    char many[8000] = "root ::=";
    for (int i = 0; i < 1025; i++) strcat(many, " <[1]>");
    check_refused(many, TOLA_E_LIMIT, "more than 1024 references to tokens", TOLA_NO_OFFSET);
    check_refused("root ::= <think", TOLA_E_FORMAT, "expected '>'", 15);
    char deep[300];
    strcpy(deep, "root ::= ");
    memset(deep + 9, '(', 200);
    deep[209] = '\0';
    check_refused(deep, TOLA_E_LIMIT, "nested more than 100", 109);
    check_refused("root ::= \"\xff\"", TOLA_E_FORMAT, "not UTF-8", TOLA_NO_OFFSET);
    grammar *g = parse("root ::= (){0,999999999} \"a\"{0,1000}"); /* nothing to multiply out, and little */
    grammar_free(g);
    g = parse("root ::= a a a a a a a a\na ::= b b b b b b b b\nb ::= c c c c c c c c\nc ::= d d d d d d d d\n"
              "d ::= e e e e e e e e\ne ::= f f f f f f f f\nf ::= \"x\"? \"y\"?\n");
    assert_true(grammar_node_count(g) < 100000); /* 8^6 copies are not made */
    grammar_free(g);
}

/* ---- masks ---- */

static const char JSON[] =
    "root ::= object\n"
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws ( string \":\" ws value (\",\" ws string \":\" ws value)* )? \"}\" ws\n"
    "array ::= \"[\" ws ( value (\",\" ws value)* )? \"]\" ws\n"
    "string ::= \"\\\"\" ( [^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) )* \"\\\"\" ws\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

static const char *const GRAMMARS[] = {
    JSON,
    "root ::= \"(\" root \")\" | \"\"",
    "root ::= term ([-+*] term)*\nterm ::= \"(\" root \")\" | [0-9a-z]+",
    "root ::= e \"$\"?\ne ::= \"a\" e \"b\" e | \"\"",
    "root ::= .*",
    "root ::= chars \"\\\"\"\nchars ::= [^\"]*",
    "root ::= \"\\\"\" [^\"\\\\\\x00-\\x1f]{0,9} \"\\\"\" [}\\]]*",
    "root ::= <think> .* | !<[3]> \"a\"* | \"b\"",
    "root ::= !<think>* <think> | !<[300]>",
    "root ::= [\xc3\xa9-\xe2\x82\xac]* [\\U0001F600-\\U0001F64F]?",
    "root ::= s s\ns ::= \"a\" t?\nt ::= s s?", /* ambiguous, and frames within frames */
    "root ::= ((\"a\" | \"ab\" | \"b\")* \"a\"?){0,6} | [a-b]* \"x\"",
    "root ::= \"a\"{3,12} | (\"aa\" root \"aa\") | \"\xe6\x97\xa5\" .",
    "root ::= (\"if (\" x \") \" root) | \"return \" x \";\"\nx ::= [a-z0-9]+ | \"(\" x \")\" | x2\nx2 ::= \"-\" x",
};

/* The mask says of every token what trying it says. Returns how many fit. */
static size_t check_mask(grammar_state *s) {
    enum { WORDS = (TEST_COUNT + 31) / 32 };
    uint32_t mask[WORDS + 1];
    mask[WORDS] = 0x12345678;
    tola_error err;
    if (grammar_state_mask(s, mask, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(mask[WORDS], 0x12345678);
    assert_int_equal((mask[TEST_COUNT / 32] >> (TEST_COUNT % 32)) >> (TEST_COUNT % 32 == 0 ? 31 : 0), 0);
    size_t count = 0;
    for (uint32_t id = 0; id < TEST_COUNT; id++) {
        grammar_state *t;
        bool accepted;
        assert_int_equal(grammar_state_clone(s, &t, NULL), TOLA_OK);
        assert_int_equal(grammar_state_token(t, id, &accepted, NULL), TOLA_OK);
        if (accepted != (mask[id / 32] >> (id % 32) & 1)) fail_msg("token %u: %d by itself", id, accepted);
        if (id == TEST_END) assert_int_equal(accepted, grammar_state_can_end(s));
        count += accepted;
        grammar_state_free(t);
    }
    return count;
}

static void walk_at_random(const char *text, size_t memory, unsigned seed) {
    grammar *g = parse(text);
    grammar_matcher *m;
    assert_int_equal(grammar_matcher_create(g, vocabulary, memory, &m, NULL), TOLA_OK);
    for (int round = 0; round < 6; round++) {
        grammar_state *s;
        assert_int_equal(grammar_state_create(m, &s, NULL), TOLA_OK);
        for (int step = 0; step < 25; step++) {
            size_t count = check_mask(s);
            assert_true(count > 0); /* the vocabulary has every byte: there is a way on, or the end */
            uint32_t mask[(TEST_COUNT + 31) / 32];
            assert_int_equal(grammar_state_mask(s, mask, NULL), TOLA_OK);
            seed = seed * 1103515245 + 12345;
            size_t pick = seed / 65536 % count;
            uint32_t id = 0;
            for (; id < TEST_COUNT; id++)
                if ((mask[id / 32] >> (id % 32) & 1) && pick-- == 0) break;
            if (id == TEST_END) break;
            bool accepted;
            assert_int_equal(grammar_state_token(s, id, &accepted, NULL), TOLA_OK);
            assert_true(accepted);
        }
        grammar_state_free(s);
    }
    grammar_matcher_free(m);
    grammar_free(g);
}

static void test_masks(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof GRAMMARS / sizeof *GRAMMARS; i++) walk_at_random(GRAMMARS[i], 0, (unsigned)i);
}

static void test_little_memory(void **state) { /* all is forgotten at each call, and nothing changes */
    (void)state;
    for (size_t i = 0; i < sizeof GRAMMARS / sizeof *GRAMMARS; i++) walk_at_random(GRAMMARS[i], 1, (unsigned)i);
}

static void test_places(void **state) {
    (void)state;
    grammar *g = parse(JSON);
    grammar_matcher *m;
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, NULL), TOLA_OK);
    static const char *const texts[] = {
        "{", "{\"a", "{\"a\":[{\"b\":[[\"", "{\"a\":[1,{\"x\":\"\xe2\x82", "{\"\\u0", "{}",
        "{\"a\":[[[[[[[[{\"q\":\"str", "{\"a\":-", "{\"a\":1", "{\"a\":\"b\",\n   ",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        grammar_state *s;
        bool accepted;
        assert_int_equal(grammar_state_create(m, &s, NULL), TOLA_OK);
        assert_int_equal(grammar_state_bytes(s, texts[i], strlen(texts[i]), &accepted, NULL), TOLA_OK);
        assert_true(accepted);
        check_mask(s);
        assert_true(grammar_state_can_go_on(s));
        assert_int_equal(grammar_state_bytes(s, "}}}}}", 5, &accepted, NULL), TOLA_OK);
        grammar_state_free(s);
    }
    grammar_matcher_free(m);
    grammar_free(g);
}

static void test_ends(void **state) {
    (void)state;
    grammar *g = parse("root ::= \"ab\"");
    grammar_matcher *m;
    grammar_state *s, *t;
    bool accepted;
    uint32_t mask[(TEST_COUNT + 31) / 32];
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, NULL), TOLA_OK);
    assert_int_equal(grammar_state_create(m, &s, NULL), TOLA_OK);
    assert_int_equal(grammar_state_token(s, TEST_END, &accepted, NULL), TOLA_OK);
    assert_false(accepted || grammar_state_can_end(s));
    assert_int_equal(grammar_state_bytes(s, "abc", 3, &accepted, NULL), TOLA_OK);
    assert_false(accepted); /* and the state is where it was */
    assert_int_equal(grammar_state_bytes(s, "a", 1, &accepted, NULL), TOLA_OK);
    assert_int_equal(grammar_state_clone(s, &t, NULL), TOLA_OK);
    assert_int_equal(grammar_state_bytes(s, "b", 1, &accepted, NULL), TOLA_OK);
    assert_true(accepted && grammar_state_can_end(s) && !grammar_state_can_go_on(s));
    assert_int_equal(grammar_state_mask(s, mask, NULL), TOLA_OK);
    for (uint32_t id = 0; id < TEST_COUNT; id++) assert_int_equal(mask[id / 32] >> (id % 32) & 1, id == TEST_END);
    assert_false(grammar_state_can_end(t)); /* the clone stayed */
    assert_int_equal(grammar_state_token(t, TEST_COUNT, &accepted, NULL), TOLA_E_ARG);
    grammar_state_free(s);
    grammar_state_free(t);
    grammar_matcher_free(m);
    grammar_free(g);
    tola_error err;
    g = parse("root ::= <no-such>");
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, &err), TOLA_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "'<no-such>' is no token"));
    grammar_free(g);
    g = parse("root ::= <[100000]>");
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, &err), TOLA_E_NOT_FOUND);
    grammar_free(g);
    g = parse("root ::= \"a\" (</s> \"b\")?");
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "token 0 ends a text"));
    grammar_free(g);
    g = parse("root ::= !</s>+");
    assert_int_equal(grammar_matcher_create(g, vocabulary, 0, &m, &err), TOLA_OK);
    grammar_matcher_free(m);
    grammar_free(g);
    grammar_vocabulary *v;
    assert_int_equal(grammar_vocabulary_create(tokens, 5, &(uint32_t){ 5 }, 1, &v, &err), TOLA_E_ARG);
    assert_int_equal(grammar_vocabulary_create(tokens, 0, NULL, 0, &v, &err), TOLA_OK);
    grammar_vocabulary_free(v);
}

/* ---- several threads at one matcher ---- */

static void *walk_in_thread(void *matcher) {
    uint32_t mask[(TEST_COUNT + 31) / 32], wrong = 0;
    for (int round = 0; round < 20; round++) {
        grammar_state *s = NULL;
        bool accepted = false;
        wrong += grammar_state_create(matcher, &s, NULL) != TOLA_OK;
        for (const char *c = "{\"a\": [1, {\"b\": \"c\"}]}"; s && *c; c++) {
            wrong += grammar_state_mask(s, mask, NULL) != TOLA_OK;
            uint32_t id = TEST_BYTES + (uint8_t)*c;
            wrong += !(mask[id / 32] >> (id % 32) & 1);
            wrong += grammar_state_token(s, id, &accepted, NULL) != TOLA_OK || !accepted;
        }
        wrong += !s || !grammar_state_can_end(s);
        grammar_state_free(s);
    }
    return (void *)(uintptr_t)wrong;
}

static void test_threads(void **state) {
    (void)state;
    grammar *g = parse(JSON);
    for (size_t memory = 0; memory < 2; memory++) {
        grammar_matcher *m;
        pthread_t threads[4];
        assert_int_equal(grammar_matcher_create(g, vocabulary, memory, &m, NULL), TOLA_OK);
        for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, walk_in_thread, m), 0);
        for (int i = 0; i < 4; i++) {
            void *wrong;
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
        grammar_matcher_free(m);
    }
    grammar_free(g);
}

/* ---- failing memory ---- */

static tola_status whole_run(void) {
    grammar *g = NULL;
    grammar_vocabulary *v = NULL;
    grammar_matcher *m = NULL;
    grammar_state *s = NULL;
    bool accepted = false;
    uint32_t mask[(TEST_COUNT + 31) / 32];
    tola_status status = grammar_parse(JSON, strlen(JSON), NULL, &g, NULL);
    if (status == TOLA_OK)
        status = grammar_vocabulary_create(tokens, TEST_COUNT, &(uint32_t){ TEST_END }, 1, &v, NULL);
    if (status == TOLA_OK) status = grammar_matcher_create(g, v, 1, &m, NULL);
    if (status == TOLA_OK) status = grammar_state_create(m, &s, NULL);
    if (status == TOLA_OK) status = grammar_state_bytes(s, "{\"a\":[", 6, &accepted, NULL);
    if (status == TOLA_OK) status = grammar_state_mask(s, mask, NULL);
    if (s) grammar_state_can_end(s);
    grammar_state_free(s);
    grammar_matcher_free(m);
    grammar_vocabulary_free(v);
    grammar_free(g);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    for (uint64_t n = 0;; n++) {
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = whole_run();
        fault_disarm();
        if (status == TOLA_OK) {
            assert_true(n > 50);
            break;
        }
        assert_int_equal(status, TOLA_E_NOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notation), cmocka_unit_test(test_repetition),    cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_masks),         cmocka_unit_test(test_little_memory),
        cmocka_unit_test(test_places),   cmocka_unit_test(test_ends),          cmocka_unit_test(test_threads),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
