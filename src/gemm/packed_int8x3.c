/* Float products with a packed B by tiles of 8-bit integers (int8x3.h). A and B keep their floats beside the digits:
 * where a panel of either is wide, float vectors multiply its rows. */
#include "base/pieces.h"
#include "gemm/int8x3.h"
#include "gemm/kernel.h"
#include "gemm/packed.h"

#include <string.h>

#include "gemm/amx.h"

#ifdef LS_HAS_AMX
extern const LsPackedKernel ls_packed_simd_v4;
extern const LsGemmKernel ls_gemm_kernel_int8x3_amx;

/* Of LS_PACKED_ROWS rows of A, and of a block of B: the panels' digits, their scales, then the floats. */
enum { TILE = LS_INT8X3_TILE, PANELS = LS_PACKED_ROWS / TILE, SUM = LS_INT8X3_DIGITS * TILE * TILE };
_Static_assert((int)LS_PACKED_COLUMNS == (int)LS_PACKED_ROWS, "as many panels of either");

static int64_t scales_at(int64_t k) { return PANELS * ls_int8x3_bytes(k); }
static int64_t floats_at(int64_t k)
{
    return scales_at(k) + ls_round_up(PANELS * (int64_t)sizeof(LsInt8x3Scale), LS_ALIGN);
}

static int64_t rows_bytes(int64_t k)
{
    return floats_at(k) + ls_round_up(ls_packed_simd_v4.left_bytes(LS_PACKED_ROWS, k), LS_ALIGN);
}

static int64_t left_bytes(int64_t rows, int64_t k) { return ls_ceil_div(rows, LS_PACKED_ROWS) * rows_bytes(k); }

static void *left_at(void *a, int64_t k, int64_t row, int64_t column)
{
    char *rows = (char *)a + row / LS_PACKED_ROWS * rows_bytes(k);
    return ls_packed_simd_v4.left_at(rows + floats_at(k), k, row % LS_PACKED_ROWS, column);
}

static void finish_left(void *a, int64_t row, int64_t rows, int64_t k)
{
    _Alignas(LS_ALIGN) float copy[TILE * LS_INT8X3_STEP];
    char *all = (char *)a + row / LS_PACKED_ROWS * rows_bytes(k);
    const int64_t panel = row % LS_PACKED_ROWS / TILE;
    const float *first = left_at(a, k, 0, 0), *second = left_at(a, k, 1, 0);
    LsInt8x3Source source = {.data = left_at(a, k, row, 0), .stride = second - first, .along_k = true};
    ls_int8x3_pack(&source, 0, rows, 0, k, copy, (uint8_t *)all + panel * ls_int8x3_bytes(k),
                   (LsInt8x3Scale *)(void *)(all + scales_at(k)) + panel, NULL);
}

/* The floats' place is the copying space of the digits first. */
static int64_t block_bytes(int64_t k)
{
    int64_t floats = ls_packed_simd_v4.block_bytes(k), copy = ls_int8x3_copy(k, PANELS) * (int64_t)sizeof(float);
    return floats_at(k) + (floats > copy ? floats : copy);
}

static void pack(const LsPackedSource *b, int64_t from, int64_t k, int64_t column, int64_t columns, void *block)
{
    char *all = block;
    LsInt8x3Source source = {.data = b->data, .stride = b->stride, .along_k = b->transposed, .right = true};
    ls_int8x3_pack(&source, column, columns, from, k, (float *)(void *)(all + floats_at(k)), block,
                   (LsInt8x3Scale *)(void *)(all + scales_at(k)), NULL);
    ls_packed_simd_v4.pack(b, from, k, column, columns, all + floats_at(k));
}

static bool is_wide(const LsInt8x3Scale *scale, int64_t panels)
{
    return scale[0].wide || (panels > 1 && scale[1].wide);
}

/* A panel of B lies in the first-level cache while the panels of A pass by; the next block is asked for meanwhile. */
static void multiply(const void *a, int64_t row, int64_t rows, int64_t k, const void *block, int64_t columns, void *c,
                     int64_t ldc, bool add)
{
    _Alignas(64) int32_t sum[SUM];
    const char *left = (const char *)a + row / LS_PACKED_ROWS * rows_bytes(k), *right = block;
    const LsInt8x3Scale *of_a = (const void *)(left + scales_at(k)), *of_b = (const void *)(right + scales_at(k));
    const int64_t panel = ls_int8x3_bytes(k), steps = ls_int8x3_steps(k), down = ls_ceil_div(rows, TILE),
                  across = ls_ceil_div(columns, TILE), lines = LS_INT8X3_STEP_BYTES / LS_ALIGN / down;
    const bool all_wide = is_wide(of_b, across);
    const uint8_t *next = (const uint8_t *)right + ls_round_up(block_bytes(k), LS_ALIGN);
    for (int64_t i = 0; i < down; i++)
        if (all_wide || of_a[i].wide)
            ls_packed_simd_v4.multiply(left + floats_at(k), i * TILE, ls_least(TILE, rows - i * TILE), k,
                                       right + floats_at(k), columns, (float *)c + i * TILE * ldc, ldc, add);
    if (all_wide)
        return;
    ls_tiles_begin();
    for (int64_t j = 0; j < across; j++)
        for (int64_t i = 0; i < down; i++, next += steps * lines * LS_ALIGN) {
            if (of_a[i].wide)
                continue;
            LsInt8x3Product product = {.a = (const uint8_t *)left + i * panel,
                                       .b = (const uint8_t *)right + j * panel,
                                       .steps = steps,
                                       .a_stays = true,
                                       .sum = sum,
                                       .next = next,
                                       .lines = lines};
            ls_int8x3_multiply(&product);
            LsInt8x3Target target = {.c = (float *)c + i * TILE * ldc + j * TILE,
                                     .ldc = ldc,
                                     .rows = ls_least(TILE, rows - i * TILE),
                                     .columns = ls_least(TILE, columns - j * TILE),
                                     .add = add};
            ls_int8x3_store(&target, sum, of_a + i, of_b + j);
        }
    ls_tiles_end();
}

/* Of fewer rows or shorter sums, packing and storing take longer than the tiles save; far above, one power of two is
 * shared by too many numbers. */
static bool is_faster(int64_t rows, int64_t k) { return rows >= TILE && k >= 192 && k <= 4096; }

const LsPackedKernel *ls_packed_int8x3(int64_t rows, int64_t k)
{
    static const LsPackedKernel kernel = {.left_bytes = left_bytes,
                                          .left_at = left_at,
                                          .finish_left = finish_left,
                                          .block_bytes = block_bytes,
                                          .pack = pack,
                                          .multiply = multiply};
    const char *forced = ls_gemm_forced();
    bool wanted = *forced ? strcmp(forced, ls_gemm_kernel_int8x3_amx.name) == 0 : is_faster(rows, k);
    return wanted && ls_isa() >= ls_gemm_kernel_int8x3_amx.isa ? &kernel : NULL;
}

#else

const LsPackedKernel *ls_packed_int8x3(int64_t rows, int64_t k)
{
    (void)rows, (void)k;
    return NULL;
}

#endif
