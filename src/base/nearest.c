/* Words that are nearly right. */
#include <string.h>

#include <tola/base.h>

/* Edit distance with transpositions of neighbours (optimal string alignment). Words are cut to 32 bytes, which is
 * longer than any name here. */
static unsigned edit_distance(const char *a, const char *b) {
    enum { MAX = 32 };
    size_t la = strnlen(a, MAX), lb = strnlen(b, MAX);
    unsigned rows[3][MAX + 1];
    for (size_t j = 0; j <= lb; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[la % 3][lb];
}

void tola_nearest_init(tola_nearest *n, const char *word) {
    size_t length = strlen(word);
    n->word = word;
    n->best = NULL;
    n->distance = length < 3 ? 2 : length < 6 ? 3 : 4; /* a suggestion must be nearer than this */
}

void tola_nearest_try(tola_nearest *n, const char *candidate) {
    size_t length = strlen(n->word);
    if (*candidate == 0) return;
    unsigned d = edit_distance(n->word, candidate);
    if (length >= 3 && d > 1 && strncmp(n->word, candidate, length) == 0) d = 1; /* an abbreviation */
    if (d < n->distance && d < strlen(candidate)) {
        n->distance = d;
        n->best = candidate;
    }
}
