/* What every op's file includes first. The file is compiled several times: once for each element type and instruction
 * set.
 *
 *   real   element type in memory of activations (float, double; bfloat16 as a structure, see ops/vec.h)
 *   acc    arithmetic, statistics, gradients of parameters (float or double)
 *   vacc   a vector of LS_LANES acc; loads and stores convert from and to real
 *
 * A file ends with its table entry, LS_OP(name) = {...}, and defines its builder with LS_BUILDER; both come out under
 * the right linkage in every build.
 *
 * CMake defines LS_OP_BUILD (suffix of the symbols), and one of LS_BUILD_FLOAT32, LS_BUILD_BFLOAT16, LS_BUILD_FLOAT64;
 * in one build also LS_OP_PRIMARY, which alone exports the builders.
 */
#ifndef LS_OPS_OP_BUILD_H
#define LS_OPS_OP_BUILD_H

#include "lockstep/model.h"
#include "lockstep/op.h"

#include "base/gemm_watch.h"
#include "ops/vec.h"

#include <math.h>
#include <string.h>

#define LS_PASTE_(a, b) a##b
#define LS_PASTE(a, b) LS_PASTE_(a, b)

/* The op's table entry: const LsOp ls_op_gelu_f32_v4 = ... */
#define LS_OP(op_name)                                                                                                 \
    extern const LsOp LS_PASTE(ls_op_##op_name, LS_OP_BUILD);                                                          \
    const LsOp LS_PASTE(ls_op_##op_name, LS_OP_BUILD)

#ifdef LS_OP_PRIMARY
#define OP(op_name, arguments) LsTensor *ls_##op_name arguments;
#include "lockstep/ops.def"
#undef OP
#define LS_BUILDER
#else
#define LS_BUILDER static __attribute__((unused))
#endif

/* C = op(A) op(B) in this build's element type: see base/gemm.h. */
#if defined(LS_BUILD_FLOAT64)
#define ls_gemm ls_gemm_float64
#elif defined(LS_BUILD_BFLOAT16)
#define ls_gemm ls_gemm_bfloat16
#else
#define ls_gemm ls_gemm_float32
#endif

/* The same, counted where a benchmark asks for the products of a step. */
static inline LsStatus ls_gemm_noted(const LsGemm *gemm)
{
#ifdef LS_BUILD_BFLOAT16
    ls_gemm_note(gemm, true);
#else
    ls_gemm_note(gemm, false);
#endif
    return ls_gemm(gemm);
}
#undef ls_gemm
#define ls_gemm ls_gemm_noted

/* Two products, neither of which needs what the other makes. */
static inline LsStatus ls_gemm_both(const LsGemm *first, const LsGemm *second)
{
#ifdef LS_BUILD_FLOAT32
    ls_gemm_note(first, false);
    ls_gemm_note(second, false);
    return ls_gemm_float32_both(first, second);
#else
    LS_TRY(ls_gemm(first));
    return ls_gemm(second);
#endif
}

/* ls_gemm can make row_sums too. */
LS_INLINE bool ls_gemm_sums(const LsGemm *gemm)
{
#ifdef LS_BUILD_FLOAT32
    return ls_gemm_float32_sums(gemm);
#else
    (void)gemm;
    return false;
#endif
}

/* Gradient i of a node wanted, and to be added to? */
static inline bool ls_wants(const LsNode *node, int i) { return (node->want >> i) & 1u; }
static inline bool ls_adds(const LsNode *node, int i) { return (node->add >> i) & 1u; }
/* Only its own columns of it are this node's to write? */
static inline bool ls_owns(const LsNode *node, int i) { return (node->own >> i) & 1u; }

#endif
