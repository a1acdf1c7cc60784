/* From ids to the text that a reader sees: whole characters, no stop strings. */
#ifndef GENERATE_FLOW_H
#define GENERATE_FLOW_H

#include "base/mem.h"
#include <tola/run.h>

typedef struct text_flow {
    const tola_tokenizer *tokenizer; /* NULL: no text at all */
    tola_detokenizer *detokenizer;
    const char *const *stop; /* NULL-terminated, or NULL */
    size_t longest;          /* bytes of the longest stop string */
    buf text;                /* everything; what is behind `shown` may still become a stop string */
    size_t shown;
    size_t stopped_by;       /* index; SIZE_MAX: not stopped */
} text_flow;

/* `prompt`: the ids before the text, whose end decides whether a space begins a word or the text; a text that follows a
 * grammar (`bound`) has the space in either case, as the grammar has seen it. */
tola_status flow_open(text_flow *f, const tola_tokenizer *tokenizer, bool keep_special, bool bound,
                      const char *const *stop, const uint32_t *prompt, size_t count, tola_error *err);
void flow_close(text_flow *f);
/* Adds a token; what may be shown now is `*length` bytes at *text, borrowed until the next call. */
tola_status flow_push(text_flow *f, uint32_t id, const char **text, size_t *length, tola_error *err);
/* The end: what was held back. */
tola_status flow_finish(text_flow *f, const char **text, size_t *length, tola_error *err);

#endif
