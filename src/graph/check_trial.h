/* A graph that is checked, with its parameters, inputs and seeds filled: what the files check*.c share. */
#ifndef LS_GRAPH_CHECK_TRIAL_H
#define LS_GRAPH_CHECK_TRIAL_H

#include "graph/check.h"
#include "graph/graph_internal.h"

/* The run of every forward and backward of a check. */
extern const LsRun ls_check_run;

typedef struct TrialOptions {
    LsMode mode; /* LS_TRAIN or LS_DECODE */
    LsPrecision precision;
    bool reference;
    bool bf16_inputs; /* all that comes from outside as LS_REAL is a bfloat16 number, in this trial's precision too */
} TrialOptions;

typedef struct Trial {
    LsParams *params;
    LsGraph *g;
    TrialOptions options;
    double **projection; /* (tensors): r of each element of a result, see below; NULL for others */
} Trial;

/* The modes in which the subject is checked: training, unless it has a state then; decoding, where it has one. */
typedef struct TrialModes {
    bool trains, decodes;
} TrialModes;
LsStatus ls_trial_modes(const LsSubject *subject, TrialModes *modes) LS_MUST_USE;

LsStatus ls_trial_new(const LsSubject *subject, TrialOptions options, Trial *t) LS_MUST_USE;
void ls_trial_free(Trial *t);

/* Inputs, states and starts of carries: the same floats in every precision, so that builds can be compared. */
void ls_trial_fill(const Trial *t);

/* Fills, runs forward. L = sum r y over all results that backward starts from; *size gets sum |r y|, the scale of its
 * rounding error. */
LsStatus ls_trial_project(const Trial *t, double *loss, double *size) LS_MUST_USE;

/* Backward from L. */
LsStatus ls_trial_backward(const Trial *t, bool accumulate) LS_MUST_USE;

/* A leaf with a gradient: an input, a parameter, what a carry holds before the first step, or a running value with what
 * it is to move by. */
bool ls_trial_is_leaf(const LsTensor *x);

#endif
