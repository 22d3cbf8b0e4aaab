/* Running values: saved with the parameters, moved after a step by what their ops say, never trained. */
#include "graph/graph_internal.h"

#include <string.h>

static LsTensor *find(const LsGraph *g, const char *name)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_RUNNING && strcmp(g->tensor[i]->name, name) == 0)
            return g->tensor[i];
    return NULL;
}

/* The store's second part, made for the first of them. NULL with a message. */
static LsParams *store_of(LsParams *params, const char *name)
{
    if (!params->running && params->sealed)
        ls_fail(LS_USAGE, "running value %s: the model has none; the graphs of one model must use the same ones", name);
    else if (!params->running)
        params->running = ls_params_new();
    return params->running;
}

LsTensor *ls_running(LsGraph *g, const char *name, LsInit init, int rank, const int64_t *dim)
{
    char *full = g->failed ? NULL : ls_scoped_name(g, name);
    if (!full)
        return &g->placeholder;
    LsTensor *x = find(g, full);
    if (x)
        ls_free(full);
    else
        x = ls_tensor_new(g, full, LS_ROLE_RUNNING, LS_ACC, rank, dim);
    if (!x || g->failed)
        return &g->placeholder;
    LsParams *store = store_of(g->params, x->name);
    x->param = store ? ls_params_declare(store, x->name, init, LS_PRECISE, rank, dim) : -1;
    if (x->param < 0) {
        char message[512];
        snprintf(message, sizeof message, "%s", ls_message());
        ls_graph_fail(g, LS_USAGE, "%s", message);
        return &g->placeholder;
    }
    x->needs_grad = ls_graph_learns(g, x->name);
    return x;
}

/* Room for what they are to move by, of all graphs of the store; sums over ranks are in double. */
static LsStatus need_moves(LsParams *store)
{
    if (!store->grad)
        store->grad = ls_alloc_array(store->total, sizeof *store->grad);
    if (!store->moves)
        store->moves = ls_alloc_array(store->total, sizeof *store->moves);
    return store->grad && store->moves ? LS_OK : LS_RESOURCE;
}

LsStatus ls_running_bind(LsGraph *g, LsTensor *x)
{
    LsParams *store = g->params->running;
    int64_t offset = store->list[x->param].offset;
    bool training = x->needs_grad;
    if (training)
        LS_TRY(need_moves(store));
    if (g->options.precision != LS_FLOAT64) {
        x->data = store->value + offset;
        x->grad = training ? store->grad + offset : NULL;
        return LS_OK;
    }
    g->tensor_plan[x->id].owns_data = true;
    g->tensor_plan[x->id].owns_grad = training;
    x->data = ls_alloc((size_t)ls_tensor_bytes(g, x));
    x->grad = training && x->data ? ls_alloc((size_t)ls_tensor_bytes(g, x)) : NULL;
    return x->data && (x->grad || !training) ? LS_OK : LS_RESOURCE;
}

/* Has backward left something? Not where no loss depends on the op. */
static bool moves(const LsGraph *g, const LsTensor *x)
{
    return x->role == LS_ROLE_RUNNING && x->grad && g->tensor_plan[x->id].active;
}

LsStatus ls_running_update(LsGraph *g, const LsComm *comm, int64_t micro_batches)
{
    LsParams *store = g->params->running;
    int64_t count = 0;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t i = 0; moves(g, g->tensor[t]) && i < g->tensor[t]->count; i++)
            store->moves[count++] = ls_element(g, g->tensor[t]->grad, LS_ACC, i);
    if (count == 0)
        return LS_OK;
    LS_TRY(comm->allreduce_double(comm, store->moves, count));
    double share = 1 / ((double)comm->size * (double)micro_batches);
    const double *move = store->moves;
    for (int t = 0; t < g->tensors; t++) {
        LsTensor *x = g->tensor[t];
        if (!moves(g, x))
            continue;
        float *value = store->value + store->list[x->param].offset;
        for (int64_t i = 0; i < x->count; i++)
            value[i] = (float)((double)value[i] + share * *move++);
        if (g->tensor_plan[x->id].owns_data)
            ls_tensor_set(g, x, value);
    }
    return LS_OK;
}
