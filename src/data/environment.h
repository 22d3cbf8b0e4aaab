/* Small worlds for agents: environments of reinforcement learning. One file that fills in an LsEnvironment, and one
 * line in environments.def. */
#ifndef LS_DATA_ENVIRONMENT_H
#define LS_DATA_ENVIRONMENT_H

#include "lockstep/data.h"

#define LS_MAX_STATE 8

typedef struct LsEnvironment {
    const char *name, *summary;
    int numbers;               /* of a state, at most LS_MAX_STATE; an agent sees all of it */
    int actions;               /* 0 .. actions - 1 */
    int64_t most_steps;        /* after which an episode is cut off */
    float scale[LS_MAX_STATE]; /* what an agent sees is a state times these, so that it is about 1 in size */
    /* The first state of an episode: a function of the key and its number. */
    void (*begin)(uint64_t key, uint64_t episode, float *state);
    /* One step, in place; returns the reward. *ended: the episode is over by the rules, not for its length. */
    double (*step)(float *state, int action, bool *ended);
} LsEnvironment;

/* The environment that data of this kind with these settings are; NULL: they are none. */
const LsEnvironment *ls_environment_of(const LsDataKind *kind, const void *config);

/* The environment of a source of data.kind environment; NULL: it is another. And the key of its split's episodes. */
const LsEnvironment *ls_source_environment(const LsSource *source);
uint64_t ls_source_environment_key(const LsSource *source);

#endif
