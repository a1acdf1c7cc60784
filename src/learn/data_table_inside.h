/* What the readers of tables fill in. */
#ifndef LEARN_DATA_TABLE_INSIDE_H
#define LEARN_DATA_TABLE_INSIDE_H

#include "base/mem.h"
#include "base/source.h"
#include "learn/data_table.h"

struct data_table {
    data_table_info info;
    source *sources[2];      /* [1] may be NULL */
    uint32_t *labels;        /* [count]; NULL: none */
    float *numbers;          /* likewise */
    const char **names;      /* of classes, ascending where they are no numbers */
    bool numbered;           /* class i is called "i" */
    double *offset, *factor; /* [columns]; NULL: features are as they are */
    arena arena;             /* names, offset, factor; of CSV not labels and numbers, which grew */
    /* One example's features before scaling. */
    tola_status (*read)(const data_table *t, uint64_t example, float *features, tola_error *err);
    void (*close)(data_table *t); /* what is behind `own` */
    void *own;
};

/* Sums over one column, or over all of them. */
typedef struct data_range {
    double low, high, mean, squares; /* squares: of the distances to the mean (Welford) */
    uint64_t count;
} data_range;
void data_range_add(data_range *r, double x);
/* Sets offset and factor of a column. */
void data_range_scale(const data_range *r, data_scale scale, double *offset, double *factor);

tola_status data_table_create(data_table **out, tola_error *err);
/* Takes scaling and names from another table; TOLA_E_ARG where it has other columns. */
tola_status data_table_like(data_table *t, const data_table *like, const char *path, tola_error *err);
/* Names "0" .. for labels that are numbers. */
tola_status data_table_number_names(data_table *t, tola_error *err);

#endif
