/* y = max(x, 0). The slope at 0 is 0. */
#include "ops/activation.h"
#include "ops/op_build.h"

#define UNARY_NAME "relu"
#define UNARY_OPTIONS 1
#define UNARY_KEEPS 'y'

LS_INLINE vacc value(vacc x, int option)
{
    (void)option;
    return ls_activate(LS_RELU, x);
}

LS_INLINE vacc slope(vacc y, int option)
{
    (void)option;
    return ls_activate_slope(LS_RELU, y); /* y > 0 where x > 0 */
}

static double plain(double x, int option)
{
    (void)option;
    return act_relu_plain(x);
}

#include "ops/unary.h"

/* ls_relu(g, x): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_relu(LsGraph *g, LsTensor *x) { return ls_node(g, "relu", 1, &x, NULL, 0); }

LS_UNARY_OP(relu, "y = max(x, 0)", 1);
