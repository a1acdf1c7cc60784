/* Two ways to guess: what followed these tokens when they last occurred (prompt look-up, Saxena 2023), and a smaller
 * model (speculative decoding, arXiv 2211.17192; here a guess is kept only where it is the very token that the model
 * draws, so that nothing changes but the speed). */
#include "generate/draft.h"

#include <string.h>

#include "base/mem.h"

/* ---- look-up ---- */

size_t draft_lookup(const uint32_t *ids, size_t count, size_t n, size_t most, uint32_t *guesses) {
    if (n == 0 || count <= n) return 0;
    const uint32_t *last = ids + count - n;
    for (size_t at = count - n; at-- > 0;) {
        if (memcmp(ids + at, last, n * sizeof *ids) != 0) continue;
        for (size_t i = 0, from = at + n; i < most; i++, from++)
            guesses[i] = from < count ? ids[from] : guesses[from - count]; /* what repeats may go on repeating */
        return most;
    }
    return 0;
}

/* ---- a smaller model ---- */

/* Where both have a token it is the same one; what only the larger vocabulary has is not guessed, or not guessed after. */
static tola_status same_vocabulary(const tola_model *a, const tola_model *b, tola_error *err) {
    const tola_tokenizer *ta = a->tokenizer, *tb = b->tokenizer;
    if (!ta || !tb)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a draft model needs a tokenizer, as the model does");
    uint32_t na = tola_tokenizer_size(ta), nb = tola_tokenizer_size(tb);
    for (uint32_t id = 0; id < na && id < nb; id++) {
        size_t la = 0, lb = 0;
        const char *x = tola_token_text(ta, id, &la, NULL), *y = tola_token_text(tb, id, &lb, NULL);
        if (x && y && la == lb && memcmp(x, y, la) == 0) continue;
        if (!x && !y) continue;
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "the draft model has another vocabulary: token %u is not the same", (unsigned)id);
    }
    return TOLA_OK;
}

tola_status draft_open(drafter *d, const tola_model *model, const tola_generate_options *o,
                       const tola_sampling *sampling, tola_error *err) {
    *d = (drafter){ .lookup = o->lookup, .session = o->draft, .limit = model->info.vocabulary };
    if (!d->session) return TOLA_OK;
    if (d->session->model->info.hidden)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the draft model gives no logits");
    TRY(same_vocabulary(model, d->session->model, err));
    return sampler_create(sampling, d->session->model->info.vocabulary, &d->sampler, err);
}

void draft_close(drafter *d) {
    sampler_free(d->sampler);
    d->sampler = NULL;
}

/* `all` has room for `most` more ids behind its `count`. */
static tola_status guess_by_model(drafter *d, uint32_t *all, size_t count, size_t most, size_t *got, tola_error *err) {
    for (*got = 0; *got < most; ++*got) {
        size_t kept, n = count + *got;
        TRY(session_advance(d->session, 0, all, n, n - 1, NULL, NULL, &kept, err));
        sample_input in = { tola_session_output(d->session, 0), all, n, NULL, n };
        TRY(sampler_draw(d->sampler, &in, &all[n], err));
        if (all[n] >= d->limit) break;
    }
    return TOLA_OK;
}

tola_status draft_guess(drafter *d, const uint32_t *ids, size_t count, size_t most, uint32_t *guesses, size_t *got,
                        tola_error *err) {
    *got = draft_lookup(ids, count, d->lookup, most, guesses);
    if (*got || !d->session || count >= d->session->context) return TOLA_OK;
    for (size_t i = count; i-- > 0;)
        if (ids[i] >= d->session->model->info.vocabulary) return TOLA_OK; /* a token that the draft model does not know */
    size_t room = d->session->context - count;
    if (most > room) most = room;
    uint32_t *all = mem_alloc((count + most) * sizeof *all);
    if (!all) return err_nomem(err, "guessing tokens");
    memcpy(all, ids, count * sizeof *all);
    tola_status status = guess_by_model(d, all, count, most, got, err);
    if (status == TOLA_OK) memcpy(guesses, all + count, *got * sizeof *guesses);
    mem_free(all);
    return status;
}
