/* Which checkpoint a run goes on from, and whether its configuration allows that. Rank 0 alone. */
#ifndef LS_CLI_RESUME_H
#define LS_CLI_RESUME_H

#include "cli/run_folder.h"

/* The text that goes into config.yaml and every checkpoint: the resolved configuration, and as comments the digests of the data sets,
 * by which a resumed run knows its data wherever it lies. NULL with a message. */
char *ls_resume_text(const LsConfig *config);

/* mode: "auto" (the newest whole checkpoint of the run folder if there is one), "never" (LS_USAGE where the folder holds a run), or a
 * checkpoint or run folder. *path: the caller's to free, NULL to start anew. Refused (LS_USAGE), with all differences in one message:
 * another model, other data, another sequence length, seed or optimiser. Other changes are logged. LS_CHECKPOINT where only damaged
 * checkpoints are there. */
LsStatus ls_resume_choose(const LsRunFolder *run, const char *mode, const LsConfig *config, const char *text, char **path) LS_MUST_USE;

#endif
