/* Training procedures on all ranks: what a phase learns and what it leaves alone; two players and an agent on any
 * number of ranks, and gone on from what a checkpoint holds, to the bit. */
#include "harness_mpi.h"
#include "data/environment.h"
#include "resumed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- A procedure of a program that is not ours: the layers of a network in turn ---- */

typedef struct Turns {
    int64_t front_repeats;
} Turns;

typedef struct TurnsSelf {
    int64_t before, after, steps_after; /* calls of the hooks, and the steps counted in the last */
    float kept[3];
} TurnsSelf;

static const LsSetting turns_settings[] = {LS_SETTING_INT(Turns, front_repeats, "2", 1, 9, "times"), {0}};

static LsStatus turns_before(LsTrainer *t, void *self)
{
    TurnsSelf *s = self;
    s->before++;
    s->kept[0] += 1;
    CU_ASSERT_EQUAL(((const Turns *)ls_trainer_settings(t))->front_repeats, 2);
    return LS_OK;
}

static LsStatus turns_after(LsTrainer *t, void *self)
{
    TurnsSelf *s = self;
    s->after++;
    s->steps_after = ls_trainer_steps(t);
    return LS_OK;
}

static int turns_saved(LsTrainer *t, void *self, LsSaved *list)
{
    (void)t;
    list[0] = (LsSaved){.group = "kept", .value = ((TurnsSelf *)self)->kept, .rank = 1, .dim = {3}};
    return 1;
}

static const LsPhase front_phases[] = {{"front", "layer."}, {0}}, back_phases[] = {{"back", "head."}, {0}},
                     both_phases[] = {{"front", "layer.", "front_repeats"}, {"back", "head."}, {0}},
                     wrong_phases[] = {{"wrong", "nobody."}, {0}};
static const LsProcedure front = {.name = "front", .summary = "front", .phases = front_phases},
                         back = {.name = "back", .summary = "back", .phases = back_phases},
                         wrong = {.name = "wrong", .summary = "wrong", .phases = wrong_phases},
                         turns = {.name = "turns",
                                  .summary = "turns",
                                  .settings = turns_settings,
                                  .settings_bytes = sizeof(Turns),
                                  .self_bytes = sizeof(TurnsSelf),
                                  .phases = both_phases,
                                  .before_step = turns_before,
                                  .after_step = turns_after,
                                  .saved = turns_saved};

typedef struct Job {
    LsConfig *config;
    LsSource *source;
    LsTrainer *trainer;
} Job;

static void open_data(Job *job, const char *yaml, const LsComm *world)
{
    *job = (Job){.config = ls_config_parse("job", yaml, 0, NULL)};
    if (!job->config)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(job->config);
    if (job->config->data_kind->prepare) {
        ASSERT_OK(ls_train_open_synthetic(job->config, 11, &job->source));
    } else {
        LsSource *validation = NULL;
        ASSERT_OK(ls_train_open(job->config, world->size, &job->source, &validation));
        ls_source_free(validation);
    }
}

static Job open_job(const char *yaml, const LsComm *world)
{
    Job job;
    open_data(&job, yaml, world);
    ASSERT_OK(ls_trainer_new(job.config, world, job.source, NULL, NULL, &job.trainer));
    return job;
}

static void close_job(Job *job)
{
    ls_trainer_free(job->trainer);
    ls_source_free(job->source);
    ls_config_free(job->config);
}

static LsStepResult step(Job *job)
{
    LsStepResult result = {0};
    ASSERT_OK(ls_trainer_step(job->trainer, false, &result));
    return result;
}

#define NETWORK(procedure, more)                                                                                       \
    "model: {kind: mlp, layers: 2, width: 7}\ntask: {kind: regression}\ndata: {fields: \"values 5, target 3\"}\n"      \
    "train: {procedure: " procedure ", batch: 12, warmup: 0, weight_decay: 0.1, clip: 0" more "}\n"

/* Whether parameters and moments of names that begin so are those of before; in the whole node's arrays. */
static int moved(const LsTrainer *t, const float *before, const char *names)
{
    int count = 0;
    for (int i = 0; i < t->params->count; i++) {
        const LsParam *p = &t->params->list[i];
        if (strncmp(p->name, names, strlen(names)) != 0)
            continue;
        for (int64_t j = p->offset; j < p->offset + p->count; j++)
            count += t->params->value[j] != before[j] || t->moment[1].value[j] != 0;
    }
    return count;
}

/* A phase moves its own parameters; decay and moments, too, leave the others alone. The norms are of each phase's own
 * gradients: together they make the whole. */
static void test_phases(void)
{
    static const char *const yaml[] = {NETWORK("supervised", ""), NETWORK("front", ""), NETWORK("back", "")};
    double norm[3];
    for (int i = 0; i < 3; i++) {
        Job job = open_job(yaml[i], comm);
        const LsParams *params = job.trainer->params;
        float *before = ls_alloc_array(params->total, sizeof *before);
        CU_ASSERT_PTR_NOT_NULL_FATAL(before);
        memcpy(before, params->value, (size_t)params->total * sizeof *before);
        norm[i] = step(&job).grad_norm;
        step(&job);
        ASSERT_OK(comm->barrier(comm));
        CU_ASSERT_EQUAL(moved(job.trainer, before, "layer.") > 0, i != 2);
        CU_ASSERT_EQUAL(moved(job.trainer, before, "head.") > 0, i != 1);
        ls_free(before);
        close_job(&job);
    }
    CU_ASSERT(fabs(norm[1] * norm[1] + norm[2] * norm[2] - norm[0] * norm[0]) <= 1e-5 * norm[0] * norm[0]);
    CU_ASSERT(norm[1] > 0 && norm[2] > 0);
}

static void test_turns(void)
{
    Job alone = open_job(NETWORK("turns", ""), ls_comm_self()),
        all = open_job(NETWORK("turns", ", micro_batch: 1, bucket_bytes: 64"), comm);
    TurnsSelf *self = all.trainer->self;
    for (int i = 1; i <= 4; i++) {
        LsStepResult one = step(&alone), several = step(&all);
        CU_ASSERT(fabs(one.loss - several.loss) <= 1e-5 * fabs(one.loss));
        CU_ASSERT(fabs(one.phase_norm[1] - several.phase_norm[1]) <= 1e-4 * one.phase_norm[1]);
        CU_ASSERT(one.phase_loss[0] > 0 && fabs(one.phase_loss[0] + one.phase_loss[1] - one.loss) < 1e-12);
        CU_ASSERT_EQUAL(several.targets, 3 * 12 * 3); /* two phases, one of them twice */
        CU_ASSERT(self->before == i && self->after == i && self->steps_after == i);
        CU_ASSERT_EQUAL(all.trainer->progress.samples, i * 3 * 12);
    }
    if (comm->rank > 0)
        self->kept[0] = self->kept[1] = -1;
    ASSERT_OK(ls_trainer_broadcast(all.trainer)); /* what is saved goes from rank 0 to all */
    CU_ASSERT(self->kept[0] == 4 && self->kept[1] == 0);
    close_job(&alone);
    close_job(&all);
}

static void test_refused(void)
{
    Job job;
    open_data(&job, NETWORK("wrong", ""), comm);
    CU_ASSERT_EQUAL(ls_trainer_new(job.config, comm, job.source, NULL, NULL, &job.trainer), LS_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "nobody."));
    close_job(&job);
}

/* ---- Two players, and an agent ---- */

#define RINGS(more)                                                                                                    \
    "model: {kind: gan_mlp, layers: 2, width: 16, noise: 4}\ntask: {kind: generation}\ndata: {kind: generated}\n"      \
    "train: {discriminator_repeats: 2, batch: 24, warmup: 0, learning_rate: 1e-3" more "}\n"
#define POLE_AT(target)                                                                                                \
    "model: {kind: q_network, layers: 1, width: 16}\ntask: {kind: control}\ndata: {kind: environment}\n"               \
    "train: {batch: 24, micro_batch: 4, warmup: 0, learning_rate: 1e-2, environments: 5, replay: 60, replay_start: "   \
    "32, " target ", epsilon_steps: 4}\n"
#define POLE POLE_AT("target_every: 3")

static void test_players_on_ranks(void)
{
    Job alone = open_job(RINGS(""), ls_comm_self()), all = open_job(RINGS(", micro_batch: 2"), comm);
    for (int i = 0; i < 6; i++) {
        LsStepResult one = step(&alone), several = step(&all);
        for (int k = 0; k < 2; k++)
            CU_ASSERT(fabs(one.phase_loss[k] - several.phase_loss[k]) <= 1e-5 * fabs(one.phase_loss[k]));
    }
    close_job(&alone);
    close_job(&all);
}

/* A checkpoint holds everything that a resumption needs. */
static void check_resume(const char *yaml, int steps)
{
    Job straight = open_job(yaml, comm), resumed = open_job(yaml, comm);
    LsSaved saved[LS_MAX_SAVED];
    for (int i = 0; i < steps; i++)
        step(&straight);
    resume_from(resumed.trainer, straight.trainer, saved);
    for (int i = 0; i < steps; i++)
        CU_ASSERT_EQUAL(step(&straight).loss, step(&resumed).loss);
    CU_ASSERT_EQUAL(memcmp(straight.trainer->params->value, resumed.trainer->params->value,
                           (size_t)straight.trainer->params->total * sizeof(float)),
                    0);
    close_job(&straight);
    close_job(&resumed);
}

static void test_resume(void)
{
    check_resume(RINGS(""), 3);
    check_resume(POLE, 7);
}

/* The same moves and samples on any number of ranks, but for rounding. */
static void test_agent_on_ranks(void)
{
    Job alone = open_job(POLE, ls_comm_self()), all = open_job(POLE, comm);
    for (int i = 0; i < 3; i++) {
        double one = step(&alone).loss, several = step(&all).loss;
        CU_ASSERT(isfinite(one) && fabs(one - several) <= 1e-4 * fabs(one));
    }
    close_job(&alone);
    close_job(&all);
}

static LsSaved saved_of(LsTrainer *t, const char *group)
{
    LsSaved saved[LS_MAX_SAVED];
    int count = ls_trainer_saved(t, saved), i = 0;
    while (i < count && strcmp(saved[i].group, group) != 0)
        i++;
    CU_ASSERT_FATAL(i < count);
    return saved[i];
}

static const float *target_of(LsTrainer *t) { return saved_of(t, "target").value; }

/* The copy goes a share of the way every target_every steps, and all of it where no share is set. */
static void test_target_rate(void)
{
    Job slow = open_job(POLE_AT("target_every: 2, target_rate: 0.25"), comm),
        whole = open_job(POLE_AT("target_every: 2"), comm);
    const LsParams *params = slow.trainer->params;
    float *expected = ls_alloc_array(params->total, sizeof *expected);
    CU_ASSERT_PTR_NOT_NULL_FATAL(expected);
    memcpy(expected, params->value, (size_t)params->total * sizeof *expected); /* the copy begins equal */
    for (int i = 1; i <= 5; i++) {
        step(&slow);
        step(&whole);
        double error = 0, moved = 0;
        for (int64_t k = 0; k < params->total; k++) {
            expected[k] += i % 2 == 0 ? 0.25f * (params->value[k] - expected[k]) : 0;
            error = fmax(error, fabs((double)(target_of(slow.trainer)[k] - expected[k])));
            moved = fmax(moved, fabs((double)(params->value[k] - expected[k])));
        }
        CU_ASSERT(error <= 1e-6 && moved > 1e-3);
        if (i % 2 == 0)
            CU_ASSERT_EQUAL(
                memcmp(target_of(whole.trainer), whole.trainer->params->value, (size_t)params->total * sizeof(float)),
                0);
    }
    ls_free(expected);
    close_job(&slow);
    close_job(&whole);
}

#define KEPT 60
#define DRAWN 800

/* y: (KEPT) what is learned from each move that is kept; NAN: never drawn. */
static void learned_targets(Job *job, double *y)
{
    LsTrainer *t = job->trainer;
    LsGraph *g = t->player[0].graph;
    const LsSaved replay = saved_of(t, "replay");
    const LsTensor *x = ls_graph_find(g, "values"), *target = ls_graph_find(g, "target");
    const LsEnvironment *world = ls_source_environment(job->source);
    float seen[64], learned[64];
    for (int i = 0; i < KEPT; i++)
        y[i] = NAN;
    CU_ASSERT_FATAL(replay.dim[0] == KEPT && x->count <= 64 && target->count <= 64);
    t->progress.step--; /* as while it was being done */
    for (int64_t sample = 0; sample < DRAWN; sample += x->dim[0]) {
        LsSource *source = t->player[0].source;
        ASSERT_OK(source->fill(source, g, &(LsBatch){.first = sample, .count = x->dim[0]}));
        ls_tensor_get(g, x, seen);
        ls_tensor_get(g, target, learned);
        for (int64_t b = 0; b < x->dim[0]; b++)
            for (int i = 0; i < KEPT; i++) {
                const float *move = replay.value + i * replay.dim[1];
                bool same = true;
                for (int j = 0; j < world->numbers; j++)
                    same &= move[j] * world->scale[j] == seen[b * world->numbers + j];
                if (same)
                    y[i] = (double)learned[b * world->actions + (int)move[2 * world->numbers]];
            }
    }
    t->progress.step++;
}

/* All moves at random, the copy as it was at first: targets of the same moves differ by n_step alone. */
#define RETURNS(world, start, n)                                                                                       \
    "model: {kind: q_network, layers: 1, width: 16}\ntask: {kind: control}\ndata: {kind: environment, "                \
    "environment: " world "}\ntrain: {batch: 24, micro_batch: 4, warmup: 0, environments: 5, replay: 60, gamma: 0.5, " \
    "epsilon_end: 1, double_q: false, replay_start: " start ", n_step: " n "}\n"

/* The return over n moves is r + gamma times that over n - 1 from the next move on; that over one where the episode
 * ended, was cut off or has not gone on. yaml: of n = 1, 2, 3; made: moves after four steps; at least so many of those
 * kept ended by the rules, or were cut off. */
static void check_returns(const char *const yaml[3], int64_t made, int ended, int cut_off)
{
    const int64_t environments = 5;
    double y[3][KEPT];
    Job job;
    for (int n = 0; n < 3; n++) {
        job = open_job(yaml[n], comm);
        for (int i = 0; i < 4; i++)
            step(&job);
        learned_targets(&job, y[n]);
        if (n < 2)
            close_job(&job);
    }
    const LsSaved replay = saved_of(job.trainer, "replay");
    const int numbers = ls_source_environment(job.source)->numbers;
    int found[3] = {0};
    for (int64_t number = made - KEPT; number < made; number++) {
        int64_t i = number % KEPT, next = (number + environments) % KEPT;
        const float *move = replay.value + i * replay.dim[1];
        double reward = (double)move[2 * numbers + 1];
        int over = (int)move[2 * numbers + 2];
        found[over]++;
        CU_ASSERT(isfinite(y[0][i]) && (y[0][i] == reward) == (over == 1));
        for (int n = 1; n < 3; n++) {
            bool alone = over || number + environments >= made;
            double expected = alone ? y[0][i] : reward + 0.5 * y[n - 1][next];
            CU_ASSERT(fabs(y[n][i] - expected) <= 1e-5 * fabs(expected));
        }
    }
    CU_ASSERT(found[0] > 0 && found[1] >= ended && found[2] >= cut_off);
    close_job(&job);
}

static void test_returns(void)
{
    check_returns((const char *const[]){RETURNS("cartpole", "100", "1"), RETURNS("cartpole", "100", "2"),
                                        RETURNS("cartpole", "100", "3")},
                  24 * 5, 1, 0);
    check_returns((const char *const[]){RETURNS("mountaincar", "990", "1"), RETURNS("mountaincar", "990", "2"),
                                        RETURNS("mountaincar", "990", "3")},
                  202 * 5, 0, 5);
}

static const HarnessTest tests[] = {{"a phase learns its own", test_phases},
                                    {"phases in turn", test_turns},
                                    {"a phase that learns nothing", test_refused},
                                    {"players on ranks", test_players_on_ranks},
                                    {"an agent on ranks", test_agent_on_ranks},
                                    {"how far a copy goes", test_target_rate},
                                    {"returns over several moves", test_returns},
                                    {"going on from what is saved", test_resume},
                                    {0}};

int main(int argc, char **argv)
{
    const LsProcedure *const own[] = {&front, &back, &wrong, &turns};
    for (size_t i = 0; i < LS_COUNT_OF(own); i++)
        if (ls_procedure_add(own[i]) != LS_OK)
            return 1;
    return harness_run_mpi(argc, argv, "procedures on ranks", tests);
}
