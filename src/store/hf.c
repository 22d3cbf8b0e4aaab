#include "store/hf.h"

#include "data/tokenizer.h"
#include "io/file.h"
#include "io/output.h"
#include "store/checkpoint.h"
#include "store/hf_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

LsStatus ls_hf_params(const LsConfig *config, LsParams **params)
{
    *params = ls_params_new();
    if (!*params)
        return LS_RESOURCE;
    LsGraph *g = ls_graph_new(*params, &(LsGraphOptions){.mode = LS_EVAL});
    LsStatus status = g ? LS_OK : ls_message_status();
    if (g) {
        ls_config_build(config, g, 1, 1, LS_WANT_OUTPUT);
        status = ls_graph_plan_dry(g);
    }
    ls_graph_free(g);
    if (status == LS_OK)
        status = ls_params_allocate(*params, 0, false);
    if (status != LS_OK) {
        ls_params_free(*params);
        *params = NULL;
    }
    return status;
}

/* A file in a folder; the caller frees it. */
static char *in_folder(const char *folder, const char *name) { return ls_format("%s/%s", folder, name); }

/* ---- Import ------------------------------------------------------------------------------------------------------ */

static LsStatus open_tensors(const char *folder, LsSafetensors **tensors)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        char *path = in_folder(folder, names[i]);
        if (!path)
            return LS_RESOURCE;
        bool there = ls_file_exists(path);
        LsStatus status = there ? ls_safetensors_open(path, LS_DATA, tensors) : LS_OK;
        ls_free(path);
        if (there)
            return status;
    }
    return ls_fail(
        LS_DATA,
        "%s: has neither model.safetensors nor model.safetensors.index.json; save the model as safetensors first",
        folder);
}

/* JSON of the folder's tokenizer, NULL where it has none; its ids must fit the model. */
static LsStatus read_tokenizer(const char *folder, const LsConfig *config, char **json)
{
    *json = NULL;
    ls_clear_message();
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
    if (!tokenizer)
        return ls_message()[0] ? ls_message_status() : LS_OK;
    int64_t vocabulary = 0, tokens = ls_tokenizer_vocabulary(tokenizer);
    LsStatus status = LS_OK;
    if (ls_config_model_int(config, "vocabulary", &vocabulary) && tokens > vocabulary)
        status = ls_fail(LS_DATA, "%s: its tokenizer has %lld tokens, its model %lld", folder, (long long)tokens,
                         (long long)vocabulary);
    else if (!(*json = ls_tokenizer_to_json(tokenizer)))
        status = LS_RESOURCE;
    ls_tokenizer_free(tokenizer);
    return status;
}

/* The configuration that config.json stands for. */
static LsStatus read_config(const char *folder, const char *run, LsConfig **config)
{
    json_t *keys = NULL;
    char *yaml = NULL, *output = NULL, *path = in_folder(folder, "config.json"), *quoted = ls_setting_quote(run);
    LsStatus status = path && quoted ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = ls_json_load(path, LS_DATA, &keys);
    const LsModel *model = status == LS_OK ? ls_hf_model(path, keys) : NULL;
    if (status == LS_OK && !model)
        status = LS_DATA;
    if (status == LS_OK)
        status = ls_hf_settings_in(path, model, keys, &yaml);
    if (status == LS_OK && !(output = ls_format("output.path=%s", quoted)))
        status = LS_RESOURCE;
    if (status == LS_OK && !(*config = ls_config_parse(path, yaml, 1, &output)))
        status = ls_message_status();
    json_decref(keys);
    ls_free(path);
    ls_free(yaml);
    ls_free(output);
    ls_free(quoted);
    return status;
}

/* A config.yaml that is there already must be that of this very import, which was killed. *there: it is. */
static LsStatus check_config(const char *path, const char *yaml, bool *there)
{
    char *text = NULL;
    int64_t bytes = 0;
    *there = ls_file_exists(path);
    if (!*there)
        return LS_OK;
    LS_TRY(ls_file_read(path, LS_USAGE, &text, &bytes));
    bool same = strcmp(text, yaml) == 0;
    ls_free(text);
    return same
               ? LS_OK
               : ls_fail(LS_USAGE, "%s: is there already, and is not of this import; import into another folder", path);
}

/* The checkpoint comes last: a folder without one is no run, and importing again goes through. */
static LsStatus write_run(const char *run, const LsConfig *config, const LsParams *params, const char *tokenizer)
{
    char *yaml = ls_config_yaml(config), *checkpoint = ls_checkpoint_path(run, 0),
         *path = in_folder(run, "config.yaml");
    char *folder = in_folder(run, "checkpoints");
    LsStatus status = yaml && checkpoint && path && folder ? LS_OK : LS_RESOURCE;
    LsProgress progress = {.best_score = HUGE_VAL, .best_step = -1};
    bool ours = false;
    if (status == LS_OK)
        status = check_config(path, yaml, &ours);
    if (status == LS_OK)
        status = ls_file_replace(path, yaml, (int64_t)strlen(yaml));
    if (status == LS_OK) {
        status = ls_checkpoint_save(checkpoint, params, 0, NULL, &progress,
                                    &(LsSavedTexts){.config = yaml, .tokenizer = tokenizer});
        if (status != LS_OK && !ours)
            unlink(path);
    }
    if (status != LS_OK && folder) /* where it is empty */
        rmdir(folder);
    ls_free(yaml);
    ls_free(checkpoint);
    ls_free(path);
    ls_free(folder);
    return status;
}

LsStatus ls_hf_import(const char *folder, const char *run)
{
    LsConfig *config = NULL;
    LsParams *params = NULL;
    LsSafetensors *tensors = NULL;
    char *tokenizer = NULL;
    int64_t *steps = NULL;
    int count = 0;
    LsStatus status = LS_OK;
    LsOutput *output = NULL;
    LS_TRY_CLEANUP(ls_output_folder(run, "import", ls_run_temporaries, &output));
    LS_TRY_CLEANUP(ls_checkpoint_clean(run));
    LS_TRY_CLEANUP(ls_checkpoint_steps(run, &steps, &count));
    if (count)
        LS_TRY_CLEANUP(ls_fail(LS_USAGE, "%s: this run folder has checkpoints already; import into another one", run));
    LS_TRY_CLEANUP(read_config(folder, run, &config));
    LS_TRY_CLEANUP(read_tokenizer(folder, config, &tokenizer));
    LS_TRY_CLEANUP(open_tensors(folder, &tensors));
    LS_TRY_CLEANUP(ls_hf_params(config, &params));
    LS_TRY_CLEANUP(ls_hf_tensors_in(config->model, tensors, params));
    LS_TRY_CLEANUP(write_run(run, config, params, tokenizer));
cleanup:
    ls_output_release(output, status == LS_OK);
    ls_config_free(config);
    ls_params_free(params);
    ls_safetensors_close(tensors);
    ls_free(tokenizer);
    ls_free(steps);
    return status;
}

/* ---- Export ------------------------------------------------------------------------------------------------------ */

/* 15 digits where they say all of a number, 17 where they do not: 0.02, not 0.02000000000000000042. */
static int digits_needed(const json_t *keys)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)keys, name, value)
    {
        char text[40];
        snprintf(text, sizeof text, "%.15g", json_real_value(value));
        if (json_is_real(value) && strtod(text, NULL) != json_real_value(value))
            return 17;
    }
    return 15;
}

static LsStatus write_config(const char *folder, const json_t *keys)
{
    char *text = json_dumps(keys, JSON_INDENT(2) | JSON_SORT_KEYS | (size_t)JSON_REAL_PRECISION(digits_needed(keys)));
    char *path = in_folder(folder, "config.json");
    LsStatus status = text && path ? ls_file_replace(path, text, (int64_t)strlen(text))
                                   : ls_fail(LS_RESOURCE, "out of memory for config.json");
    free(text);
    ls_free(path);
    return status;
}

/* What cannot be expressed is found before the folder is made. */
static LsStatus write_folder(const char *folder, const LsConfig *config, const LsParams *params, const char *json)
{
    char *path = in_folder(folder, "model.safetensors");
    json_t *keys = NULL;
    LsOutput *output = NULL;
    LsTokenizer *tokenizer = json ? ls_tokenizer_from_json(json) : NULL;
    LsStatus status = !path ? LS_RESOURCE : json && !tokenizer ? ls_message_status() : LS_OK;
    if (status == LS_OK)
        status = ls_hf_settings_out(config->model, config->model_config, tokenizer ? ls_tokenizer_end(tokenizer) : -1,
                                    &keys);
    if (status == LS_OK)
        status = ls_output_folder(folder, "export", (const char *const[]){"*.safetensors", "*.json", "*.txt", NULL},
                                  &output);
    if (status == LS_OK)
        status = ls_hf_tensors_out(config->model, params, path);
    if (status == LS_OK && tokenizer)
        status = ls_tokenizer_write_folder(tokenizer, folder);
    if (status == LS_OK) /* last: with it the folder is a model */
        status = write_config(folder, keys);
    ls_output_release(output, status == LS_OK);
    ls_tokenizer_free(tokenizer);
    json_decref(keys);
    ls_free(path);
    return status;
}

LsStatus ls_hf_export(const char *run, const char *folder)
{
    LsCheckpoint *checkpoint = NULL;
    LsConfig *config = NULL;
    LsParams *params = NULL;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_checkpoint_best(run, &checkpoint));
    if (!checkpoint)
        LS_TRY_CLEANUP(ls_fail(LS_CHECKPOINT, "%s: has no checkpoint", run));
    config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    if (!config)
        LS_TRY_CLEANUP(ls_message_status());
    if (!config->model->hf)
        LS_TRY_CLEANUP(
            ls_fail(LS_USAGE, "%s: there is no Hugging Face layout for the model %s", run, config->model->name));
    LS_TRY_CLEANUP(ls_hf_params(config, &params));
    LS_TRY_CLEANUP(ls_checkpoint_read(checkpoint, params, 0, NULL));
    LS_TRY_CLEANUP(write_folder(folder, config, params, checkpoint->tokenizer));
cleanup:
    ls_checkpoint_close(checkpoint);
    ls_config_free(config);
    ls_params_free(params);
    return status;
}
