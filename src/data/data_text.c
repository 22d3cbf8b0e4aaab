/* Text as a kind of data set. */
#include "data/text.h"
#include "data/utf8.h"

#include <string.h>

const LsSetting ls_text_settings[] = {
    LS_TOKENIZER_SETTINGS(LsTextSettings, tokens, "bytes", "split"),
    LS_SETTING_FLOAT(LsTextSettings, validation, "0.1", 0, 0.9,
                     "share of the text held out for validation, by --hold-out"),
    LS_SETTING_CHOICE(
        LsTextSettings, hold_out, "end", "end|documents|hash",
        "which share: the end of all; whole texts (files, records), drawn by --seed; those whose content's "
        "hash says so, the same ones whatever else there is"),
    LS_SETTING_INT(LsTextSettings, seed, "1", 0, 9007199254740992.0, "of the texts held out"),
    LS_SETTING_STRING(LsTextSettings, validation_file, NULL, "a text file, or a folder of them, held out instead"),
    LS_SETTING_STRING(LsTextSettings, field, NULL,
                      "sources that are not named *.txt are JSON lines: the member of each object that is a text"),
    LS_SETTING_STRING(
        LsTextSettings, separator, NULL,
        "what stands between two texts (files, records): a token by its name, as <|endoftext|>, else a "
        "text, in which \\n, \\t and \\\\ are read (default: the tokenizer's end token; where it has none, "
        "nothing)"),
    LS_SETTING_BOOL(LsTextSettings, special, "false",
                    "special tokens that stand in a text, as <|endoftext|>, are these tokens, not text"),
    LS_SETTING_BOOL(LsTextSettings, skip_bad, "false",
                    "pass over and count files and records that cannot be read, are empty, or (but for the tokenizer "
                    "bytes) no UTF-8"),
    LS_SETTING_BOOL(LsTextSettings, as_is, "false",
                    "take the bytes of files as they stand: unpack nothing, leave byte order marks and CR LF"),
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

#define SOURCES_SHOWN 4

/* The first sources, one a line, and how many more there are. */
static LsStatus add_sources(LsSealed *file, json_t *object)
{
    LS_TRY(add_text(file, "sources", object));
    const char *all = json_string_value(json_object_get(object, "sources")), *end = all;
    int lines = 1;
    for (const char *at = all; at && (at = strchr(at, '\n')); at++)
        if (lines++ == SOURCES_SHOWN)
            end = at;
    if (lines <= SOURCES_SHOWN + 1)
        return LS_OK;
    char *shown = ls_format("%.*s\nand %d more", (int)(end - all), all, lines - SOURCES_SHOWN);
    if (!shown)
        return LS_RESOURCE;
    json_object_set_new(object, "sources", json_string(shown));
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
    LS_TRY(add_sources(file, object));
    bool has = false;
    LS_TRY(ls_sealed_has(file, "read", &has)); /* files of earlier versions do not say */
    if (has)
        LS_TRY(add_text(file, "read", object));
    LS_TRY(ls_sealed_has(file, "options", &has));
    return has ? add_text(file, "options", object) : LS_OK;
}

static const char *const parts[] = {"@tokenizer", "@vocabulary", "@train_bytes", "@validation_bytes",
                                    "@sources",   "tokenizer",   "*/tokens",     NULL};

const LsDataKind ls_data_kind_text = {
    .name = "text",
    .summary = "text files, folders of them (*.txt), archives, or JSON lines, as a stream of tokens",
    .example = "lockstep prepare text book.txt -o book.h5 --tokenizer characters --validation 0.1\n"
               "lockstep prepare text folder/ more.tar.gz -o all.h5 --hold-out documents --tokenizer gpt2\n"
               "lockstep prepare text news.jsonl -o news.h5 --field text --like runs/mine",
    .settings = ls_text_settings,
    .settings_bytes = sizeof(LsTextSettings),
    .use_settings = ls_text_use_settings,
    .use_settings_bytes = sizeof(LsTextUse),
    .prepare = prepare,
    .open = ls_text_open,
    .open_texts = ls_text_open_texts,
    .parts = parts,
    .inspect = inspect,
};
