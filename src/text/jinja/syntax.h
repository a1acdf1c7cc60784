/* A template as a tree: tokens, nodes, scopes. Made once, read by any number of runs at a time. */
#ifndef TEXT_JINJA_SYNTAX_H
#define TEXT_JINJA_SYNTAX_H

#include "text/jinja/value.h"

typedef enum jtoken_type {
    JT_EOF,
    JT_DATA,
    JT_VARIABLE_BEGIN,
    JT_VARIABLE_END,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_NAME,
    JT_STRING,
    JT_INTEGER,
    JT_FLOAT,
    JT_ADD,
    JT_SUB,
    JT_MUL,
    JT_DIV,
    JT_FLOORDIV,
    JT_MOD,
    JT_POW,
    JT_TILDE,
    JT_EQ,
    JT_NE,
    JT_LT,
    JT_LTEQ,
    JT_GT,
    JT_GTEQ,
    JT_ASSIGN,
    JT_DOT,
    JT_COLON,
    JT_COMMA,
    JT_PIPE,
    JT_SEMICOLON,
    JT_LPAREN,
    JT_RPAREN,
    JT_LBRACKET,
    JT_RBRACKET,
    JT_LBRACE,
    JT_RBRACE,
    JT_IN, /* operators of comparisons that are words */
    JT_NOT_IN
} jtoken_type;

typedef struct jtoken {
    uint8_t type; /* jtoken_type */
    uint32_t line;
    jv value; /* of data, a name, a literal */
} jtoken;

typedef enum jnode_type {
    /* statements; kids in brackets */
    JN_BODY,         /* [statement...] */
    JN_DATA,         /* value */
    JN_OUTPUT,       /* [expression] */
    JN_IF,           /* [test, body, test, body, ..., body of else] */
    JN_FOR,          /* [target, iterable, test or NULL, body, body of else or NULL, target again for the test];
                        scopes: body, else, test */
    JN_SET,          /* [target, expression] */
    JN_SET_BLOCK,    /* [target, filter or NULL, body] */
    JN_MACRO,        /* [name, body, parameter...] */
    JN_CALL_BLOCK,   /* [call, body, parameter...] */
    JN_FILTER_BLOCK, /* [filter, body] */
    JN_WITH,         /* [body, target, value, target, value...] */
    JN_GENERATION,   /* [body] */
    JN_BREAK,
    JN_CONTINUE,
    JN_UNSUPPORTED, /* value: the tag */
    /* expressions */
    JN_CONST, /* value */
    JN_NAME,
    JN_NSREF, /* name.value = ...: a target */
    JN_LIST,
    JN_TUPLE,
    JN_DICT, /* [key, value, ...] */
    JN_COND, /* [test, then, else or NULL] */
    JN_OR,
    JN_AND,
    JN_NOT,
    JN_COMPARE, /* [first, operand...], each operand a JN_OPERAND */
    JN_OPERAND, /* op, [expression] */
    JN_BINARY,  /* op, [left, right] */
    JN_CONCAT,
    JN_NEGATE,
    JN_POSITIVE,
    JN_ATTRIBUTE, /* [object], value: the name */
    JN_ITEM,      /* [object, key] */
    JN_SLICE,     /* [start or NULL, stop or NULL, step or NULL] */
    JN_CALL,      /* [callee, argument...] */
    JN_FILTER,    /* [input or NULL, argument...], value: the name */
    JN_TEST,
    JN_PARAMETER, /* [default] or [] */
    JN_KEYWORD,   /* [expression], value: the name */
    JN_STAR,
    JN_STAR_STAR
} jnode_type;

typedef struct jnode jnode;
typedef struct jscope jscope;

struct jnode {
    uint8_t type; /* jnode_type */
    uint8_t op;   /* jtoken_type of an operator */
    uint16_t id;  /* of a filter or test in its table */
    uint32_t line;
    uint32_t n;
    uint32_t slot; /* of a name */
    uint16_t hops; /* functions outwards to the one that has the slot */
    bool store;    /* a name that is assigned to */
    bool recursive; /* a loop that may be called; its variables are in special[0] slots from special[1] on */
    uint8_t takes; /* of a macro: JM_TAKES_... */
    uint32_t special[3]; /* of a macro: slots of caller, kwargs, varargs */
    jnode **kid;
    jscope *scope[3];
    jv value;
};

#define TAKES_CALLER 1
#define TAKES_KWARGS 2
#define TAKES_VARARGS 4

typedef enum jload {
    JL_PARAMETER, /* set by who enters */
    JL_RESOLVE,   /* from the variables of the run, else the globals */
    JL_ALIAS,     /* a copy of the outer variable */
    JL_MISSING
} jload;

/* A name that a scope has for itself. */
typedef struct jref {
    const jstr *name;
    uint8_t load;
    uint16_t hops; /* of an alias: where the outer variable is */
    uint32_t slot, from;
} jref;

typedef struct jfunction { /* the template itself, a macro, a call block */
    uint32_t slots;
} jfunction;

struct jscope {
    jscope *parent;
    jfunction *function;
    jref *refs;
    uint32_t n, cap;
};

typedef struct jinja_template {
    arena mem;
    const jnode *body;
    jscope *scope;
} jinja_template;

/* Tokens of `source` (UTF-8), ended by JT_EOF. */
jtoken *jinja_lex(jinja_run *e, const char *source, size_t length);
jnode *jinja_parse(jinja_run *e, const jtoken *tokens);
/* Gives each name its slot. */
void jinja_bind(jinja_run *e, jinja_template *t, jnode *body);

/* Ids of filters and tests; -1 where there is none. */
int jinja_filter_id(const jstr *name);
int jinja_test_id(const jstr *name);

#endif
