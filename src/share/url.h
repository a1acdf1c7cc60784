/* http and https URLs, taken apart, checked and made fit for messages. RFC 3986, as far as sources need it. */
#ifndef SHARE_URL_H
#define SHARE_URL_H

#include <tola/base.h>

#define URL_MAX 8192u /* bytes; signed addresses of content networks reach 2,000 */

typedef struct url {
    char text[URL_MAX];   /* without user information and fragment; odd bytes percent-encoded: what is sent */
    char user[256];       /* "name:password" decoded, "" where there is none */
    char host[256];       /* lower case, [..] kept for IPv6 */
    unsigned port;        /* the scheme's own where none is given */
    bool https;
    size_t path_at;       /* where the path begins in text; always there, at least "/" */
    size_t query_at;      /* where "?" stands in text; strlen(text) where there is no query */
} url;

/* TOLA_E_ARG, in words that never repeat user information, where `text` is no http(s) URL. */
tola_status url_parse(const char *text, url *out, tola_error *err);
/* The same scheme, host and port: what credentials may be sent to. */
bool url_same_origin(const url *a, const url *b);
/* For messages: no user information and no query, which may hold a signature. */
const char *url_show(const url *u, char *dst, size_t cap);
/* Appends `part` to dst with all but RFC 3986's unreserved characters (and "/" where `keep_slash`) percent-encoded.
 * False where it does not fit. */
bool url_encode(char *dst, size_t cap, const char *part, bool keep_slash);

/* "bytes 0-65535/1234567" -> first, last, total (UINT64_MAX for "*"). An unsatisfied range, with "*" in place of first
 * and last, gives first 1, last 0. RFC 9110, section 14.4. */
bool url_content_range(const char *value, uint64_t *first, uint64_t *last, uint64_t *total);

#endif
