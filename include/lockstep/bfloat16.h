/* bfloat16: the upper half of a float. Storage only; arithmetic is in float. */
#ifndef LOCKSTEP_BFLOAT16_H
#define LOCKSTEP_BFLOAT16_H

#include <stdint.h>
#include <string.h>

/* A structure, so that nothing takes its bits for a number. */
typedef struct LsBfloat16 {
    uint16_t bits;
} LsBfloat16;

static inline float ls_bfloat16_to_float(LsBfloat16 x)
{
    uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest, ties to even; beyond the largest finite one infinite; NaN stays NaN, made quiet. */
static inline LsBfloat16 ls_bfloat16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (LsBfloat16){(uint16_t)(bits >> 16 | 0x40)};
    bits += 0x7fff + (bits >> 16 & 1);
    return (LsBfloat16){(uint16_t)(bits >> 16)};
}

#endif
