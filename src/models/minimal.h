/* Shared by minGRU and minLSTM: everything but the recurrence. */
#ifndef LS_MODELS_MINIMAL_H
#define LS_MODELS_MINIMAL_H

#include "models/blocks.h"

typedef struct LsMinimal {
    int64_t vocabulary, loss_vocabulary, context, layers, width, conv, mlp;
    double expand, dropout, epsilon;
    char *picture;
    bool tied;
} LsMinimal;

extern const LsSetting ls_minimal_settings[];

/* The model with so many numbers for each of the recurrence's channels: `form` says what they are. */
LsBody ls_minimal_build(LsGraph *g, const LsMinimal *m, const LsShape *shape, LsScanForm form, int64_t numbers);

#endif
