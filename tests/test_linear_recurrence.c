/* The linear recurrence and the diagonal state space: against PyTorch's numbers (tests/fixtures/linear_recurrence.py);
 * the three forms of the state space against each other; parts of the time, segments and single steps against the
 * whole; the same bits for any number of threads. */
#include "harness.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const LsRun run = {.seed = 1, .training = true};

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

/* A line "NAME number ...", which must come next. */
static float *read_line(FILE *file, const char *name, int64_t count)
{
    char there[64] = "";
    float *value = ls_alloc_array(count, sizeof *value);
    CU_ASSERT_EQUAL_FATAL(fscanf(file, " %63s", there), 1);
    CU_ASSERT_STRING_EQUAL_FATAL(there, name);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(fscanf(file, " %f", value + i), 1);
    return value;
}

static void read_into(FILE *file, const char *name, int64_t count, void *to)
{
    float *value = read_line(file, name, count);
    memcpy(to, value, (size_t)count * sizeof *value);
    ls_free(value);
}

/* Numbers to 1e-5 of the largest. */
static void expect_line(FILE *file, const char *name, int64_t count, const float *there)
{
    float *value = read_line(file, name, count), largest = 1;
    for (int64_t i = 0; i < count; i++)
        largest = fmaxf(largest, fabsf(value[i]));
    for (int64_t i = 0; i < count; i++)
        ASSERT_AT_MOST(fabs((double)value[i] - (double)there[i]), 1e-5 * (double)largest);
    ls_free(value);
}

static LsGraph *graph_of(LsParams *params, LsMode mode, bool segmented)
{
    LsGraph *g =
        ls_graph_new(params, &(LsGraphOptions){.mode = mode, .grad_inputs = mode == LS_TRAIN, .segmented = segmented});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    return g;
}

static void finish(LsParams *params, LsGraph *g, LsTensor *y)
{
    ls_output(g, "y", y);
    if (ls_graph_mode(g) == LS_TRAIN)
        ls_output(g, "loss", ls_mul(g, y, ls_input(g, "r", LS_REAL, 3, y->dim)));
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 3, true));
    ASSERT_OK(ls_graph_plan(g));
}

static void check_minimal(FILE *file, int parts)
{
    long long b, t, h;
    CU_ASSERT_EQUAL_FATAL(fscanf(file, " %lld %lld %lld", &b, &t, &h), 3);
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_TRAIN, true);
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){b, t, parts * h});
    LsTensor *state = ls_carry(g, "state", LS_ACC, 2, (int64_t[]){b, h});
    LsTensor *y = ls_linear_scan(g, x, NULL, state, parts == 2 ? LS_SCAN_MINGRU : LS_SCAN_MINLSTM);
    finish(params, g, y);
    ls_carries_reset(g);
    read_into(file, "x", x->count, x->data);
    read_into(file, "start", b * h, state->data);
    read_into(file, "r", y->count, ls_graph_find(g, "r")->data);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
    expect_line(file, "y", y->count, y->data);
    expect_line(file, "dx", x->count, x->grad);
    expect_line(file, "dstart", b * h, state->grad);
    ls_graph_free(g);
    ls_params_free(params);
}

/* ---- The diagonal state space ------------------------------------------------------------------------------------ */

typedef struct Ssm {
    int64_t streams, steps, channels, modes;
    LsSsmRule rule;
    LsSsmForm form;
} Ssm;

static const char *const ssm_names[] = {"log_delta", "A_log", "A_im", "C", "D"};

/* Parameters are named as in the fixture. */
static LsTensor *ssm_of(LsGraph *g, const Ssm *s, LsTensor *state)
{
    int64_t wide[3] = {s->channels, s->modes, 2};
    LsTensor *u = ls_input(g, "u", LS_REAL, 3, (int64_t[]){s->streams, s->steps, s->channels});
    LsTensor *delta = ls_param_flags(g, "log_delta", ls_init_uniform(-6, -2), LS_PRECISE, 1, wide);
    LsTensor *a_log = ls_param_flags(g, "A_log", ls_init_uniform(-1, 1), LS_PRECISE, 2, wide);
    LsTensor *a_im = ls_param_flags(g, "A_im", ls_init_uniform(-40, 40), LS_PRECISE, 2, wide);
    LsTensor *c = ls_param_flags(g, "C", ls_init_uniform(-1, 1), LS_PRECISE, 3, wide);
    LsTensor *d = ls_param_flags(g, "D", ls_init_uniform(-1, 1), LS_PRECISE, 1, wide);
    return ls_diagonal_ssm(g, u, delta, a_log, a_im, c, d, state, s->rule, s->form);
}

static void check_s4d(FILE *file, LsSsmRule rule, LsSsmForm form)
{
    long long b, t, h, n;
    CU_ASSERT_EQUAL_FATAL(fscanf(file, " %lld %lld %lld %lld", &b, &t, &h, &n), 4);
    Ssm s = {b, t, h, n, rule, form};
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_TRAIN, false);
    LsTensor *y = ssm_of(g, &s, NULL), *u = ls_graph_find(g, "u");
    finish(params, g, y);
    read_into(file, "u", u->count, u->data);
    for (int i = 0; i < 5; i++) {
        const LsParam *p = &params->list[ls_params_find(params, ssm_names[i])];
        read_into(file, ssm_names[i], p->count, params->value + p->offset);
    }
    ls_graph_refresh(g);
    read_into(file, "r", y->count, ls_graph_find(g, "r")->data);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
    expect_line(file, "y", y->count, y->data);
    expect_line(file, "du", u->count, u->grad);
    for (int i = 0; i < 5; i++) {
        char name[64];
        const LsParam *p = &params->list[ls_params_find(params, ssm_names[i])];
        snprintf(name, sizeof name, "d%s", ssm_names[i]);
        expect_line(file, name, p->count, params->grad + p->offset);
    }
    ls_graph_free(g);
    ls_params_free(params);
}

static void test_pytorch(void)
{
    int cases = 0, kind;
    for (int form = 0; form < 2; form++) {
        FILE *file = fopen(TESTS_FOLDER "/fixtures/linear_recurrence.txt", "re");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        for (; fscanf(file, " case %d", &kind) == 1; cases++)
            if (kind < 10)
                check_minimal(file, kind);
            else
                check_s4d(file, kind == 10 ? LS_SSM_ZOH : LS_SSM_BILINEAR, form ? LS_SSM_SCAN : LS_SSM_CONVOLUTION);
        fclose(file);
    }
    CU_ASSERT_EQUAL(cases, 8);
}

/* ---- Forms ------------------------------------------------------------------------------------------------------- */

static void fill(LsTensor *x, double low, double high)
{
    for (int64_t i = 0; i < x->count; i++)
        ((float *)x->data)[i] = (float)(low + (high - low) * (double)ls_uniform_at(ls_key(9, x->name), 0, (uint64_t)i));
}

static double largest_of(const float *x, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)x[i]));
    return largest;
}

static void expect_near(const float *a, const float *b, int64_t count, double relative)
{
    double largest = largest_of(a, count);
    for (int64_t i = 0; i < count; i++)
        ASSERT_AT_MOST(fabs((double)a[i] - (double)b[i]), relative * largest);
}

/* The recurrence step by step of a stream that is decoded, the scan, and the convolution; gradients of the last two.
 * T = 784, as the pixels of MNIST. */
static void check_forms(LsSsmRule rule)
{
    Ssm s = {3, 784, 20, 8, rule, LS_SSM_SCAN}, fast = s, one = s;
    fast.form = LS_SSM_CONVOLUTION;
    one.steps = 1;
    LsParams *params = ls_params_new();
    LsGraph *scan = graph_of(params, LS_TRAIN, false), *conv = graph_of(params, LS_TRAIN, false),
            *step = graph_of(params, LS_DECODE, false);
    LsTensor *y = ssm_of(scan, &s, NULL);
    finish(params, scan, y);
    LsTensor *z = ssm_of(conv, &fast, NULL);
    finish(params, conv, z);
    LsTensor *w = ssm_of(step, &one, ls_state(step, "x", LS_ACC, 3, (int64_t[]){s.streams, 2 * s.modes, s.channels}));
    finish(params, step, w);
    float *grad = ls_alloc_array(params->total, sizeof *grad);
    for (int i = 0; i < 2; i++) {
        LsGraph *g = i ? conv : scan;
        fill(ls_graph_find(g, "u"), -1, 1);
        fill(ls_graph_find(g, "r"), -1, 1);
        ASSERT_OK(ls_graph_forward(g, &run));
        ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
        if (i == 0)
            memcpy(grad, params->grad, (size_t)params->total * sizeof *grad);
    }
    expect_near(y->data, z->data, y->count, 1e-5);
    expect_near(ls_graph_find(scan, "u")->grad, ls_graph_find(conv, "u")->grad, y->count, 1e-5);
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        expect_near(grad + p->offset, params->grad + p->offset, p->count, 1e-4);
    }
    const float *whole = y->data, *u = ls_graph_find(scan, "u")->data;
    double largest = largest_of(whole, y->count);
    for (int64_t t = 0; t < s.steps; t++) {
        float *to = ls_graph_find(step, "u")->data;
        for (int64_t b = 0; b < s.streams; b++)
            memcpy(to + b * s.channels, u + (b * s.steps + t) * s.channels, (size_t)s.channels * sizeof *to);
        ASSERT_OK(ls_graph_forward(step, &run));
        for (int64_t i = 0; i < s.streams * s.channels; i++) {
            double expected = (double)whole[(i / s.channels * s.steps + t) * s.channels + i % s.channels];
            ASSERT_AT_MOST(fabs(expected - (double)((const float *)w->data)[i]), 1e-5 * largest);
        }
    }
    ls_free(grad);
    ls_graph_free(step);
    ls_graph_free(conv);
    ls_graph_free(scan);
    ls_params_free(params);
}

static void test_forms(void)
{
    check_forms(LS_SSM_ZOH);
    check_forms(LS_SSM_BILINEAR);
}

/* ---- The recurrence against a loop ------------------------------------------------------------------------------- */

/* Few channels, so that the time is cut into parts; results and gradients against the loop over time in double. */
static void test_loop(void)
{
    enum { STEPS = 4100, CHANNELS = 3 };
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_TRAIN, false);
    LsTensor *a = ls_input(g, "a", LS_REAL, 3, (int64_t[]){1, STEPS, CHANNELS}),
             *b = ls_input(g, "b", LS_REAL, 3, a->dim);
    LsTensor *y = ls_linear_scan(g, a, b, NULL, LS_SCAN_PLAIN);
    finish(params, g, y);
    LsTensor *r = ls_graph_find(g, "r");
    fill(a, 0.9, 1);
    fill(b, -1, 1);
    fill(r, -1, 1);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
    const float *av = a->data, *bv = b->data, *rv = r->data;
    float *h = ls_alloc_array(y->count, sizeof *h), *da = ls_alloc_array(y->count, sizeof *da),
          *db = ls_alloc_array(y->count, sizeof *db);
    for (int64_t e = 0; e < CHANNELS; e++) {
        double state = 0, slope = 0;
        for (int64_t t = 0; t < STEPS; t++) {
            int64_t at = t * CHANNELS + e;
            h[at] = (float)(state = (double)av[at] * state + (double)bv[at]);
        }
        for (int64_t t = STEPS - 1; t >= 0; t--) {
            int64_t at = t * CHANNELS + e;
            slope += (double)rv[at];
            db[at] = (float)slope;
            da[at] = (float)(slope * (t > 0 ? (double)h[at - CHANNELS] : 0));
            slope *= (double)av[at];
        }
    }
    expect_near(h, y->data, y->count, 1e-5);
    expect_near(da, a->grad, y->count, 1e-5);
    expect_near(db, b->grad, y->count, 1e-5);
    ls_free(h);
    ls_free(da);
    ls_free(db);
    ls_graph_free(g);
    ls_params_free(params);
}

/* Gates far open and far shut neither overflow nor lose what a sum would: h stays the mean it is. */
static void test_far_gates(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_EVAL, false);
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 3, 3});
    LsTensor *y = ls_linear_scan(g, x, NULL, NULL, LS_SCAN_MINLSTM);
    finish(params, g, y);
    /* f, i, v: equal gates at either end share the weight; then all of it to the input */
    memcpy(x->data, (const float[]){-300, -300, 0.5f, 80, 80, 2.5f, -90, 90, 6.5f}, 9 * sizeof(float));
    ASSERT_OK(ls_graph_forward(g, &run));
    const float *h = y->data;
    CU_ASSERT_DOUBLE_EQUAL(h[0], 0.5, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(h[1], 1.75, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(h[2], 7, 1e-5);
    ls_graph_free(g);
    ls_params_free(params);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static void results_of(int threads, LsSsmForm form, float *y, float *grad)
{
    Ssm s = {5, 90, 37, 6, LS_SSM_ZOH, form};
    int before = ls_threads();
    ls_set_threads(threads);
    LsParams *params = ls_params_new();
    LsGraph *g = graph_of(params, LS_TRAIN, false);
    LsTensor *x = ssm_of(g, &s, NULL);
    x = ls_linear_scan(g, ls_concat(g, 2, (LsTensor *[]){x, x}), NULL, NULL, LS_SCAN_MINGRU);
    finish(params, g, x);
    fill(ls_graph_find(g, "u"), -1, 1);
    fill(ls_graph_find(g, "r"), -1, 1);
    ASSERT_OK(ls_graph_forward(g, &run));
    ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
    memcpy(y, x->data, (size_t)x->count * sizeof *y);
    memcpy(grad, params->grad, (size_t)params->total * sizeof *grad);
    ls_graph_free(g);
    ls_params_free(params);
    ls_set_threads(before);
}

static void test_threads(void)
{
    enum { RESULTS = 5 * 90 * 37, GRADS = 4096 };
    float *y[2], *grad[2];
    for (int i = 0; i < 2; i++) {
        y[i] = ls_alloc_array(RESULTS, sizeof(float));
        grad[i] = ls_alloc_array(GRADS, sizeof(float));
    }
    for (int form = 0; form < 2; form++) {
        results_of(1, (LsSsmForm)form, y[0], grad[0]);
        for (int threads = 2; threads <= 3; threads++) {
            results_of(threads, (LsSsmForm)form, y[1], grad[1]);
            CU_ASSERT_EQUAL(memcmp(y[0], y[1], RESULTS * sizeof(float)), 0);
            CU_ASSERT_EQUAL(memcmp(grad[0], grad[1], GRADS * sizeof(float)), 0);
        }
    }
    for (int i = 0; i < 2; i++) {
        ls_free(y[i]);
        ls_free(grad[i]);
    }
}

int main(void)
{
    return harness_run("linear recurrence", (HarnessTest[]){{"PyTorch's numbers", test_pytorch},
                                                            {"three forms of a state space", test_forms},
                                                            {"a loop over time", test_loop},
                                                            {"gates far open and shut", test_far_gates},
                                                            {"any number of threads", test_threads},
                                                            {0}});
}
