/* Running values: where they live, what moves them and what does not; batch norm's part of it. */
#include "harness.h"
#include "graph/graph_internal.h"
#include "lockstep/ops.h"

#include <math.h>
#include <string.h>

enum { ROWS = 8, C = 20, LAYERS = 2 };

static const LsRun run = {.training = true};

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
} Setup;

/* Two layers, each linear, norm and activation. */
static void build(LsGraph *g)
{
    int64_t c = C;
    LsTensor *x = ls_input(g, "x", LS_REAL, 2, (int64_t[]){ROWS, C});
    for (int i = 0; i < LAYERS; i++) {
        ls_push(g, "layer.%d", i);
        LsTensor *w = ls_param(g, "w", ls_init_normal(0.4), 2, (int64_t[]){C, C});
        LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE, 1, &c);
        LsTensor *mean = ls_running(g, "mean", ls_init_constant(0), 1, &c),
                 *variance = ls_running(g, "variance", ls_init_constant(1), 1, &c);
        x = ls_linear(g, ls_tanh(g, x), w, NULL, LS_NO_ACTIVATION);
        x = ls_tanh(g, ls_batch_norm(g, x, scale, NULL, mean, variance, 1e-5, 0.1));
        ls_pop(g);
    }
    ls_output(g, "y", x);
    ls_output(g, "loss", ls_silu(g, x));
}

static void fill(Setup *s, int batch)
{
    float x[ROWS * C];
    for (int i = 0; i < ROWS * C; i++)
        x[i] = ls_normal_at(7, (uint64_t)batch, (uint64_t)i);
    ls_tensor_set(s->g, ls_graph_find(s->g, "x"), x);
}

/* A graph on params, or on new ones. */
static Setup setup_new(LsParams *params, LsGraphOptions options)
{
    Setup s = {.params = params ? params : ls_params_new()};
    options.poison = true;
    s.g = ls_graph_new(s.params, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    build(s.g);
    if (!s.params->sealed)
        ASSERT_OK(ls_params_allocate(s.params, 5, true));
    ASSERT_OK(ls_graph_plan(s.g));
    fill(&s, 0);
    return s;
}

static void setup_free(Setup *s, bool with_params)
{
    ls_graph_free(s->g);
    if (with_params)
        ls_params_free(s->params);
}

static const LsNode *norm_of(const Setup *s, int layer)
{
    for (int n = 0; n < s->g->nodes; n++)
        if (strcmp(s->g->node[n]->op->name, "batch_norm") == 0 && layer-- == 0)
            return s->g->node[n];
    CU_FAIL_FATAL("no such layer");
    return NULL;
}

static float *value_of(const LsParams *params, const char *name)
{
    int i = ls_params_find(params->running, name);
    CU_ASSERT_FATAL(i >= 0);
    return params->running->value + params->running->list[i].offset;
}

static void step(Setup *s, int micro_batches)
{
    for (int i = 0; i < micro_batches; i++) {
        fill(s, i);
        ASSERT_OK(ls_graph_forward(s->g, &run));
        ASSERT_OK(ls_graph_backward(s->g, &run, 1, i > 0, NULL));
    }
    ASSERT_OK(ls_running_update(s->g, ls_comm_self(), micro_batches));
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

/* Named and shaped as parameters are, and not among them. */
static void test_store(void)
{
    Setup s = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN});
    const LsParams *running = s.params->running;
    CU_ASSERT_EQUAL(s.params->count, 2 * LAYERS);
    CU_ASSERT_EQUAL(s.params->elements, LAYERS * (C * C + C));
    CU_ASSERT_EQUAL_FATAL(running->count, 2 * LAYERS);
    CU_ASSERT_STRING_EQUAL(running->list[0].name, "layer.0.mean");
    CU_ASSERT_STRING_EQUAL(running->list[3].name, "layer.1.variance");
    CU_ASSERT(running->list[3].rank == 1 && running->list[3].dim[0] == C);
    CU_ASSERT(value_of(s.params, "layer.1.mean")[C - 1] == 0 && value_of(s.params, "layer.1.variance")[C - 1] == 1);
    LsMemory memory = ls_graph_memory(s.g);
    CU_ASSERT_EQUAL(memory.parameters, (s.params->total + running->total) * 4);
    setup_free(&s, true);
}

/* The mean over the micro-batches of what each of them has, once a step. */
static void test_micro_batches(void)
{
    enum { MICRO = 3 };
    Setup s = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN});
    double mean[C] = {0}, variance[C] = {0};
    for (int steps = 0; steps < 2; steps++) {
        double batch_mean[C] = {0}, batch_variance[C] = {0};
        for (int i = 0; i < MICRO; i++) {
            fill(&s, i);
            ASSERT_OK(ls_graph_forward(s.g, &run));
            for (int c = 0; c < C; c++) {
                batch_mean[c] += (double)((const float *)norm_of(&s, 1)->out[1]->data)[c] / MICRO;
                batch_variance[c] +=
                    (double)((const float *)norm_of(&s, 1)->out[2]->data)[c] * ROWS / (ROWS - 1) / MICRO;
            }
            ASSERT_OK(ls_graph_backward(s.g, &run, 1, i > 0, NULL));
        }
        for (int c = 0; c < C; c++) { /* unmoved before the end of the step */
            mean[c] = steps ? mean[c] : 0;
            variance[c] = steps ? variance[c] : 1;
            ASSERT_AT_MOST(fabs((double)value_of(s.params, "layer.1.mean")[c] - mean[c]), 1e-6);
            mean[c] = 0.9 * mean[c] + 0.1 * batch_mean[c];
            variance[c] = 0.9 * variance[c] + 0.1 * batch_variance[c];
        }
        ASSERT_OK(ls_running_update(s.g, ls_comm_self(), MICRO));
        for (int c = 0; c < C; c++) {
            ASSERT_AT_MOST(fabs((double)value_of(s.params, "layer.1.mean")[c] - mean[c]), 1e-6);
            ASSERT_AT_MOST(fabs((double)value_of(s.params, "layer.1.variance")[c] - variance[c]), 1e-6);
        }
    }
    setup_free(&s, true);
}

/* Recomputation moves no running value twice, and an op that speaks to other ranks is made once. */
static void test_recomputed(void)
{
    Setup plain = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN}),
          again = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN, .recompute_all = true});
    int made_again = 0;
    for (int n = 0; n < again.g->nodes; n++) {
        made_again += again.g->node_plan[n].recompute_time >= 0;
        CU_ASSERT(!again.g->node_plan[n].dropped || again.g->node[n]->op->collective == LS_ALONE);
    }
    CU_ASSERT(made_again >= LAYERS);
    step(&plain, 2);
    step(&again, 2);
    size_t bytes = sizeof(float) * (size_t)plain.params->running->total;
    CU_ASSERT_EQUAL(memcmp(plain.params->running->value, again.params->running->value, bytes), 0);
    CU_ASSERT(value_of(plain.params, "layer.1.mean")[0] != 0);
    setup_free(&plain, true);
    setup_free(&again, true);
}

/* Evaluation and decoding read what training has moved, and move nothing. */
static void test_read_only(void)
{
    Setup train = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN});
    float before[ROWS * C], after[ROWS * C], values[4 * 32];
    size_t bytes = sizeof(float) * (size_t)train.params->running->total;
    CU_ASSERT_FATAL(bytes <= sizeof values);
    for (int decode = 0; decode < 2; decode++) {
        Setup eval = setup_new(train.params, (LsGraphOptions){.mode = decode ? LS_DECODE : LS_EVAL});
        ASSERT_OK(ls_graph_forward(eval.g, &(LsRun){0}));
        ls_tensor_get(eval.g, ls_graph_find(eval.g, "y"), before);
        step(&train, 1);
        memcpy(values, train.params->running->value, bytes);
        ASSERT_OK(ls_graph_forward(eval.g, &(LsRun){0}));
        ls_tensor_get(eval.g, ls_graph_find(eval.g, "y"), after);
        ASSERT_OK(ls_running_update(eval.g, ls_comm_self(), 1));
        CU_ASSERT_EQUAL(memcmp(values, train.params->running->value, bytes), 0);
        CU_ASSERT(memcmp(before, after, sizeof before) != 0);
        CU_ASSERT_PTR_NULL(norm_of(&eval, 0)->in[3]->grad);
        setup_free(&eval, false);
    }
    setup_free(&train, true);
}

/* A graph in which only some parameters learn moves the running values of these alone. */
static void test_learns(void)
{
    Setup s = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN, .learns = "layer.1."});
    step(&s, 1);
    for (int c = 0; c < C; c++)
        CU_ASSERT(value_of(s.params, "layer.0.mean")[c] == 0 && value_of(s.params, "layer.1.mean")[c] != 0);
    setup_free(&s, true);
}

static void test_precisions(void)
{
    float mean[LS_PRECISIONS][C];
    for (int precision = 0; precision < LS_PRECISIONS; precision++) {
        Setup s = setup_new(NULL, (LsGraphOptions){.mode = LS_TRAIN, .precision = (LsPrecision)precision});
        step(&s, 2);
        memcpy(mean[precision], value_of(s.params, "layer.0.mean"), sizeof mean[0]);
        CU_ASSERT_EQUAL(ls_element(s.g, norm_of(&s, 0)->in[3]->data, LS_ACC, 3), (double)mean[precision][3]);
        ls_graph_refresh(s.g);
        CU_ASSERT_EQUAL(ls_element(s.g, norm_of(&s, 0)->in[3]->data, LS_ACC, 3), (double)mean[precision][3]);
        setup_free(&s, true);
    }
    for (int c = 0; c < C; c++) {
        ASSERT_AT_MOST((double)fabsf(mean[LS_FLOAT32][c] - mean[LS_FLOAT64][c]), 1e-6);
        ASSERT_AT_MOST((double)fabsf(mean[LS_BFLOAT16][c] - mean[LS_FLOAT64][c]), 2e-3);
    }
}

/* A store that is loaded for use alone has them too. */
static void test_frozen(void)
{
    LsParams *params = ls_params_new();
    LsGraph *dry = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    build(dry);
    ASSERT_OK(ls_graph_plan_dry(dry));
    ASSERT_OK(ls_params_freeze(params, dry));
    ASSERT_OK(ls_params_draw(params, 5));
    CU_ASSERT_EQUAL(value_of(params, "layer.1.variance")[C - 1], 1);
    Setup s = setup_new(params, (LsGraphOptions){.mode = LS_EVAL}),
          whole = setup_new(NULL, (LsGraphOptions){.mode = LS_EVAL});
    float y[2][ROWS * C];
    ASSERT_OK(ls_graph_forward(s.g, &(LsRun){0}));
    ASSERT_OK(ls_graph_forward(whole.g, &(LsRun){0}));
    ls_tensor_get(s.g, ls_graph_find(s.g, "y"), y[0]);
    ls_tensor_get(whole.g, ls_graph_find(whole.g, "y"), y[1]);
    CU_ASSERT_EQUAL(memcmp(y[0], y[1], sizeof y[0]), 0);
    ls_graph_free(dry);
    setup_free(&s, true);
    setup_free(&whole, true);
}

/* ---- Mistakes ---- */

static LsTensor *input(LsGraph *g, int64_t rows) { return ls_input(g, "x", LS_REAL, 2, (int64_t[]){rows, 3}); }
static LsTensor *running(LsGraph *g, const char *name, int64_t count)
{
    return ls_running(g, name, ls_init_constant(1), 1, &count);
}
static LsTensor *scale(LsGraph *g, int64_t count)
{
    return ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE, 1, &count);
}
static void norm(LsGraph *g, int64_t rows, LsTensor *mean, LsTensor *variance)
{
    ls_output(g, "loss", ls_batch_norm(g, input(g, rows), scale(g, 3), NULL, mean, variance, 1e-5, 0.1));
}

static void as_activation(LsGraph *g) { ls_add(g, input(g, 2), running(g, "mean", 3)); }
static void not_running(LsGraph *g) { norm(g, 2, scale(g, 3), running(g, "variance", 3)); }
static void missing(LsGraph *g) { norm(g, 2, running(g, "mean", 3), NULL); }
static void wrong_shape(LsGraph *g) { norm(g, 2, running(g, "mean", 4), running(g, "variance", 3)); }
static void two_shapes(LsGraph *g)
{
    LsTensor *mean = running(g, "mean", 3);
    norm(g, 2, mean, running(g, "mean", 2));
}
static void one_number(LsGraph *g)
{
    LsTensor *mean = running(g, "mean", 3);
    norm(g, 1, mean, running(g, "variance", 3));
}
static void many_dimensions(LsGraph *g) { ls_broadcast(g, scale(g, 3), 5, (int64_t[]){1, 1, 1, 1, 1}); }

static LsStatus forward_of(void (*build_mistake)(LsGraph *g), LsParams *params)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    build_mistake(g);
    LsStatus status = params->sealed ? LS_OK : ls_params_allocate(params, 1, true);
    if (status == LS_OK)
        status = ls_graph_plan(g);
    if (status == LS_OK)
        status = ls_graph_forward(g, &run);
    ls_graph_free(g);
    return status;
}

static void expect_mistake(void (*build_mistake)(LsGraph *g), const char *text)
{
    LsParams *params = ls_params_new();
    ASSERT_FAILS(forward_of(build_mistake, params), LS_USAGE, text);
    ls_params_free(params);
}

static void test_mistakes(void)
{
    expect_mistake(as_activation, "add: input 1 (mean) must not be a running value");
    expect_mistake(not_running, "must not be a parameter");
    expect_mistake(missing, "needs a running variance");
    expect_mistake(wrong_shape, "running mean (4) does not fit x (2, 3): it must be (3)");
    expect_mistake(two_shapes, "mean: asked for with shape (2) but it has (3)");
    expect_mistake(one_number, "one number a channel");
    expect_mistake(many_dimensions, "5 dimensions before those of scale (3): 1 to 4 fit");
    LsParams *sealed = ls_params_new();
    LsGraph *g = ls_graph_new(sealed, &(LsGraphOptions){.mode = LS_EVAL});
    scale(g, 3);
    ls_graph_free(g);
    ASSERT_OK(ls_params_allocate(sealed, 1, true));
    ASSERT_FAILS(forward_of(one_number, sealed), LS_USAGE, "running value mean: the model has none");
    ls_params_free(sealed);
}

int main(void)
{
    return harness_run("running", (HarnessTest[]){{"store", test_store},
                                                  {"micro-batches", test_micro_batches},
                                                  {"made again", test_recomputed},
                                                  {"evaluation reads only", test_read_only},
                                                  {"only those that learn", test_learns},
                                                  {"precisions", test_precisions},
                                                  {"frozen stores", test_frozen},
                                                  {"mistakes", test_mistakes},
                                                  {0}});
}
