/* lockstep eval: the loss of a trained model, and the metrics of its task, on held-out data or on texts. */
#include "cli/eval_run.h"
#include "cli/eval_table.h"
#include "config/other_names.h"
#include "dist/dist.h"
#include "io/file.h"

#include <math.h>
#include <string.h>

typedef LsEvalOptions Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_CHOICE(Options, split, "validation", "validation|train|test",
                                  "the part of the data to evaluate on"),
     .argument = "SPLIT",
     .without = "input"},
    {.setting = LS_SETTING_STRING(Options, input, NULL,
                                  "texts instead of a data set, read by the run's own tokenizer: a file, compressed or "
                                  "not, a folder, an archive, or - for standard input; by file, and all together. "
                                  "May be given several times"),
     .argument = "FILE",
     .repeats = true},
    {.setting = LS_SETTING_STRING(
         Options, field, NULL,
         "--input is JSON lines, but for files *.txt in it: the member of each object that is a text"),
     .argument = "NAME",
     .with = "input"},
    {.setting = LS_SETTING_BOOL(Options, special, "false",
                                "special tokens that stand in the texts of --input are these tokens, not text"),
     .with = "input"},
    {.setting = LS_SETTING_BOOL(Options, skip_bad, "false",
                                "pass over and count files and records of --input that cannot be read or are empty"),
     .with = "input"},
    {.setting = LS_SETTING_CHOICE(Options, unknown, "refuse", "refuse|skip",
                                  "characters of --input that the run's tokenizer cannot say, and bytes that are no "
                                  "UTF-8 to it: refuse the text, or pass over and count them"),
     .argument = "HOW",
     .with = "input"},
    {.setting = LS_SETTING_BOOL(Options, table, "false", "several runs: RUN RUN ..., a row each")},
    {.setting =
         LS_SETTING_BOOL(Options, seeds, "false",
                         "--table with one row for all runs that differ in train.seed alone: how many, means, and "
                         "standard deviations (..._sd)"),
     .with = "table"},
    {.setting =
         LS_SETTING_INT(Options, batches, "0", 0, 1e9, "batches of train.batch sequences, from the beginning; 0: all"),
     .argument = "N"},
    {.setting = LS_SETTING_INT(Options, translations, "1000", 0, 1e9,
                               "models that translate: samples that are said and scored by BLEU, from the beginning"),
     .argument = "N"},
    {.setting = LS_SETTING_INT(Options, beams, "4", 1, 1024, "hypotheses of the beam search for them; 1: greedy"),
     .argument = "N"},
    {.setting = LS_SETTING_FLOAT(Options, length_penalty, "0.6", 0, 100, "exponent of the penalty of length; 0: none"),
     .argument = "A"},
    {.setting =
         LS_SETTING_BOOL(Options, best, "false", "the checkpoint with the lowest validation loss, not the newest")},
    {.setting = LS_SETTING_BOOL(Options, csv, "false", "--table as CSV on stdout, numbers to the last digit"),
     .with = "table",
     .without = "json"},
    {.setting = LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
    {{0}}};

/* ---- What is printed --------------------------------------------------------------------------------------------- */

static void print_sentence(const LsEval *e)
{
    const LsTask *task = ls_config_task(e->model.config);
    const LsTextList *input = &e->options->input;
    printf("%s after step %lld, %s", e->model.path, (long long)e->evaluation.step,
           input->count > 0 ? input->text[0] : e->options->split);
    for (int i = 1; i < input->count; i++)
        printf(" and %s", input->text[i]);
    printf(": loss %.5f", e->evaluation.loss);
    for (int i = 0; i < ls_task_metrics(task); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", task->metrics[i].name);
        for (char *at = name; *at; at++)
            *at = *at == '_' ? ' ' : *at;
        if (!isnan(e->evaluation.metric[i]))
            printf(", %s %.5g", name, e->evaluation.metric[i]);
    }
    if (!isnan(e->bleu))
        printf(", BLEU %.2f", e->bleu);
    printf(" (%lld %ss, %.0f a second)\n", (long long)e->evaluation.targets, task->item,
           (double)e->evaluation.targets / e->seconds);
}

static LsStatus report(const LsEval *e)
{
    if (e->options->json)
        return ls_print_json(ls_eval_describe(e));
    if (e->files && json_array_size(e->files) > 1)
        LS_TRY(ls_print_table(e->files));
    print_sentence(e);
    return LS_OK;
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static LsStatus evaluate_one(const LsCall *call, LsCorpus *corpus)
{
    LsEval e = {.options = call->options, .comm = call->comm};
    LsStatus status = ls_eval(&e, call->operand[0], call->operands - 1, call->operand + 1, corpus);
    if (status == LS_OK)
        status = ls_dist_agree(e.comm, e.comm->rank == 0 ? report(&e) : LS_OK);
    ls_eval_close(&e);
    return status;
}

static LsStatus read_input(const LsCall *call, const LsCorpusOptions *corpus_options, LsCorpus *corpus)
{
    const LsEvalOptions *o = call->options;
    const LsTextList *input = &o->input;
    bool from_stdin = false;
    LS_TRY(ls_text_list_stdin(input, "eval: --input", &from_stdin));
    if (from_stdin && call->comm->size > 1)
        return ls_fail(LS_USAGE, "eval --input -: one rank alone has standard input: name a file");
    if (input->count == 0)
        return LS_OK;
    LS_TRY(ls_corpus_read(corpus, input->count, input->text, corpus_options));
    char *text = ls_corpus_report(corpus);
    if (text && input->count == 1)
        ls_log("%s: %s", input->text[0], text);
    else if (text)
        ls_log("%d inputs: %s", input->count, text);
    ls_free(text);
    return LS_OK;
}

/* An operand behind the run that is no setting but a path: names the option for another run, a data set or texts. */
static LsStatus refuse_operand(const char *path)
{
    const char *setting = ls_setting_of_file(path);
    if (ls_file_exists_in(path, "checkpoints") || (setting && strcmp(setting, "train.init") == 0))
        return ls_fail(LS_USAGE, "eval: %s is a second run: --table prints a row for each of several", path);
    if (setting)
        return ls_fail(LS_USAGE, "eval: %s is a data set: write %s=%s", path, setting, path);
    return ls_fail(LS_USAGE, "eval: %s is no run: texts are evaluated by --input %s", path, path);
}

/* The mistakes that people make. */
static LsStatus check_operands(const LsCall *call)
{
    const LsEvalOptions *o = call->options;
    for (int i = 1; i < call->operands && !o->table; i++)
        if (!strchr(call->operand[i], '=') && ls_file_exists(call->operand[i]))
            LS_TRY(refuse_operand(call->operand[i]));
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    const LsEvalOptions *o = call->options;
    LsCorpusOptions corpus_options = {.field = o->field, .skip_bad = o->skip_bad};
    LsCorpus corpus = {0};
    LsStatus status = ls_dist_agree(call->comm, check_operands(call));
    if (status == LS_OK)
        status = ls_dist_agree(call->comm, read_input(call, &corpus_options, &corpus));
    if (status == LS_OK)
        status = o->table ? ls_eval_table(call, &corpus) : evaluate_one(call, &corpus);
    ls_corpus_free(&corpus);
    return status;
}

const LsCommand ls_command_eval = {
    .name = "eval",
    .summary = "loss of a trained model on held-out data or on texts, and the metrics of its task",
    .operands = "RUN [RUN ...] [key=value ...]",
    .least = 1,
    .most = -1,
    .description = "RUN is a run folder (its newest whole checkpoint is taken) or a checkpoint. key=value overrides "
                   "its configuration: "
                   "data.path=other.h5. Any number of ranks gives the same result.",
    .example = "lockstep eval runs/shakespeare-gpt\nlockstep eval runs/shakespeare-gpt --input my-texts/\n"
               "lockstep eval --table runs/shakespeare-gpt runs/shakespeare-mamba\n"
               "mpirun -np 2 lockstep eval runs/shakespeare-gpt --split train --batches 50 --json",
    .launch = LS_PARALLEL,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
