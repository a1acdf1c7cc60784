/* Sharing out bytes: never over the bound, the least error there is where all choices can be tried, the same choice for
 * the same candidates in any order. */
#include "transform/allocate.h"

#include "base/mem.h"
#include "unit.h"

#include <math.h>

#define MOST 8

static uint64_t state = 1;

static uint64_t draw(uint64_t below) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * UINT64_C(2685821657736338717) >> 33) % below;
}

typedef struct sums {
    uint64_t bytes;
    double error;
} sums;

static sums sum_of(const allocate_tensor *tensors, size_t count, const size_t *choice) {
    sums s = { 0, 0 };
    for (size_t i = 0; i < count; i++) {
        assert_true(choice[i] < tensors[i].count);
        s.bytes += tensors[i].candidates[choice[i]].bytes;
        s.error += tensors[i].candidates[choice[i]].error;
    }
    return s;
}

/* The least error by trying everything; infinity where nothing fits. */
static double least(const allocate_tensor *tensors, size_t count, uint64_t max_bytes) {
    size_t choice[MOST] = { 0 };
    double best = INFINITY;
    for (;;) {
        sums s = sum_of(tensors, count, choice);
        if (s.bytes <= max_bytes && s.error < best) best = s.error;
        size_t i = 0;
        while (i < count && ++choice[i] == tensors[i].count) choice[i++] = 0;
        if (i == count) return best;
    }
}

/* Errors are whole numbers, so that sums are exact in any order. `kind` 0: anything; 1: fall as types' errors do;
 * 2: many ties. */
static void fill(allocate_candidate *c, size_t n, unsigned kind) {
    uint64_t size = 1 + draw(kind == 2 ? 3 : 1000), scale = 1 + draw(1000);
    for (size_t k = 0; k < n; k++) {
        uint64_t bits = 1 + draw(16);
        c[k].type = TOLA_DTYPE_F32;
        c[k].bytes = kind == 1 ? size * bits : draw(kind == 2 ? 4 : 1000);
        c[k].error = kind == 1 ? floor((double)(scale * 1000) / (double)(1u << bits))
                               : (double)draw(kind == 2 ? 3 : 1000);
    }
}

static void least_error(void **unused) {
    (void)unused;
    for (unsigned round = 0; round < 3000; round++) {
        allocate_candidate candidates[MOST][MOST];
        allocate_tensor tensors[MOST];
        size_t count = 1 + draw(6), choice[MOST], again[MOST];
        uint64_t most = 0;
        for (size_t i = 0; i < count; i++) {
            tensors[i] = (allocate_tensor){ candidates[i], 1 + draw(5) };
            fill(candidates[i], tensors[i].count, round % 3);
            uint64_t largest = 0;
            for (size_t k = 0; k < tensors[i].count; k++)
                if (candidates[i][k].bytes > largest) largest = candidates[i][k].bytes;
            most += largest;
        }
        uint64_t max_bytes = draw(most + 2);
        double expected = least(tensors, count, max_bytes);
        tola_error err = TOLA_ERROR_INIT;
        tola_status status = allocate_choose(tensors, count, max_bytes, choice, &err);
        if (isinf(expected)) {
            assert_int_equal(status, TOLA_E_LIMIT);
            continue;
        }
        assert_int_equal(status, TOLA_OK);
        sums s = sum_of(tensors, count, choice);
        assert_true(s.bytes <= max_bytes);
        if (s.error != expected) fail_msg("round %u: %g where %g is possible", round, s.error, expected);
        assert_int_equal(allocate_choose(tensors, count, max_bytes, again, &err), TOLA_OK);
        assert_memory_equal(choice, again, count * sizeof *choice);
    }
}

/* A model of 300 tensors: within the bound, and no further from the relaxation's bound than one tensor's step. */
static void many(void **unused) {
    (void)unused;
    enum { COUNT = 300, TYPES = 12 };
    static allocate_candidate candidates[COUNT][TYPES];
    static allocate_tensor tensors[COUNT];
    static size_t choice[COUNT];
    uint64_t elements = 0;
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t n = (1 + draw(50)) * 4096;
        double scale = exp((double)draw(1000) / 150.0);
        elements += n;
        for (size_t k = 0; k < TYPES; k++) {
            double bits = 2.0 + 0.5 * (double)k;
            candidates[i][k] = (allocate_candidate){ TOLA_DTYPE_F32, (uint64_t)((double)n * bits / 8),
                                                     (double)n * scale * exp2(-2 * bits) };
        }
        tensors[i] = (allocate_tensor){ candidates[i], TYPES };
    }
    double before = INFINITY;
    for (double bits = 2.0; bits < 8; bits += 0.37) {
        uint64_t max_bytes = (uint64_t)((double)elements * bits / 8);
        assert_int_equal(allocate_choose(tensors, COUNT, max_bytes, choice, NULL), TOLA_OK);
        sums s = sum_of(tensors, COUNT, choice);
        assert_true(s.bytes <= max_bytes && s.error <= before);
        if (bits < 7.5) assert_true(max_bytes - s.bytes < 4096 / 16); /* no room for the smallest step */
        before = s.error;
    }
}

static void edges(void **unused) {
    (void)unused;
    const allocate_candidate two[2] = { { TOLA_DTYPE_Q4_K, 10, 1 }, { TOLA_DTYPE_Q4_K, 10, 1 } };
    const allocate_candidate bad[3] = { { TOLA_DTYPE_Q4_K, 10, NAN }, { TOLA_DTYPE_Q4_K, 10, -1 },
                                        { TOLA_DTYPE_Q4_K, 10, INFINITY } };
    const allocate_candidate huge[1] = { { TOLA_DTYPE_Q4_K, UINT64_MAX, 1 } };
    const allocate_candidate nothing[1] = { { TOLA_DTYPE_Q4_K, 0, 0 } };
    size_t choice[2] = { 7, 7 };
    tola_error err = TOLA_ERROR_INIT;
    allocate_tensor t[2] = { { two, 2 }, { nothing, 1 } };
    assert_int_equal(allocate_choose(t, 2, 10, choice, &err), TOLA_OK);
    assert_true(choice[0] == 0 && choice[1] == 0); /* the first of equals */
    assert_int_equal(allocate_choose(t, 2, 9, choice, &err), TOLA_E_LIMIT);
    assert_non_null(strstr(err.message, "10 bytes"));
    assert_int_equal(allocate_choose(NULL, 0, 0, choice, &err), TOLA_OK);
    for (size_t i = 0; i < 3; i++) {
        t[1] = (allocate_tensor){ &bad[i], 1 };
        assert_int_equal(allocate_choose(t, 2, 100, choice, &err), TOLA_E_ARG);
    }
    t[1] = (allocate_tensor){ NULL, 0 };
    assert_int_equal(allocate_choose(t, 2, 100, choice, &err), TOLA_E_ARG);
    t[1] = (allocate_tensor){ huge, 1 };
    assert_int_equal(allocate_choose(t, 2, UINT64_MAX, choice, &err), TOLA_E_LIMIT);
    assert_int_equal(allocate_choose(t + 1, 1, UINT64_MAX, choice, &err), TOLA_OK);

    const allocate_candidate steps[2] = { { TOLA_DTYPE_Q4_K, 1, 1 }, { TOLA_DTYPE_Q8_0, 3, 0 } };
    t[0] = t[1] = (allocate_tensor){ steps, 2 };
    for (uint64_t n = 0;; n++) {
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = allocate_choose(t, 2, 4, choice, &err);
        fault_disarm();
        if (status == TOLA_OK) break;
        assert_int_equal(status, TOLA_E_NOMEM);
    }
    assert_int_equal(choice[0] + choice[1], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_error),
        cmocka_unit_test(many),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
