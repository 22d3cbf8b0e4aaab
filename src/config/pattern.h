/* Regular expressions (PCRE2) over names of parameters and layers, and which settings are such. */
#ifndef LS_CONFIG_PATTERN_H
#define LS_CONFIG_PATTERN_H

#include "config/config.h"
#include "config/yaml.h"

typedef struct LsNamePattern LsNamePattern;

/* NULL with a message, LS_USAGE, where the text is no regular expression. */
LsNamePattern *ls_name_pattern_new(const char *text);
void ls_name_pattern_free(LsNamePattern *pattern); /* NULL is allowed */

/* Whether some part of the name matches. */
bool ls_name_pattern_matches(const LsNamePattern *pattern, const char *name);

/* A factor of train.scale: a number from 0 on. */
bool ls_name_pattern_factor(const char *text, double *factor);

/* All of a configuration's patterns (train.no_decay, train.freeze, train.scale, lora.targets) that are none, with their
 * lines. */
LsStatus ls_patterns_check(const LsConfig *config, LsMistakes *mistakes) LS_MUST_USE;

#endif
