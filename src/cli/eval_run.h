/* A model that is evaluated: what the command eval does for one run. */
#ifndef LS_CLI_EVAL_RUN_H
#define LS_CLI_EVAL_RUN_H

#include "api/load.h"
#include "cli/cli.h"
#include "data/text_corpus.h"
#include "train/train.h"

typedef struct LsEvalOptions {
    char *split, *field;
    LsTextList input;
    int64_t batches, translations, beams;
    double length_penalty;
    bool special, table, best, csv, json;
} LsEvalOptions;

typedef struct LsEval {
    const LsEvalOptions *options;
    const LsComm *comm;
    const char *run; /* as the user wrote it */
    bool other_data; /* a data set that is not the run's own */
    LsLoaded model;
    LsTrainPlan plan;
    LsSource *source;
    LsGraph *graph;
    LsEvaluation evaluation;
    double seconds;
    double bleu;   /* NAN: of no translation */
    json_t *files; /* of --input: an object each */
} LsEval;

/* Loads the run; its graph is for the configuration that `override` makes of it. Not collective. */
LsStatus ls_eval_open(LsEval *e, const char *run, int overrides, char *const *override) LS_MUST_USE;
void ls_eval_close(LsEval *e);

/* On a part of its data, and on texts that were read. Collective. */
LsStatus ls_eval_split(LsEval *e) LS_MUST_USE;
LsStatus ls_eval_texts(LsEval *e, LsCorpus *corpus) LS_MUST_USE;

/* Loss and metrics as JSON: names as `eval --json` has them. */
int ls_eval_add_metrics(json_t *object, const LsEvaluation *evaluation);

#endif
