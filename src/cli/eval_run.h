/* A model that is evaluated: what the command eval does for one run. */
#ifndef LS_CLI_EVAL_RUN_H
#define LS_CLI_EVAL_RUN_H

#include "api/load.h"
#include "cli/cli.h"
#include "data/text_corpus.h"
#include "train/train.h"

typedef struct LsEvalOptions {
    char *split, *field, *unknown;
    LsTextList input;
    int64_t batches, translations, beams;
    double length_penalty;
    bool special, skip_bad, table, seeds, best, csv, json;
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
    double bleu;     /* NAN: of no translation */
    json_t *files;   /* of --input: an object each */
    int64_t unknown; /* of --input: characters that were passed over */
} LsEval;

/* Loads the run and evaluates it, under the configuration that `override` makes of its own: on the texts of --input,
 * where there are any (they are in *corpus then), else on a part of its data. e->options and e->comm are set; released
 * with ls_eval_close, after a failure too. Collective. */
LsStatus ls_eval(LsEval *e, const char *run, int overrides, char *const *override, LsCorpus *corpus) LS_MUST_USE;
void ls_eval_close(LsEval *e);

/* What `eval --json` prints of it. NULL: out of memory. */
json_t *ls_eval_describe(const LsEval *e);

#endif
