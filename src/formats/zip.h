/* ZIP archives (PKWARE APPNOTE 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT): a bounded reader
 * and the layout of a writer, for PyTorch files and .npz.
 *
 * The reader trusts the central directory and compares every local header with it. It refuses archives that two
 * programs could read in two ways: duplicate names, overlapping members, headers that disagree, data before the first
 * or between the last member and the directory's end. It knows stored and deflated members, ZIP64 and data
 * descriptors; encryption, several disks and other methods are refused by name. Nothing is ever extracted to disk. */
#ifndef FORMATS_ZIP_H
#define FORMATS_ZIP_H

#include "base/mem.h"
#include "base/source.h"

struct output_file;

/* ---- reading ---- */

#define ZIP_STORED 0u
#define ZIP_DEFLATED 8u

#define ZIP_MAX_MEMBERS (1u << 22)      /* as many as tensors in a checkpoint */
#define ZIP_MAX_DIRECTORY (1u << 30)    /* 4 M members of 200 bytes each, with room */
/* Deflate cannot do better than 258 bytes in two bits, 1032:1; the constant covers members of a few bytes. */
#define ZIP_MAX_RATIO 1032u
#define ZIP_RATIO_SLACK 4096u

typedef struct zip_member {
    const char *name; /* NUL-terminated; no NUL inside */
    uint32_t name_length;
    uint16_t method, flags;
    uint32_t crc;
    uint64_t size;   /* unpacked */
    uint64_t packed; /* as stored */
    uint64_t header; /* of the local header, absolute in the source */
    uint64_t data;   /* of the payload, absolute in the source; computed, not yet compared, where !checked */
    uint32_t checked; /* atomic: the local header was compared */
} zip_member;

typedef struct zip_inflater zip_inflater;
typedef struct zip_verifier zip_verifier;

typedef struct zip_archive {
    source *src;
    uint64_t start, end;   /* the archive lies in [start, end) of src */
    zip_member *members;   /* in the order of the directory */
    size_t count;
    zip_member **by_name;  /* sorted */
    uint64_t trailing;     /* bytes after the archive */
    zip_inflater *inflater; /* NULL where nothing is deflated */
    zip_verifier *verifier; /* for zip_verify_block */
} zip_archive;

/* Reads the directory of the archive that fills [start, end) of src. Everything lives in `a`; there is nothing to
 * close. On a local source every local header is compared at once; on a remote one when its member is first read, so
 * that listing an archive takes two reads. */
tola_status zip_open(source *src, uint64_t start, uint64_t end, arena *a, zip_archive **out, tola_error *err);
/* Does the end of the archive, with its directory, lack? So it is with a download that was cut off. */
bool zip_is_cut(source *src, uint64_t start, uint64_t end);
zip_member *zip_find(const zip_archive *z, const char *name); /* NULL where there is none */
/* Compares the local header of `m` with the directory if that was not done yet. */
tola_status zip_check_member(const zip_archive *z, zip_member *m, tola_error *err);
/* The whole member, unpacked, its CRC compared. At most `limit` bytes. `*data` lives in `a`, with a NUL after it. */
tola_status zip_load(const zip_archive *z, zip_member *m, uint64_t limit, arena *a, const uint8_t **data,
                     tola_error *err);
/* Bytes [offset, offset + bytes) of the unpacked member; any thread. Reads of a deflated member that go forward, even
 * if several threads take turns out of step, cost one inflation altogether. */
tola_status zip_read(const zip_archive *z, zip_member *m, uint64_t offset, void *dst, size_t bytes, tola_error *err);

/* zip_inflate.c */
zip_inflater *zip_inflater_new(arena *a); /* NULL when out of memory */
tola_status zip_inflate_read(zip_inflater *f, source *src, const zip_member *m, uint64_t offset, void *dst,
                             size_t bytes, tola_error *err);

/* ---- checksums of what is read or written in blocks (zip_verify.c) ---- */

/* A checksummed run [offset, offset + bytes) of a member. */
typedef struct zip_run {
    uint64_t offset, bytes;
    uint32_t crc;
} zip_run;

typedef enum zip_run_result { ZIP_RUN_ADDED, ZIP_RUN_OVERLAP, ZIP_RUN_FULL } zip_run_result;
/* Puts a run into its place in a sorted list without neighbours that touch, joining it with those that do. */
zip_run_result zip_run_add(zip_run *runs, size_t *count, size_t cap, zip_run r);

/* What follows the first `start` bytes of a stored member, up to its end: a tensor, a .npy array behind its header. */
typedef struct zip_part {
    const zip_archive *zip;
    const zip_member *member;
    uint64_t start;
    uint32_t start_crc; /* of those first bytes */
} zip_part;

zip_verifier *zip_verifier_new(arena *a); /* NULL when out of memory */
/* Tells of a block that was read, `offset` counting from the part's start. TOLA_E_FORMAT with the block that completes
 * a member whose checksum is wrong. */
tola_status zip_verify_block(const zip_part *part, uint64_t offset, const void *data, size_t bytes, tola_error *err);

/* ---- writing: stored members, sizes known beforehand ---- */

typedef struct zip_writer zip_writer;

/* A layout is built member by member in file order. `alignment` is that of the payload, a power of two up to 4096. */
tola_status zip_writer_new(zip_writer **out, tola_error *err);
tola_status zip_writer_add(zip_writer *z, const char *name, uint64_t size, unsigned alignment, size_t *member,
                           tola_error *err);
/* Offsets are final as soon as a member was added. */
uint64_t zip_writer_data(const zip_writer *z, size_t member);
uint64_t zip_writer_total(const zip_writer *z); /* bytes of the whole file, directory included */
/* Tells the checksum of a block of a member's payload that was or will be written; any order, any thread, each byte
 * once. */
tola_status zip_writer_block(zip_writer *z, size_t member, uint64_t offset, const void *data, size_t bytes,
                             tola_error *err);
/* Writes local headers, directory and end record. TOLA_E_ARG where a member was not told of completely. */
tola_status zip_writer_finish(zip_writer *z, struct output_file *file, tola_error *err);
void zip_writer_free(zip_writer *z);

#endif
