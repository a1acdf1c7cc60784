/* SentencePiece's ModelProto, walked field by field; see sentencepiece.h. Unknown fields are passed over. */
#include "families/sentencepiece.h"

#include "base/protobuf.h"

#include <string.h>

typedef struct growing {
    tola_string *pieces;
    float *scores;
    uint8_t *types;
    size_t count, pieces_cap, scores_cap, types_cap;
} growing;

static bool grow(growing *g) {
    return mem_grow(&g->pieces, &g->pieces_cap, g->count + 1, sizeof *g->pieces) &&
           mem_grow(&g->scores, &g->scores_cap, g->count + 1, sizeof *g->scores) &&
           mem_grow(&g->types, &g->types_cap, g->count + 1, sizeof *g->types);
}

/* message SentencePiece { string piece = 1; float score = 2; Type type = 3 [default = NORMAL]; } */
static void read_piece(const pb_message *parent, const pb_field *field, arena *a, growing *g) {
    pb_message m;
    pb_field f;
    tola_string text = { "", 0 };
    float score = 0;
    uint64_t type = PIECE_NORMAL;
    if (!pb_enter(parent, field, &m)) return;
    while (pb_next(&m, &f)) {
        if (f.number == 1 && pb_expect(&m, &f, PB_BYTES)) {
            text.length = (size_t)f.bytes;
            text.data = pb_text(&m, &f, SENTENCEPIECE_MAX_PIECE, a);
            if (text.data == NULL) return;
        } else if (f.number == 2 && pb_expect(&m, &f, PB_FIXED32)) {
            score = pb_float(&f);
        } else if (f.number == 3 && pb_expect(&m, &f, PB_VARINT)) {
            type = f.value;
        }
    }
    reader *r = m.r;
    if (!reader_ok(r)) return;
    if (type < PIECE_NORMAL || type > PIECE_BYTE)
        reader_fail(r, TOLA_E_FORMAT, field->at, "piece %zu has the unknown type %llu", g->count,
                    (unsigned long long)type);
    else if (g->count >= SENTENCEPIECE_MAX_PIECES)
        reader_fail(r, TOLA_E_LIMIT, field->at, "more than %u pieces", SENTENCEPIECE_MAX_PIECES);
    else if (!grow(g))
        reader_fail(r, TOLA_E_NOMEM, field->at, "out of memory after %zu pieces", g->count);
    else {
        g->pieces[g->count] = text;
        g->scores[g->count] = score;
        g->types[g->count++] = (uint8_t)type;
    }
}

static void read_trainer(const pb_message *parent, const pb_field *field, sentencepiece_model *out) {
    pb_message m;
    pb_field f;
    if (!pb_enter(parent, field, &m)) return;
    while (pb_next(&m, &f)) {
        if (f.wire != PB_VARINT) continue;
        switch (f.number) {
        case 3: out->model_type = f.value > 4 ? 0 : (unsigned)f.value; break;
        case 24: out->whitespace_as_suffix = f.value != 0; break;
        case 35: out->byte_fallback = f.value != 0; break;
        /* int32 fields: negative ones come as ten-byte varints of their 64-bit sign extension */
        case 40: out->unk_id = (int32_t)(uint32_t)f.value; break;
        case 41: out->bos_id = (int32_t)(uint32_t)f.value; break;
        case 42: out->eos_id = (int32_t)(uint32_t)f.value; break;
        case 43: out->pad_id = (int32_t)(uint32_t)f.value; break;
        default: break;
        }
    }
}

static void read_normalizer(const pb_message *parent, const pb_field *field, arena *a, sentencepiece_model *out) {
    pb_message m;
    pb_field f;
    if (!pb_enter(parent, field, &m)) return;
    while (pb_next(&m, &f)) {
        if (f.number == 2 && pb_expect(&m, &f, PB_BYTES)) {
            out->charsmap.length = (size_t)f.bytes;
            out->charsmap.data = pb_text(&m, &f, SENTENCEPIECE_MAX_CHARSMAP, a);
            if (out->charsmap.data == NULL) return;
        }
        if (f.number == 3 && f.wire == PB_VARINT) out->add_dummy_prefix = f.value != 0;
        if (f.number == 4 && f.wire == PB_VARINT) out->remove_extra_whitespaces = f.value != 0;
    }
}

static tola_status settle(growing *g, arena *a, sentencepiece_model *out, tola_error *err) {
    if (g->count == 0) return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "no pieces: no SentencePiece model");
    out->pieces = arena_alloc_array(a, g->count, sizeof *out->pieces);
    out->scores = arena_alloc_array(a, g->count, sizeof *out->scores);
    out->types = arena_alloc_array(a, g->count, sizeof *out->types);
    if (out->pieces == NULL || out->scores == NULL || out->types == NULL) return err_nomem(err, "pieces");
    memcpy(out->pieces, g->pieces, g->count * sizeof *out->pieces);
    memcpy(out->scores, g->scores, g->count * sizeof *out->scores);
    memcpy(out->types, g->types, g->count * sizeof *out->types);
    out->count = g->count;
    return TOLA_OK;
}

tola_status sentencepiece_parse(const void *data, size_t bytes, arena *a, sentencepiece_model *out, tola_error *err) {
    source *src;
    reader r;
    pb_message m;
    pb_field f;
    growing g = { 0 };
    TRY(source_open_memory("tokenizer.model", data, bytes, &src, err));
    /* Defaults of the schema. */
    sentencepiece_model model = { .model_type = 1,
                                  .add_dummy_prefix = true,
                                  .remove_extra_whitespaces = true,
                                  .charsmap = { "", 0 },
                                  .unk_id = 0,
                                  .bos_id = 1,
                                  .eos_id = 2,
                                  .pad_id = -1 };
    reader_init(&r, src, 0, bytes);
    pb_open(&m, &r, 0, bytes);
    while (pb_next(&m, &f)) {
        if (f.number == 1)
            read_piece(&m, &f, a, &g);
        else if (f.number == 2)
            read_trainer(&m, &f, &model);
        else if (f.number == 3)
            read_normalizer(&m, &f, a, &model);
    }
    tola_status status = reader_check(&r, err);
    if (status == TOLA_OK) status = settle(&g, a, &model, err);
    if (status == TOLA_OK) *out = model;
    mem_free(g.pieces);
    mem_free(g.scores);
    mem_free(g.types);
    reader_free(&r);
    source_close(src);
    return status;
}
