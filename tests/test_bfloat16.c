/* bfloat16: rounding in every build, and training in it: shadows, threads, decoding, the distance to float. */
#include "harness.h"
#include "base/bfloat16.h"
#include "graph/check.h"
#include "toy_model.h"
#include "vec_math_table.h"

#include <stdio.h>
#include <string.h>

#define BUILD(precision, isa, suffix) extern const VecMathTable vec_math##suffix;
#include "op_builds.def"
#undef BUILD

static const struct {
    LsPrecision precision;
    LsIsa isa;
    const VecMathTable *table;
} builds[] = {
#define BUILD(precision, isa, suffix) {precision, isa, &vec_math##suffix},
#include "op_builds.def"
#undef BUILD
};

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The nearest bfloat16 of the float with these bits, found by comparing distances in double. */
static uint16_t nearest(uint32_t bits)
{
    uint32_t low = bits >> 16;
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(low | 0x40);
    if ((bits & 0x7fffffff) == 0x7f800000)
        return (uint16_t)low;
    double x = (double)float_of(bits), below = (double)float_of(low << 16);
    /* the largest finite one: what comes next counts as if exponents went on */
    bool last = (low & 0x7fff) == 0x7f7f;
    double above = last ? copysign(0x1p128, x) : (double)float_of((low + 1) << 16);
    double to_below = fabs(x - below), to_above = fabs(above - x);
    bool up = to_above < to_below || (to_above == to_below && (low & 1));
    return (uint16_t)(low + up);
}

/* Every bfloat16 and what lies around it, at the ties above all. */
static const uint32_t lows[] = {0, 1, 0x3fff, 0x7fff, 0x8000, 0x8001, 0xc123, 0xffff};

static void test_rounding(void)
{
    int wrong = 0;
    for (uint32_t high = 0; high < 65536; high++)
        for (size_t i = 0; i < LS_COUNT_OF(lows); i++) {
            uint32_t bits = high << 16 | lows[i];
            wrong += ls_bfloat16_from_float(float_of(bits)).bits != nearest(bits);
        }
    CU_ASSERT_EQUAL(wrong, 0);
    for (uint32_t high = 0; high < 65536; high++)
        wrong += bits_of(ls_bfloat16_to_float((LsBfloat16){(uint16_t)high})) != high << 16;
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Arrays at every level of the machine, tails included, against the one by one. */
static void test_arrays(void)
{
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    enum { COUNT = 65536 * (int)LS_COUNT_OF(lows) };
    float *x = ls_alloc_array(COUNT + 1, sizeof *x), *back = ls_alloc_array(COUNT + 1, sizeof *back);
    LsBfloat16 *y = ls_alloc_array(COUNT + 1, sizeof *y);
    CU_ASSERT_FATAL(x && back && y);
    for (int i = 0; i < COUNT; i++)
        x[i] = float_of((uint32_t)(i / (int)LS_COUNT_OF(lows)) << 16 | lows[i % (int)LS_COUNT_OF(lows)]);
    for (int isa = 0; isa <= (int)best; isa++) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        for (int64_t count = COUNT - 37; count <= COUNT; count += 37) {
            int wrong = 0;
            y[count].bits = 0x1234;
            back[count] = 0.5f;
            ls_bfloat16_round(x, y, count);
            ls_bfloat16_widen(y, back, count);
            for (int64_t i = 0; i < count; i++)
                wrong += y[i].bits != ls_bfloat16_from_float(x[i]).bits || bits_of(back[i]) != (uint32_t)y[i].bits
                                                                                                   << 16;
            CU_ASSERT_EQUAL(wrong, 0);
            CU_ASSERT_EQUAL(y[count].bits, 0x1234);
            CU_ASSERT_EQUAL(back[count], 0.5f);
        }
        for (int64_t first = 0; first < 70; first += 23) /* past the caches: from any place in a line, to any */
            for (int64_t count = 3; count < 4000; count += 1111) {
                int wrong = 0;
                memset(y, 0x55, 4096 * sizeof *y);
                ls_bfloat16_round_past(x + first, y + first, count);
                for (int64_t i = 0; i < 4096; i++)
                    wrong +=
                        y[i].bits != (i < first || i >= first + count ? 0x5555 : ls_bfloat16_from_float(x[i]).bits);
                CU_ASSERT_EQUAL(wrong, 0);
            }
        ls_check_restore_isa(forced);
    }
    ls_free(x), ls_free(back), ls_free(y);
}

/* Loads and stores of the ops' builds. AVX512_BF16 takes denormal numbers for zero; all else is the same bits. */
static void test_builds(void)
{
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    for (size_t b = 0; b < LS_COUNT_OF(builds); b++) {
        if (builds[b].precision != LS_BFLOAT16 || builds[b].isa > best)
            continue;
        int wrong = 0, lanes = builds[b].table->lanes;
        for (uint32_t high = 0; high + 64 <= 65536; high += 7) {
            float x[64], y[64], single[64];
            int count = 1 + (int)(high % (uint32_t)(2 * lanes - 1));
            for (int i = 0; i < count; i++)
                x[i] = float_of((high + (uint32_t)i) << 16 | lows[((uint32_t)i + high) % LS_COUNT_OF(lows)]);
            builds[b].table->store(x, y, single, count);
            for (int i = 0; i < count; i++) {
                uint32_t wanted = (uint32_t)ls_bfloat16_from_float(x[i]).bits << 16;
                bool denormal = fabsf(x[i]) < 0x1p-126f && builds[b].isa >= LS_ISA_V4_BF16;
                wrong += bits_of(single[i]) != wanted || (bits_of(y[i]) != wanted && !(denormal && y[i] == 0));
            }
        }
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

/* ---- Training ---- */

static LsTrainer *train(const char *precision, const LsModel *model, void *model_config, int threads, int steps,
                        double *loss)
{
    LsConfig config = toy_config();
    config.train.precision = (char *)(uintptr_t)precision;
    config.model = model;
    config.model_config = model_config;
    ToySource source = toy_source(100);
    LsTrainer *trainer = NULL;
    LsStepResult result = {0};
    int keep = ls_threads();
    ls_set_threads(threads);
    ASSERT_OK(ls_trainer_new(&config, ls_comm_self(), &source.source, NULL, NULL, &trainer));
    for (int i = 0; i < steps; i++)
        ASSERT_OK(ls_trainer_step(trainer, false, &result));
    ls_set_threads(keep);
    *loss = result.loss;
    trainer->config = NULL; /* gone with this function */
    return trainer;
}

static void *settings_of(const LsModel *model)
{
    static const char *const small[] = {"vocabulary=31", "context=16", "layers=2", "width=24"};
    void *config = ls_alloc(model->config_bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ASSERT_OK(ls_settings_defaults(model->settings, config));
    for (size_t i = 0; i < LS_COUNT_OF(small); i++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(small[i], "="), small[i]);
        ASSERT_OK(ls_settings_set(model->settings, config, name, strchr(small[i], '=') + 1));
    }
    if (strcmp(model->name, "gpt") == 0)
        ASSERT_OK(ls_settings_set(model->settings, config, "heads", "3"));
    if (strcmp(model->name, "mamba2") == 0)
        ASSERT_OK(ls_settings_set(model->settings, config, "head_dim", "12"));
    return config;
}

/* After some steps the losses of both precisions are near each other, far from the first; the shadow is what the
 * masters round to; three threads give the bits of one. An operand is off by 2^-8 at most and by 2^-8 / sqrt(3) on
 * average, with random sign, so that sums of such products keep a relative error of about 2^-8: the losses, means over
 * hundreds of tokens, differ by less than that. */
static void test_training(void)
{
    const char *const names[] = {"gpt", "mamba", "mamba2"};
    for (size_t m = 0; m < LS_COUNT_OF(names); m++) {
        const LsModel *model = ls_model_find(names[m]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(model);
        void *config = settings_of(model);
        double first, exact, coarse, again;
        ls_trainer_free(train("float", model, config, 1, 1, &first));
        ls_trainer_free(train("float", model, config, 1, 40, &exact));
        LsTrainer *one = train("bfloat16", model, config, 1, 40, &coarse),
                  *three = train("bfloat16", model, config, 3, 40, &again);
        CU_ASSERT(exact < 0.8 * first);
        CU_ASSERT(coarse != exact);
        ASSERT_AT_MOST(fabs(coarse - exact), 0x1p-8 * exact);
        CU_ASSERT_EQUAL(coarse, again);
        size_t bytes = (size_t)one->params->total * sizeof(float);
        CU_ASSERT_EQUAL(memcmp(one->params->value, three->params->value, bytes), 0);
        CU_ASSERT_EQUAL(memcmp(one->moment[1].value, three->moment[1].value, bytes), 0);
        CU_ASSERT_EQUAL(memcmp(one->params->shadow, three->params->shadow, bytes / 2), 0);
        int wrong = 0;
        for (int64_t i = 0; i < one->params->total; i++)
            wrong += one->params->shadow[i] != ls_bfloat16_from_float(one->params->value[i]).bits;
        CU_ASSERT_EQUAL(wrong, 0);
        ls_trainer_free(one);
        ls_trainer_free(three);
        ls_settings_free(model->settings, config);
        ls_free(config);
    }
}

int main(void)
{
    return harness_run("bfloat16", (HarnessTest[]){{"rounding", test_rounding},
                                                   {"arrays at every level", test_arrays},
                                                   {"loads and stores of every build", test_builds},
                                                   {"training", test_training},
                                                   {0}});
}
