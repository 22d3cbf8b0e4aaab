/* BERT against an encoder of PyTorch's own layers (tests/fixtures/bert.py): features and the gradients of all
 * parameters, for samples of different lengths with two kinds of tokens. */
#include "encoder_fixture.h"

enum { B = 3, T = 9 };

static const int32_t lengths[B] = {9, 4, 1};

static Encoder bert_new(const char *fields)
{
    return encoder_new("model: {kind: bert, vocabulary: 11, context: 9, layers: 2, heads: 3, width: 12, hidden: 20, "
                       "dropout: 0, epsilon: 1e-5}",
                       fields, B, T, lengths);
}

static void test_pytorch(void)
{
    static const char *const first[] = {"token_embedding", "position_embedding", "type_embedding",
                                        "norm.scale",      "norm.bias",          NULL};
    static const char *const each[] = {"attention.qkv.weight",
                                       "attention.qkv.bias",
                                       "attention.out.weight",
                                       "attention.out.bias",
                                       "norm_1.scale",
                                       "norm_1.bias",
                                       "mlp.in.weight",
                                       "mlp.in.bias",
                                       "mlp.out.weight",
                                       "mlp.out.bias",
                                       "norm_2.scale",
                                       "norm_2.bias",
                                       NULL};
    Encoder e = bert_new("ids T of 11, length int, types T of 2");
    FILE *file = fopen(TESTS_FOLDER "/fixtures/bert.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    encoder_compare(&e, &(EncoderNames){first, each}, file, 1e-5);
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
    encoder_free(&e);
}

static void test_padding(void)
{
    Encoder one = bert_new("ids T of 11, length int"), other = bert_new("ids T of 11, length int");
    CU_ASSERT(ls_params_find(one.params, "type_embedding") < 0);
    encoder_check_padding(&one, &other);
}

int main(void)
{
    return harness_run("bert", (HarnessTest[]){{"features and gradients of PyTorch's layers", test_pytorch},
                                               {"padding is not seen", test_padding},
                                               {0}});
}
