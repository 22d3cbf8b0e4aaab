/* AdamW's pass, which others make over the parameters that they have no rule of their own for. */
#ifndef LS_TRAIN_ADAMW_H
#define LS_TRAIN_ADAMW_H

#include "train/optimizer.h"

/* m and v: of the means of gradients and of their squares. except: parameters that it leaves alone; NULL: none. */
void ls_adamw_update(const LsUpdate *u, const LsMoment *m, const LsMoment *v, bool (*except)(const LsParam *param));

#endif
