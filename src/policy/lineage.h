/* Licences along a line of descent: a fine-tune, merge, quantization or adapter inherits the terms of what it was made
 * from. Bases come from the facts and from the model's folder (its card's front matter, adapter_config.json,
 * config.json, GGUF's general.base_model.*, a merge recipe, Tola's provenance). Terms are data/licences.yaml. */
#ifndef POLICY_LINEAGE_H
#define POLICY_LINEAGE_H

#include <tola/checkpoint.h>
#include <tola/comply.h>

#include "policy/facts.h"

#define LINEAGE_MOST 64

typedef struct licence_terms {
    const char *id;
    const char *family, *commercial, *derivatives, *display, *name_begins, *notice_text, *excludes_what, *note, *url;
    const char *display_if_large;
    const yaml_node *models, *names, *notices, *excludes, *incompatible;
    const yaml_node *users, *users_display;
    bool free, use_based, copyleft, improves_others;
} licence_terms;

typedef struct lineage {
    tola_comply_base bases[LINEAGE_MOST];
    size_t facts_row[LINEAGE_MOST]; /* its place in bases[] of the facts; SIZE_MAX: found in the folder */
    size_t count;
    const char *licence, *licence_source; /* of this model; NULL */
    tola_comply_finding findings[LINEAGE_MOST];
    size_t n_findings;
} lineage;

/* What the folder says (path of a folder, of its config.json, or NULL; its checkpoint, or NULL), a statement of
 * provenance (NULL), and the facts, held against each other. `name` (NULL): of the model, which is no base of its own.
 * Texts live in `a`. */
tola_status lineage_gather(const char *path, const tola_checkpoint *ck, const char *provenance, const char *name,
                           const facts *f, arena *a, lineage *out, tola_error *err);
/* Contradictions and missing notices. `name`: of the model; `multimodal`: it takes or makes more than text. */
tola_status lineage_check(lineage *l, const yaml *licences, const facts *f, const char *name, int multimodal, arena *a,
                          tola_error *err);
/* *found false: not a licence of the table. */
tola_status lineage_terms(const yaml *licences, const char *id, licence_terms *out, bool *found, tola_error *err);

#endif
