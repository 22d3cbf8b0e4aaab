/* A model's features without a head: vectors for a search, or for somebody else's head. There is no loss;
 * a model is trained with another task. */
#include "tasks/targets.h"

#include <string.h>

typedef struct Settings {
    char *pool;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(
        Settings, pool, "model", "model|none|" LS_POOL_NAMES,
        "model: one vector a sample where the model makes one, else one a step; none: one a step; others: "
        "one of a sample's steps"),
    {0}};

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    const char *pool = ((const Settings *)config)->pool;
    LsTensor *x = strcmp(pool, "model") != 0 && body->steps ? body->steps : body->features;
    if (shape->want == LS_WANT_LOSS) {
        ls_graph_fail(g, LS_USAGE,
                      "task.kind embedding has no loss: 'lockstep predict' writes what the model makes; to "
                      "train it or to score it name another task");
        return;
    }
    if (strcmp(pool, "model") != 0 && strcmp(pool, "none") != 0)
        x = ls_pool_steps(g, shape, pool, x);
    ls_output(g, "output", x);
}

const LsTask ls_task_embedding = {
    .name = "embedding",
    .summary = "what a model makes of a sample, without a head",
    .item = "sample",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .fields = "",
    .takes = LS_BODY_STEPS | LS_BODY_VECTOR,
    .head = head,
};
