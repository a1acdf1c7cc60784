/* Checksums of zip members that are read in blocks, in any order and by any thread.
 *
 * The CRC of each block is joined with those of its neighbours; when a member has been seen completely, once, its CRC
 * must be the one in the directory. Members that are read in part, or again and again, are never complete and are not
 * judged. Memory is fixed: the members seen last have a place. */
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats/zip.h"

#define PLACES 64 /* members that are being read at one time */
#define RUNS 32   /* blocks that are out of step */

typedef struct place {
    const zip_member *member; /* NULL: free */
    uint64_t used;            /* a clock, for eviction */
    size_t count;
    zip_run runs[RUNS];
} place;

struct zip_verifier {
    pthread_mutex_t lock;
    uint64_t clock;
    place places[PLACES];
};

zip_verifier *zip_verifier_new(arena *a) {
    zip_verifier *v = arena_alloc(a, sizeof *v);
    if (!v) return NULL;
    memset(v, 0, sizeof *v);
    pthread_mutex_init(&v->lock, NULL);
    return v;
}

zip_run_result zip_run_add(zip_run *runs, size_t *count, size_t cap, zip_run r) {
    size_t i = *count;
    while (i > 0 && runs[i - 1].offset > r.offset) i--;
    if ((i > 0 && runs[i - 1].offset + runs[i - 1].bytes > r.offset) ||
        (i < *count && r.offset + r.bytes > runs[i].offset))
        return ZIP_RUN_OVERLAP;
    bool before = i > 0 && runs[i - 1].offset + runs[i - 1].bytes == r.offset;
    bool after = i < *count && r.offset + r.bytes == runs[i].offset;
    if (before) {
        zip_run *p = &runs[i - 1];
        p->crc = crc32_join(p->crc, r.crc, r.bytes);
        p->bytes += r.bytes;
        if (!after) return ZIP_RUN_ADDED;
        p->crc = crc32_join(p->crc, runs[i].crc, runs[i].bytes);
        p->bytes += runs[i].bytes;
        memmove(&runs[i], &runs[i + 1], (*count - i - 1) * sizeof *runs);
        (*count)--;
        return ZIP_RUN_ADDED;
    }
    if (after) {
        zip_run *n = &runs[i];
        n->crc = crc32_join(r.crc, n->crc, n->bytes);
        n->offset = r.offset;
        n->bytes += r.bytes;
        return ZIP_RUN_ADDED;
    }
    if (*count == cap) return ZIP_RUN_FULL;
    memmove(&runs[i + 1], &runs[i], (*count - i) * sizeof *runs);
    runs[i] = r;
    (*count)++;
    return ZIP_RUN_ADDED;
}

/* The place of a member, taken from the one used longest ago where it has none. */
static place *place_of(zip_verifier *v, const zip_member *m) {
    place *oldest = &v->places[0];
    for (size_t i = 0; i < PLACES; i++) {
        place *p = &v->places[i];
        if (p->member == m) return p;
        if (p->used < oldest->used) oldest = p;
    }
    oldest->member = m;
    oldest->count = 0;
    return oldest;
}

/* Adds a run; true when the member is complete, with its checksum. */
static bool note(zip_verifier *v, const zip_part *part, zip_run r, uint32_t *crc) {
    pthread_mutex_lock(&v->lock);
    place *p = place_of(v, part->member);
    p->used = ++v->clock;
    if (p->count == 0 && part->start) p->runs[p->count++] = (zip_run){ 0, part->start, part->start_crc };
    if (zip_run_add(p->runs, &p->count, RUNS, r) != ZIP_RUN_ADDED) { /* read a second time: begin again */
        p->runs[0] = (zip_run){ 0, part->start, part->start_crc };
        p->count = part->start ? 1 : 0;
        zip_run_add(p->runs, &p->count, RUNS, r);
    }
    bool complete = p->count == 1 && p->runs[0].bytes == part->member->size;
    if (complete) {
        *crc = p->runs[0].crc;
        p->member = NULL;
        p->used = 0;
    }
    pthread_mutex_unlock(&v->lock);
    return complete;
}

tola_status zip_verify_block(const zip_part *part, uint64_t offset, const void *data, size_t bytes, tola_error *err) {
    if (bytes == 0) return TOLA_OK;
    zip_run r = { part->start + offset, bytes, crc32_update(0, data, bytes) };
    uint32_t crc = 0;
    const zip_member *m = part->member;
    if (!note(part->zip->verifier, part, r, &crc) || crc == m->crc) return TOLA_OK;
    char name[200];
    return err_set(err, TOLA_E_FORMAT, m->data, "the CRC of zip member '%s' is %08" PRIx32 ", not %08" PRIx32
                   ": its bytes were changed", text_quote(name, sizeof name, m->name, m->name_length), crc, m->crc);
}
