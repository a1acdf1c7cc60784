/* Pickles one after another, as files of them are: a plain one, several, torch's old stream, joblib's. */
#include <inttypes.h>
#include <string.h>

#include "formats/open.h"
#include "trust/scan_pickle.h"

#define MAX_PICKLES (1u << 20) /* in one stream */

/* 0x1950a86a20f9469cfc6c as LONG1 of ten bytes behind PROTO 2, with which torch.save began before 1.6. */
static const uint8_t torch_magic[] = { 0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                       0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };

static bool is_torch_stream(scan_job *job, const scan_part *part) {
    uint8_t head[sizeof torch_magic];
    return part_bytes(part) >= sizeof head && part_read(job, part, 0, head, sizeof head) &&
           memcmp(head, torch_magic, sizeof head) == 0;
}

/* Zeros and line ends behind the last pickle: padding. */
static bool is_padding(scan_job *job, const scan_part *part, uint64_t at) {
    uint8_t bytes[512];
    uint64_t left = part->end - at;
    if (left > sizeof bytes || !part_read(job, part, at - part->start, bytes, (size_t)left)) return false;
    for (size_t i = 0; i < left; i++)
        if (bytes[i] != 0 && bytes[i] != '\n' && bytes[i] != '\r') return false;
    return true;
}

static void tell_malformed(scan_job *job, const scan_part *part, const pm_outcome *out) {
    if (out->malformed)
        scan_find(job, part, TOLA_UNKNOWN, "pickle", out->malformed_at, "cannot be followed as a pickle: %s", out->why);
}

/* Does a pickle that may be none do something that text or numbers would not do by chance? */
static bool speaks(const pm_outcome *out) {
    if (out->limited) return true;
    bool acted = out->doubtful ? out->spoke_before : out->dangerous || (out->acted && out->worst != TOLA_SAFE);
    return acted || (out->end == PM_STOPPED && !out->malformed && !out->foreign && out->worst != TOLA_SAFE);
}

/* Behind a whole pickle: is what follows one, too? */
static bool goes_on(pickle_machine *m, uint64_t at) {
    pm_outcome probe;
    uint8_t first;
    if (!pm_read(m, at, &first, 1)) return false;
    if (first == 0x80) return true;
    pm_run(m, at, &probe);
    pm_discard(m);
    return (probe.end == PM_STOPPED && !probe.malformed) || speaks(&probe);
}

/* pickle.load does not know joblib's arrays: what does it find in their bytes? */
static void try_without_arrays(pickle_machine *m, scan_job *job, const scan_part *part, uint64_t at) {
    pm_outcome plain;
    pm_run_plain(m, at, &plain);
    if (scan_running(job) && speaks(&plain)) {
        scan_find(job, part, TOLA_UNKNOWN, "polyglot", at - part->start,
                  "is something else, too, where pickle.load reads it in place of joblib");
        pm_commit(m);
    } else {
        pm_discard(m);
    }
}

void scan_pickles(scan_job *job, const scan_part *part) {
    pickle_machine *m = pm_new(job, part, job->torchscript);
    if (!m) return;
    bool torch = is_torch_stream(job, part);
    uint64_t at = part->start;
    torch_claims *claims =
        job->torch && part->depth == job->torch->depth && strcmp(part->name, "data.pkl") == 0 ? job->torch : NULL;
    if (claims) claims->pickles++;
    pm_note_claims(m, claims);
    for (unsigned n = 1; scan_running(job); n++) {
        pm_outcome out;
        pm_run(m, at, &out);
        pm_commit(m);
        tell_malformed(job, part, &out);
        if (out.arrays) try_without_arrays(m, job, part, at);
        if (claims && (out.malformed || out.arrays || out.end != PM_STOPPED || out.next != part->end || n > 1))
            claims->lost = true;
        if (out.end != PM_STOPPED || !scan_running(job)) break;
        at = out.next;
        if (torch && n == 5) { /* storages follow: numbers, if the reader agrees that they fill the file */
            scan_structure(job, part);
            break;
        }
        if (at == part->end || is_padding(job, part, at)) break;
        if (n >= MAX_PICKLES) {
            scan_find(job, part, TOLA_UNKNOWN, "limit", at - part->start, "more than %u pickles in a row", MAX_PICKLES);
            break;
        }
        if (!torch && !goes_on(m, at)) {
            scan_find(job, part, TOLA_UNKNOWN, "pickle", at - part->start,
                      "%" PRIu64 " bytes behind the last pickle that belong to nothing", part->end - at);
            break;
        }
    }
    pm_free(m);
}

bool scan_try_pickle(scan_job *job, const scan_part *part) {
    pickle_machine *m = pm_new(job, part, job->torchscript);
    pm_outcome out;
    if (!m) return false;
    pm_run(m, part->start, &out);
    bool found = scan_running(job) && speaks(&out);
    if (found) {
        scan_find(job, part, TOLA_UNKNOWN, "polyglot", 0, "is something else, too, when it is read as a pickle");
        pm_commit(m);
    }
    pm_free(m);
    return found;
}

int scan_pickle_likelihood(scan_job *job, const scan_part *part) {
    uint8_t head[2];
    if (part_bytes(part) < 2 || !part_read(job, part, 0, head, 2)) return 0;
    if (head[0] == 0x80 && head[1] <= 5) return 2;
    pickle_machine *m = pm_new(job, part, job->torchscript);
    pm_outcome out;
    if (!m) return 0;
    pm_run(m, part->start, &out);
    bool whole = out.end == PM_STOPPED && !out.malformed, found = speaks(&out);
    pm_discard(m);
    found = found || (whole && (out.next == part->end || is_padding(job, part, out.next) || goes_on(m, out.next)));
    pm_free(m);
    return found;
}
