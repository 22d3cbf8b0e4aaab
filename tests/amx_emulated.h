/* The instructions of AMX and AVX512_BF16 in plain loops, after Intel's Software Developer's Manual: for tests on
 * machines that have neither. Only amx.h includes this. */
#ifndef LS_GEMM_AMX_EMULATED_H
#define LS_GEMM_AMX_EMULATED_H

#include "base/bfloat16.h"

typedef struct LsEmulatedTile {
    uint8_t row[16][64];
} LsEmulatedTile;

static _Thread_local LsEmulatedTile ls_emulated_tile[8];

__attribute__((unused)) static inline void ls_tiles_begin(void) {}
__attribute__((unused)) static inline void ls_tiles_end(void) {}

__attribute__((unused)) static void ls_emulate_load(int tile, const void *from, int64_t stride)
{
    for (int64_t i = 0; i < 16; i++)
        memcpy(ls_emulated_tile[tile].row[i], (const char *)from + i * stride, 64);
}

__attribute__((unused)) static void ls_emulate_store(int tile, void *to, int64_t stride)
{
    for (int64_t i = 0; i < 16; i++)
        memcpy((char *)to + i * stride, ls_emulated_tile[tile].row[i], 64);
}

__attribute__((unused)) static void ls_emulate_zero(int tile)
{
    memset(&ls_emulated_tile[tile], 0, sizeof(LsEmulatedTile));
}

/* Pairs of bfloat16: the two products of a pair are added one after the other. */
__attribute__((unused)) static float ls_emulate_pair(float sum, const uint16_t a[2], const uint16_t b[2])
{
    for (int i = 0; i < 2; i++)
        sum += ls_bfloat16_to_float((LsBfloat16){a[i]}) * ls_bfloat16_to_float((LsBfloat16){b[i]});
    return sum;
}

__attribute__((unused)) static void ls_emulate_dpbf16(int c, int a, int b)
{
    for (int i = 0; i < 16; i++) {
        float sum[16];
        memcpy(sum, ls_emulated_tile[c].row[i], 64);
        for (int k = 0; k < 16; k++) {
            uint16_t x[2], y[32];
            memcpy(x, ls_emulated_tile[a].row[i] + 4 * k, 4);
            memcpy(y, ls_emulated_tile[b].row[k], 64);
            for (int j = 0; j < 16; j++)
                sum[j] = ls_emulate_pair(sum[j], x, y + 2 * j);
        }
        memcpy(ls_emulated_tile[c].row[i], sum, 64);
    }
}

__attribute__((unused)) static void ls_emulate_dpbssd(int c, int a, int b)
{
    for (int i = 0; i < 16; i++) {
        int32_t sum[16];
        memcpy(sum, ls_emulated_tile[c].row[i], 64);
        for (int k = 0; k < 64; k++)
            for (int j = 0; j < 16; j++)
                sum[j] += (int8_t)ls_emulated_tile[a].row[i][k] * (int8_t)ls_emulated_tile[b].row[k / 4][4 * j + k % 4];
        memcpy(ls_emulated_tile[c].row[i], sum, 64);
    }
}

__attribute__((unused)) static __m512 ls_emulate_dot(__m512 sum, __m512i a, __m512i b)
{
    float s[16];
    uint16_t x[32], y[32];
    memcpy(s, &sum, 64), memcpy(x, &a, 64), memcpy(y, &b, 64);
    for (int i = 0; i < 16; i++)
        s[i] = ls_emulate_pair(s[i], x + 2 * i, y + 2 * i);
    memcpy(&sum, s, 64);
    return sum;
}

__attribute__((unused)) static __m256i ls_emulate_narrow(__m512 x)
{
    float from[16];
    LsBfloat16 to[16];
    __m256i result;
    memcpy(from, &x, 64);
    for (int i = 0; i < 16; i++)
        to[i] = ls_bfloat16_from_float(from[i]);
    memcpy(&result, to, 32);
    return result;
}

#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_loadd(tile, from, stride) ls_emulate_load(tile, from, stride)
#define _tile_stream_loadd(tile, from, stride) ls_emulate_load(tile, from, stride)
#define _tile_stored(tile, to, stride) ls_emulate_store(tile, to, stride)
#define _tile_zero(tile) ls_emulate_zero(tile)
#define _tile_dpbf16ps(c, a, b) ls_emulate_dpbf16(c, a, b)
#define _tile_dpbssd(c, a, b) ls_emulate_dpbssd(c, a, b)
#define _mm512_dpbf16_ps(sum, a, b) ls_emulate_dot(sum, (__m512i)(a), (__m512i)(b))
#define _mm512_cvtneps_pbh(x) ls_emulate_narrow(x)
#define _mm512_cvtne2ps_pbh(high, low)                                                                                 \
    _mm512_inserti64x4(_mm512_castsi256_si512(ls_emulate_narrow(low)), ls_emulate_narrow(high), 1)

#endif
