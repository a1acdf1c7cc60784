/* A model that does not exist yet, as a checkpoint: the tensors that the builder asks for, under the names and in the
 * layout of Hugging Face, with values that are drawn whenever they are read. So a new model goes every way that a file
 * goes: it is described, built, learned, converted and written as any other. */
#include "base/err.h"
#include "base/json.h"
#include "formats/open.h"
#include "models/weights.h"

#include <stdio.h>
#include <string.h>

#define MAX_CONFIG (16u << 20) /* bytes of a config.json */

typedef struct fresh {
    model_draw_fn draw;
    void *user;
} fresh;

/* Of one tensor: what it was asked for as, and its shape. */
typedef struct wish {
    const fresh *of;
    model_want want;
} wish;

typedef struct lister {
    const model_description *d;
    model_weights *w;
    tola_checkpoint *out;
    const fresh *of;
} lister;

static tola_status read_wish(const tola_checkpoint *ck, const ck_tensor *t, uint64_t offset, void *dst, size_t bytes,
                             tola_error *err) {
    (void)ck, (void)err;
    const wish *x = t->context;
    uint8_t *to = dst;
    float some[256];
    while (bytes) { /* dst need not be aligned, nor the piece begin with an element */
        uint64_t first = offset / sizeof(float), skip = offset % sizeof(float);
        size_t n = sizeof some - skip < bytes ? sizeof some - skip : bytes;
        x->of->draw(x->of->user, t->info.name, &x->want, first, (size_t)((skip + n + 3) / 4), some);
        memcpy(to, (const uint8_t *)some + skip, n);
        to += n;
        offset += n;
        bytes -= n;
    }
    return TOLA_OK;
}

static tola_status add(lister *l, const model_want *want, const char *name, const uint64_t *shape, unsigned n,
                       tola_error *err) {
    wish *x = arena_alloc(&l->out->arena, sizeof *x);
    char *word = arena_strndup(&l->out->arena, want->word, strlen(want->word));
    if (!x || !word) return err_nomem(err, "a new model");
    *x = (wish){ l->of, *want };
    x->want.word = word;
    x->want.fused = NULL;
    return ck_add_tensor(l->out,
                         &(ck_add){ .name = name,
                                    .name_length = strlen(name),
                                    .shape = shape,
                                    .n_dims = n,
                                    .dtype = TOLA_DTYPE_F32,
                                    .offset = TOLA_NO_OFFSET,
                                    .flags = TOLA_TENSOR_PARAMETER,
                                    .read = read_wish,
                                    .context = x },
                         err);
}

static tola_status list(void *user, const model_want *want, tola_error *err) {
    lister *l = user;
    found f;
    uint64_t rows = want->rows, cols = want->cols;
    if (want->optional) return TOLA_OK;
    weights_find(l->w, want->word, want->layer, 0, &f);
    bool itself = want->fused && strcmp(want->fused, want->word) == 0;
    if (want->fused && (!f.row || itself)) { /* the whole is listed with its first piece */
        if (want->fused_first != 0) return TOLA_OK;
        weights_find(l->w, want->fused, want->layer, 0, &f);
        *(want->exact ? &cols : &rows) = want->fused_rows;
    }
    if (!f.row)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s has no name for %s", l->d->family->name,
                       want->word);
    if (want->exact)
        return add(l, want, f.name, rows == 1 ? &cols : (const uint64_t[]){ rows, cols }, 1 + (rows != 1), err);
    const bool turned = (f.flags & NAME_TRANSPOSED) != 0;
    const uint64_t shape[] = { want->parts, turned ? cols : rows, turned ? rows : cols };
    if (!(f.flags & NAME_EXPERT)) return add(l, want, f.name, shape + (want->parts == 1), 2 + (want->parts > 1), err);
    for (uint32_t e = 0; e < want->parts; e++) {
        weights_find(l->w, want->word, want->layer, e, &f);
        TRY(add(l, want, f.name, shape + 1, 2, err));
    }
    return TOLA_OK;
}

/* A checkpoint with a configuration and, so far, nothing else. */
static tola_status only_config(const char *config, size_t length, tola_checkpoint **out, tola_error *err) {
    TRY(ck_create(NULL, out, err));
    (*out)->format = "safetensors";
    char *copy = arena_strndup(&(*out)->arena, config, length); /* texts of the tree may lie in it */
    if (!copy) return err_nomem(err, "a new model");
    return json_parse(copy, length, &(*out)->arena, &(*out)->config, err);
}

static tola_status list_tensors(lister *l, const tola_checkpoint *empty, tola_error *err) {
    graph *g;
    TRY(model_weights_open(empty, l->d, &l->w, err));
    weights_list(l->w, list, l);
    TRY(graph_create(&g, err));
    graph_value y = model_append(g, l->d, l->w, NULL, 0, false);
    tola_status status = graph_finish(g, &y, 1, err);
    graph_free(g);
    return status;
}

static void free_owned(tola_checkpoint *ck) { mem_free(ck->owned); }

static tola_status make(tola_checkpoint *empty, tola_checkpoint *out, tola_error *err) {
    model_description *d = NULL;
    TRY(ck_finish(empty, err));
    TRY(model_describe(empty, 0, &d, err));
    lister l = { .d = d, .out = out, .of = out->owned };
    tola_status status = list_tensors(&l, empty, err);
    model_weights_free(l.w);
    model_description_free(d);
    return status == TOLA_OK ? ck_finish(out, err) : status;
}

tola_status model_fresh(const char *config, size_t length, model_draw_fn draw, void *user, tola_checkpoint **out,
                        tola_error *err) {
    tola_checkpoint *empty = NULL, *made = NULL;
    if (length > MAX_CONFIG)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a configuration of %zu bytes, at most %u", length,
                       MAX_CONFIG);
    tola_status status = only_config(config, length, &empty, err);
    if (status == TOLA_OK) status = only_config(config, length, &made, err);
    fresh *f = status == TOLA_OK ? mem_alloc(sizeof *f) : NULL;
    if (status == TOLA_OK && !f) status = err_nomem(err, "a new model");
    if (status == TOLA_OK) {
        *f = (fresh){ draw, user };
        made->owned = f;
        made->close_owned = free_owned;
        status = make(empty, made, err);
    }
    tola_checkpoint_close(empty);
    if (status == TOLA_OK)
        *out = made;
    else
        tola_checkpoint_close(made);
    return status;
}
