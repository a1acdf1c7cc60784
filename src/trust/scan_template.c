/* Chat templates: a Jinja program that whoever loads the model renders, often outside of Jinja's sandbox.
 *
 * The template is parsed by the engine of text/jinja and never run. What it may be made of is a list: its statements,
 * filters, functions and methods, attributes whose names are written out and lead to nothing of Python's. In x[y] and
 * where else Jinja takes a text for an attribute, y has to be a number, a text of the template that is no such name, or
 * come from the conversation as it is: texts that the template puts together could be any name. What cannot be parsed
 * is unknown. CVE-2024-34359 is a template. */
#define _GNU_SOURCE 1
#include "trust/scan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "text/jinja/syntax.h"
#include "text/jinja/jinja.h"

#define MAX_TEMPLATE ((uint64_t)4 << 20)
#define MAX_ROUNDS 64 /* in which what names may hold is found; three do for real templates */

/* What a value may be. */
enum {
    FROM_TEMPLATE = 1, /* a text that is written in the template, and no name that is denied */
    BUILT = 2,         /* a text that may be anything */
    NUMBER = 4,        /* surely no text */
    NAMESPACE = 8,     /* perhaps a namespace, whose attributes are noted by their names */
    CARRIED = FROM_TEMPLATE | BUILT | NAMESPACE
};

typedef struct variable {
    const jstr *name;
    uint8_t holds;
    uint8_t arguments; /* of a macro: what its parameters may be given */
    bool macro, outside, written;
    bool member;   /* no variable: an attribute of namespaces, of whichever */
    uint32_t sure; /* while the tree is walked: the function, + 1, in which it is surely set here; 0 = in none */
} variable;

typedef struct item {
    const jnode *node;
    uint32_t name; /* + 1, in variables */
    bool called;   /* a name that is called where it stands */
    bool sure;     /* a name that is set before, whatever the template is given */
} item;

typedef struct template_scan {
    scan_job *job;
    const scan_part *part;
    const char *where, *text;
    size_t length;
    item *items; /* kids before their parents */
    size_t count, cap;
    variable *names;
    size_t name_count, name_cap;
    uint8_t *result; /* of each item */
    uint8_t members; /* what attributes of namespaces may hold, all together */
    uint32_t *stack; /* of items whose parent comes */
    size_t depth;
    bool changed, failed;
} template_scan;

static void no_memory(template_scan *t) {
    tola_error err = TOLA_ERROR_INIT;
    scan_stop(t->job, err_nomem(&err, "scanning a template"), &err);
    t->failed = true;
}

/* ---- findings ---- */

static void tell(const template_scan *t, tola_verdict verdict, uint32_t line, const char *what, const char *text,
                 size_t n) {
    char quoted[120], where[120] = "";
    uint64_t offset = 0;
    for (const char *p = t->text; line > 1 && (p = memchr(p, '\n', (size_t)(t->text + t->length - p))); line--)
        offset = (uint64_t)(++p - t->text);
    if (t->where) snprintf(where, sizeof where, "%.100s: ", t->where);
    scan_find(t->job, t->part, verdict, "template", offset, "%s%s '%s'", where, what,
              text_quote(quoted, sizeof quoted, text, n));
}

static void tell_node(const template_scan *t, tola_verdict verdict, const jnode *n, const char *what) {
    bool text = n->value.kind == JK_STRING;
    tell(t, verdict, n->line, what, text ? n->value.as.s->data : "", text ? n->value.as.s->length : 0);
}

/* ---- names ---- */

static bool is_word(const jstr *s, const char *list /* with spaces around each */) {
    char word[40];
    if (s->length == 0 || s->length > sizeof word - 3 || memchr(s->data, ' ', s->length)) return false;
    snprintf(word, sizeof word, " %.*s ", (int)s->length, s->data);
    return strstr(list, word);
}

/* Attributes that lead from values to functions, frames, modules: hidden ones, and those of Python's own machinery. */
static bool leads_inside(const char *name, size_t n) {
    static const char *const beginnings[] = { "_", "gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_", "im_" };
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t k = strlen(beginnings[i]);
        if (n >= k && memcmp(name, beginnings[i], k) == 0) return true;
    }
    return n == 3 && memcmp(name, "mro", 3) == 0;
}

/* A text of the template that would be a name from Python's insides, somewhere. */
static bool names_insides(const jstr *s) {
    const char *p = s->data, *end = s->data + s->length;
    while ((p = memmem(p, (size_t)(end - p), "__", 2))) {
        if (p + 2 < end && isalpha((uint8_t)p[2]) && (p == s->data || !isalnum((uint8_t)p[-1]))) return true;
        p++;
    }
    return false;
}

static void check_attribute(template_scan *t, const jnode *n, const jstr *name, bool dotted) {
    const char *p = name->data, *end = p + name->length;
    for (;;) {
        const char *dot = dotted ? memchr(p, '.', (size_t)(end - p)) : NULL;
        if (leads_inside(p, (size_t)((dot ? dot : end) - p))) {
            tell(t, TOLA_DANGEROUS, n->line, "reaches for Python's insides:", name->data, name->length);
            return;
        }
        if (!dot) return;
        p = dot + 1;
    }
}

static int compare_names(const void *a, const void *b) {
    const variable *v = a, *w = b;
    const jstr *x = v->name, *y = w->name;
    if (v->member != w->member) return v->member - w->member;
    int c = memcmp(x->data, y->data, x->length < y->length ? x->length : y->length);
    return c ? c : (x->length > y->length) - (x->length < y->length);
}

static variable *find(template_scan *t, const jstr *name, bool member) {
    variable key = { .name = name, .member = member };
    return t->name_count ? bsearch(&key, t->names, t->name_count, sizeof key, compare_names) : NULL;
}

static variable *find_name(template_scan *t, const jstr *name) { return find(t, name, false); }

static bool has_name(const jnode *n) { return n->type == JN_NAME || n->type == JN_PARAMETER; }

/* ---- the tree as a list ---- */

typedef struct place {
    const jnode *node;
    uint32_t next;
} place;

static void add_name(template_scan *t, variable v) {
    if (!mem_grow(&t->names, &t->name_cap, t->name_count + 1, sizeof *t->names))
        no_memory(t);
    else
        t->names[t->name_count++] = v;
}

/* Names that the scope may take from what the template is given. */
static void add_scope(template_scan *t, const jscope *s) {
    for (uint32_t i = 0; s && i < s->n && !t->failed; i++)
        if (s->refs[i].load == JL_RESOLVE) add_name(t, (variable){ .name = s->refs[i].name, .outside = true });
}

static void add_node(template_scan *t, const jnode *n) {
    if (!mem_grow(&t->items, &t->cap, t->count + 1, sizeof *t->items)) {
        no_memory(t);
        return;
    }
    t->items[t->count++] = (item){ .node = n };
    bool member = n->type == JN_NSREF || n->type == JN_KEYWORD;
    if (has_name(n) || member) add_name(t, (variable){ .name = n->value.as.s, .member = member });
    for (int i = 0; i < 3; i++) add_scope(t, n->scope[i]);
}

static void list_nodes(template_scan *t, const jnode *root) {
    place *stack = NULL;
    size_t depth = 0, cap = 0;
    for (const jnode *n = root; n && !t->failed;) {
        if (!mem_grow(&stack, &cap, depth + 1, sizeof *stack)) {
            no_memory(t);
            break;
        }
        stack[depth++] = (place){ n, 0 };
        n = NULL;
        while (depth && !n) {
            place *p = &stack[depth - 1];
            while (p->next < p->node->n && !p->node->kid[p->next]) p->next++;
            if (p->next < p->node->n) {
                n = p->node->kid[p->next++];
            } else {
                add_node(t, p->node);
                depth--;
            }
        }
    }
    mem_free(stack);
}

static void sort_names(template_scan *t) {
    size_t n = 0;
    if (t->name_count) qsort(t->names, t->name_count, sizeof *t->names, compare_names);
    for (size_t i = 0; i < t->name_count; i++) {
        if (n && compare_names(&t->names[n - 1], &t->names[i]) == 0)
            t->names[n - 1].outside |= t->names[i].outside;
        else
            t->names[n++] = t->names[i];
    }
    t->name_count = n;
    for (size_t i = 0; i < t->count; i++) {
        const jnode *node = t->items[i].node;
        if (has_name(node)) t->items[i].name = (uint32_t)(find_name(t, node->value.as.s) - t->names) + 1;
    }
}

/* ---- names that are surely set ---- */

typedef struct was_sure {
    uint32_t name, before;
} was_sure;

typedef struct sure_walk {
    template_scan *t;
    was_sure *undo;
    size_t count, cap;
    uint32_t functions, function; /* so far; the one around here, + 1 */
    size_t item;                  /* the next one to be left */
} sure_walk;

typedef struct sure_place {
    const jnode *node;
    uint32_t next, function;
    size_t mark;
} sure_place;

static void set_surely(sure_walk *w, const jstr *name) {
    variable *v = find_name(w->t, name);
    if (!v) return;
    if (!mem_grow(&w->undo, &w->cap, w->count + 1, sizeof *w->undo)) {
        no_memory(w->t);
        return;
    }
    w->undo[w->count++] = (was_sure){ (uint32_t)(v - w->t->names), v->sure };
    v->sure = w->function;
}

static void undo_to(sure_walk *w, size_t mark) {
    while (w->count > mark) {
        w->count--;
        w->t->names[w->undo[w->count].name].sure = w->undo[w->count].before;
    }
}

static void set_target(sure_walk *w, const jnode *target) {
    if (target->type == JN_NAME) set_surely(w, target->value.as.s);
    for (uint32_t i = 0; target->type == JN_TUPLE && i < target->n; i++)
        if (target->kid[i]->type == JN_NAME) set_surely(w, target->kid[i]->value.as.s);
}

/* Before kid `p->next`: what is set for it alone. */
static void before_kid(sure_walk *w, sure_place *p) {
    const jnode *n = p->node;
    if (n->type == JN_FOR && p->next == 2) set_target(w, n->kid[0]);
    if (n->type == JN_WITH && p->next == 0)
        for (uint32_t i = 1; i < n->n; i += 2) set_target(w, n->kid[i]);
    if (n->type == JN_WITH && p->next == 1) undo_to(w, p->mark);
    bool function = n->type == JN_MACRO || n->type == JN_CALL_BLOCK || n->type == JN_GENERATION;
    uint32_t body = n->type == JN_GENERATION ? 0 : 1;
    if (function && p->next == body) {
        p->function = w->function;
        w->function = ++w->functions + 1;
        for (uint32_t i = 2; n->type != JN_GENERATION && i < n->n; i++) set_surely(w, n->kid[i]->value.as.s);
    }
    if (function && p->next == body + 1) {
        undo_to(w, p->mark);
        w->function = p->function;
    }
}

static void leave(sure_walk *w, const sure_place *p) {
    const jnode *n = p->node;
    item *it = &w->t->items[w->item++];
    if (n->type == JN_NAME && it->name && !n->store) it->sure = w->t->names[it->name - 1].sure == w->function;
    bool sets = n->type == JN_SET || n->type == JN_SET_BLOCK || n->type == JN_MACRO;
    if (!sets) undo_to(w, p->mark);
    if (sets) set_target(w, n->kid[0]);
}

/* The same walk as list_nodes, with what is surely set: by statements before, in the same body or around it. */
static void find_sure(template_scan *t, const jnode *root) {
    sure_walk w = { .t = t, .function = 1 };
    sure_place *stack = NULL;
    size_t depth = 0, cap = 0;
    for (const jnode *n = root; n && !t->failed;) {
        if (!mem_grow(&stack, &cap, depth + 1, sizeof *stack)) {
            no_memory(t);
            break;
        }
        stack[depth++] = (sure_place){ n, 0, w.function, w.count };
        n = NULL;
        while (depth && !n) {
            sure_place *p = &stack[depth - 1];
            before_kid(&w, p);
            if (p->next < p->node->n) {
                n = p->node->kid[p->next++];
            } else {
                leave(&w, p);
                depth--;
            }
        }
    }
    mem_free(stack);
    mem_free(w.undo);
}

/* ---- what values may be ---- */

static void bind_variable(template_scan *t, variable *v, uint8_t holds) {
    holds &= CARRIED;
    if (v && v->member) t->members |= holds;
    if (!v || (v->written && (v->holds | holds) == v->holds)) return;
    v->holds |= holds;
    v->written = true;
    t->changed = true;
}

static void bind(template_scan *t, const jstr *name, uint8_t holds) { bind_variable(t, find_name(t, name), holds); }

/* A target: names, tuples of them, attributes of namespaces. Targets are shallow but for hostile ones, whose names are
 * found by the walk anyway: each gets what the whole may be. */
static void bind_target(template_scan *t, const jnode *target, uint8_t holds, unsigned level) {
    if (target->type == JN_NAME) bind(t, target->value.as.s, holds);
    if (target->type == JN_NSREF) bind_variable(t, find(t, target->value.as.s, true), holds);
    if (target->type != JN_TUPLE) return;
    if (level > 20) {
        tell_node(t, TOLA_UNKNOWN, target, "names that are set too deep");
        return;
    }
    for (uint32_t i = 0; i < target->n; i++) bind_target(t, target->kid[i], holds, level + 1);
}

/* Variables whose texts are those of the conversation, not of the model's own files. */
static const char conversation[] = " messages message tools documents builtin_tools custom_tools available_tools "
                                   "functions user_tools tool_choice conversation ";

static uint8_t value_of_name(template_scan *t, const item *it) {
    variable *v = &t->names[it->name - 1];
    if (it->node->store) return 0;
    if (v->macro && !it->called && !(v->arguments & BUILT)) { /* whoever gets it may call it */
        v->arguments |= BUILT;
        t->changed = true;
    }
    bool given = v->outside && !it->sure && !is_word(v->name, conversation);
    if (is_word(v->name, " varargs kwargs caller ")) given = true;
    return (uint8_t)(v->holds | (given ? BUILT : 0));
}

/* The results of a node's kids, in their order; NULL kids have none. */
static const uint32_t *kids_of(const template_scan *t, const jnode *n, size_t *count) {
    *count = 0;
    for (uint32_t i = 0; i < n->n; i++) *count += n->kid[i] != NULL;
    return t->stack + t->depth - *count;
}

static uint8_t all_kids(const template_scan *t, const uint32_t *kids, size_t count, size_t from) {
    uint8_t all = 0;
    for (size_t i = from; i < count; i++) all |= t->result[kids[i]];
    return all & CARRIED;
}

static const char pure_functions[] = " range namespace dict raise_exception strftime_now joiner cycler caller ";
static const char pure_methods[] =
    " get items keys values copy split rsplit splitlines strip lstrip rstrip startswith endswith replace join upper "
    "lower "
    "title capitalize swapcase casefold count index find rfind rindex isdigit isalpha isalnum isnumeric isdecimal "
    "isspace isupper islower partition rpartition removeprefix removesuffix zfill ljust rjust center expandtabs "
    "append extend insert pop remove reverse sort clear update setdefault popitem cycle next reset "
    "strftime isoformat bit_length ";
static const char pure_filters[] =
    " abs batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format "
    "from_json groupby indent int items join last length list lower map max min pprint random reject rejectattr "
    "replace "
    "reverse round safe select selectattr slice sort string striptags strip sum title tojson trim truncate unique "
    "upper "
    "urlencode urlize wordcount wordwrap xmlattr fromjson ";

/* namespace(a=1): its attributes hold what they are given, the object itself whatever else it is made of. */
static uint8_t namespace_value(template_scan *t, const jnode *n, const uint32_t *kids) {
    uint8_t others = NAMESPACE;
    for (uint32_t i = 1; i < n->n; i++) {
        const jnode *a = n->kid[i];
        uint8_t holds = t->result[kids[i]] & CARRIED;
        if (a->type == JN_KEYWORD)
            bind_variable(t, find(t, a->value.as.s, true), holds);
        else
            others |= holds;
    }
    return others;
}

static uint8_t call_value(template_scan *t, const jnode *n, const uint32_t *kids, size_t count) {
    const jnode *callee = n->kid[0];
    uint8_t arguments = all_kids(t, kids, count, 1);
    if (callee->type == JN_NAME) {
        variable *v = &t->names[t->items[kids[0]].name - 1];
        if (v->macro && (v->arguments | arguments) != v->arguments) {
            v->arguments |= arguments;
            t->changed = true;
        }
        if (v->macro || v->written) return BUILT;
        if (is_word(v->name, " range ")) return NUMBER;
        if (is_word(v->name, " namespace ")) return namespace_value(t, n, kids);
        return is_word(v->name, " dict cycler ") ? arguments : BUILT;
    }
    if (callee->type != JN_ATTRIBUTE) return BUILT;
    const jstr *name = callee->value.as.s;
    if (is_word(name, " get items keys values copy pop setdefault cycle next "))
        return arguments | (t->result[kids[0]] & CARRIED);
    if (is_word(name, " split rsplit splitlines strip lstrip rstrip partition rpartition ")) /* pieces */
        return t->result[kids[0]] & (FROM_TEMPLATE | BUILT) ? BUILT : 0;
    if (is_word(name, " startswith endswith count index find rfind rindex isdigit isalpha isspace bit_length "))
        return NUMBER;
    return BUILT;
}

static uint8_t filter_value(const template_scan *t, const jnode *n, const uint32_t *kids, size_t count) {
    const jstr *name = n->value.as.s;
    uint8_t all = all_kids(t, kids, count, 0);
    if (is_word(name, " length count int float abs round wordcount ")) return NUMBER;
    if (is_word(name, " reverse ")) return all & FROM_TEMPLATE ? BUILT : all;
    if (is_word(name, " default d items dictsort list first last sort unique select selectattr reject rejectattr "
                      "batch slice min max groupby "))
        return all;
    if (is_word(name, " map ") && n->n == 2 && n->kid[1]->type == JN_KEYWORD)
        return all & NAMESPACE ? all | t->members : all;
    return BUILT;
}

static uint8_t binary_value(const template_scan *t, const jnode *n, const uint32_t *kids) {
    bool left = t->result[kids[0]] & NUMBER, right = t->result[kids[1]] & NUMBER;
    switch (n->op) {
    case JT_SUB:
    case JT_DIV:
    case JT_FLOORDIV:
    case JT_POW: return NUMBER;
    case JT_ADD:
        if (left || right) return NUMBER; /* a text and a number do not add, nor a text and a list */
        if (n->kid[0]->type == JN_LIST || n->kid[1]->type == JN_LIST) return all_kids(t, kids, 2, 0);
        return BUILT;
    case JT_MOD: return left ? NUMBER : BUILT;
    default: return left && right ? NUMBER : BUILT;
    }
}

static uint8_t text_value(const jv *v) {
    if (v->kind != JK_STRING) return NUMBER;
    bool denied = leads_inside(v->as.s->data, v->as.s->length) || memmem(v->as.s->data, v->as.s->length, "__", 2);
    return denied ? BUILT : FROM_TEMPLATE;
}

static uint8_t attribute_value(template_scan *t, const jnode *n, const uint32_t *kids) {
    const jnode *object = n->kid[0];
    if (object->type == JN_NAME && is_word(object->value.as.s, " loop ")) {
        const variable *v = &t->names[t->items[kids[0]].name - 1];
        if (!v->outside && is_word(n->value.as.s, " index index0 revindex revindex0 length depth depth0 first last "))
            return NUMBER;
    }
    uint8_t holds = t->result[kids[0]] & CARRIED;
    const variable *member = holds & NAMESPACE ? find(t, n->value.as.s, true) : NULL;
    return holds | (member ? member->holds : 0);
}

static uint8_t item_value(template_scan *t, const jnode *n, const uint32_t *kids) {
    const jnode *key = n->kid[1];
    uint8_t object = t->result[kids[0]] & CARRIED;
    if (key->type == JN_SLICE) return object & FROM_TEMPLATE ? BUILT : object;
    return object | (object & NAMESPACE && !(t->result[kids[1]] & NUMBER) ? t->members : 0);
}

static uint8_t value_of(template_scan *t, const item *it) {
    const jnode *n = it->node;
    size_t count;
    const uint32_t *kids = kids_of(t, n, &count);
    uint8_t all = all_kids(t, kids, count, 0);
    switch ((jnode_type)n->type) {
    case JN_CONST: return text_value(&n->value);
    case JN_NAME: return it->name ? value_of_name(t, it) : BUILT;
    case JN_COMPARE:
    case JN_TEST:
    case JN_NOT:
    case JN_NEGATE:
    case JN_POSITIVE:
    case JN_SLICE: return NUMBER;
    case JN_CONCAT: return BUILT;
    case JN_BINARY: return binary_value(t, n, kids);
    case JN_ATTRIBUTE: return attribute_value(t, n, kids);
    case JN_ITEM: return item_value(t, n, kids);
    case JN_CALL: return call_value(t, n, kids, count);
    case JN_FILTER: return filter_value(t, n, kids, count);
    case JN_COND: return all_kids(t, kids, count, 1);
    default: return all;
    }
}

static void bind_all(template_scan *t, const item *it) {
    static const jstr loop = { "loop", 4, 4, NULL, 0, false, NULL };
    const jnode *n = it->node;
    size_t count;
    const uint32_t *kids = kids_of(t, n, &count);
    switch ((jnode_type)n->type) {
    case JN_SET: bind_target(t, n->kid[0], t->result[kids[1]], 0); break;
    case JN_SET_BLOCK: bind_target(t, n->kid[0], BUILT, 0); break;
    case JN_FOR:
        bind_target(t, n->kid[0], t->result[kids[1]], 0);
        bind(t, &loop, t->result[kids[1]]);
        break;
    case JN_WITH: /* [body, target, value, ...] */
        for (uint32_t i = 1; i + 1 < n->n; i += 2) bind_target(t, n->kid[i], t->result[kids[i + 1]], 0);
        break;
    case JN_MACRO: {
        variable *v = find_name(t, n->kid[0]->value.as.s);
        if (!v) break;
        if (!v->macro) t->changed = v->macro = true;
        for (size_t i = 2; i < n->n; i++) bind(t, n->kid[i]->value.as.s, (uint8_t)(v->arguments | t->result[kids[i]]));
        break;
    }
    case JN_CALL_BLOCK:
        for (size_t i = 2; i < n->n; i++) bind(t, n->kid[i]->value.as.s, BUILT);
        break;
    default: break;
    }
}

/* ---- what is not on the lists ---- */

/* Texts in braces that reach for attributes: "{0.x}", "{a[x]}". */
static bool plain_format(const jnode *object) {
    if (object->type != JN_CONST || object->value.kind != JK_STRING) return false;
    const jstr *s = object->value.as.s;
    bool inside = false;
    for (size_t i = 0; i < s->length; i++) {
        if (s->data[i] == '{') inside = true;
        if (s->data[i] == '}') inside = false;
        if (inside && (s->data[i] == '.' || s->data[i] == '[' || s->data[i] == '!')) return false;
    }
    return true;
}

static void check_call(template_scan *t, const jnode *n, const uint32_t *kids) {
    const jnode *callee = n->kid[0];
    if (callee->type == JN_NAME) {
        const variable *v = &t->names[t->items[kids[0]].name - 1];
        if (!v->macro && !is_word(v->name, pure_functions))
            tell_node(t, TOLA_UNKNOWN, callee, "calls what is not known here:");
        else if (v->written)
            tell_node(t, TOLA_UNKNOWN, callee, "calls what it has set itself:");
    } else if (callee->type == JN_ATTRIBUTE) {
        const jstr *name = callee->value.as.s;
        if (is_word(name, " format ") ? !plain_format(callee->kid[0]) : !is_word(name, pure_methods))
            tell_node(t, TOLA_UNKNOWN, callee, "calls a method that is not known here:");
    } else {
        tell_node(t, TOLA_UNKNOWN, n, "calls what it has made itself");
    }
}

/* Which argument of a filter is a name of attributes, as its place and as its keyword. */
static int attribute_place(const jstr *filter) {
    if (is_word(filter, " selectattr rejectattr groupby sum attr ")) return 1;
    if (is_word(filter, " join unique min max ")) return 2;
    return is_word(filter, " sort ") ? 3 : -1;
}

static void check_attribute_argument(template_scan *t, const jnode *n, const jnode *argument) {
    bool text = argument->type == JN_CONST && argument->value.kind == JK_STRING;
    if (text)
        check_attribute(t, n, argument->value.as.s, true);
    else if (argument->type != JN_CONST)
        tell_node(t, TOLA_UNKNOWN, n, "an attribute whose name is made while it runs, by");
}

static void check_filter(template_scan *t, const jnode *n) {
    const jstr *name = n->value.as.s;
    bool is_map = is_word(name, " map ");
    int at = attribute_place(name);
    if (is_word(name, " attr ") || !is_word(name, pure_filters))
        tell_node(t, TOLA_UNKNOWN, n, "uses a filter that is not known here:");
    for (uint32_t i = 1; i < n->n; i++) {
        const jnode *a = n->kid[i];
        bool keyword = a->type == JN_KEYWORD;
        if (a->type == JN_STAR || a->type == JN_STAR_STAR)
            tell_node(t, TOLA_UNKNOWN, n, "a filter with arguments that are made while it runs:");
        else if (keyword && is_word(a->value.as.s, " attribute name "))
            check_attribute_argument(t, n, a->kid[0]);
        else if (!keyword && (int)i == at)
            check_attribute_argument(t, n, a);
        else if (!keyword && is_map && i == 1 &&
                 !(a->type == JN_CONST && a->value.kind == JK_STRING && is_word(a->value.as.s, pure_filters) &&
                   attribute_place(a->value.as.s) < 0 && !is_word(a->value.as.s, " map ")))
            tell_node(t, TOLA_UNKNOWN, n, "a filter that is not known here, in");
    }
    /* map('attr', '__class__'), map('map', attribute='...') */
    for (uint32_t i = 1; is_map && i < n->n; i++)
        if (n->kid[i]->type == JN_CONST && n->kid[i]->value.kind == JK_STRING)
            check_attribute(t, n, n->kid[i]->value.as.s, true);
}

static void check_item(template_scan *t, const jnode *n, const uint32_t *kids) {
    const jnode *key = n->kid[1];
    if (key->type == JN_CONST && key->value.kind == JK_STRING)
        check_attribute(t, n, key->value.as.s, false);
    else if (key->type != JN_CONST && t->result[kids[1]] & BUILT)
        tell_node(t, TOLA_UNKNOWN, n, "an attribute or item whose name may be anything");
}

static void check_node(template_scan *t, const item *it) {
    const jnode *n = it->node;
    size_t count;
    const uint32_t *kids = kids_of(t, n, &count);
    switch ((jnode_type)n->type) {
    case JN_UNSUPPORTED: tell_node(t, TOLA_UNKNOWN, n, "reads another template:"); break;
    case JN_ATTRIBUTE:
        check_attribute(t, n, n->value.as.s, false);
        if (n->kid[0]->type == JN_NAME && !t->names[t->items[kids[0]].name - 1].written &&
            is_word(n->kid[0]->value.as.s, " lipsum self config request url_for get_flashed_messages g session "))
            tell_node(t, TOLA_UNKNOWN, n->kid[0], "uses");
        break;
    case JN_ITEM: check_item(t, n, kids); break;
    case JN_CALL: check_call(t, n, kids); break;
    case JN_FILTER: check_filter(t, n); break;
    case JN_NAME:
        if (leads_inside(n->value.as.s->data, n->value.as.s->length) && n->value.as.s->length > 1 &&
            n->value.as.s->data[1] == '_')
            tell_node(t, TOLA_DANGEROUS, n, "reaches for Python's insides:");
        break;
    case JN_CONST:
        if (n->value.kind == JK_STRING && names_insides(n->value.as.s))
            tell_node(t, TOLA_DANGEROUS, n, "names Python's insides:");
        break;
    default: break;
    }
}

/* One walk: values, what names hold and, at last, findings. */
static void walk(template_scan *t, bool check) {
    t->depth = 0;
    t->changed = false;
    for (size_t i = 0; i < t->count; i++) {
        const item *it = &t->items[i];
        size_t count;
        t->result[i] = value_of(t, it);
        bind_all(t, it);
        if (check) check_node(t, it);
        (void)kids_of(t, it->node, &count);
        t->depth -= count;
        t->stack[t->depth++] = (uint32_t)i;
    }
}

static void mark_called(template_scan *t) {
    t->depth = 0;
    for (size_t i = 0; i < t->count; i++) {
        const jnode *n = t->items[i].node;
        size_t count;
        const uint32_t *kids = kids_of(t, n, &count);
        if (n->type == JN_CALL && n->kid[0]->type == JN_NAME) t->items[kids[0]].called = true;
        if (n->type == JN_MACRO) find_name(t, n->kid[0]->value.as.s)->macro = true;
        t->depth -= count;
        t->stack[t->depth++] = (uint32_t)i;
    }
}

static void scan_tree(template_scan *t, const jinja_template *tree) {
    add_scope(t, tree->scope);
    list_nodes(t, tree->body);
    if (t->failed) return;
    sort_names(t);
    t->result = mem_alloc(t->count + 1);
    t->stack = mem_alloc((t->count + 1) * sizeof *t->stack);
    if (!t->result || !t->stack) {
        no_memory(t);
        return;
    }
    mark_called(t);
    find_sure(t, tree->body);
    if (t->failed) return;
    unsigned rounds = 0;
    do walk(t, false);
    while (t->changed && ++rounds < MAX_ROUNDS);
    if (t->changed) tell(t, TOLA_UNKNOWN, 1, "values that cannot be followed", "", 0);
    walk(t, true);
}

/* What cannot be parsed: its words alone. Nothing here makes it safer. */
static void scan_words(const template_scan *t) {
    const char *p = t->text, *end = t->text + t->length;
    while ((p = memmem(p, (size_t)(end - p), "__", 2))) {
        size_t n = 2;
        while (p + n < end && (isalnum((uint8_t)p[n]) || p[n] == '_')) n++;
        if (n > 4 && p[n - 1] == '_' && p[n - 2] == '_' && isalpha((uint8_t)p[2]))
            scan_find(t->job, t->part, TOLA_DANGEROUS, "template", (uint64_t)(p - t->text),
                      "reaches for Python's insides: '%.*s'", (int)(n < 60 ? n : 60), p);
        p += n;
    }
}

void scan_template_text(scan_job *job, const scan_part *part, const char *where, const char *text, size_t length) {
    template_scan t = { .job = job, .part = part, .where = where, .text = text, .length = length };
    tola_error err = TOLA_ERROR_INIT;
    jinja_template *tree;
    tola_status status = jinja_compile(text, length, &tree, &err);
    if (status == TOLA_OK) {
        scan_tree(&t, tree);
        mem_free(t.items);
        mem_free(t.names);
        mem_free(t.result);
        mem_free(t.stack);
        jinja_free(tree);
    } else if (status == TOLA_E_NOMEM) {
        scan_stop(job, status, &err);
    } else {
        tell(&t, TOLA_UNKNOWN, 1, "a template that cannot be read:", err.message, strlen(err.message));
        scan_words(&t);
    }
}

void scan_template(scan_job *job, const scan_part *part) {
    uint8_t *text = part_load(job, part, MAX_TEMPLATE, "template");
    if (text) scan_template_text(job, part, NULL, (const char *)text, (size_t)part_bytes(part));
    mem_free(text);
}
