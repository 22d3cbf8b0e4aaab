#include "models/sequence_inputs.h"

#include <string.h>

LsTensor *ls_sequence_inputs(LsGraph *g, const LsShape *shape, const char *picture, int64_t vocabulary,
                             int64_t channels, LsInit init, LsTensor **table)
{
    *table = NULL;
    if (ls_shape_field(shape, "pixels")) {
        LsTensor *x = ls_shape_input(g, shape, "pixels"); /* (B, rows, columns, C) */
        bool rows = strcmp(picture, "rows") == 0;
        return ls_reshape(g, x, 3, (int64_t[]){x->dim[0], rows ? x->dim[1] : -1, rows ? -1 : x->dim[x->rank - 1]});
    }
    const LsField *values = ls_shape_field(shape, "values");
    if (values && values->rank != 2) /* (T, C) of each sample */
        ls_graph_fail(g, LS_USAGE,
                      "the samples have no steps, and this model goes through steps: it takes tokens, series or "
                      "pictures");
    if (!ls_shape_field(shape, "ids"))
        return ls_shape_input_of(g, shape, "values|ids");
    *table = ls_param(g, "token_embedding", init, 2, (int64_t[]){vocabulary, channels});
    return ls_embedding(g, *table, ls_shape_input(g, shape, "ids"));
}
