/* The instruction sets that the files for AMX and AVX512_BF16 are compiled for, and the tile registers of a thread:
 * eight tiles of 16 rows of 64 bytes. Included last.
 *
 * With LS_EMULATE_AMX (cmake -DLOCKSTEP_EMULATE_AMX=ON) plain loops take the place of the instructions that AVX-512
 * alone lacks: the same code around them runs, slowly, on a machine without them. For tests. */
#ifndef LS_GEMM_AMX_H
#define LS_GEMM_AMX_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define LS_HAS_AMX

#ifndef LS_EMULATE_AMX
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,amx-tile,amx-bf16,amx-int8")
#include <immintrin.h>

/* Before the first use of a tile on a thread, and after the last. */
static inline void ls_tiles_begin(void)
{
    /* palette 1: 8 tiles of up to 16 rows of 64 bytes; all the same here (Intel's Software Developer's Manual,
     * "LDTILECFG") */
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
}

static inline void ls_tiles_end(void) { _tile_release(); }

#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include <immintrin.h>
#include "amx_emulated.h" /* in tests */
#endif

#endif
#endif
