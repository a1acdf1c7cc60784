/* What a quantizer made of a model's matrices, from quantization_config in config.json or from hf_quant_config.json
 * beside it: bits of a weight with its scales, and the modules that were left alone. Methods: fp8 (blocks), modelopt
 * (FP8, NVFP4, mixed), mxfp4, GPTQ, AWQ, bitsandbytes, compressed-tensors, Quark, and those that say a number of bits.
 *
 * Tables, heads, routers and towers stay as they are unless a list says otherwise: no published layout packs them. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/shape_build.h"
#include "text/regex.h"

#define MOST_ENTRIES (1u << 16)
#define MOST_COMPARED (1u << 26) /* names with entries, for one configuration */

/* A matrix under a scheme: `bits` and what its scales cost. */
typedef struct quant_scheme {
    double bits;
    double scale_bits;               /* of one scale with its zero point */
    uint64_t group;                  /* weights along a row that share it; 0: a row; UINT64_MAX: the whole matrix */
    uint64_t block_rows, block_cols; /* a scale for each block; 0: none */
    bool order;                      /* GPTQ's g_idx: 32 bits a column */
} quant_scheme;

typedef struct quant_entry {
    const char *text;
    uint64_t layer; /* UINT64_MAX: of all */
    bool glob;
    regex *expression;
    regex_match *match;
    quant_scheme scheme; /* of an entry that says how, not only which */
} quant_entry;

struct shape_quant {
    quant_scheme scheme, experts; /* experts.bits 0: as the others */
    bool only_experts, only_listed, heads;
    quant_entry *left, *listed; /* modules that are left alone; modules with a scheme of their own */
    size_t left_count, listed_count;
    uint64_t compared;
};

/* ---- entries ---- */

/* "model.language_model.layers.3.mlp" -> "layers.3.mlp": what stands before differs between files of one model. */
static const char *below_layers(const char *text) {
    const char *at = strstr(text, "layers.");
    return at != NULL && (at == text || at[-1] == '.') ? at : NULL;
}

static uint64_t layer_of(const char *text) {
    const char *at = below_layers(text);
    if (at == NULL || !isdigit((unsigned char)at[7])) return UINT64_MAX;
    uint64_t n = 0;
    for (at += 7; isdigit((unsigned char)*at); at++)
        if (n < SHAPE_MOST_LAYERS) n = n * 10 + (uint64_t)(*at - '0');
    /* "layers.3*" stands for layer 3 and for 30 to 39 */
    return *at == '*' || *at == '[' ? UINT64_MAX : n;
}

static void make_entry(shape_build *b, quant_entry *e, const tola_string *text) {
    e->text = arena_strndup(b->a, text->data, text->length);
    if (e->text == NULL) {
        b->status = err_nomem(b->err, "a quantizer's list");
        return;
    }
    if (strncmp(e->text, "re:", 3) == 0) {
        tola_error detail = TOLA_ERROR_INIT;
        e->layer = UINT64_MAX;
        if (regex_compile(e->text + 3, strlen(e->text + 3), &e->expression, &detail) != TOLA_OK)
            shape_fail(b, TOLA_E_FORMAT, "ignore: %.100s: %s", e->text, detail.message);
        else if ((e->match = regex_match_new(e->expression)) == NULL)
            b->status = err_nomem(b->err, "a quantizer's list");
        return;
    }
    e->layer = layer_of(e->text);
    e->glob = strpbrk(e->text, "*?[") != NULL;
}

static void read_list(shape_build *b, const tola_value *v, quant_entry **out, size_t *count) {
    if (v == NULL || v->kind != TOLA_VALUE_ARRAY || *count > 0) return;
    const size_t n = v->as.array.count;
    if (n > MOST_ENTRIES) {
        shape_fail(b, TOLA_E_LIMIT, "a list of %zu modules that are not quantized", n);
        return;
    }
    quant_entry *entries = arena_alloc_array(b->a, n ? n : 1, sizeof *entries);
    if (entries == NULL) {
        b->status = err_nomem(b->err, "a quantizer's list");
        return;
    }
    memset(entries, 0, n * sizeof *entries);
    *out = entries;
    for (size_t i = 0; i < n && shape_ok(b); i++) {
        const tola_value item = tola_value_at(v, i);
        if (item.kind != TOLA_VALUE_STRING) continue;
        make_entry(b, &entries[*count], &item.as.string);
        if (shape_ok(b) || entries[*count].expression != NULL) ++*count;
    }
}

/* Is `part` ("gate", "layers.3.mlp") a run of whole components of `name`? */
static bool has_run(const char *name, const char *part) {
    const size_t n = strlen(part);
    for (const char *at = strstr(name, part); at != NULL; at = strstr(at + 1, part))
        if ((at == name || at[-1] == '.') && (at[n] == '.' || at[n] == '\0')) return true;
    return false;
}

static const char *last_component(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static bool entry_matches(const quant_entry *e, const char *name) {
    char with[192];
    if (e->expression != NULL) {
        bool found = false;
        size_t begin, end;
        return regex_next(e->expression, e->match, name, strlen(name), 0, &found, &begin, &end, NULL) == TOLA_OK &&
               found;
    }
    const char *text = e->text, *below = below_layers(text);
    if (e->glob) {
        if (below != NULL) text = below;
        snprintf(with, sizeof with, "model.%s", name);
        if (glob_match(text, name) || glob_match(text, with)) return true;
        if (below != NULL || strchr(text, '.') != NULL) return false;
        return glob_match(text, last_component(name));
    }
    if (below != NULL) {
        if (has_run(name, below)) return true;
        /* one-mixer layers call everything "mixer" */
        return strstr(below, ".mixer.") != NULL && strcmp(last_component(below), last_component(name)) == 0;
    }
    return has_run(name, text) || has_run(name, last_component(text));
}

static const quant_entry *find_entry(shape_build *b, const quant_entry *entries, size_t count, const char *name,
                                     const char *other) {
    for (size_t i = 0; i < count; i++) {
        if (entries[i].layer != UINT64_MAX && (!b->inside || entries[i].layer != b->layer)) continue;
        if (++b->quant->compared > MOST_COMPARED) {
            shape_fail(b, TOLA_E_LIMIT, "the list of modules that are not quantized is too long");
            return NULL;
        }
        if (entry_matches(&entries[i], name) || (other[0] && entry_matches(&entries[i], other))) return &entries[i];
    }
    return NULL;
}

/* ---- schemes ---- */

static bool has(const char *text, const char *word) {
    char low[96];
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < sizeof low; n++) low[n] = (char)tolower((unsigned char)text[n]);
    low[n] = '\0';
    return strstr(low, word) != NULL;
}

/* By a word: "NVFP4", "W4A16_NVFP4", "FP8", "MXFP4", "W4A8_AWQ", "INT8_SQ", "fp8_e4m3", "int4". */
static quant_scheme scheme_of_word(const char *word, uint64_t group) {
    quant_scheme s = { 0 };
    if (has(word, "nvfp4"))
        s = (quant_scheme){ .bits = 4, .scale_bits = 8, .group = group ? group : 16 };
    else if (has(word, "mxfp4"))
        s = (quant_scheme){ .bits = 4, .scale_bits = 8, .group = group ? group : 32 };
    else if (has(word, "mxfp6"))
        s = (quant_scheme){ .bits = 6, .scale_bits = 8, .group = group ? group : 32 };
    else if (has(word, "mxfp8"))
        s = (quant_scheme){ .bits = 8, .scale_bits = 8, .group = group ? group : 32 };
    else if (has(word, "w4") || has(word, "int4") || has(word, "fp4"))
        s = (quant_scheme){ .bits = 4, .scale_bits = 16, .group = group ? group : 128 };
    else if (has(word, "fp8") || has(word, "f8"))
        s = (quant_scheme){ .bits = 8, .scale_bits = 32, .group = UINT64_MAX };
    else if (has(word, "w8") || has(word, "int8"))
        s = (quant_scheme){ .bits = 8, .scale_bits = 32, .group = group };
    return s;
}

static double scheme_bits(const quant_scheme *s, uint64_t rows, uint64_t cols) {
    if (s->bits == 0) return 0;
    const double elements = (double)rows * (double)cols;
    double scales;
    if (s->block_rows > 0 && s->block_cols > 0)
        scales =
            (double)((rows + s->block_rows - 1) / s->block_rows) * (double)((cols + s->block_cols - 1) / s->block_cols);
    else if (s->group == UINT64_MAX)
        scales = 1;
    else if (s->group == 0)
        scales = (double)rows;
    else
        scales = (double)rows * (double)((cols + s->group - 1) / s->group);
    double bits = s->bits * elements + scales * s->scale_bits;
    if (s->order) bits += 32 * (double)cols;
    return bits / elements;
}

/* A group size, of which -1 stands for a whole row. */
static uint64_t group_of(shape_build *b, const tola_value *q, const char *keys) {
    const tola_value *v = families_find(q, keys);
    if (v != NULL && v->kind == TOLA_VALUE_INT && v->as.i64 == -1) return 0;
    return word_count_in(b, q, keys, SHAPE_MOST_WIDTH, 128);
}

static quant_scheme blocks_or_tensor(shape_build *b, const tola_value *q) {
    const tola_value *size = families_find(q, "weight_block_size");
    quant_scheme s = { .bits = 8, .scale_bits = 32, .group = UINT64_MAX };
    if (size != NULL && size->kind == TOLA_VALUE_ARRAY && size->as.array.count == 2) {
        const tola_value rows = tola_value_at(size, 0), cols = tola_value_at(size, 1);
        s.block_rows = tola_value_u64(&rows, 0);
        s.block_cols = tola_value_u64(&cols, 0);
        if (s.block_rows == 0 || s.block_cols == 0 || s.block_rows > SHAPE_MOST_WIDTH ||
            s.block_cols > SHAPE_MOST_WIDTH)
            shape_fail(b, TOLA_E_FORMAT, "weight_block_size is no pair of sizes");
    }
    return s;
}

/* compressed-tensors and modelopt: how a group of modules keeps its weights. */
static quant_scheme scheme_of_group(shape_build *b, const tola_value *group, const char *format) {
    const tola_value *w = families_find(group, "weights");
    quant_scheme s = { 0 };
    if (w == NULL || w->kind != TOLA_VALUE_MAP) return s;
    const uint64_t bits = word_count_in(b, w, "num_bits", 16, 0);
    if (bits == 0) return s;
    const char *strategy = tola_value_str(families_find(w, "strategy"), "");
    const char *own = tola_value_str(families_find(group, "format"), format);
    const bool bytes = has(own, "mxfp") || has(own, "nvfp4") ||
                       has(tola_value_str(families_find(w, "scale_dtype"), ""), "uint8") ||
                       (bits == 4 && has(tola_value_str(families_find(w, "type"), ""), "float"));
    s = (quant_scheme){ .bits = (double)bits, .scale_bits = bytes ? 8 : 16 };
    if (!word_bool_in(b, w, "symmetric", true)) s.scale_bits += (double)bits;
    const bool has_group = families_find(w, "group_size") != NULL;
    if (strcmp(strategy, "tensor") == 0 || (strategy[0] == '\0' && !has_group))
        s.group = UINT64_MAX, s.scale_bits = 32;
    else if (strcmp(strategy, "channel") == 0 || !has_group)
        s.group = 0;
    else
        s.group = group_of(b, w, "group_size");
    const tola_value *size = families_find(w, "block_structure");
    if (strcmp(strategy, "block") == 0 && size != NULL && size->kind == TOLA_VALUE_ARRAY && size->as.array.count == 2) {
        const tola_value rows = tola_value_at(size, 0), cols = tola_value_at(size, 1);
        s.block_rows = tola_value_u64(&rows, 128);
        s.block_cols = tola_value_u64(&cols, 128);
    }
    return s;
}

static void read_groups(shape_build *b, shape_quant *q, const tola_value *config) {
    const tola_value *groups = families_find(config, "config_groups");
    const char *format = tola_value_str(families_find(config, "format"), "");
    if (groups == NULL || groups->kind != TOLA_VALUE_MAP || groups->as.map.count == 0) return;
    q->scheme = scheme_of_group(b, &groups->as.map.members[0].value, format);
    q->heads = true; /* lists name the head where it is left alone */
    if (groups->as.map.count > 1)
        shape_note(b, "quantization_config has %zu groups: all modules are counted as the first keeps them",
                   groups->as.map.count);
}

/* A map from modules to how each is kept, all others being left alone. */
static void read_listed(shape_build *b, shape_quant *q, const tola_value *map) {
    if (map == NULL || map->kind != TOLA_VALUE_MAP || map->as.map.count == 0) return;
    if (map->as.map.count > MOST_ENTRIES) {
        shape_fail(b, TOLA_E_LIMIT, "a list of %zu quantized modules", map->as.map.count);
        return;
    }
    q->listed = arena_alloc_array(b->a, map->as.map.count, sizeof *q->listed);
    if (q->listed == NULL) {
        b->status = err_nomem(b->err, "a quantizer's list");
        return;
    }
    memset(q->listed, 0, map->as.map.count * sizeof *q->listed);
    q->only_listed = true;
    for (size_t i = 0; i < map->as.map.count && shape_ok(b); i++) {
        const tola_member *m = &map->as.map.members[i];
        quant_entry *e = &q->listed[q->listed_count];
        make_entry(b, e, &m->key);
        e->scheme = scheme_of_word(tola_value_str(families_find(&m->value, "quant_algo"), ""),
                                   word_count_in(b, &m->value, "group_size", SHAPE_MOST_WIDTH, 0));
        if (shape_ok(b)) q->listed_count++;
    }
}

static void describe(shape_build *b, const shape_quant *q, const char *method) {
    char text[96];
    const quant_scheme *s = q->scheme.bits > 0 || q->listed_count == 0 ? &q->scheme : &q->listed[0].scheme;
    if (s->block_rows > 0)
        snprintf(text, sizeof text, "%s, %g bits, %" PRIu64 "x%" PRIu64 " blocks", method, s->bits, s->block_rows,
                 s->block_cols);
    else if (s->group > 0 && s->group < UINT64_MAX)
        snprintf(text, sizeof text, "%s, %g bits, groups of %" PRIu64, method, s->bits, s->group);
    else
        snprintf(text, sizeof text, "%s, %g bits", method, s->bits);
    b->shape->stored = arena_strndup(b->a, text, strlen(text));
}

static void read_method(shape_build *b, shape_quant *q, const tola_value *c) {
    const char *method = tola_value_str(families_find(c, "quant_method quant_type"), ""),
               *algo = tola_value_str(families_find(c, "quant_algo quantization.quant_algo"), "");
    const uint64_t bits = word_count_in(b, c, "bits nbits w_bit weight_bits num_bits", 32, 0);
    if (strcmp(method, "mxfp4") == 0) {
        q->scheme = scheme_of_word("mxfp4", 0);
        q->only_experts = true;
    } else if (strcmp(method, "fp8") == 0 || strcmp(method, "fbgemm_fp8") == 0) {
        q->scheme = blocks_or_tensor(b, c);
        if (word_is(b, "expert_dtype", "fp4")) q->experts = scheme_of_word("mxfp4", 0);
    } else if (word_in("gptq awq gptqmodel auto-round autoround intel/auto-round", method)) {
        const uint64_t width = bits ? bits : 4;
        q->scheme = (quant_scheme){ .bits = (double)width,
                                    .scale_bits = 16.0 + (double)width,
                                    .group = group_of(b, c, "group_size q_group_size"),
                                    .order = method[0] == 'g' };
        q->heads = word_bool_in(b, c, "lm_head", false);
    } else if (word_in("bitsandbytes bnb", method)) {
        if (word_bool_in(b, c, "load_in_8bit _load_in_8bit", false))
            q->scheme = (quant_scheme){ .bits = 8, .scale_bits = 32 };
        else {
            const bool twice = word_bool_in(b, c, "bnb_4bit_use_double_quant", false);
            q->scheme = (quant_scheme){ .bits = 4, .scale_bits = twice ? 8 + 32.0 / 256 : 32, .group = 64 };
        }
    } else if (strcmp(method, "quark") == 0) {
        const tola_value *w = families_find(c, "global_quant_config.weight");
        if (w != NULL && w->kind == TOLA_VALUE_MAP) {
            const char *dtype = tola_value_str(families_find(w, "dtype"), "");
            q->scheme = scheme_of_word(has(dtype, "fp4") ? "mxfp4" : dtype,
                                       word_count_in(b, w, "group_size", SHAPE_MOST_WIDTH, 0));
        }
        read_list(b, families_find(c, "exclude"), &q->left, &q->left_count);
        q->heads = true;
    } else if (algo[0] != '\0') {
        const uint64_t group = word_count_in(b, c, "group_size quantization.group_size", SHAPE_MOST_WIDTH, 0);
        read_listed(b, q, families_find(c, "quantized_layers quantization.quantized_layers"));
        if (!q->only_listed) q->scheme = scheme_of_word(algo, group);
        q->heads = families_find(c, "ignore exclude_modules quantization.exclude_modules") != NULL;
    } else if (families_find(c, "config_groups") != NULL)
        read_groups(b, q, c);
    else if (bits > 0)
        q->scheme = (quant_scheme){ .bits = (double)bits, .scale_bits = 32, .group = group_of(b, c, "group_size") };
    if (q->scheme.bits == 0 && !q->only_listed)
        shape_note(b, "quantization_config: nothing here knows method '%.40s'; weights are counted as unquantized",
                   method[0] ? method : algo);
    else
        describe(b, q, method[0] && !algo[0] ? method : algo[0] ? algo : "compressed-tensors");
}

void quant_read(shape_build *b) {
    const tola_value *c =
        families_find(b->whole, "quantization_config text_config.quantization_config compression_config");
    if (c == NULL) c = b->beside;
    if (c == NULL) return;
    if (c->kind != TOLA_VALUE_MAP) {
        shape_fail(b, TOLA_E_FORMAT, "quantization_config is no map");
        return;
    }
    shape_quant *q = arena_alloc(b->a, sizeof *q);
    if (q == NULL) {
        b->status = err_nomem(b->err, "a quantizer's configuration");
        return;
    }
    memset(q, 0, sizeof *q);
    b->quant = q;
    read_method(b, q, c);
    read_list(b,
              families_find(c,
                        "ignore exclude_modules modules_to_not_convert llm_int8_skip_modules ignored_layers "
                        "quantization.exclude_modules"),
              &q->left, &q->left_count);
}

void quant_end(shape_build *b) {
    if (b->quant == NULL) return;
    quant_entry *lists[] = { b->quant->left, b->quant->listed };
    const size_t counts[] = { b->quant->left_count, b->quant->listed_count };
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < counts[k]; i++) {
            regex_match_free(lists[k][i].match);
            regex_free(lists[k][i].expression);
        }
    b->quant = NULL;
}

/* self_attn and mlp are attn and ffn in the names of some files. */
static void other_name(const char *name, char *out, size_t cap) {
    out[0] = '\0';
    const char *at = strstr(name, "self_attn."), *with = "attn.";
    size_t cut = 10;
    if (at == NULL) at = strstr(name, "mlp."), with = "ffn.", cut = 4;
    if (at != NULL) snprintf(out, cap, "%.*s%s%s", (int)(at - name), name, with, at + cut);
}

double quant_bits(shape_build *b, const char *name, piece_part part, uint64_t rows, uint64_t cols) {
    shape_quant *q = b->quant;
    if (q == NULL || rows <= 1 || part == PIECE_EMBEDDING || part == PIECE_OTHER || part == PIECE_NORM) return 0;
    if (part == PIECE_OUTPUT && !q->heads) return 0;
    if (q->only_experts && part != PIECE_EXPERT) return 0;
    const char *last = last_component(name);
    if (strcmp(last, "gate") == 0 || strcmp(last, "shared_expert_gate") == 0) return 0;
    char whole[160], other[160];
    if (b->inside)
        snprintf(whole, sizeof whole, "layers.%u.%s", b->layer, name);
    else
        snprintf(whole, sizeof whole, "%s", name);
    other_name(whole, other, sizeof other);
    if (find_entry(b, q->left, q->left_count, whole, other) != NULL) return 0;
    const quant_entry *own = find_entry(b, q->listed, q->listed_count, whole, other);
    if (own != NULL) return scheme_bits(&own->scheme, rows, cols);
    if (q->only_listed) return 0;
    return scheme_bits(part == PIECE_EXPERT && q->experts.bits > 0 ? &q->experts : &q->scheme, rows, cols);
}
