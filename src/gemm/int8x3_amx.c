/* 8-bit tiles: 16 rows by 16 columns in three brackets; and what becomes of their sums. */
#include "gemm/int8x3.h"

#include "gemm/amx.h"

#ifdef LS_HAS_AMX

#define LOAD_A(tile, from)                                                                                             \
    do {                                                                                                               \
        if (stays)                                                                                                     \
            _tile_loadd(tile, from, 64);                                                                               \
        else                                                                                                           \
            _tile_stream_loadd(tile, from, 64);                                                                        \
    } while (0)

/* For each tile register by its number: brackets 0 to 2, digits of A 3 to 5, of B 6 and 7. */
static inline __attribute__((always_inline)) void multiply(const LsInt8x3Product *p, const bool stays)
{
    enum { TILE = LS_INT8X3_TILE_BYTES, INTS = TILE / 4 };
    const uint8_t *a = p->a, *b = p->b;
    if (p->add) {
        _tile_loadd(0, p->sum, 64);
        _tile_loadd(1, p->sum + INTS, 64);
        _tile_loadd(2, p->sum + 2 * INTS, 64);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
    }
    const uint8_t *next = p->next;
    const float *result = p->result, *end = result + p->result_rows * p->result_stride;
    const int64_t rows = p->result ? (p->result_rows + p->steps - 1) / p->steps : 0;
    for (int64_t step = 0; step < p->steps; step++, a += LS_INT8X3_STEP_BYTES, b += LS_INT8X3_STEP_BYTES) {
        for (int64_t i = 0; i < p->lines; i++, next += 64)
            __builtin_prefetch(next, 0, 2);
        for (int64_t i = 0; i < rows && result < end; i++, result += p->result_stride)
            __builtin_prefetch(result, 1);
        LOAD_A(3, a);
        _tile_loadd(6, b, 64);
        _tile_dpbssd(0, 3, 6);
        LOAD_A(4, a + TILE);
        _tile_dpbssd(1, 4, 6);
        _tile_loadd(7, b + TILE, 64);
        _tile_dpbssd(2, 4, 7);
        _tile_dpbssd(1, 3, 7);
        LOAD_A(5, a + 2 * TILE);
        _tile_dpbssd(2, 5, 6);
        _tile_loadd(6, b + 2 * TILE, 64);
        _tile_dpbssd(2, 3, 6);
    }
    _tile_stored(0, p->sum, 64);
    _tile_stored(1, p->sum + INTS, 64);
    _tile_stored(2, p->sum + 2 * INTS, 64);
}

#undef LOAD_A

void ls_int8x3_multiply(const LsInt8x3Product *p)
{
    if (p->a_stays)
        multiply(p, true);
    else
        multiply(p, false);
}

static inline __m512 bracket(const int32_t *sum, int number, int64_t row)
{
    return _mm512_cvtepi32_ps(_mm512_load_si512(sum + number * (LS_INT8X3_TILE_BYTES / 4) + row * LS_INT8X3_TILE));
}

void ls_int8x3_store(const LsInt8x3Target *t, const int32_t *sum, const LsInt8x3Scale *a, const LsInt8x3Scale *b)
{
    const __mmask16 mask = (__mmask16)((1u << t->columns) - 1), add = t->add ? mask : 0;
    const __m512 scale = _mm512_loadu_ps(b->scale),
                 bias = t->bias ? _mm512_maskz_loadu_ps(mask, t->bias) : _mm512_setzero_ps();
    const __m512 first = _mm512_set1_ps(0x1p16f), second = _mm512_set1_ps(0x1p8f);
    for (int64_t i = 0; i < t->rows; i++) {
        float *c = t->c + i * t->ldc;
        __m512 x = _mm512_fmadd_ps(bracket(sum, 1, i), second, bracket(sum, 2, i));
        x = _mm512_fmadd_ps(bracket(sum, 0, i), first, x);
        /* one at a time: their product may overflow where the whole does not */
        x = _mm512_mul_ps(x, _mm512_set1_ps(a->scale[i]));
        x = _mm512_fmadd_ps(x, scale, _mm512_maskz_loadu_ps(add, c));
        _mm512_mask_storeu_ps(c, mask, _mm512_add_ps(x, bias));
    }
}

#endif
