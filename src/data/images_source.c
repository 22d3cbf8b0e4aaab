/* Pictures as samples: pixels scaled by mean and standard deviation of the training part, and the class.
 *
 *     x = (p - mean[c]) / deviation[c]
 *
 * With `scaling` symmetric both are 127.5, so that x is from -1 to 1. The source's info says which they are.
 *
 * In training a picture may be moved by up to `crop` pixels each way, what is moved in being black (p = 0), and
 * mirrored; both are a function of (seed, sample counter).
 */
#include "data/images.h"
#include "data/sample_source.h"

#include "lockstep/model.h"

#include <stdio.h>
#include <string.h>

const LsSetting ls_images_use_settings[] = {
    LS_SETTING_CHOICE(LsImagesUse, as, "picture", "picture|rows|pixels",
                      "a sample is a picture, or a sequence of its rows from the top, or of its pixels row by row"),
    LS_SETTING_CHOICE(LsImagesUse, scaling, "standard", "standard|symmetric",
                      "of pixels: by mean and standard deviation of the training part, or from -1 to 1"),
    LS_SETTING_INT(LsImagesUse, crop, "0", 0, 1 << 16,
                   "training: a picture is moved by up to so many pixels each way, what is moved in is black"),
    LS_SETTING_BOOL(LsImagesUse, mirror, "false", "training: every second picture, by chance, is mirrored"),
    {0}};

typedef enum Steps { WHOLE, ROWS, PIXELS } Steps;

typedef struct ImagesSource {
    LsSampleSource base;
    Steps steps; /* what a sample is a sequence of */
    int64_t crop;
    bool mirror;
    int64_t height, width, channels, classes;
    unsigned char *pixels; /* pixels: (N, H, W, C) */
    int32_t *label;        /* label: (N) */
    float *scaled;         /* scaled: (C, 256) */
    float *picture;        /* picture: (H, W, C), being filled in */
    uint64_t augment;      /* key */
} ImagesSource;

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

typedef struct Move {
    int64_t down, right;
    bool mirrored;
} Move;

static Move draw_move(const ImagesSource *s, int64_t sample)
{
    uint32_t block[4];
    if (!s->base.shuffled || (s->crop == 0 && !s->mirror))
        return (Move){0};
    ls_philox(s->augment, 0, (uint64_t)sample, block);
    uint64_t places = 2 * (uint64_t)s->crop + 1;
    return (Move){(int64_t)((uint64_t)block[0] * places >> 32) - s->crop,
                  (int64_t)((uint64_t)block[1] * places >> 32) - s->crop, s->mirror && (block[2] & 1)};
}

/* s->picture[y][x] = scaled pixel [y + down][x' + right], x' = x or its mirror */
static void make_picture(const ImagesSource *s, const unsigned char *pixels, Move move)
{
    float *to = s->picture;
    for (int64_t y = 0; y < s->height; y++)
        for (int64_t x = 0; x < s->width; x++) {
            int64_t from_y = y + move.down, from_x = (move.mirrored ? s->width - 1 - x : x) + move.right;
            bool inside = from_y >= 0 && from_y < s->height && from_x >= 0 && from_x < s->width;
            const unsigned char *p = pixels + (from_y * s->width + from_x) * s->channels;
            for (int64_t c = 0; c < s->channels; c++)
                *to++ = s->scaled[256 * c + (inside ? p[c] : 0)];
        }
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    ImagesSource *s = (ImagesSource *)source;
    LsTensor *x = NULL, *label = NULL;
    int64_t numbers = s->height * s->width * s->channels;
    LS_TRY(ls_sample_input(g, s->steps ? "values" : "pixels", batch->count, 0, &x));
    LS_TRY(ls_sample_input(g, "label", batch->count, 1, &label));
    int64_t row = x ? x->count / x->dim[0] : 0; /* less than a picture in graphs of segments */
    int64_t from = x && s->steps ? batch->step * (row / x->dim[1]) : 0;
    int64_t there = numbers - from < row ? numbers - from : row;
    for (int64_t b = 0; x && b < x->dim[0]; b++) {
        if (b < batch->count) {
            int64_t sample = batch->first + b;
            make_picture(s, s->pixels + ls_sample_at(&s->base, sample) * numbers, draw_move(s, sample));
        } else
            memset(s->picture, 0, (size_t)numbers * sizeof *s->picture);
        if (there > 0)
            ls_tensor_set_part(g, x, b * row, there, s->picture + from);
    }
    for (int64_t b = 0; label && b < label->dim[0]; b++)
        ((int32_t *)label->data)[b] = b < batch->count ? s->label[ls_sample_at(&s->base, batch->first + b)] : LS_IGNORE;
    return LS_OK;
}

static void free_source(LsSource *source)
{
    ImagesSource *s = (ImagesSource *)source;
    ls_sample_source_clear(&s->base);
    ls_free(s->pixels);
    ls_free(s->label);
    ls_free(s->scaled);
    ls_free(s->picture);
    ls_free(s);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* Which mean and deviation are taken: in info. */
static LsStatus choose_scaling(const ImagesSource *s, const LsDataOpen *open, json_t *info)
{
    static const char *const lists[] = {"mean", "deviation"};
    const LsImagesUse *use = open->settings;
    for (int i = 0; i < 2 && use && strcmp(use->scaling, "symmetric") == 0; i++) {
        json_t *list = json_array();
        for (int64_t c = 0; c < s->channels; c++)
            json_array_append_new(list, json_real(127.5));
        if (json_object_set_new(info, lists[i], list) != 0)
            return ls_fail(LS_RESOURCE, "out of memory for the scaling of %s", open->path);
    }
    return ls_info_take(info, open, lists, 2);
}

static LsStatus read_scaling(ImagesSource *s, const json_t *info, const char *path)
{
    const json_t *mean = json_object_get(info, "mean"), *deviation = json_object_get(info, "deviation");
    s->scaled = ls_alloc_array(256 * s->channels, sizeof *s->scaled);
    if (!s->scaled)
        return LS_RESOURCE;
    for (int64_t c = 0; c < s->channels; c++) {
        const json_t *m = json_array_get(mean, (size_t)c), *d = json_array_get(deviation, (size_t)c);
        double scale = json_number_value(d) > 0 ? json_number_value(d) : 1; /* a channel of one value */
        if (!json_is_number(m) || !json_is_number(d))
            return ls_fail(LS_DATA, "%s: has no mean and deviation of %lld channels", path, (long long)s->channels);
        for (int value = 0; value < 256; value++)
            s->scaled[256 * c + value] = (float)((value - json_number_value(m)) / scale);
    }
    return LS_OK;
}

static LsStatus read_arrays(ImagesSource *s, LsSealed *file)
{
    char name[64];
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0}, labels = 0;
    snprintf(name, sizeof name, "%s/labels", s->base.split);
    LS_TRY(ls_numbers_read(file, name, 0, s->classes, &s->label, &labels));
    snprintf(name, sizeof name, "%s/pixels", s->base.split);
    LS_TRY(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    if (!exists || rank != 4 || type != LS_FILE_UINT8 || dim[0] != labels || labels == 0 || dim[1] != s->height ||
        dim[2] != s->width || dim[3] != s->channels)
        return ls_fail(LS_DATA, "%s: %s are not %lld pictures of the size that it says", ls_sealed_path(file), name,
                       (long long)labels);
    int64_t bytes = dim[0] * dim[1] * dim[2] * dim[3];
    s->pixels = ls_alloc((size_t)bytes);
    s->picture = ls_alloc_array(dim[1] * dim[2] * dim[3], sizeof *s->picture);
    if (!s->pixels || !s->picture)
        return LS_RESOURCE;
    s->base.base.samples = labels;
    return ls_sealed_read(file, name, LS_FILE_UINT8, bytes, s->pixels);
}

/* As a picture, or as a sequence of its rows or pixels. */
static LsStatus set_fields(ImagesSource *s, const LsDataOpen *open)
{
    LsFields *fields = &s->base.base.fields;
    int64_t steps = s->steps == ROWS ? s->height : s->height * s->width;
    if (s->steps) {
        LS_TRY(ls_check_sequence(open, steps, s->steps == ROWS ? "rows" : "pixels"));
        s->base.base.sequence = steps;
        LS_TRY(ls_fields_add(fields, "values", LS_REAL, 0, 2,
                             (int64_t[]){LS_STEPS, s->height * s->width * s->channels / steps}));
    } else
        LS_TRY(ls_fields_add(fields, "pixels", LS_REAL, 0, 3, (int64_t[]){s->height, s->width, s->channels}));
    return ls_fields_add(fields, "label", LS_I32, s->classes, 0, NULL);
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    ImagesSource *s = (ImagesSource *)source;
    s->height = json_integer_value(json_object_get(info, "height"));
    s->width = json_integer_value(json_object_get(info, "width"));
    s->channels = json_integer_value(json_object_get(info, "channels"));
    s->classes = (int64_t)json_array_size(json_object_get(info, "classes"));
    if (s->height < 1 || s->width < 1 || s->channels < 1 || s->classes < 1)
        return ls_fail(LS_DATA, "%s: does not say the size of its pictures and their classes", open->path);
    LS_TRY(set_fields(s, open));
    LS_TRY(choose_scaling(s, open, info));
    LS_TRY(read_scaling(s, info, open->path));
    return read_arrays(s, file);
}

LsStatus ls_images_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"images", LS_IMAGES_VERSION, "pixels", NULL, read_source};
    ImagesSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
        s->augment = ls_key(open->seed, "data.augment");
    }
    const LsImagesUse *use = open->settings;
    if (s && use) {
        s->steps = strcmp(use->as, "rows") == 0 ? ROWS : strcmp(use->as, "pixels") == 0 ? PIXELS : WHOLE;
        s->crop = use->crop;
        s->mirror = use->mirror;
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
