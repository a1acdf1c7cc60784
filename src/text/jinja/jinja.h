/* The template engine: Jinja as transformers sets it up, ImmutableSandboxedEnvironment(trim_blocks, lstrip_blocks,
 * loopcontrols) with its own tojson, strftime_now, raise_exception and {% generation %}.
 *
 * Nothing is reachable from a template but the values it is given: no files, no other templates, no Python objects.
 * Steps, memory, output and depth are limited; every excess and every error is an error with the template's line.
 * Left out, and an error where used: other templates (include, import, extends), blocks, autoescape,
 * random, pprint, urlize, wordwrap, lipsum. See docs/chat.md. */
#ifndef TEXT_JINJA_JINJA_H
#define TEXT_JINJA_JINJA_H

#include "text/jinja/value.h"
#include <tola/value.h>

typedef struct jinja_template jinja_template;

typedef struct jinja_options {
    uint64_t steps;  /* about 10 million a second */
    size_t memory;   /* bytes in all */
    size_t output;   /* bytes of the text */
    int64_t now;     /* seconds since 1970-01-01 00:00 of the local clock, for strftime_now */
} jinja_options;

/* `source` is UTF-8. */
tola_status jinja_compile(const char *source, size_t length, jinja_template **out, tola_error *err);
void jinja_free(jinja_template *t);

/* One variable of a run. */
typedef struct jinja_variable {
    const char *name;
    size_t name_length;
    const char *json;        /* its value as JSON text, or */
    size_t json_length;
    const tola_value *value; /* as a value, where json is NULL */
    bool trusted;            /* its text counts as the template's own */
    bool spread;             /* an object, each of whose members is a variable */
    bool messages;           /* roles with a usual name are trusted; reasoning is given under its three names */
} jinja_variable;

/* Renders into `mem`, which is the caller's to free whatever the status. Later variables replace earlier ones. */
tola_status jinja_render(const jinja_template *t, const jinja_variable *variables, size_t count,
                         const jinja_options *options, arena *mem, const jstr **out, tola_error *err);

#endif
