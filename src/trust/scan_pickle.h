/* One pickle, followed exactly and without running it: what it imports, what it would call, what is wrong with it.
 *
 * Stack, marks and memo are those of CPython's unpickler (Modules/_pickle.c; Lib/pickle.py where both agree). Where
 * CPython would stop with an error, the machine notes the first such place and goes on as far as it can, so that what
 * stands behind it is told, too. Values are 16 bytes; contents of containers are kept for the first few items, which is
 * what joblib's arrays and torch's storages need. Specification: CPython's Lib/pickletools.py. */
#ifndef TRUST_SCAN_PICKLE_H
#define TRUST_SCAN_PICKLE_H

#include "trust/scan.h"

#define PM_BOX_ITEMS 32         /* values kept of one container */
#define PM_MAX_BOXES (1u << 21) /* contents of later containers are not kept */
#define PM_MAX_ITEMS (1u << 23)
#define PM_MAX_STACK (1u << 26)
#define PM_MAX_IMPORTS 100000u
#define PM_MAX_NAME 4096u /* bytes of a module's or an attribute's name */
#define PM_MAX_NESTED 8   /* pickles in a pickle's stream: joblib's arrays of objects */

typedef enum pm_kind {
    PM_OTHER = 0, /* something that nobody looks into */
    PM_INT,       /* x: the number */
    PM_STR,       /* x: offset, n: bytes, form: pm_form */
    PM_BYTES,
    PM_IMPORT, /* n: index */
    PM_RESULT, /* of a call: n: index of the import that was called first, + 1; x: box of the arguments */
    PM_TUPLE,  /* n: box, 0 = contents not kept */
    PM_LIST,
    PM_DICT, /* keys and values in turn */
    PM_SET,
    PM_PERSISTENT, /* n: box of the id; x: elements of a storage, where claims are noted */
    PM_CONSTANT    /* x: pm_constant */
} pm_kind;

enum pm_constant { PM_NONE, PM_TRUE, PM_FALSE, PM_FLOAT, PM_BIG };

typedef enum pm_form { PM_UTF8 = 0, PM_RAW_UNICODE, PM_REPR } pm_form;

typedef struct pm_value {
    uint8_t kind, form;
    uint16_t spare;
    uint32_t n;
    uint64_t x;
} pm_value;

typedef struct pm_box {
    uint32_t first, count, cap; /* in items */
    bool cut;                   /* more were put in than are kept */
} pm_box;

/* Imports of the allow-list whose calls are looked into. */
typedef enum pm_role { PM_PLAIN = 0, PM_DTYPE, PM_JOBLIB, PM_ENCODE, PM_TENSOR, PM_ORDERED, PM_STORAGE } pm_role;

typedef struct pm_import {
    char *module, *name;
    uint64_t offset, count; /* offset from the part's start */
    tola_verdict verdict;
    bool called;
    uint8_t role; /* pm_role */
    uint8_t item; /* of a storage: bytes of an element */
    uint32_t next;
} pm_import;

typedef struct pm_note {
    tola_verdict verdict;
    const char *kind;
    uint64_t offset;
    char *what;
} pm_note;

typedef struct pickle_machine pickle_machine;

typedef enum pm_end {
    PM_STOPPED,   /* STOP was reached */
    PM_TRUNCATED, /* the bytes ended first */
    PM_BROKEN     /* an opcode that is none, or one after which nothing can be followed */
} pm_end;

typedef struct pm_outcome {
    pm_end end;
    uint64_t next;         /* absolute: the byte behind STOP, or where it broke */
    bool malformed;        /* CPython would have raised an error */
    uint64_t malformed_at; /* from the part's start */
    char why[200];
    tola_verdict worst; /* of imports and notes */
    bool acted;         /* an import was called, built upon or changed */
    bool dangerous;     /* an import was, or a note */
    bool limited;       /* a limit of the machine ended it */
    bool arrays;        /* joblib's arrays stand between the opcodes */
    bool foreign;       /* it needs a loader that gives numbers or ids a meaning */
    bool doubtful;      /* it became malformed, or a name cannot be one of Python's: text that only looks like this */
    bool spoke_before;  /* something dangerous was imported, or something not safe called, before that */
    pm_value top;       /* what STOP returned */
} pm_outcome;

/* NULL when out of memory (the job has stopped). */
pickle_machine *pm_new(scan_job *job, const scan_part *part, bool torchscript);
void pm_free(pickle_machine *m);
/* Notes what the pickles that follow say of storages. */
void pm_note_claims(pickle_machine *m, torch_claims *claims);
/* Runs the pickle at absolute offset `at`. Memo and stack begin empty; imports and notes gather over runs. */
void pm_run(pickle_machine *m, uint64_t at, pm_outcome *out);
/* The same as pickle.load does it, which knows nothing of joblib's arrays and takes their bytes for opcodes. */
void pm_run_plain(pickle_machine *m, uint64_t at, pm_outcome *out);
/* Reports imports and notes of the runs so far, and forgets them. */
void pm_commit(pickle_machine *m);
void pm_discard(pickle_machine *m);
size_t pm_import_count(const pickle_machine *m);
/* ---- looking at values, until the next run ---- */
const pm_import *pm_import_of(const pickle_machine *m, const pm_value *v); /* of IMPORT and RESULT; NULL */
/* Item i of a TUPLE, LIST, DICT; NULL where it was not kept. */
const pm_value *pm_item(const pickle_machine *m, const pm_value *v, size_t i);
size_t pm_count(const pickle_machine *m, const pm_value *v); /* SIZE_MAX where not known */
/* Text of a STR or BYTES into dst, NUL-terminated; false where it is none or too long. `length` may be NULL. */
bool pm_text(pickle_machine *m, const pm_value *v, char *dst, size_t cap, size_t *length);
bool pm_is_text(pickle_machine *m, const pm_value *v, const char *text);
/* Reads file bytes through the machine's window. */
bool pm_read(pickle_machine *m, uint64_t at, void *dst, size_t bytes);

#endif
