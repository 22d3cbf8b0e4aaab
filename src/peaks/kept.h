/* The file that keeps this machine's measured peaks: $XDG_CACHE_HOME/lockstep/machine.json, else
 * ~/.cache/lockstep/machine.json. A home that cannot be written to only means measuring again.
 */
#ifndef LS_PEAKS_KEPT_H
#define LS_PEAKS_KEPT_H

#include "lockstep/base.h"

/* The file's path, NULL where there is no home. The library's. */
const char *ls_machine_path(void);

/* The key of a figure: "PROCESSOR, ISA, N threads". LS_USAGE where LOCKSTEP_ISA is wrong. */
LsStatus ls_machine_key(char *key, size_t room) LS_MUST_USE;

/* The numbers of these names under this key; false, and zeros, where the file lacks one of them. */
bool ls_machine_read(const char *key, int count, const char *const *name, double *value);

/* Keeps them, in place of what stood under this key. Best effort. */
void ls_machine_write(const char *key, int count, const char *const *name, const double *value);

#endif
