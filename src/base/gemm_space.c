#include "base/gemm_space.h"

#include "lockstep/base.h"

#include <pthread.h>

static LsGemmSpace *spaces;
static pthread_mutex_t spaces_lock = PTHREAD_MUTEX_INITIALIZER;

LsGemmSpace *ls_gemm_space_take(int64_t bytes)
{
    pthread_mutex_lock(&spaces_lock);
    LsGemmSpace **best = NULL;
    for (LsGemmSpace **s = &spaces; *s; s = &(*s)->next)
        if ((*s)->bytes >= bytes && (!best || (*s)->bytes < (*best)->bytes))
            best = s;
    LsGemmSpace *space = best ? *best : spaces; /* one that is too small makes room for its successor */
    if (best)
        *best = space->next;
    else if (space)
        spaces = space->next;
    pthread_mutex_unlock(&spaces_lock);
    if (best)
        return space;
    if (space)
        ls_free(space->data);
    else
        space = ls_alloc(sizeof *space);
    void *data = space ? ls_alloc((size_t)bytes) : NULL;
    if (!data) {
        ls_free(space);
        return NULL;
    }
    *space = (LsGemmSpace){.data = data, .bytes = bytes};
    return space;
}

void ls_gemm_space_give(LsGemmSpace *space)
{
    if (!space)
        return;
    pthread_mutex_lock(&spaces_lock);
    space->next = spaces;
    spaces = space;
    pthread_mutex_unlock(&spaces_lock);
}
