/* The header of a .npy array (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), shared by .npy
 * files, members of .npz archives and arrays inside pickles. */
#ifndef FORMATS_NPY_H
#define FORMATS_NPY_H

#include "base/mem.h"
#include "formats/format.h"
#include "formats/zip.h"

#define NPY_MAX_HEADER (1u << 20) /* numpy itself reads 10,000 bytes unless told to trust the file */
#define NPY_MAX_DEPTH 16          /* nesting of a structured dtype */
#define NPY_NAME "arr_0"          /* of the array in a .npy file: what numpy.savez calls an array without a name */

/* An element type in numpy's words. */
typedef struct npy_type {
    tola_dtype dtype;    /* TOLA_DTYPE_OPAQUE for strings, dates, records and types that only numpy has */
    uint64_t item_bytes; /* at most 2^31 */
    bool swapped;        /* big-endian numbers */
} npy_type;

typedef struct npy_header {
    npy_type type;
    bool fortran;
    unsigned n_dims;
    uint64_t shape[TOLA_MAX_DIMS];
    uint64_t bytes; /* of the header: where the data begin */
} npy_header;

/* "<f4", "|b1", ">i8", "|V2", ... Objects ("|O") are TOLA_E_UNSAFE: they are pickles. */
tola_status npy_parse_type(const char *text, size_t length, npy_type *out, tola_error *err);
/* Bytes of magic number, version and length field; then of the whole header, from its first NPY_PREFIX bytes. */
#define NPY_PREFIX 12
tola_status npy_header_bytes(const uint8_t prefix[NPY_PREFIX], size_t available, uint64_t *bytes, tola_error *err);
/* Parses a whole header. Offsets in errors count from its beginning. */
tola_status npy_parse_header(const uint8_t *data, uint64_t bytes, npy_header *out, tola_error *err);
/* Overflow-checked bytes of the array. */
tola_status npy_data_bytes(const npy_header *h, uint64_t *bytes, tola_error *err);
/* Is it stored in another order than row-major? */
bool npy_is_strided(const npy_header *h);
/* Element strides of a Fortran-ordered array. */
void npy_fortran_strides(const npy_header *h, int64_t strides[TOLA_MAX_DIMS]);
/* Fills in everything but name, file, offset and layout. */
void npy_describe(const npy_header *h, uint64_t bytes, ck_add *add);

/* numpy's name of an element type ("<f4"), NULL where it has none. */
const char *npy_descr(tola_dtype dtype);
/* Appends a header, padded with spaces so that the data begin at a multiple of 64. */
void npy_build_header(buf *out, tola_dtype dtype, const uint64_t *shape, unsigned n_dims);

/* Adds the array of a .npy file or an uncompressed member, whose bytes are [start, end) of files[file]. */
/* `zip` and `member` are given for a member, so that its checksum is compared as it is read; otherwise NULL. */
tola_status npy_add(tola_checkpoint *ck, uint32_t file, uint64_t start, uint64_t end, const char *name,
                    size_t name_length, const zip_archive *zip, const zip_member *member, tola_error *err);
/* npz.c, for zip archives that turn out to hold arrays. */
tola_status npz_add_members(tola_checkpoint *ck, uint32_t file, zip_archive *z, tola_error *err);
bool npz_holds_arrays(const zip_archive *z);

#endif
