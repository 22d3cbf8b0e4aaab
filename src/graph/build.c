/* Building: inputs, parameters, states, nodes, names. */
#include "graph/graph_internal.h"

#include "base/text.h"
#include "graph/freeze.h"

#include <stdarg.h>
#include <string.h>

LsGraph *ls_graph_new(LsParams *params, const LsGraphOptions *options)
{
    LsIsa isa;
    if (ls_isa_choose(&isa) != LS_OK)
        return NULL;
    if (options->int8_weights && options->mode == LS_TRAIN) {
        ls_fail(LS_USAGE, "weights of 8 bits are for evaluation and generation, not for training");
        return NULL;
    }
    LsGraph *g = ls_alloc(sizeof *g);
    if (!g)
        return NULL;
    g->params = params;
    g->options = *options;
    g->isa = isa;
    if (!g->options.comm)
        g->options.comm = ls_comm_self();
    if (!g->options.loss)
        g->options.loss = "loss";
    g->ops = ls_op_table(options->precision, isa);
    g->placeholder = (LsTensor){.name = "(placeholder)", .rank = 1, .dim = {1}, .count = 1, .param = -1, .id = -1};
    if (!g->ops) {
        ls_fail(LS_USAGE, "this build has no kernels for the precision that was asked for");
        ls_free(g);
        return NULL;
    }
    return g;
}

static void free_tensor(LsGraph *g, int i)
{
    LsTensor *x = g->tensor[i];
    if (g->tensor_plan[i].owns_data)
        ls_free(x->data);
    if (g->tensor_plan[i].owns_grad)
        ls_free(x->grad);
    ls_free(x->name);
    ls_free(x);
}

void ls_graph_free(LsGraph *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->tensors; i++)
        free_tensor(g, i);
    for (int i = 0; i < g->nodes; i++) {
        ls_free(g->node[i]->attr);
        ls_free(g->node[i]->name);
        ls_free(g->node[i]);
    }
    for (int i = 0; i < g->outputs; i++)
        ls_free(g->output[i].name);
    ls_free(g->tensor);
    ls_names_free(g->param_tensors);
    ls_free(g->tensor_plan);
    ls_free(g->node);
    ls_free(g->node_plan);
    ls_free(g->output);
    ls_free(g->block);
    ls_free(g->recompute);
    ls_free(g->live);
    if (g->owns_arena)
        ls_free(g->arena);
    ls_free(g->carries);
    ls_free(g->message);
    ls_free(g);
}

/* Keeps the first error of the build. */
static LsTensor *fail_build(LsGraph *g, LsStatus status)
{
    if (g->failed == LS_OK) {
        g->failed = status;
        g->message = ls_strdup(ls_message());
    }
    return &g->placeholder;
}

void ls_graph_fail(LsGraph *g, LsStatus status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ls_fail(status, "%s", text);
    fail_build(g, status);
}

LsMode ls_graph_mode(const LsGraph *g) { return g->options.mode; }
LsPrecision ls_graph_precision(const LsGraph *g) { return g->options.precision; }

bool ls_grow(void **array, int *room, int count, size_t size)
{
    if (count < *room)
        return true;
    int wanted = *room ? 2 * *room : 64;
    void *grown = ls_alloc_array(wanted, size);
    if (!grown)
        return false;
    if (count)
        memcpy(grown, *array, size * (size_t)count);
    ls_free(*array);
    *array = grown;
    *room = wanted;
    return true;
}

/* ---- Names ---- */

void ls_push(LsGraph *g, const char *format, ...)
{
    if (g->scope_depth == LS_SCOPE_DEPTH) {
        ls_graph_fail(g, LS_USAGE, "scopes nested deeper than %d", LS_SCOPE_DEPTH);
        return;
    }
    size_t end = strlen(g->scope);
    g->scope_end[g->scope_depth++] = end;
    if (end > 0 && end + 1 < LS_SCOPE_BYTES)
        g->scope[end++] = '.';
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(g->scope + end, LS_SCOPE_BYTES - end, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= LS_SCOPE_BYTES - end)
        ls_graph_fail(g, LS_USAGE, "scope names longer than %d bytes", LS_SCOPE_BYTES);
}

void ls_pop(LsGraph *g)
{
    if (g->scope_depth == 0)
        ls_graph_fail(g, LS_USAGE, "ls_pop without ls_push");
    else
        g->scope[g->scope_end[--g->scope_depth]] = '\0';
}

char *ls_scoped_name(LsGraph *g, const char *name)
{
    char *full = g->scope[0] ? ls_format("%s.%s", g->scope, name) : ls_strdup(name);
    if (!full)
        fail_build(g, LS_RESOURCE);
    return full;
}

/* ---- Tensors ---- */

LsTensor *ls_tensor_new(LsGraph *g, char *name, LsRole role, LsDtype dtype, int rank, const int64_t *dim)
{
    int plan_room = g->tensor_room;
    LsTensor *x = ls_alloc(sizeof *x);
    if (!x || !ls_grow((void **)&g->tensor, &g->tensor_room, g->tensors, sizeof *g->tensor) ||
        !ls_grow((void **)&g->tensor_plan, &plan_room, g->tensors, sizeof *g->tensor_plan)) {
        ls_free(x);
        ls_free(name);
        fail_build(g, LS_RESOURCE);
        return NULL;
    }
    *x =
        (LsTensor){.name = name, .role = role, .dtype = dtype, .rank = rank, .count = 1, .param = -1, .id = g->tensors};
    if (rank < 1 || rank > LS_MAX_RANK) {
        ls_graph_fail(g, LS_USAGE, "%s: rank %d; 1 to %d is supported", name, rank, LS_MAX_RANK);
        x->rank = rank = 1;
    }
    for (int i = 0; i < rank; i++) {
        x->dim[i] = dim[i];
        if (dim[i] < 1 || __builtin_mul_overflow(x->count, dim[i], &x->count)) {
            ls_graph_fail(
                g, LS_USAGE,
                "%s: dimension %d is %lld; every dimension must be at least 1 and the product must fit 63 bits", name,
                i, (long long)dim[i]);
            x->count = 1;
        }
    }
    g->tensor_plan[x->id] = (LsTensorPlan){.data_block = -1, .grad_block = -1};
    g->tensor[g->tensors++] = x;
    return x;
}

static LsTensor *leaf(LsGraph *g, const char *name, LsRole role, LsDtype dtype, int rank, const int64_t *dim)
{
    char *full = g->failed ? NULL : ls_scoped_name(g, name);
    LsTensor *x = full ? ls_tensor_new(g, full, role, dtype, rank, dim) : NULL;
    return x ? x : &g->placeholder;
}

LsTensor *ls_input(LsGraph *g, const char *name, LsDtype dtype, int rank, const int64_t *dim)
{
    char scope = g->scope[0]; /* whoever fills it knows no scopes */
    g->scope[0] = '\0';
    LsTensor *x = leaf(g, name, LS_ROLE_INPUT, dtype, rank, dim);
    g->scope[0] = scope;
    x->needs_grad = dtype != LS_I32 && g->options.mode == LS_TRAIN && g->options.grad_inputs;
    return x;
}

LsTensor *ls_state(LsGraph *g, const char *name, LsDtype dtype, int rank, const int64_t *dim)
{
    if (g->options.mode == LS_TRAIN) {
        g->state_refused = true;
        ls_graph_fail(g, LS_USAGE,
                      "state %s%s%s: a training graph keeps no state, through which its gradient would be lost: use "
                      "ls_carry, which hands on the gradient",
                      g->scope, g->scope[0] ? "." : "", name);
        return &g->placeholder;
    }
    LsTensor *x = leaf(g, name, LS_ROLE_STATE, dtype, rank, dim);
    x->end = x;
    return x;
}

LsTensor *ls_carry(LsGraph *g, const char *name, LsDtype dtype, int rank, const int64_t *dim)
{
    if (g->options.mode == LS_DECODE)
        return ls_state(g, name, dtype, rank, dim);
    if (!g->options.segmented)
        return NULL;
    char *end = ls_format("%s:end", name);
    LsTensor *x = leaf(g, name, LS_ROLE_CARRY, dtype, rank, dim);
    if (!end)
        return fail_build(g, LS_RESOURCE);
    x->end = leaf(g, end, LS_ROLE_CARRY, dtype, rank, dim);
    x->needs_grad = g->options.mode == LS_TRAIN;
    ls_free(end);
    return x;
}

void ls_graph_freeze(LsGraph *g, bool (*frozen)(const void *self, const char *name), const void *self)
{
    g->frozen = frozen;
    g->frozen_self = self;
}

bool ls_graph_learns(const LsGraph *g, const char *name)
{
    const char *prefix = g->options.learns;
    return g->options.mode == LS_TRAIN && (!prefix || strncmp(name, prefix, strlen(prefix)) == 0) &&
           !(g->frozen && g->frozen(g->frozen_self, name));
}

LsTensor *ls_param(LsGraph *g, const char *name, LsInit init, int rank, const int64_t *dim)
{
    return ls_param_flags(g, name, init, 0, rank, dim);
}

LsTensor *ls_param_flags(LsGraph *g, const char *name, LsInit init, unsigned flags, int rank, const int64_t *dim)
{
    char *full = g->failed ? NULL : ls_scoped_name(g, name);
    if (!full)
        return &g->placeholder;
    int known = ls_names_find(g->param_tensors, full);
    if (known >= 0) {
        ls_free(full);
        return g->tensor[known];
    }
    LsTensor *x = ls_tensor_new(g, full, LS_ROLE_PARAM, flags & LS_PRECISE ? LS_ACC : LS_REAL, rank, dim);
    if (!x || g->failed)
        return &g->placeholder;
    if (ls_names_add(&g->param_tensors, full, x->id) != LS_OK)
        return fail_build(g, LS_RESOURCE);
    bool of_base = g->adapters && !(flags & LS_ADAPTER);
    LsParams *store = of_base ? ls_params_base_make(g->params) : g->params;
    x->param = store ? ls_params_declare(store, full, init, flags, rank, dim) : -1;
    if (x->param < 0)
        return fail_build(g, store ? ls_message_status() : LS_RESOURCE);
    g->tensor_plan[x->id].of_base = of_base;
    x->needs_grad = !of_base && ls_graph_learns(g, full);
    return x;
}

void ls_graph_adapt(LsGraph *g, LsAdapters *adapters) { g->adapters = adapters; }

const LsAdapters *ls_graph_adapters_here(LsGraph *g)
{
    if (!g->adapters || g->failed || !g->adapters->takes(g->adapters->self, g->scope))
        return NULL;
    g->adapters->taken++;
    return g->adapters;
}

LsTensor *ls_param_int8(LsGraph *g, LsTensor *w)
{
    if (g->failed)
        return &g->placeholder;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM && g->tensor[i]->dtype == LS_I8 && g->tensor[i]->param == w->param)
            return g->tensor[i];
    if (!g->options.int8_weights || w->role != LS_ROLE_PARAM || w->rank != 2)
        return fail_build(g, ls_fail(LS_USAGE,
                                     "%s: 8-bit weights are made of parameters of rank 2, in graphs that ask for them",
                                     w->name));
    char *name = ls_strdup(w->name);
    LsTensor *x = name ? ls_tensor_new(g, name, LS_ROLE_PARAM, LS_I8, w->rank, w->dim) : NULL;
    if (!x || g->failed)
        return fail_build(g, LS_RESOURCE);
    x->param = w->param;
    x->needs_grad = false;
    return x;
}

const float *ls_param_row_scale(const LsGraph *g, const LsTensor *w)
{
    return g->params->row_scale + g->params->list[w->param].row;
}

bool ls_graph_int8_weights(const LsGraph *g) { return g->options.int8_weights; }

LsTensor *ls_output(LsGraph *g, const char *name, LsTensor *x)
{
    if (g->failed)
        return &g->placeholder;
    if (!ls_grow((void **)&g->output, &g->output_room, g->outputs, sizeof *g->output))
        return fail_build(g, LS_RESOURCE);
    g->output[g->outputs] = (LsNamedOutput){.name = ls_strdup(name), .tensor = x};
    if (!g->output[g->outputs++].name)
        return fail_build(g, LS_RESOURCE);
    g->tensor_plan[x->id].kept = true;
    return x;
}

LsTensor *ls_graph_find(const LsGraph *g, const char *name)
{
    for (int i = 0; i < g->outputs; i++)
        if (strcmp(g->output[i].name, name) == 0)
            return g->output[i].tensor;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_INPUT && strcmp(g->tensor[i]->name, name) == 0)
            return g->tensor[i];
    return NULL;
}

/* ---- Nodes ---- */

static const LsOp *find_op(const LsGraph *g, const char *name)
{
    for (const LsOp *const *op = g->ops; *op; op++)
        if (strcmp((*op)->name, name) == 0)
            return *op;
    return NULL;
}

static LsNode *node_new(LsGraph *g, const LsOp *op, const void *attr, size_t attr_bytes)
{
    int plan_room = g->node_room;
    LsNode *node = ls_alloc(sizeof *node);
    if (!node || !ls_grow((void **)&g->node, &g->node_room, g->nodes, sizeof *g->node) ||
        !ls_grow((void **)&g->node_plan, &plan_room, g->nodes, sizeof *g->node_plan)) {
        ls_free(node);
        return NULL;
    }
    g->node[g->nodes] = node;
    g->node_plan[g->nodes] = (LsNodePlan){.forward_block = -1, .backward_block = -1};
    char *name = ls_format("%s-%d", op->name, g->nodes);
    node->name = name ? ls_scoped_name(g, name) : NULL;
    ls_free(name);
    node->op = op;
    node->graph = g;
    g->nodes++;
    if (attr_bytes) {
        node->attr = ls_alloc(attr_bytes);
        if (node->attr)
            memcpy(node->attr, attr, attr_bytes);
    }
    if (!node->name || (attr_bytes && !node->attr))
        return NULL;
    node->key = ls_key(0, node->name);
    return node;
}

static LsStatus check_role(const LsNode *node, int i, LsRole role, bool must, const char *name)
{
    return (node->in[i]->role == role) == must ? LS_OK
                                               : ls_node_fail(node, "%s: input %d (%s) %s be a %s", node->op->name, i,
                                                              node->in[i]->name, must ? "must" : "must not", name);
}

/* An op writes to each input what its role asks for (the table in op.h). */
static LsStatus check_roles(const LsNode *node)
{
    for (int i = 0; i < node->inputs; i++) {
        if (!node->in[i] || node->in[i]->dtype == LS_I32)
            continue;
        LS_TRY(check_role(node, i, LS_ROLE_PARAM, (node->op->param_in >> i) & 1u, "parameter"));
        LS_TRY(check_role(node, i, LS_ROLE_RUNNING, (node->op->running_in >> i) & 1u, "running value"));
    }
    return LS_OK;
}

LsTensor *ls_node(LsGraph *g, const char *name, int inputs, LsTensor *const *in, const void *attr, size_t attr_bytes)
{
    if (g->failed)
        return &g->placeholder;
    const LsOp *op = find_op(g, name);
    if (!op || inputs > LS_MAX_IN)
        return fail_build(g, ls_fail(LS_ERROR, "op %s: %s", name, op ? "too many inputs" : "not in the list of ops"));
    LsNode *node = node_new(g, op, attr, attr_bytes);
    if (!node)
        return fail_build(g, LS_RESOURCE);
    node->inputs = inputs;
    for (int i = 0; i < inputs; i++) {
        node->in[i] = in[i];
        if (in[i] && in[i]->needs_grad && op->backward)
            node->want |= 1u << i;
    }
    LsStatus status = check_roles(node);
    if (status == LS_OK)
        status = ls_check_segmented(node);
    if (status == LS_OK)
        status = op->infer(node);
    if (status != LS_OK || g->failed)
        return fail_build(g, status ? status : g->failed);
    return node->out[0];
}

LsTensor *ls_node_output(LsNode *node, LsDtype dtype, int rank, const int64_t *dim)
{
    LsGraph *g = node->graph;
    int index = node->outputs;
    if (index == LS_MAX_OUT) {
        ls_node_fail(node, "%s: more than %d outputs", node->op->name, LS_MAX_OUT);
        return NULL;
    }
    char *name = index ? ls_format("%s:%d", node->name, index) : ls_strdup(node->name);
    LsTensor *x = name ? ls_tensor_new(g, name, LS_ROLE_ACTIVATION, dtype, rank, dim) : NULL;
    if (!x)
        return NULL;
    x->producer = node;
    x->needs_grad = index == 0 && node->want != 0 && dtype != LS_I32;
    node->out[node->outputs++] = x;
    return x;
}

LsTensor *ls_tensor_sibling(LsTensor *first, int index)
{
    if (!first->producer)
        return first; /* the placeholder after an error */
    return first->producer->out[index];
}

LsStatus ls_node_fail(const LsNode *node, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ls_fail(LS_USAGE, "%s: %s", node->name, text);
}

const char *ls_shape_text(const LsTensor *x) { return ls_dims_text(x->rank, x->dim); }
