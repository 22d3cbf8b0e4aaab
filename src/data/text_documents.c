#include "data/text_documents.h"

#include <string.h>

static LsStatus add_ids(LsTokens *to, const int32_t *id, int64_t count)
{
    LS_TRY(ls_tokens_reserve(to, count));
    memcpy(to->id + to->count, id, (size_t)count * sizeof *id);
    to->count += count;
    return LS_OK;
}

LsStatus ls_tokenizer_separator(const LsTokenizer *tokenizer, LsTokens *separator)
{
    const int32_t *after = NULL;
    int32_t end = (int32_t)ls_tokenizer_end(tokenizer);
    int64_t behind = ls_tokenizer_after(tokenizer, &after);
    separator->count = 0;
    if (ls_tokenizer_frames(tokenizer) || (behind == 0 && end < 0))
        return LS_OK;
    return behind > 0 ? add_ids(separator, after, behind) : add_ids(separator, &end, 1);
}

LsStatus ls_separator_write(LsSealed *file, const LsTokens *separator)
{
    return separator->count == 0
               ? LS_OK
               : ls_sealed_write(file, "separator", LS_FILE_INT32, 1, &separator->count, separator->id, 0);
}

LsStatus ls_fail_separator(const char *name, const LsTokenizer *tokenizer, const char *cure)
{
    if (ls_tokenizer_frames(tokenizer))
        return ls_fail(LS_USAGE,
                       "data.mask=documents: %s is text that the tokenizer %s frames, which is no stream of documents; "
                       "data.mask=none",
                       name, ls_tokenizer_kind(tokenizer));
    return ls_fail(LS_USAGE, "data.mask=documents: nothing says where a document of %s ends; %s, or data.mask=none",
                   name, cure);
}

/* An earlier version wrote no separator, but the options that chose it. */
static LsStatus earlier_separator(LsSealed *file, const LsTokenizer *tokenizer, LsTokens *separator)
{
    bool has = false;
    char *options = NULL;
    LS_TRY(ls_sealed_has(file, "options", &has));
    if (has)
        LS_TRY(ls_sealed_get_text(file, "options", &options));
    bool chosen = options && strstr(options, "--separator");
    ls_free(options);
    return chosen ? LS_OK : ls_tokenizer_separator(tokenizer, separator);
}

static LsStatus read_array(LsSealed *file, const LsTokenizer *tokenizer, int64_t count, LsTokens *separator)
{
    LS_TRY(ls_tokens_reserve(separator, count));
    LS_TRY(ls_sealed_read(file, "separator", LS_FILE_INT32, count, separator->id));
    separator->count = count;
    for (int64_t i = 0; i < count; i++)
        if (separator->id[i] < 0 || separator->id[i] >= ls_tokenizer_vocabulary(tokenizer))
            return ls_fail(LS_DATA, "%s: separator[%lld] is %d, outside the vocabulary of %lld tokens",
                           ls_sealed_path(file), (long long)i, (int)separator->id[i],
                           (long long)ls_tokenizer_vocabulary(tokenizer));
    return LS_OK;
}

LsStatus ls_separator_read(LsSealed *file, const LsTokenizer *tokenizer, LsTokens *separator)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    separator->count = 0;
    LS_TRY(ls_sealed_shape(file, "separator", &exists, &type, &rank, dim));
    if (exists && rank == 1 && dim[0] > 0)
        LS_TRY(read_array(file, tokenizer, dim[0], separator));
    else if (!exists)
        LS_TRY(earlier_separator(file, tokenizer, separator));
    return separator->count > 0
               ? LS_OK
               : ls_fail_separator(ls_sealed_path(file), tokenizer,
                                   "prepare it with --separator TEXT or a tokenizer that has an end token");
}
