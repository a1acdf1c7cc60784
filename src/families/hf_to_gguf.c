/* The plan from a Hugging Face checkpoint to a GGUF file: tensors.
 *
 * What llama.cpp expects (convert_hf_to_gguf.py): names by the table, rows of Llama's Q and K interleaved, experts
 * stacked, Gemma's norms plus one, norms and routers and vectors in f32, tied output matrices left out, factors of
 * Llama 3's and Phi-3's rope scaling as tensors. Tokenizer and keys: tokenizer_to_gguf.c and config_gguf.c. */
#include "base/err.h"
#include "codecs/codec.h"
#include "families/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORM_MAX_BYTES (1u << 20) /* real norms have at most some ten thousand elements */

typedef struct mapping {
    builder *b;
    size_t rows;         /* of the name table */
    uint32_t *item_of;   /* [layers + 1][rows]: index of the item + 1; the last layer stands for "no layer" */
    uint64_t *order;     /* per item: where it goes in the file */
    size_t order_cap;
    size_t *first_of;    /* per item: its first tensor of the source */
    size_t first_cap;
    uint64_t elements[TOLA_DTYPE_COUNT]; /* of matrices, by dtype written */
    uint64_t source[TOLA_DTYPE_COUNT];   /* of source tensors, by dtype */
} mapping;

static bool is_gemma(family_map map) {
    return map == FAMILY_MAP_GEMMA || map == FAMILY_MAP_GEMMA2 || map == FAMILY_MAP_GEMMA3;
}

/* What a matrix is written as. llama.cpp loads f32, f16, bf16 and its block types. */
static tola_dtype matrix_dtype(const builder *b, const tola_tensor_info *t) {
    tola_dtype dtype = b->options->dtype;
    if (dtype == TOLA_DTYPE_NONE) dtype = t->dtype == TOLA_DTYPE_F64 ? TOLA_DTYPE_F32 : (tola_dtype)t->dtype;
    if (dtype < TOLA_DTYPE_COUNT && t->shape[t->n_dims - 1] % tola_dtype_block_elements(dtype) != 0)
        dtype = TOLA_DTYPE_F16; /* rows that fill no whole blocks, as llama.cpp's converter does */
    return dtype;
}

static tola_status check_source(const tola_tensor_info *t, const name_row *row, tola_error *err) {
    if (t->flags & TOLA_TENSOR_MISSING)
        return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "its shard is missing");
    if (tola_dtype_get_kind((tola_dtype)t->dtype) != TOLA_KIND_FLOAT)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s is no floating-point type",
                       tola_dtype_name((tola_dtype)t->dtype));
    bool vector = (row->flags & NAME_NORM) != 0;
    size_t n = strlen(row->hf);
    if (n > 5 && strcmp(row->hf + n - 5, ".bias") == 0) vector = true;
    if (t->n_dims != (vector ? 1 : 2) || t->elements == 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%u dimensions, expected %d", t->n_dims, vector ? 1 : 2);
    return TOLA_OK;
}

/* Rows of Q or K: heads * head_dim, so that permuting them means something. */
static tola_status set_rotation(const mapping *m, hf_gguf_item *item, const name_row *row, tola_error *err) {
    const family_hyper *h = &m->b->hyper;
    uint64_t heads = row->flags & NAME_ROTATED_Q ? h->heads : h->kv_heads;
    if (item->shape[0] != heads * h->head_dim || h->head_dim % 2 != 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%llu rows, expected %llu heads of %llu (an even number)",
                       (unsigned long long)item->shape[0], (unsigned long long)heads, (unsigned long long)h->head_dim);
    if (m->b->plan->family->map != FAMILY_MAP_LLAMA) return TOLA_OK;
    item->order = HF_GGUF_INTERLEAVE;
    item->heads = (uint32_t)heads;
    if (item->n_dims == 1) item->row_elements = 1;
    return TOLA_OK;
}

static uint64_t order_of(const mapping *m, const name_match *match, size_t row) {
    /* Embedding first, then layers in order, then what follows them. */
    uint64_t layer = match->layer == UINT32_MAX ? (row == 0 ? 0 : m->b->hyper.layers + 1) : match->layer + 1u;
    return layer << 32 | row;
}

/* The item of this name, made on its first tensor. */
static tola_status item_for(mapping *m, const name_match *match, const tola_tensor_info *t, hf_gguf_item **out,
                            bool *is_new, tola_error *err) {
    builder *b = m->b;
    size_t row = (size_t)(match->row - names_row(0));
    uint64_t layer = match->layer == UINT32_MAX ? b->hyper.layers : match->layer;
    if (match->layer != UINT32_MAX && match->layer >= b->hyper.layers)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "layer %u, but config.json says %llu layers", match->layer,
                       (unsigned long long)b->hyper.layers);
    uint32_t *slot = &m->item_of[layer * m->rows + row];
    *is_new = *slot == 0;
    if (*slot != 0) {
        *out = &b->items[*slot - 1];
        return TOLA_OK;
    }
    char name[256];
    if (!names_format(match->row->gguf, match->layer, 0, name, sizeof name) ||
        !mem_grow(&m->order, &m->order_cap, b->item_count + 1, sizeof *m->order) ||
        !mem_grow(&m->first_of, &m->first_cap, b->item_count + 1, sizeof *m->first_of))
        return err_nomem(err, "planning the conversion");
    hf_gguf_item *item = build_item(b);
    if (item == NULL) return err_nomem(err, "planning the conversion");
    *slot = (uint32_t)b->item_count;
    m->order[b->item_count - 1] = order_of(m, match, row);
    bool experts = (match->row->flags & NAME_EXPERT) != 0;
    size_t count = experts ? (size_t)b->hyper.experts : 1;
    hf_gguf_piece *pieces = build_alloc(b, count, sizeof *pieces);
    item->name = build_text(b, name);
    if (item->name == NULL || pieces == NULL) return err_nomem(err, "planning the conversion");
    for (size_t i = 0; i < count; i++) pieces[i] = (hf_gguf_piece){ SIZE_MAX, 0, 0 };
    item->pieces = pieces;
    item->piece_count = count;
    if (experts) item->shape[item->n_dims++] = b->hyper.experts;
    for (unsigned d = 0; d < t->n_dims; d++) item->shape[item->n_dims++] = t->shape[d];
    item->row_elements = t->shape[t->n_dims - 1];
    item->fixed_dtype = t->n_dims == 1 || (match->row->flags & (NAME_NORM | NAME_F32)) != 0;
    item->dtype = (uint16_t)(item->fixed_dtype ? TOLA_DTYPE_F32 : matrix_dtype(b, t));
    if ((match->row->flags & NAME_NORM) && is_gemma(b->plan->family->map)) item->add = 1;
    if (match->row->flags & (NAME_ROTATED_Q | NAME_ROTATED_K)) return set_rotation(m, *out = item, match->row, err);
    *out = item;
    return TOLA_OK;
}

/* One tensor of the source into its item. */
static tola_status take(mapping *m, size_t index, const name_match *match, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(m->b->ck, index);
    hf_gguf_item *item;
    bool is_new;
    TRY(check_source(t, match->row, err));
    if ((match->row->flags & NAME_EXPERT) && match->expert >= m->b->hyper.experts)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "expert %u, but config.json says %llu experts",
                       match->expert, (unsigned long long)m->b->hyper.experts);
    TRY(item_for(m, match, t, &item, &is_new, err));
    if (is_new) m->first_of[item - m->b->items] = index;
    size_t place = match->row->flags & NAME_EXPERT ? match->expert : 0;
    hf_gguf_piece *piece = (hf_gguf_piece *)&item->pieces[place];
    if (piece->tensor != SIZE_MAX)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "a second tensor for %s", item->name);
    if (item->n_dims == 3 && (item->shape[1] != t->shape[0] || item->shape[2] != t->shape[1]))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "shape [%llu, %llu], other experts have [%llu, %llu]",
                       (unsigned long long)t->shape[0], (unsigned long long)t->shape[1],
                       (unsigned long long)item->shape[1], (unsigned long long)item->shape[2]);
    if (!is_new && t->dtype != tola_checkpoint_tensor(m->b->ck, m->first_of[item - m->b->items])->dtype)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s, but other experts of its layer have another dtype",
                       tola_dtype_name((tola_dtype)t->dtype));
    *piece = (hf_gguf_piece){ index, 0, t->elements / item->row_elements };
    m->source[t->dtype] += t->elements;
    if (!item->fixed_dtype) m->elements[item->dtype] += t->elements;
    return TOLA_OK;
}

/* What piece `p` of an item is called on the way back, whatever prefix the source had: the name under which its dtype
 * and bits are kept. */
static char *name_back(builder *b, const hf_gguf_item *item, size_t p) {
    char name[256];
    name_match match;
    if (!names_match_gguf(b->plan->family->map, item->name, &match) ||
        !names_format(match.row->hf, match.layer, (uint32_t)p, name, sizeof name)) {
        b->failed = true;
        return NULL;
    }
    return build_text(b, name);
}

/* Gemma's weights are stored minus one. f32(w) + 1 forgets low bits of small w; where w does not come back as f32 sum
 * minus one, its bits are kept aside under tola.exact.<name>.{at,bits}, so that the way back is exact. */
static tola_status keep_exact(builder *b, const hf_gguf_item *item, tola_error *err) {
    size_t index = item->pieces[0].tensor;
    const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, index);
    uint32_t size = tola_dtype_block_bytes((tola_dtype)t->dtype);
    if (t->bytes > NORM_MAX_BYTES || size > 4) return TOLA_OK;
    size_t n = (size_t)t->elements;
    uint8_t *raw = build_alloc(b, n, size), *back = build_alloc(b, n, size);
    float *value = build_alloc(b, n, sizeof *value);
    uint32_t *at = build_alloc(b, n, sizeof *at), *bits = build_alloc(b, n, sizeof *bits);
    if (b->failed) return err_nomem(err, "norms");
    TRY(tola_checkpoint_read(b->ck, index, 0, raw, (size_t)t->bytes, err));
    TRY(codec_convert((tola_dtype)t->dtype, TOLA_DTYPE_F32, raw, value, n, TOLA_OVERFLOW_IEEE, NULL));
    for (size_t i = 0; i < n; i++) {
        volatile float sum = value[i] + 1.0f; /* rounded to f32, whatever the compiler would rather do */
        value[i] = sum - 1.0f;
    }
    TRY(codec_convert(TOLA_DTYPE_F32, (tola_dtype)t->dtype, value, back, n, TOLA_OVERFLOW_IEEE, NULL));
    size_t lost = 0;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(raw + i * size, back + i * size, size) == 0) continue;
        at[lost] = (uint32_t)i;
        bits[lost] = 0;
        for (uint32_t byte = 0; byte < size; byte++) bits[lost] |= (uint32_t)raw[i * size + byte] << (8 * byte);
        lost++;
    }
    if (lost == 0) return TOLA_OK;
    const char *name = name_back(b, item, 0);
    char *at_key = name != NULL ? build_printf(b, "tola.exact.%s.at", name) : NULL;
    char *bits_key = name != NULL ? build_printf(b, "tola.exact.%s.bits", name) : NULL;
    if (at_key == NULL || bits_key == NULL) return err_nomem(err, "norms");
    build_numbers(b, at_key, TOLA_DTYPE_U32, at, lost);
    build_numbers(b, bits_key, TOLA_DTYPE_U32, bits, lost);
    return TOLA_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(((const tola_string *)a)->data, ((const tola_string *)b)->data);
}

/* The dtype that most source tensors have, and those that have another, sorted by name. */
static void keep_dtypes(mapping *m) {
    builder *b = m->b;
    tola_dtype most = TOLA_DTYPE_F32;
    for (unsigned d = 0; d < TOLA_DTYPE_COUNT; d++)
        if (m->source[d] > m->source[most]) most = (tola_dtype)d;
    build_string(b, "tola.source.dtype", tola_dtype_name(most));
    build_string(b, "tola.source.family", b->plan->family->name);
    size_t others = 0;
    for (size_t i = 0; i < b->item_count; i++)
        for (size_t p = 0; p < b->items[i].piece_count; p++)
            others += tola_checkpoint_tensor(b->ck, b->items[i].pieces[p].tensor)->dtype != most;
    tola_string *lines = others != 0 ? build_alloc(b, others, sizeof *lines) : NULL;
    if (lines == NULL) return;
    size_t n = 0;
    for (size_t i = 0; i < b->item_count; i++) {
        for (size_t p = 0; p < b->items[i].piece_count; p++) {
            const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, b->items[i].pieces[p].tensor);
            if (t->dtype == most) continue;
            const char *name = name_back(b, &b->items[i], p);
            char *line = name != NULL ? build_printf(b, "%s=%s", name, tola_dtype_name((tola_dtype)t->dtype)) : NULL;
            if (line == NULL) return;
            lines[n++] = (tola_string){ line, strlen(line) };
        }
    }
    qsort(lines, n, sizeof *lines, by_text);
    build_strings(b, "tola.source.dtypes", lines, n);
}

/* A small f32 tensor computed here. */
static void add_vector(builder *b, const char *name, const float *values, size_t count) {
    hf_gguf_item *item = build_item(b);
    if (item == NULL) return;
    item->name = name;
    item->shape[0] = count;
    item->n_dims = 1;
    item->dtype = TOLA_DTYPE_F32;
    item->fixed_dtype = true;
    item->row_elements = count;
    item->inline_data = values;
    item->inline_bytes = count * sizeof *values;
}

static tola_status llama3_factors(builder *b, tola_error *err) {
    size_t n = (size_t)b->hyper.head_dim / 2;
    float *factors = build_alloc(b, n, sizeof *factors);
    if (factors == NULL) return err_nomem(err, "rope factors");
    config_llama3_factors(&b->hyper, factors);
    add_vector(b, "rope_freqs.weight", factors, n);
    return TOLA_OK;
}

static tola_status longrope_factors(builder *b, const char *name, const tola_value *list, tola_error *err) {
    size_t n = (size_t)(b->hyper.rope_partial * (double)b->hyper.head_dim) / 2;
    if (list == NULL || list->kind != TOLA_VALUE_ARRAY || list->as.array.count != n)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "config.json: longrope scaling needs %zu factors for %s, has %zu", n, name,
                       list != NULL && list->kind == TOLA_VALUE_ARRAY ? list->as.array.count : 0);
    float *factors = build_alloc(b, n, sizeof *factors);
    if (factors == NULL) return err_nomem(err, "rope factors");
    for (size_t i = 0; i < n; i++) {
        tola_value v = tola_value_at(list, i);
        factors[i] = (float)tola_value_f64(&v, 1);
    }
    add_vector(b, name, factors, n);
    return TOLA_OK;
}

static tola_status add_rope(builder *b, tola_error *err) {
    if (b->hyper.rope == FAMILY_ROPE_LLAMA3) return llama3_factors(b, err);
    if (b->hyper.rope != FAMILY_ROPE_LONGROPE) return TOLA_OK;
    TRY(longrope_factors(b, "rope_factors_long.weight", b->hyper.rope_long, err));
    return longrope_factors(b, "rope_factors_short.weight", b->hyper.rope_short, err);
}

/* general.file_type: what most matrices are, in llama.cpp's numbering (enum llama_ftype). */
static void add_file_type(mapping *m) {
    static const struct {
        uint8_t dtype, type;
    } types[] = { { TOLA_DTYPE_F32, 0 },  { TOLA_DTYPE_F16, 1 },  { TOLA_DTYPE_Q4_0, 2 },  { TOLA_DTYPE_Q4_1, 3 },
                  { TOLA_DTYPE_Q8_0, 7 }, { TOLA_DTYPE_Q5_0, 8 }, { TOLA_DTYPE_Q5_1, 9 },  { TOLA_DTYPE_Q2_K, 10 },
                  { TOLA_DTYPE_Q3_K, 12 }, { TOLA_DTYPE_Q4_K, 15 }, { TOLA_DTYPE_Q5_K, 17 }, { TOLA_DTYPE_Q6_K, 18 },
                  { TOLA_DTYPE_BF16, 32 } };
    size_t best = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (m->elements[types[i].dtype] > m->elements[types[best].dtype]) best = i;
    build_u32(m->b, "general.file_type", types[best].type);
}

static bool has(const mapping *m, uint64_t layer, const char *pattern) {
    for (size_t row = 0; row < m->rows; row++)
        if (m->item_of[layer * m->rows + row] != 0 && strcmp(names_row(row)->gguf, pattern) == 0) return true;
    return false;
}

/* Every expert is there, and every layer, with experts in all or none (llama.cpp's loaders have no other way); anything
 * else would fail later in llama.cpp with fewer words. */
static tola_status check_complete(const mapping *m, tola_error *err) {
    const builder *b = m->b;
    for (size_t i = 0; i < b->item_count; i++)
        for (size_t p = 0; p < b->items[i].piece_count; p++)
            if (b->items[i].pieces[p].tensor == SIZE_MAX)
                return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "expert %zu of %s is missing", p, b->items[i].name);
    for (uint64_t layer = 0; layer < b->hyper.layers; layer++) {
        if (!has(m, layer, "blk.%d.attn_norm.weight"))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "layer %llu of %llu is missing",
                           (unsigned long long)layer, (unsigned long long)b->hyper.layers);
        if (b->hyper.experts != 0 && !has(m, layer, "blk.%d.ffn_gate_inp.weight"))
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                           "layer %llu has no experts, which GGUF's %s has in all layers or none",
                           (unsigned long long)layer, b->arch);
    }
    if (m->item_of[b->hyper.layers * m->rows] == 0)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the embedding is missing");
    return TOLA_OK;
}

typedef struct placed {
    uint64_t order;
    hf_gguf_item item;
} placed;

static int by_order(const void *a, const void *b) {
    uint64_t x = ((const placed *)a)->order, y = ((const placed *)b)->order;
    return x < y ? -1 : x > y;
}

static tola_status sort_items(mapping *m, tola_error *err) {
    builder *b = m->b;
    placed *list = mem_alloc((b->item_count + 1) * sizeof *list);
    if (list == NULL) return err_nomem(err, "planning the conversion");
    for (size_t i = 0; i < b->item_count; i++) list[i] = (placed){ m->order[i], b->items[i] };
    qsort(list, b->item_count, sizeof *list, by_order);
    for (size_t i = 0; i < b->item_count; i++) b->items[i] = list[i].item;
    mem_free(list);
    return TOLA_OK;
}

static tola_status map_tensors(mapping *m, tola_error *err) {
    builder *b = m->b;
    size_t count = tola_checkpoint_tensor_count(b->ck), left_out = 0;
    if (b->hyper.tie_embeddings)
        TRY(names_tied_in_fact(b->ck, b->plan->family->map, &b->hyper.tie_embeddings, err));
    for (size_t i = 0; i < count; i++) {
        const char *name = tola_checkpoint_tensor(b->ck, i)->name;
        name_match match;
        if (names_ignored_hf(name)) continue;
        if (b->plan->family->map == FAMILY_MAP_GEMMA3 &&
            (strstr(name, "vision_tower.") != NULL || strstr(name, "multi_modal_projector.") != NULL)) {
            left_out++;
            continue;
        }
        if (!names_match_hf(b->plan->family->map, name, &match))
            return err_in_tensor(err,
                                 err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "has no counterpart in GGUF's %s",
                                         b->arch),
                                 name);
        if ((match.row->flags & NAME_HEAD) && b->hyper.tie_embeddings) continue;
        tola_status status = take(m, i, &match, err);
        if (status != TOLA_OK) return err_in_tensor(err, status, name);
    }
    if (left_out != 0)
        build_warn(b, "%zu tensors of the vision part are left out: GGUF keeps those in another file", left_out);
    TRY(check_complete(m, err));
    for (size_t i = 0; i < b->item_count; i++)
        if (b->items[i].add != 0) TRY(keep_exact(b, &b->items[i], err));
    TRY(sort_items(m, err));
    keep_dtypes(m);
    return add_rope(b, err);
}

/* The rows of the embedding are the vocabulary; config.json must not say otherwise. */
static tola_status read_vocabulary(builder *b, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(b->ck);
    for (size_t i = 0; i < count; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, i);
        name_match match;
        if (!names_match_hf(b->plan->family->map, t->name, &match) || match.row != names_row(0) || t->n_dims != 2)
            continue;
        if (b->hyper.vocabulary != 0 && b->hyper.vocabulary != t->shape[0])
            build_warn(b, "config.json says %llu tokens, the embedding has %llu; the latter is taken",
                       (unsigned long long)b->hyper.vocabulary, (unsigned long long)t->shape[0]);
        b->hyper.vocabulary = t->shape[0];
        return TOLA_OK;
    }
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "no embedding (%s)", names_row(0)->hf);
}

static tola_status plan_with(builder *b, mapping *m, tola_error *err) {
    TRY(read_vocabulary(b, err));
    build_string(b, "general.architecture", b->arch);
    build_string(b, "general.type", "model");
    TRY(card_to_gguf(b, err));
    TRY(config_to_gguf(b, err));
    m->b = b;
    while (names_row(m->rows) != NULL) m->rows++;
    m->item_of = mem_calloc((size_t)(b->hyper.layers + 1) * m->rows, sizeof *m->item_of);
    if (m->item_of == NULL) return err_nomem(err, "planning the conversion");
    TRY(map_tensors(m, err));
    add_file_type(m);
    build_u32(b, "general.quantization_version", 2);
    return tokenizer_to_gguf(b, b->hyper.vocabulary, err);
}

/* GGUF's word for a family: Mistral and Mixtral are "llama" there; of several words the first, which the dense kind
 * has. */
static const char *gguf_word(const family *f) {
    return f->gguf != NULL ? f->gguf : "llama";
}

tola_status hf_gguf_plan_to_gguf(const tola_checkpoint *ck, const hf_gguf_options *options, hf_gguf_plan **out,
                                 tola_error *err) {
    const family *f = families_detect(ck);
    if (f == NULL || !family_converts(f->map) || tola_checkpoint_config(ck) == NULL)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s%s has no mapping to GGUF",
                       f == NULL ? "an unknown architecture" : f->name,
                       tola_checkpoint_config(ck) == NULL ? " without a config.json" : "");
    builder b;
    mapping m = { 0 };
    TRY(build_begin(&b, ck, options, err));
    b.plan->family = f;
    b.arch = gguf_word(f);
    families_hyper_hf(tola_checkpoint_config(ck), &b.hyper);
    tola_status status = plan_with(&b, &m, err);
    mem_free(m.item_of);
    mem_free(m.order);
    mem_free(m.first_of);
    return build_end(&b, status, out, err);
}

bool hf_gguf_applies(const tola_checkpoint *ck, bool to_gguf) {
    const family *f = families_detect(ck);
    if (f == NULL || !family_converts(f->map)) return false;
    const char *format = tola_checkpoint_format(ck);
    bool is_gguf = format != NULL && strcmp(format, "gguf") == 0;
    name_match match;
    size_t count = tola_checkpoint_tensor_count(ck);
    if (count == 0 || is_gguf == to_gguf) return false;
    if (to_gguf && tola_checkpoint_config(ck) == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        const char *name = tola_checkpoint_tensor(ck, i)->name;
        if (to_gguf ? names_match_hf(f->map, name, &match) : names_match_gguf(f->map, name, &match)) return true;
    }
    return false;
}
