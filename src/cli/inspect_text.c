/* tola inspect for people: facts first, then tables, then whatever was asked for. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli_chart.h"
#include "cli_fold.h"
#include "frame.h"
#include "inspect.h"

/* ---- facts ---- */

#define FACT_COLUMN 16

/* One line "  name          text"; longer texts are broken between words. */
static void labelled(out_style label, out_style style, const char *name, const char *text) {
    int room = cli.columns - FACT_COLUMN - 2;
    if (room < 24) room = 24;
    out_styled(label, "  %-*s", FACT_COLUMN - 2, name);
    int column = 0;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " ");
        int width = (int)frame_width(p, n);
        if (column && column + 1 + width > room) {
            out_printf("\n%*s", FACT_COLUMN, "");
            column = 0;
        } else if (column) {
            out_printf(" ");
            column++;
        }
        out_styled(style, "%.*s", (int)n, p);
        column += width;
        p += n;
        while (*p == ' ') p++;
    }
    out_printf("\n");
}

static void fact(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fact(const char *name, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    labelled(OUT_CYAN, OUT_PLAIN, name, text);
}

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

static void print_size(const inspection *in) {
    const tola_summary *s = in->summary;
    char files[32], tensors[32], grouped[32];
    size_t n = tola_checkpoint_file_count(in->checkpoint), count = tola_checkpoint_tensor_count(in->checkpoint);
    bool nothing = s->missing_tensors == count && count;
    if (nothing)
        fact("format", "%s, %zu file%s that %s not here", tola_checkpoint_format(in->checkpoint), n, plural(n),
             n == 1 ? "is" : "are");
    else
        fact("format", "%s, %zu file%s, %s", tola_checkpoint_format(in->checkpoint), n, plural(n),
             text_bytes(files, sizeof files, s->bytes_files));
    if (nothing) {
        char size[32] = "", parameters[32];
        if (s->expected_bytes) text_bytes(size, sizeof size, s->expected_bytes);
        fact("tensors", "%s named by the index%s%s", text_grouped(grouped, sizeof grouped, count),
             s->expected_bytes ? ", taking " : "", size);
        if (s->expected_parameters)
            fact("parameters", "%s, says the index", text_count(parameters, sizeof parameters, s->expected_parameters));
        return;
    }
    char missing[96] = "";
    if (s->missing_tensors) snprintf(missing, sizeof missing, "; %" PRIu64 " more in missing shards", s->missing_tensors);
    fact("tensors", "%s, %s%s", text_grouped(grouped, sizeof grouped, count - s->missing_tensors),
         text_bytes(tensors, sizeof tensors, s->bytes_tensors), missing);
}

static void print_parameters(const inspection *in) {
    const tola_summary *s = in->summary;
    char total[32], grouped[32], active[32];
    if (s->parameters || s->missing_tensors == 0) {
        if (s->active != s->parameters)
            fact("parameters", "%s (%s), %s active for one token", text_count(total, sizeof total, s->parameters),
                 text_grouped(grouped, sizeof grouped, s->parameters), text_count(active, sizeof active, s->active));
        else if (s->parameters >= 1000000)
            fact("parameters", "%s (%s)", text_count(total, sizeof total, s->parameters),
                 text_grouped(grouped, sizeof grouped, s->parameters));
        else
            fact("parameters", "%s", text_grouped(grouped, sizeof grouped, s->parameters));
    }
    if (s->buffers) fact("buffers", "%s elements, not counted", text_grouped(grouped, sizeof grouped, s->buffers));
    if (s->states)
        fact("states", "%" PRIu64 " tensor%s of optimizer state (%s elements), not counted", s->states, plural(s->states),
             text_grouped(grouped, sizeof grouped, s->state_elements));
    if (s->parameters) {
        if (s->quantization)
            fact("precision", "%.2f bits per weight, %s", s->bits_per_weight, s->quantization);
        else
            fact("precision", "%.4g bits per weight", s->bits_per_weight);
    } else if (s->quantization) {
        fact("precision", "%s", s->quantization);
    }
    if (s->shared_tensors) fact("shared", "%" PRIu64 " tensors share their storage and count once", s->shared_tensors);
}

static void print_shape(const tola_summary *s) {
    char text[256], grouped[32];
    if (s->layers) {
        int n = snprintf(text, sizeof text, "%" PRIu64, s->layers);
        if (s->width) n += snprintf(text + n, sizeof text - (size_t)n, " of width %" PRIu64, s->width);
        if (s->feed_forward) snprintf(text + n, sizeof text - (size_t)n, ", feed-forward %" PRIu64, s->feed_forward);
        fact("layers", "%s", text);
    } else if (s->width) {
        fact("width", "%" PRIu64, s->width);
    }
    if (s->heads) {
        int n = snprintf(text, sizeof text, "%" PRIu64 " head%s", s->heads, plural(s->heads));
        if (s->head_dim) n += snprintf(text + n, sizeof text - (size_t)n, " of %" PRIu64, s->head_dim);
        if (s->kv_heads && s->kv_heads != s->heads)
            snprintf(text + n, sizeof text - (size_t)n, ", %" PRIu64 " for keys and values", s->kv_heads);
        fact("attention", "%s", text);
    }
    if (s->experts && s->experts_used)
        fact("experts", "%" PRIu64 " in a layer, %" PRIu64 " used for one token", s->experts, s->experts_used);
    else if (s->experts)
        fact("experts", "%" PRIu64 " in a layer", s->experts);
    if (s->context) fact("context", "%s tokens", text_grouped(grouped, sizeof grouped, s->context));
    if (s->vocabulary) fact("vocabulary", "%s", text_grouped(grouped, sizeof grouped, s->vocabulary));
}

static void print_facts(const inspection *in) {
    const tola_summary *s = in->summary;
    out_styled(OUT_BOLD, "%s\n", in->path);
    if (s->name) fact("name", "%s", s->name);
    print_size(in);
    if (s->model_class)
        fact("architecture", "%s (%s)", s->architecture ? s->architecture : "unknown", s->model_class);
    else
        fact("architecture", "%s", s->architecture ? s->architecture : "unknown");
    if (s->adapter) fact("adapter", "%s", s->adapter);
    print_parameters(in);
    print_shape(s);
    if (s->tokenizer)
        fact("tokenizer", "%s%s", s->tokenizer, s->chat_template ? "; with a chat template" : "; no chat template");
    else if (s->chat_template)
        fact("tokenizer", "none, but a chat template");
    if (s->licence) fact("licence", "%s", s->licence);
    if (in->digest) fact("digest", "%s", in->digest);
    for (size_t i = 0; i < s->warning_count; i++) {
        char *text = frame_quote(s->warnings[i], strlen(s->warnings[i]), false);
        labelled(OUT_YELLOW, OUT_YELLOW, "warning", text);
        free(text);
    }
}

/* ---- tables ---- */

static int by_size_down(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    if (x[1] != y[1]) return x[1] < y[1] ? 1 : -1;
    return x[0] < y[0] ? -1 : 1;
}

static void print_roles(const tola_summary *s) {
    uint64_t rows[TOLA_ROLE_COUNT][2];
    size_t n = 0;
    for (uint64_t i = 0; i < TOLA_ROLE_COUNT; i++)
        if (s->by_role[i]) {
            rows[n][0] = i;
            rows[n++][1] = s->by_role[i];
        }
    if (n == 0 || (n == 1 && rows[0][0] == TOLA_ROLE_OTHER)) return; /* a table that says nothing */
    qsort(rows, n, sizeof rows[0], by_size_down);
    static const char *const headings[] = { "  role", "parameters", "share", "" };
    out_printf("\n");
    out_table *t = out_table_new(4, "lrrl", headings);
    int width = cli.columns >= 110 ? 60 : 36;
    for (size_t i = 0; i < n; i++) {
        char count[32], bar[256];
        double share = (double)rows[i][1] / (double)s->parameters;
        out_table_cell(t, OUT_PLAIN, "  %s", tola_role_name((tola_role)rows[i][0]));
        out_table_cell(t, OUT_PLAIN, "%s", text_count(count, sizeof count, rows[i][1]));
        out_table_cell(t, OUT_PLAIN, "%.1f %%", share * 100);
        out_table_cell(t, OUT_BLUE, "%s", chart_bar(bar, sizeof bar, share, width));
    }
    out_table_print(t);
}

static void print_dtypes(const tola_summary *s) {
    static const char *const headings[] = { "  dtype", "tensors", "elements", "size", "share" };
    bool any = false;
    for (int i = 0; i < TOLA_DTYPE_COUNT; i++) any |= s->dtypes[i].tensors != 0;
    if (!any) return;
    out_printf("\n");
    out_table *t = out_table_new(5, "lrrrr", headings);
    for (int i = 0; i < TOLA_DTYPE_COUNT; i++) {
        if (!s->dtypes[i].tensors) continue;
        char tensors[32], elements[32], bytes[32];
        double share = s->bytes_tensors ? (double)s->dtypes[i].bytes / (double)s->bytes_tensors : 0;
        out_table_cell(t, OUT_PLAIN, "  %s", tola_dtype_name((tola_dtype)i));
        out_table_cell(t, OUT_PLAIN, "%s", text_grouped(tensors, sizeof tensors, s->dtypes[i].tensors));
        out_table_cell(t, OUT_PLAIN, "%s", text_count(elements, sizeof elements, s->dtypes[i].elements));
        out_table_cell(t, OUT_PLAIN, "%s", text_bytes(bytes, sizeof bytes, s->dtypes[i].bytes));
        out_table_cell(t, OUT_PLAIN, "%.1f %%", share * 100);
    }
    out_table_print(t);
}

static void print_tensors(const inspection *in, const char *glob) {
    fold_list list = fold_tensors(in->checkpoint, *glob ? glob : NULL);
    static const char *const headings[] = { "  tensor", "dtype", "shape", "", "size" };
    out_printf("\n");
    out_table *t = out_table_new(5, "lllrr", headings);
    for (size_t i = 0; i < list.count; i++) {
        const fold_row *row = &list.rows[i];
        char shape[1400], bytes[32], flags[8];
        bool missing = (row->first->flags & TOLA_TENSOR_MISSING) != 0;
        snprintf(flags, sizeof flags, "%s", row->first->flags & TOLA_TENSOR_SHARED ? "*" : "");
        out_table_cell(t, missing ? OUT_DIM : OUT_PLAIN, "  %s%s", row->name, flags);
        out_table_cell(t, OUT_GREEN, "%s", missing ? "missing" : tola_dtype_name((tola_dtype)row->first->dtype));
        out_table_cell(t, OUT_PLAIN, "%s", missing ? "" : fold_shape(shape, sizeof shape, row->first));
        if (row->count > 1)
            out_table_cell(t, OUT_DIM, "x%zu", row->count);
        else
            out_table_cell(t, OUT_DIM, "%s", "");
        out_table_cell(t, OUT_PLAIN, "%s", missing ? "" : text_bytes(bytes, sizeof bytes, row->bytes));
    }
    out_table_print(t);
    if (in->summary->shared_tensors) out_styled(OUT_DIM, "  * shares its storage with another tensor\n");
    fold_free(&list);
}

/* ---- metadata ---- */

#define METADATA_TEXT 200 /* bytes of one text that are shown */
#define METADATA_ITEMS 8

static void print_scalar(const tola_value *v) {
    switch (v->kind) {
    case TOLA_VALUE_BOOL: out_printf("%s", v->as.boolean ? "true" : "false"); break;
    case TOLA_VALUE_INT: out_printf("%" PRId64, v->as.i64); break;
    case TOLA_VALUE_UINT: out_printf("%" PRIu64, v->as.u64); break;
    case TOLA_VALUE_FLOAT: out_printf("%.9g", v->as.f64); break;
    case TOLA_VALUE_STRING: {
        size_t n = v->as.string.length < METADATA_TEXT ? v->as.string.length : METADATA_TEXT;
        while (n < v->as.string.length && n > 0 && ((unsigned char)v->as.string.data[n] & 0xc0) == 0x80) n--;
        char *text = frame_quote(v->as.string.data, n, false);
        out_printf("\"%s\"", text);
        free(text);
        if (n < v->as.string.length) out_styled(OUT_DIM, "... (%zu bytes)", v->as.string.length);
        break;
    }
    default: out_printf("null"); break;
    }
}

static void print_value(const tola_value *v, int depth);

static void print_array(const tola_value *v, int depth) {
    size_t shown = v->as.array.count <= 2 * METADATA_ITEMS ? v->as.array.count : METADATA_ITEMS;
    out_printf("[");
    for (size_t i = 0; i < shown; i++) {
        tola_value item = tola_value_at(v, i);
        if (i) out_printf(", ");
        print_value(&item, depth + 1);
    }
    if (shown < v->as.array.count) out_styled(OUT_DIM, ", ... %zu in all", v->as.array.count);
    out_printf("]");
}

static void print_map(const tola_value *v, int depth) {
    for (size_t i = 0; i < v->as.map.count; i++) {
        const tola_member *m = &v->as.map.members[i];
        char *key = frame_quote(m->key.data, m->key.length, false);
        out_styled(OUT_CYAN, "\n%*s%s", 2 + 2 * depth, "", key);
        free(key);
        out_printf(m->value.kind == TOLA_VALUE_MAP ? ":" : " = ");
        print_value(&m->value, depth + 1);
    }
}

static void print_value(const tola_value *v, int depth) {
    if (depth > 20) {
        out_printf("...");
    } else if (v->kind == TOLA_VALUE_MAP) {
        if (v->as.map.count == 0) out_printf(" {}");
        print_map(v, depth);
    } else if (v->kind == TOLA_VALUE_ARRAY) {
        print_array(v, depth);
    } else {
        print_scalar(v);
    }
}

static void print_metadata(const tola_checkpoint *ck) {
    const tola_value *metadata = tola_checkpoint_metadata(ck);
    if (!metadata || metadata->kind != TOLA_VALUE_MAP || metadata->as.map.count == 0) {
        out_printf("\n  no metadata\n");
        return;
    }
    out_styled(OUT_BOLD, "\n  metadata");
    print_value(metadata, 0);
    out_printf("\n");
}

void inspect_print(const inspection *in, const inspect_settings *settings) {
    print_facts(in);
    print_roles(in->summary);
    print_dtypes(in->summary);
    if (settings->metadata) print_metadata(in->checkpoint);
    if (settings->tensors) print_tensors(in, settings->tensors);
}
