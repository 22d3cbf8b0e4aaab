/* Softmax cross-entropy of logits, for heads of few classes (a language model's many: head_cross_entropy).
 *
 *     p = softmax(z),  q = (1 - s) onehot(target) + s / K,  L = sum over rows of -sum_k q_k log p_k
 *     dL/dz = (p - q) dL/dL
 *
 * s: label smoothing (Szegedy et al. 2016). A row may have several targets, each of which counts as if the row stood
 * there as often; a target LS_IGNORE counts for nothing. */
#include "ops/op_build.h"

typedef struct Smoothing {
    double s;
} Smoothing;

static LsStatus infer(LsNode *node)
{
    const LsTensor *z = node->in[0], *targets = node->in[1];
    bool fits = z->dtype == LS_REAL && z->rank >= 1 && targets->dtype == LS_I32 && targets->count > 0 &&
                targets->count % (z->count / z->dim[z->rank - 1]) == 0;
    if (!fits)
        return ls_node_fail(node,
                            "cross_entropy: targets %s do not fit the logits %s: one 32-bit integer a row, or as many "
                            "for each row",
                            ls_shape_text(targets), ls_shape_text(z));
    int64_t rows = z->count / z->dim[z->rank - 1];
    node->scratch_forward = rows * (int64_t)sizeof(double);
    if (!ls_node_output(node, LS_ACC, 1, (int64_t[]){1}))
        return LS_RESOURCE;
    /* log of each row's sum of exponentials */
    return ls_node_output(node, LS_ACC, 1, &rows) ? LS_OK : LS_RESOURCE;
}

static LsStatus check_targets(const LsNode *node)
{
    const LsTensor *targets = node->in[1];
    const int32_t *target = targets->data;
    int64_t classes = node->in[0]->dim[node->in[0]->rank - 1];
    for (int64_t i = 0; i < targets->count; i++)
        if (target[i] != LS_IGNORE && (target[i] < 0 || target[i] >= classes))
            return ls_fail(
                LS_DATA, "%s: target %d at row %lld of %s is outside 0..%lld (and is not %d, which is skipped)",
                node->name, (int)target[i], (long long)i, ls_shape_text(targets), (long long)(classes - 1), LS_IGNORE);
    return LS_OK;
}

/* The row's loss over its targets. *log_sum: log of the sum of exponentials. */
static double row_loss(const real *z, int64_t classes, const int32_t *target, int64_t targets, double smoothing,
                       acc *log_sum)
{
    acc most = ls_load1(z);
    for (int64_t k = 1; k < classes; k++)
        most = ls_load1(z + k) > most ? ls_load1(z + k) : most;
    double sum = 0, all = 0;
    int64_t k = 0;
    vacc sums = {0}, total = {0};
    for (; k + LS_LANES <= classes; k += LS_LANES) {
        vacc x = ls_load(z + k) - most;
        sums += ls_exp_small(x);
        total += x;
    }
    if (k < classes) {
        vacc x = ls_load_part(z + k, classes - k) - most, e = ls_exp_small(x);
        for (int64_t i = 0; i < classes - k; i++) {
            sum += (double)e[i];
            all += (double)x[i];
        }
    }
    sum += (double)ls_hsum(sums);
    all += (double)ls_hsum(total);
    double log_of = log(sum);
    *log_sum = (acc)(log_of + (double)most);
    double loss = 0;
    for (int64_t j = 0; j < targets; j++)
        if (target[j] != LS_IGNORE) {
            double at_target = log_of - (double)(ls_load1(z + target[j]) - most);
            loss += (1 - smoothing) * at_target + smoothing * (log_of - all / (double)classes);
        }
    return loss;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_targets(node));
    const LsTensor *z = node->in[0];
    const int32_t *target = node->in[1]->data;
    int64_t classes = z->dim[z->rank - 1], rows = z->count / classes, each = node->in[1]->count / rows;
    double *loss = node->scratch, smoothing = ((const Smoothing *)node->attr)->s;
    acc *log_sum = node->out[1]->data;
#pragma omp parallel for schedule(static) if (z->count > 4096)
    for (int64_t i = 0; i < rows; i++)
        loss[i] =
            row_loss((const real *)z->data + i * classes, classes, target + i * each, each, smoothing, log_sum + i);
    double total = 0;
    for (int64_t i = 0; i < rows; i++)
        total += loss[i];
    *(acc *)node->out[0]->data = (acc)total;
    return LS_OK;
}

/* How many of the targets are this class. */
static acc count_class(const int32_t *target, int64_t targets, int64_t class)
{
    int64_t count = 0;
    for (int64_t j = 0; j < targets; j++)
        count += target[j] == class;
    return (acc)count;
}

/* Over n targets the gradient is n p - sum of q. */
static void row_gradient(const real *z, int64_t classes, const int32_t *target, int64_t targets, acc smoothing,
                         acc log_sum, acc scale, bool add, real *dz)
{
    acc even = smoothing / (acc)classes, n = (acc)targets - count_class(target, targets, LS_IGNORE);
    for (int64_t k = 0; k < classes; k += LS_LANES) {
        int64_t count = classes - k < LS_LANES ? classes - k : LS_LANES;
        vacc p = ls_exp_small(ls_load_part(z + k, count) - log_sum);
        for (int64_t i = 0; i < count; i++) {
            acc q = count_class(target, targets, k + i) * (1 - smoothing) + n * even;
            ls_store1(dz + k + i, (add ? ls_load1(dz + k + i) : 0) + scale * (n * p[i] - q));
        }
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *z = node->in[0];
    const int32_t *target = node->in[1]->data;
    const acc *log_sum = node->out[1]->data;
    int64_t classes = z->dim[z->rank - 1], rows = z->count / classes, each = node->in[1]->count / rows;
    acc scale = *(const acc *)node->out[0]->grad, smoothing = (acc)((const Smoothing *)node->attr)->s;
    bool add = ls_adds(node, 0);
#pragma omp parallel for schedule(static) if (z->count > 4096)
    for (int64_t i = 0; i < rows; i++)
        row_gradient((const real *)z->data + i * classes, classes, target + i * each, each, smoothing, log_sum[i],
                     scale, add, (real *)z->grad + i * classes);
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_targets(node));
    const LsTensor *z = node->in[0];
    const int32_t *target = node->in[1]->data;
    int64_t classes = z->dim[z->rank - 1], rows = z->count / classes, each = node->in[1]->count / rows;
    double smoothing = ((const Smoothing *)node->attr)->s, total = 0;
    for (int64_t i = 0; i < rows; i++) {
        const real *row = (const real *)z->data + i * classes;
        double sum = 0, mean = 0;
        for (int64_t k = 0; k < classes; k++) {
            sum += exp((double)ls_load1(row + k));
            mean += (double)ls_load1(row + k) / (double)classes;
        }
        ((acc *)node->out[1]->data)[i] = (acc)log(sum);
        for (int64_t j = i * each; j < (i + 1) * each; j++)
            if (target[j] != LS_IGNORE)
                total += log(sum) - (1 - smoothing) * (double)ls_load1(row + target[j]) - smoothing * mean;
    }
    *(acc *)node->out[0]->data = (acc)total;
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double z = (double)node->in[0]->count;
    *fwd = (LsCost){.flops = 12 * z, .bytes = z * sizeof(real)};
    *bwd = (LsCost){.flops = 14 * z, .bytes = 2 * z * sizeof(real)};
}

/* ls_cross_entropy(g, z, targets, smoothing): z: (…, K) logits, targets: (…), or (…, n) with n for each row, LS_I32 in
 * 0..K-1 or LS_IGNORE, smoothing 0 to 1 -> (1) LS_ACC: the sum over all targets that are not ignored. Forward fails
 * with LS_DATA on any other target. */
LS_BUILDER LsTensor *ls_cross_entropy(LsGraph *g, LsTensor *z, LsTensor *targets, double smoothing)
{
    return ls_node(g, "cross_entropy", 2, (LsTensor *[]){z, targets}, &(Smoothing){smoothing}, sizeof(Smoothing));
}

static bool cases(LsGraph *g, int which)
{
    /* rows, classes, lowest target (-1: some ignored), smoothing in percent, targets of a row */
    static const int64_t list[][5] = {{1, 1, 0, 0, 1},    {7, 10, 0, 0, 1}, {5, 3, -1, 0, 1},  {6, 37, -1, 10, 1},
                                      {3, 130, 0, 25, 1}, {4, 2, -1, 0, 9}, {3, 19, -1, 10, 4}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *d = list[which];
    LsTensor *z = ls_case_input(g, "z", LS_REAL, -3, 3, 2, (int64_t[]){d[0], d[1]});
    ls_cross_entropy(g, z, ls_case_input(g, "targets", LS_I32, (double)d[2], (double)d[1], 2, (int64_t[]){d[0], d[4]}),
                     0.01 * (double)d[3]);
    return true;
}

LS_OP(cross_entropy) = {
    .name = "cross_entropy",
    .formula = "L = sum of -log softmax(z)[target]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 3,
    .saves_out = 2,
    .cases = cases,
};
