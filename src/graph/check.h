/* Checks of ops and whole models: gradients against finite differences in double; float builds at every instruction set
 * and number of threads against double; fast kernels against plain ones. Tests call these.
 */
#ifndef LS_GRAPH_CHECK_H
#define LS_GRAPH_CHECK_H

#include "lockstep/op.h"

/* The subject of a check: builds a graph that ends in the node under test (or in outputs named "loss"); false where
 * there is no such case. */
typedef struct LsSubject {
    bool (*build)(LsGraph *g, const void *self);
    const void *self;
    const char *name; /* for messages */
    bool segmented;   /* its training graphs see a part of each sequence: carries (ls_carry) are checked too */
} LsSubject;

/* Case `which` of an op: fills *subject and *self, which must live as long. False past the last case. */
typedef struct LsOpCase {
    const LsOp *op;
    int which;
    char name[64];
} LsOpCase;
bool ls_subject_of_case(const LsOp *op, int which, LsOpCase *self, LsSubject *subject);

/* Values of input or state x are drawn from [low, high) when it is checked (for subjects that build whole models).
 * Returns x. */
LsTensor *ls_case_range(LsGraph *g, LsTensor *x, double low, double high);

/* A subject is checked in a training graph and, where it has states while decoding, in a graph that decodes; one that
 * asks for a state in training too (ls_state, which training graphs refuse) while decoding alone.
 *
 * Gradients of a random projection of the results and of the ends of carries, in double, against central differences at
 * up to `samples` elements of every input, parameter and start of a carry; then that backward adds where it is told to.
 * Everything unwritten is NaN. LS_OK for a subject of decoding alone, which has no gradient. LS_ERROR with the worst
 * element in the message where a difference exceeds what central differences can tell. */
LsStatus ls_check_gradient(const LsSubject *subject, int samples) LS_MUST_USE;

/* The fast forward in double against the plain one: to 1e-12 of the largest magnitude. */
LsStatus ls_check_reference(const LsSubject *subject) LS_MUST_USE;

/* Results and gradients of the builds (float or bfloat16, at each instruction set up to this one) against double, which
 * gets the same inputs, parameters and upstream gradients, rounded to bfloat16 first for that build. Allowed is
 * tolerance * 2^-24 of the largest magnitude of each tensor; in bfloat16 also 2^-8 of the result itself where it is
 * stored so, and bf16_ulps * 2^-8 of the largest magnitude (LsOp.bf16_ulps says for what). And the same bits with 1, 2
 * and 3 threads. */
LsStatus ls_check_builds(const LsSubject *subject, LsPrecision precision, LsIsa most, double tolerance,
                         double bf16_ulps) LS_MUST_USE;

/* The checks of one case of an op: its gradient; its fast forward against the plain one, where it has both; its builds
 * of float and bfloat16 at every instruction set of this machine, as close as the op's entry allows. ls_op_check
 * (lockstep/op.h) does all three for all cases. */
LsStatus ls_check_op_gradient(const LsSubject *subject, const LsOp *op) LS_MUST_USE;
LsStatus ls_check_op_reference(const LsSubject *subject, const LsOp *op) LS_MUST_USE;
LsStatus ls_check_op_builds(const LsSubject *subject, const LsOp *op) LS_MUST_USE;

/* Graphs made from here on are of this instruction set, until the choice that was forced before (owned by the caller,
 * NULL: none) is given back. */
char *ls_check_force_isa(LsIsa isa);
void ls_check_restore_isa(char *forced);

#endif
