/* AdamW (Loshchilov, Hutter 2019, "Decoupled weight decay regularization"), with bias correction as in Adam
 * (Kingma, Ba 2015). With g the scaled gradient, at step t:
 *
 *   m <- beta1 m + (1 - beta1) g
 *   v <- beta2 v + (1 - beta2) g^2
 *   p <- (1 - lr decay) p - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
 *
 * One pass: reads p, g, m, v and writes p, m, v, 28 bytes an element, so it runs at the memory's speed.
 */
#include "train/adamw.h"

#include "base/clones.h"

#include <math.h>

typedef struct Step {
    float scale, beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon;
    float rate; /* lr / (1 - beta1^t) */
    float root; /* 1 / sqrt(1 - beta2^t) */
    const LsUpdate *u;
    const LsMoment *m, *v;
    bool (*except)(const LsParam *param);
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
    const LsParams *params = s->u->params;
    const LsParam *p = &params->list[param];
    if (s->except && s->except(p))
        return;
    float keep = (float)(1 - s->u->learning_rate * (double)ls_optimizer_decay(s->u->settings, p));
    adamw_clones[s->isa](s, keep, params->value + first, params->grad + first, ls_moment_at(s->m, params, param, first),
                         ls_moment_at(s->v, params, param, first), count);
}

void ls_adamw_update(const LsUpdate *u, const LsMoment *m, const LsMoment *v, bool (*except)(const LsParam *param))
{
    const LsTrainSettings *settings = u->settings;
    Step s = {.scale = (float)u->scale,
              .beta1 = (float)settings->beta1,
              .one_minus_beta1 = (float)(1 - settings->beta1),
              .beta2 = (float)settings->beta2,
              .one_minus_beta2 = (float)(1 - settings->beta2),
              .epsilon = (float)settings->epsilon,
              .rate = (float)(u->learning_rate / (1 - pow(settings->beta1, (double)u->step))),
              .root = (float)(1 / sqrt(1 - pow(settings->beta2, (double)u->step))),
              .u = u,
              .m = m,
              .v = v,
              .except = except,
              .isa = ls_isa()};
    ls_optimizer_each(u->params, u->shard, update_range, &s);
}

static LsStatus update_params(const LsUpdate *u)
{
    ls_adamw_update(u, &u->moment[0], &u->moment[1], NULL);
    return LS_OK;
}

extern const LsOptimizer ls_optimizer_adamw;
const LsOptimizer ls_optimizer_adamw = {.name = "adamw",
                                        .takes = "beta1|beta2|epsilon",
                                        .moments = 2,
                                        .moment = {{"optimizer/m"}, {"optimizer/v"}},
                                        .update = update_params};
