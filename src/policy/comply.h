/* What stands behind a tola_compliance. */
#ifndef POLICY_COMPLY_H
#define POLICY_COMPLY_H

#include "policy/compute.h"
#include "policy/lineage.h"
#include "policy/openness.h"
#include "policy/rules.h"

typedef struct comply_weights {
    bool known, adapter, language, multimodal;
    uint64_t parameters, active;
    const char *name, *source;
} comply_weights;

typedef struct comply_report {
    tola_compliance pub;
    rule_set rules; /* its memory holds all texts */
    facts *facts;
    yaml *licences;
    comply_weights weights;
    lineage lineage;
    openness openness;
    tola_comply_finding *findings;
    size_t cap_findings;
} comply_report;

/* tola_comply over texts, without weights; `rules` NULL: those carried. */
tola_status comply_of_text(const char *facts_text, size_t facts_length, const char *rules, size_t rules_length,
                           const char *on_date, tola_compliance **out, tola_error *err);

#endif
