#include "learn/decoder.h"

#include "base/err.h"
#include "base/json.h"
#include "base/path.h"
#include "formats/open.h"
#include <tola/json.h>
#include <tola/tokenizer.h>
#include <tola/transform.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_CONFIG ((uint64_t)16 << 20)

/* ---- configurations ---- */

static void put(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    tola_json_u64(j, value);
}

static void put_text(tola_json *j, const char *key, const char *value) {
    tola_json_key(j, key);
    tola_json_string(j, value);
}

static void put_token(tola_json *j, const char *key, uint32_t id) {
    tola_json_key(j, key);
    if (id == TOLA_NO_TOKEN)
        tola_json_null(j);
    else
        tola_json_u64(j, id);
}

static void put_flag(tola_json *j, const char *key, bool value) {
    tola_json_key(j, key);
    tola_json_bool(j, value);
}

/* Words of transformers' GPT2Config. */
static void config_gpt2(tola_json *j, const recipe *r, uint32_t feed_forward) {
    put(j, "n_embd", r->model.width);
    put(j, "n_layer", r->model.depth);
    put(j, "n_head", r->model.heads);
    put(j, "n_positions", r->model.context);
    put(j, "n_ctx", r->model.context);
    put(j, "n_inner", feed_forward);
    put_text(j, "activation_function", "gelu_new");
    tola_json_key(j, "layer_norm_epsilon");
    tola_json_f64(j, 1e-5);
}

/* Words of LlamaConfig and its kin. */
static void config_llama(tola_json *j, const recipe *r, uint32_t feed_forward) {
    const uint32_t heads = r->model.heads;
    put(j, "hidden_size", r->model.width);
    put(j, "num_hidden_layers", r->model.depth);
    put(j, "num_attention_heads", heads);
    put(j, "num_key_value_heads", r->model.kv_heads ? r->model.kv_heads : heads);
    put(j, "head_dim", r->model.head_width ? r->model.head_width : r->model.width / heads);
    put(j, "intermediate_size", feed_forward);
    put(j, "max_position_embeddings", r->model.context);
    put_text(j, "hidden_act", "silu");
    tola_json_key(j, "rms_norm_eps");
    tola_json_f64(j, 1e-5);
    tola_json_key(j, "rope_theta");
    tola_json_f64(j, r->model.rope_theta);
    if (r->model.experts) {
        put(j, "num_local_experts", r->model.experts);
        put(j, "num_experts_per_tok", r->model.experts_used ? r->model.experts_used : 2);
    }
}

static const struct {
    const char *name, *class_name;
    void (*write)(tola_json *j, const recipe *r, uint32_t feed_forward);
    bool experts;
} architectures[] = {
    { "llama", "LlamaForCausalLM", config_llama, false },    { "mistral", "MistralForCausalLM", config_llama, false },
    { "mixtral", "MixtralForCausalLM", config_llama, true }, { "qwen2", "Qwen2ForCausalLM", config_llama, false },
    { "qwen3", "Qwen3ForCausalLM", config_llama, false },    { "gpt2", "GPT2LMHeadModel", config_gpt2, false },
};

static tola_status check_shape(const recipe *r, tola_error *err) {
    const yaml_node *node = r->model.node;
    if (!r->model.head_width && r->model.width % r->model.heads != 0)
        return yaml_error(node, err, "a width of %u does not divide into %u heads", r->model.width, r->model.heads);
    if (r->model.kv_heads && r->model.heads % r->model.kv_heads != 0)
        return yaml_error(node, err, "%u heads do not divide among %u key heads", r->model.heads, r->model.kv_heads);
    if (r->model.experts_used > r->model.experts)
        return yaml_error(node, err, "%u of %u experts", r->model.experts_used, r->model.experts);
    return TOLA_OK;
}

static tola_status write_config(const recipe *r, const decoder_tokens *tokens, decoder *d, tola_error *err) {
    size_t k = 0;
    buf text;
    tola_json j;
    while (strcmp(architectures[k].name, r->model.architecture) != 0) k++; /* recipe.c knows the same words */
    TRY(check_shape(r, err));
    if (architectures[k].experts != (r->model.experts != 0))
        return yaml_error(r->model.node, err,
                          architectures[k].experts ? "'%s' wants 'experts'"
                                                   : "'%s' has no experts; "
                                                     "'mixtral' has",
                          r->model.architecture);
    /* as large as in the models themselves: 4 times the width, or 8/3 of it where there are three matrices */
    bool gpt2 = architectures[k].write == config_gpt2;
    uint32_t feed_forward = r->model.feed_forward ? r->model.feed_forward
                            : gpt2                ? 4 * r->model.width
                                                  : (r->model.width * 8 / 3 + 31) / 32 * 32;
    buf_init(&text, (size_t)MAX_CONFIG);
    tola_json_init(&j, json_to_buf, &text, 2);
    tola_json_begin_object(&j);
    tola_json_key(&j, "architectures");
    tola_json_begin_array(&j);
    tola_json_string(&j, architectures[k].class_name);
    tola_json_end_array(&j);
    put_text(&j, "model_type", architectures[k].name);
    put(&j, "vocab_size", tokens->vocabulary);
    architectures[k].write(&j, r, feed_forward);
    put_flag(&j, "tie_word_embeddings", r->model.tied);
    put_token(&j, "bos_token_id", tokens->bos);
    put_token(&j, "eos_token_id", tokens->eos);
    tola_json_key(&j, "initializer_range");
    tola_json_f64(&j, r->model.deviation);
    put_text(&j, "torch_dtype", "float32");
    put_flag(&j, "use_cache", true);
    tola_json_end_object(&j);
    bool made = tola_json_finish(&j);
    buf_append(&text, "\n", 1);
    if (!made || text.failed) {
        buf_free(&text);
        return err_nomem(err, "the configuration");
    }
    d->config = (char *)text.data;
    d->config_length = text.length;
    return TOLA_OK;
}

/* ---- initial values ---- */

/* Matrices are drawn from normal(0, deviation); those that add to the residual stream with 1 / sqrt(2 layers) of it, as
 * GPT-2 does. Vectors of norms are 1, biases 0. */
static void draw(void *user, const char *name, const model_want *want, uint64_t first, size_t count, float *dst) {
    const struct decoder_draw *d = user;
    bool bias = strstr(want->word, ".bias") != NULL, norm = strstr(want->word, "norm") != NULL;
    bool residual = strstr(want->word, "attn_output.weight") || strstr(want->word, "ffn_down");
    if (bias)
        learn_draw(LEARN_ZEROS, 0, 0, name, first, count, dst);
    else if (norm && d->norm == 0)
        learn_draw(LEARN_ZEROS, 0, 0, name, first, count, dst);
    else if (norm)
        learn_draw(LEARN_ONES, 0, 0, name, first, count, dst);
    else
        learn_draw(LEARN_NORMAL, (float)(residual ? d->deviation * d->residual : d->deviation), d->seed, name, first,
                   count, dst);
}

static tola_status open_new(const recipe *r, decoder *d, tola_error *err) {
    d->draw = (struct decoder_draw){ .seed = r->seed, .deviation = r->model.deviation, .residual = 1, .norm = 1 };
    TRY(model_fresh(d->config, d->config_length, draw, &d->draw, &d->checkpoint, err));
    TRY(model_describe(d->checkpoint, 0, &d->description, err));
    d->draw.residual = 1 / sqrt(2.0 * d->description->layer_count);
    d->draw.norm = d->description->norm_offset == 0; /* Gemma stores what is added to 1 */
    return TOLA_OK;
}

tola_status decoder_open(const recipe *r, const decoder_tokens *tokens, decoder *d, tola_error *err) {
    *d = (decoder){ .config = NULL };
    if (r->model.weights) {
        TRY(model_open(r->model.weights, &d->checkpoint, err));
        TRY(model_describe(d->checkpoint, 0, &d->description, err));
    } else {
        if (r->model.config)
            TRY(ck_read_whole(r->model.config, MAX_CONFIG, &d->config, &d->config_length, err));
        else
            TRY(write_config(r, tokens, d, err));
        tola_status status = open_new(r, d, err);
        if (status != TOLA_OK) return r->model.config ? err_in_file(err, status, r->model.config) : status;
    }
    if (d->description->encoder)
        return yaml_error(r->model.node, err, "%s does not predict tokens", d->description->family->name);
    TRY(model_weights_open(d->checkpoint, d->description, &d->weights, err));
    model_weights_learn(d->weights, NULL, NULL);
    return TOLA_OK;
}

void decoder_close(decoder *d) {
    model_weights_free(d->weights);
    model_description_free(d->description);
    tola_checkpoint_close(d->checkpoint);
    mem_free(d->config);
    *d = (decoder){ .config = NULL };
}

/* ---- the graph ---- */

tola_status decoder_add_master(const model_master *m, bool decay_embeddings, learn_parameters *p, tola_error *err) {
    char name[128];
    learn_parameter *added;
    if (m->layer == UINT32_MAX)
        snprintf(name, sizeof name, "%.100s", m->word);
    else
        snprintf(name, sizeof name, "blk.%u.%.100s", m->layer, m->word);
    char *kept = arena_strndup(&p->arena, name, strlen(name));
    if (!kept) return err_nomem(err, "parameters");
    TRY(learn_parameters_add(p, kept, m->weight, m->values, &added, err));
    bool table = strcmp(m->word, "token_embd.weight") == 0 || strcmp(m->word, "position_embd.weight") == 0;
    if (table && !decay_embeddings) added->decays = false;
    if (strstr(m->word, ".bias")) added->decays = false; /* of experts, too */
    return TOLA_OK;
}

static tola_status append_all(const decoder *d, const recipe *r, learn_parameters *p, graph *g, tola_error *err) {
    const graph_parameter *list = NULL;
    graph_value logits = model_append(g, d->description, d->weights, NULL, 0, false);
    graph_value loss = graph_cross_entropy(g, r->model.smoothing, logits), outputs[4] = { loss, logits };
    size_t losses = 1, count = 2;
    if (r->distill.teacher) {
        outputs[0] = graph_scale(g, 1 - r->distill.share, loss);
        outputs[1] = graph_scale(g, r->distill.share, graph_divergence(g, r->distill.temperature, logits));
        outputs[2] = logits;
        outputs[3] = loss;
        losses = 2, count = 4;
    }
    if (!graph_failed(g)) {
        for (size_t i = 0; i < model_master_count(d->weights); i++)
            TRY(decoder_add_master(model_master_at(d->weights, i), r->decay_embeddings, p, err));
        TRY(learn_parameters_list(p, &list, err));
        graph_differentiate(g, list, p->count, outputs, losses,
                            r->training.recompute ? GRAPH_RECOMPUTE_LAYERS : GRAPH_KEEP_ALL);
    }
    return graph_finish(g, outputs, count, err);
}

tola_status decoder_build(const decoder *d, const recipe *r, learn_parameters *p, graph **out, tola_error *err) {
    graph *g;
    TRY(graph_create_training(&g, err));
    tola_status status = append_all(d, r, p, g, err);
    if (status == TOLA_OK)
        *out = g;
    else
        graph_free(g);
    return status;
}

/* ---- writing ---- */

static tola_status copy_tensors(const tola_checkpoint *ck, tola_writer *w, tola_error *err) {
    enum { PIECE = 4 << 20 };
    uint8_t *piece = mem_alloc_aligned(64, PIECE);
    if (!piece) return err_nomem(err, "writing the model");
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < tola_checkpoint_tensor_count(ck) && status == TOLA_OK; i++) {
        uint64_t bytes = tola_checkpoint_tensor(ck, i)->bytes;
        for (uint64_t at = 0; at < bytes && status == TOLA_OK; at += PIECE) {
            size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
            status = tola_checkpoint_read(ck, i, at, piece, n, err);
            if (status == TOLA_OK) status = tola_writer_write(w, i, at, piece, n, err);
        }
    }
    mem_free(piece);
    return status;
}

static tola_status write_view(const tola_checkpoint *ck, const char *folder, const learn_companion *companions,
                              size_t count, tola_error *err) {
    size_t n = tola_checkpoint_tensor_count(ck);
    tola_tensor_spec *specs = mem_calloc(n + 1, sizeof *specs);
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    tola_writer *w = NULL;
    if (!specs) return err_nomem(err, "writing the model");
    for (size_t i = 0; i < n; i++) {
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, i);
        specs[i] = (tola_tensor_spec){ t->name, t->shape, t->n_dims, t->dtype, t->flags & TOLA_TENSOR_PARAMETER };
    }
    const tola_member kind = { { "format", 6 }, { .kind = TOLA_VALUE_STRING, .as.string = { "pt", 2 } } };
    const tola_value metadata = { .kind = TOLA_VALUE_MAP, .as.map = { &kind, 1 } }; /* transformers asks for it */
    options.overwrite = options.folder = true;
    options.metadata = &metadata;
    tola_status status = tola_writer_open(folder, specs, n, &options, &w, err);
    mem_free(specs);
    if (status == TOLA_OK) status = copy_tensors(ck, w, err);
    for (size_t i = 0; i < count && status == TOLA_OK; i++)
        status = tola_writer_companion(w, companions[i].name, companions[i].data, companions[i].bytes, err);
    if (status == TOLA_OK) return tola_writer_finish(w, err);
    tola_writer_abort(w);
    return status;
}

/* A given model in the layout and the dtypes that it has, with all that lies beside it. */
static tola_status write_given(const decoder *d, const char *folder, tola_error *err) {
    tola_convert_options o = TOLA_CONVERT_OPTIONS_INIT;
    tola_checkpoint *view;
    const bool gguf = d->description->gguf;
    o.folder = !gguf;
    o.overwrite = true;
    o.format = gguf ? "gguf" : "safetensors";
    o.threads = d->threads;
    char *path = gguf ? path_join(folder, "model.gguf") : mem_strdup(folder);
    if (!path) return err_nomem(err, "writing the model");
    tola_status status = model_weights_view(d->weights, TOLA_DTYPE_NONE, &view, err);
    if (status == TOLA_OK) {
        status = tola_convert(view, path, &o, NULL, err);
        tola_checkpoint_close(view);
    }
    mem_free(path);
    return status;
}

tola_status decoder_write(const decoder *d, const char *folder, const learn_companion *companions, size_t count,
                          tola_error *err) {
    tola_checkpoint *view;
    if (!d->config) return write_given(d, folder, err);
    TRY(model_weights_view(d->weights, TOLA_DTYPE_F32, &view, err));
    tola_status status = write_view(view, folder, companions, count, err);
    tola_checkpoint_close(view);
    return status;
}
