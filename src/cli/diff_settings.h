/* lockstep diff --config: the settings in which runs differ. */
#ifndef LS_CLI_DIFF_SETTINGS_H
#define LS_CLI_DIFF_SETTINGS_H

#include "config/yaml.h"

/* A row for each setting that not all runs have alike, a column for each run, to stdout; json: one object. Where a run
 * has no such setting, as those of another kind of model, its place is empty. output.path, which names the run, is left
 * out. A run is a run folder, a checkpoint or a folder of weights. */
LsStatus ls_diff_settings(int runs, char *const *run, bool json, bool *different) LS_MUST_USE;

/* Whether two runs may differ in it: not output.path, which names the run. */
bool ls_diff_is_compared(const LsYamlEntry *entry);

#endif
