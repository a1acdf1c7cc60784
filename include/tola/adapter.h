/* LoRA adapters: folding them into the weights of a model. Running with them is tola/run.h, making them
 * tola/finetune.h. */
#ifndef TOLA_ADAPTER_H
#define TOLA_ADAPTER_H

#include <tola/run.h>
#include <tola/transform.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes `model` with the adapters' changes in its weights: w + scale B A, one adapter after the other, summed in f32
 * and rounded once to the dtype of the tensor; with DoRA's magnitudes m / ||w + scale B A|| * (w + scale B A). Tensors
 * of block types are decoded, changed and encoded again as the same type; matrices that GPTQ and its kin keep in
 * several tensors are written decoded, with a warning. Everything else as tola_convert, by the same options.
 *
 * TOLA_E_FORMAT where an adapter does not fit (which tensor), TOLA_E_UNSUPPORTED where the model keeps no tensor that
 * the change could go into (the output matrix of a model that has none of its own). Needs the adapters in memory, as
 * f32. */
TOLA_API TOLA_MUST_CHECK tola_status tola_merge_adapters(const tola_checkpoint *model, const tola_adapter *adapters,
                                                         size_t count, const char *path,
                                                         const tola_convert_options *options,
                                                         tola_convert_summary *summary, tola_error *err);

/* Writes an adapter in the other layout: a path that ends in ".gguf" is llama.cpp's file, anything else PEFT's folder.
 * `model` is the one that the adapter was made for, in either layout: it says which weights there are and how their
 * rows are ordered. Values stay f32; where GGUF's one alpha cannot say each pair's scale, B takes up the difference.
 * TOLA_E_UNSUPPORTED for magnitudes (DoRA), which GGUF has no place for. */
TOLA_API TOLA_MUST_CHECK tola_status tola_convert_adapter(const tola_checkpoint *adapter, const tola_checkpoint *model,
                                                          const char *path, bool overwrite, tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
