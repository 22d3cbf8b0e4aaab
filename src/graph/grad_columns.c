/* Gradients whose columns are shared out among the ops that write them: a packed result that two ops take a part of
 * each. */
#include "graph/graph_internal.h"

/* One op's part of the columns of a tensor. */
typedef struct Part {
    int node, input;
    int64_t first, count;
} Part;

enum { MOST_PARTS = 8 };

static bool wants(const LsGraph *g, int n, int i, const LsTensor *x)
{
    return g->node_plan[n].active && g->node[n]->in[i] == x && ((g->node[n]->want >> i) & 1u);
}

/* The parts of x's columns that backward writes; 0 where an op writes all, or where there are too many. */
static int find_parts(const LsGraph *g, const LsTensor *x, Part part[MOST_PARTS])
{
    int parts = 0;
    for (int n = 0; n < g->nodes; n++)
        for (int i = 0; i < g->node[n]->inputs; i++) {
            const LsNode *node = g->node[n];
            if (!wants(g, n, i, x))
                continue;
            if (parts == MOST_PARTS || !node->op->grad_columns)
                return 0;
            Part *p = &part[parts++];
            *p = (Part){.node = n, .input = i};
            if (!node->op->grad_columns(node, i, &p->first, &p->count))
                return 0;
        }
    return parts;
}

/* Every column in one part. */
static bool covers(const LsTensor *x, const Part *part, int parts)
{
    int64_t sum = 0;
    for (int i = 0; i < parts; i++) {
        sum += part[i].count;
        for (int j = 0; j < i; j++)
            if (part[j].first < part[i].first + part[i].count && part[i].first < part[j].first + part[j].count)
                return false;
    }
    return sum == x->dim[x->rank - 1];
}

void ls_plan_grad_columns(LsGraph *g)
{
    for (int t = 0; t < g->tensors; t++) {
        const LsTensor *x = g->tensor[t];
        Part part[MOST_PARTS];
        if (x->role != LS_ROLE_ACTIVATION || !x->needs_grad || g->tensor_plan[t].seed)
            continue;
        int parts = find_parts(g, x, part);
        if (parts < 2 || !covers(x, part, parts))
            continue;
        for (int i = 0; i < parts; i++) {
            LsNodePlan *plan = &g->node_plan[part[i].node];
            uint32_t bit = 1u << part[i].input;
            plan->add_first &= ~bit;
            plan->add_more &= ~bit;
            g->node[part[i].node]->partial_grad |= bit;
        }
    }
}
