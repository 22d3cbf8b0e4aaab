/* lockstep eval: the loss of a trained model, and the metrics of its task, on held-out data. */
#include "cli/cli.h"
#include "api/load.h"
#include "data/data.h"
#include "decode/bleu.h"
#include "decode/translate.h"
#include "train/train.h"

#include <math.h>
#include <string.h>

typedef struct Options {
    char *split;
    int64_t batches, translations, beams;
    double length_penalty;
    bool best, json;
} Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_CHOICE(Options, split, "validation", "validation|train|test",
                                  "the part of the data to evaluate on"),
     .argument = "SPLIT"},
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
    {.setting = LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
    {{0}}};

typedef struct Eval {
    const Options *options;
    const LsComm *comm;
    LsLoaded model;
    LsTrainPlan plan;
    LsSource *source;
    LsGraph *graph;
    LsEvaluation evaluation;
    double seconds;
    double bleu; /* NAN: of no translation */
} Eval;

/* Sequences at once: a rank's share of a step, made smaller where ranks do not divide the batch, for evaluation needs
 * no equal shares. */
static void choose_rows(Eval *e)
{
    const LsTrainSettings *train = &e->model.config->train;
    int64_t rows = (train->batch + e->comm->size - 1) / e->comm->size;
    if (train->micro_batch > 0 && train->micro_batch < rows)
        rows = train->micro_batch;
    e->evaluation.rows = rows;
}

/* Where two files are named, both are looked at: they must number the same things alike. */
static LsStatus open_source(const LsLoaded *model, const char *split, LsSource **source)
{
    const LsConfig *config = model->config;
    LsSource *training = NULL;
    if (!config->data.validation_path || strcmp(split, "validation") != 0)
        return ls_data_open_split(config, split, ls_config_sequence(config), 0, model->info, source);
    LsStatus status = ls_data_open(config, ls_config_sequence(config), 0, model->info, &training, source);
    ls_source_free(training);
    return status;
}

static LsStatus prepare(Eval *e, const LsCall *call)
{
    const LsConfig *config;
    LS_TRY(ls_load(call->operand[0], e->options->best, call->operands - 1, call->operand + 1, &e->model));
    config = e->model.config;
    LS_TRY(ls_train_eval_shapes(config, &e->plan));
    LS_TRY(open_source(&e->model, e->options->split, &e->source));
    if (!e->source)
        return ls_fail(LS_DATA, "%s has no %s part: set data.validation_path, or use --split train", config->data.path,
                       e->options->split);
    int64_t vocabulary = 0;
    ls_config_model_int(config, "vocabulary", &vocabulary);
    LS_TRY(ls_data_check_model(config->data.path, e->source, e->model.path, e->model.tokenizer, vocabulary));
    LsFields fields;
    LS_TRY(ls_config_fields(config, &fields));
    LS_TRY(ls_data_check_fields(config->data.path, e->source, e->model.path, &fields));
    LS_TRY(ls_data_check_classes(config->data.path, e->source, e->model.path, e->model.info));
    LS_TRY(ls_data_check_loss(config, e->source));
    choose_rows(e);
    e->evaluation.config = config;
    e->evaluation.samples = e->options->batches * config->train.batch;
    e->evaluation.step = e->model.progress.step;
    e->evaluation.plan = &e->plan;
    e->graph = ls_graph_new(e->model.params, &(LsGraphOptions){.mode = LS_EVAL,
                                                               .precision = ls_train_precision(config),
                                                               .comm = e->comm,
                                                               .segmented = ls_train_carries(&e->plan)});
    if (!e->graph)
        return ls_message_status();
    ls_config_build(config, e->graph, e->evaluation.rows, e->plan.segment, LS_WANT_LOSS);
    return ls_graph_plan(e->graph);
}

static json_t *report_json(const Eval *e, const LsTask *task, double speed)
{
    char count[32], rate[64];
    snprintf(count, sizeof count, "%ss", task->item);
    snprintf(rate, sizeof rate, "%ss_per_second", task->item);
    json_t *object = json_pack("{s:o, s:I, s:s, s:f}", "checkpoint", ls_json_text(e->model.path), "step",
                               (json_int_t)e->evaluation.step, "split", e->options->split, "loss", e->evaluation.loss);
    for (int i = 0; i < ls_task_metrics(task); i++)
        if (!isnan(e->evaluation.metric[i]))
            json_object_set_new(object, task->metrics[i].name, ls_json_number(e->evaluation.metric[i]));
    if (!isnan(e->bleu))
        json_object_set_new(object, "bleu", json_real(e->bleu));
    json_object_set_new(object, count, json_integer(e->evaluation.targets));
    json_object_set_new(object, "seconds", json_real(e->seconds));
    json_object_set_new(object, rate, json_real(speed));
    return object;
}

static LsStatus report(const Eval *e)
{
    const LsTask *task = ls_config_task(e->model.config);
    double speed = (double)e->evaluation.targets / e->seconds;
    if (e->options->json)
        return ls_print_json(report_json(e, task, speed));
    printf("%s after step %lld, %s: loss %.5f", e->model.path, (long long)e->evaluation.step, e->options->split,
           e->evaluation.loss);
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
    printf(" (%lld %ss, %.0f a second)\n", (long long)e->evaluation.targets, task->item, speed);
    return LS_OK;
}

/* Sample `at` of the source through the evaluation graph's inputs, translated and compared. */
static LsStatus score_sample(const Eval *e, LsTranslator *translator, int64_t at, LsBleu *bleu)
{
    char *said = NULL, *wanted = NULL;
    LS_TRY(e->source->fill(e->source, e->graph, &(LsBatch){.first = at, .count = 1}));
    const LsTensor *source = ls_graph_find(e->graph, "source"), *length = ls_graph_find(e->graph, "source_length");
    const LsTensor *targets = ls_graph_find(e->graph, "targets");
    int64_t steps = length ? *(const int32_t *)length->data : source->dim[1];
    LsStatus status = ls_translate_ids(translator, source->data, steps, &said);
    if (status == LS_OK)
        status = ls_target_text(translator, targets->data, targets->dim[1], &wanted);
    if (status == LS_OK)
        status = ls_bleu_add(bleu, said, wanted);
    ls_free(said);
    ls_free(wanted);
    return status;
}

/* BLEU of the first samples, shared out among the ranks. */
static LsStatus score_translations(Eval *e)
{
    LsBleu bleu = {0};
    LsTranslator *translator = NULL;
    int64_t samples = e->options->translations < e->source->samples ? e->options->translations : e->source->samples;
    if (!ls_config_task(e->model.config)->translates || samples == 0)
        return LS_OK;
    LsStatus status = ls_translator_open(e->model.config, e->model.params, e->model.info, e->model.tokenizer,
                                         e->options->beams, e->options->length_penalty, &translator);
    for (int64_t at = e->comm->rank; status == LS_OK && at < samples; at += e->comm->size)
        status = score_sample(e, translator, at, &bleu);
    ls_translator_close(translator);
    LS_TRY(ls_dist_agree(e->comm, status));
    LS_TRY(e->comm->allreduce_double(e->comm, (double *)&bleu, sizeof bleu / sizeof(double)));
    e->bleu = ls_bleu_value(&bleu);
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    Eval e = {.options = call->options, .comm = call->comm, .bleu = NAN};
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_dist_agree(e.comm, prepare(&e, call)));
    e.seconds = -ls_seconds();
    LS_TRY_CLEANUP(ls_evaluate(e.comm, e.graph, e.source, &e.evaluation));
    e.seconds += ls_seconds();
    LS_TRY_CLEANUP(score_translations(&e));
    LS_TRY_CLEANUP(ls_dist_agree(e.comm, e.comm->rank == 0 ? report(&e) : LS_OK));
cleanup:
    ls_graph_free(e.graph);
    ls_source_free(e.source);
    ls_loaded_free(&e.model);
    return status;
}

const LsCommand ls_command_eval = {
    .name = "eval",
    .summary = "loss of a trained model on held-out data, and the metrics of its task",
    .operands = "RUN [key=value ...]",
    .least = 1,
    .most = -1,
    .description = "RUN is a run folder (its newest whole checkpoint is taken) or a checkpoint. key=value overrides "
                   "its configuration: "
                   "data.path=other.h5. Any number of ranks gives the same result.",
    .example = "lockstep eval runs/shakespeare-gpt\nmpirun -np 2 lockstep eval runs/shakespeare-gpt --split train "
               "--batches 50 --json",
    .launch = LS_PARALLEL,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
