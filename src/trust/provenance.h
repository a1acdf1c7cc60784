/* Which files came out of which: in-toto statements with the predicate SLSA provenance v1
 * (https://slsa.dev/spec/v1.0/provenance), made by tola_provenance_write and carried inside signed statements. */
#ifndef TRUST_PROVENANCE_H
#define TRUST_PROVENANCE_H

#include "trust/manifest.h"
#include <tola/value.h>

enum { PROVENANCE_MOST_FILES = 100000 };

/* A file that a statement names. */
typedef struct provenance_file {
    const char *model; /* name of the model it belongs to */
    const char *path;  /* inside it; the model's own name where it is one file */
    uint8_t sha256[32];
    bool data; /* no model */
} provenance_file;

/* Reads such a file into `a`. */
tola_status provenance_read(const char *path, arena *a, const tola_value **out, tola_error *err);
/* The files that something was made of; TOLA_E_FORMAT where it is no such statement. `files` in `a`. */
tola_status provenance_inputs(const tola_value *statement, arena *a, provenance_file **files, size_t *count,
                              tola_error *err);
/* Are the statement's subjects files of this manifest? TOLA_E_ARG where not. */
tola_status provenance_matches(const tola_value *statement, const manifest *m, tola_error *err);
/* Does the manifest (sha256 over whole files) name this file with this digest? */
bool provenance_has(const manifest *m, const provenance_file *file);

#endif
