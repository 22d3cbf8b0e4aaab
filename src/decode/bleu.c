#include "decode/bleu.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef struct Words {
    uint64_t *hash; /* of each word */
    int64_t count;
} Words;

static bool is_letter(unsigned char c) { return c > 127 || isalnum(c); }

static LsStatus split_words(const char *text, Words *words)
{
    words->hash = ls_alloc_array((int64_t)strlen(text) + 1, sizeof *words->hash);
    if (!words->hash)
        return LS_RESOURCE;
    for (const char *at = text; *at;) {
        size_t length = 0;
        while (is_letter((unsigned char)at[length]))
            length++;
        if (length == 0 && !isspace((unsigned char)*at))
            length = 1;
        if (length > 0)
            words->hash[words->count++] = XXH3_64bits(at, length);
        at += length > 0 ? length : 1;
    }
    return LS_OK;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Hashes of all runs of `order` words, sorted, into `run`; their number. */
static int64_t sorted_runs(const Words *words, int order, uint64_t *run)
{
    int64_t count = words->count >= order ? words->count - order + 1 : 0;
    for (int64_t i = 0; i < count; i++)
        run[i] = XXH3_64bits(words->hash + i, (size_t)order * sizeof *words->hash);
    qsort(run, (size_t)count, sizeof *run, compare_hashes);
    return count;
}

/* Runs that both have, each as often as both have it. */
static int64_t common_runs(const uint64_t *a, int64_t a_count, const uint64_t *b, int64_t b_count)
{
    int64_t common = 0;
    for (int64_t i = 0, j = 0; i < a_count && j < b_count;) {
        common += a[i] == b[j];
        bool both = a[i] == b[j], first = a[i] < b[j];
        i += both || first;
        j += both || !first;
    }
    return common;
}

LsStatus ls_bleu_add(LsBleu *bleu, const char *hypothesis, const char *reference)
{
    Words said = {0}, wanted = {0};
    LsStatus status = split_words(hypothesis, &said);
    if (status == LS_OK)
        status = split_words(reference, &wanted);
    uint64_t *a = ls_alloc_array(said.count + 1, sizeof *a), *b = ls_alloc_array(wanted.count + 1, sizeof *b);
    if (status == LS_OK && (!a || !b))
        status = LS_RESOURCE;
    for (int order = 1; status == LS_OK && order <= LS_BLEU_ORDERS; order++) {
        int64_t runs = sorted_runs(&said, order, a), theirs = sorted_runs(&wanted, order, b);
        bleu->runs[order - 1] += (double)runs;
        bleu->matches[order - 1] += (double)common_runs(a, runs, b, theirs);
    }
    bleu->hypothesis += (double)said.count;
    bleu->reference += (double)wanted.count;
    ls_free(a);
    ls_free(b);
    ls_free(said.hash);
    ls_free(wanted.hash);
    return status;
}

double ls_bleu_value(const LsBleu *bleu)
{
    double logs = 0;
    for (int i = 0; i < LS_BLEU_ORDERS; i++) {
        if (bleu->matches[i] <= 0)
            return 0;
        logs += log(bleu->matches[i] / bleu->runs[i]) / LS_BLEU_ORDERS;
    }
    double brevity = bleu->hypothesis < bleu->reference ? 1 - bleu->reference / bleu->hypothesis : 0;
    return 100 * exp(logs + brevity);
}
