/* Examples that are rows of numbers with a label or a number to be predicted: CSV and IDX (MNIST's format).
 *
 * A CSV file is read once when it is opened, which finds every malformed line, and then row by row when a row is asked
 * for; in memory are 12 bytes for each row. IDX likewise, but a compressed one is unpacked into memory. */
#ifndef LEARN_DATA_TABLE_H
#define LEARN_DATA_TABLE_H

#include "base/err.h"

typedef struct data_table data_table;

#define DATA_MAX_COLUMNS (1u << 20)
#define DATA_MAX_CLASSES (1u << 16)

/* What becomes of a feature x before it is given out. */
typedef enum data_scale {
    DATA_SCALE_NONE,
    DATA_SCALE_UNIT,    /* to 0 .. 1 by the column's smallest and largest; bytes of IDX: x / 255 */
    DATA_SCALE_STANDARD /* (x - mean) / deviation of the column; IDX: of all of them. A constant column becomes 0 */
} data_scale;

typedef struct data_table_info {
    uint64_t count;                   /* examples, at least 1 */
    uint32_t columns;                 /* features of each */
    uint32_t channels, height, width; /* of images, [channels, height, width]; 0: they are none */
    uint32_t classes;                 /* labels are 0 .. classes-1; 0: there are no labels */
    bool has_number;                  /* a number is to be predicted */
} data_table_info;

typedef struct data_csv_options {
    /* The column to be predicted: its name in the first line, or its place from 0, or -1 for the last, -2, ... NULL:
     * none. */
    const char *label;
    bool label_is_number;        /* it is a number to come near to, not a class */
    uint32_t classes;            /* how many there are; a label beyond is an error. 0: as many as are found */
    const char *const *features; /* as `label`, ends with NULL. NULL: all columns but the label */
    enum { DATA_HEADER_GUESS, DATA_HEADER_YES, DATA_HEADER_NO } header; /* guess: it has no number in it */
    char separator;                                                     /* 0: comma */
    data_scale scale;
    const data_table *like; /* scaling and classes are those of that table, for validation; it may be closed after */
} data_csv_options;

/* RFC 4180, with LF as well as CRLF; empty lines are passed over. A feature is a decimal number. Labels that are all
 * whole numbers below DATA_MAX_CLASSES are classes by themselves, others are texts, numbered in the order of their
 * bytes. */
tola_status data_csv_open(const char *path, const data_csv_options *options, data_table **out, tola_error *err);

typedef struct data_idx_options {
    uint32_t classes; /* as above */
    data_scale scale;
    const data_table *like;
} data_idx_options;

/* IDX (http://yann.lecun.com/exdb/mnist/), perhaps under gzip: examples are what lies along the first dimension, images
 * where there are three or four. `labels` (one dimension of whole numbers) may be NULL. */
tola_status data_idx_open(const char *examples, const char *labels, const data_idx_options *options, data_table **out,
                          tola_error *err);

void data_table_close(data_table *t); /* NULL is fine */
const data_table_info *data_table_about(const data_table *t);
/* The text of a class in the file, "7" or "Iris-setosa"; borrowed from the table. */
const char *data_table_class(const data_table *t, uint32_t label);
/* A feature is given out as (x - offset[column]) * factor[column]; NULL for both: as it is. Borrowed. */
void data_table_scaling(const data_table *t, const double **offset, const double **factor);
/* One example: columns floats, and its label or number where it has one (may be NULL). Any thread. */
tola_status data_table_read(const data_table *t, uint64_t example, float *features, uint32_t *label, float *number,
                            tola_error *err);
/* SHA-256 of the files' bytes. */
tola_status data_table_digest(const data_table *t, uint8_t digest[32], tola_error *err);

#endif
