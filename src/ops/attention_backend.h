/* Attention's order of work, compiled for each kind of products; a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_BACKEND_H
#define LS_OPS_ATTENTION_BACKEND_H

#include "ops/attention_backward.h"
#include "ops/attention_block.h"
#include "ops/attention_forward.h"
#if defined(__AVX512BW__) && (defined(LS_BUILD_FLOAT32) || (defined(LS_BUILD_BFLOAT16) && defined(__AVX512BF16__)))
#include "ops/attention_panel.h"
#endif

typedef struct Backend {
    int64_t (*forward_scratch)(const Shape *s);
    void (*forward)(const Shape *s, const ForwardTask *t);
    int64_t (*backward_scratch)(const Shape *s);
    void (*backward)(const Shape *s, const BackwardTask *t);
    const BlockOps *by;
} Backend;

#define BACKEND(products)                                                                                              \
    static int64_t products##_forward_scratch(const Shape *s) { return ls_forward_scratch(&products, s); }             \
    static int64_t products##_backward_scratch(const Shape *s) { return ls_backward_scratch(&products, s); }           \
    static void products##_forward(const Shape *s, const ForwardTask *t) { ls_forward_task(&products, s, t); }         \
    static void products##_backward(const Shape *s, const BackwardTask *t) { ls_backward_task(&products, s, t); }      \
    static const Backend products##_backend = {products##_forward_scratch, products##_forward,                         \
                                               products##_backward_scratch, products##_backward, &products};

BACKEND(by_vectors)
#ifdef LS_OPS_ATTENTION_PANEL_H
BACKEND(by_panels)
#endif

static const Backend *backend_of(const Shape *s)
{
#ifdef LS_OPS_ATTENTION_PANEL_H
    if (s->kernel)
        return &by_panels_backend;
#endif
    (void)s;
    return &by_vectors_backend;
}

/* acc of sums dk and dv of a strand's keys that all queries see. */
static int64_t global_sums(const Shape *s)
{
    Sizes z = backend_of(s)->by->sizes(s);
    return 2 * ls_global_sums(&z, s);
}

#endif
