/* Of the list of ops, for those who print it. */
#ifndef LS_GRAPH_OP_PRINT_H
#define LS_GRAPH_OP_PRINT_H

#include "lockstep/op.h"

/* The builder's arguments, "(LsGraph *g, LsTensor *x)"; NULL for an op that a program has added. */
const char *ls_op_arguments(const char *name);

/* The number of the op's cases. */
int ls_op_cases(const LsOp *op);

#endif
