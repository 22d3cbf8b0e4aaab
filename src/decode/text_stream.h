/* The text that a stream of tokens makes as it grows, cut where one of several stops comes.
 *
 *     LsStops stops = {1, (char *[]){"<|end|>"}};
 *     LsTextStream stream = {0};
 *     LS_TRY(ls_text_stream_add(&stream, tokenizer, token));
 *     if (ls_text_stream_stopped(&stream, &stops)) ...             // cut there
 *     int64_t count = ls_text_stream_settled(&stream, &stops, false);  // bytes that no later token takes back
 */
#ifndef LS_DECODE_TEXT_STREAM_H
#define LS_DECODE_TEXT_STREAM_H

#include "lockstep/api.h"

typedef struct LsStops {
    int count; /* 0: none */
    char *const *text;
} LsStops;

/* Begins as {0}; its bytes are freed with ls_text_stream_free. */
typedef struct LsTextStream {
    char *bytes;
    int64_t used, room;
    int64_t from; /* what stops are looked for in: behind the prompt, and behind what was looked at */
    bool ended;   /* at a stop */
} LsTextStream;

/* LS_USAGE, with what `name` says the stops are, where one of them is empty. */
LsStatus ls_stops_check(const LsStops *stops, const char *name) LS_MUST_USE;

LsStatus ls_text_stream_append(LsTextStream *stream, const char *bytes, int64_t count) LS_MUST_USE;
LsStatus ls_text_stream_add(LsTextStream *stream, const LsTokenizer *tokenizer, int32_t token) LS_MUST_USE;

/* Cuts the stream at the first stop in it: then it has ended. */
bool ls_text_stream_stopped(LsTextStream *stream, const LsStops *stops);

/* Bytes from the beginning that stay as they are: not those of an incomplete character, and not what may become a
 * stop. last: nothing follows. */
int64_t ls_text_stream_settled(const LsTextStream *stream, const LsStops *stops, bool last);

/* Takes the first bytes away: they are printed. */
void ls_text_stream_drop(LsTextStream *stream, int64_t count);

void ls_text_stream_free(LsTextStream *stream);

#endif
