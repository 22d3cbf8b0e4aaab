#include "data/text_write.h"

#include "data/tokenizer_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW ((int64_t)4 << 20) /* bytes of text tokenized at a time */

/* ---- Special tokens in a text ------------------------------------------------------------------------------------ */

static LsStatus add_special(const LsTokenizer *tokenizer, int64_t id, LsSpecials *specials)
{
    char room[8];
    int64_t bytes = 0;
    const char *token = id >= 0 ? tokenizer->kind->token(tokenizer, id, room, &bytes) : NULL;
    LsSpan name = ls_span_trim((LsSpan){token, token ? bytes : 0});
    for (int i = 0; i < specials->count; i++)
        if (specials->list[i].id == id)
            return LS_OK;
    if (name.bytes == 0)
        return LS_OK;
    LsSpecial *s = &specials->list[specials->count];
    *s = (LsSpecial){ls_span_copy(name), name.bytes, (int32_t)id};
    specials->count++;
    specials->start[(unsigned char)name.text[0]] = true;
    return s->text ? LS_OK : LS_RESOURCE;
}

static int longest_first(const void *a, const void *b)
{
    int64_t one = ((const LsSpecial *)a)->bytes, other = ((const LsSpecial *)b)->bytes;
    return (one < other) - (one > other);
}

LsStatus ls_specials_of(const LsTokenizer *tokenizer, LsSpecials *specials)
{
    const int32_t *special = NULL;
    int64_t count = ls_tokenizer_special(tokenizer, &special);
    const int64_t others[] = {tokenizer->end, tokenizer->begin, tokenizer->mask, tokenizer->unknown};
    specials->list = ls_alloc_array(count + (int64_t)LS_COUNT_OF(others), sizeof *specials->list);
    if (!specials->list)
        return LS_RESOURCE;
    for (int64_t i = 0; i < count; i++)
        LS_TRY(add_special(tokenizer, special[i], specials));
    for (size_t i = 0; i < LS_COUNT_OF(others); i++)
        LS_TRY(add_special(tokenizer, others[i], specials));
    qsort(specials->list, (size_t)specials->count, sizeof *specials->list, longest_first);
    return LS_OK;
}

LsStatus ls_specials_asked(const LsTokenizer *tokenizer, LsSpecials *specials)
{
    if (ls_tokenizer_takes_special(tokenizer))
        return LS_OK;
    LS_TRY(ls_specials_of(tokenizer, specials));
    return specials->count > 0
               ? LS_OK
               : ls_fail(LS_USAGE, "--special: the tokenizer %s has no special tokens", ls_tokenizer_kind(tokenizer));
}

int64_t ls_specials_find(const LsSpecials *specials, const char *text, int64_t from, int64_t end,
                         const LsSpecial **found)
{
    *found = NULL;
    for (int64_t at = from; specials && at < end; at++) {
        if (!specials->start[(unsigned char)text[at]])
            continue;
        for (int i = 0; i < specials->count; i++)
            if (specials->list[i].bytes <= end - at &&
                memcmp(text + at, specials->list[i].text, (size_t)specials->list[i].bytes) == 0) {
                *found = &specials->list[i];
                return at;
            }
    }
    return end;
}

void ls_specials_free(LsSpecials *specials)
{
    for (int i = 0; i < specials->count; i++)
        ls_free(specials->list[i].text);
    ls_free(specials->list);
    *specials = (LsSpecials){0};
}

void ls_specials_warn(const LsTokenizer *tokenizer, const LsCorpusPart *part, int parts)
{
    LsSpecials specials = {0};
    const LsSpecial *found = NULL;
    if (!ls_tokenizer_takes_special(tokenizer) && ls_specials_of(tokenizer, &specials) == LS_OK)
        for (int i = 0; i < parts && !found && specials.count > 0; i++) {
            ls_specials_find(&specials, part[i].text, 0, part[i].bytes, &found);
            if (found)
                ls_warn("%s: '%s' in it is read as text; --special makes it the token of that name",
                        part[i].name ? part[i].name : "the text", found->text);
        }
    ls_specials_free(&specials);
}

/* The ids of text[from .. to) behind those that are there. */
static LsStatus append_text(const LsTokenizer *tokenizer, const char *text, int64_t from, int64_t to, LsTokens *tokens)
{
    int32_t *ids = NULL;
    int64_t count = 0;
    LsStatus status = to > from ? ls_tokenizer_encode(tokenizer, text + from, to - from, &ids, &count) : LS_OK;
    if (status == LS_OK)
        status = ls_tokens_reserve(tokens, count + 1);
    if (status == LS_OK && count > 0)
        memcpy(tokens->id + tokens->count, ids, (size_t)count * sizeof *ids);
    tokens->count += status == LS_OK ? count : 0;
    ls_free(ids);
    return status;
}

LsStatus ls_prompt_encode(const LsTokenizer *tokenizer, bool special, const char *text, int64_t bytes, int32_t **ids,
                          int64_t *count)
{
    LsSpecials specials = {0};
    const LsSpecial *found = NULL;
    LsTokens tokens = {0};
    *ids = NULL;
    *count = 0;
    if (!special || ls_tokenizer_takes_special(tokenizer))
        return ls_tokenizer_encode_prompt(tokenizer, text, bytes, ids, count);
    LsStatus status = ls_specials_asked(tokenizer, &specials);
    if (status == LS_OK) /* what stands before each text */
        status = ls_tokenizer_encode_prompt(tokenizer, text, 0, &tokens.id, &tokens.count);
    tokens.room = tokens.count;
    for (int64_t at = 0; status == LS_OK && at < bytes;) {
        int64_t end = ls_specials_find(&specials, text, at, bytes, &found);
        status = append_text(tokenizer, text, at, end, &tokens);
        if (status == LS_OK && found)
            tokens.id[tokens.count++] = found->id;
        at = found ? end + found->bytes : bytes;
    }
    ls_specials_free(&specials);
    if (status == LS_OK) {
        *ids = tokens.id;
        *count = tokens.count;
    } else
        ls_free(tokens.id);
    return status;
}

int64_t ls_token_named(const LsTokenizer *tokenizer, const char *text)
{
    char room[8];
    int64_t bytes = 0, wanted = (int64_t)strlen(text);
    for (int64_t id = 0; id < tokenizer->vocabulary; id++) {
        const char *token = tokenizer->kind->token(tokenizer, id, room, &bytes);
        if (token && bytes == wanted && memcmp(token, text, (size_t)bytes) == 0)
            return id;
    }
    return -1;
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

typedef struct Sink {
    LsStatus (*add)(void *self, const int32_t *id, int64_t count);
    void *self;
    LsTokens tokens; /* of a window */
} Sink;

/* Bytes [at, end) of a piece, window by window. */
static LsStatus encode_range(LsEncoder *encoder, const char *text, int64_t at, int64_t end, Sink *sink)
{
    int64_t window = WINDOW, used;
    while (at < end) {
        int64_t bytes = end - at < window ? end - at : window;
        sink->tokens.count = 0;
        LS_TRY(ls_encoder_feed(encoder, text + at, bytes, at + bytes == end, &sink->tokens, &used));
        at += used;
        window = used > 0 ? WINDOW : 2 * window; /* a single word longer than the window */
        LS_TRY(sink->add(sink->self, sink->tokens.id, sink->tokens.count));
    }
    return LS_OK;
}

static LsStatus encode_piece(const LsTextCoding *coding, const LsPiece *piece, Sink *sink)
{
    LsStatus status = LS_OK;
    const char *text = piece->part->text;
    LsEncoder *encoder = ls_encoder_new(coding->tokenizer);
    if (!encoder)
        return LS_RESOURCE;
    encoder->offset = piece->from;
    encoder->line += ls_count_lines(text, piece->from);
    for (int64_t at = piece->from; at < piece->to && status == LS_OK;) {
        const LsSpecial *special = NULL;
        int64_t end = ls_specials_find(coding->specials, text, at, piece->to, &special);
        status = encode_range(encoder, text, at, end, sink);
        if (status == LS_OK && special) {
            status = sink->add(sink->self, &special->id, 1);
            encoder->offset += special->bytes;
            end += special->bytes;
        }
        at = end;
    }
    ls_encoder_free(encoder);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s", piece->part->name);
}

LsStatus ls_pieces_encode(const LsTextCoding *coding, const LsPiece *piece, int pieces,
                          LsStatus (*add)(void *self, const int32_t *id, int64_t count), void *self)
{
    Sink sink = {add, self, {0}};
    const int32_t *before, *after;
    int64_t befores = ls_tokenizer_before(coding->tokenizer, &before),
            afters = ls_tokenizer_after(coding->tokenizer, &after);
    LsStatus status = LS_OK;
    for (int i = 0; i < pieces && status == LS_OK; i++) {
        if (i > 0 && coding->separators > 0)
            status = add(self, coding->separator, coding->separators);
        if (status == LS_OK && befores > 0)
            status = add(self, before, befores);
        if (status == LS_OK)
            status = encode_piece(coding, &piece[i], &sink);
        if (status == LS_OK && afters > 0)
            status = add(self, after, afters);
    }
    ls_free(sink.tokens.id);
    return status;
}

/* ---- Lines and documents ----------------------------------------------------------------------------------------- */

/* Where sentences and documents begin. */
typedef struct Marks {
    LsNumbers *sentences, *documents; /* NULL: not asked for */
    int64_t count;                    /* sentences so far */
    bool begins;                      /* the next sentence begins a document */
} Marks;

/* One piece, line by line, where a word does not go on over the end of a line. */
static LsStatus tokenize_lines(const LsTokenizer *tokenizer, const LsPiece *piece, LsNumbers *writer, LsTokens *tokens,
                               int64_t *count, Marks *marks)
{
    LsStatus status = LS_OK;
    const char *text = piece->part->text;
    LsEncoder *encoder = ls_encoder_new(tokenizer);
    if (!encoder)
        return LS_RESOURCE;
    marks->begins = true;
    for (int64_t at = piece->from, used = 0; at < piece->to && status == LS_OK; at += used) {
        const char *end = memchr(text + at, '\n', (size_t)(piece->to - at));
        int64_t bytes = (end ? end - text + 1 : piece->to) - at;
        tokens->count = 0;
        status = ls_encoder_feed(encoder, text + at, bytes, true, tokens, &used);
        marks->begins = marks->begins || ls_span_trim((LsSpan){text + at, bytes}).bytes == 0;
        if (status != LS_OK || tokens->count == 0)
            continue;
        if (marks->begins)
            status = ls_numbers_add_one(marks->documents, marks->count);
        if (status == LS_OK)
            status = ls_numbers_add_one(marks->sentences, *count);
        if (status == LS_OK)
            status = ls_numbers_add(writer, tokens->id, tokens->count);
        marks->begins = false;
        marks->count++;
        *count += tokens->count;
    }
    ls_encoder_free(encoder);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s", piece->part->name);
}

/* A split of a tokenizer that frames texts: tokens, and where sentences and documents begin. */
static LsStatus write_marked(LsSealed *file, const char *split_name, const LsTokenizer *tokenizer, LsTextSplit *split,
                             LsNumbers *writer)
{
    char name[64];
    LsTokens tokens = {0};
    Marks marks = {0};
    snprintf(name, sizeof name, "%s/sentences", split_name);
    marks.sentences = ls_numbers_new(file, name, LS_FILE_INT64);
    snprintf(name, sizeof name, "%s/documents", split_name);
    marks.documents = marks.sentences ? ls_numbers_new(file, name, LS_FILE_INT64) : NULL;
    LsStatus status = marks.documents ? LS_OK : ls_message_status();
    for (int i = 0; i < split->pieces && status == LS_OK; i++)
        status = tokenize_lines(tokenizer, &split->piece[i], writer, &tokens, &split->tokens, &marks);
    if (status == LS_OK)
        status = ls_numbers_add_one(marks.sentences, split->tokens);
    if (status == LS_OK)
        status = ls_numbers_add_one(marks.documents, marks.count);
    ls_free(tokens.id);
    status = ls_numbers_end(marks.sentences, status);
    return ls_numbers_end(marks.documents, status);
}

/* ---- A split ----------------------------------------------------------------------------------------------------- */

typedef struct Writer {
    LsNumbers *numbers;
    int64_t count;
} Writer;

static LsStatus add_ids(void *self, const int32_t *id, int64_t count)
{
    Writer *writer = self;
    writer->count += count;
    return ls_numbers_add(writer->numbers, id, count);
}

LsStatus ls_text_split_write(LsSealed *file, const char *split_name, const LsTextCoding *coding, LsTextSplit *split)
{
    char name[64];
    snprintf(name, sizeof name, "%s/tokens", split_name);
    Writer writer = {ls_numbers_new(file, name, ls_id_type(ls_tokenizer_vocabulary(coding->tokenizer))), 0};
    if (!writer.numbers)
        return ls_message_status();
    LsStatus status = LS_OK;
    if (ls_tokenizer_frames(coding->tokenizer))
        status = write_marked(file, split_name, coding->tokenizer, split, writer.numbers);
    else {
        status = ls_pieces_encode(coding, split->piece, split->pieces, add_ids, &writer);
        split->tokens = writer.count;
    }
    return ls_numbers_end(writer.numbers, status);
}
