/* Scanning: what the interface promises; the attacks are in tests/oracle/scan_oracle.py. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/mem.h"
#include "trust/sandbox.h"
#include "trust/scan.h"

static const char attack[] = "\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x85R.";
#define ATTACK_BYTES (sizeof attack - 1)

static tola_scan_report scan_one(const void *data, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    tola_scan_report r;
    if (tola_scan_memory("file", data, bytes, &r, &err) != TOLA_OK) fail_msg("%s", err.message);
    return r;
}

static tola_verdict verdict_of(const void *data, size_t bytes) {
    tola_scan_report r = scan_one(data, bytes);
    tola_verdict v = r.verdict;
    tola_scan_dispose(&r);
    return v;
}

static void test_an_attack(void **state) {
    (void)state;
    tola_scan_report r = scan_one(attack, ATTACK_BYTES);
    assert_int_equal(r.size, sizeof r);
    assert_int_equal(r.verdict, TOLA_DANGEROUS);
    assert_int_equal(r.count, 1);
    const tola_scan_file *f = &r.files[0];
    assert_string_equal(f->format, "pickle");
    assert_int_equal(f->import_count, 1);
    assert_string_equal(f->imports[0].module, "posix");
    assert_string_equal(f->imports[0].name, "system");
    assert_int_equal(f->imports[0].offset, 19);
    assert_true(f->imports[0].called);
    assert_int_equal(f->finding_count, 1);
    assert_string_equal(f->findings[0].kind, "import");
    tola_scan_dispose(&r);
}

static void test_tiers(void **state) {
    (void)state;
#define VERDICT(text) verdict_of(text, sizeof text - 1)
    assert_int_equal(VERDICT("\x80\x02}q\0."), TOLA_SAFE);
    assert_int_equal(VERDICT("\x80\x02"
                             "ccollections\nOrderedDict\n)R."),
                     TOLA_SAFE);
    assert_int_equal(VERDICT("\x80\x02"
                             "csome.module\nname\n."),
                     TOLA_UNKNOWN);
    assert_int_equal(VERDICT("\x80\x02"
                             "cos\nsystem\n."),
                     TOLA_DANGEROUS);
    assert_int_equal(VERDICT("\x80\x02}q"), TOLA_UNKNOWN);
    assert_int_equal(VERDICT("\x80\x02"
                             "ccollections\nOrderedDict\n}b."),
                     TOLA_UNKNOWN); /* changes the class */
    assert_int_equal(VERDICT("plain text\n"), TOLA_SAFE);
    assert_int_equal(VERDICT("\xfe\xed\x01\x02"), TOLA_UNKNOWN);
    assert_int_equal(VERDICT(""), TOLA_SAFE);
    /* a name in text is no import; a call is */
    assert_int_equal(VERDICT("classes\nnames of things\n"), TOLA_SAFE);
    assert_int_equal(VERDICT("cposix\nsystem\n(Vid\ntR."), TOLA_DANGEROUS);
    assert_string_equal(tola_verdict_name(TOLA_SAFE), "safe");
    assert_string_equal(tola_verdict_name(TOLA_UNKNOWN), "unknown");
    assert_string_equal(tola_verdict_name(TOLA_DANGEROUS), "dangerous");
}

static tola_verdict verdict_of_template(const char *text) {
    tola_error err = TOLA_ERROR_INIT;
    tola_scan_report r;
    if (tola_scan_memory("chat_template.jinja", text, strlen(text), &r, &err) != TOLA_OK) fail_msg("%s", err.message);
    tola_verdict v = r.verdict;
    tola_scan_dispose(&r);
    return v;
}

static void test_templates(void **state) {
    (void)state;
    assert_int_equal(verdict_of_template("{% for m in messages %}{{ m['role'] ~ m.content | trim }}{% endfor %}"),
                     TOLA_SAFE);
    assert_int_equal(verdict_of_template("{% raw %}{#{% endraw %}{{ x.__class__ }}{# #}"), TOLA_DANGEROUS);
    assert_int_equal(verdict_of_template("{% set a = '_' ~ '_class__' %}{{ x[a] }}"), TOLA_UNKNOWN);
    assert_int_equal(verdict_of_template("{% set a %}__{{ 'class' }}__{% endset %}{{ x[a] }}"), TOLA_UNKNOWN);
    assert_int_equal(verdict_of_template("{{ x|attr(y) }}"), TOLA_UNKNOWN);
    assert_int_equal(verdict_of_template("{{ x[bos_token] }}"), TOLA_UNKNOWN);
    assert_int_equal(verdict_of_template("{{ x"), TOLA_UNKNOWN);
}

static void test_numpy_types(void **state) {
    (void)state;
#define DTYPE(state)                                                                                                   \
    VERDICT("\x80\x04"                                                                                                 \
            "cnumpy\ndtype\nX\2\0\0\0O8\x89\x88\x87R(K\3X\1\0\0\0|NNN"                                                 \
            "J\xff\xff\xff\xffJ\xff\xff\xff\xff" state "tb.")
    assert_int_equal(DTYPE("K\x3f"), TOLA_SAFE);
    assert_int_equal(DTYPE("K\0"), TOLA_UNKNOWN); /* objects that are said to be none */
    assert_int_equal(VERDICT("\x80\x04"
                             "cnumpy\ndtype\n]\x85R."),
                     TOLA_UNKNOWN);
}

/* Small reads in any order give the bytes of the source below. */
static void test_reading_ahead(void **state) {
    (void)state;
    enum { BYTES = 700000 };
    uint8_t *data = mem_alloc(BYTES), got[300];
    source *below, *ahead;
    tola_error err = TOLA_ERROR_INIT;
    for (size_t i = 0; i < BYTES; i++) data[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(source_open_memory("x", data, BYTES, &below, &err), TOLA_OK);
    assert_non_null(ahead = source_open_ahead(below));
    for (uint64_t i = 0; i < 4000; i++) {
        uint64_t at = i * 179 % (BYTES - sizeof got), n = i % sizeof got;
        if (i % 5 == 0) at = BYTES - n;
        assert_int_equal(source_read(ahead, at, got, (size_t)n, &err), TOLA_OK);
        assert_memory_equal(got, data + at, n);
    }
    assert_int_not_equal(source_read(ahead, BYTES - 1, got, 2, &err), TOLA_OK);
    source_close(ahead);
    source_close(below);
    mem_free(data);
}

/* ---- through the pipe ---- */

static void test_records(void **state) {
    (void)state;
    arena a, b;
    scan_job job;
    source *src;
    tola_error err = TOLA_ERROR_INIT;
    buf out;
    tola_scan_file file = { 0 };
    unsigned wants = 1;
    arena_init(&a, 0);
    arena_init(&b, 0);
    buf_init(&out, 0);
    scan_job_init(&job, &a);
    assert_int_equal(source_open_memory("x", attack, ATTACK_BYTES, &src, &err), TOLA_OK);
    scan_part part = { src, 0, ATTACK_BYTES, "x", "", 0, false };
    scan_content(&job, &part);
    assert_int_equal(scan_encode(&job, &out, &err), TOLA_OK);
    assert_int_equal(scan_decode(out.data, out.length, &b, &file, &wants, &err), TOLA_OK);
    assert_int_equal(file.verdict, TOLA_DANGEROUS);
    assert_int_equal(file.finding_count, 1);
    assert_string_equal(file.imports[0].name, "system");
    assert_int_equal(wants, 0);
    /* whatever is cut or changed is refused or read, and never safer than the worst finding left in it */
    for (size_t n = 0; n < out.length; n++)
        assert_int_not_equal(scan_decode(out.data, n, &b, &file, &wants, &err), TOLA_OK);
    for (size_t i = 0; i < out.length; i++) {
        uint8_t was = out.data[i];
        out.data[i] ^= 0x41;
        if (scan_decode(out.data, out.length, &b, &file, &wants, &err) == TOLA_OK)
            for (size_t k = 0; k < file.finding_count; k++) assert_true(file.verdict >= file.findings[k].verdict);
        out.data[i] = was;
    }
    scan_job_free(&job);
    source_close(src);
    buf_free(&out);
    arena_free(&a);
    arena_free(&b);
}

/* ---- files and the sandbox ---- */

static void test_files(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_scan_options options = TOLA_SCAN_OPTIONS_INIT;
    tola_scan_report r;
    unit_write(unit_path("b.txt"), attack, ATTACK_BYTES);
    unit_write(unit_path("a.txt"), "text", 4);
    const char *paths[] = { unit_here() };
    for (int mode = TOLA_SANDBOX_AUTO; mode <= TOLA_SANDBOX_NEVER; mode++) {
        options.sandbox = (tola_sandbox)mode;
        if (mode == TOLA_SANDBOX_ALWAYS && !sandbox_available()) continue;
        if (tola_scan(paths, 1, &options, &r, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_int_equal(r.count, 2);
        assert_int_equal(r.verdict, TOLA_DANGEROUS);
        assert_int_equal(r.files[0].verdict, TOLA_SAFE);
        assert_int_equal(r.files[1].verdict, TOLA_DANGEROUS);
        assert_int_equal(r.bytes, 4 + ATTACK_BYTES);
        if (mode == TOLA_SANDBOX_NEVER) assert_false(r.sandboxed);
        if (mode == TOLA_SANDBOX_ALWAYS) assert_true(r.sandboxed);
        tola_scan_dispose(&r);
    }
    const char *absent[] = { unit_path("absent") };
    assert_int_equal(tola_scan(absent, 1, &options, &r, &err), TOLA_E_NOT_FOUND);
    options.size = 0;
    assert_int_equal(tola_scan(paths, 1, &options, &r, &err), TOLA_E_ARG);
}

/* ---- what the child may not do ---- */

enum deed {
    DEED_READ,
    DEED_OPEN,
    DEED_OTHER_DESCRIPTOR,
    DEED_SOCKET,
    DEED_FORK,
    DEED_EXEC,
    DEED_EXECUTABLE,
    DEED_KILL
};

/* Does a deed in a sandboxed child; how the child ended, as waitpid tells it. */
static int end_of(enum deed deed, const char *path) {
    int ends[2], state = 0;
    source *src;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(source_open_file(path, &src, &err), TOLA_OK);
    assert_int_equal(pipe(ends), 0);
    pid_t child = sandbox_fork();
    if (child == 0) {
        char byte;
        int fd = source_descriptor(src), good = 1;
        if (!sandbox_enter(fd, ends[1], false, (uint64_t)1 << 30, 10)) sandbox_leave(2);
        switch (deed) {
        case DEED_READ: good = pread(fd, &byte, 1, 0) == 1 && write(ends[1], &byte, 1) == 1; break;
        case DEED_OPEN: good = open("/etc/passwd", O_RDONLY) == -1 && errno == ENOENT; break;
        case DEED_OTHER_DESCRIPTOR: good = write(1, "x", 1) == 1; break;
        case DEED_SOCKET: good = socket(AF_INET, SOCK_STREAM, 0) >= 0; break;
        case DEED_FORK: good = fork() >= 0; break;
        case DEED_EXEC: good = execl("/bin/true", "true", (char *)NULL) == 0; break;
        case DEED_EXECUTABLE:
            good = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
            break;
        case DEED_KILL: good = kill(getppid(), 0) == 0; break;
        }
        sandbox_leave(good ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &state, 0), child);
    close(ends[0]);
    source_close(src);
    return state;
}

static void test_sandbox(void **state) {
    (void)state;
    if (!sandbox_available()) {
        printf("skipped: this system has no filter for system calls\n");
        return;
    }
    char path[600];
    snprintf(path, sizeof path, "%s", unit_path("a.txt"));
    unit_write(path, "text", 4);
    for (int deed = DEED_READ; deed <= DEED_KILL; deed++) {
        int end = end_of((enum deed)deed, path);
        if (deed <= DEED_OPEN)
            assert_true(WIFEXITED(end) && WEXITSTATUS(end) == 0);
        else if (!(WIFSIGNALED(end) && WTERMSIG(end) == SIGSYS))
            fail_msg("deed %d was not ended by the filter: %d", deed, end);
    }
}

static bool stop(void *user, const tola_progress *p) {
    (void)user, (void)p;
    return false;
}

static void test_cancel(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_scan_options options = TOLA_SCAN_OPTIONS_INIT;
    tola_scan_report r;
    unit_write(unit_path("a.txt"), "text", 4);
    const char *paths[] = { unit_here() };
    options.progress = stop;
    assert_int_equal(tola_scan(paths, 1, &options, &r, &err), TOLA_E_CANCELLED);
    options.sandbox = TOLA_SANDBOX_NEVER;
    assert_int_equal(tola_scan(paths, 1, &options, &r, &err), TOLA_E_CANCELLED);
}

/* ---- no memory, no disk ---- */

static void test_torture(void **state) {
    (void)state;
    static const char *const inputs[] = {
        attack,
        "{\"class_name\": \"Lambda\", \"config\": {}}",
        "{\"chat_template\": \"{{ x.__class__ }}\"}",
    };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        size_t bytes = i ? strlen(inputs[i]) : ATTACK_BYTES;
        for (uint64_t n = 0; n < 10000; n++) {
            tola_error err = TOLA_ERROR_INIT;
            tola_scan_report r;
            fault_arm(FAULT_ALLOC, n, false);
            tola_status status = tola_scan_memory("file", inputs[i], bytes, &r, &err);
            bool reached = fault_count(FAULT_ALLOC) > n;
            fault_disarm();
            if (status == TOLA_OK) {
                assert_int_equal(r.verdict, TOLA_DANGEROUS); /* never safer for want of memory */
                tola_scan_dispose(&r);
            } else {
                assert_int_equal(status, TOLA_E_NOMEM);
                assert_true(err.message[0]);
            }
            if (!reached) break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_attack),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_numpy_types),
        cmocka_unit_test(test_reading_ahead),
        cmocka_unit_test(test_records),
        cmocka_unit_test_setup_teardown(test_files, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_sandbox, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, unit_set_up, unit_tear_down),
        cmocka_unit_test(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
