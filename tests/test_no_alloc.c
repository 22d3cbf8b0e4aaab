/* A training step allocates nothing, with and without micro-batches; threads do not show in the bits. */
#include "toy_model.h"

static void test_no_allocation(void)
{
    for (int which = 0; which < 4; which++) {
        LsConfig config = toy_config();
        config.train.micro_batch = which % 2 ? 4 : 0;
        if (which >= 2)
            config.train.precision = "bfloat16";
        ToySource source = toy_source(100);
        LsTrainer *trainer = NULL;
        ASSERT_OK(ls_trainer_new(&config, ls_comm_self(), &source.source, NULL, NULL, &trainer));
        LsStepResult result;
        ASSERT_OK(ls_trainer_step(trainer, false, &result)); /* libraries may set up at first use */
        int64_t before = ls_alloc_count();
        for (int i = 0; i < 10; i++)
            ASSERT_OK(ls_trainer_step(trainer, false, &result));
        CU_ASSERT_EQUAL(ls_alloc_count(), before);
        CU_ASSERT_EQUAL(trainer->progress.step, 11);
        ls_trainer_free(trainer);
    }
}

static void test_threads(void)
{
    LsConfig config = toy_config();
    ToySource source = toy_source(100);
    LsTrainer *trainer[2] = {NULL, NULL};
    int threads = ls_threads();
    double loss[2] = {0};
    for (int run = 0; run < 2; run++) {
        ls_set_threads(run == 0 ? 1 : 3);
        ASSERT_OK(ls_trainer_new(&config, ls_comm_self(), &source.source, NULL, NULL, &trainer[run]));
        LsStepResult result;
        for (int i = 0; i < 20; i++) {
            ASSERT_OK(ls_trainer_step(trainer[run], false, &result));
            loss[run] = loss[run] * 0.5 + result.loss;
        }
    }
    CU_ASSERT_EQUAL(loss[0], loss[1]);
    CU_ASSERT_EQUAL(
        memcmp(trainer[0]->params->value, trainer[1]->params->value, (size_t)trainer[0]->params->total * sizeof(float)),
        0);
    ls_set_threads(threads);
    ls_trainer_free(trainer[0]);
    ls_trainer_free(trainer[1]);
}

/* The trainer has the sizes that the plan said before. */
static void test_plan(void)
{
    LsConfig config = toy_config();
    ToySource source = toy_source(100);
    LsTrainPlan plan;
    ASSERT_OK(ls_train_plan(&config, 3, false, NULL, &plan));
    CU_ASSERT_EQUAL(plan.rank_batch, 4);
    CU_ASSERT_EQUAL(plan.parameters, 2 * TOY_VOCABULARY * TOY_WIDTH + TOY_WIDTH * TOY_WIDTH + TOY_WIDTH);
    CU_ASSERT(plan.flops > 6.0 * 12 * TOY_SEQUENCE * (TOY_VOCABULARY + TOY_WIDTH) * TOY_WIDTH * 0.99);
    CU_ASSERT(plan.total_bytes >= 4 * 4 * plan.parameters);
    ASSERT_FAILS(ls_train_plan(&config, 5, false, NULL, &plan), LS_USAGE, "1, 2, 3, 4, 6 or 12 ranks");
    ASSERT_FAILS(ls_train_plan(&config, 5, false, NULL, &plan), LS_USAGE, "train.batch to 10 or 15");
    ASSERT_FAILS(ls_train_plan(&config, 24, false, NULL, &plan), LS_USAGE, "train.batch to 24 or 48");
    config.train.optimizer = "magic";
    ASSERT_FAILS(ls_train_plan(&config, 1, false, NULL, &plan), LS_USAGE, "magic");
    LsTrainer *trainer = NULL;
    ASSERT_FAILS(ls_trainer_new(&config, ls_comm_self(), &source.source, NULL, NULL, &trainer), LS_USAGE, "magic");
}

int main(void)
{
    return harness_run("no allocation", (HarnessTest[]){{"a step allocates nothing", test_no_allocation},
                                                        {"the same bits for any number of threads", test_threads},
                                                        {"plan", test_plan},
                                                        {0}});
}
