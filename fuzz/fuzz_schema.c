/* Schema text: it is read or refused with a message, and what its grammar makes is JSON. */
#include "grammar.h"

#include "base/json.h"
#include "text/schema.h"

#define MAX_MADE 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Follows the masks, by bytes of the input; true where it came to an end. */
static bool make(const grammar *g, const uint8_t *data, size_t bytes, uint8_t *text, size_t *length) {
    grammar_matcher *m;
    grammar_state *s = NULL;
    tola_error err = TOLA_ERROR_INIT;
    bool ended = false;
    check(grammar_matcher_create(g, small_vocabulary(), 1 << 22, &m, &err) == TOLA_OK);
    *length = 0;
    if (goes(grammar_state_create(m, &s, &err), &err)) {
        uint32_t mask[MASK_WORDS], n = 0;
        while (!ended && *length < MAX_MADE && goes(grammar_state_mask(s, mask, &err), &err)) {
            for (size_t w = 0; w < MASK_WORDS; w++) /* the end and single bytes */
                for (uint32_t bit = 0; bit < 32; bit++)
                    if (w * 32 + bit >= TEST_PIECES) mask[w] &= ~(1u << bit);
            bool stop = grammar_state_can_end(s) && (data[n % bytes] & 3) == 0;
            uint32_t id = stop ? TEST_END : pick_token(mask, data[n % bytes] * 5u + n);
            bool accepted = false;
            ended = id == TEST_END;
            n++;
            if (ended || !goes(grammar_state_token(s, id, &accepted, &err), &err)) break;
            check(accepted);
            text[(*length)++] = (uint8_t)(id - TEST_BYTES);
        }
    }
    grammar_state_free(s);
    grammar_matcher_free(m);
    return ended;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    grammar *g = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (bytes > 1 << 14) return 0;
    if (grammar_from_schema((const char *)data, bytes, &g, &err) != TOLA_OK) {
        check(err.message[0] && err.status != TOLA_E_NOMEM);
        return 0;
    }
    uint8_t text[MAX_MADE];
    size_t length;
    if (make(g, data, bytes, text, &length)) {
        json_reader r; /* takes keys that come twice, as a grammar must */
        json_reader_init(&r, (const char *)text, length, 0);
        json_token token;
        while ((token = json_next(&r)) != JSON_END && token != JSON_ERROR) {}
        /* Numbers may be beyond a double's range, which the reader refuses; all else is a fault of the grammar. */
        check(token == JSON_END || strstr(r.error.message, "number") || strstr(r.error.message, "range"));
        json_reader_free(&r);
    }
    grammar_free(g);
    return 0;
}
