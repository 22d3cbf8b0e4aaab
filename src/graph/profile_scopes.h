/* A graph's time by place in the model. */
#ifndef LS_GRAPH_PROFILE_SCOPES_H
#define LS_GRAPH_PROFILE_SCOPES_H

#include "lockstep/graph.h"

#define LS_SCOPE_NAME 48

/* As ls_graph_profile, but by the first two scopes of the nodes' names that are no numbers: "layer.attention". The
 * names are written to `scopes`, `room` of them. */
int ls_graph_profile_scopes(const LsGraph *g, LsProfile *rows, char (*scopes)[LS_SCOPE_NAME], int room);

#endif
