/* The patterns of tokenizer.json, which are Oniguruma's, by PCRE2. */
#ifndef LS_DATA_SUBWORD_REGEX_H
#define LS_DATA_SUBWORD_REGEX_H

#include "lockstep/base.h"

/* Letters and numbers that Unicode 15 and 16 added. They stand here so that words do not depend on which version of
 * Unicode the PCRE2 library of the machine knows: to an older one they would be signs. */
#define LS_LATER_LETTERS                                                                                               \
    "\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D65}"              \
    "\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}"         \
    "\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}"          \
    "\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}\\x{16D40}-\\x{"    \
    "16D6C}"                                                                                                           \
    "\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{"     \
    "1E5ED}"                                                                                                           \
    "\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define LS_LATER_NUMBERS                                                                                               \
    "\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}"        \
    "\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"
/* White space by Unicode's property: PCRE2's own \s also counts U+180E, which has not been white space since Unicode
 * 6.3. */
#define LS_PATTERN_SPACE "\\x{9}-\\x{d}\\x{20}\\x{85}\\p{Z}"

/* LS_DATA with what of the pattern is not known here; `name` stands before it. */
LsStatus ls_regex_new(const char *name, const char *pattern, void **regex) LS_MUST_USE;
void ls_regex_free(void *regex);

typedef struct LsPattern LsPattern; /* working memory of one thread */
LsPattern *ls_pattern_new(void);
void ls_pattern_free(LsPattern *pattern);
/* The first match of a regex in text[from .. bytes), whole characters; *start is -1 where there is none. */
LsStatus ls_pattern_find(LsPattern *pattern, const void *regex, const char *text, int64_t bytes, int64_t from,
                         int64_t *start, int64_t *end) LS_MUST_USE;

#endif
