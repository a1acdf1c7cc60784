/* Between the parts of the schema compiler: schema_read.c knows what schemas say, schema_branches.c chooses branches of
 * anyOf and oneOf, schema_objects.c lays members out and schema_arrays.c elements, schema.c makes rules of it all. */
#ifndef TEXT_SCHEMA_INSIDE_H
#define TEXT_SCHEMA_INSIDE_H

#include "text/schema_build.h"

#include <string.h>

#define MAX_ENTRIES 256         /* schemas that hold at one place */
#define MAX_COMPARED (1u << 22) /* parts made, in all, to find out which branches exclude each other */
#define MAX_COUNTED 20000u      /* rules that tell how many members or items stand already */
#define MAX_LOOKED (1u << 19)   /* entries and parts, in all, to find out which branches nothing fits */
#define MAX_UNLIKE 8            /* patterns in `not` at one place, and as many further ones */
#define MAX_LANGUAGES (2 * MAX_UNLIKE + 3)
#define RULE_NEVER UINT32_MAX

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8, /* integers too */
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127
};

enum { DONE_ANY_OF = 1, DONE_ONE_OF = 2 };

/* A schema that holds here; of its anyOf and oneOf, those in `done` have had a branch chosen. */
typedef struct entry {
    const tola_value *schema;
    const char *path; /* its JSON pointer */
    unsigned done;
    size_t parent; /* the entry whose $ref or allOf led here, SIZE_MAX: none */
} entry;

typedef struct entry_list {
    entry items[MAX_ENTRIES];
    size_t count;
} entry_list;

typedef struct conjunction {
    entry *entries, *sorted; /* in their order, and by address */
    size_t count;
    uint64_t hash;
    uint32_t rule;
} conjunction;

typedef struct derived_schema {
    const tola_value *from, *schema;
    bool opposite; /* of `from` as a whole, not of its `not` */
} derived_schema;

typedef struct compiler {
    grammar_builder b;
    arena memory;
    const char *source; /* the text of the schema */
    tola_value root;
    conjunction *known;
    size_t known_count, known_cap, done; /* those before `done` are defined */
    uint32_t *buckets;                   /* of `known`, by hash: index + 1 */
    size_t bucket_count;
    derived_schema *derived; /* what stands for `not`, `if` and the like of schemas */
    size_t derived_count, derived_cap;
    uint32_t any, any_object, string, character, space, never;
    const char *never_path; /* where it was first seen that nothing fits */
    bool comparing;         /* whether anything fits is all that is asked (excludes) */
    size_t compared;        /* parts made to find that out */
    bool shallow;           /* when comparing: anyOf and oneOf are not looked at, which lets more fit, not less */
    size_t looked;
    const struct compiler *outer; /* the one for which this one compares, with what it has derived */
} compiler;

typedef struct limits {
    uint64_t low, high; /* UINT64_MAX: none */
} limits;

/* What a conjunction says, but for its objects and elements of arrays. */
typedef struct meaning {
    unsigned types;
    const tola_value *choices; /* of enum or const */
    size_t choice_count;
    const char *choice_path;
    const tola_value **excluded; /* by enum or const in `not` */
    size_t excluded_count;
    const char *excluded_path;
    const tola_value *unlike[MAX_UNLIKE]; /* patterns that no string may match */
    size_t unlike_count;
    const tola_value *alike[MAX_UNLIKE]; /* patterns beside `pattern` */
    const char *alike_paths[MAX_UNLIKE];
    size_t alike_count;
    const char *unlike_path;
    limits length, items;
    const tola_value *pattern, *format;
    const char *pattern_path, *format_path;
    schema_bound low, high, multiple;     /* of numbers */
    bool bounded_text, objects, elements; /* there are keywords of lengths, objects, elements of arrays */
    bool unique;
    const char *number_path, *multiple_path, *unique_path;
    limits members; /* of objects */
    const char *members_path;
    const tola_value *contains;
    limits contained;
    const char *contains_path;
    const tola_value *group;      /* an anyOf or oneOf of which a branch is to be chosen */
    size_t group_entry;
    unsigned group_bit;
    const char *group_path;
    bool more_groups; /* others wait behind it */
} meaning;

/* ---- small things ---- */

static inline bool ok(const compiler *c) { return c->b.status == TOLA_OK; }

static inline void no_memory(compiler *c) {
    if (c->memory.limit - c->memory.total < c->memory.limit / 16)
        build_fail(&c->b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "schema: too many combinations of what holds at one place");
    else build_fail(&c->b, TOLA_E_NOMEM, TOLA_NO_OFFSET, "out of memory: a schema");
}

static inline void wrong(compiler *c, const char *path, const char *what) {
    build_fail(&c->b, TOLA_E_FORMAT, TOLA_NO_OFFSET, "schema: %s: %s", path, what);
}

static inline void unsupported(compiler *c, const char *path, const char *what) {
    build_fail(&c->b, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "schema: %s: %s", path, what);
}

static inline const char *string_of(const tola_value *v) { return tola_value_str(v, ""); }

static inline bool is_map(const tola_value *v) { return v && v->kind == TOLA_VALUE_MAP; }
static inline bool is_bool(const tola_value *v) { return v && v->kind == TOLA_VALUE_BOOL; }
static inline bool is_array(const tola_value *v) { return v && v->kind == TOLA_VALUE_ARRAY; }
static inline bool is_string(const tola_value *v) { return v && v->kind == TOLA_VALUE_STRING; }
static inline bool is_number(const tola_value *v) {
    return v && (v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_INT || v->kind == TOLA_VALUE_FLOAT);
}

static inline bool same_string(tola_string a, tola_string b) {
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static inline part ref(compiler *c, uint32_t rule) { return build_rule_ref(&c->b, rule); }
static inline part text(compiler *c, const char *t) { return schema_text(&c->b, t); }
static inline part space(compiler *c) { return ref(c, c->space); }
static inline part optional(compiler *c, part p) { return build_repeat(&c->b, p, 0, 1); }
static inline part comma(compiler *c) { return schema_seq(&c->b, space(c), text(c, ","), space(c), PART_NONE); }
static inline part colon(compiler *c) { return schema_seq(&c->b, space(c), text(c, ":"), space(c), PART_NONE); }

/* ---- schema_read.c ---- */

/* path + "/" + key, with ~ and / escaped, and a zero as "~2"; path + "/" + key (unless NULL) + "/" + index. */
const char *schema_path(compiler *c, const char *path, const char *key, size_t length);
const char *schema_path_at(compiler *c, const char *path, const char *key, size_t index);
/* The items of an array: its own, or copies where they are packed (which no objects are). */
const tola_value *schema_items(compiler *c, const tola_value *array);
const tola_value *schema_member(const tola_value *map, tola_string name);
uint32_t schema_rule(compiler *c, const char *name);
/* What $ref, "#/a~1b/0", leads to; NULL where that is nothing, which is said of `path`. */
const tola_value *schema_follow(compiler *c, const char *ref_text, const char *path, const char **target_path);
/* As JSON's values are: 1 is 1.0, and members have no order. Recurses as deep as JSON may nest. */
bool schema_same_value(const compiler *c, const tola_value *a, const tola_value *b);

void schema_list_add(compiler *c, entry_list *l, const tola_value *schema, const char *path, unsigned done,
                     size_t parent);
/* Adds what $ref and allOf say, of each entry and of those that are added. */
void schema_expand(compiler *c, entry_list *l);
/* The rule of all these schemas together, which waits to be defined where it is new; RULE_NEVER where it is plain that
 * nothing fits. */
uint32_t schema_rule_for(compiler *c, entry_list *l);
void schema_read(compiler *c, const conjunction *k, meaning *m);
/* What these schemas say together, of which no rule is made; types are those of all. */
void schema_read_list(compiler *c, entry_list *l, meaning *m);

/* Whether the keyword says nothing about values. */
bool schema_is_remark(tola_string name);

/* ---- schema_opposite.c ---- */

/* What holds where this schema's `not`, `if`, dependentRequired and dependentSchemas do, the same each time; NULL where
 * there are none. */
const tola_value *schema_derived(compiler *c, const entry *e);
/* A schema of all values that this one does not take, the same each time; NULL where it has none, which is said. */
const tola_value *schema_opposite(compiler *c, const tola_value *schema, const char *path);
/* Whether a schema in `not` is enum, const or pattern alone, which schema_derived leaves to schema_read. */
bool schema_excludes_values(const tola_value *schema);

/* ---- schema_evaluated.c ---- */

/* What is left to the unevaluatedProperties (or unevaluatedItems) of `e`: members of which none of the schemas that `l`
 * gets says anything, elements from *first on. False where nothing is, or where that cannot be said (an error). */
bool schema_left(compiler *c, const entry *e, bool items, entry_list *l, size_t *first);

/* ---- schema_branches.c ---- */

part schema_branches(compiler *c, const conjunction *k, const meaning *m);

/* ---- schema_objects.c ---- */

bool schema_looks_into_objects(const meaning *m);
/* PART_NONE: there is none. */
part schema_object(compiler *c, const conjunction *k, const meaning *m);

/* ---- schema_arrays.c ---- */

/* PART_NONE: there is none. */
part schema_array(compiler *c, const conjunction *k, const meaning *m);

/* ---- schema.c ---- */

/* The values of enum or const that are within what stands beside them, in their order. */
const tola_value **schema_allowed(compiler *c, const meaning *m, size_t *count);
/* The excluded strings that are no shorter or longer than strings may be anyway, each once; freed with mem_free. */
tola_string *schema_excluded_strings(compiler *c, const meaning *m, size_t *count);
/* The languages (as schema_sets_new takes them, at most MAX_LANGUAGES) that tell strings of this meaning and none of
 * these names from others: they are in those of *wanted and in no other. Returns how many there are. */
size_t schema_languages(compiler *c, const meaning *m, const char *path, const tola_string *names, size_t count,
                        part *languages, uint64_t *wanted);
/* The value as JSON, in one spelling. Recurses as deep as JSON may nest (JSON_MAX_DEPTH). */
part schema_value_text(compiler *c, const tola_value *v);
void schema_begin(compiler *c, bool comparing);
void schema_end(compiler *c);
void schema_define_all(compiler *c);
part schema_never(compiler *c, const char *path);

#endif
