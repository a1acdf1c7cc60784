/* Language models to be trained: from a recipe to a configuration, a new model or given weights, and a training graph.
 * The models are those of models/; nothing here knows what a layer is. */
#ifndef LEARN_DECODER_H
#define LEARN_DECODER_H

#include "learn/learn.h"
#include "learn/recipe.h"
#include "models/models.h"

typedef struct decoder {
    tola_checkpoint *checkpoint;
    model_description *description;
    model_weights *weights;
    char *config; /* config.json of a new model; NULL: the model was given */
    size_t config_length;
    unsigned threads; /* for writing; 0: all */
    struct decoder_draw {
        uint64_t seed;
        double deviation;
        double residual; /* what the deviation of matrices that write to the residual stream is multiplied by */
        float norm;      /* value of norms' scales as they are stored */
    } draw;
} decoder;

/* What a new model takes from its tokenizer. */
typedef struct decoder_tokens {
    uint32_t vocabulary;
    uint32_t bos, eos; /* TOLA_NO_TOKEN: none */
} decoder_tokens;

/* `tokens` is not looked at for given weights. */
tola_status decoder_open(const recipe *r, const decoder_tokens *tokens, decoder *out, tola_error *err);
void decoder_close(decoder *d);
/* A master as a parameter under GGUF's name, which is its own where several share a tensor. Biases do not decay, nor,
 * unless asked, tables of embeddings. */
tola_status decoder_add_master(const model_master *m, bool decay_embeddings, learn_parameters *p, tola_error *err);
/* Adds the parameters and builds the graph: outputs are [0] loss, [1] logits; with
 * a teacher [0] and [1] the shares of cross-entropy and of the divergence, [2] logits, [3] cross-entropy. */
tola_status decoder_build(const decoder *d, const recipe *r, learn_parameters *p, graph **out, tola_error *err);
/* A new model as a folder in Hugging Face's layout with these files beside the weights; a given one as it was given,
 * with its own. */
tola_status decoder_write(const decoder *d, const char *folder, const learn_companion *companions, size_t count,
                          tola_error *err);

#endif
