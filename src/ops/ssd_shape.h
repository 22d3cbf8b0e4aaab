/* The state-space dual scan's inputs by number, its shapes, how its work is cut, and what its scratch memory holds; a
 * part of src/ops/ssd_scan.c. */
#ifndef LS_OPS_SSD_SHAPE_H
#define LS_OPS_SSD_SHAPE_H

#include "ops/op_build.h"
#include "ops/scratch.h"
#include "ops/tile.h"

enum { XBC, DELTA, BIAS, A_LOG, SKIP, STATE };

enum {
    SSD_CHUNK = 64,    /* steps that are multiplied out; a multiple of the tiles' columns in every build */
    SSD_COLUMNS = 128, /* channels of a piece at least, where a group has as many */
    SSD_PIECES = 32,   /* pieces to aim at: enough for 16 cores */
    SSD_SHARED = 8192  /* elements above which a loop is shared among threads */
};

/* The node's attributes. */
typedef struct Ssd {
    int64_t groups, states, first; /* G, N; column of delta that is the first head's */
    double low, high;              /* limits of step sizes */
} Ssd;

typedef struct Shape {
    int64_t streams, steps, heads, size, groups, states; /* B, T, H, P, G, N */
    int64_t channels, row;                               /* E = H P; columns of xbc: E + 2 G N */
    int64_t delta_row, first;                            /* columns of delta; the first head's */
    int64_t chunks, padded_steps;                        /* of the time; T in whole chunks */
    int64_t blocks, block_heads;                         /* of a group's heads; heads of a block at most */
    int64_t padded_size, padded_states;                  /* P and N in whole vectors */
    acc low, high;
    bool carries; /* the state is a carry: other parts of the time come before and after this one */
} Shape;

/* Streams, chunks and groups are pieces; where these are few, a group's heads are cut too. A function of the shape. */
static Shape shape_of(const LsNode *node)
{
    const Ssd *ssd = node->attr;
    const LsTensor *xbc = node->in[XBC], *delta = node->in[DELTA];
    Shape s = {.streams = xbc->dim[0], .steps = xbc->dim[1], .heads = node->in[A_LOG]->dim[0]};
    s.groups = ssd->groups;
    s.states = ssd->states;
    s.row = xbc->dim[2];
    s.channels = s.row - 2 * s.groups * s.states;
    s.size = s.channels / s.heads;
    s.delta_row = delta->dim[2];
    s.first = ssd->first;
    s.chunks = ls_ceil_div(s.steps, SSD_CHUNK);
    s.padded_steps = s.chunks * SSD_CHUNK;
    int64_t heads = s.heads / s.groups, most = ls_ceil_div(heads * s.size, SSD_COLUMNS);
    s.blocks = ls_ceil_div(SSD_PIECES, s.streams * s.chunks * s.groups);
    s.blocks = s.blocks < most ? s.blocks : most;
    s.block_heads = ls_ceil_div(heads, s.blocks);
    s.blocks = ls_ceil_div(heads, s.block_heads);
    s.padded_size = LS_ROUND_UP(s.size, LS_LANES);
    s.padded_states = LS_ROUND_UP(s.states, LS_LANES);
    s.low = (acc)ssd->low;
    s.high = (acc)ssd->high;
    s.carries = node->in[STATE] && node->in[STATE]->role == LS_ROLE_CARRY;
    return s;
}

/* Some heads of one group, in one chunk of one stream. */
typedef struct Piece {
    int64_t stream, chunk, group, block;
    int64_t first_row, steps;       /* b T + t of its first step; steps */
    int64_t head, heads, at, width; /* first head; channels from `at` on, heads P of them */
} Piece;

static int64_t piece_count(const Shape *s) { return s->streams * s->chunks * s->groups * s->blocks; }

static Piece piece_of(const Shape *s, int64_t index)
{
    int64_t group_heads = s->heads / s->groups;
    Piece p = {.block = index % s->blocks, .group = index / s->blocks % s->groups};
    index /= s->blocks * s->groups;
    p.chunk = index % s->chunks;
    p.stream = index / s->chunks;
    p.first_row = p.stream * s->steps + p.chunk * SSD_CHUNK;
    p.steps = s->steps - p.chunk * SSD_CHUNK < SSD_CHUNK ? s->steps - p.chunk * SSD_CHUNK : SSD_CHUNK;
    int64_t first = p.block * s->block_heads;
    p.heads = group_heads - first < s->block_heads ? group_heads - first : s->block_heads;
    p.head = p.group * group_heads + first;
    p.at = p.head * s->size;
    p.width = p.heads * s->size;
    return p;
}

/* A step's number among those of head h of stream b, in whole chunks. */
static int64_t step_at(const Shape *s, int64_t b, int64_t head, int64_t chunk)
{
    return (b * s->heads + head) * s->padded_steps + chunk * SSD_CHUNK;
}

/* Where a piece's x, B and C begin in xbc, or in its gradient. */
static int64_t x_at(const Shape *s, const Piece *p) { return p->first_row * s->row + p->at; }
static int64_t b_at(const Shape *s, const Piece *p)
{
    return p->first_row * s->row + s->channels + p->group * s->states;
}
static int64_t c_at(const Shape *s, const Piece *p) { return b_at(s, p) + s->groups * s->states; }

/* States of a chunk's start or end: (N, E) each. */
static int64_t state_at(const Shape *s, const Piece *p)
{
    return (p->stream * s->chunks + p->chunk) * s->states * s->channels + p->at;
}

/* ---- Scratch ----------------------------------------------------------------------------------------------------- */

/* A thread's own scratch memory. Blocks of a head have rows of whole vectors. */
typedef struct Room {
    real *scaled;                     /* (chunk, width): rows times what belongs to their head and step */
    real *left, *right;               /* bfloat16: states at the chunk's start, gradients at its end: (N, width) */
    acc *off, *off_end;               /* (chunk, width): C h, B dL/dh */
    acc *products, *weights, *scores; /* (chunk, chunk) */
    acc *all;                         /* (chunk, chunk): sums over the heads */
    acc *x, *y, *dy;                  /* (chunk, padded P) */
    acc *turned;                      /* (padded P, chunk) in panels of LS_TILE_COLUMNS */
    acc *b, *c, *db, *dc;             /* (chunk, padded N) */
    acc *line;                        /* (LINES, chunk) */
} Room;

enum { LINES = 8 };

typedef struct Scratch {
    acc *delta, *slope;  /* (B, H, padded T): step sizes; backward: by how much raw ones move them */
    acc *coarse, *fine;  /* (B, H, padded T): log2 of the decay from before the chunk's first step, in two parts */
    acc *whole;          /* (B, H, chunks): a chunk's decay */
    acc *states;         /* (B, chunks, N, E): forward without borders, or gradients of the chunks' ends */
    acc *start;          /* (B, N, E): what the first chunk starts from */
    acc *sum, *decay;    /* (B, N, E): carries: all chunks together */
    acc *sums;           /* backward: (B, chunks, H, SUMS) for A_log, D, bias */
    acc *dbc;            /* backward: (blocks, B, T, 2 G N), where there are several blocks */
    acc *rooms;          /* (threads, room) */
    int64_t room, count; /* of one thread; of all */
} Scratch;

enum { SUM_A, SUM_SKIP, SUM_BIAS, SUMS };

static real *take_real(acc *base, int64_t *at, int64_t count)
{
    return (real *)ls_scratch_block(base, at, ls_ceil_div(count * (int64_t)sizeof(real), (int64_t)sizeof(acc)));
}

static Room room_of(const Shape *s, acc *base, bool backward, int64_t *count)
{
    const int64_t chunk = SSD_CHUNK, width = s->block_heads * s->size, square = chunk * chunk;
    Room r = {0};
    *count = 0;
    r.scaled = take_real(base, count, chunk * width);
    if (sizeof(real) != sizeof(acc)) {
        r.left = take_real(base, count, s->states * width);
        r.right = take_real(base, count, backward ? s->states * width : 0);
    }
    r.off = ls_scratch_block(base, count, chunk * width);
    r.products = ls_scratch_block(base, count, square);
    r.weights = ls_scratch_block(base, count, square);
    r.x = ls_scratch_block(base, count, chunk * s->padded_size);
    r.y = ls_scratch_block(base, count, chunk * s->padded_size);
    r.line = ls_scratch_block(base, count, LINES * chunk);
    if (!backward)
        return r;
    r.off_end = ls_scratch_block(base, count, chunk * width);
    r.scores = ls_scratch_block(base, count, square);
    r.all = ls_scratch_block(base, count, square);
    r.dy = ls_scratch_block(base, count, chunk * s->padded_size);
    r.turned = ls_scratch_block(base, count, chunk * s->padded_size);
    r.b = ls_scratch_block(base, count, chunk * s->padded_states);
    r.c = ls_scratch_block(base, count, chunk * s->padded_states);
    r.db = ls_scratch_block(base, count, chunk * s->padded_states);
    r.dc = ls_scratch_block(base, count, chunk * s->padded_states);
    return r;
}

/* keeps: the states at the chunks' starts are a result of the node. */
static Scratch scratch_of(const LsNode *node, const Shape *s, bool keeps, bool backward)
{
    Scratch k = {0};
    acc *base = node->scratch;
    int64_t lines = s->streams * s->heads * s->padded_steps, state = s->streams * s->states * s->channels;
    k.delta = ls_scratch_block(base, &k.count, lines);
    k.coarse = ls_scratch_block(base, &k.count, lines);
    k.fine = ls_scratch_block(base, &k.count, lines);
    k.whole = ls_scratch_block(base, &k.count, lines / SSD_CHUNK);
    k.states = ls_scratch_block(base, &k.count, backward || !keeps ? s->chunks * state : 0);
    k.start = ls_scratch_block(base, &k.count, state);
    k.sum = ls_scratch_block(base, &k.count, s->carries ? state : 0);
    k.decay = ls_scratch_block(base, &k.count, s->carries ? state : 0);
    if (backward) {
        k.slope = ls_scratch_block(base, &k.count, lines);
        k.sums = ls_scratch_block(base, &k.count, s->streams * s->chunks * s->heads * SUMS);
        k.dbc = ls_scratch_block(base, &k.count,
                                 s->blocks > 1 ? s->blocks * s->streams * s->steps * 2 * s->groups * s->states : 0);
    }
    room_of(s, NULL, backward, &k.room);
    k.rooms = base ? base + k.count : NULL;
    return k;
}

#endif
