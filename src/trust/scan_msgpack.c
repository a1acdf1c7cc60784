/* MessagePack, in which Flax keeps parameters: maps of names to arrays, and nothing that a loader would run.
 *
 * Every value is followed to the last byte. Arrays are extensions of type 1 that hold a shape, the name of a type and
 * bytes; complex numbers are type 2, numpy's scalars type 3. Whatever else an extension may be is its reader's to say.
 * Specification: https://github.com/msgpack/msgpack/blob/master/spec.md; flax/serialization.py. */
#include <inttypes.h>
#include <string.h>

#include "base/reader.h"
#include "base/text.h"
#include "trust/scan.h"

#define MAX_NESTING 64
#define MAX_VALUES (1u << 24)

typedef struct level {
    uint64_t left; /* values of this container to come */
    uint64_t end;  /* of an extension; 0 = of none */
} level;

typedef struct msgpack {
    scan_job *job;
    const scan_part *part;
    reader r;
    level levels[MAX_NESTING];
    unsigned depth;
    uint64_t values;
    bool bad, names; /* it has maps with names */
} msgpack;

static uint64_t number(msgpack *m, unsigned bytes) {
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) v = v << 8 | reader_u8(&m->r);
    return v;
}

static void skip(msgpack *m, uint64_t bytes) {
    if (bytes > reader_left(&m->r))
        m->bad = true;
    else
        reader_skip(&m->r, bytes);
}

static void enter(msgpack *m, uint64_t values, uint64_t end) {
    if (m->depth >= MAX_NESTING || values > reader_left(&m->r)) /* each takes a byte at least */
        m->bad = true;
    else if (values)
        m->levels[m->depth++] = (level){ values, end };
}

static void extension(msgpack *m, uint64_t bytes) {
    int8_t type = (int8_t)reader_u8(&m->r);
    uint64_t at = m->r.pos;
    if (bytes > reader_left(&m->r)) {
        m->bad = true;
    } else if (type >= 1 && type <= 3 && bytes) { /* messages of their own */
        enter(m, 1, at + bytes);
    } else {
        if (type != -1)
            scan_find(m->job, m->part, TOLA_UNKNOWN, "msgpack", at - m->part->start,
                      "an extension of type %d: its meaning is the loader's", type);
        skip(m, bytes);
    }
}

static void value(msgpack *m) {
    uint8_t c = reader_u8(&m->r);
    if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3) return;
    if (c <= 0x8f) {
        m->names |= c > 0x80;
        enter(m, 2u * (c & 15), 0);
        return;
    }
    if (c <= 0x9f) {
        enter(m, c & 15, 0);
        return;
    }
    if (c <= 0xbf) {
        skip(m, c & 31);
        return;
    }
    switch (c) {
    case 0xc4:
    case 0xd9: skip(m, number(m, 1)); return;
    case 0xc5:
    case 0xda: skip(m, number(m, 2)); return;
    case 0xc6:
    case 0xdb: skip(m, number(m, 4)); return;
    case 0xc7: extension(m, number(m, 1)); return;
    case 0xc8: extension(m, number(m, 2)); return;
    case 0xc9: extension(m, number(m, 4)); return;
    case 0xca: skip(m, 4); return;
    case 0xcb: skip(m, 8); return;
    case 0xcc:
    case 0xd0: skip(m, 1); return;
    case 0xcd:
    case 0xd1: skip(m, 2); return;
    case 0xce:
    case 0xd2: skip(m, 4); return;
    case 0xcf:
    case 0xd3: skip(m, 8); return;
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: extension(m, 1u << (c - 0xd4)); return;
    case 0xdc: enter(m, number(m, 2), 0); return;
    case 0xdd: enter(m, number(m, 4), 0); return;
    case 0xde:
    case 0xdf:
        m->names = true;
        enter(m, 2 * number(m, c == 0xde ? 2 : 4), 0);
        return;
    default: m->bad = true;
    }
}

/* Leaves what is complete: an extension has to end where it said. */
static void leave(msgpack *m) {
    while (m->depth && m->levels[m->depth - 1].left == 0) {
        uint64_t end = m->levels[--m->depth].end;
        if (end && m->r.pos != end) m->bad = true;
    }
}

bool scan_msgpack(scan_job *job, const scan_part *part) {
    msgpack m = { .job = job, .part = part };
    size_t findings = job->finding_count;
    uint64_t lost = job->findings_lost;
    tola_verdict verdict = job->verdict;
    reader_init(&m.r, part->src, part->start, part->end);
    value(&m);
    if (m.depth == 0) m.bad = true; /* a number alone is no document */
    while (m.depth && !m.bad && reader_ok(&m.r) && m.values < MAX_VALUES) {
        m.levels[m.depth - 1].left--;
        m.values++;
        value(&m);
        leave(&m);
    }
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = reader_check(&m.r, &err);
    bool whole = status == TOLA_OK && !m.bad && m.depth == 0 && m.names && reader_left(&m.r) == 0;
    if (status == TOLA_E_NOMEM || status == TOLA_E_IO) scan_stop(job, status, &err);
    reader_free(&m.r);
    if (!whole) { /* what was found belongs to something else */
        job->finding_count = findings;
        job->findings_lost = lost;
        job->verdict = verdict;
    }
    return whole;
}
