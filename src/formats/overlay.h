/* A checkpoint over another one in which some tensors have other values: what training or merging made of them. Names,
 * shapes, metadata, configuration and companions are those of the one below, so that converting, quantizing and writing
 * need not know of it.
 *
 * Resident memory: a block of f32 for each thread that reads. */
#ifndef FORMATS_OVERLAY_H
#define FORMATS_OVERLAY_H

#include <tola/checkpoint.h>

/* Elements [first, first + count) of tensor `tensor` of the checkpoint below, in row-major order, as f32. Any thread.
 */
typedef tola_status (*overlay_read_fn)(void *user, size_t tensor, uint64_t first, uint64_t count, float *dst,
                                       tola_error *err);

/* dtypes[i]: what tensor i of `in` is seen as, anything that codecs make of f32, block types included; TOLA_DTYPE_NONE:
 * the tensor is as it was. Borrows `in` and `user`; `dtypes` is copied. Closed with tola_checkpoint_close. */
tola_status overlay_open(const tola_checkpoint *in, const tola_dtype *dtypes, overlay_read_fn read, void *user,
                         tola_checkpoint **out, tola_error *err);

#endif
