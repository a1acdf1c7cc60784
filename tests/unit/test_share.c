/* Addresses and references: what is understood, what is refused, what messages may show. No connection is made. */
#include "unit.h"

#include <sys/stat.h>

#include "share/response.h"
#include "share/share.h"
#include "share/url.h"

static url u;

static void expect_url(const char *text, const char *sent, const char *user, const char *shown) {
    char buffer[URL_MAX];
    tola_error err = TOLA_ERROR_INIT;
    if (url_parse(text, &u, &err) != TOLA_OK) fail_msg("%s: %s", text, err.message);
    assert_string_equal(u.text, sent);
    assert_string_equal(u.user, user);
    assert_string_equal(url_show(&u, buffer, sizeof buffer), shown);
    assert_int_equal(u.text[u.path_at], '/');
}

static void test_urls(void **state) {
    (void)state;
    expect_url("https://Example.ORG", "https://example.org/", "", "https://example.org/");
    assert_true(u.https && u.port == 443);
    expect_url("http://h:80/a", "http://h/a", "", "http://h/a");
    expect_url("HTTP://h:8080/a?b=c#d", "http://h:8080/a?b=c", "", "http://h:8080/a");
    expect_url("https://me:pa%40ss@h/x", "https://h/x", "me:pa@ss", "https://h/x");
    expect_url("https://a@b@h/x", "https://h/x", "a@b", "https://h/x");
    expect_url("https://h/a b\xc3\xa9\"<>", "https://h/a%20b%C3%A9%22%3C%3E", "", "https://h/a%20b%C3%A9%22%3C%3E");
    expect_url("https://h?q=/x", "https://h/?q=/x", "", "https://h/");
    expect_url("https://[::1]:8/x", "https://[::1]:8/x", "", "https://[::1]:8/x");
    expect_url("https://h/%2e%2e/x", "https://h/%2e%2e/x", "", "https://h/%2e%2e/x");
    expect_url("https://h/x@y", "https://h/x@y", "", "https://h/x@y");
}

static void test_bad_urls(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "h", "ftp://h", "file:///etc/passwd", "https:/h", "https://", "https:///x", "http://:80/", "http://h:0/",
        "http://h:65536/", "http://h:8x/", "http://h h/", "http://h\xc3\xa9/", "http://[::1/", "http://[::1]x/",
        "http://[g]/", "http://h/\r\nX: y", "http://h/\x7f", "http://u%0d%0a@h/", "http://u%0@h/", "http://h\t/",
        "http://h%20/",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tola_error err = TOLA_ERROR_INIT;
        if (url_parse(bad[i], &u, &err) != TOLA_E_ARG) fail_msg("'%s' was taken", bad[i]);
        assert_true(err.message[0] != 0);
    }
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(url_parse("https://me:secret@h:99999/x", &u, &err), TOLA_E_ARG);
    assert_null(strstr(err.message, "secret"));
    static char text[3 * URL_MAX];
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "http://h/", 9);
    assert_int_equal(url_parse(text, &u, NULL), TOLA_E_ARG);
    memset(text + 9, ' ', sizeof text - 10);
    assert_int_equal(url_parse(text, &u, NULL), TOLA_E_ARG);
    memset(text + 7, 'h', sizeof text - 8);
    assert_int_equal(url_parse(text, &u, NULL), TOLA_E_ARG);
}

static void test_origins(void **state) {
    (void)state;
    static url v;
    static const struct { const char *a, *b; bool same; } cases[] = {
        { "https://h/x", "https://H:443/y", true },       { "https://h/x", "http://h/x", false },
        { "https://h/x", "https://h:444/x", false },      { "https://h/x", "https://h.evil/x", false },
        { "https://h/x", "https://h@evil/x", false },     { "http://h/x", "http://u:p@h/x", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(url_parse(cases[i].a, &u, NULL), TOLA_OK);
        assert_int_equal(url_parse(cases[i].b, &v, NULL), TOLA_OK);
        assert_int_equal(url_same_origin(&u, &v), cases[i].same);
    }
}

static void test_encode(void **state) {
    (void)state;
    char text[32] = "x/";
    assert_true(url_encode(text, sizeof text, "a/b c?#%", true));
    assert_string_equal(text, "x/a/b%20c%3F%23%25");
    strcpy(text, "");
    assert_true(url_encode(text, sizeof text, "refs/pr/1", false));
    assert_string_equal(text, "refs%2Fpr%2F1");
    char small[4] = "";
    assert_false(url_encode(small, sizeof small, "abcd", true));
    strcpy(small, "");
    assert_false(url_encode(small, sizeof small, "a?", true));
}

static void test_ranges(void **state) {
    (void)state;
    uint64_t first, last, total;
    assert_true(url_content_range("bytes 0-99/100", &first, &last, &total));
    assert_true(first == 0 && last == 99 && total == 100);
    assert_true(url_content_range("bytes 5-5/*", &first, &last, &total));
    assert_true(first == 5 && last == 5 && total == UINT64_MAX);
    assert_true(url_content_range("bytes */7", &first, &last, &total));
    assert_true(first > last && total == 7);
    assert_true(url_content_range("Bytes=1-2/3", &first, &last, &total));
    static const char *const bad[] = {
        "",           "bytes",       "bytes 1-0/5",  "bytes 0-5/5", "bytes 0-5/",   "bytes 0-/5",
        "bytes -5/5", "items 0-1/2", "bytes 0-1/2x", "bytes 0/5",   "bytes 0-1/-2", "bytes 0-99999999999999999999/5",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (url_content_range(bad[i], &first, &last, &total)) fail_msg("'%s' was taken", bad[i]);
}

static response_step feed(response *r, const char *text) {
    response_step step = RESPONSE_MORE;
    while (*text && step == RESPONSE_MORE) {
        size_t n = strcspn(text, "\n") + 1;
        step = response_line(r, text, n);
        text += n;
    }
    return step;
}

static void test_heads(void **state) {
    (void)state;
    response r = { 0 };
    assert_int_equal(feed(&r, "HTTP/1.1 302 Found\r\nETag: \"redirect\"\r\nX-Linked-Etag: \"abc\"\r\n"
                              "X-Repo-Commit: 123\r\nContent-Length: 7\r\n\r\n"), RESPONSE_COMPLETE);
    assert_true(r.status == 302 && r.has_length && r.length == 7);
    assert_int_equal(feed(&r, "HTTP/1.1 100 Continue\r\n\r\nHTTP/2 206\r\ncontent-RANGE:  bytes 0-1/2 \t\r\n"
                              "etag: W/\"def\"\r\n\r\n"), RESPONSE_COMPLETE);
    assert_true(r.status == 206 && !r.has_length);
    assert_string_equal(r.range, "bytes 0-1/2");
    assert_string_equal(r.identity.etag, "def");
    assert_string_equal(r.identity.linked, "abc"); /* from the redirect */
    assert_string_equal(r.commit, "123");
    assert_string_equal(response_tag(&r.identity), "abc");
    assert_int_equal(feed(&r, "HTTP/1.1 200 OK\nContent-Length: 12x\nno colon\n: no name\n"), RESPONSE_MORE);
    assert_false(r.has_length);
    assert_int_equal(feed(&r, "HTTP/1.1 20\n\n"), RESPONSE_MORE);
    assert_int_equal(r.status, 0);
    char line[1000];
    memset(line, 'x', sizeof line);
    memcpy(line, "ETag: ", 6);
    assert_int_equal(response_line(&r, line, sizeof line), RESPONSE_MORE);
    assert_int_equal(strlen(r.identity.etag), RESPONSE_TAG - 1);
    response_step step = RESPONSE_MORE;
    for (int i = 0; i < 300 && step == RESPONSE_MORE; i++) step = response_line(&r, line, sizeof line);
    assert_int_equal(step, RESPONSE_TOO_LONG);
}

static void test_same_file(void **state) {
    (void)state;
    static const response_identity base = { "e", "l", "m", 9 };
    response_identity other = base;
    assert_true(response_same_file(&base, &other));
    other.total = 10;
    assert_false(response_same_file(&base, &other));
    other.total = UINT64_MAX;
    assert_true(response_same_file(&base, &other));
    strcpy(other.etag, "f"); /* another content network, the same bytes */
    assert_true(response_same_file(&base, &other));
    other.linked[0] = 0;
    assert_false(response_same_file(&base, &other));
    other.etag[0] = 0;
    assert_true(response_same_file(&base, &other));
    strcpy(other.modified, "n");
    assert_false(response_same_file(&base, &other));
}

static void expect_ref(const char *text, const char *repo, const char *revision, const char *path) {
    hub_ref r;
    tola_error err = TOLA_ERROR_INIT;
    if (hub_parse(text, &r, &err) != TOLA_OK) fail_msg("%s: %s", text, err.message);
    assert_string_equal(r.repo, repo);
    assert_string_equal(r.revision, revision);
    assert_string_equal(r.path, path);
}

static void test_refs(void **state) {
    (void)state;
    expect_ref("hf://org/name", "org/name", "main", "");
    expect_ref("hf://org/name/", "org/name", "main", "");
    expect_ref("hf://gpt2", "gpt2", "main", "");
    expect_ref("hf://gpt2@v1", "gpt2", "v1", "");
    expect_ref("hf://o-r.g_1/N.a-me@v1.0/sub/model.safetensors", "o-r.g_1/N.a-me", "v1.0", "sub/model.safetensors");
    expect_ref("hf://org/name@refs/pr/12", "org/name", "refs/pr/12", "");
    expect_ref("hf://org/name@refs/pr/12/a.bin", "org/name", "refs/pr/12", "a.bin");
    expect_ref("hf://org/name@refs%2Fpr%2F12/a.bin", "org/name", "refs/pr/12", "a.bin");
    expect_ref("hf://org/name/sub/", "org/name", "main", "sub");
    expect_ref("hf://org/name/a@b c", "org/name", "main", "a@b c");
    static const char *const bad[] = {
        "hf://", "hf:///x", "hf://org//x", "hf://-org/x", "hf://org-/x", "hf://.org/x", "hf://or--g/x", "hf://o..g/x",
        "hf://org/x@", "hf://org/x@a b", "hf://org/x@../y", "hf://org/x@a%00", "hf://org/x@%2e%2e", "hf://org/x@a~1",
        "hf://org/x/../y", "hf://org/x/./y", "hf://org/x/a//b", "hf://org/x/a\\b", "hf://org/x/a\nb",
        "hf://datasets/a/b", "hf://spaces/a/b", "hf://org/x@refs/pr/", "hf://org/x@refs/pr/..", "hf://org\x01/x",
        "https://h/x", "hf://org@/x",
    };
    hub_ref r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hub_parse(bad[i], &r, NULL) != TOLA_E_ARG)
            fail_msg("'%s' was taken: %s %s %s", bad[i], r.repo, r.revision, r.path);
    char text[4000] = "hf://org/";
    memset(text + 9, 'n', 97);
    assert_int_equal(hub_parse(text, &r, NULL), TOLA_E_ARG);
    strcpy(text, "hf://org/name@");
    memset(text + strlen(text), 'v', 300);
    assert_int_equal(hub_parse(text, &r, NULL), TOLA_E_ARG);
    memset(text, 0, sizeof text);
    strcpy(text, "hf://org/name/");
    memset(text + strlen(text), 'p', 2000);
    assert_int_equal(hub_parse(text, &r, NULL), TOLA_E_ARG);
}

static void make(const char *folder, const char *name, const char *contents) {
    char path[1024], part[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
        mkdir(part, 0777);
    }
    unit_write(path, contents, strlen(contents));
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void test_cache(void **state) {
    (void)state;
    const char *folder = unit_folder();
    setenv("HF_HUB_CACHE", folder, 1);
    make(folder, "models--org--name/refs/main", COMMIT "\n");
    make(folder, "models--org--name/refs/evil", "../../../../etc");
    make(folder, "models--org--name/snapshots/" COMMIT "/config.json", "{}");
    make(folder, "models--org--name/snapshots/" COMMIT "/a.index.json", "{\"weight_map\":{\"x\":\"s1\",\"y\":\"s2\"}}");
    make(folder, "models--org--name/snapshots/" COMMIT "/s1", "x");
    hub_ref r;
    assert_int_equal(hub_parse("hf://org/name", &r, NULL), TOLA_OK);
    char *path = hub_cached(&r, "config.json");
    assert_non_null(path);
    mem_free(path);
    assert_null(hub_cached(&r, "absent.json"));
    path = hub_cached(&r, "a.index.json");
    assert_false(hub_cached_complete(path));
    make(folder, "models--org--name/snapshots/" COMMIT "/s2", "x");
    assert_true(hub_cached_complete(path));
    make(folder, "models--org--name/snapshots/" COMMIT "/a.index.json", "{\"weight_map\":[]}");
    assert_false(hub_cached_complete(path));
    make(folder, "models--org--name/snapshots/" COMMIT "/a.index.json", "{");
    assert_false(hub_cached_complete(path));
    mem_free(path);
    assert_int_equal(hub_parse("hf://org/name@evil", &r, NULL), TOLA_OK);
    assert_null(hub_cached(&r, "config.json"));
    assert_int_equal(hub_parse("hf://org/name@" COMMIT, &r, NULL), TOLA_OK);
    path = hub_cached(&r, "config.json");
    assert_non_null(path);
    mem_free(path);
    /* a whole model and its companions, with every connection forbidden */
    setenv("HF_HUB_OFFLINE", "1", 1);
    char *file = NULL, *parent = NULL;
    make(folder, "models--org--name/snapshots/" COMMIT "/a.index.json", "{}");
    make(folder, "models--org--name/snapshots/" COMMIT "/model.safetensors", "x");
    assert_int_equal(opener_hub.resolve("hf://org/name", &file, &parent, NULL), TOLA_OK);
    assert_true(strstr(file, COMMIT "/model.safetensors") != NULL);
    assert_true(strlen(parent) + 18 == strlen(file));
    mem_free(file);
    mem_free(parent);
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(opener_hub.resolve("hf://org/other", &file, &parent, &err), TOLA_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "HF_HUB_OFFLINE"));
    unsetenv("HF_HUB_OFFLINE");
    unsetenv("HF_HUB_CACHE");
    unit_remove(folder);
}

static void test_token(void **state) {
    (void)state;
    const char *folder = unit_folder();
    make(folder, "token", "  from-file \n");
    setenv("HF_HOME", folder, 1);
    unsetenv("HF_TOKEN");
    char *token = hub_token();
    assert_string_equal(token, "from-file");
    mem_free(token);
    setenv("HF_TOKEN", "from-environment", 1);
    token = hub_token();
    assert_string_equal(token, "from-environment");
    mem_free(token);
    setenv("HF_TOKEN", "a\r\nb", 1);
    assert_null(hub_token());
    unsetenv("HF_TOKEN");
    setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
    assert_null(hub_token());
    unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
    unsetenv("HF_HOME");
    unit_remove(folder);
}

/* Messages of every room go through err_in_file. */
static void test_shown(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        { "https://me:word@host/a?sig=1#x", "https://host/a: m" }, { "http://h?x", "http://h: m" },
        { "hf://org/name@v1/x", "hf://org/name@v1/x: m" },         { "a/b@c?d", "a/b@c?d: m" },
        { "https://a@b@host/p@q", "https://host/p@q: m" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tola_error err = TOLA_ERROR_INIT;
        err_set(&err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "m");
        err_in_file(&err, TOLA_E_FORMAT, cases[i][0]);
        assert_string_equal(err.message, cases[i][1]);
    }
}

/* tola_open_options.offline: refused before any server is asked. */
static void test_offline(void **state) {
    (void)state;
    static const char *const refs[] = { "https://localhost:1/x.safetensors", "hf://org/name" };
    for (size_t i = 0; i < 2; i++) {
        tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
        tola_checkpoint *ck = NULL;
        tola_error err = TOLA_ERROR_INIT;
        options.offline = true;
        assert_int_equal(tola_checkpoint_open(refs[i], &options, &ck, &err), TOLA_E_NETWORK);
        assert_non_null(strstr(err.message, "needs the network, which was not allowed"));
        assert_null(ck);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offline), cmocka_unit_test(test_urls),   cmocka_unit_test(test_bad_urls), cmocka_unit_test(test_origins),
        cmocka_unit_test(test_encode), cmocka_unit_test(test_ranges),   cmocka_unit_test(test_refs),
        cmocka_unit_test(test_cache),  cmocka_unit_test(test_token),    cmocka_unit_test(test_shown),
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
