/* GPTQ and AWQ written and read back in memory. Layouts as such are held against the packages in
 * tests/oracle/logical_oracle.py. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/scheme.h"

enum { ROWS = 96, COLS = 384, MOST = ROWS * COLS };

typedef struct file {
    uint8_t *bytes[SCHEME_MAX_PARTS];
    uint8_t *touched[SCHEME_MAX_PARTS];
    size_t size[SCHEME_MAX_PARTS];
} file;

static tola_status keep(void *user, unsigned part, uint64_t offset, const void *data, size_t bytes, tola_error *err) {
    (void)err;
    file *f = user;
    assert_true(part < SCHEME_MAX_PARTS && offset <= f->size[part] && bytes <= f->size[part] - offset);
    memcpy(f->bytes[part] + offset, data, bytes);
    for (size_t i = 0; i < bytes; i++) assert_int_equal(f->touched[part][offset + i]++, 0);
    return TOLA_OK;
}

static void make_file(const scheme_layout *l, file *f) {
    memset(f, 0, sizeof *f);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) {
        if (l->parts[i].dtype == TOLA_DTYPE_NONE) continue;
        f->size[i] = (size_t)l->parts[i].bytes;
        f->bytes[i] = calloc(1, f->size[i]);
        f->touched[i] = calloc(1, f->size[i]);
    }
}

static void free_file(file *f) {
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) {
        free(f->bytes[i]);
        free(f->touched[i]);
    }
}

static float noise(uint32_t *state) { /* about normal: the sum of uniform numbers */
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        *state = *state * 1664525u + 1013904223u;
        sum += (float)(*state >> 8) / 16777216.0f - 0.5f;
    }
    return sum;
}

static double rmse(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
    return sqrt(sum / (double)n);
}

/* Rounding to the nearest of 2^bits numbers between the group's extremes: what a plain quantizer does. */
static void round_plainly(const float *x, float *y, unsigned bits) {
    float low = x[0], high = x[0];
    for (int i = 1; i < 128; i++) low = fminf(low, x[i]), high = fmaxf(high, x[i]);
    float step = (high - low) / (float)((1 << bits) - 1);
    for (int i = 0; i < 128; i++) y[i] = step > 0 ? low + step * roundf((x[i] - low) / step) : low;
}

static void round_trip(const scheme *s, unsigned bits, bool symmetric, double allowance) {
    static float x[MOST], y[MOST], plain[MOST];
    uint32_t state = 1;
    for (int i = 0; i < MOST; i++) x[i] = noise(&state) * 0.02f;
    for (int i = 0; i < 128; i++) x[128 + i] = fabsf(x[128 + i]) + 0.01f; /* a group of one sign */
    memset(x + 3 * COLS, 0, 128 * sizeof *x);                             /* and one of zeros */
    for (int i = 0; i < MOST; i += 128) round_plainly(x + i, plain + i, bits);
    scheme_layout l = { .params = { .bits = (uint8_t)bits, .group = 128, .grain = SCHEME_PER_GROUP, .symmetric = symmetric },
                        .rows = ROWS, .cols = COLS, .matrices = 1 };
    assert_int_equal(s->plan(&l, NULL), TOLA_OK);
    file f;
    make_file(&l, &f);
    assert_int_equal(s->encode(&l, NULL, x + 32 * COLS, 32, 64, NULL, keep, &f, NULL), TOLA_OK);
    assert_int_equal(s->encode(&l, NULL, x, 0, 32, NULL, keep, &f, NULL), TOLA_OK);
    if (s->finish) assert_int_equal(s->finish(&l, NULL, keep, &f, NULL), TOLA_OK);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++)
        for (size_t k = 0; k < f.size[i]; k++) assert_int_equal(f.touched[i][k], 1);

    scheme_layout read = { .params = { .version = 1 } };
    memcpy(read.parts, l.parts, sizeof l.parts);
    assert_int_equal(s->open(&read, NULL), TOLA_OK);
    assert_int_equal(read.rows, ROWS);
    assert_int_equal(read.cols, COLS);
    assert_int_equal(read.params.bits, bits);
    const void *data[SCHEME_MAX_PARTS];
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) data[i] = f.bytes[i];
    assert_int_equal(s->decode(&read, data, 5, ROWS - 5, y + 5 * COLS, NULL), TOLA_OK);
    assert_int_equal(s->decode(&read, data, 0, 5, y, NULL), TOLA_OK);

    assert_true(rmse(x, y, MOST) <= allowance * rmse(x, plain, MOST));
    for (int i = 0; i < 128; i++) assert_true(y[3 * COLS + i] == 0);
    free_file(&f);
}

static void test_round_trip(void **state) {
    (void)state;
    for (unsigned bits = 2; bits <= 8; bits++) {
        if (bits > 4 && bits < 8) continue;
        round_trip(&scheme_gptq, bits, false, 1.05); /* zero points are whole numbers, scales f16 */
        round_trip(&scheme_gptq, bits, true, 1.35); /* one code fewer on one side, and the group of one sign */
    }
    round_trip(&scheme_awq, 4, false, 1.05);
}

static void test_refused(void **state) {
    (void)state;
    static const uint64_t shapes[][3] = { { 33, 128, 128 }, { 32, 130, 130 }, { 32, 192, 128 }, { 0, 128, 128 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        scheme_layout l = { .params = { .bits = 4, .group = (uint32_t)shapes[i][2] },
                            .rows = shapes[i][0], .cols = shapes[i][1] };
        assert_int_equal(scheme_gptq.plan(&l, NULL), TOLA_E_FORMAT);
        assert_int_equal(scheme_awq.plan(&l, NULL), TOLA_E_FORMAT);
    }
    scheme_layout huge = { .params = { .bits = 4, .group = 128 }, .rows = (uint64_t)1 << 40, .cols = (uint64_t)1 << 40 };
    assert_int_equal(scheme_gptq.plan(&huge, NULL), TOLA_E_LIMIT);
    scheme_layout five = { .params = { .bits = 5, .group = 128 }, .rows = 32, .cols = 128 };
    assert_int_equal(scheme_gptq.plan(&five, NULL), TOLA_E_UNSUPPORTED);
    assert_int_equal(scheme_awq.plan(&five, NULL), TOLA_E_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
