/* The register tiles of panels: AMX, and dot products of pairs; and what becomes of their sums. */
#include "gemm/bf16.h"

#include "gemm/amx.h"

#ifdef LS_HAS_AMX

/* What comes next, a part of it in every step: all at once would fill the queue of misses and wait. */
static inline void fetch(const LsPanelProduct *p, int64_t step)
{
    for (int64_t i = 0; i < p->lines; i++)
        __builtin_prefetch(p->next + (step * p->lines + i) * 64, 0, 2);
    if (!p->target || p->target->nontemporal)
        return;
    const LsPanelTarget *t = p->target;
    int64_t each = (t->rows + p->steps - 1) / p->steps, bytes = t->to_float ? 4 : 2;
    for (int64_t i = step * each; i < (step + 1) * each && i < t->rows; i++) {
        const char *row = (const char *)t->to + i * t->to_stride * bytes;
        __builtin_prefetch(row, 1);
        __builtin_prefetch(row + t->columns * bytes - 1, 1);
    }
}

/* ---- AMX: four tiles of sums, two of A, two of B ----------------------------------------------------------------- */

/* For each tile register by its number: sums 0 to 3, tiles of A 4 and 5, of B 6 and 7. */
#define IF_ROWS(what)                                                                                                  \
    if (row_tiles > 1)                                                                                                 \
    what
#define IF_COLUMNS(what)                                                                                               \
    if (column_tiles > 1)                                                                                              \
    what
#define IF_BOTH(what)                                                                                                  \
    if (row_tiles > 1 && column_tiles > 1)                                                                             \
    what
/* A is read once for each panel of B and passes through the first-level cache without staying: that is B's. */
#define LOAD_A(part)                                                                                                   \
    _tile_stream_loadd(4, a + (part)*LS_STEP_BYTES, 64);                                                               \
    IF_ROWS(_tile_stream_loadd(5, a + (part)*LS_STEP_BYTES + LS_TILE_BYTES, 64))
#define LOAD_B(part)                                                                                                   \
    _tile_loadd(6, b + (part)*LS_STEP_BYTES, 64);                                                                      \
    IF_COLUMNS(_tile_loadd(7, b + (part)*LS_STEP_BYTES + LS_TILE_BYTES, 64))
#define MULTIPLY()                                                                                                     \
    _tile_dpbf16ps(0, 4, 6);                                                                                           \
    IF_COLUMNS(_tile_dpbf16ps(1, 4, 7));                                                                               \
    IF_ROWS(_tile_dpbf16ps(2, 5, 6));                                                                                  \
    IF_BOTH(_tile_dpbf16ps(3, 5, 7))

static inline __attribute__((always_inline)) void amx_tiles(const LsPanelProduct *p, const int parts,
                                                            const int row_tiles, const int column_tiles)
{
    const uint8_t *a = p->a, *b = p->b;
    float *sum = p->sum;
    const int64_t row_bytes = LS_PANEL * sizeof(float);
    if (p->add) {
        _tile_loadd(0, sum, row_bytes);
        IF_COLUMNS(_tile_loadd(1, sum + LS_TILE, row_bytes));
        IF_ROWS(_tile_loadd(2, sum + LS_TILE * LS_PANEL, row_bytes));
        IF_BOTH(_tile_loadd(3, sum + LS_TILE * LS_PANEL + LS_TILE, row_bytes));
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t step = 0; step < p->steps; step++, a += parts * LS_STEP_BYTES, b += parts * LS_STEP_BYTES) {
        fetch(p, step);
        if (parts > 1) { /* in an order that loads one operand at a time */
            LOAD_A(0);
            LOAD_B(2);
            MULTIPLY();
            LOAD_B(1);
            MULTIPLY();
            LOAD_A(1);
            MULTIPLY();
            LOAD_B(0);
            MULTIPLY();
            LOAD_A(2);
            MULTIPLY();
            LOAD_A(0);
            MULTIPLY();
        } else {
            LOAD_A(0);
            LOAD_B(0);
            MULTIPLY();
        }
    }
    _tile_stored(0, sum, row_bytes);
    IF_COLUMNS(_tile_stored(1, sum + LS_TILE, row_bytes));
    IF_ROWS(_tile_stored(2, sum + LS_TILE * LS_PANEL, row_bytes));
    IF_BOTH(_tile_stored(3, sum + LS_TILE * LS_PANEL + LS_TILE, row_bytes));
}

static void amx_multiply(const LsPanelProduct *p)
{
    if (p->row_tiles == 2 && p->column_tiles == 2) {
        if (p->parts == 1)
            amx_tiles(p, 1, 2, 2);
        else
            amx_tiles(p, LS_FLOAT_PARTS, 2, 2);
    } else if (p->row_tiles == 2) {
        amx_tiles(p, p->parts, 2, 1);
    } else if (p->column_tiles == 2) {
        amx_tiles(p, p->parts, 1, 2);
    } else {
        amx_tiles(p, p->parts, 1, 1);
    }
}

/* ---- Dot products of pairs: 8 rows by 2 vectors of sums ---------------------------------------------------------- */

enum { DOT_ROWS = 8 };

/* The parts of a step that meet, the smallest products first. */
static const struct {
    int a, b;
} part_pairs[] = {{2, 0}, {1, 1}, {0, 2}, {1, 0}, {0, 1}, {0, 0}};

static inline __attribute__((always_inline)) void dot_step(const uint8_t *a, const uint8_t *b, const int column_tiles,
                                                           __m512 s[DOT_ROWS][2])
{
    for (int pair = 0; pair < LS_STEP / 2; pair++) {
        __m512bh near = (__m512bh)_mm512_load_si512(b + pair * 64);
        __m512bh far = (__m512bh)_mm512_load_si512(b + (column_tiles - 1) * LS_TILE_BYTES + pair * 64);
#pragma GCC unroll 8
        for (int i = 0; i < DOT_ROWS; i++) {
            __m512bh one = (__m512bh)_mm512_set1_epi32(((const int *)(const void *)a)[i * 16 + pair]);
            s[i][0] = _mm512_dpbf16_ps(s[i][0], one, near);
            if (column_tiles > 1)
                s[i][1] = _mm512_dpbf16_ps(s[i][1], one, far);
        }
    }
}

static inline __attribute__((always_inline)) void dot_rows(const uint8_t *a, const uint8_t *b, int64_t steps, int parts,
                                                           const int column_tiles, bool add, float *sum)
{
    __m512 s[DOT_ROWS][2];
#pragma GCC unroll 8
    for (int i = 0; i < DOT_ROWS; i++) {
        s[i][0] = add ? _mm512_load_ps(sum + i * LS_PANEL) : _mm512_setzero_ps();
        s[i][1] = add && column_tiles > 1 ? _mm512_load_ps(sum + i * LS_PANEL + LS_TILE) : _mm512_setzero_ps();
    }
    for (int64_t step = 0; step < steps; step++, a += parts * LS_STEP_BYTES, b += parts * LS_STEP_BYTES)
        for (size_t p = parts == 1 ? LS_COUNT_OF(part_pairs) - 1 : 0; p < LS_COUNT_OF(part_pairs); p++)
            dot_step(a + part_pairs[p].a * LS_STEP_BYTES, b + part_pairs[p].b * LS_STEP_BYTES, column_tiles, s);
#pragma GCC unroll 8
    for (int i = 0; i < DOT_ROWS; i++) {
        _mm512_store_ps(sum + i * LS_PANEL, s[i][0]);
        if (column_tiles > 1)
            _mm512_store_ps(sum + i * LS_PANEL + LS_TILE, s[i][1]);
    }
}

static void dot_multiply(const LsPanelProduct *p)
{
    for (int64_t step = 0; step < p->steps; step++)
        fetch(p, step);
    for (int tile = 0; tile < p->row_tiles; tile++)
        for (int i = 0; i < LS_TILE; i += DOT_ROWS) {
            const uint8_t *x = p->a + tile * LS_TILE_BYTES + i * 64;
            float *to = p->sum + (tile * LS_TILE + i) * LS_PANEL;
            if (p->column_tiles > 1)
                dot_rows(x, p->b, p->steps, p->parts, 2, p->add, to);
            else
                dot_rows(x, p->b, p->steps, p->parts, 1, p->add, to);
        }
}

/* ---- C ----------------------------------------------------------------------------------------------------------- */

static inline __mmask16 first_lanes(int64_t count)
{
    return count >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1);
}

static inline __m512 load(const void *x, int64_t at, bool is_float, __mmask16 mask)
{
    if (is_float)
        return _mm512_maskz_loadu_ps(mask, (const float *)x + at);
    __m256i half = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)x + at);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* A whole line of bfloat16 for each row. */
static void store_lines_nontemporal(const LsPanelTarget *t, const float *sum)
{
    __m512 bias[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int v = 0; v < 2 && t->bias; v++)
        bias[v] = load(t->bias, v * 16, false, 0xffff);
    for (int64_t i = 0; i < t->rows; i++) {
        __m512 x = _mm512_load_ps(sum + i * LS_PANEL), y = _mm512_load_ps(sum + i * LS_PANEL + 16);
        if (t->from) {
            x = _mm512_add_ps(_mm512_loadu_ps(t->from + i * t->from_stride), x);
            y = _mm512_add_ps(_mm512_loadu_ps(t->from + i * t->from_stride + 16), y);
        }
        if (t->bias) {
            x = _mm512_add_ps(x, bias[0]);
            y = _mm512_add_ps(y, bias[1]);
        }
        _mm512_stream_si512((__m512i *)((uint16_t *)t->to + i * t->to_stride), (__m512i)_mm512_cvtne2ps_pbh(y, x));
    }
}

void ls_panel_store(const LsPanelTarget *t, const float *sum)
{
    if (t->nontemporal && !t->to_float) {
        store_lines_nontemporal(t, sum);
        return;
    }
    for (int64_t v = 0; v < t->columns; v += 16) {
        __mmask16 mask = first_lanes(t->columns - v);
        __m512 bias = t->bias ? load(t->bias, v, false, mask) : _mm512_setzero_ps();
        for (int64_t i = 0; i < t->rows; i++) {
            int64_t at = i * t->to_stride + v;
            __m512 x = _mm512_load_ps(sum + i * LS_PANEL + v);
            if (t->from)
                x = _mm512_add_ps(load(t->from, i * t->from_stride + v, true, mask), x);
            if (t->add)
                x = _mm512_add_ps(load(t->to, at, t->to_float, mask), x);
            if (t->bias)
                x = _mm512_add_ps(x, bias);
            if (t->nontemporal)
                _mm512_stream_ps((float *)t->to + at, x);
            else if (t->to_float)
                _mm512_mask_storeu_ps((float *)t->to + at, mask, x);
            else
                _mm256_mask_storeu_epi16((uint16_t *)t->to + at, mask, (__m256i)_mm512_cvtneps_pbh(x));
        }
    }
}

void ls_store_fence(void) { _mm_sfence(); }

const LsPanelKernel *ls_panel_kernel(void)
{
    static const LsPanelKernel amx = {ls_tiles_begin, ls_tiles_end, amx_multiply}, dot = {NULL, NULL, dot_multiply};
    LsIsa isa = ls_isa();
    return isa >= LS_ISA_V4_AMX ? &amx : isa >= LS_ISA_V4_BF16 ? &dot : NULL;
}

const LsPanelKernel *ls_panel_tiles(void) { return ls_isa() >= LS_ISA_V4_AMX ? ls_panel_kernel() : NULL; }

#else

const LsPanelKernel *ls_panel_kernel(void) { return NULL; }
const LsPanelKernel *ls_panel_tiles(void) { return NULL; }
void ls_panel_store(const LsPanelTarget *target, const float *sum) { (void)target, (void)sum; }
void ls_store_fence(void) {}

#endif
