/* tola inspect --json: schema tola.inspect/1. Every key is always there, null where nothing is known. */
#include <string.h>

#include "inspect.h"

#define LONG_ARRAY 64  /* longer ones are given by their length */
#define DEEPEST 40     /* levels of metadata; the emitter has 64 */

static void write_value(tola_json *j, const tola_value *v, bool all, int depth) {
    if (v->kind == TOLA_VALUE_MAP && depth < DEEPEST) {
        tola_json_begin_object(j);
        for (size_t i = 0; i < v->as.map.count; i++) {
            const tola_member *m = &v->as.map.members[i];
            tola_json_key_n(j, m->key.data, m->key.length);
            write_value(j, &m->value, all, depth + 1);
        }
        tola_json_end_object(j);
    } else if (v->kind == TOLA_VALUE_ARRAY && (all || v->as.array.count <= LONG_ARRAY) && depth < DEEPEST) {
        tola_json_begin_array(j);
        for (size_t i = 0; i < v->as.array.count; i++) {
            tola_value item = tola_value_at(v, i);
            write_value(j, &item, all, depth + 1);
        }
        tola_json_end_array(j);
    } else if (v->kind == TOLA_VALUE_ARRAY || v->kind == TOLA_VALUE_MAP) {
        bool array = v->kind == TOLA_VALUE_ARRAY;
        tola_json_begin_object(j);
        out_json_u64(j, array ? "array" : "map", array ? v->as.array.count : v->as.map.count);
        tola_json_end_object(j);
    } else {
        tola_json_value(j, v);
    }
}

static void write_parameters(tola_json *j, const tola_summary *s) {
    tola_json_key(j, "parameters");
    tola_json_begin_object(j);
    out_json_u64(j, "total", s->parameters);
    out_json_u64(j, "active", s->active);
    tola_json_key(j, "by_role");
    tola_json_begin_object(j);
    for (int i = 0; i < TOLA_ROLE_COUNT; i++)
        if (i != TOLA_ROLE_BUFFER && i != TOLA_ROLE_QUANT && i != TOLA_ROLE_STATE)
            out_json_u64(j, tola_role_name((tola_role)i), s->by_role[i]);
    tola_json_end_object(j);
    tola_json_end_object(j);
}

static void write_dtypes(tola_json *j, const tola_summary *s) {
    tola_json_key(j, "dtypes");
    tola_json_begin_object(j);
    for (int i = 0; i < TOLA_DTYPE_COUNT; i++) {
        if (!s->dtypes[i].tensors) continue;
        tola_json_key(j, tola_dtype_name((tola_dtype)i));
        tola_json_begin_object(j);
        out_json_u64(j, "tensors", s->dtypes[i].tensors);
        out_json_u64(j, "elements", s->dtypes[i].elements);
        out_json_u64(j, "bytes", s->dtypes[i].bytes);
        tola_json_end_object(j);
    }
    tola_json_end_object(j);
}

static void write_flags(tola_json *j, uint32_t flags) {
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = { { TOLA_TENSOR_SHARED, "shared" },       { TOLA_TENSOR_STRIDED, "strided" },
                  { TOLA_TENSOR_SWAPPED, "big_endian" },  { TOLA_TENSOR_PACKED, "compressed" },
                  { TOLA_TENSOR_SPARSE, "sparse" },       { TOLA_TENSOR_QUANTIZED, "quantized" },
                  { TOLA_TENSOR_PARAMETER, "parameter" }, { TOLA_TENSOR_STATE, "state" },
                  { TOLA_TENSOR_MISSING, "missing" } };
    tola_json_key(j, "flags");
    tola_json_begin_array(j);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag) tola_json_string(j, names[i].name);
    tola_json_end_array(j);
}

static void write_tensor(tola_json *j, const inspection *in, const tola_tensor_info *t, tola_role role) {
    bool missing = (t->flags & TOLA_TENSOR_MISSING) != 0;
    const tola_file_info *file = tola_checkpoint_file(in->checkpoint, t->file);
    tola_json_begin_object(j);
    out_json_string(j, "name", t->name);
    out_json_string(j, "dtype", missing ? NULL : tola_dtype_name((tola_dtype)t->dtype));
    tola_json_key(j, "shape");
    tola_json_begin_array(j);
    for (unsigned d = 0; d < t->n_dims; d++) tola_json_u64(j, t->shape[d]);
    tola_json_end_array(j);
    out_json_u64(j, "bytes", t->bytes);
    out_json_string(j, "file", file ? file->path : NULL);
    tola_json_key(j, "offset");
    if (t->offset == TOLA_NO_OFFSET || missing)
        tola_json_null(j);
    else
        tola_json_u64(j, t->offset);
    out_json_string(j, "role", missing ? NULL : tola_role_name(role));
    if (t->flags) write_flags(j, t->flags);
    tola_json_end_object(j);
}

static void write_tensors(tola_json *j, const inspection *in, const char *glob) {
    size_t count = tola_checkpoint_tensor_count(in->checkpoint);
    tola_json_key(j, "tensors");
    tola_json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(in->checkpoint, i);
        if (glob && *glob && !tola_glob_match(glob, t->name)) continue;
        write_tensor(j, in, t, (tola_role)in->roles[i]);
    }
    tola_json_end_array(j);
}

static void write_files(tola_json *j, const tola_checkpoint *ck) {
    tola_json_key(j, "files");
    tola_json_begin_array(j);
    for (size_t i = 0; i < tola_checkpoint_file_count(ck); i++) {
        const tola_file_info *f = tola_checkpoint_file(ck, i);
        tola_json_begin_object(j);
        out_json_string(j, "path", f->path);
        out_json_u64(j, "bytes", f->bytes);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
}

static void write_facts(tola_json *j, const tola_summary *s) {
    out_json_count(j, "context_length", s->context);
    out_json_string(j, "tokenizer", s->tokenizer);
    tola_json_key(j, "chat_template");
    tola_json_bool(j, s->chat_template);
    out_json_string(j, "licence", s->licence);
    out_json_string(j, "name", s->name);
    out_json_string(j, "model_class", s->model_class);
    out_json_count(j, "layers", s->layers);
    out_json_count(j, "heads", s->heads);
    out_json_count(j, "kv_heads", s->kv_heads);
    out_json_count(j, "head_dim", s->head_dim);
    out_json_count(j, "width", s->width);
    out_json_count(j, "feed_forward", s->feed_forward);
    out_json_count(j, "vocabulary", s->vocabulary);
    out_json_count(j, "experts", s->experts);
    out_json_count(j, "experts_used", s->experts_used);
    out_json_string(j, "quantization", s->quantization);
    out_json_string(j, "adapter", s->adapter);
    out_json_u64(j, "shared_tensors", s->shared_tensors);
    out_json_u64(j, "missing_tensors", s->missing_tensors);
    tola_json_key(j, "states");
    tola_json_begin_object(j);
    out_json_u64(j, "tensors", s->states);
    out_json_u64(j, "elements", s->state_elements);
    tola_json_end_object(j);
}

void inspect_write_json(const inspection *in, const inspect_settings *settings) {
    tola_json j;
    const tola_summary *s = in->summary;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    out_json_string(&j, "schema", "tola.inspect/1");
    out_json_string(&j, "format", tola_checkpoint_format(in->checkpoint));
    out_json_string(&j, "architecture", s->architecture);
    write_parameters(&j, s);
    out_json_u64(&j, "buffers", s->buffers);
    tola_json_key(&j, "bytes");
    tola_json_begin_object(&j);
    out_json_u64(&j, "file", s->bytes_files);
    out_json_u64(&j, "tensors", s->bytes_tensors);
    tola_json_end_object(&j);
    tola_json_key(&j, "bits_per_weight");
    if (s->parameters)
        tola_json_f64(&j, s->bits_per_weight);
    else
        tola_json_null(&j);
    write_dtypes(&j, s);
    write_facts(&j, s);
    write_files(&j, in->checkpoint);
    write_tensors(&j, in, settings->tensors);
    tola_json_key(&j, "metadata");
    const tola_value *metadata = tola_checkpoint_metadata(in->checkpoint);
    static const tola_value empty = { .kind = TOLA_VALUE_MAP };
    write_value(&j, metadata && metadata->kind == TOLA_VALUE_MAP ? metadata : &empty, settings->metadata, 0);
    out_json_string(&j, "digest", in->digest);
    tola_json_key(&j, "warnings");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < s->warning_count; i++) tola_json_string(&j, s->warnings[i]);
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}
