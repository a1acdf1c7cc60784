/* Writing PyTorch files: the zip container with a pickle of protocol 2, as torch.save writes it and
 * torch.load(weights_only=True) takes it from torch 1.13 on; one file, or shards with an index as transformers names
 * them.
 *
 * The object is an OrderedDict of tensors, each over a storage of its own. Metadata goes into an attribute of the
 * dictionary (`state.metadata`), where load_state_dict does not stumble over it; torch_state.c finds it again.
 * Source: torch/serialization.py (_save), torch/_tensor.py (_reduce_ex_internal). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/zip.h"
#include "tensor/dtype.h"
#include <tola/json.h>

#define ALIGNMENT 64
#define MAX_DEPTH 64 /* of metadata */
#define ROOT "archive/"

/* `storage`: the class of its storage; NULL: bytes that `dtype` names (types newer than torch's storage classes). */
static const struct {
    uint8_t type;
    const char *storage, *dtype;
} torch_types[] = {
    { TOLA_DTYPE_F64, "DoubleStorage", NULL },         { TOLA_DTYPE_F32, "FloatStorage", NULL },
    { TOLA_DTYPE_F16, "HalfStorage", NULL },           { TOLA_DTYPE_BF16, "BFloat16Storage", NULL },
    { TOLA_DTYPE_I64, "LongStorage", NULL },           { TOLA_DTYPE_I32, "IntStorage", NULL },
    { TOLA_DTYPE_I16, "ShortStorage", NULL },          { TOLA_DTYPE_I8, "CharStorage", NULL },
    { TOLA_DTYPE_U8, "ByteStorage", NULL },            { TOLA_DTYPE_BOOL, "BoolStorage", NULL },
    { TOLA_DTYPE_C64, "ComplexFloatStorage", NULL },   { TOLA_DTYPE_C128, "ComplexDoubleStorage", NULL },
    { TOLA_DTYPE_U16, NULL, "uint16" },                { TOLA_DTYPE_U32, NULL, "uint32" },
    { TOLA_DTYPE_U64, NULL, "uint64" },                { TOLA_DTYPE_C32, NULL, "complex32" },
    { TOLA_DTYPE_F8_E4M3, NULL, "float8_e4m3fn" },     { TOLA_DTYPE_F8_E5M2, NULL, "float8_e5m2" },
    { TOLA_DTYPE_F8_E4M3FNUZ, NULL, "float8_e4m3fnuz" }, { TOLA_DTYPE_F8_E5M2FNUZ, NULL, "float8_e5m2fnuz" },
    { TOLA_DTYPE_F8_E8M0, NULL, "float8_e8m0fnu" },    { TOLA_DTYPE_F4, NULL, "float4_e2m1fn_x2" },
};
#define TORCH_TYPES (sizeof torch_types / sizeof *torch_types)

static size_t type_index(tola_dtype dtype) {
    size_t i = 0;
    while (i < TORCH_TYPES && torch_types[i].type != dtype) i++;
    return i;
}

static bool torch_holds(tola_dtype dtype) { return type_index(dtype) < TORCH_TYPES; }

typedef struct torch_writer {
    zip_writer **zips; /* one a shard */
    uint32_t shards;
    uint32_t *shard;  /* of each tensor */
    size_t *members;  /* of each tensor, in the archive of its shard */
    /* borrowed while the writer is opened */
    const tola_tensor_spec *tensors;
    const tola_value *metadata;
} torch_writer;

/* ---- the pickle ---- */

/* Memo places of what is used again and again; those of storage classes and dtypes follow. */
enum { MEMO_V2, MEMO_V3, MEMO_PARAMETER, MEMO_ORDERED, MEMO_STORAGE, MEMO_CPU, MEMO_UNTYPED, MEMO_ENCODE, MEMO_LATIN,
       MEMO_TYPES };

typedef struct pickler {
    buf *out;
    bool memo[MEMO_TYPES + TORCH_TYPES]; /* written already */
} pickler;

static void put_text(pickler *p, const char *text, size_t length) {
    buf_u8(p->out, 'X');
    buf_u32le(p->out, (uint32_t)length);
    buf_append(p->out, text, length);
}

static void put_memo(pickler *p, unsigned place) {
    buf_u8(p->out, p->memo[place] ? 'h' : 'q');
    buf_u8(p->out, (uint8_t)place);
    p->memo[place] = true;
}

/* A name or text at its first use, later a reference to it. */
static void put_global(pickler *p, unsigned place, const char *module, const char *name) {
    if (!p->memo[place]) buf_printf(p->out, "c%s\n%s\n", module, name);
    put_memo(p, place);
}

static void put_known_text(pickler *p, unsigned place, const char *text) {
    if (!p->memo[place]) put_text(p, text, strlen(text));
    put_memo(p, place);
}

static void put_int(pickler *p, int64_t v) {
    if (v >= 0 && v < 256) {
        buf_u8(p->out, 'K');
        buf_u8(p->out, (uint8_t)v);
    } else if (v >= INT32_MIN && v <= INT32_MAX) {
        buf_u8(p->out, 'J');
        buf_u32le(p->out, (uint32_t)v);
    } else {
        buf_u8(p->out, 0x8a);
        buf_u8(p->out, 8);
        buf_u64le(p->out, (uint64_t)v);
    }
}

static void put_empty_ordered(pickler *p) {
    put_global(p, MEMO_ORDERED, "collections", "OrderedDict");
    buf_append(p->out, ")R", 2);
}

/* The persistent id ("storage", class, key, "cpu", count) of tensor number `index`. */
static void put_storage(pickler *p, const tola_tensor_spec *t, size_t index, uint64_t elements, uint64_t bytes) {
    char key[24];
    size_t type = type_index((tola_dtype)t->dtype);
    bool typed = torch_types[type].storage != NULL;
    buf_u8(p->out, '(');
    put_known_text(p, MEMO_STORAGE, "storage");
    if (typed)
        put_global(p, (unsigned)(MEMO_TYPES + type), "torch", torch_types[type].storage);
    else
        put_global(p, MEMO_UNTYPED, "torch.storage", "UntypedStorage");
    int n = snprintf(key, sizeof key, "%zu", index);
    put_text(p, key, (size_t)n);
    put_known_text(p, MEMO_CPU, "cpu");
    put_int(p, (int64_t)(typed ? elements : bytes));
    buf_append(p->out, "tQ", 2);
}

static void put_shape(pickler *p, const tola_tensor_spec *t) {
    int64_t strides[TOLA_MAX_DIMS], stride = 1;
    unsigned pair = t->dtype == TOLA_DTYPE_F4 ? 2 : 1; /* torch counts pairs of four-bit floats */
    for (unsigned d = t->n_dims; d-- > 0;) {
        uint64_t extent = t->shape[d] / (d + 1 == t->n_dims ? pair : 1);
        strides[d] = stride;
        if (extent) stride *= (int64_t)extent;
    }
    buf_u8(p->out, '(');
    for (unsigned d = 0; d < t->n_dims; d++) put_int(p, (int64_t)(t->shape[d] / (d + 1 == t->n_dims ? pair : 1)));
    buf_append(p->out, "t(", 2);
    for (unsigned d = 0; d < t->n_dims; d++) put_int(p, strides[d]);
    buf_u8(p->out, 't');
}

static void put_tensor(pickler *p, const tola_tensor_spec *t, size_t index, uint64_t elements, uint64_t bytes) {
    size_t type = type_index((tola_dtype)t->dtype);
    bool typed = torch_types[type].storage != NULL;
    bool trained = t->flags & TOLA_TENSOR_PARAMETER;
    put_text(p, t->name, strlen(t->name));
    if (trained) {
        put_global(p, MEMO_PARAMETER, "torch._utils", "_rebuild_parameter");
        buf_u8(p->out, '(');
    }
    put_global(p, typed ? MEMO_V2 : MEMO_V3, "torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
    buf_u8(p->out, '(');
    put_storage(p, t, index, elements, bytes);
    put_int(p, 0);
    put_shape(p, t);
    buf_u8(p->out, 0x89); /* requires no gradient */
    put_empty_ordered(p); /* hooks */
    if (!typed) put_global(p, (unsigned)(MEMO_TYPES + type), "torch", torch_types[type].dtype);
    buf_append(p->out, "tR", 2);
    if (!trained) return;
    bool floating = dtype_get((tola_dtype)t->dtype)->kind == TOLA_KIND_FLOAT ||
                    dtype_get((tola_dtype)t->dtype)->kind == TOLA_KIND_COMPLEX;
    buf_u8(p->out, floating ? 0x88 : 0x89); /* torch refuses gradients of integers */
    put_empty_ordered(p);
    buf_append(p->out, "tR", 2);
}

/* ---- metadata ---- */

/* Bytes that are no text, as protocol 2 carries them: _codecs.encode(Latin-1 text, "latin1"). */
static void put_bytes(pickler *p, const tola_string *s) {
    size_t high = 0;
    for (size_t i = 0; i < s->length; i++) high += (uint8_t)s->data[i] >= 0x80;
    put_global(p, MEMO_ENCODE, "_codecs", "encode");
    buf_append(p->out, "(X", 2);
    buf_u32le(p->out, (uint32_t)(s->length + high));
    for (size_t i = 0; i < s->length; i++) {
        uint8_t c = (uint8_t)s->data[i];
        if (c >= 0x80) buf_u8(p->out, (uint8_t)(0xc0 | c >> 6));
        buf_u8(p->out, c >= 0x80 ? (uint8_t)(0x80 | (c & 63)) : c);
    }
    put_known_text(p, MEMO_LATIN, "latin1");
    buf_append(p->out, "tR", 2);
}

static void put_float(pickler *p, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    buf_u8(p->out, 'G');
    for (int i = 56; i >= 0; i -= 8) buf_u8(p->out, (uint8_t)(bits >> i));
}

static void put_value(pickler *p, const tola_value *v, int depth) {
    if (depth > MAX_DEPTH) {
        p->out->failed = true;
        return;
    }
    switch ((tola_value_kind)v->kind) {
    case TOLA_VALUE_NULL: buf_u8(p->out, 'N'); break;
    case TOLA_VALUE_BOOL: buf_u8(p->out, v->as.boolean ? 0x88 : 0x89); break;
    case TOLA_VALUE_INT: put_int(p, v->as.i64); break;
    case TOLA_VALUE_UINT:
        if (v->as.u64 <= INT64_MAX) {
            put_int(p, (int64_t)v->as.u64);
        } else { /* nine bytes, so that the sign bit is clear */
            buf_append(p->out, "\x8a\x09", 2);
            buf_u64le(p->out, v->as.u64);
            buf_u8(p->out, 0);
        }
        break;
    case TOLA_VALUE_FLOAT: put_float(p, v->as.f64); break;
    case TOLA_VALUE_STRING:
        if (v->as.string.length > INT32_MAX)
            p->out->failed = true;
        else if (utf8_valid(v->as.string.data, v->as.string.length))
            put_text(p, v->as.string.data, v->as.string.length);
        else
            put_bytes(p, &v->as.string);
        break;
    case TOLA_VALUE_ARRAY:
        buf_append(p->out, "](", 2);
        for (size_t i = 0; i < v->as.array.count; i++) {
            tola_value item = tola_value_at(v, i);
            put_value(p, &item, depth + 1);
        }
        buf_u8(p->out, 'e');
        break;
    case TOLA_VALUE_MAP:
        buf_append(p->out, "}(", 2);
        for (size_t i = 0; i < v->as.map.count; i++) {
            const tola_member *m = &v->as.map.members[i];
            put_text(p, m->key.data, m->key.length);
            put_value(p, &m->value, depth + 1);
        }
        buf_u8(p->out, 'u');
        break;
    }
}

/* The pickle of one shard. Metadata goes into the first. */
static tola_status build_pickle(const tola_writer *w, const torch_writer *s, uint32_t shard, buf *out,
                                tola_error *err) {
    pickler p = { .out = out };
    size_t key = 0;
    buf_append(out, "\x80\x02", 2);
    put_empty_ordered(&p);
    buf_u8(out, '(');
    for (size_t i = 0; i < w->count; i++) {
        if (s->shard[i] != shard) continue;
        uint64_t elements = 1;
        for (unsigned d = 0; d < s->tensors[i].n_dims; d++) elements *= s->tensors[i].shape[d];
        put_tensor(&p, &s->tensors[i], key++, elements, w->slots[i].bytes);
    }
    buf_u8(out, 'u');
    const tola_value *metadata = shard == 0 ? s->metadata : NULL;
    if (metadata && metadata->kind == TOLA_VALUE_MAP && metadata->as.map.count) {
        buf_u8(out, '}');
        put_text(&p, "metadata", strlen("metadata"));
        put_value(&p, metadata, 0);
        buf_append(out, "sb", 2);
    }
    buf_u8(out, '.');
    if (out->failed)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "the pickle of names and metadata is too large for memory, or metadata is nested too deeply");
    return TOLA_OK;
}

/* ---- the archive ---- */

static tola_status plan_tensors(tola_writer *w, const tola_tensor_spec *tensors, tola_error *err) {
    for (size_t i = 0; i < w->count; i++) {
        const tola_tensor_spec *t = &tensors[i];
        uint64_t elements = 1; /* the caller has checked shape and type */
        for (unsigned d = 0; d < t->n_dims; d++) elements *= t->shape[d];
        TRY(tola_dtype_size((tola_dtype)t->dtype, elements, &w->slots[i].bytes));
        if (t->dtype == TOLA_DTYPE_F4 && (t->n_dims == 0 || t->shape[t->n_dims - 1] % 2))
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                           "tensor '%s': torch holds four-bit floats in pairs along the last dimension", t->name);
    }
    return TOLA_OK;
}

/* data.pkl, byteorder and version: written as soon as their places are known. */
typedef struct small_member {
    const char *name;
    const void *data;
    size_t bytes, member;
} small_member;

static tola_status plan_members(tola_writer *w, torch_writer *s, uint32_t shard, small_member small[3],
                                tola_error *err) {
    zip_writer *zip = s->zips[shard];
    size_t key = 0;
    TRY(zip_writer_add(zip, small[0].name, small[0].bytes, ALIGNMENT, &small[0].member, err));
    TRY(zip_writer_add(zip, small[1].name, small[1].bytes, ALIGNMENT, &small[1].member, err));
    for (size_t i = 0; i < w->count; i++) {
        char name[48];
        if (s->shard[i] != shard) continue;
        snprintf(name, sizeof name, ROOT "data/%zu", key++);
        TRY(zip_writer_add(zip, name, w->slots[i].bytes, ALIGNMENT, &s->members[i], err));
        w->slots[i].offset = zip_writer_data(zip, s->members[i]);
    }
    return zip_writer_add(zip, small[2].name, small[2].bytes, ALIGNMENT, &small[2].member, err);
}

/* "dir/pytorch_model.bin" -> "dir/pytorch_model-00002-of-00005.bin"; for one shard the name itself. */
static char *shard_path(const char *path, uint32_t shard, uint32_t shards) {
    if (shards == 1) return mem_strdup(path);
    const char *dot = strrchr(path_last(path), '.');
    size_t n = strlen(path), stem = dot ? (size_t)(dot - path) : n;
    char *out = mem_alloc(n + 48);
    if (out) snprintf(out, n + 48, "%.*s-%05u-of-%05u%s", (int)stem, path, shard + 1, shards, path + stem);
    return out;
}

static tola_status open_shard(tola_writer *w, torch_writer *s, const char *path, uint32_t shard, const buf *pickle,
                              tola_error *err) {
    small_member small[3] = { { ROOT "data.pkl", pickle->data, pickle->length, 0 },
                              { ROOT "byteorder", "little", 6, 0 },
                              { ROOT "version", "3\n", 2, 0 } };
    uint32_t file;
    TRY(zip_writer_new(&s->zips[shard], err));
    TRY(plan_members(w, s, shard, small, err));
    char *name = shard_path(path, shard, s->shards);
    if (!name) return err_nomem(err, "preparing output");
    tola_status status = writer_add_file(w, name, zip_writer_total(s->zips[shard]), &file, err);
    mem_free(name);
    TRY(status);
    for (size_t i = 0; i < w->count; i++)
        if (s->shard[i] == shard) w->slots[i].file = file;
    for (size_t i = 0; i < 3; i++) {
        uint64_t at = zip_writer_data(s->zips[shard], small[i].member);
        TRY(output_write(w->files[file], at, small[i].data, small[i].bytes, err));
        TRY(zip_writer_block(s->zips[shard], small[i].member, 0, small[i].data, small[i].bytes, err));
    }
    return TOLA_OK;
}

/* ---- the writer ---- */

static tola_status open_shards(tola_writer *w, torch_writer *s, const char *path, tola_error *err) {
    for (uint32_t shard = 0; shard < s->shards; shard++) {
        buf pickle;
        buf_init(&pickle, 0);
        tola_status status = build_pickle(w, s, shard, &pickle, err);
        if (status == TOLA_OK) status = open_shard(w, s, path, shard, &pickle, err);
        buf_free(&pickle);
        TRY(status);
    }
    return s->shards > 1 ? writer_add_index(w, s->tensors, path, err) : TOLA_OK;
}

static tola_status torch_open(tola_writer *w, const tola_tensor_spec *tensors, size_t count,
                              const tola_write_options *options, tola_error *err) {
    torch_writer *s = mem_calloc(1, sizeof *s);
    if (!s) return err_nomem(err, "preparing output");
    w->state = s;
    s->tensors = tensors;
    s->metadata = options->metadata;
    s->members = mem_calloc(count, sizeof *s->members);
    s->shard = mem_calloc(count, sizeof *s->shard);
    if (!s->members || !s->shard) return err_nomem(err, "preparing output");
    TRY(plan_tensors(w, tensors, err));
    s->shards = writer_plan_shards(tensors, count, options->max_shard_size, s->shard);
    TRY(writer_check_shards(s->shards, err));
    s->zips = mem_calloc(s->shards, sizeof *s->zips);
    char *path = w->folder ? path_join(w->path, "pytorch_model.bin") : mem_strdup(w->path);
    tola_status status = path && s->zips ? open_shards(w, s, path, err) : err_nomem(err, "preparing output");
    mem_free(path);
    s->tensors = NULL;
    s->metadata = NULL;
    return status;
}

static tola_status torch_wrote(tola_writer *w, size_t index, uint64_t offset, const void *data, size_t bytes,
                               tola_error *err) {
    torch_writer *s = w->state;
    return zip_writer_block(s->zips[s->shard[index]], s->members[index], offset, data, bytes, err);
}

static tola_status torch_finish(tola_writer *w, tola_error *err) {
    torch_writer *s = w->state;
    /* the files of the shards are the first that were added, in their order */
    for (uint32_t shard = 0; shard < s->shards; shard++)
        TRY(zip_writer_finish(s->zips[shard], w->files[shard], err));
    return TOLA_OK;
}

static void torch_free(tola_writer *w) {
    torch_writer *s = w->state;
    if (!s) return;
    for (uint32_t shard = 0; s->zips && shard < s->shards; shard++) zip_writer_free(s->zips[shard]);
    mem_free(s->zips);
    mem_free(s->shard);
    mem_free(s->members);
    mem_free(s);
    w->state = NULL;
}

const writer_format writer_pytorch = { "pytorch", ".pt .pth .bin .ckpt", torch_holds, torch_open, torch_wrote,
                                       torch_finish, torch_free };
