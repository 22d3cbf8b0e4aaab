#include "config/nearest.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 64

static int min3(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* Damerau and Levenshtein's distance in its restricted form: no letter is moved twice. row[i % 3][j] is the distance of
 * the first i letters of a from the first j letters of b. */
int ls_edit_distance(const char *a, const char *b)
{
    int length_a = (int)strnlen(a, LONGEST + 1), length_b = (int)strnlen(b, LONGEST + 1);
    if (length_a > LONGEST || length_b > LONGEST)
        return LONGEST;
    int row[3][LONGEST + 1];
    for (int j = 0; j <= length_b; j++)
        row[0][j] = j;
    for (int i = 1; i <= length_a; i++) {
        int *now = row[i % 3];
        const int *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= length_b; j++) {
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return row[length_a % 3][length_b];
}

LsNearest ls_nearest_to(const char *name)
{
    int length = (int)strnlen(name, LONGEST);
    return (LsNearest){.name = name, .distance = length < 3 ? 2 : 2 + length / 4};
}

void ls_nearest_offer(LsNearest *near, const char *candidate)
{
    int distance = ls_edit_distance(near->name, candidate);
    size_t length = strlen(near->name), other = strlen(candidate);
    /* A name cut short or drawn out is near, however long the rest: "learn" means learning_rate. */
    if (length >= 3 && other >= 3 && strncmp(near->name, candidate, length < other ? length : other) == 0 &&
        distance > 1)
        distance = 1;
    if (length >= 3 && strstr(candidate, near->name) && near->arounds < LS_NEAREST_OTHERS)
        near->around[near->arounds++] = candidate; /* "gru" means mingru */
    if (distance < near->distance) {
        near->distance = distance;
        near->best = candidate;
        near->others = 0;
    } else if (near->best && distance == near->distance && near->others < LS_NEAREST_OTHERS)
        near->other[near->others++] = candidate;
}

LsNearest ls_nearest_setting(const LsSetting *table, const char *name)
{
    LsNearest near = ls_nearest_to(name);
    for (; table && table->name; table++)
        ls_nearest_offer(&near, table->name);
    return near;
}

const char *ls_nearest_hint(const LsNearest *near)
{
    static _Thread_local char buffer[4][192];
    static _Thread_local int next;
    const char *const *other = near->best ? near->other : near->around + 1;
    int others = near->best ? near->others : near->arounds - 1;
    if (!near->best && near->arounds == 0)
        return "";
    char *hint = buffer[next++ % 4];
    size_t room = sizeof buffer[0];
    size_t used = (size_t)snprintf(hint, room, "; did you mean '%s'", near->best ? near->best : near->around[0]);
    for (int i = 0; i < others && used < room; i++)
        used += (size_t)snprintf(hint + used, room - used, "%s'%s'", i == others - 1 ? " or " : ", ", other[i]);
    if (used < room)
        snprintf(hint + used, room - used, "?");
    return hint;
}
