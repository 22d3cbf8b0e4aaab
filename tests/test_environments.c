/* The environments of agents: equations against numbers worked out by hand, limits, and episodes as functions of their
 * number. */
#include "config/config.h"
#include "data/environment.h"
#include "harness.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const LsEnvironment *open_world(const char *name, LsSource **source)
{
    char yaml[256];
    LsSource *validation = NULL;
    snprintf(yaml, sizeof yaml,
             "model: {kind: q_network}\ntask: {kind: control}\ndata: {kind: environment, environment: %s}\n", name);
    LsConfig *config = ls_config_parse("job", yaml, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_EQUAL_FATAL(ls_train_open(config, 1, source, &validation), LS_OK);
    CU_ASSERT(ls_source_environment_key(*source) != ls_source_environment_key(validation));
    CU_ASSERT_EQUAL(validation->samples, 100);
    ls_source_free(validation);
    ls_config_free(config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ls_source_environment(*source));
    return ls_source_environment(*source);
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-5 * fmax(1, fabs(b)); }

/* A cart at rest, pushed to the right: 10 / 1.1 = 9.0909, the pole turns by -9.0909 / (0.5 (4/3 - 0.1 / 1.1)) =
 * -14.634, the cart speeds up by 9.0909 + 0.05 14.634 / 1.1 = 9.7561. */
static void test_cartpole(void)
{
    LsSource *source = NULL;
    const LsEnvironment *world = open_world("cartpole", &source);
    float state[LS_MAX_STATE] = {0};
    bool ended = true;
    CU_ASSERT_EQUAL(world->step(state, 1, &ended), 1);
    CU_ASSERT(!ended && state[0] == 0 && state[2] == 0);
    CU_ASSERT(near((double)state[1], 0.02 * 9.7560976) && near((double)state[3], -0.02 * 14.6341463));
    world->step(state, 1, &ended);
    CU_ASSERT(near((double)state[0], 0.02 * 0.1951219) && near((double)state[2], -0.02 * 0.2926829));
    int steps = 2;
    for (; !ended && steps < 100; steps++) /* always to the right: the pole falls to the left */
        world->step(state, 1, &ended);
    CU_ASSERT(ended && steps < 20 && (double)state[2] < -12 * M_PI / 180);
    float out[LS_MAX_STATE] = {2.5f, 0, 0, 0};
    world->step(out, 0, &ended);
    CU_ASSERT(ended);
    ls_source_free(source);
}

/* From the valley's ground: 0.001 - 0.0025 cos(-1.5) = 0.00082315700. */
static void test_mountaincar(void)
{
    LsSource *source = NULL;
    const LsEnvironment *world = open_world("mountaincar", &source);
    float state[LS_MAX_STATE] = {-0.5f, 0};
    bool ended = true;
    CU_ASSERT_EQUAL(world->step(state, 2, &ended), -1);
    CU_ASSERT(!ended && fabs((double)state[1] - 0.000823157) < 1e-7 && fabs((double)state[0] + 0.499176843) < 1e-6);
    float wall[LS_MAX_STATE] = {-1.19f, -0.07f}, summit[LS_MAX_STATE] = {0.48f, 0.07f};
    world->step(wall, 0, &ended);
    CU_ASSERT(!ended && wall[0] == -1.2f && wall[1] == 0);
    world->step(summit, 2, &ended);
    CU_ASSERT(ended);
    int steps = 0;
    ended = false;
    for (state[0] = -0.5f, state[1] = 0; !ended && steps < 200; steps++) /* with the swing: it gets there */
        world->step(state, state[1] >= 0 ? 2 : 0, &ended);
    CU_ASSERT(ended && steps > 50);
    ls_source_free(source);
}

static void test_episodes(void)
{
    static const char *const names[] = {"cartpole", "mountaincar"};
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LsSource *source = NULL;
        const LsEnvironment *world = open_world(names[i], &source);
        float one[LS_MAX_STATE] = {0}, same[LS_MAX_STATE] = {0}, other[LS_MAX_STATE] = {0};
        world->begin(7, 3, one);
        world->begin(7, 3, same);
        world->begin(7, 4, other);
        CU_ASSERT_EQUAL(memcmp(one, same, sizeof one), 0);
        CU_ASSERT_NOT_EQUAL(memcmp(one, other, sizeof one), 0);
        CU_ASSERT(world->numbers <= LS_MAX_STATE && world->actions >= 2 && world->most_steps > 0);
        for (int j = 0; j < world->numbers; j++)
            CU_ASSERT(world->scale[j] > 0);
        ls_source_free(source);
    }
}

int main(void)
{
    return harness_run("environments", (HarnessTest[]){{"a pole on a cart", test_cartpole},
                                                       {"a car in a valley", test_mountaincar},
                                                       {"episodes", test_episodes},
                                                       {0}});
}
