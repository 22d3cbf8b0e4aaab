/* Texts from files, folders, archives and JSON lines. */
#include "data/text_corpus.h"

#include "data/unpack.h"
#include "data/utf8.h"
#include "io/file.h"
#include "io/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

/* A larger array with the same `count` elements where there is no room for one more; NULL when out of memory. */
static void *with_room(void *array, int count, int *room, size_t size)
{
    if (count < *room)
        return array;
    int larger = *room ? 2 * *room : 64;
    char *grown = ls_alloc_array(larger, size);
    if (!grown)
        return NULL;
    if (count)
        memcpy(grown, array, (size_t)count * size);
    ls_free(array);
    *room = larger;
    return grown;
}

static LsStatus add_region(LsCorpus *corpus, const char *text, int64_t bytes, bool spooled)
{
    LsRegion *grown = with_room(corpus->region, corpus->regions, &corpus->region_room, sizeof *grown);
    if (!grown)
        return LS_RESOURCE;
    corpus->region = grown;
    corpus->region[corpus->regions++] = (LsRegion){text, bytes, spooled};
    return LS_OK;
}

/* Takes over name. */
static LsStatus add_file(LsCorpus *corpus, char *name)
{
    char **grown = name ? with_room(corpus->file, corpus->files, &corpus->file_room, sizeof *grown) : NULL;
    if (!grown) {
        ls_free(name);
        return LS_RESOURCE;
    }
    corpus->file = grown;
    corpus->file[corpus->files++] = name;
    return LS_OK;
}

/* A text of the newest file. */
static LsStatus add_part(LsCorpus *corpus, const char *text, int64_t bytes)
{
    int room = corpus->part_room;
    LsCorpusPart *grown = with_room(corpus->part, corpus->parts, &room, sizeof *grown);
    if (!grown)
        return LS_RESOURCE;
    corpus->part = grown;
    int *files = with_room(corpus->file_of, corpus->parts, &corpus->part_room, sizeof *files);
    if (!files)
        return LS_RESOURCE;
    corpus->file_of = files;
    corpus->file_of[corpus->parts] = corpus->files - 1;
    corpus->part[corpus->parts++] = (LsCorpusPart){corpus->file[corpus->files - 1], text, bytes};
    return LS_OK;
}

/* Maps what a spool holds, as a region of the corpus. */
static LsStatus keep_spool(LsCorpus *corpus, LsSpool **spool, const char **text)
{
    int64_t bytes = 0;
    LS_TRY(ls_spool_map(spool, text, &bytes));
    LsStatus status = *text ? add_region(corpus, *text, bytes, true) : LS_OK;
    if (status != LS_OK)
        ls_spool_unmap(*text, bytes);
    return status;
}

/* Passes over what is bad, where that is asked for. */
static LsStatus note_bad(LsCorpus *corpus, LsStatus status)
{
    if (status == LS_DATA && !corpus->options->skip_bad && !corpus->hinted) {
        corpus->hinted = true;
        return ls_fail(LS_DATA, "%s; --skip-bad passes over what is bad and counts it", ls_message());
    }
    if (status != LS_DATA || !corpus->options->skip_bad)
        return status;
    if (corpus->bad++ == 0)
        snprintf(corpus->first_bad, sizeof corpus->first_bad, "%s", ls_message());
    ls_clear_message();
    return LS_OK;
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

static LsStatus fail_member(const LsLines *lines, const json_t *object, const char *field)
{
    char names[160] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t used = strlen(names);
        if (json_is_string(value))
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", key);
    }
    return ls_lines_fail(lines, "has no \"%s\" that is a text%s%s; --field names the member", field,
                         names[0] ? ", but has " : "", names);
}

static LsStatus read_document(LsCorpus *corpus, const LsLines *lines, LsSpool *spool)
{
    json_t *object = NULL;
    const char *field = corpus->options->field;
    LS_TRY(ls_lines_check(lines));
    LS_TRY(ls_lines_json(lines, &object));
    const json_t *value = json_object_get(object, field);
    const char *text = json_string_value(value);
    int64_t bytes = (int64_t)json_string_length(value);
    LsStatus status = LS_OK;
    if (!text)
        status = fail_member(lines, object, field);
    else if (bytes == 0)
        status = ls_lines_fail(lines, "the text is empty");
    else {
        bool ends = text[bytes - 1] == '\n';
        status = ls_spool_write(spool, text, bytes);
        if (status == LS_OK && !ends)
            status = ls_spool_write(spool, "\n", 1);
        if (status == LS_OK)
            status = add_part(corpus, NULL, bytes + !ends);
    }
    json_decref(object);
    return status;
}

/* The texts lie one after the other in a spool of this file. */
static LsStatus read_documents(LsCorpus *corpus, const LsCorpusPart *file)
{
    LsLines lines = ls_lines(file);
    LsSpool *spool = ls_spool_new(corpus->options->folder);
    LsStatus status = spool ? LS_OK : ls_message_status();
    int first = corpus->parts;
    const char *text = NULL;
    corpus->marks += lines.at > 0;
    while (status == LS_OK && ls_lines_next(&lines))
        if (ls_span_trim((LsSpan){lines.text, lines.bytes}).bytes > 0)
            status = note_bad(corpus, read_document(corpus, &lines, spool));
    if (status == LS_OK)
        status = keep_spool(corpus, &spool, &text);
    ls_spool_free(spool);
    for (int i = first; i < corpus->parts && text; i++) {
        corpus->part[i].text = text;
        text += corpus->part[i].bytes;
    }
    return status;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

/* Whether there are lines, and all of them end in CR LF. */
static bool ends_in_returns(const char *text, int64_t bytes)
{
    const char *at = text, *end = text + bytes, *line;
    bool any = false;
    for (; (line = memchr(at, '\n', (size_t)(end - at))); at = line + 1, any = true)
        if (line == text || line[-1] != '\r')
            return false;
    return any;
}

/* The same lines with LF alone. */
static LsStatus drop_returns(LsCorpus *corpus, const char **text, int64_t *bytes)
{
    const char *at = *text, *end = at + *bytes;
    LsSpool *spool = ls_spool_new(corpus->options->folder);
    LsStatus status = spool ? LS_OK : ls_message_status();
    while (status == LS_OK && at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        status = ls_spool_write(spool, at, (line ? line - 1 : end) - at);
        if (status == LS_OK && line)
            status = ls_spool_write(spool, "\n", 1);
        at = line ? line + 1 : end;
    }
    *bytes = spool ? ls_spool_size(spool) : 0;
    if (status == LS_OK)
        status = keep_spool(corpus, &spool, text);
    ls_spool_free(spool);
    corpus->returns++;
    return status;
}

static void note_looks(LsCorpus *corpus, const char *name, const char *text, int64_t bytes)
{
    const char *cure = NULL, *kind = ls_looks_like(text, bytes, &cure);
    for (int i = 0; kind && i < LS_LOOKS; i++) {
        LsLooksLike *look = &corpus->looks[i];
        if (look->kind && strcmp(look->kind, kind) != 0)
            continue;
        if (!look->kind)
            *look = (LsLooksLike){kind, cure, name, 0};
        look->files++;
        return;
    }
}

static LsStatus read_text(LsCorpus *corpus, const char *name, const char *text, int64_t bytes)
{
    const LsCorpusOptions *o = corpus->options;
    if (!o->as_is && bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        bytes -= 3;
        corpus->marks++;
    }
    if (bytes == 0)
        return ls_fail(LS_DATA, "%s: is empty", name);
    int64_t good = o->skip_bad && o->utf8 ? ls_utf8_span(text, bytes) : bytes;
    if (good < bytes)
        return ls_fail(LS_DATA, "%s: byte %lld (0x%02X) is no UTF-8", name, (long long)good + 1,
                       (unsigned char)text[good]);
    note_looks(corpus, name, text, bytes);
    if (!o->as_is && ends_in_returns(text, bytes))
        LS_TRY(drop_returns(corpus, &text, &bytes));
    return add_part(corpus, text, bytes);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* Whether a name ends so, compressed or not. */
static bool ends_packed(const char *name, const char *ending)
{
    static const char *const packed[] = {"", ".gz", ".xz", ".zst", ".bz2"};
    size_t length = strlen(name), wanted = strlen(ending);
    for (size_t i = 0; i < LS_COUNT_OF(packed); i++) {
        size_t more = strlen(packed[i]);
        if (length >= wanted + more && strcmp(name + length - more, packed[i]) == 0 &&
            strncmp(name + length - more - wanted, ending, wanted) == 0)
            return true;
    }
    return false;
}

/* With a field all sources are JSON lines but those that are named as texts. */
static bool is_records(const LsCorpus *corpus, const char *name)
{
    return corpus->options->field && !ends_packed(name, ".txt");
}

static LsStatus take(void *self, char *name, const char *text, int64_t bytes)
{
    LsCorpus *corpus = self;
    LS_TRY(add_file(corpus, name));
    if (is_records(corpus, name) && bytes > 0)
        return read_documents(corpus, &(LsCorpusPart){name, text, bytes});
    return note_bad(corpus, read_text(corpus, name, text, bytes));
}

static LsStatus take_region(void *self, const char *text, int64_t bytes)
{
    LsStatus status = add_region(self, text, bytes, true);
    if (status != LS_OK)
        ls_spool_unmap(text, bytes);
    return status;
}

/* What is read of folders and archives, for messages. */
static const char *ending_of(const LsCorpus *corpus) { return corpus->options->field ? "*.jsonl or *.txt" : "*.txt"; }

/* Files of folders and archives by their names. */
static bool is_wanted(LsCorpus *corpus, const char *name)
{
    bool records = ends_packed(name, ".jsonl");
    if (ends_packed(name, ".txt") || (records && corpus->options->field))
        return true;
    corpus->others += records;
    corpus->passed++;
    return false;
}

/* Of an archive; what is hidden, or in a folder that is, is passed over as it is in folders. */
static bool wanted(void *self, const char *name)
{
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (at[0] == '.' && at[1] != '/' && strncmp(at, "../", 3) != 0)
            return false;
    }
    return is_wanted(self, name);
}

static LsStatus read_bytes(LsCorpus *corpus, const char *name, const char *text, int64_t bytes)
{
    if (corpus->options->as_is || !ls_packed_kind(text, bytes)) {
        char *copy = ls_strdup(name);
        return copy ? take(corpus, copy, text, bytes) : LS_RESOURCE;
    }
    int before = corpus->files;
    int64_t bad = corpus->bad;
    LsUnpacked to = {wanted, take, take_region, corpus->options->folder, corpus};
    corpus->packed++;
    LS_TRY(ls_unpack(&(LsCorpusPart){name, text, bytes}, &to));
    return corpus->files > before || corpus->bad > bad
               ? LS_OK
               : ls_fail(LS_DATA, "%s: has no files %s in it", name, ending_of(corpus));
}

static LsStatus read_path(LsCorpus *corpus, const char *path)
{
    LsCorpusPart file;
    LS_TRY(ls_raw_map(path, &file));
    LS_TRY(ls_seen_add(&corpus->seen, path));
    LsStatus status = add_region(corpus, file.text, file.bytes, false);
    if (status != LS_OK)
        ls_raw_unmap(&file);
    return status == LS_OK ? read_bytes(corpus, path, file.text, file.bytes) : status;
}

static LsStatus read_standard_input(LsCorpus *corpus)
{
    static const char name[] = "standard input";
    char *room = ls_alloc(1 << 18);
    LsSpool *spool = room ? ls_spool_new(corpus->options->folder) : NULL;
    LsStatus status = spool ? LS_OK : ls_message_status();
    const char *text = NULL;
    int64_t bytes = 0;
    for (ssize_t got = 1; status == LS_OK && got != 0;) {
        got = read(STDIN_FILENO, room, 1 << 18);
        if (got < 0 && errno != EINTR)
            status = ls_fail(LS_DATA, "%s: %s", name, strerror(errno));
        else if (got > 0)
            status = ls_spool_write(spool, room, got);
    }
    bytes = spool ? ls_spool_size(spool) : 0;
    if (status == LS_OK && bytes == 0)
        status = ls_fail(LS_DATA, "%s: is empty", name);
    if (status == LS_OK)
        status = keep_spool(corpus, &spool, &text);
    ls_spool_free(spool);
    ls_free(room);
    return status == LS_OK ? read_bytes(corpus, name, text, bytes) : status;
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

/* What a folder is read for: the number of files that were read is counted in `found`. */
typedef struct FolderRead {
    LsCorpus *corpus;
    int64_t found;
} FolderRead;

static LsStatus read_entry(void *self, const char *path, const char *name)
{
    FolderRead *folder = self;
    LsCorpus *corpus = folder->corpus;
    struct stat st;
    (void)name;
    bool there = lstat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return ls_folder_each(path, read_entry, folder);
    if (there && !S_ISREG(st.st_mode))
        corpus->passed++;
    if (!there || !S_ISREG(st.st_mode) || !is_wanted(corpus, path))
        return LS_OK;
    folder->found++;
    return note_bad(corpus, read_path(corpus, path));
}

static LsStatus read_source(LsCorpus *corpus, const char *source)
{
    struct stat st;
    FolderRead folder = {corpus, 0};
    corpus->others = 0;
    if (strcmp(source, "-") == 0)
        return read_standard_input(corpus);
    if (stat(source, &st) != 0) /* a mistake of the command line, not a bad file */
        return ls_fail(LS_DATA, "%s: %s", source, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return note_bad(corpus, read_path(corpus, source));
    LS_TRY(ls_folder_each(source, read_entry, &folder));
    if (folder.found > 0)
        return LS_OK;
    if (corpus->others == 0)
        return ls_fail(LS_DATA, "%s: has no files %s", source, ending_of(corpus));
    return ls_fail(LS_DATA, "%s: has no files %s, but %lld *.jsonl: --field NAME reads a member of each line", source,
                   ending_of(corpus), (long long)corpus->others);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

LsStatus ls_corpus_read(LsCorpus *corpus, int sources, char *const *source, const LsCorpusOptions *options)
{
    corpus->options = options;
    for (int i = 0; i < sources; i++)
        LS_TRY(read_source(corpus, source[i]));
    if (corpus->parts > 0)
        return LS_OK;
    if (corpus->bad > 0)
        return ls_fail(LS_DATA, "%s: has no texts: %lld are bad, the first of them: %s", source[0],
                       (long long)corpus->bad, corpus->first_bad);
    return ls_fail(LS_DATA, "%s: has no texts", source[0]);
}

void ls_corpus_free(LsCorpus *corpus)
{
    for (int i = 0; i < corpus->regions; i++)
        if (corpus->region[i].spooled)
            ls_spool_unmap(corpus->region[i].text, corpus->region[i].bytes);
        else
            ls_raw_unmap(&(LsCorpusPart){.text = corpus->region[i].text, .bytes = corpus->region[i].bytes});
    for (int i = 0; i < corpus->files; i++)
        ls_free(corpus->file[i]);
    ls_seen_free(&corpus->seen);
    ls_free(corpus->region);
    ls_free(corpus->file);
    ls_free(corpus->part);
    ls_free(corpus->file_of);
    *corpus = (LsCorpus){0};
}

/* ", 3 what" or ", 1 what". */
static void write_count(FILE *out, int64_t count, const char *one, const char *several)
{
    if (count > 0)
        fprintf(out, ", %lld %s", (long long)count, count == 1 ? one : several);
}

char *ls_corpus_report(const LsCorpus *corpus)
{
    char *buffer = NULL, *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&buffer, &bytes);
    if (!out)
        return NULL;
    fprintf(out, "%d file%s", corpus->files, corpus->files == 1 ? "" : "s");
    if (corpus->options->field)
        write_count(out, corpus->parts, "text", "texts");
    write_count(out, corpus->packed, "unpacked", "unpacked");
    write_count(out, corpus->marks, "byte order mark left out", "byte order marks left out");
    write_count(out, corpus->returns, "with CR LF read as LF", "with CR LF read as LF");
    write_count(out, corpus->passed, "passed over, with another ending", "passed over, with other endings");
    write_count(out, corpus->bad, "bad passed over", "bad passed over");
    if (corpus->bad > 0)
        fprintf(out, " (the first: %s)", corpus->first_bad);
    if (fclose(out) == 0)
        text = ls_strdup(buffer);
    free(buffer);
    return text;
}

void ls_corpus_warn(LsCorpus *corpus)
{
    ls_seen_warn(&corpus->seen);
    for (int i = 0; i < LS_LOOKS && corpus->looks[i].kind; i++) {
        const LsLooksLike *look = &corpus->looks[i];
        char more[48] = "";
        if (look->files > 1)
            snprintf(more, sizeof more, " and %d other%s", look->files - 1, look->files == 2 ? "" : "s");
        ls_warn("%s%s: looks like %s, and is read as plain text; %s", look->first, more, look->kind, look->cure);
    }
}
