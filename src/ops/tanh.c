/* y = tanh x; dy/dx = 1 - y^2. */
#include "ops/op_build.h"
#include "ops/vec_math.h"

#define UNARY_NAME "tanh"
#define UNARY_OPTIONS 1
#define UNARY_KEEPS 'y'
#define UNARY_BF16_ULPS 2 /* y, as it was stored, is off by 2^-8 y: 1 - y^2 by 2 y^2 2^-8, at most 2 of them */

LS_INLINE vacc value(vacc x, int option)
{
    (void)option;
    return ls_vtanh(x);
}

LS_INLINE vacc slope(vacc y, int option)
{
    (void)option;
    return 1 - y * y;
}

static double plain(double x, int option)
{
    (void)option;
    return tanh(x);
}

#include "ops/unary.h"

/* ls_tanh(g, x): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_tanh(LsGraph *g, LsTensor *x) { return ls_node(g, "tanh", 1, &x, NULL, 0); }

LS_UNARY_OP(tanh, "y = tanh x", 25);
