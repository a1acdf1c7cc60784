/* A document: sections of fields, each with its value or none, where that came from, and whom it is for. Rendered as
 * Markdown, JSON (schema tola.card/1) and one HTML file that needs nothing else.
 *
 * Every text may come from a file or a model's name: whatever the form of the output, text stays text. */
#ifndef POLICY_DOCUMENT_H
#define POLICY_DOCUMENT_H

#include "base/err.h"
#include "base/mem.h"

typedef enum doc_source {
    DOC_UNKNOWN,
    DOC_WEIGHTS,  /* read from the weights and what describes them */
    DOC_FACTS,    /* told by facts.yaml */
    DOC_RECORDED, /* written down by a verb of Tola's, or by the folder's own papers */
    DOC_COMPUTED  /* from the others, by a formula that `where` names */
} doc_source;

/* Recipients, as the Model Documentation Form flags them. */
enum { DOC_AIO = 1, DOC_NCA = 2, DOC_DP = 4 }; /* AI Office, national competent authorities, downstream providers */

typedef struct doc_item {
    bool section;      /* a heading: label, depth, and `ask` as its introduction */
    unsigned depth;    /* of sections, from 1 */
    const char *id;    /* "total_size"; of a field */
    const char *label; /* of a form, not of a file: shown as it is */
    const char *ask;   /* what is to be told, a sentence; NULL */
    const char *value; /* lines; NULL: unknown */
    doc_source source;
    const char *where; /* "LICENSE", "training.tokens"; NULL */
    unsigned recipients;
    bool optional; /* is not missed where it is unknown */
    bool extra;    /* no field of the form: never counted */
    bool prose;    /* shown below a heading of its own, not as a row */
    bool bare;     /* prose without that heading */
    bool code;     /* a block of code */
} doc_item;

/* What the weights are, for those who check the document against them: --check reads it back. */
typedef struct doc_model {
    const char *name, *digest, *architecture, *dtypes, *licence; /* NULL: unknown */
    uint64_t parameters, active, context;                        /* 0: unknown */
} doc_model;

typedef struct document {
    arena a;
    const char *kind;         /* "eu", "data", "hf" */
    const char *title, *cite; /* cite: the form that it follows */
    const char *front;        /* front matter with its "---" lines; NULL. Markdown shows it as it is */
    doc_model model;
    doc_item *items;
    size_t count, cap;
} document;

void document_init(document *d);
void document_free(document *d);
/* Adds a copy of `item`, whose texts must live in d->a or be static. */
tola_status document_add(document *d, const doc_item *item, tola_error *err);
/* Fields that count, and those of them that are unknown. */
void document_count(const document *d, size_t *fields, size_t *unknown);

tola_status document_markdown(const document *d, buf *out, tola_error *err);
tola_status document_json(const document *d, buf *out, tola_error *err);
tola_status document_html(const document *d, buf *out, tola_error *err);

/* ---- text that stays text ---- */

/* Inside a paragraph, or a cell of a table where `cell` (lines become <br>). Addresses of the web stay links. */
void markdown_text(buf *out, const char *text, bool cell);
void html_text(buf *out, const char *text);
/* A scalar of YAML 1.1 and 1.2 that reads back as this very text. */
void yaml_text(buf *out, const char *text);

#endif
