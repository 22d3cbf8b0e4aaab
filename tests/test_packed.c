/* Products with a packed B, at every instruction set that the machine has, against plain loops: odd sizes, rows and
 * columns in pieces, B either way round, sums that are added to, numbers of very different sizes. */
#include "base/bfloat16.h"
#include "base/pieces.h"
#include "gemm/packed.h"
#include "graph/check.h"
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* B's k from number FROM on, so that a piece of it is taken. */
enum { FROM = 3 };

static double number(const char *name, int64_t i)
{
    return 2 * (double)ls_uniform_at(ls_key(3, name), 0, (uint64_t)i) - 1;
}

/* Sizes of the numbers: alike, or the first of k large in A, or in B, and small in the other, so that the small ones
 * make the sum. */
typedef enum Sizes { ALIKE, WIDE_A, WIDE_B, SIZES } Sizes;

static double size_of(Sizes sizes, bool of_b, int64_t q)
{
    const double small = 0x1p-16;
    return sizes == ALIKE ? 1 : (q == 0) == (of_b == (sizes == WIDE_B)) ? 1 : small;
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

/* A product's numbers as they are after rounding to its type: a: (rows, k), b: (k, n). */
typedef struct Operands {
    LsGemmType type;
    int64_t rows, k, n;
    double *a, *b;
} Operands;

static Operands operands_of(LsGemmType type, Sizes sizes, int64_t rows, int64_t k, int64_t n)
{
    Operands o = {
        type, rows, k, n, ls_alloc((size_t)(rows * k) * sizeof(double)), ls_alloc((size_t)(k * n) * sizeof(double))};
    for (int64_t i = 0; i < rows; i++)
        for (int64_t q = 0; q < k; q++)
            o.a[i * k + q] = rounded(type, number("a", i * k + q) * size_of(sizes, false, q));
    for (int64_t q = 0; q < k; q++)
        for (int64_t j = 0; j < n; j++)
            o.b[q * n + j] = rounded(type, number("b", q * 1000 + j) * size_of(sizes, true, q));
    return o;
}

static void check_piece(const Operands *o, const LsPackedKernel *p, const void *left, const void *block, int64_t row,
                        int64_t rows, int64_t column, int64_t columns, bool add)
{
    double c[LS_PACKED_ROWS * LS_PACKED_COLUMNS];
    const LsGemmType type_of_c = o->type == LS_GEMM_FLOAT64 ? LS_GEMM_FLOAT64 : LS_GEMM_FLOAT32;
    const double unit = o->type == LS_GEMM_FLOAT64 ? 0x1p-53 : 0x1p-24;
    for (int64_t i = 0; i < LS_PACKED_ROWS * LS_PACKED_COLUMNS; i++)
        put(type_of_c, c, i, 0.5);
    p->multiply(left, row, rows, o->k, block, columns, c, LS_PACKED_COLUMNS, add);
    for (int64_t i = 0; i < LS_PACKED_ROWS; i++)
        for (int64_t j = 0; j < LS_PACKED_COLUMNS; j++) {
            double sum = add ? 0.5 : 0, size = 2 * sum, have = at(o->type, c, i * LS_PACKED_COLUMNS + j);
            if (i >= rows || j >= columns) {
                CU_ASSERT_EQUAL(have, 0.5);
                continue;
            }
            for (int64_t q = 0; q < o->k; q++) {
                double product = o->a[(row + i) * o->k + q] * o->b[q * o->n + column + j];
                sum += product;
                size += fabs(product);
            }
            ASSERT_AT_MOST(fabs(have - sum), (double)(o->k + 2) * unit * size);
        }
}

static void check_columns(const Operands *o, const LsPackedKernel *p, const LsPackedSource *b, const void *left,
                          int64_t column)
{
    const int64_t columns = ls_least(LS_PACKED_COLUMNS, o->n - column);
    char *block = ls_alloc((size_t)p->block_bytes(o->k));
    memset(block, 0xff, (size_t)p->block_bytes(o->k));
    p->pack(b, FROM, o->k, column, columns, block);
    for (int64_t row = 0; row < o->rows; row += LS_PACKED_ROWS)
        for (int add = 0; add < 2; add++)
            check_piece(o, p, left, block, row, ls_least(LS_PACKED_ROWS, o->rows - row), column, columns, add);
    ls_free(block);
}

/* A as the kernel wants it. */
static void *left_of(const Operands *o, const LsPackedKernel *p)
{
    const LsGemmType type = o->type == LS_GEMM_FLOAT64 || p->left_bfloat16 ? o->type : LS_GEMM_FLOAT32;
    char *left = ls_alloc((size_t)p->left_bytes(o->rows, o->k));
    memset(left, 0, (size_t)p->left_bytes(o->rows, o->k));
    for (int64_t i = 0; i < o->rows; i++)
        for (int64_t q = 0; q < o->k; q++)
            put(type, p->left_at(left, o->k, i, q / LS_PACKED_COLUMNS * LS_PACKED_COLUMNS), q % LS_PACKED_COLUMNS,
                o->a[i * o->k + q]);
    for (int64_t row = 0; p->finish_left && row < o->rows; row += LS_PACKED_PANEL)
        p->finish_left(left, row, ls_least(LS_PACKED_PANEL, o->rows - row), o->k);
    return left;
}

static void check(LsGemmType type, Sizes sizes, int64_t rows, int64_t k, int64_t n, bool transposed)
{
    const LsPackedKernel *p = ls_packed_kernel(type, rows, k);
    const Operands o = operands_of(type, sizes, rows, k, n);
    const int64_t element = type == LS_GEMM_FLOAT64 ? 8 : type == LS_GEMM_FLOAT32 ? 4 : 2;
    const int64_t stride = transposed ? k + FROM : n;
    char *b = ls_alloc((size_t)((k + FROM) * n * element));
    for (int64_t q = 0; q < k + FROM; q++)
        for (int64_t j = 0; j < n; j++)
            put(type, b, transposed ? j * stride + q : q * stride + j, q < FROM ? 1e30 : o.b[(q - FROM) * n + j]);
    void *left = left_of(&o, p);
    LsPackedSource source = {type, b, stride, transposed};
    for (int64_t column = 0; column < n; column += LS_PACKED_COLUMNS)
        check_columns(&o, p, &source, left, column);
    ls_free(b);
    ls_free(left);
    ls_free(o.a);
    ls_free(o.b);
}

static void test_products(void)
{
    static const int64_t sizes[][3] = {{1, 1, 1},    {2, 7, 5},    {17, 33, 31}, {33, 64, 32},
                                       {40, 19, 70}, {3, 530, 47}, {65, 96, 49}, {41, 200, 70}};
    LsIsa best;
    ASSERT_OK(ls_isa_choose(&best));
    for (int isa = 0; isa <= (int)best; isa++) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        for (int type = LS_GEMM_FLOAT32; type <= LS_GEMM_FLOAT64; type++)
            for (size_t i = 0; i < LS_COUNT_OF(sizes); i++)
                for (int form = 0; form < SIZES * 2; form++)
                    check((LsGemmType)type, (Sizes)(form / 2), sizes[i][0], sizes[i][1], sizes[i][2], form % 2);
        ls_check_restore_isa(forced);
    }
}

int main(void) { return harness_run("packed", (HarnessTest[]){{"products", test_products}, {0}}); }
