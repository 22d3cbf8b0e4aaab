/* Models of which low-rank adapters alone are in a checkpoint (config.lora): the rest comes from train.init. */
#ifndef LS_STORE_LORA_H
#define LS_STORE_LORA_H

#include "store/checkpoint.h"
#include "store/model_folder.h"

/* The model of config.train.init, found from the current folder or else at config.lora.base, which must have all
 * parameters of `layout`, with their shapes: LS_USAGE with the names of those that it has not. digest: of their names
 * and values, hexadecimal. Release base, after a failure too. */
#define LS_DIGEST_TEXT 33
LsStatus ls_lora_base(const LsConfig *config, const LsParams *layout, LsStoredModel *base,
                      char digest[LS_DIGEST_TEXT]) LS_MUST_USE;

/* Values by name, of parameters that both have with the same shape; those of the others stay. */
void ls_params_copy(const LsParams *from, LsParams *to);

/* Makes a configuration that of the model with its adapters merged; returns their rank, 0: it has none. */
int64_t ls_lora_take_off(LsConfig *config);

/* For whatever uses a trained model without going on with its training: the parameters of a checkpoint, or their
 * average where one is kept, and running values. rank > 0, of ls_lora_take_off: the checkpoint has adapters, and params
 * get W + alpha / rank B A in the place of W; LS_CHECKPOINT where the model that they stand on is not what it was. */
LsStatus ls_model_read(LsCheckpoint *checkpoint, const LsConfig *config, int64_t rank, LsParams *params) LS_MUST_USE;

#endif
