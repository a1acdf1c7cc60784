/* SHA-256 (FIPS 180-4) by the processor's own instructions, for one input or two at once: the rounds of one wait for
 * each other, those of two fill each other's gaps, so that a core hashes two files a third faster than one after the
 * other.
 *
 * Whole blocks only; sha256_lane_end adds the rest. Where sha256_lanes() says no, libcrypto hashes. */
#ifndef KERNELS_SHA256_H
#define KERNELS_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_BLOCK = 64 };

typedef struct sha256_lane {
    uint32_t h[8];
    uint64_t bytes;
} sha256_lane;

bool sha256_lanes(void); /* does this processor have them? */
void sha256_lane_begin(sha256_lane *l);
/* `blocks` blocks of one input, or as many of each of two. Memory ahead of the data is prefetched. */
void sha256_lane_one(sha256_lane *l, const uint8_t *data, size_t blocks);
void sha256_lane_two(sha256_lane *a, const uint8_t *data_a, sha256_lane *b, const uint8_t *data_b, size_t blocks);
/* The last `bytes` < SHA256_BLOCK, and the digest. */
void sha256_lane_end(sha256_lane *l, const uint8_t *data, size_t bytes, uint8_t digest[32]);

/* ---- instruction sets ---- */
void sha256_one_sha(uint32_t h[8], const uint8_t *data, size_t blocks);
void sha256_two_sha(uint32_t a[8], const uint8_t *data_a, uint32_t b[8], const uint8_t *data_b, size_t blocks);

#endif
