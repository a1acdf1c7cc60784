/* Growing lists of a plan under construction; see build.h. */
#include "families/build.h"

#include "base/err.h"
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tola_status build_begin(builder *b, const tola_checkpoint *ck, const hf_gguf_options *options, tola_error *err) {
    static const hf_gguf_options keep = { TOLA_DTYPE_NONE };
    memset(b, 0, sizeof *b);
    b->plan = mem_calloc(1, sizeof *b->plan);
    if (b->plan == NULL) return err_nomem(err, "planning the conversion");
    arena_init(&b->plan->arena, BUILD_MAX_ARENA);
    b->ck = ck;
    b->options = options != NULL ? options : &keep;
    return TOLA_OK;
}

static void *settle(builder *b, const void *items, size_t count, size_t size) {
    if (count == 0) return NULL;
    void *copy = build_alloc(b, count, size);
    if (copy != NULL) memcpy(copy, items, count * size);
    return copy;
}

tola_status build_end(builder *b, tola_status status, hf_gguf_plan **out, tola_error *err) {
    hf_gguf_plan *plan = b->plan;
    if (status == TOLA_OK && plan != NULL) {
        plan->items = settle(b, b->items, b->item_count, sizeof *b->items);
        plan->count = b->item_count;
        plan->metadata.kind = TOLA_VALUE_MAP;
        plan->metadata.as.map.members = settle(b, b->members, b->member_count, sizeof *b->members);
        plan->metadata.as.map.count = b->member_count;
        plan->companions = settle(b, b->companions, b->companion_count, sizeof *b->companions);
        plan->companion_count = b->companion_count;
        plan->warnings = settle(b, b->warnings, b->warning_count, sizeof *b->warnings);
        plan->warning_count = b->warning_count;
        if (b->failed) status = err_nomem(err, "planning the conversion");
        if (b->status != TOLA_OK) {
            status = b->status;
            if (err != NULL) *err = b->error;
        }
    }
    mem_free(b->items);
    mem_free(b->members);
    mem_free(b->companions);
    mem_free(b->warnings);
    if (status == TOLA_OK)
        *out = plan;
    else
        hf_gguf_plan_free(plan);
    return status;
}

void hf_gguf_plan_free(hf_gguf_plan *plan) {
    if (plan == NULL) return;
    arena_free(&plan->arena);
    mem_free(plan);
}

void *build_alloc(builder *b, size_t count, size_t size) {
    void *block = arena_alloc_array(&b->plan->arena, count, size);
    if (block == NULL) b->failed = true;
    return block;
}

static char *keep_text(builder *b, const char *text, size_t length) {
    char *copy = arena_strndup(&b->plan->arena, text, length);
    if (copy == NULL) b->failed = true;
    return copy;
}

char *build_text(builder *b, const char *text) { return keep_text(b, text, strlen(text)); }

char *build_printf(builder *b, const char *format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return keep_text(b, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

hf_gguf_item *build_item(builder *b) {
    if (!mem_grow(&b->items, &b->item_cap, b->item_count + 1, sizeof *b->items)) {
        b->failed = true;
        return NULL;
    }
    hf_gguf_item *item = &b->items[b->item_count++];
    memset(item, 0, sizeof *item);
    return item;
}

void build_warn(builder *b, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    const char *copy = build_text(b, line);
    if (copy == NULL || !mem_grow(&b->warnings, &b->warning_cap, b->warning_count + 1, sizeof *b->warnings)) {
        b->failed = true;
        return;
    }
    b->warnings[b->warning_count++] = copy;
}

void build_companion(builder *b, const char *name, const void *data, size_t bytes) {
    char *copy = keep_text(b, data, bytes);
    const char *name_copy = build_text(b, name);
    if (copy == NULL || name_copy == NULL ||
        !mem_grow(&b->companions, &b->companion_cap, b->companion_count + 1, sizeof *b->companions)) {
        b->failed = true;
        return;
    }
    b->companions[b->companion_count++] = (hf_gguf_companion){ name_copy, copy, bytes };
}

/* ---- key-values ---- */

void build_value(builder *b, const char *key, tola_value value) {
    char *name = key[0] == '.' ? build_printf(b, "%s%s", b->arch, key) : build_text(b, key);
    if (name == NULL || !mem_grow(&b->members, &b->member_cap, b->member_count + 1, sizeof *b->members)) {
        b->failed = true;
        return;
    }
    b->members[b->member_count++] = (tola_member){ { name, strlen(name) }, value };
}

void build_u32(builder *b, const char *key, uint64_t value) {
    tola_value v = { .kind = TOLA_VALUE_UINT, .dtype = TOLA_DTYPE_U32 };
    v.as.u64 = value;
    if (value > UINT32_MAX) v.dtype = TOLA_DTYPE_U64;
    build_value(b, key, v);
}

void build_f32(builder *b, const char *key, double value) {
    tola_value v = { .kind = TOLA_VALUE_FLOAT, .dtype = TOLA_DTYPE_F32 };
    v.as.f64 = value;
    build_value(b, key, v);
}

void build_bool(builder *b, const char *key, bool value) {
    tola_value v = { .kind = TOLA_VALUE_BOOL, .dtype = TOLA_DTYPE_BOOL };
    v.as.boolean = value;
    build_value(b, key, v);
}

void build_string_n(builder *b, const char *key, const char *text, size_t length) {
    char *copy = keep_text(b, text, length);
    if (copy == NULL) return;
    tola_value v = { .kind = TOLA_VALUE_STRING };
    v.as.string = (tola_string){ copy, length };
    build_value(b, key, v);
}

void build_string(builder *b, const char *key, const char *text) { build_string_n(b, key, text, strlen(text)); }

static void add_array(builder *b, const char *key, uint8_t element, uint16_t dtype, const void *items, size_t count) {
    tola_value v = { .kind = TOLA_VALUE_ARRAY, .element = element, .dtype = dtype };
    v.as.array.items = items;
    v.as.array.count = count;
    build_value(b, key, v);
}

void build_strings(builder *b, const char *key, const tola_string *items, size_t count) {
    add_array(b, key, TOLA_VALUE_STRING, TOLA_DTYPE_NONE, items, count);
}

void build_numbers(builder *b, const char *key, tola_dtype dtype, const void *items, size_t count) {
    uint8_t element = dtype == TOLA_DTYPE_F32   ? TOLA_VALUE_FLOAT
                      : dtype == TOLA_DTYPE_I32 ? TOLA_VALUE_INT
                                                : TOLA_VALUE_UINT;
    add_array(b, key, element, (uint16_t)dtype, items, count);
}

bool build_has(const builder *b, const char *key) {
    for (size_t i = 0; i < b->member_count; i++)
        if (strcmp(b->members[i].key.data, key) == 0) return true;
    return false;
}

const tola_value *build_under(const builder *b, const char *key) {
    char name[192];
    int n = snprintf(name, sizeof name, "%s.%s", b->arch, key);
    if (n <= 0 || (size_t)n >= sizeof name) return NULL;
    return tola_value_get(tola_checkpoint_metadata(b->ck), name);
}

/* ---- JSON ---- */

void build_json_begin(build_json *j, int indent) {
    buf_init(&j->text, 0);
    tola_json_init(&j->json, json_to_buf, &j->text, indent);
}

tola_status build_json_end(build_json *j, const char *what, tola_error *err) {
    bool ok = tola_json_finish(&j->json);
    if (j->text.failed && !j->text.full) return err_nomem(err, what);
    if (!ok || j->text.failed)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%s would be nested too deeply or larger than 1 GiB", what);
    return TOLA_OK;
}

void build_json_free(build_json *j) { buf_free(&j->text); }

/* A companion of the source, freed with tola_free; NULL where it is not there. */
static tola_status read_companion(const builder *b, const char *name, void **data, size_t *bytes, tola_error *err) {
    tola_error detail = TOLA_ERROR_INIT;
    *data = NULL;
    *bytes = 0;
    tola_status status = tola_checkpoint_companion(b->ck, name, data, bytes, &detail);
    if (status == TOLA_OK || status == TOLA_E_NOT_FOUND) return TOLA_OK;
    if (err != NULL) *err = detail;
    return status;
}

tola_status build_read_text(builder *b, const char *name, const char **out, size_t *length, tola_error *err) {
    void *data;
    *out = NULL;
    TRY(read_companion(b, name, &data, length, err));
    if (data == NULL) return TOLA_OK;
    *out = keep_text(b, data, *length);
    tola_free(data);
    return *out != NULL ? TOLA_OK : err_nomem(err, name);
}

tola_status build_read_json(builder *b, const char *name, tola_value *out, tola_error *err) {
    void *data;
    size_t length;
    memset(out, 0, sizeof *out);
    TRY(read_companion(b, name, &data, &length, err));
    if (data == NULL) return TOLA_OK;
    tola_status status = json_parse(data, length, &b->plan->arena, out, err);
    tola_free(data);
    return status == TOLA_OK ? TOLA_OK : err_in_file(err, status, name);
}

tola_value build_parse(builder *b, const char *text, size_t length) {
    tola_value v = { 0 };
    tola_status status = json_parse(text, length, &b->plan->arena, &v, NULL);
    if (status == TOLA_E_NOMEM) b->failed = true;
    if (status != TOLA_OK) memset(&v, 0, sizeof v);
    return v;
}

float *build_read_f32(builder *b, size_t tensor) {
    const tola_tensor_info *t = tola_checkpoint_tensor(b->ck, tensor);
    if (t->dtype != TOLA_DTYPE_F32 || t->bytes > 1u << 20 || b->status != TOLA_OK) return NULL;
    float *values = build_alloc(b, (size_t)t->elements + 1, sizeof *values);
    if (values == NULL) return NULL;
    b->status = tola_checkpoint_read(b->ck, tensor, 0, values, (size_t)t->bytes, &b->error);
    return b->status == TOLA_OK ? values : NULL;
}

double build_shortest(float value) {
    char text[48];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) return strtod(text, NULL);
    }
    return (double)value;
}
