/* lockstep predict RUN: everything the model says about each token, as numbers in a file. */
#include "cli/cli.h"
#include "cli/ids.h"
#include "cli/predict.h"
#include "data/text.h"
#include "data/text_corpus.h"
#include "io/file.h"
#include "io/output.h"
#include "machine/memory_limit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef LsPredictOptions Options;

static const LsOption options[] = {
    {LS_SETTING_STRING(Options, input, NULL, "text file, read through the model's tokenizer; or a text data set"),
     "FILE"},
    {LS_SETTING_STRING(Options, ids, NULL, "token ids instead of a file: 1,2,3"), "IDS"},
    {LS_SETTING_STRING(Options, output, NULL,
                       "HDF5 file to write; or what the model's task draws, by its ending: pictures that it makes "
                       "(.png), forecasts against what came (.svg)"),
     "OUT.h5", 'o', true},
    {LS_SETTING_INT(Options, window, "0", 0, 1 << 30, "tokens of a row where a file is longer; 0: model.context"), "T",
     .without = "ids"},
    {LS_SETTING_CHOICE(Options, split, "validation", "validation|train|test|held-out",
                       "part of a data set that is read"),
     "SPLIT"},
    {LS_SETTING_INT(Options, samples, "64", 1, 1 << 24,
                    "models that make samples from noise, and samples made by rule: how many"),
     "N"},
    {LS_SETTING_INT(Options, seed, "1", 0, 9007199254740992.0, "of their noise"), "S"},
    {LS_SETTING_BOOL(Options, text, "false",
                     "a table with tabs between columns instead of HDF5: classes and their probabilities, tags, "
                     "forecasts; not for language models")},
    {LS_SETTING_BOOL(Options, best, "false", "the checkpoint with the lowest validation loss, not the newest")},
    {{0}}};

typedef struct Prediction {
    const Options *options;
    LsLoaded model;
    int32_t *ids; /* (count) */
    int64_t count;
    int64_t rows, length, vocabulary; /* B, T, V */
    float *output;                    /* (B, T, V); zeros past the end of the last row */
    int32_t *row_ids;                 /* (B, T); -1 there */
} Prediction;

/* ---- Input ------------------------------------------------------------------------------------------------------- */

static bool is_data_set(const char *path)
{
    LsSealedHead head;
    struct stat st;
    /* a pipe is text, and none of it must be lost */
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && ls_sealed_head(path, &head);
}

/* The data set must number its tokens as the model does. */
static LsStatus check_tokenizer(LsSealed *file, const Prediction *p)
{
    LsTokenizer *tokenizer = ls_sealed_tokenizer(file, "tokenizer");
    if (!tokenizer)
        return ls_message_status();
    LsSource source = {.fields = ls_language_fields(ls_tokenizer_vocabulary(tokenizer)), .tokenizer = tokenizer};
    LsStatus status = ls_data_check_model(ls_sealed_path(file), &source, p->model.path, p->model.tokenizer, 0);
    ls_tokenizer_free(tokenizer);
    return status;
}

static LsStatus read_part(LsSealed *file, const char *name, LsFileType type, Prediction *p)
{
    p->ids = ls_alloc_array(p->count, sizeof *p->ids);
    if (!p->ids)
        return LS_RESOURCE;
    LS_TRY(ls_sealed_read_part(file, name, type, 0, p->count, p->ids));
    if (type == LS_FILE_UINT8) /* widened in place, from the end */
        for (int64_t i = p->count - 1; i >= 0; i--)
            p->ids[i] = ((const uint8_t *)p->ids)[i];
    if (type == LS_FILE_UINT16)
        for (int64_t i = p->count - 1; i >= 0; i--) {
            uint16_t id;
            memcpy(&id, (const char *)p->ids + 2 * i, sizeof id);
            p->ids[i] = id;
        }
    return LS_OK;
}

static LsStatus read_data_set(Prediction *p)
{
    const char *path = p->options->input;
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LsSealed *file = ls_text_file(path);
    char *name = ls_format("%s/tokens", p->options->split);
    LsStatus status = file && name ? check_tokenizer(file, p) : ls_message_status();
    if (status == LS_OK)
        status = ls_sealed_shape(file, name, &exists, &type, &rank, dim);
    if (status == LS_OK && (!exists || rank != 1 || dim[0] < 1))
        status = ls_fail(LS_DATA, "%s: has no %s part; --split names the other one", path, p->options->split);
    if (status == LS_OK) {
        p->count = dim[0];
        status = read_part(file, name, type, p);
    }
    if (file)
        ls_sealed_close(file);
    ls_free(name);
    return status;
}

static LsStatus read_text(Prediction *p)
{
    const char *path = p->options->input;
    char *text = NULL;
    int64_t bytes = 0;
    if (!p->model.tokenizer)
        return ls_fail(LS_USAGE, "predict: this model has no tokenizer, so it cannot read text; give --ids 1,2,3");
    LS_TRY(ls_input_read(path, LS_DATA, &text, &bytes));
    ls_warn_binary(path, text, bytes);
    LsStatus status = bytes > 0 ? ls_tokenizer_encode_prompt(p->model.tokenizer, text, bytes, &p->ids, &p->count)
                                : ls_fail(LS_DATA, "is empty; there is nothing to predict from");
    ls_free(text);
    return status ? ls_fail_in(status, "%s", path) : LS_OK;
}

static LsStatus read_input(Prediction *p)
{
    const Options *o = p->options;
    if (!o->input == !o->ids)
        return ls_fail(LS_USAGE, "predict: give either --input FILE or --ids 1,2,3");
    if (o->ids)
        LS_TRY(ls_parse_ids(o->ids, &p->ids, &p->count));
    else
        LS_TRY(is_data_set(o->input) ? read_data_set(p) : read_text(p));
    if (!ls_config_model_int(p->model.config, "vocabulary", &p->vocabulary))
        return ls_fail(LS_USAGE, "predict: model %s has no vocabulary", p->model.config->model->name);
    for (int64_t i = 0; i < p->count; i++)
        if (p->ids[i] < 0 || p->ids[i] >= p->vocabulary)
            return ls_fail(o->ids ? LS_USAGE : LS_DATA,
                           "%s: token id %d at position %lld is outside the model's vocabulary, 0 to %lld",
                           o->ids ? "--ids" : o->input, (int)p->ids[i], (long long)i, (long long)p->vocabulary - 1);
    return LS_OK;
}

/* ---- Shapes and memory ------------------------------------------------------------------------------------------- */

/* Ids on the command line are one row, whose length the model may refuse; a file is cut into rows. */
static LsStatus choose_shape(Prediction *p)
{
    int64_t context = 0;
    p->length = p->count;
    if (!p->options->ids && p->options->window > 0)
        p->length = p->options->window;
    else if (!p->options->ids && ls_config_model_int(p->model.config, "context", &context) && context < p->count)
        p->length = context;
    if (p->length > p->count)
        p->length = p->count;
    p->rows = (p->count + p->length - 1) / p->length;
    double bytes = 4.0 * (double)p->rows * (double)p->length * (double)p->vocabulary;
    double memory = (double)ls_available_bytes(), disk = (double)ls_free_bytes(p->options->output);
    if ((memory >= 0 && bytes > 0.9 * memory) || (disk >= 0 && bytes > disk))
        return ls_fail(LS_RESOURCE,
                       "the output (%lld, %lld, %lld) takes %.1f GB; %.1f GB of memory and %.1f GB of disk are free. "
                       "Predict a part of %s",
                       (long long)p->rows, (long long)p->length, (long long)p->vocabulary, 1e-9 * bytes, 1e-9 * memory,
                       1e-9 * disk, p->options->input ? p->options->input : "the ids");
    p->output = ls_alloc_array(p->rows * p->length * p->vocabulary, sizeof *p->output);
    p->row_ids = ls_alloc_array(p->rows * p->length, sizeof *p->row_ids);
    if (!p->output || !p->row_ids)
        return LS_RESOURCE;
    for (int64_t i = 0; i < p->rows * p->length; i++)
        p->row_ids[i] = i < p->count ? p->ids[i] : -1;
    return LS_OK;
}

/* ---- Computing --------------------------------------------------------------------------------------------------- */

static LsStatus open_graph(const Prediction *p, int64_t length, LsGraph **graph)
{
    const LsConfig *config = p->model.config;
    *graph = ls_graph_new(p->model.params, &(LsGraphOptions){.mode = LS_EVAL, .precision = ls_train_precision(config)});
    if (!*graph)
        return ls_message_status();
    ls_config_build(config, *graph, 1, length, LS_WANT_OUTPUT);
    return ls_graph_plan(*graph);
}

/* Rows first .. last - 1, each of `length` tokens. */
static LsStatus predict_rows(Prediction *p, int64_t first, int64_t last, int64_t length)
{
    LsGraph *g = NULL;
    LsStatus status = open_graph(p, length, &g);
    for (int64_t row = first; row < last && status == LS_OK; row++) {
        LsTensor *ids = ls_graph_find(g, "ids"), *output = ls_graph_find(g, "output");
        if (!ids || !output || output->count != length * p->vocabulary)
            status = ls_fail(LS_ERROR, "model %s has no output of shape (1, %lld, %lld)", p->model.config->model->name,
                             (long long)length, (long long)p->vocabulary);
        else {
            memcpy(ids->data, p->ids + row * p->length, (size_t)length * sizeof *p->ids);
            status = ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()});
        }
        if (status == LS_OK) {
            float *logits = p->output + row * p->length * p->vocabulary;
            ls_tensor_get(g, output, logits);
            status = ls_predict_check(g, logits, length, p->vocabulary, "token", row * p->length);
        }
    }
    ls_graph_free(g);
    return status;
}

static LsStatus compute(Prediction *p)
{
    int64_t whole = p->count / p->length, rest = p->count % p->length;
    if (whole > 0)
        LS_TRY(predict_rows(p, 0, whole, p->length));
    return rest > 0 ? predict_rows(p, whole, p->rows, rest) : LS_OK;
}

static LsStatus write_output(const Prediction *p)
{
    LsSealed *file = ls_sealed_create(p->options->output, "output", 1, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    const int64_t dim[3] = {p->rows, p->length, p->vocabulary};
    LS_TRY_CLEANUP(ls_sealed_write(file, "output", LS_FILE_FLOAT32, 3, dim, p->output, 0));
    LS_TRY_CLEANUP(ls_sealed_write(file, "ids", LS_FILE_INT32, 2, dim, p->row_ids, 0));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "checkpoint", p->model.path));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "step", p->model.progress.step));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "tokens", p->count));
    status = ls_sealed_commit(file);
    file = NULL;
cleanup:
    ls_sealed_discard(file);
    return status;
}

static LsStatus run(LsCall *call)
{
    Prediction p = {.options = call->options};
    LsStatus status = LS_OK;
    LsOutput *output = NULL;
    LS_TRY_CLEANUP(ls_load(call->operand[0], p.options->best, call->operands - 1, call->operand + 1, &p.model));
    if (!ls_config_task(p.model.config)->streams_ids) {
        status = ls_predict_samples(p.options, &p.model);
        goto cleanup;
    }
    if (p.options->text)
        LS_TRY_CLEANUP(ls_fail(LS_USAGE, "predict --text: the logits of task %s are numbers only: leave --text out",
                               ls_config_task(p.model.config)->name));
    LS_TRY_CLEANUP(read_input(&p));
    LS_TRY_CLEANUP(choose_shape(&p));
    status = ls_output_file(p.options->output, "predict", &output);
    LS_TRY_CLEANUP(status == LS_ERROR ? LS_DATA : status);
    LS_TRY_CLEANUP(compute(&p));
    LS_TRY_CLEANUP(write_output(&p));
    printf("%s: /output (%lld, %lld, %lld) float32, logits of %lld tokens\n", p.options->output, (long long)p.rows,
           (long long)p.length, (long long)p.vocabulary, (long long)p.count);
cleanup:
    ls_output_release(output, status == LS_OK);
    ls_free(p.ids);
    ls_free(p.output);
    ls_free(p.row_ids);
    ls_loaded_free(&p.model);
    return status;
}

const LsCommand ls_command_predict = {
    .name = "predict",
    .summary = "writes a model's raw outputs (logits of every token) to an HDF5 file",
    .operands = "RUN [key=value ...]",
    .least = 1,
    .most = -1,
    .description = "RUN is a run folder (its newest whole checkpoint is taken) or a checkpoint. /output is (B, T, V) "
                   "float32, /ids (B, T) the tokens. "
                   "--ids are one row; longer than the model's context they are refused. A file longer than the "
                   "context is cut into rows, "
                   "each computed by itself; past its end the last row has zeros, and -1 in /ids.",
    .example = "lockstep predict runs/shakespeare-gpt --ids 1,2,3 -o logits.h5\n"
               "lockstep predict runs/shakespeare-gpt --input page.txt -o logits.h5",
    .computes = true,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
