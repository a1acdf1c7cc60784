/* Inside a matcher: numbered states, frames, and what is remembered of them. */
#ifndef TEXT_GRAMMAR_MATCH_H
#define TEXT_GRAMMAR_MATCH_H

#include "base/mem.h"
#include "text/grammar_build.h"
#include "text/grammar_vocabulary.h"

#include <pthread.h>

/* A place in the automaton, and the frame that holds where to return to. */
typedef struct pair {
    uint32_t node, frame;
} pair;

/* All ways of going on at one place of the text: nodes that consume something. Equal futures have equal numbers, but
 * for frames that differ only in what can no longer matter. */
typedef struct match_state {
    uint32_t first, count; /* in `pairs`, sorted */
    uint64_t pops;         /* of local states: labels of frames that were returned to, bit by bit */
    bool accept;           /* the text may end here */
    uint32_t row;          /* of transitions, in `rows`; NONE: none yet */
    uint32_t local;        /* the same state with labels for frames; NONE: not known yet */
    uint32_t labels;       /* what they stand for, in `label_frames` */
    uint32_t label_count;
    uint32_t run;          /* in `runs`; NONE: not known yet */
    uint32_t mask;         /* of local states, in `masks`; NONE: none yet */
} match_state;

/* Where calls return to: nodes with the frames around them. Numbers: FRAME_ROOT ends the text, 1 .. MAX_LABELS are
 * labels (frames of which a local state knows only that they are), then real ones. A frame's parents are older. */
typedef struct match_frame {
    uint32_t first, count; /* in `pairs`, sorted */
    uint32_t resume;       /* the state after returning; NONE: not known yet */
} match_frame;

/* A state from which one step by any of these characters leads to one next state. */
typedef struct match_run {
    uint64_t ascii[2];
    uint32_t next;
    bool multibyte; /* and by any character from U+0080 */
} match_run;

/* Trie nodes, ascending, at which a walk returned into an unknown frame; equal lists have equal numbers. */
typedef struct exit_list {
    uint32_t first, count; /* in `exit_nodes` */
} exit_list;

typedef struct match_mask {
    uint32_t *bits;
    uint32_t exits; /* in `exit_refs`: a list's number for each label */
} match_mask;

/* What continues a list of exits from a local state. */
typedef struct continuation {
    uint32_t list, local; /* the key */
    uint32_t first, count; /* tokens, in `continued` */
    uint32_t exits;
} continuation;

#define NONE UINT32_MAX
#define DEAD 0 /* the state in which nothing fits */
#define FRAME_ROOT 0
#define MAX_LABELS 64
#define MAX_WAYS (1u << 14)  /* pairs in one state: beyond, a grammar is too ambiguous */
#define MAX_STEPS (1u << 24) /* pairs, trie nodes and tokens looked at in one call: about a second */

typedef struct hash_index {
    uint32_t *buckets; /* number + 1 */
    size_t count, used;
} hash_index;

/* Pairs in the order of being added, each once. */
typedef struct pair_set {
    pair *items;
    size_t count, cap;
    uint64_t *slots; /* pair + 1, open addressing */
    size_t slot_count;
} pair_set;

typedef struct pending_call {
    uint32_t rule;
    pair back;
} pending_call;

#define LIST(type, name) \
    type *name;          \
    size_t name##_count, name##_cap

struct grammar_matcher {
    const grammar *g;
    const grammar_vocabulary *v;
    pthread_mutex_t lock;
    size_t limit, collect_at;
    bool broken; /* a collection failed for want of memory: states are lost */
    uint32_t *token_ids; /* of the grammar's token references */
    LIST(pair, pairs);
    LIST(match_state, states);
    LIST(match_frame, frames);
    LIST(uint32_t, rows);
    LIST(uint32_t, label_frames);
    LIST(match_run, runs);
    LIST(match_mask, masks);
    LIST(exit_list, exit_lists);
    LIST(uint32_t, exit_nodes);
    LIST(uint32_t, exit_refs);
    LIST(continuation, continuations);
    LIST(uint32_t, continued);
    hash_index state_index, frame_index, continuation_index, list_index;
    grammar_state *handles;
    /* scratch */
    LIST(pair, kernel);
    LIST(pair, items);
    LIST(pending_call, pending);
    LIST(pair, ranges);    /* of a walk: tokens accepted, [node, frame) of `sorted` */
    LIST(pair, exits);     /* of a walk: label, trie node */
    pair_set work;         /* of a closure */
    pair_set todo;         /* of a mask: exit list, frame */
    uint32_t *path;        /* of a walk: (longest + 1) states */
    size_t steps;          /* of the call under way */
    tola_status status;
    tola_error error;
};

struct grammar_state {
    grammar_matcher *m;
    uint32_t state;
    grammar_state *previous, *next;
};

/* Appends to a list of the matcher; failures stick in m->status. */
void match_fail_memory(grammar_matcher *m);
#define MATCH_PUSH(m, list, ...)                                                                          \
    do {                                                                                                  \
        if (!mem_grow(&(m)->list, &(m)->list##_cap, (m)->list##_count + 1, sizeof *(m)->list))            \
            match_fail_memory(m);                                                                         \
        else                                                                                              \
            (m)->list[(m)->list##_count++] = __VA_ARGS__;                                                 \
    } while (0)

static inline bool match_ok(const grammar_matcher *m) { return m->status == TOLA_OK; }

void match_too_many_steps(grammar_matcher *m);
static inline void match_count_steps(grammar_matcher *m, size_t count) {
    m->steps += count;
    if (__builtin_expect(m->steps > MAX_STEPS, 0)) match_too_many_steps(m);
}
/* False, with the failure, where one call needs far more memory than the matcher is to remember. */
bool match_has_room(grammar_matcher *m);
/* The state of these pairs (which lie outside m->pairs) and of what was visited before. */
uint32_t match_close(grammar_matcher *m, const pair *kernel, size_t count);
void match_set_add(grammar_matcher *m, pair_set *s, pair p);
void match_set_clear(pair_set *s);
/* Adds a pair to the kernel of the next closure. */
void match_visit(grammar_matcher *m, uint32_t node, uint32_t frame);
uint32_t match_intern(grammar_matcher *m, pair *items, size_t count, bool accept, uint64_t pops);
uint32_t match_step_slow(grammar_matcher *m, uint32_t state, uint32_t byte_class);
uint32_t match_resume(grammar_matcher *m, uint32_t frame);
/* The state after a byte of this class; DEAD where it does not fit and on failure. */
static inline uint32_t match_step(grammar_matcher *m, uint32_t state, uint32_t byte_class) {
    uint32_t row = m->states[state].row;
    if (row != NONE) {
        uint32_t next = m->rows[(size_t)row * m->g->class_count + byte_class];
        if (next != NONE) return next;
    }
    return match_step_slow(m, state, byte_class);
}

/* grammar_mask.c: the mask of a state, end tokens and named tokens included. */
void match_mask_of(grammar_matcher *m, uint32_t state, uint32_t *mask);

uint64_t match_hash(const pair *items, size_t count, uint64_t start);
/* Makes room for one more number in an index. */
bool match_index_grow(grammar_matcher *m, hash_index *x, uint64_t (*hash_of)(grammar_matcher *, uint32_t));

#endif
