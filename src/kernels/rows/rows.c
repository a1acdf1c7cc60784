/* The functions of rows one float at a time, which is their definition, and the choice of instruction set. */
#define ROWS_TABLE rows_scalar
#include "kernels/rows/rows_body.h"
#include "base/cpu.h"

const rows_kernels *rows_get(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return &rows_avx512;
    case CPU_AVX2: return &rows_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return &rows_neon;
#endif
    default: return &rows_scalar;
    }
}

const rows_kernels *rows_get_scalar(void) { return &rows_scalar; }
