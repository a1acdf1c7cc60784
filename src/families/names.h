/* Tensor names of the families that convert between Hugging Face and GGUF, as one table read in both directions. */
#ifndef FAMILIES_NAMES_H
#define FAMILIES_NAMES_H

#include "families/families.h"

enum {
    NAME_ROTATED_Q = 1 << 0, /* rows are rotary halves of query heads: permuted for FAMILY_MAP_LLAMA */
    NAME_ROTATED_K = 1 << 1,
    NAME_NORM = 1 << 2,   /* f32 in GGUF; Gemma stores its weight minus one */
    NAME_F32 = 1 << 3,    /* f32 in GGUF though it is a matrix */
    NAME_EXPERT = 1 << 4, /* one of many, stacked in GGUF */
    NAME_HEAD = 1 << 5    /* the output matrix: left out where it is tied to the embedding */
};

typedef struct name_row {
    const char *hf;   /* %d stands for the layer, %e for the expert */
    const char *gguf;
    uint16_t maps;    /* bit m: rows of this family_map */
    uint16_t flags;
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
/* Row i of the table, NULL beyond the end. */
const name_row *names_row(size_t i);

#endif
