/* tola diff: how two models differ, whatever containers they come in. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "frame.h"

/* ---- metadata: noted, but no difference of weights ---- */

static bool is_number(const tola_value *v) {
    return v->kind == TOLA_VALUE_INT || v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_FLOAT;
}

/* Numbers by value, whatever they are stored in; where one side has f32 only, as f32. */
static bool same_number(const tola_value *a, const tola_value *b) {
    if (a->kind == TOLA_VALUE_UINT && b->kind == TOLA_VALUE_UINT) return a->as.u64 == b->as.u64;
    if (a->kind == TOLA_VALUE_INT && b->kind == TOLA_VALUE_INT) return a->as.i64 == b->as.i64;
    double x = tola_value_f64(a, NAN), y = tola_value_f64(b, NAN);
    if (a->dtype == TOLA_DTYPE_F32 || b->dtype == TOLA_DTYPE_F32) return (float)x == (float)y || (isnan(x) && isnan(y));
    return x == y || (isnan(x) && isnan(y));
}

static bool same_value(const tola_value *a, const tola_value *b, int depth) {
    if (is_number(a) && is_number(b)) return same_number(a, b);
    if (depth > 64 || a->kind != b->kind) return false;
    switch (a->kind) {
    case TOLA_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case TOLA_VALUE_STRING:
        return a->as.string.length == b->as.string.length &&
               memcmp(a->as.string.data, b->as.string.data, a->as.string.length) == 0;
    case TOLA_VALUE_ARRAY:
        if (a->as.array.count != b->as.array.count) return false;
        for (size_t i = 0; i < a->as.array.count; i++) {
            tola_value x = tola_value_at(a, i), y = tola_value_at(b, i);
            if (!same_value(&x, &y, depth + 1)) return false;
        }
        return true;
    case TOLA_VALUE_MAP:
        if (a->as.map.count != b->as.map.count) return false;
        for (size_t i = 0; i < a->as.map.count; i++) {
            const tola_value *y = tola_value_get(b, a->as.map.members[i].key.data);
            if (!y || !same_value(&a->as.map.members[i].value, y, depth + 1)) return false;
        }
        return true;
    default: return true;
    }
}

/* Keys of x that are not in y or, where `values`, have another value there. */
static void compare_keys(const tola_value *x, const tola_value *y, bool values, diff_keys *out) {
    if (!x || x->kind != TOLA_VALUE_MAP) return;
    for (size_t i = 0; i < x->as.map.count; i++) {
        const tola_member *m = &x->as.map.members[i];
        const tola_value *other = tola_value_get(y, m->key.data);
        if (other && (!values || same_value(&m->value, other, 0))) continue;
        out->keys = frame_realloc(out->keys, (out->count + 1) * sizeof *out->keys);
        out->keys[out->count++] = m->key.data;
    }
}

/* ---- running ---- */

static tola_status compare(const tola_checkpoint *a, const tola_checkpoint *b, double tolerance, tola_diff *out,
                           tola_error *err) {
    tola_diff_options options = TOLA_DIFF_OPTIONS_INIT;
    options.threads = cli.threads;
    options.tolerance = tolerance;
    options.progress = cli_progress;
    cli_catch_interrupts();
    tola_status status = tola_diff_compute(a, b, &options, out, err);
    cli_progress_end();
    return status;
}

static int show(const tola_checkpoint *a, const tola_checkpoint *b, char **args, double tolerance,
                const char *mapped) {
    tola_error err = TOLA_ERROR_INIT;
    tola_diff diff;
    if (compare(a, b, tolerance, &diff, &err) != TOLA_OK) return cli_fail_error(&err);
    diff_view view = { a, b, args[0], args[1], &diff, tolerance, mapped, { NULL, 0 } };
    const tola_value *x = tola_checkpoint_metadata(a), *y = tola_checkpoint_metadata(b);
    compare_keys(x, y, true, &view.metadata);
    compare_keys(y, x, false, &view.metadata);
    if (cli.json)
        diff_write_json(&view);
    else if (!cli.quiet)
        diff_print(&view);
    int code = diff.same ? CLI_YES : CLI_NO;
    free(view.metadata.keys);
    tola_diff_dispose(&diff);
    return code;
}

typedef struct settings {
    double tolerance;
    bool keep_names, stored;
} settings;

static bool is_gguf(const tola_checkpoint *ck) { return strcmp(tola_checkpoint_format(ck), "gguf") == 0; }

/* Where one side is GGUF and the other a Hugging Face model, both are compared in GGUF's words. */
static int show_in_one_language(const tola_checkpoint *a, const tola_checkpoint *b, char **args, const settings *s) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *view = NULL;
    const tola_checkpoint *other = is_gguf(a) ? b : a;
    if (s->keep_names || is_gguf(a) == is_gguf(b)) return show(a, b, args, s->tolerance, NULL);
    tola_status status = tola_checkpoint_as_gguf(other, &view, &err);
    if (status == TOLA_E_UNSUPPORTED) {
        if (tola_checkpoint_config(other)) cli_warn("names are compared as they are: %s", err.message);
        return show(a, b, args, s->tolerance, NULL);
    }
    if (status != TOLA_OK) return cli_fail_error(&err);
    int code = other == a ? show(view, b, args, s->tolerance, "a") : show(a, view, args, s->tolerance, "b");
    tola_checkpoint_close(view);
    return code;
}

static int run(const void *parsed, char **args, int n_args) {
    (void)n_args;
    const settings *s = parsed;
    if (!(s->tolerance >= 0)) return cli_fail("--tolerance is a number from 0 on");
    tola_checkpoint *a, *b;
    int code = cli_open_values(args[0], s->stored, &a);
    if (code != CLI_YES) return code;
    if ((code = cli_open_values(args[1], s->stored, &b)) != CLI_YES) {
        tola_checkpoint_close(a);
        return code;
    }
    code = show_in_one_language(a, b, args, s);
    tola_checkpoint_close(a);
    tola_checkpoint_close(b);
    return code;
}

static const cli_option options[] = {
    { "tolerance", 0, CLI_DOUBLE, "X", "Take elements that are at most X apart as unchanged",
      offsetof(settings, tolerance), NULL, NULL },
    { "keep-names", 0, CLI_FLAG, NULL, "Between Hugging Face and GGUF, compare names and layout as they are",
      offsetof(settings, keep_names), NULL, NULL },
    { "stored", 0, CLI_FLAG, NULL,
      "Compare the tensors as they are stored: codes and scales of GPTQ, AWQ and their kin", offsetof(settings, stored),
      NULL, NULL },
    { NULL, 0, CLI_FLAG, NULL, NULL, 0, NULL, NULL },
};

const cli_verb cmd_diff = {
    .name = "diff",
    .summary = "Show how two models differ",
    .usage = "tola diff A B [options]",
    .description =
        "Compares the tensors of two models, whatever their formats: names that are only in A or only in B, tensors "
        "with the same dtype, shape and bytes under another name, changed shapes and dtypes, and changed values with "
        "the largest absolute difference, the difference relative to A (Frobenius norms), the cosine between both, "
        "and the number of changed elements.\n"
        "\n"
        "Values are compared as numbers where dtypes differ: a bf16 tensor and its exact copy in f32 have another "
        "dtype but the same values. 0 and -0 are equal, and so are two NaNs; a NaN against a number, or an infinity "
        "against anything else, is infinitely far away. Parts of complex numbers count as elements. Tensors "
        "without arithmetic (opaque bytes, block types that nothing here decodes) are compared byte by byte.\n"
        "\n"
        "Where one model is GGUF and the other a Hugging Face folder of a family that Tola can convert, the latter is "
        "seen as the GGUF file that it would become; --keep-names compares names and layout as they are.\n"
        "\n"
        "Different metadata is noted but does not make models different.",
    .examples = "tola diff base/ finetuned/\twhich tensors did the training change?\n"
                "tola diff Llama-3.1-8B/ llama.gguf\twhat did the conversion change?\n"
                "tola diff -q a.pt b.safetensors && echo same\tfor scripts",
    .exits = "0\tthe same within the tolerance\n1\tdifferent\n2\tA or B cannot be read",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 2,
    .max_args = 2,
    .model = true,
    .run = run,
};
