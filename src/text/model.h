/* Between the models. */
#ifndef TEXT_MODEL_H
#define TEXT_MODEL_H

#include "text/tokenizer.h"

/* The best path to each place in a word. */
typedef struct unigram_scratch {
    struct unigram_node {
        double score;
        uint32_t begin, id;
        bool reached;
    } * nodes;
    size_t cap;
    tk_ids ends; /* where the pieces of the best path end, from the right */
} unigram_scratch;

/* Once, when the vocabulary is complete: the order of scores; where words without spaces may be cut. */
tola_status tk_rank_scores(tola_tokenizer *t, tola_error *err);
tola_status tk_find_seams(tola_tokenizer *t, tola_error *err);

tola_status unigram_prepare(tola_tokenizer *t, tola_error *err); /* once, when the vocabulary is complete */

tola_status unigram_word(const tola_tokenizer *t, unigram_scratch *s, const char *word, size_t length, tk_ids *out,
                         tola_error *err);
void unigram_scratch_free(unigram_scratch *s);

#endif
