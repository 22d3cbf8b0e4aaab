/* Optimisers against PyTorch's (tests/fixtures/optimizer.py), and the same bits for any number of threads. */
#include "harness.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIMIZER(name) #name,
static const char *const names[] = {
#include "config/optimizers.def"
};
#undef OPTIMIZER

/* ---- A store made by hand, as the fixture has it ----------------------------------------------------------------- */

enum { PARAMS = 5, VALUES = 104, STEPS = 6, TOTAL = 144 };

static const LsParam declared[PARAMS] = {
    {.name = "a", .rank = 2, .dim = {5, 7}, .count = 35, .offset = 0, .flags = LS_MATRIX},
    {.name = "b", .rank = 1, .dim = {9}, .count = 9, .offset = 48},
    {.name = "c", .rank = 2, .dim = {3, 4}, .count = 12, .offset = 64, .flags = LS_NO_DECAY},
    {.name = "d", .rank = 2, .dim = {8, 3}, .count = 24, .offset = 80, .flags = LS_MATRIX},
    {.name = "e", .rank = 3, .dim = {2, 3, 4}, .count = 24, .offset = 112},
};
static LsParam list[PARAMS];
static float value[TOTAL], grad[TOTAL];
static LsParams params = {
    .list = list, .count = PARAMS, .total = TOTAL, .elements = VALUES, .value = value, .grad = grad, .sealed = true};

static void scatter(const float *from, float *to)
{
    for (int i = 0; i < PARAMS; i++, from += list[i - 1].count)
        memcpy(to + list[i].offset, from, (size_t)list[i].count * sizeof(float));
}

static void read_line(FILE *file, const char *name, float *numbers)
{
    char word[32], number[64];
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "%31s", word), 1);
    CU_ASSERT_STRING_EQUAL_FATAL(word, name);
    for (int i = 0; i < VALUES; i++) {
        CU_ASSERT_EQUAL_FATAL(fscanf(file, "%63s", number), 1);
        numbers[i] = strtof(number, NULL);
    }
}

/* An optimiser with what it works on: moments of `store`, from `seed` (0: zero). */
typedef struct Made {
    const LsOptimizer *optimizer;
    LsMoment moment[LS_MAX_MOMENTS];
    float *values, *work;
} Made;

static Made make(const char *name, const LsParams *store, uint64_t seed)
{
    Made made = {.optimizer = ls_optimizer_find(name)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(made.optimizer);
    ASSERT_OK(ls_moments_new(made.optimizer, store, NULL, NULL, made.moment));
    int64_t floats = ls_moments_floats(made.moment), work = made.optimizer->work ? made.optimizer->work(store) : 0;
    float *next = made.values = ls_alloc_array(floats + 1, sizeof(float));
    made.work = ls_alloc_array(work + 1, sizeof(float));
    CU_ASSERT_FATAL(made.values && made.work);
    for (int64_t i = 0; i < work; i++)
        made.work[i] = NAN; /* undefined */
    for (int64_t i = 0; i < floats && seed; i++)
        made.values[i] = ls_uniform_at(seed, 3, (uint64_t)i);
    for (int i = 0; i < made.optimizer->moments; i++) {
        made.moment[i].value = next;
        next += made.moment[i].layout->total;
    }
    return made;
}

static void update(const Made *made, const LsTrainSettings *settings, LsParams *store, const LsShard *shard,
                   int64_t step, double rate, double scale)
{
    ASSERT_OK(made->optimizer->update(&(LsUpdate){.settings = settings,
                                                  .params = store,
                                                  .moment = made->moment,
                                                  .shard = shard,
                                                  .work = made->work,
                                                  .step = step,
                                                  .learning_rate = rate,
                                                  .scale = scale}));
}

static void unmake(Made *made, const LsParams *store)
{
    ls_moments_free(store, made->moment);
    ls_free(made->values);
    ls_free(made->work);
}

static float initial[VALUES], gradients[STEPS][VALUES];

/* The fixture's lines `line` of an optimiser; gradients times `gain`, undone by the scale of the update. */
static void compare(FILE *file, const char *line, const char *name, const LsTrainSettings *settings, float gain,
                    double tolerance)
{
    float expected[VALUES], flat[TOTAL] = {0};
    memcpy(list, declared, sizeof list);
    Made made = make(name, &params, 0);
    scatter(initial, value);
    for (int64_t step = 1; step <= STEPS; step++) {
        read_line(file, line, expected);
        scatter(gradients[step - 1], grad);
        for (int i = 0; i < TOTAL; i++)
            grad[i] *= gain;
        update(&made, settings, &params, NULL, step, settings->learning_rate, 1.0 / (double)gain);
        scatter(expected, flat);
        for (int i = 0; i < TOTAL; i++)
            ASSERT_AT_MOST(fabs((double)(value[i] - flat[i])), tolerance);
    }
    for (int p = 0; p < PARAMS; p++) /* padding stays zero */
        for (int64_t i = list[p].offset + list[p].count; i < (p + 1 < PARAMS ? list[p + 1].offset : TOTAL); i++)
            CU_ASSERT(value[i] == 0);
    unmake(&made, &params);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/optimizer.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    read_line(file, "initial", initial);
    for (int i = 0; i < STEPS; i++)
        read_line(file, "grad", gradients[i]);
    LsTrainSettings settings = {
        .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1};
    const double few = 4 * 10 * 4 * 0x1p-24; /* six steps of a few roundings each, of values below 4 */
    compare(file, "adamw", "adamw", &settings, 1, few);
    compare(file, "sgd", "sgd", &settings, 8, few);
    settings.momentum = 0.9;
    compare(file, "momentum", "sgd", &settings, 1, few);
    /* five iterations, each of which may make differences four times as large in directions that are small */
    compare(file, "muon", "muon", &settings, 4, 20 * few);
    compare(file, "lion", "lion", &settings, 2, few);
    compare(file, "adafactor", "adafactor", &settings, 2, few);
    char word[8];
    CU_ASSERT_EQUAL(fscanf(file, "%7s", word), EOF);
    fclose(file);
    CU_ASSERT_PTR_NULL(ls_optimizer_find("none"));
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

enum { COUNT = 100000 };

/* One update by so many threads, at once or in shards: every range of a whole parameter in one of them. */
static void run_update(const char *name, int threads, bool shards, float *values, float *grads, Made *made,
                       LsParams *store)
{
    const LsTrainSettings settings = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .momentum = 0.5};
    ls_set_threads(threads);
    *made = make(name, store, 5);
    store->value = values;
    store->grad = grads;
    for (uint64_t i = 0; i < 99991; i++) {
        values[i] = ls_normal_at(5, 0, i);
        grads[i] = ls_normal_at(5, 1, i);
    }
    const LsRange elements[2][3] = {{{50016, 20016}, {16, 33000}, {0, 0}},
                                    {{70032, COUNT - 70032}, {0, 16}, {33016, 17000}}};
    const LsRange wholes[2][3] = {{{90000, 9991}, {0, 0}, {0, 0}}, {{0, 90000}, {0, 0}, {0, 0}}};
    if (!shards)
        update(made, &settings, store, NULL, 3, 1e-2, 0.5);
    for (int i = 0; i < 2 && shards; i++)
        update(made, &settings, store, &(LsShard){3, made->optimizer->whole ? wholes[i] : elements[i]}, 3, 1e-2, 0.5);
}

static void test_threads(void)
{
    LsParam big[] = {{.name = "w", .rank = 2, .dim = {300, 300}, .count = 90000, .offset = 0, .flags = LS_MATRIX},
                     {.name = "b", .rank = 1, .dim = {9991}, .count = 9991, .offset = 90000}};
    LsParams store = {.list = big, .count = 2, .total = COUNT, .sealed = true};
    int threads = ls_threads();
    float *array[4];
    double squares[2];
    for (int i = 0; i < 4; i++)
        CU_ASSERT_PTR_NOT_NULL_FATAL(array[i] = ls_alloc_array(COUNT, sizeof(float)));
    for (size_t which = 0; which < LS_COUNT_OF(names); which++) {
        Made one, three;
        run_update(names[which], 1, false, array[0], array[1], &one, &store);
        squares[0] = ls_sum_of_squares(array[1], COUNT);
        run_update(names[which], 3, true, array[2], array[3], &three, &store);
        squares[1] = ls_sum_of_squares(array[3], COUNT);
        CU_ASSERT_EQUAL(squares[0], squares[1]);
        CU_ASSERT_EQUAL(memcmp(array[0], array[2], COUNT * sizeof(float)), 0);
        size_t bytes = (size_t)ls_moments_floats(one.moment) * sizeof(float);
        CU_ASSERT_EQUAL(memcmp(one.values, three.values, bytes), 0);
        int moved = 0;
        for (uint64_t i = 0; i < 99991; i++)
            moved += array[0][i] != ls_normal_at(5, 0, i);
        CU_ASSERT(moved > 99000);
        unmake(&one, &store);
        unmake(&three, &store);
    }
    for (int i = 0; i < 4; i++)
        ls_free(array[i]);
    ls_set_threads(threads);
}

/* ---- What is kept ------------------------------------------------------------------------------------------------ */

/* Adafactor keeps a row and a column of a matrix; Muon a mean of squares of what is no matrix alone. */
static void test_moments(void)
{
    memcpy(list, declared, sizeof list);
    Made adafactor = make("adafactor", &params, 0), muon = make("muon", &params, 0);
    CU_ASSERT_EQUAL(adafactor.moment[0].layout->elements, 5 + 3 + 8 + 2 * 3);
    CU_ASSERT_EQUAL(adafactor.moment[1].layout->elements, 7 + 4 + 3 + 2 * 4);
    CU_ASSERT_EQUAL(adafactor.moment[2].layout->elements, 9);
    CU_ASSERT_PTR_EQUAL(muon.moment[0].layout, &params);
    CU_ASSERT_EQUAL(muon.moment[1].layout->elements, 9 + 12 + 24);
    CU_ASSERT_PTR_NULL(ls_moment_at(&muon.moment[1], &params, 0, 0));
    CU_ASSERT_PTR_EQUAL(ls_moment_at(&muon.moment[1], &params, 2, 64 + 5), muon.moment[1].value + 16 + 5);
    LsSaved saved[LS_MAX_MOMENTS];
    CU_ASSERT_EQUAL(ls_moments_saved(adafactor.optimizer, adafactor.moment, saved), 3);
    CU_ASSERT_STRING_EQUAL(saved[1].group, "optimizer/c");
    unmake(&adafactor, &params);
    unmake(&muon, &params);
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
                                                    {"what is kept of each parameter", test_moments},
                                                    {"sum of squares", test_squares},
                                                    {0}});
}
