/* The ground floor: reader, arena, pool, output sets, text. */
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/barrier.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/pool.h"
#include "base/reader.h"
#include "base/source.h"
#include "base/text.h"
#include "tensor/dtype.h"

static void test_reader(void **state) {
    (void)state;
    static const uint8_t bytes[] = { 1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0xff };
    source *src;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(source_open_memory("m", bytes, sizeof bytes, &src, &err), TOLA_OK);
    reader r;
    reader_init(&r, src, 0, sizeof bytes);
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 2);
    assert_int_equal(reader_u32(&r), 3);
    assert_int_equal(reader_u64(&r), 4);
    assert_int_equal(reader_left(&r), 1);
    assert_int_equal(reader_u16(&r), 0); /* one byte is not enough: the failure sticks, the position stays */
    assert_false(reader_ok(&r));
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_check(&r, &err), TOLA_E_FORMAT);
    assert_int_equal(err.offset, 15);
    assert_string_equal(err.message, "truncated: 2 bytes are wanted here but only 1 are left (1 missing)");
    reader_free(&r);
    reader_init(&r, src, 1, 8);
    r.swap = true;
    assert_int_equal(reader_u16(&r), 0x0200);
    reader_seek(&r, 9);
    assert_false(reader_ok(&r));
    reader_free(&r);
    source_close(src);
}

static void test_reader_windows(void **state) {
    (void)state;
    size_t n = 300000;
    uint8_t *bytes = malloc(n);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    source *src;
    assert_int_equal(source_open_memory("m", bytes, n, &src, NULL), TOLA_OK);
    reader r;
    reader_init(&r, src, 0, n);
    size_t at = 0, step = 1;
    while (at + step <= n) {
        const uint8_t *p = reader_take(&r, step);
        assert_non_null(p);
        assert_memory_equal(p, bytes + at, step);
        at += step;
        step = step * 5 % 20011 + 1;
    }
    reader_seek(&r, 3);
    assert_int_equal(reader_u8(&r), bytes[3]);
    assert_null(reader_take(&r, READER_MAX_PEEK + 1));
    reader_free(&r);
    source_close(src);
    free(bytes);
}

static void test_arena(void **state) {
    (void)state;
    arena a, b;
    arena_init(&a, 0);
    arena_init(&b, 1 << 16);
    for (size_t i = 1; i < 3000; i += 7) {
        uint8_t *p = arena_alloc(&a, i * 20);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 0xab, i * 20);
    }
    assert_null(arena_alloc(&b, 1 << 17));
    assert_null(arena_alloc_array(&b, SIZE_MAX / 2, 3));
    char *text = arena_strndup(&b, "hello", 4);
    assert_string_equal(text, "hell");
    arena_merge(&a, &b);
    assert_string_equal(text, "hell");
    arena_free(&a);
    arena_free(&b);
}

/* ---- pool ---- */

static tola_status count_task(void *context, size_t task, unsigned worker, tola_error *err) {
    (void)worker;
    atomic_size_t *sum = context;
    if (task == 700) return err_set(err, TOLA_E_ARG, 7, "task 700");
    atomic_fetch_add(sum, task);
    return TOLA_OK;
}

static void test_pool(void **state) {
    (void)state;
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        pool *p;
        assert_int_equal(pool_create(threads, &p, NULL), TOLA_OK);
        assert_int_equal(pool_threads(p), threads);
        for (int round = 0; round < 200; round++) {
            atomic_size_t sum = 0;
            size_t n = (size_t)round * 3;
            tola_error err = TOLA_ERROR_INIT;
            assert_int_equal(pool_run(p, n, count_task, &sum, &err), TOLA_OK);
            assert_int_equal(sum, n ? n * (n - 1) / 2 : 0);
        }
        atomic_size_t sum = 0;
        tola_error err = TOLA_ERROR_INIT;
        assert_int_equal(pool_run(p, 1000, count_task, &sum, &err), TOLA_E_ARG);
        assert_string_equal(err.message, "task 700");
        pool_free(p);
    }
}

/* ---- output ---- */

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static size_t temporaries(const char *folder) {
    char command[600];
    snprintf(command, sizeof command, "ls -A '%s' | grep -c 'tola-' ", folder);
    FILE *p = popen(command, "r");
    unsigned n = 0;
    if (fscanf(p, "%u", &n) != 1) n = 9999;
    pclose(p);
    return n;
}

static void test_output(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[512];
    snprintf(path, sizeof path, "%s/out.bin", folder);
    output_set *set;
    output_file *file;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(output_set_open(false, &set, &err), TOLA_OK);
    assert_int_equal(output_add(set, path, 5, &file, &err), TOLA_OK);
    assert_int_equal(output_write(file, 2, "cde", 3, &err), TOLA_OK);
    assert_int_equal(output_write(file, 0, "ab", 2, &err), TOLA_OK);
    assert_false(exists(path));
    assert_int_equal(output_commit(set, &err), TOLA_OK);
    assert_true(exists(path));
    assert_int_equal(temporaries(folder), 0);
    struct stat st;
    stat(path, &st);
    assert_int_equal(st.st_size, 5);
    /* not replaced without being told to, nothing left after an abort */
    assert_int_equal(output_set_open(false, &set, &err), TOLA_OK);
    assert_int_equal(output_add(set, path, 5, &file, &err), TOLA_E_EXISTS);
    output_abort(set);
    chmod(path, 0600);
    assert_int_equal(output_set_open(true, &set, &err), TOLA_OK);
    assert_int_equal(output_add(set, path, 0, &file, &err), TOLA_OK);
    assert_int_equal(output_write(file, 0, "xy", 2, &err), TOLA_OK);
    output_abort(set);
    stat(path, &st);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(temporaries(folder), 0);
    unit_remove(folder);
}

enum { LARGE_BYTES = (5 << 20) + 12345, PIECE = 10007 };

typedef struct pieces {
    output_file *file;
    const uint8_t *bytes;
} pieces;

/* Every eighth piece from `task` on, the last one first. */
static tola_status write_pieces(void *context, size_t task, unsigned worker, tola_error *err) {
    const pieces *p = context;
    (void)worker;
    for (size_t at = LARGE_BYTES / PIECE + 1; at-- > 0;) {
        const size_t left = LARGE_BYTES - at * PIECE;
        if (at % 8 != task) continue;
        TRY(output_write(p->file, at * PIECE, p->bytes + at * PIECE, left < PIECE ? left : PIECE, err));
    }
    return TOLA_OK;
}

/* Small pieces of large pages, by several threads at once. */
static void test_output_large(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[512];
    snprintf(path, sizeof path, "%s/large", folder);
    uint8_t *bytes = malloc(LARGE_BYTES), *got = malloc(LARGE_BYTES + 1);
    tola_error err = TOLA_ERROR_INIT;
    output_set *set;
    pool *threads;
    pieces p = { NULL, bytes };
    if (!bytes || !got) abort();
    for (size_t i = 0; i < LARGE_BYTES; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_int_equal(pool_create(4, &threads, &err), TOLA_OK);
    for (int shorter = 0; shorter < 2; shorter++) {
        const size_t length = shorter ? LARGE_BYTES - (3 << 20) : LARGE_BYTES;
        assert_int_equal(output_set_open(true, &set, &err), TOLA_OK);
        assert_int_equal(output_add(set, path, LARGE_BYTES, &p.file, &err), TOLA_OK);
        if (shorter) assert_int_equal(output_truncate(p.file, 1 << 20, &err), TOLA_OK);
        assert_int_equal(pool_run(threads, 8, write_pieces, &p, &err), TOLA_OK);
        if (shorter) assert_int_equal(output_truncate(p.file, length, &err), TOLA_OK);
        assert_int_equal(output_commit(set, &err), TOLA_OK);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_int_equal(fread(got, 1, LARGE_BYTES + 1, f), length);
        fclose(f);
        assert_memory_equal(got, bytes, length);
    }
    pool_free(threads);
    free(got);
    free(bytes);
    unit_remove(folder);
}

/* Past the cache, whatever the place: whole blocks go one way, what is before and behind them the other. */
static void test_output_direct(void **state) {
    (void)state;
    enum { PART = 200001, PARTS = 5, FROM = 1234 };
    const char *folder = unit_folder();
    char path[512];
    snprintf(path, sizeof path, "%s/out.bin", folder);
    output_set *set;
    output_file *file;
    tola_error err = TOLA_ERROR_INIT;
    const size_t whole = FROM + PARTS * PART;
    uint8_t *expected = malloc(whole), *got = malloc(whole), *block = NULL;
    assert_int_equal(posix_memalign((void **)&block, OUTPUT_BLOCK, PART + OUTPUT_BLOCK), 0);
    for (size_t i = 0; i < whole; i++) expected[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_int_equal(output_set_open(false, &set, &err), TOLA_OK);
    assert_int_equal(output_add(set, path, whole, &file, &err), TOLA_OK);
    output_direct(file);
    for (size_t i = PARTS; i-- > 0;) {
        const size_t at = FROM + i * PART;
        uint8_t *place = block + (i == 2 ? at + 1 : at) % OUTPUT_BLOCK; /* one lies elsewhere: copied as ever */
        memcpy(place, expected + at, PART);
        assert_int_equal(output_write(file, at, place, PART, &err), TOLA_OK);
    }
    assert_int_equal(output_write(file, 0, expected, FROM, &err), TOLA_OK);
    assert_int_equal(output_commit(set, &err), TOLA_OK);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, whole, f), whole);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    assert_memory_equal(got, expected, whole);
    free(block);
    free(got);
    free(expected);
    unit_remove(folder);
}

/* A process killed while writing leaves a temporary file; the next run removes it, but not one that is in use. */
static void test_stale(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[512], other[512];
    snprintf(path, sizeof path, "%s/a.bin", folder);
    snprintf(other, sizeof other, "%s/b.bin", folder);
    output_set *set, *running;
    output_file *file;
    tola_error err = TOLA_ERROR_INIT;
    pid_t child = fork();
    if (child == 0) {
        if (output_set_open(false, &set, &err) || output_add(set, path, 100, &file, &err)) _exit(1);
        raise(SIGKILL);
    }
    int result;
    waitpid(child, &result, 0);
    assert_true(WIFSIGNALED(result));
    assert_int_equal(temporaries(folder), 1);
    assert_int_equal(output_set_open(false, &running, &err), TOLA_OK);
    assert_int_equal(output_add(running, other, 100, &file, &err), TOLA_OK);
    assert_int_equal(temporaries(folder), 1); /* the killed one's is gone, this one's is there */
    assert_int_equal(output_set_open(false, &set, &err), TOLA_OK);
    assert_int_equal(output_add(set, path, 100, &file, &err), TOLA_OK);
    assert_int_equal(temporaries(folder), 2); /* a running one keeps its file */
    assert_int_equal(output_commit(set, &err), TOLA_OK);
    assert_int_equal(output_commit(running, &err), TOLA_OK);
    assert_int_equal(temporaries(folder), 0);
    assert_true(exists(path) && exists(other));
    unit_remove(folder);
}

static void test_source_kinds(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[512];
    source *src;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(source_open_file(folder, &src, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "is a folder, not a file of weights"));
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(source_open_file(path, &src, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "is a named pipe"));
    snprintf(path, sizeof path, "%s/none", folder);
    assert_int_equal(source_open_file(path, &src, &err), TOLA_E_NOT_FOUND);
    snprintf(path, sizeof path, "%s/loop", folder);
    assert_int_equal(symlink(path, path), 0);
    assert_int_equal(source_open_file(path, &src, &err), TOLA_E_IO);
    assert_non_null(strstr(err.message, "symbolic links"));
    unit_remove(folder);
}

/* ---- text ---- */

static void test_glob(void **state) {
    (void)state;
    assert_true(glob_match("*", ""));
    assert_true(glob_match("*.weight", "model.layers.0.weight"));
    assert_false(glob_match("*.weight", "model.weight.bias"));
    assert_true(glob_match("a?c", "abc"));
    assert_true(glob_match("a?c", "a\xc3\xa9""c"));
    assert_true(glob_match("[a-c]x", "bx"));
    assert_false(glob_match("[!a-c]x", "bx"));
    assert_true(glob_match("{q,k,v}_proj", "k_proj"));
    assert_false(glob_match("{q,k,v}_proj", "o_proj"));
    assert_true(glob_match("{a,b{c,d}}e", "bde"));
    assert_true(glob_match("\\*", "*"));
    assert_false(glob_match("\\*", "x"));
    assert_true(glob_match("[x", "[x"));
    char text[4000], pattern[201];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 200; i += 2) memcpy(pattern + i, "*a", 2);
    pattern[200] = 0;
    assert_true(glob_match(pattern, text));
    pattern[199] = 'b';
    assert_false(glob_match(pattern, text));
}

static void test_text(void **state) {
    (void)state;
    assert_true(text_compare_natural("layer.2", "layer.10") < 0);
    assert_true(text_compare_natural("a", "b") < 0);
    assert_int_equal(text_compare_natural("a10", "a10"), 0);
    assert_true(utf8_valid("na\xc3\xafve", 6));
    assert_false(utf8_valid("\xc0\x80", 2));
    assert_false(utf8_valid("\xed\xa0\x80", 3));
    assert_false(utf8_valid("\xf4\x90\x80\x80", 4));
    char quoted[64];
    assert_string_equal(text_quote(quoted, sizeof quoted, "a\x1b[31mb\xff", 8), "a\\x1b[31mb\\xff");
    assert_string_equal(text_quote(quoted, 12, "abcdefghijklmnop", 16), "abcdefgh...");
}

static void test_dtype(void **state) {
    (void)state;
    for (int d = 1; d < TOLA_DTYPE_COUNT; d++) {
        const char *name = tola_dtype_name((tola_dtype)d);
        if (strcmp(name, "?") == 0) continue;
        assert_int_equal(tola_dtype_parse(name), d);
    }
    assert_int_equal(tola_dtype_parse("FP16"), TOLA_DTYPE_F16);
    assert_int_equal(tola_dtype_parse("torch.bfloat16"), TOLA_DTYPE_BF16);
    assert_int_equal(tola_dtype_parse("nonsense"), TOLA_DTYPE_NONE);
    uint64_t bytes;
    assert_int_equal(tola_dtype_size(TOLA_DTYPE_Q4_K, 512, &bytes), TOLA_OK);
    assert_int_equal(bytes, 288);
    assert_int_equal(tola_dtype_size(TOLA_DTYPE_Q4_K, 500, &bytes), TOLA_E_FORMAT);
    assert_int_equal(tola_dtype_size(TOLA_DTYPE_F64, 1ull << 61, &bytes), TOLA_E_LIMIT);
    uint8_t block[18] = { 0x12, 0x34, 5 };
    assert_true(dtype_swap(TOLA_DTYPE_Q4_0, block, 18));
    assert_memory_equal(block, ((uint8_t[]){ 0x34, 0x12, 5 }), 3);
}

enum { MEETING = 4 };
typedef struct meeting {
    barrier barrier;
    unsigned at[MEETING]; /* where each is */
} meeting;

static tola_status meet(void *context, size_t task, unsigned worker, tola_error *err) {
    (void)worker, (void)err;
    meeting *m = context;
    for (unsigned round = 1; round <= 300; round++) {
        m->at[task] = round;
        if (round % 100 == task) usleep(20000); /* long enough for the others to fall asleep */
        const unsigned came = barrier_come(&m->barrier);
        while (round % 7 == task && !barrier_over(&m->barrier, came)) sched_yield();
        barrier_wait(&m->barrier, came);
        for (int i = 0; i < MEETING; i++)
            if (m->at[i] != round) return TOLA_E_ARG;
        barrier_wait(&m->barrier, barrier_come(&m->barrier));
    }
    return TOLA_OK;
}

static void test_barrier(void **state) {
    (void)state;
    pool *p;
    tola_error err = TOLA_ERROR_INIT;
    meeting m = { 0 };
    barrier_init(&m.barrier, MEETING);
    assert_int_equal(pool_create(MEETING, &p, &err), TOLA_OK);
    assert_int_equal(pool_threads(p), MEETING);
    assert_int_equal(pool_run(p, MEETING, meet, &m, &err), TOLA_OK);
    pool_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader), cmocka_unit_test(test_reader_windows), cmocka_unit_test(test_arena),
        cmocka_unit_test(test_pool),   cmocka_unit_test(test_output),         cmocka_unit_test(test_stale),
        cmocka_unit_test(test_source_kinds), cmocka_unit_test(test_glob),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_dtype), cmocka_unit_test(test_barrier),       cmocka_unit_test(test_output_direct),
        cmocka_unit_test(test_output_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
