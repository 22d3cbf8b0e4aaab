/* A file of sound as values, by libsndfile, from memory: what is checked is what is decoded. */
#include "data/wav.h"
#include "io/file.h"

#include <math.h>
#include <sndfile.h>
#include <string.h>

#define ROOM ((int64_t)1 << 14) /* numbers decoded at once, of all channels */

struct LsWavDecoder {
    const char *path;
    char *bytes; /* bytes: (count) of the file */
    int64_t count, at;
    SNDFILE *file;
    SF_INFO info;
    int64_t read; /* samples so far */
    float *room, *value;
};

/* ---- Memory as libsndfile reads it ------------------------------------------------------------------------------- */

static sf_count_t file_length(void *self) { return ((LsWavDecoder *)self)->count; }

static sf_count_t tell(void *self) { return ((LsWavDecoder *)self)->at; }

static sf_count_t seek(sf_count_t offset, int whence, void *self)
{
    LsWavDecoder *d = self;
    int64_t from = whence == SEEK_CUR ? d->at : whence == SEEK_END ? d->count : 0;
    if (offset < -from || offset > d->count - from)
        return -1;
    return d->at = from + offset;
}

static sf_count_t read_bytes(void *to, sf_count_t count, void *self)
{
    LsWavDecoder *d = self;
    int64_t there = d->count - d->at < count ? d->count - d->at : count;
    if (there > 0)
        memcpy(to, d->bytes + d->at, (size_t)there);
    d->at += there > 0 ? there : 0;
    return there > 0 ? there : 0;
}

/* ---- Decoding ---------------------------------------------------------------------------------------------------- */

static LsStatus open_sound(LsWavDecoder *d)
{
    SF_VIRTUAL_IO memory = {.get_filelen = file_length, .seek = seek, .read = read_bytes, .tell = tell};
    LS_TRY(ls_file_read(d->path, LS_DATA, &d->bytes, &d->count));
    LS_TRY(ls_wav_check_whole(d->path, d->bytes, d->count));
    d->file = sf_open_virtual(&memory, SFM_READ, &d->info, d);
    if (!d->file)
        return ls_fail(LS_DATA, "%s: cannot be read as sound: %s", d->path, sf_strerror(NULL));
    if (d->info.frames < 1)
        return ls_fail(LS_DATA, "%s: has no samples", d->path);
    if (d->info.frames == SF_COUNT_MAX)
        return ls_fail(LS_DATA,
                       "%s: does not say how many samples it has, so that nobody knows whether it is whole; "
                       "encode it to a file anew",
                       d->path);
    if (d->info.samplerate < 1 || d->info.channels < 1 || d->info.channels > ROOM)
        return ls_fail(LS_DATA, "%s: says %d samples a second and %d channels", d->path, d->info.samplerate,
                       d->info.channels);
    d->room = ls_alloc_array(ROOM, sizeof *d->room);
    d->value = ls_alloc_array(ROOM, sizeof *d->value);
    return d->room && d->value ? LS_OK : LS_RESOURCE;
}

LsWavDecoder *ls_wav_decoder_open(const char *path)
{
    LsWavDecoder *d = ls_alloc(sizeof *d);
    if (!d)
        return NULL;
    d->path = path;
    if (open_sound(d) == LS_OK)
        return d;
    ls_wav_decoder_close(d);
    return NULL;
}

int64_t ls_wav_decoder_rate(const LsWavDecoder *decoder) { return decoder->info.samplerate; }

LsStatus ls_wav_decoder_read(LsWavDecoder *d, const float **value, int64_t *count)
{
    int64_t channels = d->info.channels, wanted = ROOM / channels;
    wanted = d->info.frames - d->read < wanted ? d->info.frames - d->read : wanted;
    *value = d->value;
    *count = wanted > 0 ? sf_readf_float(d->file, d->room, wanted) : 0;
    if (*count < wanted || sf_error(d->file) != SF_ERR_NO_ERROR)
        return ls_fail(LS_DATA, "%s: is damaged or cut short: of %lld samples %lld can be read%s%s", d->path,
                       (long long)d->info.frames, (long long)(d->read + (*count > 0 ? *count : 0)),
                       sf_error(d->file) == SF_ERR_NO_ERROR ? "" : ": ",
                       sf_error(d->file) == SF_ERR_NO_ERROR ? "" : sf_strerror(d->file));
    for (int64_t i = 0; i < *count; i++) {
        double sum = 0;
        for (int64_t channel = 0; channel < channels; channel++)
            sum += d->room[i * channels + channel];
        d->value[i] = (float)(sum / (double)channels);
        if (!isfinite(d->value[i]))
            return ls_fail(LS_DATA, "%s: sample %lld (from 0) is no finite number", d->path, (long long)(d->read + i));
    }
    d->read += *count;
    return LS_OK;
}

void ls_wav_decoder_close(LsWavDecoder *d)
{
    if (d && d->file)
        sf_close(d->file);
    if (d) {
        ls_free(d->bytes);
        ls_free(d->room);
        ls_free(d->value);
    }
    ls_free(d);
}
