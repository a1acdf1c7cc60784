/* Matrices under every scheme: parts whose dtypes, shapes and bytes, and a configuration, come from the input.
 *
 * Input: scheme (1 byte), how params are filled (1), then for each part dtype (1), dimensions (1), extents (2 each),
 * and how many of the bytes it claims (1); the rest is the bytes of all parts in turn. Where opening succeeds, the
 * bytes are made to be exactly those that the shapes claim, so that a sanitizer sees every read beyond them. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "codecs/scheme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct input {
    const uint8_t *data;
    size_t left;
} input;

static uint8_t byte(input *in) {
    if (in->left == 0) return 0;
    in->left--;
    return *in->data++;
}

static uint64_t extent(input *in) {
    uint64_t low = byte(in), high = byte(in);
    if (high == 0xff) return UINT64_MAX - low;
    if (high == 0xfe) return UINT64_C(1) << (low % 64);
    return low | high << 8;
}

static void fill_params(scheme_params *p, uint8_t how) {
    static const uint32_t groups[] = { 0, 1, 16, 32, 64, 128, 7, 1u << 31 };
    p->bits = how % 10;
    p->group = groups[how / 16 % 8];
    p->grain = how % 5;
    p->block_rows = groups[how / 8 % 8];
    p->block_cols = groups[how / 32 % 8];
    p->version = how % 3;
}

static bool fill_part(input *in, scheme_part *p) {
    uint8_t kind = byte(in);
    p->dtype = kind >= TOLA_DTYPE_COUNT ? TOLA_DTYPE_NONE : (tola_dtype)kind;
    p->n_dims = byte(in) % 5;
    uint64_t n = 1;
    bool fits = true;
    for (unsigned d = 0; d < p->n_dims; d++) {
        p->shape[d] = extent(in);
        fits = fits && mul_u64(n, p->shape[d], &n);
    }
    uint8_t lie = byte(in);
    if (!fits || tola_dtype_size(p->dtype, n, &p->bytes) != TOLA_OK) p->bytes = n;
    if (lie > 250) p->bytes += lie - 253u;
    return p->dtype != TOLA_DTYPE_NONE;
}

/* Every byte is there: what the input lacks repeats what it has. */
static uint8_t *part_bytes(input *in, uint64_t bytes) {
    uint8_t *copy = malloc((size_t)bytes ? (size_t)bytes : 1);
    if (!copy) abort();
    for (uint64_t i = 0; i < bytes; i++) copy[i] = in->left ? byte(in) : (uint8_t)(i * 37);
    return copy;
}

static void decode(const scheme *s, const scheme_layout *l, const void *const *parts) {
    tola_error err = TOLA_ERROR_INIT;
    uint64_t elements;
    if (!mul_u64(l->rows, l->cols, &elements) || elements > (1 << 20) || l->rows == 0) return;
    uint64_t first = l->rows / 3, count = l->rows - first;
    float *y = malloc((size_t)(count * l->cols) * sizeof *y + 1);
    if (!y) abort();
    if (s->decode(l, parts, first, count, y, &err) != TOLA_OK && !err.message[0]) abort();
    free(y);
}

static void recognize(const scheme *s, input *in, scheme_params *p) {
    arena a;
    tola_value root;
    tola_error err = TOLA_ERROR_INIT;
    arena_init(&a, 1 << 20);
    if (json_parse((const char *)in->data, in->left, &a, &root, &err) == TOLA_OK) {
        tola_status status = s->recognize(&root, p, &err);
        if (status != TOLA_OK && status != TOLA_E_NOT_FOUND && !err.message[0]) abort();
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    input in = { data, bytes };
    size_t schemes = 0;
    while (scheme_table[schemes]) schemes++;
    const scheme *s = scheme_table[byte(&in) % schemes];
    uint8_t how = byte(&in);
    scheme_layout l = { .matrices = 1, .row_unit = 1 };
    if (how == 255) {
        recognize(s, &in, &l.params);
        return 0;
    }
    if (how >= 128) fill_params(&l.params, how);
    uint64_t total = 0;
    for (unsigned i = 0; s->suffixes[i]; i++) {
        if (fill_part(&in, &l.parts[i]) && l.parts[i].bytes < (1 << 22)) total += l.parts[i].bytes;
    }
    if (total > (1 << 22)) return 0;
    uint8_t *parts[SCHEME_MAX_PARTS] = { 0 };
    for (unsigned i = 0; s->suffixes[i]; i++) {
        const scheme_part *p = &l.parts[i];
        if (p->dtype == TOLA_DTYPE_NONE || p->bytes >= (1 << 22)) continue;
        parts[i] = part_bytes(&in, p->bytes);
        if (s->small_parts >> i & 1 && p->bytes <= SCHEME_MAX_SMALL) l.small[i] = parts[i];
    }
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = s->open(&l, &err);
    if (status != TOLA_OK && status != TOLA_E_NOT_FOUND && !err.message[0]) abort();
    bool whole = true; /* a part too large to be made up here is too large to decode */
    for (unsigned i = 0; s->suffixes[i]; i++) whole = whole && (l.parts[i].dtype == TOLA_DTYPE_NONE || parts[i]);
    if (status == TOLA_OK && whole) decode(s, &l, (const void *const *)parts);
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) free(parts[i]);
    return 0;
}
