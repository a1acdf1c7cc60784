/* The plan of a conversion: which tensors are written, under which names, in which dtype, and which elements of which
 * input tensors each is made of. Worked out from headers alone, before an output exists; every refusal that can be
 * known beforehand is made here.
 *
 * An output tensor is the concatenation of its pieces, its rows then permuted, a constant added, and cast. Its rows
 * are runs of `row_elements` elements in row-major order. Moves no bytes itself: transform/stream.h does. */
#ifndef TRANSFORM_PLAN_H
#define TRANSFORM_PLAN_H

#include "base/mem.h"
#include "codecs/scheme.h"
#include "kernels/compare/compare.h"
#include <tola/transform.h>

typedef enum plan_order {
    PLAN_IN_ORDER = 0,
    /* `heads` groups of d rows: row 2j+s of a group is row s*(d/2)+j of the concatenated pieces */
    PLAN_INTERLEAVE,
    /* the inverse: row s*(d/2)+j is row 2j+s */
    PLAN_DEINTERLEAVE
} plan_order;

/* Elements [first, first + elements) of tensor `tensor` of the input. All pieces of a tensor share one dtype. */
typedef struct plan_piece {
    size_t tensor;
    uint64_t first, elements;
} plan_piece;

/* What became of the numbers of one tensor; filled in by the pass. */
typedef struct plan_figures {
    bool measured;
    compare_acc errors; /* what is written, decoded again, against what was read; finite numbers */
    uint64_t nans, infinities, clamped; /* numbers that the new type has no place for, see docs/design/precision.md */
} plan_figures;

/* How the rows of a tensor are encoded, where that is more than a cast: block types, schemes, or with figures. A row is
 * one run of the innermost dimension. */
typedef struct plan_encode {
    const float *importance; /* (importance_matrices, columns) means of squares, NULL where nothing is known */
    uint64_t importance_matrices; /* 1, or the experts: the rows of the tensor split into so many equal parts */
    const scheme *scheme;    /* NULL: the tensor's dtype says it all */
    scheme_layout layout;
    size_t parts[SCHEME_MAX_PARTS]; /* output of each part that there is */
    plan_figures figures;
} plan_encode;

typedef struct plan_tensor {
    const char *name;
    const char *source;    /* name of the first input tensor; `name` at first for inline data */
    const uint64_t *shape; /* outermost first */
    uint16_t n_dims;
    uint16_t from, dtype; /* tola_dtype of the pieces (or the inline data), and of what is written */
    uint32_t flags;       /* TOLA_TENSOR_PARAMETER, _STATE */
    bool fixed_dtype;     /* --dtype does not apply */
    bool demanded;        /* readers insist on `dtype`: quantizing does not apply either */
    uint8_t order;        /* plan_order */
    uint32_t heads;
    uint64_t row_elements; /* used where order is not PLAN_IN_ORDER */
    double add;
    const plan_piece *pieces;
    size_t piece_count; /* 0: the tensor is `data` */
    const void *data;   /* `bytes` bytes of dtype `dtype` */
    plan_encode *encode; /* NULL: a cast */
    uint64_t elements;
    uint64_t bytes; /* as written, all parts together */
    size_t output;  /* its (first) place in plan.outputs */
} plan_tensor;

typedef struct plan {
    arena arena; /* everything below, unless said otherwise, lives here or in the checkpoint */
    const tola_checkpoint *in;
    plan_tensor *tensors;
    size_t count;
    tola_tensor_spec *outputs; /* what the writer is told of: one a tensor, several where a scheme keeps it */
    size_t output_count;
    bool no_casts; /* whoever asks has no way to name another dtype: messages suggest none */
    uint64_t bytes_in, bytes_out; /* of tensors: read and written */
} plan;

/* An empty plan over `in`, which is borrowed. plan_dispose is always fine afterwards. */
void plan_init(plan *p, const tola_checkpoint *in);
void plan_dispose(plan *p);

/* One output for each input tensor that options->include and ->exclude let through, names kept.
 * TOLA_E_NOT_FOUND where the globs leave nothing; TOLA_E_ARG for a tensor whose shard is missing. */
tola_status plan_select(plan *p, const tola_convert_options *options, tola_error *err);

/* Takes over a plan whose tensors another room worked out (`items` are copied, what they point to is borrowed).
 * Include and exclude are applied by the name of each source; a tensor that loses some of its sources but not all is
 * TOLA_E_ARG. */
tola_status plan_adopt(plan *p, const plan_tensor *items, size_t count, const tola_convert_options *options,
                       tola_error *err);

/* Applies rename rules, dtype and dtype overrides (matched against source and output names, the first that matches
 * wins), then checks the whole: unique names, casts that exist, dtypes that the format holds (`holds`, called
 * `format_name` in messages), sizes. Fills bytes, outputs, bytes_in and bytes_out. */
tola_status plan_finish(plan *p, const tola_convert_options *options, const char *format_name,
                        bool (*holds)(tola_dtype dtype), tola_error *err);

/* Elements of one row of the innermost dimension; 1 for a scalar. */
uint64_t plan_columns(const plan_tensor *t);
/* Which row of the concatenated pieces is row `row` of the output. */
uint64_t plan_source_row(const plan_tensor *t, uint64_t row);

#endif
