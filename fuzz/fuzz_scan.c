/* The whole scanner over bytes in memory; the first byte chooses the name. A verdict is that of the worst finding, and
 * the same bytes get the same one twice. */
#include <stdlib.h>
#include <string.h>

#include <tola/scan.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = {
    "a",      "a.pkl", "a.json", "a.jinja", "m.safetensors",        "m.gguf", "saved_model.pb",
    "m.onnx", "m.h5",  "a.npy",  "a.zip",   "m.data-00000-of-00001"
};

static tola_verdict scan(const char *name, const uint8_t *data, size_t bytes, size_t *findings) {
    tola_error err = TOLA_ERROR_INIT;
    tola_scan_report r;
    tola_status status = tola_scan_memory(name, data, bytes, &r, &err);
    if (status != TOLA_OK) {
        if (status != TOLA_E_NOMEM || !err.message[0]) abort();
        *findings = 0;
        return TOLA_UNKNOWN;
    }
    tola_verdict worst = TOLA_SAFE, verdict = r.verdict;
    *findings = r.files[0].finding_count;
    for (size_t i = 0; i < *findings; i++) {
        const tola_scan_finding *f = &r.files[0].findings[i];
        if (f->verdict > worst) worst = f->verdict;
        if (!f->what[0] || !f->kind[0] || f->verdict == TOLA_SAFE) abort();
    }
    if (worst != verdict) abort();
    tola_scan_dispose(&r);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    size_t first, second;
    if (bytes == 0) return 0;
    const char *name = names[data[0] % (sizeof names / sizeof *names)];
    tola_verdict verdict = scan(name, data + 1, bytes - 1, &first);
    if (bytes < 2000 && (scan(name, data + 1, bytes - 1, &second) != verdict || first != second)) abort();
    return 0;
}
