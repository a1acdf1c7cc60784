/* Signing from C: orders, base64, DER, Merkle paths, files, and what every failure of memory and disk leaves behind. */
#include "unit.h"

#include "base/hash.h"
#include "base/mem.h"
#include "trust/base64.h"
#include "trust/certificate.h"
#include "trust/manifest.h"
#include "trust/provenance.h"
#include "trust/merkle.h"
#include "trust/sigstore.h"
#include "trust/statement.h"
#include "trust/whole.h"

#include <sys/stat.h>

/* P-256; made by: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwymEXWTWBu/igt7H\n"
                              "QuEprQT+IcbfIf8FsRoKP85rKV2hRANCAAQL6LKvSpr8PCcjzLT7ZyosY6gjs38g\n"
                              "T331JnpD25nKr4dbgC28Zg+e1bSnr4U48NqV54osdNAIPS6BFp56yUz9\n"
                              "-----END PRIVATE KEY-----\n";
static const char pub_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEC+iyr0qa/DwnI8y0+2cqLGOoI7N/\n"
                              "IE999SZ6Q9uZyq+HW4AtvGYPntW0p6+FOPDaleeKLHTQCD0ugRaeeslM/Q==\n"
                              "-----END PUBLIC KEY-----\n";

static void test_order(void **state) {
    (void)state;
    static const char *const sorted[] = { ".",   ".a",  "A",     "a",   "a/b", "a/b/c", "a/b.c", "a/x",
                                          "a b", "a-b", "a-b/x", "a.b", "ab",  "b",     "z/a",   "\xc3\xbc" };
    enum { N = sizeof sorted / sizeof *sorted };
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++) {
            int order = manifest_compare_paths(sorted[i], sorted[k]);
            if ((order < 0) != (i < k) || (order > 0) != (i > k)) fail_msg("%s beside %s", sorted[i], sorted[k]);
        }
}

static void test_base64(void **state) {
    (void)state;
    static const struct {
        const char *text, *bytes;
    } good[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg==", "foob" } };
    static const char *const bad[] = { "Z",     "Zg",   "Zg=",  "Zg===", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9",
                                       "Zm9\n", "====", "Z===", "-_-_",  "=m9v", "Z=9v", "Zm=v" };
    arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t n;
        uint8_t *bytes = base64_decode(good[i].text, strlen(good[i].text), &a, &n, NULL);
        assert_non_null(bytes);
        assert_int_equal(n, strlen(good[i].bytes));
        assert_memory_equal(bytes, good[i].bytes, n);
        buf text;
        buf_init(&text, 0);
        base64_append(&text, bytes, n);
        assert_int_equal(text.length, strlen(good[i].text));
        if (text.length) assert_memory_equal(text.data, good[i].text, text.length);
        buf_free(&text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n;
        if (base64_decode(bad[i], strlen(bad[i]), &a, &n, NULL)) fail_msg("'%s' was taken", bad[i]);
    }
    arena_free(&a);
}

static void test_der(void **state) {
    (void)state;
    static const uint8_t good[] = { 0x04, 2, 'a', 'b', 0x0c, 0x81, 1, 'c' };
    bundle_bytes in = { good, sizeof good }, content;
    uint8_t tag;
    assert_true(der_next(&in, &tag, &content) && tag == 4 && content.length == 2);
    assert_true(der_next(&in, &tag, &content) && tag == 0x0c && content.length == 1 && content.data[0] == 'c');
    assert_false(der_next(&in, &tag, &content));
    static const uint8_t bad[][6] = { { 4 },
                                      { 4, 3, 1, 1 },
                                      { 4, 0x80, 0, 0, 0, 0 },
                                      { 4, 0x85, 0, 0, 0, 0 },
                                      { 4, 0x84, 255, 255, 255, 255 },
                                      { 4, 0x82, 1 } };
    static const size_t lengths[] = { 1, 4, 6, 6, 6, 3 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        in = (bundle_bytes){ bad[i], lengths[i] };
        assert_false(der_next(&in, &tag, &content));
    }
}

/* RFC 6962, 2.1: the root by its definition, and the path to each leaf. */
static void merkle(const uint8_t (*leaves)[32], size_t n, size_t at, uint8_t root[32], uint8_t (*path)[32],
                   size_t *used) {
    if (n == 1) {
        memcpy(root, leaves[0], 32);
        return;
    }
    size_t half = 1;
    while (half * 2 < n) half *= 2;
    uint8_t bytes[65] = { 1 }, none[64][32];
    size_t unused = 0;
    bool left = at < half;
    merkle(leaves, half, left ? at : 0, bytes + 1, left ? path : none, left ? used : &unused);
    unused = 0;
    merkle(leaves + half, n - half, left ? 0 : at - half, bytes + 33, left ? none : path, left ? &unused : used);
    memcpy(path[(*used)++], left ? bytes + 33 : bytes + 1, 32);
    assert_int_equal(sha256(bytes, sizeof bytes, root, NULL), TOLA_OK);
}

static void test_merkle(void **state) {
    (void)state;
    static uint8_t leaves[40][32];
    for (size_t i = 0; i < 40; i++) assert_int_equal(sha256(&i, sizeof i, leaves[i], NULL), TOLA_OK);
    for (size_t n = 1; n <= 40; n++)
        for (size_t at = 0; at < n; at++) {
            uint8_t want[32], got[32], path[64][32];
            size_t used = 0;
            merkle((const uint8_t(*)[32])leaves, n, at, want, path, &used);
            const uint8_t(*p)[32] = (const uint8_t(*)[32])path;
            assert_true(merkle_path_root(at, n, leaves[at], p, used, got, NULL));
            assert_memory_equal(got, want, 32);
            assert_false(merkle_path_root(at, n, leaves[at], p, used + 1, got, NULL));
            if (used) assert_false(merkle_path_root(at, n, leaves[at], p, used - 1, got, NULL));
            assert_false(merkle_path_root(n, n, leaves[at], p, used, got, NULL));
            if (used) {
                path[used / 2][5] ^= 1;
                if (merkle_path_root(at, n, leaves[at], p, used, got, NULL)) assert_memory_not_equal(got, want, 32);
            }
        }
}

/* ---- files ---- */

static void make_files(void) {
    unit_write(unit_path("key.pem"), key_pem, strlen(key_pem));
    unit_write(unit_path("pub.pem"), pub_pem, strlen(pub_pem));
    assert_int_equal(chmod(unit_path("key.pem"), 0600), 0);
    assert_int_equal(mkdir(unit_path("m"), 0700), 0);
    unit_write(unit_path("m/one"), "1", 1);
    unit_write(unit_path("m/two"), "22", 2);
}

static tola_status sign(tola_error *err) {
    tola_sign_options o = TOLA_SIGN_OPTIONS_INIT;
    o.key = unit_path("key.pem");
    o.overwrite = true;
    o.threads = 1;
    return tola_sign(unit_path("m"), &o, NULL, err);
}

static tola_status verify(tola_verification **v, tola_error *err) {
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    o.public_key = unit_path("pub.pem");
    o.threads = 1;
    o.chain = true;
    return tola_verify(unit_path("m"), &o, v, err);
}

static void test_round(void **state) {
    (void)state;
    make_files();
    tola_error err = TOLA_ERROR_INIT;
    tola_verification *v = NULL;
    if (sign(&err) == TOLA_E_UNSUPPORTED) {
        print_message("%s\n", err.message);
        skip();
    }
    assert_int_equal(verify(&v, &err), TOLA_OK);
    assert_true(v->valid && !v->reason && v->resources == 2 && v->bytes == 3);
    assert_string_equal(v->method, "key");
    assert_string_equal(v->name, "m");
    assert_int_equal(v->n_chain, 1);
    assert_int_equal(v->chain[0].inputs, 0);
    tola_verification_free(v);
    unit_write(unit_path("m/two"), "23", 2);
    unlink(unit_path("m/one"));
    assert_int_equal(verify(&v, &err), TOLA_OK);
    assert_true(!v->valid && v->reason && v->n_changed == 1 && v->n_missing == 1 && v->n_added == 0);
    assert_string_equal(v->changed[0], "two");
    assert_string_equal(v->missing[0], "one");
    tola_verification_free(v);
    tola_verification_free(NULL);
    unlink(unit_path("m/model.sig"));
    assert_int_equal(verify(&v, &err), TOLA_E_NOT_FOUND);
}

/* Options that were not made with the initializer, and such as make no sense. */
static void test_options(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_sign_options s = { 0 };
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    tola_verification *v = NULL;
    assert_int_equal(tola_sign("m", &s, NULL, &err), TOLA_E_ARG);
    assert_int_equal(tola_sign("m", NULL, NULL, &err), TOLA_E_ARG);
    assert_int_equal(tola_verify("m", &o, &v, &err), TOLA_E_ARG);
    o.public_key = o.trust_root = "x";
    assert_int_equal(tola_verify("m", &o, &v, &err), TOLA_E_ARG);
    tola_provenance p = TOLA_PROVENANCE_INIT;
    assert_int_equal(tola_provenance_write("p", &p, false, &err), TOLA_E_ARG);
}

/* Provenance names what there is, is signed along, and is followed. */
static void test_provenance(void **state) {
    (void)state;
    make_files();
    tola_error err = TOLA_ERROR_INIT;
    char in[600], out[600], file[600], key[600], pub[600];
    strcpy(in, unit_path("m"));
    strcpy(out, unit_path("q.gguf"));
    strcpy(file, unit_path("q.json"));
    strcpy(key, unit_path("key.pem"));
    strcpy(pub, unit_path("pub.pem"));
    unit_write(out, "qq", 2);
    const char *ins[] = { in, NULL }, *outs[] = { out, NULL }, *parameters[] = { "to=q4_k", NULL };
    tola_provenance p = TOLA_PROVENANCE_INIT;
    p.verb = "quantize";
    p.inputs = ins;
    p.outputs = outs;
    p.parameters = parameters;
    if (tola_provenance_write(file, &p, false, &err) == TOLA_E_UNSUPPORTED) skip();
    assert_int_equal(tola_provenance_write(file, &p, false, &err), TOLA_E_EXISTS);
    tola_sign_options s = TOLA_SIGN_OPTIONS_INIT;
    s.key = key;
    s.provenance = file;
    unit_write(out, "changed since", 13);
    assert_int_equal(tola_sign(out, &s, NULL, &err), TOLA_E_ARG);
    unit_write(out, "qq", 2);
    assert_int_equal(tola_sign(out, &s, NULL, &err), TOLA_OK);
    tola_verify_options o = TOLA_VERIFY_OPTIONS_INIT;
    tola_verification *v = NULL;
    o.public_key = pub;
    o.chain = true;
    assert_int_equal(tola_verify(out, &o, &v, &err), TOLA_OK);
    assert_true(!v->valid && v->n_chain == 2 && v->chain[0].inputs == 2 && v->chain[1].reason);
    tola_verification_free(v);
    assert_int_equal(sign(&err), TOLA_OK);
    assert_int_equal(tola_verify(out, &o, &v, &err), TOLA_OK);
    assert_true(v->valid && v->n_chain == 2 && !v->chain[1].reason && v->chain[1].inputs == 0);
    tola_verification_free(v);
    unit_write(unit_path("m/two"), "23", 2); /* another original, signed by the same */
    assert_int_equal(sign(&err), TOLA_OK);
    assert_int_equal(tola_verify(out, &o, &v, &err), TOLA_OK);
    assert_true(!v->valid && v->n_chain == 2 && v->chain[1].reason);
    tola_verification_free(v);
}

/* Every allocation, read and write fails in turn: an error with a message, nothing lost, no signature half written. */
static void test_torture(void **state) {
    (void)state;
    make_files();
    tola_error err = TOLA_ERROR_INIT;
    if (sign(&err) == TOLA_E_UNSUPPORTED) skip();
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        for (uint64_t n = 0; n < 3000; n++) {
            fault_arm((fault_kind)kind, n, false);
            err.message[0] = 0;
            tola_status status = sign(&err);
            bool hit = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status != TOLA_OK) assert_true(err.message[0] != 0);
            if (!hit) break;
            assert_int_equal(access(unit_path("m/model.sig"), F_OK), 0); /* the old one, or the new one */
        }
        tola_verification *v = NULL;
        assert_int_equal(sign(&err), TOLA_OK);
        for (uint64_t n = 0; n < 3000; n++) {
            fault_arm((fault_kind)kind, n, false);
            err.message[0] = 0;
            tola_status status = verify(&v, &err);
            bool hit = fault_count((fault_kind)kind) > n;
            fault_disarm();
            if (status != TOLA_OK)
                assert_true(err.message[0] != 0);
            else
                assert_true(v->valid || v->reason); /* what memory could not hold is no verdict on the model */
            if (status == TOLA_OK && hit) assert_true(v->valid);
            if (status == TOLA_OK) tola_verification_free(v);
            if (!hit) break;
        }
    }
}

/* A progress callback that says stop. */
static bool stop(void *user, const tola_progress *progress) {
    (void)user;
    (void)progress;
    return false;
}

static void test_cancel(void **state) {
    (void)state;
    make_files();
    tola_error err = TOLA_ERROR_INIT;
    tola_sign_options o = TOLA_SIGN_OPTIONS_INIT;
    char key[600];
    strcpy(key, unit_path("key.pem"));
    o.key = key;
    o.progress = stop;
    tola_status status = tola_sign(unit_path("m"), &o, NULL, &err);
    if (status == TOLA_E_UNSUPPORTED) skip();
    assert_int_equal(status, TOLA_E_CANCELLED);
    assert_int_not_equal(access(unit_path("m/model.sig"), F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_der),
        cmocka_unit_test(test_merkle),
        cmocka_unit_test(test_options),
        cmocka_unit_test_setup_teardown(test_round, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_provenance, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_torture, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
