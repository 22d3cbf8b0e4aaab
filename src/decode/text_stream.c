#include "decode/text_stream.h"

#include <string.h>

LsStatus ls_stops_check(const LsStops *stops, const char *name)
{
    for (int i = 0; i < stops->count; i++)
        if (!stops->text[i][0])
            return ls_fail(LS_USAGE, "%s is empty", name);
    return LS_OK;
}

/* Bytes at the end that begin a UTF-8 character and do not complete it. */
static int64_t incomplete(const char *bytes, int64_t count)
{
    for (int64_t back = 1; back <= 3 && back <= count; back++) {
        unsigned char byte = (unsigned char)bytes[count - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        int64_t length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return byte < 0xf8 && length > back ? back : 0;
    }
    return 0;
}

/* Bytes at the end that begin a stop. */
static int64_t begun_stop(const LsStops *stops, const LsTextStream *stream)
{
    int64_t most = 0;
    for (int i = 0; i < stops->count; i++)
        for (int64_t length = (int64_t)strlen(stops->text[i]) - 1; length > most; length--)
            if (length <= stream->used - stream->from &&
                memcmp(stream->bytes + stream->used - length, stops->text[i], (size_t)length) == 0)
                most = length;
    return most;
}

bool ls_text_stream_stopped(LsTextStream *stream, const LsStops *stops)
{
    const char *first = NULL;
    for (int i = 0; i < stops->count && stream->used > stream->from; i++) {
        const char *found = memmem(stream->bytes + stream->from, (size_t)(stream->used - stream->from), stops->text[i],
                                   strlen(stops->text[i]));
        first = found && (!first || found < first) ? found : first;
    }
    if (first) {
        stream->used = first - stream->bytes;
        stream->ended = true;
    } else if (stops->count > 0)
        stream->from = stream->used - begun_stop(stops, stream);
    return first != NULL;
}

int64_t ls_text_stream_settled(const LsTextStream *stream, const LsStops *stops, bool last)
{
    int64_t kept = incomplete(stream->bytes, stream->used), begun = last ? 0 : begun_stop(stops, stream);
    return stream->used - (kept > begun ? kept : begun);
}

void ls_text_stream_drop(LsTextStream *stream, int64_t count)
{
    stream->used -= count;
    stream->from = stream->from > count ? stream->from - count : 0;
    memmove(stream->bytes, stream->bytes + count, (size_t)stream->used);
}

LsStatus ls_text_stream_append(LsTextStream *stream, const char *bytes, int64_t count)
{
    if (stream->used + count > stream->room) {
        int64_t room = (stream->used + count) * 2 + 256;
        char *grown = ls_alloc((size_t)room);
        if (!grown)
            return LS_RESOURCE;
        if (stream->used > 0)
            memcpy(grown, stream->bytes, (size_t)stream->used);
        ls_free(stream->bytes);
        stream->bytes = grown;
        stream->room = room;
    }
    memcpy(stream->bytes + stream->used, bytes, (size_t)count);
    stream->used += count;
    return LS_OK;
}

LsStatus ls_text_stream_add(LsTextStream *stream, const LsTokenizer *tokenizer, int32_t token)
{
    char *text = NULL;
    int64_t bytes = 0;
    LS_TRY(ls_tokenizer_decode_after(tokenizer, &token, 1, &text, &bytes));
    LsStatus status = ls_text_stream_append(stream, text, bytes);
    ls_free(text);
    return status;
}

void ls_text_stream_free(LsTextStream *stream)
{
    ls_free(stream->bytes);
    *stream = (LsTextStream){0};
}
