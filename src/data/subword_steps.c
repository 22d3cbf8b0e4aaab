/* The steps of tokenizer.json: normalizer, pre_tokenizer, decoder, post_processor. */
#include "data/subword.h"

#include "data/utf8.h"

/* ---- What all have ----------------------------------------------------------------------------------------------- */

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "(no type)";
}

typedef LsStatus (*Reader)(const char *path, const json_t *object, Subword *subword);

/* "Sequence" holds steps below `list`; read may be called for each. */
static LsStatus read_sequence(const char *path, const json_t *object, const char *list, Subword *subword, Reader read)
{
    const json_t *steps = json_object_get(object, list);
    if (!json_is_array(steps))
        return ls_fail(LS_DATA, "%s: a Sequence without %s", path, list);
    for (size_t i = 0; i < json_array_size(steps); i++)
        LS_TRY(read(path, json_array_get(steps, i), subword));
    return LS_OK;
}

static LsStatus unknown_type(const char *path, const char *where, const json_t *object)
{
    return ls_fail(LS_DATA, "%s: the %s has the type %.80s, which this program does not know", path, where,
                   type_of(object));
}

/* {"String": text} into *text, or {"Regex": text} into *expression and *regex. */
static LsStatus read_pattern(const char *path, const char *where, const json_t *object, char **text, char **expression,
                             void **regex)
{
    const json_t *pattern = json_object_get(object, "pattern");
    const char *string = json_string_value(json_object_get(pattern, "String")),
               *theirs = json_string_value(json_object_get(pattern, "Regex"));
    if (theirs) {
        *expression = ls_strdup(theirs);
        return *expression ? ls_regex_new(path, theirs, regex) : LS_RESOURCE;
    }
    if (!string || !*string)
        return ls_fail(LS_DATA, "%s: the %s %.80s has no pattern", path, where, type_of(object));
    *text = ls_strdup(string);
    return *text ? LS_OK : LS_RESOURCE;
}

/* ---- normalizer -------------------------------------------------------------------------------------------------- */

static LsStatus read_normal(const char *path, const json_t *object, Subword *subword)
{
    if (ls_subword_is_type(object, "Sequence"))
        return read_sequence(path, object, "normalizers", subword, read_normal);
    if (subword->normal_steps == SUBWORD_MOST_STEPS)
        return ls_fail(LS_DATA, "%s: a normalizer of more than %d steps", path, SUBWORD_MOST_STEPS);
    SubwordNormalStep *step = &subword->normals[subword->normal_steps++];
    if (ls_subword_is_type(object, "NFC")) {
        step->kind = SUBWORD_NFC;
        return LS_OK;
    }
    if (ls_subword_is_type(object, "Lowercase")) {
        step->kind = SUBWORD_LOWERCASE;
        return LS_OK;
    }
    bool prepends = ls_subword_is_type(object, "Prepend");
    if (!prepends && !ls_subword_is_type(object, "Replace"))
        return unknown_type(path, "normalizer", object);
    step->kind = prepends ? SUBWORD_PREPEND : SUBWORD_REPLACE;
    const char *with = json_string_value(json_object_get(object, prepends ? "prepend" : "content"));
    if (!with)
        return ls_fail(LS_DATA, "%s: the normalizer %s says not by what", path, type_of(object));
    step->with = ls_strdup(with);
    if (!step->with)
        return LS_RESOURCE;
    return prepends ? LS_OK : read_pattern(path, "normalizer", object, &step->find, &step->expression, &step->regex);
}

LsStatus ls_subword_read_normalizer(const char *path, const json_t *normalizer, Subword *subword)
{
    return !normalizer || json_is_null(normalizer) ? LS_OK : read_normal(path, normalizer, subword);
}

/* ---- pre_tokenizer ----------------------------------------------------------------------------------------------- */

/* Patterns of published tokenizers: words end between a letter and a blank, and between a single line's end and a
 * letter, whatever stands around. */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SIGNS_AND_BLANKS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASES(more)                                                                                                    \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" more                   \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" more
#define SLASHES_AND_BLANKS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char *const cutting_patterns[] = {
    gpt2_pattern,
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" SIGNS_AND_BLANKS,
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" SIGNS_AND_BLANKS,
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}" SIGNS_AND_BLANKS,
    CASES("") "|\\p{N}" SLASHES_AND_BLANKS,
    CASES("") "|\\p{N}{1,3}" SLASHES_AND_BLANKS,
    CASES(CONTRACTIONS "?") "|\\p{N}{1,3}" SLASHES_AND_BLANKS,
};

static LsStatus read_split(const char *path, const json_t *object, SubwordSplitStep *step)
{
    static const char *const names[SUBWORD_BEHAVIORS] = {"Removed", "Isolated", "Contiguous", "MergedWithPrevious",
                                                         "MergedWithNext"};
    const char *behavior = json_string_value(json_object_get(object, "behavior"));
    step->kind = SUBWORD_PATTERN;
    step->invert = json_is_true(json_object_get(object, "invert"));
    LS_TRY(ls_subword_check_keys(path, "the pre_tokenizer Split", object, "type|pattern|behavior|invert"));
    while (step->behavior < SUBWORD_BEHAVIORS && (!behavior || strcmp(behavior, names[step->behavior]) != 0))
        step->behavior++;
    if (step->behavior == SUBWORD_BEHAVIORS)
        return ls_fail(LS_DATA, "%s: the pre_tokenizer Split has the behavior %.80s, which this program does not know",
                       path, behavior ? behavior : "(none)");
    LS_TRY(read_pattern(path, "pre_tokenizer", object, &step->find, &step->expression, &step->regex));
    for (size_t i = 0; i < LS_COUNT_OF(cutting_patterns) && step->expression; i++)
        step->cuts = step->cuts || strcmp(step->expression, cutting_patterns[i]) == 0;
    /* what is matched, or what is not, is thrown away or joined to its neighbours otherwise */
    step->cuts =
        step->cuts && (step->behavior == SUBWORD_ISOLATED || (step->behavior == SUBWORD_REMOVED && step->invert));
    return LS_OK;
}

static LsStatus set_expression(const char *path, const char *expression, SubwordSplitStep *step)
{
    step->expression = ls_strdup(expression);
    return step->expression ? ls_regex_new(path, expression, &step->regex) : LS_RESOURCE;
}

static LsStatus read_digits(const char *path, const json_t *object, SubwordSplitStep *step)
{
    step->kind = SUBWORD_PATTERN;
    step->local = true;
    step->behavior = json_is_true(json_object_get(object, "individual_digits")) ? SUBWORD_ISOLATED : SUBWORD_CONTIGUOUS;
    LS_TRY(ls_subword_check_keys(path, "the pre_tokenizer Digits", object, "type|individual_digits"));
    /* Rust's numbers, which have those of Unicode 17 already; Oniguruma's, of the patterns, have not */
    return set_expression(path, "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]", step);
}

static LsStatus read_metaspace(const char *path, const json_t *object, SubwordSplitStep *step)
{
    static const char *const names[] = {"never", "first", "always"};
    const char *sign = json_string_value(json_object_get(object, "replacement")),
               *scheme = json_string_value(json_object_get(object, "prepend_scheme"));
    const json_t *before = json_object_get(object, "add_prefix_space");
    uint32_t code;
    step->kind = SUBWORD_METASPACE;
    step->local = true;
    step->behavior = SUBWORD_WITH_NEXT;
    step->prepend = SUBWORD_ALWAYS;
    LS_TRY(ls_subword_check_keys(path, "the pre_tokenizer Metaspace", object,
                                 "type|replacement|prepend_scheme|split|add_prefix_space|str_rep"));
    if (!sign || ls_utf8_decode(sign, (int64_t)strlen(sign), &code) != (int)strlen(sign))
        return ls_fail(LS_DATA, "%s: the pre_tokenizer Metaspace has no replacement of one character", path);
    strcpy(step->sign, sign);
    if (scheme) {
        int found = 0;
        while (found < (int)LS_COUNT_OF(names) && strcmp(scheme, names[found]) != 0)
            found++;
        if (found == (int)LS_COUNT_OF(names))
            return ls_fail(LS_DATA,
                           "%s: the pre_tokenizer Metaspace has the prepend_scheme %.80s, which this program does not "
                           "know",
                           path, scheme);
        step->prepend = (SubwordPrepend)found;
    }
    if (json_is_false(before)) /* of files of before there was a prepend_scheme */
        step->prepend = SUBWORD_NEVER;
    step->splits = !json_is_false(json_object_get(object, "split"));
    return LS_OK;
}

static LsStatus read_bytelevel(const char *path, const json_t *object, Subword *subword, SubwordSplitStep *step)
{
    step->kind = SUBWORD_BYTELEVEL;
    step->behavior = SUBWORD_ISOLATED;
    subword->level = true;
    LS_TRY(ls_subword_check_keys(path, "the pre_tokenizer ByteLevel", object,
                                 "type|add_prefix_space|trim_offsets|use_regex"));
    step->prepend = json_is_false(json_object_get(object, "add_prefix_space")) ? SUBWORD_NEVER : SUBWORD_ALWAYS;
    step->local = true;
    if (json_is_false(json_object_get(object, "use_regex")))
        return LS_OK;
    step->cuts = true;
    return set_expression(path, gpt2_pattern, step);
}

static LsStatus read_pre_tokenizer(const char *path, const json_t *object, Subword *subword)
{
    if (ls_subword_is_type(object, "Sequence"))
        return read_sequence(path, object, "pretokenizers", subword, read_pre_tokenizer);
    if (subword->split_steps == SUBWORD_MOST_STEPS)
        return ls_fail(LS_DATA, "%s: a pre_tokenizer of more than %d steps", path, SUBWORD_MOST_STEPS);
    if (subword->level)
        return ls_fail(LS_DATA, "%s: a pre_tokenizer %.80s stands behind ByteLevel, which this program does not know",
                       path, type_of(object));
    SubwordSplitStep *step = &subword->splits[subword->split_steps++];
    if (ls_subword_is_type(object, "Split"))
        return read_split(path, object, step);
    if (ls_subword_is_type(object, "Digits"))
        return read_digits(path, object, step);
    if (ls_subword_is_type(object, "Metaspace"))
        return read_metaspace(path, object, step);
    if (ls_subword_is_type(object, "ByteLevel"))
        return read_bytelevel(path, object, subword, step);
    return unknown_type(path, "pre_tokenizer", object);
}

LsStatus ls_subword_read_splits(const char *path, const json_t *pre_tokenizer, Subword *subword)
{
    return !pre_tokenizer || json_is_null(pre_tokenizer) ? LS_OK : read_pre_tokenizer(path, pre_tokenizer, subword);
}

/* ---- decoder ----------------------------------------------------------------------------------------------------- */

typedef enum Speech { SPEECH_REPLACE, SPEECH_BYTES, SPEECHES = 8 } Speech;

/* The decoder's steps for single tokens. */
typedef struct Decoder {
    struct {
        Speech kind;
        const char *find, *with;
    } step[SPEECHES];
    int steps;
    bool level;
} Decoder;

static LsStatus read_strip(const char *path, const json_t *object, Subword *subword)
{
    const char *content = json_string_value(json_object_get(object, "content"));
    json_int_t start = json_integer_value(json_object_get(object, "start")),
               stop = json_integer_value(json_object_get(object, "stop"));
    if (!content || strcmp(content, " ") != 0 || start < 0 || start > 1 || stop != 0)
        return ls_fail(LS_DATA,
                       "%s: the decoder Strip takes away other things than one blank in front, which this "
                       "program does not know",
                       path);
    subword->base.strip = start == 1 ? LS_STRIP_BLANK : LS_STRIP_NONE;
    return LS_OK;
}

static LsStatus read_decoder(const char *path, const json_t *object, Subword *subword, Decoder *decoder)
{
    const json_t *list = json_object_get(object, "decoders");
    if (ls_subword_is_type(object, "Sequence")) {
        for (size_t i = 0; i < json_array_size(list); i++)
            LS_TRY(read_decoder(path, json_array_get(list, i), subword, decoder));
        return LS_OK;
    }
    if (decoder->steps == SPEECHES)
        return ls_fail(LS_DATA, "%s: a decoder of more than %d steps", path, SPEECHES);
    if (ls_subword_is_type(object, "Fuse"))
        return LS_OK;
    if (ls_subword_is_type(object, "Strip"))
        return read_strip(path, object, subword);
    if (ls_subword_is_type(object, "ByteLevel")) {
        decoder->level = true;
        return LS_OK;
    }
    decoder->step[decoder->steps].kind = SPEECH_BYTES;
    if (ls_subword_is_type(object, "Replace")) {
        decoder->step[decoder->steps].kind = SPEECH_REPLACE;
        decoder->step[decoder->steps].find =
            json_string_value(json_object_get(json_object_get(object, "pattern"), "String"));
        decoder->step[decoder->steps].with = json_string_value(json_object_get(object, "content"));
    } else if (ls_subword_is_type(object, "Metaspace")) {
        const char *scheme = json_string_value(json_object_get(object, "prepend_scheme"));
        bool never =
            (scheme && strcmp(scheme, "never") == 0) || json_is_false(json_object_get(object, "add_prefix_space"));
        decoder->step[decoder->steps].kind = SPEECH_REPLACE;
        decoder->step[decoder->steps].find = json_string_value(json_object_get(object, "replacement"));
        decoder->step[decoder->steps].with = " ";
        subword->base.strip = never ? LS_STRIP_NONE : LS_STRIP_FIRST;
    } else if (!ls_subword_is_type(object, "ByteFallback"))
        return unknown_type(path, "decoder", object);
    if (decoder->step[decoder->steps].kind == SPEECH_REPLACE &&
        (!decoder->step[decoder->steps].find || !*decoder->step[decoder->steps].find ||
         !decoder->step[decoder->steps].with))
        return ls_fail(LS_DATA, "%s: the decoder %s replaces no text, or by none", path, type_of(object));
    decoder->steps++;
    return LS_OK;
}

/* text with each `find` replaced; the caller frees it. */
static char *replaced(const char *text, const char *find, const char *with)
{
    size_t length = strlen(find), with_length = strlen(with), used = 0;
    char *made = ls_alloc(strlen(text) * (with_length + 1) + 1);
    while (made && *text)
        if (strncmp(text, find, length) == 0) {
            memcpy(made + used, with, with_length);
            used += with_length;
            text += length;
        } else
            made[used++] = *text++;
    return made;
}

/* Decodes one token's text by the decoder's steps. Bytes are counted, since a step may give a byte that is no text. */
static LsStatus speak(const Decoder *decoder, char *text, char **spoken, int64_t *bytes)
{
    for (int i = 0; i < decoder->steps; i++) {
        int byte = ls_subword_byte_named(text);
        if (decoder->step[i].kind == SPEECH_BYTES && byte >= 0) {
            text[0] = (char)byte;
            *spoken = text;
            *bytes = 1;
            return LS_OK;
        }
        if (decoder->step[i].kind == SPEECH_BYTES)
            continue;
        char *next = replaced(text, decoder->step[i].find, decoder->step[i].with);
        ls_free(text);
        *spoken = text = next;
        if (!text)
            return LS_RESOURCE;
    }
    *spoken = text;
    *bytes = (int64_t)strlen(text);
    return LS_OK;
}

/* spoken: room is grown as needed. */
static LsStatus append_spoken(SubwordTexts *spoken, int64_t *room, int64_t id, const char *text, int64_t bytes)
{
    int64_t at = spoken->start[id];
    if (at + bytes > *room) {
        char *more = ls_alloc((size_t)(2 * (at + bytes)));
        if (!more)
            return LS_RESOURCE;
        memcpy(more, spoken->bytes, (size_t)at);
        ls_free(spoken->bytes);
        spoken->bytes = more;
        *room = 2 * (at + bytes);
    }
    memcpy(spoken->bytes + at, text, (size_t)bytes);
    spoken->start[id + 1] = at + bytes;
    return LS_OK;
}

LsStatus ls_subword_read_decoder(const char *path, const json_t *object, Subword *subword)
{
    Decoder decoder = {.level = subword->level};
    int64_t room = subword->names.start[subword->base.vocabulary] + 16;
    if (object && !json_is_null(object)) {
        decoder.level = false;
        LS_TRY(read_decoder(path, object, subword, &decoder));
    } else if (!subword->level)
        return ls_fail(LS_DATA,
                       "%s: has no decoder, so that a text would get a blank between any two tokens; this "
                       "program does not know that",
                       path);
    if (decoder.level != subword->level || (decoder.level && decoder.steps > 0))
        return ls_fail(LS_DATA,
                       "%s: the decoder and the pre_tokenizer do not agree whether tokens are bytes (ByteLevel)", path);
    LS_TRY(ls_subword_texts_new(&subword->spoken, subword->base.vocabulary, room));
    for (int64_t id = 0; id < subword->base.vocabulary; id++) {
        int64_t bytes = subword_length(&subword->names, id);
        char *text = ls_format("%.*s", (int)bytes, subword->names.bytes + subword->names.start[id]), *said = text;
        LsStatus status = text ? LS_OK : LS_RESOURCE;
        if (status == LS_OK && subword->level) {
            status = append_spoken(&subword->spoken, &room, id, subword->names.bytes + subword->names.start[id], bytes);
        } else if (status == LS_OK) {
            status = speak(&decoder, text, &said, &bytes);
            if (status == LS_OK)
                status = append_spoken(&subword->spoken, &room, id, said, bytes);
        }
        ls_free(said);
        LS_TRY(status);
    }
    return LS_OK;
}

/* ---- post_processor ---------------------------------------------------------------------------------------------- */

static LsStatus add_around(const char *path, int32_t **list, int64_t *count, const json_t *id, int64_t vocabulary)
{
    int32_t *longer = ls_alloc_array(*count + 1, sizeof *longer);
    if (!longer)
        return LS_RESOURCE;
    if (*count > 0)
        memcpy(longer, *list, (size_t)*count * sizeof *longer);
    ls_free(*list);
    *list = longer;
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= vocabulary)
        return ls_fail(LS_DATA, "%s: the post_processor names an id that is no token", path);
    longer[(*count)++] = (int32_t)json_integer_value(id);
    return LS_OK;
}

/* {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [1]}}} */
static LsStatus read_single(const char *path, const json_t *object, Subword *subword)
{
    const json_t *single = json_object_get(object, "single"), *special = json_object_get(object, "special_tokens");
    LsTokenizer *base = &subword->base;
    int texts = 0;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i), *token = json_object_get(piece, "SpecialToken");
        texts += json_object_get(piece, "Sequence") != NULL;
        if (!token)
            continue;
        const char *name = json_string_value(json_object_get(token, "id"));
        const json_t *ids = name ? json_object_get(json_object_get(special, name), "ids") : NULL;
        if (json_array_size(ids) == 0)
            return ls_fail(LS_DATA, "%s: the post_processor names a token that it gives no ids for", path);
        for (size_t k = 0; k < json_array_size(ids); k++)
            LS_TRY(texts ? add_around(path, &base->after, &base->afters, json_array_get(ids, k), base->vocabulary)
                         : add_around(path, &base->before, &base->befores, json_array_get(ids, k), base->vocabulary));
    }
    return texts == 1
               ? LS_OK
               : ls_fail(LS_DATA, "%s: the post_processor's single text stands in it %d times, not once", path, texts);
}

static LsStatus read_processor(const char *path, const json_t *object, Subword *subword)
{
    LsTokenizer *base = &subword->base;
    if (ls_subword_is_type(object, "Sequence"))
        return read_sequence(path, object, "processors", subword, read_processor);
    if (ls_subword_is_type(object, "ByteLevel")) /* says where tokens stand in the text, not which */
        return LS_OK;
    if (base->befores || base->afters)
        return ls_fail(LS_DATA, "%s: has two post_processors that put tokens around a text", path);
    if (ls_subword_is_type(object, "TemplateProcessing"))
        return read_single(path, object, subword);
    if (!ls_subword_is_type(object, "BertProcessing") && !ls_subword_is_type(object, "RobertaProcessing"))
        return unknown_type(path, "post_processor", object);
    LS_TRY(add_around(path, &base->before, &base->befores, json_array_get(json_object_get(object, "cls"), 1),
                      base->vocabulary));
    return add_around(path, &base->after, &base->afters, json_array_get(json_object_get(object, "sep"), 1),
                      base->vocabulary);
}

LsStatus ls_subword_read_template(const char *path, const json_t *processor, Subword *subword)
{
    return !processor || json_is_null(processor) ? LS_OK : read_processor(path, processor, subword);
}
