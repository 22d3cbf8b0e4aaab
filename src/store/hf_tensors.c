#include "base/text.h"
#include "store/hf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names: "layer.{i}.bias" ------------------------------------------------------------------------------------- */

/* Does `name` fit `pattern`? *layer gets the number that stands for {i}, -1 where the pattern has none. */
static bool fits(const char *pattern, const char *name, int64_t *layer)
{
    const char *hole = strstr(pattern, "{i}");
    *layer = -1;
    if (!hole)
        return strcmp(pattern, name) == 0;
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, name, before) != 0 || name[before] < '0' || name[before] > '9')
        return false;
    char *end = NULL;
    *layer = strtoll(name + before, &end, 10);
    return strcmp(end, hole + 3) == 0;
}

/* The pattern with the layer's number put in; the caller frees it. */
static char *fill(const char *pattern, int64_t layer)
{
    const char *hole = strstr(pattern, "{i}");
    return hole ? ls_format("%.*s%lld%s", (int)(hole - pattern), pattern, (long long)layer, hole + 3)
                : ls_strdup(pattern);
}

static const LsHfTensor *entry_of_param(const LsHf *hf, const char *name, int64_t *layer)
{
    for (const LsHfTensor *e = hf->tensors; e->theirs; e++)
        if (e->ours && fits(e->ours, name, layer))
            return e;
    return NULL;
}

/* `theirs` of a name that may lack the prefix. */
static const char *without_prefix(const LsHf *hf, const char *name)
{
    size_t length = hf->prefix ? strlen(hf->prefix) : 0;
    return length && strncmp(name, hf->prefix, length) == 0 ? name + length : name;
}

static const LsSafeTensor *find_theirs(const LsHf *hf, const LsSafetensors *tensors, const LsHfTensor *e, int64_t layer)
{
    char *name = fill(e->theirs, layer);
    const LsSafeTensor *t = name ? ls_safetensors_find(tensors, name) : NULL;
    if (name && !t)
        t = ls_safetensors_find(tensors, without_prefix(hf, name));
    ls_free(name);
    return t;
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* Their shape of a parameter of ours. */
static void their_shape(const LsParam *p, const LsHfTensor *e, LsSafeOut *out)
{
    out->rank = p->rank;
    memcpy(out->dim, p->dim, sizeof(int64_t) * (size_t)p->rank);
    if (e->layout == LS_HF_TRANSPOSE) {
        out->dim[0] = p->dim[1];
        out->dim[1] = p->dim[0];
    } else if (e->layout == LS_HF_MIDDLE_ONE) {
        out->rank = p->rank + 1;
        out->dim[p->rank] = p->dim[p->rank - 1];
        out->dim[p->rank - 1] = 1;
    }
}

/* from: (rows, columns) -> to: (columns, rows), in squares that stay in the first-level cache */
static void transpose(const float *from, int64_t rows, int64_t columns, float *to)
{
    const int64_t side = 32;
#pragma omp parallel for schedule(static)
    for (int64_t r0 = 0; r0 < rows; r0 += side)
        for (int64_t c0 = 0; c0 < columns; c0 += side)
            for (int64_t r = r0; r < rows && r < r0 + side; r++)
                for (int64_t c = c0; c < columns && c < c0 + side; c++)
                    to[c * rows + r] = from[r * columns + c];
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

/* Sees to all of our parameters; used[i] is set where tensor i of the file is one of them. */
static LsStatus check_ours(const LsModel *model, const LsSafetensors *tensors, const LsParams *params, bool *used,
                           LsNotes *all)
{
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        int64_t layer = -1;
        const LsHfTensor *e = entry_of_param(model->hf, p->name, &layer);
        if (!e)
            return ls_fail(LS_USAGE, "the layout of %s has no place for parameter %s", model->hf->architecture,
                           p->name);
        const LsSafeTensor *t = find_theirs(model->hf, tensors, e, layer);
        LsSafeOut want = {0};
        their_shape(p, e, &want);
        if (!t && !e->optional) {
            char *name = fill(e->theirs, layer);
            ls_note(all, "%s %s is missing", name ? name : e->theirs, ls_dims_text(want.rank, want.dim));
            ls_free(name);
        }
        if (t && (t->rank != want.rank || memcmp(t->dim, want.dim, sizeof(int64_t) * (size_t)want.rank) != 0))
            ls_note(all, "%s has shape %s, the settings ask for %s", t->name, ls_dims_text(t->rank, t->dim),
                    ls_dims_text(want.rank, want.dim));
        if (t)
            used[t - tensors->list] = true;
    }
    return LS_OK;
}

/* Sees to what else is in the file: ignored, a copy of a tied parameter, or a stranger. */
static void check_theirs(const LsModel *model, const LsSafetensors *tensors, const bool *used, LsNotes *all)
{
    for (int i = 0; i < tensors->count; i++) {
        const LsHfTensor *e = model->hf->tensors;
        int64_t layer = -1;
        const char *name = tensors->list[i].name;
        while (e->theirs && !fits(e->theirs, name, &layer) && !fits(without_prefix(model->hf, e->theirs), name, &layer))
            e++;
        if (!used[i] && (!e->theirs || (e->ours && !e->tied)))
            ls_note(all, "%s %s is not a tensor of this model", name,
                    ls_dims_text(tensors->list[i].rank, tensors->list[i].dim));
    }
}

static LsStatus read_one(const LsSafetensors *tensors, const LsSafeTensor *t, const LsParam *p, const LsHfTensor *e,
                         float *to)
{
    if (!t) {
        memset(to, 0, sizeof(float) * (size_t)p->count);
        return LS_OK;
    }
    if (e->layout != LS_HF_TRANSPOSE)
        return ls_safetensors_read(tensors, t, to);
    float *rows = ls_alloc_array(p->count, sizeof *rows);
    LsStatus status = rows ? ls_safetensors_read(tensors, t, rows) : LS_RESOURCE;
    if (status == LS_OK)
        transpose(rows, t->dim[0], t->dim[1], to);
    ls_free(rows);
    return status;
}

/* A tensor that the file holds as a copy of a parameter must be one. */
static LsStatus check_copies(const LsModel *model, const LsSafetensors *tensors, const LsParams *params)
{
    for (const LsHfTensor *e = model->hf->tensors; e->theirs; e++) {
        int original = e->tied && ls_params_find(params, e->ours) < 0 ? ls_params_find(params, e->tied) : -1;
        const LsSafeTensor *t = original >= 0 ? find_theirs(model->hf, tensors, e, -1) : NULL;
        if (!t)
            continue;
        const LsParam *p = &params->list[original];
        float *copy = ls_alloc_array(t->count, sizeof *copy);
        LsStatus status = copy ? ls_safetensors_read(tensors, t, copy) : LS_RESOURCE;
        if (status == LS_OK &&
            (t->count != p->count || memcmp(copy, params->value + p->offset, sizeof(float) * (size_t)p->count) != 0))
            status = ls_fail(tensors->code, "%s: tensor %s differs from the one that the settings tie it to (%s)",
                             tensors->files[t->file].path, t->name, p->name);
        ls_free(copy);
        LS_TRY(status);
    }
    return LS_OK;
}

LsStatus ls_hf_tensors_in(const LsModel *model, const LsSafetensors *tensors, LsParams *params)
{
    bool *used = ls_alloc_array(tensors->count + 1, sizeof *used);
    LsNotes *all = ls_alloc(sizeof *all);
    LsStatus status = used && all ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = check_ours(model, tensors, params, used, all);
    if (status == LS_OK)
        check_theirs(model, tensors, used, all);
    if (status == LS_OK && all->count)
        status = ls_fail(tensors->code, "%s: does not fit the settings in config.json:%s", tensors->files[0].path,
                         ls_notes_text(all));
    ls_free(used);
    ls_free(all);
    LS_TRY(status);
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        int64_t layer = -1;
        const LsHfTensor *e = entry_of_param(model->hf, p->name, &layer);
        LS_TRY(read_one(tensors, find_theirs(model->hf, tensors, e, layer), p, e, params->value + p->offset));
    }
    return check_copies(model, tensors, params);
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

typedef struct Out {
    const LsModel *model;
    const LsParams *params;
    LsSafeOut *list;
    float *buffer; /* a transposed parameter */
} Out;

static const float *give(void *self, int i)
{
    Out *out = self;
    const LsParam *p = &out->params->list[i];
    const float *value = out->params->value + p->offset;
    int64_t layer = -1;
    if (entry_of_param(out->model->hf, p->name, &layer)->layout != LS_HF_TRANSPOSE)
        return value;
    transpose(value, p->dim[0], p->dim[1], out->buffer);
    return out->buffer;
}

LsStatus ls_hf_tensors_out(const LsModel *model, const LsParams *params, const char *path)
{
    Out out = {.model = model, .params = params, .list = ls_alloc_array(params->count, sizeof *out.list)};
    int64_t largest = 0;
    LsStatus status = out.list ? LS_OK : LS_RESOURCE;
    for (int i = 0; i < params->count && status == LS_OK; i++) {
        const LsParam *p = &params->list[i];
        int64_t layer = -1;
        const LsHfTensor *e = entry_of_param(model->hf, p->name, &layer);
        if (!e) {
            status =
                ls_fail(LS_USAGE, "the layout of %s has no place for parameter %s", model->hf->architecture, p->name);
            break;
        }
        their_shape(p, e, &out.list[i]);
        out.list[i].name = fill(e->theirs, layer);
        if (!out.list[i].name)
            status = LS_RESOURCE;
        if (e->layout == LS_HF_TRANSPOSE && p->count > largest)
            largest = p->count;
    }
    if (status == LS_OK && !(out.buffer = ls_alloc_array(largest, sizeof(float))))
        status = LS_RESOURCE;
    if (status == LS_OK)
        status = ls_safetensors_write(path, params->count, out.list, give, &out);
    for (int i = 0; out.list && i < params->count; i++)
        ls_free((void *)(uintptr_t)out.list[i].name);
    ls_free(out.list);
    ls_free(out.buffer);
    return status;
}
