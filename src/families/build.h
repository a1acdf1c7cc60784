/* What the two directions of the conversion share: growing lists of items, key-values, companions and warnings.
 *
 * Everything permanent lives in the plan's arena; the lists grow on the heap and move there at the end. Running out of
 * memory sticks: adding goes on without effect and build_end says so once. */
#ifndef FAMILIES_BUILD_H
#define FAMILIES_BUILD_H

#include "base/json.h"
#include "families/hf_gguf.h"
#include "families/names.h"
#include <tola/json.h>

/* A plan for the largest models needs some 100 MB at most (names, pieces, a vocabulary of 262144 tokens). */
#define BUILD_MAX_ARENA (1u << 30)
#define BUILD_MAX_LAYERS 4096u
#define BUILD_MAX_EXPERTS 65536u

typedef struct builder {
    hf_gguf_plan *plan;
    const tola_checkpoint *ck;
    const hf_gguf_options *options;
    family_hyper hyper;
    const char *arch; /* GGUF's word */
    hf_gguf_item *items;
    size_t item_count, item_cap;
    tola_member *members;
    size_t member_count, member_cap;
    hf_gguf_companion *companions;
    size_t companion_count, companion_cap;
    const char **warnings;
    size_t warning_count, warning_cap;
    bool failed;          /* out of memory */
    tola_status status;   /* the first failure of a part that has no way to return it, and its message */
    tola_error error;
} builder;

tola_status build_begin(builder *b, const tola_checkpoint *ck, const hf_gguf_options *options, tola_error *err);
/* Moves the lists into the plan and gives it away, or frees it where `status` or the builder failed. */
tola_status build_end(builder *b, tola_status status, hf_gguf_plan **out, tola_error *err);

void *build_alloc(builder *b, size_t count, size_t size); /* NULL (and failed) when out of memory */
char *build_text(builder *b, const char *text);
char *build_printf(builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
hf_gguf_item *build_item(builder *b); /* cleared, valid until the next one; NULL (and failed) when out of memory */
void build_warn(builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The file is copied. */
void build_companion(builder *b, const char *name, const void *data, size_t bytes);

/* Key-values. `key` is copied; keys that start with a dot are put under the architecture ("llama" + ".block_count"). */
void build_value(builder *b, const char *key, tola_value value);
void build_u32(builder *b, const char *key, uint64_t value);
void build_f32(builder *b, const char *key, double value);
void build_bool(builder *b, const char *key, bool value);
void build_string(builder *b, const char *key, const char *text); /* copied */
void build_string_n(builder *b, const char *key, const char *text, size_t length);
/* Packed arrays; the items must live as long as the plan. */
void build_strings(builder *b, const char *key, const tola_string *items, size_t count);
void build_numbers(builder *b, const char *key, tola_dtype dtype, const void *items, size_t count);
/* Has this key been added? */
bool build_has(const builder *b, const char *key);

/* A value of the source's key-values under the architecture's name: build_under(b, "block_count"). */
const tola_value *build_under(const builder *b, const char *key);

/* ---- JSON text in memory ---- */
typedef struct build_json {
    tola_json json;
    buf text;
} build_json;
void build_json_begin(build_json *j, int indent);
/* Ends the document called `what`; the text stays in j->text until build_json_free. */
tola_status build_json_end(build_json *j, const char *what, tola_error *err);
void build_json_free(build_json *j);
/* Parses JSON text that may be anything into the plan's arena: a NULL value where it is no JSON. */
tola_value build_parse(builder *b, const char *text, size_t length);
/* A whole f32 tensor of at most 1 MiB; NULL where it is another type or larger, or cannot be read (which sticks). */
float *build_read_f32(builder *b, size_t tensor);
/* A companion of the source, parsed into the plan's arena; a NULL value where it is not there. */
tola_status build_read_json(builder *b, const char *name, tola_value *out, tola_error *err);
/* A companion as text with a NUL behind it, in the plan's arena; NULL where it is not there. */
tola_status build_read_text(builder *b, const char *name, const char **out, size_t *length, tola_error *err);

/* The double whose decimal text is the shortest that gives back the same f32: 1e-05 for (float)1e-05. */
double build_shortest(float value);

/* ---- parts of the plan, one file each ---- */
tola_status config_to_gguf(builder *b, tola_error *err);
tola_status config_to_hf(builder *b, tola_error *err);
/* What divides each of the head_dim/2 rotary frequencies in Llama 3.1 and later: 1 for short wavelengths, the factor
 * for long ones, blended between (https://github.com/meta-llama/llama-models, apply_scaling). */
void config_llama3_factors(const family_hyper *hyper, float *factors);
/* general.license and its kin, from the front matter of README.md. */
tola_status card_to_gguf(builder *b, tola_error *err);
/* `vocabulary`: rows of the embedding. */
tola_status tokenizer_to_gguf(builder *b, uint64_t vocabulary, tola_error *err);
tola_status tokenizer_to_hf(builder *b, tola_error *err);

#endif
