/* Loading libarchive with dlopen. */
#include "trust/libarchive.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static libarchive functions;
static const char *missing;

/* POSIX lets an object pointer from dlsym be copied into a function pointer; C only through memory. */
static bool find(void *library, const char *name, void *function, size_t size) {
    void *symbol = dlsym(library, name);
    if (symbol) memcpy(function, &symbol, size);
    return symbol != NULL;
}

static void load(void) {
    void *library = dlopen("libarchive.so.13", RTLD_NOW);
    if (!library) library = dlopen("libarchive.13.dylib", RTLD_NOW);
    if (!library) {
        missing = "libarchive.so.13 is not installed (Debian: apt install libarchive13)";
        return;
    }
#define FIND(symbol, pointer) find(library, "archive_" symbol, &functions.pointer, sizeof functions.pointer)
    bool all = FIND("read_new", read_new) && FIND("read_free", read_free) &&
               FIND("read_support_filter_all", filter_all) && FIND("read_support_format_raw", format_raw) &&
               FIND("read_support_format_7zip", format_7zip) && FIND("read_support_format_rar", format_rar) &&
               FIND("read_support_format_rar5", format_rar5) && FIND("read_open", open) &&
               FIND("read_set_seek_callback", set_seek) && FIND("read_next_header", next_header) &&
               FIND("read_data", read_data) && FIND("entry_pathname_utf8", pathname_utf8) &&
               FIND("entry_pathname", pathname) && FIND("entry_is_encrypted", entry_encrypted) &&
               FIND("entry_filetype", filetype) && FIND("error_string", error_string) &&
               FIND("filter_bytes", filter_bytes);
#undef FIND
    if (!all) missing = "the libarchive found here lacks functions that every libarchive has";
}

const libarchive *libarchive_get(const char **why_not) {
    pthread_once(&once, load);
    if (why_not) *why_not = missing;
    return missing ? NULL : &functions;
}
