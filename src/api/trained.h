/* Shared by the files that implement lockstep/api.h. */
#ifndef LS_API_TRAINED_H
#define LS_API_TRAINED_H

#include "api/load.h"
#include "lockstep/api.h"

struct LsTrained {
    LsLoaded model;
    LsFields fields;
    unsigned inputs; /* bit i: the output is made of field i */
    char *json;
};

#endif
