/* Texts as a list of documents: plain files, whole or cut at a separator, and a field of JSONL.
 *
 * In memory is where each document lies, 16 bytes for each, not what is in it. */
#ifndef LEARN_DATA_TEXT_H
#define LEARN_DATA_TEXT_H

#include "base/err.h"
#include "base/mem.h"

typedef struct data_text data_text;

typedef struct data_text_options {
    const char
        *separator;    /* of plain text: what lies between two documents and belongs to none; NULL: each file is one */
    const char *field; /* of files that end in .jsonl or .ndjson; NULL: "text" */
} data_text_options;

/* Documents in the order of the files. Empty ones are passed over; none at all is TOLA_E_FORMAT. */
tola_status data_text_open(const char *const *paths, size_t count, const data_text_options *options, data_text **out,
                           tola_error *err);
void data_text_close(data_text *t); /* NULL is fine */
uint64_t data_text_count(const data_text *t);
/* Bytes of the files that documents come from, for progress. */
uint64_t data_text_bytes(const data_text *t);
/* Appends at most `most` bytes of document `i`, from its byte `at` on, to `out`; *end is set where the document ends
 * with them. Plain text gives any bytes. JSONL gives its document at once, whatever `most` is. Any thread. */
tola_status data_text_read(const data_text *t, uint64_t i, uint64_t at, uint64_t most, buf *out, bool *end,
                           tola_error *err);
/* "FILE" or "FILE: line N", where document `i` is, for messages. */
const char *data_text_where(const data_text *t, uint64_t i, char *text, size_t cap);
/* SHA-256 of all files and of how they are cut. */
tola_status data_text_digest(const data_text *t, uint8_t digest[32], tola_error *err);

#endif
