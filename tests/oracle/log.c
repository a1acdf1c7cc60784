/* What log_oracle.py cannot do with the program alone.
 *
 *     tola_log merkle            lines "inclusion INDEX SIZE LEAF ROOT HASH,..." and "subtree START END SIZE ROOT1
 * ROOT2 HASH,..." and "consistency OLD SIZE ROOT1 ROOT2 HASH,..." in hexadecimal digits ("-" for none) from stdin;
 * prints yes or no for each tola_log append LOG COUNT  begins and ends COUNT accesses; prints each entry's number once
 * it is acknowledged */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trust/digest.h"
#include "trust/log_append.h"
#include "trust/merkle.h"

enum { MOST = 300 };

/* Hashes parted by commas; false where one has another length: no reader of ours lets such a one in. */
static bool read_list(char *text, merkle_hash *out, size_t *n) {
    *n = 0;
    if (strcmp(text, "-") == 0) return true;
    for (char *p = text; p && *n < MOST; (*n)++) {
        char *comma = strchr(p, ',');
        if (comma) *comma = 0;
        if (!digest_from_hex(p, strlen(p), out[*n], MERKLE_BYTES)) return false;
        p = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool answer(char *line) {
    static merkle_hash hashes[MOST];
    char *word[8] = { NULL };
    uint64_t number[3];
    merkle_hash a, b, root;
    size_t n = 0, count;
    for (char *p = strtok(line, " \n"); p && n < 8; p = strtok(NULL, " \n")) word[n++] = p;
    bool subtree = strcmp(word[0], "subtree") == 0, inclusion = strcmp(word[0], "inclusion") == 0;
    size_t numbers = subtree ? 3 : 2;
    if (n != numbers + 4) exit(2);
    for (size_t i = 0; i < numbers; i++) number[i] = strtoull(word[1 + i], NULL, 10);
    if (!digest_from_hex(word[numbers + 1], strlen(word[numbers + 1]), a, MERKLE_BYTES)) return false;
    if (!digest_from_hex(word[numbers + 2], strlen(word[numbers + 2]), b, MERKLE_BYTES)) return false;
    if (!read_list(word[numbers + 3], hashes, &count)) return false;
    const merkle_hash *list = (const merkle_hash *)hashes;
    if (inclusion)
        return merkle_path_root(number[0], number[1], a, list, count, root, NULL) && memcmp(root, b, MERKLE_BYTES) == 0;
    if (subtree) return merkle_subtree_consistent(number[0], number[1], number[2], a, b, list, count, NULL);
    return merkle_consistent(number[0], number[1], a, b, list, count, NULL);
}

static void body(void *user, tola_json *j) {
    tola_json_key(j, "event");
    tola_json_string(j, "test");
    tola_json_key(j, "text");
    tola_json_string(j, user);
}

static int append(const char *log, unsigned long count, char *text) {
    tola_error err = TOLA_ERROR_INIT;
    for (unsigned long i = 0; i < count; i++) {
        uint64_t number;
        if (log_append(log, NULL, body, text, NULL, 0, &number, &err) != TOLA_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        printf("%" PRIu64 "\n", number);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    static char line[1 << 16];
    if (argc == 4 && strcmp(argv[1], "append") == 0) return append(argv[2], strtoul(argv[3], NULL, 10), argv[2]);
    if (argc != 2 || strcmp(argv[1], "merkle") != 0) return 2;
    while (fgets(line, sizeof line, stdin)) puts(answer(line) ? "yes" : "no");
    return 0;
}
