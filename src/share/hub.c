/* hf:// references: which file of a model to open, and from where.
 *
 * A model that is in the local cache is opened from there, without a connection. Otherwise the hub is asked; what it
 * says about the commit is kept in the reference, so that all shards come from one commit while the branch moves on.
 * Hub: {endpoint}/{repo}/resolve/{revision}/{path} and {endpoint}/api/models/{repo}/tree/{revision},
 * https://huggingface.co/docs/hub/api */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "share/http.h"
#include "share/request.h"
#include "share/share.h"

#define LISTING_LIMIT (16u << 20) /* a page of a thousand files has 300 kB */
#define LISTING_PAGE 1000u         /* entries, https://huggingface.co/docs/hub/api */
#define MAX_FILES 20000
#define PREFIX "hf://"

/* ---- references ---- */

static tola_status refuse(tola_error *err, const char *ref, const char *why) {
    err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s; the form is hf://ORG/NAME[@REVISION][/PATH]", why);
    return err_in_file(err, TOLA_E_ARG, ref);
}

/* Letters, digits, "-", "_", "."; no "--" and no ".." inside, neither "-" nor "." at the ends: the hub's own rule. */
static bool is_name(const char *p, size_t n) {
    if (n == 0 || n > HUB_MAX_NAME || strchr("-.", p[0]) || strchr("-.", p[n - 1])) return false;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("-_.", c)) return false;
        if (i && (c == '-' || c == '.') && p[i - 1] == c) return false;
    }
    return true;
}

/* Components that are not empty, "." or "..", without control bytes and backslashes. */
static bool is_path(const char *p) {
    for (;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == '\\') return false;
        if (!p[n]) return true;
        p += n + 1;
    }
}

/* A revision may hold slashes: written as %2F, or as they are in refs/pr/N and refs/convert/X. Returns its length in
 * `p`; 0 where it is no good. */
static size_t take_revision(const char *p, char *dst) {
    size_t n = strcspn(p, "/");
    const char *rest = NULL;
    if (strncmp(p, "refs/pr/", 8) == 0) rest = p + 8;
    if (strncmp(p, "refs/convert/", 13) == 0) rest = p + 13;
    if (rest) n = (size_t)(rest - p) + strcspn(rest, "/");
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '%') {
            if (strncasecmp(p + i, "%2f", 3) != 0) return 0;
            c = '/';
            i += 2;
        }
        if (used + 1 >= HUB_MAX_REVISION || c <= ' ' || c == 0x7f || strchr("~^:?*[\\@", c)) return 0;
        dst[used++] = c;
    }
    dst[used] = 0;
    return used && is_path(dst) ? n : 0;
}

tola_status hub_parse(const char *ref, hub_ref *out, tola_error *err) {
    hub_ref r = { .revision = "main" };
    if (strncmp(ref, PREFIX, strlen(PREFIX)) != 0) return refuse(err, ref, "no hub reference");
    const char *p = ref + strlen(PREFIX);
    if (strncmp(p, "datasets/", 9) == 0 || strncmp(p, "spaces/", 7) == 0)
        return refuse(err, ref, "only models can be opened, no data sets and no spaces");
    size_t n = strcspn(p, "/@");
    if (!is_name(p, n)) return refuse(err, ref, "the organisation is no name as hubs allow it");
    if (p[n] == '/') { /* without a second part it is one of the oldest models, "gpt2" */
        size_t m = strcspn(p + n + 1, "/@");
        if (!is_name(p + n + 1, m)) return refuse(err, ref, "the model is no name as hubs allow it");
        n += 1 + m;
    }
    memcpy(r.repo, p, n);
    p += n;
    if (*p == '@') {
        n = take_revision(p + 1, r.revision);
        if (n == 0) return refuse(err, ref, "the revision is none");
        r.has_revision = true;
        p += 1 + n;
    }
    if (*p == '/' && p[1]) {
        n = strlen(++p);
        if (p[n - 1] == '/') n--;
        if (n >= sizeof r.path) return refuse(err, ref, "the path is too long");
        memcpy(r.path, p, n);
        if (!is_path(r.path)) return refuse(err, ref, "the path has components that are not followed ('..', '.', '')");
    }
    *out = r;
    return TOLA_OK;
}

/* Does the last component look like a file? Everything else is taken for a folder of the repository. */
static bool names_file(const char *path) {
    return glob_match("*.{safetensors,gguf,bin,pt,pth,ckpt,npz,npy,onnx,json,tar,pkl,model,txt,jinja,md,py}", path);
}

/* ---- asking the hub ---- */

static const char *endpoint(void) {
    const char *value = getenv("HF_ENDPOINT");
    return value && *value ? value : "https://huggingface.co";
}

/* `kind` is "/resolve/" or "/tree/". */
static tola_status make_url(const hub_ref *ref, const char *before, const char *kind, const char *path, url *out,
                            tola_error *err) {
    char text[URL_MAX];
    size_t n = strlen(endpoint());
    while (n && endpoint()[n - 1] == '/') n--;
    int length = snprintf(text, sizeof text, "%.*s/%s%s%s", (int)n, endpoint(), before, ref->repo, kind);
    bool fits = length > 0 && (size_t)length < sizeof text && url_encode(text, sizeof text, ref->revision, false);
    if (fits && *path) {
        size_t used = strlen(text);
        fits = used + 2 < sizeof text;
        if (fits) memcpy(text + used, "/", 2);
        fits = fits && url_encode(text, sizeof text, path, true);
    }
    if (!fits) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the address is too long");
    tola_status status = url_parse(text, out, err);
    return status == TOLA_OK ? status : err_in_file(err, status, "HF_ENDPOINT");
}

static tola_status go_offline(tola_error *err) {
    return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                   "not in the local cache, and HF_HUB_OFFLINE forbids to ask the hub");
}

/* Is there such a file? Learns the commit. *found is false where only the file is missing; a missing repository or
 * revision is an error. */
static tola_status look_for(const hub_ref *ref, const char *path, const char *token, url *at, bool *found,
                            char commit[64], tola_error *err) {
    TRY(make_url(ref, "", "/resolve/", path, at, err));
    request_reply reply;
    uint8_t byte;
    tola_error detail = TOLA_ERROR_INIT;
    request q = { .to = at, .token = token, .head = true, .stay = true };
    tola_status status = request_run(&q, NULL, &reply, &detail);
    if (reply.status == 405 || reply.status == 501) { /* a server without HEAD */
        q.head = false;
        q.bytes = 1;
        status = request_run(&q, &byte, &reply, &detail);
        if (status == TOLA_OK) mem_free(reply.direct);
    }
    *found = status == TOLA_OK;
    if (status == TOLA_OK) memcpy(commit, reply.commit, sizeof reply.commit);
    bool other = strcmp(reply.code, "RepoNotFound") == 0 || strcmp(reply.code, "RevisionNotFound") == 0;
    if (status == TOLA_OK || (status == TOLA_E_NOT_FOUND && !other)) return TOLA_OK;
    if (err) *err = detail;
    return status;
}

/* ---- a list of names, and the choice among them ---- */

typedef struct name_list {
    arena arena;
    char **names;
    size_t count, cap;
} name_list;

static void list_init(name_list *l) {
    *l = (name_list){ 0 };
    arena_init(&l->arena, 64u << 20);
}

static void list_free(name_list *l) {
    mem_free(l->names);
    arena_free(&l->arena);
}

static tola_status list_add(name_list *l, const char *name, tola_error *err) {
    if (l->count >= MAX_FILES) return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "more than %d files", MAX_FILES);
    char *copy = arena_strndup(&l->arena, name, strlen(name));
    if (!copy || !mem_grow(&l->names, &l->cap, l->count + 1, sizeof *l->names))
        return err_nomem(err, "listing files");
    l->names[l->count++] = copy;
    return TOLA_OK;
}

/* One of several parts of a model; shards without their index and parts without the others are no model. */
static bool is_part(const char *name) {
    return glob_match("*-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].*", name);
}

/* A whole split GGUF: its first part stands for all. */
static const char *first_of_split(const char *const *hits, size_t count) {
    char wanted[64];
    const char *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_part(hits[i])) return NULL;
        snprintf(wanted, sizeof wanted, "-00001-of-%05zu.gguf", count);
        if (text_ends_with(hits[i], wanted)) first = hits[i];
    }
    return first;
}

/* The file to open among those of a folder: an index before single files, safetensors before GGUF before pickles. */
static tola_status choose(const name_list *l, const char **out, tola_error *err) {
    static const char *const patterns[] = { "*.safetensors.index.json", "*.safetensors", "*.gguf", "*.bin.index.json",
                                            "*.onnx", /* what is a .bin beside it is its external data */
                                            "*.{bin,pt,pth,ckpt,npz}" };
    static const char not_weights[] = "{training_args.bin,optimizer.*,scheduler.*,rng_state*,scaler.*}";
    const char **hits = mem_alloc((l->count + 1) * sizeof *hits);
    if (!hits) return err_nomem(err, "listing files");
    tola_status status = err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET,
                                 "holds no weights (no *.safetensors, *.gguf, *.bin, *.pt, ...)");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        size_t count = 0;
        for (size_t k = 0; k < l->count; k++)
            if (glob_match(patterns[i], l->names[k]) && !glob_match(not_weights, l->names[k]))
                hits[count++] = l->names[k];
        if (count == 0) continue;
        const char *one = count == 1 && !is_part(hits[0]) ? hits[0] : first_of_split(hits, count);
        if (one) *out = one;
        char shown[200];
        text_quote(shown, sizeof shown, hits[0], strlen(hits[0]));
        status = one ? TOLA_OK
                     : err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                               "holds files of weights (%zu), '%s' first, and none that stands for the whole model:"
                               " name the one to open, hf://ORG/NAME/FILE", count, shown);
        break;
    }
    mem_free(hits);
    return status;
}

/* Names of files; `all`: with their folders, and every one of them or an error. */
static tola_status parse_listing(const char *text, size_t bytes, bool all, name_list *l, tola_error *err) {
    arena a;
    arena_init(&a, 256u << 20);
    tola_value files = { 0 };
    tola_status status = json_parse(text, bytes, &a, &files, err);
    if (status == TOLA_OK && files.kind != TOLA_VALUE_ARRAY)
        status = err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the hub's list of files is no JSON array");
    for (size_t i = 0; status == TOLA_OK && i < files.as.array.count; i++) {
        tola_value file = tola_value_at(&files, i);
        const char *type = tola_value_str(tola_value_get(&file, "type"), "");
        const char *path = tola_value_str(tola_value_get(&file, "path"), "");
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        bool is_file = strcmp(type, "file") == 0;
        if (is_file && is_path(path)) status = list_add(l, all ? path : name, err);
        if (all && !(is_file && is_path(path)) && strcmp(type, "directory") != 0)
            status =
                err_set(err, TOLA_E_NETWORK, TOLA_NO_OFFSET, "the hub's list of files has an entry that is no file");
    }
    if (status == TOLA_OK && all && files.as.array.count >= LISTING_PAGE)
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the model has more files than a list of the hub holds");
    arena_free(&a);
    return status;
}

static tola_status list_remote(const hub_ref *ref, const char *token, bool all, url *at, name_list *l,
                               tola_error *err) {
    TRY(make_url(ref, "api/models/", "/tree/", ref->path, at, err));
    if (all) {
        char text[URL_MAX];
        int n = snprintf(text, sizeof text, "%s?recursive=true", at->text);
        if (n < 0 || (size_t)n >= sizeof text)
            return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the address is too long");
        TRY(url_parse(text, at, err));
    }
    source *src;
    TRY(http_open(at->text, token, NULL, &src, err));
    tola_status status = TOLA_OK;
    char *text = NULL;
    if (src->size > LISTING_LIMIT)
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the hub's list of files is longer than 16 MiB");
    else if (!(text = mem_alloc((size_t)src->size + 1)))
        status = err_nomem(err, "listing files");
    else
        status = source_read(src, 0, text, (size_t)src->size, err);
    if (status == TOLA_OK) status = parse_listing(text, (size_t)src->size, all, l, err);
    mem_free(text);
    source_close(src);
    return status;
}

/* ---- whole models ---- */

static const char *const usual[] = { "model.safetensors.index.json", "model.safetensors",
                                     "pytorch_model.bin.index.json", "pytorch_model.bin" };

/* "hf://repo@revision[/a][/b]"; freed with mem_free. */
static char *make_ref(const hub_ref *ref, const char *revision, const char *a, const char *b) {
    buf text;
    buf_init(&text, 16384);
    char encoded[3 * HUB_MAX_REVISION + 1] = "";
    bool good = url_encode(encoded, sizeof encoded, revision, false);
    buf_printf(&text, PREFIX "%s@%s%s%s%s%s", ref->repo, encoded, *a ? "/" : "", a, *b ? "/" : "", b);
    buf_u8(&text, 0);
    if (good && !text.failed) return (char *)text.data;
    buf_free(&text);
    return NULL;
}

/* What hub_resolve gives back: a file, and the folder of its companions. Takes over both. */
static tola_status answer(char *file, char *folder, char **out_file, char **out_folder, tola_error *err) {
    if (!file || !folder) {
        mem_free(file);
        mem_free(folder);
        return err_nomem(err, "resolving a reference");
    }
    *out_file = file;
    *out_folder = folder;
    return TOLA_OK;
}

static tola_status answer_local(char *path, char **file, char **folder, tola_error *err) {
    char *parent = mem_strdup(path);
    if (parent) *strrchr(parent, '/') = 0;
    return answer(path, parent, file, folder, err);
}

static char *join(const char *folder, const char *name) {
    buf text;
    buf_init(&text, 16384);
    buf_printf(&text, "%s%s%s", folder, *folder ? "/" : "", name);
    buf_u8(&text, 0);
    if (!text.failed) return (char *)text.data;
    buf_free(&text);
    return NULL;
}

/* Names of the files in the snapshot's folder. */
static tola_status list_cached(const hub_ref *ref, name_list *l, char **folder, tola_error *err) {
    *folder = hub_cached(ref, ref->path);
    DIR *dir = *folder ? opendir(*folder) : NULL;
    tola_status status = TOLA_OK;
    for (struct dirent *e; dir && status == TOLA_OK && (e = readdir(dir));) status = list_add(l, e->d_name, err);
    if (dir) closedir(dir);
    return status;
}

/* The cached file to open, NULL where the cache has none. */
static tola_status find_cached(const hub_ref *ref, char **out, tola_error *err) {
    name_list l;
    char *folder = NULL;
    const char *name = NULL;
    *out = NULL;
    list_init(&l);
    tola_status status = list_cached(ref, &l, &folder, err);
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !name; i++)
        for (size_t k = 0; k < l.count && !name; k++)
            if (strcmp(l.names[k], usual[i]) == 0) name = usual[i];
    tola_error ignored;
    if (status == TOLA_OK && !name && choose(&l, &name, &ignored) != TOLA_OK) name = NULL;
    if (status == TOLA_OK && name && !(*out = join(folder, name))) status = err_nomem(err, "resolving a reference");
    /* an index whose shards were not all fetched is of no use, unless nothing else can be had */
    if (*out && text_ends_with(name, ".index.json") && !hub_flag("HF_HUB_OFFLINE") && !hub_cached_complete(*out)) {
        mem_free(*out);
        *out = NULL;
    }
    mem_free(folder);
    list_free(&l);
    return status;
}

static tola_status resolve_remote(const hub_ref *ref, const char *token, url *at, char **file, char **folder,
                                  tola_error *err) {
    char commit[64] = "";
    const char *name = NULL;
    name_list l;
    list_init(&l);
    tola_status status = TOLA_OK;
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !name && status == TOLA_OK; i++) {
        bool found = false;
        char *path = join(ref->path, usual[i]);
        status = path ? look_for(ref, path, token, at, &found, commit, err) : err_nomem(err, "resolving a reference");
        mem_free(path);
        if (found) name = usual[i];
    }
    if (status == TOLA_OK && !name) {
        status = list_remote(ref, token, false, at, &l, err);
        if (status == TOLA_OK) status = choose(&l, &name, err);
    }
    if (status == TOLA_OK) {
        const char *revision = strlen(commit) == 40 ? commit : ref->revision;
        status = answer(make_ref(ref, revision, ref->path, name), make_ref(ref, revision, ref->path, ""), file, folder,
                        err);
    }
    list_free(&l);
    return status;
}

/* ---- one file of a model ---- */

static tola_status resolve_file(const hub_ref *ref, const char *token, url *at, char **file, char **folder,
                                tola_error *err) {
    char commit[64] = "";
    bool index = text_ends_with(ref->path, ".index.json"), found = false;
    if (index) { /* its shards must be of its commit */
        TRY(look_for(ref, ref->path, token, at, &found, commit, err));
        if (!found) return err_set(err, TOLA_E_NOT_FOUND, TOLA_NO_OFFSET, "the hub has no such file");
    }
    const char *revision = strlen(commit) == 40 ? commit : ref->revision;
    char parent[HUB_MAX_PATH];
    snprintf(parent, sizeof parent, "%s", ref->path);
    char *slash = strrchr(parent, '/');
    *(slash ? slash : parent) = 0;
    return answer(make_ref(ref, revision, ref->path, ""), make_ref(ref, revision, parent, ""), file, folder, err);
}

/* ---- the opener ---- */

static tola_status resolve_parsed(const hub_ref *ref, char **file, char **folder, tola_error *err) {
    char *path = NULL;
    bool single = names_file(ref->path);
    if (single) {
        path = hub_cached(ref, ref->path);
        if (path && text_ends_with(path, ".index.json") && !hub_flag("HF_HUB_OFFLINE") && !hub_cached_complete(path)) {
            mem_free(path);
            path = NULL;
        }
    } else {
        TRY(find_cached(ref, &path, err));
    }
    if (path) return answer_local(path, file, folder, err);
    if (hub_flag("HF_HUB_OFFLINE")) return go_offline(err);
    char *token = hub_token();
    url *at = mem_alloc(sizeof *at);
    tola_status status = !at    ? err_nomem(err, "resolving a reference")
                         : single ? resolve_file(ref, token, at, file, folder, err)
                                  : resolve_remote(ref, token, at, file, folder, err);
    mem_free(at);
    if (token) explicit_bzero(token, strlen(token));
    mem_free(token);
    return status;
}

static tola_status hub_resolve(const char *text, char **file, char **folder, tola_error *err) {
    hub_ref ref;
    TRY(hub_parse(text, &ref, err));
    tola_status status = resolve_parsed(&ref, file, folder, err);
    return status == TOLA_OK ? status : err_in_file(err, status, text);
}

static tola_status hub_open(const char *text, source **out, tola_error *err) {
    hub_ref ref;
    TRY(hub_parse(text, &ref, err));
    if (!*ref.path) return refuse(err, text, "names a whole model where a file is wanted");
    char *path = hub_cached(&ref, ref.path);
    if (path) {
        tola_status status = source_open_file(path, out, err);
        mem_free(path);
        return status;
    }
    if (hub_flag("HF_HUB_OFFLINE")) return err_in_file(err, go_offline(err), text);
    char *token = hub_token();
    url *at = mem_alloc(sizeof *at);
    tola_status status =
        at ? make_url(&ref, "", "/resolve/", ref.path, at, err) : err_nomem(err, "opening a reference");
    if (status == TOLA_OK)
        status = http_open(at->text, token, text, out, err);
    else
        err_in_file(err, status, text);
    mem_free(at);
    if (token) explicit_bzero(token, strlen(token));
    mem_free(token);
    return status;
}

/* ---- all files of a model ---- */

static tola_status list_parsed(const hub_ref *ref, const char *token, url *at, arena *a, char ***refs, size_t *count,
                               tola_error *err) {
    char commit[64] = "";
    name_list l;
    list_init(&l);
    tola_status status = list_remote(ref, token, true, at, &l, err);
    bool found;
    if (status == TOLA_OK && l.count) status = look_for(ref, l.names[0], token, at, &found, commit, err);
    if (status == TOLA_OK && !(*refs = mem_calloc(l.count + 1, sizeof **refs)))
        status = err_nomem(err, "listing files");
    const char *revision = strlen(commit) == 40 ? commit : ref->revision;
    for (size_t i = 0; status == TOLA_OK && i < l.count; i++) {
        char *one = make_ref(ref, revision, l.names[i], "");
        if (!one || !((*refs)[i] = arena_strndup(a, one, strlen(one)))) status = err_nomem(err, "listing files");
        mem_free(one);
        *count = i + 1;
    }
    if (status != TOLA_OK) {
        mem_free(*refs);
        *refs = NULL;
    }
    list_free(&l);
    return status;
}

/* What the cache holds may be only some of a model's files: it stands for the model where the hub must not be asked. */
static tola_status list_cached_model(const hub_ref *ref, arena *a, char ***refs, size_t *count, tola_error *err) {
    char *folder = hub_cached(ref, ref->path);
    if (!folder) return go_offline(err);
    *refs = mem_calloc(1, sizeof **refs);
    char *kept = *refs ? arena_strndup(a, folder, strlen(folder)) : NULL;
    mem_free(folder);
    if (!kept) {
        mem_free(*refs);
        return err_nomem(err, "listing files");
    }
    (*refs)[0] = kept;
    *count = 1;
    return TOLA_OK;
}

static tola_status hub_list(const char *text, arena *a, char ***refs, size_t *count, tola_error *err) {
    hub_ref ref;
    *refs = NULL;
    *count = 0;
    TRY(hub_parse(text, &ref, err));
    if (*ref.path && !text_ends_with(text, "/")) return TOLA_OK;
    tola_status status;
    if (hub_flag("HF_HUB_OFFLINE")) {
        status = list_cached_model(&ref, a, refs, count, err);
    } else {
        char *token = hub_token();
        url *at = mem_alloc(sizeof *at);
        status = at ? list_parsed(&ref, token, at, a, refs, count, err) : err_nomem(err, "listing files");
        mem_free(at);
        if (token) explicit_bzero(token, strlen(token));
        mem_free(token);
    }
    return status == TOLA_OK ? status : err_in_file(err, status, text);
}

/* ---- plain addresses ---- */

/* The token is also for addresses of the hub itself ("https://huggingface.co/ORG/NAME/resolve/..."), for no others. */
static tola_status address_open(const char *address, source **out, tola_error *err) {
    url *pair = mem_alloc(2 * sizeof *pair);
    if (!pair) return err_nomem(err, "opening an address");
    char *token = NULL;
    if (url_parse(address, &pair[0], NULL) == TOLA_OK && url_parse(endpoint(), &pair[1], NULL) == TOLA_OK &&
        url_same_origin(&pair[0], &pair[1]) && !pair[0].user[0])
        token = hub_token();
    tola_status status = http_open(address, token, NULL, out, err);
    explicit_bzero(pair, 2 * sizeof *pair);
    mem_free(pair);
    if (token) explicit_bzero(token, strlen(token));
    mem_free(token);
    return status;
}

const opener opener_https = { "https://", address_open, NULL, NULL };
const opener opener_http = { "http://", address_open, NULL, NULL };
const opener opener_hub = { PREFIX, hub_open, hub_resolve, hub_list };
