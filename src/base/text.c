#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MOST_NOTES 40

const char *ls_dims_text(int rank, const int64_t *dim)
{
    static _Thread_local char buffer[8][128];
    static _Thread_local int next;
    char *text = buffer[next++ % 8];
    size_t room = sizeof buffer[0], used = (size_t)snprintf(text, room, "(");
    for (int i = 0; i < rank && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%" PRId64, i ? ", " : "", dim[i]);
    if (used < room)
        snprintf(text + used, room - used, ")");
    return text;
}

bool ls_text_lists(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == length && memcmp(at, name, length) == 0)
            return true;
    return false;
}

void ls_note(LsNotes *notes, const char *format, ...)
{
    char line[1024];
    notes->count++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const size_t closing = sizeof "\n  and 2147483647 more";
    size_t room = sizeof notes->text - closing - notes->used;
    if (notes->listed < notes->count - 1 || notes->listed == MOST_NOTES || strlen(line) + sizeof "\n  " > room)
        return;
    notes->used += (size_t)snprintf(notes->text + notes->used, room, "\n  %s", line);
    notes->listed++;
}

const char *ls_notes_text(LsNotes *notes)
{
    if (notes->listed < notes->count)
        snprintf(notes->text + notes->used, sizeof notes->text - notes->used, "\n  and %d more",
                 notes->count - notes->listed);
    return notes->text;
}
