/* The machine's description by the system, read from made-up machines. */
#include "machine/caches.h"
#include "machine/cgroup.h"
#include "machine/threads.h"
#include "system_tree.h"

#include <math.h>
#include <stdlib.h>

static void test_lists(void)
{
    LsCpus cpus;
    const char *root = harness_path("lists");
    tree_file(root, "0-2,5,64-65", "/good");
    CU_ASSERT(ls_system_list(&cpus, root, "/good"));
    CU_ASSERT_EQUAL(ls_cpus_count(&cpus), 6);
    CU_ASSERT(ls_cpus_have(&cpus, 2) && !ls_cpus_have(&cpus, 3) && ls_cpus_have(&cpus, 65));
    CU_ASSERT_EQUAL(ls_cpus_next(&cpus, 5), 64);
    CU_ASSERT_EQUAL(ls_cpus_next(&cpus, 65), -1);
    static const char *const wrong[] = {"", "3-1", "1,", "-4", "1-", "x", "0-99999999999999999999x"};
    for (size_t i = 0; i < LS_COUNT_OF(wrong); i++) {
        tree_file(root, wrong[i], "/wrong%d", (int)i);
        CU_ASSERT(!ls_system_list(&cpus, root, "/wrong%d", (int)i));
        CU_ASSERT_EQUAL(ls_cpus_count(&cpus), 0);
    }
    tree_file(root, "48K", "/size");
    CU_ASSERT_EQUAL(ls_system_number(root, "/size"), 48 << 10);
    CU_ASSERT_EQUAL(ls_system_number(root, "/none"), -1);
    ls_system_allowed(&cpus, "");
    CU_ASSERT(ls_cpus_count(&cpus) >= 1);
}

static void test_caches(void)
{
    LsCaches caches;
    ls_caches_read(tree_zen3(), 3, &caches);
    CU_ASSERT(caches.l1d == 32 << 10 && caches.l2 == 512 << 10 && caches.l3 == 32 << 20 && caches.l3_cores == 8);
    const char *root = tree_hybrid();
    ls_caches_read(root, 0, &caches);
    CU_ASSERT(caches.l1d == 48 << 10 && caches.l2 == 1280 << 10 && caches.l3 == 12 << 20 && caches.l3_cores == 6);
    ls_caches_read(root, 5, &caches); /* four cores share 2 MiB */
    CU_ASSERT(caches.l1d == 32 << 10 && caches.l2 == 512 << 10 && caches.l3 == 12 << 20 && caches.l3_cores == 6);
    ls_caches_read(harness_path("nowhere"), 0, &caches);
    CU_ASSERT(caches.l1d == 32 << 10 && caches.l2 == 512 << 10 && caches.l3 == 0 && caches.l3_cores == 1);
    const LsCaches *own = ls_caches();
    CU_ASSERT(own->l1d >= 8 << 10 && own->l2 >= own->l1d && own->l3 >= 0 && own->l3_cores >= 1);
    CU_ASSERT_PTR_EQUAL(ls_caches(), own);
}

static void test_cores(void)
{
    LsCores cores;
    ls_cores_read(tree_zen3(), &cores);
    CU_ASSERT(cores.processors == 16 && cores.cores == 8 && cores.fast == 8 && cores.domains == 1 && cores.quota == 0);
    CU_ASSERT_EQUAL(ls_cores_threads(&cores, 1, 1), 8);
    CU_ASSERT_EQUAL(ls_cores_threads(&cores, 2, 2), 4);
    CU_ASSERT_EQUAL(ls_cores_threads(&cores, 3, 3), 2);
    CU_ASSERT_EQUAL(ls_cores_threads(&cores, 16, 16), 1);
    ls_cores_read(tree_hybrid(), &cores);
    CU_ASSERT(cores.processors == 8 && cores.cores == 6 && cores.fast == 2);
    CU_ASSERT_EQUAL(ls_cores_threads(&cores, 1, 1), 2);

    const char *arm = harness_path("arm"); /* capacities: one fast core, three a little slower, four slow */
    static const char *const capacity[] = {"1024", "870", "870", "870", "290", "290", "290", "290"};
    tree_file(arm, "0-7", CPU "/online");
    for (int cpu = 0; cpu < 8; cpu++)
        tree_file(arm, capacity[cpu], CPU "/cpu%d/cpu_capacity", cpu);
    ls_cores_read(arm, &cores);
    CU_ASSERT(cores.cores == 8 && cores.fast == 4);

    tree_file(arm, "4-7", CPU "/online"); /* only slow cores are allowed: they are all there is */
    ls_cores_read(arm, &cores);
    CU_ASSERT(cores.cores == 4 && cores.fast == 4);
    ls_cores_read("", &cores); /* this machine */
    CU_ASSERT(cores.processors >= cores.cores && cores.cores >= cores.fast && cores.fast >= 1 && cores.domains >= 1);
}

static void test_domains(void)
{
    LsCores cores;
    const char *root = harness_path("domains");
    tree_file(root, "0-7", CPU "/online");
    tree_file(root, "0-1,3", "/sys/devices/system/node/online");
    tree_file(root, "0-3", "/sys/devices/system/node/node0/cpulist");
    tree_file(root, "4-7", "/sys/devices/system/node/node1/cpulist");
    tree_file(root, "", "/sys/devices/system/node/node3/cpulist"); /* memory without cores */
    ls_cores_read(root, &cores);
    CU_ASSERT_EQUAL(cores.domains, 2);
    tree_file(root, "4-6", CPU "/online");
    ls_cores_read(root, &cores);
    CU_ASSERT_EQUAL(cores.domains, 1);
}

static void test_quota(void)
{
    LsCores cores;
    const char *two = harness_path("group2"), *one = harness_path("group1"), *container = harness_path("container");
    tree_file(two, "0-3", CPU "/online");
    tree_file(two, "0::/a/b", "/proc/self/cgroup");
    CU_ASSERT_EQUAL(ls_cgroup_processors(two), 0);
    tree_file(two, "max 100000", "/sys/fs/cgroup/a/b/cpu.max");
    CU_ASSERT_EQUAL(ls_cgroup_processors(two), 0);
    tree_file(two, "300000 100000", "/sys/fs/cgroup/a/b/cpu.max");
    CU_ASSERT_EQUAL(ls_cgroup_processors(two), 3);
    tree_file(two, "75000 50000", "/sys/fs/cgroup/a/cpu.max"); /* the least of the groups above counts */
    CU_ASSERT_EQUAL(ls_cgroup_processors(two), 1.5);

    tree_file(one, "5:memory:/m\n4:cpu,cpuacct:/job/step\n1:cpuset:/", "/proc/self/cgroup");
    tree_file(one, "-1", "/sys/fs/cgroup/cpu/job/step/cpu.cfs_quota_us");
    tree_file(one, "100000", "/sys/fs/cgroup/cpu/job/step/cpu.cfs_period_us");
    CU_ASSERT_EQUAL(ls_cgroup_processors(one), 0);
    tree_file(one, "200000", "/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us");
    tree_file(one, "100000", "/sys/fs/cgroup/cpu/job/cpu.cfs_period_us");
    CU_ASSERT_EQUAL(ls_cgroup_processors(one), 2);

    tree_file(container, "4:cpu,cpuacct:/docker/0123", "/proc/self/cgroup"); /* which sees its own group as / */
    tree_file(container, "50000", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    tree_file(container, "100000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    CU_ASSERT_EQUAL(ls_cgroup_processors(container), 0.5);

    ls_cores_read(two, &cores);
    static const struct {
        double quota;
        int ranks, threads;
    } cases[] = {{0, 1, 4},   {4, 1, 4},   {9, 1, 4}, {2.2, 1, 2}, {1.5, 1, 1},
                 {1.8, 1, 2}, {0.5, 1, 1}, {3, 2, 1}, {3.6, 2, 2}, {2, 4, 1}};
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        cores.quota = cases[i].quota;
        CU_ASSERT_EQUAL(ls_cores_threads(&cores, 1, cases[i].ranks), cases[i].threads);
    }
}

static void test_asked(void)
{
    static const struct {
        const char *text;
        int threads;
    } cases[] = {{"3", 3},    {" 4 ", 4}, {"2,1", 2},
                 {"", 0},     {"0", 0},   {"-2", 0},
                 {"many", 0}, {"2x", 0},  {"99999999999", 2147483647}};
    const char *outside = getenv("OMP_NUM_THREADS");
    char *keep = outside ? ls_strdup(outside) : NULL;
    LsCores cores;
    ls_cores_read(tree_zen3(), &cores);
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        setenv("OMP_NUM_THREADS", cases[i].text, 1);
        CU_ASSERT_EQUAL(ls_threads_asked(), cases[i].threads);
    }
    ASSERT_FAILS(ls_threads_check(), LS_USAGE, "OMP_NUM_THREADS=99999999999: at most ");
    setenv("OMP_NUM_THREADS", "100000", 1);
    ASSERT_FAILS(ls_threads_check(), LS_USAGE, "set OMP_NUM_THREADS=");
    setenv("OMP_NUM_THREADS", "16", 1);
    ASSERT_OK(ls_threads_check());
    int before = ls_threads();
    ls_set_threads(3);
    ls_threads_choose(&cores, 1, 1); /* obeyed */
    CU_ASSERT_EQUAL(ls_threads(), 3);
    unsetenv("OMP_NUM_THREADS");
    ASSERT_OK(ls_threads_check());
    ls_threads_choose(&cores, 1, 1);
    CU_ASSERT_EQUAL(ls_threads(), 8);
    ls_set_threads(before);
    if (keep)
        setenv("OMP_NUM_THREADS", keep, 1);
    ls_free(keep);
}

/* Whether a finding has this name, and its cure this text. */
static bool finds(const LsFindings *findings, const char *name, const char *cure)
{
    for (int i = 0; i < findings->count; i++)
        if (strcmp(findings->list[i].name, name) == 0 && strstr(findings->list[i].cure, cure))
            return true;
    return false;
}

static void test_findings(void)
{
    LsCores cores;
    LsFindings findings;
    const char *runtime[4];
    ls_cores_read(tree_zen3(), &cores);
    ls_threads_findings(&cores, 8, 1, 1, &findings);
    CU_ASSERT_EQUAL(findings.count, 0);
    ls_threads_findings(&cores, 4, 2, 2, &findings);
    CU_ASSERT_EQUAL(findings.count, 0);
    ls_threads_findings(&cores, 8, 2, 2, &findings); /* two ranks share the cores */
    CU_ASSERT(finds(&findings, "threads of a core", "OMP_NUM_THREADS=4"));
    ls_threads_findings(&cores, 12, 1, 1, &findings);
    CU_ASSERT(finds(&findings, "threads of a core", "OMP_NUM_THREADS=8") && findings.count == 1);
    cores.quota = 2.5;
    ls_threads_findings(&cores, 8, 1, 1, &findings);
    CU_ASSERT(finds(&findings, "processor quota", "OMP_NUM_THREADS=2") && findings.count == 1);
    ls_threads_findings(&cores, 2, 1, 1, &findings);
    CU_ASSERT_EQUAL(findings.count, 0);
    cores.quota = 0;
    cores.domains = 2;
    ls_threads_findings(&cores, 8, 1, 1, &findings);
    CU_ASSERT(finds(&findings, "memory domains", "-np 2") && findings.count == 1);
    ls_threads_findings(&cores, 1, 1, 1, &findings);
    CU_ASSERT_EQUAL(findings.count, 0);
    ls_cores_read(tree_hybrid(), &cores);
    ls_threads_findings(&cores, 6, 1, 1, &findings);
    CU_ASSERT(finds(&findings, "slow cores", "OMP_NUM_THREADS=2") && findings.count == 1);
    CU_ASSERT_EQUAL(ls_threads_runtimes(runtime, 4), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(runtime[0], "omp"));
}

int main(void)
{
    return harness_run("machine", (HarnessTest[]){{"lists", test_lists},
                                                  {"caches", test_caches},
                                                  {"cores", test_cores},
                                                  {"domains", test_domains},
                                                  {"quotas", test_quota},
                                                  {"threads asked for", test_asked},
                                                  {"findings", test_findings},
                                                  {0}});
}
