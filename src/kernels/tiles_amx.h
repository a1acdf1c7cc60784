/* Setting up AMX's tiles. Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 1, chapter 18. */
#ifndef KERNELS_TILES_AMX_H
#define KERNELS_TILES_AMX_H

#include <immintrin.h>
#include <stdint.h>

/* How large each of eight tiles is, as the processor reads it. */
typedef struct tiles_palette {
    _Alignas(64) uint8_t id;
    uint8_t start, zero[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tiles_palette;
_Static_assert(sizeof(tiles_palette) == 64, "as the processor reads it");

/* gcc's tile intrinsics do not say that they read memory: what is written before this stays before it, and what is
 * written after it, after. */
static inline __attribute__((always_inline)) void settle(void) {
    __asm__ volatile("" ::: "memory");
}

/* All tiles are zero after it. */
static inline void tiles_configure(tiles_palette *p) {
    p->id = 1;
    __asm__ volatile("" : : "r"(p) : "memory"); /* as settle() */
    _tile_loadconfig(p);
}

/* All of 16 rows of 64 bytes. */
static inline void tiles_configure_whole(void) {
    tiles_palette p = { 0 };
    for (int i = 0; i < 8; i++) {
        p.rows[i] = 16;
        p.bytes[i] = 64;
    }
    tiles_configure(&p);
}

#endif
