/* What a multiple-choice line says. Keys as the common sets have them: "question", "context" or "prompt"; "choices";
 * "answer". How answers are weighed: https://github.com/EleutherAI/lm-evaluation-harness, lm_eval/api/task.py (acc,
 * acc_norm by characters, acc_bytes by bytes of the choice as it is written, without the delimiter). */
#include "insight/choice.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

bool choice_next_line(const char *text, size_t length, size_t *at, uint64_t *number, const char **line, size_t *bytes) {
    if (*at == 0 && length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) *at = 3; /* a byte order mark */
    while (*at < length) {
        const char *begin = text + *at, *end = memchr(begin, '\n', length - *at);
        size_t n = end ? (size_t)(end - begin) : length - *at;
        *at += n + (end != NULL);
        *number += 1;
        size_t blank = 0;
        while (blank < n && (begin[blank] == ' ' || begin[blank] == '\t' || begin[blank] == '\r')) blank++;
        if (blank == n) continue;
        *line = begin;
        *bytes = n;
        return true;
    }
    return false;
}

static tola_status bad(tola_error *err, const char *why) {
    return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s", why);
}

static tola_status take_question(const tola_value *object, tola_string *out, tola_error *err) {
    static const char *const keys[] = { "question", "context", "prompt" };
    const tola_value *found = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const tola_value *v = tola_value_get(object, keys[i]);
        if (!v) continue;
        if (found) return bad(err, "more than one of \"question\", \"context\", \"prompt\"");
        found = v;
    }
    if (!found || found->kind != TOLA_VALUE_STRING)
        return bad(err, "there is no text called \"question\", \"context\" or \"prompt\"");
    *out = found->as.string;
    return TOLA_OK;
}

static tola_status take_choices(const tola_value *object, arena *a, choice_question *q, tola_error *err) {
    const tola_value *list = tola_value_get(object, "choices");
    if (!list || list->kind != TOLA_VALUE_ARRAY) return bad(err, "there is no list called \"choices\"");
    const size_t n = list->as.array.count;
    if (n < 2 || n > CHOICE_MOST)
        return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%zu choices; 2 to %d are understood", n, CHOICE_MOST);
    tola_string *choices = arena_alloc_array(a, n, sizeof *choices);
    if (!choices) return err_nomem(err, "reading a question");
    for (size_t i = 0; i < n; i++) {
        tola_value v = tola_value_at(list, i);
        if (v.kind != TOLA_VALUE_STRING || v.as.string.length == 0)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "choice %zu is no text, or empty", i);
        choices[i] = v.as.string;
    }
    q->choices = choices;
    q->count = (uint32_t)n;
    return TOLA_OK;
}

/* An index, a letter, or the very text of a choice. */
static tola_status take_answer(const tola_value *object, choice_question *q, tola_error *err) {
    const tola_value *v = tola_value_get(object, "answer");
    if (!v) return bad(err, "there is no \"answer\"");
    if (v->kind == TOLA_VALUE_UINT || v->kind == TOLA_VALUE_INT) {
        uint64_t i = tola_value_u64(v, UINT64_MAX);
        if (i >= q->count)
            return err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "\"answer\" is beyond the %u choices", q->count);
        q->answer = (uint32_t)i;
        return TOLA_OK;
    }
    if (v->kind != TOLA_VALUE_STRING) return bad(err, "\"answer\" is neither an index nor a letter nor a choice");
    const tola_string s = v->as.string;
    uint32_t letter = UINT32_MAX, text = UINT32_MAX;
    if (s.length == 1 && s.data[0] >= 'A' && s.data[0] <= 'Z') letter = (uint32_t)(s.data[0] - 'A');
    for (uint32_t i = q->count; i-- > 0;)
        if (q->choices[i].length == s.length && memcmp(q->choices[i].data, s.data, s.length) == 0) text = i;
    if (letter >= q->count) letter = UINT32_MAX;
    if (letter == UINT32_MAX && text == UINT32_MAX)
        return bad(err, "\"answer\" is no letter of a choice, nor its text");
    if (letter != UINT32_MAX && text != UINT32_MAX && letter != text)
        return bad(err, "\"answer\" is the letter of one choice and the text of another");
    q->answer = letter != UINT32_MAX ? letter : text;
    return TOLA_OK;
}

tola_status choice_parse(const char *line, size_t length, arena *a, choice_question *out, tola_error *err) {
    tola_value object;
    choice_question q = { 0 };
    TRY(json_parse(line, length, a, &object, err));
    if (object.kind != TOLA_VALUE_MAP) return bad(err, "the line is no JSON object");
    TRY(take_question(&object, &q.question, err));
    TRY(take_choices(&object, a, &q, err));
    TRY(take_answer(&object, &q, err));
    *out = q;
    return TOLA_OK;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

size_t choice_text(const choice_question *q, uint32_t index, const char *delimiter, buf *out) {
    const tola_string question = q->question, choice = q->choices[index];
    size_t end = question.length;
    while (end > 0 && is_space(question.data[end - 1])) end--;
    buf_append(out, question.data, question.length);
    bool joined = question.length == 0 || end < question.length || is_space(choice.data[0]);
    if (!joined) buf_append(out, delimiter, strlen(delimiter));
    buf_append(out, choice.data, choice.length);
    return end;
}

static size_t characters(tola_string s) {
    size_t n = 0;
    for (size_t i = 0; i < s.length; i++) n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return n ? n : 1;
}

void choice_pick(const choice_question *q, const double *log_likelihood, tola_choice_item *item) {
    uint32_t sum = 0, norm = 0, bytes = 0;
    for (uint32_t i = 1; i < q->count; i++) {
        const double v = log_likelihood[i];
        if (v > log_likelihood[sum]) sum = i;
        if (v / (double)characters(q->choices[i]) > log_likelihood[norm] / (double)characters(q->choices[norm]))
            norm = i;
        if (v / (double)q->choices[i].length > log_likelihood[bytes] / (double)q->choices[bytes].length) bytes = i;
    }
    item->choices = q->count;
    item->answer = q->answer;
    item->by_sum = sum;
    item->by_characters = norm;
    item->by_bytes = bytes;
}
