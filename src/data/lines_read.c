/* Labels and texts from tab-separated lines, JSON lines, or files of a class each. */
#include "data/lines.h"

#include <stdio.h>
#include <string.h>

#define MOST_COLUMNS 256

/* Adds a text that stands where it is; `held`: in a mapped file. */
static LsStatus add_text(LsTexts *texts, LsSpan text, bool held, const LsLines *lines)
{
    text = ls_span_trim(text);
    if (text.bytes == 0)
        return ls_lines_fail(lines, "the text is empty");
    return held ? ls_texts_add(texts, text, lines) : ls_texts_add_copy(texts, text, lines);
}

static LsStatus add_label(LsLabelled *part, LsClasses *classes, LsSpan label, const LsLines *lines)
{
    label = ls_span_trim(label);
    if (label.bytes == 0)
        return ls_lines_fail(lines, "the label is empty");
    bool known = !classes->fixed || ls_classes_find(classes, label) >= 0;
    int index = known ? ls_classes_add(classes, label) : -1;
    if (!known)
        return ls_lines_fail(lines, "the label '%.*s' is none of the %d classes", (int)label.bytes, label.text,
                             classes->count);
    if (index < 0)
        return ls_message_status();
    LS_TRY(ls_tokens_reserve(&part->label, 1));
    part->label.id[part->label.count++] = index;
    return LS_OK;
}

/* Adds a sample; second.text NULL: it has one text. */
static LsStatus add_sample(LsLabelled *part, LsClasses *classes, LsSpan label, LsSpan text, LsSpan second, bool held,
                           const LsLines *lines)
{
    LS_TRY(add_text(&part->texts, text, held, lines));
    if (second.text)
        LS_TRY(add_text(&part->second, second, held, lines));
    return add_label(part, classes, label, lines);
}

/* The next line that is not empty, which is UTF-8. *more false at the end. */
static LsStatus next_line(LsLabelled *part, LsLines *lines, bool *more)
{
    while ((*more = ls_lines_next(lines))) {
        if (ls_span_trim((LsSpan){lines->text, lines->bytes}).bytes > 0)
            return ls_lines_check(lines);
        part->blank++;
    }
    return LS_OK;
}

static LsStatus read_tsv(const LsLinesSettings *o, LsClasses *classes, LsLabelled *part, const LsCorpusPart *file)
{
    LsSpan field[MOST_COLUMNS];
    LsColumn column[] = {
        {"--label", o->label ? o->label : "1", 0}, {"--text", o->text ? o->text : "2", 0}, {"--second", o->second, 0}};
    LsLines lines = ls_lines(file);
    int columns = 0, count = 0;
    bool more, header = false;
    for (;;) {
        LS_TRY(next_line(part, &lines, &more));
        if (!more)
            return LS_OK;
        ls_lines_split(&lines, '\t', MOST_COLUMNS, field, &count);
        if (columns == 0) {
            columns = count;
            LS_TRY(ls_columns_resolve(column, o->second ? 3 : 2, &lines, count < MOST_COLUMNS ? count : MOST_COLUMNS,
                                      field, &header));
            if (header)
                continue;
        }
        if (count != columns)
            return ls_lines_fail(&lines, "has %d column%s between tabs, the lines before have %d", count,
                                 count == 1 ? "" : "s", columns);
        LS_TRY(add_sample(part, classes, field[column[0].index], field[column[1].index],
                          o->second ? field[column[2].index] : (LsSpan){0}, true, &lines));
    }
}

/* A member as text: a string, or a whole number written out into `room`. */
static bool member_text(const json_t *object, const char *key, char room[32], LsSpan *text)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value)) {
        *text = (LsSpan){json_string_value(value), (int64_t)json_string_length(value)};
        return true;
    }
    if (json_is_integer(value)) {
        int bytes = snprintf(room, 32, "%lld", (long long)json_integer_value(value));
        *text = (LsSpan){room, bytes};
    }
    return json_is_integer(value);
}

static LsStatus read_jsonl(const LsLinesSettings *o, LsClasses *classes, LsLabelled *part, const LsCorpusPart *file)
{
    const char *label_key = o->label ? o->label : "label", *text_key = o->text ? o->text : "text";
    LsLines lines = ls_lines(file);
    char room[3][32];
    bool more;
    for (;;) {
        json_t *object = NULL;
        LsSpan label, text, second = {0};
        LS_TRY(next_line(part, &lines, &more));
        if (!more)
            return LS_OK;
        LS_TRY(ls_lines_json(&lines, &object));
        LsStatus status = LS_OK;
        if (!member_text(object, label_key, room[0], &label))
            status = ls_lines_fail(&lines, "has no \"%s\" that is a text or a whole number; --label names the member",
                                   label_key);
        else if (!member_text(object, text_key, room[1], &text))
            status = ls_lines_fail(&lines, "has no \"%s\" that is a text; --text names the member", text_key);
        else if (o->second && !member_text(object, o->second, room[2], &second))
            status = ls_lines_fail(&lines, "has no \"%s\" that is a text; --second names the member", o->second);
        else
            status = add_sample(part, classes, label, text, second, false, &lines);
        json_decref(object);
        LS_TRY(status);
    }
}

static LsStatus read_class(LsSpan label, LsClasses *classes, LsLabelled *part, const LsCorpusPart *file)
{
    LsLines lines = ls_lines(file);
    bool more;
    for (;;) {
        LS_TRY(next_line(part, &lines, &more));
        if (!more)
            return LS_OK;
        LS_TRY(add_sample(part, classes, label, (LsSpan){lines.text, lines.bytes}, (LsSpan){0}, true, &lines));
    }
}

/* ---- Files of a class each --------------------------------------------------------------------------------------- */

static LsSpan base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (LsSpan){slash ? slash + 1 : path, (int64_t)strlen(slash ? slash + 1 : path)};
}

/* The part of a name behind its last dot, or with `front` before it. The whole name where it has no dot. */
static LsSpan cut_name(LsSpan name, bool front)
{
    int64_t dot = name.bytes - 1;
    while (dot > 0 && name.text[dot] != '.')
        dot--;
    if (dot <= 0)
        return name;
    return front ? (LsSpan){name.text, dot} : (LsSpan){name.text + dot + 1, name.bytes - dot - 1};
}

/* The class of file number `at`: a class that is listed, else from its name ("reviews.pos", "reviews.neg": the endings,
 * where all else is alike; "sports.txt": what stands before it). */
static LsSpan class_of_file(const LsLabelled *part, const LsClasses *classes, int at)
{
    if (classes->fixed && at < classes->count)
        return (LsSpan){classes->name[at], (int64_t)strlen(classes->name[at])};
    LsSpan first = cut_name(base_name(part->raw.file[0].name), true);
    bool alike = part->raw.files > 1;
    for (int i = 1; i < part->raw.files; i++) {
        LsSpan front = cut_name(base_name(part->raw.file[i].name), true);
        alike = alike && front.bytes == first.bytes && memcmp(front.text, first.text, (size_t)first.bytes) == 0;
    }
    return cut_name(base_name(part->raw.file[at].name), !alike);
}

static LsStatus read_classes(LsClasses *classes, LsLabelled *part)
{
    if (classes->fixed && part->raw.files != classes->count)
        return ls_fail(LS_USAGE, "%s: %d file%s for %d classes; one each is expected, in their order",
                       part->raw.file[0].name, part->raw.files, part->raw.files == 1 ? "" : "s", classes->count);
    for (int i = 0; i < part->raw.files; i++)
        LS_TRY(read_class(class_of_file(part, classes, i), classes, part, &part->raw.file[i]));
    return LS_OK;
}

LsStatus ls_labelled_read(const LsLinesSettings *o, LsClasses *classes, LsLabelled *part)
{
    if (strcmp(o->format, "files") == 0 && o->second)
        return ls_fail(LS_USAGE, "--second: a file of a class has one text a line");
    if (strcmp(o->format, "files") == 0 && part->raw.files > 0)
        return read_classes(classes, part);
    for (int i = 0; i < part->raw.files; i++) {
        const LsCorpusPart *file = &part->raw.file[i];
        bool json = strcmp(o->format, "jsonl") == 0 ||
                    (strcmp(o->format, "auto") == 0 &&
                     (ls_name_ends(file->name, ".jsonl") || ls_name_ends(file->name, ".json")));
        LS_TRY(json ? read_jsonl(o, classes, part, file) : read_tsv(o, classes, part, file));
    }
    return LS_OK;
}

void ls_labelled_free(LsLabelled *part)
{
    ls_texts_free(&part->texts);
    ls_texts_free(&part->second);
    ls_free(part->label.id);
    ls_raw_files_close(&part->raw);
}
