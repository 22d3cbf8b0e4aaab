#include "cli/generate_lines.h"

#include "api/load.h"
#include "cli/attention_svg.h"
#include "decode/translate.h"
#include "io/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The state of translating lines, and of the picture of attention where one is drawn. */
typedef struct Lines {
    LsTranslator *translator;
    LsAttentionSvg *svg; /* NULL: no picture */
    int64_t cut;         /* lines that were longer than the model reads */
} Lines;

static LsStatus draw(const Lines *lines)
{
    LsAlignment alignment;
    LsStatus status = ls_translator_align(lines->translator, &alignment);
    if (status == LS_OK)
        status = ls_attention_svg_add(lines->svg, &alignment);
    ls_alignment_free(&alignment);
    return status;
}

static LsStatus translate_line(Lines *lines, const char *line, int64_t bytes, const char *name, int64_t number)
{
    char *target = NULL;
    bool cut = false;
    LsStatus status = bytes > 0 ? ls_translate_text(lines->translator, line, bytes, &target, &cut) : LS_OK;
    if (status == LS_OK) {
        printf("%s\n", target ? target : "");
        fflush(stdout);
    }
    if (status == LS_OK && bytes > 0 && lines->svg)
        status = draw(lines);
    ls_free(target);
    if (cut)
        ls_warn("%s: line %lld is longer than the model reads, and was cut", name, (long long)number);
    lines->cut += cut;
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s: line %lld", name, (long long)number);
}

/* Line by line, as they come: a pipe may wait for each answer. */
static LsStatus translate_all(Lines *lines, FILE *in, const char *name)
{
    char *line = NULL;
    size_t room = 0;
    int64_t number = 0;
    LsStatus status = LS_OK;
    double start = ls_seconds();
    for (ssize_t bytes; status == LS_OK && (bytes = getline(&line, &room, in)) >= 0; number++) {
        while (bytes > 0 && (line[bytes - 1] == '\n' || line[bytes - 1] == '\r'))
            bytes--;
        status = translate_line(lines, line, bytes, name, number + 1);
    }
    if (status == LS_OK && ferror(in))
        status = ls_fail(LS_DATA, "%s: %s", name, strerror(errno));
    if (status == LS_OK)
        ls_log("%lld lines in %.2f s; %lld were cut", (long long)number, ls_seconds() - start, (long long)lines->cut);
    free(line);
    return status;
}

/* The picture's place, held before the model is read. */
static LsStatus open_picture(const char *path, LsOutput **output, LsAttentionSvg **svg)
{
    size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".svg") != 0)
        return ls_fail(LS_USAGE, "generate --attention: %s must end in .svg", path);
    LS_TRY(ls_output_file(path, "generate", output));
    *svg = ls_attention_svg_new();
    return *svg ? LS_OK : LS_RESOURCE;
}

LsStatus ls_generate_lines(const LsGenerateLines *o, const LsCall *call)
{
    LsLoaded model = {0};
    Lines lines = {NULL};
    LsOutput *output = NULL;
    bool from_stdin = strcmp(o->input, "-") == 0;
    FILE *in = NULL;
    LsStatus status = LS_OK;
    if (o->attention)
        LS_TRY_CLEANUP(open_picture(o->attention, &output, &lines.svg));
    LS_TRY_CLEANUP(ls_load(call->operand[0], o->best, call->operands - 1, call->operand + 1, &model));
    if (!ls_config_task(model.config)->translates) {
        status = ls_fail(LS_USAGE,
                         "generate --input: %s says no text for a text (task.kind %s): give --prompt, or "
                         "'lockstep predict' for other outputs",
                         call->operand[0], ls_config_task(model.config)->name);
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_translator_open(model.config, model.params, model.info, model.tokenizer, o->beams, o->penalty,
                                      &lines.translator));
    in = from_stdin ? stdin : fopen(o->input, "re");
    status = in ? translate_all(&lines, in, from_stdin ? "standard input" : o->input)
                : ls_fail(LS_DATA, "%s: %s", o->input, strerror(errno));
    if (status == LS_OK && lines.svg)
        status = ls_attention_svg_save(lines.svg, o->attention);
cleanup:
    if (in && !from_stdin)
        fclose(in);
    ls_translator_close(lines.translator);
    ls_attention_svg_free(lines.svg);
    ls_output_release(output, status == LS_OK);
    ls_loaded_free(&model);
    return status;
}
