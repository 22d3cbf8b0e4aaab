/* Tokenizers as files: folders that are read and written, and the files that a tokenizer keeps as they were. */
#include "data/base64.h"
#include "data/tokenizer_kind.h"

#include "io/file.h"
#include "io/lfs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

LsStatus ls_json_file_write(const char *folder, const char *name, const json_t *root)
{
    LsStatus status = LS_OK;
    char *path = ls_format("%s/%s", folder, name);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (!path || !text)
        status = ls_fail(LS_RESOURCE, "out of memory while writing %s", name);
    else
        status = ls_file_replace(path, text, (int64_t)strlen(text));
    ls_free(path);
    ls_free(text);
    return status;
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

const char *const ls_tokenizer_files[] = {"tokenizer.json",
                                          "tokenizer_config.json",
                                          "vocab.json",
                                          "merges.txt",
                                          "special_tokens_map.json",
                                          "added_tokens.json",
                                          "chat_template.jinja",
                                          "chat_template.json",
                                          "tokenizer.model",
                                          "rwkv_vocab_v20230424.txt",
                                          NULL};

static LsStatus keep_file(const char *path, const char *name, json_t *files)
{
    char *bytes = NULL;
    int64_t count = 0;
    LS_TRY(ls_file_read(path, LS_DATA, &bytes, &count));
    if (ls_is_lfs_pointer(bytes, count)) {
        ls_free(bytes);
        return ls_fail(LS_DATA, "%s: " LS_LFS_CURE, path);
    }
    const char *end = strrchr(name, '.');
    bool is_text = (int64_t)strlen(bytes) == count && !(end && strcmp(end, ".model") == 0);
    json_t *text = is_text ? json_stringn(bytes, (size_t)count) : NULL;
    char *letters = text ? NULL : ls_base64_encode(bytes, count);
    if (letters)
        text = json_pack("{s:s}", "base64", letters);
    LsStatus status =
        text && json_object_set_new(files, name, text) == 0 ? LS_OK : ls_fail(LS_RESOURCE, "out of memory");
    ls_free(letters);
    ls_free(bytes);
    return status;
}

LsStatus ls_tokenizer_keep_files(const char *folder, const char *const *names, json_t *files)
{
    LsStatus status = LS_OK;
    for (; *names && status == LS_OK; names++) {
        char *path = ls_format("%s/%s", folder, *names);
        status = !path ? LS_RESOURCE : ls_file_exists(path) ? keep_file(path, *names, files) : LS_OK;
        ls_free(path);
    }
    return status;
}

static LsStatus write_kept(const char *folder, const char *name, const json_t *file)
{
    char *path = ls_format("%s/%s", folder, name), *bytes = NULL;
    const char *text = json_string_value(file);
    int64_t length = (int64_t)json_string_length(file);
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    bool known = false;
    for (int i = 0; ls_tokenizer_files[i]; i++)
        known = known || strcmp(name, ls_tokenizer_files[i]) == 0;
    if (!known && status == LS_OK)
        status = ls_fail(LS_DATA, "the tokenizer's file '%s' is not one of a tokenizer", name);
    if (status == LS_OK && !text) {
        status = ls_base64_decode(json_string_value(json_object_get(file, "base64")), &bytes, &length);
        text = bytes;
    }
    if (status == LS_OK)
        status = ls_file_replace(path, text, length);
    ls_free(bytes);
    ls_free(path);
    return status;
}

LsStatus ls_tokenizer_write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    const char *name;
    json_t *file;
    LS_TRY(ls_make_folders(folder));
    if (tokenizer->kind->write_folder)
        LS_TRY(tokenizer->kind->write_folder(tokenizer, folder));
    json_object_foreach(tokenizer->files, name, file) if (strcmp(name, "config.json") != 0) /* the model's, in part */
        LS_TRY(write_kept(folder, name, file));
    return LS_OK;
}

static LsStatus from_own_file(const char *path, LsTokenizer **tokenizer)
{
    char *text = NULL;
    int64_t bytes = 0;
    LS_TRY(ls_file_read(path, LS_DATA, &text, &bytes));
    *tokenizer = ls_tokenizer_from_json(text);
    ls_free(text);
    return *tokenizer ? LS_OK : ls_fail_in(LS_DATA, "%s", path);
}

LsTokenizer *ls_tokenizer_from_folder(const char *folder)
{
    LsTokenizer *tokenizer = NULL;
    ls_clear_message();
    char *own = ls_format("%s/" LS_TOKENIZER_OWN_FILE, folder);
    if (!own)
        return NULL;
    LsStatus status = LS_OK;
    if (ls_file_exists(own))
        status = from_own_file(own, &tokenizer);
    bool failed = status != LS_OK;
    /* a file that one kind refuses may be another's; where it is none's, the first one's reason is told */
    char *reason = NULL;
    for (const LsTokenizerKind *const *kind = ls_tokenizer_kinds(); *kind && !failed && !tokenizer; kind++)
        if ((*kind)->from_folder && (status = (*kind)->from_folder(folder, &tokenizer)) != LS_OK) {
            tokenizer = NULL;
            failed = status == LS_RESOURCE;
            reason = reason ? reason : ls_strdup(ls_message());
        }
    if (!tokenizer && !failed && reason)
        ls_fail(LS_DATA, "%s", reason);
    ls_free(reason);
    ls_free(own);
    return failed ? NULL : tokenizer;
}

LsTokenizer *ls_tokenizer_from_path(const char *path)
{
    struct stat info;
    LsTokenizer *tokenizer = NULL;
    ls_clear_message();
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        tokenizer = ls_tokenizer_from_folder(path);
    } else
        for (const LsTokenizerKind *const *kind = ls_tokenizer_kinds(); *kind && !tokenizer; kind++)
            if ((*kind)->from_file && (*kind)->from_file(path, &tokenizer) != LS_OK)
                tokenizer = NULL;
    if (!tokenizer && !ls_message()[0])
        ls_fail(LS_DATA,
                "%s: has no tokenizer that this program knows (tokenizer.json, vocab.json and merges.txt, "
                "tokenizer.model, vocab.txt, rwkv_vocab_v20230424.txt, " LS_TOKENIZER_OWN_FILE ")",
                path);
    return tokenizer;
}
