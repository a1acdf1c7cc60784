#include "base/energy.h"
#include "base/source.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(const char *path, char *text, int cap) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool got = fgets(text, cap, f) != NULL;
    fclose(f);
    if (got) text[strcspn(text, "\n")] = 0;
    return got;
}

static void add_zone(const char *root, const char *name, energy_meter *m) {
    char path[320], label[64];
    energy_zone z;
    if (m->count == ENERGY_MOST) return;
    if (snprintf(path, sizeof path, "%s/%s/name", root, name) >= (int)sizeof path) return;
    if (!read_line(path, label, sizeof label)) return;
    if (strncmp(label, "package", 7) != 0 && strcmp(label, "dram") != 0) return;
    if (snprintf(path, sizeof path, "%s/%s/max_energy_range_uj", root, name) >= (int)sizeof path) return;
    if (!source_number(path, &z.range)) return;
    if (snprintf(z.path, sizeof z.path, "%s/%s/energy_uj", root, name) >= (int)sizeof z.path) return;
    if (source_number(z.path, &z.last)) m->zones[m->count++] = z;
}

bool energy_open(const char *root, energy_meter *out) {
    memset(out, 0, sizeof *out);
    if (!root) root = getenv("TOLA_POWERCAP");
    if (!root || !*root) root = "/sys/class/powercap";
    DIR *folder = opendir(root);
    if (!folder) return false;
    for (const struct dirent *e; (e = readdir(folder));)
        if (strncmp(e->d_name, "intel-rapl:", 11) == 0) add_zone(root, e->d_name, out);
    closedir(folder);
    return out->count > 0;
}

void energy_sample(energy_meter *m) {
    for (unsigned i = 0; i < m->count; i++) {
        energy_zone *z = &m->zones[i];
        uint64_t now;
        if (!source_number(z->path, &now)) {
            m->failed = true;
            continue;
        }
        uint64_t used = now >= z->last ? now - z->last : z->range - z->last + now;
        if (now < z->last && z->last > z->range) used = 0; /* a counter that breaks its own promise */
        z->last = now;
        m->joules += (double)used / 1e6;
    }
}

bool energy_joules(energy_meter *m, double *out) {
    if (m->count == 0) return false;
    energy_sample(m);
    if (m->failed) return false;
    *out = m->joules;
    return true;
}
