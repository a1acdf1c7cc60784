/* What both directions of the tokenizer conversion share: finding a token by its text, and the table of
 * pre-tokenizers. */
#ifndef FAMILIES_TOKENS_H
#define FAMILIES_TOKENS_H

#include "families/build.h"

/* Text -> id, open addressing; texts are borrowed. */
typedef struct token_table {
    struct token_slot {
        const char *text;
        size_t length;
        uint32_t id;
    } *slots;
    size_t mask, count;
} token_table;
bool token_table_init(token_table *t, size_t count); /* room for `count` tokens; false when out of memory */
void token_table_free(token_table *t);
void token_table_add(token_table *t, const char *text, size_t length, uint32_t id); /* the first of equal texts stays */
uint32_t token_table_find(const token_table *t, const char *text, size_t length);   /* UINT32_MAX: not there */

/* TOLA_E_FORMAT: an id that two texts have. `of` begins the message: "", "added token 3: ". */
tola_status token_id_twice(const char *of, uint64_t id, tola_string first, tola_string second, tola_error *err);

/* GGUF's tokenizer.ggml.pre for a byte-level BPE tokenizer.json, judged by its pre_tokenizer; NULL: not known. False
 * when out of memory. */
bool pre_from_tokenizer(const tola_value *tokenizer, const char **pre);
/* The pre_tokenizer and the normalizer of tokenizer.json for a `pre` as JSON text, and whether BPE ignores merges for
 * words that are tokens; false where `pre` is not known. *normalizer may become NULL (none). */
bool pre_to_tokenizer(const char *pre, buf *pre_tokenizer, const char **normalizer, bool *ignore_merges);
/* Does <s> go before a text where a file with this name does not say? */
bool pre_adds_bos(const char *pre);

/* "<0x0A>" as 10; -1 where the text is no such token. */
int token_byte(const char *text, size_t length);

#endif
