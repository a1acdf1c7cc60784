/* Statements: manifest to JSON and back. What is read was signed by somebody, but nobody says by whom: it is held to
 * every rule all the same. */
#include "trust/statement.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "trust/crypto.h"
#include <tola/json.h>

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://model_signing/signature/v1.0"
#define PREDICATE_TYPE_OLD "https://model_signing/Digests/v0.1"

enum { TREE_MOST_BYTES = 1 << 30 };

/* ---- writing ---- */

static void member(tola_json *j, const char *key, const char *text) {
    tola_json_key(j, key);
    tola_json_string(j, text);
}

static void write_serialization(tola_json *j, const manifest_rules *rules) {
    tola_json_key(j, "serialization");
    tola_json_begin_object(j);
    member(j, "method", rules->shard_size ? "shards" : "files");
    member(j, "hash_type", digest_get(rules->hash)->name);
    if (rules->shard_size) {
        tola_json_key(j, "shard_size");
        tola_json_u64(j, rules->shard_size);
    }
    tola_json_key(j, "allow_symlinks");
    tola_json_bool(j, rules->allow_symlinks);
    if (rules->n_ignore) {
        tola_json_key(j, "ignore_paths");
        tola_json_begin_array(j);
        for (size_t i = 0; i < rules->n_ignore; i++) tola_json_string(j, rules->ignore[i]);
        tola_json_end_array(j);
    }
    tola_json_end_object(j);
}

static tola_status write_resources(tola_json *j, const manifest *m, tola_error *err) {
    char algorithm[64], hex[DIGEST_HEX];
    unsigned bytes = digest_get(m->rules.hash)->bytes;
    manifest_algorithm(&m->rules, algorithm, sizeof algorithm);
    buf name;
    buf_init(&name, 0);
    tola_json_key(j, "resources");
    tola_json_begin_array(j);
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < m->count; i++) {
        status = manifest_name(m, &m->items[i], &name, err);
        if (status != TOLA_OK) break;
        tola_json_begin_object(j);
        tola_json_key(j, "name");
        tola_json_string_n(j, (const char *)name.data, name.length);
        member(j, "algorithm", algorithm);
        digest_to_hex(m->items[i].digest, bytes, hex);
        member(j, "digest", hex);
        tola_json_end_object(j);
    }
    tola_json_end_array(j);
    buf_free(&name);
    return status;
}

tola_status statement_write(const manifest *m, const tola_value *provenance, uint8_t root[32], buf *out,
                            tola_error *err) {
    char hex[DIGEST_HEX];
    TRY(manifest_root(m, root, err));
    digest_to_hex(root, 32, hex);
    tola_json j;
    tola_json_init(&j, json_to_buf, out, 0);
    tola_json_begin_object(&j);
    member(&j, "_type", STATEMENT_TYPE);
    tola_json_key(&j, "subject");
    tola_json_begin_array(&j);
    tola_json_begin_object(&j);
    member(&j, "name", m->name);
    tola_json_key(&j, "digest");
    tola_json_begin_object(&j);
    member(&j, "sha256", hex);
    tola_json_end_object(&j);
    tola_json_end_object(&j);
    tola_json_end_array(&j);
    member(&j, "predicateType", PREDICATE_TYPE);
    tola_json_key(&j, "predicate");
    tola_json_begin_object(&j);
    write_serialization(&j, &m->rules);
    tola_status status = write_resources(&j, m, err);
    if (provenance) {
        tola_json_key(&j, "provenance");
        tola_json_value(&j, provenance);
    }
    tola_json_end_object(&j);
    tola_json_end_object(&j);
    bool good = tola_json_finish(&j);
    if (status != TOLA_OK) return status;
    return good ? TOLA_OK : err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the statement to be signed does not fit");
}

/* ---- reading ---- */

static tola_status fail(tola_error *err, const char *what, const char *which) {
    char quoted[200];
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "what was signed %s%s%s%s", what, which ? " '" : "",
                   which ? text_quote(quoted, sizeof quoted, which, strlen(which)) : "", which ? "'" : "");
}

/* The text of a member; NULL where it is no string, or one with a NUL in it. */
static const char *text_of(const tola_value *object, const char *key) {
    const tola_value *v = tola_value_get(object, key);
    if (!v || v->kind != TOLA_VALUE_STRING || strlen(v->as.string.data) != v->as.string.length) return NULL;
    return v->as.string.data;
}

/* Is it relative, without empty components, dots and ways out? "." alone stands for a model that is one file. */
static bool good_path(const char *path) {
    if (strcmp(path, ".") == 0) return true;
    size_t total = strlen(path);
    if (total == 0 || total >= MANIFEST_NAME_BYTES) return false;
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) return false;
        p += n;
        if (!*p) return true;
    }
}

/* The number that ends at `end`, after a ':', which becomes the new end. */
static bool take_number(const char *name, size_t *end, uint64_t *out) {
    size_t from = *end;
    while (from > 0 && name[from - 1] >= '0' && name[from - 1] <= '9') from--;
    if (from == *end || from == 0 || name[from - 1] != ':') return false;
    uint64_t n = 0;
    for (size_t i = from; i < *end; i++)
        if (!mul_u64(n, 10, &n) || !add_u64(n, (uint64_t)(name[i] - '0'), &n)) return false;
    *out = n;
    *end = from - 1;
    return true;
}

static tola_status add_resource(statement *s, const char *name, const char *hex, tola_error *err) {
    manifest_resource item = { name, 0, 0, { 0 } };
    const manifest_rules *rules = &s->m.rules;
    if (rules->shard_size) {
        size_t end = strlen(name);
        bool good = take_number(name, &end, &item.end) && take_number(name, &end, &item.start) &&
                    item.start < item.end && item.end - item.start <= rules->shard_size;
        char *path = good ? arena_strndup(&s->m.a, name, end) : NULL;
        if (!good) return fail(err, "has a shard that is no 'path:start:end':", name);
        if (!path) return err_nomem(err, "reading a signature");
        item.path = path;
    }
    if (!good_path(item.path)) return fail(err, "names a file outside the model, or by a bad path:", item.path);
    if (!digest_from_hex(hex, strlen(hex), item.digest, digest_get(rules->hash)->bytes))
        return fail(err, "has a digest of the wrong length or alphabet, of", name);
    return manifest_add(&s->m, &item, err);
}

static tola_status read_rules(const tola_value *v, statement *s, tola_error *err) {
    const char *method = text_of(v, "method"), *hash = text_of(v, "hash_type");
    manifest_rules *rules = &s->m.rules;
    if (!method || !hash) return fail(err, "does not say how the model was serialized", NULL);
    if (!digest_find(hash, &rules->hash)) return fail(err, "uses a hash that is not known:", hash);
    if (strcmp(method, "shards") == 0) {
        const tola_value *size = tola_value_get(v, "shard_size");
        double d = tola_value_f64(size, 0);
        if (!bundle_u64(size, &rules->shard_size) && d >= 1 && d < 9e15) rules->shard_size = (uint64_t)d;
        if (rules->shard_size == 0) return fail(err, "has shards without a size", NULL);
    } else if (strcmp(method, "files") != 0) {
        return fail(err, "uses a serialization that is not known:", method);
    }
    rules->allow_symlinks = tola_value_bool(tola_value_get(v, "allow_symlinks"), false);
    const tola_value *ignore = tola_value_get(v, "ignore_paths");
    if (!ignore) return TOLA_OK;
    if (ignore->kind != TOLA_VALUE_ARRAY) return fail(err, "has ignore_paths that are no list", NULL);
    if (ignore->as.array.count > 1000) return fail(err, "has more than 1,000 ignore_paths", NULL);
    for (size_t i = 0; i < ignore->as.array.count; i++) {
        tola_value path = tola_value_at(ignore, i);
        if (path.kind != TOLA_VALUE_STRING || strlen(path.as.string.data) != path.as.string.length)
            return fail(err, "has an ignored path that is no text", NULL);
        if (path.as.string.data[0] == '/') continue; /* outside, whatever it says */
        tola_status status = manifest_ignore(&s->m, "", path.as.string.data, err);
        if (status == TOLA_E_ARG) return fail(err, "ignores the whole model:", path.as.string.data);
        if (status != TOLA_OK) return status;
    }
    return TOLA_OK;
}

static tola_status read_resources(const tola_value *list, statement *s, tola_error *err) {
    char algorithm[64];
    manifest_algorithm(&s->m.rules, algorithm, sizeof algorithm);
    if (!list || list->kind != TOLA_VALUE_ARRAY) return fail(err, "has no list of resources", NULL);
    for (size_t i = 0; i < list->as.array.count; i++) {
        tola_value v = tola_value_at(list, i);
        const char *name = text_of(&v, "name"), *used = text_of(&v, "algorithm"), *hex = text_of(&v, "digest");
        if (!name || !used || !hex) return fail(err, "has a resource without name, algorithm or digest", NULL);
        if (strcmp(used, algorithm) != 0) return fail(err, "has a resource of another algorithm:", used);
        TRY(add_resource(s, name, hex, err));
    }
    return TOLA_OK;
}

/* Signed before v1.0: every file is a subject, and nothing says how the list was made. */
static tola_status read_old(const tola_value *subjects, statement *s, tola_error *err) {
    static const char *const git[] = { ".git", ".gitattributes", ".github", ".gitignore" };
    s->old = true;
    s->m.rules.hash = DIGEST_SHA256;
    for (size_t i = 0; i < sizeof git / sizeof *git; i++) TRY(manifest_ignore(&s->m, "", git[i], err));
    for (size_t i = 0; i < subjects->as.array.count; i++) {
        tola_value v = tola_value_at(subjects, i);
        const char *name = text_of(&v, "name"), *hex = text_of(tola_value_get(&v, "digest"), "sha256");
        if (!name || !hex) return fail(err, "has a subject without name or digest", NULL);
        TRY(add_resource(s, name, hex, err));
    }
    return manifest_root(&s->m, s->root, err);
}

static tola_status read_new(const tola_value *root, const tola_value *subjects, statement *s, tola_error *err) {
    if (subjects->as.array.count != 1) return fail(err, "has not one subject", NULL);
    tola_value subject = tola_value_at(subjects, 0);
    const char *name = text_of(&subject, "name"), *hex = text_of(tola_value_get(&subject, "digest"), "sha256");
    uint8_t expected[32];
    if (!hex || !digest_from_hex(hex, strlen(hex), expected, 32)) return fail(err, "has no root digest", NULL);
    s->m.name = name ? name : "";
    const tola_value *predicate = tola_value_get(root, "predicate");
    TRY(read_rules(tola_value_get(predicate, "serialization"), s, err));
    TRY(read_resources(tola_value_get(predicate, "resources"), s, err));
    TRY(manifest_root(&s->m, s->root, err)); /* in the order of the document */
    if (!crypto_same(s->root, expected, 32))
        return fail(err, "is inconsistent: its root digest is not that of its resources", NULL);
    const tola_value *provenance = tola_value_get(predicate, "provenance");
    if (provenance && provenance->kind == TOLA_VALUE_MAP) s->provenance = provenance;
    return TOLA_OK;
}

static tola_status read_all(bundle_bytes payload, statement *s, tola_error *err) {
    tola_value *root = arena_alloc(&s->m.a, sizeof *root);
    if (!root) return err_nomem(err, "reading a signature");
    TRY(bundle_json((const char *)payload.data, payload.length, "what was signed", &s->m.a, root, err));
    const char *type = text_of(root, "_type"), *predicate = text_of(root, "predicateType");
    if (!type || strcmp(type, STATEMENT_TYPE) != 0) return fail(err, "is no in-toto statement v1:", type ? type : "");
    const tola_value *subjects = tola_value_get(root, "subject");
    if (!subjects || subjects->kind != TOLA_VALUE_ARRAY) return fail(err, "has no subject", NULL);
    if (predicate && strcmp(predicate, PREDICATE_TYPE) == 0)
        TRY(read_new(root, subjects, s, err));
    else if (predicate && strcmp(predicate, PREDICATE_TYPE_OLD) == 0)
        TRY(read_old(subjects, s, err));
    else
        return fail(err, "is no signature of a model: predicateType", predicate ? predicate : "");
    manifest_sort(&s->m);
    for (size_t i = 1; i < s->m.count; i++)
        if (manifest_compare(&s->m.items[i - 1], &s->m.items[i]) == 0)
            return fail(err, "names a file twice:", s->m.items[i].path);
    return TOLA_OK;
}

tola_status statement_parse(bundle_bytes payload, statement *out, tola_error *err) {
    memset(out, 0, sizeof *out);
    manifest_init(&out->m);
    out->m.a.limit = TREE_MOST_BYTES;
    tola_status status = read_all(payload, out, err);
    if (status != TOLA_OK) statement_free(out);
    return status;
}

void statement_free(statement *s) {
    manifest_free(&s->m);
    memset(s, 0, sizeof *s);
}
