/* Schemes: one weight matrix kept as several tensors (GPTQ, AWQ, compressed-tensors, bitsandbytes, MLX, FP8 with block
 * scales, ...). A scheme knows names' endings, shapes and bits; where the bytes come from and go to is others'
 * business: formats/logical.h reads checkpoints through schemes, transform/ writes them.
 *
 * The matrix is logical [rows, cols] as PyTorch's nn.Linear keeps it: rows = out_features, cols = in_features.
 * Decoded values are f32, exact wherever code x scale is (16-bit scales). */
#ifndef CODECS_SCHEME_H
#define CODECS_SCHEME_H

#include <tola/json.h>
#include "base/mem.h"
#include <tola/tensor.h>
#include <tola/value.h>

#define SCHEME_MAX_PARTS 14
#define SCHEME_MAX_SMALL 65536 /* bytes of a part that `open` reads: a shape, a few lines of JSON */

typedef enum scheme_code { /* what one stored code is */
    SCHEME_CODE_ANY, /* reading: the parts tell */
    SCHEME_INT, /* `bits` bits, linear: w = (q - zero) * scale */
    SCHEME_FLOAT, /* params.element: f8_e4m3, f8_e5m2, f6_e2m3, f6_e3m2, f4 */
    SCHEME_NF4,
    SCHEME_FP4 /* bitsandbytes' own FP4 codebook */
} scheme_code;

typedef enum scheme_grain {
    SCHEME_GRAIN_ANY, /* reading: the parts tell */
    SCHEME_PER_TENSOR,
    SCHEME_PER_CHANNEL,
    SCHEME_PER_GROUP,
    SCHEME_PER_BLOCK
} scheme_grain;

/* What a configuration (quantization_config) or a command line says. Reading, 0 stands for what the configuration
 * leaves open or says differently of several modules; `open` fills it in from the parts. */
typedef struct scheme_params {
    uint8_t code;    /* scheme_code */
    uint8_t bits;    /* 1 .. 8 */
    uint8_t grain;   /* scheme_grain */
    bool symmetric;  /* no zero points */
    bool double_quant; /* scales are quantized themselves (bitsandbytes nested) */
    uint8_t version; /* of the layout: GPTQ 1 or 2, AWQ gemm */
    tola_dtype element;
    tola_dtype scale;  /* dtype of scales as stored */
    tola_dtype logical; /* dtype that the model computes in (f16, bf16, f32): what dequantized tensors are written as */
    uint32_t group;  /* elements along cols that share a scale; the block length of NF4 */
    uint32_t block_rows, block_cols; /* SCHEME_PER_BLOCK */
} scheme_params;

typedef struct scheme_part {
    tola_dtype dtype; /* TOLA_DTYPE_NONE: this part is absent */
    uint16_t n_dims;
    uint64_t shape[4];
    uint64_t bytes;
} scheme_part;

/* One matrix under a scheme. */
typedef struct scheme_layout {
    scheme_params params;
    uint64_t rows, cols; /* rows of all matrices together where there are several */
    uint64_t matrices;   /* of one tensor: experts stacked in front, [matrices, rows / matrices, cols]; 1 mostly */
    scheme_part parts[SCHEME_MAX_PARTS]; /* in the order of scheme.suffixes */
    /* Rows that are encoded together: `encode` takes whole units, but for the last rows. At least 1. */
    uint64_t row_unit;
    bool two_passes; /* set by `plan`: encoding needs `measure` over all rows first */
    const void *small[SCHEME_MAX_PARTS]; /* for `open` only: bytes of the parts that scheme.small_parts names */
} scheme_layout;

/* Receives bytes of a part while a matrix is encoded; each byte exactly once, any order. */
typedef tola_status (*scheme_sink)(void *user, unsigned part, uint64_t offset, const void *data, size_t bytes,
                                   tola_error *err);

typedef struct scheme {
    const char *name; /* "gptq" */
    /* Endings of the tensors' names after the module's and a dot ("model.layers.0.mlp.up_proj" "." "qweight"), NULL at
     * the end. Parts that describe activations belong to the matrix, too; nothing reads them. */
    const char *const suffixes[SCHEME_MAX_PARTS + 1];
    uint32_t small_parts; /* bit i: `open` needs the bytes of part i where it is there, at most SCHEME_MAX_SMALL */
    /* The endings follow "_" instead, and the matrix is called what precedes it, without ".weight" (gpt-oss:
     * "mlp.experts.down_proj" "_" "blocks"). */
    bool bare;

    /* ---- reading ---- */
    /* Does this quantization_config describe the scheme? Fills *params; TOLA_E_NOT_FOUND where it is another's,
     * TOLA_E_UNSUPPORTED where it asks for what is not known (the message says what). config NULL: TOLA_OK where `open`
     * can tell a matrix of this scheme by its parts alone, else TOLA_E_NOT_FOUND. */
    tola_status (*recognize)(const tola_value *config, scheme_params *params, tola_error *err);
    /* What the configuration says of one module beyond that; NULL where it says the same of all. TOLA_E_NOT_FOUND where
     * it leaves this module alone. */
    tola_status (*module)(const tola_value *config, const char *module, scheme_params *params, tola_error *err);
    /* Given the parts that are there: checks dtypes and shapes against params (bits that shapes give away need not be
     * in the configuration), fills rows, cols and matrices. TOLA_E_NOT_FOUND where these parts are no matrix of this
     * scheme (a plain weight with its bias). */
    tola_status (*open)(scheme_layout *layout, tola_error *err);
    /* Rows [first, first + count) as f32, row-major, from the whole parts in memory (NULL where absent; may be
     * unaligned). Codes out of range (a g_idx beyond the groups) are an error that names the place. */
    tola_status (*decode)(const scheme_layout *layout, const void *const data[SCHEME_MAX_PARTS], uint64_t first,
                          uint64_t count, float *dst, tola_error *err);

    /* ---- writing; NULL where a scheme is only read ---- */
    /* Fills parts from params, rows, cols. TOLA_E_FORMAT where the matrix does not fit (cols not a multiple of the
     * group, ...): the caller then keeps the tensor unquantized and says so. */
    tola_status (*plan)(scheme_layout *layout, tola_error *err);
    /* Bytes of state that encoding one matrix needs beyond its rows; zeroed by the caller. */
    size_t (*state_bytes)(const scheme_layout *layout);
    /* A first pass over all rows, in any order, one call at a time for each state, where layout->two_passes; NULL where
     * that is never so. */
    tola_status (*measure)(const scheme_layout *layout, void *state, const float *rows, uint64_t first,
                           uint64_t count, tola_error *err);
    /* Encodes rows, any order, several threads at once on one state: `first` is a multiple of row_unit, and `count` is
     * one, too, or reaches the last row. Values are finite. importance: cols weights, or NULL. */
    tola_status (*encode)(const scheme_layout *layout, void *state, const float *rows, uint64_t first, uint64_t count,
                          const float *importance, scheme_sink sink, void *user, tola_error *err);
    /* After all rows: parts that need all of them (nested scales, weight_shape). NULL where there are none. */
    tola_status (*finish)(const scheme_layout *layout, void *state, scheme_sink sink, void *user, tola_error *err);
    /* The quantization_config object for config.json; `ignore` lists modules that stay unquantized. */
    void (*write_config)(const scheme_params *params, const char *const *ignore, size_t ignored, tola_json *out);
} scheme;

extern const scheme scheme_gptq, scheme_awq, scheme_mlx, scheme_compressed, scheme_bnb, scheme_fp8, scheme_mxfp4;
extern const scheme *const scheme_table[]; /* all of them, NULL at the end */

/* The scheme that writes a type, and its usual parameters (params->logical is left NONE: the caller says what scales
 * and dequantized weights are kept in): int8 .. int1 (symmetric, groups of 128), fp8 (DeepSeek's blocks), f8_e4m3 per
 * channel, mxfp8, mxfp6, mxfp4, nvfp4, nf4, fp4. NULL where `type` is none of these. */
const scheme *scheme_for_type(const char *type, scheme_params *params);

#endif
