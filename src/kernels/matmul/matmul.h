/* Products of weights with activations: y[t][r] = sum over k of W[r][k] x[t][k].
 *
 * W is `rows` rows of k elements of any weight type, as they lie in a file; x is `tokens` rows of k floats, which
 * matmul_prepare turns into what the type multiplies with (8-bit integers for block types, bf16 for bf16, one f32 or
 * two bf16 otherwise). One token is the matrix-vector product, many the matrix-matrix product.
 *
 * What is right (the scalar file says the same in code). A result depends on its row and its token only: neither the
 * number of tokens or rows in a call, nor the cut into ranges, nor the thread changes a bit of it; this is what lets
 * speculative decoding and prefix reuse change nothing. Within one instruction set that holds exactly; between
 * instruction sets block types agree bit for bit, because their definition is:
 *
 *   Activations. Types of blocks of 32 or 64 (q4_0 ... q8_1, iq4_nl, mxfp4, nvfp4, q2_0): each 32 elements have
 *   d = amax / 127 (f32) and q = round-to-nearest-even(x * (1/d)), |q| <= 127. Types of blocks of 128 and 256: the same
 *   for each 256 elements (q1_0: 128). amax below 2^-100 gives d = 0 and q = 0; a NaN or infinity among the elements
 *   gives d = NaN and q = 0, so that it shows in the result. sums[] are sums of q over 16 elements, exact.
 *
 *   Small blocks (all but super-blocks): acc = 0; for each group g of 32 (nvfp4: 16) elements in order of k:
 *       acc = fmaf((float)isum_g, d_w[g] * d_x[g], acc)                  isum_g = sum of q_w * q_x, an exact integer
 *       types with a minimum or offset m: then acc = fmaf(m_w[g], d_x[g] * (float)sum_x[g], acc)
 *   Super-blocks (128 and 256 elements): for each block b in order:
 *       S = sum over groups j of isum_j * sc_j       an exact integer below 2^31, whatever order it is summed in
 *       acc = fmaf((float)S, d_w * d_x, acc)
 *       types with minima: acc = fmaf((float)(sum of m_j * sum_x_j, exact), -(dmin_w * d_x), acc)
 *   where sc_j, m_j are the integer scales of the group as stored (q6_k signed, q3_k and iq4_xs less 32, iq1, iq2, iq3
 *   2 s + 1, q1_0, q8_k, tq1_0, tq2_0 one). Constant factors of a type are powers of two and folded into d_w, with
 *   integers as codes: iq2 d / 8, iq3_xxs d / 4, iq1 d / 8 with codes 8 grid +- 1, mxfp4 and nvfp4 d / 2 with ggml's
 *   doubled codes.
 *
 * (float) of an integer rounds to nearest even. Every value above is f32, no other rounding takes place; so floats run
 * over rows or tokens, never along k, while integers may be summed in any order.
 *
 * Float weights. f32 and f16 (exactly f32): of each 1024 elements 16 sums, s[l] = fmaf(w[16 i + l], x[16 i + l], s[l])
 * in order of i, then s[l] += s[l + 8] for l < 8, s[l] += s[l + 4] for l < 4, and so on down to one, which is added to
 * acc. The same bits everywhere (f16: where there is no AMX). bf16, f8_e4m3 and f8_e5m2 (exactly bf16) multiply with
 * activations rounded to bf16, by the processor's own bf16 product where it has a fast one (AMD: vdpbf16ps with 16 sums
 * as above, two elements to a lane; AMX: TDPBF16PS over 32 elements after 32), whose inner order and flushing of
 * denormals is the processor's; else as f32 above. f16 with AMX: w = w1 + w2, its upper 8 bits and the others, and x =
 * x1 + x2 to within 2^-17 of it, x1 = bf16(x), x2 = bf16(x - x1), ties away from zero; TDPBF16PS adds w2 x1, w1 x1 and
 * w1 x2 of 32 elements after 32. What a term lacks is below 2^-14 of it, where none of these is denormal; infinities
 * become NaN. Bits of these hold within one instruction set only; within it one token has those of many, since it takes
 * the same instruction: where there is AMX, one token is a product of tiles, too. */
#ifndef KERNELS_MATMUL_H
#define KERNELS_MATMUL_H

#include <tola/tensor.h>

/* Can this type be multiplied with? All block types, f32, f16, bf16, f8_e4m3, f8_e5m2. */
bool matmul_supports(tola_dtype weights);

/* Do rows prepared for one type serve the other? (Both with the same k.) */
bool matmul_same_preparation(tola_dtype a, tola_dtype b);

/* Bytes of `tokens` prepared rows of k elements (0 on overflow); aligned to 64 by the caller. k is a multiple of the
 * type's block, any number for scalars. */
size_t matmul_prepared_bytes(tola_dtype weights, size_t k, size_t tokens);
/* Prepares rows [first, first + count) of x (row t at x + t * x_stride floats) into `prepared`, laid out for `tokens`
 * rows in all. Any thread, disjoint ranges; a range starts at a multiple of MATMUL_TOKENS. */
void matmul_prepare(tola_dtype weights, const float *x, size_t x_stride, size_t k, size_t tokens, size_t first,
                    size_t count, void *prepared);

/* The same of rows that are prepared already, for a type of the same preparation: row first + i becomes row which[i] of
 * `from`, which is laid out for from_tokens rows. */
void matmul_prepare_again(tola_dtype weights, const void *from, size_t from_tokens, const uint32_t *which, size_t k,
                          size_t tokens, size_t first, size_t count, void *prepared);

/* Scratch that one thread needs for a call with so many tokens; may be 0. */
size_t matmul_scratch_bytes(tola_dtype weights, size_t k, size_t tokens);

/* y[t * y_stride + r] for rows r in [first, first + count) and all tokens. `w` is row 0, rows are row_bytes apart.
 * Threads share the work by rows; ranges that start at multiples of MATMUL_ROWS are the fastest. `scratch` is aligned
 * to 64, one a thread. */
void matmul_rows(tola_dtype weights, const void *w, size_t row_bytes, size_t k, const void *prepared, size_t tokens,
                 float *y, size_t y_stride, size_t first, size_t count, void *scratch);
/* Rows that one token takes at a time: ranges of an odd multiple of these are the fastest, as they leave no rest. */
size_t matmul_streams(tola_dtype weights);

/* Asks for a little of what matmul_rows with these rows and one token will read first, `step` 0, 1, ... in turn; false:
 * there is no more to ask for. For threads that wait for others: their product then does not begin with waiting for
 * memory. */
bool matmul_ask(tola_dtype weights, const void *w, size_t row_bytes, size_t first, size_t count, size_t step);

#define MATMUL_ROWS 64
#define MATMUL_TOKENS 32

#endif
