/* Text that must follow a grammar: which tokens may come next.
 *
 * A grammar (GBNF, or made from a JSON schema by text/schema.h) becomes an automaton over bytes with calls. A matcher
 * joins it with a vocabulary and keeps what it has worked out: sets of stacks as numbered states, transitions, masks.
 * A state is a place in the text; it may lie in the middle of a code point. docs/grammars.md has the notation. */
#ifndef TEXT_GRAMMAR_H
#define TEXT_GRAMMAR_H

#include <tola/base.h>

/* ---- grammars: immutable, shared by any number of matchers ---- */

typedef struct grammar grammar;

#define GRAMMAR_MAX_TEXT (4u << 20)  /* bytes of GBNF */
#define GRAMMAR_MAX_RULES (1u << 16)
#define GRAMMAR_MAX_DEPTH 100        /* of parentheses */
#define GRAMMAR_MAX_TOKENS 1024      /* references to tokens */
#define GRAMMAR_MAX_NODES (1u << 20) /* of the automaton: what repetitions are multiplied out to */

/* GBNF as llama.cpp reads it; the whole text must be `root` (NULL: the rule "root"). Errors are TOLA_E_FORMAT with the
 * offset in the text: notation, unknown and twice defined rules, left recursion, rules that never end; TOLA_E_LIMIT:
 * repetitions that multiply out to more than GRAMMAR_MAX_NODES. */
tola_status grammar_parse(const char *text, size_t length, const char *root, grammar **out, tola_error *err);
void grammar_free(grammar *g);
/* How large it became, for messages and benchmarks. */
size_t grammar_node_count(const grammar *g);

/* ---- vocabularies: the bytes of all tokens as a trie; immutable, shared ---- */

typedef struct grammar_vocabulary grammar_vocabulary;

typedef struct grammar_token {
    const uint8_t *bytes;
    uint32_t length; /* 0: stands for no text */
    bool special;    /* its bytes are a name ("<|end|>") that only <...> in a grammar matches, never text */
} grammar_token;

#define GRAMMAR_MAX_TOKEN 4096 /* bytes; longer ones stand for no text */

/* `end_ids` end the text: allowed exactly where the grammar can end. Copies what it needs. */
tola_status grammar_vocabulary_create(const grammar_token *tokens, uint32_t count, const uint32_t *end_ids,
                                      size_t end_count, grammar_vocabulary **out, tola_error *err);
void grammar_vocabulary_free(grammar_vocabulary *v);

/* ---- matchers and states ---- */

typedef struct grammar_matcher grammar_matcher;
typedef struct grammar_state grammar_state;

/* `g` and `v` are borrowed until grammar_matcher_free. `memory` bounds, in bytes, what is remembered between calls (0:
 * 256 MiB); what it holds no longer is worked out again. All functions here may be called by several threads at once;
 * a matcher works for one at a time. TOLA_E_NOT_FOUND: the grammar names a token that the vocabulary lacks;
 * TOLA_E_ARG: one that ends texts. */
tola_status grammar_matcher_create(const grammar *g, const grammar_vocabulary *v, size_t memory, grammar_matcher **out,
                                   tola_error *err);
void grammar_matcher_free(grammar_matcher *m); /* after all of its states */

tola_status grammar_state_create(grammar_matcher *m, grammar_state **out, tola_error *err);
tola_status grammar_state_clone(const grammar_state *s, grammar_state **out, tola_error *err);
void grammar_state_free(grammar_state *s);
/* Moves on by text; *accepted false: it does not fit, the state stays where it was. TOLA_E_LIMIT: the grammar is too
 * ambiguous to follow. */
tola_status grammar_state_bytes(grammar_state *s, const void *bytes, size_t length, bool *accepted, tola_error *err);
/* Moves on by a token; an end token fits where the grammar can end, and leaves the state as it is. */
tola_status grammar_state_token(grammar_state *s, uint32_t id, bool *accepted, tola_error *err);
bool grammar_state_can_end(const grammar_state *s);
/* Can anything but the end follow? */
bool grammar_state_can_go_on(const grammar_state *s);
/* Bit id % 32 of word id / 32 says whether the token may come next; (count + 31) / 32 words, bits beyond are 0. */
tola_status grammar_state_mask(grammar_state *s, uint32_t *mask, tola_error *err);

#endif
