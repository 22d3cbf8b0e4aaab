/* lockstep prepare KIND SOURCE...: raw data to a data set. The kinds and their options come from src/data. */
#include "api/like.h"
#include "cli/cli.h"
#include "data/data.h"
#include "io/file.h"
#include "io/mapped.h"
#include "io/output.h"

#include <string.h>
#include <sys/stat.h>

typedef struct Options {
    char *output;
    bool json;
} Options;

static const LsOption options[] = {
    {LS_SETTING_STRING(Options, output, NULL, "data set to write"), "FILE.h5", 'o', true},
    {LS_SETTING_BOOL(Options, json, "false", "describe the result as one JSON object")},
    {{0}}};

/* The kinds of data sets that are made from files. */
static bool kinds(int index, LsCommandKind *kind)
{
    for (const LsDataKind *const *each = ls_data_kinds(); *each; each++)
        if ((*each)->prepare && index-- == 0) {
            *kind = (LsCommandKind){(*each)->name, (*each)->summary, (*each)->example, (*each)->settings,
                                    (*each)->settings_bytes};
            return true;
        }
    return false;
}

/* Whether two names mean one file that exists. */
static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Everything that can be known before hours of work; then the output is this process's. */
static LsStatus open_output(const char *path, const LsCall *call, const LsDataKind *kind, LsOutput **output)
{
    struct stat st;
    const char *like = ls_like_of(kind, call->settings);
    *output = NULL;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return ls_fail(LS_USAGE, "%s: is a folder; name the data set's file", path);
    for (int i = 0; i < call->operands; i++)
        if (same_file(path, call->operand[i]))
            return ls_fail(LS_USAGE, "%s is a source and the output at once", call->operand[i]);
    if (like && same_file(path, like))
        return ls_fail(LS_USAGE, "%s is --like and the output at once", like);
    LsStatus status = ls_output_file(path, "prepare", output);
    return status == LS_ERROR ? LS_DATA : status;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    const LsDataKind *kind = ls_data_kind(call->kind.name);
    if (!kind)
        return LS_USAGE;
    LsOutput *output = NULL;
    LS_TRY(ls_like_resolve(kind, (void *)(uintptr_t)call->settings)); /* the call's own, which it frees */
    LS_TRY(open_output(o->output, call, kind, &output));
    double start = ls_seconds();
    LsStatus status = kind->prepare(call->settings, call->operands, call->operand, o->output);
    ls_output_release(output, status == LS_OK);
    LS_TRY(status == LS_OK ? LS_OK : ls_mapped_check()); /* a better reason than what the zeros of lost pages led to */
    LS_TRY(status);
    json_t *object = NULL;
    LS_TRY(ls_data_inspect(o->output, &object)); /* reads it back: what is told is what is there */
    ls_log("%s: written and verified in %.1f s", o->output, ls_seconds() - start);
    if (o->json)
        return ls_print_json(object);
    ls_print_fields(object, 0);
    json_decref(object);
    return LS_OK;
}

const LsCommand ls_command_prepare = {
    .name = "prepare",
    .summary = "turns raw data into a data set that training reads",
    .operands = "KIND SOURCE... -o FILE.h5",
    .least = 1,
    .most = -1,
    .description = "Sources are joined in their order. The data set is written aside, verified and renamed: FILE.h5 is "
                   "never half-written.",
    .example = "lockstep prepare text data/tiny-shakespeare.txt -o data/shakespeare.h5 --tokenizer characters "
               "--validation 0.1",
    .options = options,
    .options_bytes = sizeof(Options),
    .kinds = kinds,
    .run = run,
};
