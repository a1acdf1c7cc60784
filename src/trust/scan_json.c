/* JSON documents that make a loader run or fetch something: configurations that name code beside them, models of Keras,
 * objects that were serialized with Python's pickle, templates.
 *
 * Keras: every object with a class_name and a config is made by the loader; what it may be is a list (scan_keras.c). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "trust/scan_keras.h"

#define MAX_JSON ((uint64_t)100 << 20) /* as long as headers of weights may be */
#define MAX_TREE ((size_t)3 << 30)

typedef struct json_scan {
    scan_job *job;
    const scan_part *part;
} json_scan;

static const tola_value *get(const tola_value *map, const char *key) { return tola_value_get(map, key); }

static bool is_text(const tola_value *v) { return v && v->kind == TOLA_VALUE_STRING; }

static bool is_empty(const tola_value *v) {
    return !v || v->kind == TOLA_VALUE_NULL || (v->kind == TOLA_VALUE_MAP && v->as.map.count == 0) ||
           (v->kind == TOLA_VALUE_ARRAY && v->as.array.count == 0) || (is_text(v) && v->as.string.length == 0);
}

#define FIND(s, verdict, kind, ...) scan_find((s)->job, (s)->part, verdict, kind, TOLA_NO_OFFSET, __VA_ARGS__)

static const char *quoted(const tola_value *v, char *dst, size_t cap) {
    if (!is_text(v)) {
        snprintf(dst, cap, "something that is no text");
        return dst;
    }
    return text_quote(dst, cap, v->as.string.data, v->as.string.length);
}

/* ---- pickles in base64 ---- */

static void scan_base64(json_scan *s, const char *key, const tola_value *v, bool sure) {
    char name[160], label[100];
    size_t n = v->as.string.length;
    text_quote(label, sizeof label, key, strlen(key));
    char *bytes = mem_alloc(n + 1);
    if (!bytes) {
        tola_error err = TOLA_ERROR_INIT;
        scan_stop(s->job, err_nomem(&err, "scanning"), &err);
        return;
    }
    size_t length = text_from_base64(v->as.string.data, n, bytes);
    bool pickle = length >= 2 && (uint8_t)bytes[0] == 0x80 && bytes[1] >= 1 && (uint8_t)bytes[1] <= 5;
    if (pickle || sure) {
        FIND(s, TOLA_UNKNOWN, "serialized", "a serialized Python object inside JSON, in '%s'", label);
        snprintf(name, sizeof name, "(%s)", label);
        scan_bytes(s->job, s->part, name, (const uint8_t *)bytes, length, false);
    }
    mem_free(bytes);
}

/* A pickle of protocol 1 to 5 begins with 80 01 to 80 05, in base64 with "gA" and a letter from E to X; before it may
 * stand spaces, or "data:...;base64,". */
static void check_pickled(json_scan *s, const char *key, const tola_value *v) {
    const char *text = v->as.string.data;
    size_t n = v->as.string.length;
    const char *coded = n >= 5 && strncmp(text, "data:", 5) == 0 ? strstr(text, "base64,") : NULL;
    size_t skip = coded ? (size_t)(coded - text) + 7 : 0;
    skip += strspn(text + skip, " \t\r\n");
    if (skip + 8 > n || text[skip] != 'g' || text[skip + 1] != 'A' || text[skip + 2] < 'E' || text[skip + 2] > 'X')
        return;
    tola_value rest = *v;
    rest.as.string.data = text + skip;
    rest.as.string.length = n - skip;
    scan_base64(s, key, &rest, false);
}

/* ---- members of an object ---- */

static void check_text(json_scan *s, const char *key, const tola_value *v) {
    if (strcmp(key, ":serialized:") == 0)
        scan_base64(s, key, v, true);
    else if (text_ends_with(key, "chat_template"))
        scan_template_text(s->job, s->part, "chat_template", v->as.string.data, v->as.string.length);
    else
        check_pickled(s, key, v);
}

static bool in_package(const char *name, const char *const *packages, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(packages[i]);
        if (strncmp(name, packages[i], n) == 0 && (name[n] == 0 || name[n] == '.')) return true;
    }
    return false;
}

/* PEFT imports the module that auto_mapping names (peft/auto.py). */
static void check_auto_mapping(json_scan *s, const tola_value *v) {
    static const char *const known[] = { "transformers", "peft", "diffusers", "torch", "sentence_transformers" };
    const tola_value *library = get(v, "parent_library");
    char name[120];
    if (!is_empty(library) &&
        (!is_text(library) || !in_package(library->as.string.data, known, sizeof known / sizeof *known)))
        FIND(s, TOLA_UNKNOWN, "remote-code", "auto_mapping makes PEFT import '%s'", quoted(library, name, sizeof name));
}

/* A name of Python's that a loader imports: fine below `package`, or without a dot. */
static void check_imported(json_scan *s, const char *key, const tola_value *v, const char *package) {
    char text[120];
    if (!is_text(v) || !strchr(v->as.string.data, '.') || in_package(v->as.string.data, &package, 1)) return;
    FIND(s, TOLA_UNKNOWN, "remote-code", "%s: the loader would import '%s'", key, quoted(v, text, sizeof text));
}

/* transformers fetches what is written as a repository ("org/name") from the hub as compiled kernels and loads it
 * (transformers/integrations/hub_kernels.py); for parts of a model the value is a map. */
static void check_attention(json_scan *s, const tola_value *v) {
    char text[120];
    size_t parts = v->kind == TOLA_VALUE_MAP ? v->as.map.count : 1;
    for (size_t i = 0; i < parts; i++) {
        const tola_value *name = v->kind == TOLA_VALUE_MAP ? &v->as.map.members[i].value : v;
        if (is_text(name) && strchr(name->as.string.data, '/'))
            FIND(s, TOLA_UNKNOWN, "remote-code", "attention: transformers would fetch and load code of '%s'",
                 quoted(name, text, sizeof text));
    }
}

/* An index of shards: each tensor's file, beside the index. */
static void check_shards(json_scan *s, const tola_value *v) {
    char text[120];
    for (size_t i = 0; i < v->as.map.count; i++) {
        const tola_value *file = &v->as.map.members[i].value;
        const char *name = is_text(file) ? file->as.string.data : "";
        bool leaves = *name == '/' || *name == '\\' || strstr(name, "..") || strchr(name, ':') ||
                      strlen(name) != (is_text(file) ? file->as.string.length : 0);
        if (!leaves) continue;
        FIND(s, TOLA_UNKNOWN, "structure", "weight_map names a file outside of the folder: '%s'",
             quoted(file, text, sizeof text));
        return;
    }
}

static void check_templates(json_scan *s, const tola_value *v) {
    for (size_t i = 0; i < v->as.array.count; i++) {
        tola_value item = tola_value_at(v, i);
        const tola_value *text = item.kind == TOLA_VALUE_MAP ? get(&item, "template") : &item;
        if (is_text(text))
            scan_template_text(s->job, s->part, "chat_template", text->as.string.data, text->as.string.length);
    }
}

/* {"default": "...", "tool_use": "..."} */
static void check_named_templates(json_scan *s, const tola_value *v) {
    for (size_t i = 0; i < v->as.map.count; i++) {
        const tola_value *item = &v->as.map.members[i].value;
        const tola_value *text = item->kind == TOLA_VALUE_MAP ? get(item, "template") : item;
        if (is_text(text))
            scan_template_text(s->job, s->part, "chat_template", text->as.string.data, text->as.string.length);
    }
}

static void check_member(json_scan *s, const tola_member *m) {
    const char *key = m->key.data;
    const tola_value *v = &m->value;
    char text[120];
    if (is_text(v)) check_text(s, key, v);
    if (strcmp(key, "auto_map") == 0 && !is_empty(v)) {
        FIND(s, TOLA_UNKNOWN, "remote-code", "auto_map: transformers would run code that comes with the model");
    } else if (strcmp(key, "custom_pipelines") == 0 && !is_empty(v)) {
        FIND(s, TOLA_UNKNOWN, "remote-code", "custom_pipelines: transformers would run code that comes with the model");
    } else if (strcmp(key, "trust_remote_code") == 0 && !is_empty(v) &&
               !(v->kind == TOLA_VALUE_BOOL && !v->as.boolean)) {
        FIND(s, TOLA_UNKNOWN, "remote-code", "trust_remote_code is set in the configuration");
    } else if (strcmp(key, "custom_generate") == 0 && is_text(v) && v->as.string.length) {
        FIND(s, TOLA_UNKNOWN, "remote-code", "custom_generate: transformers would run code of '%s'",
             quoted(v, text, sizeof text));
    } else if (strstr(key, "attn_implementation")) {
        check_attention(s, v);
    } else if (strcmp(key, "megatron_core") == 0) { /* peft/tuners/lora/model.py imports it */
        check_imported(s, key, v, "megatron");
    } else if (strcmp(key, "activation_function") == 0 || strcmp(key, "activation_fn") == 0 ||
               strcmp(key, "sbert_ce_default_activation_function") == 0) { /* sentence-transformers imports them */
        check_imported(s, key, v, "torch.nn");
    } else if (strcmp(key, "weight_map") == 0 && v->kind == TOLA_VALUE_MAP) {
        check_shards(s, v);
    } else if (strcmp(key, "auto_mapping") == 0 && v->kind == TOLA_VALUE_MAP) {
        check_auto_mapping(s, v);
    } else if (strncmp(key, "py/", 3) == 0) {
        bool calls = strcmp(key, "py/reduce") == 0 || strcmp(key, "py/function") == 0 || strcmp(key, "py/repr") == 0;
        FIND(s, calls ? TOLA_DANGEROUS : TOLA_UNKNOWN, "serialized", "a Python object of jsonpickle: '%s' %s",
             text_quote(text, sizeof text, key, strlen(key)),
             is_text(v) ? v->as.string.length < 100 ? v->as.string.data : "" : "");
    } else if (strcmp(key, "_target_") == 0 && !is_empty(v)) {
        FIND(s, TOLA_UNKNOWN, "remote-code", "_target_: Hydra would call '%s'", quoted(v, text, sizeof text));
    } else if (text_ends_with(key, "chat_template") && v->kind == TOLA_VALUE_ARRAY) {
        check_templates(s, v);
    } else if (text_ends_with(key, "chat_template") && v->kind == TOLA_VALUE_MAP) {
        check_named_templates(s, v);
    }
}

/* diffusers' model_index.json: each part is [package, class]; packages of its own are files beside it. */
static void check_diffusers(json_scan *s, const tola_value *map) {
    static const char *const known[] = { "diffusers", "transformers", "onnxruntime",      "stable_diffusion",
                                         "torch",     "flax",         "paint_by_example", "sentence_transformers",
                                         "peft" };
    for (size_t i = 0; i < map->as.map.count; i++) {
        const tola_value *v = &map->as.map.members[i].value;
        char text[120];
        if (v->kind != TOLA_VALUE_ARRAY || v->as.array.count != 2) continue;
        tola_value package = tola_value_at(v, 0);
        if (is_text(&package) && !in_package(package.as.string.data, known, sizeof known / sizeof *known))
            FIND(s, TOLA_UNKNOWN, "remote-code", "diffusers would import '%s'", quoted(&package, text, sizeof text));
    }
}

/* skops: each node of its schema.json names a class or a function, and the loader that makes it (skops/io). */
static void check_skops(json_scan *s, const tola_value *map) {
    static const char loaders[] =
        " DictNode ListNode TupleNode SetNode JsonNode NdArrayNode MaskedArrayNode ObjectNode "
        "SliceNode BytesNode BytearrayNode SparseMatrixNode RandomStateNode DefaultDictNode "
        "RandomGeneratorNode DatetimeTimedeltaNode TypeNode ";
    static const char *const packages[] = { "numpy", "scipy.sparse", "sklearn", "collections", "datetime" };
    static const char values[] =
        " dict list tuple set frozenset str int float bool bytes bytearray slice NoneType type ";
    const tola_value *loader = get(map, "__loader__"), *module = get(map, "__module__"), *class = get(map, "__class__");
    char a[120], b[120], word[140];
    if (!is_text(module) || !is_text(class)) {
        FIND(s, TOLA_UNKNOWN, "skops", "an object whose class is no text");
        return;
    }
    const char *m = module->as.string.data, *c = class->as.string.data;
    snprintf(word, sizeof word, " %.100s ", c);
    bool plain = in_package(m, packages, sizeof packages / sizeof *packages) && !strchr(c, '.');
    if (strcmp(m, "builtins") == 0) plain = !strchr(c, ' ') && strstr(values, word);
    snprintf(word, sizeof word, " %.100s ", is_text(loader) ? loader->as.string.data : "");
    if (!is_text(loader) || strchr(loader->as.string.data, ' ') || !strstr(loaders, word)) plain = false;
    if (plain) return;
    tola_verdict v = scan_judge_import(m, c, false);
    FIND(s, v == TOLA_DANGEROUS ? v : TOLA_UNKNOWN, "skops", "skops would import %s.%s", quoted(module, a, sizeof a),
         quoted(class, b, sizeof b));
}

static void check_object(json_scan *s, const tola_value *map) {
    char text[120];
    if (get(map, "__loader__")) check_skops(s, map);
    const tola_value *cells = get(map, "cells");
    if (cells && cells->kind == TOLA_VALUE_ARRAY && get(map, "nbformat"))
        FIND(s, TOLA_UNKNOWN, "script", "a notebook, which holds programs");
    const tola_value *class_name = get(map, "class_name");
    if (class_name && (get(map, "config") || get(map, "module") || get(map, "registered_name")))
        scan_keras_object(s->job, s->part, map);
    const tola_value *own = get(map, "_class_name");
    bool pipeline = own && (!is_text(own) || text_ends_with(own->as.string.data, "Pipeline"));
    if (own && (pipeline || scan_has_extension(s->part->name, "model_index.json"))) check_diffusers(s, map);
    const tola_value *types = get(map, "types"); /* sentence-transformers' Router: names of classes by id */
    for (size_t i = 0; types && types->kind == TOLA_VALUE_MAP && get(map, "structure") && i < types->as.map.count; i++)
        check_imported(s, "types", &types->as.map.members[i].value, "sentence_transformers");
    const tola_value *type = get(map, "type");
    if (type && get(map, "idx") && get(map, "path") && get(map, "name") && is_text(type) &&
        strncmp(type->as.string.data, "sentence_transformers.", 22) != 0)
        FIND(s, TOLA_UNKNOWN, "remote-code", "sentence-transformers would import '%s'",
             quoted(type, text, sizeof text));
    for (size_t i = 0; i < map->as.map.count; i++) check_member(s, &map->as.map.members[i]);
}

/* ---- the walk ---- */

typedef struct place {
    tola_value value;
    size_t next;
} place;

void scan_json_tree(scan_job *job, const scan_part *part, const tola_value *root) {
    json_scan s = { job, part };
    place stack[JSON_MAX_DEPTH + 2];
    size_t depth = 0;
    stack[depth++] = (place){ *root, 0 };
    if (root->kind == TOLA_VALUE_MAP) check_object(&s, root);
    while (depth && scan_running(job)) {
        place *p = &stack[depth - 1];
        tola_value child;
        if (p->value.kind == TOLA_VALUE_MAP && p->next < p->value.as.map.count) {
            child = p->value.as.map.members[p->next++].value;
        } else if (p->value.kind == TOLA_VALUE_ARRAY && p->next < p->value.as.array.count) {
            child = tola_value_at(&p->value, p->next++);
        } else {
            depth--;
            continue;
        }
        if (child.kind == TOLA_VALUE_MAP) check_object(&s, &child);
        if (is_text(&child) && p->value.kind == TOLA_VALUE_ARRAY) check_pickled(&s, "a list", &child);
        bool deeper = child.kind == TOLA_VALUE_MAP || child.kind == TOLA_VALUE_ARRAY;
        if (deeper && depth < sizeof stack / sizeof *stack) stack[depth++] = (place){ child, 0 };
    }
}

/* One document, or one on each line. What Python's json might still read is told where it cannot be read here. */
static void scan_documents(scan_job *job, const scan_part *part, const char *text, size_t length) {
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = TOLA_OK;
    for (size_t at = 0; status == TOLA_OK && scan_running(job);) {
        while (at < length && isspace((uint8_t)text[at])) at++;
        if (at == length) return;
        json_reader r;
        tola_value root;
        arena a;
        arena_init(&a, MAX_TREE);
        json_reader_init(&r, text + at, length - at, at);
        r.nonfinite = true;
        status = json_parse_next(&r, &a, &root, &err);
        if (status == TOLA_OK) scan_json_tree(job, part, &root);
        at += r.pos;
        json_reader_free(&r);
        arena_free(&a);
    }
    if (status == TOLA_E_NOMEM)
        scan_stop(job, status, &err);
    else if (status != TOLA_OK)
        scan_find(job, part, TOLA_UNKNOWN, "json", err.offset, "no JSON document: %s", err.message);
}

bool scan_json(scan_job *job, const scan_part *part) {
    uint8_t *data = part_load(job, part, MAX_JSON, "json");
    if (!data) return true;
    size_t mark = part_bytes(part) >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    scan_documents(job, part, (const char *)data + mark, (size_t)part_bytes(part) - mark);
    mem_free(data);
    return true;
}
