/* Lists whose members are made known by one line each, and to which a program of somebody else may add: models,
 * tasks, kinds of data sets, procedures. */
#ifndef LS_BASE_REGISTRY_H
#define LS_BASE_REGISTRY_H

#include "lockstep/base.h"

/* A member is a structure that begins with its name, const char *. */
typedef struct LsRegistry {
    const char *what;    /* "model": for messages */
    const void **member; /* (listed + most + 1), ended by NULL */
    int listed, most;    /* there from the beginning; that may be added */
    int added;
} LsRegistry;

/* NULL where there is none of this name. */
const void *ls_registry_find(const LsRegistry *registry, const char *name);

/* LS_USAGE where the name is taken or there is no room. */
LsStatus ls_registry_add(LsRegistry *registry, const void *member) LS_MUST_USE;

/* "gpt, mamba" */
void ls_registry_names(const LsRegistry *registry, char *text, size_t room);

#endif
