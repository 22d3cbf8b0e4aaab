/* Strings of bytes with a number each, as a trie: which is the longest that a text goes on with. */
#ifndef LS_DATA_BYTE_TRIE_H
#define LS_DATA_BYTE_TRIE_H

#include "lockstep/base.h"

typedef struct LsByteString {
    const char *bytes;
    int64_t count; /* at least 1 */
    int32_t number;
} LsByteString;

typedef struct LsByteTrie LsByteTrie;

/* Sorts the strings, which are not needed any more then. No two may be equal: *equal, where it is not NULL, is then the
 * larger number of such two, with *trie NULL and LS_OK; -1: none are. */
LsStatus ls_byte_trie_new(LsByteString *string, int64_t count, LsByteTrie **trie, int32_t *equal) LS_MUST_USE;
void ls_byte_trie_free(LsByteTrie *trie); /* NULL is allowed */

/* The number of the longest string that text[0 .. bytes) begins with, and its length; -1 where there is none. *open:
 * the text may go on with a longer one behind its end. */
int32_t ls_byte_trie_longest(const LsByteTrie *trie, const char *text, int64_t bytes, int64_t *length, bool *open);

#endif
