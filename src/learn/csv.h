/* Rows of CSV (RFC 4180, https://www.rfc-editor.org/rfc/rfc4180) out of bytes that come in pieces. Lines end with LF or
 * CRLF; an empty line is no row. */
#ifndef LEARN_CSV_H
#define LEARN_CSV_H

#include "base/err.h"

#define CSV_MAX_ROW ((size_t)64 << 20)

typedef enum csv_result { CSV_MORE, CSV_ROW, CSV_BAD } csv_result;

typedef struct csv_parser {
    char separator;
    uint8_t state;
    uint32_t most_fields;
    uint64_t line, row_line; /* of the next byte and of the row's first, from 1 */
    char *text;              /* the fields of the row, each with a NUL behind it */
    size_t length, cap;
    size_t *fields; /* where each begins in text */
    size_t count, field_cap;
    tola_status status; /* after CSV_BAD */
    char problem[120];
} csv_parser;

void csv_init(csv_parser *p, char separator, uint32_t most_fields);
void csv_free(csv_parser *p);
/* Takes bytes until a row is complete (CSV_ROW: its fields are there until the next call) or there are no more. */
csv_result csv_parse(csv_parser *p, const char *data, size_t bytes, size_t *used);
/* No more bytes come: a last line without an end. CSV_MORE: there is none. */
csv_result csv_end(csv_parser *p);
static inline const char *csv_field(const csv_parser *p, size_t i) { return p->text + p->fields[i]; }

#endif
