/* The logical view: a checkpoint over another one, in which each matrix that a scheme keeps as several tensors is one
 * tensor called "<module>.weight" of shape [rows, cols] (or [matrices, rows, cols]), decoded when it is read, and
 * everything else is as it was.
 *
 * Which matrices: those that the quantization_config of the configuration or of a file's metadata, or without one the
 * names, dtypes and shapes of a module's tensors, show to be under a scheme. Resident memory: the parts of the few
 * matrices being read. */
#ifndef FORMATS_LOGICAL_H
#define FORMATS_LOGICAL_H

#include <tola/checkpoint.h>

typedef enum logical_precision {
    LOGICAL_EXACT, /* f32, every product of code and scale as it is */
    LOGICAL_MODEL  /* rounded to the type that the model computes in, as its scales or its configuration say */
} logical_precision;

/* *out is a new checkpoint that borrows `in` (which must outlive it) and is closed with tola_checkpoint_close; NULL
 * where no tensor of `in` is under a scheme. TOLA_E_FORMAT where parts contradict each other (tensor named),
 * TOLA_E_UNSUPPORTED for a scheme that is named but not known. */
tola_status logical_open(const tola_checkpoint *in, logical_precision precision, tola_checkpoint **out,
                         tola_error *err);

/* The same, but the view takes *ck over and takes its place; *ck stays where no tensor is under a scheme. */
tola_status logical_replace(tola_checkpoint **ck, logical_precision precision, tola_error *err);

/* The quantization_config (or what stands for it) of a configuration; NULL where there is none. */
const tola_value *logical_config(const tola_value *config);

#endif
