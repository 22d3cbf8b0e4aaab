/* A value of each action, the best of which is taken (Watkins 1989): the sum of rewards that is expected after it.
 * L = sum of squared differences to the field "target", in which actions that nothing is known of are NAN. */
#include "tasks/targets.h"

#include "models/blocks.h"

#include <math.h>

static void head(LsGraph *g, const void *settings, const LsShape *shape, const LsBody *body)
{
    (void)settings;
    const LsField *field = ls_shape_field(shape, "target");
    LsTensor *y = ls_dense_uniform(g, "head", body->features, field && field->rank == 1 ? field->dim[0] : 1,
                                   LS_NO_ACTIVATION); /* (B, actions) */
    if (shape->want == LS_WANT_LOSS)
        ls_output(g, "loss", ls_mean_squared_error(g, y, ls_shape_input(g, shape, "target")));
    if (shape->want != LS_WANT_LOSS || ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "output", y);
}

static int64_t targets(const LsGraph *g, int64_t rows)
{
    const LsTensor *x = ls_graph_find(g, "target");
    int64_t count = x ? x->count / x->dim[0] * rows : 0, there = 0;
    for (int64_t i = 0; i < count; i++) {
        float value;
        ls_tensor_get_part(g, x, i, 1, &value);
        there += !isnan(value);
    }
    return there;
}

static double mean_return(const LsScore *score) { return score->sum[0] / score->sum[1]; }

/* sum: of returns, and of episodes */
static const LsMetric metrics[] = {{.name = "mean_return",
                                    .summary = "sum of an episode's rewards where the best action is taken",
                                    .higher_is_better = true,
                                    .sums = 2,
                                    .value = mean_return},
                                   {0}};

const LsTask ls_task_control = {
    .name = "control",
    .summary = "a value of each action of an agent",
    .item = "action",
    .fields = "target 2",
    .takes = LS_BODY_VECTOR,
    .head = head,
    .targets = targets,
    .metrics = metrics,
    .best = "mean_return",
    .procedure = "q_learning",
};
