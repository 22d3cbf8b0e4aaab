/* Stochastic gradient descent with momentum (Polyak 1964) and coupled decay. With g the scaled gradient:
 *
 *   m <- momentum m + g + decay p
 *   p <- p - lr m
 */
#include "base/clones.h"
#include "train/optimizer.h"

typedef struct Step {
    float scale, momentum, learning_rate;
    const LsUpdate *u;
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
    const LsParams *params = s->u->params;
    float decay = ls_optimizer_decay(s->u->settings, &params->list[param]);
    sgd_clones[s->isa](s, decay, params->value + first, params->grad + first,
                       ls_moment_at(&s->u->moment[0], params, param, first), count);
}

static LsStatus update_params(const LsUpdate *u)
{
    Step s = {.scale = (float)u->scale,
              .momentum = (float)u->settings->momentum,
              .learning_rate = (float)u->learning_rate,
              .u = u,
              .isa = ls_isa()};
    ls_optimizer_each(u->params, u->shard, update_range, &s);
    return LS_OK;
}

extern const LsOptimizer ls_optimizer_sgd;
const LsOptimizer ls_optimizer_sgd = {
    .name = "sgd", .takes = "momentum", .moments = 1, .moment = {{"optimizer/m"}}, .update = update_params};
