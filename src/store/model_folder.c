#include "store/model_folder.h"

#include "data/tokenizer.h"
#include "base/text.h"
#include "io/file.h"
#include "io/output.h"
#include "store/checkpoint.h"
#include "store/hf_internal.h"
#include "store/native.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

LsStatus ls_model_params(const LsConfig *config, LsParams **params)
{
    *params = ls_params_new();
    LsStatus status = *params ? ls_config_declare(config, *params) : LS_RESOURCE;
    for (int i = 0; status == LS_OK && i < (*params)->count; i++)
        if ((*params)->list[i].count == 0)
            status = ls_fail(LS_USAGE, "parameter %s has shape %s: model.vocabulary is not set",
                             (*params)->list[i].name, ls_dims_text((*params)->list[i].rank, (*params)->list[i].dim));
    if (status == LS_OK)
        status = ls_params_allocate(*params, 0, false);
    if (status != LS_OK) {
        ls_params_free(*params);
        *params = NULL;
    }
    return status;
}

void ls_stored_model_free(LsStoredModel *model)
{
    ls_free(model->path);
    ls_config_free(model->config);
    ls_params_free(model->params);
    ls_free(model->tokenizer);
    ls_free(model->info);
    *model = (LsStoredModel){0};
}

/* A file in a folder; the caller frees it. */
static char *in_folder(const char *folder, const char *name) { return ls_format("%s/%s", folder, name); }

/* ---- A folder read ------------------------------------------------------------------------------------------------------ */

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

static LsStatus read_hf_config(const char *path, const json_t *keys, const char *run, LsConfig **config)
{
    char *yaml = NULL, *output = NULL, *quoted = ls_setting_quote(run ? run : "");
    LsStatus status = quoted ? LS_OK : LS_RESOURCE;
    const LsModel *model = ls_hf_model(path, keys);
    if (status == LS_OK && !model)
        status = LS_DATA;
    if (status == LS_OK)
        status = ls_hf_settings_in(path, model, keys, &yaml);
    if (status == LS_OK && !(output = ls_format("output.path=%s", quoted)))
        status = LS_RESOURCE;
    if (status == LS_OK && !(*config = ls_config_parse(path, yaml, run ? 1 : 0, &output)))
        status = ls_message_status();
    ls_free(yaml);
    ls_free(output);
    ls_free(quoted);
    return status;
}

bool ls_is_model_folder(const char *path)
{
    char *config = in_folder(path, "config.json");
    bool there = config && ls_file_exists(config);
    ls_free(config);
    return there;
}

/* The configuration that the folder's config.json stands for; *native: in which layout. */
static LsStatus read_config(const char *folder, const char *run, bool *native, LsConfig **config)
{
    json_t *keys = NULL;
    char *path = in_folder(folder, "config.json");
    LsStatus status = path ? ls_json_load(path, LS_DATA, &keys) : LS_RESOURCE;
    *native = keys && ls_native_is(keys);
    if (status == LS_OK)
        status = *native ? ls_native_config_in(path, keys, run, config) : read_hf_config(path, keys, run, config);
    json_decref(keys);
    ls_free(path);
    return status;
}

LsStatus ls_stored_model_of_folder(const char *folder, const char *run, LsStoredModel *model)
{
    LsSafetensors *tensors = NULL;
    LsStatus status = LS_OK;
    bool native = false;
    *model = (LsStoredModel){.path = ls_strdup(folder)};
    if (!model->path)
        LS_TRY_CLEANUP(LS_RESOURCE);
    LS_TRY_CLEANUP(read_config(folder, run, &native, &model->config));
    LS_TRY_CLEANUP(read_tokenizer(folder, model->config, &model->tokenizer));
    if (native)
        LS_TRY_CLEANUP(ls_native_info_in(folder, &model->info));
    LS_TRY_CLEANUP(open_tensors(folder, &tensors));
    status = ls_model_params(model->config, &model->params);
    if (status == LS_USAGE)
        status = ls_fail_in(LS_DATA, "%s/config.json", folder);
    LS_TRY_CLEANUP(status);
    LS_TRY_CLEANUP(native ? ls_native_tensors_in(tensors, model->params)
                          : ls_hf_tensors_in(model->config->model, tensors, model->params));
cleanup:
    ls_safetensors_close(tensors);
    return status;
}

/* ---- Import ------------------------------------------------------------------------------------------------------ */

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
static LsStatus write_run(const char *run, const LsStoredModel *model)
{
    char *yaml = ls_config_yaml(model->config), *checkpoint = ls_checkpoint_path(run, 0),
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
        LsSaved running = model->params->running ? ls_saved_running(model->params) : (LsSaved){0};
        status =
            ls_checkpoint_save(checkpoint, model->params, model->params->running != NULL, &running, &progress,
                               &(LsSavedTexts){.config = yaml, .tokenizer = model->tokenizer, .info = model->info});
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

LsStatus ls_model_import(const char *folder, const char *run)
{
    LsStoredModel model = {0};
    int64_t *steps = NULL;
    int count = 0;
    LsStatus status = LS_OK;
    LsOutput *output = NULL;
    LS_TRY_CLEANUP(ls_output_folder(run, "import", ls_run_temporaries, &output));
    LS_TRY_CLEANUP(ls_checkpoint_clean(run));
    LS_TRY_CLEANUP(ls_checkpoint_steps(run, &steps, &count));
    if (count)
        LS_TRY_CLEANUP(ls_fail(LS_USAGE, "%s: this run folder has checkpoints already; import into another one", run));
    LS_TRY_CLEANUP(ls_stored_model_of_folder(folder, run, &model));
    LS_TRY_CLEANUP(write_run(run, &model));
cleanup:
    ls_output_release(output, status == LS_OK);
    ls_stored_model_free(&model);
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
        if (json_is_object(value) && digits_needed(value) == 17)
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

/* The native layout's tokenizer is the run's to the letter; the kind's own files stand beside it. */
static LsStatus write_tokenizer(const LsTokenizer *tokenizer, const char *json, const char *folder, bool native)
{
    LS_TRY(ls_tokenizer_write_folder(tokenizer, folder));
    char *path = native ? in_folder(folder, LS_TOKENIZER_OWN_FILE) : NULL;
    LsStatus status = !native ? LS_OK : path ? ls_file_replace(path, json, (int64_t)strlen(json)) : LS_RESOURCE;
    ls_free(path);
    return status;
}

static LsStatus make_keys(const LsConfig *config, const LsTokenizer *tokenizer, bool native, json_t **keys)
{
    if (native)
        return ls_native_config_out(config, keys);
    LsStatus status =
        ls_hf_settings_out(config->model, config->model_config, tokenizer ? ls_tokenizer_end(tokenizer) : -1, keys);
    return status == LS_USAGE ? ls_fail(status, "%s; --native writes the layout that holds every model", ls_message())
                              : status;
}

/* What cannot be expressed is found before the folder is made. */
static LsStatus write_folder(const char *folder, const LsStoredModel *model, bool native)
{
    char *path = in_folder(folder, "model.safetensors");
    json_t *keys = NULL;
    LsOutput *output = NULL;
    LsTokenizer *tokenizer = model->tokenizer ? ls_tokenizer_from_json(model->tokenizer) : NULL;
    LsStatus status = LS_OK;
    if (!path || (model->tokenizer && !tokenizer))
        LS_TRY_CLEANUP(ls_message_status());
    LS_TRY_CLEANUP(make_keys(model->config, tokenizer, native, &keys));
    LS_TRY_CLEANUP(
        ls_output_folder(folder, "export", (const char *const[]){"*.safetensors", "*.json", "*.txt", NULL}, &output));
    LS_TRY_CLEANUP(native ? ls_native_tensors_out(model->params, path)
                          : ls_hf_tensors_out(model->config->model, model->params, path));
    if (tokenizer)
        LS_TRY_CLEANUP(write_tokenizer(tokenizer, model->tokenizer, folder, native));
    if (native)
        LS_TRY_CLEANUP(ls_native_info_out(folder, model->info));
    status = write_config(folder, keys); /* last: with it the folder is a model */
cleanup:
    ls_output_release(output, status == LS_OK);
    ls_tokenizer_free(tokenizer);
    json_decref(keys);
    ls_free(path);
    return status;
}

static LsStatus copy_text(const char *text, char **copy)
{
    *copy = text ? ls_strdup(text) : NULL;
    return text && !*copy ? LS_RESOURCE : LS_OK;
}

LsStatus ls_stored_model_of_run(const char *run, LsStoredModel *model)
{
    LsCheckpoint *checkpoint = NULL;
    LsStatus status = LS_OK;
    *model = (LsStoredModel){0};
    LS_TRY_CLEANUP(ls_checkpoint_best(run, &checkpoint));
    if (!checkpoint)
        LS_TRY_CLEANUP(ls_fail(LS_CHECKPOINT, "%s: has no checkpoint", run));
    model->config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    if (!model->config)
        LS_TRY_CLEANUP(ls_message_status());
    LS_TRY_CLEANUP(copy_text(checkpoint->path, &model->path));
    LS_TRY_CLEANUP(copy_text(checkpoint->tokenizer, &model->tokenizer));
    LS_TRY_CLEANUP(copy_text(checkpoint->info, &model->info));
    LS_TRY_CLEANUP(ls_model_params(model->config, &model->params));
    LsSaved running = model->params->running ? ls_saved_running(model->params) : (LsSaved){0};
    LS_TRY_CLEANUP(ls_checkpoint_read(checkpoint, model->params, model->params->running != NULL, &running));
cleanup:
    ls_checkpoint_close(checkpoint);
    return status;
}

LsStatus ls_stored_model(const char *path, LsStoredModel *model)
{
    return ls_is_model_folder(path) ? ls_stored_model_of_folder(path, NULL, model)
                                    : ls_stored_model_of_run(path, model);
}

LsStatus ls_stored_config(const char *path, LsConfig **config)
{
    LsCheckpoint *checkpoint = NULL;
    bool native;
    *config = NULL;
    if (ls_is_model_folder(path))
        return read_config(path, NULL, &native, config);
    LS_TRY(ls_checkpoint_best(path, &checkpoint));
    if (!checkpoint)
        return ls_fail(LS_CHECKPOINT, "%s: has no checkpoint", path);
    *config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    ls_checkpoint_close(checkpoint);
    return *config ? LS_OK : ls_message_status() == LS_RESOURCE ? LS_RESOURCE : LS_CHECKPOINT;
}

LsStatus ls_model_export(const char *run, const char *folder, LsLayout layout, const char **written)
{
    LsStoredModel model = {0};
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_stored_model_of_run(run, &model));
    bool native = layout == LS_LAYOUT_NATIVE || !model.config->model->hf;
    LS_TRY_CLEANUP(write_folder(folder, &model, native));
    if (written)
        *written = native ? LS_NATIVE_TYPE : model.config->model->hf->model_type;
cleanup:
    ls_stored_model_free(&model);
    return status;
}
