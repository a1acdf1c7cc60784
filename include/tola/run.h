/* Running a language model: from ids to logits, from a prompt to text.
 *
 * A model (weights, graph, tokenizer) is immutable and may be shared by threads; a session (keys and values of what was
 * read so far, scratch memory, threads) serves one thread at a time and must be freed before its model.
 *
 * The logits of a token depend on the model, on the types of the session's cache and on the tokens before it in its
 * sequence: not on threads, on how many tokens were read together, on other sequences, or on whether the tokens before
 * it were read just now, an hour ago or in another process. So every way to be faster gives the very same text. */
#ifndef TOLA_RUN_H
#define TOLA_RUN_H

#include <tola/checkpoint.h>
#include <tola/sampling.h>
#include <tola/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the model -------------------------------------------------------------------------------------------------- */

typedef struct tola_model tola_model;

/* A LoRA adapter: PEFT's folder or a GGUF file. */
typedef struct tola_adapter {
    const char *path;
    float scale; /* multiplies what the adapter says itself (alpha / rank); 1 */
} tola_adapter;

typedef struct tola_model_options {
    size_t size; /* sizeof(tola_model_options) */
    const tola_adapter *adapters;
    size_t adapter_count;
    bool hidden;      /* a step gives hidden states after the last norm instead of logits; encoders do so in any case */
    uint32_t context; /* positions that sessions will use, where the model's rotary scaling depends on that; 0: as for
                         texts no longer than those it was trained with */
    uint64_t reserved[8];
} tola_model_options;

#define TOLA_MODEL_OPTIONS_INIT \
    { sizeof(tola_model_options), NULL, 0, false, 0, { 0 } }

/* Opens what tola_checkpoint_open opens; matrices of GPTQ and its kin are decoded. `options` may be NULL.
 * TOLA_E_UNSUPPORTED for a family that nothing here can run, TOLA_E_FORMAT where tensors are missing or contradict the
 * configuration. */
TOLA_API TOLA_MUST_CHECK tola_status tola_model_open(const char *path, const tola_model_options *options,
                                                     tola_model **out, tola_error *err);
/* The same over an open checkpoint, borrowed until the model is freed. */
TOLA_API TOLA_MUST_CHECK tola_status tola_model_from_checkpoint(const tola_checkpoint *checkpoint,
                                                                const tola_model_options *options, tola_model **out,
                                                                tola_error *err);
TOLA_API void tola_model_free(tola_model *model); /* NULL is fine */

TOLA_API const tola_checkpoint *tola_model_checkpoint(const tola_model *model);
/* NULL where nothing beside or in the weights says how text becomes ids; tola_model_no_tokenizer says what was wrong.
 */
TOLA_API const tola_tokenizer *tola_model_tokenizer(const tola_model *model);
TOLA_API const char *tola_model_no_tokenizer(const tola_model *model);

typedef struct tola_model_info {
    const char *family; /* "llama", "qwen2", ... */
    bool hidden;        /* steps give hidden states instead of logits */
    bool encoder;       /* sees both ways: a text is read in one step */
    uint32_t layers, width;
    uint32_t vocabulary;   /* logits of a token */
    uint32_t context;      /* positions it was made for as it was opened: LongRoPE without a context that asks for more
                              has those of its short factors; 0: it does not say */
    uint64_t weight_bytes; /* of all weights */
    uint64_t active_bytes; /* of those that one token reads: of the experts the chosen ones, of the embedding a row */
    uint64_t made_bytes;   /* in memory of our own; the rest is mapped from the files and shared between processes */
    uint64_t unused_tensors;   /* of the files, that are no part of the model as its configuration describes it */
    const char *unused_tensor; /* the first one's name, NULL where there is none */
} tola_model_info;
TOLA_API const tola_model_info *tola_model_about(const tola_model *model);

/* ---- a session -------------------------------------------------------------------------------------------------- */

typedef struct tola_session tola_session;

typedef struct tola_session_options {
    size_t size;        /* sizeof(tola_session_options) */
    uint32_t context;   /* positions of a sequence; 0: what the model was made for (4096 where it does not say) */
    uint32_t sequences; /* numbered from 0; 0: 1 */
    uint64_t positions; /* of all sequences together, a shared prefix counted once; 0: context * sequences. Memory is
                           taken as they are used */
    uint32_t batch;     /* tokens computed at once; 0: 512. Scratch memory grows with it, results do not change */
    uint32_t outputs;   /* rows that one step gives at most; 0: 32 or sequences, whichever is more */
    tola_dtype key_type, value_type; /* of the cache: f32, f16, bf16, q8_0, q4_0; TOLA_DTYPE_NONE: f16 */
    unsigned threads;                /* 0 = as many as there are processors */
    uint64_t reserved[8];
} tola_session_options;

#define TOLA_SESSION_OPTIONS_INIT \
    { sizeof(tola_session_options), 0, 0, 0, 0, 0, TOLA_DTYPE_NONE, TOLA_DTYPE_NONE, 0, { 0 } }

/* `options` may be NULL. */
TOLA_API TOLA_MUST_CHECK tola_status tola_session_create(const tola_model *model, const tola_session_options *options,
                                                         tola_session **out, tola_error *err);
TOLA_API void tola_session_free(tola_session *session); /* NULL is fine */
TOLA_API const tola_model *tola_session_model(const tola_session *session);
TOLA_API uint32_t tola_session_context(const tola_session *session);
/* Scratch memory and the cache: held now, and when all positions are used. */
TOLA_API uint64_t tola_session_bytes(const tola_session *session);
TOLA_API uint64_t tola_session_bytes_limit(const tola_session *session);

/* A token to be read: it becomes the next of its sequence. */
typedef struct tola_step_token {
    uint32_t id;
    uint32_t sequence;
    bool output; /* its row is wanted */
} tola_step_token;

/* Called after each batch of tokens with how many of the step's are read, and a few times a second within one with the
 * share that is done; false stops. Always by the thread that called the step. */
typedef bool (*tola_step_fn)(void *user, size_t done, size_t total);

/* Reads `count` tokens of any sequences, those of one sequence in their order. TOLA_E_LIMIT with the counts where they
 * do not fit into a context (nothing is read then); TOLA_E_ARG for an id beyond the vocabulary or more outputs than the
 * session has room for; TOLA_E_FORMAT where an output is not a finite number. Stopped by `progress` (may be NULL):
 * TOLA_E_CANCELLED. After a failure the sequences are as before; one with a window that has moved on is empty. */
TOLA_API TOLA_MUST_CHECK tola_status tola_session_step(tola_session *session, const tola_step_token *tokens,
                                                       size_t count, tola_step_fn progress, void *user,
                                                       tola_error *err);
/* Row of the index-th token that asked for one in the last step: logits (vocabulary of them), or the hidden state
 * (width). Valid until the next step. NULL beyond the end. */
TOLA_API const float *tola_session_output(const tola_session *session, size_t index);

/* Tokens that a sequence holds, and their ids, valid until the sequence changes. 0 and NULL for a sequence beyond the
 * last. */
TOLA_API size_t tola_session_length(const tola_session *session, uint32_t sequence);
TOLA_API const uint32_t *tola_session_ids(const tola_session *session, uint32_t sequence);
/* Forgets tokens from `length` on. TOLA_E_UNSUPPORTED where layers with a window no longer have what the token at
 * length - 1 saw: nothing changes then; length 0 always works. */
TOLA_API TOLA_MUST_CHECK tola_status tola_session_truncate(tola_session *session, uint32_t sequence, size_t length,
                                                           tola_error *err);
/* Makes `to` hold the first `length` tokens of `from`, whose pages both then share. */
TOLA_API TOLA_MUST_CHECK tola_status tola_session_copy(tola_session *session, uint32_t from, uint32_t to, size_t length,
                                                       tola_error *err);
/* Keys and values of a sequence as a file, whole or not at all; `overwrite` replaces one that is there. `note` (NULL:
 * none): bytes of the caller's own, at most TOLA_MAX_NOTE, that are given back when it is loaded. */
#define TOLA_MAX_NOTE (64u << 20)
TOLA_API TOLA_MUST_CHECK tola_status tola_session_save(const tola_session *session, uint32_t sequence,
                                                       const char *path, bool overwrite, const void *note,
                                                       size_t note_bytes, tola_error *err);
/* Replaces what the sequence holds. *note (NULL: not wanted) is freed with tola_free and has a NUL behind it.
 * TOLA_E_FORMAT for a damaged file, TOLA_E_ARG for one of another model, other adapters or other types of the cache,
 * TOLA_E_LIMIT for more tokens than the context has; the sequence is then unchanged. */
TOLA_API TOLA_MUST_CHECK tola_status tola_session_load(tola_session *session, uint32_t sequence, const char *path,
                                                       void **note, size_t *note_bytes, tola_error *err);

/* ---- from a prompt to text -------------------------------------------------------------------------------------- */

/* Called for each token that was chosen, in order, with the text that is certain now: whole characters, perhaps none,
 * and nothing that may still turn out to begin a stop string. Once more at the end, with id TOLA_NO_TOKEN, where text
 * was held back. False stops. */
typedef bool (*tola_token_fn)(void *user, uint32_t id, const char *text, size_t length);

typedef struct tola_generate_options {
    size_t size;                   /* sizeof(tola_generate_options) */
    const tola_sampling *sampling; /* NULL: the defaults */
    uint64_t max_tokens;           /* 0: until the model ends or the context is full */
    const char *const *stop;       /* ends where the text would contain one of these; NULL-terminated, or NULL */
    bool ignore_end;               /* the model's end tokens are forbidden: it goes on */
    bool keep_special;             /* special tokens are spelled in the text instead of being left out */
    const char *grammar;           /* the text follows this GBNF grammar; NULL: any text */
    const char *json_schema;       /* the text is JSON that this schema (itself JSON) allows; NULL: any */
    uint32_t lookup;               /* guess what follows where the last `lookup` tokens occurred before; 0: don't */
    tola_session *draft;           /* guess with a smaller model of the same vocabulary, its sequence 0; NULL: don't */
    uint32_t draft_tokens;         /* guessed at once at most; 0: 8. Guesses change the speed, never the text */
    tola_token_fn token;
    void *token_user;
    tola_step_fn progress; /* while the prompt is read; false stops */
    void *progress_user;
    const char *rules_file; /* where grammar or json_schema was read from, for messages; NULL: no file */
    uint64_t reserved[6];
} tola_generate_options;

#define TOLA_GENERATE_OPTIONS_INIT \
    { sizeof(tola_generate_options), NULL, 0, NULL, false, false, NULL, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL, \
      NULL, { 0 } }

typedef enum tola_ending {
    TOLA_ENDING_MODEL = 0, /* it chose an end token, or the grammar is complete */
    TOLA_ENDING_LIMIT,     /* max_tokens */
    TOLA_ENDING_STOP,      /* a stop string */
    TOLA_ENDING_CONTEXT,   /* the context is full */
    TOLA_ENDING_CANCELLED  /* the callback said so */
} tola_ending;
/* "end", "limit", "stop", "context", "cancelled". */
TOLA_API const char *tola_ending_name(tola_ending ending);

typedef struct tola_generated {
    uint32_t *ids; /* chosen, without the end token; those of a stop string among them */
    size_t count;
    char *text; /* of the ids, NUL-terminated, up to the stop string */
    size_t length;
    tola_ending ending;
    uint32_t end_id;        /* the end token, TOLA_NO_TOKEN where there was none */
    size_t stopped_by;      /* index of the stop string; SIZE_MAX */
    uint64_t prompt_tokens; /* of which `reused` were in the sequence already */
    uint64_t reused;
    uint64_t drafted, accepted; /* guessed tokens, and those of them that were right */
    double prompt_ms, generated_ms;
    uint64_t reserved[4];
} tola_generated;

/* Goes on from `prompt` (at least one id). What the sequence holds already is kept as far as it begins as the prompt
 * does, the rest is forgotten; afterwards it holds the prompt and the chosen tokens but perhaps the last. TOLA_E_LIMIT
 * with the counts where the prompt leaves no room in the context; errors of tola_session_step, of grammars and schemas.
 */
TOLA_API TOLA_MUST_CHECK tola_status tola_generate(tola_session *session, uint32_t sequence, const uint32_t *prompt,
                                                   size_t count, const tola_generate_options *options,
                                                   tola_generated *out, tola_error *err);
TOLA_API void tola_generated_dispose(tola_generated *generated);

#ifdef __cplusplus
}
#endif
#endif
