#include "cli/bench.h"
#include "cli/dry_run.h"
#include "cli/progress.h"

#include <math.h>

typedef struct Summary {
    double items, gflops, peak, mean;
} Summary;

static Summary summary_of(const LsBench *b)
{
    const LsTrainer *t = b->trainer;
    return (Summary){.items = (double)(b->config->train.batch * t->plan.sequence) / b->median,
                     .gflops = t->plan.flops * 1e-9 / b->median,
                     .peak = ls_job_products(&b->peak, ls_train_precision(b->config)),
                     .mean = b->rank[0].step};
}

static LsBucketTimes sums_of(const LsBenchRank *rank)
{
    return (LsBucketTimes){rank->part[LS_PART_SUMMING], rank->part[LS_PART_WAITING], rank->in_flight};
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static void print_head(const LsBench *b)
{
    const LsTrainer *t = b->trainer;
    char parameters[96], speed[32], batch[64];
    Summary s = summary_of(b);
    printf("%s, %s, %s; %d rank%s of %d thread%s; %s a step\n", b->config->model->name,
           ls_parameters_text(&t->plan, parameters), b->config->train.precision, b->comm->size,
           b->comm->size == 1 ? "" : "s", ls_threads(), ls_threads() == 1 ? "" : "s",
           ls_batch_text(b->config, &t->plan, batch));
    printf("step: median %.4f s, least %.4f s, mean %.4f s of %lld\n", b->median, b->least, s.mean,
           (long long)b->options->steps);
    printf("%s %ss per second, %.1f GFLOP/s", ls_count_text(s.items, speed), ls_config_task(b->config)->item, s.gflops);
    if (s.peak > 0)
        printf(", %.0f %% of the measured peak of %.0f GFLOP/s", 100 * s.gflops / s.peak, s.peak);
    printf("\n");
    if (b->peak.bandwidth > 0)
        printf("peaks: products %.0f GFLOP/s in float (%.0f %% of the %.0f of multiply-adds alone), %.0f in bfloat16;\n"
               "       memory %.1f GB/s, read alone %.1f\n",
               b->peak.gflops, 100 * b->peak.gflops / b->peak.gflops_fma, b->peak.gflops_fma, b->peak.gflops_bfloat16,
               b->peak.bandwidth, b->peak.reading);
}

/* "12.345   288.1   97%", 24 columns; blank where there is nothing. */
static void print_side(const LsBenchSide *side)
{
    char roof[16] = "", rate[16] = "";
    if (side->seconds <= 0) {
        printf("%24s", "");
        return;
    }
    if (side->flops > 0)
        snprintf(rate, sizeof rate, "%.1f", side->flops * 1e-9 / side->seconds);
    if (isfinite(side->roofline))
        snprintf(roof, sizeof roof, "%.0f%%", 100 * side->roofline);
    printf(" %9.3f %7s %5s", 1e3 * side->seconds, rate, roof);
}

static void print_rows(const LsBench *b)
{
    double sum = 0, step = b->rank[0].step;
    printf("\n%-22s %5s %9s %7s %5s %9s %7s %5s %6s %9s %6s\n", "", "", "forward", "", "of", "backward", "", "of", "",
           "", "");
    printf("%-22s %5s %9s %7s %5s %9s %7s %5s %6s %9s %6s\n", "a step of rank 0", "calls", "ms", "GFLOP/s", "roof",
           "ms", "GFLOP/s", "roof", "GB/s", "ms", "share");
    for (int i = 0; i < b->rows; i++) {
        const LsBenchRow *r = &b->row[i];
        double bytes = r->forward.bytes + r->backward.bytes;
        printf("%-22s %5.0f", r->name, r->calls);
        print_side(&r->forward);
        print_side(&r->backward);
        if (bytes > 0 && r->seconds > 0)
            printf(" %6.1f", bytes * 1e-9 / r->seconds);
        else
            printf(" %6s", "");
        printf(" %9.3f %5.1f%%\n", 1e3 * r->seconds, 100 * r->seconds / step);
        sum += r->seconds;
    }
    printf("%-22s %5s %24s %24s %6s %9.3f %5.1f%%\n", "sum of the rows", "", "", "", "", 1e3 * sum, 100 * sum / step);
}

/* Where in the model the graph's time went: kinds of layers, kinds of blocks. */
static void print_places(const LsBench *b)
{
    printf("\n%-32s %5s %12s %12s %9s %6s\n", "the graph again, by place", "calls", "forward ms", "backward ms", "ms",
           "share");
    for (int i = 0; i < b->places; i++) {
        const LsBenchRow *r = &b->place[i];
        printf("%-32s %5.0f %12.3f %12.3f %9.3f %5.1f%%\n", r->name[0] ? r->name : "(around the layers)", r->calls,
               1e3 * r->forward.seconds, 1e3 * r->backward.seconds, 1e3 * r->seconds,
               100 * r->seconds / b->rank[0].step);
    }
}

static void print_path(const LsBench *b)
{
    double sum = 0;
    for (int i = 0; i < LS_PARTS; i++)
        sum += b->path[i];
    printf("\n%-14s", "ms of a step");
    for (int i = 0; i < LS_PARTS; i++)
        printf(" %9s", ls_bench_part_names[i]);
    printf("\n%-14s", "critical path");
    for (int i = 0; i < LS_PARTS; i++)
        printf(" %9.3f", 1e3 * b->path[i]);
    printf("\n%-14s", "");
    for (int i = 0; i < LS_PARTS; i++)
        printf(" %8.1f%%", 100 * b->path[i] / sum);
    printf("\n");
}

static void print_ranks(const LsBench *b)
{
    for (int rank = 0; rank < b->comm->size && rank < 64; rank++) {
        char name[32];
        snprintf(name, sizeof name, "rank %d%s", rank, rank == b->slowest && b->comm->size > 1 ? " (last)" : "");
        printf("%-14s", name);
        for (int i = 0; i < LS_PARTS; i++)
            printf(" %9.3f", 1e3 * b->rank[rank].part[i]);
        printf("\n");
    }
    printf("processor time: %.0f %% of the threads of rank 0%s\n", 100 * b->rank[0].processor_share,
           b->rank[0].processor_share < 0.9 ? " (less where something else runs)" : "");
    if (b->comm->size == 1)
        return;
    const LsBenchRank *slowest = &b->rank[b->slowest];
    LsBucketTimes sums = sums_of(slowest);
    printf("sums of gradients, rank %d: %.3f ms under way a step, %.3f ms of them not hidden behind computing; %.0f %% "
           "hidden\n",
           b->slowest, 1e3 * sums.in_flight, 1e3 * (sums.inside + sums.waited), 100 * ls_buckets_hidden_share(sums));
    if (b->plain_median > 0)
        printf("without overlap: step %.4f s, of which %.3f ms wait for sums\n", b->plain_median,
               1e3 * b->plain_waited);
}

static void print_memory(const LsBench *b)
{
    const LsTrainPlan *plan = &b->trainer->plan;
    LsMemoryRow rows[LS_MEMORY_ROWS];
    int count = ls_train_memory_rows(plan, rows);
    char text[32], resident[32];
    printf("\nmemory of a rank: planned %s, resident at most %s\n", ls_bytes_text(plan->total_bytes, text),
           ls_bytes_text((int64_t)b->rank[0].resident, resident));
    for (int i = 0; i < count; i++)
        printf("%s%s %s%s", i % 5 == 0 ? "  " : " ", rows[i].name, ls_bytes_text(rows[i].bytes, text),
               i + 1 == count ? "\n"
               : i % 5 == 4   ? ",\n"
                              : ",");
    if (plan->recomputed.nodes > 0)
        printf("  backward makes %d results again, about %.0f %% of forward's time\n", plan->recomputed.nodes,
               100 * plan->recomputed.share);
}

static void print_products(const LsBench *b)
{
    if (b->limit <= 0)
        return;
    double fma = b->peak.gflops_fma / b->comm->size; /* of a rank, as the products are */
    printf("\n%-36s %6s %9s %9s %6s %9s  %s\n", "a step's products, timed alone", "calls", "ms each", "GFLOP/s",
           "of fma", "ms", "kernel");
    for (int i = 0; i < b->products; i++) {
        const LsBenchProduct *p = &b->product[i];
        const LsGemmShape *s = &p->shape;
        char name[96];
        snprintf(name, sizeof name, "%lld x %lld x %lld%s%s%s%s", (long long)s->m, (long long)s->n, (long long)s->k,
                 s->transpose_a ? " A'" : "", s->transpose_b ? " B'" : "", s->accumulate ? " +C" : "",
                 s->c_float && s->type == LS_GEMM_BFLOAT16 ? " float" : "");
        double gflops = 2e-9 * (double)s->m * (double)s->n * (double)s->k / p->seconds;
        char share[16] = "";
        if (fma > 0)
            snprintf(share, sizeof share, "%.0f%%", 100 * gflops / fma);
        printf("%-36s %6lld %9.3f %9.1f %6s %9.3f  %s\n", name, (long long)s->calls, 1e3 * p->seconds, gflops, share,
               1e3 * p->seconds * (double)s->calls, p->kernel);
    }
    printf("limit of the step by products alone: %.4f s; the step reaches %.0f %% of it\n", b->limit,
           100 * b->limit / b->median);
}

LsStatus ls_bench_print(const LsBench *b)
{
    print_head(b);
    print_rows(b);
    print_places(b);
    print_path(b);
    print_ranks(b);
    print_memory(b);
    print_products(b);
    return LS_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *json_side(const LsBenchSide *side)
{
    double rate = side->seconds > 0 ? 1e-9 / side->seconds : 0;
    return json_pack("{s:f, s:f, s:f, s:o}", "seconds", side->seconds, "gflops", side->flops * rate, "gbytes",
                     side->bytes * rate, "roofline_share", ls_json_number(side->roofline));
}

static json_t *json_rows(const LsBench *b, const LsBenchRow *row, int rows)
{
    json_t *ops = json_array();
    for (int i = 0; i < rows; i++) {
        const LsBenchRow *r = &row[i];
        double rate = r->seconds > 0 ? 1e-9 / r->seconds : 0;
        json_array_append_new(ops, json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:o, s:o}", "name", r->name, "calls",
                                             (json_int_t)r->calls, "seconds", r->seconds, "share",
                                             r->seconds / b->rank[0].step, "gflops",
                                             (r->forward.flops + r->backward.flops) * rate, "gbytes",
                                             (r->forward.bytes + r->backward.bytes) * rate, "forward",
                                             json_side(&r->forward), "backward", json_side(&r->backward)));
    }
    return ops;
}

static json_t *json_parts(const double part[LS_PARTS])
{
    json_t *parts = json_object();
    for (int i = 0; i < LS_PARTS; i++)
        json_object_set_new(parts, ls_bench_part_names[i], json_real(part[i]));
    return parts;
}

static json_t *json_ranks(const LsBench *b)
{
    json_t *ranks = json_array();
    for (int rank = 0; rank < b->comm->size; rank++) {
        const LsBenchRank *r = &b->rank[rank];
        json_array_append_new(ranks,
                              json_pack("{s:i, s:f, s:f, s:f, s:I, s:o}", "rank", rank, "step_seconds_mean", r->step,
                                        "sums_under_way", r->in_flight, "processor_share", r->processor_share,
                                        "resident_bytes", (json_int_t)r->resident, "parts", json_parts(r->part)));
    }
    return ranks;
}

static json_t *json_communication(const LsBench *b)
{
    if (b->comm->size == 1)
        return json_null();
    LsBucketTimes sums = sums_of(&b->rank[b->slowest]);
    return json_pack("{s:f, s:f, s:f, s:o, s:o}", "under_way", sums.in_flight, "exposed", sums.inside + sums.waited,
                     "hidden_share", ls_buckets_hidden_share(sums), "without_overlap_step_seconds",
                     ls_json_number(b->plain_median > 0 ? b->plain_median : NAN), "without_overlap_waiting",
                     ls_json_number(b->plain_median > 0 ? b->plain_waited : NAN));
}

static json_t *json_memory(const LsBench *b)
{
    const LsTrainPlan *plan = &b->trainer->plan;
    LsMemoryRow rows[LS_MEMORY_ROWS];
    int count = ls_train_memory_rows(plan, rows);
    json_t *object = json_pack("{s:I, s:i, s:f, s:I}", "planned", (json_int_t)plan->total_bytes, "recomputed",
                               plan->recomputed.nodes, "recomputed_share", plan->recomputed.share, "segments",
                               (json_int_t)plan->segments);
    for (int i = 0; object && i < count; i++)
        json_object_set_new(object, rows[i].name, json_integer(rows[i].bytes));
    return object;
}

static json_t *json_products(const LsBench *b)
{
    if (b->limit <= 0)
        return json_null();
    json_t *list = json_array();
    for (int i = 0; i < b->products; i++) {
        const LsBenchProduct *p = &b->product[i];
        const LsGemmShape *s = &p->shape;
        json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:b, s:I, s:f, s:s, s:f}", "m", (json_int_t)s->m, "n",
                            (json_int_t)s->n, "k", (json_int_t)s->k, "transpose_a", s->transpose_a, "transpose_b",
                            s->transpose_b, "accumulate", s->accumulate, "bfloat16", s->type == LS_GEMM_BFLOAT16,
                            "one_thread", s->alone, "calls", (json_int_t)s->calls, "seconds", p->seconds, "kernel",
                            p->kernel, "gflops", 2e-9 * (double)s->m * (double)s->n * (double)s->k / p->seconds));
    }
    return json_pack("{s:f, s:f, s:o}", "seconds", b->limit, "step_share", b->limit / b->median, "shapes", list);
}

LsStatus ls_bench_print_json(const LsBench *b)
{
    const LsTrainer *t = b->trainer;
    Summary s = summary_of(b);
    double resident = 0;
    for (int rank = 0; rank < b->comm->size; rank++)
        resident = fmax(resident, b->rank[rank].resident);
    json_t *all = json_pack("{s:s, s:I, s:s, s:i, s:i, s:I, s:I, s:I}", "model", b->config->model->name, "parameters",
                            (json_int_t)t->plan.parameters, "precision", b->config->train.precision, "ranks",
                            b->comm->size, "threads", ls_threads(), "steps", (json_int_t)b->options->steps, "batch",
                            (json_int_t)b->config->train.batch, "sequence", (json_int_t)t->plan.sequence);
    json_t *steps = json_array(); /* in order of time taken */
    for (int64_t i = 0; i < b->options->steps; i++)
        json_array_append_new(steps, json_real(b->seconds[i]));
    json_t *speed =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:I}", "step_seconds_median", b->median, "step_seconds_min",
                  b->least, "step_seconds_mean", s.mean, "items_per_second", s.items, "gflops", s.gflops, "peak_gflops",
                  ls_json_number(s.peak > 0 ? s.peak : NAN), "share_of_peak",
                  ls_json_number(s.peak > 0 ? s.gflops / s.peak : NAN), "memory_bytes", (json_int_t)resident);
    json_t *parts = json_pack(
        "{s:{s:f, s:f, s:f, s:f, s:f}, s:o, s:o, s:o, s:{s:i, s:o}, s:o, s:o, s:o}", "peaks", "gflops", b->peak.gflops,
        "gflops_bfloat16", b->peak.gflops_bfloat16, "gflops_fma", b->peak.gflops_fma, "bandwidth", b->peak.bandwidth,
        "reading", b->peak.reading, "memory", json_memory(b), "ops", json_rows(b, b->row, b->rows), "places",
        json_rows(b, b->place, b->places), "critical_path", "slowest_rank", b->slowest, "parts", json_parts(b->path),
        "rank_parts", json_ranks(b), "communication", json_communication(b), "products", json_products(b));
    if (!all || json_object_set_new(all, "step_seconds", steps) != 0 || !speed || !parts ||
        json_object_update(all, speed) != 0 || json_object_update(all, parts) != 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(speed);
    json_decref(parts);
    return ls_print_json(all);
}
