/* What surrounds the blocks: beginning, padding (FIPS 180-4, 5.1.1), and whether the instructions are there. */
#include "kernels/sha256/sha256.h"

#include <string.h>

#include "base/cpu.h"

bool sha256_lanes(void) { return cpu_get()->sha; }

void sha256_lane_begin(sha256_lane *l) {
    static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(l->h, initial, sizeof initial);
    l->bytes = 0;
}

void sha256_lane_one(sha256_lane *l, const uint8_t *data, size_t blocks) {
#if defined(__x86_64__)
    sha256_one_sha(l->h, data, blocks);
#else
    (void)data;
#endif
    l->bytes += blocks * SHA256_BLOCK;
}

void sha256_lane_two(sha256_lane *a, const uint8_t *data_a, sha256_lane *b, const uint8_t *data_b, size_t blocks) {
#if defined(__x86_64__)
    sha256_two_sha(a->h, data_a, b->h, data_b, blocks);
#else
    (void)data_a;
    (void)data_b;
#endif
    a->bytes += blocks * SHA256_BLOCK;
    b->bytes += blocks * SHA256_BLOCK;
}

void sha256_lane_end(sha256_lane *l, const uint8_t *data, size_t bytes, uint8_t digest[32]) {
    uint8_t last[2 * SHA256_BLOCK] = { 0 };
    uint64_t bits = (l->bytes + bytes) * 8;
    size_t blocks = bytes + 9 <= SHA256_BLOCK ? 1 : 2;
    if (bytes > 0) memcpy(last, data, bytes);
    last[bytes] = 0x80;
    for (size_t i = 0; i < 8; i++) last[blocks * SHA256_BLOCK - 1 - i] = (uint8_t)(bits >> (8 * i));
    sha256_lane_one(l, last, blocks);
    for (size_t i = 0; i < 32; i++) digest[i] = (uint8_t)(l->h[i / 4] >> (24 - 8 * (i % 4)));
}
