/* The step loop. It sees named parameters in flat arrays, a graph that gives a loss, a source of samples and a
 * communicator; files stand behind LsTrainHooks, MPI behind LsComm.
 *
 *     LsTrainer *trainer = NULL;
 *     LS_TRY(ls_trainer_new(config, comm, training, validation, NULL, &trainer));
 *     ... load a checkpoint into trainer->params, ->moment, ->progress on rank 0 ...
 *     LS_TRY(ls_trainer_broadcast(trainer));
 *     LsStatus status = ls_trainer_run(trainer); // the same on every rank
 *     ls_trainer_free(trainer);
 *
 * The samples of a step are numbers progress.samples .. + train.batch - 1 of the source's endless stream; rank r of n
 * takes the r-th n-th of them, in micro-batches. Gradients are summed over micro-batches and ranks and divided by the
 * number of targets of the whole step, so that the result depends on neither but for rounding.
 */
#ifndef LS_TRAIN_TRAIN_H
#define LS_TRAIN_TRAIN_H

#include "config/config.h"
#include "data/data.h"
#include "dist/dist.h"
#include "store/checkpoint.h" /* LsProgress and LsSaved only: plain data */
#include "train/rates.h"

/* ---- Data -------------------------------------------------------------------------------------------------------- */

/* Opens the data that the configuration asks for, and writes into it what they say: model.vocabulary, data.fields
 * and, where no sample has as many steps as train.sequence or the model's context, train.sequence. LS_USAGE as
 * ls_train_shapes and where the model's vocabulary is smaller than the data's. *training and *validation (NULL where
 * there is none) are the caller's to free, after a failure too. Not collective. */
LsStatus ls_train_open(LsConfig *config, int ranks, LsSource **training, LsSource **validation) LS_MUST_USE;

/* Made-up samples of the model's own shapes instead; vocabulary: where the configuration has none. */
LsStatus ls_train_open_synthetic(LsConfig *config, int64_t vocabulary, LsSource **training) LS_MUST_USE;

/* ---- Plan -------------------------------------------------------------------------------------------------------- */

/* The plan of a run, known before anything is allocated. Bytes are one rank's, with its share of the memory that the
 * ranks of a node have in common. */
typedef struct LsTrainPlan {
    int64_t sequence; /* train.sequence, or model.context where that is 0 */
    /* ranks that share each sequence; such groups of consecutive ranks */
    int sequence_ranks, groups;
    bool carries; /* train.carry */
    /* tokens that a rank computes at once; segments one after the other */
    int64_t segment, segments;
    /* tokens at once where states are only carried forward; divides segment */
    int64_t carry_steps;
    int64_t lengths;                                /* graphs of different numbers of steps, train.length_step apart */
    int64_t rank_batch, micro_batch, micro_batches; /* sequences of a rank in a step; at once; passes */
    int64_t parameters;                             /* numbers to learn */
    int64_t base_parameters;                        /* numbers that adapters stand on */
    LsMemory memory;                                /* training and evaluation graph together */
    /* ranks of a node that hold one copy of parameters, shadows and moments */
    int sharing_ranks;
    int64_t moment_bytes;
    int64_t average_bytes;           /* of the average of weights */
    int64_t work_bytes;              /* LsOptimizer.work */
    int64_t message_bytes;           /* work space of sums by messages */
    int64_t procedure_bytes;         /* LsProcedure.memory */
    int64_t sample_bytes;            /* while samples of text are made (train.sample_every) */
    int64_t library_bytes;           /* work space of the matrix products, threads' stacks, saving */
    int64_t base_bytes;              /* LsTrainLimit.base */
    int64_t total_bytes;             /* the peak of what a rank holds */
    int64_t arena_limit, arena_room; /* options of the training graph */
    LsRecomputed recomputed;         /* what backward recomputes to keep to the limit */
    double flops;                    /* of a step, all ranks */
} LsTrainPlan;

/* The shapes only. LS_USAGE where train.sequence_ranks does not divide the ranks, or the groups do not divide
 * train.batch, with the numbers that do. A sequence is cut into segments, each of one range of T tokens a rank: in
 * segment s the rank at place r has the tokens from (s train.sequence_ranks + r) T on; those past the sequence's end
 * are ignored. train.micro_batch is the most that is done at once: the largest divisor of the rank's share that does
 * not exceed it is taken. Not collective. */
LsStatus ls_train_shapes(const LsConfig *config, int ranks, LsTrainPlan *plan) LS_MUST_USE;

/* The memory that a rank may take: train.memory, or its share of the node's. */
typedef struct LsTrainLimit {
    int64_t bytes;      /* 0: no limit */
    int64_t base;       /* of them it holds already: the program, its libraries, data in memory */
    int sharing_ranks;  /* ls_dist_sharing_ranks */
    const char *source; /* "train.memory allows", "this machine has": for messages */
} LsTrainLimit;

/* Call when data is open and before graphs are made: what the process holds then is its base. Collective: the same on
 * every rank, the least limit and the largest base. */
LsStatus ls_train_limit(const LsConfig *config, const LsComm *comm, LsTrainLimit *limit) LS_MUST_USE;

/* All of it, from graphs that are planned but not allocated. limit may be NULL: none, and nothing shared. LS_RESOURCE,
 * with the train.micro_batch that would do where there is one, where the limit cannot be kept to even if backward
 * recomputes all it can. Where train.segment is 0, sequences of recurrent models that would not fit are cut into
 * segments. Not collective. */
LsStatus ls_train_plan(const LsConfig *config, int ranks, bool evaluation, const LsTrainLimit *limit,
                       LsTrainPlan *plan) LS_MUST_USE;

/* The plan's bytes by class, largest possible number of rows LS_MEMORY_ROWS: names as in reports. Returns the number of
 * rows, all of which add up to total_bytes. */
#define LS_MEMORY_ROWS 15
typedef struct LsMemoryRow {
    const char *name;
    int64_t bytes;
} LsMemoryRow;
int ls_train_memory_rows(const LsTrainPlan *plan, LsMemoryRow rows[LS_MEMORY_ROWS]);

/* The shapes of evaluation on any number of ranks, each with whole sequences of its own: what the ranks of a group
 * would hold at once one rank takes segment by segment. */
LsStatus ls_train_eval_shapes(const LsConfig *config, LsTrainPlan *plan) LS_MUST_USE;

/* Whether a run of a graph sees a segment of its sequences only. */
static inline bool ls_train_segmented(const LsTrainPlan *plan)
{
    return plan->segments > 1 || plan->sequence_ranks > 1;
}

/* Whether graphs have carries: for segments of sequences, or for streams that go on from step to step. */
static inline bool ls_train_carries(const LsTrainPlan *plan) { return ls_train_segmented(plan) || plan->carries; }

/* Whether a step is one backward, which adds to nothing. */
static inline bool ls_train_single_pass(const LsTrainPlan *plan)
{
    return plan->segments == 1 && plan->micro_batches == 1;
}

/* How often a phase of the configuration's procedure is done in a step. */
int64_t ls_phase_repeats(const LsConfig *config, const LsPhase *phase);

/* train.precision as the graph's. */
LsPrecision ls_train_precision(const LsConfig *config);

/* ---- Loop -------------------------------------------------------------------------------------------------------- */

/* A row of metrics.jsonl. Everything but the five numbers of time depends on configuration and data only, not on
 * time. */
typedef struct LsMetrics {
    const LsTask *task;
    int64_t step;
    double loss, learning_rate, grad_norm; /* grad_norm: before clipping */
    const LsProcedure *procedure;
    double phase_loss[LS_MAX_PHASES], phase_norm[LS_MAX_PHASES]; /* as LsStepResult has them */
    int64_t tokens;                           /* targets since the run's first step: the task's items */
    int64_t skipped;                          /* updates that were left out as outliers; -1: none ever is */
    double validation_loss;                   /* NAN where not evaluated */
    double validation_metric[LS_MAX_METRICS]; /* of the task, in its order; where validation_loss is no number, none */
    double tokens_per_second;                 /* training time only, since the last row */
    double seconds;                           /* of this process since its first step */
    double share_of_peak;                     /* since the last row; NAN where the peak is unknown */
    double communication_seconds;             /* this rank waited for gradients' sums since the last row */
    /* ls_buckets_hidden_share of the steps since the last row; NAN where there is one rank */
    double communication_hidden;
    const char *samples; /* of text, a JSON array; NULL: none */
} LsMetrics;

/* Calls of the training loop to the program around it. NULL entries are skipped. save and row are called on rank 0
 * only; their outcome is agreed on by all ranks. */
typedef struct LsTrainHooks {
    void *self;
    /* everything of trainer->progress, params and moments */
    LsStatus (*save)(void *self, const LsTrainer *trainer);
    bool (*stop_requested)(void *self);                    /* this rank's signal flag; called once a step */
    LsStatus (*row)(void *self, const LsMetrics *metrics); /* each output.log_every steps, and where evaluated */
    void (*step)(void *self, const LsMetrics *metrics);    /* rank 0, every step: for the progress bar */
    /* rank 0, each train.sample_every steps and after the last: *json as LsMetrics.samples */
    LsStatus (*sample)(void *self, LsTrainer *trainer, const char **json);
    /* rank 0: a file of the run folder, as ls_trainer_write */
    LsStatus (*write)(void *self, const char *name, const void *bytes, int64_t count);
} LsTrainHooks;

typedef struct LsTrainOptions {
    bool profile;       /* time every node (bench) */
    bool no_overlap;    /* start all sums of gradients after backward: the same bits, slower */
    double peak_gflops; /* of all ranks together; 0: unknown */
} LsTrainOptions;

/* Where the steps' time went, in seconds of this rank since ls_trainer_new. The parts make up `total` but for a few
 * microseconds. */
typedef struct LsTrainTimes {
    int64_t steps;
    double data;              /* samples */
    double forward, backward; /* backward: with what communication takes between its nodes (LsBucketTimes.inside) */
    double sums;              /* waiting for gradients' sums over the ranks (LsBucketTimes.waited) */
    double agree;             /* the ranks tell each other losses and flags, and wait for the slowest optimiser */
    double norm;              /* of the gradient, where the sums have not given it */
    double update;            /* optimiser */
    double total;
    double saved_flops; /* of plan.flops, by graphs of fewer steps; of all ranks, as far as this one knows */
} LsTrainTimes;

/* Who learns in a phase of the training procedure. Parameters of a phase lie side by side in the flat arrays. */
typedef struct LsPlayer {
    const LsPhase *phase;
    int64_t repeats; /* in a step */
    LsGraph *graph;  /* for training; all players' and the other graphs compute in the arena of the first */
    /* (plan.lengths), of train.length_step steps, of twice as many ...; the last of all steps; `graph` is the one of
     * the last pass */
    LsGraph **by_length;
    double *flops;    /* (plan.lengths), of a pass through each */
    LsRange range;    /* of the flat arrays: the parameters that learn */
    LsShard shard;    /* of them, what this rank updates; no ranges: everything */
    LsRange *owned;   /* shard.range, where it is the player's */
    int wholes;       /* of these ranges, the last so many are parameters that the optimiser takes as a whole */
    LsRates rates;    /* its parts by factors of the learning rate; none: all at the schedule's */
    LsSource *source; /* LsTrainer.training, where the procedure has none of its own */
} LsPlayer;

/* Of the rows of metrics. */
typedef struct LsTrainClock {
    double start;          /* 0: no step was done yet */
    double step_seconds;   /* training only, since the last row */
    LsBucketTimes sums;    /* as they were at that row */
    double saved_flops;    /* LsTrainTimes.saved_flops at that row */
    int64_t tokens, steps; /* since then */
} LsTrainClock;

struct LsTrainer {
    const LsProcedure *procedure; /* its own: the configuration may be gone when it is closed */
    const LsConfig *config;
    const LsComm *comm;
    LsTrainOptions options;
    LsTrainPlan plan;
    LsParams *params;
    LsGroups *groups; /* of parameters, by their names; NULL: none */
    const LsOptimizer *optimizer;
    LsMoment moment[LS_MAX_MOMENTS];
    float *average;                  /* (params->total), of the values; NULL without train.average */
    float *work;                     /* the optimiser's */
    float *outliers;                 /* outliers.h; NULL without train.skip_outliers */
    bool sharded;                    /* ranks of a node share parameters, moments and the optimiser's work */
    LsSource *training, *validation; /* validation may be NULL */
    char *info;                      /* what checkpoints say of the data; NULL: training->info */
    LsPlayer player[LS_MAX_PHASES];  /* one a phase of the procedure */
    int players;
    void *self;           /* the procedure's */
    LsGraph *eval_graph;  /* NULL where there is no validation */
    LsGraph *carry_graph; /* of plan.carry_steps tokens, whose forward carries the states; NULL for one segment */
    LsLink link;          /* where buckets are sized by it; else zeros */
    LsBuckets *buckets;
    LsComm *sequence; /* the group that shares this rank's sequences, NULL for one rank */
    char *borders;    /* (segments - 1, ls_carries_bytes): what the segments after the first start from */
    /* (train.batch, stream_numbers): what every stream carries to the next step, this rank's rows up to date; NULL
     * without train.carry */
    float *streams;
    int64_t stream_numbers;
    LsTrainHooks hooks;
    LsProgress progress;
    LsTrainTimes times;
    LsTrainClock clock;
};

/* Builds graphs and parameters (drawn from train.seed) for this configuration; config, sources and comm are the
 * caller's and outlive it. options may be NULL. Collective: every rank returns the same status. LS_USAGE as
 * ls_train_shapes. */
LsStatus ls_trainer_new(const LsConfig *config, const LsComm *comm, LsSource *training, LsSource *validation,
                        const LsTrainOptions *options, LsTrainer **trainer) LS_MUST_USE;
void ls_trainer_free(LsTrainer *trainer);

/* What checkpoints say of the data and its tokens (JSON, or NULL), and what joins it: what the checkpoint or model that
 * the training goes on from says of tokens. info: its own, or NULL; its tokenizer is that of the data. */
const char *ls_trainer_info(const LsTrainer *trainer);
LsStatus ls_trainer_join_info(LsTrainer *trainer, const char *info) LS_MUST_USE;

/* Parameters, moments and progress of rank 0 to all; until then the others must not read their parameters.
 * Collective. */
LsStatus ls_trainer_broadcast(LsTrainer *trainer) LS_MUST_USE;

/* Lists the trainer's arrays that a checkpoint holds besides parameters and progress; returns their number. The arrays
 * belong to the trainer. */
int ls_trainer_saved(const LsTrainer *trainer, LsSaved list[LS_MAX_SAVED]);

/* Runs from progress.step to train.steps. Collective; every rank returns the same status: LS_OK, LS_STOPPED (saved
 * after a stop was asked for on any rank), LS_DIVERGED with the step and the first bad tensor (nothing saved since), or
 * what failed. */
LsStatus ls_trainer_run(LsTrainer *trainer) LS_MUST_USE;

/* One step of it, with the evaluation, row and save that follow. *ended: a stop was asked for, and everything is
 * saved. Collective. */
LsStatus ls_trainer_advance(LsTrainer *trainer, bool *ended) LS_MUST_USE;

/* Lets trainer->times and the times of its buckets begin anew. */
void ls_trainer_times_reset(LsTrainer *trainer);

/* One optimisation step's outcome. */
typedef struct LsStepResult {
    /* mean over targets; before clipping. Of several phases: the sum, and the root of the sum of squares */
    double loss, grad_norm, learning_rate;
    double phase_loss[LS_MAX_PHASES], phase_norm[LS_MAX_PHASES]; /* of each phase, the last time in this step */
    int64_t targets;                                             /* of all ranks and phases */
    bool stop;                                                   /* some rank's stop flag */
} LsStepResult;

/* One optimisation step: advances parameters, moments and progress. stop: this rank's flag. Collective, the same status
 * on every rank. Allocates nothing. */
LsStatus ls_trainer_step(LsTrainer *trainer, bool stop, LsStepResult *result) LS_MUST_USE;

/* ---- Segments of sequences --------------------------------------------------------------------------------------- */

/* Samples that go through a graph together, segment after segment. Sums of losses and targets are added to. */
typedef struct LsPass {
    LsGraph *g;
    LsSource *source;
    const LsConfig *config;
    const LsTrainPlan *plan;
    LsRun run;      /* sample and sequence set; token is the pass's own */
    int64_t count;  /* samples, at most the graph's rows */
    char *borders;  /* for training, see LsTrainer */
    float *streams; /* for training: states of the samples' streams, replaced by those after them; NULL: zero */
    LsGraph *carry_graph;
    double *loss, *targets;
    const struct json_t *info; /* LsSource.info, parsed: for the metrics; may be NULL */
    double *metric;            /* (LS_MAX_METRICS, LS_MAX_METRIC_SUMS): sums of the task's metrics; NULL: not wanted */
    LsTrainTimes *times;       /* data, forward and backward are charged; NULL: nobody counts */
} LsPass;

/* Forward alone, from the graph's carries on, which go on to the samples' ends; forward and backward: accumulate and
 * hooks as ls_graph_backward, hooks in the last backward.
 * Collective over run.sequence. */
LsStatus ls_pass_forward(LsPass *pass) LS_MUST_USE;
LsStatus ls_pass_train(LsPass *pass, bool accumulate, const LsHooks *hooks) LS_MUST_USE;

/* ---- Evaluation -------------------------------------------------------------------------------------------------- */

typedef struct LsEvaluation {
    const LsConfig *config;
    /* from the source's beginning; 0, or more than an epoch has: one epoch. Set to what was taken */
    int64_t samples;
    int64_t rows;                                    /* sequences that the graph was built for */
    const LsTrainPlan *plan;                         /* how sequences are cut */
    const LsComm *sequence;                          /* the group of ranks that shares this rank's, NULL for one rank */
    int64_t step;                                    /* for messages */
    double loss;                                     /* out: mean over targets */
    int64_t targets;                                 /* out */
    double metric[LS_MAX_METRICS];                   /* out: values of the task's metrics, in its order */
    double bytes_per_token;                          /* out: the source's */
    double sum[LS_MAX_METRICS * LS_MAX_METRIC_SUMS]; /* out: of the metrics */
} LsEvaluation;

/* Adds the outcome of another evaluation of the same task to that of `all`, which begins as {.config = ...}: as if the
 * targets of both had been one evaluation's. */
void ls_evaluation_add(LsEvaluation *all, const LsEvaluation *other);

/* train.evaluate_batches of the trainer's validation data in its graph. Collective, as ls_evaluate. */
LsStatus ls_trainer_evaluate(LsTrainer *trainer, LsEvaluation *evaluation) LS_MUST_USE;

/* The number by which checkpoints of the task are told better from worse, lower is better: the task's best metric with
 * its sign, or the loss. */
double ls_evaluation_score(const LsEvaluation *evaluation);

/* Mean loss of a graph in mode LS_EVAL. Collective, the same status and results on every rank, to rounding the same on
 * any number of ranks. LS_DIVERGED where the loss is not finite. */
LsStatus ls_evaluate(const LsComm *comm, LsGraph *g, LsSource *source, LsEvaluation *evaluation) LS_MUST_USE;

#endif
