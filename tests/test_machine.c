/* What the system says of the machine, read from made-up machines. */
#include "machine/caches.h"
#include "machine/system.h"
#include "system_tree.h"

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

int main(void)
{
    return harness_run("machine", (HarnessTest[]){{"lists", test_lists}, {"caches", test_caches}, {0}});
}
