/* The order of a product of packed operands, whatever they are packed as: block by block of C's columns and of
 * k. Of each, all threads pack B together; then each takes tasks, rectangles of C, packs their rows of A for itself,
 * and keeps them while the next task has the same. So both operands are packed once, B for the third-level cache, A for
 * the second. The order of an element's sum follows from k alone: blocks of k one after the other. */
#ifndef LS_GEMM_TASKS_H
#define LS_GEMM_TASKS_H

#include "gemm/gemm.h"
#include "base/share.h"

typedef struct LsGemmBlock {
    int64_t column, columns, from, depth;
    bool first, last; /* of k */
} LsGemmBlock;

/* A rectangle of C. */
typedef struct LsGemmTask {
    int64_t row, rows, column, columns;
} LsGemmTask;

/* `own`: what the calling thread gave ls_gemm_tasks_run. */
typedef struct LsGemmTasks {
    const LsGemm *g;
    int64_t depth, columns;           /* of a block at most */
    int64_t task_rows, task_columns;  /* of a task */
    int64_t pack_columns, pack_depth; /* of a piece of B that is packed at once */
    LsShare *share;                   /* of a block's tasks, for the team */
    void *self;
    /* Columns from block->column + column, k from block->from + from, to where they belong in the block's packed B. */
    void (*pack_right)(void *self, const LsGemmBlock *block, int64_t column, int64_t columns, int64_t from,
                       int64_t depth, void *own);
    /* `new_rows`: those of A are to be packed first; else the thread's task before had the same. */
    void (*multiply)(void *self, const LsGemmBlock *block, const LsGemmTask *task, bool new_rows, void *own);
} LsGemmTasks;

/* The whole product; called by all threads of the team, whose barrier after it the caller has: packed operands are in
 * use until then. */
void ls_gemm_tasks_run(LsGemmTasks *tasks, void *own);

#endif
