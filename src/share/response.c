/* Reading the head of an HTTP response, a line at a time. Values that are too long are cut, heads that are too long
 * refused; nothing here allocates. */
#include "share/response.h"

#include <string.h>
#include <strings.h>

static void copy_value(char *dst, size_t cap, const char *value, size_t n) {
    if (n >= cap) n = cap - 1;
    memcpy(dst, value, n);
    dst[n] = 0;
}

/* Entity tags are compared without the mark of weakness and the quotes. */
static void copy_tag(char *dst, const char *value, size_t n) {
    if (n >= 2 && memcmp(value, "W/", 2) == 0) {
        value += 2;
        n -= 2;
    }
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        value++;
        n -= 2;
    }
    copy_value(dst, RESPONSE_TAG, value, n);
}

/* A length that is no number counts as none. */
static void take_length(response *r, const char *value, size_t n) {
    uint64_t length = 0;
    r->has_length = n > 0;
    for (size_t i = 0; i < n; i++)
        if (value[i] < '0' || value[i] > '9' || __builtin_mul_overflow(length, 10u, &length) ||
            __builtin_add_overflow(length, (uint64_t)(value[i] - '0'), &length))
            r->has_length = false;
    r->length = length;
}

static void take_field(response *r, const char *name, size_t name_length, const char *value, size_t n) {
#define IS(text) (name_length == sizeof(text) - 1 && strncasecmp(name, text, sizeof(text) - 1) == 0)
    if (IS("content-length")) take_length(r, value, n);
    else if (IS("content-range")) copy_value(r->range, sizeof r->range, value, n);
    else if (IS("content-encoding")) copy_value(r->encoding, sizeof r->encoding, value, n);
    else if (IS("etag")) copy_tag(r->identity.etag, value, n);
    else if (IS("x-linked-etag")) copy_tag(r->identity.linked, value, n);
    else if (IS("last-modified")) copy_value(r->identity.modified, sizeof r->identity.modified, value, n);
    else if (IS("x-error-message")) copy_value(r->message, sizeof r->message, value, n);
    else if (IS("x-error-code")) copy_value(r->code, sizeof r->code, value, n);
    else if (IS("x-repo-commit")) copy_value(r->commit, sizeof r->commit, value, n);
#undef IS
}

/* "HTTP/1.1 206 Partial Content", "HTTP/2 206": three digits behind the first space, else no status. */
static int status_of(const char *line, size_t n) {
    const char *space = memchr(line, ' ', n);
    size_t left = space ? n - (size_t)(space - line) : 0;
    if (left < 4 || (left > 4 && space[4] != ' ')) return 0;
    int status = 0;
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9') return 0;
        status = status * 10 + (space[i] - '0');
    }
    return status;
}

static void begin(response *r, const char *line, size_t n) {
    response fresh = { .head_bytes = r->head_bytes, .identity = { .total = UINT64_MAX } };
    memcpy(fresh.commit, r->commit, sizeof fresh.commit);
    memcpy(fresh.identity.linked, r->identity.linked, sizeof fresh.identity.linked);
    fresh.status = status_of(line, n);
    *r = fresh;
}

response_step response_line(response *r, const char *line, size_t n) {
    r->head_bytes += n;
    if (r->head_bytes > RESPONSE_MAX_HEAD) return RESPONSE_TOO_LONG;
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
    if (n == 0) return r->status >= 200 ? RESPONSE_COMPLETE : RESPONSE_MORE;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        begin(r, line, n);
        return RESPONSE_MORE;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon) return RESPONSE_MORE;
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
    take_field(r, line, (size_t)(colon - line), value, (size_t)(end - value));
    return RESPONSE_MORE;
}

bool response_same_file(const response_identity *a, const response_identity *b) {
    if (a->total != UINT64_MAX && b->total != UINT64_MAX && a->total != b->total) return false;
    if (a->linked[0] && b->linked[0]) return strcmp(a->linked, b->linked) == 0;
    if (a->etag[0] && b->etag[0]) return strcmp(a->etag, b->etag) == 0;
    if (a->modified[0] && b->modified[0]) return strcmp(a->modified, b->modified) == 0;
    return true;
}

const char *response_tag(const response_identity *i) {
    return i->linked[0] ? i->linked : i->etag[0] ? i->etag : i->modified;
}
