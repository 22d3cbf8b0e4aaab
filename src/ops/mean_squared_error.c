/* L = sum of (x - target)^2 over the elements whose target is not NaN: who divides it by their number has the mean. */
#include "ops/op_build.h"

#define LOSS_NAME "mean_squared_error"

static double value(double x, double target) { return (x - target) * (x - target); }
static double slope(double x, double target) { return 2 * (x - target); }
static double target_slope(double x, double target) { return 2 * (target - x); }

#include "ops/loss.h"

/* ls_mean_squared_error(g, x, target): x: any shape, target: the same, LS_REAL or LS_ACC -> (1) LS_ACC: the sum over
 * all targets that are not NaN. */
LS_BUILDER LsTensor *ls_mean_squared_error(LsGraph *g, LsTensor *x, LsTensor *target)
{
    return ls_node(g, "mean_squared_error", 2, (LsTensor *[]){x, target}, NULL, 0);
}

LS_LOSS_OP(mean_squared_error, "L = sum of (x - target)^2", -4, 4, 4);
