/* The step loop. It sees named parameters in flat arrays, a graph that gives a loss, a source of samples and a communicator; files and MPI stand
 * behind LsTrainHooks and LsComm.
 */
#ifndef LS_TRAIN_TRAIN_H
#define LS_TRAIN_TRAIN_H

#include "config/config.h"
#include "data/source.h"
#include "store/checkpoint.h" /* LsProgress and LsMoment only: plain data */
#include "train/optimizer.h"

typedef struct LsTrainer LsTrainer;

/* What the loop asks of the outside; called on every rank unless said otherwise. NULL entries are skipped. */
typedef struct LsMetrics LsMetrics;

typedef struct LsTrainHooks {
    void *self;
    LsStatus (*save)(void *self, const LsTrainer *trainer, const LsProgress *progress); /* rank 0 only; collective outcome is the loop's */
    bool (*stop_requested)(void *self); /* this rank's signal flag */
    /* A row of metrics, rank 0 only. validation_loss is NAN where not evaluated. */
    LsStatus (*row)(void *self, const LsMetrics *metrics);
} LsTrainHooks;

struct LsMetrics {
    int64_t step;
    double loss, learning_rate, grad_norm;
    int64_t tokens;           /* targets since the run's first step */
    double tokens_per_second; /* since the last row */
    double seconds;           /* of this process since its first step */
    double validation_loss;
    double share_of_peak;     /* NAN where the peak is unknown */
    double communication_seconds;
};

struct LsTrainer {
    const LsConfig *config;
    const LsComm *comm;
    LsParams *params;
    const LsOptimizer *optimizer;
    float *moment[LS_MAX_MOMENTS];
    LsSource *training, *validation; /* validation may be NULL */
    LsGraph *train_graph, *eval_graph;
    LsTrainHooks hooks;
    LsProgress progress;
    int64_t tokens;
};

/* Builds graphs and parameters (drawn from train.seed) for this configuration; sources and comm are the caller's and outlive it. Collective.
 * LS_USAGE where ranks do not divide train.batch, with the numbers that do. */
LsStatus ls_trainer_new(const LsConfig *config, const LsComm *comm, LsSource *training, LsSource *validation, LsTrainer **trainer) LS_MUST_USE;
void ls_trainer_free(LsTrainer *trainer);

/* Runs from progress.step to train.steps. Collective; every rank returns the same status: LS_OK, LS_STOPPED, LS_DIVERGED, or what failed. */
LsStatus ls_trainer_run(LsTrainer *trainer) LS_MUST_USE;

/* One optimisation step, for bench and tests: loss (mean over targets) and gradient norm. Collective. */
LsStatus ls_trainer_step(LsTrainer *trainer, double *loss, double *grad_norm) LS_MUST_USE;

/* Mean loss over `batches` batches of a source from its beginning (0: one epoch). Collective. */
LsStatus ls_trainer_evaluate(LsTrainer *trainer, LsSource *source, int64_t batches, double *loss, int64_t *targets) LS_MUST_USE;

#endif
