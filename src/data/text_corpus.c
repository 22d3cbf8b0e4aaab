/* Texts from files, folders and JSON lines. */
#include "data/text_corpus.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Takes over path. */
static LsStatus add_name(LsCorpus *corpus, char *path)
{
    if (!path)
        return LS_RESOURCE;
    if (corpus->names == corpus->name_room) {
        int room = corpus->name_room ? 2 * corpus->name_room : 64;
        char **grown = ls_alloc_array(room, sizeof *grown);
        if (!grown) {
            ls_free(path);
            return LS_RESOURCE;
        }
        if (corpus->names)
            memcpy(grown, corpus->name, (size_t)corpus->names * sizeof *grown);
        ls_free(corpus->name);
        corpus->name = grown;
        corpus->name_room = room;
    }
    corpus->name[corpus->names++] = path;
    return LS_OK;
}

static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static LsStatus add_folder(LsCorpus *corpus, const char *path, const char *ending);

/* One entry of a folder; takes over path. */
static LsStatus add_entry(LsCorpus *corpus, char *path, const char *ending)
{
    struct stat st;
    if (!path)
        return LS_RESOURCE;
    bool there = lstat(path, &st) == 0;
    if (there && S_ISREG(st.st_mode) && ls_name_ends(path, ending))
        return add_name(corpus, path);
    LsStatus status = LS_OK;
    if (there && S_ISDIR(st.st_mode))
        status = add_folder(corpus, path, ending);
    else
        corpus->passed++;
    ls_free(path);
    return status;
}

static LsStatus add_folder(LsCorpus *corpus, const char *path, const char *ending)
{
    struct dirent **list = NULL;
    LsStatus status = LS_OK;
    int count = scandir(path, &list, is_shown, by_bytes);
    if (count < 0)
        return ls_fail(LS_DATA, "%s: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == LS_OK)
            status = add_entry(corpus, ls_format("%s/%s", path, list[i]->d_name), ending);
        free(list[i]);
    }
    free(list);
    return status;
}

static LsStatus add_source(LsCorpus *corpus, const char *source, const char *ending)
{
    struct stat st;
    int before = corpus->names;
    if (stat(source, &st) != 0 || !S_ISDIR(st.st_mode))
        return add_name(corpus, ls_strdup(source));
    LS_TRY(add_folder(corpus, source, ending));
    return corpus->names > before ? LS_OK : ls_fail(LS_DATA, "%s: has no files *%s", source, ending);
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

static LsStatus add_document(LsCorpus *corpus, const LsLines *lines, const char *field)
{
    json_t *object = NULL;
    LS_TRY(ls_lines_json(lines, &object));
    const char *text = json_string_value(json_object_get(object, field));
    LsStatus status = LS_OK;
    if (!text)
        status = ls_lines_fail(lines, "has no \"%s\" that is a text; --field names the member", field);
    else if (!*text)
        status = ls_lines_fail(lines, "the text is empty");
    else {
        size_t bytes = strlen(text);
        char *ended = ls_format("%s%s", text, text[bytes - 1] == '\n' ? "" : "\n");
        status =
            ended ? ls_texts_add_copy(&corpus->documents, (LsSpan){ended, (int64_t)strlen(ended)}, lines) : LS_RESOURCE;
        ls_free(ended);
    }
    json_decref(object);
    return status;
}

static LsStatus read_documents(LsCorpus *corpus, const LsCorpusPart *file, const char *field)
{
    LsLines lines = ls_lines(file);
    while (ls_lines_next(&lines)) {
        if (ls_span_trim((LsSpan){lines.text, lines.bytes}).bytes == 0)
            continue;
        LS_TRY(ls_lines_check(&lines));
        LS_TRY(add_document(corpus, &lines, field));
    }
    return LS_OK;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

LsStatus ls_corpus_read(LsCorpus *corpus, int sources, char *const *source, const char *field)
{
    for (int i = 0; i < sources; i++)
        LS_TRY(add_source(corpus, source[i], field ? ".jsonl" : ".txt"));
    LS_TRY(ls_raw_files_open(&corpus->raw, corpus->names, corpus->name));
    for (int i = 0; field && i < corpus->raw.files; i++)
        LS_TRY(read_documents(corpus, &corpus->raw.file[i], field));
    if (field && corpus->documents.count == 0)
        return ls_fail(LS_DATA, "%s: has no texts", source[0]);
    corpus->part = field ? corpus->documents.text : corpus->raw.file;
    corpus->parts = field ? (int)corpus->documents.count : corpus->raw.files;
    return LS_OK;
}

void ls_corpus_free(LsCorpus *corpus)
{
    ls_raw_files_close(&corpus->raw);
    ls_texts_free(&corpus->documents);
    for (int i = 0; i < corpus->names; i++)
        ls_free(corpus->name[i]);
    ls_free(corpus->name);
    *corpus = (LsCorpus){0};
}
