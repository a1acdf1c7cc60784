/* GBNF text: it is read or refused with a message, and what is read gives masks that are right. */
#include "grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    grammar *g = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (bytes > 4096) return 0;
    if (grammar_parse((const char *)data, bytes, NULL, &g, &err) != TOLA_OK) {
        check(err.message[0] && err.status != TOLA_E_NOMEM && (err.offset == TOLA_NO_OFFSET || err.offset <= bytes));
        return 0;
    }
    grammar_matcher *m = NULL;
    grammar_state *s = NULL;
    if (grammar_matcher_create(g, small_vocabulary(), 1 << 20, &m, &err) != TOLA_OK) {
        check(err.status == TOLA_E_NOT_FOUND);
    } else if (goes(grammar_state_create(m, &s, &err), &err)) {
        uint32_t mask[MASK_WORDS];
        for (uint32_t step = 0; step < 3 && checked_mask(s, mask); step++) {
            uint32_t id = pick_token(mask, (uint32_t)bytes * 7 + data[step % bytes] + step);
            bool accepted = false;
            if (id == TEST_END || !goes(grammar_state_token(s, id, &accepted, &err), &err)) break;
            check(accepted);
        }
    }
    grammar_state_free(s);
    grammar_matcher_free(m);
    grammar_free(g);
    return 0;
}
