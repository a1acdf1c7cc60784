/* Element types and the description of a tensor. */
#ifndef TOLA_TENSOR_H
#define TOLA_TENSOR_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Element types. The numbers are part of the ABI: new ones are appended.
 * Block types store `block_elements` elements in `block_bytes` bytes along the innermost dimension. */
typedef enum tola_dtype {
    TOLA_DTYPE_NONE = 0,
    TOLA_DTYPE_OPAQUE = 1, /* bytes whose meaning is not arithmetic: strings, structs, unknown block types */
    TOLA_DTYPE_BOOL = 2,   /* one byte, 0 or 1 */
    TOLA_DTYPE_U8 = 3,
    TOLA_DTYPE_I8 = 4,
    TOLA_DTYPE_U16 = 5,
    TOLA_DTYPE_I16 = 6,
    TOLA_DTYPE_U32 = 7,
    TOLA_DTYPE_I32 = 8,
    TOLA_DTYPE_U64 = 9,
    TOLA_DTYPE_I64 = 10,
    TOLA_DTYPE_U4 = 11, /* two to a byte, low nibble first */
    TOLA_DTYPE_I4 = 12,
    TOLA_DTYPE_U2 = 13, /* four to a byte, low bits first */
    TOLA_DTYPE_I2 = 14,
    TOLA_DTYPE_F64 = 16,
    TOLA_DTYPE_F32 = 17,
    TOLA_DTYPE_F16 = 18,
    TOLA_DTYPE_BF16 = 19,
    TOLA_DTYPE_F8_E4M3 = 20, /* OCP e4m3 "fn": no infinities, NaN = 0x7f / 0xff, largest 448 */
    TOLA_DTYPE_F8_E5M2 = 21,
    TOLA_DTYPE_F8_E4M3FNUZ = 22,
    TOLA_DTYPE_F8_E5M2FNUZ = 23,
    TOLA_DTYPE_F8_E8M0 = 24, /* a power of two: 2^(b-127), 0xff = NaN */
    TOLA_DTYPE_F6_E2M3 = 25, /* six bits each, packed least significant bit first */
    TOLA_DTYPE_F6_E3M2 = 26,
    TOLA_DTYPE_F4 = 27, /* e2m1, two to a byte, low nibble first */
    TOLA_DTYPE_C32 = 28, /* complex: two f16 */
    TOLA_DTYPE_C64 = 29, /* two f32 */
    TOLA_DTYPE_C128 = 30, /* two f64 */
    /* ggml block types; layouts in src/tensor/dtype.c */
    TOLA_DTYPE_Q4_0 = 32,
    TOLA_DTYPE_Q4_1 = 33,
    TOLA_DTYPE_Q5_0 = 34,
    TOLA_DTYPE_Q5_1 = 35,
    TOLA_DTYPE_Q8_0 = 36,
    TOLA_DTYPE_Q8_1 = 37,
    TOLA_DTYPE_Q2_K = 38,
    TOLA_DTYPE_Q3_K = 39,
    TOLA_DTYPE_Q4_K = 40,
    TOLA_DTYPE_Q5_K = 41,
    TOLA_DTYPE_Q6_K = 42,
    TOLA_DTYPE_Q8_K = 43,
    TOLA_DTYPE_IQ2_XXS = 44,
    TOLA_DTYPE_IQ2_XS = 45,
    TOLA_DTYPE_IQ3_XXS = 46,
    TOLA_DTYPE_IQ1_S = 47,
    TOLA_DTYPE_IQ4_NL = 48,
    TOLA_DTYPE_IQ3_S = 49,
    TOLA_DTYPE_IQ2_S = 50,
    TOLA_DTYPE_IQ4_XS = 51,
    TOLA_DTYPE_IQ1_M = 52,
    TOLA_DTYPE_TQ1_0 = 53,
    TOLA_DTYPE_TQ2_0 = 54,
    TOLA_DTYPE_MXFP4 = 55,
    TOLA_DTYPE_NVFP4 = 56,
    TOLA_DTYPE_Q1_0 = 57,
    TOLA_DTYPE_Q2_0 = 58,
    TOLA_DTYPE_COUNT = 59
} tola_dtype;

typedef enum tola_dtype_kind {
    TOLA_KIND_NONE = 0,
    TOLA_KIND_OPAQUE,
    TOLA_KIND_BOOL,
    TOLA_KIND_INT,
    TOLA_KIND_UINT,
    TOLA_KIND_FLOAT,
    TOLA_KIND_COMPLEX,
    TOLA_KIND_BLOCK
} tola_dtype_kind;

/* "f32", "bf16", "f8_e4m3", "q4_k", ...; "?" for a number that is none. Static storage. */
TOLA_API const char *tola_dtype_name(tola_dtype dtype);
/* Understands the names above and the field's others ("fp32", "float16", "half", "bfloat16", "int8", "F8_E4M3",
 * "double", ...), in any case. TOLA_DTYPE_NONE where the name says nothing. */
TOLA_API tola_dtype tola_dtype_parse(const char *name);
TOLA_API tola_dtype_kind tola_dtype_get_kind(tola_dtype dtype);
/* Elements and bytes of the smallest whole unit: 1 and 4 for f32, 2 and 1 for f4, 256 and 144 for q4_k. */
TOLA_API uint32_t tola_dtype_block_elements(tola_dtype dtype);
TOLA_API uint32_t tola_dtype_block_bytes(tola_dtype dtype);
/* Bits per element, scales included: 32 for f32, 4.5 for q4_0. */
TOLA_API double tola_dtype_bits(tola_dtype dtype);
/* Bytes that `elements` elements take, contiguous. TOLA_E_FORMAT where they do not fill whole blocks,
 * TOLA_E_LIMIT on overflow of 2^63. */
TOLA_API TOLA_MUST_CHECK tola_status tola_dtype_size(tola_dtype dtype, uint64_t elements, uint64_t *bytes);

#define TOLA_MAX_DIMS 64

enum {
    TOLA_TENSOR_SHARED = 1 << 0,    /* its storage holds other tensors of the same checkpoint too */
    TOLA_TENSOR_STRIDED = 1 << 1,   /* stored non-contiguously; reads gather it */
    TOLA_TENSOR_SWAPPED = 1 << 2,   /* stored big-endian; reads swap it */
    TOLA_TENSOR_PACKED = 1 << 3,    /* stored compressed inside its container (npz deflate); reads inflate it */
    TOLA_TENSOR_SPARSE = 1 << 4,    /* one part (indices, values, ...) of a sparse tensor */
    TOLA_TENSOR_QUANTIZED = 1 << 5, /* integer representation of a PyTorch quantized tensor */
    TOLA_TENSOR_PARAMETER = 1 << 6, /* known to be a trained parameter (torch.nn.Parameter) */
    TOLA_TENSOR_STATE = 1 << 7,     /* optimizer state or other bookkeeping, not a weight of the model */
    TOLA_TENSOR_MISSING = 1 << 8    /* named by the index, but its shard is not there: no dtype, shape or bytes */
};

/* One tensor of a checkpoint. Borrowed from the checkpoint until it is closed. */
typedef struct tola_tensor_info {
    const char *name;      /* UTF-8, NUL-terminated */
    const uint64_t *shape; /* n_dims extents, outermost first as PyTorch prints them; NULL where n_dims is 0 */
    uint64_t elements;     /* product of the shape; 1 for a scalar */
    uint64_t bytes;        /* what tola_checkpoint_read delivers: contiguous, row-major, little-endian */
    uint64_t offset;       /* where its first stored byte lies in `file`; TOLA_NO_OFFSET where it lies in no file */
    uint32_t file;         /* index for tola_checkpoint_file */
    uint32_t storage;      /* tensors with the same number share bytes; unique otherwise */
    uint32_t flags;        /* TOLA_TENSOR_... */
    uint16_t n_dims;
    uint16_t dtype;        /* tola_dtype */
} tola_tensor_info;

#ifdef __cplusplus
}
#endif
#endif
