#include "cli/ids.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\n"

LsStatus ls_parse_ids(const char *text, int32_t **ids, int64_t *count)
{
    *count = 0;
    *ids = ls_alloc_array((int64_t)strlen(text) / 2 + 1, sizeof **ids);
    if (!*ids)
        return LS_RESOURCE;
    for (const char *at = text + strspn(text, BLANKS); *at; at += strspn(at, BLANKS)) {
        char *end;
        if (*count > 0 && *at == ',') /* one, between two ids */
            at += 1 + strspn(at + 1, BLANKS);
        errno = 0;
        long value = strtol(at, &end, 10);
        if (end == at || errno || value < 0 || value > INT32_MAX || !strchr("," BLANKS, *end)) {
            LsStatus status =
                ls_fail(LS_USAGE, "token ids: %s%.20s%s is not a number from 0 to %d; they are written 1,2,3",
                        *at ? "'" : "what stands behind the last comma", at, *at ? "'" : "", INT32_MAX);
            ls_free(*ids);
            *ids = NULL;
            return status;
        }
        (*ids)[(*count)++] = (int32_t)value;
        at = end;
    }
    if (*count > 0)
        return LS_OK;
    ls_free(*ids);
    *ids = NULL;
    return ls_fail(LS_USAGE, "token ids: there are none; they are written 1,2,3");
}
