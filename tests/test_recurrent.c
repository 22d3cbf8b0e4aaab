/* Recurrent layers as models use them: against PyTorch's numbers, one- and two-way, with lengths and initial states;
 * the worked numbers of a text; in one piece, in several and step by step with their states; in segments with their
 * gradients; and what they say where they cannot be. */
#include "harness.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const LsRun run = {.seed = 1, .training = true};

enum { CELLS = 4, TANH = 0, RELU, LSTM, GRU };
static const int64_t gates_of[CELLS] = {1, 1, 4, 3};

/* The parameters of one layer in one direction; NULL where it has none. */
typedef struct Layer {
    LsTensor *start[2], *state[2], *lengths;
    bool reverse;
} Layer;

/* x: (B, T, C) -> (B, T, H), by a dense layer and the scan of a cell. Names are PyTorch's, but that the biases are one,
 * and GRU's b_hn one of its own. */
static LsTensor *layer_of(LsGraph *g, int cell, LsTensor *x, int64_t units, const Layer *l)
{
    const char *suffix = l->reverse ? "_reverse" : "";
    char name[3][40];
    snprintf(name[0], sizeof name[0], "weight_ih_l0%s", suffix);
    snprintf(name[1], sizeof name[1], "weight_hh_l0%s", suffix);
    snprintf(name[2], sizeof name[2], "bias_l0%s", suffix);
    const int64_t gates = gates_of[cell] * units;
    const LsInit init = ls_init_uniform(-0.25, 0.25);
    LsTensor *w = ls_param(g, name[0], init, 2, (int64_t[]){gates, x->dim[2]}),
             *recurrent = ls_param(g, name[1], init, 2, (int64_t[]){gates, units}),
             *bias = ls_param(g, name[2], init, 1, &gates);
    x = ls_linear(g, x, w, bias, LS_NO_ACTIVATION);
    if (cell == LSTM)
        return ls_lstm_scan(g, x, recurrent, l->start[0], l->start[1], l->state[0], l->state[1], l->lengths,
                            l->reverse);
    if (cell == GRU) {
        snprintf(name[2], sizeof name[2], "bias_hn_l0%s", suffix);
        bias = ls_param(g, name[2], init, 1, &units);
        return ls_gru_scan(g, x, recurrent, bias, l->start[0], l->state[0], l->lengths, l->reverse);
    }
    return ls_rnn_scan(g, x, recurrent, l->start[0], l->state[0], l->lengths, cell == RELU, l->reverse);
}

static LsGraph *graph_of(LsParams *params, LsMode mode, bool parts)
{
    LsGraph *g =
        ls_graph_new(params, &(LsGraphOptions){.mode = mode, .grad_inputs = mode == LS_TRAIN, .segmented = parts});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    return g;
}

static float *value_of(const LsParams *params, const char *name, float *array, int64_t *count)
{
    int i = ls_params_find(params, name);
    CU_ASSERT_FATAL(i >= 0);
    *count = params->list[i].count;
    return array + params->list[i].offset;
}

static void draw(LsTensor *x, const char *name)
{
    for (int64_t i = 0; i < x->count; i++)
        ((float *)x->data)[i] = 4 * ls_uniform_at(ls_key(5, name), 0, (uint64_t)i) - 2;
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

typedef struct Numbers {
    FILE *file;
    int cell, directions, packed;
    int64_t streams, steps, inputs, units;
} Numbers;

/* The next line, which must be called `name`: a new array of `count` numbers. */
static float *read_line(const Numbers *n, const char *name, int64_t count)
{
    char found[40];
    CU_ASSERT_EQUAL_FATAL(fscanf(n->file, "%39s", found), 1);
    CU_ASSERT_STRING_EQUAL_FATAL(found, name);
    float *values = ls_alloc_array(count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(fscanf(n->file, "%f", &values[i]), 1);
    return values;
}

static void read_into(const Numbers *n, const char *name, float *to, int64_t count)
{
    float *values = read_line(n, name, count);
    memcpy(to, values, (size_t)count * sizeof *to);
    ls_free(values);
}

/* To 1e-5 of the largest number: (rows, width) with so many numbers from row to row. */
static void expect(const float *have, int64_t stride, const float *want, int64_t rows, int64_t width,
                   int64_t want_stride)
{
    double largest = 0, error = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++) {
            double difference = fabs((double)have[i * stride + j] - (double)want[i * want_stride + j]);
            if (!(difference <= error) && !isnan(error))
                error = difference;
            largest = fmax(largest, fabs((double)want[i * want_stride + j]));
        }
    ASSERT_AT_MOST(error, 1e-5 * largest);
}

/* Both directions of a layer, with what "loss" weighs the results by. */
typedef struct Bundle {
    LsParams *params;
    LsGraph *g;
    LsTensor *x, *lengths, *start[2][2], *y[2], *last[2][2], *r[2], *s[2][2];
} Bundle;

static Bundle bundle_new(const Numbers *n)
{
    Bundle b = {.params = ls_params_new()};
    b.g = graph_of(b.params, LS_TRAIN, false);
    const int64_t state[] = {n->streams, n->units};
    b.x = ls_input(b.g, "x", LS_REAL, 3, (int64_t[]){n->streams, n->steps, n->inputs});
    b.lengths = n->packed ? ls_input(b.g, "lengths", LS_I32, 1, &n->streams) : NULL;
    const int states = n->cell == LSTM ? 2 : 1;
    for (int d = 0; d < n->directions; d++) {
        ls_push(b.g, "%d", d);
        for (int i = 0; i < states; i++)
            b.start[d][i] = ls_input(b.g, i ? "c" : "h", LS_REAL, 2, state);
        b.r[d] = ls_input(b.g, "r", LS_REAL, 3, (int64_t[]){n->streams, n->steps, n->units});
        for (int i = 0; i < states; i++)
            b.s[d][i] = ls_input(b.g, i ? "sc" : "s", LS_REAL, 2, state);
        ls_pop(b.g);
        Layer l = {.start = {b.start[d][0], b.start[d][1]}, .lengths = b.lengths, .reverse = d == 1};
        b.y[d] = layer_of(b.g, n->cell, b.x, n->units, &l);
        ls_output(b.g, "y", b.y[d]);
        ls_output(b.g, "loss", ls_mul(b.g, b.y[d], b.r[d]));
        for (int i = 0; i < states; i++) {
            b.last[d][i] = ls_output(b.g, "last", ls_tensor_sibling(b.y[d], 1 + i));
            ls_output(b.g, "loss", ls_mul(b.g, b.last[d][i], b.s[d][i]));
        }
    }
    ASSERT_OK(ls_params_allocate(b.params, 3, true));
    ASSERT_OK(ls_graph_plan(b.g));
    return b;
}

/* The four lines of PyTorch's parameters of one direction, or of their gradients: its two biases are added up in our
 * one where `sum`, else either of them is compared. */
static void parameters(const Numbers *n, const Bundle *b, int direction, bool gradients)
{
    const char *suffix = direction ? "_reverse" : "", *d = gradients ? "d" : "";
    float *array = gradients ? b->params->grad : b->params->value;
    const int64_t gates = gates_of[n->cell] * n->units;
    char name[48], line[64];
    for (int i = 0; i < 2; i++) {
        int64_t count;
        snprintf(name, sizeof name, "weight_%s_l0%s", i ? "hh" : "ih", suffix);
        snprintf(line, sizeof line, "%s%s", d, name);
        float *own = value_of(b->params, name, array, &count);
        float *given = read_line(n, line, count);
        if (gradients)
            expect(own, count, given, 1, count, count);
        else
            memcpy(own, given, (size_t)count * sizeof *own);
        ls_free(given);
    }
    int64_t count, units;
    snprintf(name, sizeof name, "bias_l0%s", suffix);
    float *own = value_of(b->params, name, array, &count), *own_n = NULL;
    snprintf(line, sizeof line, "%sbias_ih_l0%s", d, suffix);
    float *of_input = read_line(n, line, gates);
    snprintf(line, sizeof line, "%sbias_hh_l0%s", d, suffix);
    float *of_state = read_line(n, line, gates);
    const int64_t shared = n->cell == GRU ? 2 * n->units : gates;
    if (n->cell == GRU) {
        snprintf(name, sizeof name, "bias_hn_l0%s", suffix);
        own_n = value_of(b->params, name, array, &units);
    }
    if (gradients) {
        expect(own, gates, of_input, 1, gates, gates);
        if (own_n)
            expect(own_n, units, of_state + shared, 1, units, units);
    } else {
        for (int64_t i = 0; i < gates; i++)
            own[i] = of_input[i] + (i < shared ? of_state[i] : 0);
        if (own_n)
            memcpy(own_n, of_state + shared, (size_t)units * sizeof *own_n);
    }
    ls_free(of_input);
    ls_free(of_state);
}

static void check_case(const Numbers *n)
{
    static const int32_t lengths[] = {4, 6, 1};
    Bundle b = bundle_new(n);
    const int states = n->cell == LSTM ? 2 : 1;
    const int64_t rows = n->streams * n->steps, size = n->streams * n->units, wide = n->directions * n->units;
    read_into(n, "x", b.x->data, b.x->count);
    if (n->packed)
        memcpy(b.lengths->data, lengths, sizeof lengths);
    for (int d = 0; d < n->directions; d++)
        parameters(n, &b, d, false);
    for (int i = 0; i < states; i++) {
        float *given = read_line(n, i ? "c" : "h", n->directions * size);
        for (int d = 0; d < n->directions; d++)
            memcpy(b.start[d][i]->data, given + d * size, (size_t)size * sizeof(float));
        ls_free(given);
    }
    float *r = read_line(n, "r", rows * wide);
    for (int d = 0; d < n->directions; d++)
        for (int64_t i = 0; i < rows; i++)
            memcpy((float *)b.r[d]->data + i * n->units, r + i * wide + d * n->units, (size_t)n->units * sizeof(float));
    ls_free(r);
    for (int i = 0; i < states; i++) {
        float *s = read_line(n, "s", n->directions * size);
        for (int d = 0; d < n->directions; d++)
            memcpy(b.s[d][i]->data, s + d * size, (size_t)size * sizeof(float));
        ls_free(s);
    }
    ls_graph_refresh(b.g);
    ASSERT_OK(ls_graph_forward(b.g, &run));
    ASSERT_OK(ls_graph_backward(b.g, &run, 1, false, NULL));
    float *y = read_line(n, "y", rows * wide);
    for (int d = 0; d < n->directions; d++)
        expect(b.y[d]->data, n->units, y + d * n->units, rows, n->units, wide);
    ls_free(y);
    for (int i = 0; i < states; i++) {
        float *last = read_line(n, "last", n->directions * size);
        for (int d = 0; d < n->directions; d++)
            expect(b.last[d][i]->data, size, last + d * size, 1, size, size);
        ls_free(last);
    }
    float *dx = read_line(n, "dx", b.x->count);
    expect(b.x->grad, b.x->count, dx, 1, b.x->count, b.x->count);
    ls_free(dx);
    for (int d = 0; d < n->directions; d++)
        parameters(n, &b, d, true);
    for (int i = 0; i < states; i++) {
        float *given = read_line(n, i ? "dc" : "dh", n->directions * size);
        for (int d = 0; d < n->directions; d++)
            expect(b.start[d][i]->grad, size, given + d * size, 1, size, size);
        ls_free(given);
    }
    ls_graph_free(b.g);
    ls_params_free(b.params);
}

static void test_pytorch(void)
{
    Numbers n = {.file = fopen(TESTS_FOLDER "/fixtures/recurrent.txt", "r")};
    CU_ASSERT_PTR_NOT_NULL_FATAL(n.file);
    int cases = 0;
    long long b, t, c, h;
    while (fscanf(n.file, " case %d %d %lld %lld %lld %lld %d", &n.cell, &n.directions, &b, &t, &c, &h, &n.packed) ==
           7) {
        n.streams = b, n.steps = t, n.inputs = c, n.units = h;
        check_case(&n);
        cases++;
    }
    CU_ASSERT_EQUAL(cases, 16);
    fclose(n.file);
}

/* ---- Worked numbers ---------------------------------------------------------------------------------------------- */

/* The letters A, B, C as unit vectors, weights 1 element by element, "AB": h_1 = tanh(1) in A's unit, h_2 = tanh of
 * that there and tanh(1) in B's. The numbers are the text's: 0.76 and 0.64. */
static void test_worked_example(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_EVAL, false);
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 2, 3});
    LsTensor *y = ls_output(g, "y", layer_of(g, TANH, x, 3, &(Layer){0}));
    ASSERT_OK(ls_params_allocate(params, 3, false));
    ASSERT_OK(ls_graph_plan(g));
    memset(params->value, 0, (size_t)params->total * sizeof(float));
    for (int i = 0; i < 3; i++) {
        int64_t count;
        value_of(params, "weight_ih_l0", params->value, &count)[4 * i] = 1;
        value_of(params, "weight_hh_l0", params->value, &count)[4 * i] = 1;
    }
    memcpy(x->data, (const float[]){1, 0, 0, 0, 1, 0}, 6 * sizeof(float));
    ASSERT_OK(ls_graph_forward(g, &run));
    const float *h = y->data;
    CU_ASSERT_DOUBLE_EQUAL(h[0], 0.76, 0.005);
    CU_ASSERT_DOUBLE_EQUAL(h[3], 0.64, 0.005);
    CU_ASSERT_DOUBLE_EQUAL(h[0], tanh(1), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(h[3], tanh(tanh(1)), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(h[4], tanh(1), 1e-6);
    CU_ASSERT_EQUAL(h[1], 0);
    CU_ASSERT_EQUAL(h[2], 0);
    CU_ASSERT_EQUAL(h[5], 0);
    ls_graph_free(g);
    ls_params_free(params);
}

/* ---- States ------------------------------------------------------------------------------------------------------ */

typedef struct Piece {
    LsGraph *g;
    LsTensor *x, *y, *r, *state[2];
    int64_t first, steps;
} Piece;

enum { STREAMS = 3, STEPS = 13, INPUTS = 4, UNITS = 37 };

/* Steps from `first` on of a sequence, in a graph of their own on shared parameters. */
static Piece piece_new(LsParams *params, int cell, LsMode mode, int64_t first, int64_t steps)
{
    Piece p = {.g = graph_of(params, mode, mode == LS_TRAIN && steps < STEPS), .first = first, .steps = steps};
    p.x = ls_input(p.g, "x", LS_REAL, 3, (int64_t[]){STREAMS, steps, INPUTS});
    Layer l = {0};
    for (int i = 0; i < (cell == LSTM ? 2 : 1); i++)
        p.state[i] = l.state[i] = ls_carry(p.g, i ? "state_c" : "state_h", LS_ACC, 2, (int64_t[]){STREAMS, UNITS});
    p.y = ls_output(p.g, "y", layer_of(p.g, cell, p.x, UNITS, &l));
    if (mode == LS_TRAIN) {
        p.r = ls_input(p.g, "r", LS_REAL, 3, p.y->dim);
        ls_output(p.g, "loss", ls_mul(p.g, p.y, p.r));
    }
    return p;
}

static void rows_of(const Piece *p, LsTensor *x, const LsTensor *whole)
{
    const int64_t width = x->dim[2];
    for (int64_t b = 0; b < STREAMS; b++)
        memcpy((float *)x->data + b * p->steps * width, (const float *)whole->data + (b * STEPS + p->first) * width,
               (size_t)(p->steps * width) * sizeof(float));
}

static void expect_rows(const Piece *p, const float *have, const float *whole, int64_t width)
{
    for (int64_t b = 0; b < STREAMS; b++)
        expect(have + b * p->steps * width, width, whole + (b * STEPS + p->first) * width, p->steps, width, width);
}

/* Step by step, and by more steps at once, with the state kept between: what the whole sequence gives. */
static void check_decoding(int cell, const int64_t *steps)
{
    LsParams *params = ls_params_new();
    Piece whole = piece_new(params, cell, LS_EVAL, 0, STEPS);
    ASSERT_OK(ls_params_allocate(params, 3, false));
    ASSERT_OK(ls_graph_plan(whole.g));
    draw(whole.x, "x");
    ASSERT_OK(ls_graph_forward(whole.g, &run));
    Piece before = {0};
    for (int64_t first = 0, i = 0; first < STEPS; first += steps[i++]) {
        Piece p = piece_new(params, cell, LS_DECODE, first, steps[i]);
        if (before.g)
            ASSERT_OK(ls_graph_share_states(p.g, before.g));
        ASSERT_OK(ls_graph_plan(p.g));
        rows_of(&p, p.x, whole.x);
        ASSERT_OK(ls_graph_forward(p.g, &run));
        expect_rows(&p, p.y->data, whole.y->data, UNITS);
        if (!before.g)
            before = p;
        else
            ls_graph_free(p.g);
    }
    ls_graph_free(before.g);
    ls_graph_free(whole.g);
    ls_params_free(params);
}

static void test_decoding(void)
{
    static const int64_t single[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, mixed[] = {5, 1, 2, 1, 4};
    for (int cell = 0; cell < CELLS; cell++) {
        check_decoding(cell, single);
        check_decoding(cell, mixed);
    }
}

static void hand_over(const Piece *from, Piece *to, bool gradient)
{
    for (int i = 0; i < 2 && from->state[i]; i++) {
        const LsTensor *x = from->state[i], *y = to->state[i];
        memcpy(gradient ? y->end->grad : y->data, gradient ? x->grad : x->end->data, (size_t)x->count * sizeof(float));
    }
}

/* A sequence in segments, states carried on and their gradients back: results and gradients of the whole. */
static void check_segments(int cell)
{
    enum { SEGMENTS = 3 };
    static const int64_t steps[SEGMENTS] = {6, 3, 4};
    LsParams *params = ls_params_new();
    Piece whole = piece_new(params, cell, LS_TRAIN, 0, STEPS), piece[SEGMENTS];
    ASSERT_OK(ls_params_allocate(params, 3, true));
    ASSERT_OK(ls_graph_plan(whole.g));
    CU_ASSERT_PTR_NULL(whole.state[0]);
    draw(whole.x, "x");
    draw(whole.r, "r");
    ASSERT_OK(ls_graph_forward(whole.g, &run));
    ASSERT_OK(ls_graph_backward(whole.g, &run, 1, false, NULL));
    float *grad = ls_alloc_array(params->total, sizeof *grad);
    memcpy(grad, params->grad, (size_t)params->total * sizeof *grad);
    for (int64_t i = 0, first = 0; i < SEGMENTS; first += steps[i++]) {
        piece[i] = piece_new(params, cell, LS_TRAIN, first, steps[i]);
        ASSERT_OK(ls_graph_plan(piece[i].g));
        CU_ASSERT_PTR_NOT_NULL_FATAL(piece[i].state[0]);
        rows_of(&piece[i], piece[i].x, whole.x);
        rows_of(&piece[i], piece[i].r, whole.r);
        ls_carries_reset(piece[i].g);
        if (i > 0)
            hand_over(&piece[i - 1], &piece[i], false);
        ASSERT_OK(ls_graph_forward(piece[i].g, &run));
        expect_rows(&piece[i], piece[i].y->data, whole.y->data, UNITS);
    }
    for (int i = SEGMENTS - 1; i >= 0; i--) {
        if (i + 1 < SEGMENTS)
            hand_over(&piece[i + 1], &piece[i], true);
        ASSERT_OK(ls_graph_backward(piece[i].g, &run, 1, i + 1 < SEGMENTS, NULL));
        expect_rows(&piece[i], piece[i].x->grad, whole.x->grad, INPUTS);
    }
    expect(params->grad, params->total, grad, 1, params->total, params->total);
    for (int i = 0; i < SEGMENTS; i++)
        ls_graph_free(piece[i].g);
    ls_free(grad);
    ls_graph_free(whole.g);
    ls_params_free(params);
}

static void test_segments(void)
{
    for (int cell = 0; cell < CELLS; cell++)
        check_segments(cell);
}

/* ---- What they say ----------------------------------------------------------------------------------------------- */

/* x: (2, 3, columns) on w: (8, 2), in one of several wrong ways. */
static void refused(int64_t columns, bool start, bool state, bool reverse, const char *text)
{
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_DECODE, false);
    const int64_t dim[] = {2, 2};
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, 3, columns});
    LsTensor *w = ls_param(g, "w", ls_init_constant(0), 2, (int64_t[]){8, 2});
    LsTensor *h = start ? ls_input(g, "h", LS_REAL, 2, dim) : NULL;
    LsTensor *carried = state ? ls_state(g, "state", LS_ACC, 2, dim) : NULL;
    ls_output(g, "y", ls_lstm_scan(g, x, w, h, NULL, carried, NULL, NULL, reverse));
    ASSERT_OK(ls_params_allocate(params, 3, false));
    ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, text);
    ls_graph_free(g);
    ls_params_free(params);
}

static void test_refusals(void)
{
    refused(9, false, false, false, "x must be (B, T, 4 H)");
    refused(8, true, true, false, "not both");
    refused(8, false, true, true, "in reverse it needs whole sequences");
}

static void test_wrong_lengths(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_EVAL, false);
    const int64_t streams = 2;
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){streams, 5, 3});
    Layer l = {.lengths = ls_input(g, "lengths", LS_I32, 1, &streams)};
    LsTensor *y = ls_output(g, "y", layer_of(g, GRU, x, 7, &l));
    ASSERT_OK(ls_params_allocate(params, 3, false));
    ASSERT_OK(ls_graph_plan(g));
    draw(x, "x");
    memcpy(l.lengths->data, (const int32_t[]){5, 6}, 2 * sizeof(int32_t));
    ASSERT_FAILS(ls_graph_forward(g, &run), LS_DATA, "length 6 of stream 1");
    memcpy(l.lengths->data, (const int32_t[]){0, 0}, 2 * sizeof(int32_t));
    ASSERT_OK(ls_graph_forward(g, &run));
    for (int64_t i = 0; i < y->count; i++)
        CU_ASSERT_EQUAL(((const float *)y->data)[i], 0);
    ls_graph_free(g);
    ls_params_free(params);
}

int main(void)
{
    return harness_run("recurrent", (HarnessTest[]){{"PyTorch's numbers", test_pytorch},
                                                    {"the text's worked numbers", test_worked_example},
                                                    {"step by step and in pieces", test_decoding},
                                                    {"segments", test_segments},
                                                    {"what cannot be built", test_refusals},
                                                    {"lengths", test_wrong_lengths},
                                                    {0}});
}
