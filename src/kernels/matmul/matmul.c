/* Products of weights with activations: where prepared activations lie, and the choice of the path.
 *
 * Prepared rows of block types: q, d, sums as matmul_acts says, row-major by token; then what the tile paths take
 * along, with the tokens side by side. */
#include "base/cpu.h"
#include "kernels/cast/cast.h"
#include "kernels/cast/scalar.h"
#include "kernels/matmul/matmul_kernels.h"
#include <string.h>

/* Rows an odd number of cache lines apart: sixteen of them at once never meet in one set of a cache. */
static size_t odd_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64 | 64;
}

bool matmul_supports(tola_dtype weights) {
    return matmul_type_get(weights)->kind != MATMUL_NONE;
}

bool matmul_same_preparation(tola_dtype a, tola_dtype b) {
    const matmul_type *p = matmul_type_get(a), *q = matmul_type_get(b);
    const bool brain = p->kind == MATMUL_BF16 || q->kind == MATMUL_BF16; /* wide only after rounding */
    if (p->kind != q->kind) return !brain && matmul_wide(p) && matmul_wide(q);
    if (matmul_floats(p)) return true;
    bool super = p->kind == MATMUL_SUPER;
    return p->group == q->group && p->minima == q->minima && p->offset == q->offset &&
           (!super || tola_dtype_block_elements(a) == tola_dtype_block_elements(b));
}

static bool tiles_of_bf16(void) {
    return cpu_get()->amx_bf16 && cpu_allow_amx();
}

static bool products_of_bf16(void) {
    return tiles_of_bf16() || (cpu_get()->avx512_bf16 && !cpu_get()->slow_bf16);
}

static bool tiles_of_int8(void) {
    return cpu_get()->amx_int8 && cpu_allow_amx();
}

bool matmul_floats(const matmul_type *type) {
    return type->kind >= MATMUL_F32;
}

bool matmul_split(const matmul_type *type) {
    return type->kind == MATMUL_F16 && tiles_of_bf16();
}

bool matmul_wide(const matmul_type *type) {
    return matmul_floats(type) && !matmul_split(type) && !(type->kind == MATMUL_BF16 && products_of_bf16());
}

static bool fours(void) {
    return cpu_get()->avx512_vnni && !tiles_of_int8();
}

typedef struct layout {
    const char *base; /* NULL: only `bytes` is wanted */
    size_t tokens, bytes;
    bool overflow;
} layout;

static const void *take(layout *l, size_t count, size_t size, size_t *stride) {
    size_t row = odd_lines(count * size), all, at = l->bytes;
    *stride = row / size;
    l->overflow |= __builtin_mul_overflow(row, l->tokens, &all) || __builtin_add_overflow(at, all, &l->bytes);
    return l->base && !l->overflow ? l->base + at : NULL;
}

static size_t across(const layout *l) {
    return (l->tokens + 15) / 16 * 16;
}

/* So many rows of lines of 64 bytes. */
static const void *take_lines(layout *l, size_t rows, size_t lines) {
    size_t all, at = l->bytes;
    l->overflow |= lines > SIZE_MAX / 64 || __builtin_mul_overflow(rows, lines * 64, &all) ||
                   __builtin_add_overflow(at, all, &l->bytes);
    return l->base && !l->overflow ? l->base + at : NULL;
}

/* [groups][tokens] of four bytes. */
static const void *take_across(layout *l, size_t groups) { return take_lines(l, groups, across(l) / 16); }

/* That an activation's row is kept in. */
static size_t numbers_of(const matmul_acts *x) {
    return x->split ? (x->k + 31) / 32 * 64 : x->k;
}

static matmul_acts lay_out(tola_dtype weights, size_t k, layout *l) {
    const matmul_type *type = matmul_type_get(weights);
    matmul_acts x = { .k = k, .tokens = l->tokens };
    const bool tiles = !matmul_vector_for(weights, l->tokens);
    if (matmul_floats(type)) {
        x.wide = matmul_wide(type);
        x.split = matmul_split(type);
        x.x = take(l, numbers_of(&x), x.wide ? sizeof(float) : sizeof(uint16_t), &x.x_stride);
        if (tiles && !x.wide && tiles_of_bf16())
            x.x_tiles = take_across(l, (numbers_of(&x) + MATMUL_X_STEP - 1) / MATMUL_X_STEP * (MATMUL_X_STEP / 2));
        return x;
    }
    bool super = type->kind == MATMUL_SUPER;
    x.d_block = super ? tola_dtype_block_elements(weights) : 32;
    x.q = take(l, k, sizeof *x.q, &x.q_stride);
    x.d = take(l, k / x.d_block, sizeof *x.d, &x.d_stride);
    x.sums = take(l, k / 16, sizeof *x.sums, &x.sums_stride);
    if (type->offset && !tiles) x.first = take(l, k / type->group, sizeof *x.first, &x.first_stride);
    if (!tiles) return x;
    x.across = across(l);
    if (tiles_of_int8()) x.q_tiles = take_across(l, (k + 63) / 64 * 16);
    if (fours()) {
        x.q_fours = take_lines(l, k / 4, matmul_fours_tiles(l->tokens));
        if (super && type->offset <= 32) x.most = take_across(l, k / x.d_block); /* others are never taken to fit */
    }
    if (cpu_get()->neon_i8mm) x.q_pairs = take_across(l, x.q_stride / 4);
    x.d_across = take_across(l, k / x.d_block);
    if (type->offset) x.first_across = take_across(l, k / type->group);
    if (type->minima && !super) x.d_sums = take_across(l, k / 32);
    if (type->minima && super) x.pairs = take_across(l, k / type->group / 2);
    return x;
}

size_t matmul_prepared_bytes(tola_dtype weights, size_t k, size_t tokens) {
    if (!matmul_supports(weights) || k % tola_dtype_block_elements(weights) != 0 || k > SIZE_MAX / 16) return 0;
    layout l = { .tokens = tokens };
    lay_out(weights, k, &l);
    return l.overflow ? 0 : l.bytes;
}

matmul_acts matmul_view(tola_dtype weights, size_t k, size_t tokens, const void *prepared) {
    layout l = { .base = prepared, .tokens = tokens };
    return lay_out(weights, k, &l);
}

static matmul_quantize_fn quantize_of_this(void) {
#if defined(__x86_64__)
    if (cpu_get()->level == CPU_AVX512) return matmul_quantize_avx512;
    if (cpu_get()->level == CPU_AVX2) return matmul_quantize_avx2;
#elif defined(__aarch64__)
    if (cpu_get()->level == CPU_NEON) return matmul_quantize_neon;
#endif
    return matmul_quantize_scalar;
}

static void split(const float *x, size_t n, uint16_t *out) {
#if defined(__x86_64__)
    matmul_split_amx(x, n, out);
#else
    (void)x, (void)n, (void)out; /* matmul_split is false */
#endif
}

/* What follows from q, d and sums of tokens [first, first + count), at most a block of 16, for the tile paths: block by
 * block, so that each line of memory is written once. */
static void add_ups(const matmul_type *type, const matmul_acts *x, size_t first, size_t count) {
    const int16_t *sums = x->sums + first * x->sums_stride;
    const float *d = x->d + first * x->d_stride;
    const size_t wide = type->group / 16, groups = x->k / type->group, apart = x->sums_stride;
    for (size_t g = 0; x->d_across && g < x->k / x->d_block; g++) {
        float *to = (float *)x->d_across + g * x->across + first;
        for (size_t t = 0; t < count; t++) to[t] = d[t * x->d_stride + g];
    }
    int32_t *to_first = x->first                         ? (int32_t *)x->first + first * x->first_stride
                        : x->first_across && !x->q_fours ? (int32_t *)x->first_across + first
                                                         : NULL;
    const size_t from_token = x->first ? x->first_stride : 1, from_group = x->first ? 1 : x->across;
    for (size_t g = 0; to_first && g < groups; g++)
        for (size_t t = 0; t < count; t++) {
            const int16_t *s = sums + t * apart + wide * g;
            to_first[g * from_group + t * from_token] = -type->offset * (wide == 2 ? s[0] + s[1] : s[0]);
        }
    for (size_t g = 0; x->d_sums && g < groups; g++) {
        float *to = (float *)x->d_sums + g * x->across + first;
        for (size_t t = 0; t < count; t++)
            to[t] = d[t * x->d_stride + g] * (float)(sums[t * apart + 2 * g] + sums[t * apart + 2 * g + 1]);
    }
    for (size_t g = 0; x->pairs && g < groups / 2; g++) {
        int32_t *to = (int32_t *)x->pairs + g * x->across + first;
        for (size_t t = 0; t < count; t++) {
            const int16_t *s = sums + t * apart + 2 * wide * g;
            int low = wide == 2 ? s[0] + s[1] : s[0], high = wide == 2 ? s[2] + s[3] : s[1];
            to[t] = (int32_t)((uint32_t)high << 16 | (uint16_t)low);
        }
    }
    for (size_t i = 0; x->q_tiles && i < x->k; i += 64) { /* rows of q are padded to 64 elements */
        int8_t *to = (int8_t *)x->q_tiles + i * x->across + first * 64;
        for (size_t t = 0; t < count; t++) memcpy(to + 64 * t, x->q + (first + t) * x->q_stride + i, 64);
    }
#if defined(__x86_64__)
    if (x->q_fours) matmul_fours_avx512(type, x, first, count);
#endif
    for (size_t t = first; x->q_pairs && t < first + count; t++) {
        int8_t *to = (int8_t *)x->q_pairs + t / 2 * 2 * x->q_stride + t % 2 * 8;
        for (size_t i = 0; i < x->k; i += 8) memcpy(to + 2 * i, x->q + t * x->q_stride + i, 8);
    }
}

/* Tokens [first, first + count) of a block of 16 from `first` on, once their rows are there. */
static void put_in_tiles(const matmul_acts *x, size_t first, size_t count) {
    const size_t pairs = (numbers_of(x) + 31) / 32 * 16, step = MATMUL_X_STEP / 2, blocks = (x->tokens + 15) / 16;
    const uint16_t *row[16]; /* missing ones stand for the last one */
    for (size_t t = 0; t < 16; t++) {
        const size_t token = first + (t < count ? t : count - 1);
        row[t] = (const uint16_t *)x->x + token * x->x_stride;
    }
    for (size_t at = 0; at < pairs; at += step) {
        uint32_t *to = (uint32_t *)x->x_tiles + (at * blocks + first / 16 * step) * 16;
        for (size_t i = at; i < at + step && i < pairs; i++, to += 16)
            for (size_t t = 0; t < 16; t++) memcpy(to + t, row[t] + 2 * i, sizeof *to);
    }
}

/* What the tile paths take along, once row t, of those up to `end`, is there. */
static void follow_up(const matmul_type *type, const matmul_acts *to, size_t t, size_t end) {
    if (t % 16 != 15 && t + 1 != end) return;
    if (!matmul_floats(type)) add_ups(type, to, t / 16 * 16, t % 16 + 1);
    else if (to->x_tiles) put_in_tiles(to, t / 16 * 16, t % 16 + 1);
}

void matmul_prepare(tola_dtype weights, const float *x, size_t x_stride, size_t k, size_t tokens, size_t first,
                    size_t count, void *prepared) {
    const matmul_type *type = matmul_type_get(weights);
    const matmul_acts to = matmul_view(weights, k, tokens, prepared);
    const matmul_quantize_fn quantize = quantize_of_this();
    for (size_t t = first; t < first + count; t++) {
        const float *row = x + t * x_stride;
        if (to.wide && type->kind != MATMUL_BF16) {
            float *out = (float *)to.x + t * to.x_stride;
            memcpy(out, row, k * sizeof *out);
            memset(out + k, 0, (to.x_stride - k) * sizeof *out);
        } else if (to.wide) {
            float *out = (float *)to.x + t * to.x_stride;
            for (size_t i = 0; i < k; i++) {
                uint16_t rounded = cast_f32_to_bf16(cast_f32_bits(row[i]));
                out[i] = cast_f32_from_bits(cast_bf16_to_f32(rounded));
            }
            memset(out + k, 0, (to.x_stride - k) * sizeof *out);
        } else if (matmul_floats(type)) {
            uint16_t *out = (uint16_t *)to.x + t * to.x_stride;
            const size_t numbers = numbers_of(&to);
            if (to.split) split(row, k, out);
            else cast_get()->f32_to_bf16(row, out, k, false);
            memset(out + numbers, 0, (to.x_stride - numbers) * sizeof *out);
        } else {
            int8_t *q = (int8_t *)to.q + t * to.q_stride;
            quantize(row, k, to.d_block, q, (float *)to.d + t * to.d_stride,
                     (int16_t *)to.sums + t * to.sums_stride);
            memset(q + k, 0, to.q_stride - k);
        }
        follow_up(type, &to, t, first + count);
    }
}

/* Row `row` of an array to row t of its like. */
static void take_again(const void *from, size_t row, const void *to, size_t t, size_t stride, size_t size) {
    memcpy((uint8_t *)to + t * stride * size, (const uint8_t *)from + row * stride * size, stride * size);
}

void matmul_prepare_again(tola_dtype weights, const void *from, size_t from_tokens, const uint32_t *which, size_t k,
                          size_t tokens, size_t first, size_t count, void *prepared) {
    const matmul_type *type = matmul_type_get(weights);
    const matmul_acts to = matmul_view(weights, k, tokens, prepared), x = matmul_view(weights, k, from_tokens, from);
    for (size_t t = first; t < first + count; t++, which++) {
        if (matmul_floats(type)) {
            take_again(x.x, *which, to.x, t, to.x_stride, to.wide ? sizeof(float) : sizeof(uint16_t));
        } else {
            take_again(x.q, *which, to.q, t, to.q_stride, sizeof *to.q);
            take_again(x.d, *which, to.d, t, to.d_stride, sizeof *to.d);
            take_again(x.sums, *which, to.sums, t, to.sums_stride, sizeof *to.sums);
        }
        follow_up(type, &to, t, first + count);
    }
}

size_t matmul_paths(matmul_path *out) {
    size_t n = 0;
#if defined(__x86_64__) || defined(__aarch64__)
    const unsigned blocks = 1u << MATMUL_SMALL | 1u << MATMUL_SUPER;
    const cpu_features *cpu = cpu_get();
#endif
#if defined(__x86_64__)
    if (tiles_of_int8()) out[n++] = (matmul_path){ "amx", blocks, &matmul_tile_amx };
    const unsigned floats = 1u << MATMUL_F32 | (tiles_of_bf16() ? 0 : 1u << MATMUL_F16) |
                            (products_of_bf16() ? 0 : 1u << MATMUL_BF16);
    if (tiles_of_bf16())
        out[n++] = (matmul_path){ "amx", 1u << MATMUL_F16 | 1u << MATMUL_BF16, &matmul_floats_amx };
    if (products_of_bf16())
        out[n++] = (matmul_path){ "avx512bf16", 1u << MATMUL_BF16, &matmul_floats_avx512bf16 };
    if (cpu->level == CPU_AVX512) out[n++] = (matmul_path){ "avx512", floats, &matmul_floats_avx512 };
    if (cpu->level == CPU_AVX512 || cpu->level == CPU_AVX2)
        out[n++] = (matmul_path){ "avx2", floats, &matmul_floats_avx2 };
    if (fours()) out[n++] = (matmul_path){ "avx512vnni", blocks, &matmul_tile_avx512vnni };
    if (cpu->level == CPU_AVX512 || cpu->level == CPU_AVX2)
        out[n++] = (matmul_path){ "avx2", blocks, &matmul_tile_avx2 };
#elif defined(__aarch64__)
    if (cpu->level == CPU_NEON && cpu->neon_i8mm) out[n++] = (matmul_path){ "i8mm", blocks, &matmul_tile_i8mm };
    if (cpu->level == CPU_NEON && cpu->neon_dotprod)
        out[n++] = (matmul_path){ "dotprod", blocks, &matmul_tile_dotprod };
    const unsigned floats = 1u << MATMUL_F32 | 1u << MATMUL_F16 | 1u << MATMUL_BF16;
    if (cpu->level == CPU_NEON) out[n++] = (matmul_path){ "neon", blocks, &matmul_tile_neon };
    if (cpu->level == CPU_NEON) out[n++] = (matmul_path){ "neon", floats, &matmul_floats_neon };
#endif
    out[n++] = (matmul_path){ "scalar", ~0u, &matmul_tile_scalar };
    return n;
}

static const matmul_tile *tile_of(const matmul_type *type) {
    matmul_path paths[MATMUL_PATHS_MOST];
    matmul_paths(paths);
    size_t i = 0;
    while (!(paths[i].kinds >> type->kind & 1)) i++;
    return paths[i].tile;
}

matmul_vector_fn matmul_vector_for(tola_dtype weights, size_t tokens) {
    return tokens == 1 || tokens < tile_of(matmul_type_get(weights))->least ? matmul_vector_get(weights) : NULL;
}

size_t matmul_scratch_bytes(tola_dtype weights, size_t k, size_t tokens) {
    const matmul_type *type = matmul_type_get(weights);
    return tile_of(type)->scratch(type, k, tokens);
}

void matmul_rows(tola_dtype weights, const void *w, size_t row_bytes, size_t k, const void *prepared, size_t tokens,
                 float *y, size_t y_stride, size_t first, size_t count, void *scratch) {
    const matmul_acts x = matmul_view(weights, k, tokens, prepared);
    const uint8_t *rows = (const uint8_t *)w + first * row_bytes;
    if (k == 0) {
        for (size_t t = 0; t < tokens; t++) memset(y + t * y_stride + first, 0, count * sizeof *y);
        return;
    }
    const matmul_vector_fn vector = matmul_vector_for(weights, tokens);
    if (!vector) {
        tile_of(matmul_type_get(weights))->rows(weights, rows, row_bytes, &x, y + first, y_stride, count, scratch);
        return;
    }
    /* A few rows stay in the caches while they meet all tokens. */
    const size_t few = tokens == 1 ? count : MATMUL_ROWS;
    for (size_t r = 0; r < count; r += few)
        for (size_t t = 0; t < tokens; t++)
            vector(rows + r * row_bytes, row_bytes, &x, t, y + t * y_stride + first + r,
                   count - r < few ? count - r : few);
}

#define ASK_BYTES ((size_t)256 << 10) /* a part of the second cache of one processor */
#define ASK_LINE 64

bool matmul_ask(tola_dtype weights, const void *w, size_t row_bytes, size_t first, size_t count, size_t step) {
    const size_t streams = matmul_streams(weights);
    if (count < streams) return false;
    const size_t apart = matmul_apart(count, streams) * row_bytes, at = step * ASK_LINE;
    if (at >= apart || at >= ASK_BYTES / streams) return false;
    const uint8_t *p = (const uint8_t *)w + first * row_bytes + at;
    for (size_t s = 0; s < streams; s++, p += apart) __builtin_prefetch(p, 0, 2);
    return true;
}
