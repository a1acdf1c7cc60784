/* Sessions: what a token's logits do not depend on, what is kept and forgotten, files, and what is refused. */
#include "generate/session.h"

#include "unit.h"
#include "tiny_model.h"

#include "base/mem.h"

static const char *folder;
static char model_path[300], other_path[300], window_path[300];
static tola_model *model, *window_model;

static int set_up(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    folder = unit_folder();
    snprintf(model_path, sizeof model_path, "%s/tiny.gguf", folder);
    snprintf(other_path, sizeof other_path, "%s/other.gguf", folder);
    snprintf(window_path, sizeof window_path, "%s/window", folder);
    tiny_gguf(model_path, 1);
    tiny_gguf(other_path, 2);
    tiny_mistral(window_path, 3, 40);
    if (tola_model_open(model_path, NULL, &model, &err) != TOLA_OK) fail_msg("%s", err.message);
    if (tola_model_open(window_path, NULL, &window_model, &err) != TOLA_OK) fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tola_model_free(model);
    tola_model_free(window_model);
    unit_remove(folder);
    return 0;
}

static tola_session *open_session(const tola_model *m, uint32_t context, uint32_t sequences, uint32_t batch,
                                  unsigned threads, tola_dtype type) {
    tola_error err = TOLA_ERROR_INIT;
    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    tola_session *s;
    o.context = context;
    o.sequences = sequences;
    o.batch = batch;
    o.threads = threads;
    o.outputs = 64;
    o.key_type = o.value_type = type;
    if (tola_session_create(m, &o, &s, &err) != TOLA_OK) fail_msg("%s", err.message);
    return s;
}

static uint32_t id_at(size_t i) { return (uint32_t)((i * 37 + i * i * 11 + 5) % TINY_VOCABULARY); }

/* Tokens [from, to) of one text into `sequence`, rows wanted from `output` on. */
static tola_status feed(tola_session *s, uint32_t sequence, size_t from, size_t to, size_t output, tola_error *err) {
    tola_step_token tokens[600];
    assert_true(to - from <= 600);
    for (size_t i = from; i < to; i++) tokens[i - from] = (tola_step_token){ id_at(i), sequence, i >= output };
    return tola_session_step(s, tokens, to - from, NULL, NULL, err);
}

static void must_feed(tola_session *s, uint32_t sequence, size_t from, size_t to, size_t output) {
    tola_error err = TOLA_ERROR_INIT;
    if (feed(s, sequence, from, to, output, &err) != TOLA_OK) fail_msg("%s", err.message);
}

#define ROW (TINY_VOCABULARY * sizeof(float))

/* Rows of tokens [end - count, end) of the text, read in one batch by one thread. */
static float *reference(const tola_model *m, size_t end, size_t count, tola_dtype type) {
    tola_session *s = open_session(m, 0, 1, 512, 1, type);
    float *rows = malloc(count * ROW);
    assert_non_null(rows);
    must_feed(s, 0, 0, end, end - count);
    for (size_t i = 0; i < count; i++) memcpy(rows + i * TINY_VOCABULARY, tola_session_output(s, i), ROW);
    assert_null(tola_session_output(s, count));
    tola_session_free(s);
    return rows;
}

static void same_rows(const tola_session *s, const float *rows, size_t count) {
    for (size_t i = 0; i < count; i++) assert_memory_equal(tola_session_output(s, i), rows + i * TINY_VOCABULARY, ROW);
}

static void about(void **state) {
    (void)state;
    const tola_model_info *info = tola_model_about(model);
    assert_string_equal(info->family, "llama");
    assert_int_equal(info->layers, TINY_LAYERS);
    assert_int_equal(info->width, TINY_WIDTH);
    assert_int_equal(info->vocabulary, TINY_VOCABULARY);
    assert_int_equal(info->context, TINY_CONTEXT);
    assert_false(info->hidden);
    assert_true(info->weight_bytes > info->active_bytes); /* of the embedding a row alone is read */
    assert_int_equal(info->weight_bytes - info->active_bytes, (TINY_VOCABULARY - 1) * TINY_WIDTH * 4);
    assert_non_null(tola_model_tokenizer(model));
    assert_null(tola_model_tokenizer(window_model));
    assert_string_not_equal(tola_model_no_tokenizer(window_model), "");
}

/* ---- what a row does not depend on ---- */

static void batches_and_threads(void **state) {
    (void)state;
    static const tola_dtype types[] = { TOLA_DTYPE_F32, TOLA_DTYPE_F16, TOLA_DTYPE_BF16, TOLA_DTYPE_Q8_0,
                                        TOLA_DTYPE_Q4_0 };
    static const uint32_t batches[] = { 1, 7, 64, 512 };
    static const unsigned threads[] = { 1, 2, 5 };
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        float *rows = reference(model, 200, 9, types[t]);
        for (size_t b = 0; b < 4; b++)
            for (size_t n = 0; n < 3; n++) {
                if (t != 1 && n != b % 3) continue; /* all pairs for the default alone */
                tola_session *s = open_session(model, 0, 1, batches[b], threads[n], types[t]);
                must_feed(s, 0, 0, 200, 191);
                same_rows(s, rows, 9);
                tola_session_free(s);
            }
        free(rows);
    }
}

static void windows(void **state) {
    (void)state;
    float *rows = reference(window_model, 300, 9, TOLA_DTYPE_F16);
    for (uint32_t batch = 1; batch < 300; batch = batch * 3 + 1) {
        tola_session *s = open_session(window_model, 0, 1, batch, 2, TOLA_DTYPE_F16);
        must_feed(s, 0, 0, 300, 291);
        same_rows(s, rows, 9);
        tola_session_free(s);
    }
    free(rows);
}

/* Whatever else a step gives, in the last layer too, which computes queries for these tokens alone: neighbours, in
 * several pages, with pages between them that nobody sees. */
static void some_outputs(void **state) {
    (void)state;
    enum { LENGTH = 300 };
    static const size_t apart[] = { 13, 130 };
    tola_error err = TOLA_ERROR_INIT;
    const tola_model *const models[] = { model, window_model };
    for (size_t m = 0; m < 2; m++)
        for (size_t k = 0; k < 2; k++) {
            tola_session *s = open_session(models[m], 0, 2, 512, (unsigned)(1 + k), TOLA_DTYPE_F16);
            tola_step_token tokens[2 * LENGTH];
            for (size_t i = 0; i < 2 * LENGTH; i++)
                tokens[i] = (tola_step_token){ id_at(i % LENGTH), i >= LENGTH, i % apart[k] == 3 };
            if (tola_session_step(s, tokens, 2 * LENGTH, NULL, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
            for (size_t i = 3, n = 0; i < 2 * LENGTH; i += apart[k], n++) {
                float *row = reference(models[m], i % LENGTH + 1, 1, TOLA_DTYPE_F16);
                assert_memory_equal(tola_session_output(s, n), row, ROW);
                free(row);
            }
            tola_session_free(s);
        }
}

static void other_sequences(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    float *rows = reference(model, 50, 1, TOLA_DTYPE_F16), *short_rows = reference(model, 20, 1, TOLA_DTYPE_F16);
    tola_session *s = open_session(model, 0, 3, 16, 2, TOLA_DTYPE_F16);
    tola_step_token tokens[70 + 30];
    size_t n = 0;
    for (size_t i = 0; i < 50; i++) tokens[n++] = (tola_step_token){ id_at(i), 2, i == 49 };
    for (size_t i = 0; i < 30; i++) tokens[n++] = (tola_step_token){ id_at(i + 7), 0, false };
    for (size_t i = 0; i < 20; i++) tokens[n++] = (tola_step_token){ id_at(i), 1, i == 19 };
    if (tola_session_step(s, tokens, n, NULL, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    assert_memory_equal(tola_session_output(s, 0), rows, ROW);
    assert_memory_equal(tola_session_output(s, 1), short_rows, ROW);
    assert_int_equal(tola_session_length(s, 0), 30);
    assert_int_equal(tola_session_length(s, 1), 20);
    assert_int_equal(tola_session_length(s, 2), 50);
    assert_int_equal(tola_session_length(s, 3), 0);
    assert_int_equal(tola_session_ids(s, 2)[49], id_at(49));
    tola_session_free(s);
    free(rows);
    free(short_rows);
}

/* ---- going back, copies ---- */

static void truncating_and_copying(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    float *rows = reference(model, 120, 4, TOLA_DTYPE_F16);
    tola_session *s = open_session(model, 0, 2, 512, 1, TOLA_DTYPE_F16);
    must_feed(s, 0, 0, 90, 90);
    assert_int_equal(tola_session_copy(s, 0, 1, 80, &err), TOLA_OK);
    must_feed(s, 0, 200, 250, 250); /* another text behind the first 90 */
    assert_int_equal(tola_session_truncate(s, 0, 90, &err), TOLA_OK);
    assert_int_equal(tola_session_length(s, 0), 90);
    must_feed(s, 0, 90, 120, 116);
    same_rows(s, rows, 4);
    must_feed(s, 1, 80, 120, 116);
    same_rows(s, rows, 4);
    assert_int_equal(tola_session_copy(s, 0, 1, 121, &err), TOLA_E_ARG);
    assert_int_equal(tola_session_copy(s, 0, 2, 1, &err), TOLA_E_ARG);
    assert_int_equal(tola_session_length(s, 1), 120);
    tola_session_free(s);
    free(rows);
}

static void going_back_beyond_a_window(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    size_t kept;
    uint32_t ids[300];
    float *rows = reference(window_model, 60, 1, TOLA_DTYPE_F16);
    tola_session *s = open_session(window_model, 0, 1, 512, 1, TOLA_DTYPE_F16);
    for (size_t i = 0; i < 300; i++) ids[i] = id_at(i);
    for (size_t at = 0; at < 300; at += 50) must_feed(s, 0, at, at + 50, at + 50);
    assert_int_equal(tola_session_truncate(s, 0, 60, &err), TOLA_E_UNSUPPORTED);
    assert_int_equal(tola_session_length(s, 0), 300);
    assert_int_equal(session_advance(s, 0, ids, 60, 59, NULL, NULL, &kept, &err), TOLA_OK); /* reads it anew */
    assert_int_equal(kept, 0);
    same_rows(s, rows, 1);
    tola_session_free(s);
    free(rows);
}

/* ---- refusals leave everything as it was ---- */

static bool stop_early(void *user, size_t done, size_t total) {
    (void)total;
    return done < *(const size_t *)user;
}

static void refusals(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    float *rows = reference(model, 40, 1, TOLA_DTYPE_F16);
    tola_session *s = open_session(model, 60, 2, 8, 1, TOLA_DTYPE_F16);
    must_feed(s, 0, 0, 39, 39);
    assert_int_equal(feed(s, 0, 39, 61, 61, &err), TOLA_E_LIMIT);
    assert_non_null(strstr(err.message, "context of 60 tokens is full: it holds 39 and 22 more"));
    tola_step_token bad[] = { { 5, 0, false }, { TINY_VOCABULARY, 0, false } };
    assert_int_equal(tola_session_step(s, bad, 2, NULL, NULL, &err), TOLA_E_ARG);
    tola_step_token nowhere[] = { { 5, 2, false } };
    assert_int_equal(tola_session_step(s, nowhere, 1, NULL, NULL, &err), TOLA_E_ARG);
    tola_step_token mixed[] = { { 5, 0, false }, { 5, 1, false }, { 5, 0, false } };
    assert_int_equal(tola_session_step(s, mixed, 3, NULL, NULL, &err), TOLA_E_ARG);
    size_t stop = 12;
    tola_step_token many[20];
    for (size_t i = 0; i < 20; i++) many[i] = (tola_step_token){ 5, 0, false };
    assert_int_equal(tola_session_step(s, many, 20, stop_early, &stop, &err), TOLA_E_CANCELLED);
    tola_step_token rows65[65];
    for (size_t i = 0; i < 65; i++) rows65[i] = (tola_step_token){ 5, 1, true };
    assert_int_equal(tola_session_step(s, rows65, 65, NULL, NULL, &err), TOLA_E_ARG);
    assert_int_equal(tola_session_length(s, 0), 39);
    assert_int_equal(tola_session_length(s, 1), 0);
    must_feed(s, 0, 39, 40, 39);
    same_rows(s, rows, 1);
    tola_session_free(s);
    free(rows);

    tola_session_options o = TOLA_SESSION_OPTIONS_INIT;
    o.key_type = TOLA_DTYPE_I64;
    assert_int_equal(tola_session_create(model, &o, &s, &err), TOLA_E_UNSUPPORTED);
    o.key_type = TOLA_DTYPE_NONE;
    o.batch = UINT32_MAX;
    assert_int_equal(tola_session_create(model, &o, &s, &err), TOLA_E_ARG);
}

/* A model whose output is broken: an infinity in the last norm. */
static void no_numbers(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    char path[320];
    tola_checkpoint *ck;
    tola_model *m;
    snprintf(path, sizeof path, "%s/broken.gguf", folder);
    tiny_gguf(path, 1);
    assert_int_equal(tola_checkpoint_open(path, NULL, &ck, &err), TOLA_OK);
    uint64_t at = tola_checkpoint_tensor(ck, tola_checkpoint_find(ck, "output_norm.weight"))->offset;
    tola_checkpoint_close(ck);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fwrite("\0\0\x80\x7f", 1, 4, f), 4);
    fclose(f);
    assert_int_equal(tola_model_open(path, NULL, &m, &err), TOLA_OK);
    tola_session *s = open_session(m, 0, 1, 16, 1, TOLA_DTYPE_F16);
    must_feed(s, 0, 0, 20, 20);
    assert_int_equal(feed(s, 0, 20, 30, 27, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "position 27"));
    assert_int_equal(tola_session_length(s, 0), 20);
    tola_session_free(s);
    tola_model_free(m);
}

/* ---- files ---- */

static char *in_folder(const char *name) {
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void saving(void **state) {
    (void)state;
    static const tola_dtype types[] = { TOLA_DTYPE_F16, TOLA_DTYPE_Q8_0, TOLA_DTYPE_F32 };
    tola_error err = TOLA_ERROR_INIT;
    for (size_t t = 0; t < 3; t++) {
        void *note;
        size_t bytes;
        float *rows = reference(model, 150, 3, types[t]);
        tola_session *s = open_session(model, 0, 2, 512, 1, types[t]);
        must_feed(s, 1, 0, 100, 100);
        assert_int_equal(tola_session_save(s, 1, in_folder("s"), false, "hello", 5, &err), TOLA_OK);
        assert_int_equal(tola_session_save(s, 1, in_folder("s"), false, NULL, 0, &err), TOLA_E_EXISTS);
        tola_session_free(s);
        s = open_session(model, 0, 1, 7, 2, types[t]);
        must_feed(s, 0, 30, 60, 60);
        if (tola_session_load(s, 0, in_folder("s"), &note, &bytes, &err) != TOLA_OK) fail_msg("%s", err.message);
        assert_int_equal(bytes, 5);
        assert_string_equal(note, "hello");
        tola_free(note);
        assert_int_equal(tola_session_length(s, 0), 100);
        assert_int_equal(tola_session_ids(s, 0)[99], id_at(99));
        must_feed(s, 0, 100, 150, 147);
        same_rows(s, rows, 3);
        tola_session_free(s);
        remove(in_folder("s"));
        free(rows);
    }
}

static void saving_a_window(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    float *rows = reference(window_model, 250, 2, TOLA_DTYPE_F16);
    tola_session *s = open_session(window_model, 0, 1, 64, 1, TOLA_DTYPE_F16);
    must_feed(s, 0, 0, 200, 200);
    assert_int_equal(tola_session_save(s, 0, in_folder("w"), true, NULL, 0, &err), TOLA_OK);
    tola_session_free(s);
    s = open_session(window_model, 0, 1, 64, 1, TOLA_DTYPE_F16);
    if (tola_session_load(s, 0, in_folder("w"), NULL, NULL, &err) != TOLA_OK) fail_msg("%s", err.message);
    must_feed(s, 0, 200, 250, 248);
    same_rows(s, rows, 2);
    tola_session_free(s);
    free(rows);
}

/* The same tensors, but another configuration: keys and values would not be those that the model computes. */
static void other_configuration(void **state) {
    (void)state;
    char path[400], config[2048];
    tola_error err = TOLA_ERROR_INIT;
    tola_session *s = open_session(window_model, 0, 1, 64, 1, TOLA_DTYPE_F16);
    must_feed(s, 0, 0, 20, 20);
    assert_int_equal(tola_session_save(s, 0, in_folder("c"), true, NULL, 0, &err), TOLA_OK);
    tola_session_free(s);
    snprintf(path, sizeof path, "%s/config.json", window_path);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t length = fread(config, 1, sizeof config - 1, f);
    fclose(f);
    config[length] = 0;
    char *eps = strstr(config, "1e-5");
    assert_non_null(eps);
    for (const char *digit = "65"; *digit; digit++) {
        tola_model *changed;
        eps[3] = *digit;
        unit_write(path, config, length);
        if (tola_model_open(window_path, NULL, &changed, &err) != TOLA_OK) fail_msg("%s", err.message);
        s = open_session(changed, 0, 1, 64, 1, TOLA_DTYPE_F16);
        tola_status status = tola_session_load(s, 0, in_folder("c"), NULL, NULL, &err);
        assert_int_equal(status, *digit == '5' ? TOLA_OK : TOLA_E_ARG);
        tola_session_free(s);
        tola_model_free(changed);
    }
}

static void refused_files(void **state) {
    (void)state;
    tola_error err = TOLA_ERROR_INIT;
    tola_session *s = open_session(model, 0, 1, 512, 1, TOLA_DTYPE_F16), *narrow, *other_type, *other;
    tola_model *other_model;
    must_feed(s, 0, 0, 70, 70);
    assert_int_equal(tola_session_save(s, 0, in_folder("r"), true, "n", 1, &err), TOLA_OK);
    narrow = open_session(model, 69, 1, 512, 1, TOLA_DTYPE_F16);
    assert_int_equal(tola_session_load(narrow, 0, in_folder("r"), NULL, NULL, &err), TOLA_E_LIMIT);
    other_type = open_session(model, 0, 1, 512, 1, TOLA_DTYPE_F32);
    assert_int_equal(tola_session_load(other_type, 0, in_folder("r"), NULL, NULL, &err), TOLA_E_ARG);
    assert_int_equal(tola_model_open(other_path, NULL, &other_model, &err), TOLA_OK);
    other = open_session(other_model, 0, 1, 512, 1, TOLA_DTYPE_F16);
    assert_int_equal(tola_session_load(other, 0, in_folder("r"), NULL, NULL, &err), TOLA_E_ARG);
    assert_non_null(strstr(err.message, "another model"));
    assert_int_equal(tola_session_load(s, 0, in_folder("none"), NULL, NULL, &err), TOLA_E_NOT_FOUND);
    assert_int_equal(tola_session_load(s, 1, in_folder("r"), NULL, NULL, &err), TOLA_E_ARG);
    assert_int_equal(tola_session_length(s, 0), 70);
    tola_session_free(s);
    tola_session_free(narrow);
    tola_session_free(other_type);
    tola_session_free(other);
    tola_model_free(other_model);
}

/* Each byte of the header, and every seventh of the rest, changed; every length. The sequence stays as it is. */
static void damaged_files(void **state) {
    (void)state;
    static uint8_t data[1 << 17], copy[1 << 17];
    tola_error err = TOLA_ERROR_INIT;
    tola_session *s = open_session(model, 0, 1, 512, 1, TOLA_DTYPE_Q4_0);
    must_feed(s, 0, 0, 20, 20);
    assert_int_equal(tola_session_save(s, 0, in_folder("d"), true, "note", 4, &err), TOLA_OK);
    FILE *f = fopen(in_folder("d"), "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    assert_true(n > 64 && n < sizeof data);
    float *rows = reference(model, 25, 1, TOLA_DTYPE_Q4_0);
    for (size_t i = 0; i < n; i += i < 64 ? 1 : 7) {
        source *src;
        memcpy(copy, data, n);
        copy[i] ^= 0x11;
        assert_int_equal(source_open_memory("d", copy, n, &src, &err), TOLA_OK);
        assert_int_not_equal(session_load_source(s, 0, src, NULL, NULL, &err), TOLA_OK);
        source_close(src);
    }
    for (size_t length = 0; length < n; length += length < 200 ? 1 : 97) {
        source *src;
        assert_int_equal(source_open_memory("d", data, length, &src, &err), TOLA_OK);
        assert_int_not_equal(session_load_source(s, 0, src, NULL, NULL, &err), TOLA_OK);
        source_close(src);
    }
    must_feed(s, 0, 20, 25, 24);
    same_rows(s, rows, 1);
    free(rows);
    tola_session_free(s);
}

/* ---- when something fails ---- */

/* Everything that takes memory, reads or writes. */
static tola_status all_of_it(tola_session **s, tola_model **m, tola_error *err) {
    tola_session_options so = TOLA_SESSION_OPTIONS_INIT;
    tola_generate_options o = TOLA_GENERATE_OPTIONS_INIT;
    static const char *const stop[] = { "stop", NULL };
    uint32_t *ids;
    size_t count;
    tola_generated g;
    so.threads = 1;
    so.sequences = 2;
    o.max_tokens = 6;
    o.stop = stop;
    o.lookup = 1;
    o.grammar = "root ::= [a-z ]+";
    TRY(tola_model_open(model_path, NULL, m, err));
    TRY(tola_session_create(*m, &so, s, err));
    TRY(tola_tokenize(tola_model_tokenizer(*m), "the cat", 7, TOLA_TOKENIZE_SPECIAL, &ids, &count, err));
    tola_status status = tola_generate(*s, 0, ids, count, &o, &g, err);
    tola_free(ids);
    TRY(status);
    tola_generated_dispose(&g);
    TRY(tola_session_copy(*s, 0, 1, 2, err));
    TRY(tola_session_save(*s, 0, in_folder("f"), true, "note", 4, err));
    return tola_session_load(*s, 1, in_folder("f"), NULL, NULL, err);
}

/* Allocations, reads and writes fail one after another: each time one message, and no leak (the sanitizers watch). */
static void faults(void **state) {
    (void)state;
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        uint64_t made = 0;
        for (uint64_t n = 0;; n += 1 + n / 40) {
            tola_error err = TOLA_ERROR_INIT;
            tola_session *s = NULL;
            tola_model *m = NULL;
            fault_arm((fault_kind)kind, n, false);
            tola_status status = all_of_it(&s, &m, &err);
            bool reached = fault_count((fault_kind)kind) > n;
            fault_disarm();
            tola_session_free(s);
            tola_model_free(m);
            if (status != TOLA_OK) assert_string_not_equal(err.message, "");
            if (!reached) break;
            made++;
        }
        assert_true(made > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(about),
        cmocka_unit_test(batches_and_threads),
        cmocka_unit_test(windows),
        cmocka_unit_test(some_outputs),
        cmocka_unit_test(other_sequences),
        cmocka_unit_test(truncating_and_copying),
        cmocka_unit_test(going_back_beyond_a_window),
        cmocka_unit_test(refusals),
        cmocka_unit_test(no_numbers),
        cmocka_unit_test(saving),
        cmocka_unit_test(saving_a_window),
        cmocka_unit_test(other_configuration),
        cmocka_unit_test(refused_files),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
