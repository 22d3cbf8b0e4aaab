/* lockstep generate: text from a trained model, as it comes. */
#include "cli/cli.h"
#include "cli/generate_lines.h"
#include "cli/ids.h"
#include "api/load.h"
#include "decode/generate.h"

#include <string.h>

typedef struct Options {
    char *prompt, *ids, *input, *attention;
    int64_t tokens, top_k, seed, batch, beams;
    double temperature, top_p, length_penalty;
    bool best, no_stop;
    char *precision;
} Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_STRING(Options, prompt, NULL, "text to continue"), .argument = "TEXT"},
    {.setting = LS_SETTING_STRING(Options, ids, NULL, "token ids to continue, 1,2,3; ids are printed too"),
     .argument = "IDS"},
    {.setting = LS_SETTING_STRING(Options, input, NULL,
                                  "a line of output for each line of this file (-: standard input), of a model that "
                                  "translates"),
     .argument = "FILE"},
    {.setting = LS_SETTING_STRING(Options, attention, NULL,
                                  "with --input: a picture (.svg) of how each word looked at those of its line"),
     .argument = "FILE"},
    {.setting = LS_SETTING_INT(Options, beams, "4", 1, 1024, "with --input: hypotheses of the beam search; 1: greedy"),
     .argument = "N"},
    {.setting = LS_SETTING_FLOAT(Options, length_penalty, "0.6", 0, 100,
                                 "with --input: exponent of the penalty of length; 0: none"),
     .argument = "A"},
    {.setting = LS_SETTING_INT(Options, tokens, "100", 1, 1e12, "tokens to sample"), .argument = "N", .letter = 'n'},
    {.setting =
         LS_SETTING_FLOAT(Options, temperature, "1", 0, 1e6, "divides the logits; 0: always the likeliest token"),
     .argument = "X"},
    {.setting = LS_SETTING_INT(Options, top_k, "0", 0, 1e9, "sample among the K likeliest only; 0: all"),
     .argument = "K"},
    {.setting = LS_SETTING_FLOAT(Options, top_p, "1", 1e-9, 1, "sample among the fewest whose probabilities sum to P"),
     .argument = "P"},
    {.setting = LS_SETTING_INT(Options, seed, "1", 0, 9007199254740992.0, "the same seed gives the same text"),
     .argument = "S"},
    {.setting = LS_SETTING_INT(Options, batch, "1", 1, 4096, "samples at once from the same prompt"), .argument = "B"},
    {.setting = LS_SETTING_CHOICE(Options, precision, "run", "run|float|bfloat16|int8",
                                  "what the weights are read in: as the run was trained, or less for speed"),
     .argument = "P"},
    {.setting =
         LS_SETTING_BOOL(Options, best, "false", "the checkpoint with the lowest validation loss, not the newest")},
    {.setting = LS_SETTING_BOOL(Options, no_stop, "false", "go on after the tokenizer's end token")},
    {{0}}};

/* Bytes of one stream that are not printed yet: at once, those of an incomplete character. */
typedef struct Stream {
    char *bytes;
    int64_t used, room;
} Stream;

typedef struct Printer {
    const LsTokenizer *tokenizer; /* NULL: ids */
    bool at_once;                 /* one stream: print whatever is whole */
    Stream *stream;
    int64_t streams;
    LsStatus status;
} Printer;

/* ---- Printing ---------------------------------------------------------------------------------------------------- */

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

static void flush(Stream *stream)
{
    int64_t kept = incomplete(stream->bytes, stream->used);
    fwrite(stream->bytes, 1, (size_t)(stream->used - kept), stdout);
    fflush(stdout);
    memmove(stream->bytes, stream->bytes + stream->used - kept, (size_t)kept);
    stream->used = kept;
}

static LsStatus append(Stream *stream, const char *bytes, int64_t count)
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

static LsStatus append_token(const Printer *printer, Stream *stream, int64_t index, int32_t token)
{
    if (!printer->tokenizer) {
        char number[16];
        return append(stream, number, snprintf(number, sizeof number, index > 0 ? ",%d" : "%d", (int)token));
    }
    char *text = NULL;
    int64_t bytes = 0;
    LS_TRY(ls_tokenizer_decode(printer->tokenizer, &token, 1, &text, &bytes));
    LsStatus status = append(stream, text, bytes);
    ls_free(text);
    return status;
}

static bool on_token(void *self, int64_t stream, int64_t index, int32_t token)
{
    Printer *printer = self;
    printer->status = append_token(printer, &printer->stream[stream], index, token);
    if (printer->status == LS_OK && printer->at_once) {
        flush(&printer->stream[stream]);
        printer->status = ls_check_stdout(); /* nobody reads on: end */
    }
    return printer->status == LS_OK;
}

/* Ends the stream that was printed at once, or prints all, one after the other. A character that the last token left
 * incomplete is left out. */
static void print_rest(Printer *printer)
{
    for (int64_t b = 0; b < printer->streams; b++) {
        if (printer->streams > 1)
            printf("--- %lld ---\n", (long long)b + 1);
        flush(&printer->stream[b]);
        putchar('\n');
    }
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static LsStatus read_prompt(const Options *o, const LsTokenizer *tokenizer, int32_t **ids, int64_t *count)
{
    if (o->ids && o->prompt)
        return ls_fail(LS_USAGE, "generate: --prompt and --ids say two things; give one of them");
    if (o->ids)
        return ls_parse_ids(o->ids, ids, count);
    if (!o->prompt)
        return ls_fail(LS_USAGE, "generate: --prompt TEXT is missing (or --ids 1,2,3)");
    if (!tokenizer)
        return ls_fail(LS_USAGE, "generate: this model has no tokenizer, so it cannot read text; give --ids 1,2,3");
    LS_TRY(ls_tokenizer_encode(tokenizer, o->prompt, (int64_t)strlen(o->prompt), ids, count));
    return *count > 0 ? LS_OK
                      : ls_fail(LS_USAGE, "generate: the prompt is empty; a model needs something to go on from");
}

static LsStatus sample(const Options *o, const LsLoaded *model, const int32_t *prompt, int64_t count, Printer *printer)
{
    LsSampling sampling = {.temperature = o->temperature,
                           .top_k = o->top_k,
                           .top_p = o->top_p,
                           .seed = (uint64_t)o->seed,
                           .tokens = o->tokens,
                           .batch = o->batch,
                           .precision = ls_precision_named(o->precision),
                           .stop = -1};
    LsGenerationSpeed speed;
    if (model->tokenizer && !o->no_stop)
        sampling.stop = (int32_t)ls_tokenizer_end(model->tokenizer);
    printer->streams = o->batch;
    printer->at_once = o->batch == 1;
    printer->stream = ls_alloc_array(o->batch, sizeof *printer->stream);
    if (!printer->stream)
        return LS_RESOURCE;
    for (int64_t b = 0; b < o->batch && printer->tokenizer; b++)
        LS_TRY(append(&printer->stream[b], o->prompt, (int64_t)strlen(o->prompt)));
    LS_TRY(ls_loaded_generate(model, prompt, count, &sampling, on_token, printer, &speed));
    LS_TRY(printer->status);
    print_rest(printer);
    ls_log("prompt: %lld tokens in %.3f s; %lld tokens in %.3f s: %.1f tokens per second", (long long)count,
           speed.prompt_seconds, (long long)speed.tokens, speed.token_seconds,
           (double)speed.tokens / speed.token_seconds);
    ls_log("memory: parameters %.1f MiB, states %.1f MiB", (double)speed.parameter_bytes / 1048576,
           (double)speed.state_bytes / 1048576);
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LsLoaded model = {0};
    Printer printer = {0};
    int32_t *prompt = NULL;
    int64_t count = 0;
    LsStatus status = LS_OK;
    if (o->input)
        return ls_generate_lines(&(LsGenerateLines){o->input, o->attention, o->beams, o->length_penalty, o->best},
                                 call);
    if (o->attention)
        return ls_fail(LS_USAGE, "generate: --attention shows how the lines of --input FILE are translated: give both");
    LS_TRY_CLEANUP(ls_load_for_generation(call->operand[0], o->best, call->operands - 1, call->operand + 1,
                                          ls_precision_named(o->precision), &model));
    if (!ls_config_task(model.config)->streams_ids) {
        status = ls_fail(LS_USAGE,
                         "generate: %s does not go on with a text (task.kind %s): 'lockstep predict' says what it "
                         "makes of data, and --input FILE translates lines",
                         call->operand[0], ls_config_task(model.config)->name);
        goto cleanup;
    }
    LS_TRY_CLEANUP(read_prompt(o, model.tokenizer, &prompt, &count));
    printer.tokenizer = o->ids ? NULL : model.tokenizer;
    LS_TRY_CLEANUP(sample(o, &model, prompt, count, &printer));
cleanup:
    for (int64_t b = 0; printer.stream && b < printer.streams; b++)
        ls_free(printer.stream[b].bytes);
    ls_free(printer.stream);
    ls_free(prompt);
    ls_loaded_free(&model);
    return status;
}

const LsCommand ls_command_generate = {
    .name = "generate",
    .summary = "continues a text with a trained model, or translates the lines of a file",
    .operands = "RUN [key=value ...]",
    .least = 1,
    .most = -1,
    .description = "RUN is a run folder (its newest whole checkpoint is taken) or a checkpoint. Prints prompt and "
                   "continuation as they come; "
                   "tokens per second go to stderr.",
    .example =
        "lockstep generate runs/shakespeare-gpt --prompt \"ROMEO:\" --tokens 200 --temperature 0.8 --top-k 40 --seed 1",
    .launch = LS_SERIAL,
    .computes = true,
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
