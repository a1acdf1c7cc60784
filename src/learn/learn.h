/* The room of learning: what is trained, how it is updated, and the loop around a step.
 *
 * A learn_task is a differentiated graph, its parameters, a source of batches and a few functions; the trainer knows
 * neither recipes nor models. Training, fine-tuning and distilling are three ways of making a task.
 *
 * A step is a pure function of (weights, state, seed, step number, data): sources are functions of the number of a
 * step, dropout is a hash, every sum has one order. So the same run gives the same bits at any number of threads, and
 * one that was killed and resumed ends with the bits of one that was not. docs/design/learn.md, docs/train.md. */
#ifndef LEARN_LEARN_H
#define LEARN_LEARN_H

#include "graph/train.h"
#include <tola/learn.h>
#include <tola/value.h>

/* ---- parameters.c: f32 masters, gradients, optimizer state ---- */

/* How a parameter is initialised, named after what PyTorch does; see learn_draw. */
typedef enum learn_initial {
    LEARN_GIVEN, /* the values are there already */
    LEARN_ZEROS,
    LEARN_ONES,
    LEARN_NORMAL, /* normal(0, scale) */
    LEARN_UNIFORM /* uniform(-scale, scale) */
} learn_initial;

typedef struct learn_parameter {
    const char *name;           /* as checkpoints call it; unique; borrowed */
    const graph_weight *weight; /* f32, as the graph has it: its `data` are `values`; borrowed */
    float *const *values;       /* weight->parts runs of rows * cols floats, written by every step; borrowed */
    float **gradients;          /* the same; the array is there from learn_parameters_add on (for graph_parameter),
                                   what it points to from learn_parameters_allocate on */
    float rate;                 /* multiplies the learning rate (LoRA+); 1 */
    bool decays;                /* weight decay applies to it */
    const uint64_t *shape;      /* in files, where it is another than the weight's ([filters, channels, 3, 3]); NULL */
    unsigned n_dims;
    bool kept; /* learn_task.write_model writes these very bits as f32, in this order, under `name`:
                  a checkpoint's state does not repeat them */
    /* private to the room */
    uint64_t elements; /* of all parts */
    uint64_t place;    /* its first element among all parameters' */
} learn_parameter;

typedef struct learn_parameters {
    learn_parameter *items;
    size_t count, cap;
    uint64_t elements;
    float *gradients; /* one block: what zeroing and summing go over */
    void *state;      /* of the optimizer: learn_optimizer_bytes */
    arena arena;
} learn_parameters;

tola_status learn_parameters_create(learn_parameters **out, tola_error *err);
void learn_parameters_free(learn_parameters *p); /* NULL is fine; weights and values stay their owners' */
/* The usual exclusion is made here: `decays` is false for vectors (norms, biases) unless the caller sets it afterwards.
 * *out (may be NULL) is valid until the next is added. */
tola_status learn_parameters_add(learn_parameters *p, const char *name, const graph_weight *weight,
                                 float *const *values, learn_parameter **out, tola_error *err);
/* What graph_differentiate takes; borrowed from p, all that were added so far, in that order. */
tola_status learn_parameters_list(learn_parameters *p, const graph_parameter **list, tola_error *err);
/* Element i of the tensor `name` of a model with this seed: the same whatever is drawn before it. */
void learn_draw(learn_initial how, float scale, uint64_t seed, const char *name, uint64_t first, size_t count,
                float *values);

/* ---- schedule.c ---- */

typedef enum learn_schedule_kind {
    LEARN_CONSTANT,
    LEARN_LINEAR, /* from 1 to `floor`, which the step after the last would have */
    LEARN_COSINE, /* half a cosine between the same, arXiv 1608.03983 */
    LEARN_WSD     /* stable, then `decay_steps` steps down to `floor` as 1 - sqrt(progress), arXiv 2405.18392 */
} learn_schedule_kind;

typedef struct learn_schedule {
    learn_schedule_kind kind;
    uint64_t steps;       /* of the whole run */
    uint64_t warmup;      /* steps with rate (step + 1) / warmup, before the rest */
    uint64_t decay_steps; /* of LEARN_WSD */
    double floor;         /* share of the full rate at the end; 0 */
} learn_schedule;
/* What the rate is multiplied by in step `step`, counted from 0. */
double learn_schedule_factor(const learn_schedule *s, uint64_t step);

/* ---- optimizer.c ---- */

typedef enum learn_method {
    LEARN_SGD,   /* torch.optim.SGD: decay is added to the gradient; momentum, nesterov */
    LEARN_ADAM,  /* torch.optim.Adam: decay is added to the gradient */
    LEARN_ADAMW, /* torch.optim.AdamW: arXiv 1711.05101, decay multiplies the weight by 1 - rate * decay */
    LEARN_ADAMW8 /* the same with both moments in 8 bits, blocks of 256, dynamic map: arXiv 2110.02861 */
} learn_method;

typedef struct learn_optimizer {
    learn_method method;
    double rate, decay;
    double beta1, beta2, eps; /* of Adam: 0.9, 0.999, 1e-8 */
    double momentum;          /* of SGD */
    bool nesterov;
    double clip; /* largest norm of all gradients together; 0: no clipping */
} learn_optimizer;
#define LEARN_OPTIMIZER_INIT                                                                                           \
    { LEARN_ADAMW, 1e-3, 0.01, 0.9, 0.999, 1e-8, 0, false, 0 }

/* Bytes of state for these parameters. */
uint64_t learn_optimizer_bytes(const learn_optimizer *o, const learn_parameters *p);
/* Takes gradients and state, zeroed. TOLA_E_NOMEM */
tola_status learn_parameters_allocate(learn_parameters *p, const learn_optimizer *o, tola_error *err);
/* Every gradient times `scale`; 0 makes zeros of them, whatever they were. */
void learn_scale_gradients(learn_parameters *p, double scale, pool *threads);
/* sqrt of the sum of squares of all gradients, each times `scale`. Summed in blocks of one size in their order: the
 * same bits at any number of threads. NaN or infinity where one is not finite (or is too large). */
double learn_gradient_norm(const learn_parameters *p, double scale, pool *threads);
/* One update. `step` counts from 0; every gradient is multiplied by `scale`; the rate by `factor`. */
void learn_update(const learn_optimizer *o, learn_parameters *p, uint64_t step, double scale, double factor,
                  pool *threads);

/* With several ranks (ranks.h) the norm is that of the own range of gradients, an update is one of the own range of
 * values, and this gives the others' to everyone, over the gradients' memory. */
tola_status learn_share_values(learn_parameters *p, pool *threads, tola_error *err);

/* ---- what is trained ---- */

/* A batch and what it weighs. The loss and the gradient of a step are the sums over its batches divided by the sum of
 * their weights: with row_weights of 1 and 0 and `weight` their sum, the mean over what is not masked. */
typedef struct learn_batch {
    graph_batch graph;       /* its `learn` is set by the trainer to the next field */
    graph_learn_batch learn; /* seed and evaluate are set by the trainer */
    double weight;
    uint64_t tokens; /* counted for tokens_per_s: without padding */
} learn_batch;

/* Fills in *batch, which is zero; its arrays are borrowed until the next call. Training: part `part` of step `step`, a
 * pure function of both. Validation: batch `part`, step 0. */
typedef tola_status (*learn_batch_fn)(void *user, uint64_t step, uint32_t part, learn_batch *batch, tola_error *err);

/* Numbers of a validation, in order, for log and progress: "loss", "accuracy", "anchor_kl", ... Names are static. */
typedef tola_learn_measures learn_measures;
void learn_measure_add(learn_measures *m, const char *name, double value); /* beyond the last: dropped */

/* What a run was made from, for run.json: a resume under other facts says which. "optimizer.rate" = "0.001". */
typedef struct learn_fact {
    const char *name, *value;
    bool harmless; /* does not change the weights (how often is logged): may differ in a resume */
} learn_fact;

typedef struct learn_trainer learn_trainer;

typedef struct learn_task {
    const graph *graph; /* training graph, differentiated and finished; its outputs: the losses first */
    learn_parameters *parameters;
    size_t loss_count;              /* outputs 0 .. loss_count - 1 of the graph, one column each */
    size_t logits;                  /* output that holds logits, for "accuracy" in validations; 0: none */
    size_t validation_loss;       /* output that validations sum as "loss"; 0: the losses */
    size_t max_tokens, max_outputs; /* of any batch */
    void *user;                     /* handed to all functions below */
    learn_batch_fn batch;
    learn_batch_fn validation; /* NULL: none */
    uint32_t validation_batches;
    uint64_t data_bytes;   /* what the source holds in memory, for the prediction */
    uint64_t data_later;   /* how much of it is filled once the run has begun */
    uint64_t before_bytes; /* what the process held before the model was opened; 0: not known */
    uint64_t frozen_bytes; /* weights in memory that are not trained, for the prediction */
    const learn_fact *facts;
    size_t fact_count;
    /* Writes the model as it is now into an existing folder, replacing what is there: tensors, configuration,
     * tokenizer. Called for each checkpoint and at the end. */
    tola_status (*write_model)(void *user, const char *folder, tola_error *err);
    const char *model_file; /* of that folder: where `kept` parameters are found; "model.safetensors" */
    /* The rest may be NULL. */
    /* The gradients of step `step` are there, divided by its weight, not yet clipped: may add to them (EWC), and to the
     * loss. */
    tola_status (*adjust)(void *user, uint64_t step, double *loss, tola_error *err);
    /* Before the first step of a process, when weights and state are as it begins: `step` steps are done. May run batches
     * and use the gradients, which are zeroed afterwards. */
    tola_status (*begin)(void *user, learn_trainer *t, uint64_t step, tola_error *err);
    /* Beside each validation (before the first step, every validate_every, after the last): numbers for the log; *stop
     * with a static `why` ends the run after a checkpoint. learn_trainer_evaluate may be used. */
    tola_status (*measure)(void *user, learn_trainer *t, uint64_t step, learn_measures *m, bool *stop, const char **why,
                           tola_error *err);
} learn_task;

/* ---- trainer.c ---- */

/* The public structs under the names of this room. */
typedef tola_learn_memory learn_memory;
typedef tola_learn_event_kind learn_event_kind;
typedef tola_learn_event learn_event;
typedef tola_learn_event_fn learn_event_fn;
typedef tola_learn_result learn_result;

typedef struct learn_options {
    learn_optimizer optimizer;
    learn_schedule schedule;
    uint64_t steps; /* of the whole run */
    uint32_t parts; /* batches a step (accumulation) */
    uint64_t seed;
    graph_precision precision;
    unsigned threads;        /* 0: all */
    uint64_t validate_every; /* steps; 0: only at the end */
    uint64_t save_every;     /* steps between checkpoints; 0: only at the end and when stopped */
    uint32_t keep;           /* checkpoints kept, at least 1 */
    uint64_t log_every;      /* steps between lines of log.jsonl; 1 */
    const char *out;         /* folder of the run; NULL: nothing is written (tests) */
    bool resume;             /* from the last checkpoint in `out`, where there is one */
    bool other_facts;        /* resume although facts have changed */
    bool overwrite;          /* begin anew in a folder that holds a run */
    learn_event_fn event;    /* NULL: nobody asks */
    void *event_user;
} learn_options;
#define LEARN_OPTIONS_INIT                                                                                             \
    {                                                                                                                  \
        LEARN_OPTIMIZER_INIT, { LEARN_CONSTANT, 0, 0, 0, 0 }, 0, 1, 0, GRAPH_F32, 0, 0, 0, 2, 1, NULL, false, false,   \
            false, NULL, NULL                                                                                          \
    }

/* What the process holds in memory now; 0 where the system does not say. */
uint64_t learn_resident(void);
/* The memory of a run before it. */
tola_status learn_predict(const learn_task *task, const learn_options *options, learn_memory *out, tola_error *err);
/* Runs the task to its end. TOLA_E_FORMAT where loss or gradient are not finite (step, first tensor; nothing was
 * updated, earlier checkpoints stay) or a resume finds other facts; TOLA_E_EXISTS where `out` holds a run and neither
 * resume nor overwrite was asked for; TOLA_E_IO for a disk that is full: the checkpoint before stays. */
tola_status learn_run(const learn_task *task, const learn_options *options, learn_result *result, tola_error *err);

/* Within learn_task functions: */
/* The plan and the threads, to run batches of one's own (anchors); gradients must not be touched: learn->evaluate. */
graph_plan *learn_trainer_plan(learn_trainer *t);
pool *learn_trainer_pool(learn_trainer *t);
/* One batch without a backward: the sum of its losses (not divided by its weight). plan_output has the rest. */
tola_status learn_trainer_evaluate(learn_trainer *t, learn_batch *batch, double *loss, tola_error *err);

/* ---- state.c: a run's folder ---- */

/* OUT/checkpoint-N with the greatest N that is whole (run.json is written last and the folder renamed into place);
 * freed with mem_free, NULL where there is none. */
tola_status learn_last_checkpoint(const char *out, char **folder, uint64_t *step, tola_error *err);

/* ---- writing models ---- */

/* The parameters as f32 tensors [rows, cols] ([cols] where rows is 1; [parts, rows, cols]) and small files beside them
 * into `folder`: what write_model does for networks whose parameters are the whole model. */
typedef struct learn_companion {
    const char *name;
    const void *data;
    size_t bytes;
} learn_companion;
tola_status learn_write_parameters(const learn_parameters *p, const char *folder, const learn_companion *companions,
                                   size_t count, tola_error *err);

#endif
