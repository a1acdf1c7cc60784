/* Convolution and pooling of images that lie in a row as [channels, height, width].
 *
 * A convolution is a product with a matrix that holds, for each place of the result, the patch of the image under the
 * filter (arXiv 1410.0759): column j of `patches` [channels size size, height' width']. It is made one image at a time
 * in scratch and never kept. A task is an image; of the weights' gradient it is one channel of all images in their
 * order. */
#include "graph/op.h"
#include "graph/products.h"

#include "kernels/rows/rows.h"

#include <string.h>

typedef struct shape {
    size_t channels, height, width, size, stride, pad, high, wide; /* the last two of the result */
} shape;

static shape shape_of(const graph_node *n) {
    const graph_image *i = &n->u.image.image;
    shape s = { i->channels, i->height, i->width, n->u.image.size, n->u.image.stride, n->u.image.pad, 0, 0 };
    s.high = (s.height + 2 * s.pad - s.size) / s.stride + 1;
    s.wide = (s.width + 2 * s.pad - s.size) / s.stride + 1;
    return s;
}

/* The run of result columns [*from, *to) whose patch element dx columns from its left lies inside the image, not in the
 * zeros around it. */
static void inside(const shape *s, size_t dx, size_t *from, size_t *to) {
    *from = dx >= s->pad ? 0 : (s->pad - dx + s->stride - 1) / s->stride;
    *to = s->width + s->pad > dx ? (s->width + s->pad - dx - 1) / s->stride + 1 : 0;
    if (*to > s->wide) *to = s->wide;
    if (*from > *to) *from = *to;
}

typedef void (*place_fn)(float *restrict patch, float *restrict image, size_t step, size_t n);

static void take(float *restrict patch, float *restrict image, size_t step, size_t n) {
    if (step == 1)
        for (size_t i = 0; i < n; i++) patch[i] = image[i];
    else
        for (size_t i = 0; i < n; i++) patch[i] = image[i * step];
}

static void give_back(float *restrict patch, float *restrict image, size_t step, size_t n) {
    if (step == 1)
        for (size_t i = 0; i < n; i++) image[i] += patch[i];
    else
        for (size_t i = 0; i < n; i++) image[i * step] += patch[i];
}

/* Goes over the patches of one channel; what lies outside of the image is left alone. */
static void over_patches(const shape *s, place_fn place, float *patches, float *image) {
    for (size_t dy = 0; dy < s->size; dy++)
        for (size_t dx = 0; dx < s->size; dx++, patches += s->high * s->wide) {
            size_t from, to;
            inside(s, dx, &from, &to);
            for (size_t y = 0; y < s->high; y++) {
                const size_t row = y * s->stride + dy;
                if (row < s->pad || row - s->pad >= s->height || from == to) continue;
                place(patches + y * s->wide + from, image + (row - s->pad) * s->width + from * s->stride + dx - s->pad,
                      s->stride, to - from);
            }
        }
}

static size_t patch_floats(const shape *s) { return (s->size * s->size * s->high * s->wide + 15) / 16 * 16; }

static gemm_operand matrix(const void *data, size_t cols, bool transposed) {
    return (gemm_operand){ .data = data, .row_bytes = cols * sizeof(float), .dtype = TOLA_DTYPE_F32,
                           .transposed = transposed, .round = TOLA_DTYPE_NONE, .scale = 1 };
}

/* Products of one image: result = W patches; patches' = W^T result'; W' += result' patches^T (of one channel). */
static gemm_problem problem(const graph_node *n, const graph_plan *p, float *patches, const float *d, float *out) {
    const shape s = shape_of(n);
    const size_t filters = n->w[0]->rows, places = s.high * s.wide, square = s.size * s.size;
    gemm_problem q = { .precision = product_precision(p) };
    switch (n->op) {
    case OP_CONVOLVE:
        q.m = filters, q.n = places, q.k = n->w[0]->cols;
        q.a = product_weight(n->w[0], 0, false);
        q.b = matrix(patches, places, false);
        q.c = out;
        q.accumulate = n->w[1] != NULL;
        break;
    case OP_CONVOLVE_BACK:
        q.m = n->w[0]->cols, q.n = places, q.k = filters;
        q.a = product_weight(n->w[0], 0, true);
        q.b = matrix(d, places, false);
        q.c = patches;
        break;
    default:
        q.m = filters, q.n = square, q.k = places;
        q.a = matrix(d, places, false);
        q.b = matrix(patches, places, true);
        q.c = out;
        q.c_stride = n->w[0]->cols;
        q.accumulate = true;
        return q;
    }
    q.c_stride = q.n;
    return q;
}

static void run_product(const gemm_problem *q, void *scratch) {
    const size_t tasks = gemm_tasks(q, 1);
    for (size_t t = 0; t < tasks; t++) gemm_run(q, 1, t, scratch);
}

static size_t patches_bytes(const graph_node *n) {
    const shape s = shape_of(n);
    return patch_floats(&s) * (n->op == OP_CONVOLVE_WEIGHT ? 1 : s.channels) * sizeof(float);
}

static size_t convolve_scratch(const graph_node *n, const graph_plan *p) {
    const gemm_problem q = problem(n, p, NULL, NULL, NULL);
    return patches_bytes(n) + gemm_scratch_bytes(&q, 1);
}

static size_t image_tasks(const op_call *c) { return c->rows; }

static void convolve(const op_call *c, size_t r, void *scratch) {
    const shape s = shape_of(c->node);
    const size_t area = s.height * s.width, places = s.high * s.wide, each = s.size * s.size * places;
    float *patches = scratch, *out = (float *)c->out + r * c->cols;
    memset(patches, 0, patches_bytes(c->node));
    for (size_t i = 0; i < s.channels; i++)
        over_patches(&s, take, patches + i * each, (float *)(uintptr_t)in_row(c, 0, r) + i * area);
    const graph_weight *bias = c->node->w[1];
    for (size_t f = 0; bias && f < bias->cols; f++)
        for (size_t i = 0; i < places; i++) out[f * places + i] = ((const float *)bias->data[0])[f];
    const gemm_problem q = problem(c->node, c->plan, patches, NULL, out);
    run_product(&q, (uint8_t *)scratch + patches_bytes(c->node));
}
const graph_op_row op_convolve = { .name = "convolution", .scratch = convolve_scratch, .tasks = image_tasks,
                                   .run = convolve };

/* in[0] d */
static void convolve_back(const op_call *c, size_t r, void *scratch) {
    const shape s = shape_of(c->node);
    const size_t area = s.height * s.width, each = s.size * s.size * s.high * s.wide;
    float *patches = scratch, *out = (float *)c->out + r * c->cols;
    const gemm_problem q = problem(c->node, c->plan, patches, in_row(c, 0, r), NULL);
    run_product(&q, (uint8_t *)scratch + patches_bytes(c->node));
    memset(out, 0, c->cols * sizeof *out);
    for (size_t i = 0; i < s.channels; i++) over_patches(&s, give_back, patches + i * each, out + i * area);
}
const graph_op_row op_convolve_back = { .name = "gradient of a convolution", .scratch = convolve_scratch,
                                        .tasks = image_tasks, .run = convolve_back };

/* in d, x */
static size_t channel_tasks(const op_call *c) { return c->node->u.image.image.channels; }

static void convolve_weight(const op_call *c, size_t channel, void *scratch) {
    const shape s = shape_of(c->node);
    const size_t area = s.height * s.width;
    float *patches = scratch;
    memset(patches, 0, patches_bytes(c->node)); /* what lies outside stays 0 */
    for (size_t r = 0; r < c->rows; r++) {
        over_patches(&s, take, patches, (float *)(uintptr_t)in_row(c, 1, r) + channel * area);
        const gemm_problem q = problem(c->node, c->plan, patches, in_row(c, 0, r),
                                       c->node->gradient[0] + channel * s.size * s.size);
        run_product(&q, (uint8_t *)scratch + patches_bytes(c->node));
    }
}
const graph_op_row op_convolve_weight = { .name = "gradient of filters", .scratch = convolve_scratch,
                                          .tasks = channel_tasks, .run = convolve_weight, .kept = true };

/* in d; a task is a filter */
static size_t filter_tasks(const op_call *c) { return c->node->w[0]->cols; }

static void convolve_bias(const op_call *c, size_t filter, void *scratch) {
    (void)scratch;
    const size_t places = c->in_cols[0] / c->node->w[0]->cols;
    float *sum = c->node->gradient[0] + filter;
    for (size_t r = 0; r < c->rows; r++) {
        const float *d = in_row(c, 0, r) + filter * places;
        float of_row = 0;
        for (size_t i = 0; i < places; i++) of_row += d[i];
        *sum += of_row;
    }
}
const graph_op_row op_convolve_bias = { .name = "gradient of filters' biases", .tasks = filter_tasks,
                                        .run = convolve_bias, .kept = true };

/* ---- pooling: windows side by side; the gradient goes to the first of the largest ---- */

static size_t largest_in(const float *image, size_t width, size_t size) {
    size_t best = 0;
    for (size_t y = 0; y < size; y++)
        for (size_t x = 0; x < size; x++)
            if (!(image[y * width + x] <= image[best])) best = y * width + x;
    return best;
}

static void pool_max(const op_call *c, size_t r, float *y) {
    const graph_image *i = &c->node->u.image.image;
    const size_t size = c->node->u.image.size, high = i->height / size, wide = i->width / size;
    for (size_t channel = 0; channel < i->channels; channel++)
        for (size_t row = 0; row < high; row++)
            for (size_t col = 0; col < wide; col++) {
                const float *x = in_row(c, 0, r) + (channel * i->height + row * size) * i->width + col * size;
                *y++ = x[largest_in(x, i->width, size)];
            }
}
const graph_op_row op_pool_max = { .name = "pooling", .row = pool_max };

/* in x, d */
static void pool_max_back(const op_call *c, size_t r, float *y) {
    const graph_image *i = &c->node->u.image.image;
    const size_t size = c->node->u.image.size, high = i->height / size, wide = i->width / size;
    const float *d = in_row(c, 1, r);
    memset(y, 0, c->cols * sizeof *y);
    for (size_t channel = 0; channel < i->channels; channel++)
        for (size_t row = 0; row < high; row++)
            for (size_t col = 0; col < wide; col++) {
                const size_t at = (channel * i->height + row * size) * i->width + col * size;
                y[at + largest_in(in_row(c, 0, r) + at, i->width, size)] += *d++;
            }
}
const graph_op_row op_pool_max_back = { .name = "gradient of pooling", .row = pool_max_back };
