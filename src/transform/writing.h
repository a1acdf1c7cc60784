/* What every job that writes a checkpoint does around its streaming pass: finding the format, making the plan (between
 * Hugging Face's and GGUF's words for families that are known, names as they are for everything else), opening the
 * output, what goes beside the weights, and making it durable. Convert and quantize differ in what they do to the plan
 * between writing_plan and writing_open. */
#ifndef TRANSFORM_WRITING_H
#define TRANSFORM_WRITING_H

#include "families/hf_gguf.h"
#include "formats/format.h"
#include "transform/plan.h"

typedef struct writing {
    const tola_checkpoint *in; /* after writing_plan: the weights that are written, maybe `view` */
    tola_checkpoint *view;     /* of an input that keeps matrices as several tensors, where they are decoded; or NULL */
    bool decode_exact;         /* set before writing_plan: decode those matrices, to f32, whatever is written */
    const char *path;
    tola_convert_options options;
    tola_write_options write;
    const writer_format *format;
    hf_gguf_plan *mapped; /* NULL: names are kept */
    plan plan;
    tola_value metadata;
    const char *quantization; /* JSON text for config.json's quantization_config, NULL where nothing is to be said */
} writing;

/* `options` is complete (options_take) and borrowed with `in` and `path`. writing_free is always fine afterwards. */
tola_status writing_init(writing *w, const tola_checkpoint *in, const char *path, const tola_convert_options *options,
                         tola_error *err);
void writing_free(writing *w);

/* Finds the format, refuses outputs that clash with the input, works out which tensors there will be and the metadata.
 * Matrices that the input keeps as several tensors (GPTQ and its kin) are decoded where names are mapped, a dtype is
 * asked for, or decode_exact says so; otherwise those tensors are copied.
 * The plan is not finished: dtypes are still the input's. */
tola_status writing_plan(writing *w, tola_error *err);
/* The finished plan's tensors as a writer that has laid out its files. */
tola_status writing_open(writing *w, tola_writer **out, tola_error *err);
/* How many bytes its files would have; nothing is created. */
tola_status writing_measure(writing *w, uint64_t *bytes, uint64_t *files, tola_error *err);
/* Writes what lies beside the weights, before the long part, so that a clash shows at once. */
tola_status writing_companions(const writing *w, tola_writer *writer, tola_error *err);
/* Waits for what was written to reach the disk, watched and cancellable where there is a progress callback. */
tola_status writing_settle(const writing *w, tola_writer *writer, tola_error *err);
/* Files that hold weights; at least 1. */
uint64_t writing_files(const tola_writer *writer);
void writing_warn(const writing *w, const char *message);

#endif
