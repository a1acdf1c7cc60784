/* Which tensor gets which type: overrides by glob first, then the rules of a mixture where the names are GGUF's, else
 * one type for every matrix. */
#include "transform/quantize.h"
#include "base/err.h"
#include "base/text.h"
#include "codecs/codec.h"
#include "families/families.h"
#include "families/names.h"

#include <stdio.h>
#include <string.h>

typedef struct rule { /* of --override */
    const char *glob;
    quantize_type type;
    bool used;
} rule;

/* ---- what may be quantized ---- */

static bool is_number(const plan_tensor *t) {
    tola_dtype_kind kind = tola_dtype_get_kind((tola_dtype)t->from);
    return (kind == TOLA_KIND_FLOAT || kind == TOLA_KIND_BLOCK) && codec_decodes((tola_dtype)t->from) && t->piece_count;
}

static mixture_tensor as_mixture(const plan_tensor *t) { return (mixture_tensor){ t->name, t->shape, t->n_dims }; }

/* A matrix that a layer multiplies by, judged by its name: what the loaders of quantized layouts expect packed. */
static bool is_linear(const plan_tensor *t) {
    if (t->n_dims != 2 || !text_ends_with(t->name, ".weight")) return false;
    switch (families_role(t->name, (tola_dtype)t->from, t->n_dims)) {
    case TOLA_ROLE_EMBEDDING:
    case TOLA_ROLE_OUTPUT:
    case TOLA_ROLE_ROUTER:
    case TOLA_ROLE_NORM: return false;
    default: return true;
    }
}

static bool may_quantize(const quantize_job *j, const plan_tensor *t) {
    if (!is_number(t) || t->elements == 0 || t->n_dims < 2 || t->demanded) return false;
    if (j->has_model) {
        mixture_tensor m = as_mixture(t);
        return !mixture_keeps(&m, &j->model);
    }
    return strcmp(j->format.container, "gguf") == 0 || !(j->to.scheme || j->format.scheme) || is_linear(t);
}

/* ---- giving a type ---- */

static tola_status assign_scheme(quantize_job *j, size_t i, const quantize_type *type, tola_error *err) {
    plan_tensor *t = &j->w.plan.tensors[i];
    plan_encode *e = &j->encodes[i];
    scheme_layout *l = &e->layout;
    tola_error detail = TOLA_ERROR_INIT;
    *l = (scheme_layout){ .params = type->params,
                          .rows = t->elements / plan_columns(t),
                          .cols = plan_columns(t),
                          .matrices = 1 };
    tola_dtype from = (tola_dtype)t->from;
    bool block = tola_dtype_get_kind(from) == TOLA_KIND_BLOCK; /* its own scales are f16 */
    l->params.logical = from == TOLA_DTYPE_BF16           ? from
                        : from == TOLA_DTYPE_F16 || block ? TOLA_DTYPE_F16
                                                          : TOLA_DTYPE_F32;
    bool matrix = t->n_dims == 2 && l->cols <= ENCODE_MAX_ROW; /* the layouts have no place for another shape */
    tola_status status = matrix ? type->scheme->plan(l, &detail) : TOLA_E_FORMAT;
    if (status == TOLA_E_FORMAT) { /* does not fit: stays as it is */
        *l = (scheme_layout){ .rows = 0 };
        j->targets[i].wanted = type->name;
        return TOLA_OK;
    }
    if (status != TOLA_OK) {
        if (err) *err = detail;
        return status;
    }
    if (!j->kept) j->kept = type;
    if (j->kept->scheme != type->scheme || memcmp(&j->kept->params, &type->params, sizeof type->params) != 0)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "a configuration describes one quantized type, not %s and %s together", j->kept->name,
                       type->name);
    e->scheme = type->scheme;
    t->encode = e;
    j->targets[i].type = type->name;
    return TOLA_OK;
}

tola_status quantize_assign(quantize_job *j, size_t i, const quantize_type *type, tola_error *err) {
    plan_tensor *t = &j->w.plan.tensors[i];
    quantize_target *target = &j->targets[i];
    t->encode = NULL;
    target->type = target->wanted = NULL;
    if (type->scheme) return assign_scheme(j, i, type, err);
    tola_dtype dtype = type->dtype;
    if (tola_dtype_get_kind(dtype) == TOLA_KIND_BLOCK) {
        if (t->n_dims < 2) { /* llama.cpp keeps vectors, whatever it is told, and its operations want them so */
            target->wanted = type->name;
            return TOLA_OK;
        }
        dtype = mixture_fallback(dtype, plan_columns(t));
    }
    if (dtype != type->dtype) target->wanted = tola_dtype_name(type->dtype);
    t->dtype = (uint16_t)dtype;
    target->type = tola_dtype_name(dtype);
    return TOLA_OK;
}

/* A tensor that keeps its type, where the format holds it; otherwise the float that loses least. */
static void keep(quantize_job *j, plan_tensor *t) {
    if (j->w.format->holds((tola_dtype)t->dtype) || !is_number(t)) return;
    bool block = tola_dtype_get_kind((tola_dtype)t->dtype) == TOLA_KIND_BLOCK;
    t->dtype = (uint16_t)(block ? TOLA_DTYPE_F16 : TOLA_DTYPE_F32);
}

/* ---- overrides ---- */

static tola_status parse_rules(quantize_job *j, rule **out, size_t *count, tola_error *err) {
    const char *const *texts = j->options.override;
    tola_quantize_options options = j->options;
    options.pure = true; /* one tensor, one type */
    *count = 0;
    while (texts && texts[*count]) ++*count;
    rule *rules = arena_alloc_array(&j->w.plan.arena, *count ? *count : 1, sizeof *rules);
    if (!rules) return err_nomem(err, "reading overrides");
    for (size_t i = 0; i < *count; i++) {
        const char *equals = strrchr(texts[i], '=');
        if (!equals || equals == texts[i])
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "override '%s' is not of the form GLOB=TYPE", texts[i]);
        tola_error detail = TOLA_ERROR_INIT;
        tola_status status = quantize_type_find(equals + 1, &options, &j->format, &rules[i].type, &detail);
        if (status != TOLA_OK)
            return err_set(err, status, TOLA_NO_OFFSET, "override '%s': %s", texts[i], detail.message);
        rules[i].glob = arena_strndup(&j->w.plan.arena, texts[i], (size_t)(equals - texts[i]));
        rules[i].used = false;
        if (!rules[i].glob) return err_nomem(err, "reading overrides");
    }
    *out = rules;
    return TOLA_OK;
}

static tola_status apply_rules(quantize_job *j, rule *rules, size_t count, tola_error *err) {
    for (size_t i = 0; i < j->w.plan.count; i++) {
        plan_tensor *t = &j->w.plan.tensors[i];
        size_t k = 0;
        while (k < count && !glob_match(rules[k].glob, t->source) && !glob_match(rules[k].glob, t->name)) k++;
        if (k == count) continue;
        rules[k].used = true;
        if (!is_number(t) || t->elements == 0) continue;
        j->targets[i].overridden = true;
        j->targets[i].free = false;
        TRY(quantize_assign(j, i, &rules[k].type, err));
    }
    for (size_t k = 0; k < count; k++) {
        char line[256], quoted[160];
        if (rules[k].used) continue;
        text_quote(quoted, sizeof quoted, rules[k].glob, strlen(rules[k].glob));
        snprintf(line, sizeof line, "no tensor matches the override '%s'", quoted);
        writing_warn(&j->w, line);
    }
    return TOLA_OK;
}

/* ---- the rules of a mixture ---- */

/* What a mixture would choose if all rows filled blocks, in wanted[], beside what it does choose. */
static tola_status ask_mixture(quantize_job *j, tola_dtype *types, tola_dtype *wanted, tola_error *err) {
    const plan *p = &j->w.plan;
    arena *a = &j->w.plan.arena;
    mixture_tensor *tensors = arena_alloc_array(a, p->count, sizeof *tensors);
    if (!tensors) return err_nomem(err, "choosing types");
    for (size_t i = 0; i < p->count; i++) tensors[i] = as_mixture(&p->tensors[i]);
    TRY(mixture_choose(j->to.mixture, &j->model, tensors, p->count, types, NULL, err));
    for (size_t i = 0; i < p->count; i++) {
        const plan_tensor *t = &p->tensors[i];
        if (!t->n_dims || plan_columns(t) % 256 == 0) continue;
        uint64_t *shape = arena_alloc_array(a, t->n_dims, sizeof *shape);
        if (!shape) return err_nomem(err, "choosing types");
        memcpy(shape, t->shape, t->n_dims * sizeof *shape);
        shape[t->n_dims - 1] = plan_columns(t) / 256 * 256 + 256;
        tensors[i].shape = shape;
    }
    return mixture_choose(j->to.mixture, &j->model, tensors, p->count, wanted, NULL, err);
}

static tola_status choose_by_mixture(quantize_job *j, tola_error *err) {
    const plan *p = &j->w.plan;
    tola_dtype *types = arena_alloc_array(&j->w.plan.arena, p->count, sizeof *types);
    tola_dtype *wanted = arena_alloc_array(&j->w.plan.arena, p->count, sizeof *wanted);
    if (!types || !wanted) return err_nomem(err, "choosing types");
    TRY(ask_mixture(j, types, wanted, err));
    for (size_t i = 0; i < p->count; i++) {
        if (!j->targets[i].quantizable || types[i] == TOLA_DTYPE_NONE) continue;
        quantize_type type = { .name = tola_dtype_name(types[i]), .dtype = types[i] };
        TRY(quantize_assign(j, i, &type, err));
        j->targets[i].free = true;
        if (wanted[i] != types[i]) j->targets[i].wanted = tola_dtype_name(wanted[i]);
    }
    return TOLA_OK;
}

static tola_status choose_alike(quantize_job *j, tola_error *err) {
    for (size_t i = 0; i < j->w.plan.count; i++) {
        if (!j->targets[i].quantizable) continue;
        TRY(quantize_assign(j, i, &j->to, err));
        j->targets[i].free = true;
    }
    return TOLA_OK;
}

/* ---- importance ---- */

/* An importance matrix speaks of GGUF's names; a tensor that keeps Hugging Face's is looked up by what it would be
 * called there, an expert among those that are stacked there. */
static tola_status find_importance(quantize_job *j, family_map map, uint64_t experts, size_t i, tola_error *err) {
    const plan_tensor *t = &j->w.plan.tensors[i];
    plan_encode *e = &j->encodes[i];
    uint64_t matrices = t->n_dims == 3 ? t->shape[0] : 1, expert = 0;
    const char *name = t->name;
    char buffer[256];
    name_match match;
    e->importance_matrices = matrices;
    if (map != FAMILY_MAP_NONE && names_match_hf(map, name, &match)) {
        if (!names_format(match.row->gguf, match.layer, 0, buffer, sizeof buffer)) return TOLA_OK;
        name = buffer;
        if ((match.row->flags & NAME_EXPERT) && match.expert < experts) {
            matrices = experts;
            expert = match.expert;
        }
    }
    tola_status status = imatrix_values(j->importance, name, matrices, plan_columns(t), &e->importance, err);
    if (status != TOLA_OK) return err_in_file(err, status, j->options.imatrix);
    if (!e->importance) return TOLA_OK;
    e->importance += expert * plan_columns(t);
    j->targets[i].important = true;
    j->important++;
    return TOLA_OK;
}

static tola_status take_importance(quantize_job *j, tola_error *err) {
    size_t without = 0;
    if (!j->importance) return TOLA_OK;
    const family *f = strcmp(j->format.container, "gguf") != 0 ? families_detect(j->w.in) : NULL;
    family_hyper hyper = { .experts = 0 };
    if (f) families_hyper_of(j->w.in, &hyper);
    for (size_t i = 0; i < j->w.plan.count; i++) {
        if (!j->targets[i].quantizable) continue;
        TRY(find_importance(j, f ? f->map : FAMILY_MAP_NONE, hyper.experts, i, err));
        without += !j->targets[i].important;
    }
    if (!j->important)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: none of its %zu entries is for a tensor of this model",
                       j->options.imatrix, imatrix_count(j->importance));
    if (without) {
        char line[160];
        snprintf(line, sizeof line, "%zu of %zu quantized tensors are not in the importance matrix", without,
                 without + j->important);
        writing_warn(&j->w, line);
    }
    return TOLA_OK;
}

/* ---- all of it ---- */

tola_status quantize_choose(quantize_job *j, tola_error *err) {
    plan *p = &j->w.plan;
    rule *rules = NULL;
    size_t count = 0;
    TRY(parse_rules(j, &rules, &count, err));
    for (size_t i = 0; i < p->count; i++) {
        j->targets[i].quantizable = may_quantize(j, &p->tensors[i]);
        j->targets[i].free = j->targets[i].quantizable;
    }
    TRY(take_importance(j, err));
    if (j->to.mixture && j->has_model)
        TRY(choose_by_mixture(j, err));
    else if (j->to.name)
        TRY(choose_alike(j, err));
    TRY(apply_rules(j, rules, count, err));
    for (size_t i = 0; i < p->count; i++)
        if (!j->targets[i].type) keep(j, &p->tensors[i]);
    return TOLA_OK;
}
