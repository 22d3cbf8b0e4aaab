/* The plain recurrence (Elman 1990): y_t = h_t = f(x_t + h_{t-1} w^T), f = tanh or max(0, .). */
#include "ops/recurrence_backward.h"

enum { GATES = 1, SAVED = 1 };

/* A slope f'(h) is kept, made of h before that is rounded. */
LS_INLINE void tanh_forward(const vacc *x, const vacc *u, vacc bias, vacc *h, vacc *c, vacc *saved)
{
    (void)bias, (void)c;
    *h = ls_vtanh(x[0] + u[0]);
    saved[0] = 1 - *h * *h;
}

LS_INLINE void relu_forward(const vacc *x, const vacc *u, vacc bias, vacc *h, vacc *c, vacc *saved)
{
    (void)bias, (void)c;
    vacc sum = x[0] + u[0];
    *h = ls_select(sum > 0, sum, sum * 0); /* sum * 0, not 0: NaN stays NaN */
    saved[0] = ls_select(sum > 0, ls_splat(1), sum * 0);
}

LS_INLINE void step_backward(const vacc *saved, vacc h_before, vacc c_before, vacc *dh, vacc *dc, vacc *dx, vacc *du)
{
    (void)h_before, (void)c_before, (void)dc;
    du[0] = dx[0] = *dh * saved[0];
    *dh = (vacc){0};
}

static void tanh_row(const CellRow *r, int64_t count) { cell_forward_row(r, count, tanh_forward, GATES, SAVED); }
static void relu_row(const CellRow *r, int64_t count) { cell_forward_row(r, count, relu_forward, GATES, SAVED); }
static void backward_row_of(const CellBack *r, int64_t count)
{
    cell_backward_row(r, count, step_backward, GATES, SAVED);
}

static void tanh_plain(const double *x, const double *u, double bias, double *h, double *c, double *saved)
{
    (void)bias, (void)c;
    *h = tanh(x[0] + u[0]);
    saved[0] = 1 - *h * *h;
}

static void relu_plain(const double *x, const double *u, double bias, double *h, double *c, double *saved)
{
    (void)bias, (void)c;
    *h = x[0] + u[0] > 0 ? x[0] + u[0] : 0;
    saved[0] = x[0] + u[0] > 0;
}

static const Cell cells_of_op[] = {{GATES, SAVED, false, tanh_row, backward_row_of, tanh_plain},
                                   {GATES, SAVED, false, relu_row, backward_row_of, relu_plain}};

RECURRENT_FUNCTIONS

/* ls_rnn_scan(g, x, w, start, state, lengths, relu, reverse): x: (B, T, H), the inputs' share with its bias, of
 * ls_linear over the whole sequence; w: (H, H) parameter; start: (B, H), an activation, or state: (B, H) of LS_ACC
 * (ls_state, ls_carry), what it starts from: both NULL for zero; lengths: (B) of LS_I32 or NULL: past a row's length
 * its state stands still, and y is 0; relu: max(0, .) in tanh's place; reverse: from the last step (that before
 * lengths) to the first. -> y: (B, T, H); ls_tensor_sibling(y, 1): the last h: (B, H). Both have gradients. */
LS_BUILDER LsTensor *ls_rnn_scan(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *start, LsTensor *state,
                                 LsTensor *lengths, bool relu, bool reverse)
{
    return ls_node(g, "rnn_scan", INPUTS, (LsTensor *[]){x, w, NULL, start, NULL, state, NULL, lengths},
                   &(RecurrentAttr){relu, reverse}, sizeof(RecurrentAttr));
}

/* Each with tanh, then each with max(0, .). */
static bool cases(LsGraph *g, int which)
{
    RecurrentCase c;
    bool relu = which % 2;
    if (!recurrent_case(g, which / 2, GATES, false, &c))
        return false;
    ls_rnn_scan(g, c.x, c.w, c.start[0], c.state[0], c.lengths, relu, c.reverse);
    return true;
}

LS_OP(rnn_scan) = {
    .name = "rnn_scan",
    .formula = "y_t = h_t = f(x_t + h_{t-1} w^T)",
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
