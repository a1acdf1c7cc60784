/* Scanning files for code: what could run, or be read, when somebody opens them. Nothing in them is run or imported.
 *
 * Default-deny: safe is what was understood to the last byte and named nothing but data; dangerous is what is known to
 * be used to run code; everything else is unknown. docs/scan.md tells what is looked for. */
#ifndef TOLA_SCAN_H
#define TOLA_SCAN_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_verdict { TOLA_SAFE = 0, TOLA_UNKNOWN = 1, TOLA_DANGEROUS = 2 } tola_verdict;
TOLA_API const char *tola_verdict_name(tola_verdict verdict); /* "safe", "unknown", "dangerous". Static storage */

typedef struct tola_scan_finding {
    tola_verdict verdict; /* never TOLA_SAFE */
    const char *kind;     /* "import", "pickle", "zip", "keras", "template", ...: docs/scan.md lists them */
    const char *what;     /* one line */
    const char *member;   /* the place inside the file, "a.zip!b.pkl"; "" = the file itself */
    uint64_t offset;      /* in the member; TOLA_NO_OFFSET where there is none */
} tola_scan_finding;

/* A name that a pickle makes its loader import. */
typedef struct tola_scan_import {
    tola_verdict verdict;
    const char *module, *name, *member;
    uint64_t offset; /* of the first mention, in the member */
    uint64_t count;  /* of mentions */
    bool called;
} tola_scan_import;

typedef struct tola_scan_file {
    const char *path;
    const char *format; /* what its content is, "pickle", "zip", "safetensors", ... */
    uint64_t bytes;
    tola_verdict verdict;
    size_t finding_count, import_count;
    const tola_scan_finding *findings;
    const tola_scan_import *imports;
    uint64_t reserved[2];
} tola_scan_file;

typedef struct tola_scan_report {
    size_t size; /* filled in */
    tola_verdict verdict;
    size_t count;
    const tola_scan_file *files;
    uint64_t bytes;
    bool sandboxed; /* every file was read behind the system call filter */
    void *owner;    /* private */
    uint64_t reserved[4];
} tola_scan_report;

typedef enum tola_sandbox {
    TOLA_SANDBOX_AUTO = 0, /* where the system has it */
    TOLA_SANDBOX_ALWAYS,   /* TOLA_E_UNSUPPORTED where it has not */
    TOLA_SANDBOX_NEVER
} tola_sandbox;

typedef struct tola_scan_options {
    size_t size;      /* sizeof(tola_scan_options) */
    unsigned threads; /* files looked at at once; 0 = as many as processors */
    tola_sandbox sandbox;
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[4];
} tola_scan_options;
#define TOLA_SCAN_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(tola_scan_options), 0, TOLA_SANDBOX_AUTO, NULL, NULL, { 0 }                                             \
    }

/* Files, folders with all they hold (.git left out), and references ("https://...", "hf://org/name/file"). A path that
 * cannot be opened is an error; a file that cannot be understood is a finding. Fills `out` (tola_scan_dispose). With a
 * sandbox the process forks: a program with threads that hold locks of its own should know. */
TOLA_API TOLA_MUST_CHECK tola_status tola_scan(const char *const *paths, size_t count, const tola_scan_options *options,
                                               tola_scan_report *out, tola_error *err);
/* Bytes in memory under a name, in this process. */
TOLA_API TOLA_MUST_CHECK tola_status tola_scan_memory(const char *name, const void *data, size_t bytes,
                                                      tola_scan_report *out, tola_error *err);
TOLA_API void tola_scan_dispose(tola_scan_report *report);

#ifdef __cplusplus
}
#endif
#endif
