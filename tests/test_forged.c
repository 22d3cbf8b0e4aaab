/* Files with a right digest that this program would never write: each kind of storage that HDF5 follows elsewhere, or
 * unfolds, is refused before anything of it is read. */
#include "damage.h"
#include "io/sealed_internal.h"
#include "store/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_array(hid_t file, const char *name, hid_t creation, hsize_t count, bool filled)
{
    static const uint8_t zeros[4096];
    hid_t space = H5Screate_simple(1, &count, NULL);
    hid_t array = H5Dcreate2(file, name, H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    char digest[LS_DIGEST_TEXT];
    ls_digest_text(zeros, count <= sizeof zeros ? (int64_t)count : 0, digest);
    CU_ASSERT_FATAL(array >= 0);
    if (filled)
        CU_ASSERT(H5Dwrite(array, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros) >= 0);
    CU_ASSERT(ls_sealed_write_checksum(array, digest));
    H5Sclose(space);
    H5Dclose(array);
}

static void honest(hid_t file) { make_array(file, "a", H5P_DEFAULT, 4096, true); }

static void external(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    CU_ASSERT(H5Pset_external(creation, harness_path("elsewhere.bin"), 0, 4096) >= 0);
    make_array(file, "a", creation, 4096, true);
    H5Pclose(creation);
}

static void compressed(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    CU_ASSERT(H5Pset_chunk(creation, 1, (hsize_t[]){4096}) >= 0 && H5Pset_shuffle(creation) >= 0);
    make_array(file, "a", creation, 4096, true);
    H5Pclose(creation);
}

static void virtual(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, (hsize_t[]){4096}, NULL);
    CU_ASSERT(H5Pset_virtual(creation, space, harness_path("other.h5"), "b", space) >= 0);
    make_array(file, "a", creation, 4096, false);
    H5Sclose(space);
    H5Pclose(creation);
}

static void sparse(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    CU_ASSERT(H5Pset_chunk(creation, 1, (hsize_t[]){4096}) >= 0);
    make_array(file, "a", creation, (hsize_t)1 << 42, false);
    H5Pclose(creation);
}

static void holey(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    honest(file);
    CU_ASSERT(H5Pset_chunk(creation, 1, (hsize_t[]){64}) >= 0);
    make_array(file, "holes", creation, 1024, false);
    H5Pclose(creation);
}

static void soft_link(hid_t file)
{
    honest(file);
    CU_ASSERT(H5Lcreate_soft("/a", file, "b", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void external_link(hid_t file)
{
    CU_ASSERT(H5Lcreate_external(harness_path("other.h5"), "/a", file, "b", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void circle(hid_t file)
{
    hid_t group = H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    CU_ASSERT(H5Lcreate_hard(file, "g", group, "again", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    CU_ASSERT(H5Lcreate_hard(file, "g", group, "and again", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Gclose(group);
}

static void named_type(hid_t file)
{
    hid_t type = H5Tcopy(H5T_STD_I32LE);
    CU_ASSERT(H5Tcommit2(file, "t", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Tclose(type);
}

static const struct Forgery {
    void (*make)(hid_t file);
    const char *why; /* NULL: nothing is wrong with it */
} forgeries[] = {{honest, NULL},
                 {external, "/a lies in another file"},
                 {compressed, "/a is filtered"},
                 {virtual, "/a lies in other files"},
                 {sparse, "/a is said to be larger than the file"},
                 {holey, "/holes is not there as a whole"},
                 {soft_link, "/b is a link"},
                 {external_link, "/b is a link"},
                 {circle, "again is"},
                 {named_type, "/t is neither a group nor an array"}};

/* The block in front, as its format is documented (io/sealed.h). */
static void seal(const char *path)
{
    char block[512] = {0}, digest[LS_DIGEST_TEXT];
    Bytes bytes = damage_read(path);
    ls_digest_text(bytes.at + 512, bytes.count - 512, digest);
    int used =
        snprintf(block, sizeof block, "LOCKSTEP sample 1\nbytes %" PRId64 "\nxxh3-128 %s\n", bytes.count, digest);
    snprintf(block + used, sizeof block - (size_t)used, "block %016" PRIx64 "\n",
             (uint64_t)XXH3_64bits(block, (size_t)used));
    memcpy(bytes.at, block, sizeof block);
    damage_write(path, bytes.at, bytes.count);
    ls_free(bytes.at);
}

static void test_forms(void)
{
    const char *path = harness_path("forged.h5");
    ls_h5_quiet();
    for (size_t i = 0; i < LS_COUNT_OF(forgeries); i++) {
        hid_t creation = H5Pcreate(H5P_FILE_CREATE);
        H5Pset_userblock(creation, 512);
        hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, H5P_DEFAULT);
        CU_ASSERT_FATAL(file >= 0);
        forgeries[i].make(file);
        H5Pclose(creation);
        H5Fclose(file);
        seal(path);
        bool at_fault = false;
        LsSealed *opened = ls_sealed_open(path, "sample", LS_DATA, &at_fault);
        CU_ASSERT_EQUAL(opened != NULL, forgeries[i].why == NULL);
        CU_ASSERT_EQUAL(at_fault, forgeries[i].why != NULL);
        if (!opened)
            ASSERT_FAILS(ls_message_status(), LS_DATA, forgeries[i].why ? forgeries[i].why : "");
        ls_sealed_close(opened);
    }
}

static void test_progress(void)
{
    static const struct {
        LsProgress progress;
        const char *why;
    } forged[] = {{{.step = -5, .best_step = -1}, "attribute step is -5"},
                  {{.step = 5, .samples = INT64_MAX, .best_step = -1}, "attribute samples is"},
                  {{.step = 5, .tokens = -1, .best_step = -1}, "attribute tokens is -1"},
                  {{.step = 5, .metrics_rows = INT64_MIN, .best_step = -1}, "attribute metrics_rows is"},
                  {{.step = 5, .best_step = 5}, NULL}};
    const char *path = harness_path("checkpoint.h5");
    LsParams *params = ls_params_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(params);
    ASSERT_OK(ls_params_allocate(params, 1, false));
    for (size_t i = 0; i < LS_COUNT_OF(forged); i++) {
        LsCheckpoint *opened = NULL;
        ASSERT_OK(ls_checkpoint_save(path, params, 0, NULL, &forged[i].progress, &(LsSavedTexts){.config = "x: 1"}));
        if (forged[i].why) {
            ASSERT_FAILS(ls_checkpoint_open(path, NULL, &opened), LS_CHECKPOINT, forged[i].why);
        } else {
            ASSERT_OK(ls_checkpoint_open(path, NULL, &opened));
        }
        ls_checkpoint_close(opened);
    }
    ls_params_free(params);
}

int main(void)
{
    return harness_run("forged",
                       (HarnessTest[]){{"foreign storage", test_forms}, {"numbers out of range", test_progress}, {0}});
}
