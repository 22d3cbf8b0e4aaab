/* Recurrent ops on a sequence in segments, states carried forward and gradients back, against the same sequence in one:
 * convolution and scan behind each other as in Mamba, in 2, 3 and 4 segments of odd lengths. And what the graph says
 * where that cannot be. */
#include "harness.h"
#include "graph/check.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAPS = 4, LEAVES = 4, MAX_SEGMENTS = 4 };

static const char *const leaves[LEAVES] = {"xz", "delta", "bc", "r"};

typedef struct Shape {
    int64_t streams, steps, channels, states;
} Shape;

/* A graph for some steps of the sequence. */
typedef struct Segment {
    LsGraph *g;
    LsTensor *leaf[LEAVES], *y, *carry[2]; /* of the convolution, of the scan; NULL for the whole */
    int64_t first, steps;
} Segment;

typedef struct Sequence {
    LsParams *params;
    Shape shape;
    LsPrecision precision;
    bool conv;
    int segments;
    Segment segment[MAX_SEGMENTS];
} Sequence;

static void build(Segment *p, const Shape *s, bool conv)
{
    LsGraph *g = p->g;
    int64_t b = s->streams, t = p->steps, e = s->channels, n = s->states;
    const int64_t width[LEAVES] = {2 * e, e, 2 * n, e};
    for (int i = 0; i < LEAVES; i++)
        p->leaf[i] = ls_input(g, leaves[i], LS_REAL, 3, (int64_t[]){b, t, width[i]});
    LsTensor *w = ls_param(g, "w", ls_init_uniform(-1, 1), 2, (int64_t[]){e, TAPS}),
             *bias = ls_param(g, "b", ls_init_uniform(-1, 1), 1, &e);
    LsTensor *delta_bias = ls_param_flags(g, "delta_bias", ls_init_uniform(-4, -1), LS_PRECISE, 1, &e);
    LsTensor *a = ls_param_flags(g, "a_log", ls_init_uniform(-1, 2.7), LS_PRECISE, 2, (int64_t[]){e, n});
    LsTensor *d = ls_param_flags(g, "d", ls_init_uniform(-1, 1), LS_PRECISE, 1, &e);
    if (conv)
        p->carry[0] = ls_carry(g, "rows", LS_REAL, 3, (int64_t[]){b, TAPS - 1, e});
    p->carry[1] = ls_carry(g, "h", LS_ACC, 3, (int64_t[]){b, n, e});
    LsTensor *u = conv ? ls_causal_conv(g, p->leaf[0], w, bias, p->carry[0], LS_SILU) : p->leaf[1];
    p->y = ls_selective_scan(g, u, p->leaf[1], delta_bias, a, p->leaf[2], d, p->leaf[0], p->carry[1]);
    ls_output(g, "y", p->y);
    ls_output(g, "loss", ls_mul(g, p->y, p->leaf[3]));
}

/* Values by name and place in the sequence, whatever the segment. */
static void fill(const Sequence *s, Segment *p)
{
    for (int i = 0; i < LEAVES; i++) {
        const LsTensor *x = p->leaf[i];
        int64_t width = x->dim[2];
        float *values = ls_alloc_array(x->count, sizeof *values);
        for (int64_t j = 0; j < x->count; j++) {
            int64_t row = j / width,
                    at = (row / p->steps * s->shape.steps + p->first + row % p->steps) * width + j % width;
            values[j] = 4 * ls_uniform_at(ls_key(5, leaves[i]), 0, (uint64_t)at) - 2;
        }
        ls_tensor_set(p->g, p->leaf[i], values);
        ls_free(values);
    }
}

static Sequence sequence_new(Shape shape, LsPrecision precision, bool conv, const int64_t *steps, LsParams *params)
{
    Sequence s = {.params = params ? params : ls_params_new(), .shape = shape, .precision = precision, .conv = conv};
    for (int64_t first = 0; first < shape.steps; first += s.segment[s.segments++].steps) {
        Segment *p = &s.segment[s.segments];
        *p = (Segment){.first = first, .steps = steps[s.segments]};
        p->g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN,
                                                        .precision = precision,
                                                        .grad_inputs = true,
                                                        .poison = true,
                                                        .segmented = steps[0] < shape.steps});
        CU_ASSERT_PTR_NOT_NULL_FATAL(p->g);
        build(p, &shape, conv);
    }
    if (!params)
        ASSERT_OK(ls_params_allocate(s.params, 3, true));
    for (int i = 0; i < s.segments; i++) {
        ASSERT_OK(ls_graph_plan(s.segment[i].g));
        CU_ASSERT_EQUAL(s.segment[i].carry[1] != NULL, s.segments > 1);
        fill(&s, &s.segment[i]);
    }
    return s;
}

static void sequence_free(Sequence *s, bool with_params)
{
    for (int i = 0; i < s->segments; i++)
        ls_graph_free(s->segment[i].g);
    if (with_params)
        ls_params_free(s->params);
}

/* The end of `from`, or the gradient of its start, is where `to` starts, or the gradient of its end. */
static void hand_over(const Segment *from, Segment *to, bool gradient)
{
    for (int i = 0; i < 2; i++) {
        const LsTensor *x = from->carry[i], *y = to->carry[i];
        if (x)
            memcpy(gradient ? y->end->grad : y->data, gradient ? x->grad : x->end->data,
                   (size_t)(x->count * ls_graph_element_bytes(from->g, x->dtype)));
    }
}

static void forward_backward(Sequence *s)
{
    const LsRun run = {.seed = 1, .training = true};
    for (int i = 0; i < s->segments; i++) {
        ls_carries_reset(s->segment[i].g);
        if (i > 0)
            hand_over(&s->segment[i - 1], &s->segment[i], false);
        ASSERT_OK(ls_graph_forward(s->segment[i].g, &run));
    }
    for (int i = s->segments - 1; i >= 0; i--) {
        if (i < s->segments - 1)
            hand_over(&s->segment[i + 1], &s->segment[i], true);
        ASSERT_OK(ls_graph_backward(s->segment[i].g, &run, 1, i < s->segments - 1, NULL));
    }
}

static double element(const Sequence *s, const void *x, int64_t i)
{
    return s->precision == LS_FLOAT64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* Largest difference of a tensor (its gradient) of the whole from that of the segments, over the largest magnitude. */
static double difference(const Sequence *segments, const Sequence *whole, int leaf)
{
    double most = 0, largest = 0;
    for (int i = 0; i < segments->segments; i++) {
        const Segment *p = &segments->segment[i];
        const LsTensor *x = leaf < 0 ? p->y : p->leaf[leaf],
                       *judge = leaf < 0 ? whole->segment[0].y : whole->segment[0].leaf[leaf];
        int64_t width = x->dim[2];
        for (int64_t j = 0; j < x->count; j++) {
            int64_t row = j / width,
                    at = (row / p->steps * whole->shape.steps + p->first + row % p->steps) * width + j % width;
            double is = element(segments, leaf < 0 ? x->data : x->grad, j),
                   should = element(whole, leaf < 0 ? judge->data : judge->grad, at);
            most = fabs(is - should) <= most ? most : fabs(is - should);
            largest = fmax(largest, fabs(should));
        }
    }
    CU_ASSERT(largest > 0);
    return most / largest;
}

static double *param_grads(const Sequence *s)
{
    double *sum = ls_alloc_array(s->params->total, sizeof *sum);
    for (int i = 0; i < s->params->count; i++) {
        const LsParam *p = &s->params->list[i];
        for (int64_t j = 0; j < p->count; j++)
            sum[p->offset + j] = (double)s->params->grad[p->offset + j];
    }
    return sum;
}

static void compare(const Sequence *segments, const Sequence *whole, double allowed)
{
    for (int i = -1; i < LEAVES; i++)
        ASSERT_AT_MOST(difference(segments, whole, i), allowed);
    if (segments->precision == LS_FLOAT64)
        /* its parameters' gradients stay in each graph; the inputs' depend on all that goes from segment to segment */
        return;
    double *have = param_grads(segments);
    for (int i = 0; i < segments->params->count; i++) {
        const LsParam *p = &segments->params->list[i];
        double most = 0, largest = 0;
        for (int64_t j = p->offset; j < p->offset + p->count; j++) {
            most = fmax(most, fabs(have[j] - (double)whole->params->grad[j]));
            largest = fmax(largest, fabs((double)whole->params->grad[j]));
        }
        ASSERT_AT_MOST(most, allowed * largest);
    }
    ls_free(have);
}

static void check(Shape shape, LsPrecision precision, const int64_t *steps, double allowed)
{
    Sequence whole = sequence_new(shape, precision, true, (int64_t[]){shape.steps}, NULL);
    Sequence segments = sequence_new(shape, precision, true, steps, NULL);
    CU_ASSERT(segments.segments > 1);
    forward_backward(&whole);
    forward_backward(&segments);
    compare(&segments, &whole, allowed);
    sequence_free(&whole, true);
    sequence_free(&segments, true);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void test_segments(void)
{
    static const int64_t two[] = {40, 57}, three[] = {33, 3, 61}, four[] = {24, 25, 23, 25}, halves[] = {601, 600};
    for (int double_too = 0; double_too < 2; double_too++) {
        LsPrecision precision = double_too ? LS_FLOAT64 : LS_FLOAT32;
        /* some hundred steps are remembered: errors add up like their root */
        double allowed = double_too ? 1e-13 : 100 * 0x1p-24;
        check((Shape){2, 97, 19, 5}, precision, two, allowed);
        check((Shape){2, 97, 19, 5}, precision, three, allowed);
        check((Shape){1, 97, 150, 16}, precision, four, allowed);
        check((Shape){1, 1201, 3, 2}, precision, halves, allowed); /* each half in segments of its time */
    }
}

/* Where segments are whole chunks of the scan, every channel goes through the same operations in the same order: the
 * same bits. */
static void test_same_bits(void)
{
    Shape shape = {1, 160, 150, 6};
    Sequence whole = sequence_new(shape, LS_FLOAT32, false, (int64_t[]){160}, NULL);
    Sequence segments = sequence_new(shape, LS_FLOAT32, false, (int64_t[]){32, 96, 32}, NULL);
    forward_backward(&whole);
    forward_backward(&segments);
    for (int i = -1; i < LEAVES; i++)
        CU_ASSERT_EQUAL(difference(&segments, &whole, i), 0);
    sequence_free(&whole, true);
    sequence_free(&segments, true);
}

/* Two layers that carry, as a subject: gradients of what both start from and end with, and of what lies between. */
static bool build_subject(LsGraph *g, const void *self)
{
    Segment p = {.g = g, .steps = 5};
    (void)self;
    build(&p, &(Shape){.streams = 2, .steps = 5, .channels = 3, .states = 2}, true);
    for (int i = 0; i < LEAVES; i++)
        ls_case_range(g, p.leaf[i], -2, 2);
    for (int i = 0; i < 2; i++)
        ls_case_range(g, p.carry[i], -1, 1);
    return true;
}

static void test_gradient(void)
{
    ASSERT_OK(ls_check_gradient(&(LsSubject){build_subject, NULL, "two that carry", .segmented = true}, 30));
}

/* Dropout draws by the place in the sequence. */
static void test_dropout(void)
{
    enum { STEPS = 24, WIDTH = 7, SEGMENT = 5 };
    float whole[2 * STEPS * WIDTH], segment[2 * SEGMENT * WIDTH];
    for (int pass = 0; pass < 2; pass++) {
        int64_t steps = pass ? SEGMENT : STEPS, different = 0, dropped = 0;
        LsParams *params = ls_params_new();
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true, .segmented = pass});
        CU_ASSERT_PTR_NOT_NULL_FATAL(g);
        LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, steps, WIDTH});
        ls_output(g, "loss", ls_dropout(g, x, 0.4));
        ASSERT_OK(ls_params_allocate(params, 1, true));
        ASSERT_OK(ls_graph_plan(g));
        for (int64_t i = 0; i < x->count; i++)
            ((float *)x->data)[i] = 1;
        for (int64_t first = 0; first + steps <= STEPS; first += steps) {
            ASSERT_OK(
                ls_graph_forward(g, &(LsRun){.seed = 4, .step = 2, .sample = 9, .token = first, .training = true}));
            ls_tensor_get(g, ls_graph_find(g, "loss"), pass ? segment : whole);
            for (int64_t i = 0; pass && i < x->count; i++) {
                int64_t row = i / (steps * WIDTH), at = i % (steps * WIDTH);
                different += segment[i] != whole[(row * STEPS + first) * WIDTH + at];
                dropped += segment[i] == 0;
            }
        }
        CU_ASSERT_EQUAL(different, 0);
        CU_ASSERT_EQUAL(dropped > 50 && dropped < 200, pass == 1);
        ls_graph_free(g);
        ls_params_free(params);
    }
}

static LsStatus plan_segments(bool recurrent, int64_t steps)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL, .segmented = true});
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, steps, 6}),
             *w = ls_param(g, "w", ls_init_constant(1), 2, (int64_t[]){6, 4});
    LsTensor *carry = recurrent ? ls_carry(g, "rows", LS_REAL, 3, (int64_t[]){2, 3, 6}) : NULL;
    ls_output(g, "y", ls_causal_conv(g, x, w, NULL, carry, LS_SILU));
    LsStatus status = ls_params_allocate(params, 1, false);
    if (status == LS_OK)
        status = ls_graph_plan(g);
    CU_ASSERT(status != LS_OK || ls_carries_bytes(g) >= 2 * 3 * 6 * (int64_t)sizeof(float));
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

static void test_refusals(void)
{
    ASSERT_OK(plan_segments(true, 3));
    ASSERT_FAILS(plan_segments(false, 5), LS_USAGE, "causal_conv needs whole sequences");
    ASSERT_FAILS(plan_segments(true, 2), LS_USAGE, "a part of the sequence has 2 tokens, fewer than the 3");
}

int main(void)
{
    return harness_run("segments", (HarnessTest[]){{"segments against the whole", test_segments},
                                                   {"the same bits", test_same_bits},
                                                   {"gradients of carries", test_gradient},
                                                   {"dropout", test_dropout},
                                                   {"refusals", test_refusals},
                                                   {0}});
}
