/* tola_encode TYPE COLUMNS [weighted]: rows of f32 on standard input, encoded on standard output; where weighted, the
 * first row is the importance of the columns. For bench/quality. */
#include "kernels/quantize/quantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what) {
    fprintf(stderr, "tola_encode: %s\n", what);
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) return fail("usage: tola_encode TYPE COLUMNS [weighted]");
    tola_dtype type = tola_dtype_parse(argv[1]);
    size_t columns = strtoull(argv[2], NULL, 10);
    quantize_fn encode = quantize_get(type);
    uint64_t bytes;
    if (!encode) return fail("there is no encoder for this type");
    if (columns == 0 || tola_dtype_size(type, columns, &bytes) != TOLA_OK) return fail("rows do not fill whole blocks");
    float *row = malloc(columns * sizeof *row), *importance = malloc(columns * sizeof *importance);
    uint8_t *out = malloc(bytes);
    if (!row || !importance || !out) return fail("out of memory");
    bool weighted = argc == 4;
    if (weighted && fread(importance, sizeof *importance, columns, stdin) != columns) return fail("no importance");
    size_t n;
    while ((n = fread(row, sizeof *row, columns, stdin)) == columns) {
        encode(row, out, columns, weighted ? importance : NULL);
        if (fwrite(out, 1, bytes, stdout) != bytes) return fail("writing failed");
    }
    if (n != 0) return fail("the last row is not whole");
    free(row);
    free(importance);
    free(out);
    return fflush(stdout) == 0 ? 0 : fail("writing failed");
}
