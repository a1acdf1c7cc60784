/* Lines of multiple-choice files: what is taken has two choices at least, none empty, an answer among them, and texts
 * that hold question and choice; everything else is refused with a message. */
#include <stdlib.h>
#include <string.h>

#include "insight/choice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(const choice_question *q) {
    double weights[CHOICE_MOST];
    tola_choice_item item = { 0 };
    if (q->count < 2 || q->count > CHOICE_MOST || q->answer >= q->count) abort();
    for (uint32_t i = 0; i < q->count; i++) {
        buf text;
        const tola_string choice = q->choices[i];
        buf_init(&text, 0);
        size_t own = choice_text(q, i, " ", &text);
        if (choice.length == 0 || own > q->question.length || text.failed) abort();
        if (text.length < q->question.length + choice.length || text.length > q->question.length + choice.length + 1)
            abort();
        if (memcmp(text.data + text.length - choice.length, choice.data, choice.length) != 0) abort();
        weights[i] = -1.0 - (double)(i * 7 % 5);
        buf_free(&text);
    }
    choice_pick(q, weights, &item);
    if (item.by_sum != 0 || item.by_characters >= q->count || item.by_bytes >= q->count) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    size_t at = 0, length;
    uint64_t number = 0;
    const char *line;
    while (choice_next_line((const char *)data, bytes, &at, &number, &line, &length)) {
        arena a;
        choice_question q;
        tola_error err = TOLA_ERROR_INIT;
        if (length == 0 || number == 0 || at > bytes) abort();
        arena_init(&a, 0);
        if (choice_parse(line, length, &a, &q, &err) == TOLA_OK)
            check(&q);
        else if (!err.message[0])
            abort();
        arena_free(&a);
    }
    return 0;
}
