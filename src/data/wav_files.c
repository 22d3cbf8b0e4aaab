/* The files of sounds that the sources name, each with its class and its part. */
#include "data/name_regex.h"
#include "data/utf8.h"
#include "data/wav.h"
#include "io/file.h"
#include "io/folder.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define ENDINGS "*.wav, *.flac, *.ogg"

/* The search for sounds below one source. */
typedef struct Search {
    LsWavFiles *files;
    LsClasses *classes;
    LsNameRegex *label, *test; /* NULL: not asked for */
    LsSplit split;
    const char *source;
    bool folder; /* source is one */
} Search;

static bool is_sound(const char *name)
{
    static const char *const endings[] = {".wav", ".flac", ".ogg"};
    size_t length = strlen(name);
    for (size_t i = 0; i < LS_COUNT_OF(endings); i++)
        if (length > strlen(endings[i]) && strcasecmp(name + length - strlen(endings[i]), endings[i]) == 0)
            return true;
    return false;
}

/* ---- Class and part of a file ------------------------------------------------------------------------------------ */

/* Below the source, where that is a folder, else without its folder. */
static const char *name_of(const Search *search, const char *path)
{
    const char *slash = strrchr(path, '/');
    return search->folder ? path + ls_path_length(search->source) + 1 : slash ? slash + 1 : path;
}

/* The folder that a file lies in, below the source. */
static LsStatus folder_label(const Search *search, const char *path, LsSpan *label)
{
    const char *name = name_of(search, path), *end = strrchr(name, '/'), *start = end;
    if (!search->folder)
        return ls_fail(LS_DATA,
                       "%s: no folder says its class, since it is named itself; name the folder that holds the folders "
                       "of classes, or give --label",
                       path);
    if (!end)
        return ls_fail(LS_DATA,
                       "%s: lies in %s itself, and in no folder of a class; --label takes the class from names", path,
                       search->source);
    while (start > name && start[-1] != '/')
        start--;
    *label = (LsSpan){start, (int64_t)(end - start)};
    return LS_OK;
}

static LsStatus find_label(const Search *search, const char *path, int *label)
{
    LsSpan name = {0};
    LsClasses *classes = search->classes;
    if (search->label)
        LS_TRY(ls_name_regex_find(search->label, name_of(search, path), &name));
    else
        LS_TRY(folder_label(search, path, &name));
    if (!name.text || name.bytes == 0)
        return ls_fail(LS_DATA, "%s: --label finds no class in the name '%s'", path, name_of(search, path));
    if (ls_utf8_span(name.text, name.bytes) < name.bytes)
        return ls_fail(LS_DATA, "%s: the name of its class is no UTF-8", path);
    if (classes->fixed && ls_classes_find(classes, name) < 0)
        return ls_fail(LS_DATA, "%s: its class '%.*s' is none of the %d classes", path, (int)name.bytes, name.text,
                       classes->count);
    *label = ls_classes_add(classes, name);
    return *label < 0 ? ls_message_status() : LS_OK;
}

static LsStatus find_split(const Search *search, const char *path, LsSplit *split)
{
    LsSpan found = {0};
    *split = search->split;
    if (search->test && search->split == LS_SPLIT_TRAIN)
        LS_TRY(ls_name_regex_find(search->test, name_of(search, path), &found));
    if (found.text)
        *split = LS_SPLIT_TEST;
    return LS_OK;
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static LsStatus grow(LsWavFiles *files)
{
    int64_t room = files->room ? 2 * files->room : 1024;
    LsWavFile *file = ls_alloc_array(room, sizeof *file);
    int32_t *label = ls_alloc_array(room, sizeof *label);
    if (!file || !label) {
        ls_free(file);
        ls_free(label);
        return LS_RESOURCE;
    }
    for (int64_t i = 0; i < files->count; i++) {
        file[i] = files->file[i];
        label[i] = files->label[i];
    }
    ls_free(files->file);
    ls_free(files->label);
    files->file = file;
    files->label = label;
    files->room = room;
    return LS_OK;
}

static LsStatus add_file(const Search *search, const char *path)
{
    LsWavFiles *files = search->files;
    LsWavFile file = {.path = NULL};
    int label = 0;
    LS_TRY(find_label(search, path, &label));
    LS_TRY(find_split(search, path, &file.split));
    LS_TRY(ls_seen_add(&files->seen, path));
    if (files->count == files->room)
        LS_TRY(grow(files));
    file.path = ls_strdup(path);
    if (!file.path)
        return LS_RESOURCE;
    files->label[files->count] = label;
    files->file[files->count++] = file;
    return LS_OK;
}

/* Links to folders are not followed: they may lead in circles. */
static LsStatus visit(void *self, const char *path, const char *name)
{
    const Search *search = self;
    struct stat link, st;
    bool there = lstat(path, &link) == 0 && stat(path, &st) == 0;
    if (there && S_ISDIR(link.st_mode))
        return ls_folder_each(path, visit, self);
    if (there && S_ISREG(st.st_mode) && is_sound(name))
        return add_file(search, path);
    search->files->skipped++;
    return LS_OK;
}

static LsStatus add_source(Search *search, const char *source)
{
    struct stat st;
    int64_t before = search->files->count;
    if (stat(source, &st) != 0)
        return ls_fail(LS_DATA, "%s: %s", source, strerror(errno));
    search->source = source;
    search->folder = S_ISDIR(st.st_mode);
    if (!search->folder)
        return add_file(search, source);
    LS_TRY(ls_folder_each(source, visit, search));
    return search->files->count > before ? LS_OK : ls_fail(LS_DATA, "%s: has no sounds (%s)", source, ENDINGS);
}

/* Names with commas between them; NULL: none. */
static LsStatus add_list(Search *search, const char *list, LsSplit split)
{
    LsStatus status = LS_OK;
    search->split = split;
    for (const char *at = list; at && status == LS_OK;) {
        const char *end = strchrnul(at, ',');
        char *source = ls_format("%.*s", (int)(end - at), at);
        status = source ? add_source(search, source) : LS_RESOURCE;
        ls_free(source);
        at = *end ? end + 1 : NULL;
    }
    return status;
}

static LsStatus check_training_part(const LsWavSettings *o, const LsWavFiles *files)
{
    for (int64_t i = 0; i < files->count; i++)
        if (files->file[i].split == LS_SPLIT_TRAIN)
            return LS_OK;
    return ls_fail(LS_DATA, "--test-names '%s' matches all files: none is left to train on", o->test_names);
}

/* Of classes that no option names, each must occur in the training part. */
static LsStatus check_classes(const LsWavFiles *files, const LsClasses *classes)
{
    bool *learnt = ls_alloc_array(classes->count, sizeof *learnt);
    LsStatus status = learnt ? LS_OK : LS_RESOURCE;
    for (int64_t i = 0; learnt && i < files->count; i++)
        if (files->file[i].split == LS_SPLIT_TRAIN)
            learnt[files->label[i]] = true;
    for (int64_t i = 0; i < files->count && status == LS_OK; i++)
        if (!learnt[files->label[i]])
            status = ls_fail(LS_DATA, "%s: its class '%s' has no sound to train on; --classes names all that may occur",
                             files->file[i].path, classes->name[files->label[i]]);
    ls_free(learnt);
    return status;
}

static LsStatus find_all(Search *search, const LsWavSettings *o, int sources, char *const *source)
{
    if (o->label)
        LS_TRY(ls_name_regex_new("--label", o->label, true, &search->label));
    if (o->test_names)
        LS_TRY(ls_name_regex_new("--test-names", o->test_names, false, &search->test));
    for (int i = 0; i < sources; i++)
        LS_TRY(add_source(search, source[i]));
    LS_TRY(add_list(search, o->held_out.validation_file, LS_SPLIT_VALIDATION));
    return add_list(search, o->held_out.test, LS_SPLIT_TEST);
}

LsStatus ls_wav_files_find(const LsWavSettings *o, int sources, char *const *source, LsClasses *classes,
                           LsWavFiles *files)
{
    Search search = {.files = files, .classes = classes, .split = LS_SPLIT_TRAIN};
    bool named = classes->fixed;
    LsStatus status = find_all(&search, o, sources, source);
    ls_name_regex_free(search.label);
    ls_name_regex_free(search.test);
    if (status == LS_OK)
        status = check_training_part(o, files);
    if (status == LS_OK && !named)
        status = ls_classes_sort_labels(classes, files->label, files->count);
    if (status == LS_OK && !named)
        status = check_classes(files, classes);
    if (status == LS_OK)
        ls_seen_warn(&files->seen);
    return status;
}

void ls_wav_files_free(LsWavFiles *files)
{
    for (int64_t i = 0; i < files->count; i++)
        ls_free(files->file[i].path);
    ls_free(files->file);
    ls_free(files->label);
    ls_seen_free(&files->seen);
    *files = (LsWavFiles){0};
}
