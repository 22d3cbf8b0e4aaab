/* Raw text files: mapping, lines, fields of a line. */
#include "data/raw.h"

#include "data/utf8.h"
#include "io/mapped.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

LsStatus ls_raw_map(const char *path, LsCorpusPart *part)
{
    *part = (LsCorpusPart){.name = path};
    LS_TRY(ls_map_file(path, LS_DATA, &part->text, &part->bytes));
    (void)madvise((void *)(uintptr_t)part->text, (size_t)part->bytes, MADV_SEQUENTIAL);
    return LS_OK;
}

void ls_raw_unmap(LsCorpusPart *part)
{
    ls_unmap_file(part->text, part->bytes);
    part->text = NULL;
}

bool ls_is_same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

LsLines ls_lines(const LsCorpusPart *part)
{
    bool marked = part->bytes >= 3 && memcmp(part->text, "\xEF\xBB\xBF", 3) == 0;
    return (LsLines){.part = part, .at = marked ? 3 : 0};
}

bool ls_lines_next(LsLines *lines)
{
    int64_t left = lines->part->bytes - lines->at;
    if (left <= 0)
        return false;
    lines->text = lines->part->text + lines->at;
    const char *end = memchr(lines->text, '\n', (size_t)left);
    lines->bytes = end ? end - lines->text : left;
    lines->at += lines->bytes + (end != NULL);
    lines->bytes -= lines->bytes > 0 && lines->text[lines->bytes - 1] == '\r';
    lines->number++;
    return true;
}

LsStatus ls_lines_fail(const LsLines *lines, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return ls_fail(LS_DATA, "%s: line %lld: %s", lines->part->name, (long long)lines->number, message);
}

LsStatus ls_lines_check(const LsLines *lines)
{
    int64_t good = ls_utf8_span(lines->text, lines->bytes);
    if (good < lines->bytes)
        return ls_lines_fail(lines, "byte %lld of the line (0x%02X) is no UTF-8; convert the file to UTF-8 (iconv)",
                             (long long)good + 1, (unsigned char)lines->text[good]);
    if (memchr(lines->text, '\0', (size_t)lines->bytes))
        return ls_lines_fail(lines, "holds a zero byte: this is no text");
    return LS_OK;
}

void ls_lines_split(const LsLines *lines, char separator, int room, LsSpan *field, int *count)
{
    const char *at = lines->text, *end = lines->text + lines->bytes;
    *count = 0;
    for (;;) {
        const char *cut = at < end ? memchr(at, separator, (size_t)(end - at)) : NULL;
        if (*count < room)
            field[*count] = (LsSpan){at, (cut ? cut : end) - at};
        ++*count;
        if (!cut)
            return;
        at = cut + 1;
    }
}

LsStatus ls_lines_split_csv(const LsLines *lines, int room, LsSpan *field, int *count, char *scratch)
{
    const char *text = lines->text;
    int64_t at = 0, end = lines->bytes;
    for (*count = 0;; at++) {
        LsSpan span = {text + at, 0};
        if (at < end && text[at] == '"') {
            span.text = scratch;
            for (at++; at < end && (text[at] != '"' || (at + 1 < end && text[at + 1] == '"')); at++) {
                at += text[at] == '"';
                *scratch++ = text[at];
                span.bytes++;
            }
            if (at++ >= end)
                return ls_lines_fail(lines, "the quote of column %d is not closed in this line", *count + 1);
            if (at < end && text[at] != ',')
                return ls_lines_fail(lines, "column %d goes on after its closing quote", *count + 1);
        } else {
            for (; at < end && text[at] != ','; at++)
                span.bytes++;
        }
        if (*count < room)
            field[*count] = span;
        ++*count;
        if (at >= end)
            return LS_OK;
    }
}

LsStatus ls_lines_json(const LsLines *lines, json_t **object)
{
    json_error_t error;
    *object = json_loadb(lines->text, (size_t)lines->bytes, JSON_REJECT_DUPLICATES, &error);
    if (!*object)
        return ls_lines_fail(lines, "column %d: %s", error.column, error.text);
    if (json_is_object(*object))
        return LS_OK;
    json_decref(*object);
    *object = NULL;
    return ls_lines_fail(lines, "is no JSON object: one object a line is expected");
}

/* ---- Spans ------------------------------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

LsSpan ls_span_trim(LsSpan span)
{
    for (; span.bytes > 0 && is_space(span.text[0]); span.bytes--)
        span.text++;
    while (span.bytes > 0 && is_space(span.text[span.bytes - 1]))
        span.bytes--;
    return span;
}

bool ls_span_is(LsSpan span, const char *text)
{
    return (size_t)span.bytes == strlen(text) && memcmp(span.text, text, (size_t)span.bytes) == 0;
}

char *ls_span_copy(LsSpan span) { return ls_format("%.*s", (int)span.bytes, span.text); }
