/* From a model to what it was made of, as signed statements say: each step finds the signatures of the inputs, verifies
 * them with the same trust, and holds the digests that were recorded against those that were signed. The originals' own
 * files need not be there. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/path.h"
#include "base/text.h"
#include "trust/sign_name.h"
#include "trust/verify.h"

enum { CHAIN_MOST = 64 };

typedef struct chain {
    const tola_verify_options *o;
    const verify_trust *t;
    verify_result *v;
    tola_verify_link links[CHAIN_MOST];
    size_t count;
    char *folder; /* of the model that was asked about */
} chain;

static tola_status add_link(chain *c, const char *model, const statement *s, size_t *at, tola_error *err) {
    if (c->count == CHAIN_MOST)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the provenance has more than %d models", (int)CHAIN_MOST);
    tola_verify_link *link = &c->links[c->count];
    memset(link, 0, sizeof *link);
    link->model = verify_copy(c->v, model);
    if (!link->model) return err_nomem(err, "following provenance");
    if (s) {
        char hex[DIGEST_HEX];
        digest_to_hex(s->root, 32, hex);
        link->digest = verify_copy(c->v, hex);
        if (!link->digest) return err_nomem(err, "following provenance");
    }
    *at = c->count++;
    return TOLA_OK;
}

static tola_status refuse(chain *c, size_t at, const char *reason, tola_error *err) {
    char text[1200];
    const char *copy = verify_copy(c->v, reason);
    if (!copy) return err_nomem(err, "following provenance");
    c->links[at].reason = copy;
    tola_verification *p = &c->v->pub;
    p->valid = false;
    if (p->reason) return TOLA_OK;
    snprintf(text, sizeof text, "the chain breaks at %s: %s", c->links[at].model, reason);
    p->reason = verify_copy(c->v, text);
    return p->reason ? TOLA_OK : err_nomem(err, "following provenance");
}

static bool is_there(const char *path) {
    struct stat st;
    return path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The signature of the model `name` in `folder`: its own, or that of the folder it lies in. Both freed with mem_free.
 */
static bool find_signature(const char *folder, const char *name, char **model, char **signature) {
    *model = path_join(folder, name);
    *signature = *model ? tola_signature_path(*model) : NULL;
    if (is_there(*signature)) return true;
    mem_free(*signature);
    *signature = path_join(folder, "model.sig");
    struct stat st;
    if (is_there(*signature) && *model && stat(*model, &st) == 0 && S_ISREG(st.st_mode)) return true;
    mem_free(*signature);
    mem_free(*model);
    *signature = *model = NULL;
    return false;
}

static bool find_model(const chain *c, const char *name, char **model, char **signature) {
    if (find_signature(c->folder, name, model, signature)) return true;
    for (size_t i = 0; c->o->origins && c->o->origins[i]; i++)
        if (find_signature(c->o->origins[i], name, model, signature)) return true;
    return false;
}

static bool seen(const chain *c, const uint8_t root[32], const char *model, size_t *at) {
    char hex[DIGEST_HEX];
    digest_to_hex(root, 32, hex);
    for (size_t i = 0; i < c->count; i++)
        if (c->links[i].digest && strcmp(c->links[i].digest, hex) == 0 && strcmp(c->links[i].model, model) == 0) {
            *at = i;
            return true;
        }
    return false;
}

static tola_status follow(chain *c, size_t from, const statement *s, tola_error *err);

/* Examples and recipes are seldom signed: what the signer of the result says of them is told, and believed. */
static tola_status name_data(chain *c, size_t at, const provenance_file *files, size_t count,
                             tola_error *err) {
    char hex[DIGEST_HEX];
    digest_to_hex(files[0].sha256, sizeof files[0].sha256, hex);
    c->links[at].unsigned_data = true;
    if (count > 1) return TOLA_OK;
    c->links[at].digest = verify_copy(c->v, hex);
    return c->links[at].digest ? TOLA_OK : err_nomem(err, "following provenance");
}

/* The files [first, end) of one input model. */
static tola_status check_input(chain *c, const provenance_file *files, size_t count, tola_error *err) {
    char *model, *signature, text[700], quoted[300];
    size_t at;
    if (!find_model(c, files[0].model, &model, &signature)) {
        TRY(add_link(c, files[0].model, NULL, &at, err));
        if (files[0].data) return name_data(c, at, files, count, err);
        return refuse(c, at, "no signature of it was found beside the model, nor in the folders of origins", err);
    }
    tola_error why = TOLA_ERROR_INIT;
    statement s;
    tola_status status = verify_signature(signature, c->t, NULL, &s, &why);
    if (status != TOLA_OK) {
        tola_status given = add_link(c, model, NULL, &at, err);
        if (given == TOLA_OK && verify_is_verdict(status))
            given = refuse(c, at, why.message, err);
        else if (given == TOLA_OK)
            given = err_set(err, status, TOLA_NO_OFFSET, "%s", why.message);
        mem_free(model);
        mem_free(signature);
        return given;
    }
    bool again = seen(c, s.root, model, &at); /* its own inputs are known; what this one says of it is not */
    status = again ? TOLA_OK : add_link(c, model, &s, &at, err);
    for (size_t i = 0; status == TOLA_OK && i < count; i++)
        if (!provenance_has(&s.m, &files[i])) {
            bool comparable = s.m.rules.hash == DIGEST_SHA256 && !s.m.rules.shard_size;
            text_quote(quoted, sizeof quoted, files[i].path, strlen(files[i].path));
            snprintf(text, sizeof text,
                     comparable ? "what was signed is not the %s that the result was made of"
                                : "%s: it was not signed by sha256 over whole files, so digests "
                                  "cannot be compared",
                     quoted);
            status = refuse(c, at, text, err);
            break;
        }
    if (status == TOLA_OK && !again && !c->links[at].reason) status = follow(c, at, &s, err);
    statement_free(&s);
    mem_free(model);
    mem_free(signature);
    return status;
}

/* All inputs of links[from], whose statement is `s`. The depth is bounded by CHAIN_MOST, as each step adds a link. */
static tola_status follow(chain *c, size_t from, const statement *s, tola_error *err) {
    if (!s->provenance) return TOLA_OK;
    arena a;
    arena_init(&a, 256 << 20);
    provenance_file *files = NULL;
    size_t count = 0;
    tola_error why = TOLA_ERROR_INIT;
    tola_status status = provenance_inputs(s->provenance, &a, &files, &count, &why);
    if (status != TOLA_OK)
        status = verify_is_verdict(status) ? refuse(c, from, why.message, err) : err_nomem(err, "following provenance");
    c->links[from].inputs = count;
    for (size_t i = 0, end; status == TOLA_OK && i < count; i = end) {
        end = i + 1;
        while (end < count && strcmp(files[end].model, files[i].model) == 0 && files[end].data == files[i].data) end++;
        status = check_input(c, files + i, end - i, err);
    }
    arena_free(&a);
    return status;
}

/* The folder that the model lies in. */
static char *folder_of(const char *model) {
    size_t n = strlen(model);
    while (n > 1 && model[n - 1] == '/') n--;
    while (n > 0 && model[n - 1] != '/') n--;
    while (n > 1 && model[n - 1] == '/') n--;
    if (n == 0) return mem_strdup(".");
    char *folder = mem_alloc(n + 1);
    if (!folder) return NULL;
    memcpy(folder, model, n);
    folder[n] = 0;
    return folder;
}

tola_status verify_chain(const char *model, const tola_verify_options *o, const verify_trust *t, const statement *first,
                         verify_result *v, tola_error *err) {
    chain *c = mem_calloc(1, sizeof *c);
    if (!c) return err_nomem(err, "following provenance");
    c->o = o;
    c->t = t;
    c->v = v;
    c->folder = folder_of(model);
    size_t at;
    tola_status status = c->folder ? add_link(c, model, first, &at, err) : err_nomem(err, "following provenance");
    if (status == TOLA_OK) {
        c->links[at].reason = v->pub.reason; /* its own files */
        status = follow(c, at, first, err);
    }
    tola_verify_link *links = status == TOLA_OK ? arena_alloc_array(&v->a, c->count, sizeof *links) : NULL;
    if (status == TOLA_OK && !links) status = err_nomem(err, "following provenance");
    if (status == TOLA_OK) {
        memcpy(links, c->links, c->count * sizeof *links);
        v->pub.chain = links;
        v->pub.n_chain = c->count;
    }
    mem_free(c->folder);
    mem_free(c);
    return status;
}
