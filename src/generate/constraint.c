/* The vocabulary as a grammar sees it, and the place in the text that has been reached. */
#include "generate/constraint.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "text/grammar.h"
#include "text/schema.h"

struct constraint {
    char *source; /* the grammar's or schema's text */
    bool is_schema;
    grammar *grammar;
    grammar_vocabulary *vocabulary;
    grammar_matcher *matcher;
    grammar_state *state;
    uint32_t *mask;
};

/* ---- the vocabulary ---- */

/* All tokens' bytes behind one another; `tokens` point into them when all are there. */
typedef struct spelling {
    grammar_token *tokens;
    size_t *at;
    buf bytes;
} spelling;

static tola_status spell(const tola_tokenizer *t, uint32_t id, spelling *s, tola_error *err) {
    char bytes[GRAMMAR_MAX_TOKEN];
    size_t length = 0;
    unsigned flags = 0;
    const char *text = tola_token_text(t, id, &length, &flags);
    s->at[id] = s->bytes.length;
    if (!text || (flags & TOLA_TOKEN_UNUSED)) return TOLA_OK;
    s->tokens[id].special = flags & TOLA_TOKEN_SPECIAL;
    if (!s->tokens[id].special) {
        TRY(tola_token_bytes(t, id, bytes, sizeof bytes, &length, err));
        text = bytes;
    }
    if (length > GRAMMAR_MAX_TOKEN) return TOLA_OK;
    buf_append(&s->bytes, text, length);
    s->tokens[id].length = (uint32_t)length;
    return s->bytes.failed ? err_nomem(err, "reading the vocabulary") : TOLA_OK;
}

static tola_status fill_vocabulary(const tola_tokenizer *t, uint32_t count, spelling *s, grammar_vocabulary **out,
                                   tola_error *err) {
    const uint32_t *ends;
    for (uint32_t id = 0; id < count; id++) TRY(spell(t, id, s, err));
    for (uint32_t id = 0; id < count; id++)
        if (s->tokens[id].length) s->tokens[id].bytes = s->bytes.data + s->at[id];
    size_t end_count = tola_tokenizer_ends(t, &ends);
    while (end_count && ends[end_count - 1] >= count) end_count--; /* ascending: ids that the model cannot choose */
    return grammar_vocabulary_create(s->tokens, count, ends, end_count, out, err);
}

static tola_status open_vocabulary(const tola_model *m, grammar_vocabulary **out, tola_error *err) {
    uint32_t count = m->info.vocabulary;
    spelling s = { .tokens = mem_calloc(count, sizeof *s.tokens), .at = mem_calloc(count, sizeof *s.at) };
    buf_init(&s.bytes, 0);
    tola_status status = !s.tokens || !s.at ? err_nomem(err, "reading the vocabulary")
                                            : fill_vocabulary(m->tokenizer, count, &s, out, err);
    buf_free(&s.bytes);
    mem_free(s.tokens);
    mem_free(s.at);
    return status;
}

/* ---- life ---- */

static tola_status compile(constraint *c, tola_error *err) {
    size_t length = strlen(c->source);
    return c->is_schema ? grammar_from_schema(c->source, length, &c->grammar, err)
                        : grammar_parse(c->source, length, NULL, &c->grammar, err);
}

static tola_status fill(constraint *c, const tola_model *m, const char *file, tola_error *err) {
    if (!m->tokenizer)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a grammar needs a tokenizer: %s", m->no_tokenizer.message);
    tola_status status = compile(c, err);
    if (status != TOLA_OK) return file ? err_in_file(err, status, file) : status;
    TRY(open_vocabulary(m, &c->vocabulary, err));
    TRY(grammar_matcher_create(c->grammar, c->vocabulary, 0, &c->matcher, err));
    c->mask = mem_calloc(((size_t)m->info.vocabulary + 31) / 32, sizeof *c->mask);
    return c->mask ? TOLA_OK : err_nomem(err, "following a grammar");
}

static tola_status create(const tola_model *m, const char *source, bool is_schema, const char *file, constraint **out,
                          tola_error *err) {
    constraint *c = mem_calloc(1, sizeof *c);
    if (!c) return err_nomem(err, "following a grammar");
    c->is_schema = is_schema;
    c->source = mem_strdup(source);
    tola_status status = c->source ? fill(c, m, file, err) : err_nomem(err, "following a grammar");
    if (status != TOLA_OK) {
        constraint_free(c);
        return status;
    }
    *out = c;
    return TOLA_OK;
}

tola_status constraint_begin(constraint **kept, const tola_model *m, const char *gbnf, const char *schema,
                             const char *file, tola_error *err) {
    const char *source = schema ? schema : gbnf;
    if (!*kept || (*kept)->is_schema != (schema != NULL) || strcmp((*kept)->source, source) != 0) {
        constraint *made;
        TRY(create(m, source, schema != NULL, file, &made, err));
        constraint_free(*kept);
        *kept = made;
    }
    grammar_state_free((*kept)->state);
    (*kept)->state = NULL;
    return grammar_state_create((*kept)->matcher, &(*kept)->state, err);
}

void constraint_free(constraint *c) {
    if (!c) return;
    grammar_state_free(c->state);
    grammar_matcher_free(c->matcher);
    grammar_vocabulary_free(c->vocabulary);
    grammar_free(c->grammar);
    mem_free(c->mask);
    mem_free(c->source);
    mem_free(c);
}

/* ---- following ---- */

tola_status constraint_mask(constraint *c, const uint32_t **mask, tola_error *err) {
    TRY(grammar_state_mask(c->state, c->mask, err));
    *mask = c->mask;
    return TOLA_OK;
}

tola_status constraint_accept(constraint *c, uint32_t id, tola_error *err) {
    bool accepted;
    TRY(grammar_state_token(c->state, id, &accepted, err));
    if (!accepted)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "token %u does not follow the grammar", (unsigned)id);
    return TOLA_OK;
}

bool constraint_complete(const constraint *c) { return !grammar_state_can_go_on(c->state); }
