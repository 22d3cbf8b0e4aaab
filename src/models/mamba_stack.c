/* Models of one kind of Mamba block: pre-norm blocks between an embedding and a head. */
#include "models/mamba_block.h"

LsBlockPlace ls_mamba_stack_place(const LsMambaStack *stack)
{
    return (LsBlockPlace){
        .width = stack->width, .layers = stack->layers, .context = stack->context, .settings = "model."};
}

LsBody ls_mamba_stack(LsGraph *g, const LsShape *shape, const LsMambaStack *stack,
                      LsTensor *(*block)(LsGraph *, const void *, const LsBlockPlace *, LsTensor *),
                      const void *settings, double epsilon)
{
    LsBlockPlace place = ls_mamba_stack_place(stack);
    int64_t table_dim[2] = {stack->vocabulary, stack->width};
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsTensor *table = ls_param(g, "token_embedding", ls_init_normal(0.02), 2, table_dim);
    LsTensor *x = ls_embedding(g, table, ids); /* x: (B, T, C) */
    for (int64_t layer = 0; layer < stack->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = block(g, settings, &place, x);
        ls_pop(g);
    }
    x = ls_rms_norm_block(g, "norm", x, epsilon);
    LsTensor *head = stack->tied ? table : ls_param(g, "head", ls_init_normal(0.02), 2, table_dim);
    return (LsBody){.features = x, .table = head, .loss_classes = stack->loss_vocabulary};
}
