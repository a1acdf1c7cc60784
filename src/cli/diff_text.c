/* tola diff for people. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli_fold.h"
#include "diff.h"
#include "frame.h"

#define MOST_ROWS 40 /* of one kind; -v shows all */

const char *diff_what(const tola_diff_tensor *t) {
    if (t->a == SIZE_MAX || t->b == SIZE_MAX) return NULL;
    if (t->renamed) return "renamed";
    if (t->shape_changed) return "shape";
    if (t->dtype_changed) return "dtype";
    return t->values_changed ? "values" : NULL;
}

static size_t most_rows(void) { return cli.verbose ? SIZE_MAX : MOST_ROWS; }

static void print_rest(size_t shown, size_t count) {
    if (shown < count) out_styled(OUT_DIM, "  ... and %zu more; -v shows all\n", count - shown);
}

/* Tensors that only one side has. */
static void print_only(const diff_view *v, bool in_b) {
    const tola_checkpoint *ck = in_b ? v->b : v->a;
    size_t *chosen = frame_alloc((v->diff->count + 1) * sizeof *chosen), n = 0;
    for (size_t i = 0; i < v->diff->count; i++) {
        const tola_diff_tensor *t = &v->diff->tensors[i];
        if ((in_b ? t->a : t->b) == SIZE_MAX) chosen[n++] = in_b ? t->b : t->a;
    }
    if (n) {
        fold_list list = fold_chosen(ck, chosen, n);
        out_styled(OUT_BOLD, "\nonly in %s: %zu tensor%s\n", in_b ? v->path_b : v->path_a, n, n == 1 ? "" : "s");
        out_table *t = out_table_new(4, "lllr", NULL);
        size_t shown = list.count < most_rows() ? list.count : most_rows();
        for (size_t i = 0; i < shown; i++) {
            char shape[1400];
            out_table_cell(t, in_b ? OUT_GREEN : OUT_RED, "%s %s", in_b ? "+" : "-", list.rows[i].name);
            out_table_cell(t, OUT_PLAIN, "%s", tola_dtype_name((tola_dtype)list.rows[i].first->dtype));
            out_table_cell(t, OUT_PLAIN, "%s", fold_shape(shape, sizeof shape, list.rows[i].first));
            char times[32] = "";
            if (list.rows[i].count > 1) snprintf(times, sizeof times, "x%zu", list.rows[i].count);
            out_table_cell(t, OUT_DIM, "%s", times);
        }
        out_table_print(t);
        print_rest(shown, list.count);
        fold_free(&list);
    }
    free(chosen);
}

static size_t count_what(const diff_view *v, const char *what) {
    size_t n = 0;
    for (size_t i = 0; i < v->diff->count; i++) {
        const char *is = diff_what(&v->diff->tensors[i]);
        n += is && strcmp(is, what) == 0;
    }
    return n;
}

static void print_renamed(const diff_view *v) {
    size_t n = count_what(v, "renamed"), shown = 0;
    if (!n) return;
    out_styled(OUT_BOLD, "\nrenamed: %zu tensor%s\n", n, n == 1 ? "" : "s");
    out_table *table = out_table_new(3, "lll", NULL);
    for (size_t i = 0; i < v->diff->count && shown < most_rows(); i++) {
        const tola_diff_tensor *t = &v->diff->tensors[i];
        if (!t->renamed) continue;
        out_table_cell(table, OUT_YELLOW, "  %s", tola_checkpoint_tensor(v->a, t->a)->name);
        out_table_cell(table, OUT_PLAIN, "->");
        out_table_cell(table, OUT_YELLOW, "%s", tola_checkpoint_tensor(v->b, t->b)->name);
        shown++;
    }
    out_table_print(table);
    print_rest(shown, n);
}

/* "[2, 3] -> [3, 2]", "bf16 -> f32", both, or nothing. */
static const char *type_change(char *buf, size_t cap, const diff_view *v, const tola_diff_tensor *t) {
    const tola_tensor_info *a = tola_checkpoint_tensor(v->a, t->a), *b = tola_checkpoint_tensor(v->b, t->b);
    char from[700], to[700];
    size_t at = 0;
    buf[0] = 0;
    if (t->dtype_changed)
        at = (size_t)snprintf(buf, cap, "%s -> %s", tola_dtype_name((tola_dtype)a->dtype),
                              tola_dtype_name((tola_dtype)b->dtype));
    if (t->shape_changed && at < cap)
        snprintf(buf + at, cap - at, "%s%s -> %s", at ? ", " : "", fold_shape(from, sizeof from, a),
                 fold_shape(to, sizeof to, b));
    if (!t->dtype_changed && !t->shape_changed) snprintf(buf, cap, "%s", tola_dtype_name((tola_dtype)a->dtype));
    return buf;
}

static void number_cell(out_table *table, bool known, double value) {
    if (known && !isnan(value))
        out_table_cell(table, OUT_PLAIN, "%.3g", value);
    else
        out_table_cell(table, OUT_DIM, "-");
}

/* Cosines of near twins differ late: 0.99999 is another model than 0.99. */
static void cosine_cell(out_table *table, bool known, double value) {
    if (known && !isnan(value))
        out_table_cell(table, OUT_PLAIN, "%.6f", value);
    else
        out_table_cell(table, OUT_DIM, "-");
}

static void changed_row(out_table *table, const diff_view *v, const tola_diff_tensor *t) {
    char type[1500], changed[64] = "-";
    const tola_tensor_info *a = tola_checkpoint_tensor(v->a, t->a);
    if (t->compared && t->changed_elements == 0)
        snprintf(changed, sizeof changed, "none");
    else if (t->compared) {
        double share = a->elements ? 100.0 * (double)t->changed_elements / (double)a->elements : 0;
        char grouped[32];
        snprintf(changed, sizeof changed, "%s (%.3g %%)", text_grouped(grouped, sizeof grouped, t->changed_elements),
                 share);
    }
    out_table_cell(table, OUT_YELLOW, "  %s", a->name);
    out_table_cell(table, t->dtype_changed || t->shape_changed ? OUT_MAGENTA : OUT_PLAIN, "%s",
                   type_change(type, sizeof type, v, t));
    number_cell(table, t->compared, t->max_abs);
    number_cell(table, t->compared, t->rel);
    cosine_cell(table, t->compared, t->cosine);
    out_table_cell(table, OUT_PLAIN, "%s", changed);
}

/* Largest relative change first; what could not be compared before everything else. */
static const diff_view *sorting;

static double gravity(const tola_diff_tensor *t) { return !t->compared || isnan(t->rel) ? INFINITY : t->rel; }

static int by_gravity(const void *x, const void *y) {
    size_t a = *(const size_t *)x, b = *(const size_t *)y;
    double p = gravity(&sorting->diff->tensors[a]), q = gravity(&sorting->diff->tensors[b]);
    if (p != q) return p < q ? 1 : -1;
    return a < b ? -1 : a > b;
}

static void print_changed(const diff_view *v) {
    size_t *rows = frame_alloc((v->diff->count + 1) * sizeof *rows), n = 0;
    for (size_t i = 0; i < v->diff->count; i++) {
        const tola_diff_tensor *t = &v->diff->tensors[i];
        if (diff_what(t) && !t->renamed) rows[n++] = i;
    }
    if (n) {
        static const char *const headings[] = { "  tensor", "type", "max abs", "relative", "cosine", "changed" };
        size_t shown = n < most_rows() ? n : most_rows();
        sorting = v;
        if (shown < n) qsort(rows, n, sizeof *rows, by_gravity); /* the largest, where not all are shown */
        out_styled(OUT_BOLD, "\nchanged: %zu tensor%s%s\n", n, n == 1 ? "" : "s",
                   shown < n ? ", those that changed most first" : "");
        out_table *table = out_table_new(6, "llrrrr", headings);
        for (size_t i = 0; i < shown; i++) changed_row(table, v, &v->diff->tensors[rows[i]]);
        out_table_print(table);
        print_rest(shown, n);
    }
    free(rows);
}

static void print_metadata(const diff_view *v) {
    if (!v->metadata.count) return;
    out_styled(OUT_DIM, "\nmetadata (no difference of weights): ");
    size_t shown = v->metadata.count < 12 || cli.verbose ? v->metadata.count : 12;
    for (size_t i = 0; i < shown; i++) {
        if (i) out_printf(", ");
        out_text(v->metadata.keys[i]);
    }
    if (shown < v->metadata.count) out_printf(", ... %zu keys in all", v->metadata.count);
    out_printf("\n");
}

static void print_verdict(const diff_view *v) {
    size_t both = 0, different = 0;
    for (size_t i = 0; i < v->diff->count; i++) {
        const tola_diff_tensor *t = &v->diff->tensors[i];
        bool pair = t->a != SIZE_MAX && t->b != SIZE_MAX;
        both += pair;
        different += !pair || diff_what(t);
    }
    if (v->diff->same && v->tolerance > 0)
        out_styled(OUT_GREEN, "same: %zu tensors, no element further apart than %g\n", both, v->tolerance);
    else if (v->diff->same)
        out_styled(OUT_GREEN, "same: %zu tensors, every value\n", both);
    else
        out_styled(OUT_RED, "different: %zu of %zu tensors\n", different, v->diff->count);
}

void diff_print(const diff_view *v) {
    print_verdict(v);
    if (v->mapped)
        out_styled(OUT_DIM, "%s is seen as the GGUF file that it would become\n",
                   strcmp(v->mapped, "a") == 0 ? v->path_a : v->path_b);
    print_only(v, false);
    print_only(v, true);
    print_renamed(v);
    print_changed(v);
    print_metadata(v);
}
