/* Running a planned graph: forward, backward, the gradient-ready hook. Nothing here allocates. */
#include "graph/graph_internal.h"
#include "graph/profile_scopes.h"

#include "base/bfloat16.h"
#include "base/trace.h"

#include <math.h>
#include <string.h>

void ls_poison(void *data, int64_t bytes) { memset(data, 0xff, (size_t)bytes); }

static void *block_data(const LsGraph *g, int block) { return block >= 0 ? g->arena + g->block[block].offset : NULL; }

static LsStatus check_run(const LsGraph *g)
{
    return g->arena ? LS_OK : ls_fail(LS_ERROR, "the graph must be planned before it runs");
}

/* Debugging: whatever this forward must write, or may not read, is NaN before it. Memory taken over from an input
 * stays. */
static void poison_forward(const LsGraph *g, const LsNode *node)
{
    if (node->scratch)
        ls_poison(node->scratch, node->scratch_forward);
    for (int i = 0; i < node->outputs; i++) {
        bool taken = false;
        for (int j = 0; j < node->inputs; j++)
            taken |= node->in[j] && node->in[j]->data == node->out[i]->data;
        if (!taken)
            ls_poison(node->out[i]->data, ls_tensor_bytes(g, node->out[i]));
    }
    for (int i = 0; i < node->inputs; i++)
        if (node->in[i] && node->in[i]->role == LS_ROLE_CARRY)
            ls_poison(node->in[i]->end->data, ls_tensor_bytes(g, node->in[i]));
}

static void poison_backward(const LsGraph *g, const LsNode *node)
{
    if (node->scratch)
        ls_poison(node->scratch, node->scratch_backward);
    for (int i = 0; i < node->inputs; i++) {
        bool same = false; /* the first mention of a tensor used twice is the one that writes */
        for (int j = 0; j < i; j++)
            same |= node->in[j] == node->in[i];
        bool writes = !same && ((node->want >> i) & 1u) && !(((node->add | node->partial_grad) >> i) & 1u);
        for (int k = 0; k < node->outputs; k++)
            writes = writes && node->in[i]->grad != node->out[k]->data; /* LsOp.grad_alias */
        if (writes && node->in[i]->grad != node->out[0]->grad)
            ls_poison(node->in[i]->grad, ls_grad_bytes(g, node->in[i]));
    }
}

/* Where a node's results lie that are made twice: in their first blocks, or (recomputation) in their second. */
static void turn_results(LsGraph *g, int n, bool recompute)
{
    const LsNode *node = g->node[n];
    for (int i = 0; i < node->outputs; i++) {
        const LsTensorPlan *plan = &g->tensor_plan[node->out[i]->id];
        node->out[i]->data = block_data(g, recompute ? plan->recompute_block : plan->data_block);
    }
}

static void prepare_forward(LsGraph *g, int n, bool recompute)
{
    LsNode *node = g->node[n];
    LsNodePlan *plan = &g->node_plan[n];
    node->scratch = block_data(g, recompute ? plan->recompute_block : plan->forward_block);
    if (plan->recompute_time >= 0)
        turn_results(g, n, recompute);
    if (g->options.poison)
        poison_forward(g, node);
}

/* recompute: in backward, for what was let go of. */
static LsStatus run_forward(LsGraph *g, int n, const LsRun *run, bool recompute)
{
    LsNode *node = g->node[n];
    LsNodePlan *plan = &g->node_plan[n];
    node->fused_producer = plan->fused && !recompute ? g->node[n - 1] : NULL;
    if (node->fused_producer)
        prepare_forward(g, n - 1, recompute);
    prepare_forward(g, n, recompute);
    bool timed = g->options.profile || ls_trace_on();
    double start = timed ? ls_seconds() : 0;
    bool plain = g->options.reference && node->op->reference;
    LsStatus status = plain ? node->op->reference(node, run) : node->op->forward(node, run);
    if (timed) {
        double end = ls_seconds();
        *(recompute ? &plan->recompute_seconds : &plan->forward_seconds) += end - start;
        ls_trace_event(LS_TRACE_STEP, recompute ? "again" : "forward", node->name, start, end);
    }
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s", node->name);
}

LsStatus ls_node_forward(LsGraph *g, int n, const LsRun *run)
{
    return ls_plan_done_by_next(g, n) ? LS_OK : run_forward(g, n, run, false);
}

LsStatus ls_graph_forward(LsGraph *g, const LsRun *run)
{
    LS_TRY(check_run(g));
    for (int n = 0; n < g->nodes; n++) {
        LS_TRY(ls_node_forward(g, n, run));
        g->node_plan[n].calls += g->options.profile;
    }
    return LS_OK;
}

static void prepare_backward(LsGraph *g, int n, bool accumulate)
{
    LsNode *node = g->node[n];
    LsNodePlan *plan = &g->node_plan[n];
    node->scratch = block_data(g, plan->backward_block);
    node->add = accumulate ? plan->add_more : plan->add_first;
    for (int i = 0; i < node->outputs; i++)
        if (g->tensor_plan[node->out[i]->id].zero_grad)
            memset(node->out[i]->grad, 0, (size_t)ls_tensor_bytes(g, node->out[i]));
    if (g->options.poison)
        poison_backward(g, node);
}

static LsStatus run_backward(LsGraph *g, int n, const LsRun *run, bool accumulate)
{
    LsNode *node = g->node[n];
    LsNodePlan *plan = &g->node_plan[n];
    node->fused_producer = plan->fused_back ? g->node[n - 1] : NULL;
    prepare_backward(g, n, accumulate);
    if (node->fused_producer)
        prepare_backward(g, n - 1, accumulate);
    bool timed = g->options.profile || ls_trace_on();
    double start = timed ? ls_seconds() : 0;
    LsStatus status = node->op->backward(node, run);
    if (timed) {
        double end = ls_seconds();
        plan->backward_seconds += end - start;
        ls_trace_event(LS_TRACE_STEP, "backward", node->name, start, end);
    }
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s, backward", node->name);
}

LsStatus ls_graph_backward_seeded(LsGraph *g, const LsRun *run, bool accumulate, const LsHooks *hooks)
{
    int64_t ready_from = g->params->total;
    int recomputed = 0;
    for (int n = g->nodes - 1; n >= 0; n--) {
        for (; recomputed < g->node_plan[n].recomputes; recomputed++) {
            LS_TRY(run_forward(g, g->recompute[recomputed], run, true));
            if (hooks && hooks->poll)
                LS_TRY(hooks->poll(hooks->self));
        }
        if (g->node_plan[n].active && !ls_plan_done_by_next_back(g, n))
            LS_TRY(run_backward(g, n, run, accumulate));
        if (hooks && hooks->ready && g->node_plan[n].ready < ready_from) {
            ready_from = g->node_plan[n].ready;
            LS_TRY(hooks->ready(hooks->self, ready_from));
        }
        if (hooks && hooks->poll)
            LS_TRY(hooks->poll(hooks->self));
    }
    if (hooks && hooks->ready && ready_from > 0)
        LS_TRY(hooks->ready(hooks->self, 0)); /* parameters that no node uses */
    return LS_OK;
}

double ls_element(const LsGraph *g, const void *data, LsDtype dtype, int64_t i)
{
    if (dtype == LS_I32)
        return ((const int32_t *)data)[i];
    if (dtype == LS_I8)
        return ((const int8_t *)data)[i];
    int64_t bytes = ls_graph_element_bytes(g, dtype);
    if (bytes == 2)
        return (double)ls_bfloat16_to_float(((const LsBfloat16 *)data)[i]);
    return bytes == 8 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

void ls_set_element(const LsGraph *g, void *data, LsDtype dtype, int64_t i, double value)
{
    int64_t bytes = ls_graph_element_bytes(g, dtype);
    if (dtype == LS_I32)
        ((int32_t *)data)[i] = (int32_t)value;
    else if (bytes == 2)
        ((LsBfloat16 *)data)[i] = ls_bfloat16_from_float((float)value);
    else if (bytes == 8)
        ((double *)data)[i] = value;
    else
        ((float *)data)[i] = (float)value;
}

LsStatus ls_graph_backward(LsGraph *g, const LsRun *run, double scale, bool accumulate, const LsHooks *hooks)
{
    LS_TRY(check_run(g));
    if (g->options.mode != LS_TRAIN)
        return ls_fail(LS_ERROR, "backward on a graph that was not built for training");
    if (accumulate && g->options.single_pass)
        return ls_fail(LS_ERROR, "backward of a graph for single passes cannot add to gradients");
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor_plan[i].seed)
            for (int64_t j = 0; j < g->tensor[i]->count; j++)
                ls_set_element(g, g->tensor[i]->grad, g->tensor[i]->dtype, j, scale);
    return ls_graph_backward_seeded(g, run, accumulate, hooks);
}

LsTensor *ls_graph_output(const LsGraph *g, int i, const char **name)
{
    if (i < 0 || i >= g->outputs)
        return NULL;
    *name = g->output[i].name;
    return g->output[i].tensor;
}

void ls_tensor_get_part(const LsGraph *g, const LsTensor *x, int64_t first, int64_t count, float *to)
{
    int64_t bytes = ls_graph_element_bytes(g, x->dtype);
    const char *from = (const char *)x->data + first * bytes;
    if (bytes == 8)
        for (int64_t i = 0; i < count; i++)
            to[i] = (float)((const double *)(const void *)from)[i];
    else if (bytes == 2)
        ls_bfloat16_widen((const void *)from, to, count);
    else
        memcpy(to, from, sizeof(float) * (size_t)count);
}

void ls_tensor_get(const LsGraph *g, const LsTensor *x, float *to) { ls_tensor_get_part(g, x, 0, x->count, to); }

void ls_tensor_set_part(const LsGraph *g, LsTensor *x, int64_t first, int64_t count, const float *from)
{
    int64_t bytes = ls_graph_element_bytes(g, x->dtype);
    char *to = (char *)x->data + first * bytes;
    if (bytes == 8)
        for (int64_t i = 0; i < count; i++)
            ((double *)(void *)to)[i] = (double)from[i];
    else if (bytes == 2)
        ls_bfloat16_round(from, (void *)to, count);
    else
        memcpy(to, from, sizeof(float) * (size_t)count);
}

void ls_tensor_set(const LsGraph *g, LsTensor *x, const float *from) { ls_tensor_set_part(g, x, 0, x->count, from); }

/* ---- Finite or not ---- */

static bool finite_values(const LsGraph *g, const void *data, LsDtype dtype, int64_t count)
{
    if (dtype == LS_I32)
        return true;
    bool finite = true;
#pragma omp parallel for reduction(&& : finite) schedule(static)
    for (int64_t i = 0; i < count; i++)
        finite = finite && isfinite(ls_element(g, data, dtype, i));
    return finite;
}

LsStatus ls_graph_check_finite(LsGraph *g)
{
    for (int i = 0; i < g->tensors; i++) {
        const LsTensor *x = g->tensor[i];
        const LsTensorPlan *plan = &g->tensor_plan[i];
        if ((x->role == LS_ROLE_PARAM || x->role == LS_ROLE_INPUT || plan->kept) &&
            !finite_values(g, x->data, x->dtype, x->count))
            return ls_fail(LS_DIVERGED, "%s %s: a value is not finite",
                           x->role == LS_ROLE_PARAM ? "parameter" : "tensor", x->name);
    }
    for (int i = 0; i < g->tensors; i++) {
        const LsTensor *x = g->tensor[i];
        if (x->role == LS_ROLE_PARAM && x->grad && !finite_values(g, x->grad, LS_ACC, x->count))
            return ls_fail(LS_DIVERGED, "gradient of parameter %s: a value is not finite", x->name);
    }
    return LS_OK;
}

/* ---- Reports ---- */

static void cost_alone(const LsGraph *g, int n, LsCost *forward, LsCost *backward)
{
    *forward = *backward = (LsCost){0};
    if (g->node[n]->op->cost)
        g->node[n]->op->cost(g->node[n], forward, backward);
    if (!g->node_plan[n].active)
        *backward = (LsCost){0};
}

static void add_cost(LsCost *to, LsCost cost, double times)
{
    to->flops += times * cost.flops;
    to->bytes += times * cost.bytes;
    to->products += times * cost.products;
}

/* With that of the node before where it is done along with it, which spares a reading of what lies between. */
static void cost_of(const LsGraph *g, int n, LsCost *forward, LsCost *backward)
{
    LsCost first, first_back;
    cost_alone(g, n, forward, backward);
    if (ls_plan_done_by_next(g, n))
        *forward = (LsCost){0};
    if (ls_plan_done_by_next_back(g, n))
        *backward = (LsCost){0};
    if (!g->node_plan[n].fused)
        return;
    double spared = (double)ls_tensor_bytes(g, g->node[n]->in[0]);
    cost_alone(g, n - 1, &first, &first_back);
    first.bytes -= spared;
    add_cost(forward, first, 1);
    first_back.bytes -= spared;
    if (g->node_plan[n].fused_back)
        add_cost(backward, first_back, 1);
}

LsCost ls_graph_cost(const LsGraph *g)
{
    LsCost forward, backward, all = {0};
    for (int n = 0; n < g->nodes; n++) {
        cost_of(g, n, &forward, &backward);
        add_cost(&all, forward, 1);
        add_cost(&all, backward, 1);
    }
    return all;
}

/* "layer.3.mamba.in_proj.linear" -> "layer.mamba": the first two parts of the scope that are no numbers. */
static void scope_of(const LsNode *node, char scope[LS_SCOPE_NAME])
{
    const char *at = node->name, *op = strrchr(node->name, '.');
    size_t used = 0;
    for (int parts = 0; op && at < op && parts < 2;) {
        size_t length = strcspn(at, ".");
        if (strspn(at, "0123456789") < length && used + length + 2 < LS_SCOPE_NAME) {
            used += (size_t)snprintf(scope + used, LS_SCOPE_NAME - used, "%s%.*s", used ? "." : "", (int)length, at);
            parts++;
        }
        at += length + 1;
    }
    scope[used] = '\0';
}

static int profile(const LsGraph *g, LsProfile *rows, char (*scopes)[LS_SCOPE_NAME], int room)
{
    int count = 0;
    double recompute = 0; /* of a node that the next one does, but for being recomputed */
    for (int n = 0; n < g->nodes; n++) {
        const LsNodePlan *plan = &g->node_plan[n];
        char scope[LS_SCOPE_NAME];
        int at = 0;
        recompute += plan->recompute_seconds;
        if (ls_plan_done_by_next(g, n) && (ls_plan_done_by_next_back(g, n) || !plan->active))
            continue;
        scope_of(g->node[n], scope);
        const char *name = scopes ? scope : g->node[n]->op->name;
        while (at < count && strcmp(rows[at].name, name) != 0)
            at++;
        if (at == room)
            continue;
        if (at == count)
            rows[count++] = (LsProfile){.name = scopes ? memcpy(scopes[at], scope, sizeof scope) : name};
        LsProfile *row = &rows[at];
        LsCost forward, backward;
        cost_of(g, n, &forward, &backward);
        double calls = (double)plan->calls;
        row->calls += plan->calls;
        row->forward_seconds += plan->forward_seconds;
        row->backward_seconds += plan->backward_seconds;
        row->recompute_seconds += recompute;
        recompute = 0;
        add_cost(&row->forward, forward, calls);
        add_cost(&row->backward, backward, calls);
    }
    return count;
}

int ls_graph_profile(const LsGraph *g, LsProfile *rows, int room) { return profile(g, rows, NULL, room); }

int ls_graph_profile_scopes(const LsGraph *g, LsProfile *rows, char (*scopes)[LS_SCOPE_NAME], int room)
{
    return profile(g, rows, scopes, room);
}

void ls_graph_profile_reset(LsGraph *g)
{
    for (int n = 0; n < g->nodes; n++) {
        g->node_plan[n].calls = 0;
        g->node_plan[n].forward_seconds = g->node_plan[n].backward_seconds = g->node_plan[n].recompute_seconds = 0;
    }
}

void ls_graph_print(const LsGraph *g, FILE *to)
{
    fprintf(to, "%-40s %-24s %s\n", "node", "shape", "arena MiB");
    for (int n = 0; n < g->nodes; n++) {
        const LsNode *node = g->node[n];
        int64_t bytes = 0;
        for (int i = 0; i < node->outputs; i++)
            bytes += ls_tensor_bytes(g, node->out[i]);
        fprintf(to, "%-40s %-24s %.2f\n", node->name, ls_shape_text(node->out[0]), (double)bytes / 1048576);
    }
}
