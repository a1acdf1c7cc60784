/* Data to learn from: orders and splits, CSV, IDX, lines of JSON, texts. */
#include "unit.h"

#include <math.h>
#include <zlib.h>

#include "learn/data_table.h"
#include "learn/data_text.h"
#include "learn/jsonl.h"
#include "learn/shuffle.h"

static const char *file(const char *name, const char *text) {
    const char *path = unit_path(name);
    unit_write(path, text, strlen(text));
    return path;
}

/* ---- orders ---- */

static void test_shuffle(void **state) {
    (void)state;
    static const uint64_t counts[] = { 1, 2, 3, 4, 5, 7, 10, 64, 100, 1000, 4097 };
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            uint8_t *seen = calloc(counts[c], 1);
            assert_non_null(seen);
            for (uint64_t i = 0; i < counts[c]; i++) {
                uint64_t at = shuffle_at(counts[c], 7, epoch, i);
                assert_true(at < counts[c] && !seen[at]);
                seen[at] = 1;
            }
            free(seen);
        }
    }
    uint64_t huge = (UINT64_C(1) << 62) + 12345;
    assert_true(shuffle_at(huge, 1, 1, 99) < huge);
    /* the first of ten over many seeds and epochs: each about as often, chi-squared with 9 degrees below 1 in 10^6 */
    uint32_t hits[10] = { 0 };
    for (uint64_t seed = 0; seed < 100; seed++)
        for (uint64_t epoch = 0; epoch < 100; epoch++) hits[shuffle_at(10, seed, epoch, 0)]++;
    double chi = 0;
    for (int i = 0; i < 10; i++) chi += (hits[i] - 1000.0) * (hits[i] - 1000.0) / 1000;
    assert_true(chi < 44.8);
    /* draws are epochs one after the other */
    assert_true(shuffle_draw(10, 3, 27) == shuffle_at(10, 3, 2, 7));
}

static void test_split(void **state) {
    (void)state;
    data_split s;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_split_make(100, 0, 0.1, true, 5, &s, &err), TOLA_OK);
    assert_true(s.train == 90 && s.validation == 10);
    uint8_t seen[100] = { 0 };
    for (uint64_t i = 0; i < 90; i++) seen[data_split_train(&s, i)]++;
    for (uint64_t i = 0; i < 10; i++) seen[data_split_validation(&s, i)]++;
    for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
    assert_int_equal(data_split_make(100, 20, 0, false, 5, &s, &err), TOLA_OK);
    assert_true(data_split_train(&s, 3) == 3 && data_split_validation(&s, 3) == 83);
    assert_int_equal(data_split_make(3, 0, 0.01, false, 5, &s, &err), TOLA_OK);
    assert_true(s.validation == 1);
    assert_int_equal(data_split_make(3, 3, 0, false, 5, &s, &err), TOLA_E_ARG);
    assert_int_equal(data_split_make(1, 0, 0.5, false, 5, &s, &err), TOLA_E_ARG);
    assert_int_equal(data_split_make(3, 0, 1.5, false, 5, &s, &err), TOLA_E_ARG);
    assert_int_equal(data_split_make(3, 0, NAN, false, 5, &s, &err), TOLA_E_ARG);
}

/* ---- CSV ---- */

static data_table *csv(const char *text, const data_csv_options *options) {
    data_table *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    if (data_csv_open(file("a.csv", text), options, &t, &err) != TOLA_OK) fail_msg("%s", err.message);
    return t;
}

static void assert_csv_refused(const char *text, const data_csv_options *options, const char *message) {
    data_table *t = NULL;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = data_csv_open(file("a.csv", text), options, &t, &err);
    if (status == TOLA_OK || !strstr(err.message, message)) fail_msg("%s: %d %s", text, status, err.message);
    assert_non_null(strstr(err.message, "a.csv: "));
}

static void test_csv(void **state) {
    (void)state;
    data_csv_options o = { .label = "kind" };
    data_table *t =
        csv("\xef\xbb\xbfwidth,\"a \"\"b\"\"\",kind\r\n1,-2.5e1,rose\r\n\r\n 3 ,4,\"li,\nly\"\n5,6,rose", &o);
    const data_table_info *info = data_table_about(t);
    assert_true(info->count == 3 && info->columns == 2 && info->classes == 2 && !info->has_number);
    assert_string_equal(data_table_class(t, 0), "li,\nly");
    assert_string_equal(data_table_class(t, 1), "rose");
    assert_null(data_table_class(t, 2));
    float x[2];
    uint32_t label;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_table_read(t, 0, x, &label, NULL, &err), TOLA_OK);
    assert_true(x[0] == 1 && x[1] == -25 && label == 1);
    assert_int_equal(data_table_read(t, 1, x, &label, NULL, &err), TOLA_OK);
    assert_true(x[0] == 3 && x[1] == 4 && label == 0);
    assert_int_equal(data_table_read(t, 2, x, &label, NULL, &err), TOLA_OK);
    assert_true(x[0] == 5 && x[1] == 6 && label == 1);
    assert_int_equal(data_table_read(t, 3, x, &label, NULL, &err), TOLA_E_ARG);
    data_table_close(t);
    data_table_close(NULL);
}

static void test_csv_numbers(void **state) {
    (void)state;
    /* labels that are numbers; the last column; a table like another */
    data_csv_options o = { .label = "-1", .scale = DATA_SCALE_STANDARD };
    data_table *t = csv("1,5,0\n3,5,7\n", &o);
    assert_int_equal(data_table_about(t)->classes, 8);
    assert_string_equal(data_table_class(t, 7), "7");
    float x[2], number;
    uint32_t label;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_table_read(t, 1, x, &label, NULL, &err), TOLA_OK);
    assert_true(x[0] == 1 && x[1] == 0 && label == 7);
    data_csv_options like = { .label = "2", .like = t };
    data_table *v = csv("4,6,3\n", &like);
    assert_int_equal(data_table_about(v)->classes, 8);
    assert_int_equal(data_table_read(v, 0, x, &label, NULL, &err), TOLA_OK);
    assert_true(x[0] == 2 && x[1] == 0 && label == 3);
    data_table_close(v);
    assert_csv_refused("4,6,3\n1,1,9\n", &like, "line 2: the label '9' is none of the 8 classes");
    assert_csv_refused("4,3\n", &(data_csv_options){ .label = "-1", .like = t },
                       "1 features, where the data to train on");
    data_table_close(t);
    /* a number to be predicted, chosen features, another separator, smallest and largest */
    static const char *const features[] = { "c", "a", NULL };
    data_csv_options n = {
        .label = "b", .label_is_number = true, .features = features, .separator = ';', .scale = DATA_SCALE_UNIT
    };
    t = csv("a;b;c\n0;0.5;10\n10;-1;20\n", &n);
    assert_true(data_table_about(t)->has_number && data_table_about(t)->classes == 0);
    assert_int_equal(data_table_read(t, 1, x, &label, &number, &err), TOLA_OK);
    assert_true(x[0] == 1 && x[1] == 1 && number == -1);
    const double *offset, *factor;
    data_table_scaling(t, &offset, &factor);
    assert_true(offset[0] == 10 && factor[0] == 0.1);
    data_table_close(t);
    /* no label; a first line of numbers that is a header all the same */
    t = csv("1,2\n3,4\n", &(data_csv_options){ .header = DATA_HEADER_YES });
    assert_true(data_table_about(t)->count == 1 && data_table_about(t)->columns == 2);
    data_table_close(t);
    t = csv("7\n", &(data_csv_options){ .classes = 0 });
    assert_true(data_table_about(t)->count == 1 && data_table_about(t)->columns == 1);
    data_table_close(t);
    /* more classes than there are; texts of another table */
    t = csv("1,2\n", &(data_csv_options){ .label = "1", .classes = 10 });
    assert_int_equal(data_table_about(t)->classes, 10);
    assert_string_equal(data_table_class(t, 9), "9");
    data_table_close(t);
    t = csv("1,b\n1,a\n1,c\n", &(data_csv_options){ .label = "1", .header = DATA_HEADER_NO });
    v = csv("1,c\n", &(data_csv_options){ .label = "1", .header = DATA_HEADER_NO, .like = t });
    assert_int_equal(data_table_read(v, 0, x, &label, NULL, &err), TOLA_OK);
    assert_int_equal(label, 2);
    data_table_close(v);
    assert_csv_refused("1,c\n1,d\n", &(data_csv_options){ .label = "1", .header = DATA_HEADER_NO, .like = t },
                       "line 2: the label 'd' is none of the 3 classes");
    data_table_close(t);
}

static void test_csv_refused(void **state) {
    (void)state;
    data_csv_options o = { .label = "-1" };
    assert_csv_refused("", &o, "there is no row of data in it");
    assert_csv_refused("a,b\n", &o, "there is no row of data in it");
    assert_csv_refused("\n\n", &o, "there is no row of data in it");
    assert_csv_refused("a,b\n1,2\n1,2,3\n", &o, "line 3: 3 fields, where the first line has 2");
    assert_csv_refused("a,b\n1,2\nx y,3\n", &o, "line 3: column 1 (a): 'x y' is no number");
    assert_csv_refused("a,b\n,2\n", &o, "line 2: column 1 (a): '' is no number");
    assert_csv_refused("1,2\nnan,3\n", &o, "line 2: column 1: 'nan' is no number");
    assert_csv_refused("1,2\n1e39,3\n", &o, "line 2: column 1: '1e39' is no number");
    assert_csv_refused("1,2\n\"1,3\n", &o, "line 2: the file ends within quotes");
    assert_csv_refused("1,2\n\"1\"x,3\n", &o, "line 2: text behind a closing quote");
    assert_csv_refused("1,2\n1\"1,3\n", &o, "line 2: a quote inside a field");
    assert_csv_refused("1,2\n1,3\r4\n", &o, "line 2: a carriage return without a line feed");
    assert_csv_refused("a,b\n1,2\n", &(data_csv_options){ .label = "c" }, "there is no column 'c'");
    assert_csv_refused("width,height\n1,2\n", &(data_csv_options){ .label = "heigth" }, "did you mean 'height'?");
    assert_csv_refused("1,2\n", &(data_csv_options){ .label = "2" }, "there is no column '2' among 2");
    assert_csv_refused("1,2\n", &(data_csv_options){ .label = "-3" }, "there is no column '-3' among 2");
    assert_csv_refused("1\n2\n", &o, "there is no column of features");
    assert_csv_refused("1,2\n1,12\n", &(data_csv_options){ .label = "1", .classes = 10 },
                       "line 2: the label '12' is none of the 10 classes");
    assert_csv_refused("1,a\n", &(data_csv_options){ .label = "1", .classes = 3, .header = DATA_HEADER_NO },
                       "3 classes are wanted, and 1 are there");
    assert_csv_refused("1,a\n", &(data_csv_options){ .label = "1", .label_is_number = true, .header = DATA_HEADER_NO },
                       "line 1: column 2: 'a' is no number");
    data_table *t;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_csv_open(unit_path("none.csv"), &o, &t, &err), TOLA_E_NOT_FOUND);
}

/* Rows that go across the pieces in which the file is read. */
static void test_csv_long(void **state) {
    (void)state;
    FILE *f = fopen(unit_path("long.csv"), "wb");
    assert_non_null(f);
    const int rows = 100000;
    for (int i = 0; i < rows; i++) fprintf(f, "%d,\"%d\",class %d\r\n", i, 2 * i, i % 3);
    fclose(f);
    data_table *t;
    tola_error err = TOLA_ERROR_INIT;
    data_csv_options o = { .label = "2" };
    assert_int_equal(data_csv_open(unit_path("long.csv"), &o, &t, &err), TOLA_OK);
    assert_true(data_table_about(t)->count == (uint64_t)rows);
    for (int i = 0; i < rows; i += 997) {
        float x[2];
        uint32_t label;
        assert_int_equal(data_table_read(t, (uint64_t)i, x, &label, NULL, &err), TOLA_OK);
        assert_true(x[0] == (float)i && x[1] == (float)(2 * i) && label == (uint32_t)i % 3);
    }
    uint8_t digest[32], again[32];
    assert_int_equal(data_table_digest(t, digest, &err), TOLA_OK);
    data_table_close(t);
    o.header = DATA_HEADER_NO;
    assert_int_equal(data_csv_open(unit_path("long.csv"), &o, &t, &err), TOLA_OK);
    assert_int_equal(data_table_digest(t, again, &err), TOLA_OK);
    assert_memory_equal(digest, again, 32);
    data_table_close(t);
}

/* ---- IDX ---- */

static const char *bytes(const char *name, const void *data, size_t n) {
    const char *path = unit_path(name);
    unit_write(path, data, n);
    return path;
}

static const char *packed(const char *name, const void *data, size_t n) {
    gzFile f = gzopen(unit_path(name), "wb");
    assert_true(f && gzwrite(f, data, (unsigned)n) == (int)n && gzclose(f) == Z_OK);
    return unit_path(name);
}

#define IMAGES "\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\3\0\1\2\3\4\377\6\7\10\11\12\13"
#define LABELS "\0\0\x08\x01\0\0\0\2\3\1"

static void test_idx(void **state) {
    (void)state;
    data_idx_options o = { .scale = DATA_SCALE_UNIT };
    tola_error err = TOLA_ERROR_INIT;
    for (int gz = 0; gz < 2; gz++) {
        const char *images = gz ? packed("i.gz", IMAGES, sizeof IMAGES - 1) : bytes("i", IMAGES, sizeof IMAGES - 1);
        const char *labels = gz ? packed("l.gz", LABELS, sizeof LABELS - 1) : bytes("l", LABELS, sizeof LABELS - 1);
        data_table *t;
        assert_int_equal(data_idx_open(images, labels, &o, &t, &err), TOLA_OK);
        const data_table_info *info = data_table_about(t);
        assert_true(info->count == 2 && info->columns == 6 && info->classes == 4);
        assert_true(info->channels == 1 && info->height == 2 && info->width == 3);
        float x[6];
        uint32_t label;
        assert_int_equal(data_table_read(t, 0, x, &label, NULL, &err), TOLA_OK);
        assert_true(x[5] == 1 && x[1] == (float)(1 / 255.0) && label == 3);
        assert_int_equal(data_table_read(t, 1, x, &label, NULL, &err), TOLA_OK);
        assert_true(x[0] == (float)(6 * (1 / 255.0)) && label == 1);
        data_table_close(t);
    }
    static const char floats[] = "\0\0\x0d\x02\0\0\0\2\0\0\0\1\x3f\x80\0\0\xc0\x40\0\0";
    data_table *t;
    assert_int_equal(data_idx_open(bytes("f", floats, sizeof floats - 1), NULL,
                                   &(data_idx_options){ .scale = DATA_SCALE_STANDARD }, &t, &err),
                     TOLA_OK);
    float x;
    assert_true(data_table_about(t)->channels == 0 && data_table_about(t)->classes == 0);
    assert_int_equal(data_table_read(t, 1, &x, NULL, NULL, &err), TOLA_OK);
    assert_true(x == -1);
    data_table_close(t);
}

static void assert_idx_refused(const char *images, size_t n, const char *labels, size_t m, uint32_t classes,
                               const char *message) {
    data_table *t;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = data_idx_open(bytes("i", images, n), labels ? bytes("l", labels, m) : NULL,
                                       &(data_idx_options){ .classes = classes }, &t, &err);
    if (status == TOLA_OK || !strstr(err.message, message)) fail_msg("%s: %d %s", message, status, err.message);
}

static void test_idx_refused(void **state) {
    (void)state;
    size_t n = sizeof IMAGES - 1, m = sizeof LABELS - 1;
    assert_idx_refused(IMAGES, n - 1, NULL, 0, 0, "12 elements of 1 bytes are announced, 11 bytes follow");
    assert_idx_refused(IMAGES "x", n + 1, NULL, 0, 0, "12 elements of 1 bytes are announced, 13 bytes follow");
    assert_idx_refused(IMAGES, 10, NULL, 0, 0, "truncated");
    assert_idx_refused("", 0, NULL, 0, 0, "truncated");
    assert_idx_refused("\0\0\x07\x01\0\0\0\1\0", 9, NULL, 0, 0, "does not begin as IDX");
    assert_idx_refused("\0\0\x08\0\0\0\0\1\0", 9, NULL, 0, 0, "0 dimensions");
    assert_idx_refused("\0\0\x08\1\0\0\0\0", 8, NULL, 0, 0, "there is nothing in it");
    assert_idx_refused("\0\0\x08\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20, NULL, 0, 0,
                       "beyond all files");
    assert_idx_refused(IMAGES, n, "\0\0\x08\1\0\0\0\3\1\2\3", 11, 0, "one for each of the 2 examples; here are 3");
    assert_idx_refused(IMAGES, n, LABELS, m, 3, "l: offset 8: the label 3 of example 0 is not in 0 .. 2");
    assert_idx_refused(IMAGES, n, "\0\0\x09\1\0\0\0\2\1\377", 10, 0, "the label -1 of example 1");
    assert_idx_refused("\0\0\x0d\1\0\0\0\1\x7f\xc0\0\0", 12, NULL, 0, 0, "no finite number");
    assert_idx_refused("\x1f\x8b\x08\0\0\0\0\0", 8, NULL, 0, 0, "gzip: the file ends too early");
    assert_idx_refused("\x1f\x8bxxxxxxxxxxxxxxxxx", 19, NULL, 0, 0, "gzip: ");
}

/* ---- lines of JSON ---- */

static void test_jsonl(void **state) {
    (void)state;
    jsonl *j;
    tola_error err = TOLA_ERROR_INIT;
    const char *path =
        file("a.jsonl", "\xef\xbb\xbf{\"text\": \"one\"}\r\n\n  \t\n {\"txt\": 2}\n[1]\n{\n{\"text\": \"x\\ny\"}");
    assert_int_equal(jsonl_open(path, &j, &err), TOLA_OK);
    assert_true(jsonl_count(j) == 5);
    arena a;
    arena_init(&a, 0);
    tola_value v;
    tola_string s;
    assert_int_equal(jsonl_read(j, 0, &a, &v, &err), TOLA_OK);
    assert_int_equal(jsonl_text(j, 0, &v, "text", &s, &err), TOLA_OK);
    assert_string_equal(s.data, "one");
    assert_int_equal(jsonl_read(j, 4, &a, &v, &err), TOLA_OK);
    assert_int_equal(jsonl_text(j, 4, &v, "text", &s, &err), TOLA_OK);
    assert_string_equal(s.data, "x\ny");
    assert_int_equal(jsonl_read(j, 1, &a, &v, &err), TOLA_OK);
    assert_int_equal(jsonl_text(j, 1, &v, "text", &s, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "a.jsonl: line 4: there is no field 'text'; did you mean 'txt'?"));
    assert_int_equal(jsonl_text(j, 1, &v, "txt", &s, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "line 4: the field 'txt' is no text"));
    assert_int_equal(jsonl_read(j, 2, &a, &v, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "line 5: it is no JSON object"));
    assert_int_equal(jsonl_read(j, 3, &a, &v, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "a.jsonl: line 6: byte 1: "));
    assert_int_equal(jsonl_read(j, 5, &a, &v, &err), TOLA_E_ARG);
    assert_true(jsonl_line(j, 4) == 7);
    arena_free(&a);
    jsonl_close(j);
    jsonl_close(NULL);
    assert_int_equal(jsonl_open(file("b.jsonl", " \n\n"), &j, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "b.jsonl: there is no line of JSON in it"));
}

/* ---- texts ---- */

static void assert_document(const data_text *t, uint64_t i, uint64_t at, uint64_t most, const char *want,
                            bool want_end) {
    buf b;
    bool end = false;
    tola_error err = TOLA_ERROR_INIT;
    buf_init(&b, 0);
    assert_int_equal(data_text_read(t, i, at, most, &b, &end, &err), TOLA_OK);
    assert_int_equal(b.length, strlen(want));
    assert_memory_equal(b.data ? (char *)b.data : "", want, b.length);
    assert_int_equal(end, want_end);
    buf_free(&b);
}

static void test_text(void **state) {
    (void)state;
    const char *paths[3] = { file("a.txt", "--one--two----three"), file("b.jsonl", "{\"text\": \"four\"}\n"),
                             file("c.txt", "five") };
    data_text *t;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_text_open(paths, 3, &(data_text_options){ .separator = "--" }, &t, &err), TOLA_OK);
    assert_true(data_text_count(t) == 5);
    assert_document(t, 0, 0, 100, "one", true);
    assert_document(t, 1, 0, 2, "tw", false);
    assert_document(t, 1, 2, 2, "o", true);
    assert_document(t, 2, 0, 100, "three", true);
    assert_document(t, 3, 0, 1, "four", true);
    assert_document(t, 4, 0, 100, "five", true);
    char where[600];
    assert_non_null(strstr(data_text_where(t, 1, where, sizeof where), "a.txt: the document at byte 7"));
    assert_non_null(strstr(data_text_where(t, 3, where, sizeof where), "b.jsonl: line 1"));
    uint8_t one[32], two[32];
    assert_int_equal(data_text_digest(t, one, &err), TOLA_OK);
    data_text_close(t);
    data_text_close(NULL);
    assert_int_equal(data_text_open(paths, 3, NULL, &t, &err), TOLA_OK);
    assert_true(data_text_count(t) == 3);
    assert_int_equal(data_text_digest(t, two, &err), TOLA_OK);
    assert_true(memcmp(one, two, 32) != 0);
    data_text_close(t);
    const char *empty = file("e.txt", "");
    assert_int_equal(data_text_open(&empty, 1, NULL, &t, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "e.txt: it is empty"));
    empty = file("e.txt", "------");
    assert_int_equal(data_text_open(&empty, 1, &(data_text_options){ .separator = "--" }, &t, &err), TOLA_E_FORMAT);
    assert_non_null(strstr(err.message, "nothing between separators"));
    assert_int_equal(data_text_open(&empty, 0, NULL, &t, &err), TOLA_E_ARG);
}

/* Separators that lie across the pieces in which the file is read. */
static void test_text_long(void **state) {
    (void)state;
    size_t n = (3 << 20) + 5;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    static const size_t places[] = { 0, (1 << 20) - 2, (1 << 20) + 2, (2 << 20) - 1, (3 << 20) - 3, (3 << 20) + 1 };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) memcpy(text + places[i], "<;;>", 4);
    const char *path = bytes("long.txt", text, n);
    data_text *t;
    tola_error err = TOLA_ERROR_INIT;
    assert_int_equal(data_text_open(&path, 1, &(data_text_options){ .separator = "<;;>" }, &t, &err), TOLA_OK);
    assert_true(data_text_count(t) == 3);
    buf b;
    bool end;
    buf_init(&b, 0);
    for (uint64_t i = 0; i < 3; i++) assert_int_equal(data_text_read(t, i, 0, UINT64_MAX, &b, &end, &err), TOLA_OK);
    assert_int_equal(b.length, n - 24);
    for (size_t i = 0; i < b.length; i++) assert_int_equal(b.data[i], 'x');
    buf_free(&b);
    data_text_close(t);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_split),
        cmocka_unit_test_setup_teardown(test_csv, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_csv_numbers, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_csv_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_csv_long, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_idx, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_idx_refused, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_jsonl, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_text, unit_set_up, unit_tear_down),
        cmocka_unit_test_setup_teardown(test_text_long, unit_set_up, unit_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
