/* Samples that are several documents, which must not see each other. */
#include "graph/documents.h"

#include "graph/graph_internal.h"

static bool takes(const LsNode *node, const LsTensor *positions)
{
    for (int i = 0; positions && i < node->inputs; i++)
        if (node->in[i] == positions)
            return true;
    return false;
}

const char *ls_op_across_documents(const LsGraph *g, const LsTensor *positions)
{
    for (int i = 0; i < g->nodes; i++)
        if (g->node[i]->op->mixes_time && !takes(g->node[i], positions))
            return g->node[i]->op->name;
    return NULL;
}
