/* libarchive, loaded when something packed is met: bzip2, xz, lz4, zstd, lzma streams and 7z archives. It is no
 * dependency of the build: its functions take and give opaque pointers, and are declared here as its manual has them
 * (https://github.com/libarchive/libarchive/wiki/ManualPages). */
#ifndef TRUST_LIBARCHIVE_H
#define TRUST_LIBARCHIVE_H

#include <tola/base.h>

#define ARCHIVE_DONE 1 /* ARCHIVE_EOF */
#define ARCHIVE_FINE 0 /* ARCHIVE_OK */
#define ARCHIVE_WARNED (-20)

typedef struct libarchive {
    void *(*read_new)(void);
    int (*read_free)(void *);
    int (*filter_all)(void *);
    int (*format_raw)(void *);
    int (*format_7zip)(void *);
    int (*format_rar)(void *);
    int (*format_rar5)(void *);
    int (*open)(void *, void *client, int (*opened)(void *, void *), ptrdiff_t (*read)(void *, void *, const void **),
                int (*closed)(void *, void *));
    int (*set_seek)(void *, int64_t (*seek)(void *, void *, int64_t, int));
    int (*next_header)(void *, void **entry);
    ptrdiff_t (*read_data)(void *, void *, size_t);
    const char *(*pathname_utf8)(void *entry);
    const char *(*pathname)(void *entry);
    int (*entry_encrypted)(void *entry);
    unsigned (*filetype)(void *entry);
    const char *(*error_string)(void *);
    int64_t (*filter_bytes)(void *, int filter); /* -1: taken from the client */
} libarchive;

/* NULL where it is absent, with the reason. Any thread. */
const libarchive *libarchive_get(const char **why_not);

#endif
