/* Codebooks that formats define, as scripts/make_grids.py reads them from the gguf package.
 *
 * One word an entry: its values are signed bytes, the first one lowest. The signs of iq2_xxs, iq2_xs and iq3_xxs are
 * stored as seven bits; the eighth makes their number even. */
#ifndef KERNELS_DEQUANTIZE_GRIDS_H
#define KERNELS_DEQUANTIZE_GRIDS_H

#include <stdint.h>

extern const uint64_t grid_iq2_xxs[256], grid_iq2_xs[512], grid_iq2_s[1024]; /* 8 magnitudes: 8, 25 or 43 */
extern const uint64_t grid_iq1[2048];                                       /* 8 of -1, 0, 1; for iq1_s and iq1_m */
extern const uint32_t grid_iq3_xxs[256];                                    /* 4 magnitudes: 4, 12 .. 52, 62 */
extern const uint32_t grid_iq3_s[512];                                      /* 4 magnitudes: 1, 3 .. 15 */

extern const int8_t values_iq4[16]; /* iq4_nl and iq4_xs */
extern const int8_t values_fp4[16]; /* e2m1 twice over, so that they are whole: mxfp4 and nvfp4 */

#endif
