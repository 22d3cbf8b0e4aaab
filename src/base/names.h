/* Numbers by name, where a list is too long to be looked through: parameters of a deep model, tensors of a file. */
#ifndef LS_BASE_NAMES_H
#define LS_BASE_NAMES_H

#include "lockstep/base.h"

typedef struct LsNames LsNames;

/* A name that is not there yet gets `number`; one that is there keeps its own. The text is not copied: it must outlive
 * `names`. *names NULL is an empty set, made by the first call. */
LsStatus ls_names_add(LsNames **names, const char *name, int number) LS_MUST_USE;

int ls_names_find(const LsNames *names, const char *name); /* -1: there is none; NULL is allowed */
void ls_names_free(LsNames *names);                        /* NULL is allowed */

#endif
