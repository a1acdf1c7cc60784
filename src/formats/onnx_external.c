/* External data of ONNX models: tensors in files beside the model.
 * https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
 *
 * A location is a relative path that stays in the model's folder. Absolute paths, "..", and symbolic links that lead
 * out of the folder are refused: a model must not name /etc/shadow as its weights. */
#define _GNU_SOURCE 1
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/text.h"
#include "formats/onnx.h"
#include "formats/open.h"

static tola_status refuse(tola_error *err, const char *location, const char *why) {
    char quoted[200];
    return err_set(err, TOLA_E_UNSAFE, TOLA_NO_OFFSET, "its external data '%s' %s and is not followed",
                   text_quote(quoted, sizeof quoted, location, strlen(location)), why);
}

static tola_status check_location(const char *location, tola_error *err) {
    if (!*location) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "its external data has no location");
    if (*location == '/' || strstr(location, "://")) return refuse(err, location, "is no relative path");
    for (const char *p = location; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') return refuse(err, location, "leads out of the model's folder");
        p += n;
        while (*p == '/') p++;
    }
    return TOLA_OK;
}

/* The folder that real paths must stay below. In a Hugging Face cache the files of a snapshot are links to blobs of the
 * same model, two folders up. */
static void widen_to_cache(char *folder) {
    char *snapshots = strstr(folder, "/snapshots/"), *model = folder;
    for (char *p = folder; snapshots && p < snapshots; p++)
        if (*p == '/') model = p;
    if (snapshots && strncmp(model, "/models--", 9) == 0) *snapshots = 0;
}

/* Follows all links of both; a file that is not there passes, opening it will say so. */
static tola_status check_links(const char *folder, const char *path, const char *location, tola_error *err) {
    char real_folder[PATH_MAX], real_path[PATH_MAX];
    if (!realpath(folder, real_folder) || !realpath(path, real_path)) return TOLA_OK;
    widen_to_cache(real_folder);
    size_t n = strlen(real_folder);
    if (n == 1) n = 0; /* "/" */
    if (strncmp(real_path, real_folder, n) != 0 || real_path[n] != '/')
        return refuse(err, location, "is a symbolic link out of the model's folder");
    return TOLA_OK;
}

static tola_status find_path(const onnx_model *model, const char *location, char **out, tola_error *err) {
    const ck_file *self = &model->ck->files[model->file];
    if (!self->src || source_in_memory(self->src))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "its data is in another file, '%s', which a model in memory does not have", location);
    TRY(check_location(location, err));
    const char *path = self->info.path, *slash = strrchr(path, '/');
    bool remote = strstr(path, "://") != NULL;
    if (remote && strpbrk(location, "?#%"))
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "its external data '%s' is no name for an address",
                       location);
    char *folder = mem_strdup(slash ? path : ".");
    if (!folder) return err_nomem(err, "opening external data");
    if (slash) folder[slash == path ? 1 : slash - path] = 0;
    char *joined = path_join(folder, location);
    tola_status status = joined ? TOLA_OK : err_nomem(err, "opening external data");
    if (status == TOLA_OK && !remote) status = check_links(folder, joined, location, err);
    mem_free(folder);
    if (status == TOLA_OK)
        *out = joined;
    else
        mem_free(joined);
    return status;
}

static tola_status open_new(onnx_model *model, const char *location, uint32_t *file, bool *missing, tola_error *err) {
    char *path;
    source *src = NULL;
    TRY(find_path(model, location, &path, err));
    tola_status status = ck_open_source(path, &src, err);
    *missing = status == TOLA_E_NOT_FOUND && model->ck->options.tolerant;
    if (*missing) {
        ck_warn(model->ck, "external data '%s' is missing", location);
        status = TOLA_OK;
    }
    if (status == TOLA_OK) status = ck_add_file(model->ck, path, src, file, err);
    mem_free(path);
    return status;
}

tola_status onnx_open_external(onnx_model *model, const char *location, uint32_t *file, bool *missing,
                               tola_error *err) {
    for (size_t i = model->external_count; i-- > 0;)
        if (strcmp(model->externals[i], location) == 0) {
            *file = model->external_files[i];
            *missing = model->external_missing[i];
            return TOLA_OK;
        }
    size_t n = model->external_count;
    if (n >= ONNX_MAX_EXTERNAL)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d files of external data", ONNX_MAX_EXTERNAL);
    char *copy = arena_strndup(&model->ck->arena, location, strlen(location));
    if (!copy || !mem_grow(&model->externals, &model->external_cap, n + 1, sizeof *model->externals) ||
        !mem_grow(&model->external_files, &model->external_file_cap, n + 1, sizeof *model->external_files) ||
        !mem_grow(&model->external_missing, &model->external_missing_cap, n + 1, sizeof *model->external_missing))
        return err_nomem(err, "opening external data");
    TRY(open_new(model, location, file, missing, err));
    model->externals[n] = copy;
    model->external_files[n] = *file;
    model->external_missing[n] = *missing;
    model->external_count++;
    return TOLA_OK;
}
