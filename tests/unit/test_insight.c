/* Summary, digest, statistics and differences over small safetensors files in memory; every allocation in them fails
 * in turn. Values are compared with numpy in tests/oracle. */
#include "unit.h"

#include <math.h>

#include "base/mem.h"
#include "base/text.h"
#include "insight/describe.h"
#include "insight/job.h"
#include "insight/packed.h"

/* ---- a file in memory ---- */

typedef struct file {
    uint8_t bytes[1 << 16];
    size_t length;
} file;

/* `entries` is the inside of the header, payload follows as it is. */
static void make(file *f, const char *entries, const void *payload, size_t bytes) {
    char header[8192];
    int n = snprintf(header, sizeof header, "{%s}", entries);
    assert_true(n > 0 && (size_t)n < sizeof header && 8 + (size_t)n + bytes <= sizeof f->bytes);
    for (int i = 0; i < 8; i++) f->bytes[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(f->bytes + 8, header, (size_t)n);
    if (bytes) memcpy(f->bytes + 8 + n, payload, bytes);
    f->length = 8 + (size_t)n + bytes;
}

static tola_checkpoint *open_file(const file *f) {
    tola_checkpoint *ck = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (tola_checkpoint_open_memory("x.safetensors", f->bytes, f->length, &ck, &err) != TOLA_OK) fail_msg("%s", err.message);
    return ck;
}

static const float weights[12] = { 1, -2, 3, -4, 5, -6, 0, 8, -9, 10, 11, 12 };

static void make_plain(file *f) {
    make(f, "\"model.layers.0.mlp.up_proj.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
            "\"model.layers.1.mlp.up_proj.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,48]},"
            "\"__metadata__\":{\"license\":\"mit\"}",
         weights, sizeof weights);
}

/* ---- summary ---- */

static void test_roles(void **state) {
    (void)state;
    assert_string_equal(tola_role_name(TOLA_ROLE_FEED_FORWARD), "feed_forward");
    assert_string_equal(tola_role_name(TOLA_ROLE_STATE), "state");
    assert_string_equal(tola_role_name(TOLA_ROLE_COUNT), "?");
    assert_string_equal(tola_role_name((tola_role)-1), "?");
    for (int i = 0; i < TOLA_ROLE_COUNT; i++) assert_non_null(tola_role_name((tola_role)i));
}

static void test_summary(void **state) {
    (void)state;
    static file f;
    make_plain(&f);
    tola_checkpoint *ck = open_file(&f);
    tola_summary s;
    uint8_t roles[2];
    assert_int_equal(tola_summarize(ck, &s, roles, NULL), TOLA_OK);
    assert_int_equal(s.parameters, 12);
    assert_int_equal(s.active, 12);
    assert_int_equal(s.by_role[TOLA_ROLE_FEED_FORWARD], 12);
    assert_int_equal(roles[0], TOLA_ROLE_FEED_FORWARD);
    assert_int_equal(s.bytes_tensors, 48);
    assert_int_equal(s.bytes_files, f.length);
    assert_true(s.bits_per_weight == 32);
    assert_int_equal(s.layers, 2);
    assert_int_equal(s.dtypes[TOLA_DTYPE_F32].tensors, 2);
    assert_string_equal(s.licence, "mit");
    assert_null(s.tokenizer);
    tola_summary_dispose(&s);
    tola_summary_dispose(&s); /* twice does nothing */
    tola_summary_dispose(NULL);
    tola_checkpoint_close(ck);
}

static void test_empty(void **state) {
    (void)state;
    static file f;
    make(&f, "", NULL, 0);
    tola_checkpoint *ck = open_file(&f);
    tola_summary s;
    char digest[65];
    tola_stats stats;
    tola_diff diff;
    assert_int_equal(tola_summarize(ck, &s, NULL, NULL), TOLA_OK);
    assert_int_equal(s.parameters, 0);
    assert_true(s.bits_per_weight == 0);
    tola_summary_dispose(&s);
    assert_int_equal(tola_digest(ck, NULL, digest, NULL), TOLA_OK);
    /* SHA-256 of "tola-digest-1\n" */
    assert_string_equal(digest, "b627e76300ca3e3e461956a54ebf27df6e049300294a50a2d0c7c8b07da1c6f6");
    assert_int_equal(tola_stats_compute(ck, NULL, &stats, NULL), TOLA_OK);
    assert_int_equal(stats.count, 0);
    tola_stats_dispose(&stats);
    assert_int_equal(tola_diff_compute(ck, ck, NULL, &diff, NULL), TOLA_OK);
    assert_true(diff.same);
    tola_diff_dispose(&diff);
    tola_checkpoint_close(ck);
}

/* Packed weights count as what they stand for, their scales do not count, plain integers are buffers. */
static void test_packed(void **state) {
    (void)state;
    static file f;
    static const uint8_t zeros[1024];
    make(&f, "\"l.qweight\":{\"dtype\":\"I32\",\"shape\":[8,16],\"data_offsets\":[0,512]},"
             "\"l.qzeros\":{\"dtype\":\"I32\",\"shape\":[1,4],\"data_offsets\":[512,528]},"
             "\"l.scales\":{\"dtype\":\"F16\",\"shape\":[1,16],\"data_offsets\":[528,560]},"
             "\"ids\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[560,576]},"
             "\"free.scales\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[576,580]},"
             "\"m.weight\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[580,584]}",
         zeros, 584);
    tola_checkpoint *ck = open_file(&f);
    tola_summary s;
    uint8_t roles[6];
    assert_int_equal(tola_summarize(ck, &s, roles, NULL), TOLA_OK);
    assert_int_equal(s.parameters, 512 * 8 / 8 + 1); /* 32 * 4 / 16 = 8 bits a weight; a scale of nothing is a parameter */
    assert_int_equal(s.buffers, 2 + 4);              /* bytes called weight, without anything that quantizes them */
    assert_int_equal(roles[tola_checkpoint_find(ck, "l.qzeros")], TOLA_ROLE_QUANT);
    assert_int_equal(roles[tola_checkpoint_find(ck, "l.scales")], TOLA_ROLE_QUANT);
    assert_int_equal(roles[tola_checkpoint_find(ck, "ids")], TOLA_ROLE_BUFFER);
    tola_summary_dispose(&s);
    tola_checkpoint_close(ck);
}

static void test_file_types(void **state) {
    (void)state;
    assert_string_equal(describe_file_type(15), "Q4_K - Medium");
    assert_null(describe_file_type(0));
    assert_null(describe_file_type(1));
    assert_null(describe_file_type(UINT64_MAX));
}

/* ---- jobs ---- */

typedef struct seen {
    uint64_t bytes[8];
    pthread_mutex_t lock;
} seen;

static tola_status note_piece(void *context, const job_piece *p, tola_error *err) {
    seen *s = context;
    (void)err;
    pthread_mutex_lock(&s->lock);
    s->bytes[p->item] += p->size;
    pthread_mutex_unlock(&s->lock);
    return TOLA_OK;
}

static void test_pieces(void **state) {
    (void)state;
    job j;
    seen s = { { 0 }, PTHREAD_MUTEX_INITIALIZER };
    const job_item items[] = { { 0, 0, 10 }, { 1, 100, 7 }, { 2, 7, 7 }, { 3, 8, 7 }, { 4, UINT64_C(1) << 40, 0 } };
    assert_int_equal(job_pieces(&items[0]), 1);
    assert_int_equal(job_pieces(&items[1]), 15);
    assert_int_equal(job_pieces(&items[2]), 1);
    assert_int_equal(job_pieces(&items[3]), 2);
    assert_int_equal(job_pieces(&items[4]), 1);
    assert_int_equal(job_open(&j, 3, NULL, NULL, "x", 0, NULL), TOLA_OK);
    assert_int_equal(job_run(&j, items, 5, note_piece, &s, NULL), TOLA_OK);
    for (int i = 0; i < 5; i++) assert_int_equal(s.bytes[i], items[i].size);
    assert_int_equal(job_run(&j, items, 0, note_piece, &s, NULL), TOLA_OK);
    job_close(&j);
}

static bool stop_at_once(void *user, const tola_progress *progress) {
    (void)progress;
    ++*(int *)user;
    return false;
}

static void test_cancel(void **state) {
    (void)state;
    static file f;
    make_plain(&f);
    tola_checkpoint *ck = open_file(&f);
    int calls = 0;
    char digest[65] = "untouched";
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.progress = stop_at_once;
    options.progress_user = &calls;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_digest(ck, &options, digest, &err), TOLA_E_CANCELLED);
    assert_string_equal(digest, "untouched");
    assert_int_equal(calls, 1);
    tola_stats stats;
    assert_int_equal(tola_stats_compute(ck, &options, &stats, &err), TOLA_E_CANCELLED);
    tola_diff_options diff_options = TOLA_DIFF_OPTIONS_INIT;
    diff_options.progress = stop_at_once;
    diff_options.progress_user = &calls;
    tola_diff diff;
    assert_int_equal(tola_diff_compute(ck, ck, &diff_options, &diff, &err), TOLA_E_CANCELLED);
    tola_checkpoint_close(ck);
}

/* ---- digest, statistics, differences ---- */

static void test_digest(void **state) {
    (void)state;
    static file f;
    make_plain(&f);
    tola_checkpoint *ck = open_file(&f);
    char all[65], one[65];
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    assert_int_equal(tola_digest(ck, NULL, all, NULL), TOLA_OK);
    options.glob = "*.0.*";
    assert_int_equal(tola_digest(ck, &options, one, NULL), TOLA_OK);
    assert_string_not_equal(all, one);
    tola_checkpoint_close(ck);
}

static void test_stats(void **state) {
    (void)state;
    static file f;
    make_plain(&f);
    tola_checkpoint *ck = open_file(&f);
    tola_stats stats;
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.glob = "*.1.*";
    assert_int_equal(tola_stats_compute(ck, &options, &stats, NULL), TOLA_OK);
    assert_int_equal(stats.count, 1);
    const tola_tensor_stats *t = &stats.tensors[0];
    assert_int_equal(t->tensor, tola_checkpoint_find(ck, "model.layers.1.mlp.up_proj.weight"));
    assert_int_equal(t->count, 6);
    assert_int_equal(t->zeros, 1);
    assert_true(t->min == -9 && t->max == 12);
    assert_true(fabs(t->mean - 32.0 / 6) < 1e-12);
    assert_int_equal(t->histogram[128], 1);       /* 0 */
    assert_int_equal(t->histogram[63 - 3], 1);    /* -9 */
    assert_int_equal(t->histogram[193 + 3], 4);   /* 8, 10, 11, 12 */
    assert_int_equal(t->outliers, 0);
    tola_stats_dispose(&stats);
    tola_stats_dispose(NULL);
    tola_checkpoint_close(ck);
}

static void test_diff(void **state) {
    (void)state;
    static file f, g;
    float other[12];
    memcpy(other, weights, sizeof other);
    other[7] = 8.5f;
    make_plain(&f);
    make(&g, "\"other\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
             "\"model.layers.1.mlp.up_proj.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,48]}",
         other, sizeof other);
    tola_checkpoint *a = open_file(&f), *b = open_file(&g);
    tola_diff_options options = TOLA_DIFF_OPTIONS_INIT;
    tola_diff diff;
    assert_int_equal(tola_diff_compute(a, b, &options, &diff, NULL), TOLA_OK);
    assert_false(diff.same);
    assert_int_equal(diff.count, 2);
    assert_true(diff.tensors[0].renamed);
    assert_int_equal(diff.tensors[0].b, tola_checkpoint_find(b, "other"));
    assert_true(diff.tensors[1].values_changed && diff.tensors[1].compared);
    assert_true(diff.tensors[1].max_abs == 0.5);
    assert_int_equal(diff.tensors[1].changed_elements, 1);
    tola_diff_dispose(&diff);
    options.tolerance = 0.5;
    assert_int_equal(tola_diff_compute(a, b, &options, &diff, NULL), TOLA_OK);
    assert_false(diff.tensors[1].values_changed);
    assert_false(diff.same); /* still renamed */
    tola_diff_dispose(&diff);
    options.tolerance = NAN;
    assert_int_equal(tola_diff_compute(a, b, &options, &diff, NULL), TOLA_E_ARG);
    tola_diff_dispose(NULL);
    tola_checkpoint_close(a);
    tola_checkpoint_close(b);
}

/* ---- the N-th allocation or read fails ---- */

/* Everything once; the first status that is not TOLA_OK. */
static tola_status everything(const tola_checkpoint *a, const tola_checkpoint *b) {
    tola_summary s;
    char digest[65];
    tola_stats stats;
    tola_diff diff;
    tola_error err = TOLA_ERROR_INIT;
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.threads = 2;
    tola_status status = tola_summarize(a, &s, NULL, &err);
    if (status == TOLA_OK) tola_summary_dispose(&s);
    if (status == TOLA_OK) status = tola_digest(a, &options, digest, &err);
    if (status == TOLA_OK) status = tola_stats_compute(a, &options, &stats, &err);
    if (status == TOLA_OK) {
        tola_stats_dispose(&stats);
        tola_diff_options diff_options = TOLA_DIFF_OPTIONS_INIT;
        diff_options.threads = 2;
        status = tola_diff_compute(a, b, &diff_options, &diff, &err);
        if (status == TOLA_OK) tola_diff_dispose(&diff);
    }
    if (status != TOLA_OK) assert_true(err.status == status && err.message[0]);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    static file f, g;
    float other[12] = { 0 };
    make_plain(&f);
    make(&g, "\"other\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
             "\"model.layers.1.mlp.up_proj.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,48]}",
         other, sizeof other);
    tola_checkpoint *a = open_file(&f), *b = open_file(&g);
    assert_int_equal(everything(a, b), TOLA_OK);
    unsigned failed = 0;
    for (uint64_t n = 0; n < 500; n++) {
        fault_arm(FAULT_ALLOC, n, false);
        tola_status status = everything(a, b);
        bool reached = fault_count(FAULT_ALLOC) > n;
        fault_disarm();
        assert_true(status == TOLA_OK || status == TOLA_E_NOMEM);
        failed += status != TOLA_OK;
        if (!reached) break;
    }
    assert_true(failed > 20);
    tola_checkpoint_close(a);
    tola_checkpoint_close(b);
}

/* Options of an older caller are shorter, of a newer one longer; those without a size say nothing and are refused. */
static void test_option_sizes(void **state) {
    (void)state;
    file f;
    make_plain(&f);
    tola_checkpoint *ck = open_file(&f);
    char all[65], some[65], got[65];
    tola_error err = TOLA_ERROR_INIT;
    struct {
        tola_job_options known;
        uint64_t unknown[4];
    } newer = { TOLA_JOB_OPTIONS_INIT, { 1, 2, 3, 4 } };
    newer.known.glob = tola_checkpoint_tensor(ck, 0)->name;
    assert_int_equal(tola_digest(ck, NULL, all, NULL), TOLA_OK);
    assert_int_equal(tola_digest(ck, &newer.known, some, NULL), TOLA_OK);
    assert_string_not_equal(all, some);
    newer.known.size = sizeof newer;
    assert_int_equal(tola_digest(ck, &newer.known, got, NULL), TOLA_OK);
    assert_string_equal(got, some);
    newer.known.size = offsetof(tola_job_options, glob); /* the glob is beyond it */
    assert_int_equal(tola_digest(ck, &newer.known, got, NULL), TOLA_OK);
    assert_string_equal(got, all);

    tola_job_options empty = { 0 };
    tola_diff_options diff = { 0 };
    tola_open_options open = { 0 };
    tola_convert_options convert = { 0 };
    tola_write_options write = { 0 };
    tola_stats stats;
    tola_diff differences;
    tola_checkpoint *other = NULL;
    tola_writer *writer = NULL;
    assert_int_equal(tola_digest(ck, &empty, got, &err), TOLA_E_ARG);
    assert_string_equal(err.message, "the options' size is 0; TOLA_..._OPTIONS_INIT sets it");
    assert_int_equal(tola_stats_compute(ck, &empty, &stats, &err), TOLA_E_ARG);
    assert_int_equal(tola_diff_compute(ck, ck, &diff, &differences, &err), TOLA_E_ARG);
    assert_int_equal(tola_checkpoint_open("x.safetensors", &open, &other, &err), TOLA_E_ARG);
    assert_int_equal(tola_convert(ck, "x.safetensors", &convert, NULL, &err), TOLA_E_ARG);
    assert_int_equal(tola_writer_open("x.safetensors", NULL, 0, &write, &writer, &err), TOLA_E_ARG);
    tola_checkpoint_close(ck);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles),  cmocka_unit_test(test_summary),    cmocka_unit_test(test_empty),
        cmocka_unit_test(test_packed), cmocka_unit_test(test_file_types), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_cancel), cmocka_unit_test(test_digest),     cmocka_unit_test(test_stats),
        cmocka_unit_test(test_diff),   cmocka_unit_test(test_faults),
        cmocka_unit_test(test_option_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
