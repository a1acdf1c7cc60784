/* tola_mixture: every mixture's choice for one model. For mixture_oracle.py. Reads
 *     model ARCHITECTURE LAYERS HEADS HEADS_KV EXPERTS TIED
 *     tensor NAME EXTENT ...            (outermost first)
 * and prints for each mixture, without (0) and with (1) an importance matrix:
 *     MIXTURE 0|1 FILE_TYPE FALLBACKS TYPE ...   ("keep" where a tensor keeps its own) */
#include "transform/mixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TENSORS 4096
#define MAX_LINE 512

static int fail(const char *what) {
    fprintf(stderr, "tola_mixture: %s\n", what);
    return 2;
}

static mixture_tensor tensors[MAX_TENSORS];
static uint64_t shapes[MAX_TENSORS][4];
static char names[MAX_TENSORS][MAX_LINE];
static tola_dtype types[MAX_TENSORS];

int main(void) {
    char line[MAX_LINE], architecture[MAX_LINE];
    mixture_model model = { .architecture = architecture };
    size_t count = 0;
    while (fgets(line, sizeof line, stdin)) {
        char *save, *word = strtok_r(line, " \n", &save), *number;
        if (word && strcmp(word, "model") == 0) {
            uint32_t tied, *fields[] = { &model.layers, &model.heads, &model.heads_kv, &model.experts, &tied };
            if (!(word = strtok_r(NULL, " \n", &save))) return fail("a model without an architecture");
            strcpy(architecture, word);
            for (size_t i = 0; i < 5; i++) {
                if (!(number = strtok_r(NULL, " \n", &save))) return fail("a model without numbers");
                *fields[i] = (uint32_t)strtoul(number, NULL, 10);
            }
            model.tied = tied != 0;
        } else if (word && strcmp(word, "tensor") == 0) {
            if (count == MAX_TENSORS) return fail("too many tensors");
            if (!(word = strtok_r(NULL, " \n", &save))) return fail("a tensor without a name");
            strcpy(names[count], word);
            tensors[count] = (mixture_tensor){ .name = names[count], .shape = shapes[count] };
            while ((number = strtok_r(NULL, " \n", &save)) && tensors[count].n_dims < 4)
                shapes[count][tensors[count].n_dims++] = strtoull(number, NULL, 10);
            count++;
        } else {
            return fail("a line that is neither model nor tensor");
        }
    }
    const mixture *m;
    for (size_t i = 0; (m = mixture_at(i)) != NULL; i++) {
        for (int importance = 0; importance < 2; importance++) {
            size_t fallbacks;
            model.has_importance = importance;
            if (mixture_choose(m, &model, tensors, count, types, &fallbacks, NULL) != TOLA_OK) return fail("no choice");
            printf("%s %d %" PRIu32 " %zu", mixture_name(m), importance, mixture_file_type(m), fallbacks);
            for (size_t t = 0; t < count; t++)
                printf(" %s", types[t] == TOLA_DTYPE_NONE ? "keep" : tola_dtype_name(types[t]));
            printf("\n");
        }
    }
    return 0;
}
