/* Learning rates at places where they are known by hand. */
#include "harness.h"
#include "train/optimizer.h"

#include <math.h>

static LsTrainSettings settings(char *schedule)
{
    return (LsTrainSettings){.schedule = schedule,
                             .learning_rate = 1e-3,
                             .min_learning_rate = 1e-4,
                             .steps = 110,
                             .warmup = 10,
                             .drop_every = 40,
                             .drop_factor = 0.5};
}

/* doubles of about 1e-3, a few roundings */
static void near(double a, double b) { ASSERT_AT_MOST(fabs(a - b), 1e-15); }

static void test_warmup(void)
{
#define SCHEDULE(name) #name,
    static const char *const names[] = {
#include "config/schedules.def"
    };
#undef SCHEDULE
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LsTrainSettings s = settings((char *)(uintptr_t)names[i]);
        near(ls_schedule(&s, 1), 1e-4);
        near(ls_schedule(&s, 5), 5e-4);
        near(ls_schedule(&s, 10), 1e-3);
        for (int64_t step = 11; step <= 200; step++) {
            CU_ASSERT(ls_schedule(&s, step) <= ls_schedule(&s, step - 1));
            CU_ASSERT(ls_schedule(&s, step) >= s.min_learning_rate);
        }
        s.warmup = 0;
        CU_ASSERT(ls_schedule(&s, 1) <= 1e-3 && ls_schedule(&s, 1) > 0.99e-3);
    }
}

static void test_shapes(void)
{
    LsTrainSettings s = settings("constant");
    near(ls_schedule(&s, 110), 1e-3);
    s = settings("linear");
    near(ls_schedule(&s, 60), (1e-3 + 1e-4) / 2);
    near(ls_schedule(&s, 85), 1e-3 - 0.75 * 9e-4);
    near(ls_schedule(&s, 110), 1e-4);
    near(ls_schedule(&s, 1000), 1e-4);
    s = settings("cosine");
    near(ls_schedule(&s, 60), (1e-3 + 1e-4) / 2);
    near(ls_schedule(&s, 35), 1e-4 + 9e-4 * (0.5 + sqrt(2) / 4));
    near(ls_schedule(&s, 110), 1e-4);
    s = settings("inverse_sqrt");
    near(ls_schedule(&s, 40), 5e-4);
    near(ls_schedule(&s, 90), 1e-3 / 3);
    near(ls_schedule(&s, 100000), 1e-4);
    s = settings("wsd"); /* the last eleven steps */
    near(ls_schedule(&s, 99), 1e-3);
    near(ls_schedule(&s, 102), 1e-4 + 9e-4 * 8 / 11);
    near(ls_schedule(&s, 110), 1e-4);
    near(ls_schedule(&s, 1000), 1e-4);
    s.cooldown = 40;
    near(ls_schedule(&s, 70), 1e-3);
    near(ls_schedule(&s, 90), (1e-3 + 1e-4) / 2);
    s = settings("step");
    near(ls_schedule(&s, 40), 1e-3);
    near(ls_schedule(&s, 41), 5e-4);
    near(ls_schedule(&s, 81), 2.5e-4);
    near(ls_schedule(&s, 100000), 1e-4);
}

static void test_warmup_longer_than_the_run(void)
{
    LsTrainSettings s = settings("cosine");
    s.warmup = 200;
    near(ls_schedule(&s, 110), 1e-3 * 110 / 200);
}

/* The Transformer's rates (Vaswani et al. 2017, equation 3), C^-0.5 min(step^-0.5, step warmup^-1.5), are those of
 * inverse_sqrt with a peak of (C warmup)^-0.5. Numbers of PyTorch's LambdaLR of that function: C = 512, warm-up
 * 4,000. */
static void test_transformer(void)
{
    static const struct {
        int64_t step;
        double rate;
    } known[] = {{1, 1.746928107421711e-07},
                 {4000, 0.0006987712429686842},
                 {16000, 0.0003493856214843421},
                 {100000, 0.00013975424859373685}};
    LsTrainSettings s = {
        .schedule = "inverse_sqrt", .learning_rate = 1 / sqrt(512.0 * 4000), .steps = 100000, .warmup = 4000};
    for (size_t i = 0; i < LS_COUNT_OF(known); i++)
        near(ls_schedule(&s, known[i].step), known[i].rate);
    for (int64_t step = 1; step <= s.steps; step += 37)
        near(ls_schedule(&s, step), fmin(1 / sqrt((double)step), (double)step * pow(4000, -1.5)) / sqrt(512));
}

int main(void)
{
    return harness_run("schedule", (HarnessTest[]){{"warm-up", test_warmup},
                                                   {"shapes", test_shapes},
                                                   {"warm-up longer than the run", test_warmup_longer_than_the_run},
                                                   {"the Transformer's", test_transformer},
                                                   {0}});
}
