/* Ops of convolutional networks against PyTorch's numbers; what they refuse; the same bits for any number of threads;
 * shapes that are passed on without a copy. */
#include "harness.h"
#include "lockstep/graph.h"
#include "lockstep/model.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const LsRun run = {.seed = 1, .training = true};

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
} Setup;

/* Backward starts from the output "loss". */
static Setup setup_new(void (*build)(LsGraph *g))
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    build(s.g);
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_OK(ls_graph_plan(s.g));
    return s;
}

static void setup_free(Setup *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

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

/* loss = r y: the gradient of y is r. */
static void end(LsGraph *g, LsTensor *y)
{
    ls_output(g, "y", y);
    ls_output(g, "loss", ls_mul(g, y, ls_input(g, "r", LS_REAL, y->rank, y->dim)));
}

static void build_conv(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 7, 6, 3});
    LsTensor *w = ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){5, 3, 3, 3});
    end(g, ls_conv2d(g, x, w, ls_param(g, "bias", ls_init_constant(0), 1, (int64_t[]){5}), 2, 1, 1, LS_SILU));
}

static void build_dilated(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 6, 5, 9});
    LsTensor *w = ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){4, 3, 3, 9});
    end(g, ls_conv2d(g, x, w, ls_param(g, "bias", ls_init_constant(0), 1, (int64_t[]){4}), 1, 2, 2, LS_RELU));
}

static void build_transposed(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 3, 4, 5});
    LsTensor *w = ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){5, 4, 4, 3});
    end(g, ls_conv2d_transposed(g, x, w, ls_param(g, "bias", ls_init_constant(0), 1, (int64_t[]){3}), 2, 1));
}

static void build_max(LsGraph *g)
{
    end(g, ls_pool2d(g, ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 7, 6, 5}), LS_POOL_MAX, 3, 2, 1));
}

static void build_mean(LsGraph *g)
{
    end(g, ls_pool2d(g, ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 7, 6, 5}), LS_POOL_MEAN, 3, 2, 1));
}

/* Losses are float whatever the precision, so that r is the upstream gradient itself. */
static void build_squares(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 2, (int64_t[]){3, 7});
    ls_output(g, "y", ls_mean_squared_error(g, x, ls_input(g, "target", LS_ACC, 2, (int64_t[]){3, 7})));
}

static void build_logits(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 2, (int64_t[]){3, 7});
    ls_output(g, "y", ls_binary_cross_entropy_logits(g, x, ls_input(g, "target", LS_ACC, 2, (int64_t[]){3, 7})));
}

static float *data(const Setup *s, const char *name) { return ls_graph_find(s->g, name)->data; }

static void check_fixture(FILE *file, void (*build)(LsGraph *g))
{
    Setup s = setup_new(build);
    read_into(file, "x", ls_graph_find(s.g, "x")->count, data(&s, "x"));
    for (int i = 0; i < s.params->count; i++)
        read_into(file, s.params->list[i].name, s.params->list[i].count, s.params->value + s.params->list[i].offset);
    ls_graph_refresh(s.g);
    ASSERT_OK(ls_graph_forward(s.g, &run));
    LsTensor *y = ls_graph_find(s.g, "y"), *x = ls_graph_find(s.g, "x");
    expect_line(file, "y", y->data, y->count);
    read_into(file, "r", y->count, data(&s, "r"));
    ASSERT_OK(ls_graph_forward(s.g, &run));
    ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
    expect_line(file, "gradient", x->grad, x->count);
    for (int i = 0; i < s.params->count; i++)
        expect_line(file, "gradient", s.params->grad + s.params->list[i].offset, s.params->list[i].count);
    setup_free(&s);
}

static void check_loss(FILE *file, void (*build)(LsGraph *g))
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true, .loss = "y"});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    build(s.g);
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_OK(ls_graph_plan(s.g));
    LsTensor *x = ls_graph_find(s.g, "x"), *target = ls_graph_find(s.g, "target");
    read_into(file, "x", x->count, x->data);
    read_into(file, "target", x->count, target->data);
    for (int64_t i = 0; i < x->count; i += 3)
        ((float *)target->data)[i] = NAN;
    ASSERT_OK(ls_graph_forward(s.g, &run));
    expect_line(file, "y", data(&s, "y"), 1);
    double r = 0;
    read_line(file, "r", 1, &r);
    ASSERT_OK(ls_graph_backward(s.g, &run, r, false, NULL));
    expect_line(file, "gradient", x->grad, x->count);
    for (int64_t i = 0; i < x->count; i += 3)
        CU_ASSERT(((float *)target->grad)[i] == 0);
    setup_free(&s);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/vision.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    check_fixture(file, build_conv);
    check_fixture(file, build_dilated);
    check_fixture(file, build_transposed);
    check_fixture(file, build_max);
    check_fixture(file, build_mean);
    check_loss(file, build_squares);
    check_loss(file, build_logits);
    fclose(file);
}

/* ---- Not a number ------------------------------------------------------------------------------------------------ */

/* A NaN is not lost in a maximum, nor is a picture of nothing but -infinity without one. */
static void test_not_finite(void)
{
    Setup s = setup_new(build_max);
    float *x = data(&s, "x"), *y = data(&s, "y"), *r = data(&s, "r");
    const LsTensor *out = ls_graph_find(s.g, "y");
    for (int64_t i = 0; i < ls_graph_find(s.g, "x")->count; i++)
        x[i] = -INFINITY;
    for (int64_t i = 0; i < out->count; i++)
        r[i] = 1;
    x[0] = NAN;
    ASSERT_OK(ls_graph_forward(s.g, &run));
    CU_ASSERT(isnan(y[0]));
    for (int64_t i = 1; i < out->count; i++)
        CU_ASSERT(isinf(y[i]));
    ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
    double sum = 0;
    for (int64_t i = 0; i < ls_graph_find(s.g, "x")->count; i++)
        sum += (double)((float *)ls_graph_find(s.g, "x")->grad)[i];
    ASSERT_AT_MOST(fabs(sum - (double)out->count), 0);
    setup_free(&s);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

typedef LsTensor *Call(LsGraph *g, LsTensor *x);

static LsTensor *small_picture(LsGraph *g, LsTensor *x)
{
    return ls_conv2d(g, x, ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){1, 7, 7, 3}), NULL, 1, 1, 1,
                     LS_NO_ACTIVATION);
}
static LsTensor *wrong_channels(LsGraph *g, LsTensor *x)
{
    return ls_conv2d(g, x, ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){1, 3, 3, 4}), NULL, 1, 1, 1,
                     LS_NO_ACTIVATION);
}
static LsTensor *no_stride(LsGraph *g, LsTensor *x)
{
    return ls_conv2d(g, x, ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){1, 3, 3, 3}), NULL, 0, 1, 1,
                     LS_NO_ACTIVATION);
}
static LsTensor *no_picture(LsGraph *g, LsTensor *x)
{
    return ls_conv2d_transposed(g, x, ls_param(g, "w", ls_init_constant(0), 4, (int64_t[]){3, 1, 1, 2}), NULL, 1, 2);
}
static LsTensor *much_padding(LsGraph *g, LsTensor *x) { return ls_pool2d(g, x, LS_POOL_MAX, 3, 1, 2); }
static LsTensor *first_of_window(LsGraph *g, LsTensor *x) { return ls_pool2d(g, x, LS_POOL_FIRST, 3, 1, 0); }
static LsTensor *lengths_of_picture(LsGraph *g, LsTensor *x)
{
    return ls_pool_global(g, x, ls_input(g, "lengths", LS_I32, 1, x->dim), LS_POOL_MEAN);
}
static LsTensor *other_count(LsGraph *g, LsTensor *x) { return ls_reshape(g, x, 2, (int64_t[]){-1, 7}); }
static LsTensor *other_target(LsGraph *g, LsTensor *x)
{
    return ls_mean_squared_error(g, x, ls_input(g, "t", LS_REAL, 1, x->dim));
}

static void test_refusals(void)
{
    static const struct {
        Call *call;
        const char *message;
    } list[] = {{small_picture, "smaller than the kernel"},
                {wrong_channels, "does not fit w"},
                {no_stride, "stride 0"},
                {no_picture, "give no picture"},
                {much_padding, "half a window"},
                {first_of_window, "a maximum or a mean"},
                {lengths_of_picture, "do not fit x"},
                {other_count, "do not fill"},
                {other_target, "must have one shape"}};
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        LsParams *params = ls_params_new();
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
        ls_output(g, "y", list[i].call(g, ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 4, 4, 3})));
        ASSERT_FAILS(ls_graph_plan_dry(g), LS_USAGE, list[i].message);
        ls_graph_free(g);
        ls_params_free(params);
    }
}

static void build_lengths(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, 4, 3});
    ls_output(g, "loss", ls_pool_global(g, x, ls_input(g, "lengths", LS_I32, 1, (int64_t[]){2}), LS_POOL_MEAN));
}

static void test_lengths(void)
{
    Setup s = setup_new(build_lengths);
    int32_t *length = ls_graph_find(s.g, "lengths")->data;
    length[0] = 4, length[1] = 5;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "length 5 of sample 1");
    length[1] = 0;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "length 0 of sample 1");
    length[1] = 1;
    for (int i = 0; i < 24; i++)
        data(&s, "x")[i] = (float)i;
    ASSERT_OK(ls_graph_forward(s.g, &run));
    const float expected[] = {4.5f, 5.5f, 6.5f, 12, 13, 14};
    CU_ASSERT(memcmp(data(&s, "loss"), expected, sizeof expected) == 0);
    setup_free(&s);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

/* Every kind of product, large enough for several threads: few filters of few and many channels, a stride, a plain
 * one, and the transpose. */
static void build_large(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 4, (int64_t[]){3, 28, 27, 1});
    LsTensor *w = ls_param(g, "w1", ls_init_normal(0.3), 4, (int64_t[]){16, 5, 5, 1});
    LsTensor *bias = ls_param(g, "bias", ls_init_normal(0.3), 1, (int64_t[]){16});
    x = ls_conv2d(g, x, w, bias, 1, 2, 1, LS_RELU);
    x = ls_pool2d(g, x, LS_POOL_MAX, 2, 2, 0);
    x = ls_conv2d(g, x, ls_param(g, "w2", ls_init_normal(0.3), 4, (int64_t[]){100, 3, 3, 16}), NULL, 2, 1, 1, LS_SILU);
    x = ls_conv2d(g, x, ls_param(g, "w3", ls_init_normal(0.3), 4, (int64_t[]){40, 1, 1, 100}), NULL, 1, 0, 1, LS_RELU);
    x = ls_conv2d_transposed(g, x, ls_param(g, "w4", ls_init_normal(0.3), 4, (int64_t[]){40, 4, 4, 20}), NULL, 2, 1);
    x = ls_conv2d(g, x, ls_param(g, "w5", ls_init_normal(0.3), 4, (int64_t[]){6, 5, 5, 20}), NULL, 1, 2, 1,
                  LS_NO_ACTIVATION);
    ls_output(g, "loss", ls_flatten(g, ls_pool2d(g, x, LS_POOL_MEAN, 3, 2, 1)));
}

static void test_threads(void)
{
    Setup s = setup_new(build_large);
    LsTensor *x = ls_graph_find(s.g, "x"), *loss = ls_graph_find(s.g, "loss");
    for (int64_t i = 0; i < x->count; i++)
        ((float *)x->data)[i] = (float)(i * 7919 % 1000) / 1000 - 0.5f;
    size_t outs = (size_t)loss->count * sizeof(float), ins = (size_t)x->count * sizeof(float),
           grads = (size_t)s.params->total * sizeof(float);
    char *first = NULL;
    int before = ls_threads();
    for (int threads = 1; threads <= 5; threads += 2) {
        ls_set_threads(threads);
        ASSERT_OK(ls_graph_forward(s.g, &run));
        char *now = ls_alloc(outs + ins + grads);
        memcpy(now, loss->data, outs);
        ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
        memcpy(now + outs, x->grad, ins);
        memcpy(now + outs + ins, s.params->grad, grads);
        CU_ASSERT(!first || memcmp(first, now, outs + ins + grads) == 0);
        if (first)
            ls_free(now);
        else
            first = now;
    }
    ls_set_threads(before);
    ls_free(first);
    setup_free(&s);
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

static void build_shapes(LsGraph *g)
{
    LsTensor *x = ls_pool2d(g, ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 30, 40, 5}), LS_POOL_MEAN, 1, 1, 0);
    LsTensor *y = ls_flatten(g, x);
    CU_ASSERT(y->rank == 2 && y->dim[0] == 2 && y->dim[1] == 6000);
    ls_output(g, "loss", ls_gelu(g, ls_reshape(g, y, 3, (int64_t[]){-1, 40, 5}), false));
}

static void build_no_shapes(LsGraph *g)
{
    LsTensor *x = ls_pool2d(g, ls_input(g, "x", LS_REAL, 4, (int64_t[]){2, 30, 40, 5}), LS_POOL_MEAN, 1, 1, 0);
    ls_output(g, "loss", ls_gelu(g, x, false));
}

/* Nobody else reads what is reshaped: its memory goes on under another shape. */
static void test_shapes(void)
{
    Setup s = setup_new(build_shapes), without = setup_new(build_no_shapes);
    int64_t bytes = ls_graph_memory(s.g).activations, least = ls_graph_memory(without.g).activations;
    CU_ASSERT(bytes <= least);
    setup_free(&s);
    setup_free(&without);
}

int main(void)
{
    return harness_run("vision", (HarnessTest[]){{"PyTorch's numbers", test_pytorch},
                                                 {"what is not finite", test_not_finite},
                                                 {"refusals", test_refusals},
                                                 {"lengths", test_lengths},
                                                 {"same bits for any number of threads", test_threads},
                                                 {"shapes without a copy", test_shapes},
                                                 {0}});
}
