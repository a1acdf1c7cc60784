/* The logical view: a checkpoint over another one, in which each matrix that a scheme keeps as several tensors is one
 * f32 tensor called "<module>.weight" of shape [rows, cols], decoded when it is read, and everything else is as it was.
 *
 * Which matrices: those that the configuration's quantization_config (or the names and dtypes of a group of tensors)
 * shows to be under a scheme. Resident memory of a read is the parts of one matrix. */
#ifndef FORMATS_LOGICAL_H
#define FORMATS_LOGICAL_H

#include <tola/checkpoint.h>

/* *out is a new checkpoint that borrows `in` (which must outlive it) and is closed with tola_checkpoint_close, or NULL
 * where no tensor of `in` is under a scheme. TOLA_E_FORMAT where parts contradict each other (tensor named),
 * TOLA_E_UNSUPPORTED for a scheme that is named but not known. */
tola_status logical_open(const tola_checkpoint *in, tola_checkpoint **out, tola_error *err);

/* The quantization_config (or what stands for it) of a configuration; NULL where there is none. */
const tola_value *logical_config(const tola_value *config);

/* The dtype that the matrix was computed in before it was quantized (scales' dtype), NONE for a tensor that is not
 * decoded: what convert writes where no dtype is asked for. */
tola_dtype logical_dtype(const tola_checkpoint *view, size_t index);

#endif
