/* lockstep import DIR -o RUN: a model folder becomes a run. */
#include "cli/cli.h"
#include "store/model_folder.h"

typedef struct Options {
    char *output;
} Options;

static const LsOption options[] = {{LS_SETTING_STRING(Options, output, NULL, "run folder to make"), "RUN", 'o', true},
                                   {{0}}};

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LS_TRY(ls_model_import(call->operand[0], o->output));
    printf("%s: imported; lockstep inspect, predict, generate and train read it\n", o->output);
    return LS_OK;
}

const LsCommand ls_command_import = {
    .name = "import",
    .summary = "makes a run of a model in the Hugging Face or the native layout",
    .operands = "DIR -o RUN",
    .least = 1,
    .most = 1,
    .description =
        "DIR holds config.json, model.safetensors (or several with their index), and perhaps tokenizer "
        "files; without those the run knows token ids only. \"model_type\" in config.json tells the layout: "
        "\"lockstep\" is the native one, which holds every model (docs/formats.md). RWKV's weights under the "
        "author's names need no config.json: DIR may be the file itself, FILE.safetensors. What cannot be "
        "carried over exactly is refused, by name.",
    .example = "lockstep import gpt2 -o runs/gpt2",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
