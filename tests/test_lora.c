/* Adapters (config.lora) on every model of the list that has dense layers, with every task that fits it: the loss is
 * that of the merged weights, the gradients follow from theirs, and nothing else has any. */
#include "models_list.h"
#include "graph/graph_internal.h"

#include <math.h>

enum { B = 2, T = 7, RANK = 2 };

static const double alpha = 3;

typedef struct Built {
    LsParams *params;
    LsGraph *g;
} Built;

static Built build(const LsConfig *config)
{
    Built built = {.params = ls_params_new()};
    LsFields fields;
    built.g = ls_graph_new(built.params, &(LsGraphOptions){.mode = LS_TRAIN, .poison = true});
    CU_ASSERT_PTR_NOT_NULL_FATAL(built.g);
    ls_config_build(config, built.g, B, T, LS_WANT_LOSS);
    ASSERT_OK(ls_params_allocate(built.params, 5, true));
    ASSERT_OK(ls_graph_plan(built.g));
    ASSERT_OK(ls_config_fields(config, &fields));
    for (int i = 0; i < fields.count; i++) {
        const LsField *field = &fields.list[i];
        LsTensor *x = ls_graph_find(built.g, field->name);
        double low = field->classes > 0 ? 0 : 1, high = field->classes > 0 ? (double)field->classes : T + 1;
        for (int64_t k = 0; x && k < x->count; k++) {
            double at = (double)ls_uniform_at(ls_key(7, x->name), 0, (uint64_t)k);
            double value = x->dtype == LS_I32 ? floor(low + (high - low) * at) : 2 * at - 1;
            ls_set_element(built.g, x->data, x->dtype, k, value);
        }
    }
    return built;
}

static void built_free(Built *built)
{
    ls_graph_free(built->g);
    ls_params_free(built->params);
}

static double run(const Built *built)
{
    const LsRun run = {.seed = 3}; /* nothing is dropped */
    ASSERT_OK(ls_graph_forward(built->g, &run));
    ASSERT_OK(ls_graph_backward(built->g, &run, 1, false, NULL));
    return ls_element(built->g, ls_graph_find(built->g, "loss")->data, LS_ACC, 0);
}

/* The part of the adapter of weight p, "NAME.weight", that is called so; NULL where it has none. */
static const LsParam *adapter_of(const LsParams *params, const LsParam *p, const char *part)
{
    const char *dot = strrchr(p->name, '.');
    char name[256];
    snprintf(name, sizeof name, "%.*s.%s", (int)(dot ? dot - p->name : 0), p->name, part);
    int at = dot && strcmp(dot, ".weight") == 0 ? ls_params_find(params, name) : -1;
    return at >= 0 ? &params->list[at] : NULL;
}

/* full gets W + (alpha / rank) B A. */
static void merge(const LsParams *adapted, const LsParams *full)
{
    const LsParams *base = ls_params_base(adapted);
    for (int i = 0; i < base->count; i++) {
        const LsParam *p = &base->list[i], *a = adapter_of(adapted, p, "lora_a"), *b = adapter_of(adapted, p, "lora_b");
        float *to = full->value + full->list[ls_params_find(full, p->name)].offset;
        memcpy(to, base->value + p->offset, (size_t)p->count * sizeof(float));
        for (int64_t n = 0; a && n < p->dim[0]; n++)
            for (int64_t k = 0; k < p->dim[1]; k++)
                for (int64_t r = 0; r < RANK; r++)
                    to[n * p->dim[1] + k] += (float)(alpha / RANK) * adapted->value[b->offset + n * RANK + r] *
                                             adapted->value[a->offset + r * p->dim[1] + k];
    }
}

/* dL/dA = alpha / rank B^T dL/dW, dL/dB = alpha / rank dL/dW A^T, in units of the largest number of each. */
static double gradients_differ(const LsParams *adapted, const LsParams *full, const LsParam *p)
{
    const LsParam *a = adapter_of(adapted, p, "lora_a"), *b = adapter_of(adapted, p, "lora_b");
    const float *dw = full->grad + full->list[ls_params_find(full, p->name)].offset;
    double worst = 0, largest = 1e-6;
    int64_t rows = p->dim[0], columns = p->dim[1];
    for (int64_t r = 0; r < RANK; r++) {
        for (int64_t k = 0; k < columns; k++) {
            double expected = 0;
            for (int64_t n = 0; n < rows; n++)
                expected +=
                    alpha / RANK * (double)adapted->value[b->offset + n * RANK + r] * (double)dw[n * columns + k];
            worst = fmax(worst, fabs(expected - (double)adapted->grad[a->offset + r * columns + k]));
            largest = fmax(largest, fabs(expected));
        }
        for (int64_t n = 0; n < rows; n++) {
            double expected = 0;
            for (int64_t k = 0; k < columns; k++)
                expected +=
                    alpha / RANK * (double)adapted->value[a->offset + r * columns + k] * (double)dw[n * columns + k];
            worst = fmax(worst, fabs(expected - (double)adapted->grad[b->offset + n * RANK + r]));
            largest = fmax(largest, fabs(expected));
        }
    }
    return worst / largest;
}

/* How many layers are adapted; 0: the model has no dense layers. */
static int check_model(const Listed *listed)
{
    LsConfig adapted_config = *listed->config;
    adapted_config.lora = (LsLoraSettings){.rank = RANK, .alpha = alpha, .targets = "."};
    LsParams *dry = ls_params_new();
    LsStatus status = ls_config_declare(&adapted_config, dry);
    ls_params_free(dry);
    if (status != LS_OK) {
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "matches no dense layer of model"));
        return 0;
    }
    Built full = build(listed->config), adapted = build(&adapted_config);
    const LsParams *base = ls_params_base(adapted.params);
    int layers = 0;
    CU_ASSERT_EQUAL_FATAL(base->count, full.params->count);
    CU_ASSERT_PTR_NULL(base->grad);
    for (int64_t i = 0; i < adapted.params->total; i++) /* B is zero at first, and teaches A nothing */
        adapted.params->value[i] += 0.2f * ls_normal_at(11, 0, (uint64_t)i);
    merge(adapted.params, full.params);
    double loss = run(&adapted), expected = run(&full);
    ASSERT_AT_MOST(fabs(loss - expected), 1e-5 * (1 + fabs(expected)));
    for (int i = 0; i < base->count; i++)
        if (adapter_of(adapted.params, &base->list[i], "lora_a")) {
            ASSERT_AT_MOST(gradients_differ(adapted.params, full.params, &base->list[i]), 1e-3);
            layers++;
        }
    CU_ASSERT_EQUAL(adapted.params->count, 2 * layers);
    const LsParams *running = adapted.params->running;
    CU_ASSERT_EQUAL(ls_graph_memory(adapted.g).gradients,
                    adapted.params->total * 4 + (running ? running->total * 12 : 0));
    built_free(&full);
    built_free(&adapted);
    return layers;
}

static void test_models(void)
{
    int models = 0, layers = 0;
    for (Listed listed = {0}; listed_next(&listed, "");) {
        if (listed.config->procedure != ls_procedures()[0])
            continue; /* refused in a job */
        CU_FailureRecord *before = CU_get_failure_list();
        int found = check_model(&listed);
        if (CU_get_failure_list() != before)
            fprintf(stderr, "(%s)\n", listed.name);
        models += found > 0;
        layers += found;
    }
    CU_ASSERT(models >= 6 && layers > 2 * models);
}

/* Only what the expression names, and what the model has is told where that is nothing. */
static void test_targets(void)
{
    LsConfig *config = ls_config_parse("job",
                                       "model: {kind: gpt, layers: 2, heads: 2, width: 8, context: 8, vocabulary: 11}\n"
                                       "train: {init: elsewhere}\n"
                                       "lora: {rank: 2, targets: 'layer\\.1\\.attention|mlp\\.in$'}\n",
                                       0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsParams *params = ls_params_new();
    ASSERT_OK(ls_config_declare(config, params));
    CU_ASSERT_EQUAL(params->count, 2 * (2 + 2));
    CU_ASSERT(ls_params_find(params, "layer.1.attention.qkv.lora_a") >= 0);
    CU_ASSERT(ls_params_find(params, "layer.0.mlp.in.lora_b") >= 0);
    CU_ASSERT(ls_params_find(params, "layer.0.attention.qkv.lora_a") < 0);
    ls_params_free(params);
    ls_config_free(config);
    CU_ASSERT_PTR_NULL(ls_config_parse("job", "model: {kind: gpt}\nlora: {rank: 2}\n", 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "name it as train.init"));
    CU_ASSERT_PTR_NULL(ls_config_parse("job",
                                       "model: {kind: gan_mlp}\ntask: {kind: generation}\nlora: {rank: 2}\n"
                                       "train: {init: elsewhere}\n",
                                       0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "adapters are trained by train.procedure supervised"));
}

int main(void)
{
    return harness_run("lora", (HarnessTest[]){{"every model", test_models}, {"targets", test_targets}, {0}});
}
