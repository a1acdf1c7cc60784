/* Learning a tokenizer: byte-pair encoding of bytes (Sennrich et al., arXiv 1508.07909, over bytes as GPT-2 does it).
 *
 * Text is cut into words; beginning with their bytes, the pair of neighbours that is most frequent becomes a token,
 * again and again. Of pairs that are equally frequent the one whose left token has the smaller id is taken, then the
 * one whose right token has: the rule of Hugging Face's BpeTrainer, whose merges these are. Ids: special tokens in
 * their order, the 256 bytes in the order of the characters that spell them, then merges. What is learned depends on
 * how often each word occurs and on nothing else, neither threads nor the order of texts. */
#ifndef TEXT_BPE_TRAIN_H
#define TEXT_BPE_TRAIN_H

#include "base/err.h"
#include "base/mem.h"

#define BPE_MOST_TOKENS (1u << 21)

typedef enum bpe_words {
    BPE_WORDS_GPT2,  /* GPT-2's expression: numbers of any length */
    BPE_WORDS_LLAMA3 /* Llama 3's: at most three digits, line ends apart, contractions in any case */
} bpe_words;

typedef struct bpe_train_options {
    uint32_t vocabulary; /* tokens to be had, with special ones and bytes: special_count + 256 at least */
    uint64_t least;      /* a pair that occurs less often becomes no token; 0: 1 */
    bpe_words words;
    const char *const *specials; /* they get the first ids; valid UTF-8, all different; NULL where special_count is 0 */
    size_t special_count;
    const char *begin, *end, *pad; /* which of them begins a text, ends one, fills up; NULL: none */
    uint32_t context;              /* model_max_length of tokenizer_config.json; 0: not said */
    unsigned threads;              /* 0: all */
} bpe_train_options;

typedef struct bpe_trainer bpe_trainer;

/* What `options` point to is copied. TOLA_E_ARG where they make no sense. */
tola_status bpe_train_create(const bpe_train_options *options, bpe_trainer **out, tola_error *err);
void bpe_train_free(bpe_trainer *t); /* NULL is fine */
/* One text; nothing is joined across texts. It is copied where it is short. What is no UTF-8 is read as U+FFFD. */
tola_status bpe_train_add(bpe_trainer *t, const char *text, size_t length, tola_error *err);
/* Learns from all that was added; once. `tokenizer` gets tokenizer.json, `config` tokenizer_config.json; *tokens is how
 * many there are: fewer than asked for where the text has no more pairs. TOLA_E_FORMAT where no text was added. */
tola_status bpe_train_finish(bpe_trainer *t, buf *tokenizer, buf *config, uint32_t *tokens, tola_error *err);

#endif
