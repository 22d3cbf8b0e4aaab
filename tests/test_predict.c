/* The program's predict on imported models against the logits of transformers (tests/fixtures/hf.py made them). */
#include "harness.h"
#include "io/sealed.h"
#include "store/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 256

/* The ids of tokens.txt: "batch B", "sequence T", "ids ...". */
static void read_ids(const char *path, int *batch, int *sequence, int ids[MOST])
{
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "batch %d sequence %d ids", batch, sequence), 2);
    CU_ASSERT_FATAL(*batch * *sequence <= MOST);
    for (int i = 0; i < *batch * *sequence; i++)
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%d", &ids[i]), 1);
    fclose(file);
}

static void run_program(const char *arguments)
{
    char command[4096];
    snprintf(command, sizeof command, "OMP_NUM_THREADS=1 '%s' %s > '%s' 2>&1", PROGRAM, arguments,
             harness_path("log.txt"));
    int status = system(command);
    if (status != 0) {
        fprintf(stderr, "%s: %d\n", command, status);
        snprintf(command, sizeof command, "cat '%s' >&2", harness_path("log.txt"));
        CU_ASSERT_EQUAL(system(command), 0);
    }
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

/* output: (1, T, V); expected: (T, V). */
static void compare(const char *path, int sequence, const float *expected, int64_t vocabulary, bool bfloat16)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK], count = sequence * vocabulary;
    LsSealed *file = ls_sealed_open(path, "output", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_shape(file, "output", &exists, &type, &rank, dim));
    CU_ASSERT_FATAL(exists && type == LS_FILE_FLOAT32 && rank == 3 && dim[0] == 1 && dim[1] == sequence &&
                    dim[2] == vocabulary);
    float *output = ls_alloc_array(count, sizeof *output);
    ASSERT_OK(ls_sealed_read(file, "output", LS_FILE_FLOAT32, count, output));
    ls_sealed_close(file);
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(expected[i]));
        double error = fabs((double)output[i] - expected[i]);
        worst = error > worst || isnan(error) ? error : worst;
    }
    /* Sums of some hundred products in another order: a few times 2^-24 of the largest. In bfloat16, on the way through
     * two layers about 20 results and weights are rounded by up to 2^-9 of themselves, with random signs: sqrt(20) 2^-9
     * is typical, 5 times that for the worst of some hundred; and there must be an error that float does not have. */
    ASSERT_AT_MOST(worst / largest, bfloat16 ? 5 * sqrt(20) * 0x1p-9 : 2e-6);
    CU_ASSERT(!bfloat16 || worst / largest > 2e-6);
    ls_free(output);
}

static void check_model(const char *name, bool bfloat16)
{
    char fixture[512], arguments[4096], folder[64];
    snprintf(folder, sizeof folder, "%s-%d", name, bfloat16);
    char *run = ls_strdup(harness_path(folder)), *out = ls_strdup(harness_path("output.h5"));
    int batch = 0, sequence = 0, ids[MOST];
    snprintf(fixture, sizeof fixture, "%s/fixtures/%s/tokens.txt", TESTS_FOLDER, name);
    read_ids(fixture, &batch, &sequence, ids);
    snprintf(fixture, sizeof fixture, "%s/fixtures/%s/expected.safetensors", TESTS_FOLDER, name);
    LsSafetensors *tensors = NULL;
    ASSERT_OK(ls_safetensors_open(fixture, LS_DATA, &tensors));
    const LsSafeTensor *logits = ls_safetensors_find(tensors, "logits"); /* (B, T, V) */
    CU_ASSERT_PTR_NOT_NULL_FATAL(logits);
    CU_ASSERT_FATAL(logits->rank == 3 && logits->dim[0] == batch && logits->dim[1] == sequence);
    float *expected = ls_alloc_array(logits->count, sizeof *expected);
    ASSERT_OK(ls_safetensors_read(tensors, logits, expected));
    snprintf(arguments, sizeof arguments, "import '%s/fixtures/%s' -o '%s'", TESTS_FOLDER, name, run);
    run_program(arguments);
    for (int row = 0; row < batch; row++) {
        int used = snprintf(arguments, sizeof arguments, "predict '%s' train.precision=%s -o '%s' --ids ", run,
                            bfloat16 ? "bfloat16" : "float", out);
        for (int i = 0; i < sequence; i++)
            used += snprintf(arguments + used, sizeof arguments - (size_t)used, "%s%d", i ? "," : "",
                             ids[row * sequence + i]);
        run_program(arguments);
        compare(out, sequence, expected + row * sequence * logits->dim[2], logits->dim[2], bfloat16);
    }
    ls_free(expected);
    ls_safetensors_close(tensors);
    ls_free(run);
    ls_free(out);
}

static void test_gpt2(void) { check_model("gpt2-tiny", false); }

static void test_mamba(void) { check_model("mamba-tiny", false); }

static void test_gpt2_bfloat16(void) { check_model("gpt2-tiny", true); }

static void test_mamba_bfloat16(void) { check_model("mamba-tiny", true); }

static void test_mamba2(void)
{
    check_model("mamba2-tiny", false);
    check_model("mamba2-tiny", true);
}

int main(void)
{
    return harness_run("predict", (HarnessTest[]){{"gpt2", test_gpt2},
                                                  {"mamba", test_mamba},
                                                  {"gpt2 in bfloat16", test_gpt2_bfloat16},
                                                  {"mamba in bfloat16", test_mamba_bfloat16},
                                                  {"mamba2", test_mamba2},
                                                  {0}});
}
