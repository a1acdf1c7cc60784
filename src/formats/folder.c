/* Folders in the Hugging Face layout and shard indexes (model.safetensors.index.json). */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "base/pool.h"
#include "base/text.h"
#include "formats/open.h"

#define INDEX_LIMIT CK_MAX_HEADER
#define MAX_SHARDS 16384 /* the largest models have a few hundred */
#define SHARD_SLOTS (2 * MAX_SHARDS)

/* ---- shards read in parallel ---- */

typedef struct shard_set {
    const char *folder;
    char **names; /* in their arena */
    size_t count, cap;
    arena names_arena;
    uint32_t *slots; /* SHARD_SLOTS: a hash table over names (number + 1), only while an index is read */
    bool *missing;
    tola_checkpoint **parts;
    const tola_open_options *options;
} shard_set;

static void shards_init(shard_set *s, const char *folder, const tola_open_options *options) {
    *s = (shard_set){ .folder = folder, .options = options };
    arena_init(&s->names_arena, 0);
}

static void shards_free(shard_set *s) {
    for (size_t i = 0; s->parts && i < s->count; i++) tola_checkpoint_close(s->parts[i]);
    mem_free(s->parts);
    mem_free(s->missing);
    mem_free(s->slots);
    mem_free(s->names);
    arena_free(&s->names_arena);
}

static tola_status shards_add(shard_set *s, const char *name, size_t length, tola_error *err) {
    if (s->count >= MAX_SHARDS)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d shards", MAX_SHARDS);
    char *copy = arena_strndup(&s->names_arena, name, length);
    if (!copy || !mem_grow(&s->names, &s->cap, s->count + 1, sizeof *s->names))
        return err_nomem(err, "listing shards");
    s->names[s->count++] = copy;
    return TOLA_OK;
}

static tola_status read_shard(void *context, size_t i, unsigned worker, tola_error *err) {
    (void)worker;
    shard_set *s = context;
    char *path = path_join(s->folder, s->names[i]);
    if (!path) return err_nomem(err, "opening a shard");
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = ck_create(s->options, &s->parts[i], &detail);
    if (status == TOLA_OK) {
        source *src;
        status = ck_open_source(path, &src, &detail);
        if (status == TOLA_E_NOT_FOUND && s->options->tolerant) {
            s->missing[i] = true;
            uint32_t file;
            status = ck_add_file(s->parts[i], path, NULL, &file, &detail);
        } else if (status == TOLA_E_NOT_FOUND) {
            err_set(&detail, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "shard %zu of %zu is missing", i + 1, s->count);
            err_in_file(&detail, TOLA_E_NOT_FOUND, path);
        } else if (status == TOLA_OK) {
            status = ck_read_source(s->parts[i], path, src, &detail);
        }
    }
    mem_free(path);
    if (status != TOLA_OK && err) *err = detail;
    return status;
}

static tola_status shards_read(shard_set *s, tola_error *err) {
    s->missing = mem_calloc(s->count, sizeof *s->missing);
    s->parts = mem_calloc(s->count, sizeof *s->parts);
    if (!s->missing || !s->parts) return err_nomem(err, "opening shards");
    pool *p;
    source_expect_files(s->count);
    TRY(pool_create(s->options->threads, &p, err));
    tola_status status = pool_run(p, s->count, read_shard, s, err);
    pool_free(p);
    return status;
}

/* Moves all shards into ck, in order. */
static tola_status shards_join(shard_set *s, tola_checkpoint *ck, tola_error *err) {
    size_t tensors = ck->tensor_count;
    for (size_t i = 0; i < s->count; i++) tensors += s->parts[i]->tensor_count;
    if (!mem_grow(&ck->tensors, &ck->tensor_cap, tensors, sizeof *ck->tensors)) return err_nomem(err, "joining shards");
    for (size_t i = 0; i < s->count; i++) {
        tola_checkpoint *part = s->parts[i];
        if (ck->format && part->format && strcmp(ck->format, part->format) != 0)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s is %s, but the shards before it are %s",
                           s->names[i], part->format, ck->format);
        TRY(ck_append(ck, part, err));
    }
    return TOLA_OK;
}

/* ---- the index ---- */

/* An index names 100,000 tensors in 10 MB of text. Only the (keyed, 64-bit) hashes of the names are kept, so that the
 * text can go before the shards are read; the names are read again where one is not found. */
typedef struct index_entry {
    uint64_t hash;
    uint32_t shard;
} index_entry;

typedef struct index_map {
    index_entry *entries;
    size_t count, cap;
    uint64_t total_size; /* 0 = not said */
    bool keep_names;
    char **names; /* in the arena of the shard set, one an entry */
    size_t names_cap;
} index_map;

/* A shard lies in the folder of its index or below it, never elsewhere. */
static bool shard_name_is_safe(const char *name) {
    if (!*name || *name == '/' || strstr(name, "://")) return false;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.') || (n == 1 && p[0] == '.')) return false;
        p += n;
        if (*p) p++;
    }
    return true;
}

/* Position of `name` among the shards; appended where it is new. Entries often name the same shard as the one before;
 * otherwise a table over the names answers (an index of 100,000 tensors must not cost a search each). */
static tola_status shard_number(shard_set *s, const char *name, size_t length, uint32_t *last, json_reader *r,
                                tola_error *err) {
    if (s->count && strlen(s->names[*last]) == length && memcmp(s->names[*last], name, length) == 0) return TOLA_OK;
    size_t slot = (size_t)hash_string(name, length) % SHARD_SLOTS;
    for (; s->slots[slot]; slot = (slot + 1) % SHARD_SLOTS) {
        const char *known = s->names[s->slots[slot] - 1];
        if (strlen(known) == length && memcmp(known, name, length) == 0) {
            *last = s->slots[slot] - 1;
            return TOLA_OK;
        }
    }
    TRY(shards_add(s, name, length, err));
    s->slots[slot] = (uint32_t)s->count;
    *last = (uint32_t)s->count - 1;
    if (memchr(name, 0, length) || !shard_name_is_safe(s->names[*last])) {
        char quoted[200];
        return err_set(err, TOLA_E_UNSAFE, r->base + r->token_at,
                       "shard name '%s' leads out of the folder of its index and is not followed",
                       text_quote(quoted, sizeof quoted, name, length));
    }
    return TOLA_OK;
}

static tola_status keep_name(const json_reader *r, shard_set *s, index_map *map, tola_error *err) {
    char *copy = arena_strndup(&s->names_arena, r->text, r->text_length);
    if (!copy || !mem_grow(&map->names, &map->names_cap, map->count + 1, sizeof *map->names))
        return err_nomem(err, "reading the index");
    map->names[map->count] = copy;
    return TOLA_OK;
}

static tola_status parse_weight_map(json_reader *r, shard_set *s, index_map *map, tola_error *err) {
    if (json_next(r) != JSON_BEGIN_OBJECT) {
        json_fail(r, "weight_map is no object");
        return json_check(r, err);
    }
    uint32_t shard = 0;
    json_token token;
    while ((token = json_next(r)) == JSON_KEY) {
        if (map->count >= CK_MAX_TENSORS)
            return err_set(err, TOLA_E_LIMIT, r->token_at, "more than %u tensors", CK_MAX_TENSORS);
        if (!mem_grow(&map->entries, &map->cap, map->count + 1, sizeof *map->entries))
            return err_nomem(err, "reading the index");
        uint64_t hash = hash_string(r->text, r->text_length);
        if (map->keep_names) TRY(keep_name(r, s, map, err));
        if (json_next(r) != JSON_STRING) {
            json_fail(r, "the shard of a tensor is no string");
            return json_check(r, err);
        }
        TRY(shard_number(s, r->text, r->text_length, &shard, r, err));
        map->entries[map->count++] = (index_entry){ hash, shard };
    }
    return json_check(r, err);
}

static tola_status parse_total_size(json_reader *r, index_map *map, tola_error *err) {
    arena scratch;
    arena_init(&scratch, 1 << 20);
    tola_value metadata;
    tola_status status = json_parse_next(r, &scratch, &metadata, err);
    if (status == TOLA_OK) map->total_size = tola_value_u64(tola_value_get(&metadata, "total_size"), 0);
    arena_free(&scratch);
    return status;
}

static tola_status parse_index(json_reader *r, shard_set *s, index_map *map, tola_error *err) {
    bool seen = false;
    if (json_next(r) != JSON_BEGIN_OBJECT) {
        json_fail(r, "an index is a JSON object");
        return json_check(r, err);
    }
    while (json_next(r) == JSON_KEY) {
        if (json_text_is(r, "weight_map")) {
            if (seen) json_fail(r, "weight_map appears twice");
            seen = true;
            TRY(parse_weight_map(r, s, map, err));
        } else if (json_text_is(r, "metadata")) {
            TRY(parse_total_size(r, map, err));
        } else if (!json_skip(r)) {
            break;
        }
    }
    TRY(json_check(r, err));
    if (json_next(r) != JSON_END) {
        json_fail(r, "text after the end of the document");
        return json_check(r, err);
    }
    if (!seen) return err_set(err, TOLA_E_FORMAT, 0, "there is no weight_map: this is no shard index");
    return TOLA_OK;
}

static tola_status parse_index_file(const char *path, shard_set *s, index_map *map, tola_error *err) {
    char *text;
    size_t bytes;
    s->slots = mem_calloc(SHARD_SLOTS, sizeof *s->slots);
    if (!s->slots) return err_nomem(err, "reading the index");
    TRY(ck_read_whole(path, INDEX_LIMIT, &text, &bytes, err));
    json_reader r;
    json_reader_init(&r, text, bytes, 0);
    tola_status status = parse_index(&r, s, map, err);
    json_reader_free(&r);
    mem_free(text);
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

/* Entry `i` names a tensor that no shard holds: it is in a missing shard, or something is wrong. */
static tola_status add_missing(tola_checkpoint *ck, const shard_set *s, const index_map *map, const char *name, size_t i,
                               tola_error *err) {
    uint32_t shard = map->entries[i].shard;
    if (s->missing[shard])
        return ck_add_tensor(ck, &(ck_add){ .name = name, .name_length = strlen(name), .dtype = TOLA_DTYPE_OPAQUE,
                                            .flags = TOLA_TENSOR_MISSING, .file = shard }, err);
    char quoted[200];
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tensor '%s' should be in %s but is not there",
                   text_quote(quoted, sizeof quoted, name, strlen(name)), s->names[shard]);
}

/* The entries that are not known, by their names: the index is read once more. */
static tola_status resolve_missing(tola_checkpoint *ck, const char *path, const shard_set *s, const index_map *map,
                                   const bool *known, tola_error *err) {
    shard_set again;
    index_map names = { .keep_names = true };
    shards_init(&again, s->folder, s->options);
    tola_status status = parse_index_file(path, &again, &names, err);
    if (status == TOLA_OK && names.count != map->count)
        status = err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the index changed while it was read");
    for (size_t i = 0; i < map->count && status == TOLA_OK; i++)
        if (!known[i]) status = add_missing(ck, s, map, names.names[i], i, err);
    mem_free(names.entries);
    mem_free(names.names);
    shards_free(&again);
    return status;
}

static void warn_unlisted(tola_checkpoint *ck, const bool *found, size_t count) {
    size_t unlisted = 0, example = 0;
    for (size_t i = count; i-- > 0;)
        if (!found[i]) {
            unlisted++;
            example = i;
        }
    if (unlisted)
        ck_warn(ck, "%zu tensors of the shards are not in the index ('%s' first)", unlisted,
                ck->tensors[example].info.name);
}

/* The index and its shards must tell the same story. */
static tola_status check_index(tola_checkpoint *ck, const char *path, const shard_set *s, const index_map *map,
                               tola_error *err) {
    TRY(ck_index_names(ck, err));
    size_t count = ck->tensor_count, unknown = 0;
    bool *found = mem_calloc(count + map->count, sizeof *found), *known = found + count;
    if (!found) return err_nomem(err, "checking the index");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < map->count && status == TOLA_OK; i++) {
        size_t t = ck_find_hash(ck, map->entries[i].hash);
        known[i] = t != SIZE_MAX;
        if (!known[i]) {
            unknown++;
            continue;
        }
        if (found[t])
            status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the index names tensor '%s' twice",
                             ck->tensors[t].info.name);
        found[t] = true;
    }
    if (status == TOLA_OK) warn_unlisted(ck, found, count);
    if (status == TOLA_OK && unknown) status = resolve_missing(ck, path, s, map, known, err);
    mem_free(found);
    return status;
}

static void warn_missing(tola_checkpoint *ck, const shard_set *s) {
    size_t missing = 0, first = 0;
    for (size_t i = s->count; i-- > 0;)
        if (s->missing[i]) {
            missing++;
            first = i;
        }
    if (missing) ck_warn(ck, "%zu of %zu shards are missing (%s first)", missing, s->count, s->names[first]);
}

/* metadata.total_size counts the bytes of the tensors; writers disagree about tied ones, so it's only a warning. */
static void warn_total(tola_checkpoint *ck, const shard_set *s, const index_map *map) {
    uint64_t total = 0;
    for (size_t i = 0; i < ck->tensor_count; i++) total += ck->tensors[i].info.bytes;
    for (size_t i = 0; i < s->count; i++)
        if (s->missing[i]) return;
    if (map->total_size && map->total_size != total)
        ck_warn(ck, "the index says %" PRIu64 " bytes of tensors, the shards hold %" PRIu64, map->total_size, total);
}

static int by_natural_order(const void *a, const void *b) {
    return text_compare_natural(*(char *const *)a, *(char *const *)b);
}

/* Shards in natural order, entries renumbered to match. */
static tola_status sort_shards(shard_set *s, index_map *map, tola_error *err) {
    char **before = mem_alloc(s->count * sizeof *before);
    uint32_t *place = mem_alloc(s->count * sizeof *place);
    if (before && place) {
        memcpy(before, s->names, s->count * sizeof *before);
        qsort(s->names, s->count, sizeof *s->names, by_natural_order);
        for (size_t i = 0; i < s->count; i++) {
            char **hit = bsearch(&before[i], s->names, s->count, sizeof *s->names, by_natural_order);
            place[i] = (uint32_t)(hit - s->names);
        }
        for (size_t i = 0; i < map->count; i++) map->entries[i].shard = place[map->entries[i].shard];
    }
    bool done = before && place;
    mem_free(before);
    mem_free(place);
    return done ? TOLA_OK : err_nomem(err, "reading the index");
}

static tola_status read_indexed(tola_checkpoint *ck, const char *path, shard_set *s, index_map *map, tola_error *err) {
    TRY(parse_index_file(path, s, map, err));
    if (s->count == 0) return TOLA_OK;
    TRY(sort_shards(s, map, err));
    TRY(shards_read(s, err)); /* its errors name the shard */
    tola_status status = shards_join(s, ck, err);
    if (status == TOLA_OK) status = check_index(ck, path, s, map, err);
    if (status != TOLA_OK) return err_in_file(err, status, path);
    warn_missing(ck, s);
    warn_total(ck, s, map);
    return TOLA_OK;
}

tola_status ck_read_index(tola_checkpoint *ck, const char *path, tola_error *err) {
    shard_set s;
    index_map map = { 0 };
    shards_init(&s, ck->folder, &ck->options);
    tola_status status = read_indexed(ck, path, &s, &map, err);
    if (status == TOLA_OK && !ck->format) /* no shard is there to ask */
        ck->format = strstr(path, ".safetensors") ? "safetensors" : "pytorch";
    mem_free(map.entries);
    shards_free(&s);
    return status;
}

/* ---- folders ---- */

static tola_status list_container(shard_set *s, const void *opened, const char *pattern, tola_error *err) {
    size_t at = 0;
    for (const char *name; (name = container_encrypted.next(opened, &at));)
        if (name[0] != '.' && !strchr(name, '/') && glob_match(pattern, name))
            TRY(shards_add(s, name, strlen(name), err));
    if (s->count) qsort(s->names, s->count, sizeof *s->names, by_natural_order);
    return TOLA_OK;
}

static tola_status list_folder(shard_set *s, const char *path, const char *pattern, tola_error *err) {
    void *opened;
    TRY(ck_open_container(path, &opened, err));
    if (opened) {
        tola_status status = list_container(s, opened, pattern, err);
        ck_close_container(opened);
        return status;
    }
    DIR *dir = opendir(path);
    if (!dir) return err_errno(err, errno, "cannot read folder", path);
    tola_status status = TOLA_OK;
    for (struct dirent *e; status == TOLA_OK && (e = readdir(dir));)
        if (e->d_name[0] != '.' && glob_match(pattern, e->d_name))
            status = shards_add(s, e->d_name, strlen(e->d_name), err);
    closedir(dir);
    if (s->count) qsort(s->names, s->count, sizeof *s->names, by_natural_order);
    return status;
}

static tola_status read_one_of(tola_checkpoint *ck, const char *folder, const char *name, tola_error *err) {
    char *path = path_join(folder, name);
    if (!path) return err_nomem(err, "opening a folder");
    tola_status status =
        text_ends_with(name, ".index.json") ? ck_read_index(ck, path, err) : ck_read_path(ck, path, err);
    mem_free(path);
    return status;
}

/* "model-00002-of-00005.safetensors" -> 2 and 5; false for other names. */
static bool shard_name_parts(const char *name, unsigned *index, unsigned *count) {
    const char *of = strstr(name, "-of-");
    if (!of || of - name < 6) return false;
    const char *dash = of;
    while (dash > name && dash[-1] >= '0' && dash[-1] <= '9') dash--;
    return sscanf(dash, "%u-of-%u", index, count) == 2;
}

/* *.safetensors without an index: all of one numbered set, or the only one. */
static tola_status read_unindexed(tola_checkpoint *ck, const char *folder, shard_set *s, tola_error *err) {
    unsigned index, count;
    if (s->count == 1 && !shard_name_parts(s->names[0], &index, &count))
        return read_one_of(ck, folder, s->names[0], err);
    for (size_t i = 0; i < s->count; i++) {
        if (!shard_name_parts(s->names[i], &index, &count)) {
            err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "holds several models (%s and %s ...): name the file to open",
                    s->names[0], s->names[1]);
            return err_in_file(err, TOLA_E_ARG, folder);
        }
        if (count != s->count && i == 0 && !ck->options.tolerant) {
            err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "holds %zu of %u shards and no index", s->count, count);
            return err_in_file(err, TOLA_E_NOT_FOUND, folder);
        }
        if (count != s->count && i == 0) ck_warn(ck, "%zu of %u shards are there", s->count, count);
    }
    ck_warn(ck, "the shards have no index (*.index.json)");
    TRY(shards_read(s, err));
    tola_status status = shards_join(s, ck, err);
    return status == TOLA_OK ? status : err_in_file(err, status, folder);
}

tola_status ck_read_folder(tola_checkpoint *ck, const char *path, tola_error *err) {
    static const char *const usual[] = {
        "model.safetensors.index.json", "model.safetensors",   "pytorch_model.bin.index.json", "pytorch_model.bin",
        "adapter_model.safetensors",    "adapter_model.bin",   "consolidated.safetensors",
    };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        char *file = path_join(path, usual[i]);
        if (!file) return err_nomem(err, "opening a folder");
        bool there = ck_exists(file);
        mem_free(file);
        if (there) return read_one_of(ck, path, usual[i], err);
    }
    static const char *const patterns[] = { "*.index.json", "*.safetensors", "*.gguf",
                                            "*.onnx", /* what is a .bin beside it is its external data */
                                            "*.{pt,pth,bin,ckpt,npz}" };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        shard_set s;
        unsigned index, count;
        shards_init(&s, path, &ck->options);
        tola_status status = list_folder(&s, path, patterns[i], err);
        bool found = status != TOLA_OK || s.count > 0;
        if (status == TOLA_OK && s.count == 1 && i != 1)
            status = read_one_of(ck, path, s.names[0], err);
        else if (status == TOLA_OK && s.count && i == 1)
            status = read_unindexed(ck, path, &s, err);
        else if (status == TOLA_OK && s.count && i == 2 && shard_name_parts(s.names[0], &index, &count) &&
                 count == s.count)
            status = read_one_of(ck, path, s.names[0], err); /* a split file opens its other parts itself */
        else if (status == TOLA_OK && s.count) {
            err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "holds several models (%s and %s ...): name the file to open",
                    s.names[0], s.names[1]);
            status = err_in_file(err, TOLA_E_ARG, path);
        }
        shards_free(&s);
        if (found) return status;
    }
    err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "holds no weights (no *.safetensors, *.gguf, *.bin, *.pt, ...)");
    return err_in_file(err, TOLA_E_NOT_FOUND, path);
}
