/* Writers: choosing the format, planning shards, and the bookkeeping that makes output all or nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/format.h"

/* Every format that can be written, one a line. */
static const writer_format *const writers[] = {
    &writer_safetensors,
    &writer_gguf,
    &writer_npz,
    &writer_pytorch,
};
#define N_WRITERS (sizeof writers / sizeof *writers)
#define FLUSH_BYTES (1u << 20) /* smaller writes share pages with their neighbours and are left to the final sync */

/* Is `extension` one of the space-separated `list`? */
static bool has_extension(const char *path, const char *list) {
    while (*list) {
        size_t n = strcspn(list, " ");
        char extension[16];
        if (n < sizeof extension) {
            memcpy(extension, list, n);
            extension[n] = 0;
            if (text_ends_with(path, extension)) return true;
        }
        list += n;
        while (*list == ' ') list++;
    }
    return false;
}

tola_status writer_find(const char *path, const tola_write_options *options, const writer_format **out,
                        tola_error *err) {
    const char *name = options->format;
    if (!name && options->folder) name = "safetensors";
    for (size_t i = 0; i < N_WRITERS; i++)
        if (name ? strcmp(writers[i]->name, name) == 0 : has_extension(path, writers[i]->extensions)) {
            *out = writers[i];
            return TOLA_OK;
        }
    buf known;
    buf_init(&known, 1024);
    for (size_t i = 0; i < N_WRITERS; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", name ? writers[i]->name : writers[i]->extensions);
    tola_status status =
        name ? err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no format '%s' is written here (known: %.*s)", name,
                       (int)known.length, (const char *)known.data)
             : err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "%s: its extension says no format (known: %.*s; a folder ends in '/')", path,
                       (int)known.length, (const char *)known.data);
    buf_free(&known);
    return status;
}

tola_status writer_add_file(tola_writer *w, const char *path, uint64_t bytes, uint32_t *file, tola_error *err) {
    struct output_file **files = mem_realloc_array(w->files, w->file_count + 1, sizeof *files);
    if (!files) return err_nomem(err, "preparing output");
    w->files = files;
    TRY(output_add(w->outputs, path, bytes, &w->files[w->file_count], err));
    *file = (uint32_t)w->file_count++;
    return TOLA_OK;
}

/* ---- one writer ---- */

static void writer_free(tola_writer *w) {
    if (w->format && w->format->free) w->format->free(w);
    mem_free(w->files);
    mem_free(w->slots);
    mem_free(w->path);
    mem_free(w->folder);
    mem_free(w);
}

void tola_writer_abort(tola_writer *w) {
    if (!w) return;
    output_abort(w->outputs);
    writer_free(w);
}

/* What every format relies on: whole blocks, no overflow, a dtype that it can hold. */
static tola_status check_specs(const writer_format *f, const tola_tensor_spec *tensors, size_t count,
                               tola_error *err) {
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_spec *t = &tensors[i];
        uint64_t elements = 1, bytes;
        bool overflow = t->n_dims > TOLA_MAX_DIMS;
        for (unsigned d = 0; !overflow && d < t->n_dims; d++) overflow = !mul_u64(elements, t->shape[d], &elements);
        tola_status status = TOLA_OK;
        if (!t->name || !*t->name || strlen(t->name) > CK_MAX_NAME)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "tensor %zu has no name or one of more than %d bytes", i,
                           CK_MAX_NAME);
        if (!f->holds((tola_dtype)t->dtype))
            status = err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s cannot hold %s", f->name,
                             tola_dtype_name((tola_dtype)t->dtype));
        else if (overflow)
            status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the product of its shape overflows");
        else if (tola_dtype_size((tola_dtype)t->dtype, elements, &bytes) != TOLA_OK)
            status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%" PRIu64 " elements of %s are no whole blocks", elements,
                             tola_dtype_name((tola_dtype)t->dtype));
        if (status != TOLA_OK) return err_in_tensor(err, status, t->name);
    }
    return TOLA_OK;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static tola_status check_names(const tola_tensor_spec *tensors, size_t count, tola_error *err) {
    const char **names = mem_alloc(count * sizeof *names);
    if (!names) return err_nomem(err, "preparing output");
    for (size_t i = 0; i < count; i++) names[i] = tensors[i].name;
    if (count) qsort(names, count, sizeof *names, compare_names);
    tola_status status = TOLA_OK;
    for (size_t i = 1; i < count && status == TOLA_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            status = err_in_tensor(err, err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "two tensors have this name"), names[i]);
    mem_free(names);
    return status;
}

static tola_status open_writer(tola_writer *w, const char *path, const tola_tensor_spec *tensors, size_t count,
                               const tola_write_options *options, bool dry, tola_error *err) {
    w->path = mem_strdup(path);
    w->slots = mem_calloc(count, sizeof *w->slots);
    if (!w->path || !w->slots) return err_nomem(err, "preparing output");
    TRY(writer_find(w->path, options, &w->format, err));
    TRY(check_specs(w->format, tensors, count, err));
    TRY(check_names(tensors, count, err));
    TRY(output_set_open(options->overwrite, &w->outputs, err));
    if (dry) output_set_dry(w->outputs);
    if (options->folder) {
        TRY(output_set_folder(w->outputs, w->path, err));
        w->folder = mem_strdup(w->path);
        if (!w->folder) return err_nomem(err, "preparing output");
    }
    w->count = count;
    TRY(w->format->open(w, tensors, count, options, err));
    for (size_t i = 0; i < count; i++) w->expected += w->slots[i].bytes;
    return TOLA_OK;
}

static tola_status make_writer(const char *path, const tola_tensor_spec *tensors, size_t count,
                               const tola_write_options *options, bool dry, tola_writer **out, tola_error *err) {
    tola_write_options all = TOLA_WRITE_OPTIONS_INIT;
    TRY(options_take(&all, sizeof all, options, err));
    tola_writer *w = mem_calloc(1, sizeof *w);
    if (!w) return err_nomem(err, "preparing output");
    tola_status status = open_writer(w, path, tensors, count, &all, dry, err);
    if (status != TOLA_OK) {
        tola_writer_abort(w);
        return status;
    }
    *out = w;
    return TOLA_OK;
}

tola_status tola_writer_open(const char *path, const tola_tensor_spec *tensors, size_t count,
                             const tola_write_options *options, tola_writer **out, tola_error *err) {
    return make_writer(path, tensors, count, options, false, out, err);
}

tola_status writer_measure(const char *path, const tola_tensor_spec *tensors, size_t count,
                           const tola_write_options *options, uint64_t *bytes, uint64_t *files, tola_error *err) {
    tola_writer *w = NULL;
    TRY(make_writer(path, tensors, count, options, true, &w, err));
    uint64_t total = 0;
    for (size_t i = 0; i < w->file_count; i++) total += output_bytes(w->files[i]);
    *bytes = total > w->expected ? total : w->expected; /* zip archives do not know yet */
    *files = 1;
    for (size_t i = 0; i < count; i++)
        if (w->slots[i].file + UINT64_C(1) > *files) *files = w->slots[i].file + UINT64_C(1);
    tola_writer_abort(w);
    return TOLA_OK;
}

tola_status tola_writer_write(tola_writer *w, size_t index, uint64_t offset, const void *data, size_t bytes,
                              tola_error *err) {
    if (index >= w->count || offset > w->slots[index].bytes || bytes > w->slots[index].bytes - offset)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "written outside tensor %zu", index);
    const writer_slot *slot = &w->slots[index];
    TRY(output_write(w->files[slot->file], slot->offset + offset, data, bytes, err));
    if (w->format->wrote) TRY(w->format->wrote(w, index, offset, data, bytes, err));
    if (bytes >= FLUSH_BYTES) output_flush_hint(w->files[slot->file], slot->offset + offset, bytes);
    __atomic_add_fetch(&w->written, bytes, __ATOMIC_RELAXED);
    return TOLA_OK;
}

tola_status tola_writer_companion(tola_writer *w, const char *name, const void *data, size_t bytes, tola_error *err) {
    if (!w->folder || strchr(name, '/') || !*name || *name == '.')
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "'%s' cannot be put beside the weights", name);
    char *path = path_join(w->folder, name);
    if (!path) return err_nomem(err, "preparing output");
    uint32_t file = 0;
    tola_status status = writer_add_file(w, path, bytes, &file, err);
    mem_free(path);
    if (status == TOLA_OK) status = output_write(w->files[file], 0, data, bytes, err);
    return status;
}

static tola_status finish(tola_writer *w, tola_error *err) {
    uint64_t written = __atomic_load_n(&w->written, __ATOMIC_RELAXED);
    if (written != w->expected)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: %" PRIu64 " of %" PRIu64 " bytes were written", w->path,
                       written, w->expected);
    return w->format->finish ? w->format->finish(w, err) : TOLA_OK;
}

tola_status tola_writer_finish(tola_writer *w, tola_error *err) {
    tola_status status = finish(w, err);
    if (status != TOLA_OK) {
        tola_writer_abort(w);
        return status;
    }
    status = output_commit(w->outputs, err); /* takes the set */
    w->outputs = NULL;
    writer_free(w);
    return status;
}
