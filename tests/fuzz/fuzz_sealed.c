/* Sealed files whose digest is right whatever their content: the input is what follows the block in front, which is
 * made anew over it. Read as a file of any kind, as a checkpoint, and as a data set of the kind that the last byte
 * says. */
#include "shared.h"

#include "data/data.h"
#include "io/sealed_internal.h"
#include "sealed_block.h"
#include "store/checkpoint.h"

#include <stdlib.h>

static LsStatus visit(void *self, const char *name)
{
    LsFileType type;
    int rank = 0;
    bool exists = false;
    int64_t dim[LS_SEALED_RANK] = {0};
    return ls_sealed_shape(self, name, &exists, &type, &rank, dim);
}

static void read_any(const char *path)
{
    LsSealed *file = ls_sealed_open(path, NULL, LS_DATA, NULL);
    char *text = NULL;
    int64_t number = 0;
    double real = 0;
    fuzz_is_ok(file ? LS_OK : ls_message_status());
    if (!file)
        return;
    fuzz_is_ok(ls_sealed_each(file, "/", visit, file));
    fuzz_is_ok(ls_sealed_check_arrays(file));
    if (fuzz_is_ok(ls_sealed_get_text(file, "config", &text)))
        ls_free(text);
    fuzz_is_ok(ls_sealed_get_int(file, "step", &number));
    fuzz_is_ok(ls_sealed_get_double(file, "best_loss", &real));
    ls_sealed_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const kinds[] = {"text", "images", "lines", "columns", "pairs", "series", "wav"};
    LsCheckpoint *checkpoint = NULL;
    if (bytes < 2)
        return 0;
    const char *kind = kinds[input[bytes - 1] % LS_COUNT_OF(kinds)];
    fuzz_seal("data.h5", kind, input, bytes - 1);
    read_any(fuzz_path("data.h5"));
    fuzz_read_data(kind, fuzz_path("data.h5"));
    fuzz_seal("checkpoint.h5", "checkpoint", input, bytes - 1);
    fuzz_is_ok(ls_checkpoint_open(fuzz_path("checkpoint.h5"), NULL, &checkpoint));
    ls_checkpoint_close(checkpoint);
    return 0;
}
