/* Models one folder further down than the one that was named. */
#ifndef LS_STORE_BELOW_H
#define LS_STORE_BELOW_H

/* "; below it: outer/published (weights), outer/b (a run)", three at most; "" where there are none. A buffer of this
 * thread. */
const char *ls_models_below(const char *folder);

#endif
