/* Event files as TensorBoard reads them: RUN/tensorboard/events.out.tfevents.SECONDS.HOST.PROCESS, one more each time a
 * training goes on. TensorBoard itself drops what an earlier file has of steps that a later one has again.
 *
 * A file is a list of records: length (8 bytes), its masked CRC-32C, the record, its masked CRC-32C. A record is a
 * protocol buffer Event with a time, a step and scalars. */
#ifndef LS_CLI_EVENT_FILE_H
#define LS_CLI_EVENT_FILE_H

#include "train/metrics_row.h"

typedef struct LsEventFile LsEventFile;

/* folder: the run's. NULL with a message. */
LsEventFile *ls_event_file_open(const char *folder);

/* All fields but "step" as scalars of that step. */
LsStatus ls_event_file_row(LsEventFile *file, const LsMetricsRow *row) LS_MUST_USE;
void ls_event_file_close(LsEventFile *file); /* NULL is allowed */

#endif
