/* Reading memory with what every processor of the kind has, and the choice among patterns. */
#define READ_ALL peak_read_plain
#include "kernels/peak/read_body.h"

#include "base/cpu.h"

uint64_t peak_read(unsigned pattern, const void *data, size_t bytes) {
    /* Which way is fastest depends on the processor's own prefetching. */
    static const struct {
        size_t streams, ahead;
    } how[PEAK_PATTERNS] = { { 1, 0 }, { 1, 1024 }, { 1, 4096 }, { 4, 1024 }, { 16, 1024 } };
    peak_read_fn read = peak_read_plain;
#if defined(__x86_64__)
    cpu_level level = cpu_get()->level;
    if (level == CPU_AVX512) read = peak_read_avx512;
    else if (level == CPU_AVX2) read = peak_read_avx2;
#endif
    return read(data, bytes, how[pattern].streams, how[pattern].ahead);
}
