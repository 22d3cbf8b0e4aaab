#include "train/players.h"

#include <string.h>

static bool learns_param(const LsPhase *phase, const LsParam *param)
{
    return !phase->learns || strncmp(param->name, phase->learns, strlen(phase->learns)) == 0;
}

/* The flat range of the parameters that learn. */
static LsStatus find_range(const LsTrainer *t, LsPlayer *player)
{
    const LsParams *params = t->params;
    int first = 0, end = params->count;
    while (first < end && !learns_param(player->phase, &params->list[first]))
        first++;
    while (end > first && !learns_param(player->phase, &params->list[end - 1]))
        end--;
    if (first == end)
        return ls_fail(LS_USAGE,
                       "train.procedure %s: its phase %s learns parameters whose names begin with \"%s\", of which "
                       "model %s has none: take another model.kind",
                       ls_config_procedure(t->config)->name, player->phase->name, player->phase->learns,
                       t->config->model->name);
    for (int i = first; i < end; i++)
        if (!learns_param(player->phase, &params->list[i]))
            return ls_fail(LS_ERROR, "model %s declares %s among the parameters that begin with \"%s\"",
                           t->config->model->name, params->list[i].name, player->phase->learns);
    player->range = (LsRange){0, params->total};
    if (player->phase->learns) {
        const LsParam *last = &params->list[end - 1];
        player->range = (LsRange){params->list[first].offset, last->offset + last->count - params->list[first].offset};
    }
    return LS_OK;
}

/* A training graph of so many steps. */
static LsStatus build_graph(LsTrainer *t, const LsPlayer *player, int64_t steps, LsGraph **graph)
{
    bool first = player == t->player;
    *graph = ls_graph_new(t->params, &(LsGraphOptions){.mode = LS_TRAIN,
                                                       .precision = ls_train_precision(t->config),
                                                       .profile = t->options.profile,
                                                       .single_pass = ls_train_single_pass(&t->plan),
                                                       .arena_limit = first ? t->plan.arena_limit : 0,
                                                       .arena_room = first ? t->plan.arena_room : 0,
                                                       .comm = t->comm,
                                                       .learns = player->phase->learns,
                                                       .segmented = ls_train_carries(&t->plan)});
    if (!*graph)
        return ls_message_status();
    ls_groups_freeze(t->groups, *graph);
    ls_config_build_shape(
        t->config, *graph,
        &(LsShape){
            .batch = t->plan.micro_batch, .sequence = steps, .want = LS_WANT_LOSS, .phase = player->phase->name});
    return LS_OK;
}

static LsStatus build_lengths(LsTrainer *t, LsPlayer *player)
{
    int64_t lengths = t->plan.lengths, step = t->config->train.length_step;
    player->by_length = ls_alloc_array(lengths, sizeof(LsGraph *));
    player->flops = ls_alloc_array(lengths, sizeof *player->flops);
    if (!player->by_length || !player->flops)
        return LS_RESOURCE;
    for (int64_t i = lengths - 1; i >= 0; i--) /* the whole first, which declares the parameters */
        LS_TRY(build_graph(t, player, i + 1 < lengths ? (i + 1) * step : t->plan.segment, &player->by_length[i]));
    player->graph = player->by_length[lengths - 1];
    return LS_OK;
}

LsStatus ls_players_build(LsTrainer *t)
{
    const LsProcedure *procedure = ls_config_procedure(t->config);
    int phases = ls_procedure_phases(procedure);
    if (phases < 1 || phases > LS_MAX_PHASES)
        return ls_fail(LS_ERROR, "train.procedure %s has %d phases: 1 to %d can be", procedure->name, phases,
                       LS_MAX_PHASES);
    if (procedure->self_bytes > 0 && !(t->self = ls_alloc(procedure->self_bytes)))
        return LS_RESOURCE;
    for (int i = 0; i < phases; i++) {
        LsPlayer *player = &t->player[t->players++];
        *player = (LsPlayer){.phase = &procedure->phases[i], .source = t->training};
        player->repeats = ls_phase_repeats(t->config, player->phase);
        LS_TRY(build_lengths(t, player));
    }
    return LS_OK;
}

/* Which rank of the node takes parameter p as a whole: the one with least to do so far, which `load` counts. */
static int choose_rank(const LsParam *p, int64_t *load, int ranks)
{
    int least = 0;
    for (int rank = 1; rank < ranks; rank++)
        least = load[rank] < load[least] ? rank : least;
    load[least] += p->count;
    return least;
}

/* [first, end) but for parameters that are taken as a whole, to the player's ranges. */
static void add_elements(const LsTrainer *t, LsPlayer *player, int64_t first, int64_t end, int *ranges)
{
    bool (*whole)(const LsParam *) = t->optimizer->whole;
    for (int i = 0; whole && i < t->params->count && first < end; i++) {
        const LsParam *p = &t->params->list[i];
        int64_t behind = i + 1 < t->params->count ? p[1].offset : t->params->total;
        if (behind <= first || p->offset >= end || !whole(p))
            continue;
        if (p->offset > first)
            player->owned[(*ranges)++] = (LsRange){first, p->offset - first};
        first = behind;
    }
    if (first < end)
        player->owned[(*ranges)++] = (LsRange){first, end - first};
}

/* Parameters of the player that this rank takes as a whole, to its ranges. */
static LsStatus add_wholes(const LsTrainer *t, LsPlayer *player, int *ranges)
{
    int ranks = ls_buckets_sharing_ranks(t->buckets), own = ls_buckets_sharing_index(t->buckets);
    int64_t *load = ls_alloc_array(ranks, sizeof *load), end = player->range.first + player->range.count;
    for (int i = 0; load && t->optimizer->whole && i < t->params->count; i++) {
        const LsParam *p = &t->params->list[i];
        bool taken = p->offset >= player->range.first && p->offset < end && t->optimizer->whole(p);
        taken = taken && ls_groups_learns(t->groups, p->name);
        if (taken && choose_rank(p, load, ranks) == own) {
            player->owned[(*ranges)++] = (LsRange){p->offset, p->count};
            player->wholes++;
        }
    }
    ls_free(load);
    return load ? LS_OK : LS_RESOURCE;
}

/* The player's shard: its range, cut with the ranges that this rank updates. */
static LsStatus intersect_ranges(LsTrainer *t, LsPlayer *player)
{
    const LsRange *slice = NULL;
    int slices = ls_buckets_owned_ranges(t->buckets, &slice), ranges = 0;
    if (!t->sharded) {
        player->shard = (LsShard){1, &player->range};
        return LS_OK;
    }
    player->owned = ls_alloc_array(slices + 2 * t->params->count, sizeof *player->owned);
    if (!player->owned)
        return LS_RESOURCE;
    int64_t low = player->range.first, high = low + player->range.count;
    for (int i = 0; i < slices; i++) {
        int64_t first = slice[i].first, end = first + slice[i].count;
        add_elements(t, player, first > low ? first : low, end < high ? end : high, &ranges);
    }
    LS_TRY(add_wholes(t, player, &ranges));
    player->shard = (LsShard){ranges, player->owned};
    return LS_OK;
}

const LsShard *ls_player_shard(const LsTrainer *t, const LsPlayer *player)
{
    return t->sharded || player->phase->learns ? &player->shard : NULL;
}

static LsStatus find_rates(const LsTrainer *t, LsPlayer *player)
{
    return t->groups ? ls_rates_new(t->groups, t->params, ls_player_shard(t, player), &player->rates) : LS_OK;
}

void ls_player_gather(LsTrainer *t, const LsPlayer *player)
{
    const LsShard *shard = &player->shard;
    for (int i = shard->ranges - player->wholes; i < shard->ranges; i++)
        ls_buckets_gather(t->buckets, shard->range[i].first, shard->range[i].count);
}

LsStatus ls_players_plan(LsTrainer *t)
{
    for (int i = 0; i < t->players; i++) {
        LS_TRY(find_range(t, &t->player[i]));
        LS_TRY(intersect_ranges(t, &t->player[i]));
        LS_TRY(find_rates(t, &t->player[i]));
        for (int64_t k = t->plan.lengths - 1; k >= 0; k--) {
            LsGraph *g = t->player[i].by_length[k];
            if (g != t->player[0].graph)
                LS_TRY(ls_graph_share_arena(g, t->player[0].graph)); /* never two at once */
            LS_TRY(ls_graph_plan(g));
            t->player[i].flops[k] = ls_graph_cost(g).flops;
        }
    }
    return LS_OK;
}

void ls_player_choose(LsTrainer *t, LsPlayer *player, int64_t first)
{
    int64_t lengths = t->plan.lengths, which = lengths - 1;
    if (lengths > 1 && player->source->longest) {
        int64_t steps = player->source->longest(player->source, &(LsBatch){first, t->plan.micro_batch, 0});
        which = steps > 0 ? (steps - 1) / t->config->train.length_step : 0;
        which = which < lengths ? which : lengths - 1;
    }
    player->graph = player->by_length[which];
    double share = player->flops[lengths - 1] > 0 ? player->flops[which] / player->flops[lengths - 1] : 1;
    t->times.saved_flops += (1 - share) * t->plan.flops / (double)t->plan.micro_batches;
}

void ls_players_free(LsTrainer *t)
{
    for (int i = t->players - 1; i >= 0; i--) {
        LsPlayer *player = &t->player[i];
        for (int64_t k = 0; player->by_length && k < t->plan.lengths; k++) /* the last has the arena */
            ls_graph_free(player->by_length[k]);
        ls_free(player->by_length);
        ls_free(player->flops);
        ls_free(player->owned);
        ls_rates_free(&player->rates);
    }
}
