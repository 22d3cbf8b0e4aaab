/* Planning: what backward must visit, which gradients are written and which added to, lifetimes, the arena. */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

static int forward_time(int node) { return node; }
static int backward_time(const LsGraph *g, int node) { return 2 * g->nodes - 1 - node; }

int64_t ls_graph_element_bytes(const LsGraph *g, LsDtype dtype)
{
    static const int64_t real[LS_PRECISIONS] = {[LS_FLOAT32] = 4, [LS_BFLOAT16] = 2, [LS_FLOAT64] = 8};
    static const int64_t acc[LS_PRECISIONS] = {[LS_FLOAT32] = 4, [LS_BFLOAT16] = 4, [LS_FLOAT64] = 8};
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
    for (int i = 0; i < g->kepts; i++)
        if (strcmp(g->kept[i].name, g->options.loss) == 0 && g->kept[i].tensor->needs_grad) {
            plan_of(g, g->kept[i].tensor)->seed = true;
            plan_of(g, g->kept[i].tensor)->active = true;
            any = true;
        }
    return any ? LS_OK : ls_fail(LS_USAGE, "a training graph needs an output named \"%s\" that depends on a parameter", g->options.loss);
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

/* In the order of backward the first contribution to a gradient overwrites, later ones add. With micro-batches accumulated, every
 * contribution to a parameter adds. A tensor used twice by one node counts in the order of its inputs. */
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
            g->node_plan[n].add_more |= node->in[i]->role == LS_ROLE_PARAM ? 1u << i : bit;
            touched[node->in[i]->id] = true;
        }
    }
}

/* Backward goes from the last node to the first, so after node n all parameters are final whose first use is n or later. Offsets follow the
 * order of declaration; the watermark is the lowest offset from which on every parameter is final. */
static LsStatus mark_ready(LsGraph *g)
{
    int count = g->params->count;
    int *first = ls_alloc_array(count + 1, sizeof(int));
    if (!first)
        return LS_RESOURCE;
    for (int i = 0; i <= count; i++)
        first[i] = g->nodes;
    for (int n = g->nodes - 1; n >= 0; n--)
        for (int i = 0; i < g->node[n]->inputs; i++)
            if (g->node[n]->in[i] && g->node[n]->in[i]->param >= 0)
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

/* ---- Lifetimes ---- */

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
    if (block >= 0 && g->block[block].first > time)
        g->block[block].first = time;
}

/* Last time at which the data of x is read, in forward or backward. */
static int last_use(LsGraph *g, const LsTensor *x)
{
    int last = 0;
    for (int n = 0; n < g->nodes; n++) {
        const LsNode *node = g->node[n];
        bool active = g->node_plan[n].active;
        for (int i = 0; i < node->inputs; i++)
            if (node->in[i] == x) {
                int time = active && ((node->op->saves_in >> i) & 1u) ? backward_time(g, n) : forward_time(n);
                last = time > last ? time : last;
            }
        for (int i = 0; i < node->outputs; i++)
            if (node->out[i] == x) {
                int time = active && ((node->op->saves_out >> i) & 1u) ? backward_time(g, n) : forward_time(n);
                last = time > last ? time : last;
            }
    }
    return plan_of(g, x)->kept ? 2 * g->nodes : last;
}

/* The input whose memory the node's result may take over, or -1: nobody reads it after this node's forward. */
static int taken_over(LsGraph *g, int n, const int *last)
{
    const LsNode *node = g->node[n];
    for (int i = 0; i < node->inputs; i++) {
        const LsTensor *x = node->in[i];
        if (((node->op->in_place >> i) & 1u) && x && x->role == LS_ROLE_ACTIVATION && last[x->id] <= forward_time(n) &&
            ls_tensor_bytes(g, x) == ls_tensor_bytes(g, node->out[0]))
            return i;
    }
    return -1;
}

static LsStatus place_data(LsGraph *g, int *last)
{
    for (int i = 0; i < g->tensors; i++)
        last[i] = last_use(g, g->tensor[i]);
    for (int n = 0; n < g->nodes; n++) {
        LsNode *node = g->node[n];
        int over = taken_over(g, n, last);
        for (int i = 0; i < node->outputs; i++) {
            LsTensorPlan *plan = plan_of(g, node->out[i]);
            if (i == 0 && over >= 0) {
                plan->data_block = plan_of(g, node->in[over])->data_block;
                extend(g, plan->data_block, last[node->out[0]->id]);
                continue;
            }
            plan->data_block = new_block(g, ls_tensor_bytes(g, node->out[i]), forward_time(n), last[node->out[i]->id]);
            if (plan->data_block < 0)
                return LS_RESOURCE;
        }
        if (node->scratch_forward > 0) {
            g->node_plan[n].forward_block = new_block(g, node->scratch_forward, forward_time(n), forward_time(n));
            if (g->node_plan[n].forward_block < 0)
                return LS_RESOURCE;
        }
    }
    return LS_OK;
}

/* A result's gradient lives from its first contribution to its producer's backward. Where the op allows, the input's gradient, if this
 * is its first contribution, takes over the memory of the result's. */
static LsStatus place_grads(LsGraph *g)
{
    for (int n = g->nodes - 1; n >= 0; n--) {
        LsNode *node = g->node[n];
        if (!g->node_plan[n].active)
            continue;
        int now = backward_time(g, n);
        for (int i = 0; i < node->outputs; i++) {
            LsTensorPlan *plan = plan_of(g, node->out[i]);
            if (!node->out[i]->needs_grad)
                continue;
            if (plan->grad_block < 0) {
                plan->grad_block = new_block(g, ls_tensor_bytes(g, node->out[i]), plan->seed ? g->nodes : now, now);
                if (plan->grad_block < 0)
                    return LS_RESOURCE;
            }
            extend(g, plan->grad_block, plan->kept ? 2 * g->nodes : now);
        }
        if (node->scratch_backward > 0) {
            g->node_plan[n].backward_block = new_block(g, node->scratch_backward, now, now);
            if (g->node_plan[n].backward_block < 0)
                return LS_RESOURCE;
        }
        bool free_to_take = !plan_of(g, node->out[0])->kept;
        for (int i = 0; i < node->inputs; i++) {
            LsTensor *x = node->in[i];
            if (!((node->want >> i) & 1u) || x->role != LS_ROLE_ACTIVATION || plan_of(g, x)->grad_block >= 0)
                continue;
            if (free_to_take && ((node->op->in_place >> i) & 1u) && ls_tensor_bytes(g, x) == ls_tensor_bytes(g, node->out[0])) {
                plan_of(g, x)->grad_block = plan_of(g, node->out[0])->grad_block;
                free_to_take = false;
                continue;
            }
            plan_of(g, x)->grad_block = new_block(g, ls_tensor_bytes(g, x), now, now);
            if (plan_of(g, x)->grad_block < 0)
                return LS_RESOURCE;
        }
    }
    return LS_OK;
}

/* ---- The arena ---- */

static int by_size(const void *a, const void *b, void *blocks)
{
    const LsBlock *x = (LsBlock *)blocks + *(const int *)a, *y = (LsBlock *)blocks + *(const int *)b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return *(const int *)a - *(const int *)b;
}

static int by_offset(const void *a, const void *b)
{
    const LsBlock *x = *(LsBlock *const *)a, *y = *(LsBlock *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Largest first, each at the lowest offset where it meets no placed block that lives at the same time (greedy by size: Pisarchyk and Lee
 * 2020, "Efficient memory management for deep neural net inference"). */
static LsStatus lay_out(LsGraph *g)
{
    int *order = ls_alloc_array(g->blocks + 1, sizeof(int));
    LsBlock **near = ls_alloc_array(g->blocks + 1, sizeof(LsBlock *));
    if (!order || !near) {
        ls_free(order);
        ls_free(near);
        return LS_RESOURCE;
    }
    for (int i = 0; i < g->blocks; i++)
        order[i] = i;
    qsort_r(order, (size_t)g->blocks, sizeof(int), by_size, g->block);
    g->arena_bytes = 0;
    for (int i = 0; i < g->blocks; i++) {
        LsBlock *b = &g->block[order[i]];
        int meets = 0;
        for (int j = 0; j < i; j++) {
            LsBlock *other = &g->block[order[j]];
            if (other->first <= b->last && b->first <= other->last)
                near[meets++] = other;
        }
        qsort(near, (size_t)meets, sizeof *near, by_offset);
        b->offset = 0;
        for (int j = 0; j < meets && near[j]->offset < b->offset + b->bytes; j++)
            if (near[j]->offset + near[j]->bytes > b->offset)
                b->offset = near[j]->offset + near[j]->bytes;
        if (b->offset + b->bytes > g->arena_bytes)
            g->arena_bytes = b->offset + b->bytes;
    }
    ls_free(order);
    ls_free(near);
    return LS_OK;
}

/* ---- Memory report ---- */

static void count_memory(LsGraph *g)
{
    LsMemory m = {0};
    bool copies = g->options.precision != LS_FLOAT32;
    m.parameters = g->params->total * 4;
    m.gradients = g->options.mode == LS_TRAIN ? g->params->total * 4 : 0;
    for (int i = 0; i < g->tensors; i++) {
        const LsTensor *x = g->tensor[i];
        int64_t bytes = ls_tensor_bytes(g, x);
        if (x->role == LS_ROLE_INPUT)
            m.inputs += bytes;
        else if (x->role == LS_ROLE_STATE && !g->states_of)
            m.states += bytes;
        else if (x->role == LS_ROLE_PARAM && copies)
            m.parameters += bytes;
    }
    m.states += ls_carries_all_bytes(g);
    int64_t scratch = 0;
    for (int n = 0; n < g->nodes; n++)
        for (int side = 0; side < 2; side++) {
            int64_t bytes = side ? g->node[n]->scratch_backward : g->node[n]->scratch_forward;
            scratch = bytes > scratch ? bytes : scratch;
        }
    /* The arena holds both; the largest scratch is told apart, the rest counts as activations. */
    m.scratch = scratch < g->arena_bytes ? scratch : g->arena_bytes;
    m.activations = g->arena_bytes - m.scratch;
    g->memory = m;
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
    LS_TRY(mark_seeds(g));
    mark_active(g);
    LS_TRY(mark_ready(g));
    bool *touched = ls_alloc_array(g->tensors + 1, sizeof(bool));
    int *last = ls_alloc_array(g->tensors + 1, sizeof(int));
    LsStatus status = touched && last ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        mark_adds(g, touched);
        status = place_data(g, last);
    }
    ls_free(touched);
    ls_free(last);
    LS_TRY(status);
    LS_TRY(place_grads(g));
    LS_TRY(lay_out(g));
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
