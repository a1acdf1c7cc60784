/* This machine as a device: how much memory, how fast. Linux: /proc/meminfo and control groups of both versions
 * (https://docs.kernel.org/admin-guide/cgroup-v2.html). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tola/machine.h>

#include "base/source.h"
#include "policy/device.h"

#define ROUNDS 3
#define READ_LEAST ((uint64_t)4 << 20) /* what a token reads, so that caches serve both alike */
#define READ_MOST ((uint64_t)1 << 30)
#define NO_LIMIT (UINT64_MAX / 4) /* version 1 says "no limit" with a number near 2^63 */

/* The smallest limit of the group and those around it, and what is left below that; UINT64_MAX where there is none. */
typedef struct group {
    uint64_t limit, left;
} group;

static void look_at(group *g, const char *folder, const char *limit_name, const char *used_name) {
    char path[4200];
    uint64_t limit, used;
    snprintf(path, sizeof path, "%s/%s", folder, limit_name);
    if (!source_number(path, &limit) || limit >= NO_LIMIT) return;
    if (limit < g->limit) g->limit = limit;
    snprintf(path, sizeof path, "%s/%s", folder, used_name);
    if (source_number(path, &used) && limit - (used < limit ? used : limit) < g->left)
        g->left = limit - (used < limit ? used : limit);
}

static void look_upwards(group *g, const char *root, char *below, const char *limit_name, const char *used_name) {
    char folder[4160];
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", root, below);
        look_at(g, folder, limit_name, used_name);
        char *slash = strrchr(below, '/');
        if (!slash) return;
        *slash = 0;
    }
}

static group find_group(void) {
    group g = { UINT64_MAX, UINT64_MAX };
    char line[4096];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *path = kind ? strchr(kind + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        if (strcmp(kind, ":") == 0) look_upwards(&g, "/sys/fs/cgroup", path, "memory.max", "memory.current");
        if (strstr(kind, "memory"))
            look_upwards(&g, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes");
    }
    if (f) fclose(f);
    return g;
}

/* "MemAvailable:   12345 kB" in bytes; 0 where it is not told. */
static uint64_t meminfo(const char *name) {
    char line[256];
    uint64_t found = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0) found = strtoull(line + strlen(name), NULL, 10) * 1024;
    if (f) fclose(f);
    return found;
}

static tola_status find_memory(const devices *table, device *out, tola_error *err) {
    const device *cpu = NULL; /* any processor of the table: for what the class says */
    for (size_t i = 0; i < devices_count(table) && !cpu; i++)
        if (strcmp(devices_at(table, i)->kind, "cpu") == 0) cpu = devices_at(table, i);
    uint64_t physical = meminfo("MemTotal:"), available = meminfo("MemAvailable:");
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (!physical && pages > 0 && page > 0) physical = (uint64_t)pages * (uint64_t)page;
    if (!physical) return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "this system does not tell its memory");
    if (!available) available = physical;
    const group g = find_group();
    device d = { .name = "this",
                 .title = "this machine",
                 .kind = "cpu",
                 .source = "measured",
                 .memory = physical,
                 .decode = cpu ? cpu->decode : 0.75,
                 .prefill = cpu ? cpu->prefill : 0.4,
                 .parallel = 1,
                 .measured = true };
    d.limit = g.limit < physical ? g.limit : 0;
    d.usable = d.limit ? d.limit : physical;
    d.available = available < g.left ? available : g.left;
    if (d.available > d.usable) d.available = d.usable;
    *out = d;
    return TOLA_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

tola_status device_measure(const devices *table, uint64_t read_bytes, unsigned threads, device *out, tola_error *err) {
    device d;
    TRY(find_memory(table, &d, err));
    uint64_t bytes = read_bytes < READ_LEAST ? READ_LEAST : read_bytes > READ_MOST ? READ_MOST : read_bytes;
    if (bytes > d.available / 4) bytes = d.available / 4;
    tola_machine *machine;
    double found[TOLA_LIMIT_COUNT][ROUNDS], median[TOLA_LIMIT_COUNT];
    TRY(tola_machine_open(bytes, &machine, err));
    tola_status status = TOLA_OK;
    for (int r = 0; r < ROUNDS && status == TOLA_OK; r++) {
        double limits[TOLA_LIMIT_COUNT];
        status = tola_machine_measure(machine, threads, limits, err);
        for (int i = 0; i < TOLA_LIMIT_COUNT && status == TOLA_OK; i++) found[i][r] = limits[i];
    }
    tola_machine_close(machine);
    if (status != TOLA_OK) return status;
    for (int i = 0; i < TOLA_LIMIT_COUNT; i++) {
        qsort(found[i], ROUNDS, sizeof *found[i], by_value);
        median[i] = found[i][ROUNDS / 2];
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    d.threads = threads ? threads : online > 0 ? (unsigned)online : 1;
    d.bandwidth = median[TOLA_LIMIT_READ];
    d.peaks[DEVICE_F32] = d.peaks[DEVICE_F16] = median[TOLA_LIMIT_F32];
    /* not where f32 is faster, which products of bf16 then go through */
    d.peaks[DEVICE_BF16] = median[TOLA_LIMIT_BF16] > median[TOLA_LIMIT_F32] ? median[TOLA_LIMIT_BF16] : 0;
    d.peaks[DEVICE_I8] = median[TOLA_LIMIT_INT8];
    d.tiles_bf16 = median[TOLA_LIMIT_BF16_TILES];
    d.tiles_i8 = median[TOLA_LIMIT_INT8_TILES];
    *out = d;
    return TOLA_OK;
}
