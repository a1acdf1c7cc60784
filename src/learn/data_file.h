/* Small things about files of data. */
#ifndef LEARN_DATA_FILE_H
#define LEARN_DATA_FILE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/source.h"

#define DATA_FILE_PIECE ((size_t)1 << 20)

/* Its length and its bytes. */
tola_status data_file_hash(source *src, sha256_stream *s, tola_error *err);
/* "FILE: line N: ..." */
tola_status data_line_error(tola_error *err, tola_status status, const char *path, uint64_t line, const char *format,
                            ...) __attribute__((format(printf, 5, 6)));

#endif
