/* PyTorch's zip container (torch.save since 1.6, torch.jit.save), and zips of such files (stable-baselines3).
 *
 * `root/data.pkl` is the pickle, `root/data/KEY` the storages, `root/byteorder` their byte order, `root/version` the
 * version of the container. A TorchScript archive has code beside them, which is never looked at: its classes are data
 * here. Layout: caffe2/serialize/inline_container.h, torch/serialization.py. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/text.h"
#include "formats/torch_state.h"

/* torch itself never deflates; an unpacked pickle may be a thousand times its file, and values take more still. */
#define DEFLATED_PICKLE_MAX ((uint64_t)4 << 20)
#define PICKLE_MAX ((uint64_t)1 << 30)
#define SMALL_MEMBER 64

/* Storages met so far, by key: several tensors share one. */
typedef struct known_storage {
    const char *key;
    size_t length;
    torch_storage storage;
} known_storage;

typedef struct zip_state {
    torch_state base;
    const char *root;   /* with its slash */
    const char *folder; /* "data/" or "constants/" */
    known_storage *known; /* open addressing */
    size_t known_count, known_cap;
    char *path; /* scratch */
    size_t path_cap;
} zip_state;

/* ---- storages ---- */

static size_t known_slot(const known_storage *table, size_t cap, const char *key, size_t length) {
    size_t i = (size_t)hash_string(key, length) & (cap - 1);
    while (table[i].key && (table[i].length != length || memcmp(table[i].key, key, length) != 0))
        i = (i + 1) & (cap - 1);
    return i;
}

static tola_status known_room(zip_state *z, tola_error *err) {
    if (z->known_count * 2 < z->known_cap) return TOLA_OK;
    size_t cap = z->known_cap ? z->known_cap * 2 : 64;
    known_storage *table = mem_calloc(cap, sizeof *table);
    if (!table) return err_nomem(err, "reading storages");
    for (size_t i = 0; i < z->known_cap; i++)
        if (z->known[i].key) table[known_slot(table, cap, z->known[i].key, z->known[i].length)] = z->known[i];
    mem_free(z->known);
    z->known = table;
    z->known_cap = cap;
    return TOLA_OK;
}

/* The member root/folder/key. */
static tola_status storage_member(zip_state *z, const torch_storage_id *id, zip_member **out, tola_error *err) {
    char quoted[200];
    size_t need = strlen(z->root) + strlen(z->folder) + id->key_length + 1;
    if (!mem_grow(&z->path, &z->path_cap, need, 1)) return err_nomem(err, "reading storages");
    snprintf(z->path, need, "%s%s%s", z->root, z->folder, id->key); /* a key with a NUL inside finds nothing */
    *out = strlen(id->key) == id->key_length ? zip_find(z->base.zip, z->path) : NULL;
    if (*out) return TOLA_OK;
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "storage '%s' is not in the archive",
                   text_quote(quoted, sizeof quoted, id->key, id->key_length));
}

static torch_storage place_storage(zip_state *z, zip_member *m) {
    bool direct = m->method == ZIP_STORED && !z->base.zip->src->remote;
    return (torch_storage){ .offset = direct ? m->data : 0, .bytes = m->size, .id = ck_new_storage(z->base.ck),
                            .member = direct ? NULL : m, .stored = direct ? m : NULL };
}

static tola_status find_storage(torch_state *s, const torch_storage_id *id, uint64_t bytes, torch_storage *out,
                                tola_error *err) {
    zip_state *z = (zip_state *)s;
    TRY(known_room(z, err));
    known_storage *k = &z->known[known_slot(z->known, z->known_cap, id->key, id->key_length)];
    if (!k->key) {
        zip_member *m;
        TRY(storage_member(z, id, &m, err));
        k->storage = place_storage(z, m);
        k->key = id->key;
        k->length = id->key_length;
        z->known_count++;
        if (bytes && bytes < m->size) {
            char quoted[200];
            ck_warn(s->ck, "storage '%s' has %" PRIu64 " bytes that the pickle does not mention",
                    text_quote(quoted, sizeof quoted, id->key, id->key_length), m->size - bytes);
        }
    }
    if (bytes > k->storage.bytes) {
        char quoted[200];
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "storage '%s' should have %" PRIu64
                       " bytes, its record in the archive has %" PRIu64,
                       text_quote(quoted, sizeof quoted, id->key, id->key_length), bytes, k->storage.bytes);
    }
    *out = k->storage;
    return TOLA_OK;
}

/* ---- the archive ---- */

/* The folder that holds data.pkl, on the first level: "name/"; NULL where there is none. Two of them, or two that
 * differ in case only (torch looks names up without regard to it), would be read in different ways by different
 * programs. */
static tola_status find_root(const zip_archive *z, arena *a, const char **root, tola_error *err) {
    const zip_member *found = NULL;
    *root = NULL;
    for (size_t i = 0; i < z->count; i++) {
        const zip_member *m = &z->members[i];
        const char *slash = strchr(m->name, '/');
        if (!slash || strcasecmp(slash, "/data.pkl") != 0) continue;
        char name[200], other[200];
        if (found)
            return err_set(err, TOLA_E_FORMAT, m->header, "two pickles in one archive: '%s' and '%s'",
                           text_quote(name, sizeof name, found->name, found->name_length),
                           text_quote(other, sizeof other, m->name, m->name_length));
        found = m;
        if (strcmp(slash, "/data.pkl") != 0) continue;
        *root = arena_strndup(a, m->name, (size_t)(slash - m->name) + 1);
        if (!*root) return err_nomem(err, "reading a zip archive");
    }
    return TOLA_OK;
}

static zip_member *find_in_root(const zip_archive *z, const char *root, const char *name) {
    char path[1024];
    int n = snprintf(path, sizeof path, "%s%s", root, name);
    return n > 0 && (size_t)n < sizeof path ? zip_find(z, path) : NULL;
}

static tola_status read_byteorder(zip_state *z, tola_error *err) {
    zip_member *m = find_in_root(z->base.zip, z->root, "byteorder");
    const uint8_t *text;
    if (!m) return TOLA_OK; /* files from before torch 2.1 are little-endian */
    TRY(zip_load(z->base.zip, m, SMALL_MEMBER, &z->base.ck->arena, &text, err));
    z->base.swapped = strcmp((const char *)text, "big") == 0;
    if (z->base.swapped || strcmp((const char *)text, "little") == 0) return TOLA_OK;
    char quoted[100];
    return err_set(err, TOLA_E_FORMAT, m->data, "byte order '%s' is neither little nor big",
                   text_quote(quoted, sizeof quoted, (const char *)text, (size_t)m->size));
}

/* Adds the tensors of one pickle of the archive. */
static tola_status read_pickle(zip_state *z, const char *name, const char *folder, unsigned flags, const char *key,
                               tola_error *err) {
    torch_state *s = &z->base;
    zip_member *m = find_in_root(s->zip, z->root, name);
    if (!m) return TOLA_OK;
    const uint8_t *data;
    source *src;
    pickle_value *root;
    TRY(zip_load(s->zip, m, m->method == ZIP_STORED ? PICKLE_MAX : DEFLATED_PICKLE_MAX, &s->ck->arena, &data, err));
    TRY(source_open_memory(name, data, (size_t)m->size, &src, err));
    reader r;
    reader_init(&r, src, 0, m->size);
    s->pickle_at = m->method == ZIP_STORED ? m->data : TOLA_NO_OFFSET;
    s->pickle_bytes = m->size;
    z->folder = folder;
    tola_status status = pickle_load(&r, flags, &s->ck->arena, &root, err);
    if (status != TOLA_OK && err && err->offset != TOLA_NO_OFFSET)
        err->offset = s->pickle_at == TOLA_NO_OFFSET ? TOLA_NO_OFFSET : s->pickle_at + err->offset;
    if (status == TOLA_OK && reader_left(&r))
        ck_warn(s->ck, "%" PRIu64 " bytes after the end of the pickle %s", reader_left(&r), name);
    reader_free(&r);
    source_close(src);
    TRY(status);
    return torch_add_state(s, root, key, err);
}

static void warn_trailing(tola_checkpoint *ck, const zip_archive *zip) {
    if (zip->trailing) ck_warn(ck, "%" PRIu64 " bytes after the end of the zip archive", zip->trailing);
}

/* A torch file, whose directory was read already. `prefix` comes before every name. */
static tola_status read_archive(tola_checkpoint *ck, uint32_t file, zip_archive *zip, const char *root,
                                const char *prefix, const char *key, bool *script, tola_error *err) {
    zip_state z = { .base = { .ck = ck, .file = file, .zip = zip, .prefix = prefix, .find = find_storage },
                    .root = root };
    *script = find_in_root(zip, root, "constants.pkl") != NULL;
    unsigned flags = *script ? PICKLE_TORCHSCRIPT : 0;
    tola_status status = read_byteorder(&z, err);
    if (status == TOLA_OK) status = read_pickle(&z, "data.pkl", "data/", flags, key, err);
    if (status == TOLA_OK && *script) {
        mem_free(z.known); /* the keys of constants are others */
        z.known = NULL;
        z.known_count = z.known_cap = 0;
        buf name;
        buf_init(&name, 0);
        buf_printf(&name, "%sconstants.", prefix);
        buf_u8(&name, 0);
        z.base.prefix = name.failed ? NULL : arena_strndup(&ck->arena, (char *)name.data, strlen((char *)name.data));
        buf_free(&name);
        if (!z.base.prefix) status = err_nomem(err, "reading constants");
        if (status == TOLA_OK) status = read_pickle(&z, "constants.pkl", "constants/", flags, "constants", err);
    }
    mem_free(z.known);
    mem_free(z.path);
    return status;
}

/* ---- zips of torch files ---- */

static const char *const nested_extensions[] = { ".pth", ".pt", ".bin", ".ckpt" };

/* Bytes of the name without its extension; 0 where the member is no torch file by its name. */
static size_t nested_stem(const zip_member *m) {
    for (size_t i = 0; i < sizeof nested_extensions / sizeof *nested_extensions; i++)
        if (text_ends_with(m->name, nested_extensions[i]) && m->name_length > strlen(nested_extensions[i]))
            return m->name_length - strlen(nested_extensions[i]);
    return 0;
}

static tola_status read_nested(tola_checkpoint *ck, uint32_t file, zip_archive *outer, zip_member *m, tola_error *err) {
    char quoted[200];
    size_t stem = nested_stem(m);
    text_quote(quoted, sizeof quoted, m->name, m->name_length);
    if (m->method != ZIP_STORED)
        return err_set(err, TOLA_E_UNSUPPORTED, m->header, "'%s' is deflated inside the zip archive; unpack it first",
                       quoted);
    TRY(zip_check_member(outer, m, err));
    char *prefix = arena_alloc(&ck->arena, stem + 2);
    if (!prefix) return err_nomem(err, "reading a zip archive");
    memcpy(prefix, m->name, stem);
    prefix[stem] = 0;
    const char *key = arena_strndup(&ck->arena, prefix, stem);
    memcpy(prefix + stem, "/", 2);
    zip_archive *inner;
    bool script;
    tola_status status = key ? zip_open(outer->src, m->data, m->data + m->size, &ck->arena, &inner, err)
                             : err_nomem(err, "reading a zip archive");
    const char *root = NULL;
    if (status == TOLA_OK) status = find_root(inner, &ck->arena, &root, err);
    if (status == TOLA_OK && !root)
        status = err_set(err, TOLA_E_FORMAT, m->data, "no data.pkl in it");
    if (status == TOLA_OK) status = read_archive(ck, file, inner, root, prefix, key, &script, err);
    if (status != TOLA_OK && err) {
        tola_error inside = *err;
        err_set(err, status, inside.offset, "in '%s': %.800s", quoted, inside.message);
    }
    return status;
}

/* Small texts beside the nested files (stable-baselines3 keeps its settings in `data`, as JSON) become metadata. */
static tola_status keep_text(tola_checkpoint *ck, zip_archive *z, zip_member *m, tola_error *err) {
    const uint8_t *text;
    if (m->size == 0 || m->size > ((uint64_t)1 << 20) || m->name[m->name_length - 1] == '/') return TOLA_OK;
    TRY(zip_load(z, m, m->size, &ck->arena, &text, err));
    if (!utf8_valid((const char *)text, (size_t)m->size) || memchr(text, 0, (size_t)m->size)) return TOLA_OK;
    tola_value v = { .kind = TOLA_VALUE_STRING, .as.string = { (const char *)text, (size_t)m->size } };
    return ck_add_metadata(ck, m->name, v, err);
}

static tola_status explain_zip(const zip_archive *z, tola_error *err) {
    char first[120] = "";
    if (z->count) text_quote(first, sizeof first, z->members[0].name, z->members[0].name_length);
    for (size_t i = 0; i < z->count; i++)
        if (text_ends_with(z->members[i].name, "/model.json"))
            return err_set(
                err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                "a TorchScript archive of 2018 (model.json), from before torch 1.1; save it again with a newer torch");
    if (zip_find(z, "model.weights.h5"))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "a Keras archive; its weights are an HDF5 file, which is not read here");
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a zip archive without weights: no data.pkl, no arrays (%zu "
                   "members, the first is '%s')", z->count, first);
}

/* ---- downloads that were cut off ---- */

typedef struct wanted_storage {
    const char *key;
    uint64_t bytes;
} wanted_storage;

static int compare_wanted(const void *a, const void *b) {
    return strcmp(((const wanted_storage *)a)->key, ((const wanted_storage *)b)->key);
}

/* Bytes of all storages that a pickle names, each once; 0 where that cannot be told. */
static uint64_t wanted_bytes(const torch_state *s, const pickle_value *persistent) {
    size_t count = 0, n = 0;
    uint64_t total = 0;
    for (const pickle_value *p = persistent; p; p = p->as.object.entries) count++;
    wanted_storage *list = mem_calloc(count, sizeof *list);
    for (const pickle_value *p = persistent; p && list; p = p->as.object.entries, n++) {
        torch_storage_id id;
        list[n].key = "";
        if (torch_parse_storage_id(s, p->as.object.args, &id, NULL) != TOLA_OK) continue;
        list[n].key = id.key;
        if (!mul_u64(id.count, torch_item_bytes((tola_dtype)id.type->dtype), &list[n].bytes)) list[n].bytes = 0;
    }
    if (n) qsort(list, n, sizeof *list, compare_wanted);
    for (size_t i = 0; i < n; i++)
        if ((i == 0 || strcmp(list[i - 1].key, list[i].key) != 0) && !add_u64(total, list[i].bytes, &total)) total = 0;
    mem_free(list);
    return total;
}

/* torch writes the pickle first: where it survived, it tells how much should follow. 0 where it does not. */
static uint64_t missing_bytes(tola_checkpoint *ck, uint32_t file) {
    source *src = ck->files[file].src;
    torch_state s = { .ck = ck, .file = file, .pickle_at = TOLA_NO_OFFSET };
    static const char name[] = "/data.pkl";
    pickle_value *root, *persistent = NULL;
    reader r;
    reader_init(&r, src, 0, src->size);
    const uint8_t *header = reader_take(&r, 30);
    size_t name_length = header ? (size_t)(header[26] | header[27] << 8) : 0;
    size_t extra_length = header ? (size_t)(header[28] | header[29] << 8) : 0;
    bool stored = header && header[8] == ZIP_STORED && header[9] == 0;
    const uint8_t *text = stored ? reader_take(&r, name_length) : NULL;
    uint64_t missing = 0;
    size_t n = sizeof name - 1;
    if (text && name_length > n && memcmp(text + name_length - n, name, n) == 0) {
        reader_skip(&r, extra_length);
        if (pickle_load_linked(&r, PICKLE_TORCHSCRIPT, &ck->arena, &root, &persistent, NULL) == TOLA_OK) {
            uint64_t wanted = wanted_bytes(&s, persistent);
            if (wanted > reader_left(&r)) missing = wanted - reader_left(&r);
        }
    }
    reader_free(&r);
    return missing;
}

static tola_status open_archive(tola_checkpoint *ck, uint32_t file, zip_archive **z, tola_error *err) {
    source *src = ck->files[file].src;
    tola_status status = zip_open(src, 0, src->size, &ck->arena, z, err);
    if (status != TOLA_E_FORMAT || !zip_is_cut(src, 0, src->size)) return status;
    uint64_t missing = missing_bytes(ck, file);
    if (!missing) return status;
    return err_set(err, status, TOLA_NO_OFFSET, "truncated: the end of the zip archive is not there; of the storages "
                   "that its pickle names, %" PRIu64 " bytes or more are missing", missing);
}

static tola_status read_zip(tola_checkpoint *ck, uint32_t file, tola_error *err) {
    zip_archive *z;
    TRY(open_archive(ck, file, &z, err));
    warn_trailing(ck, z);
    const char *root;
    TRY(find_root(z, &ck->arena, &root, err));
    bool script = false;
    if (root) {
        TRY(read_archive(ck, file, z, root, "", NULL, &script, err));
        if (script) ck->format = "torchscript";
        return TOLA_OK;
    }
    if (npz_holds_arrays(z)) {
        ck->format = "npz";
        return npz_add_members(ck, file, z, err);
    }
    size_t nested = 0;
    for (size_t i = 0; i < z->count; i++) nested += nested_stem(&z->members[i]) > 0;
    if (!nested) return explain_zip(z, err);
    for (size_t i = 0; i < z->count; i++) {
        if (nested_stem(&z->members[i]))
            TRY(read_nested(ck, file, z, &z->members[i], err));
        else
            TRY(keep_text(ck, z, &z->members[i], err));
    }
    return TOLA_OK;
}

/* Any zip archive that is not surely something else. */
static int probe_zip(const uint8_t *head, size_t bytes, const char *name, uint64_t file_bytes) {
    (void)name;
    (void)file_bytes;
    if (bytes < 22) return 0;
    return memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0 ? 50 : 0;
}

const format format_pytorch_zip = { "pytorch", probe_zip, read_zip };
