/* The first include of every op's file, in Lockstep and in programs of others. Such a file is compiled once for each
 * precision (in Lockstep also for each instruction set), with
 *
 *     LS_OP_BUILD      suffix of its symbols: _f32, _bf16, _f64
 *     LS_BUILD_...     one of LS_BUILD_FLOAT32, LS_BUILD_BFLOAT16, LS_BUILD_FLOAT64
 *     LS_OP_PRIMARY    in one build alone, which exports the builders
 *
 * and sees these types:
 *
 *     real   element type in memory of activations: float, double, or a structure for bfloat16, so that the compiler
 *            refuses code that takes it for a number; ls_load1 and ls_store1 convert
 *     acc    of arithmetic, statistics and gradients of parameters: float or double
 *
 * A file ends with its table entry, LS_OP(name) = {...} (lockstep/op.h), and defines its builder with LS_BUILDER.
 * CONTRIBUTING.md has an op as an example, examples/own-task one of a program that is not ours: there the CMake
 * function lockstep_add_ops(TARGET FILE...) compiles the builds, and LS_OP_ADD(name) makes them known. */
#ifndef LOCKSTEP_OP_BUILD_H
#define LOCKSTEP_OP_BUILD_H

#include "lockstep/bfloat16.h"
#include "lockstep/op.h"
#include "lockstep/ops.h"

#if defined(LS_BUILD_FLOAT64)
typedef double real;
typedef double acc;
#elif defined(LS_BUILD_BFLOAT16)
typedef LsBfloat16 real;
typedef float acc;
#else
typedef float real;
typedef float acc;
#endif

#define LS_INLINE static inline __attribute__((always_inline, unused))

/* One activation. */
#if defined(LS_BUILD_BFLOAT16)
LS_INLINE acc ls_load1(const real *x) { return ls_bfloat16_to_float(*x); }
LS_INLINE void ls_store1(real *x, acc v) { *x = ls_bfloat16_from_float(v); }
#else
LS_INLINE acc ls_load1(const real *x) { return *x; }
LS_INLINE void ls_store1(real *x, acc v) { *x = v; }
#endif

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)

/* The op's table entry: const LsOp ls_op_gelu_f32_v4 = ... */
#define LS_OP(op_name)                                                                                                 \
    extern const LsOp LS_PASTE(ls_op_##op_name, LS_OP_BUILD);                                                          \
    const LsOp LS_PASTE(ls_op_##op_name, LS_OP_BUILD)

#ifdef LS_OP_PRIMARY
#define LS_BUILDER
#else
#define LS_BUILDER static __attribute__((unused))
#endif

/* Whether gradient i of a node is wanted, and whether it is to be added to. */
static inline bool ls_wants(const LsNode *node, int i) { return (node->want >> i) & 1u; }
static inline bool ls_adds(const LsNode *node, int i) { return (node->add >> i) & 1u; }

#endif
