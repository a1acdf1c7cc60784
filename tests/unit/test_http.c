/* Sources over HTTP against a server in this process: the cache, several threads, every allocation failing in turn.
 * How servers misbehave is in tests/oracle/remote_test.py. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "share/http.h"

#define FILE_BYTES (3u << 20)

static uint8_t *contents;
static int listener;
static char address[64];
static atomic_int requests, ignore_range;

/* One request, one response, then the connection is closed. */
static void answer(int fd) {
    char head[4096];
    size_t n = 0;
    while (n < sizeof head - 1) {
        ssize_t got = recv(fd, head + n, sizeof head - 1 - n, 0);
        if (got <= 0) break;
        n += (size_t)got;
        head[n] = 0;
        if (strstr(head, "\r\n\r\n")) break;
    }
    head[n] = 0;
    atomic_fetch_add(&requests, 1);
    unsigned long first = 0, last = FILE_BYTES - 1;
    const char *range = strstr(head, "Range: bytes=");
    bool partial = range && !atomic_load(&ignore_range) && sscanf(range + 13, "%lu-%lu", &first, &last) == 2;
    if (last > FILE_BYTES - 1) last = FILE_BYTES - 1;
    char reply[300];
    int length = snprintf(reply, sizeof reply,
                          "HTTP/1.1 %s\r\nContent-Length: %lu\r\nETag: \"x\"\r\nConnection: close\r\n",
                          partial ? "206 Partial Content" : "200 OK", last - first + 1);
    if (partial)
        length += snprintf(reply + length, sizeof reply - (size_t)length, "Content-Range: bytes %lu-%lu/%u\r\n", first,
                           last, FILE_BYTES);
    length += snprintf(reply + length, sizeof reply - (size_t)length, "\r\n");
    bool fine = send(fd, reply, (size_t)length, MSG_NOSIGNAL) == length;
    for (unsigned long at = first; fine && at <= last;) {
        ssize_t sent = send(fd, contents + at, last - at + 1, MSG_NOSIGNAL);
        fine = sent > 0;
        if (fine) at += (unsigned long)sent;
    }
    close(fd);
}

static void *answer_thread(void *fd) {
    answer((int)(intptr_t)fd);
    return NULL;
}

static void *serve(void *unused) {
    (void)unused;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0) return NULL;
        if (pthread_create(&thread, NULL, answer_thread, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
}

static int set_up(void **state) {
    (void)state;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    pthread_t thread;
    contents = malloc(FILE_BYTES);
    if (!contents) return -1;
    for (size_t i = 0; i < FILE_BYTES; i++) contents[i] = (uint8_t)(i * 2654435761u >> 24);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 64) != 0) return -1;
    if (getsockname(listener, (struct sockaddr *)&at, &size) != 0) return -1;
    snprintf(address, sizeof address, "http://127.0.0.1:%d/file?secret", ntohs(at.sin_port));
    setenv("no_proxy", "127.0.0.1", 1);
    return pthread_create(&thread, NULL, serve, NULL) || pthread_detach(thread);
}

static int tear_down(void **state) {
    (void)state;
    shutdown(listener, SHUT_RDWR);
    close(listener);
    return 0;
}

/* Skips the test where libcurl is absent. */
static source *open_it(void) {
    source *s = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = http_open(address, NULL, NULL, &s, &err);
    if (status == TOLA_E_UNSUPPORTED) skip();
    if (status != TOLA_OK) fail_msg("%s", err.message);
    return s;
}

static void check(source *s, uint64_t offset, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    uint8_t *got = malloc(bytes + 1);
    if (source_read(s, offset, got, bytes, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_memory_equal(got, contents + offset, bytes);
    free(got);
}

static void test_cache(void **state) {
    (void)state;
    for (int ignore = 0; ignore <= 1; ignore++) {
        atomic_store(&ignore_range, ignore);
        source *s = open_it();
        assert_int_equal(s->size, FILE_BYTES);
        assert_true(s->remote);
        assert_null(strstr(s->path, "secret"));
        assert_null(source_map(s));
        int before = atomic_load(&requests);
        for (int i = 0; i < 1000; i++) check(s, (uint64_t)i * 64, 64);
        assert_int_equal(atomic_load(&requests), before); /* all in the first 64 KiB */
        uint64_t at = 0;
        for (size_t step = 1; at + step < FILE_BYTES; at += step, step = step * 3 % 70001) check(s, at, step);
        assert_in_range(atomic_load(&requests) - before, 1, 12);
        check(s, FILE_BYTES - 1, 1);
        check(s, 0, FILE_BYTES);
        check(s, 65530, 12);
        check(s, 100, 2u << 20);
        check(s, FILE_BYTES, 0);
        uint8_t byte;
        assert_int_equal(source_read(s, FILE_BYTES, &byte, 1, NULL), TOLA_E_FORMAT);
        source_close(s);
    }
    atomic_store(&ignore_range, 0);
}

static void *read_all(void *arg) {
    source *s = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int i = 0; i < 60; i++) {
        uint64_t at = (uint64_t)rand_r(&seed) % FILE_BYTES;
        size_t most = i % 8 ? 30000 : 1500000, bytes = (size_t)rand_r(&seed) % most;
        if (bytes > FILE_BYTES - at) bytes = (size_t)(FILE_BYTES - at);
        uint8_t *got = malloc(bytes + 1);
        if (source_read(s, at, got, bytes, NULL) != TOLA_OK || memcmp(got, contents + at, bytes) != 0) s = NULL;
        free(got);
        if (!s) return NULL;
    }
    return s;
}

static void test_threads(void **state) {
    (void)state;
    for (int ignore = 0; ignore <= 1; ignore++) {
        atomic_store(&ignore_range, ignore);
        source *s = open_it();
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_all, s), 0);
        for (int i = 0; i < 4; i++) {
            void *result;
            assert_int_equal(pthread_join(threads[i], &result), 0);
            assert_ptr_equal(result, s);
        }
        source_close(s);
    }
    atomic_store(&ignore_range, 0);
}

static tola_status open_and_read(tola_error *err) {
    source *s;
    tola_status status = http_open(address, "token", NULL, &s, err);
    if (status != TOLA_OK) return status;
    static uint8_t bytes[2u << 20];
    static const struct { uint64_t at; size_t bytes; } reads[] = { { 0, 10 }, { 100000, 10 }, { 300000, 2u << 20 } };
    for (size_t i = 0; i < 3 && status == TOLA_OK; i++)
        status = source_read(s, reads[i].at, bytes, reads[i].bytes, err);
    source_close(s);
    return status;
}

static void test_faults(void **state) {
    (void)state;
    source_close(open_it());
    for (int ignore = 0; ignore <= 1; ignore++) {
        atomic_store(&ignore_range, ignore);
        for (int kind = 0; kind < 2; kind++) {
            for (uint64_t n = 0;; n++) {
                tola_error err = TOLA_ERROR_INIT;
                fault_arm(kind ? FAULT_READ : FAULT_ALLOC, n, false);
                tola_status status = open_and_read(&err);
                bool met = fault_count(kind ? FAULT_READ : FAULT_ALLOC) > n;
                fault_disarm();
                if (!met) {
                    assert_int_equal(status, TOLA_OK);
                    assert_true(n > 2);
                    break;
                }
                if (status != TOLA_OK) assert_true(err.status == status && err.message[0]);
            }
        }
    }
    atomic_store(&ignore_range, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
