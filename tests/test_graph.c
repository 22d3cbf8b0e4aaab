/* Builder calls, the planner's lifetimes and add bits, the gradient-ready hook, states, memory. */
#include "harness.h"
#include "graph/check.h"
#include "lockstep/op.h"
#include "lockstep/ops.h"

#include <math.h>
#include <string.h>

#define B 2
#define T 3
#define C 4
#define V 7
#define DEPTH 5

/* A tied language model of DEPTH residual layers: every layer's input is used twice, the embedding at both ends. */
static void build_toy(LsGraph *g)
{
    LsTensor *ids = ls_input(g, "ids", LS_I32, 2, (int64_t[]){B, T});
    LsTensor *targets = ls_input(g, "targets", LS_I32, 2, (int64_t[]){B, T});
    LsTensor *table = ls_param(g, "table", ls_init_normal(0.5), 2, (int64_t[]){V, C});
    LsTensor *x = ls_embedding(g, table, ids);
    for (int i = 0; i < DEPTH; i++) {
        ls_push(g, "layer.%d", i);
        LsTensor *w = ls_param(g, "w", ls_init_normal(0.5), 2, (int64_t[]){C, C});
        x = ls_add(g, x, ls_linear(g, x, w, NULL, LS_GELU));
        ls_pop(g);
    }
    ls_output(g, "loss", ls_head_cross_entropy(g, x, table, NULL, targets, 0, 0));
}

static LsGraph *toy(LsParams *params, bool poison)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN, .poison = poison});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    build_toy(g);
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 1, true));
    ASSERT_OK(ls_graph_plan(g));
    for (int i = 0; i < B * T; i++) {
        ((int32_t *)ls_graph_find(g, "ids")->data)[i] = (i * 5 + 1) % V;
        ((int32_t *)ls_graph_find(g, "targets")->data)[i] = (i * 3 + 2) % V;
    }
    return g;
}

static bool build_subject(LsGraph *g, const void *self)
{
    (void)self;
    build_toy(g);
    ls_case_range(g, ls_graph_find(g, "ids"), 0, V);
    ls_case_range(g, ls_graph_find(g, "targets"), 0, V);
    return true;
}

static void test_gradient_of_whole(void) { ASSERT_OK(ls_check_gradient(&(LsSubject){build_subject, NULL, "toy"}, 30)); }

static const LsRun run = {.training = true};

static void test_accumulate(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = toy(params, true);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 0.5, false, NULL));
    float once[512];
    CU_ASSERT_FATAL(params->total <= 512);
    memcpy(once, params->grad, sizeof(float) * (size_t)params->total);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 0.5, true, NULL));
    double largest = 0;
    for (int64_t i = 0; i < params->total; i++) {
        ASSERT_AT_MOST(fabs(params->grad[i] - 2 * once[i]), 1e-6);
        largest = fmax(largest, fabs(once[i]));
    }
    CU_ASSERT(largest > 1e-3);
    ls_graph_free(g);
    ls_params_free(params);
}

typedef struct Watch {
    const LsParams *params;
    float final[512];
    int64_t last;
    int calls, polls;
} Watch;

static LsStatus ready(void *self, int64_t from)
{
    Watch *w = self;
    CU_ASSERT(from < w->last);
    memcpy(w->final + from, w->params->grad + from, sizeof(float) * (size_t)(w->last - from));
    w->last = from;
    w->calls++;
    return LS_OK;
}

static LsStatus poll(void *self)
{
    ((Watch *)self)->polls++;
    return LS_OK;
}

/* Gradients that were announced as final do not change any more; the tied table's are final only at its first use, the
 * embedding. */
static void test_ready(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = toy(params, false);
    Watch w = {.params = params, .last = params->total};
    memset(params->grad, 0, sizeof(float) * (size_t)params->total);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, &(LsHooks){ready, poll, &w}));
    CU_ASSERT_EQUAL(w.last, 0);
    CU_ASSERT_EQUAL(w.calls, DEPTH + 1);
    CU_ASSERT(w.polls > DEPTH);
    CU_ASSERT_EQUAL(memcmp(w.final, params->grad, sizeof(float) * (size_t)params->total), 0);
    ls_graph_free(g);
    ls_params_free(params);
}

/* With and without NaN in everything that must be written: the same bits. */
static void test_poison(void)
{
    LsParams *params = ls_params_new();
    LsGraph *clean = toy(params, false), *poisoned = toy(params, true);
    float loss[2], grad[512];
    ASSERT_OK(ls_graph_forward(clean, &run));
    ASSERT_OK(ls_graph_backward(clean, &run, 1, false, NULL));
    ls_tensor_get(clean, ls_graph_find(clean, "loss"), &loss[0]);
    memcpy(grad, params->grad, sizeof(float) * (size_t)params->total);
    ASSERT_OK(ls_graph_forward(poisoned, &run));
    ASSERT_OK(ls_graph_backward(poisoned, &run, 1, false, NULL));
    ls_tensor_get(poisoned, ls_graph_find(poisoned, "loss"), &loss[1]);
    CU_ASSERT(isfinite(loss[0]) && loss[0] == loss[1]);
    CU_ASSERT_EQUAL(memcmp(grad, params->grad, sizeof(float) * (size_t)params->total), 0);
    ls_graph_free(clean);
    ls_graph_free(poisoned);
    ls_params_free(params);
}

/* Evaluation keeps fewer activations alive than training, and a dry plan says the same as a real one. */
static void test_memory(void)
{
    LsParams *params = ls_params_new();
    LsGraph *train = toy(params, false);
    LsGraph *eval = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    build_toy(eval);
    ASSERT_OK(ls_graph_plan_dry(eval));
    LsGraph *dry = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    build_toy(dry);
    ASSERT_OK(ls_graph_plan_dry(dry));
    LsMemory t = ls_graph_memory(train), e = ls_graph_memory(eval), d = ls_graph_memory(dry);
    CU_ASSERT(e.activations + e.scratch < t.activations + t.scratch);
    CU_ASSERT_EQUAL(t.activations, d.activations);
    CU_ASSERT_EQUAL(t.parameters, params->total * 4);
    CU_ASSERT_EQUAL(e.gradients, 0);
    ASSERT_FAILS(ls_graph_forward(dry, &run), LS_ERROR, "planned");
    ASSERT_FAILS(ls_graph_backward(eval, &run, 1, false, NULL), LS_ERROR, "planned");
    ls_graph_free(train);
    ls_graph_free(eval);
    ls_graph_free(dry);
    ls_params_free(params);
}

static LsStatus plan_of(void (*build)(LsGraph *g))
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    build(g);
    LsStatus status = ls_graph_plan_dry(g);
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

static LsTensor *input(LsGraph *g, const char *name, int64_t rows, int64_t columns)
{
    return ls_input(g, name, LS_REAL, 2, (int64_t[]){rows, columns});
}

static void wrong_shape(LsGraph *g)
{
    ls_push(g, "layer.3");
    LsTensor *y = ls_add(g, input(g, "a", 2, 3), input(g, "b", 3, 2));
    ls_pop(g);
    ls_output(g, "loss", ls_add(g, y, y)); /* goes on after the error without harm */
}
static void no_loss(LsGraph *g) { ls_output(g, "else", ls_add(g, input(g, "a", 2, 3), input(g, "b", 2, 3))); }
static void open_scope(LsGraph *g) { ls_push(g, "left"); }
static void too_many_pops(LsGraph *g) { ls_pop(g); }
static void zero_dimension(LsGraph *g) { input(g, "a", 0, 3); }
static void two_shapes(LsGraph *g)
{
    ls_param(g, "w", ls_init_constant(0), 2, (int64_t[]){2, 3});
    ls_linear(g, input(g, "x", 2, 4), ls_param(g, "w", ls_init_constant(0), 2, (int64_t[]){2, 3}), NULL,
              LS_NO_ACTIVATION);
}
static void activation_as_parameter(LsGraph *g)
{
    ls_linear(g, input(g, "x", 2, 3), input(g, "w", 4, 3), NULL, LS_NO_ACTIVATION);
}
static void parameter_as_activation(LsGraph *g)
{
    ls_add(g, input(g, "x", 2, 3), ls_param(g, "w", ls_init_constant(0), 2, (int64_t[]){2, 3}));
}
static void state_in_training(LsGraph *g)
{
    ls_push(g, "layer.1");
    ls_state(g, "memory", LS_REAL, 2, (int64_t[]){2, 3});
    ls_pop(g);
}
static void too_many_inputs(LsGraph *g)
{
    LsTensor *x = input(g, "x", 2, 3), *in[LS_MAX_IN + 1];
    for (int i = 0; i <= LS_MAX_IN; i++)
        in[i] = x;
    ls_node(g, "add", LS_MAX_IN + 1, in, NULL, 0);
}
static void own_error(LsGraph *g) { ls_graph_fail(g, LS_USAGE, "heads %d do not fit", 5); }

static void test_errors(void)
{
    ASSERT_FAILS(plan_of(wrong_shape), LS_USAGE, "layer.3.add-0: add: shapes differ: (2, 3) and (3, 2)");
    ASSERT_FAILS(plan_of(no_loss), LS_USAGE, "\"loss\"");
    ASSERT_FAILS(plan_of(open_scope), LS_USAGE, "\"left\"");
    ASSERT_FAILS(plan_of(too_many_pops), LS_USAGE, "ls_pop");
    ASSERT_FAILS(plan_of(zero_dimension), LS_USAGE, "at least 1");
    ASSERT_FAILS(plan_of(two_shapes), LS_USAGE, "(2, 3)");
    ASSERT_FAILS(plan_of(activation_as_parameter), LS_USAGE, "must be a parameter");
    ASSERT_FAILS(plan_of(parameter_as_activation), LS_USAGE, "must not be a parameter");
    ASSERT_FAILS(plan_of(state_in_training), LS_USAGE, "state layer.1.memory: a training graph keeps no state");
    ASSERT_FAILS(plan_of(state_in_training), LS_USAGE, "use ls_carry");
    ASSERT_FAILS(plan_of(too_many_inputs), LS_ERROR, "too many inputs");
    ASSERT_FAILS(plan_of(own_error), LS_USAGE, "heads 5 do not fit");
}

static void test_store(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = toy(params, false);
    CU_ASSERT_EQUAL(params->count, DEPTH + 1);
    CU_ASSERT_EQUAL(params->elements, V * C + DEPTH * C * C);
    CU_ASSERT_EQUAL(ls_params_find(params, "layer.2.w"), 3);
    CU_ASSERT_EQUAL(ls_params_find(params, "layer.9.w"), -1);
    for (int i = 0; i < params->count; i++)
        CU_ASSERT_EQUAL(params->list[i].offset * (int64_t)sizeof(float) % LS_ALIGN, 0);
    LsGraph *other = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_param(other, "new", ls_init_constant(0), 1, (int64_t[]){3});
    ASSERT_FAILS(ls_graph_plan(other), LS_USAGE, "parameter new");
    LsGraph *reshaped = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_param(reshaped, "table", ls_init_constant(0), 2, (int64_t[]){C, V});
    ASSERT_FAILS(ls_graph_plan(reshaped), LS_USAGE, "(4, 7)");
    ls_graph_free(g);
    ls_graph_free(other);
    ls_graph_free(reshaped);
    ls_params_free(params);
}

static void test_finite(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = toy(params, false);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
    ASSERT_OK(ls_graph_check_finite(g));
    params->grad[params->list[2].offset] = NAN;
    ASSERT_FAILS(ls_graph_check_finite(g), LS_DIVERGED, "gradient of parameter layer.1.w");
    params->value[params->list[4].offset + 1] = INFINITY;
    ASSERT_FAILS(ls_graph_check_finite(g), LS_DIVERGED, "parameter layer.3.w");
    ls_graph_free(g);
    ls_params_free(params);
}

static LsGraph *with_state(LsParams *params, int64_t streams, LsGraph *share)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE});
    ls_state(g, "memory", LS_ACC, 2, (int64_t[]){streams, 3});
    if (share)
        ASSERT_OK(ls_graph_share_states(g, share));
    return g;
}

static void test_states(void)
{
    LsParams *params = ls_params_new();
    ASSERT_OK(ls_params_allocate(params, 1, false));
    LsGraph *a = with_state(params, 2, NULL);
    ASSERT_OK(ls_graph_plan(a));
    LsGraph *b = with_state(params, 2, a), *c = with_state(params, 4, a);
    ASSERT_OK(ls_graph_plan(b));
    ASSERT_FAILS(ls_graph_plan(c), LS_USAGE, "state memory");
    CU_ASSERT_EQUAL(ls_graph_states(b), 1);
    CU_ASSERT_PTR_EQUAL(ls_graph_state(b, 0)->data, ls_graph_state(a, 0)->data);
    ((float *)ls_graph_state(b, 0)->data)[5] = 3;
    ls_graph_reset_states(a);
    CU_ASSERT_EQUAL(((float *)ls_graph_state(b, 0)->data)[5], 0);
    CU_ASSERT_PTR_NULL(ls_graph_state(b, 1));
    ls_graph_free(c);
    ls_graph_free(b);
    ls_graph_free(a);
    ls_params_free(params);
}

/* Two states of unlike widths, one longer than a piece of the copying; element i of stream b is a number of both. */
static LsGraph *with_streams(LsParams *params, int64_t streams)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE});
    ls_state(g, "short", LS_ACC, 2, (int64_t[]){streams, 3});
    ls_state(g, "long", LS_REAL, 3, (int64_t[]){streams, 5, 1024});
    ASSERT_OK(ls_graph_plan(g));
    for (int s = 0; s < 2; s++) {
        LsTensor *x = ls_graph_state(g, s);
        for (int64_t i = 0; i < x->count; i++)
            ((float *)x->data)[i] = (float)i;
    }
    return g;
}

static void check_reordered(const int32_t *from, int64_t streams, LsParams *params)
{
    LsGraph *g = with_streams(params, streams);
    ASSERT_OK(ls_graph_reorder_states(g, from));
    int64_t wrong = 0;
    for (int s = 0; s < 2; s++) {
        const LsTensor *x = ls_graph_state(g, s);
        int64_t row = x->count / streams;
        for (int64_t i = 0; i < x->count; i++)
            wrong += ((const float *)x->data)[i] != (float)(from[i / row] * row + i % row);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    ls_graph_free(g);
}

/* Every map of up to five streams to themselves, and some random ones of many. */
static void test_reorder(void)
{
    enum { MANY = 37 };
    LsParams *params = ls_params_new();
    ASSERT_OK(ls_params_allocate(params, 1, false));
    int32_t from[MANY];
    for (int streams = 1, maps = 1; streams <= 5; streams++) {
        maps = 1;
        for (int i = 0; i < streams; i++)
            maps *= streams;
        for (int map = 0; map < maps; map += streams == 5 ? 7 : 1) {
            for (int i = 0, rest = map; i < streams; i++, rest /= streams)
                from[i] = rest % streams;
            check_reordered(from, streams, params);
        }
    }
    for (int draw = 0; draw < 10; draw++) {
        for (int i = 0; i < MANY; i++)
            from[i] = draw % 2 ? (int32_t)ls_permute((uint64_t)draw, MANY, i)
                               : (int32_t)(ls_uniform_at((uint64_t)draw, 0, (uint64_t)i) * MANY);
        check_reordered(from, MANY, params);
    }
    LsGraph *g = with_streams(params, 3), *none = ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE});
    ASSERT_FAILS(ls_graph_reorder_states(g, (int32_t[]){0, 3, 1}), LS_ERROR, "stream 1 cannot go on from stream 3");
    ASSERT_OK(ls_graph_reorder_states(none, NULL));
    ls_graph_free(g);
    ls_graph_free(none);
    ls_params_free(params);
}

static void test_profile(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN, .profile = true});
    build_toy(g);
    ASSERT_OK(ls_params_allocate(params, 1, true));
    ASSERT_OK(ls_graph_plan(g));
    memset(ls_graph_find(g, "ids")->data, 0, sizeof(int32_t) * B * T);
    memset(ls_graph_find(g, "targets")->data, 0, sizeof(int32_t) * B * T);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
    LsProfile rows[8];
    int count = ls_graph_profile(g, rows, 8);
    CU_ASSERT_EQUAL(count, 4);
    double flops = 0;
    for (int i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(rows[i].calls,
                        strcmp(rows[i].name, "linear") == 0 || strcmp(rows[i].name, "add") == 0 ? DEPTH : 1);
        flops += rows[i].forward.flops + rows[i].backward.flops;
    }
    CU_ASSERT_EQUAL(flops, ls_graph_cost(g).flops);
    ls_graph_profile_reset(g);
    ls_graph_profile(g, rows, 8);
    CU_ASSERT_EQUAL(rows[0].calls, 0);
    ls_graph_free(g);
    ls_params_free(params);
}

int main(void)
{
    return harness_run("graph", (HarnessTest[]){{"gradient of a whole graph", test_gradient_of_whole},
                                                {"micro-batches add", test_accumulate},
                                                {"ready hook", test_ready},
                                                {"poison changes nothing", test_poison},
                                                {"memory plan", test_memory},
                                                {"errors of builders", test_errors},
                                                {"parameter store", test_store},
                                                {"finite check", test_finite},
                                                {"states", test_states},
                                                {"streams of states in another order", test_reorder},
                                                {"profile", test_profile},
                                                {0}});
}
