/* Text to words, as BERT's tokenizer has it in Hugging Face's `tokenizers`: what a character is stands in
 * wordpiece_tables.inc. */
#include "data/utf8.h"
#include "data/characters.h"
#include "data/wordpiece.h"

#include "data/wordpiece_tables.inc"

#include <string.h>

enum { CLEANED = 1, CLEANED_TO_SPACE = 2, SPACE = 4, PUNCTUATION = 8, ACCENT = 16, IDEOGRAPH = 32 };

#define CAPITAL_I_DOT 0x130 /* the one capital whose small letter is two characters: i and a dot above */
#define DOT_ABOVE 0x307

/* ---- Characters -------------------------------------------------------------------------------------------------- */

static unsigned look_up_traits(uint32_t code)
{
    int row = ls_code_row(&traits[0][0], LS_COUNT_OF(traits), 3, code);
    return row >= 0 && code <= (uint32_t)traits[row][1] ? (unsigned)traits[row][2] : 0;
}

uint32_t ls_small_letter(uint32_t code) { return ls_code_small(&lower[0][0], LS_COUNT_OF(lower), code); }

void ls_wordpiece_fill_tables(Wordpiece *wordpiece)
{
    for (uint32_t code = 0; code < WORDPIECE_SMALL; code++) {
        wordpiece->trait[code] = (unsigned char)look_up_traits(code);
        wordpiece->small[code] = (uint16_t)ls_small_letter(code);
    }
}

static unsigned traits_of(const Wordpiece *wordpiece, uint32_t code)
{
    return code < WORDPIECE_SMALL ? wordpiece->trait[code] : look_up_traits(code);
}

static uint32_t to_small(const Wordpiece *wordpiece, uint32_t code)
{
    return code < WORDPIECE_SMALL ? wordpiece->small[code] : ls_small_letter(code);
}

/* ---- Segments ---------------------------------------------------------------------------------------------------- */

void ls_wordpiece_segment_free(WordpieceSegment *segment)
{
    ls_free(segment->mark);
    ls_free(segment->word);
    *segment = (WordpieceSegment){0};
}

static LsStatus reserve(WordpieceSegment *segment)
{
    if (segment->count + LS_NFD_MOST <= segment->room)
        return LS_OK;
    int64_t room = 2 * segment->room + 256;
    LsMark *mark = ls_alloc_array(room, sizeof *mark);
    if (!mark)
        return LS_RESOURCE;
    if (segment->count > 0)
        memcpy(mark, segment->mark, (size_t)segment->count * sizeof *mark);
    ls_free(segment->mark);
    segment->mark = mark;
    segment->room = room;
    return LS_OK;
}

static LsStatus add_character(const Wordpiece *wordpiece, WordpieceSegment *segment, uint32_t code)
{
    LS_TRY(reserve(segment));
    if (wordpiece->rules.strip_accents)
        ls_nfd_add(segment->mark, &segment->count, code);
    else
        segment->mark[segment->count++] = (LsMark){code, 0};
    return LS_OK;
}

/* Room for the words of all characters: each is at most two, of 4 bytes. */
static LsStatus reserve_word(WordpieceSegment *segment)
{
    int64_t wanted = 8 * segment->count + 1;
    if (wanted <= segment->word_room)
        return LS_OK;
    ls_free(segment->word);
    segment->word = ls_alloc((size_t)(2 * wanted));
    segment->word_room = segment->word ? 2 * wanted : 0;
    return segment->word ? LS_OK : LS_RESOURCE;
}

static LsStatus take_word(const WordpieceReader *reader, int64_t *bytes, int64_t *characters)
{
    LsStatus status = LS_OK;
    if (*characters > 0)
        status = reader->take(reader->self, reader->segment->word, *bytes, *characters);
    *bytes = 1;
    *characters = 0;
    return status;
}

/* Gives away the words of a segment, which holds no white space, and empties it. */
static LsStatus take_segment(const WordpieceReader *reader)
{
    const Wordpiece *wordpiece = reader->wordpiece;
    WordpieceSegment *segment = reader->segment;
    int64_t bytes = 1, characters = 0;
    if (segment->count == 0)
        return LS_OK;
    LS_TRY(reserve_word(segment));
    segment->word[0] = ' ';
    for (int64_t i = 0; i < segment->count; i++) {
        uint32_t code = segment->mark[i].code;
        if (wordpiece->rules.strip_accents && (traits_of(wordpiece, code) & ACCENT))
            continue;
        bool dotted = wordpiece->rules.lowercase && code == CAPITAL_I_DOT;
        code = dotted ? 'i' : wordpiece->rules.lowercase ? to_small(wordpiece, code) : code;
        bool alone = traits_of(wordpiece, code) & PUNCTUATION;
        if (alone)
            LS_TRY(take_word(reader, &bytes, &characters));
        bytes += ls_utf8_encode(code, segment->word + bytes);
        if (dotted)
            bytes += ls_utf8_encode(DOT_ABOVE, segment->word + bytes);
        characters += dotted ? 2 : 1;
        if (alone)
            LS_TRY(take_word(reader, &bytes, &characters));
    }
    segment->count = 0;
    return take_word(reader, &bytes, &characters);
}

/* ---- Special tokens ---------------------------------------------------------------------------------------------- */

/* The longest special token that text[at] begins with, its bytes without the space; 0: none. *cut: text that goes on
 * behind `bytes` may make it one. */
static int64_t find_special(const Wordpiece *wordpiece, const char *text, int64_t bytes, int32_t *id, bool *cut)
{
    int64_t found = 0;
    *cut = false;
    for (int64_t i = 0; i < wordpiece->base.specials; i++) {
        int32_t special = wordpiece->base.special[i];
        const char *name = wordpiece->text + wordpiece->start[special] + 1;
        int64_t length = wordpiece->start[special + 1] - wordpiece->start[special] - 1;
        int64_t there = length < bytes ? length : bytes;
        if (length <= found || memcmp(name, text, (size_t)there) != 0)
            continue;
        if (there < length)
            *cut = true;
        else {
            found = length;
            *id = special;
        }
    }
    return found;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

/* Takes in a character; whether words end with it. */
static LsStatus read_character(const WordpieceReader *reader, uint32_t code, bool *ends)
{
    const WordpieceRules *rules = &reader->wordpiece->rules;
    unsigned trait = traits_of(reader->wordpiece, code);
    bool ideograph = rules->ideographs && (trait & IDEOGRAPH);
    *ends = false;
    if (rules->clean && (trait & CLEANED))
        return LS_OK;
    *ends = ideograph || (trait & SPACE) || (rules->clean && (trait & CLEANED_TO_SPACE));
    if (*ends)
        LS_TRY(take_segment(reader));
    if (*ends && !ideograph)
        return LS_OK;
    LS_TRY(add_character(reader->wordpiece, reader->segment, code));
    return ideograph ? take_segment(reader) : LS_OK;
}

LsStatus ls_wordpiece_read(const WordpieceReader *reader, const char *text, int64_t bytes, bool last, int64_t *used)
{
    const Wordpiece *wordpiece = reader->wordpiece;
    int64_t at = 0;
    reader->segment->count = 0;
    *used = 0;
    while (at < bytes) {
        int32_t id = 0;
        uint32_t code = 0;
        bool cut = false, ends = false;
        bool may_be = wordpiece->rules.whole_special && wordpiece->special_start[(unsigned char)text[at]];
        int64_t special = may_be ? find_special(wordpiece, text + at, bytes - at, &id, &cut) : 0;
        if (cut && !last)
            return LS_OK;
        if (special > 0) {
            LS_TRY(take_segment(reader));
            LS_TRY(reader->take_special(reader->self, id));
            at += special;
            *used = at;
            continue;
        }
        int length = ls_utf8_decode(text + at, bytes - at, &code);
        if (length < 0 && !last)
            return LS_OK;
        at += length > 0 ? length : 1;
        if (length > 0)
            LS_TRY(read_character(reader, code, &ends));
        if (ends)
            *used = at;
    }
    if (last) {
        LS_TRY(take_segment(reader));
        *used = bytes;
    }
    return LS_OK;
}
