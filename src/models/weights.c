/* Tensors of a checkpoint as weights of a graph.
 *
 * A weight is asked for by GGUF's word and found under the name that the file gives it (families/names.c). Where the
 * file holds it as kernels/matmul reads it, the graph gets pointers into the mapping: whole tensors, rows of a fused
 * one, every second row where gate and up take turns, one expert after another or each in its own tensor. Else it is
 * made: transposed (GPT-2's Conv1D, stacked experts of Llama 4 and gpt-oss), put together (gpt-oss' mxfp4 blocks and
 * scales, the halves of DeepSeek's kv_b), cast (what no kernel multiplies with; vectors, to f32). Shapes are compared
 * with the description before anything is handed out. */
#include "base/err.h"
#include "codecs/codec.h"
#include "formats/logical.h"
#include "kernels/matmul/matmul.h"
#include "models/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_ARENA (1u << 30)
#define WORD_MAX 64
#define READ_ELEMENTS ((uint64_t)1 << 16) /* at a time: whole blocks of all types */

tola_status model_open(const char *path, tola_checkpoint **out, tola_error *err) {
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    TRY(tola_checkpoint_open(path, &options, out, err));
    const tola_value *quantized = logical_config(tola_checkpoint_config(*out));
    const char *method = tola_value_str(tola_value_get(quantized, "quant_method"), "");
    if (strcmp(method, "mxfp4") == 0) return TOLA_OK;
    tola_status status = logical_replace(out, LOGICAL_MODEL, err);
    if (status == TOLA_OK) return TOLA_OK;
    tola_checkpoint_close(*out);
    *out = NULL;
    return err_in_file(err, status, path);
}

static tola_status in_place(const tola_checkpoint *ck, size_t tensor, tola_status status, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, tensor);
    err_in_tensor(err, status, t->name);
    if (t->file < tola_checkpoint_file_count(ck)) err_in_file(err, status, tola_checkpoint_file(ck, t->file)->path);
    return status;
}

static tola_status no_numbers(const tola_checkpoint *ck, size_t tensor, tola_error *err) {
    tola_dtype dtype = (tola_dtype)tola_checkpoint_tensor(ck, tensor)->dtype;
    return in_place(ck, tensor,
                    err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s is no type that weights have",
                            tola_dtype_name(dtype)),
                    err);
}

/* Whole numbers are codes of a quantization that is not known here, or a mistake: never weights as they are. */
static bool are_weights(tola_dtype dtype) {
    const tola_dtype_kind kind = tola_dtype_get_kind(dtype);
    return kind == TOLA_KIND_FLOAT || kind == TOLA_KIND_BLOCK;
}

tola_status model_read_f32(const tola_checkpoint *ck, size_t tensor, float *dst, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, tensor);
    tola_view view = { 0 };
    if (!are_weights((tola_dtype)t->dtype)) return no_numbers(ck, tensor, err);
    TRY(tola_checkpoint_acquire(ck, tensor, &view, err));
    tola_status status = codec_convert((tola_dtype)t->dtype, TOLA_DTYPE_F32, view.data, dst, (size_t)t->elements,
                                       TOLA_OVERFLOW_IEEE, NULL);
    tola_view_release(&view);
    return status == TOLA_OK ? TOLA_OK : no_numbers(ck, tensor, err);
}

tola_status model_read_range(const tola_checkpoint *ck, size_t tensor, uint64_t first, uint64_t count, float *dst,
                             tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(ck, tensor);
    tola_dtype dtype = (tola_dtype)t->dtype;
    if (!are_weights(dtype)) return no_numbers(ck, tensor, err);
    const uint64_t unit = tola_dtype_block_elements(dtype), unit_bytes = tola_dtype_block_bytes(dtype);
    uint64_t begin = first / unit * unit, end = (first + count + unit - 1) / unit * unit;
    uint64_t most = end - begin < READ_ELEMENTS ? end - begin : READ_ELEMENTS;
    uint8_t *stored = mem_alloc((size_t)(most / unit * unit_bytes) + 1);
    float *values = mem_alloc_aligned(64, (size_t)(most + 1) * sizeof *values);
    tola_status status = stored && values ? TOLA_OK : err_nomem(err, "reading weights");
    for (uint64_t at = begin; at < end && status == TOLA_OK; at += most) {
        uint64_t here = end - at < most ? end - at : most;
        status =
            tola_checkpoint_read(ck, tensor, at / unit * unit_bytes, stored, (size_t)(here / unit * unit_bytes), err);
        if (status != TOLA_OK) break;
        status = codec_convert(dtype, TOLA_DTYPE_F32, stored, values, (size_t)here, TOLA_OVERFLOW_IEEE, NULL);
        if (status != TOLA_OK) status = no_numbers(ck, tensor, err);
        uint64_t from = at > first ? at : first, to = at + here < first + count ? at + here : first + count;
        if (status == TOLA_OK && from < to)
            memcpy(dst + (from - first), values + (from - at), (size_t)(to - from) * sizeof *dst);
    }
    mem_free(stored);
    mem_free(values);
    return status;
}

tola_status model_weights_open(const tola_checkpoint *ck, const model_description *d, model_weights **out,
                               tola_error *err) {
    model_weights *w = mem_calloc(1, sizeof *w);
    if (w == NULL) return err_nomem(err, "opening weights");
    arena_init(&w->arena, MAX_ARENA);
    w->ck = ck;
    w->d = d;
    w->tensor_count = tola_checkpoint_tensor_count(ck);
    w->of_layer = mem_calloc((size_t)d->layer_count + 1, sizeof *w->of_layer);
    w->views = mem_calloc(w->tensor_count + 1, sizeof *w->views);
    w->used = mem_calloc(w->tensor_count + 1, sizeof *w->used);
    if (w->of_layer == NULL || w->views == NULL || w->used == NULL) {
        model_weights_free(w);
        return err_nomem(err, "opening weights");
    }
    tola_status status = made_open(ck, &w->made, err);
    if (status != TOLA_OK) {
        model_weights_free(w);
        return status;
    }
    *out = w;
    return TOLA_OK;
}

void model_weights_free(model_weights *w) {
    if (w == NULL) return;
    for (size_t i = 0; w->views != NULL && i < w->tensor_count; i++) tola_view_release(&w->views[i]);
    masters_free(w);
    made_free(w->made);
    mem_free(w->views);
    mem_free(w->used);
    mem_free(w->of_layer);
    arena_free(&w->arena);
    mem_free(w);
}

/* ---- finding ---- */

void weights_find(const model_weights *w, const char *word, uint32_t layer, uint32_t expert, found *out) {
    char pattern[WORD_MAX + 16];
    snprintf(pattern, sizeof pattern, "%s%s", layer != UINT32_MAX ? "blk.%d." : "", word);
    out->scales = SIZE_MAX;
    out->tensor = names_find(w->ck, w->d->family->map, w->d->gguf, pattern, layer, expert, &out->row, out->name,
                             sizeof out->name);
    out->flags = out->row != NULL ? out->row->flags : 0;
    if (out->tensor != SIZE_MAX || !(out->flags & NAME_TRANSPOSED)) return;
    char parts[sizeof out->name + 8];
    snprintf(parts, sizeof parts, "%s_blocks", out->name);
    size_t blocks = tola_checkpoint_find(w->ck, parts);
    snprintf(parts, sizeof parts, "%s_scales", out->name);
    out->scales = tola_checkpoint_find(w->ck, parts);
    if (blocks != SIZE_MAX && out->scales != SIZE_MAX) out->tensor = blocks;
}

static void shape_text(const uint64_t *shape, unsigned n, char *text, size_t cap) {
    size_t used = (size_t)snprintf(text, cap, "[");
    for (unsigned i = 0; i < n && used < cap; i++)
        used += (size_t)snprintf(text + used, cap - used, "%s%" PRIu64, i != 0 ? ", " : "", shape[i]);
    if (used < cap) snprintf(text + used, cap - used, "]");
}

tola_status weights_check_shape(const model_weights *w, size_t tensor, const uint64_t *wanted, unsigned n,
                                tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(w->ck, tensor);
    char got[128], expected[128];
    if (t->flags & TOLA_TENSOR_MISSING)
        return in_place(w->ck, tensor, err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "its shard is missing"), err);
    bool same = t->n_dims == n;
    for (unsigned i = 0; same && i < n; i++) same = t->shape[i] == wanted[i];
    if (same) return TOLA_OK;
    shape_text(t->shape, t->n_dims, got, sizeof got);
    shape_text(wanted, n, expected, sizeof expected);
    return in_place(
        w->ck, tensor,
        err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "shape %s, expected %s by the configuration", got, expected), err);
}

/* ---- bytes ---- */

static tola_status borrow(model_weights *w, size_t tensor, const uint8_t **data, tola_error *err) {
    if (w->views[tensor].data == NULL) TRY(tola_checkpoint_acquire(w->ck, tensor, &w->views[tensor], err));
    *data = w->views[tensor].data;
    return TOLA_OK;
}

static bool lies_in_file(const tola_tensor_info *t) {
    return t->offset != TOLA_NO_OFFSET &&
           !(t->flags & (TOLA_TENSOR_STRIDED | TOLA_TENSOR_SWAPPED | TOLA_TENSOR_PACKED));
}

/* What is not in the file as it is read: a matrix of GPTQ and its kin, a compressed one. */
static tola_status decode(model_weights *w, size_t tensor, const uint8_t **data, tola_error *err) {
    const uint64_t bytes = tola_checkpoint_tensor(w->ck, tensor)->bytes;
    bool ready;
    uint8_t *out = made_take(w->made, tensor, bytes, &ready, err);
    if (out == NULL) return TOLA_E_NOMEM;
    *data = out;
    return ready ? TOLA_OK : tola_checkpoint_read(w->ck, tensor, 0, out, (size_t)bytes, err);
}

/* The tensor's bytes in a dtype that a product takes, whose elements stand alone where `scalars`. */
static tola_status multipliable(model_weights *w, size_t tensor, bool scalars, const uint8_t **data, tola_dtype *dtype,
                                tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(w->ck, tensor);
    *dtype = (tola_dtype)t->dtype;
    if (matmul_supports(*dtype) && !(scalars && tola_dtype_get_kind(*dtype) == TOLA_KIND_BLOCK))
        return lies_in_file(t) ? borrow(w, tensor, data, err) : decode(w, tensor, data, err);
    if (t->elements > SIZE_MAX / sizeof(float)) return err_nomem(err, "making weights");
    bool ready;
    float *values = made_take(w->made, tensor, t->elements * sizeof *values, &ready, err);
    if (values == NULL) return TOLA_E_NOMEM;
    *data = (const uint8_t *)values;
    *dtype = TOLA_DTYPE_F32;
    return ready ? TOLA_OK : model_read_f32(w->ck, tensor, values, err);
}

/* ---- making ---- */

/* dst[r][c] = src[c][first + r * step], elements of `size` bytes; a run of columns at a time stays in the cache. */
static void transpose(const uint8_t *src, uint64_t stored, const piece *p, uint64_t rows, uint64_t cols, size_t size,
                      uint8_t *dst) {
    enum { RUN = 32 };
    for (uint64_t c0 = 0; c0 < cols; c0 += RUN) {
        uint64_t end = cols - c0 < RUN ? cols : c0 + RUN;
        for (uint64_t r = 0; r < rows; r++)
            for (uint64_t c = c0; c < end; c++)
                memcpy(dst + (r * cols + c) * size, src + (c * stored + p->first + r * p->step) * size, size);
    }
}

/* One row of gpt-oss' blocks: 16 bytes for 32 elements, neighbours in a byte, beside a scale; ours have the scale in
 * front and elements i and i + 16 in a byte (ggml's block_mxfp4). */
static void pack_mxfp4(const uint8_t *blocks, const uint8_t *scales, uint64_t groups, uint8_t *dst) {
    for (uint64_t g = 0; g < groups; g++, blocks += 16, dst += 17) {
        dst[0] = scales[g];
        for (unsigned j = 0; j < 16; j++) {
            unsigned low = blocks[j / 2] >> (j % 2 * 4) & 15, high = blocks[8 + j / 2] >> (j % 2 * 4) & 15;
            dst[1 + j] = (uint8_t)(low | high << 4);
        }
    }
}

static tola_status make_mxfp4(model_weights *w, const model_want *want, const found *f, const piece *p, graph_weight *g,
                              const void **data, tola_error *err) {
    uint64_t groups = want->cols / 32;
    const uint64_t blocks_shape[] = { want->parts, p->stored, groups, 16 },
                   scales_shape[] = { want->parts, p->stored, groups };
    if (want->cols % 32 != 0)
        return in_place(
            w->ck, f->tensor,
            err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%" PRIu64 " columns are no whole blocks of 32", want->cols),
            err);
    TRY(weights_check_shape(w, f->tensor, blocks_shape, 4, err));
    TRY(weights_check_shape(w, f->scales, scales_shape, 3, err));
    size_t both[] = { f->tensor, f->scales };
    for (int i = 0; i < 2; i++) {
        tola_dtype dtype = (tola_dtype)tola_checkpoint_tensor(w->ck, both[i])->dtype;
        if (tola_dtype_bits(dtype) != 8)
            return in_place(w->ck, both[i],
                            err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s, expected u8", tola_dtype_name(dtype)),
                            err);
    }
    g->dtype = TOLA_DTYPE_MXFP4;
    g->row_bytes = (size_t)groups * 17;
    bool ready;
    uint8_t *out = made_take(w->made, f->tensor, want->parts * want->rows * g->row_bytes, &ready, err);
    if (out == NULL) return TOLA_E_NOMEM;
    w->used[f->scales] = true;
    for (uint64_t e = 0; e < want->parts; e++) data[e] = out + e * want->rows * g->row_bytes;
    if (ready) return TOLA_OK;
    tola_view blocks = { 0 }, scales = { 0 };
    tola_status status = tola_checkpoint_acquire(w->ck, f->tensor, &blocks, err);
    if (status == TOLA_OK) status = tola_checkpoint_acquire(w->ck, f->scales, &scales, err);
    for (uint64_t e = 0; e < want->parts && status == TOLA_OK; e++) {
        for (uint64_t r = 0; r < want->rows; r++) {
            uint64_t from = (e * p->stored + p->first + r * p->step) * groups;
            pack_mxfp4((const uint8_t *)blocks.data + from * 16, (const uint8_t *)scales.data + from, groups,
                       out + (e * want->rows + r) * g->row_bytes);
        }
    }
    tola_view_release(&blocks);
    tola_view_release(&scales);
    return status;
}

tola_status weights_check_exact(const model_weights *w, const model_want *want, const found *f, const piece *p,
                                tola_error *err) {
    const uint64_t shape[] = { want->rows, p->stored };
    bool flat = want->rows == 1 && tola_checkpoint_tensor(w->ck, f->tensor)->n_dims == 1;
    return weights_check_shape(w, f->tensor, flat ? shape + 1 : shape, flat ? 1 : 2, err);
}

/* A vector, or a matrix whose rows are vectors, as f32. Fused ones lie beside one another in each row. */
static tola_status make_exact(model_weights *w, const model_want *want, const found *f, const piece *p, graph_weight *g,
                              const void **data, tola_error *err) {
    const tola_tensor_info *t = tola_checkpoint_tensor(w->ck, f->tensor);
    TRY(weights_check_exact(w, want, f, p, err));
    g->dtype = TOLA_DTYPE_F32;
    g->row_bytes = (size_t)want->cols * sizeof(float);
    bool whole = p->stored == want->cols;
    if (t->dtype == TOLA_DTYPE_F32 && whole) {
        const uint8_t *mapped;
        TRY(borrow(w, f->tensor, &mapped, err));
        *data = mapped;
        if ((uintptr_t)mapped % sizeof(float) == 0) return TOLA_OK;
    }
    bool ready;
    float *out = made_take(w->made, f->tensor, want->rows * g->row_bytes, &ready, err);
    if (out == NULL) return TOLA_E_NOMEM;
    *data = out;
    if (ready) return TOLA_OK;
    if (whole) return model_read_f32(w->ck, f->tensor, out, err);
    float *all = t->elements <= SIZE_MAX / sizeof *all ? mem_alloc((size_t)t->elements * sizeof *all) : NULL;
    if (all == NULL) return err_nomem(err, "making weights");
    tola_status status = model_read_f32(w->ck, f->tensor, all, err);
    for (uint64_t r = 0; status == TOLA_OK && r < want->rows; r++)
        for (uint64_t c = 0; c < want->cols; c++) out[r * want->cols + c] = all[r * p->stored + p->first + c * p->step];
    mem_free(all);
    return status;
}

tola_status weights_check_matrices(const model_weights *w, const model_want *want, const found *f, const piece *p,
                                   tola_error *err) {
    bool turned = (f->flags & NAME_TRANSPOSED) != 0, stacked = want->parts > 1;
    const uint64_t shape[] = { want->parts, turned ? want->cols : p->stored, turned ? p->stored : want->cols };
    if (tola_checkpoint_tensor(w->ck, f->tensor)->n_dims == 3) stacked = true; /* a stack of one expert */
    return weights_check_shape(w, f->tensor, stacked ? shape : shape + 1, stacked ? 3 : 2, err);
}

/* One tensor of matrices: one, or all experts behind one another. */
static tola_status make_matrices(model_weights *w, const model_want *want, const found *f, const piece *p,
                                 graph_weight *g, const void **data, tola_error *err) {
    bool turned = (f->flags & NAME_TRANSPOSED) != 0;
    TRY(weights_check_matrices(w, want, f, p, err));
    const uint8_t *base;
    TRY(multipliable(w, f->tensor, turned, &base, &g->dtype, err));
    uint64_t stored_row; /* bytes of a row as it lies there */
    TRY(tola_dtype_size(g->dtype, turned ? p->stored : want->cols, &stored_row));
    uint64_t stored_part = stored_row * (turned ? want->cols : p->stored);
    if (!turned) {
        g->row_bytes = (size_t)(stored_row * p->step);
        for (uint64_t e = 0; e < want->parts; e++) data[e] = base + e * stored_part + p->first * stored_row;
        return TOLA_OK;
    }
    size_t size = tola_dtype_block_bytes(g->dtype);
    g->row_bytes = (size_t)want->cols * size;
    bool ready;
    uint8_t *out = made_take(w->made, f->tensor, want->parts * want->rows * g->row_bytes, &ready, err);
    if (out == NULL) return TOLA_E_NOMEM;
    for (uint64_t e = 0; e < want->parts; e++) {
        uint8_t *part = out + e * want->rows * g->row_bytes;
        if (!ready) transpose(base + e * stored_part, p->stored, p, want->rows, want->cols, size, part);
        data[e] = part;
    }
    tola_view_release(&w->views[f->tensor]); /* what was made replaces it */
    w->views[f->tensor] = (tola_view){ 0 };
    return TOLA_OK;
}

tola_status weights_find_expert(const model_weights *w, const model_want *want, const found *first, uint32_t expert,
                                found *f, tola_error *err) {
    const uint64_t shape[] = { want->rows, want->cols };
    *f = *first;
    if (expert != 0) weights_find(w, want->word, want->layer, expert, f);
    if (f->tensor == SIZE_MAX) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tensor %s is missing", f->name);
    return weights_check_shape(w, f->tensor, shape, 2, err);
}

/* Experts that have a tensor each. */
static tola_status take_experts(model_weights *w, const model_want *want, const found *first, graph_weight *g,
                                const void **data, tola_error *err) {
    uint64_t row_bytes;
    for (uint32_t e = 0; e < want->parts; e++) {
        found f;
        const uint8_t *bytes;
        tola_dtype dtype;
        TRY(weights_find_expert(w, want, first, e, &f, err));
        TRY(multipliable(w, f.tensor, false, &bytes, &dtype, err));
        if (e != 0 && dtype != g->dtype)
            return in_place(w->ck, f.tensor,
                            err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s, but other experts have %s",
                                    tola_dtype_name(dtype), tola_dtype_name(g->dtype)),
                            err);
        g->dtype = dtype;
        data[e] = bytes;
        w->used[f.tensor] = true;
    }
    TRY(tola_dtype_size(g->dtype, want->cols, &row_bytes));
    g->row_bytes = (size_t)row_bytes;
    return TOLA_OK;
}

tola_status weights_find_halves(const model_weights *w, uint32_t layer, found *k, found *v, bool *there,
                                tola_error *err) {
    const model_description *d = w->d;
    const uint64_t k_shape[] = { d->heads, d->kv_rank, d->nope_dim },
                   v_shape[] = { d->heads, d->value_dim, d->kv_rank };
    weights_find(w, "attn_k_b.weight", layer, UINT32_MAX, k);
    weights_find(w, "attn_v_b.weight", layer, UINT32_MAX, v);
    *there = k->tensor != SIZE_MAX && v->tensor != SIZE_MAX;
    if (!*there) return TOLA_OK;
    TRY(weights_check_shape(w, k->tensor, k_shape, 3, err));
    return weights_check_shape(w, v->tensor, v_shape, 3, err);
}

/* DeepSeek's kv_b [heads x (nope + value), rank] from its halves, as f32. */
static tola_status join_kv(model_weights *w, const model_want *want, graph_weight *g, const void **data, bool *there,
                           tola_error *err) {
    const model_description *d = w->d;
    found k, v;
    TRY(weights_find_halves(w, want->layer, &k, &v, there, err));
    if (!*there) return TOLA_OK;
    uint64_t rank = d->kv_rank, nope = d->nope_dim, value = d->value_dim;
    g->dtype = TOLA_DTYPE_F32;
    g->row_bytes = (size_t)rank * sizeof(float);
    bool ready;
    float *out = made_take(w->made, k.tensor, want->rows * g->row_bytes, &ready, err);
    if (out == NULL) return TOLA_E_NOMEM;
    w->used[k.tensor] = w->used[v.tensor] = true;
    *data = out;
    if (ready) return TOLA_OK;
    float *keys = mem_alloc_aligned(64, (size_t)(d->heads * rank * nope) * sizeof *keys);
    float *values = mem_alloc_aligned(64, (size_t)(d->heads * rank * value) * sizeof *values);
    tola_status status = TOLA_OK;
    if (keys == NULL || values == NULL) status = err_nomem(err, "making weights");
    if (status == TOLA_OK) status = model_read_f32(w->ck, k.tensor, keys, err);
    if (status == TOLA_OK) status = model_read_f32(w->ck, v.tensor, values, err);
    for (uint64_t h = 0; h < d->heads && status == TOLA_OK; h++) {
        piece p = { 0, 1, nope };
        float *head = out + h * (nope + value) * rank;
        transpose((const uint8_t *)(keys + h * rank * nope), nope, &p, nope, rank, sizeof(float), (uint8_t *)head);
        memcpy(head + nope * rank, values + h * rank * value, (size_t)(rank * value) * sizeof(float));
    }
    mem_free(keys);
    mem_free(values);
    return status;
}

/* ---- handing out ---- */

tola_status weights_missing(const model_weights *w, const found *f, tola_error *err) {
    tola_status status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "tensor %s is missing", f->name);
    if (tola_checkpoint_file_count(w->ck) != 0) err_in_file(err, status, tola_checkpoint_file(w->ck, 0)->path);
    return status;
}

void weights_locate(const model_weights *w, const model_want *want, found *f, piece *p) {
    const char *fused = want->fused;
    bool itself = fused != NULL && strcmp(fused, want->word) == 0; /* Phi-3: ffn_up is both halves */
    *p = (piece){ 0, 1, want->exact ? want->cols : want->rows };   /* what fused ones have more of */
    weights_find(w, want->word, want->layer, 0, f);
    if (fused == NULL || (f->tensor != SIZE_MAX && !itself)) return;
    found whole;
    weights_find(w, fused, want->layer, 0, &whole);
    bool told = whole.tensor != SIZE_MAX;
    if (told || (!w->d->gguf && f->row == NULL)) *f = whole; /* or its name, to say what is missing */
    if (told)
        *p = f->flags & NAME_PAIRED ? (piece){ want->fused_first != 0, 2, want->fused_rows }
                                    : (piece){ want->fused_first, 1, want->fused_rows };
}

static tola_status take(model_weights *w, const model_want *want, graph_weight *g, bool *there, tola_error *err) {
    piece p;
    found f;
    const void **data = arena_alloc_array(&w->arena, want->parts, sizeof *data);
    if (data == NULL) return err_nomem(err, "weights");
    g->data = data;
    weights_locate(w, want, &f, &p);
    if (f.tensor == SIZE_MAX && strcmp(want->word, "attn_kv_b.weight") == 0) {
        TRY(join_kv(w, want, g, data, there, err));
        if (*there) return TOLA_OK;
    }
    *there = f.tensor != SIZE_MAX;
    if (!*there) return want->optional ? TOLA_OK : weights_missing(w, &f, err);
    w->used[f.tensor] = true;
    g->name = tola_checkpoint_tensor(w->ck, f.tensor)->name;
    if (f.scales != SIZE_MAX) return make_mxfp4(w, want, &f, &p, g, data, err);
    if (want->exact) return make_exact(w, want, &f, &p, g, data, err);
    if (f.flags & NAME_EXPERT) return take_experts(w, want, &f, g, data, err);
    return make_matrices(w, want, &f, &p, g, data, err);
}

void weights_list(model_weights *w, weights_list_fn list, void *user) {
    w->list = list;
    w->list_user = user;
}

static tola_status list_one(model_weights *w, const model_want *want, graph_weight *g, bool *there, tola_error *err) {
    const void **data = arena_alloc_array(&w->arena, want->parts, sizeof *data);
    if (data == NULL) return err_nomem(err, "weights");
    memset(data, 0, want->parts * sizeof *data);
    g->data = data;
    g->dtype = TOLA_DTYPE_F32;
    g->row_bytes = (size_t)want->cols * sizeof(float);
    *there = true;
    return w->list(w->list_user, want, err);
}

tola_status model_weight(model_weights *w, const model_want *want, const graph_weight **out, tola_error *err) {
    entry **list = &w->of_layer[want->layer == UINT32_MAX ? w->d->layer_count : want->layer];
    *out = NULL;
    for (entry *e = *list; e != NULL; e = e->next) {
        if (strcmp(e->word, want->word) != 0) continue;
        *out = &e->weight;
        return TOLA_OK;
    }
    entry *e = arena_alloc(&w->arena, sizeof *e);
    if (e == NULL) return err_nomem(err, "weights");
    *e = (entry){ .word = arena_strndup(&w->arena, want->word, strlen(want->word)),
                  .weight = { .name = want->word, .rows = want->rows, .cols = want->cols, .parts = want->parts } };
    if (e->word == NULL) return err_nomem(err, "weights");
    e->weight.name = e->word;
    bool there;
    if (w->list != NULL)
        TRY(list_one(w, want, &e->weight, &there, err));
    else if (masters_wants(w, want))
        TRY(masters_take(w, want, &e->weight, &there, err));
    else
        TRY(take(w, want, &e->weight, &there, err));
    if (!there) return TOLA_OK;
    uint64_t row_bytes;
    TRY(tola_dtype_size(e->weight.dtype, want->cols, &row_bytes));
    w->bytes += (size_t)(row_bytes * want->rows * want->parts);
    e->next = *list;
    *list = e;
    *out = &e->weight;
    return TOLA_OK;
}

size_t model_weights_made(const model_weights *w) { return (size_t)(made_bytes(w->made) + w->master_bytes); }

void model_weights_keep(model_weights *w) { made_keep(w->made); }

size_t model_weights_bytes(const model_weights *w) { return w->bytes; }

size_t model_weights_unused(const model_weights *w, const char **first) {
    static const char *const others[] = {
        "vision",     "multi_modal_projector", "pooler.", "cls.", "classifier", "lm_head", ".nextn.",
        "rope_freqs", "rope_factors"
    };
    size_t n = 0;
    for (size_t i = 0; i < w->tensor_count; i++) {
        const char *name = tola_checkpoint_tensor(w->ck, i)->name;
        bool known = w->used[i] || names_ignored_hf(name) || names_ignored_gguf(name);
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) known |= strstr(name, others[k]) != NULL;
        if (known) continue;
        if (n++ == 0 && first != NULL) *first = name;
    }
    return n;
}
