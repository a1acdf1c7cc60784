/* Walking the values of a pickle: names for tensors, metadata for the rest. See torch_state.h. */
#include "formats/torch_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* What a walk brings back: a value for the metadata, or nothing where all of it became tensors. */
typedef struct found {
    tola_value value;
    bool present;
} found;

static tola_status walk(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out, tola_error *err);

/* ---- names ---- */

/* Appends one component to the path; `*length` is for pop_name. */
static tola_status push_name(torch_state *s, const char *text, size_t bytes, size_t *length, tola_error *err) {
    *length = s->path.length;
    if (s->path.length > strlen(s->prefix)) buf_u8(&s->path, '.');
    buf_append(&s->path, text, bytes);
    if (s->path.failed || s->path.length > CK_MAX_NAME)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET,
                       "a tensor's name, made of the keys above it, is longer than %d "
                       "bytes",
                       CK_MAX_NAME);
    return TOLA_OK;
}

static void pop_name(torch_state *s, size_t length) { s->path.length = length; }

/* Dictionary keys are text almost always; others are written as Python prints them. */
static void key_text(const pickle_value *key, size_t index, char dst[64], const char **text, size_t *length) {
    *text = dst;
    switch (key->kind) {
    case PICKLE_STR:
    case PICKLE_BYTES:
        *text = key->as.text.data;
        *length = key->as.text.length;
        return;
    case PICKLE_INT: snprintf(dst, 64, "%" PRId64, key->as.i64); break;
    case PICKLE_BOOL: snprintf(dst, 64, "%s", key->as.boolean ? "True" : "False"); break;
    case PICKLE_NONE: snprintf(dst, 64, "None"); break;
    case PICKLE_FLOAT: snprintf(dst, 64, "%.17g", key->as.f64); break;
    default: snprintf(dst, 64, "key%zu", index); break;
    }
    *length = strlen(dst);
}

/* ---- metadata ---- */

static tola_value string_value(const char *text, size_t length) {
    return (tola_value){ .kind = TOLA_VALUE_STRING, .as.string = { text, length } };
}

static tola_status copy_string(torch_state *s, const char *text, size_t length, tola_value *out, tola_error *err) {
    char *copy = arena_strndup(&s->ck->arena, text, length);
    if (!copy) return err_nomem(err, "reading metadata");
    *out = string_value(copy, length);
    return TOLA_OK;
}

static tola_value int_value(int64_t v) {
    return (tola_value){ .kind = TOLA_VALUE_INT, .dtype = TOLA_DTYPE_I64, .as.i64 = v };
}

/* A growing map of members in the arena. */
typedef struct members {
    tola_member *items;
    size_t count, cap;
} members;

static tola_status add_member(torch_state *s, members *m, const char *key, size_t length, tola_value value,
                              tola_error *err) {
    if (m->count == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 4;
        tola_member *items = arena_alloc_array(&s->ck->arena, cap, sizeof *items);
        if (!items) return err_nomem(err, "reading metadata");
        if (m->count) memcpy(items, m->items, m->count * sizeof *items);
        m->items = items;
        m->cap = cap;
    }
    char *copy = arena_strndup(&s->ck->arena, key, length);
    if (!copy) return err_nomem(err, "reading metadata");
    m->items[m->count++] = (tola_member){ { copy, length }, value };
    return TOLA_OK;
}

static tola_value map_value(const members *m) {
    return (tola_value){ .kind = TOLA_VALUE_MAP, .as.map = { m->items, m->count } };
}

/* ---- containers ---- */

static bool is_optimizer(const pickle_value *dict) {
    return pickle_get(dict, "state") && pickle_get(dict, "param_groups");
}

/* Keys under which training scripts keep the state of optimizers, schedulers and the like. */
static bool is_state_key(const char *key, size_t length) {
    static const char *const names[] = { "optimizer", "optimizers", "optimizer_state", "optimizer_states",
                                         "optimizer_state_dict", "optim", "lr_schedulers", "scheduler" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], key, length) == 0) return true;
    return false;
}

static tola_status walk_dict(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                             tola_error *err) {
    members m = { 0 };
    size_t count = v->as.list.count / 2;
    if (is_optimizer(v)) flags |= TOLA_TENSOR_STATE;
    for (size_t i = 0; i < count; i++) {
        char buffer[64];
        const char *key;
        size_t length, before;
        found inner = { 0 };
        key_text(v->as.list.items[2 * i], i, buffer, &key, &length);
        TRY(push_name(s, key, length, &before, err));
        TRY(walk(s, v->as.list.items[2 * i + 1], depth + 1, flags | (is_state_key(key, length) ? TOLA_TENSOR_STATE : 0),
                 &inner, err));
        pop_name(s, before);
        if (inner.present) TRY(add_member(s, &m, key, length, inner.value, err));
    }
    *out = (found){ map_value(&m), m.count > 0 || count == 0 };
    return TOLA_OK;
}

static tola_status walk_sequence(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                                 tola_error *err) {
    size_t count = v->as.list.count;
    tola_value *items = arena_alloc_array(&s->ck->arena, count, sizeof *items);
    if (!items) return err_nomem(err, "reading metadata");
    bool any = count == 0;
    for (size_t i = 0; i < count; i++) {
        char index[24];
        size_t before;
        found inner = { 0 };
        int n = snprintf(index, sizeof index, "%zu", i);
        TRY(push_name(s, index, (size_t)n, &before, err));
        TRY(walk(s, v->as.list.items[i], depth + 1, flags, &inner, err));
        pop_name(s, before);
        items[i] = inner.present ? inner.value : (tola_value){ 0 };
        any |= inner.present;
    }
    *out = (found){ { .kind = TOLA_VALUE_ARRAY, .as.array = { items, count } }, any };
    return TOLA_OK;
}

/* ---- objects ---- */

static tola_status walk_part(torch_state *s, const pickle_value *part, const char *key, int depth, uint32_t flags,
                             members *m, tola_error *err) {
    size_t before;
    found inner = { 0 };
    if (!part) return TOLA_OK;
    TRY(push_name(s, key, strlen(key), &before, err));
    TRY(walk(s, part, depth + 1, flags, &inner, err));
    pop_name(s, before);
    return inner.present ? add_member(s, m, key, strlen(key), inner.value, err) : TOLA_OK;
}

/* A date, a path, a namespace: what is known of it, under its class. */
static tola_status walk_opaque(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                               tola_error *err) {
    const pickle_value *args = v->as.object.args, *state = v->as.object.state;
    const pickle_global *g = v->as.object.callee->as.global;
    bool plain = strcmp(g->name, "Namespace") == 0 || strcmp(g->name, "SimpleNamespace") == 0;
    if (plain && state && state->kind == PICKLE_DICT && pickle_count(args) == 0)
        return walk_dict(s, state, depth, flags, out, err);
    if (strcmp(g->name, "device") == 0 && pickle_item(args, 0) && pickle_item(args, 0)->kind == PICKLE_STR) {
        const pickle_value *name = pickle_item(args, 0), *index = pickle_item(args, 1);
        char text[64];
        snprintf(text, sizeof text, "%.40s", name->as.text.data);
        if (index && index->kind == PICKLE_INT)
            snprintf(text, sizeof text, "%.40s:%" PRId64, name->as.text.data, index->as.i64);
        out->present = true;
        return copy_string(s, text, strlen(text), &out->value, err);
    }
    members m = { 0 };
    char class[420];
    tola_value name;
    pickle_name(class, sizeof class, g);
    TRY(copy_string(s, class, strlen(class), &name, err));
    TRY(add_member(s, &m, "__class__", strlen("__class__"), name, err));
    if (pickle_count(args)) TRY(walk_part(s, args, "args", depth, flags, &m, err));
    TRY(walk_part(s, state, "state", depth, flags, &m, err));
    TRY(walk_part(s, v->as.object.entries, "entries", depth, flags, &m, err));
    *out = (found){ map_value(&m), true };
    return TOLA_OK;
}

/* A module of a TorchScript archive is its attributes. */
static tola_status walk_module(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                               tola_error *err) {
    const pickle_value *state = v->as.object.state;
    if (!state) return TOLA_OK;
    return walk(s, state, depth + 1, flags, out, err);
}

static const char *layout_name(const pickle_value *v) {
    const pickle_value *text = v && v->kind == PICKLE_OBJECT && pickle_role_of(v) == ROLE_LAYOUT
                                   ? pickle_item(v->as.object.args, 0) : NULL;
    static const char *const known[] = { "torch.sparse_coo", "torch.sparse_csr", "torch.sparse_csc", "torch.sparse_bsr",
                                         "torch.sparse_bsc", "torch.strided" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (pickle_is_text(text, known[i])) return known[i];
    return NULL;
}

static tola_status extents_value(torch_state *s, const pickle_value *v, tola_value *out, tola_error *err) {
    uint64_t extents[TOLA_MAX_DIMS];
    unsigned n;
    TRY(torch_parse_extents(s, v, extents, &n, err));
    uint64_t *items = arena_alloc_array(&s->ck->arena, n, sizeof *items);
    if (!items) return err_nomem(err, "reading metadata");
    if (n) memcpy(items, extents, n * sizeof *items);
    *out = (tola_value){ .kind = TOLA_VALUE_ARRAY, .element = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U64,
                         .as.array = { items, n } };
    return TOLA_OK;
}

/* _rebuild_sparse_tensor(layout, parts): the parts are tensors of their own, layout and size metadata. */
static tola_status walk_sparse(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                               tola_error *err) {
    static const char *const parts_of[5][3] = {
        { "indices", "values", NULL },               { "crow_indices", "col_indices", "values" },
        { "ccol_indices", "row_indices", "values" }, { "crow_indices", "col_indices", "values" },
        { "ccol_indices", "row_indices", "values" },
    };
    static const char *const layouts[5] = { "torch.sparse_coo", "torch.sparse_csr", "torch.sparse_csc",
                                            "torch.sparse_bsr", "torch.sparse_bsc" };
    const char *layout = layout_name(pickle_item(v->as.object.args, 0));
    const pickle_value *data = pickle_item(v->as.object.args, 1);
    size_t which = 0, parts;
    while (which < 5 && (!layout || strcmp(layout, layouts[which]) != 0)) which++;
    if (which == 5) return torch_fail(s, v, err, TOLA_E_UNSUPPORTED, "a sparse tensor of unknown layout");
    parts = which ? 3 : 2;
    if (pickle_count(data) < parts + 1 || data->kind != PICKLE_TUPLE)
        return torch_fail(s, v, err, TOLA_E_FORMAT, "a sparse tensor of which parts are missing");
    for (size_t i = 0; i < parts; i++) {
        if (!torch_is_tensor(s, pickle_item(data, i)))
            return torch_fail(s, v, err, TOLA_E_FORMAT, "a part of a sparse tensor that is no tensor");
        size_t before;
        found none = { 0 };
        TRY(push_name(s, parts_of[which][i], strlen(parts_of[which][i]), &before, err));
        TRY(walk(s, pickle_item(data, i), depth + 1, flags | TOLA_TENSOR_SPARSE, &none, err));
        pop_name(s, before);
    }
    members m = { 0 };
    tola_value size;
    TRY(extents_value(s, pickle_item(data, parts), &size, err));
    TRY(add_member(s, &m, "layout", 6, string_value(layout, strlen(layout)), err));
    TRY(add_member(s, &m, "size", 4, size, err));
    uint64_t coalesced;
    if (which == 0 && pickle_u64(pickle_item(data, 3), &coalesced))
        TRY(add_member(s, &m, "coalesced", 9, (tola_value){ .kind = TOLA_VALUE_BOOL, .dtype = TOLA_DTYPE_BOOL,
                                                            .as.boolean = coalesced != 0 }, err));
    *out = (found){ map_value(&m), true };
    return TOLA_OK;
}

/* (scheme, scale, zero point) or (scheme, scales, zero points, axis); the latter are tensors, or lists in old files. */
static tola_status walk_quantizer(torch_state *s, const pickle_value *q, int depth, uint32_t flags, found *out,
                                  tola_error *err) {
    static const char *const scalar[] = { NULL, "scale", "zero_point" };
    static const char *const vector[] = { NULL, "scales", "zero_points", "axis" };
    size_t n = pickle_count(q);
    const pickle_value *scheme = pickle_item(q, 0);
    if (n < 3 || n > 4 || !scheme || scheme->kind != PICKLE_GLOBAL)
        return torch_fail(s, q, err, TOLA_E_FORMAT, "a quantized tensor without its parameters");
    members m = { 0 };
    TRY(add_member(s, &m, "scheme", 6, string_value(scheme->as.global->name, strlen(scheme->as.global->name)), err));
    for (size_t i = 1; i < n; i++)
        TRY(walk_part(s, pickle_item(q, i), (n == 4 ? vector : scalar)[i], depth, flags, &m, err));
    *out = (found){ map_value(&m), true };
    return TOLA_OK;
}

/* ---- leaves ---- */

static const char *name_of_tensor(const torch_state *s, size_t *length) {
    if (s->path.length > strlen(s->prefix)) {
        *length = s->path.length;
        return (const char *)s->path.data;
    }
    *length = strlen(TORCH_ROOT_NAME);
    return TORCH_ROOT_NAME;
}

static tola_status add_named(torch_state *s, torch_tensor *t, uint32_t flags, tola_error *err) {
    size_t before;
    t->flags |= flags;
    if (s->path.length > strlen(s->prefix))
        return torch_add_tensor(s, t, (const char *)s->path.data, s->path.length, err);
    TRY(push_name(s, TORCH_ROOT_NAME, strlen(TORCH_ROOT_NAME), &before, err));
    tola_status status = torch_add_tensor(s, t, (const char *)s->path.data, s->path.length, err);
    pop_name(s, before);
    return status;
}

static tola_status walk_tensor(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                               tola_error *err) {
    torch_tensor t;
    size_t length;
    tola_status status = torch_parse_tensor(s, v, &t, err);
    if (status != TOLA_OK) {
        char name[200];
        const char *text = name_of_tensor(s, &length);
        return err_in_tensor(err, status, text_quote(name, sizeof name, text, length));
    }
    TRY(add_named(s, &t, flags, err));
    return t.quantizer ? walk_quantizer(s, t.quantizer, depth, flags, out, err) : TOLA_OK;
}

static tola_status walk_numpy(torch_state *s, const pickle_value *v, uint32_t flags, found *out, tola_error *err) {
    torch_tensor t;
    bool is_tensor = false;
    TRY(torch_parse_numpy(s, v, &t, &out->value, &is_tensor, err));
    out->present = !is_tensor;
    return is_tensor ? add_named(s, &t, flags, err) : TOLA_OK;
}

/* A tensor without bytes: on torch's "meta" device, or a subclass that only wraps others. */
static tola_status walk_empty(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                              tola_error *err) {
    char name[200];
    size_t length;
    const char *text = name_of_tensor(s, &length);
    text_quote(name, sizeof name, text, length);
    const pickle_value *state = pickle_role_of(v) == ROLE_FROM_TYPE ? pickle_item(v->as.object.args, 3) : NULL;
    if (state && state->kind == PICKLE_DICT && pickle_count(state)) return walk_dict(s, state, depth, flags, out, err);
    ck_warn(s->ck, "tensor '%s' has a shape but no values (it was saved from the meta device)", name);
    return walk_opaque(s, v, depth, flags, out, err);
}

static tola_status walk_object(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out,
                               tola_error *err) {
    if (torch_is_tensor(s, v)) return walk_tensor(s, v, depth, flags, out, err);
    if (torch_is_numpy(v)) return walk_numpy(s, v, flags, out, err);
    const char *layout;
    switch (pickle_role_of(v)) {
    case ROLE_SPARSE: return walk_sparse(s, v, depth, flags, out, err);
    case ROLE_MODULE_CLASS: return walk_module(s, v, depth, flags, out, err);
    case ROLE_PARAMETER: /* around something sparse or without bytes */
        if (pickle_count(v->as.object.args))
            return walk(s, pickle_item(v->as.object.args, 0), depth + 1, flags | TOLA_TENSOR_PARAMETER, out, err);
        return walk_opaque(s, v, depth, flags, out, err);
    case ROLE_META_TENSOR:
    case ROLE_WRAPPER:
    case ROLE_FROM_TYPE: return walk_empty(s, v, depth, flags, out, err);
    case ROLE_LAYOUT:
        layout = layout_name(v);
        if (!layout) return walk_opaque(s, v, depth, flags, out, err);
        *out = (found){ string_value(layout, strlen(layout)), true };
        return TOLA_OK;
    default: return walk_opaque(s, v, depth, flags, out, err);
    }
}

static tola_status walk(torch_state *s, const pickle_value *v, int depth, uint32_t flags, found *out, tola_error *err) {
    if (depth > PICKLE_MAX_DEPTH)
        return torch_fail(s, v, err, TOLA_E_LIMIT, "values are nested more than %d deep", PICKLE_MAX_DEPTH);
    if (s->visits-- == 0)
        return torch_fail(s, v, err, TOLA_E_LIMIT, "the pickle unfolds to many times more values than it has bytes");
    char name[420];
    out->present = true;
    switch ((pickle_kind)v->kind) {
    case PICKLE_NONE: out->value = (tola_value){ .kind = TOLA_VALUE_NULL }; return TOLA_OK;
    case PICKLE_BOOL:
        out->value = (tola_value){ .kind = TOLA_VALUE_BOOL, .dtype = TOLA_DTYPE_BOOL, .as.boolean = v->as.boolean };
        return TOLA_OK;
    case PICKLE_INT: out->value = int_value(v->as.i64); return TOLA_OK;
    case PICKLE_FLOAT:
        out->value = (tola_value){ .kind = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F64, .as.f64 = v->as.f64 };
        return TOLA_OK;
    case PICKLE_BIGINT:
        if (v->as.text.length == 9 && v->as.text.data[8] == 0) { /* fits 64 bits without a sign */
            uint64_t number = 0;
            for (size_t i = 8; i-- > 0;) number = number << 8 | (uint8_t)v->as.text.data[i];
            out->value = (tola_value){ .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U64, .as.u64 = number };
            return TOLA_OK;
        }
        snprintf(name, sizeof name, "an integer of %zu bytes", v->as.text.length);
        return copy_string(s, name, strlen(name), &out->value, err);
    case PICKLE_STR:
    case PICKLE_BYTES: out->value = string_value(v->as.text.data, v->as.text.length); return TOLA_OK;
    case PICKLE_GLOBAL:
        pickle_name(name, sizeof name, v->as.global);
        return copy_string(s, name, strlen(name), &out->value, err);
    case PICKLE_LIST:
    case PICKLE_TUPLE:
    case PICKLE_SET: return walk_sequence(s, v, depth, flags, out, err);
    case PICKLE_DICT: return walk_dict(s, v, depth, flags, out, err);
    case PICKLE_PERSISTENT:
        out->present = false;
        return walk_tensor(s, v, depth, flags, out, err);
    case PICKLE_OBJECT:
        out->present = false;
        return walk_object(s, v, depth, flags, out, err);
    }
    return torch_fail(s, v, err, TOLA_E_FORMAT, "a value of unknown kind");
}

/* ---- the whole ---- */

static tola_status keep_metadata(torch_state *s, const pickle_value *root, const found *all, const char *key,
                                 tola_error *err) {
    if (!all->present) return TOLA_OK;
    if (key) return ck_add_metadata(s->ck, key, all->value, err);
    if (root->kind == PICKLE_DICT || all->value.kind == TOLA_VALUE_MAP) {
        for (size_t i = 0; i < all->value.as.map.count; i++) {
            const tola_member *m = &all->value.as.map.members[i];
            TRY(ck_add_metadata(s->ck, m->key.data, m->value, err));
        }
        return TOLA_OK;
    }
    return ck_add_metadata(s->ck, "value", all->value, err);
}

/* What this program writes beside the tensors (torch_write.c): an attribute of the dictionary, so that
 * load_state_dict finds nothing but tensors in it. */
static tola_status attached_metadata(torch_state *s, const pickle_value *root, tola_error *err) {
    const pickle_value *attached = root->kind == PICKLE_DICT ? pickle_get(root->as.list.attributes, "metadata") : NULL;
    if (!attached || attached->kind != PICKLE_DICT) return TOLA_OK;
    found all = { 0 };
    size_t before;
    TRY(push_name(s, "metadata", strlen("metadata"), &before, err));
    TRY(walk(s, attached, 1, 0, &all, err));
    pop_name(s, before);
    return keep_metadata(s, attached, &all, NULL, err);
}

tola_status torch_add_state(torch_state *s, const pickle_value *root, const char *key, tola_error *err) {
    buf_init(&s->path, 2 * CK_MAX_NAME);
    buf_append(&s->path, s->prefix, strlen(s->prefix));
    uint64_t weighted = s->pickle_bytes * TORCH_VISITS_PER_BYTE;
    s->visits = weighted + TORCH_VISITS_FREE;
    found all = { 0 };
    tola_status status = s->path.failed ? err_nomem(err, "reading tensors") : walk(s, root, 0, 0, &all, err);
    if (status == TOLA_OK) status = keep_metadata(s, root, &all, key, err);
    if (status == TOLA_OK && !key) status = attached_metadata(s, root, err);
    buf_free(&s->path);
    return status;
}
