/* The plan from a GGUF file to a folder in the Hugging Face layout: tensors.
 *
 * The inverse of hf_to_gguf.c: names back by the table, Q and K back to rotary halves, experts unstacked, Gemma's norms
 * minus one. Files that Tola wrote say which dtypes the source had and which norms need their bits restored
 * (tola.source.*, tola.exact.*); others keep the dtypes they have, and block types become f32. */
#include "base/err.h"
#include "codecs/codec.h"
#include "families/build.h"

#include <stdlib.h>
#include <string.h>

#define NORM_MAX_BYTES (1u << 20)

static bool is_gemma(family_map map) {
    return map == FAMILY_MAP_GEMMA || map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3;
}

/* What the source's dtype of this tensor was; NONE where the file does not say. tola.source.dtypes is sorted. */
static tola_dtype recorded_dtype(const builder *b, const char *name) {
    const tola_value *metadata = tola_checkpoint_metadata(b->ck);
    const tola_value *list = tola_value_get(metadata, "tola.source.dtypes");
    size_t low = 0, high = list != NULL && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0;
    size_t length = strlen(name);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        tola_value line = tola_value_at(list, middle);
        const char *text = tola_value_str(&line, "");
        int order = strncmp(name, text, length);
        if (order == 0) order = '=' - (unsigned char)text[length];
        if (order == 0) return tola_dtype_parse(text + length + 1);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    const char *most = tola_value_str(tola_value_get(metadata, "tola.source.dtype"), NULL);
    return most != NULL ? tola_dtype_parse(most) : TOLA_DTYPE_NONE;
}

static tola_dtype target_dtype(const builder *b, const tola_tensor_info *t, const char *name) {
    if (b->options->dtype != TOLA_DTYPE_NONE) return b->options->dtype;
    tola_dtype recorded = recorded_dtype(b, name);
    if (recorded != TOLA_DTYPE_NONE && tola_dtype_get_kind(recorded) == TOLA_KIND_FLOAT) return recorded;
    return tola_dtype_get_kind((tola_dtype)t->dtype) == TOLA_KIND_BLOCK ? TOLA_DTYPE_F32 : (tola_dtype)t->dtype;
}

static tola_status check_source(const builder *b, const tola_tensor_info *t, const name_row *row, tola_error *err) {
    const family_hyper *h = &b->hyper;
    if (t->flags & TOLA_TENSOR_MISSING)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "its part of the file is missing");
    tola_dtype_kind kind = tola_dtype_get_kind((tola_dtype)t->dtype);
    if (kind != TOLA_KIND_FLOAT && kind != TOLA_KIND_BLOCK)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s is neither floating-point nor quantized",
                       tola_dtype_name((tola_dtype)t->dtype));
    if (!codec_decodes((tola_dtype)t->dtype))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "%s: block-quantized weights have no counterpart in the Hugging Face layout",
                       tola_dtype_name((tola_dtype)t->dtype));
    bool experts = (row->flags & NAME_EXPERT) != 0;
    if (experts ? t->n_dims != 3 : (t->n_dims < 1 || t->n_dims > 2))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%u dimensions", t->n_dims);
    if (experts && (t->shape[0] != h->experts || t->elements == 0))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%llu experts, but expert_count is %llu",
                       (unsigned long long)t->shape[0], (unsigned long long)h->experts);
    if (t->elements == 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "has no elements");
    if (!(row->flags & (NAME_ROTATED_Q | NAME_ROTATED_K))) return TOLA_OK;
    uint64_t heads = row->flags & NAME_ROTATED_Q ? h->heads : h->kv_heads;
    if (heads == 0 || heads > UINT32_MAX || h->head_dim > UINT32_MAX || t->shape[0] != heads * h->head_dim ||
        h->head_dim % 2 != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%llu rows, expected %llu heads of %llu (an even number)",
                       (unsigned long long)t->shape[0], (unsigned long long)heads, (unsigned long long)h->head_dim);
    return TOLA_OK;
}

/* Item `name` of rows [first, first + rows) of tensor `index`. */
static tola_status add_item(builder *b, size_t index, const name_match *match, uint32_t expert, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, index);
    char name[256];
    if (!names_format(match->row->hf, match->layer, expert, name, sizeof name))
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "its name is too long");
    hf_gguf_item *item = build_item(b);
    hf_gguf_piece *piece = build_alloc(b, 1, sizeof *piece);
    if (item == NULL || piece == NULL) return err_nomem(err, "planning the conversion");
    bool experts = (match->row->flags & NAME_EXPERT) != 0;
    item->name = build_text(b, name);
    if (item->name == NULL) return err_nomem(err, "planning the conversion");
    for (unsigned d = experts ? 1 : 0; d < t->n_dims; d++) item->shape[item->n_dims++] = t->shape[d];
    item->row_elements = t->shape[t->n_dims - 1];
    item->dtype = (uint16_t)target_dtype(b, t, name);
    bool rotated = (match->row->flags & (NAME_ROTATED_Q | NAME_ROTATED_K)) != 0;
    if (rotated && b->plan->family->map == FAMILY_MAP_LLAMA) {
        item->order = HF_GGUF_DEINTERLEAVE;
        item->heads = (uint32_t)(match->row->flags & NAME_ROTATED_Q ? b->hyper.heads : b->hyper.kv_heads);
        if (item->n_dims == 1) item->row_elements = 1;
    }
    uint64_t rows = t->elements / item->row_elements / (experts ? t->shape[0] : 1);
    *piece = (hf_gguf_piece){ index, experts ? expert * rows : 0, rows };
    item->pieces = piece;
    item->piece_count = 1;
    if ((match->row->flags & NAME_NORM) && is_gemma(b->plan->family->map)) item->add = -1;
    return TOLA_OK;
}

/* The array of u32 stored under tola.exact.<name>.<what>; NULL where there is none of `count` elements (any for 0). */
static const tola_value *exact_list(const builder *b, const char *name, const char *what, size_t count) {
    char key[320];
    size_t n = strlen("tola.exact.") + strlen(name) + strlen(what) + 2;
    if (n > sizeof key) return NULL;
    strcpy(key, "tola.exact.");
    strcat(strcat(strcat(key, name), "."), what);
    const tola_value *v = tola_value_get(tola_checkpoint_metadata(b->ck), key);
    if (v == NULL || v->kind != TOLA_VALUE_ARRAY || (count != 0 && v->as.array.count != count)) return NULL;
    return v;
}

/* Gemma's norms whose bits do not survive plus and minus one: computed here, with the bits that the file kept aside.
 * A kept value counts only while it still explains what is stored, so that a changed norm is not overwritten. */
static tola_status restore_exact(builder *b, hf_gguf_item *item, tola_error *err) {
    const tola_value *at = exact_list(b, item->name, "at", 0);
    const tola_value *bits = at != NULL ? exact_list(b, item->name, "bits", at->as.array.count) : NULL;
    const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, item->pieces[0].tensor);
    uint32_t size = tola_dtype_block_bytes((tola_dtype)item->dtype);
    if (bits == NULL || t->dtype != TOLA_DTYPE_F32 || t->bytes > NORM_MAX_BYTES || size > 4) return TOLA_OK;
    if (recorded_dtype(b, item->name) != (tola_dtype)item->dtype) return TOLA_OK;
    size_t n = (size_t)t->elements;
    float *stored = build_alloc(b, n, sizeof *stored), *value = build_alloc(b, n, sizeof *value);
    uint8_t *raw = build_alloc(b, n, size);
    if (b->failed) return err_nomem(err, "norms");
    TRY(tola_checkpoint_read(b->ck, item->pieces[0].tensor, 0, stored, (size_t)t->bytes, err));
    for (size_t i = 0; i < n; i++) {
        volatile float difference = stored[i] - 1.0f;
        value[i] = difference;
    }
    TRY(codec_convert(TOLA_DTYPE_F32, (tola_dtype)item->dtype, value, raw, n, TOLA_OVERFLOW_IEEE, NULL));
    for (size_t i = 0; i < at->as.array.count; i++) {
        tola_value place = tola_value_at(at, i), kept = tola_value_at(bits, i);
        uint64_t where = tola_value_u64(&place, UINT64_MAX), word = tola_value_u64(&kept, 0);
        uint8_t bytes[4];
        float original;
        if (where >= n) continue;
        for (uint32_t byte = 0; byte < 4; byte++) bytes[byte] = (uint8_t)(word >> (8 * byte));
        TRY(codec_convert((tola_dtype)item->dtype, TOLA_DTYPE_F32, bytes, &original, 1, TOLA_OVERFLOW_IEEE, NULL));
        volatile float sum = original + 1.0f;
        float again = sum;
        if (memcmp(&again, &stored[where], sizeof again) == 0 || (again != again && stored[where] != stored[where]))
            memcpy(raw + where * size, bytes, size);
    }
    item->inline_data = raw;
    item->inline_bytes = n * size;
    item->piece_count = 0;
    item->pieces = NULL;
    item->add = 0;
    return TOLA_OK;
}

static tola_status map_tensor(builder *b, size_t index, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, index);
    name_match match;
    if (!names_match_gguf(b->plan->family->map, t->name, &match))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "has no counterpart in Hugging Face's %s",
                       b->plan->family->name);
    TRY(check_source(b, t, match.row, err));
    if (match.layer != UINT32_MAX && match.layer >= b->hyper.layers)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "layer %u, but block_count is %llu", match.layer,
                       (unsigned long long)b->hyper.layers);
    if (match.row == names_row(0)) b->hyper.vocabulary = t->shape[0];
    if ((match.row->flags & NAME_EXPERT) == 0) {
        TRY(add_item(b, index, &match, 0, err));
        hf_gguf_item *item = &b->items[b->item_count - 1];
        return item->add != 0 ? restore_exact(b, item, err) : TOLA_OK;
    }
    for (uint64_t e = 0; e < t->shape[0]; e++) TRY(add_item(b, index, &match, (uint32_t)e, err));
    return TOLA_OK;
}

static tola_status plan_with(builder *b, tola_error *err) {
    if (b->hyper.layers == 0 || b->hyper.layers > BUILD_MAX_LAYERS || b->hyper.width == 0 || b->hyper.heads == 0 ||
        b->hyper.experts > BUILD_MAX_EXPERTS)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "%s.block_count, .embedding_length or .attention.head_count is absent or absurd", b->arch);
    size_t count = tola_checkpoint_tensor_count(b->ck);
    for (size_t i = 0; i < count; i++) {
        const char *name = tola_checkpoint_tensor(b->ck, i)->name;
        if (names_ignored_gguf(name)) continue;
        tola_status status = map_tensor(b, i, err);
        if (status != TOLA_OK) return err_in_tensor(err, status, name);
    }
    build_string(b, "format", "pt");
    TRY(config_to_hf(b, err));
    return tokenizer_to_hf(b, err);
}

tola_status hf_gguf_plan_to_hf(const tola_checkpoint *ck, const hf_gguf_options *options, hf_gguf_plan **out,
                               tola_error *err) {
    const family *f = families_detect(ck);
    const char *arch = tola_value_str(tola_value_get(tola_checkpoint_metadata(ck), "general.architecture"), NULL);
    if (f == NULL || !family_converts(f->map) || arch == NULL)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "GGUF architecture %s has no mapping to Hugging Face",
                       arch != NULL ? arch : "(none)");
    builder b;
    TRY(build_begin(&b, ck, options, err));
    b.plan->family = f;
    b.arch = arch;
    families_hyper_of(ck, &b.hyper);
    tola_status status = plan_with(&b, err);
    return build_end(&b, status, out, err);
}
