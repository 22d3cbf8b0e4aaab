/* For those who build training graphs of a model by settings: which of its parameters do not learn, by name. */
#ifndef LS_GRAPH_FREEZE_H
#define LS_GRAPH_FREEZE_H

#include "lockstep/graph.h"

/* Parameters and running values whose names `frozen` says true of get no gradient, as if LsGraphOptions.learns did not
 * name them. Call before the graph is built; asked while it is. NULL: none. */
void ls_graph_freeze(LsGraph *g, bool (*frozen)(const void *self, const char *name), const void *self);

#endif
