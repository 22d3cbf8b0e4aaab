/* The measurements of `lockstep bench`, shared by its files: command_bench.c runs the steps, bench_rows.c makes figures
 * of a step of them, bench_products.c times the step's dense products alone, bench_print.c prints them. */
#ifndef LS_CLI_BENCH_H
#define LS_CLI_BENCH_H

#include "gemm/record.h"
#include "graph/profile_scopes.h"
#include "cli/cli.h"
#include "peaks/peak.h"
#include "train/train.h"

#define LS_BENCH_ROWS 64
#define LS_BENCH_SHAPES 64
/* A vocabulary for random tokens where neither job file nor data set says one. */
#define LS_SYNTHETIC_VOCABULARY 256

typedef struct LsBenchOptions {
    bool synthetic, json, products, generate;
    int64_t steps, warmup, streams, prompt;
    char *trace, *weights;
} LsBenchOptions;

/* One direction of one kind of op, a step of this rank. */
typedef struct LsBenchSide {
    double seconds, flops, bytes;
    /* the least time that the machine's peaks allow, over seconds; NAN where a peak is unknown or nothing is counted */
    double roofline;
} LsBenchSide;

/* A kind of op; or a part of the step outside the graph, which has no backward. All rows together are the step. */
typedef struct LsBenchRow {
    const char *name;
    double calls, seconds;
    LsBenchSide forward, backward;
} LsBenchRow;

/* Where a rank's mean step went, in seconds. */
enum {
    LS_PART_DATA,
    LS_PART_FORWARD,
    LS_PART_BACKWARD, /* without the next one */
    LS_PART_SUMMING,  /* sums between nodes of backward */
    LS_PART_WAITING,  /* for sums after backward */
    LS_PART_AGREEING, /* on losses and flags; for the slowest optimiser */
    LS_PART_NORM,
    LS_PART_UPDATE,
    LS_PART_OTHER,
    LS_PARTS
};
extern const char *const ls_bench_part_names[LS_PARTS];

typedef struct LsBenchRank {
    double part[LS_PARTS];
    double step;      /* their sum */
    double in_flight; /* sums of gradients */
    /* of its threads' time this rank got: less than 1 where something else runs, or threads sleep */
    double processor_share;
    double resident; /* bytes, at most */
} LsBenchRank;

/* One shape of dense product of a step, timed alone. */
typedef struct LsBenchProduct {
    LsGemmShape shape;
    const char *kernel;
    double seconds; /* of one call on all threads, the best */
} LsBenchProduct;

typedef struct LsBench {
    const LsBenchOptions *options;
    const LsComm *comm;
    LsConfig *config;
    LsSource *training, *validation;
    LsTrainer *trainer;
    double *seconds; /* (steps), sorted */
    double median, least;
    LsPeak peak; /* of all ranks; zeros: unknown */
    LsBenchRow row[LS_BENCH_ROWS];
    int rows;
    /* the graphs' time again, by where in the model it went: "layer.attention"; the name's memory beside each */
    LsBenchRow place[LS_BENCH_ROWS];
    char place_name[LS_BENCH_ROWS][LS_SCOPE_NAME];
    int places;
    LsBenchRank *rank;     /* (comm->size) */
    int slowest;           /* the rank that the others wait for: most time with samples, forward and backward */
    double path[LS_PARTS]; /* the critical path of a step: that rank's computing, and what all ranks wait for */
    /* with overlap off, more than one rank: a step, and a rank's least waiting for sums in it */
    double plain_median, plain_waited;
    LsGemmShape shape[LS_BENCH_SHAPES]; /* of one step */
    LsBenchProduct product[LS_BENCH_SHAPES];
    int products;
    double limit; /* seconds of a step's products alone; 0: not measured */
} LsBench;

/* Rows, ranks and path from what the trainer has counted. Collective. */
LsStatus ls_bench_rows(LsBench *b) LS_MUST_USE;

/* Times the shapes that were noted during a step. Collective: all ranks at once, as in the step. */
LsStatus ls_bench_products(LsBench *b, int shapes) LS_MUST_USE;

LsStatus ls_bench_print(const LsBench *b) LS_MUST_USE;
LsStatus ls_bench_print_json(const LsBench *b) LS_MUST_USE;

/* bench --generate: tokens one by one after a prompt, with random parameters. */
LsStatus ls_bench_generate(const LsCall *call) LS_MUST_USE;

#endif
