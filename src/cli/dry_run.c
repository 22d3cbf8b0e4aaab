#include "cli/dry_run.h"

#include "cli/cli.h"
#include "cli/progress.h"
#include "dist/dist.h"
#include "io/file.h"
#include "machine/memory_limit.h"
#include "train/matches.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Measured steps reach between these shares of the matrix products' peak; an estimate before a step cannot be better
 * than that. */
#define LOW_SHARE 0.5
#define HIGH_SHARE 0.85

int64_t ls_job_room(int64_t memory)
{
    int64_t held = ls_resident_bytes();
    int ranks = ls_dist_node_ranks();
    int64_t allowed = memory > 0 ? memory : ls_memory_limit(held * ranks).bytes / ranks;
    return allowed > held ? (allowed - held) / 2 : 0;
}

LsStatus ls_job_peak(const LsComm *comm, LsPeakParts parts, int64_t memory, LsPeak *peak)
{
    LsPeak own = {0};
    LS_TRY(comm->barrier(comm));
    double known = ls_peak(parts, ls_job_room(memory), &own) == LS_OK;
    ls_clear_message();
    double sums[6] = {own.gflops, own.gflops_bfloat16, own.gflops_fma, own.bandwidth, own.reading, known};
    LS_TRY(comm->allreduce_double(comm, sums, 6));
    *peak = sums[5] < comm->size ? (LsPeak){0} : (LsPeak){sums[0], sums[1], sums[2], sums[3], sums[4]};
    return LS_OK;
}

double ls_job_products(const LsPeak *peak, LsPrecision precision)
{
    return precision == LS_BFLOAT16 ? peak->gflops_bfloat16 : peak->gflops;
}

int64_t ls_dry_run_checkpoint_bytes(const LsTrainPlan *plan)
{
    return plan->parameters * (int64_t)sizeof(float) + plan->moment_bytes + plan->average_bytes + ((int64_t)1 << 20);
}

int64_t ls_dry_run_checkpoints(const LsConfig *config)
{
    const LsOutputSettings *output = &config->output;
    int64_t saves = output->save_every > 0 ? (config->train.steps + output->save_every - 1) / output->save_every : 1;
    int64_t most = output->keep + 3; /* the newest, the best, the one resumed from, the one being written */
    return saves + 1 < most ? saves + 1 : most;
}

const char *ls_bytes_text(int64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1000 && unit < 4; unit++)
        value /= 1024;
    snprintf(text, 32, "%.*f %s", unit == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2, value, units[unit]);
    return text;
}

const char *ls_parameters_text(const LsTrainPlan *plan, char text[96])
{
    char all[32], learnt[32];
    ls_count_text((double)(plan->base_parameters + plan->parameters), all);
    if (plan->base_parameters > 0)
        snprintf(text, 96, "%s parameters, of which %s learn", all, ls_count_text((double)plan->parameters, learnt));
    else
        snprintf(text, 96, "%s parameters", all);
    return text;
}

const char *ls_batch_text(const LsConfig *config, const LsTrainPlan *plan, char text[64])
{
    if (plan->sequence > 1)
        snprintf(text, 64, "%lld sequence%s of %lld tokens", (long long)config->train.batch,
                 config->train.batch == 1 ? "" : "s", (long long)plan->sequence);
    else
        snprintf(text, 64, "%lld sample%s", (long long)config->train.batch, config->train.batch == 1 ? "" : "s");
    return text;
}

static void print_memory(const LsTrainPlan *plan, const LsTrainLimit *limit)
{
    char total[32], most[32], row[32];
    LsMemoryRow rows[LS_MEMORY_ROWS];
    printf("memory of a rank %9s", ls_bytes_text(plan->total_bytes, total));
    if (limit->bytes > 0)
        printf("; %s %s", limit->source, ls_bytes_text(limit->bytes, most));
    printf("\n");
    int count = ls_train_memory_rows(plan, rows);
    for (int i = 0; i < count; i++)
        printf("  %-14s %10s\n", rows[i].name, ls_bytes_text(rows[i].bytes, row));
    if (plan->recomputed.nodes > 0)
        printf("  backward makes %d results again, about %.0f %% of forward's time, to keep to the limit\n",
               plan->recomputed.nodes, 100 * plan->recomputed.share);
}

static void print_disk(const LsConfig *config, const LsTrainPlan *plan)
{
    char one[32], all[32], left[32];
    int64_t bytes = ls_dry_run_checkpoint_bytes(plan), files = ls_dry_run_checkpoints(config);
    int64_t free_bytes = ls_free_bytes(config->output.path);
    printf("disk             %9s in %s: up to %lld checkpoint%s of %s%s%s\n", ls_bytes_text(bytes * files, all),
           config->output.path, (long long)files, files == 1 ? "" : "s", ls_bytes_text(bytes, one),
           free_bytes < 0 ? "" : "; free: ", free_bytes < 0 ? "" : ls_bytes_text(free_bytes, left));
}

static void print_time(const LsConfig *config, const LsTrainPlan *plan, double peak_gflops)
{
    char low[32], high[32];
    double seconds = plan->flops * 1e-9 / peak_gflops, steps = (double)config->train.steps;
    printf("work of a step   %.3g GFLOP", plan->flops * 1e-9);
    if (peak_gflops > 0)
        printf(": %.3g to %.3g s at %.0f to %.0f %% of the measured peak of %.0f GFLOP/s; %lld steps: %s to %s",
               seconds / HIGH_SHARE, seconds / LOW_SHARE, 100 * LOW_SHARE, 100 * HIGH_SHARE, peak_gflops,
               (long long)config->train.steps, ls_duration_text(steps * seconds / HIGH_SHARE, low),
               ls_duration_text(steps * seconds / LOW_SHARE, high));
    printf("\n");
}

#define NAMES 3 /* of what a pattern matches that are printed */

static void print_matches(const json_t *matches)
{
    const json_t *one, *name;
    size_t i, j;
    json_array_foreach(matches, i, one)
    {
        const json_t *names = json_object_get(one, "names");
        size_t count = json_array_size(names);
        const char *setting = json_string_value(json_object_get(one, "setting"));
        bool layers = strncmp(setting, "lora.", 5) == 0;
        printf("%-16s '%s' matches %zu %s%s%s", setting, json_string_value(json_object_get(one, "pattern")), count,
               layers ? "layer" : "parameter", count == 1 ? "" : "s", count > 0 ? ": " : "");
        json_array_foreach(names, j, name)
        {
            if (j < NAMES)
                printf("%s%s", j ? ", " : "", json_string_value(name));
        }
        if (count > NAMES)
            printf(", and %zu more", count - NAMES);
        printf("\n");
    }
}

static double epochs_of(const LsConfig *config, const LsSource *training)
{
    return (double)config->train.steps * (double)config->train.batch / (double)training->samples;
}

static void print_plan(const LsConfig *config, const LsComm *comm, const LsSource *training, const LsSource *validation,
                       const LsTrainLimit *limit, const LsTrainPlan *plan, const json_t *matches)
{
    char count[32], batch[64];
    printf("model            %s, %lld parameters (%s)\n", config->model->name, (long long)plan->parameters,
           ls_count_text((double)plan->parameters, count));
    if (plan->base_parameters > 0)
        printf("                 adapters of %lld that do not learn\n", (long long)plan->base_parameters);
    print_matches(matches);
    printf("ranks            %d with %d thread%s each\n", comm->size, ls_threads(), ls_threads() == 1 ? "" : "s");
    printf("step             %s: %lld a rank, in %lld pass%s of %lld\n", ls_batch_text(config, plan, batch),
           (long long)plan->rank_batch, (long long)plan->micro_batches, plan->micro_batches == 1 ? "" : "es",
           (long long)plan->micro_batch);
    if (ls_train_segmented(plan))
        printf("parts            a sequence over %d rank%s, in %lld segment%s of %lld tokens a rank\n",
               plan->sequence_ranks, plan->sequence_ranks == 1 ? "" : "s", (long long)plan->segments,
               plan->segments == 1 ? "" : "s", (long long)plan->segment);
    long long held_out = (long long)(validation ? validation->samples : 0);
    if (training->samples == INT64_MAX)
        printf("data             samples made as they are needed, none twice; %lld to validate on\n", held_out);
    else
        printf("data             %lld sample%s to train on: %lld step%s %.3g epochs; %lld to validate on\n",
               (long long)training->samples, training->samples == 1 ? "" : "s", (long long)config->train.steps,
               config->train.steps == 1 ? " is" : "s are", epochs_of(config, training), held_out);
    print_memory(plan, limit);
    print_disk(config, plan);
}

static json_t *memory_json(const LsTrainPlan *plan, const LsTrainLimit *limit)
{
    LsMemoryRow rows[LS_MEMORY_ROWS];
    int count = ls_train_memory_rows(plan, rows);
    json_t *object = json_pack("{s:I}", "total_bytes", (json_int_t)plan->total_bytes), *parts = json_object();
    if (limit->bytes > 0)
        json_object_set_new(object, "limit_bytes", json_integer(limit->bytes));
    json_object_set_new(object, "fits", json_boolean(limit->bytes == 0 || plan->total_bytes <= limit->bytes));
    for (int i = 0; i < count; i++)
        json_object_set_new(parts, rows[i].name, json_integer(rows[i].bytes));
    json_object_set_new(object, "recomputed_results", json_integer(plan->recomputed.nodes));
    json_object_set_new(object, "parts", parts);
    return object;
}

/* The names of what is printed otherwise; bytes, seconds and operations; null: no end, or not known. */
static json_t *plan_json(const LsConfig *config, const LsComm *comm, const LsSource *training,
                         const LsSource *validation, const LsTrainLimit *limit, const LsTrainPlan *plan,
                         double peak_gflops, json_t *matches)
{
    double seconds = peak_gflops > 0 ? plan->flops * 1e-9 / peak_gflops : NAN;
    bool endless = training->samples == INT64_MAX; /* made as they are needed */
    json_t *object =
        json_pack("{s:s, s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:o, s:I, s:o}", "model",
                  config->model->name, "parameters", (json_int_t)plan->parameters, "ranks", comm->size, "threads",
                  ls_threads(), "steps", (json_int_t)config->train.steps, "batch", (json_int_t)config->train.batch,
                  "sequence", (json_int_t)plan->sequence, "rank_batch", (json_int_t)plan->rank_batch, "micro_batch",
                  (json_int_t)plan->micro_batch, "micro_batches", (json_int_t)plan->micro_batches, "segment",
                  (json_int_t)plan->segment, "sequence_ranks", plan->sequence_ranks, "segments",
                  (json_int_t)plan->segments, "samples", endless ? json_null() : json_integer(training->samples),
                  "validation_samples", (json_int_t)(validation ? validation->samples : 0), "epochs",
                  endless ? json_null() : json_real(epochs_of(config, training)));
    json_object_set(object, "matches", matches);
    json_object_set_new(object, "memory", memory_json(plan, limit));
    json_object_set_new(object, "disk",
                        json_pack("{s:o, s:I, s:I, s:I}", "path", ls_json_text(config->output.path), "checkpoint_bytes",
                                  (json_int_t)ls_dry_run_checkpoint_bytes(plan), "checkpoints",
                                  (json_int_t)ls_dry_run_checkpoints(config), "free_bytes",
                                  (json_int_t)ls_free_bytes(config->output.path)));
    json_object_set_new(object, "step_gflop", json_real(plan->flops * 1e-9));
    json_object_set_new(object, "peak_gflops", ls_json_number(peak_gflops > 0 ? peak_gflops : NAN));
    json_object_set_new(object, "step_seconds_low", ls_json_number(seconds / HIGH_SHARE));
    json_object_set_new(object, "step_seconds_high", ls_json_number(seconds / LOW_SHARE));
    return object;
}

static LsStatus print(const LsConfig *config, const LsComm *comm, const LsSource *training, const LsSource *validation,
                      double peak_gflops, bool json, const LsTrainLimit *limit, const LsTrainPlan *plan)
{
    json_t *matches = NULL;
    LsStatus status = ls_train_matches(config, &matches);
    if (status == LS_OK && json)
        status = ls_print_json(plan_json(config, comm, training, validation, limit, plan, peak_gflops, matches));
    else if (status == LS_OK) {
        print_plan(config, comm, training, validation, limit, plan, matches);
        print_time(config, plan, peak_gflops);
    }
    json_decref(matches);
    return status;
}

LsStatus ls_dry_run(const LsConfig *config, const LsComm *comm, const LsSource *training, const LsSource *validation,
                    double peak_gflops, bool json)
{
    LsTrainPlan plan;
    LsTrainLimit limit;
    LS_TRY(ls_train_limit(config, comm, &limit));
    LsStatus fits = ls_dist_agree(comm, ls_train_plan(config, comm->size, validation != NULL, &limit, &plan));
    if (fits == LS_OK)
        return comm->rank != 0 ? LS_OK : print(config, comm, training, validation, peak_gflops, json, &limit, &plan);
    if (fits != LS_RESOURCE)
        return fits;
    /* a plan that does not fit is shown all the same, for what it lacks; the failure is the answer */
    char *message = ls_strdup(ls_message());
    LsTrainLimit none = limit;
    none.bytes = 0;
    LsStatus status = ls_dist_agree(comm, message ? ls_train_plan(config, comm->size, validation != NULL, &none, &plan)
                                                  : LS_RESOURCE);
    if (status == LS_OK && comm->rank == 0)
        status = print(config, comm, training, validation, peak_gflops, json, &limit, &plan);
    if (status == LS_OK)
        ls_fail(fits, "%s", message);
    ls_free(message);
    return fits;
}
