/* The Protocol Buffers wire format: tags, varints, lengths. See protobuf.h.
 *
 * It checks that every length stays inside its message before anything is made of it, and never allocates except in
 * pb_text, after that check and a limit. Fields may come in any order and repeat, as the specification allows. */
#include "base/protobuf.h"

#include <string.h>

#define PB_MAX_FIELD ((1u << 29) - 1) /* the specification's largest field number */

static uint64_t read_varint(reader *r, uint64_t end) {
    uint64_t at = r->pos, value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->pos >= end) {
            reader_fail(r, TOLA_E_FORMAT, at, "truncated: a number runs past the end of its message at %llu",
                        (unsigned long long)end);
            return 0;
        }
        uint64_t byte = reader_u8(r);
        if (!reader_ok(r)) return 0;
        if (shift == 63 && byte > 1) break;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    reader_fail(r, TOLA_E_FORMAT, at, "a number is longer than 64 bits");
    return 0;
}

/* Fixed-width numbers are little-endian whatever the reader is set to. */
static uint64_t read_fixed(reader *r, uint64_t end, unsigned bytes) {
    if (end - r->pos < bytes) {
        reader_fail(r, TOLA_E_FORMAT, r->pos, "truncated: a %u-byte number runs past the end of its message at %llu",
                    bytes, (unsigned long long)end);
        return 0;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)reader_u8(r) << (8 * i);
    return value;
}

void pb_open(pb_message *m, reader *r, uint64_t start, uint64_t end) {
    *m = (pb_message){ .r = r, .pos = start, .end = end };
}

bool pb_next(pb_message *m, pb_field *f) {
    reader *r = m->r;
    if (!reader_ok(r) || m->pos >= m->end) return false;
    reader_seek(r, m->pos);
    *f = (pb_field){ .at = m->pos };
    uint64_t tag = read_varint(r, m->end);
    if (!reader_ok(r)) return false;
    uint64_t number = tag >> 3;
    if (number == 0 || number > PB_MAX_FIELD) {
        reader_fail(r, TOLA_E_FORMAT, f->at, "field number %llu is outside 1 .. 536870911", (unsigned long long)number);
        return false;
    }
    f->number = (uint32_t)number;
    f->wire = (uint8_t)(tag & 7);
    switch (f->wire) {
    case PB_VARINT: f->value = read_varint(r, m->end); break;
    case PB_FIXED64: f->value = read_fixed(r, m->end, 8); break;
    case PB_FIXED32: f->value = read_fixed(r, m->end, 4); break;
    case PB_BYTES:
        f->bytes = read_varint(r, m->end);
        if (!reader_ok(r)) return false;
        f->start = r->pos;
        if (f->bytes > m->end - f->start) {
            reader_fail(r, TOLA_E_FORMAT, f->at, "truncated: field %u says %llu bytes, %llu are left in its message",
                        f->number, (unsigned long long)f->bytes, (unsigned long long)(m->end - f->start));
            return false;
        }
        m->pos = f->start + f->bytes;
        return true;
    default:
        reader_fail(r, TOLA_E_FORMAT, f->at, "field %u has wire type %u, which is none in use", f->number,
                    (unsigned)f->wire);
        return false;
    }
    m->pos = r->pos;
    return reader_ok(r);
}

bool pb_expect(const pb_message *m, const pb_field *f, int wire) {
    if (f->wire == wire) return true;
    reader_fail(m->r, TOLA_E_FORMAT, f->at, "field %u has wire type %u where %d belongs", f->number, (unsigned)f->wire,
                wire);
    return false;
}

bool pb_enter(const pb_message *m, const pb_field *f, pb_message *child) {
    if (!pb_expect(m, f, PB_BYTES)) return false;
    if (m->depth + 1 >= PB_MAX_DEPTH) {
        reader_fail(m->r, TOLA_E_LIMIT, f->at, "messages are nested deeper than %d levels", PB_MAX_DEPTH);
        return false;
    }
    *child = (pb_message){ .r = m->r, .pos = f->start, .end = f->start + f->bytes, .depth = m->depth + 1 };
    return true;
}

char *pb_text(const pb_message *m, const pb_field *f, size_t limit, arena *a) {
    if (!pb_expect(m, f, PB_BYTES)) return NULL;
    if (f->bytes > limit) {
        reader_fail(m->r, TOLA_E_LIMIT, f->at, "field %u is a text of %llu bytes, more than the limit of %zu",
                    f->number, (unsigned long long)f->bytes, limit);
        return NULL;
    }
    size_t bytes = (size_t)f->bytes;
    char *text = arena_alloc(a, bytes + 1);
    if (!text) {
        reader_fail(m->r, TOLA_E_NOMEM, f->at, "out of memory for a text of %zu bytes", bytes);
        return NULL;
    }
    reader_seek(m->r, f->start);
    if (bytes) reader_bytes(m->r, text, bytes);
    text[bytes] = 0;
    return reader_ok(m->r) ? text : NULL;
}

float pb_float(const pb_field *f) {
    uint32_t bits = (uint32_t)f->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool pb_numbers_begin(const pb_message *m, const pb_field *f, int wire, pb_numbers *n) {
    *n = (pb_numbers){ .r = m->r, .wire = (uint8_t)wire };
    if (f->wire == wire) {
        n->single = f->value;
        n->end = 1; /* one element to hand out */
        return true;
    }
    if (!pb_expect(m, f, PB_BYTES)) return false;
    unsigned width = wire == PB_FIXED32 ? 4 : wire == PB_FIXED64 ? 8 : 1;
    if (f->bytes % width) {
        reader_fail(m->r, TOLA_E_FORMAT, f->at, "field %u packs %u-byte numbers into %llu bytes", f->number, width,
                    (unsigned long long)f->bytes);
        return false;
    }
    n->packed = true;
    n->pos = f->start;
    n->end = f->start + f->bytes;
    return true;
}

bool pb_numbers_next(pb_numbers *n, uint64_t *bits) {
    if (!reader_ok(n->r) || n->pos >= n->end) return false;
    if (!n->packed) {
        *bits = n->single;
        n->pos = 1;
        return true;
    }
    reader_seek(n->r, n->pos);
    uint64_t value = n->wire == PB_VARINT ? read_varint(n->r, n->end) : read_fixed(n->r, n->end,
                                                                                   n->wire == PB_FIXED32 ? 4 : 8);
    n->pos = n->r->pos;
    if (!reader_ok(n->r)) return false;
    *bits = value;
    return true;
}
