/* Taking URLs apart. Refuses everything but http and https, control bytes, and host names it does not understand. */
#include "share/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

static bool is_alnum(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_digit(unsigned char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool put_escaped(char *dst, size_t cap, size_t *n, unsigned char c) {
    static const char digits[] = "0123456789ABCDEF";
    if (*n + 4 > cap) return false;
    dst[(*n)++] = '%';
    dst[(*n)++] = digits[c >> 4];
    dst[(*n)++] = digits[c & 15];
    dst[*n] = 0;
    return true;
}

static bool put_plain(char *dst, size_t cap, size_t *n, char c) {
    if (*n + 2 > cap) return false;
    dst[(*n)++] = c;
    dst[*n] = 0;
    return true;
}

bool url_encode(char *dst, size_t cap, const char *part, bool keep_slash) {
    size_t n = strlen(dst);
    for (const unsigned char *p = (const unsigned char *)part; *p; p++) {
        bool plain = is_alnum(*p) || strchr("-._~", *p) || (*p == '/' && keep_slash);
        if (!(plain ? put_plain(dst, cap, &n, (char)*p) : put_escaped(dst, cap, &n, *p))) return false;
    }
    return true;
}

/* Percent-decodes the user information; NUL and line breaks in it are refused. */
static bool decode_user(const char *from, size_t length, char *dst, size_t cap) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)from[i];
        if (c == '%') {
            if (length - i < 3) return false;
            int high = hex_digit((unsigned char)from[i + 1]), low = hex_digit((unsigned char)from[i + 2]);
            if (high < 0 || low < 0) return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 >= cap) return false;
        dst[n++] = (char)c;
    }
    dst[n] = 0;
    return true;
}

static tola_status refuse(tola_error *err, const char *why) {
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "not a usable URL: %s", why);
}

/* "host", "host:port", "[v6]:port" in [p, end). */
static tola_status parse_host(const char *p, const char *end, url *out, tola_error *err) {
    const char *host_end = p;
    if (p < end && *p == '[') {
        while (host_end < end && *host_end != ']') host_end++;
        if (host_end == end) return refuse(err, "the IPv6 address has no closing bracket");
        for (const char *q = p + 1; q < host_end; q++)
            if (hex_digit((unsigned char)*q) < 0 && *q != ':' && *q != '.') return refuse(err, "a bad IPv6 address");
        host_end++;
    } else {
        while (host_end < end && *host_end != ':') {
            if (!is_alnum((unsigned char)*host_end) && !strchr("-._", *host_end))
                return refuse(err, "the host name holds characters that are not allowed");
            host_end++;
        }
    }
    size_t n = (size_t)(host_end - p);
    if (n == 0) return refuse(err, "it has no host name");
    if (n >= sizeof out->host) return refuse(err, "the host name is too long");
    for (size_t i = 0; i < n; i++) out->host[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
    out->host[n] = 0;
    out->port = out->https ? 443 : 80;
    if (host_end == end) return TOLA_OK;
    if (*host_end != ':') return refuse(err, "something stands behind the host name");
    unsigned port = 0;
    const char *q = host_end + 1;
    if (q == end) return TOLA_OK; /* "host:" means the default */
    for (; q < end; q++) {
        if (*q < '0' || *q > '9') return refuse(err, "the port is no number");
        port = port * 10 + (unsigned)(*q - '0');
        if (port > 65535) return refuse(err, "the port is above 65535");
    }
    if (port == 0) return refuse(err, "the port is 0");
    out->port = port;
    return TOLA_OK;
}

/* Path and query, up to a fragment. Bytes that have no place in a URL are encoded; "%" is taken as it stands. */
static tola_status copy_target(const char *p, url *out, size_t n, tola_error *err) {
    out->path_at = n;
    size_t query_at = 0;
    bool fits = *p == '/' || put_plain(out->text, sizeof out->text, &n, '/');
    for (; *p && *p != '#' && fits; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f) return refuse(err, "it holds control characters");
        if (c == '?' && !query_at) query_at = n;
        bool odd = c == ' ' || c >= 0x80 || strchr("\"<>\\^`{|}", c);
        fits = odd ? put_escaped(out->text, sizeof out->text, &n, c)
                   : put_plain(out->text, sizeof out->text, &n, (char)c);
    }
    if (!fits) return refuse(err, "it is longer than 8191 bytes");
    out->query_at = query_at ? query_at : n;
    return TOLA_OK;
}

tola_status url_parse(const char *text, url *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    if (strncasecmp(text, "https://", 8) == 0)
        out->https = true;
    else if (strncasecmp(text, "http://", 7) != 0)
        return refuse(err, "it begins with neither https:// nor http://");
    const char *p = text + (out->https ? 8 : 7);
    const char *end = p + strcspn(p, "/?#\\");
    const char *at = NULL;
    for (const char *q = p; q < end; q++)
        if (*q == '@') at = q;
    if (at) {
        if (!decode_user(p, (size_t)(at - p), out->user, sizeof out->user))
            return refuse(err, "its user information cannot be understood");
        p = at + 1;
    }
    TRY(parse_host(p, end, out, err));
    int n = snprintf(out->text, sizeof out->text, "%s://%s", out->https ? "https" : "http", out->host);
    if (out->port != (out->https ? 443u : 80u))
        n += snprintf(out->text + n, sizeof out->text - (size_t)n, ":%u", out->port);
    return copy_target(end, out, (size_t)n, err);
}

bool url_same_origin(const url *a, const url *b) {
    return a->https == b->https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

const char *url_show(const url *u, char *dst, size_t cap) {
    snprintf(dst, cap, "%.*s", (int)u->query_at, u->text);
    return dst;
}

static bool parse_number(const char **p, uint64_t *value) {
    if (**p < '0' || **p > '9') return false;
    uint64_t v = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++)
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v)) return false;
    *value = v;
    return true;
}

bool url_content_range(const char *value, uint64_t *first, uint64_t *last, uint64_t *total) {
    if (strncasecmp(value, "bytes", 5) != 0) return false;
    const char *p = value + 5;
    if (*p != ' ' && *p != '=') return false; /* some servers write "bytes=" */
    while (*p == ' ' || *p == '=') p++;
    uint64_t a = 1, b = 0, t = UINT64_MAX;
    if (*p == '*') {
        p++;
    } else {
        if (!parse_number(&p, &a) || *p++ != '-' || !parse_number(&p, &b) || b < a) return false;
    }
    if (*p++ != '/') return false;
    if (*p == '*')
        p++;
    else if (!parse_number(&p, &t))
        return false;
    while (*p == ' ') p++;
    if (*p || (t != UINT64_MAX && b >= a && b >= t)) return false;
    *first = a;
    *last = b;
    *total = t;
    return true;
}
