/* train.init: a training that begins with the parameters of another one. */
#ifndef LS_TRAIN_INIT_H
#define LS_TRAIN_INIT_H

#include "train/train.h"

/* Reads a job as ls_config_load does. Where it names a train.init, settings of its model that it leaves out are those
 * of that one, or of the run that is gone on from, if there is one: then train.init is not looked at. resume: "auto",
 * "never" or a checkpoint, as `lockstep train` has it; NULL: nothing is gone on from, whatever output.path holds.
 * Collective: rank 0 reads the other run; every rank returns the same status. LS_USAGE where train.init is of another
 * kind of model, or is output.path itself. */
LsStatus ls_train_config_load(const char *path, int overrides, char *const *override, const char *resume,
                              const LsComm *comm, LsConfig **config) LS_MUST_USE;

/* The parameters and running values of train.init into the trainer's, by their names; nothing where the job has none.
 * Those that only one side has are logged: the trainer's keep what was drawn from train.seed. What stands in the head
 * of a task goes to the same task only. LS_USAGE with all names where shapes differ, or none is the same. Rank 0 alone,
 * before ls_trainer_broadcast. */
LsStatus ls_train_init(LsTrainer *trainer, const LsSource *training) LS_MUST_USE;

/* With config.lora: the model that adapters stand on into t->params->base, by its names, all of them; writes
 * lora.digest into the configuration, which is the trainer's. Whether the training is new or gone on with. Rank 0
 * alone, before ls_trainer_broadcast. Without it nothing. */
LsStatus ls_train_base(LsTrainer *trainer, LsConfig *config, const LsSource *training) LS_MUST_USE;

#endif
