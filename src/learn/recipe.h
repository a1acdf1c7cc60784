/* The file of `tola train`: what is trained on what, and how. docs/train.md lists its keys. */
#ifndef LEARN_RECIPE_H
#define LEARN_RECIPE_H

#include "base/yaml.h"
#include "learn/learn.h"

typedef enum recipe_format { RECIPE_BY_NAME, RECIPE_TEXT, RECIPE_JSONL, RECIPE_CSV, RECIPE_IDX } recipe_format;

/* A list of files, or one. */
typedef struct recipe_files {
    const yaml_node *node; /* NULL: none */
    const char **paths;    /* absolute, or relative to where the recipe lies */
    size_t count;
} recipe_files;

typedef struct recipe {
    yaml *file;
    char *folder; /* of the recipe, "" for the current one */
    arena arena;
    uint64_t seed;
    struct {
        const yaml_node *node;
        recipe_format format; /* never RECIPE_BY_NAME */
        recipe_files train, labels, validation, validation_labels;
        const yaml_node *split; /* where `validation` is a number: a share below 1, or a count; NULL */
        const char *target;     /* column of a table; NULL: the last */
        const char *field;      /* of JSONL: "text" */
        const char *separator;  /* between documents of plain text; NULL: each file is one */
        uint32_t header;        /* of a table: 0 look, 1 yes, 2 no */
        uint32_t classes;       /* how many labels there are; 0: as many as are found */
        uint32_t scale;         /* of features: data_scale */
        uint32_t rows;          /* of text: data_rows_kind */
        bool regression;        /* the target is a number to come near to */
    } data;
    struct {
        const yaml_node *node;
        const yaml_node *file_node;
        const char *file; /* a tokenizer.json or a folder with one; NULL: trained */
        uint32_t vocabulary;
    } tokenizer;
    struct {
        const yaml_node *node, *layers;
        const yaml_node *config_node, *weights_node;
        const char *architecture;
        const char *config, *weights; /* paths */
        float smoothing;
        uint32_t width, depth, heads, kv_heads, head_width, feed_forward, context, experts, experts_used;
        bool tied;
        double rope_theta, deviation; /* of initial weights */
    } model;
    struct {
        uint64_t steps;
        double epochs;
        uint32_t batch, accumulate;
        uint32_t precision; /* graph_precision */
        bool recompute;
    } training;
    struct {
        const char *teacher; /* path of a model; NULL: no distillation */
        const yaml_node *node;
        float temperature, share; /* the loss is share * KL + (1 - share) * cross-entropy */
        uint32_t top;
    } distill;
    learn_optimizer optimizer;
    const yaml_node *betas;
    uint32_t method; /* learn_method */
    bool decay_embeddings;
    uint32_t schedule_kind;
    learn_schedule schedule; /* its `steps` is the run's */
    uint64_t validate_every, save_every, log_every;
    uint32_t validation_batches, keep;
    learn_fact *facts; /* every line of the recipe */
    size_t fact_count;
} recipe;

/* What is said of a teacher beside a recipe, and holds in its place. */
typedef struct recipe_lesson {
    const char *teacher, *data; /* data NULL: the recipe's */
    double temperature, share;  /* below 0: the recipe's */
    uint32_t top;               /* 0: the recipe's */
} recipe_lesson;
tola_status recipe_teach(recipe *r, const recipe_lesson *lesson, tola_error *err);

/* Errors name file, line and key, and the nearest key that is known. */
tola_status recipe_open(const char *path, recipe **out, tola_error *err);
/* Takes the file over whether it succeeds or not. */
tola_status recipe_read(yaml *file, recipe **out, tola_error *err);
void recipe_free(recipe *r); /* NULL is fine */

#endif
