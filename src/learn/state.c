/* checkpoint-N/: the model as write_model writes it, state.safetensors (masters that the model does not hold, moments
 * of the optimizer) and run.json. The folder is filled under another name and renamed: killed at any instant, a run
 * leaves whole checkpoints and perhaps one folder called ".checkpoint-N.part", which the next run removes. */
#define _GNU_SOURCE 1
#include "learn/state.h"

#include "base/err.h"
#include "base/json.h"
#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "learn/parameters.h"
#include "learn/ranks.h"
#include <tola/checkpoint.h>
#include <tola/json.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "checkpoint-"
#define RUN_SCHEMA "tola.training/1"
#define RUN_LIMIT (16u << 20) /* bytes of a run.json */

/* ---- folders ---- */

/* Files of a folder and the folder; folders within it, which only chat templates make, one level deep. Of a link to a
 * folder only the link. */
static void remove_folder(const char *path, int depth) {
    if (unlink(path) == 0) return;
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *inner = path_join(path, e->d_name);
        if (inner && unlink(inner) != 0 && depth > 0) remove_folder(inner, depth - 1);
        mem_free(inner);
    }
    closedir(dir);
    rmdir(path);
}

/* N of "checkpoint-N" or, `part`, of ".checkpoint-N.part"; UINT64_MAX for anything else. */
static uint64_t step_of(const char *name, bool part) {
    if (part && *name++ != '.') return UINT64_MAX;
    if (strncmp(name, MARK, strlen(MARK)) != 0) return UINT64_MAX;
    const char *digits = name + strlen(MARK);
    char *end;
    errno = 0;
    unsigned long long n = *digits >= '0' && *digits <= '9' ? strtoull(digits, &end, 10) : (end = NULL, 0);
    if (!end || errno || strcmp(end, part ? ".part" : "") != 0) return UINT64_MAX;
    return n;
}

static char *folder_of(const char *out, uint64_t step, bool part) {
    char name[64];
    snprintf(name, sizeof name, "%s" MARK "%" PRIu64 "%s", part ? "." : "", step, part ? ".part" : "");
    return path_join(out, name);
}

static bool is_whole(const char *folder) {
    struct stat st;
    char *run = path_join(folder, "run.json");
    bool whole = run && stat(run, &st) == 0 && S_ISREG(st.st_mode);
    mem_free(run);
    return whole;
}

tola_status learn_last_checkpoint(const char *out, char **folder, uint64_t *step, tola_error *err) {
    DIR *dir = opendir(out);
    *folder = NULL;
    if (!dir) return errno == ENOENT ? TOLA_OK : err_errno(err, errno, "cannot read folder", out);
    for (struct dirent *e; (e = readdir(dir));) {
        uint64_t n = step_of(e->d_name, false);
        if (n == UINT64_MAX || (*folder && n <= *step)) continue;
        char *path = path_join(out, e->d_name);
        if (path && is_whole(path)) {
            mem_free(*folder);
            *folder = path;
            *step = n;
        } else {
            mem_free(path);
        }
    }
    closedir(dir);
    return TOLA_OK;
}

static int compare_steps(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void state_prune(const char *out, uint32_t keep) {
    DIR *dir = opendir(out);
    uint64_t *steps = NULL;
    size_t count = 0, cap = 0;
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        uint64_t n = step_of(e->d_name, false);
        bool left = step_of(e->d_name, true) != UINT64_MAX;
        if (n == UINT64_MAX && !left) continue;
        char *path = path_join(out, e->d_name);
        if (path && left)
            remove_folder(path, 1);
        else if (path && is_whole(path) && mem_grow(&steps, &cap, count + 1, sizeof *steps))
            steps[count++] = n; /* what is no checkpoint is not counted among those that are kept */
        mem_free(path);
    }
    closedir(dir);
    if (count) qsort(steps, count, sizeof *steps, compare_steps);
    for (size_t i = 0; i + keep < count; i++) {
        char *old = folder_of(out, steps[i], false), *gone = folder_of(out, steps[i], true);
        /* out of sight first: what is half removed is no checkpoint */
        if (old && gone && rename(old, gone) == 0) remove_folder(gone, 1);
        mem_free(old);
        mem_free(gone);
    }
    mem_free(steps);
}

/* ---- the tensors of the state ---- */

/* One tensor of state.safetensors: of one parameter, all its parts behind one another. */
typedef enum item_kind { ITEM_WEIGHTS, ITEM_MOMENT, ITEM_CODES, ITEM_SCALES } item_kind;
typedef struct item {
    const learn_parameter *parameter;
    size_t segment; /* of its first part */
    item_kind kind;
    unsigned moment;
    char *name;
    uint64_t shape[2]; /* parts, elements of one */
    tola_dtype dtype;
} item;

static const void *item_data(const item *t, const learn_segment *s) {
    switch (t->kind) {
    case ITEM_WEIGHTS: return s->values;
    case ITEM_SCALES: return s->scale[t->moment];
    default: return s->moment[t->moment];
    }
}

static tola_status add_item(const learn_parameter *p, size_t segment, item_kind kind, unsigned moment, arena *names,
                            item **items, size_t *count, size_t *cap, tola_error *err) {
    static const char *const words[] = { "weights", "moment", "codes", "scales" };
    if (!mem_grow(items, cap, *count + 1, sizeof **items)) return err_nomem(err, "listing the state");
    size_t n = strlen(p->name) + 32;
    item *t = &(*items)[(*count)++];
    *t = (item){ .parameter = p, .segment = segment, .kind = kind, .moment = moment, .name = arena_alloc(names, n) };
    if (!t->name) return err_nomem(err, "listing the state");
    if (kind == ITEM_WEIGHTS)
        snprintf(t->name, n, "%s.%s", words[kind], p->name);
    else
        snprintf(t->name, n, "%s%u.%s", words[kind], moment + 1, p->name);
    t->shape[0] = p->weight->parts;
    t->shape[1] = kind == ITEM_SCALES ? learn_blocks(learn_part(p)) : learn_part(p);
    t->dtype = kind == ITEM_CODES ? TOLA_DTYPE_U8 : TOLA_DTYPE_F32;
    return TOLA_OK;
}

static tola_status list_items(const learn_parameters *p, const learn_optimizer *o, arena *names, item **items,
                              size_t *count, tola_error *err) {
    size_t cap = 0, segment = 0;
    for (size_t i = 0; i < p->count; i++) {
        const learn_parameter *q = &p->items[i];
        const bool eight = learn_eight(o, q);
        if (!q->kept) TRY(add_item(q, segment, ITEM_WEIGHTS, 0, names, items, count, &cap, err));
        for (unsigned m = 0; m < learn_moments(o); m++) {
            TRY(add_item(q, segment, eight ? ITEM_CODES : ITEM_MOMENT, m, names, items, count, &cap, err));
            if (eight) TRY(add_item(q, segment, ITEM_SCALES, m, names, items, count, &cap, err));
        }
        segment += q->weight->parts;
    }
    return TOLA_OK;
}

static uint64_t part_bytes(const item *t) { return t->shape[1] * (t->dtype == TOLA_DTYPE_U8 ? 1 : sizeof(float)); }

static tola_status write_items(const learn_parameters *p, const item *items, size_t count, const char *path,
                               tola_error *err) {
    const learn_state *state = p->state;
    tola_tensor_spec *specs = mem_calloc(count + 1, sizeof *specs);
    tola_writer *w = NULL;
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    if (!specs) return err_nomem(err, "writing the state");
    for (size_t i = 0; i < count; i++)
        specs[i] = (tola_tensor_spec){ items[i].name, items[i].shape, 2, (uint16_t)items[i].dtype, 0 };
    options.overwrite = true;
    tola_status status = tola_writer_open(path, specs, count, &options, &w, err);
    mem_free(specs);
    if (status != TOLA_OK) return status;
    for (size_t i = 0; i < count && status == TOLA_OK; i++)
        for (uint64_t k = 0; k < items[i].shape[0] && status == TOLA_OK; k++)
            status = tola_writer_write(w, i, k * part_bytes(&items[i]),
                                       item_data(&items[i], &state->segments[items[i].segment + k]),
                                       (size_t)part_bytes(&items[i]), err);
    if (status == TOLA_OK) return tola_writer_finish(w, err);
    tola_writer_abort(w);
    return status;
}

static tola_status read_items(const learn_parameters *p, const item *items, size_t count, const tola_checkpoint *ck,
                              tola_error *err) {
    const learn_state *state = p->state;
    for (size_t i = 0; i < count; i++) {
        const item *t = &items[i];
        size_t index = tola_checkpoint_find(ck, t->name);
        const tola_tensor_info *info = index != SIZE_MAX ? tola_checkpoint_tensor(ck, index) : NULL;
        tola_status status = TOLA_OK;
        if (!info)
            status =
                err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is missing: the run had another network or optimizer");
        else if (info->dtype != t->dtype || info->n_dims != 2 || info->shape[0] != t->shape[0] ||
                 info->shape[1] != t->shape[1])
            status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "has %" PRIu64 " elements of %s, expected %" PRIu64,
                             info->elements, tola_dtype_name((tola_dtype)info->dtype), t->shape[0] * t->shape[1]);
        if (status != TOLA_OK) return err_in_tensor(err, status, t->name);
        for (uint64_t k = 0; k < t->shape[0]; k++) {
            void *to = (void *)(uintptr_t)item_data(t, &state->segments[t->segment + k]);
            TRY(tola_checkpoint_read(ck, index, k * part_bytes(t), to, (size_t)part_bytes(t), err));
        }
    }
    return TOLA_OK;
}

/* Masters that the model's own file holds. */
static tola_status read_kept(const learn_parameters *p, const char *path, tola_error *err) {
    tola_checkpoint *ck = NULL;
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < p->count && status == TOLA_OK; i++) {
        const learn_parameter *q = &p->items[i];
        if (!q->kept) continue;
        if (!ck) TRY(tola_checkpoint_open(path, NULL, &ck, err));
        size_t index = tola_checkpoint_find(ck, q->name);
        const tola_tensor_info *info = index != SIZE_MAX ? tola_checkpoint_tensor(ck, index) : NULL;
        if (!info || info->dtype != TOLA_DTYPE_F32 || info->elements != q->elements) {
            status = err_in_tensor(err,
                                   err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                                           "is missing or of another size: the run had another network"),
                                   q->name);
            break;
        }
        uint64_t bytes = learn_part(q) * sizeof(float);
        for (uint32_t k = 0; k < q->weight->parts && status == TOLA_OK; k++)
            status = tola_checkpoint_read(ck, index, k * bytes, q->values[k], (size_t)bytes, err);
    }
    tola_checkpoint_close(ck);
    return status;
}

/* ---- run.json ---- */

static void put_u64(tola_json *j, const char *key, uint64_t value) {
    tola_json_key(j, key);
    tola_json_u64(j, value);
}

static tola_status write_run(const learn_task *task, const run_place *at, const char *folder, tola_error *err) {
    buf text;
    buf_init(&text, RUN_LIMIT);
    tola_json j;
    tola_json_init(&j, json_to_buf, &text, 1);
    tola_json_begin_object(&j);
    tola_json_key(&j, "schema");
    tola_json_string(&j, RUN_SCHEMA);
    put_u64(&j, "step", at->step);
    put_u64(&j, "tokens", at->tokens);
    put_u64(&j, "log_bytes", at->log_bytes);
    tola_json_key(&j, "validation_due");
    tola_json_bool(&j, at->validation_due);
    tola_json_key(&j, "facts");
    tola_json_begin_object(&j);
    for (size_t i = 0; i < task->fact_count; i++) {
        tola_json_key(&j, task->facts[i].name);
        tola_json_string(&j, task->facts[i].value);
    }
    tola_json_end_object(&j);
    tola_json_end_object(&j);
    bool made = tola_json_finish(&j) && !text.failed;
    char *path = path_join(folder, "run.json");
    output_set *set = NULL;
    output_file *file;
    tola_status status = made && path ? output_set_open(true, &set, err) : err_nomem(err, "writing run.json");
    if (status == TOLA_OK) {
        status = output_add(set, path, text.length, &file, err);
        if (status == TOLA_OK) status = output_write(file, 0, text.data, text.length, err);
        if (status == TOLA_OK)
            status = output_commit(set, err);
        else
            output_abort(set);
    }
    mem_free(path);
    buf_free(&text);
    return status;
}

static tola_status read_text(const char *path, char **text, size_t *length, tola_error *err) {
    FILE *f = fopen(path, "rb");
    if (!f) return err_errno(err, errno, "cannot open", path);
    *text = mem_alloc(RUN_LIMIT);
    *length = *text ? fread(*text, 1, RUN_LIMIT, f) : 0;
    bool failed = ferror(f) != 0;
    fclose(f);
    if (!*text) return err_nomem(err, "reading run.json");
    if (!failed && *length < RUN_LIMIT) return TOLA_OK;
    mem_free(*text);
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s: cannot be read", path);
}

static void tell(buf *b, const char *name, const char *was, const char *is) {
    char q[3][96];
    buf_printf(b, "%s%s was %s, is %s", b->length ? "; " : "", text_quote(q[0], sizeof q[0], name, strlen(name)),
               was ? text_quote(q[1], sizeof q[1], was, strlen(was)) : "not given",
               is ? text_quote(q[2], sizeof q[2], is, strlen(is)) : "not given");
}

/* What is other than it was. */
static void compare_facts(const learn_task *task, const tola_value *facts, buf *changes) {
    for (size_t i = 0; i < task->fact_count; i++) {
        const learn_fact *f = &task->facts[i];
        const char *was = tola_value_str(tola_value_get(facts, f->name), NULL);
        if (!f->harmless && (!was || strcmp(was, f->value) != 0)) tell(changes, f->name, was, f->value);
    }
    for (size_t k = 0; facts && facts->kind == TOLA_VALUE_MAP && k < facts->as.map.count; k++) {
        const tola_member *m = &facts->as.map.members[k];
        bool known = false;
        for (size_t i = 0; i < task->fact_count; i++) known |= strcmp(task->facts[i].name, m->key.data) == 0;
        if (!known) tell(changes, m->key.data, tola_value_str(&m->value, "?"), NULL);
    }
}

/* `named`: the step that the folder is called after. */
static tola_status check_run(const learn_task *task, const learn_options *o, const char *path, const char *text,
                             size_t length, uint64_t named, run_place *at, tola_error *err) {
    arena a;
    buf changes;
    tola_value run;
    arena_init(&a, 4 * (size_t)RUN_LIMIT);
    buf_init(&changes, 700);
    tola_status status = json_parse(text, length, &a, &run, err);
    const char *schema = status == TOLA_OK ? tola_value_str(tola_value_get(&run, "schema"), "") : "";
    if (status == TOLA_OK && strcmp(schema, RUN_SCHEMA) != 0)
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no " RUN_SCHEMA);
    if (status == TOLA_OK) {
        at->step = tola_value_u64(tola_value_get(&run, "step"), UINT64_MAX);
        at->tokens = tola_value_u64(tola_value_get(&run, "tokens"), 0);
        at->log_bytes = tola_value_u64(tola_value_get(&run, "log_bytes"), 0);
        at->validation_due = tola_value_bool(tola_value_get(&run, "validation_due"), false);
        if (at->step != named)
            status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "its step is not that of its folder, %llu",
                             (unsigned long long)named);
        if (status == TOLA_OK && !o->other_facts) compare_facts(task, tola_value_get(&run, "facts"), &changes);
        if (changes.length)
            status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the run was begun with another recipe: %.*s",
                             (int)changes.length, (const char *)changes.data);
    }
    if (status != TOLA_OK) err_in_file(err, status, path);
    buf_free(&changes);
    arena_free(&a);
    return status;
}

/* ---- saving and loading ---- */

static tola_status fill_folder(const learn_task *task, const learn_options *o, const run_place *at, const char *folder,
                               tola_error *err) {
    item *items = NULL;
    size_t count = 0;
    arena names;
    arena_init(&names, 0);
    char *path = path_join(folder, "state.safetensors");
    tola_status status = path ? TOLA_OK : err_nomem(err, "writing a checkpoint");
    if (status == TOLA_OK) status = task->write_model(task->user, folder, err);
    if (status == TOLA_OK) status = list_items(task->parameters, &o->optimizer, &names, &items, &count, err);
    if (status == TOLA_OK) status = write_items(task->parameters, items, count, path, err);
    if (status == TOLA_OK) status = write_run(task, at, folder, err);
    mem_free(path);
    mem_free(items);
    arena_free(&names);
    return status;
}

static void sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd); /* not every file system has it */
    close(fd);
}

static tola_status save(const learn_task *task, const learn_options *o, const run_place *at, char **folder,
                        tola_error *err) {
    char *part = folder_of(o->out, at->step, true), *whole = folder_of(o->out, at->step, false);
    tola_status status = part && whole ? TOLA_OK : err_nomem(err, "writing a checkpoint");
    if (status == TOLA_OK) {
        remove_folder(part, 1);
        if (mkdir(part, 0777) != 0) status = err_errno(err, errno, "cannot create folder", part);
    }
    if (status == TOLA_OK) {
        status = fill_folder(task, o, at, part, err);
        if (status == TOLA_OK) {
            sync_folder(part);
            /* where one of the same step is there, they change places: at no moment is there none */
            bool there = is_whole(whole);
            if (!there) remove_folder(whole, 1);
            if (renameat2(AT_FDCWD, part, AT_FDCWD, whole, there ? RENAME_EXCHANGE : 0) != 0)
                status = err_errno(err, errno, "cannot rename into place", whole);
            else
                sync_folder(o->out);
            if (there) remove_folder(part, 1);
        }
        if (status != TOLA_OK) remove_folder(part, 1);
    }
    mem_free(part);
    if (status == TOLA_OK)
        *folder = whole;
    else
        mem_free(whole);
    return status;
}

tola_status state_save(const learn_task *task, const learn_options *o, const run_place *at, char **folder,
                       tola_error *err) {
    *folder = NULL;
    TRY(learn_state_collect(task->parameters, err));
    tola_status status = ranks_own() == 0 ? save(task, o, at, folder, err) : TOLA_OK;
    learn_state_drop_others(task->parameters);
    return ranks_agree(status, err);
}

static tola_status load_tensors(const learn_task *task, const learn_options *o, const char *folder, tola_error *err) {
    item *items = NULL;
    size_t count = 0;
    arena names;
    tola_checkpoint *ck = NULL;
    arena_init(&names, 0);
    char *state = path_join(folder, "state.safetensors");
    char *model = path_join(folder, task->model_file ? task->model_file : "model.safetensors");
    tola_status status = state && model ? TOLA_OK : err_nomem(err, "reading a checkpoint");
    if (status == TOLA_OK) status = list_items(task->parameters, &o->optimizer, &names, &items, &count, err);
    if (status == TOLA_OK) status = tola_checkpoint_open(state, NULL, &ck, err);
    if (status == TOLA_OK) status = read_items(task->parameters, items, count, ck, err);
    if (status == TOLA_OK) status = read_kept(task->parameters, model, err);
    tola_checkpoint_close(ck);
    mem_free(state);
    mem_free(model);
    mem_free(items);
    arena_free(&names);
    return status;
}

tola_status state_load(const learn_task *task, const learn_options *o, const char *folder, run_place *at,
                       tola_error *err) {
    char *path = path_join(folder, "run.json"), *text = NULL;
    size_t length;
    tola_status status = path ? read_text(path, &text, &length, err) : err_nomem(err, "reading a checkpoint");
    if (status == TOLA_OK) status = check_run(task, o, path, text, length, step_of(path_last(folder), false), at, err);
    mem_free(text);
    mem_free(path);
    if (status == TOLA_OK) status = load_tensors(task, o, folder, err);
    learn_state_drop_others(task->parameters);
    return status;
}

/* ---- models whose parameters are all there is ---- */

tola_status learn_write_parameters(const learn_parameters *p, const char *folder, const learn_companion *companions,
                                   size_t count, tola_error *err) {
    tola_tensor_spec *specs = mem_calloc(p->count + 1, sizeof *specs);
    uint64_t(*shapes)[3] = mem_calloc(p->count + 1, sizeof *shapes);
    tola_writer *w = NULL;
    tola_status status = specs && shapes ? TOLA_OK : err_nomem(err, "writing the model");
    for (size_t i = 0; i < p->count && status == TOLA_OK; i++) {
        const learn_parameter *q = &p->items[i];
        const uint64_t own[3] = { q->weight->parts, q->weight->rows, q->weight->cols };
        unsigned first = q->weight->parts > 1 ? 0 : q->weight->rows > 1 ? 1 : 2;
        memcpy(shapes[i], own + first, (3 - first) * sizeof own[0]);
        specs[i] =
            (tola_tensor_spec){ q->name, q->shape ? q->shape : shapes[i], (uint16_t)(q->shape ? q->n_dims : 3 - first),
                                TOLA_DTYPE_F32, TOLA_TENSOR_PARAMETER };
    }
    tola_write_options options = TOLA_WRITE_OPTIONS_INIT;
    options.overwrite = options.folder = true;
    if (status == TOLA_OK) status = tola_writer_open(folder, specs, p->count, &options, &w, err);
    for (size_t i = 0; i < p->count && status == TOLA_OK; i++) {
        uint64_t bytes = learn_part(&p->items[i]) * sizeof(float);
        for (uint32_t k = 0; k < p->items[i].weight->parts && status == TOLA_OK; k++)
            status = tola_writer_write(w, i, k * bytes, p->items[i].values[k], (size_t)bytes, err);
    }
    for (size_t i = 0; i < count && status == TOLA_OK; i++)
        status = tola_writer_companion(w, companions[i].name, companions[i].data, companions[i].bytes, err);
    mem_free(specs);
    mem_free(shapes);
    if (status == TOLA_OK) return tola_writer_finish(w, err);
    tola_writer_abort(w);
    return status;
}
