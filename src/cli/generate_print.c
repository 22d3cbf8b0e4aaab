/* Text of streams as it comes: whole characters, cut at stops; and as JSON. */
#include "cli/generate.h"

#include "data/tokenizer.h"

#include <string.h>

/* last: nothing follows. */
static void flush(const LsGeneratePrinter *printer, LsGenerateStream *stream, bool last)
{
    int64_t settled = ls_text_stream_settled(&stream->text, &printer->stops, last);
    if (settled == 0)
        return;
    fwrite(stream->text.bytes, 1, (size_t)settled, stdout);
    fflush(stdout);
    ls_text_stream_drop(&stream->text, settled);
}

static LsStatus append_token(const LsGeneratePrinter *printer, LsGenerateStream *stream, int64_t index, int32_t token)
{
    if (printer->tokenizer)
        return ls_text_stream_add(&stream->text, printer->tokenizer, token);
    char number[16];
    int length = snprintf(number, sizeof number, index > 0 ? ",%d" : "%d", (int)token);
    return ls_text_stream_append(&stream->text, number, length);
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
    if (ls_text_stream_stopped(&stream->text, &printer->stops))
        stream->ended = "stop";
    else if (ends)
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
    int64_t whole = ls_text_stream_settled(&stream->text, &printer->stops, true);
    json_t *row = json_pack("{s:o}", "prompt",
                            printer->tokenizer ? ls_json_bytes(prompt->text, prompt->bytes) : ids_json(prompt));
    int failed = row ? 0 : 1;
    if (printer->tokenizer)
        failed |= json_object_set_new(row, "text", ls_json_bytes(stream->text.bytes, whole));
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
                                  const LsStops *stops, json_t *rows, LsGeneratePrinter *printer)
{
    bool with_prompt = tokenizer && !o->only_new && o->message.count == 0 && !rows;
    *printer = (LsGeneratePrinter){.prompt = prompt,
                                   .tokenizer = tokenizer,
                                   .stops = *stops,
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
            LS_TRY(ls_text_stream_append(&printer->stream[b].text, prompt->text, prompt->bytes));
        printer->stream[b].text.from = printer->stream[b].text.used;
    }
    return LS_OK;
}

void ls_generate_printer_close(LsGeneratePrinter *printer)
{
    for (int64_t b = 0; printer->stream && b < printer->streams; b++) {
        ls_text_stream_free(&printer->stream[b].text);
        json_decref(printer->stream[b].drawn);
    }
    ls_free(printer->stream);
}
