/* A state for each place in a line; every byte is looked at once. */
#include "learn/csv.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    BETWEEN, /* at the beginning of a line, nothing of a row seen */
    FIELD,   /* at the beginning of a field */
    PLAIN,
    QUOTED,
    QUOTE, /* behind a quote within quotes: the end, or the first of two */
    RETURN /* behind CR */
};

void csv_init(csv_parser *p, char separator, uint32_t most_fields) {
    memset(p, 0, sizeof *p);
    p->separator = separator;
    p->most_fields = most_fields;
    p->line = 1;
}

void csv_free(csv_parser *p) {
    mem_free(p->text);
    mem_free(p->fields);
    csv_init(p, p->separator, p->most_fields);
}

static csv_result bad(csv_parser *p, tola_status status, const char *problem) {
    p->status = status;
    snprintf(p->problem, sizeof p->problem, "%s", problem);
    return CSV_BAD;
}

static csv_result begin_field(csv_parser *p) {
    if (p->count == p->most_fields) return bad(p, TOLA_E_LIMIT, "too many fields");
    if (!mem_grow(&p->fields, &p->field_cap, p->count + 1, sizeof *p->fields))
        return bad(p, TOLA_E_NOMEM, "out of memory for its fields");
    p->fields[p->count++] = p->length;
    p->state = FIELD;
    return CSV_MORE;
}

/* One byte; CSV_ROW when it ends a row. text has room for two more bytes. */
static csv_result take(csv_parser *p, char c) {
    if (p->state == BETWEEN) {
        if (c == '\n' || c == '\r') return CSV_MORE;
        p->row_line = p->line;
        p->count = p->length = 0;
        csv_result begun = begin_field(p);
        if (begun != CSV_MORE) return begun;
    }
    if (c == 0) return bad(p, TOLA_E_FORMAT, "a NUL byte, which text does not have");
    if (p->state == QUOTED) {
        if (c == '"')
            p->state = QUOTE;
        else
            p->text[p->length++] = c;
        return CSV_MORE;
    }
    if (p->state == QUOTE && c == '"') {
        p->text[p->length++] = c;
        p->state = QUOTED;
        return CSV_MORE;
    }
    if (p->state == RETURN && c != '\n') return bad(p, TOLA_E_FORMAT, "a carriage return without a line feed");
    if (c == p->separator) {
        p->text[p->length++] = 0;
        return begin_field(p);
    }
    if (c == '\n') {
        p->text[p->length++] = 0;
        p->state = BETWEEN;
        return CSV_ROW;
    }
    if (c == '\r') {
        p->state = RETURN;
        return CSV_MORE;
    }
    if (p->state == QUOTE) return bad(p, TOLA_E_FORMAT, "text behind a closing quote");
    if (c == '"') {
        if (p->state == PLAIN) return bad(p, TOLA_E_FORMAT, "a quote inside a field that does not begin with one");
        p->state = QUOTED;
        return CSV_MORE;
    }
    p->text[p->length++] = c;
    p->state = PLAIN;
    return CSV_MORE;
}

csv_result csv_parse(csv_parser *p, const char *data, size_t bytes, size_t *used) {
    size_t kept = p->state == BETWEEN ? 0 : p->length;
    *used = 0;
    if (kept + bytes > CSV_MAX_ROW) return bad(p, TOLA_E_LIMIT, "the row is longer than 64 MiB");
    if (!mem_grow(&p->text, &p->cap, kept + bytes + 2, 1)) return bad(p, TOLA_E_NOMEM, "out of memory for its fields");
    for (size_t i = 0; i < bytes; i++) {
        csv_result result = take(p, data[i]);
        *used = i + 1;
        if (data[i] == '\n') p->line++;
        if (result != CSV_MORE) return result;
    }
    return CSV_MORE;
}

csv_result csv_end(csv_parser *p) {
    if (p->state == BETWEEN) return CSV_MORE;
    if (p->state == QUOTED) return bad(p, TOLA_E_FORMAT, "the file ends within quotes");
    if (!mem_grow(&p->text, &p->cap, p->length + 1, 1)) return bad(p, TOLA_E_NOMEM, "out of memory for its fields");
    p->text[p->length++] = 0;
    p->state = BETWEEN;
    return CSV_ROW;
}
