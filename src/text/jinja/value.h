/* Values of a template that runs: Python's, as far as templates see them, in one arena that dies with the run.
 *
 * All values but namespaces, cyclers and iterators are immutable, as the sandbox of transformers has them. Every byte
 * of a string carries marks: whether it came from the conversation (JM_USER) and whether it lies in a
 * {% generation %} block (JM_GENERATED); every operation on strings keeps them. Numbers, booleans and containers carry
 * JM_USER for the text that will be spelled of them.
 *
 * A failure jumps to the entry of the engine (jinja_fail): nothing here is owned but arenas, so nothing leaks. */
#ifndef TEXT_JINJA_VALUE_H
#define TEXT_JINJA_VALUE_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include <tola/base.h>

#define JM_USER 1      /* came from messages, tools, documents or variables */
#define JM_GENERATED 2 /* lies in a {% generation %} block */

typedef enum jinja_kind {
    JK_MISSING = 0, /* a variable that was never set; never seen by expressions */
    JK_UNDEFINED,
    JK_NONE,
    JK_BOOL,
    JK_INT,
    JK_BIG, /* an integer of the input beyond 64 bits, as its digits: it can be printed and compared */
    JK_FLOAT,
    JK_STRING,
    JK_LIST,
    JK_TUPLE,
    JK_DICT,
    JK_RANGE,
    JK_VIEW, /* keys, values or items of a dict */
    JK_ITER, /* what a generator is in Python: goes forward once */
    JK_NAMESPACE,
    JK_MACRO,
    JK_METHOD,   /* a method bound to its object */
    JK_FUNCTION, /* a global function */
    JK_LOOP,
    JK_CYCLER,
    JK_JOINER
} jinja_kind;

typedef struct jstr {
    const char *data; /* UTF-8 */
    size_t length;    /* bytes */
    size_t chars;     /* code points */
    const uint8_t *marks; /* one a byte, NULL where all are `mark` */
    uint8_t mark;
    bool safe;            /* markupsafe.Markup: what is joined to it is escaped */
    struct jstore *store; /* where it was built, for text that is added behind it; or NULL */
} jstr;

/* Memory of strings that were built, one the beginning of the next: `out = out ~ more` a thousand times takes the memory
 * of the last, not of all. Bytes are written only behind all strings that use it. */
typedef struct jstore {
    char *data;
    uint8_t *marks; /* NULL: none of the strings has any */
    size_t used;    /* length of the longest; SIZE_MAX while it is being lengthened */
    size_t cap;
} jstore;

typedef struct jinja_run jinja_run;
typedef struct jv jv;
typedef struct jlist jlist;
typedef struct jdict jdict;
typedef struct jundef jundef;
typedef struct jrange jrange;
typedef struct jiter jiter;
typedef struct jmethod jmethod;
typedef struct jmacro jmacro;
typedef struct jloop jloop;
typedef struct jcycler jcycler;

struct jv {
    uint8_t kind; /* jinja_kind */
    uint8_t mark; /* of a number, boolean, list, dict: JM_USER or 0 */
    uint16_t sub; /* of a function: which one; of a view: 0 keys, 1 values, 2 items; of a tuple: 1 = of groupby */
    union {
        bool b;
        int64_t i;
        double f;
        const jstr *s;  /* also the digits of JK_BIG */
        const jlist *l; /* list, tuple */
        jdict *d;       /* dict, view, namespace */
        const jundef *u;
        const jrange *r;
        jiter *it;
        const jmethod *m;
        jmacro *macro;
        jloop *loop;
        jcycler *cycler; /* joiner, too */
    } as;
};

struct jlist {
    size_t n;
    jv *v;
};

typedef struct jpair {
    jv key, value;
} jpair;

struct jdict { /* in the order of insertion */
    size_t n, cap;
    jpair *pairs;
    uint32_t *index; /* open addressing, entry + 1; NULL while small */
    size_t slots;
};

struct jundef {
    const char *hint;    /* what the message says; or NULL: it is made of the others */
    const char *type;    /* of the object that lacks it; NULL: a variable */
    const jstr *name;    /* NULL: some element */
    bool unsafe;         /* an attribute that the sandbox hides */
};

struct jrange {
    int64_t start, stop, step;
    size_t n;
};

struct jmethod {
    jv self;
    uint16_t id; /* in the table of methods of its kind */
};

struct jargs;

/* Goes over any iterable, one item at a time. */
struct jiter {
    jv over;
    size_t at, byte; /* byte: place in a string */
    bool backwards;
    bool given; /* it was an iterator already: `over.as.it` is asked */
    /* of a generator that has not begun: makes the JK_ITER that it stands for, of `over` */
    jv (*make)(jinja_run *e, jv over, const struct jargs *arguments);
    const struct jargs *arguments;
};

struct jcycler {
    const jlist *items; /* of a joiner: the separator alone */
    size_t at;
};

/* ---- the run ---- */

struct jinja_run {
    arena *mem;
    tola_error *err;
    tola_status status;
    jmp_buf fail;
    uint32_t line;
    unsigned depth, calls;
    uint64_t steps; /* left */
    size_t output;  /* the longest string that may be made, bytes */
    const struct jinja_options *options;
    const struct jinja_template *template;
    jdict *variables;
};

#define JINJA_MAX_DEPTH 1200 /* of evaluation, values in values, macros in macros: nothing recurses deeper */

/* "line N: ..." */
_Noreturn void jinja_fail(jinja_run *e, tola_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Python's TypeError, ValueError, ... of a template: TOLA_E_FORMAT. */
#define jinja_bad(e, ...) jinja_fail(e, TOLA_E_FORMAT, __VA_ARGS__)
_Noreturn void jinja_too_deep(jinja_run *e);
_Noreturn void jinja_too_long(jinja_run *e);
_Noreturn void jinja_no_steps(jinja_run *e);
_Noreturn void jinja_big(jinja_run *e);

static inline void jinja_enter(jinja_run *e) {
    if (++e->depth > JINJA_MAX_DEPTH) jinja_too_deep(e);
}
static inline void jinja_leave(jinja_run *e) { e->depth--; }
/* Work of about `bytes` bytes is about to be done. */
static inline void jinja_charge(jinja_run *e, size_t bytes) {
    uint64_t cost = 1 + bytes / 16;
    if (cost > e->steps) jinja_no_steps(e);
    e->steps -= cost;
}
void *jinja_alloc(jinja_run *e, size_t count, size_t size);

/* ---- making values ---- */

static inline jv jv_kind(jinja_kind kind) { return (jv){ .kind = (uint8_t)kind }; }
static inline jv jv_none(void) { return jv_kind(JK_NONE); }
static inline jv jv_bool(bool b) { return (jv){ .kind = JK_BOOL, .as.b = b }; }
static inline jv jv_int(int64_t i) { return (jv){ .kind = JK_INT, .as.i = i }; }
static inline jv jv_float(double f) { return (jv){ .kind = JK_FLOAT, .as.f = f }; }
static inline jv jv_str(const jstr *s) { return (jv){ .kind = JK_STRING, .as.s = s }; }
/* `hint` is a literal. */
jv jv_undefined(jinja_run *e, const char *hint);
/* Attribute or element `name` (may be NULL) of a thing of type `type`, or the variable `name` where `type` is NULL. */
jv jv_undefined_name(jinja_run *e, const char *type, const jstr *name);
jv jv_unsafe(jinja_run *e, jv object, const jstr *name);
jv jv_list(jinja_run *e, size_t n); /* items are to be filled in; n may be lowered afterwards */
jv jv_tuple(jinja_run *e, size_t n);
jv jv_pair(jinja_run *e, jv a, jv b);
jv jv_dict(jinja_run *e);
static inline jv *jv_items(jv list) { return list.as.l->v; }

/* A growing list. */
typedef struct jvec {
    jv *v;
    size_t n, cap;
} jvec;
void jvec_push(jinja_run *e, jvec *list, jv item);
jv jvec_list(jinja_run *e, const jvec *list);

/* ---- strings ---- */

extern const jstr jstr_empty;
/* Borrows `data`, which must live as long as the run. */
const jstr *jstr_of(jinja_run *e, const char *data, size_t length, uint8_t mark);
const jstr *jstr_copy(jinja_run *e, const char *data, size_t length, uint8_t mark);
static inline jv jv_text(jinja_run *e, const char *text) { return jv_str(jstr_of(e, text, strlen(text), 0)); }
/* Bytes [from, to), which must begin and end code points. */
const jstr *jstr_cut(jinja_run *e, const jstr *s, size_t from, size_t to);
/* Byte offset of code point `i` (i <= chars). */
size_t jstr_offset(jinja_run *e, const jstr *s, size_t i);
static inline uint8_t jstr_mark(const jstr *s, size_t byte) { return s->marks ? s->marks[byte] : s->mark; }
bool jstr_equal(const jstr *a, const jstr *b);
bool jstr_is(const jstr *s, const char *text);
/* The code point at byte `*at`, which moves behind it. */
uint32_t jstr_next(const jstr *s, size_t *at);
/* First place of `what` in bytes [from, to) of s; SIZE_MAX where it is not there. */
size_t jstr_find(jinja_run *e, const jstr *s, const jstr *what, size_t from, size_t to);
size_t jstr_find_last(jinja_run *e, const jstr *s, const jstr *what, size_t from, size_t to);
const jstr *jstr_safe(jinja_run *e, const jstr *s, bool safe);

/* Builds a string. */
typedef struct jbuild {
    jinja_run *e;
    char *data;
    uint8_t *marks; /* NULL while all bytes have `mark` */
    size_t length, cap, chars;
    uint8_t mark;
    jstore *store; /* taken over from the string it began with, while `data` is the same */
} jbuild;
void jbuild_init(jbuild *b, jinja_run *e);
/* Begins with s, in place where nothing was added behind s yet. */
void jbuild_begin(jbuild *b, jinja_run *e, const jstr *s);
void jbuild_add(jbuild *b, const jstr *s);
void jbuild_cut(jbuild *b, const jstr *s, size_t from, size_t to);
void jbuild_bytes(jbuild *b, const char *data, size_t length, uint8_t mark); /* whole code points */
void jbuild_text(jbuild *b, const char *text, uint8_t mark);
void jbuild_char(jbuild *b, uint32_t c, uint8_t mark);
void jbuild_repeat(jbuild *b, const jstr *s, size_t times);
const jstr *jbuild_done(jbuild *b);

/* ---- what Python does with values ---- */

/* str(x), repr(x) */
const jstr *jv_to_str(jinja_run *e, jv x);
void jv_add_str(jbuild *b, jv x);
void jv_add_repr(jbuild *b, jv x);
#define FLOAT_COST 800 /* for jinja_charge: finding the digits of a double */
/* float.__repr__; dst holds at least 32 bytes */
size_t jinja_float_repr(char *dst, double x);
bool jv_truth(jv x);
bool jv_equal(jinja_run *e, jv a, jv b);
/* -1, 0, 1, or 2 where neither is less (NaN); fails where Python does. `what` is the operator, for the message. */
int jv_compare(jinja_run *e, jv a, jv b, const char *what);
bool jv_contains(jinja_run *e, jv container, jv item);
/* len(x); false where it has none */
bool jv_length(jv x, size_t *n);
const char *jv_type(jv x); /* "str", "dict", ... */
static inline bool jv_is_undefined(jv x) { return x.kind == JK_UNDEFINED; }
_Noreturn void jinja_undefined(jinja_run *e, jv x); /* UndefinedError */
static inline void jv_need_defined(jinja_run *e, jv x) {
    if (x.kind == JK_UNDEFINED) jinja_undefined(e, x);
}
/* An int of Python (True is 1); fails with the type's name otherwise. */
int64_t jv_need_int(jinja_run *e, jv x, const char *what);
const jstr *jv_need_str(jinja_run *e, jv x, const char *what);
static inline bool jv_number(jv x) { return x.kind == JK_INT || x.kind == JK_FLOAT || x.kind == JK_BOOL; }
static inline double jv_double(jv x) {
    return x.kind == JK_FLOAT ? x.as.f : x.kind == JK_BOOL ? (double)x.as.b : (double)x.as.i;
}
static inline int64_t jv_integer(jv x) { return x.kind == JK_BOOL ? x.as.b : x.as.i; }

void jdict_set(jinja_run *e, jdict *d, jv key, jv value);
jv *jdict_get(jinja_run *e, const jdict *d, jv key);
jv *jdict_text(const jdict *d, const char *key);
jdict *jdict_new(jinja_run *e);

/* iter(x); false where x is not iterable */
bool jiter_begin(jinja_run *e, jv x, jiter *it);
bool jiter_next(jinja_run *e, jiter *it, jv *item);
/* list(x), or an error that x is not iterable */
jv jv_listed(jinja_run *e, jv x);
/* A generator over a list that is complete. */
jv jv_iter(jinja_run *e, jv list, bool backwards);
int64_t jrange_at(const jrange *r, size_t i);

/* ---- JSON ---- */

void jinja_json(jbuild *b, jv x, bool ascii, const jstr *indent, const jstr *item_sep, const jstr *key_sep, bool sort);

#endif
