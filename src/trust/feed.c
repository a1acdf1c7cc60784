/* Pieces of files, and whether they are still the files that were listed. */
#include "trust/feed.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

static tola_status check_stamp(const feed *f, const char *what, tola_error *err) {
    struct stat st;
    if (fstat(source_descriptor(f->s), &st) != 0) return err_errno(err, errno, "cannot examine", f->s->path);
    const manifest_stamp now = manifest_stamp_of(&st), *was = &f->stamp;
    if (now.device == was->device && now.inode == was->inode && now.bytes == was->bytes &&
        now.modified == was->modified && now.changed == was->changed)
        return TOLA_OK;
    return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s", what);
}

tola_status feed_open(feed *f, const char *path, const manifest_stamp *stamp, uint64_t from, uint64_t bytes,
                      uint8_t *block, tola_error *err) {
    memset(f, 0, sizeof *f);
    TRY(source_open_file(path, &f->s, err));
    f->at = from;
    f->left = bytes;
    f->block = block;
    f->stamp = *stamp;
    tola_status status = check_stamp(f, "the file is another one than was listed, or changed since", err);
    if (status == TOLA_OK && (from > f->s->size || bytes > f->s->size - from))
        status = err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "the file is shorter than was listed");
    if (status != TOLA_OK) feed_close(f);
    return status;
}

tola_status feed_next(feed *f, tola_error *err) {
    static const char changed[] = "the file changed while it was hashed";
    if (!window_close(&f->w)) return err_set(err, TOLA_E_IO, TOLA_NO_OFFSET, "%s", changed);
    f->bytes = 0;
    if (f->left == 0) return check_stamp(f, changed, err);
    size_t bytes = f->left < WINDOW_BYTES ? (size_t)f->left : WINDOW_BYTES;
    f->mapped = bytes > FEED_BLOCK && window_open(&f->w, f->s, f->at, bytes);
    if (!f->mapped) {
        if (bytes > FEED_BLOCK) bytes = FEED_BLOCK;
        TRY(source_read(f->s, f->at, f->block, bytes, err));
    }
    f->data = f->mapped ? f->w.data : f->block;
    f->bytes = bytes;
    f->at += bytes;
    f->left -= bytes;
    return TOLA_OK;
}

void feed_close(feed *f) {
    window_close(&f->w);
    source_close(f->s);
    memset(f, 0, sizeof *f);
}
