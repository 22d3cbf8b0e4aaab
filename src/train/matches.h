/* Which parameters and layers a job's patterns match: train.no_decay, train.freeze, train.scale, lora.targets. */
#ifndef LS_TRAIN_MATCHES_H
#define LS_TRAIN_MATCHES_H

#include "config/config.h"

#include <jansson.h>

/* A list of {"setting", "pattern", "names"}, one for each pattern that the job gives; of lora.targets the layers
 * that get an adapter. Warns as ls_groups_warn does. The caller's to release. */
LsStatus ls_train_matches(const LsConfig *config, json_t **matches) LS_MUST_USE;

#endif
