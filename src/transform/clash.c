/* See clash.h. Files are told apart by device and inode, so links and roundabout paths do not hide anything. */
#define _GNU_SOURCE 1 /* memccpy */
#include "transform/clash.h"
#include "base/err.h"
#include "base/output.h"
#include "base/path.h"
#include "base/text.h"
#include "formats/format.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The folder that holds `path`; false where there is none or its name is too long to be one. */
static bool stat_parent(const char *path, struct stat *st) {
    char folder[4096];
    size_t n = (size_t)(path_last(path) - path);
    if (n == 0) return stat(".", st) == 0;
    if (n >= sizeof folder) return false;
    memcpy(folder, path, n);
    folder[n] = '\0';
    return stat(folder, st) == 0;
}

static tola_status refuse(const char *path, const char *input, const char *how, tola_error *err) {
    char a[300], b[300];
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s: the output would %s the input %s; choose another name",
                   text_quote(a, sizeof a, path, strlen(path)), how, text_quote(b, sizeof b, input, strlen(input)));
}

/* "model-00002-of-00005.safetensors" belongs to the set of "model.safetensors" (or of "model"). */
static bool in_shard_set(const char *file, const char *output) {
    const char *name = path_last(file), *out = path_last(output), *dot = strrchr(out, '.');
    size_t stem = dot ? (size_t)(dot - out) : strlen(out);
    return strncmp(name, out, stem) == 0 && glob_match("-[0-9]*-of-[0-9]*", name + stem);
}

tola_status clash_check_path(const tola_checkpoint *in, const char *path, bool folder, bool sharded, tola_error *err) {
    struct stat target, parent, file, file_parent;
    bool there = stat(path, &target) == 0, parent_there = stat_parent(path, &parent);
    for (size_t i = 0; i < tola_checkpoint_file_count(in); i++) {
        const char *input = tola_checkpoint_file(in, i)->path;
        if (!stat_parent(input, &file_parent)) continue;
        if (there && S_ISREG(target.st_mode) && same_file(&target, &file_parent)) /* what an encrypted model holds */
            return refuse(path, input, "replace", err);
        if (stat(input, &file) != 0) continue;
        if (there && !folder && same_file(&target, &file)) return refuse(path, input, "replace", err);
        if (there && folder && same_file(&target, &file_parent))
            return refuse(path, input, "lie in the folder of", err);
        if (sharded && !folder && parent_there && same_file(&parent, &file_parent) && in_shard_set(input, path))
            return refuse(path, input, "belong to the same shards as", err);
    }
    return TOLA_OK;
}

/* ---- with the writer's files known ---- */

static bool is_output(const tola_writer *w, const char *name) {
    for (size_t i = 0; i < w->file_count; i++)
        if (strcmp(path_last(output_path(w->files[i])), name) == 0) return true;
    return false;
}

static tola_status check_leftovers(const tola_writer *w, tola_error *err) {
    static const char weights[] = "{model,adapter_model,pytorch_model}*{.safetensors,.bin,.gguf,.index.json}";
    static const char configuration[] = "{config,adapter_config}.json";
    DIR *dir = w->folder ? opendir(w->folder) : NULL;
    if (!dir) return TOLA_OK; /* the folder is new */
    char first[256] = "";     /* by name, so that the message is always the same */
    for (struct dirent *e; (e = readdir(dir));) {
        if (!glob_match(weights, e->d_name) && !glob_match(configuration, e->d_name)) continue;
        if (is_output(w, e->d_name) || (*first && strcmp(e->d_name, first) > 0)) continue;
        memccpy(first, e->d_name, '\0', sizeof first - 1);
    }
    closedir(dir);
    if (!*first) return TOLA_OK;
    char quoted[300];
    err_set(err, TOLA_E_EXISTS, TOLA_NO_OFFSET,
            "the folder holds %s, which this output would not replace: two models would lie in one folder",
            text_quote(quoted, sizeof quoted, first, strlen(first)));
    return err_in_file(err, TOLA_E_EXISTS, w->folder);
}

tola_status clash_check_outputs(const tola_checkpoint *in, const tola_writer *w, tola_error *err) {
    struct stat target, file;
    for (size_t k = 0; k < w->file_count; k++) {
        const char *path = output_path(w->files[k]);
        if (stat(path, &target) != 0) continue; /* new */
        for (size_t i = 0; i < tola_checkpoint_file_count(in); i++) {
            const char *input = tola_checkpoint_file(in, i)->path;
            if (stat(input, &file) == 0 && same_file(&target, &file)) return refuse(path, input, "replace", err);
        }
    }
    return check_leftovers(w, err);
}
