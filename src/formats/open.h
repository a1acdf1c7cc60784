/* Steps of opening a checkpoint, shared by the files that do them. */
#ifndef FORMATS_OPEN_H
#define FORMATS_OPEN_H

#include "formats/format.h"

/* checkpoint.c */
tola_status ck_create(const tola_open_options *options, tola_checkpoint **out, tola_error *err);
/* A checkpoint over `in`, which it borrows: its format, files, metadata, configuration, companions and warnings, and no
 * tensors yet. */
tola_status ck_create_over(const tola_checkpoint *in, tola_checkpoint **out, tola_error *err);
/* Adds tensor `index` of `in` as it is: the same bytes from the same file. `own`: storages of tensors that are not passed
 * on, which have lower numbers; ck_finish_over follows. */
tola_status ck_pass_on(tola_checkpoint *ck, const tola_checkpoint *in, size_t index, uint32_t own, tola_error *err);
tola_status ck_finish_over(tola_checkpoint *ck, const tola_checkpoint *in, tola_error *err);
/* Moves files, tensors, warnings and memory of `part` to the end of `ck`; `part` is only good for closing after. */
tola_status ck_append(tola_checkpoint *ck, tola_checkpoint *part, tola_error *err);
/* Builds the table of names (duplicates are an error); nothing to do where it is up to date. */
tola_status ck_index_names(tola_checkpoint *ck, tola_error *err);
/* Index of the tensor whose name has that hash (hash_string), SIZE_MAX where there is none. After ck_index_names. */
size_t ck_find_hash(const tola_checkpoint *ck, uint64_t hash);
/* Indexes names (duplicates are an error) and marks shared storages. Once, when all tensors are there. */
tola_status ck_finish(tola_checkpoint *ck, tola_error *err);

/* open.c: recognizes the format of `src` (taken over) and reads its header into ck. Errors carry the path. */
tola_status ck_read_source(tola_checkpoint *ck, const char *path, source *src, tola_error *err);
/* Opens and reads one file into ck. */
tola_status ck_read_path(tola_checkpoint *ck, const char *path, tola_error *err);
/* A companion read whole into memory (freed with mem_free), at most `limit` bytes. */
tola_status ck_read_whole(const char *path, uint64_t limit, char **data, size_t *bytes, tola_error *err);

/* Told of each checkpoint that tola_checkpoint_open has opened, before its caller is; a failure fails the opening. Any
 * thread; one watcher at a time; NULL ends it. */
typedef tola_status (*ck_watch_fn)(void *user, const tola_checkpoint *ck, tola_error *err);
void ck_watch(ck_watch_fn watch, void *user);

/* folder.c */
tola_status ck_read_index(tola_checkpoint *ck, const char *path, tola_error *err);
tola_status ck_read_folder(tola_checkpoint *ck, const char *path, tola_error *err);

#endif
