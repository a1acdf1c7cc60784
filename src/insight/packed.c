/* Counting the weights in packed tensors. */
#include "insight/packed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "families/families.h"

/* Names are at most CK_MAX_NAME bytes; a sibling's ending is added. */
#define SIBLING_MAX 4200

static const tola_tensor_info *sibling(const packing *p, const char *base, size_t length, const char *ending) {
    char name[SIBLING_MAX];
    size_t n = strlen(ending);
    if (length + n >= sizeof name) return NULL;
    memcpy(name, base, length);
    memcpy(name + length, ending, n + 1);
    size_t index = tola_checkpoint_find(p->ck, name);
    return index == SIZE_MAX ? NULL : tola_checkpoint_tensor(p->ck, index);
}

static uint64_t innermost(const tola_tensor_info *t) { return t->n_dims ? t->shape[t->n_dims - 1] : 1; }

static bool plausible(uint64_t bits) { return bits >= 1 && bits <= 8; }

/* Weights of `bits` bits in `bytes` bytes. Files are shorter than 2^61 bytes. */
static uint64_t weights_in(uint64_t bytes, uint64_t bits) {
    return bytes > UINT64_MAX / 8 ? bytes : bytes * 8 / bits;
}

/* ---- configuration ---- */

static const tola_value *quantization_of(const tola_value *config) {
    static const char *const keys[] = { "quantization_config", "compression_config", "quantization" };
    const tola_value *text = families_text_config(config);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const tola_value *v = tola_value_get(config, keys[i]);
        if (!v && text) v = tola_value_get(text, keys[i]);
        if (v && v->kind == TOLA_VALUE_MAP) return v;
    }
    return NULL;
}

/* The first group of a compressed-tensors configuration: {"config_groups": {"group_0": {"weights": {...}}}}. */
static const tola_value *group_weights(const tola_value *config) {
    const tola_value *groups = tola_value_get(config, "config_groups");
    if (!groups || groups->kind != TOLA_VALUE_MAP || groups->as.map.count == 0) return NULL;
    return tola_value_get(&groups->as.map.members[0].value, "weights");
}

static uint64_t first_u64(const tola_value *map, const char *const *keys) {
    for (; *keys; keys++) {
        uint64_t v = tola_value_u64(tola_value_get(map, *keys), 0);
        if (v) return v;
    }
    return 0;
}

void packing_init(packing *p, const tola_checkpoint *ck) {
    static const char *const bits[] = { "bits", "w_bit", "num_bits", "nbits", NULL };
    static const char *const group[] = { "group_size", "q_group_size", NULL };
    *p = (packing){ .ck = ck, .config = quantization_of(tola_checkpoint_config(ck)) };
    if (!p->config) return;
    const tola_value *weights = group_weights(p->config);
    p->bits = first_u64(p->config, bits);
    if (!p->bits) p->bits = first_u64(weights, bits);
    p->group = first_u64(p->config, group);
    if (!p->group) p->group = first_u64(weights, group);
    if (!plausible(p->bits)) p->bits = 0;
}

/* ---- each format ---- */

/* GPTQ and AWQ pack zero points along the outputs as they pack weights, so that zeros and scales give the bits away:
 * qzeros [groups, outputs * bits / 32], scales [groups, outputs]. */
static uint64_t bits_of_qweight(const packing *p, const char *base, size_t length) {
    const tola_tensor_info *zeros = sibling(p, base, length, ".qzeros");
    const tola_tensor_info *scales = sibling(p, base, length, ".scales");
    if (zeros && scales && innermost(scales) && innermost(zeros) <= UINT64_MAX / 32 &&
        zeros->dtype == TOLA_DTYPE_I32) {
        uint64_t bits = 32 * innermost(zeros) / innermost(scales);
        if (plausible(bits)) return bits;
    }
    return p->bits ? p->bits : 4;
}

/* MLX: weight [.., columns * bits / 32] u32, scales [.., columns / group]. The group may be set for each layer. */
static uint64_t bits_of_mlx(const packing *p, const tola_tensor_info *t, const tola_tensor_info *scales,
                            const char *base, size_t length) {
    char name[SIBLING_MAX];
    uint64_t group = p->group ? p->group : 64;
    if (length < sizeof name && p->config) {
        memcpy(name, base, length);
        name[length] = 0;
        const tola_value *own = tola_value_get(p->config, name);
        group = tola_value_u64(tola_value_get(own, "group_size"), group);
    }
    uint64_t columns;
    if (!innermost(scales) || __builtin_mul_overflow(innermost(scales), group, &columns) ||
        innermost(t) > UINT64_MAX / 32)
        return p->bits ? p->bits : 4;
    uint64_t bits = columns ? 32 * innermost(t) / columns : 0;
    return plausible(bits) ? bits : p->bits ? p->bits : 4;
}

/* Bytes that hold two four-bit floats each: a scale in eight bits stands for 16 (NVFP4) or 32 (MXFP4) weights. */
static bool holds_fp4(const packing *p, const tola_tensor_info *t, const char *base, size_t length) {
    if (sibling(p, base, length, ".weight_scale_2")) return true;
    static const char *const endings[] = { ".weight_scale", ".scale" };
    for (size_t i = 0; i < 2; i++) {
        const tola_tensor_info *scale = sibling(p, base, length, endings[i]);
        if (!scale || (scale->dtype != TOLA_DTYPE_F8_E4M3 && scale->dtype != TOLA_DTYPE_F8_E8M0)) continue;
        uint64_t columns = innermost(t), groups = innermost(scale);
        if (groups && columns / groups * groups == columns && (columns / groups == 8 || columns / groups == 16))
            return true;
    }
    return false;
}

/* "X.weight" in integers; X is base[0 .. length). 0: nothing shows that these are weights. */
static uint64_t weights_of_integers(const packing *p, const tola_tensor_info *t, const char *base, size_t length) {
    if (t->dtype == TOLA_DTYPE_U32) {
        const tola_tensor_info *scales = sibling(p, base, length, ".scales");
        return scales ? weights_in(t->bytes, bits_of_mlx(p, t, scales, base, length)) : 0;
    }
    if (t->dtype != TOLA_DTYPE_U8 && t->dtype != TOLA_DTYPE_I8) return 0;
    if (sibling(p, base, length, ".weight.absmax")) return weights_in(t->bytes, 4); /* bitsandbytes nf4, fp4 */
    if (holds_fp4(p, t, base, length)) return weights_in(t->bytes, 4);
    if (t->dtype == TOLA_DTYPE_I8 || sibling(p, base, length, ".weight_scale") || sibling(p, base, length, ".SCB"))
        return t->elements;
    return 0;
}

static uint64_t weights_of_packed(const packing *p, const tola_tensor_info *t) {
    size_t length = strlen(t->name);
    if (text_ends_with(t->name, ".qweight"))
        return weights_in(t->bytes, bits_of_qweight(p, t->name, length - strlen(".qweight")));
    if (text_ends_with(t->name, ".weight_packed")) /* bytes are pairs of four-bit floats, words follow num_bits */
        return weights_in(t->bytes, t->dtype == TOLA_DTYPE_U8 || !p->bits ? 4 : p->bits);
    if (text_ends_with(t->name, ".W_q")) return weights_in(t->bytes, p->bits ? p->bits : 4);
    if (text_ends_with(t->name, "_blocks"))
        return sibling(p, t->name, length - strlen("_blocks"), "_scales") ? weights_in(t->bytes, 4) : 0;
    if (text_ends_with(t->name, ".weight")) return weights_of_integers(p, t, t->name, length - strlen(".weight"));
    if (text_ends_with(t->name, "_quantized")) /* ONNX Runtime's integer initializers */
        return sibling(p, t->name, length - strlen("_quantized"), "_scale") ? t->elements : 0;
    return 0;
}

static bool is_integer(tola_dtype dtype) {
    tola_dtype_kind kind = tola_dtype_get_kind(dtype);
    return kind == TOLA_KIND_INT || kind == TOLA_KIND_UINT || kind == TOLA_KIND_BOOL;
}

/* The role that the name has apart from being packed: "..experts.3.w1.qweight" belongs to the experts. */
static tola_role role_as_weight(const tola_tensor_info *t) {
    tola_role role = families_role(t->name, TOLA_DTYPE_F32, t->n_dims);
    return role == TOLA_ROLE_BUFFER || role == TOLA_ROLE_QUANT || role == TOLA_ROLE_BIAS ? TOLA_ROLE_OTHER : role;
}

/* Names such as X.scales and X_scales mean quantization only beside what they scale. */
static bool scales_something(const packing *p, const tola_tensor_info *t) {
    static const struct {
        const char *ending, *of[3];
    } rules[] = {
        { ".scales", { ".qweight", ".weight", ".W_q" } },
        { ".biases", { ".qweight", ".weight", ".W_q" } },
        { "_scales", { "_blocks", NULL, NULL } },
    };
    size_t length = strlen(t->name);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (!text_ends_with(t->name, rules[i].ending)) continue;
        for (size_t k = 0; k < 3 && rules[i].of[k]; k++) {
            const tola_tensor_info *w = sibling(p, t->name, length - strlen(rules[i].ending), rules[i].of[k]);
            if (w && is_integer((tola_dtype)w->dtype)) return true;
        }
        return false;
    }
    return true;
}

tola_role packing_role(const packing *p, const tola_tensor_info *t, tola_role suggested, uint64_t *weights) {
    *weights = t->elements;
    if (t->flags & TOLA_TENSOR_STATE) return TOLA_ROLE_STATE;
    if (t->dtype == TOLA_DTYPE_F8_E8M0) return TOLA_ROLE_QUANT; /* powers of two: scales and nothing else */
    if (t->dtype == TOLA_DTYPE_OPAQUE || t->dtype == TOLA_DTYPE_NONE) return TOLA_ROLE_BUFFER;
    if (!is_integer((tola_dtype)t->dtype)) {
        if (suggested == TOLA_ROLE_QUANT && !scales_something(p, t)) return TOLA_ROLE_OTHER;
        return suggested;
    }
    if (suggested == TOLA_ROLE_QUANT) return scales_something(p, t) ? suggested : TOLA_ROLE_BUFFER;
    bool small = t->dtype >= TOLA_DTYPE_U4 && t->dtype <= TOLA_DTYPE_I2; /* nobody counts in less than a byte */
    if (small || (t->flags & TOLA_TENSOR_QUANTIZED)) return role_as_weight(t);
    uint64_t packed = weights_of_packed(p, t);
    if (!packed) return TOLA_ROLE_BUFFER;
    *weights = packed;
    return role_as_weight(t);
}

/* ---- in words ---- */

static size_t append(char *text, size_t cap, size_t at, const char *format, uint64_t value) {
    if (at >= cap) return at;
    int n = snprintf(text + at, cap - at, "%s%" PRIu64, format, value);
    return n < 0 ? at : at + (size_t)n;
}

bool packing_describe(const packing *p, char *text, size_t cap) {
    if (!p->config) return false;
    const char *method = tola_value_str(tola_value_get(p->config, "quant_method"), NULL);
    const char *algorithm = tola_value_str(tola_value_get(p->config, "quant_algo"), NULL);
    const char *format = tola_value_str(tola_value_get(p->config, "format"), NULL);
    if (!method) method = p->bits ? "mlx" : "quantized"; /* only MLX leaves its own name out */
    size_t at = (size_t)snprintf(text, cap, "%s", method);
    if (algorithm && at < cap) at += (size_t)snprintf(text + at, cap - at, " %s", algorithm);
    if (format && at < cap) at += (size_t)snprintf(text + at, cap - at, " %s", format);
    if (tola_value_bool(tola_value_get(p->config, "load_in_4bit"), false)) {
        const char *kind = tola_value_str(tola_value_get(p->config, "bnb_4bit_quant_type"), "4-bit");
        if (at < cap) at += (size_t)snprintf(text + at, cap - at, " %s", kind);
        if (at < cap && tola_value_bool(tola_value_get(p->config, "bnb_4bit_use_double_quant"), false))
            snprintf(text + at, cap - at, ", scales quantized too");
        return true;
    }
    if (tola_value_bool(tola_value_get(p->config, "load_in_8bit"), false) && at < cap)
        at += (size_t)snprintf(text + at, cap - at, " int8");
    if (p->bits) {
        at = append(text, cap, at, " ", p->bits);
        if (at < cap) at += (size_t)snprintf(text + at, cap - at, "-bit");
    }
    if (p->group) at = append(text, cap, at, " group ", p->group);
    const tola_value *block = tola_value_get(p->config, "weight_block_size");
    if (block && block->kind == TOLA_VALUE_ARRAY && block->as.array.count == 2) {
        tola_value rows = tola_value_at(block, 0), columns = tola_value_at(block, 1);
        at = append(text, cap, at, " blocks ", tola_value_u64(&rows, 0));
        append(text, cap, at, "x", tola_value_u64(&columns, 0));
    }
    return true;
}
