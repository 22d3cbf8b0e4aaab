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

/* Entry i of the model's table and, behind it, of the architecture's; NULL past the last. */
static const LsHfTensor *entry_at(const LsHfForm *form, int i)
{
    const LsHfTensor *e = form->hf->tensors;
    for (; e->theirs && i > 0; i--)
        e++;
    if (e->theirs)
        return e;
    e = form->architecture->tensors;
    for (; e && e->theirs && i > 0; i--)
        e++;
    return e && e->theirs ? e : NULL;
}

/* `theirs` of a name that may lack the prefix. */
static const char *without_prefix(const LsHf *hf, const char *name)
{
    size_t length = hf->prefix ? strlen(hf->prefix) : 0;
    return length && strncmp(name, hf->prefix, length) == 0 ? name + length : name;
}

static const LsSafeTensor *find_name(const LsHf *hf, const LsSafetensors *tensors, const char *pattern, int64_t layer)
{
    char *name = pattern ? fill(pattern, layer) : NULL;
    const LsSafeTensor *t = name ? ls_safetensors_find(tensors, name) : NULL;
    if (name && !t)
        t = ls_safetensors_find(tensors, without_prefix(hf, name));
    ls_free(name);
    return t;
}

static const LsSafeTensor *find_theirs(const LsHf *hf, const LsSafetensors *tensors, const LsHfTensor *e, int64_t layer)
{
    const LsSafeTensor *t = find_name(hf, tensors, e->theirs, layer);
    return t ? t : find_name(hf, tensors, e->also, layer);
}

/* The same for a parameter of ours. A file of a tied model may carry the copy alone: lm_head.weight. */
static const LsSafeTensor *find_for(const LsHfForm *form, const LsSafetensors *tensors, const LsParams *params,
                                    const LsHfTensor *e, int64_t layer)
{
    const LsSafeTensor *t = find_theirs(form->hf, tensors, e, layer);
    const LsHfTensor *copy;
    for (int k = 0; !t && (copy = entry_at(form, k)); k++)
        if (copy->tied && strcmp(copy->tied, e->ours) == 0 && (!copy->ours || ls_params_find(params, copy->ours) < 0))
            t = find_theirs(form->hf, tensors, copy, layer);
    return t;
}

bool ls_hf_has(const LsHf *hf, const LsSafetensors *tensors, const char *theirs)
{
    return find_name(hf, tensors, theirs, -1) != NULL;
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* A model's settings with its table. */
typedef struct Settings {
    const LsHfForm *form;
    const void *config;
} Settings;

/* Parts of a parameter's rows: theirs is rows first..first + rows - 1. */
typedef struct Parts {
    int64_t count, heads; /* parts, and what the first counts in shares: heads */
    int64_t first, rows;
} Parts;

/* False where the table is wrong, or the rows do not divide so. */
static bool find_parts(const Settings *s, const LsParam *p, const LsHfTensor *e, Parts *parts)
{
    int64_t share[8], sum = 0, before = 0;
    *parts = (Parts){.count = 1, .rows = p->dim[0]};
    if (!e->shares)
        return true;
    parts->count = 0;
    for (const char *at = e->shares; *at && parts->count < (int64_t)LS_COUNT_OF(share);) {
        size_t length = strcspn(at, "|");
        char *product = ls_format("%.*s", (int)length, at);
        share[parts->count] = product ? ls_hf_product(s->form, product, s->config) : -1;
        ls_free(product);
        if (share[parts->count] < 1)
            return false;
        sum += share[parts->count];
        before += parts->count < e->part ? share[parts->count] : 0;
        parts->count++;
        at += length + (at[length] == '|');
    }
    if (e->part >= parts->count || p->dim[0] % sum)
        return false;
    parts->heads = share[0];
    parts->first = p->dim[0] / sum * before;
    if (e->layout != LS_HF_BY_HEAD)
        parts->rows = p->dim[0] / sum * share[e->part];
    return true;
}

static LsStatus parts_of(const Settings *s, const LsParam *p, const LsHfTensor *e, Parts *parts)
{
    return find_parts(s, p, e, parts) ? LS_OK
                                      : ls_fail(LS_ERROR, "the table of model %s: the rows of %s do not divide by %s",
                                                s->form->model->name, p->name, e->shares);
}

/* Their shape of a parameter of ours. */
static void their_shape(const LsParam *p, const LsHfTensor *e, const Parts *parts, LsSafeOut *out)
{
    out->rank = p->rank;
    memcpy(out->dim, p->dim, sizeof(int64_t) * (size_t)p->rank);
    out->dim[0] = parts->rows;
    if (e->layout == LS_HF_TRANSPOSE) {
        out->dim[0] = p->dim[1];
        out->dim[1] = p->dim[0];
    } else if (e->layout == LS_HF_MIDDLE_ONE) {
        out->rank = p->rank + 1;
        out->dim[p->rank] = p->dim[p->rank - 1];
        out->dim[p->rank - 1] = 1;
    } else if (e->layout == LS_HF_LEADING_ONES) {
        out->rank = 3;
        out->dim[0] = out->dim[1] = 1;
        out->dim[2] = p->dim[0];
    }
}

/* Files may leave out the leading axes of 1. */
static bool has_shape(const LsSafeTensor *t, const LsHfTensor *e, const LsSafeOut *want)
{
    int left_out = e->layout == LS_HF_LEADING_ONES ? want->rank - t->rank : 0;
    return left_out >= 0 && t->rank == want->rank - left_out &&
           memcmp(t->dim, want->dim + left_out, sizeof(int64_t) * (size_t)t->rank) == 0;
}

/* Where theirs begins in our values. */
static int64_t start_of(const LsParam *p, const Parts *parts)
{
    return p->offset + p->count / p->dim[0] * parts->first;
}

/* from: (outer, inner, n) -> to: (inner, outer, n) */
static void swap_axes(const float *from, int64_t outer, int64_t inner, int64_t n, float *to)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j++)
            memcpy(to + (j * outer + i) * n, from + (i * inner + j) * n, (size_t)n * sizeof *to);
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

/* Sees to one tensor of a parameter of ours; used[i] is set where tensor i of the file is it. */
static LsStatus check_one(const Settings *s, const LsSafetensors *tensors, const LsParams *params, const LsParam *p,
                          const LsHfTensor *e, int64_t layer, bool *used, LsNotes *all)
{
    const LsSafeTensor *t = find_for(s->form, tensors, params, e, layer);
    LsSafeOut want = {0};
    Parts parts;
    LS_TRY(parts_of(s, p, e, &parts));
    their_shape(p, e, &parts, &want);
    if (!t && !e->optional) {
        char *name = fill(e->theirs, layer);
        ls_note(all, "%s %s is missing", name ? name : e->theirs, ls_dims_text(want.rank, want.dim));
        ls_free(name);
    }
    if (t && !has_shape(t, e, &want))
        ls_note(all, "%s has shape %s, the settings ask for %s", t->name, ls_dims_text(t->rank, t->dim),
                ls_dims_text(want.rank, want.dim));
    if (t)
        used[t - tensors->list] = true;
    return LS_OK;
}

static LsStatus no_place(const LsHfForm *form, const LsParam *p)
{
    return ls_fail(LS_USAGE, "the layout of %s has no place for parameter %s", form->architecture->name, p->name);
}

static LsStatus check_ours(const Settings *s, const LsSafetensors *tensors, const LsParams *params, bool *used,
                           LsNotes *all)
{
    const LsHfForm *form = s->form;
    const LsHfTensor *e;
    for (int i = 0; i < params->count; i++) {
        bool known = false;
        int64_t layer = -1;
        for (int k = 0; (e = entry_at(form, k)); k++)
            if (e->ours && fits(e->ours, params->list[i].name, &layer)) {
                LS_TRY(check_one(s, tensors, params, &params->list[i], e, layer, used, all));
                known = true;
            }
        if (!known)
            return no_place(form, &params->list[i]);
    }
    return LS_OK;
}

/* Whether the entry excuses a tensor of the file that is no parameter: ignored, or a copy of a tied one. */
static bool excuses(const LsHf *hf, const LsHfTensor *e, const char *name)
{
    int64_t layer = -1;
    return (!e->ours || e->tied) &&
           (fits(e->theirs, name, &layer) || fits(without_prefix(hf, e->theirs), name, &layer));
}

static void check_theirs(const LsHfForm *form, const LsSafetensors *tensors, const bool *used, LsNotes *all)
{
    const LsHfTensor *e;
    for (int i = 0; i < tensors->count; i++) {
        bool known = used[i];
        for (int k = 0; !known && (e = entry_at(form, k)); k++)
            known = excuses(form->hf, e, tensors->list[i].name);
        if (!known)
            ls_note(all, "%s %s is not a tensor of this model", tensors->list[i].name,
                    ls_dims_text(tensors->list[i].rank, tensors->list[i].dim));
    }
}

static bool is_moved(const LsHfTensor *e)
{
    return e->rotate || e->layout == LS_HF_TRANSPOSE || e->layout == LS_HF_BY_HEAD;
}

/* to: from without its first `rows` rows, then these. */
static void rotate(const float *from, const LsParam *p, int64_t rows, float *to)
{
    int64_t first = p->count / p->dim[0] * rows;
    memcpy(to, from + first, sizeof(float) * (size_t)(p->count - first));
    memcpy(to + p->count - first, from, sizeof(float) * (size_t)first);
}

/* Theirs of the entry (NULL: the file lacks it) into our values. */
static LsStatus read_one(const Settings *s, const LsSafetensors *tensors, const LsSafeTensor *t, const LsParam *p,
                         const LsHfTensor *e, float *values)
{
    Parts parts;
    LS_TRY(parts_of(s, p, e, &parts));
    float *to = values + start_of(p, &parts);
    if (!t) {
        memset(to, 0, sizeof(float) * (size_t)(p->count / p->dim[0] * parts.rows));
        return LS_OK;
    }
    if (!is_moved(e))
        return ls_safetensors_read(tensors, t, to);
    float *rows = ls_alloc_array(p->count, sizeof *rows);
    LsStatus status = rows ? ls_safetensors_read(tensors, t, rows) : LS_RESOURCE;
    if (status == LS_OK && e->rotate)
        rotate(rows, p, ls_hf_product(s->form, e->rotate, s->config), to);
    else if (status == LS_OK && e->layout == LS_HF_TRANSPOSE)
        transpose(rows, t->dim[0], t->dim[1], to);
    else if (status == LS_OK)
        swap_axes(rows, parts.heads, parts.count, p->count / (parts.heads * parts.count), to);
    ls_free(rows);
    return status;
}

/* A tensor that the file holds as a copy of a parameter must be one. */
static LsStatus check_copies(const LsHfForm *form, const LsSafetensors *tensors, const LsParams *params)
{
    const LsHfTensor *e;
    for (int k = 0; (e = entry_at(form, k)); k++) {
        bool is_copy = e->tied && (!e->ours || ls_params_find(params, e->ours) < 0);
        int original = is_copy ? ls_params_find(params, e->tied) : -1;
        const LsSafeTensor *t = original >= 0 ? find_theirs(form->hf, tensors, e, -1) : NULL;
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

static LsStatus read_all(const Settings *s, const LsSafetensors *tensors, LsParams *params)
{
    const LsHfForm *form = s->form;
    const LsHfTensor *e;
    int64_t layer = -1;
    for (int i = 0; i < params->count; i++)
        for (int k = 0; (e = entry_at(form, k)); k++) {
            const LsParam *p = &params->list[i];
            if (e->ours && fits(e->ours, p->name, &layer))
                LS_TRY(read_one(s, tensors, find_for(form, tensors, params, e, layer), p, e, params->value));
        }
    return LS_OK;
}

/* Bytes that all names of the file begin with, as far as a dot, where that is not the layout's own prefix: a wrapper's.
 */
static int common_prefix(const LsHf *hf, const LsSafetensors *tensors)
{
    const char *first = tensors->count > 1 ? tensors->list[0].name : "";
    int length = (int)strlen(first), own = hf->prefix ? (int)strlen(hf->prefix) : 0;
    for (int i = 1; i < tensors->count; i++)
        while (strncmp(first, tensors->list[i].name, (size_t)length) != 0)
            length--;
    while (length > 0 && first[length - 1] != '.')
        length--;
    const char *place = own ? strstr(first, hf->prefix) : NULL;
    return place && place - first < length ? (int)(place - first) : length;
}

LsStatus ls_hf_tensors_in(const LsHfForm *form, const void *config, const LsSafetensors *tensors, LsParams *params)
{
    Settings settings = {form, config};
    bool *used = ls_alloc_array(tensors->count + 1, sizeof *used);
    LsNotes *all = ls_alloc(sizeof *all);
    LsStatus status = used && all ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = check_ours(&settings, tensors, params, used, all);
    if (status == LS_OK)
        check_theirs(form, tensors, used, all);
    int prefix = common_prefix(form->hf, tensors);
    if (status == LS_OK && all->count && prefix > 0)
        status =
            ls_fail(tensors->code,
                    "%s: does not fit the settings in config.json: the names of all its tensors begin with '%.*s'; "
                    "save the model without it:%s",
                    tensors->files[0].path, prefix, tensors->list[0].name, ls_notes_text(all));
    else if (status == LS_OK && all->count)
        status = ls_fail(tensors->code, "%s: does not fit the settings in config.json:%s", tensors->files[0].path,
                         ls_notes_text(all));
    ls_free(used);
    ls_free(all);
    LS_TRY(status);
    LS_TRY(read_all(&settings, tensors, params));
    return check_copies(form, tensors, params);
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

/* A tensor to write: of a parameter, or zeros. */
typedef struct OutTensor {
    const LsHfTensor *entry;
    int param; /* -1: zeros */
    Parts parts;
} OutTensor;

typedef struct Out {
    Settings settings;
    const LsHfForm *form;
    const LsParams *params;
    LsSafeOut *list;
    OutTensor *from;
    int count;
    int64_t largest; /* numbers of a tensor that is not written from where it lies */
    float *buffer;
} Out;

static const float *give(void *self, int i)
{
    Out *out = self;
    const LsHfTensor *e = out->from[i].entry;
    if (out->from[i].param < 0) {
        memset(out->buffer, 0, sizeof(float) * (size_t)(out->list[i].dim[0] * out->list[i].dim[1]));
        return out->buffer;
    }
    const LsParam *p = &out->params->list[out->from[i].param];
    const Parts *parts = &out->from[i].parts;
    const float *value = out->params->value + start_of(p, parts);
    if (!is_moved(e))
        return value;
    if (e->rotate)
        rotate(value, p, p->dim[0] - ls_hf_product(out->form, e->rotate, out->settings.config), out->buffer);
    else if (e->layout == LS_HF_TRANSPOSE)
        transpose(value, p->dim[0], p->dim[1], out->buffer);
    else
        swap_axes(value, parts->count, parts->heads, p->count / (parts->heads * parts->count), out->buffer);
    return out->buffer;
}

/* Adds one; layer as in names. */
static LsStatus add_out(Out *out, const LsHfTensor *e, int param, int64_t layer)
{
    const LsHf *hf = out->form->hf;
    char *name = fill(e->theirs, layer);
    out->from[out->count] = (OutTensor){.entry = e, .param = param};
    out->list[out->count].name = name && out->form->architecture->bare ? ls_strdup(without_prefix(hf, name)) : name;
    if (name && out->form->architecture->bare)
        ls_free(name);
    int64_t numbers = 0;
    LsStatus status = LS_OK;
    if (param >= 0) {
        Parts *parts = &out->from[out->count].parts;
        status = parts_of(&out->settings, &out->params->list[param], e, parts);
        their_shape(&out->params->list[param], e, parts, &out->list[out->count]);
        numbers = is_moved(e) ? out->params->list[param].count : 0;
    } else
        numbers = out->list[out->count].dim[0] * out->list[out->count].dim[1];
    out->largest = numbers > out->largest ? numbers : out->largest;
    return out->list[out->count++].name ? status : LS_RESOURCE;
}

/* "types|width": zeros of that shape. */
static LsStatus add_zeros(Out *out, const LsHfTensor *e)
{
    size_t first = strcspn(e->absent, "|");
    char *rows = ls_format("%.*s", (int)first, e->absent);
    LsSafeOut *to = &out->list[out->count];
    to->rank = 2;
    to->dim[0] = rows ? ls_hf_product(out->form, rows, out->settings.config) : -1;
    to->dim[1] = ls_hf_product(out->form, e->absent + first + 1, out->settings.config);
    ls_free(rows);
    if (to->dim[0] < 1 || to->dim[1] < 1)
        return ls_fail(LS_ERROR, "the table of model %s has a wrong shape: %s", out->form->model->name, e->absent);
    return add_out(out, e, -1, -1);
}

static LsStatus list_out(Out *out)
{
    const LsHfTensor *e;
    int entries = 0;
    while (entry_at(out->form, entries))
        entries++;
    int room = entries;
    for (int i = 0; i < out->params->count; i++)
        for (int k = 0; (e = entry_at(out->form, k)); k++)
            room += e->ours && fits(e->ours, out->params->list[i].name, &(int64_t){0});
    out->list = ls_alloc_array(room, sizeof *out->list);
    out->from = ls_alloc_array(room, sizeof *out->from);
    if (!out->list || !out->from)
        return LS_RESOURCE;
    for (int i = 0; i < out->params->count; i++) {
        int before = out->count;
        int64_t layer = -1;
        for (int k = 0; (e = entry_at(out->form, k)); k++)
            if (e->ours && fits(e->ours, out->params->list[i].name, &layer))
                LS_TRY(add_out(out, e, i, layer));
        if (out->count == before)
            return no_place(out->form, &out->params->list[i]);
    }
    for (int k = 0; (e = entry_at(out->form, k)); k++)
        if (e->absent && ls_params_find(out->params, e->ours) < 0)
            LS_TRY(add_zeros(out, e));
    return LS_OK;
}

LsStatus ls_hf_tensors_out(const LsHfForm *form, const void *config, const LsParams *params, const char *path)
{
    Out out = {.settings = {form, config}, .form = form, .params = params};
    LsStatus status = list_out(&out);
    if (status == LS_OK && !(out.buffer = ls_alloc_array(out.largest, sizeof(float))))
        status = LS_RESOURCE;
    if (status == LS_OK)
        status = ls_safetensors_write(path, out.count, out.list, give, &out);
    for (int i = 0; i < out.count; i++)
        ls_free((void *)(uintptr_t)out.list[i].name);
    ls_free(out.list);
    ls_free(out.from);
    ls_free(out.buffer);
    return status;
}
