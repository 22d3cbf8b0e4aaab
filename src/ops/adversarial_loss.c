/* L = sum of -log s(a) + sum of -log(1 - s(b)), s the logistic function: binary cross entropy of logits `a` that are
 * to say yes and logits `b` that are to say no (Goodfellow et al. 2014, "Generative adversarial nets": a of real
 * samples and b of made ones while the discriminator learns; a of made ones while the generator does, its
 * non-saturating loss).
 *
 * As log(1 + exp(-a)) and log(1 + exp(b)), in which nothing overflows. */
#include "ops/op_build.h"

static LsStatus infer(LsNode *node)
{
    for (int i = 0; i < 2; i++)
        if (node->in[i] && node->in[i]->dtype != LS_REAL)
            return ls_node_fail(node, "adversarial_loss: logits %s must be activations", ls_shape_text(node->in[i]));
    return ls_node_output(node, LS_ACC, 1, (int64_t[]){1}) ? LS_OK : LS_RESOURCE;
}

/* The sign with which a logit is wrong. */
static double sign_of(int i) { return i == 0 ? -1 : 1; }

/* In LS_REDUCE_CHUNKS parts, which are summed in order. */
static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        const LsTensor *x = node->in[i];
        const int64_t count = x ? x->count : 0, each = (count + LS_REDUCE_CHUNKS - 1) / LS_REDUCE_CHUNKS;
        double part[LS_REDUCE_CHUNKS] = {0};
#pragma omp parallel for schedule(static) if (count > 1024)
        for (int64_t chunk = 0; chunk < LS_REDUCE_CHUNKS; chunk++)
            for (int64_t j = chunk * each; j < count && j < (chunk + 1) * each; j++) {
                double z = sign_of(i) * (double)ls_load1((const real *)x->data + j);
                part[chunk] += (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
            }
        for (int64_t chunk = 0; chunk < LS_REDUCE_CHUNKS; chunk++)
            sum += part[chunk];
    }
    *(acc *)node->out[0]->data = (acc)sum;
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const double scale = (double)*(const acc *)node->out[0]->grad;
    for (int i = 0; i < 2; i++) {
        const LsTensor *x = node->in[i];
        const bool add = ls_adds(node, i);
        if (!x || !ls_wants(node, i))
            continue;
#pragma omp parallel for schedule(static) if (x->count > 1024)
        for (int64_t j = 0; j < x->count; j++) {
            real *dx = (real *)x->grad + j;
            double z = sign_of(i) * (double)ls_load1((const real *)x->data + j);
            double g = scale * sign_of(i) / (1 + exp(-z));
            ls_store1(dx, (acc)((add ? (double)ls_load1(dx) : 0) + g));
        }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)(node->in[0]->count + (node->in[1] ? node->in[1]->count : 0));
    *fwd = (LsCost){30 * count, count * sizeof(real)};
    *bwd = (LsCost){20 * count, 2 * count * sizeof(real)};
}

/* ls_adversarial_loss(g, wanted, unwanted): logits of any shape; unwanted may be NULL -> (1) LS_ACC. */
LS_BUILDER LsTensor *ls_adversarial_loss(LsGraph *g, LsTensor *wanted, LsTensor *unwanted)
{
    return ls_node(g, "adversarial_loss", 2, (LsTensor *[]){wanted, unwanted}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t dims[][2] = {{1, 1}, {3, 5}, {7, 33}, {5, 1000}};
    int shapes = (int)LS_COUNT_OF(dims), n = which % shapes;
    if (which >= 2 * shapes)
        return false;
    LsTensor *wanted = ls_case_input(g, "wanted", LS_REAL, -4, 4, 2, dims[n]);
    ls_adversarial_loss(g, wanted, which < shapes ? ls_case_input(g, "unwanted", LS_REAL, -4, 4, 2, dims[n]) : NULL);
    return true;
}

LS_OP(adversarial_loss) = {
    .name = "adversarial_loss",
    .formula = "L = sum of log(1 + exp(-a)) + sum of log(1 + exp(b))",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 3,
    .cases = cases,
};
