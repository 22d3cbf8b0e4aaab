/* Tasks made by rule, for data.kind generated: one file rule_NAME.c that fills in an LsRule, and one line in rules.def.
 * A sample is a function of (seed, split, its number), of any length. */
#ifndef LS_DATA_RULE_H
#define LS_DATA_RULE_H

#include "lockstep/data.h"

struct json_t; /* jansson.h */

/* The section `data:`. What is 0 is as the rule has it by default. */
typedef struct LsRuleSettings {
    char *rule;
    int64_t length, items, symbols, horizon, held_out, modes;
    double noise, radius, sigma;
} LsRuleSettings;

/* Random numbers of one sample, one after the other. */
typedef struct LsDraws {
    uint64_t key, sample, counter;
    uint32_t block[4];
    int left;
} LsDraws;

/* From 0 .. below - 1, and from [0, 1). */
int64_t ls_draw_below(LsDraws *draws, int64_t below);
double ls_draw_uniform(LsDraws *draws);
double ls_draw_normal(LsDraws *draws);
/* A number of a permutation of 0 .. count - 1 that `order`, drawn once, decides. */
int64_t ls_draw_permuted(uint64_t order, int64_t count, int64_t index);
uint64_t ls_draw_order(LsDraws *draws);

/* Where a sample goes; what the rule's fields lack is NULL. tags come filled with LS_IGNORE, which stands where nothing
 * is asked; they are the field "targets" too, so that language models learn the same. */
typedef struct LsRuleSample {
    int32_t *ids, *tags; /* (steps) */
    float *values;       /* (steps, columns) */
    float *target;       /* (targets) */
    int32_t label;
} LsRuleSample;

typedef struct LsRule {
    const char *name, *summary;
    const char *takes;       /* "length|items": the settings that it looks at, besides held_out */
    LsRuleSettings defaults; /* length, items, symbols, horizon, noise */
    int64_t held_out;        /* samples of an evaluation, by default */
    /* LS_USAGE where settings do not fit together. NULL: any do. */
    LsStatus (*check)(const LsRuleSettings *s);
    int64_t (*steps)(const LsRuleSettings *s);                        /* of a sample; NULL: it has none */
    void (*fields)(const LsRuleSettings *s, char *text, size_t room); /* in the grammar of field.h */
    int columns;                                                      /* of values; 0: none */
    void (*make)(const LsRuleSettings *s, LsDraws *draws, LsRuleSample *sample);
    struct json_t *(*info)(const LsRuleSettings *s); /* adds to what checkpoints keep of the data; NULL: nothing */
} LsRule;

/* Fields of a rule of ids: "ids T of N, tags T of N, targets T of N". */
void ls_rule_id_fields(int64_t vocabulary, char *text, size_t room);

#endif
