#include "graph/graph_internal.h"

#include "base/bfloat16.h"
#include "base/names.h"

#include <math.h>
#include <string.h>

static void fill_constant(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)key, (void)b;
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dim[i];
    for (int64_t i = 0; i < count; i++)
        value[i] = (float)a;
}

static void fill_normal(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)b;
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dim[i];
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++)
        value[i] = (float)(a * (double)ls_normal_at(key, 0, (uint64_t)i));
}

static void fill_uniform(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dim[i];
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++)
        value[i] = (float)(a + (b - a) * (double)ls_uniform_at(key, 0, (uint64_t)i));
}

LsInit ls_init_constant(double value) { return (LsInit){fill_constant, value, 0}; }
LsInit ls_init_normal(double std) { return (LsInit){fill_normal, std, 0}; }
LsInit ls_init_uniform(double low, double high) { return (LsInit){fill_uniform, low, high}; }

/* A store with what is not everybody's to see. */
typedef struct Store {
    LsParams params;
    LsParams *base;
} Store;

LsParams *ls_params_new(void) { return ls_alloc(sizeof(Store)); }

/* One that was made by hand has no names, and no base. */
LsParams *ls_params_base(const LsParams *params) { return params->names ? ((const Store *)params)->base : NULL; }

LsParams *ls_params_base_take(LsParams *params)
{
    LsParams *base = ls_params_base(params);
    if (base)
        ((Store *)params)->base = NULL;
    return base;
}

LsParams *ls_params_base_make(LsParams *params)
{
    Store *store = (Store *)params;
    if (!store->base && params->sealed)
        ls_fail(LS_USAGE, "a graph that adapts its model needs a store whose model is adapted");
    else if (!store->base)
        store->base = ls_params_new();
    return store->base;
}

void ls_params_free(LsParams *params)
{
    if (!params)
        return;
    for (int i = 0; i < params->count; i++) {
        ls_free(params->list[i].name);
        for (int form = 0; form < LS_FORMS; form++)
            ls_free(params->list[i].only[form]);
    }
    ls_free(params->list);
    ls_free(params->value);
    ls_free(params->grad);
    ls_free(params->shadow);
    ls_free(params->eighths);
    ls_free(params->row_scale);
    ls_free(params->moves);
    ls_names_free(params->names);
    ls_params_free(params->running);
    ls_params_free(((Store *)params)->base);
    ls_free(params);
}

/* One row: the largest magnitude becomes 127; round to nearest, so that a weight is off by half a scale at most. A row
 * with a value that is not finite gets a scale that is not finite, and so do products with it. */
static float quantise_row(const float *value, int8_t *to, int64_t count)
{
    float largest = 0, bad = 0;
#pragma omp simd reduction(max : largest) reduction(+ : bad)
    for (int64_t i = 0; i < count; i++) {
        largest = fabsf(value[i]) > largest ? fabsf(value[i]) : largest;
        bad += value[i] * 0; /* NaN where the value is infinite or NaN */
    }
    float scale = largest / 127, inverse = bad == 0 && largest > 0 ? 127 / largest : 0;
    inverse = isfinite(inverse) ? inverse : 0; /* denormal numbers become 0 */
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float x = bad == 0 ? value[i] * inverse : 1;
        to[i] = (int8_t)(int)(x + copysignf(0.5f, x));
    }
    return scale + bad;
}

static void quantise(const LsParams *params, const LsParam *param, const float *value, int8_t *to)
{
    int64_t rows = param->dim[0], length = param->count / rows;
#pragma omp parallel for schedule(static) if (param->count > 65536)
    for (int64_t j = 0; j < rows; j++)
        params->row_scale[param->row + j] = quantise_row(value + j * length, to + j * length, length);
}

void ls_params_quantise(const LsParams *params)
{
    for (int p = 0; params->eighths && p < params->count; p++)
        quantise(params, &params->list[p], params->value + params->list[p].offset,
                 params->eighths + params->list[p].offset);
}

void ls_params_shadow(const LsParams *params, int64_t first, int64_t count)
{
    if (params->shadow)
        ls_bfloat16_round_past(params->value + first, (LsBfloat16 *)(void *)(params->shadow + first), count);
}

int ls_params_find(const LsParams *params, const char *name) { return ls_names_find(params->names, name); }

static int check_same(const LsParam *p, int rank, const int64_t *dim)
{
    bool same = p->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = p->dim[i] == dim[i];
    if (same)
        return 0;
    LsTensor want = {.rank = rank}, have = {.rank = p->rank};
    memcpy(want.dim, dim, sizeof(int64_t) * (size_t)rank);
    memcpy(have.dim, p->dim, sizeof have.dim);
    ls_fail(LS_USAGE, "parameter %s: asked for with shape %s but it has %s", p->name, ls_shape_text(&want),
            ls_shape_text(&have));
    return -1;
}

int ls_params_declare(LsParams *params, const char *name, LsInit init, unsigned flags, int rank, const int64_t *dim)
{
    int found = ls_params_find(params, name);
    if (found >= 0)
        return check_same(&params->list[found], rank, dim) == 0 ? found : -1;
    if (params->sealed) {
        ls_fail(LS_USAGE,
                "parameter %s: the model has none of this name; the graphs of one model must use the same parameters",
                name);
        return -1;
    }
    int room = params->count % 64 == 0 ? params->count : params->count + 1; /* grows by 64 at a time */
    if (params->count == room) {
        LsParam *grown = ls_alloc_array(params->count + 64, sizeof(LsParam));
        if (!grown)
            return -1;
        if (params->count)
            memcpy(grown, params->list, sizeof(LsParam) * (size_t)params->count);
        ls_free(params->list);
        params->list = grown;
    }
    LsParam *p = &params->list[params->count];
    *p = (LsParam){.name = ls_strdup(name),
                   .rank = rank,
                   .count = 1,
                   .offset = params->total,
                   .row = params->rows,
                   .init = init,
                   .flags = flags};
    if (!p->name || ls_names_add(&params->names, p->name, params->count) != LS_OK) {
        ls_free(p->name);
        return -1;
    }
    for (int i = 0; i < rank; i++) {
        p->dim[i] = dim[i];
        p->count *= dim[i];
    }
    const int64_t line = LS_ALIGN / (int64_t)sizeof(float);
    params->total += (p->count + line - 1) / line * line;
    params->elements += p->count;
    params->rows += p->dim[0];
    return params->count++;
}

LsParams *ls_params_derive(const LsParams *params,
                           bool (*shape)(const void *self, const LsParam *param, int *rank, int64_t *dim),
                           const void *self)
{
    LsParams *derived = ls_params_new();
    for (int i = 0; derived && i < params->count; i++) {
        const LsParam *p = &params->list[i];
        int rank = p->rank;
        int64_t dim[LS_MAX_RANK];
        memcpy(dim, p->dim, sizeof dim);
        if (shape(self, p, &rank, dim) && ls_params_declare(derived, p->name, p->init, p->flags, rank, dim) < 0) {
            ls_params_free(derived);
            return NULL;
        }
    }
    return derived;
}

static void draw_all(LsParams *params, uint64_t seed)
{
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        p->init.fill(params->value + p->offset, p->rank, p->dim, ls_key(seed, p->name), p->init.a, p->init.b);
    }
}

LsStatus ls_params_allocate(LsParams *params, uint64_t seed, bool with_grad)
{
    if (params->sealed)
        return ls_fail(LS_ERROR, "the parameter store is allocated already");
    params->value = ls_alloc_array(params->total, sizeof(float));
    params->grad = with_grad ? ls_alloc_array(params->total, sizeof(float)) : NULL;
    if (!params->value || (with_grad && !params->grad))
        return LS_RESOURCE;
    draw_all(params, seed);
    params->sealed = true;
    if (ls_params_base(params))
        LS_TRY(ls_params_allocate(ls_params_base(params), seed, false));
    return params->running ? ls_params_allocate(params->running, seed, false) : LS_OK;
}

/* ---- Frozen stores ---- */

static const int64_t form_bytes[LS_FORMS] = {[LS_FORM_FLOAT] = 4, [LS_FORM_BFLOAT16] = 2, [LS_FORM_INT8] = 1};

LsForm ls_param_form(const LsGraph *g, const LsTensor *x)
{
    return x->dtype == LS_I8                          ? LS_FORM_INT8
           : ls_graph_element_bytes(g, x->dtype) == 2 ? LS_FORM_BFLOAT16
                                                      : LS_FORM_FLOAT;
}

LsStatus ls_params_freeze(LsParams *params, const LsGraph *g)
{
    if (params->sealed || g->params != params || g->options.mode == LS_TRAIN || g->options.precision == LS_FLOAT64)
        return ls_fail(LS_ERROR, "only a store without memory is frozen, for a graph of its own that does not train");
    if (ls_params_base(params))
        return ls_fail(LS_ERROR, "a model's adapters are merged before its store is frozen");
    params->row_scale = ls_alloc_array(params->rows, sizeof *params->row_scale);
    params->frozen_bytes = params->rows * (int64_t)sizeof *params->row_scale;
    bool enough = params->row_scale;
    for (int n = 0; n < g->nodes && enough; n++)
        for (int i = 0; i < g->node[n]->inputs && enough; i++) {
            const LsTensor *x = g->node[n]->in[i];
            if (!x || x->role != LS_ROLE_PARAM)
                continue;
            LsParam *p = &params->list[x->param];
            LsForm form = ls_param_form(g, x);
            if (p->only[form])
                continue;
            p->only[form] = ls_alloc_array(p->count, (size_t)form_bytes[form]);
            params->frozen_bytes += p->count * form_bytes[form];
            enough = p->only[form];
        }
    params->frozen = params->sealed = true;
    if (enough && params->running) {
        params->frozen_bytes += params->running->total * (int64_t)sizeof(float);
        LS_TRY(ls_params_allocate(params->running, 0, false));
    }
    return enough ? LS_OK : LS_RESOURCE;
}

void ls_params_put(LsParams *params, int index, const float *value)
{
    LsParam *p = &params->list[index];
    if (p->only[LS_FORM_FLOAT])
        memcpy(p->only[LS_FORM_FLOAT], value, (size_t)p->count * sizeof *value);
    if (p->only[LS_FORM_BFLOAT16])
        ls_bfloat16_round(value, p->only[LS_FORM_BFLOAT16], p->count);
    if (p->only[LS_FORM_INT8])
        quantise(params, p, value, p->only[LS_FORM_INT8]);
}

LsStatus ls_params_draw(LsParams *params, uint64_t seed)
{
    if (params->running)
        draw_all(params->running, seed);
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        float *value = ls_alloc_array(p->count, sizeof *value);
        if (!value)
            return LS_RESOURCE;
        p->init.fill(value, p->rank, p->dim, ls_key(seed, p->name), p->init.a, p->init.b);
        ls_params_put(params, i, value);
        ls_free(value);
    }
    return LS_OK;
}
