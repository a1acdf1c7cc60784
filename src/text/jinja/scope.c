/* Which variable a name means, decided before anything runs.
 *
 * The rules are jinja2's. A scope (the template, a loop's body, a macro, ...) has a variable of its own for each name
 * that it assigns to, and for each name that it reads and no scope around it knows. Such a variable begins as a copy of
 * the outer one where there is one; else as the variable of that name that the caller passed, where the name is read
 * first or assigned to under a condition; else as undefined. Assigning never changes a variable of an outer scope. */
#include "text/jinja/syntax.h"

typedef struct binder {
    jinja_run *e;
} binder;

static jref *own_ref(const binder *b, const jscope *s, const jstr *name) {
    jinja_charge(b->e, s->n * (size_t)16);
    for (uint32_t i = 0; i < s->n; i++)
        if (jstr_equal(s->refs[i].name, name)) return &s->refs[i];
    return NULL;
}

/* The variable that `name` means in scope s, and how many functions outwards it is. */
static const jref *find_ref(const binder *b, const jscope *s, const jstr *name, uint16_t *hops) {
    *hops = 0;
    for (; s; s = s->parent) {
        const jref *r = own_ref(b, s, name);
        if (r) return r;
        if (s->parent && s->parent->function != s->function) ++*hops;
    }
    return NULL;
}

static jref *add_ref(binder *b, jscope *s, const jstr *name, jload load) {
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 8;
        jref *refs = jinja_alloc(b->e, cap, sizeof *refs);
        if (s->n) memcpy(refs, s->refs, s->n * sizeof *refs);
        s->refs = refs;
        s->cap = cap;
    }
    jref *r = &s->refs[s->n++];
    *r = (jref){ .name = name, .load = (uint8_t)load, .slot = s->function->slots++ };
    return r;
}

static void declare(binder *b, jscope *s, const jstr *name) {
    jref *r = own_ref(b, s, name);
    if (r) r->load = JL_PARAMETER;
    else add_ref(b, s, name, JL_PARAMETER);
}

static void mention(binder *b, jscope *s, const jstr *name, bool store, bool conditional) {
    uint16_t hops;
    jinja_charge(b->e, 0);
    if (own_ref(b, s, name)) return;
    const jref *outer = s->parent ? find_ref(b, s->parent, name, &hops) : NULL;
    if (outer) {
        if (!store) return;
        if (s->parent->function != s->function) hops++;
        uint32_t from = outer->slot;
        jref *r = add_ref(b, s, name, JL_ALIAS);
        r->from = from;
        r->hops = hops;
    } else {
        add_ref(b, s, name, store && !conditional ? JL_MISSING : JL_RESOLVE);
    }
}

/* Names that the statement or expression mentions in scope s itself, in the order in which they stand. */
static void collect(binder *b, jscope *s, const jnode *n, bool conditional) {
    if (!n) return;
    jinja_enter(b->e);
    switch ((jnode_type)n->type) {
    case JN_NAME: mention(b, s, n->value.as.s, n->store, conditional); break;
    case JN_MACRO: mention(b, s, n->kid[0]->value.as.s, true, conditional); break;
    case JN_FOR: collect(b, s, n->kid[1], conditional); break;
    case JN_CALL_BLOCK:
    case JN_FILTER_BLOCK: collect(b, s, n->kid[0], conditional); break;
    case JN_SET_BLOCK: collect(b, s, n->kid[0], conditional); break;
    case JN_SET:
        collect(b, s, n->kid[1], conditional);
        collect(b, s, n->kid[0], conditional);
        break;
    case JN_WITH:
        for (uint32_t i = 2; i < n->n; i += 2) collect(b, s, n->kid[i], conditional);
        break;
    case JN_GENERATION: break;
    case JN_IF:
        for (uint32_t i = 0; i < n->n; i++) collect(b, s, n->kid[i], conditional || i > 0);
        break;
    case JN_COND: /* the condition stands in the middle, the value first */
        collect(b, s, n->kid[0], conditional);
        collect(b, s, n->kid[1], conditional);
        collect(b, s, n->kid[2], conditional);
        break;
    default:
        for (uint32_t i = 0; i < n->n; i++) collect(b, s, n->kid[i], conditional);
        break;
    }
    jinja_leave(b->e);
}

/* Targets of a loop or of {% with %}: variables of the scope that are set on entering. */
static void declare_target(binder *b, jscope *s, const jnode *n) {
    if (n->type == JN_NAME) declare(b, s, n->value.as.s);
    for (uint32_t i = 0; n->type == JN_TUPLE && i < n->n; i++) declare_target(b, s, n->kid[i]);
}

static jscope *new_scope(binder *b, jscope *parent, bool function) {
    jscope *s = jinja_alloc(b->e, 1, sizeof *s);
    *s = (jscope){ .parent = parent, .function = parent ? parent->function : NULL };
    if (function || !parent) {
        s->function = jinja_alloc(b->e, 1, sizeof *s->function);
        *s->function = (jfunction){ 0 };
    }
    return s;
}

static void bind(binder *b, jscope *s, jnode *n);

static void bind_list(binder *b, jscope *s, jnode **kid, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) bind(b, s, kid[i]);
}

/* Is `name` read anywhere in the tree before it is assigned to? */
static bool reads(binder *b, const jnode *n, const char *name, bool *assigned) {
    if (!n || *assigned) return false;
    jinja_charge(b->e, 0);
    if (n->type == JN_NAME && jstr_is(n->value.as.s, name)) {
        if (n->store) *assigned = true;
        return !n->store;
    }
    jinja_enter(b->e);
    bool found = false;
    uint32_t first = n->type == JN_MACRO ? 1 : 0;
    for (uint32_t i = first; i < n->n && !found; i++) found = reads(b, n->kid[i], name, assigned);
    jinja_leave(b->e);
    return found;
}

static void bind_function(binder *b, jscope *s, jnode *n) {
    static const char *const special[] = { "caller", "kwargs", "varargs" };
    jscope *inner = n->scope[0] = new_scope(b, s, true);
    for (uint32_t i = 2; i < n->n; i++) declare(b, inner, n->kid[i]->value.as.s);
    for (unsigned k = 0; k < 3; k++) {
        bool assigned = false, parameter = false;
        if (!reads(b, n->kid[1], special[k], &assigned)) continue;
        const jnode *given = NULL;
        for (uint32_t i = 2; i < n->n; i++)
            if (jstr_is(n->kid[i]->value.as.s, special[k])) given = n->kid[i];
        parameter = given != NULL;
        if (k == 0 && parameter && given->n == 0) {
            b->e->line = n->line;
            jinja_bad(b->e, "the special parameter \"caller\" must be omitted or be given a default");
        }
        if (k == 0 || !parameter) n->takes |= (uint8_t)(1u << k);
        if (!parameter) declare(b, inner, jstr_copy(b->e, special[k], strlen(special[k]), 0));
    }
    for (uint32_t i = 2; i < n->n; i++)
        if (n->kid[i]->n) collect(b, inner, n->kid[i]->kid[0], false);
    collect(b, inner, n->kid[1], false);
    for (uint32_t i = 2; i < n->n; i++) {
        n->kid[i]->slot = own_ref(b, inner, n->kid[i]->value.as.s)->slot;
        if (n->kid[i]->n) bind(b, inner, n->kid[i]->kid[0]);
    }
    for (unsigned k = 0; k < 3; k++) {
        jstr name = { special[k], strlen(special[k]), strlen(special[k]), NULL, 0, false, NULL };
        const jref *r = own_ref(b, inner, &name);
        n->special[k] = r ? r->slot : 0;
    }
    bind(b, inner, n->kid[1]);
}

static void refuse_loop(binder *b, const jnode *n) {
    if (!n) return;
    jinja_enter(b->e);
    jinja_charge(b->e, 0);
    if (n->type == JN_NAME && n->store && jstr_is(n->value.as.s, "loop")) {
        b->e->line = n->line;
        jinja_bad(b->e, "can't assign to the special variable loop inside a loop");
    }
    if (n->type != JN_FOR) /* inner loops look for themselves */
        for (uint32_t i = n->type == JN_MACRO ? 1 : 0; i < n->n; i++) refuse_loop(b, n->kid[i]);
    jinja_leave(b->e);
}

static void bind_for(binder *b, jscope *s, jnode *n) {
    static const jstr loop = { "loop", 4, 4, NULL, 0, false, NULL };
    for (uint32_t i = 0; i < n->n; i++) refuse_loop(b, n->kid[i]);
    bind(b, s, n->kid[1]);
    n->special[1] = s->function->slots;
    jscope *body = n->scope[0] = new_scope(b, s, false);
    declare(b, body, &loop); /* slot of `loop`: the first */
    declare_target(b, body, n->kid[0]);
    collect(b, body, n->kid[3], false);
    bind(b, body, n->kid[0]);
    bind(b, body, n->kid[3]);
    if (n->kid[4]) {
        n->scope[1] = new_scope(b, s, false);
        collect(b, n->scope[1], n->kid[4], false);
        bind(b, n->scope[1], n->kid[4]);
    }
    if (n->kid[2]) { /* the condition sees the target, in variables of its own */
        jscope *test = n->scope[2] = new_scope(b, s, false);
        declare_target(b, test, n->kid[0]);
        collect(b, test, n->kid[2], false);
        bind(b, test, n->kid[5]);
        bind(b, test, n->kid[2]);
    }
    n->special[0] = s->function->slots - n->special[1];
}

static void bind(binder *b, jscope *s, jnode *n) {
    if (!n) return;
    jinja_enter(b->e);
    switch ((jnode_type)n->type) {
    case JN_NAME: {
        const jref *r = find_ref(b, s, n->value.as.s, &n->hops);
        if (!r) { /* arguments of a filter of {% set %}: nobody looked at them yet */
            collect(b, s, n, false);
            r = find_ref(b, s, n->value.as.s, &n->hops);
        }
        n->slot = r->slot;
        break;
    }
    case JN_MACRO:
        bind(b, s, n->kid[0]);
        bind_function(b, s, n);
        break;
    case JN_CALL_BLOCK:
        bind(b, s, n->kid[0]);
        bind_function(b, s, n);
        break;
    case JN_FOR: bind_for(b, s, n); break;
    case JN_FILTER_BLOCK:
    case JN_SET_BLOCK:
    case JN_GENERATION: {
        jscope *inner = n->scope[0] = new_scope(b, s, false);
        uint32_t first = n->type == JN_SET_BLOCK ? 1 : 0;
        if (first) bind(b, s, n->kid[0]);
        for (uint32_t i = n->n; i-- > first;) collect(b, inner, n->kid[i], false); /* the body first */
        bind_list(b, inner, n->kid + first, n->n - first);
        break;
    }
    case JN_WITH: {
        jscope *inner = n->scope[0] = new_scope(b, s, false);
        for (uint32_t i = 1; i < n->n; i += 2) declare_target(b, inner, n->kid[i]);
        collect(b, inner, n->kid[0], false);
        for (uint32_t i = 1; i < n->n; i += 2) {
            bind(b, inner, n->kid[i]);
            bind(b, s, n->kid[i + 1]);
        }
        bind(b, inner, n->kid[0]);
        break;
    }
    default: bind_list(b, s, n->kid, n->n); break;
    }
    jinja_leave(b->e);
}

void jinja_bind(jinja_run *e, jinja_template *t, jnode *body) {
    binder b = { e };
    t->scope = new_scope(&b, NULL, false);
    collect(&b, t->scope, body, false);
    bind(&b, t->scope, body);
    t->body = body;
}
