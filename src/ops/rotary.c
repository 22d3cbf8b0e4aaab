/* Rotary position embedding (Su et al. 2021, "RoFormer"): the pairs of a head's numbers turn with the position.
 *
 *     angle_i = (t + position_b) base^(-2i/D),   i = 0..D/2-1
 *     y_i = x_i cos(angle_i) - x_{i+D/2} sin(angle_i)
 *     y_{i+D/2} = x_{i+D/2} cos(angle_i) + x_i sin(angle_i)
 *
 * The halves are paired (i with i + D/2) as in GPT-NeoX and Llama. Backward turns the other way. */
#include "ops/op_build.h"

typedef struct Rotary {
    int64_t heads, size;
    double base;
} Rotary;

/* Positions whose angles are stepped from one start: cos and sin in double lose a few 1e-16 over a run. */
enum { RUN = 32 };

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *position = node->in[1];
    const Rotary *r = node->attr;
    if (r->heads < 1 || r->size < 2 || r->size % 2 != 0 || !(r->base > 1))
        return ls_node_fail(node,
                            "rotary: %lld heads of %lld with base %g: it needs heads of even size and a base above 1",
                            (long long)r->heads, (long long)r->size, r->base);
    if (x->rank != 3 || x->dtype != LS_REAL || x->dim[2] < r->heads * r->size)
        return ls_node_fail(node, "rotary: x %s must be (B, T, W) with W >= %lld heads of %lld", ls_shape_text(x),
                            (long long)r->heads, (long long)r->size);
    if (position && (position->rank != 1 || position->dim[0] != x->dim[0] || position->dtype != LS_I32))
        return ls_node_fail(node, "rotary: position %s does not fit x %s: it must be (B) of LS_I32",
                            ls_shape_text(position), ls_shape_text(x));
    node->scratch_forward = (position ? x->dim[0] : 1) * x->dim[1] * r->size * (int64_t)sizeof(acc);
    node->scratch_backward = node->scratch_forward;
    return ls_node_output(node, LS_REAL, 3, x->dim) ? LS_OK : LS_RESOURCE;
}

/* table: (T, 2, D/2): cosines and sines of positions start..start + tokens - 1. */
static void fill(const Rotary *r, int64_t start, int64_t tokens, acc *table)
{
    int64_t half = r->size / 2;
    for (int64_t i = 0; i < half; i++) {
        double step = pow(r->base, -2.0 * (double)i / (double)r->size), step_cos = cos(step), step_sin = sin(step);
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

/* All tables: (1, T, 2, D/2), or one for each stream where they stand at different positions. */
static void fill_all(const LsNode *node, acc *table)
{
    const Rotary *r = node->attr;
    const int32_t *position = node->in[1] ? node->in[1]->data : NULL;
    int64_t tokens = node->in[0]->dim[1], streams = position ? node->in[0]->dim[0] : 1, runs = (tokens + RUN - 1) / RUN;
#pragma omp parallel for collapse(2) schedule(static) if (streams * tokens * r->size > 4096)
    for (int64_t b = 0; b < streams; b++)
        for (int64_t n = 0; n < runs; n++)
            fill(r, (position ? position[b] : 0) + n * RUN, tokens - n * RUN < RUN ? tokens - n * RUN : RUN,
                 table + (b * tokens + n * RUN) * r->size);
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

/* x, y: (B, T, W): the first heads turned, the rest passed on. */
static void turn_all(const LsNode *node, const real *x, real *y, acc way, bool add)
{
    const Rotary *r = node->attr;
    acc *table = node->scratch;
    fill_all(node, table);
    int64_t batch = node->in[0]->dim[0], tokens = node->in[0]->dim[1], width = node->in[0]->dim[2], half = r->size / 2;
#pragma omp parallel for collapse(2) schedule(static) if (node->in[0]->count > 8192)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < tokens; t++) {
            const acc *row = table + ((node->in[1] ? b * tokens : 0) + t) * r->size;
            const real *from = x + (b * tokens + t) * width;
            real *to = y + (b * tokens + t) * width;
            for (int64_t h = 0; h < r->heads; h++)
                turn(from + h * r->size, to + h * r->size, row, row + half, half, way, add);
            for (int64_t i = r->heads * r->size; i < width && (add || from != to); i++)
                ls_store1(to + i, ls_load1(from + i) + (add ? ls_load1(to + i) : 0));
        }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
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
    const Rotary *r = node->attr;
    const real *x = node->in[0]->data;
    const int32_t *position = node->in[1] ? node->in[1]->data : NULL;
    real *y = node->out[0]->data;
    int64_t tokens = node->in[0]->dim[1], width = node->in[0]->dim[2], half = r->size / 2;
    for (int64_t row = 0; row < node->in[0]->dim[0] * tokens; row++) {
        double t = (double)(row % tokens + (position ? position[row / tokens] : 0));
        for (int64_t j = r->heads * r->size; j < width; j++)
            ls_store1(y + row * width + j, ls_load1(x + row * width + j));
        for (int64_t h = 0; h < r->heads; h++)
            for (int64_t i = 0; i < half; i++) {
                int64_t first = row * width + h * r->size + i, second = first + half;
                double angle = t * pow(r->base, -2.0 * (double)i / (double)r->size);
                double a = (double)ls_load1(x + first), b = (double)ls_load1(x + second);
                ls_store1(y + first, (acc)(a * cos(angle) - b * sin(angle)));
                ls_store1(y + second, (acc)(b * cos(angle) + a * sin(angle)));
            }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    const Rotary *r = node->attr;
    double turned = (double)(node->in[0]->dim[0] * node->in[0]->dim[1] * r->heads * r->size);
    *fwd = (LsCost){3 * turned, 2 * turned * sizeof(real)};
    *bwd = *fwd;
}

/* ls_rotary(g, x, position, heads, head_dim, base): x: (B, T, W) -> (B, T, W). Turns the first heads * head_dim numbers
 * of each token, head by head, and passes the rest on: with the packed qkv of ls_attention, heads = H + Hkv turns
 * queries and keys. position: (B) LS_I32 input, the tokens each stream has seen before, or NULL (none). base: 10000 in
 * most models. May take over x's memory. */
LS_BUILDER LsTensor *ls_rotary(LsGraph *g, LsTensor *x, LsTensor *position, int64_t heads, int64_t head_dim,
                               double base)
{
    return ls_node(g, "rotary", 2, (LsTensor *[]){x, position}, &(Rotary){heads, head_dim, base}, sizeof(Rotary));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, heads, size, rest;
        bool position;
    } list[] = {{1, 2, 1, 2, 0, false}, {2, 5, 3, 6, 4, false}, {1, 70, 1, 4, 1, false}, {3, 3, 2, 36, 5, true}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t b = list[which].b, heads = list[which].heads, size = list[which].size;
    LsTensor *x =
        ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){b, list[which].t, heads * size + list[which].rest});
    ls_rotary(g, x, list[which].position ? ls_case_input(g, "position", LS_I32, 0, 1000, 1, &b) : NULL, heads, size,
              10000);
    return true;
}

LS_OP(rotary) = {
    .name = "rotary",
    .formula =
        "y_i = x_i cos(a_i) - x_{i+D/2} sin(a_i), y_{i+D/2} = x_{i+D/2} cos(a_i) + x_i sin(a_i), a_i = t base^(-2i/D)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .in_place = 1,
    .mixes_time = true,
    .cases = cases,
};
