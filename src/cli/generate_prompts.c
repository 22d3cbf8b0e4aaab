/* Prompts of generate: texts, files, turns of a conversation, or ids. */
#include "cli/generate.h"
#include "cli/ids.h"
#include "data/text_corpus.h"
#include "data/text_write.h"
#include "io/file.h"

#include <string.h>
#include <unistd.h>

void ls_prompts_free(LsPrompts *prompts)
{
    for (int i = 0; prompts->list && i < prompts->count; i++) {
        ls_free(prompts->list[i].text);
        ls_free(prompts->list[i].ids);
    }
    ls_free(prompts->list);
    ls_free(prompts->stop.text);
    ls_free(prompts->turn_end);
}

static LsStatus encode_prompt(const LsGenerateOptions *o, const LsTokenizer *tokenizer, LsPrompt *prompt)
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
static LsStatus read_prompt_file(const char *path, LsPrompt *prompt)
{
    bool from_stdin = strcmp(path, "-") == 0;
    LS_TRY(from_stdin ? ls_descriptor_read(STDIN_FILENO, "standard input", LS_DATA, &prompt->text, &prompt->bytes)
                      : ls_input_read(path, LS_DATA, &prompt->text, &prompt->bytes));
    ls_warn_binary(from_stdin ? "standard input" : path, prompt->text, prompt->bytes);
    if (prompt->bytes > 0 && prompt->text[prompt->bytes - 1] == '\n')
        prompt->bytes--;
    if (prompt->bytes > 0 && prompt->text[prompt->bytes - 1] == '\r')
        prompt->bytes--;
    return LS_OK;
}

static LsStatus read_texts(const LsGenerateOptions *o, const LsTokenizer *tokenizer, LsPrompts *prompts)
{
    for (int i = 0; i < o->prompt.count; i++) {
        LsPrompt *prompt = &prompts->list[prompts->count++];
        prompt->text = ls_strdup(o->prompt.text[i]);
        if (!prompt->text)
            return LS_RESOURCE;
        prompt->bytes = (int64_t)strlen(prompt->text);
        LsStatus status = encode_prompt(o, tokenizer, prompt);
        if (status == LS_DATA) /* it stands on the command line */
            return ls_fail(LS_USAGE, "generate: --prompt '%s': %s", prompt->text, ls_message());
        LS_TRY(status);
    }
    for (int i = 0; i < o->prompt_file.count; i++) {
        LsPrompt *prompt = &prompts->list[prompts->count++];
        LS_TRY(read_prompt_file(o->prompt_file.text[i], prompt));
        LsStatus status = encode_prompt(o, tokenizer, prompt);
        if (status != LS_OK)
            return ls_fail_in(status, "%s", o->prompt_file.text[i]);
    }
    return LS_OK;
}

/* Two characters that a shell's user mostly means as one. */
static void warn_of_backslash(const char *option, const LsTextList *list)
{
    for (int i = 0; i < list->count; i++)
        if (strstr(list->text[i], "\\n")) {
            ls_warn("%s holds a backslash and an n, which are two characters: a line break is %s $'...\\n' in bash%s",
                    option, option, strcmp(option, "--prompt") == 0 ? ", or stands in a --prompt-file" : "");
            return;
        }
}

/* ---- Turns ------------------------------------------------------------------------------------------------------- */

static LsStatus check_turns(const LsGenerateOptions *o, const LsLoaded *model)
{
    if (o->message.count == 0)
        return ls_fail(LS_USAGE, "generate: --system stands before a --message, which is missing");
    if (o->message.count % 2 == 0)
        return ls_fail(LS_USAGE,
                       "generate: --message is given %d times: user and model speak in turn, and the user has the last "
                       "word",
                       o->message.count);
    if (!model->config->data_kind->converse)
        return ls_fail(LS_USAGE,
                       "generate: --message is of models that learnt conversations, and %s learnt data.kind "
                       "%s: give --prompt TEXT",
                       model->path, model->config->data_kind->name);
    return LS_OK;
}

/* One prompt of all turns. */
static LsStatus read_turns(const LsGenerateOptions *o, const LsLoaded *model, LsPrompts *prompts)
{
    LsTurnsPrompt made = {0};
    LsTurns turns = {o->system, o->message.text, o->message.count};
    LS_TRY(check_turns(o, model));
    LsStatus status = model->config->data_kind->converse(model->info, model->tokenizer, &turns, &made);
    prompts->turn_end = made.stop;
    prompts->list[prompts->count++] =
        (LsPrompt){made.text, made.text ? (int64_t)strlen(made.text) : 0, made.ids, made.count};
    return status == LS_OK ? LS_OK : ls_fail_in(status, "generate: --message");
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

/* Whether exactly one of --prompt and --prompt-file, --message, --ids is given. */
static LsStatus check_options(const LsGenerateOptions *o)
{
    int texts = o->prompt.count + o->prompt_file.count;
    bool from_stdin, turns = o->message.count > 0 || o->system;
    if (o->ids && texts > 0)
        return ls_fail(LS_USAGE, "generate: --prompt and --ids say two things; give one of them");
    if (turns && (o->ids || texts > 0))
        return ls_fail(LS_USAGE, "generate: --message and %s say two things; give one of them",
                       o->ids ? "--ids" : "--prompt");
    if (o->ids && o->stop.count > 0)
        return ls_fail(LS_USAGE, "generate: --stop is a text, and --ids are continued by ids; give one of them");
    LS_TRY(ls_text_list_stdin(&o->prompt_file, "generate: --prompt-file", &from_stdin));
    LS_TRY(ls_stops_check(&(LsStops){o->stop.count, o->stop.text}, "generate: --stop"));
    if (!o->ids && !turns && texts == 0)
        return ls_fail(LS_USAGE,
                       "generate: --prompt TEXT is missing (or --prompt-file FILE, --message TEXT, or --ids 1,2,3)");
    return LS_OK;
}

/* The options' stops, and the end of a turn. */
static LsStatus collect_stops(const LsGenerateOptions *o, LsPrompts *prompts)
{
    prompts->stop.text = ls_alloc_array(o->stop.count + 1, sizeof *prompts->stop.text);
    if (!prompts->stop.text)
        return LS_RESOURCE;
    for (int i = 0; i < o->stop.count; i++)
        prompts->stop.text[prompts->stop.count++] = o->stop.text[i];
    if (prompts->turn_end && !o->no_stop)
        prompts->stop.text[prompts->stop.count++] = prompts->turn_end;
    return LS_OK;
}

LsStatus ls_prompts_read(const LsGenerateOptions *o, const LsLoaded *model, LsPrompts *prompts)
{
    LS_TRY(check_options(o));
    if (!o->ids && !model->tokenizer)
        return ls_fail(LS_USAGE, "generate: this model has no tokenizer, so it cannot read text; give --ids 1,2,3");
    warn_of_backslash("--prompt", &o->prompt);
    warn_of_backslash("--message", &o->message);
    warn_of_backslash("--stop", &o->stop);
    prompts->list = ls_alloc_array(o->prompt.count + o->prompt_file.count + 1, sizeof *prompts->list);
    if (!prompts->list)
        return LS_RESOURCE;
    if (o->message.count > 0 || o->system)
        LS_TRY(read_turns(o, model, prompts));
    else if (!o->ids)
        LS_TRY(read_texts(o, model->tokenizer, prompts));
    else {
        prompts->count = 1;
        LS_TRY(ls_parse_ids(o->ids, &prompts->list[0].ids, &prompts->list[0].count));
    }
    return collect_stops(o, prompts);
}
