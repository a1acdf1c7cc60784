/* Networks of convolutions over images, from transformers' configurations (ResNet, RegNet's plain layers not): weights,
 * and what one image makes of values on its way. arXiv 1512.03385, as torchvision and transformers build it (the stride
 * of a bottleneck in its 3x3).
 *
 * Values: what convolutions give and the sums behind blocks, which are the 16 M of ResNet-50 at 224x224 that are often
 * cited. Kept for a backward: what each operation gives (convolution, norm, activation, sum, pooling), each a value of
 * its own. */
#include <string.h>

#include "policy/shape_build.h"

typedef struct image {
    shape_build *b;
    uint64_t side;
    uint64_t values, kept, operations;
} image;

/* A convolution without bias and its norm; `active`: an activation behind. */
static void convolution(image *m, uint64_t in, uint64_t out, uint64_t size, uint64_t stride, bool active) {
    shape_build *b = m->b;
    m->side = stride > 0 ? (m->side + stride - 1) / stride : m->side;
    const uint64_t weights = shape_times(b, shape_times(b, out, in), shape_times(b, size, size)),
                   cells = shape_times(b, m->side, m->side), given = shape_times(b, out, cells);
    piece(b, PIECE_OTHER, "convolution", 1, out, shape_times(b, in, shape_times(b, size, size)));
    piece_plain(b, PIECE_OTHER, shape_times(b, 2, out));
    m->values = shape_plus(b, m->values, given);
    m->kept = shape_plus(b, m->kept, shape_times(b, given, active ? 3 : 2));
    m->operations = shape_plus(b, m->operations, shape_times(b, 2, shape_times(b, weights, cells)));
}

static void sum(image *m, uint64_t channels) {
    const uint64_t given = shape_times(m->b, channels, shape_times(m->b, m->side, m->side));
    m->values = shape_plus(m->b, m->values, given);
    m->kept = shape_plus(m->b, m->kept, shape_times(m->b, 2, given)); /* the sum and what is behind its activation */
}

static void block(image *m, uint64_t in, uint64_t out, uint64_t stride, bool bottleneck, bool early) {
    const uint64_t side = m->side;
    if (bottleneck) {
        convolution(m, in, out / 4, 1, early ? stride : 1, true);
        convolution(m, out / 4, out / 4, 3, early ? 1 : stride, true);
        convolution(m, out / 4, out, 1, 1, false);
    } else {
        convolution(m, in, out, 3, stride, true);
        convolution(m, out, out, 3, 1, false);
    }
    if (in != out || stride != 1) { /* the way around */
        const uint64_t after = m->side;
        m->side = side;
        convolution(m, in, out, 1, stride, false);
        m->side = after;
    }
    sum(m, out);
}

static void resnet(shape_build *b) {
    const tola_value *depths = word_find(b, b->whole, "depths"), *sizes = word_find(b, b->whole, "hidden_sizes"),
                     *labels = word_find(b, b->whole, "id2label");
    static const uint64_t usual_depths[] = { 3, 4, 6, 3 }, usual_sizes[] = { 256, 512, 1024, 2048 };
    const uint64_t stages = sizes != NULL && sizes->kind == TOLA_VALUE_ARRAY ? sizes->as.array.count : 4;
    const uint64_t embedding = word_count(b, "embedding_size", SHAPE_MOST_WIDTH, 64),
                   channels = word_count(b, "num_channels", 4096, 3),
                   classes = labels != NULL && labels->kind == TOLA_VALUE_MAP
                                 ? labels->as.map.count
                                 : word_count(b, "num_labels num_classes", SHAPE_MOST_WIDTH, 1000);
    const bool bottleneck = strcmp(word_text(b, "layer_type", "bottleneck"), "basic") != 0,
               early = word_bool(b, "downsample_in_bottleneck", false),
               first = word_bool(b, "downsample_in_first_stage", false);
    image m = { b, word_count(b, "image_size", 1u << 16, 224), 0, 0, 0 };
    if (m.side == 0) shape_fail(b, TOLA_E_FORMAT, "image_size is 0");
    convolution(&m, channels, embedding, 7, 2, true);
    m.side = (m.side + 1) / 2;
    m.kept = shape_plus(b, m.kept, shape_times(b, embedding, shape_times(b, m.side, m.side)));
    uint64_t in = embedding;
    for (uint64_t i = 0; i < stages && shape_ok(b); i++) {
        const uint64_t out = word_item(b, "hidden_sizes", i, stages, SHAPE_MOST_WIDTH, usual_sizes[i & 3]),
                       depth = word_item(b, "depths", i, stages, SHAPE_MOST_LAYERS, usual_depths[i & 3]);
        if (out == 0 || (bottleneck && out % 4 != 0))
            shape_fail(b, TOLA_E_FORMAT, "hidden_sizes has no width of 4 x n");
        for (uint64_t k = 0; k < depth && shape_ok(b); k++) {
            const uint64_t stride = k == 0 && (i > 0 || first) ? 2 : 1;
            block(&m, in, out, stride, bottleneck, early);
            in = out;
        }
    }
    (void)depths;
    m.kept = shape_plus(b, m.kept, shape_plus(b, in, classes));
    m.values = shape_plus(b, m.values, classes);
    m.operations = shape_plus(b, m.operations, shape_times(b, 2, shape_times(b, in, classes)));
    piece(b, PIECE_OTHER, "classifier", 1, classes, in);
    piece_plain(b, PIECE_OTHER, classes);
    b->shape->width = in;
    b->shape->example_values = m.values;
    b->shape->example_kept = m.kept;
    b->shape->example_operations = m.operations;
    b->shape->modalities = "image";
    b->shape->recognised = true;
}

bool shape_image(shape_build *b) {
    if (b->shape->family == NULL || strcmp(b->shape->family, "resnet") != 0) return false;
    resnet(b);
    return true;
}
