/* Philox4x32-10 and what is drawn from it. */
#include "lockstep/base.h"

#include <math.h>
#include <string.h>

void ls_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u; /* Weyl sequences: the golden ratio and sqrt(3) - 1 */
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint64_t ls_key(uint64_t seed, const char *name)
{
    /* The name is absorbed eight bytes at a time through Philox itself, its length last. */
    uint64_t state = seed;
    size_t length = strlen(name);
    uint32_t block[4];
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, name + at, length - at < 8 ? length - at : 8);
        ls_philox(state, at, word, block);
        state = (uint64_t)block[1] << 32 | block[0];
    }
    ls_philox(state, UINT64_MAX, length, block);
    return (uint64_t)block[1] << 32 | block[0];
}

float ls_uniform_at(uint64_t key, uint64_t counter, uint64_t index)
{
    uint32_t block[4];
    ls_philox(key, counter, index / 4, block);
    return (float)(block[index % 4] >> 8) * 0x1p-24f;
}

float ls_normal_at(uint64_t key, uint64_t counter, uint64_t index)
{
    /* Box and Muller 1958: a pair of uniforms gives a pair of normals; in double, so that the tail reaches 6.6
     * sigma. */
    uint32_t block[4];
    ls_philox(key, counter, index / 4, block);
    uint32_t pair = (uint32_t)(index % 4) & 2u;
    double u = ((double)block[pair] + 1.0) * 0x1p-32;
    double v = (double)block[pair + 1] * 0x1p-32;
    double radius = sqrt(-2.0 * log(u)), angle = 2.0 * 3.14159265358979323846 * v;
    return (float)(radius * (index % 2 == 0 ? cos(angle) : sin(angle)));
}

int64_t ls_permute(uint64_t key, int64_t count, int64_t index)
{
    /* A balanced Feistel network on 2h bits permutes 0..4^h-1 (Luby and Rackoff 1988); values outside 0..count-1 are
     * walked on until one falls inside, which takes fewer than four steps on average since 4^h < 4 count. */
    int half = 1;
    while (half < 31 && ((int64_t)1 << (2 * half)) < count)
        half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t x = (uint64_t)index;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint32_t block[4];
            ls_philox(key, round, right, block);
            uint64_t next = (left ^ block[0]) & mask;
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= (uint64_t)count);
    return (int64_t)x;
}
