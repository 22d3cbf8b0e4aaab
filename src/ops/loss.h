/* Losses that are sums over elements, each of x and a target beside it. A target that is NaN does not count. Such an
 * op's file includes ops/op_build.h, then
 *
 *     #define LOSS_NAME "mean_squared_error"
 *     static double value(double x, double target)
 *     static double slope(double x, double target)          // d value / d x
 *     static double target_slope(double x, double target)   // d value / d target
 *
 * includes this header, and ends with its builder and LS_LOSS_OP(name, formula, flops of an element). */
#ifndef LS_OPS_LOSS_H
#define LS_OPS_LOSS_H

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *target = node->in[1];
    if (x->dtype != LS_REAL || (target->dtype != LS_REAL && target->dtype != LS_ACC) || x->rank != target->rank ||
        memcmp(x->dim, target->dim, sizeof *x->dim * (size_t)x->rank) != 0)
        return ls_node_fail(node, LOSS_NAME ": x %s and target %s must have one shape, of real numbers",
                            ls_shape_text(x), ls_shape_text(target));
    return ls_node_output(node, LS_ACC, 1, (int64_t[]){1}) ? LS_OK : LS_RESOURCE;
}

static double target_at(const LsTensor *target, int64_t i)
{
    return target->dtype == LS_ACC ? (double)((const acc *)target->data)[i]
                                   : (double)ls_load1((const real *)target->data + i);
}

/* In LS_REDUCE_CHUNKS parts, which are summed in order. */
static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *target = node->in[1];
    const real *x = node->in[0]->data;
    const int64_t count = target->count, each = (count + LS_REDUCE_CHUNKS - 1) / LS_REDUCE_CHUNKS;
    double part[LS_REDUCE_CHUNKS] = {0}, sum = 0;
#pragma omp parallel for schedule(static) if (count > 4096)
    for (int64_t chunk = 0; chunk < LS_REDUCE_CHUNKS; chunk++)
        for (int64_t i = chunk * each; i < count && i < (chunk + 1) * each; i++) {
            double t = target_at(target, i);
            part[chunk] += isnan(t) ? 0 : value((double)ls_load1(x + i), t);
        }
    for (int64_t chunk = 0; chunk < LS_REDUCE_CHUNKS; chunk++)
        sum += part[chunk];
    *(acc *)node->out[0]->data = (acc)sum;
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *target = node->in[1];
    const double scale = (double)*(const acc *)node->out[0]->grad;
    const bool wants[2] = {ls_wants(node, 0), ls_wants(node, 1)}, adds[2] = {ls_adds(node, 0), ls_adds(node, 1)};
#pragma omp parallel for schedule(static) if (x->count > 4096)
    for (int64_t i = 0; i < x->count; i++) {
        double v = (double)ls_load1((const real *)x->data + i), t = target_at(target, i);
        if (wants[0]) {
            real *dx = (real *)x->grad + i;
            double g = isnan(t) ? 0 : scale * slope(v, t);
            ls_store1(dx, (acc)((adds[0] ? (double)ls_load1(dx) : 0) + g));
        }
        if (wants[1]) {
            double g = isnan(t) ? 0 : scale * target_slope(v, t);
            if (target->dtype == LS_ACC) {
                acc *dt = (acc *)target->grad + i;
                *dt = (acc)((adds[1] ? (double)*dt : 0) + g);
            } else {
                real *dt = (real *)target->grad + i;
                ls_store1(dt, (acc)((adds[1] ? (double)ls_load1(dt) : 0) + g));
            }
        }
    }
    return LS_OK;
}

#define LS_LOSS_OP(op_name, op_formula, low, high, flops)                                                              \
    static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)                                                     \
    {                                                                                                                  \
        double count = (double)node->in[0]->count;                                                                     \
        *fwd = (LsCost){(flops)*count, 2 * count * sizeof(real)};                                                      \
        *bwd = (LsCost){(flops)*count, 3 * count * sizeof(real)};                                                      \
    }                                                                                                                  \
    static bool cases(LsGraph *g, int which)                                                                           \
    {                                                                                                                  \
        static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 33}, {5, 1000}};                                         \
        int shapes = (int)LS_COUNT_OF(dims), n = which % shapes;                                                       \
        if (which >= 2 * shapes)                                                                                       \
            return false;                                                                                              \
        LsTensor *x = ls_case_input(g, "x", LS_REAL, -4, 4, 2, dims[n]);                                               \
        ls_##op_name(g, x, ls_case_input(g, "target", which < shapes ? LS_REAL : LS_ACC, low, high, 2, dims[n]));      \
        return true;                                                                                                   \
    }                                                                                                                  \
    LS_OP(op_name) = {                                                                                                 \
        .name = LOSS_NAME,                                                                                             \
        .formula = op_formula,                                                                                         \
        .infer = infer,                                                                                                \
        .forward = forward,                                                                                            \
        .backward = backward,                                                                                          \
        .cost = cost,                                                                                                  \
        .saves_in = 3,                                                                                                 \
        .cases = cases,                                                                                                \
    }

#endif
