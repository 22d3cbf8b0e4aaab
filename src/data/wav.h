/* Sounds with classes as a data set of kind "wav".
 *
 *     /SPLIT/sounds, /SPLIT/sounds_offsets   values of all sounds one after another (float32), and the N + 1 places
 *                                            where each begins; SPLIT: train, validation, test
 *     /SPLIT/labels                          (N), indices into the class names
 *     /info     {"kind": "wav", "rate": samples a second, "classes": [names], "mean", "deviation"}
 *
 * A value is from -1 to 1, the mean of the file's channels. Mean and standard deviation are of all values of the
 * training part.
 */
#ifndef LS_DATA_WAV_H
#define LS_DATA_WAV_H

#include "data/samples.h"
#include "data/seen.h"
#include "lockstep/data.h"

#define LS_WAV_VERSION 1

typedef struct LsWavSettings {
    char *label, *test_names, *classes;
    int64_t rate, length;
    LsHeldOutSettings held_out;
} LsWavSettings;

LsStatus ls_wav_prepare(const LsWavSettings *settings, int sources, char *const *source,
                        const char *output) LS_MUST_USE;

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

/* Of the section `data:`. */
typedef struct LsWavUse {
    int64_t frame; /* values a step */
    char *scaling; /* standard, none */
} LsWavUse;

extern const LsSetting ls_wav_use_settings[];

/* Fields "values" (T, frame), "length" (steps) and "label". As LsDataKind.open; without settings as their defaults. */
LsStatus ls_wav_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* ---- Files of the sources (wav_files.c) -------------------------------------------------------------------------- */

typedef struct LsWavFile {
    char *path;
    LsSplit split;
} LsWavFile;

/* Begins as {0}. */
typedef struct LsWavFiles {
    LsWavFile *file; /* file, label: (count) */
    int32_t *label;  /* indices into the classes */
    int64_t count, room;
    int64_t skipped; /* files of folders that are no sounds by their names */
    LsSeen seen;
} LsWavFiles;

/* All files of the sources and of the lists in the options, each with its class and its part: in the order of the
 * sources, those of a folder in order of their names. Classes that `classes` does not fix are gathered and sorted.
 * LS_DATA with the file's name where its class is not known, or nothing was found. */
LsStatus ls_wav_files_find(const LsWavSettings *settings, int sources, char *const *source, LsClasses *classes,
                           LsWavFiles *files) LS_MUST_USE;
void ls_wav_files_free(LsWavFiles *files);

/* ---- One file (wav_decode.c) ------------------------------------------------------------------------------------- */

typedef struct LsWavDecoder LsWavDecoder;

/* NULL with a message: LS_DATA where it is neither WAV, FLAC nor OGG, cut short, damaged or without samples. */
LsWavDecoder *ls_wav_decoder_open(const char *path);
int64_t ls_wav_decoder_rate(const LsWavDecoder *decoder); /* samples a second */
/* The next values, the mean of the channels each; *count is 0 behind the last. LS_DATA where one is no finite number,
 * or the file ends before it has as many as it says. The values stay until the next call. */
LsStatus ls_wav_decoder_read(LsWavDecoder *decoder, const float **value, int64_t *count) LS_MUST_USE;
void ls_wav_decoder_close(LsWavDecoder *decoder); /* NULL is allowed */

/* Whether a file's content is whole, as far as its container says: LS_DATA with what is missing (wav_container.c). */
LsStatus ls_wav_check_whole(const char *path, const void *bytes, int64_t count) LS_MUST_USE;

#endif
