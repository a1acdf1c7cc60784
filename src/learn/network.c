/* Layers one behind the other. A line of a recipe is checked against the shape that reaches it, so that what does not
 * fit is told with its line before anything is built. */
#include "learn/network.h"

#include "base/err.h"
#include "base/text.h"
#include <tola/json.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS (1u << 24)

typedef enum layer_kind {
    LAYER_DENSE,
    LAYER_CONV,
    LAYER_POOL,
    LAYER_APPLY,
    LAYER_NORM,
    LAYER_DROPOUT,
    LAYER_FLATTEN
} layer_kind;

typedef struct layer {
    layer_kind kind;
    graph_image in, out;        /* a vector of n: 1 x 1 x n */
    uint32_t size, stride, pad; /* conv, pool */
    float p;                    /* dropout */
    graph_function function;
    graph_weight weight, bias; /* rows 0: none */
    float *values[2];          /* what they point to */
    char names[2][40];
    uint64_t shape[4]; /* of a convolution's weight in files */
} layer;

struct network {
    network_options o;
    layer *layers;
    uint32_t count;
    float *memory;
    uint64_t elements;
};

static uint64_t columns(const graph_image *i) { return (uint64_t)i->channels * i->height * i->width; }
static graph_image vector_of(uint32_t n) { return (graph_image){ 1, 1, n }; }

/* ---- lines ---- */

typedef struct words {
    const yaml_node *node;
    char text[16][24];
    unsigned count, at;
    tola_error *err;
} words;

static tola_status split(words *w, const yaml_node *node, tola_error *err) {
    const char *line;
    *w = (words){ .node = node, .err = err };
    TRY(yaml_string(node, &line, err));
    while (*line) {
        size_t n = strcspn(line, " ,x");
        /* "3x3" is two numbers, "max" is a word */
        if (n && !(line[0] >= '0' && line[0] <= '9')) n = strcspn(line, " ,");
        if (n >= sizeof w->text[0] || w->count == 16)
            return yaml_error(node, err, "a layer of more words than any has");
        if (n) {
            memcpy(w->text[w->count], line, n);
            w->text[w->count++][n] = '\0';
        }
        line += n;
        line += *line != '\0';
    }
    if (w->count == 0) return yaml_error(node, err, "a layer without a name");
    w->at = 1;
    return TOLA_OK;
}

static tola_status number(words *w, const char *what, uint32_t low, uint32_t high, uint32_t *out) {
    char *end = NULL;
    unsigned long v = w->at < w->count && w->text[w->at][0] >= '0' && w->text[w->at][0] <= '9'
                          ? strtoul(w->text[w->at], &end, 10)
                          : 0;
    if (!end || *end != '\0' || v < low || v > high)
        return yaml_error(w->node, w->err, "'%s' wants %s, a whole number from %u to %u%s%s", w->text[0], what, low,
                          high, w->at < w->count ? ", not " : "", w->at < w->count ? w->text[w->at] : "");
    w->at++;
    *out = (uint32_t)v;
    return TOLA_OK;
}

static bool next_is(words *w, const char *word) {
    if (w->at >= w->count || strcmp(w->text[w->at], word) != 0) return false;
    w->at++;
    return true;
}

static bool next_is_number(const words *w) {
    return w->at < w->count && w->text[w->at][0] >= '0' && w->text[w->at][0] <= '9';
}

/* ---- one layer ---- */

static const struct {
    const char *name;
    graph_function function;
} functions[] = { { "relu", GRAPH_RELU },  { "gelu", GRAPH_GELU }, { "gelu_tanh", GRAPH_GELU_TANH },
                  { "silu", GRAPH_SILU },  { "tanh", GRAPH_TANH }, { "sigmoid", GRAPH_SIGMOID },
                  { "relu2", GRAPH_RELU2 } };
static const char *const others[] = { "dense", "conv", "pool", "norm", "dropout", "flatten" };

static tola_status windows(words *w, layer *l, uint32_t filters) {
    const graph_image *in = &l->in;
    uint64_t height = (uint64_t)in->height + 2 * l->pad, width = (uint64_t)in->width + 2 * l->pad;
    if (height < l->size || width < l->size)
        return yaml_error(w->node, w->err, "a window of %u x %u does not fit into an image of %u x %u", l->size,
                          l->size, in->height, in->width);
    l->out = (graph_image){ filters, (uint32_t)((height - l->size) / l->stride + 1),
                            (uint32_t)((width - l->size) / l->stride + 1) };
    return TOLA_OK;
}

static tola_status parse_conv(words *w, layer *l) {
    uint32_t filters, again;
    TRY(number(w, "filters", 1, 1u << 16, &filters));
    TRY(number(w, "the size of its window", 1, 1024, &l->size));
    if (next_is_number(w)) {
        TRY(number(w, "the size of its window", 1, 1024, &again));
        if (again != l->size) return yaml_error(w->node, w->err, "windows are square, not %u x %u", l->size, again);
    }
    l->stride = 1;
    while (w->at < w->count) {
        if (next_is(w, "pad"))
            TRY(number(w, "zeros around", 0, 1024, &l->pad));
        else if (next_is(w, "stride"))
            TRY(number(w, "a stride", 1, 1024, &l->stride));
        else
            break;
    }
    return windows(w, l, filters);
}

static tola_status parse_layer(words *w, layer *l) {
    const char *name = w->text[0];
    l->out = l->in;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (strcmp(name, functions[i].name) != 0) continue;
        l->kind = LAYER_APPLY;
        l->function = functions[i].function;
        return TOLA_OK;
    }
    if (strcmp(name, "dense") == 0) {
        uint32_t n;
        l->kind = LAYER_DENSE;
        TRY(number(w, "how many outputs", 1, MAX_COLUMNS, &n));
        l->out = vector_of(n);
        return TOLA_OK;
    }
    if (strcmp(name, "conv") == 0) {
        l->kind = LAYER_CONV;
        return parse_conv(w, l);
    }
    if (strcmp(name, "pool") == 0) {
        l->kind = LAYER_POOL;
        TRY(number(w, "the size of its window", 1, 1024, &l->size));
        l->stride = l->size;
        return windows(w, l, l->in.channels);
    }
    if (strcmp(name, "norm") == 0) {
        l->kind = LAYER_NORM;
        return TOLA_OK;
    }
    if (strcmp(name, "flatten") == 0) {
        l->kind = LAYER_FLATTEN;
        l->out = vector_of((uint32_t)columns(&l->in));
        return TOLA_OK;
    }
    if (strcmp(name, "dropout") == 0) {
        char *end = w->text[1];
        l->kind = LAYER_DROPOUT;
        double p = w->count > 1 ? strtod(w->text[1], &end) : -1;
        if (end == w->text[1] || *end || !(p >= 0 && p < 1))
            return yaml_error(w->node, w->err, "'dropout' wants a share from 0 to below 1");
        l->p = (float)p;
        w->at = 2;
        return TOLA_OK;
    }
    tola_nearest nearest;
    tola_nearest_init(&nearest, name);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) tola_nearest_try(&nearest, functions[i].name);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) tola_nearest_try(&nearest, others[i]);
    const char *best = nearest.best;
    return yaml_error(w->node, w->err, "no layer is called '%s'%s%s%s", name, best ? "; did you mean '" : "",
                      best ? best : "", best ? "'?" : "");
}

static void needs(layer *l, uint32_t place) {
    graph_weight w = { .parts = 1, .dtype = TOLA_DTYPE_F32 }, b = w;
    if (l->kind == LAYER_DENSE) {
        w.rows = columns(&l->out);
        w.cols = columns(&l->in);
    } else if (l->kind == LAYER_CONV) {
        w.rows = l->out.channels;
        w.cols = (uint64_t)l->in.channels * l->size * l->size;
        memcpy(l->shape, (uint64_t[]){ w.rows, l->in.channels, l->size, l->size }, sizeof l->shape);
    } else if (l->kind == LAYER_NORM) {
        w.rows = 1;
        w.cols = columns(&l->in);
    } else {
        return;
    }
    b.rows = 1;
    b.cols = l->kind == LAYER_NORM ? w.cols : w.rows;
    w.row_bytes = (size_t)w.cols * sizeof(float);
    b.row_bytes = (size_t)b.cols * sizeof(float);
    snprintf(l->names[0], sizeof l->names[0], "layers.%u.weight", place);
    snprintf(l->names[1], sizeof l->names[1], "layers.%u.bias", place);
    w.name = l->names[0];
    b.name = l->names[1];
    w.data = (const void *const *)&l->values[0];
    b.data = (const void *const *)&l->values[1];
    l->weight = w;
    l->bias = b;
}

/* ---- the whole ---- */

static tola_status add_layer(network *n, const yaml_node *node, graph_image *shape, tola_error *err) {
    layer *l = &n->layers[n->count];
    l->in = *shape;
    if (node) {
        words w;
        TRY(split(&w, node, err));
        TRY(parse_layer(&w, l));
        if (w.at < w.count) return yaml_error(node, err, "'%s' takes no '%s'", w.text[0], w.text[w.at]);
        if (columns(&l->out) > MAX_COLUMNS)
            return yaml_error(node, err, "its output has more than %u columns", MAX_COLUMNS);
    } else {
        l->kind = LAYER_DENSE;
        l->out = vector_of(n->o.outputs);
    }
    needs(l, n->count++);
    *shape = l->out;
    return TOLA_OK;
}

static tola_status take_memory(network *n, tola_error *err) {
    if (n->elements > SIZE_MAX / 8) return err_nomem(err, "the network");
    n->memory = mem_alloc_aligned(64, (size_t)n->elements * sizeof(float) + 64);
    if (!n->memory) return err_nomem(err, "the network");
    float *at = n->memory;
    for (uint32_t i = 0; i < n->count; i++) {
        layer *l = &n->layers[i];
        l->values[0] = at;
        l->values[1] = at + l->weight.rows * l->weight.cols;
        at = l->values[1] + l->bias.cols;
    }
    return TOLA_OK;
}

static tola_status fill(network *n, const yaml_node *layers, tola_error *err) {
    graph_image shape = n->o.image;
    uint32_t given = layers ? (uint32_t)layers->count : 0;
    n->layers = mem_calloc((size_t)given + 1, sizeof *n->layers);
    if (!n->layers) return err_nomem(err, "the network");
    for (uint32_t i = 0; i < given; i++) TRY(add_layer(n, layers->items[i], &shape, err));
    TRY(add_layer(n, NULL, &shape, err));
    for (uint32_t i = 0; i < n->count; i++)
        n->elements += n->layers[i].weight.rows * n->layers[i].weight.cols + n->layers[i].bias.cols;
    return TOLA_OK;
}

tola_status network_create(const yaml_node *layers, const network_options *o, network **out, tola_error *err) {
    if (layers) TRY(yaml_expect(layers, YAML_LIST, err));
    if (layers && layers->count > NETWORK_MAX_LAYERS)
        return yaml_error(layers, err, "%zu layers, at most %u", layers->count, NETWORK_MAX_LAYERS);
    network *n = mem_calloc(1, sizeof *n);
    if (!n) return err_nomem(err, "the network");
    n->o = *o;
    tola_status status = fill(n, layers, err);
    if (status != TOLA_OK) {
        network_free(n);
        return status;
    }
    *out = n;
    return TOLA_OK;
}

void network_free(network *n) {
    if (!n) return;
    mem_free(n->memory);
    mem_free(n->layers);
    mem_free(n);
}

uint64_t network_elements(const network *n) { return n->elements; }

tola_status network_parameters(network *n, learn_parameters *p, tola_error *err) {
    TRY(take_memory(n, err));
    for (uint32_t i = 0; i < n->count; i++) {
        layer *l = &n->layers[i];
        learn_parameter *added;
        if (l->weight.rows == 0) continue;
        bool is_norm = l->kind == LAYER_NORM;
        float range = 1 / sqrtf((float)l->weight.cols);
        learn_draw(is_norm ? LEARN_ONES : LEARN_UNIFORM, range, n->o.seed, l->names[0], 0,
                   (size_t)(l->weight.rows * l->weight.cols), l->values[0]);
        learn_draw(is_norm ? LEARN_ZEROS : LEARN_UNIFORM, range, n->o.seed, l->names[1], 0, (size_t)l->bias.cols,
                   l->values[1]);
        TRY(learn_parameters_add(p, l->names[0], &l->weight, &l->values[0], &added, err));
        added->kept = true;
        if (l->kind == LAYER_DENSE) added->decays = true; /* one output: a matrix nevertheless */
        if (l->kind == LAYER_CONV) {
            added->shape = l->shape;
            added->n_dims = 4;
        }
        TRY(learn_parameters_add(p, l->names[1], &l->bias, &l->values[1], &added, err));
        added->kept = true;
    }
    return TOLA_OK;
}

static graph_value append(graph *g, const layer *l, graph_value x) {
    switch (l->kind) {
    case LAYER_DENSE: return graph_linear(g, &l->weight, &l->bias, x);
    case LAYER_CONV: return graph_convolve(g, &l->in, l->size, l->stride, l->pad, &l->weight, &l->bias, x);
    case LAYER_POOL: return graph_pool_max(g, &l->in, l->size, x);
    case LAYER_NORM: return graph_layer_norm(g, &l->weight, &l->bias, 1e-5f, x);
    case LAYER_APPLY: return graph_apply(g, l->function, x);
    case LAYER_DROPOUT: return l->p > 0 ? graph_dropout(g, l->p, x) : x;
    default: return x;
    }
}

tola_status network_build(const network *n, learn_parameters *p, graph_recompute recompute, graph **out,
                          tola_error *err) {
    graph *g;
    const graph_parameter *list;
    TRY(learn_parameters_list(p, &list, err));
    TRY(graph_create_training(&g, err));
    graph_value x = graph_input(g, (uint32_t)columns(&n->o.image));
    for (uint32_t i = 0; i < n->count && !graph_failed(g); i++) {
        graph_layer(g, x);
        x = append(g, &n->layers[i], x);
    }
    x = graph_output_rows(g, x);
    graph_value loss =
        n->o.loss == NETWORK_SQUARED_ERROR ? graph_squared_error(g, x) : graph_cross_entropy(g, n->o.smoothing, x);
    graph_differentiate(g, list, p->count, &loss, 1, recompute);
    const graph_value outputs[] = { loss, x };
    tola_status status = graph_finish(g, outputs, 2, err);
    if (status == TOLA_OK)
        *out = g;
    else
        graph_free(g);
    return status;
}

void network_describe(const network *n, tola_json *json) {
    char text[96];
    tola_json_key(json, "layers");
    tola_json_begin_array(json);
    for (uint32_t i = 0; i < n->count; i++) {
        const layer *l = &n->layers[i];
        switch (l->kind) {
        case LAYER_DENSE: snprintf(text, sizeof text, "dense %llu", (unsigned long long)columns(&l->out)); break;
        case LAYER_CONV:
            snprintf(text, sizeof text, "conv %u %u pad %u stride %u", l->out.channels, l->size, l->pad, l->stride);
            break;
        case LAYER_POOL: snprintf(text, sizeof text, "pool %u", l->size); break;
        case LAYER_NORM: snprintf(text, sizeof text, "norm"); break;
        case LAYER_DROPOUT: snprintf(text, sizeof text, "dropout %g", (double)l->p); break;
        case LAYER_FLATTEN: snprintf(text, sizeof text, "flatten"); break;
        case LAYER_APPLY:
            for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++)
                if (functions[k].function == l->function) snprintf(text, sizeof text, "%s", functions[k].name);
            break;
        }
        tola_json_string(json, text);
    }
    tola_json_end_array(json);
}
