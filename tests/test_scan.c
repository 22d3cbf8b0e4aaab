/* The selective scan and the causal convolution as models use them: against PyTorch's numbers; in one piece, in several
 * and token by token with their states; over parts of the time against in sequence; for any number of threads; over
 * long sequences. */
#include "harness.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const LsRun run = {.seed = 1, .training = true};

/* ---- Graphs of one op -------------------------------------------------------------------------------------------- */

typedef struct Shape {
    int64_t streams, steps, channels, states;
} Shape;

/* The op's result is output "y", and in training "loss" is its product with the input "r". */
typedef struct Setup {
    LsParams *params;
    LsGraph *g;
    Shape shape;
} Setup;

enum { TAPS = 4 };

static void build_scan(LsGraph *g, const Shape *s)
{
    int64_t b = s->streams, t = s->steps, e = s->channels, n = s->states;
    bool decodes = ls_graph_mode(g) == LS_DECODE;
    LsTensor *u = ls_input(g, "u", LS_REAL, 3, (int64_t[]){b, t, e}),
             *delta = ls_input(g, "delta", LS_REAL, 3, (int64_t[]){b, t, e});
    LsTensor *bc = ls_input(g, "bc", LS_REAL, 3, (int64_t[]){b, t, 2 * n}),
             *z = ls_input(g, "xz", LS_REAL, 3, (int64_t[]){b, t, 2 * e});
    LsTensor *bias = ls_param_flags(g, "delta_bias", ls_init_uniform(-4, -1), LS_PRECISE, 1, &e);
    LsTensor *a = ls_param_flags(g, "a_log", ls_init_uniform(-1, 2.7), LS_PRECISE, 2, (int64_t[]){e, n});
    LsTensor *d = ls_param_flags(g, "d", ls_init_uniform(-1, 1), LS_PRECISE, 1, &e);
    LsTensor *state = decodes ? ls_state(g, "state", LS_ACC, 3, (int64_t[]){b, n, e}) : NULL;
    ls_output(g, "y", ls_selective_scan(g, u, delta, bias, a, bc, d, z, state));
}

static void build_conv(LsGraph *g, const Shape *s)
{
    int64_t b = s->streams, t = s->steps, e = s->channels;
    bool decodes = ls_graph_mode(g) == LS_DECODE;
    LsTensor *x = ls_input(g, "xz", LS_REAL, 3, (int64_t[]){b, t, 2 * e});
    LsTensor *w = ls_param(g, "w", ls_init_uniform(-1, 1), 2, (int64_t[]){e, TAPS}),
             *bias = ls_param(g, "bias", ls_init_uniform(-1, 1), 1, &e);
    LsTensor *state = decodes ? ls_state(g, "state", LS_REAL, 3, (int64_t[]){b, TAPS - 1, e}) : NULL;
    ls_output(g, "y", ls_causal_conv(g, x, w, bias, state, LS_SILU));
}

typedef void (*Build)(LsGraph *g, const Shape *shape);

/* Parameters are the setup's own, or `params` where it is given. `states`: the setup whose states it shares, or
 * NULL. */
static Setup setup_new(Build build, Shape shape, LsGraphOptions options, LsParams *params, const Setup *states)
{
    Setup s = {.params = params ? params : ls_params_new(), .shape = shape};
    options.grad_inputs = options.mode == LS_TRAIN;
    s.g = ls_graph_new(s.params, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    build(s.g, &shape);
    if (options.mode == LS_TRAIN) {
        LsTensor *y = ls_graph_find(s.g, "y");
        ls_output(s.g, "loss", ls_mul(s.g, y, ls_input(s.g, "r", LS_REAL, y->rank, y->dim)));
    }
    if (!params)
        ASSERT_OK(ls_params_allocate(s.params, 3, true));
    if (states)
        ASSERT_OK(ls_graph_share_states(s.g, states->g));
    ASSERT_OK(ls_graph_plan(s.g));
    return s;
}

static void setup_free(Setup *s, bool with_params)
{
    ls_graph_free(s->g);
    if (with_params)
        ls_params_free(s->params);
}

static const char *const inputs[] = {"u", "delta", "bc", "xz", "r", NULL};

static float *data(const Setup *s, const char *name)
{
    LsTensor *x = ls_graph_find(s->g, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    return x->data;
}

/* Rows `first` to first + steps of an input of `total` steps, drawn by name and place. */
static void fill(const Setup *s, int64_t total, int64_t first)
{
    for (const char *const *name = inputs; *name; name++) {
        LsTensor *x = ls_graph_find(s->g, *name);
        if (!x)
            continue;
        int64_t width = x->dim[2], steps = x->dim[1];
        for (int64_t i = 0; i < x->count; i++) {
            int64_t row = i / width, at = (row / steps * total + first + row % steps) * width + i % width;
            ((float *)x->data)[i] = 4 * ls_uniform_at(ls_key(5, *name), 0, (uint64_t)at) - 2;
        }
    }
}

static void forward_backward(const Setup *s)
{
    ASSERT_OK(ls_graph_forward(s->g, &run));
    ASSERT_OK(ls_graph_backward(s->g, &run, 1, false, NULL));
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

/* The next line of the fixture, which must be called `name`: `count` numbers. */
static void read_line(FILE *file, const char *name, int64_t count, double *to)
{
    char found[32];
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "%31s", found), 1);
    CU_ASSERT_STRING_EQUAL_FATAL(found, name);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%la", &to[i]), 1);
}

static void read_into(FILE *file, const char *name, int64_t count, float *to)
{
    double *values = ls_alloc_array(count, sizeof *values);
    read_line(file, name, count, values);
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)values[i];
    ls_free(values);
}

/* Float against double: 64 units of rounding of the largest. */
static void expect_line(FILE *file, const char *name, const float *x, int64_t count)
{
    double *expected = ls_alloc_array(count, sizeof *expected), largest = 0;
    read_line(file, name, count, expected);
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < count; i++)
        ASSERT_AT_MOST(fabs((double)x[i] - expected[i]), 64 * 0x1p-24 * largest);
    ls_free(expected);
}

static const float *param_grad(const Setup *s, const char *name, int64_t *count)
{
    int i = ls_params_find(s->params, name);
    CU_ASSERT_FATAL(i >= 0);
    *count = s->params->list[i].count;
    return s->params->grad + s->params->list[i].offset;
}

static void check_fixture(FILE *file, Build build, const char *result, const char *const *leaves)
{
    Shape shape = {2, 37, 5, 3};
    Setup s = setup_new(build, shape, (LsGraphOptions){.mode = LS_TRAIN}, NULL, NULL);
    Setup decoding = setup_new(build, shape, (LsGraphOptions){.mode = LS_DECODE}, s.params, NULL);
    for (const char *const *name = leaves; *name; name++) {
        LsTensor *x = ls_graph_find(s.g, *name);
        int p = ls_params_find(s.params, *name);
        float *to = x ? x->data : s.params->value + s.params->list[p].offset;
        int64_t count = x ? x->count : s.params->list[p].count;
        read_into(file, *name, count, to);
        if (x)
            memcpy(data(&decoding, *name), to, (size_t)count * sizeof(float));
    }
    read_into(file, "r", ls_graph_find(s.g, "y")->count, data(&s, "r"));
    ls_graph_refresh(s.g);
    forward_backward(&s);
    expect_line(file, result, data(&s, "y"), ls_graph_find(s.g, "y")->count);
    if (build == build_scan) {
        ASSERT_OK(ls_graph_forward(decoding.g, &run));
        LsTensor *state = ls_graph_state(decoding.g, 0);
        expect_line(file, "state", state->data, state->count);
    }
    for (const char *const *name = leaves; *name; name++) {
        LsTensor *x = ls_graph_find(s.g, *name);
        int64_t count = x ? x->count : 0;
        const float *grad = x ? x->grad : param_grad(&s, *name, &count);
        expect_line(file, "gradient", grad, count);
    }
    setup_free(&decoding, false);
    setup_free(&s, true);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/scan.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    check_fixture(file, build_scan, "scan",
                  (const char *const[]){"u", "delta", "delta_bias", "a_log", "bc", "d", "xz", NULL});
    check_fixture(file, build_conv, "conv", (const char *const[]){"xz", "w", "bias", NULL});
    fclose(file);
}

/* ---- States ------------------------------------------------------------------------------------------------------ */

/* The whole at once, then in these pieces: the same bits, as every channel goes through the same operations in the same
 * order. */
static void check_pieces(Build build, Shape shape, const int64_t *pieces)
{
    Setup whole = setup_new(build, shape, (LsGraphOptions){.mode = LS_DECODE}, NULL, NULL);
    fill(&whole, shape.steps, 0);
    ASSERT_OK(ls_graph_forward(whole.g, &run));
    int64_t row = shape.channels, first = 0, different = 0;
    float *expected = ls_alloc_array(shape.streams * shape.steps * row, sizeof *expected);
    memcpy(expected, data(&whole, "y"), (size_t)(shape.streams * shape.steps * row) * sizeof(float));
    LsTensor *state = ls_graph_state(whole.g, 0);
    float *last = ls_alloc_array(state->count, sizeof *last);
    memcpy(last, state->data, (size_t)state->count * sizeof(float));
    ls_graph_reset_states(whole.g);
    for (int i = 0; first < shape.steps; first += pieces[i++]) {
        Shape part = shape;
        part.steps = pieces[i];
        Setup s = setup_new(build, part, (LsGraphOptions){.mode = LS_DECODE}, whole.params, &whole);
        fill(&s, shape.steps, first);
        ASSERT_OK(ls_graph_forward(s.g, &run));
        for (int64_t b = 0; b < shape.streams; b++)
            different += memcmp(data(&s, "y") + b * part.steps * row, expected + (b * shape.steps + first) * row,
                                (size_t)(part.steps * row) * sizeof(float)) != 0;
        setup_free(&s, false);
    }
    CU_ASSERT_EQUAL(first, shape.steps);
    CU_ASSERT_EQUAL(different, 0);
    CU_ASSERT_EQUAL(memcmp(last, state->data, (size_t)state->count * sizeof(float)), 0);
    ls_free(expected);
    ls_free(last);
    setup_free(&whole, true);
}

static void test_states(void)
{
    static const int64_t single[] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, mixed[] = {20, 1, 2, 40, 1, 33};
    for (int i = 0; i < 2; i++) {
        Build build = i ? build_conv : build_scan;
        check_pieces(build, (Shape){2, 9, 19, 16}, single);
        check_pieces(build, (Shape){3, 97, 150, 5}, mixed);
        check_pieces(build, (Shape){1, 97, 16, 16}, mixed);
    }
}

/* ---- Parts of the time ------------------------------------------------------------------------------------------- */

/* Largest difference over the largest magnitude. */
static double difference(const float *a, const float *b, int64_t count)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        most = d <= most ? most : d;
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}

/* One stream of few channels is cut into parts of its time; eight streams are not. The first of eight, made equal, must
 * agree. */
static void test_parts_of_time(void)
{
    Shape one = {1, 3000, 7, 16}, eight = one;
    eight.streams = 8;
    Setup parts = setup_new(build_scan, one, (LsGraphOptions){.mode = LS_TRAIN}, NULL, NULL);
    fill(&parts, one.steps, 0);
    forward_backward(&parts);
    Setup sequence = setup_new(build_scan, eight, (LsGraphOptions){.mode = LS_TRAIN}, NULL, NULL);
    /* its first stream's values are those of the one; the others weigh nothing in the loss */
    fill(&sequence, one.steps, 0);
    for (const char *const *name = inputs; *name; name++) {
        LsTensor *x = ls_graph_find(parts.g, *name);
        memcpy(data(&sequence, *name), x->data, (size_t)x->count * sizeof(float));
        if (strcmp(*name, "r") == 0)
            memset(data(&sequence, "r") + x->count, 0, (size_t)(7 * x->count) * sizeof(float));
    }
    forward_backward(&sequence);
    /* Some hundred steps are remembered: errors of a step, 2^-24 each, add up like their square root. */
    const double allowed = 100 * 0x1p-24;
    LsTensor *y = ls_graph_find(parts.g, "y");
    ASSERT_AT_MOST(difference(y->data, data(&sequence, "y"), y->count), allowed);
    /* they did take different ways */
    CU_ASSERT(memcmp(y->data, data(&sequence, "y"), (size_t)y->count * sizeof(float)) != 0);
    for (const char *const *name = inputs; *name; name++) {
        LsTensor *x = ls_graph_find(parts.g, *name);
        ASSERT_AT_MOST(difference(x->grad, ls_graph_find(sequence.g, *name)->grad, x->count), allowed);
    }
    for (int i = 0; i < parts.params->count; i++) {
        int64_t at = parts.params->list[i].offset;
        ASSERT_AT_MOST(difference(parts.params->grad + at, sequence.params->grad + at, parts.params->list[i].count),
                       allowed);
    }
    setup_free(&parts, true);
    setup_free(&sequence, true);
}

/* ---- Threads, length --------------------------------------------------------------------------------------------- */

/* FNV-1a of a tensor's or array's floats, continued from `hash`. */
static uint64_t digest(uint64_t hash, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
    }
    return hash;
}

static uint64_t result_with(Build build, Shape shape, int threads)
{
    int keep = ls_threads();
    ls_set_threads(threads);
    Setup s = setup_new(build, shape, (LsGraphOptions){.mode = LS_TRAIN}, NULL, NULL);
    fill(&s, shape.steps, 0);
    forward_backward(&s);
    uint64_t hash = digest(14695981039346656037u, data(&s, "y"), ls_graph_find(s.g, "y")->count);
    for (const char *const *name = inputs; *name; name++) {
        LsTensor *x = ls_graph_find(s.g, *name);
        if (x)
            hash = digest(hash, x->grad, x->count);
    }
    hash = digest(hash, s.params->grad, s.params->total);
    setup_free(&s, true);
    ls_set_threads(keep);
    return hash;
}

static void test_threads(void)
{
    static const Shape shapes[] = {{3, 100, 300, 16}, {1, 700, 40, 6}, {40, 33, 17, 4}};
    for (size_t i = 0; i < LS_COUNT_OF(shapes); i++)
        for (int k = 0; k < 2; k++) {
            Build build = k ? build_conv : build_scan;
            uint64_t one = result_with(build, shapes[i], 1);
            for (int threads = 2; threads <= 5; threads++)
                CU_ASSERT_EQUAL(result_with(build, shapes[i], threads), one);
        }
}

/* The plain loop in float stores h in float as the fast one does: both are as far from exact, at any length. */
static void test_long(void)
{
    Shape shape = {1, 30000, 3, 2};
    Setup fast = setup_new(build_scan, shape, (LsGraphOptions){.mode = LS_DECODE}, NULL, NULL);
    Setup plain =
        setup_new(build_scan, shape, (LsGraphOptions){.mode = LS_DECODE, .reference = true}, fast.params, NULL);
    fill(&fast, shape.steps, 0);
    fill(&plain, shape.steps, 0);
    ASSERT_OK(ls_graph_forward(fast.g, &run));
    ASSERT_OK(ls_graph_forward(plain.g, &run));
    ASSERT_AT_MOST(difference(data(&fast, "y"), data(&plain, "y"), ls_graph_find(fast.g, "y")->count), 100 * 0x1p-24);
    setup_free(&plain, false);
    setup_free(&fast, true);
}

/* ---- Shapes that do not fit -------------------------------------------------------------------------------------- */

static LsStatus plan_with(int64_t delta_steps, int64_t bc_width, int64_t z_width, int64_t state_channels)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE});
    int64_t e = 6, n = 4;
    ls_selective_scan(g, ls_input(g, "u", LS_REAL, 3, (int64_t[]){2, 5, e}),
                      ls_input(g, "delta", LS_REAL, 3, (int64_t[]){2, delta_steps, e}),
                      ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE, 1, &e),
                      ls_param_flags(g, "a", ls_init_constant(0), LS_PRECISE, 2, (int64_t[]){e, n}),
                      ls_input(g, "bc", LS_REAL, 3, (int64_t[]){2, 5, bc_width}),
                      ls_param_flags(g, "d", ls_init_constant(0), LS_PRECISE, 1, &e),
                      ls_input(g, "z", LS_REAL, 3, (int64_t[]){2, 5, z_width}),
                      ls_state(g, "h", LS_ACC, 3, (int64_t[]){2, n, state_channels}));
    LsStatus status = ls_params_allocate(params, 1, false);
    if (status == LS_OK)
        status = ls_graph_plan(g);
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

static LsStatus plan_conv_with(int64_t x_width, int64_t bias_width, int64_t state_steps, LsActivation activation)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE});
    ls_causal_conv(g, ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, 5, x_width}),
                   ls_param(g, "w", ls_init_constant(0), 2, (int64_t[]){6, 4}),
                   ls_param(g, "bias", ls_init_constant(0), 1, &bias_width),
                   ls_state(g, "h", LS_REAL, 3, (int64_t[]){2, state_steps, 6}), activation);
    LsStatus status = ls_params_allocate(params, 1, false);
    if (status == LS_OK)
        status = ls_graph_plan(g);
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

static void test_wrong_shapes(void)
{
    ASSERT_OK(plan_with(5, 8, 6, 6));
    ASSERT_FAILS(plan_with(4, 8, 6, 6), LS_USAGE, "delta (2, 4, 6) must have the shape of u (2, 5, 6)");
    ASSERT_FAILS(plan_with(5, 7, 6, 6), LS_USAGE, "bc (2, 5, 7)");
    ASSERT_FAILS(plan_with(5, 8, 5, 6), LS_USAGE, "z (2, 5, 5)");
    ASSERT_FAILS(plan_with(5, 8, 6, 7), LS_USAGE, "state (2, 4, 7)");
    ASSERT_OK(plan_conv_with(6, 6, 3, LS_SILU));
    ASSERT_FAILS(plan_conv_with(5, 6, 3, LS_SILU), LS_USAGE, "x (2, 5, 5) does not fit w (6, 4)");
    ASSERT_FAILS(plan_conv_with(6, 5, 3, LS_SILU), LS_USAGE, "bias (5)");
    ASSERT_FAILS(plan_conv_with(6, 6, 4, LS_SILU), LS_USAGE, "state (2, 4, 6)");
    ASSERT_FAILS(plan_conv_with(6, 6, 3, LS_GELU), LS_USAGE, "activation");
}

int main(void)
{
    return harness_run("scan", (HarnessTest[]){{"PyTorch's numbers", test_pytorch},
                                               {"whole, in pieces, token by token", test_states},
                                               {"parts of the time against in sequence", test_parts_of_time},
                                               {"the same bits for any number of threads", test_threads},
                                               {"long against plain", test_long},
                                               {"wrong shapes", test_wrong_shapes},
                                               {0}});
}
