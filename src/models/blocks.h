/* Parts of models above ops. */
#ifndef LS_MODELS_BLOCKS_H
#define LS_MODELS_BLOCKS_H

#include "lockstep/model.h"

/* Where tokens stand, as ops of positions and attention take it. A graph that decodes: input "position" (B), the tokens
 * each stream has seen. A loss of samples with the field "positions": (B, T), each token's in its document. Else NULL:
 * positions count from 0. */
LsTensor *ls_stream_position(LsGraph *g, const LsShape *shape);

/* LS_USAGE, with values that would fit, where `value` is not a multiple of `divisor`; names as messages have them. */
LsStatus ls_check_multiple(const char *name, int64_t value, const char *divisor_name, int64_t divisor) LS_MUST_USE;

/* What ls_activation knows, for settings. */
#define LS_ACTIVATION_NAMES "relu|gelu|gelu_tanh|silu|tanh|sigmoid|none"
LsTensor *ls_activation(LsGraph *g, const char *name, LsTensor *x);

/* The activation of a dense layer by its name, for settings. */
#define LS_DENSE_ACTIVATION_NAMES "gelu_tanh|gelu|relu|silu"
LsActivation ls_dense_activation(const char *name);

/* x: (B, ...) -> (B, N). */
LsTensor *ls_flat(LsGraph *g, LsTensor *x);

/* A convolution of x: (B, H, W, C) to `maps` channels with a parameter "NAME.weight": (maps, size, size, C) and
 * "NAME.bias", both drawn as PyTorch's convolutions start. */
LsTensor *ls_conv_uniform(LsGraph *g, const char *name, LsTensor *x, int64_t maps, int64_t size, int64_t stride,
                          int64_t padding, LsActivation activation);

/* Layer norm of x: (..., C) with parameters "NAME.scale" and "NAME.bias". */
LsTensor *ls_layer_norm_block(LsGraph *g, const char *name, LsTensor *x, double epsilon);

/* Dropout where the probability is not 0. */
LsTensor *ls_drop(LsGraph *g, LsTensor *x, double probability);

/* Batch norm of x: (..., C) with parameters "NAME.scale", "NAME.bias" and running values "NAME.mean",
 * "NAME.variance". */
LsTensor *ls_batch_norm_block(LsGraph *g, const char *name, LsTensor *x);

/* A convolution without bias, size x size, whose weight is drawn from N(0, 2 / (size^2 maps)) (He et al. 2015, by the
 * outputs), and batch norm after it: "NAME.weight", "NAME.norm.scale", ... */
LsTensor *ls_conv_norm(LsGraph *g, const char *name, LsTensor *x, int64_t maps, int64_t size, int64_t stride,
                       int64_t padding);

/* x times the transpose of a parameter "NAME.weight": (outputs, inputs of x), plus "NAME.bias" where wanted. */
LsTensor *ls_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsInit init, bool bias,
                   LsActivation activation);

/* The same with both drawn from U(-1/sqrt(inputs), 1/sqrt(inputs)), as PyTorch's linear layers start. */
LsTensor *ls_dense_uniform(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, LsActivation activation);

#endif
