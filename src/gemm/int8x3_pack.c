/* Packing of fixed-point panels: the largest number of each row first, then its digits, 16 rows by 64 of k at a
 * time. */
#include "base/pieces.h"
#include "gemm/int8x3.h"
#include "gemm/prefetch.h"

#include <string.h>

#include "gemm/amx.h"

#ifdef LS_HAS_AMX
#ifndef LS_EMULATE_AMX
#pragma GCC target("avx512vbmi") /* every processor with tiles has it */
#endif
#include "gemm/transpose.h"

enum { TILE = LS_INT8X3_TILE, STEP = LS_INT8X3_STEP, LEAST_EXPONENT = -104 };

/* 16 rows by 64 of k that are there whole: the source's own numbers or a copy filled up with zeros. */
typedef struct Piece {
    const float *x;
    int64_t stride; /* from row to row, or line to line */
} Piece;

/* ---- The largest of each row ------------------------------------------------------------------------------------- */

/* As the bits of a float, in which order is that of the numbers, then infinity, then NaN. */
static inline __m512i size_of(__m512i x) { return _mm512_and_si512(x, _mm512_set1_epi32(0x7fffffff)); }
static inline __m512i larger(__m512i most, __m512i x) { return _mm512_max_epi32(most, size_of(x)); }

/* 16 rows by 64 of k, copied where some are missing. */
static Piece rows_at(const LsInt8x3Source *s, const float *x, int64_t rows, int64_t depth, float *copy)
{
    if (rows == TILE && depth >= STEP)
        return (Piece){x, s->stride};
    memset(copy, 0, TILE * STEP * sizeof *copy);
    for (int64_t i = 0; i < rows; i++)
        memcpy(copy + i * STEP, x + i * s->stride, (size_t)ls_least(depth, STEP) * sizeof *copy);
    return (Piece){copy, STEP};
}

/* Row after row: neighbours in memory, mostly. */
static __m512i largest_of_rows(const LsInt8x3Source *s, const float *x, int64_t rows, int64_t depth)
{
    LsSquare most;
    for (int64_t i = 0; i < TILE; i++, x += s->stride) {
        __m512i row = _mm512_setzero_si512();
        int64_t length = i < rows ? depth : 0, k = 0;
        for (; k + TILE <= length; k += TILE)
            row = larger(row, _mm512_loadu_si512(x + k));
        if (k < length)
            row = larger(row, _mm512_maskz_loadu_epi32((__mmask16)((1u << (length - k)) - 1), x + k));
        most[i] = row;
    }
    ls_transpose_16x16(most);
    for (int i = 1; i < TILE; i++)
        most[0] = _mm512_max_epi32(most[0], most[i]);
    return most[0];
}

/* Lines of k may lie too far apart to be read twice: while their largest are found, and their sums if wanted, they are
 * copied, (k, panels, 16), zeros beyond rows and depth. */
static inline __attribute__((always_inline)) void copy_lines(const LsInt8x3Source *s, const float *x, int64_t rows,
                                                             int64_t depth, const int panels, float *copy,
                                                             __m512i largest[LS_INT8X3_TOGETHER], float *sums)
{
    enum { AHEAD = 12 };
    const int64_t stride = s->stride, beyond = ls_int8x3_steps(depth) * STEP - depth;
    const __mmask16 last = (__mmask16)((1u << (rows - (panels - 1) * TILE)) - 1);
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a; /* no arrays: they would go through memory */
    __m512 sum_a = _mm512_setzero_ps(), sum_b = sum_a, sum_c = sum_a, sum_d = sum_a;
    for (int64_t k = 0; k < depth; k++, x += stride, copy += panels * TILE)
#pragma GCC unroll 4
        for (int j = 0; j < panels; j++) {
            _mm_prefetch((const char *)(x + AHEAD * stride + j * TILE), _MM_HINT_T0);
            __m512i line =
                j == panels - 1 ? _mm512_maskz_loadu_epi32(last, x + j * TILE) : _mm512_loadu_si512(x + j * TILE);
            __m512i *most = j == 0 ? &a : j == 1 ? &b : j == 2 ? &c : &d;
            __m512 *sum = j == 0 ? &sum_a : j == 1 ? &sum_b : j == 2 ? &sum_c : &sum_d;
            *most = larger(*most, line);
            if (sums)
                *sum = _mm512_add_ps(*sum, _mm512_castsi512_ps(line));
            _mm512_store_si512(copy + j * TILE, line);
        }
    largest[0] = a, largest[1] = b, largest[2] = c, largest[3] = d;
    for (int j = 0; sums && j < panels; j++)
        _mm512_storeu_ps(sums + j * TILE, j == 0 ? sum_a : j == 1 ? sum_b : j == 2 ? sum_c : sum_d);
    memset(copy, 0, (size_t)(beyond * panels * TILE) * sizeof *copy);
}

/* ---- The rows' powers of two ------------------------------------------------------------------------------------- */

/* 2^(23 - e) for each row, with which its numbers become integers whose first digit fits: |x| 2^(23 - e) <= 127 2^16 +
 * 127 2^8 + 127. Notes rows that are not finite. */
static __m512 multipliers(__m512i most, LsInt8x3Scale *scale)
{
    __m512 size = _mm512_mul_ps(_mm512_castsi512_ps(most), _mm512_set1_ps(1.00394f));
    __m512 e = _mm512_add_ps(_mm512_getexp_ps(size), _mm512_set1_ps(1));
    e = _mm512_min_ps(_mm512_max_ps(e, _mm512_set1_ps(LEAST_EXPONENT)), _mm512_set1_ps(129));
    _mm512_storeu_ps(scale->scale, _mm512_scalef_ps(_mm512_set1_ps(1), _mm512_sub_ps(e, _mm512_set1_ps(15))));
    scale->wide = _mm512_cmp_epi32_mask(most, _mm512_set1_epi32(0x7f800000), _MM_CMPINT_NLT) != 0;
    return _mm512_scalef_ps(_mm512_set1_ps(1), _mm512_sub_ps(_mm512_set1_ps(23), e));
}

/* ---- Digits ------------------------------------------------------------------------------------------------------ */

/* x as an integer of 24 bits. */
static inline __m512i integers(__m512i x, __m512 multiplier)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(x), multiplier));
}

/* Those of few digits: below 2^-10 of the power of two. */
static inline __mmask16 few_digits(__m512i n)
{
    return _mm512_cmp_epi32_mask(_mm512_abs_epi32(n), _mm512_set1_epi32(1 << 13), _MM_CMPINT_LT);
}

/* The integers of a vector with half a unit added to the lower two digits: these are those of an unsigned number then,
 * 128 too large, and the first is as it should be. */
static inline __m512i with_halves(const float *x, __m512 multiplier)
{
    return _mm512_add_epi32(integers(_mm512_loadu_si512(x), multiplier), _mm512_set1_epi32(0x8080));
}

/* From four vectors a unit of four bytes a lane of each digit. */
static inline __attribute__((always_inline)) void digits_of(const __m512i n[4], __m512i out[LS_INT8X3_DIGITS])
{
    const __m512i even = _mm512_set1_epi32(0x00ff00ff), sign = _mm512_set1_epi8(-128);
    enum { CHOOSE = 0xca }; /* where the first operand has a one the second, else the third */
    __m512i a = _mm512_ternarylogic_epi32(even, n[0], _mm512_slli_epi32(n[1], 8), CHOOSE);
    __m512i b = _mm512_ternarylogic_epi32(even, n[2], _mm512_slli_epi32(n[3], 8), CHOOSE);
    __m512i c = _mm512_ternarylogic_epi32(even, _mm512_srli_epi32(n[0], 8), n[1], CHOOSE);
    __m512i d = _mm512_ternarylogic_epi32(even, _mm512_srli_epi32(n[2], 8), n[3], CHOOSE);
    out[0] = _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(a, 16), b);
    out[1] = _mm512_xor_si512(_mm512_mask_blend_epi16(0xaaaaaaaa, c, _mm512_slli_epi32(d, 16)), sign);
    out[2] = _mm512_xor_si512(_mm512_mask_blend_epi16(0xaaaaaaaa, a, _mm512_slli_epi32(b, 16)), sign);
}

typedef struct Work {
    _Alignas(64) float multiplier[TILE];
    /* Numbers whose first digit is nought, at most 255 of each of a step's sixty-four of k (or rows): along k bytes of
     * a row; else in the first, four bytes a row. */
    __m512i few[TILE];
} Work;

/* A tile's 64 of k come in fours that lie 16 apart, which takes the fewest instructions along k: 0 16 32 48, 1 17
 * ... */
static inline __attribute__((always_inline)) void pack_piece(Piece p, const bool along_k, const bool right, Work *w,
                                                             uint8_t *out)
{
    LsSquare digit[LS_INT8X3_DIGITS]; /* fours of k: along_k rows by fours; else fours by rows */
    const __m512 all = _mm512_load_ps(w->multiplier);
    const __m512i one = _mm512_set1_epi8(1);
#pragma GCC unroll 1
    for (int i = 0; i < TILE; i++) {
        __m512i n[4], d[LS_INT8X3_DIGITS];
        __m512 multiplier = along_k ? _mm512_set1_ps(w->multiplier[i]) : all;
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            n[j] = with_halves(along_k ? p.x + i * p.stride + TILE * j : p.x + (i + TILE * j) * p.stride, multiplier);
        digits_of(n, d);
        __m512i *few = &w->few[along_k ? i : 0];
        *few = _mm512_mask_adds_epu8(*few, _mm512_testn_epi8_mask(d[0], d[0]), *few, one);
#pragma GCC unroll 3
        for (int j = 0; j < LS_INT8X3_DIGITS; j++) {
            if (along_k == right)
                digit[j][i] = d[j];
            else
                _mm512_store_si512(out + j * LS_INT8X3_TILE_BYTES + i * 64, d[j]);
        }
    }
    if (along_k != right)
        return;
#pragma GCC unroll 3
    for (int j = 0; j < LS_INT8X3_DIGITS; j++) {
        ls_transpose_16x16(digit[j]);
#pragma GCC unroll 16
        for (int i = 0; i < TILE; i++)
            _mm512_store_si512(out + j * LS_INT8X3_TILE_BYTES + i * 64, digit[j][i]);
    }
}

static void rows_left(Piece p, Work *w, uint8_t *out) { pack_piece(p, true, false, w, out); }
static void rows_right(Piece p, Work *w, uint8_t *out) { pack_piece(p, true, true, w, out); }
static void k_left(Piece p, Work *w, uint8_t *out) { pack_piece(p, false, false, w, out); }
static void k_right(Piece p, Work *w, uint8_t *out) { pack_piece(p, false, true, w, out); }

static void begin_panel(Work *w, __m512i most, LsInt8x3Scale *scale)
{
    for (int i = 0; i < TILE; i++)
        _mm512_store_si512(&w->few[i], _mm512_setzero_si512());
    _mm512_store_ps(w->multiplier, multipliers(most, scale));
}

/* ---- Wide panels ------------------------------------------------------------------------------------------------- */

/* Of a row's numbers, zeros aside, are more than a quarter of few digits? */
static bool row_is_wide(const float *x, int64_t depth, float multiplier)
{
    int64_t all = 0, few = 0;
    for (int64_t k = 0; k < depth; k += TILE) {
        __m512i line = _mm512_maskz_loadu_epi32(
            depth - k < TILE ? (__mmask16)((1u << (depth - k)) - 1) : (__mmask16)0xffff, x + k);
        __mmask16 there = _mm512_test_epi32_mask(line, _mm512_set1_epi32(0x7fffffff));
        all += __builtin_popcount(there);
        few += __builtin_popcount(there & few_digits(integers(line, _mm512_set1_ps(multiplier))));
    }
    return 4 * few > all;
}

/* Zeros and others below 2^-8 of the power of two count as of few digits while packing: only where those are many, a
 * row is looked at again. */
static bool rows_are_wide(const LsInt8x3Source *s, const float *x, int64_t rows, int64_t depth, const Work *w)
{
    int64_t beyond = ls_int8x3_steps(depth) * STEP - depth;
    for (int64_t i = 0; i < rows; i++) {
        int64_t few = _mm512_reduce_add_epi64(_mm512_sad_epu8(w->few[i], _mm512_setzero_si512())) - beyond;
        if (4 * few > depth && row_is_wide(x + i * s->stride, depth, w->multiplier[i]))
            return true;
    }
    return false;
}

/* The same of lines: (depth, 16), `stride` apart. */
static bool lines_are_wide(const float *lines, int64_t stride, int64_t rows, int64_t depth, const Work *w)
{
    const __mmask16 exist = (__mmask16)((1u << rows) - 1);
    const __m512i limit = _mm512_set1_epi32((int)(depth + 4 * (ls_int8x3_steps(depth) * STEP - depth)));
    __m512i fours = _mm512_madd_epi16(_mm512_maddubs_epi16(w->few[0], _mm512_set1_epi8(1)), _mm512_set1_epi16(4));
    if (_mm512_mask_cmp_epi32_mask(exist, fours, limit, _MM_CMPINT_NLE) == 0)
        return false;
    __m512i all = _mm512_setzero_si512(), few = all, one = _mm512_set1_epi32(1);
    for (int64_t k = 0; k < depth; k++) {
        __m512i line = _mm512_load_si512(lines + k * stride);
        __mmask16 there = _mm512_test_epi32_mask(line, _mm512_set1_epi32(0x7fffffff));
        all = _mm512_mask_add_epi32(all, there, all, one);
        few = _mm512_mask_add_epi32(few, there & few_digits(integers(line, _mm512_load_ps(w->multiplier))), few, one);
    }
    return _mm512_cmp_epi32_mask(_mm512_slli_epi32(few, 2), all, _MM_CMPINT_NLE) != 0;
}

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

enum { LINE = LS_ALIGN / sizeof(float), STEP_LINES = TILE * STEP / LINE };

/* One panel; memory is asked for the next, if there is one. */
static void pack_rows(const LsInt8x3Source *s, const float *x, int64_t rows, int64_t depth, bool more, float *copy,
                      uint8_t *out, LsInt8x3Scale *scale, float *sums)
{
    (void)sums;
    Work w;
    begin_panel(&w, largest_of_rows(s, x, rows, depth), scale);
    for (int64_t k = 0, asked = 0; k < depth; k += STEP, asked += STEP_LINES, out += LS_INT8X3_STEP_BYTES) {
        if (more)
            ls_prefetch_rows(x + TILE * s->stride, s->stride * (int64_t)sizeof *x, (depth + LINE - 1) / LINE, asked,
                             STEP_LINES);
        (s->right ? rows_right : rows_left)(rows_at(s, x + k, rows, depth - k, copy), &w, out);
    }
    scale->wide = scale->wide || (!s->by_largest && rows_are_wide(s, x, rows, depth, &w));
}

/* The same of up to four panels. */
static void pack_lines(const LsInt8x3Source *s, const float *x, int64_t rows, int64_t depth, bool more, float *copy,
                       uint8_t *out, LsInt8x3Scale *scale, float *sums)
{
    __m512i most[LS_INT8X3_TOGETHER];
    const int panels = (int)((rows + TILE - 1) / TILE);
    const int64_t stride = panels * TILE;
    if (panels == LS_INT8X3_TOGETHER && !sums)
        copy_lines(s, x, rows, depth, LS_INT8X3_TOGETHER, copy, most, NULL);
    else if (panels == LS_INT8X3_TOGETHER)
        copy_lines(s, x, rows, depth, LS_INT8X3_TOGETHER, copy, most, sums);
    else
        copy_lines(s, x, rows, depth, panels, copy, most, sums);
    int64_t asked = 0;
    for (int j = 0; j < panels; j++, copy += TILE) {
        Work w;
        begin_panel(&w, most[j], scale + j);
        for (int64_t k = 0; k < depth; k += STEP, asked += STEP_LINES, out += LS_INT8X3_STEP_BYTES) {
            if (more)
                ls_prefetch_rows(x + rows, s->stride * (int64_t)sizeof *x, stride / LINE, asked, STEP_LINES);
            (s->right ? k_right : k_left)((Piece){copy + k * stride, stride}, &w, out);
        }
        scale[j].wide = scale[j].wide ||
                        (!s->by_largest && lines_are_wide(copy, stride, ls_least(TILE, rows - j * TILE), depth, &w));
    }
}

extern void ls_simd_gather_v4(const LsGemmRuns *runs, const void *data, bool bfloat16, int64_t line, int64_t lines,
                              int64_t column, int64_t columns, float *out, int64_t stride);

void ls_int8x3_gather(const LsInt8x3Source *s, int64_t row, int64_t rows, int64_t from, int64_t depth, float *out,
                      int64_t stride)
{
    if (s->along_k)
        ls_simd_gather_v4(s->runs, s->data, false, row, rows, from, depth, out, stride);
    else
        ls_simd_gather_v4(s->runs, s->data, false, from, depth, row, rows, out, stride);
}

void ls_int8x3_pack(const LsInt8x3Source *s, int64_t row, int64_t rows, int64_t from, int64_t depth, float *copy,
                    uint8_t *out, LsInt8x3Scale *scale, float *sums)
{
    const int64_t together = s->along_k ? TILE : TILE * LS_INT8X3_TOGETHER;
    float *gathered = copy + ls_int8x3_copy(depth, LS_INT8X3_TOGETHER);
    LsInt8x3Source plain = *s;
    if (s->runs)
        plain.data = gathered, plain.stride = s->along_k ? ls_round_up(depth, STEP) : together;
    const float *x = s->runs ? gathered : s->data + (s->along_k ? row * s->stride + from : from * s->stride + row);
    for (int64_t i = 0, here; i < rows; i += here) {
        here = ls_least(together, rows - i);
        if (s->runs)
            ls_int8x3_gather(s, row + i, here, from, depth, gathered, plain.stride);
        (s->along_k ? pack_rows : pack_lines)(&plain, x, here, depth, !s->runs && i + here < rows, copy,
                                              out + i / TILE * ls_int8x3_bytes(depth), scale + i / TILE,
                                              sums ? sums + i : NULL);
        if (!s->runs)
            x += here * (s->along_k ? s->stride : 1);
    }
}

#endif
