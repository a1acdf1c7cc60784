/* Grammars under construction: rules over code points as a tree whose parts may be shared, and the automaton made of
 * them. The GBNF reader and the schema compiler both build here. */
#ifndef TEXT_GRAMMAR_BUILD_H
#define TEXT_GRAMMAR_BUILD_H

#include "base/mem.h"
#include "text/grammar.h"

/* ---- building ---- */

typedef uint32_t part; /* a piece of a rule; children have lower numbers than their parents */
#define PART_NONE UINT32_MAX
#define REPEAT_FOREVER UINT32_MAX

typedef struct code_range {
    uint32_t low, high; /* code points, inclusive */
} code_range;

typedef enum part_kind {
    PART_EMPTY,
    PART_CLASS,  /* first, count: sorted, disjoint ranges without surrogates */
    PART_SEQ,    /* first, count: children */
    PART_ALT,    /* first, count: children, at least one */
    PART_REPEAT, /* first: child; low, high */
    PART_RULE,   /* first: rule */
    PART_TOKEN   /* first: token reference */
} part_kind;

typedef struct part_node {
    uint8_t kind;
    uint8_t depth;
    uint32_t first, count, low, high;
} part_node;

typedef struct grammar_rule {
    char *name;
    part body;       /* PART_NONE: not defined */
    uint64_t offset; /* where it is defined, or first used */
} grammar_rule;

typedef struct token_ref {
    char *name;  /* "<think>", NULL: by id */
    uint32_t id;
    bool negated; /* any token but this */
} token_ref;

typedef struct grammar_builder {
    arena memory; /* names */
    part_node *parts;
    uint32_t *children;
    code_range *ranges;
    grammar_rule *rules;
    token_ref *tokens;
    size_t part_count, part_cap, child_count, child_cap, range_count, range_cap, rule_count, rule_cap, token_count,
        token_cap;
    uint32_t *buckets; /* rules by name: index + 1 */
    size_t bucket_count;
    tola_status status; /* the first failure; parts made after it mean nothing */
    tola_error error;
} grammar_builder;

void build_init(grammar_builder *b);
void build_free(grammar_builder *b);
tola_status build_check(const grammar_builder *b, tola_error *err);
void build_fail(grammar_builder *b, tola_status status, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

part build_empty(grammar_builder *b);
/* Any of the ranges, or any other code point; surrogates are never in. Sorts `ranges` in place. */
part build_class(grammar_builder *b, code_range *ranges, size_t count, bool negated, uint64_t offset);
part build_literal(grammar_builder *b, const char *utf8, size_t length);
part build_seq(grammar_builder *b, const part *items, size_t count);
part build_alt(grammar_builder *b, const part *items, size_t count);
part build_repeat(grammar_builder *b, part item, uint32_t low, uint32_t high);
part build_rule_ref(grammar_builder *b, uint32_t rule);
part build_token(grammar_builder *b, const char *name, size_t length, uint32_t id, bool negated);
/* The rule of this name, new where there is none yet. */
uint32_t build_rule(grammar_builder *b, const char *name, size_t length, uint64_t offset);
void build_define(grammar_builder *b, uint32_t rule, part body, uint64_t offset);

/* Cuts the ways that can never end, as they lead to a rule without a way through it. False where none is left from
 * `root` on, or memory ran out (the builder has failed then). All rules are defined. */
bool build_prune(grammar_builder *b, uint32_t root);
/* Checks the rules and makes the automaton. */
tola_status build_finish(const grammar_builder *b, uint32_t root, grammar **out, tola_error *err);

/* ---- the automaton ---- */

typedef enum node_kind {
    NODE_RETURN, /* the end of a rule; node 0 alone */
    NODE_EDGES,  /* first, count: edges; consumes a byte */
    NODE_SPLIT,  /* first, count: nodes in `splits` */
    NODE_CALL,   /* first: rule; count: the node to return to */
    NODE_TOKEN   /* first: token reference; count: next node. Consumes a whole token */
} node_kind;

typedef struct grammar_node {
    uint32_t kind, first, count;
} grammar_node;

typedef struct grammar_edge {
    uint8_t low, high;
    uint32_t next;
} grammar_edge;

struct grammar {
    grammar_node *nodes;
    grammar_edge *edges;
    uint32_t *splits;
    uint32_t *rule_start; /* of rules that are called; rules are numbered so that a rule comes before those that it may
                             begin with */
    bool *rule_nullable;
    token_ref *tokens;    /* names are in `memory` */
    size_t node_count, node_cap, edge_count, edge_cap, split_count, split_cap, rule_count, token_count;
    uint32_t start;
    uint8_t byte_class[256]; /* bytes that no edge tells apart */
    uint32_t class_count;
    uint8_t class_byte[256]; /* one of each */
    arena memory;
};

#endif
