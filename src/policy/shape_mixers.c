/* Layers whose memory is a state: state spaces (arXiv 2312.00752, 2405.21060), gated delta rules (2412.06464, and per
 * channel 2510.26692), lightning attention (2501.08313), short convolutions; alone, or taking turns with attention. */
#include <math.h>
#include <string.h>

#include "policy/shape_build.h"

static void state(shape_build *b, uint64_t elements) {
    b->now.memory = SHAPE_MEMORY_STATE;
    b->now.state_elements = shape_plus(b, b->now.state_elements, elements);
}

static void feed_forward(shape_build *b, const decoder *d) {
    part_feed_forward(b, PIECE_DENSE, "mlp", 1, d->width, d->feed_forward, !(d->r->flags & FFN_PLAIN), d->ffn_bias);
    b->now.feed_forward = d->feed_forward;
}

static void experts_or_not(shape_build *b, const decoder *d, uint32_t layer) {
    if (layer_has_experts(b, d, layer))
        part_experts(b, d, d->width);
    else
        feed_forward(b, d);
}

/* ---- state spaces ---- */

/* Mamba: `inner` channels with a state of `n` numbers each; norms of the small products as Jamba has them. */
static void mamba1(shape_build *b, const decoder *d, const char *expand_key, const char *state_key,
                   const char *conv_key, bool norms) {
    const uint64_t expand = word_count(b, expand_key, 1024, 2), n = word_count(b, state_key, SHAPE_MOST_WIDTH, 16),
                   conv = word_count(b, conv_key, 1024, 4), inner = shape_times(b, expand, d->width);
    uint64_t rank = word_is(b, "time_step_rank mamba_dt_rank", "auto")
                        ? 0
                        : word_count(b, "time_step_rank mamba_dt_rank", SHAPE_MOST_WIDTH, 0);
    if (rank == 0) rank = (d->width + 15) / 16;
    const bool bias = word_bool(b, "use_bias mamba_proj_bias", false);
    piece(b, PIECE_ATTENTION, "mixer.in_proj", 1, shape_times(b, 2, inner), d->width);
    piece_plain(b, PIECE_ATTENTION, shape_times(b, inner, conv));
    if (word_bool(b, "use_conv_bias mamba_conv_bias", true)) piece_plain(b, PIECE_ATTENTION, inner);
    piece(b, PIECE_ATTENTION, "mixer.x_proj", 1, shape_plus(b, rank, shape_times(b, 2, n)), inner);
    piece(b, PIECE_ATTENTION, "mixer.dt_proj", 1, inner, rank);
    piece_plain(b, PIECE_ATTENTION, shape_plus(b, shape_times(b, 2, inner), shape_times(b, inner, n))); /* dt, D, A */
    piece(b, PIECE_ATTENTION, "mixer.out_proj", 1, d->width, inner);
    if (bias) piece_plain(b, PIECE_ATTENTION, shape_plus(b, shape_times(b, 2, inner), d->width));
    if (norms) part_norm(b, NORM_WEIGHT, 1, shape_plus(b, rank, shape_times(b, 2, n)));
    state(b, shape_times(b, inner, shape_plus(b, n, conv)));
}

typedef struct mamba_dims {
    uint64_t heads, head, groups, state, conv;
    bool bias, conv_bias, norm;
} mamba_dims;

static void mamba2(shape_build *b, const decoder *d, const mamba_dims *m) {
    const uint64_t inner = shape_times(b, m->heads, m->head),
                   mixed = shape_plus(b, inner, shape_times(b, 2, shape_times(b, m->groups, m->state)));
    const uint64_t rows = shape_plus(b, shape_plus(b, inner, mixed), m->heads);
    piece(b, PIECE_ATTENTION, "mixer.in_proj", 1, rows, d->width);
    if (m->bias) piece_plain(b, PIECE_ATTENTION, shape_plus(b, rows, d->width));
    piece_plain(b, PIECE_ATTENTION, shape_times(b, mixed, m->conv + m->conv_bias));
    piece_plain(b, PIECE_ATTENTION, shape_times(b, 3, m->heads)); /* dt, A, D */
    if (m->norm) part_norm(b, NORM_WEIGHT, 1, inner);
    piece(b, PIECE_ATTENTION, "mixer.out_proj", 1, d->width, inner);
    state(b, shape_plus(b, shape_times(b, inner, m->state), shape_times(b, mixed, m->conv)));
}

static mamba_dims dims_of(shape_build *b, const decoder *d) {
    mamba_dims m = {
        .heads = word_count(b, "mamba_num_heads mamba_n_heads num_heads", SHAPE_MOST_WIDTH, 128),
        .groups = word_count(b, "mamba_n_groups n_groups", SHAPE_MOST_WIDTH, 1),
        .state = word_count(b, "mamba_d_state ssm_state_size state_size", SHAPE_MOST_WIDTH, 128),
        .conv = word_count(b, "mamba_d_conv conv_kernel", 1024, 4),
        .bias = word_bool(b, "mamba_proj_bias use_bias", false),
        .conv_bias = word_bool(b, "mamba_conv_bias use_conv_bias", true),
        .norm = true,
    };
    const uint64_t expand = word_count(b, "mamba_expand expand", 1024, 2);
    const uint64_t inner = word_count(b, "mamba_d_ssm", SHAPE_MOST_WIDTH, 0);
    const char *own = strcmp(b->model_type, "mamba2") == 0 ? "head_dim" : "mamba_head_dim mamba_d_head";
    if (!word_is(b, own, "auto")) m.head = word_count(b, own, SHAPE_MOST_WIDTH, 0);
    if (m.head == 0)
        m.head = shape_divide(b, inner ? inner : shape_times(b, expand, d->width), m.heads, "mamba_n_heads");
    if (strcmp(b->model_type, "falcon_h1") == 0) m.norm = word_bool(b, "mamba_rms_norm", false);
    return m;
}

/* Nemotron-H: a layer is one of four things, by a letter or a word. */
static void nemotron_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const tola_value *pattern = families_find(b->text, "hybrid_override_pattern");
    const char *kind = word_item_text(b, "layers_block_type layer_types", layer, d->layers);
    char letter = kind ? kind[0] == 'a' || kind[0] == 'f' ? '*' : kind[0] == 'l' ? 'M' : kind[0] : 0;
    if (kind != NULL && strcmp(kind, "moe") == 0)
        letter = 'E';
    else if (kind != NULL && strcmp(kind, "mlp") == 0)
        letter = '-';
    else if (kind != NULL && strcmp(kind, "mamba") == 0)
        letter = 'M';
    else if (pattern != NULL && pattern->kind == TOLA_VALUE_STRING && layer < pattern->as.string.length)
        letter = pattern->as.string.data[layer];
    part_norm(b, NORM_WEIGHT, 1, d->width);
    if (letter == 'M') {
        const mamba_dims m = dims_of(b, d);
        mamba2(b, d, &m);
    } else if (letter == '*')
        part_attention(b, d, layer);
    else if (letter == '-')
        feed_forward(b, d);
    else if (letter == 'E') {
        const uint64_t latent = word_count(b, "moe_latent_size", SHAPE_MOST_WIDTH, 0);
        part_experts(b, d, latent ? latent : d->width);
        if (latent > 0) {
            piece(b, PIECE_DENSE, "mixer.fc1_latent_proj", 1, latent, d->width);
            piece(b, PIECE_DENSE, "mixer.fc2_latent_proj", 1, d->width, latent);
        }
    } else
        shape_fail(b, TOLA_E_FORMAT, "hybrid_override_pattern says nothing known of layer %u", layer);
}

/* ---- delta rules ---- */

/* Qwen3-Next, Qwen3.5. */
static void gated_delta(shape_build *b, const decoder *d) {
    const uint64_t key_heads = word_count(b, "linear_num_key_heads", SHAPE_MOST_WIDTH, 16),
                   value_heads = word_count(b, "linear_num_value_heads", SHAPE_MOST_WIDTH, 32),
                   key = word_count(b, "linear_key_head_dim", SHAPE_MOST_WIDTH, 128),
                   value = word_count(b, "linear_value_head_dim", SHAPE_MOST_WIDTH, 128),
                   conv = word_count(b, "linear_conv_kernel_dim", 1024, 4);
    const uint64_t keys = shape_times(b, key_heads, key), values = shape_times(b, value_heads, value),
                   mixed = shape_plus(b, shape_times(b, 2, keys), values);
    piece(b, PIECE_ATTENTION, "linear_attn.in_proj_qkv", 1, mixed, d->width);
    piece(b, PIECE_ATTENTION, "linear_attn.in_proj_z", 1, values, d->width);
    piece(b, PIECE_ATTENTION, "linear_attn.in_proj_b", 1, value_heads, d->width);
    piece(b, PIECE_ATTENTION, "linear_attn.in_proj_a", 1, value_heads, d->width);
    piece_plain(b, PIECE_ATTENTION, shape_times(b, mixed, conv));
    piece_plain(b, PIECE_ATTENTION, shape_times(b, 2, value_heads));
    part_norm(b, NORM_WEIGHT, 1, value);
    piece(b, PIECE_ATTENTION, "linear_attn.out_proj", 1, d->width, values);
    state(b, shape_plus(b, shape_times(b, values, key), shape_times(b, mixed, conv)));
}

/* Kimi Delta Attention. */
static void kimi_delta(shape_build *b, const decoder *d) {
    const uint64_t heads = word_count(b, "linear_attn_config.num_heads linear_num_heads", SHAPE_MOST_WIDTH, 32),
                   dim = word_count(b, "linear_attn_config.head_dim linear_head_dim", SHAPE_MOST_WIDTH, 128),
                   conv = word_count(b, "linear_attn_config.short_conv_kernel_size linear_conv_kernel_dim", 1024, 4);
    const uint64_t inner = shape_times(b, heads, dim);
    static const char *const names[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj" };
    for (int i = 0; i < 3; i++) piece(b, PIECE_ATTENTION, names[i], 1, inner, d->width);
    piece_plain(b, PIECE_ATTENTION, shape_times(b, shape_times(b, 3, inner), conv));
    piece_plain(b, PIECE_ATTENTION, shape_plus(b, inner, heads)); /* dt and A */
    piece(b, PIECE_ATTENTION, "self_attn.f_a_proj", 1, dim, d->width);
    piece(b, PIECE_ATTENTION, "self_attn.f_b_proj", 1, inner, dim);
    piece(b, PIECE_ATTENTION, "self_attn.b_proj", 1, heads, d->width);
    if (word_bool(b, "linear_attn_config.use_full_rank_gate", false))
        piece(b, PIECE_ATTENTION, "self_attn.g_proj", 1, inner, d->width);
    else {
        piece(b, PIECE_ATTENTION, "self_attn.g_a_proj", 1, dim, d->width);
        piece(b, PIECE_ATTENTION, "self_attn.g_b_proj", 1, inner, dim);
    }
    part_norm(b, NORM_WEIGHT, 1, dim);
    piece(b, PIECE_ATTENTION, "self_attn.o_proj", 1, d->width, inner);
    state(b, shape_plus(b, shape_times(b, inner, dim), shape_times(b, shape_times(b, 3, inner), conv)));
}

static bool number_in_list(const tola_value *list, uint64_t n) {
    for (size_t i = 0; list != NULL && list->kind == TOLA_VALUE_ARRAY && i < list->as.array.count; i++) {
        const tola_value item = tola_value_at(list, i);
        if (tola_value_u64(&item, UINT64_MAX) == n) return true;
    }
    return false;
}

static void kimi_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const char *kind = word_item_text(b, "layer_types", layer, d->layers);
    const bool linear = kind ? strcmp(kind, "linear_attention") == 0
                             : number_in_list(families_find(b->text, "linear_attn_config.kda_layers"), layer + 1);
    part_norm(b, NORM_WEIGHT, 2, d->width);
    if (linear)
        kimi_delta(b, d);
    else {
        part_latent_attention(b, d);
        if (word_bool(b, "mla_use_output_gate", false))
            piece(b, PIECE_ATTENTION, "self_attn.g_proj", 1,
                  shape_times(b, d->heads, word_count(b, "v_head_dim", SHAPE_MOST_WIDTH, 128)), d->width);
    }
    if (!layer_has_experts(b, d, layer)) {
        feed_forward(b, d);
        return;
    }
    const uint64_t latent = word_count(b, "routed_expert_hidden_size", SHAPE_MOST_WIDTH, 0);
    part_experts(b, d, latent ? latent : d->width);
    if (latent > 0) { /* Kimi K3 */
        piece(b, PIECE_DENSE, "mlp.latent_down", 1, latent, d->width);
        piece(b, PIECE_DENSE, "mlp.latent_up", 1, d->width, latent);
        if (word_bool(b, "latent_moe_use_norm", false)) part_norm(b, NORM_WEIGHT, 1, latent);
        shape_note(b, "the two matrices around the routed experts' smaller width are assumed from its words");
    }
}

/* ---- others ---- */

static void short_convolution(shape_build *b, const decoder *d) {
    const uint64_t conv = word_count(b, "conv_L_cache", 1024, 3);
    const bool bias = word_bool(b, "conv_bias", false);
    piece(b, PIECE_ATTENTION, "conv.in_proj", 1, shape_times(b, 3, d->width), d->width);
    piece_plain(b, PIECE_ATTENTION, shape_times(b, d->width, conv));
    piece(b, PIECE_ATTENTION, "conv.out_proj", 1, d->width, d->width);
    if (bias) piece_plain(b, PIECE_ATTENTION, shape_times(b, 5, d->width));
    state(b, shape_times(b, d->width, conv));
}

static void lightning(shape_build *b, const decoder *d) {
    const uint64_t inner = shape_times(b, d->heads, d->head_dim);
    piece(b, PIECE_ATTENTION, "self_attn.qkv_proj", 1, shape_times(b, 3, inner), d->width);
    piece(b, PIECE_ATTENTION, "self_attn.out_proj", 1, d->width, inner);
    piece(b, PIECE_ATTENTION, "self_attn.output_gate", 1, inner, d->width);
    part_norm(b, NORM_WEIGHT, 1, inner);
    state(b, shape_times(b, inner, d->head_dim));
}

/* Is layer `layer` of a model that takes turns one with attention? */
static bool is_attention(shape_build *b, const decoder *d, uint32_t layer, const char *first) {
    const char *kind = word_item_text(b, "layers_block_type layer_types", layer, d->layers);
    if (kind != NULL) return strcmp(kind, "attention") == 0 || strcmp(kind, "full_attention") == 0;
    const tola_value *list = families_find(b->text, "attn_layer_indices full_attn_idxs");
    if (list != NULL) return number_in_list(list, layer);
    if (families_find(b->text, "attn_type_list") != NULL)
        return word_item(b, "attn_type_list", layer, d->layers, UINT32_MAX, 1) == 1;
    const uint64_t period = word_count(b, "attn_layer_period full_attention_interval", SHAPE_MOST_LAYERS, 0);
    if (period > 0) return layer % period == word_count(b, "attn_layer_offset", SHAPE_MOST_LAYERS, period - 1);
    return strcmp(first, "attention") == 0;
}

static void jamba_layer(shape_build *b, const decoder *d, uint32_t layer) {
    part_norm(b, NORM_WEIGHT, 2, d->width);
    if (is_attention(b, d, layer, "attention"))
        part_attention(b, d, layer);
    else
        mamba1(b, d, "mamba_expand", "mamba_d_state", "mamba_d_conv", true);
    const uint64_t period = word_count(b, "expert_layer_period", SHAPE_MOST_LAYERS, 2),
                   offset = word_count(b, "expert_layer_offset", SHAPE_MOST_LAYERS, 1);
    if (d->experts > 1 && period > 0 && layer % period == offset)
        part_experts(b, d, d->width);
    else
        feed_forward(b, d);
}

static void granite_layer(shape_build *b, const decoder *d, uint32_t layer) {
    part_norm(b, NORM_WEIGHT, 2, d->width);
    if (is_attention(b, d, layer, "mamba"))
        part_attention(b, d, layer);
    else {
        const mamba_dims m = dims_of(b, d);
        mamba2(b, d, &m);
    }
    if (d->experts > 0) {
        part_experts(b, d, d->width);
        return;
    }
    const uint64_t shared = word_count(b, "shared_intermediate_size", SHAPE_MOST_WIDTH, d->feed_forward);
    part_feed_forward(b, PIECE_DENSE, "shared_mlp", 1, d->width, shared, true, false);
    b->now.feed_forward = shared;
}

static void bamba_layer(shape_build *b, const decoder *d, uint32_t layer, bool both) {
    const bool attention = both || is_attention(b, d, layer, "mamba");
    part_norm(b, NORM_WEIGHT, 2, d->width);
    if (attention) part_attention(b, d, layer);
    if (!attention || both) {
        const shape_memory kept = b->now.memory;
        const mamba_dims m = dims_of(b, d);
        mamba2(b, d, &m);
        if (both) b->now.memory = kept;
    }
    feed_forward(b, d);
}

static void with_turns(shape_build *b, const decoder *d, uint32_t layer,
                       void (*mixer)(shape_build *, const decoder *)) {
    part_norm(b, NORM_WEIGHT, 2, d->width);
    if (is_attention(b, d, layer, "attention"))
        part_attention(b, d, layer);
    else
        mixer(b, d);
    experts_or_not(b, d, layer);
}

bool shape_mixed_layer(shape_build *b, const decoder *d, uint32_t layer) {
    const char *t = b->model_type;
    if (strcmp(t, "nemotron_h") == 0)
        nemotron_layer(b, d, layer);
    else if (strcmp(t, "mamba2") == 0) {
        const mamba_dims m = dims_of(b, d);
        part_norm(b, NORM_WEIGHT, 1, d->width);
        mamba2(b, d, &m);
    } else if (word_in("mamba falcon_mamba", t)) {
        part_norm(b, NORM_WEIGHT, 1, d->width);
        mamba1(b, d, "expand", "state_size", "conv_kernel", false);
    } else if (word_in("qwen3_next qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text", t))
        with_turns(b, d, layer, gated_delta);
    else if (strcmp(t, "kimi_linear") == 0)
        kimi_layer(b, d, layer);
    else if (word_in("lfm2 lfm2_moe", t))
        with_turns(b, d, layer, short_convolution);
    else if (strcmp(t, "minimax") == 0)
        with_turns(b, d, layer, lightning);
    else if (strcmp(t, "jamba") == 0)
        jamba_layer(b, d, layer);
    else if (strcmp(t, "granitemoehybrid") == 0)
        granite_layer(b, d, layer);
    else if (word_in("bamba falcon_h1", t))
        bamba_layer(b, d, layer, t[0] == 'f');
    else
        return false;
    return true;
}
