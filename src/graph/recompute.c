/* Chooses the results that are dropped after forward and recomputed in backward, so that the arena keeps to a limit.
 *
 * A node that is dropped is recomputed at most once, just before the first backward that needs it, along with
 * whatever dropped nodes it needs itself. Two choices span the candidates. Cheap nodes go before costly ones: those
 * whose forward costs at most so many seconds for each byte of their results. And forward is cut into segments,
 * whose borders stay: without borders a chain recomputed would be there as a whole at one time, with one for every
 * node nothing would be dropped; the square root of the nodes lies between (Chen, Xu, Zhang, Guestrin 2016,
 * "Training deep nets with sublinear memory cost"). Every pair of the two is evaluated by the bytes that then live at
 * the fullest time. The cheapest pair that fits is refined: node by node, from the costliest for its bytes, what need
 * not be dropped is kept. */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

/* The balance of a typical processor: its time for a node is that of the operations or of the bytes, whichever is
 * more. One for all processors, since ranks on unlike ones are to plan alike. */
#define PRODUCTS_PER_SECOND 6e11 /* operations of dense products in float; twice as many in bfloat16 */
#define OTHERS_PER_SECOND 1.6e11
#define BYTES_PER_SECOND 2e10

#define MOST_THRESHOLDS 24
#define MOST_SEGMENTS 64 /* numbers of them that are tried */
#define REFINED 4        /* of the cheapest pairs that fit */
#define TARGETS 12       /* tries to meet the limit after layout */
#define WORK 30e6        /* node visits of all refining: keeps planning of very deep graphs short */

/* Drops by one threshold and number of segments, and what they come to. */
typedef struct Candidate {
    double seconds;
    int64_t live;
    int threshold, segments;
} Candidate;

typedef struct Search {
    LsGraph *g;
    bool *can;                /* (nodes) may be dropped */
    bool *best;               /* (nodes) the cheapest set that fits */
    bool *base;               /* (nodes) while refining */
    bool *borders;            /* (nodes) cross a border, while marking */
    double *seconds;          /* (nodes) of forward */
    double *seconds_per_byte; /* (nodes) seconds for each byte of results */
    int64_t *bytes;           /* (nodes) of results */
    int64_t *crossing;        /* (nodes + 1) bytes of results of nodes before i that nodes from i on read in forward */
    int *last;                /* (nodes) that reads a result in forward */
    int *order;               /* (nodes) costliest first */
    Candidate *candidate;     /* (MOST_THRESHOLDS MOST_SEGMENTS) */
    int candidates;
    double threshold[MOST_THRESHOLDS];
    int thresholds;
    double work;
    int64_t least; /* bytes that live in the smallest set seen */
} Search;

double ls_plan_seconds(const LsNode *node)
{
    LsCost forward = {0}, backward = {0};
    if (node->op->cost)
        node->op->cost(node, &forward, &backward);
    double products = node->graph->options.precision == LS_BFLOAT16 ? 2 * PRODUCTS_PER_SECOND : PRODUCTS_PER_SECOND;
    double compute = forward.products / products + (forward.flops - forward.products) / OTHERS_PER_SECOND;
    double move = forward.bytes / BYTES_PER_SECOND;
    return compute > move ? compute : move;
}

/* ---- What there is to choose from ---- */

bool ls_plan_can_drop(const LsGraph *g, int n)
{
    const LsNode *node = g->node[n];
    LsCollective collective = node->op->collective;
    for (int i = 0; i < node->inputs; i++)
        if (node->in[i] && (node->in[i]->role == LS_ROLE_STATE ||
                            (node->in[i]->role == LS_ROLE_CARRY && collective == LS_COLLECTIVE_WITH_CARRY)))
            return false;
    if (collective == LS_COLLECTIVE)
        return false;
    for (int i = 0; i < node->outputs; i++)
        if (g->tensor_plan[node->out[i]->id].kept || g->tensor_plan[node->out[i]->id].aliases_grad_of)
            return false;
    return node->outputs > 0;
}

static int costliest_first(const void *a, const void *b, void *self)
{
    const Search *s = self;
    int i = *(const int *)a, j = *(const int *)b;
    if (s->seconds_per_byte[i] != s->seconds_per_byte[j])
        return s->seconds_per_byte[i] > s->seconds_per_byte[j] ? -1 : 1;
    return j - i; /* late nodes first: they are needed again soon after forward */
}

static void find_crossing(Search *s)
{
    const LsGraph *g = s->g;
    for (int n = 0; n < g->nodes; n++) {
        s->last[n] = n;
        for (int i = 0; i < g->node[n]->inputs; i++) {
            int producer = g->node[n]->in[i] ? g->tensor_plan[g->node[n]->in[i]->id].producer : -1;
            if (producer >= 0)
                s->last[producer] = n;
        }
    }
    for (int n = 0; n < g->nodes; n++) {
        s->crossing[n + 1] += s->bytes[n];
        s->crossing[s->last[n] + 1] -= s->bytes[n];
    }
    for (int n = 1; n <= g->nodes; n++)
        s->crossing[n] += s->crossing[n - 1];
}

/* Evenly spread over the nodes in order of what they cost for each byte; the last takes in all. */
static void find_thresholds(Search *s)
{
    int count = s->g->nodes;
    for (int i = 0; i < MOST_THRESHOLDS; i++) {
        double value =
            s->seconds_per_byte[s->order[(int64_t)(count - 1) * (MOST_THRESHOLDS - 1 - i) / (MOST_THRESHOLDS - 1)]];
        if (s->thresholds == 0 || value > s->threshold[s->thresholds - 1])
            s->threshold[s->thresholds++] = value;
    }
}

static LsStatus prepare(Search *s)
{
    LsGraph *g = s->g;
    int64_t count = g->nodes + 1;
    s->can = ls_alloc_array(count, sizeof *s->can);
    s->best = ls_alloc_array(count, sizeof *s->best);
    s->base = ls_alloc_array(count, sizeof *s->base);
    s->borders = ls_alloc_array(count, sizeof *s->borders);
    s->seconds = ls_alloc_array(count, sizeof *s->seconds);
    s->seconds_per_byte = ls_alloc_array(count, sizeof *s->seconds_per_byte);
    s->bytes = ls_alloc_array(count, sizeof *s->bytes);
    s->crossing = ls_alloc_array(count + 1, sizeof *s->crossing);
    s->last = ls_alloc_array(count, sizeof *s->last);
    s->order = ls_alloc_array(count, sizeof *s->order);
    s->candidate = ls_alloc_array(MOST_THRESHOLDS * MOST_SEGMENTS, sizeof *s->candidate);
    if (!s->can || !s->best || !s->base || !s->borders || !s->seconds || !s->seconds_per_byte || !s->bytes ||
        !s->crossing || !s->last || !s->order || !s->candidate)
        return LS_RESOURCE;
    for (int n = 0; n < g->nodes; n++) {
        s->can[n] = ls_plan_can_drop(g, n);
        s->seconds[n] = ls_plan_seconds(g->node[n]);
        for (int i = 0; i < g->node[n]->outputs; i++)
            s->bytes[n] += ls_tensor_bytes(g, g->node[n]->out[i]);
        s->seconds_per_byte[n] = s->seconds[n] / (double)(s->bytes[n] + 1);
        s->order[n] = n;
    }
    qsort_r(s->order, (size_t)g->nodes, sizeof *s->order, costliest_first, s);
    find_thresholds(s);
    find_crossing(s);
    return LS_OK;
}

static void release(Search *s)
{
    ls_free(s->can);
    ls_free(s->best);
    ls_free(s->base);
    ls_free(s->borders);
    ls_free(s->seconds);
    ls_free(s->seconds_per_byte);
    ls_free(s->bytes);
    ls_free(s->crossing);
    ls_free(s->last);
    ls_free(s->order);
    ls_free(s->candidate);
}

/* ---- Evaluation ---- */

/* Bytes and seconds of the drops that stand in the nodes' plans. */
static LsStatus evaluate(Search *s, int64_t *live, double *seconds)
{
    LsGraph *g = s->g;
    LS_TRY(ls_plan_blocks(g));
    *live = ls_plan_live(g);
    *seconds = 0;
    for (int at = 0; at < g->recomputes; at++)
        *seconds += s->seconds[g->recompute[at]];
    s->least = *live < s->least ? *live : s->least;
    s->work += g->nodes;
    return LS_OK;
}

/* Drops all nodes up to a threshold, but for results that cross a border between segments. Borders lie where few bytes
 * cross, each segment with about an equal share of the bytes. */
static void mark(Search *s, int threshold, int segments)
{
    LsGraph *g = s->g;
    double all = 0, sum = 0;
    for (int n = 0; n < g->nodes; n++) {
        g->node_plan[n].dropped = s->can[n] && s->seconds_per_byte[n] <= s->threshold[threshold];
        all += g->node_plan[n].dropped ? (double)s->bytes[n] : 0;
    }
    double share = all / segments;
    for (int k = 1, n = 0, from = 0; k < segments; k++) {
        int border = -1;
        for (; n < g->nodes && (border < 0 || sum <= share * (k + 1.0 / 3)); n++) {
            sum += g->node_plan[n].dropped ? (double)s->bytes[n] : 0;
            if (sum >= share * (k - 1.0 / 3) && (border < 0 || s->crossing[n + 1] < s->crossing[border]))
                border = n + 1;
        }
        for (int m = from; m < border; m++)
            if (s->last[m] >= border)
                s->borders[m] = true;
        from = border > from ? border : from;
    }
    for (int n = 0; n < g->nodes; n++) {
        g->node_plan[n].dropped = g->node_plan[n].dropped && !s->borders[n];
        s->borders[n] = false;
    }
}

static void save_choice(Search *s, bool *to)
{
    for (int n = 0; n < s->g->nodes; n++)
        to[n] = s->g->node_plan[n].dropped;
}

static void restore_choice(Search *s, const bool *from)
{
    for (int n = 0; n < s->g->nodes; n++)
        s->g->node_plan[n].dropped = from[n];
}

/* ---- The search ---- */

/* Keeps what need not be dropped, from the costliest: runs of nodes that grow while all of a run can be kept and shrink
 * where not. */
static LsStatus refine(Search *s, int64_t target, double *seconds)
{
    LsGraph *g = s->g;
    int64_t live;
    save_choice(s, s->base);
    for (int at = 0, run = 1; at < g->nodes && s->work < WORK;) {
        int end = at + run < g->nodes ? at + run : g->nodes, changed = 0;
        for (int i = at; i < end; i++) {
            changed += g->node_plan[s->order[i]].dropped;
            g->node_plan[s->order[i]].dropped = false;
        }
        if (changed)
            LS_TRY(evaluate(s, &live, seconds));
        if (!changed || live <= target) {
            for (int i = at; i < end; i++)
                s->base[s->order[i]] = false;
            at = end;
            run *= 2;
            continue;
        }
        restore_choice(s, s->base);
        at += run == 1;
        run = run > 1 ? run / 2 : 1;
    }
    restore_choice(s, s->base);
    return evaluate(s, &live, seconds);
}

static LsStatus try_all(Search *s)
{
    for (int threshold = 0; threshold < s->thresholds; threshold++)
        for (int i = 0, segments = 1; i < MOST_SEGMENTS && segments <= s->g->nodes; i++, segments += 1 + segments / 4) {
            Candidate *c = &s->candidate[s->candidates++];
            *c = (Candidate){.threshold = threshold, .segments = segments};
            mark(s, threshold, segments);
            LS_TRY(evaluate(s, &c->live, &c->seconds));
        }
    s->work = 0;
    return LS_OK;
}

static int cheapest_first(const void *a, const void *b)
{
    const Candidate *x = a, *y = b;
    if (x->seconds != y->seconds)
        return x->seconds < y->seconds ? -1 : 1;
    if (x->live != y->live)
        return x->live < y->live ? -1 : 1;
    return x->threshold != y->threshold ? x->threshold - y->threshold : x->segments - y->segments;
}

/* The cheapest set of which at most `target` bytes live at a time, in s->best. *found is false where there is none. */
static LsStatus choose(Search *s, int64_t target, bool *found)
{
    double best = 0;
    int refined = 0;
    for (int i = 0; i < s->candidates && refined < REFINED; i++) {
        double seconds;
        const Candidate *c = &s->candidate[i];
        if (c->live > target)
            continue;
        mark(s, c->threshold, c->segments);
        LS_TRY(refine(s, target, &seconds));
        if (refined++ > 0 && seconds >= best)
            continue;
        best = seconds;
        save_choice(s, s->best);
    }
    *found = refined > 0;
    return LS_OK;
}

/* The target after one whose layout took `excess` bytes too many, with `left` more to try: less by the excess, and
 * in the second half of the tries by equal steps down to the least, since the excess of small graphs, alignment,
 * moves the target by nothing that counts. */
static int64_t lower_target(int64_t target, int64_t least, int64_t excess, int left)
{
    int64_t step = left > 0 && left < TARGETS / 2 ? (target - least) / left : 0;
    return target - (step > excess ? step : excess);
}

/* Layout may need a little more than what lives at one time: the target is lowered by it. */
static LsStatus fit(Search *s, int64_t limit)
{
    LsGraph *g = s->g;
    int64_t target = limit;
    LS_TRY(try_all(s));
    qsort(s->candidate, (size_t)s->candidates, sizeof *s->candidate, cheapest_first);
    for (int i = 0; i < TARGETS; i++) {
        bool found;
        LS_TRY(choose(s, target, &found));
        if (!found)
            break;
        restore_choice(s, s->best);
        LS_TRY(ls_plan_blocks(g));
        LS_TRY(ls_plan_arena(g));
        if (g->arena_bytes <= limit)
            return LS_OK;
        target = lower_target(target, s->least, g->arena_bytes - limit, TARGETS - 1 - i);
    }
    return ls_fail(LS_RESOURCE,
                   "activations and scratch take %.1f MiB at least, with all recomputed in backward that can be; %.1f "
                   "MiB are left for them",
                   (double)s->least / 1048576, (double)limit / 1048576);
}

LsStatus ls_plan_fit(LsGraph *g, int64_t limit)
{
    Search s = {.g = g, .least = INT64_MAX};
    LsStatus status = g->options.mode == LS_TRAIN ? prepare(&s) : LS_OK;
    if (status == LS_OK && g->options.mode == LS_TRAIN)
        status = fit(&s, limit);
    else if (status == LS_OK)
        status = ls_fail(LS_RESOURCE, "activations and scratch take %.1f MiB; %.1f MiB are left for them",
                         (double)g->arena_bytes / 1048576, (double)limit / 1048576);
    release(&s);
    return status;
}

LsRecomputed ls_graph_recomputed(const LsGraph *g)
{
    double all = 0, recompute = 0;
    for (int n = 0; n < g->nodes; n++)
        all += ls_plan_seconds(g->node[n]);
    for (int at = 0; at < g->recomputes; at++)
        recompute += ls_plan_seconds(g->node[g->recompute[at]]);
    return (LsRecomputed){.nodes = g->recomputes, .share = all > 0 ? recompute / all : 0};
}
