/* Output that appears whole or not at all.
 *
 * An output_set collects the files of one result. Each is written under a temporary name beside its target
 * (".NAME.tola-XXXXXX", locked with flock while its writer lives); output_commit syncs all of them and renames them
 * into place, the one added last, last. A process that is killed leaves temporary files without a lock;
 * the next output_set_open for the same target removes those. */
#ifndef BASE_OUTPUT_H
#define BASE_OUTPUT_H

#include <tola/base.h>

typedef struct output_set output_set;
typedef struct output_file output_file;

tola_status output_set_open(bool overwrite, output_set **out, tola_error *err);
/* From here on nothing is created or written: files only keep count of their sizes. Such a set is aborted. */
void output_set_dry(output_set *set);
/* Everything of this set lies in the folder `path`, before the first output_add. Where the folder does not exist, a
 * temporary one is filled and renamed into place as a whole; where it exists, its files are replaced one by one. */
tola_status output_set_folder(output_set *set, const char *path, tola_error *err);
/* Creates the temporary file for `path`; `bytes` (0 = unknown) is reserved, so that a full disk shows at once.
 * TOLA_E_EXISTS where the target exists and overwriting was not asked for. */
tola_status output_add(output_set *set, const char *path, uint64_t bytes, output_file **out, tola_error *err);
/* The same for a secret: from its creation on nobody but its owner may read it. */
tola_status output_add_private(output_set *set, const char *path, uint64_t bytes, output_file **out, tola_error *err);
/* A folder in that of output_set_folder, for files that are added to it after; one that exists is fine. */
tola_status output_add_folder(output_set *set, const char *path, tola_error *err);
/* pwrite of all bytes; any thread. */
tola_status output_write(output_file *file, uint64_t offset, const void *data, size_t bytes, tola_error *err);
/* Lets large writes from here on pass by the system's cache, where the file system can and `data` lies at the same
 * place of a block of OUTPUT_BLOCK bytes as `offset`. They cost a fifth of the processor's time and leave nothing for
 * the final sync, but who reads the file next reads the disk. A hint. */
enum { OUTPUT_BLOCK = 4096 };
void output_direct(output_file *file);
tola_status output_truncate(output_file *file, uint64_t bytes, tola_error *err);
/* Starts write-back of a finished range, so that the final sync is short. A hint. */
void output_flush_hint(output_file *file, uint64_t offset, uint64_t bytes);
/* Starts write-back of a finished range and waits for it, so that the final sync, which nothing can stop, is short.
 * The system reports a failed write-back once, to whoever waits first: here it is an error, too. */
tola_status output_flush_wait(output_file *file, uint64_t offset, uint64_t bytes, tola_error *err);
/* Of a dry file, what it would have; of a real one, what was reserved. */
uint64_t output_bytes(const output_file *file);
const char *output_path(const output_file *file);
/* fsync, rename, fsync of the folders. Takes ownership; on failure everything not yet renamed is removed. */
tola_status output_commit(output_set *set, tola_error *err);
void output_abort(output_set *set); /* NULL is fine */

/* Told of each file that has appeared, by the thread that made it appear. One watcher at a time; NULL ends it. */
typedef void (*output_watch_fn)(void *user, const char *path);
void output_watch(output_watch_fn watch, void *user);
/* Tells the watcher of a file that was changed where it lies. */
void output_changed(const char *path);

#endif
