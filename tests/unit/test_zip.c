/* Zip archives: what is read, what is refused and why, random access to deflated members, and the writer. */
#include "zip_build.h"

#include <pthread.h>

#include "base/err.h"
#include "base/output.h"
#include "formats/zip.h"

typedef struct opened {
    arena a;
    source *src;
    zip_archive *zip;
} opened;

static tola_status open_bytes(opened *o, const void *data, size_t bytes, tola_error *err) {
    arena_init(&o->a, 0);
    o->zip = NULL;
    if (source_open_memory("x.zip", data, bytes, &o->src, err) != TOLA_OK) abort();
    return zip_open(o->src, 0, bytes, &o->a, &o->zip, err);
}

static void close_bytes(opened *o) {
    source_close(o->src);
    arena_free(&o->a);
}

/* Opens the archive, loads every member; the first failure must be this one. */
static void refuses(zb *z, tola_status status, const char *message) {
    opened o;
    tola_error err = TOLA_ERROR_INIT;
    tola_status got = open_bytes(&o, z->data, z->bytes, &err);
    for (size_t i = 0; got == TOLA_OK && i < o.zip->count; i++) {
        const uint8_t *data;
        got = zip_load(o.zip, &o.zip->members[i], 1 << 24, &o.a, &data, &err);
    }
    assert_string_equal(err.message, message);
    assert_int_equal(got, status);
    close_bytes(&o);
    zb_free(z);
}

static void test_reads(void **state) {
    (void)state;
    zb z = { 0 };
    char long_text[5000];
    for (size_t i = 0; i < sizeof long_text; i++) long_text[i] = (char)('a' + i % 7);
    zb_add(&z, "a/b", "hello", 5);
    zb_add_deflated(&z, "c", long_text, sizeof long_text);
    zb_add(&z, "empty", "", 0);
    zb_finish(&z, "a comment with PK\5\6 in it");
    opened o;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(open_bytes(&o, z.data, z.bytes, &err), TOLA_OK);
    assert_int_equal(o.zip->count, 3);
    assert_int_equal(o.zip->trailing, 0);
    assert_null(zip_find(o.zip, "a"));
    zip_member *m = zip_find(o.zip, "a/b");
    assert_non_null(m);
    assert_memory_equal(z.data + m->data, "hello", 5);
    const uint8_t *data;
    assert_int_equal(zip_load(o.zip, m, 5, &o.a, &data, &err), TOLA_OK);
    assert_string_equal((const char *)data, "hello");
    assert_int_equal(zip_load(o.zip, m, 4, &o.a, &data, &err), TOLA_E_LIMIT);
    m = zip_find(o.zip, "c");
    assert_int_equal(zip_load(o.zip, m, 5000, &o.a, &data, &err), TOLA_OK);
    assert_memory_equal(data, long_text, sizeof long_text);
    char part[10];
    assert_int_equal(zip_read(o.zip, m, 4995, part, 5, &err), TOLA_OK);
    assert_memory_equal(part, long_text + 4995, 5);
    assert_int_equal(zip_read(o.zip, m, 4995, part, 6, &err), TOLA_E_FORMAT);
    m = zip_find(o.zip, "empty");
    assert_int_equal(zip_load(o.zip, m, 0, &o.a, &data, &err), TOLA_OK);
    close_bytes(&o);

    zb_put(&z, "garbage", 7);
    assert_int_equal(open_bytes(&o, z.data, z.bytes, &err), TOLA_OK);
    assert_int_equal(o.zip->trailing, 7);
    close_bytes(&o);
    zb_free(&z);
}

static void test_refuses_ends(void **state) {
    (void)state;
    zb z = { 0 };
    zb_put(&z, "PK\3\4 and nothing more", 21);
    refuses(&z, TOLA_E_FORMAT, "truncated: a zip archive without its directory, which stands at the end of the file");

    zb_add(&z, "a", "x", 1);
    z.members_said = 2;
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "2 zip members do not fit into a directory of 47 bytes");

    zb_put(&z, "junk", 4);
    zb_add(&z, "a", "x", 1);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "4 bytes before the first zip member belong to nothing");
}

static void test_refuses_members(void **state) {
    (void)state;
    zb z = { 0 };
    zb_header h = zb_describe("a", "xyz", 3), other;
    zb_add(&z, "a", "xyz", 3);
    zb_add(&z, "a", "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "two zip members are called 'a'");

    h.flags = 1;
    zb_add_raw(&z, h, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_UNSUPPORTED, "zip member 'a' is encrypted");

    h = zb_describe("a", "xyz", 3);
    h.method = 12;
    zb_add_raw(&z, h, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_UNSUPPORTED,
            "zip member 'a' is compressed with method 12; stored (0) and deflated (8) ones are read");

    h = zb_describe("a", "xyz", 3);
    h.size = 4;
    zb_add_raw(&z, h, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip member 'a' is stored, but 4 bytes are said to take 3");

    h = zb_describe("a", "xyz", 3);
    h.method = 8;
    h.size = 1u << 30;
    zb_add_raw(&z, h, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_LIMIT, "zip member 'a' claims 1073741824 bytes from 3, more than deflate can do (1032:1)");

    h = zb_describe("a", "xyz", 3);
    h.crc ^= 0x100;
    zb_add_raw(&z, h, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT,
            "the CRC of zip member 'a' is eb8eba67, not eb8ebb67: its bytes were changed");

    h = zb_describe("a", "xyz", 3);
    other = h;
    strcpy(other.name, "b");
    zb_add_raw(&z, other, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip member 'a': the name in its own header differs from the one in the directory");

    other = h;
    other.flags = 0x800;
    zb_add_raw(&z, other, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip member 'a': the flag word in its own header differs from the one in the directory");

    other = h;
    other.size = other.packed = 2;
    zb_add_raw(&z, other, h, "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip member 'a': the size in its own header differs from the one in the directory");
}

static void test_refuses_overlap(void **state) {
    (void)state;
    zb z = { 0 };
    uint8_t payload[40] = { 0 };
    zb_header h = zb_describe("a", payload, sizeof payload);
    zb_add_raw(&z, h, h, payload, sizeof payload - 8); /* eight bytes short: it reaches into the next */
    zb_add(&z, "b", "xyz", 3);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip members 'a' and 'b' overlap");

    zb_add(&z, "a", "xyz", 3);
    zb_add(&z, "b", "xyz", 3);
    z.offset[1] = 0;
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip members 'a' and 'b' overlap");
}

static void test_refuses_deflate(void **state) {
    (void)state;
    zb z = { 0 };
    uint8_t text[3000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * i >> 3);
    zb_add_deflated(&z, "a", text, sizeof text);
    z.central[0].size = 2999; /* the local header agrees */
    z.data[22] = 2999 & 0xff;
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip member 'a': more data follow after 2999 of 2999 bytes");

    zb_add_deflated(&z, "a", text, sizeof text);
    z.central[0].size = 3001;
    z.data[22] = 3001 & 0xff;
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, "zip member 'a': the deflated data end after 3000 of 3001 bytes");

    zb_add_deflated(&z, "a", text, sizeof text);
    z.central[0].crc ^= 1;
    z.data[14] ^= 1;
    uint32_t good = z.central[0].crc ^ 1;
    char message[200];
    snprintf(message, sizeof message,
             "zip member 'a': the CRC is %08x, not %08x: bytes were changed, after 3000 of 3000 bytes", good, good ^ 1);
    zb_finish(&z, "");
    refuses(&z, TOLA_E_FORMAT, message);
}

/* Many threads read blocks of one deflated member, each the next one that nobody has. */
typedef struct race {
    opened o;
    zip_member *m;
    const uint8_t *want;
    unsigned next, bad;
} race;
#define RACE_BLOCK 30000u
#define RACE_BYTES (RACE_BLOCK * 40u)

static void *race_worker(void *p) {
    race *r = p;
    uint8_t *block = malloc(RACE_BLOCK);
    for (;;) {
        unsigned i = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);
        if (i >= RACE_BYTES / RACE_BLOCK) break;
        tola_error err;
        bool good = zip_read(r->o.zip, r->m, (uint64_t)i * RACE_BLOCK, block, RACE_BLOCK, &err) == TOLA_OK &&
                    memcmp(block, r->want + (size_t)i * RACE_BLOCK, RACE_BLOCK) == 0;
        if (!good) __atomic_fetch_add(&r->bad, 1, __ATOMIC_RELAXED);
    }
    free(block);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    uint8_t *text = malloc(RACE_BYTES);
    uint32_t x = 1;
    for (size_t i = 0; i < RACE_BYTES; i++) text[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 28);
    zb z = { 0 };
    zb_add_deflated(&z, "a", text, RACE_BYTES);
    zb_finish(&z, "");
    race r = { .want = text };
    tola_error err;
    assert_int_equal(open_bytes(&r.o, z.data, z.bytes, &err), TOLA_OK);
    r.m = zip_find(r.o.zip, "a");
    pthread_t threads[24];
    for (size_t i = 0; i < 24; i++) assert_int_equal(pthread_create(&threads[i], NULL, race_worker, &r), 0);
    for (size_t i = 0; i < 24; i++) pthread_join(threads[i], NULL);
    assert_int_equal(r.bad, 0);
    uint8_t back[100]; /* and backwards */
    for (uint64_t at = RACE_BYTES - 100; at > 100000; at -= 99999) {
        assert_int_equal(zip_read(r.o.zip, r.m, at, back, sizeof back, &err), TOLA_OK);
        assert_memory_equal(back, text + at, sizeof back);
    }
    close_bytes(&r.o);
    zb_free(&z);
    free(text);
}

static void test_writes(void **state) {
    (void)state;
    const char *folder = unit_folder();
    char path[300];
    snprintf(path, sizeof path, "%s/out.zip", folder);
    zip_writer *w;
    output_set *set;
    output_file *file;
    tola_error err = TOLA_ERROR_INIT;
    size_t a, b, c;
    assert_int_equal(zip_writer_new(&w, &err), TOLA_OK);
    assert_int_equal(zip_writer_add(w, "root/a", 1000, 64, &a, &err), TOLA_OK);
    assert_int_equal(zip_writer_add(w, "root/empty", 0, 64, &b, &err), TOLA_OK);
    assert_int_equal(zip_writer_add(w, "root/c", 3, 1, &c, &err), TOLA_OK);
    assert_int_equal(zip_writer_data(w, a) % 64, 0);
    assert_int_equal(output_set_open(false, &set, &err), TOLA_OK);
    assert_int_equal(output_add(set, path, zip_writer_total(w), &file, &err), TOLA_OK);
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
    static const unsigned order[] = { 3, 0, 9, 8, 1, 2, 7, 5, 6, 4 };
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(output_write(file, zip_writer_data(w, a) + order[i] * 100, data + order[i] * 100, 100, &err),
                         0);
        assert_int_equal(zip_writer_block(w, a, order[i] * 100, data + order[i] * 100, 100, &err), TOLA_OK);
    }
    assert_int_equal(zip_writer_block(w, a, 250, data, 10, &err), TOLA_E_ARG);
    assert_string_equal(err.message, "bytes of 'root/a' are written twice");
    assert_int_equal(zip_writer_finish(w, file, &err), TOLA_E_ARG);
    assert_string_equal(err.message, "'root/c' was not written completely");
    assert_int_equal(output_write(file, zip_writer_data(w, c), "xyz", 3, &err), TOLA_OK);
    assert_int_equal(zip_writer_block(w, c, 0, "xyz", 3, &err), TOLA_OK);
    assert_int_equal(zip_writer_finish(w, file, &err), TOLA_OK);
    uint64_t total = zip_writer_total(w);
    zip_writer_free(w);
    assert_int_equal(output_commit(set, &err), TOLA_OK);

    opened o;
    arena_init(&o.a, 0);
    assert_int_equal(source_open_file(path, &o.src, &err), TOLA_OK);
    assert_int_equal(o.src->size, total);
    assert_int_equal(zip_open(o.src, 0, o.src->size, &o.a, &o.zip, &err), TOLA_OK);
    const uint8_t *back;
    assert_int_equal(zip_load(o.zip, zip_find(o.zip, "root/a"), 1000, &o.a, &back, &err), TOLA_OK);
    assert_memory_equal(back, data, sizeof data);
    close_bytes(&o);
    unit_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),           cmocka_unit_test(test_refuses_ends),
        cmocka_unit_test(test_refuses_members), cmocka_unit_test(test_refuses_overlap),
        cmocka_unit_test(test_refuses_deflate), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
