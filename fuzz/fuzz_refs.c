/* Addresses, hub references and heads of HTTP responses: parsing, and what must hold of everything that is taken. */
#include <stdlib.h>
#include <string.h>

#include "share/response.h"
#include "share/share.h"
#include "share/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

/* What is sent holds no control bytes, and taking it apart again changes nothing. */
static void try_url(const char *text) {
    static url u, again;
    static char shown[URL_MAX];
    tola_error err = TOLA_ERROR_INIT;
    if (url_parse(text, &u, &err) != TOLA_OK) {
        check(err.message[0] != 0);
        return;
    }
    for (const unsigned char *p = (const unsigned char *)u.text; *p; p++) check(*p > ' ' && *p < 0x7f);
    check(url_parse(u.text, &again, NULL) == TOLA_OK);
    check(strcmp(u.text, again.text) == 0 && !again.user[0] && url_same_origin(&u, &again));
    check(u.text[u.path_at] == '/' && u.query_at <= strlen(u.text));
    check(!strchr(url_show(&u, shown, sizeof shown), '?'));
}

/* No path that is taken leads out of its folder. */
static void try_hub(const char *text) {
    hub_ref r;
    if (hub_parse(text, &r, NULL) != TOLA_OK) return;
    check(!strstr(r.repo, "..") && strlen(r.repo) < sizeof r.repo);
    check(strcmp(r.path, "..") != 0 && strncmp(r.path, "../", 3) != 0 && !strstr(r.path, "/../"));
    check(r.path[0] != '/' && r.revision[0] && r.revision[0] != '/');
    check(strcmp(r.revision, "..") != 0 && strncmp(r.revision, "../", 3) != 0 && !strstr(r.revision, "/../"));
}

static void try_range(const char *text) {
    uint64_t first, last, total;
    if (!url_content_range(text, &first, &last, &total)) return;
    check(first <= last ? total == UINT64_MAX || last < total : first == 1 && last == 0);
}

static bool ended(const char *text, size_t cap) { return memchr(text, 0, cap) != NULL; }

/* Line by line, as libcurl hands them over. */
static void try_head(const char *text, size_t bytes) {
    response r = { 0 };
    while (bytes) {
        const char *end = memchr(text, '\n', bytes);
        size_t n = end ? (size_t)(end + 1 - text) : bytes;
        char *line = malloc(n); /* exactly so long, for the address sanitizer */
        if (!line) return;
        memcpy(line, text, n);
        response_step step = response_line(&r, line, n);
        free(line);
        check(step != RESPONSE_COMPLETE || (r.status >= 200 && r.status <= 999));
        check(ended(r.range, sizeof r.range) && ended(r.encoding, sizeof r.encoding));
        check(ended(r.message, sizeof r.message) && ended(r.code, sizeof r.code) && ended(r.commit, sizeof r.commit));
        check(ended(r.identity.etag, RESPONSE_TAG) && ended(r.identity.linked, RESPONSE_TAG));
        check(response_same_file(&r.identity, &r.identity));
        text += n;
        bytes -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char *text = malloc(bytes + 1);
    if (!text) return 0;
    memcpy(text, data, bytes);
    text[bytes] = 0;
    try_url(text);
    try_hub(text);
    try_range(text);
    try_head(text, bytes);
    tola_error err = TOLA_ERROR_INIT;
    err_set(&err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "m");
    err_in_file(&err, TOLA_E_FORMAT, text);
    free(text);
    return 0;
}
