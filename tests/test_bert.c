/* BERT against an encoder of PyTorch's own layers (tests/fixtures/bert.py): features and the gradients of all
 * parameters, for samples of different lengths with two kinds of tokens. */
#include "harness.h"
#include "config/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { B = 3, T = 9, WIDTH = 12, VOCABULARY = 11, TYPES = 2, LAYERS = 2 };

static const int32_t lengths[B] = {9, 4, 1};

/* The values that fixtures/bert.py makes. */
static void fill(float *x, int64_t count, int64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)((double)((17 * i + 29 * seed + (i % 1009) * (i % 1009)) % 101) / 50 - 1);
}

/* The parameter number `i` of the fixture, of *layer. */
static void parameter_name(int i, char name[64])
{
    static const char *const first[] = {"token_embedding", "position_embedding", "type_embedding", "norm.scale",
                                        "norm.bias"};
    static const char *const each[] = {"attention.qkv.weight", "attention.qkv.bias", "attention.out.weight",
                                       "attention.out.bias",   "norm_1.scale",       "norm_1.bias",
                                       "mlp.in.weight",        "mlp.in.bias",        "mlp.out.weight",
                                       "mlp.out.bias",         "norm_2.scale",       "norm_2.bias"};
    int before = (int)LS_COUNT_OF(first), count = (int)LS_COUNT_OF(each);
    if (i < before)
        snprintf(name, 64, "%s", first[i]);
    else
        snprintf(name, 64, "layer.%d.%s", (i - before) / count, each[(i - before) % count]);
}

static void expect(FILE *file, const float *x, int64_t count, const char *name)
{
    double largest = 1e-30, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        float expected;
        CU_ASSERT_EQUAL_FATAL(fread(&expected, sizeof expected, 1, file), 1);
        double d = fabs((double)x[i] - (double)expected);
        largest = fmax(largest, fabs((double)expected));
        worst = d <= worst ? worst : d; /* NaN is taken over */
    }
    if (!(worst <= 1e-5 * largest))
        fprintf(stderr, "%s is off by %g of its largest\n", name, worst / largest);
    CU_ASSERT(worst <= 1e-5 * largest);
}

typedef struct Encoder {
    LsConfig *config;
    LsParams *params;
    LsGraph *g;
    LsTensor *features, *loss;
} Encoder;

static Encoder encoder_new(const char *fields)
{
    Encoder e = {.config = ls_config_parse("bert",
                                           "model: {kind: bert, vocabulary: 11, context: 9, layers: 2, heads: 3, "
                                           "width: 12, hidden: 20, dropout: 0, epsilon: 1e-5}",
                                           0, NULL),
                 .params = ls_params_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(e.config);
    LsFields list;
    ASSERT_OK(ls_fields_parse(fields, &list));
    e.g = ls_graph_new(e.params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(e.g);
    LsShape shape = {.batch = B, .sequence = T, .want = LS_WANT_LOSS, .fields = &list};
    e.features = e.config->model->build(e.g, e.config->model_config, &shape).features;
    ls_output(e.g, "features", e.features);
    ls_output(e.g, "loss", ls_mul(e.g, e.features, ls_input(e.g, "r", LS_REAL, 3, e.features->dim)));
    ASSERT_OK(ls_params_allocate(e.params, 3, true));
    ASSERT_OK(ls_graph_plan(e.g));
    return e;
}

static void encoder_free(Encoder *e)
{
    ls_graph_free(e->g);
    ls_params_free(e->params);
    ls_config_free(e->config);
}

/* Ids, types and lengths of the fixture; tokens past the lengths are `padding`. */
static void set_inputs(Encoder *e, int32_t padding)
{
    int32_t *ids = ls_graph_find(e->g, "ids")->data;
    LsTensor *types = ls_graph_find(e->g, "types"), *length = ls_graph_find(e->g, "length");
    float *r = ls_graph_find(e->g, "r")->data;
    fill(r, B * T * WIDTH, 90);
    memcpy(length->data, lengths, sizeof lengths);
    for (int i = 0; i < B * T; i++) {
        bool there = i % T < lengths[i / T];
        ids[i] = there ? (7 * i + i * i) % VOCABULARY : padding;
        if (types)
            ((int32_t *)types->data)[i] = i / 2 % TYPES;
        for (int k = 0; k < WIDTH && !there; k++)
            r[i * WIDTH + k] = 0;
    }
}

static void run_both_ways(Encoder *e)
{
    ASSERT_OK(ls_graph_forward(e->g, &(LsRun){.training = true}));
    ASSERT_OK(ls_graph_backward(e->g, &(LsRun){.training = true}, 1, false, NULL));
    for (int i = 0; i < B * T * WIDTH; i++)
        if (i / WIDTH % T >= lengths[i / WIDTH / T])
            ((float *)ls_graph_find(e->g, "features")->data)[i] = 0;
}

static void test_pytorch(void)
{
    Encoder e = encoder_new("ids T of 11, length int, types T of 2");
    FILE *file = fopen(TESTS_FOLDER "/fixtures/bert.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < e.params->count; i++) {
        char name[64];
        parameter_name(i, name);
        int at = ls_params_find(e.params, name);
        CU_ASSERT_FATAL(at >= 0);
        fill(e.params->value + e.params->list[at].offset, e.params->list[at].count, i);
    }
    ls_graph_refresh(e.g);
    set_inputs(&e, 0);
    run_both_ways(&e);
    expect(file, ls_graph_find(e.g, "features")->data, B * T * WIDTH, "the features");
    for (int i = 0; i < e.params->count; i++) {
        char name[64];
        parameter_name(i, name);
        const LsParam *p = &e.params->list[ls_params_find(e.params, name)];
        expect(file, e.params->grad + p->offset, p->count, name);
    }
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
    encoder_free(&e);
}

/* Other ids past the lengths change no bit of the features before them. */
static void test_padding(void)
{
    Encoder one = encoder_new("ids T of 11, length int"), other = encoder_new("ids T of 11, length int");
    CU_ASSERT(ls_params_find(one.params, "type_embedding") < 0);
    set_inputs(&one, 0);
    set_inputs(&other, 7);
    run_both_ways(&one);
    run_both_ways(&other);
    CU_ASSERT_EQUAL(memcmp(ls_graph_find(one.g, "features")->data, ls_graph_find(other.g, "features")->data,
                           sizeof(float) * B * T * WIDTH),
                    0);
    encoder_free(&one);
    encoder_free(&other);
}

int main(void)
{
    return harness_run("bert", (HarnessTest[]){{"features and gradients of PyTorch's layers", test_pytorch},
                                               {"padding is not seen", test_padding},
                                               {0}});
}
