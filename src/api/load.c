#include "api/load.h"

#include "data/data.h"
#include "io/file.h"
#include "store/below.h"
#include "store/lora.h"
#include "store/model_folder.h"
#include "train/train.h"

#include <string.h>

/* Declares the model's parameters and gives them memory: what generation in this
 * precision needs, or (NULL) floats. */
static LsStatus declare(LsLoaded *loaded, const LsGeneratePrecision *precision)
{
    loaded->params = ls_params_new();
    if (!loaded->params)
        return ls_message_status();
    LS_TRY(ls_config_declare(loaded->config, loaded->params));
    return precision ? ls_generate_freeze(loaded->config, *precision, loaded->params)
                     : ls_params_allocate(loaded->params, 0, false);
}

/* Weights of other programs must be imported before they can be loaded. */
static LsStatus refuse_weights(const char *path)
{
    int64_t *steps = NULL;
    int count = 0;
    if (!ls_is_model_folder(path))
        return LS_OK;
    LS_TRY(ls_checkpoint_steps(path, &steps, &count));
    ls_free(steps);
    if (count > 0)
        return LS_OK;
    return ls_fail(LS_CHECKPOINT, "%s: these are weights, not a run: 'lockstep import %s -o RUN' makes a run of them",
                   path, path);
}

/* The run's configuration. Where another data set alone is named, its kind is the file's. */
static LsStatus read_config(const LsCheckpoint *checkpoint, int overrides, char *const *override, LsLoaded *loaded)
{
    const LsDataKind *kind = ls_data_kind_overridden(overrides, override);
    char **all = ls_alloc_array(overrides + 1, sizeof *all),
         *more = kind ? ls_format("data.kind=%s", kind->name) : NULL;
    loaded->path = ls_strdup(checkpoint->path);
    if (all && loaded->path && (more || !kind)) {
        for (int i = 0; i < overrides; i++)
            all[i] = override[i];
        all[overrides] = more;
        loaded->config = ls_config_parse(loaded->path, checkpoint->config, overrides + (more != NULL), all);
    }
    ls_free(more);
    ls_free(all);
    if (loaded->config)
        return LS_OK;
    return ls_message_status() == LS_RESOURCE ? LS_RESOURCE : overrides > 0 ? LS_USAGE : LS_CHECKPOINT;
}

static LsStatus load(const char *run, bool best, int overrides, char *const *override,
                     const LsGeneratePrecision *precision, LsLoaded *loaded)
{
    LsCheckpoint *checkpoint = NULL;
    LsStatus status = LS_OK;
    *loaded = (LsLoaded){0};
    if (!ls_file_exists(run))
        return ls_fail(LS_CHECKPOINT, "%s: there is no such run folder or checkpoint", run);
    LS_TRY(refuse_weights(run));
    LS_TRY(best ? ls_checkpoint_best(run, &checkpoint) : ls_checkpoint_newest(run, &checkpoint));
    if (!checkpoint)
        return ls_fail(LS_CHECKPOINT, "%s: there is no checkpoint in it; a run folder or a checkpoint is asked for%s",
                       run, ls_models_below(run));
    loaded->progress = checkpoint->progress;
    LS_TRY_CLEANUP(read_config(checkpoint, overrides, override, loaded));
    if (checkpoint->tokenizer && !(loaded->tokenizer = ls_tokenizer_from_json(checkpoint->tokenizer))) {
        status = ls_fail_in(LS_CHECKPOINT, "%s: its tokenizer", loaded->path);
        goto cleanup;
    }
    if (checkpoint->info && !(loaded->info = json_loads(checkpoint->info, 0, NULL))) {
        status = ls_fail(LS_CHECKPOINT, "%s: its info is no JSON", loaded->path);
        goto cleanup;
    }
    int64_t rank = ls_lora_take_off(loaded->config);
    LS_TRY_CLEANUP(declare(loaded, precision));
    LS_TRY_CLEANUP(ls_model_read(checkpoint, loaded->config, rank, loaded->params));
cleanup:
    ls_checkpoint_close(checkpoint);
    return status;
}

LsStatus ls_load(const char *run, bool best, int overrides, char *const *override, LsLoaded *loaded)
{
    return load(run, best, overrides, override, NULL, loaded);
}

LsStatus ls_load_for_generation(const char *run, bool best, int overrides, char *const *override,
                                LsGeneratePrecision precision, LsLoaded *loaded)
{
    return load(run, best, overrides, override, &precision, loaded);
}

void ls_loaded_free(LsLoaded *loaded)
{
    ls_params_free(loaded->params);
    ls_tokenizer_free(loaded->tokenizer);
    json_decref(loaded->info);
    ls_config_free(loaded->config);
    ls_free(loaded->path);
    *loaded = (LsLoaded){0};
}

LsGeneratePrecision ls_precision_named(const char *name)
{
    static const char *const names[] = {
        [LS_GENERATE_FLOAT] = "float", [LS_GENERATE_BFLOAT16] = "bfloat16", [LS_GENERATE_INT8] = "int8"};
    for (size_t i = LS_GENERATE_FLOAT; i < LS_COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (LsGeneratePrecision)i;
    return LS_GENERATE_AS_TRAINED;
}

/* (V) the model's ids that its tokenizer lacks: a vocabulary may be padded. NULL with LS_OK where it lacks none. */
static LsStatus find_padding(const LsLoaded *model, bool **never)
{
    int64_t vocabulary = 0, lacking = 0;
    *never = NULL;
    if (!model->tokenizer || !ls_config_model_int(model->config, "vocabulary", &vocabulary))
        return LS_OK;
    bool *list = ls_alloc_array(vocabulary, sizeof *list);
    for (int64_t id = 0; list && id < vocabulary; id++)
        lacking += list[id] = !ls_tokenizer_has(model->tokenizer, id);
    if (lacking > 0)
        *never = list;
    else
        ls_free(list);
    return list ? LS_OK : LS_RESOURCE;
}

void ls_sampling_stop_at_ends(LsSampling *sampling, const LsTokenizer *tokenizer)
{
    sampling->stop = tokenizer ? (int32_t)ls_tokenizer_end(tokenizer) : -1;
    sampling->more_stops = tokenizer ? ls_tokenizer_more_ends(tokenizer, &sampling->more_stop) : 0;
}

LsStatus ls_loaded_generate(const LsLoaded *model, const int32_t *prompt, int64_t count, LsSampling *sampling,
                            LsTokenSink sink, void *self, LsGenerationSpeed *speed)
{
    bool *never = NULL;
    LS_TRY(find_padding(model, &never));
    sampling->never = never;
    LsStatus status = ls_generate(model->config, model->params, prompt, count, sampling, sink, self, speed);
    sampling->never = NULL;
    ls_free(never);
    return status;
}
