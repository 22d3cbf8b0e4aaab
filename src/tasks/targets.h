/* Shared by tasks with classes as targets. */
#ifndef LS_TASKS_TARGETS_H
#define LS_TASKS_TARGETS_H

#include "lockstep/ops.h"
#include "lockstep/task.h"

/* Numbers of the input `name`: (B, ...) LS_I32 of the first `rows` samples that are not LS_IGNORE. */
int64_t ls_count_targets(const LsGraph *g, const char *name, int64_t rows);

/* Features of a sample from those of its steps: x: (B, T, C) -> (B, C), by "length" where samples have it. x: (B, C)
 * stays. pool: of LS_POOL_NAMES. */
#define LS_POOL_NAMES "last|mean|max|first"
#define LS_POOL_HELP "how the steps of a sequence become one vector, where the model makes one for each step"
LsTensor *ls_pool_steps(LsGraph *g, const LsShape *shape, const char *pool, LsTensor *x);

/* Output "output": (..., K) logits as the head of a task with classes makes them, "loss" where wanted: smoothing as
 * ls_cross_entropy. The number of classes is that of the field `name`; the head's parameters are "head.weight" and
 * "head.bias", drawn as PyTorch's linear layers. */
void ls_class_head(LsGraph *g, const LsShape *shape, LsTensor *x, const char *name, double smoothing);

/* The sum of the losses of x: (B, T, C) with the head table: (V, C), bias: (V) or NULL against targets: (B, T), or NULL
 * where none is wanted. The logits are the output "output", but not in training, where they are never whole. Returns
 * NULL without targets, or where the graph has failed. */
LsTensor *ls_table_loss(LsGraph *g, LsTensor *x, LsTensor *table, LsTensor *bias, LsTensor *targets, double smoothing);

/* Adds to sum[0] how many of the first `count` numbers of the input `name` are the predicted class of their row. */
LsStatus ls_add_hits(const LsScored *scored, const char *name, int64_t count, double *sum) LS_MUST_USE;

/* The name of class k, by the info of the training data; else its number, into `number`. */
const char *ls_class_name(const struct json_t *info, int64_t k, char number[24]);

/* For predict --text: "sample", ..., the names of all classes; and of row i of "output" the most probable class, and
 * the probability of each. */
void ls_class_text_head(const LsScored *scored, const char *columns, FILE *out);
LsStatus ls_class_text_row(const LsScored *scored, int64_t i, FILE *out) LS_MUST_USE;

/* The most probable class of each row of "output", the lower one of equals, into a new array of *count; the caller
 * frees it. */
LsStatus ls_predicted_classes(const LsGraph *g, int32_t **classes, int64_t *count) LS_MUST_USE;

#endif
