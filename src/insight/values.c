/* Reading blocks of elements and turning them into numbers. */
#include "insight/values.h"

#include "base/err.h"
#include "base/mem.h"
#include "codecs/codec.h"

#define RAW_BYTES ((size_t)VALUES_BLOCK * 16) /* complex128 */
#define NUMBER_BYTES ((size_t)VALUES_BLOCK * 8)

values_scratch *values_scratch_new(unsigned workers) {
    values_scratch *s = mem_calloc(workers, sizeof *s);
    for (unsigned i = 0; s && i < workers; i++) {
        s[i].raw = mem_alloc_aligned(64, RAW_BYTES);
        s[i].numbers = mem_alloc_aligned(64, NUMBER_BYTES);
        if (!s[i].raw || !s[i].numbers) {
            values_scratch_free(s, workers);
            return NULL;
        }
    }
    return s;
}

void values_scratch_free(values_scratch *scratch, unsigned workers) {
    for (unsigned i = 0; scratch && i < workers; i++) {
        mem_free(scratch[i].raw);
        mem_free(scratch[i].numbers);
    }
    mem_free(scratch);
}

tola_status values_read(const tola_checkpoint *ck, size_t index, uint64_t first, size_t n, tola_dtype to,
                        values_scratch *scratch, const void **out, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, index);
    tola_dtype dtype = (tola_dtype)t->dtype;
    size_t per_block = tola_dtype_block_elements(dtype), block = tola_dtype_block_bytes(dtype);
    size_t blocks = n / per_block + (n % per_block != 0); /* the last byte of packed types may be filled up */
    TRY(tola_checkpoint_read(ck, index, first / per_block * block, scratch->raw, blocks * block, err));
    *out = scratch->raw;
    if (dtype == to) return TOLA_OK;
    tola_status status =
        codec_convert(dtype, to, scratch->raw, scratch->numbers, blocks * per_block, TOLA_OVERFLOW_IEEE, NULL);
    if (status != TOLA_OK) {
        err_set(err, status, TOLA_NO_OFFSET, "%s cannot be turned into numbers", tola_dtype_name(dtype));
        return err_in_tensor(err, status, t->name);
    }
    *out = scratch->numbers;
    return TOLA_OK;
}
