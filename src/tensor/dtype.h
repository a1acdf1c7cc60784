/* The table of element types, for rooms that need more than include/tola/tensor.h says. */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <tola/tensor.h>

/* Multi-byte numbers inside one block that change places between byte orders: `count` numbers of `width` bytes. */
typedef struct dtype_field {
    uint8_t width;
    uint8_t count;
    uint16_t offset;
} dtype_field;

typedef struct dtype_row {
    const char *name;
    uint8_t kind;       /* tola_dtype_kind */
    uint8_t swap_known; /* fields[] is complete (possibly empty); 0: byte order cannot be changed */
    uint16_t block_elements;
    uint16_t block_bytes;
    const char *safetensors; /* its name in a safetensors header; NULL where it has none */
    int16_t ggml;            /* its ggml type id; -1 where it has none */
    dtype_field fields[2];
} dtype_row;

/* The row of a type; that of TOLA_DTYPE_NONE for numbers that are none. */
const dtype_row *dtype_get(tola_dtype dtype);
/* TOLA_DTYPE_NONE where no type has that name / id. */
tola_dtype dtype_from_safetensors(const char *name, size_t length);
tola_dtype dtype_from_ggml(uint32_t id);
/* Reverses the byte order of every number of `bytes` bytes (whole blocks) in place; false where that isn't known. */
bool dtype_swap(tola_dtype dtype, void *data, size_t bytes);

#endif
