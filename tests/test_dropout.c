/* Dropout: how much it drops, and that what it drops depends on sample, step, seed and name only. */
#include "harness.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROW = 1000, SAMPLES = 6 };

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
    LsTensor *x, *y;
} Setup;

static Setup setup_new(int64_t samples, double p, const char *scope)
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    ls_push(s.g, "%s", scope);
    s.x = ls_input(s.g, "x", LS_REAL, 2, (int64_t[]){samples, ROW});
    s.y = ls_output(s.g, "loss", ls_dropout(s.g, s.x, p));
    ls_pop(s.g);
    ASSERT_OK(ls_params_allocate(s.params, 1, true));
    ASSERT_OK(ls_graph_plan(s.g));
    return s;
}

static void setup_free(Setup *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
}

/* Ones go in; what comes out, and the gradient of its sum, are both the mask. */
static void run_one(Setup *s, const LsRun *run, float *mask)
{
    for (int64_t i = 0; i < s->x->count; i++)
        ((float *)s->x->data)[i] = 1;
    ASSERT_OK(ls_graph_forward(s->g, run));
    memcpy(mask, s->y->data, (size_t)s->y->count * sizeof(float));
    ASSERT_OK(ls_graph_backward(s->g, run, 1, false, NULL));
    CU_ASSERT_EQUAL(memcmp(mask, s->x->grad, (size_t)s->x->count * sizeof(float)), 0);
}

static void test_share(void)
{
    static const double probabilities[] = {0.1, 0.5, 0.9};
    float mask[SAMPLES * ROW];
    for (size_t k = 0; k < LS_COUNT_OF(probabilities); k++) {
        double p = probabilities[k], dropped = 0, count = SAMPLES * ROW;
        Setup s = setup_new(SAMPLES, p, "a");
        run_one(&s, &(LsRun){.seed = 5, .step = 2, .training = true}, mask);
        for (int64_t i = 0; i < SAMPLES * ROW; i++) {
            dropped += mask[i] == 0;
            CU_ASSERT(mask[i] == 0 || fabs((double)mask[i] * (1 - p) - 1) < 1e-6);
        }
        ASSERT_AT_MOST(fabs(dropped - count * p), 4 * sqrt(count * p * (1 - p)));
        setup_free(&s);
    }
}

static void test_ranks(void)
{
    float whole[SAMPLES * ROW], part[SAMPLES * ROW];
    Setup all = setup_new(SAMPLES, 0.3, "a"), half = setup_new(SAMPLES / 2, 0.3, "a");
    run_one(&all, &(LsRun){.seed = 5, .step = 2, .sample = 40, .training = true}, whole);
    run_one(&half, &(LsRun){.seed = 5, .step = 2, .sample = 40, .training = true}, part);
    run_one(&half, &(LsRun){.seed = 5, .step = 2, .sample = 40 + SAMPLES / 2, .training = true},
            part + SAMPLES / 2 * ROW);
    CU_ASSERT_EQUAL(memcmp(whole, part, sizeof whole), 0);
    setup_free(&all);
    setup_free(&half);
}

/* Masks that must be independent agree in p^2 + (1 - p)^2 of their elements. */
static void test_streams(void)
{
    float masks[5][SAMPLES * ROW];
    Setup a = setup_new(SAMPLES, 0.5, "a"), b = setup_new(SAMPLES, 0.5, "b");
    run_one(&a, &(LsRun){.seed = 5, .step = 2, .training = true}, masks[0]);
    run_one(&a, &(LsRun){.seed = 6, .step = 2, .training = true}, masks[1]);
    run_one(&a, &(LsRun){.seed = 5, .step = 3, .training = true}, masks[2]);
    run_one(&b, &(LsRun){.seed = 5, .step = 2, .training = true}, masks[3]);
    run_one(&a, &(LsRun){.seed = 5, .step = 2, .sample = SAMPLES, .training = true}, masks[4]);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++) {
            double equal = 0, count = SAMPLES * ROW;
            for (int64_t k = 0; k < SAMPLES * ROW; k++)
                equal += masks[i][k] == masks[j][k];
            ASSERT_AT_MOST(fabs(equal - count / 2), 4 * sqrt(count / 4));
        }
    setup_free(&a);
    setup_free(&b);
}

static void test_off(void)
{
    float mask[SAMPLES * ROW];
    Setup s = setup_new(SAMPLES, 0.5, "a");
    run_one(&s, &(LsRun){.seed = 5, .training = false}, mask);
    for (int64_t i = 0; i < SAMPLES * ROW; i++)
        CU_ASSERT_EQUAL(mask[i], 1);
    CU_ASSERT_PTR_EQUAL(ls_dropout(s.g, s.x, 0), s.x);
    setup_free(&s);
}

static void test_range(void)
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_output(s.g, "y", ls_dropout(s.g, ls_input(s.g, "x", LS_REAL, 1, (int64_t[]){3}), 1));
    ASSERT_OK(ls_params_allocate(s.params, 1, true));
    ASSERT_FAILS(ls_graph_plan(s.g), LS_USAGE, "probability 1 is not in [0, 1)");
    setup_free(&s);
}

int main(void)
{
    return harness_run("dropout", (HarnessTest[]){{"drops its share and scales the rest", test_share},
                                                  {"a batch over two ranks", test_ranks},
                                                  {"seed, step, name and sample", test_streams},
                                                  {"off outside training", test_off},
                                                  {"probability out of range", test_range},
                                                  {0}});
}
