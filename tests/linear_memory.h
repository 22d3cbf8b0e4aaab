/* That a model's planned memory grows with the length of sequences alone. */
#ifndef LINEAR_MEMORY_H
#define LINEAR_MEMORY_H

#include "harness.h"
#include "config/config.h"

#include <stdio.h>

/* Bytes a token of a training graph of one text. model: settings, "kind: linformer" */
static inline double bytes_a_token(const char *model, int64_t steps)
{
    char yaml[256];
    snprintf(yaml, sizeof yaml,
             "model: {%s, context: 65536, layers: 2, heads: 2, width: 64, dropout: 0}\ntask: {kind: masked_language}",
             model);
    LsConfig *config = ls_config_parse("long", yaml, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ls_config_set_model_int(config, "vocabulary", 256);
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(config, g, 1, steps, LS_WANT_LOSS);
    ASSERT_OK(ls_graph_plan_dry(g));
    LsMemory memory = ls_graph_memory(g);
    ls_graph_free(g);
    ls_params_free(params);
    ls_config_free(config);
    return (double)(memory.activations + memory.scratch + memory.inputs) / (double)steps;
}

static inline void check_linear_memory(const char *model)
{
    double first = bytes_a_token(model, 1024);
    for (int64_t steps = 4096; steps <= 65536; steps *= 4)
        ASSERT_AT_MOST(fabs(bytes_a_token(model, steps) / first - 1), 0.15);
}

#endif
