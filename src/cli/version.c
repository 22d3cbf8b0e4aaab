#include "cli/cli.h"
#include "dist/dist.h"
#include "lockstep_version.h" /* made by cmake/version.cmake: LOCKSTEP_GIT */

#include <hdf5.h>
#include <omp.h>

LsStatus ls_cli_version(FILE *out)
{
    LsIsa isa = LS_ISA_BASELINE;
    unsigned major = 0, minor = 0, release = 0;
    LS_TRY(ls_isa_choose(&isa));
    H5get_libversion(&major, &minor, &release);
    fprintf(out,
            "lockstep          %s\n"
            "git               %s\n"
            "compiler          %s\n"
            "instruction set   %s\n"
            "MPI               %s\n"
            "HDF5              %u.%u.%u\n"
            "OpenMP            %d (threads: %d)\n",
            LOCKSTEP_VERSION, LOCKSTEP_GIT,
#ifdef __clang__
            __VERSION__,
#else
            "GCC " __VERSION__,
#endif
            ls_isa_name(isa), ls_dist_library(), major, minor, release, _OPENMP, ls_threads());
    return LS_OK;
}
