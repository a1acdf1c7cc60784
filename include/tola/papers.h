/* Papers of a model: documents made from its weights, from facts.yaml and from what Tola itself recorded, and the check
 * that a document still says what the weights are (docs/papers.md).
 *
 * What is unknown is shown as unknown and counted. Outputs hold no host names, user names or paths. */
#ifndef TOLA_PAPERS_H
#define TOLA_PAPERS_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_paper_kind {
    TOLA_PAPER_HF = 0,    /* model card of the Hugging Face Hub: front matter and text */
    TOLA_PAPER_EU,        /* Model Documentation Form of the General-Purpose AI Code of Practice (July 2025) */
    TOLA_PAPER_DATA,      /* public summary of training content, the Commission's template C(2025) 8311 */
    TOLA_PAPER_CYCLONEDX, /* machine learning bill of materials, CycloneDX 1.6 */
    TOLA_PAPER_SPDX       /* SPDX 3.0.1 with its AI and dataset profiles, JSON-LD */
} tola_paper_kind;

typedef enum tola_paper_format {
    TOLA_PAPER_BY_NAME = 0, /* .md, .json, .html; without a name Markdown. Bills of materials are always JSON */
    TOLA_PAPER_MARKDOWN,
    TOLA_PAPER_JSON,
    TOLA_PAPER_HTML
} tola_paper_format;

typedef struct tola_paper_options {
    size_t size; /* sizeof(tola_paper_options) */
    tola_paper_kind kind;
    tola_paper_format format;
    const char *facts;              /* facts.yaml; NULL: none */
    const char *const *evaluations; /* results of tola eval --json that lie elsewhere; NULL-terminated, or NULL */
    const char *out;                /* where it is to go: no part of the model, and its name says the format; NULL */
    int64_t time;                   /* of the document, seconds since 1970-01-01 UTC; 0: now */
    bool no_digest;                 /* nothing is hashed: digests are unknown */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[8];
} tola_paper_options;

#define TOLA_PAPER_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(tola_paper_options), TOLA_PAPER_HF, TOLA_PAPER_BY_NAME, NULL, NULL, NULL, 0, false, 0, NULL, NULL, {    \
            0                                                                                                          \
        }                                                                                                              \
    }

typedef struct tola_paper {
    size_t size; /* filled in */
    const char *title;
    const char *text; /* UTF-8 */
    size_t length;
    tola_paper_format format;
    size_t fields, unknown;            /* fields that count, and those of them that are unknown */
    const char *const *unknown_fields; /* their labels */
    size_t warning_count;              /* facts that contradict the weights, files that were passed over */
    const char *const *warnings;
    void *owner; /* private */
    uint64_t reserved[4];
} tola_paper;

/* Makes the document in memory; tola_paper_dispose afterwards. */
TOLA_API TOLA_MUST_CHECK tola_status tola_paper_make(const char *model, const tola_paper_options *options,
                                                     tola_paper *out, tola_error *err);
/* Writes it to a file that appears whole or not at all; an existing one is TOLA_E_EXISTS unless `overwrite`. */
TOLA_API TOLA_MUST_CHECK tola_status tola_paper_write(const tola_paper *paper, const char *path, bool overwrite,
                                                      tola_error *err);
TOLA_API void tola_paper_dispose(tola_paper *paper);

typedef struct tola_paper_claim {
    const char *what; /* "parameters", "digest", "dtype", "architecture", "context", "licence", "sha256 of FILE" */
    const char *says; /* the document */
    const char *is;   /* the weights; NULL where they do not tell */
    uint64_t line;    /* of the document, from 1; 0 unknown */
    bool agrees;
} tola_paper_claim;

typedef struct tola_paper_verdict {
    size_t size;
    bool agrees;    /* no claim disagrees */
    size_t checked; /* claims that could be held against the weights */
    size_t count;
    const tola_paper_claim *claims;
    void *owner; /* private */
    uint64_t reserved[4];
} tola_paper_verdict;

/* Holds a document (any of the five, edited by hand or not; Markdown, JSON or HTML) against the weights. A document
 * that is none of them, or says nothing that can be checked, is TOLA_E_FORMAT. `options` may be NULL. */
TOLA_API TOLA_MUST_CHECK tola_status tola_paper_check(const char *document, const char *model,
                                                      const tola_paper_options *options, tola_paper_verdict *out,
                                                      tola_error *err);
TOLA_API void tola_paper_verdict_dispose(tola_paper_verdict *verdict);

#ifdef __cplusplus
}
#endif
#endif
