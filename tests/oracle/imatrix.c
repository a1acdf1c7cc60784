/* tola_imatrix FILE: what imatrix_open reads, for imatrix_oracle.py. A line "chunks N DATASET", then for each entry
 * "NAME MATRICES COLUMNS" and the values as hexadecimal floats. */
#include "transform/imatrix.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv) {
    imatrix *m;
    tola_error err = TOLA_ERROR_INIT;
    if (argc != 2) return fprintf(stderr, "usage: tola_imatrix FILE\n"), 2;
    if (imatrix_open(argv[1], &m, &err) != TOLA_OK) return fprintf(stderr, "%s\n", err.message), 1;
    printf("chunks %" PRIu32 " %s\n", imatrix_chunks(m), imatrix_dataset(m) ? imatrix_dataset(m) : "");
    for (size_t i = 0; i < imatrix_count(m); i++) {
        const imatrix_entry *e = imatrix_at(m, i);
        printf("%s %" PRIu64 " %" PRIu64, e->name, e->matrices, e->columns);
        for (uint64_t k = 0; k < e->matrices * e->columns; k++) printf(" %a", (double)e->values[k]);
        printf("\n");
    }
    imatrix_free(m);
    return 0;
}
