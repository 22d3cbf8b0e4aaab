/* The recurrence over the parts of the time, and over the ranks that share it: each part's end state from zero and its
 * decay product are one step. */
#ifndef LS_OPS_SCAN_CHAIN_H
#define LS_OPS_SCAN_CHAIN_H

#include "ops/op_build.h"
#include "ops/scan_scratch.h"

/* Elements above which a loop is shared: one step of 1,536 channels, which a token of a stream costs, is. */
#define WORTH_THREADS 8192

static acc *h_of(const Cut *c, const Scratch *s, int64_t b, int64_t part)
{
    return s->h + (b * c->parts + part) * c->states * c->padded;
}

static bool worth_threads(const Cut *c) { return c->streams * c->steps * c->padded * c->states > WORTH_THREADS; }

/* One vector of channels of one state of one stream. */
typedef struct Lane {
    int64_t b, channel, at, place; /* stream; first channel; in a (N, padded) array; in a (B, N, padded) array */
} Lane;

static int64_t lanes_of(const Cut *c) { return c->streams * c->states * (c->padded / LS_LANES); }

static Lane lane_at(const Cut *c, int64_t i)
{
    int64_t vectors = c->padded / LS_LANES, n = i / vectors % c->states;
    Lane lane = {.b = i / vectors / c->states, .channel = i % vectors * LS_LANES};
    lane.at = n * c->padded + lane.channel;
    lane.place = lane.b * c->states * c->padded + lane.at;
    return lane;
}

static vacc deltas_of(const Cut *c, const Scratch *s, const Lane *lane, int64_t part)
{
    return ls_load_acc(s->delta_sum + (lane->b * c->parts + part) * c->padded + lane->channel);
}

/* h of every part from its summary (what it makes of zero) to what it starts from: x_p = P_{p-1} x_{p-1} +
 * summary_{p-1} with decay products P, in the parts' order from s->start or, in reverse, from the last part to the
 * first. */
static void chain_parts(const Cut *c, const Scratch *s, bool reverse)
{
#pragma omp parallel for schedule(static) if (worth_threads(c))
    for (int64_t i = 0; i < lanes_of(c); i++) {
        Lane lane = lane_at(c, i);
        vacc rate = ls_load_acc(s->rate + lane.at), x = ls_load_acc(s->start + lane.place);
        for (int64_t j = 0; j < c->parts; j++) {
            int64_t part = reverse ? c->parts - 1 - j : j;
            acc *h = h_of(c, s, lane.b, part) + lane.at;
            vacc summary = ls_load_acc(h);
            ls_store_acc(h, x);
            if (j + 1 < c->parts)
                x = summary + x * ls_decay(rate * deltas_of(c, s, &lane, part));
        }
    }
}

/* Over the ranks that share this part of the time: every rank's parts together are one step of the same recurrence; it
 * turns s->start, right on the rank that is the first, into what each rank starts from. */
static LsStatus chain_ranks(const LsRun *run, const Cut *c, const Scratch *s, bool reverse)
{
#pragma omp parallel for schedule(static) if (worth_threads(c))
    for (int64_t i = 0; i < lanes_of(c); i++) {
        Lane lane = lane_at(c, i);
        vacc rate = ls_load_acc(s->rate + lane.at), x = {0}, all = {0};
        for (int64_t j = 0; j < c->parts; j++) {
            int64_t part = reverse ? c->parts - 1 - j : j;
            vacc deltas = deltas_of(c, s, &lane, part);
            x = ls_load_acc(h_of(c, s, lane.b, part) + lane.at) + x * ls_decay(rate * deltas);
            all += deltas;
        }
        ls_store_acc(s->sum + lane.place, x);
        ls_store_acc(s->decay + lane.place, ls_decay(rate * all));
    }
    return run->sequence->scan(run->sequence, s->start, s->decay, s->sum, c->streams * c->states * c->padded,
                               sizeof(acc) == 8, reverse);
}

#endif
