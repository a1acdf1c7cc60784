/* Paths as text; no file is looked at. */
#include "base/path.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

char *path_join(const char *folder, const char *name) {
    size_t n = strlen(folder), m = strlen(name);
    bool slash = n > 0 && folder[n - 1] != '/';
    char *path = mem_alloc(n + m + 2);
    if (path) snprintf(path, n + m + 2, "%s%s%s", folder, slash ? "/" : "", name);
    return path;
}

const char *path_last(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
