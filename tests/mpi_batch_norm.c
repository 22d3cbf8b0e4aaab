/* Batch norm over the ranks, each with its share of the batch, against PyTorch on the whole: results, gradients,
 * running values after each of two steps, evaluation. The running values are the same bits on every rank, also of an op
 * that is told to be made again where possible, in more micro-batches than one. */
#include "harness_mpi.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 12,
    ROWS = 6,
    C = 5,
    STEPS = 2
}; /* 1 to 4 ranks divide the batch; ROWS: numbers a channel of a sample */

static int64_t samples(void) { return BATCH / comm->size; }

/* The next line of the fixture, which must be called `name`: `count` numbers. */
static void read_line(FILE *file, const char *name, int64_t count, double *to)
{
    char found[32];
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "%31s", found), 1);
    CU_ASSERT_STRING_EQUAL_FATAL(found, name);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%la", &to[i]), 1);
}

/* The part of the line that this rank's samples have, or (shared) the whole. */
static void read_into(FILE *file, const char *name, bool shared, float *to)
{
    double values[BATCH * ROWS * C];
    read_line(file, name, shared ? C : BATCH * ROWS * C, values);
    const double *own = values + (shared ? 0 : comm->rank * samples() * ROWS * C);
    for (int64_t i = 0; i < (shared ? C : samples() * ROWS * C); i++)
        to[i] = (float)own[i];
}

static void expect(FILE *file, const char *name, bool shared, const float *x)
{
    float expected[BATCH * ROWS * C], largest = 0;
    int64_t count = shared ? C : samples() * ROWS * C;
    read_into(file, name, shared, expected);
    for (int64_t i = 0; i < count; i++)
        largest = fmaxf(largest, fabsf(expected[i]));
    for (int64_t i = 0; i < count; i++)
        ASSERT_AT_MOST((double)fabsf(x[i] - expected[i]), 64 * 0x1p-24 * (double)largest);
}

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
    LsTensor *x, *r, *y;
} Setup;

/* loss = r y */
static Setup setup_new(LsParams *params, LsGraphOptions options, int64_t batch)
{
    options.comm = comm;
    options.poison = options.grad_inputs = true;
    Setup s = {.params = params, .g = ls_graph_new(params, &options)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    int64_t dim[] = {batch, 3, 2, C}, c = C;
    s.x = ls_input(s.g, "x", LS_REAL, 4, dim);
    s.r = ls_input(s.g, "r", LS_REAL, 4, dim);
    s.y = ls_batch_norm(s.g, s.x, ls_param_flags(s.g, "scale", ls_init_constant(1), LS_PRECISE, 1, &c),
                        ls_param_flags(s.g, "bias", ls_init_constant(0), LS_PRECISE, 1, &c),
                        ls_running(s.g, "mean", ls_init_constant(0), 1, &c),
                        ls_running(s.g, "variance", ls_init_constant(1), 1, &c), 1e-5, 0.1);
    ls_output(s.g, "y", s.y);
    ls_output(s.g, "loss", ls_mul(s.g, s.y, s.r));
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 1, true));
    ASSERT_OK(ls_graph_plan(s.g));
    return s;
}

static float *value_of(const LsParams *params, const char *name)
{
    return params->value + params->list[ls_params_find(params, name)].offset;
}

static void expect_gradient(FILE *file, const char *name, const LsParams *params, const char *parameter)
{
    float sum[C];
    memcpy(sum, params->grad + params->list[ls_params_find(params, parameter)].offset, sizeof sum);
    ASSERT_OK(comm->allreduce_float(comm, sum, C));
    expect(file, name, true, sum);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/batch_norm.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    LsParams *params = ls_params_new();
    LsRun run = {.training = true, .comm = comm};
    Setup train = setup_new(params, (LsGraphOptions){.mode = LS_TRAIN}, samples());
    Setup eval = setup_new(params, (LsGraphOptions){.mode = LS_EVAL}, samples());
    read_into(file, "scale", true, value_of(params, "scale"));
    read_into(file, "bias", true, value_of(params, "bias"));
    for (int step = 0; step < STEPS; step++) {
        read_into(file, "x", false, train.x->data);
        read_into(file, "r", false, train.r->data);
        ASSERT_OK(ls_graph_forward(train.g, &run));
        expect(file, "y", false, train.y->data);
        ASSERT_OK(ls_graph_backward(train.g, &run, 1, false, NULL));
        expect(file, "dx", false, train.x->grad);
        expect_gradient(file, "dscale", params, "scale");
        expect_gradient(file, "dbias", params, "bias");
        ASSERT_OK(ls_running_update(train.g, comm, 1));
        expect(file, "mean", true, value_of(params->running, "mean"));
        expect(file, "variance", true, value_of(params->running, "variance"));
    }
    read_into(file, "x", false, eval.x->data);
    read_into(file, "r", false, eval.r->data);
    ASSERT_OK(ls_graph_forward(eval.g, &(LsRun){.comm = comm}));
    expect(file, "y", false, eval.y->data);
    ls_graph_free(train.g);
    ls_graph_free(eval.g);
    ls_params_free(params);
    fclose(file);
}

/* Values of each sample from its number. */
static void fill(const Setup *s, int64_t first)
{
    for (int64_t i = 0; i < s->x->count; i++) {
        uint64_t at = (uint64_t)(first * ROWS * C + i);
        ((float *)s->x->data)[i] = 3 * ls_uniform_at(1, 0, at) - 1;
        ((float *)s->r->data)[i] = ls_uniform_at(2, 0, at);
    }
}

static void running_after(LsGraphOptions options, float *to)
{
    LsParams *params = ls_params_new();
    options.mode = LS_TRAIN;
    Setup s = setup_new(params, options, 2);
    LsRun run = {.training = true, .comm = comm};
    int64_t micro_batches = 3;
    for (int64_t i = 0; i < micro_batches; i++) {
        fill(&s, (comm->rank * micro_batches + i) * 2);
        ASSERT_OK(ls_graph_forward(s.g, &run));
        ASSERT_OK(ls_graph_backward(s.g, &run, 1, i > 0, NULL));
    }
    ASSERT_OK(ls_running_update(s.g, comm, micro_batches));
    memcpy(to, value_of(params->running, "mean"), sizeof(float) * C);
    memcpy(to + C, value_of(params->running, "variance"), sizeof(float) * C);
    ls_graph_free(s.g);
    ls_params_free(params);
}

static void test_same_everywhere(void)
{
    float own[2 * C], first[2 * C], again[2 * C];
    running_after((LsGraphOptions){0}, own);
    running_after((LsGraphOptions){.recompute_all = true}, again);
    CU_ASSERT_EQUAL(memcmp(own, again, sizeof own), 0);
    memcpy(first, own, sizeof own);
    ASSERT_OK(comm->broadcast(comm, first, sizeof first, 0));
    CU_ASSERT_EQUAL(memcmp(own, first, sizeof own), 0);
    for (int c = 0; c < C; c++)
        CU_ASSERT(own[c] > 0.01f && own[c] < 0.1f && own[C + c] > 0.9f && own[C + c] < 1);
}

int main(int argc, char **argv)
{
    return harness_run_mpi(argc, argv, "batch norm",
                           (HarnessTest[]){{"PyTorch, over the ranks", test_pytorch},
                                           {"the same on every rank", test_same_everywhere},
                                           {0}});
}
