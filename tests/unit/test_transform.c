/* The plan, the streaming pass and tola_convert: names, dtypes, refusals, blocks, permutations, cleaning up. */
#include "unit.h"
#include "transform_model.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "formats/format.h"
#include "transform/carry.h"
#include "transform/plan.h"
#include "transform/rename.h"
#include "transform/stream.h"

/* Entries of a unit_here(), hidden ones included. */
static int entries(const char *path) {
    int n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static tola_checkpoint *open_file(const char *path) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open(path, NULL, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

/* The tensor `name` whole; freed with free. */
static void *whole(const tola_checkpoint *ck, const char *name, tola_dtype dtype) {
    size_t i = tola_checkpoint_find(ck, name);
    if (i == SIZE_MAX) fail_msg("no tensor %s", name);
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
    assert_int_equal(t->dtype, dtype);
    void *data = malloc((size_t)t->bytes + 1);
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_read(ck, i, 0, data, (size_t)t->bytes, &err) != TOLA_OK) fail_msg("%s", err.message);
    return data;
}

/* ---- rename ---- */

static void expect_rename(const char *const *rules, const char *name, const char *wanted) {
    arena a;
    rename_rules parsed;
    const char *out = NULL;
    tola_error err = TOLA_ERROR_INIT;
    arena_init(&a, 0);
    assert_int_equal(rename_parse(rules, &a, &parsed, &err), TOLA_OK);
    assert_int_equal(rename_apply(&parsed, name, &a, &out, &err), TOLA_OK);
    assert_string_equal(out, wanted);
    arena_free(&a);
}

static void refuse_rename(const char *rule, const char *message) {
    const char *rules[] = { rule, NULL };
    arena a;
    rename_rules parsed;
    tola_error err = TOLA_ERROR_INIT;
    arena_init(&a, 0);
    assert_int_equal(rename_parse(rules, &a, &parsed, &err), TOLA_E_ARG);
    assert_string_equal(err.message, message);
    arena_free(&a);
}

#define RULES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_rename(void **state) {
    (void)state;
    expect_rename(RULES("model.*=*"), "model.a.b", "a.b");
    expect_rename(RULES("model.*=*"), "a.model.b", "a.model.b");
    expect_rename(RULES("*.layers.*.q.*=blk.*.*.*"), "m.layers.7.q.w", "blk.m.7.w");
    expect_rename(RULES("*.*=*"), "a.b.c", "a"); /* the first capture is the shortest */
    expect_rename(RULES("*b*=<*|*>"), "abcb", "<a|cb>");
    expect_rename(RULES("a=b", "b=c"), "a", "c");
    expect_rename(RULES("a=b", "a=c"), "a", "b");
    expect_rename(RULES("*=x.*"), "", "x.");
    expect_rename(RULES("aa*aa=*"), "aaa", "aaa"); /* both ends do not fit */
    expect_rename(RULES("aa*aa=[*]"), "aaaa", "[]");
    expect_rename(RULES("a\\*b=\\*\\=\\\\"), "a*b", "*=\\");
    expect_rename(RULES("a\\*b=c"), "axb", "axb");
    refuse_rename("abc", "rename rule 'abc' is not of the form FROM=TO");
    refuse_rename("=x", "rename rule '=x' has nothing before '='");
    refuse_rename("a.*=*.*", "rename rule 'a.*=*.*' inserts 2 captures, but FROM has only 1 '*'");
    refuse_rename("*****************=x", "rename rule '*****************=x' has more than 16 '*' on one side");
}

/* ---- convert: what is refused ---- */

static void make_mixed(model *m) {
    model_init(m);
    model_add_f32(m, "model.w", "[4,8]", 32, 1);
    model_add_f32(m, "model.b", "[8]", 8, -3);
    model_add(m, "idx", "I32", "[3]", (int32_t[]){ 1, 2, 3 }, 12);
    model_add(m, "mask", "BOOL", "[2]", "\1\0", 2);
    model_add(m, "half", "BF16", "[2]", (uint16_t[]){ 0x3f80, 0x4000 }, 4);
    model_seal(m, "{\"format\":\"pt\",\"note\":\"kept\"}");
}

static void refuse_convert(const tola_checkpoint *ck, const char *out, const tola_convert_options *options,
                           tola_status status, const char *message) {
    tola_error err = TOLA_ERROR_INIT;
    tola_convert_summary summary = { .tensors = 77 };
    assert_int_equal(tola_convert(ck, unit_path(out), options, &summary, &err), status);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in '%s'", message, err.message);
    assert_int_equal(summary.tensors, 77);
    assert_int_equal(entries(unit_here()), 0);
}

static void test_refuses(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    tola_checkpoint *ck = model_open(&m);
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    o.rename = RULES("model.*=x");
    refuse_convert(ck, "o.safetensors", &o, TOLA_E_ARG, "tensors 'model.w' and 'model.b' would both be called 'x'");
    o.rename = RULES("model.*=*", "w=");
    refuse_convert(ck, "o.safetensors", &o, TOLA_E_ARG,
                   "tensor 'model.w': rename rule 'w=' leaves nothing of the name");
    o.rename = NULL;
    o.include = RULES("nothing*");
    refuse_convert(ck, "o.safetensors", &o, TOLA_E_NOT_FOUND, "include and exclude leave none of the 5 tensors");
    o.include = NULL;
    o.dtype_override = RULES("model.w");
    refuse_convert(ck, "o.safetensors", &o, TOLA_E_ARG, "dtype override 'model.w' is not of the form GLOB=DTYPE");
    o.dtype_override = RULES("model.w=f99");
    refuse_convert(ck, "o.safetensors", &o, TOLA_E_ARG, "dtype override 'model.w=f99': 'f99' is no dtype");
    o.dtype_override = RULES("model.w=c64");
    refuse_convert(ck, "o.safetensors", &o, TOLA_E_UNSUPPORTED,
                   "tensor 'model.w' is f32 and cannot become c64: complex numbers convert to complex numbers only");
    o.dtype_override = NULL;
    o.dtype = TOLA_DTYPE_Q4_K;
    refuse_convert(ck, "o.gguf", &o, TOLA_E_UNSUPPORTED, "tensor 'model.w' is f32 and cannot become q4_k: ");
    o.dtype = TOLA_DTYPE_NONE;
    refuse_convert(ck, "o.gguf", &o, TOLA_E_UNSUPPORTED,
                   "tensor 'mask': gguf cannot hold bool; --dtype-override 'mask=i8' would do");
    refuse_convert(ck, "o.xyz", &o, TOLA_E_ARG, "its extension says no format (known: .safetensors");
    o.format = "tarball";
    refuse_convert(ck, "o.xyz", &o, TOLA_E_ARG, "no format 'tarball' is written here");
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* ---- convert: what comes out ---- */

static void test_converts(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    tola_checkpoint *ck = model_open(&m);
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    o.dtype = TOLA_DTYPE_BF16;
    o.dtype_override = RULES("*.b=f64", "idx=i64");
    o.rename = RULES("model.*=m.*");
    o.exclude = RULES("mask");
    tola_convert_summary summary;
    tola_error err = TOLA_ERROR_INIT;
    const char *path = unit_path("o.safetensors");
    if (tola_convert(ck, path, &o, &summary, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(summary.tensors, 4);
    assert_int_equal(summary.files, 1);
    assert_int_equal(summary.bytes_in, 32 * 4 + 8 * 4 + 12 + 4);
    assert_int_equal(summary.bytes_out, 32 * 2 + 8 * 8 + 24 + 4);
    assert_int_equal(summary.overflowed, 0);
    assert_int_equal(tola_convert(ck, path, &o, &summary, &err), TOLA_E_EXISTS);
    o.overwrite = true;
    assert_int_equal(tola_convert(ck, path, &o, &summary, &err), TOLA_OK);
    assert_int_equal(entries(unit_here()), 1);

    tola_checkpoint *out = open_file(path);
    assert_int_equal(tola_checkpoint_tensor_count(out), 4);
    uint16_t *w = whole(out, "m.w", TOLA_DTYPE_BF16);
    assert_int_equal(w[0], 0x3f80);
    assert_int_equal(w[31], 0x4200);
    double *b = whole(out, "m.b", TOLA_DTYPE_F64);
    for (int i = 0; i < 8; i++) assert_true(b[i] == i - 3);
    int64_t *idx = whole(out, "idx", TOLA_DTYPE_I64);
    assert_int_equal(idx[2], 3);
    uint16_t *half = whole(out, "half", TOLA_DTYPE_BF16);
    assert_int_equal(half[1], 0x4000);
    const tola_value *metadata = tola_checkpoint_metadata(out);
    assert_string_equal(tola_value_str(tola_value_get(metadata, "note"), ""), "kept");
    assert_string_equal(tola_value_str(tola_value_get(metadata, "format"), ""), "pt");
    free(w);
    free(b);
    free(idx);
    free(half);
    tola_checkpoint_close(out);
    tola_checkpoint_close(ck);
    model_free(&m);
}

static void test_overflow(void **state) {
    (void)state;
    model m;
    model_init(&m);
    model_add(&m, "x", "F32", "[4]", (float[]){ 1, 70000, -1e30f, 65504 }, 16);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    for (int rule = TOLA_OVERFLOW_IEEE; rule <= TOLA_OVERFLOW_SATURATE; rule++) {
        tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
        o.dtype = TOLA_DTYPE_F16;
        o.overflow = (tola_overflow)rule;
        o.overwrite = true;
        tola_convert_summary summary;
        tola_error err = TOLA_ERROR_INIT;
        const char *path = unit_path("o.safetensors");
        if (tola_convert(ck, path, &o, &summary, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_int_equal(summary.overflowed, 2);
        tola_checkpoint *out = open_file(path);
        uint16_t *x = whole(out, "x", TOLA_DTYPE_F16);
        assert_int_equal(x[0], 0x3c00);
        assert_int_equal(x[1], rule == TOLA_OVERFLOW_IEEE ? 0x7c00 : 0x7bff);
        assert_int_equal(x[2], rule == TOLA_OVERFLOW_IEEE ? 0xfc00 : 0xfbff);
        assert_int_equal(x[3], 0x7bff);
        free(x);
        tola_checkpoint_close(out);
    }
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* Tensors of many blocks, of several at once, empty ones and scalars, on any number of threads. */
static void test_blocks(void **state) {
    (void)state;
    model m;
    model_init(&m);
    model_add_f32(&m, "long", "[3000001]", 3000001, 0);
    model_add_f32(&m, "scalar", "[]", 1, 5);
    model_add_f32(&m, "empty", "[0,4]", 0, 0);
    model_add_f32(&m, "matrix", "[1025,2049]", 1025 * 2049, 1);
    for (int i = 0; i < 3000; i++) {
        char name[32];
        snprintf(name, sizeof name, "small.%d", i);
        model_add_f32(&m, name, "[3]", 3, (float)i);
    }
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    static const unsigned threads[] = { 1, 2, 7, 64 };
    for (int k = 0; k < 4; k++) {
        tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
        o.dtype = k % 2 ? TOLA_DTYPE_F64 : TOLA_DTYPE_F32;
        o.threads = threads[k];
        o.overwrite = true;
        o.max_shard_size = 9000000;
        tola_error err = TOLA_ERROR_INIT;
        tola_convert_summary summary;
        char name[40];
        snprintf(name, sizeof name, "out%d/", k);
        if (tola_convert(ck, unit_path(name), &o, &summary, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_true(summary.files >= 2);
        tola_checkpoint *out = open_file(unit_path(name));
        assert_int_equal(tola_checkpoint_tensor_count(out), 3004);
        void *data = whole(out, "long", o.dtype);
        for (size_t i = 0; i < 3000001; i++)
            assert_true((k % 2 ? ((double *)data)[i] : (double)((float *)data)[i]) == (double)(float)i);
        free(data);
        data = whole(out, "matrix", o.dtype);
        for (size_t i = 0; i < 1025 * 2049; i++)
            assert_true((k % 2 ? ((double *)data)[i] : (double)((float *)data)[i]) == (double)(float)(i + 1));
        free(data);
        data = whole(out, "small.2999", o.dtype);
        assert_true((k % 2 ? ((double *)data)[2] : (double)((float *)data)[2]) == 3001);
        free(data);
        tola_checkpoint_close(out);
    }
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* ---- adopted plans: pieces, permutation, constant, inline data ---- */

static tola_status write_plan(const plan *p, const char *path, tola_error *err) {
    tola_tensor_spec specs[8];
    for (size_t i = 0; i < p->count; i++) {
        const plan_tensor *t = &p->tensors[i];
        specs[i] = (tola_tensor_spec){ t->name, t->shape, t->n_dims, t->dtype, 0 };
    }
    tola_writer *w = NULL;
    uint64_t overflowed = 0;
    stream_options options = { .threads = 2, .phase = "testing" };
    tola_status status = tola_writer_open(path, specs, p->count, NULL, &w, err);
    if (status != TOLA_OK) return status;
    status = stream_run(p, w, &options, &overflowed, err);
    if (status == TOLA_OK) return tola_writer_finish(w, err);
    tola_writer_abort(w);
    return status;
}

/* Output row of a group of d rows, as the definition says it. */
static uint64_t defined_row(plan_order order, uint64_t d, uint64_t r) {
    for (uint64_t s = 0; s < 2; s++)
        for (uint64_t j = 0; j < d / 2; j++) {
            if (order == PLAN_INTERLEAVE && 2 * j + s == r) return s * (d / 2) + j;
            if (order == PLAN_DEINTERLEAVE && s * (d / 2) + j == r) return 2 * j + s;
        }
    return r;
}

static void test_pieces(void **state) {
    (void)state;
    enum { ROWS = 1536, COLUMNS = 1100, HEADS = 6 };
    model m;
    model_init(&m);
    model_add_f32(&m, "q", "[1536,1100]", (size_t)ROWS * COLUMNS, 0);
    model_add_f32(&m, "k", "[1536,1100]", (size_t)ROWS * COLUMNS, 1e6f);
    model_add_f32(&m, "bias", "[1536]", ROWS, 0);
    model_add_f32(&m, "wide", "[2,1200000]", 2400000, 0);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    const uint64_t matrix[] = { ROWS, COLUMNS }, both[] = { 2, ROWS / 2, COLUMNS }, vector[] = { ROWS },
                   wide[] = { 2, 1200000 }, constant[] = { 3 };
    plan_piece q = { tola_checkpoint_find(ck, "q"), 0, (uint64_t)ROWS * COLUMNS };
    plan_piece bias = { tola_checkpoint_find(ck, "bias"), 0, ROWS };
    plan_piece all = { tola_checkpoint_find(ck, "wide"), 0, 2400000 };
    plan_piece halves[] = { { tola_checkpoint_find(ck, "k"), (uint64_t)ROWS / 2 * COLUMNS,
                              (uint64_t)ROWS / 2 * COLUMNS },
                            { q.tensor, 0, (uint64_t)ROWS / 2 * COLUMNS } };
    const int32_t numbers[] = { 7, 8, 9 };
    plan_tensor items[] = {
        { .name = "q.in",
          .shape = matrix,
          .n_dims = 2,
          .dtype = TOLA_DTYPE_F32,
          .order = PLAN_INTERLEAVE,
          .heads = HEADS,
          .row_elements = COLUMNS,
          .pieces = &q,
          .piece_count = 1 },
        { .name = "q.de",
          .shape = matrix,
          .n_dims = 2,
          .dtype = TOLA_DTYPE_F64,
          .order = PLAN_DEINTERLEAVE,
          .heads = HEADS,
          .row_elements = COLUMNS,
          .pieces = &q,
          .piece_count = 1 },
        { .name = "bias",
          .shape = vector,
          .n_dims = 1,
          .dtype = TOLA_DTYPE_F32,
          .order = PLAN_INTERLEAVE,
          .heads = HEADS,
          .row_elements = 1,
          .pieces = &bias,
          .piece_count = 1,
          .add = 0.5 },
        { .name = "halves", .shape = both, .n_dims = 3, .dtype = TOLA_DTYPE_F32, .pieces = halves, .piece_count = 2 },
        { .name = "halves.in",
          .shape = both,
          .n_dims = 3,
          .dtype = TOLA_DTYPE_F32,
          .order = PLAN_INTERLEAVE,
          .heads = 1,
          .row_elements = COLUMNS,
          .pieces = halves,
          .piece_count = 2 },
        { .name = "wide",
          .shape = wide,
          .n_dims = 2,
          .dtype = TOLA_DTYPE_F32,
          .order = PLAN_INTERLEAVE,
          .heads = 1,
          .row_elements = 1200000,
          .pieces = &all,
          .piece_count = 1,
          .add = 1 },
        { .name = "constant", .shape = constant, .n_dims = 1, .dtype = TOLA_DTYPE_I32, .data = numbers },
    };
    plan p;
    tola_error err = TOLA_ERROR_INIT;
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    plan_init(&p, ck);
    assert_int_equal(plan_adopt(&p, items, 7, &o, &err), TOLA_OK);
    assert_int_equal(plan_finish(&p, &o, "safetensors", writer_safetensors.holds, &err), TOLA_OK);
    const char *path = unit_path("o.safetensors");
    if (write_plan(&p, path, &err) != TOLA_OK) fail_msg("%s", err.message);

    tola_checkpoint *out = open_file(path);
    float *in_order = whole(out, "q.in", TOLA_DTYPE_F32);
    double *de_order = whole(out, "q.de", TOLA_DTYPE_F64);
    float *biases = whole(out, "bias", TOLA_DTYPE_F32), *joined = whole(out, "halves", TOLA_DTYPE_F32);
    float *shuffled = whole(out, "halves.in", TOLA_DTYPE_F32), *long_rows = whole(out, "wide", TOLA_DTYPE_F32);
    int32_t *inline_data = whole(out, "constant", TOLA_DTYPE_I32);
    const uint64_t d = ROWS / HEADS;
    for (uint64_t r = 0; r < ROWS; r++) {
        uint64_t a = r / d * d + defined_row(PLAN_INTERLEAVE, d, r % d);
        uint64_t b = r / d * d + defined_row(PLAN_DEINTERLEAVE, d, r % d);
        uint64_t c = defined_row(PLAN_INTERLEAVE, ROWS, r);
        assert_true(biases[r] == (float)a + 0.5f);
        for (uint64_t i = 0; i < COLUMNS; i++) {
            assert_true(in_order[r * COLUMNS + i] == (float)(a * COLUMNS + i));
            assert_true(de_order[r * COLUMNS + i] == (double)(float)(b * COLUMNS + i));
            float first = 1e6f + (float)((r + ROWS / 2) * COLUMNS + i);
            float second = (float)((r - ROWS / 2) * COLUMNS + i);
            assert_true(joined[r * COLUMNS + i] == (r < ROWS / 2 ? first : second));
            assert_true(shuffled[r * COLUMNS + i] == joined[c * COLUMNS + i]);
        }
    }
    for (size_t i = 0; i < 2400000; i++) assert_true(long_rows[i] == (float)i + 1);
    assert_memory_equal(inline_data, numbers, sizeof numbers);
    free(in_order);
    free(de_order);
    free(biases);
    free(joined);
    free(shuffled);
    free(long_rows);
    free(inline_data);
    tola_checkpoint_close(out);
    plan_dispose(&p);
    tola_checkpoint_close(ck);
    model_free(&m);
}

static void refuse_adopted(const tola_checkpoint *ck, plan_tensor item, const tola_convert_options *o,
                           const char *message) {
    plan p;
    tola_error err = TOLA_ERROR_INIT;
    plan_init(&p, ck);
    assert_int_not_equal(plan_adopt(&p, &item, 1, o, &err), TOLA_OK);
    if (!strstr(err.message, message)) fail_msg("'%s' is not in '%s'", message, err.message);
    plan_dispose(&p);
}

static void test_adopted_refuses(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    tola_checkpoint *ck = model_open(&m);
    size_t w = tola_checkpoint_find(ck, "model.w"), b = tola_checkpoint_find(ck, "model.b");
    const uint64_t shape[] = { 5, 8 };
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT, without_b = TOLA_CONVERT_OPTIONS_INIT;
    without_b.exclude = RULES("model.b");
    plan_piece pieces[] = { { w, 0, 32 }, { b, 0, 8 } };
    plan_tensor t = {
        .name = "t", .shape = shape, .n_dims = 2, .dtype = TOLA_DTYPE_F32, .pieces = pieces, .piece_count = 2
    };
    refuse_adopted(ck, t, &without_b, "tensor 't' needs both 'model.w', which include and exclude keep, and 'model.b'");
    t.order = PLAN_INTERLEAVE;
    t.row_elements = 8;
    t.heads = 1;
    refuse_adopted(ck, t, &o, "does not split into 1 heads of an even number of rows");
    t.order = PLAN_IN_ORDER;
    t.piece_count = 1;
    refuse_adopted(ck, t, &o, "tensor 't' has 40 elements, its sources 32");
    pieces[0].first = 1;
    refuse_adopted(ck, t, &o, "takes elements beyond the end of 'model.w'");
    pieces[0] = (plan_piece){ tola_checkpoint_find(ck, "half"), 0, 2 };
    t.piece_count = 2;
    refuse_adopted(ck, t, &o, "one tensor cannot be made of two dtypes");
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* ---- outputs that would hurt inputs ---- */

static void test_clashes(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    tola_checkpoint *memory = model_open(&m);
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    o.exclude = RULES("mask");
    o.max_shard_size = 100;
    assert_int_equal(tola_convert(memory, unit_path("model.safetensors"), &o, NULL, &err), TOLA_OK);
    assert_int_equal(access(unit_path("model.safetensors.index.json"), F_OK), 0);
    tola_checkpoint_close(memory);
    model_free(&m);
    int files = entries(unit_here());

    o.overwrite = true;
    tola_checkpoint *ck = open_file(unit_path("model.safetensors.index.json"));
    const char *first = tola_checkpoint_file(ck, 0)->path;
    assert_int_equal(tola_convert(ck, unit_path("model.safetensors"), &o, NULL, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "the output would belong to the same shards as the input"));
    assert_int_equal(tola_convert(ck, unit_here(), &o, NULL, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "the output would lie in the folder of the input"));
    o.max_shard_size = 0;
    assert_int_equal(symlink(first, unit_path("link.safetensors")), 0);
    assert_int_equal(tola_convert(ck, unit_path("link.safetensors"), &o, NULL, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "the output would replace the input"));
    assert_int_equal(entries(unit_here()), files + 1);

    assert_int_equal(mkdir(unit_path("old"), 0777), 0);
    unit_write(unit_path("old/pytorch_model.bin"), "x", 1);
    assert_int_equal(tola_convert(ck, unit_path("old"), &o, NULL, &err), TOLA_E_EXISTS);
    assert_non_null(strstr(err.message, "the folder holds pytorch_model.bin, which this output would not replace"));
    assert_int_equal(entries(unit_path("old")), 1);
    tola_checkpoint_close(ck);
}

static void test_missing(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    tola_checkpoint *memory = model_open(&m);
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    o.max_shard_size = 100;
    assert_int_equal(tola_convert(memory, unit_path("m.safetensors"), &o, NULL, &err), TOLA_OK);
    tola_checkpoint_close(memory);
    model_free(&m);
    assert_int_equal(unlink(unit_path("m-00001-of-00002.safetensors")), 0);
    tola_open_options tolerant = TOLA_OPEN_OPTIONS_INIT;
    tolerant.tolerant = true;
    tola_checkpoint *ck = NULL;
    if (tola_checkpoint_open(unit_path("m.safetensors.index.json"), &tolerant, &ck, &err) != TOLA_OK)
        fail_msg("%s", err.message);
    o.max_shard_size = 0;
    assert_int_equal(tola_convert(ck, unit_path("o.safetensors"), &o, NULL, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "tensor 'model.w' cannot be converted: its shard "));
    assert_non_null(strstr(err.message, "m-00001-of-00002.safetensors is not there"));
    o.exclude = RULES("model.w");
    if (tola_convert(ck, unit_path("o.safetensors"), &o, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    tola_checkpoint_close(ck);
}

/* ---- folders: configuration and companions ---- */

static void expect_config(const char *text, const char *wanted) {
    buf out;
    buf_init(&out, 0);
    assert_int_equal(carry_config(text, strlen(text), TOLA_DTYPE_BF16, &out, NULL), TOLA_OK);
    buf_u8(&out, 0);
    assert_string_equal((char *)out.data, wanted);
    buf_free(&out);
}

/* Wherever the member stands, what is left is JSON with everything else byte for byte. */
static void test_config_decoded(void **state) {
    static const struct {
        const char *before, *after;
    } cases[] = {
        { "{\"a\": 1, \"quantization_config\": {\"bits\": 4}, \"b\": 2}", "{\"a\": 1, \"b\": 2}" },
        { "{\"quantization_config\": {}, \"b\": 2}", "{ \"b\": 2}" },
        { "{\n \"quantization\": [1],\n \"quantization_config\": null\n}", "{\n}" },
        { "{\"quantization\":1,\"quantization_config\":{\"x\":{}},\"c\":3}", "{\"c\":3}" },
        { "{\"a\":1,\"quantization\":1}", "{\"a\":1}" },
        { "{\"text_config\": {\"n\": 1, \"quantization_config\": 5}}", "{\"text_config\": {\"n\": 1}}" },
        { "{\"other\": {\"quantization_config\": 5}}", "{\"other\": {\"quantization_config\": 5}}" },
        { "{\"quantization_config\": {}, oops", "{\"quantization_config\": {}, oops" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf out;
        buf_init(&out, 0);
        assert_int_equal(carry_config_decoded(cases[i].before, strlen(cases[i].before), &out, NULL), TOLA_OK);
        buf_u8(&out, 0);
        assert_string_equal((const char *)out.data, cases[i].after);
        buf_free(&out);
    }
}

static void test_config(void **state) {
    (void)state;
    expect_config("{ \"torch_dtype\" : \"float32\",\n \"a\":1.50}", "{ \"torch_dtype\" : \"bfloat16\",\n \"a\":1.50}");
    expect_config("{\"dtype\":\"float16\",\"text_config\":{\"dtype\":\"float16\"}}",
                  "{\"dtype\":\"bfloat16\",\"text_config\":{\"dtype\":\"bfloat16\"}}");
    expect_config("{\"quantization_config\":{\"dtype\":\"int8\"},\"x\":{\"torch_dtype\":\"float32\"}}",
                  "{\"quantization_config\":{\"dtype\":\"int8\"},\"x\":{\"torch_dtype\":\"float32\"}}");
    expect_config("{\"torch_dtype\":null,\"x\":\"dtype\"}", "{\"torch_dtype\":null,\"x\":\"dtype\"}");
    expect_config("{\"torch_dtype\":\"float32\"", "{\"torch_dtype\":\"float32\""); /* no JSON: as it is */
}

static void test_companions(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    assert_int_equal(mkdir(unit_path("in"), 0777), 0);
    unit_write(unit_path("in/model.safetensors"), m.image.data, m.image.length);
    const char *config = "{\"model_type\":\"odd\",\"torch_dtype\":\"float32\"}";
    unit_write(unit_path("in/config.json"), config, strlen(config));
    unit_write(unit_path("in/tokenizer.json"), "{}", 2);
    unit_write(unit_path("in/secret.txt"), "no", 2);
    model_free(&m);
    tola_checkpoint *ck = open_file(unit_path("in"));
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    tola_error err = TOLA_ERROR_INIT;
    o.dtype = TOLA_DTYPE_BF16;
    assert_int_equal(tola_convert(ck, unit_path("out/"), &o, NULL, &err), TOLA_OK);
    assert_int_equal(entries(unit_path("out")), 3);
    tola_checkpoint *out = open_file(unit_path("out"));
    assert_string_equal(tola_value_str(tola_value_get(tola_checkpoint_config(out), "torch_dtype"), ""), "bfloat16");
    tola_checkpoint_close(out);

    assert_int_equal(tola_convert(ck, unit_path("o.gguf"), &o, NULL, &err), TOLA_E_UNSUPPORTED);
    assert_string_equal(err.message, "odd has no known names in GGUF; --keep-names converts the container alone");
    o.keep_names = true;
    o.exclude = RULES("mask");
    if (tola_convert(ck, unit_path("o.gguf"), &o, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    tola_checkpoint_close(ck);
    assert_int_equal(entries(unit_here()), 3);
}

/* Companions lie in the folder or below it: their names may come from files. */
static void test_companion_paths(void **state) {
    (void)state;
    static const char *const elsewhere[] = { "../secret.txt", "deep/../../secret.txt", "/etc/hostname", "deep//x.json",
                                             "./deep/x.json", "",                      "..",            "deep/" };
    model m;
    void *data;
    size_t bytes;
    tola_error err = TOLA_ERROR_INIT;
    make_mixed(&m);
    assert_int_equal(mkdir(unit_path("in"), 0777), 0);
    assert_int_equal(mkdir(unit_path("in/deep"), 0777), 0);
    unit_write(unit_path("in/model.safetensors"), m.image.data, m.image.length);
    unit_write(unit_path("in/deep/x.json"), "inside", 6);
    unit_write(unit_path("secret.txt"), "no", 2);
    model_free(&m);
    tola_checkpoint *ck = open_file(unit_path("in"));
    assert_int_equal(tola_checkpoint_companion(ck, "deep/x.json", &data, &bytes, &err), TOLA_OK);
    assert_int_equal(bytes, 6);
    tola_free(data);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (tola_checkpoint_companion(ck, elsewhere[i], &data, &bytes, &err) != TOLA_E_NOT_FOUND)
            fail_msg("%s", elsewhere[i]);
    tola_checkpoint_close(ck);
}

/* ---- cancelling and failing ---- */

typedef struct watch {
    uint64_t calls, last, synced, total;
    uint64_t stop_at; /* call that says stop */
    atomic_int inside;
} watch;

static bool on_progress(void *user, const tola_progress *p) {
    watch *w = user;
    assert_int_equal(atomic_fetch_add(&w->inside, 1), 0); /* never two at once */
    bool syncing = strcmp(p->phase, "syncing") == 0;
    assert_true(syncing || (w->synced == 0 && strcmp(p->phase, "converting") == 0));
    assert_true(p->done >= (syncing ? w->synced : w->last) && p->done <= p->total);
    *(syncing ? &w->synced : &w->last) = p->done;
    w->total = p->total;
    bool go_on = ++w->calls < w->stop_at;
    atomic_fetch_sub(&w->inside, 1);
    return go_on;
}

static void test_progress(void **state) {
    (void)state;
    model m;
    model_init(&m);
    model_add_f32(&m, "long", "[6000000]", 6000000, 0);
    model_seal(&m, NULL);
    tola_checkpoint *ck = model_open(&m);
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    watch w = { .stop_at = UINT64_MAX };
    tola_error err = TOLA_ERROR_INIT;
    o.progress = on_progress;
    o.progress_user = &w;
    assert_int_equal(tola_convert(ck, unit_path("a.safetensors"), &o, NULL, &err), TOLA_OK);
    assert_true(w.calls >= 2);
    assert_int_equal(w.last, 24000000);
    assert_true(w.synced > 24000000); /* the header, too */
    assert_int_equal(w.total, w.synced);
    assert_int_equal(unlink(unit_path("a.safetensors")), 0);
    uint64_t calls = w.calls;
    for (uint64_t stop = 1; stop <= calls; stop++) { /* the last call, after the last block, counts too */
        w = (watch){ .stop_at = stop };
        tola_status status = tola_convert(ck, unit_path("a.safetensors"), &o, NULL, &err);
        if (status == TOLA_OK) { /* fewer calls than before: it was never told to stop */
            assert_true(w.calls < stop);
            assert_int_equal(unlink(unit_path("a.safetensors")), 0);
            continue;
        }
        assert_int_equal(status, TOLA_E_CANCELLED);
        assert_int_equal(entries(unit_here()), 0);
    }
    tola_checkpoint_close(ck);
    model_free(&m);
}

/* Every allocation, read and write fails in turn: a status and a message, no file, no leak. */
static void test_faults(void **state) {
    (void)state;
    model m;
    make_mixed(&m);
    assert_int_equal(mkdir(unit_path("in"), 0777), 0);
    unit_write(unit_path("in/model.safetensors"), m.image.data, m.image.length);
    unit_write(unit_path("in/config.json"), "{\"torch_dtype\":\"float32\"}", 25);
    model_free(&m);
    tola_checkpoint *ck = open_file(unit_path("in"));
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    o.dtype = TOLA_DTYPE_BF16;
    o.rename = RULES("model.*=*");
    o.dtype_override = RULES("idx=i64");
    o.max_shard_size = 64;
    o.threads = 2;
    watch w = { .stop_at = UINT64_MAX };
    o.progress = on_progress;
    o.progress_user = &w;
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        bool hit = true;
        for (uint64_t n = 0; hit; n++) {
            tola_error err = TOLA_ERROR_INIT;
            w = (watch){ .stop_at = UINT64_MAX };
            fault_arm((fault_kind)kind, n, false);
            tola_status status = tola_convert(ck, unit_path("out/"), &o, NULL, &err);
            hit = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status == TOLA_OK) {
                assert_true(entries(unit_path("out")) >= 3);
                unit_remove(unit_path("out"));
                continue; /* a fault that does no harm: one thread less */
            }
            assert_true(hit);
            assert_int_equal(status, err.status);
            assert_true(strlen(err.message) > 0);
            assert_int_equal(entries(unit_here()), 1);
        }
    }
    tola_checkpoint_close(ck);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rename),
        cmocka_unit_test_setup_teardown(test_refuses, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_converts, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_overflow, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_blocks, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_adopted_refuses, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_clashes, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_missing, unit_set_up, unit_tear_down),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_config_decoded),
        cmocka_unit_test_setup_teardown(test_companions, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_companion_paths, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_progress, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_faults, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
