/* Training from a program of your own: the steps of `lockstep train`, also with a model of your own.
 *
 *     ls_model_add(&my_model);                   // optional: the job file may then have `model.kind: my_model`
 *     LsSession *session = NULL;
 *     LsStatus status = ls_session_open(&argc, &argv, "job.yaml", 0, NULL, &session);
 *     while (status == LS_OK && ls_session_steps(session) < 100)
 *         status = ls_session_step(session, &loss, NULL);
 *     if (status == LS_OK)
 *         status = ls_session_save(session, "model.h5"); // for `lockstep eval`, `generate`, … of models of the list
 *     ls_session_close(session);
 *
 * Link with the CMake target lockstep::lockstep or with the output of `pkg-config --libs lockstep`. Start it with
 * mpirun for more ranks. Functions named collective are called by every rank, and every rank returns the same status;
 * one that calls another of them than the rest is LS_USAGE on each. ls_message() gives the error's text.
 */
#ifndef LOCKSTEP_TRAIN_H
#define LOCKSTEP_TRAIN_H

#include "lockstep/model.h"

typedef struct LsSession LsSession;

/* Reads a job file (override: "train.steps=500", NULL with count 0), opens its data set, builds the graphs and draws
 * the parameters from train.seed. argc and argv as main's, or NULL. Where a launcher (mpirun, srun) started the process
 * MPI starts, and there is at most one session a process; else MPI does not start, and there may be several, also at
 * once. *session is NULL after a failure, and MPI is ended. Collective. */
LsStatus ls_session_open(int *argc, char ***argv, const char *job, int overrides, char *const *override,
                         LsSession **session) LS_MUST_USE;

/* Frees everything and ends MPI. NULL is allowed. Collective. */
void ls_session_close(LsSession *session);

/* One optimisation step of train.batch sequences over all ranks. *loss: mean over the step's targets, in nats;
 * *grad_norm: global, before clipping; either may be NULL. LS_DIVERGED, with the first bad tensor in the message, where
 * one is not finite. Collective. */
LsStatus ls_session_step(LsSession *session, double *loss, double *grad_norm) LS_MUST_USE;

/* One step as `lockstep train` does it: up to train.steps, with an evaluation each train.evaluate_every steps and after
 * the last. *row: a JSON object with the names of metrics.jsonl (step, loss, validation_loss, ...), the session's until
 * the next call, the same on every rank; NULL with *more false where all steps were done before. Saves nothing.
 * Collective. */
LsStatus ls_session_advance(LsSession *session, bool *more, const char **row) LS_MUST_USE;

/* Mean loss over train.evaluate_batches batches of the validation data (0: all of it). LS_USAGE where there is none.
 * Collective. */
LsStatus ls_session_evaluate(LsSession *session, double *loss) LS_MUST_USE;

/* Saves parameters, moments, progress, configuration and tokenizer as a checkpoint at `path`, never half-written.
 * Collective: rank 0 writes, all know the outcome. */
LsStatus ls_session_save(LsSession *session, const char *path) LS_MUST_USE;

/* Goes on from a checkpoint of the same model, exactly. Collective: rank 0 reads. */
LsStatus ls_session_load(LsSession *session, const char *path) LS_MUST_USE;

/* Steps done; rank and number of ranks; the parameters, owned by the session. Not collective. */
int64_t ls_session_steps(const LsSession *session);
int ls_session_rank(const LsSession *session, int *ranks);
const LsComm *ls_session_comm(const LsSession *session);
LsParams *ls_session_params(LsSession *session);

#endif
