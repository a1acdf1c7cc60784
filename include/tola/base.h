/* Status codes, error detail, progress: what every other public header builds on.
 *
 * The library never prints, exits, installs signal handlers or touches the locale. */
#ifndef TOLA_BASE_H
#define TOLA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TOLA_API __attribute__((visibility("default")))
#define TOLA_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TOLA_API
#define TOLA_MUST_CHECK
#endif

#define TOLA_VERSION_MAJOR 0
#define TOLA_VERSION_MINOR 1
#define TOLA_VERSION_PATCH 0

/* The version of the library that is running, "major.minor.patch". Static storage. */
TOLA_API const char *tola_version(void);

typedef enum tola_status {
    TOLA_OK = 0,
    TOLA_E_NOMEM = 1,       /* an allocation failed or a named limit on memory was reached */
    TOLA_E_IO = 2,          /* the operating system refused a read, write, open, rename, ... */
    TOLA_E_FORMAT = 3,      /* the bytes break the rules of their format */
    TOLA_E_UNSUPPORTED = 4, /* well-formed, but nothing here can do that */
    TOLA_E_ARG = 5,         /* the caller asked for something that makes no sense */
    TOLA_E_NOT_FOUND = 6,   /* no such file, tensor, key */
    TOLA_E_EXISTS = 7,      /* the output is there already and overwriting was not asked for */
    TOLA_E_LIMIT = 8,       /* a named limit (depth, count, ratio) was exceeded */
    TOLA_E_CANCELLED = 9,   /* the progress callback said stop */
    TOLA_E_NETWORK = 10,    /* a server could not be reached or answered with an error */
    TOLA_E_UNSAFE = 11      /* the file asks for code to be run; nothing was run */
} tola_status;

/* A short English name, "ok", "out of memory", ... Static storage. */
TOLA_API const char *tola_status_name(tola_status status);

/* Frees what a function of this library says is to be freed with tola_free. NULL is fine. */
TOLA_API void tola_free(void *data);

#define TOLA_NO_OFFSET UINT64_MAX

/* Detail of a failure, owned by the caller; every function that takes one accepts NULL.
 * Written only on failure. `message` is one line, complete as it stands: file, offset, tensor, cause. */
typedef struct tola_error {
    tola_status status;
    uint64_t offset; /* byte offset in the file at fault, TOLA_NO_OFFSET where there is none */
    char message[1008];
} tola_error;

#define TOLA_ERROR_INIT { TOLA_OK, TOLA_NO_OFFSET, { 0 } }

/* Which of the words shown to it was probably meant by `word`: "did you mean". All of them are borrowed. */
typedef struct tola_nearest {
    const char *word;
    const char *best; /* NULL: none is near enough */
    unsigned distance;
} tola_nearest;
TOLA_API void tola_nearest_init(tola_nearest *nearest, const char *word);
TOLA_API void tola_nearest_try(tola_nearest *nearest, const char *candidate);

/* How far a long job has come. `total` 0 means unknown. */
typedef struct tola_progress {
    const char *phase; /* "converting", "hashing", ... */
    uint64_t done;     /* bytes */
    uint64_t total;    /* bytes */
} tola_progress;

/* Called every few megabytes or some twenty times a second from any worker thread, never by two at once. Return false to
 * cancel: the job then stops at the next block, cleans up and returns TOLA_E_CANCELLED. */
typedef bool (*tola_progress_fn)(void *user, const tola_progress *progress);

#ifdef __cplusplus
}
#endif
#endif
