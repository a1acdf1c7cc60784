/* How models and their signatures are called, and what of a model a signature never covers: itself. */
#ifndef TRUST_SIGN_NAME_H
#define TRUST_SIGN_NAME_H

#include "trust/manifest.h"

/* The last component of the model's path, or of where it leads; freed with mem_free, NULL without memory. */
char *sign_model_name(const char *model);
/* Ignores the file `path` (a path from the current folder) where it lies inside `model`. */
tola_status sign_ignore_file(manifest *m, const char *model, const char *path, tola_error *err);

#endif
