/* The access log: trees, notes, rates; beginnings and ends of runs; and every allocation, read and write failing. */
#define _GNU_SOURCE 1
#include "unit.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <tola/log.h>

#include "base/mem.h"
#include "log_golden.h"
#include "trust/digest.h"
#include "trust/log_append.h"

/* ---- trees ---- */

enum { LEAVES = sizeof golden_leaves / sizeof *golden_leaves };

typedef struct nodes {
    merkle_hash hash[8][64];
} nodes;

static tola_status put(void *user, unsigned level, uint64_t index, const merkle_hash h, tola_error *err) {
    (void)err;
    memcpy(((nodes *)user)->hash[level][index], h, 32);
    return TOLA_OK;
}

static tola_status get(void *user, unsigned level, uint64_t index, merkle_hash out, tola_error *err) {
    (void)err;
    memcpy(out, ((nodes *)user)->hash[level][index], 32);
    return TOLA_OK;
}

static void expect_hex(const merkle_hash h, const char *hex) {
    char text[DIGEST_HEX];
    digest_to_hex(h, 32, text);
    assert_string_equal(text, hex);
}

static void grow(nodes *n, merkle_edge *edge, merkle_hash leaves[LEAVES]) {
    merkle_hash root;
    for (size_t i = 0; i < LEAVES; i++) {
        uint8_t data[64];
        size_t bytes = strlen(golden_leaves[i]) / 2;
        assert_true(digest_from_hex(golden_leaves[i], 2 * bytes, data, (unsigned)bytes));
        assert_int_equal(merkle_root(edge, root, NULL), TOLA_OK);
        expect_hex(root, golden_roots[i]);
        assert_int_equal(merkle_leaf(data, bytes, leaves[i], NULL), TOLA_OK);
        assert_int_equal(merkle_append(edge, leaves[i], put, n, NULL), TOLA_OK);
    }
    assert_int_equal(merkle_root(edge, root, NULL), TOLA_OK);
    expect_hex(root, golden_roots[LEAVES]);
}

static void test_tree(void **state) {
    (void)state;
    static nodes n;
    merkle_edge edge = { .size = 0 };
    merkle_hash leaves[LEAVES], list[MERKLE_PATH], root, old;
    size_t count;
    grow(&n, &edge, leaves);
    for (size_t i = 0; i < sizeof golden_paths / sizeof *golden_paths; i++) {
        unsigned m = golden_paths[i].from, size = golden_paths[i].size;
        assert_int_equal(merkle_path(m, size, get, &n, list, &count, NULL), TOLA_OK);
        assert_int_equal(count, golden_paths[i].count);
        for (size_t k = 0; k < count; k++) expect_hex(list[k], golden_paths[i].hex[k]);
        assert_true(merkle_path_root(m, size, leaves[m], (const merkle_hash *)list, count, root, NULL));
        expect_hex(root, golden_roots[size]);
    }
    for (size_t i = 0; i < sizeof golden_proofs / sizeof *golden_proofs; i++) {
        unsigned m = golden_proofs[i].from, size = golden_proofs[i].size;
        assert_int_equal(merkle_proof(m, size, get, &n, list, &count, NULL), TOLA_OK);
        assert_int_equal(count, golden_proofs[i].count);
        for (size_t k = 0; k < count; k++) expect_hex(list[k], golden_proofs[i].hex[k]);
        assert_true(digest_from_hex(golden_roots[m], 64, old, 32));
        assert_true(digest_from_hex(golden_roots[size], 64, root, 32));
        const merkle_hash *proof = (const merkle_hash *)list;
        assert_true(merkle_consistent(m, size, old, root, proof, count, NULL));
        if (m != size) assert_false(merkle_consistent(m, size, root, old, proof, count, NULL));
        assert_false(merkle_consistent(m, size, old, root, proof, count + 1, NULL));
        assert_false(merkle_consistent(0, size, old, root, proof, count, NULL));
    }
}

/* ---- notes ---- */

static note_key read_key(void) {
    note_key key;
    const char text[] = GOLDEN_SEED_KEY "\n";
    unit_write(unit_path("key"), text, sizeof text - 1);
    assert_int_equal(chmod(unit_path("key"), 0600), 0);
    assert_int_equal(note_key_read(unit_path("key"), true, "", &key, NULL), TOLA_OK);
    return key;
}

static void test_note(void **state) {
    (void)state;
    note_key key = read_key(), public;
    tree_head head;
    buf b;
    buf_init(&b, 0);
    note_key_text(&key, &b);
    assert_int_equal(b.length, strlen(GOLDEN_KEY));
    assert_memory_equal(b.data, GOLDEN_KEY, b.length);
    assert_int_equal(note_key_parse(GOLDEN_KEY, strlen(GOLDEN_KEY), &public, NULL), TOLA_OK);
    assert_true(note_key_same(&key, &public));
    assert_int_equal(log_checkpoint_read(GOLDEN_NOTE, strlen(GOLDEN_NOTE), &public, &head, NULL), TOLA_OK);
    assert_int_equal(head.size, LEAVES);
    expect_hex(head.root, golden_roots[LEAVES]);
    b.length = 0;
    assert_int_equal(checkpoint_sign(&head, &key, &b, NULL), TOLA_OK); /* Ed25519 knows no chance */
    assert_int_equal(b.length, strlen(GOLDEN_NOTE));
    assert_memory_equal(b.data, GOLDEN_NOTE, b.length);
    for (size_t i = 0; i + 1 < b.length; i++) { /* no byte may change */
        char *copy = mem_alloc(b.length);
        memcpy(copy, b.data, b.length);
        copy[i] ^= 1;
        tola_error err = TOLA_ERROR_INIT;
        assert_int_not_equal(log_checkpoint_read(copy, b.length, &public, &head, &err), TOLA_OK);
        assert_true(err.message[0] && !strchr(err.message, '\n'));
        mem_free(copy);
    }
    buf_free(&b);
    note_key_free(&key);
    note_key_free(&public);
}

static void test_bad_notes(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "\n\n",
        "a\n",
        "a\n\n",
        "a\n\nno signature\n",
        "a\n\n\xe2\x80\x94 name\n",
        "a\n\n\xe2\x80\x94 na+me AAAAAAAA\n",
        "a\n\n\xe2\x80\x94 n\302\240e AAAAAAAA\n",
        "a\n\n\xe2\x80\x94 name AAA\n",
        "a\n\n- name AAAAAAAA\n",
        "a\tb\n\n\xe2\x80\x94 name AAAAAAAA\n",
        "a\r\n\n\xe2\x80\x94 name AAAAAAAA\n",
        "\xff\n\n\xe2\x80\x94 name AAAAAAAA\n",
        "a\n\n\xe2\x80\x94 name AAAAAAAA",
    };
    static const char *const no_head[] = { "a\n1\n",
                                           "a\n\n1\nA\n",
                                           "\n1\nA\n",
                                           "a\n-1\nA\n",
                                           "a\n01\nA\n",
                                           "a\n1 \nA\n",
                                           "a\n99999999999999999999\nA\n",
                                           "a\n1\nAAAA\n" };
    signed_note n;
    tree_head head;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tola_error err = TOLA_ERROR_INIT;
        assert_int_equal(note_parse(bad[i], strlen(bad[i]), &n, &err), TOLA_E_FORMAT);
        assert_true(err.message[0] && !strchr(err.message, '\n'));
    }
    static const char good[] = "a\n\n\xe2\x80\x94 name AAAAAAAA\n";
    assert_int_equal(note_parse(good, sizeof good - 1, &n, NULL), TOLA_OK);
    for (size_t i = 0; i < sizeof no_head / sizeof *no_head; i++) {
        n.text = no_head[i];
        n.length = strlen(no_head[i]);
        assert_int_equal(checkpoint_parse(&n, &head, NULL), TOLA_E_FORMAT);
    }
}

/* ---- rates ---- */

static void test_rates(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double rate;
    } good[] = {
        { "10MB/s", 1e7 },
        { "100Mbit/s", 1.25e7 },
        { "1GB/day", 1e9 / 86400 },
        { "1 GiB/h", 1073741824.0 / 3600 },
        { "50GB/month", 50e9 / 2592000 },
        { "200tokens/s", 400 },
        { "1Gbps", 1.25e8 },
        { "1.5kB/min", 25 },
        { "8b/s", 1 },
        { "1B/s", 1 },
        { "7TB/week", 7e12 / 604800 },
        { "1000 tok/day", 2000.0 / 86400 },
    };
    static const char *const bad[] = { "",         "10",    "MB/s",    "10MB",    "10MB/",   "10/s",   "10MB/parsec",
                                       "-1MB/s",   "0MB/s", "nanMB/s", "infMB/s", "1e3MB/s", "10mB/s", "10MB/s ",
                                       "1..5MB/s", "10ps" };
    double rate;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(tola_rate_parse(good[i].text, 2, &rate, NULL), TOLA_OK);
        assert_float_equal(rate, good[i].rate, good[i].rate * 1e-6);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tola_rate_parse(bad[i], 2, &rate, NULL), TOLA_E_ARG);
    assert_float_equal(tola_exposure_seconds(864000000000u, 4, 1e7), 21600, 1e-3);
}

/* ---- runs ---- */

static char log_path[600], model[600], other[600];

static void make_model(const char *path, uint64_t rows) {
    const uint64_t shape[] = { rows, 4 };
    const tola_tensor_spec spec = { "w", shape, 2, TOLA_DTYPE_F32, 0 };
    static const uint8_t zeros[4096];
    tola_writer *w;
    assert_int_equal(tola_writer_open(path, &spec, 1, NULL, &w, NULL), TOLA_OK);
    assert_int_equal(tola_writer_write(w, 0, 0, zeros, rows * 16, NULL), TOLA_OK);
    assert_int_equal(tola_writer_finish(w, NULL), TOLA_OK);
}

static int set_up(void **state) {
    unit_set_up(state);
    strcpy(log_path, unit_path("log"));
    strcpy(model, unit_path("m.safetensors"));
    strcpy(other, unit_path("o.safetensors"));
    make_model(model, 8);
    make_model(other, 9);
    return 0;
}

typedef struct texts {
    char *all;
    size_t count;
} texts;

static tola_status take(void *user, const tola_log_entry *e, tola_error *err) {
    texts *t = user;
    (void)err;
    assert_non_null(e->value);
    assert_int_equal(e->number, t->count++);
    size_t n = t->all ? strlen(t->all) : 0;
    t->all = realloc(t->all, n + e->length + 2);
    memcpy(t->all + n, e->text, e->length);
    strcpy(t->all + n + e->length, "\n");
    return TOLA_OK;
}

static void expect_valid(size_t entries) {
    tola_log_report *r;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = tola_log_verify(log_path, NULL, &r, &err);
    if (status != TOLA_OK) print_message("%s\n", err.message);
    assert_int_equal(status, TOLA_OK);
    if (!r->valid) print_message("%s\n", r->problems[0].what);
    assert_true(r->valid);
    if (entries) assert_int_equal(r->size, entries);
    tola_log_report_free(r);
}

static void test_run(void **state) {
    (void)state;
    const char *const inputs[] = { model, NULL }, *const outputs[] = { unit_path("new.safetensors"), NULL };
    tola_log_access a = TOLA_LOG_ACCESS_INIT;
    tola_log_run *run, *second;
    tola_checkpoint *ck;
    texts t = { NULL, 0 };
    a.verb = "test";
    a.inputs = inputs;
    a.outputs = outputs;
    assert_int_equal(tola_log_begin(log_path, &a, &run, NULL), TOLA_OK);
    expect_valid(2);
    assert_int_equal(tola_log_begin(log_path, &a, &second, NULL), TOLA_E_ARG);
    for (int i = 0; i < 2; i++) { /* each is told of once, the one that was named not at all */
        assert_int_equal(tola_checkpoint_open(model, NULL, &ck, NULL), TOLA_OK);
        tola_checkpoint_close(ck);
        assert_int_equal(tola_checkpoint_open(other, NULL, &ck, NULL), TOLA_OK);
        tola_checkpoint_close(ck);
    }
    expect_valid(3);
    pid_t child = fork();
    if (child == 0) { /* a child logs nothing */
        tola_status status = tola_checkpoint_open(unit_path("absent"), NULL, &ck, NULL);
        if (status == TOLA_OK) tola_checkpoint_close(ck);
        make_model(unit_path("child.safetensors"), 3);
        status = tola_checkpoint_open(unit_path("child.safetensors"), NULL, &ck, NULL);
        _exit(status == TOLA_OK ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    make_model(outputs[0], 5);
    assert_int_equal(tola_log_end(run, 0, 0, NULL), TOLA_OK);
    make_model(unit_path("after.safetensors"), 5);
    expect_valid(4);
    assert_int_equal(tola_log_read(log_path, take, &t, NULL), TOLA_OK);
    assert_int_equal(t.count, 4);
    assert_non_null(strstr(t.all, "o.safetensors"));
    assert_non_null(strstr(t.all, "new.safetensors\",\"kind\":\"file\",\"digest\":\"sha256:"));
    assert_null(strstr(t.all, "child.safetensors"));
    assert_null(strstr(t.all, "after.safetensors"));
    free(t.all);
}

/* If the entry cannot be written, weights that no argument named cannot be opened. */
static void test_refused(void **state) {
    (void)state;
    tola_log_access a = TOLA_LOG_ACCESS_INIT;
    tola_log_run *run;
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    a.verb = "test";
    assert_int_equal(tola_log_begin(log_path, &a, &run, NULL), TOLA_OK);
    assert_int_equal(rename(unit_path("log.key"), unit_path("gone")), 0);
    assert_int_not_equal(tola_checkpoint_open(other, NULL, &ck, &err), TOLA_OK);
    assert_non_null(strstr(err.message, "key"));
    assert_int_not_equal(tola_log_end(run, 0, 0, &err), TOLA_OK);
    assert_int_equal(rename(unit_path("gone"), unit_path("log.key")), 0);
    assert_int_equal(tola_checkpoint_open(other, NULL, &ck, NULL), TOLA_OK); /* nobody watches any more */
    tola_checkpoint_close(ck);
    expect_valid(2);
}

/* ---- everything fails in turn ---- */

static tola_status whole_life(tola_error *err) {
    const char *const inputs[] = { model, unit_here(), "https://a:b@example.org/m?token", NULL };
    tola_log_access a = TOLA_LOG_ACCESS_INIT;
    tola_log_run *run;
    tola_checkpoint *ck;
    a.verb = "test";
    a.inputs = inputs;
    a.threads = 1;
    tola_status status = tola_log_begin(log_path, &a, &run, err);
    if (status != TOLA_OK) return status;
    status = tola_checkpoint_open(other, NULL, &ck, err);
    if (status == TOLA_OK) tola_checkpoint_close(ck);
    if (status == TOLA_OK) return tola_log_end(run, 0, 0, err);
    tola_status ended = tola_log_end(run, 2, 0, NULL);
    (void)ended;
    return status;
}

/* The first run of all, and after it, whatever had failed, one that goes well. */
static tola_status first_life(tola_error *err) {
    static const char *const endings[] = { "", ".key", ".pub", ".head", "-journal" };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[700];
        snprintf(path, sizeof path, "%s%s", log_path, endings[i]);
        unlink(path);
    }
    tola_status status = whole_life(err);
    if (status != TOLA_OK) {
        tola_error again = TOLA_ERROR_INIT;
        fault_disarm();
        tola_status second = whole_life(&again);
        if (second != TOLA_OK) print_message("%s\n", again.message);
        assert_int_equal(second, TOLA_OK);
        expect_valid(0);
    }
    return status;
}

static tola_status all_readers(tola_error *err) {
    tola_log_verify_options o = TOLA_LOG_VERIFY_OPTIONS_INIT;
    tola_log_report *r;
    tola_log_proof *p;
    tola_log_checkpoint c;
    texts t = { NULL, 0 };
    tola_status status = tola_log_verify(log_path, NULL, &r, err);
    if (status == TOLA_OK) {
        status = r->valid ? TOLA_OK : TOLA_E_FORMAT;
        if (!r->valid) print_message("%s\n", r->problems[0].what);
        tola_log_report_free(r);
    }
    if (status == TOLA_OK) status = tola_log_newest(log_path, NULL, &c, err);
    if (status != TOLA_OK) return status;
    unit_write(unit_path("old"), c.note, strlen(c.note));
    tola_log_checkpoint_dispose(&c);
    status = tola_log_prove(log_path, 1, unit_path("old"), &p, err);
    if (status != TOLA_OK) return status;
    unit_write(unit_path("proof"), p->document, strlen(p->document));
    tola_log_proof_free(p);
    o.public_key = unit_path("log.pub");
    o.checkpoint = unit_path("old");
    status = tola_log_verify_proof(unit_path("proof"), &o, &r, err);
    if (status != TOLA_OK) return status;
    assert_true(r->valid);
    tola_log_report_free(r);
    status = tola_log_read(log_path, take, &t, err);
    free(t.all);
    return status;
}

static void torture(tola_status (*job)(tola_error *err), fault_kind kind) {
    for (uint64_t after = 0;; after++) {
        tola_error err = TOLA_ERROR_INIT;
        fault_arm(kind, after, false);
        tola_status status = job(&err);
        bool hit = status != TOLA_OK || fault_count(kind) > after;
        fault_disarm();
        if (status != TOLA_OK && !err.message[0])
            print_message("fault %d after %d: %d\n", (int)kind, (int)after, (int)status);
        if (status != TOLA_OK) assert_true(err.message[0] && !strchr(err.message, '\n'));
        if (!hit) {
            assert_int_equal(status, TOLA_OK);
            break;
        }
        assert_true(after < 100000);
    }
    expect_valid(0);
}

static void test_faults(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(whole_life(&err), TOLA_OK);
    torture(whole_life, FAULT_ALLOC);
    torture(whole_life, FAULT_READ);
    torture(first_life, FAULT_ALLOC);
    torture(first_life, FAULT_WRITE);
    torture(all_readers, FAULT_ALLOC);
    torture(all_readers, FAULT_READ);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test_setup_teardown(test_note, unit_set_up, unit_tear_down),
        cmocka_unit_test(test_bad_notes),
        cmocka_unit_test(test_rates),
        cmocka_unit_test_setup_teardown(test_run, set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
