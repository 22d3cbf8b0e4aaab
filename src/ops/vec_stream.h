/* Stores past the caches. */
#ifndef LS_OPS_VEC_STREAM_H
#define LS_OPS_VEC_STREAM_H

#include "simd/vec.h"

/* A whole vector to an address that is a multiple of its size, past the caches: for what is read much later. Others may
 * read it after ls_stream_end. */
LS_INLINE void ls_stream_acc(acc *x, vacc v)
{
#if defined(LS_BUILD_FLOAT64) || !defined(__AVX2__)
    ls_store_acc(x, v);
#elif defined(__AVX512F__)
    _mm512_stream_ps(x, (__m512)v);
#else
    _mm256_stream_ps(x, (__m256)v);
#endif
}
LS_INLINE void ls_stream_end(void)
{
#if defined(__AVX2__)
    _mm_sfence();
#endif
}

#endif
