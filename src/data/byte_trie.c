#include "data/byte_trie.h"

#include <stdlib.h>
#include <string.h>

/* Nodes are numbered level by level, so that the children of one follow one another, in order of their bytes. */
struct LsByteTrie {
    int32_t *first;      /* first: (nodes + 1); the children of node i are first[i] .. first[i + 1] - 1 */
    int32_t *number;     /* number: (nodes); of the string that ends there, -1: none */
    unsigned char *byte; /* byte: (nodes) that leads to the node */
    int32_t root[256];   /* the root's children, -1: none */
};

static int by_bytes(const void *a, const void *b)
{
    const LsByteString *one = a, *other = b;
    int order = memcmp(one->bytes, other->bytes, (size_t)(one->count < other->count ? one->count : other->count));
    return order != 0 ? order : (one->count > other->count) - (one->count < other->count);
}

/* A node while the trie is made: the sorted strings low .. high - 1 begin with its `depth` bytes. */
typedef struct Range {
    int64_t low, high, depth;
} Range;

/* Makes the children of node `at`, and returns the number of nodes then. */
static int64_t add_children(LsByteTrie *trie, const LsByteString *string, Range *range, int64_t at, int64_t nodes)
{
    Range own = range[at];
    trie->number[at] = -1;
    trie->first[at] = (int32_t)nodes;
    if (own.low < own.high && string[own.low].count == own.depth)
        trie->number[at] = string[own.low++].number;
    while (own.low < own.high) {
        char byte = string[own.low].bytes[own.depth];
        int64_t high = own.low + 1;
        while (high < own.high && string[high].bytes[own.depth] == byte)
            high++;
        range[nodes] = (Range){own.low, high, own.depth + 1};
        trie->byte[nodes++] = (unsigned char)byte;
        own.low = high;
    }
    return nodes;
}

static LsStatus make_nodes(LsByteTrie *trie, const LsByteString *string, int64_t count, int64_t most)
{
    Range *range = ls_alloc_array(most, sizeof *range);
    trie->first = ls_alloc_array(most + 1, sizeof *trie->first);
    trie->number = ls_alloc_array(most, sizeof *trie->number);
    trie->byte = ls_alloc_array(most, sizeof *trie->byte);
    if (!range || !trie->first || !trie->number || !trie->byte) {
        ls_free(range);
        return LS_RESOURCE;
    }
    int64_t nodes = 1;
    range[0] = (Range){0, count, 0};
    for (int64_t at = 0; at < nodes; at++)
        nodes = add_children(trie, string, range, at, nodes);
    trie->first[nodes] = (int32_t)nodes;
    memset(trie->root, 0xFF, sizeof trie->root);
    for (int32_t child = trie->first[0]; nodes > 1 && child < trie->first[1]; child++)
        trie->root[trie->byte[child]] = child;
    ls_free(range);
    return LS_OK;
}

LsStatus ls_byte_trie_new(LsByteString *string, int64_t count, LsByteTrie **made, int32_t *equal)
{
    int64_t most = 1;
    *made = NULL;
    *equal = -1;
    qsort(string, (size_t)count, sizeof *string, by_bytes);
    for (int64_t i = 0; i < count; i++) {
        most += string[i].count;
        if (i > 0 && by_bytes(&string[i - 1], &string[i]) == 0)
            *equal = string[i].number > string[i - 1].number ? string[i].number : string[i - 1].number;
    }
    if (*equal >= 0)
        return LS_OK;
    if (most >= INT32_MAX)
        return ls_fail(LS_DATA, "a vocabulary of %lld bytes is too large", (long long)most);
    LsByteTrie *trie = ls_alloc(sizeof *trie);
    if (!trie)
        return LS_RESOURCE;
    LsStatus status = make_nodes(trie, string, count, most);
    if (status == LS_OK)
        *made = trie;
    else
        ls_byte_trie_free(trie);
    return status;
}

void ls_byte_trie_free(LsByteTrie *trie)
{
    if (trie) {
        ls_free(trie->first);
        ls_free(trie->number);
        ls_free(trie->byte);
    }
    ls_free(trie);
}

/* The child of a node that is reached by this byte; -1: none. */
static int32_t find_child(const LsByteTrie *trie, int32_t node, unsigned char byte)
{
    int32_t low = trie->first[node], high = trie->first[node + 1];
    while (high - low > 8) {
        int32_t middle = low + (high - low) / 2;
        if (trie->byte[middle] <= byte)
            low = middle;
        else
            high = middle;
    }
    for (; low < high; low++)
        if (trie->byte[low] == byte)
            return low;
    return -1;
}

int32_t ls_byte_trie_longest(const LsByteTrie *trie, const char *text, int64_t bytes, int64_t *length, bool *open)
{
    int32_t found = -1, node = bytes > 0 ? trie->root[(unsigned char)text[0]] : 0;
    int64_t at = 1;
    *length = 0;
    for (; node > 0; at++) {
        if (trie->number[node] >= 0) {
            found = trie->number[node];
            *length = at;
        }
        if (at >= bytes)
            break;
        node = find_child(trie, node, (unsigned char)text[at]);
    }
    *open = node == 0 || (node > 0 && trie->first[node] < trie->first[node + 1]);
    return found;
}
