/* A model's weights as masters, against the weights that run it, and the way back: tola_masters MODEL OUT
 *
 * Every master must hold what the weight of the same word holds; then all are changed, the checkpoint is written to OUT
 * as the changed weights show it, and read again it must hold the changed numbers. Models in f32. Prints how many
 * masters there are. */
#include "base/err.h"
#include "codecs/codec.h"
#include "models/models.h"
#include <tola/transform.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct opened {
    tola_checkpoint *ck;
    model_description *d;
    model_weights *w;
    graph *g;
} opened;

static tola_status open_model(const char *path, bool learn, opened *o, tola_error *err) {
    *o = (opened){ 0 };
    TRY(model_open(path, &o->ck, err));
    TRY(model_describe(o->ck, 0, &o->d, err));
    TRY(model_weights_open(o->ck, o->d, &o->w, err));
    if (learn) model_weights_learn(o->w, NULL, NULL);
    return model_build(o->d, o->w, NULL, 0, false, &o->g, err);
}

static void close_model(opened *o) {
    graph_free(o->g);
    model_weights_free(o->w);
    model_description_free(o->d);
    tola_checkpoint_close(o->ck);
}

/* Does every weight of `b` hold what the master of `a` holds? */
static tola_status same(const opened *a, const opened *b, const char *what, tola_error *err) {
    for (size_t i = 0; i < model_master_count(a->w); i++) {
        const model_master *m = model_master_at(a->w, i);
        const graph_weight *g = m->weight, *other = NULL;
        const model_want want = {
            .word = m->word, .layer = m->layer, .rows = g->rows, .cols = g->cols, .parts = g->parts
        };
        TRY(model_weight(b->w, &want, &other, err));
        float *row = malloc((size_t)g->cols * sizeof *row);
        if (row == NULL) return err_nomem(err, "comparing");
        bool equal = other != NULL && other->parts == g->parts;
        for (uint64_t r = 0; equal && r < g->rows * g->parts; r++) {
            const uint8_t *from = (const uint8_t *)other->data[r / g->rows] + r % g->rows * other->row_bytes;
            equal = codec_convert(other->dtype, TOLA_DTYPE_F32, from, row, (size_t)g->cols, TOLA_OVERFLOW_IEEE, NULL) ==
                        TOLA_OK &&
                    memcmp(row, m->values[0] + r * g->cols, (size_t)g->cols * sizeof *row) == 0;
        }
        free(row);
        if (!equal)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s: layer %d, %s differs", what, (int)m->layer,
                           m->word);
    }
    return TOLA_OK;
}

static void change(const opened *o) {
    for (size_t i = 0; i < model_master_count(o->w); i++) {
        const model_master *m = model_master_at(o->w, i);
        for (uint64_t k = 0; k < m->weight->rows * m->weight->cols * m->weight->parts; k++)
            m->values[0][k] = m->values[0][k] * 0.75f + (float)(k % 7) / 8;
    }
}

static tola_status write_changed(const opened *o, const char *out, tola_error *err) {
    tola_checkpoint *view;
    tola_convert_options options = TOLA_CONVERT_OPTIONS_INIT;
    options.overwrite = true;
    options.threads = 2;
    TRY(model_weights_view(o->w, TOLA_DTYPE_NONE, &view, err));
    tola_status status = tola_convert(view, out, &options, NULL, err);
    tola_checkpoint_close(view);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) return 1;
    opened learned = { 0 }, plain = { 0 }, again = { 0 };
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = open_model(argv[1], true, &learned, &err);
    if (status == TOLA_OK) status = open_model(argv[1], false, &plain, &err);
    if (status == TOLA_OK) status = same(&learned, &plain, "as read", &err);
    if (status == TOLA_OK) {
        change(&learned);
        status = write_changed(&learned, argv[2], &err);
    }
    if (status == TOLA_OK) status = open_model(argv[2], false, &again, &err);
    if (status == TOLA_OK) status = same(&learned, &again, "as written", &err);
    if (status == TOLA_OK)
        printf("%zu\n", model_master_count(learned.w));
    else
        fprintf(stderr, "%s\n", err.message);
    close_model(&again);
    close_model(&plain);
    close_model(&learned);
    return status == TOLA_OK ? 0 : 2;
}
