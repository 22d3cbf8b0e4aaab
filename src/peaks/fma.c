#include "peaks/fma.h"

#include <math.h>

#define SECONDS 0.08
#define ROUNDS ((int64_t)20000) /* of one try: below a millisecond, so that some try is undisturbed on a busy machine */

/* y_i = y_i a + b for as many independent y_i as hide the instructions' latency and fit the registers (12 of 16, 24 of
 * 32): variables, since compilers keep arrays in memory. With a = 0.5 and b = 1 all values stay near 2. A try returns
 * its flops, a negative number where the result is wrong. */
#define EACH_OF_12(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define EACH_OF_24(F) EACH_OF_12(F) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23)
#define START(i) Vector y##i = b;
#define STEP(i)                                                                                                        \
    y##i = y##i * a + b;                                                                                               \
    KEEP(y##i);
#define SUM(i) sum += y##i;

#define MULTIPLY_ADDS(name, attributes, bytes, chains)                                                                 \
    attributes static double name(int64_t rounds, float factor, float addend)                                          \
    {                                                                                                                  \
        typedef float Vector __attribute__((vector_size(bytes)));                                                      \
        enum { LANES = (bytes) / sizeof(float) };                                                                      \
        Vector sum = {0}, a = factor - sum, b = addend - sum;                                                          \
        EACH_OF_##chains(START) for (int64_t round = 0; round < rounds;                                                \
                                     round++){EACH_OF_##chains(STEP)} EACH_OF_##chains(SUM) bool right = true;         \
        for (int lane = 0; lane < LANES; lane++)                                                                       \
            right = right && fabsf(sum[lane] - 2 * (chains)) < 0.01f * (chains);                                       \
        return (right ? 2.0 : -2.0) * LANES * (chains) * (double)rounds;                                               \
    }

#if defined(__x86_64__)
/* The value is in a register, and nothing is known of it: rounds can neither be merged nor left out. */
#define KEEP(value) __asm__ volatile("" : "+x"(value))
MULTIPLY_ADDS(try_baseline, , 16, 12)
MULTIPLY_ADDS(try_v3, __attribute__((target("avx2,fma"))), 32, 12)
#undef KEEP
#define KEEP(value) __asm__ volatile("" : "+v"(value))
MULTIPLY_ADDS(try_v4, __attribute__((target("avx512f,avx2,fma,prefer-vector-width=512"))), 64, 24)
static double (*const tries[LS_ISA_LEVELS])(int64_t, float, float) = {try_baseline, try_v3, try_v4, try_v4, try_v4};
#else
#if defined(__aarch64__)
#define KEEP(value) __asm__ volatile("" : "+w"(value))
#else
#define KEEP(value) __asm__ volatile("" : "+m"(value))
#endif
MULTIPLY_ADDS(try_baseline, , 16, 24)
static double (*const tries[LS_ISA_LEVELS])(int64_t, float, float) = {try_baseline, try_baseline, try_baseline,
                                                                      try_baseline, try_baseline};
#endif

double ls_fma_measure(void)
{
    double total = 0, end = ls_seconds() + SECONDS;
    double (*const try)(int64_t, float, float) = tries[ls_isa()];
    /* all threads at once: clocks depend on how many cores work. A thread's best counts, since it alone is disturbed */
#pragma omp parallel reduction(+ : total)
    {
        double best = 0;
        for (int i = 0; i < 2 || ls_seconds() < end; i++) {
            double start = ls_seconds(), flops = try(ROUNDS, 0.5f, 1.0f);
            best = fmax(best, 1e-9 * flops / (ls_seconds() - start));
        }
        total += best;
    }
    return total;
}
