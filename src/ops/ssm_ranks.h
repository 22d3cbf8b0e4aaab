/* The states at the borders between ranks that share a sequence. LsComm.scan chains x_{r+1} = decay_r x_r + add_r
 * number by number, but a rank's decay a^T is complex. So the chain runs in a frame that turns with each mode: with a =
 * |a| e^(i theta), the numbers x e^(-i theta t) decay by |a|^T, which is real. */
#ifndef LS_OPS_SSM_RANKS_H
#define LS_OPS_SSM_RANKS_H

#include "ops/ssm_plan.h"

/* States x: (B, 2 N, padded) times e^(i theta_n turns), theta_n being the angle of a. */
static void turn(const SsmPlan *p, const SsmScratch *s, acc *x, double turns)
{
#pragma omp parallel for schedule(static) if (p->modes * p->padded > 256)
    for (int64_t i = 0; i < p->modes * p->padded; i++) {
        double angle = remainder(atan2((double)s->ai[i], (double)s->ar[i]) * turns, 2 * M_PI);
        double c = cos(angle), k = sin(angle);
        for (int64_t b = 0; b < p->streams; b++) {
            acc *re = x + 2 * b * p->modes * p->padded + i, *im = re + p->modes * p->padded;
            double a = (double)*re, d = (double)*im;
            *re = (acc)(a * c - d * k);
            *im = (acc)(a * k + d * c);
        }
    }
}

static void fill_decay(const SsmPlan *p, const SsmScratch *s)
{
#pragma omp parallel for schedule(static) if (p->modes * p->padded > 256)
    for (int64_t i = 0; i < p->modes * p->padded; i++) {
        double size = hypot((double)s->ar[i], (double)s->ai[i]);
        acc decay = (acc)pow(size, (double)p->steps);
        for (int64_t j = 0; j < 2 * p->streams; j++)
            s->decay[j * p->modes * p->padded + i] = decay;
    }
}

/* s->x, right on the first rank, becomes what each rank starts from; s->sum: what each makes of zero. In reverse the
 * first is the last rank, and carries turn the other way. */
static LsStatus chain_ranks(const LsRun *run, const SsmPlan *p, const SsmScratch *s, bool reverse)
{
    const LsComm *ranks = run->sequence;
    double before = (double)((reverse ? ranks->size - 1 - ranks->rank : ranks->rank) * p->steps);
    fill_decay(p, s);
    turn(p, s, s->sum, (reverse ? 1 : -1) * (before + (double)p->steps));
    LS_TRY(
        ranks->scan(ranks, s->x, s->decay, s->sum, 2 * p->streams * p->modes * p->padded, sizeof(acc) == 8, reverse));
    turn(p, s, s->x, (reverse ? -1 : 1) * before);
    return LS_OK;
}

#endif
