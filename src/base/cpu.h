/* What the processor can do, found once. TOLA_CPU=scalar|sse|avx2|avx512|neon in the environment lowers it. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>

typedef enum cpu_level { CPU_SCALAR = 0, CPU_AVX2, CPU_AVX512, CPU_NEON } cpu_level;

typedef struct cpu_features {
    cpu_level level; /* AVX2 implies FMA, F16C, BMI; AVX512 implies F BW VL DQ */
    bool pclmul, avx512_vnni, avx512_bf16, avx512_vbmi, neon_dotprod, neon_i8mm, neon_bf16, neon_fp16;
} cpu_features;

const cpu_features *cpu_get(void); /* immutable after the first call, safe from any thread */
const char *cpu_level_name(cpu_level level);

#endif
