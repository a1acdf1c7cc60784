/* See logical.h. Which tensors make a matrix is found by the endings that each scheme knows; what the bytes mean is the
 * scheme's business (codecs/scheme.h). Parts are acquired (mapped where the storage allows it) when the matrix is first
 * read and kept for the few matrices last used, since a stream reads a matrix in many blocks from several threads. */
#include "formats/logical.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "codecs/scheme.h"
#include "formats/open.h"

#define KEPT_IDLE 4 /* matrices whose parts stay at hand between two reads */
#define NO_PART SIZE_MAX
#define BLOCK_ELEMENTS ((uint64_t)1 << 18) /* decoded at a time */
#define MIN_ROWS 64 /* at a time, for the schemes that keep columns together */

typedef struct matrix {
    struct logical *view;
    const scheme *scheme;
    scheme_layout layout;
    tola_dtype dtype; /* as delivered */
    size_t parts[SCHEME_MAX_PARTS]; /* tensors of the checkpoint below; NO_PART where absent */
    tola_view data[SCHEME_MAX_PARTS]; /* under the lock; held while users > 0 or idle */
    unsigned users;
    bool loaded;
} matrix;

typedef struct logical {
    const tola_checkpoint *in;
    tola_checkpoint *owned; /* `in` where the view closes it, else NULL */
    pthread_mutex_t lock;
    matrix *idle[KEPT_IDLE]; /* loaded, maybe in use; the one used last comes first */
} logical;

/* ---- the parts of a matrix ---- */

static void unload(matrix *m) {
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) tola_view_release(&m->data[i]);
    m->loaded = false;
}

static tola_status load(matrix *m, tola_error *err) {
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) {
        if (m->parts[i] == NO_PART) continue;
        tola_status status = tola_checkpoint_acquire(m->view->in, m->parts[i], &m->data[i], err);
        if (status == TOLA_OK) continue;
        unload(m);
        return status;
    }
    m->loaded = true;
    return TOLA_OK;
}

/* Puts `m` first; what falls out at the end is unloaded as soon as nobody uses it. */
static void touch(logical *v, matrix *m) {
    unsigned at = 0;
    while (at < KEPT_IDLE - 1 && v->idle[at] && v->idle[at] != m) at++;
    matrix *out = v->idle[at];
    memmove(&v->idle[1], &v->idle[0], at * sizeof *v->idle);
    v->idle[0] = m;
    if (out && out != m && out->users == 0) unload(out);
}

static bool is_kept(const logical *v, const matrix *m) {
    for (unsigned i = 0; i < KEPT_IDLE; i++)
        if (v->idle[i] == m) return true;
    return false;
}

static tola_status use(matrix *m, tola_error *err) {
    logical *v = m->view;
    pthread_mutex_lock(&v->lock);
    tola_status status = m->loaded ? TOLA_OK : load(m, err);
    if (status == TOLA_OK) {
        m->users++;
        touch(v, m);
    }
    pthread_mutex_unlock(&v->lock);
    return status;
}

static void leave(matrix *m) {
    pthread_mutex_lock(&m->view->lock);
    if (--m->users == 0 && !is_kept(m->view, m)) unload(m);
    pthread_mutex_unlock(&m->view->lock);
}

/* ---- reading ---- */

static tola_status decode_rows(const matrix *m, uint64_t first, uint64_t count, uint8_t *dst, float *work,
                               tola_error *err) {
    const void *data[SCHEME_MAX_PARTS];
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) data[i] = m->data[i].data;
    bool direct = m->dtype == TOLA_DTYPE_F32 && (uintptr_t)dst % _Alignof(float) == 0;
    float *to = direct ? (float *)(void *)dst : work;
    TRY(m->scheme->decode(&m->layout, data, first, count, to, err));
    if (direct) return TOLA_OK;
    return codec_convert(TOLA_DTYPE_F32, m->dtype, to, dst, (size_t)(count * m->layout.cols), TOLA_OVERFLOW_IEEE, NULL);
}

/* Bytes [offset, offset + bytes) of the decoded matrix, whole elements: rows that are wanted in part are decoded aside. */
static tola_status read_rows(const matrix *m, uint64_t offset, uint8_t *dst, size_t bytes, tola_error *err) {
    size_t unit = tola_dtype_block_bytes(m->dtype), row_bytes = (size_t)m->layout.cols * unit;
    uint64_t step = BLOCK_ELEMENTS / m->layout.cols;
    if (step < MIN_ROWS) step = MIN_ROWS;
    if (step > m->layout.rows) step = m->layout.rows;
    float *work = mem_alloc_aligned(64, (size_t)(step * m->layout.cols) * sizeof *work);
    uint8_t *aside = mem_alloc(row_bytes);
    tola_status status = work && aside ? TOLA_OK : err_nomem(err, "decoding a matrix");
    while (bytes && status == TOLA_OK) {
        uint64_t row = offset / row_bytes;
        size_t within = (size_t)(offset % row_bytes), part;
        if (within == 0 && bytes >= row_bytes) {
            uint64_t rows = bytes / row_bytes < step ? bytes / row_bytes : step;
            part = (size_t)rows * row_bytes;
            status = decode_rows(m, row, rows, dst, work, err);
        } else {
            part = row_bytes - within < bytes ? row_bytes - within : bytes;
            status = decode_rows(m, row, 1, aside, work, err);
            if (status == TOLA_OK) memcpy(dst, aside + within, part);
        }
        dst += part;
        offset += part;
        bytes -= part;
    }
    mem_free(work);
    mem_free(aside);
    return status;
}

static tola_status read_matrix(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                               tola_error *err) {
    (void)ck;
    matrix *m = (matrix *)(uintptr_t)t->context;
    TRY(use(m, err));
    tola_status status = read_rows(m, offset, dst, bytes, err);
    leave(m);
    return status;
}

/* ---- which scheme ---- */

static const char *const config_keys[] = { "quantization_config", "compression_config", "quantization" };
enum { CONFIG_KEYS = sizeof config_keys / sizeof *config_keys };

const tola_value *logical_config(const tola_value *config) {
    const tola_value *text = tola_value_get(config, "text_config");
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        const tola_value *v = tola_value_get(config, config_keys[i]);
        if (!v) v = tola_value_get(text, config_keys[i]);
        if (v && v->kind == TOLA_VALUE_MAP) return v;
    }
    return NULL;
}

/* Anything but an object would be passed over, and codes taken for weights. */
static tola_status check_config(const tola_value *config, tola_error *err) {
    const tola_value *maps[] = { config, tola_value_get(config, "text_config") };
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < 2; i++) { /* "quantization" means other things, too */
            const tola_value *v = tola_value_get(maps[m], config_keys[i]);
            if (v && v->kind != TOLA_VALUE_NULL && v->kind != TOLA_VALUE_MAP)
                return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "config.json: %s is no object", config_keys[i]);
        }
    return TOLA_OK;
}

static bool says_quantized(const tola_member *m) {
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (m->key.length == strlen(config_keys[i]) && memcmp(m->key.data, config_keys[i], m->key.length) == 0)
            return true;
    return false;
}

/* The configuration of the decoded weights: `config` without what says that they are quantized. */
static tola_status plain_config(const tola_value *config, arena *a, bool nested, tola_value *out, tola_error *err) {
    *out = *config;
    if (config->kind != TOLA_VALUE_MAP) return TOLA_OK;
    size_t count = config->as.map.count, kept = 0;
    tola_member *members = arena_alloc_array(a, count ? count : 1, sizeof *members);
    if (!members) return err_nomem(err, "reading the configuration");
    for (size_t i = 0; i < count; i++) {
        const tola_member *m = &config->as.map.members[i];
        if (says_quantized(m)) continue;
        members[kept] = *m;
        if (!nested && strcmp(m->key.data, "text_config") == 0)
            TRY(plain_config(&m->value, a, true, &members[kept].value, err));
        kept++;
    }
    out->as.map.members = members;
    out->as.map.count = kept;
    return TOLA_OK;
}

/* What AutoGPTQ wrote beside the weights before configurations held it. */
static tola_status read_quantize_config(const tola_checkpoint *in, arena *a, tola_value *out, const tola_value **found,
                                        tola_error *err) {
    void *text = NULL;
    size_t bytes = 0;
    *found = NULL;
    tola_error ignored = TOLA_ERROR_INIT;
    tola_status status = tola_checkpoint_companion(in, "quantize_config.json", &text, &bytes, &ignored);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status != TOLA_OK) {
        if (err) *err = ignored;
        return status;
    }
    status = json_parse(text, bytes, a, out, err);
    tola_free(text);
    if (status != TOLA_OK) {
        err_in_file(err, status, "quantize_config.json");
        if (err) err->offset = TOLA_NO_OFFSET; /* said, and not one of the weights */
        return status;
    }
    *found = out;
    return TOLA_OK;
}

/* What a file says that has no folder around it: JSON text among its metadata. */
static tola_status read_metadata_config(const tola_checkpoint *in, arena *a, tola_value *out, const tola_value **found,
                                        tola_error *err) {
    const tola_value *v = tola_value_get(&in->metadata, config_keys[0]);
    if (!v || v->kind != TOLA_VALUE_STRING) return TOLA_OK;
    tola_status status = json_parse(v->as.string.data, v->as.string.length, a, out, err);
    if (status != TOLA_OK) {
        err_in_file(err, status, config_keys[0]);
        if (err) err->offset = TOLA_NO_OFFSET;
        return status;
    }
    if (out->kind != TOLA_VALUE_MAP)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s among the metadata is no object", config_keys[0]);
    *found = out;
    return TOLA_OK;
}

static tola_status refuse_method(const tola_value *config, tola_error *err) {
    const char *method = tola_value_str(tola_value_get(config, "quant_method"), NULL);
    if (!method) return TOLA_OK;
    char quoted[80];
    text_quote(quoted, sizeof quoted, method, strlen(method));
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "weights quantized by '%s' are not understood", quoted);
}

/* The type the model computes in, where the scheme does not say. */
static tola_dtype model_dtype(const tola_checkpoint *in, const scheme_params *params) {
    if (params->logical != TOLA_DTYPE_NONE) return params->logical;
    const tola_value *config = tola_checkpoint_config(in);
    const char *name = tola_value_str(tola_value_get(config, "dtype"), NULL);
    if (!name) name = tola_value_str(tola_value_get(config, "torch_dtype"), NULL);
    tola_dtype dtype = name ? tola_dtype_parse(name) : TOLA_DTYPE_NONE;
    return dtype == TOLA_DTYPE_F16 || dtype == TOLA_DTYPE_BF16 ? dtype : TOLA_DTYPE_F32;
}

/* ---- building the view ---- */

typedef struct builder {
    const tola_checkpoint *in;
    tola_checkpoint *out;
    logical *view;
    const scheme *scheme;
    scheme_params params;
    const tola_value *config;
    logical_precision precision;
    bool *taken; /* tensors of `in` that are parts of a matrix */
    size_t matrices;
} builder;

/* "model.layers.0.mlp.up_proj" of a name with this ending; 0 where it has another. */
static size_t module_length(const builder *b, const char *name, const char *suffix) {
    size_t n = strlen(name), s = strlen(suffix);
    char joint = b->scheme->bare ? '_' : '.';
    return n > s + 1 && name[n - s - 1] == joint && memcmp(name + n - s, suffix, s) == 0 ? n - s - 1 : 0;
}

static void find_parts(const builder *b, const char *module, matrix *m) {
    char name[CK_MAX_NAME + 64];
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) m->parts[i] = NO_PART;
    for (unsigned i = 0; i < SCHEME_MAX_PARTS && b->scheme->suffixes[i]; i++) {
        int length = snprintf(name, sizeof name, "%s%c%s", module, b->scheme->bare ? '_' : '.', b->scheme->suffixes[i]);
        if (length >= (int)sizeof name) continue;
        size_t t = tola_checkpoint_find(b->in, name);
        if (t == SIZE_MAX) continue;
        const tola_tensor_info *info = tola_checkpoint_tensor(b->in, t);
        if (info->n_dims > 4 || (info->flags & TOLA_TENSOR_MISSING)) continue;
        scheme_part *part = &m->layout.parts[i];
        *part = (scheme_part){ .dtype = (tola_dtype)info->dtype, .n_dims = info->n_dims, .bytes = info->bytes };
        if (info->n_dims) memcpy(part->shape, info->shape, info->n_dims * sizeof *info->shape);
        m->parts[i] = t;
    }
}

/* The bytes that the scheme wants to see before it says what the matrix is. */
static tola_status read_small(const builder *b, matrix *m, tola_error *err) {
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) {
        uint64_t bytes = m->layout.parts[i].bytes;
        if (!(b->scheme->small_parts >> i & 1) || m->parts[i] == NO_PART || bytes > SCHEME_MAX_SMALL) continue;
        void *data = arena_alloc(&b->out->arena, bytes ? (size_t)bytes : 1);
        if (!data) return err_nomem(err, "finding quantized matrices");
        TRY(tola_checkpoint_read(b->in, m->parts[i], 0, data, (size_t)bytes, err));
        m->layout.small[i] = data;
    }
    return TOLA_OK;
}

static tola_status add_matrix(builder *b, const char *module, matrix *m, const tola_tensor_info *first,
                              tola_error *err) {
    const scheme_layout *l = &m->layout;
    uint64_t shape[3] = { l->matrices, l->rows / (l->matrices ? l->matrices : 1), l->cols };
    bool stacked = l->matrices != 1;
    char name[CK_MAX_NAME + 8];
    int length = snprintf(name, sizeof name, "%s%s", module, b->scheme->bare ? "" : ".weight");
    ck_add add = {
        .name = name,
        .name_length = (size_t)length,
        .shape = stacked ? shape : shape + 1,
        .n_dims = stacked ? 3 : 2,
        .dtype = m->dtype,
        .file = first->file,
        .offset = first->offset,
        .flags = TOLA_TENSOR_PARAMETER,
        .read = read_matrix,
        .context = m,
    };
    return ck_add_tensor(b->out, &add, err);
}

/* The matrix whose first part is tensor `index`, which has ending number `which`. */
static tola_status try_matrix(builder *b, size_t index, unsigned which, size_t length, bool *found, tola_error *err) {
    const tola_tensor_info *info = tola_checkpoint_tensor(b->in, index);
    char *module = arena_strndup(&b->out->arena, info->name, length);
    if (!module) return err_nomem(err, "finding quantized matrices");
    matrix found_here = { .view = b->view,
                          .scheme = b->scheme,
                          .layout = { .params = b->params, .row_unit = 1, .matrices = 1 } };
    if (b->scheme->module) {
        tola_status status = b->scheme->module(b->config, module, &found_here.layout.params, err);
        if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
        TRY(status);
    }
    find_parts(b, module, &found_here);
    for (unsigned i = 0; i < which; i++)
        if (found_here.parts[i] != NO_PART) return TOLA_OK; /* was tried at that one */
    TRY(read_small(b, &found_here, err));
    tola_status status = b->scheme->open(&found_here.layout, err);
    if (status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (status != TOLA_OK) return err_in_tensor(err, status, info->name);
    matrix *m = arena_alloc(&b->out->arena, sizeof *m);
    if (!m) return err_nomem(err, "finding quantized matrices");
    *m = found_here;
    m->dtype = b->precision == LOGICAL_EXACT ? TOLA_DTYPE_F32 : model_dtype(b->in, &m->layout.params);
    TRY(add_matrix(b, module, m, info, err));
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++)
        if (m->parts[i] != NO_PART) b->taken[m->parts[i]] = true;
    b->matrices++;
    *found = true;
    return TOLA_OK;
}

static tola_status add_tensors(builder *b, tola_error *err) {
    size_t count = b->in->tensor_count;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        const char *name = b->in->tensors[i].info.name;
        for (unsigned s = 0; s < SCHEME_MAX_PARTS && b->scheme->suffixes[s] && !found && !b->taken[i]; s++) {
            size_t length = module_length(b, name, b->scheme->suffixes[s]);
            if (length) TRY(try_matrix(b, i, s, length, &found, err));
        }
    }
    if (b->matrices == 0) return TOLA_OK;
    for (size_t i = 0; i < count; i++)
        if (!b->taken[i]) TRY(ck_pass_on(b->out, b->in, i, b->out->next_storage, err));
    return TOLA_OK;
}

static void close_logical(tola_checkpoint *ck) {
    logical *v = ck->owned;
    for (unsigned i = 0; i < KEPT_IDLE; i++)
        if (v->idle[i]) unload(v->idle[i]);
    tola_checkpoint_close(v->owned);
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

/* Files and companions are those of `in`; the list of tensors is new, and nothing says that they are quantized. */
static tola_status create_view(builder *b, tola_error *err) {
    const tola_checkpoint *in = b->in;
    logical *v = mem_calloc(1, sizeof *v);
    if (!v) return err_nomem(err, "opening a quantized checkpoint");
    tola_status status = ck_create_over(in, &b->out, err);
    if (status != TOLA_OK) {
        mem_free(v);
        return status;
    }
    v->in = in;
    pthread_mutex_init(&v->lock, NULL);
    b->view = v;
    b->out->owned = v;
    b->out->close_owned = close_logical;
    b->out->decoded = true;
    TRY(plain_config(&in->metadata, &b->out->arena, true, &b->out->metadata, err));
    return plain_config(&in->config, &b->out->arena, false, &b->out->config, err);
}

/* The scheme that the configuration names; without a configuration, each that can tell its matrices by their parts. */
static tola_status try_schemes(builder *b, tola_error *err) {
    for (const scheme *const *s = scheme_table; *s && b->matrices == 0; s++) {
        b->scheme = *s;
        memset(&b->params, 0, sizeof b->params);
        tola_status status = b->scheme->recognize(b->config, &b->params, err);
        if (status == TOLA_E_NOT_FOUND) continue;
        TRY(status);
        TRY(add_tensors(b, err));
        if (b->config) return TOLA_OK;
    }
    return b->config && b->matrices == 0 ? refuse_method(b->config, err) : TOLA_OK;
}

static tola_status build(builder *b, tola_error *err) {
    tola_value own = { 0 };
    TRY(check_config(tola_checkpoint_config(b->in), err));
    b->config = logical_config(tola_checkpoint_config(b->in));
    TRY(create_view(b, err));
    if (!b->config) TRY(read_quantize_config(b->in, &b->out->arena, &own, &b->config, err));
    if (!b->config) TRY(read_metadata_config(b->in, &b->out->arena, &own, &b->config, err));
    b->taken = mem_calloc(b->in->tensor_count + 1, sizeof *b->taken);
    if (!b->taken) return err_nomem(err, "finding quantized matrices");
    TRY(try_schemes(b, err));
    if (b->matrices == 0) return TOLA_OK;
    return ck_finish_over(b->out, b->in, err);
}

tola_status logical_open(const tola_checkpoint *in, logical_precision precision, tola_checkpoint **out,
                         tola_error *err) {
    builder b = { .in = in, .precision = precision };
    *out = NULL;
    tola_status status = build(&b, err);
    mem_free(b.taken);
    if (status == TOLA_OK && b.matrices) *out = b.out;
    else tola_checkpoint_close(b.out);
    if (status == TOLA_OK) return TOLA_OK;
    const char *place = in->file_count == 1 ? in->files[0].info.path : in->folder;
    return place ? err_in_file(err, status, place) : status;
}

tola_status logical_replace(tola_checkpoint **ck, logical_precision precision, tola_error *err) {
    tola_checkpoint *view;
    TRY(logical_open(*ck, precision, &view, err));
    if (!view) return TOLA_OK;
    ((logical *)view->owned)->owned = *ck;
    *ck = view;
    return TOLA_OK;
}
