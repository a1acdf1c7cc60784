/* Devices that models run on: memory, bandwidth, peaks, prices; a table in data/devices.yaml, which files of the user's
 * extend and replace row by row, and this machine, measured.
 *
 * Names are compared without case, blanks, dashes and the maker's name: "RTX 4090", "rtx-4090" and "4090" are one. */
#ifndef POLICY_DEVICE_H
#define POLICY_DEVICE_H

#include "base/yaml.h"

typedef enum device_peak {
    DEVICE_F32,
    DEVICE_TF32,
    DEVICE_BF16,
    DEVICE_F16,
    DEVICE_F8,
    DEVICE_I8,
    DEVICE_I4,
    DEVICE_F4,
    DEVICE_PEAKS
} device_peak;
const char *device_peak_name(device_peak peak); /* "f32", "tf32", ... */

typedef struct device {
    const char *name;                      /* "h100-sxm"; of this machine "this" */
    const char *title;                     /* "NVIDIA H100 SXM 80GB" */
    const char *kind;                      /* "gpu", "card", "accelerator", "soc", "cpu" */
    const char *source;                    /* of the figures: an address, a file, "measured" */
    uint64_t memory;                       /* bytes there are */
    uint64_t usable;                       /* of them for programs */
    uint64_t overhead;                     /* of those for the driver, its context, libraries: an estimate */
    double bandwidth;                      /* bytes a second */
    double peaks[DEVICE_PEAKS];            /* operations a second, dense; 0: none, or unknown */
    double watts, link;                    /* link: bytes a second, both directions together; 0: unknown */
    double usd;                            /* to buy one; 0: unknown */
    double usd_hour;                       /* to rent one, or from `usd`, years of use and electricity; 0: unknown */
    bool bought;                           /* usd_hour comes from usd */
    const char *price_date, *price_source; /* NULL: unknown */
    double decode, prefill;                /* shares of bandwidth and peak that are reached: estimates */
    double layer_s;                        /* seconds of each layer in which nothing is read: an estimate */
    double parallel;                       /* of the sum of several, what they reach together */
    bool measured;                         /* this machine */
    /* of this machine: */
    uint64_t available; /* bytes that are free now */
    uint64_t limit;     /* of its control group; 0: none */
    unsigned threads;
    double tiles_i8, tiles_bf16; /* peaks of its tiles (AMX), which are among peaks, too; 0: none */
} device;

typedef struct devices devices;
/* The table of the build, then $XDG_CONFIG_HOME/tola/devices.yaml (~/.config where that is not set) if it is there,
 * then `file` (NULL: none). */
tola_status devices_open(const char *file, devices **out, tola_error *err);
void devices_free(devices *d); /* NULL is fine; rows die with it */
const char *devices_version(const devices *d);
size_t devices_count(const devices *d);
const device *devices_at(const devices *d, size_t i);
/* "h100", "8xh100" or "h100x8" (*count: 8, else 0). TOLA_E_NOT_FOUND with the nearest name; "this" is not in the
 * table. */
tola_status devices_find(const devices *d, const char *name, const device **out, uint32_t *count, tola_error *err);

/* What the program's own kernels reach of this machine's limits, by type of the weights (data/devices.yaml, kernels).
 */
typedef struct device_kernel {
    const char *type;
    double bits;      /* a weight */
    double decode;    /* of the bandwidth */
    double prefill;   /* of the operations of `peak` */
    const char *peak; /* a name of tola_limit */
    double limit;     /* operations a second of that peak on the device */
} device_kernel;
/* The row nearest to a type's name ("q4_k_m" is q4_k) or, where no name fits, to its bits; of several, the first whose
 * peak `d` has. False: no row. */
bool devices_kernel(const devices *table, const device *d, const char *type, double bits, device_kernel *out);

/* This machine: memory that there is, that its control group allows and that is free; bandwidth and peaks over
 * `read_bytes` of memory (less where it is short), with `threads` (0: all). The strings are static. */
tola_status device_measure(const devices *table, uint64_t read_bytes, unsigned threads, device *out, tola_error *err);

#endif
