/* What the parts of a run share: calls, attributes, filters, tests, methods. */
#ifndef TEXT_JINJA_ENGINE_H
#define TEXT_JINJA_ENGINE_H

#include "text/jinja/jinja.h"
#include "text/jinja/syntax.h"

/* Arguments of a call. */
typedef struct jargs {
    const jv *v;
    size_t n;
    const jpair *kw; /* keys are strings */
    size_t n_kw;
} jargs;

/* Puts arguments into `out`, one for each word of `spec`, JK_MISSING where it is not given. "!name" is required,
 * "-name" cannot be given by its name. Anything left over is an error. */
void jinja_bind_args(jinja_run *e, const char *function, const jargs *a, const char *spec, jv *out);
static inline bool jv_given(jv x) { return x.kind != JK_MISSING; }
static inline bool jv_given_some(jv x) { return x.kind != JK_MISSING && x.kind != JK_NONE; }

jv jinja_call(jinja_run *e, jv callee, const jargs *a);
/* object.name and object[key] as the sandbox has them */
jv jinja_getattr(jinja_run *e, jv object, const jstr *name);
jv jinja_getitem(jinja_run *e, jv object, jv key);
bool jinja_attribute(jinja_run *e, jv object, const jstr *name, jv *out); /* no element of a dict */
jv jinja_binary(jinja_run *e, int op, jv a, jv b);                        /* op: jtoken_type */
bool jinja_compare(jinja_run *e, int op, jv a, jv b);
jv jinja_slice(jinja_run *e, jv object, jv start, jv stop, jv step);
bool jinja_loop_attribute(jinja_run *e, jloop *loop, const jstr *name, jv *out);
jv jinja_loop_call(jinja_run *e, jloop *loop, bool cycle, const jargs *a);
bool jinja_macro_attribute(jinja_run *e, const jmacro *macro, const jstr *name, jv *out);

/* Runs the template of `e`. */
const jstr *jinja_execute(jinja_run *e);

jv jinja_apply_filter(jinja_run *e, int id, jv input, const jargs *a);
bool jinja_apply_test(jinja_run *e, int id, jv input, const jargs *a);

/* A method of the type of `self`; false where there is none. */
bool jinja_find_method(jinja_run *e, jv self, const jstr *name, jv *out);
jv jinja_call_method(jinja_run *e, const jmethod *m, const jargs *a);

/* Global functions. */
int jinja_function_id(const jstr *name);
jv jinja_call_function(jinja_run *e, int id, const jargs *a);

/* str methods that filters use */
const jstr *jinja_convert(jinja_run *e, const jstr *s, int to);
const jstr *jinja_capitalize(jinja_run *e, const jstr *s);
const jstr *jinja_strip(jinja_run *e, const jstr *s, const jstr *chars, bool left, bool right);
const jstr *jinja_replace(jinja_run *e, const jstr *s, const jstr *from, const jstr *to, int64_t count);
jv jinja_split_lines(jinja_run *e, const jstr *s, bool keep);
jv jinja_split(jinja_run *e, const jstr *s, const jstr *separator, int64_t most);
const jstr *jinja_join(jinja_run *e, const jstr *separator, jv list, bool strict);
const jstr *jinja_escape_html(jinja_run *e, jv x);
bool jinja_all_lower(jinja_run *e, const jstr *s);
bool jinja_all_upper(jinja_run *e, const jstr *s);
const jstr *jinja_center(jinja_run *e, const jstr *s, int64_t width, uint32_t fill, uint8_t mark);
const jstr *jinja_pad(jinja_run *e, const jstr *s, size_t left, size_t right, uint32_t fill, uint8_t mark);

/* Filters that lay text out (filters_text.c); and dictsort's list of pairs. */
jv jinja_wordwrap(jinja_run *e, jv x, const jargs *a);
jv jinja_pprint(jinja_run *e, jv x, const jargs *a);
jv jinja_urlencode(jinja_run *e, jv x, const jargs *a);
jv jinja_xmlattr(jinja_run *e, jv x, const jargs *a);
jv jinja_filesizeformat(jinja_run *e, jv x, const jargs *a);
jv jinja_sorted_items(jinja_run *e, jv dict);
uint8_t jinja_number_mark(jv x); /* of the number that a value is, or spells */

/* "..." % x and "...".format(...) */
jv jinja_percent(jinja_run *e, const jstr *format, jv x);
jv jinja_format(jinja_run *e, const jstr *format, const jargs *a);
/* round(x, digits), half to even */
double jinja_round(double x, int64_t digits);
/* int(text, base), float(text); false where Python raises ValueError */
bool jinja_parse_int(jinja_run *e, const jstr *s, int64_t base, int64_t *out);
bool jinja_parse_float(jinja_run *e, const jstr *s, double *out);

const jstr *jinja_strftime(jinja_run *e, const jstr *format);

#endif
