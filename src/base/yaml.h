/* YAML that people write, recipes above all, as a tree that knows where each of its parts stands.
 *
 * One document of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema): null, true, false, numbers,
 * text, lists, maps whose keys are text. Tags beyond those, keys that appear twice, a second document, and what is
 * larger than the limits below are errors. The parsing is libyaml's, loaded when the first file is read; built without
 * its headers (no TOLA_HAVE_YAML), or run where it is absent, every call says so.
 *
 * An error names file, line, column and the key with those around it: "r.yaml: line 7, column 9: optimizer.lr: ...". */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/err.h"
#include "base/mem.h"

#define YAML_MAX_BYTES (1u << 20)
#define YAML_MAX_DEPTH 64
#define YAML_MAX_NODES 100000u /* what an alias stands for counts each time, so that laughs stay few */
#define YAML_MAX_ANCHORS 1024u

typedef enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP } yaml_kind;

typedef struct yaml yaml;
typedef struct yaml_node yaml_node;

struct yaml_node {
    const yaml *file;
    const yaml_node *parent; /* NULL: the root */
    const char *key;         /* its name in a map, else NULL */
    uint32_t index;          /* its place in the list or map around it */
    uint32_t line, column;   /* where it begins; both count from 1, columns are characters */
    uint32_t key_line, key_column;
    uint8_t kind;    /* yaml_kind */
    bool boolean;    /* YAML_BOOL */
    bool negative;   /* YAML_INT: the number is below zero */
    bool open;       /* while parsing: its end has not come */
    uint64_t magnitude; /* YAML_INT */
    double number;      /* YAML_INT, YAML_FLOAT */
    const char *text;   /* of all that is no list and no map, as written; without NUL in it */
    yaml_node *const *items; /* of YAML_LIST and YAML_MAP, in their order in the file */
    size_t count;
    uint32_t total;  /* nodes that it stands for */
    uint32_t height; /* levels below it, with its own; 0 for what is no list and no map */
    yaml_node *next; /* while parsing: the one after it */
};

tola_status yaml_open(const char *path, yaml **out, tola_error *err);
/* `name` is what errors call the text; it is copied. */
tola_status yaml_parse(const char *name, const void *text, size_t length, yaml **out, tola_error *err);
void yaml_free(yaml *y); /* NULL is fine; nodes die with it */
const yaml_node *yaml_root(const yaml *y); /* of an empty file a YAML_NULL */
const char *yaml_name(const yaml *y);

/* An error at this node; TOLA_E_FORMAT. `node` is where its value stands, yaml_error_at_key its name. */
tola_status yaml_error(const yaml_node *node, tola_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
tola_status yaml_error_at_key(const yaml_node *node, tola_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "optimizer.lr", "models[2].weight", "" for the root; cut where it is longer than `cap`. */
const char *yaml_path(const yaml_node *node, char *text, size_t cap);
/* "a list", "the number 12", "the text 'abc'", for messages. */
const char *yaml_describe(const yaml_node *node, char *text, size_t cap);

/* ---- from a node to a value; the output is written only on success ---- */

tola_status yaml_expect(const yaml_node *node, yaml_kind kind, tola_error *err); /* for lists and maps */
tola_status yaml_string(const yaml_node *node, const char **out, tola_error *err); /* lives as long as the file */
tola_status yaml_bool(const yaml_node *node, bool *out, tola_error *err);
/* Whole numbers; 1e4 and 20.0 are whole. low <= value <= high. */
tola_status yaml_u64(const yaml_node *node, uint64_t low, uint64_t high, uint64_t *out, tola_error *err);
tola_status yaml_i64(const yaml_node *node, int64_t low, int64_t high, int64_t *out, tola_error *err);
/* Finite, low <= value <= high. */
tola_status yaml_f64(const yaml_node *node, double low, double high, double *out, tola_error *err);
/* The place of the text in `words`, which ends with NULL. */
tola_status yaml_choice(const yaml_node *node, const char *const *words, uint32_t *out, tola_error *err);

/* ---- members of a map ---- */

/* NULL where the key is absent, its value is null, or `map` is no map (NULL, too). */
const yaml_node *yaml_get(const yaml_node *map, const char *key);
/* The same, where its absence is an error. */
tola_status yaml_need(const yaml_node *map, const char *key, const yaml_node **out, tola_error *err);
/* Is it a map without keys other than `known` (which ends with NULL)? "unknown key 'X'; did you mean 'Y'?" */
tola_status yaml_keys(const yaml_node *map, const char *const *known, tola_error *err);

/* A map as a struct: one row for each key that is known. */
typedef enum yaml_type {
    YAML_TO_STRING, /* const char * */
    YAML_TO_BOOL,   /* bool */
    YAML_TO_U32,    /* uint32_t */
    YAML_TO_U64,    /* uint64_t */
    YAML_TO_F32,    /* float */
    YAML_TO_F64,    /* double */
    YAML_TO_CHOICE, /* uint32_t: the place in `choices` */
    YAML_TO_LIST,   /* const yaml_node * */
    YAML_TO_MAP,    /* const yaml_node * */
    YAML_TO_NODE    /* const yaml_node *, whatever it is */
} yaml_type;

typedef struct yaml_field {
    const char *key;
    yaml_type type;
    size_t offset;             /* offsetof in the struct */
    double low, high;          /* of numbers, both included; both 0: as far as the type goes */
    const char *const *choices; /* YAML_TO_CHOICE, ends with NULL */
    bool required;
} yaml_field;

/* Members of `out` whose key is absent or null keep what they hold. Unknown keys are errors. On failure `out` may be
 * filled in part. */
tola_status yaml_read(const yaml_node *map, const yaml_field *fields, size_t count, void *out, tola_error *err);

/* Where two trees differ first, both in the order of `a`'s file, keys in any order: the nodes there (NULL where one has
 * nothing). False where they say the same. */
bool yaml_differ(const yaml_node *a, const yaml_node *b, const yaml_node **at_a, const yaml_node **at_b);

#endif
