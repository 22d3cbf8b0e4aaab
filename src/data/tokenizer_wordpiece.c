/* BERT's tokenizer as a kind of tokenizer. Its JSON:
 *
 *     {"clean": true, "ideographs": true, "strip_accents": true, "lowercase": true, "whole_special": true,
 *      "longest_word": 100, "prefix": "##", "unknown": "[UNK]", "begin": "[CLS]", "end": "[SEP]", "pad": "[PAD]",
 *      "mask": "[MASK]", "special": [names], "vocabulary": [names by id; null: none]}
 */
#include "data/wordpiece.h"

/* The state that an encoder carries from window to window. */
typedef struct Memory {
    WordpieceSegment segment;
    const Wordpiece *wordpiece;
    LsTokens *tokens;
} Memory;

static LsStatus take(void *self, const char *word, int64_t bytes, int64_t characters)
{
    const Memory *memory = self;
    return ls_wordpiece_cut(memory->wordpiece, word, bytes, characters, memory->tokens);
}

static LsStatus take_special(void *self, int32_t id)
{
    const Memory *memory = self;
    LS_TRY(ls_tokens_reserve(memory->tokens, 1));
    memory->tokens->id[memory->tokens->count++] = id;
    return LS_OK;
}

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    Memory *memory = encoder->memory;
    if (!memory && !(memory = encoder->memory = ls_alloc(sizeof *memory)))
        return LS_RESOURCE;
    memory->wordpiece = (const Wordpiece *)encoder->tokenizer;
    memory->tokens = tokens;
    WordpieceReader reader = {memory->wordpiece, &memory->segment, take, take_special, memory};
    return ls_wordpiece_read(&reader, text, bytes, last, used);
}

static void free_memory(void *memory)
{
    ls_wordpiece_segment_free(&((Memory *)memory)->segment);
    ls_free(memory);
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    (void)room;
    const Wordpiece *wordpiece = (const Wordpiece *)tokenizer;
    *bytes = wordpiece->start[id + 1] - wordpiece->start[id];
    return *bytes > 0 ? wordpiece->text + wordpiece->start[id] : NULL;
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

static LsStatus from_files(const char *path, bool cased, bool split_special, LsTokenizer **tokenizer)
{
    json_t *object = NULL;
    Wordpiece *wordpiece = NULL;
    LS_TRY(ls_wordpiece_read_files(path, cased, &object));
    if (object && split_special)
        json_object_set_new(object, "whole_special", json_false());
    LsStatus status = object ? ls_wordpiece_new(object, path, &wordpiece) : LS_OK;
    json_decref(object);
    if (status == LS_OK && wordpiece)
        *tokenizer = &wordpiece->base;
    return status;
}

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    (void)part, (void)parts;
    *tokenizer = NULL;
    if (!options->folder)
        return ls_fail(LS_DATA, "the tokenizer wordpiece needs --vocabulary: a vocab.txt, or a folder with one or with "
                                "a tokenizer.json");
    LS_TRY(from_files(options->folder, options->cased, options->split_special, tokenizer));
    if (!*tokenizer)
        return ls_fail(LS_DATA, "%s: has neither a tokenizer.json of WordPiece nor a vocab.txt", options->folder);
    return LS_OK;
}

static LsStatus from_folder(const char *folder, LsTokenizer **tokenizer)
{
    return from_files(folder, false, false, tokenizer);
}

static json_t *describe(const LsTokenizer *tokenizer) { return ls_wordpiece_json((const Wordpiece *)tokenizer); }

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    Wordpiece *wordpiece = NULL;
    LS_TRY(ls_wordpiece_new(object, "the tokenizer's JSON", &wordpiece));
    *tokenizer = &wordpiece->base;
    return LS_OK;
}

static void free_tokenizer(LsTokenizer *tokenizer) { ls_wordpiece_free((Wordpiece *)tokenizer); }

static LsStatus write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    return ls_wordpiece_write_files((const Wordpiece *)tokenizer, folder);
}

const LsTokenizerKind ls_tokenizer_kind_wordpiece = {
    .name = "wordpiece",
    .summary = "BERT's pieces of words, from a vocab.txt or tokenizer.json",
    .make = make,
    .describe = describe,
    .parse = parse,
    .free = free_tokenizer,
    .feed = feed,
    .free_memory = free_memory,
    .token = token,
    .write_folder = write_folder,
    .from_folder = from_folder,
};
