/* From a checkpoint: the tensors decide on counts and bytes, the configuration (or GGUF's key-values) on layers and
 * what they remember. Where there is no configuration, the matrices of keys and values tell. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "families/families.h"
#include "formats/format.h"
#include "policy/shape_build.h"

/* ---- GGUF's key-values in config.json's words ---- */

static const tola_value *under(const tola_value *m, const char *architecture, const char *key) {
    char name[192];
    const int n = snprintf(name, sizeof name, "%s.%s", architecture, key);
    return n > 0 && (size_t)n < sizeof name ? tola_value_get(m, name) : NULL;
}

static void put_value(buf *text, const char *key, const tola_value *v) {
    if (v == NULL) return;
    if (v->kind == TOLA_VALUE_ARRAY) {
        buf_printf(text, ", \"%s\": [", key);
        for (size_t i = 0; i < v->as.array.count && i < SHAPE_MOST_LAYERS; i++) {
            const tola_value item = tola_value_at(v, i);
            buf_printf(text, "%s%" PRIu64, i ? ", " : "", tola_value_u64(&item, 0));
        }
        buf_printf(text, "]");
    } else if (v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_INT) {
        buf_printf(text, ", \"%s\": %" PRIu64, key, tola_value_u64(v, 0));
    }
}

static uint64_t largest_of(const tola_value *v) {
    if (v == NULL || v->kind != TOLA_VALUE_ARRAY) return tola_value_u64(v, 0);
    uint64_t most = 0;
    for (size_t i = 0; i < v->as.array.count; i++) {
        const tola_value item = tola_value_at(v, i);
        const uint64_t n = tola_value_u64(&item, 0);
        if (n > most) most = n;
    }
    return most;
}

static void put_count(buf *text, const char *key, uint64_t n) {
    if (n > 0) buf_printf(text, ", \"%s\": %" PRIu64, key, n);
}

/* What gguf-py writes (constants.py, Keys) back in the words of config.json. */
static void put_gguf(buf *text, const tola_value *m, const char *a, const char *model_type, bool tied) {
    static const char *const pairs[][2] = {
        { "block_count", "num_hidden_layers" },
        { "embedding_length", "hidden_size" },
        { "context_length", "max_position_embeddings" },
        { "expert_used_count", "num_experts_per_tok" },
        { "expert_feed_forward_length", "moe_intermediate_size" },
        { "expert_shared_count", "n_shared_experts" },
        { "expert_shared_feed_forward_length", "shared_expert_intermediate_size" },
        { "leading_dense_block_count", "first_k_dense_replace" },
        { "attention.sliding_window", "sliding_window" },
        { "attention.kv_lora_rank", "kv_lora_rank" },
        { "attention.q_lora_rank", "q_lora_rank" },
        { "ssm.conv_kernel", "conv_kernel" },
        { "ssm.state_size", "ssm_state_size" },
        { "ssm.group_count", "n_groups" },
        { "ssm.time_step_rank", "time_step_rank" },
    };
    buf_printf(text, "{\"model_type\": \"%s\", \"" SHAPE_COMPLETE "\": true, \"tie_word_embeddings\": %s", model_type,
               tied ? "true" : "false");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) put_value(text, pairs[i][1], under(m, a, pairs[i][0]));
    put_count(text, "num_experts", tola_value_u64(under(m, a, "expert_count"), 0));
    put_count(text, "num_attention_heads", largest_of(under(m, a, "attention.head_count")));
    const tola_value *kv = under(m, a, "attention.head_count_kv");
    put_count(text, "num_key_value_heads", largest_of(kv));
    if (kv != NULL && kv->kind == TOLA_VALUE_ARRAY) put_value(text, "kv_heads_of_layers", kv);
    put_count(text, "intermediate_size", largest_of(under(m, a, "feed_forward_length")));
    uint64_t vocabulary = tola_value_u64(under(m, a, "vocab_size"), 0);
    const tola_value *tokens = tola_value_get(m, "tokenizer.ggml.tokens");
    if (vocabulary == 0 && tokens != NULL && tokens->kind == TOLA_VALUE_ARRAY) vocabulary = tokens->as.array.count;
    put_count(text, "vocab_size", vocabulary);
    const uint64_t rank = tola_value_u64(under(m, a, "attention.kv_lora_rank"), 0),
                   turned = tola_value_u64(under(m, a, "rope.dimension_count"), 0);
    uint64_t key = tola_value_u64(under(m, a, "attention.key_length_mla"), 0),
             value = tola_value_u64(under(m, a, "attention.value_length_mla"), 0);
    if (key == 0) key = tola_value_u64(under(m, a, "attention.key_length"), 0);
    if (value == 0) value = tola_value_u64(under(m, a, "attention.value_length"), 0);
    if (rank > 0 && key > turned) {
        put_count(text, "qk_rope_head_dim", turned);
        put_count(text, "qk_nope_head_dim", key - turned);
    } else
        put_count(text, "head_dim", key);
    put_count(text, "v_head_dim", value);
    buf_printf(text, "}");
}

static tola_status gguf_config(const tola_checkpoint *ck, arena *a, tola_value *out, bool *found, tola_error *err) {
    const tola_value *m = tola_checkpoint_metadata(ck);
    const char *architecture = tola_value_str(tola_value_get(m, "general.architecture"), NULL);
    *found = architecture != NULL && under(m, architecture, "block_count") != NULL;
    if (!*found) return TOLA_OK;
    const family *f = families_by_gguf(architecture);
    char word[64] = "";
    const char *types = f && f->model_types ? f->model_types : "";
    snprintf(word, sizeof word, "%.*s", (int)strcspn(types, " "), types);
    if (strcmp(word, "llama") == 0 && tola_value_u64(under(m, architecture, "expert_count"), 0) > 0)
        snprintf(word, sizeof word, "mixtral");
    buf text;
    buf_init(&text, 1u << 20);
    put_gguf(&text, m, architecture, word, tola_checkpoint_find(ck, "output.weight") == SIZE_MAX);
    tola_status status =
        text.failed ? err_nomem(err, "a model's shape") : json_parse((const char *)text.data, text.length, a, out, err);
    buf_free(&text);
    return status;
}

/* ---- the tensors ---- */

static bool is_key(const char *name) {
    return glob_match("*{k_proj,attn_k,wk,k_lin,attention.self.key,attention.key}.weight", name);
}
static bool is_value(const char *name) {
    return glob_match("*{v_proj,attn_v,wv,v_lin,attention.self.value,attention.value}.weight", name);
}

/* Layers as the names of tensors say, all alike: what is divided among them is the sum. */
static tola_status rows_of_tensors(shape_build *b, const tola_checkpoint *ck, const tola_summary *sum) {
    uint64_t layers = 0, key = 0, value = 0;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        size_t prefix;
        uint64_t index;
        if (!families_layer(t->name, &prefix, &index) || index >= SHAPE_MOST_LAYERS) continue;
        if (index + 1 > layers) layers = index + 1;
        if (t->n_dims != 2) continue;
        if (is_key(t->name) && t->shape[0] > key) key = t->shape[0];
        if (is_value(t->name) && t->shape[0] > value) value = t->shape[0];
    }
    if (layers == 0) return TOLA_OK;
    shape_layers l;
    memset(&l, 0, sizeof l);
    l.count = (uint32_t)layers;
    l.memory = key > 0 ? SHAPE_MEMORY_FULL : SHAPE_MEMORY_NONE;
    l.key_width = key;
    l.value_width = value;
    l.heads = l.kv_heads = key > 0;
    l.head_key = key;
    l.head_value = value;
    l.attention = sum->by_role[TOLA_ROLE_ATTENTION] / layers;
    l.dense = (sum->by_role[TOLA_ROLE_FEED_FORWARD] + sum->by_role[TOLA_ROLE_ROUTER]) / layers;
    l.norms = (sum->by_role[TOLA_ROLE_NORM] + sum->by_role[TOLA_ROLE_BIAS]) / layers;
    l.feed_forward = sum->feed_forward;
    if (sum->experts > 0 && sum->experts < SHAPE_MOST_EXPERTS && sum->experts_used <= sum->experts) {
        l.experts = (uint32_t)sum->experts;
        l.experts_used = (uint32_t)sum->experts_used;
        l.expert = sum->by_role[TOLA_ROLE_EXPERTS] / layers / l.experts;
    } else
        l.dense += sum->by_role[TOLA_ROLE_EXPERTS] / layers;
    layer_begin(b, 0);
    b->now = l;
    layer_end(b);
    if (shape_ok(b)) b->shape->layer_count = layers;
    b->shape->language = key > 0 && sum->by_role[TOLA_ROLE_EMBEDDING] > 0;
    return b->status;
}

static tola_status from_names(const char *name, const tola_checkpoint *ck, const tola_summary *sum, const char *why,
                              model_shape *out, tola_error *err) {
    shape_build b;
    TRY(shape_begin(name, out, &b, err));
    shape_note(&b, "%s: counted from the list of tensors", why);
    b.shape->from = SHAPE_FROM_TENSORS;
    b.shape->embedding = sum->by_role[TOLA_ROLE_EMBEDDING];
    b.shape->output = sum->by_role[TOLA_ROLE_OUTPUT];
    b.shape->tied = b.shape->output == 0;
    b.shape->width = sum->width;
    b.shape->vocabulary = sum->vocabulary;
    b.shape->context = sum->context;
    rows_of_tensors(&b, ck, sum);
    return shape_build_finish(&b);
}

/* ---- both together ---- */

static tola_status append_note(model_shape *s, const char *text, tola_error *err) {
    arena *a = s->owner;
    const char **notes = arena_alloc_array(a, s->note_count + 1, sizeof *notes);
    const char *copy = arena_strndup(a, text, strlen(text));
    if (notes == NULL || copy == NULL) return err_nomem(err, "a model's shape");
    if (s->note_count > 0) memcpy(notes, s->notes, s->note_count * sizeof *notes);
    notes[s->note_count++] = copy;
    s->notes = notes;
    return TOLA_OK;
}

/* Rows whose sum is more than the tensors hold cannot be right: parts are made smaller together. */
static void scale_rows(model_shape *s, double by) {
    for (size_t i = 0; i < s->layer_rows; i++) {
        shape_layers *l = &s->layers[i];
        l->attention = (uint64_t)((double)l->attention * by);
        l->queries = (uint64_t)((double)l->queries * by);
        l->dense = (uint64_t)((double)l->dense * by);
        l->expert = (uint64_t)((double)l->expert * by);
        l->norms = (uint64_t)((double)l->norms * by);
    }
    s->other = (uint64_t)((double)s->other * by);
}

/* The type that most bytes are of; integers, but for single bytes that are numbers themselves, hold packed weights. */
static const char *stored_name(const tola_summary *sum) {
    size_t most = 0;
    for (size_t i = 0; i < TOLA_DTYPE_COUNT; i++)
        if (sum->dtypes[i].bytes > sum->dtypes[most].bytes) most = i;
    if (sum->dtypes[most].bytes == 0) return NULL;
    const tola_dtype_kind kind = tola_dtype_get_kind((tola_dtype)most);
    const bool packed = most != TOLA_DTYPE_I8 && (kind == TOLA_KIND_INT || kind == TOLA_KIND_UINT);
    return packed ? "packed codes" : tola_dtype_name((tola_dtype)most);
}

static tola_status take_counts(model_shape *s, const tola_checkpoint *ck, const tola_summary *sum, tola_error *err) {
    char text[256];
    s->from = SHAPE_FROM_TENSORS;
    const bool whole = sum->missing_tensors == 0;
    const uint64_t said = s->parameters;
    uint64_t held = sum->parameters;
    if (!whole) held = sum->expected_parameters;
    if (whole) {
        s->stored_bytes = sum->bytes_tensors;
        s->stored_bits = sum->bits_per_weight;
        const char *stored = sum->quantization ? sum->quantization : stored_name(sum);
        if (stored != NULL && (s->stored = arena_strndup(s->owner, stored, strlen(stored))) == NULL)
            return err_nomem(err, "a model's shape");
    } else {
        if (sum->expected_bytes > 0) s->stored_bytes = sum->expected_bytes;
        TRY(append_note(s, "the index is here, but not all of its weights: counted from the configuration", err));
        if (sum->expected_bytes > 0 && said > 0) s->stored_bits = (double)sum->expected_bytes * 8 / (double)said;
        return TOLA_OK;
    }
    if (held == 0 || held == said) return TOLA_OK;
    if (said == 0) { /* names that say nothing */
        s->other = held;
        s->active = sum->active > 0 ? sum->active : held;
    } else if (held > said) {
        s->other += held - said;
        s->active = sum->active > 0 ? sum->active : s->active;
        if (held - said > said / 200) {
            snprintf(text, sizeof text,
                     "the tensors hold %" PRIu64 " parameters, the configuration says %" PRIu64
                     ": what is more is counted beside the layers",
                     held, said);
            TRY(append_note(s, text, err));
        }
    } else {
        const double tables = (double)s->embedding + (double)s->output;
        if ((double)held > tables && (double)said > tables)
            scale_rows(s, ((double)held - tables) / ((double)said - tables));
        s->active = sum->active > 0 && sum->active < held ? sum->active : held;
        snprintf(text, sizeof text,
                 "the tensors hold %" PRIu64 " parameters, the configuration says %" PRIu64
                 ": the tensors are believed",
                 held, said);
        TRY(append_note(s, text, err));
    }
    s->parameters = held;
    (void)ck;
    return TOLA_OK;
}

static const char *name_of(const tola_checkpoint *ck, const tola_summary *sum) {
    if (sum->name != NULL) return sum->name;
    const tola_file_info *file = tola_checkpoint_file(ck, 0);
    return file != NULL && file->path != NULL ? file->path : "model";
}

static tola_status with_summary(const tola_checkpoint *ck, const tola_summary *sum, model_shape *out, tola_error *err) {
    const tola_value *config = tola_checkpoint_config(ck);
    const char *name = name_of(ck, sum);
    tola_value gguf;
    tola_error detail = TOLA_ERROR_INIT;
    bool found = false;
    arena a;
    arena_init(&a, 64u << 20);
    tola_status status = TOLA_OK;
    if (config == NULL || config->kind != TOLA_VALUE_MAP || tola_value_get(config, "peft_type") != NULL) {
        config = NULL;
        status = gguf_config(ck, &a, &gguf, &found, err);
        if (found) config = &gguf;
    }
    if (status == TOLA_OK && config != NULL) {
        status = shape_of_config(name, config, out, &detail);
        if (status == TOLA_OK)
            status = take_counts(out, ck, sum, err);
        else if (status == TOLA_E_NOMEM || sum->parameters == 0) {
            if (err != NULL) *err = detail;
        } else {
            status = from_names(name, ck, sum, detail.message, out, err);
            if (status == TOLA_OK) status = take_counts(out, ck, sum, err);
        }
    } else if (status == TOLA_OK) {
        status = from_names(name, ck, sum, "no configuration", out, err);
        if (status == TOLA_OK) status = take_counts(out, ck, sum, err);
    }
    arena_free(&a);
    if (status == TOLA_OK && sum->architecture != NULL) out->family = sum->architecture;
    return status;
}

tola_status shape_of_checkpoint(const tola_checkpoint *ck, model_shape *out, tola_error *err) {
    tola_summary sum = { .size = sizeof sum };
    TRY(tola_summarize(ck, &sum, NULL, err));
    tola_status status = with_summary(ck, &sum, out, err);
    tola_summary_dispose(&sum);
    if (status != TOLA_OK) return status;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck); i++) {
        const uint64_t n = tola_checkpoint_tensor(ck, i)->elements;
        if (n > out->largest_tensor) out->largest_tensor = n;
    }
    return TOLA_OK;
}
