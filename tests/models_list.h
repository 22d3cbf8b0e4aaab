/* Every model of the list, made small in each of its variants, with every task that fits it: for the tests that walk
 * them. Whoever adds a model or a task is covered by these tests without an edit. */
#ifndef MODELS_LIST_H
#define MODELS_LIST_H

#include "harness.h"
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#define LISTED_VOCABULARY 11

typedef struct Listed {
    const LsModel *model;
    const LsTask *task;
    int variant;
    LsConfig *config; /* of this combination; listed_free frees it */
    char name[128];
} Listed;

/* Variant `which` of a model's `small` with a task: "layers=2 width=4 | pixels 8x8x3; ...", where the part after the
 * bar is the fields of its inputs. more: lines of YAML, may be "". NULL past the last variant. */
static inline LsConfig *listed_config(const LsModel *model, int which, const LsTask *task, const char *more)
{
    char text[512] = "", yaml[2048], fields[256] = "", *override[32];
    const char *at = model->small;
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    for (int i = 0; i < which && at; i++)
        at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL;
    if (!at)
        return NULL;
    int count = 0;
    size_t used = 0;
    while (*at && *at != ';' && *at != '|') {
        size_t length = strcspn(at, " ;|");
        if (length > 0 && count < 31) {
            override[count++] = text + used;
            used += (size_t)snprintf(text + used, sizeof text - used, "model.%.*s", (int)length, at) + 1;
        }
        at += length;
        at += *at == ' ';
    }
    if (*at == '|')
        snprintf(fields, sizeof fields, "data: {fields: \"%.*s%s%s\"}\n", (int)strcspn(at + 1, ";"), at + 1,
                 task->fields && !task->fields[0] ? "" : ", ", task->fields ? task->fields : "targets T of 11");
    snprintf(yaml, sizeof yaml, "model: {kind: %s}\ntask: {kind: %s}\n%s%s", model->name, task->name, fields, more);
    LsConfig *config = ls_config_parse("small", yaml, count, override);
    if (!config)
        fprintf(stderr, "%s: %s\n", model->name, ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ls_config_set_model_int(config, "vocabulary", LISTED_VOCABULARY);
    return config;
}

static inline void listed_free(Listed *listed)
{
    ls_config_free(listed->config);
    listed->config = NULL;
}

/* Whether model and task fit each other: their graph can be built. */
static inline bool listed_fits(const LsConfig *config)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(config, g, 2, 7, LS_WANT_LOSS);
    bool fits = ls_graph_plan_dry(g) == LS_OK;
    ls_graph_free(g);
    ls_params_free(params);
    return fits;
}

/* The next combination after *listed, which begins as {0}. False past the last. more: as listed_config. */
static inline bool listed_next(Listed *listed, const char *more)
{
    static int model, task;
    if (!listed->model)
        model = task = listed->variant = 0;
    else
        task++;
    listed_free(listed);
    for (; ls_models()[model]; model++, listed->variant = task = 0)
        for (;; listed->variant++, task = 0) {
            listed->model = ls_models()[model];
            LsConfig *first = listed_config(listed->model, listed->variant, ls_tasks()[0], more);
            if (!first)
                break;
            ls_config_free(first);
            for (; ls_tasks()[task]; task++) {
                listed->task = ls_tasks()[task];
                listed->config = listed_config(listed->model, listed->variant, listed->task, more);
                snprintf(listed->name, sizeof listed->name, "%s, variant %d, %s", listed->model->name, listed->variant,
                         listed->task->name);
                if (listed_fits(listed->config))
                    return true;
                listed_free(listed);
            }
        }
    return false;
}

#endif
