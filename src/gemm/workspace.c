#include "gemm/workspace.h"

#include "base/pieces.h"
#include "lockstep/base.h"

#include <pthread.h>

#define STEP (1LL << 20) /* blocks grow in such steps: products of growing shapes seldom allocate */

static LsWorkspace *spaces;
static pthread_mutex_t spaces_lock = PTHREAD_MUTEX_INITIALIZER;

LsWorkspace *ls_workspace_acquire(int64_t bytes)
{
    bytes = ls_round_up(bytes, STEP);
    pthread_mutex_lock(&spaces_lock);
    LsWorkspace **best = NULL;
    for (LsWorkspace **s = &spaces; *s; s = &(*s)->next)
        if ((*s)->bytes >= bytes && (!best || (*s)->bytes < (*best)->bytes))
            best = s;
    LsWorkspace *space = best ? *best : spaces; /* one that is too small makes room for its successor */
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
    *space = (LsWorkspace){.data = data, .bytes = bytes};
    return space;
}

void ls_workspace_release(LsWorkspace *space)
{
    if (!space)
        return;
    pthread_mutex_lock(&spaces_lock);
    space->next = spaces;
    spaces = space;
    pthread_mutex_unlock(&spaces_lock);
}
