/* y = x where x > 0, else 0.2 x: the slope of DCGAN (Radford, Metz, Chintala 2016) and its followers. The slope at 0 is
 * 0.2. */
#include "ops/op_build.h"

#define UNARY_NAME "leaky_relu"
#define UNARY_OPTIONS 1
#define UNARY_KEEPS 'y'
#define LEAK ((acc)0.2)

LS_INLINE vacc value(vacc x, int option)
{
    (void)option;
    return ls_select(x > (vacc){0}, x, x * LEAK);
}

LS_INLINE vacc slope(vacc y, int option) /* y > 0 where x > 0 */
{
    (void)option;
    return ls_select(y > (vacc){0}, (vacc){0} + 1, (vacc){0} + LEAK);
}

static double plain(double x, int option)
{
    (void)option;
    return x > 0 ? x : (double)LEAK * x;
}

#include "ops/unary.h"

/* ls_leaky_relu(g, x): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_leaky_relu(LsGraph *g, LsTensor *x) { return ls_node(g, "leaky_relu", 1, &x, NULL, 0); }

LS_UNARY_OP(leaky_relu, "y = x where x > 0, else 0.2 x", 2);
