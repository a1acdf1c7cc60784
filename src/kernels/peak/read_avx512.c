/* Reading memory with vectors of 64 bytes. */
#include "kernels/peak/peak.h"

#if defined(__x86_64__)
#define READ_ALL peak_read_avx512
#include "kernels/peak/read_body.h"
#endif
