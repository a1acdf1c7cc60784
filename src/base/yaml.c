/* libyaml's events (https://pyyaml.org/wiki/LibYAML) as a tree. What a node says is read in yaml_read.c.
 *
 * The tree is built with a stack of open lists and maps, so that nothing here recurses. An alias becomes a node of its
 * own that shares what is below the node with the anchor. */
#include "base/yaml.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/source.h"
#include "base/text.h"
#include "base/yaml_tree.h"

#define MOST_MEMORY ((size_t)256 << 20)

void yaml_free(yaml *y) {
    if (!y) return;
    arena_free(&y->arena);
    mem_free(y);
}

const yaml_node *yaml_root(const yaml *y) { return y->root; }
const char *yaml_name(const yaml *y) { return y->name; }

#ifndef TOLA_HAVE_YAML

tola_status yaml_parse(const char *name, const void *text, size_t length, yaml **out, tola_error *err) {
    (void)text, (void)length, (void)out;
    err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "YAML cannot be read: this was built without libyaml");
    return err_in_file(err, TOLA_E_UNSUPPORTED, name);
}

#else

#include <yaml.h>

/* ---- the library ---- */

typedef struct libyaml {
    int (*parser_initialize)(yaml_parser_t *);
    void (*parser_delete)(yaml_parser_t *);
    void (*set_input_string)(yaml_parser_t *, const unsigned char *, size_t);
    void (*set_encoding)(yaml_parser_t *, yaml_encoding_t);
    int (*parse)(yaml_parser_t *, yaml_event_t *);
    void (*event_delete)(yaml_event_t *);
} libyaml;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static libyaml lib;
static bool loaded;

/* ISO C has no conversion from void * to a function pointer; POSIX promises that the bytes mean the same. */
static bool find(void *library, const char *name, void *function_pointer) {
    void *symbol = dlsym(library, name);
    memcpy(function_pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void load(void) {
    void *library = dlopen("libyaml-0.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    loaded = find(library, "yaml_parser_initialize", &lib.parser_initialize) &&
             find(library, "yaml_parser_delete", &lib.parser_delete) &&
             find(library, "yaml_parser_set_input_string", &lib.set_input_string) &&
             find(library, "yaml_parser_set_encoding", &lib.set_encoding) &&
             find(library, "yaml_parser_parse", &lib.parse) && find(library, "yaml_event_delete", &lib.event_delete);
    if (!loaded) dlclose(library);
}

/* ---- what a plain word means (YAML 1.2.2, 10.3.2) ---- */

static bool is_one_of(const char *text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) return true;
    return false;
}
#define IS(text, ...) \
    is_one_of(text, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

/* Digits of a base to the end of the text; false where there is none or something else. *fits: 64 bits hold it. */
static bool whole_number(const char *text, unsigned base, uint64_t *value, double *number, bool *fits) {
    *value = 0;
    *number = 0;
    *fits = true;
    if (!*text) return false;
    for (; *text; text++) {
        unsigned d = (unsigned)digit_of(*text);
        if (d >= base) return false;
        *fits = *fits && !__builtin_mul_overflow(*value, base, value) && !__builtin_add_overflow(*value, d, value);
        *number = *number * base + d;
    }
    return true;
}

static yaml_kind number_kind(yaml_node *n) {
    const char *text = n->text, *digits = text + (*text == '-' || *text == '+');
    bool fits, prefixed = digits == text && text[0] == '0' && (text[1] == 'x' || text[1] == 'o');
    n->negative = *text == '-';
    if (prefixed ? whole_number(text + 2, text[1] == 'x' ? 16 : 8, &n->magnitude, &n->number, &fits)
                 : whole_number(digits, 10, &n->magnitude, &n->number, &fits)) {
        if (!prefixed) n->number = json_strtod(digits);
        if (n->negative) n->number = -n->number;
        if (n->magnitude == 0) n->negative = false;
        return fits ? YAML_INT : YAML_FLOAT;
    }
    if (IS(digits, ".inf", ".Inf", ".INF")) {
        n->number = n->negative ? -__builtin_inf() : __builtin_inf();
        return YAML_FLOAT;
    }
    if (IS(text, ".nan", ".NaN", ".NAN")) {
        n->number = __builtin_nan("");
        return YAML_FLOAT;
    }
    if (json_decimal(text, &n->number)) return YAML_FLOAT;
    n->negative = false;
    n->magnitude = 0;
    n->number = 0;
    return YAML_STRING;
}

static yaml_kind plain_kind(yaml_node *n) {
    if (IS(n->text, "", "~", "null", "Null", "NULL")) return YAML_NULL;
    bool yes = IS(n->text, "true", "True", "TRUE");
    if (yes || IS(n->text, "false", "False", "FALSE")) {
        n->boolean = yes;
        return YAML_BOOL;
    }
    return number_kind(n);
}

/* ---- building ---- */

typedef struct anchor {
    const char *name;
    yaml_node *node;
} anchor;

/* A list or map whose end has not come. */
typedef struct level {
    yaml_node *node, *first, *last;
    const char *key; /* that waits for its value; NULL: none */
    uint32_t key_line, key_column;
} level;

typedef struct builder {
    yaml *y;
    level levels[YAML_MAX_DEPTH];
    size_t depth;
    anchor anchors[YAML_MAX_ANCHORS];
    size_t anchor_count;
    uint64_t nodes; /* with what aliases stand for */
    bool has_document;
    tola_error *err;
} builder;

static tola_status fail_at(const builder *b, yaml_mark_t at, tola_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static tola_status fail_at(const builder *b, yaml_mark_t at, tola_status status, const char *format, ...) {
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(b->err, status, TOLA_NO_OFFSET, "line %zu, column %zu: %s", at.line + 1, at.column + 1, text);
    err_in_file(b->err, status, b->y->name);
    return status;
}

static tola_status no_memory(const builder *b) { return err_nomem(b->err, "reading YAML"); }

/* Text of an event in the arena. Text with a NUL inside is refused: all that reads it takes it for an end. */
static tola_status copy_text(builder *b, yaml_mark_t at, const yaml_char_t *text, size_t length, const char **out) {
    if (memchr(text, 0, length)) return fail_at(b, at, TOLA_E_FORMAT, "the text holds a NUL");
    *out = arena_strndup(&b->y->arena, (const char *)text, length);
    return *out ? TOLA_OK : no_memory(b);
}

/* A node at the place where the next value belongs. */
static tola_status add_node(builder *b, yaml_mark_t at, yaml_kind kind, uint64_t stands_for, yaml_node **out) {
    b->nodes += stands_for; /* both are small: the sum stays far from overflow */
    if (b->nodes > YAML_MAX_NODES)
        return fail_at(b, at, TOLA_E_LIMIT, "more than %u values, with those that aliases stand for", YAML_MAX_NODES);
    yaml_node *n = arena_alloc(&b->y->arena, sizeof *n);
    if (!n) return no_memory(b);
    memset(n, 0, sizeof *n);
    n->file = b->y;
    n->line = (uint32_t)at.line + 1;
    n->column = (uint32_t)at.column + 1;
    n->kind = (uint8_t)kind;
    n->total = (uint32_t)stands_for;
    n->text = "";
    if (b->depth == 0) {
        b->y->root = n;
    } else {
        level *top = &b->levels[b->depth - 1];
        n->parent = top->node;
        n->key = top->key;
        n->key_line = top->key_line;
        n->key_column = top->key_column;
        n->index = (uint32_t)top->node->count++;
        top->key = NULL;
        if (top->last) top->last->next = n;
        else top->first = n;
        top->last = n;
    }
    *out = n;
    return TOLA_OK;
}

static bool wants_key(const builder *b) {
    return b->depth > 0 && b->levels[b->depth - 1].node->kind == YAML_MAP && !b->levels[b->depth - 1].key;
}

static tola_status keep_anchor(builder *b, yaml_mark_t at, const yaml_char_t *name, yaml_node *node) {
    if (!name) return TOLA_OK;
    if (b->anchor_count == YAML_MAX_ANCHORS)
        return fail_at(b, at, TOLA_E_LIMIT, "more than %u anchors", YAML_MAX_ANCHORS);
    anchor *a = &b->anchors[b->anchor_count++];
    a->name = arena_strndup(&b->y->arena, (const char *)name, strlen((const char *)name));
    a->node = node;
    return a->name ? TOLA_OK : no_memory(b);
}

#define CORE "tag:yaml.org,2002:"

static const char *const kind_names[] = { "null", "bool", "int", "float", "str", "seq", "map" };

/* Is the tag absent, "!", or the core schema's name for this kind? */
static tola_status check_tag(const builder *b, yaml_mark_t at, const yaml_char_t *tag, yaml_kind kind) {
    const char *t = (const char *)tag;
    if (!t || strcmp(t, "!") == 0 || strcmp(t, "?") == 0) return TOLA_OK;
    char quoted[120];
    text_quote(quoted, sizeof quoted, t, strlen(t));
    bool core = strncmp(t, CORE, strlen(CORE)) == 0, known = false;
    for (size_t i = 0; core && i < sizeof kind_names / sizeof *kind_names; i++)
        known = known || strcmp(t + strlen(CORE), kind_names[i]) == 0;
    if (!known) return fail_at(b, at, TOLA_E_FORMAT, "the tag %s is none of YAML's core schema", quoted);
    if (strcmp(t + strlen(CORE), kind_names[kind]) == 0) return TOLA_OK;
    return fail_at(b, at, TOLA_E_FORMAT, "what follows the tag %s is of another kind", quoted);
}

static tola_status take_key(builder *b, const yaml_event_t *e) {
    level *top = &b->levels[b->depth - 1];
    if (e->type != YAML_SCALAR_EVENT)
        return fail_at(b, e->start_mark, TOLA_E_FORMAT, "the key of a map must be text, written where it is used");
    if (e->data.scalar.anchor) return fail_at(b, e->start_mark, TOLA_E_FORMAT, "an anchor at a key");
    TRY(check_tag(b, e->start_mark, e->data.scalar.tag, YAML_STRING));
    TRY(copy_text(b, e->start_mark, e->data.scalar.value, e->data.scalar.length, &top->key));
    top->key_line = (uint32_t)e->start_mark.line + 1;
    top->key_column = (uint32_t)e->start_mark.column + 1;
    return TOLA_OK;
}

static tola_status take_scalar(builder *b, const yaml_event_t *e) {
    yaml_node *n;
    TRY(add_node(b, e->start_mark, YAML_STRING, 1, &n));
    TRY(copy_text(b, e->start_mark, e->data.scalar.value, e->data.scalar.length, &n->text));
    const char *tag = (const char *)e->data.scalar.tag;
    bool text = tag ? strcmp(tag, "!") == 0 || strcmp(tag, CORE "str") == 0 : !e->data.scalar.plain_implicit;
    if (!text) n->kind = (uint8_t)plain_kind(n);
    if (tag && strcmp(tag, CORE "float") == 0 && n->kind == YAML_INT) n->kind = YAML_FLOAT;
    TRY(check_tag(b, e->start_mark, e->data.scalar.tag, (yaml_kind)n->kind));
    return keep_anchor(b, e->start_mark, e->data.scalar.anchor, n);
}

static tola_status take_alias(builder *b, const yaml_event_t *e) {
    const char *name = (const char *)e->data.alias.anchor;
    yaml_node *from = NULL, *n;
    for (size_t i = b->anchor_count; i-- > 0 && !from;)
        if (strcmp(b->anchors[i].name, name) == 0) from = b->anchors[i].node;
    char quoted[120];
    text_quote(quoted, sizeof quoted, name, strlen(name));
    if (!from) return fail_at(b, e->start_mark, TOLA_E_FORMAT, "no anchor '%s' comes before its alias", quoted);
    if (from->open) return fail_at(b, e->start_mark, TOLA_E_FORMAT, "'%s' would hold itself", quoted);
    if (b->depth + from->height > YAML_MAX_DEPTH)
        return fail_at(b, e->start_mark, TOLA_E_LIMIT, "nested deeper than %d levels", YAML_MAX_DEPTH);
    TRY(add_node(b, e->start_mark, (yaml_kind)from->kind, from->total, &n));
    n->height = from->height;
    n->boolean = from->boolean;
    n->negative = from->negative;
    n->magnitude = from->magnitude;
    n->number = from->number;
    n->text = from->text;
    n->items = from->items;
    n->count = from->count;
    return TOLA_OK;
}

static tola_status open_level(builder *b, const yaml_event_t *e, yaml_kind kind, const yaml_char_t *anchor_name,
                              const yaml_char_t *tag) {
    yaml_node *n;
    if (b->depth == YAML_MAX_DEPTH)
        return fail_at(b, e->start_mark, TOLA_E_LIMIT, "nested deeper than %d levels", YAML_MAX_DEPTH);
    TRY(check_tag(b, e->start_mark, tag, kind));
    TRY(add_node(b, e->start_mark, kind, 1, &n));
    n->open = true;
    b->levels[b->depth++] = (level){ .node = n };
    return keep_anchor(b, e->start_mark, anchor_name, n);
}

static int by_key(const void *a, const void *b) {
    const yaml_node *x = *(yaml_node *const *)a, *y = *(yaml_node *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->index < y->index ? -1 : 1;
}

/* The first key of the file that was there before. */
static tola_status check_keys(builder *b, yaml_node **sorted, size_t count) {
    const yaml_node *second = NULL, *first = NULL;
    qsort(sorted, count, sizeof *sorted, by_key);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) != 0 || (second && second->index < sorted[i]->index)) continue;
        first = sorted[i - 1];
        second = sorted[i];
    }
    if (!second) return TOLA_OK;
    char quoted[120];
    text_quote(quoted, sizeof quoted, second->key, strlen(second->key));
    return yaml_error_at_key(second, b->err, "the key '%s' was there already, on line %u", quoted, first->key_line);
}

static tola_status close_level(builder *b) {
    level *top = &b->levels[b->depth - 1];
    yaml_node *n = top->node;
    yaml_node **items = arena_alloc_array(&b->y->arena, n->count ? n->count : 1, sizeof *items);
    if (!items) return no_memory(b);
    size_t i = 0;
    uint32_t below = 0;
    for (yaml_node *item = top->first; item; item = item->next) {
        items[i++] = item;
        n->total += item->total;
        if (item->height > below) below = item->height;
    }
    n->height = below + 1;
    if (n->kind == YAML_MAP && n->count > 1) {
        yaml_node **sorted = mem_alloc(n->count * sizeof *sorted);
        if (!sorted) return no_memory(b);
        memcpy(sorted, items, n->count * sizeof *sorted);
        tola_status status = check_keys(b, sorted, n->count);
        mem_free(sorted);
        TRY(status);
    }
    n->items = items;
    n->open = false;
    b->depth--;
    return TOLA_OK;
}

static tola_status take_event(builder *b, const yaml_event_t *e) {
    if (wants_key(b) && e->type != YAML_MAPPING_END_EVENT) return take_key(b, e);
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->has_document) return fail_at(b, e->start_mark, TOLA_E_FORMAT, "a second document begins");
        b->has_document = true;
        return TOLA_OK;
    case YAML_SCALAR_EVENT: return take_scalar(b, e);
    case YAML_ALIAS_EVENT: return take_alias(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(b, e, YAML_LIST, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_level(b, e, YAML_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_level(b);
    default: return TOLA_OK;
    }
}

/* What libyaml says is wrong, in one line. */
static tola_status parser_failed(const builder *b, const yaml_parser_t *p) {
    if (p->error == YAML_MEMORY_ERROR) return no_memory(b);
    const char *problem = p->problem ? p->problem : "this is no YAML";
    if (p->error == YAML_READER_ERROR) {
        err_set(b->err, TOLA_E_FORMAT, p->problem_offset, "%s", problem);
        return err_in_file(b->err, TOLA_E_FORMAT, b->y->name);
    }
    if (p->context && p->context_mark.line != p->problem_mark.line)
        return fail_at(b, p->problem_mark, TOLA_E_FORMAT, "%s (%s from line %zu on)", problem, p->context,
                       p->context_mark.line + 1);
    return fail_at(b, p->problem_mark, TOLA_E_FORMAT, "%s", problem);
}

static tola_status build(builder *b, yaml_parser_t *p) {
    for (bool end = false; !end;) {
        yaml_event_t e;
        if (!lib.parse(p, &e)) return parser_failed(b, p);
        end = e.type == YAML_STREAM_END_EVENT || e.type == YAML_NO_EVENT;
        tola_status status = take_event(b, &e);
        lib.event_delete(&e);
        TRY(status);
    }
    yaml_node *empty;
    return b->y->root ? TOLA_OK : add_node(b, (yaml_mark_t){ 0 }, YAML_NULL, 1, &empty);
}

static tola_status parse_into(yaml *y, const void *text, size_t length, tola_error *err) {
    pthread_once(&once, load);
    if (!loaded)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET,
                       "YAML cannot be read: libyaml-0.so.2 is not installed (Debian: apt install libyaml-0-2)");
    if (length > YAML_MAX_BYTES) {
        err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%zu bytes are more than the %u that YAML may have", length,
                YAML_MAX_BYTES);
        return err_in_file(err, TOLA_E_LIMIT, y->name);
    }
    builder *b = mem_calloc(1, sizeof *b);
    if (!b) return err_nomem(err, "reading YAML");
    b->y = y;
    b->err = err;
    yaml_parser_t parser;
    tola_status status = no_memory(b);
    if (lib.parser_initialize(&parser)) {
        lib.set_encoding(&parser, YAML_UTF8_ENCODING);
        lib.set_input_string(&parser, text, length);
        status = build(b, &parser);
        lib.parser_delete(&parser);
    }
    mem_free(b);
    return status;
}

tola_status yaml_parse(const char *name, const void *text, size_t length, yaml **out, tola_error *err) {
    yaml *y = mem_calloc(1, sizeof *y);
    if (!y) return err_nomem(err, "reading YAML");
    arena_init(&y->arena, MOST_MEMORY);
    y->name = arena_strndup(&y->arena, name, strlen(name));
    tola_status status = y->name ? parse_into(y, text, length, err) : err_nomem(err, "reading YAML");
    if (status == TOLA_OK)
        *out = y;
    else
        yaml_free(y);
    return status;
}

#endif

tola_status yaml_open(const char *path, yaml **out, tola_error *err) {
    source *src;
    TRY(source_open_file(path, &src, err));
    char *text = NULL;
    tola_status status = TOLA_OK;
    if (src->size > YAML_MAX_BYTES) {
        err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "%llu bytes are more than the %u that YAML may have",
                (unsigned long long)src->size, YAML_MAX_BYTES);
        status = err_in_file(err, TOLA_E_LIMIT, path);
    } else {
        text = mem_alloc(src->size ? (size_t)src->size : 1);
        status = text ? source_read(src, 0, text, (size_t)src->size, err) : err_nomem(err, "reading YAML");
        if (status != TOLA_OK && text) err_in_file(err, status, path);
    }
    if (status == TOLA_OK) status = yaml_parse(path, text, (size_t)src->size, out, err);
    mem_free(text);
    source_close(src);
    return status;
}
