#include "base/bfloat16.h"

#include "lockstep/base.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Without a branch, so that the loop becomes one of vectors; the same bits as ls_bfloat16_from_float. */
static inline __attribute__((always_inline)) void round_body(const float *restrict from, LsBfloat16 *restrict to,
                                                             int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, from + i, sizeof bits);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
        to[i].bits = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
    }
}

static inline __attribute__((always_inline)) void widen_body(const LsBfloat16 *restrict from, float *restrict to,
                                                             int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)from[i].bits << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
}

#if defined(__x86_64__)
#define FOR_V3 __attribute__((target("avx2")))
#define FOR_V4 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
FOR_V3 static void round_v3(const float *from, LsBfloat16 *to, int64_t count) { round_body(from, to, count); }
FOR_V4 static void round_v4(const float *from, LsBfloat16 *to, int64_t count) { round_body(from, to, count); }
FOR_V3 static void widen_v3(const LsBfloat16 *from, float *to, int64_t count) { widen_body(from, to, count); }
FOR_V4 static void widen_v4(const LsBfloat16 *from, float *to, int64_t count) { widen_body(from, to, count); }

/* By way of a few lines in the first-level cache. */
FOR_V4 static void round_past_v4(const float *from, LsBfloat16 *to, int64_t count)
{
    enum { LINE = LS_ALIGN / sizeof(LsBfloat16), BLOCK = 16 * LINE };
    _Alignas(LS_ALIGN) LsBfloat16 block[BLOCK];
    int64_t i = (int64_t)(-(uintptr_t)to % LS_ALIGN / sizeof *to);
    i = i < count ? i : count;
    round_body(from, to, i);
    for (; i + LINE <= count;) {
        int64_t here = count - i < BLOCK ? (count - i) / LINE * LINE : BLOCK;
        round_body(from + i, block, here);
        for (int64_t j = 0; j < here; j += LINE)
            _mm512_stream_si512((__m512i *)(void *)(to + i + j), _mm512_load_si512(block + j));
        i += here;
    }
    round_body(from + i, to + i, count - i);
    _mm_sfence(); /* before other threads may read */
}
#endif

void ls_bfloat16_round(const float *from, LsBfloat16 *to, int64_t count)
{
#if defined(__x86_64__)
    LsIsa isa = ls_isa();
    if (isa >= LS_ISA_V4)
        round_v4(from, to, count);
    else if (isa >= LS_ISA_V3)
        round_v3(from, to, count);
    else
#endif
        round_body(from, to, count);
}

void ls_bfloat16_round_past(const float *from, LsBfloat16 *to, int64_t count)
{
#if defined(__x86_64__)
    if (ls_isa() >= LS_ISA_V4) {
        round_past_v4(from, to, count);
        return;
    }
#endif
    ls_bfloat16_round(from, to, count);
}

void ls_bfloat16_widen(const LsBfloat16 *from, float *to, int64_t count)
{
#if defined(__x86_64__)
    LsIsa isa = ls_isa();
    if (isa >= LS_ISA_V4)
        widen_v4(from, to, count);
    else if (isa >= LS_ISA_V3)
        widen_v3(from, to, count);
    else
#endif
        widen_body(from, to, count);
}
