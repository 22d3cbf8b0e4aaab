/* For files that are compiled once for each instruction set (cmake/levels.cmake): LS_LEVEL is the suffix of the build's
 * symbols, LS_LEVEL_ISA its instruction set. */
#ifndef LS_GEMM_SIMD_LEVEL_H
#define LS_GEMM_SIMD_LEVEL_H

#define LS_LEVEL_PASTE_(a, b) a##b
#define LS_LEVEL_PASTE(a, b) LS_LEVEL_PASTE_(a, b)
#define LS_LEVEL_NAME(name) LS_LEVEL_PASTE(name, LS_LEVEL)
#define LS_LEVEL_TEXT_(text) #text
#define LS_LEVEL_TEXT(text) LS_LEVEL_TEXT_(text)

#define ls_simd_pack_a LS_LEVEL_NAME(ls_simd_pack_a)
#define ls_simd_pack_b LS_LEVEL_NAME(ls_simd_pack_b)
#define ls_simd_find_runs LS_LEVEL_NAME(ls_simd_find_runs)
#define ls_simd_gather LS_LEVEL_NAME(ls_simd_gather)
#define ls_simd_multiply LS_LEVEL_NAME(ls_simd_multiply)

#endif
