#include "models/gan.h"

#include <string.h>

static LsTensor *judge(LsGraph *g, const LsGan *gan, LsTensor *x)
{
    ls_push(g, "discriminator");
    if (gan->blur > 0)
        x = ls_add(g, x, ls_noise(g, gan->blur, (double)gan->blur_halving, x->rank, x->dim));
    LsTensor *logit = gan->judge(g, gan->config, x);
    ls_pop(g);
    return logit;
}

LsBody ls_gan_build(LsGraph *g, const LsGan *gan, const LsShape *shape)
{
    LsBody body = {0};
    const LsField *field = ls_shape_field(shape, "pixels");
    field = field ? field : ls_shape_field(shape, "values");
    if (!field) { /* fails, and says what the data have */
        body.features = ls_shape_input_of(g, shape, "pixels|values");
        return body;
    }
    ls_push(g, "generator");
    LsTensor *noise = ls_noise(g, 1, 0, 2, (int64_t[]){shape->batch, gan->noise});
    body.features = gan->generate(g, gan->config, field, noise);
    ls_pop(g);
    body.made_logits = judge(g, gan, body.features);
    bool generator_learns = shape->phase && strcmp(shape->phase, "generator") == 0;
    if (shape->want == LS_WANT_LOSS && !generator_learns)
        body.real_logits = judge(g, gan, ls_shape_input_of(g, shape, "pixels|values"));
    return body;
}
