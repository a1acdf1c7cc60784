/* tola_quantize: what is written decodes to what the figures say, whatever the threads; rules for odd numbers and odd
 * shapes; sizes of a dry run; bounds. */
#include "unit.h"
#include "transform_model.h"

#include <math.h>
#include <sys/stat.h>

#include "codecs/codec.h"
#include "transform/stream.h"

/* Numbers that look like weights: sums of four uniform ones. */
static float *weights(size_t n, uint32_t seed) {
    float *w = malloc(n * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        int sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            sum += (int)(seed >> 16) - 32768;
        }
        w[i] = (float)sum / 65536.0f / 32;
    }
    return w;
}

static void add_weights(model *m, const char *name, const char *shape, size_t n, uint32_t seed) {
    float *w = weights(n, seed);
    model_add(m, name, "F32", shape, w, n * sizeof *w);
    free(w);
}

static void quantize(const tola_checkpoint *ck, const char *path, tola_quantize_options o,
                     tola_quantize_result *result) {
    tola_error err = TOLA_ERROR_INIT;
    o.overwrite = true;
    if (tola_quantize(ck, path, &o, result, &err) != TOLA_OK) fail_msg("%s", err.message);
}

static const tola_quantize_tensor *line_of(const tola_quantize_result *r, const char *name) {
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->tensors[i].name, name) == 0) return &r->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* The tensor `name` as f32; freed with free. */
static float *decoded(const tola_checkpoint *ck, const char *name, size_t *elements) {
    size_t i = tola_checkpoint_find(ck, name);
    if (i == SIZE_MAX) fail_msg("no tensor %s", name);
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
    void *raw = malloc((size_t)t->bytes + 1);
    float *out = malloc((size_t)t->elements * sizeof *out + 1);
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_checkpoint_read(ck, i, 0, raw, (size_t)t->bytes, &err), TOLA_OK);
    assert_int_equal(
        codec_convert((tola_dtype)t->dtype, TOLA_DTYPE_F32, raw, out, (size_t)t->elements, TOLA_OVERFLOW_IEEE, NULL),
        TOLA_OK);
    free(raw);
    *elements = (size_t)t->elements;
    return out;
}

static tola_checkpoint *open_file(const char *path) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open(path, NULL, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

/* ---- figures ---- */

/* Against a plain sum over both files. */
static void check_figures(const tola_checkpoint *in, const char *path, const tola_quantize_tensor *t) {
    tola_checkpoint *out = open_file(path);
    size_t n, m;
    float *a = decoded(in, t->source, &n), *b = decoded(out, t->name, &m);
    assert_int_equal(n, m);
    long double noise = 0, signal = 0, dot = 0, other = 0;
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        noise += (long double)d * d;
        signal += (long double)a[i] * a[i];
        other += (long double)b[i] * b[i];
        dot += (long double)a[i] * b[i];
        if (d > most) most = d;
    }
    assert_true(t->measured);
    assert_true(fabs(t->error.rmse / sqrt((double)(noise / n)) - 1) < 1e-12);
    assert_true(fabs(t->error.snr_db - 10 * log10((double)(signal / noise))) < 1e-9);
    assert_true(fabs(t->error.cosine - (double)(dot / sqrtl(signal) / sqrtl(other))) < 1e-12);
    assert_true(t->error.max_abs == most);
    free(a);
    free(b);
    tola_checkpoint_close(out);
}

static void *file_bytes(const char *path, size_t *bytes) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    *bytes = (size_t)st.st_size;
    void *data = malloc(*bytes + 1);
    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}

static void test_figures(void **state) {
    (void)state;
    model m;
    model_init(&m);
    add_weights(&m, "a.weight", "[700,1024]", 700 * 1024, 1);
    add_weights(&m, "b.weight", "[3,5,192]", 3 * 5 * 192, 2);
    add_weights(&m, "odd.weight", "[4,100]", 400, 3); /* rows fill no block of 32 */
    add_weights(&m, "vector", "[64]", 64, 4);
    add_weights(&m, "long.weight", "[2,1048640]", 2 * 1048640, 5); /* longer than ENCODE_MAX_ROW, no multiple of it */
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    const char *path = unit_path("out.gguf");
    void *first = NULL;
    size_t first_bytes = 0;
    tola_quantize_result kept = { 0 };
    static const unsigned threads[] = { 1, 2, 7, 40 };
    for (size_t k = 0; k < 4; k++) {
        tola_quantize_options o = TOLA_QUANTIZE_OPTIONS_INIT;
        tola_quantize_result r;
        o.to = "nvfp4";
        o.measure = true;
        o.threads = threads[k];
        quantize(ck, path, o, &r);
        size_t bytes;
        void *data = file_bytes(path, &bytes);
        assert_int_equal(bytes, r.file_bytes);
        if (k == 0) {
            for (size_t i = 0; i < r.count; i++)
                if (r.tensors[i].measured) check_figures(ck, path, &r.tensors[i]);
            assert_string_equal(line_of(&r, "a.weight")->type, "nvfp4");
            assert_string_equal(line_of(&r, "b.weight")->type, "nvfp4");
            assert_string_equal(line_of(&r, "long.weight")->type, "nvfp4");
            assert_string_equal(line_of(&r, "odd.weight")->type, "f16");
            assert_string_equal(line_of(&r, "odd.weight")->wanted, "nvfp4");
            assert_string_equal(line_of(&r, "vector")->type, "f32");
            assert_false(line_of(&r, "vector")->measured);
            assert_int_equal(r.fallbacks, 1);
            first = data;
            first_bytes = bytes;
            kept = r;
            continue;
        }
        assert_int_equal(bytes, first_bytes); /* the same file, the same figures to the last bit */
        assert_memory_equal(data, first, bytes);
        for (size_t i = 0; i < r.count; i++)
            assert_memory_equal(&r.tensors[i].error, &kept.tensors[i].error, sizeof r.tensors[i].error);
        assert_memory_equal(&r.error, &kept.error, sizeof r.error);
        tola_quantize_result_dispose(&r);
        free(data);
    }
    tola_quantize_result_dispose(&kept);
    free(first);
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* ---- odd numbers ---- */

static void count_odd(const char *type) {
    enum { N = 4096 };
    model m;
    model_init(&m);
    float *w = weights(N, 9);
    w[5] = NAN;
    w[77] = -NAN;
    w[400] = INFINITY;
    w[900] = -INFINITY;
    w[901] = -INFINITY;
    w[2000] = 3e38f;
    w[3000] = 1e-42f;
    model_add(&m, "w.weight", "F32", "[16,256]", w, N * sizeof *w);
    free(w);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    for (int measure = 0; measure < 2; measure++) {
        tola_quantize_options o = TOLA_QUANTIZE_OPTIONS_INIT;
        tola_quantize_result r;
        o.to = type;
        o.measure = measure;
        quantize(ck, unit_path("odd.gguf"), o, &r);
        assert_int_equal(r.nans, 2);
        assert_int_equal(r.infinities, 3);
        assert_int_equal(r.clamped, 3e38f > codec_range(tola_dtype_parse(type)));
        assert_int_equal(r.tensors[0].nans, 2);
        if (measure) assert_true(isfinite(r.error.rmse) && isfinite(r.error.max_abs));
        tola_checkpoint *out = open_file(unit_path("odd.gguf"));
        size_t n;
        float *back = decoded(out, "w.weight", &n);
        for (size_t i = 0; i < n; i++) assert_true(isfinite(back[i]));
        assert_true(back[5] == 0 && back[400] > 0 && back[900] < 0);
        free(back);
        tola_checkpoint_close(out);
        tola_quantize_result_dispose(&r);
    }
    tola_checkpoint_close(ck);
    model_free(&m);
}


/* Floats have a place for NaN; infinities become the largest number and are counted, with figures or without. */
static void count_odd_floats(const char *type, size_t clamped) {
    enum { N = 512 };
    model m;
    model_init(&m);
    float *w = weights(N, 10);
    w[5] = NAN;
    w[300] = INFINITY;
    w[301] = -INFINITY;
    w[400] = 3e38f;
    double wide[N];
    for (size_t i = 0; i < N; i++) wide[i] = (double)w[i];
    wide[400] = 1e300;
    model_add(&m, "w.weight", "F32", "[2,256]", w, N * sizeof *w);
    model_add(&m, "wide.weight", "F64", "[2,256]", wide, sizeof wide);
    free(w);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    for (int measure = 0; measure < 2; measure++) {
        tola_quantize_options o = TOLA_QUANTIZE_OPTIONS_INIT;
        tola_quantize_result r;
        o.to = type;
        o.measure = measure;
        quantize(ck, unit_path("odd.gguf"), o, &r);
        assert_int_equal(r.nans, 0);
        assert_int_equal(r.infinities, 4);
        assert_int_equal(r.clamped, clamped);
        tola_checkpoint *out = open_file(unit_path("odd.gguf"));
        size_t n;
        float *back = decoded(out, "w.weight", &n);
        assert_true(isnan(back[5]) && isfinite(back[300]) && back[301] == -back[300]);
        free(back);
        tola_checkpoint_close(out);
        tola_quantize_result_dispose(&r);
    }
    tola_checkpoint_close(ck);
    model_free(&m);
}

static void test_odd_numbers(void **state) {
    (void)state;
    count_odd("nvfp4");
    count_odd("mxfp4");
    count_odd("q2_0");
    count_odd_floats("f16", 2);
    count_odd_floats("bf16", 1); /* 3e38 is one */
}

/* ---- what a plan of families makes: pieces, permutation, importance by expert ---- */

/* Row by row with the kernels' own words. */
static void encode_expected(const float *rows, size_t n_rows, size_t columns, tola_dtype type, const float *importance,
                            uint8_t *out) {
    float row[512];
    size_t bytes = columns / tola_dtype_block_elements(type) * tola_dtype_block_bytes(type);
    for (size_t r = 0; r < n_rows; r++) {
        memcpy(row, rows + r * columns, columns * sizeof *row);
        assert_int_equal(codec_quantize(type, row, out + r * bytes, columns, importance, NULL), TOLA_OK);
    }
}

static void test_pieces(void **state) {
    (void)state;
    enum { ROWS = 96, COLUMNS = 512, HEADS = 4, BYTES = COLUMNS / 32 * 17 };
    model m;
    model_init(&m);
    add_weights(&m, "x", "[96,512]", ROWS * COLUMNS, 1);
    add_weights(&m, "y", "[96,512]", ROWS * COLUMNS, 2);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    static float importance[2][COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        importance[0][i] = 1 + (float)(i % 7) * 40;
        importance[1][i] = 1 + (float)(i % 5) * 90;
    }
    const uint64_t stacked[] = { 2, ROWS, COLUMNS }, flat[] = { ROWS, COLUMNS };
    const plan_piece both[] = { { 0, 0, ROWS * COLUMNS }, { 1, 0, ROWS * COLUMNS } };
    plan_encode encodes[2] = { { .importance = importance[0], .importance_matrices = 2 }, { .importance = NULL } };
    plan_tensor items[2] = {
        { .name = "experts.weight",
          .shape = stacked,
          .n_dims = 3,
          .dtype = TOLA_DTYPE_MXFP4,
          .fixed_dtype = true,
          .pieces = both,
          .piece_count = 2,
          .encode = &encodes[0] },
        { .name = "q.weight",
          .shape = flat,
          .n_dims = 2,
          .dtype = TOLA_DTYPE_MXFP4,
          .fixed_dtype = true,
          .order = PLAN_INTERLEAVE,
          .heads = HEADS,
          .row_elements = COLUMNS,
          .pieces = both,
          .piece_count = 1,
          .encode = &encodes[1] },
    };
    plan p;
    tola_error err = TOLA_ERROR_INIT;
    tola_convert_options options = TOLA_CONVERT_OPTIONS_INIT;
    tola_writer *w = NULL;
    uint64_t overflowed = 0;
    stream_options pass = { .threads = 3, .phase = "testing", .measure = true };
    plan_init(&p, ck);
    assert_int_equal(plan_adopt(&p, items, 2, &options, &err), TOLA_OK);
    p.tensors[0].dtype = p.tensors[1].dtype = TOLA_DTYPE_MXFP4;
    if (plan_finish(&p, &options, "gguf", codec_encodes, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(tola_writer_open(unit_path("p.gguf"), p.outputs, p.output_count, NULL, &w, &err), TOLA_OK);
    if (stream_run(&p, w, &pass, &overflowed, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(tola_writer_finish(w, &err), TOLA_OK);
    assert_int_equal(encodes[0].figures.errors.count, 2 * ROWS * COLUMNS);

    size_t n;
    float *x = decoded(ck, "x", &n), *y = decoded(ck, "y", &n), *turned = malloc(n * sizeof *turned);
    static uint8_t expected[2 * ROWS * BYTES], got[2 * ROWS * BYTES];
    tola_checkpoint *out = open_file(unit_path("p.gguf"));
    encode_expected(x, ROWS, COLUMNS, TOLA_DTYPE_MXFP4, importance[0], expected);
    encode_expected(y, ROWS, COLUMNS, TOLA_DTYPE_MXFP4, importance[1], expected + ROWS * BYTES);
    assert_int_equal(tola_checkpoint_read(out, 0, 0, got, sizeof got, &err), TOLA_OK);
    assert_memory_equal(got, expected, sizeof got);
    for (uint64_t r = 0; r < ROWS; r++)
        memcpy(turned + r * COLUMNS, x + plan_source_row(&p.tensors[1], r) * COLUMNS, COLUMNS * sizeof *x);
    encode_expected(turned, ROWS, COLUMNS, TOLA_DTYPE_MXFP4, NULL, expected);
    assert_int_equal(tola_checkpoint_read(out, 1, 0, got, ROWS * BYTES, &err), TOLA_OK);
    assert_memory_equal(got, expected, ROWS * BYTES);
    free(x);
    free(y);
    free(turned);
    tola_checkpoint_close(out);
    plan_dispose(&p);
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* ---- requantizing, overrides, dry runs ---- */

static void test_overrides(void **state) {
    (void)state;
    model m;
    model_init(&m);
    add_weights(&m, "a.weight", "[8,256]", 8 * 256, 1);
    add_weights(&m, "b.weight", "[8,256]", 8 * 256, 2);
    add_weights(&m, "c.weight", "[8,256]", 8 * 256, 3);
    model_add(&m, "ids", "I32", "[2,2]", (int32_t[]){ 1, 2, 3, 4 }, 16);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    static const char *const override[] = { "b.*=f16", "*.weight=q2_0", "zzz=f32", NULL };
    tola_quantize_options o = TOLA_QUANTIZE_OPTIONS_INIT;
    tola_quantize_result r, dry;
    o.to = "mxfp4";
    o.override = override;
    o.dry_run = true;
    quantize(ck, unit_path("o.gguf"), o, &dry);
    assert_int_not_equal(access(unit_path("o.gguf"), F_OK), 0);
    o.dry_run = false;
    quantize(ck, unit_path("o.gguf"), o, &r);
    size_t bytes;
    free(file_bytes(unit_path("o.gguf"), &bytes));
    assert_int_equal(dry.file_bytes, bytes);
    assert_int_equal(r.file_bytes, bytes);
    assert_true(dry.bits_per_weight == r.bits_per_weight);
    assert_string_equal(line_of(&r, "a.weight")->type, "q2_0");
    assert_string_equal(line_of(&r, "b.weight")->type, "f16");
    assert_string_equal(line_of(&r, "ids")->type, "i32");
    assert_true(line_of(&r, "b.weight")->overridden);
    tola_quantize_result_dispose(&r);
    tola_quantize_result_dispose(&dry);
    tola_checkpoint_close(ck);
    /* blocks to other blocks; blocks that stay are copied */
    ck = open_file(unit_path("o.gguf"));
    o = (tola_quantize_options)TOLA_QUANTIZE_OPTIONS_INIT;
    o.to = "mxfp4";
    o.override = (const char *const[]){ "c.weight=q2_0", NULL };
    o.measure = true;
    quantize(ck, unit_path("again.gguf"), o, &r);
    assert_string_equal(line_of(&r, "a.weight")->type, "mxfp4");
    assert_true(line_of(&r, "a.weight")->measured);
    assert_false(line_of(&r, "c.weight")->measured);
    check_figures(ck, unit_path("again.gguf"), line_of(&r, "a.weight"));
    tola_quantize_result_dispose(&r);
    tola_checkpoint_close(ck);
    model_free(&m);
}

static void refuse(const tola_checkpoint *ck, const char *path, tola_quantize_options o, tola_status status,
                   const char *message) {
    tola_error err = TOLA_ERROR_INIT;
    tola_quantize_result r = { 0 };
    tola_status got = tola_quantize(ck, unit_path(path), &o, &r, &err);
    if (got != status || !strstr(err.message, message)) fail_msg("%d %s", got, err.message);
    assert_null(r.owner);
    assert_int_not_equal(access(unit_path(path), F_OK), 0);
}

static void test_refusals(void **state) {
    (void)state;
    model m;
    model_init(&m);
    add_weights(&m, "a.weight", "[8,256]", 8 * 256, 1);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    tola_quantize_options o = TOLA_QUANTIZE_OPTIONS_INIT;
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "neither a type");
    o.to = "Q4KM";
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "did you mean Q4_K_M?");
    o.to = "int4";
    refuse(ck, "o.gguf", o, TOLA_E_UNSUPPORTED, "gguf cannot hold int4");
    o.to = "Q4_K_M";
    refuse(ck, "o.safetensors", o, TOLA_E_UNSUPPORTED, "safetensors cannot hold Q4_K_M");
    refuse(ck, "o.xyz", o, TOLA_E_ARG, "its extension says no format");
    o.to = "mxfp4";
    o.bits = 4;
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "exclude each other");
    o.to = NULL;
    o.max_bytes = 4;
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "exclude each other");
    o.bits = -1;
    o.max_bytes = 0;
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "between 0 and 64");
    o = (tola_quantize_options)TOLA_QUANTIZE_OPTIONS_INIT;
    o.to = "mxfp4";
    o.override = (const char *const[]){ "a.weight", NULL };
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "not of the form GLOB=TYPE");
    o.override = (const char *const[]){ "a.weight=q9", NULL };
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "override 'a.weight=q9': no type 'q9'");
    o.override = NULL;
    o.format = "gguff";
    refuse(ck, "o.gguf", o, TOLA_E_ARG, "no format 'gguff'");
    o.format = NULL;
    o.imatrix = unit_path("nothing.dat");
    refuse(ck, "o.gguf", o, TOLA_E_NOT_FOUND, "nothing.dat");
    tola_checkpoint_close(ck);
    model_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_figures, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_odd_numbers, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_overrides, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
