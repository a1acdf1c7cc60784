/* From nodes of YAML to values, and errors that say where. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/yaml_tree.h"

/* ---- where and what ---- */

const char *yaml_path(const yaml_node *node, char *text, size_t cap) {
    const yaml_node *chain[YAML_MAX_DEPTH + 1];
    size_t depth = 0, used = 0;
    for (; node && node->parent && depth < sizeof chain / sizeof *chain; node = node->parent) chain[depth++] = node;
    text[0] = 0;
    while (depth-- > 0 && used + 8 < cap) {
        const yaml_node *n = chain[depth];
        char part[128], quoted[96];
        if (n->key)
            snprintf(part, sizeof part, "%s%s", used ? "." : "",
                     text_quote(quoted, sizeof quoted, n->key, strlen(n->key)));
        else
            snprintf(part, sizeof part, "[%u]", n->index);
        int length = snprintf(text + used, cap - used, "%s", part);
        used += length > 0 ? (size_t)length : 0;
    }
    return text;
}

static tola_status error_v(const yaml_node *node, uint32_t line, uint32_t column, tola_error *err, const char *format,
                           va_list args) __attribute__((format(printf, 5, 0)));

static tola_status error_v(const yaml_node *node, uint32_t line, uint32_t column, tola_error *err, const char *format,
                           va_list args) {
    char text[500], path[300];
    vsnprintf(text, sizeof text, format, args);
    yaml_path(node, path, sizeof path);
    err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "line %u, column %u: %s%s%s", line, column, path, path[0] ? ": " : "",
            text);
    err_in_file(err, TOLA_E_FORMAT, node->file->name);
    return TOLA_E_FORMAT;
}

tola_status yaml_error(const yaml_node *node, tola_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tola_status status = error_v(node, node->line, node->column, err, format, args);
    va_end(args);
    return status;
}

tola_status yaml_error_at_key(const yaml_node *node, tola_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tola_status status = error_v(node->parent ? node->parent : node, node->key ? node->key_line : node->line,
                                 node->key ? node->key_column : node->column, err, format, args);
    va_end(args);
    return status;
}

const char *yaml_describe(const yaml_node *node, char *text, size_t cap) {
    char quoted[80];
    text_quote(quoted, sizeof quoted, node->text, strlen(node->text));
    switch ((yaml_kind)node->kind) {
    case YAML_NULL: snprintf(text, cap, "nothing"); break;
    case YAML_BOOL: snprintf(text, cap, "%s", quoted); break;
    case YAML_INT:
    case YAML_FLOAT: snprintf(text, cap, "the number %s", quoted); break;
    case YAML_STRING: snprintf(text, cap, "the text '%s'", quoted); break;
    case YAML_LIST: snprintf(text, cap, "a list"); break;
    case YAML_MAP: snprintf(text, cap, "a map"); break;
    }
    return text;
}

static tola_status wanted(const yaml_node *node, const char *what, tola_error *err) {
    char found[120];
    return yaml_error(node, err, "%s is wanted, not %s", what, yaml_describe(node, found, sizeof found));
}

/* ---- values ---- */

tola_status yaml_expect(const yaml_node *node, yaml_kind kind, tola_error *err) {
    static const char *const names[] = { "nothing",   "true or false", "a whole number", "a number",
                                         "text",      "a list",        "a map" };
    return node->kind == kind ? TOLA_OK : wanted(node, names[kind], err);
}

tola_status yaml_string(const yaml_node *node, const char **out, tola_error *err) {
    if (node->kind == YAML_BOOL || node->kind == YAML_INT || node->kind == YAML_FLOAT) {
        char found[120];
        yaml_describe(node, found, sizeof found);
        return yaml_error(node, err, "text is wanted, not %s; in quotes it is text", found);
    }
    TRY(yaml_expect(node, YAML_STRING, err));
    *out = node->text;
    return TOLA_OK;
}

tola_status yaml_bool(const yaml_node *node, bool *out, tola_error *err) {
    TRY(yaml_expect(node, YAML_BOOL, err));
    *out = node->boolean;
    return TOLA_OK;
}

/* Sign and size of a whole number, however it is written. */
static tola_status whole(const yaml_node *node, bool *negative, uint64_t *magnitude, tola_error *err) {
    if (node->kind == YAML_INT) {
        *negative = node->negative;
        *magnitude = node->magnitude;
        return TOLA_OK;
    }
    bool good = node->kind == YAML_FLOAT && fabs(node->number) <= 9007199254740992.0 &&
                node->number == rint(node->number);
    if (!good) return wanted(node, "a whole number", err);
    *negative = node->number < 0;
    *magnitude = (uint64_t)fabs(node->number);
    return TOLA_OK;
}

tola_status yaml_u64(const yaml_node *node, uint64_t low, uint64_t high, uint64_t *out, tola_error *err) {
    bool negative;
    uint64_t magnitude;
    TRY(whole(node, &negative, &magnitude, err));
    if (negative || magnitude < low || magnitude > high)
        return yaml_error(node, err, "%s is not in %llu .. %llu", node->text, (unsigned long long)low,
                          (unsigned long long)high);
    *out = magnitude;
    return TOLA_OK;
}

tola_status yaml_i64(const yaml_node *node, int64_t low, int64_t high, int64_t *out, tola_error *err) {
    bool negative;
    uint64_t magnitude, most = (uint64_t)INT64_MAX;
    TRY(whole(node, &negative, &magnitude, err));
    bool fits = magnitude <= most + negative;
    int64_t value = !fits ? 0 : negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (!fits || value < low || value > high)
        return yaml_error(node, err, "%s is not in %lld .. %lld", node->text, (long long)low, (long long)high);
    *out = value;
    return TOLA_OK;
}

tola_status yaml_f64(const yaml_node *node, double low, double high, double *out, tola_error *err) {
    if (node->kind != YAML_INT && node->kind != YAML_FLOAT) return wanted(node, "a number", err);
    if (!isfinite(node->number)) return yaml_error(node, err, "%s is no finite number", node->text);
    if (node->number < low || node->number > high)
        return yaml_error(node, err, "%s is not in %g .. %g", node->text, low, high);
    *out = node->number;
    return TOLA_OK;
}

tola_status yaml_choice(const yaml_node *node, const char *const *words, uint32_t *out, tola_error *err) {
    const char *text;
    if (node->kind == YAML_LIST || node->kind == YAML_MAP) return wanted(node, "a word", err);
    text = node->text; /* "none" is text, but a word such as "null" or "8" may be a choice, too */
    tola_nearest nearest;
    tola_nearest_init(&nearest, text);
    char list[300] = "", quoted[80];
    size_t used = 0;
    for (uint32_t i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return TOLA_OK;
        }
        tola_nearest_try(&nearest, words[i]);
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
        if (n > 0 && (size_t)n < sizeof list - used) used += (size_t)n;
    }
    text_quote(quoted, sizeof quoted, text, strlen(text));
    if (nearest.best)
        return yaml_error(node, err, "'%s' is not one of %s; did you mean '%s'?", quoted, list, nearest.best);
    return yaml_error(node, err, "'%s' is not one of %s", quoted, list);
}

/* ---- maps ---- */

static const yaml_node *find_key(const yaml_node *map, const char *key) {
    if (!map || map->kind != YAML_MAP) return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->items[i]->key, key) == 0) return map->items[i];
    return NULL;
}

const yaml_node *yaml_get(const yaml_node *map, const char *key) {
    const yaml_node *n = find_key(map, key);
    return n && n->kind != YAML_NULL ? n : NULL;
}

tola_status yaml_need(const yaml_node *map, const char *key, const yaml_node **out, tola_error *err) {
    TRY(yaml_expect(map, YAML_MAP, err));
    const yaml_node *n = find_key(map, key);
    if (!n) return yaml_error(map, err, "the key '%s' is missing", key);
    if (n->kind == YAML_NULL) return yaml_error(n, err, "there is no value");
    *out = n;
    return TOLA_OK;
}

static tola_status unknown_key(const yaml_node *member, const tola_nearest *nearest, tola_error *err) {
    char quoted[80];
    text_quote(quoted, sizeof quoted, member->key, strlen(member->key));
    if (nearest->best)
        return yaml_error_at_key(member, err, "unknown key '%s'; did you mean '%s'?", quoted, nearest->best);
    return yaml_error_at_key(member, err, "unknown key '%s'", quoted);
}

tola_status yaml_keys(const yaml_node *map, const char *const *known, tola_error *err) {
    TRY(yaml_expect(map, YAML_MAP, err));
    for (size_t i = 0; i < map->count; i++) {
        tola_nearest nearest;
        tola_nearest_init(&nearest, map->items[i]->key);
        const char *const *k = known;
        while (*k && strcmp(*k, map->items[i]->key) != 0) tola_nearest_try(&nearest, *k++);
        if (!*k) return unknown_key(map->items[i], &nearest, err);
    }
    return TOLA_OK;
}

static tola_status read_whole(const yaml_node *n, const yaml_field *f, uint64_t most, uint64_t *out, tola_error *err) {
    bool bounded = f->low != 0 || f->high != 0;
    uint64_t low = bounded ? (uint64_t)f->low : 0, high = bounded && f->high < (double)most ? (uint64_t)f->high : most;
    return yaml_u64(n, low, high, out, err);
}

static tola_status read_number(const yaml_node *n, const yaml_field *f, double most, double *out, tola_error *err) {
    bool bounded = f->low != 0 || f->high != 0;
    return yaml_f64(n, bounded ? f->low : -most, bounded ? f->high : most, out, err);
}

static tola_status read_field(const yaml_node *n, const yaml_field *f, char *at, tola_error *err) {
    uint64_t u;
    uint32_t small;
    double d;
    float single;
    bool b;
    const char *text;
    switch (f->type) {
    case YAML_TO_STRING:
        TRY(yaml_string(n, &text, err));
        memcpy(at, &text, sizeof text);
        return TOLA_OK;
    case YAML_TO_BOOL:
        TRY(yaml_bool(n, &b, err));
        memcpy(at, &b, sizeof b);
        return TOLA_OK;
    case YAML_TO_U32:
        TRY(read_whole(n, f, UINT32_MAX, &u, err));
        small = (uint32_t)u;
        memcpy(at, &small, sizeof small);
        return TOLA_OK;
    case YAML_TO_U64:
        TRY(read_whole(n, f, UINT64_MAX, &u, err));
        memcpy(at, &u, sizeof u);
        return TOLA_OK;
    case YAML_TO_F32:
        TRY(read_number(n, f, 3.4028234663852886e38, &d, err));
        single = (float)d;
        memcpy(at, &single, sizeof single);
        return TOLA_OK;
    case YAML_TO_F64:
        TRY(read_number(n, f, 1.7976931348623157e308, &d, err));
        memcpy(at, &d, sizeof d);
        return TOLA_OK;
    case YAML_TO_CHOICE:
        TRY(yaml_choice(n, f->choices, &small, err));
        memcpy(at, &small, sizeof small);
        return TOLA_OK;
    case YAML_TO_LIST: TRY(yaml_expect(n, YAML_LIST, err)); break;
    case YAML_TO_MAP: TRY(yaml_expect(n, YAML_MAP, err)); break;
    case YAML_TO_NODE: break;
    }
    memcpy(at, &n, sizeof n);
    return TOLA_OK;
}

tola_status yaml_read(const yaml_node *map, const yaml_field *fields, size_t count, void *out, tola_error *err) {
    TRY(yaml_expect(map, YAML_MAP, err));
    for (size_t i = 0; i < map->count; i++) {
        const yaml_node *n = map->items[i];
        tola_nearest nearest;
        tola_nearest_init(&nearest, n->key);
        size_t k = 0;
        while (k < count && strcmp(fields[k].key, n->key) != 0) tola_nearest_try(&nearest, fields[k++].key);
        if (k == count) return unknown_key(n, &nearest, err);
        /* a word that is a choice may look like null */
        if (n->kind != YAML_NULL || (fields[k].type == YAML_TO_CHOICE && n->text[0]))
            TRY(read_field(n, &fields[k], (char *)out + fields[k].offset, err));
    }
    const yaml_node *unused;
    for (size_t k = 0; k < count; k++)
        if (fields[k].required) TRY(yaml_need(map, fields[k].key, &unused, err));
    return TOLA_OK;
}

/* ---- comparing ---- */

static bool same_scalar(const yaml_node *a, const yaml_node *b) {
    bool numbers = (a->kind == YAML_INT || a->kind == YAML_FLOAT) && (b->kind == YAML_INT || b->kind == YAML_FLOAT);
    if (numbers && a->kind == YAML_INT && b->kind == YAML_INT)
        return a->negative == b->negative && a->magnitude == b->magnitude;
    if (numbers) return a->number == b->number || (isnan(a->number) && isnan(b->number));
    if (a->kind != b->kind) return false;
    if (a->kind == YAML_BOOL) return a->boolean == b->boolean;
    return a->kind == YAML_NULL || strcmp(a->text, b->text) == 0;
}

/* The tree is at most YAML_MAX_DEPTH deep, an alias's at most as often. */
bool yaml_differ(const yaml_node *a, const yaml_node *b, const yaml_node **at_a, const yaml_node **at_b) {
    *at_a = a;
    *at_b = b;
    bool nested = a->kind == YAML_LIST || a->kind == YAML_MAP;
    if (!nested) return !same_scalar(a, b);
    if (a->kind != b->kind) return true;
    for (size_t i = 0; i < a->count; i++) {
        const yaml_node *x = a->items[i];
        const yaml_node *y = a->kind == YAML_MAP ? find_key(b, x->key) : i < b->count ? b->items[i] : NULL;
        *at_a = x;
        *at_b = y;
        if (!y || yaml_differ(x, y, at_a, at_b)) return true;
    }
    for (size_t i = 0; i < b->count; i++) {
        const yaml_node *y = b->items[i];
        *at_a = NULL;
        *at_b = y;
        if (a->kind == YAML_MAP ? !find_key(a, y->key) : i >= a->count) return true;
    }
    return false;
}
