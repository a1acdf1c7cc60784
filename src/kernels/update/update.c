/* The update one float at a time, which is its definition, and the choice of instruction set. */
#define UPDATE_ADAM update_adam_scalar
#include "kernels/update/update_body.h"
#include "base/cpu.h"

update_adam_fn update_adam_get(void) {
    switch (cpu_get()->level) {
#if defined(__x86_64__)
    case CPU_AVX512: return update_adam_avx512;
    case CPU_AVX2: return update_adam_avx2;
#elif defined(__aarch64__)
    case CPU_NEON: return update_adam_neon;
#endif
    default: return update_adam_scalar;
    }
}

update_adam_fn update_adam_get_scalar(void) { return update_adam_scalar; }
