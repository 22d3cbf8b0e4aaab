/* Words to byte pairs. */
#include "data/subword.h"

#include "data/utf8.h"

/* ---- Pairs of characters inside tokens ---------------------------------------------------------------------------
 * A merge never joins two characters that stand beside each other in no token that merges make. There a word of
 * characters falls into pieces, each with the tokens that it has alone: short ones, which are soon known by heart. */

static uint64_t pair_of(uint32_t left, uint32_t right) { return (uint64_t)left << 32 | right; }

static uint64_t *inner_place(const Subword *subword, uint64_t pair)
{
    uint64_t mask = (uint64_t)subword->inner_slots - 1, at = pair * 0x9E3779B97F4A7C15u >> 20;
    while (subword->inner[at & mask] != 0 && subword->inner[at & mask] != pair)
        at++;
    return &subword->inner[at & mask];
}

bool ls_subword_is_inner(const Subword *subword, uint32_t left, uint32_t right)
{
    return *inner_place(subword, pair_of(left, right)) != 0;
}

static void add_inner(Subword *subword, int64_t id)
{
    const char *text = subword->names.bytes + subword->names.start[id];
    int64_t bytes = subword_length(&subword->names, id);
    uint32_t left = 0, right;
    for (int64_t at = 0; at < bytes; left = right) {
        int length = ls_utf8_decode(text + at, bytes - at, &right);
        if (at > 0)
            *inner_place(subword, pair_of(left, right)) = pair_of(left, right);
        at += length > 0 ? length : 1;
    }
}

LsStatus ls_subword_inner(Subword *subword)
{
    int64_t pairs = subword->piece ? subword->names.start[subword->names.count] : 0;
    for (int64_t i = 0; i < subword->merges.count; i++)
        pairs += subword_length(&subword->names, subword->merges.list[i].result);
    subword->inner_slots = 64;
    while (subword->inner_slots < 2 * pairs)
        subword->inner_slots *= 2;
    subword->inner = ls_alloc_array(subword->inner_slots, sizeof *subword->inner);
    if (!subword->inner)
        return LS_RESOURCE;
    for (int64_t i = 0; i < subword->merges.count; i++)
        add_inner(subword, subword->merges.list[i].result);
    for (int64_t id = 0; subword->piece && id < subword->names.count; id++)
        add_inner(subword, id);
    return LS_OK;
}

/* ---- What a word begins as --------------------------------------------------------------------------------------- */

/* The tokens of the bytes of a word; LS_DATA for one that has none. */
static LsStatus begin_bytes(const SubwordRun *run, const char *word, int64_t bytes, int32_t *id, int64_t *count)
{
    for (int64_t i = 0; i < bytes; i++) {
        id[i] = run->subword->byte_id[(unsigned char)word[i]];
        if (id[i] < 0)
            return ls_encoder_fail(run->encoder, run->place, 0, "the vocabulary has no token for the byte 0x%02X",
                                   (unsigned char)word[i]);
    }
    *count = bytes;
    return LS_OK;
}

static bool has_bytes(const Subword *subword, const char *text, int length)
{
    for (int i = 0; i < length; i++)
        if (subword->byte_id[(unsigned char)text[i]] < 0)
            return false;
    return subword->byte_fallback;
}

/* The tokens of the characters of a word: one each; its bytes where it has none; else the unknown one. */
static LsStatus begin_characters(const SubwordRun *run, const char *word, int64_t bytes, int32_t *id, int64_t *count)
{
    const Subword *subword = run->subword;
    bool unknown = false;
    uint32_t code;
    int length;
    *count = 0;
    for (int64_t at = 0; at < bytes; at += length) {
        length = ls_utf8_decode(word + at, bytes - at, &code);
        length = length > 0 ? length : 1; /* a byte that is no character: fallback alone takes it */
        int32_t found = ls_subword_index_find(&subword->index, &subword->names, word + at, length);
        if (found >= 0)
            id[(*count)++] = found;
        else if (has_bytes(subword, word + at, length))
            for (int i = 0; i < length; i++)
                id[(*count)++] = subword->byte_id[(unsigned char)word[at + i]];
        else if (subword->base.unknown < 0)
            return ls_encoder_fail(run->encoder, run->place, 0,
                                   "the vocabulary has no token for the character '%.*s', and none for unknown ones",
                                   length, word + at);
        else if (!unknown || !subword->fuse_unknown)
            id[(*count)++] = (int32_t)subword->base.unknown;
        unknown = found < 0 && !has_bytes(subword, word + at, length);
    }
    return LS_OK;
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

/* A word, or a piece of one that no merge goes out of. */
static LsStatus take_piece(const SubwordRun *run, const char *word, int64_t bytes, bool whole)
{
    const Subword *subword = run->subword;
    int64_t count = 0;
    LS_TRY(ls_tokens_reserve(run->tokens, bytes));
    int32_t *id = run->tokens->id + run->tokens->count;
    LsKnownWord *known = ls_word_cache_place(run->memory->known, word, bytes);
    if (ls_word_cache_has(known, word, bytes)) {
        memcpy(id, known->id, known->count * sizeof *id);
        run->tokens->count += known->count;
        return LS_OK;
    }
    int32_t token =
        whole && subword->whole_words ? ls_subword_index_find(&subword->index, &subword->names, word, bytes) : -1;
    if (token >= 0)
        id[count++] = token;
    else {
        LS_TRY((subword->level ? begin_bytes : begin_characters)(run, word, bytes, id, &count));
        LS_TRY(ls_merger_apply(&subword->merges, run->memory->merger, id, &count));
    }
    run->tokens->count += count;
    ls_word_cache_put(known, word, bytes, id, count);
    return LS_OK;
}

static LsStatus take_pieces(const SubwordRun *run, const char *word, int64_t bytes)
{
    const Subword *subword = run->subword;
    uint32_t left = 0, right = 0;
    int64_t from = 0;
    for (int64_t at = 0; at < bytes; left = right) {
        int length = ls_utf8_decode(word + at, bytes - at, &right);
        if (at > from && !ls_subword_is_inner(subword, left, right)) {
            LS_TRY(take_piece(run, word + from, at - from, false));
            from = at;
        }
        at += length > 0 ? length : 1;
    }
    return take_piece(run, word + from, bytes - from, false);
}

LsStatus ls_subword_word(const SubwordRun *run, const char *word, int64_t bytes)
{
    const Subword *subword = run->subword;
    if (subword->level || subword->merges.count == 0)
        return take_piece(run, word, bytes, true);
    if (subword->whole_words) {
        int32_t token = ls_subword_index_find(&subword->index, &subword->names, word, bytes);
        if (token >= 0) {
            LS_TRY(ls_tokens_reserve(run->tokens, 1));
            run->tokens->id[run->tokens->count++] = token;
            return LS_OK;
        }
    }
    /* unknown characters become one across the border of pieces */
    bool fuses = subword->fuse_unknown && !subword->byte_fallback;
    return fuses ? take_piece(run, word, bytes, true) : take_pieces(run, word, bytes);
}
