#define _GNU_SOURCE 1 /* memfd_create, memmem */
/* Data to learn from: the first byte chooses CSV, IDX or lines of JSON; what opens is read as a whole. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "learn/data_table.h"
#include "learn/data_text.h"
#include "learn/jsonl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void read_table(data_table *t) {
    const data_table_info *info = data_table_about(t);
    check(info->count > 0 && info->columns > 0);
    float *row = malloc(info->columns * sizeof *row);
    check(row != NULL);
    for (uint64_t i = 0; i < info->count && i < 50; i++) {
        uint32_t label = 0;
        float number;
        check(data_table_read(t, i, row, &label, &number, NULL) == TOLA_OK);
        check(!info->classes || label < info->classes);
        for (uint32_t c = 0; c < info->columns; c++) check(!isnan(row[c]));
    }
    free(row);
    for (uint32_t c = 0; c < info->classes; c++) check(data_table_class(t, c) != NULL);
    data_table_close(t);
}

static void read_lines(const char *path) {
    jsonl *j;
    if (jsonl_open(path, &j, NULL) != TOLA_OK) return;
    for (uint64_t i = 0; i < jsonl_count(j) && i < 50; i++) {
        arena a;
        tola_value v;
        tola_string s;
        tola_error err = TOLA_ERROR_INIT;
        arena_init(&a, 64 << 20);
        tola_status status = jsonl_read(j, i, &a, &v, &err);
        if (status == TOLA_OK) status = jsonl_text(j, i, &v, "text", &s, &err);
        check(status == TOLA_OK || strstr(err.message, "line "));
        arena_free(&a);
    }
    jsonl_close(j);
}

static void read_text(const char *path, const char *separator) {
    data_text *t;
    const data_text_options o = { .separator = separator };
    if (data_text_open(&path, 1, &o, &t, NULL) != TOLA_OK) return;
    for (uint64_t i = 0; i < data_text_count(t) && i < 50; i++) {
        buf b;
        bool end;
        buf_init(&b, 0);
        check(data_text_read(t, i, 0, UINT64_MAX, &b, &end, NULL) == TOLA_OK && end && b.length > 0);
        check(!memmem(b.data, b.length, separator, strlen(separator)));
        buf_free(&b);
    }
    data_text_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes < 2 || bytes > 1 << 16) return 0;
    int fd = memfd_create("data", 0);
    char path[64];
    check(fd >= 0 && write(fd, data + 2, bytes - 2) == (ssize_t)(bytes - 2));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    uint8_t choice = data[1];
    data_table *t;
    tola_error err = TOLA_ERROR_INIT;
    data_csv_options csv = { .label = choice & 1   ? "-1"
                                      : choice & 2 ? "0"
                                                   : NULL,
                             .label_is_number = choice & 4,
                             .classes = choice & 8 ? 3 : 0,
                             .header = choice >> 4 & 1,
                             .separator = choice & 32 ? ';' : 0,
                             .scale = (data_scale)((choice >> 6) % 3) };
    data_idx_options idx = { .classes = choice & 8 ? 3 : 0, .scale = (data_scale)((choice >> 6) % 3) };
    if (data[0] % 4 == 0) {
        if (data_csv_open(path, &csv, &t, &err) == TOLA_OK)
            read_table(t);
        else
            check(err.message[0]);
    } else if (data[0] % 4 == 1) {
        if (data_idx_open(path, choice & 1 ? path : NULL, &idx, &t, &err) == TOLA_OK)
            read_table(t);
        else
            check(err.message[0]);
    } else if (data[0] % 4 == 2) {
        read_lines(path);
    } else {
        read_text(path, choice & 1 ? "\n\n" : "aba");
    }
    close(fd);
    return 0;
}
