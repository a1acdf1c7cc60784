/* Releasing a model, open or closed: a plan says which and why, and each thing that goes with it is looked at
 * (docs/release.md). */
#ifndef TOLA_RELEASE_H
#define TOLA_RELEASE_H

#include <tola/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tola_release_state {
    TOLA_RELEASE_OK = 0,
    TOLA_RELEASE_MISSING, /* not there, or not as it must be */
    TOLA_RELEASE_WAIVED   /* the plan gives a reason why it does not apply */
} tola_release_state;

typedef struct tola_release_item {
    const char *id;    /* "licence", "scan", ... */
    const char *title; /* what is asked */
    const char *found; /* one line: what was found, or is missing */
    tola_release_state state;
    const char *reason;         /* of the waiver; NULL */
    const char *mend;           /* the command, or the line of the plan, that mends it; NULL */
    const char *const *details; /* where there is more than `found` says: a line each */
    size_t detail_count;
    uint64_t reserved[2];
} tola_release_item;

typedef struct tola_release_options {
    size_t size; /* sizeof(tola_release_options) */
    unsigned threads;
    tola_progress_fn progress;
    void *progress_user;
    uint64_t reserved[6];
} tola_release_options;

#define TOLA_RELEASE_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(tola_release_options), 0, NULL, NULL, { 0 }                                                             \
    }

typedef struct tola_release_report {
    size_t size;
    bool open;  /* the plan's decision */
    bool ready; /* nothing is missing */
    const char *model;
    size_t count;
    const tola_release_item *items;
    void *owner; /* private */
    uint64_t reserved[4];
} tola_release_report;

/* Looks at everything that the plan (YAML) asks for; nothing is changed, but that keys which the plan names go into the
 * ring of tola/encrypt.h. What is wrong with the model or its papers is an item; a status is for a plan that cannot be
 * read, and a model that is not there. */
TOLA_API TOLA_MUST_CHECK tola_status tola_release_check(const char *plan, const tola_release_options *options,
                                                        tola_release_report *out, tola_error *err);
TOLA_API void tola_release_report_dispose(tola_release_report *report);

/* A plan to fill in, with every key and what it means; freed with tola_free. */
TOLA_API TOLA_MUST_CHECK tola_status tola_release_template(bool open, char **out, tola_error *err);

#ifdef __cplusplus
}
#endif
#endif
