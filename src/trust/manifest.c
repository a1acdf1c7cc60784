/* Resources, their order, their names, and the rules for what is ignored.
 *
 * Order and names are model_signing's (https://github.com/sigstore/model-transparency, manifest.py), so that both write
 * the same root digest. */
#include "trust/manifest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/path.h"

void manifest_init(manifest *m) {
    memset(m, 0, sizeof *m);
    arena_init(&m->a, 0);
    m->name = "";
}

void manifest_free(manifest *m) {
    mem_free(m->items);
    mem_free(m->rules.ignore);
    arena_free(&m->a);
    memset(m, 0, sizeof *m);
}

tola_status manifest_add(manifest *m, const manifest_resource *item, tola_error *err) {
    if (m->count >= MANIFEST_MOST_RESOURCES)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d files or shards", (int)MANIFEST_MOST_RESOURCES);
    if (!mem_grow(&m->items, &m->cap, m->count + 1, sizeof *m->items)) return err_nomem(err, "listing files");
    m->items[m->count++] = *item;
    return TOLA_OK;
}

/* ---- order ---- */

/* '/' ends a component, and a shorter component comes first: as if '/' were the lowest byte. */
static int rank(char c) { return c == 0 ? 0 : c == '/' ? 1 : (unsigned char)c + 2; }

int manifest_compare_paths(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return rank(*a) - rank(*b);
}

int manifest_compare(const void *a, const void *b) {
    const manifest_resource *x = a, *y = b;
    int order = manifest_compare_paths(x->path, y->path);
    if (order) return order;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

void manifest_sort(manifest *m) {
    if (m->count > 1) qsort(m->items, m->count, sizeof *m->items, manifest_compare);
}

tola_status manifest_root(const manifest *m, uint8_t root[32], tola_error *err) {
    unsigned bytes = digest_get(m->rules.hash)->bytes;
    sha256_stream *s;
    TRY(sha256_open(&s, err));
    for (size_t i = 0; i < m->count; i++) {
        tola_status status = sha256_update(s, m->items[i].digest, bytes, err);
        if (status != TOLA_OK) {
            sha256_abort(s);
            return status;
        }
    }
    return sha256_finish(s, root, err);
}

/* ---- names ---- */

tola_status manifest_name(const manifest *m, const manifest_resource *item, buf *out, tola_error *err) {
    out->length = 0;
    if (m->rules.shard_size)
        buf_printf(out, "%s:%" PRIu64 ":%" PRIu64, item->path, item->start, item->end);
    else
        buf_append(out, item->path, strlen(item->path));
    return out->failed ? err_nomem(err, "naming files") : TOLA_OK;
}

void manifest_algorithm(const manifest_rules *rules, char *out, size_t cap) {
    const char *name = digest_get(rules->hash)->name;
    if (rules->shard_size)
        snprintf(out, cap, "%s-sharded-%" PRIu64, name, rules->shard_size);
    else
        snprintf(out, cap, "%s", name);
}

/* ---- what is ignored ---- */

/* `path` without empty components and dots into `out`, which has room for it; false where it leads out with "..". */
static bool tidy(const char *path, char *out) {
    size_t n = 0;
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.') return false;
        if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (n) out[n++] = '/';
            memcpy(out + n, path, length);
            n += length;
        }
        path += length;
        if (*path) path++;
    }
    out[n] = 0;
    return true;
}

/* Where an absolute path lies inside the folder `model`, NULL where it does not; its folder must exist. False without
 * memory. */
static bool inside(const char *model, const char *path, char **out) {
    char root[PATH_MAX], folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = (size_t)(slash - path);
    *out = NULL;
    if (n >= sizeof root) return true;
    memcpy(root, path, n);
    root[n] = 0;
    if (!realpath(n ? root : "/", folder) || !realpath(model, root)) return true;
    n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(folder, root, n) != 0 || (folder[n] != 0 && folder[n] != '/')) return true;
    *out = path_join(folder + n, slash + 1);
    return *out != NULL;
}

tola_status manifest_ignore(manifest *m, const char *model, const char *path, tola_error *err) {
    char *relative = NULL;
    if (path[0] != '/')
        relative = mem_strdup(path);
    else if (inside(model, path, &relative) && !relative)
        return TOLA_OK; /* it leads elsewhere */
    char *kept = relative ? arena_alloc(&m->a, strlen(relative) + 1) : NULL;
    bool within = kept && tidy(relative, kept);
    mem_free(relative);
    if (!kept) return err_nomem(err, "listing ignored paths");
    if (!within) return TOLA_OK;
    if (!*kept) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "ignoring '%s' would ignore the whole model", path);
    for (size_t i = 0; i < m->rules.n_ignore; i++)
        if (strcmp(m->rules.ignore[i], kept) == 0) return TOLA_OK;
    const char **more = mem_realloc_array(m->rules.ignore, m->rules.n_ignore + 1, sizeof *more);
    if (!more) return err_nomem(err, "listing ignored paths");
    m->rules.ignore = more;
    more[m->rules.n_ignore++] = kept;
    return TOLA_OK;
}

bool manifest_ignored(const manifest_rules *rules, const char *path) {
    for (size_t i = 0; i < rules->n_ignore; i++) {
        size_t n = strlen(rules->ignore[i]);
        if (strncmp(path, rules->ignore[i], n) == 0 && (path[n] == 0 || path[n] == '/')) return true;
    }
    return false;
}
