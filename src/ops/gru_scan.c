/* The recurrence of gated recurrent units (Cho et al. 2014), with PyTorch's order of gates and its place of the reset
 * gate, behind the product:
 *
 *     (r, z, n) of x_t and of u = h_{t-1} w^T + (0, 0, bias)
 *     r = sigmoid(x_r + u_r),  z = sigmoid(x_z + u_z),  n = tanh(x_n + r u_n)
 *     h_t = (1 - z) n + z h_{t-1},   y_t = h_t */
#include "ops/recurrence_backward.h"

enum { GATES = 3, SAVED = 4 };

LS_INLINE void step_forward(const vacc *x, const vacc *u, vacc bias, vacc *h, vacc *c, vacc *saved)
{
    (void)c;
    vacc r = ls_vsigmoid(x[0] + u[0]), z = ls_vsigmoid(x[1] + u[1]), q = u[2] + bias, n = ls_vtanh(x[2] + r * q);
    *h = n + z * (*h - n);
    saved[0] = r, saved[1] = z, saved[2] = n, saved[3] = q;
}

LS_INLINE void step_backward(const vacc *saved, vacc h_before, vacc c_before, vacc *dh, vacc *dc, vacc *dx, vacc *du)
{
    (void)c_before, (void)dc;
    vacc r = saved[0], z = saved[1], n = saved[2], q = saved[3];
    dx[2] = *dh * (1 - z) * (1 - n * n);
    du[0] = dx[0] = dx[2] * q * r * (1 - r);
    du[1] = dx[1] = *dh * (h_before - n) * z * (1 - z);
    du[2] = dx[2] * r;
    *dh *= z;
}

static void forward_row(const CellRow *r, int64_t count) { cell_forward_row(r, count, step_forward, GATES, SAVED); }
static void backward_row_of(const CellBack *r, int64_t count)
{
    cell_backward_row(r, count, step_backward, GATES, SAVED);
}

static void plain(const double *x, const double *u, double bias, double *h, double *c, double *saved)
{
    (void)c;
    double r = 1 / (1 + exp(-x[0] - u[0])), z = 1 / (1 + exp(-x[1] - u[1])), q = u[2] + bias, n = tanh(x[2] + r * q);
    *h = (1 - z) * n + z * *h;
    saved[0] = r, saved[1] = z, saved[2] = n, saved[3] = q;
}

static const Cell cells_of_op[] = {{GATES, SAVED, false, forward_row, backward_row_of, plain}};

RECURRENT_FUNCTIONS

/* ls_gru_scan(g, x, w, bias, start, state, lengths, reverse): x: (B, T, 3 H), the gates' share of the inputs with their
 * biases, of ls_linear over the whole sequence; w: (3 H, H) and bias: (H) or NULL, PyTorch's b_hn, parameters; start:
 * (B, H), an activation, or state: (B, H) of LS_ACC (ls_state, ls_carry), what it starts from: both NULL for zero;
 * lengths: (B) of LS_I32 or NULL: past a row's length its state stands still, and y is 0; reverse: from the last step
 * (that before lengths) to the first. -> y: (B, T, H); ls_tensor_sibling(y, 1): the last h: (B, H). Both have
 * gradients. */
LS_BUILDER LsTensor *ls_gru_scan(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, LsTensor *start, LsTensor *state,
                                 LsTensor *lengths, bool reverse)
{
    return ls_node(g, "gru_scan", INPUTS, (LsTensor *[]){x, w, bias, start, NULL, state, NULL, lengths},
                   &(RecurrentAttr){0, reverse}, sizeof(RecurrentAttr));
}

static bool cases(LsGraph *g, int which)
{
    RecurrentCase c;
    if (!recurrent_case(g, which, GATES, false, &c))
        return false;
    LsTensor *bias = which % 3 ? ls_case_param(g, "bias", 0, -1, 1, 1, &c.w->dim[1]) : NULL;
    ls_gru_scan(g, c.x, c.w, bias, c.start[0], c.state[0], c.lengths, c.reverse);
    return true;
}

LS_OP(gru_scan) = {
    .name = "gru_scan",
    .formula = "h_t = (1 - z) n + z h_{t-1},  n = tanh(x_n + r (h_{t-1} w_n^T + bias))",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = recurrence_cost,
    .saves_in = 1 << W | 1 << START_H | 1 << STATE_H | 1 << LENGTHS,
    .saves_out = 1 | 1 << 2,
    .param_in = 1 << W | 1 << BIAS,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    .bf16_ulps = 3, /* of h in products, of what backward reads of gates and states, of the gates' gradients */
};
