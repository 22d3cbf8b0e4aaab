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

LsStatus ls_separator_read(LsSealed *file, const LsTokenizer *tokenizer, LsTokens *separator)
{
    int32_t *id = NULL;
    int64_t count = 0;
    LS_TRY(ls_numbers_read(file, "separator", 0, ls_tokenizer_vocabulary(tokenizer), &id, &count));
    ls_free(separator->id);
    *separator = (LsTokens){.id = id, .count = id ? count : 0, .room = id ? count : 0};
    if (!id)
        LS_TRY(earlier_separator(file, tokenizer, separator));
    return separator->count > 0
               ? LS_OK
               : ls_fail_separator(ls_sealed_path(file), tokenizer,
                                   "prepare it with --separator TEXT or a tokenizer that has an end token");
}
