/* Included first by every op's file of Lockstep: lockstep/op_build.h, vectors and products.
 *
 *   vacc   a vector of LS_LANES acc; loads and stores convert from and to real
 *
 * CMake compiles the file once for each element type and instruction set (cmake/ops.cmake).
 */
#ifndef LS_OPS_OP_BUILD_H
#define LS_OPS_OP_BUILD_H

#include "lockstep/field.h"
#include "lockstep/op_build.h"

#include "gemm/gemm.h"
#include "simd/vec.h"

#include <math.h>
#include <string.h>

#ifdef LS_OP_PRIMARY
#define OP(op_name, arguments) LsTensor *ls_##op_name arguments;
#include "lockstep/ops.def"
#undef OP
#endif

/* The type of this build's products: see gemm/gemm.h. */
#if defined(LS_BUILD_FLOAT64)
#define LS_GEMM_REAL LS_GEMM_FLOAT64
#elif defined(LS_BUILD_BFLOAT16)
#define LS_GEMM_REAL LS_GEMM_BFLOAT16
#else
#define LS_GEMM_REAL LS_GEMM_FLOAT32
#endif

/* Whether only its own columns of gradient i are this node's to write. */
static inline bool ls_partial_grad(const LsNode *node, int i) { return (node->partial_grad >> i) & 1u; }

#endif
