/* Importance matrices from memory, both formats: what is read holds only numbers >= 0 and is found by its name. */
#include <stdlib.h>

#include "transform/imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    imatrix *m;
    tola_error err = TOLA_ERROR_INIT;
    if (imatrix_open_memory("fuzz.dat", data, bytes, &m, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    if (imatrix_count(m) == 0) abort();
    for (size_t i = 0; i < imatrix_count(m); i++) {
        const imatrix_entry *e = imatrix_at(m, i);
        const float *values;
        if (imatrix_find(m, e->name) != e) abort();
        if (imatrix_values(m, e->name, e->matrices, e->columns, &values, NULL) != TOLA_OK) abort();
        for (uint64_t k = 0; k < e->matrices * e->columns; k++)
            if (!(values[k] >= 0)) abort();
    }
    imatrix_free(m);
    return 0;
}
