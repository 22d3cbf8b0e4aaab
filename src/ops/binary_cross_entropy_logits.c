/* L = sum of -t log s(x) - (1 - t) log(1 - s(x)), s the logistic function, over the elements whose target t is not NaN.
 *
 * As max(x, 0) - x t + log(1 + exp(-|x|)), in which nothing overflows or cancels. */
#include "ops/op_build.h"

#define LOSS_NAME "binary_cross_entropy_logits"

static double value(double x, double target) { return (x > 0 ? x : 0) - x * target + log1p(exp(-fabs(x))); }
static double slope(double x, double target) { return 1 / (1 + exp(-x)) - target; }
static double target_slope(double x, double target)
{
    (void)target;
    return -x;
}

#include "ops/loss.h"

/* ls_binary_cross_entropy_logits(g, x, target): x: any shape, target: the same, LS_REAL or LS_ACC, from 0 to 1 -> (1)
 * LS_ACC: the sum over all targets that are not NaN. */
LS_BUILDER LsTensor *ls_binary_cross_entropy_logits(LsGraph *g, LsTensor *x, LsTensor *target)
{
    return ls_node(g, "binary_cross_entropy_logits", 2, (LsTensor *[]){x, target}, NULL, 0);
}

LS_LOSS_OP(binary_cross_entropy_logits, "L = sum of max(x, 0) - x t + log(1 + exp(-|x|))", 0, 1, 30);
