/* The recurrence of RWKV's later versions: each head of N channels has a state S: (N, N), values by keys, that decays
 * by key.
 *
 *     RWKV-7 (Peng et al. 2025, "RWKV-7 Goose with expressive dynamic state evolution", equations 17 and 18):
 *     S_t = S_{t-1} diag(d_t) + (S_{t-1} a_t) b_t^T + v_t k_t^T,   y_t = S_t r_t,   d = exp(-e^-1/2 sigmoid(w))
 *
 *     RWKV-5 and -6 (Peng et al. 2024, "Eagle and Finch", equations 18 and 19; the share of the step's own token is
 *     head_bonus): S_t = S_{t-1} diag(d_t) + v_t k_t^T,   y_t = S_{t-1} r_t,   d = exp(-e^w)
 *
 * Streams and heads are computed at once, steps one after the other. out[1] keeps S at the start of every chunk of
 * HEAD_CHUNK steps; backward recomputes inside. Arithmetic of a step: wkv_heads_block.h. */
#include "ops/op_build.h"
#include "ops/ranks_in_turn.h"
#include "ops/scratch.h"
#include "ops/wkv_heads_block.h"

#include "base/pieces.h"

#include <omp.h>

enum { R, W, K, V, A, B, STATE };

enum { HEAD_CHUNK = 32, LARGEST_HEAD = 256 };

#define ROOT_E ((acc)0.60653065971263342) /* e^-1/2 */

typedef struct HeadsAttr {
    int64_t heads;
} HeadsAttr;

typedef struct Heads {
    int64_t streams, steps, channels, heads, size; /* C = heads N */
    int64_t chunks, blocks, keys, values;          /* N rounded up: for vectors of keys, for blocks of values */
    bool delta;
} Heads;

static Heads heads_of(const LsNode *node)
{
    const LsTensor *r = node->in[R];
    Heads h = {.streams = r->dim[0], .steps = r->dim[1], .channels = r->dim[2], .delta = node->in[A] != NULL};
    h.heads = ((const HeadsAttr *)node->attr)->heads;
    h.size = h.channels / h.heads;
    h.chunks = ls_ceil_div(h.steps, HEAD_CHUNK);
    h.blocks = ls_ceil_div(h.size, HEAD_WIDTH);
    h.keys = ls_round_up(h.size, LS_LANES);
    h.values = h.blocks * HEAD_WIDTH;
    return h;
}

/* A thread's room to work in. */
typedef struct Room {
    acc *key[SUMS];       /* (chunk, keys) each: the decay, k, r, a, b */
    acc *v, *dy, *y, *sa; /* (chunk, values) */
    acc *s, *g;           /* (blocks, N, HEAD_WIDTH): S, and dL/dS */
    acc *grad[SUMS], *dv,
        *steps; /* backward: as key, as v; S before and after every step: (chunk + 1, N, HEAD_WIDTH) */
    vacc *sums; /* (SUMS, keys) */
    int64_t count;
} Room;

static Room room_of(const LsNode *node, const Heads *h, bool backward, int thread)
{
    Room r = {0};
    int64_t by_key = HEAD_CHUNK * h->keys, by_value = HEAD_CHUNK * h->values, state = h->size * h->values;
    for (int pass = 0; pass < 2; pass++) { /* the first counts */
        acc *base = pass ? (acc *)node->scratch + thread * r.count : NULL;
        int64_t at = 0;
        for (int q = 0; q < SUMS; q++)
            r.key[q] = ls_scratch_block(base, &at, by_key);
        r.v = ls_scratch_block(base, &at, by_value);
        r.y = ls_scratch_block(base, &at, by_value);
        r.sa = ls_scratch_block(base, &at, by_value);
        r.s = ls_scratch_block(base, &at, state);
        if (backward) {
            for (int q = 0; q < SUMS; q++)
                r.grad[q] = ls_scratch_block(base, &at, by_key);
            r.dy = ls_scratch_block(base, &at, by_value);
            r.dv = ls_scratch_block(base, &at, by_value);
            r.g = ls_scratch_block(base, &at, state);
            r.steps = ls_scratch_block(base, &at, (HEAD_CHUNK + 1) * h->size * HEAD_WIDTH);
            r.sums = (vacc *)(void *)ls_scratch_block(base, &at, SUMS * h->keys * LS_LANES);
        }
        r.count = at;
        if (!node->scratch)
            break;
    }
    return r;
}

static LsStatus infer(LsNode *node)
{
    LsTensor *const *in = node->in;
    int64_t heads = ((const HeadsAttr *)node->attr)->heads;
    for (int i = R; i <= B; i++)
        if (in[i] && (in[i]->rank != 3 || in[i]->dtype != LS_REAL ||
                      memcmp(in[i]->dim, in[R]->dim, 3 * sizeof *in[i]->dim) != 0))
            return ls_node_fail(node, "wkv_heads: r, w, k, v, a, b must be (B, T, C) alike, not %s beside %s",
                                ls_shape_text(in[i]), ls_shape_text(in[R]));
    if (!in[A] != !in[B])
        return ls_node_fail(node, "wkv_heads: a and b come together");
    if (heads < 1 || in[R]->dim[2] % heads || in[R]->dim[2] / heads > LARGEST_HEAD)
        return ls_node_fail(node, "wkv_heads: %lld channels do not make %lld heads of at most %d",
                            (long long)in[R]->dim[2], (long long)heads, LARGEST_HEAD);
    Heads h = heads_of(node);
    const LsTensor *state = in[STATE];
    if (state && (state->rank != 4 || state->dtype != LS_ACC || state->dim[0] != h.streams || state->dim[1] != heads ||
                  state->dim[2] != h.size || state->dim[3] != h.size))
        return ls_node_fail(node, "wkv_heads: state %s must be (B, heads, N, N) for r %s", ls_shape_text(state),
                            ls_shape_text(in[R]));
    node->scratch_forward = ls_threads() * room_of(node, &h, false, 0).count * (int64_t)sizeof(acc);
    node->scratch_backward = ls_threads() * room_of(node, &h, true, 0).count * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, 3, in[R]->dim))
        return LS_RESOURCE;
    if (ls_graph_mode(node->graph) != LS_TRAIN)
        return LS_OK;
    const int64_t kept[] = {h.streams, heads, h.chunks, h.size * h.values};
    return ls_node_output(node, LS_ACC, 4, kept) ? LS_OK : LS_RESOURCE;
}

/* Threads of a team: not more than there is scratch for, should the number have been raised since. */
static int team(const LsNode *node, const Heads *h, bool backward)
{
    int64_t each = room_of(node, h, backward, 0).count * (int64_t)sizeof(acc);
    int64_t room = (backward ? node->scratch_backward : node->scratch_forward) / each;
    int64_t pieces = ls_least(room, h->streams * h->heads);
    return (int)ls_least(ls_threads(), h->streams * h->steps * h->channels * h->size < 65536 ? 1 : pieces);
}

/* ---- A chunk's inputs -------------------------------------------------------------------------------------------- */

/* One head of one stream. */
typedef struct Piece {
    int64_t stream, head, chunk, first, count; /* steps of the chunk */
} Piece;

static int64_t place_of(const Heads *h, const Piece *p, int64_t step)
{
    return (p->stream * h->steps + p->first + step) * h->channels + p->head * h->size;
}

static Piece piece_at(const Heads *h, int64_t index, int64_t chunk)
{
    int64_t first = chunk * HEAD_CHUNK;
    return (Piece){index / h->heads, index % h->heads, chunk, first, ls_least(HEAD_CHUNK, h->steps - first)};
}

/* x's rows of the head to (count, stride), zeros behind. */
static void load_rows(const Heads *h, const Piece *p, const void *x, acc *to, int64_t stride)
{
    for (int64_t t = 0; t < p->count; t++) {
        const real *from = (const real *)x + place_of(h, p, t);
        for (int64_t j = 0; j < stride; j += LS_LANES)
            ls_store_acc(to + t * stride + j, j < h->size ? ls_load_upto(from + j, h->size - j) : (vacc){0});
    }
}

LS_INLINE vacc decay_of(vacc w, bool delta)
{
    return ls_exp_small(delta ? -ROOT_E * ls_vsigmoid(w) : -ls_exp_small(ls_vmin(w, ls_splat(80))));
}

/* d log(decay) / dw */
LS_INLINE vacc decay_slope(vacc w, bool delta)
{
    vacc sigmoid = ls_vsigmoid(w);
    return delta ? -ROOT_E * sigmoid * (1 - sigmoid) : -ls_exp_small(ls_vmin(w, ls_splat(80)));
}

static void load_chunk(const LsNode *node, const Heads *h, const Piece *p, const Room *r)
{
    static const int input[SUMS] = {[SUM_W] = W, [SUM_K] = K, [SUM_R] = R, [SUM_A] = A, [SUM_B] = B};
    for (int q = 0; q < SUMS; q++)
        if (node->in[input[q]])
            load_rows(h, p, node->in[input[q]]->data, r->key[q], h->keys);
    for (int64_t i = 0; i < p->count * h->keys; i += LS_LANES)
        ls_store_acc(r->key[SUM_W] + i, decay_of(ls_load_acc(r->key[SUM_W] + i), h->delta));
    load_rows(h, p, node->in[V]->data, r->v, h->values);
}

LS_INLINE HeadStep step_of(const Heads *h, const Room *r, int64_t t, int64_t block)
{
    int64_t key = t * h->keys, value = t * h->values + block * HEAD_WIDTH;
    HeadStep x = {r->key[SUM_W] + key, r->key[SUM_K] + key, r->key[SUM_R] + key, r->key[SUM_A] + key,
                  r->key[SUM_B] + key};
    for (int i = 0; i < HEAD_VECTORS; i++) {
        x.v[i] = ls_load_acc(r->v + value + i * LS_LANES);
        x.dy[i] = r->dy ? ls_load_acc(r->dy + value + i * LS_LANES) : (vacc){0};
    }
    return x;
}

/* ---- States ------------------------------------------------------------------------------------------------------ */

/* (N, N) of one head, keys by values, to blocks; NULL: zero. */
static void load_state(const Heads *h, const acc *from, acc *to)
{
    memset(to, 0, (size_t)(h->size * h->values) * sizeof(acc));
    for (int64_t block = 0; from && block < h->blocks; block++) {
        int64_t first = block * HEAD_WIDTH, width = ls_least(HEAD_WIDTH, h->size - first);
        for (int64_t j = 0; j < h->size; j++)
            memcpy(to + (block * h->size + j) * HEAD_WIDTH, from + j * h->size + first, (size_t)width * sizeof(acc));
    }
}

static void store_state(const Heads *h, const acc *from, acc *to)
{
    for (int64_t block = 0; block < h->blocks; block++) {
        int64_t first = block * HEAD_WIDTH, width = ls_least(HEAD_WIDTH, h->size - first);
        for (int64_t j = 0; j < h->size; j++)
            memcpy(to + j * h->size + first, from + (block * h->size + j) * HEAD_WIDTH, (size_t)width * sizeof(acc));
    }
}

static acc *border_of(const LsNode *node, const Heads *h, const Piece *p)
{
    int64_t head = p->stream * h->heads + p->head;
    return (acc *)node->out[1]->data + (head * h->chunks + p->chunk) * h->size * h->values;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

LS_INLINE void forward_chunk(const Heads *h, const Piece *p, const Room *r, bool delta)
{
    for (int64_t block = 0; block < h->blocks; block++)
        for (int64_t t = 0; t < p->count; t++) {
            HeadStep x = step_of(h, r, t, block);
            int64_t value = t * h->values + block * HEAD_WIDTH;
            acc *s = r->s + block * h->size * HEAD_WIDTH;
            head_forward(&x, h->size, delta, s, s, r->y + value, r->sa + value);
        }
}

static void forward_piece(const LsNode *node, const Heads *h, int64_t index)
{
    const LsTensor *state = node->in[STATE];
    Room r = room_of(node, h, false, omp_get_thread_num());
    load_state(h, state ? (const acc *)state->data + index * h->size * h->size : NULL, r.s);
    for (int64_t chunk = 0; chunk < h->chunks; chunk++) {
        Piece p = piece_at(h, index, chunk);
        if (node->outputs > 1)
            memcpy(border_of(node, h, &p), r.s, (size_t)(h->size * h->values) * sizeof(acc));
        load_chunk(node, h, &p, &r);
        if (h->delta)
            forward_chunk(h, &p, &r, true);
        else
            forward_chunk(h, &p, &r, false);
        for (int64_t t = 0; t < p.count; t++) {
            real *y = (real *)node->out[0]->data + place_of(h, &p, t);
            for (int64_t i = 0; i < h->size; i += LS_LANES)
                ls_store_upto(y + i, ls_load_acc(r.y + t * h->values + i), h->size - i);
        }
    }
    if (state)
        store_state(h, r.s, (acc *)state->end->data + index * h->size * h->size);
}

static LsStatus forward_all(const LsNode *node, const LsRun *run)
{
    (void)run;
    Heads h = heads_of(node);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team(node, &h, false))
    for (int64_t i = 0; i < h.streams * h.heads; i++)
        forward_piece(node, &h, i);
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], false, forward_all);
}

static double input_at(const LsNode *node, int i, int64_t at)
{
    return (double)ls_load1((const real *)node->in[i]->data + at);
}

/* s: (N, N), keys by values; one step of one head, whose inputs begin at `at`. */
static void plain_step(const LsNode *node, const Heads *h, int64_t at, double *s)
{
    for (int64_t i = 0; i < h->size; i++) {
        double mixed = 0, y = 0, v = input_at(node, V, at + i);
        for (int64_t j = 0; h->delta && j < h->size; j++)
            mixed += s[j * h->size + i] * input_at(node, A, at + j);
        for (int64_t j = 0; j < h->size; j++) {
            double w = input_at(node, W, at + j), *to = s + j * h->size + i, before = *to;
            double decay = h->delta ? exp(-exp(-0.5) / (1 + exp(-w))) : exp(-exp(w));
            *to = before * decay + v * input_at(node, K, at + j);
            *to += h->delta ? mixed * input_at(node, B, at + j) : 0;
            y += (h->delta ? *to : before) * input_at(node, R, at + j);
        }
        ls_store1((real *)node->out[0]->data + at + i, (acc)y);
    }
}

static LsStatus reference_all(const LsNode *node, const LsRun *run)
{
    (void)run;
    Heads h = heads_of(node);
    const LsTensor *state = node->in[STATE];
    int64_t numbers = h.size * h.size;
    double *s = ls_alloc_array(numbers, sizeof *s);
    if (!s)
        return LS_RESOURCE;
    for (int64_t i = 0; i < h.streams * h.heads; i++) {
        for (int64_t n = 0; n < numbers; n++)
            s[n] = state ? (double)((const acc *)state->data)[i * numbers + n] : 0;
        for (int64_t t = 0; t < h.steps; t++)
            plain_step(node, &h, (i / h.heads * h.steps + t) * h.channels + i % h.heads * h.size, s);
        for (int64_t n = 0; state && n < numbers; n++)
            ((acc *)state->end->data)[i * numbers + n] = (acc)s[n];
    }
    ls_free(s);
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], false, reference_all);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* One block: forward again, all states kept, then back; sums over values are added to r->grad. */
LS_INLINE void backward_block(const Heads *h, const Piece *p, const Room *r, const acc *border, int64_t block,
                              bool delta)
{
    int64_t numbers = h->size * HEAD_WIDTH;
    memcpy(r->steps, border + block * numbers, (size_t)numbers * sizeof(acc));
    for (int64_t t = 0; t < p->count; t++) {
        HeadStep x = step_of(h, r, t, block);
        int64_t value = t * h->values + block * HEAD_WIDTH;
        acc *before = r->steps + t * numbers;
        head_forward(&x, h->size, delta, before, before + numbers, r->y + value, r->sa + value);
    }
    for (int64_t t = p->count - 1; t >= 0; t--) {
        HeadStep x = step_of(h, r, t, block);
        int64_t value = t * h->values + block * HEAD_WIDTH;
        const acc *before = r->steps + t * numbers;
        head_backward(&x, h->size, delta, before, before + numbers, r->g + block * numbers, r->sa + value,
                      r->dv + value, r->sums, h->keys);
        for (int q = 0; q < (delta ? SUMS : SUM_A); q++)
            for (int64_t j = 0; j < h->keys; j += LS_LANES) {
                acc *to = r->grad[q] + t * h->keys + j;
                ls_store_acc(to, ls_load_acc(to) + ls_hsums(r->sums + q * h->keys + j));
            }
    }
}

/* grad: (count, stride), to the head's rows of input i's gradient. */
static void store_gradient(const LsNode *node, const Heads *h, const Piece *p, int i, const acc *grad, int64_t stride)
{
    for (int64_t t = 0; ls_wants(node, i) && t < p->count; t++) {
        real *to = (real *)node->in[i]->grad + place_of(h, p, t);
        for (int64_t j = 0; j < h->size; j += LS_LANES) {
            int64_t n = h->size - j;
            vacc g = ls_load_acc(grad + t * stride + j);
            ls_store_upto(to + j, ls_adds(node, i) ? ls_load_upto(to + j, n) + g : g, n);
        }
    }
}

static void store_gradients(const LsNode *node, const Heads *h, const Piece *p, const Room *r)
{
    /* by the decay; by w it is that times the decay's slope */
    for (int64_t t = 0; t < p->count; t++)
        for (int64_t j = 0; j < h->size; j += LS_LANES) {
            acc *g = r->grad[SUM_W] + t * h->keys + j;
            vacc w = ls_load_upto((const real *)node->in[W]->data + place_of(h, p, t) + j, h->size - j);
            ls_store_acc(g, ls_load_acc(g) * ls_load_acc(r->key[SUM_W] + t * h->keys + j) * decay_slope(w, h->delta));
        }
    store_gradient(node, h, p, W, r->grad[SUM_W], h->keys);
    store_gradient(node, h, p, K, r->grad[SUM_K], h->keys);
    store_gradient(node, h, p, R, r->grad[SUM_R], h->keys);
    store_gradient(node, h, p, V, r->dv, h->values);
    if (h->delta) {
        store_gradient(node, h, p, A, r->grad[SUM_A], h->keys);
        store_gradient(node, h, p, B, r->grad[SUM_B], h->keys);
    }
}

static void backward_piece(const LsNode *node, const Heads *h, int64_t index)
{
    const LsTensor *state = node->in[STATE];
    bool carried = state && state->role == LS_ROLE_CARRY;
    Room r = room_of(node, h, true, omp_get_thread_num());
    load_state(h, carried ? (const acc *)state->end->grad + index * h->size * h->size : NULL, r.g);
    memset(r.sums, 0, (size_t)(SUMS * h->keys) * sizeof *r.sums); /* past the keys it stays so */
    for (int64_t chunk = h->chunks - 1; chunk >= 0; chunk--) {
        Piece p = piece_at(h, index, chunk);
        load_chunk(node, h, &p, &r);
        load_rows(h, &p, node->out[0]->grad, r.dy, h->values);
        for (int q = 0; q < SUMS; q++)
            memset(r.grad[q], 0, (size_t)(p.count * h->keys) * sizeof(acc));
        for (int64_t block = 0; block < h->blocks; block++)
            if (h->delta)
                backward_block(h, &p, &r, border_of(node, h, &p), block, true);
            else
                backward_block(h, &p, &r, border_of(node, h, &p), block, false);
        store_gradients(node, h, &p, &r);
    }
    if (carried && ls_wants(node, STATE))
        store_state(h, r.g, (acc *)state->grad + index * h->size * h->size);
}

static LsStatus backward_all(const LsNode *node, const LsRun *run)
{
    (void)run;
    Heads h = heads_of(node);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team(node, &h, true))
    for (int64_t i = 0; i < h.streams * h.heads; i++)
        backward_piece(node, &h, i);
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], true, backward_all);
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Heads h = heads_of(node);
    double count = (double)node->out[0]->count, each = (double)h.size * (h.delta ? 10 : 6);
    double kept = node->outputs > 1 ? (double)node->out[1]->count : 0;
    *fwd = (LsCost){each * count, (h.delta ? 7 : 5) * count * sizeof(real) + kept * sizeof(acc)};
    *bwd = (LsCost){3 * each * count, (h.delta ? 13 : 9) * count * sizeof(real) + kept * sizeof(acc)};
}

/* ls_wkv_heads(g, r, w, k, v, a, b, state, heads): r, w, k, v, a, b: (B, T, C), heads of N = C / heads channels each;
 * a and b both NULL: without the second term, and y before the state takes the token in; state: (B, heads, N, N) of
 * LS_ACC, keys by values, or NULL (ls_state, ls_carry). -> (B, T, C) */
LS_BUILDER LsTensor *ls_wkv_heads(LsGraph *g, LsTensor *r, LsTensor *w, LsTensor *k, LsTensor *v, LsTensor *a,
                                  LsTensor *b, LsTensor *state, int64_t heads)
{
    return ls_node(g, "wkv_heads", 7, (LsTensor *[]){r, w, k, v, a, b, state}, &(HeadsAttr){heads}, sizeof(HeadsAttr));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t streams, steps, heads, size;
        bool delta, carry;
    } table[] = {{1, 1, 1, 1, true, false},  {2, 5, 2, 3, true, false},  {1, 35, 1, 20, true, false},
                 {2, 6, 1, 33, true, true},  {1, 3, 2, 64, true, false}, {2, 5, 2, 3, false, false},
                 {1, 34, 2, 17, false, true}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    int64_t b = table[which].streams, heads = table[which].heads, n = table[which].size;
    const int64_t dim[] = {b, table[which].steps, heads * n};
    double small = 1 / sqrt((double)n); /* a^T b is above -1, or the state would grow from step to step */
    LsTensor *in[6];
    static const char *const name[] = {"r", "w", "k", "v", "a", "b"};
    for (int i = 0; i < 6; i++) {
        double reach = i == 1 ? 3 : i > 3 ? small : 1;
        in[i] = i > 3 && !table[which].delta ? NULL : ls_case_input(g, name[i], LS_REAL, -reach, reach, 3, dim);
    }
    const int64_t state[] = {b, heads, n, n};
    ls_wkv_heads(g, in[0], in[1], in[2], in[3], in[4], in[5],
                 table[which].carry ? ls_case_carry(g, "state", LS_ACC, -1, 1, 4, state) : NULL, heads);
    return true;
}

LS_OP(wkv_heads) = {
    .name = "wkv_heads",
    .formula = "S_t = S_{t-1} diag(d_t) + (S_{t-1} a_t) b_t^T + v_t k_t^T,  y_t = S_t r_t",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 0x7f,
    .saves_out = 2,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
};
