/* A pattern taken apart; between regex_parse.c and regex.c. */
#ifndef TEXT_REGEX_TREE_H
#define TEXT_REGEX_TREE_H

#include "text/charset.h"

#define REGEX_MOST_SETS 4096u
#define REGEX_MOST_NESTED 64
#define REGEX_FOREVER UINT32_MAX

typedef enum node_kind {
    NODE_EMPTY,
    NODE_SET,
    NODE_SEQUENCE,
    NODE_EITHER,
    NODE_REPEAT,
    NODE_LOOK,
    NODE_ATOMIC,
    NODE_ASSERT
} node_kind;
typedef enum repeat_mode { REPEAT_GREEDY, REPEAT_LAZY, REPEAT_POSSESSIVE } repeat_mode;
enum { LOOK_NEGATIVE = 1, LOOK_BEHIND = 2 };
typedef enum assert_kind {
    ASSERT_LINE_BEGIN,
    ASSERT_LINE_END,
    ASSERT_BEGIN,
    ASSERT_END,
    ASSERT_LAST_LINE_END,
    ASSERT_WORD_EDGE,
    ASSERT_NO_WORD_EDGE
} assert_kind;

typedef struct node {
    uint8_t kind;
    uint8_t mode;       /* repeat_mode, LOOK_*, assert_kind */
    uint32_t set;       /* NODE_SET: number in regex_tree.sets */
    uint32_t min, max;  /* NODE_REPEAT */
    struct node *child; /* the first */
    struct node *next;  /* the one beside it */
} node;

typedef struct regex_tree {
    arena arena;   /* of nodes */
    charset *sets; /* settled, no two equal */
    size_t set_count, set_cap;
    node *root;
} regex_tree;

tola_status regex_parse(const char *pattern, size_t length, regex_tree *out, tola_error *err);
void regex_tree_free(regex_tree *t);

#endif
