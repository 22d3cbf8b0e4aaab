/* The option --like of `prepare`, which names a data set, a checkpoint or a run. */
#ifndef LS_API_LIKE_H
#define LS_API_LIKE_H

#include "lockstep/data.h"

/* Where the kind's setting `like` names a run folder, it becomes that run's newest checkpoint. settings: of the kind,
 * filled. LS_USAGE where it is another folder. */
LsStatus ls_like_resolve(const LsDataKind *kind, void *settings) LS_MUST_USE;

/* The setting itself; NULL where the kind has none, or it was not given. */
const char *ls_like_of(const LsDataKind *kind, const void *settings);

#endif
