/* Reads GGUF metadata: entries of a key, a type and a value, into tola_value.
 *
 * Every length and count is held against the bytes that are left before anything is allocated. Numbers keep their
 * width; arrays of numbers, bools and strings are packed. Keys and values mean nothing here, except that
 * general.alignment is looked for by the caller.
 * Specification: gguf_metadata_kv_t in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "formats/gguf.h"

bool gguf_need(reader *r, uint64_t at, uint64_t bytes, const char *what) {
    if (!reader_ok(r)) return false;
    uint64_t left = reader_left(r);
    if (bytes <= left) return true;
    uint64_t in_file = r->src->size - r->pos;
    if (bytes <= in_file)
        reader_fail(r, TOLA_E_LIMIT, at, "%s ends beyond the first %u bytes: no header is that long", what,
                    CK_MAX_HEADER);
    else
        reader_fail(r, TOLA_E_FORMAT, at, "truncated: %s needs %" PRIu64 " bytes, %" PRIu64 " are left", what, bytes,
                    in_file);
    return false;
}

/* ---- text ---- */

#define TEXT_PIECE 16384

/* An arena's own blocks are aligned and would double the size of a vocabulary: short texts share larger pieces. */
static char *text_take(gguf_text *room, size_t bytes) {
    if (bytes > room->left) {
        size_t piece = bytes > TEXT_PIECE / 4 ? bytes : TEXT_PIECE;
        char *block = arena_alloc(room->arena, piece);
        if (!block || piece == bytes) return block;
        room->at = block;
        room->left = piece;
    }
    char *text = room->at;
    room->at += bytes;
    room->left -= bytes;
    return text;
}

char *gguf_read_text(reader *r, gguf_text *room, const char *what, uint64_t limit, size_t *length) {
    uint64_t at = r->pos;
    *length = 0;
    if (!gguf_need(r, at, 8, what)) return NULL;
    uint64_t n = reader_u64(r);
    if (!gguf_need(r, at, n, what)) return NULL;
    if (n > limit) {
        reader_fail(r, TOLA_E_LIMIT, at, "%s of %" PRIu64 " bytes; at most %" PRIu64 " are allowed", what, n, limit);
        return NULL;
    }
    char *text = text_take(room, (size_t)n + 1);
    if (!text) {
        reader_fail(r, TOLA_E_NOMEM, at, "out of memory for a %s of %" PRIu64 " bytes", what, n);
        return NULL;
    }
    reader_bytes(r, text, (size_t)n);
    text[n] = 0;
    *length = (size_t)n;
    return reader_ok(r) ? text : NULL;
}

/* ---- values ---- */

typedef struct values {
    reader *r;
    arena *keep;
    gguf_text text;
} values;

static bool read_value(values *v, uint32_t type, int depth, tola_value *out);

static bool no_memory(values *v, uint64_t at, uint64_t count, const char *what) {
    reader_fail(v->r, TOLA_E_NOMEM, at, "out of memory for an array of %" PRIu64 " %s", count, what);
    return false;
}

static void reverse_each(uint8_t *data, size_t count, size_t width) {
    for (size_t i = 0; i < count; i++, data += width)
        for (size_t a = 0, b = width - 1; a < b; a++, b--) {
            uint8_t byte = data[a];
            data[a] = data[b];
            data[b] = byte;
        }
}

static bool check_bools(values *v, uint64_t at, const uint8_t *data, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (data[i] > 1) {
            reader_fail(v->r, TOLA_E_FORMAT, at + i, "a bool is stored as %u; only 0 and 1 are allowed", data[i]);
            return false;
        }
    return true;
}

static bool read_packed(values *v, const gguf_value_info *type, size_t count, tola_value *out) {
    size_t bytes = count * type->bytes; /* within the header: checked by read_array */
    uint64_t at = v->r->pos;
    uint8_t *items = arena_alloc(v->keep, bytes ? bytes : 1);
    if (!items) return no_memory(v, at, count, type->name);
    reader_bytes(v->r, items, bytes);
    if (!reader_ok(v->r)) return false;
    bool native = v->r->swap == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    if (!native) reverse_each(items, count, type->bytes);
    if (type->kind == TOLA_VALUE_BOOL && !check_bools(v, at, items, count)) return false;
    out->element = type->kind;
    out->dtype = type->dtype;
    out->as.array.items = items;
    return true;
}

static bool read_strings(values *v, size_t count, tola_value *out) {
    tola_string *items = arena_alloc_array(v->keep, count ? count : 1, sizeof *items);
    if (!items) return no_memory(v, v->r->pos, count, "strings");
    for (size_t i = 0; i < count; i++) {
        items[i].data = gguf_read_text(v->r, &v->text, "string in an array", CK_MAX_HEADER, &items[i].length);
        if (!items[i].data) return false;
    }
    out->element = TOLA_VALUE_STRING;
    out->as.array.items = items;
    return true;
}

static bool read_arrays(values *v, size_t count, int depth, tola_value *out) {
    tola_value *items = arena_alloc_array(v->keep, count ? count : 1, sizeof *items);
    if (!items) return no_memory(v, v->r->pos, count, "arrays");
    for (size_t i = 0; i < count; i++)
        if (!read_value(v, GGUF_ARRAY, depth + 1, &items[i])) return false;
    out->element = TOLA_VALUE_NULL;
    out->as.array.items = items;
    return true;
}

static bool read_array(values *v, int depth, tola_value *out) {
    reader *r = v->r;
    uint64_t at = r->pos;
    if (depth >= GGUF_MAX_DEPTH) {
        reader_fail(r, TOLA_E_LIMIT, at, "arrays are nested more than %d deep", GGUF_MAX_DEPTH);
        return false;
    }
    if (!gguf_need(r, at, 12, "an array's type and length")) return false;
    uint32_t type = reader_u32(r);
    uint64_t count = reader_u64(r), bytes;
    if (!reader_ok(r)) return false;
    const gguf_value_info *info = gguf_value_describe(type);
    if (!info) {
        reader_fail(r, TOLA_E_FORMAT, at, "array elements have the unknown type %" PRIu32, type);
        return false;
    }
    if (!mul_u64(count, info->bytes, &bytes)) bytes = UINT64_MAX;
    if (bytes > reader_left(r)) {
        reader_fail(r, TOLA_E_FORMAT, at + 4,
                    "an array of %" PRIu64 " elements of type %s cannot fit in the %" PRIu64 " bytes that follow",
                    count, info->name, reader_left(r));
        return false;
    }
    out->as.array.count = (size_t)count;
    if (type == GGUF_STRING) return read_strings(v, (size_t)count, out);
    if (type == GGUF_ARRAY) return read_arrays(v, (size_t)count, depth, out);
    return read_packed(v, info, (size_t)count, out);
}

static bool read_number(values *v, gguf_value_type type, tola_value *out) {
    reader *r = v->r;
    uint64_t at = r->pos;
    switch (type) {
    case GGUF_U8: out->as.u64 = reader_u8(r); break;
    case GGUF_I8: out->as.i64 = (int8_t)reader_u8(r); break;
    case GGUF_U16: out->as.u64 = reader_u16(r); break;
    case GGUF_I16: out->as.i64 = (int16_t)reader_u16(r); break;
    case GGUF_U32: out->as.u64 = reader_u32(r); break;
    case GGUF_I32: out->as.i64 = (int32_t)reader_u32(r); break;
    case GGUF_U64: out->as.u64 = reader_u64(r); break;
    case GGUF_I64: out->as.i64 = (int64_t)reader_u64(r); break;
    case GGUF_F32: out->as.f64 = reader_f32(r); break;
    case GGUF_F64: out->as.f64 = reader_f64(r); break;
    default: {
        uint8_t byte = reader_u8(r);
        if (!reader_ok(r) || !check_bools(v, at, &byte, 1)) return false;
        out->as.boolean = byte;
    }
    }
    return reader_ok(r);
}

static bool read_value(values *v, uint32_t type, int depth, tola_value *out) {
    const gguf_value_info *info = gguf_value_describe(type);
    uint64_t at = v->r->pos;
    memset(out, 0, sizeof *out);
    out->kind = info->kind;
    out->dtype = info->dtype;
    if (type == GGUF_ARRAY) return read_array(v, depth, out);
    if (type != GGUF_STRING) return gguf_need(v->r, at, info->bytes, "a value") && read_number(v, type, out);
    out->as.string.data = gguf_read_text(v->r, &v->text, "string", CK_MAX_HEADER, &out->as.string.length);
    return out->as.string.data != NULL;
}

/* ---- entries ---- */

static bool read_key(values *v, tola_string *key, gguf_set *seen) {
    reader *r = v->r;
    uint64_t at = r->pos;
    char quoted[200];
    key->data = gguf_read_text(r, &v->text, "metadata key", GGUF_MAX_KEY, &key->length);
    if (!key->data) return false;
    text_quote(quoted, sizeof quoted, key->data, key->length);
    if (key->length == 0)
        reader_fail(r, TOLA_E_FORMAT, at, "a metadata key is empty");
    else if (!utf8_valid(key->data, key->length) || memchr(key->data, 0, key->length))
        reader_fail(r, TOLA_E_FORMAT, at, "the metadata key '%s' is not text", quoted);
    else if (!gguf_set_add(seen, key->data, key->length))
        reader_fail(r, TOLA_E_FORMAT, at, "the metadata key '%s' occurs twice", quoted);
    return reader_ok(r);
}

/* "metadata 'key': " before the reader's message, so that it says which entry is at fault. */
static void name_entry(reader *r, const tola_string *key) {
    char quoted[200], message[sizeof r->error.message];
    text_quote(quoted, sizeof quoted, key->data, key->length);
    memcpy(message, r->error.message, sizeof message);
    message[sizeof message - 1] = 0;
    snprintf(r->error.message, sizeof r->error.message, "metadata '%s': %.*s", quoted, 700, message);
}

static bool read_entry(values *v, tola_member *out, gguf_set *seen) {
    reader *r = v->r;
    if (!read_key(v, &out->key, seen)) return false;
    uint64_t at = r->pos;
    uint32_t type = gguf_need(r, at, 4, "a value's type") ? reader_u32(r) : 0;
    if (reader_ok(r) && !gguf_value_describe(type))
        reader_fail(r, TOLA_E_FORMAT, at, "the value has the unknown type %" PRIu32, type);
    if (reader_ok(r) && read_value(v, type, 0, &out->value)) return true;
    name_entry(r, &out->key);
    return false;
}

void gguf_read_values(reader *r, arena *keep, uint64_t count, gguf_part *out) {
    if (!reader_ok(r)) return;
    uint64_t at = r->pos;
    if (count > reader_left(r) / GGUF_MIN_VALUE_BYTES) {
        reader_fail(r, TOLA_E_FORMAT, at,
                    "the header claims %" PRIu64 " metadata entries, which cannot fit in the %" PRIu64
                    " bytes that follow", count, reader_left(r));
        return;
    }
    if (count > GGUF_MAX_VALUES) {
        reader_fail(r, TOLA_E_LIMIT, at, "%" PRIu64 " metadata entries; at most %u are read", count, GGUF_MAX_VALUES);
        return;
    }
    gguf_set seen;
    out->values = arena_alloc_array(keep, count ? (size_t)count : 1, sizeof *out->values);
    if (!gguf_set_init(&seen, (size_t)count) || !out->values)
        reader_fail(r, TOLA_E_NOMEM, at, "out of memory for %" PRIu64 " metadata entries", count);
    values v = { .r = r, .keep = keep, .text = { keep, NULL, 0 } };
    while (reader_ok(r) && out->value_count < count) {
        tola_member *entry = &out->values[out->value_count];
        at = r->pos;
        if (!read_entry(&v, entry, &seen)) break;
        if (strcmp(entry->key.data, "general.alignment") == 0) out->alignment_at = at;
        out->value_count++;
    }
    gguf_set_free(&seen);
}

/* ---- the set of names ---- */

bool gguf_set_init(gguf_set *set, size_t count) {
    set->cap = 16;
    while (set->cap < count * 2) set->cap *= 2;
    set->slots = mem_calloc(set->cap, sizeof *set->slots);
    return set->slots != NULL;
}

void gguf_set_free(gguf_set *set) {
    mem_free(set->slots);
    set->slots = NULL;
}

bool gguf_set_add(gguf_set *set, const char *text, size_t length) {
    size_t i = (size_t)hash_string(text, length) & (set->cap - 1);
    for (; set->slots[i].data; i = (i + 1) & (set->cap - 1))
        if (set->slots[i].length == length && memcmp(set->slots[i].data, text, length) == 0) return false;
    set->slots[i] = (tola_string){ text, length };
    return true;
}
