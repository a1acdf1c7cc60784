/* Energy that processors counted themselves: Intel's and AMD's RAPL through Linux' powercap
 * (https://docs.kernel.org/power/powercap/powercap.html): microjoules that wrap around at max_energy_range_uj.
 *
 * Packages count, and memory that they do not hold (dram); what is inside a package (core, uncore) or around it (psys)
 * does not, so that nothing counts twice. Usually only root may read the counters. */
#ifndef BASE_ENERGY_H
#define BASE_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

enum { ENERGY_MOST = 64 }; /* zones: packages and memories of one machine */

typedef struct energy_zone {
    char path[320]; /* of energy_uj */
    uint64_t last, range;
} energy_zone;

typedef struct energy_meter {
    energy_zone zones[ENERGY_MOST];
    unsigned count;
    bool failed;   /* a counter could not be read later: the sum is no longer known */
    double joules; /* since energy_open */
} energy_meter;

/* `root` NULL: TOLA_POWERCAP, else /sys/class/powercap. False where there is no counter that can be read. */
bool energy_open(const char *root, energy_meter *out);
/* Adds what was used since the last call. A counter of 262 kJ wraps after 20 minutes at 200 W: call at least every few
 * minutes. */
void energy_sample(energy_meter *m);
/* Joules until now; false where they are not known. */
bool energy_joules(energy_meter *m, double *out);

#endif
