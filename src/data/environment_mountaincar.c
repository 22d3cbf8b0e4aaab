/* A car in a valley that is too weak to drive out of it, and must swing up (Moore 1990; equations and limits as in
 * Gymnasium's MountainCar-v0). State: place and speed. Actions: push left, none, right. -1 for each step until the
 * right summit. */
#include "data/environment.h"

#include <math.h>

static void begin(uint64_t key, uint64_t episode, float *state)
{
    state[0] = -0.6f + 0.2f * ls_uniform_at(key, episode, 0);
    state[1] = 0;
}

static double step(float *state, int action, bool *ended)
{
    double place = (double)state[0], speed = (double)state[1];
    speed += (action - 1) * 0.001 - 0.0025 * cos(3 * place);
    speed = fmin(fmax(speed, -0.07), 0.07);
    place = fmin(fmax(place + speed, -1.2), 0.6);
    if (place <= -1.2 && speed < 0)
        speed = 0;
    *ended = place >= 0.5 && speed >= 0;
    state[0] = (float)place;
    state[1] = (float)speed;
    return -1;
}

extern const LsEnvironment ls_environment_mountaincar;
const LsEnvironment ls_environment_mountaincar = {
    .name = "mountaincar",
    .summary = "a weak car swings itself out of a valley",
    .numbers = 2,
    .actions = 3,
    .most_steps = 200,
    .scale = {1, 20},
    .begin = begin,
    .step = step,
};
