/* Work space of the products. */
#ifndef LS_BASE_GEMM_SPACE_H
#define LS_BASE_GEMM_SPACE_H

#include <stdint.h>

typedef struct LsGemmSpace {
    struct LsGemmSpace *next;
    void *data; /* aligned to LS_ALIGN */
    int64_t bytes;
} LsGemmSpace;

/* A block of at least this size, from a list that grows to as many blocks as were ever in use at once: a product of a
 * shape seen before allocates nothing. NULL with a message when out of memory. Any thread. */
LsGemmSpace *ls_gemm_space_take(int64_t bytes);
void ls_gemm_space_give(LsGemmSpace *space); /* NULL is allowed */

#endif
