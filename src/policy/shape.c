/* Opening: which kind of file it is, and what lies beside it. */
#define _GNU_SOURCE 1
#include "policy/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/path.h"
#include "base/text.h"
#include "families/families.h"
#include "formats/format.h"
#include "formats/open.h"
#include "policy/shape_build.h"

#define CONFIG_MOST (64u << 20)

static const tola_value *text_part(const tola_value *config) {
    static const char *const words[] = { "text_config", "llm_config", "language_config", "language_model_config" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const tola_value *v = tola_value_get(config, words[i]);
        if (v != NULL && v->kind == TOLA_VALUE_MAP) return v;
    }
    const tola_value *thinker = tola_value_get(config, "thinker_config");
    return thinker != NULL && thinker->kind == TOLA_VALUE_MAP ? text_part(thinker) : config;
}

static bool has_words(const shape_build *b) {
    return families_find(b->text, "hidden_size n_embd d_model dim model_dim") != NULL;
}

static void read_family(shape_build *b) {
    model_shape *s = b->shape;
    const family *f = families_by_config(b->whole);
    if (f != NULL) s->family = f->name;
    const char *outer = tola_value_str(tola_value_get(b->whole, "model_type"), NULL);
    const char *inner = tola_value_str(tola_value_get(b->text, "model_type"), NULL);
    b->model_type = inner ? inner : outer ? outer : "";
    if (recipe_of(b->model_type) == NULL && outer != NULL && recipe_of(outer) != NULL) b->model_type = outer;
    if (recipe_of(b->model_type) == NULL && f != NULL) {
        /* the class says what model_type does not; the first word of the family is the common one */
        char word[64];
        const char *types = f->model_types ? f->model_types : "";
        snprintf(word, sizeof word, "%.*s", (int)strcspn(types, " "), types);
        if (recipe_of(word) != NULL) {
            b->alike = b->model_type[0] != '\0' ? f->name : NULL;
            b->model_type = arena_strndup(b->a, word, strlen(word));
        }
    }
    if (b->model_type == NULL) b->model_type = "";
    if (outer != NULL) s->model_type = arena_strndup(b->a, outer, strlen(outer));
    b->defaults = tola_value_get(b->whole, SHAPE_COMPLETE) ? "" : shape_defaults_of(b->model_type);
    if (s->family == NULL && outer == NULL) shape_note(b, "no model_type: counted from what the words say");
}

static void build_config(shape_build *b) {
    if (b->whole->kind != TOLA_VALUE_MAP) {
        shape_fail(b, TOLA_E_FORMAT, "the configuration is no JSON object");
        return;
    }
    if (tola_value_get(b->whole, "general.architecture") != NULL) {
        shape_fail(b, TOLA_E_FORMAT, "a table of GGUF's key-values is no configuration: give the GGUF file itself");
        return;
    }
    b->text = text_part(b->whole);
    read_family(b);
    quant_read(b);
    b->shape->from = SHAPE_FROM_CONFIG;
    if (shape_image(b) || shape_pair(b)) return;
    if (b->text == b->whole && !has_words(b) && families_find(b->whole, "vision_config audio_config") != NULL) {
        shape_fail(b, TOLA_E_FORMAT, "text_config is missing beside vision_config");
        return;
    }
    shape_language(b);
    if (shape_ok(b)) shape_towers(b);
}

static tola_status of_config(const char *name, const tola_value *config, const tola_value *beside, model_shape *out,
                             tola_error *err) {
    shape_build b;
    TRY(shape_begin(name, out, &b, err));
    b.whole = config;
    b.beside = beside;
    build_config(&b);
    return shape_build_finish(&b);
}

tola_status shape_of_config(const char *name, const tola_value *config, model_shape *out, tola_error *err) {
    return of_config(name, config, NULL, out, err);
}

/* hf_quant_config.json beside "config.json", "x_hf_quant_config.json" beside "x_config.json"; NULL: none. */
static const tola_value *quant_beside(const char *path, arena *a) {
    static const char ending[] = "config.json";
    const size_t length = strlen(path), n = sizeof ending - 1;
    if (length < n || !text_ends_with(path, ending)) return NULL;
    char *other = mem_alloc(length + 16), *text = NULL;
    size_t bytes;
    const tola_value *found = NULL;
    if (other == NULL) return NULL;
    snprintf(other, length + 16, "%.*shf_quant_config.json", (int)(length - n), path);
    tola_value *v = arena_alloc(a, sizeof *v);
    if (v != NULL && ck_read_whole(other, CONFIG_MOST, &text, &bytes, NULL) == TOLA_OK &&
        json_parse(text, bytes, a, v, NULL) == TOLA_OK)
        found = v;
    mem_free(text);
    mem_free(other);
    return found;
}

static tola_status open_config(const char *path, model_shape *out, tola_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    arena a;
    tola_value tree;
    TRY(ck_read_whole(path, CONFIG_MOST, &text, &bytes, err));
    arena_init(&a, CONFIG_MOST * 4ull);
    tola_status status = json_parse(text, bytes, &a, &tree, err);
    if (status != TOLA_OK)
        err_in_file(err, status, path);
    else
        status = of_config(path, &tree, quant_beside(path, &a), out, err);
    arena_free(&a);
    mem_free(text);
    return status;
}

/* A folder that has a configuration, but no weights. */
static bool bare_folder(const char *path, char **config) {
    struct stat st;
    if (opener_find(path) != NULL || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return false;
    *config = path_join(path, "config.json");
    return *config != NULL && stat(*config, &st) == 0;
}

/* A folder's own name says more than that of its first file. */
static tola_status name_folder(const char *path, model_shape *s, tola_error *err) {
    struct stat st;
    if (opener_find(path) != NULL || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return TOLA_OK;
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
    if (end - begin == 0 || path[begin] == '.') return TOLA_OK;
    s->name = arena_strndup(s->owner, path + begin, end - begin);
    if (s->name != NULL) return TOLA_OK;
    shape_dispose(s);
    return err_nomem(err, "a model's shape");
}

tola_status shape_open(const char *path, model_shape *out, tola_error *err) {
    const char *last = path_last(path);
    if (text_ends_with(last, ".json") && !text_ends_with(last, ".index.json")) return open_config(path, out, err);
    tola_open_options options = TOLA_OPEN_OPTIONS_INIT;
    options.tolerant = true;
    tola_checkpoint *ck = NULL;
    tola_error detail = TOLA_ERROR_INIT;
    tola_status status = tola_checkpoint_open(path, &options, &ck, &detail);
    char *config = NULL;
    if (status != TOLA_OK && bare_folder(path, &config))
        status = open_config(config, out, err);
    else if (status != TOLA_OK) {
        if (err) *err = detail;
    } else
        status = shape_of_checkpoint(ck, out, err);
    if (status == TOLA_OK) status = name_folder(path, out, err);
    tola_checkpoint_close(ck);
    mem_free(config);
    return status;
}
