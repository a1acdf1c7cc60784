/* What the scanners share: the job, the parts of a file, findings. See docs/design/scan.md.
 *
 * Scanners return nothing: what is wrong with the bytes is a finding. Only what is wrong with the machine (memory, a
 * disk that fails) stops a job, through scan_stop. */
#ifndef TRUST_SCAN_H
#define TRUST_SCAN_H

#include <tola/scan.h>

#include "base/mem.h"
#include "base/source.h"

#define SCAN_MAX_DEPTH 8                      /* members in members; a shell of a shell is already odd */
#define SCAN_MAX_MEMBER ((uint64_t)1 << 30)   /* bytes of a member unpacked into memory */
#define SCAN_MAX_UNPACKED ((uint64_t)4 << 30) /* of all members of a file together; zip bombs end here */
#define SCAN_MAX_MEMBERS (1u << 20)
#define SCAN_MAX_FINDINGS 4096
#define SCAN_MAX_IMPORTS 16384
#define SCAN_MAX_TEXT 4096

typedef struct scan_import {
    const char *module, *name, *member;
    uint64_t offset, count;
    tola_verdict verdict;
    bool called;
    uint32_t next; /* of the same hash, + 1 */
} scan_import;

/* What the pickle of a torch archive says of its storages, noted while it is followed. Where all of it is understood
 * and agrees with the archive's members, the reader need not be asked. */
typedef struct torch_claim {
    char key[24];
    uint64_t bytes;
} torch_claim;

typedef struct torch_claims {
    bool lost; /* something was not understood */
    unsigned depth, pickles;
    torch_claim *list;
    size_t count, cap;
} torch_claims;

/* Libraries that a job may ask for; loaded before the sandbox closes. */
enum { SCAN_NEEDS_ARCHIVE = 1 };

typedef struct scan_job {
    arena *a; /* of everything that the findings point to */
    tola_scan_finding *findings;
    size_t finding_count, finding_cap;
    uint64_t findings_lost;
    scan_import *imports;
    size_t import_count, import_cap;
    uint64_t imports_lost;
    uint32_t *import_table; /* hash table of indices + 1 */
    size_t import_table_cap;
    tola_verdict verdict;
    const char *format; /* of the file itself; static */
    uint64_t unpacked;
    uint64_t members;
    torch_claims *torch; /* of the archive whose members are looked into, or NULL */
    bool torchscript;    /* inside an archive of a TorchScript program, whose pickles name classes of its own */
    unsigned loaded;     /* SCAN_NEEDS_... that are there */
    bool sandboxed;      /* no library can be loaded any more */
    unsigned wants;      /* SCAN_NEEDS_... that were absent because of that */
    tola_status status;  /* why the job stopped */
    tola_error error;
} scan_job;

/* Bytes to look into. */
typedef struct scan_part {
    source *src;
    uint64_t start, end;
    const char *name;   /* the last component, for what content cannot tell */
    const char *member; /* the whole place, "" for the file */
    unsigned depth;
    bool weights; /* the container says that these are numbers: only what is surely code counts */
} scan_part;

static inline uint64_t part_bytes(const scan_part *p) { return p->end - p->start; }

/* ---- scan_report.c ---- */
void scan_job_init(scan_job *job, arena *a);
void scan_job_free(scan_job *job);
/* `offset` counts from the part's start; TOLA_NO_OFFSET for none. Texts are quoted by the caller. */
void scan_find(scan_job *job, const scan_part *part, tola_verdict verdict, const char *kind, uint64_t offset,
               const char *format, ...) __attribute__((format(printf, 6, 7)));
/* A global that a pickle of this part names. Not-safe ones count for the verdict and become findings at the end. */
void scan_add_import(scan_job *job, const scan_part *part, const char *module, const char *name, uint64_t offset,
                     uint64_t count, bool called, tola_verdict verdict);
void scan_stop(scan_job *job, tola_status status, const tola_error *err);
static inline bool scan_running(const scan_job *job) { return job->status == TOLA_OK; }
/* `name` inside `part`: a member's path. */
const char *scan_member_path(scan_job *job, const scan_part *part, const char *name);
/* The report as records for the pipe, and back; whoever writes them is not trusted. */
tola_status scan_encode(const scan_job *job, buf *out, tola_error *err);
tola_status scan_decode(const uint8_t *data, size_t bytes, arena *a, tola_scan_file *out, unsigned *wants,
                        tola_error *err);
/* Puts the job into `out`, in its arena. */
tola_status scan_finish(const scan_job *job, tola_scan_file *out, tola_error *err);

/* ---- scan_source.c ---- */
/* [start, end) of a source as a source; `from` is borrowed. */
tola_status source_open_range(source *from, uint64_t start, uint64_t end, source **out, tola_error *err);
/* The same bytes, with a buffer in front for small reads that go forward; `from` is borrowed. NULL where it is remote
 * (and has its own) or memory is short: `from` will do then. */
source *source_open_ahead(source *from);
/* Reads bytes of a part; false, with the job stopped or a finding made, where that fails. */
bool part_read(scan_job *job, const scan_part *part, uint64_t offset, void *dst, size_t bytes);
/* The whole part in memory (freed with mem_free), at most `limit`; NULL with a finding of `kind` or a stop. */
uint8_t *part_load(scan_job *job, const scan_part *part, uint64_t limit, const char *kind);
/* Bytes in memory as a member of `part`. Counts against what may be unpacked. */
void scan_bytes(scan_job *job, const scan_part *parent, const char *name, const uint8_t *data, size_t bytes,
                bool weights);

/* ---- scan_content.c ---- */
void scan_content(scan_job *job, const scan_part *part);
/* Is this the end of `text`, whatever the case of letters? */
bool scan_has_extension(const char *name, const char *extensions /* space-separated, with dots */);

/* ---- scanners ---- */
/* As a pickle, whatever it is: true where that said something (findings were made). */
bool scan_try_pickle(scan_job *job, const scan_part *part);
/* Is it a pickle? 2 = it says so (protocol 2 on), 1 = it can be read as one to its end or imports something, 0 = no. */
int scan_pickle_likelihood(scan_job *job, const scan_part *part);
/* Pickles one after another, to the end. What cannot be read is a finding. */
void scan_pickles(scan_job *job, const scan_part *part);
/* What the reader of its format says of the structure: a finding where it refuses. */
void scan_structure(scan_job *job, const scan_part *part);
void scan_zip(scan_job *job, const scan_part *part);
/* Would a reader of zip archives, which begins at the end, find one? `*at`: its end record. */
bool scan_ends_as_zip(scan_job *job, const scan_part *part, uint64_t *at);
/* A member of a zip archive that is neither stored nor deflated: [data, end) from the part's start. */
void scan_zip_other(scan_job *job, const scan_part *part, const char *name, unsigned method, unsigned flags,
                    uint64_t data, uint64_t end, uint64_t size);
/* gzip, zlib, bzip2, xz, lz4, zstd, lzma, 7z, ...: false, without a finding, where "zlib" turns out to be none. */
bool scan_packed(scan_job *job, const scan_part *part, const char *format);
void scan_tar(scan_job *job, const scan_part *part);
void scan_npy(scan_job *job, const scan_part *part);
void scan_gguf(scan_job *job, const scan_part *part);
void scan_safetensors(scan_job *job, const scan_part *part);
void scan_hdf5(scan_job *job, const scan_part *part);
/* False, without a finding, where it is no JSON. */
bool scan_json(scan_job *job, const scan_part *part);
/* A Jinja template: the part is one; or text in memory, found at `where`. */
void scan_template(scan_job *job, const scan_part *part);
void scan_template_text(scan_job *job, const scan_part *part, const char *where, const char *text, size_t length);
/* Protocol buffers of TensorFlow, ONNX, SentencePiece; false where it is none. */
bool scan_graph(scan_job *job, const scan_part *part);
/* MessagePack as Flax writes it. False, without a finding, where it is none. */
bool scan_msgpack(scan_job *job, const scan_part *part);
/* What a format is that is known and not followed; NULL. */
const char *scan_known_format(scan_job *job, const scan_part *part);
/* The name of a layout of plain numbers that the part follows to its last byte; NULL. */
const char *scan_raw_layout(scan_job *job, const scan_part *part);

/* ---- scan_names.c ---- */
tola_verdict scan_judge_import(const char *module, const char *name, bool torchscript);

#endif
