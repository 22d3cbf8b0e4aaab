#include "cli/eval_run.h"

#include "data/data.h"
#include "data/text_write.h"
#include "data/unknown.h"
#include "decode/bleu.h"
#include "decode/translate.h"

#include <math.h>
#include <string.h>

/* Sequences at once: a rank's share of a step, made smaller where ranks do not divide the batch, for evaluation needs
 * no equal shares. */
static void choose_rows(LsEval *e)
{
    const LsTrainSettings *train = &e->model.config->train;
    int64_t rows = (train->batch + e->comm->size - 1) / e->comm->size;
    if (train->micro_batch > 0 && train->micro_batch < rows)
        rows = train->micro_batch;
    e->evaluation.rows = rows;
}

static LsStatus open_run(LsEval *e, const char *run, int overrides, char *const *override)
{
    e->run = run;
    e->bleu = NAN;
    for (int i = 0; i < overrides; i++)
        e->other_data |= strncmp(override[i], "data.path=", strlen("data.path=")) == 0;
    LS_TRY(ls_load(run, e->options->best, overrides, override, &e->model));
    const LsConfig *config = e->model.config;
    LS_TRY(ls_train_eval_shapes(config, &e->plan));
    choose_rows(e);
    e->evaluation.config = config;
    e->evaluation.step = e->model.progress.step;
    e->evaluation.plan = &e->plan;
    return LS_OK;
}

void ls_eval_close(LsEval *e)
{
    ls_graph_free(e->graph);
    ls_source_free(e->source);
    ls_loaded_free(&e->model);
    json_decref(e->files);
}

static LsStatus build_graph(LsEval *e)
{
    const LsConfig *config = e->model.config;
    e->graph = ls_graph_new(e->model.params, &(LsGraphOptions){.mode = LS_EVAL,
                                                               .precision = ls_train_precision(config),
                                                               .comm = e->comm,
                                                               .segmented = ls_train_carries(&e->plan)});
    if (!e->graph)
        return ls_message_status();
    ls_config_build(config, e->graph, e->evaluation.rows, e->plan.segment, LS_WANT_LOSS);
    return ls_graph_plan(e->graph);
}

/* ---- A part of the data ------------------------------------------------------------------------------------------ */

/* A model learns the same whether its samples are one document or several: evaluation takes the data's. */
static LsStatus follow_documents(LsEval *e, LsFields *fields)
{
    const LsField *there = ls_field_find(&e->source->fields, "positions");
    LS_TRY(ls_config_fields(e->model.config, fields));
    if (!there == !ls_field_find(fields, "positions"))
        return LS_OK;
    LsFields own = {0};
    for (int i = 0; i < fields->count; i++)
        if (strcmp(fields->list[i].name, "positions") != 0)
            own.list[own.count++] = fields->list[i];
    if (there)
        LS_TRY(ls_fields_add(&own, there->name, there->dtype, there->classes, there->rank, there->dim));
    *fields = own;
    return ls_config_set_fields(e->model.config, fields);
}

/* Where two files are named, both are looked at: they must number the same things alike. */
static LsStatus open_source(const LsLoaded *model, const char *split, LsSource **source)
{
    const LsConfig *config = model->config;
    LsSource *training = NULL;
    if (!config->data.validation_path || strcmp(split, "validation") != 0)
        return ls_data_open_split(config, split, ls_config_sequence(config), ls_config_streams(config), model->info,
                                  source);
    LsStatus status =
        ls_data_open(config, ls_config_sequence(config), ls_config_streams(config), model->info, &training, source);
    if (status == LS_OK && training->longest) /* the graph is as long as the training's own */
        model->config->longest = training->sequence;
    ls_source_free(training);
    return status;
}

/* Texts, and models without data, have a door of their own. */
static LsStatus check_data(const LsEval *e)
{
    const LsConfig *config = e->model.config;
    const LsDataSettings *data = &config->data;
    bool held_out = data->validation_path && strcmp(e->options->split, "validation") == 0;
    const char *path = held_out ? data->validation_path : data->path;
    if (!config->data_kind->open_texts || !config->data_kind->prepare)
        return LS_OK;
    if (!path)
        return ls_fail(LS_USAGE,
                       "eval: data.path is not set in %s: --input FILE evaluates texts, data.path=FILE.h5 a data set",
                       e->model.path);
    if (ls_data_is_raw(path))
        return ls_fail(LS_USAGE,
                       "eval: data.path=%s is no data set; texts are evaluated by --input: lockstep eval %s "
                       "--input %s",
                       path, e->run, path);
    return LS_OK;
}

/* A data set that was named to be evaluated is mostly meant whole. */
static LsStatus warn_of_rest(const LsEval *e)
{
    const LsConfig *config = e->model.config;
    LsSource *rest = NULL;
    if (!e->other_data || config->data.validation_path || strcmp(e->options->split, "validation") != 0)
        return LS_OK;
    LS_TRY(ls_data_open_split(config, "train", ls_config_sequence(config), 0, e->model.info, &rest));
    if (rest && rest->samples > 0 && e->comm->rank == 0)
        ls_warn("%s holds out %lld of its %lld samples, which alone are evaluated: --split train takes the others, "
                "and all of them once it is prepared with --validation 0",
                config->data.path, (long long)e->source->samples, (long long)(e->source->samples + rest->samples));
    ls_source_free(rest);
    return LS_OK;
}

static LsStatus prepare_split(LsEval *e)
{
    const LsConfig *config = e->model.config;
    LS_TRY(check_data(e));
    LS_TRY(open_source(&e->model, e->options->split, &e->source));
    if (!e->source)
        return ls_fail(LS_DATA, "%s has no %s part: set data.validation_path, or use --split train", config->data.path,
                       e->options->split);
    LS_TRY(warn_of_rest(e));
    int64_t vocabulary = 0;
    ls_config_model_int(config, "vocabulary", &vocabulary);
    const char *path = config->data.path ? config->data.path : config->data_kind->name;
    LS_TRY(ls_data_check_model(path, e->source, e->model.path, e->model.tokenizer, vocabulary));
    LsFields fields;
    LS_TRY(follow_documents(e, &fields));
    LS_TRY(ls_data_check_fields(path, e->source, e->model.path, &fields));
    LS_TRY(ls_data_check_classes(path, e->source, e->model.path, e->model.info));
    LS_TRY(ls_data_check_loss(config, e->source));
    e->evaluation.samples = e->options->batches * config->train.batch;
    if (e->source->longest) { /* the graph is as short as these samples allow, or as long as they need */
        if (config->longest < e->source->sequence)
            e->model.config->longest = e->source->sequence;
        LS_TRY(ls_train_eval_shapes(config, &e->plan));
    }
    return build_graph(e);
}

/* Sample `at` of the source through the evaluation graph's inputs, translated and compared. */
static LsStatus score_sample(const LsEval *e, LsTranslator *translator, int64_t at, LsBleu *bleu)
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
static LsStatus score_translations(LsEval *e)
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

static LsStatus evaluate_split(LsEval *e)
{
    LS_TRY(ls_dist_agree(e->comm, prepare_split(e)));
    e->seconds = -ls_seconds();
    LS_TRY(ls_evaluate(e->comm, e->graph, e->source, &e->evaluation));
    e->seconds += ls_seconds();
    return score_translations(e);
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

static int add_metrics(json_t *object, const LsEvaluation *evaluation)
{
    const LsTask *task = ls_config_task(evaluation->config);
    int failed = json_object_set_new(object, "loss", ls_json_number(evaluation->loss));
    for (int i = 0; i < ls_task_metrics(task); i++)
        if (!isnan(evaluation->metric[i]))
            failed |= json_object_set_new(object, task->metrics[i].name, ls_json_number(evaluation->metric[i]));
    return failed;
}

/* The kind of data that makes samples of texts: the model's own, or for a model that goes on with texts, whatever it
 * was trained on (conversations), the first that does. NULL: none. *settings: of its own kind. */
static const LsDataKind *kind_of_texts(const LsConfig *config, const void **settings)
{
    *settings = config->data_kind->open_texts ? config->data_config : NULL;
    if (config->data_kind->open_texts)
        return config->data_kind;
    for (const LsDataKind *const *kind = ls_data_kinds(); *kind && ls_config_task(config)->streams_ids; kind++)
        if ((*kind)->open_texts)
            return *kind;
    return NULL;
}

/* The samples of a run's own kind are evaluated as a data set of that kind. */
static LsStatus fail_prepare(const LsEval *e, const char *path, const char *why)
{
    const char *kind = e->model.config->data_kind->name;
    return ls_fail(LS_USAGE,
                   "eval --input: %s; prepare the samples, and evaluate them: lockstep prepare %s %s -o held.h5 --like "
                   "%s --validation 0, and then lockstep eval %s data.path=held.h5 --split train",
                   why, kind, path, e->run, e->run);
}

/* A model that learnt from records of its own (conversations) is not asked how likely their JSON is as it stands. */
static LsStatus check_records(const LsEval *e, const LsCorpus *corpus)
{
    const LsDataKind *kind = e->model.config->data_kind;
    if (kind->open_texts || !kind->prepare || e->options->field)
        return LS_OK;
    for (int i = 0; i < LS_LOOKS && corpus->looks[i].kind; i++)
        if (strcmp(corpus->looks[i].kind, "JSON lines") == 0) {
            char why[512];
            snprintf(why, sizeof why, "%.200s holds JSON lines, and %.200s learnt from data.kind %s",
                     corpus->looks[i].first, e->run, kind->name);
            return fail_prepare(e, corpus->looks[i].first, why);
        }
    return LS_OK;
}

static LsStatus check_texts(const LsEval *e, const LsCorpus *corpus)
{
    const LsConfig *config = e->model.config;
    const void *settings;
    if (!kind_of_texts(config, &settings) || ls_config_task(config)->procedure) {
        char why[400];
        snprintf(why, sizeof why, "%.200s is not evaluated on plain text (data.kind %s, task.kind %s)", e->run,
                 config->data_kind->name, ls_config_task(config)->name);
        return e->model.tokenizer && config->data_kind->prepare
                   ? fail_prepare(e, e->options->input.text[0], why)
                   : ls_fail(LS_USAGE, "eval --input: %s: prepare the data, and set data.path or data.validation_path",
                             why);
    }
    LS_TRY(check_records(e, corpus));
    if (!e->model.tokenizer)
        return ls_fail(LS_USAGE, "eval --input: %s has no tokenizer, so it cannot read text", e->run);
    if (ls_config_sequence(config) < 1)
        return ls_fail(LS_USAGE, "eval --input: train.sequence=N says how many tokens %s sees at once", e->run);
    return LS_OK;
}

static LsStatus open_said_texts(LsEval *e, const LsCorpusPart *part, int count)
{
    const LsConfig *config = e->model.config;
    LsFields fields;
    const void *settings;
    const LsDataKind *kind = kind_of_texts(config, &settings);
    ls_source_free(e->source);
    e->source = NULL;
    LS_TRY(kind->open_texts(&(LsDataTexts){.text = part,
                                           .texts = count,
                                           .tokenizer = e->model.tokenizer,
                                           .special = e->options->special,
                                           .sequence = ls_config_sequence(config),
                                           .streams = ls_config_streams(config),
                                           .settings = settings},
                            &e->source));
    LS_TRY(follow_documents(e, &fields));
    return ls_data_check_fields(part->name, e->source, e->model.path, &fields);
}

/* A text that a closed vocabulary refuses is said to be so with what to do. */
static LsStatus hint_unknown(const LsEval *e, const LsSayable *sayable, LsStatus status)
{
    if (status != LS_DATA || sayable->dropped == 0)
        return status;
    return ls_fail(LS_DATA, "%s; --unknown skip passes over what the tokenizer %s cannot say, and counts it",
                   ls_message(), ls_tokenizer_kind(e->model.tokenizer));
}

/* The texts of one file: parts[0 .. count). *dropped: characters that were passed over. */
static LsStatus open_texts(LsEval *e, const LsCorpusPart *part, int count, int64_t *dropped)
{
    LsSayable sayable = {0};
    bool skip = strcmp(e->options->unknown, "skip") == 0;
    LsStatus status = skip ? LS_OK : open_said_texts(e, part, count);
    *dropped = 0;
    if (!skip && status != LS_DATA)
        return status;
    char *message = skip ? NULL : ls_strdup(ls_message());
    LsStatus looked = ls_sayable_texts(e->model.tokenizer, part, count, &sayable);
    if (skip && looked == LS_OK)
        looked = open_said_texts(e, sayable.part, count);
    if (message && looked == LS_OK)
        ls_fail(status, "%s", message);
    status = skip || looked != LS_OK ? looked : hint_unknown(e, &sayable, status);
    if (status == LS_OK && sayable.dropped > 0 && e->comm->rank == 0)
        ls_warn("%s: passed over %lld character%s that the tokenizer %s cannot say, the first of them %s", part->name,
                (long long)sayable.dropped, sayable.dropped == 1 ? "" : "s", ls_tokenizer_kind(e->model.tokenizer),
                sayable.first);
    *dropped = sayable.dropped;
    ls_free(message);
    ls_sayable_free(&sayable);
    return status;
}

/* With --unknown skip: how many characters were passed over. */
static int add_unknown(const LsEval *e, json_t *object, int64_t count)
{
    bool skip = strcmp(e->options->unknown, "skip") == 0;
    return skip ? json_object_set_new(object, "unknown_characters", json_integer(count)) : 0;
}

/* A file's row, and its share of the sums. */
static LsStatus evaluate_file(LsEval *e, const LsCorpusPart *part, int count, LsEvaluation *all)
{
    LsEvaluation one = e->evaluation;
    one.samples = e->options->batches * e->model.config->train.batch;
    int64_t dropped = 0;
    LsStatus opened = open_texts(e, part, count, &dropped);
    if (opened == LS_OK && !e->graph) /* with the fields that texts have */
        opened = build_graph(e);
    LS_TRY(ls_dist_agree(e->comm, opened));
    e->unknown += dropped;
    LsStatus status = ls_evaluate(e->comm, e->graph, e->source, &one);
    if (status != LS_OK)
        return ls_fail_in(status, "%s", part->name);
    ls_evaluation_add(all, &one);
    char item[40];
    snprintf(item, sizeof item, "%ss", ls_config_task(e->model.config)->item);
    json_t *row = json_pack("{s:o}", "file", ls_json_text(part->name));
    int failed = row ? add_metrics(row, &one) : 1;
    failed |= json_object_set_new(row, item, json_integer(one.targets));
    failed |= row ? add_unknown(e, row, dropped) : 1;
    return json_array_append_new(e->files, row) || failed ? LS_RESOURCE : LS_OK;
}

static LsStatus evaluate_texts(LsEval *e, LsCorpus *corpus)
{
    LsEvaluation all = e->evaluation;
    LsStatus status = check_texts(e, corpus);
    if (status == LS_OK)
        ls_corpus_warn(corpus);
    if (status == LS_OK && !e->options->special)
        ls_specials_warn(e->model.tokenizer, corpus->part, corpus->parts);
    if (status == LS_OK && !(e->files = json_array()))
        status = LS_RESOURCE;
    LS_TRY(ls_dist_agree(e->comm, status));
    e->seconds = -ls_seconds();
    for (int first = 0, end = 0; first < corpus->parts; first = end) {
        while (end < corpus->parts && corpus->file_of[end] == corpus->file_of[first])
            end++;
        LS_TRY(evaluate_file(e, corpus->part + first, end - first, &all));
    }
    e->seconds += ls_seconds();
    e->evaluation = all;
    return LS_OK;
}

LsStatus ls_eval(LsEval *e, const char *run, int overrides, char *const *override, LsCorpus *corpus)
{
    LS_TRY(ls_dist_agree(e->comm, open_run(e, run, overrides, override)));
    return e->options->input.count > 0 ? evaluate_texts(e, corpus) : evaluate_split(e);
}

/* ---- As JSON ----------------------------------------------------------------------------------------------------- */

/* A text, as it was given; several: a list of them. */
static json_t *input_json(const LsTextList *input)
{
    if (input->count == 1)
        return ls_json_text(input->text[0]);
    json_t *list = json_array();
    for (int i = 0; i < input->count; i++)
        json_array_append_new(list, ls_json_text(input->text[i]));
    return list;
}

json_t *ls_eval_describe(const LsEval *e)
{
    char count[32], rate[64];
    const LsTask *task = ls_config_task(e->model.config);
    snprintf(count, sizeof count, "%ss", task->item);
    snprintf(rate, sizeof rate, "%ss_per_second", task->item);
    json_t *object =
        json_pack("{s:o, s:I}", "checkpoint", ls_json_text(e->model.path), "step", (json_int_t)e->evaluation.step);
    if (e->options->input.count > 0)
        json_object_set_new(object, "input", input_json(&e->options->input));
    else
        json_object_set_new(object, "split", json_string(e->options->split));
    add_metrics(object, &e->evaluation);
    if (!isnan(e->bleu))
        json_object_set_new(object, "bleu", json_real(e->bleu));
    json_object_set_new(object, count, json_integer(e->evaluation.targets));
    if (e->options->input.count > 0)
        add_unknown(e, object, e->unknown);
    json_object_set_new(object, "seconds", json_real(e->seconds));
    json_object_set_new(object, rate, json_real((double)e->evaluation.targets / e->seconds));
    if (e->files)
        json_object_set(object, "files", e->files);
    return object;
}
