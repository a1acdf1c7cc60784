/* Block types: any bytes decode, alike on every instruction set and within bounds; any f32 weights encode, with any
 * importance, into blocks that decode to finite numbers.
 *
 * Input: a byte that chooses the type, a byte that chooses what is done, then blocks or f32 numbers. */
#include "codecs/codec.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/quantize/quantize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096, ROW = 512 }; /* elements */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void decode(tola_dtype type, const uint8_t *data, size_t bytes) {
    size_t n = bytes / tola_dtype_block_bytes(type) * tola_dtype_block_elements(type);
    if (n > MOST) n = MOST / tola_dtype_block_elements(type) * tola_dtype_block_elements(type);
    float *own = malloc(n * 4 + 1), *scalar = malloc(n * 4 + 1);
    uint16_t *half = malloc(n * 2 + 1);
    if (!own || !scalar || !half) abort();
    dequantize_get(type)(data, own, n);
    dequantize_get_scalar(type)(data, scalar, n);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&own[i], &scalar[i], 4) != 0 && (own[i] == own[i] || scalar[i] == scalar[i])) abort();
    if (codec_convert(type, TOLA_DTYPE_BF16, data, half, n, TOLA_OVERFLOW_SATURATE, NULL) != TOLA_OK) abort();
    free(own);
    free(scalar);
    free(half);
}

static void encode(tola_dtype type, const uint8_t *data, size_t bytes, bool weighted) {
    float row[ROW], importance[ROW], back[ROW];
    size_t n = tola_dtype_block_elements(type), stored;
    while (n < ROW && n * 4 < bytes) n *= 2;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = 0;
        size_t at = i * 4 % (bytes + 1);
        memcpy(&u, data + at, bytes - at < 4 ? bytes - at : 4);
        memcpy(&row[i], &u, 4);
        u = (u * 2654435761u & 0x7fffffff) >> 1; /* below infinity */
        memcpy(&importance[i], &u, 4);
        if (importance[i] > 1e12f) importance[i] = 0; /* what an importance matrix may hold is not without bounds */
    }
    stored = n / tola_dtype_block_elements(type) * tola_dtype_block_bytes(type);
    uint8_t *blocks = malloc(stored);
    if (!blocks) abort();
    codec_faults faults = { 0, 0, 0 };
    if (codec_quantize(type, row, blocks, n, weighted ? importance : NULL, &faults) != TOLA_OK) abort();
    if (faults.nans + faults.infinities + faults.clamped > n) abort();
    dequantize_get(type)(blocks, back, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(back[i])) abort();
    free(blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 2) return 0;
    tola_dtype type = (tola_dtype)(data[0] % TOLA_DTYPE_COUNT);
    if (tola_dtype_get_kind(type) != TOLA_KIND_BLOCK) return 0;
    if (data[1] % 4 < 2) decode(type, data + 2, bytes - 2);
    else if (quantize_get(type)) encode(type, data + 2, bytes - 2, data[1] % 4 == 3);
    return 0;
}
