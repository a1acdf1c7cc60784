/* A Hugging Face checkpoint seen as the GGUF file that it would become: names, shapes, order of rows, constants added.
 *
 * Nothing is written and nothing is copied ahead: a tensor's bytes are gathered when they are read. What becomes what
 * is families/hf_gguf's business. */
#include <string.h>

#include "base/err.h"
#include "codecs/codec.h"
#include "families/hf_gguf.h"
#include "formats/open.h"
#include <tola/insight.h>

#define CHUNK 4096 /* elements cast at a time */

/* The context of a tensor of the view. */
typedef struct word_tensor {
    const tola_checkpoint *in;
    const hf_gguf_item *item;
    tola_dtype from; /* of the pieces */
    uint64_t rows;
} word_tensor;

/* Which row of the pieces is row `row` of the output; see hf_gguf_order. */
static uint64_t source_row(const word_tensor *w, uint64_t row) {
    if (w->item->order == HF_GGUF_IN_ORDER || w->item->heads == 0) return row;
    uint64_t d = w->rows / w->item->heads, group = row / d, r = row % d;
    if (d < 2) return row;
    uint64_t within = w->item->order == HF_GGUF_INTERLEAVE ? r % 2 * (d / 2) + r / 2 : r % (d / 2) * 2 + r / (d / 2);
    return group * d + within;
}

static size_t bytes_of(tola_dtype dtype, uint64_t elements) {
    return (size_t)(elements / tola_dtype_block_elements(dtype) * tola_dtype_block_bytes(dtype));
}

/* `count` elements from number `within` on of row `row` of the pieces laid end to end. */
static tola_status read_row(const word_tensor *w, uint64_t row, uint64_t within, size_t count, void *dst,
                            tola_error *err) {
    for (size_t i = 0; i < w->item->piece_count; i++) {
        const hf_gguf_piece *piece = &w->item->pieces[i];
        if (row >= piece->rows) {
            row -= piece->rows;
            continue;
        }
        uint64_t element = (piece->first_row + row) * w->item->row_elements + within;
        return tola_checkpoint_read(w->in, piece->tensor, bytes_of(w->from, element), dst, bytes_of(w->from, count), err);
    }
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "row %llu has no source", (unsigned long long)row);
}

/* dst = cast(src + constant) */
static tola_status add_and_cast(const word_tensor *w, const void *src, void *dst, size_t n) {
    tola_dtype to = (tola_dtype)w->item->dtype;
    if (w->item->add == 0) return codec_convert(w->from, to, src, dst, n, TOLA_OVERFLOW_IEEE, NULL);
    float work[CHUNK];
    TRY(codec_convert(w->from, TOLA_DTYPE_F32, src, work, n, TOLA_OVERFLOW_IEEE, NULL));
    for (size_t i = 0; i < n; i++) work[i] += (float)w->item->add;
    return codec_convert(TOLA_DTYPE_F32, to, work, dst, n, TOLA_OVERFLOW_IEEE, NULL);
}

/* `count` elements of row `row` of the output. */
static tola_status read_elements(const word_tensor *w, uint64_t row, uint64_t within, size_t count, uint8_t *dst,
                                 tola_error *err) {
    tola_dtype to = (tola_dtype)w->item->dtype;
    uint8_t raw[CHUNK * 8];
    uint64_t from_row = source_row(w, row);
    if (w->from == to && w->item->add == 0) return read_row(w, from_row, within, count, dst, err);
    for (size_t done = 0; done < count;) {
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        TRY(read_row(w, from_row, within + done, n, raw, err));
        if (add_and_cast(w, raw, dst + bytes_of(to, done), n) != TOLA_OK)
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "no conversion from %s to %s",
                           tola_dtype_name(w->from), tola_dtype_name(to));
        done += n;
    }
    return TOLA_OK;
}

/* A ck_read_fn: whole elements. */
static tola_status read_words(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                              tola_error *err) {
    (void)ck;
    const word_tensor *w = t->context;
    if (w->item->piece_count == 0) {
        memcpy(dst, (const uint8_t *)w->item->inline_data + offset, bytes);
        return TOLA_OK;
    }
    tola_dtype to = (tola_dtype)w->item->dtype;
    uint32_t unit = tola_dtype_block_bytes(to), per_unit = tola_dtype_block_elements(to);
    uint64_t element = offset / unit * per_unit, count = bytes / unit * per_unit;
    uint8_t *at = dst;
    while (count) {
        uint64_t row = element / w->item->row_elements, within = element % w->item->row_elements;
        uint64_t here = w->item->row_elements - within < count ? w->item->row_elements - within : count;
        TRY(read_elements(w, row, within, (size_t)here, at, err));
        at += bytes_of(to, here);
        element += here;
        count -= here;
    }
    return TOLA_OK;
}

/* Element types whose chunks fit the buffers; matrices of all others keep theirs. */
static bool can_read(const word_tensor *w) {
    tola_dtype to = (tola_dtype)w->item->dtype;
    if (w->from == to && w->item->add == 0) return true;
    return tola_dtype_block_elements(w->from) == 1 && tola_dtype_block_elements(to) == 1 &&
           tola_dtype_block_bytes(w->from) <= 8 && codec_decodes(w->from) && codec_encodes(to);
}

static tola_status add_item(tola_checkpoint *view, const tola_checkpoint *in, const hf_gguf_item *item,
                            tola_error *err) {
    word_tensor *w = arena_alloc(&view->arena, sizeof *w);
    if (!w) return err_nomem(err, "mapping names");
    uint64_t elements = 1;
    for (unsigned d = 0; d < item->n_dims; d++)
        if (!mul_u64(elements, item->shape[d], &elements)) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "too large");
    *w = (word_tensor){ in, item, (tola_dtype)item->dtype, 0 };
    if (item->piece_count) {
        w->from = (tola_dtype)tola_checkpoint_tensor(in, item->pieces[0].tensor)->dtype;
        w->rows = item->row_elements ? elements / item->row_elements : 0;
        if (!can_read(w)) {
            err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s cannot be seen as %s", tola_dtype_name(w->from),
                    tola_dtype_name((tola_dtype)item->dtype));
            return err_in_tensor(err, TOLA_E_UNSUPPORTED, item->name);
        }
    }
    return ck_add_tensor(view, &(ck_add){ .name = item->name, .name_length = strlen(item->name), .shape = item->shape,
                                          .n_dims = item->n_dims, .dtype = (tola_dtype)item->dtype,
                                          .offset = TOLA_NO_OFFSET, .read = read_words, .context = w }, err);
}

static tola_status fill(tola_checkpoint *view, const tola_checkpoint *in, const hf_gguf_plan *plan, tola_error *err) {
    view->format = "gguf";
    view->metadata = plan->metadata;
    for (size_t i = 0; i < plan->count; i++) TRY(add_item(view, in, &plan->items[i], err));
    return ck_finish(view, err);
}

tola_status tola_checkpoint_as_gguf(const tola_checkpoint *checkpoint, tola_checkpoint **out, tola_error *err) {
    if (!hf_gguf_applies(checkpoint, true))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "there are no GGUF names for this checkpoint");
    hf_gguf_options options = { TOLA_DTYPE_NONE };
    hf_gguf_plan *plan = NULL;
    tola_checkpoint *view = NULL;
    TRY(hf_gguf_plan_to_gguf(checkpoint, &options, &plan, err));
    tola_status status = ck_create(NULL, &view, err);
    if (status == TOLA_OK) status = fill(view, checkpoint, plan, err);
    if (status == TOLA_OK) arena_merge(&view->arena, &plan->arena); /* names, pieces and metadata live on in the view */
    hf_gguf_plan_free(plan);
    if (status != TOLA_OK) {
        tola_checkpoint_close(view);
        return status;
    }
    *out = view;
    return TOLA_OK;
}
