/* Packing of panels: whole steps of 32 rows by 32 of k in registers, through a step's copy in memory at the edges. */
#include "base/pieces.h"
#include "gemm/bf16.h"
#include "gemm/prefetch.h"

#include <string.h>

#include "gemm/amx.h"

#ifdef LS_HAS_AMX
#include "gemm/transpose.h"

/* ---- The split --------------------------------------------------------------------------------------------------- */

/* The three parts of a vector, each a float whose lower half is zero. */
typedef struct Parts {
    __m512i part[LS_FLOAT_PARTS];
} Parts;

static inline __m512i nearest(__m512i x)
{
    return _mm512_and_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(0x8000)), _mm512_set1_epi32((int)0xffff0000));
}

static inline __m512i difference(__m512i x, __m512i y)
{
    return _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(y)));
}

/* From 2^127 on rounding might overflow, so the first part is cut off instead; what is not finite has no other
 * parts. */
static __attribute__((noinline)) Parts split_large(__m512i x, __mmask16 large)
{
    __mmask16 not_finite = _mm512_fpclass_ps_mask(_mm512_castsi512_ps(x), 0x99),
              nan = _mm512_fpclass_ps_mask(_mm512_castsi512_ps(x), 0x81);
    __m512i first = _mm512_mask_and_epi32(nearest(x), large, x, _mm512_set1_epi32((int)0xffff0000));
    first = _mm512_mask_or_epi32(first, nan, first, _mm512_set1_epi32(0x00400000));
    __m512i rest = _mm512_maskz_mov_epi32((__mmask16)~not_finite, difference(x, first)), second = nearest(rest);
    return (Parts){{first, second, difference(rest, second)}};
}

static inline __attribute__((always_inline)) Parts split(__m512i x)
{
    __mmask16 large =
        _mm512_cmp_epu32_mask(_mm512_slli_epi32(x, 1), _mm512_set1_epi32((int)0xfe000000), _MM_CMPINT_NLT);
    if (__builtin_expect(large != 0, 0))
        return split_large(x, large);
    __m512i first = nearest(x), rest = difference(x, first), second = nearest(rest);
    return (Parts){{first, second, difference(rest, second)}};
}

/* Neighbours of k: 16 of x, then 16 of y, in order. */
static inline __attribute__((always_inline)) __m512i in_order(__m512i x, __m512i y)
{
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_castsi512_ps(y), _mm512_castsi512_ps(x));
}

/* Pairs of k: lane i is (x[i], y[i]). */
static inline __attribute__((always_inline)) __m512i in_pairs(__m512i x, __m512i y)
{
    return _mm512_or_epi32(_mm512_srli_epi32(x, 16), y);
}

/* ---- One tile: 16 rows by 32 of k -------------------------------------------------------------------------------- */

static inline void store(uint8_t *out, int i, __m512i x) { _mm512_store_si512(out + i * 64, x); }

static inline __attribute__((always_inline)) void tile_of_floats(const float *x, int64_t stride, const bool along_k,
                                                                 const bool right, uint8_t *out)
{
    LsSquare first, second; /* along_k: rows by k = 0..15, 16..31; else k = 0..15, 16..31 by rows */
#pragma GCC unroll 16
    for (int i = 0; i < LS_TILE; i++) {
        first[i] = _mm512_loadu_si512(x + i * stride);
        second[i] = _mm512_loadu_si512(along_k ? x + i * stride + LS_TILE : x + (i + LS_TILE) * stride);
    }
    if (along_k == right) {
        ls_transpose_16x16(first);
        ls_transpose_16x16(second);
    }
#pragma GCC unroll 16
    for (int i = 0; i < LS_TILE; i++) { /* now right: k by rows; else rows by k */
        __m512i *from = i < LS_TILE / 2 ? first : second;
        Parts a = right ? split(from[2 * i % LS_TILE]) : split(first[i]),
              b = right ? split(from[2 * i % LS_TILE + 1]) : split(second[i]);
#pragma GCC unroll 3
        for (int p = 0; p < LS_FLOAT_PARTS; p++)
            store(out + p * LS_STEP_BYTES, i, right ? in_pairs(a.part[p], b.part[p]) : in_order(a.part[p], b.part[p]));
    }
}

static inline __attribute__((always_inline)) void tile_of_bfloat16(const uint16_t *x, int64_t stride,
                                                                   const bool along_k, const bool right, uint8_t *out)
{
    LsSquare pairs; /* along_k: rows by pairs of k; else pairs of k by rows */
#pragma GCC unroll 16
    for (int i = 0; i < LS_TILE; i++) {
        if (along_k) {
            pairs[i] = _mm512_loadu_si512(x + i * stride);
        } else {
            __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(x + 2 * i * stride)));
            __m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(x + (2 * i + 1) * stride)));
            pairs[i] = _mm512_or_epi32(even, _mm512_slli_epi32(odd, 16));
        }
    }
    if (along_k == right)
        ls_transpose_16x16(pairs);
#pragma GCC unroll 16
    for (int i = 0; i < LS_TILE; i++)
        store(out, i, pairs[i]);
}

#define FORM(name, along_k, right)                                                                                     \
    static void floats_##name(const void *x, int64_t stride, uint8_t *out)                                             \
    {                                                                                                                  \
        tile_of_floats(x, stride, along_k, right, out);                                                                \
    }                                                                                                                  \
    static void bfloat16_##name(const void *x, int64_t stride, uint8_t *out)                                           \
    {                                                                                                                  \
        tile_of_bfloat16(x, stride, along_k, right, out);                                                              \
    }
FORM(rows_left, true, false)
FORM(rows_right, true, true)
FORM(k_left, false, false)
FORM(k_right, false, true)

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

/* Packs a whole tile whose lines, rows or k, begin at x, `stride` elements apart. */
typedef void (*PackTile)(const void *x, int64_t stride, uint8_t *out);

static PackTile pack_tile_of(const LsPanelSource *s)
{
    static const PackTile of[2][2][2] = {
        {{bfloat16_k_left, bfloat16_k_right}, {bfloat16_rows_left, bfloat16_rows_right}},
        {{floats_k_left, floats_k_right}, {floats_rows_left, floats_rows_right}}};
    return of[s->is_float][s->along_k][s->right];
}

/* How the lines of a source lie: bytes of an element, and from line to line, tile to tile and step to step. */
typedef struct Lines {
    int64_t bytes, line, tile, step;
} Lines;

static Lines lines_of(const LsPanelSource *s)
{
    int64_t bytes = s->is_float ? 4 : 2, line = s->stride * bytes;
    return s->along_k ? (Lines){bytes, line, LS_TILE * line, LS_STEP * bytes}
                      : (Lines){bytes, line, LS_TILE * bytes, LS_STEP * line};
}

/* A tile of which only some rows and some of k exist, by way of a copy filled up with zeros. */
static void pack_edge(const LsPanelSource *s, const char *x, int64_t rows, int64_t depth, uint8_t *out)
{
    _Alignas(64) uint8_t copy[LS_TILE * LS_STEP * sizeof(float)] = {0};
    int64_t bytes = s->is_float ? 4 : 2, lines = s->along_k ? rows : depth, length = s->along_k ? depth : rows;
    int64_t stride = s->along_k ? LS_STEP : LS_TILE;
    for (int64_t i = 0; i < lines; i++)
        memcpy(copy + i * stride * bytes, x + i * s->stride * bytes, (size_t)(length * bytes));
    pack_tile_of(s)(copy, stride, out);
}

/* One step of a panel: up to 32 rows by up to 32 of k. */
static inline void pack_step(const LsPanelSource *s, const Lines *l, PackTile pack, const char *x, int64_t rows,
                             int64_t depth, uint8_t *out)
{
    for (int64_t tile = 0; tile * LS_TILE < rows; tile++) {
        int64_t have = ls_least(LS_TILE, rows - tile * LS_TILE);
        if (have < LS_TILE || depth < LS_STEP)
            pack_edge(s, x + tile * l->tile, have, depth, out + tile * LS_TILE_BYTES);
        else
            pack(x + tile * l->tile, s->stride, out + tile * LS_TILE_BYTES);
    }
}

void ls_panel_pack(const LsPanelSource *s, int64_t row, int64_t rows, int64_t from, int64_t depth, uint8_t *out,
                   int64_t panel_bytes)
{
    const Lines l = lines_of(s);
    const PackTile pack = pack_tile_of(s);
    const char *x =
        (const char *)s->data + (s->along_k ? row * l.line + from * l.bytes : from * l.line + row * l.bytes);
    int64_t steps = ls_panel_steps(depth), step_bytes = (s->is_float ? LS_FLOAT_PARTS : 1) * LS_STEP_BYTES,
            panels = ls_ceil_div(rows, LS_PANEL);
    /* lines of a panel's step: in a row, in all */
    int64_t wide = LS_PANEL * l.bytes / LS_ALIGN, each = LS_PANEL * wide;
    if (s->along_k) {
        for (int64_t p = 0; p < panels; p++)
            for (int64_t step = 0; step < steps; step++) {
                if (p + 1 < panels)
                    ls_prefetch_rows(x + 2 * (p + 1) * l.tile, l.line, steps * wide, step * each, each);
                pack_step(s, &l, pack, x + 2 * p * l.tile + step * l.step, ls_least(LS_PANEL, rows - p * LS_PANEL),
                          ls_least(LS_STEP, depth - step * LS_STEP), out + p * panel_bytes + step * step_bytes);
            }
        return;
    }
    for (int64_t step = 0; step < steps; step++) /* neighbours in memory one after the other: panels */
        for (int64_t p = 0; p < panels; p++) {
            const char *at = x + step * l.step + 2 * p * l.tile;
            if (step + 1 < steps)
                ls_prefetch_rows(x + (step + 1) * l.step, l.line, panels * wide, p * each, each);
            pack_step(s, &l, pack, at, ls_least(LS_PANEL, rows - p * LS_PANEL),
                      ls_least(LS_STEP, depth - step * LS_STEP), out + p * panel_bytes + step * step_bytes);
        }
}

#else

void ls_panel_pack(const LsPanelSource *s, int64_t row, int64_t rows, int64_t from, int64_t depth, uint8_t *out,
                   int64_t panel_bytes)
{
    (void)s, (void)row, (void)rows, (void)from, (void)depth, (void)out, (void)panel_bytes;
}

#endif
