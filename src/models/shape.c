/* A model's inputs from the fields of its samples. */
#include "lockstep/model.h"

#include <stdio.h>
#include <string.h>

LsFields ls_language_fields(int64_t vocabulary)
{
    LsField field = {.dtype = LS_I32, .rank = 1, .dim = {LS_STEPS}, .classes = vocabulary};
    LsFields fields = {.count = 2, .list = {field, field}};
    memcpy(fields.list[0].name, "ids", sizeof "ids");
    memcpy(fields.list[1].name, "targets", sizeof "targets");
    return fields;
}

const LsField *ls_shape_field(const LsShape *shape, const char *name)
{
    static const LsFields language = {
        .count = 2, .list = {{"ids", LS_I32, 1, {LS_STEPS}, 0}, {"targets", LS_I32, 1, {LS_STEPS}, 0}}};
    return ls_field_find(shape->fields ? shape->fields : &language, name);
}

LsTensor *ls_shape_input(LsGraph *g, const LsShape *shape, const char *name)
{
    LsTensor *there = ls_graph_find(g, name);
    if (there)
        return there;
    static const LsField nothing = {.dtype = LS_REAL, .rank = 1, .dim = {1}};
    const LsField *field = ls_shape_field(shape, name);
    if (!field) {
        char *fields = shape->fields ? ls_fields_text(shape->fields) : NULL;
        ls_graph_fail(g, LS_USAGE, "this needs samples with the field \"%s\", but the data have: %s", name,
                      fields ? fields : "ids, targets");
        ls_free(fields);
        field = &nothing;
    }
    int64_t dim[LS_MAX_RANK] = {shape->batch};
    for (int i = 0; i < field->rank; i++)
        dim[1 + i] = field->dim[i] == LS_STEPS ? shape->sequence : field->dim[i];
    return ls_input(g, name, field->dtype, 1 + field->rank, dim);
}

bool ls_shape_documents(const LsGraph *g, const LsShape *shape)
{
    const LsField *field = ls_shape_field(shape, "positions");
    return shape->want == LS_WANT_LOSS && ls_graph_mode(g) != LS_DECODE && field && field->dtype == LS_I32 &&
           field->rank == 1 && field->dim[0] == LS_STEPS;
}

LsTensor *ls_shape_input_of(LsGraph *g, const LsShape *shape, const char *names)
{
    char name[LS_FIELD_NAME];
    for (const char *at = names;; at += strcspn(at, "|") + 1) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "|"), at);
        if (ls_shape_field(shape, name) || !strchr(at, '|'))
            return ls_shape_input(g, shape, name);
    }
}
