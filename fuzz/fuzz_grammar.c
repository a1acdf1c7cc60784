/* A grammar, a NUL, and bytes: followed byte by byte and in pieces alike, with little memory and with much. */
#include "grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct run {
    grammar_matcher *m;
    grammar_state *s;
} run;

static bool begin(run *r, const grammar *g, size_t memory) {
    tola_error err = TOLA_ERROR_INIT;
    r->s = NULL;
    if (grammar_matcher_create(g, small_vocabulary(), memory, &r->m, &err) != TOLA_OK) return false;
    return goes(grammar_state_create(r->m, &r->s, &err), &err);
}

static void end(run *r) {
    grammar_state_free(r->s);
    grammar_matcher_free(r->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    const uint8_t *nul = memchr(data, 0, bytes);
    grammar *g = NULL;
    if (!nul || bytes > 4096 || grammar_parse((const char *)data, (size_t)(nul - data), NULL, &g, NULL) != TOLA_OK)
        return 0;
    const uint8_t *text = nul + 1;
    size_t length = bytes - (size_t)(text - data), at = 0;
    run one = { 0 }, other = { 0 };
    tola_error err = TOLA_ERROR_INIT;
    bool going = begin(&one, g, 1) && begin(&other, g, 0);
    while (going && at < length) {
        size_t piece = text[at] % 3 + 1u, n = piece < length - at ? piece : length - at;
        bool by_bytes = true, by_piece = false;
        for (size_t i = 0; i < n && by_bytes && going; i++)
            going = goes(grammar_state_bytes(one.s, text + at + i, 1, &by_bytes, &err), &err);
        going = going && goes(grammar_state_bytes(other.s, text + at, n, &by_piece, &err), &err);
        if (!going) break;
        check(by_bytes == by_piece);
        if (!by_piece) break;
        check(grammar_state_can_end(one.s) == grammar_state_can_end(other.s));
        check(grammar_state_can_go_on(one.s) == grammar_state_can_go_on(other.s));
        at += n;
        uint32_t a[MASK_WORDS], b[MASK_WORDS];
        going = at > 64 || (goes(grammar_state_mask(one.s, a, &err), &err) &&
                            goes(grammar_state_mask(other.s, b, &err), &err));
        if (going && at <= 64) check(memcmp(a, b, sizeof a) == 0);
        if (going && at % 16 == 0) going = checked_mask(one.s, a);
    }
    end(&one);
    end(&other);
    grammar_free(g);
    return 0;
}
