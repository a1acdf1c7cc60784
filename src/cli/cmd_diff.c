/* tola diff: how two models differ, whatever containers they come in. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "frame.h"

/* ---- metadata: noted, but no difference of weights ---- */

static bool same_value(const tola_value *a, const tola_value *b, int depth) {
    if (depth > 64 || a->kind != b->kind) return false;
    switch (a->kind) {
    case TOLA_VALUE_BOOL: return a->as.boolean == b->as.boolean;
    case TOLA_VALUE_INT: return a->as.i64 == b->as.i64;
    case TOLA_VALUE_UINT: return a->as.u64 == b->as.u64;
    case TOLA_VALUE_FLOAT: return a->as.f64 == b->as.f64 || (isnan(a->as.f64) && isnan(b->as.f64));
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

static int show(const tola_checkpoint *a, const tola_checkpoint *b, char **args, double tolerance) {
    tola_error err = TOLA_ERROR_INIT;
    tola_diff diff;
    if (compare(a, b, tolerance, &diff, &err) != TOLA_OK) return cli_fail_error(&err);
    diff_view view = { a, b, args[0], args[1], &diff, tolerance, { NULL, 0 } };
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
} settings;

static int run(const void *parsed, char **args, int n_args) {
    (void)n_args;
    const settings *s = parsed;
    if (!(s->tolerance >= 0)) return cli_fail("--tolerance is a number from 0 on");
    tola_error err = TOLA_ERROR_INIT;
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.threads = cli.threads;
    tola_checkpoint *a, *b;
    if (tola_checkpoint_open(args[0], &options, &a, &err) != TOLA_OK) return cli_fail_error(&err);
    if (tola_checkpoint_open(args[1], &options, &b, &err) != TOLA_OK) {
        tola_checkpoint_close(a);
        return cli_fail_error(&err);
    }
    int code = show(a, b, args, s->tolerance);
    tola_checkpoint_close(a);
    tola_checkpoint_close(b);
    return code;
}

static const cli_option options[] = {
    { "tolerance", 0, CLI_DOUBLE, "X", "Take elements that are at most X apart as unchanged",
      offsetof(settings, tolerance), NULL, NULL },
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
        "Different metadata is noted but does not make models different.",
    .examples = "tola diff base/ finetuned/\twhich tensors did the training change?\n"
                "tola diff model.safetensors model.gguf --tolerance 1e-3\tis the conversion close enough?\n"
                "tola diff -q a.pt b.safetensors && echo same\tfor scripts",
    .exits = "0\tthe same within the tolerance\n1\tdifferent\n2\tA or B cannot be read",
    .options = options,
    .settings_size = sizeof(settings),
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
