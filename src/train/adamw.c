/* AdamW (Loshchilov, Hutter 2019, "Decoupled weight decay regularization"), with bias correction as in Adam
 * (Kingma, Ba 2015). With g the scaled gradient, at step t:
 *
 *   m <- beta1 m + (1 - beta1) g
 *   v <- beta2 v + (1 - beta2) g^2
 *   p <- (1 - lr decay) p - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
 *
 * One pass: reads p, g, m, v and writes p, m, v, 28 bytes an element, so it runs at the memory's speed.
 */
#include "base/clones.h"
#include "train/optimizer.h"

#include <math.h>

typedef struct Step {
    float scale, beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon;
    float rate; /* lr / (1 - beta1^t) */
    float root; /* 1 / sqrt(1 - beta2^t) */
    double learning_rate;
    const LsTrainSettings *settings;
    const LsParams *params;
    float *m, *v;
    LsIsa isa;
} Step;

LS_INLINE_BODY void adamw_chunk(const Step *s, float keep, float *restrict p, const float *restrict grad,
                                float *restrict m, float *restrict v, int64_t count)
{
    const Step c = *s; /* the compiler need not fear that stores change it */
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float g = grad[i] * c.scale;
        float mi = c.beta1 * m[i] + c.one_minus_beta1 * g;
        float vi = c.beta2 * v[i] + c.one_minus_beta2 * g * g;
        m[i] = mi;
        v[i] = vi;
        p[i] = keep * p[i] - c.rate * mi / (sqrtf(vi) * c.root + c.epsilon);
    }
}

LS_INLINE_BODY void adamw_body(const Step *s, float keep, float *restrict p, const float *restrict grad,
                               float *restrict m, float *restrict v, int64_t count)
{
    const Step c = *s;
    int64_t i = 0;
    for (; i + LS_LINE_FLOATS <= count; i += LS_LINE_FLOATS) {
        LS_ASK_AHEAD(p + i);
        LS_ASK_AHEAD(grad + i);
        LS_ASK_AHEAD(m + i);
        LS_ASK_AHEAD(v + i);
        adamw_chunk(&c, keep, p + i, grad + i, m + i, v + i, LS_LINE_FLOATS);
    }
    adamw_chunk(&c, keep, p + i, grad + i, m + i, v + i, count - i);
}
LS_CLONES(adamw, adamw_body,
          (const Step *s, float keep, float *restrict p, const float *restrict grad, float *restrict m,
           float *restrict v, int64_t count),
          (s, keep, p, grad, m, v, count))

static void update_range(void *self, int param, int64_t first, int64_t count)
{
    const Step *s = self;
    const LsParams *params = s->params;
    float keep = (float)(1 - s->learning_rate * (double)ls_optimizer_decay(s->settings, &params->list[param]));
    adamw_clones[s->isa](s, keep, params->value + first, params->grad + first, s->m + first, s->v + first, count);
}

static void update_params(const LsTrainSettings *settings, LsParams *params, float *const *moment, const LsShard *shard,
                          int64_t step, double learning_rate, double scale)
{
    Step s = {.scale = (float)scale,
              .beta1 = (float)settings->beta1,
              .one_minus_beta1 = (float)(1 - settings->beta1),
              .beta2 = (float)settings->beta2,
              .one_minus_beta2 = (float)(1 - settings->beta2),
              .epsilon = (float)settings->epsilon,
              .rate = (float)(learning_rate / (1 - pow(settings->beta1, (double)step))),
              .root = (float)(1 / sqrt(1 - pow(settings->beta2, (double)step))),
              .learning_rate = learning_rate,
              .settings = settings,
              .params = params,
              .m = moment[0],
              .v = moment[1],
              .isa = ls_isa()};
    ls_optimizer_each(params, shard, update_range, &s);
}

extern const LsOptimizer ls_optimizer_adamw;
const LsOptimizer ls_optimizer_adamw = {
    .name = "adamw", .moments = 2, .moment_group = {"optimizer/m", "optimizer/v"}, .update = update_params};
