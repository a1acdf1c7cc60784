/* Several files for one checkpoint, as Hugging Face's layout has it: which tensor goes where, and the index.
 * Split GGUF files have no index and count otherwise; they are gguf_write.c's. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/output.h"
#include "base/path.h"
#include "formats/format.h"
#include <tola/json.h>

#define MAX_SHARDS 99999 /* five digits in the names */

uint32_t writer_plan_shards(const tola_tensor_spec *tensors, size_t count, uint64_t max_shard_size, uint32_t *shard) {
    uint32_t current = 0;
    uint64_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t elements = 1, bytes = 0;
        for (unsigned d = 0; d < tensors[i].n_dims; d++) elements *= tensors[i].shape[d];
        if (tola_dtype_size((tola_dtype)tensors[i].dtype, elements, &bytes) != TOLA_OK) bytes = 0;
        if (max_shard_size && filled && bytes > max_shard_size - (filled < max_shard_size ? filled : max_shard_size)) {
            current++;
            filled = 0;
        }
        filled += bytes;
        shard[i] = current;
    }
    return current + 1;
}

tola_status writer_check_shards(uint32_t shards, tola_error *err) {
    if (shards <= MAX_SHARDS) return TOLA_OK;
    return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%u shards are too many; choose a larger shard size", shards);
}

static void put_index(const tola_writer *w, const tola_tensor_spec *tensors, tola_json *j) {
    uint64_t total = 0;
    for (size_t i = 0; i < w->count; i++) total += w->slots[i].bytes;
    tola_json_begin_object(j);
    tola_json_key(j, "metadata");
    tola_json_begin_object(j);
    tola_json_key(j, "total_size");
    tola_json_u64(j, total);
    tola_json_end_object(j);
    tola_json_key(j, "weight_map");
    tola_json_begin_object(j);
    for (size_t i = 0; i < w->count; i++) {
        tola_json_key(j, tensors[i].name);
        tola_json_string(j, path_last(output_path(w->files[w->slots[i].file])));
    }
    tola_json_end_object(j);
    tola_json_end_object(j);
}

tola_status writer_add_index(tola_writer *w, const tola_tensor_spec *tensors, const char *path, tola_error *err) {
    buf text;
    tola_json j;
    buf_init(&text, CK_MAX_HEADER);
    tola_json_init(&j, json_to_buf, &text, 2);
    put_index(w, tensors, &j);
    bool done = tola_json_finish(&j);
    buf_u8(&text, '\n');
    size_t n = strlen(path) + sizeof ".index.json";
    char *index = mem_alloc(n);
    tola_status status = TOLA_OK;
    uint32_t file;
    if (!done || text.failed || !index) {
        status = err_nomem(err, "writing the index");
    } else {
        snprintf(index, n, "%s.index.json", path);
        status = writer_add_file(w, index, text.length, &file, err);
        if (status == TOLA_OK) status = output_write(w->files[file], 0, text.data, text.length, err);
    }
    mem_free(index);
    buf_free(&text);
    return status;
}
