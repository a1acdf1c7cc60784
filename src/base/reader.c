/* The bounded reader. */
#include "base/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define WINDOW_FIRST (16u << 10)
#define WINDOW_REMOTE (256u << 10)

void reader_init(reader *r, source *src, uint64_t start, uint64_t end) {
    memset(r, 0, sizeof *r);
    r->src = src;
    if (end > src->size) end = src->size;
    if (start > end) start = end;
    r->start = r->pos = start;
    r->end = end;
}

void reader_free(reader *r) {
    mem_free(r->window);
    r->window = NULL;
    r->window_bytes = r->window_cap = 0;
}

bool reader_ok(const reader *r) { return r->status == TOLA_OK; }
uint64_t reader_left(const reader *r) { return r->status == TOLA_OK ? r->end - r->pos : 0; }

void reader_fail(reader *r, tola_status status, uint64_t offset, const char *format, ...) {
    if (r->status != TOLA_OK) return;
    char text[sizeof r->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->status = err_set(&r->error, status, offset, "%s", text);
}

tola_status reader_check(const reader *r, tola_error *err) {
    if (r->status != TOLA_OK && err) *err = r->error;
    return r->status;
}

static bool reader_has(reader *r, uint64_t bytes) {
    if (r->status != TOLA_OK) return false;
    if (bytes <= r->end - r->pos) return true;
    reader_fail(r, TOLA_E_FORMAT, r->pos,
                "truncated: %" PRIu64 " bytes are wanted here but only %" PRIu64 " are left (%" PRIu64 " missing)",
                bytes, r->end - r->pos, bytes - (r->end - r->pos));
    return false;
}

/* Makes [pos, pos + bytes) lie in the window. */
static bool reader_fill(reader *r, size_t bytes) {
    if (r->window_bytes && r->pos >= r->window_at && r->pos - r->window_at <= r->window_bytes &&
        r->window_bytes - (r->pos - r->window_at) >= bytes)
        return true;
    size_t want = r->src->remote ? WINDOW_REMOTE : WINDOW_FIRST;
    /* a reader that goes on and on gets larger pieces, so that long headers cost few reads */
    if (r->window_cap && r->pos == r->window_at + r->window_bytes && r->window_cap < READER_MAX_PEEK)
        want = r->window_cap * 2;
    if (want < r->window_cap) want = r->window_cap;
    if (want < bytes) want = bytes;
    if (want > READER_MAX_PEEK) want = READER_MAX_PEEK;
    size_t amount = r->end - r->pos < want ? (size_t)(r->end - r->pos) : want;
    if (amount > r->window_cap) {
        uint8_t *window = mem_realloc(r->window, amount);
        if (!window) {
            reader_fail(r, TOLA_E_NOMEM, r->pos, "out of memory while reading");
            return false;
        }
        r->window = window;
        r->window_cap = amount;
    }
    r->window_bytes = 0;
    tola_error error = TOLA_ERROR_INIT;
    tola_status status = source_read(r->src, r->pos, r->window, amount, &error);
    if (status != TOLA_OK) {
        r->status = status;
        r->error = error;
        return false;
    }
    r->window_at = r->pos;
    r->window_bytes = amount;
    return true;
}

const uint8_t *reader_take(reader *r, size_t bytes) {
    if (bytes > READER_MAX_PEEK) {
        reader_fail(r, TOLA_E_LIMIT, r->pos, "a field of %zu bytes is longer than any allowed here (%u)", bytes,
                    READER_MAX_PEEK);
        return NULL;
    }
    if (!reader_has(r, bytes) || !reader_fill(r, bytes ? bytes : 0)) return NULL;
    const uint8_t *p = r->window ? r->window + (r->pos - r->window_at) : (const uint8_t *)"";
    r->pos += bytes;
    return p;
}

void reader_bytes(reader *r, void *dst, size_t bytes) {
    if (!reader_has(r, bytes)) {
        memset(dst, 0, bytes);
        return;
    }
    if (bytes <= WINDOW_FIRST) {
        const uint8_t *p = reader_take(r, bytes);
        if (p)
            memcpy(dst, p, bytes);
        else
            memset(dst, 0, bytes);
        return;
    }
    tola_error error = TOLA_ERROR_INIT;
    tola_status status = source_read(r->src, r->pos, dst, bytes, &error);
    if (status != TOLA_OK) {
        r->status = status;
        r->error = error;
        memset(dst, 0, bytes);
        return;
    }
    r->pos += bytes;
}

void reader_skip(reader *r, uint64_t bytes) {
    if (reader_has(r, bytes)) r->pos += bytes;
}

void reader_seek(reader *r, uint64_t absolute) {
    if (r->status != TOLA_OK) return;
    if (absolute < r->start || absolute > r->end) {
        reader_fail(r, TOLA_E_FORMAT, absolute, "points outside the bytes %" PRIu64 " to %" PRIu64, r->start, r->end);
        return;
    }
    r->pos = absolute;
}

static uint64_t reader_number(reader *r, unsigned bytes) {
    const uint8_t *p = reader_take(r, bytes);
    if (!p) return 0;
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) v |= (uint64_t)p[r->swap ? bytes - 1 - i : i] << (8 * i);
    return v;
}

uint8_t reader_u8(reader *r) { return (uint8_t)reader_number(r, 1); }
uint16_t reader_u16(reader *r) { return (uint16_t)reader_number(r, 2); }
uint32_t reader_u32(reader *r) { return (uint32_t)reader_number(r, 4); }
uint64_t reader_u64(reader *r) { return reader_number(r, 8); }

float reader_f32(reader *r) {
    uint32_t bits = reader_u32(r);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double reader_f64(reader *r) {
    uint64_t bits = reader_u64(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
