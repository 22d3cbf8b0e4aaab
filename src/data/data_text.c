/* Text as a kind of data set. */
#include "data/text.h"
#include "data/utf8.h"

#include <string.h>

static const LsSetting settings[] = {
    LS_TOKENIZER_SETTINGS(LsTextSettings, tokens, "bytes", "split"),
    LS_SETTING_FLOAT(LsTextSettings, validation, "0.1", 0, 0.9,
                     "share of the text held out for validation, from its end"),
    LS_SETTING_STRING(LsTextSettings, validation_file, NULL, "a text file, or a folder of them, held out instead"),
    LS_SETTING_STRING(LsTextSettings, field, NULL,
                      "the sources are JSON lines: the member of each object that is a text"),
    {0}};

static LsStatus prepare(const void *table, int sources, char *const *source, const char *output)
{
    return ls_text_prepare(table, sources, source, output);
}

static LsStatus add_tokens(LsSealed *file, const char *array, const char *key, json_t *object)
{
    bool exists;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LS_TRY(ls_sealed_shape(file, array, &exists, &type, &rank, dim));
    json_object_set_new(object, key, json_integer(exists && rank == 1 ? dim[0] : 0));
    return LS_OK;
}

/* The number of documents or sentences, where the file says where they begin. */
static LsStatus add_marks(LsSealed *file, const char *array, const char *key, json_t *object)
{
    bool exists;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    LS_TRY(ls_sealed_shape(file, array, &exists, &type, &rank, dim));
    if (exists && rank == 1)
        json_object_set_new(object, key, json_integer(dim[0] - 1));
    return LS_OK;
}

static LsStatus add_text(LsSealed *file, const char *name, json_t *object)
{
    char *text = NULL;
    LS_TRY(ls_sealed_get_text(file, name, &text));
    char *shown = ls_utf8_repair(text);
    ls_free(text);
    if (!shown)
        return LS_RESOURCE;
    json_object_set_new(object, name, json_string(shown));
    ls_free(shown);
    return LS_OK;
}

static LsStatus inspect(LsSealed *file, json_t *object)
{
    static const char *const numbers[] = {"vocabulary", "train_bytes", "validation_bytes"};
    LS_TRY(ls_sealed_check_version(file, LS_TEXT_VERSION));
    LS_TRY(add_text(file, "tokenizer", object));
    LS_TRY(add_tokens(file, "train/tokens", "train_tokens", object));
    LS_TRY(add_tokens(file, "validation/tokens", "validation_tokens", object));
    LS_TRY(add_marks(file, "train/documents", "train_documents", object));
    LS_TRY(add_marks(file, "train/sentences", "train_sentences", object));
    LS_TRY(add_marks(file, "validation/documents", "validation_documents", object));
    LS_TRY(add_marks(file, "validation/sentences", "validation_sentences", object));
    for (size_t i = 0; i < LS_COUNT_OF(numbers); i++) {
        int64_t value = 0;
        LS_TRY(ls_sealed_get_int(file, numbers[i], &value));
        json_object_set_new(object, numbers[i], json_integer(value));
    }
    return add_text(file, "sources", object);
}

const LsDataKind ls_data_kind_text = {
    .name = "text",
    .summary = "text files, folders of them (*.txt), or JSON lines, as a stream of tokens",
    .settings = settings,
    .settings_bytes = sizeof(LsTextSettings),
    .use_settings = ls_text_use_settings,
    .use_settings_bytes = sizeof(LsTextUse),
    .prepare = prepare,
    .open = ls_text_open,
    .inspect = inspect,
};
