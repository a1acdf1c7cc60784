/* What the fuzz targets of grammars share: a small vocabulary, and masks beside trying each token. */
#ifndef FUZZ_GRAMMAR_H
#define FUZZ_GRAMMAR_H

#include <stdlib.h>
#include <string.h>

#include "../tests/unit/grammar_vocabulary.h"

#define MASK_WORDS ((TEST_COUNT + 31) / 32)

static inline void check(bool good) {
    if (!good) abort();
}

/* A call that may find a grammar too ambiguous, and nothing else. */
static inline bool goes(tola_status status, const tola_error *err) {
    check(status == TOLA_OK || (status == TOLA_E_LIMIT && err->message[0]));
    return status == TOLA_OK;
}

static inline const grammar_vocabulary *small_vocabulary(void) {
    static grammar_vocabulary *v;
    static uint8_t bytes[256];
    static grammar_token tokens[TEST_COUNT];
    if (v) return v;
    test_tokens(tokens, bytes);
    check(grammar_vocabulary_create(tokens, TEST_COUNT, &(uint32_t){ TEST_END }, 1, &v, NULL) == TOLA_OK);
    return v;
}

/* The mask of a state, held against trying every token. */
static inline bool checked_mask(grammar_state *s, uint32_t *mask) {
    tola_error err = TOLA_ERROR_INIT;
    if (!goes(grammar_state_mask(s, mask, &err), &err)) return false;
    bool any = false;
    for (uint32_t id = 0; id < TEST_COUNT; id++) {
        grammar_state *t;
        bool accepted = false;
        check(grammar_state_clone(s, &t, NULL) == TOLA_OK);
        bool told = goes(grammar_state_token(t, id, &accepted, &err), &err);
        grammar_state_free(t);
        if (!told) return false;
        check(accepted == (mask[id / 32] >> (id % 32) & 1));
        any |= accepted;
    }
    check(any); /* every byte is a token: there is a way on, or the end */
    check((mask[TEST_END / 32] >> (TEST_END % 32) & 1) == grammar_state_can_end(s));
    return true;
}

/* The n-th token that the mask allows, counted round and round. */
static inline uint32_t pick_token(const uint32_t *mask, uint32_t n) {
    uint32_t count = 0;
    for (size_t w = 0; w < MASK_WORDS; w++) count += (uint32_t)__builtin_popcount(mask[w]);
    n %= count;
    for (uint32_t id = 0; id < TEST_COUNT; id++)
        if ((mask[id / 32] >> (id % 32) & 1) && n-- == 0) return id;
    return TEST_END;
}

#endif
