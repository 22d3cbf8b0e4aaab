/* Sounds as a data set: WAV files written here by hand, FLAC and OGG by libsndfile; what is wrong with files; classes
 * and parts by names; samples. */
#include "sample_files.h"

#include <sndfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define RATE 8000

typedef struct Wav {
    unsigned char bytes[1 << 16];
    int count;
} Wav;

static void put(Wav *wav, const void *bytes, int count)
{
    memcpy(wav->bytes + wav->count, bytes, (size_t)count);
    wav->count += count;
}

static void put_number(Wav *wav, int bytes, uint32_t number)
{
    for (int i = 0; i < bytes; i++)
        wav->bytes[wav->count++] = (unsigned char)(number >> 8 * i);
}

/* A file of 16 bits: value: (frames, channels). */
static void make_wav(Wav *wav, int rate, int channels, int frames, const int16_t *value)
{
    wav->count = 0;
    put(wav, "RIFF", 4);
    put_number(wav, 4, (uint32_t)(36 + 2 * frames * channels));
    put(wav, "WAVEfmt ", 8);
    put_number(wav, 4, 16);
    put_number(wav, 2, 1); /* PCM */
    put_number(wav, 2, (uint32_t)channels);
    put_number(wav, 4, (uint32_t)rate);
    put_number(wav, 4, (uint32_t)(rate * channels * 2));
    put_number(wav, 2, (uint32_t)(channels * 2));
    put_number(wav, 2, 16);
    put(wav, "data", 4);
    put_number(wav, 4, (uint32_t)(2 * frames * channels));
    for (int i = 0; i < frames * channels; i++)
        put_number(wav, 2, (uint16_t)value[i]);
}

/* Value i of sound number n. */
static int16_t value_at(int n, int i) { return (int16_t)((n * 977 + i * 3001) % 30000 - 15000); }

/* `frames` values of sound number n as NAME below the test's folder. */
static char *write_wav(const char *name, int rate, int n, int frames)
{
    static Wav wav;
    static int16_t value[1 << 14];
    for (int i = 0; i < frames; i++)
        value[i] = value_at(n, i);
    make_wav(&wav, rate, 1, frames, value);
    return write_bytes(name, wav.bytes, wav.count);
}

static char *folder(const char *name)
{
    char *path = path_of(name);
    ASSERT_OK(ls_make_folders(path));
    return path;
}

/* yes/1.wav, yes/2.wav of 10 and 11 values, no/1.wav of 12: sounds number 1, 2 and 3. */
static char *words(const char *name)
{
    char relative[128], *path = folder(name);
    static const struct {
        const char *folder, *file;
        int n, frames;
    } sounds[] = {{"yes", "1.wav", 1, 10}, {"yes", "2.wav", 2, 11}, {"no", "1.wav", 3, 12}};
    for (size_t i = 0; i < LS_COUNT_OF(sounds); i++) {
        snprintf(relative, sizeof relative, "%s/%s", name, sounds[i].folder);
        folder(relative);
        snprintf(relative, sizeof relative, "%s/%s/%s", name, sounds[i].folder, sounds[i].file);
        write_wav(relative, RATE, sounds[i].n, sounds[i].frames);
    }
    return path;
}

typedef struct Content {
    float value[1 << 12];
    int64_t offset[64];
    int32_t label[64];
    int64_t sounds;
} Content;

/* All arrays of a split. */
static Content *read_split(const char *path, const char *split)
{
    static Content content;
    char name[64];
    int rank;
    bool exists;
    LsFileType type;
    int64_t dim[LS_SEALED_RANK];
    content = (Content){.sounds = 0};
    LsSealed *file = ls_sealed_open(path, "wav", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    snprintf(name, sizeof name, "%s/sounds", split);
    ASSERT_OK(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
    if (exists) {
        ASSERT_OK(ls_sealed_read(file, name, LS_FILE_FLOAT32, dim[0], content.value));
        snprintf(name, sizeof name, "%s/labels", split);
        ASSERT_OK(ls_sealed_shape(file, name, &exists, &type, &rank, dim));
        content.sounds = dim[0];
        ASSERT_OK(ls_sealed_read(file, name, LS_FILE_INT32, dim[0], content.label));
        snprintf(name, sizeof name, "%s/sounds_offsets", split);
        ASSERT_OK(ls_sealed_read(file, name, LS_FILE_INT64, dim[0] + 1, content.offset));
    }
    ls_sealed_close(file);
    return &content;
}

/* Whether sound `at` is number n of write_wav, of so many values: each sample / 32768. */
static bool is_sound(const Content *content, int64_t at, int n, int frames)
{
    const float *value = content->value + content->offset[at];
    bool same = content->offset[at + 1] - content->offset[at] == frames;
    for (int i = 0; i < frames && same; i++)
        same = value[i] == (float)value_at(n, i) / 32768;
    return same;
}

/* ---- Preparing --------------------------------------------------------------------------------------------------- */

static void test_folders(void)
{
    const char *output = harness_path("folders.h5");
    char *path = words("words");
    write_text("words/yes/notes.txt", "no sound");
    write_text("words/.hidden.wav", "no sound");
    ASSERT_OK(prepare_kind("wav", "", SOURCES(path), output));
    const Content *content = read_split(output, "train");
    CU_ASSERT_EQUAL_FATAL(content->sounds, 3);
    CU_ASSERT(is_sound(content, 0, 3, 12) && is_sound(content, 1, 1, 10) && is_sound(content, 2, 2, 11));
    CU_ASSERT(content->label[0] == 0 && content->label[1] == 1 && content->label[2] == 1);
    double sum = 0, squares = 0;
    for (int i = 0; i < 33; i++)
        sum += content->value[i];
    for (int i = 0; i < 33; i++)
        squares += (content->value[i] - sum / 33) * (content->value[i] - sum / 33);
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "samples_a_second"), RATE);
    CU_ASSERT_EQUAL(number_in(object, "train_samples"), 3);
    CU_ASSERT_EQUAL(number_in(object, "skipped_files_that_are_no_sounds"), 1);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "yes"), 2);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_lengths"), "longest"), 12);
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(object, "train_seconds")), 33.0 / RATE, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(object, "mean_of_training_values")), sum / 33, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(object, "their_standard_deviation")), sqrt(squares / 33),
                           1e-9);
    json_decref(object);
    ASSERT_OK(prepare_kind("wav", "classes=yes,no,perhaps;length=11", SOURCES(path), output));
    content = read_split(output, "train");
    CU_ASSERT(content->label[0] == 1 && content->label[1] == 0 && is_sound(content, 0, 3, 11));
    CU_ASSERT_EQUAL(described_number(output, "sounds_cut_at_length"), 1);
    CU_ASSERT_EQUAL(described_number(output, "classes"), 3);
}

/* Classes and the test part by patterns over names, as free spoken digits have them; classes in order of their
 * numbers. */
static void test_names(void)
{
    const char *output = harness_path("names.h5");
    char *path = folder("digits"), relative[64];
    for (int i = 0; i < 8; i++) {
        snprintf(relative, sizeof relative, "digits/%d_ann_%d.wav", i % 2 ? 10 : 9, i / 2);
        write_wav(relative, RATE, i, 5 + i);
    }
    ASSERT_OK(prepare_kind("wav", "label=^(\\d+)_;test_names=_[01]\\.wav$;validation=1", SOURCES(path), output));
    CU_ASSERT_EQUAL(read_split(output, "train")->sounds, 3);
    CU_ASSERT_EQUAL(read_split(output, "validation")->sounds, 1);
    const Content *content = read_split(output, "test");
    CU_ASSERT_EQUAL_FATAL(content->sounds, 4);
    CU_ASSERT(is_sound(content, 0, 1, 6) && is_sound(content, 2, 0, 5)); /* 10_ann_0, then 9_ann_0 */
    CU_ASSERT(content->label[0] == 1 && content->label[2] == 0);
    char *other = write_wav("11_ann_0.wav", RATE, 1, 6);
    char *options = ls_format("label=^(\\d+)_;test=%s,%s", other, path);
    ASSERT_REFUSED("wav", options, SOURCES(path), LS_DATA, "11_ann_0.wav: its class '11' has no sound to train on");
    ls_free(options);
    options = ls_format("label=^(\\d+)_;classes=9,10,11;validation_file=%s", other);
    ASSERT_OK(prepare_kind("wav", options, SOURCES(path), output));
    CU_ASSERT_EQUAL(read_split(output, "validation")->label[0], 2);
    ls_free(options);
    ASSERT_REFUSED("wav", "label=^(\\d+)_;classes=9", SOURCES(path), LS_DATA,
                   "its class '10' is none of the 1 classes");
    ASSERT_REFUSED("wav", "label=^([a-z])", SOURCES(path), LS_DATA,
                   "--label finds no class in the name '10_ann_0.wav'");
    ASSERT_REFUSED("wav", "label=^(\\d+)_;test_names=wav", SOURCES(path), LS_DATA, "none is left to train on");
    ASSERT_REFUSED("wav", "label=^\\d", SOURCES(path), LS_USAGE, "--label: '^\\d' has no group in parentheses");
    ASSERT_REFUSED("wav", "label=(\\d", SOURCES(path), LS_USAGE, "--label: '(\\d' is no regular expression: missing");
    ASSERT_REFUSED("wav", "", SOURCES(path), LS_DATA, "digits/10_ann_0.wav: lies in ");
    ASSERT_REFUSED("wav", "", SOURCES(other), LS_DATA, "11_ann_0.wav: no folder says its class");
}

/* A sound of several channels is their mean. */
static void test_channels(void)
{
    const char *output = harness_path("stereo.h5");
    static Wav wav;
    make_wav(&wav, 44100, 2, 3, (int16_t[]){100, 300, -32768, 32767, 7, 8});
    char *path = write_bytes("a_stereo.wav", wav.bytes, wav.count);
    ASSERT_OK(prepare_kind("wav", "label=^(.)", SOURCES(path), output));
    const Content *content = read_split(output, "train");
    CU_ASSERT_EQUAL(content->offset[1], 3);
    CU_ASSERT_EQUAL(content->value[0], 200 / 32768.0f);
    CU_ASSERT_EQUAL(content->value[1], -0.5f / 32768);
    CU_ASSERT_EQUAL(content->value[2], 7.5f / 32768);
    CU_ASSERT_EQUAL(described_number(output, "samples_a_second"), 44100);
}

/* ---- FLAC and OGG ------------------------------------------------------------------------------------------------ */

#define LONG 6000

/* A tone, by libsndfile. */
static char *write_by_library(const char *name, int format)
{
    static float value[LONG];
    char *path = path_of(name);
    SF_INFO info = {.samplerate = RATE, .channels = 1, .format = format};
    for (int i = 0; i < LONG; i++)
        value[i] = roundf(8192 * sinf((float)i * 0.1f)) / 32768;
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(sf_writef_float(file, value, LONG), LONG);
    sf_close(file);
    return path;
}

static float *values_of(const char *path, int64_t *count)
{
    const char *output = harness_path("one.h5");
    LsFileType type;
    int rank;
    bool exists;
    int64_t dim[LS_SEALED_RANK];
    ASSERT_OK(prepare_kind("wav", "label=([a-z])", SOURCES((char *)path), output));
    LsSealed *file = ls_sealed_open(output, "wav", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_shape(file, "train/sounds", &exists, &type, &rank, dim));
    float *value = ls_alloc_array(dim[0], sizeof *value);
    ASSERT_OK(ls_sealed_read(file, "train/sounds", LS_FILE_FLOAT32, dim[0], value));
    ls_sealed_close(file);
    *count = dim[0];
    return value;
}

static void test_formats(void)
{
    static const struct {
        const char *name;
        int format;
        double error;
    } formats[] = {{"tone.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 0},
                   {"tone-24.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 0},
                   {"tone-float.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 0},
                   {"tone.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 0},
                   {"tone.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 0.05}};
    for (size_t i = 0; i < LS_COUNT_OF(formats); i++) {
        int64_t count = 0;
        char *path = write_by_library(formats[i].name, formats[i].format);
        float *value = values_of(path, &count);
        CU_ASSERT_EQUAL(count, LONG);
        double worst = 0;
        for (int64_t at = 0; at < count && at < LONG; at++) {
            double error = fabs(value[at] - roundf(8192 * sinf((float)at * 0.1f)) / 32768.0);
            worst = error > worst ? error : worst;
        }
        if (worst > formats[i].error)
            fprintf(stderr, "%s: differs by %g\n", formats[i].name, worst);
        CU_ASSERT(worst <= formats[i].error);
        ls_free(value);
    }
}

/* ---- What is wrong with files ------------------------------------------------------------------------------------ */

static void refuse(const char *name, const void *bytes, int64_t count, const char *text)
{
    char *path = write_bytes(name, bytes, count);
    ASSERT_REFUSED("wav", "label=([a-z])", SOURCES(path), LS_DATA, text);
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), name));
}

static void test_bad_files(void)
{
    static Wav wav;
    make_wav(&wav, RATE, 1, 4, (int16_t[]){1, 2, 3, 4});
    refuse("bad.wav", "text", 4, "bad.wav: is no sound that is read here: it begins neither as WAV (RIFF)");
    refuse("empty.wav", "", 0, "empty.wav: is empty");
    refuse("cut.wav", wav.bytes, wav.count - 1,
           "cut.wav: is cut short, or was written to a pipe: its header says 8 bytes of samples, and 7 are there");
    refuse("header.wav", wav.bytes, 30, "header.wav: is cut short: it has no samples");
    make_wav(&wav, RATE, 1, 0, NULL);
    refuse("none.wav", wav.bytes, wav.count, "none.wav: has no samples");
    char *a = write_wav("a.wav", RATE, 1, 5), *b = write_wav("b.wav", 16000, 1, 5);
    ASSERT_REFUSED("wav", "label=([a-z])", SOURCES(a, b), LS_DATA, "b.wav: has 16000 samples a second, but ");
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "a.wav has 8000; nothing is resampled here"));
    ASSERT_REFUSED("wav", "label=([a-z]);rate=16000", SOURCES(a), LS_DATA,
                   "a.wav: has 8000 samples a second, but --rate says 16000");
    ASSERT_OK(ls_make_folders(path_of("nothing/in")));
    ASSERT_REFUSED("wav", "", SOURCES(path_of("nothing")), LS_DATA, "nothing: has no sounds (*.wav, *.flac, *.ogg)");
    ASSERT_REFUSED("wav", "", SOURCES(path_of("gone")), LS_DATA, "gone: No such file");
    ASSERT_REFUSED("wav", "", SOURCES(NULL), LS_USAGE, "prepare wav needs folders or files of sounds");
}

/* A number that is none is refused with its place. */
static void test_not_finite(void)
{
    char *path = path_of("nan.wav");
    float value[3] = {0.5f, -0.25f, NAN};
    SF_INFO info = {.samplerate = RATE, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    SNDFILE *file = sf_open(path, SFM_WRITE, &info);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    sf_writef_float(file, value, 3);
    sf_close(file);
    ASSERT_REFUSED("wav", "label=([a-z])", SOURCES(path), LS_DATA, "nan.wav: sample 2 (from 0) is no finite number");
}

/* FLAC and OGG cut at any length and with a bit changed anywhere: refused, or, in places that hold no samples, read
 * as they were. */
static void test_damage(void)
{
    static const char *const names[] = {"damage.flac", "damage.ogg"};
    static const int format[] = {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_OGG | SF_FORMAT_VORBIS};
    for (int f = 0; f < 2; f++) {
        char *whole = write_by_library(names[f], format[f]), *bytes = NULL;
        int64_t count = 0, length = 0;
        ASSERT_OK(ls_file_read(whole, LS_DATA, &bytes, &count));
        float *before = values_of(whole, &length);
        for (int64_t cut = 0; cut < count; cut += 1 + count / 61) {
            char *path = write_bytes(f ? "cut.ogg" : "cut.flac", bytes, cut);
            ASSERT_REFUSED("wav", "label=([a-z])", SOURCES(path), LS_DATA, f ? "cut.ogg" : "cut.flac");
        }
        int refused = 0;
        for (int64_t at = 0; at < count; at += 1 + count / 61) {
            bytes[at] ^= 16;
            char *path = write_bytes(f ? "bit.ogg" : "bit.flac", bytes, count);
            bytes[at] ^= 16;
            LsStatus status = prepare_kind("wav", "label=([a-z])", SOURCES(path), harness_path("bit.h5"));
            CU_ASSERT(status == LS_OK || status == LS_DATA);
            refused += status == LS_DATA;
            if (status != LS_OK)
                continue;
            int64_t now = 0;
            float *value = values_of(path, &now);
            CU_ASSERT(now == length && memcmp(value, before, (size_t)length * sizeof *value) == 0);
            ls_free(value);
        }
        CU_ASSERT(refused > (f ? 55 : 20));
        ls_free(before);
        ls_free(bytes);
    }
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

static void test_samples(void)
{
    const char *output = harness_path("samples.h5");
    ASSERT_OK(prepare_kind("wav", "", SOURCES(words("samples")), output));
    const Content *content = read_split(output, "train");
    LsSource *source = NULL;
    ASSERT_OK(open_kind("wav", output, "held-out", 0, 1, "frame=4;scaling=none", &source));
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    CU_ASSERT_EQUAL(source->samples, 3);
    CU_ASSERT_EQUAL(source->sequence, 3);
    char *fields = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(fields, "values Tx4, length int, label of 2");
    ls_free(fields);
    CU_ASSERT_EQUAL(source->longest(source, &(LsBatch){0, 3, 0}), 3);
    Inputs inputs = inputs_new(source, 4, source->sequence);
    fill_inputs(source, &inputs, 0, 3);
    float *value = reals_of(&inputs, "values"); /* (4, 3, 4) */
    for (int i = 0; i < 48; i++) {
        int b = i / 12, at = i % 12;
        bool there = b < 3 && content->offset[b] + at < content->offset[b + 1];
        CU_ASSERT_EQUAL(value[i], there ? content->value[content->offset[b] + at] : 0);
    }
    const int32_t *length = ints_of(&inputs, "length"), *label = ints_of(&inputs, "label");
    CU_ASSERT(length[0] == 3 && length[1] == 3 && length[2] == 3 && length[3] == 1);
    CU_ASSERT(label[0] == 0 && label[1] == 1 && label[2] == 1 && label[3] == LS_IGNORE);
    ls_free(value);
    inputs_free(&inputs);
    ls_source_free(source);
}

/* Scaled, a value a step, and cut where the sequence ends. */
static void test_scaled_and_cut(void)
{
    const char *output = harness_path("scaled.h5");
    ASSERT_OK(prepare_kind("wav", "", SOURCES(words("scaled")), output));
    const Content *content = read_split(output, "train");
    json_t *object = described(output);
    double mean = json_number_value(json_object_get(object, "mean_of_training_values"));
    double deviation = json_number_value(json_object_get(object, "their_standard_deviation"));
    json_decref(object);
    LsSource *source = NULL;
    ASSERT_OK(open_kind("wav", output, "held-out", 11, 1, NULL, &source));
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    CU_ASSERT_PTR_NOT_NULL(strstr(source->info, "\"rate\":8000"));
    Inputs inputs = inputs_new(source, 3, source->sequence);
    fill_inputs(source, &inputs, 0, 3);
    float *value = reals_of(&inputs, "values"); /* (3, 11, 1) */
    for (int i = 0; i < 33; i++) {
        int b = i / 11, at = i % 11;
        bool there = content->offset[b] + at < content->offset[b + 1];
        CU_ASSERT_DOUBLE_EQUAL(value[i], there ? (content->value[content->offset[b] + at] - mean) / deviation : 0,
                               1e-5);
    }
    const int32_t *length = ints_of(&inputs, "length");
    CU_ASSERT(length[0] == 11 && length[1] == 10 && length[2] == 11);
    ls_free(value);
    inputs_free(&inputs);
    ls_source_free(source);
}

/* A model keeps the scaling that it has learnt, and refuses sounds of another rate. */
static void test_like(void)
{
    const char *output = harness_path("like.h5");
    ASSERT_OK(prepare_kind("wav", "", SOURCES(words("like")), output));
    LsSource *source = NULL;
    json_t *like = json_pack("{s:i, s:f, s:f}", "rate", RATE, "mean", 0.5, "deviation", 2.0);
    LsDataOpen open = {.path = output, .split = "train", .seed = 1, .like = like};
    ASSERT_OK(ls_data_kind("wav")->open(&open, &source));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->info, "\"deviation\":2.0"));
    ls_source_free(source);
    json_object_set_new(like, "rate", json_integer(16000));
    ASSERT_FAILS(ls_data_kind("wav")->open(&open, &source), LS_DATA,
                 "like.h5: has sounds of 8000 samples a second, but the model has learnt from sounds of 16000");
    json_decref(like);
}

int main(void)
{
    return harness_run("wav", (HarnessTest[]){{"folders of classes", test_folders},
                                              {"classes and parts by names", test_names},
                                              {"channels", test_channels},
                                              {"WAV, FLAC, OGG", test_formats},
                                              {"what is wrong with files", test_bad_files},
                                              {"no finite number", test_not_finite},
                                              {"cut and damaged files", test_damage},
                                              {"samples", test_samples},
                                              {"scaled and cut samples", test_scaled_and_cut},
                                              {"a model's own scaling and rate", test_like},
                                              {0}});
}
