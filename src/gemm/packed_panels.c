/* Products of bfloat16 with a packed B by panels (bf16.h). A lies as the tiles want it: a row's 32 of k are one
 * line. */
#include "gemm/bf16.h"
#include "gemm/packed.h"

#include "base/pieces.h"

_Static_assert((int)LS_PACKED_COLUMNS == (int)LS_STEP && (int)LS_STEP == (int)LS_PANEL &&
                   (int)LS_PACKED_ROWS == (int)LS_PANEL,
               "a block is a panel");

static int64_t left_bytes(int64_t rows, int64_t k) { return ls_ceil_div(rows, LS_PANEL) * ls_panel_bytes(k, 1); }

static void *left_at(void *a, int64_t k, int64_t row, int64_t column)
{
    int64_t tile = row % LS_PANEL / LS_TILE;
    return (uint8_t *)a + row / LS_PANEL * ls_panel_bytes(k, 1) + column / LS_STEP * LS_STEP_BYTES +
           tile * LS_TILE_BYTES + row % LS_TILE * (LS_STEP * 2);
}

static int64_t block_bytes(int64_t k) { return ls_panel_bytes(k, 1); }

static void pack(const LsPackedSource *b, int64_t from, int64_t k, int64_t column, int64_t columns, void *block)
{
    LsPanelSource source = {b->data, b->stride, b->transposed, false, true};
    ls_panel_pack(&source, column, columns, from, k, block, block_bytes(k));
}

static void multiply(const void *a, int64_t row, int64_t rows, int64_t k, const void *block, int64_t columns, void *c,
                     int64_t ldc, bool add)
{
    const LsPanelKernel *kernel = ls_panel_kernel();
    _Alignas(64) float sums[LS_PANEL * LS_PANEL];
    const uint8_t *left = (const uint8_t *)a + row / LS_PANEL * ls_panel_bytes(k, 1);
    LsPanelTarget target = {.to = c, .to_stride = ldc, .rows = rows, .columns = columns, .to_float = true, .add = add};
    LsPanelProduct product = {.a = left,
                              .b = block,
                              .steps = ls_panel_steps(k),
                              .parts = 1,
                              .row_tiles = rows > LS_TILE ? 2 : 1,
                              .column_tiles = columns > LS_TILE ? 2 : 1,
                              .sum = sums,
                              .next = (const uint8_t *)block + ls_panel_bytes(k, 1),
                              .lines = LS_STEP_BYTES / LS_ALIGN,
                              .target = &target};
    if (kernel->begin)
        kernel->begin();
    kernel->multiply(&product);
    if (kernel->end)
        kernel->end();
    ls_panel_store(&target, sums);
}

const LsPackedKernel *ls_packed_panels(void)
{
    static const LsPackedKernel kernel = {.left_bfloat16 = true,
                                          .left_bytes = left_bytes,
                                          .left_at = left_at,
                                          .block_bytes = block_bytes,
                                          .pack = pack,
                                          .multiply = multiply};
    return ls_panel_kernel() ? &kernel : NULL;
}
