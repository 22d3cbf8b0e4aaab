/* Shared by the files of predict: command_predict.c takes windows of a text, predict_samples.c prepared samples. */
#ifndef LS_CLI_PREDICT_H
#define LS_CLI_PREDICT_H

#include "cli/cli.h"
#include "api/load.h"
#include "train/train.h"

typedef struct LsPredictOptions {
    char *input, *ids, *output, *split;
    int64_t window, samples, seed;
    bool best, text;
} LsPredictOptions;

/* All samples of a data set of the model's kind, to options->output. */
LsStatus ls_predict_samples(const LsPredictOptions *options, const LsLoaded *model) LS_MUST_USE;

/* LS_DIVERGED where one of these numbers of the graph's output is not finite; first: the sample or row that they begin
 * with, each of `width` of them. */
LsStatus ls_predict_check(LsGraph *g, const float *output, int64_t rows, int64_t width, const char *item,
                          int64_t first) LS_MUST_USE;

#endif
