/* Python's two ways to format: "%s" % x and "{}".format(x); numbers to and from text. */
#include "text/jinja/engine.h"
#include "text/jinja/unicode.h"

#include <math.h>
#include <stdlib.h>

#include "base/json.h"

#define MAX_PRECISION 400 /* digits; more than a double has */

typedef struct spec { /* [[fill]align][sign][#][0][width][grouping][.precision][type] */
    uint32_t fill;
    uint8_t fill_mark;
    char align, sign, grouping, type;
    bool alternate, zero;
    int64_t width, precision; /* -1: not given */
} spec;

/* ---- numbers from text ---- */

/* Text without white space around it, with single underscores between digits taken out; false where it is too long or
 * holds what no number does. */
static bool plain_number(jinja_run *e, const jstr *s, char *dst, size_t cap) {
    s = jinja_strip(e, s, NULL, true, true);
    size_t n = 0;
    for (size_t i = 0; i < s->length; i++) {
        if (s->data[i] == '_') {
            bool between = i > 0 && i + 1 < s->length && s->data[i - 1] != '_' && s->data[i + 1] != '_';
            if (!between) return false;
            continue;
        }
        if (n + 1 >= cap || (unsigned char)s->data[i] >= 0x80 || s->data[i] == 0) return false;
        dst[n++] = s->data[i];
    }
    dst[n] = 0;
    return n > 0;
}

bool jinja_parse_int(jinja_run *e, const jstr *s, int64_t base, int64_t *out) {
    char text[300], *p = text;
    if (base != 0 && (base < 2 || base > 36)) jinja_bad(e, "int() base must be >= 2 and <= 36, or 0");
    if (!plain_number(e, s, text, sizeof text)) return false;
    bool minus = *p == '-';
    if (*p == '-' || *p == '+') p++;
    static const char letters[] = "xob";
    static const int bases[] = { 16, 8, 2 };
    const char *named = *p == '0' && p[1] ? strchr(letters, p[1] | 32) : NULL;
    int64_t by_name = named && *named ? bases[named - letters] : 0;
    if (by_name && (base == 0 || base == by_name)) {
        base = by_name;
        p += 2;
    } else if (base == 0) {
        for (const char *q = p; *p == '0' && *q; q++)
            if (*q != '0') return false; /* 012 is no number to Python */
        base = 10;
    }
    if (!*p) return false;
    int64_t v = 0;
    for (; *p; p++) {
        int d = *p >= '0' && *p <= '9' ? *p - '0' : (*p | 32) >= 'a' && (*p | 32) <= 'z' ? (*p | 32) - 'a' + 10 : 99;
        if (d >= base) return false;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_sub_overflow(v, d, &v)) jinja_big(e);
    }
    if (!minus && v == INT64_MIN) jinja_big(e);
    *out = minus ? v : -v;
    return true;
}

bool jinja_parse_float(jinja_run *e, const jstr *s, double *out) {
    char text[500];
    if (!plain_number(e, s, text, sizeof text)) return false;
    const char *p = text + (*text == '-' || *text == '+');
    static const struct {
        const char *word;
        double value;
    } words[] = { { "inf", INFINITY }, { "infinity", INFINITY }, { "nan", NAN } };
    for (size_t i = 0; i < 3; i++) {
        size_t k = 0;
        while (p[k] && words[i].word[k] && (p[k] | 32) == words[i].word[k]) k++;
        if (p[k] || words[i].word[k]) continue;
        *out = *text == '-' ? -words[i].value : words[i].value;
        return true;
    }
    bool digits = false, good = true;
    while (*p >= '0' && *p <= '9') p++, digits = true;
    if (*p == '.') p++;
    while (*p >= '0' && *p <= '9') p++, digits = true;
    if (digits && (*p == 'e' || *p == 'E')) {
        p++;
        if (*p == '-' || *p == '+') p++;
        good = *p >= '0' && *p <= '9';
        while (*p >= '0' && *p <= '9') p++;
    }
    if (!digits || !good || *p) return false;
    *out = json_strtod(text[0] == '+' ? text + 1 : text);
    return true;
}

/* printf of a double, with a point whatever the locale. */
static size_t print_double(char *dst, size_t cap, double x, char type, int precision, bool alternate) {
    char format[16];
    snprintf(format, sizeof format, "%%%s.*%c", alternate ? "#" : "", type);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(dst, cap, format, precision, x);
#pragma GCC diagnostic pop
    size_t to = 0;
    bool point = false;
    for (int i = 0; i < n; i++) {
        char c = dst[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+';
        if (plain || !point) dst[to++] = plain ? c : '.';
        if (!plain) point = true;
    }
    dst[to] = 0;
    return to;
}

double jinja_round(double x, int64_t digits) {
    if (!isfinite(x) || digits > 330) return x;
    if (digits < -330) return copysign(0.0, x);
    char text[800];
    if (digits >= 0) {
        print_double(text, sizeof text, x, 'f', (int)digits, false);
        return json_strtod(text);
    }
    /* to a multiple of 10^-digits: round the decimal expansion at that digit, half to even, exactly */
    size_t n = print_double(text, sizeof text, fabs(x), 'f', 340, false), point = strcspn(text, ".");
    size_t keep = point > (size_t)-digits ? point - (size_t)-digits : 0;
    if (point < (size_t)-digits) return copysign(0.0, x);
    char next = text[keep];
    bool more = false;
    for (size_t i = keep + 1; i < n; i++) more = more || (text[i] != '0' && text[i] != '.');
    bool odd = keep && ((text[keep - 1] - '0') & 1);
    bool up = next > '5' || (next == '5' && (more || odd));
    char rounded[420];
    size_t out = 0;
    rounded[out++] = '0';
    memcpy(rounded + out, text, keep);
    out += keep;
    for (size_t i = out; up && i-- > 0;) {
        up = rounded[i] == '9';
        rounded[i] = up ? '0' : (char)(rounded[i] + 1);
    }
    for (int64_t i = 0; i < -digits; i++) rounded[out++] = '0';
    rounded[out] = 0;
    const char *first = rounded;
    while (*first == '0' && first[1]) first++;
    return copysign(json_strtod(first), x);
}

/* ---- numbers to text ---- */

/* Digits of |v| in a base. */
static size_t print_digits(char *dst, uint64_t v, unsigned base, bool upper) {
    char text[65];
    size_t n = 0;
    do text[n++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[v % base];
    while (v /= base);
    for (size_t i = 0; i < n; i++) dst[i] = text[n - 1 - i];
    dst[n] = 0;
    return n;
}

/* Puts sign, prefix, digits and padding together. `digits` may end with a fraction or exponent. */
static void add_number(jbuild *b, const spec *s, bool minus, const char *prefix, const char *digits, uint8_t mark) {
    char grouped[1200];
    size_t whole = strspn(digits, "0123456789abcdefABCDEF"), n = 0;
    bool hex = s->type == 'x' || s->type == 'X' || s->type == 'b' || s->type == 'o';
    if (!hex) whole = strspn(digits, "0123456789");
    size_t step = hex ? 4 : 3, group = s->grouping ? step : 0;
    const char *sign = minus ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
    size_t around = strlen(sign) + strlen(prefix), rest = strlen(digits + whole), zeros = 0;
    bool fill_zeros = s->align == '=' && s->fill == '0';
    if (group && fill_zeros && s->width > 0) { /* zeros are grouped, too */
        while (whole + zeros + (whole + zeros - 1) / group + around + rest < (size_t)s->width && zeros < 900) zeros++;
    }
    size_t total = whole + zeros;
    for (size_t i = 0; i < total && n + 2 < sizeof grouped; i++) {
        if (group && i && (total - i) % group == 0) grouped[n++] = s->grouping;
        grouped[n++] = i < zeros ? '0' : digits[i - zeros];
    }
    for (size_t i = 0; i < rest && n + 1 < sizeof grouped; i++) grouped[n++] = digits[whole + i];
    grouped[n] = 0;
    size_t used = around + n, pad = s->width > 0 && (size_t)s->width > used ? (size_t)s->width - used : 0;
    if (pad > b->e->output) jinja_too_long(b->e);
    char align = s->align ? s->align : '>';
    size_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
    size_t inside = align == '=' ? pad : 0;
    for (size_t i = 0; i < left; i++) jbuild_char(b, s->fill, mark | s->fill_mark);
    jbuild_text(b, sign, mark);
    jbuild_text(b, prefix, mark);
    for (size_t i = 0; i < inside; i++) jbuild_char(b, s->fill, mark | s->fill_mark);
    jbuild_bytes(b, grouped, n, mark);
    for (size_t i = left + inside; i < pad; i++) jbuild_char(b, s->fill, mark | s->fill_mark);
}

static void add_float(jbuild *b, const spec *given, double x, uint8_t mark) {
    jinja_run *e = b->e;
    spec s = *given;
    char text[900];
    jinja_charge(e, 6 * FLOAT_COST);
    if (s.precision > MAX_PRECISION) jinja_fail(e, TOLA_E_LIMIT, "a precision of more than %d digits", MAX_PRECISION);
    int precision = s.precision < 0 ? 6 : (int)s.precision;
    bool minus = signbit(x) && !isnan(x);
    double v = fabs(x);
    char type = s.type;
    if (type == '%') {
        v *= 100;
        type = 'f';
    }
    if (type == 'n') type = 'g';
    if (!isfinite(v)) {
        bool upper = type == 'E' || type == 'F' || type == 'G';
        snprintf(text, sizeof text, "%s", isnan(v) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
        if (s.fill == '0' && s.align == '=') s.fill = '0';
    } else if (type == 0 && s.precision < 0) {
        jinja_float_repr(text, v);
    } else if (type == 0) { /* like g, with a digit behind the point where there is no exponent */
        int digits = precision ? precision : 1;
        char probe[900];
        print_double(probe, sizeof probe, v, 'e', digits - 1, false);
        int exponent = (int)strtol(strchr(probe, 'e') + 1, NULL, 10);
        if (v == 0) exponent = 0;
        if (exponent < -4 || exponent >= digits - 1 + (digits == 1 && exponent == 0)) {
            print_double(text, sizeof text, v, 'g', digits, false);
            if (!strchr(text, 'e') && !strchr(text, '.')) {
                if (exponent >= digits - 1 && digits > 0) { /* repr's rule: exponent from `digits - 1` on */
                    print_double(probe, sizeof probe, v, 'e', digits - 1, false);
                    char *tail = strchr(probe, 'e');
                    size_t head = (size_t)(tail - probe);
                    while (head > 1 && memchr(probe, '.', head) && probe[head - 1] == '0') head--;
                    if (head > 1 && probe[head - 1] == '.') head--;
                    memmove(probe + head, tail, strlen(tail) + 1);
                    snprintf(text, sizeof text, "%s", probe);
                } else {
                    strcat(text, ".0");
                }
            }
        } else {
            print_double(text, sizeof text, v, 'g', digits, false);
            if (!strchr(text, '.') && !strchr(text, 'e')) strcat(text, ".0");
        }
    } else {
        print_double(text, sizeof text, v, type, (type == 'g' || type == 'G') && precision == 0 ? 1 : precision,
                     s.alternate);
    }
    if (s.type == '%') strcat(text, "%");
    add_number(b, &s, minus, "", text, mark);
}

static void add_int(jbuild *b, const spec *s, int64_t i, uint8_t mark) {
    jinja_run *e = b->e;
    uint64_t v = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    char digits[80];
    switch (s->type) {
    case 0:
    case 'd':
    case 'n': print_digits(digits, v, 10, false); break;
    case 'x':
    case 'X': print_digits(digits, v, 16, s->type == 'X'); break;
    case 'o': print_digits(digits, v, 8, false); break;
    case 'b': print_digits(digits, v, 2, false); break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case '%': add_float(b, s, (double)i, mark); return;
    default: jinja_bad(e, "unknown format code '%c' for an int", s->type);
    }
    if (s->precision >= 0) jinja_bad(e, "precision not allowed in an integer format");
    char prefix[3] = { '0', s->type, 0 };
    bool prefixed = s->alternate && strchr("xXob", s->type) && s->type;
    add_number(b, s, i < 0, prefixed ? prefix : "", digits, mark);
}

static void add_text(jbuild *b, const spec *s, const jstr *text) {
    if (s->precision >= 0 && (size_t)s->precision < text->chars)
        text = jstr_cut(b->e, text, 0, jstr_offset(b->e, text, (size_t)s->precision));
    size_t pad = s->width > (int64_t)text->chars ? (size_t)s->width - text->chars : 0;
    if (pad > b->e->output) jinja_too_long(b->e);
    size_t left = s->align == '>' ? pad : s->align == '^' ? pad / 2 : 0;
    for (size_t i = 0; i < left; i++) jbuild_char(b, s->fill, s->fill_mark);
    jbuild_add(b, text);
    for (size_t i = left; i < pad; i++) jbuild_char(b, s->fill, s->fill_mark);
}

/* ---- "..." % x ---- */

typedef struct percent_args {
    jv x;
    size_t at;
    bool tuple, used;
} percent_args;

static jv percent_next(jinja_run *e, percent_args *p) {
    if (p->tuple) {
        if (p->at >= p->x.as.l->n) jinja_bad(e, "not enough arguments for format string");
        return p->x.as.l->v[p->at++];
    }
    if (p->used) jinja_bad(e, "not enough arguments for format string");
    p->used = true;
    return p->x;
}

static int64_t digits_at(jinja_run *e, const jstr *f, size_t *at) {
    int64_t v = 0;
    for (; *at < f->length && f->data[*at] >= '0' && f->data[*at] <= '9'; ++*at) {
        v = v * 10 + (f->data[*at] - '0');
        if (v > INT32_MAX) jinja_too_long(e);
    }
    return v;
}

static void percent_char(jbuild *b, const spec *s, jv x) {
    jinja_run *e = b->e;
    if (x.kind == JK_STRING) {
        if (x.as.s->chars != 1) jinja_bad(e, "%%c requires int or char");
        add_text(b, s, x.as.s);
        return;
    }
    int64_t c = jv_need_int(e, x, "the argument of %c");
    if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) jinja_bad(e, "%%c arg not in range");
    jbuild one;
    jbuild_init(&one, e);
    jbuild_char(&one, (uint32_t)c, x.mark);
    add_text(b, s, jbuild_done(&one));
}

static void percent_int(jbuild *b, spec *s, jv x) {
    jinja_run *e = b->e;
    jv_need_defined(e, x);
    if (x.kind == JK_BIG) jinja_big(e);
    if (!jv_number(x)) jinja_bad(e, "%%%c format: a number is required, not %s", s->type, jv_type(x));
    if (x.kind == JK_FLOAT && (s->type == 'x' || s->type == 'X' || s->type == 'o'))
        jinja_bad(e, "%%%c format: an integer is required, not float", s->type);
    int64_t i;
    if (x.kind == JK_FLOAT) {
        if (!(fabs(x.as.f) < 0x1p63)) jinja_big(e);
        i = (int64_t)x.as.f;
    } else {
        i = jv_integer(x);
    }
    char digits[480];
    unsigned base = s->type == 'o' ? 8 : s->type == 'd' ? 10 : 16;
    size_t n = print_digits(digits, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, base, s->type == 'X');
    if (s->precision > MAX_PRECISION) jinja_fail(e, TOLA_E_LIMIT, "a precision of more than %d digits", MAX_PRECISION);
    if (s->precision > (int64_t)n) { /* at least so many digits */
        size_t more = (size_t)s->precision - n;
        memmove(digits + more, digits, n + 1);
        memset(digits, '0', more);
    }
    char prefix[3] = { '0', s->type, 0 };
    add_number(b, s, i < 0, s->alternate && base != 10 ? prefix : "", digits, x.mark);
}

/* `safe`: the format is Markup, and texts are escaped. */
static void percent_field(jbuild *b, spec *s, jv x, bool safe) {
    jinja_run *e = b->e;
    switch (s->type) {
    case 's':
    case 'r':
    case 'a': {
        const jstr *text;
        if (s->type == 's') {
            text = jv_to_str(e, x);
        } else {
            jbuild repr;
            jbuild_init(&repr, e);
            jv_add_repr(&repr, x);
            text = jbuild_done(&repr);
            x = jv_str(text);
        }
        if (safe) text = jinja_escape_html(e, x);
        if (s->type == 'a' && text->chars != text->length)
            jinja_fail(e, TOLA_E_UNSUPPORTED, "%%a of a text beyond ASCII is not supported");
        s->fill = ' ';
        s->align = s->align == '<' ? '<' : '>';
        add_text(b, s, text);
        return;
    }
    case 'c':
        s->fill = ' ';
        s->align = s->align == '<' ? '<' : '>';
        percent_char(b, s, x);
        return;
    case 'i':
    case 'u': s->type = 'd'; percent_int(b, s, x); return;
    case 'd':
    case 'x':
    case 'X':
    case 'o': percent_int(b, s, x); return;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        jv_need_defined(e, x);
        if (x.kind == JK_BIG) jinja_big(e);
        if (!jv_number(x)) jinja_bad(e, "must be real number, not %s", jv_type(x));
        add_float(b, s, jv_double(x), x.mark);
        return;
    default: jinja_bad(e, "unsupported format character '%c'", s->type);
    }
}

jv jinja_percent(jinja_run *e, const jstr *f, jv x) {
    percent_args p = { .x = x, .tuple = x.kind == JK_TUPLE };
    jbuild b;
    jbuild_init(&b, e);
    for (size_t at = 0; at < f->length;) {
        const char *next = memchr(f->data + at, '%', f->length - at);
        size_t to = next ? (size_t)(next - f->data) : f->length;
        jbuild_cut(&b, f, at, to);
        at = to + 1;
        if (!next) break;
        spec s = { .fill = ' ', .width = -1, .precision = -1 };
        jv value = jv_kind(JK_MISSING);
        if (at < f->length && f->data[at] == '(') {
            size_t from = ++at;
            for (int depth = 1; at < f->length; at++) {
                depth += f->data[at] == '(';
                depth -= f->data[at] == ')';
                if (depth == 0) break;
            }
            if (at >= f->length) jinja_bad(e, "incomplete format key");
            if (x.kind != JK_DICT) jinja_bad(e, "format requires a mapping");
            const jv *found = jdict_get(e, x.as.d, jv_str(jstr_cut(e, f, from, at)));
            if (!found) jinja_bad(e, "a key of the format is not in the mapping");
            value = *found;
            at++;
        }
        for (; at < f->length && strchr("-+ #0", f->data[at]) && f->data[at]; at++) {
            char c = f->data[at];
            if (c == '-') s.align = '<';
            else if (c == '+') s.sign = '+';
            else if (c == ' ' && !s.sign) s.sign = ' ';
            else if (c == '#') s.alternate = true;
            else if (c == '0') s.zero = true;
        }
        if (at < f->length && f->data[at] == '*') {
            s.width = jv_need_int(e, percent_next(e, &p), "a width");
            if (s.width < 0) s.align = '<', s.width = -s.width;
            at++;
        } else {
            s.width = digits_at(e, f, &at);
        }
        if (at < f->length && f->data[at] == '.') {
            at++;
            if (at < f->length && f->data[at] == '*') {
                s.precision = jv_need_int(e, percent_next(e, &p), "a precision");
                if (s.precision < 0) s.precision = 0;
                at++;
            } else {
                s.precision = digits_at(e, f, &at);
            }
        }
        if (at < f->length && strchr("hlL", f->data[at]) && f->data[at]) at++;
        if (at >= f->length) jinja_bad(e, "incomplete format");
        s.type = f->data[at++];
        if (s.type == '%') {
            jbuild_cut(&b, f, at - 1, at);
            continue;
        }
        if (s.zero && s.align != '<') s.fill = '0', s.align = '=';
        percent_field(&b, &s, value.kind == JK_MISSING ? percent_next(e, &p) : value, f->safe);
    }
    bool mapping = x.kind == JK_DICT || x.kind == JK_LIST || x.kind == JK_RANGE || x.kind == JK_UNDEFINED;
    if (p.tuple ? p.at < x.as.l->n : !p.used && !mapping)
        jinja_bad(e, "not all arguments converted during string formatting");
    return jv_str(jstr_safe(e, jbuild_done(&b), f->safe));
}

/* ---- "...".format(...) ---- */

typedef struct format_args {
    const jargs *a;
    int64_t next; /* of fields without a name; -1: names were numbers so far */
    bool numbered, automatic;
} format_args;

static spec parse_spec(jinja_run *e, const jstr *t) {
    spec s = { .fill = ' ', .width = -1, .precision = -1 };
    size_t at = 0;
    bool filled = false;
    if (t->length) {
        size_t next = 0;
        uint32_t first = jstr_next(t, &next);
        if (next < t->length && strchr("<>=^", t->data[next]) && t->data[next]) {
            s.fill = first;
            s.fill_mark = jstr_mark(t, 0);
            s.align = t->data[next];
            at = next + 1;
            filled = true;
        } else if (strchr("<>=^", t->data[0]) && t->data[0]) {
            s.align = t->data[at++];
        }
    }
    if (at < t->length && strchr("+- ", t->data[at]) && t->data[at]) s.sign = t->data[at++];
    if (at < t->length && t->data[at] == '#') s.alternate = true, at++;
    if (at < t->length && t->data[at] == '0') {
        s.zero = true;
        if (!filled) s.fill = '0';
        if (!s.align) s.align = '=';
        at++;
    }
    if (at < t->length && t->data[at] >= '0' && t->data[at] <= '9') s.width = digits_at(e, t, &at);
    if (at < t->length && (t->data[at] == ',' || t->data[at] == '_')) s.grouping = t->data[at++];
    if (at < t->length && t->data[at] == '.') {
        size_t from = ++at;
        s.precision = digits_at(e, t, &at);
        if (at == from) jinja_bad(e, "format specifier missing precision");
    }
    if (at < t->length) s.type = t->data[at++];
    if (at < t->length) jinja_bad(e, "invalid format specifier");
    return s;
}

static void format_value(jbuild *b, jv x, const jstr *t, bool safe) {
    jinja_run *e = b->e;
    if (x.kind == JK_STRING || t->length == 0) {
        const jstr *text = safe ? jinja_escape_html(e, x) : jv_to_str(e, x);
        if (t->length == 0) {
            jbuild_add(b, text);
            return;
        }
        spec s = parse_spec(e, t);
        if (s.type && s.type != 's') jinja_bad(e, "unknown format code '%c' for a str", s.type);
        if (s.sign || s.alternate || s.grouping || (s.align == '=' && !s.zero))
            jinja_bad(e, "a sign, '#', grouping or '=' in the format of a str");
        if (s.align == '=') s.align = '<';
        add_text(b, &s, text);
        return;
    }
    if (x.kind == JK_BIG) jinja_big(e);
    if (!jv_number(x)) jinja_bad(e, "unsupported format string passed to %s.__format__", jv_type(x));
    spec s = parse_spec(e, t);
    if (s.type == 'c') jinja_fail(e, TOLA_E_UNSUPPORTED, "the format code 'c' is not supported");
    if (s.grouping && s.type && !strchr(s.grouping == ',' ? "deEfFgG%" : "deEfFgG%xXob", s.type))
        jinja_bad(e, "cannot specify '%c' with '%c'", s.grouping, s.type);
    if (x.kind != JK_FLOAT) {
        add_int(b, &s, jv_integer(x), x.mark);
        return;
    }
    if (s.type && !strchr("eEfFgGn%", s.type)) jinja_bad(e, "unknown format code '%c' for a float", s.type);
    add_float(b, &s, x.as.f, x.mark);
}

static jv format_argument(jinja_run *e, format_args *p, const jstr *name) {
    bool number = name->length > 0;
    for (size_t i = 0; i < name->length; i++) number = number && name->data[i] >= '0' && name->data[i] <= '9';
    if (name->length == 0 || number) {
        p->automatic = p->automatic || !number;
        p->numbered = p->numbered || number;
        if (p->automatic && p->numbered) jinja_bad(e, "cannot switch between manual and automatic field numbering");
        size_t at = 0;
        int64_t i = number ? digits_at(e, name, &at) : p->next++;
        if ((uint64_t)i >= p->a->n) jinja_bad(e, "replacement index %lld out of range", (long long)i);
        return p->a->v[i];
    }
    for (size_t i = 0; i < p->a->n_kw; i++)
        if (jstr_equal(p->a->kw[i].key.as.s, name)) return p->a->kw[i].value;
    jinja_bad(e, "format has no argument '%.*s'", (int)(name->length < 100 ? name->length : 100), name->data);
}

/* name, then .attribute and [element] any number of times */
static jv format_field(jinja_run *e, format_args *p, const jstr *f) {
    size_t at = 0;
    while (at < f->length && f->data[at] != '.' && f->data[at] != '[') at++;
    jv x = format_argument(e, p, jstr_cut(e, f, 0, at));
    while (at < f->length) {
        bool item = f->data[at] == '[';
        size_t from = ++at;
        while (at < f->length && (item ? f->data[at] != ']' : f->data[at] != '.' && f->data[at] != '[')) at++;
        if (item && at >= f->length) jinja_bad(e, "missing ']' in format string");
        const jstr *name = jstr_cut(e, f, from, at);
        if (name->length == 0) jinja_bad(e, "empty attribute in format string");
        size_t digits = 0;
        int64_t i = item ? digits_at(e, name, &digits) : 0;
        if (!item) x = jinja_getattr(e, x, name);
        else x = jinja_getitem(e, x, digits == name->length ? jv_int(i) : jv_str(name));
        if (item) at++;
        if (at < f->length && f->data[at] != '.' && f->data[at] != '[')
            jinja_bad(e, "only '.' or '[' may follow ']' in format field specifier");
    }
    return x;
}

static void format_into(jbuild *b, format_args *p, const jstr *f, int depth, bool safe);

/* The field between braces at [from, to). */
static void format_one(jbuild *b, format_args *p, const jstr *f, size_t from, size_t to, int depth, bool safe) {
    jinja_run *e = b->e;
    size_t at = from;
    int brackets = 0;
    for (; at < to; at++) {
        brackets += (f->data[at] == '[') - (f->data[at] == ']');
        if (brackets == 0 && (f->data[at] == '!' || f->data[at] == ':')) break;
        if (f->data[at] == '{') jinja_bad(e, "unexpected '{' in field name");
    }
    jv x = format_field(e, p, jstr_cut(e, f, from, at));
    if (at < to && f->data[at] == '!') {
        char how = at + 1 < to ? f->data[at + 1] : 0;
        if (!how || !strchr("rsa", how)) jinja_bad(e, "unknown conversion specifier in format string");
        at += 2;
        if (at < to && f->data[at] != ':') jinja_bad(e, "expected ':' after conversion specifier");
        if (how == 's') {
            x = jv_str(jv_to_str(e, x));
        } else {
            jbuild repr;
            jbuild_init(&repr, e);
            jv_add_repr(&repr, x);
            x = jv_str(jbuild_done(&repr));
            if (how == 'a' && x.as.s->chars != x.as.s->length)
                jinja_fail(e, TOLA_E_UNSUPPORTED, "!a of a text beyond ASCII is not supported");
        }
    }
    jbuild spec_text;
    jbuild_init(&spec_text, e);
    if (at < to) format_into(&spec_text, p, jstr_cut(e, f, at + 1, to), depth + 1, false);
    format_value(b, x, jbuild_done(&spec_text), safe);
}

static void format_into(jbuild *b, format_args *p, const jstr *f, int depth, bool safe) {
    jinja_run *e = b->e;
    if (depth > 1) jinja_bad(e, "max string recursion exceeded");
    size_t at = 0, from = 0;
    while (at < f->length) {
        char c = f->data[at];
        if (c != '{' && c != '}') {
            at++;
            continue;
        }
        jbuild_cut(b, f, from, at);
        if (at + 1 < f->length && f->data[at + 1] == c) {
            from = at + 1;
            at += 2;
            continue;
        }
        if (c == '}') jinja_bad(e, "single '}' encountered in format string");
        size_t end = ++at;
        int open = 1, brackets = 0;
        for (; end < f->length; end++) {
            if (f->data[end] == '[') brackets = 1;
            else if (f->data[end] == ']') brackets = 0;
            else if (!brackets && f->data[end] == '{') open++;
            else if (!brackets && f->data[end] == '}' && --open == 0) break;
        }
        if (end >= f->length) jinja_bad(e, "expected '}' before end of string");
        format_one(b, p, f, at, end, depth, safe);
        at = from = end + 1;
    }
    jbuild_cut(b, f, from, f->length);
}

jv jinja_format(jinja_run *e, const jstr *format, const jargs *a) {
    format_args p = { .a = a };
    jbuild b;
    jbuild_init(&b, e);
    format_into(&b, &p, format, 0, format->safe);
    return jv_str(jstr_safe(e, jbuild_done(&b), format->safe));
}
