/* Outputs that would destroy an input, or mix with weights that lie there already. */
#ifndef TRANSFORM_CLASH_H
#define TRANSFORM_CLASH_H

#include <tola/transform.h>

/* Before anything is opened for writing: TOLA_E_ARG where `path` is one of the input's files (under whatever name or
 * link), the folder they lie in (`folder`), or the name of the shard set they belong to (`sharded`). */
tola_status clash_check_path(const tola_checkpoint *in, const char *path, bool folder, bool sharded, tola_error *err);

/* With the writer's files known: the same for each of them; and TOLA_E_EXISTS where the output folder holds weights
 * or a configuration that this output does not replace, so that two models would lie in one folder. */
tola_status clash_check_outputs(const tola_checkpoint *in, const tola_writer *writer, tola_error *err);

#endif
