/* lockstep export RUN -o DIR: a trained model as a folder that others read. */
#include "cli/cli.h"
#include "store/model_folder.h"

typedef struct Options {
    char *output;
    bool native;
} Options;

static const LsOption options[] = {
    {LS_SETTING_STRING(Options, output, NULL, "folder to write"), "DIR", 'o', true},
    {.setting = LS_SETTING_BOOL(Options, native, "false",
                                "our own names, shapes and settings (docs/formats.md), also of a model that has a "
                                "Hugging Face layout")},
    {{0}}};

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    const char *layout = NULL;
    LS_TRY(ls_model_export(call->operand[0], call->operands - 1, call->operand + 1, o->output,
                           o->native ? LS_LAYOUT_NATIVE : LS_LAYOUT_OF_MODEL, &layout));
    printf("%s: exported in the layout of \"%s\"; lockstep import %s -o RUN reads it back\n", o->output, layout,
           o->output);
    return LS_OK;
}

const LsCommand ls_command_export = {
    .name = "export",
    .summary = "writes a trained model in the Hugging Face or the native layout",
    .operands = "RUN [key=value ...] -o DIR",
    .least = 1,
    .most = -1,
    .description =
        "RUN is a run folder (its best checkpoint is taken) or a checkpoint. DIR gets config.json, "
        "model.safetensors and the tokenizer's files: in the Hugging Face layout, which from_pretrained of "
        "transformers reads, where the model has one, else in the native layout. Files of an earlier export are "
        "replaced; a folder with a model of others is refused. key=value overrides the run's configuration: "
        "train.init=PATH where the model that adapters stand on is now.",
    .example = "lockstep export runs/shakespeare-gpt -o exported\n"
               "lockstep export runs/fashion-lenet -o lenet",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
