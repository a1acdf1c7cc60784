/* tola_cast FROM TO ieee|saturate ELEMENTS: converts ELEMENTS elements from standard input to standard output and
 * prints how many overflowed on standard error. For cast_oracle.py. */
#include "codecs/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what) {
    fprintf(stderr, "tola_cast: %s\n", what);
    return 2;
}

int main(int argc, char **argv) {
    if (argc != 5) return fail("usage: tola_cast FROM TO ieee|saturate ELEMENTS");
    tola_dtype from = tola_dtype_parse(argv[1]), to = tola_dtype_parse(argv[2]);
    size_t n = strtoull(argv[4], NULL, 10);
    uint64_t bytes_in, bytes_out, overflowed = 0;
    if (tola_dtype_size(from, n, &bytes_in) != TOLA_OK || tola_dtype_size(to, n, &bytes_out) != TOLA_OK)
        return fail("these elements do not fill whole blocks of these types");
    void *in = malloc(bytes_in + 1), *out = malloc(bytes_out + 1);
    if (!in || !out) return fail("out of memory");
    if (fread(in, 1, bytes_in, stdin) != bytes_in) return fail("standard input is too short");
    tola_overflow mode = strcmp(argv[3], "saturate") == 0 ? TOLA_OVERFLOW_SATURATE : TOLA_OVERFLOW_IEEE;
    if (codec_convert(from, to, in, out, n, mode, &overflowed) != TOLA_OK) return fail("no such conversion");
    if (fwrite(out, 1, bytes_out, stdout) != bytes_out || fflush(stdout) != 0) return fail("writing failed");
    fprintf(stderr, "%llu\n", (unsigned long long)overflowed);
    free(in);
    free(out);
    return 0;
}
