/* Openers of references: which rooms below formats/ can turn "https://..." into a source. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/format.h"

const opener *opener_find(const char *ref) {
    for (size_t i = 0; opener_table[i]; i++)
        if (strncmp(ref, opener_table[i]->prefix, strlen(opener_table[i]->prefix)) == 0) return opener_table[i];
    return NULL;
}

/* ---- files that hold files ---- */

static bool is_container(source *src) {
    uint8_t head[CONTAINER_HEAD];
    return src->size >= sizeof head && source_read(src, 0, head, sizeof head, NULL) == TOLA_OK &&
           container_encrypted.probe(head, sizeof head);
}

/* Length of the part of `path` that is a regular file, with more behind it; 0 where there is none. */
static size_t outer_length(const char *path) {
    char part[4096];
    struct stat st;
    for (size_t n = strlen(path); n > 0;) {
        while (n > 0 && path[n - 1] != '/') n--;
        while (n > 0 && path[n - 1] == '/') n--;
        if (n == 0 || n >= sizeof part) return 0;
        memcpy(part, path, n);
        part[n] = 0;
        if (stat(part, &st) == 0) return S_ISREG(st.st_mode) ? n : 0;
    }
    return 0;
}

/* The file of a container that `src`, which is taken over, was found to be. */
static tola_status open_inside(source *src, const char *name, const char *path, source **out, tola_error *err) {
    void *opened;
    tola_status status = container_encrypted.open(src, &opened, err);
    if (status == TOLA_OK) {
        status = container_encrypted.file(opened, name, path, out, err);
        container_encrypted.close(opened);
    }
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

/* "FILE/NAME" where FILE is a container; *found false where it is none. */
static tola_status open_in_container(const char *path, source **out, bool *found, tola_error *err) {
    char outer[4096];
    source *src;
    size_t n = outer_length(path), name = n;
    *found = false;
    if (n == 0) return TOLA_OK;
    memcpy(outer, path, n);
    outer[n] = 0;
    if (source_open_file(outer, &src, NULL) != TOLA_OK) return TOLA_OK;
    if (!is_container(src)) {
        source_close(src);
        return TOLA_OK;
    }
    *found = true;
    while (path[name] == '/') name++;
    return open_inside(src, path + name, path, out, err);
}

tola_status ck_open_container(const char *path, void **out, tola_error *err) {
    source *src;
    struct stat st;
    *out = NULL;
    if (strstr(path, "://") || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return TOLA_OK;
    TRY(source_open_file(path, &src, err));
    if (!is_container(src)) {
        source_close(src);
        return TOLA_OK;
    }
    tola_status status = container_encrypted.open(src, out, err);
    return status == TOLA_OK ? status : err_in_file(err, status, path);
}

void ck_close_container(void *opened) {
    if (opened) container_encrypted.close(opened);
}

bool ck_is_folder(const char *path) {
    struct stat st;
    void *opened;
    if (opener_find(path) || stat(path, &st) != 0) return false;
    if (!S_ISREG(st.st_mode)) return S_ISDIR(st.st_mode);
    if (ck_open_container(path, &opened, NULL) != TOLA_OK || !opened) return false;
    bool folder = container_encrypted.folder(opened);
    ck_close_container(opened);
    return folder;
}

bool ck_exists(const char *path) {
    struct stat st;
    source *src;
    bool found;
    if (stat(path, &st) == 0) return true;
    if (errno != ENOTDIR || open_in_container(path, &src, &found, NULL) != TOLA_OK || !found) return false;
    source_close(src);
    return true;
}

tola_status ck_open_source(const char *path, source **out, tola_error *err) {
    const opener *o = opener_find(path);
    source *src;
    bool found;
    if (o) {
        TRY(o->open(path, &src, err));
    } else if (strstr(path, "://")) {
        err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "nothing here can open references of this kind");
        return err_in_file(err, TOLA_E_UNSUPPORTED, path);
    } else {
        tola_error detail = TOLA_ERROR_INIT;
        tola_status status = source_open_file(path, &src, &detail), inside;
        if (status != TOLA_OK) {
            inside = open_in_container(path, out, &found, err);
            if (found) return inside;
            if (err) *err = detail;
            return status;
        }
    }
    if (is_container(src)) return open_inside(src, NULL, path, out, err);
    *out = src;
    return TOLA_OK;
}
