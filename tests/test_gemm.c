/* The dense product by every kernel of the table against plain loops, with the error bound of the sum (k eps sum |a|
 * |b|), and its bits over numbers of threads, rows in a call, and places of a row among others. */
#include "gemm_cases.h"

static const int64_t sizes[][3] = {
    {1, 1, 1},   {1, 65, 128}, {3, 5, 7},   {17, 1, 33},    {48, 48, 48},  {64, 63, 130}, {2, 30, 49},  {13, 21, 70},
    {16, 9, 33}, {7, 50, 20},  {97, 31, 5}, {31, 129, 257}, {130, 200, 1}, {100, 97, 0},  {5, 7, 4500}, {193, 390, 60}};

static void compare(const Kind *kind)
{
    for (size_t s = 0; s < LS_COUNT_OF(sizes); s++)
        for (int variant = 0; variant < 16; variant++)
            for (int64_t pad = s % 2 ? 3 : 0; pad <= 3; pad += s < 4 ? 3 : 4) {
                Case t = make_case(kind, sizes[s][0], sizes[s][1], sizes[s][2], variant, pad);
                void *c = run_case(kind, &t, 2);
                double worst = worst_error(kind, &t, c);
                if (!(worst <= 1))
                    fprintf(stderr, "%s: m, n, k = %lld, %lld, %lld, variant %d, pad %lld\n", name_of(kind),
                            (long long)t.g.m, (long long)t.g.n, (long long)t.g.k, variant, (long long)pad);
                ASSERT_AT_MOST(worst, 1);
                ls_free(c);
                free_case(&t);
            }
}

/* Other kernels than the chosen at sizes they take. */
static void test_values(void)
{
    Kind kind[MOST_KINDS];
    int count = all_kinds(kind);
    CU_ASSERT_FATAL(count > 0);
    for (int i = 0; i < count; i++)
        compare(&kind[i]);
    compare(&floats);
    compare(&halves);
}

static void same_bits(const Kind *kind, int64_t m, int64_t n, int64_t k, int variant)
{
    Case t = make_case(kind, m, n, k, variant, 0);
    void *one = run_case(kind, &t, 1);
    size_t bytes = (size_t)(t.c_count * bytes_of(kind->result));
    for (int threads = 2; threads <= 5; threads += 3) {
        void *other = run_case(kind, &t, threads);
        bool same = memcmp(one, other, bytes) == 0;
        if (!same)
            fprintf(stderr, "%s: m, n, k = %lld, %lld, %lld, variant %d: other bits on %d threads\n", name_of(kind),
                    (long long)m, (long long)n, (long long)k, variant, threads);
        CU_ASSERT(same);
        ls_free(other);
    }
    ls_free(one);
    free_case(&t);
}

/* Float results so large that they may be written past the caches, whole lines and parts of them, with and without what
 * was there; operands whose rows of k are packed in several pieces; sums over several blocks of k. */
static void test_large(void)
{
    static const struct {
        int64_t m, n, k, pad;
        int variant;
    } list[] = {{800, 704, 20, 0, 1}, {790, 700, 33, 4, 0}, {750, 720, 17, 16, 4}, {701, 810, 9, 5, 8},
                {70, 601, 290, 0, 1}, {601, 70, 290, 0, 3}, {210, 1100, 830, 0, 2}};
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        Case t = make_case(&to_floats, list[i].m, list[i].n, list[i].k, list[i].variant, list[i].pad);
        void *c = run_case(&to_floats, &t, 3);
        ASSERT_AT_MOST(worst_error(&to_floats, &t, c), 1);
        ls_free(c);
        free_case(&t);
    }
    same_bits(&to_floats, 790, 700, 40, 1);
}

/* The same bits in two parts of rows as in one product, and in two of columns, wherever the cut lies: what a row gets
 * does not depend on the rows that it is with. */
static void parts_of(const Kind *kind, int64_t m, int64_t n, int64_t k, int64_t pad, int variant, int64_t cut)
{
    Case t = make_case(kind, m, n, k, variant, pad);
    const int64_t size = bytes_of(kind->result);
    char *whole = run_case(kind, &t, 3);
    for (int part = 0; part < 2; part++) {
        int64_t from = part ? cut : 0, rows = part ? m - cut : cut;
        Case rest = t;
        rest.g.m = rows;
        rest.a = t.a + from * (t.g.transpose_a ? 1 : t.g.lda), rest.a_count = t.a_count - (rest.a - t.a);
        rest.c = t.c + from * t.g.ldc, rest.c_count = rows * t.g.ldc;
        char *c = run_case(kind, &rest, 2);
        bool same = memcmp(c, whole + from * t.g.ldc * size, (size_t)(rest.c_count * size)) == 0;
        if (!same)
            fprintf(stderr, "%s: m, n, k = %lld, %lld, %lld, variant %d: other bits for rows %lld to %lld alone\n",
                    name_of(kind), (long long)m, (long long)n, (long long)k, variant, (long long)from,
                    (long long)(from + rows));
        CU_ASSERT(same);
        ls_free(c);
    }
    ls_free(whole);
    free_case(&t);
}

static void test_parts(void)
{
    static const struct {
        int64_t m, n, k, pad;
        int variant;
        int64_t cut;
    } list[] = {{1040, 1056, 40, 0, 2, 520}, {1040, 1050, 33, 6, 8, 17}, {442, 356, 1700, 0, 8, 400},
                {300, 160, 20, 0, 4, 100},   {100, 40, 5000, 0, 1, 50},  {40, 30, 4200, 3, 7, 30},
                {16, 300, 2000, 0, 2, 5},    {12, 77, 100, 1, 10, 6}};
    Kind kind[MOST_KINDS];
    int count = all_kinds(kind);
    for (int i = 0; i < count; i++)
        for (size_t n = 0; n < LS_COUNT_OF(list); n++) {
            bool large = list[n].m * list[n].n * list[n].k > 100000000;
            if (kind[i].type != LS_GEMM_FLOAT64 && !(large && is_digits(kind[i].kernel)))
                parts_of(&kind[i], list[n].m, list[n].n, list[n].k, list[n].pad, list[n].variant, list[n].cut);
        }
}

/* Operands made of runs: windows of 3 x 3 of pictures with a border of zeros, beside the matrix of all windows. */
enum {
    HEIGHT = 21,
    WIDTH = 33,
    CHANNELS = 7,
    PIXELS = HEIGHT * WIDTH,
    WINDOW = 9 * CHANNELS,
    FILTERS = 50,
    PICTURES = 2,
    ROWS_OF_ALL = PICTURES * PIXELS
};

static void offsets_of(int32_t offset[9][PIXELS])
{
    for (int t = 0; t < 9; t++)
        for (int pixel = 0; pixel < PIXELS; pixel++) {
            int y = pixel / WIDTH + t / 3 - 1, x = pixel % WIDTH + t % 3 - 1;
            bool inside = y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
            offset[t][pixel] = inside ? (y * WIDTH + x) * CHANNELS : -1;
        }
}

/* all: (ROWS_OF_ALL, WINDOW) */
static void write_windows(const int32_t offset[9][PIXELS], const void *x, Type type, void *all)
{
    for (int64_t i = 0; i < ROWS_OF_ALL; i++)
        for (int64_t j = 0; j < WINDOW; j++) {
            int64_t from = offset[j / CHANNELS][i % PIXELS], at = i / PIXELS * PIXELS * CHANNELS + from + j % CHANNELS;
            put(all, i * WINDOW + j, type, from < 0 ? 0 : read_at(x, at, type));
        }
}

/* Of floats, as a part of the largest. */
static double largest_difference(const void *x, const void *y, int64_t count)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double a = read_at(x, i, FLOAT), b = read_at(y, i, FLOAT);
        most = fmax(most, fabs(a - b));
        largest = fmax(largest, fabs(a));
    }
    return most / largest;
}

/* unlike: numbers of a window are of all sizes, which digits do not carry. */
static void runs_of(LsGemmType type, bool unlike)
{
    static int32_t offset[9][PIXELS];
    static double x[ROWS_OF_ALL * CHANNELS], all[ROWS_OF_ALL * WINDOW], w[FILTERS * ROWS_OF_ALL],
        c[2][ROWS_OF_ALL * FILTERS];
    Type stored = type == LS_GEMM_FLOAT32 ? FLOAT : type == LS_GEMM_BFLOAT16 ? BFLOAT16 : DOUBLE;
    offsets_of(offset);
    for (int64_t i = 0; i < ROWS_OF_ALL * CHANNELS; i++)
        put(x, i, stored, ldexp((double)ls_uniform_at(1, 0, (uint64_t)i), unlike ? -(int)(i % 30) : 0));
    for (int64_t i = 0; i < FILTERS * ROWS_OF_ALL; i++)
        put(w, i, stored, (double)ls_uniform_at(2, 0, (uint64_t)i) - 0.5);
    write_windows((const int32_t(*)[PIXELS])offset, x, stored, all);
    const LsGemmRuns windows = {offset[0], 9, CHANNELS, PIXELS, PIXELS * CHANNELS, 0};
    const struct {
        LsGemm g;
        bool right;
        int64_t first;
    } list[] = {
        /* y (pixels, filters) = windows w^T; dw (filters, window) = dy^T windows; dw^T; few rows; a small, long sum */
        {{.m = ROWS_OF_ALL, .n = FILTERS, .k = WINDOW, .b = w, .ldb = WINDOW, .transpose_b = true}, false, 0},
        {{.m = FILTERS, .n = WINDOW, .k = ROWS_OF_ALL, .a = w, .lda = FILTERS, .transpose_a = true}, true, 0},
        {{.m = WINDOW, .n = FILTERS, .k = ROWS_OF_ALL, .transpose_a = true, .b = w, .ldb = FILTERS}, false, 0},
        {{.m = 5, .n = FILTERS, .k = WINDOW, .b = w, .ldb = WINDOW, .transpose_b = true}, false, 0},
        {{.m = 900, .n = 17, .k = WINDOW, .b = w, .ldb = WINDOW, .transpose_b = true, .c_float = true}, false, 300}};
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        LsGemm g = list[i].g;
        g.type = type, g.ldc = g.n;
        LsGemm runs = g;
        const char *from = (const char *)all + list[i].first * WINDOW * bytes_of(stored);
        if (list[i].right)
            g.b = from, g.ldb = WINDOW, runs.b = x, runs.b_runs = windows;
        else
            g.a = from, g.lda = WINDOW, runs.a = x, runs.a_runs = windows;
        runs.a_runs.first = list[i].first;
        g.c = c[0], runs.c = c[1];
        size_t bytes = type == LS_GEMM_BFLOAT16 && g.c_float ? sizeof(float) : (size_t)bytes_of(stored);
        for (const LsGemmKernel *const *k = ls_gemm_kernels(); *k; k++) {
            if ((*k)->isa > ls_isa() || !(*k)->usable(&runs))
                continue;
            ASSERT_OK((*k)->run(&runs));
            ASSERT_OK((*k)->run(&g));
            /* vectors sum what digits do not carry: by ranges of k where B is no runs */
            if (unlike && is_digits(*k))
                ASSERT_AT_MOST(largest_difference(c[0], c[1], g.m * g.n), 1e-5);
            else
                CU_ASSERT(memcmp(c[0], c[1], (size_t)(g.m * g.n) * bytes) == 0);
        }
    }
}

static void test_runs(void)
{
    for (int unlike = 0; unlike < 2; unlike++) {
        runs_of(LS_GEMM_FLOAT32, unlike);
        runs_of(LS_GEMM_BFLOAT16, unlike);
        runs_of(LS_GEMM_FLOAT64, unlike);
    }
}

/* Rows of all magnitudes, and what is not finite: where digits do not carry them, vectors must. */
static void extremes_of(const Kind *kind, const LsGemm *g)
{
    const float *x = g->a, *y = g->b, *z = g->c;
    ASSERT_OK(multiply(kind, g));
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            double sum = 0, size = 0, is = (double)z[i * g->n + j];
            for (int64_t p = 0; p < g->k; p++) {
                double product = (double)x[i * g->k + p] * (double)y[p * g->n + j];
                sum += product, size += fabs(product);
            }
            if (isfinite(sum))
                CU_ASSERT(fabs(is - sum) <= (double)(g->k + 2) * 0x1p-24 * size)
            else
                CU_ASSERT(!isfinite(is))
        }
}

static void test_extremes(void)
{
    static const float a[][32] = {
        {0x1p127f, -0x1p100f, 0x1.fffffep127f}, {0x1p-100f, 0x1.fffffep-90f, -0x1.8p-60f}, {INFINITY}, {NAN}, {-0.0f}};
    enum { ROWS = 64, COLUMNS = 48, DEPTH = 32 };
    static float x[ROWS * DEPTH], y[DEPTH * COLUMNS], z[ROWS * COLUMNS];
    for (int i = 0; i < ROWS; i++)
        memcpy(x + i * DEPTH, a[i % (int)LS_COUNT_OF(a)], sizeof a[0]);
    for (int i = 0; i < DEPTH * COLUMNS; i++)
        y[i] = i / COLUMNS < 2 ? 0x1.234568p-3f : 0x1p-20f;
    LsGemm g = {
        .m = ROWS, .n = COLUMNS, .k = DEPTH, .a = x, .lda = DEPTH, .b = y, .ldb = COLUMNS, .c = z, .ldc = COLUMNS};
    Kind kind[MOST_KINDS];
    int count = all_kinds(kind), tried = 0;
    for (int i = 0; i < count; i++)
        if (kind[i].type == LS_GEMM_FLOAT32 && kind[i].kernel->usable(&g)) {
            tried++;
            extremes_of(&kind[i], &g);
        }
    CU_ASSERT(tried > 0 || ls_isa() == LS_ISA_V4_BF16); /* which brings none for floats */
}

/* Rows of some large numbers among many small ones that count as much, since large ones of the other operand meet them:
 * the bound of a float sum must hold, which digits alone would miss by far. */
static void test_wide_rows(void)
{
    Kind kind[MOST_KINDS];
    int count = all_kinds(kind);
    for (int i = 0; i < count; i++)
        for (int variant = 0; variant < 4 && is_digits(kind[i].kernel); variant++) {
            Case t = make_case(&kind[i], 70, 50, 300, variant, 0);
            for (int64_t p = 0; p < t.g.k; p += 60) {
                for (int64_t row = 20; row < 52; row++)
                    t.a[t.g.transpose_a ? p * t.g.lda + row : row * t.g.lda + p] *= 0x1p30;
                for (int64_t j = 0; j < t.g.n; j++)
                    t.b[t.g.transpose_b ? j * t.g.ldb + p : p * t.g.ldb + j] *= 0x1p-30;
            }
            void *c = run_case(&kind[i], &t, 2);
            CU_ASSERT(worst_error(&floats, &t, c) <= 1);
            ls_free(c);
            free_case(&t);
        }
}

static void test_bits_over_threads(void)
{
    static const int64_t shapes[][3] = {{128, 128, 768},  {64, 64, 40960},  {65, 128, 1024}, {31, 384, 1024},
                                        {384, 256, 1024}, {1, 200, 12288},  {1, 1, 40960},   {100, 1, 1500},
                                        {127, 385, 500},  {12, 50, 3000},   {257, 129, 384}, {1, 300, 129},
                                        {11, 70, 200},    {250, 1030, 1030}};
    Kind kind[MOST_KINDS];
    int count = all_kinds(kind);
    for (size_t s = 0; s < LS_COUNT_OF(shapes); s++)
        for (int variant = 0; variant < 4; variant++) {
            same_bits(&floats, shapes[s][0], shapes[s][1], shapes[s][2], variant + (s % 2 ? 12 : 0));
            for (int i = 0; i < count && s % 3 == 0; i++) /* all kinds at every third shape */
                if (kind[i].type != LS_GEMM_FLOAT64)
                    same_bits(&kind[i], shapes[s][0], shapes[s][1], shapes[s][2], variant + (s % 2 ? 12 : 0));
        }
    same_bits(&floats, 768, 2304, 256, 2);
    same_bits(&doubles, 130, 70, 900, 1);
}

/* Inside a parallel region the product runs on the calling thread: all threads must get the same. */
static void test_inside_parallel(void)
{
    Case t = make_case(&floats, 270, 290, 300, 2, 0);
    float *alone = run_case(&floats, &t, 1);
    float *a = narrow(t.a, t.a_count, FLOAT), *b = narrow(t.b, t.b_count, FLOAT);
    bool same[4] = {false, false, false, false};
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < 4; i++) {
        float *c = ls_alloc_array(t.c_count, sizeof *c);
        LsGemm g = t.g;
        g.a = a, g.b = b, g.c = c;
        same[i] = c && ls_gemm(&g) == LS_OK && memcmp(c, alone, (size_t)t.c_count * sizeof *c) == 0;
        ls_free(c);
    }
    for (int i = 0; i < 4; i++)
        CU_ASSERT(same[i]);
    ls_free(a), ls_free(b), ls_free(alone);
    free_case(&t);
}

static void test_no_allocation_after_first(void)
{
    Case t = make_case(&floats, 64, 64, 9000, 1, 0);
    float *a = narrow(t.a, t.a_count, FLOAT), *b = narrow(t.b, t.b_count, FLOAT), *c = narrow(t.c, t.c_count, FLOAT);
    LsGemm g = t.g;
    g.a = a, g.b = b, g.c = c;
    ASSERT_OK(ls_gemm(&g));
    int64_t before = ls_alloc_count();
    for (int i = 0; i < 3; i++)
        ASSERT_OK(ls_gemm(&g));
    CU_ASSERT_EQUAL(ls_alloc_count(), before);
    ls_free(a), ls_free(b), ls_free(c);
    free_case(&t);
}

/* The sums of A's rows on the way: against double, the same bits for any number of threads; one range of k and several
 * (deep products), many blocks of k, columns in several tasks and blocks; rows that vectors multiply. Refused where A
 * is not transposed. */
static void test_row_sums(void)
{
    static const struct {
        int64_t m, n, k, pad;
    } list[] = {{128, 130, 384, 0}, {150, 128, 900, 3}, {70, 1300, 2500, 5}, {250, 700, 1100, 0}, {70, 4200, 600, 0}};
    for (size_t n = 0; n < LS_COUNT_OF(list); n++)
        for (int add = 0; add < 2; add++) {
            Case t = make_case(&floats, list[n].m, list[n].n, list[n].k, 1, list[n].pad);
            for (int64_t p = 0; p < t.g.k; p += 60)
                t.a[p * t.g.lda + 20] *= 0x1p30;
            float *a = narrow(t.a, t.a_count, FLOAT), *b = narrow(t.b, t.b_count, FLOAT), sums[4][600];
            float *c = ls_alloc_array(t.c_count, sizeof *c), *plain = ls_alloc_array(t.c_count, sizeof *c);
            CU_ASSERT_FATAL(a && b && c && plain);
            LsGemm g = t.g;
            int before = ls_threads();
            g.a = a, g.b = b, g.c = plain;
            CU_ASSERT_FATAL(ls_gemm_sums_rows(&g));
            ASSERT_OK(ls_gemm(&g));
            g.c = c, g.row_sums = sums[0], g.add_row_sums = add;
            for (int threads = 1; threads < 4; threads++) {
                g.row_sums = sums[threads];
                for (int64_t i = 0; i < g.m; i++)
                    sums[threads][i] = 0.5f;
                ls_set_threads(threads);
                ASSERT_OK(ls_gemm(&g));
                CU_ASSERT(memcmp(sums[threads], sums[1], (size_t)g.m * sizeof(float)) == 0);
                for (int64_t i = 0; i < g.m; i++)
                    CU_ASSERT(memcmp(c + i * g.ldc, plain + i * g.ldc, (size_t)g.n * sizeof *c) == 0);
            }
            for (int64_t i = 0; i < g.m; i++) {
                double sum = add ? 0.5 : 0, size = sum;
                for (int64_t p = 0; p < g.k; p++)
                    sum += t.a[p * g.lda + i], size += fabs(t.a[p * g.lda + i]);
                CU_ASSERT(fabs((double)sums[1][i] - sum) <= (double)(g.k + 2) * 0x1p-24 * size);
            }
            ls_set_threads(before);
            g.transpose_a = false, g.lda = g.k;
            ASSERT_FAILS(ls_gemm(&g), LS_ERROR, "sums of A's rows");
            ls_free(a), ls_free(b), ls_free(c), ls_free(plain);
            free_case(&t);
        }
}

/* Both gradients of a dense layer in one go: the bits of one after the other, for any number of threads. */
static void test_both(void)
{
    static const struct {
        int64_t tokens, in, out;
    } list[] = {{900, 128, 150}, {768, 512, 128}, {1500, 70, 300}, {40, 128, 128}, {800, 1, 5}};
    for (size_t n = 0; n < LS_COUNT_OF(list); n++) {
        int64_t tokens = list[n].tokens, in = list[n].in, out = list[n].out;
        Case dw = make_case(&floats, out, in, tokens, n % 2 ? 5 : 1, 0),
             dx = make_case(&floats, tokens, in, out, n % 2 ? 0 : 4, 0);
        bool with_sums = ls_gemm_sums_rows(&dw.g);
        float *g = narrow(dw.a, dw.a_count, FLOAT), *x = narrow(dw.b, dw.b_count, FLOAT),
              *w = narrow(dx.b, dx.b_count, FLOAT);
        float *first[2] = {0}, first_sums[512];
        int before = ls_threads();
        for (int threads = 0; threads < 4; threads++) {
            float *c[2] = {narrow(dw.c, dw.c_count, FLOAT), narrow(dx.c, dx.c_count, FLOAT)}, sums[512];
            dw.g.row_sums = with_sums ? sums : NULL;
            dw.g.a = dx.g.a = g, dx.g.lda = out, dw.g.b = x, dx.g.b = w, dw.g.c = c[0], dx.g.c = c[1];
            ls_set_threads(threads > 0 ? threads : before);
            if (threads == 0) {
                ASSERT_OK(ls_gemm(&dw.g));
                ASSERT_OK(ls_gemm(&dx.g));
                first[0] = c[0], first[1] = c[1];
                memcpy(first_sums, sums, sizeof sums);
                continue;
            }
            ASSERT_OK(ls_gemm_both(&dw.g, &dx.g));
            CU_ASSERT(memcmp(c[0], first[0], (size_t)dw.c_count * sizeof(float)) == 0);
            CU_ASSERT(memcmp(c[1], first[1], (size_t)dx.c_count * sizeof(float)) == 0);
            CU_ASSERT(!with_sums || memcmp(sums, first_sums, (size_t)out * sizeof(float)) == 0);
            ls_free(c[0]), ls_free(c[1]);
        }
        ls_set_threads(before);
        ls_free(first[0]), ls_free(first[1]);
        ls_free(g), ls_free(x), ls_free(w);
        free_case(&dw), free_case(&dx);
    }
}

static void test_bad_strides(void)
{
    float x[4] = {0};
    LsGemm g = {.m = 2, .n = 2, .k = 2, .a = x, .lda = 1, .b = x, .ldb = 2, .c = x, .ldc = 2};
    ASSERT_FAILS(ls_gemm(&g), LS_ERROR, "stride");
    g.type = LS_GEMM_FLOAT64;
    ASSERT_FAILS(ls_gemm(&g), LS_ERROR, "stride");
    int32_t offset[2] = {0, 1};
    g = (LsGemm){.m = 2, .n = 2, .k = 2, .a = x, .a_runs = {offset, 1, 1, 2, 2, 0}, .b = x, .ldb = 2, .c = x, .ldc = 2};
    ASSERT_FAILS(ls_gemm(&g), LS_ERROR, "runs");
}

/* All of it at every instruction set that the machine has: each has kernels of its own. */
int main(void)
{
    LsIsa best;
    if (ls_isa_choose(&best) != LS_OK)
        return 1;
    int failed = 0;
    for (int isa = (int)best; isa >= 0; isa--) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        fprintf(stderr, "%s\n", ls_isa_name((LsIsa)isa));
        failed |= harness_run(
            "gemm", (HarnessTest[]){{"every kernel against plain loops", test_values},
                                    {"extremes", test_extremes},
                                    {"same bits for any number of threads", test_bits_over_threads},
                                    {"same bits for any rows in a call", test_parts},
                                    {"operands made of runs", test_runs},
                                    {"inside a parallel region", test_inside_parallel},
                                    {"no allocation after the first call", test_no_allocation_after_first},
                                    {"bad strides", test_bad_strides},
                                    {"sums of rows", test_row_sums},
                                    {"two at once", test_both},
                                    {"large results, long rows of k", test_large},
                                    {has_digits() ? "rows of numbers too unlike for digits" : NULL, test_wide_rows},
                                    {0}});
        ls_check_restore_isa(forced);
    }
    return failed;
}
