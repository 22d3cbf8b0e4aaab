#include "train/init.h"

#include "base/text.h"
#include "data/data.h"
#include "dist/dist.h"
#include "io/file.h"
#include "store/checkpoint.h"
#include "store/lora.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- The job, over the settings of another model ----------------------------------------------------------------- */

/* Settings of a job that are read before the whole of it can be; NULL: not set. */
typedef struct Said {
    char *init, *output, *kind, *match;
} Said;

static void free_said(Said *said)
{
    ls_free(said->init);
    ls_free(said->output);
    ls_free(said->kind);
    ls_free(said->match);
}

static LsStatus read_said(const char *path, int overrides, char *const *override, Said *said)
{
    LS_TRY(ls_config_said(path, overrides, override, "train", "init", &said->init));
    LS_TRY(ls_config_said(path, overrides, override, "output", "path", &said->output));
    LS_TRY(ls_config_said(path, overrides, override, "model", "kind", &said->kind));
    return ls_config_said(path, overrides, override, "train", "init_match", &said->match);
}

/* Whether `inner` is the folder `outer` or lies in it. */
static bool lies_in(const char *inner, const char *outer)
{
    char a[PATH_MAX], b[PATH_MAX];
    if (!realpath(inner, a) || !realpath(outer, b))
        return false;
    size_t length = strlen(b);
    return strncmp(a, b, length) == 0 && (a[length] == '\0' || a[length] == '/');
}

/* The settings of the run that is gone on from; *model NULL where there is none. */
static LsStatus resumed_model(const char *resume, const char *output, LsConfig **model)
{
    LsCheckpoint *checkpoint = NULL;
    *model = NULL;
    if (!resume || strcmp(resume, "never") == 0)
        return LS_OK;
    LS_TRY(ls_checkpoint_newest(strcmp(resume, "auto") == 0 ? output : resume, &checkpoint));
    if (checkpoint && !(*model = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL))) {
        ls_checkpoint_close(checkpoint);
        return ls_message_status() == LS_RESOURCE ? LS_RESOURCE : LS_CHECKPOINT;
    }
    ls_checkpoint_close(checkpoint);
    return LS_OK;
}

static LsStatus initial_model(const Said *said, LsConfig **model)
{
    if (!ls_file_exists(said->init))
        return ls_fail(LS_USAGE, "train.init: %s: there is no such run, checkpoint or folder", said->init);
    LsStatus status = ls_stored_config(said->init, model);
    if (status != LS_OK)
        return ls_fail_in(status, "train.init");
    bool partial = said->match && strcmp(said->match, "partial") == 0;
    if (!partial && said->kind && strcmp(said->kind, (*model)->model->name) != 0)
        return ls_fail(LS_USAGE,
                       "model.kind: %s, but train.init %s holds a model of kind %s: leave model.kind out, name a run "
                       "of that kind, or take what fits with train.init_match=partial",
                       said->kind, said->init, (*model)->model->name);
    return LS_OK;
}

/* The lines of YAML that stand below the job's; NULL: none. Rank 0 alone. */
static LsStatus settings_below(const Said *said, const char *resume, char **yaml)
{
    const char *output = said->output ? said->output : ls_output_settings[0].fallback;
    LsConfig *model = NULL;
    if (!said->init)
        return LS_OK;
    if (resume && lies_in(said->init, output))
        return ls_fail(LS_USAGE,
                       "train.init: %s is output.path itself: to go on with that run leave train.init out; to begin "
                       "again from what it learnt set another output.path",
                       said->init);
    LsStatus status = resumed_model(resume, output, &model);
    if (status == LS_OK && !model)
        status = initial_model(said, &model);
    /* settings of another kind mean nothing here; a run of another kind is refused where its checkpoint is compared */
    if (status == LS_OK && (!said->kind || strcmp(said->kind, model->model->name) == 0))
        status = (*yaml = ls_config_model_yaml(model)) ? LS_OK : LS_RESOURCE;
    ls_config_free(model);
    return status;
}

/* A text of rank 0, or NULL, to all. Collective. */
static LsStatus share_text(const LsComm *comm, char **text)
{
    int64_t bytes = *text ? (int64_t)strlen(*text) : -1;
    LS_TRY(comm->broadcast(comm, &bytes, sizeof bytes, 0));
    if (comm->rank != 0 && bytes >= 0)
        *text = ls_alloc((size_t)bytes + 1);
    LS_TRY(ls_dist_agree(comm, bytes < 0 || *text ? LS_OK : LS_RESOURCE));
    return bytes > 0 ? comm->broadcast(comm, *text, bytes, 0) : LS_OK;
}

LsStatus ls_train_config_load(const char *path, int overrides, char *const *override, const char *resume,
                              const LsComm *comm, LsConfig **config)
{
    Said said = {0};
    char *below = NULL;
    *config = NULL;
    LsStatus status = ls_dist_agree(comm, read_said(path, overrides, override, &said));
    if (status == LS_OK)
        status = ls_dist_agree(comm, comm->rank == 0 ? settings_below(&said, resume, &below) : LS_OK);
    if (status == LS_OK)
        status = share_text(comm, &below);
    if (status == LS_OK) {
        *config = ls_config_load_over(path, below, overrides, override);
        status = ls_dist_agree(comm, *config ? LS_OK : ls_message_status());
    }
    free_said(&said);
    ls_free(below);
    return status;
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

typedef struct Init {
    LsStoredModel from;
    LsParams *body; /* of the trainer's model, without its task's head */
    LsParams *from_body;
    bool same_task;
    /* parameters taken; with other shapes; of the trainer alone; of train.init alone */
    LsNotes taken, differ, drawn, unused;
} Init;

/* Names of parameters are the tasks' own where no body has them: of another task they mean something else. */
static bool is_of(const LsParams *body, const char *name)
{
    return ls_params_find(body, name) >= 0 || (body->running && ls_params_find(body->running, name) >= 0);
}

static bool means_the_same(const Init *init, const char *name)
{
    return init->same_task || (is_of(init->body, name) && is_of(init->from_body, name));
}

static void take(Init *init, const LsParams *from, LsParams *to)
{
    for (int i = 0; i < to->count; i++) {
        const LsParam *p = &to->list[i];
        int there = from ? ls_params_find(from, p->name) : -1;
        const LsParam *q = there >= 0 ? &from->list[there] : NULL;
        if (!q || !means_the_same(init, p->name))
            ls_note(&init->drawn, "%s %s", p->name, ls_dims_text(p->rank, p->dim));
        else if (q->rank != p->rank || memcmp(q->dim, p->dim, sizeof *p->dim * (size_t)p->rank) != 0)
            ls_note(&init->differ, "%s has shape %s there and %s here", p->name, ls_dims_text(q->rank, q->dim),
                    ls_dims_text(p->rank, p->dim));
        else {
            memcpy(to->value + p->offset, from->value + q->offset, sizeof(float) * (size_t)p->count);
            ls_note(&init->taken, "%s %s", p->name, ls_dims_text(p->rank, p->dim));
        }
    }
    for (int i = 0; from && i < from->count; i++) {
        const LsParam *q = &from->list[i];
        if (ls_params_find(to, q->name) < 0 || !means_the_same(init, q->name))
            ls_note(&init->unused, "%s %s", q->name, ls_dims_text(q->rank, q->dim));
    }
}

/* Settings of the model that the job says otherwise. */
static void note_settings(const LsConfig *from, const LsConfig *to, LsNotes *notes)
{
    for (const LsSetting *s = to->model->settings; s && s->name; s++) {
        char *before = ls_setting_text(s, from->model_config), *after = ls_setting_text(s, to->model_config);
        if (before && after && strcmp(before, after) != 0)
            ls_note(notes, "model.%s: %s there, %s here", s->name, before, after);
        ls_free(before);
        ls_free(after);
    }
}

static void tell(Init *init, const LsTrainer *t, bool partial, LsNotes *settings)
{
    if (init->from.config->model == t->config->model)
        note_settings(init->from.config, t->config, settings);
    ls_log("train.init: %d parameter%s of %s%s", init->taken.count, init->taken.count == 1 ? "" : "s", init->from.path,
           partial ? ls_notes_text(&init->taken) : "");
    if (settings->count > 0)
        ls_log("train.init: settings that the job changes:%s", ls_notes_text(settings));
    if (init->drawn.count > 0)
        ls_log("train.init: new, drawn from train.seed:%s", ls_notes_text(&init->drawn));
    if (init->differ.count > 0)
        ls_log("train.init: of other shapes, drawn from train.seed:%s", ls_notes_text(&init->differ));
    if (init->unused.count > 0)
        ls_log("train.init: not used here:%s", ls_notes_text(&init->unused));
}

/* Of the same tokenizer and task, what the other model says of tokens is said of this one. */
static LsStatus take_tokenizer(const LsStoredModel *from, LsTrainer *t, const LsSource *training)
{
    LsTokenizer *tokenizer = from->tokenizer ? ls_tokenizer_from_json(from->tokenizer) : NULL;
    if (from->tokenizer && !tokenizer)
        return ls_fail_in(LS_CHECKPOINT, "%s: its tokenizer", from->path);
    int64_t vocabulary = 0;
    ls_config_model_int(from->config, "vocabulary", &vocabulary);
    LsStatus status = ls_data_check_model(t->config->data.path, training, from->path, tokenizer, vocabulary);
    bool same = tokenizer && training->tokenizer && ls_config_task(from->config) == ls_config_task(t->config);
    if (status == LS_OK && same)
        status = ls_trainer_join_info(t, from->info);
    ls_tokenizer_free(tokenizer);
    return status;
}

/* The parameters that the model's body declares by itself. */
static LsStatus declare_bodies(Init *init, const LsTrainer *t)
{
    init->body = ls_params_new();
    init->from_body = ls_params_new();
    if (!init->body || !init->from_body)
        return LS_RESOURCE;
    LS_TRY(ls_config_declare_body(t->config, init->body));
    return ls_config_declare_body(init->from.config, init->from_body);
}

/* Where train.init was found, for whoever uses the run from another folder; where it was not, base says it already. */
static LsStatus note_base(LsConfig *config)
{
    char *whole = realpath(config->train.init, NULL);
    if (!whole)
        return LS_OK;
    ls_free(config->lora.base);
    config->lora.base = ls_strdup(whole);
    free(whole);
    return config->lora.base ? LS_OK : LS_RESOURCE;
}

LsStatus ls_train_base(LsTrainer *t, LsConfig *config, const LsSource *training)
{
    LsParams *base = ls_params_base(t->params), *running = t->params->running;
    LsStoredModel from = {0};
    char digest[LS_DIGEST_TEXT];
    if (!base)
        return LS_OK;
    LsStatus status = ls_lora_base(config, base, &from, digest);
    if (status == LS_OK)
        status = take_tokenizer(&from, t, training);
    if (status == LS_OK) {
        ls_params_copy(from.params, base);
        if (running && from.params->running && t->progress.step == 0)
            ls_params_copy(from.params->running, running);
        ls_log("lora: %lld numbers learn, on the %lld of %s", (long long)t->params->elements, (long long)base->elements,
               from.path);
        ls_free(config->lora.digest);
        config->lora.digest = ls_strdup(digest);
        status = config->lora.digest ? note_base(config) : LS_RESOURCE;
    }
    ls_stored_model_free(&from);
    return status;
}

LsStatus ls_train_init(LsTrainer *t, const LsSource *training)
{
    if (!t->config->train.init || ls_params_base(t->params))
        return LS_OK;
    LsStatus status = LS_OK;
    bool partial = strcmp(t->config->train.init_match, "partial") == 0;
    Init *init = ls_alloc(sizeof *init);
    LsNotes *settings = ls_alloc(sizeof *settings);
    if (!init || !settings)
        LS_TRY_CLEANUP(LS_RESOURCE);
    LS_TRY_CLEANUP(ls_stored_model(t->config->train.init, &init->from));
    LS_TRY_CLEANUP(take_tokenizer(&init->from, t, training));
    LS_TRY_CLEANUP(declare_bodies(init, t));
    init->same_task = ls_config_task(init->from.config) == ls_config_task(t->config);
    take(init, init->from.params, t->params);
    if (t->params->running)
        take(init, init->from.params->running, t->params->running);
    if (!partial && init->differ.count > 0)
        LS_TRY_CLEANUP(ls_fail(LS_USAGE,
                               "train.init: %s has parameters of other shapes (train.init_match=partial draws them "
                               "anew):%s",
                               init->from.path, ls_notes_text(&init->differ)));
    if (init->taken.count == 0)
        LS_TRY_CLEANUP(ls_fail(LS_USAGE, "train.init: %s has none of this model's parameters", init->from.path));
    tell(init, t, partial, settings);
cleanup:
    if (init) {
        ls_stored_model_free(&init->from);
        ls_params_free(init->body);
        ls_params_free(init->from_body);
    }
    ls_free(init);
    ls_free(settings);
    return status;
}
