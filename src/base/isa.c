#include "lockstep/base.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const names[LS_ISA_LEVELS] = {"baseline", "v3", "v4", "v4_bf16", "v4_amx"};

const char *ls_isa_name(LsIsa isa) { return names[isa]; }

#if defined(__x86_64__) && defined(__linux__)
/* The tile registers are 8 KiB a thread, so Linux gives them to those processes only that ask (kernel 5.16 and later,
 * Documentation/arch/x86/xstate.rst). Threads made before share the permission. */
static bool tiles_granted(void)
{
    enum { ASK_FOR = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    const unsigned needed = 1u << 22 | 1u << 24 | 1u << 25; /* tiles of bfloat16, tiles, tiles of 8-bit integers */
    if (!__builtin_cpu_supports("avx512vbmi") || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & needed) != needed)
        return false;
    return syscall(SYS_arch_prctl, ASK_FOR, TILE_DATA) == 0;
}
#elif defined(__x86_64__)
static bool tiles_granted(void) { return false; }
#endif

/* GCC's cpu model reads CPUID and, through XGETBV, what registers the operating system saves. */
static LsIsa find_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
        return LS_ISA_BASELINE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return LS_ISA_V3;
#ifdef LS_EMULATE_AMX
    return LS_ISA_V4_AMX;
#endif
    if (!__builtin_cpu_supports("avx512bf16"))
        return LS_ISA_V4;
    return tiles_granted() ? LS_ISA_V4_AMX : LS_ISA_V4_BF16;
#else
    return LS_ISA_BASELINE;
#endif
}

static LsIsa best(void)
{
    static _Atomic int found = -1;
    if (found < 0)
        found = (int)find_best();
    return (LsIsa)found;
}

static LsStatus choose(LsIsa *isa)
{
    *isa = best();
    const char *forced = getenv("LOCKSTEP_ISA");
    if (!forced || !*forced)
        return LS_OK;
    for (int level = 0; level < LS_ISA_LEVELS; level++)
        if (strcmp(forced, names[level]) == 0) {
            if (level > (int)*isa)
                return ls_fail(LS_USAGE,
                               "LOCKSTEP_ISA=%s: this machine supports at most %s; unset it or name a lower one",
                               forced, names[*isa]);
            *isa = (LsIsa)level;
            return LS_OK;
        }
    return ls_fail(LS_USAGE, "LOCKSTEP_ISA=%s: unknown; choose one of baseline, v3, v4, v4_bf16, v4_amx", forced);
}

static _Atomic int chosen = -1;

LsStatus ls_isa_choose(LsIsa *isa)
{
    LsStatus status = choose(isa);
    chosen = status == LS_OK ? (int)*isa : (int)LS_ISA_BASELINE;
    return status;
}

LsIsa ls_isa(void)
{
    LsIsa isa;
    if (chosen >= 0 || ls_isa_choose(&isa) == LS_OK)
        return (LsIsa)chosen;
    return LS_ISA_BASELINE;
}
