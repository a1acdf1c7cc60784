/* A model beside what was signed: names first, then the digests of what is in both.
 *
 * Paths of the signature are compared with what the walk found; none is ever opened. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/text.h"
#include "trust/sign_name.h"
#include "trust/verify.h"

enum { MOST_RENAMES = 10000 }; /* beyond, missing and added are told apart: pairs are looked for */

typedef struct texts {
    const char **items;
    size_t count, cap;
} texts;

typedef struct comparison {
    const tola_verify_options *o;
    statement *s;
    verify_result *v;
    manifest_files files;
    manifest now; /* of the files there, by the rules of the signature, sorted; digests where they were wanted */
    texts changed, missing, added, uncovered;
    const char *linked; /* a link where a file was signed */
    manifest_work work;
} comparison;

static tola_status note(texts *t, const char *path, tola_error *err) {
    if (t->count > 0 && strcmp(t->items[t->count - 1], path) == 0) return TOLA_OK; /* shards of one file */
    if (!mem_grow(&t->items, &t->cap, t->count + 1, sizeof *t->items)) return err_nomem(err, "comparing a model");
    t->items[t->count++] = path;
    return TOLA_OK;
}

/* Resources of one path, [from, end). */
static size_t run_of(const manifest *m, size_t from) {
    size_t end = from + 1;
    while (end < m->count && strcmp(m->items[end].path, m->items[from].path) == 0) end++;
    return end;
}

/* The first resource of that path, or of the next. */
static size_t find_path(const manifest *m, const char *path) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (manifest_compare_paths(m->items[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool same_ranges(const manifest *a, size_t from_a, size_t end_a, const manifest *b, size_t from_b,
                        size_t end_b) {
    if (end_a - from_a != end_b - from_b) return false;
    for (size_t i = 0; i < end_a - from_a; i++)
        if (a->items[from_a + i].start != b->items[from_b + i].start ||
            a->items[from_a + i].end != b->items[from_b + i].end)
            return false;
    return true;
}

/* ---- what is there ---- */

/* What is there and left out, but for the signature itself. */
static tola_status note_uncovered(comparison *c, const char *signature, tola_error *err) {
    struct stat own, st;
    buf path;
    buf_init(&path, 0);
    const bool there = stat(signature, &own) == 0;
    tola_status status = TOLA_OK;
    for (size_t i = 0; status == TOLA_OK && i < c->files.n_left_out; i++) {
        const char *name = c->files.left_out[i];
        status = manifest_files_path(&c->files, name, &path, err);
        if (status != TOLA_OK) break;
        bool same =
            there && lstat((const char *)path.data, &st) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino;
        if (!same && strcmp(name, "model.sig") != 0) status = note(&c->uncovered, name, err);
    }
    buf_free(&path);
    return status;
}

static tola_status list_files(comparison *c, const char *model, const char *signature, tola_error *err) {
    manifest_rules *rules = &c->s->m.rules;
    for (size_t i = 0; c->o->ignore_paths && c->o->ignore_paths[i]; i++)
        TRY(manifest_ignore(&c->s->m, model, c->o->ignore_paths[i], err));
    TRY(sign_ignore_file(&c->s->m, model, signature, err));
    rules->allow_symlinks |= c->o->allow_symlinks;
    TRY(manifest_walk(model, rules, &c->files, err));
    TRY(note_uncovered(c, signature, err));
    c->now.rules = *rules;
    c->now.rules.ignore = NULL; /* not ours to free */
    c->now.rules.n_ignore = 0;
    for (size_t i = 0; i < c->files.count; i++)
        if (c->files.items[i].kind == MANIFEST_FILE) TRY(manifest_add_file(&c->now, &c->files.items[i], err));
    return TOLA_OK; /* the files are in order, so the manifest is */
}

/* What is no regular file: signed as one it was replaced, else it was added. */
static tola_status note_others(comparison *c, tola_error *err) {
    for (size_t i = 0; i < c->files.count; i++) {
        const manifest_file *f = &c->files.items[i];
        if (f->kind == MANIFEST_FILE) continue;
        size_t at = find_path(&c->s->m, f->path);
        bool is_signed = at < c->s->m.count && strcmp(c->s->m.items[at].path, f->path) == 0;
        if (f->kind == MANIFEST_LINK && !c->linked && (is_signed || !c->o->ignore_unsigned_files)) c->linked = f->path;
        if (is_signed)
            TRY(note(&c->changed, f->path, err));
        else if (!c->o->ignore_unsigned_files)
            TRY(note(&c->added, f->path, err));
    }
    return TOLA_OK;
}

/* ---- which digests are wanted ---- */

typedef struct wanted {
    manifest_resource *items; /* copies of those in `now` */
    size_t *signed_at;        /* the resource of the signature that each must equal */
    size_t count, cap, cap_at;
} wanted;

static tola_status want(wanted *w, const manifest_resource *item, size_t signed_at, tola_error *err) {
    if (!mem_grow(&w->items, &w->cap, w->count + 1, sizeof *w->items) ||
        !mem_grow(&w->signed_at, &w->cap_at, w->count + 1, sizeof *w->signed_at))
        return err_nomem(err, "comparing a model");
    w->items[w->count] = *item;
    w->signed_at[w->count++] = signed_at;
    return TOLA_OK;
}

static tola_status pair_up(comparison *c, wanted *both, tola_error *err) {
    const manifest *a = &c->s->m, *b = &c->now;
    size_t i = 0, k = 0;
    while (i < a->count || k < b->count) {
        int order = i == a->count ? 1 : k == b->count ? -1 : manifest_compare_paths(a->items[i].path, b->items[k].path);
        size_t end_a = order <= 0 ? run_of(a, i) : i, end_b = order >= 0 ? run_of(b, k) : k;
        if (order < 0) {
            const manifest_file *f = manifest_files_find(&c->files, a->items[i].path);
            if (!f)
                TRY(note(&c->missing, a->items[i].path, err));
            else if (f->kind == MANIFEST_FILE) /* shards were signed, and it is empty now */
                TRY(note(&c->changed, a->items[i].path, err));
        } else if (order > 0) {
            if (!c->o->ignore_unsigned_files) TRY(note(&c->added, b->items[k].path, err));
        } else if (!same_ranges(a, i, end_a, b, k, end_b)) {
            TRY(note(&c->changed, a->items[i].path, err));
        } else {
            for (size_t n = 0; n < end_a - i; n++) TRY(want(both, &b->items[k + n], i + n, err));
        }
        i = end_a;
        k = end_b;
    }
    return TOLA_OK;
}

static tola_status compare_digests(comparison *c, wanted *both, tola_error *err) {
    unsigned bytes = digest_get(c->s->m.rules.hash)->bytes;
    TRY(manifest_hash(&c->files, c->s->m.rules.hash, both->items, both->count, &c->work, err));
    for (size_t i = 0; i < both->count; i++)
        if (!crypto_same(both->items[i].digest, c->s->m.items[both->signed_at[i]].digest, bytes))
            TRY(note(&c->changed, both->items[i].path, err));
    return TOLA_OK;
}

/* ---- renames: what is missing under one name is there under another ---- */

static bool same_content(const comparison *c, size_t a, const wanted *w, size_t b) {
    const manifest *m = &c->s->m;
    unsigned bytes = digest_get(m->rules.hash)->bytes;
    size_t end = run_of(m, a), n = 0;
    for (; a + n < end; n++) {
        const manifest_resource *x = &m->items[a + n], *y = &w->items[b + n];
        if (b + n >= w->count || strcmp(y->path, w->items[b].path) != 0 || x->start != y->start || x->end != y->end ||
            !crypto_same(x->digest, y->digest, bytes))
            return false;
    }
    return b + n == w->count || strcmp(w->items[b + n].path, w->items[b].path) != 0;
}

static tola_status hash_added(comparison *c, wanted *w, tola_error *err) {
    for (size_t i = 0; i < c->added.count; i++)
        for (size_t k = find_path(&c->now, c->added.items[i]);
             k < c->now.count && strcmp(c->now.items[k].path, c->added.items[i]) == 0; k++)
            TRY(want(w, &c->now.items[k], 0, err));
    return manifest_hash(&c->files, c->s->m.rules.hash, w->items, w->count, &c->work, err);
}

static void drop(texts *t, size_t at) {
    memmove(t->items + at, t->items + at + 1, (t->count - at - 1) * sizeof *t->items);
    t->count--;
}

static tola_status match_renames(comparison *c, const wanted *w, tola_error *err) {
    tola_verify_rename *found = arena_alloc_array(&c->v->a, c->missing.count, sizeof *found);
    if (!found) return err_nomem(err, "comparing a model");
    size_t n = 0;
    for (size_t i = 0; i < c->missing.count;) {
        size_t a = find_path(&c->s->m, c->missing.items[i]), hit = c->added.count;
        for (size_t k = 0; k < c->added.count && hit == c->added.count; k++) {
            size_t b = 0;
            while (b < w->count && strcmp(w->items[b].path, c->added.items[k]) != 0) b++;
            if (b < w->count && same_content(c, a, w, b)) hit = k;
        }
        if (hit == c->added.count) {
            i++;
            continue;
        }
        found[n].from = verify_copy(c->v, c->missing.items[i]);
        found[n].to = verify_copy(c->v, c->added.items[hit]);
        if (!found[n].from || !found[n].to) return err_nomem(err, "comparing a model");
        n++;
        drop(&c->missing, i);
        drop(&c->added, hit);
    }
    c->v->pub.renamed = found;
    c->v->pub.n_renamed = n;
    return TOLA_OK;
}

static tola_status find_renames(comparison *c, tola_error *err) {
    if (c->missing.count == 0 || c->added.count == 0) return TOLA_OK;
    if (c->missing.count > MOST_RENAMES / c->added.count) return TOLA_OK;
    wanted w = { 0 };
    tola_status status = hash_added(c, &w, err);
    if (status == TOLA_OK) status = match_renames(c, &w, err);
    mem_free(w.items);
    mem_free(w.signed_at);
    return status;
}

/* ---- the verdict ---- */

static int by_path(const void *a, const void *b) {
    return manifest_compare_paths(*(const char *const *)a, *(const char *const *)b);
}

static tola_status publish(comparison *c, texts *t, const char *const **items, size_t *count, tola_error *err) {
    verify_result *v = c->v;
    const char *whole = *c->s->m.name ? c->s->m.name : "."; /* a model that was one file */
    if (t->count == 0) return TOLA_OK;
    qsort(t->items, t->count, sizeof *t->items, by_path);
    const char **copy = arena_alloc_array(&v->a, t->count, sizeof *copy);
    size_t n = 0;
    for (size_t i = 0; copy && i < t->count; i++) {
        if (i > 0 && strcmp(t->items[i], t->items[i - 1]) == 0) continue;
        copy[n] = verify_copy(v, strcmp(t->items[i], ".") == 0 ? whole : t->items[i]);
        if (!copy[n++]) copy = NULL;
    }
    if (!copy) return err_nomem(err, "comparing a model");
    *items = copy;
    *count = n;
    return TOLA_OK;
}

static void count_into(buf *out, size_t n, const char *what) {
    if (n) buf_printf(out, "%s%zu %s", out->length ? ", " : "the model is not what was signed: ", n, what);
}

static tola_status judge(comparison *c, tola_error *err) {
    tola_verification *p = &c->v->pub;
    TRY(publish(c, &c->changed, &p->changed, &p->n_changed, err));
    TRY(publish(c, &c->missing, &p->missing, &p->n_missing, err));
    TRY(publish(c, &c->added, &p->added, &p->n_added, err));
    TRY(publish(c, &c->uncovered, &p->uncovered, &p->n_uncovered, err));
    p->bytes = c->work.bytes;
    buf text;
    buf_init(&text, 0);
    count_into(&text, p->n_changed, "changed");
    count_into(&text, p->n_missing, "missing");
    count_into(&text, p->n_added, "added");
    count_into(&text, p->n_renamed, "renamed");
    char quoted[300];
    if (text.length && c->linked)
        buf_printf(&text, "; %s is a symbolic link, which counts as its file only where links are allowed",
                   text_quote(quoted, sizeof quoted, c->linked, strlen(c->linked)));
    bool differs = text.length > 0;
    buf_u8(&text, 0);
    tola_status status = text.failed ? err_nomem(err, "comparing a model") : TOLA_OK;
    if (status == TOLA_OK && differs) {
        p->valid = false;
        p->reason = verify_copy(c->v, (const char *)text.data);
        if (!p->reason) status = err_nomem(err, "comparing a model");
    }
    buf_free(&text);
    return status;
}

tola_status verify_model(const char *model, const char *signature, const tola_verify_options *o, statement *s,
                         verify_result *v, tola_error *err) {
    comparison c = { .o = o, .s = s, .v = v, .work = { o->threads, o->progress, o->progress_user, 0 } };
    wanted both = { 0 };
    manifest_init(&c.now);
    tola_status status = list_files(&c, model, signature, err);
    if (status == TOLA_OK) status = pair_up(&c, &both, err);
    if (status == TOLA_OK) status = note_others(&c, err);
    if (status == TOLA_OK) status = compare_digests(&c, &both, err);
    if (status == TOLA_OK) status = find_renames(&c, err);
    if (status == TOLA_OK) status = judge(&c, err);
    mem_free(both.items);
    mem_free(both.signed_at);
    mem_free(c.changed.items);
    mem_free(c.uncovered.items);
    mem_free(c.missing.items);
    mem_free(c.added.items);
    manifest_free(&c.now);
    manifest_files_free(&c.files);
    return status;
}
