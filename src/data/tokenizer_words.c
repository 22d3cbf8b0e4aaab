/* Words: the most frequent words of a corpus, after four tokens that stand for no word.
 *
 *     0 <pad> fills up, 1 <unk> is any other word, 2 <s> begins a text, 3 </s> ends one; words by frequency, then by their bytes
 *
 * Words stand between white space. Punctuation and symbols (Unicode's categories P and S) are words of one character
 * ("split"), stay where they are ("attached"), or are left out ("drop"). Decoding puts a space before every word.
 */
#include "data/samples.h"
#include "data/tokenizer_kind.h"
#include "data/utf8.h"

#include "data/words_tables.inc"

#include <stdlib.h>
#include <string.h>

static const char *const special[] = {" <pad>", " <unk>", " <s>", " </s>"};
enum { UNKNOWN = 1, BEGIN = 2, END = 3, SPECIALS = LS_COUNT_OF(special) };

typedef enum Punctuation { SPLIT, ATTACHED, DROP, PUNCTUATIONS } Punctuation;
static const char *const punctuation_names[PUNCTUATIONS] = {"split", "attached", "drop"};

typedef struct Words {
    LsTokenizer base;
    LsClasses words; /* each with a space before it, in order of ids from SPECIALS on */
    bool lowercase;
    Punctuation punctuation;
} Words;

/* ---- Characters -------------------------------------------------------------------------------------------------- */

static uint32_t to_lower(uint32_t code) { return ls_code_small(&lower[0][0], LS_COUNT_OF(lower), code); }

static bool is_mark(uint32_t code)
{
    int row = ls_code_row(&marks[0][0], LS_COUNT_OF(marks), 2, code);
    return row >= 0 && code <= (uint32_t)marks[row][1];
}

/* Unicode's White_Space, and the other control characters of ASCII. */
static bool is_space(uint32_t code)
{
    return code <= 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

/* ---- Cutting ----------------------------------------------------------------------------------------------------- */

typedef struct Cutter {
    bool lowercase;
    Punctuation punctuation;
    const char *text;
    int64_t bytes, at; /* at: where the next word is looked for */
    bool last;         /* nothing follows text[bytes] */
    char *word;        /* a space and the word as it stands in the vocabulary */
    int64_t room, length;
} Cutter;

typedef enum Found { FOUND_WORD, FOUND_NONE, FOUND_MALFORMED } Found;

static LsStatus open_cutter(Cutter *cutter, const Words *words, const char *text, int64_t bytes, bool last)
{
    *cutter = (Cutter){
        .lowercase = words->lowercase, .punctuation = words->punctuation, .text = text, .bytes = bytes, .last = last};
    cutter->word = ls_alloc((size_t)(2 * bytes + 8)); /* a small letter has at most one byte more than its capital */
    return cutter->word ? LS_OK : LS_RESOURCE;
}

static void put_character(Cutter *cutter, uint32_t code)
{
    cutter->length += ls_utf8_encode(cutter->lowercase ? to_lower(code) : code, cutter->word + cutter->length);
}

/* The next word; `at` is left behind it, or where none is whole at what is still needed, or at malformed bytes. */
static Found next_word(Cutter *cutter)
{
    int64_t start = cutter->at;
    cutter->word[0] = ' ';
    cutter->length = 1;
    while (cutter->at < cutter->bytes) {
        uint32_t code;
        int length = ls_utf8_decode(cutter->text + cutter->at, cutter->bytes - cutter->at, &code);
        if (length == 0 || (length < 0 && cutter->last))
            return FOUND_MALFORMED;
        if (length < 0)
            break;
        bool mark = cutter->punctuation != ATTACHED && is_mark(code), ends = mark || is_space(code);
        if (ends && cutter->length > 1)
            return FOUND_WORD;
        cutter->at += length;
        if (!ends || (mark && cutter->punctuation == SPLIT))
            put_character(cutter, code);
        else
            start = cutter->at;
        if (mark && cutter->punctuation == SPLIT)
            return FOUND_WORD;
    }
    if (cutter->length > 1 && cutter->last)
        return FOUND_WORD;
    if (cutter->length > 1)
        cutter->at = start;
    return FOUND_NONE;
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static void free_tokenizer(LsTokenizer *tokenizer)
{
    ls_classes_free(&((Words *)tokenizer)->words);
    ls_free(tokenizer);
}

static Words *new_words(bool lowercase, const char *punctuation)
{
    Words *words = ls_alloc(sizeof *words);
    if (!words)
        return NULL;
    words->base = (LsTokenizer){&ls_tokenizer_kind_words, SPECIALS, END, BEGIN, -1, UNKNOWN};
    words->lowercase = lowercase;
    while (words->punctuation < PUNCTUATIONS && strcmp(punctuation, punctuation_names[words->punctuation]) != 0)
        words->punctuation++;
    if (words->punctuation < PUNCTUATIONS)
        return words;
    ls_free(words);
    ls_fail(LS_DATA, "the tokenizer words: punctuation '%s' is none of split, attached, drop", punctuation);
    return NULL;
}

static LsStatus count_words(const Words *words, const LsCorpusPart *part, LsClasses *counted)
{
    Cutter cutter;
    LsStatus status = open_cutter(&cutter, words, part->text, part->bytes, true);
    Found found = FOUND_WORD;
    while (status == LS_OK && (found = next_word(&cutter)) == FOUND_WORD)
        if (ls_classes_add(counted, (LsSpan){cutter.word, cutter.length}) < 0)
            status = ls_message_status();
    if (status == LS_OK && found == FOUND_MALFORMED) {
        LsEncoder place = {.line = 1};
        status = ls_encoder_fail_malformed(&place, part->text, part->bytes, cutter.at);
        status = part->name ? ls_fail_in(status, "%s", part->name) : status;
    }
    ls_free(cutter.word);
    return status;
}

typedef struct Counted {
    const char *word;
    int64_t seen;
} Counted;

static int by_frequency(const void *a, const void *b)
{
    const Counted *one = a, *other = b;
    return one->seen != other->seen ? (one->seen < other->seen) - (one->seen > other->seen)
                                    : strcmp(one->word, other->word);
}

/* The most frequent `most` words (0: all) of those that occur `least` times. */
static LsStatus choose_words(const LsClasses *counted, int64_t most, int64_t least, Words *words)
{
    Counted *list = ls_alloc_array(counted->count, sizeof *list);
    if (!list)
        return LS_RESOURCE;
    for (int i = 0; i < counted->count; i++)
        list[i] = (Counted){counted->name[i], counted->seen[i]};
    qsort(list, (size_t)counted->count, sizeof *list, by_frequency);
    LsStatus status = LS_OK;
    for (int i = 0; i < counted->count && (most == 0 || i < most) && list[i].seen >= least && status == LS_OK; i++)
        if (ls_classes_add(&words->words, (LsSpan){list[i].word, (int64_t)strlen(list[i].word)}) < 0)
            status = ls_message_status();
    ls_free(list);
    return status;
}

static LsStatus make(const LsCorpusPart *part, int parts, const LsTokenizerOptions *options, LsTokenizer **tokenizer)
{
    Words *words = new_words(options->lowercase, options->punctuation ? options->punctuation : "split");
    if (!words)
        return ls_message_status();
    LsClasses counted = {0};
    LsStatus status = LS_OK;
    for (int i = 0; i < parts && status == LS_OK; i++)
        status = count_words(words, &part[i], &counted);
    if (status == LS_OK && counted.count == 0)
        status = ls_fail(LS_DATA, "the tokenizer words takes its vocabulary from a text, and this one has no words");
    if (status == LS_OK)
        status = choose_words(&counted, options->words, options->least, words);
    ls_classes_free(&counted);
    if (status != LS_OK) {
        free_tokenizer(&words->base);
        return status;
    }
    words->base.vocabulary = SPECIALS + words->words.count;
    *tokenizer = &words->base;
    return LS_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *describe(const LsTokenizer *tokenizer)
{
    const Words *words = (const Words *)tokenizer;
    json_t *list = json_array();
    for (int i = 0; i < words->words.count; i++)
        json_array_append_new(list, json_string(words->words.name[i] + 1));
    return json_pack("{s:b, s:s, s:o}", "lowercase", words->lowercase, "punctuation",
                     punctuation_names[words->punctuation], "words", list);
}

static LsStatus add_words(Words *words, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        char *spaced = word && *word ? ls_format(" %s", word) : NULL;
        if (!spaced)
            return word && *word ? LS_RESOURCE : ls_fail(LS_DATA, "the tokenizer's JSON: \"words\"[%zu] is no word", i);
        LsSpan span = {spaced, (int64_t)strlen(spaced)};
        bool twice = ls_classes_find(&words->words, span) >= 0;
        int added = twice ? 0 : ls_classes_add(&words->words, span);
        ls_free(spaced);
        if (twice)
            return ls_fail(LS_DATA, "the tokenizer's JSON: \"words\"[%zu] stands there twice", i);
        if (added < 0)
            return ls_message_status();
    }
    words->base.vocabulary = SPECIALS + words->words.count;
    return LS_OK;
}

static LsStatus parse(const json_t *object, LsTokenizer **tokenizer)
{
    const json_t *list = json_object_get(object, "words"), *lowercase = json_object_get(object, "lowercase");
    const char *punctuation = json_string_value(json_object_get(object, "punctuation"));
    if (!json_is_array(list) || !json_is_boolean(lowercase) || !punctuation)
        return ls_fail(LS_DATA, "the tokenizer's JSON lacks \"words\", \"lowercase\" or \"punctuation\"");
    Words *words = new_words(json_is_true(lowercase), punctuation);
    if (!words)
        return ls_message_status();
    LsStatus status = add_words(words, list);
    if (status == LS_OK)
        *tokenizer = &words->base;
    else
        free_tokenizer(&words->base);
    return status;
}

/* ---- Using ------------------------------------------------------------------------------------------------------- */

static LsStatus feed(LsEncoder *encoder, const char *text, int64_t bytes, bool last, LsTokens *tokens, int64_t *used)
{
    const Words *words = (const Words *)encoder->tokenizer;
    Cutter cutter;
    LS_TRY(ls_tokens_reserve(tokens, bytes));
    LS_TRY(open_cutter(&cutter, words, text, bytes, last));
    Found found;
    while ((found = next_word(&cutter)) == FOUND_WORD) {
        int index = ls_classes_find(&words->words, (LsSpan){cutter.word, cutter.length});
        tokens->id[tokens->count++] = index < 0 ? UNKNOWN : SPECIALS + index;
    }
    ls_free(cutter.word);
    *used = cutter.at;
    return found == FOUND_MALFORMED ? ls_encoder_fail_malformed(encoder, text, bytes, cutter.at) : LS_OK;
}

static const char *token(const LsTokenizer *tokenizer, int64_t id, char *room, int64_t *bytes)
{
    (void)room;
    const char *text = id < SPECIALS ? special[id] : ((const Words *)tokenizer)->words.name[id - SPECIALS];
    *bytes = (int64_t)strlen(text);
    return text;
}

static LsStatus write_folder(const LsTokenizer *tokenizer, const char *folder)
{
    json_t *own = describe(tokenizer);
    if (own)
        json_object_set_new(own, "kind", json_string(tokenizer->kind->name));
    LsStatus status = ls_json_file_write(folder, "lockstep_tokenizer.json", own);
    json_decref(own);
    return status;
}

const LsTokenizerKind ls_tokenizer_kind_words = {
    .name = "words",
    .summary = "the most frequent words of the training part; others are <unk>",
    .make = make,
    .describe = describe,
    .parse = parse,
    .free = free_tokenizer,
    .feed = feed,
    .token = token,
    .write_folder = write_folder,
};
