/* Running a template: statements write to a text, expressions give values. */
#include "text/jinja/engine.h"

#include <math.h>
#include <stdlib.h>

#define MAX_CALLS 200    /* macros and recursive loops within each other; Python gives up somewhat later */

typedef struct jframe jframe;
struct jframe { /* variables of one call of a function */
    jframe *outer;
    jv slots[];
};

struct jmacro {
    const jnode *node;
    jframe *outer;
    const jstr *name; /* NULL: a call block */
};

struct jloop {
    jiter it;
    jv over;
    const jnode *node;
    jframe *frame;
    jv before, current, after; /* JK_MISSING where there is none */
    jv changed;                /* arguments of the last loop.changed() */
    size_t index0, depth0;
    jv rest; /* items that were fetched to count them: a generator */
    bool counted;
    size_t length;
};

typedef enum { RUN_ON, RUN_BREAK, RUN_CONTINUE } jsignal;

static jv eval(jinja_run *e, jframe *f, const jnode *n);
static jsignal exec(jinja_run *e, jframe *f, const jnode *n, jbuild *out);

/* ---- variables ---- */

static jframe *outwards(jframe *f, unsigned hops) {
    while (hops--) f = f->outer;
    return f;
}

static jframe *new_frame(jinja_run *e, const jscope *s, jframe *outer) {
    size_t slots = s->function->slots;
    jframe *f = jinja_alloc(e, 1, sizeof *f + slots * sizeof f->slots[0]);
    f->outer = outer;
    memset(f->slots, 0, slots * sizeof f->slots[0]); /* JK_MISSING */
    jinja_charge(e, slots * 16);
    return f;
}

static jv resolve(jinja_run *e, const jstr *name) {
    const jv *given = jdict_get(e, e->variables, jv_str(name));
    if (given) return *given;
    int id = jinja_function_id(name);
    return id < 0 ? jv_kind(JK_MISSING) : (jv){ .kind = JK_FUNCTION, .sub = (uint16_t)id };
}

static void enter_scope(jinja_run *e, jframe *f, const jscope *s) {
    jinja_charge(e, s->n * (size_t)16);
    for (uint32_t i = 0; i < s->n; i++) {
        const jref *r = &s->refs[i];
        if (r->load == JL_RESOLVE) f->slots[r->slot] = resolve(e, r->name);
        else if (r->load == JL_ALIAS) f->slots[r->slot] = outwards(f, r->hops)->slots[r->from];
        else if (r->load == JL_MISSING) f->slots[r->slot] = jv_kind(JK_MISSING);
    }
}

static void assign_namespace(jinja_run *e, jframe *f, const jnode *n, jv value) {
    jv ns = outwards(f, n->kid[0]->hops)->slots[n->kid[0]->slot];
    e->line = n->line;
    if (ns.kind != JK_NAMESPACE) jinja_bad(e, "cannot assign attribute on non-namespace object");
    if (n->value.as.s->length && n->value.as.s->data[0] == '_')
        jinja_fail(e, TOLA_E_UNSAFE, "a namespace cannot have an attribute that begins with an underscore");
    jdict_set(e, ns.as.d, n->value, value);
}

static void assign(jinja_run *e, jframe *f, const jnode *n, jv value) {
    if (n->type == JN_NAME) {
        f->slots[n->slot] = value; /* targets are variables of the function that runs */
        return;
    }
    if (n->type == JN_NSREF) {
        assign_namespace(e, f, n, value);
        return;
    }
    e->line = n->line;
    jiter it;
    if (!jiter_begin(e, value, &it)) jinja_bad(e, "cannot unpack non-iterable %s object", jv_type(value));
    jv item;
    jinja_enter(e);
    for (uint32_t i = 0; i < n->n; i++) {
        if (!jiter_next(e, &it, &item))
            jinja_bad(e, "not enough values to unpack (expected %u, got %u)", (unsigned)n->n, (unsigned)i);
        assign(e, f, n->kid[i], item);
    }
    if (jiter_next(e, &it, &item)) jinja_bad(e, "too many values to unpack (expected %u)", (unsigned)n->n);
    jinja_leave(e);
}

/* ---- loops ---- */

static bool loop_pull(jinja_run *e, jloop *loop, jv *item) {
    if (loop->rest.kind == JK_ITER) return jiter_next(e, loop->rest.as.it, item);
    const jnode *n = loop->node;
    while (jiter_next(e, &loop->it, item)) {
        if (!n->kid[2]) return true;
        jframe *f = loop->frame;
        assign(e, f, n->kid[5], *item); /* the condition's own copy of the target */
        if (jv_truth(eval(e, f, n->kid[2]))) return true;
    }
    return false;
}

static bool loop_next(jinja_run *e, jloop *loop, jv *item) {
    if (loop->after.kind != JK_MISSING) {
        *item = loop->after;
        loop->after = jv_kind(JK_MISSING);
    } else if (!loop_pull(e, loop, item)) {
        return false;
    }
    loop->index0++;
    loop->before = loop->current;
    loop->current = *item;
    return true;
}

static bool loop_peek(jinja_run *e, jloop *loop) {
    jv item;
    if (loop->after.kind == JK_MISSING && loop_pull(e, loop, &item)) loop->after = item;
    return loop->after.kind != JK_MISSING;
}

static size_t loop_length(jinja_run *e, jloop *loop) {
    if (loop->counted) return loop->length;
    if (loop->node->kid[2] || !jv_length(loop->over, &loop->length)) {
        jvec rest = { 0 };
        jv item;
        while (loop_pull(e, loop, &item)) jvec_push(e, &rest, item);
        loop->rest = jv_iter(e, jvec_list(e, &rest), false);
        loop->length = rest.n + loop->index0 + 1 + (loop->after.kind != JK_MISSING);
    }
    loop->counted = true;
    return loop->length;
}

bool jinja_loop_attribute(jinja_run *e, jloop *loop, const jstr *name, jv *out) {
    size_t index0 = loop->index0;
    if (jstr_is(name, "index")) *out = jv_int((int64_t)index0 + 1);
    else if (jstr_is(name, "index0")) *out = jv_int((int64_t)index0);
    else if (jstr_is(name, "first")) *out = jv_bool(index0 == 0);
    else if (jstr_is(name, "last")) *out = jv_bool(!loop_peek(e, loop));
    else if (jstr_is(name, "length")) *out = jv_int((int64_t)loop_length(e, loop));
    else if (jstr_is(name, "revindex")) *out = jv_int((int64_t)loop_length(e, loop) - (int64_t)index0);
    else if (jstr_is(name, "revindex0")) *out = jv_int((int64_t)loop_length(e, loop) - (int64_t)index0 - 1);
    else if (jstr_is(name, "depth")) *out = jv_int((int64_t)loop->depth0 + 1);
    else if (jstr_is(name, "depth0")) *out = jv_int((int64_t)loop->depth0);
    else if (jstr_is(name, "previtem"))
        *out = index0 == 0 ? jv_undefined(e, "there is no previous item") : loop->before;
    else if (jstr_is(name, "nextitem"))
        *out = loop_peek(e, loop) ? loop->after : jv_undefined(e, "there is no next item");
    else return false;
    return true;
}

jv jinja_loop_call(jinja_run *e, jloop *loop, bool cycle, const jargs *a) {
    if (a->n_kw) jinja_bad(e, "loop.%s takes no keyword arguments", cycle ? "cycle" : "changed");
    if (cycle) {
        if (a->n == 0) jinja_bad(e, "no items for cycling given");
        return a->v[loop->index0 % a->n];
    }
    jv values = jv_tuple(e, a->n);
    if (a->n) memcpy(jv_items(values), a->v, a->n * sizeof(jv));
    bool same = loop->changed.kind != JK_MISSING && jv_equal(e, loop->changed, values);
    loop->changed = values;
    return jv_bool(!same);
}

static jsignal run_loop(jinja_run *e, jframe *f, const jnode *n, jv over, size_t depth0, jbuild *out) {
    e->line = n->line;
    jloop *loop = jinja_alloc(e, 1, sizeof *loop);
    *loop = (jloop){ .over = over, .node = n, .frame = f, .index0 = SIZE_MAX, .depth0 = depth0 };
    if (!jiter_begin(e, over, &loop->it)) jinja_bad(e, "'%s' object is not iterable", jv_type(over));
    if (n->scope[2]) enter_scope(e, f, n->scope[2]);
    jv item;
    bool empty = true;
    while (loop_next(e, loop, &item)) {
        assign(e, f, n->kid[0], item);
        f->slots[n->scope[0]->refs[0].slot] = (jv){ .kind = JK_LOOP, .as.loop = loop };
        enter_scope(e, f, n->scope[0]);
        jsignal s = exec(e, f, n->kid[3], out);
        if (s == RUN_BREAK) break;
        if (s == RUN_ON) empty = false; /* jinja2 notes it at the end of the body: continue passes that by */
    }
    if (empty && n->kid[4]) {
        enter_scope(e, f, n->scope[1]);
        return exec(e, f, n->kid[4], out);
    }
    return RUN_ON;
}

static jsignal exec_for(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    return run_loop(e, f, n, eval(e, f, n->kid[1]), 0, out);
}

static void call_deeper(jinja_run *e) {
    if (++e->calls > MAX_CALLS)
        jinja_fail(e, TOLA_E_LIMIT, "macros and recursive loops call each other deeper than %d levels", MAX_CALLS);
}

/* loop(items): the text of the same loop over these, with variables of its own. */
static jv call_loop(jinja_run *e, const jloop *loop, const jargs *a) {
    const jnode *n = loop->node;
    if (!n->recursive) jinja_bad(e, "the loop must have the 'recursive' marker to be called recursively");
    jv over;
    jinja_bind_args(e, "loop", a, "!iterable", &over);
    call_deeper(e);
    uint32_t line = e->line;
    jv *own = loop->frame->slots + n->special[1], *kept = jinja_alloc(e, n->special[0], sizeof *kept);
    jinja_charge(e, n->special[0] * (size_t)16);
    memcpy(kept, own, n->special[0] * sizeof *kept);
    jbuild out;
    jbuild_init(&out, e);
    run_loop(e, loop->frame, n, over, loop->depth0 + 1, &out);
    memcpy(own, kept, n->special[0] * sizeof *kept);
    e->line = line;
    e->calls--;
    return jv_str(jbuild_done(&out));
}

/* ---- macros ---- */

static jv make_macro(jinja_run *e, jframe *f, const jnode *n, const jstr *name) {
    jmacro *m = jinja_alloc(e, 1, sizeof *m);
    *m = (jmacro){ n, f, name };
    return (jv){ .kind = JK_MACRO, .as.macro = m };
}

bool jinja_macro_attribute(jinja_run *e, const jmacro *m, const jstr *name, jv *out) {
    if (jstr_is(name, "name")) {
        *out = m->name ? jv_str(m->name) : jv_none();
    } else if (jstr_is(name, "arguments")) {
        *out = jv_tuple(e, m->node->n - 2);
        for (uint32_t i = 2; i < m->node->n; i++) jv_items(*out)[i - 2] = m->node->kid[i]->value;
    } else if (jstr_is(name, "catch_kwargs")) {
        *out = jv_bool(m->node->takes & TAKES_KWARGS);
    } else if (jstr_is(name, "catch_varargs")) {
        *out = jv_bool(m->node->takes & TAKES_VARARGS);
    } else if (jstr_is(name, "caller")) {
        *out = jv_bool(m->node->takes & TAKES_CALLER);
    } else {
        return false;
    }
    return true;
}

/* Keyword arguments that no parameter took. */
static jv macro_rest(jinja_run *e, const jargs *a, const bool *taken) {
    jv rest = jv_dict(e);
    for (size_t i = 0; i < a->n_kw; i++)
        if (!taken[i]) jdict_set(e, rest.as.d, a->kw[i].key, a->kw[i].value);
    return rest;
}

static void macro_arguments(jinja_run *e, jframe *g, const jmacro *m, const jargs *a) {
    const jnode *n = m->node;
    uint32_t parameters = n->n - 2;
    const char *name = m->name ? m->name->data : "caller";
    int length = m->name ? (int)m->name->length : 6;
    bool *taken = jinja_alloc(e, a->n_kw + 1, sizeof *taken), explicit_caller = false;
    memset(taken, 0, (a->n_kw + 1) * sizeof *taken);
    for (uint32_t i = 0; i < parameters; i++) {
        const jnode *p = n->kid[i + 2];
        explicit_caller = explicit_caller || jstr_is(p->value.as.s, "caller");
        if (i < a->n) {
            g->slots[p->slot] = a->v[i];
            continue;
        }
        jinja_charge(e, a->n_kw * 16);
        for (size_t k = 0; k < a->n_kw; k++) {
            if (taken[k] || !jstr_equal(a->kw[k].key.as.s, p->value.as.s)) continue;
            g->slots[p->slot] = a->kw[k].value;
            taken[k] = true;
        }
    }
    if ((n->takes & TAKES_CALLER) && !explicit_caller) {
        jv caller = jv_undefined(e, "no caller defined");
        for (size_t k = 0; k < a->n_kw; k++) {
            if (!jstr_is(a->kw[k].key.as.s, "caller")) continue;
            if (a->kw[k].value.kind != JK_NONE) caller = a->kw[k].value;
            taken[k] = true;
        }
        g->slots[n->special[0]] = caller;
    }
    if (n->takes & TAKES_KWARGS) {
        g->slots[n->special[1]] = macro_rest(e, a, taken);
    } else {
        for (size_t k = 0; k < a->n_kw; k++)
            if (!taken[k])
                jinja_bad(e, "macro '%.*s' takes no keyword argument '%.*s'", length, name,
                          (int)a->kw[k].key.as.s->length, a->kw[k].key.as.s->data);
    }
    if (n->takes & TAKES_VARARGS) {
        size_t more = a->n > parameters ? a->n - parameters : 0;
        jv rest = jv_tuple(e, more);
        if (more) memcpy(jv_items(rest), a->v + parameters, more * sizeof(jv));
        g->slots[n->special[2]] = rest;
    } else if (a->n > parameters) {
        jinja_bad(e, "macro '%.*s' takes not more than %u argument(s)", length, name, (unsigned)parameters);
    }
}

static jv call_macro(jinja_run *e, const jmacro *m, const jargs *a) {
    const jnode *n = m->node;
    const jscope *s = n->scope[0];
    call_deeper(e);
    uint32_t line = e->line;
    jframe *g = new_frame(e, s, m->outer);
    macro_arguments(e, g, m, a);
    enter_scope(e, g, s);
    for (uint32_t i = 2; i < n->n; i++) {
        const jnode *p = n->kid[i];
        if (g->slots[p->slot].kind != JK_MISSING) continue;
        if (p->n) g->slots[p->slot] = eval(e, g, p->kid[0]);
        else g->slots[p->slot] = jv_undefined_name(e, NULL, p->value.as.s);
    }
    jbuild out;
    jbuild_init(&out, e);
    exec(e, g, n->kid[1], &out);
    e->line = line;
    e->calls--;
    return jv_str(jbuild_done(&out));
}

/* ---- calls ---- */

typedef struct call_list {
    jvec v;
    jpair *kw;
    size_t n_kw, cap_kw;
} call_list;

static void add_keyword(jinja_run *e, call_list *c, jv key, jv value) {
    if (key.kind != JK_STRING) jinja_bad(e, "keywords must be strings");
    for (size_t i = 0; i < c->n_kw; i++) {
        jinja_charge(e, 0);
        if (jstr_equal(c->kw[i].key.as.s, key.as.s))
            jinja_bad(e, "multiple values for keyword argument '%.*s'", (int)key.as.s->length, key.as.s->data);
    }
    if (c->n_kw == c->cap_kw) {
        size_t cap = c->cap_kw ? c->cap_kw * 2 : 4;
        jpair *kw = jinja_alloc(e, cap, sizeof *kw);
        if (c->n_kw) memcpy(kw, c->kw, c->n_kw * sizeof *kw);
        c->kw = kw;
        c->cap_kw = cap;
    }
    c->kw[c->n_kw++] = (jpair){ key, value };
}

static jargs eval_arguments(jinja_run *e, jframe *f, const jnode *n, call_list *c) {
    e->line = n->line;
    for (uint32_t i = 1; i < n->n; i++) {
        const jnode *k = n->kid[i];
        if (k->type == JN_KEYWORD) {
            add_keyword(e, c, k->value, eval(e, f, k->kid[0]));
        } else if (k->type == JN_STAR) {
            jv list = jv_listed(e, eval(e, f, k->kid[0]));
            for (size_t j = 0; j < list.as.l->n; j++) jvec_push(e, &c->v, list.as.l->v[j]);
        } else if (k->type == JN_STAR_STAR) {
            jv map = eval(e, f, k->kid[0]);
            jv_need_defined(e, map);
            if (map.kind != JK_DICT) jinja_bad(e, "the argument after ** must be a mapping, not %s", jv_type(map));
            const jdict *d = map.as.d;
            for (size_t j = 0; j < d->n; j++) add_keyword(e, c, d->pairs[j].key, d->pairs[j].value);
        } else {
            jvec_push(e, &c->v, eval(e, f, k));
        }
    }
    return (jargs){ c->v.v, c->v.n, c->kw, c->n_kw };
}

void jinja_bind_args(jinja_run *e, const char *function, const jargs *a, const char *spec, jv *out) {
    size_t at = 0, used = 0;
    for (const char *p = spec; *p;) {
        bool required = *p == '!';
        p += required;
        bool positional = *p == '-';
        p += positional;
        size_t n = strcspn(p, " ");
        out[at] = jv_kind(JK_MISSING);
        if (at < a->n) out[at] = a->v[at];
        for (size_t k = 0; k < a->n_kw && !positional; k++) {
            const jstr *key = a->kw[k].key.as.s;
            if (key->length != n || memcmp(key->data, p, n) != 0) continue;
            if (at < a->n) jinja_bad(e, "%s got multiple values for argument '%.*s'", function, (int)n, p);
            out[at] = a->kw[k].value;
            used++;
        }
        if (required && out[at].kind == JK_MISSING)
            jinja_bad(e, "%s lacks its argument '%.*s'", function, (int)n, p);
        at++;
        p += n;
        p += *p == ' ';
    }
    if (a->n > at) jinja_bad(e, "%s takes %zu arguments, not %zu", function, at, a->n);
    if (used < a->n_kw) jinja_bad(e, "%s got an unexpected keyword argument", function);
}

jv jinja_call(jinja_run *e, jv callee, const jargs *a) {
    jinja_enter(e);
    jinja_charge(e, 0);
    jv result;
    switch ((jinja_kind)callee.kind) {
    case JK_MACRO: result = call_macro(e, callee.as.macro, a); break;
    case JK_METHOD: result = jinja_call_method(e, callee.as.m, a); break;
    case JK_FUNCTION: result = jinja_call_function(e, callee.sub, a); break;
    case JK_JOINER:
        if (a->n || a->n_kw) jinja_bad(e, "a joiner takes no arguments");
        result = callee.as.cycler->at++ ? callee.as.cycler->items->v[0] : jv_str(&jstr_empty);
        break;
    case JK_UNDEFINED: jinja_undefined(e, callee);
    case JK_LOOP: result = call_loop(e, callee.as.loop, a); break;
    default: jinja_bad(e, "'%s' object is not callable", jv_type(callee));
    }
    jinja_leave(e);
    return result;
}

/* ---- arithmetic ---- */

static uint8_t mark_of(jv a, jv b) { return (uint8_t)((a.mark | b.mark) & JM_USER); }

static jv concat_lists(jinja_run *e, jv a, jv b) {
    size_t n = a.as.l->n + b.as.l->n;
    jinja_charge(e, n * 16);
    jv list = a.kind == JK_LIST ? jv_list(e, n) : jv_tuple(e, n);
    if (a.as.l->n) memcpy(jv_items(list), a.as.l->v, a.as.l->n * sizeof(jv));
    if (b.as.l->n) memcpy(jv_items(list) + a.as.l->n, b.as.l->v, b.as.l->n * sizeof(jv));
    list.mark = mark_of(a, b);
    return list;
}

static jv add(jinja_run *e, jv a, jv b) {
    if (a.kind != JK_STRING || b.kind != JK_STRING) {
        if (a.kind == b.kind && (a.kind == JK_LIST || a.kind == JK_TUPLE)) return concat_lists(e, a, b);
        jv_need_defined(e, a);
        jv_need_defined(e, b);
        jinja_bad(e, "unsupported operand type(s) for +: '%s' and '%s'", jv_type(a), jv_type(b));
    }
    const jstr *x = a.as.s, *y = b.as.s;
    bool safe = x->safe || y->safe;
    if (safe && !x->safe) x = jinja_escape_html(e, a);
    if (safe && !y->safe) y = jinja_escape_html(e, b);
    jbuild out;
    jbuild_begin(&out, e, x);
    jbuild_add(&out, y);
    return jv_str(jstr_safe(e, jbuild_done(&out), safe));
}

static jv repeat(jinja_run *e, jv x, jv times) {
    if (times.kind == JK_BIG) jinja_big(e);
    int64_t n = jv_integer(times);
    if (n < 0) n = 0;
    if (x.kind == JK_STRING) {
        jbuild out;
        jbuild_init(&out, e);
        jbuild_repeat(&out, x.as.s, (size_t)n);
        return jv_str(jstr_safe(e, jbuild_done(&out), x.as.s->safe));
    }
    size_t one = x.as.l->n;
    if (one && (uint64_t)n > e->output / sizeof(jv) / one) jinja_too_long(e);
    jinja_charge(e, one * (size_t)n * sizeof(jv));
    jv list = x.kind == JK_LIST ? jv_list(e, one * (size_t)n) : jv_tuple(e, one * (size_t)n);
    for (size_t i = 0; one && i < (size_t)n; i++) memcpy(jv_items(list) + i * one, x.as.l->v, one * sizeof(jv));
    list.mark = x.mark;
    return list;
}

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static jv power(jinja_run *e, int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) jinja_bad(e, "0.0 cannot be raised to a negative power");
        return jv_float(pow((double)base, (double)exponent));
    }
    int64_t result = 1;
    bool over = false;
    for (uint64_t left = (uint64_t)exponent; left;) {
        if (left & 1) over |= __builtin_mul_overflow(result, base, &result);
        left >>= 1;
        if (left && (base > 1 || base < -1)) over |= __builtin_mul_overflow(base, base, &base);
        else if (left && base == -1) base = 1;
        if (over) jinja_big(e);
    }
    return jv_int(result);
}

static jv integers(jinja_run *e, int op, int64_t a, int64_t b) {
    int64_t r = 0;
    bool over = false;
    switch (op) {
    case JT_ADD: over = __builtin_add_overflow(a, b, &r); break;
    case JT_SUB: over = __builtin_sub_overflow(a, b, &r); break;
    case JT_MUL: over = __builtin_mul_overflow(a, b, &r); break;
    case JT_POW: return power(e, a, b);
    default:
        if (b == 0) jinja_bad(e, "division by zero");
        if (op == JT_DIV) return jv_float((double)a / (double)b);
        if (b == -1) {
            if (op == JT_MOD) return jv_int(0);
            over = __builtin_sub_overflow(0, a, &r);
        } else {
            r = op == JT_FLOORDIV ? floor_div(a, b) : a - floor_div(a, b) * b;
        }
    }
    if (over) jinja_big(e);
    return jv_int(r);
}

/* Python's x % y: the sign of y. */
static double float_mod(double x, double y) {
    double m = fmod(x, y);
    if (m != 0) return (m < 0) != (y < 0) ? m + y : m;
    return copysign(0.0, y);
}

static double float_floor_div(double x, double y) {
    double m = fmod(x, y), d = (x - m) / y;
    if (m != 0 && (m < 0) != (y < 0)) d -= 1;
    if (d == 0) return copysign(0.0, x / y);
    double whole = floor(d);
    return d - whole > 0.5 ? whole + 1 : whole;
}

static jv floats(jinja_run *e, int op, double a, double b) {
    switch (op) {
    case JT_ADD: return jv_float(a + b);
    case JT_SUB: return jv_float(a - b);
    case JT_MUL: return jv_float(a * b);
    case JT_POW:
        if (a == 0 && b < 0) jinja_bad(e, "0.0 cannot be raised to a negative power");
        if (a < 0 && isfinite(a) && isfinite(b) && floor(b) != b)
            jinja_fail(e, TOLA_E_UNSUPPORTED, "complex numbers are not supported");
        if (isfinite(a) && isfinite(b) && !isfinite(pow(a, b))) jinja_bad(e, "numerical result out of range");
        return jv_float(pow(a, b));
    default: break;
    }
    if (b == 0) jinja_bad(e, "float division by zero");
    if (op == JT_DIV) return jv_float(a / b);
    return jv_float(op == JT_MOD ? float_mod(a, b) : float_floor_div(a, b));
}

static const char *operator_text(int op) {
    switch (op) {
    case JT_ADD: return "+";
    case JT_SUB: return "-";
    case JT_MUL: return "*";
    case JT_DIV: return "/";
    case JT_FLOORDIV: return "//";
    case JT_MOD: return "%";
    case JT_POW: return "**";
    case JT_LT: return "<";
    case JT_LTEQ: return "<=";
    case JT_GT: return ">";
    default: return ">=";
    }
}

static bool repeatable(jv x) { return x.kind == JK_STRING || x.kind == JK_LIST || x.kind == JK_TUPLE; }
static bool whole(jv x) { return x.kind == JK_INT || x.kind == JK_BOOL || x.kind == JK_BIG; }

jv jinja_binary(jinja_run *e, int op, jv a, jv b) {
    jv r;
    if (jv_number(a) && jv_number(b)) {
        if (a.kind == JK_FLOAT || b.kind == JK_FLOAT) r = floats(e, op, jv_double(a), jv_double(b));
        else r = integers(e, op, jv_integer(a), jv_integer(b));
        r.mark = mark_of(a, b);
        return r;
    }
    if (op == JT_ADD && !(whole(a) && whole(b))) return add(e, a, b);
    if (op == JT_MUL && repeatable(a) && whole(b)) return repeat(e, a, b);
    if (op == JT_MUL && repeatable(b) && whole(a)) return repeat(e, b, a);
    if (op == JT_MOD && a.kind == JK_STRING) return jinja_percent(e, a.as.s, b);
    jv_need_defined(e, a);
    jv_need_defined(e, b);
    if (a.kind == JK_BIG || b.kind == JK_BIG) jinja_big(e);
    jinja_bad(e, "unsupported operand type(s) for %s: '%s' and '%s'", operator_text(op), jv_type(a), jv_type(b));
}

bool jinja_compare(jinja_run *e, int op, jv a, jv b) {
    int c;
    switch (op) {
    case JT_EQ: return jv_equal(e, a, b);
    case JT_NE: return !jv_equal(e, a, b);
    case JT_IN: return jv_contains(e, b, a);
    case JT_NOT_IN: return !jv_contains(e, b, a);
    default: break;
    }
    c = jv_compare(e, a, b, operator_text(op));
    if (c == 2) return false; /* NaN */
    return op == JT_LT ? c < 0 : op == JT_LTEQ ? c <= 0 : op == JT_GT ? c > 0 : c >= 0;
}

static jv negate(jinja_run *e, jv x, bool minus) {
    if (x.kind == JK_FLOAT) {
        if (minus) x.as.f = -x.as.f;
        return x;
    }
    int64_t i = jv_need_int(e, x, minus ? "the operand of -" : "the operand of +");
    if (minus && i == INT64_MIN) jinja_big(e);
    jv r = jv_int(minus ? -i : i);
    r.mark = x.mark;
    return r;
}

/* ---- slices ---- */

static int64_t slice_bound(jinja_run *e, jv x, int64_t n, int64_t least, int64_t most, int64_t fallback) {
    if (x.kind == JK_NONE) return fallback;
    if (x.kind != JK_INT && x.kind != JK_BOOL)
        jinja_bad(e, "slice indices must be integers or None, not %s", jv_type(x));
    int64_t i = jv_integer(x);
    if (i < 0) i += n;
    return i < least ? least : i > most ? most : i;
}

static const jstr *slice_string(jinja_run *e, const jstr *s, int64_t from, int64_t step, size_t n) {
    if (step == 1) return jstr_cut(e, s, jstr_offset(e, s, (size_t)from), jstr_offset(e, s, (size_t)from + n));
    jbuild out;
    jbuild_init(&out, e);
    size_t *offset = NULL;
    if (s->chars != s->length) { /* where each code point begins */
        offset = jinja_alloc(e, s->chars + 1, sizeof *offset);
        for (size_t at = 0, k = 0; k <= s->chars; k++) {
            offset[k] = at;
            if (at < s->length) jstr_next(s, &at);
        }
    }
    for (size_t k = 0; k < n; k++, from += step) {
        size_t at = offset ? offset[from] : (size_t)from, end = offset ? offset[from + 1] : at + 1;
        jbuild_cut(&out, s, at, end);
    }
    return jstr_safe(e, jbuild_done(&out), s->safe);
}

jv jinja_slice(jinja_run *e, jv object, jv start, jv stop, jv step) {
    jv_need_defined(e, object);
    bool sequence = object.kind == JK_STRING || object.kind == JK_LIST || object.kind == JK_TUPLE ||
                    object.kind == JK_RANGE;
    if (!sequence) jinja_bad(e, "a '%s' object has no slices", jv_type(object));
    size_t length;
    jv_length(object, &length);
    int64_t n = (int64_t)length, by = 1;
    if (step.kind != JK_NONE) by = slice_bound(e, step, 0, INT64_MIN, INT64_MAX, 1);
    if (by == 0) jinja_bad(e, "slice step cannot be zero");
    if (by < -n - 1) by = -n - 1; /* as good as any beyond the length */
    if (by > n + 1) by = n + 1;
    int64_t least = by < 0 ? -1 : 0, most = by < 0 ? n - 1 : n;
    int64_t from = slice_bound(e, start, n, least, most, by < 0 ? n - 1 : 0);
    int64_t to = slice_bound(e, stop, n, least, most, by < 0 ? -1 : n);
    size_t count = 0;
    if (by > 0 && from < to) count = (size_t)((to - from - 1) / by) + 1;
    if (by < 0 && from > to) count = (size_t)((from - to - 1) / -by) + 1;
    jinja_charge(e, count);
    if (object.kind == JK_STRING)
        return jv_str(count ? slice_string(e, object.as.s, from, by, count) : jstr_safe(e, &jstr_empty,
                                                                                        object.as.s->safe));
    if (object.kind == JK_RANGE) {
        const jrange *r = object.as.r;
        jrange *part = jinja_alloc(e, 1, sizeof *part);
        *part = (jrange){ r->start + from * r->step, r->start + to * r->step, r->step * by, count };
        return (jv){ .kind = JK_RANGE, .as.r = part };
    }
    jv list = object.kind == JK_LIST ? jv_list(e, count) : jv_tuple(e, count);
    for (size_t i = 0; i < count; i++, from += by) jv_items(list)[i] = object.as.l->v[from];
    list.mark = object.mark;
    return list;
}

/* ---- expressions ---- */

static jv eval_name(jinja_run *e, jframe *f, const jnode *n) {
    jv v = outwards(f, n->hops)->slots[n->slot];
    return v.kind == JK_MISSING ? jv_undefined_name(e, NULL, n->value.as.s) : v;
}

static jv eval_compare(jinja_run *e, jframe *f, const jnode *n) {
    jv left = eval(e, f, n->kid[0]);
    for (uint32_t i = 1; i < n->n; i++) {
        jv right = eval(e, f, n->kid[i]->kid[0]);
        e->line = n->kid[i]->line;
        if (!jinja_compare(e, n->kid[i]->op, left, right)) return jv_bool(false);
        left = right;
    }
    return jv_bool(true);
}

static jv eval_concat(jinja_run *e, jframe *f, const jnode *n) {
    jbuild out;
    jbuild_begin(&out, e, jv_to_str(e, eval(e, f, n->kid[0])));
    for (uint32_t i = 1; i < n->n; i++) jv_add_str(&out, eval(e, f, n->kid[i]));
    return jv_str(jbuild_done(&out));
}

static jv eval_dict(jinja_run *e, jframe *f, const jnode *n) {
    jv d = jv_dict(e);
    for (uint32_t i = 0; i < n->n; i += 2) {
        jv key = eval(e, f, n->kid[i]), value = eval(e, f, n->kid[i + 1]);
        e->line = n->line;
        jdict_set(e, d.as.d, key, value);
    }
    return d;
}

static jv eval_item(jinja_run *e, jframe *f, const jnode *n) {
    jv object = eval(e, f, n->kid[0]);
    const jnode *k = n->kid[1];
    if (k->type != JN_SLICE) {
        jv key = eval(e, f, k);
        e->line = n->line;
        return jinja_getitem(e, object, key);
    }
    jv part[3];
    for (unsigned i = 0; i < 3; i++) part[i] = k->kid[i] ? eval(e, f, k->kid[i]) : jv_none();
    e->line = n->line;
    return jinja_slice(e, object, part[0], part[1], part[2]);
}

static jv eval_call(jinja_run *e, jframe *f, const jnode *n, jv caller) {
    jv callee = eval(e, f, n->kid[0]);
    call_list c = { 0 };
    eval_arguments(e, f, n, &c);
    if (caller.kind == JK_MACRO) add_keyword(e, &c, jv_text(e, "caller"), caller);
    e->line = n->line;
    jargs a = { c.v.v, c.v.n, c.kw, c.n_kw };
    return jinja_call(e, callee, &a);
}

/* A filter, or a chain of them with `piped` at its head where that is a block's. */
static jv eval_filter(jinja_run *e, jframe *f, const jnode *n, const jv *piped) {
    jinja_enter(e);
    jv input = !n->kid[0] ? *piped
               : piped && n->kid[0]->type == JN_FILTER ? eval_filter(e, f, n->kid[0], piped)
                                                       : eval(e, f, n->kid[0]);
    call_list c = { 0 };
    jargs a = eval_arguments(e, f, n, &c);
    e->line = n->line;
    if (n->id == UINT16_MAX)
        jinja_bad(e, "no filter named '%.*s'", (int)n->value.as.s->length, n->value.as.s->data);
    jv r = jinja_apply_filter(e, n->id, input, &a);
    jinja_leave(e);
    return r;
}

static jv eval_test(jinja_run *e, jframe *f, const jnode *n) {
    jv input = eval(e, f, n->kid[0]);
    call_list c = { 0 };
    jargs a = eval_arguments(e, f, n, &c);
    e->line = n->line;
    if (n->id == UINT16_MAX)
        jinja_bad(e, "no test named '%.*s'", (int)n->value.as.s->length, n->value.as.s->data);
    return jv_bool(jinja_apply_test(e, n->id, input, &a));
}

static jv eval_list(jinja_run *e, jframe *f, const jnode *n) {
    jv list = n->type == JN_LIST ? jv_list(e, n->n) : jv_tuple(e, n->n);
    for (uint32_t i = 0; i < n->n; i++) jv_items(list)[i] = eval(e, f, n->kid[i]);
    return list;
}

static jv eval_node(jinja_run *e, jframe *f, const jnode *n) {
    jv a, b;
    switch ((jnode_type)n->type) {
    case JN_CONST: return n->value;
    case JN_NAME: return eval_name(e, f, n);
    case JN_LIST:
    case JN_TUPLE: return eval_list(e, f, n);
    case JN_DICT: return eval_dict(e, f, n);
    case JN_COND:
        if (jv_truth(eval(e, f, n->kid[0]))) return eval(e, f, n->kid[1]);
        if (n->kid[2]) return eval(e, f, n->kid[2]);
        return jv_undefined(e, "the inline if-expression evaluated to false and no else section was defined");
    case JN_OR:
        a = eval(e, f, n->kid[0]);
        return jv_truth(a) ? a : eval(e, f, n->kid[1]);
    case JN_AND:
        a = eval(e, f, n->kid[0]);
        return jv_truth(a) ? eval(e, f, n->kid[1]) : a;
    case JN_NOT: return jv_bool(!jv_truth(eval(e, f, n->kid[0])));
    case JN_COMPARE: return eval_compare(e, f, n);
    case JN_BINARY:
        a = eval(e, f, n->kid[0]);
        b = eval(e, f, n->kid[1]);
        e->line = n->line;
        return jinja_binary(e, n->op, a, b);
    case JN_CONCAT: return eval_concat(e, f, n);
    case JN_NEGATE:
    case JN_POSITIVE:
        a = eval(e, f, n->kid[0]);
        e->line = n->line;
        return negate(e, a, n->type == JN_NEGATE);
    case JN_ATTRIBUTE:
        a = eval(e, f, n->kid[0]);
        e->line = n->line;
        return jinja_getattr(e, a, n->value.as.s);
    case JN_ITEM: return eval_item(e, f, n);
    case JN_CALL: return eval_call(e, f, n, jv_none());
    case JN_FILTER: return eval_filter(e, f, n, NULL);
    case JN_TEST: return eval_test(e, f, n);
    default: jinja_bad(e, "no expression");
    }
}

static jv eval(jinja_run *e, jframe *f, const jnode *n) {
    jinja_enter(e);
    jinja_charge(e, 0);
    jv v = eval_node(e, f, n);
    jinja_leave(e);
    return v;
}

/* ---- statements ---- */

static jsignal exec_if(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    uint32_t i = 0;
    for (; i + 1 < n->n; i += 2)
        if (jv_truth(eval(e, f, n->kid[i]))) return exec(e, f, n->kid[i + 1], out);
    return i < n->n ? exec(e, f, n->kid[i], out) : RUN_ON;
}

/* The text that `body` writes, in scope s. */
static jsignal exec_text(jinja_run *e, jframe *f, const jscope *s, const jnode *body, const jstr **text) {
    jbuild inner;
    jbuild_init(&inner, e);
    enter_scope(e, f, s);
    jsignal signal = exec(e, f, body, &inner);
    *text = jbuild_done(&inner);
    return signal;
}

static jsignal exec_generation(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    const jstr *text;
    jsignal signal = exec_text(e, f, n->scope[0], n->kid[0], &text);
    for (size_t at = 0, to; at < text->length; at = to) { /* runs of one mark */
        uint8_t mark = jstr_mark(text, at);
        for (to = at + 1; to < text->length && jstr_mark(text, to) == mark; to++) continue;
        jbuild_bytes(out, text->data + at, to - at, mark | JM_GENERATED);
    }
    return signal;
}

static jsignal exec_block(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    const jstr *text;
    bool set = n->type == JN_SET_BLOCK;
    const jnode *chain = n->kid[set ? 1 : 0];
    jsignal signal = exec_text(e, f, n->scope[0], n->kid[set ? 2 : 1], &text);
    if (signal != RUN_ON) return signal;
    jv value = jv_str(text);
    if (chain) value = eval_filter(e, f, chain, &value);
    if (set) assign(e, f, n->kid[0], value);
    else jv_add_str(out, value);
    return RUN_ON;
}

static jsignal exec_with(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    enter_scope(e, f, n->scope[0]);
    for (uint32_t i = 1; i < n->n; i += 2) assign(e, f, n->kid[i], eval(e, f, n->kid[i + 1]));
    return exec(e, f, n->kid[0], out);
}

static jsignal exec_node(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    jsignal s = RUN_ON;
    switch ((jnode_type)n->type) {
    case JN_BODY:
        for (uint32_t i = 0; i < n->n && s == RUN_ON; i++) s = exec(e, f, n->kid[i], out);
        return s;
    case JN_DATA: jbuild_add(out, n->value.as.s); return RUN_ON;
    case JN_OUTPUT: {
        jv v = eval(e, f, n->kid[0]);
        e->line = n->line;
        jv_add_str(out, v);
        return RUN_ON;
    }
    case JN_IF: return exec_if(e, f, n, out);
    case JN_FOR: return exec_for(e, f, n, out);
    case JN_SET: assign(e, f, n->kid[0], eval(e, f, n->kid[1])); return RUN_ON;
    case JN_SET_BLOCK:
    case JN_FILTER_BLOCK: return exec_block(e, f, n, out);
    case JN_MACRO: f->slots[n->kid[0]->slot] = make_macro(e, f, n, n->kid[0]->value.as.s); return RUN_ON;
    case JN_CALL_BLOCK: jv_add_str(out, eval_call(e, f, n->kid[0], make_macro(e, f, n, NULL))); return RUN_ON;
    case JN_WITH: return exec_with(e, f, n, out);
    case JN_GENERATION: return exec_generation(e, f, n, out);
    case JN_BREAK: return RUN_BREAK;
    case JN_CONTINUE: return RUN_CONTINUE;
    case JN_UNSUPPORTED:
        e->line = n->line;
        jinja_fail(e, TOLA_E_UNSUPPORTED, "'%.*s' needs another template, and there is none",
                   (int)n->value.as.s->length, n->value.as.s->data);
    default: jinja_bad(e, "no statement");
    }
}

static jsignal exec(jinja_run *e, jframe *f, const jnode *n, jbuild *out) {
    jinja_enter(e);
    jinja_charge(e, 0);
    jsignal s = exec_node(e, f, n, out);
    jinja_leave(e);
    return s;
}

const jstr *jinja_execute(jinja_run *e) {
    const jinja_template *t = e->template;
    jframe *f = new_frame(e, t->scope, NULL);
    enter_scope(e, f, t->scope);
    jbuild out;
    jbuild_init(&out, e);
    exec(e, f, t->body, &out);
    return jbuild_done(&out);
}
