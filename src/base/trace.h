/* Traces of this process's work over time, as a file for chrome://tracing and Perfetto (JSON array of complete events,
 * times in microseconds).
 *
 *     LS_TRY(ls_trace_open("trace.json", rank));
 *     double begin = ls_seconds();
 *     ... work ...
 *     ls_trace_event(LS_TRACE_STEP, "forward", node->name, begin, ls_seconds());
 *     ls_trace_flush();                       // between steps: never inside a timed section
 *     LS_TRY(ls_trace_close());
 *
 * One trace a process, from the thread that opened it. Memory is taken when it is opened and does not grow; the file
 * ends after LS_TRACE_MOST events, and says so. Every event is in the file after the next flush, and a file that was
 * not closed (the process was killed) can still be read: the format does without its last bracket.
 */
#ifndef LS_BASE_TRACE_H
#define LS_BASE_TRACE_H

#include "lockstep/base.h"

#define LS_TRACE_MOST ((int64_t)1000000) /* some 110 MB */

/* Rows of the picture. Events of one row lie one after the other or inside each other. */
typedef enum LsTraceTrack { LS_TRACE_STEP, LS_TRACE_SUMS, LS_TRACE_TRACKS } LsTraceTrack;

/* Opens the file of this rank, from now on time zero. LS_USAGE where it cannot be written. Ranks that wait for each
 * other just before have a common zero. */
LsStatus ls_trace_open(const char *path, int rank) LS_MUST_USE;

/* FILE for a single rank; with more, their number goes before the ending: trace.json, trace.3.json. The caller frees
 * it; NULL when out of memory. */
char *ls_trace_path(const char *file, int rank, int ranks);

bool ls_trace_on(void);

/* Seconds as of ls_seconds. category: a literal, a word ("forward"). name: copied. Nothing where no trace is open. */
void ls_trace_event(LsTraceTrack track, const char *category, const char *name, double begin, double end);

/* Writes what was gathered where the memory for it is half full. */
void ls_trace_flush(void);

/* Writes the rest. LS_RESOURCE or LS_ERROR where the file could not be written. LS_OK where no trace is open. */
LsStatus ls_trace_close(void) LS_MUST_USE;

#endif
