/* The trie of a vocabulary, laid out for walks in pre-order. */
#ifndef TEXT_GRAMMAR_VOCABULARY_H
#define TEXT_GRAMMAR_VOCABULARY_H

#include "text/grammar.h"

/* Node 0 is the empty beginning. Tokens are sorted by their bytes; those of node n itself are first[n] .. first[n+1],
 * those of n and all below first[n] .. first[end[n]]. */
typedef struct trie_node {
    uint32_t end;     /* the node behind the last one below */
    uint32_t first;   /* in `sorted` */
    uint32_t summary; /* of what lies below, 0: none is kept */
    uint16_t depth;
    uint8_t byte;
} trie_node;

/* What lies below a node that ends a code point, where every path below is valid UTF-8 (its last character may be cut
 * off by the end of a token). */
typedef struct trie_summary {
    uint64_t ascii[2]; /* bytes below 0x80 that occur */
    uint16_t longest;  /* code points, cut off ones too */
    bool multibyte;    /* other characters occur */
} trie_summary;

struct grammar_vocabulary {
    uint32_t count, word_count; /* tokens; words of a mask */
    trie_node *nodes;           /* (node_count + 1) */
    uint32_t *sorted;           /* (sorted_count) ids of tokens that are text */
    trie_summary *summaries;    /* [0] unused */
    uint32_t *end_mask;         /* (word_count) */
    uint32_t node_count, sorted_count, summary_count, longest; /* bytes of the longest token */
    uint8_t *bytes;             /* of all tokens, by id */
    uint64_t *start;            /* (count + 1) */
    uint32_t *text_mask;        /* (word_count) tokens that are text */
};

#endif
