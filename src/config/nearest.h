/* The nearest of several names, for messages: "unknown; did you mean 'layers'?".
 *
 *     LsNearest near = ls_nearest_to("layer");
 *     for (...)
 *         ls_nearest_offer(&near, candidate);
 *     const char *best = near.best; // NULL where none is near
 */
#ifndef LS_CONFIG_NEAREST_H
#define LS_CONFIG_NEAREST_H

#include "lockstep/settings.h"

#define LS_NEAREST_OTHERS 3

typedef struct LsNearest {
    const char *name, *best;
    int distance;                         /* of best; at first the least that is not near any more */
    const char *other[LS_NEAREST_OTHERS]; /* that were offered later and are as near */
    int others;
    const char *around[LS_NEAREST_OTHERS]; /* that have the name in them: named where none is near */
    int arounds;
} LsNearest;

LsNearest ls_nearest_to(const char *name);

/* Keeps `candidate` (not copied) if it is nearer than all before it. */
void ls_nearest_offer(LsNearest *near, const char *candidate);

/* The nearest of a table's names. */
LsNearest ls_nearest_setting(const LsSetting *table, const char *name);

/* Letters inserted, removed, replaced or swapped with their neighbour to make one text of the other, counted to 64. */
int ls_edit_distance(const char *a, const char *b);

/* "; did you mean 'layers'?", with all that are as near; where none is, those that have the name in them; else "". In
 * one of a few rotating buffers of the calling thread. */
const char *ls_nearest_hint(const LsNearest *near);

#endif
