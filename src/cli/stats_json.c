/* tola stats --json: schema tola.stats/1. Figures that are undefined (nothing finite, no deviation) are null. */
#include "stats.h"

/* The bins [first, end) that edge `from` and the edge returned enclose. Empty bins beside the zeros are one, whatever
 * their number: between the smallest elements and zero lie dozens of powers of two. */
static int next_edge(const tola_tensor_stats *s, int from, int end) {
    int to = from + 1;
    if (s->histogram[from] || from == STATS_ZERO_BIN) return to;
    while (to < end && !s->histogram[to] && to != STATS_ZERO_BIN) to++;
    bool below = to == STATS_ZERO_BIN, above = from == STATS_ZERO_BIN + 1;
    return below || above ? to : from + 1;
}

static void write_histogram(tola_json *j, const tola_tensor_stats *s) {
    int first = 0, end = 0;
    bool any = stats_range(s, &first, &end);
    tola_json_key(j, "histogram");
    tola_json_begin_object(j);
    tola_json_key(j, "edges");
    tola_json_begin_array(j);
    for (int i = first; any && i < end; i = next_edge(s, i, end)) tola_json_f64(j, stats_edge(i));
    if (any) tola_json_f64(j, stats_edge(end));
    tola_json_end_array(j);
    tola_json_key(j, "counts");
    tola_json_begin_array(j);
    for (int i = first; any && i < end; i = next_edge(s, i, end)) tola_json_u64(j, s->histogram[i]);
    tola_json_end_array(j);
    tola_json_end_object(j);
}

static void write_tensor(tola_json *j, const tola_tensor_info *t, const tola_tensor_stats *s) {
    tola_json_begin_object(j);
    tola_json_key(j, "name");
    tola_json_string(j, t->name);
    tola_json_key(j, "dtype");
    tola_json_string(j, tola_dtype_name((tola_dtype)t->dtype));
    out_json_u64(j, "elements", s->count);
    out_json_f64(j, "min", s->min);
    out_json_f64(j, "max", s->max);
    out_json_f64(j, "mean", s->mean);
    out_json_f64(j, "std", s->std);
    out_json_f64(j, "norm", s->norm);
    out_json_f64(j, "kurtosis", s->kurtosis);
    out_json_u64(j, "zeros", s->zeros);
    out_json_u64(j, "nan", s->nans);
    out_json_u64(j, "inf", s->infinities);
    out_json_u64(j, "outliers", s->outliers);
    write_histogram(j, s);
    tola_json_end_object(j);
}

void stats_write_json(const stats_view *v) {
    tola_json j;
    out_json_begin(&j);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema");
    tola_json_string(&j, "tola.stats/1");
    out_json_u64(&j, "bytes", v->stats->bytes);
    out_json_u64(&j, "skipped", v->stats->skipped);
    tola_json_key(&j, "tensors");
    tola_json_begin_array(&j);
    for (size_t i = 0; i < v->stats->count; i++) {
        const tola_tensor_stats *s = &v->stats->tensors[i];
        write_tensor(&j, tola_checkpoint_tensor(v->checkpoint, s->tensor), s);
    }
    tola_json_end_array(&j);
    tola_json_end_object(&j);
    out_json_end(&j);
}
