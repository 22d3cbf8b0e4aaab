/* Words and tags from columns: a word a line, an empty line between sentences. */
#include "data/columns.h"

#include "config/number.h"

#include <string.h>

#define MOST_COLUMNS 64

/* Between tabs where the line has one, else between runs of spaces. */
static void split_fields(const LsLines *lines, LsSpan *field, int *count)
{
    if (memchr(lines->text, '\t', (size_t)lines->bytes)) {
        ls_lines_split(lines, '\t', MOST_COLUMNS, field, count);
        return;
    }
    const char *at = lines->text, *end = lines->text + lines->bytes;
    for (*count = 0; at < end;) {
        const char *start = at;
        while (at < end && *at != ' ')
            at++;
        if (at > start && (*count)++ < MOST_COLUMNS)
            field[*count - 1] = (LsSpan){start, at - start};
        at += at < end;
    }
}

/* Column numbers count from 1, from the last as -1. */
static LsStatus find_column(const LsLines *lines, const char *option, const char *wanted, int columns, int *index)
{
    int64_t number = 0;
    if (!ls_number_int(wanted, &number) || number == 0)
        return ls_fail(LS_USAGE, "%s '%s' is no column: 1 is the first, -1 the last", option, wanted);
    *index = (int)(number > 0 ? number - 1 : columns + number);
    if (*index < 0 || *index >= columns)
        return ls_lines_fail(lines, "there are %d columns, but %s is column %lld", columns, option, (long long)number);
    return LS_OK;
}

static LsStatus push(LsTokens *list, int32_t value)
{
    LS_TRY(ls_tokens_reserve(list, 1));
    list->id[list->count++] = value;
    return LS_OK;
}

static LsStatus add_word(LsSentences *part, LsClasses *tags, LsSpan word, LsSpan tag, const LsLines *lines)
{
    word = ls_span_trim(word);
    tag = ls_span_trim(tag);
    if (word.bytes == 0 || tag.bytes == 0)
        return ls_lines_fail(lines, "the %s is empty", word.bytes == 0 ? "word" : "tag");
    bool known = !tags->fixed || ls_classes_find(tags, tag) >= 0;
    int index = known ? ls_classes_add(tags, tag) : -1;
    if (!known)
        return ls_lines_fail(lines, "the tag '%.*s' is none of the %d of the training part", (int)tag.bytes, tag.text,
                             tags->count);
    if (index < 0)
        return ls_message_status();
    LS_TRY(push(&part->tag, index));
    return ls_texts_add(&part->words, word, lines);
}

/* Ends the sentence that has `words`; an empty line where there is none is counted. */
static LsStatus end_sentence(LsSentences *part, int32_t *words, bool at_line)
{
    if (*words == 0) {
        part->blank += at_line;
        return LS_OK;
    }
    LS_TRY(push(&part->length, *words));
    *words = 0;
    return LS_OK;
}

static LsStatus read_file(const LsColumnsSettings *o, LsClasses *tags, LsSentences *part, const LsCorpusPart *file)
{
    LsSpan field[MOST_COLUMNS];
    LsLines lines = ls_lines(file);
    int columns = 0, count = 0, word = 0, tag = 0;
    int32_t words = 0;
    while (ls_lines_next(&lines)) {
        if (ls_span_trim((LsSpan){lines.text, lines.bytes}).bytes == 0) {
            LS_TRY(end_sentence(part, &words, true));
            continue;
        }
        LS_TRY(ls_lines_check(&lines));
        split_fields(&lines, field, &count);
        if (ls_span_is(field[0], "-DOCSTART-")) {
            part->marks++;
            continue;
        }
        if (columns == 0) {
            columns = count;
            if (columns < 2 || columns > MOST_COLUMNS)
                return ls_lines_fail(&lines,
                                     "has %d column%s; a word and its tag are expected, with a tab or spaces "
                                     "between them",
                                     columns, columns == 1 ? "" : "s");
            LS_TRY(find_column(&lines, "--word", o->word, columns, &word));
            LS_TRY(find_column(&lines, "--tag", o->tag, columns, &tag));
        }
        if (count != columns)
            return ls_lines_fail(&lines, "has %d column%s, the lines before have %d", count, count == 1 ? "" : "s",
                                 columns);
        LS_TRY(add_word(part, tags, field[word], field[tag], &lines));
        words++;
    }
    return end_sentence(part, &words, false);
}

LsStatus ls_sentences_read(const LsColumnsSettings *o, LsClasses *tags, LsSentences *part)
{
    for (int i = 0; i < part->raw.files; i++)
        LS_TRY(read_file(o, tags, part, &part->raw.file[i]));
    return LS_OK;
}

void ls_sentences_free(LsSentences *part)
{
    ls_texts_free(&part->words);
    ls_free(part->tag.id);
    ls_free(part->length.id);
    ls_raw_files_close(&part->raw);
}
