/* Element-wise ops of one input, y = f(x): all of the op but f. Such an op's file includes ops/op_build.h, then
 *
 *     #define UNARY_NAME "silu"
 *     #define UNARY_OPTIONS 1 // kinds that the op's attribute (an int) chooses from; 1: it has none
 *     #define UNARY_BF16_ULPS 2 // only where LsOp.bf16_ulps is not 0
 *     #define UNARY_KEEPS 'x' // what backward reads: 'x', or 'y' where f' is simple in y, so that y may take x's memory
 *     LS_INLINE vacc value(vacc x, int option)      // f
 *     LS_INLINE vacc slope(vacc kept, int option)   // f', from x or y as UNARY_KEEPS says
 *     static double plain(double x, int option)     // f in the library's functions
 *
 * includes this header, and ends with its builder and LS_UNARY_OP(name, formula, flops of f).
 */
#ifndef LS_OPS_UNARY_H
#define LS_OPS_UNARY_H

/* Elements a thread takes at a time. */
enum { UNARY_BLOCK = 4096 };

static int option_of(const LsNode *node) { return UNARY_OPTIONS > 1 ? *(const int *)node->attr : 0; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    if (x->dtype != LS_REAL)
        return ls_node_fail(node, UNARY_NAME ": x %s must hold activations", ls_shape_text(x));
    return ls_node_output(node, LS_REAL, x->rank, x->dim) ? LS_OK : LS_RESOURCE;
}

LS_INLINE void forward_block(const real *x, real *y, int64_t count, int option)
{
    int64_t i = 0;
    for (; i + LS_LANES <= count; i += LS_LANES)
        ls_store(y + i, value(ls_load(x + i), option));
    if (i < count)
        ls_store_part(y + i, value(ls_load_part(x + i, count - i), option), count - i);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    real *y = node->out[0]->data;
    int64_t count = node->out[0]->count;
    int option = option_of(node);
#pragma omp parallel for schedule(static) if (count > UNARY_BLOCK)
    for (int64_t i = 0; i < count; i += UNARY_BLOCK) {
        int64_t n = count - i < UNARY_BLOCK ? count - i : UNARY_BLOCK;
        if (option == 0) /* a loop for each option, so that it is constant inside */
            forward_block(x + i, y + i, n, 0);
        else
            forward_block(x + i, y + i, n, 1);
    }
    return LS_OK;
}

/* dL/dx = dL/dy f' */
LS_INLINE void backward_block(const real *kept, const real *dy, real *dx, int64_t count, bool add, int option)
{
    int64_t i = 0;
    for (; i + LS_LANES <= count; i += LS_LANES) {
        vacc g = ls_load(dy + i) * slope(ls_load(kept + i), option);
        ls_store(dx + i, add ? ls_load(dx + i) + g : g);
    }
    if (i < count) {
        int64_t n = count - i;
        vacc g = ls_load_part(dy + i, n) * slope(ls_load_part(kept + i, n), option);
        ls_store_part(dx + i, add ? ls_load_part(dx + i, n) + g : g, n);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *kept = UNARY_KEEPS == 'y' ? node->out[0]->data : node->in[0]->data, *dy = node->out[0]->grad;
    real *dx = node->in[0]->grad;
    int64_t count = node->out[0]->count;
    int option = option_of(node);
    bool add = ls_adds(node, 0);
#pragma omp parallel for schedule(static) if (count > UNARY_BLOCK)
    for (int64_t i = 0; i < count; i += UNARY_BLOCK) {
        int64_t n = count - i < UNARY_BLOCK ? count - i : UNARY_BLOCK;
        if (option == 0)
            backward_block(kept + i, dy + i, dx + i, n, add, 0);
        else
            backward_block(kept + i, dy + i, dx + i, n, add, 1);
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    real *y = node->out[0]->data;
    for (int64_t i = 0; i < node->out[0]->count; i++)
        ls_store1(y + i, (acc)plain((double)ls_load1(x + i), option_of(node)));
    return LS_OK;
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 33}, {5, 1000}};
    int shapes = (int)LS_COUNT_OF(dims), option = which / shapes;
    if (option >= UNARY_OPTIONS)
        return false;
    /* The last shape reaches to where functions saturate. */
    double reach = which % shapes == shapes - 1 ? 25 : 3;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -reach, reach, 2, dims[which % shapes]);
    ls_node(g, UNARY_NAME, 1, &x, &option, UNARY_OPTIONS > 1 ? sizeof option : 0);
    return true;
}

/* Roundings of a result that backward reads: see LsOp; the op's file says why where it defines another number. */
#ifndef UNARY_BF16_ULPS
#define UNARY_BF16_ULPS 0
#endif

#define LS_UNARY_OP(op_name, op_formula, flops)                                                                        \
    static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)                                                     \
    {                                                                                                                  \
        double count = (double)node->out[0]->count;                                                                    \
        *fwd = (LsCost){(flops)*count, 2 * count * sizeof(real)};                                                      \
        *bwd = (LsCost){((flops) + 2) * count, 3 * count * sizeof(real)};                                              \
    }                                                                                                                  \
    LS_OP(op_name) = {                                                                                                 \
        .name = UNARY_NAME,                                                                                            \
        .formula = op_formula,                                                                                         \
        .infer = infer,                                                                                                \
        .forward = forward,                                                                                            \
        .backward = backward,                                                                                          \
        .reference = reference,                                                                                        \
        .cost = cost,                                                                                                  \
        .saves_in = UNARY_KEEPS == 'x',                                                                                \
        .saves_out = UNARY_KEEPS == 'y',                                                                               \
        .in_place = 1,                                                                                                 \
        .cases = cases,                                                                                                \
        .bf16_ulps = UNARY_BF16_ULPS,                                                                                  \
    }

#endif
