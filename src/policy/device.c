#include "policy/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "policy/data.h"

#define MAX_ROWS 4096
#define MAX_FILES 3
#define MAX_NAME 64 /* characters of a name that are compared */
#define HOURS_A_YEAR 8760.0

typedef struct alias {
    char key[MAX_NAME];
    const char *shown;
    size_t row;
} alias;

typedef struct family {
    char key[MAX_NAME];
    const char *name;
} family;

struct devices {
    arena arena;
    yaml *files[MAX_FILES];
    size_t n_files;
    device *rows;
    size_t count, cap;
    alias *aliases;
    size_t n_aliases, aliases_cap;
    family *families;
    size_t n_families, families_cap;
    double years, usd_kwh;
};

const char *device_peak_name(device_peak peak) {
    static const char *const names[DEVICE_PEAKS] = { "f32", "tf32", "bf16", "f16", "f8", "i8", "i4", "f4" };
    return (unsigned)peak < DEVICE_PEAKS ? names[peak] : "?";
}

/* ---- names ---- */

/* Letters and digits in lower case, without the maker in front. */
static void key_of(const char *name, char key[MAX_NAME]) {
    static const char *const makers[] = { "nvidia", "geforce", "amd", "radeon", "instinct", "intel",
                                          "apple",  "google",  "aws", "quadro", "tesla" };
    char text[2 * MAX_NAME];
    size_t n = 0;
    for (; *name && n + 1 < sizeof text; name++) {
        unsigned char c = (unsigned char)*name;
        if (c >= 'A' && c <= 'Z') c = (unsigned char)(c - 'A' + 'a');
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) text[n++] = (char)c;
    }
    text[n] = 0;
    const char *rest = text;
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
            size_t length = strlen(makers[i]);
            if (strncmp(rest, makers[i], length) != 0 || !rest[length]) continue;
            rest += length;
            found = true;
        }
    }
    snprintf(key, MAX_NAME, "%.*s", MAX_NAME - 1, rest);
}

static const alias *find_key(const devices *d, const char *key) {
    for (size_t i = d->n_aliases; i-- > 0;) /* later rows replace earlier ones */
        if (strcmp(d->aliases[i].key, key) == 0) return &d->aliases[i];
    return NULL;
}

static tola_status add_alias(devices *d, const char *name, size_t row, tola_error *err) {
    if (!mem_grow(&d->aliases, &d->aliases_cap, d->n_aliases + 1, sizeof *d->aliases))
        return err_nomem(err, "reading devices");
    alias *a = &d->aliases[d->n_aliases++];
    key_of(name, a->key);
    a->shown = name;
    a->row = row;
    return TOLA_OK;
}

/* ---- rows of a file ---- */

/* "80GiB", "192GB". */
static tola_status read_bytes(const yaml_node *node, uint64_t *out, tola_error *err) {
    static const struct {
        const char *name;
        double factor;
    } units[] = { { "MB", 1e6 },        { "GB", 1e9 },           { "TB", 1e12 },
                  { "MiB", 1048576.0 }, { "GiB", 1073741824.0 }, { "TiB", 1099511627776.0 } };
    const char *text = node->kind == YAML_LIST || node->kind == YAML_MAP ? "" : node->text;
    const char *end;
    double value;
    bool number = json_decimal_prefix(text, &value, &end);
    while (number && *end == ' ') end++;
    for (size_t i = 0; number && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].name) != 0) continue;
        double bytes = value * units[i].factor;
        if (!(bytes >= 1e6 && bytes <= 1e15)) break;
        *out = (uint64_t)bytes;
        return TOLA_OK;
    }
    return yaml_error(node, err, "'%.40s' is no size like 80GiB or 80GB, from 1MB to 1000TB", text);
}

typedef struct row {
    const char *name, *title, *class_name, *price, *source;
    const yaml_node *memory, *aliases, *sizes, *tops;
    double bandwidth, watts, link, usd_hour, usd, usable, decode, prefill;
} row;

typedef struct class_row {
    double decode, prefill, parallel, layer_us;
    const yaml_node *overhead;
} class_row;

/* The map of that name and key in the newest file that has it. */
static const yaml_node *newest(const devices *d, const char *section, const char *key) {
    for (size_t i = d->n_files; i-- > 0;) {
        const yaml_node *found = yaml_get(yaml_get(yaml_root(d->files[i]), section), key);
        if (found) return found;
    }
    return NULL;
}

static tola_status apply_class(devices *d, const yaml_node *at, const char *name, device *out, tola_error *err) {
    static const yaml_field fields[] = {
        { "decode", YAML_TO_F64, offsetof(class_row, decode), 0.01, 1, NULL, true },
        { "prefill", YAML_TO_F64, offsetof(class_row, prefill), 0.01, 1, NULL, true },
        { "parallel", YAML_TO_F64, offsetof(class_row, parallel), 0.01, 1, NULL, true },
        { "layer_us", YAML_TO_F64, offsetof(class_row, layer_us), 0, 1e6, NULL, false },
        { "overhead", YAML_TO_NODE, offsetof(class_row, overhead), 0, 0, NULL, true },
    };
    class_row c = { 0 };
    const yaml_node *map = newest(d, "classes", name);
    if (!map) return yaml_error(at, err, "no class '%s'; there are gpu, card, accelerator, soc, cpu", name);
    TRY(yaml_read(map, fields, sizeof fields / sizeof *fields, &c, err));
    TRY(read_bytes(c.overhead, &out->overhead, err));
    out->decode = c.decode;
    out->prefill = c.prefill;
    out->parallel = c.parallel;
    out->layer_s = c.layer_us * 1e-6;
    return TOLA_OK;
}

static tola_status apply_tops(const yaml_node *map, device *out, tola_error *err) {
    yaml_field fields[DEVICE_PEAKS];
    double values[DEVICE_PEAKS] = { 0 };
    if (!map) return TOLA_OK;
    for (int i = 0; i < DEVICE_PEAKS; i++)
        fields[i] = (yaml_field){
            device_peak_name((device_peak)i), YAML_TO_F64, (size_t)i * sizeof(double), 1e-6, 1e7, NULL, false
        };
    TRY(yaml_read(map, fields, DEVICE_PEAKS, values, err));
    for (int i = 0; i < DEVICE_PEAKS; i++) out->peaks[i] = values[i] * 1e12;
    return TOLA_OK;
}

static tola_status apply_price(devices *d, const yaml_node *at, const row *r, device *out, tola_error *err) {
    static const yaml_field fields[] = {
        { "date", YAML_TO_STRING, 0, 0, 0, NULL, true },
        { "source", YAML_TO_STRING, sizeof(const char *), 0, 0, NULL, true },
    };
    out->usd = r->usd;
    out->usd_hour = r->usd_hour;
    if (r->price) {
        const char *values[2] = { NULL, NULL };
        const yaml_node *map = newest(d, "prices", r->price);
        if (!map) return yaml_error(yaml_get(at, "price"), err, "no row '%s' in prices", r->price);
        TRY(yaml_read(map, fields, 2, values, err));
        out->price_date = values[0];
        out->price_source = strcmp(values[1], "row") == 0 ? out->source : values[1];
    }
    if (out->usd_hour > 0 || !(r->usd > 0)) return TOLA_OK;
    out->bought = true;
    out->usd_hour = r->usd / (d->years * HOURS_A_YEAR) + r->watts / 1000 * d->usd_kwh;
    return TOLA_OK;
}

static tola_status append(devices *d, const device *new, tola_error *err) {
    if (d->count == MAX_ROWS) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d devices", MAX_ROWS);
    if (!mem_grow(&d->rows, &d->cap, d->count + 1, sizeof *d->rows)) return err_nomem(err, "reading devices");
    d->rows[d->count++] = *new;
    return add_alias(d, new->name, d->count - 1, err);
}

/* The members that a device and a family have in common. */
static tola_status read_row(devices *d, const yaml_node *node, bool of_family, row *r, device *out, tola_error *err) {
    static const yaml_field fields[] = {
        { "name", YAML_TO_STRING, offsetof(row, name), 0, 0, NULL, true },
        { "title", YAML_TO_STRING, offsetof(row, title), 0, 0, NULL, false },
        { "class", YAML_TO_STRING, offsetof(row, class_name), 0, 0, NULL, false },
        { "memory", YAML_TO_NODE, offsetof(row, memory), 0, 0, NULL, false },
        { "price", YAML_TO_STRING, offsetof(row, price), 0, 0, NULL, false },
        { "source", YAML_TO_STRING, offsetof(row, source), 0, 0, NULL, false },
        { "aliases", YAML_TO_LIST, offsetof(row, aliases), 0, 0, NULL, false },
        { "sizes", YAML_TO_LIST, offsetof(row, sizes), 0, 0, NULL, false },
        { "tops", YAML_TO_MAP, offsetof(row, tops), 0, 0, NULL, false },
        { "bandwidth_gb_s", YAML_TO_F64, offsetof(row, bandwidth), 0.01, 1e6, NULL, true },
        { "watts", YAML_TO_F64, offsetof(row, watts), 0.1, 1e6, NULL, false },
        { "link_gb_s", YAML_TO_F64, offsetof(row, link), 0.01, 1e6, NULL, false },
        { "usd_hour", YAML_TO_F64, offsetof(row, usd_hour), 0.0001, 1e6, NULL, false },
        { "usd", YAML_TO_F64, offsetof(row, usd), 0.01, 1e9, NULL, false },
        { "usable", YAML_TO_F64, offsetof(row, usable), 0.01, 1, NULL, false },
        { "decode", YAML_TO_F64, offsetof(row, decode), 0.01, 1, NULL, false },
        { "prefill", YAML_TO_F64, offsetof(row, prefill), 0.01, 1, NULL, false },
    };
    *r = (row){ .class_name = "gpu", .usable = 1 };
    TRY(yaml_read(node, fields, sizeof fields / sizeof *fields, r, err));
    if (of_family != !!r->sizes) return yaml_error(node, err, "a family has sizes, a device has none");
    if (of_family == !!r->memory)
        return yaml_error(node, err, of_family ? "a family's memory is in its sizes" : "memory is missing");
    char key[MAX_NAME];
    key_of(r->name, key);
    if (!*key || strcmp(key, "this") == 0) return yaml_error(yaml_get(node, "name"), err, "no name for a device");
    *out = (device){ .name = r->name,
                     .title = r->title ? r->title : r->name,
                     .kind = r->class_name,
                     .source = r->source ? r->source : yaml_name(node->file),
                     .bandwidth = r->bandwidth * 1e9,
                     .watts = r->watts,
                     .link = r->link * 1e9 };
    TRY(apply_class(d, node, r->class_name, out, err));
    if (r->decode > 0) out->decode = r->decode;
    if (r->prefill > 0) out->prefill = r->prefill;
    TRY(apply_tops(r->tops, out, err));
    return apply_price(d, node, r, out, err);
}

static tola_status add_device(devices *d, const yaml_node *node, tola_error *err) {
    row r;
    device new;
    TRY(read_row(d, node, false, &r, &new, err));
    TRY(read_bytes(r.memory, &new.memory, err));
    new.usable = (uint64_t)((double)new.memory *r.usable);
    TRY(append(d, &new, err));
    for (size_t i = 0; r.aliases && i < r.aliases->count; i++) {
        const yaml_node *a = r.aliases->items[i];
        if (a->kind == YAML_LIST || a->kind == YAML_MAP) return yaml_error(a, err, "an alias is a word");
        TRY(add_alias(d, a->text, d->count - 1, err));
    }
    return TOLA_OK;
}

static tola_status add_family(devices *d, const yaml_node *node, tola_error *err) {
    row r;
    device new;
    TRY(read_row(d, node, true, &r, &new, err));
    for (size_t i = 0; i < r.sizes->count; i++) {
        uint64_t gib;
        char name[MAX_NAME + 24], title[160];
        TRY(yaml_u64(r.sizes->items[i], 1, 1 << 20, &gib, err));
        snprintf(name, sizeof name, "%.*s-%llu", MAX_NAME - 1, r.name, (unsigned long long)gib);
        snprintf(title, sizeof title, "%.120s %lluGB", r.title ? r.title : r.name, (unsigned long long)gib);
        new.name = arena_strndup(&d->arena, name, strlen(name));
        new.title = arena_strndup(&d->arena, title, strlen(title));
        if (!new.name || !new.title) return err_nomem(err, "reading devices");
        new.memory = gib << 30;
        if (i > 0) { /* the price is that of the first size */
            new.usd = new.usd_hour = 0;
            new.bought = false;
            new.price_date = new.price_source = NULL;
        }
        new.usable = (uint64_t)((double)new.memory *r.usable);
        TRY(append(d, &new, err));
    }
    if (!mem_grow(&d->families, &d->families_cap, d->n_families + 1, sizeof *d->families))
        return err_nomem(err, "reading devices");
    key_of(r.name, d->families[d->n_families].key);
    d->families[d->n_families++].name = r.name;
    return TOLA_OK;
}

static tola_status add_file(devices *d, yaml *file, tola_error *err) {
    static const char *const known[] = { "version", "economics", "classes", "prices",
                                         "devices", "families",  "kernels", NULL };
    static const yaml_field economics[] = {
        { "years", YAML_TO_F64, offsetof(devices, years), 0.1, 100, NULL, false },
        { "usd_kwh", YAML_TO_F64, offsetof(devices, usd_kwh), 0, 100, NULL, false },
    };
    d->files[d->n_files++] = file;
    const yaml_node *root = yaml_root(file);
    TRY(yaml_keys(root, known, err));
    const yaml_node *part = yaml_get(root, "economics");
    if (part) TRY(yaml_read(part, economics, 2, d, err));
    part = yaml_get(root, "devices");
    if (part) TRY(yaml_expect(part, YAML_LIST, err));
    for (size_t i = 0; part && i < part->count; i++) TRY(add_device(d, part->items[i], err));
    part = yaml_get(root, "families");
    if (part) TRY(yaml_expect(part, YAML_LIST, err));
    for (size_t i = 0; part && i < part->count; i++) TRY(add_family(d, part->items[i], err));
    return TOLA_OK;
}

/* ---- the table ---- */

/* The user's own file; freed with mem_free. NULL: no memory, or nowhere to look. */
static char *own_file(void) {
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const bool given = base && *base == '/'; /* others are to be ignored, says the XDG base directory specification */
    if (!given && !(home && *home)) return NULL;
    size_t length = strlen(given ? base : home) + 40;
    char *path = mem_alloc(length);
    if (path) snprintf(path, length, "%s%s/tola/devices.yaml", given ? base : home, given ? "" : "/.config");
    return path;
}

static tola_status add_all(devices *d, const char *file, tola_error *err) {
    yaml *y;
    TRY(data_open("devices.yaml", &y, err));
    TRY(add_file(d, y, err));
    char *own = own_file();
    if (own && access(own, F_OK) == 0) {
        tola_status status = yaml_open(own, &y, err);
        if (status == TOLA_OK) status = add_file(d, y, err);
        if (status != TOLA_OK) {
            mem_free(own);
            return status;
        }
    }
    mem_free(own);
    if (!file) return TOLA_OK;
    TRY(yaml_open(file, &y, err));
    return add_file(d, y, err);
}

tola_status devices_open(const char *file, devices **out, tola_error *err) {
    devices *d = mem_calloc(1, sizeof *d);
    if (!d) return err_nomem(err, "reading devices");
    arena_init(&d->arena, 0);
    d->years = 3;
    tola_status status = add_all(d, file, err);
    if (status == TOLA_OK)
        *out = d;
    else
        devices_free(d);
    return status;
}

void devices_free(devices *d) {
    if (!d) return;
    for (size_t i = 0; i < d->n_files; i++) yaml_free(d->files[i]);
    arena_free(&d->arena);
    mem_free(d->rows);
    mem_free(d->aliases);
    mem_free(d->families);
    mem_free(d);
}

const char *devices_version(const devices *d) {
    const yaml_node *v = yaml_get(yaml_root(d->files[0]), "version");
    return v && v->text ? v->text : "unknown";
}

size_t devices_count(const devices *d) { return d->count; }
const device *devices_at(const devices *d, size_t i) { return &d->rows[i]; }

/* ---- looking one up ---- */

static const alias *find_plain(const devices *d, const char *name) {
    char key[MAX_NAME];
    key_of(name, key);
    const alias *found = *key ? find_key(d, key) : NULL;
    size_t length = strlen(key);
    if (found || length < 3 || strcmp(key + length - 2, "gb") != 0) return found;
    key[length - 2] = 0; /* "rtx 3060 12gb", "m3-max-64gb" */
    return find_key(d, key);
}

/* "8xh100", "8 x H100", "h100x8", "h100*8". */
static const alias *find_several(const devices *d, const char *name, uint32_t *count) {
    char copy[2 * MAX_NAME], *end;
    if (strlen(name) >= sizeof copy) return NULL;
    strcpy(copy, name);
    unsigned long n = *copy >= '1' && *copy <= '9' ? strtoul(copy, &end, 10) : 0;
    while (n && *end == ' ') end++;
    if (n > 0 && n <= 1000000 && (*end == 'x' || *end == 'X' || *end == '*')) {
        const alias *found = find_plain(d, end + 1);
        if (found) {
            *count = (uint32_t)n;
            return found;
        }
    }
    size_t length = strlen(copy), digits = length;
    while (digits > 0 && copy[digits - 1] >= '0' && copy[digits - 1] <= '9') digits--;
    if (digits == length || digits < 2 || length - digits > 6 || !strchr("xX*", copy[digits - 1])) return NULL;
    n = strtoul(copy + digits, NULL, 10);
    copy[digits - 1] = 0;
    const alias *found = n ? find_plain(d, copy) : NULL;
    if (found) *count = (uint32_t)n;
    return found;
}

/* "m3-max" alone: with which memory? */
static tola_status ask_for_size(const devices *d, const family *f, tola_error *err) {
    char list[256];
    size_t at = 0, n = strlen(f->name);
    list[0] = 0;
    for (size_t i = 0; i < d->count && at < sizeof list - 32; i++) {
        const char *name = d->rows[i].name;
        if (strncmp(name, f->name, n) != 0 || name[n] != '-' || !(name[n + 1] >= '0' && name[n + 1] <= '9')) continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", name);
    }
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "which '%s'? The memory belongs to the name: %s", f->name,
                   list);
}

static bool is_size(const char *name) {
    const char *end;
    double value;
    if (!json_decimal_prefix(name, &value, &end)) return false;
    while (*end == ' ') end++;
    return value > 0 && (*end == 'G' || *end == 'g' || *end == 'M' || *end == 'T' || *end == 't') &&
           (strcmp(end + 1, "B") == 0 || strcmp(end + 1, "iB") == 0 || strcmp(end + 1, "b") == 0 || !end[1]);
}

tola_status devices_find(const devices *d, const char *name, const device **out, uint32_t *count, tola_error *err) {
    char key[MAX_NAME], nearest_key[MAX_NAME];
    uint32_t several = 0;
    const alias *found = find_plain(d, name);
    if (!found) found = find_several(d, name, &several);
    if (found) {
        *out = &d->rows[found->row];
        *count = several;
        return TOLA_OK;
    }
    key_of(name, key);
    for (size_t i = 0; i < d->n_families; i++)
        if (strcmp(d->families[i].key, key) == 0) return ask_for_size(d, &d->families[i], err);
    if (is_size(name))
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                       "'%.40s' is a size, not a device; a device of your own goes into a file (--devices)", name);
    tola_nearest near;
    tola_nearest_init(&near, key);
    const char *shown = NULL;
    for (size_t i = 0; i < d->n_aliases; i++) {
        const char *before = near.best;
        tola_nearest_try(&near, d->aliases[i].key);
        if (near.best != before) shown = d->rows[d->aliases[i].row].name;
    }
    snprintf(nearest_key, sizeof nearest_key, "%.50s", name);
    if (!shown)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "no device '%s'; --list-devices shows them all",
                       nearest_key);
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                   "no device '%s'; did you mean '%s'? --list-devices shows them all", nearest_key, shown);
}

/* ---- own kernels ---- */

static double limit_of(const device *d, const char *peak) {
    if (strcmp(peak, "int8_tiles") == 0) return d->tiles_i8;
    if (strcmp(peak, "bf16_tiles") == 0) return d->tiles_bf16;
    if (strcmp(peak, "int8") == 0) return d->peaks[DEVICE_I8];
    if (strcmp(peak, "bf16") == 0) return d->peaks[DEVICE_BF16];
    return strcmp(peak, "f32") == 0 ? d->peaks[DEVICE_F32] : 0;
}

/* How far a row is from a type: names first, then bits. */
static double distance(const device_kernel *k, const char *type, double bits) {
    size_t n = strlen(k->type);
    if (type && strncasecmp(type, k->type, n) == 0 && (!type[n] || type[n] == '_' || type[n] == ' ')) return 0;
    double d = k->bits > bits ? k->bits / bits : bits / k->bits;
    return bits > 0 ? d : 1000;
}

bool devices_kernel(const devices *table, const device *d, const char *type, double bits, device_kernel *out) {
    static const yaml_field fields[] = {
        { "type", YAML_TO_STRING, offsetof(device_kernel, type), 0, 0, NULL, true },
        { "peak", YAML_TO_STRING, offsetof(device_kernel, peak), 0, 0, NULL, true },
        { "bits", YAML_TO_F64, offsetof(device_kernel, bits), 0.5, 64, NULL, true },
        { "decode", YAML_TO_F64, offsetof(device_kernel, decode), 0.01, 2, NULL, true },
        { "prefill", YAML_TO_F64, offsetof(device_kernel, prefill), 0.001, 8, NULL, true },
    };
    const yaml_node *list = yaml_get(yaml_root(table->files[0]), "kernels");
    double nearest = INFINITY;
    for (size_t i = 0; list && i < list->count; i++) {
        device_kernel k = { 0 };
        if (yaml_read(list->items[i], fields, sizeof fields / sizeof *fields, &k, NULL) != TOLA_OK) return false;
        k.limit = limit_of(d, k.peak);
        double far = distance(&k, type, bits);
        if (!(k.limit > 0) || far >= nearest) continue;
        nearest = far;
        *out = k;
    }
    return isfinite(nearest);
}
