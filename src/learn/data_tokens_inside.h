/* What data_tokens.c and data_rows.c share. */
#ifndef LEARN_DATA_TOKENS_INSIDE_H
#define LEARN_DATA_TOKENS_INSIDE_H

#include "base/source.h"
#include "learn/data_tokens.h"

#define DATA_TOKENS_FIRST (UINT32_C(1) << 31) /* in the first token of a document */

struct data_tokens {
    source *src;
    void *memory; /* where no file keeps them */
    uint64_t count, documents;
    uint32_t limit; /* all tokens are below */
    bool cached;
    uint8_t digest[32];
};

/* Tokens with their marks. */
tola_status data_tokens_read(const data_tokens *t, uint64_t at, size_t count, uint32_t *marked, tola_error *err);

#endif
