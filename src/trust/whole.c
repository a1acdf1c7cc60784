/* Whole files, read and written. */
#define _GNU_SOURCE 1 /* explicit_bzero */
#include "trust/whole.h"

#include <string.h>

#include "base/err.h"
#include "base/output.h"
#include "base/source.h"

tola_status whole_read(const char *path, size_t limit, buf *out, tola_error *err) {
    source *s;
    buf_init(out, limit + 1);
    TRY(source_open_file(path, &s, err));
    tola_status status = TOLA_OK;
    if (s->size > limit) {
        status = err_set(err, TOLA_E_LIMIT, TOLA_NO_OFFSET, "the file has more than %zu bytes", limit);
    } else {
        buf_zeros(out, (size_t)s->size + 1);
        status = out->failed ? err_nomem(err, "reading a file") : source_read(s, 0, out->data, (size_t)s->size, err);
        if (status == TOLA_OK) out->length--;
    }
    if (status != TOLA_OK) {
        status = err_in_file(err, status, path);
        whole_wipe(out);
    }
    source_close(s);
    return status;
}

void whole_wipe(buf *b) {
    if (b->data) explicit_bzero(b->data, b->cap);
    buf_free(b);
}

tola_status whole_write(const char *path, const buf *text, bool overwrite, tola_error *err) {
    output_set *set;
    output_file *file;
    TRY(output_set_open(overwrite, &set, err));
    tola_status status = output_add(set, path, text->length, &file, err);
    if (status == TOLA_OK) status = output_write(file, 0, text->data, text->length, err);
    if (status == TOLA_OK) return output_commit(set, err);
    output_abort(set);
    return status;
}
