/* SentencePiece's normal form to ids: the likeliest path of unigrams, or byte pairs by their scores. */
#include "data/sentencepiece.h"

#include "data/utf8.h"

#define BLANK_SIGN "\xE2\x96\x81"
#define UNKNOWN_PENALTY 10.0f
#define MOST_SUM -32768.0f
#define LEAST_SEGMENT 512 /* bytes of unigrams that are coded at once, where they can be more */

static int character_length(const char *text, int64_t bytes)
{
    uint32_t code;
    int length = ls_utf8_decode(text, bytes, &code);
    return length > 0 ? length : 1;
}

/* ---- Pieces to ids ----------------------------------------------------------------------------------------------- */

/* An unknown piece becomes its bytes, or one with an unknown one before it. */
static LsStatus put_piece(const SubwordRun *run, PieceMemory *memory, int32_t id, const char *text, int64_t bytes)
{
    const Subword *subword = run->subword;
    LsTokens *tokens = run->tokens;
    bool unknown = id == subword->base.unknown;
    LS_TRY(ls_tokens_reserve(tokens, bytes + 1));
    if (unknown && subword->byte_fallback)
        for (int64_t i = 0; i < bytes; i++)
            tokens->id[tokens->count++] = subword->byte_id[(unsigned char)text[i]];
    else if (!unknown || !memory->after_unknown)
        tokens->id[tokens->count++] = id;
    memory->after_unknown = unknown && !subword->byte_fallback;
    return LS_OK;
}

/* ---- Unigrams ---------------------------------------------------------------------------------------------------- */

/* The best path that ends behind a byte. */
typedef struct PieceStep {
    float score;
    int32_t id, from; /* from: -1: no path ends here */
} PieceStep;

static int32_t child_of(const SentencePiece *piece, int32_t node, unsigned char byte)
{
    uint64_t key = ((uint64_t)(uint32_t)node << 8 | byte) + 1, mask = (uint64_t)piece->nodes - 1;
    for (uint64_t at = key * 0x9E3779B97F4A7C15u >> 24;; at++) {
        const PieceNode *place = &piece->node[at & mask];
        if (place->key == key || place->key == 0)
            return place->key ? place->node : -1;
    }
}

static int32_t add_child(SentencePiece *piece, int32_t node, unsigned char byte, int32_t *used)
{
    uint64_t key = ((uint64_t)(uint32_t)node << 8 | byte) + 1, mask = (uint64_t)piece->nodes - 1;
    uint64_t at = key * 0x9E3779B97F4A7C15u >> 24;
    while (piece->node[at & mask].key != 0)
        at++;
    piece->node[at & mask] = (PieceNode){key, *used};
    piece->piece_at[*used] = -1;
    return (*used)++;
}

LsStatus ls_sentencepiece_tree(Subword *subword)
{
    SentencePiece *piece = subword->piece;
    const SubwordTexts *names = &subword->names;
    int64_t bytes = names->start[names->count];
    int32_t used = 1;
    if (bytes >= INT32_MAX / 2)
        return ls_fail(LS_DATA, "pieces of %lld bytes altogether", (long long)bytes);
    piece->nodes = 64;
    while (piece->nodes < 2 * bytes)
        piece->nodes *= 2;
    piece->node = ls_alloc_array(piece->nodes, sizeof *piece->node);
    piece->piece_at = ls_alloc_array(bytes + 1, sizeof *piece->piece_at);
    if (!piece->node || !piece->piece_at)
        return LS_RESOURCE;
    piece->piece_at[0] = -1;
    for (int64_t id = 0; id < names->count; id++) {
        if (piece->type[id] != PIECE_NORMAL && piece->type[id] != PIECE_USER_DEFINED)
            continue;
        int32_t node = 0;
        for (int64_t at = names->start[id]; at < names->start[id + 1]; at++) {
            int32_t next = child_of(piece, node, (unsigned char)names->bytes[at]);
            node = next >= 0 ? next : add_child(piece, node, (unsigned char)names->bytes[at], &used);
        }
        piece->piece_at[node] = (int32_t)id;
    }
    return LS_OK;
}

static void offer(PieceStep *to, double score, int32_t id, int64_t from)
{
    if (to->from < 0 || score > (double)to->score)
        *to = (PieceStep){(float)score, id, (int32_t)from};
}

/* Paths go on from text[from] by each piece that begins there; the unknown one where no piece is its character. Sums
 * are floats, as the library's: where two paths are nearly alike, rounding decides. */
static void extend_paths(const Subword *subword, PieceStep *step, const char *text, int64_t bytes, int64_t from)
{
    const SentencePiece *piece = subword->piece;
    float best = step[from].score;
    int length = character_length(text + from, bytes - from);
    bool single = false;
    int32_t node = 0;
    for (int64_t at = from; at < bytes && (node = child_of(piece, node, (unsigned char)text[at])) >= 0; at++) {
        int32_t id = piece->piece_at[node];
        if (id < 0)
            continue;
        float bonus = (float)(at + 1 - from) * piece->most;
        double score = piece->type[id] == PIECE_USER_DEFINED ? (double)bonus - 0.1 + (double)best
                                                             : (double)(piece->score[id] + best);
        offer(&step[at + 1], score, id, from);
        single = single || at + 1 - from == length;
    }
    if (!single)
        offer(&step[from + length], (double)(piece->least - UNKNOWN_PENALTY + best), (int32_t)subword->base.unknown,
              from);
}

static LsStatus code_unigrams(const SubwordRun *run, PieceMemory *memory, const char *text, int64_t bytes)
{
    if (bytes + 1 > memory->steps) {
        ls_free(memory->step);
        memory->steps = 2 * bytes + 64;
        memory->step = ls_alloc_array(memory->steps, sizeof *memory->step);
        if (!memory->step) {
            memory->steps = 0;
            return LS_RESOURCE;
        }
    }
    PieceStep *step = memory->step;
    for (int64_t i = 0; i <= bytes; i++)
        step[i].from = -1;
    step[0].score = memory->carry;
    for (int64_t at = 0; at < bytes; at += character_length(text + at, bytes - at))
        extend_paths(run->subword, step, text, bytes, at);
    /* all paths meet here, so that sums may begin anew before floats lose what tells them apart */
    memory->carry = step[bytes].score < MOST_SUM ? 0 : step[bytes].score;
    /* the path, turned round: each step's `from` becomes where the piece that begins there ends */
    int32_t end = (int32_t)bytes, next_end = -1, next_id = -1;
    while (end >= 0) {
        int32_t from = step[end].from, id = step[end].id;
        step[end].from = next_end;
        step[end].id = next_id;
        next_end = end;
        next_id = id;
        end = end == 0 ? -1 : from;
    }
    for (int32_t at = 0; at < bytes; at = step[at].from)
        LS_TRY(put_piece(run, memory, step[at].id, text + at, step[at].from - at));
    return LS_OK;
}

/* ---- Byte pairs -------------------------------------------------------------------------------------------------- */

typedef struct PieceSymbol {
    int32_t from, bytes; /* bytes 0: it is part of one before it */
    int32_t before, next;
} PieceSymbol;

typedef struct PiecePair {
    float score;
    int32_t left, right, bytes;
} PiecePair;

/* The best score first, then the leftmost. */
static bool goes_first(PiecePair a, PiecePair b) { return a.score != b.score ? a.score > b.score : a.left < b.left; }

static void push_pair(PiecePair *heap, int64_t *count, PiecePair pair)
{
    int64_t at = (*count)++;
    for (; at > 0 && goes_first(pair, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = pair;
}

static PiecePair pop_pair(PiecePair *heap, int64_t *count)
{
    PiecePair top = heap[0], last = heap[--*count];
    int64_t at = 0, child;
    while ((child = 2 * at + 1) < *count) {
        if (child + 1 < *count && goes_first(heap[child + 1], heap[child]))
            child++;
        if (!goes_first(heap[child], last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* Symbols left and right, if together they are a piece. */
static void consider_pair(const Subword *subword, PieceMemory *memory, const char *text, int32_t left, int32_t right,
                          int64_t *pairs)
{
    if (left < 0 || right < 0)
        return;
    const PieceSymbol *a = &memory->symbol[left], *b = &memory->symbol[right];
    int32_t id = ls_subword_index_find(&subword->index, &subword->names, text + a->from, a->bytes + b->bytes);
    if (id >= 0)
        push_pair(memory->pair, pairs, (PiecePair){subword->piece->score[id], left, right, a->bytes + b->bytes});
}

static LsStatus reserve_symbols(PieceMemory *memory, int64_t bytes)
{
    if (bytes <= memory->symbols)
        return LS_OK;
    ls_free(memory->symbol);
    ls_free(memory->pair);
    memory->symbols = 2 * bytes + 64;
    memory->symbol = ls_alloc_array(memory->symbols, sizeof *memory->symbol);
    memory->pair = ls_alloc_array(3 * memory->symbols, sizeof *memory->pair);
    if (memory->symbol && memory->pair)
        return LS_OK;
    memory->symbols = 0;
    return LS_RESOURCE;
}

static LsStatus merge_pairs(const SubwordRun *run, PieceMemory *memory, const char *text, int64_t bytes)
{
    const Subword *subword = run->subword;
    int64_t pairs = 0;
    int32_t count = 0;
    LS_TRY(reserve_symbols(memory, bytes));
    PieceSymbol *symbol = memory->symbol;
    for (int64_t at = 0; at < bytes; count++) {
        int length = character_length(text + at, bytes - at);
        symbol[count] = (PieceSymbol){(int32_t)at, length, count - 1, at + length < bytes ? count + 1 : -1};
        at += length;
    }
    for (int32_t i = 1; i < count; i++)
        consider_pair(subword, memory, text, i - 1, i, &pairs);
    while (pairs > 0) {
        PiecePair top = pop_pair(memory->pair, &pairs);
        PieceSymbol *left = &symbol[top.left], *right = &symbol[top.right];
        if (left->bytes == 0 || right->bytes == 0 || left->bytes + right->bytes != top.bytes)
            continue;
        left->bytes += right->bytes;
        left->next = right->next;
        right->bytes = 0;
        if (left->next >= 0)
            symbol[left->next].before = top.left;
        consider_pair(subword, memory, text, left->before, top.left, &pairs);
        consider_pair(subword, memory, text, top.left, left->next, &pairs);
    }
    for (int32_t i = 0; i >= 0; i = symbol[i].next) {
        int32_t id = ls_subword_index_find(&subword->index, &subword->names, text + symbol[i].from, symbol[i].bytes);
        LS_TRY(put_piece(run, memory, id >= 0 ? id : (int32_t)subword->base.unknown, text + symbol[i].from,
                         symbol[i].bytes));
    }
    return LS_OK;
}

/* Short words are known by heart where no unknown piece goes on from one to the next. */
static LsStatus code_pairs(const SubwordRun *run, PieceMemory *memory, const char *text, int64_t bytes)
{
    LsTokens *tokens = run->tokens;
    LsKnownWord *known = run->subword->byte_fallback ? ls_word_cache_place(run->memory->known, text, bytes) : NULL;
    int64_t before = tokens->count;
    if (!ls_word_cache_has(known, text, bytes)) {
        LS_TRY(merge_pairs(run, memory, text, bytes));
        ls_word_cache_put(known, text, bytes, tokens->id + before, tokens->count - before);
        return LS_OK;
    }
    LS_TRY(ls_tokens_reserve(tokens, known->count));
    memcpy(tokens->id + tokens->count, known->id, known->count * sizeof *known->id);
    tokens->count += known->count;
    return LS_OK;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

/* A piece that was defined by a user at text[0]: the longest; NULL where there is none. */
static const SubwordAdded *defined_at(const SentencePiece *piece, const char *text, int64_t bytes)
{
    for (int32_t i = piece->defined.first[(unsigned char)text[0]]; i >= 0; i = piece->defined.next[i])
        if (piece->defined.list[i].bytes <= bytes &&
            memcmp(text, piece->defined.list[i].text, (size_t)piece->defined.list[i].bytes) == 0)
            return &piece->defined.list[i];
    return NULL;
}

/* Where the signs of blanks at the end begin, which go where nothing follows them. */
static int64_t without_end_blanks(const SentencePiece *piece, const PieceMemory *memory)
{
    int64_t end = memory->bytes, length = sizeof BLANK_SIGN - 1;
    if (!piece->escapes)
        while (end > 0 && memory->text[end - 1] == ' ')
            end--;
    else
        while (end >= length && memcmp(memory->text + end - length, BLANK_SIGN, (size_t)length) == 0)
            end -= length;
    return end;
}

/* Codes what no piece goes out of; the rest stays in the memory, unless it is the last. */
static LsStatus code_text(const SubwordRun *run, PieceMemory *memory, bool last)
{
    const Subword *subword = run->subword;
    const SentencePiece *piece = subword->piece;
    int64_t from = 0, bytes = memory->bytes, certain = last ? bytes : without_end_blanks(piece, memory);
    uint32_t left = 0, right = 0;
    for (int64_t at = 0; at < bytes; left = right) {
        int length = ls_utf8_decode(memory->text + at, bytes - at, &right);
        bool ends = at > from && at <= certain && !ls_subword_is_inner(subword, left, right);
        if (ends && (!piece->unigram || at - from >= LEAST_SEGMENT)) {
            LS_TRY((piece->unigram ? code_unigrams : code_pairs)(run, memory, memory->text + from, at - from));
            from = at;
        }
        if (!piece->unigram && !last && bytes - at < piece->longest_defined)
            break;
        const SubwordAdded *defined = piece->unigram ? NULL : defined_at(piece, memory->text + at, bytes - at);
        if (!defined) {
            at += length > 0 ? length : 1;
            continue;
        }
        if (at > from)
            LS_TRY(code_pairs(run, memory, memory->text + from, at - from));
        LS_TRY(put_piece(run, memory, defined->id, memory->text + at, defined->bytes));
        from = at += defined->bytes;
    }
    if (last && from < bytes) {
        LS_TRY((piece->unigram ? code_unigrams : code_pairs)(run, memory, memory->text + from, bytes - from));
        from = bytes;
    }
    memmove(memory->text, memory->text + from, (size_t)(bytes - from));
    memory->bytes -= from;
    return LS_OK;
}

LsStatus ls_sentencepiece_feed(const SubwordRun *run, const char *text, int64_t bytes, bool last, int64_t *used)
{
    PieceMemory *memory = run->memory->piece;
    int64_t part = (int64_t)1 << 16; /* so that the normal form stays in the cache */
    *used = 0;
    if (!memory && !(memory = run->memory->piece = ls_alloc(sizeof *memory)))
        return LS_RESOURCE;
    for (bool ends = false; !ends;) {
        int64_t left = bytes - *used, take = left < part ? left : part, taken = 0;
        ends = last && take == left;
        LS_TRY(ls_sentencepiece_normal(run->subword->piece, memory, text + *used, take, ends, &taken));
        *used += taken;
        if (memory->bytes > 0)
            LS_TRY(code_text(run, memory, ends));
        if (taken == 0 && take == left)
            return LS_OK;
        part = taken == 0 ? 2 * part : part;
    }
    return LS_OK;
}

void ls_piece_memory_free(PieceMemory *memory)
{
    if (!memory)
        return;
    ls_free(memory->text);
    ls_free(memory->step);
    ls_free(memory->symbol);
    ls_free(memory->pair);
    ls_free(memory);
}
