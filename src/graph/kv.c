/* The cache of keys and values: pages, who holds them, what they cost. kv.h says what it promises.
 *
 * A page has a head of 64 bytes and then, for each layer of its group and each kv head, keys and values as
 * kernels/attention lays them out, each from a multiple of 64 on. A sequence has for each group the pages from its
 * first one that is still held to the one of its last position, with no gap.
 *
 * Positions are counted in pages of one group, the one that keeps the most: a page that several sequences share counts
 * once, with the slots of the one that uses most of it. */
#include "graph/kv_pages.h"

#include "base/mem.h"
#include "graph/op.h"

#include <string.h>

enum { PAGE_HEAD = 64, MOST_LAYERS = 1 << 22 };
#define MOST_POSITIONS ((size_t)UINT32_MAX) /* graph_batch.positions */

typedef struct kv_page {
    struct kv_page *next; /* while it waits in `fresh` */
    size_t holders;
    size_t filled; /* slots that some holder uses */
} kv_page;
_Static_assert(sizeof(kv_page) <= PAGE_HEAD, "the head of a page");

typedef struct kv_group {
    kv_layer sees; /* window and chunk */
    size_t bytes;  /* of a page without its head */
    kv_page *fresh;
} kv_group;

typedef struct kv_spot {
    kv_layer shape;
    uint32_t group;
    size_t offset;                 /* in the page, without its head */
    size_t key_bytes, value_bytes; /* of one head, rounded up to 64 */
} kv_spot;

struct kv_cache {
    kv_options options;
    kv_spot *spots; /* of each layer */
    size_t spot_count;
    kv_group *groups;
    size_t group_count;
    size_t widest; /* the group whose pages are counted */
    size_t taken;  /* positions in them */
    size_t bytes;  /* held */
    float *zeros;  /* as many as the longest key or value */
};

typedef struct kv_run {
    kv_page **pages;
    size_t first, count, cap; /* pages [first, first + count) of the sequence */
} kv_run;

struct kv_sequence {
    kv_cache *kv;
    size_t length;
    kv_run runs[]; /* of each group */
};

static size_t pages_of(size_t positions) { return positions / KV_PAGE + (positions % KV_PAGE != 0); }

static uint8_t *page_data(const kv_page *p) { return (uint8_t *)(uintptr_t)p + PAGE_HEAD; }

/* ---- the cache ---- */

size_t kv_visible_from(const kv_layer *layer, size_t position) {
    size_t from = 0;
    if (layer->window > 0 && position >= layer->window) from = position - layer->window + 1;
    if (layer->chunk > 0 && position - position % layer->chunk > from) from = position - position % layer->chunk;
    return from;
}

/* How many positions a query sees at most. */
static size_t span(const kv_layer *layer) {
    size_t n = MOST_POSITIONS;
    if (layer->window > 0) n = layer->window;
    if (layer->chunk > 0 && layer->chunk < n) n = layer->chunk;
    return n;
}

static size_t group_for(kv_cache *kv, const kv_layer *layer) {
    for (size_t i = 0; i < kv->group_count; i++)
        if (kv->groups[i].sees.window == layer->window && kv->groups[i].sees.chunk == layer->chunk) return i;
    kv->groups[kv->group_count].sees = (kv_layer){ .window = layer->window, .chunk = layer->chunk };
    return kv->group_count++;
}

static tola_status place_layer(kv_cache *kv, size_t index, const kv_layer *layer, tola_error *err) {
    const tola_dtype types[] = { kv->options.key, kv->options.value };
    const uint32_t dims[] = { layer->key_dim, layer->value_dim };
    size_t bytes[] = { attention_bytes(types[0], dims[0]), attention_bytes(types[1], dims[1]) };
    for (int i = 0; i < 2; i++) {
        if (bytes[i] == 0)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "no cache of %s for %s of %u numbers in layer %zu",
                           tola_dtype_name(types[i]), i == 0 ? "keys" : "values", dims[i], index);
        bytes[i] = (bytes[i] + 63) / 64 * 64;
    }
    kv_group *g = &kv->groups[group_for(kv, layer)];
    kv->spots[index] = (kv_spot){ *layer, (uint32_t)(g - kv->groups), g->bytes, bytes[0], bytes[1] };
    uint64_t all;
    if (!mul_u64(bytes[0] + bytes[1], layer->kv_heads, &all) || !add_u64(all, g->bytes, &all) || all > SIZE_MAX / 2)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a page of the cache of %zu layers is too large", index + 1);
    g->bytes = (size_t)all;
    return TOLA_OK;
}

static tola_status place_layers(kv_cache *kv, const kv_layer *layers, tola_error *err) {
    size_t longest = 1;
    for (size_t i = 0; i < kv->spot_count; i++) {
        TRY(place_layer(kv, i, &layers[i], err));
        if (layers[i].key_dim > longest) longest = layers[i].key_dim;
        if (layers[i].value_dim > longest) longest = layers[i].value_dim;
    }
    for (size_t i = 1; i < kv->group_count; i++)
        if (span(&kv->groups[i].sees) > span(&kv->groups[kv->widest].sees)) kv->widest = i;
    kv->zeros = mem_calloc(longest, sizeof *kv->zeros);
    return kv->zeros ? TOLA_OK : err_nomem(err, "making a cache");
}

tola_status kv_create_layers(const kv_layer *layers, size_t count, const kv_options *options, kv_cache **out,
                             tola_error *err) {
    if (options->positions == 0 || options->positions > MOST_POSITIONS)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a cache of %zu positions", options->positions);
    if (count > MOST_LAYERS) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a cache of %zu layers", count);
    kv_cache *kv = mem_calloc(1, sizeof *kv);
    if (!kv) return err_nomem(err, "making a cache");
    kv->options = *options;
    kv->spot_count = count;
    kv->spots = mem_calloc(count + 1, sizeof *kv->spots);
    kv->groups = mem_calloc(count + 1, sizeof *kv->groups); /* never more than layers */
    tola_status status = kv->spots && kv->groups ? place_layers(kv, layers, err) : err_nomem(err, "making a cache");
    if (status != TOLA_OK) {
        kv_free(kv);
        return status;
    }
    *out = kv;
    return TOLA_OK;
}

tola_status kv_create(const graph *g, const kv_options *options, kv_cache **out, tola_error *err) {
    kv_layer *layers = mem_calloc((size_t)g->attention_calls + 1, sizeof *layers);
    if (!layers) return err_nomem(err, "making a cache");
    for (uint32_t i = 0; i < g->count; i++) {
        const graph_node *n = &g->nodes[i];
        if (n->op != OP_KV_STORE) continue;
        const graph_attention *a = &n->u.attend.a;
        layers[n->u.attend.layer] = (kv_layer){ a->kv_heads, a->key_dim, a->value_dim, a->window, a->chunk };
        if (a->bidirectional) layers[n->u.attend.layer].window = layers[n->u.attend.layer].chunk = 0;
    }
    const tola_status status = kv_create_layers(layers, g->attention_calls, options, out, err);
    mem_free(layers);
    return status;
}

void kv_free(kv_cache *kv) {
    if (!kv) return;
    mem_free(kv->zeros);
    mem_free(kv->groups);
    mem_free(kv->spots);
    mem_free(kv);
}

size_t kv_bytes(const kv_cache *kv) { return kv->bytes; }

size_t kv_bytes_limit(const kv_cache *kv) {
    size_t bytes = 0;
    for (size_t i = 0; i < kv->group_count; i++) {
        size_t pages = pages_of(kv->options.positions), most = pages_of(span(&kv->groups[i].sees)) + 2, more;
        if (most < pages) pages = most;
        if (__builtin_mul_overflow(pages, kv->groups[i].bytes + PAGE_HEAD, &more)) return SIZE_MAX;
        if (__builtin_add_overflow(bytes, more, &bytes)) return SIZE_MAX;
    }
    return bytes;
}

/* ---- pages ---- */

static kv_page *page_take(kv_cache *kv, size_t group) {
    const size_t bytes = PAGE_HEAD + kv->groups[group].bytes;
    kv_page *p = mem_alloc_aligned(64, bytes);
    if (!p) return NULL;
    memset(p, 0, bytes);
    p->holders = 1;
    kv->bytes += bytes;
    return p;
}

/* How many slots of the widest group's page are used. */
static void page_fill(kv_cache *kv, size_t group, kv_page *p, size_t filled) {
    if (group == kv->widest) kv->taken = kv->taken - p->filled + filled;
    p->filled = filled;
}

static void page_drop(kv_cache *kv, size_t group, kv_page *p) {
    if (--p->holders > 0) return;
    page_fill(kv, group, p, 0);
    kv->bytes -= PAGE_HEAD + kv->groups[group].bytes;
    mem_free(p);
}

/* Pages of a run from its first to `first` - 1. */
static void drop_before(kv_sequence *s, size_t group, size_t first) {
    kv_run *r = &s->runs[group];
    size_t n = 0;
    while (n < r->count && r->first + n < first) page_drop(s->kv, group, r->pages[n++]);
    r->first += n;
    r->count -= n;
    if (n > 0) memmove(r->pages, r->pages + n, r->count * sizeof *r->pages);
}

static void drop_from(kv_sequence *s, size_t group, size_t page) {
    kv_run *r = &s->runs[group];
    while (r->count > 0 && r->first + r->count > page) page_drop(s->kv, group, r->pages[--r->count]);
    if (r->count == 0) r->first = page;
}

/* Slots of the sequence's last page, up to `length`. */
static size_t last_slots(size_t length) { return length == 0 ? 0 : (length - 1) % KV_PAGE + 1; }

/* ---- sequences ---- */

tola_status kv_sequence_create(kv_cache *kv, kv_sequence **out, tola_error *err) {
    kv_sequence *s = mem_calloc(1, sizeof *s + kv->group_count * sizeof *s->runs);
    if (!s) return err_nomem(err, "making a sequence");
    s->kv = kv;
    *out = s;
    return TOLA_OK;
}

void kv_sequence_free(kv_sequence *s) {
    if (!s) return;
    for (size_t g = 0; g < s->kv->group_count; g++) {
        drop_from(s, g, 0);
        mem_free(s->runs[g].pages);
    }
    mem_free(s);
}

size_t kv_length(const kv_sequence *s) { return s->length; }

/* Are the pages there that a query at `length` - 1 sees? */
static bool can_end_at(const kv_sequence *s, size_t length) {
    if (length == 0) return true;
    for (size_t g = 0; g < s->kv->group_count; g++)
        if (s->runs[g].first > kv_visible_from(&s->kv->groups[g].sees, length - 1) / KV_PAGE) return false;
    return true;
}

bool kv_truncate(kv_sequence *s, size_t length) {
    if (length >= s->length) return true;
    if (!can_end_at(s, length)) return false;
    for (size_t g = 0; g < s->kv->group_count; g++) {
        kv_run *r = &s->runs[g];
        drop_from(s, g, pages_of(length));
        if (r->count > 0 && r->pages[r->count - 1]->holders == 1)
            page_fill(s->kv, g, r->pages[r->count - 1], last_slots(length));
    }
    s->length = length;
    return true;
}

tola_status kv_sequence_fork(kv_sequence *s, size_t positions, kv_sequence **out, tola_error *err) {
    if (positions > s->length)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a fork of %zu positions of a sequence that has %zu", positions,
                       s->length);
    if (!can_end_at(s, positions))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a fork of %zu of %zu positions: its window was given back",
                       positions, s->length);
    kv_sequence *fork;
    TRY(kv_sequence_create(s->kv, &fork, err));
    for (size_t g = 0; g < s->kv->group_count; g++) {
        const kv_run *from = &s->runs[g];
        kv_run *to = &fork->runs[g];
        const size_t end = pages_of(positions), count = end > from->first ? end - from->first : 0;
        to->first = count > 0 ? from->first : end;
        if (!mem_grow(&to->pages, &to->cap, count, sizeof *to->pages)) {
            kv_sequence_free(fork);
            return err_nomem(err, "making a sequence");
        }
        for (; to->count < count; to->count++) {
            to->pages[to->count] = from->pages[to->count];
            to->pages[to->count]->holders++;
        }
    }
    fork->length = positions;
    *out = fork;
    return TOLA_OK;
}

/* The page that the next position goes to, where it is there already: only a part of it is used. */
static kv_page *open_page(const kv_sequence *s, size_t group) {
    const kv_run *r = &s->runs[group];
    return s->length % KV_PAGE != 0 ? r->pages[r->count - 1] : NULL;
}

/* The first page of the group that stays when positions from s->length on are added: what truncating by up to a page
 * needs is kept, so that a few tokens can be taken back. */
static size_t stays_from(const kv_sequence *s, size_t group) {
    const size_t from = kv_visible_from(&s->kv->groups[group].sees, s->length) / KV_PAGE;
    return from > 0 ? from - 1 : 0;
}

/* Would `count` more positions fit, with pages out of the window given back and a shared page copied? */
static tola_status check_room(const kv_sequence *s, size_t count, tola_error *err) {
    const kv_cache *kv = s->kv;
    if (count > MOST_POSITIONS - s->length)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a sequence of %zu positions and %zu more", s->length, count);
    if (kv->group_count == 0) return TOLA_OK;
    const kv_run *r = &s->runs[kv->widest];
    const kv_page *open = open_page(s, kv->widest);
    size_t taken = kv->taken;
    for (size_t i = 0; i < r->count && r->first + i < stays_from(s, kv->widest); i++)
        if (r->pages[i]->holders == 1) taken -= r->pages[i]->filled;
    if (open && open->holders == 1) taken -= open->filled;
    if (open) taken += s->length % KV_PAGE;
    if (taken <= kv->options.positions && count <= kv->options.positions - taken) return TOLA_OK;
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                   "the cache is full: %zu of %zu positions are taken, %zu more asked for", taken,
                   kv->options.positions, count);
}

static void drop_fresh(kv_cache *kv) {
    for (size_t g = 0; g < kv->group_count; g++)
        while (kv->groups[g].fresh) {
            kv_page *p = kv->groups[g].fresh;
            kv->groups[g].fresh = p->next;
            page_drop(kv, g, p);
        }
}

static kv_page *next_fresh(kv_group *g) {
    kv_page *p = g->fresh;
    g->fresh = p->next;
    p->next = NULL;
    return p;
}

/* Pages for `end` pages in all, and a copy of the open one where it is shared, are in `fresh`; room for them is there.
 */
static bool take_fresh(kv_sequence *s, size_t end) {
    kv_cache *kv = s->kv;
    for (size_t g = 0; g < kv->group_count; g++) {
        kv_run *r = &s->runs[g];
        const kv_page *open = open_page(s, g);
        const size_t more = end - (r->first + r->count);
        if (!mem_grow(&r->pages, &r->cap, r->count + more, sizeof *r->pages)) return false;
        for (size_t i = 0; i < more + (open && open->holders > 1); i++) {
            kv_page *p = page_take(kv, g);
            if (!p) return false;
            p->next = kv->groups[g].fresh;
            kv->groups[g].fresh = p;
        }
    }
    return true;
}

static void add_pages(kv_sequence *s, size_t group, size_t end, size_t length) {
    kv_cache *kv = s->kv;
    kv_run *r = &s->runs[group];
    kv_page *open = open_page(s, group);
    if (open && open->holders > 1) {
        kv_page *copy = next_fresh(&kv->groups[group]);
        memcpy(page_data(copy), page_data(open), kv->groups[group].bytes);
        page_drop(kv, group, open);
        r->pages[r->count - 1] = copy;
    }
    if (open) page_fill(kv, group, r->pages[r->count - 1], end == r->first + r->count ? last_slots(length) : KV_PAGE);
    while (r->first + r->count < end) {
        kv_page *p = next_fresh(&kv->groups[group]);
        r->pages[r->count++] = p;
        page_fill(kv, group, p, end == r->first + r->count ? last_slots(length) : KV_PAGE);
    }
}

tola_status kv_reserve(kv_sequence *s, size_t count, tola_error *err) {
    if (count == 0) return TOLA_OK;
    TRY(check_room(s, count, err));
    const size_t length = s->length + count, end = pages_of(length);
    if (!take_fresh(s, end)) {
        drop_fresh(s->kv);
        return err_nomem(err, "adding to the cache");
    }
    for (size_t g = 0; g < s->kv->group_count; g++) {
        add_pages(s, g, end, length);
        drop_before(s, g, stays_from(s, g));
    }
    s->length = length;
    return TOLA_OK;
}

attention_head kv_head(const kv_sequence *s, uint32_t layer) {
    const kv_layer *l = &s->kv->spots[layer].shape;
    return (attention_head){ .key_type = s->kv->options.key,
                             .value_type = s->kv->options.value,
                             .key_dim = l->key_dim,
                             .value_dim = l->value_dim };
}

kv_place kv_at(const kv_sequence *s, uint32_t layer, uint32_t head, size_t page) {
    const kv_spot *spot = &s->kv->spots[layer];
    const kv_run *r = &s->runs[spot->group];
    if (page < r->first || page - r->first >= r->count) return (kv_place){ NULL, NULL };
    uint8_t *p = page_data(r->pages[page - r->first]) + spot->offset + head * (spot->key_bytes + spot->value_bytes);
    return (kv_place){ p, p + spot->key_bytes };
}

/* ---- saving ---- */

static uint64_t mix(uint64_t h, uint64_t value) { /* FNV-1a, 64 bits (Fowler, Noll, Vo) */
    for (int i = 0; i < 8; i++) h = (h ^ (value >> 8 * i & 0xff)) * 0x100000001b3u;
    return h;
}

uint64_t kv_layout(const kv_cache *kv) {
    uint64_t h = 0xcbf29ce484222325u;
    h = mix(mix(mix(h, KV_PAGE), kv->options.key), kv->options.value);
    for (size_t i = 0; i < kv->spot_count; i++) {
        const kv_layer *l = &kv->spots[i].shape;
        h = mix(mix(mix(mix(mix(h, l->kv_heads), l->key_dim), l->value_dim), l->window), l->chunk);
    }
    return h;
}

/* A state of `length` positions has of each group the pages that its last position sees. */
static size_t saved_from(const kv_cache *kv, size_t group, size_t length) {
    return length == 0 ? 0 : kv_visible_from(&kv->groups[group].sees, length - 1) / KV_PAGE;
}

/* SIZE_MAX: beyond it. */
static size_t state_bytes(const kv_cache *kv, size_t length) {
    size_t bytes = 0;
    for (size_t g = 0; g < kv->group_count; g++) {
        size_t more;
        if (__builtin_mul_overflow(pages_of(length) - saved_from(kv, g, length), kv->groups[g].bytes, &more) ||
            __builtin_add_overflow(bytes, more, &bytes))
            return SIZE_MAX;
    }
    return bytes;
}

size_t kv_save_bytes(const kv_sequence *s) { return state_bytes(s->kv, s->length); }

/* Slots from `slot` on of a page's data become zeros. */
static void clear_slots(const kv_cache *kv, size_t group, uint8_t *data, size_t slot) {
    for (size_t i = 0; i < kv->spot_count; i++) {
        const kv_spot *spot = &kv->spots[i];
        uint8_t *p = data + spot->offset;
        if (spot->group != group) continue;
        for (uint32_t h = 0; h < spot->shape.kv_heads; h++, p += spot->key_bytes + spot->value_bytes) {
            const size_t n = KV_PAGE - slot;
            attention_put_keys(kv->options.key, spot->shape.key_dim, p, slot, n, kv->zeros, 0);
            attention_put_values(kv->options.value, spot->shape.value_dim, p + spot->key_bytes, slot, n, kv->zeros, 0);
        }
    }
}

void kv_save(const kv_sequence *s, void *dst) {
    uint8_t *to = dst;
    for (size_t g = 0; g < s->kv->group_count; g++) {
        const kv_run *r = &s->runs[g];
        const size_t bytes = s->kv->groups[g].bytes, end = pages_of(s->length);
        for (size_t page = saved_from(s->kv, g, s->length); page < end; page++, to += bytes) {
            memcpy(to, page_data(r->pages[page - r->first]), bytes);
            if (page + 1 == end) clear_slots(s->kv, g, to, last_slots(s->length));
        }
    }
}

static bool page_finite(const kv_cache *kv, size_t group, const uint8_t *data) {
    for (size_t i = 0; i < kv->spot_count; i++) {
        const kv_spot *spot = &kv->spots[i];
        const uint8_t *p = data + spot->offset;
        if (spot->group != group) continue;
        for (uint32_t h = 0; h < spot->shape.kv_heads; h++, p += spot->key_bytes + spot->value_bytes)
            if (!attention_finite(kv->options.key, spot->shape.key_dim, p) ||
                !attention_finite(kv->options.value, spot->shape.value_dim, p + spot->key_bytes))
                return false;
    }
    return true;
}

/* The state into an empty sequence. Its pages are counted, but not held against the limit. */
static tola_status load_pages(kv_sequence *s, size_t length, const uint8_t *from, tola_error *err) {
    kv_cache *kv = s->kv;
    for (size_t g = 0; g < kv->group_count; g++) {
        kv_run *r = &s->runs[g];
        const size_t bytes = kv->groups[g].bytes, end = pages_of(length);
        r->first = saved_from(kv, g, length);
        if (!mem_grow(&r->pages, &r->cap, end - r->first, sizeof *r->pages)) return err_nomem(err, "loading a state");
        for (; r->first + r->count < end; from += bytes) {
            kv_page *p = page_take(kv, g);
            if (!p) return err_nomem(err, "loading a state");
            r->pages[r->count++] = p;
            page_fill(kv, g, p, end == r->first + r->count ? last_slots(length) : KV_PAGE);
            memcpy(page_data(p), from, bytes);
            if (!page_finite(kv, g, page_data(p)))
                return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a state with keys or values that are no numbers");
        }
    }
    s->length = length;
    return TOLA_OK;
}

/* Positions that the state takes of the widest group's pages. */
static size_t state_positions(const kv_cache *kv, size_t length) {
    return kv->group_count == 0 ? 0 : length - saved_from(kv, kv->widest, length) * KV_PAGE;
}

tola_status kv_load(kv_sequence *s, size_t length, const void *src, size_t bytes, tola_error *err) {
    kv_cache *kv = s->kv;
    if (length > MOST_POSITIONS) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a state of %zu positions", length);
    if (bytes != state_bytes(kv, length))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a state of %zu positions is %zu bytes, here are %zu",
                       length, state_bytes(kv, length), bytes);
    size_t others = kv->taken;
    for (size_t i = 0; kv->group_count > 0 && i < s->runs[kv->widest].count; i++)
        if (s->runs[kv->widest].pages[i]->holders == 1) others -= s->runs[kv->widest].pages[i]->filled;
    if (others > kv->options.positions || state_positions(kv, length) > kv->options.positions - others)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "a state of %zu positions: %zu of the cache's %zu are taken by others", length, others,
                       kv->options.positions);
    kv_sequence *fresh;
    TRY(kv_sequence_create(kv, &fresh, err));
    const tola_status status = load_pages(fresh, length, src, err);
    if (status == TOLA_OK) {
        for (size_t g = 0; g < kv->group_count; g++) {
            const kv_run old = s->runs[g];
            s->runs[g] = fresh->runs[g];
            fresh->runs[g] = old;
        }
        s->length = length;
    }
    kv_sequence_free(fresh);
    return status;
}
