/* The pieces of the diagonal state space's work, and the layout of its scratch memory. */
#ifndef LS_OPS_SSM_PLAN_H
#define LS_OPS_SSM_PLAN_H

#include "ops/ssm_block.h"
#include "ops/ssm_modes.h"
#include "ops/scratch.h"

#include "fft/fft.h"

enum {
    SSM_TILE = 16, /* channels: a multiple of LS_LANES in every build; the partition is made of these */
    SSM_WANTED_PIECES =
        32 /* batches of streams x tiles: enough for 16 cores, few enough that partial sums stay small */
};

#ifdef LS_BUILD_FLOAT64
#define SSM_FFT_TYPE LS_FFT_DOUBLE
#else
#define SSM_FFT_TYPE LS_FFT_FLOAT
#endif

typedef struct SsmAttr {
    LsSsmRule rule;
    LsSsmForm form;
} SsmAttr;

typedef struct SsmPlan {
    int64_t streams, steps, channels, modes; /* B, T, E, N */
    int64_t tiles, padded, chunks, batches;
    int64_t points; /* of a transform: room for two sequences; 0: computed as a scan */
    int64_t row;    /* numbers of memory for a signal of so many points, or its spectrum */
    const LsFft *fft;
} SsmPlan;

/* In accs: (N, padded) each: a and w; (2 N, padded) of each stream: states, or carries; of the first step's start; with
 * a carry: what all steps make of zero, and |a|^T; (batches or 1, 4 N + 1, padded): sums for the gradients of a, w and
 * D. Transforms: the kernel's, of all channels; for each thread columns of signals (signal_numbers). */
typedef struct SsmScratch {
    acc *ar, *ai, *wr, *wi, *x, *decay, *sum, *sums;
    acc *kernel, *signals;
    int64_t count;
} SsmScratch;

static const SsmAttr *attr_of(const LsNode *node) { return node->attr; }

static SsmPlan plan_of(const LsNode *node)
{
    const LsTensor *u = node->in[U];
    SsmPlan p = {.streams = u->dim[0], .steps = u->dim[1], .channels = u->dim[2], .modes = node->in[A_LOG]->dim[1]};
    p.tiles = ls_ceil_div(p.channels, SSM_TILE);
    p.padded = p.tiles * SSM_TILE;
    p.chunks = ls_ceil_div(p.steps, SSM_CHUNK);
    p.batches = ls_ceil_div(SSM_WANTED_PIECES, p.tiles);
    p.batches = p.batches < p.streams ? p.batches : p.streams;
    if (attr_of(node)->form == LS_SSM_CONVOLUTION && !node->in[STATE]) {
        p.points = ls_fft_points(2 * p.steps - 1);
        p.row = ls_fft_row(p.points);
        p.fft = ls_fft_plan(SSM_FFT_TYPE, p.points);
    }
    return p;
}

static bool carries_over(const LsNode *node) { return node->in[STATE] && node->in[STATE]->role == LS_ROLE_CARRY; }

/* Numbers of a thread: a column of signals; in backward also one of their gradients, and one of the kernel's
 * spectra. */
static int64_t signal_numbers(const SsmPlan *p, bool backward) { return (backward ? 3 : 1) * p->row * LS_LANES; }

static SsmScratch scratch_of(const LsNode *node, const SsmPlan *p, bool backward)
{
    SsmScratch s = {0};
    acc *base = node->scratch;
    int64_t mode = p->modes * p->padded, state = p->points ? 0 : 2 * p->streams * mode;
    s.ar = ls_scratch_block(base, &s.count, mode);
    s.ai = ls_scratch_block(base, &s.count, mode);
    s.wr = ls_scratch_block(base, &s.count, mode);
    s.wi = ls_scratch_block(base, &s.count, mode);
    s.x = ls_scratch_block(base, &s.count, p->points ? 2 * mode : state);
    s.decay = ls_scratch_block(base, &s.count, carries_over(node) ? state : 0);
    s.sum = ls_scratch_block(base, &s.count, carries_over(node) ? state : 0);
    s.sums =
        ls_scratch_block(base, &s.count, backward ? (p->points ? 1 : p->batches) * (4 * p->modes + 1) * p->padded : 0);
    s.kernel = ls_scratch_block(base, &s.count, p->row * p->padded);
    s.signals = ls_scratch_block(base, &s.count, ls_threads() * signal_numbers(p, backward));
    return s;
}

/* Threads that there is room for: as many as there were when the graph was planned. */
static int signal_threads(const LsNode *node, const SsmPlan *p, const SsmScratch *s, bool backward)
{
    int64_t bytes = backward ? node->scratch_backward : node->scratch_forward;
    int64_t room = (bytes / (int64_t)sizeof(acc) - (s->signals - (acc *)node->scratch)) / signal_numbers(p, backward);
    return ls_threads() < room ? ls_threads() : (int)room;
}

/* One tile of channels, of some streams. */
typedef struct SsmPiece {
    int64_t batch, first_stream, end_stream, channel, width;
} SsmPiece;

static int64_t pieces_of(const SsmPlan *p) { return p->batches * p->tiles; }

static SsmPiece piece_of(const SsmPlan *p, int64_t index)
{
    SsmPiece k = {.batch = index / p->tiles, .channel = index % p->tiles * SSM_TILE};
    k.first_stream = k.batch * p->streams / p->batches;
    k.end_stream = (k.batch + 1) * p->streams / p->batches;
    k.width = p->channels - k.channel < SSM_TILE ? p->channels - k.channel : SSM_TILE;
    return k;
}

static SsmColumn column_of(const SsmPlan *p, const SsmScratch *s, int64_t channel)
{
    return (SsmColumn){s->ar + channel, s->ai + channel, s->wr + channel, s->wi + channel, p->modes, p->padded};
}

/* a and w of all modes; those of channels that do not exist are zero. */
static void prepare_modes(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
#pragma omp parallel for schedule(static) if (p->padded * p->modes > 256)
    for (int64_t e = 0; e < p->padded; e++)
        for (int64_t n = 0; n < p->modes; n++) {
            SsmMode m = {0};
            if (e < p->channels)
                m = ssm_mode(node, attr_of(node)->rule, e, n);
            SsmNumber w = m.scale * m.out * m.b;
            s->ar[n * p->padded + e] = (acc)creal(m.a);
            s->ai[n * p->padded + e] = (acc)cimag(m.a);
            s->wr[n * p->padded + e] = (acc)creal(w);
            s->wi[n * p->padded + e] = (acc)cimag(w);
        }
}

/* A vector of D from `channel` on, of which `lanes` exist. */
LS_INLINE vacc skip_of(const LsNode *node, int64_t channel, int64_t lanes)
{
    const acc *skip = (const acc *)node->in[SKIP]->data + channel;
    return lanes >= LS_LANES ? ls_load_acc(skip) : ls_load_acc_part(skip, lanes > 0 ? lanes : 0);
}

/* `steps` rows of a column of x: (B, T, E) of which `lanes` channels exist, from one of its numbers on. */
static inline void load_column(const real *x, int64_t steps, int64_t stride, int64_t lanes, vacc *to)
{
    for (int64_t t = 0; t < steps; t++)
        to[t] = ls_load_upto(x + t * stride, lanes);
}

#endif
