/* One HTTP request as sources need it: part of a body into memory, with redirects, retries and every check on the way.
 *
 * RFC 9110 (HTTP semantics), https://www.rfc-editor.org/rfc/rfc9110 . What the server says is not trusted: headers are
 * bounded, redirects counted, never led from https to http, and no credential leaves the origin it is meant for. */
#ifndef SHARE_REQUEST_H
#define SHARE_REQUEST_H

#include "share/response.h"
#include "share/url.h"

#define REQUEST_MAX_REDIRECTS 10
#define REQUEST_ATTEMPTS 5                /* in all, for one request; what has arrived is kept between them */
#define REQUEST_MAX_DISCARD (64u << 20)   /* bytes passed over where a server ignores Range */
#define REQUEST_MAX_RETRY_AFTER 60        /* seconds a server may ask to wait; more is an error at once */

typedef struct request {
    const url *to;
    const char *token;          /* sent as "Authorization: Bearer", to the origin of `to` only; NULL = none */
    bool head;                  /* HEAD: no body */
    bool stay;                  /* a redirect to another origin ends the request (reply.elsewhere) */
    bool measure;               /* where the length of the file is not announced, read on to its end to learn it */
    uint64_t offset;            /* of the first byte wanted */
    size_t bytes;               /* wanted; fewer arrive where the file ends */
    const response_identity *expect; /* NULL, or what every reply must agree with */
} request;

typedef struct request_reply {
    int status;                 /* of the last response */
    response_identity identity;
    size_t received;            /* bytes in dst */
    bool ignored_range;         /* answered with the whole file */
    bool elsewhere;             /* stay: it would have led to another origin */
    uint64_t transferred;       /* bytes of bodies, discarded ones too */
    char commit[64];            /* X-Repo-Commit */
    char code[64];              /* X-Error-Code */
    url *direct;                /* where redirects led, freed with mem_free; NULL where there was none */
} request_reply;

/* TOLA_OK: status is 200, 206 (or 3xx with `elsewhere`), and all bytes wanted that the file has are in dst.
 * Other statuses: 404 and 410 TOLA_E_NOT_FOUND, 416 TOLA_E_FORMAT, else TOLA_E_NETWORK; reply.status and reply.code are
 * filled in then too, reply.direct is NULL. Messages name no URL: the caller does. Any thread. */
tola_status request_run(const request *q, void *dst, request_reply *reply, tola_error *err);

#endif
