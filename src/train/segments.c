/* Sequences in segments. A first forward keeps the state that each segment starts from. Then, from the last segment to
 * the first, forward is recomputed and backward follows; the gradient of a segment's start goes to the segment before
 * it. The gradients are exact, in the memory of one segment. The first forward runs in a graph of its own: it saves
 * nothing for backward and computes few tokens at once, so that its activations stay in the caches. */
#include "train/clock.h"
#include "train/train.h"

static LsStatus read_loss(const LsPass *pass)
{
    const LsTensor *x = ls_graph_find(pass->g, "loss");
    if (!x || x->count != 1)
        return ls_fail(LS_ERROR, "the model has no output \"loss\" of one element");
    float value;
    ls_tensor_get(pass->g, x, &value);
    *pass->loss += (double)value;
    return LS_OK;
}

/* A rank that fails ends the others of its group, before they wait for it inside an op. */
static LsStatus agree_in_group(const LsPass *pass, LsStatus status)
{
    return pass->run.sequence ? ls_dist_agree(pass->run.sequence, status) : status;
}

/* Inputs of `g` from token number `offset` of a segment on. */
static LsStatus fill_inputs(LsPass *pass, LsGraph *g, int64_t segment, int64_t offset)
{
    const LsTrainPlan *plan = pass->plan;
    const LsComm *sequence = pass->run.sequence;
    int place = sequence ? sequence->rank : 0;
    pass->run.token = (segment * plan->sequence_ranks + place) * plan->segment + offset;
    double clock = ls_seconds();
    LsBatch batch = {pass->run.sample, pass->count, pass->run.token};
    LsStatus status = pass->source->fill(pass->source, g, &batch);
    const LsTask *task = ls_config_task(pass->config);
    if (status == LS_OK && task->prepare)
        status = task->prepare(&(LsFilled){g, pass->config->task_config, pass->source, batch, pass->run.seed});
    ls_charge_time(&clock, pass->times ? &pass->times->data : NULL, "data", "samples");
    return agree_in_group(pass, status);
}

static LsStatus run_forward(LsPass *pass, int64_t segment)
{
    LS_TRY(fill_inputs(pass, pass->g, segment, 0));
    double clock = ls_seconds();
    LS_TRY(agree_in_group(pass, ls_graph_forward(pass->g, &pass->run)));
    *pass->targets += (double)ls_config_task(pass->config)->targets(pass->g, pass->count);
    LS_TRY(read_loss(pass));
    ls_charge_time(&clock, pass->times ? &pass->times->forward : NULL, NULL, NULL);
    return LS_OK;
}

/* Adds the samples' share to the sums of the task's metrics, from the graph's outputs. */
static LsStatus add_metrics(const LsPass *pass)
{
    LsScored scored = {.g = pass->g,
                       .settings = pass->config->task_config,
                       .info = pass->info,
                       .source = pass->source,
                       .rows = pass->count};
    const LsMetric *metric = ls_config_task(pass->config)->metrics;
    for (int i = 0; metric && metric[i].name && pass->metric; i++)
        if (metric[i].add)
            LS_TRY(metric[i].add(&scored, pass->metric + (int64_t)i * LS_MAX_METRIC_SUMS));
    return LS_OK;
}

LsStatus ls_pass_forward(LsPass *pass)
{
    for (int64_t i = 0; i < pass->plan->segments; i++) {
        LS_TRY(run_forward(pass, i));
        LS_TRY(agree_in_group(pass, add_metrics(pass)));
        LS_TRY(ls_carries_advance(pass->g, &pass->run));
    }
    return LS_OK;
}

/* Writes the state that each segment but the first starts from into pass->borders. */
static LsStatus carry_forward(LsPass *pass)
{
    LsGraph *g = pass->carry_graph;
    int64_t bytes = ls_carries_bytes(pass->g);
    ls_carries_reset(g);
    for (int64_t i = 0; i < pass->plan->segments - 1; i++) {
        for (int64_t offset = 0; offset < pass->plan->segment; offset += pass->plan->carry_steps) {
            LS_TRY(fill_inputs(pass, g, i, offset));
            double clock = ls_seconds();
            LS_TRY(ls_graph_forward_carries(g, &pass->run));
            LS_TRY(ls_carries_advance(g, &pass->run));
            ls_charge_time(&clock, pass->times ? &pass->times->forward : NULL, NULL, NULL);
        }
        ls_carries_keep(g, pass->borders + i * bytes);
    }
    return LS_OK;
}

LsStatus ls_pass_train(LsPass *pass, bool accumulate, const LsHooks *hooks)
{
    int64_t last = pass->plan->segments - 1, bytes = ls_carries_bytes(pass->g);
    if (last > 0)
        LS_TRY(carry_forward(pass));
    ls_carries_reset(pass->g);
    for (int64_t i = last; i >= 0; i--) {
        if (i > 0)
            ls_carries_restore(pass->g, pass->borders + (i - 1) * bytes);
        else
            ls_carries_clear(pass->g);
        if (pass->streams)
            ls_carries_set_streams(pass->g, pass->streams);
        LS_TRY(run_forward(pass, i));
        if (pass->streams)
            ls_carries_get_streams(pass->g, pass->streams);
        double clock = ls_seconds();
        LS_TRY(ls_graph_backward(pass->g, &pass->run, 1, accumulate || i < last, i == 0 ? hooks : NULL));
        if (i > 0)
            LS_TRY(ls_carries_retreat(pass->g, &pass->run));
        ls_charge_time(&clock, pass->times ? &pass->times->backward : NULL, NULL, NULL);
    }
    return LS_OK;
}
