/* Tokens to a tree: Jinja's grammar (https://jinja.palletsprojects.com/en/stable/templates/) as jinja2 3.1 takes it,
 * with break, continue and generation. Tags that need other templates parse and fail when they are reached. */
#include "text/jinja/syntax.h"

#define MAX_NESTING 150 /* of statements and expressions in each other; real templates stay below 25 */
#define MAX_END_TAGS 3

typedef struct parser {
    jinja_run *e;
    const jtoken *t;
    unsigned nesting, loops; /* loops: around here, within this function */
    bool conditional;        /* inside {% if %} or x if y: an unknown filter fails when it is reached */
} parser;

typedef struct kids {
    jnode **v;
    size_t n, cap;
} kids;

static jnode *expression(parser *p, bool cond);
static jnode *unary(parser *p, bool with_filter);
static jnode *statements(parser *p, const char *const *ends);

/* ---- small things ---- */

static void push(parser *p, kids *k, jnode *node) {
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 4;
        jnode **v = jinja_alloc(p->e, cap, sizeof *v);
        if (k->n) memcpy(v, k->v, k->n * sizeof *v);
        k->v = v;
        k->cap = cap;
    }
    k->v[k->n++] = node;
}

static jnode *node_of(parser *p, jnode_type type, uint32_t line, const kids *k) {
    jnode *node = jinja_alloc(p->e, 1, sizeof *node);
    *node = (jnode){ .type = (uint8_t)type, .line = line };
    if (k) {
        if (k->n > UINT32_MAX) jinja_too_long(p->e);
        node->kid = k->v;
        node->n = (uint32_t)k->n;
    }
    return node;
}

#define NODE(type, line, ...)                                                    \
    node_with(p, type, line, (jnode *[]){ __VA_ARGS__ },                         \
              sizeof((jnode *[]){ __VA_ARGS__ }) / sizeof(jnode *))

static jnode *node_with(parser *p, jnode_type type, uint32_t line, jnode *const *list, size_t n) {
    kids k = { 0 };
    for (size_t i = 0; i < n; i++) push(p, &k, list[i]);
    return node_of(p, type, line, &k);
}

static jnode *constant(parser *p, jv value) {
    jnode *node = node_of(p, JN_CONST, p->t->line, NULL);
    node->value = value;
    return node;
}

static bool at_name(const parser *p, const char *text) {
    return p->t->type == JT_NAME && jstr_is(p->t->value.as.s, text);
}

static const char *describe(const jtoken *t, char *dst, size_t cap) {
    static const char *const names[] = { [JT_EOF] = "the end of the template", [JT_DATA] = "text",
                                         [JT_VARIABLE_BEGIN] = "{{", [JT_VARIABLE_END] = "}}",
                                         [JT_BLOCK_BEGIN] = "{%", [JT_BLOCK_END] = "%}", [JT_INTEGER] = "a number",
                                         [JT_FLOAT] = "a number", [JT_STRING] = "a string" };
    if (t->type < sizeof names / sizeof *names && names[t->type]) return names[t->type];
    int n = (int)(t->value.as.s->length < 40 ? t->value.as.s->length : 40);
    snprintf(dst, cap, "'%.*s'", n, t->value.as.s->data);
    return dst;
}

_Noreturn static void unexpected(parser *p, const char *wanted) {
    char text[64];
    p->e->line = p->t->line;
    jinja_bad(p->e, "expected %s, found %s", wanted, describe(p->t, text, sizeof text));
}

_Noreturn static void fail_at(parser *p, uint32_t line, const char *text) {
    p->e->line = line;
    jinja_bad(p->e, "%s", text);
}

static bool skip(parser *p, jtoken_type type) {
    if (p->t->type != type) return false;
    p->t++;
    return true;
}

static bool skip_name(parser *p, const char *text) {
    if (!at_name(p, text)) return false;
    p->t++;
    return true;
}

static void expect(parser *p, jtoken_type type, const char *wanted) {
    if (!skip(p, type)) unexpected(p, wanted);
}

static const jstr *expect_name(parser *p) {
    if (p->t->type != JT_NAME) unexpected(p, "a name");
    return (p->t++)->value.as.s;
}

static void nest(parser *p) {
    if (++p->nesting > MAX_NESTING) {
        p->e->line = p->t->line;
        jinja_fail(p->e, TOLA_E_LIMIT, "nested deeper than %d levels", MAX_NESTING);
    }
}

/* ---- expressions ---- */

static bool tuple_ends(const parser *p, const char *extra) {
    return p->t->type == JT_VARIABLE_END || p->t->type == JT_BLOCK_END || p->t->type == JT_RPAREN ||
           (extra && at_name(p, extra));
}

static jnode *name_node(parser *p, const jtoken *t) {
    jnode *node = node_of(p, JN_NAME, t->line, NULL);
    node->value = t->value;
    return node;
}

static jnode *primary(parser *p, bool with_namespace);

typedef enum { TUPLE_COND = 1, TUPLE_SIMPLE = 2, TUPLE_NAMESPACE = 4, TUPLE_PARENTHESES = 8 } tuple_flags;

/* Expressions with commas between them, one alone as itself. */
static jnode *tuple(parser *p, unsigned flags, const char *extra) {
    uint32_t line = p->t->line;
    kids items = { 0 };
    bool is_tuple = false;
    for (;;) {
        if (items.n) expect(p, JT_COMMA, "','");
        if (tuple_ends(p, extra)) break;
        push(p, &items, flags & TUPLE_SIMPLE ? primary(p, (flags & TUPLE_NAMESPACE) != 0)
                                             : expression(p, (flags & TUPLE_COND) != 0));
        if (p->t->type != JT_COMMA) break;
        is_tuple = true;
    }
    if (!is_tuple) {
        if (items.n) return items.v[0];
        if (!(flags & TUPLE_PARENTHESES)) unexpected(p, "an expression");
    }
    return node_of(p, JN_TUPLE, line, &items);
}

static jnode *list_literal(parser *p) {
    uint32_t line = (p->t++)->line;
    kids items = { 0 };
    while (p->t->type != JT_RBRACKET) {
        if (items.n) expect(p, JT_COMMA, "',' or ']'");
        if (p->t->type == JT_RBRACKET) break;
        push(p, &items, expression(p, true));
    }
    p->t++;
    return node_of(p, JN_LIST, line, &items);
}

static jnode *dict_literal(parser *p) {
    uint32_t line = (p->t++)->line;
    kids items = { 0 };
    while (p->t->type != JT_RBRACE) {
        if (items.n) expect(p, JT_COMMA, "',' or '}'");
        if (p->t->type == JT_RBRACE) break;
        push(p, &items, expression(p, true));
        expect(p, JT_COLON, "':'");
        push(p, &items, expression(p, true));
    }
    p->t++;
    return node_of(p, JN_DICT, line, &items);
}

static jnode *strings(parser *p) {
    if (p->t[1].type != JT_STRING) {
        jnode *one = constant(p, p->t->value);
        p->t++;
        return one;
    }
    jbuild b;
    jbuild_init(&b, p->e);
    jnode *node = constant(p, jv_none());
    for (; p->t->type == JT_STRING; p->t++) jbuild_add(&b, p->t->value.as.s);
    node->value = jv_str(jbuild_done(&b));
    return node;
}

static jnode *primary(parser *p, bool with_namespace) {
    static const struct {
        const char *name;
        jv value;
    } words[] = { { "true", { .kind = JK_BOOL, .as.b = true } },   { "True", { .kind = JK_BOOL, .as.b = true } },
                  { "false", { .kind = JK_BOOL, .as.b = false } }, { "False", { .kind = JK_BOOL, .as.b = false } },
                  { "none", { .kind = JK_NONE } },                 { "None", { .kind = JK_NONE } } };
    jnode *node;
    switch ((jtoken_type)p->t->type) {
    case JT_NAME:
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            if (!at_name(p, words[i].name)) continue;
            node = constant(p, words[i].value);
            p->t++;
            return node;
        }
        node = name_node(p, p->t++);
        if (with_namespace && skip(p, JT_DOT)) {
            jnode *attribute = name_node(p, p->t);
            attribute->value = jv_str(expect_name(p));
            node = NODE(JN_NSREF, node->line, node);
            node->value = attribute->value;
        }
        return node;
    case JT_STRING: return strings(p);
    case JT_INTEGER:
    case JT_FLOAT:
        node = constant(p, p->t->value);
        p->t++;
        return node;
    case JT_LPAREN:
        p->t++;
        node = tuple(p, TUPLE_COND | TUPLE_PARENTHESES, NULL);
        expect(p, JT_RPAREN, "')'");
        return node;
    case JT_LBRACKET: return list_literal(p);
    case JT_LBRACE: return dict_literal(p);
    default: unexpected(p, "an expression");
    }
}

/* What stands in brackets behind a value: an expression or a slice. */
static jnode *subscribed(parser *p) {
    uint32_t line = p->t->line;
    jnode *part[3] = { NULL, NULL, NULL };
    if (p->t->type != JT_COLON) {
        part[0] = expression(p, true);
        if (p->t->type != JT_COLON) return part[0];
    }
    p->t++;
    if (p->t->type != JT_COLON && p->t->type != JT_RBRACKET && p->t->type != JT_COMMA) part[1] = expression(p, true);
    if (skip(p, JT_COLON) && p->t->type != JT_RBRACKET && p->t->type != JT_COMMA) part[2] = expression(p, true);
    return node_with(p, JN_SLICE, line, part, 3);
}

static jnode *subscript(parser *p, jnode *object) {
    const jtoken *t = p->t++;
    if (t->type == JT_DOT) {
        if (p->t->type == JT_NAME) {
            jnode *node = NODE(JN_ATTRIBUTE, t->line, object);
            node->value = (p->t++)->value;
            return node;
        }
        if (p->t->type != JT_INTEGER) unexpected(p, "a name or a number");
        jnode *key = constant(p, p->t->value);
        p->t++;
        return NODE(JN_ITEM, t->line, object, key);
    }
    kids keys = { 0 };
    while (p->t->type != JT_RBRACKET) {
        if (keys.n) expect(p, JT_COMMA, "',' or ']'");
        push(p, &keys, subscribed(p));
    }
    p->t++;
    if (keys.n == 1) return NODE(JN_ITEM, t->line, object, keys.v[0]);
    for (size_t i = 0; i < keys.n; i++)
        if (keys.v[i]->type == JN_SLICE) fail_at(p, t->line, "a slice inside a tuple of keys");
    return NODE(JN_ITEM, t->line, object, node_of(p, JN_TUPLE, t->line, &keys));
}

/* Arguments in parentheses, appended to `k`. */
static void arguments(parser *p, kids *k) {
    uint32_t line = (p->t++)->line;
    bool star = false, star_star = false, keyword = false, comma = false;
    while (p->t->type != JT_RPAREN) {
        if (comma) {
            expect(p, JT_COMMA, "',' or ')'");
            if (p->t->type == JT_RPAREN) break;
        }
        comma = true;
        uint32_t at = p->t->line;
        bool bad = false;
        if (skip(p, JT_MUL)) {
            bad = star || star_star;
            star = true;
            push(p, k, NODE(JN_STAR, at, expression(p, true)));
        } else if (skip(p, JT_POW)) {
            bad = star_star;
            star_star = true;
            push(p, k, NODE(JN_STAR_STAR, at, expression(p, true)));
        } else if (p->t->type == JT_NAME && p->t[1].type == JT_ASSIGN) {
            bad = star_star;
            keyword = true;
            jv name = p->t->value;
            p->t += 2;
            jinja_charge(p->e, k->n * 64);
            for (size_t i = 0; i < k->n; i++)
                if (k->v[i] && k->v[i]->type == JN_KEYWORD && jstr_equal(k->v[i]->value.as.s, name.as.s)) bad = true;
            push(p, k, NODE(JN_KEYWORD, at, expression(p, true)));
            k->v[k->n - 1]->value = name;
        } else {
            bad = star || star_star || keyword;
            push(p, k, expression(p, true));
        }
        if (bad) fail_at(p, line, "invalid syntax for function call expression");
    }
    p->t++;
}

static jnode *call(parser *p, jnode *callee) {
    uint32_t line = p->t->line;
    kids k = { 0 };
    push(p, &k, callee);
    arguments(p, &k);
    return node_of(p, JN_CALL, line, &k);
}

/* A name with dots in it, as filters and tests may have. */
static jv dotted(parser *p) {
    const jstr *name = expect_name(p);
    while (p->t->type == JT_DOT) {
        p->t++;
        jbuild b;
        jbuild_init(&b, p->e);
        jbuild_add(&b, name);
        jbuild_text(&b, ".", 0);
        jbuild_add(&b, expect_name(p));
        name = jbuild_done(&b);
    }
    return jv_str(name);
}

/* A filter or test found by its name; one that is unknown is an error now or, under a condition, when it is reached. */
static jnode *named(parser *p, jnode_type type, uint32_t line, jv name, const kids *k) {
    jnode *node = node_of(p, type, line, k);
    int id = type == JN_FILTER ? jinja_filter_id(name.as.s) : jinja_test_id(name.as.s);
    if (id < 0 && !p->conditional) {
        p->e->line = line;
        jinja_bad(p->e, "no %s named '%.*s'", type == JN_FILTER ? "filter" : "test", (int)name.as.s->length,
                  name.as.s->data);
    }
    node->id = id < 0 ? UINT16_MAX : (uint16_t)id;
    node->value = name;
    return node;
}

/* One filter; the pipe before it is passed already. */
static jnode *filter(parser *p, jnode *input) {
    uint32_t line = p->t->line;
    jv name = dotted(p);
    kids k = { 0 };
    push(p, &k, input);
    if (p->t->type == JT_LPAREN) arguments(p, &k);
    return named(p, JN_FILTER, line, name, &k);
}

static jnode *postfix(parser *p, jnode *node) {
    for (;;) {
        if (p->t->type == JT_DOT || p->t->type == JT_LBRACKET) node = subscript(p, node);
        else if (p->t->type == JT_LPAREN) node = call(p, node);
        else return node;
    }
}

static jnode *test(parser *p, jnode *input) {
    uint32_t line = (p->t++)->line;
    bool negated = skip_name(p, "not");
    jv name = dotted(p);
    kids k = { 0 };
    push(p, &k, input);
    jtoken_type type = (jtoken_type)p->t->type;
    if (type == JT_LPAREN) {
        arguments(p, &k);
    } else if ((type == JT_NAME && !at_name(p, "else") && !at_name(p, "or") && !at_name(p, "and")) ||
               type == JT_STRING || type == JT_INTEGER || type == JT_FLOAT || type == JT_LBRACKET ||
               type == JT_LBRACE) {
        if (at_name(p, "is")) fail_at(p, p->t->line, "you cannot chain multiple tests with is");
        push(p, &k, postfix(p, primary(p, false)));
    }
    jnode *node = named(p, JN_TEST, line, name, &k);
    return negated ? NODE(JN_NOT, line, node) : node;
}

static jnode *filters(parser *p, jnode *node) {
    for (;;) {
        if (skip(p, JT_PIPE)) node = filter(p, node);
        else if (at_name(p, "is")) node = test(p, node);
        else if (p->t->type == JT_LPAREN) node = call(p, node);
        else return node;
    }
}

static jnode *unary(parser *p, bool with_filter) {
    nest(p);
    uint32_t line = p->t->line;
    jnode *node;
    if (skip(p, JT_SUB)) node = NODE(JN_NEGATE, line, unary(p, false));
    else if (skip(p, JT_ADD)) node = NODE(JN_POSITIVE, line, unary(p, false));
    else node = primary(p, false);
    node = postfix(p, node);
    if (with_filter) node = filters(p, node);
    p->nesting--;
    return node;
}

static jnode *binary(parser *p, jnode *left, jtoken_type op, jnode *right, uint32_t line) {
    jnode *node = NODE(JN_BINARY, line, left, right);
    node->op = (uint8_t)op;
    return node;
}

static jnode *power(parser *p) {
    jnode *left = unary(p, true);
    while (p->t->type == JT_POW) {
        uint32_t line = (p->t++)->line;
        left = binary(p, left, JT_POW, unary(p, true), line);
    }
    return left;
}

static jnode *product(parser *p) {
    jnode *left = power(p);
    while (p->t->type == JT_MUL || p->t->type == JT_DIV || p->t->type == JT_FLOORDIV || p->t->type == JT_MOD) {
        const jtoken *op = p->t++;
        left = binary(p, left, (jtoken_type)op->type, power(p), op->line);
    }
    return left;
}

static jnode *concat(parser *p) {
    uint32_t line = p->t->line;
    jnode *first = product(p);
    if (p->t->type != JT_TILDE) return first;
    kids k = { 0 };
    push(p, &k, first);
    while (skip(p, JT_TILDE)) push(p, &k, product(p));
    return node_of(p, JN_CONCAT, line, &k);
}

static jnode *sum(parser *p) {
    jnode *left = concat(p);
    while (p->t->type == JT_ADD || p->t->type == JT_SUB) {
        const jtoken *op = p->t++;
        left = binary(p, left, (jtoken_type)op->type, concat(p), op->line);
    }
    return left;
}

static jnode *comparison(parser *p) {
    uint32_t line = p->t->line;
    kids k = { 0 };
    push(p, &k, sum(p));
    for (;;) {
        jtoken_type op = (jtoken_type)p->t->type;
        uint32_t at = p->t->line;
        if (op >= JT_EQ && op <= JT_GTEQ) {
            p->t++;
        } else if (skip_name(p, "in")) {
            op = JT_IN;
        } else if (at_name(p, "not") && p->t[1].type == JT_NAME && jstr_is(p->t[1].value.as.s, "in")) {
            p->t += 2;
            op = JT_NOT_IN;
        } else {
            break;
        }
        jnode *operand = NODE(JN_OPERAND, at, sum(p));
        operand->op = (uint8_t)op;
        push(p, &k, operand);
    }
    return k.n == 1 ? k.v[0] : node_of(p, JN_COMPARE, line, &k);
}

static jnode *negation(parser *p) {
    uint32_t line = p->t->line;
    if (!skip_name(p, "not")) return comparison(p);
    nest(p);
    jnode *node = NODE(JN_NOT, line, negation(p));
    p->nesting--;
    return node;
}

static jnode *conjunction(parser *p) {
    jnode *left = negation(p);
    while (at_name(p, "and")) {
        uint32_t line = (p->t++)->line;
        left = NODE(JN_AND, line, left, negation(p));
    }
    return left;
}

static jnode *disjunction(parser *p) {
    jnode *left = conjunction(p);
    while (at_name(p, "or")) {
        uint32_t line = (p->t++)->line;
        left = NODE(JN_OR, line, left, conjunction(p));
    }
    return left;
}

/* Names of filters in `x if y` are looked up late, and x is read before the if is seen. */
static bool has_condition(const jtoken *t) {
    int depth = 0;
    for (;; t++) {
        if (t->type == JT_LPAREN || t->type == JT_LBRACKET || t->type == JT_LBRACE) depth++;
        if (t->type == JT_RPAREN || t->type == JT_RBRACKET || t->type == JT_RBRACE) depth--;
        if (depth < 0 || t->type == JT_EOF || t->type == JT_BLOCK_END || t->type == JT_VARIABLE_END) return false;
        if (depth == 0 && t->type == JT_COMMA) return false;
        if (depth == 0 && t->type == JT_NAME && jstr_is(t->value.as.s, "if")) return true;
    }
}

static jnode *expression(parser *p, bool cond) {
    nest(p);
    bool was = p->conditional;
    uint32_t line = p->t->line;
    if (cond && !was && p->nesting < 3 + MAX_NESTING / 4) p->conditional = has_condition(p->t);
    jnode *node = disjunction(p);
    while (cond && skip_name(p, "if")) {
        jnode *when = disjunction(p), *otherwise = skip_name(p, "else") ? expression(p, true) : NULL;
        node = NODE(JN_COND, line, when, node, otherwise);
    }
    p->conditional = was;
    p->nesting--;
    return node;
}

/* ---- statements ---- */

static void make_target(parser *p, jnode *node) {
    if (node->type == JN_NAME) {
        node->store = true;
    } else if (node->type == JN_TUPLE) {
        for (uint32_t i = 0; i < node->n; i++) make_target(p, node->kid[i]);
    } else if (node->type != JN_NSREF) {
        fail_at(p, node->line, "can't assign to that");
    }
}

static jnode *target(parser *p, const char *extra, bool with_namespace) {
    jnode *node = tuple(p, TUPLE_SIMPLE | (with_namespace ? TUPLE_NAMESPACE : 0), extra);
    make_target(p, node);
    return node;
}

static jnode *name_target(parser *p) {
    jnode *node = name_node(p, p->t);
    const jstr *name = expect_name(p);
    static const char *const words[] = { "true", "false", "none", "True", "False", "None" };
    for (size_t i = 0; i < 6; i++)
        if (jstr_is(name, words[i])) fail_at(p, node->line, "can't assign to a constant");
    node->store = true;
    return node;
}

static bool at_end(const parser *p, const char *const *ends) {
    for (size_t i = 0; ends && i < MAX_END_TAGS && ends[i]; i++)
        if (at_name(p, ends[i])) return true;
    return false;
}

/* From behind a tag's words to one of `ends`, which becomes the current token. */
static jnode *block(parser *p, const char *const *ends) {
    skip(p, JT_COLON);
    uint32_t line = p->t->line;
    expect(p, JT_BLOCK_END, "%}");
    jnode *body = statements(p, ends);
    if (p->t->type == JT_EOF) {
        p->e->line = line;
        jinja_bad(p->e, "the block that begins here lacks its {%% %s %%}", ends[0]);
    }
    return body;
}

#define ENDS(...) ((const char *const[MAX_END_TAGS]){ __VA_ARGS__ })

/* The same, and the end tag's name is passed. */
static jnode *closed_block(parser *p, const char *end) {
    jnode *body = block(p, ENDS(end));
    p->t++;
    return body;
}

static jnode *if_statement(parser *p, uint32_t line) {
    kids k = { 0 };
    bool was = p->conditional;
    p->conditional = true;
    for (;;) {
        push(p, &k, tuple(p, 0, NULL));
        push(p, &k, block(p, ENDS("elif", "else", "endif")));
        if (skip_name(p, "elif")) continue;
        if (skip_name(p, "else")) push(p, &k, block(p, ENDS("endif")));
        break;
    }
    p->t++;
    p->conditional = was;
    return node_of(p, JN_IF, line, &k);
}

static jnode *copy_target(parser *p, const jnode *n) {
    jnode *copy = jinja_alloc(p->e, 1, sizeof *copy);
    *copy = *n;
    if (n->n) copy->kid = jinja_alloc(p->e, n->n, sizeof *copy->kid);
    for (uint32_t i = 0; i < n->n; i++) copy->kid[i] = copy_target(p, n->kid[i]);
    return copy;
}

static jnode *for_statement(parser *p, uint32_t line) {
    jnode *each = target(p, "in", false);
    if (!skip_name(p, "in")) unexpected(p, "'in'");
    jnode *over = tuple(p, 0, "recursive"), *when = NULL, *otherwise = NULL;
    bool was = p->conditional;
    p->conditional = false;
    if (skip_name(p, "if")) when = expression(p, true);
    bool recursive = skip_name(p, "recursive");
    p->loops++;
    jnode *body = block(p, ENDS("endfor", "else"));
    p->loops--;
    if (skip_name(p, "else")) otherwise = block(p, ENDS("endfor"));
    p->t++;
    p->conditional = was;
    jnode *n = NODE(JN_FOR, line, each, over, when, body, otherwise, when ? copy_target(p, each) : NULL);
    n->recursive = recursive;
    return n;
}

/* A filter without input, or several, each the input of the next. */
static jnode *filter_chain(parser *p) {
    jnode *node = filter(p, NULL);
    while (skip(p, JT_PIPE)) node = filter(p, node);
    return node;
}

static jnode *set_statement(parser *p, uint32_t line) {
    jnode *to = target(p, NULL, true);
    if (skip(p, JT_ASSIGN)) return NODE(JN_SET, line, to, tuple(p, TUPLE_COND, NULL));
    bool was = p->conditional;
    p->conditional = false;
    jnode *chain = skip(p, JT_PIPE) ? filter_chain(p) : NULL;
    jnode *body = closed_block(p, "endset");
    p->conditional = was;
    return NODE(JN_SET_BLOCK, line, to, chain, body);
}

static void parameters(parser *p, kids *k) {
    expect(p, JT_LPAREN, "'('");
    bool first = true, defaults = false;
    while (p->t->type != JT_RPAREN) {
        if (!first) expect(p, JT_COMMA, "',' or ')'");
        first = false;
        jnode *name = name_target(p), *parameter = node_of(p, JN_PARAMETER, name->line, NULL);
        if (skip(p, JT_ASSIGN)) {
            parameter = NODE(JN_PARAMETER, name->line, expression(p, true));
            defaults = true;
        } else if (defaults) {
            fail_at(p, name->line, "non-default argument follows default argument");
        }
        parameter->value = name->value;
        jinja_charge(p->e, k->n * 64);
        for (size_t i = 2; i < k->n; i++)
            if (jstr_equal(k->v[i]->value.as.s, name->value.as.s)) fail_at(p, name->line, "a parameter appears twice");
        push(p, k, parameter);
    }
    p->t++;
}

/* The body of a function of its own: a macro, a call block, a generation block. */
static jnode *function_body(parser *p, const char *end) {
    unsigned loops = p->loops;
    bool was = p->conditional;
    p->loops = 0;
    p->conditional = false;
    jnode *body = closed_block(p, end);
    p->loops = loops;
    p->conditional = was;
    return body;
}

static jnode *macro_statement(parser *p, uint32_t line) {
    kids k = { 0 };
    push(p, &k, name_target(p));
    push(p, &k, NULL);
    bool was = p->conditional;
    p->conditional = false;
    parameters(p, &k);
    p->conditional = was;
    k.v[1] = function_body(p, "endmacro");
    return node_of(p, JN_MACRO, line, &k);
}

static jnode *call_statement(parser *p, uint32_t line) {
    kids k = { 0 };
    push(p, &k, NULL);
    push(p, &k, NULL);
    if (p->t->type == JT_LPAREN) parameters(p, &k);
    k.v[0] = expression(p, true);
    if (k.v[0]->type != JN_CALL) fail_at(p, line, "expected a call");
    k.v[1] = function_body(p, "endcall");
    return node_of(p, JN_CALL_BLOCK, line, &k);
}

static jnode *filter_statement(parser *p, uint32_t line) {
    bool was = p->conditional;
    p->conditional = false;
    jnode *chain = filter_chain(p), *body = closed_block(p, "endfilter");
    p->conditional = was;
    return NODE(JN_FILTER_BLOCK, line, chain, body);
}

static jnode *with_statement(parser *p, uint32_t line) {
    kids k = { 0 };
    push(p, &k, NULL);
    bool was = p->conditional;
    p->conditional = false;
    while (p->t->type != JT_BLOCK_END) {
        if (k.n > 1) expect(p, JT_COMMA, "','");
        push(p, &k, target(p, NULL, false));
        expect(p, JT_ASSIGN, "'='");
        push(p, &k, expression(p, true));
    }
    k.v[0] = closed_block(p, "endwith");
    p->conditional = was;
    return node_of(p, JN_WITH, line, &k);
}

/* Tags that other templates, or more than templates need, belong to. Passed over, to fail when they are reached. */
static jnode *unsupported(parser *p, const jtoken *tag) {
    while (p->t->type != JT_BLOCK_END && p->t->type != JT_EOF) p->t++;
    jnode *node = node_of(p, JN_UNSUPPORTED, tag->line, NULL);
    node->value = tag->value;
    return node;
}

_Noreturn static void unknown_tag(parser *p, const jtoken *t) {
    p->e->line = t->line;
    int n = (int)(t->value.as.s->length < 40 ? t->value.as.s->length : 40);
    jinja_bad(p->e, "unknown tag '%.*s'", n, t->value.as.s->data);
}

static jnode *statement(parser *p) {
    const jtoken *t = p->t;
    if (t->type != JT_NAME) unexpected(p, "the name of a tag");
    p->t++;
    const jstr *tag = t->value.as.s;
    uint32_t line = t->line;
    if (jstr_is(tag, "if")) return if_statement(p, line);
    if (jstr_is(tag, "for")) return for_statement(p, line);
    if (jstr_is(tag, "set")) return set_statement(p, line);
    if (jstr_is(tag, "macro")) return macro_statement(p, line);
    if (jstr_is(tag, "call")) return call_statement(p, line);
    if (jstr_is(tag, "filter")) return filter_statement(p, line);
    if (jstr_is(tag, "with")) return with_statement(p, line);
    if (jstr_is(tag, "generation")) return NODE(JN_GENERATION, line, function_body(p, "endgeneration"));
    if (jstr_is(tag, "break") || jstr_is(tag, "continue")) {
        if (p->loops == 0) fail_at(p, line, "a break or continue outside a loop");
        return node_of(p, jstr_is(tag, "break") ? JN_BREAK : JN_CONTINUE, line, NULL);
    }
    if (jstr_is(tag, "print")) {
        kids k = { 0 };
        while (p->t->type != JT_BLOCK_END) {
            if (k.n) expect(p, JT_COMMA, "','");
            push(p, &k, NODE(JN_OUTPUT, line, expression(p, true)));
        }
        return node_of(p, JN_BODY, line, &k);
    }
    if (jstr_is(tag, "include") || jstr_is(tag, "import") || jstr_is(tag, "from") || jstr_is(tag, "extends"))
        return unsupported(p, t);
    if (jstr_is(tag, "block") || jstr_is(tag, "autoescape")) {
        p->e->line = line;
        jinja_fail(p->e, TOLA_E_UNSUPPORTED, "the tag '%.*s' is not supported", (int)tag->length, tag->data);
    }
    unknown_tag(p, t);
}

/* Up to one of `ends` (whose name is then current), or to the end of the template. */
static jnode *statements(parser *p, const char *const *ends) {
    nest(p);
    uint32_t line = p->t->line;
    kids k = { 0 };
    while (p->t->type != JT_EOF) {
        if (p->t->type == JT_DATA) {
            jnode *data = node_of(p, JN_DATA, p->t->line, NULL);
            data->value = (p->t++)->value;
            push(p, &k, data);
        } else if (p->t->type == JT_VARIABLE_BEGIN) {
            uint32_t at = (p->t++)->line;
            push(p, &k, NODE(JN_OUTPUT, at, tuple(p, TUPLE_COND, NULL)));
            expect(p, JT_VARIABLE_END, "}}");
        } else {
            expect(p, JT_BLOCK_BEGIN, "{%");
            if (at_end(p, ends)) break;
            push(p, &k, statement(p));
            expect(p, JT_BLOCK_END, "%}");
        }
    }
    p->nesting--;
    return node_of(p, JN_BODY, line, &k);
}

jnode *jinja_parse(jinja_run *e, const jtoken *tokens) {
    parser p = { .e = e, .t = tokens };
    return statements(&p, NULL);
}
