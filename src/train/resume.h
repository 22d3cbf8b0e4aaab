/* The training that a checkpoint comes from, and whether another one may go on from it. Rank 0 alone. */
#ifndef LS_TRAIN_RESUME_H
#define LS_TRAIN_RESUME_H

#include "config/config.h"
#include "data/data.h"
#include "store/checkpoint.h"

/* The text that goes into every checkpoint (and config.yaml): the resolved configuration, and as comments the
 * digests of the data sets, by which a resumed run knows its data wherever it lies. The caller frees it; NULL with a
 * message. */
char *ls_resume_text(const LsConfig *config);

/* Refuses (LS_USAGE), with all differences in one message, what is another training than `text` (of ls_resume_text)
 * says: another model, other data, another sequence length, seed or optimiser. Other changes are logged. A checkpoint
 * of step 0 (an imported model) is held to the model alone. */
LsStatus ls_resume_check(const LsCheckpoint *checkpoint, const LsConfig *config, const char *text) LS_MUST_USE;

/* LS_DATA where the model of a checkpoint, imported or trained, has another tokenizer than the data. */
LsStatus ls_resume_check_tokenizer(const LsCheckpoint *checkpoint, const LsConfig *config,
                                   const LsSource *data) LS_MUST_USE;

#endif
