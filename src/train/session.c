#include "lockstep/train.h"

#include "data/data.h"
#include "dist/dist.h"
#include "machine/threads.h"
#include "train/init.h"
#include "train/metrics_row.h"
#include "train/resume.h"
#include "train/streams.h"
#include "train/train.h"

#include <stdio.h>

struct LsSession {
    const LsComm *comm;
    LsConfig *config;
    LsSource *training, *validation;
    LsTrainer *trainer;
    char *text, *tokenizer; /* configuration and tokenizer as checkpoints hold them */
    LsMetrics metrics;      /* of the last step that ls_session_advance did */
    char row[LS_ROW_TEXT];
    bool apart; /* ranks have called different functions */
};

/* ---- Ranks that call together ------------------------------------------------------------------------------------ */

/* Collective functions. */
typedef enum Call { STEP, EVALUATE, SAVE, LOAD, CLOSE } Call;

/* A rank that calls another function than the others would wait for them in it, and they for it: each learns of it
 * before. */
static LsStatus call_together(LsSession *s, Call call)
{
    static const char *const name[] = {"a step", "evaluate", "save", "load", "close"};
    if (s->comm->size == 1)
        return LS_OK;
    int64_t most[2] = {(int64_t)call, -(int64_t)call};
    LS_TRY(s->comm->allreduce_max(s->comm, most, 2));
    if (most[0] == -most[1])
        return LS_OK;
    s->apart = true;
    int64_t other = most[0] == (int64_t)call ? -most[1] : most[0];
    return ls_fail(
        LS_USAGE,
        "rank %d has called %s, and another rank %s: all of them call the same in the same order (save, too; "
        "rank 0 alone writes)",
        s->comm->rank, name[call], name[other]);
}

/* ---- Opening and closing ----------------------------------------------------------------------------------------- */

/* The loop tells of each step twice where it evaluates. */
static LsStatus on_row(void *self, const LsMetrics *metrics)
{
    ((LsSession *)self)->metrics = *metrics;
    return LS_OK;
}

static void on_step(void *self, const LsMetrics *metrics) { ((LsSession *)self)->metrics = *metrics; }

/* Each rank for itself. */
static LsStatus open_data(LsSession *s)
{
    LS_TRY(ls_train_open(s->config, s->comm->size, &s->training, &s->validation));
    s->text = ls_resume_text(s->config);
    if (!s->text)
        return LS_RESOURCE;
    if (s->training->tokenizer && !(s->tokenizer = ls_tokenizer_to_json(s->training->tokenizer)))
        return LS_RESOURCE;
    return LS_OK;
}

/* Rank 0 alone. */
static LsStatus begin_parameters(LsSession *s)
{
    LS_TRY(ls_train_base(s->trainer, s->config, s->training));
    ls_free(s->text); /* it may hold the digest of what adapters stand on now */
    s->text = ls_resume_text(s->config);
    return s->text ? ls_train_init(s->trainer, s->training) : LS_RESOURCE;
}

static void free_session(LsSession *s)
{
    ls_trainer_free(s->trainer);
    ls_source_free(s->training);
    ls_source_free(s->validation);
    ls_config_free(s->config);
    ls_free(s->text);
    ls_free(s->tokenizer);
    ls_free(s);
    ls_dist_finish();
}

/* A process that no launcher started is a world of one, which needs no MPI. */
static LsStatus start(int *argc, char ***argv, const LsComm **comm)
{
    if (ls_dist_launched_rank() >= 0)
        return ls_dist_start(argc, argv, comm);
    *comm = ls_comm_self();
    return ls_threads_alone();
}

LsStatus ls_session_open(int *argc, char ***argv, const char *job, int overrides, char *const *override,
                         LsSession **session)
{
    *session = NULL;
    LsSession *s = ls_alloc(sizeof *s);
    if (!s)
        return LS_RESOURCE;
    LsStatus status = start(argc, argv, &s->comm);
    if (status == LS_OK)
        status = ls_train_config_load(job, overrides, override, NULL, s->comm, &s->config);
    if (status == LS_OK)
        status = ls_dist_agree(s->comm, open_data(s));
    if (status == LS_OK)
        status = ls_trainer_new(s->config, s->comm, s->training, s->validation, NULL, &s->trainer);
    if (status == LS_OK)
        status = ls_dist_agree(s->comm, s->comm->rank == 0 ? begin_parameters(s) : LS_OK);
    if (status == LS_OK)
        status = ls_trainer_broadcast(s->trainer);
    if (status == LS_OK) {
        s->trainer->hooks = (LsTrainHooks){.self = s, .row = on_row, .step = on_step};
        *session = s;
    } else
        free_session(s);
    return status;
}

void ls_session_close(LsSession *session)
{
    if (!session)
        return;
    if (!session->apart && !ls_dist_has_timed_out() && call_together(session, CLOSE) != LS_OK)
        ls_warn("%s", ls_message());
    free_session(session);
}

LsStatus ls_session_step(LsSession *session, double *loss, double *grad_norm)
{
    LsStepResult result = {0};
    LS_TRY(call_together(session, STEP));
    LS_TRY(ls_trainer_step(session->trainer, false, &result));
    if (loss)
        *loss = result.loss;
    if (grad_norm)
        *grad_norm = result.grad_norm;
    return LS_OK;
}

LsStatus ls_session_advance(LsSession *session, bool *more, const char **row)
{
    LsTrainer *t = session->trainer;
    bool ended = false;
    *row = NULL;
    LS_TRY(call_together(session, STEP));
    *more = t->progress.step < t->config->train.steps;
    if (!*more)
        return LS_OK;
    LS_TRY(ls_trainer_advance(t, &ended));
    if (session->comm->rank == 0) {
        LsMetricsRow fields;
        ls_metrics_row(&session->metrics, &fields);
        ls_metrics_row_json(&fields, session->row);
    }
    LS_TRY(session->comm->broadcast(session->comm, session->row, LS_ROW_TEXT, 0)); /* rank 0 alone is told of steps */
    *row = session->row;
    return LS_OK;
}

LsStatus ls_session_evaluate(LsSession *session, double *loss)
{
    LsTrainer *t = session->trainer;
    LS_TRY(call_together(session, EVALUATE));
    if (!t->eval_graph || !t->validation)
        return ls_fail(LS_USAGE, "%s has no validation data: prepare it with --validation, or set data.validation_path",
                       session->config->data.path);
    LsEvaluation evaluation;
    LS_TRY(ls_trainer_evaluate(t, &evaluation));
    *loss = evaluation.loss;
    return LS_OK;
}

LsStatus ls_session_save(LsSession *session, const char *path)
{
    LsTrainer *t = session->trainer;
    LsSaved saved[LS_MAX_SAVED];
    int count = ls_trainer_saved(t, saved);
    LsStatus status = LS_OK;
    LS_TRY(call_together(session, SAVE)); /* nobody is still in a step */
    LS_TRY(ls_streams_gather(t));
    if (session->comm->rank == 0)
        status = ls_checkpoint_save(path, t->params, count, saved, &t->progress,
                                    &(LsSavedTexts){session->text, session->tokenizer, ls_trainer_info(t)});
    return ls_dist_agree(session->comm, status);
}

/* Rank 0 alone. */
static LsStatus load_checkpoint(LsSession *session, const char *path, int count, const LsSaved *saved)
{
    LsTrainer *t = session->trainer;
    LsCheckpoint *checkpoint = NULL;
    LS_TRY(ls_checkpoint_open(path, NULL, &checkpoint));
    LsStatus status = ls_resume_check_tokenizer(checkpoint, session->config, session->training);
    if (status == LS_OK)
        status = ls_checkpoint_read(checkpoint, t->params, count, saved);
    if (status == LS_OK)
        status = ls_trainer_join_info(t, checkpoint->info);
    if (status == LS_OK)
        t->progress = checkpoint->progress;
    ls_checkpoint_close(checkpoint);
    return status;
}

LsStatus ls_session_load(LsSession *session, const char *path)
{
    LsTrainer *t = session->trainer;
    LsSaved saved[LS_MAX_SAVED];
    int count = ls_trainer_saved(t, saved);
    LsStatus status = LS_OK;
    LS_TRY(call_together(session, LOAD));
    if (session->comm->rank == 0)
        status = load_checkpoint(session, path, count, saved);
    LS_TRY(ls_dist_agree(session->comm, status));
    return ls_trainer_broadcast(t);
}

int64_t ls_session_steps(const LsSession *session) { return session->trainer->progress.step; }
int ls_session_rank(const LsSession *session, int *ranks)
{
    *ranks = session->comm->size;
    return session->comm->rank;
}
const LsComm *ls_session_comm(const LsSession *session) { return session->comm; }
LsParams *ls_session_params(LsSession *session) { return session->trainer->params; }
