/* What huggingface_hub leaves on this machine: downloaded models and the access token. Read, never written.
 *
 * Layout: CACHE/models--ORG--NAME/refs/REVISION holds a commit, snapshots/COMMIT/PATH are the files (links to blobs),
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "formats/open.h"
#include "share/share.h"

#define PATH_BYTES 4096
#define INDEX_LIMIT CK_MAX_HEADER

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool hub_flag(const char *name) {
    const char *value = variable(name);
    return value && (!strcmp(value, "1") || !strcasecmp(value, "true") || !strcasecmp(value, "yes") ||
                     !strcasecmp(value, "on"));
}

/* HF_HOME, else below XDG_CACHE_HOME, else below ~/.cache. */
static bool hub_home(char *dst, size_t cap) {
    const char *home = variable("HF_HOME"), *xdg = variable("XDG_CACHE_HOME"), *user = variable("HOME");
    int n = -1;
    if (home)
        n = snprintf(dst, cap, "%s", home);
    else if (xdg)
        n = snprintf(dst, cap, "%s/huggingface", xdg);
    else if (user)
        n = snprintf(dst, cap, "%s/.cache/huggingface", user);
    return n >= 0 && (size_t)n < cap;
}

static bool cache_folder(char *dst, size_t cap) {
    const char *cache = variable("HF_HUB_CACHE");
    if (!cache) cache = variable("HUGGINGFACE_HUB_CACHE"); /* its older name */
    char home[PATH_BYTES];
    int n = -1;
    if (cache)
        n = snprintf(dst, cap, "%s", cache);
    else if (hub_home(home, sizeof home))
        n = snprintf(dst, cap, "%s/hub", home);
    return n >= 0 && (size_t)n < cap;
}

/* ORG/NAME is kept in models--ORG--NAME. */
static bool model_folder(const hub_ref *ref, char *dst, size_t cap) {
    char cache[PATH_BYTES];
    if (!cache_folder(cache, sizeof cache)) return false;
    const char *slash = strchr(ref->repo, '/');
    int first = slash ? (int)(slash - ref->repo) : (int)strlen(ref->repo);
    int n = snprintf(dst, cap, "%s/models--%.*s%s%s", cache, first, ref->repo, slash ? "--" : "",
                     slash ? slash + 1 : "");
    return n >= 0 && (size_t)n < cap;
}

/* A small text file without the white space around it; NULL where there is none. */
static char *read_line(const char *path, size_t limit) {
    char *text;
    size_t bytes;
    if (ck_read_whole(path, limit, &text, &bytes, NULL) != TOLA_OK) return NULL;
    size_t start = 0;
    while (bytes && strchr(" \t\r\n", text[bytes - 1])) bytes--;
    while (start < bytes && strchr(" \t\r\n", text[start])) start++;
    memmove(text, text + start, bytes - start);
    text[bytes - start] = 0;
    return text;
}

static bool is_commit(const char *text) { return strlen(text) == 40 && strspn(text, "0123456789abcdef") == 40; }

/* The commit that the cache knows for the revision. */
static bool find_commit(const hub_ref *ref, const char *folder, char commit[41]) {
    if (is_commit(ref->revision)) {
        memcpy(commit, ref->revision, 41);
        return true;
    }
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/refs/%s", folder, ref->revision);
    char *text = n >= 0 && (size_t)n < sizeof path ? read_line(path, 256) : NULL;
    bool good = text && is_commit(text);
    if (good) memcpy(commit, text, 41);
    mem_free(text);
    return good;
}

char *hub_cached(const hub_ref *ref, const char *file) {
    char folder[PATH_BYTES], path[PATH_BYTES], commit[41];
    if (!model_folder(ref, folder, sizeof folder) || !find_commit(ref, folder, commit)) return NULL;
    int n = snprintf(path, sizeof path, "%s/snapshots/%s%s%s", folder, commit, *file ? "/" : "", file);
    if (n < 0 || (size_t)n >= sizeof path || access(path, R_OK) != 0) return NULL;
    return mem_strdup(path);
}

bool hub_cached_complete(const char *index_path) {
    char *text = NULL;
    size_t bytes;
    arena a;
    arena_init(&a, 0);
    tola_value index;
    bool complete = ck_read_whole(index_path, INDEX_LIMIT, &text, &bytes, NULL) == TOLA_OK &&
                    json_parse(text, bytes, &a, &index, NULL) == TOLA_OK;
    const tola_value *map = complete ? tola_value_get(&index, "weight_map") : NULL;
    size_t count = map && map->kind == TOLA_VALUE_MAP ? map->as.map.count : 0;
    int folder = (int)(strrchr(index_path, '/') - index_path);
    const char *last = "";
    for (size_t i = 0; i < count && complete; i++) {
        const char *shard = tola_value_str(&map->as.map.members[i].value, "");
        char path[PATH_BYTES];
        if (strcmp(shard, last) == 0) continue; /* neighbours mostly lie in one shard */
        last = shard;
        int n = snprintf(path, sizeof path, "%.*s/%s", folder, index_path, shard);
        complete = n >= 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
    }
    mem_free(text);
    arena_free(&a);
    return complete && count > 0;
}

/* A token is one word of visible ASCII; anything else must not reach a header. */
static bool is_token(const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f) return false;
    return n > 0 && n < 4096;
}

char *hub_token(void) {
    const char *given = variable("HF_TOKEN"), *file = variable("HF_TOKEN_PATH");
    if (!given) given = variable("HUGGING_FACE_HUB_TOKEN"); /* its older name */
    char path[PATH_BYTES], home[PATH_BYTES];
    char *token = NULL;
    if (given) {
        token = mem_strdup(given);
    } else if (!hub_flag("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        if (!file && hub_home(home, sizeof home) && snprintf(path, sizeof path, "%s/token", home) < (int)sizeof path)
            file = path;
        if (file) token = read_line(file, 4096);
    }
    if (token && is_token(token)) return token;
    mem_free(token);
    return NULL;
}
