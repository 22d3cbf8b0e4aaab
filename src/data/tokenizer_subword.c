/* Tokenizers of published models as a kind of tokenizer. Its JSON is the files that it was read from:
 *
 *     {"kind": "subword", "files": {"tokenizer.json": text, "tokenizer_config.json": text, ...}}
 *
 * Bytes that are no UTF-8 are kept where the vocabulary has tokens for bytes: each longest run of them is a word.
 */
#include "data/subword.h"

#include "data/characters.h"
#include "data/sentencepiece.h"
#include "data/utf8.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static void free_memory(void *memory)
{
    SubwordMemory *m = memory;
    ls_merger_free(m->merger);
    ls_free(m->known);
    ls_pattern_free(m->pattern);
    ls_piece_memory_free(m->piece);
    for (size_t i = 0; i < LS_COUNT_OF(m->room); i++)
        ls_free(m->room[i]);
    ls_free(m);
}

static SubwordMemory *memory_of(LsEncoder *encoder, int64_t bytes)
{
    SubwordMemory *memory = encoder->memory;
    if (!memory && !(memory = encoder->memory = ls_alloc(sizeof *memory)))
        return NULL;
    if (!memory->merger && !(memory->merger = ls_merger_new()))
        return NULL;
    if (!memory->pattern && !(memory->pattern = ls_pattern_new()))
        return NULL;
    if (!memory->known && bytes >= LS_KNOWN_FROM && !(memory->known = ls_word_cache_new()))
        return NULL;
    return memory;
}

/* ---- Encoding ---------------------------------------------------------------------------------------------------- */

/* A part of a text between bytes that are no characters. */
typedef struct Part {
    const SubwordRun *run;
    bool first;
} Part;

static LsStatus take_added(const Part *part, const SubwordAdded *found)
{
    LsTokens *tokens = part->run->tokens;
    LS_TRY(ls_tokens_reserve(tokens, 1));
    tokens->id[tokens->count++] = found->id;
    part->run->memory->inside = false;
    return LS_OK;
}

static LsStatus take_normal(void *self, const char *text, int64_t bytes, const SubwordAdded *found)
{
    Part *part = self;
    bool first = part->first;
    part->first = false;
    if (found)
        return take_added(part, found);
    LS_TRY(ls_subword_words(part->run, text, bytes, first, part->run->memory->inside));
    part->run->memory->inside = true;
    return LS_OK;
}

static LsStatus take_raw(void *self, const char *text, int64_t bytes, const SubwordAdded *found)
{
    Part *part = self;
    if (found) {
        part->first = false;
        return take_added(part, found);
    }
    const Subword *subword = part->run->subword;
    LS_TRY(ls_subword_normal(subword, part->run->memory, text, bytes, part->run->memory->inside, &text, &bytes));
    return ls_subword_added_cut(&subword->normal, text, bytes, take_normal, part);
}

/* Characters, and runs of bytes that are none. */
static LsStatus encode_segment(const SubwordRun *run, const char *text, int64_t bytes, bool first)
{
    const Subword *subword = run->subword;
    Part part = {run, first};
    uint32_t code;
    for (int64_t at = 0; at < bytes;) {
        int64_t whole = ls_utf8_span(text + at, bytes - at), next = at + whole;
        if (whole > 0)
            LS_TRY(ls_subword_added_cut(&subword->raw, text + at, whole, take_raw, &part));
        at = next;
        while (next < bytes && ls_utf8_decode(text + next, bytes - next, &code) <= 0)
            next++;
        if (next > at && !subword->level && !(subword->byte_fallback && subword->all_bytes))
            return ls_encoder_fail_malformed(run->encoder, text, bytes, at);
        if (next > at) {
            LS_TRY(ls_subword_word(run, text + at, next - at));
            run->memory->inside = true;
            part.first = false;
        }
        at = next;
    }
    return LS_OK;
}

/* ---- Parts of long texts ----------------------------------------------------------------------------------------- */

#define LEAST_SEGMENT 512 /* bytes */

/* The character that ends at text[at], 0 where none does. */
static uint32_t character_before(const char *text, int64_t from, int64_t at, int *length)
{
    uint32_t code;
    for (*length = 1; *length <= 4 && at - *length >= from; ++*length)
        if (ls_utf8_decode(text + at - *length, *length, &code) == *length)
            return code;
    return 0;
}

/* Whether the text may be cut before text[at]: a letter and a blank meet there, or what is no blank, a line's end and a
 * letter; and no merge joins the two. */
static bool may_cut(const Subword *subword, const char *text, int64_t from, int64_t at, int64_t end)
{
    int length;
    uint32_t right = 0, left = character_before(text, from, at, &length);
    if (ls_utf8_decode(text + at, end - at, &right) <= 0)
        return false;
    if (right == ' ' || right == '\n') {
        if (!ls_is_cut_letter(left))
            return false;
    } else if (left != '\n' || !ls_is_cut_letter(right) || character_before(text, from, at - 1, &length) == 0 ||
               ls_is_space(character_before(text, from, at - 1, &length)))
        return false;
    if (subword->level || subword->merges.count == 0)
        return true;
    uint32_t small_left[2] = {left, left}, small_right[2] = {right, right};
    for (int i = 0; i < subword->normal_steps; i++)
        if (subword->normals[i].kind == SUBWORD_LOWERCASE) {
            ls_small_letters(left, small_left);
            ls_small_letters(right, small_right);
        }
    return !ls_subword_is_inner(subword, small_left[0], small_right[0]) && (right != ' ' || subword->signs_part);
}

static int64_t find_cut(const Subword *subword, const char *text, int64_t from, int64_t end)
{
    for (int64_t at = from + LEAST_SEGMENT; subword->cuttable && at < end; at++)
        if ((text[at] == ' ' || text[at] == '\n' || text[at - 1] == '\n') && may_cut(subword, text, from, at, end))
            return at;
    return -1;
}

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    const Subword *subword = (const Subword *)encoder->tokenizer;
    SubwordMemory *memory = memory_of(encoder, bytes);
    if (!memory)
        return LS_RESOURCE;
    *used = 0;
    if (subword->piece)
        return ls_sentencepiece_feed(&(SubwordRun){encoder, subword, memory, tokens, text}, text, bytes, last, used);
    while (*used < bytes) {
        int64_t end = find_cut(subword, text, *used, bytes);
        if (end < 0 && !last)
            return LS_OK;
        if (end < 0)
            end = bytes;
        SubwordRun run = {encoder, subword, memory, tokens, text + *used};
        LS_TRY(encode_segment(&run, text + *used, end - *used, !memory->started));
        memory->started = true;
        *used = end;
    }
    return LS_OK;
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    (void)room;
    const Subword *subword = (const Subword *)tokenizer;
    *bytes = subword_length(&subword->spoken, id);
    return subword->has[id] ? subword->spoken.bytes + subword->spoken.start[id] : NULL;
}

/* ---- Description ------------------------------------------------------------------------------------------------- */

static json_t *hash_json(const void *bytes, size_t count)
{
    char text[40];
    XXH128_hash_t hash = XXH3_128bits(bytes, count);
    snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
    return json_string(text);
}

static json_t *ids_json(const int32_t *ids, int64_t count)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static void describe_added(const SubwordAddedSet *set, json_t *list)
{
    for (int64_t i = 0; i < set->count; i++) {
        const SubwordAdded *added = &set->list[i];
        json_array_append_new(list, json_pack("[i, o, i]", (int)added->id, hash_json(added->text, (size_t)added->bytes),
                                              added->single_word + 2 * added->lstrip + 4 * added->rstrip));
    }
}

/* The contents of a tokenizer.model as hashes and flags, for comparing tokenizers. */
static json_t *describe_piece(const SentencePiece *piece, int64_t vocabulary)
{
    if (!piece)
        return json_null();
    return json_pack("[o, o, o, o, b, b, b, b, b]", hash_json(piece->score, (size_t)vocabulary * sizeof *piece->score),
                     hash_json(piece->type, (size_t)vocabulary),
                     hash_json(piece->rule, (size_t)piece->rules * sizeof *piece->rule),
                     hash_json(piece->normal, (size_t)piece->normal_bytes), piece->unigram, piece->as_suffix,
                     piece->dummy_prefix, piece->extra_blanks_go, piece->escapes);
}

/* All that decides how text becomes ids, for the digest; what is long by its hash. */
static json_t *describe(const LsTokenizer *tokenizer)
{
    const Subword *subword = (const Subword *)tokenizer;
    const SubwordTexts *names = &subword->names;
    json_t *raw = json_array(), *normal = json_array(), *steps = json_array();
    describe_added(&subword->raw, raw);
    describe_added(&subword->normal, normal);
    for (int i = 0; i < subword->normal_steps; i++) {
        const SubwordNormalStep *step = &subword->normals[i];
        json_array_append_new(steps, json_pack("[s, i, s?, s?, s?]", "normal", (int)step->kind, step->find, step->with,
                                               step->expression));
    }
    for (int i = 0; i < subword->split_steps; i++) {
        const SubwordSplitStep *step = &subword->splits[i];
        json_array_append_new(steps, json_pack("[s, i, i, i, i, i, s, s?, s?]", "split", (int)step->kind,
                                               (int)step->behavior, (int)step->invert, (int)step->prepend,
                                               (int)step->splits, step->sign, step->find, step->expression));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:[b, b, b, b, I], s:o, s:o, s:o, s:o, s:o}", "piece",
                     describe_piece(subword->piece, subword->base.vocabulary), "tokens",
                     hash_json(names->bytes, (size_t)names->start[names->count]), "lengths",
                     hash_json(names->start, (size_t)(names->count + 1) * sizeof *names->start), "merges",
                     hash_json(subword->merges.list, (size_t)subword->merges.count * sizeof *subword->merges.list),
                     "flags", subword->level, subword->byte_fallback, subword->fuse_unknown, subword->whole_words,
                     (json_int_t)subword->base.unknown, "raw", raw, "normal", normal, "steps", steps, "before",
                     ids_json(subword->base.before, subword->base.befores), "after",
                     ids_json(subword->base.after, subword->base.afters));
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

static LsStatus from_path(const char *path, LsTokenizer **tokenizer)
{
    json_t *files = NULL;
    Subword *subword = NULL;
    LS_TRY(ls_subword_read_files(path, &files));
    *tokenizer = NULL;
    if (!files)
        return LS_OK;
    LsStatus status = ls_subword_of_files(path, files, &subword);
    if (status == LS_OK) {
        subword->base.files = json_incref(files);
        *tokenizer = &subword->base;
    }
    json_decref(files);
    return status;
}

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    (void)part, (void)parts;
    *tokenizer = NULL;
    if (!options->folder)
        return ls_fail(LS_DATA,
                       "the tokenizer subword needs --vocabulary: a folder with a tokenizer.json, with vocab.json "
                       "and merges.txt, or with a tokenizer.model, or one of these files");
    LS_TRY(from_path(options->folder, tokenizer));
    if (!*tokenizer)
        return ls_fail(LS_DATA, "%s: has neither tokenizer.json, nor vocab.json and merges.txt, nor tokenizer.model",
                       options->folder);
    return LS_OK;
}

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    Subword *subword = NULL;
    const json_t *files = json_object_get(object, "files");
    if (!json_is_object(files))
        return ls_fail(LS_DATA, "the tokenizer's JSON, \"files\": is not an object");
    LS_TRY(ls_subword_of_files("the tokenizer's JSON", files, &subword));
    *tokenizer = &subword->base;
    return LS_OK;
}

static void free_tokenizer(LsTokenizer *tokenizer) { ls_subword_free((Subword *)tokenizer); }

const LsTokenizerKind ls_tokenizer_kind_subword = {
    .name = "subword",
    .summary = "a published model's own: tokenizer.json, vocab.json and merges.txt, or tokenizer.model",
    .of_files = true,
    .takes_special = true,
    .make = make,
    .describe = describe,
    .parse = parse,
    .free = free_tokenizer,
    .feed = feed,
    .free_memory = free_memory,
    .token = token,
    .from_folder = from_path,
    .from_file = from_path,
};
