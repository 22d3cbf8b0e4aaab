/* Rotary position embedding (Su et al. 2021, "RoFormer"): the pairs of a head's numbers turn with the position.
 *
 *     angle_i = (t + position_b) base^(-2i/n), or position_bt base^(-2i/n),   i = 0..n/2-1
 *     y_i = x_i cos(angle_i) - x_{i+n/2} sin(angle_i)
 *     y_{i+n/2} = x_{i+n/2} cos(angle_i) + x_i sin(angle_i)
 *
 * of the first n numbers of a head, all as a rule. The halves are paired (i with i + n/2) as in GPT-NeoX and Llama.
 * Backward turns the other way. */
#include "ops/token_positions.h"

/* Positions whose angles are stepped from one start: cos and sin in double lose a few 1e-16 over a run. */
enum { RUN = 32 };

static LsStatus check_scaling(const LsNode *node)
{
    const LsRotary *r = node->attr;
    if (r->scaling != LS_ROTARY_PLAIN && !(r->factor >= 1))
        return ls_node_fail(node, "rotary: scaling by %g: the factor is at least 1", r->factor);
    if (r->scaling == LS_ROTARY_NTK && r->turned < 4)
        return ls_node_fail(node, "rotary: a base can be scaled where at least 4 numbers of a head turn, not %lld",
                            (long long)r->turned);
    if (r->scaling == LS_ROTARY_LLAMA3 && (!(r->low > 0) || !(r->high > r->low) || r->context < 1))
        return ls_node_fail(node, "rotary: factors %g and %g of a context of %lld: 0 < low < high is asked for", r->low,
                            r->high, (long long)r->context);
    return LS_OK;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *position = node->in[1];
    const LsRotary *r = node->attr;
    if (r->heads < 1 || r->turned < 2 || r->turned % 2 != 0 || r->turned > r->size || !(r->base > 1))
        return ls_node_fail(node,
                            "rotary: %lld of the %lld numbers of %lld heads with base %g: an even number of them must "
                            "turn, with a base above 1",
                            (long long)r->turned, (long long)r->size, (long long)r->heads, r->base);
    LS_TRY(check_scaling(node));
    if (x->rank != 3 || x->dtype != LS_REAL || x->dim[2] < r->heads * r->size)
        return ls_node_fail(node, "rotary: x %s must be (B, T, W) with W >= %lld heads of %lld", ls_shape_text(x),
                            (long long)r->heads, (long long)r->size);
    if (!ls_positions_match(position, x))
        return ls_node_fail(node, "rotary: position %s does not fit x %s: it must be (B) or (B, T) of LS_I32",
                            ls_shape_text(position), ls_shape_text(x));
    int64_t tables = position && position->rank == 1 ? x->dim[0] : 1;
    node->scratch_forward = tables * x->dim[1] * r->turned * (int64_t)sizeof(acc);
    node->scratch_backward = node->scratch_forward;
    return ls_node_output(node, LS_REAL, 3, x->dim) ? LS_OK : LS_RESOURCE;
}

/* Llama 3's: waves longer than context / low are slowed down by the factor, those shorter than context / high are left,
 * and those between get a mean of both. */
static double scale_by_length(const LsRotary *r, double frequency)
{
    double waves = (double)r->context * frequency / (2 * M_PI); /* of this frequency in the context */
    if (waves > r->high)
        return frequency;
    if (waves < r->low)
        return frequency / r->factor;
    double share = (waves - r->low) / (r->high - r->low);
    return (1 - share) * frequency / r->factor + share * frequency;
}

/* The angle of pair i from one position to the next. */
static double frequency_of(const LsRotary *r, int64_t i)
{
    double turned = (double)r->turned, base = r->base;
    if (r->scaling == LS_ROTARY_NTK)
        base *= pow(r->factor, turned / (turned - 2));
    double frequency = pow(base, -2.0 * (double)i / turned);
    if (r->scaling == LS_ROTARY_LINEAR)
        return frequency / r->factor;
    return r->scaling == LS_ROTARY_LLAMA3 ? scale_by_length(r, frequency) : frequency;
}

/* table: (T, 2, n/2): cosines and sines of positions start..start + tokens - 1. */
static void fill(const LsRotary *r, int64_t start, int64_t tokens, acc *table)
{
    int64_t half = r->turned / 2;
    for (int64_t i = 0; i < half; i++) {
        double step = frequency_of(r, i), step_cos = cos(step), step_sin = sin(step);
        double c = cos((double)start * step), s = sin((double)start * step);
        for (int64_t t = 0; t < tokens; t++) {
            table[2 * t * half + i] = (acc)c;
            table[(2 * t + 1) * half + i] = (acc)s;
            double next = c * step_cos - s * step_sin;
            s = s * step_cos + c * step_sin;
            c = next;
        }
    }
}

/* What each stream has seen before; NULL: nothing, or tokens have positions of their own. */
static const int32_t *stream_positions(const LsNode *node)
{
    return node->in[1] && !ls_has_token_positions(node->in[1]) ? node->in[1]->data : NULL;
}

/* All tables: (1, T, 2, n/2), or one for each stream where they stand at different positions. */
static void fill_all(const LsNode *node, acc *table)
{
    const LsRotary *r = node->attr;
    const int32_t *position = stream_positions(node);
    int64_t tokens = node->in[0]->dim[1], streams = position ? node->in[0]->dim[0] : 1, runs = (tokens + RUN - 1) / RUN;
#pragma omp parallel for collapse(2) schedule(static) if (streams * tokens * r->turned > 4096)
    for (int64_t b = 0; b < streams; b++)
        for (int64_t n = 0; n < runs; n++)
            fill(r, (position ? position[b] : 0) + n * RUN, tokens - n * RUN < RUN ? tokens - n * RUN : RUN,
                 table + (b * tokens + n * RUN) * r->turned);
}

/* One head: y = x turned (way 1) or turned back (way -1), or y += that. cosine, sine: (half). y may be x. */
LS_INLINE void turn(const real *x, real *y, const acc *cosine, const acc *sine, int64_t half, acc way, bool add)
{
    int64_t i = 0;
    for (; i + LS_LANES <= half; i += LS_LANES) {
        vacc c = ls_load_acc(cosine + i), s = ls_load_acc(sine + i) * way, a = ls_load(x + i),
             b = ls_load(x + half + i);
        vacc first = a * c - b * s, second = b * c + a * s;
        ls_store(y + i, add ? ls_load(y + i) + first : first);
        ls_store(y + half + i, add ? ls_load(y + half + i) + second : second);
    }
    for (; i < half; i++) {
        acc c = cosine[i], s = sine[i] * way, a = ls_load1(x + i), b = ls_load1(x + half + i);
        ls_store1(y + i, (add ? ls_load1(y + i) : 0) + a * c - b * s);
        ls_store1(y + half + i, (add ? ls_load1(y + half + i) : 0) + b * c + a * s);
    }
}

/* Numbers that do not turn, from x to y or added to it. */
LS_INLINE void pass_on(const real *x, real *y, int64_t count, bool add)
{
    for (int64_t i = 0; i < count && (add || x != y); i++)
        ls_store1(y + i, ls_load1(x + i) + (add ? ls_load1(y + i) : 0));
}

/* x, y: (B, T, W): the first numbers of the first heads turned, the rest passed on. */
static void turn_all(const LsNode *node, const real *x, real *y, acc way, bool add)
{
    const LsRotary *r = node->attr;
    acc *table = node->scratch;
    fill_all(node, table);
    int64_t batch = node->in[0]->dim[0], tokens = node->in[0]->dim[1], width = node->in[0]->dim[2];
    int64_t half = r->turned / 2, heads = r->heads * r->size;
    const int32_t *own = ls_has_token_positions(node->in[1]) ? node->in[1]->data : NULL;
    bool by_stream = stream_positions(node);
#pragma omp parallel for collapse(2) schedule(static) if (node->in[0]->count > 8192)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < tokens; t++) {
            const acc *row = table + (own ? own[b * tokens + t] : (by_stream ? b * tokens : 0) + t) * r->turned;
            const real *from = x + (b * tokens + t) * width;
            real *to = y + (b * tokens + t) * width;
            for (int64_t at = 0; at < heads; at += r->size) {
                turn(from + at, to + at, row, row + half, half, way, add);
                pass_on(from + at + r->turned, to + at + r->turned, r->size - r->turned, add);
            }
            pass_on(from + heads, to + heads, width - heads, add);
        }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (ls_has_token_positions(node->in[1]))
        LS_TRY(ls_check_token_positions(node, node->in[1]));
    turn_all(node, node->in[0]->data, node->out[0]->data, 1, false);
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (ls_wants(node, 0))
        turn_all(node, node->out[0]->grad, node->in[0]->grad, -1, ls_adds(node, 0));
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsRotary *r = node->attr;
    const real *x = node->in[0]->data;
    real *y = node->out[0]->data;
    int64_t tokens = node->in[0]->dim[1], width = node->in[0]->dim[2], half = r->turned / 2;
    for (int64_t row = 0; row < node->in[0]->dim[0] * tokens; row++) {
        double t = (double)ls_token_position(node->in[1], tokens, row / tokens, row % tokens);
        for (int64_t j = 0; j < width; j++)
            ls_store1(y + row * width + j, ls_load1(x + row * width + j));
        for (int64_t h = 0; h < r->heads; h++)
            for (int64_t i = 0; i < half; i++) {
                int64_t first = row * width + h * r->size + i, second = first + half;
                double angle = t * frequency_of(r, i);
                double a = (double)ls_load1(x + first), b = (double)ls_load1(x + second);
                ls_store1(y + first, (acc)(a * cos(angle) - b * sin(angle)));
                ls_store1(y + second, (acc)(b * cos(angle) + a * sin(angle)));
            }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    const LsRotary *r = node->attr;
    double turned = (double)(node->in[0]->dim[0] * node->in[0]->dim[1] * r->heads * r->turned);
    *fwd = (LsCost){3 * turned, 2 * turned * sizeof(real)};
    *bwd = *fwd;
}

/* ls_rotary(g, x, position, how): x: (B, T, W) -> (B, T, W). position: (B) LS_I32 input, the tokens each stream has
 * seen before, or (B, T): the position of each token, 0..T-1, else LS_DATA, or NULL (none). May take over x's memory.
 *
 * how->heads, how->size: turns the first heads of so many numbers of each token, and passes the rest on: with the
 * packed qkv of ls_attention, heads = H + Hkv turns queries and keys. how->turned: the first n numbers of a head turn,
 * in pairs (i, i + n/2); 0: all. how->base: 10000 in most models.
 *
 * how->scaling, for sequences `factor` times as long as those that a model was trained for, with a_i = t f_i:
 * LS_ROTARY_LINEAR f_i / factor; LS_ROTARY_NTK a base of base factor^(n/(n-2)); LS_ROTARY_LLAMA3 f_i / factor where
 * fewer than `low` waves fit how->context positions, f_i where more than `high` do, and their mean between. */
LS_BUILDER LsTensor *ls_rotary(LsGraph *g, LsTensor *x, LsTensor *position, const LsRotary *how)
{
    LsRotary all = *how;
    all.turned = how->turned ? how->turned : how->size;
    return ls_node(g, "rotary", 2, (LsTensor *[]){x, position}, &all, sizeof all);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, rest;
        int position; /* dimensions */
        LsRotary how;
    } list[] = {{1, 2, 0, 0, {1, 2}},
                {2, 5, 4, 0, {3, 6}},
                {1, 70, 1, 0, {1, 4}},
                {3, 3, 5, 1, {2, 36}},
                {2, 4, 3, 1, {2, 9, 4}},
                {1, 37, 2, 0, {2, 40, 34}},
                {3, 45, 2, 2, {2, 36, 34}},
                {2, 9, 0, 1, {1, 8, .scaling = LS_ROTARY_LINEAR, .factor = 4}},
                {1, 40, 1, 0, {2, 10, 6, .scaling = LS_ROTARY_NTK, .factor = 2.5}},
                {2, 33, 2, 1, {1, 12, .scaling = LS_ROTARY_LLAMA3, .factor = 8, .low = 1, .high = 4, .context = 64}}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsRotary how = list[which].how;
    how.base = 10000;
    int64_t b = list[which].b, t = list[which].t;
    int rank = list[which].position;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){b, t, how.heads * how.size + list[which].rest});
    double end = rank == 1 ? 1000 : (double)t;
    ls_rotary(g, x, rank ? ls_case_input(g, "position", LS_I32, 0, end, rank, (int64_t[]){b, t}) : NULL, &how);
    return true;
}

LS_OP(rotary) = {
    .name = "rotary",
    .formula =
        "y_i = x_i cos(a_i) - x_{i+n/2} sin(a_i), y_{i+n/2} = x_{i+n/2} cos(a_i) + x_i sin(a_i), a_i = t base^(-2i/n)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 2,
    .in_place = 1,
    .mixes_time = true,
    .cases = cases,
};
