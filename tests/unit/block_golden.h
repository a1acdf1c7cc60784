/* Made by tests/fixtures/make_block_golden.py, which says how to read it. */
#ifndef BLOCK_GOLDEN_H
#define BLOCK_GOLDEN_H

#include <tola/tensor.h>

#define GOLDEN_BLOCKS 24
#define GOLDEN_SEED UINT64_C(0x9e3779b97f4a7c15)

static const struct {
    tola_dtype dtype;
    uint16_t finite[2]; /* 0xffff: none */
    uint64_t hash;
} block_golden[] = {
    { TOLA_DTYPE_Q4_0, { 1, 65535 }, 0xa9e1651c3288d7ed },
    { TOLA_DTYPE_Q4_1, { 1, 3 }, 0x987ebdf04ec4f65b },
    { TOLA_DTYPE_Q5_0, { 1, 65535 }, 0x8f822b09c5878636 },
    { TOLA_DTYPE_Q5_1, { 1, 3 }, 0x118ed1cbb6bb56f1 },
    { TOLA_DTYPE_Q8_0, { 1, 65535 }, 0x8bb0e4e50bc262c7 },
    { TOLA_DTYPE_Q2_K, { 81, 83 }, 0x3111293005f451e8 },
    { TOLA_DTYPE_Q3_K, { 109, 65535 }, 0x831d993cd6fa0dab },
    { TOLA_DTYPE_Q4_K, { 1, 3 }, 0x1e9a4e666801a281 },
    { TOLA_DTYPE_Q5_K, { 1, 3 }, 0x4aa7104252e5e901 },
    { TOLA_DTYPE_Q6_K, { 209, 65535 }, 0x6b1e255290b1ea11 },
    { TOLA_DTYPE_IQ2_XXS, { 1, 65535 }, 0xcb5dd70fc0e90902 },
    { TOLA_DTYPE_IQ2_XS, { 1, 65535 }, 0x2541f7d3bc140ec8 },
    { TOLA_DTYPE_IQ2_S, { 1, 65535 }, 0xbf8d535e6cb7852e },
    { TOLA_DTYPE_IQ3_XXS, { 1, 65535 }, 0xa28340c54f3235ba },
    { TOLA_DTYPE_IQ3_S, { 1, 65535 }, 0x55d3213c21c85f82 },
    { TOLA_DTYPE_IQ1_S, { 1, 65535 }, 0x428f1017035360b6 },
    { TOLA_DTYPE_IQ1_M, { 55, 65535 }, 0x3ec7189908cb3ca4 },
    { TOLA_DTYPE_IQ4_NL, { 1, 65535 }, 0xe910b6a876ce29f3 },
    { TOLA_DTYPE_IQ4_XS, { 1, 65535 }, 0x57385d1df700c0f4 },
    { TOLA_DTYPE_TQ1_0, { 53, 65535 }, 0x68818b4ae31f1e00 },
    { TOLA_DTYPE_TQ2_0, { 65, 65535 }, 0xf8137acf67a81205 },
    { TOLA_DTYPE_MXFP4, { 65535, 65535 }, 0x5e4406a1db469f22 },
    { TOLA_DTYPE_NVFP4, { 65535, 65535 }, 0x8c30ce3173b71c64 },
};

#endif
