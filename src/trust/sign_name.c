/* Names and places of models and signatures. */
#include "trust/sign_name.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/path.h"
#include <tola/sign.h>

char *tola_signature_path(const char *model) {
    struct stat st;
    if (stat(model, &st) == 0 && S_ISDIR(st.st_mode)) return path_join(model, "model.sig");
    size_t n = strlen(model);
    char *path = mem_alloc(n + sizeof ".sig");
    if (!path) return NULL;
    memcpy(path, model, n);
    strcpy(path + n, ".sig");
    return path;
}

char *sign_model_name(const char *model) {
    size_t n = strlen(model);
    while (n > 1 && model[n - 1] == '/') n--;
    size_t from = n;
    while (from > 0 && model[from - 1] != '/') from--;
    const char *name = model + from;
    size_t length = n - from;
    bool plain = length > 0 && !(length == 1 && name[0] == '.') && !(length == 2 && name[0] == '.' && name[1] == '.');
    if (plain) {
        char *copy = mem_alloc(length + 1);
        if (!copy) return NULL;
        memcpy(copy, name, length);
        copy[length] = 0;
        return copy;
    }
    char real[PATH_MAX];
    const char *last = realpath(model, real) ? path_last(real) : "";
    return mem_strdup(*last ? last : "model");
}

tola_status sign_ignore_file(manifest *m, const char *model, const char *path, tola_error *err) {
    struct stat st;
    if (stat(model, &st) != 0 || !S_ISDIR(st.st_mode)) return TOLA_OK;
    /* made absolute, so that it is held against where the model really is; the file itself may not exist yet */
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) return TOLA_OK;
    memcpy(folder, path, n);
    folder[n] = 0;
    if (!realpath(!slash ? "." : n ? folder : "/", real)) return TOLA_OK;
    char *full = path_join(real, path_last(path));
    if (!full) return err_nomem(err, "naming the signature");
    tola_status status = manifest_ignore(m, model, full, err);
    mem_free(full);
    return status;
}
