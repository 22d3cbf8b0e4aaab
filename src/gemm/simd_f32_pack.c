/* Packing for the float kernel: squares of LANES rows by LANES of k, transposed in registers where neighbours in memory
 * are neighbours in k, copied where they are rows. */
#include "gemm/simd_level.h"
#include "gemm/simd_f32.h"

#include "base/pieces.h"

enum {
    LANES = LS_VEC_BYTES >= 32 ? 8 : 4, /* of a square's side: wider ones take as many shuffles an element */
    LINE = LS_ALIGN / sizeof(float),    /* of k, in a cache line of floats */
    LINES = 16,                         /* lines of k that are copied together, panel after panel */
    GATHER_COLUMNS = 48                 /* of B whose runs are gathered at once: whole panels of any width */
};

typedef float Row __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef uint16_t Halves __attribute__((vector_size(LANES * sizeof(uint16_t))));

/* ---- Loads and stores -------------------------------------------------------------------------------------------- */

LS_INLINE Row widen(Halves h)
{
#if defined(__AVX2__)
    return (Row)((Lanes)_mm256_cvtepu16_epi32((__m128i)h) << 16);
#else
    return (Row)(__builtin_convertvector(h, Lanes) << 16);
#endif
}

LS_INLINE Row load(const void *x, int64_t at, const bool bfloat16)
{
    if (bfloat16) {
        Halves h;
        memcpy(&h, (const LsBfloat16 *)x + at, sizeof h);
        return widen(h);
    }
    Row v;
    memcpy(&v, (const float *)x + at, sizeof v);
    return v;
}

/* The first n < LANES elements, the others zero. */
LS_INLINE Row load_part(const void *x, int64_t at, int64_t n, const bool bfloat16)
{
    if (bfloat16) {
        Halves h = {0};
        memcpy(&h, (const LsBfloat16 *)x + at, (size_t)n * sizeof(LsBfloat16));
        return widen(h);
    }
    Row v = {0};
    memcpy(&v, (const float *)x + at, (size_t)n * sizeof(float));
    return v;
}

LS_INLINE Row load_upto(const void *x, int64_t at, int64_t n, const bool bfloat16)
{
    return n >= LANES ? load(x, at, bfloat16) : n > 0 ? load_part(x, at, n, bfloat16) : (Row){0};
}

/* x: (LANES, LANES) in registers, transposed. */
LS_INLINE void transpose(Row x[LANES])
{
#if defined(__AVX2__)
    Row a[LANES], b[LANES];
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 2) { /* within 128 bits: pairs of rows */
        a[i] = __builtin_shuffle(x[i], x[i + 1], (Lanes){0, 8, 1, 9, 4, 12, 5, 13});
        a[i + 1] = __builtin_shuffle(x[i], x[i + 1], (Lanes){2, 10, 3, 11, 6, 14, 7, 15});
    }
#pragma GCC unroll 2
    for (int i = 0; i < LANES; i += 4) /* fours of rows */
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = __builtin_shuffle(a[i + j], a[i + j + 2], (Lanes){0, 1, 8, 9, 4, 5, 12, 13});
            b[i + 2 * j + 1] = __builtin_shuffle(a[i + j], a[i + j + 2], (Lanes){2, 3, 10, 11, 6, 7, 14, 15});
        }
#pragma GCC unroll 4
    for (int i = 0; i < LANES / 2; i++) { /* and of 128 bits */
        x[i] = __builtin_shuffle(b[i], b[i + 4], (Lanes){0, 1, 2, 3, 8, 9, 10, 11});
        x[i + 4] = __builtin_shuffle(b[i], b[i + 4], (Lanes){4, 5, 6, 7, 12, 13, 14, 15});
    }
#else
    Row a = __builtin_shuffle(x[0], x[1], (Lanes){0, 4, 1, 5}), b = __builtin_shuffle(x[0], x[1], (Lanes){2, 6, 3, 7});
    Row c = __builtin_shuffle(x[2], x[3], (Lanes){0, 4, 1, 5}), d = __builtin_shuffle(x[2], x[3], (Lanes){2, 6, 3, 7});
    x[0] = __builtin_shuffle(a, c, (Lanes){0, 1, 4, 5}), x[1] = __builtin_shuffle(a, c, (Lanes){2, 3, 6, 7});
    x[2] = __builtin_shuffle(b, d, (Lanes){0, 1, 4, 5}), x[3] = __builtin_shuffle(b, d, (Lanes){2, 3, 6, 7});
#endif
}

/* ---- One panel --------------------------------------------------------------------------------------------------- */

/* One square: x: (side rows, up to LANES of k) -> out: (LANES of k, side), `width` from k to k. */
LS_INLINE void pack_square(const void *x, int64_t stride, int64_t rows, int64_t depth, const bool bfloat16,
                           const int side, const int width, float *out)
{
    Row square[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        square[i] = i < side && i < rows ? load_upto(x, i * stride, depth, bfloat16) : (Row){0};
    transpose(square);
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        if (i < depth)
            memcpy(out + i * width, &square[i], (size_t)side * sizeof(float));
}

/* x: (rows, depth) -> out: (depth, width); `next`: what lies one panel further is asked for. A cache line of a row
 * is used up before the next rows are read: rows often lie 4 KiB apart, where all of them share a few lines of the
 * first-level cache. */
LS_INLINE void pack_rows(const char *x, int64_t stride, int64_t rows, int64_t depth, const bool bfloat16,
                         const int width, bool next, float *out)
{
    const int64_t bytes = bfloat16 ? 2 : 4;
    for (int64_t p = 0; p < depth; p += LINE)
#pragma GCC unroll 12
        for (int r = 0; r < width; r += LANES) {
            const int side = width - r < LANES ? width - r : LANES;
            const char *at = x + (r * stride + p) * bytes;
            if (next)
#pragma GCC unroll 8
                for (int i = 0; i < side; i++)
                    __builtin_prefetch(at + (i + width) * stride * bytes, 0, 2);
#pragma GCC unroll 4
            for (int q = 0; q < LINE; q += LANES)
                if (p + q < depth)
                    pack_square(at + q * bytes, stride, rows - r, depth - p - q, bfloat16, side, width,
                                out + (p + q) * width + r);
        }
}

/* x: (lines, rows) -> out: (lines, width), whose sums over the lines are added to `sums` if it is not NULL. */
LS_INLINE void copy_lines(const void *x, int64_t stride, int64_t rows, int64_t lines, const bool bfloat16,
                          const int width, float *out, float *sums)
{
#pragma GCC unroll 12
    for (int r = 0; r < width; r += LANES) {
        const int side = width - r < LANES ? width - r : LANES;
        const int64_t have = rows - r;
        Row sum = {0};
        if (have >= LANES)
            for (int64_t p = 0; p < lines; p++) {
                Row v = load(x, p * stride + r, bfloat16);
                __builtin_prefetch((const char *)x + ((p + LINES) * stride + r) * (bfloat16 ? 2 : 4), 0, 2);
                memcpy(out + p * width + r, &v, (size_t)side * sizeof(float));
                sum += v;
            }
        else
            for (int64_t p = 0; p < lines; p++) {
                Row v = load_upto(x, p * stride + r, have, bfloat16);
                memcpy(out + p * width + r, &v, (size_t)side * sizeof(float));
                sum += v;
            }
        for (int i = 0; sums && i < side && i < have; i++)
            sums[r + i] += sum[i];
    }
}

/* The same for whole vectors, as panels of B are: `last` elements of the last one exist. */
LS_INLINE void copy_vectors(const void *x, int64_t stride, int64_t last, int64_t lines, const bool bfloat16,
                            const int vectors, float *out)
{
    const int64_t bytes = bfloat16 ? 2 : 4;
    for (int64_t p = 0; p < lines; p++, out += vectors * LS_LANES) {
        const char *line = (const char *)x + p * stride * bytes;
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            const int64_t n = v == vectors - 1 ? last : LS_LANES;
            const char *at = line + v * LS_LANES * bytes;
            vacc value = {0};
            if (bfloat16) {
                ls_halves h = {0};
                if (n == LS_LANES)
                    memcpy(&h, at, sizeof h);
                else
                    memcpy(&h, at, (size_t)n * sizeof(LsBfloat16));
                value = ls_widen(h);
            } else if (n == LS_LANES)
                memcpy(&value, at, sizeof value);
            else
                memcpy(&value, at, (size_t)n * sizeof(float));
            *(vacc *)(void *)(out + v * LS_LANES) = value;
            __builtin_prefetch(at + LINES * stride * bytes, 0, 2);
        }
    }
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* Panels of `width` rows, the last of fewer rows. x: of the block's first element. */
LS_INLINE void pack_block(const LsSimdSource *s, const void *x, int64_t stride, int64_t rows, int64_t depth,
                          const bool bfloat16, const int width, float *out, int64_t panel, float *sums)
{
    const int64_t bytes = bfloat16 ? 2 : 4;
    if (s->along_k) {
        for (int64_t i = 0; i < rows; i += width, out += panel)
            pack_rows((const char *)x + i * stride * bytes, stride, rows - i, depth, bfloat16, width, i + width < rows,
                      out);
        return;
    }
    for (int64_t p = 0; p < depth; p += LINES)
        for (int64_t i = 0; i < rows; i += width) {
            const void *at = (const char *)x + (p * stride + i) * bytes;
            float *to = out + i / width * panel + p * width;
            const int64_t lines = ls_least(LINES, depth - p);
            if (width % LS_LANES == 0 && rows - i > width - LS_LANES && !sums)
                copy_vectors(at, stride, ls_least(rows - i - (width - LS_LANES), LS_LANES), lines, bfloat16,
                             width / (int)LS_LANES, to);
            else
                copy_lines(at, stride, rows - i, lines, bfloat16, width, to, sums ? sums + i : NULL);
        }
}

/* The widths of panels, as constants. */
static void pack_panels(const LsSimdSource *s, const void *x, int64_t rows, int64_t depth, int64_t width, float *out,
                        float *sums)
{
    const int64_t panel = depth * width;
#define PACK(of)                                                                                                       \
    (s->bfloat16 ? pack_block(s, x, s->stride, rows, depth, true, of, out, panel, sums)                                \
                 : pack_block(s, x, s->stride, rows, depth, false, of, out, panel, sums))
    if (width == LS_SIMD_ROWS)
        PACK(LS_SIMD_ROWS);
    else if (width == LS_SIMD_COLUMNS)
        PACK(LS_SIMD_COLUMNS);
    else if (width == 2 * LS_LANES)
        PACK(2 * (int)LS_LANES);
    else
        PACK((int)LS_LANES);
#undef PACK
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* n numbers as floats, or zeros where x is NULL. */
LS_INLINE void copy_run(const char *x, int64_t n, const bool bfloat16, float *out)
{
    const int64_t bytes = bfloat16 ? 2 : 4;
    int64_t i = 0;
    if (!x) {
        for (; i < n; i++)
            out[i] = 0;
        return;
    }
    if (n < LANES) {
        for (; i < n; i++)
            out[i] = bfloat16 ? ls_bfloat16_to_float(((const LsBfloat16 *)(const void *)x)[i])
                              : ((const float *)(const void *)x)[i];
        return;
    }
    for (; i + LANES <= n; i += LANES) {
        Row v = load(x + i * bytes, 0, bfloat16);
        memcpy(out + i, &v, sizeof v);
    }
    if (i < n) { /* the last vector overlaps the one before */
        Row v = load(x + (n - LANES) * bytes, 0, bfloat16);
        memcpy(out + n - LANES, &v, sizeof v);
    }
}

LS_INLINE void gather(const LsGemmRuns *r, const void *from, int64_t line, int64_t lines, int64_t column,
                      int64_t columns, const bool bfloat16, float *out, int64_t stride)
{
    const int64_t bytes = bfloat16 ? 2 : 4;
    int64_t at = r->first + line, row = at % r->rows;
    const char *data = (const char *)from + at / r->rows * r->stride * bytes;
    for (int64_t i = 0; i < lines; i++, out += stride) {
        int64_t begin = column % r->length;
        float *to = out;
        for (int64_t t = column / r->length, left = columns, n; left > 0; t++, left -= n, to += n, begin = 0) {
            n = ls_least(left, r->length - begin);
            int64_t offset = r->offset[t * r->rows + row];
            copy_run(offset < 0 ? NULL : data + (offset + begin) * bytes, n, bfloat16, to);
        }
        if (++row == r->rows) {
            row = 0;
            data += r->stride * bytes;
        }
    }
}

void ls_simd_gather(const LsGemmRuns *runs, const void *data, bool bfloat16, int64_t line, int64_t lines,
                    int64_t column, int64_t columns, float *out, int64_t stride)
{
    if (bfloat16)
        gather(runs, data, line, lines, column, columns, true, out, stride);
    else
        gather(runs, data, line, lines, column, columns, false, out, stride);
}

/* Of n lines of one group, whose first is at `data`. */
LS_INLINE void find_lines(const int32_t *offset, int64_t n, const char *data, const float *zeros, const float **out)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const uintptr_t at = (uintptr_t)data + (uintptr_t)((int64_t)offset[i] * (int64_t)sizeof(float));
        out[i] = (const float *)(offset[i] < 0 ? (uintptr_t)zeros : at);
    }
}

void ls_simd_find_runs(const LsSimdSource *s, int64_t line, int64_t lines, int64_t run, int64_t runs, int64_t begin,
                       const float *zeros, const float **out)
{
    const LsGemmRuns *r = s->runs;
    int64_t at = r->first + line, row = at % r->rows;
    const char *data = (const char *)s->data + at / r->rows * r->stride * (int64_t)sizeof(float);
    for (int64_t i = 0, n; i < lines; i += n) {
        n = ls_least(lines - i, r->rows - row);
        if (s->along_k) /* to the end of a tile */
            n = ls_least(n, LS_SIMD_ROWS - i % LS_SIMD_ROWS);
        const float **to = s->along_k ? out + i / LS_SIMD_ROWS * runs * LS_SIMD_ROWS + i % LS_SIMD_ROWS : out + i;
        for (int64_t t = 0; t < runs; t++, to += s->along_k ? LS_SIMD_ROWS : lines) {
            const char *from = data + (t == 0 && s->along_k ? begin * (int64_t)sizeof(float) : 0);
            if (n == LS_SIMD_ROWS)
                find_lines(r->offset + (run + t) * r->rows + row, LS_SIMD_ROWS, from, zeros, to);
            else
                find_lines(r->offset + (run + t) * r->rows + row, n, from, zeros, to);
        }
        row += n;
        if (row == r->rows) {
            row = 0;
            data += r->stride * (int64_t)sizeof(float);
        }
    }
}

/* B of runs, each across k, through a copy. */
static void pack_runs(const LsSimdSource *s, int64_t row, int64_t rows, int64_t from, int64_t depth, int64_t width,
                      float *out)
{
    float copy[GATHER_COLUMNS * LS_SIMD_DEPTH];
    for (int64_t i = 0, here; i < rows; i += here, out += GATHER_COLUMNS * depth) {
        here = ls_least(GATHER_COLUMNS, rows - i);
        ls_simd_gather(s->runs, s->data, s->bfloat16, from, depth, row + i, here, copy, here);
        LsSimdSource copied = {.stride = here};
        pack_panels(&copied, copy, here, depth, width, out, NULL);
    }
}

static void pack(const LsSimdSource *s, int64_t row, int64_t rows, int64_t from, int64_t depth, int64_t width,
                 float *out, float *sums)
{
    int64_t at = s->along_k ? row * s->stride + from : from * s->stride + row;
    if (s->runs)
        pack_runs(s, row, rows, from, depth, width, out);
    else
        pack_panels(s, (const char *)s->data + at * (s->bfloat16 ? 2 : 4), rows, depth, width, out, sums);
}

void ls_simd_pack_a(const LsSimdSource *s, int64_t row, int64_t rows, int64_t from, int64_t depth, float *out,
                    float *sums, bool add_sums)
{
    for (int64_t i = 0; sums && !add_sums && i < rows; i++)
        sums[i] = 0;
    pack(s, row, rows, from, depth, LS_SIMD_ROWS, out, sums);
}

void ls_simd_pack_b(const LsSimdSource *s, int64_t column, int64_t columns, int64_t from, int64_t depth, float *out)
{
    const int64_t whole = columns / LS_SIMD_COLUMNS * LS_SIMD_COLUMNS, rest = columns - whole;
    pack(s, column, whole, from, depth, LS_SIMD_COLUMNS, out, NULL);
    pack(s, column + whole, rest, from, depth, ls_round_up(rest, LS_LANES), out + whole * depth, NULL);
}
