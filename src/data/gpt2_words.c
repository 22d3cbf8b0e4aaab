/* GPT-2's words: contractions, letters, numbers, other signs, each with the space before it, and white space. */
#include "data/gpt2.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Letters and numbers that Unicode 15 and 16 added. They stand here so that the words do not depend on which version of
 * Unicode the PCRE2 library of the machine knows: to an older one they would be signs. */
#define LATER_LETTERS                                                                                                  \
    "\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D65}"              \
    "\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}"         \
    "\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}"          \
    "\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}\\x{16D40}-\\x{"    \
    "16D6C}"                                                                                                           \
    "\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{"     \
    "1E5ED}"                                                                                                           \
    "\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define LATER_NUMBERS                                                                                                  \
    "\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}"        \
    "\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"

#define LETTER "\\p{L}" LATER_LETTERS
#define NUMBER "\\p{N}" LATER_NUMBERS
/* White space by Unicode's property: PCRE2's own \s also counts U+180E, which has not been white space since Unicode
 * 6.3. */
#define SPACE "\\x{9}-\\x{d}\\x{20}\\x{85}\\p{Z}"

static const char pattern_text[] = "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]+| ?[" NUMBER "]+| ?[^" SPACE LETTER NUMBER
                                   "]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

struct Gpt2Words {
    const pcre2_code *code;
    pcre2_match_data *match;
};

static LsStatus fail_pcre2(int error, const char *doing)
{
    PCRE2_UCHAR text[256] = "";
    pcre2_get_error_message(error, text, sizeof text);
    return ls_fail(LS_ERROR, "PCRE2, %s: %s", doing, (const char *)text);
}

LsStatus ls_gpt2_pattern_new(void **pattern)
{
    int error;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern_text, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_ANCHORED | PCRE2_NO_START_OPTIMIZE, &error, &at, NULL);
    if (!code)
        return fail_pcre2(error, "compiling the pattern of GPT-2's words");
    /* where the machine has no just-in-time compiler, matching works without */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    *pattern = code;
    return LS_OK;
}

void ls_gpt2_pattern_free(void *pattern) { pcre2_code_free(pattern); }

Gpt2Words *ls_gpt2_words_new(const void *pattern)
{
    Gpt2Words *words = ls_alloc(sizeof *words);
    if (!words)
        return NULL;
    words->code = pattern;
    words->match = pcre2_match_data_create(1, NULL);
    if (!words->match) {
        ls_fail(LS_RESOURCE, "out of memory for matching words");
        ls_free(words);
        return NULL;
    }
    return words;
}

void ls_gpt2_words_free(Gpt2Words *words)
{
    if (words)
        pcre2_match_data_free(words->match);
    ls_free(words);
}

LsStatus ls_gpt2_word(Gpt2Words *words, const char *text, int64_t bytes, int64_t from, int64_t *end)
{
    int result = pcre2_match(words->code, (PCRE2_SPTR)text, (PCRE2_SIZE)bytes, (PCRE2_SIZE)from, PCRE2_NO_UTF_CHECK,
                             words->match, NULL);
    if (result < 0)
        return fail_pcre2(result, "cutting a text into words");
    *end = (int64_t)pcre2_get_ovector_pointer(words->match)[1];
    return LS_OK;
}
