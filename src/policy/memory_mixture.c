/* Bytes of a model in one of llama.cpp's mixtures: the tensors that its shape stands for get the types that the recipe
 * gives them (transform/mixture.h), rows that do not fill blocks included. What is no common matrix (states, latent
 * keys) counts with the mixture's usual bits. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/memory_inside.h"
#include "transform/mixture.h"

enum { MOST_LAYERS = 1024, PER_LAYER = 10 };

typedef struct mix {
    arena a;
    mixture_tensor *tensors;
    uint64_t *parts; /* matrices of that shape: experts */
    size_t count;
    bool failed;
} mix;

static void put(mix *m, const char *name, uint32_t layer, uint64_t parts, uint64_t rows, uint64_t cols) {
    char text[64];
    if (rows == 0 || cols == 0 || parts == 0) return;
    if (layer == UINT32_MAX)
        snprintf(text, sizeof text, "%s.weight", name);
    else
        snprintf(text, sizeof text, "blk.%u.%s.weight", layer, name);
    uint64_t *shape = arena_alloc_array(&m->a, 3, sizeof *shape);
    const char *copy = arena_strndup(&m->a, text, strlen(text));
    if (shape == NULL || copy == NULL) {
        m->failed = true;
        return;
    }
    const bool several = strstr(name, "_exps") != NULL;
    shape[0] = several ? parts : rows;
    shape[1] = several ? rows : cols;
    shape[2] = cols;
    m->tensors[m->count] = (mixture_tensor){ copy, shape, several ? 3 : 2 };
    m->parts[m->count++] = parts * rows * cols;
}

static bool near(uint64_t got, double want) { return want > 0 && (double)got > 0.9 * want && (double)got < 1.1 * want; }

/* The matrices of one layer; returns how many weights they stand for. */
static void put_layer(mix *m, const model_shape *s, const shape_layers *l, uint32_t layer) {
    const uint64_t w = s->width, q = l->heads * l->head_key, k = l->kv_heads * l->head_key,
                   v = l->kv_heads * l->head_value, o = l->heads * l->head_value;
    if (near(l->attention, (double)w * (double)(q + k + v + o))) {
        put(m, "attn_q", layer, 1, q, w);
        put(m, "attn_k", layer, 1, k, w);
        put(m, "attn_v", layer, 1, v, w);
        put(m, "attn_output", layer, 1, w, o);
    }
    const uint64_t ff = l->feed_forward;
    if (l->experts == 0 && near(l->dense, 3.0 * (double)w * (double)ff)) put(m, "ffn_gate", layer, 1, ff, w);
    if (l->experts == 0 &&
        (near(l->dense, 3.0 * (double)w * (double)ff) || near(l->dense, 2.0 * (double)w * (double)ff))) {
        put(m, "ffn_up", layer, 1, ff, w);
        put(m, "ffn_down", layer, 1, w, ff);
    }
    const uint64_t inner = l->experts > 0 && w > 0 ? l->expert / (3 * w) : 0;
    if (inner > 0 && near(l->expert, 3.0 * (double)w * (double)inner)) {
        put(m, "ffn_gate_exps", layer, l->experts, inner, w);
        put(m, "ffn_up_exps", layer, l->experts, inner, w);
        put(m, "ffn_down_exps", layer, l->experts, w, inner);
    }
}

/* Bytes of what is in `m`, and how many weights that is. */
static tola_status add_up(mix *m, const mixture *recipe, const model_shape *s, double *bytes, double *weights,
                          tola_error *err) {
    const shape_layers *first = &s->layers[0];
    const mixture_model model = { "llama",
                                  (uint32_t)s->layer_count,
                                  (uint32_t)first->heads,
                                  (uint32_t)first->kv_heads,
                                  first->experts,
                                  true,
                                  s->output == 0 };
    tola_dtype *types = arena_alloc_array(&m->a, m->count + 1, sizeof *types);
    if (types == NULL || m->failed) return err_nomem(err, "a mixture of types");
    TRY(mixture_choose(recipe, &model, m->tensors, m->count, types, NULL, err));
    for (size_t i = 0; i < m->count; i++) {
        const double n = (double)m->parts[i];
        *bytes += n * (types[i] == TOLA_DTYPE_NONE ? 32 : tola_dtype_bits(types[i])) / 8;
        *weights += n;
    }
    return TOLA_OK;
}

tola_status memory_mixture_bytes(const model_shape *s, const char *name, double usual, double *bytes, tola_error *err) {
    const mixture *recipe = mixture_find(name);
    double norms = 0, weights = 0;
    for (size_t i = 0; i < s->layer_rows; i++) norms += (double)s->layers[i].count * (double)s->layers[i].norms;
    *bytes = 0;
    mix m = { .count = 0 };
    arena_init(&m.a, 64u << 20);
    tola_status status = TOLA_OK;
    if (recipe != NULL && s->language && s->width > 0 && s->layer_rows > 0 && s->layer_count <= MOST_LAYERS &&
        s->from != SHAPE_FROM_COUNT) {
        const size_t most = PER_LAYER * (size_t)s->layer_count + 2;
        m.tensors = arena_alloc_array(&m.a, most, sizeof *m.tensors);
        m.parts = arena_alloc_array(&m.a, most, sizeof *m.parts);
        if (m.tensors == NULL || m.parts == NULL)
            status = err_nomem(err, "a mixture of types");
        else {
            uint32_t layer = 0;
            put(&m, "token_embd", UINT32_MAX, 1, s->embedding / s->width, s->width);
            put(&m, "output", UINT32_MAX, 1, s->output / s->width, s->width);
            for (size_t i = 0; i < s->layer_rows; i++)
                for (uint32_t k = 0; k < s->layers[i].count; k++) put_layer(&m, s, &s->layers[i], layer++);
            status = add_up(&m, recipe, s, bytes, &weights, err);
        }
    }
    arena_free(&m.a);
    if (status != TOLA_OK) return status;
    const double other = (double)s->other, rest = (double)s->parameters - weights - norms - other;
    *bytes += norms * 4 + other * 2 + (rest > 0 ? rest * usual / 8 : 0);
    return TOLA_OK;
}
