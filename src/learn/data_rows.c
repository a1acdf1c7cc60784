/* Rows of the stream of tokens. */
#include <string.h>

#include "learn/data_tokens_inside.h"

#define SCAN ((size_t)1 << 16)

struct data_rows {
    const data_tokens *t;
    uint32_t context;
    data_rows_kind kind;
    uint64_t count;
    uint64_t *starts; /* of DATA_ROWS_SEPARATE: first token of each row, and how many are predicted from it on */
    uint32_t *lengths;
    size_t start_cap, length_cap;
};

/* The rows of document [begin, end). */
static tola_status add_document(data_rows *r, uint64_t begin, uint64_t end, tola_error *err) {
    for (uint64_t at = begin; at + 1 < end; at += r->context) {
        if (!mem_grow(&r->starts, &r->start_cap, r->count + 1, sizeof *r->starts) ||
            !mem_grow(&r->lengths, &r->length_cap, r->count + 1, sizeof *r->lengths))
            return err_nomem(err, "cutting rows");
        r->starts[r->count] = at;
        r->lengths[r->count++] = end - 1 - at < r->context ? (uint32_t)(end - 1 - at) : r->context;
    }
    return TOLA_OK;
}

static tola_status find_documents(data_rows *r, tola_error *err) {
    uint64_t begin = 0;
    uint32_t *piece = mem_alloc(SCAN * sizeof *piece);
    tola_status status = piece ? TOLA_OK : err_nomem(err, "cutting rows");
    for (uint64_t at = 0; at < r->t->count && status == TOLA_OK; at += SCAN) {
        size_t n = r->t->count - at < SCAN ? (size_t)(r->t->count - at) : SCAN;
        status = data_tokens_read(r->t, at, n, piece, err);
        for (size_t i = 0; i < n && status == TOLA_OK; i++) {
            if (!(piece[i] & DATA_TOKENS_FIRST)) continue;
            status = add_document(r, begin, at + i, err);
            begin = at + i;
        }
    }
    mem_free(piece);
    return status == TOLA_OK ? add_document(r, begin, r->t->count, err) : status;
}

tola_status data_rows_open(const data_tokens *t, uint32_t context, data_rows_kind kind, data_rows **out,
                           tola_error *err) {
    if (context == 0) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "rows of no token");
    data_rows *r = mem_calloc(1, sizeof *r);
    if (!r) return err_nomem(err, "cutting rows");
    r->t = t;
    r->context = context;
    r->kind = kind;
    tola_status status = TOLA_OK;
    if (kind == DATA_ROWS_SEPARATE)
        status = find_documents(r, err);
    else
        r->count = (t->count - 1 + context - 1) / context;
    if (status == TOLA_OK && r->count == 0)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "none of %llu documents has two tokens to learn from",
                         (unsigned long long)t->documents);
    if (status == TOLA_OK)
        *out = r;
    else
        data_rows_close(r);
    return status;
}

void data_rows_close(data_rows *r) {
    if (!r) return;
    mem_free(r->starts);
    mem_free(r->lengths);
    mem_free(r);
}

uint64_t data_rows_count(const data_rows *r) { return r->count; }

/* marked: `filled` + 1 tokens. */
static uint32_t fill_row(const data_rows *r, const uint32_t *marked, uint32_t filled, uint32_t *ids, uint32_t *targets,
                         float *weights, uint32_t *first) {
    uint32_t begin = 0, wanted = 0;
    for (uint32_t i = 0; i < r->context; i++) {
        bool inside = i < filled;
        if (inside && r->kind == DATA_ROWS_PACKED && (marked[i] & DATA_TOKENS_FIRST)) begin = i;
        bool predicted = inside && !(r->kind == DATA_ROWS_PACKED && (marked[i + 1] & DATA_TOKENS_FIRST));
        ids[i] = inside ? marked[i] & ~DATA_TOKENS_FIRST : 0;
        if (targets) targets[i] = inside ? marked[i + 1] & ~DATA_TOKENS_FIRST : 0;
        if (weights) weights[i] = predicted ? 1 : 0;
        if (first) first[i] = inside ? begin : i;
        wanted += predicted;
    }
    return wanted;
}

tola_status data_rows_read(const data_rows *r, uint64_t row, uint32_t *ids, uint32_t *targets, float *weights,
                           uint32_t *first, uint32_t *target_count, tola_error *err) {
    if (row >= r->count)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "row %llu of %llu", (unsigned long long)row,
                       (unsigned long long)r->count);
    uint64_t start = r->starts ? r->starts[row] : row * r->context, left = r->t->count - 1 - start;
    uint32_t filled = r->lengths ? r->lengths[row] : left < r->context ? (uint32_t)left : r->context;
    uint32_t small[2049], *marked = filled < 2049 ? small : mem_alloc(((size_t)filled + 1) * sizeof *marked);
    if (!marked) return err_nomem(err, "reading a row");
    tola_status status = data_tokens_read(r->t, start, (size_t)filled + 1, marked, err);
    if (status == TOLA_OK) {
        uint32_t wanted = fill_row(r, marked, filled, ids, targets, weights, first);
        if (target_count) *target_count = wanted;
    }
    if (marked != small) mem_free(marked);
    return status;
}
