/* Linformer against the paper's equations in PyTorch (tests/fixtures/linformer.py), for each way to share projections
 * and samples of different lengths; and that its memory grows with the length alone. */
#include "encoder_fixture.h"
#include "linear_memory.h"

enum { B = 3, T = 9 };

static const int32_t lengths[B] = {9, 4, 1};
#define MAPS "attention.query.weight", "attention.query.bias", "attention.key_value.weight", "attention.key_value.bias"
#define REST                                                                                                           \
    "attention.out.weight", "attention.out.bias", "norm_1.scale", "norm_1.bias", "mlp.in.weight", "mlp.in.bias",       \
        "mlp.out.weight", "mlp.out.bias", "norm_2.scale", "norm_2.bias", NULL

static Encoder linformer_new(const char *sharing)
{
    char yaml[256];
    snprintf(
        yaml, sizeof yaml,
        "model: {kind: linformer, vocabulary: 11, context: 12, layers: 2, heads: 3, width: 12, hidden: 20, dropout: 0, "
        "epsilon: 1e-5, projected: 4, sharing: %s}",
        sharing);
    return encoder_new(yaml, "ids T of 11, length int", B, T, lengths);
}

static void test_paper(void)
{
    static const char *const first[] = {"token_embedding", "position_embedding", "norm.scale", "norm.bias", NULL};
    static const char *const first_shared[] = {"token_embedding", "position_embedding", "norm.scale",
                                               "norm.bias",       "projection",         NULL};
    static const char *const each[] = {MAPS, "attention.projection", REST};
    static const char *const each_shared[] = {MAPS, REST};
    static const char *const sharing[] = {"none", "headwise", "key_value", "layerwise"};
    FILE *file = fopen(TESTS_FOLDER "/fixtures/linformer.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < 4; i++) {
        Encoder e = linformer_new(sharing[i]);
        EncoderNames names = i < 3 ? (EncoderNames){first, each} : (EncoderNames){first_shared, each_shared};
        encoder_compare(&e, &names, file, 1e-4);
        encoder_free(&e);
    }
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
}

static void test_padding(void)
{
    Encoder one = linformer_new("headwise"), other = linformer_new("headwise");
    encoder_check_padding(&one, &other);
}

static void test_memory(void) { check_linear_memory("kind: linformer, projected: 32"); }

static void test_refused(void)
{
    LsConfig *config = ls_config_parse("linformer",
                                       "model: {kind: linformer, context: 8, layers: 1, width: 8, heads: 2}\n"
                                       "task: {kind: masked_language}",
                                       0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ls_config_set_model_int(config, "vocabulary", 11);
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_config_build(config, g, 2, 9, LS_WANT_LOSS);
    ASSERT_FAILS(ls_graph_plan_dry(g), LS_USAGE, "a sequence of 9 tokens is longer than model.context 8");
    ls_graph_free(g);
    ls_params_free(params);
    ls_config_free(config);
}

int main(void)
{
    return harness_run("linformer", (HarnessTest[]){{"features and gradients of the paper's equations", test_paper},
                                                    {"padding is not seen", test_padding},
                                                    {"memory grows with the length", test_memory},
                                                    {"what is too long", test_refused},
                                                    {0}});
}
