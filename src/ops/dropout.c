/* y = x m / (1 - p), m 0 with probability p, else 1 (Srivastava et al. 2014, "Dropout").
 *
 * m is a function of (seed, step, node's name, sample, element), sample being the global number of the row of the first
 * dimension, element counted from the beginning of the sample's sequence (run->token): the same on any number of ranks
 * and threads, and drawn again in backward instead of stored. Element e of a sample takes a word of a Philox block (see
 * ls_philox): with e = 64 g + 16 w + b, word w of the block numbered 16 g + b, so that 16 blocks fill whole vectors. */
#include "ops/pass.h"
#include "ops/philox.h"

typedef struct Dropout {
    double probability;
} Dropout;

enum { BLOCKS = LS_PHILOX_BLOCKS, GROUP = 4 * BLOCKS };

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0];
    double p = ((const Dropout *)node->attr)->probability;
    if (!(p >= 0 && p < 1))
        return ls_node_fail(node, "dropout: probability %g is not in [0, 1)", p);
    if (x->rank < 1 || x->dtype != LS_REAL)
        return ls_node_fail(node, "dropout: x %s must hold activations, its first dimension the samples",
                            ls_shape_text(x));
    return ls_node_output(node, LS_REAL, x->rank, x->dim) ? LS_OK : LS_RESOURCE;
}

/* A node's key of random words, threshold and scale. */
typedef struct Draw {
    uint64_t key;
    ls_int threshold; /* a word whose half is below it drops */
    acc scale;
} Draw;

static Draw draw_of(const LsNode *node, const LsRun *run)
{
    uint32_t block[4];
    double p = ((const Dropout *)node->attr)->probability;
    ls_philox(run->seed, node->key, (uint64_t)run->step, block);
    return (Draw){(uint64_t)block[1] << 32 | block[0], (ls_int)(p * 0x1p31), (acc)(1 / (1 - p))};
}

/* LS_LANES words, halved so that they compare as signed numbers. */
LS_INLINE vint load_words(const uint32_t *word)
{
    typedef uint32_t words __attribute__((vector_size(LS_VEC_BYTES / sizeof(acc) * sizeof(uint32_t))));
    words w;
    memcpy(&w, word, sizeof w);
    return __builtin_convertvector(w >> 1, vint);
}

/* y = x m / (1 - p), or y += that, for the `count` <= GROUP elements of a group. y may be x. */
LS_INLINE void apply(const Draw *draw, const uint32_t *word, const real *x, real *y, int64_t count, bool add)
{
    int64_t i = 0;
    for (; i + LS_LANES <= count; i += LS_LANES) {
        vacc v = ls_select(load_words(word + i) < draw->threshold - (vint){0}, (vacc){0}, ls_load(x + i) * draw->scale);
        ls_store(y + i, add ? ls_load(y + i) + v : v);
    }
    for (; i < count; i++) {
        acc v = (ls_int)(word[i] >> 1) < draw->threshold ? 0 : ls_load1(x + i) * draw->scale;
        ls_store1(y + i, add ? ls_load1(y + i) + v : v);
    }
}

/* Elements of a sample before the first one of this run: of the tokens before run->token, where x is (B, T, ...). */
static int64_t elements_before(const LsNode *node, const LsRun *run)
{
    const LsTensor *x = node->in[0];
    return x->rank < 3 ? 0 : run->token * (x->count / x->dim[0] / x->dim[1]);
}

/* x, y: (samples, row); whole groups but for the sample's first and last elements here. */
static void apply_all(const LsNode *node, const LsRun *run, const real *x, real *y, bool add)
{
    Draw draw = draw_of(node, run);
    int64_t samples = node->in[0]->dim[0], row = node->in[0]->count / samples, before = elements_before(node, run);
    int64_t first = before / GROUP, groups = (before + row + GROUP - 1) / GROUP - first;
#pragma omp parallel for schedule(static) if (samples * groups > 32)
    for (int64_t n = 0; n < samples * groups; n++) {
        uint32_t word[4][BLOCKS];
        int64_t sample = n / groups, group = first + n % groups, from = group * GROUP - before,
                skip = from < 0 ? -from : 0;
        int64_t count = (from + GROUP < row ? GROUP : row - from) - skip, at = sample * row + from + skip;
        ls_philox_blocks(draw.key, (uint64_t)(run->sample + sample), (uint64_t)(group * BLOCKS), word);
        if (count == GROUP)
            apply(&draw, word[0], x + at, y + at, GROUP, add);
        else
            apply(&draw, word[0] + skip, x + at, y + at, count, add);
    }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    const LsTensor *x = node->in[0];
    real *y = node->out[0]->data;
    if (run->training)
        apply_all(node, run, x->data, y, false);
    else if (y != x->data)
        memcpy(y, x->data, (size_t)x->count * sizeof *y);
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    if (!run->training)
        ls_pass_gradient(node, 0);
    else if (ls_wants(node, 0))
        apply_all(node, run, node->out[0]->grad, node->in[0]->grad, ls_adds(node, 0));
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    Draw draw = draw_of(node, run);
    const real *x = node->in[0]->data;
    real *y = node->out[0]->data;
    int64_t row = node->in[0]->count / node->in[0]->dim[0];
    for (int64_t i = 0; i < node->in[0]->count; i++) {
        int64_t e = elements_before(node, run) + i % row;
        uint32_t block[4];
        ls_philox(draw.key, (uint64_t)(run->sample + i / row), (uint64_t)(e / GROUP * BLOCKS + e % BLOCKS), block);
        bool dropped = run->training && (ls_int)(block[e % GROUP / BLOCKS] >> 1) < draw.threshold;
        ls_store1(y + i, dropped ? 0 : run->training ? ls_load1(x + i) * draw.scale : ls_load1(x + i));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count;
    *fwd = (LsCost){2 * count, 2 * count * sizeof(real)};
    *bwd = *fwd;
}

/* ls_dropout(g, x, probability): x: (B, ...) -> the same; B are the samples that run->sample numbers. In graphs of
 * other modes than LS_TRAIN, and with probability 0, it is x itself; in runs that are not training, a copy. May take
 * over x's memory. */
LS_BUILDER LsTensor *ls_dropout(LsGraph *g, LsTensor *x, double probability)
{
    if (probability == 0 || (probability > 0 && probability < 1 && ls_graph_mode(g) != LS_TRAIN))
        return x;
    return ls_node(g, "dropout", 1, (LsTensor *[]){x}, &(Dropout){probability}, sizeof(Dropout));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, c;
        double probability;
    } list[] = {{1, 1, 3, 0.5}, {2, 5, 7, 0.1}, {3, 16, 8, 0.9}, {40, 5, 13, 0.25}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){list[which].b, list[which].t, list[which].c});
    ls_dropout(g, x, list[which].probability);
    return true;
}

LS_OP(dropout) = {
    .name = "dropout",
    .formula = "y = x m / (1 - p), m = 0 with probability p, else 1",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .in_place = 1,
    .cases = cases,
};
