/* Products with a packed B, at every instruction set that the machine has, against plain loops: odd sizes, rows and
 * columns in pieces, B either way round, sums that are added to. */
#include "base/bfloat16.h"
#include "base/pieces.h"
#include "gemm/packed.h"
#include "graph/check.h"
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double number(const char *name, int64_t i)
{
    return 2 * (double)ls_uniform_at(ls_key(3, name), 0, (uint64_t)i) - 1;
}

static double rounded(LsGemmType type, double x)
{
    return type == LS_GEMM_BFLOAT16  ? (double)ls_bfloat16_to_float(ls_bfloat16_from_float((float)x))
           : type == LS_GEMM_FLOAT32 ? (double)(float)x
                                     : x;
}

static void put(LsGemmType type, void *to, int64_t i, double x)
{
    if (type == LS_GEMM_FLOAT64)
        ((double *)to)[i] = x;
    else if (type == LS_GEMM_FLOAT32)
        ((float *)to)[i] = (float)x;
    else
        ((LsBfloat16 *)to)[i] = ls_bfloat16_from_float((float)x);
}

static double at(LsGemmType type, const void *c, int64_t i)
{
    return type == LS_GEMM_FLOAT64 ? ((const double *)c)[i] : (double)((const float *)c)[i];
}

/* B's k from number FROM on, so that a piece of it is taken. */
enum { FROM = 3 };

static void check_piece(LsGemmType type, const LsPackedKernel *p, const void *left, const void *block, int64_t row,
                        int64_t rows, int64_t k, int64_t column, int64_t columns, bool add)
{
    double c[LS_PACKED_ROWS * LS_PACKED_COLUMNS];
    const double unit = type == LS_GEMM_FLOAT64 ? 0x1p-53 : 0x1p-24;
    for (int64_t i = 0; i < LS_PACKED_ROWS * LS_PACKED_COLUMNS; i++)
        put(type == LS_GEMM_FLOAT64 ? type : LS_GEMM_FLOAT32, c, i, 0.5);
    p->multiply(left, row, rows, k, block, columns, c, LS_PACKED_COLUMNS, add);
    for (int64_t i = 0; i < LS_PACKED_ROWS; i++)
        for (int64_t j = 0; j < LS_PACKED_COLUMNS; j++) {
            double sum = add ? 0.5 : 0, size = 1, have = at(type, c, i * LS_PACKED_COLUMNS + j);
            if (i >= rows || j >= columns) {
                CU_ASSERT_EQUAL(have, 0.5);
                continue;
            }
            for (int64_t q = 0; q < k; q++) {
                double product = rounded(type, number("a", (row + i) * k + q)) *
                                 rounded(type, number("b", (FROM + q) * 1000 + column + j));
                sum += product;
                size += fabs(product);
            }
            ASSERT_AT_MOST(fabs(have - sum), (double)(k + 2) * unit * size);
        }
}

static void check(LsGemmType type, int64_t rows, int64_t k, int64_t n, bool transposed)
{
    const LsPackedKernel *p = ls_packed_kernel(type);
    const int64_t element = type == LS_GEMM_FLOAT64   ? 8
                            : type == LS_GEMM_FLOAT32 ? 4
                                                      : 2,
                  stride = transposed ? k + FROM : n;
    char *b = ls_alloc((size_t)((k + FROM) * n * element));
    for (int64_t q = 0; q < k + FROM; q++)
        for (int64_t j = 0; j < n; j++)
            put(type, b, transposed ? j * stride + q : q * stride + j, number("b", q * 1000 + j));
    char *left = ls_alloc((size_t)p->left_bytes(rows, k)), *block = ls_alloc((size_t)p->block_bytes(k));
    memset(left, 0, (size_t)p->left_bytes(rows, k));
    const LsGemmType left_type = type == LS_GEMM_FLOAT64 || p->left_bfloat16 ? type : LS_GEMM_FLOAT32;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t q = 0; q < k; q++)
            put(left_type, p->left_at(left, k, i, q / LS_PACKED_COLUMNS * LS_PACKED_COLUMNS), q % LS_PACKED_COLUMNS,
                rounded(type, number("a", i * k + q)));
    LsPackedSource source = {type, b, stride, transposed};
    for (int64_t column = 0; column < n; column += LS_PACKED_COLUMNS) {
        int64_t columns = ls_least(LS_PACKED_COLUMNS, n - column);
        memset(block, 0xff, (size_t)p->block_bytes(k));
        p->pack(&source, FROM, k, column, columns, block);
        for (int64_t row = 0; row < rows; row += LS_PACKED_ROWS)
            for (int add = 0; add < 2; add++)
                check_piece(type, p, left, block, row, ls_least(LS_PACKED_ROWS, rows - row), k, column, columns, add);
    }
    ls_free(b);
    ls_free(left);
    ls_free(block);
}

static void test_products(void)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {2, 7, 5},    {17, 33, 31}, {33, 64, 32},
                                       {40, 19, 70}, {3, 530, 47}, {65, 96, 49}};
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    for (int isa = 0; isa <= (int)best; isa++) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        for (int type = LS_GEMM_FLOAT32; type <= LS_GEMM_FLOAT64; type++)
            for (size_t i = 0; i < LS_COUNT_OF(sizes); i++)
                for (int transposed = 0; transposed < 2; transposed++)
                    check((LsGemmType)type, sizes[i][0], sizes[i][1], sizes[i][2], transposed);
        ls_check_restore_isa(forced);
    }
}

int main(void) { return harness_run("packed", (HarnessTest[]){{"products", test_products}, {0}}); }
