/* Reading the Protocol Buffers wire format without a schema: fields of a message, one after another, within bounds.
 *
 * The caller walks a message with pb_next and decides by field number what it wants; everything else is passed over
 * without being read. Nothing is copied unless asked for. Groups (wire types 3 and 4, gone since proto2) are refused.
 * Specification: https://protobuf.dev/programming-guides/encoding/ */
#ifndef BASE_PROTOBUF_H
#define BASE_PROTOBUF_H

#include "base/mem.h"
#include "base/reader.h"

#define PB_MAX_DEPTH 64 /* messages in messages; protobuf's own libraries stop at 100, real models stay below 20 */

enum { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

/* A message being walked: [pos, end) of r's source. Several may share one reader (a parent and its children). */
typedef struct pb_message {
    reader *r;
    uint64_t pos, end; /* absolute offsets in the source */
    unsigned depth;
} pb_message;

typedef struct pb_field {
    uint32_t number;
    uint8_t wire;   /* PB_VARINT, ... */
    uint64_t at;    /* offset of the tag, for messages */
    uint64_t value; /* PB_VARINT, PB_FIXED32, PB_FIXED64: the bits */
    uint64_t start; /* PB_BYTES: offset of the contents, which lie wholly inside the message */
    uint64_t bytes; /* PB_BYTES: their length */
} pb_field;

/* The message that fills [start, end). */
void pb_open(pb_message *m, reader *r, uint64_t start, uint64_t end);
/* The next field; false at the end of the message or after a failure (which sticks in m->r). */
bool pb_next(pb_message *m, pb_field *f);
/* Walks into a field that is a message. False, with m->r failed, where it is none or lies too deep. */
bool pb_enter(const pb_message *m, const pb_field *f, pb_message *child);

/* Fails m->r where the field is not of this wire type. */
bool pb_expect(const pb_message *m, const pb_field *f, int wire);
/* A string or bytes field of at most `limit` bytes, copied into `a` with a NUL behind it; NULL on failure (m->r has
 * failed then, with TOLA_E_LIMIT, TOLA_E_NOMEM or TOLA_E_FORMAT). */
char *pb_text(const pb_message *m, const pb_field *f, size_t limit, arena *a);
float pb_float(const pb_field *f);   /* PB_FIXED32 */

/* Repeated numbers come one to a field or packed into one PB_BYTES field, and a reader must take both. After pb_next
 * has given a field of such a list: pb_numbers_begin, then pb_numbers_next until it says false. */
typedef struct pb_numbers {
    reader *r;
    uint64_t pos, end;
    uint64_t single;
    uint8_t wire;
    bool packed;
} pb_numbers;
/* `wire` is the type of one element: PB_VARINT, PB_FIXED32, PB_FIXED64. */
bool pb_numbers_begin(const pb_message *m, const pb_field *f, int wire, pb_numbers *n);
bool pb_numbers_next(pb_numbers *n, uint64_t *bits);

#endif
