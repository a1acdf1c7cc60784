/* Text while it comes: characters are completed by the tokenizer's stream, stop strings are found across tokens. */
#define _GNU_SOURCE 1
#include "generate/flow.h"

#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "text/tokenizer.h"

#define PROMPT_TAIL 8 /* tokens of the prompt that may matter to what follows: a character of single bytes has 4 */

static tola_status check_stops(text_flow *f, tola_error *err) {
    for (size_t i = 0; f->stop && f->stop[i]; i++) {
        size_t n = strlen(f->stop[i]);
        if (n == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "an empty stop string");
        if (!utf8_valid(f->stop[i], n))
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a stop string is not valid UTF-8");
        if (n > f->longest) f->longest = n;
    }
    if (f->longest && !f->tokenizer)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "stop strings need a tokenizer, and the model has none");
    return TOLA_OK;
}

static bool has_text(const tola_tokenizer *t, uint32_t id) {
    unsigned flags = 0;
    size_t length;
    return tola_token_text(t, id, &length, &flags) && !(flags & TOLA_TOKEN_UNUSED);
}

/* Passes the end of the prompt through the stream; *bytes is what came out. */
static tola_status prime(text_flow *f, const uint32_t *prompt, size_t count, size_t *bytes, tola_error *err) {
    *bytes = 0;
    for (size_t i = count > PROMPT_TAIL ? count - PROMPT_TAIL : 0; i < count; i++) {
        const char *text;
        size_t length;
        if (!has_text(f->tokenizer, prompt[i])) continue;
        TRY(tola_detokenizer_push(f->detokenizer, prompt[i], &text, &length, err));
        *bytes += length;
    }
    return TOLA_OK;
}

static tola_status begin(text_flow *f, bool keep_special, bool bound, const uint32_t *prompt, size_t count,
                         tola_error *err) {
    unsigned flags = keep_special ? 0 : TOLA_DETOKENIZE_SKIP_SPECIAL;
    size_t bytes;
    TRY(check_stops(f, err));
    if (!f->tokenizer) return TOLA_OK;
    TRY(tola_detokenizer_create(f->tokenizer, flags, &f->detokenizer, err));
    TRY(prime(f, prompt, count, &bytes, err));
    if (bytes) return TOLA_OK;
    /* Nothing but special tokens: a text begins. Or a decoder that needs the whole text: the prompt is none of it. */
    tola_detokenizer_free(f->detokenizer);
    f->detokenizer = NULL;
    TRY(tola_detokenizer_create(f->tokenizer, flags, &f->detokenizer, err));
    if (bound) tk_stream_goes_on(f->detokenizer);
    return TOLA_OK;
}

tola_status flow_open(text_flow *f, const tola_tokenizer *tokenizer, bool keep_special, bool bound,
                      const char *const *stop, const uint32_t *prompt, size_t count, tola_error *err) {
    *f = (text_flow){ .tokenizer = tokenizer, .stop = stop, .stopped_by = SIZE_MAX };
    buf_init(&f->text, 0);
    tola_status status = begin(f, keep_special, bound, prompt, count, err);
    if (status != TOLA_OK) flow_close(f);
    return status;
}

void flow_close(text_flow *f) {
    tola_detokenizer_free(f->detokenizer);
    f->detokenizer = NULL;
    buf_free(&f->text);
}

/* Cuts the text where a stop string begins that was not there before the last `fresh` bytes came. */
static void find_stop(text_flow *f, size_t fresh) {
    size_t from = f->text.length - fresh;
    from = from > f->longest ? from - f->longest + 1 : 0;
    if (from < f->shown) from = f->shown;
    const char *data = (const char *)f->text.data, *best = NULL;
    for (size_t i = 0; f->stop && f->stop[i]; i++) {
        const char *at = memmem(data + from, f->text.length - from, f->stop[i], strlen(f->stop[i]));
        if (!at || (best && at >= best)) continue;
        best = at;
        f->stopped_by = i;
    }
    if (best) f->text.length = (size_t)(best - data);
}

/* How many bytes at the end may be the beginning of a stop string. */
static size_t held_back(const text_flow *f) {
    size_t room = f->text.length - f->shown, most = 0;
    for (size_t i = 0; f->stop && f->stop[i]; i++) {
        size_t n = strlen(f->stop[i]) - 1;
        for (n = n < room ? n : room; n > most; n--)
            if (memcmp(f->text.data + f->text.length - n, f->stop[i], n) == 0) most = n;
    }
    return most;
}

static tola_status add(text_flow *f, const char *text, size_t length, tola_error *err) {
    buf_append(&f->text, text, length);
    if (f->text.failed) return err_nomem(err, "keeping the text");
    if (length) find_stop(f, length);
    return TOLA_OK;
}

static void show(text_flow *f, size_t end, const char **text, size_t *length) {
    *text = f->text.data ? (const char *)f->text.data + f->shown : "";
    *length = end - f->shown;
    f->shown = end;
}

tola_status flow_push(text_flow *f, uint32_t id, const char **text, size_t *length, tola_error *err) {
    const char *piece;
    size_t n;
    if (f->tokenizer && has_text(f->tokenizer, id)) {
        TRY(tola_detokenizer_push(f->detokenizer, id, &piece, &n, err));
        TRY(add(f, piece, n, err));
    }
    size_t held = f->stopped_by == SIZE_MAX ? held_back(f) : 0;
    show(f, f->text.length - held, text, length);
    return TOLA_OK;
}

tola_status flow_finish(text_flow *f, const char **text, size_t *length, tola_error *err) {
    const char *piece;
    size_t n;
    if (f->detokenizer && f->stopped_by == SIZE_MAX) {
        TRY(tola_detokenizer_finish(f->detokenizer, &piece, &n, err));
        TRY(add(f, piece, n, err));
    }
    show(f, f->text.length, text, length);
    return TOLA_OK;
}
