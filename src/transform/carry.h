/* What a conversion carries over beside the tensors: metadata, and the small files of a Hugging Face folder.
 *
 * Decides what is kept; how a format spells it is the writer's business. */
#ifndef TRANSFORM_CARRY_H
#define TRANSFORM_CARRY_H

#include "base/mem.h"
#include <tola/transform.h>

#define CARRY_MAX_VALUES                                                                                               \
    1024 /* values in one entry that a format not made for it still takes (a vocabulary has more) */

/* The map for tola_write_options.metadata; its entries are borrowed from `in`, the map lives in `a`.
 *   safetensors -> safetensors: everything as it is.
 *   GGUF -> GGUF: everything but split.* (the writer makes its own); general.file_type follows `dtype`.
 *   otherwise: everything but entries of more than CARRY_MAX_VALUES values, which are counted in *dropped; and
 *   "format", which says for which library a safetensors file was written, stays with safetensors: "pt" where the
 *   source did not say. npz has no place for metadata: *dropped counts all of it. */
tola_status carry_metadata(const tola_checkpoint *in, const char *to_format, tola_dtype dtype, arena *a,
                           tola_value *out, uint64_t *dropped, tola_error *err);

/* For weights that stay quantized and lose the config.json around them: its quantization_config as JSON text among the
 * metadata, where logical_open looks for it; one more in *dropped where `to_format` has no place for it. */
tola_status carry_quantization(const tola_checkpoint *in, const char *to_format, arena *a, tola_value *metadata,
                               uint64_t *dropped, tola_error *err);

/* Copies configuration, tokenizer, chat template, model card and licence from beside the weights of `in` into the
 * output folder of `writer`; in config.json the weights' dtype follows `dtype` (NONE: stays), and with `decoded` it no
 * longer says that the weights are quantized. */
tola_status carry_companions(const tola_checkpoint *in, tola_writer *writer, tola_dtype dtype, bool decoded,
                             const char *quantization, tola_error *err);

/* config.json with "quantization_config": `quantization` (JSON text) at its end, in the place of one that it has. */
tola_status carry_config_quantized(const char *text, size_t length, const char *quantization, buf *out,
                                   tola_error *err);

/* config.json with torch_dtype (or dtype) saying `dtype`, everything else byte for byte; appended to `out`. The text
 * is taken as it is where it says no dtype, where PyTorch has no name for `dtype`, or where it is no JSON. */
tola_status carry_config(const char *text, size_t length, tola_dtype dtype, buf *out, tola_error *err);

/* config.json without quantization_config and what other programs call it, everything else byte for byte; appended to
 * `out`. text[length] is 0. The text is taken as it is where it is no JSON. */
tola_status carry_config_decoded(const char *text, size_t length, buf *out, tola_error *err);

#endif
