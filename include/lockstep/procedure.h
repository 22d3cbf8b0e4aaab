/* For authors of a training procedure, which defines one training step. One file in src/train/procedures that fills in
 * an LsProcedure, and one line in procedures.def. A job file names it as train.procedure; its settings stand in the
 * section `train:`.
 *
 * A step goes through the procedure's phases. Each has a training graph of its own and learns some of the
 * parameters: sums over micro-batches and ranks, clipping, the optimiser with a count of steps of its own.
 * Supervised training is one phase that learns all of them.
 */
#ifndef LOCKSTEP_PROCEDURE_H
#define LOCKSTEP_PROCEDURE_H

#include "lockstep/saved.h"
#include "lockstep/task.h"

typedef struct LsTrainer LsTrainer;
struct LsConfig; /* config/config.h: a job file that was read */

typedef struct LsPhase {
    const char *name;   /* LsShape.phase of its graph; in messages and, where there are several, in metrics.jsonl */
    const char *learns; /* the beginning of its parameters' names, "generator."; NULL: it learns all */
    /* name of the procedure's setting, an integer, that says how often the phase is done in a step, each time with
     * samples of its own; NULL: once */
    const char *repeats;
} LsPhase;
#define LS_MAX_PHASES 4

/* Arguments of LsProcedure.evaluate: a graph of mode LS_EVAL with the outputs "loss" and "output" for `rows` samples at
 * once. The ranks divide the `samples` between them and add to the sums, which are then added over the ranks. */
typedef struct LsEvaluated {
    const LsComm *comm;
    LsGraph *g;
    LsSource *source;
    const void *settings; /* the procedure's */
    int64_t samples, rows, step;
    double *loss, *targets;
    double *metric; /* (LS_MAX_METRICS, LS_MAX_METRIC_SUMS), of the task's metrics */
} LsEvaluated;

typedef struct LsProcedure {
    const char *name, *summary;
    const LsSetting *settings; /* of the section `train:`, ended by {0}, none with a name of that section's own; NULL:
                                  none */
    size_t settings_bytes;
    size_t self_bytes;     /* of `self`, zero at first, one a trainer */
    const LsPhase *phases; /* ended by {0}, at most LS_MAX_PHASES */

    /* Each of these may be NULL. Where ranks take part in a training they all call them, in the same order, and may
     * communicate in them; a status that is not LS_OK ends the training on all ranks. */

    /* Bytes that a rank holds for it besides the training graphs, parameters and moments: for the plan, before anything
     * is made. rows: samples at once; parameters: of the model, numbers. */
    int64_t (*memory)(const struct LsConfig *config, int64_t rows, int64_t parameters);
    /* Once, when the graphs are planned; parameters are not yet those of a checkpoint. */
    LsStatus (*open)(LsTrainer *trainer, void *self);
    /* Around the phases of a step: in after_step the step is counted already. */
    LsStatus (*before_step)(LsTrainer *trainer, void *self);
    LsStatus (*after_step)(LsTrainer *trainer, void *self);
    /* Evaluation in place of samples through the graph. LS_USAGE where the source is none that it can work on. */
    LsStatus (*evaluate)(const LsEvaluated *evaluated);
    /* Lists the arrays that a checkpoint must hold so that a resumed training is the same to the bit, at most
     * LS_MAX_PROCEDURE_SAVED; returns their number. The arrays belong to the procedure and are the same on every rank
     * before a save; after a load, rank 0's are sent to all. */
    int (*saved)(LsTrainer *trainer, void *self, LsSaved *list);
    void (*close)(void *self);
} LsProcedure;
#define LS_MAX_PROCEDURE_SAVED 6

/* Makes a procedure known that is in no list. Call it before any configuration is read; `procedure` must live on.
 * LS_USAGE where the name is taken, or after LS_MAX_ADDED_PROCEDURES. */
#define LS_MAX_ADDED_PROCEDURES 16
LsStatus ls_procedure_add(const LsProcedure *procedure) LS_MUST_USE;

const LsProcedure *ls_procedure_find(const char *name); /* NULL: none of that name */
const LsProcedure *const *ls_procedures(void);          /* all, ended by NULL */
int ls_procedure_phases(const LsProcedure *procedure);  /* how many */

/* For the hooks of a program that is not ours. */
LsParams *ls_trainer_params(LsTrainer *trainer);
const LsComm *ls_trainer_comm(const LsTrainer *trainer);
const void *ls_trainer_settings(const LsTrainer *trainer); /* the procedure's */
int64_t ls_trainer_steps(const LsTrainer *trainer);        /* done */
/* Writes a file of the run folder whole or not at all, its name with folders ("pictures/1.png"); on rank 0 alone. Where
 * the training has no folder (a benchmark, a program of somebody's own) nothing is written. */
LsStatus ls_trainer_write(LsTrainer *trainer, const char *name, const void *bytes, int64_t count) LS_MUST_USE;

#endif
