/* Conditions over named inputs in three-valued logic, and files of rules made of them. */
#include "policy/rules.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define MOST_DEPTH 40 /* of parentheses and not */
#define MOST_USED 96  /* inputs that one rule names */
#define MOST_RULES 2000
#define MOST_DAYS 2900000.0 /* from 1970, some eight thousand years */
#define MOST_TEXT 4000      /* of a rule's text with its figures */

char *rule_format(arena *a, const char *format, ...) {
    char small[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (length < 0) return NULL;
    if ((size_t)length < sizeof small) return arena_strndup(a, small, (size_t)length);
    char *text = arena_alloc(a, (size_t)length + 1);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

const char *rule_number_text(double value, char text[static 32]) {
    if (value == 0 || (fabs(value) >= 1e-3 && fabs(value) < 1e6))
        snprintf(text, 32, "%.6g", value);
    else
        snprintf(text, 32, "%.4g", value);
    char *plus = strstr(text, "e+"); /* 3.8e+25 -> 3.8e25, 7e+09 -> 7e9 */
    if (plus) memmove(plus + 1, plus + 2 + (plus[2] == '0'), strlen(plus + 2 + (plus[2] == '0')) + 1);
    return text;
}

/* ---- inputs ---- */

void rule_set_init(rule_set *s, const facts *f, const char *facts_name, int32_t on_date) {
    memset(s, 0, sizeof *s);
    arena_init(&s->memory, (size_t)64 << 20);
    s->facts = f;
    s->facts_name = facts_name;
    s->on_date = on_date;
}

void rule_set_free(rule_set *s) {
    mem_free(s->inputs);
    mem_free(s->conclusions);
    mem_free(s->files);
    arena_free(&s->memory);
}

static rule_input *find_input(rule_set *s, const char *name) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->inputs[i].name, name) == 0) return &s->inputs[i];
    return NULL;
}

static tola_status put(rule_set *s, rule_input in, tola_error *err) {
    rule_input *old = find_input(s, in.name);
    in.name = old ? old->name : rule_format(&s->memory, "%s", in.name);
    if (!in.name || !mem_grow(&s->inputs, &s->cap, s->count + 1, sizeof *s->inputs))
        return err_nomem(err, "evaluating rules");
    if (old)
        *find_input(s, in.name) = in;
    else
        s->inputs[s->count++] = in;
    return TOLA_OK;
}

tola_status rule_set_bool(rule_set *s, const char *name, bool yes, bool estimate, const char *source, tola_error *err) {
    return put(s,
               (rule_input){ .name = name,
                             .value = { .kind = RULE_BOOL, .yes = yes },
                             .shown = yes ? "yes" : "no",
                             .estimate = estimate,
                             .source = rule_format(&s->memory, "%s", source) },
               err);
}

tola_status rule_set_number(rule_set *s, const char *name, double low, double high, const char *unit, bool estimate,
                            const char *source, tola_error *err) {
    char a[32], b[32];
    rule_number_text(low, a);
    rule_number_text(high, b);
    const char *space = unit && unit[0] ? " " : "";
    char *shown = low == high ? rule_format(&s->memory, "%s%s%s", a, space, unit ? unit : "")
                              : rule_format(&s->memory, "%s .. %s%s%s", a, b, space, unit ? unit : "");
    return put(s,
               (rule_input){ .name = name,
                             .value = { .kind = RULE_NUMBER, .low = low, .high = high },
                             .shown = shown,
                             .estimate = estimate,
                             .source = rule_format(&s->memory, "%s", source) },
               err);
}

tola_status rule_set_date(rule_set *s, const char *name, int32_t days, const char *source, tola_error *err) {
    char day[16];
    return put(s,
               (rule_input){ .name = name,
                             .value = { .kind = RULE_DATE, .days = days },
                             .shown = rule_format(&s->memory, "%s", facts_date_text(days, day)),
                             .source = rule_format(&s->memory, "%s", source) },
               err);
}

tola_status rule_set_unknown(rule_set *s, const char *name, const char *needs, tola_error *err) {
    return put(s, (rule_input){ .name = name, .needs = rule_format(&s->memory, "%s", needs) }, err);
}

/* A key of the facts as an input. */
static rule_input *fact_input(rule_set *s, const char *name) {
    const facts_row *row = facts_row_of(name);
    if (!row || strchr(name, '[')) return NULL;
    rule_input in = { .name = name, .needs = row->path };
    const yaml_node *n = facts_node(s->facts, name);
    if (n) {
        in.source = rule_format(&s->memory, "%s line %u", s->facts_name, n->line);
        rule_value *v = &in.value;
        char number[32], day[16];
        switch (row->type) {
        case FACT_BOOL:
            if (facts_bool(s->facts, name, &v->yes)) v->kind = RULE_BOOL;
            in.shown = v->yes ? "yes" : "no";
            break;
        case FACT_NUMBER:
            if (facts_number(s->facts, name, &v->low)) v->kind = RULE_NUMBER;
            v->high = v->low;
            in.shown = rule_format(&s->memory, "%s %s", rule_number_text(v->low, number), row->unit);
            break;
        case FACT_DATE:
            if (facts_date(s->facts, name, &v->days)) v->kind = RULE_DATE;
            in.shown = rule_format(&s->memory, "%s", facts_date_text(v->days, day));
            break;
        case FACT_TEXT:
        case FACT_WORD:
            v->text = facts_text(s->facts, name);
            if (v->text) v->kind = RULE_TEXT;
            in.shown = v->text;
            break;
        case FACT_LIST:
        case FACT_ROWS:
            v->count = facts_count(s->facts, name);
            v->text = v->count ? facts_text(s->facts, rule_format(&s->memory, "%s[0]", name)) : NULL;
            if (v->count) v->kind = RULE_LIST;
            in.shown = rule_format(&s->memory, "%zu %s", v->count, v->count == 1 ? "entry" : "entries");
            break;
        }
        if (v->kind == RULE_UNKNOWN) in.shown = NULL, in.source = NULL;
    }
    return put(s, in, NULL) == TOLA_OK ? find_input(s, name) : NULL;
}

rule_input *rule_set_find(rule_set *s, const char *name) {
    rule_input *in = find_input(s, name);
    return in ? in : fact_input(s, name);
}

/* ---- conditions ---- */

typedef struct reader {
    rule_set *set;
    const yaml_node *node, *values, *lists;
    const char *at;
    int depth;
    size_t used[MOST_USED]; /* indices of inputs that were named */
    bool asked[MOST_USED];  /* inside known() somewhere: the rule does without it */
    size_t n_used;
    int in_known;
    tola_error *err;
} reader;

static tola_status condition(reader *r, rule_value *out);

static const rule_value unknown = { .kind = RULE_UNKNOWN };

static rule_value truth(bool yes) { return (rule_value){ .kind = RULE_BOOL, .yes = yes }; }

static void skip_space(reader *r) {
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\t') r->at++;
}

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-'; }

static bool take(reader *r, const char *token) {
    skip_space(r);
    size_t length = strlen(token);
    if (strncmp(r->at, token, length)) return false;
    if (isalpha((unsigned char)token[0]) && word_char(r->at[length])) return false;
    r->at += length;
    return true;
}

static tola_status syntax(reader *r, const char *what) {
    char shown[40];
    return yaml_error(r->node, r->err, "%s at '%s'", what, text_quote(shown, sizeof shown, r->at, strnlen(r->at, 24)));
}

static tola_status use(reader *r, const rule_input *in) {
    size_t index = (size_t)(in - r->set->inputs);
    for (size_t i = 0; i < r->n_used; i++) {
        if (r->used[i] != index) continue;
        r->asked[i] = r->asked[i] || r->in_known;
        return TOLA_OK;
    }
    if (r->n_used == MOST_USED) return yaml_error(r->node, r->err, "it names more than %d inputs", MOST_USED);
    r->asked[r->n_used] = r->in_known > 0;
    r->used[r->n_used++] = index;
    return TOLA_OK;
}

static tola_status name_error(reader *r, const char *name) {
    tola_nearest nearest;
    tola_nearest_init(&nearest, name);
    for (size_t i = 0; i < r->set->count; i++) tola_nearest_try(&nearest, r->set->inputs[i].name);
    for (const facts_row *row = facts_rows; row->path; row++) tola_nearest_try(&nearest, row->path);
    char shown[80];
    text_quote(shown, sizeof shown, name, strlen(name));
    if (nearest.best) return yaml_error(r->node, r->err, "unknown input '%s'; did you mean '%s'?", shown, nearest.best);
    return yaml_error(r->node, r->err, "unknown input '%s'", shown);
}

static tola_status read_name(reader *r, char name[static 100]) {
    skip_space(r);
    size_t n = 0;
    while (word_char(r->at[n])) n++;
    if (n == 0 || n >= 100) return syntax(r, "a name is wanted");
    memcpy(name, r->at, n);
    name[n] = 0;
    r->at += n;
    return TOLA_OK;
}

static tola_status named(reader *r, rule_value *out) {
    char name[100];
    TRY(read_name(r, name));
    double number;
    int32_t days;
    const yaml_node *value = yaml_get(r->values, name);
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
        *out = truth(name[0] == 't');
    } else if (facts_parse_date(name, &days)) {
        *out = (rule_value){ .kind = RULE_DATE, .days = days };
    } else if (json_decimal(name, &number)) {
        *out = (rule_value){ .kind = RULE_NUMBER, .low = number, .high = number };
    } else if (value) {
        TRY(yaml_f64(value, -1e300, 1e300, &number, r->err));
        *out = (rule_value){ .kind = RULE_NUMBER, .low = number, .high = number };
    } else if (strcmp(name, "on_date") == 0) {
        *out = (rule_value){ .kind = RULE_DATE, .days = r->set->on_date };
    } else {
        const rule_input *in = rule_set_find(r->set, name);
        if (!in) return name_error(r, name);
        TRY(use(r, in));
        *out = in->value;
    }
    return TOLA_OK;
}

/* "none" is an answer; "to be done" is none. */
static rule_value is_given(const rule_value *v) {
    static const char *const no[] = { "none", "no", "n/a", "not available", "does not exist", "nothing" };
    static const char *const open[] = { "unknown", "tbd", "todo", "?", "to be done", "to do", "-" };
    if (v->kind == RULE_UNKNOWN) return unknown;
    if (v->kind == RULE_BOOL) return truth(v->yes);
    for (size_t i = 0; v->text && i < sizeof no / sizeof *no; i++)
        if (strcasecmp(v->text, no[i]) == 0) return truth(false);
    for (size_t i = 0; v->text && i < sizeof open / sizeof *open; i++)
        if (strcasecmp(v->text, open[i]) == 0) return unknown;
    return truth(true);
}

static tola_status primary(reader *r, rule_value *out) {
    skip_space(r);
    if (take(r, "(")) {
        TRY(condition(r, out));
        return take(r, ")") ? TOLA_OK : syntax(r, "')' is wanted");
    }
    if (*r->at == '\'') {
        const char *end = strchr(r->at + 1, '\'');
        if (!end) return syntax(r, "a text does not end");
        *out = (rule_value){ .kind = RULE_TEXT,
                             .text = arena_strndup(&r->set->memory, r->at + 1, (size_t)(end - r->at - 1)) };
        r->at = end + 1;
        return out->text ? TOLA_OK : err_nomem(r->err, "evaluating rules");
    }
    bool known = take(r, "known");
    if (known || take(r, "given")) {
        if (!take(r, "(")) return syntax(r, "'(' is wanted");
        r->in_known += known;
        TRY(named(r, out));
        r->in_known -= known;
        *out = known ? truth(out->kind != RULE_UNKNOWN) : is_given(out);
        return take(r, ")") ? TOLA_OK : syntax(r, "')' is wanted");
    }
    if (take(r, "max")) {
        rule_value a, b;
        if (!take(r, "(")) return syntax(r, "'(' is wanted");
        TRY(condition(r, &a));
        if (!take(r, ",")) return syntax(r, "',' is wanted");
        TRY(condition(r, &b));
        bool both = a.kind == RULE_NUMBER && b.kind == RULE_NUMBER;
        *out = both ? (rule_value){ .kind = RULE_NUMBER, .low = fmax(a.low, b.low), .high = fmax(a.high, b.high) }
                    : unknown;
        return take(r, ")") ? TOLA_OK : syntax(r, "')' is wanted");
    }
    return named(r, out);
}

static tola_status arithmetic(reader *r, rule_value *out) {
    TRY(primary(r, out));
    for (;;) {
        skip_space(r);
        char op = *r->at;
        if (op != '*' && op != '/' && op != '+' && op != '-') return TOLA_OK;
        r->at++;
        rule_value b;
        TRY(primary(r, &b));
        bool days = out->kind == RULE_DATE && b.kind == RULE_NUMBER && (op == '+' || op == '-');
        bool apart = out->kind == RULE_DATE && b.kind == RULE_DATE && op == '-';
        if (days) {
            double day = op == '+' ? out->days + b.low : out->days - b.low;
            if (fabs(day) < MOST_DAYS) /* false for what is no number */
                out->days = (int32_t)day;
            else
                *out = unknown;
        } else if (apart) {
            double gap = (double)out->days - (double)b.days;
            *out = (rule_value){ .kind = RULE_NUMBER, .low = gap, .high = gap };
        } else if (out->kind == RULE_NUMBER && b.kind == RULE_NUMBER) {
            double x[4];
            const double left[] = { out->low, out->high }, right[] = { b.low, b.high };
            for (int i = 0; i < 4; i++) {
                double p = left[i / 2], q = right[i % 2];
                x[i] = op == '*' ? p * q : op == '/' ? p / q : op == '+' ? p + q : p - q;
            }
            out->low = fmin(fmin(x[0], x[1]), fmin(x[2], x[3]));
            out->high = fmax(fmax(x[0], x[1]), fmax(x[2], x[3]));
            if (!isfinite(out->low) || !isfinite(out->high)) *out = unknown;
        } else {
            *out = unknown;
        }
    }
}

/* Is the text one of the words of the list? */
static tola_status in_list(reader *r, const rule_value *v, rule_value *out) {
    char name[100];
    TRY(read_name(r, name));
    const yaml_node *list = yaml_get(r->lists, name);
    if (!list) return name_error(r, name);
    TRY(yaml_expect(list, YAML_LIST, r->err));
    if (v->kind != RULE_TEXT) {
        *out = unknown;
        return TOLA_OK;
    }
    *out = truth(false);
    for (size_t i = 0; i < list->count; i++) {
        const char *word = list->items[i]->text;
        if (word && strcasecmp(word, v->text) == 0) *out = truth(true);
    }
    return TOLA_OK;
}

static tola_status comparison(reader *r, rule_value *out) {
    static const char *const ops[] = { "<=", ">=", "==", "!=", "<", ">" };
    rule_value a, b;
    TRY(arithmetic(r, &a));
    if (take(r, "in")) return in_list(r, &a, out);
    size_t op = 0;
    while (op < 6 && !take(r, ops[op])) op++;
    *out = a;
    if (op == 6) return TOLA_OK;
    TRY(arithmetic(r, &b));
    if (a.kind == RULE_UNKNOWN || b.kind == RULE_UNKNOWN) {
        *out = unknown;
        return TOLA_OK;
    }
    if (a.kind != b.kind || a.kind == RULE_LIST) return syntax(r, "two things of different kinds are compared before");
    bool never, always; /* over all that the two may be */
    double al = a.low, ah = a.high, bl = b.low, bh = b.high;
    if (a.kind == RULE_DATE) al = ah = a.days, bl = bh = b.days;
    if (a.kind == RULE_BOOL) al = ah = a.yes, bl = bh = b.yes;
    if (a.kind == RULE_TEXT) al = ah = strcasecmp(a.text, b.text), bl = bh = 0;
    bool same = al == ah && bl == bh && al == bl;
    switch (op) {
    case 0: always = ah <= bl, never = al > bh; break;
    case 1: always = al >= bh, never = ah < bl; break;
    case 2: always = same, never = ah < bl || bh < al; break;
    case 3: always = ah < bl || bh < al, never = same; break;
    case 4: always = ah < bl, never = al >= bh; break;
    default: always = al > bh, never = ah <= bl; break;
    }
    *out = always ? truth(true) : never ? truth(false) : unknown;
    return TOLA_OK;
}

static tola_status as_truth(reader *r, rule_value *v) {
    if (v->kind == RULE_BOOL || v->kind == RULE_UNKNOWN) return TOLA_OK;
    return syntax(r, "yes or no is wanted (known(x), given(x) or a comparison) before");
}

static tola_status negation(reader *r, rule_value *out) {
    bool turn = false, any = false;
    while (take(r, "not")) turn = !turn, any = true;
    TRY(comparison(r, out));
    if (!any) return TOLA_OK;
    TRY(as_truth(r, out));
    if (out->kind == RULE_BOOL) out->yes ^= turn;
    return TOLA_OK;
}

static tola_status conjunction(reader *r, rule_value *out) {
    TRY(negation(r, out));
    while (take(r, "and")) {
        rule_value b;
        TRY(as_truth(r, out));
        TRY(negation(r, &b));
        TRY(as_truth(r, &b));
        bool no = (out->kind == RULE_BOOL && !out->yes) || (b.kind == RULE_BOOL && !b.yes);
        *out = no ? truth(false) : out->kind == RULE_UNKNOWN || b.kind == RULE_UNKNOWN ? unknown : truth(true);
    }
    return TOLA_OK;
}

static tola_status condition(reader *r, rule_value *out) {
    if (++r->depth > MOST_DEPTH) return syntax(r, "too many parentheses");
    TRY(conjunction(r, out));
    while (take(r, "or")) {
        rule_value b;
        TRY(as_truth(r, out));
        TRY(conjunction(r, &b));
        TRY(as_truth(r, &b));
        bool yes = (out->kind == RULE_BOOL && out->yes) || (b.kind == RULE_BOOL && b.yes);
        *out = yes ? truth(true) : out->kind == RULE_UNKNOWN || b.kind == RULE_UNKNOWN ? unknown : truth(false);
    }
    r->depth--;
    return TOLA_OK;
}

static tola_status evaluate(reader *r, const yaml_node *node, rule_value *out) {
    const char *text =
        node->kind == YAML_BOOL || node->kind == YAML_INT || node->kind == YAML_FLOAT ? node->text : NULL;
    if (!text) TRY(yaml_string(node, &text, r->err));
    r->node = node;
    r->at = text;
    r->depth = r->in_known = 0;
    TRY(condition(r, out));
    skip_space(r);
    return *r->at ? syntax(r, "the condition should end") : TOLA_OK;
}

/* ---- a rule ---- */

typedef struct rule_row {
    const char *id, *title, *article, *url, *text, *yes, *no, *unknown, *from, *until;
    const yaml_node *when, *met, *only_if, *value, *from_if;
    uint32_t kind;
} rule_row;

static const char *const kinds[] = { "status", "condition", "duty", "question", "note", NULL };
enum { STATUS, CONDITION, DUTY, QUESTION, NOTE };

static const yaml_field rule_fields[] = {
    { .key = "id", .type = YAML_TO_STRING, .offset = offsetof(rule_row, id), .required = true },
    { .key = "kind", .type = YAML_TO_CHOICE, .offset = offsetof(rule_row, kind), .choices = kinds, .required = true },
    { .key = "title", .type = YAML_TO_STRING, .offset = offsetof(rule_row, title), .required = true },
    { .key = "article", .type = YAML_TO_STRING, .offset = offsetof(rule_row, article), .required = true },
    { .key = "url", .type = YAML_TO_STRING, .offset = offsetof(rule_row, url) },
    { .key = "text", .type = YAML_TO_STRING, .offset = offsetof(rule_row, text) },
    { .key = "yes", .type = YAML_TO_STRING, .offset = offsetof(rule_row, yes) },
    { .key = "no", .type = YAML_TO_STRING, .offset = offsetof(rule_row, no) },
    { .key = "unknown", .type = YAML_TO_STRING, .offset = offsetof(rule_row, unknown) },
    { .key = "from", .type = YAML_TO_STRING, .offset = offsetof(rule_row, from) },
    { .key = "until", .type = YAML_TO_STRING, .offset = offsetof(rule_row, until) },
    { .key = "from_if", .type = YAML_TO_MAP, .offset = offsetof(rule_row, from_if) },
    { .key = "when", .type = YAML_TO_NODE, .offset = offsetof(rule_row, when) },
    { .key = "met", .type = YAML_TO_NODE, .offset = offsetof(rule_row, met) },
    { .key = "if", .type = YAML_TO_NODE, .offset = offsetof(rule_row, only_if) },
    { .key = "value", .type = YAML_TO_NODE, .offset = offsetof(rule_row, value) },
};

/* "{compute.flop}" in a text is the input's value, "{value}" the rule's. */
static tola_status fill_in(reader *r, const yaml_node *node, const char *text, const rule_value *value, char **out) {
    buf b;
    buf_init(&b, MOST_TEXT);
    tola_status status = TOLA_OK;
    char number[32];
    r->node = node;
    for (const char *at = text; *at && status == TOLA_OK;) {
        const char *open = strchr(at, '{'), *close = open ? strchr(open, '}') : NULL;
        if (!close || close - open > 90) {
            buf_append(&b, at, strlen(at));
            break;
        }
        buf_append(&b, at, (size_t)(open - at));
        char name[100];
        memcpy(name, open + 1, (size_t)(close - open - 1));
        name[close - open - 1] = 0;
        const rule_input *in = NULL;
        if (strcmp(name, "value") == 0 && value->kind == RULE_NUMBER)
            buf_printf(&b, "%s", rule_number_text(value->high, number));
        else if (strcmp(name, "value") == 0)
            buf_printf(&b, "unknown");
        else if (!(in = rule_set_find(r->set, name)))
            status = name_error(r, name);
        else
            buf_printf(&b, "%.300s", in->shown ? in->shown : "unknown");
        at = close + 1;
    }
    if (status == TOLA_OK && b.failed) status = yaml_error(node, r->err, "the text is too long");
    *out = status == TOLA_OK ? arena_strndup(&r->set->memory, (const char *)b.data, b.length) : NULL;
    buf_free(&b);
    return status == TOLA_OK && !*out ? err_nomem(r->err, "evaluating rules") : status;
}

static tola_answer answer_of(const rule_value *v) {
    return v->kind == RULE_UNKNOWN ? TOLA_ANSWER_UNKNOWN : v->yes ? TOLA_ANSWER_YES : TOLA_ANSWER_NO;
}

static void add_missing(const char **list, size_t *count, size_t cap, const char *key) {
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i], key) == 0) return;
    if (*count < cap) list[(*count)++] = key;
}

/* The inputs that were named, and where something is unknown, what would tell. */
static tola_status fill_inputs(reader *r, tola_conclusion *c, bool want_missing) {
    rule_set *s = r->set;
    const char *missing[MOST_USED * 2];
    size_t n_missing = 0;
    tola_comply_input *inputs = arena_alloc_array(&s->memory, r->n_used + 1, sizeof *inputs);
    if (!inputs) return err_nomem(r->err, "evaluating rules");
    for (size_t i = 0; i < r->n_used; i++) {
        const rule_input *in = &s->inputs[r->used[i]];
        inputs[c->n_inputs++] = (tola_comply_input){ in->name, in->shown, in->source, in->estimate };
        c->estimate = c->estimate || in->estimate;
        if (!want_missing || in->value.kind != RULE_UNKNOWN) continue;
        if (in->rule) {
            for (size_t k = 0; k < in->rule->n_missing; k++)
                add_missing(missing, &n_missing, MOST_USED * 2, in->rule->missing[k]);
        } else if (in->needs && !r->asked[i]) {
            add_missing(missing, &n_missing, MOST_USED * 2, in->needs);
        }
    }
    c->inputs = inputs;
    const char **kept = arena_alloc_array(&s->memory, n_missing + 1, sizeof *kept);
    if (!kept) return err_nomem(r->err, "evaluating rules");
    if (n_missing) memcpy(kept, missing, n_missing * sizeof *kept);
    c->missing = kept;
    c->n_missing = n_missing;
    return TOLA_OK;
}

static tola_status day_of(const yaml_node *rule, const char *key, const char *text, int32_t *days, tola_error *err) {
    if (!text || facts_parse_date(text, days)) return TOLA_OK;
    return yaml_error(yaml_get(rule, key), err, "a day as 2026-11-22 is wanted");
}

/* From which day on: `from`, unless from_if holds. */
static tola_status read_days(reader *r, const yaml_node *node, const rule_row *row, tola_conclusion *c) {
    static const char *const keys[] = { "when", "from", NULL };
    int32_t from = INT32_MIN, until = INT32_MAX;
    const char *begins = row->from;
    if (row->from_if) {
        const yaml_node *when, *other;
        rule_value v;
        TRY(yaml_keys(row->from_if, keys, r->err));
        TRY(yaml_need(row->from_if, "when", &when, r->err));
        TRY(yaml_need(row->from_if, "from", &other, r->err));
        size_t before = r->n_used; /* what the days hang on is no reason for the answer */
        TRY(evaluate(r, when, &v));
        r->n_used = before;
        if (v.kind == RULE_BOOL && v.yes) TRY(yaml_string(other, &begins, r->err));
    }
    if (begins && !facts_parse_date(begins, &from))
        return yaml_error(node, r->err, "from: a day as 2026-11-22 is wanted");
    TRY(day_of(node, "until", row->until, &until, r->err));
    c->from = begins ? rule_format(&r->set->memory, "%s", begins) : NULL;
    c->until = row->until ? rule_format(&r->set->memory, "%s", row->until) : NULL;
    c->in_force = r->set->on_date >= from && r->set->on_date < until;
    return TOLA_OK;
}

static char *copy(rule_set *s, const char *text) { return text ? rule_format(&s->memory, "%s", text) : NULL; }

/* Is it asked at all; does it hold; is it met; from when. */
static tola_status judge(reader *r, const yaml_node *node, const rule_row *row, tola_conclusion *c, rule_value *value) {
    rule_value v = truth(true);
    *value = unknown;
    c->met = TOLA_ANSWER_NOT_ASKED;
    if (row->only_if) {
        TRY(evaluate(r, row->only_if, &v));
        TRY(as_truth(r, &v));
        r->n_used = 0; /* why it is asked is no reason for the answer */
        if (v.kind == RULE_BOOL && !v.yes) {
            c->verdict = TOLA_ANSWER_NOT_ASKED;
            return read_days(r, node, row, c);
        }
    }
    v = truth(true);
    if (row->when) {
        TRY(evaluate(r, row->when, &v));
        TRY(as_truth(r, &v));
    }
    c->verdict = row->kind == QUESTION ? TOLA_ANSWER_UNKNOWN : answer_of(&v); /* a question is people's to answer */
    if (row->met && c->verdict != TOLA_ANSWER_NO) {
        TRY(evaluate(r, row->met, &v));
        TRY(as_truth(r, &v));
        c->met = answer_of(&v);
    }
    if (row->value) {
        TRY(evaluate(r, row->value, value));
        if (value->kind != RULE_NUMBER) *value = unknown;
    }
    return read_days(r, node, row, c);
}

static tola_status run_rule(rule_set *s, const yaml_node *root, const yaml_node *node, const char *jurisdiction,
                            tola_error *err) {
    rule_row row = { 0 };
    TRY(yaml_read(node, rule_fields, sizeof rule_fields / sizeof *rule_fields, &row, err));
    reader *r = arena_alloc(&s->memory, sizeof *r);
    if (!r) return err_nomem(err, "evaluating rules");
    *r = (reader){ .set = s, .values = yaml_get(root, "values"), .lists = yaml_get(root, "lists"), .err = err };
    if (find_input(s, row.id)) return yaml_error(yaml_get(node, "id"), err, "there is an input or a rule '%s'", row.id);
    tola_conclusion c = { .id = copy(s, row.id),
                          .jurisdiction = copy(s, jurisdiction),
                          .title = copy(s, row.title),
                          .kind = kinds[row.kind],
                          .article = copy(s, row.article),
                          .url = copy(s, row.url) };
    rule_value value;
    TRY(judge(r, node, &row, &c, &value));
    bool open = c.verdict == TOLA_ANSWER_UNKNOWN || c.met == TOLA_ANSWER_UNKNOWN || c.met == TOLA_ANSWER_NO;
    TRY(fill_inputs(r, &c, open && row.kind != QUESTION));
    const char *text = c.verdict == TOLA_ANSWER_YES ? row.yes : c.verdict == TOLA_ANSWER_NO ? row.no : row.unknown;
    if (!text) text = row.text ? row.text : "";
    char *filled;
    TRY(fill_in(r, node, text, &value, &filled));
    c.text = filled;
    if (!c.id || !c.title || !c.jurisdiction || !c.article) return err_nomem(err, "evaluating rules");
    if (!mem_grow(&s->conclusions, &s->cap_conclusions, s->n_conclusions + 1, sizeof c))
        return err_nomem(err, "evaluating rules");
    s->conclusions[s->n_conclusions++] = c;
    /* its answer is an input of the rules after it; conclusions move when they grow, so it keeps a copy */
    tola_conclusion *kept = arena_alloc(&s->memory, sizeof *kept);
    if (!kept) return err_nomem(err, "evaluating rules");
    *kept = c;
    bool no = c.verdict == TOLA_ANSWER_NO || c.verdict == TOLA_ANSWER_NOT_ASKED;
    rule_input in = {
        .name = c.id, .rule = kept, .estimate = c.estimate, .source = rule_format(&s->memory, "%s", c.article)
    };
    in.value = c.verdict == TOLA_ANSWER_UNKNOWN ? unknown : truth(!no);
    in.shown = c.verdict == TOLA_ANSWER_UNKNOWN ? NULL : no ? "no" : "yes";
    if (c.verdict == TOLA_ANSWER_NOT_ASKED) in.shown = "does not arise";
    return put(s, in, err);
}

tola_status rule_set_run(rule_set *s, const yaml *file, tola_error *err) {
    typedef struct header {
        const char *version, *as_of, *title, *jurisdiction;
        const yaml_node *values, *lists, *rules, *components;
    } header;
    static const yaml_field fields[] = {
        { .key = "version", .type = YAML_TO_STRING, .offset = offsetof(header, version), .required = true },
        { .key = "as_of", .type = YAML_TO_STRING, .offset = offsetof(header, as_of), .required = true },
        { .key = "title", .type = YAML_TO_STRING, .offset = offsetof(header, title), .required = true },
        { .key = "jurisdiction", .type = YAML_TO_STRING, .offset = offsetof(header, jurisdiction), .required = true },
        { .key = "values", .type = YAML_TO_MAP, .offset = offsetof(header, values) },
        { .key = "lists", .type = YAML_TO_MAP, .offset = offsetof(header, lists) },
        { .key = "components", .type = YAML_TO_LIST, .offset = offsetof(header, components) },
        { .key = "rules", .type = YAML_TO_LIST, .offset = offsetof(header, rules), .required = true },
    };
    header h = { 0 };
    const yaml_node *root = yaml_root(file);
    TRY(yaml_read(root, fields, sizeof fields / sizeof *fields, &h, err));
    if (h.rules->count > MOST_RULES) return yaml_error(h.rules, err, "more than %d rules", MOST_RULES);
    if (!mem_grow(&s->files, &s->cap_files, s->n_files + 1, sizeof *s->files)) return err_nomem(err, "reading rules");
    tola_rule_file f = { copy(s, yaml_name(file)), copy(s, h.title), copy(s, h.version), copy(s, h.as_of) };
    if (!f.name || !f.title || !f.version || !f.as_of) return err_nomem(err, "reading rules");
    s->files[s->n_files++] = f;
    for (size_t i = 0; i < h.rules->count; i++) TRY(run_rule(s, root, h.rules->items[i], h.jurisdiction, err));
    return TOLA_OK;
}
