/* y = x Phi(x), Phi the normal distribution's (Hendrycks and Gimpel 2016), by erf; or their approximation, which GPT-2
 * uses: y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
#include "ops/activation.h"
#include "ops/op_build.h"

#define UNARY_NAME "gelu"
#define UNARY_OPTIONS 2 /* 0: erf, 1: tanh */
#define UNARY_KEEPS 'x'

LS_INLINE vacc value(vacc x, int option) { return ls_activate(option ? LS_GELU_TANH : LS_GELU, x); }

LS_INLINE vacc slope(vacc x, int option) { return ls_activate_slope(option ? LS_GELU_TANH : LS_GELU, x); }

static double plain(double x, int option) { return option ? act_gelu_tanh_plain(x) : act_gelu_plain(x); }

#include "ops/unary.h"

/* ls_gelu(g, x, tanh_form): x: any shape -> the same. */
LS_BUILDER LsTensor *ls_gelu(LsGraph *g, LsTensor *x, bool tanh_form)
{
    int option = tanh_form;
    return ls_node(g, "gelu", 1, &x, &option, sizeof option);
}

LS_UNARY_OP(gelu, "y = x Phi(x), or x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))", 30);
