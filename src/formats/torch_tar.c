/* PyTorch's first container: a tar archive of `sys_info`, `pickle`, `storages` and `tensors` (torch.save of 2016).
 *
 * `storages`: a pickled count, then for each storage a pickled (key, location, type), a count of elements (u64) and the
 * elements; then a pickled list of views (key, root key, offset, count). `tensors`: a pickled count, then for each
 * tensor a pickled (key, storage key, type), the number of dimensions (u32, and 4 bytes unused), sizes, strides and
 * offset (i64 each). `pickle`: the object, whose persistent ids are keys of tensors. Source: torch/serialization.py,
 * legacy_load. Only headers of plain files are read; nothing is unpacked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/torch_state.h"

#define BLOCK 512
#define TAR_MAX_MEMBERS 64 /* four are expected */
#define TAR_MAX_ITEMS (1u << 20) /* storages or tensors */

typedef struct tar_item { /* a storage or a tensor, by key */
    const char *key;
    size_t length;
    torch_tensor tensor; /* a storage: dtype, storage */
} tar_item;

typedef struct tar_state {
    torch_state base;
    tar_item *storages, *tensors;
    size_t storage_count, storage_cap, tensor_count, tensor_cap;
} tar_state;

typedef struct tar_member {
    uint64_t at, bytes; /* 0 bytes at 0: absent */
} tar_member;

enum { MEMBER_PICKLE, MEMBER_STORAGES, MEMBER_TENSORS, MEMBER_SYSTEM, MEMBERS };

/* ---- the archive ---- */

static bool parse_octal(const uint8_t *p, size_t n, uint64_t *out) {
    uint64_t v = 0;
    size_t i = 0;
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 60) return false;
        v = v * 8 + (uint64_t)(p[i] - '0');
    }
    for (; i < n; i++)
        if (p[i] != 0 && p[i] != ' ') return false;
    *out = v;
    return true;
}

static bool good_header(const uint8_t *h) {
    uint64_t said;
    uint32_t sum = 0;
    for (size_t i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : h[i];
    return parse_octal(h + 148, 8, &said) && said == sum;
}

static tola_status list_members(source *src, tar_member members[MEMBERS], tola_error *err) {
    static const char *const names[MEMBERS] = { "pickle", "storages", "tensors", "sys_info" };
    uint64_t at = 0;
    for (size_t n = 0; at + BLOCK <= src->size; n++) {
        uint8_t h[BLOCK];
        uint64_t bytes;
        TRY(source_read(src, at, h, sizeof h, err));
        if (h[0] == 0) break; /* the end */
        if (n == TAR_MAX_MEMBERS)
            return err_set(err, TOLA_E_LIMIT, at, "more than %d members in the tar archive", TAR_MAX_MEMBERS);
        if (!good_header(h) || !parse_octal(h + 124, 12, &bytes))
            return err_set(err, TOLA_E_FORMAT, at, "a damaged tar header");
        at += BLOCK;
        if (bytes > src->size - at)
            return err_set(err, TOLA_E_FORMAT, at, "truncated: a tar member of %" PRIu64 " bytes, %" PRIu64 " are left",
                           bytes, src->size - at);
        for (size_t i = 0; i < MEMBERS; i++) {
            bool plain = h[156] == '0' || h[156] == 0;
            if (!plain || strncmp((const char *)h, names[i], 100) != 0) continue;
            if (members[i].at) return err_set(err, TOLA_E_FORMAT, at, "two tar members are called '%s'", names[i]);
            members[i] = (tar_member){ at, bytes };
        }
        uint64_t padded = (bytes + BLOCK - 1) / BLOCK * BLOCK;
        if (padded > src->size - at) break;
        at += padded;
    }
    for (size_t i = 0; i < MEMBERS; i++)
        if (!members[i].at && (i == MEMBER_PICKLE || i == MEMBER_STORAGES))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a tar archive without '%s' is no checkpoint of torch",
                           names[i]);
    return TOLA_OK;
}

/* ---- items by key ---- */

/* Keys are text or whole numbers; both become text. */
static tola_status key_of(tar_state *t, const pickle_value *v, const char **key, size_t *length, tola_error *err) {
    if (v && v->kind == PICKLE_STR) {
        *key = v->as.text.data;
        *length = v->as.text.length;
        return TOLA_OK;
    }
    if (!v || v->kind != PICKLE_INT) return torch_fail(&t->base, NULL, err, TOLA_E_FORMAT, "a key that is no number");
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, v->as.i64);
    *key = arena_strndup(&t->base.ck->arena, text, (size_t)n);
    *length = (size_t)n;
    return *key ? TOLA_OK : err_nomem(err, "reading storages");
}

static int compare_items(const void *a, const void *b) {
    const tar_item *x = a, *y = b;
    size_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->key, y->key, n);
    if (order) return order;
    return x->length < y->length ? -1 : x->length > y->length;
}

static const tar_item *find_item(const tar_item *items, size_t count, const char *key, size_t length) {
    tar_item wanted = { .key = key, .length = length };
    return count ? bsearch(&wanted, items, count, sizeof *items, compare_items) : NULL;
}

static tola_status sort_items(tar_item *items, size_t count, const char *what, tola_error *err) {
    if (count == 0) return TOLA_OK;
    qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 1; i < count; i++) {
        if (compare_items(&items[i - 1], &items[i]) != 0) continue;
        char key[100];
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "two %s have the key '%s'", what,
                       text_quote(key, sizeof key, items[i].key, items[i].length));
    }
    return TOLA_OK;
}

static tola_status add_item(tar_item **items, size_t *count, size_t *cap, const tar_item *item, tola_error *err) {
    if (!mem_grow(items, cap, *count + 1, sizeof **items)) return err_nomem(err, "reading storages");
    (*items)[(*count)++] = *item;
    return TOLA_OK;
}

/* ---- storages ---- */

static tola_status read_count(tar_state *t, reader *r, uint64_t *count, tola_error *err) {
    pickle_value *v;
    TRY(pickle_load(r, 0, &t->base.ck->arena, &v, err));
    if (!pickle_u64(v, count) || *count > TAR_MAX_ITEMS)
        return err_set(err, TOLA_E_FORMAT, r->start, "a number of storages or tensors that is none or over %u",
                       TAR_MAX_ITEMS);
    return TOLA_OK;
}

static tola_status read_storage(tar_state *t, reader *r, tola_error *err) {
    pickle_value *v;
    tar_item item = { 0 };
    TRY(pickle_load(r, 0, &t->base.ck->arena, &v, err));
    /* (key, location, type); other writers swap the last two */
    const pickle_value *type = pickle_item(v, 2);
    if (pickle_role_of(type) != ROLE_STORAGE) type = pickle_item(v, 1);
    if (pickle_count(v) != 3 || pickle_role_of(type) != ROLE_STORAGE || type->kind != PICKLE_GLOBAL)
        return err_set(err, TOLA_E_FORMAT, r->pos, "a storage without key, location and type");
    TRY(key_of(t, pickle_item(v, 0), &item.key, &item.length, err));
    uint64_t count = reader_u64(r), bytes;
    TRY(reader_check(r, err));
    unsigned width = torch_item_bytes((tola_dtype)type->as.global->dtype);
    if (!mul_u64(count, width, &bytes) || bytes > reader_left(r))
        return err_set(err, TOLA_E_FORMAT, r->pos, "truncated: a storage of %" PRIu64 " elements of %u bytes, %" PRIu64
                       " bytes are left", count, width, reader_left(r));
    item.tensor.dtype = (tola_dtype)type->as.global->dtype;
    item.tensor.swapped = t->base.swapped;
    item.tensor.storage = (torch_storage){ .offset = r->pos, .bytes = bytes, .id = ck_new_storage(t->base.ck) };
    reader_skip(r, bytes);
    return add_item(&t->storages, &t->storage_count, &t->storage_cap, &item, err);
}

/* (key, root key, offset, count): a storage that is part of another. */
static tola_status add_view(tar_state *t, const pickle_value *v, size_t roots, tola_error *err) {
    tar_item item;
    const char *key, *root;
    size_t length, root_length;
    uint64_t offset, count, end;
    if (pickle_count(v) != 4 || !pickle_u64(pickle_item(v, 2), &offset) || !pickle_u64(pickle_item(v, 3), &count))
        return torch_fail(&t->base, NULL, err, TOLA_E_FORMAT, "a view of a storage that is damaged");
    TRY(key_of(t, pickle_item(v, 0), &key, &length, err));
    TRY(key_of(t, pickle_item(v, 1), &root, &root_length, err));
    const tar_item *of = find_item(t->storages, roots, root, root_length);
    unsigned width = of ? torch_item_bytes(of->tensor.dtype) : 1;
    if (!of || !add_u64(offset, count, &end) || end > of->tensor.storage.bytes / width)
        return torch_fail(&t->base, NULL, err, TOLA_E_FORMAT, "a view that lies outside its storage");
    item = *of;
    item.key = key;
    item.length = length;
    item.tensor.storage.offset += offset * width;
    item.tensor.storage.bytes = count * width;
    return add_item(&t->storages, &t->storage_count, &t->storage_cap, &item, err);
}

static tola_status read_storages(tar_state *t, reader *r, tola_error *err) {
    uint64_t count;
    pickle_value *views;
    TRY(read_count(t, r, &count, err));
    for (uint64_t i = 0; i < count; i++) TRY(read_storage(t, r, err));
    TRY(sort_items(t->storages, t->storage_count, "storages", err));
    if (reader_left(r) == 0) return TOLA_OK;
    TRY(pickle_load(r, 0, &t->base.ck->arena, &views, err));
    size_t roots = t->storage_count;
    for (size_t i = 0; i < pickle_count(views); i++) TRY(add_view(t, pickle_item(views, i), roots, err));
    return sort_items(t->storages, t->storage_count, "storages", err);
}

/* ---- tensors ---- */

static tola_status read_tensor(tar_state *t, reader *r, tola_error *err) {
    pickle_value *v;
    const char *key, *storage;
    size_t length, storage_length;
    TRY(pickle_load(r, 0, &t->base.ck->arena, &v, err));
    if (pickle_count(v) != 3 || v->kind == PICKLE_DICT || v->kind == PICKLE_SET)
        return err_set(err, TOLA_E_FORMAT, r->pos, "a tensor without key, storage and type");
    TRY(key_of(t, pickle_item(v, 0), &key, &length, err));
    TRY(key_of(t, pickle_item(v, 1), &storage, &storage_length, err));
    const tar_item *of = find_item(t->storages, t->storage_count, storage, storage_length);
    if (!of) return err_set(err, TOLA_E_FORMAT, r->pos, "a tensor whose storage is not in the archive");
    tar_item item = *of;
    item.key = key;
    item.length = length;
    torch_tensor *x = &item.tensor;
    x->n_dims = reader_u32(r);
    reader_skip(r, 4);
    TRY(reader_check(r, err));
    if (x->n_dims > TOLA_MAX_DIMS)
        return err_set(err, TOLA_E_LIMIT, r->pos, "%u dimensions; %d are allowed", x->n_dims, TOLA_MAX_DIMS);
    for (unsigned d = 0; d < x->n_dims; d++) x->shape[d] = reader_u64(r);
    for (unsigned d = 0; d < x->n_dims; d++) x->strides[d] = (int64_t)reader_u64(r);
    x->offset = reader_u64(r);
    TRY(reader_check(r, err));
    for (unsigned d = 0; d < x->n_dims; d++)
        if (x->shape[d] > INT64_MAX || x->strides[d] < 0)
            return err_set(err, TOLA_E_FORMAT, r->pos, "a negative extent or stride");
    return add_item(&t->tensors, &t->tensor_count, &t->tensor_cap, &item, err);
}

static tola_status find_tensor(torch_state *s, const pickle_value *id, torch_tensor *out, tola_error *err) {
    tar_state *t = (tar_state *)s;
    const char *key;
    size_t length;
    TRY(key_of(t, id, &key, &length, err));
    const tar_item *item = find_item(t->tensors, t->tensor_count, key, length);
    if (!item) { /* a storage on its own */
        item = find_item(t->storages, t->storage_count, key, length);
        if (!item) {
            char quoted[100];
            return torch_fail(s, id, err, TOLA_E_FORMAT, "'%s' is neither a tensor nor a storage of the archive",
                              text_quote(quoted, sizeof quoted, key, length));
        }
        *out = item->tensor;
        out->n_dims = 1;
        out->shape[0] = item->tensor.storage.bytes / torch_item_bytes(item->tensor.dtype);
        out->strides[0] = 1;
        return TOLA_OK;
    }
    *out = item->tensor;
    return TOLA_OK;
}

/* The tuple ("storage", ...), for pickles that rebuild tensors from storages. */
static tola_status find_storage(torch_state *s, const torch_storage_id *id, uint64_t bytes, torch_storage *out,
                                tola_error *err) {
    tar_state *t = (tar_state *)s;
    const tar_item *item = find_item(t->storages, t->storage_count, id->key, id->key_length);
    char quoted[100];
    text_quote(quoted, sizeof quoted, id->key, id->key_length);
    if (!item) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "storage '%s' is not in the archive", quoted);
    if (bytes > item->tensor.storage.bytes)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "storage '%s' should have %" PRIu64 " bytes, it has %" PRIu64, quoted, bytes,
                       item->tensor.storage.bytes);
    *out = item->tensor.storage;
    return TOLA_OK;
}

/* ---- the whole ---- */

typedef tola_status (*part_reader)(tar_state *t, reader *r, tola_error *err);

static tola_status with_reader(tar_state *t, const tar_member *m, part_reader part, tola_error *err) {
    reader r;
    if (!m->at) return TOLA_OK;
    reader_init(&r, t->base.ck->files[t->base.file].src, m->at, m->at + m->bytes);
    tola_status status = part(t, &r, err);
    reader_free(&r);
    return status;
}

static tola_status read_system(tar_state *t, reader *r, tola_error *err) {
    pickle_value *v;
    uint64_t little = 1;
    TRY(pickle_load(r, 0, &t->base.ck->arena, &v, err));
    if (pickle_u64(pickle_get(v, "little_endian"), &little)) t->base.swapped = !little;
    return TOLA_OK;
}

static tola_status read_tensors(tar_state *t, reader *r, tola_error *err) {
    uint64_t count;
    TRY(read_count(t, r, &count, err));
    for (uint64_t i = 0; i < count; i++) TRY(read_tensor(t, r, err));
    return sort_items(t->tensors, t->tensor_count, "tensors", err);
}

static tola_status read_object(tar_state *t, reader *r, tola_error *err) {
    pickle_value *root;
    t->base.pickle_at = r->pos;
    TRY(pickle_load(r, 0, &t->base.ck->arena, &root, err));
    t->base.pickle_bytes = r->pos - t->base.pickle_at;
    return torch_add_state(&t->base, root, NULL, err);
}

static tola_status read_tar(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    tar_state t = { .base = { .ck = ck, .file = file, .prefix = "", .find = find_storage, .tensor = find_tensor } };
    tar_member members[MEMBERS] = { { 0, 0 } };
    tola_status status = list_members(ck->files[file].src, members, err);
    if (status == TOLA_OK) status = with_reader(&t, &members[MEMBER_SYSTEM], read_system, err);
    if (status == TOLA_OK) status = with_reader(&t, &members[MEMBER_STORAGES], read_storages, err);
    if (status == TOLA_OK) status = with_reader(&t, &members[MEMBER_TENSORS], read_tensors, err);
    if (status == TOLA_OK) status = with_reader(&t, &members[MEMBER_PICKLE], read_object, err);
    mem_free(t.storages);
    mem_free(t.tensors);
    return status;
}

static int probe_tar(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    (void)name;
    (void)file_bytes;
    return bytes >= BLOCK && memcmp(head + 257, "ustar", 5) == 0 && good_header(head) ? 90 : 0;
}

const format format_pytorch_tar = { "pytorch-tar", probe_tar, read_tar };
