/* Loops over flat arrays, built for several instruction sets from one body.
 *
 *     LS_INLINE_BODY void body(float *x, int64_t n, float a) { ... }
 *     LS_CLONES(scale, body, (float *x, int64_t n, float a), (x, n, a))
 *     ... LS_CLONE(scale)(x, n, a);
 */
#ifndef LS_BASE_CLONES_H
#define LS_BASE_CLONES_H

#include "lockstep/base.h"

/* Asks the memory for the line some way behind x, where a loop will be soon: the machine's own guesses end at each page
 * of 4 KiB. */
#define LS_LINE_FLOATS ((int64_t)(LS_ALIGN / sizeof(float)))
#define LS_ASK_AHEAD(x) __builtin_prefetch((x) + 8 * LS_LINE_FLOATS)

#define LS_INLINE_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define LS_CLONES(name, body, parameters, arguments)                                                                   \
    static void name##_baseline parameters { body arguments; }                                                         \
    __attribute__((target("avx2,fma"))) static void name##_v3 parameters { body arguments; }                           \
    __attribute__((                                                                                                    \
        target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512"))) static void name##_v4 \
        parameters                                                                                                     \
    {                                                                                                                  \
        body arguments;                                                                                                \
    }                                                                                                                  \
    static void(*const name##_clones[LS_ISA_LEVELS])                                                                   \
        parameters = {name##_baseline, name##_v3, name##_v4, name##_v4, name##_v4};
#else
#define LS_CLONES(name, body, parameters, arguments)                                                                   \
    static void name##_baseline parameters { body arguments; }                                                         \
    static void(*const name##_clones[LS_ISA_LEVELS])                                                                   \
        parameters = {name##_baseline, name##_baseline, name##_baseline, name##_baseline, name##_baseline};
#endif

#endif
