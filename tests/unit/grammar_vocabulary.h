/* Vocabularies for tests of grammars: every byte, pieces of JSON and of other text, cut characters, special tokens. */
#ifndef TESTS_GRAMMAR_VOCABULARY_H
#define TESTS_GRAMMAR_VOCABULARY_H

#include "text/grammar.h"

#include <string.h>

#define TEST_END 0     /* "</s>" */
#define TEST_THINK 1   /* "<think>", special */
#define TEST_EMPTY 2   /* no text */
#define TEST_BYTES 3   /* 256 tokens of one byte */
#define TEST_PIECES (TEST_BYTES + 256)

static const char *const test_pieces[] = {
    "{\"", "\":", "\": ", "\", \"", "\"}", "\"}]", "\"},", "},", "}}", "}]", "[]", "[[", "]]", "]}", "[{\"", ", ",
    ": ",
    "true", "false", "null", "rue", "lse,", "null,", "null}", "0.", "12", "123", "-1", "e+", "E-", "1e", "00", "42}",
    "7,", "9]", "abc", "ab", "a\"", "b\",", "hello", " world", "\\n", "\\\"", "\\u", "\\u00", "\\\\", "\"\"", "\\\"}",
    "\xc3", "\xc3\xa9", "\xa9", "\xe2\x82", "\x82\xac", "\xac\"", "\xe2\x82\xac", "\xf0\x9f", "\x98\x80", "\x9f\x98",
    "\xf0\x9f\x98\x80\"", "\xc3\xa9t\xc3\xa9", "\xed\xa0\x80", "\xc0\x80", "\xff\xfe", "name", "\"name", "name\"",
    "\"name\"", "\"name\":", "age", " \"age\": ", "\n", "\n\n", "\n  ", "  ", "   ", "    ", "\t\t", " {", " [",
    " \"",
    "(", ")", "()", "((", "))", "+1", "*(", "x+", "if (", "return 0;", "aaaa", "aaaaaaaa", "aaaaaaab", "\xd0\xbf\xd1",
    "\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", "\xe6\x97\xa5\xe6\x9c\xac", "\xe8\xaa\x9e", "\"\xe6\x97", "name",
    "{\"a\":{\"a",
    "2024-", "-01", "T1", ":00Z", "@", ".com", "http://", "-4", "]]]]", "}}}}", "\"]", "\"]}", "\"]]",
};
#define TEST_COUNT (TEST_PIECES + sizeof test_pieces / sizeof *test_pieces)

/* Fills `tokens` (TEST_COUNT of them); `bytes` is 256 long and outlives them. */
static inline void test_tokens(grammar_token *tokens, uint8_t *bytes) {
    tokens[TEST_END] = (grammar_token){ (const uint8_t *)"</s>", 4, true };
    tokens[TEST_THINK] = (grammar_token){ (const uint8_t *)"<think>", 7, true };
    tokens[TEST_EMPTY] = (grammar_token){ (const uint8_t *)"", 0, false };
    for (int b = 0; b < 256; b++) {
        bytes[b] = (uint8_t)b;
        tokens[TEST_BYTES + b] = (grammar_token){ bytes + b, 1, false };
    }
    for (size_t i = 0; i < sizeof test_pieces / sizeof *test_pieces; i++)
        tokens[TEST_PIECES + i] =
            (grammar_token){ (const uint8_t *)test_pieces[i], (uint32_t)strlen(test_pieces[i]), false };
}

#endif
