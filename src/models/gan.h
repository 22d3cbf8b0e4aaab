/* Shared by models of two players: a generator, whose parameters begin with "generator.", and a discriminator, whose
 * begin with "discriminator.". */
#ifndef LS_MODELS_GAN_H
#define LS_MODELS_GAN_H

#include "models/blocks.h"

/* The model's parts: samples (B, field) from noise (B, N), and a logit (B, 1) of each sample. */
typedef struct LsGan {
    const void *config;
    LsTensor *(*generate)(LsGraph *g, const void *config, const LsField *field, LsTensor *noise);
    LsTensor *(*judge)(LsGraph *g, const void *config, LsTensor *x);
    int64_t noise; /* N */
    /* noise of this standard deviation, which halves every so many steps (0: stays), is on all samples that are judged
     * (Sonderby et al. 2017, "Amortised MAP inference for image super-resolution"): without it what is real and what is
     * made hardly ever overlap, and the discriminator has nothing to teach. 0: none */
    double blur;
    int64_t blur_halving;
} LsGan;

/* Settings `blur` and `blur_halving` of a model whose settings S have members of these names. */
#define LS_GAN_BLUR_SETTINGS(S)                                                                                        \
    LS_SETTING_FLOAT(S, blur, "0", 0, 1e6,                                                                             \
                     "standard deviation of noise on all samples that the discriminator sees, at first"),              \
        LS_SETTING_INT(S, blur_halving, "0", 0, 1 << 30, "steps in which that halves; 0: it stays")

/* Both players for the shape's phase: samples are judged as made ones; but while the generator learns (phase
 * "generator") real ones, of the first field in "pixels|values" that the data have, too. */
LsBody ls_gan_build(LsGraph *g, const LsGan *gan, const LsShape *shape);

#endif
