/* Reading memory with vectors of 32 bytes. */
#include "kernels/peak/peak.h"

#if defined(__x86_64__)
#define READ_ALL peak_read_avx2
#include "kernels/peak/read_body.h"
#endif
