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
    const tola_value *depths = families_find(b->whole, "depths"), *sizes = families_find(b->whole, "hidden_sizes"),
                     *labels = families_find(b->whole, "id2label");
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

/* A transformer over patches (arXiv 2010.11929): ViT, DeiT. */
static void vit(shape_build *b) {
    const bool deit = strcmp(b->model_type, "deit") == 0;
    const uint64_t width = word_need(b, "hidden_size", SHAPE_MOST_WIDTH),
                   layers = word_count_in(b, b->text, "num_hidden_layers", SHAPE_MOST_LAYERS, 12),
                   heads = word_count(b, "num_attention_heads", SHAPE_MOST_WIDTH, 12),
                   ff = word_count(b, "intermediate_size", SHAPE_MOST_WIDTH, 3072),
                   patch = word_count(b, "patch_size", 1u << 16, 16), side = word_count(b, "image_size", 1u << 16, 224),
                   channels = word_count(b, "num_channels", 4096, 3);
    const tola_value *labels = families_find(b->whole, "id2label");
    const uint64_t classes = labels != NULL && labels->kind == TOLA_VALUE_MAP
                                 ? labels->as.map.count
                                 : word_count(b, "num_labels", SHAPE_MOST_WIDTH, 2);
    const uint64_t across = shape_divide(b, side, patch, "patch_size"),
                   head = shape_divide(b, width, heads, "num_attention_heads");
    const uint64_t tokens = shape_plus(b, shape_times(b, across, across), deit ? 2 : 1);
    piece(b, PIECE_OTHER, "patch_embeddings", 1, width, shape_times(b, channels, shape_times(b, patch, patch)));
    piece_plain(b, PIECE_OTHER, width);
    piece_plain(b, PIECE_OTHER, shape_times(b, width, shape_plus(b, tokens, deit ? 2 : 1)));
    for (uint32_t i = 0; i < layers && shape_ok(b); i++) {
        layer_begin(b, i);
        for (int k = 0; k < 4; k++) piece(b, PIECE_ATTENTION, "attention", 1, width, width);
        piece_plain(b, PIECE_ATTENTION, shape_times(b, 4, width));
        part_feed_forward(b, PIECE_DENSE, "mlp", 1, width, ff, false, true);
        part_norm(b, NORM_BIAS, 2, width);
        b->now.heads = b->now.kv_heads = heads;
        b->now.head_key = b->now.head_value = head;
        b->now.feed_forward = ff;
        layer_end(b);
    }
    part_norm(b, NORM_BIAS, 1, width);
    piece(b, PIECE_OTHER, "classifier", 1, classes, width);
    piece_plain(b, PIECE_OTHER, classes);
    model_shape *s = b->shape;
    s->width = width;
    s->context = tokens;
    s->modalities = "image";
    s->recognised = true;
    const uint64_t matrices =
        shape_plus(b, shape_times(b, 4, shape_times(b, width, width)), shape_times(b, 2, shape_times(b, width, ff)));
    const uint64_t each = shape_plus(b, shape_times(b, 2, matrices), shape_times(b, 4, shape_times(b, tokens, width)));
    s->example_operations = shape_times(b, shape_times(b, layers, tokens), each);
}

bool shape_image(shape_build *b) {
    const char *known = b->shape->family;
    if (known == NULL || b->text != b->whole) return false;
    if (strcmp(known, "resnet") == 0)
        resnet(b);
    else if (word_in("vit deit", tola_value_str(tola_value_get(b->whole, "model_type"), "")))
        vit(b);
    else
        return false;
    return true;
}
