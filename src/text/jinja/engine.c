/* Entering the engine, attributes of values, global functions. */
#include "text/jinja/engine.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

#define MAX_SOURCE (4u << 20)       /* bytes of a template; the largest known has 30 KiB */
#define COMPILE_MEMORY (512u << 20) /* a template of punctuation alone takes a hundred bytes a byte */
#define COMPILE_STEPS 200000000u
#define MAX_RANGE 100000 /* the longest range that jinja2's sandbox makes */

/* ---- compiling ---- */

tola_status jinja_compile(const char *source, size_t length, jinja_template **out, tola_error *err) {
    if (length > MAX_SOURCE)
        return err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a template of %zu bytes is longer than %u", length,
                       MAX_SOURCE);
    if (!utf8_valid(source, length))
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the template is no UTF-8");
    jinja_template *t = mem_calloc(1, sizeof *t);
    if (!t) return err_nomem(err, "reading a template");
    arena_init(&t->mem, COMPILE_MEMORY);
    jinja_run e = { .mem = &t->mem, .err = err, .steps = COMPILE_STEPS, .output = MAX_SOURCE };
    if (setjmp(e.fail)) {
        jinja_free(t);
        return e.status;
    }
    const jtoken *tokens = jinja_lex(&e, source, length);
    jinja_bind(&e, t, jinja_parse(&e, tokens));
    *out = t;
    return TOLA_OK;
}

void jinja_free(jinja_template *t) {
    if (!t) return;
    arena_free(&t->mem);
    mem_free(t);
}

/* ---- values from outside ---- */

static jv marked(jv v, uint8_t mark) {
    v.mark = mark;
    return v;
}

static jv from_number(jinja_run *e, const json_reader *r, uint8_t mark) {
    const char *text = r->data + r->token_at;
    size_t n = r->pos - r->token_at;
    bool real = memchr(text, '.', n) || memchr(text, 'e', n) || memchr(text, 'E', n) || memchr(text, 'N', n) ||
                memchr(text, 'I', n);
    if (real) return marked(jv_float(r->number.as.f64), mark);
    if (r->number.kind == TOLA_VALUE_INT) return marked(jv_int(r->number.as.i64), mark);
    if (r->number.kind == TOLA_VALUE_UINT && r->number.as.u64 <= INT64_MAX)
        return marked(jv_int((int64_t)r->number.as.u64), mark);
    jv v = jv_str(jstr_copy(e, text, n, mark));
    v.kind = JK_BIG;
    return marked(v, mark);
}

/* A value under construction: a list, or a dict with its pending key. */
typedef struct open_value {
    bool is_dict;
    jvec list;
    jdict *dict;
    jv key;
} open_value;

static jv from_json(jinja_run *e, json_reader *r, uint8_t mark) {
    open_value stack[JSON_MAX_DEPTH + 1];
    size_t depth = 0;
    for (;;) {
        jv v = jv_none();
        jinja_charge(e, 0);
        json_token t = json_next(r);
        switch (t) {
        case JSON_BEGIN_OBJECT:
        case JSON_BEGIN_ARRAY:
            stack[depth] = (open_value){ .is_dict = t == JSON_BEGIN_OBJECT };
            if (t == JSON_BEGIN_OBJECT) stack[depth].dict = jdict_new(e);
            depth++;
            continue;
        case JSON_KEY: {
            open_value *top = &stack[depth - 1];
            top->key = jv_str(jstr_copy(e, r->text, r->text_length, mark));
            if (jdict_get(e, top->dict, top->key)) {
                e->line = 0;
                char quoted[100];
                jinja_bad(e, "a key appears twice in an object: \"%s\"",
                          text_quote(quoted, sizeof quoted, r->text, r->text_length));
            }
            continue;
        }
        case JSON_END_OBJECT: v = (jv){ .kind = JK_DICT, .mark = mark, .as.d = stack[--depth].dict }; break;
        case JSON_END_ARRAY: v = marked(jvec_list(e, &stack[--depth].list), mark); break;
        case JSON_STRING: v = jv_str(jstr_copy(e, r->text, r->text_length, mark)); break;
        case JSON_NUMBER: v = from_number(e, r, mark); break;
        case JSON_TRUE:
        case JSON_FALSE: v = marked(jv_bool(t == JSON_TRUE), mark); break;
        case JSON_NULL: v = marked(jv_none(), mark); break;
        case JSON_END:
        case JSON_ERROR:
            e->status = json_check(r, e->err);
            longjmp(e->fail, 1);
        }
        if (depth == 0) return v;
        open_value *top = &stack[depth - 1];
        if (top->is_dict) jdict_set(e, top->dict, top->key, v);
        else jvec_push(e, &top->list, v);
    }
}

static jv from_value(jinja_run *e, const tola_value *x, uint8_t mark) {
    char digits[32];
    jv v = jv_none();
    jinja_enter(e);
    jinja_charge(e, 0);
    switch ((tola_value_kind)x->kind) {
    case TOLA_VALUE_BOOL: v = jv_bool(x->as.boolean); break;
    case TOLA_VALUE_INT: v = jv_int(x->as.i64); break;
    case TOLA_VALUE_UINT:
        v = jv_int((int64_t)x->as.u64);
        if (x->as.u64 > INT64_MAX) {
            snprintf(digits, sizeof digits, "%llu", (unsigned long long)x->as.u64);
            v = jv_str(jstr_copy(e, digits, strlen(digits), mark));
            v.kind = JK_BIG;
        }
        break;
    case TOLA_VALUE_FLOAT: v = jv_float(x->as.f64); break;
    case TOLA_VALUE_STRING:
        if (!utf8_valid(x->as.string.data, x->as.string.length)) jinja_bad(e, "a string is no UTF-8");
        v = jv_str(jstr_copy(e, x->as.string.data, x->as.string.length, mark));
        break;
    case TOLA_VALUE_ARRAY:
        v = jv_list(e, x->as.array.count);
        for (size_t i = 0; i < x->as.array.count; i++) {
            tola_value item = tola_value_at(x, i);
            jv_items(v)[i] = from_value(e, &item, mark);
        }
        break;
    case TOLA_VALUE_MAP:
        v = jv_dict(e);
        for (size_t i = 0; i < x->as.map.count; i++) {
            const tola_member *m = &x->as.map.members[i];
            if (!utf8_valid(m->key.data, m->key.length)) jinja_bad(e, "a key is no UTF-8");
            jv key = jv_str(jstr_copy(e, m->key.data, m->key.length, mark));
            jdict_set(e, v.as.d, key, from_value(e, &m->value, mark));
        }
        break;
    case TOLA_VALUE_NULL: break;
    }
    jinja_leave(e);
    return marked(v, mark);
}

/* ---- messages ---- */

/* A role becomes part of special tokens in many templates ('<|' + message.role + '|>'), so these words are trusted; any
 * other role is text that the conversation brought. */
static void trust_role(jinja_run *e, jdict *message) {
    static const char *const roles[] = { "system",   "user",     "assistant", "tool",        "developer", "function",
                                         "ipython",  "model",    "bot",       "human",       "observation",
                                         "tool_result", "tool_response", "tool_results", "tools", "documents",
                                         "context",  "document", "environment", "available_tools", "control" };
    jv *role = jdict_text(message, "role");
    if (!role || role->kind != JK_STRING) return;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (jstr_is(role->as.s, roles[i])) *role = jv_text(e, roles[i]);
}

/* Reasoning is passed under three names; templates read the first or, gpt-oss's, the second. transformers fills them
 * in like this: "thinking" before all others where it is missing, "reasoning_content" always. */
static jv with_reasoning(jinja_run *e, jv message) {
    static const char *const names[] = { "reasoning_content", "thinking", "reasoning" };
    const jv *reasoning = NULL;
    for (unsigned i = 0; i < 3 && !reasoning; i++) {
        const jv *v = jdict_text(message.as.d, names[i]);
        if (v && v->kind != JK_NONE) reasoning = v;
    }
    if (!reasoning) return message;
    jv copy = jv_dict(e), value = *reasoning;
    copy.mark = message.mark;
    jdict_set(e, copy.as.d, jv_text(e, "thinking"), value);
    for (size_t i = 0; i < message.as.d->n; i++)
        jdict_set(e, copy.as.d, message.as.d->pairs[i].key, message.as.d->pairs[i].value);
    jdict_set(e, copy.as.d, jv_text(e, "reasoning_content"), value);
    return copy;
}

static void prepare_messages(jinja_run *e, jv messages) {
    if (messages.kind != JK_LIST) jinja_bad(e, "the messages are no list");
    for (size_t i = 0; i < messages.as.l->n; i++) {
        jv *m = &messages.as.l->v[i];
        if (m->kind != JK_DICT) jinja_bad(e, "message %zu is no object", i);
        trust_role(e, m->as.d);
        *m = with_reasoning(e, *m);
    }
}

static jv read_variable(jinja_run *e, const jinja_variable *x, json_reader *r) {
    uint8_t mark = x->trusted ? 0 : JM_USER;
    if (!x->json) return from_value(e, x->value, mark);
    json_reader_init(r, x->json, x->json_length, 0);
    r->nonfinite = true;
    jv v = from_json(e, r, mark);
    if (json_next(r) != JSON_END) {
        e->status = json_check(r, e->err);
        longjmp(e->fail, 1);
    }
    json_reader_free(r);
    return v;
}

/* Variables that the caller chose. Those that every conversation has cannot be among them. */
static void spread(jinja_run *e, jv map) {
    static const char *const taken[] = { "messages", "tools", "documents", "add_generation_prompt" };
    if (map.kind != JK_DICT) jinja_bad(e, "the variables are no object");
    for (size_t i = 0; i < map.as.d->n; i++) {
        const jstr *name = map.as.d->pairs[i].key.as.s;
        for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
            if (jstr_is(name, taken[k])) jinja_fail(e, TOLA_E_ARG, "'%s' cannot be a variable", taken[k]);
        jdict_set(e, e->variables, map.as.d->pairs[i].key, map.as.d->pairs[i].value);
    }
}

tola_status jinja_render(const jinja_template *t, const jinja_variable *variables, size_t count,
                         const jinja_options *options, arena *mem, const jstr **out, tola_error *err) {
    jinja_run e = { .mem = mem, .err = err, .steps = options->steps, .output = options->output, .options = options,
                    .template = t };
    json_reader r;
    memset(&r, 0, sizeof r);
    const jinja_variable *volatile reading = NULL;
    arena_init(mem, options->memory);
    if (setjmp(e.fail)) {
        json_reader_free(&r);
        if (reading && err) { /* an error in the input has no line of the template */
            char text[sizeof err->message];
            memcpy(text, err->message, sizeof text);
            snprintf(err->message, sizeof err->message, "%.*s: %.900s", (int)reading->name_length, reading->name,
                     strncmp(text, "line 0: ", 8) ? text : text + 8);
        }
        return e.status;
    }
    e.variables = jdict_new(&e);
    for (size_t i = 0; i < count; i++) {
        reading = &variables[i];
        const jinja_variable *x = &variables[i];
        jv v = read_variable(&e, x, &r);
        if (x->messages) prepare_messages(&e, v);
        if (x->spread) spread(&e, v);
        else jdict_set(&e, e.variables, jv_str(jstr_copy(&e, x->name, x->name_length, 0)), v);
    }
    reading = NULL;
    *out = jinja_execute(&e);
    return TOLA_OK;
}

/* ---- attributes and elements ---- */

/* What hides behind an attribute's name in Python and not in the data; false where nothing does. */
bool jinja_attribute(jinja_run *e, jv object, const jstr *name, jv *out) {
    switch ((jinja_kind)object.kind) {
    case JK_NAMESPACE: {
        const jv *v = jdict_get(e, object.as.d, jv_str(name));
        if (v) *out = *v;
        return v != NULL;
    }
    case JK_LOOP:
        if (jinja_loop_attribute(e, object.as.loop, name, out)) return true;
        break;
    case JK_MACRO: return jinja_macro_attribute(e, object.as.macro, name, out);
    case JK_CYCLER:
        if (!jstr_is(name, "current")) break;
        *out = object.as.cycler->items->v[object.as.cycler->at];
        return true;
    case JK_TUPLE:
        if (object.sub != 1 || (!jstr_is(name, "grouper") && !jstr_is(name, "list"))) break;
        *out = object.as.l->v[jstr_is(name, "list")];
        return true;
    default: break;
    }
    return jinja_find_method(e, object, name, out);
}

static bool dunder(const jstr *name) {
    return name->length > 4 && memcmp(name->data, "__", 2) == 0 && memcmp(name->data + name->length - 2, "__", 2) == 0;
}

static bool element(jinja_run *e, jv object, jv key, jv *out) {
    size_t n = 0;
    switch ((jinja_kind)object.kind) {
    case JK_DICT: {
        if (key.kind == JK_LIST || key.kind == JK_DICT) return false;
        const jv *v = jdict_get(e, object.as.d, key);
        if (v) *out = *v;
        return v != NULL;
    }
    case JK_STRING:
    case JK_LIST:
    case JK_TUPLE:
    case JK_RANGE: break;
    default: return false;
    }
    if (key.kind != JK_INT && key.kind != JK_BOOL) return false;
    jv_length(object, &n);
    int64_t i = jv_integer(key);
    if (i < 0) i += (int64_t)n;
    if (i < 0 || (uint64_t)i >= n) return false;
    if (object.kind == JK_RANGE) {
        *out = jv_int(jrange_at(object.as.r, (size_t)i));
    } else if (object.kind == JK_STRING) {
        const jstr *s = object.as.s;
        jinja_charge(e, s->chars == s->length ? 0 : s->length);
        size_t from = jstr_offset(e, s, (size_t)i), to = from;
        jstr_next(s, &to);
        *out = jv_str(jstr_cut(e, s, from, to));
    } else {
        *out = object.as.l->v[i];
    }
    return true;
}

jv jinja_getattr(jinja_run *e, jv object, const jstr *name) {
    jv out;
    if (object.kind == JK_UNDEFINED) jinja_undefined(e, object);
    if (dunder(name)) return jv_unsafe(e, object, name);
    if (jinja_attribute(e, object, name, &out) || element(e, object, jv_str(name), &out)) return out;
    return jv_undefined_name(e, jv_type(object), name);
}

jv jinja_getitem(jinja_run *e, jv object, jv key) {
    jv out;
    if (object.kind == JK_UNDEFINED) jinja_undefined(e, object);
    if (element(e, object, key, &out)) return out;
    if (key.kind != JK_STRING) return jv_undefined_name(e, jv_type(object), NULL);
    if (dunder(key.as.s)) return jv_unsafe(e, object, key.as.s);
    if (jinja_attribute(e, object, key.as.s, &out)) return out;
    return jv_undefined_name(e, jv_type(object), key.as.s);
}

/* ---- functions ---- */

static jv make_range(jinja_run *e, const jargs *a) {
    jv v[3];
    jinja_bind_args(e, "range", a, "!-start -stop -step", v);
    jrange *r = jinja_alloc(e, 1, sizeof *r);
    *r = (jrange){ .step = 1 };
    for (size_t i = 0; i < a->n; i++) jv_need_int(e, v[i], "an argument of range");
    if (a->n == 1) {
        r->stop = jv_integer(v[0]);
    } else {
        r->start = jv_integer(v[0]);
        r->stop = jv_integer(v[1]);
        if (a->n == 3) r->step = jv_integer(v[2]);
    }
    if (r->step == 0) jinja_bad(e, "the step of a range must not be zero");
    uint64_t distance = 0;
    if (r->step > 0 && r->start < r->stop) distance = (uint64_t)r->stop - (uint64_t)r->start;
    if (r->step < 0 && r->start > r->stop) distance = (uint64_t)r->start - (uint64_t)r->stop;
    uint64_t step = r->step > 0 ? (uint64_t)r->step : 0 - (uint64_t)r->step;
    uint64_t n = distance / step + (distance % step != 0);
    if (n > MAX_RANGE) jinja_fail(e, TOLA_E_LIMIT, "a range of more than %d numbers", MAX_RANGE);
    r->n = (size_t)n;
    return (jv){ .kind = JK_RANGE, .as.r = r };
}

/* dict(mapping or pairs, **more) */
static jv make_dict(jinja_run *e, const char *what, const jargs *a) {
    if (a->n > 1) jinja_bad(e, "%s takes at most one positional argument", what);
    jv d = jv_dict(e);
    if (a->n == 1 && a->v[0].kind == JK_DICT) {
        for (size_t i = 0; i < a->v[0].as.d->n; i++)
            jdict_set(e, d.as.d, a->v[0].as.d->pairs[i].key, a->v[0].as.d->pairs[i].value);
    } else if (a->n == 1) {
        jv pairs = jv_listed(e, a->v[0]);
        for (size_t i = 0; i < pairs.as.l->n; i++) {
            jv pair = jv_listed(e, pairs.as.l->v[i]);
            if (pair.as.l->n != 2) jinja_bad(e, "%s: element %zu has %zu parts, not 2", what, i, pair.as.l->n);
            jdict_set(e, d.as.d, pair.as.l->v[0], pair.as.l->v[1]);
        }
    }
    for (size_t i = 0; i < a->n_kw; i++) jdict_set(e, d.as.d, a->kw[i].key, a->kw[i].value);
    return d;
}

static jv f_dict(jinja_run *e, const jargs *a) { return make_dict(e, "dict", a); }

static jv f_namespace(jinja_run *e, const jargs *a) {
    jv d = make_dict(e, "namespace", a);
    for (size_t i = 0; i < d.as.d->n; i++) {
        jv key = d.as.d->pairs[i].key;
        if (key.kind == JK_STRING && key.as.s->length && key.as.s->data[0] == '_')
            jinja_fail(e, TOLA_E_UNSAFE, "a namespace cannot have an attribute that begins with an underscore");
    }
    d.kind = JK_NAMESPACE;
    return d;
}

static jv make_cycler(jinja_run *e, jinja_kind kind, const jv *items, size_t n) {
    jv list = jv_list(e, n);
    memcpy(jv_items(list), items, n * sizeof *items);
    jcycler *c = jinja_alloc(e, 1, sizeof *c);
    *c = (jcycler){ list.as.l, 0 };
    return (jv){ .kind = (uint8_t)kind, .as.cycler = c };
}

static jv f_cycler(jinja_run *e, const jargs *a) {
    if (a->n_kw) jinja_bad(e, "cycler takes no keyword arguments");
    if (a->n == 0) jinja_bad(e, "at least one item has to be provided");
    return make_cycler(e, JK_CYCLER, a->v, a->n);
}

static jv f_joiner(jinja_run *e, const jargs *a) {
    jv sep;
    jinja_bind_args(e, "joiner", a, "sep", &sep);
    if (!jv_given(sep)) sep = jv_text(e, ", ");
    return make_cycler(e, JK_JOINER, &sep, 1);
}

static jv f_raise(jinja_run *e, const jargs *a) {
    jv message;
    jinja_bind_args(e, "raise_exception", a, "!message", &message);
    const jstr *s = jv_to_str(e, message);
    jinja_fail(e, TOLA_E_ARG, "the template refuses: %.*s", (int)(s->length < 800 ? s->length : 800), s->data);
}

static jv f_strftime(jinja_run *e, const jargs *a) {
    jv format;
    jinja_bind_args(e, "strftime_now", a, "!format", &format);
    return jv_str(jinja_strftime(e, jv_need_str(e, format, "the format of strftime_now")));
}

static jv f_lipsum(jinja_run *e, const jargs *a) {
    (void)a;
    jinja_fail(e, TOLA_E_UNSUPPORTED, "lipsum is not supported");
}

static const struct {
    const char *name;
    jv (*run)(jinja_run *e, const jargs *a);
} functions[] = {
    { "range", make_range },       { "dict", f_dict },     { "namespace", f_namespace },
    { "cycler", f_cycler },        { "joiner", f_joiner }, { "raise_exception", f_raise },
    { "strftime_now", f_strftime }, { "lipsum", f_lipsum },
};

int jinja_function_id(const jstr *name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (jstr_is(name, functions[i].name)) return (int)i;
    return -1;
}

jv jinja_call_function(jinja_run *e, int id, const jargs *a) { return functions[id].run(e, a); }
