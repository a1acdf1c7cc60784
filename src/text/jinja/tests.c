/* The tests of jinja2: what stands behind `is`. */
#include "text/jinja/engine.h"

static bool plain(jinja_run *e, const jargs *a) {
    jinja_bind_args(e, "a test", a, "", NULL);
    return true;
}

static jv one(jinja_run *e, const jargs *a) {
    jv v;
    jinja_bind_args(e, "a test", a, "!value", &v);
    return v;
}

static bool is_zero(jinja_run *e, jv x, jv divisor, int64_t rest) {
    jv r = jinja_binary(e, JT_MOD, x, divisor);
    return jv_equal(e, r, jv_int(rest));
}

static bool t_odd(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && is_zero(e, x, jv_int(2), 1); }
static bool t_even(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && is_zero(e, x, jv_int(2), 0); }
static bool t_divisibleby(jinja_run *e, jv x, const jargs *a) { return is_zero(e, x, one(e, a), 0); }
static bool t_defined(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && !jv_is_undefined(x); }
static bool t_undefined(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && jv_is_undefined(x); }
static bool t_none(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_NONE; }
static bool t_boolean(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_BOOL; }
static bool t_false(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_BOOL && !x.as.b; }
static bool t_true(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_BOOL && x.as.b; }
static bool t_integer(jinja_run *e, jv x, const jargs *a) {
    return plain(e, a) && (x.kind == JK_INT || x.kind == JK_BIG);
}
static bool t_float(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_FLOAT; }
static bool t_number(jinja_run *e, jv x, const jargs *a) {
    return plain(e, a) && (jv_number(x) || x.kind == JK_BIG);
}
static bool t_string(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_STRING; }
static bool t_mapping(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && x.kind == JK_DICT; }
static bool t_lower(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && jinja_all_lower(e, jv_to_str(e, x)); }
static bool t_upper(jinja_run *e, jv x, const jargs *a) { return plain(e, a) && jinja_all_upper(e, jv_to_str(e, x)); }
static bool t_escaped(jinja_run *e, jv x, const jargs *a) {
    return plain(e, a) && x.kind == JK_STRING && x.as.s->safe;
}

static bool t_sequence(jinja_run *e, jv x, const jargs *a) {
    size_t n;
    return plain(e, a) && jv_length(x, &n) && x.kind != JK_VIEW;
}

static bool t_iterable(jinja_run *e, jv x, const jargs *a) {
    jiter it;
    return plain(e, a) && (jiter_begin(e, x, &it) || x.kind == JK_LOOP);
}

static bool t_callable(jinja_run *e, jv x, const jargs *a) {
    return plain(e, a) && (x.kind == JK_UNDEFINED || x.kind == JK_MACRO || x.kind == JK_METHOD ||
                           x.kind == JK_FUNCTION || x.kind == JK_JOINER || x.kind == JK_LOOP);
}

static bool t_sameas(jinja_run *e, jv x, const jargs *a) {
    jv y = one(e, a);
    if (x.kind != y.kind) return false;
    switch ((jinja_kind)x.kind) {
    case JK_NONE: return true;
    case JK_BOOL: return x.as.b == y.as.b;
    case JK_INT: return x.as.i == y.as.i && x.as.i >= -5 && x.as.i <= 256; /* those that CPython has once */
    case JK_FLOAT: return false;
    default: return x.as.d == y.as.d && x.sub == y.sub;
    }
}

/* A name to look up, which must be hashable. */
static bool is_name(jinja_run *e, jv x) {
    if (x.kind == JK_LIST || x.kind == JK_DICT || x.kind == JK_VIEW) jinja_bad(e, "unhashable type: '%s'", jv_type(x));
    return x.kind == JK_STRING;
}

static bool t_filter(jinja_run *e, jv x, const jargs *a) {
    return plain(e, a) && is_name(e, x) && jinja_filter_id(x.as.s) >= 0;
}

static bool t_test(jinja_run *e, jv x, const jargs *a) {
    return plain(e, a) && is_name(e, x) && jinja_test_id(x.as.s) >= 0;
}

static bool t_in(jinja_run *e, jv x, const jargs *a) { return jv_contains(e, one(e, a), x); }
static bool t_eq(jinja_run *e, jv x, const jargs *a) { return jinja_compare(e, JT_EQ, x, one(e, a)); }
static bool t_ne(jinja_run *e, jv x, const jargs *a) { return jinja_compare(e, JT_NE, x, one(e, a)); }
static bool t_lt(jinja_run *e, jv x, const jargs *a) { return jinja_compare(e, JT_LT, x, one(e, a)); }
static bool t_le(jinja_run *e, jv x, const jargs *a) { return jinja_compare(e, JT_LTEQ, x, one(e, a)); }
static bool t_gt(jinja_run *e, jv x, const jargs *a) { return jinja_compare(e, JT_GT, x, one(e, a)); }
static bool t_ge(jinja_run *e, jv x, const jargs *a) { return jinja_compare(e, JT_GTEQ, x, one(e, a)); }

static const struct {
    const char *name;
    bool (*run)(jinja_run *e, jv x, const jargs *a);
} tests[] = {
    { "odd", t_odd }, { "even", t_even }, { "divisibleby", t_divisibleby }, { "defined", t_defined },
    { "undefined", t_undefined }, { "none", t_none }, { "boolean", t_boolean }, { "false", t_false },
    { "true", t_true }, { "integer", t_integer }, { "float", t_float }, { "number", t_number },
    { "string", t_string }, { "mapping", t_mapping }, { "lower", t_lower }, { "upper", t_upper },
    { "sequence", t_sequence }, { "iterable", t_iterable }, { "callable", t_callable }, { "sameas", t_sameas },
    { "escaped", t_escaped }, { "filter", t_filter }, { "test", t_test }, { "in", t_in },
    { "==", t_eq }, { "eq", t_eq }, { "equalto", t_eq }, { "!=", t_ne }, { "ne", t_ne },
    { ">", t_gt }, { "gt", t_gt }, { "greaterthan", t_gt }, { "ge", t_ge }, { ">=", t_ge },
    { "<", t_lt }, { "lt", t_lt }, { "lessthan", t_lt }, { "<=", t_le }, { "le", t_le },
};

int jinja_test_id(const jstr *name) {
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (jstr_is(name, tests[i].name)) return (int)i;
    return -1;
}

bool jinja_apply_test(jinja_run *e, int id, jv input, const jargs *a) {
    jinja_charge(e, 0);
    return tests[id].run(e, input, a);
}
