/* The tokenizer that the options of `prepare` ask for. */
#include "data/tokenizer_settings.h"

#include "data/samples.h"
#include "io/file.h"

#include <string.h>
#include <unistd.h>

#define TOKENIZER(name) "|" #name
const char ls_tokenizer_choices[] =
#include "data/tokenizers.def"
    "|PATH";
#undef TOKENIZER

json_t *ls_tokenizer_object(const LsTokenizer *tokenizer)
{
    char *text = ls_tokenizer_to_json(tokenizer);
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;
    ls_free(text);
    return object;
}

LsTokenizer *ls_tokenizer_from_object(const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    LsTokenizer *tokenizer = NULL;
    if (text)
        tokenizer = ls_tokenizer_from_json(text);
    else
        ls_fail(LS_DATA, "there is no tokenizer");
    free(text);
    return tokenizer;
}

/* Of an array of its own, as streams of tokens have it. */
static LsTokenizer *read_stored(LsSealed *file, int64_t bytes)
{
    LsTokenizer *tokenizer = NULL;
    char *json = ls_alloc((size_t)bytes + 1);
    if (json && ls_sealed_read(file, "tokenizer", LS_FILE_UINT8, bytes, json) == LS_OK) {
        tokenizer = ls_tokenizer_from_json(json);
        if (!tokenizer)
            ls_fail_in(LS_DATA, "%s", ls_sealed_path(file));
    }
    ls_free(json);
    return tokenizer;
}

/* Below the key `role` of /info; NULL with LS_OK in *status where there is none. */
static LsTokenizer *read_role(LsSealed *file, const char *role, LsStatus *status)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    json_t *info = NULL;
    *status = ls_sealed_shape(file, "info", &exists, &type, &rank, dim);
    if (*status == LS_OK && exists)
        *status = ls_sealed_read_json(file, "info", &info);
    const json_t *object = json_object_get(info, role);
    LsTokenizer *tokenizer = object ? ls_tokenizer_from_object(object) : NULL;
    if (object && !tokenizer)
        *status = ls_fail_in(LS_DATA, "%s", ls_sealed_path(file));
    json_decref(info);
    return tokenizer;
}

LsTokenizer *ls_sealed_tokenizer(LsSealed *file, const char *role)
{
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LsStatus status;
    LsTokenizer *tokenizer = read_role(file, role, &status);
    if (tokenizer || status != LS_OK || ls_sealed_shape(file, "tokenizer", &exists, &type, &rank, dim) != LS_OK)
        return tokenizer;
    if (exists && type == LS_FILE_UINT8 && rank == 1)
        return read_stored(file, dim[0]);
    ls_fail(LS_DATA, "%s: has no %s", ls_sealed_path(file), role);
    return NULL;
}

LsStatus ls_tokenizer_texts_new(int64_t room, LsTokenizerTexts *texts)
{
    *texts = (LsTokenizerTexts){.training = ls_alloc_array(room, sizeof *texts->training),
                                .all = ls_alloc_array(room, sizeof *texts->all)};
    if (texts->training && texts->all)
        return LS_OK;
    ls_tokenizer_texts_free(texts);
    return LS_RESOURCE;
}

void ls_tokenizer_texts_add(LsTokenizerTexts *texts, const LsCorpusPart *text, bool training)
{
    texts->all[texts->alls++] = *text;
    if (training)
        texts->training[texts->trainings++] = *text;
}

void ls_tokenizer_texts_free(LsTokenizerTexts *texts)
{
    ls_free(texts->training);
    ls_free(texts->all);
    *texts = (LsTokenizerTexts){0};
}

/* Runs are named by another option. */
static LsTokenizer *from_path(const char *path)
{
    if (!ls_file_exists_in(path, "checkpoints"))
        return ls_tokenizer_from_path(path);
    ls_fail(LS_USAGE, "--tokenizer %s: this is a run: --like %s takes its tokenizer", path, path);
    return NULL;
}

LsTokenizer *ls_tokenizer_choose(const LsTokenizerSettings *settings, const char *kind, const LsTokenizerTexts *texts,
                                 const char *role)
{
    kind = kind ? kind : settings->tokenizer;
    if (!settings->like && !ls_tokenizer_is_kind(kind) && access(kind, F_OK) == 0)
        return from_path(kind);
    if (!settings->like) {
        LsTokenizerOptions options = {.folder =
                                          settings->vocabulary ? settings->vocabulary : ls_tokenizer_kind_folder(kind),
                                      .cased = settings->cased,
                                      .split_special = settings->split_special,
                                      .words = settings->words,
                                      .least = settings->least,
                                      .lowercase = settings->lowercase,
                                      .punctuation = settings->punctuation};
        bool closed = ls_tokenizer_kind_is_closed(kind);
        return ls_tokenizer_make(kind, closed ? texts->all : texts->training, closed ? texts->alls : texts->trainings,
                                 &options);
    }
    LsSealed *file = ls_sealed_open(settings->like, NULL, LS_DATA, NULL);
    LsTokenizer *tokenizer = file ? ls_sealed_tokenizer(file, role) : NULL;
    if (file)
        ls_sealed_close(file);
    return tokenizer;
}
