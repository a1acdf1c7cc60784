/* Encryption at rest: the ciphers' vectors, spans of chunks, sources that decrypt, keys in locked memory, and what
 * failures at every point leave. Attacks and the second implementation are in tests/oracle/encrypt_oracle.py. */
#include "unit.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/output.h"
#include "base/secret.h"
#include "formats/format.h"
#include "models/made.h"
#include "trust/crypt_header.h"

enum { BIG = 12 << 20, SMALL = 5000 };

/* ---- ciphers ---- */

static void from_hex(const char *text, uint8_t *out) {
    for (; *text; text += 2) *out++ = (uint8_t)strtoul((char[]){ text[0], text[1], 0 }, NULL, 16);
}

/* draft-irtf-cfrg-xchacha-03, section 2.2.1 */
static void test_hchacha20(void **state) {
    (void)state;
    uint8_t key[32], nonce[16], out[32], expected[32];
    for (unsigned i = 0; i < 32; i++) key[i] = (uint8_t)i;
    from_hex("000000090000004a0000000031415927", nonce);
    from_hex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc", expected);
    crypt_hchacha20(key, nonce, out);
    assert_memory_equal(out, expected, 32);
}

/* the same, appendix A.3.1 */
static void test_xchacha20_poly1305(void **state) {
    (void)state;
    static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                                "future, sunscreen would be it.";
    uint8_t key[32], nonce[24], aad[12], tag[16], out[sizeof plain + 16];
    const size_t n = sizeof plain - 1;
    bool genuine;
    tola_error err = TOLA_ERROR_INIT;
    for (unsigned i = 0; i < 32; i++) key[i] = (uint8_t)(0x80 + i);
    for (unsigned i = 0; i < 24; i++) nonce[i] = (uint8_t)(0x40 + i);
    from_hex("50515253c0c1c2c3c4c5c6c7", aad);
    from_hex("c0875924c1c7987947deafd8780acf49", tag);
    if (crypt_xseal(key, nonce, aad, sizeof aad, plain, out, n, &err) == TOLA_E_UNSUPPORTED) skip();
    assert_memory_equal(out + n, tag, 16);
    assert_int_equal(crypt_xunseal(key, nonce, aad, sizeof aad, out, out, n, &genuine, &err), TOLA_OK);
    assert_true(genuine);
    assert_memory_equal(out, plain, n);
    assert_int_equal(crypt_xseal(key, nonce, aad, sizeof aad, plain, out, n, &err), TOLA_OK);
    out[n] ^= 1;
    assert_int_equal(crypt_xunseal(key, nonce, aad, sizeof aad, out, out, n, &genuine, &err), TOLA_OK);
    assert_false(genuine);
    for (size_t i = 0; i < n; i++) assert_int_equal(out[i], 0); /* nothing of it is given away */
}

/* Two agree, and not on a point that everybody agrees with. The numbers are held by the second implementation. */
static void test_x25519(void **state) {
    (void)state;
    uint8_t alice[32], bob[32], theirs[32], shared[32], expected[32];
    static const uint8_t zero[32];
    tola_error err = TOLA_ERROR_INIT;
    from_hex("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099a0d1e1b5d1a4c2f2a9", alice);
    from_hex("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099a4e8b7f3f5d4e0d9f2", bob);
    if (crypt_x25519_public(alice, theirs, &err) == TOLA_E_UNSUPPORTED) skip();
    assert_int_equal(crypt_x25519(bob, theirs, shared, &err), TOLA_OK);
    assert_int_equal(crypt_x25519_public(bob, theirs, &err), TOLA_OK);
    assert_int_equal(crypt_x25519(alice, theirs, expected, &err), TOLA_OK);
    assert_memory_equal(shared, expected, 32);
    assert_int_equal(crypt_x25519(alice, zero, shared, &err), TOLA_E_ARG);
}

static void test_padded(void **state) {
    (void)state;
    static const uint64_t pairs[][2] = { { 0, 4096 },
                                         { 4096, 4096 },
                                         { 4097, 4352 },
                                         { 5000, 5120 },
                                         { 1 << 20, 1 << 20 },
                                         { (1 << 20) + 1, (1 << 20) + (1 << 15) },
                                         { UINT64_MAX, UINT64_MAX } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) assert_int_equal(crypt_padded(pairs[i][0]), pairs[i][1]);
    for (uint64_t n = 4097; n < (uint64_t)1 << 50; n += n / 7) {
        assert_true(crypt_padded(n) >= n && crypt_padded(n) - n <= n / 8);
        assert_int_equal(crypt_padded(crypt_padded(n)), crypt_padded(n));
    }
}

/* ---- files ---- */

static uint8_t *plain; /* of the model */
static size_t plain_bytes;
static char key[600], pub[608], model[600], enc[600];

/* A safetensors file: a large tensor, small ones, an empty one. */
static void make_model(size_t big) {
    char head[512];
    snprintf(head, sizeof head,
             "{\"big\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},\"none\":{\"dtype\":\"F32\","
             "\"shape\":[0],"
             "\"data_offsets\":[%zu,%zu]},\"small\":{\"dtype\":\"I8\",\"shape\":[%d],\"data_offsets\":[%zu,%zu]}}",
             big, big, big, big, SMALL, big, big + SMALL);
    const size_t n = strlen(head);
    plain_bytes = 8 + n + big + SMALL;
    plain = malloc(plain_bytes);
    for (int i = 0; i < 8; i++) plain[i] = (uint8_t)(n >> (8 * i));
    memcpy(plain + 8, head, n);
    uint64_t r = 1;
    for (size_t i = 8 + n; i < plain_bytes; i++)
        plain[i] = (uint8_t)((r = r * 6364136223846793005u + 1442695040888963407u) >> 56);
    unit_write(model, plain, plain_bytes);
}

static tola_status encrypt(uint32_t chunk, bool overwrite, tola_error *err) {
    tola_encrypt_options o = TOLA_ENCRYPT_OPTIONS_INIT;
    const char *recipients[] = { pub, NULL };
    o.recipients = recipients;
    o.chunk_bytes = chunk;
    o.overwrite = overwrite;
    o.threads = 1;
    return tola_encrypt(model, enc, &o, NULL, err);
}

static int set_up_model(void **state, size_t big) {
    tola_error err = TOLA_ERROR_INIT;
    unit_set_up(state);
    snprintf(key, sizeof key, "%s", unit_path("key"));
    snprintf(pub, sizeof pub, "%s.pub", key);
    snprintf(model, sizeof model, "%s", unit_path("w.safetensors"));
    snprintf(enc, sizeof enc, "%s", unit_path("w.enc"));
    make_model(big);
    if (tola_keygen(key, "encrypt", false, &err) != TOLA_OK || tola_keys_add_identity(key, &err) != TOLA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return err.status == TOLA_E_UNSUPPORTED ? 0 : -1;
    }
    return 0;
}

static int set_up(void **state) { return set_up_model(state, BIG); }

static int set_up_small(void **state) { return set_up_model(state, 3 * SMALL); }

static int tear_down(void **state) {
    tola_keys_forget();
    free(plain);
    return unit_tear_down(state);
}

static source *open_encrypted(void) {
    tola_error err = TOLA_ERROR_INIT;
    source *s;
    if (ck_open_source(enc, &s, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_int_equal(s->size, plain_bytes);
    assert_true(s->secret);
    return s;
}

static void read_at_random(source *s, uint64_t seed) {
    uint8_t *got = malloc(plain_bytes);
    tola_error err = TOLA_ERROR_INIT;
    for (int i = 0; i < 200; i++) {
        size_t at = (size_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 20) % plain_bytes;
        size_t n = (size_t)(seed >> 7) % (i % 10 ? 200000u : (unsigned)plain_bytes) % (plain_bytes - at) + 1;
        assert_int_equal(source_read(s, at, got, n, &err), TOLA_OK);
        assert_memory_equal(got, plain + at, n);
    }
    free(got);
}

static void *reader_thread(void *s) {
    read_at_random(s, (uint64_t)(uintptr_t)&s);
    return NULL;
}

static void test_source(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    static const uint32_t chunks[] = { 4096, 0, 16 << 20 };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(encrypt(chunks[i], i > 0, &err), TOLA_OK);
        source *s = open_encrypted();
        pthread_t threads[3];
        for (int t = 0; t < 3; t++) assert_int_equal(pthread_create(&threads[t], NULL, reader_thread, s), 0);
        read_at_random(s, 7);
        for (int t = 0; t < 3; t++) pthread_join(threads[t], NULL);
        assert_null(source_map(s));
        source_close(s);
    }
}

/* Tensors that are acquired lie in memory that no dump holds; nothing made of them goes to the cache. */
static bool left_out_of_dumps(const void *p) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool in = false, out = false;
    for (unsigned long a, b; f && fgets(line, sizeof line, f);) {
        if (sscanf(line, "%lx-%lx ", &a, &b) == 2) in = (uintptr_t)p >= a && (uintptr_t)p < b;
        if (in && strncmp(line, "VmFlags:", 8) == 0) out = strstr(line, " dd") != NULL;
    }
    if (f) fclose(f);
    return out;
}

static void test_views(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck;
    tola_view view;
    made_blocks *m;
    bool ready;
    assert_int_equal(encrypt(0, false, &err), TOLA_OK);
    assert_int_equal(tola_checkpoint_open(enc, NULL, &ck, &err), TOLA_OK);
    assert_true(tola_checkpoint_encrypted(ck));
    assert_int_equal(tola_checkpoint_tensor_count(ck), 3);
    assert_int_equal(tola_checkpoint_acquire(ck, tola_checkpoint_find(ck, "big"), &view, &err), TOLA_OK);
    assert_memory_equal(view.data, plain + plain_bytes - SMALL - BIG, BIG);
    assert_true(left_out_of_dumps(view.data));
    tola_view_release(&view);
    setenv("TOLA_CACHE", unit_path("cache"), 1);
    mkdir(unit_path("cache"), 0700);
    assert_int_equal(made_open(ck, &m, &err), TOLA_OK);
    uint8_t *made = made_take(m, 0, 64 << 20, &ready, &err);
    assert_false(ready);
    memset(made, 1, 64 << 20);
    made_keep(m);
    made_free(m);
    assert_int_equal(rmdir(unit_path("cache")), 0); /* it is empty */
    unsetenv("TOLA_CACHE");
    tola_checkpoint_close(ck);
}

/* ---- keys ---- */

static void test_ring(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck, *again;
    struct rlimit core;
    uint8_t got[100];
    assert_int_equal(encrypt(0, false, &err), TOLA_OK);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    assert_int_equal(core.rlim_cur, 0);
    assert_int_equal(tola_checkpoint_open(enc, NULL, &ck, &err), TOLA_OK);
    tola_keys_forget();
    assert_int_equal(tola_checkpoint_read(ck, 0, 0, got, sizeof got, &err), TOLA_OK); /* what is open stays open */
    assert_int_equal(tola_checkpoint_open(enc, NULL, &again, &err), TOLA_OK);         /* and is shared */
    tola_checkpoint_close(again);
    tola_checkpoint_close(ck);
    assert_int_equal(tola_checkpoint_open(enc, NULL, &ck, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "is encrypted: --identity KEY opens it"));
    setenv("TOLA_IDENTITY", key, 1);
    assert_int_equal(tola_checkpoint_open(enc, NULL, &ck, &err), TOLA_OK);
    tola_checkpoint_close(ck);
    unsetenv("TOLA_IDENTITY");
}

static void test_secret_memory(void **state) {
    (void)state;
    uint8_t *p = secret_alloc(100);
    if (!p) skip(); /* nothing can be locked here */
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    assert_true(left_out_of_dumps(p));
    secret_free(p);
    secret_free(NULL);
    assert_null(secret_alloc(SIZE_MAX - 10));
    p = secret_map(5 << 20);
    assert_non_null(p);
    assert_true(left_out_of_dumps(p));
    secret_unmap(p, 5 << 20);
    secret_unmap(NULL, 1);
}

static int messages;

static void count_warning(void *user, const char *message) {
    messages += *(int *)user;
    assert_non_null(strstr(message, "others than its owner may read"));
}

static void test_wide_key(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    int one = 1;
    tola_keys_forget();
    tola_keys_on_warning(count_warning, &one);
    assert_int_equal(tola_keys_add_identity(key, &err), TOLA_OK);
    assert_int_equal(messages, 0);
    assert_int_equal(chmod(key, 0640), 0);
    assert_int_equal(tola_keys_add_identity(key, &err), TOLA_OK);
    assert_int_equal(messages, 1);
    tola_keys_on_warning(NULL, NULL);
    struct stat st;
    assert_int_equal(tola_keygen(key, "encrypt", true, &err), TOLA_OK); /* a new key does not take over the mode */
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* ---- failures everywhere ---- */

static size_t entries(void) {
    DIR *dir = opendir(unit_here());
    size_t n = 0;
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

typedef tola_status (*work)(tola_error *err);

static tola_status do_encrypt(tola_error *err) { return encrypt(4096, false, err); }

static tola_status do_decrypt(tola_error *err) {
    tola_decrypt_options o = TOLA_DECRYPT_OPTIONS_INIT;
    o.threads = 1;
    return tola_decrypt(unit_path("kept.enc"), unit_path("w.out"), &o, NULL, err);
}

static tola_status do_open(tola_error *err) {
    tola_checkpoint *ck;
    uint8_t got[SMALL];
    tola_status status = tola_checkpoint_open(unit_path("kept.enc"), NULL, &ck, err);
    if (status != TOLA_OK) return status;
    status = tola_checkpoint_read(ck, tola_checkpoint_find(ck, "small"), 0, got, sizeof got, err);
    if (status == TOLA_OK) assert_memory_equal(got, plain + plain_bytes - SMALL, SMALL);
    tola_checkpoint_close(ck);
    return status;
}

static tola_status do_rekey(tola_error *err) { return tola_rekey(unit_path("kept.enc"), NULL, NULL, err); }

static tola_status do_keygen(tola_error *err) { return tola_keygen(unit_path("new"), "encrypt", false, err); }

/* Makes the n-th allocation, read, write fail, for each n; `out` is what a success leaves. */
static void torture(work w, const char *out, const char *more) {
    const size_t before = entries();
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        for (uint64_t n = 0;; n++) {
            tola_error err = TOLA_ERROR_INIT;
            fault_arm((fault_kind)kind, n, false);
            tola_status status = w(&err);
            bool reached = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status != TOLA_OK) {
                assert_true(reached);
                assert_true(err.message[0]);
            } else {
                if (out) assert_int_equal(unlink(unit_path(out)), 0);
                if (more) assert_int_equal(unlink(unit_path(more)), 0);
            }
            if (entries() != before && !(w == do_keygen && status != TOLA_OK))
                fail_msg("kind %d, %d: left over", kind, (int)n);
            if (w == do_keygen) {
                unlink(unit_path("new"));
                unlink(unit_path("new.pub"));
            }
            if (w == do_rekey && status != TOLA_OK) assert_int_equal(do_rekey(NULL), TOLA_OK); /* the next one mends */
            if (!reached) break;
            assert_true(n < 20000);
        }
}

static void test_failures(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(encrypt(4096, false, &err), TOLA_OK);
    assert_int_equal(rename(enc, unit_path("kept.enc")), 0);
    torture(do_encrypt, "w.enc", NULL);
    torture(do_decrypt, "w.out", NULL);
    torture(do_open, NULL, NULL);
    torture(do_rekey, NULL, NULL);
    torture(do_keygen, "new", "new.pub");
    assert_int_equal(do_open(&err), TOLA_OK);
}

static bool stop(void *user, const tola_progress *progress) {
    (void)user;
    (void)progress;
    return false;
}

static void test_cancel(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_encrypt_options e = TOLA_ENCRYPT_OPTIONS_INIT;
    tola_decrypt_options d = TOLA_DECRYPT_OPTIONS_INIT;
    const char *recipients[] = { pub, NULL };
    const size_t before = entries();
    e.recipients = recipients;
    e.progress = d.progress = stop;
    assert_int_equal(tola_encrypt(model, enc, &e, NULL, &err), TOLA_E_CANCELLED);
    assert_int_equal(entries(), before);
    assert_int_equal(encrypt(0, false, &err), TOLA_OK);
    assert_int_equal(tola_decrypt(enc, unit_path("out"), &d, NULL, &err), TOLA_E_CANCELLED);
    assert_int_equal(entries(), before + 1);
}

/* ---- outputs with folders in them ---- */

static tola_status make_tree(bool commit, tola_error *err) {
    output_set *set;
    output_file *f;
    TRY(output_set_open(true, &set, err));
    tola_status status = output_set_folder(set, unit_path("tree"), err);
    if (status == TOLA_OK) status = output_add_folder(set, unit_path("tree/a"), err);
    if (status == TOLA_OK) status = output_add_folder(set, unit_path("tree/a/b"), err);
    if (status == TOLA_OK) status = output_add(set, unit_path("tree/a/b/x"), 1, &f, err);
    if (status == TOLA_OK) status = output_write(f, 0, "x", 1, err);
    if (status == TOLA_OK && commit) return output_commit(set, err);
    output_abort(set);
    return status;
}

static void test_output_folders(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    const size_t before = entries();
    assert_int_equal(make_tree(false, &err), TOLA_OK);
    assert_int_equal(entries(), before);
    assert_int_equal(make_tree(true, &err), TOLA_OK);
    assert_int_equal(access(unit_path("tree/a/b/x"), F_OK), 0);
    assert_int_equal(make_tree(true, &err), TOLA_OK); /* into one that exists */
    assert_int_equal(make_tree(false, &err), TOLA_OK);
    assert_int_equal(access(unit_path("tree/a/b/x"), F_OK), 0);
    /* a link in the place of a folder would lead elsewhere */
    assert_int_equal(unlink(unit_path("tree/a/b/x")), 0);
    assert_int_equal(rmdir(unit_path("tree/a/b")), 0);
    assert_int_equal(symlink("/tmp", unit_path("tree/a/b")), 0);
    assert_int_equal(make_tree(true, &err), TOLA_E_EXISTS);
}

int main(void) {
    setbuf(stdout, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hchacha20),
        cmocka_unit_test(test_xchacha20_poly1305),
        cmocka_unit_test(test_x25519),
        cmocka_unit_test(test_padded),
        cmocka_unit_test(test_secret_memory),
        cmocka_unit_test_setup_teardown(test_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_views, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ring, set_up_small, tear_down),
        cmocka_unit_test_setup_teardown(test_wide_key, set_up_small, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up_small, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up_small, tear_down),
        cmocka_unit_test_setup_teardown(test_output_folders, set_up_small, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
