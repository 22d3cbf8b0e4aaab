#include "models/language.h"

LsTensor *ls_language_ids(LsGraph *g, const LsShape *shape)
{
    return ls_input(g, "ids", LS_I32, 2, (int64_t[]){shape->batch, shape->sequence});
}

LsTensor *ls_language_position(LsGraph *g, const LsShape *shape)
{
    return ls_graph_mode(g) == LS_DECODE ? ls_input(g, "position", LS_I32, 1, (int64_t[]){shape->batch}) : NULL;
}

void ls_language_head(LsGraph *g, const LsShape *shape, LsTensor *x, LsTensor *w, int64_t classes)
{
    if (shape->want == LS_WANT_LOSS) {
        LsTensor *targets = ls_input(g, "targets", LS_I32, 2, (int64_t[]){shape->batch, shape->sequence});
        ls_output(g, "loss", ls_head_cross_entropy(g, x, w, targets, classes));
        return;
    }
    if (shape->want == LS_WANT_LAST)
        x = ls_last(g, x);
    ls_output(g, "output", ls_linear(g, x, w, NULL, LS_NO_ACTIVATION));
}

LsTensor *ls_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, bool bias,
                   LsActivation activation)
{
    ls_push(g, "%s", name);
    LsTensor *w = ls_param(g, "weight", init, 2, (int64_t[]){outputs, x->dim[x->rank - 1]});
    LsTensor *b = bias ? ls_param(g, "bias", ls_init_constant(0), 1, &outputs) : NULL;
    LsTensor *y = ls_linear(g, x, w, b, activation);
    ls_pop(g);
    return y;
}
