/* libcurl, loaded when the first request is made: a program that never names a server never pays for it.
 *
 * Built without libcurl's headers (no TOLA_HAVE_CURL), or run where the library is absent, every call here says so. */
#ifndef SHARE_LIBCURL_H
#define SHARE_LIBCURL_H

#include <tola/base.h>

#ifdef TOLA_HAVE_CURL
#include <curl/curl.h>

typedef struct libcurl {
    CURLcode (*setopt)(CURL *, CURLoption, ...);
    CURLcode (*getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*perform)(CURL *);
    void (*reset)(CURL *);
    CURL *(*init)(void);
    void (*cleanup)(CURL *);
    const char *(*strerror)(CURLcode);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
} libcurl;

/* The loaded library; TOLA_E_UNSUPPORTED where there is none. Any thread. */
tola_status libcurl_get(const libcurl **out, tola_error *err);

/* An idle handle with its open connections, or a new one; NULL when out of memory. Any thread. */
CURL *libcurl_take(const libcurl *lib);
/* Gives it back for the next request. At most 16 are kept. */
void libcurl_give(const libcurl *lib, CURL *handle);
#endif

#endif
