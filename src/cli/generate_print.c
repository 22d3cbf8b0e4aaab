/* Text of streams as it comes: whole characters, cut at stops; and as JSON. */
#include "cli/generate.h"

#include "data/tokenizer.h"

#include <string.h>

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
static int64_t begun_stop(const LsTextList *stop, const LsGenerateStream *stream)
{
    int64_t most = 0;
    for (int i = 0; stop && i < stop->count; i++)
        for (int64_t length = (int64_t)strlen(stop->text[i]) - 1; length > most; length--)
            if (length <= stream->used - stream->from &&
                memcmp(stream->bytes + stream->used - length, stop->text[i], (size_t)length) == 0)
                most = length;
    return most;
}

/* Cuts a stream at the first stop in it. */
static void look_for_stop(const LsTextList *stop, LsGenerateStream *stream)
{
    const char *first = NULL;
    for (int i = 0; stop && i < stop->count; i++) {
        const char *found = memmem(stream->bytes + stream->from, (size_t)(stream->used - stream->from), stop->text[i],
                                   strlen(stop->text[i]));
        first = found && (!first || found < first) ? found : first;
    }
    if (first) {
        stream->used = first - stream->bytes;
        stream->ended = "stop";
    } else if (stop && stop->count > 0)
        stream->from = stream->used - begun_stop(stop, stream);
}

/* last: nothing follows. */
static void flush(const LsGeneratePrinter *printer, LsGenerateStream *stream, bool last)
{
    int64_t kept = incomplete(stream->bytes, stream->used), begun = last ? 0 : begun_stop(printer->stop, stream);
    kept = kept > begun ? kept : begun;
    stream->from -= stream->used - kept;
    stream->from = stream->from > 0 ? stream->from : 0;
    fwrite(stream->bytes, 1, (size_t)(stream->used - kept), stdout);
    fflush(stdout);
    memmove(stream->bytes, stream->bytes + stream->used - kept, (size_t)kept);
    stream->used = kept;
}

static LsStatus append(LsGenerateStream *stream, const char *bytes, int64_t count)
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

static LsStatus append_token(const LsGeneratePrinter *printer, LsGenerateStream *stream, int64_t index, int32_t token)
{
    if (!printer->tokenizer) {
        char number[16];
        return append(stream, number, snprintf(number, sizeof number, index > 0 ? ",%d" : "%d", (int)token));
    }
    char *text = NULL;
    int64_t bytes = 0;
    LS_TRY(ls_tokenizer_decode_after(printer->tokenizer, &token, 1, &text, &bytes));
    LsStatus status = append(stream, text, bytes);
    ls_free(text);
    return status;
}

/* Whether some stream goes on. */
static bool any_goes_on(const LsGeneratePrinter *printer)
{
    for (int64_t b = 0; b < printer->streams; b++)
        if (!printer->stream[b].ended)
            return true;
    return false;
}

/* The token that ends a text is no part of it; where ids are printed it is one of them. */
static LsStatus take_token(const LsGeneratePrinter *printer, LsGenerateStream *stream, int64_t index, int32_t token)
{
    bool ends = ls_sampling_stops(printer->sampling, token);
    if (stream->drawn && json_array_append_new(stream->drawn, json_integer(token)) != 0)
        return LS_RESOURCE;
    if (!ends || !printer->tokenizer)
        LS_TRY(append_token(printer, stream, index, token));
    look_for_stop(printer->stop, stream);
    if (ends && !stream->ended)
        stream->ended = "end token";
    return LS_OK;
}

bool ls_generate_print(void *self, int64_t b, int64_t index, int32_t token)
{
    LsGeneratePrinter *printer = self;
    LsGenerateStream *stream = &printer->stream[b];
    if (stream->ended)
        return true;
    printer->status = take_token(printer, stream, index, token);
    if (printer->status == LS_OK && printer->at_once) {
        flush(printer, stream, stream->ended != NULL);
        printer->status = ls_check_stdout(); /* nobody reads on: end */
    }
    return printer->status == LS_OK && (!stream->ended || any_goes_on(printer));
}

/* Bytes as a text: those that are no character are shown as such. */
static json_t *bytes_json(const char *bytes, int64_t count)
{
    json_t *text = json_stringn(bytes ? bytes : "", (size_t)count);
    char *copy = text ? NULL : ls_format("%.*s", (int)count, bytes);
    if (copy)
        text = ls_json_text(copy);
    ls_free(copy);
    return text;
}

static json_t *ids_json(const LsPrompt *prompt)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < prompt->count; i++)
        json_array_append_new(list, json_integer(prompt->ids[i]));
    return list;
}

/* The stream as a program reads it. */
static LsStatus add_row(const LsGeneratePrinter *printer, const LsGenerateStream *stream)
{
    const LsPrompt *prompt = printer->prompt;
    int64_t whole = stream->used - incomplete(stream->bytes, stream->used);
    json_t *row =
        json_pack("{s:o}", "prompt", printer->tokenizer ? bytes_json(prompt->text, prompt->bytes) : ids_json(prompt));
    int failed = row ? 0 : 1;
    if (printer->tokenizer)
        failed |= json_object_set_new(row, "text", bytes_json(stream->bytes, whole));
    failed |= json_object_set(row, "tokens", stream->drawn);
    failed |= json_object_set_new(row, "ended", json_string(stream->ended ? stream->ended : "tokens"));
    return json_array_append_new(printer->rows, row) || failed ? LS_RESOURCE : LS_OK;
}

LsStatus ls_generate_print_rest(LsGeneratePrinter *printer, int64_t first, bool several)
{
    for (int64_t b = 0; b < printer->streams; b++) {
        if (printer->rows) {
            LS_TRY(add_row(printer, &printer->stream[b]));
            continue;
        }
        if (several && !printer->at_once)
            printf("--- %lld ---\n", (long long)(first + b));
        flush(printer, &printer->stream[b], true);
        putchar('\n');
    }
    return LS_OK;
}

LsStatus ls_generate_printer_open(const LsGenerateOptions *o, const LsTokenizer *tokenizer, const LsPrompt *prompt,
                                  const LsTextList *stop, json_t *rows, LsGeneratePrinter *printer)
{
    bool with_prompt = tokenizer && !o->only_new && o->message.count == 0 && !rows;
    *printer = (LsGeneratePrinter){.prompt = prompt,
                                   .tokenizer = tokenizer,
                                   .stop = stop,
                                   .at_once = o->batch == 1 && !rows,
                                   .rows = rows,
                                   .stream = ls_alloc_array(o->batch, sizeof *printer->stream)};
    if (!printer->stream)
        return LS_RESOURCE;
    printer->streams = o->batch;
    for (int64_t b = 0; b < o->batch; b++) {
        if (rows && !(printer->stream[b].drawn = json_array()))
            return LS_RESOURCE;
        if (with_prompt)
            LS_TRY(append(&printer->stream[b], prompt->text, prompt->bytes));
        printer->stream[b].from = printer->stream[b].used;
    }
    return LS_OK;
}

void ls_generate_printer_close(LsGeneratePrinter *printer)
{
    for (int64_t b = 0; printer->stream && b < printer->streams; b++) {
        ls_free(printer->stream[b].bytes);
        json_decref(printer->stream[b].drawn);
    }
    ls_free(printer->stream);
}
