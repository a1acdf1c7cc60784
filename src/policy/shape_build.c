/* Adding up: pieces into layers, layers into rows that are alike, all of it into counts. Every sum is checked. */
#include "policy/shape_build.h"

#include <inttypes.h>
#include <string.h>

uint64_t shape_times(shape_build *b, uint64_t x, uint64_t y) {
    uint64_t out = 0;
    if (!mul_u64(x, y, &out)) {
        shape_fail(b, TOLA_E_LIMIT, "%" PRIu64 " x %" PRIu64 " is more than any model has", x, y);
        return 0;
    }
    return out;
}

uint64_t shape_plus(shape_build *b, uint64_t x, uint64_t y) {
    uint64_t out = 0;
    if (!add_u64(x, y, &out)) {
        shape_fail(b, TOLA_E_LIMIT, "%" PRIu64 " + %" PRIu64 " is more than any model has", x, y);
        return 0;
    }
    return out;
}

uint64_t shape_divide(shape_build *b, uint64_t x, uint64_t y, const char *key) {
    if (y == 0 || x % y != 0) {
        shape_fail(b, TOLA_E_FORMAT, "%s is %" PRIu64 ", which does not divide %" PRIu64, key, y, x);
        return 0;
    }
    return x / y;
}

tola_status shape_begin(const char *name, model_shape *out, shape_build *b, tola_error *err) {
    memset(out, 0, sizeof *out);
    *b = (shape_build){ .shape = out, .name = name, .defaults = "", .err = err };
    b->a = mem_calloc(1, sizeof *b->a);
    if (b->a == NULL) return err_nomem(err, "a model's shape");
    arena_init(b->a, 64u << 20);
    out->owner = b->a;
    out->modalities = "text";
    out->name = arena_strndup(b->a, name, strlen(name));
    if (out->name) return TOLA_OK;
    shape_dispose(out);
    return b->status = err_nomem(err, "a model's shape");
}

void shape_dispose(model_shape *shape) {
    if (shape == NULL) return;
    if (shape->owner != NULL) {
        arena_free(shape->owner);
        mem_free(shape->owner);
    }
    memset(shape, 0, sizeof *shape);
}

void layer_begin(shape_build *b, uint32_t index) {
    memset(&b->now, 0, sizeof b->now);
    b->now.count = 1;
    b->layer = index;
    b->inside = true;
}

static bool alike(const shape_layers *x, const shape_layers *y) {
    shape_layers z = *x;
    z.count = y->count;
    return memcmp(&z, y, sizeof z) == 0; /* both began as zeros, padding too */
}

void layer_end(shape_build *b) {
    model_shape *s = b->shape;
    b->inside = false;
    if (!shape_ok(b)) return;
    s->layer_count++;
    for (size_t i = 0; i < s->layer_rows; i++)
        if (alike(&s->layers[i], &b->now)) {
            s->layers[i].count++;
            s->last_row = i;
            return;
        }
    if (s->layer_rows == SHAPE_MAX_LAYERS) {
        shape_fail(b, TOLA_E_LIMIT, "more than %d kinds of layers", SHAPE_MAX_LAYERS);
        return;
    }
    if (s->layer_rows == b->row_cap) {
        const size_t cap = b->row_cap ? 2 * b->row_cap : 8;
        shape_layers *more = arena_alloc_array(b->a, cap, sizeof *more);
        if (more == NULL) {
            b->status = err_nomem(b->err, "the layers of a model");
            return;
        }
        if (s->layer_rows > 0) memcpy(more, s->layers, s->layer_rows * sizeof *more);
        s->layers = more;
        b->row_cap = cap;
    }
    s->last_row = s->layer_rows++;
    s->layers[s->last_row] = b->now;
}

static void add_to(shape_build *b, uint64_t *sum, uint64_t n) { *sum = shape_plus(b, *sum, n); }

/* Where the elements of a piece are counted. */
static void count_piece(shape_build *b, piece_part part, uint64_t count, uint64_t elements) {
    model_shape *s = b->shape;
    const uint64_t all = shape_times(b, count, elements);
    switch (part) {
    case PIECE_EMBEDDING: add_to(b, &s->embedding, all); return;
    case PIECE_OUTPUT: add_to(b, &s->output, all); return;
    case PIECE_OTHER: add_to(b, &s->other, all); return;
    default: break;
    }
    if (!b->inside)
        add_to(b, &s->other, all);
    else if (part == PIECE_ATTENTION)
        add_to(b, &b->now.attention, all);
    else if (part == PIECE_DENSE)
        add_to(b, &b->now.dense, all);
    else if (part == PIECE_EXPERT)
        add_to(b, &b->now.expert, elements);
    else
        add_to(b, &b->now.norms, all);
}

static void add_piece(shape_build *b, piece_part part, const char *name, uint64_t count, uint64_t rows, uint64_t cols) {
    if (!shape_ok(b) || count == 0 || rows == 0 || cols == 0) return;
    if (++b->pieces > SHAPE_MOST_PIECES) {
        shape_fail(b, TOLA_E_LIMIT, "more than %u tensors", SHAPE_MOST_PIECES);
        return;
    }
    const uint64_t elements = shape_times(b, rows, cols), all = shape_times(b, count, elements);
    if (elements > b->shape->largest_tensor) b->shape->largest_tensor = elements;
    count_piece(b, part, count, elements);
    const double bits = name != NULL ? quant_bits(b, name, part, rows, cols) : 0;
    b->stored_bytes += (double)all * (bits > 0 ? bits : 0) / 8;
    if (bits > 0) b->quantized = shape_plus(b, b->quantized, all);
}

void piece(shape_build *b, piece_part part, const char *name, uint64_t count, uint64_t rows, uint64_t cols) {
    add_piece(b, part, name, count, rows, cols);
}

void piece_plain(shape_build *b, piece_part part, uint64_t elements) { add_piece(b, part, NULL, 1, 1, elements); }

/* Bits of what no quantizer packs: the dtype that the configuration names. */
static double plain_bits(shape_build *b, const char **name) {
    const tola_value *v = families_find(b->whole,
                                    "dtype torch_dtype text_config.dtype text_config.torch_dtype "
                                    "llm_config.torch_dtype thinker_config.dtype");
    const char *word = tola_value_str(v, NULL);
    if (word != NULL && strncmp(word, "torch.", 6) == 0) word += 6;
    const tola_dtype dtype = word ? tola_dtype_parse(word) : TOLA_DTYPE_NONE;
    *name = dtype != TOLA_DTYPE_NONE ? tola_dtype_name(dtype) : NULL;
    return dtype != TOLA_DTYPE_NONE ? tola_dtype_bits(dtype) : 0;
}

static void finish_stored(shape_build *b) {
    model_shape *s = b->shape;
    const char *name;
    double bits = plain_bits(b, &name);
    if (s->stored == NULL) s->stored = name;
    if (bits == 0 && b->quantized == 0) return; /* nobody says */
    if (bits == 0) bits = 16;
    const double bytes = b->stored_bytes + (double)(s->parameters - b->quantized) * bits / 8;
    if (s->parameters == 0 || bytes > 9e18) return;
    s->stored_bits = bytes * 8 / (double)s->parameters;
    s->stored_bytes = (uint64_t)(bytes + 0.5);
}

tola_status shape_build_finish(shape_build *b) {
    model_shape *s = b->shape;
    uint64_t all = shape_plus(b, shape_plus(b, s->embedding, s->output), s->other), active = all;
    for (size_t i = 0; i < s->layer_rows; i++) {
        const shape_layers *l = &s->layers[i];
        const uint64_t fixed = shape_plus(b, shape_plus(b, l->attention, l->dense), l->norms);
        const uint64_t used = l->experts_used < l->experts ? l->experts_used : l->experts;
        all = shape_plus(b, all, shape_times(b, l->count, shape_plus(b, fixed, shape_times(b, l->expert, l->experts))));
        active = shape_plus(b, active, shape_times(b, l->count, shape_plus(b, fixed, shape_times(b, l->expert, used))));
    }
    if (shape_ok(b) && all > SHAPE_MOST_COUNT)
        shape_fail(b, TOLA_E_LIMIT, "%" PRIu64 " parameters are more than any model has", all);
    s->parameters = all;
    s->active = active;
    if (shape_ok(b) && s->from == SHAPE_FROM_CONFIG) finish_stored(b);
    if (shape_ok(b) && b->note_count > 0) {
        const char **notes = arena_alloc_array(b->a, b->note_count, sizeof *notes);
        if (notes == NULL)
            b->status = err_nomem(b->err, "notes about a model");
        else {
            memcpy(notes, b->notes, b->note_count * sizeof *notes);
            s->notes = notes;
            s->note_count = b->note_count;
        }
    }
    const tola_status status = b->status;
    quant_end(b);
    if (status != TOLA_OK) shape_dispose(s);
    return status;
}
