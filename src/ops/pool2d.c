/* Pooling over windows of a picture, channels last:
 *
 *     y[b, i, j, c] = max or mean over 0 <= k, l < size of x[b, i s + k - p, j s + l - p, c]
 *
 * Beyond the picture nothing is a maximum, and a mean counts zeros. Of equal maxima the first counts; NaN is larger
 * than any number. out[1] keeps where in its window each maximum was: k size + l. */
#include "base/pieces.h"
#include "ops/op_build.h"

enum {
    POOL_ROOM = 1024, /* numbers of a row of y that are made before they are stored */
    POOL_LANES = LS_VEC_BYTES / (int)sizeof(acc)
};

typedef struct Pool2d {
    LsPool kind;
    int64_t size, stride, padding;
} Pool2d;

/* The part of a window that is in the picture: its first pixel there, and entries from..to - 1 of the window. */
typedef struct Span {
    int64_t at, from, to;
} Span;

static Span span_of(const Pool2d *a, int64_t i, int64_t length)
{
    Span s = {.at = i * a->stride - a->padding, .to = a->size};
    s.from = s.at < 0 ? -s.at : 0;
    s.to = s.at + s.to > length ? length - s.at : s.to;
    return s;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    const Pool2d *a = node->attr;
    if (x->dtype != LS_REAL || x->rank != 4)
        return ls_node_fail(node, "pool2d: x %s must be (B, H, W, C)", ls_shape_text(x));
    if (a->kind != LS_POOL_MAX && a->kind != LS_POOL_MEAN)
        return ls_node_fail(node, "pool2d: a window has a maximum or a mean only");
    int64_t tall = x->dim[1] + 2 * a->padding - a->size, wide = x->dim[2] + 2 * a->padding - a->size;
    if (a->size < 1 || a->stride < 1 || a->padding < 0 || 2 * a->padding > a->size || tall < 0 || wide < 0 ||
        a->size > INT16_MAX)
        return ls_node_fail(node,
                            "pool2d: size %lld, stride %lld, padding %lld do not fit x %s: at least 1, 1 and 0, at "
                            "most half a window of padding, a window in the picture",
                            (long long)a->size, (long long)a->stride, (long long)a->padding, ls_shape_text(x));
    const int64_t dim[4] = {x->dim[0], tall / a->stride + 1, wide / a->stride + 1, x->dim[3]};
    if (!ls_node_output(node, LS_REAL, 4, dim))
        return LS_RESOURCE;
    bool keep = a->kind == LS_POOL_MAX && ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_I32, 4, dim) ? LS_OK : LS_RESOURCE;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* A stretch of a row of y: whole pixels and all channels, or one pixel and some. */
typedef struct Stretch {
    const real *x; /* of the picture's first pixel, from the first channel on */
    int64_t room;  /* numbers from there to the end of x */
    int64_t width, channels;
    int64_t first, pixels, count; /* pixels of the row; channels that are wanted of each */
    Span down;
} Stretch;

/* A vector from x on, of which n numbers are wanted and `room` exist: reading all is quicker. */
LS_INLINE vacc load_near(const real *x, int64_t n, int64_t room)
{
    return ls_load_upto(x, room >= LS_LANES ? room : n);
}

/* One window's vector of channels from c on: to best and where. */
LS_INLINE void pool_window(const Stretch *s, const real *x, Span across, int64_t n, int64_t room, const int64_t size,
                           vacc *best, vint *where, const LsPool kind)
{
    *best = ls_splat(kind == LS_POOL_MAX ? (acc)-INFINITY : 0);
    *where = (vint){0} + (ls_int)(s->down.from * size + across.from);
    for (int64_t k = s->down.from; k < s->down.to; k++)
        for (int64_t l = across.from; l < across.to; l++) {
            int64_t from = (k * s->width + l) * s->channels;
            vacc v = load_near(x + from, n, room - from);
            if (kind == LS_POOL_MEAN) {
                *best += v;
                continue;
            }
            vint more = (v > *best) | (v != v);
            *best = ls_select(more, v, *best);
            *where = (more & (ls_int)(k * size + l)) | (~more & *where);
        }
    if (kind == LS_POOL_MEAN)
        *best /= (acc)(size * size);
}

/* The windows of a stretch to y and `where`: vectors one after the other, whose lanes beyond the channels are written
 * again by the next. */
LS_INLINE void pool_stretch(const Pool2d *a, const Stretch *s, acc *y, ls_int *where, const LsPool kind)
{
    const Span whole = {.from = 0, .to = 2};
    for (int64_t j = 0; j < s->pixels; j++) {
        Span across = span_of(a, s->first + j, s->width);
        int64_t first = (s->down.at * s->width + across.at) * s->channels, last = s->width * s->channels + LS_LANES;
        for (int64_t c = 0; c < s->count; c += LS_LANES) {
            const real *x = s->x + first + c;
            int64_t room = s->room - first - c, n = s->count - c;
            vacc best;
            vint at;
            if (a->size == 2 && s->down.to - s->down.from == 2 && across.to - across.from == 2 &&
                room >= last + s->channels) { /* the usual window, unrolled */
                Stretch two = *s;
                two.down = whole;
                pool_window(&two, x, whole, n, INT64_MAX, 2, &best, &at, kind);
            } else
                pool_window(s, x, across, n, room, a->size, &best, &at, kind);
            ls_store_acc(y + j * s->count + c, best);
            if (kind == LS_POOL_MAX)
                memcpy(where + j * s->count + c, &at, sizeof at);
        }
    }
}

/* y: (stretch), at: where the maxima were, or NULL. */
static void pool_to(const Pool2d *a, const Stretch *s, real *y, int32_t *at)
{
    acc made[POOL_ROOM + POOL_LANES];
    ls_int where[POOL_ROOM + POOL_LANES];
    if (a->kind == LS_POOL_MAX)
        pool_stretch(a, s, made, where, LS_POOL_MAX);
    else
        pool_stretch(a, s, made, where, LS_POOL_MEAN);
    const int64_t count = s->pixels * s->count;
    for (int64_t i = 0; i < count; i += LS_LANES)
        ls_store_upto(y + i, ls_load_acc(made + i), count - i);
    for (int64_t i = 0; at && i < count; i++)
        at[i] = (int32_t)where[i];
}

static void pool_row(const Pool2d *a, const LsNode *node, int64_t b, int64_t i)
{
    const LsTensor *x = node->in[0], *y = node->out[0];
    const int64_t picture = x->dim[1] * x->dim[2] * x->dim[3], channels = x->dim[3],
                  to = (b * y->dim[1] + i) * y->dim[2] * channels,
                  pixels = channels < POOL_ROOM ? POOL_ROOM / channels : 1;
    for (int64_t j = 0; j < y->dim[2]; j += pixels)
        for (int64_t c = 0; c < channels; c += POOL_ROOM) {
            Stretch s = {.x = (const real *)x->data + b * picture + c,
                         .room = x->count - b * picture - c,
                         .width = x->dim[2],
                         .channels = channels,
                         .first = j,
                         .pixels = y->dim[2] - j < pixels ? y->dim[2] - j : pixels,
                         .count = channels - c < POOL_ROOM ? channels - c : POOL_ROOM,
                         .down = span_of(a, i, x->dim[1])};
            int64_t at = to + j * channels + c;
            pool_to(a, &s, (real *)y->data + at, node->outputs > 1 ? (int32_t *)node->out[1]->data + at : NULL);
        }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *y = node->out[0];
#pragma omp parallel for collapse(2) schedule(static) if (x->count > 16384)
    for (int64_t b = 0; b < y->dim[0]; b++)
        for (int64_t i = 0; i < y->dim[1]; i++)
            pool_row(node->attr, node, b, i);
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* dx of one picture: += what each window gives. */
static void max_backward(const Pool2d *a, const LsTensor *y, int64_t width, const real *dy, const int32_t *at, real *dx)
{
    int64_t channels = y->dim[3];
    for (int64_t i = 0; i < y->dim[1]; i++)
        for (int64_t j = 0; j < y->dim[2]; j++) {
            int64_t from = (i * y->dim[2] + j) * channels;
            real *to = dx + ((i * a->stride - a->padding) * width + j * a->stride - a->padding) * channels;
            for (int64_t c = 0; c < channels; c++) {
                int64_t entry = at[from + c];
                real *pixel = to + (entry / a->size * width + entry % a->size) * channels + c;
                ls_store1(pixel, ls_load1(pixel) + ls_load1(dy + from + c));
            }
        }
}

static void mean_backward(const Pool2d *a, const LsTensor *y, int64_t height, int64_t width, const real *dy, real *dx)
{
    int64_t channels = y->dim[3];
    const acc scale = 1 / (acc)(a->size * a->size);
    for (int64_t i = 0; i < y->dim[1]; i++)
        for (int64_t j = 0; j < y->dim[2]; j++) {
            Span down = span_of(a, i, height), across = span_of(a, j, width);
            const real *from = dy + (i * y->dim[2] + j) * channels;
            for (int64_t k = down.from; k < down.to; k++)
                for (int64_t l = across.from; l < across.to; l++) {
                    real *to = dx + ((down.at + k) * width + across.at + l) * channels;
#pragma omp simd
                    for (int64_t c = 0; c < channels; c++)
                        ls_store1(to + c, ls_load1(to + c) + ls_load1(from + c) * scale);
                }
        }
}

/* One picture of windows that do not overlap, from dy: (height, width, channels) and where its maxima were. */
typedef struct Apart {
    const Pool2d *pool;
    const real *dy;
    const int32_t *at; /* NULL: means */
    real *dx;          /* dx_height, dx_width */
    int64_t height, width, channels, dx_height, dx_width;
    bool add;
} Apart;

/* Where n maxima were; -1 beyond. */
LS_INLINE vint load_places(const int32_t *at, int64_t n)
{
    vint v;
#if !defined(LS_BUILD_FLOAT64)
    if (n >= LS_LANES) {
        memcpy(&v, at, sizeof v);
        return v;
    }
#endif
    for (int64_t i = 0; i < LS_LANES; i++)
        v[i] = i < n ? at[i] : -1;
    return v;
}

/* Which lanes are below n. */
LS_INLINE vint lanes_below(int64_t n)
{
    vint lane;
    for (int64_t i = 0; i < LS_LANES; i++)
        lane[i] = (ls_int)i;
    return lane < (ls_int)(n < LS_LANES ? n : LS_LANES);
}

/* A row of dx, and the row of y whose windows' row k it is. */
typedef struct ApartRow {
    const real *dy, *dy_end;
    const int32_t *at;
    real *dx, *dx_end;
    ls_int entry; /* of the row's first in a window */
    acc scale;
    vint tail; /* lanes of a pixel's last vector */
} ApartRow;

/* Pixels from j on, of one vector each: as long as whole windows are in the picture, and whole vectors. */
LS_INLINE int64_t apart_vectors(const Apart *p, const ApartRow *r, int64_t j, const bool max, const bool add)
{
    const int64_t n = p->channels, size = p->pool->size, step = p->pool->stride;
    const int64_t first = j * step - p->pool->padding, dy_room = r->dy_end - r->dy - j * n - LS_LANES,
                  row_room = p->dx_width - size - first,
                  dx_room = (r->dx_end - r->dx - LS_LANES) / n - size - first; /* rather one less than one more */
    if (first < 0 || dy_room < 0 || row_room < 0 || dx_room < 0)
        return 0;
    const int64_t count = ls_least(dy_room / n, ls_least(row_room, dx_room) / step) + 1;
    const real *dy = r->dy + j * n;
    const int32_t *at = max ? r->at + j * n : NULL;
    real *dx = r->dx + first * n;
    for (int64_t i = 0; i < count; i++, dy += n, at += max ? n : 0, dx += step * n) {
        vacc g = ls_load(dy) * r->scale;
        vint where = max ? load_places(at, LS_LANES) : (vint){0};
        for (int64_t l = 0; l < size; l++) {
            vint here = max ? r->tail & (where == r->entry + (ls_int)l) : r->tail;
            vacc v = ls_select(here, g, (vacc){0});
            ls_store(dx + l * n, add ? ls_load(dx + l * n) + v : v);
        }
    }
    return count;
}

/* Pixel j, whatever its window and number of channels. */
LS_INLINE void apart_pixel(const Apart *p, const ApartRow *r, int64_t j, const bool max, const bool add)
{
    const int64_t n = p->channels;
    const real *dy = r->dy + j * n;
    const Span across = span_of(p->pool, j, p->dx_width);
    for (int64_t l = across.from; l < across.to; l++)
        for (int64_t c = 0; c < n; c += LS_LANES) {
            real *to = r->dx + (across.at + l) * n + c;
            const int64_t wanted = n - c, have = r->dy_end - dy - c >= LS_LANES ? LS_LANES : wanted,
                          write = r->dx_end - to >= LS_LANES ? LS_LANES : wanted;
            vint here = wanted < LS_LANES ? r->tail : ~(vint){0};
            if (max)
                here &= load_places(r->at + j * n + c, have) == r->entry + (ls_int)l;
            vacc v = ls_select(here, ls_load_upto(dy + c, have) * r->scale, (vacc){0});
            ls_store_upto(to, add ? ls_load_upto(to, write) + v : v, write);
        }
}

/* Row k of the windows of row i of y, which is a row of dx. Numbers come in the order of memory, so that a vector's
 * lanes beyond the channels may be written too, as zeros (with add: as they were) that what comes later replaces; but
 * not beyond the picture. */
LS_INLINE void apart_row(const Apart *p, int64_t i, int64_t k, int64_t row, const bool max, const bool add)
{
    const int64_t n = p->channels, size = p->pool->size;
    const ApartRow r = {.dy = p->dy + i * p->width * n,
                        .dy_end = p->dy + p->height * p->width * n,
                        .at = max ? p->at + i * p->width * n : NULL,
                        .dx = p->dx + row * p->dx_width * n,
                        .dx_end = p->dx + p->dx_height * p->dx_width * n,
                        .entry = (ls_int)(k * size),
                        .scale = max ? 1 : 1 / (acc)(size * size),
                        .tail = lanes_below((n - 1) % LS_LANES + 1)};
    for (int64_t j = 0; j < p->width;) {
        int64_t done = n <= LS_LANES ? apart_vectors(p, &r, j, max, add) : 0;
        j += done;
        if (done == 0)
            apart_pixel(p, &r, j++, max, add);
    }
}

static void apart_backward(const Apart *p)
{
    for (int64_t i = 0; i < p->height; i++) {
        Span down = span_of(p->pool, i, p->dx_height);
        for (int64_t k = down.from; k < down.to; k++)
            if (p->at)
                p->add ? apart_row(p, i, k, down.at + k, true, true) : apart_row(p, i, k, down.at + k, true, false);
            else
                p->add ? apart_row(p, i, k, down.at + k, false, true) : apart_row(p, i, k, down.at + k, false, false);
    }
}

/* A thread has whole pictures: windows may overlap. */
static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *y = node->out[0];
    const Pool2d *a = node->attr;
    int64_t from_count = x->count / x->dim[0], to_count = y->count / y->dim[0];
#pragma omp parallel for schedule(static) if (x->count > 16384)
    for (int64_t b = 0; b < x->dim[0]; b++) {
        real *dx = (real *)x->grad + b * from_count;
        const real *dy = (const real *)y->grad + b * to_count;
        const int32_t *at = a->kind == LS_POOL_MAX ? (const int32_t *)node->out[1]->data + b * to_count : NULL;
        if (!ls_adds(node, 0))
            memset(dx, 0, (size_t)from_count * sizeof *dx);
        if (a->stride >= a->size)
            apart_backward(
                &(Apart){a, dy, at, dx, y->dim[1], y->dim[2], y->dim[3], x->dim[1], x->dim[2], ls_adds(node, 0)});
        else if (a->kind == LS_POOL_MAX)
            max_backward(a, y, x->dim[2], dy, at, dx);
        else
            mean_backward(a, y, x->dim[1], x->dim[2], dy, dx);
    }
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *y = node->out[0];
    const Pool2d *a = node->attr;
    for (int64_t n = 0; n < y->count; n++) {
        int64_t c = n % y->dim[3], j = n / y->dim[3] % y->dim[2], i = n / y->dim[3] / y->dim[2] % y->dim[1],
                b = n / (y->count / y->dim[0]);
        double sum = 0, best = -INFINITY;
        int64_t where = -1;
        for (int64_t entry = 0; entry < a->size * a->size; entry++) {
            int64_t row = i * a->stride - a->padding + entry / a->size,
                    column = j * a->stride - a->padding + entry % a->size;
            if (row < 0 || row >= x->dim[1] || column < 0 || column >= x->dim[2])
                continue;
            double v =
                (double)ls_load1((const real *)x->data + ((b * x->dim[1] + row) * x->dim[2] + column) * x->dim[3] + c);
            sum += v;
            if (where < 0 || v > best)
                best = v, where = entry;
        }
        if (node->outputs > 1)
            ((int32_t *)node->out[1]->data)[n] = (int32_t)where;
        ls_store1((real *)y->data + n, (acc)(a->kind == LS_POOL_MAX ? best : sum / (double)(a->size * a->size)));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    const Pool2d *a = node->attr;
    double x = (double)node->in[0]->count, y = (double)node->out[0]->count, flops = y * (double)(a->size * a->size);
    double kept = node->outputs > 1 ? y * sizeof(int32_t) : 0;
    *fwd = (LsCost){flops, (x + y) * sizeof(real) + kept};
    *bwd = (LsCost){a->kind == LS_POOL_MAX ? y : flops, (x + y) * sizeof(real) + kept};
}

/* ls_pool2d(g, x, kind, size, stride, padding): x: (B, H, W, C) -> (B, OH, OW, C), OH = (H + 2 padding - size) /
 * stride + 1 rounded down. kind: LS_POOL_MAX or LS_POOL_MEAN. padding: at most size / 2. */
LS_BUILDER LsTensor *ls_pool2d(LsGraph *g, LsTensor *x, LsPool kind, int64_t size, int64_t stride, int64_t padding)
{
    return ls_node(g, "pool2d", 1, &x, &(Pool2d){kind, size, stride, padding}, sizeof(Pool2d));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t x[4], size, stride, padding;
    } list[] = {{{1, 1, 1, 1}, 1, 1, 0},  {{2, 6, 8, 3}, 2, 2, 0}, {{3, 7, 5, 17}, 3, 2, 1}, {{1, 5, 6, 4}, 3, 1, 1},
                {{2, 4, 4, 70}, 2, 3, 1}, {{1, 9, 7, 2}, 4, 3, 2}, {{2, 9, 8, 21}, 2, 2, 1}, {{2, 12, 13, 6}, 2, 3, 0}};
    int shapes = (int)LS_COUNT_OF(list), n = which % shapes;
    if (which >= 2 * shapes)
        return false;
    ls_pool2d(g, ls_case_input(g, "x", LS_REAL, -2, 2, 4, list[n].x), which < shapes ? LS_POOL_MAX : LS_POOL_MEAN,
              list[n].size, list[n].stride, list[n].padding);
    return true;
}

LS_OP(pool2d) = {
    .name = "pool2d",
    .formula = "y = max or mean of windows of x",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_out = 2,
    .cases = cases,
    .bf16_ulps = 4, /* sums of the gradients of windows that overlap are rounded one by one */
};
