#include "cli/generate_lines.h"

#include "cli/load.h"
#include "decode/translate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Line by line, as they come: a pipe may wait for each answer. */
static LsStatus translate_all(LsTranslator *translator, FILE *in, const char *name)
{
    char *line = NULL;
    size_t room = 0;
    int64_t number = 0, cut_lines = 0;
    LsStatus status = LS_OK;
    double start = ls_seconds();
    for (ssize_t bytes; status == LS_OK && (bytes = getline(&line, &room, in)) >= 0; number++) {
        while (bytes > 0 && (line[bytes - 1] == '\n' || line[bytes - 1] == '\r'))
            bytes--;
        char *target = NULL;
        bool cut = false;
        if (bytes > 0)
            status = ls_translate_text(translator, line, bytes, &target, &cut);
        if (status != LS_OK)
            status = ls_fail_in(status, "%s: line %lld", name, (long long)number + 1);
        else
            printf("%s\n", target ? target : "");
        if (cut)
            ls_warn("%s: line %lld is longer than the model reads, and was cut", name, (long long)number + 1);
        cut_lines += cut;
        fflush(stdout);
        ls_free(target);
    }
    if (status == LS_OK && ferror(in))
        status = ls_fail(LS_DATA, "%s: %s", name, strerror(errno));
    if (status == LS_OK)
        ls_log("%lld lines in %.2f s; %lld were cut", (long long)number, ls_seconds() - start, (long long)cut_lines);
    free(line);
    return status;
}

LsStatus ls_generate_lines(const LsGenerateLines *o, const LsCall *call)
{
    LsLoaded model = {0};
    LsTranslator *translator = NULL;
    bool from_stdin = strcmp(o->input, "-") == 0;
    FILE *in = NULL;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_load(call->operand[0], o->best, call->operands - 1, call->operand + 1, &model));
    if (!ls_config_task(model.config)->translates) {
        status = ls_fail(LS_USAGE,
                         "generate --input: %s says no text for a text (task.kind %s): give --prompt, or "
                         "'lockstep predict' for other outputs",
                         call->operand[0], ls_config_task(model.config)->name);
        goto cleanup;
    }
    LS_TRY_CLEANUP(
        ls_translator_open(model.config, model.params, model.info, model.tokenizer, o->beams, o->penalty, &translator));
    in = from_stdin ? stdin : fopen(o->input, "re");
    status = in ? translate_all(translator, in, from_stdin ? "standard input" : o->input)
                : ls_fail(LS_DATA, "%s: %s", o->input, strerror(errno));
cleanup:
    if (in && !from_stdin)
        fclose(in);
    ls_translator_close(translator);
    ls_loaded_free(&model);
    return status;
}
