/* The tokenizer of RWKV's World models: of the vocabulary the longest token that the bytes go on with, again and again.
 * Any bytes are a text where the vocabulary has all bytes, as the published one has. Id 0 ends a text. Its JSON is the
 * files that it was read from:
 *
 *     {"kind": "rwkv_world", "files": {"rwkv_vocab_v20230424.txt": text, ...}}
 */
#include "data/byte_trie.h"
#include "data/rwkv_vocabulary.h"
#include "data/tokenizer_kind.h"
#include "io/file.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define VOCABULARY_FILE "rwkv_vocab_v20230424.txt"

typedef struct World {
    LsTokenizer base;
    LsRwkvVocabulary tokens;
    LsByteTrie *trie;
} World;

/* ---- Encoding ---------------------------------------------------------------------------------------------------- */

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    const World *world = (const World *)encoder->tokenizer;
    for (*used = 0; *used < bytes;) {
        int64_t length = 0;
        bool open = false;
        int32_t id = ls_byte_trie_longest(world->trie, text + *used, bytes - *used, &length, &open);
        if (open && !last)
            return LS_OK;
        if (id < 0)
            return ls_encoder_fail(encoder, text, *used, "the vocabulary has no token for the byte 0x%02X",
                                   (unsigned char)text[*used]);
        LS_TRY(ls_tokens_reserve(tokens, 1));
        tokens->id[tokens->count++] = id;
        *used += length;
    }
    return LS_OK;
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    (void)room;
    const LsRwkvVocabulary *tokens = &((const World *)tokenizer)->tokens;
    *bytes = tokens->start[id + 1] - tokens->start[id];
    return tokens->bytes + tokens->start[id];
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

static void free_tokenizer(LsTokenizer *tokenizer)
{
    World *world = (World *)tokenizer;
    ls_rwkv_vocabulary_free(&world->tokens);
    ls_byte_trie_free(world->trie);
    ls_free(world->base.special);
    ls_free(world);
}

static LsStatus make_trie(const char *name, World *world)
{
    const LsRwkvVocabulary *tokens = &world->tokens;
    int32_t equal = -1;
    LsByteString *string = ls_alloc_array(tokens->tokens, sizeof *string);
    if (!string)
        return LS_RESOURCE;
    for (int64_t id = 1; id < tokens->tokens; id++)
        string[id - 1] =
            (LsByteString){tokens->bytes + tokens->start[id], tokens->start[id + 1] - tokens->start[id], (int32_t)id};
    LsStatus status = ls_byte_trie_new(string, tokens->tokens - 1, &world->trie, &equal);
    ls_free(string);
    if (status == LS_OK && equal >= 0) /* ids are numbers of lines */
        status = ls_fail(LS_DATA, "%s: line %d: has the text of a line before", name, (int)equal);
    return status;
}

/* From the vocabulary's text; `name` stands in messages. */
static LsStatus of_text(const char *name, const char *text, int64_t bytes, LsTokenizer **tokenizer)
{
    *tokenizer = NULL;
    World *world = ls_alloc(sizeof *world);
    if (!world)
        return LS_RESOURCE;
    LsStatus status = ls_rwkv_vocabulary_read(&(LsCorpusPart){name, text, bytes}, &world->tokens);
    if (status == LS_OK)
        status = make_trie(name, world);
    world->base = (LsTokenizer){&ls_tokenizer_kind_rwkv_world, world->tokens.tokens, 0, -1, -1, -1};
    if (status == LS_OK && !(world->base.special = ls_alloc_array(1, sizeof *world->base.special)))
        status = LS_RESOURCE;
    if (status == LS_OK) {
        world->base.special[0] = 0;
        world->base.specials = 1;
        *tokenizer = &world->base;
    } else
        free_tokenizer(&world->base);
    return status;
}

/* From the vocabulary at `path`; files: what is kept. */
static LsStatus of_path(const char *path, json_t *files, LsTokenizer **tokenizer)
{
    LsCorpusPart vocabulary = {0};
    LS_TRY(ls_raw_map(path, &vocabulary));
    LsStatus status = of_text(path, vocabulary.text, vocabulary.bytes, tokenizer);
    ls_raw_unmap(&vocabulary);
    if (status == LS_OK)
        (*tokenizer)->files = json_incref(files);
    return status;
}

/* A vocabulary by any name, which is kept by its published one. */
static LsStatus from_any_file(const char *path, LsTokenizer **tokenizer)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? ls_format("%.*s", (int)(slash - path) + (slash == path), path) : ls_strdup(".");
    json_t *files = json_object();
    LsStatus status = folder && files ? LS_OK : LS_RESOURCE;
    if (status == LS_OK)
        status = ls_tokenizer_keep_files(folder, (const char *const[]){name, NULL}, files);
    if (status == LS_OK && !json_object_get(files, name))
        status = ls_fail(LS_DATA, "%s: is not there", path);
    if (status == LS_OK && strcmp(name, VOCABULARY_FILE) != 0) {
        json_object_set(files, VOCABULARY_FILE, json_object_get(files, name));
        json_object_del(files, name);
    }
    if (status == LS_OK)
        status = of_path(path, files, tokenizer);
    json_decref(files);
    ls_free(folder);
    return status;
}

/* With the settings that stand beside the vocabulary, which are kept and not read. */
static LsStatus from_folder(const char *folder, LsTokenizer **tokenizer)
{
    static const char *const names[] = {VOCABULARY_FILE,
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        NULL};
    *tokenizer = NULL;
    if (!ls_file_exists_in(folder, VOCABULARY_FILE))
        return LS_OK;
    json_t *files = json_object();
    char *path = ls_format("%s/%s", folder, VOCABULARY_FILE);
    LsStatus status = files && path ? ls_tokenizer_keep_files(folder, names, files) : LS_RESOURCE;
    if (status == LS_OK)
        status = of_path(path, files, tokenizer);
    json_decref(files);
    ls_free(path);
    return status;
}

static LsStatus from_file(const char *path, LsTokenizer **tokenizer)
{
    const char *slash = strrchr(path, '/');
    *tokenizer = NULL;
    return fnmatch("rwkv_vocab*.txt", slash ? slash + 1 : path, 0) == 0 ? from_any_file(path, tokenizer) : LS_OK;
}

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    struct stat info;
    (void)part, (void)parts;
    *tokenizer = NULL;
    if (!options->folder)
        return ls_fail(LS_DATA,
                       "the tokenizer rwkv_world needs --vocabulary: a " VOCABULARY_FILE ", or a folder with one");
    bool folder = stat(options->folder, &info) == 0 && S_ISDIR(info.st_mode);
    LS_TRY(folder ? from_folder(options->folder, tokenizer) : from_any_file(options->folder, tokenizer));
    return *tokenizer ? LS_OK : ls_fail(LS_DATA, "%s: has no " VOCABULARY_FILE, options->folder);
}

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    const json_t *text = json_object_get(json_object_get(object, "files"), VOCABULARY_FILE);
    if (!json_is_string(text))
        return ls_fail(LS_DATA, "the tokenizer's JSON, \"files\": has no text " VOCABULARY_FILE);
    return of_text("the tokenizer's JSON, " VOCABULARY_FILE, json_string_value(text), (int64_t)json_string_length(text),
                   tokenizer);
}

static json_t *hash_json(const void *bytes, int64_t count)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, (size_t)count);
    return json_sprintf("%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
}

/* For the digest: the tokens. */
static json_t *describe(const LsTokenizer *tokenizer)
{
    const LsRwkvVocabulary *tokens = &((const World *)tokenizer)->tokens;
    return json_pack("{s:o, s:o}", "tokens", hash_json(tokens->bytes, tokens->start[tokens->tokens]), "places",
                     hash_json(tokens->start, (tokens->tokens + 1) * (int64_t)sizeof *tokens->start));
}

const LsTokenizerKind ls_tokenizer_kind_rwkv_world = {
    .name = "rwkv_world",
    .summary = "RWKV's World models' own: the longest token of " VOCABULARY_FILE "; any file",
    .of_files = true,
    .make = make,
    .describe = describe,
    .parse = parse,
    .free = free_tokenizer,
    .feed = feed,
    .token = token,
    .from_folder = from_folder,
    .from_file = from_file,
};
