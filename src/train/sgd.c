/* Stochastic gradient descent with momentum (Polyak 1964) and coupled decay. With g the scaled gradient:
 *
 *   m <- momentum m + g + decay p
 *   p <- p - lr m
 */
#include "base/clones.h"
#include "train/optimizer.h"

typedef struct Step {
    float scale, momentum, learning_rate;
    const LsTrainSettings *settings;
    const LsParams *params;
    float *m;
    LsIsa isa;
} Step;

LS_INLINE_BODY void sgd_body(const Step *s, float decay, float *restrict p, const float *restrict grad,
                             float *restrict m, int64_t count)
{
    const Step c = *s;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float mi = c.momentum * m[i] + (grad[i] * c.scale + decay * p[i]);
        m[i] = mi;
        p[i] -= c.learning_rate * mi;
    }
}
LS_CLONES(sgd, sgd_body,
          (const Step *s, float decay, float *restrict p, const float *restrict grad, float *restrict m, int64_t count),
          (s, decay, p, grad, m, count))

static void update_range(void *self, int param, int64_t first, int64_t count)
{
    const Step *s = self;
    const LsParams *params = s->params;
    float decay = ls_optimizer_decay(s->settings, &params->list[param]);
    sgd_clones[s->isa](s, decay, params->value + first, params->grad + first, s->m + first, count);
}

static void update_params(const LsTrainSettings *settings, LsParams *params, float *const *moment, const LsShard *shard,
                          int64_t step, double learning_rate, double scale)
{
    (void)step;
    Step s = {.scale = (float)scale,
              .momentum = (float)settings->momentum,
              .learning_rate = (float)learning_rate,
              .settings = settings,
              .params = params,
              .m = moment[0],
              .isa = ls_isa()};
    ls_optimizer_each(params, shard, update_range, &s);
}

extern const LsOptimizer ls_optimizer_sgd;
const LsOptimizer ls_optimizer_sgd = {
    .name = "sgd", .moments = 1, .moment_group = {"optimizer/m"}, .update = update_params};
