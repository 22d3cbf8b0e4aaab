/* Parts of a text become words: the steps of tokenizer.json's "pre_tokenizer". Each step cuts what the one before it
 * gives, as a text of its own. */
#include "data/subword.h"

/* The state of splitting a text, passed from one step to the next. */
typedef struct Split {
    const SubwordRun *run;
    int step; /* that comes next */
    const char *text;
    int64_t held_from, held_to; /* a part that what follows may be joined to */
    bool holds, held_match;
    bool first; /* the part is the start of the whole text */
    bool inside;
} Split;

static LsStatus take_step(const SubwordRun *run, int step, const char *text, int64_t bytes, bool first, bool inside);

static LsStatus next_step(const Split *split, int64_t from, int64_t to)
{
    bool start = from == 0;
    return from < to ? take_step(split->run, split->step, split->text + from, to - from, split->first && start,
                                 split->inside && start)
                     : LS_OK;
}

static LsStatus release_part(Split *split)
{
    bool held = split->holds;
    split->holds = false;
    return held ? next_step(split, split->held_from, split->held_to) : LS_OK;
}

static void hold_part(Split *split, int64_t from, int64_t to, bool match)
{
    split->holds = true;
    split->held_from = from;
    split->held_to = to;
    split->held_match = match;
}

/* The next part; `match`: the pattern matches it. */
static LsStatus put_part(Split *split, SubwordBehavior behavior, int64_t from, int64_t to, bool match)
{
    switch (behavior) {
    case SUBWORD_REMOVED:
        return match ? LS_OK : next_step(split, from, to);
    case SUBWORD_CONTIGUOUS:
        if (split->holds && split->held_match == match) {
            split->held_to = to;
            return LS_OK;
        }
        LS_TRY(release_part(split));
        hold_part(split, from, to, match);
        return LS_OK;
    case SUBWORD_WITH_PREVIOUS: /* what is held is no match */
        if (match && split->holds) {
            split->held_to = to;
            return release_part(split);
        }
        LS_TRY(release_part(split));
        if (match)
            return next_step(split, from, to);
        hold_part(split, from, to, false);
        return LS_OK;
    case SUBWORD_WITH_NEXT: /* what is held is a match */
        if (!match && split->holds) {
            split->held_to = to;
            return release_part(split);
        }
        LS_TRY(release_part(split));
        if (!match)
            return next_step(split, from, to);
        hold_part(split, from, to, true);
        return LS_OK;
    default:
        return next_step(split, from, to);
    }
}

static LsStatus find_match(const SubwordRun *run, const SubwordSplitStep *step, const char *text, int64_t bytes,
                           int64_t from, int64_t *start, int64_t *end)
{
    if (step->regex)
        return ls_pattern_find(run->memory->pattern, step->regex, text, bytes, from, start, end);
    const char *sign = step->find ? step->find : step->sign;
    const char *place = memmem(text + from, (size_t)(bytes - from), sign, strlen(sign));
    *start = place ? place - text : -1;
    *end = place ? *start + (int64_t)strlen(sign) : -1;
    return LS_OK;
}

static LsStatus by_pattern(Split *split, const SubwordSplitStep *step, int64_t bytes)
{
    int64_t done = 0, start, end;
    for (int64_t from = 0; from<bytes; from = end> from ? end : from + 1) {
        LS_TRY(find_match(split->run, step, split->text, bytes, from, &start, &end));
        if (start < 0)
            break;
        if (end == start) { /* matches nothing: a border all the same */
            while (end < bytes && ((unsigned char)split->text[++end] & 0xC0) == 0x80)
                ;
            if (start > done)
                LS_TRY(put_part(split, step->behavior, done, start, step->invert));
            done = start;
            continue;
        }
        if (start > done)
            LS_TRY(put_part(split, step->behavior, done, start, step->invert));
        LS_TRY(put_part(split, step->behavior, start, end, !step->invert));
        done = end;
    }
    if (done < bytes)
        LS_TRY(put_part(split, step->behavior, done, bytes, step->invert));
    return release_part(split);
}

/* Blanks become the sign, and one is put in front where there is none. */
static LsStatus metaspace(const SubwordRun *run, int i, const char *text, int64_t bytes, bool first, bool inside)
{
    const SubwordSplitStep *step = &run->subword->splits[i];
    size_t length = strlen(step->sign);
    char *room = ls_subword_room(run->memory, i + 2, (bytes + 1) * (int64_t)length);
    int64_t used = 0;
    if (!room)
        return LS_RESOURCE;
    bool has = text[0] == ' ' || (bytes >= (int64_t)length && memcmp(text, step->sign, length) == 0);
    if (!has && !inside && (step->prepend == SUBWORD_ALWAYS || (step->prepend == SUBWORD_FIRST && first))) {
        memcpy(room, step->sign, length);
        used = (int64_t)length;
    }
    for (int64_t at = 0; at < bytes; at++)
        if (text[at] == ' ') {
            memcpy(room + used, step->sign, length);
            used += (int64_t)length;
        } else
            room[used++] = text[at];
    Split split = {.run = run, .step = i + 1, .text = room, .first = first, .inside = inside};
    return step->splits ? by_pattern(&split, step, used) : next_step(&split, 0, used);
}

static LsStatus bytelevel(const SubwordRun *run, int i, const char *text, int64_t bytes, bool inside)
{
    const SubwordSplitStep *step = &run->subword->splits[i];
    if (step->prepend != SUBWORD_NEVER && text[0] != ' ' && !inside) {
        char *room = ls_subword_room(run->memory, i + 2, bytes + 1);
        if (!room)
            return LS_RESOURCE;
        room[0] = ' ';
        memcpy(room + 1, text, (size_t)bytes++);
        text = room;
    }
    Split split = {.run = run, .step = i + 1, .text = text};
    return step->regex ? by_pattern(&split, step, bytes) : next_step(&split, 0, bytes);
}

static LsStatus take_step(const SubwordRun *run, int i, const char *text, int64_t bytes, bool first, bool inside)
{
    if (i == run->subword->split_steps)
        return ls_subword_word(run, text, bytes);
    const SubwordSplitStep *step = &run->subword->splits[i];
    Split split = {.run = run, .step = i + 1, .text = text, .first = first, .inside = inside};
    switch (step->kind) {
    case SUBWORD_METASPACE:
        return metaspace(run, i, text, bytes, first, inside);
    case SUBWORD_BYTELEVEL:
        return bytelevel(run, i, text, bytes, inside);
    default:
        return by_pattern(&split, step, bytes);
    }
}

LsStatus ls_subword_words(const SubwordRun *run, const char *text, int64_t bytes, bool first, bool inside)
{
    return bytes > 0 ? take_step(run, 0, text, bytes, first, inside) : LS_OK;
}
