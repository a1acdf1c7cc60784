/* The speed of a training step: cmake --build build/release --target bench_train
 *
 *   bench_train [--model gpt2|llama15m|tinyllama] [--batch N] [--tokens N] [--layers N] [--threads N] [--rounds N]
 *               [--precision f32|bf16|fp8] [--recompute 1] [--forward 1] [--lora RANK [--base q4_k]] [--serve 1]
 *
 * Weights and tokens are random. With --lora all matrices are frozen, of type `base` (those of one shape are the same
 * one), and for each but table and output a pair of RANK is learned. A round is one step: forward, backward, AdamW.
 * Printed are the median and the least seconds of a step, tokens a second of the median, the multiplications and
 * additions of its products (attention's, over what is seen, included) a second, and the memory of the plan. With
 * --serve (for bench_train.py) the first line is the operations of a step, and each line of input is answered: "step"
 * by the seconds of one, "peak" by the operations a second of loops of fma on all threads. */
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/pool.h"
#include "codecs/codec.h"
#include "graph/op.h"
#include "kernels/peak/peak.h"
#include "learn/learn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHTS = 512, MOST_ROUNDS = 1001 };

typedef struct shape {
    const char *name;
    uint32_t layers, width, heads, kv_heads, hidden, vocabulary, context;
    bool llama;
} shape;

static const shape shapes[] = {
    { "gpt2", 12, 768, 12, 12, 3072, 50257, 1024, false },
    { "llama15m", 6, 288, 6, 6, 768, 32000, 256, true },
    { "tinyllama", 22, 2048, 32, 4, 5632, 32000, 2048, true },
};

typedef struct settings {
    shape s;
    size_t batch, tokens, rounds;
    unsigned threads;
    uint32_t rank; /* of LoRA; 0: everything is learned */
    tola_dtype base;
    graph_precision precision;
    graph_recompute recompute;
    bool forward, serve;
} settings;

typedef struct net {
    graph *g;
    learn_parameters *p;
    graph_weight w[MOST_WEIGHTS];
    const void *data[MOST_WEIGHTS];
    float *values[MOST_WEIGHTS];
    char names[MOST_WEIGHTS][16];
    size_t count;
    float *all;
    size_t used, room;
} net;

static void fail(const tola_error *err) {
    fprintf(stderr, "%s\n", err->message);
    exit(2);
}

/* Values are filled in when all sizes are known. */
static const graph_weight *weight(net *n, uint64_t rows, uint64_t cols) {
    tola_error err = TOLA_ERROR_INIT;
    const size_t i = n->count++;
    if (i == MOST_WEIGHTS) exit(2);
    n->w[i] = (graph_weight){ n->names[i], &n->data[i], cols * sizeof(float), rows, cols, 1, TOLA_DTYPE_F32 };
    snprintf(n->names[i], sizeof n->names[i], "%zu", i);
    n->room += rows * cols;
    if (learn_parameters_add(n->p, n->names[i], &n->w[i], &n->values[i], NULL, &err) != TOLA_OK) fail(&err);
    return &n->w[i];
}

static void fill(net *n) {
    uint64_t x = 88172645463325252u;
    n->all = mem_alloc_aligned(64, n->room * sizeof *n->all);
    if (!n->all) exit(2);
    for (size_t i = 0; i < n->count; i++) {
        const size_t elements = n->w[i].rows * n->w[i].cols;
        n->data[i] = n->values[i] = n->all + n->used;
        for (size_t k = 0; k < elements; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            n->all[n->used++] = n->w[i].rows == 1 ? 1 : ((float)(x >> 40) / 0x1p24f - 0.5f) * 0.07f;
        }
    }
}

/* A matrix that is not learned. */
static const graph_weight *frozen(tola_dtype dtype, uint64_t rows, uint64_t cols) {
    enum { SHAPES = 16 };
    static graph_weight made[SHAPES];
    static const void *data[SHAPES];
    size_t i = 0;
    while (made[i].rows > 0 && (made[i].rows != rows || made[i].cols != cols || made[i].dtype != dtype)) i++;
    if (i + 1 == SHAPES) exit(2);
    if (made[i].rows > 0) return &made[i];
    const size_t bytes = cols / tola_dtype_block_elements(dtype) * tola_dtype_block_bytes(dtype);
    uint8_t *room = malloc(rows * bytes);
    float *row = malloc(cols * sizeof *row);
    if (!room || !row) exit(2);
    for (uint64_t r = 0; r < rows; r++) {
        for (uint64_t k = 0; k < cols; k++)
            row[k] = (float)((r * cols + k) * 2654435761u % 65536) / 65536 * 0.07f - 0.035f;
        if (codec_convert(TOLA_DTYPE_F32, dtype, row, room + r * bytes, cols, TOLA_OVERFLOW_IEEE, NULL) != TOLA_OK)
            exit(2);
    }
    free(row);
    data[i] = room;
    made[i] = (graph_weight){ "base", &data[i], bytes, rows, cols, 1, dtype };
    return &made[i];
}

static graph_value linear(net *n, const settings *o, uint64_t rows, graph_value x) {
    const uint64_t cols = graph_cols(n->g, x);
    if (o->rank == 0) {
        const graph_weight *w = weight(n, rows, cols);
        return graph_linear(n->g, w, o->s.llama ? NULL : weight(n, 1, rows), x);
    }
    const graph_weight *down = weight(n, o->rank, cols), *up = weight(n, rows, o->rank);
    graph_value change = graph_linear(n->g, up, NULL, graph_linear(n->g, down, NULL, x));
    return graph_add(n->g, graph_linear(n->g, frozen(o->base, rows, cols), NULL, x), graph_scale(n->g, 2, change));
}

static graph_value norm(net *n, const settings *o, graph_value x) {
    const shape *s = &o->s;
    const graph_weight *scale = o->rank > 0 ? frozen(TOLA_DTYPE_F32, 1, s->width) : weight(n, 1, s->width);
    if (s->llama) return graph_rms_norm(n->g, scale, 0, 0, 1e-5f, x);
    return graph_layer_norm(n->g, scale, o->rank > 0 ? scale : weight(n, 1, s->width), 1e-5f, x);
}

static graph_value build(net *n, const settings *o) {
    const shape *s = &o->s;
    static float frequency[512];
    graph *g = n->g;
    const uint32_t dim = s->width / s->heads;
    const graph_attention a = { .heads = s->heads, .kv_heads = s->kv_heads, .key_dim = dim, .value_dim = dim,
                                .scale = 0.125f };
    const graph_rope rope = { frequency, dim, 0, true, 1 };
    for (uint32_t i = 0; i < dim / 2; i++) frequency[i] = 1 / (1 + (float)i);
    const graph_weight *table =
        o->rank > 0 ? frozen(o->base, s->vocabulary, s->width) : weight(n, s->vocabulary, s->width);
    graph_value x = graph_embed(g, table, 1);
    if (!s->llama && o->rank == 0)
        x = graph_add(g, x, graph_embed_position(g, weight(n, s->context, s->width), 0));
    for (uint32_t layer = 0; layer < s->layers; layer++) {
        graph_layer(g, x);
        graph_value y = norm(n, o, x), q = linear(n, o, s->width, y), k = linear(n, o, (uint64_t)dim * s->kv_heads, y);
        graph_value v = linear(n, o, (uint64_t)dim * s->kv_heads, y);
        if (s->llama) q = graph_rotate(g, &rope, dim, q), k = graph_rotate(g, &rope, dim, k);
        x = graph_add(g, x, linear(n, o, s->width, graph_attend(g, &a, q, k, v)));
        y = norm(n, o, x);
        if (s->llama) {
            graph_value gate = linear(n, o, s->hidden, y);
            y = graph_gated(g, GRAPH_SILU, 0, gate, linear(n, o, s->hidden, y));
        } else {
            y = graph_apply(g, GRAPH_GELU_TANH, linear(n, o, s->hidden, y));
        }
        x = graph_add(g, x, linear(n, o, s->width, y));
    }
    graph_layer(g, x);
    return graph_cross_entropy(g, 0, graph_linear(g, table, NULL, norm(n, o, x)));
}

/* Multiplications and additions of a step of so many sequences. */
static double work(const graph *g, size_t batch, size_t tokens) {
    double sum = 0;
    for (uint32_t v = 0; v < g->count; v++) {
        const graph_node *n = &g->nodes[v];
        const graph_attention *a = &n->u.attend.a;
        const double seen = (double)batch * (double)tokens * ((double)tokens + 1) / 2 * a->heads;
        if (n->op == OP_MATMUL || n->op == OP_MATMUL_BACK || n->op == OP_MATMUL_WEIGHT)
            sum += 2 * (double)(batch * tokens) * (double)n->w[0]->rows * (double)n->w[0]->cols;
        if (n->op == OP_SELF_ATTEND) sum += 2 * seen * (a->key_dim + a->value_dim);
        if (n->op == OP_SELF_ATTEND_BACK) sum += 2 * seen * (3 * a->key_dim + 2 * a->value_dim);
    }
    return sum;
}

static int by_size(const void *a, const void *b) {
    const double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

static bool parse(int argc, char **argv, settings *o) {
    *o = (settings){ .s = shapes[0], .batch = 4, .tokens = 64, .rounds = 5, .threads = 1,
                      .base = TOLA_DTYPE_Q4_K };
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        const unsigned long number = strtoul(value, NULL, 10);
        if (strcmp(argv[i], "--model") == 0) {
            size_t k = 0;
            while (k < sizeof shapes / sizeof *shapes && strcmp(shapes[k].name, value) != 0) k++;
            if (k == sizeof shapes / sizeof *shapes) return false;
            o->s = shapes[k];
        } else if (strcmp(argv[i], "--batch") == 0) o->batch = number;
        else if (strcmp(argv[i], "--tokens") == 0) o->tokens = number;
        else if (strcmp(argv[i], "--layers") == 0) o->s.layers = (uint32_t)number;
        else if (strcmp(argv[i], "--threads") == 0) o->threads = (unsigned)number;
        else if (strcmp(argv[i], "--rounds") == 0) o->rounds = number;
        else if (strcmp(argv[i], "--recompute") == 0) o->recompute = number ? GRAPH_RECOMPUTE_LAYERS : GRAPH_KEEP_ALL;
        else if (strcmp(argv[i], "--lora") == 0) o->rank = (uint32_t)number;
        else if (strcmp(argv[i], "--base") == 0) o->base = tola_dtype_parse(value);
        else if (strcmp(argv[i], "--forward") == 0) o->forward = number != 0;
        else if (strcmp(argv[i], "--serve") == 0) o->serve = number != 0;
        else if (strcmp(argv[i], "--precision") == 0)
            o->precision = strcmp(value, "bf16") == 0 ? GRAPH_BF16 : strcmp(value, "fp8") == 0 ? GRAPH_FP8 : GRAPH_F32;
        else return false;
    }
    return argc % 2 == 1 && o->tokens <= o->s.context && o->rounds > 0 && o->rounds <= MOST_ROUNDS;
}

typedef struct run {
    const settings *o;
    net *n;
    graph_plan *plan;
    pool *threads;
    const graph_batch *batch;
    uint64_t steps;
} run;

/* Seconds of a step. */
static double step(run *r) {
    const learn_optimizer optimizer = LEARN_OPTIMIZER_INIT;
    tola_error err = TOLA_ERROR_INIT;
    const double begin = clock_seconds();
    learn_scale_gradients(r->n->p, 0, r->threads);
    if (plan_run(r->plan, r->threads, r->batch, &err) != TOLA_OK) fail(&err);
    if (!r->o->forward) learn_update(&optimizer, r->n->p, r->steps, 1, 1, r->threads);
    r->steps++;
    return clock_seconds() - begin;
}

enum { PEAK_ROUNDS = 200000 };

static tola_status peak_task(void *context, size_t task, unsigned worker, tola_error *err) {
    (void)task, (void)worker, (void)err;
    ((const peak_loop *)context)->run(PEAK_ROUNDS);
    return TOLA_OK;
}

static void serve(run *r) {
    const peak_loop *loop = peak_loop_get(PEAK_F32);
    tola_error err = TOLA_ERROR_INIT;
    char line[16];
    printf("%.0f\n", work(r->n->g, r->o->batch, r->o->tokens));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "peak", 4) == 0) {
            const double begin = clock_seconds();
            if (pool_run(r->threads, r->o->threads, peak_task, (void *)(uintptr_t)loop, &err) != TOLA_OK) fail(&err);
            printf("%.0f\n", loop->operations * PEAK_ROUNDS * r->o->threads / (clock_seconds() - begin));
        } else {
            printf("%.6f\n", step(r));
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    static net n;
    static double seconds[MOST_ROUNDS];
    settings o;
    tola_error err = TOLA_ERROR_INIT;
    const learn_optimizer optimizer = LEARN_OPTIMIZER_INIT;
    const graph_parameter *list;
    graph_plan *plan;
    pool *threads;
    if (!parse(argc, argv, &o)) return 1;
    const size_t rows = o.batch * o.tokens;
    uint32_t *ids = malloc(4 * rows * sizeof *ids), *positions = ids + rows, *first = positions + rows;
    uint32_t *outputs = first + rows;
    float *weights = malloc(rows * sizeof *weights);
    if (!ids || !weights) return 2;
    for (size_t i = 0; i < rows; i++) {
        ids[i] = (uint32_t)(i * 2654435761u) % o.s.vocabulary;
        positions[i] = (uint32_t)(i % o.tokens);
        first[i] = (uint32_t)(i - i % o.tokens);
        outputs[i] = (uint32_t)i;
        weights[i] = 1 / (float)rows;
    }
    if (graph_create_training(&n.g, &err) != TOLA_OK || learn_parameters_create(&n.p, &err) != TOLA_OK) fail(&err);
    graph_value loss = build(&n, &o);
    fill(&n);
    if (learn_parameters_list(n.p, &list, &err) != TOLA_OK) fail(&err);
    graph_differentiate(n.g, list, n.p->count, &loss, 1, o.recompute);
    if (graph_finish(n.g, &loss, 1, &err) != TOLA_OK) fail(&err);
    if (learn_parameters_allocate(n.p, &optimizer, &err) != TOLA_OK) fail(&err);
    if (pool_create(o.threads, &threads, &err) != TOLA_OK) fail(&err);
    if (plan_create_training(n.g, rows, rows, o.threads, o.precision, &plan, &err) != TOLA_OK) fail(&err);
    const graph_learn_batch learn = { .first = first, .targets = ids, .row_weights = weights, .evaluate = o.forward };
    const graph_batch batch = { .tokens = rows, .ids = ids, .positions = positions, .outputs = outputs,
                                .output_count = rows, .learn = &learn };
    run r = { &o, &n, plan, threads, &batch, 0 };
    (void)step(&r); /* touches the memory */
    if (o.serve) {
        serve(&r);
        return 0;
    }
    for (size_t i = 0; i < o.rounds; i++) seconds[i] = step(&r);
    qsort(seconds, o.rounds, sizeof *seconds, by_size);
    const double median = seconds[o.rounds / 2];
    printf("%s %zu x %zu, %u threads: %.4f s (least %.4f), %.1f tokens/s, %.1f GFLOP/s (least time: %.1f), "
           "plan %.1f MiB, %.1f M parameters\n",
           o.s.name, o.batch, o.tokens, o.threads, median, seconds[0], (double)rows / median,
           work(n.g, o.batch, o.tokens) / median / 1e9, work(n.g, o.batch, o.tokens) / seconds[0] / 1e9,
           (double)plan_bytes(plan) / 0x1p20, (double)n.p->elements / 1e6);
    plan_free(plan);
    pool_free(threads);
    learn_parameters_free(n.p);
    graph_free(n.g);
    mem_free(n.all);
    free(ids);
    free(weights);
    return 0;
}
