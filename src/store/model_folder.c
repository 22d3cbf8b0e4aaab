#include "store/model_folder.h"

#include "data/tokenizer.h"
#include "base/text.h"
#include "config/other_names.h"
#include "io/file.h"
#include "io/output.h"
#include "store/below.h"
#include "store/checkpoint.h"
#include "store/export_files.h"
#include "store/hf_internal.h"
#include "store/lora.h"
#include "store/native.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* Copies are made of what cannot compute too, but not without a word. */
static void warn_not_finite(const char *path, const LsParams *params)
{
    int64_t bad = 0;
    int bad_params = 0, first = -1;
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        int64_t here = 0;
        for (int64_t j = 0; j < p->count; j++)
            here += !isfinite(params->value[p->offset + j]);
        first = here > 0 && first < 0 ? i : first;
        bad_params += here > 0;
        bad += here;
    }
    if (bad > 0)
        ls_warn(
            "%s: %lld values of %d parameters are not finite, the first in %s: what such a model says is not either",
            path, (long long)bad, bad_params, params->list[first].name);
}

/* A file in a folder; the caller frees it. */
static char *in_folder(const char *folder, const char *name) { return ls_format("%s/%s", folder, name); }

/* ---- A folder read ----------------------------------------------------------------------------------------------- */

/* A file of weights in the place of a folder. */
static bool is_weights_file(const char *path)
{
    static const char ending[] = ".safetensors";
    size_t length = strlen(path), end = sizeof ending - 1;
    struct stat about;
    return length > end && strcmp(path + length - end, ending) == 0 && stat(path, &about) == 0 &&
           S_ISREG(about.st_mode);
}

static LsStatus open_tensors(const char *folder, LsSafetensors **tensors)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    if (is_weights_file(folder))
        return ls_safetensors_open(folder, LS_DATA, tensors);
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
    if (is_weights_file(folder))
        return LS_OK;
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

bool ls_is_model_folder(const char *path)
{
    return ls_file_exists_in(path, "config.json") || ls_file_exists_in(path, "model.safetensors") ||
           is_weights_file(path);
}

/* A folder as it is read. */
typedef struct Folder {
    LsSafetensors *tensors;
    bool native;
    LsHfForm form; /* not native */
    LsConfig *config;
    char *info;
} Folder;

static void close_folder(Folder *folder)
{
    ls_safetensors_close(folder->tensors);
    ls_config_free(folder->config);
    ls_free(folder->info);
}

/* Its configuration, and what the tensors are; close_folder after a failure too. */
static LsStatus open_folder(const char *name, const char *run, Folder *folder)
{
    json_t *keys = NULL, *markers = NULL;
    LsStatus status = LS_OK;
    bool bare = is_weights_file(name) ||
                (!ls_file_exists_in(name, "config.json") && ls_file_exists_in(name, "model.safetensors"));
    char *path = bare ? ls_strdup(name) : in_folder(name, "config.json");
    if (!path)
        LS_TRY_CLEANUP(LS_RESOURCE);
    if (bare) {
        LS_TRY_CLEANUP(open_tensors(name, &folder->tensors));
        LS_TRY_CLEANUP(ls_hf_recognise(path, folder->tensors, &keys));
    } else {
        status = ls_json_load(path, LS_DATA, &keys);
        if (status == LS_DATA && !ls_file_exists(path) && ls_models_below(name)[0])
            status = ls_fail(LS_DATA, "%s: has no config.json%s", name, ls_models_below(name));
        LS_TRY_CLEANUP(status);
        folder->native = ls_native_is(keys);
        LS_TRY_CLEANUP(open_tensors(name, &folder->tensors));
    }
    if (folder->native) {
        LS_TRY_CLEANUP(ls_native_config_in(path, keys, run, &folder->config));
        LS_TRY_CLEANUP(ls_native_info_in(name, &folder->info));
    } else {
        LS_TRY_CLEANUP(ls_hf_find(path, keys, folder->tensors, &folder->form));
        LS_TRY_CLEANUP(ls_hf_template_in(name, &markers));
        LS_TRY_CLEANUP(ls_hf_config_in(path, &folder->form, keys, run, markers, &folder->config, &folder->info));
        int64_t vocabulary = 0;
        ls_config_model_int(folder->config, "vocabulary", &vocabulary);
        LS_TRY_CLEANUP(ls_hf_tokens_in(name, path, keys, vocabulary, &folder->info));
        if (markers)
            LS_TRY_CLEANUP(ls_hf_info_set(&folder->info, LS_HF_TEMPLATE, markers));
    }
cleanup:
    json_decref(keys);
    json_decref(markers);
    ls_free(path);
    return status;
}

LsStatus ls_stored_model_of_folder(const char *name, const char *run, LsStoredModel *model)
{
    Folder folder = {0};
    LsStatus status = LS_OK;
    *model = (LsStoredModel){.path = ls_strdup(name)};
    if (!model->path)
        LS_TRY_CLEANUP(LS_RESOURCE);
    LS_TRY_CLEANUP(open_folder(name, run, &folder));
    LS_TRY_CLEANUP(read_tokenizer(name, folder.config, &model->tokenizer));
    status = ls_model_params(folder.config, &model->params);
    if (status == LS_USAGE)
        status = ls_fail_in(LS_DATA, "%s/config.json", name);
    LS_TRY_CLEANUP(status);
    LS_TRY_CLEANUP(folder.native
                       ? ls_native_tensors_in(folder.tensors, model->params)
                       : ls_hf_tensors_in(&folder.form, folder.config->model_config, folder.tensors, model->params));
    model->config = folder.config;
    model->info = folder.info;
    folder.config = NULL;
    folder.info = NULL;
cleanup:
    close_folder(&folder);
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
        if (status != LS_OK) /* it may be in its place, where only the folder could not be synchronised */
            unlink(checkpoint);
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

/* What people name in the place of a folder of weights. */
static LsStatus refuse_runs(const char *path)
{
    const char *setting = ls_setting_of_file(path);
    bool checkpoint = setting && strcmp(setting, "train.init") == 0;
    if (!checkpoint && (ls_is_model_folder(path) || !ls_file_exists_in(path, "config.yaml")))
        return LS_OK;
    return ls_fail(LS_USAGE, "%s: is a %s already, which eval, generate, export and train.init take as it is", path,
                   checkpoint ? "checkpoint" : "run");
}

LsStatus ls_model_import(const char *folder, const char *run)
{
    LsStoredModel model = {0};
    int64_t *steps = NULL;
    int count = 0;
    LsStatus status = LS_OK;
    LsOutput *output = NULL;
    LS_TRY_CLEANUP(refuse_runs(folder));
    LS_TRY_CLEANUP(ls_output_folder(run, "import", ls_run_temporaries, &output));
    LS_TRY_CLEANUP(ls_checkpoint_clean(run));
    LS_TRY_CLEANUP(ls_checkpoint_steps(run, &steps, &count));
    if (count)
        LS_TRY_CLEANUP(ls_fail(LS_USAGE, "%s: this run folder has checkpoints already; import into another one", run));
    LS_TRY_CLEANUP(ls_stored_model_of_folder(folder, run, &model));
    warn_not_finite(folder, model.params);
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
        for (size_t i = 0; i < json_array_size(value); i++) {
            snprintf(text, sizeof text, "%.15g", json_real_value(json_array_get(value, i)));
            if (strtod(text, NULL) != json_real_value(json_array_get(value, i)))
                return 17;
        }
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

/* Where several tokens end a text, config.json lists them: the first is the tokenizer's own. */
static LsStatus write_ends(const LsTokenizer *tokenizer, json_t *keys)
{
    const int32_t *more = NULL;
    int64_t count = tokenizer ? ls_tokenizer_more_ends(tokenizer, &more) : 0;
    if (count == 0)
        return LS_OK;
    json_t *ends = json_pack("[I]", (json_int_t)ls_tokenizer_end(tokenizer));
    int failed = !ends;
    for (int64_t i = 0; i < count; i++)
        failed |= json_array_append_new(ends, json_integer(more[i]));
    failed |= json_object_set_new(keys, "eos_token_id", ends);
    return failed ? ls_fail(LS_RESOURCE, "out of memory for config.json") : LS_OK;
}

/* config.json's keys; native or form say in which layout. */
static LsStatus make_keys(const LsStoredModel *model, const LsTokenizer *tokenizer, bool native, LsHfForm *form,
                          json_t **keys)
{
    if (native)
        return ls_native_config_out(model->config, keys);
    LsStatus status = ls_hf_find_for(model->config, form);
    if (status == LS_OK)
        status = ls_hf_config_out(form, model->config, tokenizer ? ls_tokenizer_end(tokenizer) : -1, model->info, keys);
    if (status == LS_OK && tokenizer && ls_tokenizer_begin(tokenizer) >= 0)
        json_object_set_new(*keys, "bos_token_id", json_integer((json_int_t)ls_tokenizer_begin(tokenizer)));
    if (status == LS_OK)
        status = write_ends(tokenizer, *keys);
    if (status == LS_OK)
        status = ls_hf_token_ids_out(model->info, *keys);
    return status == LS_USAGE ? ls_fail(status, "%s; --native writes the layout that holds every model", ls_message())
                              : status;
}

/* Settings that the layout cannot express are found before the folder is made. */
static LsStatus write_folder(const char *folder, const LsStoredModel *model, bool native, const char **written)
{
    char *path = in_folder(folder, "model.safetensors");
    json_t *keys = NULL;
    LsOutput *output = NULL;
    LsOlderFiles older = {0};
    LsTokenizer *tokenizer = model->tokenizer ? ls_tokenizer_from_json(model->tokenizer) : NULL;
    LsHfForm form = {0};
    LsStatus status = LS_OK;
    if (!path || (model->tokenizer && !tokenizer))
        LS_TRY_CLEANUP(ls_message_status());
    LS_TRY_CLEANUP(make_keys(model, tokenizer, native, &form, &keys));
    LS_TRY_CLEANUP(ls_output_folder(folder, "export", ls_export_names, &output));
    LS_TRY_CLEANUP(ls_export_check_folder(folder));
    ls_older_files_find(&older, folder);
    LS_TRY_CLEANUP(native ? ls_native_tensors_out(model->params, path)
                          : ls_hf_tensors_out(&form, model->config->model_config, model->params, path));
    if (tokenizer)
        LS_TRY_CLEANUP(write_tokenizer(tokenizer, model->tokenizer, folder, native));
    LS_TRY_CLEANUP(native ? ls_native_info_out(folder, model->info) : ls_hf_generation_out(folder, model->info));
    if (!native)
        LS_TRY_CLEANUP(ls_hf_template_out(folder, model->info));
    if (written)
        *written = native ? LS_NATIVE_TYPE : form.hf->model_type;
    LS_TRY_CLEANUP(write_config(folder, keys)); /* last: with it the folder is a model */
    ls_older_files_warn(&older, folder);
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

LsStatus ls_stored_model_of_run(const char *run, int overrides, char *const *override, LsStoredModel *model)
{
    LsCheckpoint *checkpoint = NULL;
    LsStatus status = LS_OK;
    *model = (LsStoredModel){0};
    LS_TRY_CLEANUP(ls_checkpoint_best(run, &checkpoint));
    if (!checkpoint)
        LS_TRY_CLEANUP(ls_fail(LS_CHECKPOINT, "%s: has no checkpoint", run));
    model->config = ls_config_parse(checkpoint->path, checkpoint->config, overrides, override);
    if (!model->config)
        LS_TRY_CLEANUP(ls_message_status());
    LS_TRY_CLEANUP(copy_text(checkpoint->path, &model->path));
    LS_TRY_CLEANUP(copy_text(checkpoint->tokenizer, &model->tokenizer));
    LS_TRY_CLEANUP(copy_text(checkpoint->info, &model->info));
    int64_t rank = ls_lora_take_off(model->config);
    LS_TRY_CLEANUP(ls_model_params(model->config, &model->params));
    LS_TRY_CLEANUP(ls_model_read(checkpoint, model->config, rank, model->params));
cleanup:
    ls_checkpoint_close(checkpoint);
    return status;
}

LsStatus ls_stored_model(const char *path, LsStoredModel *model)
{
    return ls_is_model_folder(path) ? ls_stored_model_of_folder(path, NULL, model)
                                    : ls_stored_model_of_run(path, 0, NULL, model);
}

LsStatus ls_stored_config(const char *path, LsConfig **config)
{
    LsCheckpoint *checkpoint = NULL;
    *config = NULL;
    if (ls_is_model_folder(path)) {
        Folder folder = {0};
        LsStatus status = open_folder(path, NULL, &folder);
        if (status == LS_OK) {
            *config = folder.config;
            folder.config = NULL;
        }
        close_folder(&folder);
        return status;
    }
    LS_TRY(ls_checkpoint_best(path, &checkpoint));
    if (!checkpoint)
        return ls_fail(LS_CHECKPOINT, "%s: has no checkpoint%s", path, ls_models_below(path));
    *config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    ls_checkpoint_close(checkpoint);
    return *config ? LS_OK : ls_message_status() == LS_RESOURCE ? LS_RESOURCE : LS_CHECKPOINT;
}

LsStatus ls_model_export(const char *run, int overrides, char *const *override, const char *folder, LsLayout layout,
                         const char **written)
{
    LsStoredModel model = {0};
    LsStatus status = LS_OK;
    if (ls_file_exists_in(folder, "config.yaml")) /* train.init and others would take the weights for the run's */
        return ls_fail(LS_USAGE, "%s: is a run; export to a folder of its own", folder);
    LS_TRY_CLEANUP(ls_stored_model_of_run(run, overrides, override, &model));
    warn_not_finite(run, model.params);
    bool native = layout == LS_LAYOUT_NATIVE || !model.config->model->hf;
    LS_TRY_CLEANUP(write_folder(folder, &model, native, written));
cleanup:
    ls_stored_model_free(&model);
    return status;
}
