/* The checkpoint: what format readers fill in, and how its bytes are delivered.
 *
 * Owns the list of tensors, the files behind them and the arena all of it lives in. Opening (which file, which format)
 * is in open.c, folders and shard indexes are in folder.c. */
#include "formats/format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/options.h"
#include "base/text.h"
#include "formats/open.h"
#include "tensor/dtype.h"

/* ---- life ---- */

tola_status ck_create(const tola_open_options *options, tola_checkpoint **out, tola_error *err) {
    tola_checkpoint *ck = mem_calloc(1, sizeof *ck);
    if (!ck) return err_nomem(err, "opening a checkpoint");
    arena_init(&ck->arena, 0);
    ck->options = (tola_open_options)TOLA_OPEN_OPTIONS_INIT;
    tola_status status = options_take(&ck->options, sizeof ck->options, options, err);
    if (status != TOLA_OK) {
        mem_free(ck);
        return status;
    }
    ck->next_storage = 1;
    ck->metadata.kind = TOLA_VALUE_MAP;
    *out = ck;
    return TOLA_OK;
}

void tola_checkpoint_close(tola_checkpoint *ck) {
    if (!ck) return;
    if (ck->close_owned) ck->close_owned(ck);
    for (size_t i = 0; i < ck->file_count && !ck->borrows_files; i++) source_close(ck->files[i].src);
    mem_free(ck->files);
    mem_free(ck->tensors);
    mem_free(ck->warnings);
    mem_free(ck->by_name);
    mem_free(ck->folder);
    arena_free(&ck->arena);
    mem_free(ck);
}

tola_status ck_create_over(const tola_checkpoint *in, tola_checkpoint **out, tola_error *err) {
    tola_checkpoint *ck;
    TRY(ck_create(NULL, &ck, err));
    ck->borrows_files = true;
    ck->decoded = in->decoded;
    ck->format = in->format;
    ck->metadata = in->metadata;
    ck->config = in->config;
    ck->folder = in->folder ? mem_strdup(in->folder) : NULL;
    if ((in->folder && !ck->folder) || !mem_grow(&ck->files, &ck->file_cap, in->file_count + 1, sizeof *ck->files)) {
        tola_checkpoint_close(ck);
        return err_nomem(err, "opening a checkpoint");
    }
    if (in->file_count) memcpy(ck->files, in->files, in->file_count * sizeof *in->files);
    ck->file_count = in->file_count;
    for (size_t i = 0; i < in->warning_count; i++) ck_warn(ck, "%s", in->warnings[i]);
    *out = ck;
    return TOLA_OK;
}

tola_status ck_pass_on(tola_checkpoint *ck, const tola_checkpoint *in, size_t index, uint32_t own, tola_error *err) {
    if (!mem_grow(&ck->tensors, &ck->tensor_cap, ck->tensor_count + 1, sizeof *ck->tensors))
        return err_nomem(err, "opening a checkpoint");
    ck_tensor *t = &ck->tensors[ck->tensor_count++];
    *t = in->tensors[index];
    t->info.storage += own; /* kept apart from each other as they were */
    return TOLA_OK;
}

tola_status ck_finish_over(tola_checkpoint *ck, const tola_checkpoint *in, tola_error *err) {
    ck->next_storage += in->next_storage;
    return ck_finish(ck, err);
}

/* ---- filling ---- */

uint32_t ck_new_storage(tola_checkpoint *ck) { return ck->next_storage++; }

tola_status ck_add_file(tola_checkpoint *ck, const char *path, source *src, uint32_t *file, tola_error *err) {
    if (src && src->remote) path = src->path; /* an address as typed may hold a password or a signature */
    char *copy = arena_strndup(&ck->arena, path, strlen(path));
    if (!copy || ck->file_count >= UINT32_MAX ||
        !mem_grow(&ck->files, &ck->file_cap, ck->file_count + 1, sizeof *ck->files)) {
        source_close(src);
        return err_nomem(err, "opening a file");
    }
    ck->files[ck->file_count] = (ck_file){ { copy, src ? src->size : 0 }, src };
    *file = (uint32_t)ck->file_count++;
    return TOLA_OK;
}

void ck_warn(tola_checkpoint *ck, const char *message, ...) {
    char text[1024];
    if (ck->warning_count >= CK_MAX_WARNINGS) return;
    va_list args;
    va_start(args, message);
    vsnprintf(text, sizeof text, message, args);
    va_end(args);
    if (ck->warning_count == CK_MAX_WARNINGS - 1) snprintf(text, sizeof text, "more warnings are left out");
    char *copy = arena_strndup(&ck->arena, text, strlen(text));
    /* without memory the warning is lost, the checkpoint is as readable as before */
    if (copy && mem_grow(&ck->warnings, &ck->warning_cap, ck->warning_count + 1, sizeof *ck->warnings))
        ck->warnings[ck->warning_count++] = copy;
}

tola_status ck_add_metadata(tola_checkpoint *ck, const char *key, tola_value value, tola_error *err) {
    size_t count = ck->metadata.as.map.count;
    /* room doubles at powers of two; the old array stays in the arena */
    if ((count & (count - 1)) == 0) {
        tola_member *members = arena_alloc_array(&ck->arena, count ? count * 2 : 1, sizeof *members);
        if (!members) return err_nomem(err, "reading metadata");
        if (count) memcpy(members, ck->metadata.as.map.members, count * sizeof *members);
        ck->metadata.as.map.members = members;
    }
    tola_member *m = (tola_member *)(uintptr_t)&ck->metadata.as.map.members[count];
    *m = (tola_member){ { key, strlen(key) }, value };
    ck->metadata.as.map.count = count + 1;
    return TOLA_OK;
}

/* Elements and bytes of `add`, with every product checked. */
static tola_status measure(const ck_add *add, uint64_t *elements, uint64_t *bytes, tola_error *err) {
    uint64_t n = 1;
    bool overflow = false, empty = false;
    for (unsigned i = 0; i < add->n_dims; i++) {
        if (add->shape[i] == 0) empty = true;
        else if (!mul_u64(n, add->shape[i], &n)) overflow = true;
    }
    if (overflow && !empty) return err_set(err, TOLA_E_FORMAT, add->offset, "the product of its shape overflows");
    if (empty || (add->flags & TOLA_TENSOR_MISSING)) n = 0;
    *elements = n;
    if (add->dtype == TOLA_DTYPE_OPAQUE) {
        *bytes = add->bytes;
        return TOLA_OK;
    }
    const dtype_row *row = dtype_get(add->dtype);
    if (row->kind == TOLA_KIND_NONE) return err_set(err, TOLA_E_FORMAT, add->offset, "has no element type");
    uint64_t inner = add->n_dims ? add->shape[add->n_dims - 1] : 1;
    if (row->kind == TOLA_KIND_BLOCK && inner % row->block_elements != 0)
        return err_set(err, TOLA_E_FORMAT, add->offset,
                       "its rows of %" PRIu64 " elements do not fill whole blocks of %u as %s wants", inner,
                       row->block_elements, row->name);
    /* packed types: the last byte may be filled up */
    uint64_t padded = n;
    if (row->kind != TOLA_KIND_BLOCK && n % row->block_elements) padded += row->block_elements - n % row->block_elements;
    if (padded < n || tola_dtype_size(add->dtype, padded, bytes) != TOLA_OK)
        return err_set(err, TOLA_E_FORMAT, add->offset, "%" PRIu64 " elements of %s overflow 2^63 bytes", n, row->name);
    return TOLA_OK;
}

static tola_status add_checked(tola_checkpoint *ck, const ck_add *add, tola_error *err) {
    if (add->name_length > CK_MAX_NAME)
        return err_set(err, TOLA_E_LIMIT, add->offset, "its name is %zu bytes long, %d are allowed", add->name_length,
                       CK_MAX_NAME);
    if (memchr(add->name, 0, add->name_length) || !utf8_valid(add->name, add->name_length))
        return err_set(err, TOLA_E_FORMAT, add->offset, "its name is no valid UTF-8 text");
    if (add->n_dims > TOLA_MAX_DIMS)
        return err_set(err, TOLA_E_LIMIT, add->offset, "has %u dimensions, %d are allowed", add->n_dims, TOLA_MAX_DIMS);
    if (ck->tensor_count >= CK_MAX_TENSORS)
        return err_set(err, TOLA_E_LIMIT, add->offset, "the file names more than %u tensors", CK_MAX_TENSORS);
    uint64_t elements, bytes;
    TRY(measure(add, &elements, &bytes, err));
    if (!add->read && !add->strides) {
        uint64_t end, size = add->file < ck->file_count ? ck->files[add->file].info.bytes : 0;
        if (!add_u64(add->offset, bytes, &end) || end > size)
            return err_set(err, TOLA_E_FORMAT, add->offset,
                           "its %" PRIu64 " bytes reach beyond the end of the file at %" PRIu64
                           "; the file is truncated or its header is wrong",
                           bytes, size);
    }
    if (!mem_grow(&ck->tensors, &ck->tensor_cap, ck->tensor_count + 1, sizeof *ck->tensors))
        return err_nomem(err, "reading the list of tensors");
    char *name = arena_strndup(&ck->arena, add->name, add->name_length);
    uint64_t *shape = NULL;
    int64_t *strides = NULL;
    if (!name) return err_nomem(err, "reading the list of tensors");
    if (add->n_dims) {
        shape = arena_alloc_array(&ck->arena, add->n_dims, sizeof *shape);
        if (add->strides) strides = arena_alloc_array(&ck->arena, add->n_dims, sizeof *strides);
        if (!shape || (add->strides && !strides)) return err_nomem(err, "reading the list of tensors");
        memcpy(shape, add->shape, add->n_dims * sizeof *shape);
        if (strides) memcpy(strides, add->strides, add->n_dims * sizeof *strides);
    }
    ck->tensors[ck->tensor_count++] = (ck_tensor){
        .info = { name, shape, elements, bytes, add->offset, add->file,
                  add->storage ? add->storage : ck_new_storage(ck),
                  add->flags | (strides ? TOLA_TENSOR_STRIDED : 0), (uint16_t)add->n_dims, (uint16_t)add->dtype },
        .layout = add->read ? CK_CUSTOM : strides ? CK_STRIDED : CK_PLAIN,
        .strides = strides,
        .read = add->read,
        .seen = add->seen,
        .context = add->context,
    };
    return TOLA_OK;
}

tola_status ck_add_tensor(tola_checkpoint *ck, const ck_add *add, tola_error *err) {
    tola_status status = add_checked(ck, add, err);
    if (status == TOLA_OK || status == TOLA_E_NOMEM || !err) return status;
    char name[160]; /* names come from the file and need not end in NUL */
    size_t n = add->name_length < sizeof name - 1 ? add->name_length : sizeof name - 1;
    memcpy(name, add->name, n);
    name[n] = 0;
    return err_in_tensor(err, status, name);
}

tola_status ck_append(tola_checkpoint *ck, tola_checkpoint *part, tola_error *err) {
    if (part->tensor_count > CK_MAX_TENSORS - ck->tensor_count)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %u tensors in all", CK_MAX_TENSORS);
    if (!mem_grow(&ck->tensors, &ck->tensor_cap, ck->tensor_count + part->tensor_count, sizeof *ck->tensors) ||
        !mem_grow(&ck->files, &ck->file_cap, ck->file_count + part->file_count, sizeof *ck->files))
        return err_nomem(err, "joining shards");
    for (size_t i = 0; i < part->tensor_count; i++) {
        ck_tensor *t = &ck->tensors[ck->tensor_count++];
        *t = part->tensors[i];
        t->info.file += (uint32_t)ck->file_count;
        t->info.storage += ck->next_storage;
    }
    ck->next_storage += part->next_storage;
    for (size_t i = 0; i < part->file_count; i++) ck->files[ck->file_count++] = part->files[i];
    part->file_count = 0;
    mem_free(part->tensors); /* now, not when it is closed: hundreds of shards add up */
    part->tensors = NULL;
    part->tensor_count = part->tensor_cap = 0;
    for (size_t i = 0; i < part->warning_count; i++) ck_warn(ck, "%s", part->warnings[i]);
    part->warning_count = 0;
    if (!ck->format) ck->format = part->format;
    if (ck->metadata.as.map.count == 0) ck->metadata = part->metadata;
    arena_merge(&ck->arena, &part->arena);
    return TOLA_OK;
}

/* ---- after reading: names and shared storages ---- */

/* An entry of the table: the upper half of the name's hash and the tensor's number + 1; 0 = free. The hash saves
 * looking at tensors that only share the slot, which would be a cache miss each. */
static size_t name_slot(const tola_checkpoint *ck, const char *name, size_t length, uint64_t *tag) {
    uint64_t hash = hash_string(name, length);
    size_t mask = ck->by_name_cap - 1, i = (size_t)hash & mask;
    *tag = hash & 0xffffffff00000000u;
    for (; ck->by_name[i]; i = (i + 1) & mask) {
        if ((ck->by_name[i] ^ *tag) >> 32) continue;
        const char *known = ck->tensors[(uint32_t)ck->by_name[i] - 1].info.name;
        if (strncmp(known, name, length) == 0 && known[length] == 0) break;
    }
    return i;
}

tola_status ck_index_names(tola_checkpoint *ck, tola_error *err) {
    if (ck->by_name && ck->indexed == ck->tensor_count) return TOLA_OK;
    mem_free(ck->by_name);
    ck->by_name = NULL;
    size_t cap = 16;
    while (cap < ck->tensor_count * 2) cap *= 2;
    ck->by_name = mem_calloc(cap, sizeof *ck->by_name);
    if (!ck->by_name) return err_nomem(err, "indexing tensor names");
    ck->by_name_cap = cap;
    for (size_t i = 0; i < ck->tensor_count; i++) {
        const tola_tensor_info *t = &ck->tensors[i].info;
        uint64_t tag;
        size_t slot = name_slot(ck, t->name, strlen(t->name), &tag);
        if (ck->by_name[slot]) {
            const tola_tensor_info *other = &ck->tensors[(uint32_t)ck->by_name[slot] - 1].info;
            char quoted[200];
            text_quote(quoted, sizeof quoted, t->name, strlen(t->name));
            if (other->file == t->file)
                return err_set(err, TOLA_E_FORMAT, t->offset, "two tensors have the name '%s'", quoted);
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tensor '%s' is in %s and again in %s", quoted,
                           ck->files[other->file].info.path, ck->files[t->file].info.path);
        }
        ck->by_name[slot] = tag | ((uint32_t)i + 1);
    }
    ck->indexed = ck->tensor_count;
    return TOLA_OK;
}

size_t ck_find_hash(const tola_checkpoint *ck, uint64_t hash) {
    size_t mask = ck->by_name_cap - 1;
    for (size_t i = (size_t)hash & mask; ck->by_name[i]; i = (i + 1) & mask) {
        if ((ck->by_name[i] ^ hash) >> 32) continue;
        size_t t = (uint32_t)ck->by_name[i] - 1;
        const char *name = ck->tensors[t].info.name;
        if (hash_string(name, strlen(name)) == hash) return t;
    }
    return SIZE_MAX;
}

static tola_status mark_shared(tola_checkpoint *ck, tola_error *err) {
    uint8_t *users = mem_calloc(ck->next_storage, 1);
    if (!users) return err_nomem(err, "indexing storages");
    for (size_t i = 0; i < ck->tensor_count; i++) {
        uint8_t *u = &users[ck->tensors[i].info.storage];
        if (*u < 2) (*u)++;
    }
    for (size_t i = 0; i < ck->tensor_count; i++)
        if (users[ck->tensors[i].info.storage] > 1) ck->tensors[i].info.flags |= TOLA_TENSOR_SHARED;
    mem_free(users);
    return TOLA_OK;
}

static tola_status check_unfolded(const tola_checkpoint *ck, tola_error *err) {
    uint64_t stored = 0, bytes = 0, allowed;
    for (size_t i = 0; i < ck->file_count; i++)
        if (!add_u64(stored, ck->files[i].info.bytes, &stored)) return TOLA_OK;
    if (!mul_u64(stored, CK_UNFOLDED_PER_BYTE, &allowed) || !add_u64(allowed, CK_UNFOLDED_FREE, &allowed))
        return TOLA_OK;
    for (size_t i = 0; i < ck->tensor_count; i++) {
        const tola_tensor_info *t = &ck->tensors[i].info;
        if (add_u64(bytes, t->bytes, &bytes) && bytes <= allowed) continue;
        return err_in_tensor(err, err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "its %" PRIu64 " bytes and those of the "
                                          "tensors before it would unfold a file of %" PRIu64 " bytes to more than %"
                                          PRIu64, t->bytes, stored, allowed), t->name);
    }
    return TOLA_OK;
}

tola_status ck_finish(tola_checkpoint *ck, tola_error *err) {
    TRY(check_unfolded(ck, err));
    TRY(ck_index_names(ck, err));
    return mark_shared(ck, err);
}

/* ---- looking ---- */

const char *tola_checkpoint_format(const tola_checkpoint *ck) { return ck->format; }
size_t tola_checkpoint_tensor_count(const tola_checkpoint *ck) { return ck->tensor_count; }
const tola_tensor_info *tola_checkpoint_tensor(const tola_checkpoint *ck, size_t i) {
    return i < ck->tensor_count ? &ck->tensors[i].info : NULL;
}
size_t tola_checkpoint_find(const tola_checkpoint *ck, const char *name) {
    uint64_t tag;
    return (size_t)(uint32_t)ck->by_name[name_slot(ck, name, strlen(name), &tag)] - 1; /* 0 - 1 = SIZE_MAX */
}
size_t tola_checkpoint_file_count(const tola_checkpoint *ck) { return ck->file_count; }
const tola_file_info *tola_checkpoint_file(const tola_checkpoint *ck, size_t i) {
    return i < ck->file_count ? &ck->files[i].info : NULL;
}
const tola_value *tola_checkpoint_metadata(const tola_checkpoint *ck) { return &ck->metadata; }
const tola_value *tola_checkpoint_config(const tola_checkpoint *ck) {
    return ck->config.kind == TOLA_VALUE_MAP ? &ck->config : NULL;
}
bool tola_checkpoint_encrypted(const tola_checkpoint *ck) {
    for (size_t i = 0; i < ck->file_count; i++)
        if (ck->files[i].src && ck->files[i].src->secret) return true;
    return false;
}
size_t tola_checkpoint_warning_count(const tola_checkpoint *ck) { return ck->warning_count; }
const char *tola_checkpoint_warning(const tola_checkpoint *ck, size_t i) {
    return i < ck->warning_count ? ck->warnings[i] : NULL;
}
