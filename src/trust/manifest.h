/* What a signature says about a model: every file, or every piece of one, by its digest. */
#ifndef TRUST_MANIFEST_H
#define TRUST_MANIFEST_H

#include "base/mem.h"
#include "trust/digest.h"

enum {
    MANIFEST_MOST_LEFT_OUT = 100, /* that are named */
    MANIFEST_MOST_FILES = 4 << 20, /* the largest public models have some thousand */
    MANIFEST_MOST_RESOURCES = 4 << 20,
    MANIFEST_DEPTH = 256,      /* folders in folders */
    MANIFEST_NAME_BYTES = 4096 /* PATH_MAX */
};

typedef struct manifest_resource {
    const char *path;    /* of the file, relative, components joined by '/'; "." for a model that is one file */
    uint64_t start, end; /* shards; 0, 0 for whole files */
    uint8_t digest[DIGEST_MOST_BYTES];
} manifest_resource;

/* How a manifest is made. */
typedef struct manifest_rules {
    digest_kind hash;
    uint64_t shard_size; /* 0: whole files */
    bool allow_symlinks;
    const char **ignore; /* paths relative to the model, as manifest_ignore makes them */
    size_t n_ignore;
} manifest_rules;

typedef struct manifest {
    arena a;          /* of all text here */
    const char *name; /* of the model: the last component of its path */
    manifest_rules rules;
    manifest_resource *items;
    size_t count, cap;
} manifest;

void manifest_init(manifest *m);
void manifest_free(manifest *m);
tola_status manifest_add(manifest *m, const manifest_resource *item, tola_error *err);
/* Component by component, as model_signing (Python's pathlib) does: "a/x" before "a-b/x"; then by the range. */
int manifest_compare_paths(const char *a, const char *b);
int manifest_compare(const void *a, const void *b); /* of manifest_resource */
void manifest_sort(manifest *m);
/* SHA-256 over the raw digests in their order. */
tola_status manifest_root(const manifest *m, uint8_t root[32], tola_error *err);
/* The name of a resource as the document has it: the path, or "path:start:end". */
tola_status manifest_name(const manifest *m, const manifest_resource *item, buf *out, tola_error *err);
/* "sha256", or "sha256-sharded-1000000000". */
void manifest_algorithm(const manifest_rules *rules, char *out, size_t cap);

/* Adds a rule: a file, or a folder with all in it. `path` is relative to the model, or absolute and inside it; one that
 * leads elsewhere is passed over, as model_signing does, but the model itself is TOLA_E_ARG. */
tola_status manifest_ignore(manifest *m, const char *model, const char *path, tola_error *err);
bool manifest_ignored(const manifest_rules *rules, const char *path);

/* ---- what is there ---- */

typedef enum manifest_kind {
    MANIFEST_FILE,
    MANIFEST_LINK,        /* to a file, and links are not allowed */
    MANIFEST_LINK_FOLDER, /* to a folder, or to nothing */
    MANIFEST_OTHER        /* no regular file */
} manifest_kind;

/* Which file it was, and when it changed last: what is hashed must still be that. */
typedef struct manifest_stamp {
    uint64_t device, inode, bytes;
    int64_t modified, changed; /* nanoseconds since 1970 */
} manifest_stamp;

struct stat;
manifest_stamp manifest_stamp_of(const struct stat *st);

typedef struct manifest_file {
    const char *path; /* as in manifest_resource */
    uint64_t bytes;
    manifest_kind kind;
    manifest_stamp stamp; /* of a MANIFEST_FILE */
} manifest_file;

typedef struct manifest_files {
    arena a;
    const char *model; /* the path that was given */
    bool folder;
    manifest_file *items;
    size_t count, cap;
    const char **left_out; /* files and folders that are there and that rules ignore: the first of them */
    size_t n_left_out, left_out_cap;
} manifest_files;

/* Everything in the folder (or the one file) `model` that `rules` do not ignore, in canonical order. Folders behind
 * links are never entered. */
tola_status manifest_walk(const char *model, const manifest_rules *rules, manifest_files *out, tola_error *err);
void manifest_files_free(manifest_files *f);
/* NULL where there is none of that path. */
const manifest_file *manifest_files_find(const manifest_files *f, const char *path);
/* Its path in the file system, in `out` (cleared first). */
tola_status manifest_files_path(const manifest_files *f, const char *path, buf *out, tola_error *err);

/* ---- hashing ---- */

typedef struct manifest_work {
    unsigned threads;
    tola_progress_fn progress;
    void *user;
    uint64_t bytes; /* out: what was read */
} manifest_work;

/* The digests of `count` resources (path, start, end), on all threads. `end` 0 is the end of the file. */
tola_status manifest_hash(const manifest_files *files, digest_kind hash, manifest_resource *items, size_t count,
                          manifest_work *work, tola_error *err);
/* Adds the resources of all files, with their digests, by m->rules. What cannot be signed is TOLA_E_ARG. */
tola_status manifest_make(manifest *m, const manifest_files *files, manifest_work *work, tola_error *err);
/* Appends what `file` gives by the rules, without digests. */
tola_status manifest_add_file(manifest *m, const manifest_file *file, tola_error *err);

#endif
