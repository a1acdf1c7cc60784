/* A pattern, a NUL, and a text in which it is looked for. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "text/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    tola_error err = TOLA_ERROR_INIT;
    regex *r;
    const uint8_t *end = bytes ? memchr(data, 0, bytes) : NULL;
    size_t length = end ? (size_t)(end - data) : bytes;
    if (regex_compile((const char *)data, length, &r, &err) != TOLA_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    const char *text = end ? (const char *)end + 1 : "ab 12";
    size_t n = end ? bytes - length - 1 : 5, begin, stop;
    regex_match *m = regex_match_new(r);
    if (!m) abort();
    for (size_t from = 0; utf8_valid(text, n) && from <= n;) {
        bool found;
        if (regex_next(r, m, text, n, from, &found, &begin, &stop, &err) != TOLA_OK || !found) break;
        if (begin < from || stop < begin || stop > n) abort();
        if (!utf8_valid(text + begin, stop - begin)) abort();
        from = stop > begin ? stop : stop + 1;
        while (from < n && ((uint8_t)text[from] & 0xc0) == 0x80) from++;
    }
    regex_match_free(m);
    regex_free(r);
    return 0;
}
