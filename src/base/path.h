/* Paths as text; no file is looked at. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

/* "folder/name"; freed with mem_free, NULL without memory. */
char *path_join(const char *folder, const char *name);
/* What follows the last slash; the path itself where there is none. */
const char *path_last(const char *path);

#endif
