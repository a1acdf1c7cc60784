/* The bounded reader: the only way in which bytes of a file are interpreted.
 *
 * It walks [start, end) of a source through a small window. The first failure sticks: later reads return zeros and
 * leave the position, so a parser may read several fields and check once with reader_check. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include "base/source.h"

typedef struct reader {
    source *src;
    uint64_t start, end, pos; /* absolute offsets in the source */
    bool swap;                /* numbers are big-endian */
    tola_status status;
    tola_error error;         /* of the first failure */
    uint8_t *window;
    uint64_t window_at;
    size_t window_bytes, window_cap;
} reader;

/* No allocation happens before the first read. */
void reader_init(reader *r, source *src, uint64_t start, uint64_t end);
void reader_free(reader *r);

uint8_t reader_u8(reader *r);
uint16_t reader_u16(reader *r); /* little-endian unless r->swap */
uint32_t reader_u32(reader *r);
uint64_t reader_u64(reader *r);
float reader_f32(reader *r);
double reader_f64(reader *r);
void reader_bytes(reader *r, void *dst, size_t bytes);
void reader_skip(reader *r, uint64_t bytes);
void reader_seek(reader *r, uint64_t absolute);
/* `bytes` bytes in place, valid until the next call; NULL on failure. At most READER_MAX_PEEK. Consumes them. */
#define READER_MAX_PEEK (1u << 20)
const uint8_t *reader_take(reader *r, size_t bytes);
uint64_t reader_left(const reader *r);
bool reader_ok(const reader *r);
/* Fails the reader from outside: reader_fail(r, at, TOLA_E_FORMAT, "..."). Keeps the first failure. */
void reader_fail(reader *r, tola_status status, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* TOLA_OK, or the first failure copied into err. */
tola_status reader_check(const reader *r, tola_error *err);

#endif
