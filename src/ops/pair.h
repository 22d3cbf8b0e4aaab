/* Shared by ops on two tensors of activations of one shape. */
#ifndef LS_OPS_PAIR_H
#define LS_OPS_PAIR_H

#include "ops/op_build.h"

/* The result has the shape of both. */
static LsStatus ls_pair_infer(LsNode *node)
{
    const LsTensor *a = node->in[0], *b = node->in[1];
    if (a->dtype != LS_REAL || b->dtype != LS_REAL || a->rank != b->rank ||
        memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->rank) != 0)
        return ls_node_fail(node, "%s: shapes differ: %s and %s", node->op->name, ls_shape_text(a), ls_shape_text(b));
    return ls_node_output(node, LS_REAL, a->rank, a->dim) ? LS_OK : LS_RESOURCE;
}

#endif
