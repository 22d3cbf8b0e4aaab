#include "data/rwkv_vocabulary.h"

#include "data/utf8.h"

#include <string.h>

/* A literal of Python being read: str becomes its UTF-8. */
typedef struct Literal {
    const LsLines *line;
    const char *at, *end;
    bool is_bytes;
    char *to; /* room for end - at bytes */
    int64_t count;
} Literal;

static int digit_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Puts a character, of bytes a byte. */
static LsStatus put(Literal *l, uint32_t code)
{
    if (l->is_bytes) {
        l->to[l->count++] = (char)code;
        return LS_OK;
    }
    if (code >= LS_CODE_POINTS || (code >= 0xD800 && code < 0xE000))
        return ls_lines_fail(l->line, "U+%X in its text is no character", code);
    l->count += ls_utf8_encode(code, l->to + l->count);
    return LS_OK;
}

/* Reads an escape; its backslash is at l->at. */
static LsStatus read_escape(Literal *l)
{
    static const char signs[] = "\\'\"abfnrtv", meanings[] = "\\'\"\a\b\f\n\r\t\v";
    char sign = l->at + 1 < l->end ? l->at[1] : '\0';
    const char *known = sign ? strchr(signs, sign) : NULL;
    int digits = sign == 'x' ? 2 : sign == 'u' && !l->is_bytes ? 4 : sign == 'U' && !l->is_bytes ? 8 : 0;
    l->at += 2;
    if (known)
        return put(l, (unsigned char)meanings[known - signs]);
    if (digits == 0)
        return ls_lines_fail(l->line, "the escape '\\%.*s' in its text is not known", sign ? 1 : 0, &sign);
    uint32_t code = 0;
    for (int i = 0; i < digits; i++, l->at++) {
        int value = l->at < l->end ? digit_value(*l->at) : -1;
        if (value < 0)
            return ls_lines_fail(l->line, "the escape '\\%c' in its text has not %d hexadecimal digits", sign, digits);
        code = code << 4 | (uint32_t)value;
    }
    return put(l, code);
}

static LsStatus read_literal(Literal *l)
{
    l->is_bytes = l->at < l->end && *l->at == 'b';
    l->at += l->is_bytes;
    char quote = l->at < l->end ? *l->at++ : '\0';
    if (quote != '\'' && quote != '"')
        return ls_lines_fail(l->line, "its text does not begin with a quote, or with b and a quote");
    while (l->at < l->end && *l->at != quote) {
        if (*l->at == '\\')
            LS_TRY(read_escape(l));
        else if (l->is_bytes && (unsigned char)*l->at >= 0x80)
            return ls_lines_fail(l->line, "its bytes hold a character that is not ASCII");
        else
            l->to[l->count++] = *l->at++;
    }
    if (l->at >= l->end)
        return ls_lines_fail(l->line, "the quote of its text is not closed");
    if (l->at + 1 < l->end)
        return ls_lines_fail(l->line, "something stands between the closing quote and the number of bytes");
    return l->count > 0 ? LS_OK : ls_lines_fail(l->line, "its text is empty");
}

/* A whole number without a sign; -1: it is none, or has more than 9 digits. */
static int64_t read_number(const char *text, const char *end)
{
    int64_t number = 0;
    if (end - text < 1 || end - text > 9)
        return -1;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        number = 10 * number + (*text - '0');
    }
    return number;
}

/* A token of the line, whose id is to be v->tokens. */
static LsStatus read_line(const LsLines *line, LsRwkvVocabulary *v)
{
    LS_TRY(ls_lines_check(line));
    const char *end = line->text + line->bytes, *first = memchr(line->text, ' ', (size_t)line->bytes);
    const char *last = first ? memrchr(line->text, ' ', (size_t)line->bytes) : NULL;
    if (!first || first == last)
        return ls_lines_fail(line, "is not an id, a text in quotes and its number of bytes, with blanks between");
    int64_t id = read_number(line->text, first), said = read_number(last + 1, end);
    if (id != v->tokens)
        return ls_lines_fail(line, "has the id '%.*s', and %lld is expected: one more than the line before",
                             (int)(first - line->text > 20 ? 20 : first - line->text), line->text,
                             (long long)v->tokens);
    Literal literal = {.line = line, .at = first + 1, .end = last, .to = v->bytes + v->start[v->tokens]};
    LS_TRY(read_literal(&literal));
    if (literal.count != said)
        return ls_lines_fail(line, "its text has %lld bytes, but it says '%.*s'", (long long)literal.count,
                             (int)(end - last > 20 ? 20 : end - last - 1), last + 1);
    v->tokens++;
    v->start[v->tokens] = v->start[v->tokens - 1] + literal.count;
    return LS_OK;
}

/* A text is never longer than its literal, whatever the escapes. */
LsStatus ls_rwkv_vocabulary_read(const LsCorpusPart *file, LsRwkvVocabulary *v)
{
    int64_t lines = 1;
    for (int64_t i = 0; i < file->bytes; i++)
        lines += file->text[i] == '\n';
    *v = (LsRwkvVocabulary){
        .bytes = ls_alloc((size_t)file->bytes + 1), .start = ls_alloc_array(lines + 2, sizeof *v->start), .tokens = 1};
    if (!v->bytes || !v->start)
        return LS_RESOURCE;
    v->start[0] = v->start[1] = 0;
    LsLines line = ls_lines(file);
    while (ls_lines_next(&line))
        LS_TRY(read_line(&line, v));
    return v->tokens > 1 ? LS_OK : ls_fail(LS_DATA, "%s: is empty", file->name);
}

void ls_rwkv_vocabulary_free(LsRwkvVocabulary *v)
{
    ls_free(v->bytes);
    ls_free(v->start);
    *v = (LsRwkvVocabulary){0};
}
