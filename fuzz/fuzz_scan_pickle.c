/* The scanner's machine against the reader's: a pickle that the reader takes, which knows an allow-list only, imports
 * nothing that the scanner does not call safe. And the records that go through the pipe, on the same bytes. */
#include <stdlib.h>

#include "base/err.h"
#include "formats/pickle.h"
#include "trust/scan_pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool reader_takes(source *src, size_t bytes, uint64_t *end) {
    arena a;
    reader r;
    pickle_value *root;
    tola_error err = TOLA_ERROR_INIT;
    arena_init(&a, 1u << 28);
    reader_init(&r, src, 0, bytes);
    tola_status status = pickle_load(&r, 0, &a, &root, &err);
    *end = r.pos;
    reader_free(&r);
    arena_free(&a);
    return status == TOLA_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    source *src;
    arena a;
    scan_job job;
    uint64_t end;
    if (source_open_memory("fuzz", data, bytes, &src, &err) != TOLA_OK) return 0;
    arena_init(&a, 0);
    scan_job_init(&job, &a);
    scan_part part = { src, 0, bytes, "fuzz", "", 0, false };
    pickle_machine *m = pm_new(&job, &part, false);
    if (m) {
        pm_outcome out;
        pm_run(m, 0, &out);
        if (out.next > bytes) abort();
        if (job.status == TOLA_OK && reader_takes(src, bytes, &end)) {
            if (out.end != PM_STOPPED || out.next != end || out.malformed || out.dangerous) abort();
            pm_commit(m);
            for (size_t i = 0; i < job.import_count; i++)
                if (job.imports[i].verdict != TOLA_SAFE) abort();
        }
        pm_free(m);
    }
    scan_job_free(&job);
    tola_scan_file file;
    unsigned wants;
    if (scan_decode(data, bytes, &a, &file, &wants, &err) == TOLA_OK)
        for (size_t i = 0; i < file.finding_count; i++)
            if (file.findings[i].verdict > file.verdict) abort();
    arena_free(&a);
    source_close(src);
    return 0;
}
