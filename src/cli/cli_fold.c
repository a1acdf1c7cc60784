/* Folding names: "h.0.ln.weight" .. "h.11.ln.weight" -> "h.{0-11}.ln.weight".
 *
 * A number counts where it stands alone between dots, slashes or underscores. Tensors are grouped by a hash table over the name with its numbers
 * left out, dtype and shape; the numbers seen at each place are kept and written as ranges. */
#include "cli_fold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

#define FOLD_PLACES 8 /* numbers in one name; later ones are taken as text */

typedef struct place {
    uint32_t *seen;
    size_t count, cap;
} place;

typedef struct group {
    const tola_tensor_info *first;
    uint64_t hash;
    size_t count;
    uint64_t bytes;
    place places[FOLD_PLACES];
    unsigned n_places;
} group;

typedef struct folding {
    group *groups;
    size_t count, cap;
    uint32_t *table; /* group + 1 */
    size_t table_cap;
} folding;

static bool separates(char c) { return c == '.' || c == '/' || c == '_' || c == 0; }

/* Length of the number that starts at p, behind a separator; 0 where there is none. *zeros: its digits, where it starts
 * with a zero that says nothing ("007"), else 0. */
static size_t number_at(const char *p, uint32_t *value, unsigned *zeros) {
    size_t n = 0;
    uint32_t v = 0;
    while (n < 7 && p[n] >= '0' && p[n] <= '9') v = v * 10 + (uint32_t)(p[n++] - '0');
    if (n == 0 || !separates(p[n])) return 0;
    *value = v;
    *zeros = n > 1 && p[0] == '0' ? (unsigned)n : 0;
    return n;
}

/* Walks a name: text outside numbers goes into the hash, numbers into values. */
static unsigned split(const char *name, uint32_t values[FOLD_PLACES], uint64_t *hash) {
    unsigned n = 0;
    uint64_t h = *hash;
    bool start = true;
    for (const char *p = name; *p;) {
        unsigned zeros;
        size_t digits = start && n < FOLD_PLACES ? number_at(p, &values[n], &zeros) : 0;
        if (digits) {
            n++;
            p += digits;
            h = (h ^ (1 + zeros)) * 0x100000001b3u; /* what hashes alike is compared below */
            start = false;
            continue;
        }
        start = separates(*p);
        h = (h ^ (uint8_t)*p++) * 0x100000001b3u;
    }
    *hash = h;
    return n;
}

/* Are the two names equal outside their numbers? */
static bool same_pattern(const char *a, const char *b) {
    bool start = true;
    unsigned n = 0;
    while (*a && *b) {
        uint32_t unused;
        unsigned zeros_a, zeros_b;
        size_t x = start && n < FOLD_PLACES ? number_at(a, &unused, &zeros_a) : 0;
        size_t y = x ? number_at(b, &unused, &zeros_b) : 0;
        if (x && y && zeros_a == zeros_b) {
            n++;
            a += x;
            b += y;
            start = false;
            continue;
        }
        if (*a != *b) return false;
        start = separates(*a);
        a++;
        b++;
    }
    return *a == *b;
}

static bool same_type(const tola_tensor_info *a, const tola_tensor_info *b) {
    return a->dtype == b->dtype && a->n_dims == b->n_dims && a->bytes == b->bytes &&
           ((a->flags ^ b->flags) & TOLA_TENSOR_MISSING) == 0 &&
           (a->n_dims == 0 || memcmp(a->shape, b->shape, a->n_dims * sizeof *a->shape) == 0);
}

static void grow_table(folding *f) {
    size_t cap = f->table_cap ? f->table_cap * 2 : 256;
    free(f->table);
    f->table = frame_alloc(cap * sizeof *f->table);
    memset(f->table, 0, cap * sizeof *f->table);
    f->table_cap = cap;
    for (size_t i = 0; i < f->count; i++) {
        size_t slot = f->groups[i].hash & (cap - 1);
        while (f->table[slot]) slot = (slot + 1) & (cap - 1);
        f->table[slot] = (uint32_t)i + 1;
    }
}

static group *group_of(folding *f, const tola_tensor_info *t, uint64_t hash) {
    if (f->count * 2 >= f->table_cap) grow_table(f);
    size_t slot = hash & (f->table_cap - 1);
    for (; f->table[slot]; slot = (slot + 1) & (f->table_cap - 1)) {
        group *g = &f->groups[f->table[slot] - 1];
        if (g->hash == hash && same_type(g->first, t) && same_pattern(g->first->name, t->name)) return g;
    }
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->groups = frame_realloc(f->groups, f->cap * sizeof *f->groups);
    }
    f->table[slot] = (uint32_t)f->count + 1;
    group *g = &f->groups[f->count++];
    *g = (group){ .first = t, .hash = hash };
    return g;
}

static void see(place *p, uint32_t value) {
    if (p->count && p->seen[p->count - 1] == value) return; /* neighbours often share a layer */
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        p->seen = frame_realloc(p->seen, p->cap * sizeof *p->seen);
    }
    p->seen[p->count++] = value;
}

static void add_tensor(folding *f, const tola_tensor_info *t) {
    uint32_t values[FOLD_PLACES];
    uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)t->dtype << 8 | t->n_dims) ^ t->elements << 16;
    unsigned n = split(t->name, values, &hash);
    group *g = group_of(f, t, hash);
    g->n_places = n;
    for (unsigned i = 0; i < n; i++) see(&g->places[i], values[i]);
    g->count++;
    g->bytes += t->bytes;
}

/* ---- writing names ---- */

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct text {
    char *data;
    size_t length, cap;
} text;

static void put(text *t, const char *data, size_t length) {
    while (t->length + length + 1 > t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->data = frame_realloc(t->data, t->cap);
    }
    memcpy(t->data + t->length, data, length);
    t->length += length;
    t->data[t->length] = 0;
}

/* "{0-3,5}", or the number alone where there is one. */
static void put_place(text *out, place *p, int digits) {
    char number[32];
    qsort(p->seen, p->count, sizeof *p->seen, by_value);
    bool many = p->count && p->seen[0] != p->seen[p->count - 1];
    if (many) put(out, "{", 1);
    for (size_t i = 0; i < p->count;) {
        size_t last = i;
        while (last + 1 < p->count && p->seen[last + 1] - p->seen[last] <= 1) last++;
        if (i) put(out, ",", 1);
        put(out, number, (size_t)snprintf(number, sizeof number, "%0*" PRIu32, digits, p->seen[i]));
        if (p->seen[i] != p->seen[last])
            put(out, number, (size_t)snprintf(number, sizeof number, "-%0*" PRIu32, digits, p->seen[last]));
        i = last + 1;
    }
    if (many) put(out, "}", 1);
}

static char *name_of(group *g) {
    text out = { NULL, 0, 0 };
    unsigned n = 0;
    bool start = true;
    put(&out, "", 0);
    for (const char *p = g->first->name; *p;) {
        uint32_t unused;
        unsigned zeros;
        size_t digits = start && n < g->n_places ? number_at(p, &unused, &zeros) : 0;
        if (digits) {
            put_place(&out, &g->places[n++], (int)zeros);
            p += digits;
            start = false;
            continue;
        }
        start = separates(*p);
        put(&out, p++, 1);
    }
    return out.data;
}

static fold_list finish(folding *f, size_t tensors) {
    fold_list list = { frame_alloc(f->count * sizeof *list.rows), f->count, tensors };
    for (size_t i = 0; i < f->count; i++) {
        group *g = &f->groups[i];
        list.rows[i] = (fold_row){ name_of(g), g->first, g->count, g->bytes };
        for (unsigned k = 0; k < g->n_places; k++) free(g->places[k].seen);
    }
    free(f->groups);
    free(f->table);
    return list;
}

fold_list fold_tensors(const tola_checkpoint *checkpoint, const char *glob) {
    folding f = { NULL, 0, 0, NULL, 0 };
    size_t count = tola_checkpoint_tensor_count(checkpoint), n = 0;
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(checkpoint, i);
        if (glob && !tola_glob_match(glob, t->name)) continue;
        add_tensor(&f, t);
        n++;
    }
    return finish(&f, n);
}

fold_list fold_chosen(const tola_checkpoint *checkpoint, const size_t *indices, size_t count) {
    folding f = { NULL, 0, 0, NULL, 0 };
    for (size_t i = 0; i < count; i++) add_tensor(&f, tola_checkpoint_tensor(checkpoint, indices[i]));
    return finish(&f, count);
}

void fold_free(fold_list *list) {
    for (size_t i = 0; i < list->count; i++) free(list->rows[i].name);
    free(list->rows);
    *list = (fold_list){ NULL, 0, 0 };
}

const char *fold_shape(char *buf, size_t n, const tola_tensor_info *t) {
    if (t->n_dims == 0) {
        snprintf(buf, n, "%s", t->flags & TOLA_TENSOR_MISSING ? "?" : "scalar");
        return buf;
    }
    size_t at = 0;
    for (unsigned i = 0; i < t->n_dims && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%" PRIu64, i ? ", " : "[", t->shape[i]);
    if (at < n) snprintf(buf + at, n - at, "]");
    return buf;
}
