/* Text that must follow a grammar or a schema, over the vocabulary of a model. */
#ifndef GENERATE_CONSTRAINT_H
#define GENERATE_CONSTRAINT_H

#include "generate/model.h"

/* A grammar joined with a vocabulary, and what it has worked out so far: kept by a session between texts. */
typedef struct constraint constraint;

/* Makes *kept what `gbnf` or `schema` (one of them) asks for, as it is where it was made for the same already, and puts
 * it at the beginning of a text. `file` (NULL: none) is named where they are wrong. TOLA_E_ARG where the model has no tokenizer. */
tola_status constraint_begin(constraint **kept, const tola_model *m, const char *gbnf, const char *schema,
                             const char *file, tola_error *err);
void constraint_free(constraint *c); /* NULL is fine */
/* A bit for each id that may come next; borrowed until the next call. */
tola_status constraint_mask(constraint *c, const uint32_t **mask, tola_error *err);
tola_status constraint_accept(constraint *c, uint32_t id, tola_error *err);
/* Nothing can follow. */
bool constraint_complete(const constraint *c);

#endif
