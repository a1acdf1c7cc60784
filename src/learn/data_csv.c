/* CSV as a table. The first pass checks every row, notes where it begins, and gathers ranges and labels. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "learn/csv.h"
#include "learn/data_file.h"
#include "learn/data_table_inside.h"

#define NO_COLUMN UINT32_MAX

typedef struct csv_table {
    uint64_t *rows; /* where each begins; [count + 1], the last the end of the file */
    size_t row_cap;
    uint32_t fields;   /* of a row */
    uint32_t *columns; /* which are features */
    char separator;
} csv_table;

/* Texts of labels in the order in which they came. */
typedef struct label_set {
    const char **texts;
    size_t count, cap;
    uint32_t *slots; /* 1 + number of a text; open addressing */
    size_t mask;
} label_set;

typedef struct opening {
    data_table *t;
    csv_table *own;
    const data_csv_options *options;
    const char *path;
    csv_parser parser;
    char **heads; /* names of columns; NULL: the file has none */
    uint32_t label;
    data_range *ranges; /* of features */
    label_set labels;
    size_t label_cap, number_cap;
    uint32_t *label_of; /* of each row: number in `labels` */
    float *number_of;
    tola_error *err;
} opening;

static tola_status no_memory(const opening *o) { return err_nomem(o->err, "reading CSV"); }

/* ---- labels ---- */

static bool grow_slots(label_set *s) {
    size_t size = s->mask ? (s->mask + 1) * 2 : 64;
    uint32_t *slots = mem_calloc(size, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < s->count; i++) {
        size_t at = hash_string(s->texts[i], strlen(s->texts[i])) & (size - 1);
        while (slots[at]) at = (at + 1) & (size - 1);
        slots[at] = (uint32_t)i + 1;
    }
    mem_free(s->slots);
    s->slots = slots;
    s->mask = size - 1;
    return true;
}

/* The number of a text, a new one if need be; NO_COLUMN when there are too many or no memory. */
static uint32_t label_number(opening *o, const char *text) {
    label_set *s = &o->labels;
    if (s->count * 2 >= s->mask && !grow_slots(s)) return NO_COLUMN;
    size_t at = hash_string(text, strlen(text)) & s->mask;
    for (; s->slots[at]; at = (at + 1) & s->mask)
        if (strcmp(s->texts[s->slots[at] - 1], text) == 0) return s->slots[at] - 1;
    if (s->count == DATA_MAX_CLASSES || !mem_grow(&s->texts, &s->cap, s->count + 1, sizeof *s->texts)) return NO_COLUMN;
    s->texts[s->count] = arena_strndup(&o->t->arena, text, strlen(text));
    if (!s->texts[s->count]) return NO_COLUMN;
    s->slots[at] = (uint32_t)s->count + 1;
    return (uint32_t)s->count++;
}

/* A whole number below DATA_MAX_CLASSES, or NO_COLUMN. */
static uint32_t class_number(const char *text) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits]) return NO_COLUMN;
    unsigned long n = strtoul(text, NULL, 10);
    return n < DATA_MAX_CLASSES ? (uint32_t)n : NO_COLUMN;
}

typedef struct named_label {
    const char *text;
    uint32_t number; /* in the set */
} named_label;

static int by_text(const void *a, const void *b) {
    return strcmp(((const named_label *)a)->text, ((const named_label *)b)->text);
}

/* What each text of the set is as a class, when all rows are known. */
static tola_status make_classes(opening *o, uint32_t *class_of) {
    data_table_info *info = &o->t->info;
    const label_set *s = &o->labels;
    bool numbers = true;
    for (size_t i = 0; i < s->count; i++) {
        class_of[i] = class_number(s->texts[i]);
        numbers = numbers && class_of[i] != NO_COLUMN;
        if (numbers && class_of[i] >= info->classes) info->classes = class_of[i] + 1;
    }
    if (numbers) return data_table_number_names(o->t, o->err);
    named_label *sorted = mem_alloc(s->count * sizeof *sorted);
    o->t->names = arena_alloc_array(&o->t->arena, s->count, sizeof *o->t->names);
    if (!sorted || !o->t->names) {
        mem_free(sorted);
        return no_memory(o);
    }
    for (size_t i = 0; i < s->count; i++) sorted[i] = (named_label){ s->texts[i], (uint32_t)i };
    qsort(sorted, s->count, sizeof *sorted, by_text);
    for (size_t i = 0; i < s->count; i++) {
        class_of[sorted[i].number] = (uint32_t)i;
        o->t->names[i] = sorted[i].text;
    }
    mem_free(sorted);
    info->classes = (uint32_t)s->count;
    return TOLA_OK;
}

static int by_name(const void *key, const void *name) { return strcmp(key, *(const char *const *)name); }

/* The same, where another table has said which classes there are. */
static tola_status match_classes(opening *o, const data_table *like, uint32_t *class_of) {
    data_table *t = o->t;
    t->info.classes = like->info.classes;
    t->numbered = like->numbered;
    t->names = arena_alloc_array(&t->arena, like->info.classes, sizeof *t->names);
    if (!t->names) return no_memory(o);
    for (uint32_t i = 0; i < like->info.classes; i++) {
        t->names[i] = arena_strndup(&t->arena, like->names[i], strlen(like->names[i]));
        if (!t->names[i]) return no_memory(o);
    }
    for (size_t i = 0; i < o->labels.count; i++) {
        const char *text = o->labels.texts[i];
        const char **found =
            like->numbered ? NULL : bsearch(text, like->names, like->info.classes, sizeof text, by_name);
        class_of[i] = like->numbered ? class_number(text) : found ? (uint32_t)(found - like->names) : NO_COLUMN;
    }
    return TOLA_OK;
}

/* The line of a row, by reading the file again up to it. */
static uint64_t line_of(const opening *o, uint64_t row) {
    char piece[4096];
    uint64_t line = 1;
    for (uint64_t at = 0; at < o->own->rows[row];) {
        uint64_t left = o->own->rows[row] - at;
        size_t bytes = left < sizeof piece ? (size_t)left : sizeof piece;
        if (source_read(o->t->sources[0], at, piece, bytes, NULL) != TOLA_OK) break;
        for (size_t i = 0; i < bytes; i++) line += piece[i] == '\n';
        at += bytes;
    }
    return line;
}

static tola_status set_labels(opening *o, const uint32_t *class_of) {
    data_table *t = o->t;
    uint32_t wanted = o->options->classes;
    if (wanted && t->info.classes < wanted && !o->options->like) {
        uint32_t found = t->info.classes;
        t->info.classes = wanted;
        if (!t->numbered)
            return err_set(o->err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "%s: %u classes are wanted, and %u are there",
                           o->path, wanted, found);
        TRY(data_table_number_names(t, o->err));
    }
    uint32_t classes = wanted ? wanted : t->info.classes;
    for (uint64_t i = 0; i < t->info.count; i++) {
        uint32_t label = class_of[o->label_of[i]];
        char quoted[80];
        const char *text = o->labels.texts[o->label_of[i]];
        if (label >= classes || label >= t->info.classes)
            return data_line_error(o->err, TOLA_E_FORMAT, o->path, line_of(o, i),
                                   "the label '%s' is none of the %u classes",
                                   text_quote(quoted, sizeof quoted, text, strlen(text)), classes);
        o->label_of[i] = label;
    }
    t->labels = o->label_of;
    return TOLA_OK;
}

static tola_status finish_labels(opening *o) {
    uint32_t *class_of = mem_alloc((o->labels.count ? o->labels.count : 1) * sizeof *class_of);
    if (!class_of) return no_memory(o);
    const data_table *like = o->options->like;
    tola_status status = like && like->names ? match_classes(o, like, class_of) : make_classes(o, class_of);
    if (status == TOLA_OK) status = set_labels(o, class_of);
    mem_free(class_of);
    return status;
}

/* ---- columns ---- */

/* The place of a column given by name or number; NO_COLUMN where there is none. */
static uint32_t find_column(const opening *o, const char *what) {
    for (uint32_t i = 0; o->heads && i < o->own->fields; i++)
        if (strcmp(o->heads[i], what) == 0) return i;
    const char *digits = what + (*what == '-');
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 7 || digits[n]) return NO_COLUMN;
    uint32_t place = (uint32_t)strtoul(digits, NULL, 10);
    if (*what == '-') return place >= 1 && place <= o->own->fields ? o->own->fields - place : NO_COLUMN;
    return place < o->own->fields ? place : NO_COLUMN;
}

static tola_status no_column(const opening *o, const char *what) {
    char quoted[80];
    text_quote(quoted, sizeof quoted, what, strlen(what));
    tola_nearest nearest;
    tola_nearest_init(&nearest, what);
    for (uint32_t i = 0; o->heads && i < o->own->fields; i++) tola_nearest_try(&nearest, o->heads[i]);
    if (nearest.best) {
        char best[80];
        text_quote(best, sizeof best, nearest.best, strlen(nearest.best));
        return data_line_error(o->err, TOLA_E_FORMAT, o->path, o->parser.row_line,
                               "there is no column '%s'; did you mean '%s'?", quoted, best);
    }
    return data_line_error(o->err, TOLA_E_FORMAT, o->path, o->parser.row_line, "there is no column '%s' among %u",
                           quoted, o->own->fields);
}

static tola_status choose_columns(opening *o) {
    const data_csv_options *options = o->options;
    csv_table *own = o->own;
    o->label = NO_COLUMN;
    if (options->label) {
        o->label = find_column(o, options->label);
        if (o->label == NO_COLUMN) return no_column(o, options->label);
    }
    own->columns = mem_alloc(own->fields * sizeof *own->columns);
    if (!own->columns) return no_memory(o);
    uint32_t n = 0;
    for (uint32_t i = 0; !options->features && i < own->fields; i++)
        if (i != o->label) own->columns[n++] = i;
    for (size_t i = 0; options->features && options->features[i]; i++) {
        uint32_t column = find_column(o, options->features[i]);
        if (column == NO_COLUMN || n == own->fields) return no_column(o, options->features[i]);
        own->columns[n++] = column;
    }
    if (n == 0)
        return data_line_error(o->err, TOLA_E_FORMAT, o->path, o->parser.row_line, "there is no column of features");
    o->t->info.columns = n;
    o->t->info.has_number = o->label != NO_COLUMN && options->label_is_number;
    o->ranges = mem_calloc(n, sizeof *o->ranges);
    return o->ranges ? TOLA_OK : no_memory(o);
}

/* ---- rows ---- */

static bool is_number(const char *text) {
    double unused;
    return json_decimal(text, &unused);
}

/* The number in a field; spaces around it do not matter. False where there is none. */
static bool field_number(char *text, double *out) {
    while (*text == ' ' || *text == '\t') text++;
    size_t n = strlen(text);
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t')) n--;
    text[n] = 0;
    return json_decimal(text, out) && *out <= 3.4028234663852886e38 && *out >= -3.4028234663852886e38;
}

static tola_status not_number(const opening *o, uint32_t column) {
    char quoted[80], head[80] = "";
    const char *text = csv_field(&o->parser, column);
    if (o->heads) text_quote(head, sizeof head, o->heads[column], strlen(o->heads[column]));
    text_quote(quoted, sizeof quoted, text, strlen(text));
    return data_line_error(o->err, TOLA_E_FORMAT, o->path, o->parser.row_line, "column %u%s%s%s: '%s' is no number",
                           column + 1, head[0] ? " (" : "", head, head[0] ? ")" : "", quoted);
}

static tola_status take_row(opening *o, uint64_t at) {
    csv_table *own = o->own;
    data_table_info *info = &o->t->info;
    csv_parser *p = &o->parser;
    if (p->count != own->fields)
        return data_line_error(o->err, TOLA_E_FORMAT, o->path, p->row_line, "%zu fields, where the first line has %u",
                               p->count, own->fields);
    for (uint32_t c = 0; c < info->columns; c++) {
        double x;
        if (!field_number(p->text + p->fields[own->columns[c]], &x)) return not_number(o, own->columns[c]);
        data_range_add(&o->ranges[c], x);
    }
    if (!mem_grow(&own->rows, &own->row_cap, info->count + 2, sizeof *own->rows)) return no_memory(o);
    if (info->has_number) {
        double x;
        if (!mem_grow(&o->number_of, &o->number_cap, info->count + 1, sizeof *o->number_of)) return no_memory(o);
        if (!field_number(p->text + p->fields[o->label], &x)) return not_number(o, o->label);
        o->number_of[info->count] = (float)x;
    } else if (o->label != NO_COLUMN) {
        if (!mem_grow(&o->label_of, &o->label_cap, info->count + 1, sizeof *o->label_of)) return no_memory(o);
        uint32_t label = label_number(o, csv_field(p, o->label));
        if (label == NO_COLUMN && o->labels.count < DATA_MAX_CLASSES) return no_memory(o);
        if (label == NO_COLUMN)
            return data_line_error(o->err, TOLA_E_LIMIT, o->path, p->row_line,
                                   "more than %u different labels; is it a number to be predicted?", DATA_MAX_CLASSES);
        o->label_of[info->count] = label;
    }
    own->rows[info->count++] = at;
    return TOLA_OK;
}

/* Names in the first line, or numbers already? */
static tola_status take_first(opening *o, uint64_t at) {
    csv_parser *p = &o->parser;
    o->own->fields = (uint32_t)p->count;
    bool named = o->options->header == DATA_HEADER_YES;
    if (o->options->header == DATA_HEADER_GUESS) {
        named = true;
        for (size_t i = 0; i < p->count; i++) named = named && !is_number(csv_field(p, i));
    }
    if (named) {
        o->heads = arena_alloc_array(&o->t->arena, p->count, sizeof *o->heads);
        for (size_t i = 0; o->heads && i < p->count; i++) {
            o->heads[i] = arena_strndup(&o->t->arena, csv_field(p, i), strlen(csv_field(p, i)));
            if (!o->heads[i]) return no_memory(o);
        }
        if (!o->heads) return no_memory(o);
    }
    TRY(choose_columns(o));
    return named ? TOLA_OK : take_row(o, at);
}

static tola_status scan(opening *o, char *piece) {
    source *src = o->t->sources[0];
    uint64_t row_at = 0, at = 0;
    bool first = true, end = false;
    while (!end) {
        size_t bytes = src->size - at < DATA_FILE_PIECE ? (size_t)(src->size - at) : DATA_FILE_PIECE, done = 0;
        if (source_read(src, at, piece, bytes, o->err) != TOLA_OK) return err_in_file(o->err, TOLA_E_IO, o->path);
        if (at == 0 && bytes >= 3 && memcmp(piece, "\xef\xbb\xbf", 3) == 0) row_at = done = 3; /* a byte order mark */
        end = at + bytes == src->size;
        while (done < bytes || end) {
            size_t used = 0;
            csv_result result =
                done < bytes ? csv_parse(&o->parser, piece + done, bytes - done, &used) : csv_end(&o->parser);
            bool over = done == bytes;
            done += used;
            if (result == CSV_BAD) {
                uint64_t line = o->parser.row_line ? o->parser.row_line : 1;
                return data_line_error(o->err, o->parser.status, o->path, line, "%s", o->parser.problem);
            }
            if (result == CSV_ROW) {
                TRY(first ? take_first(o, row_at) : take_row(o, row_at));
                first = false;
                row_at = at + done;
            }
            if (over) break;
        }
        at += bytes;
    }
    if (o->t->info.count == 0) {
        err_set(o->err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "there is no row of data in it");
        return err_in_file(o->err, TOLA_E_FORMAT, o->path);
    }
    o->own->rows[o->t->info.count] = src->size;
    return TOLA_OK;
}

/* ---- the table ---- */

static void close_csv(data_table *t) {
    csv_table *own = t->own;
    mem_free(own->rows);
    mem_free(own->columns);
    mem_free(own);
    mem_free(t->labels);
    mem_free(t->numbers);
}

static tola_status read_csv(const data_table *t, uint64_t example, float *features, tola_error *err) {
    const csv_table *own = t->own;
    const char *path = t->sources[0]->path;
    size_t bytes = (size_t)(own->rows[example + 1] - own->rows[example]), used;
    char small[2048], *row = bytes <= sizeof small ? small : mem_alloc(bytes);
    if (!row) return err_nomem(err, "reading CSV");
    csv_parser p;
    csv_init(&p, own->separator, own->fields);
    tola_status status = source_read(t->sources[0], own->rows[example], row, bytes, err);
    if (status != TOLA_OK) {
        err_in_file(err, status, path);
    } else {
        bool good = csv_parse(&p, row, bytes, &used) == CSV_ROW || (used == bytes && csv_end(&p) == CSV_ROW);
        good = good && p.count == own->fields;
        for (uint32_t c = 0; good && c < t->info.columns; c++) {
            double x = 0;
            good = field_number(p.text + p.fields[own->columns[c]], &x);
            features[c] = (float)x;
        }
        if (!good && p.status == TOLA_E_NOMEM) {
            status = err_nomem(err, "reading CSV");
        } else if (!good) {
            err_set(err, TOLA_E_FORMAT, own->rows[example], "the row is another than when the file was opened");
            status = err_in_file(err, TOLA_E_FORMAT, path);
        }
    }
    csv_free(&p);
    if (row != small) mem_free(row);
    return status;
}

static tola_status finish(opening *o) {
    data_table *t = o->t;
    const data_csv_options *options = o->options;
    if (o->number_of) t->numbers = o->number_of;
    o->number_of = NULL;
    if (options->like) TRY(data_table_like(t, options->like, o->path, o->err));
    if (o->label_of) {
        TRY(finish_labels(o));
        o->label_of = NULL;
    }
    if (options->like || options->scale == DATA_SCALE_NONE) return TOLA_OK;
    size_t n = t->info.columns;
    t->offset = arena_alloc_array(&t->arena, n, sizeof *t->offset);
    t->factor = arena_alloc_array(&t->arena, n, sizeof *t->factor);
    if (!t->offset || !t->factor) return no_memory(o);
    for (size_t c = 0; c < n; c++) data_range_scale(&o->ranges[c], options->scale, &t->offset[c], &t->factor[c]);
    return TOLA_OK;
}

tola_status data_csv_open(const char *path, const data_csv_options *options, data_table **out, tola_error *err) {
    data_table *t;
    TRY(data_table_create(&t, err));
    opening o = { .t = t, .options = options, .path = path, .err = err };
    o.own = mem_calloc(1, sizeof *o.own);
    char *piece = mem_alloc(DATA_FILE_PIECE);
    tola_status status = o.own && piece ? source_open_file(path, &t->sources[0], err) : no_memory(&o);
    if (o.own) {
        t->own = o.own;
        t->close = close_csv;
        t->read = read_csv;
        o.own->separator = options->separator ? options->separator : ',';
        csv_init(&o.parser, o.own->separator, DATA_MAX_COLUMNS);
    }
    if (status == TOLA_OK) status = scan(&o, piece);
    if (status == TOLA_OK) status = finish(&o);
    csv_free(&o.parser);
    mem_free(piece);
    mem_free(o.ranges);
    mem_free(o.label_of);
    mem_free(o.number_of);
    mem_free(o.labels.texts);
    mem_free(o.labels.slots);
    if (status == TOLA_OK)
        *out = t;
    else
        data_table_close(t);
    return status;
}
