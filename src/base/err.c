/* Filling in tola_error: one place decides how a message looks. */
#define _GNU_SOURCE 1 /* strerror_r that returns the text */
#include "base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

tola_status err_set(tola_error *err, tola_status status, uint64_t offset, const char *format, ...) {
    if (!err) return status;
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err->status = status;
    err->offset = offset;
    memcpy(err->message, text, sizeof text);
    return status;
}

tola_status err_nomem(tola_error *err, const char *what) {
    return err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory while %s", what);
}

tola_status err_errno(tola_error *err, int error_number, const char *what, const char *path) {
    tola_status status = TOLA_E_IO;
    if (error_number == ENOENT || error_number == ENOTDIR) status = TOLA_E_NOT_FOUND;
    if (error_number == EEXIST) status = TOLA_E_EXISTS;
    if (error_number == ENOMEM) status = TOLA_E_NOMEM;
    char quoted[512], reason[128];
    const char *text = strerror_r(error_number, reason, sizeof reason);
    text_quote(quoted, sizeof quoted, path, strlen(path));
    return err_set(err, status, TOLA_NO_OFFSET, "%s %s: %s", what, quoted, text);
}

/* Puts `front` before the message; what no longer fits is cut at the end. */
static void put_before(tola_error *err, const char *front) {
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    old[sizeof old - 1] = 0;
    int n = snprintf(err->message, sizeof err->message, "%s", front);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof err->message - 1) snprintf(err->message + used, sizeof err->message - used, "%s", old);
}

/* A path for a message. Addresses lose their user information and their query, where passwords and signatures are. */
static void show_path(char *dst, size_t cap, const char *path) {
    const char *rest = strstr(path, "://");
    bool web = rest && (strncmp(path, "https", 5) == 0 || strncmp(path, "http:", 5) == 0);
    if (!web) {
        text_quote(dst, cap, path, strlen(path));
        return;
    }
    rest += 3;
    size_t host = strcspn(rest, "/?#"), skip = 0;
    for (size_t i = 0; i < host; i++)
        if (rest[i] == '@') skip = i + 1;
    char plain[512];
    snprintf(plain, sizeof plain, "%.*s%.*s", (int)(rest - path), path, (int)(strcspn(rest, "?#") - skip), rest + skip);
    text_quote(dst, cap, plain, strlen(plain));
}

tola_status err_in_file(tola_error *err, tola_status status, const char *path) {
    if (!err) return status;
    char quoted[512], front[600];
    show_path(quoted, sizeof quoted, path);
    if (err->offset != TOLA_NO_OFFSET)
        snprintf(front, sizeof front, "%s: offset %" PRIu64 ": ", quoted, err->offset);
    else
        snprintf(front, sizeof front, "%s: ", quoted);
    put_before(err, front);
    return err->status;
}

tola_status err_in_tensor(tola_error *err, tola_status status, const char *name) {
    if (!err) return status;
    char quoted[200], front[240];
    text_quote(quoted, sizeof quoted, name, strlen(name));
    snprintf(front, sizeof front, "tensor '%s': ", quoted);
    put_before(err, front);
    return err->status;
}

const char *tola_status_name(tola_status status) {
    static const char *const names[] = {
        "ok",          "out of memory",  "input/output error", "malformed",     "unsupported",   "bad argument",
        "not found",   "exists already", "limit exceeded",     "cancelled",     "network error", "unsafe",
    };
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown status";
}

const char *tola_version(void) {
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    return TEXT(TOLA_VERSION_MAJOR) "." TEXT(TOLA_VERSION_MINOR) "." TEXT(TOLA_VERSION_PATCH);
}
