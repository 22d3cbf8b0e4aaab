#include "data/escapes.h"

#include <string.h>

static const char letters[] = "nt\\", meant[] = "\n\t\\";

LsStatus ls_escapes_read(const char *option, const char *text, char **read)
{
    *read = NULL;
    if (!text)
        return LS_OK;
    char *made = ls_strdup(text), *to = made;
    if (!made)
        return LS_RESOURCE;
    for (const char *at = text; *at; at++) {
        const char *letter = *at == '\\' && at[1] ? strchr(letters, at[1]) : NULL;
        if (*at == '\\' && !letter) {
            ls_free(made);
            return ls_fail(LS_USAGE,
                           "%s: '%.2s' in '%s' is none of \\n (a new line), \\t (a tab) and \\\\ (a backslash)", option,
                           at, text);
        }
        *to++ = letter ? meant[letter - letters] : *at;
        at += letter != NULL;
    }
    *to = '\0';
    *read = made;
    return LS_OK;
}

char *ls_escapes_write(const char *text)
{
    char *made = ls_alloc_array((int64_t)(2 * strlen(text) + 1), 1), *to = made;
    for (; made && *text; text++) {
        const char *which = strchr(meant, *text);
        if (which)
            *to++ = '\\';
        *to++ = which ? letters[which - meant] : *text;
    }
    return made;
}
