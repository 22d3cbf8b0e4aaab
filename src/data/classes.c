/* Names of classes: a list with a hash table over it. */
#include "data/samples.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int find_slot(const LsClasses *classes, LsSpan name)
{
    int at = (int)(XXH3_64bits(name.text, (size_t)name.bytes) & (uint64_t)(classes->slots - 1));
    while (classes->slot[at] && !ls_span_is(name, classes->name[classes->slot[at] - 1]))
        at = (at + 1) & (classes->slots - 1);
    return at;
}

int ls_classes_find(const LsClasses *classes, LsSpan name)
{
    return classes->slots ? classes->slot[find_slot(classes, name)] - 1 : -1;
}

static LsSpan span_of(const char *text) { return (LsSpan){text, (int64_t)strlen(text)}; }

/* Enters all names into a table of `slots`, a power of two. */
static LsStatus index_classes(LsClasses *classes, int slots)
{
    int *slot = ls_alloc_array(slots, sizeof *slot);
    if (!slot)
        return LS_RESOURCE;
    ls_free(classes->slot);
    classes->slot = slot;
    classes->slots = slots;
    for (int i = 0; i < classes->count; i++)
        classes->slot[find_slot(classes, span_of(classes->name[i]))] = i + 1;
    return LS_OK;
}

static LsStatus grow_classes(LsClasses *classes)
{
    int room = classes->room ? 2 * classes->room : 64;
    char **name = ls_alloc_array(room, sizeof *name);
    int64_t *seen = ls_alloc_array(room, sizeof *seen);
    if (!name || !seen) {
        ls_free(name);
        ls_free(seen);
        return LS_RESOURCE;
    }
    for (int i = 0; i < classes->count; i++) {
        name[i] = classes->name[i];
        seen[i] = classes->seen[i];
    }
    ls_free(classes->name);
    ls_free(classes->seen);
    classes->name = name;
    classes->seen = seen;
    classes->room = room;
    return index_classes(classes, 4 * room);
}

int ls_classes_add(LsClasses *classes, LsSpan name)
{
    int found = ls_classes_find(classes, name);
    if (found < 0 && !classes->fixed) {
        if (classes->count == classes->room && grow_classes(classes) != LS_OK)
            return -1;
        char *copy = ls_span_copy(name);
        if (!copy)
            return -1;
        found = classes->count++;
        classes->name[found] = copy;
        classes->slot[find_slot(classes, name)] = found + 1;
    }
    if (found >= 0)
        classes->seen[found]++;
    return found;
}

LsStatus ls_classes_from_list(LsClasses *classes, const char *list)
{
    for (const char *at = list;; at++) {
        LsSpan name = ls_span_trim((LsSpan){at, (int64_t)strcspn(at, ",")});
        if (name.bytes == 0 || ls_classes_find(classes, name) >= 0)
            return ls_fail(LS_USAGE, "'%s' does not list names of classes: one is empty or stands twice", list);
        if (ls_classes_add(classes, name) < 0)
            return ls_message_status();
        at += strcspn(at, ",");
        if (!*at)
            break;
    }
    for (int i = 0; i < classes->count; i++)
        classes->seen[i] = 0;
    classes->fixed = true;
    return LS_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int by_number(const void *a, const void *b)
{
    long one = strtol(*(char *const *)a, NULL, 10), other = strtol(*(char *const *)b, NULL, 10);
    return one != other ? (one > other) - (one < other) : by_text(a, b); /* "1" and "01" */
}

/* Sorts and fixes the list; indices given before are void. */
static LsStatus sort_classes(LsClasses *classes)
{
    bool numbers = classes->count > 0;
    for (int i = 0; i < classes->count; i++) {
        const char *digits = classes->name[i] + (classes->name[i][0] == '-');
        numbers = numbers && *digits && strspn(digits, "0123456789") == strlen(digits) && strlen(digits) < 10;
        classes->seen[i] = 0;
    }
    qsort(classes->name, (size_t)classes->count, sizeof *classes->name, numbers ? by_number : by_text);
    classes->fixed = true;
    return classes->slots ? index_classes(classes, classes->slots) : LS_OK;
}

LsStatus ls_classes_sort_labels(LsClasses *classes, int32_t *label, int64_t labels)
{
    int count = classes->count;
    char **name = ls_alloc_array(count, sizeof *name);
    int32_t *moved = ls_alloc_array(count, sizeof *moved);
    LsStatus status = name && moved ? LS_OK : LS_RESOURCE;
    for (int i = 0; i < count && status == LS_OK; i++)
        name[i] = classes->name[i];
    if (status == LS_OK)
        status = sort_classes(classes);
    for (int i = 0; i < count && status == LS_OK; i++)
        moved[i] = ls_classes_find(classes, (LsSpan){name[i], (int64_t)strlen(name[i])});
    for (int64_t i = 0; i < labels && status == LS_OK; i++)
        label[i] = moved[label[i]];
    ls_free(name);
    ls_free(moved);
    return status;
}

json_t *ls_classes_json(const LsClasses *classes)
{
    json_t *list = json_array();
    for (int i = 0; list && i < classes->count; i++)
        json_array_append_new(list, json_string(classes->name[i]));
    return list;
}

void ls_classes_free(LsClasses *classes)
{
    for (int i = 0; i < classes->count; i++)
        ls_free(classes->name[i]);
    ls_free(classes->name);
    ls_free(classes->seen);
    ls_free(classes->slot);
    *classes = (LsClasses){0};
}
