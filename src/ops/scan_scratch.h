/* The selective scan's inputs by number, and what its scratch memory holds. */
#ifndef LS_OPS_SCAN_SCRATCH_H
#define LS_OPS_SCAN_SCRATCH_H

#include "ops/op_build.h"
#include "ops/scan_cut.h"
#include "ops/scratch.h"

enum { U, DELTA, BIAS, A_LOG, BC, SKIP, GATE, STATE };

/* In accs. */
typedef struct Scratch {
    acc *rate, *bias, *skip; /* (N, padded): A log2 e; (padded); (padded) */
    acc *h;                  /* (batches or streams, parts, N, padded): states in forward, carries in backward */
    acc *delta_sum;          /* (streams, parts, padded), only where there are parts */
    acc *sums;               /* backward: (batches, parts, N + 2, padded) for A, D, bias */
    acc *dbc;                /* backward: (groups, B, T, 2 N) */
    acc *start;              /* (B, N, padded): what the first part starts from */
    /* (B, N, padded) each, with a carry: all parts together make sum of zero and decay a start by decay */
    acc *decay, *sum;
    int64_t count;
} Scratch;

/* The state is a carry: other parts of the time, maybe of other ranks, come before and after this one. */
static bool carries_over(const LsNode *node) { return node->in[STATE] && node->in[STATE]->role == LS_ROLE_CARRY; }

static Scratch scratch_of(const LsNode *node, const Cut *c, bool backward)
{
    Scratch s = {0};
    acc *base = node->scratch;
    int64_t state = c->states * c->padded;
    s.rate = ls_scratch_block(base, &s.count, state);
    s.bias = ls_scratch_block(base, &s.count, c->padded);
    s.skip = ls_scratch_block(base, &s.count, c->padded);
    s.h = ls_scratch_block(base, &s.count, c->streams * c->parts * state);
    bool carries = carries_over(node);
    s.delta_sum = ls_scratch_block(base, &s.count, c->parts > 1 || carries ? c->streams * c->parts * c->padded : 0);
    s.start = ls_scratch_block(base, &s.count, c->streams * state);
    s.decay = ls_scratch_block(base, &s.count, carries ? c->streams * state : 0);
    s.sum = ls_scratch_block(base, &s.count, carries ? c->streams * state : 0);
    if (backward) {
        s.sums = ls_scratch_block(base, &s.count, c->batches * c->parts * (state + 2 * c->padded));
        s.dbc = ls_scratch_block(base, &s.count, c->groups * c->streams * c->steps * 2 * c->states);
    }
    return s;
}

#endif
