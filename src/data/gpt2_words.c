/* GPT-2's words: contractions, letters, numbers, other signs, each with the space before it, and white space. */
#include "data/gpt2.h"

#include "base/pcre2_reason.h"
#include "data/subword_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define LETTER "\\p{L}" LS_LATER_LETTERS
#define NUMBER "\\p{N}" LS_LATER_NUMBERS
#define SPACE LS_PATTERN_SPACE

static const char pattern_text[] = "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]+| ?[" NUMBER "]+| ?[^" SPACE LETTER NUMBER
                                   "]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

struct Gpt2Words {
    const pcre2_code *code;
    pcre2_match_data *match;
};

static LsStatus fail_pcre2(int error, const char *doing)
{
    return ls_fail(LS_ERROR, "PCRE2, %s: %s", doing, ls_pcre2_reason(error).text);
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
