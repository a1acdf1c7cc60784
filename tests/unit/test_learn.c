/* Optimizers and schedules against PyTorch's, bits at any number of threads, moments in 8 bits, checkpoints. */
#include "learn/learn.h"
#include "learn/parameters.h"
#include "learn/state.h"
#include "base/mem.h"
#include "unit.h"

#include <math.h>
#include <sys/stat.h>

#include "learn_golden.h"

/* Weights of our own, as parameters. */
typedef struct some {
    learn_parameters *p;
    graph_weight weights[4];
    float *values[4][3];
    char names[4][16];
    unsigned count;
} some;

static void some_begin(some *s) {
    memset(s, 0, sizeof *s);
    assert_int_equal(learn_parameters_create(&s->p, NULL), TOLA_OK);
}

static learn_parameter *some_add(some *s, uint64_t rows, uint64_t cols, uint32_t parts) {
    unsigned k = s->count++;
    snprintf(s->names[k], sizeof s->names[k], "tensor.%u", k);
    for (uint32_t i = 0; i < parts; i++) {
        s->values[k][i] = malloc(rows * cols * sizeof(float));
        learn_draw(LEARN_NORMAL, 0.5f, 7 + i, s->names[k], 0, rows * cols, s->values[k][i]);
    }
    s->weights[k] = (graph_weight){ .name = s->names[k],
                                    .data = (const void *const *)s->values[k],
                                    .row_bytes = cols * sizeof(float),
                                    .rows = rows,
                                    .cols = cols,
                                    .parts = parts,
                                    .dtype = TOLA_DTYPE_F32 };
    learn_parameter *p;
    assert_int_equal(learn_parameters_add(s->p, s->names[k], &s->weights[k], s->values[k], &p, NULL), TOLA_OK);
    return p;
}

static void some_end(some *s) {
    learn_parameters_free(s->p);
    for (unsigned k = 0; k < 4; k++)
        for (unsigned i = 0; i < 3; i++) free(s->values[k][i]);
}

static void draw_gradients(some *s, uint64_t step) {
    for (unsigned k = 0; k < s->count; k++)
        for (uint32_t i = 0; i < s->weights[k].parts; i++)
            learn_draw(LEARN_NORMAL, 1, 1000 * step + i, s->names[k], 0, s->weights[k].rows * s->weights[k].cols,
                       s->p->items[k].gradients[i]);
}

static void test_methods(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof golden_methods / sizeof golden_methods[0]; m++) {
        some s;
        some_begin(&s);
        some_add(&s, 1, GOLDEN_N, 1);
        learn_parameter *p = &s.p->items[0];
        assert_false(p->decays); /* vectors do not, unless they are told to */
        p->decays = true;
        memcpy(s.values[0][0], golden_start, sizeof golden_start);
        assert_int_equal(learn_parameters_allocate(s.p, &golden_methods[m].optimizer, NULL), TOLA_OK);
        for (uint64_t t = 0; t < GOLDEN_STEPS; t++) {
            for (unsigned i = 0; i < GOLDEN_N; i++) p->gradients[0][i] = golden_gradients[t][i] * 4;
            learn_update(&golden_methods[m].optimizer, s.p, t, 0.25, 1, NULL);
            for (unsigned i = 0; i < GOLDEN_N; i++) {
                float want = golden_methods[m].weights[t][i], got = s.values[0][0][i];
                if (fabsf(got - want) > 2e-6f * fmaxf(1, fabsf(want)))
                    fail_msg("%s, step %d, element %u: %.9g, torch has %.9g", golden_methods[m].name, (int)t, i,
                             (double)got, (double)want);
            }
        }
        some_end(&s);
    }
}

static void test_exclusion_and_rate(void **state) {
    (void)state;
    const learn_optimizer o = { LEARN_ADAMW, 0.1, 0.5, 0.9, 0.999, 1e-8, 0, false, 0 };
    some s;
    some_begin(&s);
    some_add(&s, 2, 2, 1);
    some_add(&s, 1, 4, 1);
    s.p->items[1].rate = 0.5f;
    assert_true(s.p->items[0].decays);
    assert_int_equal(learn_parameters_allocate(s.p, &o, NULL), TOLA_OK);
    float matrix = s.values[0][0][0], vector = s.values[1][0][0];
    learn_update(&o, s.p, 0, 1, 1, NULL); /* gradients are 0: only decay moves anything */
    assert_float_equal(s.values[0][0][0], matrix * 0.95f, 1e-6);
    assert_true(s.values[1][0][0] == vector);
    s.p->items[0].gradients[0][0] = s.p->items[1].gradients[0][0] = 3;
    s.p->items[0].decays = false;
    matrix = s.values[0][0][0];
    learn_update(&o, s.p, 0, 1, 1, NULL); /* Adam's first step is the rate, whatever the gradient */
    assert_float_equal(matrix - s.values[0][0][0], 0.1, 1e-3);
    assert_float_equal(vector - s.values[1][0][0], 0.05, 1e-3);
    some_end(&s);
}

static void test_norm(void **state) {
    (void)state;
    const learn_optimizer o = LEARN_OPTIMIZER_INIT;
    some s;
    some_begin(&s);
    some_add(&s, 1, GOLDEN_N, 1);
    assert_int_equal(learn_parameters_allocate(s.p, &o, NULL), TOLA_OK);
    memcpy(s.p->items[0].gradients[0], golden_gradients[0], sizeof golden_gradients[0]);
    assert_float_equal(learn_gradient_norm(s.p, 1, NULL), golden_norm, 1e-5);
    assert_float_equal(learn_gradient_norm(s.p, 0.5, NULL), golden_norm / 2, 1e-5);
    s.p->items[0].gradients[0][3] = NAN;
    assert_true(isnan(learn_gradient_norm(s.p, 1, NULL)));
    learn_scale_gradients(s.p, 0, NULL);
    assert_true(learn_gradient_norm(s.p, 1, NULL) == 0);
    some_end(&s);
}

static void test_schedules(void **state) {
    (void)state;
    learn_schedule s = { LEARN_LINEAR, 10, 0, 0, 0.1 };
    for (uint64_t t = 0; t < GOLDEN_SPAN; t++) {
        s.kind = LEARN_LINEAR;
        assert_float_equal(learn_schedule_factor(&s, t), golden_linear[t], 1e-9);
        s.kind = LEARN_COSINE;
        assert_float_equal(learn_schedule_factor(&s, t), golden_cosine[t], 1e-9);
    }
    s = (learn_schedule){ LEARN_CONSTANT, 10, 4, 0, 0 };
    assert_float_equal(learn_schedule_factor(&s, 0), 0.25, 0);
    assert_float_equal(learn_schedule_factor(&s, 3), 1, 0);
    assert_float_equal(learn_schedule_factor(&s, 9), 1, 0);
    s = (learn_schedule){ LEARN_WSD, 20, 2, 4, 0.2 };
    assert_float_equal(learn_schedule_factor(&s, 2), 1, 0);
    assert_float_equal(learn_schedule_factor(&s, 16), 1, 0);
    assert_float_equal(learn_schedule_factor(&s, 17), 0.2 + 0.8 * 0.5, 1e-12); /* a quarter of the way: 1 - 1/2 */
    assert_float_equal(learn_schedule_factor(&s, 100), 0.2, 1e-12);
    s = (learn_schedule){ LEARN_COSINE, 4, 4, 0, 0 }; /* warm-up alone */
    assert_float_equal(learn_schedule_factor(&s, 3), 1, 0);
}

/* Many elements, several tensors, parts: one thread and three give the same bits. */
static void run_updates(learn_method method, unsigned threads, float *out, size_t n, double *norm) {
    learn_optimizer o = LEARN_OPTIMIZER_INIT;
    o.method = method;
    o.momentum = 0.9;
    pool *workers;
    some s;
    assert_int_equal(pool_create(threads, &workers, NULL), TOLA_OK);
    some_begin(&s);
    some_add(&s, 300, 501, 1);
    some_add(&s, 1, 77, 1);
    some_add(&s, 130, 999, 3);
    assert_int_equal(learn_parameters_allocate(s.p, &o, NULL), TOLA_OK);
    for (uint64_t t = 0; t < 3; t++) {
        draw_gradients(&s, t);
        *norm = learn_gradient_norm(s.p, 0.5, workers);
        learn_update(&o, s.p, t, 0.5, 1, workers);
    }
    assert_true(n >= 300 * 501 + 77 + 130 * 999);
    memcpy(out, s.values[0][0], 300 * 501 * sizeof *out);
    memcpy(out + 300 * 501, s.values[1][0], 77 * sizeof *out);
    memcpy(out + 300 * 501 + 77, s.values[2][2], 130 * 999 * sizeof *out);
    some_end(&s);
    pool_free(workers);
}

static void test_threads(void **state) {
    (void)state;
    enum { N = 300 * 501 + 77 + 130 * 999 };
    float *one = calloc(N, sizeof *one), *three = calloc(N, sizeof *three);
    for (int m = LEARN_SGD; m <= LEARN_ADAMW8; m++) {
        double norm1, norm3;
        run_updates((learn_method)m, 1, one, N, &norm1);
        run_updates((learn_method)m, 3, three, N, &norm3);
        assert_true(norm1 == norm3);
        assert_memory_equal(one, three, N * sizeof *one);
    }
    free(one);
    free(three);
}

/* A bowl: with 8-bit moments AdamW goes down as with 32-bit ones, and takes a quarter of the memory. */
static double down_the_bowl(learn_method method, uint64_t *bytes) {
    learn_optimizer o = LEARN_OPTIMIZER_INIT;
    o.method = method;
    o.rate = 0.02;
    o.decay = 0;
    some s;
    some_begin(&s);
    some_add(&s, 64, 128, 1);
    *bytes = learn_optimizer_bytes(&o, s.p);
    assert_int_equal(learn_parameters_allocate(s.p, &o, NULL), TOLA_OK);
    float *x = s.values[0][0], *g = s.p->items[0].gradients[0];
    for (uint64_t t = 0; t < 200; t++) { /* f = 1/2 sum a_i x_i^2, a over two decades */
        for (unsigned i = 0; i < 64 * 128; i++) g[i] = powf(10, (float)(i % 5) / 2 - 2) * x[i];
        learn_update(&o, s.p, t, 1, 1, NULL);
    }
    double sum = 0;
    for (unsigned i = 0; i < 64 * 128; i++) sum += (double)x[i] * (double)x[i];
    some_end(&s);
    return sqrt(sum);
}

static void test_eight_bits(void **state) {
    (void)state;
    uint64_t bytes32, bytes8;
    double full = down_the_bowl(LEARN_ADAMW, &bytes32), eight = down_the_bowl(LEARN_ADAMW8, &bytes8);
    assert_true(bytes8 * 3.8 < (double)bytes32);
    if (!(full < 2 && eight < 4)) fail_msg("%g with 32 bits, %g with 8, from 45", full, eight);
}

static void test_draws(void **state) {
    (void)state;
    enum { N = 20000 };
    float *x = malloc(N * sizeof *x), y[7];
    learn_draw(LEARN_NORMAL, 2, 5, "w", 0, N, x);
    double mean = 0, square = 0;
    for (unsigned i = 0; i < N; i++) mean += (double)x[i] / N, square += (double)x[i] * (double)x[i] / N;
    assert_float_equal(mean, 0, 0.06);
    assert_float_equal(square, 4, 0.15);
    learn_draw(LEARN_NORMAL, 2, 5, "w", 100, 7, y); /* any piece of it alone */
    assert_memory_equal(x + 100, y, sizeof y);
    learn_draw(LEARN_NORMAL, 2, 5, "v", 100, 7, y);
    assert_memory_not_equal(x + 100, y, sizeof y);
    learn_draw(LEARN_UNIFORM, 0.25f, 5, "w", 0, N, x);
    float least = 1, most = -1;
    for (unsigned i = 0; i < N; i++) least = fminf(least, x[i]), most = fmaxf(most, x[i]);
    assert_true(least >= -0.25f && least < -0.249f && most <= 0.25f && most > 0.249f);
    free(x);
}

/* ---- checkpoints ---- */

static tola_status write_some(void *user, const char *folder, tola_error *err) {
    const learn_companion about = { "config.json", "{}", 2 };
    return learn_write_parameters(((some *)user)->p, folder, &about, 1, err);
}

static void make_task(some *s, learn_task *task, const learn_fact *facts, size_t count) {
    some_begin(s);
    some_add(s, 80, 64, 1);
    some_add(s, 1, 9, 1);
    some_add(s, 3, 4, 3);
    s->p->items[0].kept = s->p->items[2].kept = true;
    *task =
        (learn_task){ .parameters = s->p, .user = s, .write_model = write_some, .facts = facts, .fact_count = count };
}

static void test_checkpoints(void **state) {
    (void)state;
    const learn_fact facts[] = { { "optimizer.rate", "0.001", false }, { "log.every", "5", true } };
    const learn_fact others[] = { { "optimizer.rate", "0.002", false },
                                  { "log.every", "6", true },
                                  { "model.layers", "3", false } };
    learn_options o = LEARN_OPTIONS_INIT;
    learn_task task;
    some s, back;
    tola_error err = TOLA_ERROR_INIT;
    o.out = unit_here();
    o.optimizer.method = LEARN_ADAMW8;
    make_task(&s, &task, facts, 2);
    assert_int_equal(learn_parameters_allocate(s.p, &o.optimizer, NULL), TOLA_OK);
    char *folder;
    for (uint64_t t = 0; t < 4; t++) {
        draw_gradients(&s, t);
        learn_update(&o.optimizer, s.p, t, 1, 1, NULL);
        run_place at = { .step = t + 1, .tokens = 100 * t, .log_bytes = 5 };
        assert_int_equal(state_save(&task, &o, &at, &folder, &err), TOLA_OK);
        mem_free(folder);
        state_prune(o.out, 2);
    }
    struct stat st;
    assert_int_not_equal(stat(unit_path("checkpoint-2"), &st), 0);
    assert_int_equal(stat(unit_path("checkpoint-3/run.json"), &st), 0);
    /* what a killed run leaves */
    assert_int_equal(mkdir(unit_path("checkpoint-9"), 0777), 0);
    assert_int_equal(mkdir(unit_path(".checkpoint-9.part"), 0777), 0);
    uint64_t step;
    assert_int_equal(learn_last_checkpoint(o.out, &folder, &step, NULL), TOLA_OK);
    assert_int_equal(step, 4);

    make_task(&back, &task, facts, 2);
    for (unsigned k = 0; k < 3; k++) memset(back.values[k][0], 0, 9 * sizeof(float));
    assert_int_equal(learn_parameters_allocate(back.p, &o.optimizer, NULL), TOLA_OK);
    run_place at = { .step = 0 };
    assert_int_equal(state_load(&task, &o, folder, &at, &err), TOLA_OK);
    assert_true(at.step == 4 && at.tokens == 300 && at.log_bytes == 5);
    for (uint64_t t = 4; t < 6; t++) { /* both go on alike */
        draw_gradients(&s, t);
        learn_update(&o.optimizer, s.p, t, 1, 1, NULL);
        draw_gradients(&back, t);
        learn_update(&o.optimizer, back.p, t, 1, 1, NULL);
    }
    assert_memory_equal(s.values[0][0], back.values[0][0], 80 * 64 * sizeof(float));
    assert_memory_equal(s.values[1][0], back.values[1][0], 9 * sizeof(float));
    assert_memory_equal(s.values[2][2], back.values[2][2], 12 * sizeof(float));

    task.facts = others;
    task.fact_count = 3;
    assert_int_equal(state_load(&task, &o, folder, &at, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "optimizer.rate was 0.001, is 0.002; model.layers was not given, is 3"));
    assert_null(strstr(err.message, "log.every"));
    o.other_facts = true;
    assert_int_equal(state_load(&task, &o, folder, &at, &err), TOLA_OK);
    o.optimizer.method = LEARN_SGD; /* without momentum nothing is looked for; with it, its own is missing */
    assert_int_equal(state_load(&task, &o, folder, &at, &err), TOLA_OK);
    o.optimizer.method = LEARN_ADAMW;
    assert_int_equal(state_load(&task, &o, folder, &at, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "moment1.tensor.0"));
    mem_free(folder);

    /* folders without a run are not counted among those that are kept; of a link only the link goes */
    assert_int_equal(rename(unit_path("checkpoint-3"), unit_path("elsewhere")), 0);
    assert_int_equal(symlink("elsewhere", unit_path("checkpoint-3")), 0);
    state_prune(o.out, 1);
    assert_int_equal(stat(unit_path("checkpoint-4/run.json"), &st), 0);
    assert_int_not_equal(lstat(unit_path("checkpoint-3"), &st), 0);
    assert_int_not_equal(lstat(unit_path(".checkpoint-3.part"), &st), 0);
    assert_int_equal(stat(unit_path("elsewhere/run.json"), &st), 0);

    /* a disk that is full in a checkpoint: the one before stays, nothing half is seen */
    o.optimizer.method = LEARN_ADAMW8;
    for (uint64_t n = 0;; n++) {
        run_place next = { .step = 5 };
        fault_arm(FAULT_WRITE, n, false);
        tola_status status = state_save(&task, &o, &next, &folder, &err);
        fault_disarm();
        if (status == TOLA_OK) break;
        assert_int_equal(status, TOLA_E_IO);
        assert_int_equal(learn_last_checkpoint(o.out, &folder, &step, NULL), TOLA_OK);
        assert_int_equal(step, 4);
        assert_int_not_equal(stat(unit_path(".checkpoint-5.part"), &st), 0);
        mem_free(folder);
    }
    mem_free(folder);
    some_end(&s);
    some_end(&back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods), cmocka_unit_test(test_exclusion_and_rate),
        cmocka_unit_test(test_norm),    cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_eight_bits),
        cmocka_unit_test(test_draws),   cmocka_unit_test_setup_teardown(test_checkpoints, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
