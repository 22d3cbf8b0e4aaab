/* Caches of attention over a window of keys, for models that have it. */
#ifndef LOCKSTEP_WINDOW_H
#define LOCKSTEP_WINDOW_H

#include <stdint.h>

/* A cache of ls_attention with a window holds the newest tokens alone. Of a stream that has seen `seen` tokens row 0 is
 * token ls_window_first, a multiple of the step by which the rows move on; so many rows, ls_window_rows, serve runs of
 * at most `tokens` tokens. */
static inline int64_t ls_window_step(int64_t window) { return 64 * (1 + window / 512); }
static inline int64_t ls_window_first(int64_t window, int64_t seen)
{
    return seen < window ? 0 : (seen - window + 1) / ls_window_step(window) * ls_window_step(window);
}
static inline int64_t ls_window_rows(int64_t window, int64_t tokens)
{
    return window + ls_window_step(window) - 2 + tokens;
}

#endif
