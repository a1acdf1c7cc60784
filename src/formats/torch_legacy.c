/* PyTorch's stream of 2017 to 2020 (torch.save before 1.6, or with _use_new_zipfile_serialization=False).
 *
 * Five pickles one after another (a magic number, the protocol version, facts about the machine, the object, the keys
 * of its storages), then each storage: a count of elements (u64) and the elements. Source: torch/serialization.py,
 * _legacy_save and _legacy_load. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/torch_state.h"

#define PROTOCOL_VERSION 1001

/* 0x1950a86a20f9469cfc6c, as a LONG1 of ten bytes. */
static const uint8_t magic_number[10] = { 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19 };

typedef struct legacy_storage {
    const char *key;
    size_t length;
    unsigned item; /* bytes of an element */
    uint64_t count;
    bool placed;
    torch_storage storage;
} legacy_storage;

typedef struct legacy_state {
    torch_state base;
    legacy_storage *storages; /* sorted by key */
    size_t count;
} legacy_state;

/* ---- storages ---- */

static int compare_keys(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t n = a_length < b_length ? a_length : b_length;
    int order = memcmp(a, b, n);
    if (order) return order;
    return a_length < b_length ? -1 : a_length > b_length;
}

static int compare_storages(const void *a, const void *b) {
    const legacy_storage *x = a, *y = b;
    return compare_keys(x->key, x->length, y->key, y->length);
}

static legacy_storage *find_key(const legacy_state *l, const char *key, size_t length) {
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(l->storages[middle].key, l->storages[middle].length, key, length);
        if (order == 0) return &l->storages[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* All storages that the object names, each once. Names of the same key must agree on the bytes. */
static tola_status collect_storages(legacy_state *l, const pickle_value *persistent, tola_error *err) {
    size_t count = 0, kept = 0;
    for (const pickle_value *p = persistent; p; p = p->as.object.entries) count++;
    l->storages = mem_calloc(count, sizeof *l->storages);
    if (!l->storages) return err_nomem(err, "reading storages");
    for (const pickle_value *p = persistent; p; p = p->as.object.entries, l->count++) {
        torch_storage_id id;
        TRY(torch_parse_storage_id(&l->base, p->as.object.args, &id, err));
        l->storages[l->count] = (legacy_storage){ .key = id.key, .length = id.key_length, .count = id.count,
                                                  .item = torch_item_bytes((tola_dtype)id.type->dtype) };
    }
    qsort(l->storages, l->count, sizeof *l->storages, compare_storages);
    for (size_t i = 0; i < l->count; i++) {
        legacy_storage *s = &l->storages[i], *last = kept ? &l->storages[kept - 1] : NULL;
        if (!last || compare_storages(last, s) != 0) {
            l->storages[kept++] = *s;
            continue;
        }
        if (last->item * last->count != s->item * s->count) {
            char key[100];
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "storage '%s' is named with two sizes",
                           text_quote(key, sizeof key, s->key, s->length));
        }
    }
    l->count = kept;
    return TOLA_OK;
}

/* One storage of the stream, whose count stands at r->pos. */
static tola_status place_storage(legacy_state *l, reader *r, const pickle_value *key, tola_error *err) {
    char quoted[100];
    if (key->kind != PICKLE_STR) return err_set(err, TOLA_E_FORMAT, r->pos, "a storage key that is no text");
    legacy_storage *s = find_key(l, key->as.text.data, key->as.text.length);
    text_quote(quoted, sizeof quoted, key->as.text.data, key->as.text.length);
    if (!s || s->placed)
        return err_set(err, TOLA_E_FORMAT, r->pos, "storage '%s' is %s", quoted,
                       s ? "there twice" : "in the file but used by nothing");
    uint64_t at = r->pos, count = s->count, bytes;
    if (r->src->remote)
        reader_skip(r, 8); /* not worth a round trip each: read_stream compares where they end with the file's end */
    else
        count = reader_u64(r);
    TRY(reader_check(r, err));
    if (count != s->count)
        return err_set(err, TOLA_E_FORMAT, at, "storage '%s' should have %" PRIu64 " elements, here it has %" PRIu64,
                       quoted, s->count, count);
    if (!mul_u64(count, s->item, &bytes))
        return err_set(err, TOLA_E_FORMAT, at, "storage '%s' of %" PRIu64 " elements overflows", quoted, count);
    if (bytes > reader_left(r))
        return err_set(err, TOLA_E_FORMAT, r->pos, "truncated: storage '%s' has %" PRIu64 " bytes, %" PRIu64
                       " are left (%" PRIu64 " or more missing)", quoted, bytes, reader_left(r),
                       bytes - reader_left(r));
    s->storage = (torch_storage){ .offset = r->pos, .bytes = bytes, .id = ck_new_storage(l->base.ck) };
    s->placed = true;
    reader_skip(r, bytes);
    return TOLA_OK;
}

static tola_status place_storages(legacy_state *l, reader *r, const pickle_value *keys, tola_error *err) {
    if (keys->kind != PICKLE_LIST)
        return err_set(err, TOLA_E_FORMAT, r->pos, "no list of storage keys after the object");
    uint64_t end = r->pos, bytes; /* where the file should end: a count of 8 bytes and the elements, for each */
    for (size_t i = 0; i < l->count; i++)
        if (!mul_u64(l->storages[i].count, l->storages[i].item, &bytes) || !add_u64(bytes, 8, &bytes) ||
            !add_u64(end, bytes, &end))
            return err_set(err, TOLA_E_FORMAT, r->pos, "the sizes of the storages overflow");
    if (end > r->end)
        return err_set(err, TOLA_E_FORMAT, r->pos, "truncated: the storages should end at %" PRIu64
                       ", the file ends at %" PRIu64 " (%" PRIu64 " bytes missing)", end, r->end, end - r->end);
    for (size_t i = 0; i < keys->as.list.count; i++) TRY(place_storage(l, r, keys->as.list.items[i], err));
    for (size_t i = 0; i < l->count; i++) {
        if (l->storages[i].placed) continue;
        char quoted[100];
        return err_set(err, TOLA_E_FORMAT, r->pos, "storage '%s' is not in the file",
                       text_quote(quoted, sizeof quoted, l->storages[i].key, l->storages[i].length));
    }
    return TOLA_OK;
}

static tola_status find_storage(torch_state *s, const torch_storage_id *id, uint64_t bytes, torch_storage *out,
                                tola_error *err) {
    const legacy_storage *k = find_key((legacy_state *)s, id->key, id->key_length);
    if (!k || bytes > k->storage.bytes) {
        char quoted[100];
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "storage '%s' is too small or not there",
                       text_quote(quoted, sizeof quoted, id->key, id->key_length));
    }
    *out = k->storage;
    return TOLA_OK;
}

/* ---- the stream ---- */

static tola_status read_preamble(legacy_state *l, reader *r, tola_error *err) {
    pickle_value *magic, *version, *system;
    arena *a = &l->base.ck->arena;
    TRY(pickle_load(r, 0, a, &magic, err));
    if (magic->kind != PICKLE_BIGINT || magic->as.text.length != sizeof magic_number ||
        memcmp(magic->as.text.data, magic_number, sizeof magic_number) != 0)
        return err_set(err, TOLA_E_FORMAT, 0, "a pickle, but not one of torch: its magic number is missing");
    TRY(pickle_load(r, 0, a, &version, err));
    if (version->kind != PICKLE_INT || version->as.i64 != PROTOCOL_VERSION)
        return err_set(err, TOLA_E_UNSUPPORTED, r->pos, "a torch stream of another version than %d", PROTOCOL_VERSION);
    TRY(pickle_load(r, 0, a, &system, err));
    uint64_t little = 1;
    if (pickle_u64(pickle_get(system, "little_endian"), &little)) l->base.swapped = !little;
    return TOLA_OK;
}

static tola_status read_stream(legacy_state *l, reader *r, tola_error *err) {
    pickle_value *root, *keys, *persistent;
    arena *a = &l->base.ck->arena;
    TRY(read_preamble(l, r, err));
    l->base.pickle_at = r->pos;
    TRY(pickle_load_linked(r, 0, a, &root, &persistent, err));
    l->base.pickle_bytes = r->pos - l->base.pickle_at;
    TRY(collect_storages(l, persistent, err));
    TRY(pickle_load(r, 0, a, &keys, err));
    TRY(place_storages(l, r, keys, err));
    if (reader_left(r) && r->src->remote)
        return err_set(err, TOLA_E_FORMAT, r->pos, "%" PRIu64 " bytes are left after the last storage: the counts of "
                       "elements in the pickle are not those of the file", reader_left(r));
    if (reader_left(r)) ck_warn(l->base.ck, "%" PRIu64 " bytes after the last storage", reader_left(r));
    return torch_add_state(&l->base, root, NULL, err);
}

static tola_status read_legacy(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    legacy_state l = { .base = { .ck = ck, .file = file, .prefix = "", .find = find_storage } };
    source *src = ck->files[file].src;
    reader r;
    reader_init(&r, src, 0, src->size);
    tola_status status = read_stream(&l, &r, err);
    reader_free(&r);
    mem_free(l.storages);
    return status;
}

/* A pickle that starts with torch's magic number; protocols 0 and 1 write it in digits. Any other pickle of protocol
 * 2 and later is taken too, so that the message can say what it is. */
static int probe_legacy(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    (void)name;
    (void)file_bytes;
    if (bytes >= 14 && head[0] == 0x80 && head[2] == 0x8a && memcmp(head + 4, magic_number, sizeof magic_number) == 0)
        return 100;
    static const char digits[] = "L119547037146038801333356";
    if (bytes >= sizeof digits && memcmp(head, digits, sizeof digits - 1) == 0) return 100;
    return bytes >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 ? 20 : 0;
}

const format format_pytorch_legacy = { "pytorch-legacy", probe_legacy, read_legacy };
