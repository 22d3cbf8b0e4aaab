/* Sounds as samples: a step is a frame of values that follow one another, scaled by mean and standard deviation of the
 * training part.
 *
 *     values[t][i] = (v[frame t + i] - mean) / deviation, 0 behind the sound's end
 *
 * With `scaling` none the mean is 0 and the deviation 1. Sounds of more steps than the sequence are cut. */
#include "data/sample_source.h"
#include "data/wav.h"

#include "lockstep/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const LsSetting ls_wav_use_settings[] = {
    LS_SETTING_INT(LsWavUse, frame, "1", 1, 1 << 16, "values of a step, which follow one another and do not overlap"),
    LS_SETTING_CHOICE(LsWavUse, scaling, "standard", "standard|none",
                      "of values: by mean and standard deviation of the training part, or as they are, from -1 to 1"),
    {0}};

#define BLOCK ((int64_t)4096) /* values scaled at once */

typedef struct WavSource {
    LsSampleSource base;
    int64_t frame, classes;
    float *value;    /* values of all sounds, scaled */
    int64_t *offset; /* offset: (N + 1) */
    int32_t *label;  /* label: (N) */
    float block[BLOCK];
} WavSource;

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

static int64_t steps_of(const LsSampleSource *source, int64_t sample)
{
    const WavSource *s = (const WavSource *)source;
    return (s->offset[sample + 1] - s->offset[sample] + s->frame - 1) / s->frame;
}

/* Row b of x, (B, T, frame), from step `step` of a sample on; sample -1: silence. */
static void fill_row(WavSource *s, LsGraph *g, LsTensor *x, int64_t b, int64_t step, int64_t sample)
{
    int64_t row = x->count / x->dim[0], from = step * s->frame, most = s->base.base.sequence * s->frame;
    int64_t length = sample < 0 ? 0 : s->offset[sample + 1] - s->offset[sample];
    const float *value = s->value + (sample < 0 ? 0 : s->offset[sample]);
    length = length < most ? length : most;
    for (int64_t at = 0; at < row; at += BLOCK) {
        int64_t count = row - at < BLOCK ? row - at : BLOCK, there = length - from - at;
        there = there < 0 ? 0 : there < count ? there : count;
        memcpy(s->block, value + (there > 0 ? from + at : 0), (size_t)there * sizeof *s->block);
        memset(s->block + there, 0, (size_t)(count - there) * sizeof *s->block);
        ls_tensor_set_part(g, x, b * row + at, count, s->block);
    }
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    WavSource *s = (WavSource *)source;
    LsTensor *x = NULL, *length = NULL, *label = NULL;
    LS_TRY(ls_sample_input(g, "values", batch->count, 0, &x));
    LS_TRY(ls_sample_input(g, "length", batch->count, 1, &length));
    LS_TRY(ls_sample_input(g, "label", batch->count, 1, &label));
    LsTensor *any = x ? x : length ? length : label;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        int64_t sample = b < batch->count ? ls_sample_at(&s->base, batch->first + b) : -1;
        int64_t steps = sample < 0 ? 1 : steps_of(&s->base, sample); /* rows past the last sample: above 0 */
        if (x)
            fill_row(s, g, x, b, batch->step, sample);
        if (length)
            ((int32_t *)length->data)[b] = (int32_t)(steps < source->sequence ? steps : source->sequence);
        if (label)
            ((int32_t *)label->data)[b] = sample < 0 ? LS_IGNORE : s->label[sample];
    }
    return LS_OK;
}

static void free_source(LsSource *source)
{
    WavSource *s = (WavSource *)source;
    ls_sample_source_clear(&s->base);
    ls_free(s->value);
    ls_free(s->offset);
    ls_free(s->label);
    ls_free(s);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* Which mean and deviation are taken: in info. A model has learnt from sounds of one rate. */
static LsStatus choose_scaling(const LsDataOpen *open, json_t *info)
{
    const LsWavUse *use = open->settings;
    int64_t rate = json_integer_value(json_object_get(info, "rate"));
    int64_t learnt = open->like ? json_integer_value(json_object_get(open->like, "rate")) : 0;
    if (learnt > 0 && learnt != rate)
        return ls_fail(LS_DATA, "%s: has sounds of %lld samples a second, but the model has learnt from sounds of %lld",
                       open->path, (long long)rate, (long long)learnt);
    if (use && strcmp(use->scaling, "none") == 0 &&
        (json_object_set_new(info, "mean", json_real(0)) != 0 ||
         json_object_set_new(info, "deviation", json_real(1)) != 0))
        return ls_fail(LS_RESOURCE, "out of memory for the scaling of %s", open->path);
    return ls_info_take(info, open, (const char *[]){"mean", "deviation"}, 2);
}

/* The sounds of a split as they stand in the file. */
static LsStatus read_sounds(WavSource *s, LsSealed *file, int64_t *total)
{
    char name[64];
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0}, labels = 0, sounds = 0;
    snprintf(name, sizeof name, "%s/labels", s->base.split);
    LS_TRY(ls_numbers_read(file, name, 0, s->classes, &s->label, &labels));
    snprintf(name, sizeof name, "%s/sounds", s->base.split);
    LS_TRY(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    if (!exists || rank != 1 || type != LS_FILE_FLOAT32)
        return ls_fail(LS_DATA, "%s: %s are no values of sounds (float32, one dimension)", ls_sealed_path(file), name);
    *total = dim[0];
    s->value = ls_alloc_array(dim[0], sizeof *s->value);
    if (!s->value)
        return LS_RESOURCE;
    LS_TRY(ls_sealed_read(file, name, LS_FILE_FLOAT32, dim[0], s->value));
    snprintf(name, sizeof name, "%s/sounds_offsets", s->base.split);
    LS_TRY(ls_offsets_read(file, name, dim[0], &s->offset, &sounds));
    if (!s->offset || !s->label || sounds != labels || sounds == 0)
        return ls_fail(LS_DATA, "%s: has %lld sounds and %lld labels in %s", ls_sealed_path(file), (long long)sounds,
                       (long long)labels, s->base.split);
    for (int64_t i = 0; i < sounds; i++)
        if (s->offset[i] == s->offset[i + 1])
            return ls_fail(LS_DATA, "%s: sound %lld (from 0) of %s has no values", ls_sealed_path(file), (long long)i,
                           s->base.split);
    s->base.base.samples = sounds;
    return LS_OK;
}

static LsStatus scale_values(WavSource *s, const LsDataOpen *open, const json_t *info, int64_t total)
{
    const json_t *mean = json_object_get(info, "mean"), *deviation = json_object_get(info, "deviation");
    if (!json_is_number(mean) || !json_is_number(deviation))
        return ls_fail(LS_DATA, "%s: says no mean and deviation", open->path);
    double from = json_number_value(mean), by = json_number_value(deviation);
    by = by > 0 ? by : 1; /* silence */
    for (int64_t i = 0; i < total; i++) {
        if (!isfinite(s->value[i]))
            return ls_fail(LS_DATA, "%s: %s/sounds[%lld] is no finite number", open->path, s->base.split, (long long)i);
        s->value[i] = (float)((s->value[i] - from) / by);
    }
    return LS_OK;
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    WavSource *s = (WavSource *)source;
    int64_t total = 0, longest = 0;
    LsFields *fields = &s->base.base.fields;
    s->classes = (int64_t)json_array_size(json_object_get(info, "classes"));
    if (json_integer_value(json_object_get(info, "rate")) < 1 || s->classes < 1)
        return ls_fail(LS_DATA, "%s: does not say the rate of its sounds and their classes", open->path);
    LS_TRY(choose_scaling(open, info));
    LS_TRY(read_sounds(s, file, &total));
    LS_TRY(scale_values(s, open, info, total));
    LS_TRY(ls_longest_text(file, "sounds", &longest));
    longest = (longest + s->frame - 1) / s->frame;
    s->base.base.sequence = open->sequence > 0 && open->sequence < longest ? open->sequence : longest;
    LS_TRY(ls_fields_add(fields, "values", LS_REAL, 0, 2, (int64_t[]){LS_STEPS, s->frame}));
    LS_TRY(ls_fields_add(fields, "length", LS_I32, 0, 0, NULL));
    return ls_fields_add(fields, "label", LS_I32, s->classes, 0, NULL);
}

LsStatus ls_wav_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"wav", LS_WAV_VERSION, "sounds", NULL, read_source};
    const LsWavUse *use = open->settings;
    WavSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
        s->base.steps = steps_of;
        s->frame = use ? use->frame : 1;
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
