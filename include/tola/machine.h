/* What the machine gives at best, to hold speeds against. */
#ifndef TOLA_MACHINE_H
#define TOLA_MACHINE_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_limit {
    TOLA_LIMIT_READ,       /* bytes a second, from memory, in the best of several ways */
    TOLA_LIMIT_F32,        /* operations a second, a multiplication and an addition being two: fused multiply-add */
    TOLA_LIMIT_BF16,       /* products of pairs in bf16, summed in f32 */
    TOLA_LIMIT_INT8,       /* products of fours in 8 bits, summed in 32 (VNNI, dot product) */
    TOLA_LIMIT_BF16_TILES, /* the same in tiles (AMX) */
    TOLA_LIMIT_INT8_TILES,
    TOLA_LIMIT_READ_PLAIN, /* bytes a second, from front to back, nothing asked for ahead: as most tools measure */
    TOLA_LIMIT_COUNT
} tola_limit;
TOLA_API const char *tola_limit_name(tola_limit limit); /* "read", "f32", ..., "read_plain" */

typedef struct tola_machine tola_machine;
/* Memory of `read_bytes` to be read, taken and touched; at least 1 MiB. */
TOLA_API TOLA_MUST_CHECK tola_status tola_machine_open(uint64_t read_bytes, tola_machine **out, tola_error *err);
TOLA_API void tola_machine_close(tola_machine *machine); /* NULL is fine */
/* One measurement of all limits with `threads` at once (0 = as many as there are processors): reading is the best of
 * several patterns over the whole memory, operations are loops over registers alone. 0 for what this processor lacks or
 * TOLA_CPU forbids. Takes a few tens of milliseconds and the time to read the memory ten times. */
TOLA_API TOLA_MUST_CHECK tola_status tola_machine_measure(tola_machine *machine, unsigned threads,
                                                          double out[TOLA_LIMIT_COUNT], tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
