/* bfloat16: conversions of whole arrays. */
#ifndef LS_BASE_BFLOAT16_H
#define LS_BASE_BFLOAT16_H

#include "lockstep/bfloat16.h"

/* Whole arrays, on the calling thread, by the widest vectors that may be used. */
void ls_bfloat16_round(const float *from, LsBfloat16 *to, int64_t count);
/* the same, written past the caches where that can be */
void ls_bfloat16_round_past(const float *from, LsBfloat16 *to, int64_t count);
void ls_bfloat16_widen(const LsBfloat16 *from, float *to, int64_t count);

#endif
