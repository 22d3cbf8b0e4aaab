/* The communicator at 1 to 4 ranks: sums, agreement, buckets with and without overlap, launch checks. */
#include "harness_mpi.h"
#include "lockstep/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

static void test_agree(void)
{
    ASSERT_OK(ls_dist_agree(comm, LS_OK));
    for (int bad = 0; bad < comm->size; bad++) {
        LsStatus mine = comm->rank == bad ? ls_fail(LS_DATA, "file of rank %d", bad) : LS_OK;
        char expected[64];
        snprintf(expected, sizeof expected, comm->rank == bad ? "file of rank %d" : "rank %d: file of rank %d", bad,
                 bad);
        ASSERT_FAILS(ls_dist_agree(comm, mine), LS_DATA, expected);
    }
    /* every rank has its own failure: the worst wins, a stop is the mildest */
    LsStatus mine =
        comm->rank == 0 ? ls_fail(LS_STOPPED, "stopped") : ls_fail(LS_CHECKPOINT, "no file at %d", comm->rank);
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

/* ---- Buckets ----------------------------------------------------------------------------------------------------- */

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

static float grad_of(int rank, int64_t i) { return ls_normal_at(ls_key(7, "grad"), (uint64_t)rank, (uint64_t)i); }

/* The ranks first .. first + count - 1, halves of the largest power of two. */
static float tree_of(int first, int count, int64_t i)
{
    int half = 1;
    while (2 * half < count)
        half *= 2;
    return count == 1 ? grad_of(first, i) : tree_of(first, half, i) + tree_of(first + half, count - half, i);
}

/* Three steps of a backward that finishes parameters from the end; later steps leave some to finish. sum: (total) the
 * whole of it. */
static void run_buckets(LsParams *params, const LsBucketOptions *options, int sharing, float *sum, double *squares)
{
    LsBuckets *buckets = ls_buckets_new(comm, params, options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
    CU_ASSERT_EQUAL(ls_buckets_count(buckets) > 0, comm->size > 1);
    CU_ASSERT_EQUAL(ls_buckets_sharing_ranks(buckets), sharing);
    CU_ASSERT_PTR_NOT_NULL_FATAL(params->grad);
    for (int step = 0; step < 3; step++) {
        for (int64_t i = 0; i < params->total; i++)
            params->grad[i] = grad_of(comm->rank, i);
        const LsHooks *hooks = ls_buckets_hooks(buckets);
        for (int i = PARAMETERS - 1; i >= step; i--) {
            ASSERT_OK(hooks->ready(hooks->self, params->list[i].offset));
            ASSERT_OK(hooks->poll(hooks->self));
        }
        ASSERT_OK(ls_buckets_finish(buckets));
        *squares = ls_buckets_squares(buckets);
        ASSERT_OK(comm->barrier(comm)); /* the next step's squares are others */
    }
    LsBucketTimes times = ls_buckets_times(buckets);
    CU_ASSERT(times.inside >= 0 && times.waited >= 0 && times.in_flight >= times.waited);
    CU_ASSERT(ls_buckets_hidden_share(times) >= 0 && ls_buckets_hidden_share(times) <= 1);
    memset(sum, 0, (size_t)params->total * sizeof(float));
    const LsRange whole = {0, params->total}, *range = &whole;
    int ranges = sharing > 1 ? ls_buckets_owned_ranges(buckets, &range) : 1;
    for (int i = 0; i < ranges; i++)
        memcpy(sum + range[i].first, params->grad + range[i].first, (size_t)range[i].count * sizeof(float));
    if (sharing > 1) { /* every float is some rank's of each node */
        ASSERT_OK(comm->allreduce_float(comm, sum, params->total));
        for (int64_t i = 0; i < params->total; i++)
            sum[i] /= (float)(comm->size / sharing); /* 1 or 2 */
    }
    ls_buckets_free(buckets);
}

/* The bits of the tree, whatever the buckets and the overlap. */
static void compare_buckets(bool own_grad, int sharing)
{
    static float grad[8192], sum[8192];
    LsParam list[PARAMETERS];
    LsParams params;
    double squares, first_squares = -1;
    for (int64_t bytes = 4; bytes < 40000; bytes = bytes * 5 + 60) {
        for (int overlap = 0; overlap < 2; overlap++) {
            make_params(&params, list, own_grad ? grad : NULL);
            run_buckets(&params, &(LsBucketOptions){.bytes = bytes, .overlap = overlap == 1}, sharing, sum, &squares);
            CU_ASSERT_EQUAL(params.grad == grad, own_grad); /* what the buckets made is gone */
            int wrong = 0;
            double expected = 0;
            for (int64_t i = 0; i < params.total; i++) {
                wrong += sum[i] != tree_of(0, comm->size, i);
                expected += (double)sum[i] * (double)sum[i];
            }
            CU_ASSERT_EQUAL(wrong, 0);
            ASSERT_AT_MOST(fabs(squares - expected), 1e-12 * expected);
            CU_ASSERT(first_squares < 0 || squares == first_squares);
            first_squares = squares;
        }
    }
}

static void test_buckets(void)
{
    if (comm->size > 1)
        compare_buckets(true, 1);
    setenv("LOCKSTEP_SHARED", "off", 1);
    if (comm->size > 1)
        compare_buckets(false, 1);
    unsetenv("LOCKSTEP_SHARED");
}

static void test_shared_buckets(void) { compare_buckets(false, comm->size); }

/* Four ranks that take themselves for two nodes: slices travel between them, and the bits are those of one node. */
static void test_two_nodes(void)
{
    setenv("LOCKSTEP_NODE_RANKS", "2", 1);
    if (comm->size == 4)
        compare_buckets(false, 2);
    if (comm->size == 3) /* unlike nodes: messages */
        compare_buckets(false, 1);
    unsetenv("LOCKSTEP_NODE_RANKS");
}

/* Each contribution x_r is rounded to x_r (1 + d_r), and so is the sum, with |d| <= 2^-8: a sum comes within 2^-8 |s| +
 * (2^-8 + 2^-16) times the magnitudes' sum, but for three roundings in float. The bits do not depend on the buckets. */
static void test_narrow_buckets(void)
{
    static float sum[2][8192];
    LsParam list[PARAMETERS];
    LsParams params;
    double squares, worst = 0;
    if (comm->size == 1)
        return;
    setenv("LOCKSTEP_SHARED", "off", 1);
    for (int run = 0; run < 2; run++) {
        make_params(&params, list, NULL);
        run_buckets(&params, &(LsBucketOptions){.bytes = run ? 9000 : 2000, .overlap = true, .bfloat16 = true}, 1,
                    sum[run], &squares);
    }
    CU_ASSERT_EQUAL(memcmp(sum[0], sum[1], (size_t)params.total * sizeof(float)), 0);
    for (int64_t i = 0; i < params.total; i++) {
        double exact = 0, magnitude = 0;
        for (int rank = 0; rank < comm->size; rank++) {
            exact += (double)grad_of(rank, i);
            magnitude += fabs((double)grad_of(rank, i));
        }
        double error = fabs((double)sum[0][i] - exact);
        ASSERT_AT_MOST(error, 0x1p-8 * fabs(exact) + (0x1p-8 + 0x1p-16 + 4 * 0x1p-24) * magnitude);
        worst = error > worst ? error : worst;
    }
    CU_ASSERT(worst > 0x1p-16); /* and it was rounded */
    int64_t bits[2] = {0, 0};
    for (int64_t i = 0; i < params.total; i++) {
        uint32_t word;
        memcpy(&word, &sum[0][i], sizeof word);
        bits[0] = (int64_t)((uint64_t)bits[0] * 31 % 1000003 + word);
    }
    bits[1] = -bits[0];
    ASSERT_OK(comm->allreduce_max(comm, bits, 2));
    CU_ASSERT_EQUAL(bits[0], -bits[1]); /* the same on every rank */
    unsetenv("LOCKSTEP_SHARED");
}

/* Arrays that a node has once: what the first rank writes all of them read, on the other node after
 * ls_buckets_broadcast. */
static void test_node_arrays(void)
{
    LsParam list[PARAMETERS];
    LsParams params;
    for (int nodes = 1; nodes <= 2; nodes++) {
        if (comm->size % (2 * nodes) != 0)
            continue;
        char text[16];
        snprintf(text, sizeof text, "%d", comm->size / nodes);
        setenv("LOCKSTEP_NODE_RANKS", text, 1);
        make_params(&params, list, NULL);
        LsBuckets *buckets = ls_buckets_new(
            comm, &params, &(LsBucketOptions){.bytes = 4000, .floats = 2 * params.total, .shadow = true});
        CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
        CU_ASSERT_EQUAL(ls_buckets_sharing_ranks(buckets), comm->size / nodes);
        float *x = ls_buckets_floats(buckets) + params.total;
        uint16_t *shadow = ls_buckets_shadow(buckets);
        CU_ASSERT_FATAL(x && shadow);
        CU_ASSERT_EQUAL(x[params.total - 1], 0);
        CU_ASSERT_EQUAL(shadow[params.total - 1], 0);
        ASSERT_OK(comm->barrier(comm));
        if (comm->rank == 0) {
            x[params.total - 1] = 17;
            shadow[params.total - 1] = 19;
        }
        ASSERT_OK(ls_buckets_broadcast(buckets));
        CU_ASSERT_EQUAL(x[params.total - 1], 17);
        CU_ASSERT_EQUAL(shadow[params.total - 1], 19);
        const LsRange *range = NULL; /* and all ranges together are the whole, each float once a node */
        for (int i = 0, ranges = ls_buckets_owned_ranges(buckets, &range); i < ranges; i++)
            for (int64_t j = range[i].first; j < range[i].first + range[i].count; j++)
                ls_buckets_floats(buckets)[j] += 1;
        ASSERT_OK(ls_buckets_wait_updates(buckets));
        int wrong = 0;
        for (int64_t i = 0; i < params.total; i++)
            wrong += ls_buckets_floats(buckets)[i] != 1;
        CU_ASSERT_EQUAL(wrong, 0);
        ASSERT_OK(comm->barrier(comm));
        ls_buckets_free(buckets);
        unsetenv("LOCKSTEP_NODE_RANKS");
    }
}

/* Where memory cannot be had the ranks go on with messages. */
static void test_no_shared_memory(void)
{
    struct rlimit before, small;
    LsParam list[PARAMETERS];
    LsParams params;
    if (comm->size == 1)
        return;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){2000, before.rlim_max};
    if (comm->rank == comm->size - 1)
        CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    make_params(&params, list, NULL);
    LsBuckets *buckets = ls_buckets_new(comm, &params, &(LsBucketOptions){.bytes = 4000});
    CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
    CU_ASSERT_EQUAL(ls_buckets_sharing_ranks(buckets), 1);
    setrlimit(RLIMIT_FSIZE, &before);
    ls_buckets_free(buckets);
}

/* A rank that never comes to the sums: the others say which one and give up, whatever way the sums go; then their
 * buckets only fail. */
static void test_rank_that_hangs(void)
{
    if (comm->size == 1)
        return;
    for (int messages = 0; messages < 2; messages++) {
        LsParam list[PARAMETERS];
        LsParams params;
        if (messages)
            setenv("LOCKSTEP_SHARED", "off", 1);
        make_params(&params, list, NULL);
        LsBuckets *buckets = ls_buckets_new(comm, &params, &(LsBucketOptions){.bytes = 4000, .overlap = true});
        CU_ASSERT_PTR_NOT_NULL_FATAL(buckets);
        CU_ASSERT_EQUAL(ls_buckets_sharing_ranks(buckets) > 1, !messages);
        for (int late = 0; late < 2; late++) {
            if ((comm->rank == comm->size - 1) == (late == 1)) {
                setenv("LOCKSTEP_TIMEOUT", "0.3", 1);
                double start = ls_seconds();
                /* who comes late learns that the others have given up, or waits for messages that nobody sends any
                 * more */
                ASSERT_FAILS(ls_buckets_finish(buckets), LS_LAUNCH,
                             late && !messages ? "could not go on" : "the sums of gradients");
                CU_ASSERT(ls_seconds() - start < 60);
                ASSERT_FAILS(ls_buckets_finish(buckets), LS_LAUNCH, "failed before");
                unsetenv("LOCKSTEP_TIMEOUT");
            }
            ASSERT_OK(comm->barrier(comm));
        }
        ls_buckets_free(buckets);
        unsetenv("LOCKSTEP_SHARED");
    }
}

/* The same in calls that every rank must come to; after it has come, all go on. The last rank sleeps outside the
 * library, as one that hangs; with more than two ranks the others answer each other. */
static void test_rank_that_does_not_come(void)
{
    static int64_t x[2][1];
    static char bytes[16];
    char name[32];
    snprintf(name, sizeof name, "rank %d,", comm->size - 1);
    for (int what = 0; what < 3 && comm->size > 1; what++) {
        static const char *const texts[] = {"waiting for a barrier", "waiting for an agreement",
                                            "waiting for a broadcast"};
        ASSERT_OK(comm->barrier(comm));
        bool late = comm->rank == comm->size - 1;
        if (late)
            usleep(1500000);
        else
            setenv("LOCKSTEP_TIMEOUT", "0.2", 1);
        x[0][0] = comm->rank;
        LsStatus status = what == 0   ? comm->barrier(comm)
                          : what == 1 ? comm->allreduce_max(comm, x[0], 1)
                                      : comm->broadcast(comm, bytes, sizeof bytes, comm->size - 1);
        unsetenv("LOCKSTEP_TIMEOUT");
        if (late) {
            ASSERT_OK(status);
        } else {
            ASSERT_FAILS(status, LS_LAUNCH, texts[what]);
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), name));
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "LOCKSTEP_TIMEOUT"));
        }
        ASSERT_OK(comm->barrier(comm));
        CU_ASSERT_FALSE(ls_dist_has_timed_out()); /* what was left behind is complete */
    }
}

/* Measured once, then kept; the same on every rank. */
static void test_link(void)
{
    LsLink link, again;
    setenv("XDG_CACHE_HOME", harness_path("cache"), 1);
    for (int messages = 0; messages < 2; messages++) {
        if (messages)
            setenv("LOCKSTEP_SHARED", "off", 1);
        ASSERT_OK(ls_link_measure(comm, &link));
        ASSERT_OK(ls_link_measure(comm, &again));
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

/* ---- Launch ------------------------------------------------------------------------------------------------------ */

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

static const HarnessTest tests[] = {
    {"sums", test_sums},
    {"broadcast", test_broadcast},
    {"agree", test_agree},
    {"second start", test_second_start},
    {"buckets by messages", test_buckets},
    {"buckets by shared memory", test_shared_buckets},
    {"buckets over two nodes", test_two_nodes},
    {"buckets in bfloat16", test_narrow_buckets},
    {"arrays that a node has once", test_node_arrays},
    {"no shared memory", test_no_shared_memory},
    {"link", test_link},
    {"a rank that hangs", test_rank_that_hangs},
    {"a rank that does not come", test_rank_that_does_not_come},
    {"world check", test_world_check},
    {0},
};

int main(int argc, char **argv) { return harness_run_mpi(argc, argv, "dist", tests); }
