/* For tests of files: copies of a file, cut and with flipped bits; what is left in a folder. */
#ifndef DAMAGE_H
#define DAMAGE_H

#include "harness.h"
#include "io/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Bytes {
    char *at;
    int64_t count;
} Bytes;

static inline Bytes damage_read(const char *path)
{
    Bytes bytes = {NULL, 0};
    ASSERT_OK(ls_file_read(path, LS_ERROR, &bytes.at, &bytes.count));
    return bytes;
}

static inline void damage_write(const char *path, const void *bytes, int64_t count)
{
    FILE *out = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, (size_t)count, out), (size_t)count);
    CU_ASSERT_EQUAL(fclose(out), 0);
}

/* Files in a folder, those ls_replace_name names only if asked. -1: no such folder. */
static inline int damage_count(const char *folder, bool temporary_only)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return -1;
    int count = 0;
    for (struct dirent *e = readdir(entries); e; e = readdir(entries))
        count += e->d_name[0] != '.' && (!temporary_only || ls_replace_is_temporary(e->d_name));
    closedir(entries);
    return count;
}

/* A seed from TEST_SEED, else from the clock; printed, so that a failure can be had again. */
static inline uint64_t damage_seed(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("(TEST_SEED=%llu) ", (unsigned long long)seed);
    return seed;
}

/* Uniform in 0..count-1, a function of (seed, index). */
static inline int64_t damage_draw(uint64_t seed, uint64_t index, int64_t count)
{
    uint32_t words[4];
    ls_philox(seed, 0, index, words);
    return (int64_t)((((uint64_t)words[0] << 32) | words[1]) % (uint64_t)count);
}

/* Writes copies of `good` to `path`: cut at 20 places, then with 200 flipped bits (the first ones in the block in front
 * and at the end), and asserts that `refuses(path)` is true of each. */
static inline void damage_all(const char *good, const char *path, bool (*refuses)(const char *path))
{
    Bytes bytes = damage_read(good);
    uint64_t seed = damage_seed();
    for (int i = 0; i < 20; i++) {
        int64_t keep = i == 0   ? 0
                       : i == 1 ? bytes.count - 1
                       : i == 2 ? 511
                       : i == 3 ? 512
                                : damage_draw(seed, (uint64_t)i, bytes.count);
        damage_write(path, bytes.at, keep);
        if (!refuses(path)) {
            fprintf(stderr, "cut to %lld of %lld bytes: not found\n", (long long)keep, (long long)bytes.count);
            CU_FAIL("a truncation was not found");
        }
    }
    for (int i = 0; i < 200; i++) {
        int64_t within = i < 40 ? 8 * 512 : 8 * bytes.count, bit = damage_draw(seed, 1000 + (uint64_t)i, within);
        if (i == 199)
            bit = 8 * bytes.count - 1;
        bytes.at[bit / 8] ^= (char)(1 << (bit % 8));
        damage_write(path, bytes.at, bytes.count);
        bytes.at[bit / 8] ^= (char)(1 << (bit % 8));
        if (!refuses(path)) {
            fprintf(stderr, "bit %lld flipped: not found\n", (long long)bit);
            CU_FAIL("a flipped bit was not found");
        }
    }
    damage_write(path, bytes.at, bytes.count);
    CU_ASSERT_FALSE(refuses(path));
    ls_free(bytes.at);
}

#endif
