/* Files and columns that options of `prepare` name, and descriptions of texts. */
#include "data/texts.h"

#include "config/number.h"
#include "data/seen.h"

#include <stdio.h>
#include <string.h>

LsStatus ls_raw_files_open(LsRawFiles *files, int sources, char *const *source)
{
    files->file = ls_alloc_array(sources, sizeof *files->file);
    if (!files->file)
        return LS_RESOURCE;
    LsSeen seen = {0};
    LsStatus status = LS_OK;
    for (; files->files < sources && status == LS_OK; files->files++) {
        status = ls_raw_map(source[files->files], &files->file[files->files]);
        if (status != LS_OK)
            break;
        status = ls_seen_add(&seen, source[files->files]);
    }
    ls_seen_warn(&seen);
    ls_seen_free(&seen);
    return status;
}

LsStatus ls_raw_files_open_list(LsRawFiles *files, const char *list, const char *output)
{
    if (!list)
        return LS_OK;
    int count = 1;
    files->names = ls_strdup(list);
    for (const char *at = list; (at = strchr(at, ',')); at++)
        count++;
    char **name = ls_alloc_array(count, sizeof *name);
    LsStatus status = name && files->names ? LS_OK : LS_RESOURCE;
    char *at = files->names;
    for (int i = 0; i < count && status == LS_OK; i++) {
        name[i] = at;
        at += strcspn(at, ",");
        *at++ = '\0';
        if (ls_is_same_file(name[i], output))
            status = ls_fail(LS_USAGE, "%s is a source and the output at once", name[i]);
    }
    if (status == LS_OK)
        status = ls_raw_files_open(files, count, name);
    ls_free(name);
    return status;
}

void ls_raw_files_close(LsRawFiles *files)
{
    for (int i = 0; i < files->files; i++)
        ls_raw_unmap(&files->file[i]);
    ls_free(files->file);
    ls_free(files->names);
    *files = (LsRawFiles){0};
}

LsStatus ls_split_files_open(const LsHeldOutSettings *settings, int sources, char *const *source, const char *output,
                             LsRawFiles *const raw[LS_SPLITS])
{
    LS_TRY(ls_raw_files_open(raw[LS_SPLIT_TRAIN], sources, source));
    LS_TRY(ls_raw_files_open_list(raw[LS_SPLIT_VALIDATION], settings->validation_file, output));
    return ls_raw_files_open_list(raw[LS_SPLIT_TEST], settings->test, output);
}

bool ls_name_ends(const char *name, const char *ending)
{
    size_t length = strlen(name), wanted = strlen(ending);
    return length >= wanted && strcmp(name + length - wanted, ending) == 0;
}

/* The index of one column. */
static LsStatus find_column(LsColumn *column, const LsLines *first, int fields, const LsSpan *field)
{
    int64_t number = 0;
    if (ls_number_int(column->wanted, &number)) {
        column->index = (int)number - 1;
        if (number < 1 || number > fields)
            return ls_lines_fail(first, "there are %d columns, but %s is column %lld", fields, column->option,
                                 (long long)number);
        return LS_OK;
    }
    for (column->index = 0; column->index < fields; column->index++)
        if (ls_span_is(ls_span_trim(field[column->index]), column->wanted))
            return LS_OK;
    return ls_lines_fail(first, "none of the %d columns is named '%s' (%s); the first line has no such name", fields,
                         column->wanted, column->option);
}

LsStatus ls_columns_resolve(LsColumn *column, int columns, const LsLines *first, int fields, const LsSpan *field,
                            bool *header)
{
    int64_t number;
    *header = false;
    for (int i = 0; i < columns; i++) {
        *header = *header || !ls_number_int(column[i].wanted, &number);
        LS_TRY(find_column(&column[i], first, fields, field));
    }
    return LS_OK;
}

/* ---- Describing -------------------------------------------------------------------------------------------------- */

LsStatus ls_describe_texts(LsSealed *file, const char *split, const char *name, json_t *object, int64_t *count)
{
    char path[128];
    bool exists = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0}, *offset = NULL;
    *count = 0;
    snprintf(path, sizeof path, "%s/%s", split, name);
    LS_TRY(ls_sealed_shape(file, path, &exists, &type, &rank, dim));
    if (!exists)
        return LS_OK;
    snprintf(path, sizeof path, "%s/%s_offsets", split, name);
    LS_TRY(ls_offsets_read(file, path, dim[0], &offset, count));
    if (!offset)
        return ls_fail(LS_DATA, "%s: has no %s", ls_sealed_path(file), path);
    json_t *lengths = ls_describe_offsets(offset, *count);
    ls_free(offset);
    snprintf(path, sizeof path, "%s_%s_lengths", split, name);
    return lengths && json_object_set_new(object, path, lengths) == 0 ? LS_OK : LS_RESOURCE;
}

LsStatus ls_describe_tokenizer(LsSealed *file, const char *role, json_t *object)
{
    LsTokenizer *tokenizer = ls_sealed_tokenizer(file, role);
    if (!tokenizer)
        return ls_message_status();
    char *key = ls_format("%s_vocabulary", role);
    json_object_set_new(object, role, json_string(ls_tokenizer_kind(tokenizer)));
    if (key)
        json_object_set_new(object, key, json_integer(ls_tokenizer_vocabulary(tokenizer)));
    ls_free(key);
    ls_tokenizer_free(tokenizer);
    return key ? LS_OK : LS_RESOURCE;
}
