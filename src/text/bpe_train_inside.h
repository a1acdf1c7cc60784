/* Between the parts of learning a tokenizer. */
#ifndef TEXT_BPE_TRAIN_INSIDE_H
#define TEXT_BPE_TRAIN_INSIDE_H

#include "text/bpe_train.h"
#include "text/tokenizer.h"

/* Words and how often each occurs. */
typedef struct bpe_word {
    uint64_t hash;
    size_t text; /* its place in `texts` */
    uint32_t length;
    uint64_t count; /* 0: the slot is free */
} bpe_word;
typedef struct bpe_counts {
    bpe_word *slots; /* open addressing; NULL: none yet */
    size_t mask, count;
    buf texts;
} bpe_counts;
tola_status bpe_count_word(bpe_counts *c, const char *word, size_t length, uint64_t times, tola_error *err);
void bpe_counts_free(bpe_counts *c);

/* Two tokens that become one. */
typedef struct bpe_merge {
    uint32_t left, right, id;
} bpe_merge;

typedef struct bpe_learned {
    arena arena;
    tola_string *tokens; /* as spelled, by id */
    size_t count, cap;
    bpe_merge *merges;
    size_t merge_count, merge_cap;
    uint32_t first_byte; /* the id of the first of the 256 */
    uint32_t byte_ids[256];
} bpe_learned;
void bpe_learned_free(bpe_learned *l);
/* The tokens that there are before anything is learned. */
tola_status bpe_learned_begin(bpe_learned *l, const char *const *specials, size_t special_count, tola_error *err);
/* Merges until there are `vocabulary` tokens or no pair occurs `least` times. */
tola_status bpe_learn(bpe_learned *l, const bpe_counts *words, uint32_t vocabulary, uint64_t least, tola_error *err);
/* The files of what was learned. */
tola_status bpe_write(const bpe_learned *l, const bpe_train_options *options, buf *tokenizer, buf *config,
                      tola_error *err);

#endif
