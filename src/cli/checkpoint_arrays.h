/* The float arrays of a checkpoint by name, read one at a time, for inspect and diff. */
#ifndef LS_CLI_CHECKPOINT_ARRAYS_H
#define LS_CLI_CHECKPOINT_ARRAYS_H

#include "io/sealed.h"
#include "store/checkpoint.h"

typedef struct LsFileTensor {
    char *name; /* "parameters/layer.3.in_w", "optimizer/m/layer.3.in_w" */
    int rank;
    int64_t dim[LS_SEALED_RANK], count;
} LsFileTensor;

typedef struct LsFileTensors {
    LsCheckpoint *checkpoint;
    LsFileTensor *list; /* parameters, then moments, in name order */
    int count, room;
} LsFileTensors;

/* Opens a checkpoint, its digest verified, and lists its float arrays. LS_CHECKPOINT. Close with ls_file_tensors_close,
 * after a failure too. */
LsStatus ls_file_tensors_open(const char *path, LsFileTensors *tensors) LS_MUST_USE;
void ls_file_tensors_close(LsFileTensors *tensors);

/* The tensor of this name, NULL where there is none. */
const LsFileTensor *ls_file_tensor(const LsFileTensors *tensors, const char *name);

/* Its values, with the checksum verified; the caller frees them. NULL with a message. */
float *ls_file_tensor_read(const LsFileTensors *tensors, const LsFileTensor *tensor);

#endif
