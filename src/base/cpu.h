/* What the processor can do, found once. TOLA_CPU=scalar|sse|avx2|avx512|avx512vnni|avx512bf16|neon in the environment
 * lowers it: avx512 is without VNNI, BF16, VBMI and AMX, avx512vnni without AMX, avx512bf16 the same with products of
 * bf16 even where they are slow. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>

typedef enum cpu_level { CPU_SCALAR = 0, CPU_AVX2, CPU_AVX512, CPU_NEON } cpu_level;

typedef struct cpu_features {
    cpu_level level; /* AVX2 implies FMA, F16C, BMI; AVX512 implies F BW VL DQ */
    bool pclmul, sha; /* sha: SHA-256's rounds and SSE4.1 */
    bool avx512_vnni, avx512_bf16, avx512_vbmi, neon_dotprod, neon_i8mm, neon_bf16, neon_fp16;
    bool slow_bf16; /* avx512_bf16's products take longer than f32's: Intel's (half as fast on Sapphire Rapids) */
    bool amx_int8, amx_bf16; /* with avx512_vnni and avx512_bf16; usable after cpu_allow_amx only */
} cpu_features;

const cpu_features *cpu_get(void); /* immutable after the first call, safe from any thread */
/* Asks the operating system, once for the process, to let its threads use AMX's tiles; false where it does not. */
bool cpu_allow_amx(void);
const char *cpu_level_name(cpu_level level);

#endif
