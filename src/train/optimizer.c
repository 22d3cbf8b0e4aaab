#include "lockstep/adapters.h"
#include "train//optimizer.h"

#include "base/squares.h"

#include <math.h>
#include <string.h>

#define LS_LIST_FILE "config/optimizers.def"
#define OPTIMIZER LS_LIST_ENTRY
#define LS_LIST_TYPE LsOptimizer
#define LS_LIST_SYMBOL(name) ls_optimizer_##name
#define LS_LIST_WHAT "optimizer"
#define LS_LIST_ROOM 0
#include "base/registry_list.h"

/* Floats of one chunk: four arrays of it fit a core's second-level cache, and the threads' shares of a large model are
 * even. */
#define CHUNK ((int64_t)16384)

const LsOptimizer *ls_optimizer_find(const char *name) { return ls_registry_find(&registry, name); }

float ls_optimizer_decay(const LsTrainSettings *settings, const LsParam *param)
{
    return param->rank >= 2 && !(param->flags & LS_NO_DECAY) ? (float)settings->weight_decay : 0.0f;
}

/* The last parameter that begins at or before `at`. */
static int find_param(const LsParams *params, int64_t at)
{
    int low = 0, high = params->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (params->list[middle].offset <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Updates [begin, end), cut at the borders of parameters. */
static void update_chunk(const LsParams *params, int64_t begin, int64_t end,
                         void (*update)(void *self, int param, int64_t first, int64_t count), void *self)
{
    for (int i = find_param(params, begin); i < params->count && params->list[i].offset < end; i++) {
        int64_t first = params->list[i].offset, last = first + params->list[i].count;
        first = first > begin ? first : begin;
        last = last < end ? last : end;
        if (first < last)
            update(self, i, first, last - first);
    }
}

void ls_optimizer_each(const LsParams *params, const LsShard *shard,
                       void (*update)(void *self, int param, int64_t first, int64_t count), void *self)
{
    if (params->count == 0)
        return;
    const LsRange whole = {0, params->total};
    const LsRange *range = shard ? shard->range : &whole;
    int ranges = shard ? shard->ranges : 1;
    int64_t chunks = 0;
    for (int r = 0; r < ranges; r++)
        chunks += (range[r].count + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        int r = 0;
        int64_t inside = chunk; /* the chunk's number inside its range */
        for (int64_t of_range; inside >= (of_range = (range[r].count + CHUNK - 1) / CHUNK); r++)
            inside -= of_range;
        int64_t begin = range[r].first + inside * CHUNK, end = range[r].first + range[r].count;
        end = end - begin < CHUNK ? end : begin + CHUNK;
        update_chunk(params, begin, end, update, self);
        ls_params_shadow(params, begin, end - begin);
    }
}

static bool has_whole(const LsShard *shard, const LsParam *p)
{
    for (int i = 0; shard && i < shard->ranges; i++)
        if (shard->range[i].first <= p->offset && p->offset + p->count <= shard->range[i].first + shard->range[i].count)
            return true;
    return !shard;
}

LsStatus ls_optimizer_each_whole(const LsUpdate *u, bool (*whole)(const LsParam *param),
                                 LsStatus (*update)(const LsUpdate *u, int param))
{
    for (int i = 0; i < u->params->count; i++) {
        const LsParam *p = &u->params->list[i];
        if (!whole(p) || !has_whole(u->shard, p))
            continue;
        LS_TRY(update(u, i));
#pragma omp parallel for schedule(static)
        for (int64_t first = 0; first < p->count; first += CHUNK)
            ls_params_shadow(u->params, p->offset + first, p->count - first < CHUNK ? p->count - first : CHUNK);
    }
    return LS_OK;
}

/* ---- Moments ----------------------------------------------------------------------------------------------------- */

/* Which parameters have a moment. */
typedef struct Kept {
    const LsMomentKind *kind;
    bool (*learns)(const void *self, const char *name);
    const void *self;
} Kept;

static bool shape_of(const void *self, const LsParam *param, int *rank, int64_t *dim)
{
    const Kept *kept = self;
    if (kept->learns && !kept->learns(kept->self, param->name))
        return false;
    return !kept->kind->shape || kept->kind->shape(param, rank, dim);
}

/* Whether what is kept lies as the parameters do. */
static bool keeps_all(const Kept *kept, const LsParams *params)
{
    for (int i = 0; i < params->count; i++)
        if (kept->learns && !kept->learns(kept->self, params->list[i].name))
            return false;
    return !kept->kind->shape;
}

LsStatus ls_moments_new(const LsOptimizer *optimizer, const LsParams *params,
                        bool (*learns)(const void *self, const char *name), const void *self,
                        LsMoment moment[LS_MAX_MOMENTS])
{
    for (int i = 0; i < LS_MAX_MOMENTS; i++)
        moment[i] = (LsMoment){0};
    for (int i = 0; i < optimizer->moments; i++) {
        const Kept kept = {&optimizer->moment[i], learns, self};
        moment[i].layout = keeps_all(&kept, params) ? params : ls_params_derive(params, shape_of, &kept);
        if (!moment[i].layout) {
            ls_moments_free(params, moment);
            return LS_RESOURCE;
        }
    }
    return LS_OK;
}

void ls_moments_free(const LsParams *params, LsMoment moment[LS_MAX_MOMENTS])
{
    for (int i = 0; i < LS_MAX_MOMENTS; i++) {
        if (moment[i].layout != params)
            ls_params_free((LsParams *)moment[i].layout);
        moment[i] = (LsMoment){0};
    }
}

int ls_moments_saved(const LsOptimizer *optimizer, const LsMoment moment[LS_MAX_MOMENTS], LsSaved *list)
{
    int count = 0;
    for (int i = 0; i < optimizer->moments; i++)
        if (moment[i].layout->count > 0) /* some keep nothing of any of a model's parameters */
            list[count++] = (LsSaved){.group = optimizer->moment[i].group,
                                      .layout = moment[i].layout,
                                      .value = moment[i].value,
                                      .begins_as_zero = true};
    return count;
}

int64_t ls_moments_floats(const LsMoment moment[LS_MAX_MOMENTS])
{
    int64_t floats = 0;
    for (int i = 0; i < LS_MAX_MOMENTS; i++)
        floats += moment[i].layout ? moment[i].layout->total : 0;
    return floats;
}

float *ls_moment_at(const LsMoment *moment, const LsParams *params, int param, int64_t first)
{
    if (moment->layout == params)
        return moment->value + first;
    const LsParam *p = &params->list[param];
    int at = ls_params_find(moment->layout, p->name);
    return at < 0 ? NULL : moment->value + moment->layout->list[at].offset + (first - p->offset);
}

/* ---- The norm ---------------------------------------------------------------------------------------------------- */

double ls_sum_of_squares(const float *x, int64_t count)
{
    double partial[LS_REDUCE_CHUNKS];
    int64_t chunk = (count / LS_REDUCE_CHUNKS + 16) / 16 * 16;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < LS_REDUCE_CHUNKS; i++) {
        int64_t first = i * chunk, left = count - first;
        partial[i] = 0;
        if (left > 0)
            partial[i] = ls_squares_of(x + first, left < chunk ? left : chunk);
    }
    double sum = 0;
    for (int i = 0; i < LS_REDUCE_CHUNKS; i++)
        sum += partial[i];
    return sum;
}
