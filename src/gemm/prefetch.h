/* Memory asked for before it is packed. */
#ifndef LS_GEMM_ASK_H
#define LS_GEMM_ASK_H

#include "lockstep/base.h"

/* Lines of memory that come next: `count` from number `first` on of rows that lie `stride` bytes apart, `across` of
 * them in a row, row after row, as the machine's own guesses follow best. */
static inline void ls_prefetch_rows(const void *x, int64_t stride, int64_t across, int64_t first, int64_t count)
{
    int64_t at = first % across;
    const char *line = (const char *)x + first / across * stride + at * LS_ALIGN;
    for (int64_t i = 0; i < count; i++, line += LS_ALIGN) {
        __builtin_prefetch(line, 0, 2);
        if (++at == across)
            at = 0, line += stride - across * LS_ALIGN;
    }
}

#endif
