/* Facts, and behind a line "%%" rules, all the way to conclusions: what is missing has a key, what is known a source,
 * and the papers are whole. What reads as a model file of the Model Openness Tool is classified. */
#define _GNU_SOURCE /* memmem */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/comply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void look(const tola_compliance *c) {
    static const char *const papers[] = { "notification", "evaluation", "facts" };
    check(isnan(c->flop_low) == isnan(c->flop_high) && !(c->flop_low > c->flop_high));
    check(c->mof_class >= 0 && c->mof_class <= 3);
    for (size_t i = 0; i < c->n_conclusions; i++) {
        const tola_conclusion *one = &c->conclusions[i];
        check(one->id && one->title && one->text && one->article && one->verdict <= TOLA_ANSWER_NOT_ASKED);
        for (size_t k = 0; k < one->n_inputs; k++) check(!one->inputs[k].value || one->inputs[k].source);
        for (size_t k = 0; k < one->n_missing; k++) check(one->missing[k] && one->missing[k][0]);
    }
    for (size_t i = 0; i < c->n_findings; i++) check(c->findings[i].what && c->findings[i].kind);
    for (size_t i = 0; i < c->n_estimates; i++) check(isnan(c->estimates[i].flop) || c->estimates[i].source);
    for (size_t i = 0; i < 3; i++) {
        char *text;
        if (tola_comply_paper(c, papers[i], &text, NULL) == TOLA_OK) {
            check(strlen(text) > 100);
            tola_free(text);
        }
    }
}

static void classify(const uint8_t *data, size_t bytes) {
    yaml *y;
    openness_said said;
    if (yaml_parse("fuzz.yml", data, bytes, &y, NULL) != TOLA_OK) return;
    if (openness_said_mof(y, &said, NULL) == TOLA_OK) check(said.count <= 64);
    yaml_free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 13) return 0;
    char *text = malloc(bytes + 1);
    check(text != NULL);
    memcpy(text, data, bytes);
    text[bytes] = 0;
    const char *cut = memmem(text, bytes, "\n%%\n", 4);
    size_t length = cut ? (size_t)(cut - text) + 1 : bytes;
    tola_compliance *c;
    tola_error err = TOLA_ERROR_INIT;
    if (comply_of_text(text, length, cut ? cut + 4 : NULL, cut ? bytes - length - 3 : 0, "2026-11-22", &c, &err) ==
        TOLA_OK) {
        look(c);
        tola_compliance_free(c);
    } else {
        check(err.message[0] != 0);
    }
    classify(data, bytes);
    free(text);
    return 0;
}
