/* lockstep generate: text from a trained model, as it comes. */
#include "cli/cli.h"
#include "cli/generate_lines.h"
#include "cli/ids.h"
#include "api/load.h"
#include "data/text_write.h"
#include "decode/generate.h"
#include "decode/text_stream.h"
#include "io/file.h"

#include <string.h>
#include <unistd.h>

typedef struct Options {
    LsTextList prompt, prompt_file, stop;
    char *ids, *input, *attention;
    int64_t tokens, top_k, seed, batch, beams;
    double temperature, top_p, length_penalty;
    bool best, no_stop, special;
    char *precision;
} Options;

static const LsOption options[] = {
    {.setting = LS_SETTING_STRING(Options, prompt, NULL, "text to continue; given again: one more, after the other"),
     .argument = "TEXT",
     .repeats = true},
    {.setting = LS_SETTING_STRING(Options, prompt_file, NULL,
                                  "a file whose text is a prompt, without the newline at its end (-: standard input); "
                                  "given again: one more"),
     .argument = "FILE",
     .repeats = true},
    {.setting = LS_SETTING_STRING(Options, stop, NULL,
                                  "a text ends where this comes, which is left out; given again: or this"),
     .argument = "STRING",
     .repeats = true},
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
    {.setting = LS_SETTING_BOOL(Options, special, "false",
                                "special tokens that stand in a prompt, as <|endoftext|>, are these tokens, not text")},
    {{0}}};

typedef struct Printer {
    const LsTokenizer *tokenizer; /* NULL: ids */
    LsStops stops;
    const LsSampling *sampling; /* which ids end a stream */
    bool at_once;               /* one stream: print whatever is whole */
    LsTextStream *stream;       /* what is not printed yet */
    int64_t streams;
    LsStatus status;
} Printer;

/* ---- Printing ---------------------------------------------------------------------------------------------------- */

/* last: nothing follows. */
static void flush(const Printer *printer, LsTextStream *stream, bool last)
{
    int64_t settled = ls_text_stream_settled(stream, &printer->stops, last);
    if (settled == 0)
        return;
    fwrite(stream->bytes, 1, (size_t)settled, stdout);
    fflush(stdout);
    ls_text_stream_drop(stream, settled);
}

static LsStatus append_token(const Printer *printer, LsTextStream *stream, int64_t index, int32_t token)
{
    if (printer->tokenizer)
        return ls_text_stream_add(stream, printer->tokenizer, token);
    char number[16];
    return ls_text_stream_append(stream, number, snprintf(number, sizeof number, index > 0 ? ",%d" : "%d", (int)token));
}

/* Whether some stream goes on. */
static bool any_goes_on(const Printer *printer)
{
    for (int64_t b = 0; b < printer->streams; b++)
        if (!printer->stream[b].ended)
            return true;
    return false;
}

static bool on_token(void *self, int64_t b, int64_t index, int32_t token)
{
    Printer *printer = self;
    LsTextStream *stream = &printer->stream[b];
    if (stream->ended)
        return true;
    printer->status = append_token(printer, stream, index, token);
    if (printer->status == LS_OK)
        ls_text_stream_stopped(stream, &printer->stops);
    stream->ended = stream->ended || ls_sampling_stops(printer->sampling, token);
    if (printer->status == LS_OK && printer->at_once) {
        flush(printer, stream, stream->ended);
        printer->status = ls_check_stdout(); /* nobody reads on: end */
    }
    return printer->status == LS_OK && (!stream->ended || any_goes_on(printer));
}

/* Ends the stream that was printed at once, or prints all, one after the other, counted from `first` where there are
 * several. A character that the last token left incomplete is left out. */
static void print_rest(Printer *printer, int64_t first, bool several)
{
    for (int64_t b = 0; b < printer->streams; b++) {
        if (several && !printer->at_once)
            printf("--- %lld ---\n", (long long)(first + b));
        flush(printer, &printer->stream[b], true);
        putchar('\n');
    }
}

/* ---- Prompts ----------------------------------------------------------------------------------------------------- */

typedef struct Prompt {
    char *text; /* NULL: ids alone */
    int64_t bytes;
    int32_t *ids;
    int64_t count;
} Prompt;

typedef struct Prompts {
    Prompt *list;
    int count;
} Prompts;

static void free_prompts(Prompts *prompts)
{
    for (int i = 0; prompts->list && i < prompts->count; i++) {
        ls_free(prompts->list[i].text);
        ls_free(prompts->list[i].ids);
    }
    ls_free(prompts->list);
}

static LsStatus encode_prompt(const Options *o, const LsTokenizer *tokenizer, Prompt *prompt)
{
    const LsCorpusPart text = {"the prompt", prompt->text, prompt->bytes};
    if (!o->special)
        ls_specials_warn(tokenizer, &text, 1);
    LS_TRY(ls_prompt_encode(tokenizer, o->special, prompt->text, prompt->bytes, &prompt->ids, &prompt->count));
    return prompt->count > 0
               ? LS_OK
               : ls_fail(LS_USAGE, "generate: the prompt is empty; a model needs something to go on from");
}

/* A file's text, without the newline that editors put at its end. */
static LsStatus read_prompt_file(const char *path, Prompt *prompt)
{
    bool from_stdin = strcmp(path, "-") == 0;
    LS_TRY(from_stdin ? ls_descriptor_read(STDIN_FILENO, "standard input", LS_DATA, &prompt->text, &prompt->bytes)
                      : ls_file_read(path, LS_DATA, &prompt->text, &prompt->bytes));
    if (prompt->bytes > 0 && prompt->text[prompt->bytes - 1] == '\n')
        prompt->bytes--;
    if (prompt->bytes > 0 && prompt->text[prompt->bytes - 1] == '\r')
        prompt->bytes--;
    return LS_OK;
}

static LsStatus read_texts(const Options *o, const LsTokenizer *tokenizer, Prompts *prompts)
{
    for (int i = 0; i < o->prompt.count; i++) {
        Prompt *prompt = &prompts->list[prompts->count++];
        prompt->text = ls_strdup(o->prompt.text[i]);
        if (!prompt->text)
            return LS_RESOURCE;
        prompt->bytes = (int64_t)strlen(prompt->text);
        LS_TRY(encode_prompt(o, tokenizer, prompt));
    }
    for (int i = 0; i < o->prompt_file.count; i++) {
        Prompt *prompt = &prompts->list[prompts->count++];
        LS_TRY(read_prompt_file(o->prompt_file.text[i], prompt));
        LsStatus status = encode_prompt(o, tokenizer, prompt);
        if (status != LS_OK)
            return ls_fail_in(status, "%s", o->prompt_file.text[i]);
    }
    return LS_OK;
}

static LsStatus read_prompts(const Options *o, const LsTokenizer *tokenizer, Prompts *prompts)
{
    int texts = o->prompt.count + o->prompt_file.count;
    if (o->ids && texts > 0)
        return ls_fail(LS_USAGE, "generate: --prompt and --ids say two things; give one of them");
    if (o->ids && o->stop.count > 0)
        return ls_fail(LS_USAGE, "generate: --stop is a text, and --ids are continued by ids; give one of them");
    bool from_stdin;
    LS_TRY(ls_text_list_stdin(&o->prompt_file, "generate: --prompt-file", &from_stdin));
    LS_TRY(ls_stops_check(&(LsStops){o->stop.count, o->stop.text}, "generate: --stop"));
    if (!o->ids && texts == 0)
        return ls_fail(LS_USAGE, "generate: --prompt TEXT is missing (or --prompt-file FILE, or --ids 1,2,3)");
    if (!o->ids && !tokenizer)
        return ls_fail(LS_USAGE, "generate: this model has no tokenizer, so it cannot read text; give --ids 1,2,3");
    prompts->list = ls_alloc_array(texts + 1, sizeof *prompts->list);
    if (!prompts->list)
        return LS_RESOURCE;
    if (!o->ids)
        return read_texts(o, tokenizer, prompts);
    prompts->count = 1;
    return ls_parse_ids(o->ids, &prompts->list[0].ids, &prompts->list[0].count);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static LsStatus open_printer(const Options *o, const LsLoaded *model, const Prompt *prompt, Printer *printer)
{
    *printer = (Printer){.tokenizer = o->ids ? NULL : model->tokenizer,
                         .stops = {o->stop.count, o->stop.text},
                         .at_once = o->batch == 1,
                         .stream = ls_alloc_array(o->batch, sizeof *printer->stream)};
    if (!printer->stream)
        return LS_RESOURCE;
    printer->streams = o->batch;
    for (int64_t b = 0; b < o->batch && printer->tokenizer; b++) {
        LS_TRY(ls_text_stream_append(&printer->stream[b], prompt->text, prompt->bytes));
        printer->stream[b].from = prompt->bytes;
    }
    return LS_OK;
}

static void close_printer(Printer *printer)
{
    for (int64_t b = 0; printer->stream && b < printer->streams; b++)
        ls_text_stream_free(&printer->stream[b]);
    ls_free(printer->stream);
}

/* first: the number of its first stream; sums get tokens and seconds. */
static LsStatus sample(const Options *o, const LsLoaded *model, const Prompt *prompt, int64_t first, bool several,
                       LsGenerationSpeed *sums)
{
    LsSampling sampling = {.temperature = o->temperature,
                           .top_k = o->top_k,
                           .top_p = o->top_p,
                           .seed = (uint64_t)o->seed,
                           .tokens = o->tokens,
                           .batch = o->batch,
                           .precision = ls_precision_named(o->precision),
                           .stop = -1};
    LsGenerationSpeed speed = {0};
    Printer printer;
    if (!o->no_stop)
        ls_sampling_stop_at_ends(&sampling, model->tokenizer);
    LsStatus status = open_printer(o, model, prompt, &printer);
    printer.sampling = &sampling;
    if (status == LS_OK && several && printer.at_once)
        printf("--- %lld ---\n", (long long)first);
    if (status == LS_OK)
        status = ls_loaded_generate(model, prompt->ids, prompt->count, &sampling, on_token, &printer, &speed);
    if (status == LS_OK)
        status = printer.status;
    if (status == LS_OK)
        print_rest(&printer, first, several);
    close_printer(&printer);
    speed.prompt_seconds += sums->prompt_seconds;
    speed.token_seconds += sums->token_seconds;
    speed.tokens += sums->tokens;
    *sums = speed;
    return status;
}

static LsStatus sample_all(const Options *o, const LsLoaded *model, const Prompts *prompts)
{
    LsGenerationSpeed speed = {0};
    int64_t tokens = 0;
    bool several = prompts->count * o->batch > 1;
    for (int i = 0; i < prompts->count; i++) {
        tokens += prompts->list[i].count;
        LS_TRY(sample(o, model, &prompts->list[i], i * o->batch + 1, several, &speed));
    }
    ls_log("prompt%s: %lld token%s in %.3f s; %lld token%s in %.3f s: %.1f tokens per second",
           prompts->count > 1 ? "s" : "", (long long)tokens, tokens == 1 ? "" : "s", speed.prompt_seconds,
           (long long)speed.tokens, speed.tokens == 1 ? "" : "s", speed.token_seconds,
           (double)speed.tokens / speed.token_seconds);
    ls_log("memory: parameters %.1f MiB, states %.1f MiB", (double)speed.parameter_bytes / 1048576,
           (double)speed.state_bytes / 1048576);
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LsLoaded model = {0};
    Prompts prompts = {0};
    LsStatus status = LS_OK;
    for (int i = 1; i < call->operands; i++)
        if (!strchr(call->operand[i], '='))
            return ls_fail(LS_USAGE, "generate: '%s' is no setting; a text to go on with is --prompt '%s'",
                           call->operand[i], call->operand[i]);
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
    LS_TRY_CLEANUP(read_prompts(o, model.tokenizer, &prompts));
    LS_TRY_CLEANUP(sample_all(o, &model, &prompts));
cleanup:
    free_prompts(&prompts);
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
