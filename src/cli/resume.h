/* Which checkpoint a run goes on from. Rank 0 alone. */
#ifndef LS_CLI_RESUME_H
#define LS_CLI_RESUME_H

#include "cli/run_folder.h"

/* mode: "auto" (the newest whole checkpoint of the run folder if there is one), "never" (LS_USAGE where the folder
 * holds a run), or a checkpoint or run folder. *checkpoint: the caller's to close, NULL to start anew. Refused is what
 * ls_resume_check refuses. LS_CHECKPOINT where only damaged checkpoints are there, or the newest cannot be read. */
LsStatus ls_resume_choose(const LsRunFolder *run, const char *mode, const LsConfig *config, const char *text,
                          const LsSource *data, LsCheckpoint **checkpoint) LS_MUST_USE;

#endif
