/* Loading libcurl with dlopen, and keeping its handles between requests so that connections are used again.
 *
 * A handle belongs to one request at a time; the idle ones wait on a list, whichever thread used them last. Sharing a
 * connection cache between handles instead (CURL_LOCK_DATA_CONNECT) is not safe across threads in the libcurl of
 * today, https://curl.se/libcurl/c/CURLSHOPT_SHARE.html */
#include "share/libcurl.h"

#ifdef TOLA_HAVE_CURL

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"

#define MAX_IDLE 16

static pthread_once_t once = PTHREAD_ONCE_INIT;
static libcurl functions;
static bool loaded;
static char why_not[200];

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static CURL *idle[MAX_IDLE];
static size_t idle_count;

/* POSIX lets an object pointer from dlsym be copied into a function pointer; C only through memory. */
static bool find(void *library, const char *name, void *function, size_t size) {
    void *symbol = dlsym(library, name);
    if (symbol) memcpy(function, &symbol, size);
    return symbol != NULL;
}

static void load(void) {
    /* Debian's libcurl4 and libcurl3-gnutls; the unversioned name belongs to development packages */
    static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib" };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW);
    if (!library) {
        strcpy(why_not, "libcurl.so.4 is not installed (Debian: apt install libcurl4)");
        return;
    }
    CURLcode (*global_init)(long) = NULL;
#define FIND(symbol, pointer) find(library, symbol, &(pointer), sizeof(pointer))
    bool all = FIND("curl_global_init", global_init) && FIND("curl_easy_setopt", functions.setopt) &&
               FIND("curl_easy_getinfo", functions.getinfo) && FIND("curl_easy_perform", functions.perform) &&
               FIND("curl_easy_reset", functions.reset) && FIND("curl_easy_init", functions.init) &&
               FIND("curl_easy_cleanup", functions.cleanup) && FIND("curl_easy_strerror", functions.strerror) &&
               FIND("curl_slist_append", functions.slist_append) &&
               FIND("curl_slist_free_all", functions.slist_free_all);
#undef FIND
    if (!all)
        strcpy(why_not, "the libcurl found here lacks functions that every libcurl has");
    else if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        strcpy(why_not, "libcurl could not be initialised");
    else
        loaded = true;
}

tola_status libcurl_get(const libcurl **out, tola_error *err) {
    pthread_once(&once, load);
    if (!loaded)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "addresses on the network cannot be opened: %s",
                       why_not);
    *out = &functions;
    return TOLA_OK;
}

CURL *libcurl_take(const libcurl *lib) {
    CURL *handle = NULL;
    pthread_mutex_lock(&idle_lock);
    if (idle_count) handle = idle[--idle_count];
    pthread_mutex_unlock(&idle_lock);
    return handle ? handle : lib->init();
}

void libcurl_give(const libcurl *lib, CURL *handle) {
    lib->reset(handle); /* forgets options and credentials, keeps connections */
    pthread_mutex_lock(&idle_lock);
    bool kept = idle_count < MAX_IDLE;
    if (kept) idle[idle_count++] = handle;
    pthread_mutex_unlock(&idle_lock);
    if (!kept) lib->cleanup(handle);
}

#endif
