/* Images and tables: rows of numbers through a network of layers. */
#include "base/err.h"
#include "base/json.h"
#include "learn/data_table.h"
#include "learn/network.h"
#include "learn/shuffle.h"
#include "learn/train.h"
#include <tola/json.h>

#include <stdio.h>
#include <string.h>

typedef struct table_job {
    const recipe *r;
    learn_parameters *parameters;
    data_table *table, *other; /* other: for validation; NULL: rows of the same */
    data_split split;
    network *net;
    buf config;
    uint32_t columns;
    /* one batch */
    float *features, *numbers, *weights;
    uint32_t *labels, *outputs;
} table_job;

static void close_job(void *own) {
    table_job *j = own;
    network_free(j->net);
    data_table_close(j->table);
    data_table_close(j->other);
    buf_free(&j->config);
    mem_free(j->features);
    mem_free(j->numbers);
    mem_free(j->weights);
    mem_free(j->labels);
    mem_free(j->outputs);
    mem_free(j);
}

/* ---- data ---- */

static tola_status open_one(const recipe *r, const char *path, const char *labels, const data_table *like,
                            data_table **out, tola_error *err) {
    if (r->data.format == RECIPE_IDX) {
        const data_idx_options o = { .classes = r->data.classes, .scale = (data_scale)r->data.scale, .like = like };
        return data_idx_open(path, labels, &o, out, err);
    }
    data_csv_options o = { .label = r->data.target ? r->data.target : "-1",
                           .label_is_number = r->data.regression,
                           .classes = r->data.classes,
                           .scale = (data_scale)r->data.scale,
                           .like = like };
    o.header = r->data.header == 1 ? DATA_HEADER_YES : r->data.header == 2 ? DATA_HEADER_NO : DATA_HEADER_GUESS;
    return data_csv_open(path, &o, out, err);
}

static tola_status open_data(table_job *j, tola_error *err) {
    const recipe *r = j->r;
    const char *labels = r->data.labels.count ? r->data.labels.paths[0] : NULL;
    TRY(open_one(r, r->data.train.paths[0], labels, NULL, &j->table, err));
    if (r->data.validation.count) {
        labels = r->data.validation_labels.count ? r->data.validation_labels.paths[0] : NULL;
        TRY(open_one(r, r->data.validation.paths[0], labels, j->table, &j->other, err));
    }
    const data_table_info *a = data_table_about(j->table);
    if (a->classes == 0 && !a->has_number) return yaml_error(r->data.node, err, "nothing is to be predicted");
    if (a->has_number && a->classes) return yaml_error(r->data.node, err, "is both classes and numbers");
    j->columns = a->columns;
    double given = r->data.split ? r->data.split->number : 0;
    tola_status status = data_split_make(a->count, given >= 1 ? (uint64_t)given : 0, given < 1 ? given : 0, true,
                                         r->seed, &j->split, err);
    return status == TOLA_OK || !r->data.split ? status
                                               : yaml_error(r->data.split, err, "%s", err ? err->message : "too many");
}

static tola_status take_batch(table_job *j, tola_error *err) {
    size_t n = j->r->training.batch, columns = j->columns;
    if (columns > SIZE_MAX / sizeof(float) / n / 2) return err_nomem(err, "a batch");
    j->features = mem_alloc_aligned(64, n * columns * sizeof *j->features);
    j->numbers = mem_calloc(n, sizeof *j->numbers);
    j->weights = mem_calloc(n, sizeof *j->weights);
    j->labels = mem_calloc(n, sizeof *j->labels);
    j->outputs = mem_calloc(n, sizeof *j->outputs);
    if (!j->features || !j->numbers || !j->weights || !j->labels || !j->outputs) return err_nomem(err, "a batch");
    for (size_t i = 0; i < n; i++) {
        j->outputs[i] = (uint32_t)i;
        j->weights[i] = 1;
    }
    return TOLA_OK;
}

static tola_status read_row(table_job *j, const data_table *t, uint64_t example, size_t at, tola_error *err) {
    return data_table_read(t, example, j->features + at * j->columns, &j->labels[at], &j->numbers[at], err);
}

static void hand_out(const table_job *j, size_t rows, learn_batch *b) {
    b->graph = (graph_batch){ .tokens = rows, .outputs = j->outputs, .output_count = rows };
    b->learn = (graph_learn_batch){
        .features = j->features, .targets = j->labels, .row_weights = j->weights, .wanted = j->numbers
    };
    b->weight = (double)rows;
    b->tokens = rows;
}

static tola_status next_batch(void *user, uint64_t step, uint32_t part, learn_batch *b, tola_error *err) {
    table_job *j = user;
    uint64_t n = j->r->training.batch, first = (step * j->r->training.accumulate + part) * n;
    for (size_t i = 0; i < n; i++) {
        uint64_t example = data_split_train(&j->split, shuffle_draw(j->split.train, j->r->seed, first + i));
        TRY(read_row(j, j->table, example, i, err));
    }
    hand_out(j, (size_t)n, b);
    return TOLA_OK;
}

static uint64_t validation_rows(const table_job *j) {
    return j->other ? data_table_about(j->other)->count : j->split.validation;
}

static tola_status validation_batch(void *user, uint64_t step, uint32_t part, learn_batch *b, tola_error *err) {
    table_job *j = user;
    uint64_t n = j->r->training.batch, first = (uint64_t)part * n, all = validation_rows(j);
    if (n > all - first) n = all - first;
    (void)step;
    for (size_t i = 0; i < n; i++) {
        uint64_t example = j->other ? first + i : data_split_validation(&j->split, first + i);
        TRY(read_row(j, j->other ? j->other : j->table, example, i, err));
    }
    hand_out(j, (size_t)n, b);
    return TOLA_OK;
}

/* ---- what is written ---- */

static void put_numbers(tola_json *json, const char *key, const double *values, uint32_t n) {
    tola_json_key(json, key);
    tola_json_begin_array(json);
    for (uint32_t i = 0; i < n; i++) tola_json_f64(json, values[i]);
    tola_json_end_array(json);
}

/* All that is needed to use the weights elsewhere: what a row is, how it is scaled, the layers, the classes. */
static tola_status make_config(table_job *j, tola_error *err) {
    const data_table_info *a = data_table_about(j->table);
    const double *offset, *factor;
    tola_json json;
    buf_init(&j->config, 0);
    tola_json_init(&json, json_to_buf, &j->config, 1);
    tola_json_begin_object(&json);
    tola_json_key(&json, "model_type");
    tola_json_string(&json, "tola_layers");
    tola_json_key(&json, "input");
    tola_json_begin_array(&json);
    if (a->channels)
        tola_json_u64(&json, a->channels), tola_json_u64(&json, a->height), tola_json_u64(&json, a->width);
    else
        tola_json_u64(&json, a->columns);
    tola_json_end_array(&json);
    data_table_scaling(j->table, &offset, &factor);
    bool same = offset != NULL;
    for (uint32_t i = 1; same && i < a->columns; i++) same = offset[i] == offset[0] && factor[i] == factor[0];
    if (offset) {
        put_numbers(&json, "offset", offset, same ? 1 : a->columns);
        put_numbers(&json, "factor", factor, same ? 1 : a->columns);
    }
    network_describe(j->net, &json);
    if (a->classes) {
        tola_json_key(&json, "classes");
        tola_json_begin_array(&json);
        for (uint32_t i = 0; i < a->classes; i++) tola_json_string(&json, data_table_class(j->table, i));
        tola_json_end_array(&json);
    }
    tola_json_end_object(&json);
    bool made = tola_json_finish(&json);
    buf_append(&j->config, "\n", 1);
    return made && !j->config.failed ? TOLA_OK : err_nomem(err, "the configuration");
}

static tola_status write_model(void *user, const char *folder, tola_error *err) {
    const table_job *j = user;
    const learn_companion config = { "config.json", j->config.data, j->config.length };
    return learn_write_parameters(j->parameters, folder, &config, 1, err);
}

/* ---- together ---- */

static tola_status fill(training *t, table_job *j, tola_error *err) {
    recipe *r = t->r;
    uint8_t digest[32];
    if (r->model.architecture || r->model.config || r->model.weights)
        return yaml_error(r->model.node, err, "a table is learned by 'layers'");
    TRY(open_data(j, err));
    const data_table_info *a = data_table_about(j->table);
    const network_options o = { .image = a->channels ? (graph_image){ a->channels, a->height, a->width }
                                                     : (graph_image){ 1, 1, a->columns },
                                .outputs = a->classes ? a->classes : 1,
                                .loss = a->classes ? NETWORK_CROSS_ENTROPY : NETWORK_SQUARED_ERROR,
                                .smoothing = r->model.smoothing,
                                .seed = r->seed };
    TRY(network_create(r->model.layers, &o, &j->net, err));
    TRY(learn_parameters_create(&t->parameters, err));
    j->parameters = t->parameters;
    TRY(network_parameters(j->net, t->parameters, err));
    TRY(network_build(j->net, t->parameters, r->training.recompute ? GRAPH_RECOMPUTE_LAYERS : GRAPH_KEEP_ALL, &t->graph,
                      err));
    TRY(take_batch(j, err));
    TRY(make_config(j, err));
    TRY(data_table_digest(j->table, digest, err));
    train_digest_text(digest, t->digest);
    t->examples = t->rows = j->split.train;
    t->validation = validation_rows(j);
    snprintf(t->network, sizeof t->network, "layers");
    t->task =
        (learn_task){ .graph = t->graph,
                      .parameters = t->parameters,
                      .loss_count = 1,
                      .logits = a->classes ? 1 : 0,
                      .max_tokens = r->training.batch,
                      .max_outputs = r->training.batch,
                      .user = j,
                      .batch = next_batch,
                      .validation = t->validation ? validation_batch : NULL,
                      .validation_batches = train_batches(t->validation, r->training.batch, r->validation_batches),
                      .data_bytes = (uint64_t)r->training.batch * j->columns * sizeof(float),
                      .write_model = write_model };
    return TOLA_OK;
}

tola_status train_on_table(training *t, tola_error *err) {
    table_job *j = mem_calloc(1, sizeof *j);
    if (!j) return err_nomem(err, "training");
    j->r = t->r;
    t->own = j;
    t->close = close_job;
    return fill(t, j, err);
}
