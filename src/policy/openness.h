/* The Model Openness Framework (White, Haddad, Osborne et al., arXiv 2403.13784): which components of a model are
 * public under open terms, the class that follows, and what lacks for the next. Components are rows of
 * data/rules-openness.yaml, licences of data/spdx-open.yaml. Counted as the Model Openness Tool does: a component that
 * its owner left unlicensed does not count; the licence for its kind stands in for one of its own, then the one of the
 * distribution; a research paper may stand in for the technical report. */
#ifndef POLICY_OPENNESS_H
#define POLICY_OPENNESS_H

#include <tola/comply.h>

#include "policy/facts.h"

#define OPENNESS_MOST 32

typedef struct openness {
    tola_comply_component parts[OPENNESS_MOST];
    size_t count;
    int mof_class;
    double progress[4];
    bool known; /* anything is said of components */
} openness;

/* What a file says of one component. */
typedef struct openness_part {
    const char *name;    /* "parameters" or the tool's title "Model parameters (Final)" */
    const char *licence; /* NULL: inherits; "" or "unlicensed": none */
    bool said, present;
} openness_part;

typedef struct openness_said {
    openness_part parts[64];
    size_t count;
    bool complete; /* what is not listed is not there; else nothing is known of it */
    const char *distribution, *code, *data, *document; /* licences; NULL */
} openness_said;

/* From release.* and licence.id of the facts. */
void openness_said_facts(const facts *f, arena *a, openness_said *out);
/* From a model file of the tool. */
tola_status openness_said_mof(const yaml *file, openness_said *out, tola_error *err);
/* `rules`: a rules file with components. */
tola_status openness_classify(const yaml *rules, const openness_said *said, arena *a, openness *out, tola_error *err);

#endif
