/* Tokenizers: text to the numbers that a language model reads, and back. */
#ifndef TOLA_TOKENIZER_H
#define TOLA_TOKENIZER_H

#include <tola/checkpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tola_tokenizer tola_tokenizer;

/* From tokenizer.json, a SentencePiece model (tokenizer.model), tiktoken ranks (*.tiktoken), a GGUF file, or a folder
 * that holds tokenizer.json, tokenizer.model, or vocab.json and merges.txt. Immutable afterwards: any threads may share
 * it. */
TOLA_API TOLA_MUST_CHECK tola_status tola_tokenizer_open(const char *path, tola_tokenizer **out, tola_error *err);
/* The tokenizer that belongs to an opened model: of the GGUF file itself, or beside the weights. */
TOLA_API TOLA_MUST_CHECK tola_status tola_tokenizer_from_checkpoint(const tola_checkpoint *checkpoint,
                                                                    tola_tokenizer **out, tola_error *err);
TOLA_API void tola_tokenizer_free(tola_tokenizer *tokenizer); /* NULL is fine */

/* One more than the largest id that has a text. */
TOLA_API uint32_t tola_tokenizer_size(const tola_tokenizer *tokenizer);

#define TOLA_NO_TOKEN UINT32_MAX /* "no such token", where an id is returned */

typedef enum tola_token_flags {
    TOLA_TOKEN_SPECIAL = 1, /* steers the model and is no text: <s>, <|im_end|> */
    TOLA_TOKEN_ADDED = 2,   /* matched before everything else */
    TOLA_TOKEN_UNUSED = 4   /* no text has this id */
} tola_token_flags;
/* The token as the vocabulary spells it ("Ġthe", "▁the", "<0x0A>"); flags may be NULL. NULL for an id beyond the end.
 * UTF-8 except where a vocabulary holds single bytes of it. */
TOLA_API const char *tola_token_text(const tola_tokenizer *tokenizer, uint32_t id, size_t *length, unsigned *flags);
/* The id of a token spelled so; TOLA_NO_TOKEN where there is none. */
TOLA_API uint32_t tola_token_find(const tola_tokenizer *tokenizer, const char *text, size_t length);

enum {
    TOLA_TOKENIZE_SPECIAL = 1, /* adds what the model puts around a text ([CLS] ... [SEP], <s>) */
    TOLA_TOKENIZE_PLAIN = 2    /* the text is only text: special tokens spelled in it are not taken for those tokens */
};
/* The ids of `length` bytes of text; *ids is freed with tola_free. What is no valid UTF-8 is read as U+FFFD, one for
 * each run that a decoder gives up on, as Python's errors="replace" does. */
TOLA_API TOLA_MUST_CHECK tola_status tola_tokenize(const tola_tokenizer *tokenizer, const char *text, size_t length,
                                                   unsigned flags, uint32_t **ids, size_t *count, tola_error *err);

/* Bytes [offset, offset + length) of a text. */
typedef struct tola_text_run {
    size_t offset, length;
} tola_text_run;
/* The same for a text of which some runs (ascending, apart) are only text: a special token is taken only where none of
 * its bytes lies in one of them. Tokens are else those of the whole text: nothing is cut where a run begins or ends.
 * TOLA_E_ARG where the runs are not in order or the text is no valid UTF-8. */
TOLA_API TOLA_MUST_CHECK tola_status tola_tokenize_runs(const tola_tokenizer *tokenizer, const char *text,
                                                        size_t length, unsigned flags, const tola_text_run *plain,
                                                        size_t plain_count, uint32_t **ids, size_t *count,
                                                        tola_error *err);

enum { TOLA_DETOKENIZE_SKIP_SPECIAL = 1 };
/* The text of ids, NUL-terminated, always valid UTF-8; freed with tola_free. TOLA_E_ARG for an id that has no text. */
TOLA_API TOLA_MUST_CHECK tola_status tola_detokenize(const tola_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                                     unsigned flags, char **text, size_t *length, tola_error *err);

/* What a token adds to a text that has begun, in bytes, which may be part of a character; nothing for special tokens.
 * Writes at most `room` bytes; *length is how many there are. Grammars follow these bytes. */
TOLA_API TOLA_MUST_CHECK tola_status tola_token_bytes(const tola_tokenizer *tokenizer, uint32_t id, char *bytes,
                                                      size_t room, size_t *length, tola_error *err);

/* Ids to text while they come: each call gives the text that is certain now, whole characters of valid UTF-8 (it may be
 * empty), borrowed until the next call. All of it together is what tola_detokenize gives, but for runs of tokens of
 * single bytes that are no UTF-8: here each broken byte is U+FFFD, there each byte of the run, as in tokenizers. */
typedef struct tola_detokenizer tola_detokenizer;
/* `tokenizer` must outlive it. */
TOLA_API TOLA_MUST_CHECK tola_status tola_detokenizer_create(const tola_tokenizer *tokenizer, unsigned flags,
                                                             tola_detokenizer **out, tola_error *err);
TOLA_API TOLA_MUST_CHECK tola_status tola_detokenizer_push(tola_detokenizer *detokenizer, uint32_t id,
                                                           const char **text, size_t *length, tola_error *err);
/* What was held back; afterwards a new text may begin. */
TOLA_API TOLA_MUST_CHECK tola_status tola_detokenizer_finish(tola_detokenizer *detokenizer, const char **text,
                                                             size_t *length, tola_error *err);
TOLA_API void tola_detokenizer_free(tola_detokenizer *detokenizer); /* NULL is fine */

typedef enum tola_special {
    TOLA_SPECIAL_BOS, /* before a text */
    TOLA_SPECIAL_EOS, /* after a text */
    TOLA_SPECIAL_EOT, /* after a turn of a conversation; where there is none of its own, EOS */
    TOLA_SPECIAL_PAD,
    TOLA_SPECIAL_UNK,
    TOLA_SPECIAL_SEP,
    TOLA_SPECIAL_CLS,
    TOLA_SPECIAL_MASK,
    TOLA_SPECIAL_COUNT
} tola_special;
/* TOLA_NO_TOKEN where the model has none. */
TOLA_API uint32_t tola_tokenizer_special(const tola_tokenizer *tokenizer, tola_special which);
/* Ids after which a model has said what it had to say, ascending; *ids is borrowed from the tokenizer. */
TOLA_API size_t tola_tokenizer_ends(const tola_tokenizer *tokenizer, const uint32_t **ids);

#ifdef __cplusplus
}
#endif
#endif
