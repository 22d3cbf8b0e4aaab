/* lockstep eval --table: several runs beside each other. */
#ifndef LS_CLI_EVAL_TABLE_H
#define LS_CLI_EVAL_TABLE_H

#include "cli/cli.h"
#include "data/text_corpus.h"

/* Evaluates each operand that is a run under those that are settings, and prints a row for each, or with --seeds for
 * all that differ in train.seed alone. Collective; rank 0 prints. */
LsStatus ls_eval_table(const LsCall *call, LsCorpus *corpus) LS_MUST_USE;

#endif
