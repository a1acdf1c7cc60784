/* Tensor names of families in Hugging Face's words and in GGUF's, as one table read in both directions: by conversions
 * (families/) and by models/, which finds each weight by GGUF's word in either layout. */
#ifndef FAMILIES_NAMES_H
#define FAMILIES_NAMES_H

#include "families/families.h"

enum {
    NAME_ROTATED_Q = 1 << 0, /* rows are rotary halves of query heads: permuted for FAMILY_MAP_LLAMA */
    NAME_ROTATED_K = 1 << 1,
    NAME_NORM = 1 << 2,   /* f32 in GGUF; Gemma stores its weight minus one */
    NAME_F32 = 1 << 3,    /* f32 in GGUF though it is a matrix */
    NAME_EXPERT = 1 << 4, /* one of many, stacked in GGUF */
    NAME_HEAD = 1 << 5,   /* the output matrix: left out where it is tied to the embedding */
    /* Layouts of Hugging Face that GGUF does not share; only read-only families have them. */
    NAME_TRANSPOSED = 1 << 6, /* [in, out]: GPT-2's Conv1D, stacked experts of Llama 4 and gpt-oss */
    NAME_PAIRED = 1 << 7,     /* rows of gate and up take turns (gpt-oss) */
    NAME_READ = 1 << 8        /* read where a model runs, not converted: llama.cpp has no place for it */
};

typedef struct name_row {
    const char *hf; /* %d stands for the layer, %e for the expert */
    const char *gguf;
    uint32_t maps; /* bit m: rows of this family_map */
    uint32_t flags;
} name_row;

typedef struct name_match {
    const name_row *row;
    uint32_t layer, expert; /* UINT32_MAX where the pattern has none */
} name_match;

/* The row that a name follows, exactly (numbers without leading zeros). False where there is none. A Hugging Face name
 * may lack "model." (headless checkpoints) or carry "language_model." (the text half of a multimodal one). */
bool names_match_hf(family_map map, const char *name, name_match *out);
bool names_match_gguf(family_map map, const char *name, name_match *out);
/* Writes the name of the row in the other vocabulary; false where it does not fit. */
bool names_format(const char *pattern, uint32_t layer, uint32_t expert, char *dst, size_t cap);
/* Tensors that conversions leave out: tables that are computed anew from the configuration. */
bool names_ignored_hf(const char *name);
bool names_ignored_gguf(const char *name);
/* The names under which a Hugging Face checkpoint may hold this row's tensor: as in the table (0), then with the
 * prefixes that wrappers add or leave out. False beyond the last one. */
bool names_format_hf(const name_row *row, size_t variant, uint32_t layer, uint32_t expert, char *dst, size_t cap);
/* The tensor that `pattern` (GGUF's: "blk.%d.attn_q.weight") means in this checkpoint, in the layout of either;
 * SIZE_MAX where it is not there. *row (may be NULL) is the table's row in Hugging Face's layout, NULL in GGUF's or
 * without one. `name` gets the name that was found, or the first that was looked for. */
size_t names_find(const tola_checkpoint *ck, family_map map, bool gguf, const char *pattern, uint32_t layer,
                  uint32_t expert, const name_row **row, char *name, size_t cap);
/* Is what a configuration ties the same in its folder? *tied becomes false where an output matrix lies there that
 * differs from the embedding: it was trained on its own, and transformers 5 takes it (modeling_utils.py). */
tola_status names_tied_in_fact(const tola_checkpoint *ck, family_map map, bool *tied, tola_error *err);
/* Row i of the table, NULL beyond the end. */
const name_row *names_row(size_t i);

#endif
