/* Work space of the products. */
#ifndef LS_GEMM_SPACE_H
#define LS_GEMM_SPACE_H

#include <stdint.h>

typedef struct LsWorkspace {
    struct LsWorkspace *next;
    void *data; /* aligned to LS_ALIGN */
    int64_t bytes;
} LsWorkspace;

/* A block of at least this size, from a list that grows to as many blocks as were ever in use at once: a product of a
 * shape seen before allocates nothing. NULL with a message when out of memory. Any thread. */
LsWorkspace *ls_workspace_acquire(int64_t bytes);
void ls_workspace_release(LsWorkspace *space); /* NULL is allowed */

#endif
