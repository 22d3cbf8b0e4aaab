/* The recurrence of long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000),
 * in PyTorch's order of gates:
 *
 *     (i, f, g, o) = x_t + h_{t-1} w^T
 *     c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g),   h_t = sigmoid(o) tanh(c_t),   y_t = h_t */
#include "ops/recurrence_backward.h"

enum { GATES = 4, SAVED = 5 };

LS_INLINE void step_forward(const vacc *x, const vacc *u, vacc bias, vacc *h, vacc *c, vacc *saved)
{
    (void)bias;
    vacc i = ls_vsigmoid(x[0] + u[0]), f = ls_vsigmoid(x[1] + u[1]), g = ls_vtanh(x[2] + u[2]),
         o = ls_vsigmoid(x[3] + u[3]);
    *c = f * *c + i * g;
    *h = o * ls_vtanh(*c);
    saved[0] = i, saved[1] = f, saved[2] = g, saved[3] = o, saved[4] = *c;
}

LS_INLINE void step_backward(const vacc *saved, vacc h_before, vacc c_before, vacc *dh, vacc *dc, vacc *dx, vacc *du)
{
    (void)h_before;
    vacc i = saved[0], f = saved[1], g = saved[2], o = saved[3], squashed = ls_vtanh(saved[4]);
    vacc all = *dc + *dh * o * (1 - squashed * squashed);
    du[0] = dx[0] = all * g * i * (1 - i);
    du[1] = dx[1] = all * c_before * f * (1 - f);
    du[2] = dx[2] = all * i * (1 - g * g);
    du[3] = dx[3] = *dh * squashed * o * (1 - o);
    *dc = all * f;
    *dh = (vacc){0};
}

static void forward_row(const CellRow *r, int64_t count) { cell_forward_row(r, count, step_forward, GATES, SAVED); }
static void backward_row_of(const CellBack *r, int64_t count)
{
    cell_backward_row(r, count, step_backward, GATES, SAVED);
}

static void plain(const double *x, const double *u, double bias, double *h, double *c, double *saved)
{
    (void)bias;
    double i = 1 / (1 + exp(-x[0] - u[0])), f = 1 / (1 + exp(-x[1] - u[1])), g = tanh(x[2] + u[2]),
           o = 1 / (1 + exp(-x[3] - u[3]));
    *c = f * *c + i * g;
    *h = o * tanh(*c);
    saved[0] = i, saved[1] = f, saved[2] = g, saved[3] = o, saved[4] = *c;
}

static const Cell cells_of_op[] = {{GATES, SAVED, true, forward_row, backward_row_of, plain}};

RECURRENT_FUNCTIONS

/* ls_lstm_scan(g, x, w, start_h, start_c, state_h, state_c, lengths, reverse): x: (B, T, 4 H), the gates' share of the
 * inputs with their biases, of ls_linear over the whole sequence; w: (4 H, H) parameter; what it starts from, each NULL
 * for zero: start_h, start_c: (B, H), activations, or state_h, state_c: (B, H) of LS_ACC (ls_state, ls_carry), but not
 * both; lengths: (B) of LS_I32 or NULL: past a row's length its state stands still, and y is 0; reverse: from the last
 * step (that before lengths) to the first. -> y: (B, T, H); ls_tensor_sibling(y, 1), (y, 2): the last h and c: (B, H).
 * All three have gradients. */
LS_BUILDER LsTensor *ls_lstm_scan(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *start_h, LsTensor *start_c,
                                  LsTensor *state_h, LsTensor *state_c, LsTensor *lengths, bool reverse)
{
    return ls_node(g, "lstm_scan", INPUTS, (LsTensor *[]){x, w, NULL, start_h, start_c, state_h, state_c, lengths},
                   &(RecurrentAttr){0, reverse}, sizeof(RecurrentAttr));
}

static bool cases(LsGraph *g, int which)
{
    RecurrentCase c;
    if (!recurrent_case(g, which, GATES, true, &c))
        return false;
    ls_lstm_scan(g, c.x, c.w, c.start[0], c.start[1], c.state[0], c.state[1], c.lengths, c.reverse);
    return true;
}

LS_OP(lstm_scan) = {
    .name = "lstm_scan",
    .formula = "c_t = f c_{t-1} + i g,  y_t = o tanh(c_t)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = recurrence_cost,
    .saves_in = 1 << W | 1 << START_H | 1 << START_C | 1 << STATE_H | 1 << STATE_C | 1 << LENGTHS,
    .saves_out = 1 | 1 << 3,
    .param_in = 1 << W | 1 << BIAS,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    .bf16_ulps = 3, /* of h in products, of what backward reads of gates and states, of the gates' gradients */
};
