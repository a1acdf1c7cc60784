/* Sources over HTTP(S). See http.h; what a single request does is in request.c.
 *
 * Headers are read in small steps by code that knows nothing of round trips, so small reads are answered from up to
 * three extents: the first 64 KiB, and the two used last, which grow to 1 MiB while someone reads on and on. Large
 * reads (payloads) go straight into the caller's memory, several threads at once.
 *
 * A server that ignores Range sends the whole file each time. Then the file's beginning is kept instead, doubled when
 * more is wanted, up to 64 MiB. */
#include "share/http.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "share/request.h"

#define FIRST_BYTES (64u << 10)
#define AHEAD_MAX (1u << 20)
#define DIRECT_BYTES (1u << 20)        /* larger reads bypass the cache; readers of headers step by this at most */
#define WHOLE_STEP (1u << 20)
#define DIRECT_SECONDS 300             /* how long a redirect is remembered; signed addresses live an hour */
#define EXTENTS 3

typedef struct extent {
    uint64_t at;
    size_t bytes;
    uint8_t *data;
    uint64_t used; /* tick of the last use */
} extent;

typedef struct http_source {
    source base;
    url to;
    char *token;
    response_identity identity; /* constant once opened */
    bool whole;                /* the server ignores Range; constant once opened */
    pthread_mutex_t lock;      /* over the cache */
    extent extents[EXTENTS];
    uint64_t tick;
    uint64_t next_at;          /* end of the extent fetched last: reading there is reading on */
    size_t ahead;
    pthread_mutex_t direct_lock; /* over the rest; may be taken under the other */
    url *direct;                 /* where redirects led */
    time_t direct_since;
    char shown[];
} http_source;

/* ---- requests ---- */

static time_t seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* The address behind the redirects, while it is fresh, else the one that was asked for. */
static bool choose_address(http_source *h, url *to) {
    pthread_mutex_lock(&h->direct_lock);
    bool direct = h->direct && seconds_now() - h->direct_since < DIRECT_SECONDS;
    *to = direct ? *h->direct : h->to;
    pthread_mutex_unlock(&h->direct_lock);
    return direct;
}

/* Takes over `direct`, which may be NULL. */
static void keep_direct(http_source *h, url *direct) {
    pthread_mutex_lock(&h->direct_lock);
    url *old = h->direct;
    h->direct = direct;
    h->direct_since = seconds_now();
    pthread_mutex_unlock(&h->direct_lock);
    mem_free(old);
}

/* Exactly `bytes` bytes from `offset`. */
static tola_status fetch(http_source *h, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    url *to = mem_alloc(sizeof *to);
    if (!to) return err_nomem(err, "reading from a server");
    bool direct = choose_address(h, to), own = url_same_origin(to, &h->to);
    if (direct && own) memcpy(to->user, h->to.user, sizeof to->user);
    request_reply reply;
    request q = { .to = to, .token = own ? h->token : NULL, .offset = offset, .bytes = bytes, .expect = &h->identity };
    tola_status status = request_run(&q, dst, &reply, err);
    bool expired = reply.status == 401 || reply.status == 403 || reply.status == 404 || reply.status == 410;
    if (status != TOLA_OK && direct && expired) {
        keep_direct(h, NULL);
        q.to = &h->to;
        q.token = h->token;
        direct = false;
        status = request_run(&q, dst, &reply, err);
    }
    if (status == TOLA_OK && !direct)
        keep_direct(h, reply.direct);
    else if (status == TOLA_OK)
        mem_free(reply.direct);
    if (status == TOLA_OK && reply.received != bytes)
        status = err_set(err, TOLA_E_NETWORK, offset, "the server sent %zu of %zu bytes", reply.received, bytes);
    if (status != TOLA_OK && err && err->offset == TOLA_NO_OFFSET) err->offset = offset;
    mem_free(to);
    return status;
}

/* ---- the cache; the lock is held ---- */

static size_t copy_cached(http_source *h, uint64_t offset, uint8_t *dst, size_t bytes) {
    for (size_t i = 0; i < EXTENTS; i++) {
        extent *e = &h->extents[i];
        if (!e->data || offset < e->at || offset - e->at >= e->bytes) continue;
        size_t there = e->bytes - (size_t)(offset - e->at), n = there < bytes ? there : bytes;
        memcpy(dst, e->data + (offset - e->at), n);
        e->used = ++h->tick;
        return n;
    }
    return 0;
}

/* The extent to give up: never the first 64 KiB, to which every reader comes back. */
static extent *oldest(http_source *h) {
    extent *e = &h->extents[1];
    for (size_t i = 2; i < EXTENTS; i++)
        if (h->extents[i].used < e->used) e = &h->extents[i];
    return e;
}

/* Puts fetched bytes where copy_cached finds them. */
static void keep_extent(http_source *h, uint64_t at, size_t bytes, uint8_t *data) {
    extent *e = oldest(h);
    mem_free(e->data);
    *e = (extent){ at, bytes, data, ++h->tick };
    h->next_at = at + bytes;
}

/* What to fetch for a read of `bytes` at `offset`: more each time where it goes on from the last. */
static size_t plan_extent(http_source *h, uint64_t offset, size_t bytes) {
    h->ahead = offset == h->next_at && h->ahead < AHEAD_MAX ? h->ahead * 2 : h->ahead;
    if (offset != h->next_at) h->ahead = FIRST_BYTES;
    size_t want = h->ahead > bytes ? h->ahead : bytes;
    uint64_t left = h->base.size - offset;
    return left < want ? (size_t)left : want;
}

/* Makes the kept beginning of the file reach `end`. Others wait: they would need the same bytes. */
static tola_status extend_beginning(http_source *h, uint64_t end, tola_error *err) {
    extent *e = &h->extents[0];
    uint64_t want = (uint64_t)e->bytes * 2;
    if (want < WHOLE_STEP) want = WHOLE_STEP;
    if (want < end) want = end;
    if (want > h->base.size) want = h->base.size;
    uint8_t *data = mem_realloc(e->data, (size_t)want);
    if (!data) return err_nomem(err, "reading from a server");
    e->data = data;
    size_t have = e->bytes;
    tola_status status = fetch(h, have, data + have, (size_t)want - have, err);
    if (status == TOLA_OK) e->bytes = (size_t)want;
    return status;
}

/* Fetched with the lock given up, so that readers of other places do not wait. */
static tola_status fetch_extent(http_source *h, uint64_t offset, size_t bytes, tola_error *err) {
    size_t want = plan_extent(h, offset, bytes);
    uint8_t *data = mem_alloc(want);
    if (!data) return err_nomem(err, "reading from a server");
    pthread_mutex_unlock(&h->lock);
    tola_status status = fetch(h, offset, data, want, err);
    pthread_mutex_lock(&h->lock);
    if (status != TOLA_OK) {
        mem_free(data);
        return status;
    }
    keep_extent(h, offset, want, data);
    return TOLA_OK;
}

/* ---- the source ---- */

static tola_status http_read(source *s, uint64_t offset, void *dst, size_t bytes, tola_error *err) {
    http_source *h = (http_source *)s;
    uint8_t *p = dst;
    if (fault_hit(FAULT_READ)) return err_set(err, TOLA_E_NETWORK, offset, "injected failure");
    tola_status status = TOLA_OK;
    pthread_mutex_lock(&h->lock);
    while (bytes && status == TOLA_OK) {
        size_t n = copy_cached(h, offset, p, bytes);
        p += n;
        offset += n;
        bytes -= n;
        if (n) continue; /* the rest may lie in another extent */
        if (h->whole && offset + bytes <= REQUEST_MAX_DISCARD) {
            status = extend_beginning(h, offset + bytes, err);
        } else if (bytes > DIRECT_BYTES) {
            pthread_mutex_unlock(&h->lock);
            return fetch(h, offset, p, bytes, err);
        } else {
            status = fetch_extent(h, offset, bytes, err);
        }
    }
    pthread_mutex_unlock(&h->lock);
    return status;
}

static void http_close(source *s) {
    http_source *h = (http_source *)s;
    for (size_t i = 0; i < EXTENTS; i++) mem_free(h->extents[i].data);
    if (h->token) explicit_bzero(h->token, strlen(h->token));
    mem_free(h->token);
    mem_free(h->direct);
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->direct_lock);
    explicit_bzero(h->to.user, sizeof h->to.user);
    mem_free(h);
}

static const source_ops http_ops = { http_read, NULL, NULL, http_close };

/* The first request: the file's size, its identity, its first bytes. */
static tola_status begin(http_source *h, tola_error *err) {
    uint8_t *data = mem_alloc(FIRST_BYTES);
    if (!data) return err_nomem(err, "opening an address");
    request_reply reply;
    request q = { .to = &h->to, .token = h->token, .measure = true, .bytes = FIRST_BYTES };
    tola_status status = request_run(&q, data, &reply, err);
    if (status != TOLA_OK) {
        mem_free(data);
        return status;
    }
    h->direct = reply.direct;
    h->direct_since = seconds_now();
    h->identity = reply.identity;
    h->base.size = reply.identity.total;
    h->whole = reply.ignored_range;
    h->next_at = reply.received;
    h->ahead = FIRST_BYTES;
    uint8_t *fitted = reply.received ? mem_realloc(data, reply.received) : NULL;
    h->extents[0] = (extent){ 0, reply.received, fitted ? fitted : data, 0 };
    return TOLA_OK;
}

static tola_status open_parsed(const url *to, const char *token, const char *shown, source **out, tola_error *err) {
    size_t n = strlen(shown) + 1;
    http_source *h = mem_calloc(1, sizeof *h + n);
    if (!h) return err_nomem(err, "opening an address");
    memcpy(h->shown, shown, n);
    h->base = (source){ &http_ops, h->shown, 0, true, false, NULL };
    h->to = *to;
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->direct_lock, NULL);
    h->token = token ? mem_strdup(token) : NULL;
    tola_status status = token && !h->token ? err_nomem(err, "opening an address") : begin(h, err);
    if (status != TOLA_OK) {
        http_close(&h->base);
        return err_in_file(err, status, shown);
    }
    if (*response_tag(&h->identity)) h->base.version = response_tag(&h->identity);
    *out = &h->base;
    return TOLA_OK;
}

tola_status http_open(const char *address, const char *token, const char *shown, source **out, tola_error *err) {
    url *to = mem_alloc(sizeof *to);
    char *text = mem_alloc(URL_MAX);
    tola_status status = to && text ? url_parse(address, to, err) : err_nomem(err, "opening an address");
    if (status == TOLA_OK)
        status = open_parsed(to, token, shown ? shown : url_show(to, text, URL_MAX), out, err);
    else
        err_in_file(err, status, address);
    if (to) explicit_bzero(to, sizeof *to);
    mem_free(to);
    mem_free(text);
    return status;
}
