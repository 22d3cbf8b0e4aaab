/* What every op's file includes first. The file is compiled several times: once for each element type and instruction
 * set.
 *
 *   real   element type in memory of activations (float, double; bfloat16 as a structure, see simd/vec.h)
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

#include "lockstep/field.h"
#include "lockstep/ops.h"
#include "lockstep/op.h"

#include "gemm/gemm.h"
#include "simd/vec.h"

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

/* The type of this build's products: see gemm/gemm.h. */
#if defined(LS_BUILD_FLOAT64)
#define LS_GEMM_REAL LS_GEMM_FLOAT64
#elif defined(LS_BUILD_BFLOAT16)
#define LS_GEMM_REAL LS_GEMM_BFLOAT16
#else
#define LS_GEMM_REAL LS_GEMM_FLOAT32
#endif

/* Gradient i of a node wanted, and to be added to? */
static inline bool ls_wants(const LsNode *node, int i) { return (node->want >> i) & 1u; }
static inline bool ls_adds(const LsNode *node, int i) { return (node->add >> i) & 1u; }
/* Only its own columns of it are this node's to write? */
static inline bool ls_partial_grad(const LsNode *node, int i) { return (node->partial_grad >> i) & 1u; }

#endif
