/* Claims that a document makes of weights, and whether they hold.
 *
 * Reading knows Markdown (front matter, tables, "Label: value" lines, headings with text), HTML (rows of tables), the
 * JSON of tola card, CycloneDX and SPDX 3. Nothing in a document is trusted to be well made. */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "policy/record.h"
#include <tola/papers.h>

enum { CHECK_MOST_BYTES = 64 << 20, CHECK_MOST_CLAIMS = 100000 };

typedef enum check_kind {
    CHECK_PARAMETERS,
    CHECK_ACTIVE,
    CHECK_RANGE,
    CHECK_DIGEST, /* 64 hexadecimal digits, of the tensors or of files */
    CHECK_DTYPE,
    CHECK_ARCHITECTURE,
    CHECK_CONTEXT,
    CHECK_LICENCE,
    CHECK_FILE, /* `name`: a file of the model, `says` its SHA-256 */
    CHECK_KINDS
} check_kind;

typedef struct check_claim {
    check_kind kind;
    const char *name; /* CHECK_FILE */
    const char *says;
    uint64_t line; /* 0: unknown */
} check_claim;

typedef struct check_claims {
    arena a;
    check_claim *items;
    size_t count, cap;
    bool lists_files; /* a bill of materials: files that it does not list are missing from it */
} check_claims;

/* TOLA_E_FORMAT where nothing in it can be checked. `out` is freed with check_free in either case. */
tola_status check_read(const char *text, size_t length, check_claims *out, tola_error *err);
void check_free(check_claims *c);

typedef struct check_answer {
    bool checkable; /* the weights tell, and the document says something definite */
    bool agrees;
    const char *is; /* in `a` */
} check_answer;
check_answer check_judge(const check_claim *claim, record *r, arena *a);
const char *check_name(const check_claim *claim, arena *a); /* "parameters", "sha256 of x" */

/* A number as people write counts, from *text on, which is moved behind it: "7.24B", "7,241,732,096", "7.2*10^9",
 * "1.5 billion". `step` is what its last written digit stands for. False where there is none. */
bool check_number(const char **text, double *value, double *step);

#endif
