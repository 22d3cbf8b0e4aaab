/* Sources of samples that are made here. */
#ifndef LS_DATA_SOURCE_H
#define LS_DATA_SOURCE_H

#include "data/tokenizer.h"
#include "lockstep/source.h"

/* Text: inputs "ids" and "targets" (B, T), windows of `sequence` + 1 tokens. Epoch e cuts the stream at an offset that
 * depends on (seed, e) and takes its windows in an order that does too. split: "train", "validation" or "held-out" (see
 * lockstep/data.h); the latter two in fixed order from the beginning, every token once, the last window filled up with
 * ignored targets. Verifies the file's digest, and that every token is inside the vocabulary: LS_DATA. NULL with a
 * message. */
LsSource *ls_text_source(const char *path, const char *split, int64_t sequence, uint64_t seed);

/* Made-up samples of these fields, for bench --synthetic: classes and numbers evenly, lengths of whole sequences. NULL
 * with a message. */
LsSource *ls_synthetic_source(const LsFields *fields, int64_t sequence, uint64_t seed);

#endif
