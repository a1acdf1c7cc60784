/* Texts as vectors: hidden states of a model, pooled. */
#ifndef TOLA_EMBED_H
#define TOLA_EMBED_H

#include <tola/run.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_pooling {
    TOLA_POOLING_MODEL, /* as the model says: 1_Pooling/config.json of sentence-transformers, GGUF's pooling_type; where
                           it says nothing, the mean for encoders and the last token for decoders */
    TOLA_POOLING_MEAN,  /* of all tokens, special ones included */
    TOLA_POOLING_CLS,   /* the first token */
    TOLA_POOLING_LAST   /* the last token */
} tola_pooling;
TOLA_API const char *tola_pooling_name(tola_pooling pooling); /* "model", "mean", "cls", "last" */

typedef enum tola_normalize {
    TOLA_NORMALIZE_MODEL, /* as sentence-transformers' modules say; no where there are none */
    TOLA_NORMALIZE_YES,   /* to length 1 */
    TOLA_NORMALIZE_NO
} tola_normalize;

typedef struct tola_embed_options {
    size_t size; /* sizeof(tola_embed_options) */
    tola_pooling pooling;
    tola_normalize normalize;
    uint32_t context; /* tokens of a text at most; 0: as the model says (sentence_bert_config.json, configuration) */
    bool truncate; /* longer texts are cut, keeping what the tokenizer puts behind a text; else they are TOLA_E_LIMIT */
    uint32_t batch;   /* tokens computed at once; 0: 512. Results do not depend on it */
    unsigned threads; /* 0 = as many as there are processors */
    const char *prompt; /* name of one of the prompts in config_sentence_transformers.json, which is put before every
                           text; "": none; NULL: the one that the file names as default, if any */
    uint64_t reserved[7];
} tola_embed_options;
#define TOLA_EMBED_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(tola_embed_options), TOLA_POOLING_MODEL, TOLA_NORMALIZE_MODEL, 0, false, 0, 0, NULL, { 0 }              \
    }

typedef struct tola_embedder tola_embedder;
/* `model` gives hidden states (an encoder, or opened with tola_model_options.hidden) and has a tokenizer; it is
 * borrowed until the embedder is freed. TOLA_E_UNSUPPORTED where its modules do what nothing here does (a dense layer,
 * another pooling), unless both pooling and normalize are given. One thread at a time. */
TOLA_API TOLA_MUST_CHECK tola_status tola_embedder_create(const tola_model *model, const tola_embed_options *options,
                                                          tola_embedder **out, tola_error *err);
TOLA_API void tola_embedder_free(tola_embedder *embedder); /* NULL is fine */

typedef struct tola_embedder_info {
    uint32_t width;   /* numbers of a vector */
    uint32_t context; /* tokens of a text at most */
    tola_pooling pooling;
    bool normalize;
    const char *prompt; /* what is put before every text; NULL: nothing; the embedder's */
} tola_embedder_info;
TOLA_API const tola_embedder_info *tola_embedder_about(const tola_embedder *embedder);

typedef struct tola_text {
    const char *data;
    size_t length;
} tola_text;

/* The vectors of `count` texts into out (count x width); tokens, if not NULL, receives how many each has. A vector
 * depends on its text alone. TOLA_E_LIMIT with the counts for a text beyond the context, TOLA_E_ARG for one without any
 * token, both with its number (from 1); `out` holds nothing of use then. `progress` counts bytes of the texts. */
TOLA_API TOLA_MUST_CHECK tola_status tola_embed(tola_embedder *embedder, const tola_text *texts, size_t count,
                                                float *out, uint32_t *tokens, tola_progress_fn progress, void *user,
                                                tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
