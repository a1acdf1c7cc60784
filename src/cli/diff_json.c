/* tola diff --json: schema tola.diff/1. */
#include "diff.h"

static void names_where(tola_json *j, const diff_view *v, const char *key, bool only_in_b) {
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (size_t i = 0; i < v->diff->count; i++) {
        const tola_diff_tensor *t = &v->diff->tensors[i];
        if ((only_in_b ? t->a : t->b) != SIZE_MAX) continue;
        tola_json_string(j, only_in_b ? tola_checkpoint_tensor(v->b, t->b)->name
                                      : tola_checkpoint_tensor(v->a, t->a)->name);
    }
    tola_json_end_array(j);
}

static void write_side(tola_json *j, const char *key, const tola_tensor_info *t) {
    tola_json_key(j, key);
    tola_json_begin_object(j);
    tola_json_key(j, "name");
    tola_json_string(j, t->name);
    tola_json_key(j, "dtype");
    tola_json_string(j, tola_dtype_name((tola_dtype)t->dtype));
    tola_json_key(j, "shape");
    tola_json_begin_array(j);
    for (unsigned d = 0; d < t->n_dims; d++) tola_json_u64(j, t->shape[d]);
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void write_number(tola_json *j, const char *key, bool known, double value) {
    tola_json_key(j, key);
    if (known)
        tola_json_f64(j, value);
    else
        tola_json_null(j);
}

static void write_changed(tola_json *j, const diff_view *v, const tola_diff_tensor *t) {
    const tola_tensor_info *a = tola_checkpoint_tensor(v->a, t->a), *b = tola_checkpoint_tensor(v->b, t->b);
    tola_json_begin_object(j);
    tola_json_key(j, "name");
    tola_json_string(j, a->name);
    tola_json_key(j, "what");
    tola_json_string(j, diff_what(t));
    write_number(j, "max_abs", t->compared, t->max_abs);
    write_number(j, "rel", t->compared, t->rel);
    write_number(j, "cosine", t->compared, t->cosine);
    tola_json_key(j, "changed_elements");
    if (t->compared)
        tola_json_u64(j, t->changed_elements);
    else
        tola_json_null(j);
    write_side(j, "a", a);
    write_side(j, "b", b);
    tola_json_end_object(j);
}

void diff_write_json(const diff_view *v) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema");
    tola_json_string(&j, "tola.diff/1");
    tola_json_key(&j, "same");
    tola_json_bool(&j, v->diff->same);
    tola_json_key(&j, "tolerance");
    tola_json_f64(&j, v->tolerance);
    tola_json_key(&j, "seen_as_gguf");
    if (v->mapped)
        tola_json_string(&j, v->mapped);
    else
        tola_json_null(&j);
    names_where(&j, v, "added", true);
    names_where(&j, v, "removed", false);
    tola_json_key(&j, "changed");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < v->diff->count; i++)
        if (diff_what(&v->diff->tensors[i])) write_changed(&j, v, &v->diff->tensors[i]);
    tola_json_end_array(&j);
    tola_json_key(&j, "metadata");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < v->metadata.count; i++) tola_json_string(&j, v->metadata.keys[i]);
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}
