/* Groups of parameters by regular expressions over their names: train.no_decay, train.freeze, train.scale. */
#ifndef LS_TRAIN_GROUPS_H
#define LS_TRAIN_GROUPS_H

#include "config/config.h"
#include "lockstep/graph.h"

#include <jansson.h>

typedef struct LsGroups LsGroups;

/* Of a job's settings, which ls_config_parse has checked; *groups is NULL where there are none. */
LsStatus ls_groups_new(const LsTrainSettings *settings, LsGroups **groups) LS_MUST_USE;
void ls_groups_free(LsGroups *groups); /* NULL is allowed */

/* LS_USAGE where patterns match no parameter: all of them, with their lines and the nearest names. */
LsStatus ls_groups_check(const LsGroups *groups, const LsConfig *config, const LsParams *params) LS_MUST_USE;
/* A better reason than `status`, of a graph that could not be planned, where all of its parameters that would learn,
 * those whose names begin with `learns` (NULL: all), are frozen. */
LsStatus ls_groups_check_learns(const LsGroups *groups, const LsConfig *config, const LsParams *params,
                                const char *learns, LsStatus status) LS_MUST_USE;

/* Those of these names do not learn. groups may be NULL, and must live until the graph is built. */
void ls_groups_freeze(const LsGroups *groups, LsGraph *g);

/* Parameters that are not decayed. groups may be NULL. */
void ls_groups_mark(const LsGroups *groups, LsParams *params);

/* Warns of patterns of train.no_decay that match parameters only which are never decayed. Before ls_groups_mark; groups
 * may be NULL. */
void ls_groups_warn(const LsGroups *groups, const LsConfig *config, const LsParams *params);

/* Adds to a list, for each pattern, {"setting", "pattern", "names"}: the parameters it matches; of train.scale those
 * that no pattern before it matches. groups may be NULL. */
LsStatus ls_groups_matches(const LsGroups *groups, const LsParams *params, json_t *matches) LS_MUST_USE;

/* What the learning rate of a parameter is multiplied by: that of the first pattern of train.scale that it matches, 1
 * without one, and -1 where it is frozen. groups may be NULL. */
double ls_groups_factor(const LsGroups *groups, const char *name);

/* Whether the parameter of this name is not frozen. groups may be NULL. */
bool ls_groups_learns(const void *groups, const char *name);

#endif
