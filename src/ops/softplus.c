/* y = log(1 + e^x), and y = x for x > 20 (PyTorch's softplus with beta 1 and threshold 20); dy/dx = sigmoid(x), and 1
 * for x > 20. */
#include "ops/op_build.h"
#include "ops/vec_math.h"

#define UNARY_NAME "softplus"
#define UNARY_OPTIONS 1
#define UNARY_KEEPS 'x'

LS_INLINE vacc value(vacc x, int option)
{
    (void)option;
    return ls_select(x > 20, x, ls_vsoftplus(x));
}

LS_INLINE vacc slope(vacc x, int option)
{
    (void)option;
    return ls_select(x > 20, ls_splat(1), ls_vsigmoid(x));
}

static double plain(double x, int option)
{
    (void)option;
    return x > 20 ? x : log1p(exp(x));
}

#include "ops/unary.h"

/* ls_softplus(g, x): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_softplus(LsGraph *g, LsTensor *x) { return ls_node(g, "softplus", 1, &x, NULL, 0); }

LS_UNARY_OP(softplus, "y = log(1 + exp x), x for x > 20", 45);
