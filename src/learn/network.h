/* Networks of layers one behind the other, for images and tables: from the lines of a recipe to a training graph with
 * initial weights. Language models are models/' affair (decoder.h). */
#ifndef LEARN_NETWORK_H
#define LEARN_NETWORK_H

#include "base/yaml.h"
#include "learn/learn.h"
#include <tola/json.h>

#define NETWORK_MAX_LAYERS 1000u

typedef struct network network;

typedef enum network_loss { NETWORK_CROSS_ENTROPY, NETWORK_SQUARED_ERROR } network_loss;

typedef struct network_options {
    graph_image image; /* what a row of features is; a table's row: channels 1, height 1 */
    uint32_t outputs;  /* classes, or columns of what is wanted */
    network_loss loss;
    float smoothing; /* of NETWORK_CROSS_ENTROPY */
    uint64_t seed;
} network_options;

/* `layers`: a list of lines, "dense 128", "relu", "conv 16 3 pad 1 stride 2", "pool 2", "norm", "dropout 0.1",
 * "flatten"; a dense layer to the outputs follows by itself. Errors name the line. */
tola_status network_create(const yaml_node *layers, const network_options *o, network **out, tola_error *err);
void network_free(network *n); /* NULL is fine */
/* Takes memory and adds the parameters, with their initial values: those of torch.nn (Linear, Conv2d: uniform within
 * 1 / sqrt(inputs of an output), biases too; LayerNorm: 1 and 0). Names and shapes are those of a torch.nn.Sequential
 * that is called "layers". */
tola_status network_parameters(network *n, learn_parameters *p, tola_error *err);
/* A finished training graph: outputs [0] loss, [1] logits or values. */
tola_status network_build(const network *n, learn_parameters *p, graph_recompute recompute, graph **out,
                          tola_error *err);
/* {"layers": ["dense 128", ...]}: the members of a configuration that say it again. */
void network_describe(const network *n, tola_json *json);
uint64_t network_elements(const network *n); /* of all parameters */

#endif
