/* Importance matrices: both formats by hand, their means, and what is refused. */
#include "transform/imatrix.h"

#include "base/mem.h"
#include "unit.h"
#include "gguf_build.h"

#include <math.h>

static void put_f32(buf *b, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    buf_u32le(b, bits);
}

static void put_entry(buf *b, const char *name, uint32_t calls, const float *values, uint32_t count) {
    buf_u32le(b, (uint32_t)strlen(name));
    buf_append(b, name, strlen(name));
    buf_u32le(b, calls);
    buf_u32le(b, count);
    for (uint32_t i = 0; i < count; i++) put_f32(b, values[i]);
}

static const float four[4] = { 1, 2, 0, 8 };

static void put_old(buf *b) {
    buf_init(b, 0);
    buf_u32le(b, 2);
    put_entry(b, "blk.1.ffn_up.weight", 4, four, 4);
    put_entry(b, "blk.0.ffn_up.weight", 0, four, 3);
}

static tola_status open_buf(const buf *b, imatrix **m, tola_error *err) {
    *err = (tola_error)TOLA_ERROR_INIT;
    return imatrix_open_memory("t.dat", b->data, b->length, m, err);
}

static void old_format(void **state) {
    (void)state;
    buf b;
    imatrix *m;
    tola_error err;
    put_old(&b);
    assert_int_equal(open_buf(&b, &m, &err), TOLA_OK);
    assert_int_equal(imatrix_count(m), 2);
    assert_int_equal(imatrix_chunks(m), 0);
    assert_null(imatrix_dataset(m));
    assert_string_equal(imatrix_at(m, 0)->name, "blk.0.ffn_up.weight");
    assert_null(imatrix_at(m, 2));
    const imatrix_entry *e = imatrix_find(m, "blk.1.ffn_up.weight");
    assert_int_equal(e->columns, 4);
    assert_int_equal(e->matrices, 1);
    assert_true(e->values[0] == 0.25f && e->values[1] == 0.5f && e->values[2] == 0 && e->values[3] == 2);
    e = imatrix_find(m, "blk.0.ffn_up.weight"); /* no calls: values stay as they are */
    assert_true(e->columns == 3 && e->values[1] == 2);
    assert_null(imatrix_find(m, "blk.2.ffn_up.weight"));
    imatrix_free(m);

    buf_u32le(&b, 77);
    assert_int_equal(open_buf(&b, &m, &err), TOLA_OK);
    assert_int_equal(imatrix_chunks(m), 77);
    imatrix_free(m);
    buf_u32le(&b, 4);
    buf_append(&b, "text", 4);
    assert_int_equal(open_buf(&b, &m, &err), TOLA_OK);
    assert_string_equal(imatrix_dataset(m), "text");
    imatrix_free(m);
    buf_free(&b);
    imatrix_free(NULL);
}

static void values_of_a_shape(void **state) {
    (void)state;
    buf b;
    imatrix *m;
    tola_error err;
    const float *v;
    put_old(&b);
    assert_int_equal(open_buf(&b, &m, &err), TOLA_OK);
    assert_int_equal(imatrix_values(m, "none", 1, 4, &v, &err), TOLA_OK);
    assert_null(v);
    assert_int_equal(imatrix_values(m, "blk.1.ffn_up.weight", 1, 4, &v, &err), TOLA_OK);
    assert_true(v[3] == 2);
    assert_int_equal(imatrix_values(m, "blk.1.ffn_up.weight", 2, 2, &v, &err), TOLA_OK); /* the old format: no shape */
    assert_int_equal(imatrix_values(m, "blk.1.ffn_up.weight", 1, 5, &v, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "blk.1.ffn_up.weight"));
    assert_int_equal(imatrix_values(m, "blk.1.ffn_up.weight", UINT64_MAX, 4, &v, &err), TOLA_E_FORMAT);
    imatrix_free(m);
    buf_free(&b);
}

/* Every cut of a file but those after a whole part is refused, and each failing allocation is told. */
static void truncated(void **state) {
    (void)state;
    buf b;
    imatrix *m;
    tola_error err;
    put_old(&b);
    size_t whole = b.length;
    buf_u32le(&b, 77);
    buf_u32le(&b, 4);
    buf_append(&b, "text", 4);
    for (size_t n = 0; n < b.length; n++) {
        err = (tola_error)TOLA_ERROR_INIT;
        tola_status status = imatrix_open_memory("t.dat", b.data, n, &m, &err);
        if (n == whole || n == whole + 4) {
            assert_int_equal(status, TOLA_OK);
            imatrix_free(m);
        } else {
            assert_int_equal(status, TOLA_E_FORMAT);
            assert_true(strncmp(err.message, "t.dat: offset ", 14) == 0);
        }
    }
    for (uint64_t n = 0;; n++) {
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = open_buf(&b, &m, &err);
        fault_disarm();
        if (status == TOLA_OK) break;
        assert_int_equal(status, TOLA_E_NOMEM);
    }
    imatrix_free(m);
    buf_free(&b);
}

static void refused_old(void **state) {
    (void)state;
    static const struct {
        uint32_t at, value;
        const char *says;
    } changes[] = {
        { 0, 0, "the number of entries" },        { 0, 0xffffffff, "the number of entries" },
        { 0, 3, "the length of a name is" },      { 4, 0, "the length of a name" },
        { 4, 0x7fffffff, "the length of a name" }, { 31, 0, "the number of values" },
        { 31, 0x7fffffff, "the number of values" }, { 35, 0xbf800000, "value 0 of 'blk.1.ffn_up.weight' is -1" },
        { 39, 0x7fc00000, "is nan" },             { 43, 0x7f800000, "is inf" },
        { 8, 0, "no text" },                      { 8, 0xffffffff, "no text" },
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        buf b;
        imatrix *m;
        tola_error err;
        put_old(&b);
        for (unsigned k = 0; k < 4; k++) b.data[changes[i].at + k] = (uint8_t)(changes[i].value >> 8 * k);
        if (i == 2) buf_u32le(&b, 0), buf_zeros(&b, 64); /* a third entry without a name */
        assert_int_equal(open_buf(&b, &m, &err), TOLA_E_FORMAT);
        if (!strstr(err.message, changes[i].says)) fail_msg("%zu: %s", i, err.message);
        buf_free(&b);
    }
    buf b;
    imatrix *m;
    tola_error err;
    buf_init(&b, 0);
    buf_u32le(&b, 2);
    put_entry(&b, "same", 1, four, 1);
    put_entry(&b, "same", 1, four, 1);
    assert_int_equal(open_buf(&b, &m, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "tensor 'same': two entries"));
    buf_free(&b);
    assert_int_equal(imatrix_open_memory("t.dat", NULL, 0, &m, &err), TOLA_E_FORMAT);
    assert_int_equal(imatrix_open("/nowhere/i.dat", &m, &err), TOLA_E_NOT_FOUND);
}

/* A GGUF of one tensor of two experts, three columns; `ending` and counts' type as wished. */
static void put_gguf(file *f, const char *ending, uint64_t counts, uint32_t counts_type, const float *sums,
                     const float *count) {
    static const uint64_t shape[2] = { 3, 2 };
    begin(f, 2, 2);
    key(f, "imatrix.chunk_count", GGUF_U32);
    u32(f, 9);
    key(f, "imatrix.datasets", GGUF_ARRAY);
    u32(f, GGUF_STRING);
    u64(f, 1);
    text(f, "a text");
    tensor(f, "e.weight.in_sum2", 2, shape, 0, 0);
    char name[64];
    snprintf(name, sizeof name, "e.weight%s", ending);
    tensor1(f, name, counts, counts_type, 32);
    pad(f, 32);
    put(f, sums, 6 * sizeof *sums);
    pad(f, 32);
    put(f, count, counts * (counts_type ? 2 : 4));
    pad(f, 32);
}

static const float sums[6] = { 2, 4, 8, 7, 7, 7 }, counts[2] = { 4, 0 };

static tola_status open_gguf(const file *f, imatrix **m, tola_error *err) {
    *err = (tola_error)TOLA_ERROR_INIT;
    return imatrix_open_memory("t.gguf", f->data, f->length, m, err);
}

static void gguf_format(void **state) {
    (void)state;
    file *f = fresh();
    imatrix *m;
    tola_error err;
    put_gguf(f, ".counts", 2, 0, sums, counts);
    assert_int_equal(open_gguf(f, &m, &err), TOLA_OK);
    assert_int_equal(imatrix_chunks(m), 9);
    assert_string_equal(imatrix_dataset(m), "a text");
    assert_int_equal(imatrix_count(m), 1);
    const imatrix_entry *e = imatrix_find(m, "e.weight");
    assert_true(e->matrices == 2 && e->columns == 3);
    static const float means[6] = { 0.5f, 1, 2, 1, 1, 1 }; /* the second expert met nothing */
    assert_memory_equal(e->values, means, sizeof means);
    const float *v;
    assert_int_equal(imatrix_values(m, "e.weight", 2, 3, &v, &err), TOLA_OK);
    assert_int_equal(imatrix_values(m, "e.weight", 3, 2, &v, &err), TOLA_E_FORMAT);
    assert_int_equal(imatrix_values(m, "e.weight", 1, 6, &v, &err), TOLA_E_FORMAT);
    imatrix_free(m);
    for (uint64_t n = 0;; n++) {
        fault_arm(FAULT_ALLOC, n, true);
        tola_status status = open_gguf(f, &m, &err);
        fault_disarm();
        if (status == TOLA_OK) break;
        assert_int_equal(status, TOLA_E_NOMEM);
    }
    imatrix_free(m);

    const char *folder = unit_folder();
    char path[300];
    snprintf(path, sizeof path, "%s/i.gguf", folder);
    unit_write(path, f->data, f->length);
    assert_int_equal(imatrix_open(path, &m, &err), TOLA_OK);
    assert_int_equal(imatrix_count(m), 1);
    imatrix_free(m);
    unit_remove(folder);
    free(f);
}

static void refused_gguf(void **state) {
    (void)state;
    static const float bad_sums[6] = { 2, 4, -8, 7, 7, 7 }, bad_counts[2] = { NAN, 1 }, many[4] = { 1, 1, 1, 1 };
    static const struct {
        const char *ending;
        uint64_t count;
        uint32_t type;
        const float *sums, *counts;
        const char *says;
    } cases[] = {
        { ".count", 2, 0, sums, counts, "tensor 'e.weight.in_sum2': has no counts" },
        { ".counts", 2, 1, sums, counts, "tensor 'e.weight.counts': is not f32" },
        { ".counts", 4, 0, sums, many, "counts do not divide" },
        { ".counts", 0, 0, sums, counts, "dimension 0 is 0" },
        { ".counts", 2, 0, bad_sums, counts, "tensor 'e.weight.in_sum2': value 2 is -8" },
        { ".counts", 2, 0, sums, bad_counts, "tensor 'e.weight.counts': value 0 is nan" },
    };
    file *f = fresh();
    imatrix *m;
    tola_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_gguf(f, cases[i].ending, cases[i].count, cases[i].type, cases[i].sums, cases[i].counts);
        assert_int_equal(open_gguf(f, &m, &err), TOLA_E_FORMAT);
        if (!strstr(err.message, cases[i].says) || strncmp(err.message, "t.gguf: ", 8) != 0 ||
            strstr(err.message + 1, "t.gguf: "))
            fail_msg("%zu: %s", i, err.message);
    }
    begin(f, 0, 0);
    assert_int_equal(open_gguf(f, &m, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "t.gguf: no importance matrix"));
    free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_format),   cmocka_unit_test(values_of_a_shape), cmocka_unit_test(truncated),
        cmocka_unit_test(refused_old),  cmocka_unit_test(gguf_format),       cmocka_unit_test(refused_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
