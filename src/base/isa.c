#include "lockstep/base.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[LS_ISA_LEVELS] = {"baseline", "v3", "v4", "v4_bf16"};

const char *ls_isa_name(LsIsa isa) { return names[isa]; }

/* GCC's cpu model reads CPUID and, through XGETBV, what registers the operating system saves. */
static LsIsa best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return LS_ISA_BASELINE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512cd") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return LS_ISA_V3;
    return __builtin_cpu_supports("avx512bf16") ? LS_ISA_V4_BF16 : LS_ISA_V4;
#else
    return LS_ISA_BASELINE;
#endif
}

LsStatus ls_isa_choose(LsIsa *isa)
{
    *isa = best();
    const char *forced = getenv("LOCKSTEP_ISA");
    if (!forced || !*forced)
        return LS_OK;
    for (int level = 0; level < LS_ISA_LEVELS; level++)
        if (strcmp(forced, names[level]) == 0) {
            if (level > (int)*isa)
                return ls_fail(LS_USAGE, "LOCKSTEP_ISA=%s: this machine supports at most %s; unset it or name a lower one", forced,
                               names[*isa]);
            *isa = (LsIsa)level;
            return LS_OK;
        }
    return ls_fail(LS_USAGE, "LOCKSTEP_ISA=%s: unknown; choose one of baseline, v3, v4, v4_bf16", forced);
}
