/* The list of tasks, and graphs of a model with a task's head on it. */
#include "graph/documents.h"
#include "lockstep/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LS_LIST_FILE "lockstep/tasks.def"
#define TASK LS_LIST_ENTRY
#define LS_LIST_TYPE LsTask
#define LS_LIST_SYMBOL(name) ls_task_##name
#define LS_LIST_WHAT "task"
#define LS_LIST_ROOM LS_MAX_ADDED_TASKS
#include "base/registry_list.h"

const LsTask *const *ls_tasks(void) { return (const LsTask *const *)(const void *)members; }

LsStatus ls_task_add(const LsTask *task) { return ls_registry_add(&registry, task); }

const LsTask *ls_task_find(const char *name) { return ls_registry_find(&registry, name); }

LsStatus ls_task_draw(const LsTask *task, const LsDrawn *drawn, char **bytes, int64_t *count)
{
    size_t used = 0;
    *bytes = NULL;
    *count = 0;
    if (!task->draw)
        return ls_fail(LS_USAGE, "task %s draws nothing", task->name);
    LS_TRY(task->draw(drawn, NULL));
    FILE *out = open_memstream(bytes, &used);
    LsStatus status = out ? task->draw(drawn, out) : LS_RESOURCE;
    if (!out || fclose(out) != 0 || status != LS_OK) {
        free(*bytes);
        *bytes = NULL;
        return status != LS_OK && out ? status : ls_fail(LS_RESOURCE, "out of memory for a drawing");
    }
    *count = (int64_t)used;
    return LS_OK;
}

const LsMetric *ls_task_metric(const LsTask *task, const char *name)
{
    for (const LsMetric *metric = task->metrics; metric && metric->name; metric++)
        if (strcmp(metric->name, name) == 0)
            return metric;
    return NULL;
}

int ls_task_metrics(const LsTask *task)
{
    int count = 0;
    while (task->metrics && task->metrics[count].name)
        count++;
    return count;
}

static bool fits(const LsTask *task, const LsBody *body)
{
    unsigned made = body->features->rank == 3 ? LS_BODY_STEPS : body->features->rank == 2 ? LS_BODY_VECTOR : 0;
    bool ids = task->takes & LS_BODY_IDS, both_ways = task->takes & LS_BODY_BOTH_WAYS;
    if ((task->takes & LS_BODY_PLAYERS) || body->made_logits)
        return (task->takes & LS_BODY_PLAYERS) && body->made_logits;
    return (task->takes & made) && (!ids || (body->table && both_ways == body->both_ways)) &&
           !(task->takes & LS_BODY_SOURCE) == !body->source;
}

static void refuse(LsGraph *g, const LsModel *model, const LsTask *task, const LsBody *body)
{
    char names[256] = "";
    for (const LsTask *const *other = ls_tasks(); *other; other++)
        if (fits(*other, body)) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", (*other)->name);
        }
    ls_graph_fail(g, LS_USAGE, "task.kind %s does not fit model.kind %s, which makes %s: tasks that take it are %s",
                  task->name, model->name,
                  body->made_logits           ? "samples, and judges them"
                  : body->features->rank == 3 ? "a vector for each step of a sequence"
                                              : "one vector a sample",
                  names);
}

/* A model whose ops see over the borders of documents. */
static void refuse_across_documents(LsGraph *g, const LsModel *model)
{
    const char *op = ls_op_across_documents(g, ls_graph_find(g, "positions"));
    if (op)
        ls_graph_fail(
            g, LS_USAGE,
            "samples of several documents (data.mask=documents, data.pack=true) do not fit model.kind %s: its "
            "op %s sees tokens of the others; data.mask=none, data.pack=false or a model of kind gpt, llama "
            "or gpt_neox",
            model->name, op);
}

void ls_task_build(LsGraph *g, const LsModel *model, const void *model_config, const LsTask *task,
                   const void *task_config, const LsShape *shape)
{
    LsBody body = model->build(g, model_config, shape);
    if (ls_shape_documents(g, shape))
        refuse_across_documents(g, model);
    if (!body.features)
        return;
    if (fits(task, &body))
        task->head(g, task_config, shape, &body);
    else
        refuse(g, model, task, &body);
}
