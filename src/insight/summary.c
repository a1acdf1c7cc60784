/* What a checkpoint is: parameters by role, active parameters, dtypes, shape of the network. Headers only.
 *
 * Names are understood by families/, packed weights by packed.c, files beside the weights by describe.c; the sums are
 * made here, in one walk over the tensors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "families/families.h"
#include "insight/companion.h"
#include "insight/describe.h"
#include "insight/packed.h"
#include "insight/shared.h"
#include <tola/insight.h>

_Static_assert((int)TOLA_ROLE_COUNT <= TOLA_SUMMARY_ROLES && (int)TOLA_DTYPE_COUNT <= TOLA_SUMMARY_DTYPES,
               "the arrays of tola_summary hold every role and dtype");

bool tola_glob_match(const char *pattern, const char *name) { return glob_match(pattern, name); }

const char *tola_role_name(tola_role role) {
    static const char *const names[TOLA_ROLE_COUNT] = {
        "other",  "embedding",   "attention", "feed_forward", "experts", "router",       "norm", "bias",
        "output", "convolution", "recurrent", "adapter",      "buffer",  "quantization", "state" };
    return (unsigned)role < TOLA_ROLE_COUNT ? names[role] : "?";
}

/* Of an index only its metadata is wanted, which comes before the list of tensors. */
#define INDEX_HEAD (64u << 10)

/* What is kept until tola_summary_dispose. */
typedef struct summary_owner {
    arena arena;
} summary_owner;

typedef struct summing {
    const tola_checkpoint *ck;
    arena *a;
    tola_summary *s;
    packing packing;
    uint8_t *roles;
    uint64_t *own;           /* bytes of each tensor, shared ones once */
    uint64_t weight_bytes;   /* of parameters and their scales */
    uint64_t routed;         /* parameters of routed experts in the layers that every token passes */
    uint64_t idle;           /* parameters that only predict tokens further ahead */
    uint64_t counted_layers; /* seen in names */
    uint64_t first_extra;    /* layers from this one on predict further tokens; UINT64_MAX: none */
    const char **warnings;
    size_t warning_count, warning_cap;
} summing;

/* ---- warnings ---- */

static bool add_warning(summing *w, const char *text) {
    if (!text || !mem_grow(&w->warnings, &w->warning_cap, w->warning_count + 1, sizeof *w->warnings)) return false;
    w->warnings[w->warning_count++] = text;
    return true;
}

/* ---- shape of the network ---- */

/* DeepSeek-V3, GLM-4.5 and others append layers that predict a token further ahead; they are stored, but generating a
 * token does not pass through them. GGUF counts them among its blocks, Hugging Face does not. */
static uint64_t first_extra_layer(const tola_checkpoint *ck, const char *architecture, uint64_t layers) {
    const tola_value *text = families_text_config(tola_checkpoint_config(ck));
    uint64_t extra = tola_value_u64(tola_value_get(text, "num_nextn_predict_layers"), 0);
    if (extra) return layers ? layers : UINT64_MAX;
    if (!architecture) return UINT64_MAX;
    char key[128];
    snprintf(key, sizeof key, "%.64s.nextn_predict_layers", architecture);
    extra = tola_value_u64(tola_value_get(tola_checkpoint_metadata(ck), key), 0);
    return extra && extra < layers ? layers - extra : UINT64_MAX;
}

static void read_shape(summing *w) {
    tola_summary *s = w->s;
    family_hyper h;
    const family *f = families_detect(w->ck);
    const tola_value *config = tola_checkpoint_config(w->ck);
    const char *gguf = tola_value_str(tola_value_get(tola_checkpoint_metadata(w->ck), "general.architecture"), NULL);
    s->architecture = f ? f->name : tola_value_str(tola_value_get(config, "model_type"), gguf);
    const tola_value *classes = tola_value_get(config, "architectures");
    if (classes && classes->kind == TOLA_VALUE_ARRAY && classes->as.array.count) {
        tola_value first = tola_value_at(classes, 0);
        const char *name = tola_value_str(&first, NULL);
        s->model_class = name ? describe_text(w->a, "%s", name) : NULL;
    }
    families_hyper_of(w->ck, &h);
    s->layers = h.layers;
    s->heads = h.heads;
    s->kv_heads = h.kv_heads;
    s->width = h.width;
    s->feed_forward = h.feed_forward;
    s->context = h.context;
    s->vocabulary = h.vocabulary;
    s->experts = h.experts;
    s->experts_used = h.experts_used;
    s->head_dim = h.head_dim;
    w->first_extra = first_extra_layer(w->ck, gguf, h.layers);
}

/* ---- one tensor ---- */

static uint64_t scale_u64(uint64_t value, uint64_t numerator, uint64_t denominator) {
    return denominator ? (uint64_t)((unsigned __int128)value * numerator / denominator) : 0;
}

/* Does the component name[0 .. length) stand before the number of a layer? */
static bool is_layer_word(const char *name, size_t length) {
    static const char *const words[] = { "layers", "layer", "blk", "h", "blocks", "block" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && memcmp(name, words[i], length) == 0) return true;
    return false;
}

/* "model.layers.12.mlp.up_proj.weight" -> 12. One walk over the characters: models have 100,000 names. */
static bool layer_of(const char *name, uint64_t *layer) {
    const char *before = NULL, *component = name;
    for (const char *p = name;; p++) {
        if (*p && *p != '.') continue;
        if (before && *component >= '0' && *component <= '9') {
            uint64_t value = 0;
            const char *d = component;
            while (d < p && d - component < 9 && *d >= '0' && *d <= '9') value = value * 10 + (uint64_t)(*d++ - '0');
            *layer = value;
            return d == p && is_layer_word(before, (size_t)(component - 1 - before));
        }
        if (!*p) return false;
        before = component;
        component = p + 1;
    }
}

/* Does generating a token leave this tensor alone? */
static bool is_extra(const summing *w, const char *name, bool in_layer, uint64_t layer) {
    if (strncmp(name, "mtp.", 4) == 0 || strncmp(name, "model.mtp.", 10) == 0) return true;
    return in_layer && layer >= w->first_extra;
}

/* The shape of the network as the tensors show it, for checkpoints that come without a configuration. */
static void learn_from(summing *w, const tola_tensor_info *t, tola_role role) {
    if (role != TOLA_ROLE_EMBEDDING || t->n_dims != 2 || w->s->vocabulary) return;
    static const char *const words[] = { "embed_tokens", "wte", "token_embd", "word_embeddings", "tok_embeddings" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strstr(t->name, words[i])) continue;
        w->s->vocabulary = t->shape[0];
        if (!w->s->width) w->s->width = t->shape[1];
        return;
    }
}

static void count_parameters(summing *w, const tola_tensor_info *t, tola_role role, uint64_t weights) {
    uint64_t layer = 0;
    bool in_layer = layer_of(t->name, &layer);
    if (in_layer && layer + 1 > w->counted_layers && layer < w->first_extra) w->counted_layers = layer + 1;
    w->s->parameters += weights;
    w->s->by_role[role] += weights;
    if (is_extra(w, t->name, in_layer, layer))
        w->idle += weights;
    else if (role == TOLA_ROLE_EXPERTS)
        w->routed += weights;
    learn_from(w, t, role);
}

static void count_tensor(summing *w, size_t index) {
    const tola_tensor_info *t = tola_checkpoint_tensor(w->ck, index);
    tola_summary *s = w->s;
    if (t->flags & TOLA_TENSOR_MISSING) {
        s->missing_tensors++;
        return;
    }
    uint64_t own = w->own[index], weights;
    tola_role role = packing_role(&w->packing, t, (tola_role)w->roles[index], &weights);
    w->roles[index] = (uint8_t)role;
    uint64_t elements = own == t->bytes ? t->elements : scale_u64(t->elements, own, t->bytes);
    if (own != t->bytes) weights = scale_u64(weights, own, t->bytes);
    s->bytes_tensors += own;
    if (t->dtype < TOLA_DTYPE_COUNT) {
        s->dtypes[t->dtype].tensors++;
        s->dtypes[t->dtype].elements += elements;
        s->dtypes[t->dtype].bytes += own;
    }
    if (role == TOLA_ROLE_STATE) {
        s->states++;
        s->state_elements += elements;
    } else if (role == TOLA_ROLE_BUFFER) {
        s->buffers += elements;
    } else if (role != TOLA_ROLE_QUANT) {
        count_parameters(w, t, role, weights);
    }
    if (role == TOLA_ROLE_QUANT || (role != TOLA_ROLE_STATE && role != TOLA_ROLE_BUFFER)) w->weight_bytes += own;
}

/* ---- what the sums say ---- */

static void finish_sums(summing *w) {
    tola_summary *s = w->s;
    uint64_t resting = w->idle;
    if (s->experts && s->experts_used && s->experts_used <= s->experts)
        resting += w->routed - scale_u64(w->routed, s->experts_used, s->experts);
    s->active = s->parameters - resting;
    s->bits_per_weight = s->parameters ? (double)w->weight_bytes * 8 / (double)s->parameters : 0;
    for (size_t i = 0; i < tola_checkpoint_file_count(w->ck); i++)
        s->bytes_files += tola_checkpoint_file(w->ck, i)->bytes;
}

/* What the index promises about tensors whose shards are not there: {"metadata": {"total_size": ...}, ...}. */
static void read_index(summing *w) {
    static const char *const names[] = { "model.safetensors.index.json", "pytorch_model.bin.index.json" };
    companions c;
    companion file;
    tola_value metadata;
    companions_init(&c, w->ck);
    for (size_t i = 0; i < 2 && w->s->missing_tensors; i++) {
        if (!companion_read(&c, names[i], INDEX_HEAD, &file)) continue;
        json_reader r;
        json_reader_init(&r, file.data, file.bytes, 0);
        if (companion_find(&r, "metadata") && json_parse_next(&r, w->a, &metadata, NULL) == TOLA_OK) {
            w->s->expected_bytes = tola_value_u64(tola_value_get(&metadata, "total_size"), 0);
            w->s->expected_parameters = tola_value_u64(tola_value_get(&metadata, "total_parameters"), 0);
        }
        json_reader_free(&r);
        companion_free(&file);
        return;
    }
}

static void describe_quantization(summing *w) {
    char text[256];
    tola_summary *s = w->s;
    const tola_value *type = tola_value_get(tola_checkpoint_metadata(w->ck), "general.file_type");
    if (packing_describe(&w->packing, text, sizeof text))
        s->quantization = describe_text(w->a, "%s", text);
    else if (type)
        s->quantization = describe_file_type(tola_value_u64(type, UINT64_MAX));
}

/* Contradictions between configuration and tensors that a loader would trip over. */
static void check_shape(summing *w) {
    tola_summary *s = w->s;
    if (s->missing_tensors || s->adapter) return;
    if (s->layers && w->counted_layers && w->counted_layers < s->layers && w->first_extra == UINT64_MAX)
        add_warning(w, describe_text(w->a, "the configuration has %" PRIu64 " layers, the tensors %" PRIu64, s->layers,
                                     w->counted_layers));
    if (!s->layers) s->layers = w->counted_layers;
}

static tola_status sum(summing *w, tola_error *err) {
    tola_summary *s = w->s;
    size_t count = tola_checkpoint_tensor_count(w->ck);
    TRY(shared_own_bytes(w->ck, w->own, &s->shared_tensors, err));
    read_shape(w);
    packing_init(&w->packing, w->ck);
    families_roles(w->ck, w->roles);
    for (size_t i = 0; i < count; i++) count_tensor(w, i);
    finish_sums(w);
    read_index(w);
    describe_quantization(w);
    describe(w->ck, w->a, s);
    for (size_t i = 0; i < tola_checkpoint_warning_count(w->ck); i++) {
        /* the checkpoint outlives its summary only by the caller's promise, the list is ours */
        if (!add_warning(w, tola_checkpoint_warning(w->ck, i))) return err_nomem(err, "summing up a checkpoint");
    }
    check_shape(w);
    if (w->warning_count) {
        const char **list = arena_alloc_array(w->a, w->warning_count, sizeof *list);
        if (!list) return err_nomem(err, "summing up a checkpoint");
        memcpy(list, w->warnings, w->warning_count * sizeof *list);
        s->warnings = list;
        s->warning_count = w->warning_count;
    }
    return TOLA_OK;
}

tola_status tola_summarize(const tola_checkpoint *checkpoint, tola_summary *out, uint8_t *roles, tola_error *err) {
    size_t count = tola_checkpoint_tensor_count(checkpoint);
    tola_summary result;
    memset(&result, 0, sizeof result);
    result.size = sizeof result;
    summary_owner *owner = mem_calloc(1, sizeof *owner);
    if (!owner) return err_nomem(err, "summing up a checkpoint");
    arena_init(&owner->arena, 0);
    result.owner = owner;
    summing w = { .ck = checkpoint, .a = &owner->arena, .s = &result };
    w.roles = roles ? roles : mem_calloc(count + 1, 1);
    w.own = mem_alloc((count + 1) * sizeof *w.own);
    tola_status status = w.roles && w.own ? sum(&w, err) : err_nomem(err, "summing up a checkpoint");
    mem_free(w.warnings);
    mem_free(w.own);
    if (w.roles != roles) mem_free(w.roles);
    if (status == TOLA_OK)
        *out = result;
    else
        tola_summary_dispose(&result);
    return status;
}

void tola_summary_dispose(tola_summary *summary) {
    if (!summary || !summary->owner) return;
    summary_owner *owner = summary->owner;
    arena_free(&owner->arena);
    mem_free(owner);
    summary->owner = NULL;
}
