/* Delivering a tensor's bytes: contiguous, row-major, little-endian, whatever the storage. */
#include "formats/format.h"

#include <inttypes.h>
#include <string.h>

#include "base/secret.h"
#include "tensor/dtype.h"

#define LARGEST_UNIT 512 /* bytes of the largest block type and more */

/* ---- strided tensors ---- */

/* Element number `element` (row-major) lies this many elements behind element 0. */
static int64_t strided_place(const ck_tensor *t, uint64_t element) {
    int64_t place = 0;
    for (unsigned d = t->info.n_dims; d-- > 0;) {
        uint64_t extent = t->info.shape[d];
        place += (int64_t)(element % extent) * t->strides[d];
        element /= extent;
    }
    return place;
}

/* `count` elements from number `first` on. Runs along the innermost dimension are copied together where they touch. */
static tola_status read_strided(const tola_checkpoint *ck, const ck_tensor *t, uint64_t first, uint8_t *dst,
                                uint64_t count, unsigned unit, tola_error *err) {
    source *src = ck->files[t->info.file].src;
    const uint8_t *map = source_map(src);
    uint64_t inner = t->info.n_dims ? t->info.shape[t->info.n_dims - 1] : 1;
    int64_t step = t->info.n_dims ? t->strides[t->info.n_dims - 1] : 1;
    while (count) {
        uint64_t run = inner - first % inner;
        if (run > count) run = count;
        uint64_t at = t->info.offset + (uint64_t)(strided_place(t, first) * (int64_t)unit);
        if (step == 1) {
            TRY(source_read(src, at, dst, (size_t)(run * unit), err));
        } else {
            for (uint64_t i = 0; i < run; i++) {
                uint64_t place = at + (uint64_t)((int64_t)i * step * (int64_t)unit);
                if (map && place <= src->size && unit <= src->size - place)
                    memcpy(dst + i * unit, map + place, unit);
                else
                    TRY(source_read(src, place, dst + i * unit, unit, err));
            }
        }
        dst += run * unit;
        first += run;
        count -= run;
    }
    return TOLA_OK;
}

/* ---- whole units (elements or blocks) ---- */

static tola_status read_units(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                              unsigned unit, tola_error *err) {
    if (t->layout == CK_CUSTOM)
        TRY(t->read(ck, t, offset, dst, bytes, err));
    else if (t->layout == CK_STRIDED)
        TRY(read_strided(ck, t, offset / unit, dst, bytes / unit, unit, err));
    else
        TRY(source_read(ck->files[t->info.file].src, t->info.offset + offset, dst, bytes, err));
    if (t->layout == CK_PLAIN && t->seen) TRY(t->seen(ck, t, offset, dst, bytes, err));
    if ((t->info.flags & TOLA_TENSOR_SWAPPED) && !dtype_swap((tola_dtype)t->info.dtype, dst, bytes))
        return err_set(err, TOLA_E_UNSUPPORTED, t->info.offset, "big-endian %s is not understood",
                       tola_dtype_name((tola_dtype)t->info.dtype));
    return TOLA_OK;
}

/* Bytes [offset, offset + bytes) that need not begin or end with a unit. */
static tola_status read_any(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, uint8_t *dst, size_t bytes,
                            tola_error *err) {
    bool plain = t->layout == CK_PLAIN && !(t->info.flags & TOLA_TENSOR_SWAPPED);
    unsigned unit = dtype_get((tola_dtype)t->info.dtype)->block_bytes;
    if (plain || unit == 0 || t->info.dtype == TOLA_DTYPE_OPAQUE) unit = 1;
    uint8_t one[LARGEST_UNIT];
    while (bytes) {
        unsigned skip = (unsigned)(offset % unit);
        if (skip == 0 && bytes >= unit) {
            size_t whole = bytes - bytes % unit;
            TRY(read_units(ck, t, offset, dst, whole, unit, err));
            dst += whole;
            offset += whole;
            bytes -= whole;
            continue;
        }
        size_t part = unit - skip < bytes ? unit - skip : bytes;
        TRY(read_units(ck, t, offset - skip, one, unit, unit, err));
        memcpy(dst, one + skip, part);
        dst += part;
        offset += part;
        bytes -= part;
    }
    return TOLA_OK;
}

static tola_status in_place(const tola_checkpoint *ck, const ck_tensor *t, tola_status status, tola_error *err) {
    err_in_tensor(err, status, t->info.name);
    if (t->info.file < ck->file_count) err_in_file(err, status, ck->files[t->info.file].info.path);
    return status;
}

tola_status tola_checkpoint_read(const tola_checkpoint *ck, size_t index, uint64_t offset, void *dst, size_t bytes,
                                 tola_error *err) {
    if (index >= ck->tensor_count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "there is no tensor %zu", index);
    const ck_tensor *t = &ck->tensors[index];
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status;
    if (t->info.flags & TOLA_TENSOR_MISSING)
        status = err_set(&detail, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "its shard is missing");
    else if (offset > t->info.bytes || bytes > t->info.bytes - offset)
        status = err_set(&detail, TOLA_E_ARG, TOLA_NO_OFFSET,
                         "bytes %" PRIu64 " to %" PRIu64 " are wanted of %" PRIu64, offset, offset + bytes, t->info.bytes);
    else
        status = read_any(ck, t, offset, dst, bytes, &detail);
    if (status == TOLA_OK) return TOLA_OK;
    status = in_place(ck, t, status, &detail);
    if (err) *err = detail;
    return status;
}

/* ---- views ---- */

typedef struct view_owner {
    source *src; /* mapped: to be released */
    uint64_t offset, bytes;
    void *heap;
    void *secret; /* secret_map of `bytes` */
} view_owner;

tola_status tola_checkpoint_acquire(const tola_checkpoint *ck, size_t index, tola_view *view, tola_error *err) {
    if (index >= ck->tensor_count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "there is no tensor %zu", index);
    const ck_tensor *t = &ck->tensors[index];
    view_owner *owner = mem_calloc(1, sizeof *owner);
    if (!owner) return err_nomem(err, "acquiring a tensor");
    if (t->layout == CK_PLAIN && !(t->info.flags & (TOLA_TENSOR_SWAPPED | TOLA_TENSOR_MISSING))) {
        source *src = ck->files[t->info.file].src;
        const uint8_t *map = source_map(src);
        if (map) {
            *owner = (view_owner){ src, t->info.offset, t->info.bytes, NULL, NULL };
            *view = (tola_view){ map + t->info.offset, (size_t)t->info.bytes, owner };
            return TOLA_OK;
        }
    }
    tola_status status = TOLA_E_NOMEM;
    const bool fits = t->info.bytes <= SIZE_MAX / 2;
    owner->bytes = t->info.bytes;
    if (fits && tola_checkpoint_encrypted(ck))
        owner->secret = secret_map((size_t)t->info.bytes);
    else if (fits)
        owner->heap = mem_alloc_aligned(64, (size_t)t->info.bytes);
    void *data = owner->secret ? owner->secret : owner->heap;
    if (!data) {
        err_set(err, TOLA_E_NOMEM, TOLA_NO_OFFSET, "%" PRIu64 " bytes do not fit into memory", t->info.bytes);
        in_place(ck, t, status, err);
    } else {
        status = tola_checkpoint_read(ck, index, 0, data, (size_t)t->info.bytes, err);
    }
    if (status != TOLA_OK) {
        secret_unmap(owner->secret, (size_t)owner->bytes);
        mem_free(owner->heap);
        mem_free(owner);
        return status;
    }
    *view = (tola_view){ data, (size_t)t->info.bytes, owner };
    return TOLA_OK;
}

void tola_view_release(tola_view *view) {
    if (!view || !view->owner) return;
    view_owner *owner = view->owner;
    if (owner->src) source_release(owner->src, owner->offset, owner->bytes);
    secret_unmap(owner->secret, (size_t)owner->bytes);
    mem_free(owner->heap);
    mem_free(owner);
    *view = (tola_view){ NULL, 0, NULL };
}
