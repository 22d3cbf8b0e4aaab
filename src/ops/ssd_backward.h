/* The gradients of one chunk of the state-space dual scan, some heads of it; a part of src/ops/ssd_scan.c.
 *
 * With L_tj the decay from step j to step t, h the state before the chunk, g = dL/dh after it, K_tj = L_tj (C_t . B_j)
 * (x_j . dy_t) for t >= j:
 *
 *     u_j = sum_t L_tj (C_t . B_j) dy_t + L_end,j g' B_j         dL/dx_j = delta_j u_j + D dy_j
 *     dL/dC_t = sum_j L_tj delta_j (x_j . dy_t) B_j + L_t h dy_t    dL/dB_j = sum_t L_tj delta_j (x_j . dy_t) C_t
 *                                                                             + L_end,j delta_j g x_j
 *     dL/d(log of decay of step s) = sum_{t >= s > j} delta_j K_tj + sum_{t >= s} e_t + sum_{j < s} f_j + L_end h . g
 *     e_t = L_t C_t' h dy_t,  f_j = L_end,j delta_j B_j' g x_j
 *
 * The sums over t >= s > j are formed as such: as differences of running sums they would lose their digits. */
#ifndef LS_OPS_SSD_BACKWARD_H
#define LS_OPS_SSD_BACKWARD_H

#include "ops/ssd_chunk.h"

/* Lines of a head's scratch: by step. */
typedef struct HeadSums {
    acc *direct;  /* dL/ddelta but for its part in the decay */
    acc *crossed; /* sum_{t >= s > j} delta_j K_tj */
    acc *started; /* e */
    acc *ended;   /* f */
    acc *running; /* sum_j delta_j K_tj of the steps j so far */
    acc *to_end;  /* decay to the chunk's end; later sums of f */
    acc *from_start;
} HeadSums;

static HeadSums sums_of(const Work *w)
{
    acc *line = w->r.line;
    return (HeadSums){line,
                      line + SSD_CHUNK,
                      line + 2 * SSD_CHUNK,
                      line + 3 * SSD_CHUNK,
                      line + 4 * SSD_CHUNK,
                      line + 5 * SSD_CHUNK,
                      line + 6 * SSD_CHUNK};
}

/* scores: (j, t) = x_j . dy_t for the t of panels from j's on; r.x and r.dy get the head's rows. */
static void score_head(const Work *w, int64_t i)
{
    const Shape *s = w->s;
    const int64_t steps = w->p.steps, rows = LS_ROUND_UP(steps, LS_TILE_ROWS), width = s->padded_size;
    const real *dy = w->dy + i * s->size;
    ls_pack(w->r.x, rows, width, w->x + i * s->size, s->row, steps, s->size);
    ls_pack(w->r.dy, rows, width, dy, s->channels, steps, s->size);
    for (int64_t t = 0; t < steps; t += LS_TILE_COLUMNS) {
        int64_t count = steps - t < LS_TILE_COLUMNS ? steps - t : LS_TILE_COLUMNS;
        ls_pack_transposed(w->r.turned, dy + t * s->channels, s->channels, count, s->size);
        ls_block_product(LS_TILE_PLAIN, false, LS_ROUND_UP(t + count, LS_TILE_ROWS), LS_TILE_COLUMNS, s->size, w->r.x,
                         width, w->r.turned, LS_TILE_COLUMNS, w->r.scores + t, SSD_CHUNK);
    }
}

/* weights: (j, t) = L_tj (C_t . B_j); K's sums; all += L_tj delta_j (x_j . dy_t). */
static void weigh_targets(const Work *w, const Line *l, const HeadSums *h)
{
    const int64_t steps = w->p.steps, end = LS_ROUND_UP(steps, LS_LANES);
    memset(h->running, 0, SSD_CHUNK * sizeof(acc));
    h->crossed[0] = 0;
    for (int64_t j = 0; j < steps; j++) {
        const int64_t row = j * SSD_CHUNK;
        const acc delta = l->delta[j];
        vacc direct = {0}, crossed = {0};
        for (int64_t t = j / LS_TILE_UNIT * LS_TILE_UNIT; t < end; t += LS_LANES) {
            vacc decay = decay_since(l, j, t);
            if (t < j)
                decay = (vacc)((vint)decay & lanes_from(t, j));
            vacc weight = decay * ls_load_acc(w->r.products + row + t), score = ls_load_acc(w->r.scores + row + t);
            vacc k = weight * score, sum = ls_load_acc(h->running + t) + k * delta;
            ls_store_acc(w->r.weights + row + t, weight);
            ls_store_acc(w->r.all + row + t, ls_load_acc(w->r.all + row + t) + decay * (score * delta));
            ls_store_acc(h->running + t, sum);
            direct += k;
            crossed += t > j ? sum : (vacc)((vint)sum & lanes_from(t, j + 1));
        }
        h->direct[j] = ls_hsum(direct);
        if (j + 1 < SSD_CHUNK)
            h->crossed[j + 1] = ls_hsum(crossed);
    }
}

/* dL/dx of the head's rows, and what of the rows enters the sums. Returns dL/dD. */
static acc finish_rows(const Work *w, int64_t i, const Line *l, const HeadSums *h)
{
    const Shape *s = w->s;
    const acc skip = ((const acc *)w->node->in[SKIP]->data)[w->p.head + i];
    real *dx = ls_wants(w->node, XBC) ? (real *)w->node->in[XBC]->grad + x_at(s, &w->p) + i * s->size : NULL;
    bool add = ls_adds(w->node, XBC);
    vacc skipped = {0};
    for (int64_t t = 0; t < w->p.steps; t++) {
        const acc *from = w->r.off + t * w->p.width + i * s->size, *to = w->r.off_end + (from - w->r.off);
        const acc after = h->to_end[t];
        vacc started = {0}, ended = {0};
        for (int64_t e = 0; e < s->size; e += LS_LANES) {
            int64_t left = s->size - e, at = t * s->padded_size + e;
            vacc x = ls_load_acc(w->r.x + at), dy = ls_load_acc(w->r.dy + at);
            vacc started_by = left >= LS_LANES ? ls_load_acc(from + e) : ls_load_acc_part(from + e, left);
            vacc ended_by = (left >= LS_LANES ? ls_load_acc(to + e) : ls_load_acc_part(to + e, left)) * after;
            started += dy * started_by;
            ended += x * ended_by;
            skipped += x * dy;
            vacc grad = (ls_load_acc(w->r.y + at) + ended_by) * l->delta[t] + dy * skip;
            real *out = dx ? dx + t * s->row + e : NULL;
            if (out)
                ls_store_upto(out, add ? ls_load_upto(out, left) + grad : grad, left);
        }
        h->started[t] = ls_hsum(started) * h->from_start[t];
        h->ended[t] = ls_hsum(ended);
    }
    return ls_hsum(skipped);
}

/* h . g of a head. */
static acc dot_states(const Work *w, int64_t i)
{
    const int64_t size = w->s->size;
    vacc sum = {0};
    for (int64_t n = 0; n < w->s->states; n++)
        for (int64_t e = 0; e < size; e += LS_LANES) {
            int64_t at = n * w->s->channels + i * size + e, left = size - e;
            sum += left >= LS_LANES ? ls_load_acc(w->start + at) * ls_load_acc(w->end + at)
                                    : ls_load_acc_part(w->start + at, left) * ls_load_acc_part(w->end + at, left);
        }
    return ls_hsum(sum);
}

/* The sums become the gradients of step sizes, and of A_log and the bias. */
static void finish_steps(const Work *w, int64_t i, const Line *l, const HeadSums *h, acc skipped)
{
    const Shape *s = w->s;
    const int64_t head = w->p.head + i, at = step_at(s, w->p.stream, head, w->p.chunk);
    const acc rate = -(acc)exp((double)((const acc *)w->node->in[A_LOG]->data)[head]);
    real *to = ls_wants(w->node, DELTA)
                   ? (real *)w->node->in[DELTA]->grad + w->p.first_row * s->delta_row + s->first + head
                   : NULL;
    acc whole = decay_whole(s, w->k, w->p.stream, head, w->p.chunk) * dot_states(w, i), after = 0, by_rate = 0,
        by_bias = 0;
    for (int64_t t = 0; t < w->p.steps; t++) /* f of the steps before */
        h->to_end[t] = t ? h->to_end[t - 1] + h->ended[t - 1] * l->delta[t - 1] : 0;
    for (int64_t t = w->p.steps - 1; t >= 0; t--) {
        after += h->started[t];
        acc log = h->crossed[t] + after + h->to_end[t] + whole;
        acc raw = (h->direct[t] + h->ended[t] + rate * log) * w->k->slope[at + t];
        by_rate += l->delta[t] * log;
        by_bias += raw;
        if (to) {
            real *x = to + t * s->delta_row;
            ls_store1(x, ls_adds(w->node, DELTA) ? ls_load1(x) + raw : raw);
        }
    }
    acc *sums = w->k->sums + ((w->p.stream * s->chunks + w->p.chunk) * s->heads + head) * SUMS;
    sums[SUM_A] = by_rate * rate;
    sums[SUM_SKIP] = skipped;
    sums[SUM_BIAS] = by_bias;
}

static void backward_head(const Work *w, int64_t i)
{
    const Shape *s = w->s;
    const int64_t steps = w->p.steps, width = s->padded_size;
    Line l = line_of(s, w->k, &w->p, w->p.head + i);
    HeadSums h = sums_of(w);
    score_head(w, i);
    weigh_targets(w, &l, &h);
    for (int64_t j = 0; j < steps; j += LS_TILE_ROWS) /* y = u but for the part by the end */
        ls_block_product(LS_TILE_PLAIN, false, LS_TILE_ROWS, width, steps - j, w->r.weights + j * SSD_CHUNK + j,
                         SSD_CHUNK, w->r.dy + j * width, width, w->r.y + j * width, width);
    weights_from_start(&l, h.from_start);
    for (int64_t t = 0; t < SSD_CHUNK; t += LS_LANES)
        ls_store_acc(h.to_end + t, decay_until(&l, t, SSD_CHUNK - 1));
    finish_steps(w, i, &l, &h, finish_rows(w, i, &l, &h));
}

/* Rows of gradients of B or C: to the gradient, or among the blocks' sums. */
static void store_rows(const Work *w, const acc *from, int64_t grad_at, int64_t column)
{
    const Shape *s = w->s;
    int64_t states = s->states, wide = 2 * s->groups * states;
    bool add = ls_adds(w->node, XBC);
    for (int64_t t = 0; t < w->p.steps; t++) {
        const acc *x = from + t * s->padded_states;
        real *grad = (real *)w->node->in[XBC]->grad + grad_at + t * s->row;
        if (s->blocks > 1)
            memcpy(w->k->dbc + (w->p.block * s->streams * s->steps + w->p.first_row + t) * wide + column, x,
                   (size_t)states * sizeof(acc));
        for (int64_t n = 0; s->blocks == 1 && n < states; n += LS_LANES) {
            vacc sum = ls_load_acc(x + n);
            ls_store_upto(grad + n, add ? ls_load_upto(grad + n, states - n) + sum : sum, states - n);
        }
    }
}

/* dL/dB and dL/dC: the parts by the states, and those by `all`. */
static LsStatus backward_rows(const Work *w, const real *start, int64_t start_stride, const real *end,
                              int64_t end_stride)
{
    const Shape *s = w->s;
    const int64_t steps = w->p.steps, rows = LS_ROUND_UP(steps, LS_TILE_ROWS), width = s->padded_states;
    Product product = {.m = steps,
                       .n = s->states,
                       .k = w->p.width,
                       .a = w->r.scaled,
                       .lda = w->p.width,
                       .b = start,
                       .ldb = start_stride,
                       .transpose_b = true,
                       .c = w->r.dc,
                       .ldc = width};
    memset(w->r.dc, 0, (size_t)(rows * width) * sizeof(acc));
    memset(w->r.db, 0, (size_t)(rows * width) * sizeof(acc));
    scale_rows(w, w->dy, s->channels, weights_from_start);
    LS_TRY(multiply(&product));
    product.b = end;
    product.ldb = end_stride;
    product.c = w->r.db;
    scale_rows(w, w->x, s->row, weights_to_end);
    LS_TRY(multiply(&product));
    ls_pack(w->r.b, rows, width, w->b, s->row, steps, s->states);
    ls_pack(w->r.c, rows, width, w->c, s->row, steps, s->states);
    for (int64_t t = 0; t < steps; t += LS_TILE_ROWS) {
        ls_block_product(LS_TILE_TRANSPOSED, true, LS_TILE_ROWS, width,
                         t + LS_TILE_ROWS < steps ? t + LS_TILE_ROWS : steps, w->r.all + t, SSD_CHUNK, w->r.b, width,
                         w->r.dc + t * width, width);
        ls_block_product(LS_TILE_PLAIN, true, LS_TILE_ROWS, width, steps - t, w->r.all + t * SSD_CHUNK + t, SSD_CHUNK,
                         w->r.c + t * width, width, w->r.db + t * width, width);
    }
    store_rows(w, w->r.db, b_at(s, &w->p), w->p.group * s->states);
    store_rows(w, w->r.dc, c_at(s, &w->p), (s->groups + w->p.group) * s->states);
    return LS_OK;
}

static LsStatus backward_piece(const Work *w)
{
    int64_t start_stride = 0, end_stride = 0;
    const real *start = operand_of(w, w->start, w->r.left, &start_stride),
               *end = operand_of(w, w->end, w->r.right, &end_stride);
    LS_TRY(multiply_rows(w, w->b, w->c));
    LS_TRY(apply_states(w, w->c, start, start_stride, w->r.off));
    LS_TRY(apply_states(w, w->b, end, end_stride, w->r.off_end));
    memset(w->r.all, 0, SSD_CHUNK * SSD_CHUNK * sizeof(acc));
    for (int64_t i = 0; i < w->p.heads; i++)
        backward_head(w, i);
    return ls_wants(w->node, XBC) ? backward_rows(w, start, start_stride, end, end_stride) : LS_OK;
}

#endif
