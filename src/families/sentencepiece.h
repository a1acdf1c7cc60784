/* Reading a SentencePiece model (tokenizer.model): its pieces and the few settings that matter for tokenizing.
 *
 * Schema: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto */
#ifndef FAMILIES_SENTENCEPIECE_H
#define FAMILIES_SENTENCEPIECE_H

#include "base/err.h"
#include "base/mem.h"
#include <tola/value.h>

#define SENTENCEPIECE_MAX_PIECES (1u << 22) /* Gemma has 262144 */
#define SENTENCEPIECE_MAX_PIECE 65536u      /* bytes */
#define SENTENCEPIECE_MAX_CHARSMAP (16u << 20) /* nmt_nfkc has 240 kB */

/* Types of pieces; GGUF's token types have the same numbers. */
enum {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_USER_DEFINED = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6
};

typedef struct sentencepiece_model {
    tola_string *pieces;
    float *scores;
    uint8_t *types;
    size_t count;
    unsigned model_type; /* 1 unigram, 2 BPE, 3 word, 4 char */
    bool add_dummy_prefix, remove_extra_whitespaces, byte_fallback;
    bool whitespace_as_suffix; /* the mark goes behind a word */
    tola_string charsmap; /* precompiled_charsmap; empty where there is none */
    int64_t unk_id, bos_id, eos_id, pad_id; /* -1: none */
} sentencepiece_model;

/* Everything is copied into `a`. Offsets in errors are those of `data`. */
tola_status sentencepiece_parse(const void *data, size_t bytes, arena *a, sentencepiece_model *out, tola_error *err);

#endif
