/* Planning: what backward must visit, which gradients are written and which added to; then lifetimes, the arena (files
 * of their own). */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

int64_t ls_graph_element_bytes(const LsGraph *g, LsDtype dtype)
{
    static const int64_t real[LS_PRECISIONS] = {[LS_FLOAT32] = 4, [LS_BFLOAT16] = 2, [LS_FLOAT64] = 8};
    static const int64_t acc[LS_PRECISIONS] = {[LS_FLOAT32] = 4, [LS_BFLOAT16] = 4, [LS_FLOAT64] = 8};
    if (dtype == LS_I8)
        return 1;
    return dtype == LS_I32 ? 4 : dtype == LS_REAL ? real[g->options.precision] : acc[g->options.precision];
}

int64_t ls_tensor_bytes(const LsGraph *g, const LsTensor *x) { return x->count * ls_graph_element_bytes(g, x->dtype); }

static LsTensorPlan *plan_of(LsGraph *g, const LsTensor *x) { return &g->tensor_plan[x->id]; }

/* ---- What backward visits ---- */

static LsStatus mark_seeds(LsGraph *g)
{
    if (g->options.mode != LS_TRAIN)
        return LS_OK;
    bool any = false;
    for (int i = 0; i < g->outputs; i++)
        if (strcmp(g->output[i].name, g->options.loss) == 0 && g->output[i].tensor->needs_grad) {
            plan_of(g, g->output[i].tensor)->seed = true;
            plan_of(g, g->output[i].tensor)->active = true;
            any = true;
        }
    const char *learns = g->options.learns;
    return any ? LS_OK
               : ls_fail(LS_USAGE, "a training graph needs an output named \"%s\" that depends on a parameter%s%s%s",
                         g->options.loss, learns ? " whose name begins with \"" : "", learns ? learns : "",
                         learns ? "\"" : "");
}

static void mark_active(LsGraph *g)
{
    for (int n = g->nodes - 1; n >= 0; n--) {
        LsNode *node = g->node[n];
        for (int i = 0; i < node->outputs; i++)
            if (node->out[i]->needs_grad && plan_of(g, node->out[i])->active)
                g->node_plan[n].active = true;
        if (!g->node_plan[n].active)
            continue;
        for (int i = 0; i < node->inputs; i++)
            if ((node->want >> i) & 1u)
                plan_of(g, node->in[i])->active = true;
    }
}

/* In the order of backward the first contribution to a gradient overwrites, later ones add. With micro-batches
 * accumulated, every contribution to a parameter or running value adds. A tensor used twice by one node counts
 * in the order of its inputs. */
static void mark_adds(LsGraph *g, bool *touched)
{
    for (int i = 0; i < g->tensors; i++)
        touched[i] = g->tensor_plan[i].seed;
    for (int n = g->nodes - 1; n >= 0; n--) {
        LsNode *node = g->node[n];
        if (!g->node_plan[n].active)
            continue;
        for (int i = 0; i < node->outputs; i++)
            plan_of(g, node->out[i])->zero_grad = node->out[i]->needs_grad && !touched[node->out[i]->id];
        for (int i = 0; i < node->inputs; i++) {
            if (!((node->want >> i) & 1u))
                continue;
            uint32_t bit = touched[node->in[i]->id] ? 1u << i : 0;
            g->node_plan[n].add_first |= bit;
            bool stored = node->in[i]->role == LS_ROLE_PARAM || node->in[i]->role == LS_ROLE_RUNNING;
            g->node_plan[n].add_more |= stored ? 1u << i : bit;
            touched[node->in[i]->id] = true;
        }
    }
}

/* Backward goes from the last node to the first, so after node n all parameters are final whose first use by a
 * node that has a gradient for them is n or later; parameters without such a node are never written. Offsets
 * follow the order of declaration; the watermark is the lowest offset from which on every parameter is final. */
static LsStatus mark_ready(LsGraph *g)
{
    int count = g->params->count;
    int *first = ls_alloc_array(count + 1, sizeof(int));
    if (!first)
        return LS_RESOURCE;
    for (int i = 0; i <= count; i++)
        first[i] = g->nodes;
    for (int n = g->nodes - 1; n >= 0; n--)
        for (int i = 0; i < g->node[n]->inputs && g->node_plan[n].active; i++)
            if (((g->node[n]->want >> i) & 1u) && g->node[n]->in[i]->role == LS_ROLE_PARAM)
                first[g->node[n]->in[i]->param] = n;
    for (int i = count - 1; i >= 0; i--)
        first[i] = first[i] < first[i + 1] ? first[i] : first[i + 1];
    int p = count;
    for (int n = g->nodes - 1; n >= 0; n--) {
        while (p > 0 && first[p - 1] >= n)
            p--;
        g->node_plan[n].ready = p == count ? g->params->total : g->params->list[p].offset;
    }
    ls_free(first);
    return LS_OK;
}

/* Ops that do the work of the node before along with their own. Another user of that result would come later in
 * forward, earlier in backward. */
static void mark_fused(LsGraph *g)
{
    for (int n = 1; n < g->nodes && !g->options.reference && !g->options.no_fusion; n++) {
        const LsNode *node = g->node[n], *before = g->node[n - 1];
        LsNodePlan *plan = &g->node_plan[n];
        const LsNodePlan *first = &g->node_plan[n - 1];
        bool reads = before->op->saves_in || before->op->saves_out;
        plan->fused = node->op->fuses && strcmp(node->op->fuses, before->op->name) == 0 &&
                      node->in[0] == before->out[0] && !first->fused;
        plan->fused_back = plan->fused && plan->active && first->active && first->add_more == 0 && !reads;
    }
}

/* ---- Memory report ---- */

static void count_memory(LsGraph *g)
{
    LsMemory m = {0};
    int64_t arena = g->arena_bytes > g->options.arena_room ? g->arena_bytes : g->options.arena_room;
    m.parameters = g->params->total * 4;
    m.shadows = g->options.precision == LS_BFLOAT16 ? g->params->total * 2 : 0; /* one, in the store */
    if (g->options.int8_weights)
        m.shadows += g->params->total + g->params->rows * 4;
    m.gradients = g->options.mode == LS_TRAIN ? g->params->total * 4 : 0;
    if (g->params->frozen) {
        m.parameters = g->params->frozen_bytes;
        m.shadows = 0;
    }
    if (ls_params_base(g->params)) {
        m.parameters += ls_params_base(g->params)->total * 4;
        m.shadows += g->options.precision == LS_BFLOAT16 ? ls_params_base(g->params)->total * 2 : 0;
    }
    if (g->params->running) {
        m.parameters += g->params->running->total * 4;
        m.gradients += g->options.mode == LS_TRAIN ? g->params->running->total * 12 : 0;
    }
    for (int i = 0; i < g->tensors; i++) {
        const LsTensor *x = g->tensor[i];
        int64_t bytes = ls_tensor_bytes(g, x);
        if (x->role == LS_ROLE_INPUT)
            m.inputs += bytes;
        else if (x->role == LS_ROLE_STATE && !g->states_of)
            m.states += bytes;
        else if (x->role == LS_ROLE_PARAM && x->dtype != LS_I8 && g->options.precision == LS_FLOAT64)
            m.shadows += bytes;
    }
    m.states += ls_carries_all_bytes(g);
    int64_t scratch = 0;
    for (int n = 0; n < g->nodes; n++)
        for (int side = 0; side < 2; side++) {
            int64_t bytes = side ? g->node[n]->scratch_backward : g->node[n]->scratch_forward;
            scratch = bytes > scratch ? bytes : scratch;
        }
    /* The arena holds both; the largest scratch is told apart, the rest counts as activations. */
    m.scratch = scratch < arena ? scratch : arena;
    m.activations = arena - m.scratch;
    g->memory = m;
}

/* Results that are a parameter's gradient but for a factor lie in it, where this node's contribution is the first. */
static void mark_grad_aliases(LsGraph *g)
{
    for (int n = 0; n < g->nodes && g->options.single_pass; n++)
        for (int k = 0; k < g->node[n]->outputs; k++) {
            const LsNode *node = g->node[n];
            int i = (int)node->op->grad_alias[k] - 1;
            bool first = i >= 0 && node->in[i] && ((node->want & ~g->node_plan[n].add_first) >> i & 1u);
            if (first && g->node_plan[n].active && node->in[i]->role == LS_ROLE_PARAM &&
                node->out[k]->dtype == LS_ACC && node->out[k]->count == node->in[i]->count)
                plan_of(g, node->out[k])->aliases_grad_of = node->in[i];
        }
}

/* Allocates the arrays of nodes and tensors that the planner's other files fill. */
static LsStatus make_room(LsGraph *g)
{
    g->recompute = ls_alloc_array(g->nodes + 1, sizeof *g->recompute);
    g->live = ls_alloc_array(3 * (int64_t)g->nodes + 4, sizeof *g->live);
    for (int i = 0; i < g->tensors; i++)
        g->tensor_plan[i].producer = -1;
    for (int n = 0; n < g->nodes; n++)
        for (int i = 0; i < g->node[n]->outputs; i++)
            plan_of(g, g->node[n]->out[i])->producer = n;
    return g->recompute && g->live ? LS_OK : LS_RESOURCE;
}

static LsStatus plan_layout(LsGraph *g)
{
    if (g->failed)
        return ls_fail(g->failed, "%s", g->message ? g->message : "out of memory");
    if (g->planned)
        return ls_fail(LS_ERROR, "the graph is planned already");
    if (g->scope_depth)
        return ls_fail(LS_USAGE, "a builder left the scope \"%s\" open", g->scope);
    g->planned = true;
    LS_TRY(make_room(g));
    LS_TRY(mark_seeds(g));
    mark_active(g);
    LS_TRY(mark_ready(g));
    bool *touched = ls_alloc_array(g->tensors + 1, sizeof(bool));
    if (!touched)
        return LS_RESOURCE;
    mark_adds(g, touched);
    ls_plan_grad_columns(g);
    ls_free(touched);
    mark_grad_aliases(g);
    mark_fused(g);
    for (int n = 0; n < g->nodes && g->options.recompute_all; n++)
        g->node_plan[n].dropped = ls_plan_can_drop(g, n);
    LS_TRY(ls_plan_blocks(g));
    LS_TRY(ls_plan_arena(g));
    if (g->options.arena_limit > 0 && g->arena_bytes > g->options.arena_limit)
        LS_TRY(ls_plan_fit(g, g->options.arena_limit));
    count_memory(g);
    return LS_OK;
}

LsStatus ls_graph_plan_dry(LsGraph *g) { return plan_layout(g); }

LsStatus ls_graph_plan(LsGraph *g)
{
    LS_TRY(plan_layout(g));
    return ls_graph_bind(g);
}

LsMemory ls_graph_memory(const LsGraph *g) { return g->memory; }
