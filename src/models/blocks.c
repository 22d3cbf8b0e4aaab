#include "models/blocks.h"

#include <math.h>

LsTensor *ls_stream_position(LsGraph *g, const LsShape *shape)
{
    return ls_graph_mode(g) == LS_DECODE ? ls_input(g, "position", LS_I32, 1, (int64_t[]){shape->batch}) : NULL;
}

static LsTensor *dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, const LsInit *bias,
                       LsActivation activation)
{
    ls_push(g, "%s", name);
    LsTensor *w = ls_param(g, "weight", init, 2, (int64_t[]){outputs, x->dim[x->rank - 1]});
    LsTensor *b = bias ? ls_param(g, "bias", *bias, 1, &outputs) : NULL;
    LsTensor *y = ls_linear(g, x, w, b, activation);
    ls_pop(g);
    return y;
}

LsTensor *ls_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, bool bias,
                   LsActivation activation)
{
    LsInit zero = ls_init_constant(0);
    return dense(g, name, x, outputs, init, bias ? &zero : NULL, activation);
}

LsTensor *ls_dense_uniform(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsActivation activation)
{
    double bound = 1 / sqrt((double)(x->dim[x->rank - 1] > 0 ? x->dim[x->rank - 1] : 1));
    LsInit init = ls_init_uniform(-bound, bound);
    return dense(g, name, x, outputs, init, &init, activation);
}
