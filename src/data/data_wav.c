/* Sounds as a kind of data set: preparing and describing. */
#include "data/wav.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CHUNK ((int64_t)1 << 16) /* values a chunk of the file */

static const LsSetting settings[] = {
    LS_SETTING_STRING(LsWavSettings, label, NULL,
                      "regular expression over the name of a file below its source, whose group in parentheses is "
                      "the class: '^(\\d)_' (default: the class is the name of the folder that the file lies in)"),
    LS_SETTING_STRING(LsWavSettings, classes, NULL,
                      "names of the classes, with commas: in the order of the labels, and all that may occur "
                      "(default: those of the training part, sorted)"),
    LS_SETTING_INT(LsWavSettings, rate, "0", 0, 1 << 24,
                   "samples a second that every file must have, nothing is resampled; 0: those of the first file"),
    LS_SETTING_INT(LsWavSettings, length, "0", 0, 1 << 30,
                   "samples of a sound at most, of longer ones the end is cut off; 0: all are kept whole"),
    LS_HELD_OUT_SETTINGS(LsWavSettings, held_out, "sounds", "sources", "0", ""),
    LS_SETTING_STRING(LsWavSettings, test_names, NULL,
                      "regular expression over the name of a file below its source: files of the sources that match "
                      "are the test part"),
    {0}};

typedef struct Writer {
    LsSealedStream *values;
    LsNumbers *offsets, *labels;
    int64_t samples, total; /* sounds, and their values */
} Writer;

typedef struct Job {
    LsClasses classes;
    LsWavFiles files;
    LsHeldOut held_out;
    LsSealed *output;
    Writer split[LS_SPLITS];
    const char *first; /* file whose rate the others must have; NULL: the option says it */
    int64_t rate, length, cut;
    double sum, squares; /* over the values of the training part */
} Job;

/* ---- Preparing --------------------------------------------------------------------------------------------------- */

/* Which of the files of the training sources are held out. */
static LsStatus divide_files(const LsWavSettings *o, Job *job)
{
    int64_t count = 0, sample = 0;
    for (int64_t i = 0; i < job->files.count; i++)
        count += job->files.file[i].split == LS_SPLIT_TRAIN;
    LS_TRY(ls_held_out_new(&o->held_out, count, &job->held_out));
    for (int64_t i = 0; i < job->files.count; i++) {
        LsWavFile *file = &job->files.file[i];
        if (file->split == LS_SPLIT_TRAIN && ls_is_held_out(&job->held_out, sample++))
            file->split = LS_SPLIT_VALIDATION;
    }
    return LS_OK;
}

static LsStatus open_writer(Job *job, LsSplit split)
{
    char name[64];
    Writer *writer = &job->split[split];
    snprintf(name, sizeof name, "%s/sounds", ls_split_names[split]);
    writer->values = ls_sealed_stream(job->output, name, LS_FILE_FLOAT32, CHUNK);
    snprintf(name, sizeof name, "%s/sounds_offsets", ls_split_names[split]);
    writer->offsets = writer->values ? ls_numbers_new(job->output, name, LS_FILE_INT64) : NULL;
    snprintf(name, sizeof name, "%s/labels", ls_split_names[split]);
    writer->labels = writer->offsets ? ls_numbers_new(job->output, name, LS_FILE_INT32) : NULL;
    return writer->labels ? ls_numbers_add_one(writer->offsets, 0) : ls_message_status();
}

static LsStatus end_writer(Writer *writer, LsStatus status)
{
    status = ls_numbers_end(writer->offsets, status);
    status = ls_numbers_end(writer->labels, status);
    if (!writer->values)
        return status;
    LsStatus ended = ls_sealed_end(writer->values);
    return status != LS_OK ? status : ended;
}

static void add_sums(Job *job, const float *value, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        job->sum += value[i];
        job->squares += (double)value[i] * value[i];
    }
}

static LsStatus check_rate(Job *job, const char *path, int64_t rate)
{
    if (job->rate == 0) {
        job->rate = rate;
        job->first = path;
    }
    if (rate == job->rate)
        return LS_OK;
    return ls_fail(LS_DATA,
                   "%s: has %lld samples a second, but %s%s %lld; nothing is resampled here: bring all to one rate "
                   "first",
                   path, (long long)rate, job->first ? job->first : "--rate says", job->first ? " has" : "",
                   (long long)job->rate);
}

/* All of the file is decoded, so that damage is found in what is cut off too. */
static LsStatus write_sound(Job *job, LsWavDecoder *decoder, LsSplit split)
{
    Writer *writer = &job->split[split];
    const float *value = NULL;
    int64_t count = 0, length = 0;
    for (;;) {
        LS_TRY(ls_wav_decoder_read(decoder, &value, &count));
        if (count == 0)
            break;
        int64_t room = job->length > 0 ? job->length - length : count, kept = count < room ? count : room;
        length += count;
        if (kept <= 0)
            continue;
        if (split == LS_SPLIT_TRAIN)
            add_sums(job, value, kept);
        writer->total += kept;
        LS_TRY(ls_sealed_append(writer->values, value, kept));
    }
    job->cut += job->length > 0 && length > job->length;
    return LS_OK;
}

static LsStatus write_file(Job *job, int64_t which)
{
    const LsWavFile *file = &job->files.file[which];
    Writer *writer = &job->split[file->split];
    if (!writer->values)
        LS_TRY(open_writer(job, file->split));
    LsWavDecoder *decoder = ls_wav_decoder_open(file->path);
    LsStatus status = decoder ? check_rate(job, file->path, ls_wav_decoder_rate(decoder)) : ls_message_status();
    if (status == LS_OK)
        status = write_sound(job, decoder, file->split);
    ls_wav_decoder_close(decoder);
    LS_TRY(status);
    writer->samples++;
    LS_TRY(ls_numbers_add_one(writer->offsets, writer->total));
    return ls_numbers_add_one(writer->labels, job->files.label[which]);
}

static json_t *describe(const Job *job)
{
    double count = (double)job->split[LS_SPLIT_TRAIN].total, mean = job->sum / count;
    double variance = job->squares / count - mean * mean;
    return json_pack("{s:s, s:I, s:o, s:f, s:f}", "kind", "wav", "rate", (json_int_t)job->rate, "classes",
                     ls_classes_json(&job->classes), "mean", mean, "deviation", sqrt(variance > 0 ? variance : 0));
}

static LsStatus write_data_set(const LsWavSettings *o, Job *job, int sources, char *const *source, const char *output)
{
    job->output = ls_sealed_create(output, "wav", LS_WAV_VERSION, LS_DATA);
    if (!job->output)
        return ls_message_status();
    LsStatus status = LS_OK;
    for (int64_t i = 0; i < job->files.count && status == LS_OK; i++)
        status = write_file(job, i);
    for (int split = 0; split < LS_SPLITS; split++)
        status = end_writer(&job->split[split], status);
    if (status == LS_OK) {
        json_t *notes = json_pack("{s:s*, s:s*, s:I, s:I}", "validation_file", o->held_out.validation_file, "test_file",
                                  o->held_out.test, "skipped_files_that_are_no_sounds", (json_int_t)job->files.skipped,
                                  "sounds_cut_at_length", (json_int_t)job->cut);
        status = ls_sealed_write_notes(job->output, describe(job), notes, &(LsAsked){settings, o, sources, source});
    }
    return ls_sealed_finish(job->output, status);
}

LsStatus ls_wav_prepare(const LsWavSettings *o, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare wav needs folders or files of sounds");
    Job job = {.rate = o->rate, .length = o->length};
    LsStatus status = o->classes ? ls_classes_from_list(&job.classes, o->classes) : LS_OK;
    if (status == LS_OK)
        status = ls_wav_files_find(o, sources, source, &job.classes, &job.files);
    if (status == LS_OK)
        status = divide_files(o, &job);
    if (status == LS_OK)
        status = write_data_set(o, &job, sources, source, output);
    ls_wav_files_free(&job.files);
    ls_classes_free(&job.classes);
    return status;
}

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_wav_prepare(table, sources, source, output);
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

static LsStatus add_split(LsSealed *file, const char *split, int64_t rate, const json_t *classes, json_t *object)
{
    char name[64];
    int64_t *offset = NULL, dim[LS_SEALED_RANK] = {0}, count = 0, labels = 0;
    int32_t *label = NULL;
    bool exists = false;
    LsFileType type;
    int rank = 0;
    snprintf(name, sizeof name, "%s/sounds", split);
    LS_TRY(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    snprintf(name, sizeof name, "%s/sounds_offsets", split);
    LS_TRY(ls_offsets_read(file, name, dim[0], &offset, &count));
    snprintf(name, sizeof name, "%s/labels", split);
    LsStatus status = ls_numbers_read(file, name, 0, (int64_t)json_array_size(classes), &label, &labels);
    bool whole = exists && offset && label && labels == count, none = !exists && !offset && !label;
    if (status == LS_OK && !whole && !none)
        status = ls_fail(LS_DATA, "%s: has %lld sounds and %lld labels in %s", ls_sealed_path(file), (long long)count,
                         (long long)labels, split);
    if (status == LS_OK) {
        snprintf(name, sizeof name, "%s_samples", split);
        json_object_set_new(object, name, json_integer(label ? count : 0));
    }
    if (status == LS_OK && label) {
        snprintf(name, sizeof name, "%s_seconds", split);
        json_object_set_new(object, name, json_real((double)dim[0] / (double)rate));
        snprintf(name, sizeof name, "%s_lengths", split);
        json_object_set_new(object, name, ls_describe_offsets(offset, count));
        snprintf(name, sizeof name, "%s_by_class", split);
        json_object_set_new(object, name, ls_describe_classes(label, count, classes));
    }
    ls_free(offset);
    ls_free(label);
    return status;
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    json_t *info = NULL;
    LS_TRY(ls_sealed_check_version(file, LS_WAV_VERSION));
    LS_TRY(ls_sealed_read_json(file, "info", &info));
    const json_t *classes = json_object_get(info, "classes");
    int64_t rate = json_integer_value(json_object_get(info, "rate"));
    LsStatus status = rate > 0 ? LS_OK : ls_fail(LS_DATA, "%s: says no rate", ls_sealed_path(file));
    json_object_set_new(object, "samples_a_second", json_integer((json_int_t)rate));
    json_object_set_new(object, "classes", json_integer((json_int_t)json_array_size(classes)));
    for (int split = 0; split < LS_SPLITS && status == LS_OK; split++)
        status = add_split(file, ls_split_names[split], rate, classes, object);
    json_object_set(object, "mean_of_training_values", json_object_get(info, "mean"));
    json_object_set(object, "their_standard_deviation", json_object_get(info, "deviation"));
    json_decref(info);
    return status == LS_OK ? ls_describe_preparation(file, object) : status;
}

static const char *const parts[] = {"info",           "preparation", "info.rate",        "info.classes", "info.mean",
                                    "info.deviation", "*/sounds",    "*/sounds_offsets", "*/labels",     NULL};

const LsDataKind ls_data_kind_wav = {
    .name = "wav",
    .summary = "sounds with classes: folders of WAV, FLAC and OGG files",
    .example = "lockstep prepare wav words/ -o words.h5 --validation 0.1 --test held-out-words/\n"
               "lockstep prepare wav recordings/ -o digits.h5 --label '^(\\d)_' --test-names '_[0-4]\\.wav$'",
    .settings = settings,
    .settings_bytes = sizeof(LsWavSettings),
    .use_settings = ls_wav_use_settings,
    .use_settings_bytes = sizeof(LsWavUse),
    .prepare = prepare,
    .open = ls_wav_open,
    .parts = parts,
    .inspect = inspect,
};
