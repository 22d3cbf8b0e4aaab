/* lockstep generate: text from a trained model, as it comes. */
#include "cli/generate.h"
#include "cli/generate_lines.h"

#include <string.h>

static const LsOption options[] = {
    {.setting =
         LS_SETTING_STRING(LsGenerateOptions, prompt, NULL, "text to continue; given again: one more, after the other"),
     .argument = "TEXT",
     .repeats = true,
     .without = "input"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, prompt_file, NULL,
                                  "a file whose text is a prompt, without the newline at its end (-: standard input); "
                                  "given again: one more"),
     .argument = "FILE",
     .repeats = true,
     .without = "input"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, message, NULL,
                                  "a user's turn, to a model that learnt conversations: its markers stand around it, "
                                  "and the answer alone is printed; given again: the answer to it, the next turn, ..."),
     .argument = "TEXT",
     .repeats = true,
     .without = "input"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, system, NULL, "the message of the role system before --message"),
     .argument = "TEXT",
     .without = "input"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, stop, NULL,
                                  "a text ends where this comes, which is left out; given again: or this"),
     .argument = "STRING",
     .repeats = true,
     .without = "input"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, ids, NULL, "token ids to continue, 1,2,3; ids are printed too"),
     .argument = "IDS",
     .without = "input"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, input, NULL,
                                  "a line of output for each line of this file (-: standard input), of a model that "
                                  "translates"),
     .argument = "FILE"},
    {.setting = LS_SETTING_STRING(LsGenerateOptions, attention, NULL,
                                  "with --input: a picture (.svg) of how each word looked at those of its line"),
     .argument = "FILE",
     .with = "input"},
    {.setting = LS_SETTING_INT(LsGenerateOptions, beams, "4", 1, 1024,
                               "with --input: hypotheses of the beam search; 1: greedy"),
     .argument = "N",
     .with = "input"},
    {.setting = LS_SETTING_FLOAT(LsGenerateOptions, length_penalty, "0.6", 0, 100,
                                 "with --input: exponent of the penalty of length; 0: none"),
     .argument = "A",
     .with = "input"},
    {.setting = LS_SETTING_INT(LsGenerateOptions, tokens, "100", 1, 1e12, "tokens to sample"),
     .argument = "N",
     .letter = 'n',
     .without = "input"},
    {.setting = LS_SETTING_FLOAT(LsGenerateOptions, temperature, "1", 0, 1e6,
                                 "divides the logits; 0: always the likeliest token"),
     .argument = "X",
     .without = "input"},
    {.setting = LS_SETTING_INT(LsGenerateOptions, top_k, "0", 0, 1e9, "sample among the K likeliest only; 0: all"),
     .argument = "K",
     .without = "input"},
    {.setting = LS_SETTING_FLOAT(LsGenerateOptions, top_p, "1", 1e-9, 1,
                                 "sample among the fewest whose probabilities sum to P"),
     .argument = "P",
     .without = "input"},
    {.setting =
         LS_SETTING_INT(LsGenerateOptions, seed, "1", 0, 9007199254740992.0, "the same seed gives the same text"),
     .argument = "S",
     .without = "input"},
    {.setting = LS_SETTING_INT(LsGenerateOptions, batch, "1", 1, 4096, "samples at once from the same prompt"),
     .argument = "B",
     .without = "input"},
    {.setting = LS_SETTING_CHOICE(LsGenerateOptions, precision, "run", "run|float|bfloat16|int8",
                                  "what the weights are read in: as the run was trained, or less for speed"),
     .argument = "P",
     .without = "input"},
    {.setting = LS_SETTING_BOOL(LsGenerateOptions, best, "false",
                                "the checkpoint with the lowest validation loss, not the newest")},
    {.setting = LS_SETTING_BOOL(LsGenerateOptions, no_stop, "false",
                                "go on after the tokenizer's end token, and that of a turn"),
     .without = "input"},
    {.setting = LS_SETTING_BOOL(LsGenerateOptions, only_new, "false", "print what follows the prompt, without it"),
     .without = "input"},
    {.setting = LS_SETTING_BOOL(LsGenerateOptions, json, "false",
                                "a list: prompt, text behind it, its tokens (with the one that ended it), and what "
                                "ended it: end token, stop, or tokens, which is --tokens"),
     .without = "input"},
    {.setting = LS_SETTING_BOOL(LsGenerateOptions, special, "false",
                                "special tokens that stand in a prompt, as <|endoftext|>, are these tokens, not text"),
     .without = "input"},
    {{0}}};

/* ---- The command ------------------------------------------------------------------------------------------------- */

/* Of prompt i. rows: of --json, or NULL; sums get tokens and seconds. */
static LsStatus sample(const LsGenerateOptions *o, const LsLoaded *model, const LsPrompts *prompts, int i, json_t *rows,
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
    const LsPrompt *prompt = &prompts->list[i];
    int64_t first = i * o->batch + 1;
    bool several = prompts->count * o->batch > 1;
    LsGenerationSpeed speed = {0};
    LsGeneratePrinter printer;
    if (!o->no_stop)
        ls_sampling_stop_at_ends(&sampling, model->tokenizer);
    const LsStops stops = {prompts->stop.count, prompts->stop.text};
    LsStatus status = ls_generate_printer_open(o, o->ids ? NULL : model->tokenizer, prompt, &stops, rows, &printer);
    printer.sampling = &sampling;
    if (status == LS_OK && several && printer.at_once)
        printf("--- %lld ---\n", (long long)first);
    if (status == LS_OK)
        status = ls_loaded_generate(model, prompt->ids, prompt->count, &sampling, ls_generate_print, &printer, &speed);
    if (status == LS_OK)
        status = printer.status;
    if (status == LS_OK)
        status = ls_generate_print_rest(&printer, first, several);
    ls_generate_printer_close(&printer);
    speed.prompt_seconds += sums->prompt_seconds;
    speed.token_seconds += sums->token_seconds;
    speed.tokens += sums->tokens;
    *sums = speed;
    return status;
}

static LsStatus sample_all(const LsGenerateOptions *o, const LsLoaded *model, const LsPrompts *prompts, json_t *rows)
{
    LsGenerationSpeed speed = {0};
    int64_t tokens = 0;
    for (int i = 0; i < prompts->count; i++) {
        tokens += prompts->list[i].count;
        LS_TRY(sample(o, model, prompts, i, rows, &speed));
    }
    ls_log("prompt%s: %lld token%s in %.3f s; %lld token%s in %.3f s: %.1f tokens per second",
           prompts->count > 1 ? "s" : "", (long long)tokens, tokens == 1 ? "" : "s", speed.prompt_seconds,
           (long long)speed.tokens, speed.tokens == 1 ? "" : "s", speed.token_seconds,
           (double)speed.tokens / speed.token_seconds);
    ls_log("memory: parameters %.1f MiB, states %.1f MiB", (double)speed.parameter_bytes / 1048576,
           (double)speed.state_bytes / 1048576);
    return LS_OK;
}

static LsStatus print_samples(const LsGenerateOptions *o, const LsLoaded *model, const LsPrompts *prompts)
{
    json_t *rows = o->json ? json_array() : NULL;
    if (o->json && !rows)
        return LS_RESOURCE;
    LsStatus status = sample_all(o, model, prompts, rows);
    if (status == LS_OK && rows)
        status = ls_print_json(json_incref(rows));
    json_decref(rows);
    return status;
}

static LsStatus run(LsCall *call)
{
    const LsGenerateOptions *o = call->options;
    LsLoaded model = {0};
    LsPrompts prompts = {0};
    LsStatus status = LS_OK;
    for (int i = 1; i < call->operands; i++)
        if (!strchr(call->operand[i], '='))
            return ls_fail(LS_USAGE, "generate: '%s' is no setting; a text to go on with is --prompt '%s'",
                           call->operand[i], call->operand[i]);
    if (o->input)
        return ls_generate_lines(&(LsGenerateLines){o->input, o->attention, o->beams, o->length_penalty, o->best},
                                 call);
    LS_TRY_CLEANUP(ls_load_for_generation(call->operand[0], o->best, call->operands - 1, call->operand + 1,
                                          ls_precision_named(o->precision), &model));
    if (!ls_config_task(model.config)->streams_ids) {
        status = ls_fail(LS_USAGE,
                         "generate: %s does not go on with a text (task.kind %s): 'lockstep predict' says what it "
                         "makes of data, and --input FILE translates lines",
                         call->operand[0], ls_config_task(model.config)->name);
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_prompts_read(o, &model, &prompts));
    LS_TRY_CLEANUP(print_samples(o, &model, &prompts));
cleanup:
    ls_prompts_free(&prompts);
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
    .options_bytes = sizeof(LsGenerateOptions),
    .run = run,
};
