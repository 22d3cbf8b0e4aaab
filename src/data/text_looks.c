/* Files that are read as plain text though they look like something else. */
#include "data/text_corpus.h"
#include "data/unpack.h"

#include <string.h>
#include <strings.h>

#define LINES 8                        /* of a table that are compared */
#define LOOKED_AT ((int64_t)1 << 16)   /* bytes in which a zero is looked for */
#define MOST_BYTES ((int64_t)16 << 20) /* of an object that is parsed for a look */

static LsSpan first_line(const char *text, int64_t bytes, int64_t *at)
{
    LsSpan line = {0};
    while (*at < bytes && line.bytes == 0) {
        const char *end = memchr(text + *at, '\n', (size_t)(bytes - *at));
        int64_t length = (end ? end - text : bytes) - *at;
        line = ls_span_trim((LsSpan){text + *at, length});
        *at += length + (end != NULL);
    }
    return line;
}

static bool is_object(LsSpan line)
{
    bool begins = line.bytes > 0 && line.bytes <= MOST_BYTES && line.text[0] == '{';
    json_t *value = begins ? json_loadb(line.text, (size_t)line.bytes, 0, NULL) : NULL;
    bool object = json_is_object(value);
    json_decref(value);
    return object;
}

/* Its first line is an object, and the next one too where there is one. */
static bool is_json_lines(const char *text, int64_t bytes)
{
    int64_t at = 0;
    LsSpan one = first_line(text, bytes, &at), two = first_line(text, bytes, &at);
    return is_object(one) && (two.bytes == 0 || is_object(two));
}

static bool is_json(const char *text, int64_t bytes)
{
    int64_t at = 0;
    while (at < bytes && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    if (at == bytes || (text[at] != '{' && text[at] != '['))
        return false;
    char open = text[at++];
    while (at < bytes && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    return at < bytes && (text[at] == '"' || (open == '[' && text[at] == '{'));
}

/* Fields of a line between separators that stand outside double quotes. */
static int count_fields(LsSpan line, char separator)
{
    int fields = 1;
    bool quoted = false;
    for (int64_t i = 0; i < line.bytes; i++) {
        quoted ^= line.text[i] == '"';
        fields += !quoted && line.text[i] == separator;
    }
    return fields;
}

/* Lines that have the same number of fields, two at least; three where the separator stands in sentences too. */
static bool is_table(const char *text, int64_t bytes, char separator, int least)
{
    int64_t at = 0;
    int fields = 0;
    for (int i = 0; i < LINES; i++) {
        LsSpan line = first_line(text, bytes, &at);
        if (line.bytes == 0)
            return i >= 3 && fields >= least;
        int here = count_fields(line, separator);
        if (here < least || (fields && here != fields))
            return false;
        fields = here;
    }
    return true;
}

/* A header's length in 8 bytes, the least first, and the header, an object. */
static bool is_safetensors(const char *text, int64_t bytes)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0 && bytes > 8; i--)
        length = length << 8 | (unsigned char)text[i];
    return bytes > 9 && text[8] == '{' && length > 1 && length <= (uint64_t)bytes - 8;
}

/* Numbers of 32 bits, counts, have zero bytes; a text has none. */
static bool has_zeros(const char *text, int64_t bytes)
{
    return bytes > 0 && memchr(text, '\0', (size_t)(bytes < LOOKED_AT ? bytes : LOOKED_AT)) != NULL;
}

/* A file that no program reads as text. */
static const char *looks_binary(const char *text, int64_t bytes, const char **cure)
{
    static const char convert[] = "convert it to UTF-8 (iconv)", set[] = "a data set is trained on, not prepared",
                      pictures[] = "'prepare images' reads pictures",
                      model[] = "a model is imported (lockstep import), and is no text", none[] = "it is no text",
                      take[] = "take the text out of it first";
    static const struct {
        const char *kind, *magic, *cure;
    } known[] = {{"UTF-16", "\xff\xfe", convert},
                 {"UTF-16", "\xfe\xff", convert},
                 {"PDF", "%PDF-", "take the text out of it first (pdftotext)"},
                 {"HDF5", "\x89HDF\r\n", set},
                 {"a data set or a checkpoint", "LOCKSTEP", set},
                 {"a picture", "\x89PNG", pictures},
                 {"a picture", "\xff\xd8\xff", pictures},
                 {"a picture", "GIF8", pictures},
                 {"GGUF", "GGUF", model},
                 {"NumPy", "\x93NUMPY", none},
                 {"Parquet", "PAR1", take},
                 {"Arrow", "ARROW1", take},
                 {"SQLite", "SQLite format 3", take},
                 {"a program",
                  "\x7f"
                  "ELF",
                  none},
                 {"sound or a picture", "RIFF", none}};
    const char *packed = ls_packed_kind(text, bytes);
    *cure = "leave --as-is out to have it unpacked";
    if (packed)
        return packed;
    for (size_t i = 0; i < LS_COUNT_OF(known); i++) {
        *cure = known[i].cure;
        if (bytes >= (int64_t)strlen(known[i].magic) && memcmp(text, known[i].magic, strlen(known[i].magic)) == 0)
            return known[i].kind;
    }
    *cure = model;
    if (is_safetensors(text, bytes))
        return "safetensors";
    *cure = none;
    return has_zeros(text, bytes) ? "no text (it has zero bytes)" : NULL;
}

void ls_warn_binary(const char *name, const char *text, int64_t bytes)
{
    const char *cure, *kind = looks_binary(text, bytes, &cure);
    if (kind)
        ls_warn("%s: looks like %s, and is read as plain text", name, kind);
}

const char *ls_looks_like(const char *text, int64_t bytes, const char **cure)
{
    static const char table[] = "'prepare lines' and 'prepare series' read columns", html[] = "<!doctype html";
    const char *binary = looks_binary(text, bytes, cure);
    if (binary)
        return binary;
    *cure = "take the text out of it first";
    if (bytes >= (int64_t)sizeof html - 1 && strncasecmp(text, html, sizeof html - 1) == 0)
        return "HTML";
    *cure = "--field NAME reads a member of each object";
    if (is_json_lines(text, bytes))
        return "JSON lines";
    *cure = "make JSON lines of it, an object a line";
    if (is_json(text, bytes))
        return "JSON";
    *cure = table;
    if (is_table(text, bytes, ',', 3))
        return "CSV";
    return is_table(text, bytes, '\t', 2) ? "tab-separated values" : NULL;
}
