/* For authors of a task: the prediction, its loss and its metrics. One file in src/tasks that fills in an LsTask, and
 * one line in tasks.def. A model gives a body of features; the task puts its head on it.
 */
#ifndef LOCKSTEP_TASK_H
#define LOCKSTEP_TASK_H

#include "lockstep/model.h"
#include "lockstep/source.h"

#include <stdio.h>

struct json_t; /* jansson.h */

#define LS_MAX_METRICS 6
#define LS_MAX_METRIC_SUMS 16

/* Arguments of LsMetric.value. */
typedef struct LsScore {
    double loss;            /* mean over the targets */
    double targets;         /* their number */
    double bytes_per_token; /* LsSource.bytes_per_token */
    const double *sum;      /* the metric's own */
} LsScore;

/* Arguments of LsMetric.add: a graph of mode LS_EVAL after its forward, of which the first `rows` samples count. */
typedef struct LsScored {
    const LsGraph *g;
    const void *settings; /* the task's */
    const LsSource *source;
    const struct json_t *info; /* LsSource.info of the training data, parsed; NULL where there is none */
    int64_t rows;
} LsScored;

/* Outputs of samples, in order, that a task makes a picture of. */
typedef struct LsDrawn {
    const struct json_t *info; /* as LsScored has it */
    int64_t samples;
    int rank;
    int64_t dim[LS_MAX_RANK]; /* of output, dim[0] being `samples` */
    const float *output;
    const float *truth; /* the field that LsTask.truth names, of each sample as many numbers as its shape has; NULL */
    int64_t truths;     /* numbers of a sample in it */
} LsDrawn;

typedef struct LsMetric {
    const char *name;      /* as eval --json, metrics.jsonl ("validation_accuracy") have it */
    const char *summary;   /* with its unit */
    bool higher_is_better; /* decides which checkpoint is the best, for the task's `best` */
    int sums;              /* numbers that are added up over samples and ranks, at most LS_MAX_METRIC_SUMS */
    LsStatus (*add)(
        const LsScored *scored,
        double *sum); /* NULL where the metric follows from the loss, or the procedure's evaluation adds up its sums */
    double (*value)(const LsScore *score); /* NAN: unknown */
} LsMetric;

/* A graph's inputs as the source has filled them. */
typedef struct LsFilled {
    LsGraph *g;
    const void *settings; /* the task's */
    const LsSource *source;
    LsBatch batch;
    uint64_t seed; /* of the run; 0 in evaluations */
} LsFilled;

struct LsTask {
    const char *name, *summary;
    const char *item;          /* the unit of the loss's mean and of speed: "token", "image" */
    const LsSetting *settings; /* of the section `task:`, ended by {0}; NULL: none */
    size_t settings_bytes;
    /* the targets of made-up samples, in the grammar of field.h: "label of 10"; "": none; NULL: "targets T of V" */
    const char *fields;
    /* LS_BODY_STEPS, LS_BODY_VECTOR: the features it can put a head on; LS_BODY_IDS: with a table of ids only */
    unsigned takes;
    bool translates;  /* says a text for a text: eval and generate decode step by step */
    bool streams_ids; /* samples are windows of a stream of ids: predict and generate take a text of any length */
    /* Declares inputs for the targets and the outputs that shape->want asks for. LS_WANT_LOSS: "loss" (1), a sum over
     * targets, and in mode LS_EVAL the outputs that the metrics read; else "output". */
    void (*head)(LsGraph *g, const void *settings, const LsShape *shape, const LsBody *body);
    /* Changes the inputs of a graph with a loss before its forward, as a function of (seed, sample): hides tokens,
     * makes targets. NULL: they stay as they are. */
    LsStatus (*prepare)(const LsFilled *filled);
    /* Targets among the first `rows` samples, from the graph's inputs: the loss is the sum divided by their number.
     * NULL: the task has no loss, and its head fails where one is wanted. */
    int64_t (*targets)(const LsGraph *g, int64_t rows);
    /* For predict --text: a line of column names, and the lines of row b of a graph with "output", each "sample" first;
     * `sample` is its number. NULL: numbers only. */
    void (*text_head)(const LsScored *scored, FILE *out);
    LsStatus (*text_row)(const LsScored *scored, int64_t b, int64_t sample, FILE *out);
    /* For predict -o FILE.ENDING: one file of the outputs of all samples. out NULL: LS_USAGE where samples of this
     * shape cannot be drawn, and nothing else. */
    const char *drawing; /* the ending, "png"; NULL: draws nothing */
    const char *truth;   /* the field that is drawn beside the output; NULL: none */
    LsStatus (*draw)(const LsDrawn *drawn, FILE *out);
    bool makes;              /* its samples are made from noise: predict takes no data */
    const LsMetric *metrics; /* ended by {0}; NULL: the loss alone */
    const char *best; /* the metric that decides which checkpoint is the best; NULL, or where it is NAN: the loss */
    /* the training procedure that the task's head is made for, the default of train.procedure and the only one that
     * trains it; NULL: any */
    const char *procedure;
};

/* Makes a task known that is in no list. Call it before any configuration is read; `task` must live on. LS_USAGE where
 * the name is taken, or after LS_MAX_ADDED_TASKS. */
#define LS_MAX_ADDED_TASKS 16
LsStatus ls_task_add(const LsTask *task) LS_MUST_USE;

const LsTask *ls_task_find(const char *name);
const LsTask *const *ls_tasks(void); /* all, ended by NULL */

/* The model's body with the task's head on it: every graph of a model is built by this. An error where the task does
 * not take the model's features names the tasks that do. */
void ls_task_build(LsGraph *g, const LsModel *model, const void *model_config, const LsTask *task,
                   const void *task_config, const LsShape *shape);

/* The task's drawing (LsTask.draw) in memory, which the caller frees with free(). LS_USAGE where the task draws
 * nothing, or cannot draw samples of this shape. */
LsStatus ls_task_draw(const LsTask *task, const LsDrawn *drawn, char **bytes, int64_t *count) LS_MUST_USE;

/* The metric by its name, NULL where the task has none of that name; and how many there are. */
const LsMetric *ls_task_metric(const LsTask *task, const char *name);
int ls_task_metrics(const LsTask *task);

#endif
