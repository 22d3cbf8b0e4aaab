/* The forward and backward pass of a perceptron with one hidden layer by hand: three inputs, four hidden units, two
 * classes.
 *
 *     z1 = W1 a0 + b1 = (0.68, 0.84, 1.72, 1.16), a1 = relu(z1) = z1, z2 = W2 a1 + b2 = (2.972, 2.632)
 *
 * A text that works this example out gives 0.95 as the first hidden value: it slips. 0.2 1 + 0.4 0.5 + 0.6 0.3 + 0.1
 * is 0.68. */
#include "harness.h"
#include "config/config.h"

#include <math.h>
#include <string.h>

static const float w1[] = {0.2f, 0.4f, 0.6f, 0.5f, 0.1f, 0.3f, 0.8f, 0.7f, 0.9f, 0.3f, 0.5f, 0.7f};
static const float b1[] = {0.1f, 0.2f, 0.3f, 0.4f}, w2[] = {0.3f, 0.5f, 0.7f, 0.9f, 0.2f, 0.4f, 0.6f, 0.8f};
static const float b2[] = {0.1f, 0.2f}, a0[] = {1, 0.5f, 0.3f};
static const double a1[] = {0.68, 0.84, 1.72, 1.16}, z2[] = {2.972, 2.632};

static void put(const LsParams *params, const char *name, const float *value)
{
    int index = ls_params_find(params, name);
    CU_ASSERT_FATAL(index >= 0);
    memcpy(params->value + params->list[index].offset, value, (size_t)params->list[index].count * sizeof *value);
}

static const float *gradient(const LsParams *params, const char *name)
{
    return params->grad + params->list[ls_params_find(params, name)].offset;
}

static void test_by_hand(void)
{
    LsConfig *config = ls_config_parse("mlp",
                                       "model: {kind: mlp, layers: 1, width: 4}\ntask: {kind: classification}\n"
                                       "data: {fields: \"values 3, label of 2\"}",
                                       0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(config, g, 1, 1, LS_WANT_LOSS);
    ASSERT_OK(ls_params_allocate(params, 1, true));
    LsGraph *says = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_config_build(config, says, 1, 1, LS_WANT_OUTPUT);
    put(params, "layer.0.dense.weight", w1);
    put(params, "layer.0.dense.bias", b1);
    put(params, "head.weight", w2);
    put(params, "head.bias", b2);
    ASSERT_OK(ls_graph_plan(g));
    ASSERT_OK(ls_graph_plan(says));

    float output[2], loss;
    ls_tensor_set(says, ls_graph_find(says, "values"), a0);
    ASSERT_OK(ls_graph_forward(says, &(LsRun){0}));
    ls_tensor_get(says, ls_graph_find(says, "output"), output);
    for (int i = 0; i < 2; i++)
        ASSERT_AT_MOST(fabs((double)output[i] - z2[i]), 1e-6);

    /* p = softmax(z2), class 1: L = -log p1, d2 = p - (0, 1), dW2 = d2 a1^T, d1 = W2^T d2, dW1 = d1 a0^T */
    double p0 = 1 / (1 + exp(z2[1] - z2[0])), d2[] = {p0, -p0};
    ls_tensor_set(g, ls_graph_find(g, "values"), a0);
    *(int32_t *)ls_graph_find(g, "label")->data = 1;
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.training = true}));
    ASSERT_OK(ls_graph_backward(g, &(LsRun){.training = true}, 1, false, NULL));
    ls_tensor_get(g, ls_graph_find(g, "loss"), &loss);
    ASSERT_AT_MOST(fabs((double)loss + log(1 - p0)), 1e-6);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            ASSERT_AT_MOST(fabs((double)gradient(params, "head.weight")[4 * i + j] - d2[i] * a1[j]), 1e-6);
    for (int j = 0; j < 4; j++) {
        double d1 = d2[0] * (double)w2[j] + d2[1] * (double)w2[4 + j];
        ASSERT_AT_MOST(fabs((double)gradient(params, "layer.0.dense.bias")[j] - d1), 1e-6);
        for (int k = 0; k < 3; k++)
            ASSERT_AT_MOST(fabs((double)gradient(params, "layer.0.dense.weight")[3 * j + k] - d1 * (double)a0[k]),
                           1e-6);
    }
    ls_graph_free(says);
    ls_graph_free(g);
    ls_params_free(params);
    ls_config_free(config);
}

int main(void) { return harness_run("mlp", (HarnessTest[]){{"a hidden layer by hand", test_by_hand}, {0}}); }
