/* Samples like those of the data, made from noise, by two players (Goodfellow et al. 2014, "Generative adversarial
 * nets"): the discriminator's loss is the binary cross entropy of real and made samples, the generator's that of made
 * samples taken for real (the non-saturating loss). Sums over the samples. */
#include "tasks/drawings.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* A mode of the data is found where this share of all samples lies within three sigma of it. */
#define FOUND 0.01
/* Which of a metric's sums counts the samples; those before it count samples near each mode. */
#define SAMPLES (LS_MAX_METRIC_SUMS - 1)

static void head(LsGraph *g, const void *settings, const LsShape *shape, const LsBody *body)
{
    (void)settings;
    if (shape->want == LS_WANT_LOSS)
        ls_output(g, "loss",
                  body->real_logits ? ls_adversarial_loss(g, body->real_logits, body->made_logits)
                                    : ls_adversarial_loss(g, body->made_logits, NULL));
    if (shape->want != LS_WANT_LOSS || ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "output", body->features);
}

static int64_t targets(const LsGraph *g, int64_t rows)
{
    (void)g;
    return rows;
}

/* Samples near each mode that the data's info names ("modes": points, "sigma"). */
static LsStatus add_near(const LsScored *scored, double *sum)
{
    const json_t *modes = scored->info ? json_object_get(scored->info, "modes") : NULL;
    double three_sigma = 3 * json_number_value(json_object_get(scored->info, "sigma"));
    const LsTensor *x = ls_graph_find(scored->g, "output");
    int64_t numbers = x->count / x->dim[0];
    for (int64_t b = 0; modes && b < scored->rows; b++)
        for (size_t k = 0; k < json_array_size(modes) && k < SAMPLES; k++) {
            double distance = 0;
            for (int64_t i = 0; i < numbers; i++) {
                float value;
                ls_tensor_get_part(scored->g, x, b * numbers + i, 1, &value);
                double d = (double)value - json_number_value(json_array_get(json_array_get(modes, k), (size_t)i));
                distance += d * d;
            }
            sum[k] += sqrt(distance) <= three_sigma;
        }
    sum[SAMPLES] += modes ? (double)scored->rows : 0;
    return LS_OK;
}

static double modes_found(const LsScore *score)
{
    double found = 0;
    for (int k = 0; k < SAMPLES; k++)
        found += score->sum[k] > FOUND * score->sum[SAMPLES];
    return score->sum[SAMPLES] > 0 ? found : NAN; /* of data without modes nothing can be said */
}

static double within_three_sigma(const LsScore *score)
{
    double near = 0;
    for (int k = 0; k < SAMPLES; k++)
        near += score->sum[k];
    return score->sum[SAMPLES] > 0 ? near / score->sum[SAMPLES] : NAN;
}

static const LsMetric metrics[] = {{.name = "modes",
                                    .summary = "modes of the data near which there is at least one sample in a hundred",
                                    .higher_is_better = true,
                                    .sums = LS_MAX_METRIC_SUMS,
                                    .add = add_near,
                                    .value = modes_found},
                                   {.name = "within_three_sigma",
                                    .summary = "share of samples within three standard deviations of a mode",
                                    .higher_is_better = true,
                                    .sums = LS_MAX_METRIC_SUMS,
                                    .add = add_near,
                                    .value = within_three_sigma},
                                   {0}};

const LsTask ls_task_generation = {
    .name = "generation",
    .summary = "samples like those of the data, made from noise",
    .item = "sample",
    .fields = "",
    .takes = LS_BODY_PLAYERS,
    .head = head,
    .targets = targets,
    .drawing = "png",
    .draw = ls_draw_grid,
    .makes = true,
    .metrics = metrics,
    .best = "within_three_sigma",
    .procedure = "adversarial",
};
