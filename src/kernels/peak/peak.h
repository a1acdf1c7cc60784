/* The most that a processor does: loops of independent instructions over registers, and reading memory in several ways.
 *
 * Nothing here computes anything that is wanted; speeds are held against these. */
#ifndef KERNELS_PEAK_H
#define KERNELS_PEAK_H

#include <stddef.h>
#include <stdint.h>

typedef enum peak_kind { PEAK_F32 = 0, PEAK_BF16, PEAK_INT8, PEAK_BF16_TILES, PEAK_INT8_TILES, PEAK_KINDS } peak_kind;

typedef struct peak_loop {
    void (*run)(size_t rounds); /* at least 1 */
    double operations;          /* of a round; a multiplication and an addition are two */
} peak_loop;

/* NULL where the processor lacks the instructions, or TOLA_CPU forbids them. */
const peak_loop *peak_loop_get(peak_kind kind);

enum { PEAK_PLAIN, PEAK_PATTERNS = 5 }; /* from front to back with nothing asked for ahead; how many there are */
enum { PEAK_LINE = 4096 };              /* bytes: what is read is a multiple of it */
/* Reads `bytes` (a multiple of 16 * PEAK_LINE; aligned to 64) from front to back or in streams; the sum of all words.
 */
uint64_t peak_read(unsigned pattern, const void *data, size_t bytes);

typedef uint64_t (*peak_read_fn)(const char *p, size_t bytes, size_t streams, size_t ahead);
uint64_t peak_read_plain(const char *p, size_t bytes, size_t streams, size_t ahead);
uint64_t peak_read_avx2(const char *p, size_t bytes, size_t streams, size_t ahead);
uint64_t peak_read_avx512(const char *p, size_t bytes, size_t streams, size_t ahead);

#endif
