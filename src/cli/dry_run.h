/* The plan of a training, printed before it starts: its graphs, memory and time. */
#ifndef LS_CLI_DRY_RUN_H
#define LS_CLI_DRY_RUN_H

#include "peaks/peak.h"
#include "train/train.h"

/* Prints the plan to stdout on rank 0: model, batch, memory by class, disk, an estimate of the time. peak_gflops: of
 * all ranks, 0 if unknown. json: as one object. Collective. */
LsStatus ls_dry_run(const LsConfig *config, const LsComm *comm, const LsSource *training, const LsSource *validation,
                    double peak_gflops, bool json) LS_MUST_USE;

/* The measured peaks of all ranks together, zeros where a rank's are unknown. memory: train.memory, 0 for what the
 * machine, the control group or the SLURM job allows: measuring keeps to it. Collective: all measure at the same time,
 * as they share the machine when they train. */
LsStatus ls_job_peak(const LsComm *comm, LsPeakParts parts, int64_t memory, LsPeak *peak) LS_MUST_USE;

/* Bytes that measuring may take now: half of what this rank has not yet taken of its limit. */
int64_t ls_job_room(int64_t memory);

/* Of those, what products of this precision can reach. */
double ls_job_products(const LsPeak *peak, LsPrecision precision);

/* Bytes of one checkpoint of this configuration, and the most of them that lie in the run folder at once (one being
 * written). */
int64_t ls_dry_run_checkpoint_bytes(const LsTrainPlan *plan);
int64_t ls_dry_run_checkpoints(const LsConfig *config);

/* "1.50 GiB"; returns text. */
const char *ls_bytes_text(int64_t bytes, char text[32]);
/* "1.2M parameters", and with adapters how many of them learn. */
const char *ls_parameters_text(const LsTrainPlan *plan, char text[96]);
/* "16 sequences of 256 tokens", "128 samples": what a step takes. */
const char *ls_batch_text(const LsConfig *config, const LsTrainPlan *plan, char text[64]);

#endif
