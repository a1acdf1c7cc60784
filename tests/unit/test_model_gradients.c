/* Models of models/ on one batch: PyTorch's loss and gradients for golden checkpoints (make_model_golden.py). */
#include "model_make.h"

#include "base/err.h"
#include "graph/train.h"
#include "models/models.h"

#include <math.h>

enum { MOST_MASTERS = 200, TOKENS = COUNT(golden_ids) };

typedef struct training {
    tola_checkpoint *ck;
    model_description *d;
    model_weights *w;
    graph *g;
    graph_parameter parameters[MOST_MASTERS];
    float *gradients[MOST_MASTERS][8];
} training;

static size_t elements(const graph_weight *w) { return (size_t)(w->parts * w->rows * w->cols); }

static tola_status start(training *t, const char *folder, graph_recompute recompute, tola_error *err) {
    memset(t, 0, sizeof *t);
    TRY(model_open(folder, &t->ck, err));
    TRY(model_describe(t->ck, 0, &t->d, err));
    TRY(model_weights_open(t->ck, t->d, &t->w, err));
    model_weights_learn(t->w, NULL, NULL);
    TRY(graph_create_training(&t->g, err));
    graph_value loss = graph_cross_entropy(t->g, 0, model_append(t->g, t->d, t->w, NULL, 0, false));
    const size_t count = model_master_count(t->w);
    assert_true(count <= MOST_MASTERS);
    for (size_t i = 0; i < count; i++) {
        const graph_weight *w = model_master_at(t->w, i)->weight;
        assert_true(w->parts <= 8);
        t->gradients[i][0] = calloc(elements(w), sizeof(float));
        for (size_t p = 1; p < w->parts; p++) t->gradients[i][p] = t->gradients[i][p - 1] + w->rows * w->cols;
        t->parameters[i] = (graph_parameter){ w, t->gradients[i] };
    }
    graph_differentiate(t->g, t->parameters, count, &loss, 1, recompute);
    return graph_finish(t->g, &loss, 1, err);
}

/* The mean loss over the next tokens; gradients are added up. */
static double run(const training *t) {
    uint32_t positions[TOKENS], targets[TOKENS], outputs[TOKENS];
    float weights[TOKENS];
    tola_error err = TOLA_ERROR_INIT;
    graph_plan *plan;
    pool *threads;
    size_t rows, cols;
    double loss = 0;
    for (uint32_t i = 0; i < TOKENS; i++) {
        positions[i] = outputs[i] = i;
        targets[i] = i + 1 < TOKENS ? golden_ids[i + 1] : 0;
        weights[i] = i + 1 < TOKENS ? 1.0f / (TOKENS - 1) : 0;
    }
    const graph_learn_batch learn = { .targets = targets, .row_weights = weights };
    const graph_batch batch = { .tokens = TOKENS, .ids = golden_ids, .positions = positions, .outputs = outputs,
                                .output_count = TOKENS, .learn = &learn };
    assert_int_equal(pool_create(2, &threads, &err), TOLA_OK);
    assert_int_equal(plan_create_training(t->g, TOKENS, TOKENS, 2, GRAPH_F32, &plan, &err), TOLA_OK);
    if (plan_run(plan, threads, &batch, &err) != TOLA_OK) fail_msg("%s", err.message);
    const float *losses = plan_output(plan, 0, &rows, &cols);
    assert_int_equal(rows, TOKENS);
    for (size_t r = 0; r < rows; r++) loss += (double)losses[r];
    plan_free(plan);
    pool_free(threads);
    return loss;
}

static void stop(training *t) {
    for (size_t i = 0; i < MOST_MASTERS; i++) free(t->gradients[i][0]);
    graph_free(t->g);
    model_weights_free(t->w);
    model_description_free(t->d);
    tola_checkpoint_close(t->ck);
}

/* The gradients take the masters' place, so that they are seen under the names of the checkpoint. */
static void compare(training *t, const golden *g) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *view;
    double whole = 0;
    for (size_t i = 0; i < model_master_count(t->w); i++) {
        const model_master *m = model_master_at(t->w, i);
        memcpy(m->values[0], t->gradients[i][0], elements(m->weight) * sizeof(float));
    }
    for (size_t i = 0; i < g->tensor_count; i++) whole += g->gradients[i][0] * g->gradients[i][0];
    const double floor = 1e-6 * sqrt(whole);
    assert_int_equal(model_weights_view(t->w, TOLA_DTYPE_NONE, &view, &err), TOLA_OK);
    for (size_t i = 0; i < g->tensor_count; i++) {
        const char *name = g->tensors[i].name;
        const size_t at = tola_checkpoint_find(view, name);
        assert_true(at != SIZE_MAX);
        const size_t n = (size_t)tola_checkpoint_tensor(view, at)->elements;
        float *gradient = malloc(n * sizeof *gradient);
        double square = 0, sum = 0;
        assert_int_equal(model_read_f32(view, at, gradient, &err), TOLA_OK);
        for (size_t k = 0; k < n; k++) {
            square += (double)gradient[k] * (double)gradient[k];
            sum += (double)gradient[k] * (double)unit_value(crc32_of(name), k);
        }
        free(gradient);
        const double length = g->gradients[i][0], limit = 1e-4 * length + floor;
        if (fabs(sqrt(square) - length) > limit || fabs(sum - g->gradients[i][1]) > limit)
            fail_msg("%s: gradient of %s: %.7g, %.7g, expected %.7g, %.7g", g->name, name, sqrt(square), sum, length,
                     g->gradients[i][1]);
    }
    tola_checkpoint_close(view);
}

static void test_golden(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(goldens); k++)
        for (int again = 0; again < 2; again++) {
            const golden *g = &goldens[k];
            const char *folder = unit_folder();
            tola_error err = TOLA_ERROR_INIT;
            training t;
            write_model(folder, g->tensors, g->tensor_count, g->config, "config.json");
            if (start(&t, folder, again ? GRAPH_RECOMPUTE_LAYERS : GRAPH_KEEP_ALL, &err) != TOLA_OK)
                fail_msg("%s: %s", g->name, err.message);
            const double loss = run(&t);
            if (fabs(loss - g->loss) > 1e-5) fail_msg("%s: loss %.9g, expected %.9g", g->name, loss, g->loss);
            compare(&t, g);
            stop(&t);
            unit_remove(folder);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
