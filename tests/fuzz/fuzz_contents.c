/* Sealed files as HDF5 writes them, of contents that this program would not write: parts with NULs between them, the
 * kind first, then "NAME TYPE DIMENSIONS VALUES" each.
 *
 *     train/ids 2 3 5 6 7        an array of LsFileType 2 and shape (3); the values are repeated where they are too few
 *     values 0 2x2 0.5 nan
 *     info t {"kind": "lines"}   a text as an array of bytes
 *     step i 7                   an attribute: i a whole number, d a real one, a a text
 */
#include "shared.h"

#include "config/config.h"
#include "data/data.h"
#include "data/tokenizer.h"
#include "io/sealed.h"
#include "store/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ELEMENTS = 4096 };

static void set_value(LsFileType type, void *values, int64_t i, double real, long long whole)
{
    switch (type) {
    case LS_FILE_FLOAT32:
        ((float *)values)[i] = (float)real;
        break;
    case LS_FILE_UINT8:
        ((uint8_t *)values)[i] = (uint8_t)whole;
        break;
    case LS_FILE_UINT16:
        ((uint16_t *)values)[i] = (uint16_t)whole;
        break;
    case LS_FILE_INT32:
        ((int32_t *)values)[i] = (int32_t)whole;
        break;
    case LS_FILE_INT64:
        ((int64_t *)values)[i] = whole;
        break;
    case LS_FILE_UINT64:
        ((uint64_t *)values)[i] = (uint64_t)whole;
        break;
    }
}

static void write_numbers(LsSealed *file, const char *name, LsFileType type, char *rest)
{
    int rank = 0;
    int64_t dim[LS_SEALED_RANK], count = 1;
    do {
        dim[rank] = strtoll(rest, &rest, 10);
        if (dim[rank] < 0 || dim[rank] > MOST_ELEMENTS || (count *= dim[rank]) > MOST_ELEMENTS)
            return;
        rank++;
    } while (*rest++ == 'x' && rank < LS_SEALED_RANK);
    rest--;
    void *values = ls_alloc_array(MOST_ELEMENTS, 8);
    FUZZ_ASSERT(values);
    char *from = rest;
    for (int64_t i = 0; i < count; i++) {
        char *end = from, *other = from;
        double real = strtod(from, &end);
        long long whole = strtoll(from, &other, 10);
        set_value(type, values, i, real, whole);
        from = end == from || *end == '\0' ? rest : end;
    }
    fuzz_is_ok(ls_sealed_write(file, name, type, rank, dim, values, count % 2 && rank == 1 ? 64 : 0));
    ls_free(values);
}

static void write_one(LsSealed *file, char *part)
{
    char *name = part, *type = strchr(part, ' ');
    if (!type || type == name || name[0] == '/' || strstr(name, "//") || type[-1] == '/' || strlen(type) < 3)
        return;
    *type++ = '\0';
    char *rest = type + 2;
    int64_t length = (int64_t)strlen(rest);
    if (*type == 't')
        fuzz_is_ok(ls_sealed_write(file, name, LS_FILE_UINT8, 1, &length, rest, 0));
    else if (*type == 'i')
        fuzz_is_ok(ls_sealed_set_int(file, name, strtoll(rest, NULL, 10)));
    else if (*type == 'd')
        fuzz_is_ok(ls_sealed_set_double(file, name, strtod(rest, NULL)));
    else if (*type == 'a')
        fuzz_is_ok(ls_sealed_set_text(file, name, rest));
    else if (*type >= '0' && *type <= '5')
        write_numbers(file, name, (LsFileType)(*type - '0'), rest);
}

/* As the program goes on from a checkpoint's texts. */
static void read_checkpoint(const char *path)
{
    LsCheckpoint *checkpoint = NULL;
    if (!fuzz_is_ok(ls_checkpoint_open(path, NULL, &checkpoint)))
        return;
    FUZZ_ASSERT(checkpoint->progress.step >= 0 && checkpoint->progress.samples >= 0);
    LsConfig *config = ls_config_parse(path, checkpoint->config, 0, NULL);
    fuzz_is_ok(config ? LS_OK : ls_message_status());
    LsTokenizer *tokenizer = checkpoint->tokenizer ? ls_tokenizer_from_json(checkpoint->tokenizer) : NULL;
    ls_tokenizer_free(tokenizer);
    ls_config_free(config);
    LsParams *params = ls_params_new();
    if (ls_params_allocate(params, 1, false) == LS_OK)
        fuzz_is_ok(ls_checkpoint_read(checkpoint, params, 0, NULL));
    ls_params_free(params);
    ls_checkpoint_close(checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const kinds[] = {"checkpoint", "text", "images", "lines", "columns", "pairs", "series", "wav"};
    FuzzParts parts = {input, input + bytes};
    char *kind = fuzz_part(&parts);
    size_t which = 0;
    while (which < LS_COUNT_OF(kinds) && strcmp(kind, kinds[which]) != 0)
        which++;
    free(kind);
    if (which == LS_COUNT_OF(kinds))
        return 0;
    char path[512];
    snprintf(path, sizeof path, "%s", fuzz_path("contents.h5"));
    LsSealed *file = ls_sealed_create(path, kinds[which], 1, LS_DATA);
    FUZZ_ASSERT(file);
    for (char *part; (part = fuzz_part(&parts)); free(part))
        write_one(file, part);
    if (!fuzz_is_ok(ls_sealed_commit(file))) /* two of one name, for instance */
        return 0;
    if (which == 0)
        read_checkpoint(path);
    else
        fuzz_read_data(kinds[which], path);
    return 0;
}
