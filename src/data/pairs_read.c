/* Pairs of texts from tab-separated lines, JSON lines, or two files whose lines belong together. */
#include "data/pairs.h"

#include <string.h>

#define MOST_COLUMNS 64

static const char *const side_names[LS_PAIR_SIDES] = {"source", "target"};

static LsStatus check_side(LsSpan text, int side, const LsLines *lines)
{
    return text.bytes > 0 ? LS_OK : ls_lines_fail(lines, "the %s text is empty", side_names[side]);
}

static bool is_blank(const LsLines *lines) { return ls_span_trim((LsSpan){lines->text, lines->bytes}).bytes == 0; }

/* Columns past those of the first line (notes of where a pair comes from) need not be there in every line. */
static LsStatus read_tsv(const LsPairsSettings *o, LsPairs *part, const LsCorpusPart *file)
{
    LsSpan field[MOST_COLUMNS];
    LsColumn column[] = {{"--source", o->source ? o->source : "1", 0}, {"--target", o->target ? o->target : "2", 0}};
    LsLines lines = ls_lines(file);
    bool first = true, header = false;
    while (ls_lines_next(&lines)) {
        int count = 0;
        if (is_blank(&lines)) {
            part->blank++;
            continue;
        }
        LS_TRY(ls_lines_check(&lines));
        ls_lines_split(&lines, '\t', MOST_COLUMNS, field, &count);
        count = count < MOST_COLUMNS ? count : MOST_COLUMNS;
        if (first)
            LS_TRY(ls_columns_resolve(column, 2, &lines, count, field, &header));
        if (!first || !header)
            for (int side = 0; side < LS_PAIR_SIDES; side++) {
                if (column[side].index >= count)
                    return ls_lines_fail(&lines, "has %d column%s between tabs, but the %s text is column %d", count,
                                         count == 1 ? "" : "s", side_names[side], column[side].index + 1);
                LsSpan text = ls_span_trim(field[column[side].index]);
                LS_TRY(check_side(text, side, &lines));
                LS_TRY(ls_texts_add(&part->side[side], text, &lines));
            }
        first = false;
    }
    return LS_OK;
}

static LsStatus read_jsonl(const LsPairsSettings *o, LsPairs *part, const LsCorpusPart *file)
{
    const char *const key[] = {o->source ? o->source : "source", o->target ? o->target : "target"};
    LsLines lines = ls_lines(file);
    while (ls_lines_next(&lines)) {
        json_t *object = NULL;
        LsStatus status = LS_OK;
        if (is_blank(&lines)) {
            part->blank++;
            continue;
        }
        LS_TRY(ls_lines_check(&lines));
        LS_TRY(ls_lines_json(&lines, &object));
        for (int side = 0; side < LS_PAIR_SIDES && status == LS_OK; side++) {
            const json_t *value = json_object_get(object, key[side]);
            LsSpan text = {json_string_value(value), (int64_t)json_string_length(value)};
            if (!text.text)
                status = ls_lines_fail(&lines, "has no \"%s\" that is a text; --%s names the member", key[side],
                                       side_names[side]);
            else
                status = check_side(ls_span_trim(text), side, &lines);
            if (status == LS_OK)
                status = ls_texts_add_copy(&part->side[side], ls_span_trim(text), &lines);
        }
        json_decref(object);
        LS_TRY(status);
    }
    return LS_OK;
}

/* Two files, line by line: an empty line in both is passed over. */
static LsStatus read_two(LsPairs *part, const LsCorpusPart *file)
{
    LsLines lines[LS_PAIR_SIDES] = {ls_lines(&file[0]), ls_lines(&file[1])};
    for (;;) {
        bool there[] = {ls_lines_next(&lines[0]), ls_lines_next(&lines[1])};
        if (!there[0] && !there[1])
            return LS_OK;
        if (!there[0] || !there[1]) {
            int longer = there[0] ? 0 : 1;
            return ls_lines_fail(&lines[longer], "%s ends before it, at line %lld; the lines of both belong together",
                                 file[1 - longer].name, (long long)lines[1 - longer].number);
        }
        if (is_blank(&lines[0]) && is_blank(&lines[1])) {
            part->blank++;
            continue;
        }
        for (int side = 0; side < LS_PAIR_SIDES; side++) {
            LsSpan text = ls_span_trim((LsSpan){lines[side].text, lines[side].bytes});
            LS_TRY(ls_lines_check(&lines[side]));
            LS_TRY(check_side(text, side, &lines[side]));
            LS_TRY(ls_texts_add(&part->side[side], text, &lines[side]));
        }
    }
}

LsStatus ls_pairs_read(const LsPairsSettings *o, LsPairs *part)
{
    if (strcmp(o->format, "files") == 0) {
        if (part->raw.files % 2 != 0)
            return ls_fail(LS_USAGE, "%s: files come in pairs: source texts, then their targets",
                           part->raw.file[part->raw.files - 1].name);
        for (int i = 0; i < part->raw.files; i += 2)
            LS_TRY(read_two(part, &part->raw.file[i]));
        return LS_OK;
    }
    for (int i = 0; i < part->raw.files; i++) {
        const LsCorpusPart *file = &part->raw.file[i];
        bool ends = ls_name_ends(file->name, ".jsonl") || ls_name_ends(file->name, ".json");
        bool json = strcmp(o->format, "jsonl") == 0 || (strcmp(o->format, "auto") == 0 && ends);
        LS_TRY(json ? read_jsonl(o, part, file) : read_tsv(o, part, file));
    }
    return LS_OK;
}

void ls_pairs_free(LsPairs *part)
{
    for (int side = 0; side < LS_PAIR_SIDES; side++)
        ls_texts_free(&part->side[side]);
    ls_raw_files_close(&part->raw);
}
