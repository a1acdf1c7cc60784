/* HTTP requests over libcurl. See request.h for what is promised.
 *
 * Redirects are followed here and not by libcurl: each hop is checked before anything is sent to it. Bodies go straight
 * into the caller's memory, and a transfer is cut off as soon as the bytes wanted are there. */
#include "share/request.h"

#include "base/err.h"
#include "base/mem.h"
#include "share/libcurl.h"

#ifndef TOLA_HAVE_CURL

tola_status request_run(const request *q, void *dst, request_reply *reply, tola_error *err) {
    (void)q;
    (void)dst;
    *reply = (request_reply){ .identity = { .total = UINT64_MAX } };
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                   "addresses on the network cannot be opened: this build was made without libcurl");
}

#else

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"

#define MAX_ERROR_BODY (64u << 10)    /* read to keep the connection; beyond it the connection is given up */
#define FAIR_PIECE (16u << 10)        /* a shorter piece than this counts as a failed attempt */
#define CONNECT_SECONDS 10L
#define STALL_SECONDS 30L             /* below STALL_SPEED for so long is a timeout; TOLA_HTTP_TIMEOUT changes it */
#define STALL_SPEED 64L               /* bytes a second */

/* One request to one place and its response. */
typedef struct exchange {
    const request *q;
    request_reply *reply;
    uint8_t *dst;
    bool first;              /* nothing to compare with yet: this response sets reply->identity */
    response in;             /* its head */
    bool judged;             /* the headers are complete and were found good */
    bool satisfied;          /* the transfer was cut off by us: all that is wanted has arrived */
    uint64_t discard;        /* bytes of the body still to pass over */
    uint64_t body;           /* bytes of the body so far */
    uint64_t promised;       /* bytes of the wanted range that this response holds */
    size_t got_before;
    tola_status verdict;     /* not TOLA_OK: the response is unusable, error says why */
    tola_error error;
} exchange;

typedef enum outcome { OUTCOME_DONE, OUTCOME_AGAIN, OUTCOME_FAILED } outcome;

/* ---- judging the head of a response ---- */

static tola_status reject(exchange *x, tola_status status, const char *why) {
    x->verdict = err_set(&x->error, status, TOLA_NO_OFFSET, "%s", why);
    if (x->verdict == TOLA_OK) x->verdict = status;
    return x->verdict;
}

static tola_status check_identity(exchange *x) {
    const response_identity *before = x->q->expect ? x->q->expect : x->first ? NULL : &x->reply->identity;
    if (!before) {
        x->reply->identity = x->in.identity;
        return TOLA_OK;
    }
    if (response_same_file(before, &x->in.identity)) return TOLA_OK;
    char a[80], b[80];
    const char *tag_a = response_tag(before), *tag_b = response_tag(&x->in.identity);
    x->verdict = err_set(&x->error, TOLA_E_NETWORK, TOLA_NO_OFFSET,
                         "the file changed on the server while it was being read (%" PRIu64
                         " bytes '%s' before, %" PRIu64 " bytes '%s' now)",
                         before->total, text_quote(a, sizeof a, tag_a, strlen(tag_a)), x->in.identity.total,
                         text_quote(b, sizeof b, tag_b, strlen(tag_b)));
    return TOLA_E_NETWORK;
}

static tola_status judge_part(exchange *x) {
    uint64_t first, last, total, at = x->q->offset + x->reply->received;
    if (!url_content_range(x->in.range, &first, &last, &total) || first > last)
        return reject(x, TOLA_E_NETWORK, "the server answered 206 (Partial Content) without a usable Content-Range");
    if (first != at) {
        x->verdict = err_set(&x->error, TOLA_E_NETWORK, TOLA_NO_OFFSET,
                             "the server was asked for the bytes from %" PRIu64 " and sends those from %" PRIu64, at,
                             first);
        return TOLA_E_NETWORK;
    }
    if (total == UINT64_MAX)
        return reject(x, TOLA_E_UNSUPPORTED, "the server does not say how long the file is (Content-Range: .../*)");
    uint64_t span = last - first + 1;
    if (x->in.has_length && x->in.length != span) {
        x->verdict = err_set(&x->error, TOLA_E_NETWORK, TOLA_NO_OFFSET,
                             "the server announces %" PRIu64 " bytes (Content-Length) for a range of %" PRIu64
                             " (Content-Range)", x->in.length, span);
        return TOLA_E_NETWORK;
    }
    x->in.identity.total = total;
    x->promised = span;
    return check_identity(x);
}

static tola_status judge_whole(exchange *x) {
    uint64_t at = x->q->offset + x->reply->received;
    x->in.identity.total = x->in.has_length ? x->in.length : UINT64_MAX;
    TRY(check_identity(x));
    if (x->q->head) return TOLA_OK;
    x->reply->ignored_range = true;
    if (at > REQUEST_MAX_DISCARD) {
        x->verdict = err_set(&x->error, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                             "the server does not support range requests (it answers with the whole file), and the"
                             " bytes from %" PRIu64 " cannot be had without all before them", at);
        return TOLA_E_UNSUPPORTED;
    }
    x->discard = at;
    x->promised = x->in.has_length ? (x->in.length > at ? x->in.length - at : 0) : UINT64_MAX;
    return TOLA_OK;
}

/* All headers of a final response are there. */
static tola_status judge(exchange *x) {
    if (x->in.status != 200 && x->in.status != 206) return TOLA_OK;
    if (x->in.encoding[0] && strcasecmp(x->in.encoding, "identity") != 0) {
        char shown[100];
        x->verdict = err_set(&x->error, TOLA_E_NETWORK, TOLA_NO_OFFSET,
                             "the server sends the file compressed (Content-Encoding: %s), though asked not to",
                             text_quote(shown, sizeof shown, x->in.encoding, strlen(x->in.encoding)));
        return TOLA_E_NETWORK;
    }
    tola_status status = x->in.status == 206 ? judge_part(x) : judge_whole(x);
    x->judged = status == TOLA_OK;
    return status;
}

static size_t on_header(char *line, size_t size, size_t count, void *user) {
    exchange *x = user;
    size_t n = size * count;
    if (x->judged || x->body) return n; /* trailers */
    switch (response_line(&x->in, line, n)) {
    case RESPONSE_MORE: return n;
    case RESPONSE_COMPLETE: return judge(x) == TOLA_OK ? n : 0;
    default: reject(x, TOLA_E_LIMIT, "the server sends more than 256 KiB of headers"); return 0;
    }
}

/* ---- bodies ---- */

static size_t on_body(char *data, size_t size, size_t count, void *user) {
    exchange *x = user;
    size_t n = size * count, left = n;
    x->body += n;
    x->reply->transferred += n;
    if (!x->judged) { /* an error page: passed over */
        x->satisfied = x->body > MAX_ERROR_BODY;
        return x->satisfied ? 0 : n;
    }
    size_t skip = x->discard < left ? (size_t)x->discard : left;
    x->discard -= skip;
    data += skip;
    left -= skip;
    size_t room = x->q->bytes - x->reply->received, take = left < room ? left : room;
    if (take) memcpy(x->dst + x->reply->received, data, take);
    x->reply->received += take;
    left -= take;
    if (x->reply->received < x->q->bytes) return n;
    if (x->in.status == 200 && !x->in.has_length && x->q->measure) {
        if (x->body <= REQUEST_MAX_DISCARD) return n;
        reject(x, TOLA_E_UNSUPPORTED,
               "the server does not say how long the file is, and it has not ended after 64 MiB");
        return 0;
    }
    bool more = left > 0 || (x->in.status == 200 && (!x->in.has_length || x->body < x->in.length));
    x->satisfied = more;
    return more ? 0 : n;
}

/* ---- one hop ---- */

static long stall_seconds(void) {
    const char *text = getenv("TOLA_HTTP_TIMEOUT");
    long seconds = text ? strtol(text, NULL, 10) : 0;
    return seconds > 0 && seconds <= 86400 ? seconds : STALL_SECONDS;
}

/* Certificates to trust instead of the system's, as curl's program and OpenSSL name them; NULL where none are given. */
static const char *trusted_certificates(void) {
    const char *file = getenv("CURL_CA_BUNDLE");
    if (!file || !*file) file = getenv("SSL_CERT_FILE");
    return file && *file ? file : NULL;
}

static struct curl_slist *append(const libcurl *lib, struct curl_slist *list, const char *line, bool *failed) {
    struct curl_slist *longer = *failed ? NULL : lib->slist_append(list, line);
    if (!longer) *failed = true;
    return longer ? longer : list;
}

/* Headers of our own; credentials only where the origin is the one they were given for. */
static struct curl_slist *make_headers(const libcurl *lib, const exchange *x, bool trusted, bool *failed) {
    char line[4200];
    struct curl_slist *list = append(lib, NULL, "Accept-Encoding: identity", failed);
    if (!x->q->head) {
        uint64_t first = x->q->offset + x->reply->received, last = x->q->offset + x->q->bytes - 1;
        snprintf(line, sizeof line, "Range: bytes=%" PRIu64 "-%" PRIu64, first, last);
        list = append(lib, list, line, failed);
    }
    if (trusted && x->q->token) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", x->q->token);
        list = append(lib, list, line, failed);
    }
    explicit_bzero(line, sizeof line);
    return list;
}

static void set_options(const libcurl *lib, CURL *h, exchange *x, const url *at, bool trusted, char *why) {
    long stall = stall_seconds();
    lib->setopt(h, CURLOPT_URL, at->text);
    lib->setopt(h, CURLOPT_PROTOCOLS_STR, "http,https"); /* libraries before 7.85 lack it; url_parse has checked */
    lib->setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    lib->setopt(h, CURLOPT_NOBODY, x->q->head ? 1L : 0L);
    lib->setopt(h, CURLOPT_NOSIGNAL, 1L);
    lib->setopt(h, CURLOPT_USERAGENT, "tola/0.1.0");
    lib->setopt(h, CURLOPT_CONNECTTIMEOUT, stall < CONNECT_SECONDS ? stall : CONNECT_SECONDS);
    lib->setopt(h, CURLOPT_LOW_SPEED_LIMIT, STALL_SPEED);
    lib->setopt(h, CURLOPT_LOW_SPEED_TIME, stall);
    lib->setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    lib->setopt(h, CURLOPT_BUFFERSIZE, 256L << 10);
    lib->setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    lib->setopt(h, CURLOPT_HTTP_TRANSFER_DECODING, 1L);
    lib->setopt(h, CURLOPT_ERRORBUFFER, why);
    lib->setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    lib->setopt(h, CURLOPT_HEADERDATA, x);
    lib->setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    lib->setopt(h, CURLOPT_WRITEDATA, x);
    if (trusted_certificates()) lib->setopt(h, CURLOPT_CAINFO, trusted_certificates());
    if (trusted && x->q->to->user[0]) {
        lib->setopt(h, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        lib->setopt(h, CURLOPT_USERPWD, x->q->to->user);
    }
}

static bool is_transient(CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return true;
    default: return false;
    }
}

/* What libcurl's result means; `why` is its own explanation. */
static outcome judge_transfer(const libcurl *lib, exchange *x, CURLcode code, const char *why, tola_error *err) {
    if (x->verdict != TOLA_OK) {
        if (err) *err = x->error;
        return OUTCOME_FAILED;
    }
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && x->satisfied)) return OUTCOME_DONE;
    if (code == CURLE_OUT_OF_MEMORY) {
        err_nomem(err, "talking to a server");
        return OUTCOME_FAILED;
    }
    char shown[400];
    const char *text = why[0] ? why : lib->strerror(code);
    text_quote(shown, sizeof shown, text, strlen(text));
    bool stalled = code == CURLE_OPERATION_TIMEDOUT;
    err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "%s%s", stalled ? "the server is too slow: " : "", shown);
    return is_transient(code) ? OUTCOME_AGAIN : OUTCOME_FAILED;
}

/* One request to `at`. `location` (URL_MAX * 2 bytes) receives where a redirect leads, "" where it is none;
 * `wait` the seconds that the server asks for. */
static outcome exchange_run(const libcurl *lib, exchange *x, const url *at, char *location, int64_t *wait,
                            tola_error *err) {
    CURL *h = libcurl_take(lib);
    char why[CURL_ERROR_SIZE] = "";
    bool trusted = url_same_origin(at, x->q->to), failed = h == NULL;
    struct curl_slist *headers = failed ? NULL : make_headers(lib, x, trusted, &failed);
    outcome result = OUTCOME_FAILED;
    location[0] = 0;
    *wait = 0;
    x->in.head_bytes = 0;
    x->judged = x->satisfied = false;
    x->body = x->discard = x->promised = 0;
    x->got_before = x->reply->received;
    x->in.status = 0;
    if (failed) {
        err_nomem(err, "preparing a request");
    } else {
        set_options(lib, h, x, at, trusted, why);
        lib->setopt(h, CURLOPT_HTTPHEADER, headers);
        CURLcode code = lib->perform(h);
        result = judge_transfer(lib, x, code, why, err);
        const char *target = NULL;
        curl_off_t seconds = 0;
        if (result == OUTCOME_DONE && lib->getinfo(h, CURLINFO_REDIRECT_URL, &target) == CURLE_OK && target &&
            x->in.status >= 300 && x->in.status < 400)
            snprintf(location, 2 * URL_MAX, "%s", target);
        if (lib->getinfo(h, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK) *wait = seconds;
    }
    lib->slist_free_all(headers);
    if (h) libcurl_give(lib, h);
    x->reply->status = x->in.status;
    memcpy(x->reply->code, x->in.code, sizeof x->reply->code);
    memcpy(x->reply->commit, x->in.commit, sizeof x->reply->commit);
    return result;
}

/* ---- statuses ---- */

static const char *reason_of(int status) {
    switch (status) {
    case 400: return " (Bad Request)";
    case 401: return " (Unauthorized)";
    case 403: return " (Forbidden)";
    case 404: return " (Not Found)";
    case 407: return " (Proxy Authentication Required)";
    case 408: return " (Request Timeout)";
    case 410: return " (Gone)";
    case 416: return " (Range Not Satisfiable)";
    case 429: return " (Too Many Requests)";
    case 451: return " (Unavailable For Legal Reasons)";
    case 500: return " (Internal Server Error)";
    case 502: return " (Bad Gateway)";
    case 503: return " (Service Unavailable)";
    case 504: return " (Gateway Timeout)";
    default: return "";
    }
}

static const char *hint_of(const exchange *x) {
    const char *code = x->in.code;
    if (strcmp(code, "GatedRepo") == 0)
        return x->q->token ? "; the account of the token must be granted access on the model's page"
                           : "; ask for access on the model's page, then set HF_TOKEN";
    if (strcmp(code, "RepoNotFound") == 0 || ((x->in.status == 401 || x->in.status == 403) && code[0]))
        return x->q->token ? "; no such repository, or the token has no access to it"
                           : "; no such repository, or it is private (set HF_TOKEN)";
    if (x->in.status == 401 && !x->q->token && !x->q->to->user[0]) return "; it wants credentials";
    return "";
}

static bool is_busy(int status) {
    return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

static tola_status status_error(const exchange *x, tola_error *err) {
    char shown[300], said[320] = "";
    if (x->in.message[0])
        snprintf(said, sizeof said, ": %s", text_quote(shown, sizeof shown, x->in.message, strlen(x->in.message)));
    uint64_t first, last, total;
    if (x->in.status == 416 && url_content_range(x->in.range, &first, &last, &total) && total != UINT64_MAX)
        return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET,
                       "the file on the server has %" PRIu64 " bytes now: it changed while it was being read", total);
    tola_status status = TOLA_E_NETWORK;
    if (x->in.status == 404 || x->in.status == 410) status = TOLA_E_NOT_FOUND;
    if (x->in.status == 416) status = TOLA_E_FORMAT;
    return err_set(err, status, TOLA_NO_OFFSET, "the server answered %d%s%s%s", x->in.status,
                   reason_of(x->in.status), said, hint_of(x));
}

/* ---- one attempt: hops until something final ---- */

/* Checks where a redirect leads. */
static tola_status next_hop(const url *from, const char *location, url *to, unsigned hops, tola_error *err) {
    if (hops > REQUEST_MAX_REDIRECTS)
        return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the server redirects more than %d times",
                       REQUEST_MAX_REDIRECTS);
    if (!location[0]) return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the server redirects to nowhere");
    tola_error inner = TOLA_ERROR_INIT;
    if (url_parse(location, to, &inner) != TOLA_OK)
        return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the server redirects to what is %s", inner.message);
    if (to->user[0])
        return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the server redirects to an address with a password in it");
    if (from->https && !to->https)
        return err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the server redirects from https to http (host %s)",
                       to->host);
    return TOLA_OK;
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The response is complete as HTTP; does it hold all that was wanted? */
static outcome judge_completeness(exchange *x, tola_error *err) {
    const request *q = x->q;
    request_reply *r = x->reply;
    if (q->head) return OUTCOME_DONE;
    if (x->in.status == 200 && !x->in.has_length && !x->satisfied) { /* its end is the end of the file */
        r->identity.total = x->body;
        return OUTCOME_DONE;
    }
    size_t piece = r->received - x->got_before;
    uint64_t total = x->in.identity.total;
    uint64_t there = total == UINT64_MAX ? UINT64_MAX : total > q->offset ? total - q->offset : 0;
    if (r->received >= q->bytes || r->received >= there) return OUTCOME_DONE;
    if (piece >= x->promised && piece >= FAIR_PIECE) return OUTCOME_DONE; /* a narrower range: more is asked for */
    err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET,
            "the server sent only %zu of %zu bytes from offset %" PRIu64, r->received, q->bytes, q->offset);
    return OUTCOME_AGAIN;
}

static outcome attempt(const libcurl *lib, exchange *x, url *at, url *next, char *location, int64_t *wait,
                       tola_error *err) {
    *at = *x->q->to;
    x->in = (response){ 0 };
    for (unsigned hops = 1;; hops++) {
        outcome result = exchange_run(lib, x, at, location, wait, err);
        if (result != OUTCOME_DONE) return result;
        if (!is_redirect(x->in.status)) break;
        if (next_hop(at, location, next, hops, err) != TOLA_OK) return OUTCOME_FAILED;
        if (x->q->stay && !url_same_origin(next, x->q->to)) {
            x->reply->elsewhere = true;
            return OUTCOME_DONE;
        }
        *at = *next;
    }
    if (x->in.status == 200 || x->in.status == 206) return judge_completeness(x, err);
    uint64_t first, last, total = 1;
    bool stated = url_content_range(x->in.range, &first, &last, &total);
    if (x->in.status == 416 && x->q->offset == 0 && stated && total == 0) {
        x->reply->identity.total = 0; /* no range can be satisfied in an empty file */
        return OUTCOME_DONE;
    }
    status_error(x, err);
    return is_busy(x->in.status) ? OUTCOME_AGAIN : OUTCOME_FAILED;
}

/* ---- attempts ---- */

static void sleep_ms(uint64_t ms) {
    struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000L };
    nanosleep(&t, NULL);
}

/* 300 ms, doubled each time, and up to a quarter more so that many clients do not come back together. */
static uint64_t backoff_ms(unsigned failures, int64_t wait_seconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ms = 300ull << (failures - 1);
    if (wait_seconds > 0) ms = (uint64_t)wait_seconds * 1000;
    return ms + ((uint64_t)now.tv_nsec / 1000) % (ms / 4 + 1);
}

typedef struct workspace {
    exchange x;
    url at, next;
    char location[2 * URL_MAX];
} workspace;

static bool complete(const request *q, const request_reply *r) {
    if (q->head || r->elsewhere || r->received >= q->bytes) return true;
    uint64_t total = r->identity.total;
    return total != UINT64_MAX && (q->offset >= total || r->received >= total - q->offset);
}

static tola_status run(const libcurl *lib, const request *q, workspace *w, request_reply *reply, tola_error *err) {
    exchange *x = &w->x;
    unsigned failures = 0;
    for (;;) {
        tola_error error = TOLA_ERROR_INIT;
        int64_t wait = 0;
        x->first = reply->identity.total == UINT64_MAX && reply->received == 0;
        outcome result = attempt(lib, x, &w->at, &w->next, w->location, &wait, &error);
        if (result == OUTCOME_DONE && complete(q, reply)) return TOLA_OK;
        if (result == OUTCOME_DONE) continue; /* a narrower range than asked for, and it was a fair piece */
        if (result == OUTCOME_AGAIN && ++failures < REQUEST_ATTEMPTS && wait <= REQUEST_MAX_RETRY_AFTER) {
            sleep_ms(backoff_ms(failures, wait));
            continue;
        }
        char note[96] = "";
        if (result == OUTCOME_AGAIN && wait > REQUEST_MAX_RETRY_AFTER)
            snprintf(note, sizeof note, "; it asks to come back in %" PRId64 " seconds", wait);
        else if (result == OUTCOME_AGAIN)
            snprintf(note, sizeof note, "; given up after %d attempts", REQUEST_ATTEMPTS);
        return err_set(err, error.status, error.offset, "%.800s%s", error.message, note);
    }
}

tola_status request_run(const request *q, void *dst, request_reply *reply, tola_error *err) {
    *reply = (request_reply){ .identity = { .total = UINT64_MAX } };
    const libcurl *lib;
    TRY(libcurl_get(&lib, err));
    workspace *w = mem_calloc(1, sizeof *w);
    if (!w) return err_nomem(err, "preparing a request");
    w->x = (exchange){ .q = q, .reply = reply, .dst = dst };
    tola_status status = run(lib, q, w, reply, err);
    if (status == TOLA_OK && !q->head && strcmp(w->at.text, q->to->text) != 0) {
        reply->direct = mem_alloc(sizeof *reply->direct); /* an optimisation: without memory it is left out */
        if (reply->direct) *reply->direct = w->at;
    }
    explicit_bzero(w, sizeof *w); /* credentials */
    mem_free(w);
    return status;
}

#endif
