/* Statements of provenance: written, read, held against manifests. */
#include "trust/provenance.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/options.h"
#include "base/text.h"
#include "trust/crypto.h"
#include "trust/sign_name.h"
#include "trust/whole.h"
#include <tola/json.h>
#include <tola/sign.h>

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://slsa.dev/provenance/v1"

enum { PROVENANCE_FILE_MOST = 64 << 20, PROVENANCE_TREE_MOST = 512 << 20 };

/* ---- reading ---- */

static const char *text_of(const tola_value *object, const char *key) {
    const tola_value *v = tola_value_get(object, key);
    if (!v || v->kind != TOLA_VALUE_STRING || strlen(v->as.string.data) != v->as.string.length) return NULL;
    return v->as.string.data;
}

static bool is_provenance(const tola_value *v) {
    const char *type = text_of(v, "_type"), *predicate = text_of(v, "predicateType");
    return type && predicate && strcmp(type, STATEMENT_TYPE) == 0 && strcmp(predicate, PREDICATE_TYPE) == 0;
}

tola_status provenance_read(const char *path, arena *a, const tola_value **out, tola_error *err) {
    buf text;
    TRY(whole_read(path, PROVENANCE_FILE_MOST, &text, err));
    tola_value *v = arena_alloc(a, sizeof *v);
    if (a->limit == 0) a->limit = PROVENANCE_TREE_MOST;
    tola_status status =
        v ? json_parse((const char *)text.data, text.length, a, v, err) : err_nomem(err, "reading provenance");
    if (status == TOLA_OK && !is_provenance(v))
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "is no in-toto statement of provenance (SLSA v1)");
    whole_wipe(&text);
    if (status != TOLA_OK) return err_in_file(err, status, path);
    *out = v;
    return TOLA_OK;
}

/* The resource descriptors of a list, as files. */
static tola_status files_of(const tola_value *list, arena *a, provenance_file **files, size_t *count, tola_error *err) {
    if (!list || list->kind != TOLA_VALUE_ARRAY || list->as.array.count > PROVENANCE_MOST_FILES)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET,
                       "its provenance has no list of files, or one that is too long");
    size_t n = list->as.array.count;
    provenance_file *all = arena_alloc_array(a, n + 1, sizeof *all);
    if (!all) return err_nomem(err, "reading provenance");
    for (size_t i = 0; i < n; i++) {
        tola_value v = tola_value_at(list, i);
        const char *name = text_of(&v, "name"), *hex = text_of(tola_value_get(&v, "digest"), "sha256");
        const tola_value *notes = tola_value_get(&v, "annotations");
        const char *model = text_of(notes, "model"), *role = text_of(notes, "role");
        bool good = name && *name && hex && digest_from_hex(hex, strlen(hex), all[i].sha256, 32);
        /* the model's name becomes a path below folders that the caller names: one component */
        good =
            good && (!model || (*model && !strchr(model, '/') && strcmp(model, ".") != 0 && strcmp(model, "..") != 0));
        if (!good)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "its provenance names a file without name or sha256");
        all[i].path = name;
        all[i].model = model ? model : name;
        all[i].data = role && strcmp(role, "data") == 0;
        if (!model && strchr(name, '/'))
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "its provenance names a file of no model");
    }
    *files = all;
    *count = n;
    return TOLA_OK;
}

tola_status provenance_inputs(const tola_value *statement, arena *a, provenance_file **files, size_t *count,
                              tola_error *err) {
    if (!is_provenance(statement))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "its provenance is no in-toto statement of SLSA v1");
    const tola_value *definition = tola_value_get(tola_value_get(statement, "predicate"), "buildDefinition");
    return files_of(tola_value_get(definition, "resolvedDependencies"), a, files, count, err);
}

bool provenance_has(const manifest *m, const provenance_file *file) {
    if (m->rules.hash != DIGEST_SHA256 || m->rules.shard_size) return false;
    for (size_t i = 0; i < m->count; i++) {
        const char *path = m->items[i].path;
        bool same = strcmp(path, ".") == 0 ? strcmp(file->path, file->model) == 0 : strcmp(path, file->path) == 0;
        if (same && crypto_same(m->items[i].digest, file->sha256, 32)) return true;
    }
    return false;
}

tola_status provenance_matches(const tola_value *statement, const manifest *m, tola_error *err) {
    arena a;
    arena_init(&a, 0);
    provenance_file *files = NULL;
    size_t count = 0;
    char quoted[300];
    tola_status status = TOLA_OK;
    if (m->rules.hash != DIGEST_SHA256 || m->rules.shard_size)
        status =
            err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "provenance is signed along with sha256 over whole files only");
    if (status == TOLA_OK) status = files_of(tola_value_get(statement, "subject"), &a, &files, &count, err);
    if (status == TOLA_OK && count == 0)
        status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the statement has no subject");
    for (size_t i = 0; status == TOLA_OK && i < count; i++)
        if (!provenance_has(m, &files[i]))
            status = err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                             "the statement is about '%s' with another content than what is being signed",
                             text_quote(quoted, sizeof quoted, files[i].path, strlen(files[i].path)));
    arena_free(&a);
    return status;
}

/* ---- writing ---- */

static void member(tola_json *j, const char *key, const char *text) {
    tola_json_key(j, key);
    tola_json_string(j, text);
}

typedef struct writing {
    const tola_provenance *p;
    const char *path; /* of the statement: not part of a model that it lies in */
    bool outputs;     /* they are written now */
} writing;

/* One model's files as resource descriptors. */
static tola_status write_model(tola_json *j, const char *model, const char *role, const writing *w, tola_error *err) {
    const tola_provenance *p = w->p;
    manifest m;
    manifest_files files = { 0 };
    manifest_work work = { p->threads, p->progress, p->progress_user, 0 };
    manifest_init(&m);
    m.rules.allow_symlinks = true;
    static const char *const ignored[] = { ".git", ".gitattributes", ".github", ".gitignore", "model.sig" };
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < sizeof ignored / sizeof *ignored; i++)
        status = manifest_ignore(&m, model, ignored[i], err);
    for (size_t i = 0; status == TOLA_OK && w->outputs && p->left_out && p->left_out[i]; i++)
        status = manifest_ignore(&m, model, p->left_out[i], err);
    if (status == TOLA_OK) status = sign_ignore_file(&m, model, w->path, err);
    if (status == TOLA_OK) status = manifest_walk(model, &m.rules, &files, err);
    if (status == TOLA_OK) status = manifest_make(&m, &files, &work, err);
    char *name = sign_model_name(model), hex[DIGEST_HEX];
    if (status == TOLA_OK && !name) status = err_nomem(err, "naming a model");
    for (size_t i = 0; status == TOLA_OK && i < m.count; i++) {
        tola_json_begin_object(j);
        member(j, "name", files.folder ? m.items[i].path : name);
        tola_json_key(j, "digest");
        tola_json_begin_object(j);
        digest_to_hex(m.items[i].digest, 32, hex);
        member(j, "sha256", hex);
        tola_json_end_object(j);
        tola_json_key(j, "annotations");
        tola_json_begin_object(j);
        member(j, "model", name);
        if (role) member(j, "role", role);
        tola_json_end_object(j);
        tola_json_end_object(j);
    }
    mem_free(name);
    manifest_files_free(&files);
    manifest_free(&m);
    return status;
}

static tola_status write_models(tola_json *j, const char *key, const char *const *models, const writing *w,
                                tola_error *err) {
    const char *const *data = w->outputs ? NULL : w->p->data;
    tola_json_key(j, key);
    tola_json_begin_array(j);
    for (size_t i = 0; models[i]; i++) TRY(write_model(j, models[i], NULL, w, err));
    for (size_t i = 0; data && data[i]; i++) TRY(write_model(j, data[i], "data", w, err));
    tola_json_end_array(j);
    return TOLA_OK;
}

static tola_status write_predicate(tola_json *j, const writing *w, tola_error *err) {
    const tola_provenance *p = w->p;
    char text[128];
    tola_json_key(j, "predicate");
    tola_json_begin_object(j);
    tola_json_key(j, "buildDefinition");
    tola_json_begin_object(j);
    snprintf(text, sizeof text, "urn:tola:%s:1", p->verb);
    member(j, "buildType", text);
    tola_json_key(j, "externalParameters");
    tola_json_begin_object(j);
    for (size_t i = 0; p->parameters && p->parameters[i]; i++) {
        size_t n = strcspn(p->parameters[i], "=");
        tola_json_key_n(j, p->parameters[i], n);
        tola_json_string(j, p->parameters[i] + n + (p->parameters[i][n] == '='));
    }
    tola_json_end_object(j);
    TRY(write_models(j, "resolvedDependencies", p->inputs, w, err));
    tola_json_end_object(j);
    tola_json_key(j, "runDetails");
    tola_json_begin_object(j);
    tola_json_key(j, "builder");
    tola_json_begin_object(j);
    snprintf(text, sizeof text, "urn:tola:%s", tola_version());
    member(j, "id", text);
    tola_json_end_object(j);
    tola_json_end_object(j);
    tola_json_end_object(j);
    return TOLA_OK;
}

static tola_status write_statement(tola_json *j, const writing *w, tola_error *err) {
    tola_json_begin_object(j);
    member(j, "_type", STATEMENT_TYPE);
    const writing outputs = { w->p, w->path, true };
    TRY(write_models(j, "subject", w->p->outputs, &outputs, err));
    member(j, "predicateType", PREDICATE_TYPE);
    TRY(write_predicate(j, w, err));
    tola_json_end_object(j);
    if (!tola_json_finish(j)) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the provenance does not fit");
    return TOLA_OK;
}

tola_status tola_provenance_write(const char *path, const tola_provenance *provenance, bool overwrite,
                                  tola_error *err) {
    tola_provenance p = TOLA_PROVENANCE_INIT;
    TRY(options_take(&p, sizeof p, provenance, err));
    if (!p.verb || !p.inputs || !p.outputs)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "provenance needs a verb, inputs and outputs");
    buf text;
    buf_init(&text, 0);
    tola_json j;
    tola_json_init(&j, json_to_buf, &text, 2);
    tola_status status = write_statement(&j, &(writing){ &p, path, false }, err);
    buf_u8(&text, '\n');
    if (status == TOLA_OK)
        status = text.failed ? err_nomem(err, "writing provenance") : whole_write(path, &text, overwrite, err);
    buf_free(&text);
    return status;
}
