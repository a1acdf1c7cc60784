/* See overlay.h. */
#include "formats/overlay.h"

#include <string.h>

#include "codecs/codec.h"
#include "formats/open.h"

#define BLOCK_ELEMENTS ((uint64_t)1 << 16) /* made at a time: a multiple of all block types' */

typedef struct overlay {
    overlay_read_fn read;
    void *user;
} overlay;

typedef struct overlaid {
    const overlay *o;
    size_t tensor;
} overlaid;

static tola_status read_overlaid(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst,
                                 size_t bytes, tola_error *err) {
    (void)ck;
    const overlaid *x = t->context;
    tola_dtype dtype = (tola_dtype)t->info.dtype;
    uint32_t unit = tola_dtype_block_elements(dtype), unit_bytes = tola_dtype_block_bytes(dtype);
    uint64_t first = offset / unit_bytes * unit, left = (uint64_t)(bytes / unit_bytes) * unit;
    uint64_t most = left < BLOCK_ELEMENTS ? left : BLOCK_ELEMENTS;
    float *values = mem_alloc_aligned(64, (size_t)(most + 1) * sizeof *values);
    if (!values) return err_nomem(err, "reading changed weights");
    tola_status status = TOLA_OK;
    for (uint8_t *to = dst; left && status == TOLA_OK;) {
        uint64_t count = left < most ? left : most;
        status = x->o->read(x->o->user, x->tensor, first, count, values, err);
        if (status == TOLA_OK)
            status = codec_convert(TOLA_DTYPE_F32, dtype, values, to, (size_t)count, TOLA_OVERFLOW_IEEE, NULL);
        to += count / unit * unit_bytes;
        first += count;
        left -= count;
    }
    mem_free(values);
    return status;
}

static tola_status add(tola_checkpoint *out, const tola_checkpoint *in, size_t index, tola_dtype dtype,
                       const overlay *o, tola_error *err) {
    const tola_tensor_info *t = &in->tensors[index].info;
    overlaid *x = arena_alloc(&out->arena, sizeof *x);
    if (!x) return err_nomem(err, "opening changed weights");
    *x = (overlaid){ o, index };
    return ck_add_tensor(out,
                         &(ck_add){ .name = t->name,
                                    .name_length = strlen(t->name),
                                    .shape = t->shape,
                                    .n_dims = t->n_dims,
                                    .dtype = dtype,
                                    .file = t->file,
                                    .offset = t->offset,
                                    .flags = t->flags & TOLA_TENSOR_PARAMETER,
                                    .read = read_overlaid,
                                    .context = x },
                         err);
}

static tola_status fill(tola_checkpoint *out, const tola_checkpoint *in, const tola_dtype *dtypes, const overlay *o,
                        tola_error *err) {
    uint32_t own = out->next_storage; /* the order of tensors stays, so what will have been taken is counted first */
    for (size_t i = 0; i < in->tensor_count; i++) own += dtypes[i] != TOLA_DTYPE_NONE;
    for (size_t i = 0; i < in->tensor_count; i++) {
        if (dtypes[i] != TOLA_DTYPE_NONE)
            TRY(add(out, in, i, dtypes[i], o, err));
        else
            TRY(ck_pass_on(out, in, i, own, err));
    }
    return ck_finish_over(out, in, err);
}

tola_status overlay_open(const tola_checkpoint *in, const tola_dtype *dtypes, overlay_read_fn read, void *user,
                         tola_checkpoint **out, tola_error *err) {
    tola_checkpoint *ck;
    TRY(ck_create_over(in, &ck, err));
    overlay *o = arena_alloc(&ck->arena, sizeof *o);
    tola_status status = o ? TOLA_OK : err_nomem(err, "opening changed weights");
    if (o) *o = (overlay){ read, user };
    if (status == TOLA_OK) status = fill(ck, in, dtypes, o, err);
    if (status != TOLA_OK) {
        tola_checkpoint_close(ck);
        return status;
    }
    *out = ck;
    return TOLA_OK;
}
