/* Matrices under schemes, for schemes_oracle.py.
 *
 *   tola_scheme decode SCHEME FILE.safetensors MODULE CONFIG.json|- OUT      f32 to OUT; prints rows, columns, matrices
 *   tola_scheme encode TYPE ROWS COLS IN.f32 IMPORTANCE.f32|- OUT [KEY=VALUE ...]   the parts to OUT.<ending>; prints
 *                                                                            their dtypes and shapes and the
 * configuration tola_scheme bench TYPE ROWS COLS [KEY=VALUE ...]                         million weights a second, one
 * thread, of processor time tola_scheme recognize CONFIG.json                                        the scheme that
 * config.json's tells of Keys: group, bits, symmetric, grain (tensor channel group block), block, double, scale, step
 * (rows at a time). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tola/tola.h>

#include "base/json.h"
#include "codecs/scheme.h"

static void fail(const char *what) {
    fprintf(stderr, "tola_scheme: %s\n", what);
    exit(2);
}

static arena memory; /* everything, until the program ends */

static void *get(size_t bytes) {
    void *data = arena_alloc(&memory, bytes + 64);
    if (!data) fail("out of memory");
    memset(data, 0, bytes + 64);
    return data;
}

static void check(tola_status status, const tola_error *err) {
    if (status == TOLA_OK) return;
    fprintf(stderr, "%s: %s\n", tola_status_name(status), err->message);
    exit(1);
}

static void *slurp(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        fail(path);
        return NULL;
    }
    long n = ftell(f);
    rewind(f);
    void *data = get((size_t)n);
    if (fread(data, 1, (size_t)n, f) != (size_t)n) fail(path);
    fclose(f);
    *bytes = (size_t)n;
    return data;
}

static void spill(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    if (!f || (bytes && fwrite(data, 1, bytes, f) != bytes) || fclose(f) != 0) fail(path);
}

static const scheme *scheme_called(const char *name) {
    for (const scheme *const *s = scheme_table; *s; s++)
        if (strcmp((*s)->name, name) == 0) return *s;
    fail("no such scheme");
    return NULL;
}

/* ---- decode ---- */

static const tola_value *read_config(const char *path, tola_value *root) {
    tola_error err = TOLA_ERROR_INIT;
    if (strcmp(path, "-") == 0) return NULL;
    size_t bytes;
    char *text = slurp(path, &bytes);
    check(json_parse(text, bytes, &memory, root, &err), &err);
    const tola_value *inner = tola_value_get(root, "quantization_config");
    if (!inner) inner = tola_value_get(tola_value_get(root, "text_config"), "quantization_config");
    return inner ? inner : root;
}

static void decode(char **a) {
    tola_error err = TOLA_ERROR_INIT;
    tola_checkpoint *ck;
    const scheme *s = scheme_called(a[0]);
    scheme_layout l = { .matrices = 1, .row_unit = 1 };
    const void *data[SCHEME_MAX_PARTS] = { 0 };
    tola_value root;
    const tola_value *config = read_config(a[3], &root);
    check(s->recognize(config, &l.params, &err), &err);
    check(tola_checkpoint_open(a[1], NULL, &ck, &err), &err);
    for (unsigned i = 0; s->suffixes[i]; i++) {
        char name[1024];
        snprintf(name, sizeof name, "%s%c%s", a[2], s->bare ? '_' : '.', s->suffixes[i]);
        size_t index = tola_checkpoint_find(ck, name);
        if (index == SIZE_MAX) continue;
        const tola_tensor_info *t = tola_checkpoint_tensor(ck, index);
        l.parts[i] = (scheme_part){ .dtype = (tola_dtype)t->dtype, .n_dims = t->n_dims, .bytes = t->bytes };
        for (unsigned d = 0; d < t->n_dims && d < 4; d++) l.parts[i].shape[d] = t->shape[d];
        void *bytes = get((size_t)t->bytes);
        check(tola_checkpoint_read(ck, index, 0, bytes, (size_t)t->bytes, &err), &err);
        data[i] = bytes;
        if (s->small_parts >> i & 1) l.small[i] = bytes;
    }
    check(s->open(&l, &err), &err);
    float *out = get((size_t)(l.rows * l.cols) * 4);
    /* in two pieces, so that a first row that is not 0 is covered */
    uint64_t half = l.rows / 3;
    check(s->decode(&l, data, half, l.rows - half, out + half * l.cols, &err), &err);
    check(s->decode(&l, data, 0, half, out, &err), &err);
    spill(a[4], out, (size_t)(l.rows * l.cols) * 4);
    printf("%llu %llu %llu %s\n", (unsigned long long)l.rows, (unsigned long long)l.cols,
           (unsigned long long)l.matrices, tola_dtype_name(l.params.logical));
    tola_checkpoint_close(ck);
}

/* ---- encode ---- */

typedef struct target {
    uint8_t *data[SCHEME_MAX_PARTS];
    uint64_t written[SCHEME_MAX_PARTS], size[SCHEME_MAX_PARTS];
} target;

static tola_status take(void *user, unsigned part, uint64_t offset, const void *data, size_t bytes, tola_error *err) {
    target *t = user;
    (void)err;
    if (offset > t->size[part] || bytes > t->size[part] - offset) fail("a part is written beyond its end");
    if (bytes) memcpy(t->data[part] + offset, data, bytes);
    t->written[part] += bytes;
    return TOLA_OK;
}

static void parse_options(int argc, char **argv, scheme_params *p, uint64_t *step) {
    static const char *const grains[] = { "any", "tensor", "channel", "group", "block" };
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) fail(argv[i]);
        *value++ = '\0';
        const char *key = argv[i];
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (strcmp(key, "group") == 0)
            p->group = number;
        else if (strcmp(key, "bits") == 0)
            p->bits = (uint8_t)number;
        else if (strcmp(key, "symmetric") == 0)
            p->symmetric = number != 0;
        else if (strcmp(key, "double") == 0)
            p->double_quant = number != 0;
        else if (strcmp(key, "block") == 0)
            p->block_rows = p->block_cols = number;
        else if (strcmp(key, "scale") == 0)
            p->scale = tola_dtype_parse(value);
        else if (strcmp(key, "logical") == 0)
            p->logical = tola_dtype_parse(value);
        else if (strcmp(key, "step") == 0)
            *step = number;
        else if (strcmp(key, "grain") == 0) {
            for (unsigned g = 0; g < 5; g++)
                if (strcmp(value, grains[g]) == 0) p->grain = (uint8_t)g;
        } else
            fail(key);
    }
}

static void run(const scheme *s, const scheme_layout *l, const float *x, const float *importance, uint64_t step,
                target *t) {
    tola_error err = TOLA_ERROR_INIT;
    void *state = get(s->state_bytes(l));
    step = step ? (step + l->row_unit - 1) / l->row_unit * l->row_unit : l->rows + 1;
    for (uint64_t r = 0; l->two_passes && r < l->rows; r += step) {
        uint64_t n = l->rows - r < step ? l->rows - r : step;
        check(s->measure(l, state, x + r * l->cols, r, n, &err), &err);
    }
    for (uint64_t r = 0; r < l->rows; r += step) { /* the last rows first */
        uint64_t units = (l->rows - 1) / step, at = (units - r / step) * step;
        uint64_t n = l->rows - at < step ? l->rows - at : step;
        check(s->encode(l, state, x + at * l->cols, at, n, importance, take, t, &err), &err);
    }
    if (s->finish) check(s->finish(l, state, take, t, &err), &err);
}

static void make_target(const scheme_layout *l, target *t) {
    for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) {
        if (l->parts[i].dtype == TOLA_DTYPE_NONE) continue;
        t->size[i] = l->parts[i].bytes;
        t->data[i] = get((size_t)t->size[i]);
        memset(t->data[i], 0xaa, (size_t)t->size[i]);
    }
}

static bool print(void *user, const char *text, size_t length) { return fwrite(text, 1, length, user) == length; }

static void describe(const scheme *s, const scheme_layout *l) {
    static const char *const ignore[] = { "lm_head" };
    tola_json json;
    tola_json_init(&json, print, stdout, 1);
    tola_json_begin_object(&json);
    tola_json_key(&json, "scheme");
    tola_json_string(&json, s->name);
    tola_json_key(&json, "parts");
    tola_json_begin_object(&json);
    for (unsigned i = 0; s->suffixes[i]; i++) {
        if (l->parts[i].dtype == TOLA_DTYPE_NONE) continue;
        tola_json_key(&json, s->suffixes[i]);
        tola_json_begin_object(&json);
        tola_json_key(&json, "dtype");
        tola_json_string(&json, tola_dtype_name(l->parts[i].dtype));
        tola_json_key(&json, "shape");
        tola_json_begin_array(&json);
        for (unsigned d = 0; d < l->parts[i].n_dims; d++) tola_json_u64(&json, l->parts[i].shape[d]);
        tola_json_end_array(&json);
        tola_json_end_object(&json);
    }
    tola_json_end_object(&json);
    tola_json_key(&json, "config");
    s->write_config(&l->params, ignore, 1, &json);
    tola_json_end_object(&json);
    if (!tola_json_finish(&json)) fail("writing failed");
}

static scheme_layout planned(int argc, char **argv, const scheme **s, uint64_t *step) {
    tola_error err = TOLA_ERROR_INIT;
    scheme_layout l = { .rows = strtoull(argv[1], NULL, 10), .cols = strtoull(argv[2], NULL, 10) };
    *s = scheme_for_type(argv[0], &l.params);
    if (!*s) fail("no such type");
    parse_options(argc - 3, argv + 3, &l.params, step);
    check((*s)->plan(&l, &err), &err);
    return l;
}

static void encode(int argc, char **argv) {
    const scheme *s;
    uint64_t step = 0;
    char *options[32] = { argv[0], argv[1], argv[2] };
    for (int i = 6; i < argc && i < 32; i++) options[i - 3] = argv[i];
    scheme_layout l = planned(argc - 3, options, &s, &step);
    size_t bytes, n = (size_t)(l.rows * l.cols) * 4;
    float *x = slurp(argv[3], &bytes), *importance = NULL;
    if (bytes != n) fail("the matrix has another size");
    if (strcmp(argv[4], "-") != 0) importance = slurp(argv[4], &bytes);
    target t = { 0 };
    make_target(&l, &t);
    run(s, &l, x, importance, step, &t);
    for (unsigned i = 0; s->suffixes[i]; i++) {
        char path[1200];
        if (!t.data[i]) continue;
        if (t.written[i] != t.size[i]) fail("a part was not written whole");
        snprintf(path, sizeof path, "%s.%s", argv[5], s->suffixes[i]);
        spill(path, t.data[i], (size_t)t.size[i]);
    }
    describe(s, &l);
}

/* ---- bench ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of a normal distribution, roughly: sums of twelve even ones. */
static float bell(uint64_t *seed) {
    float sum = 0;
    for (int k = 0; k < 12; k++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(*seed >> 40) / 16777216.0f;
    }
    return (sum - 6) * 0.02f;
}

static void bench(int argc, char **argv) {
    const scheme *s;
    uint64_t step = 0, seed = 1;
    scheme_layout l = planned(argc, argv, &s, &step);
    tola_error err = TOLA_ERROR_INIT;
    size_t n = (size_t)(l.rows * l.cols);
    float *x = get(n * 4), *y = get(n * 4);
    target t = { 0 };
    for (size_t i = 0; i < n; i++) x[i] = bell(&seed);
    make_target(&l, &t);
    double wrote = 1e9, read = 1e9, error = 0, power = 0;
    const void *data[SCHEME_MAX_PARTS];
    for (int turn = 0; turn < 5; turn++) {
        double start = now();
        run(s, &l, x, NULL, step, &t);
        if (now() - start < wrote) wrote = now() - start;
        for (unsigned i = 0; i < SCHEME_MAX_PARTS; i++) data[i] = t.data[i];
        start = now();
        check(s->decode(&l, data, 0, l.rows, y, &err), &err);
        if (now() - start < read) read = now() - start;
    }
    for (size_t i = 0; i < n; i++) {
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        power += (double)x[i] * (double)x[i];
    }
    printf("encode %.0f decode %.0f relative mean square error %.6g\n", (double)n / wrote / 1e6, (double)n / read / 1e6,
           error / power);
}

static void recognize(const char *path) {
    tola_error err = TOLA_ERROR_INIT;
    tola_value root;
    const tola_value *config = read_config(path, &root);
    for (const scheme *const *s = scheme_table; *s; s++) {
        scheme_params p = { 0 };
        tola_status status = (*s)->recognize(config, &p, &err);
        if (status == TOLA_E_NOT_FOUND) continue;
        if (status != TOLA_OK) check(status, &err);
        printf("%s %u %u %u %u\n", (*s)->name, p.code, p.bits, p.grain, p.group);
    }
}

int main(int argc, char **argv) {
    arena_init(&memory, 0);
    if (argc == 7 && strcmp(argv[1], "decode") == 0)
        decode(argv + 2);
    else if (argc >= 8 && strcmp(argv[1], "encode") == 0)
        encode(argc - 2, argv + 2);
    else if (argc >= 5 && strcmp(argv[1], "bench") == 0)
        bench(argc - 2, argv + 2);
    else if (argc == 3 && strcmp(argv[1], "recognize") == 0)
        recognize(argv[2]);
    else
        fail("see the head of tests/oracle/scheme.c");
    arena_free(&memory);
    return 0;
}
