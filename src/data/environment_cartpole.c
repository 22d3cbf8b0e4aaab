/* A pole on a cart, to be kept upright by pushing the cart left or right (Barto, Sutton, Anderson 1983; equations
 * and limits as in Gymnasium's CartPole-v1). State: the cart's place and speed, the pole's angle and its speed.
 * Euler's method, 0.02 s a step; 1 for each step. */
#include "data/environment.h"

#include <math.h>

static void begin(uint64_t key, uint64_t episode, float *state)
{
    for (uint64_t i = 0; i < 4; i++)
        state[i] = (ls_uniform_at(key, episode, i) - 0.5f) * 0.1f;
}

static double step(float *state, int action, bool *ended)
{
    const double gravity = 9.8, pole = 0.1, total = 1.1, half_length = 0.5, tau = 0.02;
    double force = action == 1 ? 10 : -10, angle = (double)state[2], turn = (double)state[3];
    double push = (force + pole * half_length * turn * turn * sin(angle)) / total;
    double turning =
        (gravity * sin(angle) - cos(angle) * push) / (half_length * (4.0 / 3 - pole * cos(angle) * cos(angle) / total));
    double speeding = push - pole * half_length * turning * cos(angle) / total;
    state[0] = (float)((double)state[0] + tau * (double)state[1]);
    state[1] = (float)((double)state[1] + tau * speeding);
    state[2] = (float)(angle + tau * turn);
    state[3] = (float)(turn + tau * turning);
    *ended = fabsf(state[0]) > 2.4f || fabs((double)state[2]) > 12 * M_PI / 180;
    return 1;
}

extern const LsEnvironment ls_environment_cartpole;
const LsEnvironment ls_environment_cartpole = {
    .name = "cartpole",
    .summary = "a pole on a cart is kept upright",
    .numbers = 4,
    .actions = 2,
    .most_steps = 500,
    .scale = {1, 1, 5, 1},
    .begin = begin,
    .step = step,
};
