/* What the files around a model say of pooling and normalizing. */
#ifndef GENERATE_EMBED_MODULES_H
#define GENERATE_EMBED_MODULES_H

#include <tola/embed.h>

typedef struct embed_modules {
    tola_pooling pooling; /* TOLA_POOLING_MODEL: nothing is said */
    bool normalize;
    uint32_t context;     /* tokens of a text at most; 0: nothing is said */
    char refused[160];    /* why the modules cannot be followed; "" */
} embed_modules;

/* Looks at modules.json, the pooling's config.json and sentence_bert_config.json (sentence-transformers), or at GGUF's
 * pooling_type. TOLA_E_FORMAT for files that are no JSON. */
tola_status embed_modules_read(const tola_checkpoint *checkpoint, embed_modules *out, tola_error *err);

#endif
