/* Words of a configuration that nobody vouches for: each number is checked where it is read, and an error names its
 * key. What a file leaves out is what transformers' class of its model_type has (shape_defaults.c). */
#include "policy/shape_build.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void shape_fail(shape_build *b, tola_status status, const char *format, ...) {
    if (b->status != TOLA_OK) return;
    char text[320], name[160];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    text_quote(name, sizeof name, b->name, strlen(b->name));
    b->status = err_set(b->err, status, TOLA_NO_OFFSET, "%s: %s", name, text);
}

void shape_note(shape_build *b, const char *format, ...) {
    char text[320];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    for (size_t i = 0; i < b->note_count; i++)
        if (strcmp(b->notes[i], text) == 0) return;
    if (b->note_count == SHAPE_NOTES) return;
    const char *copy = arena_strndup(b->a, text, strlen(text));
    if (copy == NULL) {
        if (shape_ok(b)) b->status = err_nomem(b->err, "a note about a model");
        return;
    }
    b->notes[b->note_count++] = copy;
}

bool word_in(const char *list, const char *word) {
    if (list == NULL || word == NULL) return false;
    const size_t length = strlen(word);
    for (const char *p = list; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        if (n == length && memcmp(p, word, n) == 0) return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

bool shape_default(const char *defaults, const char *key, size_t key_length, int64_t *value) {
    for (const char *p = defaults; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        if (n > key_length + 1 && p[key_length] == '=' && memcmp(p, key, key_length) == 0) {
            int64_t v = 0;
            const bool negative = p[key_length + 1] == '-';
            for (size_t i = key_length + 1 + negative; i < n; i++) v = v * 10 + (p[i] - '0');
            *value = negative ? -v : v;
            return true;
        }
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* Of a key that is there, as null, there is no default: null says "none". */
static bool default_of(const shape_build *b, const char *keys, int64_t *value) {
    char key[64];
    for (const char *p = keys; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        snprintf(key, sizeof key, "%.*s", (int)n, p);
        if (tola_value_get(b->text, key) != NULL) return false;
        if (shape_default(b->defaults, p, n, value)) return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* The key of `keys` under which `value` was found, for messages. */
static void key_of(const tola_value *map, const char *keys, const tola_value *value, char key[64]) {
    for (const char *p = keys; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        snprintf(key, 64, "%.*s", (int)(n < 63 ? n : 63), p);
        if (families_find(map, key) == value) return;
        p += n;
        p += strspn(p, " ");
    }
}

static const char *kind_of(const tola_value *v) {
    static const char *const words[] = { "null",     "a truth value", "a number", "a number",
                                         "a number", "text",          "a list",   "a map" };
    return v->kind < sizeof words / sizeof words[0] ? words[v->kind] : "something else";
}

static uint64_t check_count(shape_build *b, const tola_value *map, const char *keys, const tola_value *v,
                            uint64_t most) {
    char key[64] = "";
    uint64_t n = 0;
    if (v->kind == TOLA_VALUE_UINT)
        n = v->as.u64;
    else if (v->kind == TOLA_VALUE_INT && v->as.i64 >= 0)
        n = (uint64_t)v->as.i64;
    else if (v->kind == TOLA_VALUE_FLOAT && v->as.f64 >= 0 && v->as.f64 <= 9e15 &&
             v->as.f64 == (double)(uint64_t)v->as.f64)
        n = (uint64_t)v->as.f64;
    else {
        key_of(map, keys, v, key);
        if (v->kind == TOLA_VALUE_INT)
            shape_fail(b, TOLA_E_FORMAT, "%s is %" PRId64 ", not a count", key, v->as.i64);
        else if (v->kind == TOLA_VALUE_FLOAT)
            shape_fail(b, TOLA_E_FORMAT, "%s is %g, not a count", key, v->as.f64);
        else
            shape_fail(b, TOLA_E_FORMAT, "%s is %s, not a count", key, kind_of(v));
        return 0;
    }
    if (n > most) {
        key_of(map, keys, v, key);
        shape_fail(b, TOLA_E_LIMIT, "%s is %" PRIu64 ", beyond %" PRIu64, key, n, most);
        return 0;
    }
    return n;
}

uint64_t word_count_in(shape_build *b, const tola_value *map, const char *keys, uint64_t most, uint64_t fallback) {
    const tola_value *v = families_find(map, keys);
    return v == NULL ? fallback : check_count(b, map, keys, v, most);
}

uint64_t word_count(shape_build *b, const char *keys, uint64_t most, uint64_t fallback) {
    const tola_value *v = families_find(b->text, keys);
    int64_t known;
    if (v != NULL) return check_count(b, b->text, keys, v, most);
    return default_of(b, keys, &known) && known >= 0 ? (uint64_t)known : fallback;
}

uint64_t word_need(shape_build *b, const char *keys, uint64_t most) {
    const uint64_t n = word_count_in(b, b->text, keys, most, 0); /* a default would be another model */
    if (n == 0 && shape_ok(b)) {
        const int first = (int)strcspn(keys, " ");
        const bool there = families_find(b->text, keys) != NULL;
        shape_fail(b, TOLA_E_FORMAT, there ? "%.*s is 0" : "%.*s is missing", first, keys);
    }
    return n;
}

double word_number(shape_build *b, const char *keys, double fallback) {
    const tola_value *v = families_find(b->text, keys);
    if (v == NULL) return fallback;
    if (v->kind == TOLA_VALUE_FLOAT || v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_INT)
        return tola_value_f64(v, fallback);
    char key[64] = "";
    key_of(b->text, keys, v, key);
    shape_fail(b, TOLA_E_FORMAT, "%s is %s, not a number", key, kind_of(v));
    return fallback;
}

static bool check_bool(shape_build *b, const tola_value *map, const char *keys, const tola_value *v) {
    if (v->kind == TOLA_VALUE_BOOL) return v->as.boolean;
    if (v->kind == TOLA_VALUE_UINT && v->as.u64 <= 1) return v->as.u64 == 1;
    char key[64] = "";
    key_of(map, keys, v, key);
    shape_fail(b, TOLA_E_FORMAT, "%s is %s, not true or false", key, kind_of(v));
    return false;
}

bool word_bool_in(shape_build *b, const tola_value *map, const char *keys, bool fallback) {
    const tola_value *v = families_find(map, keys);
    return v == NULL ? fallback : check_bool(b, map, keys, v);
}

bool word_bool(shape_build *b, const char *keys, bool fallback) {
    const tola_value *v = families_find(b->text, keys);
    int64_t known;
    if (v != NULL) return check_bool(b, b->text, keys, v);
    return default_of(b, keys, &known) ? known != 0 : fallback;
}

const char *word_text(shape_build *b, const char *keys, const char *fallback) {
    const tola_value *v = families_find(b->text, keys);
    return v != NULL && v->kind == TOLA_VALUE_STRING ? v->as.string.data : fallback;
}

bool word_is(shape_build *b, const char *keys, const char *value) { return strcmp(word_text(b, keys, ""), value) == 0; }

/* The list under `keys`, or NULL with an error where it is shorter than `layers`. */
static const tola_value *list_of(shape_build *b, const char *keys, const tola_value *v, uint64_t layers) {
    if (v->as.array.count >= layers) return v;
    char key[64] = "";
    key_of(b->text, keys, v, key);
    shape_fail(b, TOLA_E_FORMAT, "%s has %zu items for %" PRIu64 " layers", key, v->as.array.count, layers);
    return NULL;
}

uint64_t word_item(shape_build *b, const char *keys, uint64_t i, uint64_t layers, uint64_t most, uint64_t fallback) {
    const tola_value *v = families_find(b->text, keys);
    if (v == NULL || v->kind != TOLA_VALUE_ARRAY) return word_count(b, keys, most, fallback);
    if (list_of(b, keys, v, layers) == NULL) return 0;
    const tola_value item = tola_value_at(v, (size_t)i);
    if (item.kind == TOLA_VALUE_NULL) return fallback;
    if (item.kind == TOLA_VALUE_BOOL) return item.as.boolean;
    return check_count(b, b->text, keys, &item, most);
}

const char *word_item_text(shape_build *b, const char *keys, uint64_t i, uint64_t layers) {
    const tola_value *v = families_find(b->text, keys);
    if (v == NULL || v->kind != TOLA_VALUE_ARRAY || list_of(b, keys, v, layers) == NULL) return NULL;
    if (v->as.array.count > 0 && v->element == TOLA_VALUE_STRING)
        return ((const tola_string *)v->as.array.items)[i].data;
    const tola_value item = tola_value_at(v, (size_t)i);
    return item.kind == TOLA_VALUE_STRING ? item.as.string.data : NULL;
}
