#include "cli/load.h"

#include "io/file.h"
#include "train/train.h"

#include <string.h>

/* Declares the model's parameters by building its smallest graph, and gives them memory. */
static LsStatus declare(LsLoaded *loaded)
{
    loaded->params = ls_params_new();
    LsGraph *g = loaded->params ? ls_graph_new(loaded->params, &(LsGraphOptions){.mode = LS_EVAL}) : NULL;
    if (!g)
        return ls_message_status();
    loaded->config->model->build(g, loaded->config->model_config, &(LsShape){1, 1, LS_WANT_LOSS});
    LsStatus status = ls_graph_plan_dry(g);
    if (status == LS_OK)
        status = ls_params_allocate(loaded->params, 0, false);
    ls_graph_free(g);
    return status;
}

LsStatus ls_load(const char *run, bool best, int overrides, char *const *override, LsLoaded *loaded)
{
    char *yaml = NULL, *tokenizer = NULL;
    LsStatus status = LS_OK;
    *loaded = (LsLoaded){0};
    if (!ls_file_exists(run)) {
        status = ls_fail(LS_CHECKPOINT, "%s: there is no such run folder or checkpoint", run);
        goto cleanup;
    }
    LS_TRY_CLEANUP(best ? ls_checkpoint_best(run, &loaded->path) : ls_checkpoint_newest(run, &loaded->path));
    if (!loaded->path) {
        status = ls_fail(LS_CHECKPOINT, "%s: there is no checkpoint in it; a run folder or a checkpoint is asked for", run);
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_checkpoint_peek(loaded->path, &loaded->progress, &yaml, &tokenizer));
    loaded->config = ls_config_parse(loaded->path, yaml, overrides, override);
    if (!loaded->config) {
        status = overrides > 0 ? LS_USAGE : LS_CHECKPOINT;
        goto cleanup;
    }
    if (tokenizer && !(loaded->tokenizer = ls_tokenizer_from_json(tokenizer))) {
        status = ls_fail_in(LS_CHECKPOINT, "%s: its tokenizer", loaded->path);
        goto cleanup;
    }
    LS_TRY_CLEANUP(declare(loaded));
    LS_TRY_CLEANUP(ls_checkpoint_load(loaded->path, loaded->params, 0, NULL, &loaded->progress));
cleanup:
    ls_free(yaml);
    ls_free(tokenizer);
    return status;
}

void ls_loaded_free(LsLoaded *loaded)
{
    ls_params_free(loaded->params);
    ls_tokenizer_free(loaded->tokenizer);
    ls_config_free(loaded->config);
    ls_free(loaded->path);
    *loaded = (LsLoaded){0};
}
