/* For those who build graphs of samples that are several documents. */
#ifndef LS_GRAPH_DOCUMENTS_H
#define LS_GRAPH_DOCUMENTS_H

#include "lockstep/graph.h"

/* The name of an op that mixes time without the input `positions`, each token's in its document, so that it sees other
 * documents; NULL: there is none. */
const char *ls_op_across_documents(const LsGraph *g, const LsTensor *positions);

#endif
