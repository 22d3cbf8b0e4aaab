/* One chunk of the state-space dual scan, some heads of it: products with what is packed; a part of
 * src/ops/ssd_scan.c. */
#ifndef LS_OPS_SSD_CHUNK_H
#define LS_OPS_SSD_CHUNK_H

#include "ops/ssd_steps.h"

/* One piece's operands. */
typedef struct Work {
    const LsNode *node;
    const Shape *s;
    const Scratch *k;
    Piece p;
    Room r;
    const real *x, *b, *c; /* from its first step on, s->row elements from step to step */
    const acc *start;      /* (N, width), s->channels from row to row: h before the chunk */
    const real *dy;        /* (steps, width), s->channels from step to step: dL/dout */
    const acc *end;        /* as start: dL/dh after the chunk */
} Work;

/* (k, m)' or (m, k) times (k, n) or (n, k)' into floats. */
typedef struct Product {
    int64_t m, n, k;
    const real *a, *b;
    int64_t lda, ldb;
    bool transpose_a, transpose_b;
    acc *c;
    int64_t ldc;
} Product;

static LsStatus multiply(const Product *p)
{
    return ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = p->m,
                             .n = p->n,
                             .k = p->k,
                             .a = p->a,
                             .lda = p->lda,
                             .transpose_a = p->transpose_a,
                             .b = p->b,
                             .ldb = p->ldb,
                             .transpose_b = p->transpose_b,
                             .c = p->c,
                             .ldc = p->ldc,
                             .c_float = true});
}

/* States as an operand: where they lie, or rounded into `room`. */
static const real *operand_of(const Work *w, const acc *states, real *room, int64_t *stride)
{
#ifdef LS_BUILD_BFLOAT16
    *stride = w->p.width;
    for (int64_t n = 0; n < w->s->states; n++)
        for (int64_t e = 0; e < w->p.width; e += LS_LANES) {
            const acc *from = states + n * w->s->channels + e;
            int64_t left = w->p.width - e;
            ls_store_upto(room + n * w->p.width + e,
                          left >= LS_LANES ? ls_load_acc(from) : ls_load_acc_part(from, left), left);
        }
    return room;
#else
    (void)room;
    *stride = w->s->channels;
    return states;
#endif
}

/* to: (steps, width) = rows of `from`, each head's times its weight of the step. */
static void scale_rows(const Work *w, const real *from, int64_t stride, void (*weigh)(const Line *, acc *))
{
    const int64_t size = w->s->size;
    for (int64_t i = 0; i < w->p.heads; i++) {
        Line l = line_of(w->s, w->k, &w->p, w->p.head + i);
        acc *weight = w->r.line;
        weigh(&l, weight);
        for (int64_t t = 0; t < w->p.steps; t++) {
            const real *x = from + t * stride + i * size;
            real *to = w->r.scaled + t * w->p.width + i * size;
            for (int64_t e = 0; e < size; e += LS_LANES)
                ls_store_upto(to + e, ls_load_upto(x + e, size - e) * weight[t], size - e);
        }
    }
}

/* The chunk's end state from a start of zero: sum_j B_j (decay after j) delta_j x_j', to `to`: (N, width). */
static LsStatus make_state(const Work *w, acc *to)
{
    scale_rows(w, w->x, w->s->row, weights_to_end);
    return multiply(&(Product){.m = w->s->states,
                               .n = w->p.width,
                               .k = w->p.steps,
                               .a = w->b,
                               .lda = w->s->row,
                               .transpose_a = true,
                               .b = w->r.scaled,
                               .ldb = w->p.width,
                               .c = to,
                               .ldc = w->s->channels});
}

/* The same backwards: the gradient of the chunk's start by its results, sum_t C_t (decay to t) dy_t'. */
static LsStatus make_end(const Work *w, acc *to)
{
    scale_rows(w, w->dy, w->s->channels, weights_from_start);
    return multiply(&(Product){.m = w->s->states,
                               .n = w->p.width,
                               .k = w->p.steps,
                               .a = w->c,
                               .lda = w->s->row,
                               .transpose_a = true,
                               .b = w->r.scaled,
                               .ldb = w->p.width,
                               .c = to,
                               .ldc = w->s->channels});
}

/* to: (steps, width) = rows of B or C times states. */
static LsStatus apply_states(const Work *w, const real *rows, const real *states, int64_t stride, acc *to)
{
    return multiply(&(Product){.m = w->p.steps,
                               .n = w->p.width,
                               .k = w->s->states,
                               .a = rows,
                               .lda = w->s->row,
                               .b = states,
                               .ldb = stride,
                               .c = to,
                               .ldc = w->p.width});
}

/* r.products: (chunk, chunk) = left right', zero beyond the chunk's steps. */
static LsStatus multiply_rows(const Work *w, const real *left, const real *right)
{
    if (w->p.steps < SSD_CHUNK)
        memset(w->r.products, 0, SSD_CHUNK * SSD_CHUNK * sizeof(acc));
    return multiply(&(Product){.m = w->p.steps,
                               .n = w->p.steps,
                               .k = w->s->states,
                               .a = left,
                               .lda = w->s->row,
                               .b = right,
                               .ldb = w->s->row,
                               .transpose_b = true,
                               .c = w->r.products,
                               .ldc = SSD_CHUNK});
}

/* Mask of the lanes of steps at.. that are at or before t, at or after j. */
LS_INLINE vint lanes_until(int64_t at, int64_t t)
{
    vint lane = {0};
    for (int64_t i = 0; i < LS_LANES; i++)
        lane[i] = (ls_int)i;
    return lane <= (ls_int)(t - at) - (vint){0};
}
LS_INLINE vint lanes_from(int64_t at, int64_t j)
{
    vint lane = {0};
    for (int64_t i = 0; i < LS_LANES; i++)
        lane[i] = (ls_int)i;
    return lane >= (ls_int)(j - at) - (vint){0};
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* weights: (t, j) = C_t . B_j (decay from j to t) delta_j for j <= t; 0 to the end of a tile's rows. */
static void weigh_sources(const Work *w, const Line *l)
{
    for (int64_t t = 0; t < w->p.steps; t++) {
        const acc *from = w->r.products + t * SSD_CHUNK;
        acc *to = w->r.weights + t * SSD_CHUNK;
        int64_t end = LS_ROUND_UP(t + 1, LS_TILE_UNIT);
        for (int64_t j = 0; j < end; j += LS_LANES) {
            vacc weight = ls_load_acc(from + j) * (decay_until(l, j, t) * ls_load_acc(l->delta + j));
            ls_store_acc(to + j, j + LS_LANES <= t + 1 ? weight : (vacc)((vint)weight & lanes_until(j, t)));
        }
    }
    for (int64_t t = w->p.steps; t < LS_ROUND_UP(w->p.steps, LS_TILE_ROWS); t++)
        memset(w->r.weights + t * SSD_CHUNK, 0, SSD_CHUNK * sizeof(acc));
}

/* Head number i of the piece: y_t = decay C_t h + D x_t + sum_j weights x_j. */
static void forward_head(const Work *w, int64_t i)
{
    const Shape *s = w->s;
    const int64_t rows = LS_ROUND_UP(w->p.steps, LS_TILE_ROWS), width = s->padded_size, at = i * s->size;
    Line l = line_of(s, w->k, &w->p, w->p.head + i);
    acc skip = ((const acc *)w->node->in[SKIP]->data)[w->p.head + i], *decay = w->r.line;
    ls_pack(w->r.x, rows, width, w->x + at, s->row, w->p.steps, s->size);
    weigh_sources(w, &l);
    weights_from_start(&l, decay);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t e = 0; e < width; e += LS_LANES) {
            const acc *off = w->r.off + t * w->p.width + at + e;
            int64_t left = t < w->p.steps ? s->size - e : 0;
            vacc from = left >= LS_LANES ? ls_load_acc(off) : ls_load_acc_part(off, left);
            ls_store_acc(w->r.y + t * width + e, from * decay[t] + ls_load_acc(w->r.x + t * width + e) * skip);
        }
    for (int64_t t = 0; t < rows; t += LS_TILE_ROWS)
        ls_block_product(LS_TILE_PLAIN, true, LS_TILE_ROWS, width, t + LS_TILE_ROWS < rows ? t + LS_TILE_ROWS : rows,
                         w->r.weights + t * SSD_CHUNK, SSD_CHUNK, w->r.x, width, w->r.y + t * width, width);
    real *out = (real *)w->node->out[0]->data + w->p.first_row * s->channels + w->p.at + at;
    for (int64_t t = 0; t < w->p.steps; t++)
        for (int64_t e = 0; e < s->size; e += LS_LANES)
            ls_store_upto(out + t * s->channels + e, ls_load_acc(w->r.y + t * width + e), s->size - e);
}

static LsStatus forward_piece(const Work *w)
{
    int64_t stride = 0;
    const real *start = operand_of(w, w->start, w->r.left, &stride);
    LS_TRY(multiply_rows(w, w->c, w->b));
    LS_TRY(apply_states(w, w->c, start, stride, w->r.off));
    for (int64_t i = 0; i < w->p.heads; i++)
        forward_head(w, i);
    return LS_OK;
}

#endif
