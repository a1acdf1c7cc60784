/* What the files around a model say of pooling and normalizing. */
#ifndef GENERATE_EMBED_MODULES_H
#define GENERATE_EMBED_MODULES_H

#include <tola/embed.h>

typedef struct embed_modules {
    tola_pooling pooling; /* TOLA_POOLING_MODEL: nothing is said */
    bool normalize;
    bool lowercase;       /* texts are lowercased before the tokenizer has them */
    bool without_prompt;  /* the prompt's tokens are left out of the pooling */
    uint32_t context;     /* tokens of a text at most; 0: nothing is said */
    uint32_t width;       /* numbers of a token's vector; 0: nothing is said */
    char *prompt;         /* what stands before every text, of mem_alloc; NULL: nothing */
    char refused[160];    /* why the modules cannot be followed; "" */
} embed_modules;

/* Looks at modules.json, the pooling's config.json, sentence_bert_config.json and config_sentence_transformers.json
 * (sentence-transformers), or at GGUF's pooling_type. `prompt`: the name of one of the folder's prompts, "" for none,
 * NULL for the one that the folder names. TOLA_E_FORMAT for files that are no JSON or say what makes no sense,
 * TOLA_E_ARG for a prompt that is not there. */
tola_status embed_modules_read(const tola_checkpoint *checkpoint, const char *prompt, embed_modules *out,
                               tola_error *err);
void embed_modules_clear(embed_modules *modules);

#endif
