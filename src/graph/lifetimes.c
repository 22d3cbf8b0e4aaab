/* When every value is made, last read and recomputed: the blocks of the arena and their lifetimes.
 *
 * Time counts the calls of ops in the order in which they run: forward of node n is time n; then, for n from the last
 * to the first, what backward of n needs again is made (in the order of the nodes, each at most once), and backward of
 * n runs. A value recomputed lies in a block of its own from then on; the executor turns the tensor's pointer. A node
 * whose work another's call does (LsOp.fuses) has that one's times; what is recomputed is made one by one. */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

static LsTensorPlan *plan_of(LsGraph *g, const LsTensor *x) { return &g->tensor_plan[x->id]; }

static void forget(LsGraph *g)
{
    g->blocks = g->recomputes = 0;
    for (int i = 0; i < g->tensors; i++) {
        LsTensorPlan *plan = &g->tensor_plan[i];
        plan->data_block = plan->recompute_block = plan->grad_block = -1;
        plan->last = plan->recompute_last = 0;
    }
    for (int n = 0; n < g->nodes; n++) {
        LsNodePlan *plan = &g->node_plan[n];
        plan->forward_block = plan->backward_block = plan->recompute_block = plan->recompute_time = -1;
    }
}

static int forward_time(const LsGraph *g, int n) { return n + ls_plan_done_by_next(g, n); }

/* ---- The order of work ---- */

#define WANTED (-2) /* recompute_time of a node that is in the list, without a time yet */

static void demand(LsGraph *g, const LsTensor *x)
{
    int producer = x ? plan_of(g, x)->producer : -1;
    if (producer < 0 || !g->node_plan[producer].dropped || g->node_plan[producer].recompute_time != -1)
        return;
    g->node_plan[producer].recompute_time = WANTED;
    g->recompute[g->recomputes++] = producer;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Appends the nodes that must be recomputed before backward of node n to g->recompute, in an order in which they can
 * run. */
static void demand_for(LsGraph *g, int n)
{
    const LsNode *node = g->node[n];
    int from = g->recomputes;
    for (int i = 0; i < node->inputs; i++)
        if ((node->op->saves_in >> i) & 1u)
            demand(g, node->in[i]);
    for (int i = 0; i < node->outputs; i++)
        if ((node->op->saves_out >> i) & 1u)
            demand(g, node->out[i]);
    for (int at = from; at < g->recomputes; at++)
        for (int i = 0; i < g->node[g->recompute[at]]->inputs; i++)
            demand(g, g->node[g->recompute[at]]->in[i]);
    if (g->recomputes - from > 1)
        qsort(g->recompute + from, (size_t)(g->recomputes - from), sizeof(int), ascending);
}

static void order_work(LsGraph *g)
{
    int time = g->nodes;
    for (int n = g->nodes - 1; n >= 0; n--) {
        int from = g->recomputes;
        if (ls_plan_done_by_next_back(g, n)) { /* reads no data that might have to be recomputed */
            g->node_plan[n].recomputes = from;
            g->node_plan[n].backward_time = g->node_plan[n + 1].backward_time;
            continue;
        }
        if (g->node_plan[n].active)
            demand_for(g, n);
        for (int at = from; at < g->recomputes; at++)
            g->node_plan[g->recompute[at]].recompute_time = time++;
        g->node_plan[n].recomputes = g->recomputes;
        g->node_plan[n].backward_time = time++;
    }
    g->end_time = time;
}

/* ---- Last uses ---- */

/* x is read at this time; after its producer ran a second time, that is its second block. */
static void read_at(LsGraph *g, const LsTensor *x, int time)
{
    if (!x)
        return;
    LsTensorPlan *plan = plan_of(g, x);
    int recompute = plan->producer >= 0 ? g->node_plan[plan->producer].recompute_time : -1;
    int *last = recompute >= 0 && time >= recompute ? &plan->recompute_last : &plan->last;
    *last = time > *last ? time : *last;
}

static void read_forward(LsGraph *g, int n, int time)
{
    for (int i = 0; i < g->node[n]->inputs; i++)
        read_at(g, g->node[n]->in[i], time);
    for (int i = 0; i < g->node[n]->outputs; i++)
        read_at(g, g->node[n]->out[i], time);
}

static void read_backward(LsGraph *g, int n)
{
    const LsNode *node = g->node[n];
    int time = g->node_plan[n].backward_time;
    for (int i = 0; i < node->inputs; i++)
        if ((node->op->saves_in >> i) & 1u)
            read_at(g, node->in[i], time);
    for (int i = 0; i < node->outputs; i++)
        if ((node->op->saves_out >> i) & 1u)
            read_at(g, node->out[i], time);
}

static void find_last_uses(LsGraph *g)
{
    for (int n = 0; n < g->nodes; n++)
        read_forward(g, n, forward_time(g, n));
    for (int at = 0; at < g->recomputes; at++)
        read_forward(g, g->recompute[at], g->node_plan[g->recompute[at]].recompute_time);
    for (int n = 0; n < g->nodes; n++)
        if (g->node_plan[n].active)
            read_backward(g, n);
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor_plan[i].kept)
            g->tensor_plan[i].last = g->end_time;
}

/* ---- Blocks ---- */

static int new_block(LsGraph *g, int64_t bytes, int first, int last)
{
    if (!ls_grow((void **)&g->block, &g->block_room, g->blocks, sizeof *g->block))
        return -1;
    int64_t rounded = (bytes + LS_ALIGN - 1) / LS_ALIGN * LS_ALIGN;
    g->block[g->blocks] = (LsBlock){.bytes = rounded, .first = first, .last = last};
    return g->blocks++;
}

static void extend(LsGraph *g, int block, int time)
{
    if (block >= 0 && g->block[block].last < time)
        g->block[block].last = time;
}

static LsStatus place_scratch(LsGraph *g, int64_t bytes, int time, int *block)
{
    *block = bytes > 0 ? new_block(g, bytes, time, time) : -1;
    return bytes > 0 && *block < 0 ? LS_RESOURCE : LS_OK;
}

/* Where x lies at this time, and until when. */
static int block_at(LsGraph *g, const LsTensor *x, int time, int *last)
{
    LsTensorPlan *plan = plan_of(g, x);
    int recompute = plan->producer >= 0 ? g->node_plan[plan->producer].recompute_time : -1;
    bool second = recompute >= 0 && time >= recompute;
    *last = second ? plan->recompute_last : plan->last;
    return second ? plan->recompute_block : plan->data_block;
}

/* The block of the input whose memory the result of this forward may take over, or -1: nobody reads it later. */
static int taken_over(LsGraph *g, int n, int time)
{
    const LsNode *node = g->node[n];
    for (int i = 0; i < node->inputs; i++) {
        const LsTensor *x = node->in[i];
        int last;
        if (!((node->op->in_place >> i) & 1u) || !x || x->role != LS_ROLE_ACTIVATION)
            continue;
        int block = block_at(g, x, time, &last);
        if (last <= time && ls_tensor_bytes(g, x) == ls_tensor_bytes(g, node->out[0]))
            return block;
    }
    return -1;
}

/* Blocks for the results of a forward that runs at this time, the first or (recomputation) the second. */
static LsStatus place_results(LsGraph *g, int n, int time, bool recompute)
{
    LsNode *node = g->node[n];
    int over = taken_over(g, n, time);
    for (int i = 0; i < node->outputs; i++) {
        LsTensorPlan *plan = plan_of(g, node->out[i]);
        int *block = recompute ? &plan->recompute_block : &plan->data_block,
            last = recompute ? plan->recompute_last : plan->last;
        if (plan->aliases_grad_of)
            continue;
        *block = i == 0 && over >= 0 ? over : new_block(g, ls_tensor_bytes(g, node->out[i]), time, last);
        if (*block < 0)
            return LS_RESOURCE;
        extend(g, *block, last);
    }
    return place_scratch(g, node->scratch_forward, time,
                         recompute ? &g->node_plan[n].recompute_block : &g->node_plan[n].forward_block);
}

/* A result's gradient lives from its first contribution to its producer's backward. Where the op allows, the input's
 * gradient, if this is its first contribution, takes over the memory of the result's. */
static LsStatus place_grads_of(LsGraph *g, int n)
{
    LsNode *node = g->node[n];
    int now = g->node_plan[n].backward_time;
    for (int i = 0; i < node->outputs; i++) {
        LsTensorPlan *plan = plan_of(g, node->out[i]);
        if (!node->out[i]->needs_grad)
            continue;
        if (plan->grad_block < 0)
            plan->grad_block = new_block(g, ls_tensor_bytes(g, node->out[i]), now, now);
        if (plan->grad_block < 0)
            return LS_RESOURCE;
        extend(g, plan->grad_block, plan->kept ? g->end_time : now);
    }
    LS_TRY(place_scratch(g, node->scratch_backward, now, &g->node_plan[n].backward_block));
    bool free_to_take = !plan_of(g, node->out[0])->kept;
    for (int i = 0; i < node->inputs; i++) {
        LsTensor *x = node->in[i];
        if (!((node->want >> i) & 1u) || x->role != LS_ROLE_ACTIVATION || plan_of(g, x)->grad_block >= 0)
            continue;
        bool takes = free_to_take && ((node->op->in_place >> i) & 1u) &&
                     ls_tensor_bytes(g, x) == ls_tensor_bytes(g, node->out[0]);
        plan_of(g, x)->grad_block =
            takes ? plan_of(g, node->out[0])->grad_block : new_block(g, ls_tensor_bytes(g, x), now, now);
        free_to_take = free_to_take && !takes;
        if (plan_of(g, x)->grad_block < 0)
            return LS_RESOURCE;
    }
    return LS_OK;
}

/* Their gradients are there before backward begins. */
static LsStatus place_seeds(LsGraph *g)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor_plan[i].seed) {
            g->tensor_plan[i].grad_block = new_block(g, ls_tensor_bytes(g, g->tensor[i]), g->nodes, g->nodes);
            if (g->tensor_plan[i].grad_block < 0)
                return LS_RESOURCE;
        }
    return LS_OK;
}

LsStatus ls_plan_blocks(LsGraph *g)
{
    forget(g);
    order_work(g);
    find_last_uses(g);
    for (int n = 0; n < g->nodes; n++)
        LS_TRY(place_results(g, n, forward_time(g, n), false));
    for (int at = 0; at < g->recomputes; at++)
        LS_TRY(place_results(g, g->recompute[at], g->node_plan[g->recompute[at]].recompute_time, true));
    LS_TRY(place_seeds(g));
    for (int n = g->nodes - 1; n >= 0; n--)
        if (g->node_plan[n].active)
            LS_TRY(place_grads_of(g, n));
    return LS_OK;
}

int64_t ls_plan_live(LsGraph *g)
{
    memset(g->live, 0, sizeof *g->live * (size_t)(g->end_time + 2));
    for (int i = 0; i < g->blocks; i++) {
        g->live[g->block[i].first] += g->block[i].bytes;
        g->live[g->block[i].last + 1] -= g->block[i].bytes;
    }
    int64_t now = 0, most = 0;
    for (int t = 0; t <= g->end_time; t++) {
        now += g->live[t];
        most = now > most ? now : most;
    }
    return most;
}
