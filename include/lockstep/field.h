/* Samples are made of fields. A source of samples says which it fills; a model and a task declare the graph's inputs
 * of the same names; the configuration of a run keeps them as text, so that a checkpoint builds its graph without
 * the data:
 *
 *     "ids T of 65, targets T of 65"          a window of text: as many tokens as a sequence has, of 65 ids
 *     "pixels 28x28x1, label of 10"           a picture (height, width, channels) and one class of ten
 *     "values Tx3, target 7"                  three series, and the seven numbers to say
 *     "ids T of 5000, length int, label of 2" a text shorter than a sequence
 */
#ifndef LOCKSTEP_FIELD_H
#define LOCKSTEP_FIELD_H

#include "lockstep/graph.h"

#define LS_MAX_FIELDS 8
#define LS_FIELD_NAME 24
/* Target value that the loss skips. */
#define LS_IGNORE (-1)
/* A dimension as long as the sequence of the graph. */
#define LS_STEPS (-1)

typedef struct LsField {
    char name[LS_FIELD_NAME]; /* of the graph's input */
    LsDtype dtype;            /* LS_REAL or LS_I32 */
    int rank;                 /* of one sample: 0 is a single number */
    int64_t dim[LS_MAX_RANK - 1];
    int64_t classes; /* LS_I32: values lie in 0 .. classes - 1; 0: any number */
} LsField;

typedef struct LsFields {
    int count;
    LsField list[LS_MAX_FIELDS];
} LsFields;

/* The field of this name, or NULL. */
const LsField *ls_field_find(const LsFields *fields, const char *name);

/* True where some field has a dimension LS_STEPS. */
bool ls_fields_have_steps(const LsFields *fields);

/* Adds one. LS_ERROR where the name is too long or taken, or there are LS_MAX_FIELDS. */
LsStatus ls_fields_add(LsFields *fields, const char *name, LsDtype dtype, int64_t classes, int rank,
                       const int64_t *dim) LS_MUST_USE;

/* From and to text. LS_USAGE with the part that cannot be read. The caller frees the text. */
LsStatus ls_fields_parse(const char *text, LsFields *fields) LS_MUST_USE;
char *ls_fields_text(const LsFields *fields);

#endif
