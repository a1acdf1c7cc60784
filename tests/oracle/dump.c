/* tola_dump: everything that the public API says about a checkpoint, as one JSON document, for the oracle tests.
 *
 *   tola_dump [--chunk N] [--acquire] [--hex] [--names-only] PATH
 *
 * Tensors come with the SHA-256 of their bytes (`--hex`: the bytes themselves), read whole, in pieces of N bytes, or
 * through tola_checkpoint_acquire. A tensor that cannot be read has "error" instead. Metadata keeps its types:
 * {"kind","dtype","value"}. Exit 2 with the message on stderr where the checkpoint does not open. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include <tola/tola.h>

typedef struct settings {
    const char *path;
    size_t chunk;
    bool acquire, hex, names_only;
} settings;

static bool to_stdout(void *user, const char *text, size_t length) {
    (void)user;
    return fwrite(text, 1, length, stdout) == length;
}

static void put_hex(tola_json *json, const char *key, const uint8_t *data, size_t bytes) {
    char *text = malloc(bytes * 2 + 1);
    if (!text) exit(3);
    for (size_t i = 0; i < bytes; i++) snprintf(text + 2 * i, 3, "%02x", data[i]);
    tola_json_key(json, key);
    tola_json_string_n(json, text, bytes * 2);
    free(text);
}

/* ---- metadata ---- */

static const char *kind_name(int kind) {
    static const char *const names[] = { "null", "bool", "int", "uint", "float", "string", "array", "map" };
    return names[kind];
}

static void put_value(tola_json *json, const tola_value *v) {
    tola_json_begin_object(json);
    tola_json_key(json, "kind");
    tola_json_string(json, kind_name(v->kind));
    if (v->kind == TOLA_VALUE_ARRAY) {
        tola_json_key(json, "element");
        tola_json_string(json, kind_name(v->element));
        tola_json_key(json, "count");
        tola_json_u64(json, v->as.array.count);
    }
    if (v->dtype != TOLA_DTYPE_NONE) {
        tola_json_key(json, "dtype");
        tola_json_string(json, tola_dtype_name((tola_dtype)v->dtype));
    }
    tola_json_key(json, "value");
    if (v->kind == TOLA_VALUE_MAP) {
        tola_json_begin_object(json);
        for (size_t i = 0; i < v->as.map.count; i++) {
            tola_json_key_n(json, v->as.map.members[i].key.data, v->as.map.members[i].key.length);
            put_value(json, &v->as.map.members[i].value);
        }
        tola_json_end_object(json);
    } else if (v->kind == TOLA_VALUE_ARRAY && v->element == TOLA_VALUE_NULL) {
        tola_json_begin_array(json);
        for (size_t i = 0; i < v->as.array.count; i++) {
            tola_value item = tola_value_at(v, i);
            put_value(json, &item);
        }
        tola_json_end_array(json);
    } else {
        tola_json_value(json, v);
    }
    tola_json_end_object(json);
}

/* ---- tensors ---- */

static void put_bytes(tola_json *json, const settings *s, const uint8_t *data, size_t bytes) {
    uint8_t digest[SHA256_BYTES];
    tola_error err = TOLA_ERROR_INIT;
    if (s->hex) {
        put_hex(json, "hex", data, bytes);
        return;
    }
    if (sha256(data, bytes, digest, &err) != TOLA_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(3);
    }
    put_hex(json, "sha256", digest, sizeof digest);
}

static tola_status read_pieces(const tola_checkpoint *ck, size_t i, size_t chunk, uint8_t *dst, size_t bytes,
                               tola_error *err) {
    for (size_t at = 0; at < bytes; at += chunk) {
        size_t part = bytes - at < chunk ? bytes - at : chunk;
        tola_status status = tola_checkpoint_read(ck, i, at, dst + at, part, err);
        if (status != TOLA_OK) return status;
    }
    return TOLA_OK;
}

static void put_contents(tola_json *json, const settings *s, const tola_checkpoint *ck, size_t i) {
    const tola_tensor_info *info = tola_checkpoint_tensor(ck, i);
    tola_error err = TOLA_ERROR_INIT;
    tola_status status;
    if (s->acquire) {
        tola_view view;
        status = tola_checkpoint_acquire(ck, i, &view, &err);
        if (status == TOLA_OK) {
            put_bytes(json, s, view.data, view.bytes);
            tola_view_release(&view);
        }
    } else {
        uint8_t *data = malloc(info->bytes ? info->bytes : 1);
        if (!data) exit(3);
        status = read_pieces(ck, i, s->chunk ? s->chunk : info->bytes ? info->bytes : 1, data, info->bytes, &err);
        if (status == TOLA_OK) put_bytes(json, s, data, info->bytes);
        free(data);
    }
    if (status != TOLA_OK) {
        tola_json_key(json, "error");
        tola_json_string(json, err.message);
    }
}

static void put_number(tola_json *json, const char *key, uint64_t value) {
    tola_json_key(json, key);
    tola_json_u64(json, value);
}

static void put_tensor(tola_json *json, const settings *s, const tola_checkpoint *ck, size_t i) {
    const tola_tensor_info *info = tola_checkpoint_tensor(ck, i);
    tola_json_begin_object(json);
    tola_json_key(json, "name");
    tola_json_string(json, info->name);
    tola_json_key(json, "dtype");
    tola_json_string(json, tola_dtype_name((tola_dtype)info->dtype));
    tola_json_key(json, "shape");
    tola_json_begin_array(json);
    for (unsigned d = 0; d < info->n_dims; d++) tola_json_u64(json, info->shape[d]);
    tola_json_end_array(json);
    put_number(json, "elements", info->elements);
    put_number(json, "bytes", info->bytes);
    put_number(json, "file", info->file);
    tola_json_key(json, "offset");
    if (info->offset == TOLA_NO_OFFSET)
        tola_json_null(json);
    else
        tola_json_u64(json, info->offset);
    put_number(json, "storage", info->storage);
    put_number(json, "flags", info->flags);
    if (!s->names_only && !(info->flags & TOLA_TENSOR_MISSING)) put_contents(json, s, ck, i);
    tola_json_end_object(json);
}

static int dump(const settings *s) {
    tola_checkpoint *ck;
    tola_error err = TOLA_ERROR_INIT;
    tola_json json;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    if (tola_checkpoint_open(s->path, &options, &ck, &err) != TOLA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    tola_json_init(&json, to_stdout, NULL, 0);
    tola_json_begin_object(&json);
    tola_json_key(&json, "format");
    tola_json_string(&json, tola_checkpoint_format(ck));
    tola_json_key(&json, "files");
    tola_json_begin_array(&json);
    for (size_t i = 0; i < tola_checkpoint_file_count(ck); i++)
        tola_json_string(&json, tola_checkpoint_file(ck, i)->path);
    tola_json_end_array(&json);
    tola_json_key(&json, "tensors");
    tola_json_begin_array(&json);
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) put_tensor(&json, s, ck, i);
    tola_json_end_array(&json);
    tola_json_key(&json, "metadata");
    if (tola_checkpoint_metadata(ck))
        put_value(&json, tola_checkpoint_metadata(ck));
    else
        tola_json_null(&json);
    tola_json_key(&json, "warnings");
    tola_json_begin_array(&json);
    for (size_t i = 0; i < tola_checkpoint_warning_count(ck); i++)
        tola_json_string(&json, tola_checkpoint_warning(ck, i));
    tola_json_end_array(&json);
    tola_json_end_object(&json);
    bool done = tola_json_finish(&json) && fputc('\n', stdout) != EOF && fflush(stdout) == 0;
    tola_checkpoint_close(ck);
    return done ? 0 : 3;
}

int main(int argc, char **argv) {
    settings s = { 0 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--chunk") == 0 && i + 1 < argc)
            s.chunk = (size_t)strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--acquire") == 0)
            s.acquire = true;
        else if (strcmp(argv[i], "--hex") == 0)
            s.hex = true;
        else if (strcmp(argv[i], "--names-only") == 0)
            s.names_only = true;
        else
            s.path = argv[i];
    }
    if (!s.path) {
        fprintf(stderr, "usage: tola_dump [--chunk N] [--acquire] [--hex] [--names-only] PATH\n");
        return 2;
    }
    return dump(&s);
}
