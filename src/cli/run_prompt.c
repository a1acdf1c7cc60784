/* From what was said to the ids that the model is to go on from. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

/* Into memory of the program's own, behind `before`. */
static uint32_t *join_ids(const uint32_t *before, size_t before_count, uint32_t *added, size_t count) {
    uint32_t *all = frame_alloc((before_count + count + 1) * sizeof *all);
    if (before_count) memcpy(all, before, before_count * sizeof *all);
    if (count) memcpy(all + before_count, added, count * sizeof *all);
    tola_free(added);
    return all;
}

/* The ids so far and those of `more`; only the first text gets what the model puts before one. */
static tola_status raw_prompt(const run *r, const char *more, size_t length, uint32_t **ids, size_t *count,
                              tola_error *err) {
    const run_talk *talk = &r->talk;
    uint32_t *added;
    size_t n;
    tola_status status = tola_tokenize(tola_model_tokenizer(r->model), more, length,
                                       talk->id_count ? 0 : TOLA_TOKENIZE_SPECIAL, &added, &n, err);
    if (status != TOLA_OK) return status;
    *ids = join_ids(talk->ids, talk->id_count, added, n);
    *count = talk->id_count + n;
    return TOLA_OK;
}

/* ---- through the model's template ---- */

static tola_value text_value(const char *text, size_t length) {
    return (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { text, length } };
}

static tola_status render(const run *r, tola_chat_text *out, tola_error *err) {
    const run_talk *t = &r->talk;
    tola_value *messages = frame_alloc((t->count + 1) * sizeof *messages);
    tola_member *members = frame_alloc((t->count + 1) * 2 * sizeof *members);
    for (size_t i = 0; i < t->count; i++) {
        const run_message *m = &t->messages[i];
        tola_member *of = members + 2 * i;
        of[0] = (tola_member){ { "role", 4 }, text_value(m->role, strlen(m->role)) };
        of[1] = (tola_member){ { "content", 7 }, text_value(m->text, m->length) };
        messages[i] = (tola_value){ .kind = TOLA_VALUE_MAP, .as.map = { of, 2 } };
    }
    tola_value all = { .kind = TOLA_VALUE_ARRAY, .as.array = { messages, t->count } };
    tola_chat_options o = TOLA_CHAT_OPTIONS_INIT;
    o.add_generation_prompt = true;
    tola_status status = tola_chat_render(r->chat_template, (tola_chat_value){ .value = &all }, &o, out, err);
    free(messages);
    free(members);
    return status;
}

/* What people said is only text, whatever special tokens are spelled in it. */
static tola_status tokenize(const run *r, const tola_chat_text *text, uint32_t **ids, size_t *count, tola_error *err) {
    tola_text_run *plain = frame_alloc((text->span_count + 1) * sizeof *plain);
    size_t n = 0;
    for (size_t i = 0; i < text->span_count; i++) {
        const tola_chat_span *s = &text->spans[i];
        if (!s->trusted) plain[n++] = (tola_text_run){ s->offset, s->length };
    }
    uint32_t *added;
    tola_status status = tola_tokenize_runs(tola_model_tokenizer(r->model), text->text, text->length, 0, plain, n,
                                            &added, count, err);
    free(plain);
    if (status == TOLA_OK) *ids = join_ids(NULL, 0, added, *count);
    return status;
}

tola_status run_prompt(const run *r, const char *more, size_t length, uint32_t **ids, size_t *count, tola_error *err) {
    tola_chat_text text;
    if (r->talk.raw) return raw_prompt(r, more, length, ids, count, err);
    tola_status status = render(r, &text, err);
    if (status != TOLA_OK) return status;
    status = tokenize(r, &text, ids, count, err);
    tola_chat_text_dispose(&text);
    return status;
}
