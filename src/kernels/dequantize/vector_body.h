/* Decoders of the block types, sixteen elements at a time, for every instruction set; the values of the scalar files,
 * where the layouts stand. Before including this, a file defines VECTOR_TABLE and
 *     float half(const uint8_t *p)                                  the f16 at p
 *     u8x16 lookup(u8x16 table, u8x16 index)                        table[index], index < 16
 *     void put(uint8_t *dst, i8x16 code, float scale)               16 f32: scale code
 *     void put_above(uint8_t *dst, i8x16 code, float scale, float min)      16 f32: scale code - min
 * Everything is static but one table. */
#define STEP 64 /* bytes of sixteen f32 */

typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));

static inline u8x16 load16(const uint8_t *p) {
    u8x16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Of sixteen bits, 0xff where set. */
static inline u8x16 spread(unsigned bits) {
    const u8x16 each = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    const uint64_t ones = 0x0101010101010101;
    u8x16 v = (u8x16)(u64x2){ (bits & 0xff) * ones, (bits >> 8 & 0xff) * ones };
    return (u8x16)((v & each) == each);
}

/* -magnitude where a sign is set. */
static inline i8x16 with_signs(u8x16 magnitude, unsigned signs) {
    u8x16 minus = spread(signs);
    return (i8x16)((magnitude ^ minus) - minus);
}

/* ---- blocks of 32 ---- */

static inline void q4_0_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    u8x16 q = load16(b + 2);
    put(out, (i8x16)((q & 15) - 8), d);
    put(out + STEP, (i8x16)((q >> 4) - 8), d);
}

static inline void q4_1_block(const uint8_t *b, uint8_t *out) {
    float d = half(b), min = -half(b + 2);
    u8x16 q = load16(b + 4);
    put_above(out, (i8x16)(q & 15), d, min);
    put_above(out + STEP, (i8x16)(q >> 4), d, min);
}

static inline void q5_0_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    uint32_t qh = load_u32(b + 2);
    u8x16 q = load16(b + 6);
    put(out, (i8x16)(((q & 15) | (spread(qh & 0xffff) & 16)) - 16), d);
    put(out + STEP, (i8x16)(((q >> 4) | (spread(qh >> 16) & 16)) - 16), d);
}

static inline void q5_1_block(const uint8_t *b, uint8_t *out) {
    float d = half(b), min = -half(b + 2);
    uint32_t qh = load_u32(b + 4);
    u8x16 q = load16(b + 8);
    put_above(out, (i8x16)((q & 15) | (spread(qh & 0xffff) & 16)), d, min);
    put_above(out + STEP, (i8x16)((q >> 4) | (spread(qh >> 16) & 16)), d, min);
}

static inline void q8_0_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int i = 0; i < 2; i++) put(out + STEP * i, (i8x16)load16(b + 2 + 16 * i), d);
}

static inline void q8_1_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int i = 0; i < 2; i++) put(out + STEP * i, (i8x16)load16(b + 4 + 16 * i), d);
}

static inline void nibbles(const int8_t *table, const uint8_t *qs, float scale, uint8_t *out) {
    u8x16 values = load16((const uint8_t *)table), q = load16(qs);
    put(out, (i8x16)lookup(values, q & 15), scale);
    put(out + STEP, (i8x16)lookup(values, q >> 4), scale);
}

static inline void iq4_nl_block(const uint8_t *b, uint8_t *out) {
    nibbles(values_iq4, b + 2, half(b), out);
}

static inline void mxfp4_block(const uint8_t *b, uint8_t *out) {
    nibbles(values_fp4, b + 1, half_e8m0(b[0]), out);
}

/* ---- super-blocks: the sub-blocks of sixteen are `k`, in the order of their elements ---- */

static inline void q2_k_block(const uint8_t *b, uint8_t *out) {
    float d = half(b + 80), dmin = half(b + 82);
    for (int k = 0; k < 16; k++) {
        u8x16 q = load16(b + 16 + k / 8 * 32 + k % 2 * 16) >> (k / 2 % 4 * 2) & 3;
        put_above(out + STEP * k, (i8x16)q, d * (float)(b[k] & 15), dmin * (float)(b[k] >> 4));
    }
}

static inline void q3_k_block(const uint8_t *b, uint8_t *out) {
    float d = half(b + 108);
    for (int k = 0; k < 16; k++) {
        u8x16 q = load16(b + 32 + k / 8 * 32 + k % 2 * 16) >> (k / 2 % 4 * 2) & 3;
        u8x16 high = load16(b + k % 2 * 16) >> (k / 2) & 1;
        put(out + STEP * k, (i8x16)((q | high << 2) - 4), d * (float)(scale_q3_k(b + 96, k) - 32));
    }
}

static inline void q4_k_block(const uint8_t *b, uint8_t *out) {
    float d = half(b), dmin = half(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale = d * (float)scale_of(b + 4, j), min = dmin * (float)min_of(b + 4, j);
        for (int i = 0; i < 2; i++) {
            u8x16 q = load16(b + 16 + j / 2 * 32 + 16 * i) >> (j % 2 * 4) & 15;
            put_above(out + STEP * (2 * j + i), (i8x16)q, scale, min);
        }
    }
}

static inline void q5_k_block(const uint8_t *b, uint8_t *out) {
    float d = half(b), dmin = half(b + 2);
    for (int j = 0; j < 8; j++) {
        float scale = d * (float)scale_of(b + 4, j), min = dmin * (float)min_of(b + 4, j);
        for (int i = 0; i < 2; i++) {
            u8x16 q = load16(b + 48 + j / 2 * 32 + 16 * i) >> (j % 2 * 4) & 15;
            u8x16 high = load16(b + 16 + 16 * i) >> j & 1;
            put_above(out + STEP * (2 * j + i), (i8x16)(q | high << 4), scale, min);
        }
    }
}

static inline void q6_k_block(const uint8_t *b, uint8_t *out) {
    float d = half(b + 208);
    for (int k = 0; k < 16; k++) {
        u8x16 q = load16(b + k / 8 * 64 + k % 4 * 16) >> (k / 4 % 2 * 4) & 15;
        u8x16 high = load16(b + 128 + k / 8 * 32 + k % 2 * 16) >> (k / 2 % 4 * 2) & 3;
        put(out + STEP * k, (i8x16)((q | high << 4) - 32), d * (float)(int8_t)b[192 + k]);
    }
}

static inline void q8_k_block(const uint8_t *b, uint8_t *out) {
    float d = cast_f32_from_bits(load_u32(b));
    for (int k = 0; k < 16; k++) put(out + STEP * k, (i8x16)load16(b + 4 + 16 * k), d);
}

static inline void iq4_xs_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    unsigned high = load_u16(b + 2);
    for (int g = 0; g < 8; g++) {
        int s = (b[4 + g / 2] >> (g % 2 * 4) & 15) | (int)(high >> 2 * g & 3) << 4;
        nibbles(values_iq4, b + 8 + 16 * g, d * (float)(s - 32), out + 2 * STEP * g);
    }
}

/* ---- codebooks of eight and four: two and four entries are sixteen elements ---- */

static inline void iq2_xxs_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int g = 0; g < 8; g++) {
        const uint8_t *index = b + 2 + 8 * g;
        uint32_t rest = load_u32(index + 4);
        float scale = d * (0.5f + (float)(rest >> 28)) * 0.25f;
        for (int l = 0; l < 4; l += 2) {
            u8x16 m = (u8x16)(u64x2){ grid_iq2_xxs[index[l]], grid_iq2_xxs[index[l + 1]] };
            unsigned signs = eight_signs(rest >> 7 * l) | eight_signs(rest >> 7 * (l + 1)) << 8;
            put(out + STEP * (2 * g + l / 2), with_signs(m, signs), scale);
        }
    }
}

static inline void iq2_xs_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int k = 0; k < 16; k++) {
        unsigned p = load_u16(b + 2 + 4 * k), q = load_u16(b + 4 + 4 * k), s = b[66 + k / 2] >> (k % 2 * 4) & 15;
        u8x16 m = (u8x16)(u64x2){ grid_iq2_xs[p & 511], grid_iq2_xs[q & 511] };
        i8x16 code = with_signs(m, eight_signs(p >> 9) | eight_signs(q >> 9) << 8);
        put(out + STEP * k, code, d * (0.5f + (float)s) * 0.25f);
    }
}

static inline void iq2_s_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int k = 0; k < 16; k++) {
        unsigned high = b[66 + k / 2] >> (k % 2 * 4), s = b[74 + k / 2] >> (k % 2 * 4) & 15;
        u8x16 m = (u8x16)(u64x2){ grid_iq2_s[b[2 + 2 * k] | (high & 3) << 8],
                                  grid_iq2_s[b[3 + 2 * k] | (high >> 2 & 3) << 8] };
        put(out + STEP * k, with_signs(m, load_u16(b + 34 + 2 * k)), d * (0.5f + (float)s) * 0.25f);
    }
}

static inline void iq3_xxs_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int k = 0; k < 16; k++) {
        const uint8_t *index = b + 2 + 4 * k;
        uint32_t rest = load_u32(b + 66 + 4 * (k / 2)), seven = rest >> 14 * (k % 2);
        u8x16 m = (u8x16)(u32x4){ grid_iq3_xxs[index[0]], grid_iq3_xxs[index[1]], grid_iq3_xxs[index[2]],
                                  grid_iq3_xxs[index[3]] };
        i8x16 code = with_signs(m, eight_signs(seven) | eight_signs(seven >> 7) << 8);
        put(out + STEP * k, code, d * (0.5f + (float)(rest >> 28)) * 0.5f);
    }
}

static inline void iq3_s_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int k = 0; k < 16; k++) {
        const uint8_t *index = b + 2 + 4 * k;
        unsigned high = b[66 + k / 2] >> (k % 2 * 4), s = b[106 + k / 4] >> (k / 2 % 2 * 4) & 15;
        u8x16 m = (u8x16)(u32x4){ grid_iq3_s[index[0] | (high & 1) << 8], grid_iq3_s[index[1] | (high >> 1 & 1) << 8],
                                  grid_iq3_s[index[2] | (high >> 2 & 1) << 8],
                                  grid_iq3_s[index[3] | (high >> 3 & 1) << 8] };
        put(out + STEP * k, with_signs(m, load_u16(b + 74 + 2 * k)), d * (float)(1 + 2 * s));
    }
}

/* scale (entry +- 1/8) as an eighth of the scale times a whole number: both are exact, and so rounding is the same. */
static inline void put_shifted(uint8_t *out, float scale, unsigned first, unsigned second, bool minus, bool minus2) {
    const uint64_t ones = 0x0101010101010101;
    u8x16 entry = (u8x16)(u64x2){ grid_iq1[first], grid_iq1[second] };
    u8x16 delta = (u8x16)(u64x2){ minus ? ones * 0xff : ones, minus2 ? ones * 0xff : ones };
    put(out, (i8x16)(entry * 8 + delta), scale * 0.125f);
}

static inline void iq1_s_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int k = 0; k < 16; k++) {
        unsigned qh = load_u16(b + 34 + k / 2 * 2), high = qh >> k % 2 * 6;
        put_shifted(out + STEP * k, d * (float)(2 * (qh >> 12 & 7) + 1), b[2 + 2 * k] | (high & 7) << 8,
                    b[3 + 2 * k] | (high >> 3 & 7) << 8, qh >> 15, qh >> 15);
    }
}

static inline void iq1_m_block(const uint8_t *b, uint8_t *out) {
    uint8_t scale[2] = { (uint8_t)(b[49] >> 4 | (b[51] & 0xf0)), (uint8_t)(b[53] >> 4 | (b[55] & 0xf0)) };
    float d = half(scale);
    for (int k = 0; k < 16; k++) {
        unsigned qh = b[32 + k], s = load_u16(b + 48 + k / 4 * 2) >> (k % 4 * 3) & 7;
        put_shifted(out + STEP * k, d * (float)(2 * s + 1), b[2 * k] | (qh & 7) << 8, b[2 * k + 1] | (qh >> 4 & 7) << 8,
                    qh >> 3 & 1, qh >> 7);
    }
}

/* ---- one, two bits, and trits ---- */

static inline void q1_0_block(const uint8_t *b, uint8_t *out) {
    float d = half(b);
    for (int k = 0; k < 8; k++) put(out + STEP * k, (i8x16)((spread(load_u16(b + 2 + 2 * k)) & 2) - 1), d);
}

static inline void q2_0_block(const uint8_t *b, uint8_t *out) {
    const u8x16 fourfold = { 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3 };
    const u8x16 place = { 3, 12, 48, 192, 3, 12, 48, 192, 3, 12, 48, 192, 3, 12, 48, 192 };
    float d = half(b);
    u8x16 all = load16(b + 2);
    for (unsigned k = 0; k < 4; k++) {
        u8x16 q = lookup(all, fourfold + (uint8_t)(4 * k)) & place;
        q = q | q >> 4;         /* in the lowest four bits now, two of them zero */
        q = (q & 3) | (q >> 2 & 3);
        put(out + STEP * k, (i8x16)(q - 1), d);
    }
}

static inline void tq2_0_block(const uint8_t *b, uint8_t *out) {
    float d = half(b + 64);
    for (int k = 0; k < 16; k++) {
        u8x16 q = load16(b + k / 8 * 32 + k % 2 * 16) >> (k / 2 % 4 * 2) & 3;
        put(out + STEP * k, (i8x16)(q - 1), d);
    }
}

/* The digit in front of the point of three times a fraction of 256, less one. */
static inline i8x16 trit(u8x16 fraction) {
    return (i8x16)(0 - (u8x16)(fraction >= 86) - (u8x16)(fraction >= 171) - 1);
}

static inline void tq1_0_block(const uint8_t *b, uint8_t *out) {
    static const uint8_t power[5] = { 1, 3, 9, 27, 81 };
    const u8x16 last = { 1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27 };
    float d = half(b + 52);
    uint32_t four = load_u32(b + 48);
    for (int k = 0; k < 10; k++) put(out + STEP * k, trit(load16(b + k % 2 * 16) * power[k / 2]), d);
    for (int k = 0; k < 5; k++) put(out + STEP * (10 + k), trit(load16(b + 32) * power[k]), d);
    put(out + STEP * 15, trit((u8x16)(u32x4){ four, four, four, four } * last), d);
}

static inline void nvfp4_block(const uint8_t *b, uint8_t *out) {
    const uint64_t low = 0x0f0f0f0f0f0f0f0f;
    u8x16 values = load16((const uint8_t *)values_fp4);
    for (int g = 0; g < 4; g++) {
        uint64_t q;
        memcpy(&q, b + 4 + 8 * g, sizeof q);
        put(out + STEP * g, (i8x16)lookup(values, (u8x16)(u64x2){ q & low, q >> 4 & low }), half_ue4m3(b[g]));
    }
}

#define ROWS(type, elements, bytes)                                       \
    static void type(const void *src, float *dst, size_t n) {             \
        const uint8_t *from = src;                                        \
        uint8_t *to = (uint8_t *)dst;                                     \
        for (size_t at = 0; at < n; at += elements) {                     \
            type##_block(from, to);                                       \
            from += bytes;                                                \
            to += 4 * elements;                                           \
        }                                                                 \
    }
ROWS(q4_0, 32, 18)
ROWS(q4_1, 32, 20)
ROWS(q5_0, 32, 22)
ROWS(q5_1, 32, 24)
ROWS(q8_0, 32, 34)
ROWS(q8_1, 32, 36)
ROWS(q2_k, 256, 84)
ROWS(q3_k, 256, 110)
ROWS(q4_k, 256, 144)
ROWS(q5_k, 256, 176)
ROWS(q6_k, 256, 210)
ROWS(q8_k, 256, 292)
ROWS(iq2_xxs, 256, 66)
ROWS(iq2_xs, 256, 74)
ROWS(iq2_s, 256, 82)
ROWS(iq3_xxs, 256, 98)
ROWS(iq3_s, 256, 110)
ROWS(iq1_s, 256, 50)
ROWS(iq1_m, 256, 56)
ROWS(iq4_nl, 32, 18)
ROWS(iq4_xs, 256, 136)
ROWS(q1_0, 128, 18)
ROWS(q2_0, 64, 18)
ROWS(tq1_0, 256, 54)
ROWS(tq2_0, 256, 66)
ROWS(mxfp4, 32, 17)
ROWS(nvfp4, 64, 36)

const dequantize_set VECTOR_TABLE = { .of = {
    [TOLA_DTYPE_Q4_0] = q4_0,       [TOLA_DTYPE_Q4_1] = q4_1,     [TOLA_DTYPE_Q5_0] = q5_0,
    [TOLA_DTYPE_Q5_1] = q5_1,       [TOLA_DTYPE_Q8_0] = q8_0,     [TOLA_DTYPE_Q8_1] = q8_1,
    [TOLA_DTYPE_Q2_K] = q2_k,       [TOLA_DTYPE_Q3_K] = q3_k,     [TOLA_DTYPE_Q4_K] = q4_k,
    [TOLA_DTYPE_Q5_K] = q5_k,       [TOLA_DTYPE_Q6_K] = q6_k,     [TOLA_DTYPE_Q8_K] = q8_k,
    [TOLA_DTYPE_IQ2_XXS] = iq2_xxs, [TOLA_DTYPE_IQ2_XS] = iq2_xs, [TOLA_DTYPE_IQ2_S] = iq2_s,
    [TOLA_DTYPE_IQ3_XXS] = iq3_xxs, [TOLA_DTYPE_IQ3_S] = iq3_s,   [TOLA_DTYPE_IQ1_S] = iq1_s,
    [TOLA_DTYPE_IQ1_M] = iq1_m,     [TOLA_DTYPE_IQ4_NL] = iq4_nl, [TOLA_DTYPE_IQ4_XS] = iq4_xs,
    [TOLA_DTYPE_Q1_0] = q1_0,       [TOLA_DTYPE_Q2_0] = q2_0,     [TOLA_DTYPE_TQ1_0] = tq1_0,
    [TOLA_DTYPE_TQ2_0] = tq2_0,     [TOLA_DTYPE_MXFP4] = mxfp4,   [TOLA_DTYPE_NVFP4] = nvfp4,
} };
