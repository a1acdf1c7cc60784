/* See plan.h. */
#include "transform/plan.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "formats/format.h"
#include "transform/rename.h"

#include <string.h>

/* A tensor's name in a message: names come from files. */
#define Q(name) text_quote((char[160]){ 0 }, 160, (name), strlen(name))

#define KEPT_FLAGS (TOLA_TENSOR_PARAMETER | TOLA_TENSOR_STATE)

void plan_init(plan *p, const tola_checkpoint *in) {
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, 0);
    p->in = in;
}

void plan_dispose(plan *p) {
    arena_free(&p->arena);
    memset(p, 0, sizeof *p);
}

uint64_t plan_columns(const plan_tensor *t) { return t->n_dims ? t->shape[t->n_dims - 1] : 1; }

uint64_t plan_source_row(const plan_tensor *t, uint64_t row) {
    if (t->order == PLAN_IN_ORDER) return row;
    uint64_t d = t->elements / t->row_elements / t->heads, group = row / d, r = row % d;
    uint64_t within = t->order == PLAN_INTERLEAVE ? (r % 2) * (d / 2) + r / 2 : (r % (d / 2)) * 2 + r / (d / 2);
    return group * d + within;
}

/* ---- choosing tensors ---- */

static bool any_glob(const char *const *globs, const char *name) {
    for (; *globs; globs++)
        if (glob_match(*globs, name)) return true;
    return false;
}

static bool chosen(const tola_convert_options *options, const char *name) {
    if (options->include && *options->include && !any_glob(options->include, name)) return false;
    return !(options->exclude && any_glob(options->exclude, name));
}

static tola_status refuse_missing(const tola_checkpoint *in, const tola_tensor_info *info, tola_error *err) {
    const tola_file_info *file = tola_checkpoint_file(in, info->file);
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "tensor '%s' cannot be converted: its shard %s is not there",
                   Q(info->name), file ? file->path : "(unknown)");
}

static tola_status nothing_left(const plan *p, const tola_convert_options *options, tola_error *err) {
    bool narrowed = (options->include && *options->include) || (options->exclude && *options->exclude);
    size_t total = tola_checkpoint_tensor_count(p->in);
    if (!narrowed || total == 0) return TOLA_OK; /* a file without tensors converts to one without tensors */
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "include and exclude leave none of the %zu tensors", total);
}

tola_status plan_select(plan *p, const tola_convert_options *options, tola_error *err) {
    size_t total = tola_checkpoint_tensor_count(p->in);
    p->tensors = arena_alloc_array(&p->arena, total ? total : 1, sizeof *p->tensors);
    plan_piece *pieces = arena_alloc_array(&p->arena, total ? total : 1, sizeof *pieces);
    if (!p->tensors || !pieces) return err_nomem(err, "planning the conversion");
    p->count = 0;
    for (size_t i = 0; i < total; i++) {
        const tola_tensor_info *info = tola_checkpoint_tensor(p->in, i);
        if (!chosen(options, info->name)) continue;
        if (info->flags & TOLA_TENSOR_MISSING) return refuse_missing(p->in, info, err);
        pieces[p->count] = (plan_piece){ i, 0, info->elements };
        p->tensors[p->count] = (plan_tensor){
            .name = info->name,
            .source = info->name,
            .shape = info->shape,
            .n_dims = info->n_dims,
            .from = info->dtype,
            .dtype = info->dtype,
            .flags = info->flags & KEPT_FLAGS,
            .pieces = &pieces[p->count],
            .piece_count = 1,
            .elements = info->elements,
        };
        p->count++;
    }
    return p->count ? TOLA_OK : nothing_left(p, options, err);
}

/* ---- taking over a mapped plan ---- */

/* Checks what the pieces of one adopted tensor claim against the checkpoint. */
static tola_status check_pieces(const plan *p, plan_tensor *t, tola_error *err) {
    uint64_t sum = 0;
    for (size_t i = 0; i < t->piece_count; i++) {
        const plan_piece *piece = &t->pieces[i];
        const tola_tensor_info *info = tola_checkpoint_tensor(p->in, piece->tensor);
        if (!info)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                           "tensor '%s' is made of tensor number %zu, which does not exist", Q(t->name), piece->tensor);
        if (info->flags & TOLA_TENSOR_MISSING) return refuse_missing(p->in, info, err);
        uint64_t end;
        if (!add_u64(piece->first, piece->elements, &end) || end > info->elements)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "tensor '%s' takes elements beyond the end of '%s'",
                           Q(t->name), Q(info->name));
        uint32_t block = tola_dtype_block_elements((tola_dtype)info->dtype);
        if (piece->first % block != 0 || piece->elements % block != 0)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "tensor '%s' takes parts of %s blocks of '%s'",
                           Q(t->name), tola_dtype_name((tola_dtype)info->dtype), Q(info->name));
        if (i == 0) {
            t->from = info->dtype;
            t->source = info->name;
        } else if (info->dtype != t->from) {
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                           "tensor '%s' is made of '%s' (%s) and '%s' (%s): one tensor cannot be made of two dtypes",
                           Q(t->name), Q(t->source), tola_dtype_name(t->from), Q(info->name),
                           tola_dtype_name(info->dtype));
        }
        sum += piece->elements;
    }
    if (t->piece_count && sum != t->elements)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "tensor '%s' has %llu elements, its sources %llu", Q(t->name),
                       (unsigned long long)t->elements, (unsigned long long)sum);
    return TOLA_OK;
}

static tola_status check_order(const plan_tensor *t, tola_error *err) {
    if (t->order == PLAN_IN_ORDER) return TOLA_OK;
    uint64_t group = 0;
    bool fits = t->row_elements && t->heads && t->elements % t->row_elements == 0 &&
                (t->elements / t->row_elements) % t->heads == 0;
    if (fits) group = t->elements / t->row_elements / t->heads;
    if (!fits || group % 2 != 0 || group == 0)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "tensor '%s' (%llu elements) does not split into %u heads of an "
                       "even number of rows",
                       Q(t->name), (unsigned long long)t->elements, t->heads);
    if (tola_dtype_block_elements((tola_dtype)t->from) > 1 &&
        t->row_elements % tola_dtype_block_elements((tola_dtype)t->from) != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "tensor '%s': rows of %llu elements are not whole %s blocks", Q(t->name),
                       (unsigned long long)t->row_elements, tola_dtype_name((tola_dtype)t->from));
    return TOLA_OK;
}

/* How include and exclude treat an adopted tensor; TOLA_E_ARG where they split it. */
static tola_status adopt_chosen(const plan *p, const plan_tensor *t, const tola_convert_options *options, bool *keep,
                                tola_error *err) {
    if (t->piece_count == 0) {
        *keep = chosen(options, t->name);
        return TOLA_OK;
    }
    const char *in = NULL, *out = NULL;
    for (size_t i = 0; i < t->piece_count; i++) {
        const tola_tensor_info *info = tola_checkpoint_tensor(p->in, t->pieces[i].tensor);
        *(chosen(options, info->name) ? &in : &out) = info->name;
    }
    *keep = in != NULL;
    if (in && out)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                       "tensor '%s' needs both '%s', which include and exclude keep, and "
                       "'%s', which they leave out",
                       Q(t->name), Q(in), Q(out));
    return TOLA_OK;
}

tola_status plan_adopt(plan *p, const plan_tensor *items, size_t count, const tola_convert_options *options,
                       tola_error *err) {
    p->tensors = arena_alloc_array(&p->arena, count ? count : 1, sizeof *p->tensors);
    if (!p->tensors) return err_nomem(err, "planning the conversion");
    p->count = 0;
    for (size_t i = 0; i < count; i++) {
        plan_tensor t = items[i];
        t.source = t.name;
        t.from = t.dtype;
        t.elements = 1;
        for (unsigned d = 0; d < t.n_dims; d++)
            if (!mul_u64(t.elements, t.shape[d], &t.elements))
                return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the shape of tensor '%s' overflows", t.name);
        bool keep;
        TRY(check_pieces(p, &t, err));
        TRY(check_order(&t, err));
        TRY(adopt_chosen(p, &t, options, &keep, err));
        if (keep) p->tensors[p->count++] = t;
    }
    return p->count ? TOLA_OK : nothing_left(p, options, err);
}

/* ---- names ---- */

static tola_status refuse_collision(const plan_tensor *a, const plan_tensor *b, tola_error *err) {
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "tensors '%s' and '%s' would both be called '%s'", Q(a->source),
                   Q(b->source), Q(b->name));
}

static tola_status check_unique(const plan *p, tola_error *err) {
    size_t cap = 16;
    while (cap < p->count * 2) cap *= 2;
    uint32_t *slots = mem_calloc(cap, sizeof *slots); /* index + 1 */
    if (!slots) return err_nomem(err, "checking names");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < p->count && status == TOLA_OK; i++) {
        const char *name = p->tensors[i].name;
        size_t at = (size_t)hash_string(name, strlen(name)) & (cap - 1);
        while (slots[at] && strcmp(p->tensors[slots[at] - 1].name, name) != 0) at = (at + 1) & (cap - 1);
        if (slots[at]) status = refuse_collision(&p->tensors[slots[at] - 1], &p->tensors[i], err);
        slots[at] = (uint32_t)i + 1;
    }
    mem_free(slots);
    return status;
}

static tola_status rename_all(plan *p, const tola_convert_options *options, tola_error *err) {
    rename_rules rules;
    TRY(rename_parse(options->rename, &p->arena, &rules, err));
    for (size_t i = 0; rules.count && i < p->count; i++) {
        plan_tensor *t = &p->tensors[i];
        tola_status status = rename_apply(&rules, t->name, &p->arena, &t->name, err);
        if (status != TOLA_OK) return err_in_tensor(err, status, t->source);
    }
    return check_unique(p, err);
}

/* ---- dtypes ---- */

typedef struct override {
    const char *glob;
    tola_dtype dtype;
} override;

static tola_status parse_overrides(plan *p, const char *const *texts, override **out, size_t *out_count,
                                   tola_error *err) {
    size_t count = 0;
    while (texts && texts[count]) count++;
    override *list = arena_alloc_array(&p->arena, count ? count : 1, sizeof *list);
    if (!list) return err_nomem(err, "reading dtype overrides");
    for (size_t i = 0; i < count; i++) {
        const char *equals = strrchr(texts[i], '=');
        if (!equals || equals == texts[i])
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "dtype override '%s' is not of the form GLOB=DTYPE",
                           texts[i]);
        list[i].dtype = tola_dtype_parse(equals + 1);
        if (list[i].dtype == TOLA_DTYPE_NONE)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "dtype override '%s': '%s' is no dtype", texts[i],
                           equals + 1);
        list[i].glob = arena_strndup(&p->arena, texts[i], (size_t)(equals - texts[i]));
        if (!list[i].glob) return err_nomem(err, "reading dtype overrides");
    }
    *out = list;
    *out_count = count;
    return TOLA_OK;
}

/* --dtype means "the weights": floating point, and block types, which are decoded. */
static bool dtype_applies(tola_dtype from) {
    tola_dtype_kind kind = tola_dtype_get_kind(from);
    return kind == TOLA_KIND_FLOAT || kind == TOLA_KIND_BLOCK;
}

static tola_status choose_dtypes(plan *p, const tola_convert_options *options, tola_error *err) {
    override *list;
    size_t count;
    TRY(parse_overrides(p, options->dtype_override, &list, &count, err));
    for (size_t i = 0; i < p->count; i++) {
        plan_tensor *t = &p->tensors[i];
        size_t k = 0;
        while (k < count && !glob_match(list[k].glob, t->source) && !glob_match(list[k].glob, t->name)) k++;
        if (k < count)
            t->dtype = (uint16_t)list[k].dtype;
        else if (options->dtype != TOLA_DTYPE_NONE && !t->fixed_dtype && dtype_applies((tola_dtype)t->from))
            t->dtype = (uint16_t)options->dtype;
    }
    return TOLA_OK;
}

static tola_status check_cast(const plan_tensor *t, tola_error *err) {
    tola_dtype from = (tola_dtype)t->from, to = (tola_dtype)t->dtype;
    tola_dtype_kind kind = tola_dtype_get_kind(from);
    if (from == to && t->add == 0.0 && !(t->encode && t->encode->scheme)) return TOLA_OK;
    const char *cause = NULL;
    if (t->piece_count == 0)
        cause = "its values are part of the format's configuration";
    else if (!codec_decodes(from))
        cause = "these bytes are not numbers";
    else if (t->encode)
        return TOLA_OK; /* whoever asked for it knows that there is an encoder */
    else if (tola_dtype_get_kind(to) == TOLA_KIND_BLOCK)
        cause = "block types are made by quantizing, not by a cast";
    else if (!codec_encodes(to))
        cause = "this dtype can be read but not made";
    else if ((kind == TOLA_KIND_COMPLEX) != (tola_dtype_get_kind(to) == TOLA_KIND_COMPLEX))
        cause = "complex numbers convert to complex numbers only";
    if (!cause) return TOLA_OK;
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "tensor '%s' is %s and cannot become %s: %s", Q(t->source),
                   tola_dtype_name(from), tola_dtype_name(to), cause);
}

/* A dtype of the format that holds every value of `from`, or the nearest there is; NONE where nothing comes close. */
static tola_dtype suggest(tola_dtype from, bool (*holds)(tola_dtype dtype)) {
    static const uint8_t floats[] = { TOLA_DTYPE_F32, TOLA_DTYPE_BF16, TOLA_DTYPE_F16, TOLA_DTYPE_F64, 0 };
    static const uint8_t wide[] = { TOLA_DTYPE_F64, TOLA_DTYPE_F32, 0 };
    static const uint8_t small[] = { TOLA_DTYPE_U8, TOLA_DTYPE_I8, TOLA_DTYPE_I16, TOLA_DTYPE_I32, TOLA_DTYPE_I64, 0 };
    static const uint8_t bytes[] = { TOLA_DTYPE_I16, TOLA_DTYPE_I32, TOLA_DTYPE_I64, 0 };
    static const uint8_t large[] = { TOLA_DTYPE_I32, TOLA_DTYPE_I64, 0 };
    static const uint8_t complexes[] = { TOLA_DTYPE_C64, TOLA_DTYPE_C128, 0 };
    const uint8_t *list = NULL;
    switch (tola_dtype_get_kind(from)) {
    case TOLA_KIND_FLOAT: list = from == TOLA_DTYPE_F64 ? wide : floats; break;
    case TOLA_KIND_BOOL: list = small; break;
    case TOLA_KIND_COMPLEX: list = complexes; break;
    case TOLA_KIND_INT:
    case TOLA_KIND_UINT: list = tola_dtype_bits(from) < 8 ? small : tola_dtype_bits(from) == 8 ? bytes : large; break;
    default: return TOLA_DTYPE_NONE;
    }
    for (; *list; list++)
        if (holds((tola_dtype)*list) && codec_decodes(from) && codec_encodes((tola_dtype)*list))
            return (tola_dtype)*list;
    return TOLA_DTYPE_NONE;
}

static tola_status refuse_dtype(const plan *p, const plan_tensor *t, const char *format_name,
                                bool (*holds)(tola_dtype dtype), tola_error *err) {
    tola_dtype dtype = (tola_dtype)t->dtype, better = suggest((tola_dtype)t->from, holds);
    const char *name = tola_dtype_name(dtype);
    if (better == TOLA_DTYPE_NONE || p->no_casts)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "tensor '%s': %s cannot hold %s; --exclude leaves the tensor out", Q(t->source), format_name,
                       name);
    if (dtype_applies((tola_dtype)t->from))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "tensor '%s': %s cannot hold %s; --dtype %s would do",
                       Q(t->source), format_name, name, tola_dtype_name(better));
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                   "tensor '%s': %s cannot hold %s; --dtype-override '%s=%s' would do, --exclude leaves the tensor out",
                   Q(t->source), format_name, name, Q(t->source), tola_dtype_name(better));
}

/* Bytes of all parts of a tensor under a scheme. */
static bool sum_parts(const scheme_layout *layout, uint64_t *bytes) {
    *bytes = 0;
    for (size_t i = 0; i < SCHEME_MAX_PARTS; i++)
        if (layout->parts[i].dtype != TOLA_DTYPE_NONE && !add_u64(*bytes, layout->parts[i].bytes, bytes)) return false;
    return true;
}

/* Bytes as written, and as read. */
static tola_status measure(plan *p, plan_tensor *t, tola_error *err) {
    tola_dtype dtype = (tola_dtype)t->dtype;
    uint32_t block = tola_dtype_block_elements(dtype);
    uint64_t innermost = plan_columns(t), in = 0;
    const struct scheme *kept = t->encode ? t->encode->scheme : NULL;
    if (!kept && block > 1 && innermost % block != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "tensor '%s' cannot become %s: rows of %llu elements do not fill whole blocks of %u",
                       Q(t->source), tola_dtype_name(dtype), (unsigned long long)innermost, block);
    tola_status status = kept ? (sum_parts(&t->encode->layout, &t->bytes) ? TOLA_OK : TOLA_E_LIMIT)
                                : tola_dtype_size(dtype, t->elements, &t->bytes);
    if (status == TOLA_OK) status = tola_dtype_size((tola_dtype)t->from, t->elements, &in);
    if (status != TOLA_OK || !add_u64(p->bytes_in, in, &p->bytes_in) || !add_u64(p->bytes_out, t->bytes, &p->bytes_out))
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the size of tensor '%s' as %s overflows", Q(t->source),
                       kept ? kept->name : tola_dtype_name(dtype));
    return TOLA_OK;
}

/* "model.layers.0.mlp.up_proj.weight" -> "model.layers.0.mlp.up_proj" "." suffix */
static const char *part_name(arena *a, const char *name, const char *suffix, bool bare) {
    size_t module = strlen(name), tail = strlen(suffix);
    if (text_ends_with(name, ".weight")) module -= strlen(".weight");
    char *out = arena_alloc(a, module + tail + 2);
    if (!out) return NULL;
    memcpy(out, name, module);
    out[module] = bare ? '_' : '.';
    memcpy(out + module + 1, suffix, tail + 1);
    return out;
}

static tola_status add_parts(plan *p, plan_tensor *t, const char *format_name, bool (*holds)(tola_dtype dtype),
                             tola_error *err) {
    plan_encode *e = t->encode;
    for (size_t i = 0; i < SCHEME_MAX_PARTS && e->scheme->suffixes[i]; i++) {
        scheme_part *part = &e->layout.parts[i];
        if (part->dtype == TOLA_DTYPE_NONE) continue;
        if (!holds(part->dtype))
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s cannot hold %s, which %s needs", format_name,
                           tola_dtype_name(part->dtype), e->scheme->name);
        const char *name = part_name(&p->arena, t->name, e->scheme->suffixes[i], e->scheme->bare);
        if (!name) return err_nomem(err, "planning the output");
        e->parts[i] = p->output_count;
        p->outputs[p->output_count++] =
            (tola_tensor_spec){ name, part->shape, part->n_dims, (uint16_t)part->dtype, t->flags };
    }
    return TOLA_OK;
}

static size_t parts_of(const plan_tensor *t) { return t->encode && t->encode->scheme ? SCHEME_MAX_PARTS : 1; }

static tola_status list_outputs(plan *p, const char *format_name, bool (*holds)(tola_dtype dtype), tola_error *err) {
    size_t most = 1;
    for (size_t i = 0; i < p->count; i++) most += parts_of(&p->tensors[i]);
    p->outputs = arena_alloc_array(&p->arena, most, sizeof *p->outputs);
    if (!p->outputs) return err_nomem(err, "planning the output");
    p->output_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        plan_tensor *t = &p->tensors[i];
        t->output = p->output_count;
        if (parts_of(t) > 1)
            TRY(add_parts(p, t, format_name, holds, err));
        else
            p->outputs[p->output_count++] = (tola_tensor_spec){ t->name, t->shape, t->n_dims, t->dtype, t->flags };
    }
    return TOLA_OK;
}

tola_status plan_finish(plan *p, const tola_convert_options *options, const char *format_name,
                        bool (*holds)(tola_dtype dtype), tola_error *err) {
    TRY(rename_all(p, options, err));
    TRY(choose_dtypes(p, options, err));
    p->bytes_in = p->bytes_out = 0;
    for (size_t i = 0; i < p->count; i++) {
        plan_tensor *t = &p->tensors[i];
        TRY(check_cast(t, err));
        bool parts = parts_of(t) > 1;
        if (!parts && !holds((tola_dtype)t->dtype)) return refuse_dtype(p, t, format_name, holds, err);
        TRY(measure(p, t, err));
    }
    return list_outputs(p, format_name, holds, err);
}
