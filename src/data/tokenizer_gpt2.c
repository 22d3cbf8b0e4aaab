/* GPT-2's byte-pair encoding as a kind of tokenizer.
 *
 * Bytes that are no UTF-8 are kept: each longest run of bytes at which no character starts is a word of its own, and
 * the text before and after it is cut into words as if it stood alone. So every sequence of bytes has ids, and decoding
 * gives it back.
 */
#include "data/gpt2.h"
#include "data/nfc.h"
#include "data/utf8.h"
#include "data/word_cache.h"

typedef struct Memory {
    Gpt2Words *words;
    LsMerger *merger;
    LsKnownWord *known; /* NULL until a long text comes */
} Memory;

static void free_memory(void *memory)
{
    Memory *m = memory;
    ls_gpt2_words_free(m->words);
    ls_merger_free(m->merger);
    ls_free(m->known);
    ls_free(m);
}

static Memory *memory_of(LsEncoder *encoder, int64_t bytes)
{
    Memory *memory = encoder->memory;
    if (!memory) {
        memory = encoder->memory = ls_alloc(sizeof *memory);
        if (!memory)
            return NULL;
    }
    if (!memory->words && !(memory->words = ls_gpt2_words_new(((const Gpt2 *)encoder->tokenizer)->pattern)))
        return NULL;
    if (!memory->merger && !(memory->merger = ls_merger_new()))
        return NULL;
    if (!memory->known && bytes >= LS_KNOWN_FROM && !(memory->known = ls_word_cache_new()))
        return NULL;
    return memory;
}

/* ---- Encoding ---------------------------------------------------------------------------------------------------- */

/* Appends the tokens of the word text[from .. end). */
static LsStatus encode_word(LsEncoder *encoder, Memory *memory, const char *text, int64_t from, int64_t end,
                            LsTokens *tokens)
{
    const Gpt2 *gpt2 = (const Gpt2 *)encoder->tokenizer;
    const char *word = text + from;
    int64_t bytes = end - from, count = bytes;
    LS_TRY(ls_tokens_reserve(tokens, bytes));
    int32_t *id = tokens->id + tokens->count;
    LsKnownWord *known = ls_word_cache_place(memory->known, word, bytes);
    if (ls_word_cache_has(known, word, bytes)) {
        memcpy(id, known->id, known->count * sizeof *id);
        tokens->count += known->count;
        return LS_OK;
    }
    for (int64_t i = 0; i < bytes; i++) {
        id[i] = gpt2->byte_id[(unsigned char)word[i]];
        if (id[i] < 0)
            return ls_encoder_fail(encoder, text, from + i, "the vocabulary has no token for the byte 0x%02X",
                                   (unsigned char)word[i]);
    }
    LS_TRY(ls_merger_apply(&gpt2->merges, memory->merger, id, &count));
    tokens->count += count;
    ls_word_cache_put(known, word, bytes, id, count);
    return LS_OK;
}

/* Bytes after its end that a word may depend on: one more character of white space given back, and the character after
 * it (3 + 4). A contraction is told by 3 bytes from its start. */
#define LOOK_AHEAD 8

/* The words of text[from .. end), whole characters. more: the text goes on behind `end`. *used: where the words that
 * are certain end. */
static LsStatus encode_characters(LsEncoder *encoder, Memory *memory, const char *text, int64_t from, int64_t end,
                                  bool more, LsTokens *tokens, int64_t *used)
{
    *used = from;
    while (*used < end) {
        int64_t word_end;
        LS_TRY(ls_gpt2_word(memory->words, text + from, end - from, *used - from, &word_end));
        word_end += from;
        if (more && word_end + LOOK_AHEAD > end)
            break;
        LS_TRY(encode_word(encoder, memory, text, *used, word_end, tokens));
        *used = word_end;
    }
    return LS_OK;
}

/* Text of a vocabulary without normal form and added tokens. */
static LsStatus feed_plain(LsEncoder *encoder, Memory *memory, const char *text, int64_t bytes, bool last,
                           LsTokens *tokens, int64_t *used)
{
    int64_t at = 0;
    while (at < bytes) {
        int64_t end = at + ls_utf8_span(text + at, bytes - at);
        uint32_t code;
        bool cut = !last && (end == bytes || ls_utf8_decode(text + end, bytes - end, &code) < 0);
        if (end > at) {
            LS_TRY(encode_characters(encoder, memory, text, at, end, cut, tokens, &at));
            if (at < end)
                break;
            continue;
        }
        while (end < bytes) { /* a run of bytes that are no characters */
            int length = ls_utf8_decode(text + end, bytes - end, &code);
            if (length > 0 || (length < 0 && !last))
                break;
            end++;
        }
        if (!last && (end == bytes || ls_utf8_decode(text + end, bytes - end, &code) < 0))
            break;
        LS_TRY(encode_word(encoder, memory, text, at, end, tokens));
        at = end;
    }
    *used = at;
    return LS_OK;
}

/* Whole characters, all of them: normalized, added tokens taken out, the rest cut into words. */
static LsStatus encode_normalized(LsEncoder *encoder, Memory *memory, const char *text, int64_t bytes, LsTokens *tokens)
{
    const Gpt2 *gpt2 = (const Gpt2 *)encoder->tokenizer;
    LsStatus status = LS_OK;
    char *normal = NULL;
    int64_t at = 0, done;
    if (gpt2->nfc)
        LS_TRY(ls_nfc(text, bytes, &normal, &bytes));
    if (normal)
        text = normal;
    while (at < bytes && status == LS_OK) {
        const Gpt2Added *added;
        int64_t end = ls_gpt2_find_added(gpt2, text, at, bytes, &added);
        if (end > at)
            status = encode_characters(encoder, memory, text, at, end, false, tokens, &done);
        if (status == LS_OK && added && (status = ls_tokens_reserve(tokens, 1)) == LS_OK)
            tokens->id[tokens->count++] = added->id;
        at = end + (added ? added->bytes : 0);
    }
    ls_free(normal);
    return status;
}

/* Text of a vocabulary with normal form or added tokens: in parts whose tokens do not depend on each other. */
static LsStatus feed_parts(LsEncoder *encoder, Memory *memory, const char *text, int64_t bytes, bool last,
                           LsTokens *tokens, int64_t *used)
{
    while (*used < bytes) {
        int64_t end = ls_gpt2_cut((const Gpt2 *)encoder->tokenizer, text, *used, bytes);
        if (end < 0 && !last)
            return LS_OK;
        if (end < 0)
            end = bytes;
        for (int64_t at = *used; at < end;) {
            int64_t whole = ls_utf8_span(text + at, end - at), next = at + whole;
            uint32_t code;
            if (whole > 0)
                LS_TRY(encode_normalized(encoder, memory, text + at, whole, tokens));
            at = next;
            while (next < end && ls_utf8_decode(text + next, end - next, &code) <= 0)
                next++;
            if (next > at)
                LS_TRY(encode_word(encoder, memory, text, at, next, tokens));
            at = next;
        }
        *used = end;
    }
    return LS_OK;
}

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    const Gpt2 *gpt2 = (const Gpt2 *)encoder->tokenizer;
    Memory *memory = memory_of(encoder, bytes);
    if (!memory)
        return LS_RESOURCE;
    *used = 0;
    if (gpt2->nfc || gpt2->added_count > 0)
        return feed_parts(encoder, memory, text, bytes, last, tokens, used);
    return feed_plain(encoder, memory, text, bytes, last, tokens, used);
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    (void)room;
    const Gpt2 *gpt2 = (const Gpt2 *)tokenizer;
    *bytes = gpt2->start[id + 1] - gpt2->start[id];
    return gpt2->form[id] == GPT2_HOLE ? NULL : gpt2->bytes + gpt2->start[id];
}

/* ---- Making one -------------------------------------------------------------------------------------------------- */

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    const char *folder = options->folder;
    (void)part, (void)parts;
    Gpt2 *gpt2 = NULL;
    if (!folder)
        return ls_fail(
            LS_DATA,
            "the tokenizer gpt2 needs the folder of its vocabulary (encoder.json and vocab.bpe); datasets/gpt2-bpe.sh "
            "fetches it");
    LS_TRY(ls_gpt2_read_folder(folder, &gpt2));
    if (!gpt2) { /* more than GPT-2's */
        *tokenizer = NULL;
        LS_TRY(ls_tokenizer_kind_subword.from_folder(folder, tokenizer));
        if (*tokenizer)
            return LS_OK;
    }
    if (!gpt2)
        return ls_fail(LS_DATA,
                       "%s: has neither encoder.json and vocab.bpe, nor vocab.json and merges.txt, nor tokenizer.json; "
                       "datasets/gpt2-bpe.sh fetches GPT-2's",
                       folder);
    *tokenizer = &gpt2->base;
    return LS_OK;
}

static json_t *describe(const LsTokenizer *tokenizer)
{
    const Gpt2 *gpt2 = (const Gpt2 *)tokenizer;
    json_t *object =
        json_pack("{s:o, s:o}", "vocabulary", ls_gpt2_vocabulary_json(gpt2), "merges", ls_gpt2_merges_json(gpt2));
    if (object && gpt2->nfc)
        json_object_set_new(object, "nfc", json_true());
    if (object && gpt2->added_count > 0)
        json_object_set_new(object, "added", ls_gpt2_added_json(gpt2));
    return object;
}

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    Gpt2 *gpt2 = NULL;
    LS_TRY(ls_gpt2_new(json_object_get(object, "vocabulary"), "the tokenizer's JSON, \"vocabulary\"",
                       json_object_get(object, "merges"), "the tokenizer's JSON, merge", 0, &gpt2));
    gpt2->nfc = json_is_true(json_object_get(object, "nfc"));
    const json_t *added = json_object_get(object, "added");
    LsStatus status = added ? ls_gpt2_set_added(gpt2, added, "the tokenizer's JSON, \"added\"") : LS_OK;
    if (status == LS_OK)
        *tokenizer = &gpt2->base;
    else
        ls_gpt2_free(gpt2);
    return status;
}

static void free_tokenizer(LsTokenizer *tokenizer) { ls_gpt2_free((Gpt2 *)tokenizer); }

static LsStatus write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    return ls_gpt2_write_folder((const Gpt2 *)tokenizer, folder);
}

static LsStatus from_folder(const char *folder, LsTokenizer **tokenizer)
{
    Gpt2 *gpt2 = NULL;
    LS_TRY(ls_gpt2_read_folder(folder, &gpt2));
    *tokenizer = gpt2 ? &gpt2->base : NULL;
    return LS_OK;
}

const LsTokenizerKind ls_tokenizer_kind_gpt2 = {
    .name = "gpt2",
    .summary = "byte-pair encoding of GPT-2 (50,257 tokens) or any vocabulary of its form; any file",
    .folder = "data/gpt2-bpe", /* where datasets/gpt2-bpe.sh puts it */
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
