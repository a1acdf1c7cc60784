/* Schemes: what is written is read back, by the parts alone; parts that contradict each other are refused. */
#include "unit.h"

#include <math.h>

#include <zlib.h>

#include "base/json.h"
#include "codecs/scheme.h"
#include "scheme_golden.h"

/* ---- writing a matrix into memory and reading it ---- */

typedef struct matrix {
    const scheme *s;
    scheme_layout layout; /* as planned */
    uint8_t *parts[SCHEME_MAX_PARTS];
    uint64_t written[SCHEME_MAX_PARTS];
    float *x;
} matrix;

static uint64_t seed = 1;

static float bell(void) {
    float sum = 0;
    for (int k = 0; k < 12; k++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(seed >> 40) / 16777216.0f;
    }
    return sum - 6;
}

static tola_status take(void *user, unsigned part, uint64_t offset, const void *data, size_t bytes, tola_error *err) {
    matrix *m = user;
    (void)err;
    assert_true(part < SCHEME_MAX_PARTS && m->parts[part]);
    assert_true(offset <= m->layout.parts[part].bytes && bytes <= m->layout.parts[part].bytes - offset);
    if (bytes) memcpy(m->parts[part] + offset, data, bytes);
    m->written[part] += bytes;
    return TOLA_OK;
}

static tola_status plan(matrix *m, const char *type, uint64_t rows, uint64_t cols) {
    m->s = scheme_for_type(type, &m->layout.params);
    assert_non_null(m->s);
    m->layout.rows = rows;
    m->layout.cols = cols;
    return m->s->plan(&m->layout, NULL);
}

/* Encodes m->x in `pieces` pieces, the last first. */
static void encode(matrix *m, uint64_t pieces, const float *importance) {
    scheme_layout *l = &m->layout;
    tola_error err = TOLA_ERROR_INIT;
    void *state = calloc(1, m->s->state_bytes(l) + 1);
    uint64_t units = (l->rows + l->row_unit - 1) / l->row_unit, step = (units + pieces - 1) / pieces * l->row_unit;
    if (step == 0) step = 1;
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++)
        if (l->parts[i].dtype != TOLA_DTYPE_NONE) m->parts[i] = calloc(1, (size_t)l->parts[i].bytes + 1);
    for (uint64_t r = 0; l->two_passes && r < l->rows; r += step) {
        uint64_t n = l->rows - r < step ? l->rows - r : step;
        assert_int_equal(m->s->measure(l, state, m->x + r * l->cols, r, n, &err), TOLA_OK);
    }
    for (uint64_t end = l->rows; end > 0;) {
        uint64_t r = (end - 1) / step * step;
        assert_int_equal(m->s->encode(l, state, m->x + r * l->cols, r, end - r, importance, take, m, &err), TOLA_OK);
        end = r;
    }
    if (m->s->finish) assert_int_equal(m->s->finish(l, state, take, m, &err), TOLA_OK);
    free(state);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++)
        if (m->parts[i]) assert_int_equal(m->written[i], l->parts[i].bytes);
}

static scheme_layout bare_parts(const matrix *m) {
    scheme_layout l = { .matrices = 1, .row_unit = 1 };
    memcpy(l.parts, m->layout.parts, sizeof l.parts);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++)
        if (m->s->small_parts >> i & 1) l.small[i] = m->parts[i];
    return l;
}

static void decode(const matrix *m, scheme_layout *l, float *y) {
    tola_error err = TOLA_ERROR_INIT;
    const void *data[SCHEME_MAX_PARTS];
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) data[i] = m->parts[i];
    assert_int_equal(m->s->open(l, &err), TOLA_OK);
    assert_int_equal(l->rows, m->layout.rows);
    assert_int_equal(l->cols, m->layout.cols);
    for (uint64_t r = 0; r < l->rows; r += 5) {
        uint64_t n = l->rows - r < 5 ? l->rows - r : 5;
        assert_int_equal(m->s->decode(l, data, r, n, y + r * l->cols, &err), TOLA_OK);
    }
}

static void dispose(matrix *m) {
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) free(m->parts[i]);
    free(m->x);
    memset(m, 0, sizeof *m);
}

static void fill(matrix *m) {
    size_t n = (size_t)(m->layout.rows * m->layout.cols);
    m->x = malloc(n * sizeof *m->x + 1);
    for (size_t i = 0; i < n; i++) m->x[i] = bell() * 0.02f;
}

static double relative_error(const float *x, const float *y, size_t n) {
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        power += (double)x[i] * (double)x[i];
    }
    return power > 0 ? error / power : error;
}

/* The same bytes in one piece and in many; the error of a normal distribution is near what theory says of `bits`. */
static void round_trip(const char *type, scheme_params change, uint64_t rows, uint64_t cols, double most) {
    matrix one = { 0 }, many = { 0 };
    matrix *both[2] = { &one, &many };
    for (int i = 0; i < 2; i++) {
        matrix *m = both[i];
        m->s = scheme_for_type(type, &m->layout.params);
        scheme_params *p = &m->layout.params;
        if (change.grain) p->grain = change.grain;
        if (change.group) p->group = change.group;
        if (change.block_rows) p->block_rows = p->block_cols = change.block_rows;
        if (change.scale) p->scale = change.scale;
        if (change.version) p->symmetric = false;
        p->double_quant = change.double_quant;
        m->layout.rows = rows;
        m->layout.cols = cols;
        assert_int_equal(m->s->plan(&m->layout, NULL), TOLA_OK);
    }
    fill(&one);
    many.x = malloc((size_t)(rows * cols) * sizeof *many.x + 1);
    memcpy(many.x, one.x, (size_t)(rows * cols) * sizeof *many.x);
    encode(&one, 1, NULL);
    encode(&many, 7, NULL);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++)
        if (one.parts[i]) assert_memory_equal(one.parts[i], many.parts[i], (size_t)one.layout.parts[i].bytes);
    scheme_layout l = bare_parts(&one);
    l.params.bits = one.layout.params.bits;
    l.params.block_rows = one.layout.params.block_rows;
    l.params.block_cols = one.layout.params.block_cols;
    float *y = calloc((size_t)(rows * cols) + 1, sizeof *y), *again = calloc((size_t)(rows * cols) + 1, sizeof *y);
    decode(&one, &l, y);
    /* a planned layout decodes as an opened one does */
    const void *data[SCHEME_MAX_PARTS];
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) data[i] = one.parts[i];
    assert_int_equal(one.s->decode(&one.layout, data, 0, rows, again, NULL), TOLA_OK);
    assert_memory_equal(y, again, (size_t)(rows * cols) * sizeof *y);
    free(again);
    double error = relative_error(one.x, y, (size_t)(rows * cols));
    if (!(error <= most)) print_error("%s %u: error %g, at most %g\n", type, change.grain, error, most);
    assert_true(error <= most);
    free(y);
    dispose(&one);
    dispose(&many);
}

static void test_round_trips(void **state) {
    (void)state;
    /* relative mean square error of 1 .. 8 bits for a normal distribution in groups, with some slack */
    static const double most[9] = { 0, 0.63, 0.16, 0.042, 0.0125, 0.0035, 0.0009, 0.00023, 0.00006 };
    for (unsigned bits = 1; bits <= 8; bits++) {
        char type[8];
        snprintf(type, sizeof type, "int%u", bits);
        for (unsigned asymmetric = 0; asymmetric < 2; asymmetric++) {
            scheme_params p = { .version = (uint8_t)asymmetric, .grain = SCHEME_PER_GROUP, .group = 64 };
            round_trip(type, p, 70, 320, most[bits]);
            p.group = 40;
            round_trip(type, p, 33, 200, most[bits]);
            p = (scheme_params){ .version = (uint8_t)asymmetric, .grain = SCHEME_PER_CHANNEL };
            round_trip(type, p, 70, 323, 2 * most[bits]);
            p.grain = SCHEME_PER_TENSOR;
            p.scale = TOLA_DTYPE_F32;
            round_trip(type, p, 70, 323, 2.5 * most[bits]);
        }
    }
    static const char *const floats[] = { "mxfp8", "mxfp6", "mxfp4", "nvfp4" };
    static const double errors[] = { 0.0009, 0.001, 0.016, 0.009 };
    for (unsigned i = 0; i < 4; i++) round_trip(floats[i], (scheme_params){ 0 }, 19, 192, errors[i]);
    for (uint8_t grain = SCHEME_PER_TENSOR; grain <= SCHEME_PER_BLOCK; grain++)
        round_trip("f8_e4m3", (scheme_params){ .grain = grain, .group = 32, .block_rows = 16 }, 70, 192, 0.0009);
}

static void test_round_trips_of_blocks(void **state) {
    (void)state;
    static const uint64_t sizes[][2] = { { 40, 192 }, { 9, 70 }, { 130, 33 }, { 1, 1 }, { 3, 1000 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t rows = sizes[i][0], cols = sizes[i][1];
        for (uint32_t block = 32; block <= 4096; block *= 2) {
            double more = block > 128 ? 2 : 1;
            round_trip("nf4", (scheme_params){ .group = block }, rows, cols, 0.013 * more);
            round_trip("fp4", (scheme_params){ .group = block }, rows, cols, 0.03 * more);
            round_trip("nf4", (scheme_params){ .group = block, .double_quant = true }, rows, cols, 0.02 * more);
            round_trip("fp4", (scheme_params){ .group = block, .double_quant = true }, rows, cols, 0.03 * more);
        }
        round_trip("fp8", (scheme_params){ 0 }, rows, cols, 0.0009);
        round_trip("fp8", (scheme_params){ .block_rows = 7 }, rows, cols, 0.0009);
    }
}

/* ---- odd matrices ---- */

static const char *const all_types[] = {
    "int8", "int4", "int3", "int1", "f8_e4m3", "mxfp8", "mxfp6", "mxfp4", "nvfp4"
};
#define ALL (sizeof all_types / sizeof *all_types)

static void test_zeros_and_extremes(void **state) {
    (void)state;
    static const float values[] = { 0, -0.0f, 1e-38f, 1e-45f, 3e38f, -3.4028235e38f, 65504, 1e-8f };
    for (size_t t = 0; t < ALL; t++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            matrix m = { 0 };
            assert_int_equal(plan(&m, all_types[t], 3, 256), TOLA_OK);
            m.x = calloc(3 * 256, sizeof *m.x);
            for (size_t i = 256; i < 512; i++) m.x[i] = values[v];
            m.x[520] = -values[v];
            encode(&m, 1, NULL);
            scheme_layout l = bare_parts(&m);
            float y[3 * 256];
            decode(&m, &l, y);
            for (size_t i = 0; i < 3 * 256; i++) {
                if (!isfinite(y[i]) && fabsf(values[v]) <= 1e38f) fail_msg("%s of %g", all_types[t], (double)values[v]);
                if (i < 256) assert_true(y[i] == 0);
            }
            dispose(&m);
        }
}

/* Not a contract, but nothing may crash, read beyond a table or be left unwritten. */
static void test_not_finite(void **state) {
    (void)state;
    for (size_t t = 0; t < ALL; t++) {
        matrix m = { 0 };
        assert_int_equal(plan(&m, all_types[t], 4, 256), TOLA_OK);
        fill(&m);
        for (size_t i = 0; i < 256; i += 3) m.x[i] = NAN;
        m.x[300] = INFINITY;
        m.x[600] = -INFINITY;
        encode(&m, 1, NULL);
        scheme_layout l = bare_parts(&m);
        float y[4 * 256];
        decode(&m, &l, y);
        dispose(&m);
    }
}

static void test_empty(void **state) {
    (void)state;
    for (size_t t = 0; t < ALL; t++)
        for (int which = 0; which < 3; which++) {
            matrix m = { 0 };
            assert_int_equal(plan(&m, all_types[t], which & 1 ? 0 : 4, which ? 0 : 256), TOLA_OK);
            m.x = calloc(4 * 256, sizeof *m.x);
            encode(&m, 1, NULL);
            scheme_layout l = bare_parts(&m);
            l.params.bits = m.layout.params.bits;
            float y[1024];
            decode(&m, &l, y);
            dispose(&m);
        }
}

static void test_refused_plans(void **state) {
    (void)state;
    matrix m = { 0 };
    assert_int_equal(plan(&m, "int4", 4, 200), TOLA_E_FORMAT); /* groups of 128 */
    assert_int_equal(plan(&m, "mxfp4", 4, 48), TOLA_E_FORMAT);
    assert_int_equal(plan(&m, "nvfp4", 4, 24), TOLA_E_FORMAT);
    assert_int_equal(plan(&m, "int4", UINT64_C(1) << 40, UINT64_C(1) << 40), TOLA_E_LIMIT);
    assert_int_equal(plan(&m, "f8_e4m3", UINT64_MAX, 128), TOLA_E_LIMIT);
    scheme_params p;
    assert_null(scheme_for_type("int9", &p));
    assert_null(scheme_for_type("int", &p));
    assert_null(scheme_for_type("int44", &p));
    assert_null(scheme_for_type("", &p));
}

/* ---- importance ---- */

static void test_importance(void **state) {
    (void)state;
    float importance[256];
    for (size_t i = 0; i < 256; i++) importance[i] = i % 4 == 0 ? 100 : 0.01f;
    static const char *const types[] = { "int4", "int3", "int2", "nvfp4" };
    for (size_t t = 0; t < 4; t++) {
        double error[2] = { 0 };
        for (int given = 0; given < 2; given++) {
            matrix m = { 0 };
            seed = 7;
            assert_int_equal(plan(&m, types[t], 16, 256), TOLA_OK);
            fill(&m);
            encode(&m, 1, given ? importance : NULL);
            scheme_layout l = bare_parts(&m);
            float y[16 * 256];
            decode(&m, &l, y);
            for (size_t i = 0; i < 16 * 256; i++)
                error[given] +=
                    (double)importance[i % 256] * ((double)m.x[i] - (double)y[i]) * ((double)m.x[i] - (double)y[i]);
            dispose(&m);
        }
        assert_true(error[1] < error[0]);
    }
    /* weights of nothing but zero say nothing */
    memset(importance, 0, sizeof importance);
    matrix m = { 0 };
    assert_int_equal(plan(&m, "int4", 16, 256), TOLA_OK);
    fill(&m);
    encode(&m, 1, importance);
    scheme_layout l = bare_parts(&m);
    float y[16 * 256];
    decode(&m, &l, y);
    assert_true(relative_error(m.x, y, 16 * 256) < 0.03);
    dispose(&m);
}

/* ---- parts that contradict each other ---- */

static scheme_part part(tola_dtype dtype, uint16_t n_dims, uint64_t a, uint64_t b) {
    scheme_part p = { .dtype = dtype, .n_dims = n_dims, .shape = { a, b } };
    uint64_t n = n_dims == 0 ? 1 : n_dims == 1 ? a : a * b;
    assert_int_equal(tola_dtype_size(dtype, n, &p.bytes), TOLA_OK);
    return p;
}

enum { WEIGHT, PACKED, SCALE, ZERO, SHAPE, G_IDX, GLOBAL };

static void test_compressed_parts(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    int64_t shape[2] = { 8, 256 };
    const scheme *s = &scheme_compressed;
    scheme_layout good = { .matrices = 1, .small = { [SHAPE] = shape } };
    good.parts[PACKED] = part(TOLA_DTYPE_I32, 2, 8, 32);
    good.parts[SCALE] = part(TOLA_DTYPE_BF16, 2, 8, 2);
    good.parts[SHAPE] = part(TOLA_DTYPE_I64, 1, 2, 0);
    scheme_layout l = good;
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    assert_int_equal(l.params.bits, 4);
    assert_int_equal(l.params.group, 128);
    assert_true(l.params.symmetric);
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        l = good;                                                                                                      \
        change;                                                                                                        \
        err = (tola_error)TOLA_ERROR_INIT;                                                                             \
        assert_int_equal(s->open(&l, &err), TOLA_E_FORMAT);                                                            \
        assert_true(err.message[0]);                                                                                   \
    } while (0)
    REFUSED(l.parts[SCALE].dtype = TOLA_DTYPE_NONE);
    REFUSED(l.parts[SCALE] = part(TOLA_DTYPE_BF16, 2, 7, 2));
    REFUSED(l.parts[SCALE] = part(TOLA_DTYPE_BF16, 2, 8, 3));
    REFUSED(l.parts[SCALE] = part(TOLA_DTYPE_I32, 2, 8, 2));
    REFUSED(l.parts[SCALE].bytes--);
    REFUSED(l.parts[PACKED].bytes++);
    REFUSED(l.parts[PACKED].shape[0] = UINT64_MAX);
    REFUSED(l.parts[PACKED] = part(TOLA_DTYPE_I32, 2, 8, 31));
    REFUSED(l.params.bits = 3);
    REFUSED(l.params.group = 64);
    REFUSED(l.parts[SHAPE] = part(TOLA_DTYPE_I64, 1, 1, 0));
    REFUSED(l.parts[SHAPE].dtype = TOLA_DTYPE_F64);
    REFUSED(l.parts[ZERO] = part(TOLA_DTYPE_I32, 2, 2, 2));
    REFUSED(l.parts[ZERO] = part(TOLA_DTYPE_I8, 2, 8, 1));
    REFUSED(l.parts[G_IDX] = part(TOLA_DTYPE_I32, 1, 255, 0));
    REFUSED(l.parts[G_IDX] = part(TOLA_DTYPE_I64, 1, 256, 0));
    REFUSED(l.parts[GLOBAL] = part(TOLA_DTYPE_F32, 1, 2, 0));
    static const int64_t wrong[][2] = { { 8, -256 }, { 7, 256 }, { 8, INT64_MAX }, { 8, 1 << 20 }, { -1, -1 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) REFUSED(l.small[SHAPE] = wrong[i]);
    l = good;
    l.small[SHAPE] = NULL;
    assert_int_equal(s->open(&l, &err), TOLA_E_ARG);
    /* a plain weight, and scales of activations beside one, are no matrix of the scheme */
    l = (scheme_layout){ .matrices = 1 };
    assert_int_equal(s->open(&l, &err), TOLA_E_NOT_FOUND);
    l.parts[WEIGHT] = part(TOLA_DTYPE_BF16, 2, 8, 256);
    assert_int_equal(s->open(&l, &err), TOLA_E_NOT_FOUND);
    l.parts[SCALE] = part(TOLA_DTYPE_BF16, 2, 8, 1);
    assert_int_equal(s->open(&l, &err), TOLA_E_NOT_FOUND);
}

enum { ABSMAX = 1, MAP, NESTED_ABSMAX, NESTED_MAP, STATE_NF4, STATE_FP4, SCB, FORMAT };

static void set_state(scheme_layout *l, unsigned part_of, const char *text) {
    l->parts[part_of] = part(TOLA_DTYPE_U8, 1, strlen(text), 0);
    l->small[part_of] = text;
}

static void test_bnb_parts(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    const scheme *s = &scheme_bnb;
    scheme_layout good = { .matrices = 1 }, l;
    good.parts[WEIGHT] = part(TOLA_DTYPE_U8, 2, 256, 1);
    good.parts[ABSMAX] = part(TOLA_DTYPE_F32, 1, 8, 0);
    set_state(&good, STATE_NF4,
              "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [8, 64]}");
    l = good;
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    assert_true(l.rows == 8 && l.cols == 64 && l.params.logical == TOLA_DTYPE_BF16 && l.params.group == 64);
    REFUSED(l.parts[ABSMAX] = part(TOLA_DTYPE_F32, 1, 7, 0));
    REFUSED(l.parts[ABSMAX] = part(TOLA_DTYPE_F16, 1, 8, 0));
    REFUSED(l.parts[ABSMAX].dtype = TOLA_DTYPE_NONE);
    REFUSED(l.parts[ABSMAX] = part(TOLA_DTYPE_U8, 1, 8, 0)); /* nested, without the rest */
    REFUSED(l.parts[WEIGHT] = part(TOLA_DTYPE_U8, 2, 255, 1));
    REFUSED(l.parts[WEIGHT].bytes = 3);
    REFUSED(l.parts[STATE_NF4].dtype = TOLA_DTYPE_NONE);
    REFUSED(l.parts[STATE_FP4] = l.parts[STATE_NF4]);
    static const char *const states[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"quant_type\": \"fp4\", \"blocksize\": 64, \"shape\": [8, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 0, \"shape\": [8, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 63, \"shape\": [8, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 18446744073709551615, \"shape\": [8, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": []}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [-8, 64]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [9223372036854775807, 9223372036854775807, 2]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [8, 63]}",
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [8, 64], \"nested_blocksize\": 0}",
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) REFUSED(set_state(&l, STATE_NF4, states[i]));
    l = good;
    set_state(&l, STATE_NF4, "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [9223372036854775807, 2]}");
    assert_int_equal(s->open(&l, &err), TOLA_E_LIMIT);
    /* eight bits */
    uint8_t order = 1;
    good = (scheme_layout){ .matrices = 1 };
    good.parts[WEIGHT] = part(TOLA_DTYPE_I8, 2, 4, 6);
    good.parts[SCB] = part(TOLA_DTYPE_F32, 1, 4, 0);
    good.parts[FORMAT] = part(TOLA_DTYPE_U8, 0, 0, 0);
    l = good;
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    l = good;
    l.small[FORMAT] = &order;
    assert_int_equal(s->open(&l, &err), TOLA_E_UNSUPPORTED);
    REFUSED(l.parts[SCB] = part(TOLA_DTYPE_F32, 1, 6, 0));
    l = (scheme_layout){ .matrices = 1 };
    l.parts[WEIGHT] = part(TOLA_DTYPE_BF16, 2, 8, 256);
    assert_int_equal(s->open(&l, &err), TOLA_E_NOT_FOUND);
}

static void test_fp8_parts(void **state) {
    (void)state;
    enum { SCALE_INV = 1, PLAIN, SCALE_2 };
    tola_error err = TOLA_ERROR_INIT;
    const scheme *s = &scheme_fp8;
    scheme_layout good = { .matrices = 1 }, l;
    good.parts[WEIGHT] = part(TOLA_DTYPE_F8_E4M3, 2, 200, 300);
    good.parts[SCALE_INV] = part(TOLA_DTYPE_F32, 2, 2, 3);
    l = good;
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    assert_true(l.params.grain == SCHEME_PER_BLOCK && l.params.block_rows == 128);
    REFUSED(l.parts[SCALE_INV] = part(TOLA_DTYPE_F32, 2, 3, 3));
    REFUSED(l.parts[SCALE_INV] = part(TOLA_DTYPE_I32, 2, 2, 3));
    REFUSED(l.params.block_rows = l.params.block_cols = 64);
    REFUSED(l.parts[SCALE_INV].bytes = 23);
    REFUSED(l.parts[WEIGHT].shape[1] = UINT64_MAX);
    l = good;
    l.parts[SCALE_INV].dtype = TOLA_DTYPE_NONE;
    assert_int_equal(s->open(&l, &err), TOLA_E_NOT_FOUND);
    /* where the configuration says that there are scales, they are missing */
    REFUSED((l.parts[SCALE_INV].dtype = TOLA_DTYPE_NONE, l.params.block_rows = l.params.block_cols = 128));
    good.parts[WEIGHT] = part(TOLA_DTYPE_U8, 2, 4, 16);
    good.parts[SCALE_INV].dtype = TOLA_DTYPE_NONE;
    good.parts[PLAIN] = part(TOLA_DTYPE_F8_E4M3, 2, 4, 2);
    good.parts[SCALE_2] = part(TOLA_DTYPE_F32, 0, 0, 0);
    l = good;
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    assert_true(l.cols == 32 && l.params.group == 16);
    REFUSED(l.parts[PLAIN] = part(TOLA_DTYPE_F8_E4M3, 2, 4, 3));
    REFUSED(l.parts[SCALE_2] = part(TOLA_DTYPE_F32, 1, 2, 0));
    l = good;
    l.parts[SCALE_2].dtype = TOLA_DTYPE_NONE;
    assert_int_equal(s->open(&l, &err), TOLA_E_NOT_FOUND);
}

static void test_mxfp4_parts(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    const scheme *s = &scheme_mxfp4;
    scheme_layout good = { .matrices = 1 }, l;
    good.parts[0] = (scheme_part){ TOLA_DTYPE_U8, 4, { 2, 3, 2, 16 }, 192 };
    good.parts[1] = (scheme_part){ TOLA_DTYPE_U8, 3, { 2, 3, 2 }, 12 };
    l = good;
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    assert_true(l.matrices == 2 && l.rows == 128 && l.cols == 3);
    /* code 2 is 1: every element is its group's power of two */
    uint8_t blocks[192], scales[12];
    float y[128 * 3], z[128 * 3];
    memset(blocks, 0x22, sizeof blocks);
    for (uint8_t i = 0; i < 12; i++) scales[i] = (uint8_t)(127 + i);
    const void *data[SCHEME_MAX_PARTS] = { blocks, scales };
    assert_int_equal(s->decode(&l, data, 0, 128, y, &err), TOLA_OK);
    for (unsigned e = 0; e < 2; e++)
        for (unsigned in = 0; in < 64; in++)
            for (unsigned out = 0; out < 3; out++)
                assert_true(y[(e * 64 + in) * 3 + out] == ldexpf(1, (int)((e * 3 + out) * 2 + in / 32)));
    for (uint64_t r = 0; r < 128; r++) assert_int_equal(s->decode(&l, data, r, 1, z + r * 3, &err), TOLA_OK);
    assert_memory_equal(y, z, sizeof y);
    REFUSED(l.parts[0].shape[3] = 15);
    REFUSED(l.parts[1].shape[1] = 4);
    REFUSED(l.parts[0].bytes = 191);
    REFUSED(l.parts[1].bytes = 13);
    REFUSED(l.parts[1].dtype = TOLA_DTYPE_NONE);
}

static void test_group_index_beyond(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    matrix m = { 0 };
    assert_int_equal(plan(&m, "int4", 4, 256), TOLA_OK);
    fill(&m);
    encode(&m, 1, NULL);
    scheme_layout l = bare_parts(&m);
    int32_t order[256] = { 0 };
    order[255] = 2;
    l.parts[G_IDX] = part(TOLA_DTYPE_I32, 1, 256, 0);
    const void *data[SCHEME_MAX_PARTS];
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) data[i] = m.parts[i];
    data[G_IDX] = order;
    float y[4 * 256];
    assert_int_equal(m.s->open(&l, &err), TOLA_OK);
    assert_int_equal(m.s->decode(&l, data, 0, 4, y, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "column 255"));
    order[255] = -2;
    assert_int_equal(m.s->decode(&l, data, 0, 4, y, &err), TOLA_E_FORMAT);
    order[255] = 1;
    assert_int_equal(m.s->decode(&l, data, 0, 4, y, &err), TOLA_OK);
    dispose(&m);
}

/* ---- what the packages wrote ---- */

static const scheme *scheme_called(const char *name) {
    for (const scheme *const *s = scheme_table; *s; s++)
        if (strcmp((*s)->name, name) == 0) return *s;
    fail_msg("no scheme %s", name);
    return NULL;
}

static void golden(const tola_checkpoint *ck, size_t row) {
    const scheme *s = scheme_called(scheme_golden[row].scheme);
    scheme_layout l = { .matrices = 1 };
    void *data[SCHEME_MAX_PARTS] = { 0 };
    tola_error err = TOLA_ERROR_INIT;
    for (unsigned i = 0; s->suffixes[i]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.%s", scheme_golden[row].module, s->suffixes[i]);
        size_t index = tola_checkpoint_find(ck, name);
        if (index == SIZE_MAX) continue;
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, index);
        l.parts[i] = (scheme_part){ .dtype = (tola_dtype)t->dtype, .n_dims = t->n_dims, .bytes = t->bytes };
        memcpy(l.parts[i].shape, t->shape, t->n_dims * sizeof *t->shape);
        data[i] = malloc((size_t)t->bytes);
        assert_int_equal(tola_checkpoint_read(ck, index, 0, data[i], (size_t)t->bytes, &err), TOLA_OK);
        if (s->small_parts >> i & 1) l.small[i] = data[i];
    }
    assert_int_equal(s->open(&l, &err), TOLA_OK);
    assert_int_equal(l.rows, scheme_golden[row].rows);
    assert_int_equal(l.cols, scheme_golden[row].cols);
    size_t n = (size_t)(l.rows * l.cols);
    float *y = malloc(n * sizeof *y);
    assert_int_equal(s->decode(&l, (const void *const *)data, 0, l.rows, y, &err), TOLA_OK);
    for (size_t i = 0; i < n; i++) y[i] += 0.0f; /* -0 as +0 */
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)y, (uInt)(n * sizeof *y));
    if (crc != scheme_golden[row].crc) print_error("%s differs\n", scheme_golden[row].module);
    assert_int_equal(crc, scheme_golden[row].crc);
    free(y);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) free(data[i]);
}

static void test_golden(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck;
    assert_int_equal(
        tola_checkpoint_open_memory("golden.safetensors", scheme_golden_file, sizeof scheme_golden_file, &ck, &err),
        TOLA_OK);
    for (size_t row = 0; row < sizeof scheme_golden / sizeof *scheme_golden; row++) golden(ck, row);
    tola_checkpoint_close(ck);
}

/* ---- configurations ---- */

static tola_status recognize(const scheme *s, const char *text, scheme_params *p, tola_error *err) {
    arena a;
    tola_value root;
    arena_init(&a, 0);
    memset(p, 0, sizeof *p);
    assert_int_equal(json_parse(text, strlen(text), &a, &root, err), TOLA_OK);
    tola_status status = s->recognize(&root, p, err);
    arena_free(&a);
    return status;
}

static void test_compressed_config(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    scheme_params p;
    const scheme *s = &scheme_compressed;
    assert_int_equal(recognize(s,
                               "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", "
                               "\"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\", "
                               "\"strategy\": \"group\", \"group_size\": 64, \"symmetric\": false}}}}",
                               &p, &err),
                     TOLA_OK);
    assert_true(p.code == SCHEME_INT && p.bits == 4 && p.group == 64 && p.grain == SCHEME_PER_GROUP && !p.symmetric);
    /* two groups of modules: what they disagree about is open */
    assert_int_equal(
        recognize(s,
                  "{\"quant_method\": \"compressed-tensors\", \"format\": \"mixed-precision\", "
                  "\"config_groups\": {\"a\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\", "
                  "\"strategy\": \"channel\"}}, \"b\": {\"weights\": {\"num_bits\": 8, \"type\": \"float\", "
                  "\"strategy\": \"block\", \"block_structure\": \"64x32\"}}, "
                  "\"c\": {\"weights\": null}}}",
                  &p, &err),
        TOLA_OK);
    assert_true(p.code == SCHEME_CODE_ANY && p.bits == 0 && p.grain == SCHEME_GRAIN_ANY && p.block_rows == 64);
    assert_int_equal(recognize(s, "{\"quant_method\": \"gptq\"}", &p, &err), TOLA_E_NOT_FOUND);
    assert_int_equal(recognize(s, "{}", &p, &err), TOLA_E_NOT_FOUND);
    static const char *const unsupported[] = {
        "{\"quant_method\": \"compressed-tensors\", \"format\": \"marlin-24\"}",
        "{\"quant_method\": \"compressed-tensors\", \"sparsity_config\": {\"format\": \"sparse-24-bitmask\"}}",
        "{\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"a\": {\"weights\": {\"num_bits\": 9}}}}",
        "{\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"a\": {\"weights\": {\"strategy\": \"x\"}}}}",
        "{\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"a\": {\"weights\": {\"type\": \"x\"}}}}",
    };
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        assert_int_equal(recognize(s, unsupported[i], &p, &err), TOLA_E_UNSUPPORTED);
}

static void test_other_configs(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    scheme_params p;
    const scheme *fp8 = &scheme_fp8;
    assert_int_equal(recognize(fp8, "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 64]}", &p, &err),
                     TOLA_OK);
    assert_true(p.block_rows == 128 && p.block_cols == 64);
    assert_int_equal(recognize(fp8, "{\"quant_method\": \"fp8\", \"weight_block_size\": null}", &p, &err), TOLA_OK);
    assert_int_equal(recognize(fp8, "{\"quant_method\": \"fp8\", \"weight_block_size\": [0]}", &p, &err),
                     TOLA_E_FORMAT);
    assert_int_equal(recognize(fp8, "{\"quant_method\": \"fbgemm_fp8\"}", &p, &err), TOLA_OK);
    assert_int_equal(recognize(fp8, "{\"quant_algo\": \"FP8\", \"producer\": {\"name\": \"modelopt\"}}", &p, &err),
                     TOLA_OK);
    assert_int_equal(recognize(fp8, "{\"quant_method\": \"modelopt\", \"quant_algo\": \"W4A8_AWQ\"}", &p, &err),
                     TOLA_E_UNSUPPORTED);
    assert_int_equal(recognize(fp8, "{\"quant_method\": \"awq\"}", &p, &err), TOLA_E_NOT_FOUND);
    assert_int_equal(recognize(&scheme_mxfp4, "{\"quant_method\": \"mxfp4\"}", &p, &err), TOLA_OK);
    assert_int_equal(recognize(&scheme_mxfp4, "{\"quant_method\": \"fp8\"}", &p, &err), TOLA_E_NOT_FOUND);
    assert_int_equal(recognize(&scheme_bnb, "{\"load_in_4bit\": true, \"bnb_4bit_use_double_quant\": true}", &p, &err),
                     TOLA_OK);
    assert_true(p.double_quant);
    assert_int_equal(recognize(&scheme_bnb, "{\"quant_method\": \"fp8\"}", &p, &err), TOLA_E_NOT_FOUND);
}

/* What is written into config.json is recognized again. */
static void test_written_configs(void **state) {
    (void)state;
    static const char *const ignore[] = { "lm_head", "a\"b" };
    for (size_t t = 0; t < ALL; t++) {
        matrix m = { 0 };
        buf text;
        tola_json json;
        tola_error err = TOLA_ERROR_INIT;
        scheme_params p;
        assert_int_equal(plan(&m, all_types[t], 4, 256), TOLA_OK);
        buf_init(&text, 0);
        tola_json_init(&json, json_to_buf, &text, 2);
        m.s->write_config(&m.layout.params, ignore, 2, &json);
        assert_true(tola_json_finish(&json));
        buf_u8(&text, 0);
        assert_int_equal(recognize(m.s, (const char *)text.data, &p, &err), TOLA_OK);
        if (m.s == &scheme_compressed) assert_int_equal(p.bits, m.layout.params.bits);
        if (m.s == &scheme_compressed) assert_int_equal(p.grain, m.layout.params.grain);
        assert_non_null(strstr((const char *)text.data, "lm_head"));
        buf_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),       cmocka_unit_test(test_zeros_and_extremes),
        cmocka_unit_test(test_not_finite),        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_refused_plans),     cmocka_unit_test(test_importance),
        cmocka_unit_test(test_compressed_parts),  cmocka_unit_test(test_group_index_beyond),
        cmocka_unit_test(test_compressed_config), cmocka_unit_test(test_round_trips_of_blocks),
        cmocka_unit_test(test_bnb_parts),         cmocka_unit_test(test_fp8_parts),
        cmocka_unit_test(test_mxfp4_parts),       cmocka_unit_test(test_other_configs),
        cmocka_unit_test(test_written_configs),   cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
