#include "data/subword_regex.h"

#include "base/pcre2_reason.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* ---- From Oniguruma's notation to PCRE2's ------------------------------------------------------------------------ */

#define LETTER "\\p{L}" LS_LATER_LETTERS
#define NUMBER "\\p{N}" LS_LATER_NUMBERS
/* what Unicode counts as parts of words: letters, marks, digits, connectors */
#define WORD                                                                                                           \
    LETTER "\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-"       \
           "\\x{1F189}"
#define NO_SPACE                                                                                                       \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{"      \
    "2027}"                                                                                                            \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

/* Classes that are written out: inside brackets as they are, outside in brackets of their own. */
static const struct {
    const char *theirs, *ours;
    bool negated; /* outside brackets alone */
} classes[] = {{"\\s", LS_PATTERN_SPACE, false}, {"\\S", NO_SPACE, false},  {"\\d", "\\p{Nd}", false},
               {"\\D", "\\P{Nd}", false},        {"\\w", WORD, false},      {"\\W", WORD, true},
               {"\\p{L}", LETTER, false},        {"\\p{N}", NUMBER, false}, {"\\P{L}", LETTER, true},
               {"\\P{N}", NUMBER, true},         {"\\p{^L}", LETTER, true}, {"\\p{^N}", NUMBER, true},
               {"\\v", "\\x{b}", false}};

/* Parts that mean the same to both, by what they begin with; the longest come first. */
static const char *const groups[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i)", "(?i:"};

typedef struct Translation {
    const char *name, *pattern, *at;
    char *out;
    size_t used;
    bool inside; /* brackets */
} Translation;

static void put(Translation *t, const char *text, size_t length)
{
    memcpy(t->out + t->used, text, length);
    t->used += length;
    t->out[t->used] = '\0';
}

static LsStatus unknown(const Translation *t, size_t length)
{
    return ls_fail(LS_DATA, "%s: the pattern '%.200s' has '%.*s' at character %d, which this program does not know",
                   t->name, t->pattern, (int)length, t->at, (int)(t->at - t->pattern) + 1);
}

/* A backslash and what belongs to it. */
static LsStatus escape(Translation *t)
{
    const char *at = t->at;
    for (size_t i = 0; i < LS_COUNT_OF(classes); i++) {
        size_t length = strlen(classes[i].theirs);
        if (strncmp(at, classes[i].theirs, length) != 0 || (classes[i].negated && t->inside))
            continue;
        if (!t->inside)
            put(t, classes[i].negated ? "[^" : "[", classes[i].negated ? 2 : 1);
        put(t, classes[i].ours, strlen(classes[i].ours));
        if (!t->inside)
            put(t, "]", 1);
        t->at += length;
        return LS_OK;
    }
    size_t length = 2;
    if ((at[1] == 'p' || at[1] == 'P') && at[2] == '{' && strchr(at, '}'))
        length = (size_t)(strchr(at, '}') - at) + 1;
    else if (at[1] == 'x' && at[2] == '{' && strchr(at, '}'))
        length = (size_t)(strchr(at, '}') - at) + 1;
    else if (at[1] == 'u' && strspn(at + 2, "0123456789abcdefABCDEF") >= 4) {
        char code[16];
        put(t, code, (size_t)snprintf(code, sizeof code, "\\x{%.4s}", at + 2));
        t->at += 6;
        return LS_OK;
    } else if (at[1] == '\0' || (strchr("rntfaeAzZ", at[1]) == NULL &&
                                 ((unsigned char)at[1] >= 0x80 || at[1] == '_' || (at[1] >= '0' && at[1] <= '9') ||
                                  (at[1] >= 'a' && at[1] <= 'z') || (at[1] >= 'A' && at[1] <= 'Z'))))
        return unknown(t, at[1] ? 2 : 1);
    put(t, at, length);
    t->at += length;
    return LS_OK;
}

/* One step outside brackets that is no backslash. */
static LsStatus plain(Translation *t)
{
    const char *at = t->at;
    if (at[0] == '(' && at[1] == '?') {
        for (size_t i = 0; i < LS_COUNT_OF(groups); i++)
            if (strncmp(at, groups[i], strlen(groups[i])) == 0) {
                put(t, groups[i], strlen(groups[i]));
                t->at += strlen(groups[i]);
                return LS_OK;
            }
        return unknown(t, 3);
    }
    /* "{2}+" and "{2}?" are a repetition of a repetition there, and other things to PCRE2 */
    if (at[0] == '}' && (at[1] == '+' || at[1] == '?'))
        return unknown(t, 2);
    if (at[0] == '{' && at[1] == ',')
        return unknown(t, 2);
    const char *ours = at[0] == '.' ? "[^\\n]" : at[0] == '^' ? "(?m:^)" : at[0] == '$' ? "(?m:$)" : NULL;
    put(t, ours ? ours : at, ours ? strlen(ours) : 1);
    t->at++;
    return LS_OK;
}

static LsStatus translate(Translation *t)
{
    while (*t->at) {
        if (*t->at == '\\') {
            LS_TRY(escape(t));
        } else if (!t->inside && *t->at == '[') {
            size_t length = t->at[1] == '^' ? 2 : 1;
            t->inside = true;
            put(t, t->at, length);
            t->at += length;
        } else if (t->inside && (*t->at == '[' || (t->at[0] == '&' && t->at[1] == '&'))) {
            return unknown(t, 2);
        } else if (t->inside) {
            t->inside = *t->at != ']';
            put(t, t->at++, 1);
        } else
            LS_TRY(plain(t));
    }
    return LS_OK;
}

static LsStatus fail_pcre2(LsStatus status, const char *name, int error, const char *doing)
{
    return ls_fail(status, "%s: %s: %s", name, doing, ls_pcre2_reason(error).text);
}

LsStatus ls_regex_new(const char *name, const char *pattern, void **regex)
{
    size_t most = sizeof WORD + 8; /* of what one sign becomes */
    Translation t = {.name = name, .pattern = pattern, .at = pattern};
    *regex = NULL;
    t.out = ls_alloc(strlen(pattern) * most + 1);
    if (!t.out)
        return LS_RESOURCE;
    LsStatus status = translate(&t);
    if (status == LS_OK) {
        int error;
        PCRE2_SIZE at;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)t.out, t.used, PCRE2_UTF, &error, &at, NULL);
        if (code) /* where the machine has no just-in-time compiler, matching works without */
            (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
        else {
            status = fail_pcre2(LS_DATA, name, error, "a pattern that PCRE2 cannot read");
            status = ls_fail(status, "%s, in '%.200s'", ls_message(), pattern);
        }
        *regex = code;
    }
    ls_free(t.out);
    return status;
}

void ls_regex_free(void *regex) { pcre2_code_free(regex); }

/* ---- Finding ----------------------------------------------------------------------------------------------------- */

struct LsPattern {
    pcre2_match_data *match;
};

LsPattern *ls_pattern_new(void)
{
    LsPattern *pattern = ls_alloc(sizeof *pattern);
    if (pattern && !(pattern->match = pcre2_match_data_create(1, NULL))) {
        ls_free(pattern);
        pattern = NULL;
        ls_fail(LS_RESOURCE, "out of memory for matching words");
    }
    return pattern;
}

void ls_pattern_free(LsPattern *pattern)
{
    if (pattern)
        pcre2_match_data_free(pattern->match);
    ls_free(pattern);
}

LsStatus ls_pattern_find(LsPattern *pattern, const void *regex, const char *text, int64_t bytes, int64_t from,
                         int64_t *start, int64_t *end)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    *start = *end = -1;
    int result =
        pcre2_match(regex, subject, (PCRE2_SIZE)bytes, (PCRE2_SIZE)from, PCRE2_NO_UTF_CHECK, pattern->match, NULL);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
        result = pcre2_match(regex, subject, (PCRE2_SIZE)bytes, (PCRE2_SIZE)from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             pattern->match, NULL);
    if (result == PCRE2_ERROR_NOMATCH)
        return LS_OK;
    if (result < 0)
        return fail_pcre2(LS_DATA, "a text", result, "cutting it into words");
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(pattern->match);
    *start = (int64_t)place[0];
    *end = (int64_t)place[1];
    return LS_OK;
}
