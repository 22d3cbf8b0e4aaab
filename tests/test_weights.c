/* Generation with weights of 8 bits and in bfloat16 against float: logits, and what is refused.
 *
 * How far logits may move is derived from the model itself, not from what comes out: rounding weights is a small change
 * dw of them, and to first order moves the logits by the sum over weights of (d logit / d w) dw. The roundings are as
 * good as independent, so their squares add up; the derivatives' size is measured by moving the float weights at
 * random: uniform noise of half a scale (8 bits), or of half a unit in the last place (bfloat16), has at least the
 * variance of the rounding. The test asks for at most 4 times the largest root mean square over a few draws of noise.
 * In bfloat16 the activations are rounded too: on every path through the model about as often as weights are met, so
 * twice as much is allowed. */
#include "harness.h"
#include "lockstep/model.h"
#include "decode/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 40, VOCABULARY = 61 };

static const char gpt[] = "model: {kind: gpt, vocabulary: 61, context: 64, layers: 3, heads: 2, width: 64}\n";
static const char untied[] =
    "model: {kind: gpt, vocabulary: 61, context: 64, layers: 2, heads: 4, kv_heads: 2, width: 64, "
    "position: rotary, norm: rms, activation: swiglu, tied: false}\n";
static const char mamba[] = "model: {kind: mamba, vocabulary: 61, context: 64, layers: 3, width: 64}\n";
static const char mamba2[] =
    "model: {kind: mamba2, vocabulary: 61, context: 64, layers: 3, width: 64, head_dim: 32, state: 16}\n";
static const char *const models[] = {gpt, untied, mamba, mamba2};

typedef struct Model {
    LsConfig *config;
    LsParams *params;
} Model;

static Model make(const char *yaml)
{
    Model m = {ls_config_parse("test", yaml, 0, NULL), ls_params_new()};
    CU_ASSERT_FATAL(m.config && m.params);
    LsGraph *g = ls_graph_new(m.params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(m.config, g, 1, 4, LS_WANT_LAST);
    ASSERT_OK(ls_graph_plan_dry(g));
    ASSERT_OK(ls_params_allocate(m.params, 3, false));
    ls_graph_free(g);
    return m;
}

static void drop(Model *m)
{
    ls_params_free(m->params);
    ls_config_free(m->config);
}

/* Logits of every position, (TOKENS, VOCABULARY), fed `step` tokens a run. */
static void logits_of(const Model *m, const LsGraphOptions *options, int64_t step, float *logits)
{
    LsGraph *g = ls_graph_new(m->params, options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(m->config, g, 1, step, LS_WANT_OUTPUT);
    ASSERT_OK(ls_graph_plan(g));
    LsTensor *ids = ls_graph_find(g, "ids"), *position = ls_graph_find(g, "position"),
             *output = ls_graph_find(g, "output");
    for (int64_t t = 0; t < TOKENS; t += step) {
        for (int64_t i = 0; i < step; i++)
            ((int32_t *)ids->data)[i] = (int32_t)(((t + i) * (t + i) + 3 * (t + i)) % VOCABULARY);
        if (position)
            ((int32_t *)position->data)[0] = (int32_t)t;
        ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
        ls_tensor_get(g, output, logits + t * VOCABULARY);
    }
    ls_graph_free(g);
}

static double distance(const float *a, const float *b)
{
    double sum = 0;
    for (int64_t i = 0; i < TOKENS * VOCABULARY; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / (TOKENS * VOCABULARY));
}

/* Weights moved by noise in [-1/2, 1/2) of their row's 8-bit scale, or of their unit in the last place in bfloat16. */
static double noise_of(const float *value, int64_t row_first, int64_t length, int64_t i, bool eight, float uniform)
{
    double unit = 0;
    if (eight)
        for (int64_t k = 0; k < length; k++)
            unit = fmax(unit, fabs((double)value[row_first + k]) / 127);
    else if (value[i] != 0)
        unit = ldexp(1, ilogb((double)value[i]) - 7);
    return unit * ((double)uniform - 0.5);
}

static double expected(const Model *m, bool eight, const float *right)
{
    LsParams *params = m->params;
    float *kept = ls_alloc_array(params->total, sizeof *kept),
          *logits = ls_alloc_array(TOKENS * VOCABULARY, sizeof *logits);
    CU_ASSERT_FATAL(kept && logits);
    memcpy(kept, params->value, (size_t)params->total * sizeof *kept);
    double largest = 0;
    for (int draw = 0; draw < 4; draw++) {
        for (int p = 0; p < params->count; p++) {
            const LsParam *param = &params->list[p];
            int64_t length = param->count / param->dim[0];
            for (int64_t i = 0; i < param->count && param->rank == 2; i++)
                params->value[param->offset + i] +=
                    (float)noise_of(kept, param->offset + i / length * length, length, param->offset + i, eight,
                                    ls_uniform_at(17, (uint64_t)draw, (uint64_t)(param->offset + i)));
        }
        logits_of(m, &(LsGraphOptions){.mode = LS_DECODE}, TOKENS, logits);
        largest = fmax(largest, distance(logits, right));
        memcpy(params->value, kept, (size_t)params->total * sizeof *kept);
    }
    ls_free(kept), ls_free(logits);
    return largest;
}

static void test_logits(void)
{
    static float right[TOKENS * VOCABULARY], got[TOKENS * VOCABULARY];
    for (size_t i = 0; i < LS_COUNT_OF(models); i++) {
        Model m = make(models[i]);
        logits_of(&m, &(LsGraphOptions){.mode = LS_DECODE}, TOKENS, right);
        double eight = expected(&m, true, right), sixteen = expected(&m, false, right);
        CU_ASSERT(eight > 0 && sixteen > 0);
        /* token by token; all at once, another way of computing */
        for (int64_t step = 1; step <= TOKENS; step += TOKENS - 1) {
            logits_of(&m, &(LsGraphOptions){.mode = LS_DECODE, .int8_weights = true}, step, got);
            ASSERT_AT_MOST(distance(got, right), 4 * eight);
            CU_ASSERT(distance(got, right) > 0);
            logits_of(&m, &(LsGraphOptions){.mode = LS_DECODE, .precision = LS_BFLOAT16}, step, got);
            ASSERT_AT_MOST(distance(got, right), 8 * sixteen);
            logits_of(&m, &(LsGraphOptions){.mode = LS_DECODE, .precision = LS_BFLOAT16, .int8_weights = true}, step,
                      got);
            ASSERT_AT_MOST(distance(got, right), 4 * eight + 8 * sixteen);
        }
        /* predict's graph: no states, whole rows */
        logits_of(&m, &(LsGraphOptions){.mode = LS_EVAL, .precision = LS_BFLOAT16}, TOKENS, got);
        ASSERT_AT_MOST(distance(got, right), 8 * sixteen);
        CU_ASSERT(distance(got, right) > 0);
        drop(&m);
    }
}

/* q s is within half a scale of the weight; the largest of a row is met exactly. */
static void test_rounding(void)
{
    Model m = make(untied);
    static float logits[TOKENS * VOCABULARY];
    int p = ls_params_find(m.params, "layer.1.mlp.out.weight");
    CU_ASSERT_FATAL(p >= 0);
    const LsParam *param = &m.params->list[p];
    int64_t length = param->dim[1];
    memset(m.params->value + param->offset, 0, (size_t)length * sizeof(float)); /* a row of zeros */
    logits_of(&m, &(LsGraphOptions){.mode = LS_DECODE, .int8_weights = true}, TOKENS, logits);
    for (int64_t j = 0; j < param->dim[0]; j++) {
        double scale = (double)m.params->row_scale[param->row + j], largest = 0, worst = 0;
        for (int64_t k = 0; k < length; k++) {
            double w = (double)m.params->value[param->offset + j * length + k],
                   q = m.params->eighths[param->offset + j * length + k];
            largest = fmax(largest, fabs(w));
            worst = fmax(worst, fabs(w - q * scale));
        }
        ASSERT_AT_MOST(fabs(scale - largest / 127), largest * 0x1p-24);
        /* 127 roundings of 2^-23 where the scale is divided and multiplied */
        ASSERT_AT_MOST(worst, 0.5 * scale * (1 + 0x1p-15));
    }
    drop(&m);
}

static bool take(void *self, int64_t stream, int64_t index, int32_t token)
{
    ((int32_t *)self)[stream * TOKENS + index] = token;
    return true;
}

/* A frozen store holds less than the floats and says the same, to the bit; what it does not hold is refused. */
static void test_frozen(void)
{
    static const LsGeneratePrecision precisions[] = {LS_GENERATE_FLOAT, LS_GENERATE_BFLOAT16, LS_GENERATE_INT8};
    static int32_t whole[3 * TOKENS], frozen[3 * TOKENS];
    const int32_t prompt[] = {5, 3, 60, 1};
    for (size_t i = 0; i < LS_COUNT_OF(models); i++)
        for (size_t p = 0; p < LS_COUNT_OF(precisions); p++) {
            Model m = make(models[i]);
            LsParams *only = ls_params_new();
            LsSampling sampling = {
                .temperature = 1, .top_p = 1, .tokens = TOKENS, .batch = 3, .stop = -1, .precision = precisions[p]};
            LsGenerationSpeed speed, less;
            ASSERT_OK(ls_generate(m.config, m.params, prompt, 4, &sampling, take, whole, &speed));
            ASSERT_OK(ls_generate_freeze(m.config, precisions[p], only));
            ASSERT_OK(ls_params_draw(only, 4));
            for (int k = 0; k < only->count; k++) {
                int from = ls_params_find(m.params, only->list[k].name);
                CU_ASSERT_FATAL(from >= 0);
                ls_params_put(only, k, m.params->value + m.params->list[from].offset);
            }
            ASSERT_OK(ls_generate(m.config, only, prompt, 4, &sampling, take, frozen, &less));
            CU_ASSERT_EQUAL(memcmp(whole, frozen, sizeof whole), 0);
            CU_ASSERT_EQUAL(less.state_bytes, speed.state_bytes);
            /* row scales, and what stays float, are little even in models this small */
            double share = precisions[p] == LS_GENERATE_INT8 ? 0.45 : precisions[p] == LS_GENERATE_BFLOAT16 ? 0.6 : 1.1;
            ASSERT_AT_MOST((double)less.parameter_bytes, share * 4 * (double)m.params->total);
            sampling.precision = precisions[(p + 1) % 3];
            ASSERT_FAILS(ls_generate(m.config, only, prompt, 4, &sampling, take, frozen, &less), LS_ERROR,
                         "was not loaded in the precision");
            ls_params_free(only);
            drop(&m);
        }
}

/* A stream alone and among others, in every precision, on any number of threads. */
static void test_streams(void)
{
    static const LsGeneratePrecision precisions[] = {LS_GENERATE_FLOAT, LS_GENERATE_BFLOAT16, LS_GENERATE_INT8};
    static int32_t one[TOKENS], many[5 * TOKENS];
    const int32_t prompt[] = {5, 3, 60, 1};
    for (size_t i = 0; i < LS_COUNT_OF(models); i++)
        for (size_t p = 0; p < LS_COUNT_OF(precisions); p++) {
            Model m = make(models[i]);
            LsSampling sampling = {
                .temperature = 1, .top_p = 1, .tokens = TOKENS, .batch = 1, .stop = -1, .precision = precisions[p]};
            LsGenerationSpeed speed;
            ls_set_threads(1);
            ASSERT_OK(ls_generate(m.config, m.params, prompt, 4, &sampling, take, one, &speed));
            sampling.batch = 5;
            ls_set_threads(2);
            ASSERT_OK(ls_generate(m.config, m.params, prompt, 4, &sampling, take, many, &speed));
            CU_ASSERT_EQUAL(memcmp(one, many, sizeof one), 0);
            CU_ASSERT(memcmp(one, many + TOKENS, sizeof one) != 0);
            drop(&m);
        }
}

/* A weight that is not finite is told, not hidden by the rounding; and training in 8 bits is refused. */
static void test_refused(void)
{
    Model m = make(gpt);
    static int32_t tokens[TOKENS];
    const int32_t prompt[] = {1};
    LsSampling sampling = {
        .temperature = 1, .top_p = 1, .tokens = 2, .batch = 1, .stop = -1, .precision = LS_GENERATE_INT8};
    LsGenerationSpeed speed;
    int p = ls_params_find(m.params, "layer.0.mlp.in.weight");
    CU_ASSERT_FATAL(p >= 0);
    m.params->value[m.params->list[p].offset + 7] = INFINITY;
    ASSERT_FAILS(ls_generate(m.config, m.params, prompt, 1, &sampling, take, tokens, &speed), LS_DIVERGED,
                 "not finite");
    CU_ASSERT_PTR_NULL(ls_graph_new(m.params, &(LsGraphOptions){.mode = LS_TRAIN, .int8_weights = true}));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "not for training"));
    drop(&m);
}

int main(void)
{
    ls_set_threads(1); /* many tiny graphs */
    return harness_run("weights", (HarnessTest[]){{"logits", test_logits},
                                                  {"rounding", test_rounding},
                                                  {"streams", test_streams},
                                                  {"frozen", test_frozen},
                                                  {"refused", test_refused},
                                                  {0}});
}
