/* Work that comes in numbered pieces, shared among the threads of a team: each begins with its own range of them, in
 * order, and helps the others when that is done.
 *
 * A thread that does the same part of every op finds in its own cache what it left there: so pieces are numbered in the
 * order in which activations lie in memory, rows first, and this is the dynamic schedule to use for them. What a piece
 * computes must not depend on the thread that does it.
 *
 *     LsShare share;
 *     ls_share_begin(&share, pieces, threads);
 *     #pragma omp parallel num_threads(threads)
 *     for (int64_t piece; (piece = ls_share_next(&share, omp_get_thread_num())) >= 0;)
 *         ...
 */
#ifndef LS_BASE_SHARE_H
#define LS_BASE_SHARE_H

#include <stdatomic.h>
#include <stdint.h>

enum { LS_SHARE_RANGES = 64 }; /* more threads share them */

typedef struct LsShareRange {
    _Alignas(64) atomic_int_fast64_t next;
    int64_t end;
} LsShareRange;

typedef struct LsShare {
    LsShareRange range[LS_SHARE_RANGES];
    int ranges;
} LsShare;

static inline void ls_share_begin(LsShare *s, int64_t pieces, int64_t threads)
{
    s->ranges = threads < 1 ? 1 : threads < LS_SHARE_RANGES ? (int)threads : LS_SHARE_RANGES;
    for (int i = 0; i < s->ranges; i++) {
        atomic_init(&s->range[i].next, pieces * i / s->ranges);
        s->range[i].end = pieces * (i + 1) / s->ranges;
    }
}

/* The next piece for this thread; -1 when all are taken. */
static inline int64_t ls_share_next(LsShare *s, int thread)
{
    for (int i = 0; i < s->ranges; i++) {
        LsShareRange *r = &s->range[(thread + i) % s->ranges];
        if (atomic_load_explicit(&r->next, memory_order_relaxed) >= r->end)
            continue;
        int64_t piece = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
        if (piece < r->end)
            return piece;
    }
    return -1;
}

#endif
