/* Lines of a multiple-choice file: reading one, and picking the likeliest choice. */
#ifndef INSIGHT_CHOICE_H
#define INSIGHT_CHOICE_H

#include "base/mem.h"
#include <tola/eval.h>

#define CHOICE_MOST 256 /* of one question; tests have 2 to 10 */

typedef struct choice_question {
    tola_string question;
    const tola_string *choices;
    uint32_t count, answer;
} choice_question;

/* One line (a JSON object); strings live in `a`. */
tola_status choice_parse(const char *line, size_t length, arena *a, choice_question *out, tola_error *err);

/* The next line that is not blank, without its end: false at the end of the text. *at and *number (of the line, from 1)
 * move on. */
bool choice_next_line(const char *text, size_t length, size_t *at, uint64_t *number, const char **line, size_t *bytes);

/* The text that the model reads for a choice, and how much of it is the question, in which the choice's tokens are not
 * counted: "Q: ..." + " " + "choice". Appended to `out`; spaces at the question's end are the choice's. */
size_t choice_text(const choice_question *q, uint32_t index, const char *delimiter, buf *out);

/* The likeliest by sum, by characters (code points) and by bytes; the first of several. */
void choice_pick(const choice_question *q, const double *log_likelihood, tola_choice_item *item);

#endif
