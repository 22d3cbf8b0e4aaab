/* Carries: what goes from one part of a sequence to the next, and its gradient the other way. */
#include "graph/graph_internal.h"

#include <string.h>

LsStatus ls_check_segmented(const LsNode *node)
{
    const LsGraph *g = node->graph;
    if (!g->options.segmented || !node->op->mixes_time || g->options.mode == LS_DECODE)
        return LS_OK;
    for (int i = 0; i < node->inputs; i++)
        if (node->in[i] && node->in[i]->role == LS_ROLE_CARRY)
            return LS_OK;
    return ls_node_fail(
        node,
        "%s needs whole sequences, so this model cannot be trained on parts of them: set train.segment to 0 and "
        "train.sequence_ranks to 1 and leave train.carry out, or take a recurrent model (mamba, mamba2)",
        node->op->name);
}

static bool is_start(const LsTensor *x) { return x->role == LS_ROLE_CARRY && x->end; }

static int64_t rounded_bytes(const LsGraph *g, const LsTensor *x)
{
    return (ls_tensor_bytes(g, x) + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN;
}

static int64_t start_bytes(const LsGraph *g)
{
    int64_t bytes = 0;
    for (int i = 0; i < g->tensors; i++)
        bytes += is_start(g->tensor[i]) ? rounded_bytes(g, g->tensor[i]) : 0;
    return bytes;
}

int64_t ls_carries_all_bytes(const LsGraph *g) { return start_bytes(g) * (g->options.mode == LS_TRAIN ? 4 : 2); }

LsStatus ls_carries_bind(LsGraph *g)
{
    g->carry_bytes = start_bytes(g);
    if (g->carry_bytes == 0)
        return LS_OK;
    g->carries = ls_alloc((size_t)ls_carries_all_bytes(g));
    if (!g->carries)
        return LS_RESOURCE;
    char *at = g->carries;
    for (int i = 0; i < g->tensors; i++) {
        LsTensor *x = g->tensor[i];
        if (!is_start(x))
            continue;
        x->data = at;
        x->end->data = at + g->carry_bytes;
        x->grad = x->needs_grad ? at + 2 * g->carry_bytes : NULL;
        x->end->grad = x->needs_grad ? at + 3 * g->carry_bytes : NULL;
        at += rounded_bytes(g, x);
    }
    return LS_OK;
}

int64_t ls_carries_bytes(const LsGraph *g) { return start_bytes(g); }

void ls_carries_keep(const LsGraph *g, void *to)
{
    if (g->carries)
        memcpy(to, g->carries, (size_t)g->carry_bytes);
}

void ls_carries_restore(LsGraph *g, const void *from)
{
    if (g->carries)
        memcpy(g->carries, from, (size_t)g->carry_bytes);
}

void ls_carries_clear(LsGraph *g)
{
    if (g->carries)
        memset(g->carries, 0, (size_t)g->carry_bytes);
}

void ls_carries_reset(LsGraph *g)
{
    ls_carries_clear(g);
    if (g->carries && g->options.mode == LS_TRAIN)
        memset(g->carries + 3 * g->carry_bytes, 0, (size_t)g->carry_bytes);
}

int64_t ls_carries_stream_numbers(const LsGraph *g)
{
    int64_t numbers = 0;
    for (int i = 0; i < g->tensors; i++)
        numbers += is_start(g->tensor[i]) ? g->tensor[i]->count / g->tensor[i]->dim[0] : 0;
    return numbers;
}

void ls_carries_set_streams(LsGraph *g, const float *streams)
{
    int64_t numbers = ls_carries_stream_numbers(g);
    for (int i = 0; i < g->tensors; i++) {
        LsTensor *x = g->tensor[i];
        if (!is_start(x))
            continue;
        int64_t width = x->count / x->dim[0];
        for (int64_t b = 0; b < x->dim[0]; b++)
            ls_tensor_set_part(g, x, b * width, width, streams + b * numbers);
        streams += width;
    }
}

void ls_carries_get_streams(const LsGraph *g, float *streams)
{
    int64_t numbers = ls_carries_stream_numbers(g);
    for (int i = 0; i < g->tensors; i++) {
        const LsTensor *x = g->tensor[i];
        if (!is_start(x))
            continue;
        int64_t width = x->count / x->dim[0];
        for (int64_t b = 0; b < x->dim[0]; b++)
            ls_tensor_get_part(g, x->end, b * width, width, streams + b * numbers);
        streams += width;
    }
}

/* `to` of every rank becomes `from` of rank `root`. */
static LsStatus take(const LsGraph *g, const LsRun *run, char *to, char *from, int root)
{
    if (!g->carries)
        return LS_OK;
    memcpy(to, from, (size_t)g->carry_bytes);
    return ls_over_ranks(run) ? run->sequence->broadcast(run->sequence, to, g->carry_bytes, root) : LS_OK;
}

LsStatus ls_carries_advance(LsGraph *g, const LsRun *run)
{
    int last = run->sequence ? run->sequence->size - 1 : 0;
    return take(g, run, g->carries, g->carries + g->carry_bytes, last);
}

LsStatus ls_carries_retreat(LsGraph *g, const LsRun *run)
{
    return take(g, run, g->carries + 3 * g->carry_bytes, g->carries + 2 * g->carry_bytes, 0);
}

static int last_carrying(const LsGraph *g)
{
    for (int n = g->nodes - 1; n >= 0; n--)
        for (int i = 0; i < g->node[n]->inputs; i++)
            if (g->node[n]->in[i] && g->node[n]->in[i]->role == LS_ROLE_CARRY)
                return n;
    return -1;
}

LsStatus ls_graph_forward_carries(LsGraph *g, const LsRun *run)
{
    if (!g->arena)
        return ls_fail(LS_ERROR, "the graph must be planned before it runs");
    int last = last_carrying(g);
    for (int n = 0; n <= last; n++) {
        LsNodePlan *plan = &g->node_plan[n];
        double before = plan->forward_seconds;
        LS_TRY(ls_node_forward(g, n, run));
        /* backward asks for a second forward: this one is extra */
        plan->recompute_seconds += plan->forward_seconds - before;
        plan->forward_seconds = before;
    }
    return LS_OK;
}
