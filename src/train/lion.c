/* Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms", program 1). With g the scaled gradient:
 *
 *   p <- (1 - lr decay) p - lr sign(beta1 m + (1 - beta1) g)
 *   m <- beta2 m + (1 - beta2) g
 *
 * Every element moves by the learning rate: a third to a tenth of AdamW's, with as many times its decay (section 5).
 */
#include "base/clones.h"
#include "train/optimizer.h"

typedef struct Step {
    float scale, beta1, one_minus_beta1, beta2, one_minus_beta2, learning_rate;
    const LsUpdate *u;
    LsIsa isa;
} Step;

LS_INLINE_BODY void lion_body(const Step *s, float keep, float *restrict p, const float *restrict grad,
                              float *restrict m, int64_t count)
{
    const Step c = *s;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float g = grad[i] * c.scale;
        float mixed = c.beta1 * m[i] + c.one_minus_beta1 * g;
        float sign = (float)(mixed > 0) - (float)(mixed < 0);
        p[i] = keep * p[i] - c.learning_rate * sign;
        m[i] = c.beta2 * m[i] + c.one_minus_beta2 * g;
    }
}
LS_CLONES(lion, lion_body,
          (const Step *s, float keep, float *restrict p, const float *restrict grad, float *restrict m, int64_t count),
          (s, keep, p, grad, m, count))

static void update_range(void *self, int param, int64_t first, int64_t count)
{
    const Step *s = self;
    const LsParams *params = s->u->params;
    float keep = (float)(1 - s->u->learning_rate * (double)ls_optimizer_decay(s->u->settings, &params->list[param]));
    lion_clones[s->isa](s, keep, params->value + first, params->grad + first,
                        ls_moment_at(&s->u->moment[0], params, param, first), count);
}

static LsStatus update_params(const LsUpdate *u)
{
    const LsTrainSettings *settings = u->settings;
    Step s = {.scale = (float)u->scale,
              .beta1 = (float)settings->beta1,
              .one_minus_beta1 = (float)(1 - settings->beta1),
              .beta2 = (float)settings->beta2,
              .one_minus_beta2 = (float)(1 - settings->beta2),
              .learning_rate = (float)u->learning_rate,
              .u = u,
              .isa = ls_isa()};
    ls_optimizer_each(u->params, u->shard, update_range, &s);
    return LS_OK;
}

extern const LsOptimizer ls_optimizer_lion;
const LsOptimizer ls_optimizer_lion = {
    .name = "lion", .takes = "beta1|beta2", .moments = 1, .moment = {{"optimizer/m"}}, .update = update_params};
