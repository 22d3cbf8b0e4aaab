/* y = 1 / (1 + e^-x); dy/dx = y (1 - y). */
#include "ops/op_build.h"
#include "ops/vec_math.h"

#define UNARY_NAME "sigmoid"
#define UNARY_OPTIONS 1
#define UNARY_KEEPS 'y'
#define UNARY_BF16_ULPS                                                                                                \
    4 /* y, as it was stored, is off by 2^-8 y: y (1 - y) by y |1 - 2 y| 2^-8, at most 4 times its largest value of 1/4 */

LS_INLINE vacc value(vacc x, int option)
{
    (void)option;
    return ls_vsigmoid(x);
}

LS_INLINE vacc slope(vacc y, int option)
{
    (void)option;
    return y * (1 - y);
}

static double plain(double x, int option)
{
    (void)option;
    return 1 / (1 + exp(-x));
}

#include "ops/unary.h"

/* ls_sigmoid(g, x): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_sigmoid(LsGraph *g, LsTensor *x) { return ls_node(g, "sigmoid", 1, &x, NULL, 0); }

LS_UNARY_OP(sigmoid, "y = 1 / (1 + exp(-x))", 20);
