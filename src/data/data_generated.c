/* Made-up samples as a kind of data without files: a ring of Gaussians in the plane, on which it shows whether a
 * generator finds all modes of what it imitates. Sample n of a split is a function of (seed, split, n). */
#include "lockstep/data.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As many as an evaluation goes through at most. */
#define HELD_OUT 10000

typedef struct Settings {
    int64_t modes;
    double radius, sigma;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_INT(Settings, modes, "8", 1, 15, "Gaussians, evenly on a circle around the origin"),
    LS_SETTING_FLOAT(Settings, radius, "2", 0, 1e6, "of the circle"),
    LS_SETTING_FLOAT(Settings, sigma, "0.02", 0, 1e6, "standard deviation of each Gaussian, in both directions"),
    {0}};

typedef struct Generated {
    LsSource base;
    Settings settings;
    uint64_t key;
    char *info;
} Generated;

static void center_of(const Settings *s, int64_t mode, double center[2])
{
    double angle = 2 * M_PI * (double)mode / (double)s->modes;
    center[0] = s->radius * cos(angle);
    center[1] = s->radius * sin(angle);
}

static void draw(const Generated *s, int64_t sample, float value[2])
{
    uint32_t block[4];
    double center[2];
    ls_philox(s->key, (uint64_t)sample, 0, block);
    center_of(&s->settings, (int64_t)((uint64_t)block[0] * (uint64_t)s->settings.modes >> 32), center);
    for (int i = 0; i < 2; i++)
        value[i] =
            (float)(center[i] + s->settings.sigma * (double)ls_normal_at(s->key, (uint64_t)sample, 4 + (uint64_t)i));
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    LsTensor *x = ls_graph_find(g, "values");
    for (int64_t b = 0; x && b < x->dim[0]; b++) {
        float value[2];
        draw((const Generated *)source, batch->first + b, value);
        ls_tensor_set_part(g, x, b * 2, 2, value);
    }
    return LS_OK;
}

static void free_source(LsSource *source)
{
    ls_free(((Generated *)source)->info);
    ls_free(source);
}

/* The text of the info, ls_alloc's. */
static char *make_info(const Settings *s)
{
    json_t *modes = json_array();
    for (int64_t k = 0; k < s->modes; k++) {
        double center[2];
        center_of(s, k, center);
        json_array_append_new(modes, json_pack("[f, f]", center[0], center[1]));
    }
    json_t *info = json_pack("{s:s, s:o, s:f}", "kind", "generated", "modes", modes, "sigma", s->sigma);
    char *text = info ? json_dumps(info, JSON_COMPACT) : NULL, *copy = text ? ls_strdup(text) : NULL;
    json_decref(info);
    free(text);
    if (!copy)
        ls_fail(LS_RESOURCE, "out of memory for the description of generated data");
    return copy;
}

static LsStatus open_generated(const LsDataOpen *open, LsSource **opened)
{
    bool trains = strcmp(open->split, "train") == 0;
    *opened = NULL;
    Generated *s = ls_alloc(sizeof *s);
    if (!s)
        return LS_RESOURCE;
    s->settings = *(const Settings *)open->settings;
    char purpose[64];
    snprintf(purpose, sizeof purpose, "data.generated.%s", open->split);
    s->key = ls_key(open->seed, purpose);
    s->base = (LsSource){.samples = trains ? INT64_MAX : HELD_OUT, .fill = fill, .free = free_source};
    LsStatus status = ls_fields_parse("values 2", &s->base.fields);
    s->base.info = s->info = status == LS_OK ? make_info(&s->settings) : NULL;
    if (!s->info) {
        free_source(&s->base);
        return status != LS_OK ? status : LS_RESOURCE;
    }
    *opened = &s->base;
    return LS_OK;
}

extern const LsDataKind ls_data_kind_generated;
const LsDataKind ls_data_kind_generated = {
    .name = "generated",
    .summary = "made-up points: a ring of Gaussians, no files",
    .use_settings = settings,
    .use_settings_bytes = sizeof(Settings),
    .open = open_generated,
};
