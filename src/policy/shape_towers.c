/* What a language model looks and listens through: towers beside it, from their own part of the configuration, counted
 * as huggingface/transformers builds them. Of a tower that nothing here knows, its layers are counted and a note says
 * so. */
#include <string.h>

#include "policy/shape_build.h"

typedef struct tower {
    shape_build *b;
    const tola_value *v; /* its configuration; NULL: defaults alone */
    const char *defaults;
} tower;

static uint64_t word(const tower *t, const char *key, uint64_t fallback) {
    int64_t known;
    if (t->v != NULL && families_find(t->v, key) != NULL)
        return word_count_in(t->b, t->v, key, SHAPE_MOST_WIDTH, fallback);
    for (const char *p = key; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        if (shape_default(t->defaults, p, n, &known) && known >= 0) return (uint64_t)known;
        p += n;
        p += strspn(p, " ");
    }
    return fallback;
}

static void add(const tower *t, const char *name, uint64_t count, uint64_t rows, uint64_t cols) {
    piece(t->b, PIECE_OTHER, name, count, rows, cols);
}

static void vector(const tower *t, uint64_t count, uint64_t n) {
    piece_plain(t->b, PIECE_OTHER, shape_times(t->b, count, n));
}

/* A matrix with a bias. */
static void linear(const tower *t, const char *name, uint64_t count, uint64_t rows, uint64_t cols) {
    add(t, name, count, rows, cols);
    vector(t, count, rows);
}

/* Layers of a common vision transformer: four matrices of attention, two of feed-forward, two norms, all with biases.
 */
static void vit_layers(const tower *t, const char *module, uint64_t layers, uint64_t width, uint64_t ff) {
    linear(t, module, shape_times(t->b, layers, 4), width, width);
    linear(t, module, layers, ff, width);
    linear(t, module, layers, width, ff);
    vector(t, layers, shape_times(t->b, 4, width));
}

static uint64_t square(const tower *t, uint64_t n) { return shape_times(t->b, n, n); }

/* ---- Qwen3-VL, Qwen3.5 ---- */

static void qwen_merger(const tower *t, uint64_t width, uint64_t merged, uint64_t out, uint64_t norm) {
    (void)width;
    vector(t, 2, norm);
    linear(t, "visual.merger.linear_fc1", 1, merged, merged);
    linear(t, "visual.merger.linear_fc2", 1, out, merged);
}

static void qwen3_vision(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 1152), patch = word(t, "patch_size", 16),
                   out = word(t, "out_hidden_size", 3584), merge = word(t, "spatial_merge_size", 2);
    const uint64_t cells = shape_times(t->b, word(t, "temporal_patch_size", 2),
                                       shape_times(t->b, word(t, "in_channels", 3), square(t, patch)));
    const uint64_t merged = shape_times(t->b, width, square(t, merge));
    linear(t, "visual.patch_embed.proj", 1, width, cells);
    vector(t, word(t, "num_position_embeddings", 2304), width);
    vit_layers(t, "visual.blocks.0", word(t, "depth", 27), width, word(t, "intermediate_size", 4304));
    qwen_merger(t, width, merged, out, width);
    const tola_value *stack = t->v ? tola_value_get(t->v, "deepstack_visual_indexes") : NULL;
    const size_t more =
        stack && stack->kind == TOLA_VALUE_ARRAY && stack->as.array.count <= 64 ? stack->as.array.count : 0;
    for (size_t i = 0; i < more; i++) qwen_merger(t, width, merged, out, merged);
}

/* Qwen2.5-VL: gated feed-forward, RMS norms; Qwen2-VL: plain, with biases. */
static void qwen2_vision(const tower *t, bool gated) {
    const uint64_t width = word(t, gated ? "hidden_size" : "embed_dim", 1280), patch = word(t, "patch_size", 14),
                   out = word(t, gated ? "out_hidden_size" : "hidden_size", 3584), layers = word(t, "depth", 32),
                   merge = word(t, "spatial_merge_size", 2);
    const uint64_t cells = shape_times(t->b, word(t, "temporal_patch_size", 2),
                                       shape_times(t->b, word(t, "in_channels in_chans", 3), square(t, patch)));
    const uint64_t merged = shape_times(t->b, width, square(t, merge));
    add(t, "visual.patch_embed.proj", 1, width, cells);
    if (gated) {
        const uint64_t ff = word(t, "intermediate_size", 3420);
        linear(t, "visual.blocks.0.attn", shape_times(t->b, layers, 4), width, width);
        linear(t, "visual.blocks.0.mlp", shape_times(t->b, layers, 2), ff, width);
        linear(t, "visual.blocks.0.mlp", layers, width, ff);
        vector(t, shape_times(t->b, 2, layers), width);
        vector(t, 1, width);
    } else {
        vit_layers(t, "visual.blocks.0", layers, width, shape_times(t->b, width, word(t, "mlp_ratio", 4)));
        vector(t, 2, width);
    }
    linear(t, "visual.merger.mlp", 1, merged, merged);
    linear(t, "visual.merger.mlp", 1, out, merged);
}

/* ---- Llama 4 ---- */

static void llama4_vision(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 768), patch = word(t, "patch_size", 14),
                   image = word(t, "image_size", 448), inside = word(t, "intermediate_size", 5632),
                   middle = word(t, "projector_input_dim", 4096), out = word(t, "projector_output_dim", 4096),
                   seen = word(t, "vision_output_dim", 7680);
    const uint64_t side = patch > 0 ? image / patch : 0;
    add(t, "vision_model.patch_embedding", 1, width, shape_times(t->b, word(t, "num_channels", 3), square(t, patch)));
    vector(t, shape_plus(t->b, square(t, side), 2), width); /* positions, those of the class, the class */
    vector(t, 4, width);
    vit_layers(t, "vision_model.model.layers.0", word(t, "num_hidden_layers", 34), width, inside);
    add(t, "vision_model.vision_adapter.mlp.fc1", 1, middle, inside);
    add(t, "vision_model.vision_adapter.mlp.fc2", 1, out, middle);
    add(t, "multi_modal_projector.linear_1", 1, t->b->shape->width, seen);
}

/* ---- Gemma 4, Gemma 3 ---- */

static void gemma4_vision(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 768), layers = word(t, "num_hidden_layers", 16),
                   ff = word(t, "intermediate_size", 3072), heads = word(t, "num_attention_heads", 12),
                   kv = word(t, "num_key_value_heads", heads), dim = word(t, "head_dim", 64),
                   patch = word(t, "patch_size", 16);
    add(t, "vision_tower.patch_embedder", 1, width, shape_times(t->b, 3, square(t, patch)));
    vector(t, shape_times(t->b, 2, word(t, "position_embedding_size", 10240)), width);
    add(t, "vision_tower.encoder.layers.0.self_attn", shape_times(t->b, layers, 2), shape_times(t->b, heads, dim),
        width);
    add(t, "vision_tower.encoder.layers.0.self_attn", shape_times(t->b, layers, 2), shape_times(t->b, kv, dim), width);
    add(t, "vision_tower.encoder.layers.0.mlp", shape_times(t->b, layers, 3), ff, width);
    vector(t, layers, shape_plus(t->b, shape_times(t->b, 2, dim), shape_times(t->b, 4, width)));
    add(t, "embed_vision.embedding_projection", 1, t->b->shape->width, width);
}

static void siglip(const tower *t, bool post_norm) {
    const uint64_t width = word(t, "hidden_size", 1152), patch = word(t, "patch_size", 14),
                   image = word(t, "image_size", 896);
    const uint64_t side = patch > 0 ? image / patch : 0;
    linear(t, "vision_tower.patch_embedding", 1, width,
           shape_times(t->b, word(t, "num_channels", 3), square(t, patch)));
    vector(t, square(t, side), width);
    vit_layers(t, "vision_tower.encoder.layers.0", word(t, "num_hidden_layers", 27), width,
               word(t, "intermediate_size", 4304));
    if (post_norm) vector(t, 2, width);
    if (t->v == NULL || !word_bool_in(t->b, t->v, "vision_use_head", true)) return;
    /* a head that attends to all of the image with one learned query */
    const uint64_t ff = word(t, "intermediate_size", 4304);
    vector(t, 7, width);
    add(t, "vision_tower.head.attention", 4, width, width);
    linear(t, "vision_tower.head.mlp.fc1", 1, ff, width);
    linear(t, "vision_tower.head.mlp.fc2", 1, width, ff);
}

static void gemma3_vision(const tower *t) {
    siglip(t, true);
    const uint64_t width = word(t, "hidden_size", 1152);
    add(t, "multi_modal_projector.mm_input_projection", 1, width, t->b->shape->width);
    vector(t, 1, width);
}

/* ---- Kimi ---- */

static void kimi_vision(const tower *t) {
    const uint64_t width = word(t, "vt_hidden_size hidden_size", 1152), patch = word(t, "patch_size", 14),
                   layers = word(t, "vt_num_hidden_layers num_hidden_layers", 27),
                   ff = word(t, "vt_intermediate_size intermediate_size", 4304), merged = shape_times(t->b, 4, width);
    linear(t, "vision_tower.patch_embed.proj", 1, width, shape_times(t->b, 3, square(t, patch)));
    vector(t, shape_times(t->b, word(t, "init_pos_emb_height", 64), word(t, "init_pos_emb_width", 64)), width);
    vit_layers(t, "vision_tower.encoder.blocks.0", layers, width, ff);
    vector(t, 4, width); /* the last norm and the projector's */
    linear(t, "mm_projector.in_proj", 1, merged, merged);
    linear(t, "mm_projector.out_proj", 1, t->b->shape->width, merged);
}

/* ---- Step ---- */

static void step_vision(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 1536), patch = word(t, "patch_size", 14),
                   image = word(t, "image_size", 728), layers = word(t, "num_hidden_layers", 47);
    const uint64_t side = patch > 0 ? image / patch : 0;
    add(t, "vision_model.patch_embedding", 1, width, shape_times(t->b, 3, square(t, patch)));
    vector(t, square(t, side), width);
    vector(t, shape_plus(t->b, 2, shape_times(t->b, 2, layers)), width);
    vit_layers(t, "vision_model.layers.0", layers, width, word(t, "intermediate_size", 8960));
    linear(t, "vision_model.downsampler1", 1, shape_times(t->b, 2, width), shape_times(t->b, 9, width));
    linear(t, "vision_model.downsampler2", 1, shape_times(t->b, 4, width), shape_times(t->b, 18, width));
    add(t, "multi_modal_projector", 1, t->b->shape->width, shape_times(t->b, 4, width));
}

/* ---- others ---- */

static void clip(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 1024), patch = word(t, "patch_size", 14),
                   image = word(t, "image_size", 336);
    const uint64_t side = patch > 0 ? image / patch : 0;
    add(t, "vision_tower.patch_embedding", 1, width, shape_times(t->b, word(t, "num_channels", 3), square(t, patch)));
    vector(t, shape_plus(t->b, square(t, side), 2), width);
    vector(t, 4, width);
    vit_layers(t, "vision_tower.encoder.layers.0", word(t, "num_hidden_layers", 24), width,
               word(t, "intermediate_size", 4096));
}

static void pixtral(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 1024), layers = word(t, "num_hidden_layers", 24),
                   patch = word(t, "patch_size", 16);
    add(t, "vision_tower.patch_conv", 1, width, shape_times(t->b, word(t, "num_channels", 3), square(t, patch)));
    add(t, "vision_tower.transformer.layers.0.attention", shape_times(t->b, layers, 4), width, width);
    add(t, "vision_tower.transformer.layers.0.feed_forward", shape_times(t->b, layers, 3),
        word(t, "intermediate_size", 4096), width);
    vector(t, shape_plus(t->b, 1, shape_times(t->b, 2, layers)), width);
}

/* Between LLaVA's tower and its language model: two matrices. */
static void llava_projector(const tower *t) {
    linear(t, "multi_modal_projector.linear_1", 1, t->b->shape->width, word(t, "hidden_size", 1024));
    linear(t, "multi_modal_projector.linear_2", 1, t->b->shape->width, t->b->shape->width);
}

static void mistral3_projector(const tower *t) {
    const uint64_t width = word(t, "hidden_size", 1024);
    const uint64_t merge = word_count_in(t->b, t->b->whole, "spatial_merge_size", 64, 2);
    vector(t, 1, width);
    add(t, "multi_modal_projector.patch_merger", 1, width, shape_times(t->b, width, square(t, merge)));
    add(t, "multi_modal_projector.linear_1", 1, t->b->shape->width, width);
    add(t, "multi_modal_projector.linear_2", 1, t->b->shape->width, t->b->shape->width);
}

static void unknown_tower(const tower *t, const char *what) {
    const uint64_t width = word(t, "hidden_size embed_dim d_model width vt_hidden_size", 0),
                   layers = word(t, "num_hidden_layers depth encoder_layers layers vt_num_hidden_layers", 0);
    if (width > 0 && layers > 0 && layers <= SHAPE_MOST_LAYERS)
        vit_layers(t, what, layers, width, word(t, "intermediate_size encoder_ffn_dim", shape_times(t->b, 4, width)));
    t->b->shape->recognised = false;
    shape_note(t->b, "%s is of no kind known here: its layers are counted as those of a common transformer", what);
}

static void one_tower(shape_build *b, const char *outer, const tola_value *vision) {
    const char *kind = tola_value_str(tola_value_get(vision, "model_type"), "");
    tower t = { b, vision, shape_defaults_of(kind) };
    if (word_in("qwen3_vl qwen3_vl_moe qwen3_5 qwen3_5_moe", outer))
        qwen3_vision(&t);
    else if (strcmp(outer, "qwen2_5_vl") == 0)
        qwen2_vision(&t, true);
    else if (strcmp(outer, "qwen2_vl") == 0)
        qwen2_vision(&t, false);
    else if (strcmp(outer, "llama4") == 0) {
        t.defaults = shape_defaults_of("llama4_vision_model");
        llama4_vision(&t);
    } else if (strcmp(outer, "gemma4") == 0)
        gemma4_vision(&t);
    else if (strcmp(outer, "gemma3") == 0)
        gemma3_vision(&t);
    else if (word_in("kimi_k25 kimi_k3", outer)) {
        kimi_vision(&t);
        if (strcmp(outer, "kimi_k3") == 0) shape_note(b, "the vision tower is counted as Kimi K2.5's");
    } else if (strcmp(outer, "step3p7") == 0)
        step_vision(&t);
    else if (strcmp(kind, "pixtral") == 0) {
        pixtral(&t);
        if (strcmp(outer, "mistral3") == 0)
            mistral3_projector(&t);
        else
            llava_projector(&t);
    } else if (strcmp(kind, "clip_vision_model") == 0) {
        clip(&t);
        llava_projector(&t);
    } else if (strcmp(kind, "siglip_vision_model") == 0) {
        siglip(&t, true);
        if (strcmp(outer, "llava") == 0)
            llava_projector(&t);
        else
            linear(&t, "multi_modal_projector.linear", 1, b->shape->width, word(&t, "hidden_size", 1152));
    } else
        unknown_tower(&t, "vision_config");
}

void shape_towers(shape_build *b) {
    const char *outer = tola_value_str(tola_value_get(b->whole, "model_type"), "");
    const tola_value *vision = families_find(b->whole, "vision_config thinker_config.vision_config"),
                     *audio = families_find(b->whole, "audio_config speech_config thinker_config.audio_config");
    const bool nested = b->text != b->whole;
    if (strcmp(outer, "fuyu") == 0) { /* patches go into the language model as they are */
        const tower t = { b, b->whole, b->defaults };
        linear(&t, "vision_embed_tokens", 1, b->shape->width,
               shape_times(b, word(&t, "num_channels", 3), square(&t, word(&t, "patch_size", 30))));
        b->shape->modalities = "image text";
    }
    if (vision != NULL && vision->kind != TOLA_VALUE_MAP) {
        shape_fail(b, TOLA_E_FORMAT, "vision_config is no map");
        return;
    }
    /* Llama 4's tower is there though its file leaves it out */
    if (vision != NULL || (nested && strcmp(outer, "llama4") == 0)) {
        one_tower(b, outer, vision);
        b->shape->modalities = "image text";
    }
    if (audio != NULL && audio->kind == TOLA_VALUE_MAP) {
        const tower t = { b, audio, shape_defaults_of(tola_value_str(tola_value_get(audio, "model_type"), "")) };
        unknown_tower(&t, "audio_config");
        b->shape->modalities = vision ? "audio image text" : "audio text";
    }
}
