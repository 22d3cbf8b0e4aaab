/* y = x sigmoid(x): SiLU, or swish with beta 1 (Elfwing, Uchibe, Doya 2017; Ramachandran, Zoph, Le 2017). */
#include "ops/activation.h"
#include "ops/op_build.h"

#define UNARY_NAME "silu"
#define UNARY_OPTIONS 1
#define UNARY_KEEPS 'x'

LS_INLINE vacc value(vacc x, int option)
{
    (void)option;
    return ls_activate(LS_SILU, x);
}

LS_INLINE vacc slope(vacc x, int option)
{
    (void)option;
    return ls_activate_slope(LS_SILU, x);
}

static double plain(double x, int option)
{
    (void)option;
    return act_silu_plain(x);
}

#include "ops/unary.h"

/* ls_silu(g, x): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_silu(LsGraph *g, LsTensor *x) { return ls_node(g, "silu", 1, &x, NULL, 0); }

LS_UNARY_OP(silu, "y = x / (1 + exp(-x))", 20);
