/* Texts: documents to tokens to rows of a language model. */
#include "base/err.h"
#include "base/path.h"
#include "learn/data_tokens.h"
#include "learn/decoder.h"
#include "learn/shuffle.h"
#include "learn/teacher.h"
#include "learn/train.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"
#include <tola/tokenizer.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_PIECE ((uint64_t)4 << 20)
#define MAX_COMPANION ((size_t)256 << 20)

/* What goes beside the weights of a new model, where there is one. */
static const char *const companion_names[] = { "config.json",
                                               "tokenizer.json",
                                               "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "generation_config.json",
                                               "tokenizer.model",
                                               "chat_template.jinja",
                                               "vocab.json",
                                               "merges.txt" };
#define COMPANIONS (sizeof companion_names / sizeof companion_names[0])

/* Texts, tokens and rows of one part of the data. */
typedef struct stream {
    data_text *text;
    data_tokens *tokens;
    data_rows *rows;
} stream;

typedef struct text_job {
    const recipe *r;
    learn_parameters *parameters;
    tola_tokenizer *tokenizer;
    decoder model;
    stream train, other; /* other: for validation, or nothing */
    data_split split;    /* of the rows of `train` */
    uint32_t context;
    learn_companion companions[COMPANIONS + 1];
    void *companion_data[COMPANIONS + 1];
    size_t companion_count;
    /* one batch */
    uint32_t *ids, *positions, *targets, *first, *outputs;
    float *weights;
    teacher *teacher; /* NULL: none */
    float *reference;
    uint32_t *reference_ids, reference_top;
} text_job;

static void close_stream(stream *s) {
    data_rows_close(s->rows);
    data_tokens_close(s->tokens);
    data_text_close(s->text);
}

static void close_job(void *own) {
    text_job *j = own;
    decoder_close(&j->model);
    close_stream(&j->train);
    close_stream(&j->other);
    tola_tokenizer_free(j->tokenizer);
    for (size_t i = 0; i < j->companion_count; i++) tola_free(j->companion_data[i]);
    mem_free(j->ids);
    mem_free(j->positions);
    mem_free(j->targets);
    mem_free(j->first);
    mem_free(j->outputs);
    mem_free(j->weights);
    teacher_close(j->teacher);
    mem_free(j->reference);
    mem_free(j->reference_ids);
    mem_free(j);
}

/* ---- tokenizer and companions ---- */

static void keep_companion(text_job *j, const char *name, void *data, size_t bytes) {
    j->companions[j->companion_count] = (learn_companion){ name, data, bytes };
    j->companion_data[j->companion_count++] = data;
}

/* A copy that tola_free takes. */
static tola_status copy_companion(text_job *j, const char *name, const void *data, size_t bytes, tola_error *err) {
    void *copy = mem_alloc(bytes + 1);
    if (!copy) return err_nomem(err, "the model's files");
    memcpy(copy, data, bytes);
    keep_companion(j, name, copy, bytes);
    return TOLA_OK;
}

static tola_status read_companion(text_job *j, const char *path, const char *name, tola_error *err) {
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f) return errno == ENOENT ? TOLA_OK : err_errno(err, errno, "cannot open", path);
    size_t bytes = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size : MAX_COMPANION + 1;
    void *data = bytes <= MAX_COMPANION ? mem_alloc(bytes + 1) : NULL;
    bool whole = data && fread(data, 1, bytes, f) == bytes;
    fclose(f);
    if (whole) {
        keep_companion(j, name, data, bytes);
        return TOLA_OK;
    }
    mem_free(data);
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s: cannot be read", path);
}

/* tokenizer.json and what explains it, from a folder or one file. */
static tola_status given_tokenizer(text_job *j, const char *path, tola_error *err) {
    struct stat st;
    TRY(tola_tokenizer_open(path, &j->tokenizer, err));
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        const char *name = path_last(path);
        for (size_t i = 1; i < COMPANIONS; i++)
            if (strcmp(name, companion_names[i]) == 0) return read_companion(j, path, companion_names[i], err);
        return TOLA_OK; /* in no file that a folder of a model has */
    }
    for (size_t i = 1; i < COMPANIONS; i++) {
        char *file = path_join(path, companion_names[i]);
        tola_status status = file ? read_companion(j, file, companion_names[i], err) : err_nomem(err, "the tokenizer");
        mem_free(file);
        if (status != TOLA_OK) return status;
    }
    return TOLA_OK;
}

/* All documents, piece by piece: what is cut between two pieces is cut at white space, where words are cut anyway. */
static tola_status feed_document(bpe_trainer *trainer, const data_text *text, uint64_t i, tola_error *err) {
    buf piece;
    bool end = false;
    uint64_t at = 0;
    buf_init(&piece, 0);
    tola_status status = TOLA_OK;
    while (!end && status == TOLA_OK) {
        size_t held = piece.length;
        status = data_text_read(text, i, at, TEXT_PIECE, &piece, &end, err);
        if (status == TOLA_OK && piece.failed) status = err_nomem(err, "training a tokenizer");
        if (status != TOLA_OK) break;
        at += piece.length - held;
        size_t n = piece.length;
        if (!end) /* before the last white space that follows something else: a word takes the space before it */
            while (n > 1 && !(piece.data[n - 1] == ' ' && piece.data[n - 2] != ' ')) n--;
        if (!end && n > 1) n--;
        if (n <= 1 && !end) continue; /* one long word: more of it */
        status = bpe_train_add(trainer, (const char *)piece.data, n, err);
        memmove(piece.data, piece.data + n, piece.length - n);
        piece.length -= n;
    }
    buf_free(&piece);
    return status;
}

static tola_status feed_all(text_job *j, bpe_trainer *trainer, tola_error *err) {
    const recipe *r = j->r;
    const data_text_options o = { .separator = r->data.separator, .field = r->data.field };
    data_text *text;
    TRY(data_text_open(r->data.train.paths, r->data.train.count, &o, &text, err));
    tola_status status = TOLA_OK;
    for (uint64_t i = 0; i < data_text_count(text) && status == TOLA_OK; i++)
        status = feed_document(trainer, text, i, err);
    data_text_close(text);
    return status;
}

/* Byte-level BPE over the texts to train on, with one special token, which begins and ends texts as GPT-2's does. */
static tola_status train_tokenizer(text_job *j, const training *t, tola_error *err) {
    static const char *const specials[] = { "<|endoftext|>" };
    const bpe_train_options o = { .vocabulary = j->r->tokenizer.vocabulary,
                                  .least = 2,
                                  .words = BPE_WORDS_GPT2,
                                  .specials = specials,
                                  .special_count = 1,
                                  .begin = specials[0],
                                  .end = specials[0],
                                  .context = j->r->model.context,
                                  .threads = t->o->threads };
    bpe_trainer *trainer;
    buf files[2];
    uint32_t tokens;
    TRY(bpe_train_create(&o, &trainer, err));
    buf_init(&files[0], 0);
    buf_init(&files[1], 0);
    tola_status status = feed_all(j, trainer, err);
    if (status == TOLA_OK) status = bpe_train_finish(trainer, &files[0], &files[1], &tokens, err);
    bpe_train_free(trainer);
    const tk_file named[] = { { "tokenizer.json", files[0].data, files[0].length },
                              { "tokenizer_config.json", files[1].data, files[1].length } };
    const tk_files both = { named, 2 };
    if (status == TOLA_OK) status = tk_open_files(&both, &j->tokenizer, err);
    for (size_t i = 0; i < 2 && status == TOLA_OK; i++)
        status = copy_companion(j, named[i].name, named[i].data, named[i].bytes, err);
    buf_free(&files[0]);
    buf_free(&files[1]);
    return status;
}

/* Given; the model's own; what an earlier part of this run has trained; trained now. */
static tola_status open_tokenizer(text_job *j, const training *t, tola_error *err) {
    const recipe *r = j->r;
    char *last = NULL;
    uint64_t step;
    if (r->tokenizer.file) return given_tokenizer(j, r->tokenizer.file, err);
    if (r->model.weights) return TOLA_OK;
    if (r->distill.teacher) return given_tokenizer(j, r->distill.teacher, err);
    if (t->o->resume && t->o->out && !t->o->other_recipe) TRY(learn_last_checkpoint(t->o->out, &last, &step, err));
    if (!last) return train_tokenizer(j, t, err);
    tola_status status = given_tokenizer(j, last, err);
    mem_free(last);
    return status;
}

/* ---- data ---- */

/* Making tokens of much text takes long: whoever watches the run is asked whether to go on. */
static bool still_wanted(void *user, const tola_progress *progress) {
    const tola_train_options *o = user;
    const tola_learn_event e = { .kind = TOLA_LEARN_WORKING };
    (void)progress;
    return o->event(o->event_user, &e);
}

static tola_status open_stream(const text_job *j, const training *t, const recipe_files *files, const char *cache,
                               stream *s, tola_error *err) {
    const recipe *r = j->r;
    const data_text_options o = { .separator = r->data.separator, .field = r->data.field };
    data_tokens_options k = DATA_TOKENS_OPTIONS_INIT;
    char *path = NULL;
    TRY(data_text_open((const char *const *)files->paths, files->count, &o, &s->text, err));
    k.after = tola_tokenizer_special(j->tokenizer, TOLA_SPECIAL_EOS);
    k.vocabulary = j->model.description ? j->model.description->vocabulary : 0;
    k.threads = t->o->threads;
    k.progress = t->o->event ? still_wanted : NULL;
    k.progress_user = (void *)(uintptr_t)t->o;
    if (t->o->out && !t->o->dry_run) {
        path = path_join(t->o->out, cache);
        if (!path) return err_nomem(err, "tokens");
        k.cache = path;
    }
    tola_status status = data_tokens_open(s->text, j->tokenizer, &k, &s->tokens, err);
    mem_free(path);
    if (status != TOLA_OK) return status;
    return data_rows_open(s->tokens, j->context, (data_rows_kind)r->data.rows, &s->rows, err);
}

static tola_status open_data(text_job *j, const training *t, tola_error *err) {
    const recipe *r = j->r;
    TRY(open_stream(j, t, &r->data.train, "train.tokens", &j->train, err));
    if (r->data.validation.count) TRY(open_stream(j, t, &r->data.validation, "validation.tokens", &j->other, err));
    double given = r->data.split ? r->data.split->number : 0;
    tola_status status = data_split_make(data_rows_count(j->train.rows), given >= 1 ? (uint64_t)given : 0,
                                         given < 1 ? given : 0, false, r->seed, &j->split, err);
    return status == TOLA_OK || !r->data.split ? status
                                               : yaml_error(r->data.split, err, "%s", err ? err->message : "too many");
}

static tola_status take_batch(text_job *j, tola_error *err) {
    uint64_t n;
    if (!mul_u64(j->r->training.batch, j->context, &n) || n > UINT32_MAX / 4)
        return yaml_error(j->r->model.node, err, "a batch of %u rows of %u tokens is too large", j->r->training.batch,
                          j->context);
    uint32_t **lists[] = { &j->ids, &j->positions, &j->targets, &j->first, &j->outputs };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        *lists[i] = mem_calloc((size_t)n, sizeof **lists[i]);
        if (!*lists[i]) return err_nomem(err, "a batch");
    }
    j->weights = mem_calloc((size_t)n, sizeof *j->weights);
    if (!j->weights) return err_nomem(err, "a batch");
    for (uint32_t i = 0; i < n; i++) j->outputs[i] = i;
    if (!j->teacher) return TOLA_OK;
    j->reference = mem_calloc((size_t)n * j->reference_top, sizeof *j->reference);
    j->reference_ids = mem_calloc((size_t)n * j->reference_top, sizeof *j->reference_ids);
    return j->reference && j->reference_ids ? TOLA_OK : err_nomem(err, "a batch");
}

/* Puts a row of tokens into place `at` of the batch. */
static tola_status read_row(text_job *j, const data_rows *rows, uint64_t row, size_t at, uint32_t *targets,
                            tola_error *err) {
    const size_t base = at * j->context;
    TRY(data_rows_read(rows, row, j->ids + base, j->targets + base, j->weights + base, j->first + base, targets, err));
    for (uint32_t i = 0; i < j->context; i++) {
        j->positions[base + i] = i - j->first[base + i];
        j->first[base + i] += (uint32_t)base;
    }
    return TOLA_OK;
}

/* What the teacher makes of the row in place `at` of the batch. */
static tola_status ask_teacher(text_job *j, uint64_t row, size_t at, tola_error *err) {
    const size_t base = at * j->context;
    return teacher_row(j->teacher, row, j->ids + base, j->first + base, j->weights + base,
                       j->reference + base * j->reference_top, j->reference_ids + base * j->reference_top, err);
}

static void hand_out(const text_job *j, size_t rows, uint64_t targets, learn_batch *b) {
    size_t n = rows * j->context;
    b->graph = (graph_batch){
        .tokens = n, .ids = j->ids, .positions = j->positions, .outputs = j->outputs, .output_count = n
    };
    b->learn = (graph_learn_batch){ .first = j->first,
                                    .targets = j->targets,
                                    .row_weights = j->weights,
                                    .reference = j->reference,
                                    .reference_ids = j->reference_ids,
                                    .reference_top = j->reference_top };
    b->weight = (double)targets;
    b->tokens = targets;
}

static tola_status next_batch(void *user, uint64_t step, uint32_t part, learn_batch *b, tola_error *err) {
    text_job *j = user;
    uint64_t n = j->r->training.batch, first = (step * j->r->training.accumulate + part) * n, sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t targets;
        uint64_t row = data_split_train(&j->split, shuffle_draw(j->split.train, j->r->seed, first + i));
        TRY(read_row(j, j->train.rows, row, i, &targets, err));
        if (j->teacher) TRY(ask_teacher(j, row, i, err));
        sum += targets;
    }
    hand_out(j, (size_t)n, sum, b);
    return TOLA_OK;
}

static uint64_t validation_rows(const text_job *j) {
    return j->other.rows ? data_rows_count(j->other.rows) : j->split.validation;
}

static tola_status validation_batch(void *user, uint64_t step, uint32_t part, learn_batch *b, tola_error *err) {
    text_job *j = user;
    uint64_t n = j->r->training.batch, first = (uint64_t)part * n, all = validation_rows(j), sum = 0;
    if (n > all - first) n = all - first;
    (void)step;
    for (size_t i = 0; i < n; i++) {
        uint32_t targets;
        uint64_t row = j->other.rows ? first + i : data_split_validation(&j->split, first + i);
        TRY(read_row(j, j->other.rows ? j->other.rows : j->train.rows, row, i, &targets, err));
        sum += targets;
    }
    hand_out(j, (size_t)n, sum, b);
    return TOLA_OK;
}

static tola_status write_model(void *user, const char *folder, tola_error *err) {
    const text_job *j = user;
    return decoder_write(&j->model, folder, j->companions, j->companion_count, err);
}

/* ---- together ---- */

/* A model is not trained into its own folder: a run that is stopped would leave neither. */
static tola_status check_apart(const recipe *r, const char *out, tola_error *err) {
    struct stat a, b;
    if (!r->model.weights || !out || stat(r->model.weights, &a) != 0 || stat(out, &b) != 0) return TOLA_OK;
    if (a.st_dev != b.st_dev || a.st_ino != b.st_ino) return TOLA_OK;
    return yaml_error(r->model.weights_node, err, "is the folder of the run; say another with --out");
}

static tola_status open_model(text_job *j, const training *t, tola_error *err) {
    const recipe *r = j->r;
    TRY(check_apart(r, t->o->out, err));
    const decoder_tokens tokens = {
        .vocabulary = j->tokenizer ? tola_tokenizer_size(j->tokenizer) : 0,
        .bos = j->tokenizer ? tola_tokenizer_special(j->tokenizer, TOLA_SPECIAL_BOS) : TOLA_NO_TOKEN,
        .eos = j->tokenizer ? tola_tokenizer_special(j->tokenizer, TOLA_SPECIAL_EOS) : TOLA_NO_TOKEN
    };
    TRY(decoder_open(r, &tokens, &j->model, err));
    j->model.threads = t->o->threads;
    const model_description *d = j->model.description;
    if (j->model.config) TRY(copy_companion(j, "config.json", j->model.config, j->model.config_length, err));
    if (!j->tokenizer) TRY(tola_tokenizer_from_checkpoint(j->model.checkpoint, &j->tokenizer, err));
    bool said = yaml_get(r->model.node, "context") != NULL;
    j->context = said || d->context > 1024 ? r->model.context : d->context;
    if (j->context > d->context)
        return yaml_error(yaml_get(r->model.node, "context"), err, "the model was made for %u tokens", d->context);
    return TOLA_OK;
}

/* Both must mean the same by an id. */
static tola_status same_tokens(const text_job *j, const tola_model *m, tola_error *err) {
    const tola_tokenizer *a = j->tokenizer, *b = tola_model_tokenizer(m);
    for (uint32_t id = 0; b && id < tola_tokenizer_size(a); id++) {
        size_t n, k;
        const char *x = tola_token_text(a, id, &n, NULL), *y = tola_token_text(b, id, &k, NULL);
        if (x && (!y || n != k || memcmp(x, y, n) != 0))
            return yaml_error(j->r->distill.node, err, "the teacher's token %u is not the student's", (unsigned)id);
    }
    return TOLA_OK;
}

static tola_status open_teacher(text_job *j, const training *t, tola_error *err) {
    const recipe *r = j->r;
    char *cache = NULL;
    if (t->o->out && !t->o->dry_run) {
        cache = path_join(t->o->out, "teacher.rows");
        if (!cache) return err_nomem(err, "a teacher");
    }
    const uint32_t vocabulary = j->model.description->vocabulary;
    const teacher_options o = { .path = r->distill.teacher,
                                .context = j->context,
                                .top = r->distill.top < vocabulary ? r->distill.top : vocabulary,
                                .temperature = r->distill.temperature,
                                .digest = data_tokens_digest(j->train.tokens),
                                .cache = cache,
                                .threads = t->o->threads };
    j->reference_top = o.top;
    tola_status status = teacher_open(&o, vocabulary, &j->teacher, err);
    mem_free(cache);
    return status == TOLA_OK ? same_tokens(j, teacher_model(j->teacher), err) : status;
}

static tola_status fill(training *t, text_job *j, tola_error *err) {
    recipe *r = t->r;
    if (!r->model.architecture && !r->model.config && !r->model.weights)
        return yaml_error(r->model.node, err, "texts are learned by a language model: 'architecture: llama', say");
    TRY(open_tokenizer(j, t, err));
    TRY(open_model(j, t, err));
    TRY(open_data(j, t, err));
    TRY(learn_parameters_create(&t->parameters, err));
    j->parameters = t->parameters;
    TRY(decoder_build(&j->model, r, t->parameters, &t->graph, err));
    if (r->distill.teacher) TRY(open_teacher(j, t, err));
    TRY(take_batch(j, err));
    train_digest_text(data_tokens_digest(j->train.tokens), t->digest);
    t->rows = j->split.train;
    t->examples = j->split.validation ? j->split.train * j->context : data_tokens_count(j->train.tokens);
    t->validation = validation_rows(j) * j->context;
    snprintf(t->network, sizeof t->network, "%.31s", j->model.description->family->name);
    const size_t most = (size_t)r->training.batch * j->context;
    t->task =
        (learn_task){ .graph = t->graph,
                      .parameters = t->parameters,
                      .loss_count = j->teacher ? 2 : 1,
                      .logits = j->teacher ? 2 : 1,
                      .validation_loss = j->teacher ? 3 : 0,
                      .max_tokens = most,
                      .max_outputs = most,
                      .user = j,
                      .batch = next_batch,
                      .validation = t->validation ? validation_batch : NULL,
                      .validation_batches = train_batches(validation_rows(j), r->training.batch, r->validation_batches),
                      .data_bytes = most * (24 + 8 * (uint64_t)j->reference_top),
                      .frozen_bytes = j->teacher ? teacher_bytes(j->teacher) : 0,
                      .write_model = write_model };
    return TOLA_OK;
}

tola_status train_on_text(training *t, tola_error *err) {
    text_job *j = mem_calloc(1, sizeof *j);
    if (!j) return err_nomem(err, "training");
    j->r = t->r;
    t->own = j;
    t->close = close_job;
    return fill(t, j, err);
}
