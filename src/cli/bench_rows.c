#include "cli/bench.h"
#include "cli/dry_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ls_bench_part_names[LS_PARTS] = {"samples",  "forward", "backward",  "summing", "waiting",
                                                   "agreeing", "norm",    "optimizer", "other"};

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* Roofline (Williams, Waterman, Patterson 2009): no less than flops / peak, no less than bytes / bandwidth. */
static double roofline(const LsBench *b, const LsBenchSide *side)
{
    double ranks = b->comm->size, peak = ls_job_products(&b->peak, ls_train_precision(b->config)) / ranks,
           bandwidth = b->peak.bandwidth / ranks;
    if (!(peak > 0 && bandwidth > 0 && side->seconds > 0) || (side->flops == 0 && side->bytes == 0))
        return NAN;
    return fmax(side->flops / peak, side->bytes / bandwidth) * 1e-9 / side->seconds;
}

static LsBenchSide side_of(const LsBench *b, double seconds, LsCost cost, double steps)
{
    LsBenchSide side = {.seconds = seconds / steps, .flops = cost.flops / steps, .bytes = cost.bytes / steps};
    side.roofline = roofline(b, &side);
    return side;
}

static void add_row(LsBench *b, const char *name, double calls, LsBenchSide forward, LsBenchSide backward)
{
    if (b->rows < LS_BENCH_ROWS)
        b->row[b->rows++] = (LsBenchRow){name, calls, forward.seconds + backward.seconds, forward, backward};
}

/* A part of the step outside the graph. */
static void add_part(LsBench *b, const char *name, double seconds, double flops, double bytes)
{
    LsBenchSide side = {.seconds = seconds, .flops = flops, .bytes = bytes};
    side.roofline = roofline(b, &side);
    add_row(b, name, 1, side, (LsBenchSide){.roofline = NAN});
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const LsBenchRow *)a)->seconds, y = ((const LsBenchRow *)b)->seconds;
    return (x < y) - (x > y);
}

static void add_cost(LsCost *to, LsCost from)
{
    to->flops += from.flops;
    to->bytes += from.bytes;
    to->products += from.products;
}

/* One row a kind of op, of all training graphs together. */
static int profile_players(const LsTrainer *t, LsProfile *row, int room)
{
    int rows = ls_graph_profile(t->player[0].graph, row, room);
    for (int player = 1; player < t->players; player++) {
        LsProfile other[LS_BENCH_ROWS];
        int others = ls_graph_profile(t->player[player].graph, other, room);
        for (int i = 0; i < others; i++) {
            int at = 0;
            while (at < rows && strcmp(row[at].name, other[i].name) != 0)
                at++;
            if (at == room)
                continue;
            if (at == rows) {
                row[rows++] = other[i];
                continue;
            }
            row[at].calls += other[i].calls;
            row[at].forward_seconds += other[i].forward_seconds;
            row[at].backward_seconds += other[i].backward_seconds;
            row[at].recompute_seconds += other[i].recompute_seconds;
            add_cost(&row[at].forward, other[i].forward);
            add_cost(&row[at].backward, other[i].backward);
        }
    }
    return rows;
}

static void collect_rows(LsBench *b, const LsBenchRank *own)
{
    const LsTrainer *t = b->trainer;
    LsProfile profile[LS_BENCH_ROWS];
    double steps = (double)t->times.steps, sum = 0, again = 0;
    int kinds = profile_players(t, profile, LS_BENCH_ROWS - 8);
    b->rows = 0;
    for (int i = 0; i < kinds; i++) {
        const LsProfile *p = &profile[i];
        add_row(b, p->name, (double)p->calls / steps, side_of(b, p->forward_seconds, p->forward, steps),
                side_of(b, p->backward_seconds, p->backward, steps));
        again += p->recompute_seconds / steps;
    }
    kinds = t->carry_graph ? ls_graph_profile(t->carry_graph, profile, LS_BENCH_ROWS) : 0;
    for (int i = 0; i < kinds; i++)
        again += profile[i].recompute_seconds / steps;
    double parameters = (double)t->params->total, moments = (double)ls_moments_floats(t->moment);
    double share = 1.0 / ls_buckets_sharing_ranks(t->buckets); /* of the optimiser's work */
    add_part(b, "(samples)", own->part[LS_PART_DATA], 0, 0);
    if (again > 0)
        add_part(b, "(results made again)", again, 0, 0);
    if (b->comm->size > 1) {
        add_part(b, "(sums between nodes)", own->part[LS_PART_SUMMING], 0, 0);
        add_part(b, "(waiting for sums)", own->part[LS_PART_WAITING], 0, 0);
        add_part(b, "(agreeing with ranks)", own->part[LS_PART_AGREEING], 0, 0);
    }
    add_part(b, "(gradient norm)", own->part[LS_PART_NORM], 2 * parameters * share, 4 * parameters * share);
    add_part(b, "(optimizer)", own->part[LS_PART_UPDATE], 0, (12 * parameters + 8 * moments) * share);
    for (int i = 0; i < b->rows; i++)
        sum += b->row[i].seconds;
    add_part(b, "(other)", own->step - sum, 0, 0);
    qsort(b->row, (size_t)b->rows, sizeof *b->row, by_seconds);
}

/* The training graphs' time by place in the model. */
static void collect_places(LsBench *b)
{
    const LsTrainer *t = b->trainer;
    double steps = (double)t->times.steps;
    b->places = 0;
    for (int player = 0; player < t->players; player++) {
        LsProfile profile[LS_BENCH_ROWS];
        int first = b->places, count = ls_graph_profile_scopes(t->player[player].graph, profile, b->place_name + first,
                                                               LS_BENCH_ROWS - first);
        for (int i = 0; i < count; i++) {
            const LsProfile *p = &profile[i];
            LsBenchSide forward = side_of(b, p->forward_seconds, p->forward, steps),
                        backward = side_of(b, p->backward_seconds, p->backward, steps);
            b->place[b->places++] =
                (LsBenchRow){p->name, (double)p->calls / steps, forward.seconds + backward.seconds, forward, backward};
        }
    }
    qsort(b->place, (size_t)b->places, sizeof *b->place, by_seconds);
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

static void own_parts(const LsBench *b, LsBenchRank *own)
{
    const LsTrainTimes *times = &b->trainer->times;
    LsBucketTimes sums = ls_buckets_times(b->trainer->buckets);
    double steps = (double)times->steps, all = 0;
    double seconds[LS_PARTS] = {[LS_PART_DATA] = times->data,
                                [LS_PART_FORWARD] = times->forward,
                                [LS_PART_BACKWARD] = times->backward - sums.inside,
                                [LS_PART_SUMMING] = sums.inside,
                                [LS_PART_WAITING] = times->sums,
                                [LS_PART_AGREEING] = times->agree,
                                [LS_PART_NORM] = times->norm,
                                [LS_PART_UPDATE] = times->update};
    own->step = times->total / steps;
    for (int i = 0; i < LS_PART_OTHER; i++) {
        own->part[i] = seconds[i] / steps;
        all += own->part[i];
    }
    own->part[LS_PART_OTHER] = own->step - all;
    own->in_flight = sums.in_flight / steps;
}

/* The slowest rank computes, then all wait for the sums (what even that rank waits), then for the slowest optimiser. */
static void find_path(LsBench *b)
{
    double most = -1;
    for (int rank = 0; rank < b->comm->size; rank++) {
        const double *part = b->rank[rank].part;
        double computing = part[LS_PART_DATA] + part[LS_PART_FORWARD] + part[LS_PART_BACKWARD] + part[LS_PART_SUMMING];
        if (computing > most) {
            most = computing;
            b->slowest = rank;
        }
    }
    for (int i = 0; i < LS_PARTS; i++) {
        double least = INFINITY, largest = 0;
        for (int rank = 0; rank < b->comm->size; rank++) {
            least = fmin(least, b->rank[rank].part[i]);
            largest = fmax(largest, b->rank[rank].part[i]);
        }
        bool waits = i == LS_PART_WAITING || i == LS_PART_AGREEING, after = i == LS_PART_NORM || i == LS_PART_UPDATE;
        b->path[i] = waits ? least : after ? largest : b->rank[b->slowest].part[i];
    }
}

LsStatus ls_bench_rows(LsBench *b)
{
    enum { FIELDS = sizeof(LsBenchRank) / sizeof(double) };
    LsBenchRank *own = &b->rank[b->comm->rank];
    own_parts(b, own);
    collect_rows(b, own);
    collect_places(b);
    for (int rank = 0; rank < b->comm->size; rank++) /* zeros, but for this rank's: the sum gathers them */
        if (rank != b->comm->rank)
            b->rank[rank] = (LsBenchRank){0};
    LS_TRY(b->comm->allreduce_double(b->comm, (double *)b->rank, (int64_t)FIELDS * b->comm->size));
    find_path(b);
    return LS_OK;
}
