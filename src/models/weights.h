/* What weights.c and masters.c share: where the checkpoint keeps a weight that is asked for. */
#ifndef MODELS_WEIGHTS_H
#define MODELS_WEIGHTS_H

#include "models/made.h"
#include "models/models.h"

typedef struct entry {
    struct entry *next;
    const char *word;
    graph_weight weight;
} entry;

typedef tola_status (*weights_list_fn)(void *user, const model_want *want, tola_error *err);

/* Elements of a master and where a tensor holds them, both as three nested steps: element (i, j, k) lies at at + i
 * along[0]
 * + j along[1] + k along[2] of the tensor and at from + i step[0] + j step[1] + k step[2] of the master's values. The
 * tensor's steps descend, so that a run of its elements is a run of (i, j, k). */
typedef struct master_origin {
    size_t tensor, master, next; /* next: of the same tensor, SIZE_MAX: none */
    uint64_t count[3], at, along[3], from, step[3];
    bool follows; /* the tensor is written from the master, but does not decide it */
} master_origin;

struct model_weights {
    const tola_checkpoint *ck;
    const model_description *d;
    arena arena;
    entry **of_layer;  /* layer_count lists, then one for what belongs to no layer */
    tola_view *views;  /* one a tensor, those that are borrowed from */
    bool *used;        /* one a tensor */
    made_blocks *made; /* memory of our own, or what an earlier process left */
    size_t tensor_count, bytes;
    weights_list_fn list; /* not NULL: weights have no values, what is asked for is told */
    void *list_user;
    /* masters */
    bool learns;
    model_choose_fn choose; /* NULL: all */
    void *choose_user;
    model_master *masters;
    size_t master_count, master_cap;
    master_origin *origins;
    size_t origin_count, origin_cap;
    size_t *origin_of; /* one a tensor: the first of its origins, SIZE_MAX */
    uint64_t *covered; /* one a tensor: elements that masters hold */
    uint64_t master_bytes;
};

/* A tensor that was found for a word. */
typedef struct found {
    size_t tensor, scales; /* scales: of mxfp4 parts, else SIZE_MAX */
    const name_row *row;
    uint32_t flags; /* of the row: in Hugging Face's layout only */
    char name[256];
} found;

/* Which rows of the stored matrix are wanted: first, first + step, ... */
typedef struct piece {
    uint64_t first, step, stored;
} piece;

/* Weights are only listed: each is told when it is first asked for and handed out without data. */
void weights_list(model_weights *w, weights_list_fn list, void *user);
/* f->tensor is SIZE_MAX where there is none. */
void weights_find(const model_weights *w, const char *word, uint32_t layer, uint32_t expert, found *f);
/* The tensor, itself or a fused one, and the rows of it. */
void weights_locate(const model_weights *w, const model_want *want, found *f, piece *p);
tola_status weights_missing(const model_weights *w, const found *f, tola_error *err);
/* Has the tensor these extents? */
tola_status weights_check_shape(const model_weights *w, size_t tensor, const uint64_t *wanted, unsigned n,
                                tola_error *err);
/* As the file holds what was found: vectors and rows of vectors; matrices, stacked or not; one expert's. */
tola_status weights_check_exact(const model_weights *w, const model_want *want, const found *f, const piece *p,
                                tola_error *err);
tola_status weights_check_matrices(const model_weights *w, const model_want *want, const found *f, const piece *p,
                                   tola_error *err);
/* The tensor of expert `expert`, of which `first` is that of expert 0. */
tola_status weights_find_expert(const model_weights *w, const model_want *want, const found *first, uint32_t expert,
                                found *f, tola_error *err);
/* The halves of DeepSeek's kv_b as llama.cpp keeps them: k_b [heads, rank, nope], transposed, and v_b [heads, value,
 * rank]. False where they are not there. */
tola_status weights_find_halves(const model_weights *w, uint32_t layer, found *k, found *v, bool *there,
                                tola_error *err);

/* masters.c */
bool masters_wants(const model_weights *w, const model_want *want);
tola_status masters_take(model_weights *w, const model_want *want, graph_weight *g, bool *there, tola_error *err);
void masters_free(model_weights *w);

#endif
