/* Giving planned tensors their memory: parameters from the store, states shared or own, the rest from the arena. */
#include "graph/graph_internal.h"

static LsStatus bind_param(LsGraph *g, LsTensor *x)
{
    LsParams *store = ls_store_of(g, x);
    const LsParam *p = &store->list[x->param];
    bool training = x->needs_grad;
    if (g->options.precision != LS_FLOAT64 && training && !g->params->grad)
        return ls_fail(LS_ERROR, "a training graph needs a parameter store with gradients");
    if (g->params->frozen) {
        x->data = p->only[ls_param_form(g, x)];
        return LS_OK;
    }
    if (x->dtype == LS_I8) {
        x->data = g->params->eighths + p->offset;
        return LS_OK;
    }
    if (g->options.precision != LS_FLOAT64) {
        bool shadow = ls_graph_element_bytes(g, x->dtype) == 2;
        x->data = shadow ? (void *)(store->shadow + p->offset) : (void *)(store->value + p->offset);
        x->grad = training ? g->params->grad + p->offset : NULL;
        return LS_OK;
    }
    g->tensor_plan[x->id].owns_data = true;
    g->tensor_plan[x->id].owns_grad = training;
    x->data = ls_alloc((size_t)ls_tensor_bytes(g, x));
    x->grad = training && x->data ? ls_alloc((size_t)ls_tensor_bytes(g, x)) : NULL;
    return x->data && (x->grad || !training) ? LS_OK : LS_RESOURCE;
}

/* One for all graphs of the store, so that evaluation and training see what the optimiser wrote. */
static LsStatus need_shadow(const LsGraph *g, LsParams *params)
{
    if (!params || g->options.precision != LS_BFLOAT16 || params->shadow || params->frozen)
        return LS_OK;
    params->shadow = ls_alloc_array(params->total, sizeof *params->shadow);
    return params->shadow ? LS_OK : LS_RESOURCE;
}

/* The same for weights of 8 bits. */
static LsStatus need_eighths(const LsGraph *g)
{
    LsParams *params = g->params;
    if (!g->options.int8_weights || params->eighths || params->frozen)
        return LS_OK;
    params->eighths = ls_alloc_array(params->total, sizeof *params->eighths);
    params->row_scale = ls_alloc_array(params->rows, sizeof *params->row_scale);
    return params->eighths && params->row_scale ? LS_OK : LS_RESOURCE;
}

/* A frozen store has what one graph reads; others may read less, not more. */
static LsStatus check_frozen(const LsGraph *g)
{
    if (!g->params->frozen)
        return LS_OK;
    if (g->options.mode == LS_TRAIN || g->options.precision == LS_FLOAT64)
        return ls_fail(LS_ERROR, "parameters that were loaded for use alone cannot be trained or checked");
    for (int n = 0; n < g->nodes; n++)
        for (int i = 0; i < g->node[n]->inputs; i++) {
            const LsTensor *x = g->node[n]->in[i];
            if (x && x->role == LS_ROLE_PARAM && !x->data)
                return ls_fail(LS_ERROR, "parameter %s was not loaded in the precision that %s reads", x->name,
                               g->node[n]->name);
        }
    return LS_OK;
}

static LsStatus bind_input(LsGraph *g, LsTensor *x)
{
    LsTensorPlan *plan = &g->tensor_plan[x->id];
    plan->owns_data = true;
    x->data = ls_alloc((size_t)ls_tensor_bytes(g, x));
    if (x->data && x->needs_grad) {
        plan->owns_grad = true;
        x->grad = ls_alloc((size_t)ls_tensor_bytes(g, x));
    }
    return x->data && (!x->needs_grad || x->grad) ? LS_OK : LS_RESOURCE;
}

static int64_t arena_room(const LsGraph *g)
{
    return g->arena_bytes > g->options.arena_room ? g->arena_bytes : g->options.arena_room;
}

static LsStatus bind_arena(LsGraph *g)
{
    g->owns_arena = !g->arena_of || arena_room(g->arena_of) < g->arena_bytes;
    g->arena = g->owns_arena ? ls_alloc((size_t)arena_room(g)) : g->arena_of->arena;
    return g->arena ? LS_OK : LS_RESOURCE;
}

LsStatus ls_graph_share_arena(LsGraph *g, const LsGraph *from)
{
    if (g->planned || !from->arena)
        return ls_fail(LS_ERROR, "an arena is shared with a planned graph, before this one is planned");
    g->arena_of = from->owns_arena ? from : from->arena_of;
    return LS_OK;
}

LsStatus ls_graph_bind(LsGraph *g)
{
    if (!g->params->sealed)
        return ls_fail(LS_ERROR, "the parameter store must be allocated before a graph is planned");
    LS_TRY(bind_arena(g));
    LS_TRY(need_shadow(g, g->params));
    LS_TRY(need_shadow(g, ls_params_base(g->params)));
    LS_TRY(need_eighths(g));
    for (int i = 0; i < g->tensors; i++) {
        LsTensor *x = g->tensor[i];
        LsTensorPlan *plan = &g->tensor_plan[i];
        if (x->role == LS_ROLE_PARAM)
            LS_TRY(bind_param(g, x));
        else if (x->role == LS_ROLE_RUNNING)
            LS_TRY(ls_running_bind(g, x));
        else if (x->role == LS_ROLE_STATE)
            LS_TRY(ls_state_bind(g, x));
        else if (x->role == LS_ROLE_INPUT)
            LS_TRY(bind_input(g, x));
        else if (x->role == LS_ROLE_CARRY)
            continue;
        else {
            x->data =
                plan->aliases_grad_of ? plan->aliases_grad_of->grad : g->arena + g->block[plan->data_block].offset;
            x->grad = plan->grad_block >= 0 ? g->arena + g->block[plan->grad_block].offset : NULL;
        }
    }
    LS_TRY(ls_carries_bind(g));
    LS_TRY(check_frozen(g));
    ls_graph_refresh(g);
    return LS_OK;
}

static void refresh_shadow(const LsParams *params)
{
    const int64_t piece = 65536;
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < params->total; first += piece)
        ls_params_shadow(params, first, params->total - first < piece ? params->total - first : piece);
}

void ls_graph_refresh(LsGraph *g)
{
    if (g->params->frozen) /* ls_params_put writes all forms at once */
        return;
    refresh_shadow(g->params);
    if (ls_params_base(g->params))
        refresh_shadow(ls_params_base(g->params));
    ls_params_quantise(g->params);
    if (g->options.precision != LS_FLOAT64)
        return;
    for (int i = 0; i < g->tensors; i++) {
        LsTensor *x = g->tensor[i];
        const LsParams *store = x->role == LS_ROLE_RUNNING ? g->params->running : ls_store_of(g, x);
        if (x->role == LS_ROLE_RUNNING || (x->role == LS_ROLE_PARAM && x->dtype != LS_I8))
            ls_tensor_set(g, x, store->value + store->list[x->param].offset);
    }
}
