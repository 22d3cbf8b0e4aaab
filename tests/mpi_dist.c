/* The communicator at 1 to 4 ranks: sums, agreement, buckets with and without overlap, launch checks. */
#include "harness_mpi.h"
#include "lockstep/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_sums(void)
{
    enum { COUNT = 1000 };
    float x[COUNT];
    double y[COUNT];
    int64_t z[3] = {comm->rank, -comm->rank, 7};
    for (int i = 0; i < COUNT; i++) {
        x[i] = (float)(i + comm->rank);
        y[i] = i * 0.1 + comm->rank;
    }
    ASSERT_OK(comm->allreduce_float(comm, x, COUNT));
    ASSERT_OK(comm->allreduce_double(comm, y, COUNT));
    ASSERT_OK(comm->allreduce_max(comm, z, 3));
    double ranks = comm->size * (comm->size - 1) / 2.0;
    for (int i = 0; i < COUNT; i++) {
        CU_ASSERT_EQUAL(x[i], (float)(comm->size * i + ranks)); /* small integers: exact */
        double sum = i * 0.1;
        for (int rank = 1; rank < comm->size; rank++)
            sum += i * 0.1 + rank; /* in rank order: the same bits */
        CU_ASSERT_EQUAL(y[i], sum);
    }
    CU_ASSERT_EQUAL(z[0], comm->size - 1);
    CU_ASSERT_EQUAL(z[1], 0);
    CU_ASSERT_EQUAL(z[2], 7);
}

static void test_broadcast(void)
{
    for (int root = 0; root < comm->size; root++) {
        char text[16] = "";
        if (comm->rank == root)
            snprintf(text, sizeof text, "from %d", root);
        ASSERT_OK(comm->broadcast(comm, text, sizeof text, root));
        CU_ASSERT_EQUAL(atoi(text + 5), root);
        ASSERT_OK(comm->barrier(comm));
    }
}

static void test_requests(void)
{
    enum { REQUESTS = 7, COUNT = 300 };
    static float x[REQUESTS][COUNT];
    LsRequest *request[REQUESTS];
    int64_t allocated = 0;
    for (int round = 0; round < 3; round++) {
        for (int r = 0; r < REQUESTS; r++) {
            for (int i = 0; i < COUNT; i++)
                x[r][i] = (float)(r * i % 17 + comm->rank + 1);
            ASSERT_OK(comm->start_sum(comm, x[r], COUNT, &request[r]));
            ASSERT_OK(comm->progress(comm));
        }
        for (int r = 0; r < REQUESTS; r++) {
            ASSERT_OK(comm->finish(comm, &request[r]));
            CU_ASSERT_PTR_NULL(request[r]);
            ASSERT_OK(comm->finish(comm, &request[r])); /* NULL is allowed */
            for (int i = 0; i < COUNT; i++)
                CU_ASSERT_EQUAL(x[r][i], (float)(comm->size * (r * i % 17) + comm->size * (comm->size + 1) / 2));
        }
        if (round == 0)
            allocated = ls_alloc_count();
    }
    CU_ASSERT_EQUAL(ls_alloc_count(), allocated); /* requests are reused */
}

static void test_agree(void)
{
    ASSERT_OK(ls_dist_agree(comm, LS_OK));
    for (int bad = 0; bad < comm->size; bad++) {
        LsStatus mine = comm->rank == bad ? ls_fail(LS_DATA, "file of rank %d", bad) : LS_OK;
        char expected[64];
        snprintf(expected, sizeof expected, comm->rank == bad ? "file of rank %d" : "rank %d: file of rank %d", bad, bad);
        ASSERT_FAILS(ls_dist_agree(comm, mine), LS_DATA, expected);
    }
    /* every rank has its own failure: the worst wins, a stop is the mildest */
    LsStatus mine = comm->rank == 0 ? ls_fail(LS_STOPPED, "stopped") : ls_fail(LS_CHECKPOINT, "no file at %d", comm->rank);
    ASSERT_FAILS(ls_dist_agree(comm, mine), comm->size == 1 ? LS_STOPPED : LS_CHECKPOINT,
                 comm->size == 1 ? "stopped" : "no file at 1");
}

static void test_second_start(void)
{
    const LsComm *again = NULL;
    ASSERT_OK(ls_dist_start(NULL, NULL, &again));
    CU_ASSERT_PTR_EQUAL(again, comm);
    CU_ASSERT(strlen(ls_dist_library()) > 3);
}

/* ---- Buckets ------------------------------------------------------------------------------------------------------- */

static const int64_t sizes[] = {1000, 48, 16, 2000, 512, 16, 16, 700};
enum { PARAMETERS = LS_COUNT_OF(sizes) };

static void make_params(LsParams *params, LsParam *list, float *grad)
{
    int64_t offset = 0;
    for (int i = 0; i < PARAMETERS; i++) {
        list[i] = (LsParam){.name = "p", .rank = 1, .dim = {sizes[i]}, .count = sizes[i], .offset = offset};
        offset += (sizes[i] + 15) / 16 * 16;
    }
    *params = (LsParams){.list = list, .count = PARAMETERS, .total = offset, .grad = grad, .sealed = true};
}

static void fill_grad(float *grad, int64_t total)
{
    for (int64_t i = 0; i < total; i++)
        grad[i] = ls_normal_at(ls_key(7, "grad"), (uint64_t)comm->rank, (uint64_t)i);
}

/* Three steps of a backward that finishes parameters from the end; later steps leave some to finish. */
static void run_buckets(LsParams *params, int64_t bytes, bool overlap, bool shared)
{
    LsBuckets *buckets = ls_buckets_new(comm, params, bytes, overlap);
    CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
    CU_ASSERT_EQUAL(ls_buckets_count(buckets) > 0, comm->size > 1);
    CU_ASSERT_EQUAL(ls_buckets_shared(buckets), shared);
    CU_ASSERT_PTR_NOT_NULL_FATAL(params->grad);
    for (int step = 0; step < 3; step++) {
        fill_grad(params->grad, params->total);
        const LsHooks *hooks = ls_buckets_hooks(buckets);
        for (int i = PARAMETERS - 1; i >= step; i--) {
            ASSERT_OK(hooks->ready(hooks->self, params->list[i].offset));
            ASSERT_OK(hooks->poll(hooks->self));
        }
        ASSERT_OK(ls_buckets_finish(buckets));
    }
    LsBucketTimes times = ls_buckets_times(buckets);
    CU_ASSERT(times.inside >= 0 && times.waited >= 0 && times.under_way >= times.waited);
    CU_ASSERT(ls_buckets_hidden(times) >= 0 && ls_buckets_hidden(times) <= 1);
    if (shared) { /* the array goes with the buckets */
        memcpy(params->value, params->grad, (size_t)params->total * sizeof(float));
        ls_buckets_free(buckets);
        CU_ASSERT_PTR_NULL(params->grad);
        return;
    }
    ls_buckets_free(buckets);
    CU_ASSERT_PTR_NOT_NULL(params->grad);
    memcpy(params->value, params->grad, (size_t)params->total * sizeof(float));
}

static void compare_buckets(bool shared)
{
    static float grad[8192], sum[2][8192], direct[8192];
    LsParam list[PARAMETERS];
    LsParams params;
    for (int64_t bytes = 4; bytes < 40000; bytes = bytes * 5 + 60) {
        for (int overlap = 0; overlap < 2; overlap++) {
            make_params(&params, list, shared ? NULL : grad);
            params.value = sum[overlap];
            run_buckets(&params, bytes, overlap == 1, shared && comm->size > 1);
            if (shared && comm->size == 1)
                return;
        }
        fill_grad(direct, params.total);
        ASSERT_OK(comm->allreduce_float(comm, direct, params.total));
        for (int64_t i = 0; i < params.total; i++) /* up to three sums in another order: roundings of numbers below 16 */
            CU_ASSERT(fabsf(direct[i] - sum[0][i]) <= 3 * 16 * 0x1p-24f);
        CU_ASSERT_EQUAL(memcmp(sum[0], sum[1], (size_t)params.total * sizeof(float)), 0);
    }
}

static void test_buckets(void) { compare_buckets(false); }

static void test_shared_buckets(void)
{
    if (comm->size > 1)
        compare_buckets(true);
    setenv("LOCKSTEP_SHARED", "off", 1);
    LsParam list[PARAMETERS];
    LsParams params;
    static float value[8192];
    make_params(&params, list, NULL);
    params.value = value;
    LsBuckets *buckets = ls_buckets_new(comm, &params, 1000, true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
    CU_ASSERT_FALSE(ls_buckets_shared(buckets));
    CU_ASSERT_PTR_NOT_NULL(params.grad);
    ls_buckets_free(buckets);
    CU_ASSERT_PTR_NULL(params.grad);
    unsetenv("LOCKSTEP_SHARED");
}

/* Four ranks that take themselves for two nodes: slices travel between them. */
static void test_two_nodes(void)
{
    setenv("LOCKSTEP_NODE_RANKS", "2", 1);
    if (comm->size == 4)
        compare_buckets(true);
    if (comm->size == 3) { /* unlike nodes: messages */
        LsParam list[PARAMETERS];
        LsParams params;
        make_params(&params, list, NULL);
        LsBuckets *buckets = ls_buckets_new(comm, &params, 1000, true);
        CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
        CU_ASSERT_FALSE(ls_buckets_shared(buckets));
        ls_buckets_free(buckets);
    }
    unsetenv("LOCKSTEP_NODE_RANKS");
}

/* A rank that never comes to the sums: the others say which one and give up, whatever way the sums go; then their buckets only fail. */
static void test_rank_that_hangs(void)
{
    if (comm->size == 1)
        return;
    setenv("LOCKSTEP_TIMEOUT", "0.3", 1);
    for (int messages = 0; messages < 2; messages++) {
        LsParam list[PARAMETERS];
        LsParams params;
        if (messages)
            setenv("LOCKSTEP_SHARED", "off", 1);
        make_params(&params, list, NULL);
        LsBuckets *buckets = ls_buckets_new(comm, &params, 4000, true);
        CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
        CU_ASSERT_EQUAL(ls_buckets_shared(buckets), !messages);
        char expected[64];
        snprintf(expected, sizeof expected, "rank %d of this node has not come", comm->size - 1);
        if (comm->rank < comm->size - 1) {
            double start = ls_seconds();
            ASSERT_FAILS(ls_buckets_finish(buckets), LS_LAUNCH, messages ? "is not complete after" : "of this node");
            if (comm->rank == 0 && !messages && comm->size == 2) /* with more ranks, another one may have given up first */
                CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), expected));
            CU_ASSERT(ls_seconds() - start < 60);
            ASSERT_FAILS(ls_buckets_finish(buckets), LS_LAUNCH, "failed before");
        }
        ASSERT_OK(comm->barrier(comm));
        if (comm->rank == comm->size - 1 && !messages) /* and now that it comes, it learns that the others have given up */
            ASSERT_FAILS(ls_buckets_finish(buckets), LS_LAUNCH, "could not go on");
        if (comm->rank == comm->size - 1 && messages) /* its part lets the library complete the others' requests */
            (void)!ls_buckets_finish(buckets);
        ASSERT_OK(comm->barrier(comm));
        ls_buckets_free(buckets);
        unsetenv("LOCKSTEP_SHARED");
    }
    unsetenv("LOCKSTEP_TIMEOUT");
}

/* Measured once, then kept; the same on every rank. */
static void test_link(void)
{
    LsLink link, again;
    setenv("XDG_CACHE_HOME", harness_path("cache"), 1);
    for (int messages = 0; messages < 2; messages++) {
        if (messages)
            setenv("LOCKSTEP_SHARED", "off", 1);
        ASSERT_OK(ls_link(comm, &link));
        ASSERT_OK(ls_link(comm, &again));
        CU_ASSERT_EQUAL(link.latency > 0 && link.bandwidth > 0, comm->size > 1);
        ASSERT_AT_MOST(fabs(again.latency - link.latency), 1e-9 * link.latency); /* the file has ten digits */
        ASSERT_AT_MOST(fabs(again.bandwidth - link.bandwidth), 1e-9 * link.bandwidth);
        int64_t bytes[2] = {ls_link_bucket_bytes(&again), -ls_link_bucket_bytes(&again)};
        ASSERT_OK(comm->allreduce_max(comm, bytes, 2));
        CU_ASSERT_EQUAL(bytes[0], -bytes[1]);
        unsetenv("LOCKSTEP_SHARED");
    }
    CU_ASSERT_EQUAL(ls_link_bucket_bytes(&(LsLink){1e-9, 1e9}), 256 << 10);
    CU_ASSERT_EQUAL(ls_link_bucket_bytes(&(LsLink){50e-6, 5e9}), 8 << 20); /* 5 MB, to the next power of two */
    CU_ASSERT_EQUAL(ls_link_bucket_bytes(&(LsLink){1, 1e9}), 64 << 20);
}

/* ---- Launch -------------------------------------------------------------------------------------------------------- */

static void test_world_check(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"};
    char *kept[LS_COUNT_OF(names)];
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);
        kept[i] = value ? ls_strdup(value) : NULL;
        unsetenv(names[i]);
    }
    ASSERT_OK(ls_dist_check_world(1));
    setenv("SLURM_NTASKS", "4", 1);
    ASSERT_FAILS(ls_dist_check_world(1), LS_LAUNCH, "SLURM_NTASKS says 4");
    ASSERT_FAILS(ls_dist_check_world(1), LS_LAUNCH, "mpirun");
    ASSERT_OK(ls_dist_check_world(4));
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1); /* mpirun -np 1 inside a job of four: on purpose */
    ASSERT_OK(ls_dist_check_world(1));
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    ASSERT_FAILS(ls_dist_check_world(1), LS_LAUNCH, "OMPI_COMM_WORLD_SIZE says 2");
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        if (kept[i])
            setenv(names[i], kept[i], 1);
        else
            unsetenv(names[i]);
        ls_free(kept[i]);
    }
}

static void test_threads(void)
{
    CU_ASSERT_EQUAL(ls_dist_default_threads(8, 2), 4);
    CU_ASSERT_EQUAL(ls_dist_default_threads(8, 3), 2);
    CU_ASSERT_EQUAL(ls_dist_default_threads(2, 4), 1);
    CU_ASSERT_EQUAL(ls_dist_default_threads(6, 1), 6);
    CU_ASSERT_EQUAL(ls_dist_default_threads(0, 1), 1);
}

static const HarnessTest tests[] = {
    {"sums", test_sums},
    {"broadcast", test_broadcast},
    {"requests", test_requests},
    {"agree", test_agree},
    {"second start", test_second_start},
    {"buckets by messages", test_buckets},
    {"buckets by shared memory", test_shared_buckets},
    {"buckets over two nodes", test_two_nodes},
    {"link", test_link},
    {"a rank that hangs", test_rank_that_hangs},
    {"world check", test_world_check},
    {"threads", test_threads},
    {0},
};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "dist", tests); }
