/* lockstep export RUN -o DIR: a trained model in the Hugging Face layout. */
#include "cli/cli.h"
#include "store/hf.h"

typedef struct Options {
    char *output;
} Options;

static const LsOption options[] = {{LS_SETTING_STRING(Options, output, NULL, "folder to write"), "DIR", 'o', true},
                                   {{0}}};

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    LS_TRY(ls_hf_export(call->operand[0], o->output));
    printf("%s: exported; AutoModelForCausalLM.from_pretrained(\"%s\") of transformers reads it\n", o->output,
           o->output);
    return LS_OK;
}

const LsCommand ls_command_export = {
    .name = "export",
    .summary = "writes a trained model in the Hugging Face layout",
    .operands = "RUN -o DIR",
    .least = 1,
    .most = 1,
    .description = "RUN is a run folder (its best checkpoint is taken) or a checkpoint. DIR gets config.json, "
                   "model.safetensors and the tokenizer's "
                   "files.",
    .example = "lockstep export runs/shakespeare-gpt -o exported",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
