/* Optimisers against PyTorch's (tests/fixtures/optimizer.py), and the same bits for any number of threads. */
#include "harness.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A store made by hand: (5, 7), (9), (3, 4) with LS_NO_DECAY -------------------------------------------------- */

enum { VALUES = 56, TOTAL = 48 + 16 + 16 };

static LsParam list[] = {
    {.name = "a", .rank = 2, .dim = {5, 7}, .count = 35, .offset = 0},
    {.name = "b", .rank = 1, .dim = {9}, .count = 9, .offset = 48},
    {.name = "c", .rank = 2, .dim = {3, 4}, .count = 12, .offset = 64, .flags = LS_NO_DECAY},
};
static float value[TOTAL], grad[TOTAL], m[TOTAL], v[TOTAL];
static LsParams params = {
    .list = list, .count = 3, .total = TOTAL, .elements = VALUES, .value = value, .grad = grad, .sealed = true};

static void scatter(const float *from, float *to)
{
    for (int i = 0; i < 3; i++, from += list[i - 1].count)
        memcpy(to + list[i].offset, from, (size_t)list[i].count * sizeof(float));
}

/* Reads "NAME number ..." of the fixture; false at its end. */
static bool read_line(FILE *file, const char *name, float *numbers)
{
    char word[32];
    if (fscanf(file, "%31s", word) != 1)
        return false;
    CU_ASSERT_STRING_EQUAL_FATAL(word, name);
    for (int i = 0; i < VALUES; i++) {
        char number[64];
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%63s", number), 1);
        numbers[i] = strtof(number, NULL);
    }
    return true;
}

/* Steps of one kind of the fixture, against values after each; gradients times `gain`, undone by the scale of
 * update. */
static void compare(FILE *file, const char *name, const LsOptimizer *optimizer, const LsTrainSettings *settings,
                    const float *initial, float (*gradients)[VALUES], bool with_gradients, float gain)
{
    float expected[VALUES], flat[TOTAL] = {0};
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    scatter(initial, value);
    for (int64_t step = 1; step <= 10; step++) {
        if (with_gradients)
            CU_ASSERT_FATAL(read_line(file, "grad", gradients[step - 1]));
        CU_ASSERT_FATAL(read_line(file, name, expected));
        scatter(gradients[step - 1], grad);
        for (int i = 0; i < TOTAL; i++)
            grad[i] *= gain;
        optimizer->update(settings, &params, (float *const[]){m, v}, NULL, step, settings->learning_rate,
                          1.0 / (double)gain);
        scatter(expected, flat);
        for (int i = 0; i < TOTAL; i++) /* ten steps of a few roundings each, of values below 4 */
            ASSERT_AT_MOST(fabs((double)(value[i] - flat[i])), 4 * 10 * 4 * 0x1p-24);
    }
    for (int p = 0; p < 3; p++) /* padding stays zero */
        for (int64_t i = list[p].offset + list[p].count; i < (p < 2 ? list[p + 1].offset : TOTAL); i++)
            CU_ASSERT(value[i] == 0 && m[i] == 0 && v[i] == 0);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/optimizer.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    float initial[VALUES];
    static float gradients[10][VALUES];
    CU_ASSERT_FATAL(read_line(file, "initial", initial));
    LsTrainSettings settings = {
        .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1};
    const LsOptimizer *adamw = ls_optimizer_find("adamw"), *sgd = ls_optimizer_find("sgd");
    CU_ASSERT_PTR_NOT_NULL_FATAL(adamw);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sgd);
    CU_ASSERT_EQUAL(adamw->moments, 2);
    CU_ASSERT_EQUAL(sgd->moments, 1);
    compare(file, "adamw", adamw, &settings, initial, gradients, true, 1);
    compare(file, "sgd", sgd, &settings, initial, gradients, false, 8);
    settings.momentum = 0.9;
    compare(file, "momentum", sgd, &settings, initial, gradients, false, 1);
    char word[8];
    CU_ASSERT_EQUAL(fscanf(file, "%7s", word), EOF);
    fclose(file);
    CU_ASSERT_PTR_NULL(ls_optimizer_find("none"));
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static void test_threads(void)
{
    enum { COUNT = 100000 };
    LsParam big[] = {{.name = "w", .rank = 2, .dim = {300, 300}, .count = 90000, .offset = 0},
                     {.name = "b", .rank = 1, .dim = {9991}, .count = 9991, .offset = 90000}};
    const LsTrainSettings settings = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .momentum = 0.5};
    int threads = ls_threads();
    float *array[2][4];
    double squares[2];
    for (int which = 0; which < 2; which++) {
        const LsOptimizer *optimizer = ls_optimizer_find(which ? "adamw" : "sgd");
        for (int run = 0; run < 2; run++) {
            ls_set_threads(run == 0 ? 1 : 3);
            for (int a = 0; a < 4; a++) {
                array[run][a] = ls_alloc_array(COUNT, sizeof(float));
                CU_ASSERT_PTR_NOT_NULL_FATAL(array[run][a]);
                for (uint64_t i = 0; i < 99991; i++)
                    array[run][a][i] = a == 3 ? ls_uniform_at(5, 3, i) : ls_normal_at(5, (uint64_t)a, i);
            }
            LsParams store = {
                .list = big, .count = 2, .total = COUNT, .value = array[run][0], .grad = array[run][1], .sealed = true};
            squares[run] = ls_sum_of_squares(store.grad, COUNT);
            if (run == 0) {
                optimizer->update(&settings, &store, &array[run][2], NULL, 3, 1e-2, 0.5);
            } else { /* in two shards of uneven ranges: the same */
                const LsRange first[] = {{50016, 20016}, {16, 33000}},
                              second[] = {{70032, COUNT - 70032}, {0, 16}, {33016, 17000}};
                optimizer->update(&settings, &store, &array[run][2], &(LsShard){2, first}, 3, 1e-2, 0.5);
                optimizer->update(&settings, &store, &array[run][2], &(LsShard){3, second}, 3, 1e-2, 0.5);
            }
        }
        CU_ASSERT_EQUAL(squares[0], squares[1]);
        for (int a = 0; a < 4; a++) {
            CU_ASSERT_EQUAL(memcmp(array[0][a], array[1][a], COUNT * sizeof(float)), 0);
            ls_free(array[0][a]);
            ls_free(array[1][a]);
        }
    }
    ls_set_threads(threads);
}

static void test_squares(void)
{
    for (int64_t count = 0; count < 3000; count += 37) {
        float *x = ls_alloc_array(count, sizeof(float));
        CU_ASSERT_PTR_NOT_NULL_FATAL(x);
        double sum = 0;
        for (int64_t i = 0; i < count; i++) {
            x[i] = ls_normal_at(9, 0, (uint64_t)i);
            sum += (double)x[i] * (double)x[i];
        }
        /* double, 3000 summands in another order */
        ASSERT_AT_MOST(fabs(ls_sum_of_squares(x, count) - sum), 1e-13 * sum);
        if (count > 0) {
            x[count / 2] = NAN;
            CU_ASSERT(isnan(ls_sum_of_squares(x, count)));
            x[count / 2] = INFINITY;
            CU_ASSERT(isinf(ls_sum_of_squares(x, count)));
        }
        ls_free(x);
    }
}

int main(void)
{
    return harness_run("optimizer", (HarnessTest[]){{"as PyTorch's", test_pytorch},
                                                    {"the same bits for any number of threads", test_threads},
                                                    {"sum of squares", test_squares},
                                                    {0}});
}
