/* Digests of files, and errors that name a line. */
#include "learn/data_file.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

tola_status data_file_hash(source *src, sha256_stream *s, tola_error *err) {
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(src->size >> 8 * i);
    TRY(sha256_update(s, length, sizeof length, err));
    char *piece = mem_alloc(DATA_FILE_PIECE);
    if (!piece) return err_nomem(err, "reading data");
    tola_status status = TOLA_OK;
    for (uint64_t at = 0; at < src->size && status == TOLA_OK; at += DATA_FILE_PIECE) {
        size_t bytes = src->size - at < DATA_FILE_PIECE ? (size_t)(src->size - at) : DATA_FILE_PIECE;
        status = source_read(src, at, piece, bytes, err);
        if (status != TOLA_OK)
            err_in_file(err, status, src->path);
        else
            status = sha256_update(s, piece, bytes, err);
    }
    mem_free(piece);
    return status;
}

tola_status data_line_error(tola_error *err, tola_status status, const char *path, uint64_t line, const char *format,
                            ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(err, status, TOLA_NO_OFFSET, "line %llu: %s", (unsigned long long)line, text);
    err_in_file(err, status, path);
    return status;
}
