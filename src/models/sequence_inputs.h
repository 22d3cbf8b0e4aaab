/* A sequence of vectors from whatever samples hold: for models that go through steps. */
#ifndef LS_MODELS_SEQUENCE_INPUTS_H
#define LS_MODELS_SEQUENCE_INPUTS_H

#include "lockstep/model.h"

/* For a setting: what a step of a picture is. */
#define LS_PICTURE_NAMES "rows|pixels"

/* "pixels" row by row or pixel by pixel, "values" as they are, or "ids" by a parameter "token_embedding": (vocabulary,
 * channels), drawn by `init`, which is then *table, else NULL. -> (B, T, C) */
LsTensor *ls_sequence_inputs(LsGraph *g, const LsShape *shape, const char *picture, int64_t vocabulary,
                             int64_t channels, LsInit init, LsTensor **table);

#endif
