/* Small files that are read and written as a whole: keys, certificates, signatures, statements. */
#ifndef TRUST_WHOLE_H
#define TRUST_WHOLE_H

#include "base/mem.h"
#include <tola/base.h>

/* A file of at most `limit` bytes, with a NUL behind it; to be freed by whole_wipe. The error names the file. */
tola_status whole_read(const char *path, size_t limit, buf *out, tola_error *err);
/* Frees it, overwritten: it may have held a key. */
void whole_wipe(buf *b);
/* A file that appears whole or not at all. */
tola_status whole_write(const char *path, const buf *text, bool overwrite, tola_error *err);

#endif
