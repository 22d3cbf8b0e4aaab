/* A norm that makes the sum before it along the way: the same bits as one op after the other, in every build, forward
 * and backward; what is fused and what is not. */
#include "harness.h"
#include "graph/check.h"
#include "graph/graph_internal.h"
#include "lockstep/model.h"

#include <string.h>

typedef enum Uses {
    SUM_ALONE,  /* only the norm reads the sum */
    SUM_KEPT,   /* the sum is a result too */
    SUM_PASSED, /* it goes on to another sum, as a residual stream does */
    FIRST_USED, /* backward adds to the gradient of a summand */
    SECOND_USED,
    TWICE, /* x + x */
    USES
} Uses;

typedef struct Trial {
    int64_t dim[3]; /* B, T, C */
    bool centered, bias;
    Uses uses;
} Trial;

static const int64_t dims[][3] = {{2, 3, 5}, {3, 90, 33}};

static bool build(LsGraph *g, const void *self)
{
    const Trial *t = self;
    LsTensor *a = ls_case_input(g, "a", LS_REAL, -1, 2, 3, t->dim);
    LsTensor *b = t->uses == TWICE ? a : ls_case_input(g, "b", LS_REAL, -1, 1, 3, t->dim);
    LsTensor *scale = ls_case_param(g, "scale", LS_PRECISE, 0.5, 1.5, 1, &t->dim[2]);
    LsTensor *shift = t->bias ? ls_case_param(g, "bias", LS_PRECISE, -1, 1, 1, &t->dim[2]) : NULL;
    LsTensor *sum = ls_add(g, a, b);
    LsTensor *y = t->centered ? ls_layer_norm(g, sum, scale, shift, 1e-5) : ls_rms_norm(g, sum, scale, 1e-5);
    if (t->uses == SUM_PASSED)
        y = ls_add(g, sum, ls_silu(g, y));
    if (t->uses == FIRST_USED || t->uses == SECOND_USED)
        y = ls_add(g, t->uses == FIRST_USED ? a : b, y);
    ls_output(g, "loss", y);
    if (t->uses == SUM_KEPT)
        ls_output(g, "loss", sum);
    return true;
}

static LsGraph *planned(LsParams *params, const Trial *t, LsGraphOptions options)
{
    LsGraph *g = ls_graph_new(params, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    build(g, t);
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 9, true));
    ASSERT_OK(ls_graph_plan(g));
    for (int i = 0; i < g->tensors; i++)
        for (int64_t j = 0; g->tensor[i]->role == LS_ROLE_INPUT && j < g->tensor[i]->count; j++)
            ls_set_element(g, g->tensor[i]->data, LS_REAL, j,
                           3 * (double)ls_uniform_at(ls_key(7, g->tensor[i]->name), 0, (uint64_t)j) - 1);
    return g;
}

static bool same(const void *a, const void *b, int64_t bytes) { return memcmp(a, b, (size_t)bytes) == 0; }

/* Results and gradients of one, kept while the other runs: parameters' gradients are the store's. */
static void compare(const Trial *t, LsPrecision precision, LsMode mode)
{
    LsParams *params[2] = {ls_params_new(), ls_params_new()};
    LsGraph *g[2];
    LsRun run = {.seed = 5, .training = true};
    for (int k = 0; k < 2; k++) {
        g[k] = planned(params[k], t,
                       (LsGraphOptions){.mode = mode,
                                        .precision = precision,
                                        .grad_inputs = mode == LS_TRAIN,
                                        .poison = true,
                                        .no_fusion = k == 1});
        ASSERT_OK(ls_graph_forward(g[k], &run));
        if (mode == LS_TRAIN)
            ASSERT_OK(ls_graph_backward(g[k], &run, 0.75, false, NULL));
    }
    for (int i = 0; i < g[0]->tensors; i++) {
        const LsTensor *x = g[0]->tensor[i], *y = g[1]->tensor[i];
        if (g[0]->tensor_plan[i].kept)
            CU_ASSERT(same(x->data, y->data, ls_tensor_bytes(g[0], x)));
        if (x->role == LS_ROLE_INPUT && x->grad)
            CU_ASSERT(same(x->grad, y->grad, ls_tensor_bytes(g[0], x)));
        if (x->role == LS_ROLE_PARAM && x->grad)
            CU_ASSERT(same(x->grad, y->grad, ls_grad_bytes(g[0], x)));
    }
    for (int k = 0; k < 2; k++) {
        ls_graph_free(g[k]);
        ls_params_free(params[k]);
    }
}

static void each(void (*check)(const Trial *t))
{
    for (size_t i = 0; i < LS_COUNT_OF(dims); i++)
        for (int kind = 0; kind < 3; kind++)
            for (int uses = 0; uses < USES; uses++) {
                Trial t = {.centered = kind > 0, .bias = kind > 1, .uses = (Uses)uses};
                memcpy(t.dim, dims[i], sizeof t.dim);
                check(&t);
            }
}

static void check_bits(const Trial *t)
{
    for (int precision = 0; precision < LS_PRECISIONS; precision++)
        for (int mode = 0; mode < 2; mode++)
            compare(t, (LsPrecision)precision, mode ? LS_EVAL : LS_TRAIN);
}

static void test_bits(void)
{
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    for (int isa = 0; isa <= (int)best; isa++) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        each(check_bits);
        ls_check_restore_isa(forced);
    }
}

static void check_gradient(const Trial *t)
{
    LsSubject subject = {.build = build, .self = t, .name = "norm of a sum"};
    ASSERT_OK(ls_check_gradient(&subject, 5));
    ASSERT_OK(ls_check_reference(&subject));
}

static void test_gradients(void) { each(check_gradient); }

static void test_pairs(void)
{
    for (int uses = 0; uses < USES; uses++) {
        Trial t = {.dim = {2, 3, 8}, .uses = (Uses)uses};
        LsParams *params = ls_params_new();
        LsGraph *g = planned(params, &t, (LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true});
        CU_ASSERT(g->node_plan[1].fused);
        CU_ASSERT_EQUAL(g->node_plan[1].fused_back, uses != FIRST_USED && uses != SECOND_USED && uses != TWICE);
        for (int n = 0; n < g->nodes; n++)
            CU_ASSERT(n == 1 || !g->node_plan[n].fused);
        ls_graph_free(g);
        g = planned(params, &t, (LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true, .no_fusion = true});
        CU_ASSERT(!g->node_plan[1].fused && !g->node_plan[1].fused_back);
        ls_graph_free(g);
        ls_params_free(params);
    }
}

/* Fused work counts once in the profile: the sum's bytes are read once less, forward and backward. */
static void test_cost(void)
{
    Trial t = {.dim = {2, 3, 8}, .centered = true, .bias = true, .uses = SUM_PASSED};
    LsParams *params = ls_params_new();
    LsGraph *fused = planned(params, &t, (LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true, .profile = true});
    LsGraph *apart = planned(params, &t, (LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true, .no_fusion = true});
    CU_ASSERT_EQUAL(ls_graph_cost(fused).flops, ls_graph_cost(apart).flops);
    CU_ASSERT_EQUAL(ls_graph_cost(fused).bytes, ls_graph_cost(apart).bytes - 2 * 2 * 3 * 8 * 4.0);
    LsProfile rows[8];
    ASSERT_OK(ls_graph_forward(fused, &(LsRun){.training = true}));
    int count = ls_graph_profile(fused, rows, 8);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    CU_ASSERT_STRING_EQUAL(rows[0].name, "layer_norm");
    CU_ASSERT_EQUAL(rows[0].calls, 1);
    ls_graph_free(fused);
    ls_graph_free(apart);
    ls_params_free(params);
}

int main(void)
{
    return harness_run("fused", (HarnessTest[]){{"the same bits", test_bits},
                                                {"gradients and plain forward", test_gradients},
                                                {"what is fused", test_pairs},
                                                {"cost", test_cost},
                                                {0}});
}
