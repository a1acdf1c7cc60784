/* Lines of JSON, by number. Nothing but where each line begins is kept in memory: 8 bytes for each. */
#ifndef LEARN_JSONL_H
#define LEARN_JSONL_H

#include "base/err.h"
#include "base/mem.h"
#include "base/source.h"
#include <tola/value.h>

#define JSONL_MAX_LINE ((uint64_t)256 << 20)

typedef struct jsonl jsonl;

/* Empty lines are passed over; what is on the others is looked at when it is read. A file without any is
 * TOLA_E_FORMAT. */
tola_status jsonl_open(const char *path, jsonl **out, tola_error *err);
void jsonl_close(jsonl *j); /* NULL is fine */
uint64_t jsonl_count(const jsonl *j);
/* Record `i`, an object ({"text": ..}, {"prompt": .., "completion": ..}, {"messages": [..]}), as a tree in `a`, in
 * which all text is copied. TOLA_E_FORMAT with file and line where the line is something else. Any thread. */
tola_status jsonl_read(const jsonl *j, uint64_t i, arena *a, tola_value *out, tola_error *err);
/* The text of a field of a record; where there is none, or it is no text, an error that names the line. */
tola_status jsonl_text(const jsonl *j, uint64_t i, const tola_value *record, const char *field, tola_string *out,
                       tola_error *err);
/* TOLA_E_FORMAT: "FILE: line N: ..." about record `i`. */
tola_status jsonl_error(const jsonl *j, uint64_t i, tola_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The line of record `i`, from 1; reads the file up to it. */
uint64_t jsonl_line(const jsonl *j, uint64_t i);
const char *jsonl_path(const jsonl *j);
source *jsonl_source(const jsonl *j);

#endif
