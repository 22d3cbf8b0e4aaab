/* Entries of a file that the command line takes out, before any of them is applied. */
#ifndef LS_CONFIG_OVERRIDING_H
#define LS_CONFIG_OVERRIDING_H

#include "config/yaml.h"

/* "section.key=" of the command line, which has no value: what was said of the setting before is taken out, and with it
 * the assignment itself, unless there was nothing to take out. */
LsStatus ls_overrides_unset(LsYamlEntries *entries) LS_MUST_USE;

/* Where the command line chooses another kind of a section than a run's own configuration has, the settings of the
 * run's kind go: whoever chooses a kind did not write them. Another kind of model is a mistake: a run has weights. */
LsStatus ls_overrides_drop_kinds(LsYamlEntries *entries, LsMistakes *mistakes) LS_MUST_USE;

#endif
