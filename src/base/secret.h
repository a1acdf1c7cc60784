/* Memory for what must not reach a disk: keys, passphrases, plaintext of encrypted weights.
 *
 * Linux: mlock(2), madvise(2) MADV_DONTDUMP, prctl(2) PR_SET_DUMPABLE. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>

/* For keys: cleared, never swapped out, in no core dump, empty in children. NULL where there is no memory or it cannot
 * be locked (ulimit -l). Whole pages: for few, small things. From the first call on the process dumps no core. */
void *secret_alloc(size_t bytes);
void secret_free(void *block); /* wiped; NULL is fine */
/* For plaintext of any size: in no core dump; never swapped out where the process may lock all it likes (ulimit -l
 * unlimited). Aligned to a page. NULL where there is no memory. */
void *secret_map(size_t bytes);
void secret_unmap(void *block, size_t bytes); /* NULL is fine */

#endif
