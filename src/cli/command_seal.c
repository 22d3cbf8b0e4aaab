/* lockstep seal FILE: a file that another program wrote or changed becomes one of ours again. */
#include "cli/cli.h"
#include "lockstep/api.h"

typedef struct Options {
    char *kind;
} Options;

static const LsOption options[] = {
    {LS_SETTING_STRING(Options, kind, NULL, "of a file that no block in front says: checkpoint, or a kind of data set"),
     "KIND"},
    {{0}}};

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    for (int i = 0; i < call->operands; i++) {
        LS_TRY(ls_seal(call->operand[i], o->kind));
        printf("%s: checked and sealed\n", call->operand[i]);
    }
    return LS_OK;
}

const LsCommand ls_command_seal = {
    .name = "seal",
    .summary = "checks a data set or checkpoint that another program wrote or changed, and seals it anew",
    .operands = "FILE.h5...",
    .least = 1,
    .most = -1,
    .description =
        "Looks for everything that a reader of such a file would refuse: the form of HDF5, kind and version, "
        "arrays and attributes that are missing, offsets, ids outside the vocabulary, parameters of another "
        "shape. Where it finds nothing, it computes the checksum of every array and the block in front anew, "
        "and replaces the file. Damage cannot be told from a change: seal what you know to be whole. "
        "h5py leaves room for the block with userblock_size=512; without it the file is moved.",
    .example = "lockstep seal data/changed.h5\nlockstep seal --kind text data/written-by-h5py.h5",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
