/* Every allocation, every read and every write fails in turn, over opening, digest, statistics, comparison, conversion
 * and quantization of every container: each time one message, no leak (the sanitizers watch), no file left behind. */
#include "unit.h"

#include <dirent.h>

#include "base/mem.h"

static const char *const names[] = { "m.safetensors", "m.gguf", "m.pt", "m.npz" };
#define N_FORMATS (sizeof names / sizeof *names)
static uint64_t failures_made;

static void path_of(char *path, size_t n, const char *folder, const char *name) {
    snprintf(path, n, "%s/%s", folder, name);
}

static size_t entries(const char *folder) {
    size_t n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) n++;
    closedir(dir);
    return n;
}

static void make_first(const char *path) {
    static const uint64_t shape[] = { 4, 64 }, vector[] = { 300 };
    const tola_tensor_spec specs[] = {
        { "layer.0.weight", shape, 2, TOLA_DTYPE_F32, 0 },
        { "layer.0.bias", vector, 1, TOLA_DTYPE_F16, 0 },
        { "position", vector, 1, TOLA_DTYPE_I64, 0 },
    };
    static uint8_t zeros[2400];
    for (size_t i = 0; i < sizeof zeros; i++) zeros[i] = (uint8_t)(i % 60); /* no NaN in any of the types */
    tola_writer *w;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(tola_writer_open(path, specs, 3, NULL, &w, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 0, 0, zeros, 1024, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 1, 0, zeros, 600, &err), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 2, 0, zeros, 2400, &err), TOLA_OK);
    assert_int_equal(tola_writer_finish(w, &err), TOLA_OK);
}

/* ---- the jobs that are tortured ---- */

typedef struct job {
    char in[512], out[512];
    bool writes;
    tola_status (*run)(const struct job *j, tola_checkpoint *ck, tola_error *err);
} job;

static tola_status job_digest(const job *j, tola_checkpoint *ck, tola_error *err) {
    (void)j;
    char digest[65];
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.threads = 1;
    return tola_digest(ck, &options, digest, err);
}

static tola_status job_stats(const job *j, tola_checkpoint *ck, tola_error *err) {
    (void)j;
    tola_stats stats;
    tola_job_options options = TOLA_JOB_OPTIONS_INIT;
    options.threads = 1;
    tola_status status = tola_stats_compute(ck, &options, &stats, err);
    if (status == TOLA_OK) tola_stats_dispose(&stats);
    return status;
}

static tola_status job_summary(const job *j, tola_checkpoint *ck, tola_error *err) {
    (void)j;
    tola_summary summary;
    tola_status status = tola_summarize(ck, &summary, NULL, err);
    if (status == TOLA_OK) tola_summary_dispose(&summary);
    return status;
}

static tola_status job_diff(const job *j, tola_checkpoint *ck, tola_error *err) {
    (void)j;
    tola_diff diff;
    tola_diff_options options = TOLA_DIFF_OPTIONS_INIT;
    options.threads = 1;
    tola_status status = tola_diff_compute(ck, ck, &options, &diff, err);
    if (status == TOLA_OK) {
        assert_true(diff.same);
        tola_diff_dispose(&diff);
    }
    return status;
}

static tola_status job_convert(const job *j, tola_checkpoint *ck, tola_error *err) {
    tola_convert_options options = TOLA_CONVERT_OPTIONS_INIT;
    options.threads = 1;
    options.keep_names = true;
    options.dtype = TOLA_DTYPE_F32;
    return tola_convert(ck, j->out, &options, NULL, err);
}

static tola_status quantize_to(const job *j, tola_checkpoint *ck, const char *type, tola_error *err) {
    tola_quantize_options options = TOLA_QUANTIZE_OPTIONS_INIT;
    tola_quantize_result result;
    options.threads = 1;
    options.keep_names = true;
    options.measure = true;
    options.to = type;
    options.group = strcmp(type, "int4") == 0 ? 32 : 0;
    tola_status status = tola_quantize(ck, j->out, &options, &result, err);
    if (status == TOLA_OK) tola_quantize_result_dispose(&result);
    return status;
}

static tola_status job_quantize(const job *j, tola_checkpoint *ck, tola_error *err) {
    return quantize_to(j, ck, "mxfp4", err);
}

static tola_status job_quantize_scheme(const job *j, tola_checkpoint *ck, tola_error *err) {
    return quantize_to(j, ck, "int4", err);
}

static tola_status job_quantize_bound(const job *j, tola_checkpoint *ck, tola_error *err) {
    tola_quantize_options options = TOLA_QUANTIZE_OPTIONS_INIT;
    options.threads = 1;
    options.bits = 12; /* the vectors, of 64 bits an element, cannot be less */
    options.exclude = (const char *const[]){ "position", NULL };
    return tola_quantize(ck, j->out, &options, NULL, err);
}

static tola_status open_and_run(const job *j, tola_error *err) {
    tola_checkpoint *ck = NULL;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.threads = 1;
    tola_status status = tola_checkpoint_open(j->in, &options, &ck, err);
    if (status == TOLA_OK) status = j->run(j, ck, err);
    tola_checkpoint_close(ck);
    return status;
}

static void torture(const job *j, const char *folder) {
    size_t before = entries(folder);
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        for (uint64_t n = 0;; n++) {
            tola_error err = TOLA_ERROR_INIT;
            fault_arm((fault_kind)kind, n, false);
            tola_status status = open_and_run(j, &err);
            bool reached = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status == TOLA_OK) {
                /* nothing failed, or what failed was only a hint */
                if (j->writes) assert_int_equal(unlink(j->out), 0);
            } else {
                assert_true(reached);
                assert_true(err.message[0]);
                assert_int_equal(err.status, status);
                failures_made++;
            }
            assert_int_equal(entries(folder), before);
            if (!reached) break;
            assert_true(n < 100000);
        }
    }
}

static void test_torture(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char first[512];
    path_of(first, sizeof first, folder, names[0]);
    make_first(first);
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 1; i < N_FORMATS; i++) {
        job j = { .run = job_convert };
        snprintf(j.in, sizeof j.in, "%s", first);
        path_of(j.out, sizeof j.out, folder, names[i]);
        if (open_and_run(&j, &err) != TOLA_OK) fail_msg("%s", err.message);
    }
    tola_status (*const jobs[])(const job *, tola_checkpoint *, tola_error *) = { job_digest, job_stats, job_summary,
                                                                                  job_diff };
    for (size_t i = 0; i < N_FORMATS; i++) {
        job j = { .writes = false };
        path_of(j.in, sizeof j.in, folder, names[i]);
        for (size_t k = 0; k < sizeof jobs / sizeof *jobs; k++) {
            j.run = jobs[k];
            torture(&j, folder);
        }
        for (size_t k = 0; k < N_FORMATS; k++) {
            char out[64];
            j.run = job_convert;
            j.writes = true;
            snprintf(out, sizeof out, "out.%s", names[k]);
            path_of(j.out, sizeof j.out, folder, out);
            torture(&j, folder);
        }
    }
    job q = { .writes = true };
    path_of(q.in, sizeof q.in, folder, names[0]);
    tola_status (*const quantizing[])(const job *, tola_checkpoint *, tola_error *) = {
        job_quantize, job_quantize_bound, job_quantize_scheme };
    for (size_t k = 0; k < sizeof quantizing / sizeof *quantizing; k++) {
        q.run = quantizing[k];
        path_of(q.out, sizeof q.out, folder, k == 2 ? "q.safetensors" : "q.gguf");
        if (open_and_run(&q, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_int_equal(unlink(q.out), 0);
        torture(&q, folder);
    }
    unit_remove(folder);
    print_message("%llu failures made, each one answered\n", (unsigned long long)failures_made);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_torture) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
