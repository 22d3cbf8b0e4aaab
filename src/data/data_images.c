/* Pictures as a kind of data set: preparing and describing. */
#include "data/images.h"

#include "data/utf8.h"

#include <math.h>
#include <string.h>

#define BATCH ((int64_t)256) /* pictures written at once, of large ones fewer */
#define MOST_CHANNELS 16
#define MOST_PIXELS ((int64_t)1 << 26) /* bytes of a picture */

static const LsPictureFormat *const formats[] = {&ls_format_idx, &ls_format_cifar10, &ls_format_png};

static const LsSetting settings[] = {
    LS_SETTING_CHOICE(
        LsImagesSettings, format, "auto", "auto|idx|cifar10|png",
        "of the sources: idx files (pictures, then their labels; gzip or not), CIFAR-10's binary batches, "
        "folders with a folder of PNG files a class; auto: by their names"),
    LS_HELD_OUT_SETTINGS(LsImagesSettings, held_out, "samples", "sources", "0", ""),
    LS_SETTING_STRING(LsImagesSettings, classes, NULL,
                      "names of the classes, with commas: in the order of the labels 0, 1, ... (folders: all that may "
                      "occur); default: the labels, or names of the folders"),
    {0}};

/* ---- Sources ----------------------------------------------------------------------------------------------------- */

/* The pictures of some sources, one after another. */
typedef struct Part {
    LsPictures **list;
    int sets;
    int64_t count, skipped;
} Part;

static void free_part(Part *part)
{
    for (int i = 0; i < part->sets; i++)
        ls_pictures_free(part->list[i]);
    ls_free(part->list);
}

static const LsPictureFormat *find_format(const char *wanted, const char *name)
{
    for (size_t i = 0; i < LS_COUNT_OF(formats); i++)
        if (strcmp(wanted, "auto") == 0 ? formats[i]->matches(name) : strcmp(wanted, formats[i]->name) == 0)
            return formats[i];
    ls_fail(LS_DATA, "%s: its name does not say how pictures are stored in it; name it by --format idx, cifar10 or png",
            name);
    return NULL;
}

static LsStatus check_alike(const LsPictures *first, const LsPictures *other)
{
    if (first->height == other->height && first->width == other->width && first->channels == other->channels)
        return LS_OK;
    return ls_fail(LS_DATA,
                   "%s: has pictures of %lld x %lld with %lld channel%s, but those of %s are of %lld x %lld with %lld",
                   other->name, (long long)other->width, (long long)other->height, (long long)other->channels,
                   other->channels == 1 ? "" : "s", first->name, (long long)first->width, (long long)first->height,
                   (long long)first->channels);
}

/* Opens the sources. *first: the shape that all must have, NULL before there is one. */
static LsStatus open_part(const char *format_name, int sources, char *const *source, LsClasses *classes, Part *part,
                          const LsPictures **first)
{
    part->list = ls_alloc_array(sources, sizeof *part->list);
    if (!part->list)
        return LS_RESOURCE;
    for (int at = 0, used = 0; at < sources; at += used) {
        const LsPictureFormat *format = find_format(format_name, source[at]);
        if (!format)
            return LS_DATA;
        if (format->classes && classes->count == 0)
            LS_TRY(ls_classes_from_list(classes, format->classes));
        LsPictures *pictures = NULL;
        LS_TRY(format->open(sources - at, source + at, classes, &used, &pictures));
        part->list[part->sets++] = pictures;
        part->count += pictures->count;
        part->skipped += pictures->skipped;
        *first = *first ? *first : pictures;
        LS_TRY(check_alike(*first, pictures));
    }
    if (*first &&
        ((*first)->channels > MOST_CHANNELS || (*first)->height * (*first)->width > MOST_PIXELS / (*first)->channels))
        return ls_fail(LS_DATA, "%s: pictures of %lld x %lld with %lld channels are too large", (*first)->name,
                       (long long)(*first)->width, (long long)(*first)->height, (long long)(*first)->channels);
    return LS_OK;
}

/* The same from names with commas between them. */
static LsStatus open_list(const char *format, const char *list, LsClasses *classes, Part *part,
                          const LsPictures **first)
{
    char *copy = ls_strdup(list), *name[64];
    int count = 0;
    if (!copy)
        return LS_RESOURCE;
    for (char *at = copy; at && count < (int)LS_COUNT_OF(name); count++) {
        name[count] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = '\0';
    }
    LsStatus status = open_part(format, count, name, classes, part, first);
    ls_free(copy);
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct Writer {
    LsSealed *file;
    int64_t bytes, channels; /* of a picture */
    LsSealedStream *pixels[LS_SPLITS];
    LsNumbers *labels[LS_SPLITS];
    unsigned char *batch[LS_SPLITS]; /* batch: (at_once, H, W, C) */
    int64_t at_once;
    int64_t waiting[LS_SPLITS], samples[LS_SPLITS];
    int64_t classes, largest; /* 0: not known before; the largest label so far */
    /* over the training part, exact */
    uint64_t sum[MOST_CHANNELS], squares[MOST_CHANNELS];
} Writer;

static LsStatus open_split(Writer *writer, LsSplit split, const LsPictures *shape, int64_t samples)
{
    char name[64];
    int64_t dim[4] = {samples, shape->height, shape->width, shape->channels};
    if (samples == 0)
        return LS_OK;
    writer->samples[split] = samples;
    writer->batch[split] = ls_alloc_array(writer->at_once, (size_t)writer->bytes);
    if (!writer->batch[split])
        return LS_RESOURCE;
    snprintf(name, sizeof name, "%s/pixels", ls_split_names[split]);
    writer->pixels[split] = ls_sealed_stream_shape(writer->file, name, LS_FILE_UINT8, 4, dim);
    snprintf(name, sizeof name, "%s/labels", ls_split_names[split]);
    writer->labels[split] = writer->pixels[split] ? ls_numbers_new(writer->file, name, LS_FILE_INT32) : NULL;
    return writer->labels[split] ? LS_OK : ls_message_status();
}

static LsStatus flush_split(Writer *writer, LsSplit split)
{
    int64_t count = writer->waiting[split];
    writer->waiting[split] = 0;
    return count ? ls_sealed_append(writer->pixels[split], writer->batch[split], count * writer->bytes) : LS_OK;
}

static LsStatus end_writer(Writer *writer, LsStatus status)
{
    for (int split = 0; split < LS_SPLITS; split++) {
        if (status == LS_OK)
            status = flush_split(writer, (LsSplit)split);
        status = ls_numbers_end(writer->labels[split], status);
        if (writer->pixels[split]) {
            LsStatus ended = ls_sealed_end(writer->pixels[split]);
            status = status != LS_OK ? status : ended;
        }
        ls_free(writer->batch[split]);
    }
    return status;
}

static void add_sums(Writer *writer, const unsigned char *pixels)
{
    for (int64_t i = 0; i < writer->bytes; i += writer->channels)
        for (int64_t channel = 0; channel < writer->channels; channel++) {
            uint64_t value = pixels[i + channel];
            writer->sum[channel] += value;
            writer->squares[channel] += value * value;
        }
}

/* Where the next picture of a split is to be put. */
static unsigned char *next_place(const Writer *writer, LsSplit split)
{
    return writer->batch[split] + writer->waiting[split] * writer->bytes;
}

static LsStatus add_picture(Writer *writer, LsSplit split, const LsPictures *from, int64_t at, int64_t label)
{
    if (writer->classes > 0 && label >= writer->classes)
        return ls_fail(LS_DATA, "%s: the label of picture %lld (from 0) is %lld, but there are %lld classes",
                       from->name, (long long)at, (long long)label, (long long)writer->classes);
    writer->largest = label > writer->largest ? label : writer->largest;
    if (split == LS_SPLIT_TRAIN)
        add_sums(writer, next_place(writer, split));
    LS_TRY(ls_numbers_add_one(writer->labels[split], label));
    return ++writer->waiting[split] < writer->at_once ? LS_OK : flush_split(writer, split);
}

/* All pictures of a part, each into the split that `held_out` says, or where it is NULL into `split`. */
static LsStatus write_part(Writer *writer, const Part *part, const LsHeldOut *held_out, LsSplit split)
{
    int64_t sample = 0;
    for (int i = 0; i < part->sets; i++) {
        LsPictures *pictures = part->list[i];
        for (int64_t at = 0; at < pictures->count; at++, sample++) {
            int64_t label = 0;
            if (held_out)
                split = ls_is_held_out(held_out, sample) ? LS_SPLIT_VALIDATION : LS_SPLIT_TRAIN;
            LS_TRY(pictures->read(pictures, next_place(writer, split), &label));
            LS_TRY(add_picture(writer, split, pictures, at, label));
        }
        LS_TRY(pictures->end(pictures));
    }
    return LS_OK;
}

/* ---- Preparing --------------------------------------------------------------------------------------------------- */

typedef struct Job {
    Part train, validation, test;
    LsClasses classes;
    const LsPictures *shape;
    LsHeldOut held_out;
} Job;

static LsStatus open_sources(const LsImagesSettings *o, int sources, char *const *source, Job *job)
{
    if (o->classes)
        LS_TRY(ls_classes_from_list(&job->classes, o->classes));
    LS_TRY(open_part(o->format, sources, source, &job->classes, &job->train, &job->shape));
    job->classes.fixed = job->classes.count > 0;
    if (o->held_out.validation_file)
        LS_TRY(open_list(o->format, o->held_out.validation_file, &job->classes, &job->validation, &job->shape));
    if (o->held_out.test)
        LS_TRY(open_list(o->format, o->held_out.test, &job->classes, &job->test, &job->shape));
    return ls_held_out_new(&o->held_out, job->train.count, &job->held_out);
}

/* Class names where neither an option nor folders gave them: the labels themselves. */
static LsStatus name_classes(Job *job, Writer *writer)
{
    char name[32];
    for (int64_t label = job->classes.count; writer->classes == 0 && label <= writer->largest; label++) {
        int length = snprintf(name, sizeof name, "%lld", (long long)label);
        if (ls_classes_add(&job->classes, (LsSpan){name, length}) < 0)
            return ls_message_status();
    }
    writer->classes = job->classes.count;
    job->classes.fixed = true;
    return LS_OK;
}

static LsStatus write_pictures(Job *job, Writer *writer)
{
    const LsPictures *shape = job->shape;
    writer->bytes = shape->height * shape->width * shape->channels;
    writer->at_once = BATCH * writer->bytes > MOST_PIXELS ? MOST_PIXELS / writer->bytes : BATCH;
    writer->channels = shape->channels;
    writer->classes = job->classes.count;
    LS_TRY(open_split(writer, LS_SPLIT_TRAIN, shape, job->train.count - job->held_out.held));
    LS_TRY(open_split(writer, LS_SPLIT_VALIDATION, shape, job->held_out.held + job->validation.count));
    LS_TRY(open_split(writer, LS_SPLIT_TEST, shape, job->test.count));
    LS_TRY(write_part(writer, &job->train, &job->held_out, LS_SPLIT_TRAIN));
    LS_TRY(name_classes(job, writer));
    LS_TRY(write_part(writer, &job->validation, NULL, LS_SPLIT_VALIDATION));
    return write_part(writer, &job->test, NULL, LS_SPLIT_TEST);
}

static json_t *describe(const Job *job, const Writer *writer)
{
    json_t *mean = json_array(), *deviation = json_array();
    double pixels = (double)writer->samples[LS_SPLIT_TRAIN] * (double)(writer->bytes / writer->channels);
    for (int64_t channel = 0; channel < writer->channels; channel++) {
        double m = (double)writer->sum[channel] / pixels;
        double variance = (double)writer->squares[channel] / pixels - m * m;
        json_array_append_new(mean, json_real(m));
        json_array_append_new(deviation, json_real(sqrt(variance > 0 ? variance : 0)));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "kind", "images", "height", (json_int_t)job->shape->height,
                     "width", (json_int_t)job->shape->width, "channels", (json_int_t)job->shape->channels, "classes",
                     ls_classes_json(&job->classes), "mean", mean, "deviation", deviation);
}

static LsStatus write_file(const LsImagesSettings *o, Job *job, int sources, char *const *source, const char *output)
{
    Writer writer = {.file = ls_sealed_create(output, "images", LS_IMAGES_VERSION, LS_DATA)};
    if (!writer.file)
        return ls_message_status();
    LsStatus status = end_writer(&writer, write_pictures(job, &writer));
    if (status == LS_OK) {
        json_t *notes = json_pack("{s:s*, s:s*, s:I}", "validation_file", o->held_out.validation_file, "test_file",
                                  o->held_out.test, "skipped_files_that_are_no_pictures",
                                  (json_int_t)(job->train.skipped + job->validation.skipped + job->test.skipped));
        status =
            ls_sealed_write_notes(writer.file, describe(job, &writer), notes, &(LsAsked){settings, o, sources, source});
    }
    return ls_sealed_finish(writer.file, status);
}

LsStatus ls_images_prepare(const LsImagesSettings *o, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare images needs files or a folder of pictures");
    Job job = {0};
    LsStatus status = open_sources(o, sources, source, &job);
    if (status == LS_OK)
        status = write_file(o, &job, sources, source, output);
    free_part(&job.train);
    free_part(&job.validation);
    free_part(&job.test);
    ls_classes_free(&job.classes);
    return status;
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_images_prepare(table, sources, source, output);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static LsStatus add_split(LsSealed *file, const char *split, const json_t *classes, json_t *object)
{
    char name[64];
    int32_t *label = NULL;
    int64_t count = 0;
    snprintf(name, sizeof name, "%s/labels", split);
    LS_TRY(ls_numbers_read(file, name, 0, (int64_t)json_array_size(classes), &label, &count));
    snprintf(name, sizeof name, "%s_samples", split);
    json_object_set_new(object, name, json_integer(label ? count : 0));
    if (label) {
        snprintf(name, sizeof name, "%s_by_class", split);
        json_object_set_new(object, name, ls_describe_classes(label, count, classes));
    }
    ls_free(label);
    return LS_OK;
}

/* {"red": 125.3, ...} of an array of numbers. */
static json_t *by_channel(const json_t *list)
{
    static const char *const colours[] = {"red", "green", "blue"};
    char name[32];
    size_t count = json_array_size(list);
    json_t *made = json_object();
    for (size_t i = 0; made && i < count; i++) {
        snprintf(name, sizeof name, "channel_%zu", i);
        json_object_set(made, count == 3 ? colours[i] : count == 1 ? "grey" : name, json_array_get(list, i));
    }
    return made;
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    static const char *const sides[] = {"height", "width", "channels"};
    json_t *info = NULL;
    LS_TRY(ls_sealed_check_version(file, LS_IMAGES_VERSION));
    LS_TRY(ls_sealed_read_json(file, "info", &info));
    const json_t *classes = json_object_get(info, "classes");
    LsStatus status = LS_OK;
    for (size_t i = 0; i < LS_COUNT_OF(sides); i++)
        json_object_set(object, sides[i], json_object_get(info, sides[i]));
    json_object_set_new(object, "classes", json_integer((json_int_t)json_array_size(classes)));
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++)
        status = add_split(file, ls_split_names[split], classes, object);
    json_object_set_new(object, "mean_of_training_pixels", by_channel(json_object_get(info, "mean")));
    json_object_set_new(object, "their_standard_deviation", by_channel(json_object_get(info, "deviation")));
    json_decref(info);
    return status == LS_OK ? ls_describe_preparation(file, object) : status;
}

static const char *const parts[] = {"info",          "preparation",  "info.height", "info.width",
                                    "info.channels", "info.classes", "info.mean",   "info.deviation",
                                    "*/pixels",      "*/labels",     NULL};

const LsDataKind ls_data_kind_images = {
    .name = "images",
    .summary = "pictures with classes: idx files, CIFAR-10's batches, folders of PNG",
    .example =
        "lockstep prepare images train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz -o digits.h5 --validation 5000\n"
        "lockstep prepare images pictures/ -o pictures.h5 --validation 0.1",
    .settings = settings,
    .settings_bytes = sizeof(LsImagesSettings),
    .arrays = true,
    .use_settings = ls_images_use_settings,
    .use_settings_bytes = sizeof(LsImagesUse),
    .prepare = prepare,
    .open = ls_images_open,
    .parts = parts,
    .inspect = inspect,
};
