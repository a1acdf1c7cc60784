/* Documents as one stream of tokens on disk, and rows of it to learn from.
 *
 * Tokenizing is done once: the stream is kept in a file beside the run, under a digest of the texts and the tokenizer,
 * and read from there, so memory does not grow with it. The same documents and tokenizer give the same bytes at any
 * number of threads. */
#ifndef LEARN_DATA_TOKENS_H
#define LEARN_DATA_TOKENS_H

#include "learn/data_text.h"
#include <tola/tokenizer.h>

typedef struct data_tokens data_tokens;

typedef struct data_tokens_options {
    const char *cache; /* the file that keeps the stream, made where it is absent or of something else; NULL: memory */
    uint32_t before;   /* a token before each document, and one after it; TOLA_NO_TOKEN: none */
    uint32_t after;
    uint32_t vocabulary;       /* a token not below is an error that names the document; 0: the tokenizer's size */
    bool special;              /* "<|endoftext|>" in a text is that token, not its letters */
    unsigned threads;          /* 0: all */
    tola_progress_fn progress; /* may be NULL */
    void *progress_user;
} data_tokens_options;
#define DATA_TOKENS_OPTIONS_INIT                                                                                       \
    { .before = TOLA_NO_TOKEN, .after = TOLA_NO_TOKEN }

/* TOLA_E_FORMAT where there are fewer than two tokens: nothing could be predicted from anything. */
tola_status data_tokens_open(const data_text *text, const tola_tokenizer *tokenizer, const data_tokens_options *options,
                             data_tokens **out, tola_error *err);
void data_tokens_close(data_tokens *t); /* NULL is fine */
uint64_t data_tokens_count(const data_tokens *t);
uint64_t data_tokens_documents(const data_tokens *t);
bool data_tokens_from_cache(const data_tokens *t);
/* Of texts, tokenizer and options: what run.json keeps. */
const uint8_t *data_tokens_digest(const data_tokens *t);

/* ---- rows ---- */

typedef enum data_rows_kind {
    DATA_ROWS_STREAM,  /* the stream cut every `context` tokens; documents see those before them */
    DATA_ROWS_PACKED,  /* the same cuts, but no document sees another and none predicts the next one's first token */
    DATA_ROWS_SEPARATE /* each document begins a row of its own; what is left of its last row is padding */
} data_rows_kind;

typedef struct data_rows data_rows;

/* `t` must outlive it. TOLA_E_FORMAT where no row has two tokens. */
tola_status data_rows_open(const data_tokens *t, uint32_t context, data_rows_kind kind, data_rows **out,
                           tola_error *err);
void data_rows_close(data_rows *r); /* NULL is fine */
uint64_t data_rows_count(const data_rows *r);
/* One row; each array has `context` elements, and each but ids may be NULL.
 * ids[i] is the token, targets[i] the one after it, weights[i] 1 where that is to be predicted, else 0;
 * first[i] is the place in the row where i's document begins, 0 for all in DATA_ROWS_STREAM.
 * Places that the row does not fill have id 0, target 0, weight 0 and first[i] = i. *targets_count: how many weights
 * are 1. Any thread. */
tola_status data_rows_read(const data_rows *r, uint64_t row, uint32_t *ids, uint32_t *targets, float *weights,
                           uint32_t *first, uint32_t *target_count, tola_error *err);

#endif
